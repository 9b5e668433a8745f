"""Normalize options of `analyze`, from the key ``schedule`` or from keyword arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from polylat.errors import OptionError
from polylat.spec.background import normalize_background
from polylat.spec.option_values import (
    normalize_enforce_capacity,
    normalize_granularity,
    normalize_max_tiles,
    normalize_order,
    normalize_slots,
)
from polylat.spec.reading.suggest import did_you_mean, format_value

_OPTIONS = ("granularity", "order", "background", "slots", "max_tiles", "enforce_capacity")


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
        f"there is no option {format_value(name)}", where=where, fix=did_you_mean(name, _OPTIONS)
    )
