"""Evaluate expressions for sets of tensors, and mappings whose keys are such expressions."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from polylat.errors import ExpressionError
from polylat.spec.reading.expressions.evaluation import evaluate
from polylat.spec.reading.expressions.evaluator import parse_expression
from polylat.spec.reading.expressions.kinds import describe_result
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.expressions.sets import NameSet
from polylat.spec.reading.location import Location
from polylat.spec.reading.suggest import format_value


def evaluate_set(
    expression: object, scope: Scope, at: Location, *, kind: str = "tensor"
) -> NameSet:
    """Evaluate an expression that must be a set of tensors (or of rank variables).

    Parameters
    ----------
    expression, scope, at
        As for `evaluate`.
    kind
        Kind of the elements: ``"tensor"`` or ``"rank variable"``.

    Returns
    -------
    NameSet
        The set.

    Raises
    ------
    ExpressionError
        If the value is not a set of this kind.
    """
    value = evaluate(expression, scope, at)
    if isinstance(value, NameSet) and value.space.kind == kind:
        return value
    raise ExpressionError(
        f"{describe_result(expression, value)} must be a set of {kind}s",
        where=str(at),
        fix="use a set expression such as All, Inputs, ~Intermediates or a tensor's name",
    )


def values_by_tensor(
    table: Mapping[str, Any],
    everything: NameSet,
    scope: Scope,
    at: Location,
    *,
    disjoint: bool = True,
) -> dict[str, tuple[Any, Location]]:
    """Assign the values of a mapping whose keys are set expressions to the tensors in these sets.

    Parameters
    ----------
    table
        Set expression → value. ``Other`` is the set of the tensors that no other key names.
    everything
        All tensors.
    scope, at
        As for `evaluate`.
    disjoint
        Whether two keys must not name the same tensor; if False, the later key takes precedence.

    Returns
    -------
    dict
        Tensor → (its value, not yet evaluated; location of the value).

    Raises
    ------
    ExpressionError
        If a key is not a set of tensors, or a tensor is named twice.
    """
    found: dict[str, tuple[Any, Location]] = {}
    remaining = everything
    mentions_other = [key for key in table if _mentions(key, "Other")]
    if len(mentions_other) > 1:
        raise ExpressionError("'Other' occurs in more than one key", where=str(at))
    for key in [k for k in table if k not in mentions_other] + mentions_other:
        here = at / key
        keys = evaluate_set(key, Scope({"Other": remaining}, scope), here)
        remaining = remaining.difference(keys)
        for tensor in keys.ordered():
            if disjoint and tensor in found:
                raise ExpressionError(
                    f"two keys name the tensor {tensor!r}: "
                    f"{format_value(found[tensor][1].path[-1])} "
                    f"and {format_value(key)}",
                    where=str(at),
                    fix="name it in one of them only",
                )
            found[tensor] = (table[key], here)
    return found


def _mentions(text: str, name: str) -> bool:
    try:
        tree = parse_expression(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))
