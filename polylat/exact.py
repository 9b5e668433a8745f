"""Exact numbers: integers where they are whole, fractions otherwise."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["Number", "number"]

Number = int | Fraction


def number(value: Number) -> Number:
    """The same number, as an integer if it is whole.

    Examples
    --------
    >>> from fractions import Fraction
    >>> number(Fraction(6, 3)), number(Fraction(1, 2))
    (2, Fraction(1, 2))
    """
    return value.numerator if value.denominator == 1 else value
