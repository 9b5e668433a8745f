"""Exact numbers: ``int``, `Fraction`, and the float infinities for what is unlimited.

Nothing here rounds: a decimal is the decimal that was written. Numbers are bounded in size, so
that no input can make arithmetic take forever.
"""

from __future__ import annotations

import math
import numbers
import re
from decimal import Decimal
from fractions import Fraction

Number = int | Fraction | float
"""``float`` only ever holds an infinity."""

MAX_BITS = 20_000
MAX_EXPONENT = 4_000
MAX_TEXT = 10_000

_DECIMAL = re.compile(
    r"\s*[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE](?P<exponent>[-+]?[0-9]+))?\s*\Z"
)
_SPECIAL = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf}


class BadNumber(ValueError):
    """A number that cannot be used: not a number, or far too long."""


def exact(value: object) -> Number:
    """An exact number from any real number; floats become the decimal that they print as.

    Examples
    --------
    >>> exact(0.1), exact(2.0), exact(Fraction(4, 2))
    (Fraction(1, 10), 2, 2)
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return bounded(value)
    if isinstance(value, Fraction):
        return bounded(value.numerator if value.denominator == 1 else value)
    if isinstance(value, Decimal):
        if value.is_nan():
            raise BadNumber("not a number (nan)")
        return decimal(str(value))
    if isinstance(value, numbers.Integral):
        return bounded(int(value))
    if isinstance(value, numbers.Rational):
        return exact(Fraction(int(value.numerator), int(value.denominator)))
    if isinstance(value, numbers.Real):
        number = float(value)
        if math.isnan(number):
            raise BadNumber("not a number (nan)")
        return number if math.isinf(number) else exact(Fraction(repr(number)))
    raise BadNumber(f"not a number: {type(value).__name__}")


def decimal(text: str) -> Number:
    """The number that a decimal text spells, exactly.

    Examples
    --------
    >>> decimal("7.5e-3"), decimal("1_000"), decimal("inf")
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
    if exponent and (len(exponent) > 6 or abs(int(exponent)) > MAX_EXPONENT):
        raise BadNumber("its exponent is too large")
    try:
        return exact(Fraction(text.strip().replace("_", "")))
    except ValueError as error:
        raise BadNumber("not a number") from error


def ratio(text: str) -> Number:
    """The number that a decimal text spells, or two of them with ``/`` between.

    Examples
    --------
    >>> ratio("1/3"), ratio("0.5")
    (Fraction(1, 3), Fraction(1, 2))
    """
    above, slash, below = text.partition("/")
    return exact(Fraction(decimal(above)) / Fraction(decimal(below))) if slash else decimal(text)


def is_decimal(text: str) -> bool:
    """Whether a text spells a number (or ``inf``) and nothing else."""
    return text.strip().lower() in _SPECIAL or (
        len(text) <= MAX_TEXT and _DECIMAL.match(text) is not None
    )


def bounded(value: int | Fraction) -> int | Fraction:
    """The value, if it is not too long to compute with."""
    if bits(value) > MAX_BITS:
        raise BadNumber("the number is too large to compute with")
    return value


def bits(value: int | Fraction) -> int:
    """How many bits it takes to write the number."""
    if isinstance(value, int):
        return value.bit_length()
    return value.numerator.bit_length() + value.denominator.bit_length()


def finite(value: Number) -> int | Fraction:
    """The value, if it is finite."""
    if isinstance(value, float):
        raise BadNumber("infinite")
    return value


def power(base: Number, exponent: Number) -> Number:
    """``base ** exponent``: exact for whole exponents, else the nearest float's decimal."""
    if isinstance(exponent, int) and not isinstance(base, float):
        if bits(base) * abs(exponent) > MAX_BITS and base not in (0, 1, -1):
            raise BadNumber("the power is too large to compute with")
        return exact(Fraction(base) ** exponent)
    result = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise BadNumber("the power is not a real number")
    return exact(result)
