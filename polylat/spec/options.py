"""Normalize options, from the file's ``schedule:`` key or from keyword arguments.

Each function accepts every form that a user may write and returns the one normal form.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from fractions import Fraction
from operator import index
from typing import Any, SupportsIndex

from polylat.errors import OptionError
from polylat.spec.reading.numbers import parse_ratio, to_exact

GRANULARITIES = ("auto", "tile", "flow", "full")
ORDERS = ("best", "program", "skew", "oldest")
_OPTIONS = ("granularity", "order", "background", "slots", "max_tiles", "enforce_capacity")
_MAX_SLOTS = 10**12  # tiles are numbered with 64-bit integers
_UNLIMITED = "for no limit, give unlimited"

Background = tuple[tuple[str, str | None], ...]
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


def normalize_background(
    value: object,
    tensors: Collection[str],
    components: Collection[str],
    *,
    where: str | None = None,
) -> Background:
    """Normalize the option `background`, the write-backs that happen in the background.

    Parameters
    ----------
    value
        One or a list of ``"o2"``, ``"o2@SRAM"``, ``("o2", "SRAM")`` and
        ``{"tensor": "o2", "component": "SRAM"}``. None means no write-back.
    tensors, components
        The names that exist.
    where
        Location in the input, for messages.

    Returns
    -------
    tuple of (str, str or None)
        Distinct pairs (tensor, component written back from); None means every component.

    Raises
    ------
    OptionError
        If the value has another form or names a tensor or component that does not exist.

    Examples
    --------
    >>> normalize_background(["a", "b@SRAM", ("c", "RF")], ["a", "b", "c"], ["SRAM", "RF"])
    (('a', None), ('b', 'SRAM'), ('c', 'RF'))
    >>> normalize_background("o2@SRAM", ["o2"], ["DRAM", "SRAM"])
    (('o2', 'SRAM'),)
    """
    if value is None:
        return ()
    if isinstance(value, (str, Mapping)) or _is_pair(value, components):
        items: Iterable[object] = [value]
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        items = value
    else:
        raise OptionError(
            f"background must be a list of write-backs, not {_shown(value)}",
            where=where,
            fix='name them as "tensor" or "tensor@component"',
        )
    pairs = []
    for item in items:
        tensor, component = _parse_write_back(item, where)
        _check_exists("tensor", tensor, tensors, "background", where)
        if component is not None:
            _check_exists("component", component, components, "background", where)
        pairs.append((tensor, component))
    return tuple(dict.fromkeys(pairs))


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
                    f"slots must be given by names of tensors, not {_shown(tensor)}", where=where
                )
            _check_exists("tensor", tensor, tensors, "slots", where)
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
    return _positive_int(value, "max_tiles", where)


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
    raise OptionError(f"enforce_capacity must be true or false, not {_shown(value)}", where=where)


def normalize_option(
    name: str,
    value: object,
    *,
    tensors: Collection[str],
    components: Collection[str],
    where: str | None = None,
) -> Any:
    """Normalize an option of `analyze`.

    Parameters
    ----------
    name, value
        Name and value of the option.
    tensors, components
        The names that exist.
    where
        Location in the input, for messages.

    Returns
    -------
    Any
        The normal form of the value.

    Raises
    ------
    OptionError
        If there is no such option, or its value cannot be used.
    """
    match name:
        case "granularity":
            return normalize_granularity(value, where=where)
        case "order":
            return normalize_order(value, where=where)
        case "background":
            return normalize_background(value, tensors, components, where=where)
        case "slots":
            return normalize_slots(value, tensors, where=where)
        case "max_tiles":
            return normalize_max_tiles(value, where=where)
        case "enforce_capacity":
            return normalize_enforce_capacity(value, where=where)
    raise _no_option(name, where)


def check_option_names(names: Iterable[object], *, where: str | None = None) -> None:
    """Refuse names that are not options of `analyze`.

    Parameters
    ----------
    names
        The names.
    where
        Location in the input, for messages.

    Raises
    ------
    OptionError
        At the first name that is not an option.
    """
    for name in names:
        if name not in _OPTIONS:
            raise _no_option(name, where)


def normalize_schedule(
    options: Mapping[str, Any],
    *,
    tensors: Collection[str],
    components: Collection[str],
    where: str | None = None,
) -> dict[str, Any]:
    """Normalize all options of the file's ``schedule:`` key.

    Parameters
    ----------
    options
        Name → value of every option given.
    tensors, components
        The names that exist.
    where
        Location of the options in the input, for messages.

    Returns
    -------
    dict
        Name → normal form of the value.

    Raises
    ------
    OptionError
        If there is no such option, or its value cannot be used.
    """
    place = where or "schedule"
    check_option_names(options, where=place)
    head, _, tail = place.partition(" ")
    return {
        name: normalize_option(
            name,
            value,
            tensors=tensors,
            components=components,
            where=f"{head}.{name}{' ' + tail if tail else ''}",
        )
        for name, value in options.items()
    }


def _no_option(name: object, where: str | None) -> OptionError:
    return OptionError(
        f"there is no option {_shown(name)}", where=where, fix=_suggestion(name, _OPTIONS)
    )


def _parse_write_back(item: object, where: str | None) -> tuple[str, str | None]:
    form = 'write "tensor", "tensor@component", [tensor, component] or {tensor: …, component: …}'
    if isinstance(item, str):
        tensor, at, component = item.partition("@")
        return tensor.strip(), component.strip() if at else None
    if isinstance(item, Mapping):
        unknown = [key for key in item if key not in ("tensor", "component")]
        if not unknown and isinstance(item.get("tensor"), str):
            component_name = item.get("component")
            if component_name is None or isinstance(component_name, str):
                return item["tensor"], component_name
    elif isinstance(item, (list, tuple)) and len(item) == 2:
        tensor_name, component_name = item
        if isinstance(tensor_name, str) and isinstance(component_name, (str, type(None))):
            return tensor_name, component_name
    raise OptionError(f"background: {_shown(item)} is not a write-back", where=where, fix=form)


def _is_pair(value: object, components: Collection[str]) -> bool:
    """Whether the value is one (tensor, component) pair rather than a list of two tensors."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and (value[1] is None or (isinstance(value[1], str) and value[1] in components))
    )


