"""The axes of an exploration: the options of `explore`, checked and in their normal forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from polylat.errors import OptionError, TooLargeError
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.transfers import TransferOptions, separate_levels
from polylat.spec import Spec
from polylat.spec.arguments import check_exists, normalize_count
from polylat.spec.background import check_background, normalize_background
from polylat.spec.mapping import Branch, Pipeline, Sequential, Spatial, Temporal
from polylat.spec.names import known_names
from polylat.spec.pairs import pair_names
from polylat.spec.slots import DEFAULT_SLOTS, Slots, check_slots, normalize_slots
from polylat.spec.staged import ALL, Staged, staged_holders

__all__ = [
    "Loop",
    "SplitName",
    "WriteBack",
    "background_axes",
    "limited_holders",
    "memories_with_transfers",
    "one_or_several",
    "slot_axes",
    "split_axes",
    "staged_axes",
    "tile_axes",
    "write_backs",
]

T = TypeVar("T")
SplitName = str
"""The Einsums of a split's branches, such as ``e1|e2+e3``."""
WriteBack = tuple[str, str]
"""(tensor, component that it is written back from)"""

_MOST_COUNTS = 10_000
"""Largest number of slot counts of one tensor or holder."""


@dataclass(frozen=True)
class Loop:
    """A loop whose tile shapes are explored.

    Parameters
    ----------
    name
        Its rank variable; or the rank variable with ``#2`` for the second loop over it in tree
        order, and so on.
    number
        Its number among all loops of the mapping, in tree order.
    """

    name: str
    number: int


def one_or_several(value: Any, option: str, normalize: Callable[[Any], T]) -> tuple[T, ...]:
    """Return the normal forms of one or several values, without repetitions.

    Parameters
    ----------
    value
        One value or an iterable of values; a string is one value.
    option
        The name of the option, for messages.
    normalize
        Returns the normal form of one value, or raises `OptionError`.

    Returns
    -------
    tuple
        The normal forms, in the given order.

    Raises
    ------
    OptionError
        There is no value, or one of them cannot be used.
    """
    single = isinstance(value, str) or not isinstance(value, Iterable)
    values = (value,) if single else tuple(value)
    if not values:
        raise OptionError(f"{option} has no value", fix="omit it, or give at least one value")
    return tuple(dict.fromkeys(normalize(v) for v in values))


# Splits


def split_axes(mapping: Branch, *, explored: bool) -> tuple[tuple[SplitName, tuple[str, ...]], ...]:
    """Return the kinds to explore of every split that has several branches.

    Parameters
    ----------
    mapping
        The root of the mapping.
    explored
        Whether both kinds are explored; otherwise only the kind that the mapping has.

    Returns
    -------
    tuple of (str, tuple of str)
        (name, kinds) of each split, in tree order.
    """
    return tuple(
        (split.name, ("Sequential", "Pipeline") if explored else (type(split).__name__,))
        for split in mapping.splits()
    )


# Write-backs


def write_backs(lowered: LoweredMapping) -> tuple[WriteBack, ...]:
    """Return the write-backs of a mapping.

    Parameters
    ----------
    lowered
        The lowered mapping.

    Returns
    -------
    tuple of (str, str)
        (tensor, component that it is written back from), leaf by leaf.
    """
    return tuple(
        (tensor, holder.component)
        for leaf in lowered.leaves
        for tensor in leaf.einsum.outputs
        for holder in leaf.storages(tensor)[1:]
    )


def background_axes(
    spec: Spec, lowered: LoweredMapping, requested: bool | Iterable[Any]
) -> tuple[tuple[WriteBack, ...], tuple[WriteBack, ...]]:
    """Return the write-backs to explore, and those that are always in the background.

    Parameters
    ----------
    spec
        The input; write-backs that are not explored are as its ``schedule:`` says.
    lowered
        The lowered mapping.
    requested
        True: all write-backs of the mapping; False: none; otherwise as for `explore`.

    Returns
    -------
    (tuple of (str, str), tuple of (str, str))
        The write-backs to explore; the others that the input has in the background.

    Raises
    ------
    OptionError
        A write-back that the mapping does not have is requested.
    """
    available = write_backs(lowered)
    given = spec.schedule.get("background", ())
    fixed = {pair for pair in available if _is_named(pair, given)}
    explored: tuple[WriteBack, ...] = ()
    if requested is True:
        explored = available
    elif requested is not False:
        names = normalize_background(requested, spec.workload.tensors, spec.arch.order)
        check_background(names, known_names(spec.workload, spec.arch.order, spec.mapping))
        explored = tuple(pair for pair in available if _is_named(pair, names))
        for name in names:
            if not any(_is_named(pair, [name]) for pair in available):
                raise OptionError(
                    f"background names {name[0]!r}, which the mapping does not write back",
                    fix=f"use one of: {', '.join(pair_names(available)) or 'none'}",
                )
    return explored, tuple(sorted(fixed - set(explored)))


