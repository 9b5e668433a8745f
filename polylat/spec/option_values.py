"""Normal forms of the options of `analyze`, one function per option.

Each function accepts every form that a user may write and returns the one normal form.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from polylat.errors import OptionError
from polylat.spec.arguments import check_exists, normalize_count
from polylat.spec.reading.suggest import did_you_mean, format_value

GRANULARITIES = ("auto", "tile", "flow", "full")
ORDERS = ("best", "program", "skew", "oldest")
_MAX_SLOTS = 10**12  # tiles are numbered with 64-bit integers
_UNLIMITED = "for no limit, give unlimited"
Slots = int | None | Mapping[str, int | None]


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


def normalize_slots(value: object, tensors: Collection[str], *, where: str | None = None) -> Slots:
    """Normalize the option `slots`, the number of tiles that a holder keeps.

    Parameters
    ----------
    value
        A whole number ≥ 1, None (or ``"unlimited"``) for no limit, or a mapping from tensors to
        these.
    tensors
        The names that exist.
    where
        Location in the input, for messages.

    Returns
    -------
    int, None or dict
        The number of slots, None for no limit, or tensor → one of these.

    Raises
    ------
    OptionError
        If a number is out of range or a tensor does not exist.

    Examples
    --------
    >>> normalize_slots(2, ["a"]), normalize_slots({"a": "unlimited"}, ["a"])
    (2, {'a': None})
    """
    if isinstance(value, Mapping):
        found = {}
        for tensor, count in value.items():
            if not isinstance(tensor, str):
                raise OptionError(
                    f"slots must be given by names of tensors, not {format_value(tensor)}",
                    where=where,
                )
            check_exists("tensor", tensor, tensors, "slots", where)
            found[tensor] = _slot_count(count, f"slots of {tensor!r}", where)
        return found
    return _slot_count(value, "slots", where)


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


def _slot_count(value: object, what: str, where: str | None) -> int | None:
    if value is None or (
        isinstance(value, (str, float)) and value in ("unlimited", "inf", float("inf"))
    ):
        return None
    count = normalize_count(what, value, where=where)
    if count > _MAX_SLOTS:
        raise OptionError(f"{what} must be at most {_MAX_SLOTS}", where=where, fix=_UNLIMITED)
    return count


def _choice(what: str, value: object, known: tuple[str, ...], where: str | None) -> str:
    if isinstance(value, str) and value in known:
        return value
    raise OptionError(
        f"{what} must be one of {', '.join(known)}, not {format_value(value)}",
        where=where,
        fix=did_you_mean(value, known) if isinstance(value, str) else None,
    )
