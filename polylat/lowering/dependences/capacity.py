"""Rule 3: a holder keeps a limited number of tiles, as edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from polylat.lowering.dependences.edges import (
    RuleEdges,
    find_keys,
    tile_keys,
    write_backs_in_tiles,
)
from polylat.lowering.dependences.extend import through_skipped
from polylat.lowering.dependences.tables import union_of
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.sharing import leaves_sharing
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.reasons import CAPACITY, SERVED
from polylat.spec.slots import Slots, slots_of

__all__ = ["capacity_edges", "exchange_levels", "touching_iterations"]


def exchange_levels(leaves: Sequence[Leaf], producer: Leaf, tensor: str) -> set[int]:
    """Return the storages of a producer through which some consumer reads.

    Parameters
    ----------
    leaves, producer, tensor
        The leaves, in tree order, the producer, and its output.

    Returns
    -------
    set of int
        Indices of storages on the producer's path.
    """
    nodes = {h.node: i for i, h in enumerate(producer.storages(tensor))}
    return {
        max(nodes.get(h.node, -1) for h in reader.storages(tensor))
        for reader in leaves[producer.number + 1 :]
        if tensor in reader.einsum.inputs
    }


def touching_iterations(layout: Numbering, leaf: Leaf, tensor: str, holder: PathHolder) -> Ints:
    """Return the tile iterations of a leaf with an access to a tensor in a holder.

    Parameters
    ----------
    layout, leaf, tensor, holder
        The numbering of tile iterations and blocks, the leaf, the tensor and the holder.

    Returns
    -------
    numpy.ndarray
        Tile iterations, numbered within the leaf, increasing.
    """
    found = layout.accesses_to(leaf.number, tensor, holder.component)
    return union_of([iterations for _, iterations in found], layout.tiles[leaf.number].size)


def capacity_edges(leaves: Sequence[Leaf], layout: Numbering, slots: Slots) -> Iterator[RuleEdges]:
    """Rule 3: a holder keeps a limited number of tiles.

    Parameters
    ----------
    leaves, layout
        As for `rules.dependence_edges`.
    slots
        Number of tiles that holders keep.

    Yields
    ------
    RuleEdges
        Edges.
    """
    for leaf in leaves:
        tiles, base = layout.tiles[leaf.number], layout.bases[leaf.number]
        for tensor in leaf.einsum.outputs:
            exchanged = exchange_levels(leaves, leaf, tensor)
            for level, holder in enumerate(leaf.storages(tensor)):
                kept = slots_of(slots, tensor, holder.component)
                if holder.depth == 0 or kept is None:
                    continue
                firsts = tiles.firsts(holder.depth)
                waiting = firsts, base + firsts
                if level in exchanged:
                    yield from _after_touches(leaves, layout, leaf, tensor, holder, waiting, kept)
                else:
                    yield from _after_leaving(leaves, layout, leaf, tensor, level, waiting, kept)
        for index, block in enumerate(layout.blocks[leaf.number]):
            if block.kind == "fill":
                assert block.tensor is not None
                holder = leaf.storages(block.tensor)[block.level]
                kept = slots_of(slots, block.tensor, holder.component)
                if holder.depth > 0 and kept is not None:
                    first, iterations = layout.streams[leaf.number, index]
                    waiting = iterations, first + np.arange(len(iterations))
                    yield from _after_touches(
                        leaves, layout, leaf, block.tensor, holder, waiting, kept
                    )


def _slot_before(
    leaves: Sequence[Leaf],
    layout: Numbering,
    leaf: Leaf,
    tensor: str,
    holder: PathHolder,
    waiting: Ints,
    slots: int,
) -> tuple[Mask, Ints]:
    """Return which tile iterations need a used slot, and the keys of the tiles that used it."""
    sharing = leaves_sharing(leaves, tensor, holder)
    order = tile_keys(layout, sharing, holder.depth)
    keys = layout.tiles[leaf.number].prefix_keys(holder.depth)[waiting]
    tile = np.searchsorted(order, keys) - slots
    return tile >= 0, order[tile[tile >= 0]]


def _after_leaving(
    leaves: Sequence[Leaf],
    layout: Numbering,
    leaf: Leaf,
    tensor: str,
    level: int,
    waiting: tuple[Ints, Ints],
    slots: int,
) -> Iterator[RuleEdges]:
    """Order a tile after the separate write-backs of the tile whose slot it takes."""
    stream = layout.stream(leaf.number, "write_back", tensor, level)
    if stream is None:
        return
    holder = leaf.storages(tensor)[level]
    needs, keys = _slot_before(leaves, layout, leaf, tensor, holder, waiting[0], slots)
    yield from _after_stream(
        layout,
        leaf,
        leaf,
        (tensor, level),
        (waiting[0][needs], waiting[1][needs]),
        keys,
        holder,
        slots,
    )


def _after_stream(
    layout: Numbering,
    leaf: Leaf,
    other: Leaf,
    written: tuple[str, int],
    waiting: tuple[Ints, Ints],
    keys: Ints,
    holder: PathHolder,
    slots: int,
) -> Iterator[RuleEdges]:
    """Order targets after all write-backs of a stream in given tiles of a holder."""
    tensor, level = written
    stream = layout.stream(other.number, "write_back", tensor, level)
    block = layout.block(other.number, "write_back", tensor, level)
    if stream is None or block is None:
        return
    source, which, periods = write_backs_in_tiles(
        layout, leaf, waiting[0], other, (block, stream), keys, holder.depth
    )
    yield RuleEdges(
        source,
        waiting[1][which],
        CAPACITY,
        periods,
        until=SERVED,
        holder=(tensor, holder.component),
        slots=slots,
    )


def _after_touches(
    leaves: Sequence[Leaf],
    layout: Numbering,
    leaf: Leaf,
    tensor: str,
    holder: PathHolder,
    waiting: tuple[Ints, Ints],
    slots: int,
) -> Iterator[RuleEdges]:
    """Order targets after all accesses to the tile whose slot they take."""
    needs, keys = _slot_before(leaves, layout, leaf, tensor, holder, waiting[0], slots)
    iterations, targets = waiting[0][needs], waiting[1][needs]
    tiles = layout.tiles[leaf.number]
    for other in leaves_sharing(leaves, tensor, holder):
        others = layout.tiles[other.number]
        touching = touching_iterations(layout, other, tensor, holder)
        if len(touching):
            touched = others.prefix_keys(holder.depth)[touching]
            exists, _ = find_keys(touched, keys)
            at = np.searchsorted(touched, keys[exists], side="right") - 1
            awaited, periods = through_skipped(
                tiles, iterations[exists], others, touching[at], depth=holder.depth
            )
            yield RuleEdges(
                layout.bases[other.number] + awaited,
                targets[exists],
                CAPACITY,
                periods,
                until=SERVED,
                holder=(tensor, holder.component),
                slots=slots,
            )
        if tensor in other.einsum.outputs:
            level = next(i for i, h in enumerate(other.storages(tensor)) if h.node == holder.node)
            for written in ((tensor, level), (tensor, level + 1)):
                yield from _after_stream(
                    layout, leaf, other, written, (iterations, targets), keys, holder, slots
                )
