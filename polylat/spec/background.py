"""Normal form of the option `background` of `analyze`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from polylat.errors import OptionError
from polylat.spec.names import KnownNames
from polylat.spec.pairs import check_pair, listed_items, pair_names, parse_pair
from polylat.spec.reading.suggest import format_value

Background = tuple[tuple[str, str | None], ...]


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
    items = listed_items(
        "background",
        value,
        single=isinstance(value, (str, Mapping)) or _is_pair(value, components),
        members="write-backs",
        fix='name them as "tensor" or "tensor@component"',
        where=where,
    )
    pairs = []
    for item in items:
        pair = _parse_write_back(item, where)
        check_pair("background", pair, tensors, components, where)
        pairs.append(pair)
    return tuple(dict.fromkeys(pairs))


def check_background(
    background: Background, known: KnownNames, *, where: str | None = None
) -> None:
    """Refuse a pair that is no write-back of the mapping.

    A bare tensor means all of its write-backs, of which there may be none.

    Parameters
    ----------
    background
        The option, in its normal form.
    known
        The names that exist.
    where
        Location in the input, for messages.

    Raises
    ------
    OptionError
        A pair names no write-back.
    """
    for tensor, component in background:
        if component is None or (tensor, component) in known.write_backs:
            continue
        own = pair_names(pair for pair in known.write_backs if pair[0] == tensor)
        found = own or pair_names(known.write_backs)
        if own and (tensor, component) in known.backing:
            fix = f"name the component that it is written back from: {' or '.join(own)}"
        elif found:
            fix = f"use one of: {', '.join(found)}"
        else:
            fix = "leave it out: the mapping writes nothing back"
        raise OptionError(
            f"background names '{tensor}@{component}', but nothing is written back from"
            f" {component} for {tensor}",
            where=where,
            fix=fix,
        )


def _parse_write_back(item: object, where: str | None) -> tuple[str, str | None]:
    tensor, component = parse_pair(item) or (None, None)
    if tensor is None:
        raise OptionError(
            f"background: {format_value(item)} is not a write-back",
            where=where,
            fix='write "tensor", "tensor@component", [tensor, component] or'
            " {tensor: …, component: …}",
        )
    return tensor, component


def _is_pair(value: object, components: Collection[str]) -> bool:
    """Whether the value is one (tensor, component) pair rather than a list of two tensors."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and (value[1] is None or (isinstance(value[1], str) and value[1] in components))
    )
