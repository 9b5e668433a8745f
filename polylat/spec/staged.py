"""Normal form of the option `staged` of `analyze`: the holders that hand over whole tiles."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from polylat.errors import OptionError
from polylat.spec.names import KnownNames, Pair
from polylat.spec.pairs import check_pair, listed_items, pair_names, parse_pair
from polylat.spec.reading.suggest import did_you_mean, format_value

Staged = tuple[tuple[str | None, str | None], ...]
"""(tensor, component) pairs; None means every tensor or every component."""

ALL = "all"
"""The word for every holder."""


def is_staged(staged: Staged, tensor: str, component: str) -> bool:
    """Return whether the transfers of a holder are staged.

    Parameters
    ----------
    staged
        The option, in its normal form.
    tensor, component
        The holder. The backing storage has no transfers; do not ask about it.

    Returns
    -------
    bool
        Whether one of the pairs names the holder.

    Examples
    --------
    >>> is_staged((("o1", None),), "o1", "SRAM"), is_staged((("o1", "RF"),), "o1", "SRAM")
    (True, False)
    """
    return any(
        named in (None, tensor) and component_named in (None, component)
        for named, component_named in staged
    )


def staged_holders(staged: Staged, known: KnownNames) -> tuple[Pair, ...]:
    """Return the holders that are staged.

    Parameters
    ----------
    staged
        The option, in its normal form.
    known
        The names that exist.

    Returns
    -------
    tuple of (str, str)
        (tensor, component) of each, sorted.
    """
    return tuple(sorted(pair for pair in known.holders if is_staged(staged, *pair)))


def check_staged(staged: Staged, known: KnownNames, *, where: str | None = None) -> None:
    """Refuse a pair that is no holder of the mapping with transfers.

    A bare tensor or component means all of its holders, of which there may be none.

    Parameters
    ----------
    staged
        The option, in its normal form.
    known
        The names that exist.
    where
        Location in the input, for messages.

    Raises
    ------
    OptionError
        A pair names no holder, or the backing storage.
    """
    for tensor, component in staged:
        if tensor is None or component is None or (tensor, component) in known.holders:
            continue
        backing = (tensor, component) in known.backing
        found = [pair for pair in known.holders if pair[0] == tensor] or list(known.holders)
        raise OptionError(
            f"staged names '{tensor}@{component}', "
            + (
                "the backing storage of the tensor, which is filled from nowhere"
                if backing
                else "but the mapping has no such Storage"
            ),
            where=where,
            fix=f"use one of: {', '.join(pair_names(found))}"
            if found
            else "leave it out: every tensor has its backing storage only",
        )


def normalize_staged(
    value: object,
    tensors: Collection[str],
    components: Collection[str],
    *,
    where: str | None = None,
) -> Staged:
    """Normalize the option `staged`, the holders whose tiles are handed over as a whole.

    Parameters
    ----------
    value
        One or a list of ``"o1@SRAM"``, ``("o1", "SRAM")``,
        ``{"tensor": "o1", "component": "SRAM"}``, a tensor (all of its holders), a component (all
        tensors that it holds) and ``"all"``. None means no holder. The normal form
        is accepted, too.
    tensors, components
        The names that exist.
    where
        Location in the input, for messages.

    Returns
    -------
    tuple of (str or None, str or None)
        Distinct pairs (tensor, component); None means every one. ``"all"`` is ``(None, None)``.

    Raises
    ------
    OptionError
        If the value has another form, names a tensor or component that does not exist, or a name
        is both a tensor and a component.

    Examples
    --------
    >>> normalize_staged(["a", "b@SRAM", "RF"], ["a", "b", "c"], ["SRAM", "RF"])
    (('a', None), ('b', 'SRAM'), (None, 'RF'))
    >>> normalize_staged("all", ["a"], ["RF"])
    ((None, None),)
    """
    if value is None:
        return ()
    items = listed_items(
        "staged",
        value,
        single=isinstance(value, (str, Mapping)) or _is_pair(value, tensors, components),
        members="holders",
        fix='name them as "tensor@component", "tensor" or "component", or write "all"',
        where=where,
    )
    return tuple(dict.fromkeys(_parse(item, tensors, components, where) for item in items))


def _parse(
    item: object, tensors: Collection[str], components: Collection[str], where: str | None
) -> tuple[str | None, str | None]:
    pair = parse_pair(item)
    if pair is None:
        raise OptionError(
            f"staged: {format_value(item)} is not a holder",
            where=where,
            fix='write "tensor@component", "tensor", "component", "all", [tensor, component] or'
            " {tensor: …, component: …}",
        )
    tensor, component = pair
    if isinstance(item, str) and tensor is not None and component is None:
        return _bare(tensor, tensors, components, where)
    check_pair("staged", pair, tensors, components, where)
    return pair


def _bare(
    name: str, tensors: Collection[str], components: Collection[str], where: str | None
) -> tuple[str | None, str | None]:
    """Return what a name without ``@`` means."""
    meanings = [
        (meaning, pair)
        for meaning, known, pair in (
            ("a tensor", name in tensors, (name, None)),
            ("a component", name in components, (None, name)),
            ("the word for every holder", name == ALL, (None, None)),
        )
        if known
    ]
    if len(meanings) > 1:
        raise OptionError(
            f"staged: {name!r} is {' and '.join(meaning for meaning, _ in meanings)}",
            where=where,
            fix=f"write {{tensor: {name}}}, {{component: {name}}} or tensor@component",
        )
    if not meanings:
        raise OptionError(
            f"staged names {name!r}, which is neither a tensor nor a component",
            where=where,
            fix=did_you_mean(name, [*tensors, *components, ALL]),
        )
    return meanings[0][1]


def _is_pair(value: object, tensors: Collection[str], components: Collection[str]) -> bool:
    """Whether the value is one (tensor, component) tuple rather than a list of two names."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    tensor, component = value
    if tensor is None or component is None:
        return isinstance(tensor, str | None) and isinstance(component, str | None)
    return (
        isinstance(tensor, str)
        and isinstance(component, str)
        and tensor in tensors
        and component in components
    )
