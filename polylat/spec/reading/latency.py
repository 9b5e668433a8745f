"""Latencies as a maximum of linear forms in the numbers of calls.

A component's ``total_latency`` is evaluated once, symbolically in the number of calls of each
action. The result is ``max(form, form, …)``, a max-plus expression in which each form is a sum of
(calls of an action × time) plus a constant: one port per form. Sums of maxima are distributed,
which is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from polylat.spec.reading.numbers import Number, exact

_MAX_FORMS = 256


class NotLinear(Exception):
    """The latency is not a maximum of linear forms."""


@dataclass(frozen=True)
class Form:
    """``sum(coefficient * calls of action) + constant``.

    Parameters
    ----------
    terms
        Action → coefficient, in units of time per call. A coefficient may be zero (unlimited
        throughput): the form then still names its action.
    constant
        The constant term, in units of time.
    """

    terms: Mapping[str, Fraction]
    constant: Fraction = Fraction(0)

    def plus(self, other: Form, sign: int = 1) -> Form:
        """Add or subtract a form.

        Parameters
        ----------
        other
            The form to add.
        sign
            1 to add, -1 to subtract.

        Returns
        -------
        Form
            ``self + sign * other``.
        """
        names = dict.fromkeys([*self.terms, *other.terms])
        zero = Fraction(0)
        terms = {n: self.terms.get(n, zero) + sign * other.terms.get(n, zero) for n in names}
        return Form(terms, self.constant + sign * other.constant)

    def times(self, factor: Fraction) -> Form:
        """Scale the form.

        Parameters
        ----------
        factor
            A constant.

        Returns
        -------
        Form
            ``factor * self``.
        """
        return Form({n: c * factor for n, c in self.terms.items()}, self.constant * factor)

    def at_most(self, other: Form) -> bool:
        """Return whether this form is ≤ another one for all non-negative numbers of calls.

        Parameters
        ----------
        other
            The form to compare with.

        Returns
        -------
        bool
            True if every coefficient and the constant are ≤ those of `other`.
        """
        zero = Fraction(0)
        names = {*self.terms, *other.terms}
        return self.constant <= other.constant and all(
            self.terms.get(n, zero) <= other.terms.get(n, zero) for n in names
        )


@dataclass(frozen=True)
class Latency:
    """A maximum of linear forms.

    Parameters
    ----------
    forms
        The arguments of the maximum, at least one.
    """

    forms: tuple[Form, ...]

    @staticmethod
    def calls(action: str) -> Latency:
        """Return the number of calls of an action.

        Parameters
        ----------
        action
            Name of the action.

        Returns
        -------
        Latency
            A single form with coefficient 1.
        """
        return Latency((Form({action: Fraction(1)}),))

    def __post_init__(self) -> None:
        if len(self.forms) > _MAX_FORMS:
            raise NotLinear(f"it has more than {_MAX_FORMS} arguments after sums are distributed")


_Value = Latency | Number


def _forms(value: _Value) -> tuple[Form, ...]:
    if isinstance(value, Latency):
        return value.forms
    return (Form({}, _finite(value)),)


def _finite(value: Number) -> Fraction:
    if isinstance(value, float):
        raise NotLinear("it is infinite")
    return Fraction(value)


def _unique(forms: Iterable[Form]) -> tuple[Form, ...]:
    found: list[Form] = []
    for form in forms:
        if form not in found:
            found.append(form)
    return tuple(found)


def add(a: _Value, b: _Value) -> Latency:
    """Add two latencies; the sum is distributed over both maxima.

    Parameters
    ----------
    a, b
        The summands.

    Returns
    -------
    Latency
        ``a + b``.

    Raises
    ------
    NotLinear
        A summand is infinite, or the sum has too many forms.
    """
    left, right = _forms(a), _forms(b)
    if len(left) * len(right) > _MAX_FORMS**2:
        raise NotLinear("it has too many arguments after sums are distributed")
    return Latency(_unique(x.plus(y) for x in left for y in right))


def subtract(a: _Value, b: _Value) -> Latency:
    """Subtract a latency that is not a maximum.

    Parameters
    ----------
    a
        The minuend.
    b
        The subtrahend, with a single form.

    Returns
    -------
    Latency
        ``a - b``.

    Raises
    ------
    NotLinear
        An operand is infinite, or `b` is a maximum of several forms.
    """
    right = _forms(b)
    if len(right) > 1:
        raise NotLinear("a max() is subtracted")
    return Latency(_unique(x.plus(right[0], -1) for x in _forms(a)))


def multiply(a: _Value, b: _Value) -> Latency:
    """Multiply a latency by a constant.

    Parameters
    ----------
    a, b
        The factors, one of which is a number.

    Returns
    -------
    Latency
        ``a * b``.

    Raises
    ------
    NotLinear
        Both factors depend on numbers of calls, the constant is infinite, or a maximum is
        multiplied by a negative constant.
    """
    if isinstance(a, Latency) and isinstance(b, Latency):
        raise NotLinear("two numbers of calls are multiplied")
    latency, factor = (a, b) if isinstance(a, Latency) else (b, a)
    assert isinstance(latency, Latency) and not isinstance(factor, Latency)
    scale = _finite(factor)
    if scale < 0 and len(latency.forms) > 1:
        raise NotLinear("a max() is multiplied by a negative number")
    return Latency(_unique(form.times(scale) for form in latency.forms))


def divide(a: _Value, b: _Value) -> Latency:
    """Divide a latency by a constant; division by infinity gives zero.

    Parameters
    ----------
    a
        The dividend.
    b
        The divisor, a number.

    Returns
    -------
    Latency
        ``a / b``.

    Raises
    ------
    NotLinear
        The divisor depends on numbers of calls.
    ZeroDivisionError
        The divisor is zero.
    """
    if isinstance(b, Latency):
        raise NotLinear("it divides by a number of calls")
    if b == 0:
        raise ZeroDivisionError("division by zero")
    inverse: Number = 0 if isinstance(b, float) else exact(1 / Fraction(b))
    return multiply(a, inverse)


def maximum(values: Iterable[_Value]) -> Latency:
    """Return the maximum of latencies.

    Parameters
    ----------
    values
        Latencies and numbers.

    Returns
    -------
    Latency
        The distinct forms of all values.

    Raises
    ------
    NotLinear
        A value is infinite, or there are too many forms.
    """
    return Latency(_unique(form for value in values for form in _forms(value)))


def minimum(values: Iterable[_Value]) -> Latency:
    """Return the minimum of latencies, provided that one of them is never above any other.

    Parameters
    ----------
    values
        Latencies and numbers.

    Returns
    -------
    Latency
        The value that is the least for all numbers of calls.

    Raises
    ------
    NotLinear
        Which value is the least depends on the numbers of calls, or a value is infinite.
    """
    choices = [_forms(value) for value in values]
    for forms in choices:
        if all(
            all(any(form.at_most(other) for other in others) for form in forms)
            for others in choices
        ):
            return Latency(forms)
    raise NotLinear("which argument of min() is the least depends on the numbers of calls")
