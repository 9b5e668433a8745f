"""Operators of expressions: arithmetic, sets, comparisons and conditions."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from polylat.spec.reading.expressions.arithmetic import (
    add_values,
    divide_values,
    multiply_values,
    numeric_operator,
    refuse_latencies,
    subtract_values,
    two_numbers,
)
from polylat.spec.reading.expressions.kinds import EvaluationFailure, kind_of
from polylat.spec.reading.expressions.max_plus import MaxPlusLatency, NotMaxPlusError
from polylat.spec.reading.expressions.objects import ItemList
from polylat.spec.reading.expressions.sets import NameSet
from polylat.spec.reading.numbers import power, to_exact


def _on_sets_or_bits(
    on_sets: Callable[[NameSet, NameSet], NameSet], on_ints: Callable[[int, int], int], sign: str
) -> Callable[[Any, Any], Any]:
    def apply(a: Any, b: Any) -> Any:
        refuse_latencies(sign, a, b)
        if isinstance(a, NameSet) and isinstance(b, NameSet):
            return on_sets(a, b)
        if isinstance(a, int) and isinstance(b, int):
            return on_ints(a, b)
        raise EvaluationFailure(f"cannot compute {kind_of(a)} {sign} {kind_of(b)}")

    return apply


def _invert(a: Any) -> Any:
    refuse_latencies("~", a)
    if isinstance(a, NameSet):
        return a.complement()
    if isinstance(a, int) and not isinstance(a, bool):
        return ~a
    raise EvaluationFailure(f"cannot compute ~ of {kind_of(a)}")


def _negative(a: Any) -> Any:
    return multiply_values(-1, a)


def _plus(a: Any) -> Any:
    return a if isinstance(a, MaxPlusLatency) else to_exact(two_numbers(a, 0, "+")[0])


def condition_holds(value: Any) -> bool:
    """Return whether a condition holds.

    Parameters
    ----------
    value
        The value of the condition.

    Returns
    -------
    bool
        Its truth value.

    Raises
    ------
    NotMaxPlusError
        If it depends on numbers of calls.
    """
    _refuse_condition(value)
    return bool(value)


def _refuse_condition(*values: Any) -> None:
    if any(isinstance(value, MaxPlusLatency) for value in values):
        raise NotMaxPlusError("a condition depends on a number of calls")


def _equal(a: Any, b: Any) -> bool:
    _refuse_condition(a, b)
    if isinstance(a, NameSet):
        return a.same(b)
    return bool(a == b)


def _ordering(compute: Callable[[Any, Any], bool], sign: str) -> Callable[[Any, Any], bool]:
    def apply(a: Any, b: Any) -> bool:
        _refuse_condition(a, b)
        if isinstance(a, str) and isinstance(b, str):
            return compute(a, b)
        return compute(*two_numbers(a, b, sign))

    return apply


def _contains(item: Any, container: Any) -> bool:
    if isinstance(container, NameSet):
        return item in container
    if isinstance(container, ItemList):
        return isinstance(item, str) and item in container.names()
    if isinstance(container, (list, tuple)):
        return any(_equal(item, other) for other in container)
    if isinstance(container, str) and isinstance(item, str):
        return item in container
    raise EvaluationFailure(f"'in' needs a set or a list, not {kind_of(container)}")


def _is_none(a: Any, b: Any) -> bool:
    if a is not None and b is not None:
        raise EvaluationFailure("'is' can only compare with None")
    return a is b


OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: add_values,
    ast.Sub: subtract_values,
    ast.Mult: multiply_values,
    ast.Div: divide_values,
    ast.FloorDiv: numeric_operator(operator.floordiv, "//"),
    ast.Mod: numeric_operator(operator.mod, "%"),
    ast.Pow: numeric_operator(power, "**"),
    ast.BitOr: _on_sets_or_bits(NameSet.union, operator.or_, "|"),
    ast.BitAnd: _on_sets_or_bits(NameSet.intersection, operator.and_, "&"),
    ast.BitXor: _on_sets_or_bits(NameSet.symmetric_difference, operator.xor, "^"),
    ast.Invert: _invert,
    ast.USub: _negative,
    ast.UAdd: _plus,
    ast.Not: lambda a: not condition_holds(a),
    ast.Eq: _equal,
    ast.NotEq: lambda a, b: not _equal(a, b),
    ast.Lt: _ordering(operator.lt, "<"),
    ast.LtE: _ordering(operator.le, "<="),
    ast.Gt: _ordering(operator.gt, ">"),
    ast.GtE: _ordering(operator.ge, ">="),
    ast.In: _contains,
    ast.NotIn: lambda a, b: not _contains(a, b),
    ast.Is: _is_none,
    ast.IsNot: lambda a, b: not _is_none(a, b),
}
