"""The axes of an exploration: the options of `explore`, checked and in their normal forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from polylat.errors import OptionError, TooLargeError
from polylat.lowering.lowered import LoweredMapping
from polylat.spec import Spec
from polylat.spec.arguments import normalize_count
from polylat.spec.background import normalize_background
from polylat.spec.mapping import Branch, Pipeline, Sequential, Spatial, Temporal
from polylat.spec.option_values import normalize_slots

__all__ = [
    "Loop",
    "SplitName",
    "WriteBack",
    "background_axes",
    "capacity_tensors",
    "one_or_several",
    "slot_axes",
    "split_axes",
    "split_name",
    "tile_axes",
    "write_backs",
]

T = TypeVar("T")
SplitName = str
"""The Einsums of a split's branches, such as ``e1|e2+e3``."""
WriteBack = tuple[str, str]
"""(tensor, component that it is written back from)"""

_MOST_COUNTS = 10_000
"""Largest number of slot counts of one tensor."""


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
    found: dict[SplitName, tuple[str, ...]] = {}

    def walk(branch: Branch) -> None:
        split = branch.end
        if isinstance(split, Sequential | Pipeline):
            if len(split.branches) > 1:
                kinds = ("Sequential", "Pipeline") if explored else (type(split).__name__,)
                found[split_name([c.einsum for c in b.leaves()] for b in split.branches)] = kinds
            for below in split.branches:
                walk(below)

    walk(mapping)
    return tuple(found.items())


def split_name(branches: Iterable[Iterable[str]]) -> SplitName:
    """Return the name of a split.

    Parameters
    ----------
    branches
        Per branch, the names of its Einsums.

    Returns
    -------
    str
        The names, joined by ``+`` within a branch and by ``|`` between branches.

    Examples
    --------
    >>> split_name([["e1"], ["e2", "e3"]])
    'e1|e2+e3'
    """
    return "|".join("+".join(branch) for branch in branches)


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
        if not leaf.einsum.is_copy
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
        explored = tuple(pair for pair in available if _is_named(pair, names))
        for name in names:
            if not any(_is_named(pair, [name]) for pair in available):
                raise OptionError(
                    f"background names {name[0]!r}, which the mapping does not write back",
                    fix=f"use one of: {', '.join(f'{t}@{c}' for t, c in available) or 'none'}",
                )
    return explored, tuple(sorted(fixed - set(explored)))


def _is_named(pair: WriteBack, names: Iterable[tuple[str, str | None]]) -> bool:
    """Return whether a write-back is among (tensor, component or None: any component)."""
    return any(pair == (tensor, component or pair[1]) for tensor, component in names)


# Slots


def capacity_tensors(lowered: LoweredMapping) -> tuple[str, ...]:
    """Return the tensors whose slot counts may make a difference.

    Parameters
    ----------
    lowered
        The lowered mapping.

    Returns
    -------
    tuple of str
        Tensors that are exchanged, or fetched ahead, through a holder below a loop; and tensors
        that may be written back in the background out of such a holder.
    """
    found: set[str] = set()
    for leaf in lowered.leaves:
        if leaf.einsum.is_copy:
            continue
        for tensor in leaf.einsum.outputs:
            read = any(tensor in other.einsum.inputs for other in lowered.leaves)
            levels = leaf.storages(tensor) if read else leaf.storages(tensor)[1:]
            if any(holder.depth for holder in levels):
                found.add(tensor)
        for tensor in leaf.einsum.inputs:
            start = lowered.found[leaf.number, tensor].level + 1
            if any(h.depth and h.above_split for h in leaf.storages(tensor)[start:]):
                found.add(tensor)
    return tuple(t for t in lowered.spec.workload.tensors if t in found)


def slot_axes(
    spec: Spec, lowered: LoweredMapping, requested: Any
) -> tuple[tuple[tuple[str, tuple[int | None, ...]], ...], Any]:
    """Return the slot counts to explore by tensor, and the slots of all other tensors.

    Parameters
    ----------
    spec
        The input; slots that are not explored are as its ``schedule:`` says.
    lowered
        The lowered mapping.
    requested
        Slot counts for all tensors of `capacity_tensors`, or by tensor; None: none is explored.

    Returns
    -------
    (tuple of (str, tuple), int, mapping or None)
        (tensor, slot counts) of each tensor that is explored; the option ``slots`` of `analyze`
        for the others.

    Raises
    ------
    OptionError
        A slot count cannot be used, or makes no difference for the tensor.
    TooLargeError
        A tensor has too many slot counts.
    """
    tensors = capacity_tensors(lowered)
    others = normalize_slots(spec.schedule.get("slots", 2), spec.workload.tensors)
    if requested is None:
        return (), others
    if isinstance(requested, Mapping):
        normalize_slots(dict.fromkeys(requested, 1), spec.workload.tensors)
        for tensor in requested:
            if tensor not in tensors:
                raise OptionError(
                    f"slots names {tensor!r}, whose number of slots makes no difference",
                    fix=f"use one of: {', '.join(tensors) or 'none'}",
                )
        counts = {tensor: _slot_counts(some) for tensor, some in requested.items()}
    else:
        counts = dict.fromkeys(tensors, _slot_counts(requested))
    return tuple((tensor, counts[tensor]) for tensor in tensors if tensor in counts), others


def _slot_counts(requested: Any) -> tuple[int | None, ...]:
    """Return one or several slot counts in increasing order, unlimited last."""
    several = isinstance(requested, Iterable) and not isinstance(requested, str)
    values = list(islice(requested if several else [requested], _MOST_COUNTS + 1))
    if len(values) > _MOST_COUNTS:
        raise TooLargeError(
            f"slots has more than {_MOST_COUNTS:,} values for a tensor: too many variants",
            fix="explore fewer of them",
        )
    counts = {normalize_slots(value, ()) for value in values}
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
