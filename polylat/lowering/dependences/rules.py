"""What waits for what: flow, barriers and capacity, as edges between tile iterations and blocks.

A leaf's tile iterations start and finish in order. So of all tile iterations of one leaf that
another has to wait for, the last is enough, and of all that wait for one, the first: relations are
solved for their lexicographic maxima and minima, and most edges need not be made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.extend import follow
from polylat.lowering.dependences.read_back import may_read_back, next_readers
from polylat.lowering.dependences.tables import exceeds_all_before, union_of
from polylat.lowering.iterations import IrregularError, common_keys
from polylat.lowering.numbering import Edges, Layout
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.sharing import Source, sharers
from polylat.schedule.arrays import Ints
from polylat.schedule.reasons import BARRIER, CAPACITY, FLOW

__all__ = ["Part", "Rules", "Slots", "dependences", "storage_reads"]

Slots = int | None | Mapping[str, int | None]
WriteBack = tuple[int, str, int]
"""(leaf, tensor, index of the storage written back from)"""


class Part(NamedTuple):
    """Edges of one rule, and which choice they are there for.

    Parameters
    ----------
    source, target, reason, copies
        As in `Edges`; no copies where nothing is left out.
    split
        The Sequential (tree node) whose barrier it is.
    write_back
        The write-back that has to be in the background for it.
    tensor
        The tensor whose slots it depends on.
    """

    source: Ints
    target: Ints
    reason: int
    copies: Ints | None
    split: int | None = None
    write_back: WriteBack | None = None
    tensor: str | None = None


def dependences(
    leaves: Sequence[Leaf],
    layout: Layout,
    found: Mapping[tuple[int, str], Source],
    slots: Slots,
) -> Edges:
    """All edges of a mapping.

    Raises
    ------
    MappingError
        Something is read that nobody brought there.
    """
    build = Rules(leaves, layout, found, slots)
    parts = [*build.flow(), *build.barriers(), *build.capacity(), *build.read_backs()]
    depth = 0 if layout.whole else layout.depth
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return Edges(empty, empty, empty, empty, np.zeros((depth, 0), dtype=np.int64))
    source = np.concatenate([p.source for p in parts])
    target = np.concatenate([p.target for p in parts])
    reason = np.concatenate([np.full(len(p.source), p.reason, dtype=np.int64) for p in parts])
    copies = np.zeros((depth, len(source)), dtype=np.int64)
    at = 0
    for part in parts:
        size = len(part.source)
        if depth and part.copies is not None:
            copies[: len(part.copies), at : at + size] = part.copies
        at += size
    rule = np.repeat(np.arange(len(parts)), [len(p.source) for p in parts])
    return Edges(source, target, reason, rule, copies)


def storage_reads(layout: Layout, reader: Leaf, tensor: str, level: int) -> tuple[int, Ints, Ints]:
    """When a leaf reads a storage: depth of the tiles read, tile iterations, who waits."""
    tiles = layout.tiles[reader.number]
    storages = reader.storages(tensor)
    if level + 1 == len(storages):
        everything = np.arange(tiles.size)
        return tiles.depth, everything, layout.bases[reader.number] + everything
    depth = storages[level + 1].depth
    events = tiles.firsts(depth)
    stream = layout.stream(reader.number, "fill", tensor, level + 1)
    if stream is not None:
        return depth, events, stream[0] + np.arange(len(events))
    return depth, events, layout.bases[reader.number] + events


class Rules:
    """The rules, one after another, as parts of the edges.

    Each part depends on one choice at most: whether a split is Sequential, whether a write-back is
    in the background, how many slots a tensor has.

    Parameters
    ----------
    leaves, layout, found
        The mapping.
    slots
        How many tiles holders keep.
    """

    def __init__(
        self,
        leaves: Sequence[Leaf],
        layout: Layout,
        found: Mapping[tuple[int, str], Source],
        slots: Slots,
    ) -> None:
        self.leaves = leaves
        self.layout = layout
        self.found = found
        self.slots = slots

    # Rule 1

    def flow(self) -> Iterator[Part]:
        """Rule 1: what is read has been brought.

        Raises
        ------
        MappingError
            Something is read that nobody brought there.
        """
        for (number, tensor), source in self.found.items():
            if source.leaf is None:
                continue
            reader, bringer = self.leaves[number], self.leaves[source.leaf]
            pair = Exchange(reader, bringer, tensor, source.level)
            pair.check()
            depth, events, targets = storage_reads(self.layout, reader, tensor, source.level)
            if source.produces:
                yield from self._from_producer(pair, depth, events, targets)
            else:
                yield from self._from_filler(pair, source.level, events, targets)

    def _from_producer(
        self, pair: Exchange, depth: int, events: Ints, targets: Ints
    ) -> Iterator[Part]:
        tiles = self.layout.tiles[pair.reader.number]
        producer = self.layout.tiles[pair.bringer.number]
        digits = pair.last(tiles, depth, events, producer)
        last, copies = producer.locate(digits)
        source = self.layout.bases[pair.bringer.number] + last
        fills = len(targets) > 0 and targets[0] >= self.layout.iterations
        keep = np.ones(len(events), dtype=np.bool_)
        if self.layout.whole and not fills:
            keep = exceeds_all_before(last)
        yield Part(source[keep], targets[keep], FLOW, copies[:, keep])
        for level in range(pair.level + 1, len(pair.bringer.storages(pair.tensor))):
            stream = self.layout.stream(pair.bringer.number, "background", pair.tensor, level)
            if stream is None:
                continue
            back = (pair.bringer.number, pair.tensor, level)
            if self.layout.whole:
                written, read = pair.bringers(producer, stream[1], tiles, depth, events, fills)
                yield Part(stream[0] + written, targets[read], FLOW, None, write_back=back)
            else:
                # Write-backs of a stream finish in order: the last one is enough.
                source = self._occurrence(stream, last)
                yield Part(source, targets, FLOW, copies, write_back=back)

    def _occurrence(self, stream: tuple[int, Ints], iterations: Ints) -> Ints:
        """The blocks of a stream that belong to tile iterations."""
        at = np.minimum(np.searchsorted(stream[1], iterations), len(stream[1]) - 1)
        if (stream[1][at] != iterations).any():
            raise IrregularError("a write-back is not where others like it are")
        return stream[0] + at

    def _from_filler(
        self, pair: Exchange, level: int, events: Ints, targets: Ints
    ) -> Iterator[Part]:
        filler = pair.bringer
        mine = self.found[filler.number, pair.tensor]
        for filled in range(mine.level + 1, level + 1):
            stream = self.layout.stream(filler.number, "fill", pair.tensor, filled)
            assert stream is not None, "a shared storage stands above a split"
            depth = filler.storages(pair.tensor)[filled].depth
            theirs = self.layout.tiles[filler.number].prefix_keys(depth)[stream[1]]
            keys = self.layout.tiles[pair.reader.number].prefix_keys(depth)[events]
            yield Part(stream[0] + np.searchsorted(theirs, keys), targets, FLOW, None)

    # Rule 2

    def barriers(self) -> Iterator[Part]:
        """Rule 2: branches of a Sequential run one after another."""
        below: dict[int, dict[int, list[Leaf]]] = {}
        depths: dict[int, int] = {}
        for leaf in self.leaves:
            for split in leaf.splits:
                if not split.pipeline:
                    below.setdefault(split.node, {}).setdefault(split.branch, []).append(leaf)
                    depths[split.node] = split.depth
        for node, branches in below.items():
            depth, last = depths[node], max(branches)
            turns = self._tiles_of([leaf for b in branches.values() for leaf in b], depth)
            for branch, waiting in branches.items():
                ahead = branches[branch - 1 if branch else last]
                for leaf in waiting:
                    for other in ahead:
                        part = self._barrier(leaf, other, depth, turns, 0 if branch else 1)
                        yield part._replace(split=node)

    def _barrier(self, leaf: Leaf, other: Leaf, depth: int, turns: Ints, back: int) -> Part:
        """The leaf's first tile iteration of a turn waits for the other's last of a turn."""
        tiles, others = self.layout.tiles[leaf.number], self.layout.tiles[other.number]
        firsts, lasts = tiles.firsts(depth), others.lasts(depth)
        turn = np.searchsorted(turns, tiles.prefix_keys(depth)[firsts]) - back
        ended = np.searchsorted(turns, others.prefix_keys(depth)[lasts])
        at = np.searchsorted(ended, turn, side="right") - 1
        there = (at >= 0) & (turn >= 0)
        there[there] = ended[at[there]] == turn[there]
        awaited, copies = follow(tiles, firsts[there], others, lasts[at[there]], depth=depth)
        source = self.layout.bases[other.number] + awaited
        return Part(source, self.layout.bases[leaf.number] + firsts[there], BARRIER, copies)

    def _tiles_of(self, leaves: Sequence[Leaf], depth: int) -> Ints:
        """Keys of the tiles at a depth that exist for any of the leaves: increasing."""
        return common_keys([self.layout.tiles[leaf.number] for leaf in leaves], depth)

    # Rule 3

    def capacity(self) -> Iterator[Part]:
        """Rule 3: holders keep so many tiles."""
        for leaf in self.leaves:
            for tensor in leaf.einsum.outputs:
                exchanged = self._exchanged(leaf, tensor)
                for level, holder in enumerate(leaf.storages(tensor)):
                    if holder.depth == 0 or self._slots(tensor) is None:
                        continue
                    if level in exchanged:
                        yield from self._exchange(leaf, tensor, holder)
                    yield from self._written_back(leaf, tensor, level, holder)
            for index, block in enumerate(self.layout.blocks[leaf.number]):
                if block.kind == "fill":
                    assert block.tensor is not None
                    holder = leaf.storages(block.tensor)[block.level]
                    if holder.depth > 0 and self._slots(block.tensor) is not None:
                        stream = self.layout.streams[leaf.number, index]
                        yield from self._filled(leaf, block.tensor, holder, stream)

    def _slots(self, tensor: str) -> int | None:
        if isinstance(self.slots, Mapping):
            return self.slots.get(tensor, 2)
        return self.slots

    def _exchanged(self, producer: Leaf, tensor: str) -> set[int]:
        """Levels of the producer's storages that are exchange holders of some consumer."""
        nodes = {h.node: i for i, h in enumerate(producer.storages(tensor))}
        levels = set()
        for reader in self.leaves[producer.number + 1 :]:
            if tensor in reader.einsum.inputs:
                levels.add(max(nodes.get(h.node, -1) for h in reader.storages(tensor)))
        return levels

    def _exchange(self, leaf: Leaf, tensor: str, holder: PathHolder) -> Iterator[Part]:
        firsts, tile, order = self._numbered(leaf, tensor, holder)
        targets = self.layout.bases[leaf.number] + firsts
        yield from self._after_touches(leaf, tensor, holder, order, tile, firsts, targets)

    def _written_back(
        self, leaf: Leaf, tensor: str, level: int, holder: PathHolder
    ) -> Iterator[Part]:
        """Wait for the background write-backs out of the tile whose place is taken."""
        stream = self.layout.stream(leaf.number, "background", tensor, level)
        if stream is None:
            return
        firsts, tile, order = self._numbered(leaf, tensor, holder)
        slots = self._slots(tensor)
        assert slots is not None
        out = np.searchsorted(
            order, self.layout.tiles[leaf.number].prefix_keys(holder.depth)[stream[1]]
        )
        # A tile iteration starts no earlier than those before it: the first tile that takes the
        # place, or any after it, is where to wait.
        at = np.searchsorted(tile, out + slots)
        there = at < len(tile)
        there[there] = tile[at[there]] == out[there] + slots
        tiles, waiting = self.layout.tiles[leaf.number], firsts[at[there]]
        if not tiles.whole:
            # Write-backs of a stream finish in order: the last one is enough.
            last = np.append(waiting[1:] != waiting[:-1], True)[: len(waiting)]
            there[there] = last
            waiting = waiting[last]
        written, copies = follow(tiles, waiting, tiles, stream[1][there], depth=holder.depth)
        source = self._occurrence(stream, written)
        back = (leaf.number, tensor, level)
        target = self.layout.bases[leaf.number] + waiting
        yield Part(source, target, CAPACITY, copies, write_back=back, tensor=tensor)

    def _filled(
        self, leaf: Leaf, tensor: str, holder: PathHolder, stream: tuple[int, Ints]
    ) -> Iterator[Part]:
        _, tile, order = self._numbered(leaf, tensor, holder)
        targets = stream[0] + np.arange(len(stream[1]))
        yield from self._after_touches(leaf, tensor, holder, order, tile, stream[1], targets)

    def _numbered(self, leaf: Leaf, tensor: str, holder: PathHolder) -> tuple[Ints, Ints, Ints]:
        """A leaf's first tile iterations of a holder's tiles, their numbers κ, and all tiles."""
        sharing = sharers(self.leaves, tensor, holder)
        order = self._tiles_of(sharing, holder.depth)
        tiles = self.layout.tiles[leaf.number]
        firsts = tiles.firsts(holder.depth)
        return firsts, np.searchsorted(order, tiles.prefix_keys(holder.depth)[firsts]), order

    def _after_touches(
        self,
        leaf: Leaf,
        tensor: str,
        holder: PathHolder,
        order: Ints,
        tile: Ints,
        waiting: Ints,
        targets: Ints,
    ) -> Iterator[Part]:
        """The targets, in tiles `tile`, wait for whoever touches the tile `slots` before."""
        slots = self._slots(tensor)
        assert slots is not None
        for other in sharers(self.leaves, tensor, holder):
            touching = self._touching(other, tensor, holder)
            if not len(touching):
                continue
            tiles, others = self.layout.tiles[leaf.number], self.layout.tiles[other.number]
            keys = others.prefix_keys(holder.depth)[touching]
            touched = np.searchsorted(order, keys)
            at = np.searchsorted(touched, tile - slots, side="right") - 1
            there = at >= 0
            there[there] = touched[at[there]] == tile[there] - slots
            awaited, copies = follow(
                tiles, waiting[there], others, touching[at[there]], depth=holder.depth
            )
            source = self.layout.bases[other.number] + awaited
            yield Part(source, targets[there], CAPACITY, copies, tensor=tensor)

    def _touching(self, leaf: Leaf, tensor: str, holder: PathHolder) -> Ints:
        """Tile iterations with an access that reads or writes the holder for the tensor."""
        parts = [
            access.iterations
            for block in self.layout.blocks[leaf.number]
            for access in block.accesses
            if access.component == holder.component and access.tensor == tensor
        ]
        return union_of(parts, self.layout.tiles[leaf.number].size)

    # Finish

    def read_backs(self) -> Iterator[Part]:
        """A tile iteration that reads back finishes after the background write-backs of that."""
        for leaf in self.leaves:
            tiles, base = self.layout.tiles[leaf.number], self.layout.bases[leaf.number]
            for tensor in leaf.einsum.outputs:
                for level in range(1, len(leaf.storages(tensor))):
                    stream = self.layout.stream(leaf.number, "background", tensor, level)
                    if stream is None:
                        continue
                    if not tiles.whole:
                        if may_read_back(leaf, tensor, level):
                            raise IrregularError("background write-backs may be read back")
                        continue
                    written, reading = next_readers(tiles, stream[1], tensor, level)
                    back = (leaf.number, tensor, level)
                    target = self.layout.total + base + reading
                    yield Part(stream[0] + written, target, FLOW, None, write_back=back)
