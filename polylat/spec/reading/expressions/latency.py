"""Arithmetic of latencies: sums, products with constants, maxima and minima.

Sums of maxima are distributed, which is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from polylat.spec.reading.expressions.max_plus import (
    MAX_FORMS,
    LinearForm,
    MaxPlusLatency,
    NotMaxPlusError,
)
from polylat.spec.reading.numbers import Number, to_exact

_Value = MaxPlusLatency | Number


def _forms(value: _Value) -> tuple[LinearForm, ...]:
    if isinstance(value, MaxPlusLatency):
        return value.forms
    return (LinearForm({}, _finite(value)),)


def _finite(value: Number) -> Fraction:
    if isinstance(value, float):
        raise NotMaxPlusError("it is infinite")
    return Fraction(value)


def _unique(forms: Iterable[LinearForm]) -> tuple[LinearForm, ...]:
    found: list[LinearForm] = []
    for form in forms:
        if form not in found:
            found.append(form)
    return tuple(found)


def add(a: _Value, b: _Value) -> MaxPlusLatency:
    """Add two latencies; the sum is distributed over both maxima.

    Parameters
    ----------
    a, b
        The summands.

    Returns
    -------
    MaxPlusLatency
        ``a + b``.

    Raises
    ------
    NotMaxPlusError
        A summand is infinite, or the sum has too many forms.
    """
    left, right = _forms(a), _forms(b)
    if len(left) * len(right) > MAX_FORMS**2:
        raise NotMaxPlusError("it has too many arguments after sums are distributed")
    return MaxPlusLatency(_unique(x.plus(y) for x in left for y in right))


def subtract(a: _Value, b: _Value) -> MaxPlusLatency:
    """Subtract a latency that is not a maximum.

    Parameters
    ----------
    a
        The minuend.
    b
        The subtrahend, with a single form.

    Returns
    -------
    MaxPlusLatency
        ``a - b``.

    Raises
    ------
    NotMaxPlusError
        An operand is infinite, or `b` is a maximum of several forms.
    """
    right = _forms(b)
    if len(right) > 1:
        raise NotMaxPlusError("a max() is subtracted")
    return MaxPlusLatency(_unique(x.plus(right[0], -1) for x in _forms(a)))


def multiply(a: _Value, b: _Value) -> MaxPlusLatency:
    """Multiply a latency by a constant.

    Parameters
    ----------
    a, b
        The factors, one of which is a number.

    Returns
    -------
    MaxPlusLatency
        ``a * b``.

    Raises
    ------
    NotMaxPlusError
        Both factors depend on numbers of calls, the constant is infinite, or a maximum is
        multiplied by a negative constant.
    """
    if isinstance(a, MaxPlusLatency) and isinstance(b, MaxPlusLatency):
        raise NotMaxPlusError("two numbers of calls are multiplied")
    latency, factor = (a, b) if isinstance(a, MaxPlusLatency) else (b, a)
    assert isinstance(latency, MaxPlusLatency) and not isinstance(factor, MaxPlusLatency)
    scale = _finite(factor)
    if scale < 0 and len(latency.forms) > 1:
        raise NotMaxPlusError("a max() is multiplied by a negative number")
    return MaxPlusLatency(_unique(form.times(scale) for form in latency.forms))


def divide(a: _Value, b: _Value) -> MaxPlusLatency:
    """Divide a latency by a constant; division by infinity gives zero.

    Parameters
    ----------
    a
        The dividend.
    b
        The divisor, a number.

    Returns
    -------
    MaxPlusLatency
        ``a / b``.

    Raises
    ------
    NotMaxPlusError
        The divisor depends on numbers of calls.
    ZeroDivisionError
        The divisor is zero.
    """
    if isinstance(b, MaxPlusLatency):
        raise NotMaxPlusError("it divides by a number of calls")
    if b == 0:
        raise ZeroDivisionError("division by zero")
    inverse: Number = 0 if isinstance(b, float) else to_exact(1 / Fraction(b))
    return multiply(a, inverse)


def maximum(values: Iterable[_Value]) -> MaxPlusLatency:
    """Return the maximum of latencies.

    Parameters
    ----------
    values
        Latencies and numbers.

    Returns
    -------
    MaxPlusLatency
        The distinct forms of all values.

    Raises
    ------
    NotMaxPlusError
        A value is infinite, or there are too many forms.
    """
    return MaxPlusLatency(_unique(form for value in values for form in _forms(value)))


def minimum(values: Iterable[_Value]) -> MaxPlusLatency:
    """Return the minimum of latencies, provided that one of them is never above any other.

    Parameters
    ----------
    values
        Latencies and numbers.

    Returns
    -------
    MaxPlusLatency
        The value that is the least for all numbers of calls.

    Raises
    ------
    NotMaxPlusError
        Which value is the least depends on the numbers of calls, or a value is infinite.
    """
    choices = [_forms(value) for value in values]
    for forms in choices:
        if all(
            all(any(form.at_most(other) for other in others) for form in forms)
            for others in choices
        ):
            return MaxPlusLatency(forms)
    raise NotMaxPlusError("which argument of min() is the least depends on the numbers of calls")
