"""Rule 3: a holder keeps a limited number of tiles, as edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

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
from polylat.lowering.sharing import leaves_sharing, tensor_users
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.reasons import CAPACITY, SERVED
from polylat.spec.slots import Slots, slots_of

__all__ = ["capacity_edges", "exchange_levels", "touching_iterations"]


def exchange_levels(users: Sequence[Leaf], producer: Leaf, tensor: str) -> set[int]:
    """Return the storages of a producer through which some other leaf reads.

    Parameters
    ----------
    users, producer, tensor
        The leaves that access the tensor, the producer, and its output.

    Returns
    -------
    set of int
        Indices of storages on the producer's path.
    """
    nodes = {h.node: i for i, h in enumerate(producer.storages(tensor))}
    return {
        max(nodes.get(h.node, -1) for h in reader.storages(tensor))
        for reader in users
        if reader.number != producer.number and tensor in reader.einsum.inputs
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
    users = tensor_users(leaves)
    for leaf in leaves:
        tiles, base = layout.tiles[leaf.number], layout.bases[leaf.number]
        for tensor in leaf.einsum.outputs:
            exchanged = exchange_levels(users[tensor], leaf, tensor)
            for level, holder in enumerate(leaf.storages(tensor)):
                kept = slots_of(slots, tensor, holder.component)
                if holder.depth == 0 or kept is None:
                    continue
                firsts = tiles.firsts(holder.depth)
                entry = _Entry(leaf, tensor, level, kept, firsts, base + firsts)
                if level in exchanged:
                    yield from _after_touches(users[tensor], layout, entry)
                elif layout.stream(leaf.number, "write_back", tensor, level) is not None:
                    needs, keys = _slot_before(users[tensor], layout, entry)
                    yield from _after_stream(layout, entry.of(needs), keys, leaf, level)
        for stream in layout.streams[leaf.number]:
            block = stream.block
            if block.kind == "fill":
                assert block.tensor is not None
                holder = leaf.storages(block.tensor)[block.level]
                kept = slots_of(slots, block.tensor, holder.component)
                if holder.depth > 0 and kept is not None:
                    entry = _Entry(
                        leaf, block.tensor, block.level, kept, stream.iterations, stream.numbers
                    )
                    yield from _after_touches(users[block.tensor], layout, entry)


class _Entry(NamedTuple):
    """Tiles of a leaf that enter a holder.

    Parameters
    ----------
    leaf, tensor, level, slots
        The leaf, the tensor, the holder's index among its storages, and its number of slots.
    iterations, targets
        Shape (n,): per tile, the tile iteration with which it enters, numbered within the leaf,
        and the tile iteration or separate fill that waits for a slot.
    """

    leaf: Leaf
    tensor: str
    level: int
    slots: int
    iterations: Ints
    targets: Ints

    @property
    def holder(self) -> PathHolder:
        """The holder."""
        return self.leaf.storages(self.tensor)[self.level]

    def of(self, chosen: Mask) -> _Entry:
        """Return the entry of some of the tiles."""
        return self._replace(iterations=self.iterations[chosen], targets=self.targets[chosen])

    def edges(self, source: Ints, chosen: Ints | Mask, periods: Ints) -> RuleEdges:
        """Return the edges from accesses to the tiles that chosen ones replace."""
        return RuleEdges(
            source,
            self.targets[chosen],
            CAPACITY,
            periods,
            until=SERVED,
            holder=(self.tensor, self.holder.component),
            slots=self.slots,
        )


def _slot_before(users: Sequence[Leaf], layout: Numbering, entry: _Entry) -> tuple[Mask, Ints]:
    """Return which tiles need a used slot, and the keys of the tiles that used it."""
    depth = entry.holder.depth
    order = tile_keys(layout, leaves_sharing(users, entry.tensor, entry.holder), depth)
    keys = layout.tiles[entry.leaf.number].prefix_keys(depth)[entry.iterations]
    tile = np.searchsorted(order, keys) - entry.slots
    return tile >= 0, order[tile[tile >= 0]]


def _after_stream(
    layout: Numbering, entry: _Entry, keys: Ints, other: Leaf, level: int
) -> Iterator[RuleEdges]:
    """Order targets after all write-backs of another leaf's stream in given tiles of a holder."""
    stream = layout.stream(other.number, "write_back", entry.tensor, level)
    if stream is not None:
        source, which, periods = write_backs_in_tiles(
            layout, entry.leaf, entry.iterations, other, stream, keys, entry.holder.depth
        )
        yield entry.edges(source, which, periods)


def _after_touches(users: Sequence[Leaf], layout: Numbering, entry: _Entry) -> Iterator[RuleEdges]:
    """Order targets after all accesses to the tile whose slot they take."""
    needs, keys = _slot_before(users, layout, entry)
    entry = entry.of(needs)
    holder, tiles = entry.holder, layout.tiles[entry.leaf.number]
    for other in leaves_sharing(users, entry.tensor, holder):
        others = layout.tiles[other.number]
        touching = touching_iterations(layout, other, entry.tensor, holder)
        if len(touching):
            touched = others.prefix_keys(holder.depth)[touching]
            exists, _ = find_keys(touched, keys)
            at = np.searchsorted(touched, keys[exists], side="right") - 1
            awaited, periods = through_skipped(
                tiles, entry.iterations[exists], others, touching[at], depth=holder.depth
            )
            yield entry.edges(layout.bases[other.number] + awaited, exists, periods)
        if entry.tensor in other.einsum.outputs:
            storages = other.storages(entry.tensor)
            level = next(i for i, h in enumerate(storages) if h.node == holder.node)
            for written in (level, level + 1):
                yield from _after_stream(layout, entry, keys, other, written)
