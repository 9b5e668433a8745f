"""Normal form of the option `slots` of `analyze`: the number of tiles that a holder keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from polylat.errors import OptionError
from polylat.spec.arguments import normalize_count
from polylat.spec.names import KnownNames
from polylat.spec.pairs import check_pair, pair_names, split_name
from polylat.spec.reading.suggest import format_value

Slots = int | None | Mapping[str, int | None]
"""A number for all, or numbers by ``"tensor"`` and ``"tensor@component"``; None is unlimited."""

DEFAULT_SLOTS = 2
_MAX_SLOTS = 10**12  # tiles are numbered with 64-bit integers
_UNLIMITED = "for no limit, give unlimited"


def slots_of(slots: Slots, tensor: str, component: str) -> int | None:
    """Return the number of tiles that a holder keeps.

    Parameters
    ----------
    slots
        The option, in its normal form.
    tensor, component
        The holder.

    Returns
    -------
    int or None
        The number of the pair, else of the tensor, else the default; None: unlimited.

    Examples
    --------
    >>> slots = {"o1": 3, "o1@SRAM": None}
    >>> slots_of(slots, "o1", "SRAM"), slots_of(slots, "o1", "RF"), slots_of(slots, "o2", "RF")
    (None, 3, 2)
    """
    if isinstance(slots, Mapping):
        return slots.get(f"{tensor}@{component}", slots.get(tensor, DEFAULT_SLOTS))
    return slots


def check_slots(slots: Slots, known: KnownNames, *, where: str | None = None) -> None:
    """Refuse a pair that is no holder of the mapping.

    Parameters
    ----------
    slots
        The option, in its normal form.
    known
        The names that exist.
    where
        Location in the input, for messages.

    Raises
    ------
    OptionError
        A pair names no holder.
    """
    if not isinstance(slots, Mapping):
        return
    pairs = [*known.backing, *known.holders]
    exist = dict.fromkeys(pair_names(pairs))
    for name in slots:
        if "@" in name and name not in exist:
            own = [pair for pair in exist if pair.startswith(f"{name.partition('@')[0]}@")]
            raise OptionError(
                f"slots names {name!r}, but the mapping has no such Storage",
                where=where,
                fix=f"use one of: {', '.join(own or exist)}",
            )


def normalize_slots(
    value: object,
    tensors: Collection[str],
    components: Collection[str],
    *,
    where: str | None = None,
) -> Slots:
    """Normalize the option `slots`, the number of tiles that a holder keeps.

    Parameters
    ----------
    value
        A whole number ≥ 1, None (or ``"unlimited"``) for no limit, or a mapping from tensors and
        ``"tensor@component"`` to these.
    tensors, components
        The names that exist.
    where
        Location in the input, for messages.

    Returns
    -------
    int, None or dict
        The number of slots, None for no limit, or ``"tensor"`` and ``"tensor@component"`` → one
        of these.

    Raises
    ------
    OptionError
        If a number is out of range, or a tensor or component does not exist.

    Examples
    --------
    >>> normalize_slots(2, ["a"], ["RF"])
    2
    >>> normalize_slots({"a": "unlimited", "a @ RF": 3}, ["a"], ["RF"])
    {'a': None, 'a@RF': 3}
    """
    if not isinstance(value, Mapping):
        return _slot_count(value, "slots", where)
    found: dict[str, int | None] = {}
    for name, count in value.items():
        if not isinstance(name, str):
            raise OptionError(
                f"slots must be given by names of tensors, not {format_value(name)}", where=where
            )
        tensor, component = split_name(name)
        check_pair("slots", (tensor, component), tensors, components, where)
        key = tensor if component is None else f"{tensor}@{component}"
        if key in found:
            raise OptionError(f"slots of {key!r} are given twice", where=where, fix="remove one")
        found[key] = _slot_count(count, f"slots of {key!r}", where)
    return found


def _slot_count(value: object, what: str, where: str | None) -> int | None:
    if value is None or (
        isinstance(value, (str, float)) and value in ("unlimited", "inf", float("inf"))
    ):
        return None
    count = normalize_count(what, value, where=where)
    if count > _MAX_SLOTS:
        raise OptionError(f"{what} must be at most {_MAX_SLOTS}", where=where, fix=_UNLIMITED)
    return count