def _is_named(pair: WriteBack, names: Iterable[tuple[str, str | None]]) -> bool:
    """Return whether a write-back is among (tensor, component or None: any component)."""
    return any(pair == (tensor, component or pair[1]) for tensor, component in names)


# Staged memories


def memories_with_transfers(lowered: LoweredMapping) -> tuple[str, ...]:
    """Return the memories that hold something other than backing storages.

    Parameters
    ----------
    lowered
        The lowered mapping.

    Returns
    -------
    tuple of str
        The memories with transfers that may be staged, in the order of the architecture.
    """
    found = {
        holder.component
        for leaf in lowered.leaves
        for tensor in leaf.einsum.tensors
        for holder in leaf.storages(tensor)[1:]
    }
    return tuple(name for name in lowered.spec.arch.order if name in found)


def staged_axes(
    spec: Spec, lowered: LoweredMapping, requested: bool | str | Iterable[str]
) -> tuple[tuple[str, ...], Staged]:
    """Return the memories to explore staged and streaming, and the holders that are always staged.

    Parameters
    ----------
    spec
        The input; memories that are not explored are as its ``schedule:`` says.
    lowered
        The lowered mapping.
    requested
        True or ``"all"``: all memories with transfers; False: none; otherwise one or several of
        them.

    Returns
    -------
    (tuple of str, tuple of (str, str))
        The memories to explore; (tensor, component) of the holders in other memories that the
        input stages.

    Raises
    ------
    OptionError
        A memory that does not exist, or has no transfers, is requested.
    """
    available = memories_with_transfers(lowered)
    explored: tuple[str, ...] = ()
    if requested is True or requested == ALL:
        explored = available
    elif requested is not False:
        if isinstance(requested, Mapping) or not isinstance(requested, Iterable):
            raise OptionError(
                f"staged is {requested!r}", fix="give True, False, or names of memories"
            )
        names = [requested] if isinstance(requested, str) else list(requested)
        for name in names:
            if not isinstance(name, str):
                raise OptionError(f"staged: {name!r} is not the name of a memory")
            check_exists("component", name, spec.arch.order, "staged", None)
            if name not in available:
                raise OptionError(
                    f"staged names {name!r}, which holds nothing but backing storages",
                    fix=f"use one of: {', '.join(available) or 'none'}",
                )
        explored = tuple(name for name in available if name in names)
    known = known_names(spec.workload, spec.arch.order, spec.mapping)
    fixed = staged_holders(spec.schedule.get("staged", ()), known)
    return explored, tuple(pair for pair in fixed if pair[1] not in explored)


# Slots


def limited_holders(lowered: LoweredMapping, staged: Staged) -> tuple[tuple[str, str], ...]:
    """Return the holders whose number of slots may make a difference.

    Parameters
    ----------
    lowered
        The lowered mapping.
    staged
        The holders that may be staged.

    Returns
    -------
    tuple of (str, str)
        (tensor, component) of the holders below a loop through which tensors are exchanged, or
        that may have separate transfers; tensor by tensor in the order of the workload.
    """
    options = TransferOptions(frozenset(write_backs(lowered)), staged)
    found: dict[tuple[str, str], None] = {}
    for leaf in lowered.leaves:
        for tensor in leaf.einsum.tensors:
            holders = leaf.storages(tensor)
            if tensor in leaf.einsum.outputs:
                read = any(tensor in other.einsum.inputs for other in lowered.leaves)
                limited = holders if read else holders[1:]
            else:
                own = lowered.found[leaf.number, tensor].level + 1
                limited = holders[own : separate_levels(leaf, tensor, options) + 1]
            found |= {(tensor, h.component): None for h in limited if h.depth}
    rank = {tensor: k for k, tensor in enumerate(lowered.spec.workload.tensors)}
    return tuple(sorted(found, key=lambda pair: rank[pair[0]]))