def _slot_count(value: object, what: str, where: str | None) -> int | None:
    if value is None or (
        isinstance(value, (str, float)) and value in ("unlimited", "inf", float("inf"))
    ):
        return None
    count = _positive_int(value, what, where)
    if count > _MAX_SLOTS:
        raise OptionError(f"{what} must be at most {_MAX_SLOTS}", where=where, fix=_UNLIMITED)
    return count


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
        raise OptionError(f"{_shown(value)} is not a window of time", fix=fix) from error
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
    return _positive_int(value, "limit", None)


def normalize_count(name: str, value: object) -> int:
    """Normalize a count.

    Parameters
    ----------
    name
        Name of the option, for messages.
    value
        A whole number ≥ 1.

    Returns
    -------
    int
        The count.

    Raises
    ------
    OptionError
        If the value is not a whole number ≥ 1.
    """
    return _positive_int(value, name, None)


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
    raise OptionError(f"a title must be a string, not {_shown(value)}")


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
    raise OptionError(f"{name} must be True or False, not {_shown(value)}")


def _positive_int(value: object, what: str, where: str | None) -> int:
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        with suppress(TypeError):  # NumPy arrays have __index__, but most raise
            count = index(value)
            if count >= 1:
                return count
    raise OptionError(f"{what} must be a whole number above zero, not {_shown(value)}", where=where)


def _choice(what: str, value: object, known: tuple[str, ...], where: str | None) -> str:
    if isinstance(value, str) and value in known:
        return value
    raise OptionError(
        f"{what} must be one of {', '.join(known)}, not {_shown(value)}",
        where=where,
        fix=_suggestion(value, known) if isinstance(value, str) else None,
    )


def _check_exists(
    kind: str, name: str, known: Collection[str], option: str, where: str | None
) -> None:
    if name not in known:
        raise OptionError(
            f"{option} names the {kind} {name!r}, which does not exist",
            where=where,
            fix=_suggestion(name, known),
        )


def _suggestion(name: object, known: Collection[str]) -> str | None:
    close = get_close_matches(str(name)[:200], list(known), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"use one of: {', '.join(known)}" if known else None


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:79] + "…"
