"""Latencies as a maximum of linear forms in the numbers of calls.

A component's ``total_latency`` is evaluated once, with the numbers of calls left open. What comes
out is ``max(form, form, …)``, each form a sum of (action's calls × time) plus a constant: one port
per form. Sums of maxima are multiplied out, which is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from polylat.spec.reading.numbers import Number, exact

MAX_FORMS = 256


class NotLinear(Exception):
    """The latency is no maximum of linear forms."""


@dataclass(frozen=True)
class Form:
    """``sum(coefficient * calls of action) + constant``.

    A coefficient may be zero (unlimited throughput): the form then still names its action.
    """

    terms: Mapping[str, Fraction]
    constant: Fraction = Fraction(0)

    def plus(self, other: Form, sign: int = 1) -> Form:
        """The sum (or difference) of two forms."""
        names = dict.fromkeys([*self.terms, *other.terms])
        zero = Fraction(0)
        terms = {n: self.terms.get(n, zero) + sign * other.terms.get(n, zero) for n in names}
        return Form(terms, self.constant + sign * other.constant)

    def times(self, factor: Fraction) -> Form:
        """The form scaled by a constant."""
        return Form({n: c * factor for n, c in self.terms.items()}, self.constant * factor)

    def at_most(self, other: Form) -> bool:
        """Whether it is never above the other form, whatever the (non-negative) calls are."""
        zero = Fraction(0)
        names = {*self.terms, *other.terms}
        return self.constant <= other.constant and all(
            self.terms.get(n, zero) <= other.terms.get(n, zero) for n in names
        )


@dataclass(frozen=True)
class Latency:
    """The maximum of linear forms (at least one)."""

    forms: tuple[Form, ...]

    @staticmethod
    def calls(action: str) -> Latency:
        """The number of calls of an action."""
        return Latency((Form({action: Fraction(1)}),))

    def __post_init__(self) -> None:
        if len(self.forms) > MAX_FORMS:
            raise NotLinear(f"it has more than {MAX_FORMS} arguments once sums are multiplied out")


Value = Latency | Number


def _forms(value: Value) -> tuple[Form, ...]:
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


def add(a: Value, b: Value) -> Latency:
    """``a + b``, with the sum distributed over both maxima."""
    left, right = _forms(a), _forms(b)
    if len(left) * len(right) > MAX_FORMS**2:
        raise NotLinear("it has too many arguments once sums are multiplied out")
    return Latency(_unique(x.plus(y) for x in left for y in right))


def subtract(a: Value, b: Value) -> Latency:
    """``a - b``; a maximum cannot be subtracted."""
    right = _forms(b)
    if len(right) > 1:
        raise NotLinear("a max() is subtracted")
    return Latency(_unique(x.plus(right[0], -1) for x in _forms(a)))


def multiply(a: Value, b: Value) -> Latency:
    """``a * b``, one of which must be a constant."""
    if isinstance(a, Latency) and isinstance(b, Latency):
        raise NotLinear("two numbers of calls are multiplied")
    latency, factor = (a, b) if isinstance(a, Latency) else (b, a)
    assert isinstance(latency, Latency) and not isinstance(factor, Latency)
    scale = _finite(factor)
    if scale < 0 and len(latency.forms) > 1:
        raise NotLinear("a max() is multiplied by a negative number")
    return Latency(_unique(form.times(scale) for form in latency.forms))


def divide(a: Value, b: Value) -> Latency:
    """``a / b``; what is divided by infinity takes no time."""
    if isinstance(b, Latency):
        raise NotLinear("it divides by a number of calls")
    if b == 0:
        raise ZeroDivisionError("division by zero")
    inverse: Number = 0 if isinstance(b, float) else exact(1 / Fraction(b))
    return multiply(a, inverse)


def maximum(values: Iterable[Value]) -> Latency:
    """The largest of the values."""
    return Latency(_unique(form for value in values for form in _forms(value)))


def minimum(values: Iterable[Value]) -> Latency:
    """The least of the values, where one of them is never above any other."""
    choices = [_forms(value) for value in values]
    for forms in choices:
        if all(
            all(any(form.at_most(other) for other in others) for form in forms)
            for others in choices
        ):
            return Latency(forms)
    raise NotLinear("which argument of min() is the least depends on the numbers of calls")
