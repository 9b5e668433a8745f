"""Normalize options of `analyze`, from the key ``schedule`` or from keyword arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from polylat.errors import OptionError
from polylat.spec.background import check_background, normalize_background
from polylat.spec.names import KnownNames
from polylat.spec.option_values import (
    normalize_accounting,
    normalize_enforce_capacity,
    normalize_granularity,
    normalize_max_tiles,
    normalize_order,
)
from polylat.spec.pipelined import normalize_pipelined
from polylat.spec.reading.suggest import did_you_mean, format_value
from polylat.spec.slots import check_slots, normalize_slots
from polylat.spec.staged import ALL, check_staged, normalize_staged

OPTIONS = (
    "granularity",
    "order",
    "pipelined",
    "background",
    "staged",
    "slots",
    "max_tiles",
    "enforce_capacity",
    "accounting",
)


def normalize_option(
    name: str, value: object, known: KnownNames, *, where: str | None = None
) -> Any:
    """Normalize an option of `analyze`.

    Parameters
    ----------
    name, value
        Name and value of the option.
    known
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
    tensors, components = known.tensors, known.components
    match name:
        case "granularity":
            return normalize_granularity(value, where=where)
        case "order":
            return normalize_order(value, where=where)
        case "pipelined":
            return normalize_pipelined(value, known.splits, where=where)
        case "background":
            if value is True or (_is_all(value) and ALL not in tensors):
                return known.write_backs
            value = None if value is False else value
            background = normalize_background(value, tensors, components, where=where)
            check_background(background, known, where=where)
            return background
        case "staged":
            value = {True: ALL, False: None}.get(value, value) if type(value) is bool else value
            staged = normalize_staged(value, tensors, components, where=where)
            check_staged(staged, known, where=where)
            return staged
        case "slots":
            slots = normalize_slots(value, tensors, components, where=where)
            check_slots(slots, known, where=where)
            return slots
        case "max_tiles":
            return normalize_max_tiles(value, where=where)
        case "enforce_capacity":
            return normalize_enforce_capacity(value, where=where)
        case "accounting":
            return normalize_accounting(value, where=where)
    raise _no_option(name, where)


def _is_all(value: object) -> bool:
    """Return whether a value is the word for everything, alone or in a list."""
    return isinstance(value, (str, list, tuple)) and value in (ALL, [ALL], (ALL,))


def without_missing(options: Mapping[str, Any], known: KnownNames) -> dict[str, Any]:
    """Leave out the holders that another mapping does not have.

    Parameters
    ----------
    options
        Options of `analyze` in their normal forms, for some mapping.
    known
        The names that exist in the other mapping, of the same cascade and architecture.

    Returns
    -------
    dict
        The options for the other mapping.
    """
    found = dict(options)
    found["background"] = tuple(
        pair for pair in options["background"] if pair[1] is None or pair in known.write_backs
    )
    found["staged"] = tuple(
        pair for pair in options["staged"] if None in pair or pair in known.holders
    )
    if isinstance(options["slots"], Mapping):
        exist = {f"{tensor}@{component}" for tensor, component in (*known.backing, *known.holders)}
        slots = options["slots"]
        found["slots"] = {n: slots[n] for n in slots if "@" not in n or n in exist}
    return found


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
        if name not in OPTIONS:
            raise _no_option(name, where)


def normalize_schedule(
    given: Mapping[str, Any],
    known: KnownNames,
    *,
    other_keys: Collection[str] = (),
    where: str | None = None,
) -> dict[str, Any]:
    """Normalize all options of the file's ``schedule:`` key.

    Parameters
    ----------
    given
        Name → value of everything given.
    known
        The names that exist.
    other_keys
        Names of what is no option, which is read elsewhere.
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
    for name in given:
        if name not in OPTIONS and name not in other_keys:
            raise _no_option(name, place, other_keys)
    head, _, tail = place.partition(" ")
    return {
        name: normalize_option(
            name, value, known, where=f"{head}.{name}{' ' + tail if tail else ''}"
        )
        for name, value in given.items()
        if name not in other_keys
    }


def _no_option(name: object, where: str | None, others: Iterable[str] = ()) -> OptionError:
    return OptionError(
        f"there is no option {format_value(name)}",
        where=where,
        fix=did_you_mean(name, [*OPTIONS, *others]),
    )
