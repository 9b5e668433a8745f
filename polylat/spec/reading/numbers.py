"""Exact numbers in the input: ``int``, `Fraction`, and float infinities for unlimited rates.

Nothing is rounded: a decimal keeps the value that is written. The size of numbers is bounded, so
that no input makes arithmetic take unbounded time.
"""

from __future__ import annotations

import math
import numbers
import re
from decimal import Decimal
from fractions import Fraction

Number = int | Fraction | float
"""A ``float`` is always an infinity."""

MAX_BITS = 14_000
"""Python formats integers of up to 4300 digits, about 14,280 bits."""
MAX_COUNT_BITS = 4_000
"""Sizes, tile shapes and coefficients: the product of two of them can be formatted, too."""
_MAX_EXPONENT = 4_000
MAX_TEXT = 10_000

_DECIMAL = re.compile(
    r"\s*[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE](?P<exponent>[-+]?[0-9]+))?\s*\Z"
)
_SPECIAL = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf}


class BadNumber(ValueError):
    """A value is not a number, or too large or too long to compute with."""


def to_exact(value: object) -> Number:
    """Convert a real number to an exact one.

    Parameters
    ----------
    value
        A number of Python or NumPy, or a `Decimal`. A float becomes the decimal of its ``repr``.

    Returns
    -------
    int, Fraction or float
        An ``int`` if it is whole; a ``float`` only if it is infinite.

    Raises
    ------
    BadNumber
        The value is not a real number, or too large.

    Examples
    --------
    >>> to_exact(0.1), to_exact(2.0), to_exact(Fraction(4, 2))
    (Fraction(1, 10), 2, 2)
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return check_size(value)
    if isinstance(value, Fraction):
        return check_size(value.numerator if value.denominator == 1 else value)
    if isinstance(value, Decimal):
        if value.is_nan():
            raise BadNumber("not a number (nan)")
        return parse_decimal(str(value))
    if isinstance(value, numbers.Integral):
        return check_size(int(value))
    if isinstance(value, numbers.Rational):
        return to_exact(Fraction(int(value.numerator), int(value.denominator)))
    if isinstance(value, numbers.Real):
        number = float(value)
        if math.isnan(number):
            raise BadNumber("not a number (nan)")
        return number if math.isinf(number) else to_exact(Fraction(repr(number)))
    raise BadNumber(f"not a number: {type(value).__name__}")


def parse_decimal(text: str) -> Number:
    """Parse a decimal exactly.

    Parameters
    ----------
    text
        A decimal such as ``7.5e-3``, or ``inf``.

    Returns
    -------
    int, Fraction or float
        An ``int`` if it is whole; a ``float`` only if it is infinite.

    Raises
    ------
    BadNumber
        The text is not a decimal, or the number is too large.

    Examples
    --------
    >>> parse_decimal("7.5e-3"), parse_decimal("1_000"), parse_decimal("inf")
    (Fraction(3, 400), 1000, inf)
    """
    stripped = text.strip().lower()
    if stripped in _SPECIAL:
        return _SPECIAL[stripped]
    if len(text) > MAX_TEXT:
        raise BadNumber(f"a number of {len(text)} characters is too long")
    match = _DECIMAL.match(text)
    if match is None:
        raise BadNumber("not a number")
    exponent = match["exponent"]
    if exponent and (len(exponent) > 6 or abs(int(exponent)) > _MAX_EXPONENT):
        raise BadNumber("its exponent is too large")
    try:
        return to_exact(Fraction(text.strip().replace("_", "")))
    except ValueError as error:
        raise BadNumber("not a number") from error


def parse_ratio(text: str) -> Number:
    """Parse a decimal, or a ratio of two decimals separated by ``/``.

    Parameters
    ----------
    text
        For example ``0.5`` or ``1/3``.

    Returns
    -------
    int, Fraction or float
        An ``int`` if it is whole; a ``float`` only if it is infinite.

    Raises
    ------
    BadNumber
        A part is not a decimal, or too large.
    ZeroDivisionError
        The divisor is zero.

    Examples
    --------
    >>> parse_ratio("1/3"), parse_ratio("0.5")
    (Fraction(1, 3), Fraction(1, 2))
    """
    above, slash, below = text.partition("/")
    return (
        to_exact(Fraction(parse_decimal(above)) / Fraction(parse_decimal(below)))
        if slash
        else parse_decimal(text)
    )


def is_decimal(text: str) -> bool:
    """Return whether a text is a decimal or ``inf``.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    bool
        True if `parse_decimal` accepts its form; the number may still be too large.
    """
    return text.strip().lower() in _SPECIAL or (
        len(text) <= MAX_TEXT and _DECIMAL.match(text) is not None
    )


def check_size(value: int | Fraction) -> int | Fraction:
    """Refuse a number that is too large to compute with.

    Parameters
    ----------
    value
        An exact number.

    Returns
    -------
    int or Fraction
        The same number.

    Raises
    ------
    BadNumber
        It has too many bits.
    """
    if _bits(value) > MAX_BITS:
        raise BadNumber("the number is too large to compute with")
    return value


def check_count(value: int) -> int:
    """Refuse a size or a coefficient that is too large.

    Parameters
    ----------
    value
        A whole number.

    Returns
    -------
    int
        The same number.

    Raises
    ------
    BadNumber
        It has too many bits.
    """
    if value.bit_length() > MAX_COUNT_BITS:
        raise BadNumber(f"a whole number of more than {MAX_COUNT_BITS:,} bits is too large")
    return value


def _bits(value: int | Fraction) -> int:
    """Number of bits of a number, or of numerator and denominator together."""
    if isinstance(value, int):
        return value.bit_length()
    return value.numerator.bit_length() + value.denominator.bit_length()


def check_finite(value: Number) -> int | Fraction:
    """Refuse an infinite number.

    Parameters
    ----------
    value
        A number.

    Returns
    -------
    int or Fraction
        The same number.

    Raises
    ------
    BadNumber
        It is infinite.
    """
    if isinstance(value, float):
        raise BadNumber("infinite")
    return value


def power(base: Number, exponent: Number) -> Number:
    """Raise a number to a power.

    Parameters
    ----------
    base, exponent
        Numbers.

    Returns
    -------
    int, Fraction or float
        Exact for an integer exponent, else the decimal of the nearest float.

    Raises
    ------
    BadNumber
        The power is too large, or not real.
    """
    if isinstance(exponent, int) and not isinstance(base, float):
        if _bits(base) * abs(exponent) > MAX_BITS and base not in (0, 1, -1):
            raise BadNumber("the power is too large to compute with")
        return to_exact(Fraction(base) ** exponent)
    result = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise BadNumber("the power is not a real number")
    return to_exact(result)
