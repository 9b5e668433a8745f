"""The tiles of holders: which ones there are, their sizes, and which are resident at the ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from polylat.lowering.accesses.counting import tile_elements
from polylat.lowering.integer_types import Counts, joint_count_type
from polylat.lowering.iterations import joint_tile_keys
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.sharing import leaves_sharing, tensor_users
from polylat.lowering.units import Users, divided_users, unit_users
from polylat.schedule.arrays import Ints
from polylat.spec import Spec

__all__ = [
    "HolderTiles",
    "Memory",
    "holder_tiles",
    "is_replaced",
    "memories",
    "memory_sizes",
    "storages_once",
]

Memory = tuple[str, Users]
"""A component, and the leaves that use some of its units; none where these are not divided."""


@dataclass(frozen=True, eq=False)
class HolderTiles:
    """The tiles of one holder.

    Parameters
    ----------
    sharing
        The leaves that access the tensor through the holder, in tree order.
    keys
        Shape (tiles,): the keys of the tiles at the depth of the holder, increasing.
    where
        Number of a leaf of `sharing` → the tile of each of its tile iterations, as an index into
        `keys`: shape (tile iterations,).
    elements
        Shape (tiles,): the number of elements of each tile in one unit, of the leaf that touches
        most.
    bits_per_value
        Bits per element.
    from_start, to_end
        Whether the tiles are resident from time 0, because no Einsum produces them; and until the
        makespan, because no Einsum reads them.
    """

    sharing: Sequence[Leaf]
    keys: Ints
    where: Mapping[int, Ints]
    elements: Counts
    bits_per_value: Fraction
    from_start: bool
    to_end: bool


def is_replaced(
    layout: Numbering, sharing: Sequence[Leaf], tensor: str, level: int, holder: PathHolder
) -> bool:
    """Return whether each tile of a holder replaces the previous one.

    It does where a single leaf accesses the tensor there, and its transfers stream: these can be
    delayed until the previous tile is no longer needed.

    Parameters
    ----------
    layout
        The numbering of tile iterations and blocks.
    sharing
        The leaves that access the tensor through the holder.
    tensor, level, holder
        The tensor, and the holder and its index among the Storages of the leaf.

    Returns
    -------
    bool
        False where leaves exchange tiles in the holder, or separate transfers fill or empty it.
    """
    if len(sharing) > 1 or holder.depth == 0 or level == 0:
        return False
    number = sharing[0].number
    kinds = ("fill", "write_back")
    return all(layout.stream(number, kind, tensor, level) is None for kind in kinds)


def storages_once(leaves: Sequence[Leaf]) -> Iterator[tuple[Leaf, str, int]]:
    """Visit each Storage of each tensor once.

    Parameters
    ----------
    leaves
        The leaves of a mapping, in tree order.

    Yields
    ------
    (leaf, tensor, level)
        The first leaf below the Storage, the tensor, and the index of the Storage among those of
        the tensor on the leaf's path.
    """
    visited: set[tuple[int, str]] = set()
    for leaf in leaves:
        for tensor in leaf.einsum.tensors:
            for level, holder in enumerate(leaf.storages(tensor)):
                if (holder.node, tensor) not in visited:
                    visited.add((holder.node, tensor))
                    yield leaf, tensor, level


def memories(spec: Spec, leaves: Sequence[Leaf]) -> tuple[tuple[Memory, ...], ...]:
    """Return the memories in which the tiles of each Storage of each tensor lie.

    Parameters
    ----------
    spec, leaves
        The input, and the leaves of the mapping, in tree order.

    Returns
    -------
    tuple of tuple
        In the order of `storages_once`: the units of all leaves that access the tensor there.
    """
    units, using = unit_users(spec, leaves), tensor_users(leaves)
    holders = [
        (holder.component, {other.number for other in leaves_sharing(some, tensor, holder)})
        for leaf, tensor, level in storages_once(leaves)
        for holder, some in ((leaf.storages(tensor)[level], using[tensor]),)
    ]
    concerned: dict[str, set[int]] = {}
    for component, sharing in holders:
        concerned.setdefault(component, set()).update(sharing)
    ranges = {name: divided_users(units[name], some) for name, some in concerned.items()}
    return tuple(
        tuple((component, users) for users in ranges[component] if not sharing.isdisjoint(users))
        if len(ranges[component]) > 1
        else ((component, ()),)
        for component, sharing in holders
    )


def memory_sizes(spec: Spec, leaves: Sequence[Leaf]) -> dict[str, Fraction]:
    """Return the sizes of the memories whose size is limited.

    Parameters
    ----------
    spec, leaves
        The input and its leaves.

    Returns
    -------
    dict
        Memory → bits that one unit holds: the least size that an Einsum of the mapping gives it.
    """
    sizes: dict[str, Fraction] = {}
    for leaf in leaves:
        for component in spec.arch.paths[leaf.einsum.name]:
            if component.kind == "Memory" and component.size is not None:
                known = sizes.get(component.name, component.size)
                sizes[component.name] = min(known, component.size)
    return sizes


def holder_tiles(
    spec: Spec,
    leaves: Sequence[Leaf],
    layout: Numbering,
    tensor: str,
    level: int,
    holder: PathHolder,
) -> HolderTiles:
    """Return the tiles of a holder.

    Parameters
    ----------
    spec, leaves, layout
        The input, the leaves (or those that access the tensor), in tree order, and the numbering of
        their tile iterations.
    tensor, level, holder
        The tensor, and the holder and its index among the Storages of the first leaf below it.

    Returns
    -------
    HolderTiles
        The tiles that hold something in a sampled tile iteration.

    Raises
    ------
    TooLargeError
        A tile has too many elements to count.
    """
    sharing = leaves_sharing(leaves, tensor, holder)
    keys = joint_tile_keys([layout.tiles[leaf.number] for leaf in sharing], holder.depth)
    elements: Counts = np.zeros(len(keys), dtype=joint_count_type(sharing))
    where: dict[int, Ints] = {}
    for leaf in sharing:
        tiles = layout.tiles[leaf.number]
        where[leaf.number] = np.searchsorted(keys, tiles.prefix_keys(holder.depth))
        components = {c.name: c for c in spec.arch.paths[leaf.einsum.name]}
        touched = tile_elements(tiles, components, tensor, level)
        np.maximum.at(elements, where[leaf.number], touched)
    einsum = sharing[0].einsum
    memory = spec.arch.component(einsum.name, holder.component)
    bits = memory.bits_per_value.get(tensor, einsum.access(tensor).bits_per_value)
    backing = level == 0 and holder.depth == 0
    return HolderTiles(
        sharing,
        keys,
        where,
        elements,
        Fraction(bits),
        backing and not spec.workload.producers(tensor),
        backing and not spec.workload.readers(tensor),
    )
