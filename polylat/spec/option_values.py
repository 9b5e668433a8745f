"""Normal forms of the options of `analyze`, one function per option.

Each function accepts every form that a user may write and returns the one normal form.
"""

from __future__ import annotations

from fractions import Fraction

from polylat.errors import OptionError
from polylat.spec.arguments import normalize_count
from polylat.spec.reading.suggest import did_you_mean, format_value

GRANULARITIES = ("auto", "tile", "flow", "full")
ORDERS = ("best", "program", "skew", "oldest")
ACCOUNTINGS = ("1.0", "main")
"""Releases of AccelForge that `roofline` reproduces; the first is the default."""


def normalize_granularity(value: object, *, where: str | None = None) -> str:
    """Normalize the option `granularity`.

    Parameters
    ----------
    value
        ``"auto"``, ``"tile"``, ``"flow"`` or ``"full"``.
    where
        Location in the input, for messages.

    Returns
    -------
    str
        The granularity.

    Raises
    ------
    OptionError
        If the value is another one.
    """
    return _choice("granularity", value, GRANULARITIES, where)


def normalize_order(value: object, *, where: str | None = None) -> str:
    """Normalize the option `order`.

    Parameters
    ----------
    value
        ``"best"``, ``"program"``, ``"skew"`` or ``"oldest"``.
    where
        Location in the input, for messages.

    Returns
    -------
    str
        The order.

    Raises
    ------
    OptionError
        If the value is another one.
    """
    return _choice("order", value, ORDERS, where)


def normalize_max_tiles(value: object, *, where: str | None = None) -> int:
    """Normalize the option `max_tiles`, the largest number of tile iterations to visit.

    Parameters
    ----------
    value
        A whole number ≥ 1.
    where
        Location in the input, for messages.

    Returns
    -------
    int
        The number.

    Raises
    ------
    OptionError
        If the value is not a whole number ≥ 1.
    """
    return normalize_count("max_tiles", value, where=where)


def normalize_enforce_capacity(value: object, *, where: str | None = None) -> bool:
    """Normalize the option `enforce_capacity`.

    Parameters
    ----------
    value
        True or False.
    where
        Location in the input, for messages.

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
    raise OptionError(
        f"enforce_capacity must be true or false, not {format_value(value)}", where=where
    )


def normalize_accounting(value: object, *, where: str | None = None) -> str:
    """Normalize the option `accounting`, the release of AccelForge that `roofline` reproduces.

    Parameters
    ----------
    value
        ``"1.0"``, also as a number, or ``"main"``.
    where
        Location in the input, for messages.

    Returns
    -------
    str
        The release.

    Raises
    ------
    OptionError
        If the value is another one.
    """
    number = isinstance(value, (int, float, Fraction)) and not isinstance(value, bool)
    return _choice("accounting", "1.0" if number and value == 1 else value, ACCOUNTINGS, where)


def _choice(what: str, value: object, known: tuple[str, ...], where: str | None) -> str:
    if isinstance(value, str) and value in known:
        return value
    raise OptionError(
        f"{what} must be one of {', '.join(known)}, not {format_value(value)}",
        where=where,
        fix=did_you_mean(value, known) if isinstance(value, str) else None,
    )