def slot_axes(
    spec: Spec, lowered: LoweredMapping, staged: Staged, requested: Any
) -> tuple[tuple[tuple[str, tuple[int | None, ...]], ...], Slots]:
    """Return the slot counts to explore by tensor or holder, and the slots of all others.

    Parameters
    ----------
    spec
        The input; slots that are not explored are as its ``schedule:`` says.
    lowered
        The lowered mapping.
    staged
        The holders that may be staged.
    requested
        Slot counts for all tensors of `limited_holders`, or by ``"tensor"`` and
        ``"tensor@component"``; None: none is explored.

    Returns
    -------
    (tuple of (str, tuple), int, mapping or None)
        (tensor or tensor@component, slot counts) of each one that is explored; the option
        ``slots`` of `analyze` for the others.

    Raises
    ------
    OptionError
        A slot count cannot be used, or makes no difference.
    TooLargeError
        A tensor has too many slot counts.

    Notes
    -----
    As in the option, the number of a holder precedes that of its tensor: a tensor all of whose
    holders have numbers of their own is not explored.
    """
    tensors, components = spec.workload.tensors, spec.arch.order
    others = normalize_slots(spec.schedule.get("slots", DEFAULT_SLOTS), tensors, components)
    if requested is None:
        return (), others
    fixed = {name for name in others if "@" in name} if isinstance(others, Mapping) else set()
    by_tensor = isinstance(requested, Mapping)
    asked: dict[str, Any] = {}
    if by_tensor:
        names = normalize_slots(dict.fromkeys(requested, 1), tensors, components)
        assert isinstance(names, Mapping)
        check_slots(names, known_names(spec.workload, components, spec.mapping))
        asked = dict(zip(names, requested.values(), strict=True))
        fixed |= {name for name in asked if "@" in name}
    pairs = limited_holders(lowered, staged)
    usable = dict.fromkeys(t for t, c in pairs if f"{t}@{c}" not in fixed)
    if not by_tensor:
        counts = _slot_counts(requested)
        return tuple((tensor, counts) for tensor in usable), others
    named = dict.fromkeys(pair_names(pairs))
    for name in asked:
        if name not in (named if "@" in name else usable):
            raise OptionError(
                f"slots names {name!r}, whose number of slots makes no difference",
                fix=f"use one of: {', '.join((*usable, *named)) or 'none'}",
            )
    return tuple(
        (name, _slot_counts(asked[name])) for name in (*usable, *named) if name in asked
    ), others


def _slot_counts(requested: Any) -> tuple[int | None, ...]:
    """Return one or several slot counts in increasing order, unlimited last."""
    several = isinstance(requested, Iterable) and not isinstance(requested, str)
    values = list(islice(requested if several else [requested], _MOST_COUNTS + 1))
    if len(values) > _MOST_COUNTS:
        raise TooLargeError(
            f"slots has more than {_MOST_COUNTS:,} values for one tensor: too many variants",
            fix="explore fewer of them",
        )
    counts = {normalize_slots(value, (), ()) for value in values}
    if not counts:
        raise OptionError("slots has no value", fix="write 1:3, or a list")
    finite = sorted(n for n in counts if isinstance(n, int))
    return (*finite, *([None] if None in counts else []))


# Tile shapes


def tile_axes(
    mapping: Branch, requested: Mapping[str, Sequence[int]]
) -> tuple[tuple[Loop, tuple[int, ...]], ...]:
    """Return the loops whose tile shapes are explored, and these tile shapes.

    Parameters
    ----------
    mapping
        The root of the mapping.
    requested
        Name of a loop → one or several tile shapes.

    Returns
    -------
    tuple of (Loop, tuple of int)
        Each loop with its tile shapes, in the given order.

    Raises
    ------
    OptionError
        A loop does not exist, is named twice or ambiguously; or a tile shape cannot be used.
    """
    if not isinstance(requested, Mapping):
        raise OptionError(
            f"tiles must map loops to tile shapes, not be {requested!r}",
            fix='give {"m": [1, 2, 4]}',
        )
    loops: dict[str, int] = {}
    paths: dict[str, list[tuple[int, ...]]] = {}

    def walk(branch: Branch, path: tuple[int, ...]) -> None:
        for node in branch.nodes:
            if isinstance(node, Temporal | Spatial):
                over = paths.setdefault(node.rank_variable, [])
                over.append(path)
                loops[f"{node.rank_variable}#{len(over)}"] = len(loops)
        if isinstance(branch.end, Sequential | Pipeline):
            for number, below in enumerate(branch.end.branches):
                walk(below, (*path, number))

    walk(mapping, ())
    axes = []
    for name, shapes in requested.items():
        variable, mark, _ = str(name).partition("#")
        if variable not in paths or (mark and name not in loops):
            raise OptionError(
                f"tiles names the loop {name!r}, which the mapping does not have",
                fix=f"use one of: {', '.join(_loop_names(paths))}",
            )
        first = paths[variable][0]
        if not mark and any(path[: len(first)] != first for path in paths[variable]):
            several = ", ".join(f"{variable}#{n + 1}" for n in range(len(paths[variable])))
            raise OptionError(
                f"tiles names {name!r}, but several branches have loops over it",
                fix=f"name one of them: {several}, in tree order",
            )
        normalize = partial(normalize_count, f"a tile shape of {name!r}")
        values = one_or_several(shapes, f"tiles of {name!r}", normalize)
        axes.append((Loop(name, loops[name if mark else f"{variable}#1"]), values))
    if len({loop.number for loop, _ in axes}) < len(axes):
        raise OptionError("tiles names a loop twice")
    return tuple(axes)


def _loop_names(paths: Mapping[str, Sequence[object]]) -> list[str]:
    return [
        name if len(loops) == 1 else f"{name}#1 to {name}#{len(loops)}"
        for name, loops in paths.items()
    ]
