"""Options of `analyze`, from the file's ``schedule:`` key or from keyword arguments.

Each function takes what a user may write and gives its one normal form, or raises `OptionError`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from fractions import Fraction
from operator import index
from typing import Any, SupportsIndex

from polylat.errors import OptionError
from polylat.spec.reading.numbers import exact, ratio

GRANULARITIES = ("auto", "tile", "flow", "full")
ORDERS = ("best", "program", "skew", "oldest")
OPTIONS = ("granularity", "order", "background", "slots", "max_tiles", "enforce_capacity")
MOST_SLOTS = 10**12
"""Tiles are counted in 64 bits."""
_UNLIMITED = "for as many as there are tiles, leave it unlimited"

Background = tuple[tuple[str, str | None], ...]
Slots = int | None | Mapping[str, int | None]


def normalize_granularity(value: object, *, where: str | None = None) -> str:
    """One of ``"auto"``, ``"tile"``, ``"flow"``, ``"full"``."""
    return _choice("granularity", value, GRANULARITIES, where)


def normalize_order(value: object, *, where: str | None = None) -> str:
    """One of ``"best"``, ``"program"``, ``"skew"``, ``"oldest"``."""
    return _choice("order", value, ORDERS, where)


def normalize_background(
    value: object,
    tensors: Collection[str],
    components: Collection[str],
    *,
    where: str | None = None,
) -> Background:
    """The write-backs that happen in the background.

    Parameters
    ----------
    value
        One or a list of ``"o2"``, ``"o2@SRAM"``, ``("o2", "SRAM")`` and
        ``{"tensor": "o2", "component": "SRAM"}``. None is none.
    tensors, components
        The names that exist.
    where
        Where it stands in the input, for messages.

    Returns
    -------
    tuple of (str, str or None)
        (tensor, component written back from), None for every component; each pair once.

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
            mend='name them as "tensor" or "tensor@component"',
        )
    pairs = []
    for item in items:
        tensor, component = _write_back(item, where)
        _known("tensor", tensor, tensors, "background", where)
        if component is not None:
            _known("component", component, components, "background", where)
        pairs.append((tensor, component))
    return tuple(dict.fromkeys(pairs))


def normalize_slots(value: object, tensors: Collection[str], *, where: str | None = None) -> Slots:
    """How many tiles a holder keeps.

    Parameters
    ----------
    value
        A whole number ≥ 1, None (or ``"unlimited"``) for no limit, or a mapping from tensors to
        these.
    tensors
        The names that exist.
    where
        Where it stands in the input, for messages.

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
            _known("tensor", tensor, tensors, "slots", where)
            found[tensor] = _slot(count, f"slots of {tensor!r}", where)
        return found
    return _slot(value, "slots", where)


def normalize_max_tiles(value: object, *, where: str | None = None) -> int:
    """A whole number ≥ 1."""
    return _whole(value, "max_tiles", where)


def normalize_enforce_capacity(value: object, *, where: str | None = None) -> bool:
    """True or False."""
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
    """An option of `analyze` in its normal form.

    Parameters
    ----------
    name, value
        The option.
    tensors, components
        The names that exist.
    where
        Where it stands in the input, for messages.
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


def check_names(names: Iterable[object], *, where: str | None = None) -> None:
    """Refuse what is no option of `analyze`."""
    for name in names:
        if name not in OPTIONS:
            raise _no_option(name, where)


def normalize_schedule(
    options: Mapping[str, Any],
    *,
    tensors: Collection[str],
    components: Collection[str],
    where: str | None = None,
) -> dict[str, Any]:
    """All options that are given, each in its normal form, under its own name."""
    place = where or "schedule"
    check_names(options, where=place)
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
    return OptionError(f"there is no option {_shown(name)}", where=where, mend=_mend(name, OPTIONS))


def _write_back(item: object, where: str | None) -> tuple[str, str | None]:
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
    raise OptionError(f"background: {_shown(item)} is no write-back", where=where, mend=form)


def _is_pair(value: object, components: Collection[str]) -> bool:
    """Whether a sequence of two is (tensor, component), rather than two tensors."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and (value[1] is None or (isinstance(value[1], str) and value[1] in components))
    )


def _slot(value: object, what: str, where: str | None) -> int | None:
    if value is None or (
        isinstance(value, (str, float)) and value in ("unlimited", "inf", float("inf"))
    ):
        return None
    count = _whole(value, what, where)
    if count > MOST_SLOTS:
        raise OptionError(f"{what} must be at most {MOST_SLOTS}", where=where, mend=_UNLIMITED)
    return count


def normalize_window(value: object) -> tuple[Fraction, Fraction]:
    """Two times, (from, to), from 0 on, the first before the second.

    Examples
    --------
    >>> normalize_window((0, "1/2"))
    (Fraction(0, 1), Fraction(1, 2))
    """
    mend = "give two times, (from, to), from 0 on"
    try:
        first, last = (
            Fraction(ratio(time) if isinstance(time, str) else exact(time))
            for time in value  # type: ignore[attr-defined]
        )
    except (TypeError, ValueError, ArithmeticError) as error:
        raise OptionError(f"{_shown(value)} is no window", mend=mend) from error
    if not 0 <= first < last:
        raise OptionError(f"the window ({first}, {last}) is empty, or begins before 0", mend=mend)
    return first, last


def normalize_limit(value: object) -> int:
    """How many at most: a whole number above zero."""
    return _whole(value, "limit", None)


def normalize_count(name: str, value: object) -> int:
    """A whole number above zero."""
    return _whole(value, name, None)


def normalize_title(value: object) -> str:
    """The title of a picture or a page."""
    if isinstance(value, str):
        return value
    raise OptionError(f"a title is a string, not {_shown(value)}")


def normalize_flag(name: str, value: object) -> bool:
    """Something that is done or not."""
    if isinstance(value, bool):
        return value
    raise OptionError(f"{name} is {_shown(value)}", mend="give True or False")


def _whole(value: object, what: str, where: str | None) -> int:
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        with suppress(TypeError):  # arrays of NumPy
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
        mend=_mend(value, known) if isinstance(value, str) else None,
    )


def _known(kind: str, name: str, known: Collection[str], option: str, where: str | None) -> None:
    if name not in known:
        raise OptionError(
            f"{option} names the {kind} {name!r}, which does not exist",
            where=where,
            mend=_mend(name, known),
        )


def _mend(name: object, known: Collection[str]) -> str | None:
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
