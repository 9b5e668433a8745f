"""Normal form of the option `background` of `analyze`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from polylat.errors import OptionError
from polylat.spec.arguments import check_exists
from polylat.spec.names import KnownNames
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
    if isinstance(value, (str, Mapping)) or _is_pair(value, components):
        items: Iterable[object] = [value]
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        items = value
    else:
        raise OptionError(
            f"background must be a list of write-backs, not {format_value(value)}",
            where=where,
            fix='name them as "tensor" or "tensor@component"',
        )
    pairs = []
    for item in items:
        tensor, component = _parse_write_back(item, where)
        check_exists("tensor", tensor, tensors, "background", where)
        if component is not None:
            check_exists("component", component, components, "background", where)
        pairs.append((tensor, component))
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
        own = [f"{t}@{c}" for t, c in known.write_backs if t == tensor]
        found = own or [f"{t}@{c}" for t, c in known.write_backs]
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
    raise OptionError(
        f"background: {format_value(item)} is not a write-back", where=where, fix=form
    )


def _is_pair(value: object, components: Collection[str]) -> bool:
    """Whether the value is one (tensor, component) pair rather than a list of two tensors."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and (value[1] is None or (isinstance(value[1], str) and value[1] in components))
    )
