"""Arithmetic of expressions: exact on numbers, symbolic on latencies."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from polylat.spec.reading.expressions import latency
from polylat.spec.reading.expressions.kinds import EvaluationFailure, kind_of
from polylat.spec.reading.expressions.max_plus import MaxPlusLatency, NotMaxPlusError
from polylat.spec.reading.expressions.sets import NameSet
from polylat.spec.reading.numbers import Number, to_exact

LARGEST_LIST = 10_000


def two_numbers(a: object, b: object, sign: str) -> tuple[Number, Number]:
    """Return the operands of an operator if both are numbers.

    Parameters
    ----------
    a, b
        The operands.
    sign
        The operator, for messages.

    Returns
    -------
    tuple of (Number, Number)
        The operands.

    Raises
    ------
    EvaluationFailure
        If one of them is not a number.
    """
    if isinstance(a, (int, Fraction, float)) and isinstance(b, (int, Fraction, float)):
        return a, b
    raise EvaluationFailure(f"cannot compute {kind_of(a)} {sign} {kind_of(b)}")


def refuse_latencies(what: str, *values: object) -> None:
    """Refuse numbers of calls where an operation is not defined for them.

    Parameters
    ----------
    what
        The operator or function, for messages.
    *values
        Its operands.

    Raises
    ------
    NotMaxPlusError
        If one of them is a latency.
    """
    if any(isinstance(value, MaxPlusLatency) for value in values):
        raise NotMaxPlusError(f"{what} is applied to a number of calls")


def add_values(a: Any, b: Any) -> Any:
    """Add two values of expressions: numbers, latencies or lists.

    Parameters
    ----------
    a, b
        The operands.

    Returns
    -------
    Any
        The exact sum, or the concatenated list.

    Raises
    ------
    EvaluationFailure
        If the operation is not defined for these operands.
    """
    if isinstance(a, list) and isinstance(b, list) and len(a) + len(b) <= LARGEST_LIST:
        return a + b
    return _on_latencies(latency.add, a, b, "+") or to_exact(operator.add(*two_numbers(a, b, "+")))


def subtract_values(a: Any, b: Any) -> Any:
    """Subtract two values of expressions: numbers or latencies, or sets.

    Parameters
    ----------
    a, b
        The operands.

    Returns
    -------
    Any
        The exact difference, or the difference of the sets.

    Raises
    ------
    EvaluationFailure
        If the operation is not defined for these operands.
    """
    if isinstance(a, NameSet) and isinstance(b, NameSet):
        return a.difference(b)
    return _on_latencies(latency.subtract, a, b, "-") or to_exact(
        operator.sub(*two_numbers(a, b, "-"))
    )


def multiply_values(a: Any, b: Any) -> Any:
    """Multiply two values of expressions: numbers, a latency and a number, or repeat a list.

    Parameters
    ----------
    a, b
        The operands.

    Returns
    -------
    Any
        The exact product, or the repeated list.

    Raises
    ------
    EvaluationFailure
        If the operation is not defined for these operands.
    """
    for items, times in ((a, b), (b, a)):
        if isinstance(items, list) and isinstance(times, int):
            if len(items) * times > LARGEST_LIST:
                raise EvaluationFailure(f"a list of more than {LARGEST_LIST} items")
            return items * times
    return _on_latencies(latency.multiply, a, b, "*") or to_exact(
        operator.mul(*two_numbers(a, b, "*"))
    )


def divide_values(a: Any, b: Any) -> Any:
    """Divide two values of expressions: numbers, or a latency by a number.

    Parameters
    ----------
    a, b
        The operands.

    Returns
    -------
    Any
        The exact quotient.

    Raises
    ------
    EvaluationFailure
        If the operation is not defined for these operands.
    """
    found = _on_latencies(latency.divide, a, b, "/")
    if found is not None:
        return found
    left, right = two_numbers(a, b, "/")
    if isinstance(left, float) or isinstance(right, float):
        if right == 0:
            raise ZeroDivisionError
        return to_exact(float(left) / right) if isinstance(left, float) else 0
    return to_exact(Fraction(left) / right)


def _on_latencies(
    compute: Callable[[Any, Any], MaxPlusLatency], a: object, b: object, sign: str
) -> MaxPlusLatency | None:
    """Compute with latencies; None if neither operand is one."""
    if not isinstance(a, MaxPlusLatency) and not isinstance(b, MaxPlusLatency):
        return None
    for value in (a, b):
        if not isinstance(value, (MaxPlusLatency, int, Fraction, float)):
            raise EvaluationFailure(f"cannot compute {kind_of(a)} {sign} {kind_of(b)}")
    return compute(a, b)


def numeric_operator(compute: Callable[[Any, Any], Any], sign: str) -> Callable[[Any, Any], Any]:
    """Make an operator on exact numbers that is not defined for latencies.

    Parameters
    ----------
    compute
        The function that computes the operation.
    sign
        The operator, for messages.

    Returns
    -------
    Callable
        The operator; it raises `NotMaxPlusError` for a latency.
    """

    def apply(a: Any, b: Any) -> Any:
        refuse_latencies(sign, a, b)
        return to_exact(compute(*two_numbers(a, b, sign)))

    return apply
