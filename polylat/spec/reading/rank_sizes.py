"""Sizes of ranks, which may refer to each other: ``{X: 4, XT: ceil(16/X)}``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from polylat.errors import ExpressionError
from polylat.spec.reading.expressions.evaluation import evaluate_whole
from polylat.spec.reading.expressions.lazy_value import LazyValue, shown_cycle
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location


def rank_sizes(given: Mapping[str, Any], outer: Scope, at: Location) -> Scope:
    """Evaluate sizes of ranks, each after the sizes that it refers to.

    Parameters
    ----------
    given
        Rank → size, a number or an expression.
    outer
        The other names that the expressions may use; a rank hides such a name, except in the
        expression of its own size.
    at
        Location of the sizes in the input.

    Returns
    -------
    Scope
        The ranks of `given`, with their sizes, inside `outer`.

    Raises
    ------
    ExpressionError
        A size is not a whole number above zero, or depends on itself.
    """
    table: dict[str, LazyValue] = {}
    scope = Scope(table, outer)
    for rank, size in given.items():
        # In the size of its own rank, a name that is also an outer one is the outer one.
        inner = scope.without(rank) if rank in outer else scope
        size_of = partial(_size, rank, size, inner, at / rank)
        table[rank] = LazyValue(size_of, rank, partial(_cycle, at))
    for value in table.values():
        value.get()
    return scope


def _size(rank: str, size: Any, scope: Scope, at: Location) -> int:
    return evaluate_whole(size, scope, at, what=f"the size of rank {rank!r}")


def _cycle(at: Location, ranks: list[str]) -> ExpressionError:
    """Make the error for sizes that depend on each other; the first rank is also the last."""
    return ExpressionError(
        f"the size of rank {ranks[0]!r} depends on itself: {shown_cycle(ranks)}",
        where=str(at / ranks[0]),
        fix="give one of these sizes as a number",
    )
