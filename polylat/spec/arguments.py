"""Check and normalize arguments of public functions: counts, times, titles, flags and names."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from fractions import Fraction
from operator import index
from typing import SupportsIndex

from polylat.errors import OptionError
from polylat.spec.reading.numbers import parse_ratio, to_exact
from polylat.spec.reading.suggest import did_you_mean, format_value


def normalize_window(value: object) -> tuple[Fraction, Fraction]:
    """Normalize a window of time.

    Parameters
    ----------
    value
        Two times (from, to) with 0 ≤ from < to; numbers or texts such as ``"1/2"``.

    Returns
    -------
    tuple of (Fraction, Fraction)
        The two times, in the architecture's unit of time.

    Raises
    ------
    OptionError
        If the value is not such a pair.

    Examples
    --------
    >>> normalize_window((0, "1/2"))
    (Fraction(0, 1), Fraction(1, 2))
    """
    fix = "give two times (from, to) with 0 <= from < to"
    try:
        first, last = (
            Fraction(parse_ratio(time) if isinstance(time, str) else to_exact(time))
            for time in value  # type: ignore[attr-defined]
        )
    except (TypeError, ValueError, ArithmeticError) as error:
        raise OptionError(f"{format_value(value)} is not a window of time", fix=fix) from error
    if not 0 <= first < last:
        raise OptionError(f"the window ({first}, {last}) is empty or starts before 0", fix=fix)
    return first, last


def normalize_limit(value: object) -> int:
    """Normalize an upper limit on a number of items.

    Parameters
    ----------
    value
        A whole number ≥ 1.

    Returns
    -------
    int
        The limit.

    Raises
    ------
    OptionError
        If the value is not a whole number ≥ 1.
    """
    return normalize_count("limit", value)


def normalize_count(name: str, value: object, *, where: str | None = None) -> int:
    """Normalize a count.

    Parameters
    ----------
    name
        Name of the option, for messages.
    value
        A whole number ≥ 1.
    where
        Location in the input, for messages.

    Returns
    -------
    int
        The count.

    Raises
    ------
    OptionError
        If the value is not a whole number ≥ 1.
    """
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        with suppress(TypeError):  # NumPy arrays have __index__, but most raise
            count = index(value)
            if count >= 1:
                return count
    raise OptionError(
        f"{name} must be a whole number above zero, not {format_value(value)}", where=where
    )


def normalize_title(value: object) -> str:
    """Check the title of a picture or a page.

    Parameters
    ----------
    value
        A string.

    Returns
    -------
    str
        The title.

    Raises
    ------
    OptionError
        If the value is not a string.
    """
    if isinstance(value, str):
        return value
    raise OptionError(f"a title must be a string, not {format_value(value)}")


def normalize_flag(name: str, value: object) -> bool:
    """Check a flag.

    Parameters
    ----------
    name
        Name of the option, for messages.
    value
        True or False.

    Returns
    -------
    bool
        The value.

    Raises
    ------
    OptionError
        If the value is not a boolean.
    """
    if isinstance(value, bool):
        return value
    raise OptionError(f"{name} must be True or False, not {format_value(value)}")


def check_exists(
    kind: str, name: str, known: Collection[str], option: str, where: str | None
) -> None:
    """Check that an option names something that exists.

    Parameters
    ----------
    kind, name
        Kind of the thing, for messages, and its name.
    known
        The names that exist.
    option
        Name of the option, for messages.
    where
        Location in the input, for messages.

    Raises
    ------
    OptionError
        If the name does not exist.
    """
    if name not in known:
        raise OptionError(
            f"{option} names the {kind} {name!r}, which does not exist",
            where=where,
            fix=did_you_mean(name, known),
        )
