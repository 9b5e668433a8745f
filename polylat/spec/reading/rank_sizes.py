"""Sizes of ranks, which may refer to each other: ``{X: 4, XT: ceil(16/X)}``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import partial
from typing import Any

from polylat.errors import ExpressionError
from polylat.spec.reading.expressions.evaluation import evaluate_whole
from polylat.spec.reading.expressions.evaluator import parse_expression
from polylat.spec.reading.expressions.scope import LazyValue, Scope
from polylat.spec.reading.location import Location

_MAX_NAMED = 8


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
        table[rank] = LazyValue(partial(_size, rank, size, scope, at / rank))
    for rank in _in_order(given, outer, at):
        table[rank].get()  # all that it refers to has been evaluated: no recursion
    return scope


def _size(rank: str, size: Any, scope: Scope, at: Location) -> int:
    return evaluate_whole(size, scope.without(rank), at, what=f"the size of rank {rank!r}")


def _in_order(given: Mapping[str, Any], outer: Scope, at: Location) -> list[str]:
    """List the ranks so that each comes after those that its size refers to."""
    order: dict[str, None] = {}
    for start in given:
        path: dict[str, None] = {}
        stack = [start]
        while stack:
            rank = stack[-1]
            if rank in path or rank in order:  # all that it refers to is in the order
                path.pop(rank, None)
                order[rank] = None
                stack.pop()
                continue
            path[rank] = None
            for other in _mentioned(rank, given, outer):
                if other in path:
                    ranks = list(path)
                    raise _cycle([*ranks[ranks.index(other) :], other], at)
                stack.append(other)
    return list(order)


def _mentioned(rank: str, given: Mapping[str, Any], outer: Scope) -> list[str]:
    """List the ranks that the size of a rank refers to."""
    size = given[rank]
    try:
        tree = parse_expression(size.strip()) if isinstance(size, str) else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # the evaluation says what is wrong
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)] if tree else []
    # In the size of its own rank, a name that is also an outer one is the outer one.
    return [name for name in names if name in given and not (name == rank and rank in outer)]


def _cycle(ranks: list[str], at: Location) -> ExpressionError:
    """Make the error for sizes that depend on each other; the first rank is also the last."""
    shown = ranks if len(ranks) <= _MAX_NAMED else [*ranks[: _MAX_NAMED - 1], "…", ranks[-1]]
    return ExpressionError(
        f"the size of rank {ranks[0]!r} depends on itself: {' → '.join(shown)}",
        where=str(at / ranks[0]),
        fix="give one of these sizes as a number",
    )
