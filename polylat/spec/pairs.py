"""Pairs of a tensor and a component in options, such as ``"o1@SRAM"``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from polylat.errors import OptionError
from polylat.spec.arguments import check_exists
from polylat.spec.reading.suggest import format_value


def split_name(text: str) -> tuple[str, str | None]:
    """Split ``"tensor@component"``.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    (name, component)
        The parts before and behind the ``@``, without spaces around them; the component is None
        if there is no ``@``.

    Examples
    --------
    >>> split_name("o1 @ SRAM"), split_name("o1")
    (('o1', 'SRAM'), ('o1', None))
    """
    name, at, component = text.partition("@")
    return name.strip(), component.strip() if at else None


def pair_names(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return the names of holders or write-backs.

    Parameters
    ----------
    pairs
        (tensor, component) pairs.

    Returns
    -------
    list of str
        Each as ``tensor@component``.

    Examples
    --------
    >>> pair_names([("o1", "SRAM"), ("o2", "RF")])
    ['o1@SRAM', 'o2@RF']
    """
    return [f"{tensor}@{component}" for tensor, component in pairs]


def parse_pair(item: object) -> tuple[str | None, str | None] | None:
    """Parse a pair in one of the forms that options accept.

    Parameters
    ----------
    item
        ``"o1"``, ``"o1@SRAM"``, ``("o1", "SRAM")`` or ``{"tensor": "o1", "component": "SRAM"}``.

    Returns
    -------
    (tensor, component) or None
        The names, None for one that is not given; None if the item has another form.

    Examples
    --------
    >>> parse_pair(["o1", "SRAM"]), parse_pair({"component": "SRAM"}), parse_pair(3)
    (('o1', 'SRAM'), (None, 'SRAM'), None)
    """
    if isinstance(item, str):
        return split_name(item)
    if isinstance(item, Mapping):
        if not item or any(key not in ("tensor", "component") for key in item):
            return None
        tensor, component = item.get("tensor"), item.get("component")
    elif isinstance(item, (list, tuple)) and len(item) == 2:
        tensor, component = item
    else:
        return None
    if isinstance(tensor, str | None) and isinstance(component, str | None):
        return tensor, component
    return None


def listed_items(
    option: str, value: object, *, single: bool, members: str, fix: str, where: str | None
) -> Iterable[object]:
    """Return the items of an option that is one item or a list of them.

    Parameters
    ----------
    option, value
        Name of the option, for messages, and its value, which is not None.
    single
        Whether the value is one item.
    members, fix
        What the items are, and how to write them, for messages.
    where
        Location in the input, for messages.

    Returns
    -------
    iterable
        The items.

    Raises
    ------
    OptionError
        The value is neither an item nor a list.
    """
    if single:
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        return value
    raise OptionError(
        f"{option} must be a list of {members}, not {format_value(value)}", where=where, fix=fix
    )


def check_pair(
    option: str,
    pair: tuple[str | None, str | None],
    tensors: Collection[str],
    components: Collection[str],
    where: str | None,
) -> None:
    """Check that a tensor and a component exist.

    Parameters
    ----------
    option
        Name of the option, for messages.
    pair
        (tensor, component); one that is None is not checked.
    tensors, components
        The names that exist.
    where
        Location in the input, for messages.

    Raises
    ------
    OptionError
        One of them does not exist.
    """
    tensor, component = pair
    if tensor is not None:
        check_exists("tensor", tensor, tensors, option, where)
    if component is not None:
        check_exists("component", component, components, option, where)
