"""Exact numbers (integers and fractions), and their formats for readers and for JSON."""

from __future__ import annotations

from fractions import Fraction

from polylat.errors import UnsupportedError

__all__ = [
    "INT64_LIMIT",
    "Number",
    "format_factor",
    "format_gap",
    "format_number",
    "format_ratio",
    "format_speedup",
    "json_number",
    "percent",
    "reduce_number",
    "to_float",
]

Number = int | Fraction

INT64_LIMIT = 1 << 62
"""Integers below this fit into 64 bits, and so does the sum of two of them."""

_MAX_BITS = 14_000
"""Python formats integers of up to 4300 digits, about 14,280 bits."""

_DIGITS = 7
"""Significant digits of a rounded number."""


def reduce_number(value: Number) -> Number:
    """Convert a fraction to an integer if it is integral.

    Parameters
    ----------
    value
        An exact number.

    Returns
    -------
    int or Fraction
        The same number.

    Examples
    --------
    >>> from fractions import Fraction
    >>> reduce_number(Fraction(6, 3)), reduce_number(Fraction(1, 2))
    (2, Fraction(1, 2))
    """
    return value.numerator if value.denominator == 1 else value


def json_number(value: Number) -> int | str:
    """Convert a number for JSON.

    Parameters
    ----------
    value
        An exact number.

    Returns
    -------
    int or str
        An int if it is integral, else the string ``"p/q"``.

    Raises
    ------
    UnsupportedError
        The number has more digits than Python formats.
    """
    fraction = Fraction(value)
    bits = max(fraction.numerator.bit_length(), fraction.denominator.bit_length())
    if bits > _MAX_BITS:
        raise UnsupportedError(
            f"a number of {bits:,} bits is too long to write",
            fix="use figures with fewer digits in the architecture",
        )
    return fraction.numerator if fraction.denominator == 1 else str(fraction)


def format_number(value: Number) -> str:
    """Format a number exactly if that is short, else to seven digits after ``≈``.

    Parameters
    ----------
    value
        An exact number.

    Returns
    -------
    str
        With thousands separators; engineering notation for very large and very small numbers.

    Examples
    --------
    >>> from fractions import Fraction
    >>> values = (31744, Fraction(547, 2), Fraction(1, 3), Fraction(7, 781250))
    >>> tuple(map(format_number, values))
    ('31,744', '273.5', '1/3', '8.96e-6')
    >>> format_number(Fraction(10**9, 12345)), format_number(Fraction(1, 3 * 10**9))
    ('≈81,004.46', '≈333.3333e-12')
    """
    value = Fraction(value)
    if value.denominator == 1 and abs(value) < 10**18:
        return f"{value.numerator:,}"
    # A long denominator is slow to factor, and has too many decimals in any case.
    decimals = _decimals(value.denominator) if value.denominator <= 10**40 else None
    small = 0 < abs(value) < Fraction(1, 1000)
    if decimals is not None and abs(value.numerator) * 10**decimals < 10**40:
        digits = len(str(abs(value.numerator) * (10**decimals // value.denominator)).rstrip("0"))
        if digits <= 12 and (small or abs(value) >= 10**18):
            return _engineering(value, digits)
        if digits <= 12 and decimals <= 9:
            return f"{_rounded(value, decimals)}"
    short = abs(value.numerator) * value.denominator < 10**8  # longer ones may be huge
    if short and decimals is None and len(f"{value.numerator}{value.denominator}") <= 8:
        return f"{value.numerator:,}/{value.denominator:,}"
    if small or abs(value) >= 10**15:
        return f"≈{_engineering(value, _DIGITS)}"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"≈{_rounded(value, max(_DIGITS - whole, 0))}"


def format_ratio(value: Number) -> str:
    """Format a ratio to four digits.

    Parameters
    ----------
    value
        An exact number.

    Returns
    -------
    str
        Four significant digits.

    Examples
    --------
    >>> format_ratio(Fraction(4, 3)), format_ratio(10**400)
    ('1.333', '10e399')
    """
    try:
        return f"{float(value):.4g}"
    except OverflowError:
        return _engineering(Fraction(value), 4)


def format_speedup(value: Number) -> str:
    """Format a speedup to three decimals.

    Parameters
    ----------
    value
        An exact number.

    Returns
    -------
    str
        The speedup, followed by ``x``.

    Examples
    --------
    >>> format_speedup(Fraction(4, 3)), format_speedup(10**400)
    ('1.333x', '10e399x')
    """
    return f"{_rounded(Fraction(value), 3) if value < 10**9 else format_ratio(value)}x"


def format_gap(value: Number) -> str:
    """Format a relative difference as a percentage to two decimals.

    Parameters
    ----------
    value
        An exact number.

    Returns
    -------
    str
        The percentage.

    Examples
    --------
    >>> format_gap(Fraction(1, 3)), format_gap(10**400)
    ('33.33%', '1e402%')
    """
    percentage = 100 * Fraction(value)
    return f"{_rounded(percentage, 2) if value < 10**9 else format_ratio(percentage)}%"


def to_float(value: Number) -> float:
    """Convert a number to floating point, for libraries that have no exact numbers.

    Parameters
    ----------
    value
        An exact number.

    Returns
    -------
    float
        The nearest floating-point number.

    Raises
    ------
    UnsupportedError
        The number overflows, or is nonzero and underflows to zero.
    """
    try:
        found = float(value)
    except OverflowError:
        found = 0.0
    if value and not found:
        raise UnsupportedError(
            f"{format_number(value)} is beyond the range of floating-point numbers"
            " (1e-323 to 1e308)",
            fix="use another unit of time or of bits, or an exact output format, such as SVG",
        )
    return found


def _decimals(denominator: int) -> int | None:
    """Number of decimals of a fraction with this denominator; None if it is periodic."""
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    return max(twos, fives) if denominator == 1 else None


def _rounded(value: Fraction, decimals: int) -> str:
    scaled = round(value * 10**decimals)
    whole, rest = divmod(abs(scaled), 10**decimals)
    tail = f".{rest:0{decimals}d}" if decimals else ""
    return f"{'-' if scaled < 0 else ''}{whole:,}{tail}"


def _engineering(value: Fraction, digits: int) -> str:
    """Format to `digits` significant digits, with an exponent that is a multiple of three."""
    if value == 0:
        return "0"
    bits = value.numerator.bit_length() - value.denominator.bit_length()
    exponent = 3 * int(bits / 10)  # approximate, corrected below
    size = abs(value) / Fraction(1000) ** (exponent // 3)
    while size >= 1000:
        size, exponent = size / 1000, exponent + 3
    while size < 1:
        size, exponent = size * 1000, exponent - 3
    decimals = max(digits - len(str(int(size))), 0)
    size = Fraction(round(size * 10**decimals), 10**decimals)
    if size == 1000:
        size, exponent = Fraction(1), exponent + 3
    text = _rounded(size, decimals)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{'-' if value < 0 else ''}{text}{f'e{exponent}' if exponent else ''}"


def percent(part: Number, whole: Number) -> str:
    """Format a share as a percentage; only exact 0 and 1 give ``0.0%`` and ``100.0%``.

    Parameters
    ----------
    part, whole
        Exact numbers.

    Returns
    -------
    str
        One decimal, or four digits of a very large share; empty if `whole` is zero.
    """
    if not whole:
        return ""
    share = 100 * Fraction(part) / Fraction(whole)
    if 0 < share < Fraction(1, 20):
        return "<0.1%"
    if Fraction(1999, 20) <= share < 100:
        return ">99.9%"
    return f"{float(share):.1f}%" if share < 10**9 else f"{_engineering(share, 4)}%"


def format_factor(factor: Number) -> str:
    """Format a factor exactly if that is short, else to four digits.

    Parameters
    ----------
    factor
        A positive number.

    Returns
    -------
    str
        The factor, followed by ``x``.

    Examples
    --------
    >>> from fractions import Fraction
    >>> (
    ...     format_factor(2),
    ...     format_factor(Fraction(1, 8)),
    ...     format_factor(Fraction(184, 65)),
    ...     format_factor(Fraction(1, 10**9)),
    ... )
    ('2x', '0.125x', '2.831x', '1e-9x')
    """
    factor = Fraction(factor)
    decimals = _decimals(factor.denominator)
    if decimals is not None and decimals <= 4 and factor < 10**9:
        return f"{_rounded(factor, decimals)}x"
    if not Fraction(1, 1000) <= factor < 10**9:
        return f"{_engineering(factor, 4)}x"
    size = factor
    decimals = 3
    while size < 1:
        size, decimals = size * 10, decimals + 1
    return f"{_rounded(factor, max(decimals - len(str(int(size))) + 1, 0))}x"
