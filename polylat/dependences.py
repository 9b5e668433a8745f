"""What waits for what: flow, barriers and capacity, as edges between tile iterations and blocks.

A leaf's tile iterations start and finish in order. So of all tile iterations of one leaf that
another has to wait for, the last is enough, and of all that wait for one, the first: relations are
solved for their lexicographic maxima and minima, and most edges need not be made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylat.accesses import Block
from polylat.errors import MappingError, TooLargeError
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.relations import (
    GroupText,
    groups,
    missing,
    set_text,
    solve,
)
from polylat.lowering.scan import Ints
from polylat.lowering.sharing import Source
from polylat.lowering.tiles import Tiles, common_keys

__all__ = ["BARRIER", "CAPACITY", "FLOW", "Edges", "Layout", "dependences", "distances"]

FLOW, BARRIER, CAPACITY = 0, 1, 2

Slots = int | None | Mapping[str, int | None]


@dataclass(frozen=True, eq=False)
class Layout:
    """How tile iterations and blocks are numbered.

    Tile iterations of all leaves are numbered through, leaf by leaf; then come the blocks that
    are not foreground, stream by stream (a stream: one `Block` of a leaf, which occurs in some of its
    tile iterations). A tile iteration's number also stands for its foreground block.

    Parameters
    ----------
    tiles
        Per leaf, its tile iterations.
    blocks
        Per leaf, its blocks.
    bases
        Per leaf, the number of its first tile iteration.
    streams
        (leaf, index of the block) → (number of its first block, its tile iterations).
    iterations, total
        Number of tile iterations; of these and the other blocks together.
    """

    tiles: tuple[Tiles, ...]
    blocks: tuple[tuple[Block, ...], ...]
    bases: tuple[int, ...]
    streams: Mapping[tuple[int, int], tuple[int, Ints]]
    iterations: int
    total: int

    @staticmethod
    def of(tiles: Sequence[Tiles], blocks: Sequence[tuple[Block, ...]]) -> Layout:
        """Number the tile iterations and blocks."""
        bases, count = [], 0
        for some in tiles:
            bases.append(count)
            count += some.size
        iterations = count
        streams: dict[tuple[int, int], tuple[int, Ints]] = {}
        for leaf, mine in enumerate(blocks):
            for index, block in enumerate(mine):
                if block.kind != "foreground":
                    where = _either([a.iterations for a in block.accesses()], tiles[leaf].size)
                    streams[leaf, index] = (count, where)
                    count += len(where)
        return Layout(tuple(tiles), tuple(blocks), tuple(bases), streams, iterations, count)

    def stream(self, leaf: int, kind: str, tensor: str, level: int) -> tuple[int, Ints] | None:
        """The stream of a leaf's fills or write-backs, None if it has none."""
        for index, block in enumerate(self.blocks[leaf]):
            if (block.kind, block.tensor, block.level) == (kind, tensor, level):
                return self.streams[leaf, index]
        return None


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges: `target` waits until `source` has finished.

    Parameters
    ----------
    source
        A tile iteration (its finish), or a block other than foreground (its finish).
    target
        A tile iteration (its start); a fill (its start); or, from `Layout.total` on, a tile
        iteration's finish.
    reason
        `FLOW`, `BARRIER` or `CAPACITY`.
    """

    source: Ints
    target: Ints
    reason: Ints


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
    build = _Builder(leaves, layout, found, slots)
    parts = [*build.flow(), *build.barriers(), *build.capacity(), *build.read_backs()]
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return Edges(empty, empty, empty)
    source = np.concatenate([p[0] for p in parts])
    target = np.concatenate([p[1] for p in parts])
    reason = np.concatenate([np.full(len(p[0]), p[2], dtype=np.int64) for p in parts])
    return Edges(source, target, reason)


Part = tuple[Ints, Ints, int]


class _Builder:
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
        for (number, tensor), source in self.found.items():
            if source.leaf is None:
                continue
            reader, bringer = self.leaves[number], self.leaves[source.leaf]
            pair = _Pair(reader, bringer, tensor, source.level)
            pair.check()
            depth, events, targets = self._reads(reader, tensor, source.level)
            if source.produces:
                yield from self._from_producer(pair, depth, events, targets)
            else:
                yield from self._from_filler(pair, source.level, events, targets)

    def _reads(self, reader: Leaf, tensor: str, level: int) -> tuple[int, Ints, Ints]:
        """When a leaf reads a storage: depth of the tiles read, tile iterations, who waits."""
        tiles = self.layout.tiles[reader.number]
        storages = reader.storages(tensor)
        if level + 1 == len(storages):
            everything = np.arange(tiles.size)
            return tiles.depth, everything, self.layout.bases[reader.number] + everything
        depth = storages[level + 1].depth
        events = tiles.firsts(depth)
        stream = self.layout.stream(reader.number, "fill", tensor, level + 1)
        if stream is not None:
            return depth, events, stream[0] + np.arange(len(events))
        return depth, events, self.layout.bases[reader.number] + events

    def _from_producer(
        self, pair: _Pair, depth: int, events: Ints, targets: Ints
    ) -> Iterator[Part]:
        tiles = self.layout.tiles[pair.reader.number]
        producer = self.layout.tiles[pair.bringer.number]
        last = pair.last(tiles, depth, events, producer)
        source = self.layout.bases[pair.bringer.number] + last
        fills = len(targets) > 0 and targets[0] >= self.layout.iterations
        keep = np.ones(len(events), dtype=np.bool_) if fills else _increases(last)
        yield source[keep], targets[keep], FLOW
        for level in range(pair.level + 1, len(pair.bringer.storages(pair.tensor))):
            stream = self.layout.stream(pair.bringer.number, "background", pair.tensor, level)
            if stream is None:
                continue
            written, read = pair.bringers(producer, stream[1], tiles, depth, events, fills)
            yield stream[0] + written, targets[read], FLOW

    def _from_filler(
        self, pair: _Pair, level: int, events: Ints, targets: Ints
    ) -> Iterator[Part]:
        filler = pair.bringer
        mine = self.found[filler.number, pair.tensor]
        for filled in range(mine.level + 1, level + 1):
            stream = self.layout.stream(filler.number, "fill", pair.tensor, filled)
            assert stream is not None, "a shared storage stands above a split"
            depth = filler.storages(pair.tensor)[filled].depth
            theirs = self.layout.tiles[filler.number].prefix_keys(depth)[stream[1]]
            keys = self.layout.tiles[pair.reader.number].prefix_keys(depth)[events]
            yield stream[0] + np.searchsorted(theirs, keys), targets, FLOW

    # Rule 2

    def barriers(self) -> Iterator[Part]:
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
                        yield self._barrier(leaf, other, depth, turns, 0 if branch else 1)

    def _barrier(self, leaf: Leaf, other: Leaf, depth: int, turns: Ints, back: int) -> Part:
        """The leaf's first tile iteration of a turn waits for the other's last of a turn."""
        tiles, others = self.layout.tiles[leaf.number], self.layout.tiles[other.number]
        firsts, lasts = tiles.firsts(depth), others.lasts(depth)
        turn = np.searchsorted(turns, tiles.prefix_keys(depth)[firsts]) - back
        ended = np.searchsorted(turns, others.prefix_keys(depth)[lasts])
        at = np.searchsorted(ended, turn, side="right") - 1
        there = (at >= 0) & (turn >= 0)
        there[there] = ended[at[there]] == turn[there]
        source = self.layout.bases[other.number] + lasts[at[there]]
        return source, self.layout.bases[leaf.number] + firsts[there], BARRIER

    def _tiles_of(self, leaves: Sequence[Leaf], depth: int) -> Ints:
        """Keys of the tiles at a depth that exist for any of the leaves: increasing."""
        return common_keys([self.layout.tiles[leaf.number] for leaf in leaves], depth)

    # Rule 3

    def capacity(self) -> Iterator[Part]:
        for leaf in self.leaves:
            for tensor in leaf.einsum.outputs:
                exchanged = self._exchanged(leaf, tensor)
                for level, holder in enumerate(leaf.storages(tensor)):
                    if holder.depth == 0 or self._slots(tensor) is None:
                        continue
                    if level in exchanged:
                        yield from self._exchange(leaf, tensor, level, holder)
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

    def _exchange(
        self, leaf: Leaf, tensor: str, level: int, holder: PathHolder
    ) -> Iterator[Part]:
        firsts, tile, order = self._numbered(leaf, tensor, holder)
        targets = self.layout.bases[leaf.number] + firsts
        yield from self._after_touches(tensor, holder, order, tile, targets)

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
        source = stream[0] + np.flatnonzero(there)
        yield source, self.layout.bases[leaf.number] + firsts[at[there]], CAPACITY

    def _filled(
        self, leaf: Leaf, tensor: str, holder: PathHolder, stream: tuple[int, Ints]
    ) -> Iterator[Part]:
        _, tile, order = self._numbered(leaf, tensor, holder)
        targets = stream[0] + np.arange(len(stream[1]))
        yield from self._after_touches(tensor, holder, order, tile, targets)

    def _numbered(
        self, leaf: Leaf, tensor: str, holder: PathHolder
    ) -> tuple[Ints, Ints, Ints]:
        """A leaf's first tile iterations of a holder's tiles, their numbers κ, and all tiles."""
        sharing = self._sharing(tensor, holder)
        order = self._tiles_of(sharing, holder.depth)
        tiles = self.layout.tiles[leaf.number]
        firsts = tiles.firsts(holder.depth)
        return firsts, np.searchsorted(order, tiles.prefix_keys(holder.depth)[firsts]), order

    def _sharing(self, tensor: str, holder: PathHolder) -> list[Leaf]:
        return [
            leaf
            for leaf in self.leaves
            if tensor in leaf.einsum.tensors
            and any(h.node == holder.node for h in leaf.holders[tensor])
        ]

    def _after_touches(
        self, tensor: str, holder: PathHolder, order: Ints, tile: Ints, targets: Ints
    ) -> Iterator[Part]:
        """The targets, in tiles `tile`, wait for whoever touches the tile `slots` before."""
        slots = self._slots(tensor)
        assert slots is not None
        for other in self._sharing(tensor, holder):
            touching = self._touching(other, tensor, holder)
            if not len(touching):
                continue
            keys = self.layout.tiles[other.number].prefix_keys(holder.depth)[touching]
            touched = np.searchsorted(order, keys)
            at = np.searchsorted(touched, tile - slots, side="right") - 1
            there = at >= 0
            there[there] = touched[at[there]] == tile[there] - slots
            source = self.layout.bases[other.number] + touching[at[there]]
            yield source, targets[there], CAPACITY

    def _touching(self, leaf: Leaf, tensor: str, holder: PathHolder) -> Ints:
        """Tile iterations with an access that reads or writes the holder for the tensor."""
        parts = [
            access.iterations
            for block in self.layout.blocks[leaf.number]
            for access in block.accesses()
            if access.component == holder.component and access.tensor == tensor
        ]
        return _either(parts, self.layout.tiles[leaf.number].size)

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
                    written, reading = _next_readers(tiles, stream[1], tensor, level)
                    yield stream[0] + written, self.layout.total + base + reading, FLOW


class _Pair:
    """A leaf that reads a tensor in a shared storage, and the leaf that brought it there."""

    def __init__(self, reader: Leaf, bringer: Leaf, tensor: str, level: int) -> None:
        self.reader = reader
        self.bringer = bringer
        self.tensor = tensor
        self.level = level
        self.holder = reader.storages(tensor)[level]

    def groups(self, equal_depth: int) -> Iterator[_PairGroup]:
        """Groups of both leaves' variables that the tensor's ranks or shared loops tie.

        Parameters
        ----------
        equal_depth
            Number of (shared) Temporal loops whose indices are the same on both sides; Spatial
            loops above the storage always are.
        """
        shared = []
        temporal = 0
        for p, loop in enumerate(self.reader.loops):
            if loop.unit is None:
                if temporal < equal_depth:
                    shared.append(p)
                temporal += 1
            elif p < self.holder.position:
                shared.append(p)
        read = self.reader.einsum.access(self.tensor).projection
        brought = self.bringer.einsum.access(self.tensor).projection
        indices = [
            [*(f"r.{v}" for v in a.variables), *(f"b.{v}" for v in b.variables)]
            for a, b in zip(read, brought, strict=True)
        ]
        ties = [[f"r.{self.reader.loops[p].variable}"] for p in shared]
        for tie, p in zip(ties, shared, strict=True):
            tie.append(f"b.{self.bringer.loops[p].variable}")
        ties += [[f"r.{v}" for v in c.variables] for c in self.reader.coupled]
        ties += [[f"b.{v}" for v in c.variables] for c in self.bringer.coupled]
        names = [f"r.{v}" for v in self.reader.einsum.rank_variables]
        names += [f"b.{v}" for v in self.bringer.einsum.rank_variables]
        for members, ranks in groups(names, indices, ties):
            yield _PairGroup(
                self,
                [m[2:] for m in members if m.startswith("r.")],
                [m[2:] for m in members if m.startswith("b.")],
                ranks,
                shared,
            )
        loose = [
            r for r, (a, b) in enumerate(zip(read, brought, strict=True))
            if not a.variables and not b.variables and a.constant != b.constant
        ]
        if loose:
            raise self._nothing_there(f"at rank {self.reader.einsum.access(self.tensor).ranks[loose[0]]}")

    def check(self) -> None:
        """Raise where the reader reads an element that was not brought in its residency."""
        for group in self.groups(self.holder.depth):
            point = group.missing()
            if point is not None:
                raise self._nothing_there(point)

    def _nothing_there(self, where: str) -> MappingError:
        reader, bringer = self.reader.einsum.name, self.bringer.einsum.name
        did = "produces" if self.tensor in self.bringer.einsum.outputs else "fills"
        return MappingError(
            f"Einsum {reader!r} reads elements of tensor {self.tensor!r} in"
            f" {self.holder.component!r} that nobody brought there: {bringer!r} {did} the tile, but"
            f" not {where}",
            where=self.reader.where or self.holder.where or "mapping",
            mend=f"hold {self.tensor!r} above the loops that part the two, or make their tiles match",
        )

    def last(self, tiles: Tiles, depth: int, events: Ints, theirs: Tiles) -> Ints:
        """Per reading, the last tile iteration of the bringer that it depends on."""
        found, there = self.last_within(tiles, depth, events, theirs, self.holder.depth)
        assert there.all(), "checked: all that is read was brought"
        return found

    def last_within(
        self, tiles: Tiles, depth: int, events: Ints, theirs: Tiles, equal_depth: int
    ) -> tuple[Ints, np.ndarray]:
        """The same among those that agree on more loops; and where there is one at all."""
        digits = np.zeros((theirs.depth, len(events)), dtype=np.int64)
        there = np.ones(len(events), dtype=np.bool_)
        for group in self.groups(equal_depth):
            loops, columns, rows = group.last(depth, theirs.depth)
            row, exists = _rows(tiles, loops, rows[:, : len(loops)], events)
            there &= exists
            if len(rows):
                for k, column in zip(columns, rows[:, len(loops) :].T, strict=True):
                    digits[k] = column[row]
        keys = np.zeros(len(events), dtype=np.int64)
        for k in range(theirs.depth):
            keys = keys * theirs.radix(k) + digits[k]
        return theirs.find(keys), there

    def bringers(
        self,
        theirs: Tiles,
        written: Ints,
        tiles: Tiles,
        depth: int,
        events: Ints,
        all_pairs: bool,
    ) -> tuple[Ints, Ints]:
        """Pairs (write-back, reading) where the one brought what the other reads.

        Parameters
        ----------
        theirs, written
            The producer's tile iterations, and those that write back.
        tiles, depth, events
            The reader's, the depth of the tiles read, and the tile iterations that read.
        all_pairs
            All pairs, or per write-back only the first reading (later ones start later).

        Returns
        -------
        (indices into `written`, indices into `events`)
        """
        inner = self.bringer.storages(self.tensor)[self.level + 1].depth
        whose = np.arange(len(written))
        keys = np.zeros((len(written), depth), dtype=np.int64)
        for group in self.groups(self.holder.depth):
            mine, other, pairs = group.brought_pairs(theirs.depth, inner, depth)
            if not all_pairs:
                pairs = _first_of_each(pairs, len(mine))
            index, counts, starts = _spans(theirs, mine, pairs, written[whose])
            lengths = counts
            if lengths.sum() > _MOST_PAIRS:
                raise TooLargeError(
                    f"background write-backs of tensor {self.tensor!r} have more than"
                    f" {_MOST_PAIRS} readings",
                    mend="use granularity='tile'",
                )
            repeat = np.repeat(np.arange(len(whose)), lengths)
            offset = np.arange(len(repeat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            rows = starts[repeat] + offset
            whose, keys = whose[repeat], keys[repeat]
            for column, k in enumerate(other):
                keys[:, k] = pairs[rows, len(mine) + column]
        flat = np.zeros(len(whose), dtype=np.int64)
        for k in range(depth):
            flat = flat * tiles.radix(k) + keys[:, k]
        return whose, np.searchsorted(tiles.prefix_keys(depth)[events], flat)


class _PairGroup:
    """One group of a pair's variables, as ISL relations."""

    def __init__(
        self,
        pair: _Pair,
        read: Sequence[str],
        brought: Sequence[str],
        ranks: Sequence[int],
        shared: Sequence[int],
    ) -> None:
        self.pair = pair
        self.read = read
        self.brought = brought
        self.ranks = ranks
        self.shared = [p for p in shared if pair.reader.loops[p].variable in read]

    def missing(self) -> str | None:
        """An element of a residency that is read and was not brought, in words."""
        pair = self.pair
        wanted = self._elements(pair.reader, self.read, self.shared)
        brought = self._elements(pair.bringer, self.brought, self.shared)
        point = missing(wanted, brought)
        if point is None:
            return None
        names = [pair.reader.loops[p].variable for p in self.shared]
        names += [pair.reader.einsum.access(pair.tensor).ranks[r] for r in self.ranks]
        said = ", ".join(f"{n}={x}" for n, x in zip(names[len(self.shared):], point[len(self.shared):], strict=True))
        tile = ", ".join(f"{n}: {x}" for n, x in zip(names, point[: len(self.shared)], strict=False))
        return f"{said or 'in this tile'}" + (f" (tile {tile})" if tile else "")

    def _elements(self, leaf: Leaf, variables: Sequence[str], shown: Sequence[int]) -> str:
        text = GroupText(leaf, variables, "x", shown)
        projection = leaf.einsum.access(self.pair.tensor).projection
        names = [f"z{r}" for r in self.ranks]
        equal = [
            f"{n} = {text.index(projection[r])}" for n, r in zip(names, self.ranks, strict=True)
        ]
        dims = [text.shown[p] for p in shown if p in text.shown]
        return set_text([*dims, *names], text.hidden, [*text.conditions, *equal])

    def last(self, depth: int, bringer_depth: int) -> tuple[list[int], list[int], Ints]:
        """Loops of the reader, loops of the bringer, and per reader's index the last bringer's."""
        pair = self.pair
        mine, shown = _loops(pair.reader, self.read, depth)
        theirs, shown_there = _loops(pair.bringer, self.brought, bringer_depth)
        reader = GroupText(pair.reader, self.read, "r", [*shown, *self.shared])
        bringer = GroupText(pair.bringer, self.brought, "b", [*shown_there, *self.shared])
        read = pair.reader.einsum.access(pair.tensor).projection
        brought = pair.bringer.einsum.access(pair.tensor).projection
        conditions = [*reader.conditions, *bringer.conditions]
        conditions += [f"{reader.index(read[r])} = {bringer.index(brought[r])}" for r in self.ranks]
        conditions += [f"{reader.shown[p]} = {bringer.shown[p]}" for p in self.shared]
        source = [reader.shown[p] for p in shown]
        target = [bringer.shown[p] for p in shown_there]
        hidden = [*reader.hidden, *bringer.hidden]
        hidden += [reader.shown[p] for p in self.shared if p not in shown]
        hidden += [bringer.shown[p] for p in self.shared if p not in shown_there]
        text = set_text([*source, *target], hidden, conditions)
        return mine, theirs, solve(text, "lexmax", len(source))

    def brought_pairs(
        self, bringer_depth: int, inner_depth: int, depth: int
    ) -> tuple[list[int], list[int], Ints]:
        """Pairs of indices (of the write-back, of the reading) that share an element.

        A write-back brings the elements that its tile iteration updates last within the tile of
        the producer's storage below the shared one (at `inner_depth`).
        """
        pair = self.pair
        theirs, shown_there = _loops(pair.bringer, self.brought, bringer_depth)
        outer = [p for k, p in zip(theirs, shown_there, strict=True) if k < inner_depth]
        inner = [p for p in shown_there if p not in outer]
        mine, shown = _loops(pair.reader, self.read, depth)
        units = [p for p in self.shared if pair.bringer.loops[p].unit is not None]
        brought = self._element_points(pair.bringer, self.brought, [*outer, *units], inner)
        read = self._element_points(pair.reader, self.read, [*shown, *units], [])
        # Columns: shown loops (outer, units), elements, inner / shown loops, units, elements.
        a, b = len(outer), len(units)
        keys_brought = [outer.index(p) if p in outer else a + units.index(p) for p in self.shared]
        keys_brought += [a + b + i for i in range(len(self.ranks))]
        keys_read = [
            shown.index(p) if p in shown else len(shown) + units.index(p) for p in self.shared
        ]
        keys_read += [len(shown) + b + i for i in range(len(self.ranks))]
        left, right = _join(brought[:, keys_brought], read[:, keys_read])
        order = [
            outer.index(p) if p in outer else a + b + len(self.ranks) + inner.index(p)
            for p in shown_there
        ]
        rows = np.column_stack((brought[left][:, order], read[right][:, : len(shown)]))
        return theirs, mine, np.unique(rows, axis=0) if rows.shape[1] else rows[:1]

    def _element_points(
        self, leaf: Leaf, variables: Sequence[str], shown: Sequence[int], inner: Sequence[int]
    ) -> Ints:
        """Rows (shown loops, element, inner loops); of the inner loops the last that touch it."""
        text = GroupText(leaf, variables, "x", [*shown, *inner])
        projection = leaf.einsum.access(self.pair.tensor).projection
        names = [f"z{r}" for r in self.ranks]
        equal = [
            f"{n} = {text.index(projection[r])}" for n, r in zip(names, self.ranks, strict=True)
        ]
        source = [*(text.shown[p] for p in shown), *names]
        dims = [*source, *(text.shown[p] for p in inner)]
        whole = set_text(dims, text.hidden, [*text.conditions, *equal])
        return solve(whole, "lexmax", len(source)) if inner else solve(whole)


def distances(
    leaves: Sequence[Leaf], layout: Layout, found: Mapping[tuple[int, str], Source]
) -> dict[int, dict[tuple[int, int], int]]:
    """Per Pipeline, (stage, later stage) → how far ahead of its reader a bringer may be.

    The largest difference (bringer's minus reader's) of the linearised index of the loops between
    the Pipeline and the split above it, over all flows between tile iterations that agree on the
    loops above these.
    """
    result: dict[int, dict[tuple[int, int], int]] = {}
    for (number, tensor), source in found.items():
        if source.leaf is None:
            continue
        reader, bringer = leaves[number], leaves[source.leaf]
        at = next(
            i
            for i, (a, b) in enumerate(zip(reader.splits, bringer.splits, strict=False))
            if a.branch != b.branch
        )
        split, other = reader.splits[at], bringer.splits[at]
        if not split.pipeline:
            continue
        above = reader.splits[at - 1].depth if at else 0
        largest = _distance(leaves, layout, found, (number, tensor), source, above, split.depth)
        if largest is not None:
            stages = result.setdefault(split.node, {})
            key = (other.branch, split.branch)
            stages[key] = max(stages.get(key, largest), largest)
    return result


def _distance(
    leaves: Sequence[Leaf],
    layout: Layout,
    found: Mapping[tuple[int, str], Source],
    what: tuple[int, str],
    source: Source,
    above: int,
    depth: int,
) -> int | None:
    number, tensor = what
    assert source.leaf is not None
    pair = _Pair(leaves[number], leaves[source.leaf], tensor, source.level)
    tiles, theirs = layout.tiles[number], layout.tiles[source.leaf]
    build = _Builder(leaves, layout, found, None)
    read_depth, events, _ = build._reads(pair.reader, tensor, source.level)
    if source.produces:
        last, there = pair.last_within(
            tiles, read_depth, events, theirs, max(above, pair.holder.depth)
        )
    else:
        firsts = theirs.firsts(pair.holder.depth)
        keys = theirs.prefix_keys(pair.holder.depth)[firsts]
        mine = tiles.prefix_keys(pair.holder.depth)[events]
        last = firsts[np.searchsorted(keys, mine)]
        there = theirs.prefix_keys(above)[last] == tiles.prefix_keys(above)[events]
    if not there.any():
        return None
    turn, turn_there = _turns(tiles, above, depth), _turns(theirs, above, depth)
    return int((turn_there[last[there]] - turn[events[there]]).max())


def _either(parts: Sequence[Ints], size: int) -> Ints:
    """The tile iterations (of so many) that any of the arrays names, increasing."""
    named = np.zeros(size, dtype=np.bool_)
    for part in parts:
        named[part] = True
    return np.flatnonzero(named)


def _turns(tiles: Tiles, above: int, depth: int) -> Ints:
    """Linearised index of the Temporal loops from `above` to `depth`."""
    key = np.zeros(tiles.size, dtype=np.int64)
    for k in range(above, depth):
        key = key * tiles.radix(k) + tiles.digits[k]
    return key


def _loops(leaf: Leaf, variables: Sequence[str], depth: int) -> tuple[list[int], list[int]]:
    """Temporal loops over some variables among the first ones: numbers and positions."""
    numbers, places, temporal = [], [], 0
    for p, loop in enumerate(leaf.loops):
        if loop.unit is None:
            if temporal < depth and loop.variable in variables:
                numbers.append(temporal)
                places.append(p)
            temporal += 1
    return numbers, places


def _flat(tiles: Tiles, loops: Sequence[int], events: Ints) -> Ints:
    index = np.zeros(len(events), dtype=np.int64)
    for k in loops:
        index = index * tiles.radix(k) + tiles.digits[k][events]
    return index


def _flat_rows(tiles: Tiles, loops: Sequence[int], rows: Ints) -> Ints:
    index = np.zeros(len(rows), dtype=np.int64)
    for column, k in enumerate(loops):
        index = index * tiles.radix(k) + rows[:, column]
    return index


def _rows(
    tiles: Tiles, loops: Sequence[int], rows: Ints, events: Ints
) -> tuple[Ints, np.ndarray]:
    """Per tile iteration the row that has its indices, and whether there is one."""
    if not len(rows):
        return np.zeros(len(events), dtype=np.int64), np.zeros(len(events), dtype=np.bool_)
    keys, wanted = _flat_rows(tiles, loops, rows), _flat(tiles, loops, events)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def _spans(
    tiles: Tiles, loops: Sequence[int], pairs: Ints, events: Ints
) -> tuple[Ints, Ints, Ints]:
    """Per tile iteration the run of rows that have its indices: key, length and start."""
    keys, wanted = _flat_rows(tiles, loops, pairs), _flat(tiles, loops, events)
    start = np.searchsorted(keys, wanted, side="left")
    end = np.searchsorted(keys, wanted, side="right")
    return wanted, end - start, start


def _first_of_each(rows: Ints, columns: int) -> Ints:
    """The first row of each run of rows that agree in the first columns."""
    if len(rows) == 0:
        return rows
    change = np.any(rows[1:, :columns] != rows[:-1, :columns], axis=1)
    return rows[np.concatenate(([True], change))]


def _join(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Indices of all pairs of equal rows."""
    if left.shape[1] == 0:
        a, b = np.indices((len(left), len(right)))
        return a.reshape(-1), b.reshape(-1)
    _, both = np.unique(np.concatenate((left, right)), axis=0, return_inverse=True)
    mine, theirs = both[: len(left)].reshape(-1), both[len(left) :].reshape(-1)
    order = np.argsort(theirs, kind="stable")
    start = np.searchsorted(theirs[order], mine, side="left")
    end = np.searchsorted(theirs[order], mine, side="right")
    lengths = end - start
    if lengths.sum() > _MOST_PAIRS:
        raise TooLargeError(
            f"more than {_MOST_PAIRS} pairs of tile iterations share an element",
            mend="use granularity='tile'",
        )
    repeat = np.repeat(np.arange(len(left)), lengths)
    offset = np.arange(len(repeat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return repeat, order[start[repeat] + offset]


def _increases(values: Ints) -> np.ndarray:
    """Where a value exceeds all before it."""
    if not len(values):
        return np.zeros(0, dtype=np.bool_)
    before = np.concatenate(([-1], np.maximum.accumulate(values)[:-1]))
    return values > before


def _next_readers(
    tiles: Tiles, written: Ints, tensor: str, level: int
) -> tuple[Ints, Ints]:
    """Per write-back, the first tile iteration that reads some of it back, if there is one.

    Returns
    -------
    (indices into `written`, tile iterations)
    """
    leaf = tiles.leaf
    depth = leaf.storages(tensor)[level].depth
    mine: list[Ints] = []
    reading: list[Ints] = []
    # A later tile first differs from this one in some loop, where its index is larger.
    open_ = np.arange(len(written))
    for fork in range(depth - 1, -1, -1):
        if not len(open_):
            break
        there, first = _later(tiles, written[open_], tensor, level, fork)
        mine.append(open_[there])
        reading.append(first[there])
        open_ = open_[~there]
    if not mine:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty
    return np.concatenate(mine), np.concatenate(reading)


def _later(
    tiles: Tiles, written: Ints, tensor: str, level: int, fork: int
) -> tuple[np.ndarray, Ints]:
    """The first tile that agrees with a write-back's before a loop, is later there, and shares
    an element that the write-back wrote."""
    leaf = tiles.leaf
    depth = leaf.storages(tensor)[level].depth
    access = leaf.einsum.access(tensor)
    there = np.ones(len(written), dtype=np.bool_)
    digits = np.zeros((depth, len(written)), dtype=np.int64)
    ties = [c.variables for c in leaf.coupled]
    for variables, ranks in groups(
        leaf.einsum.rank_variables, [i.variables for i in access.projection], ties
    ):
        loops, shown = _loops(leaf, variables, tiles.depth)
        outer = [p for k, p in zip(loops, shown, strict=True) if k < depth]
        inner = [p for p in shown if p not in outer]
        numbers = [k for k in loops if k < depth]
        units = [p for p, loop in enumerate(leaf.loops)
                 if loop.unit is not None and loop.variable in variables
                 and p < leaf.storages(tensor)[level].position]
        text = GroupText(leaf, variables, "x", [*shown, *units])
        names = [f"z{r}" for r in ranks]
        equal = [f"z{r} = {text.index(access.projection[r])}" for r in ranks]
        source = [*(text.shown[p] for p in [*outer, *units]), *names]
        dims = [*source, *(text.shown[p] for p in inner)]
        last = solve(set_text(dims, text.hidden, [*text.conditions, *equal]),
                     "lexmax" if inner else "points", len(source))
        other = GroupText(leaf, variables, "y", [*outer, *units])
        equal = [f"z{r} = {other.index(access.projection[r])}" for r in ranks]
        dims = [*(other.shown[p] for p in [*outer, *units]), *names]
        touched = solve(set_text(dims, other.hidden, [*other.conditions, *equal]))
        a, b = len(outer), len(units)
        keys = list(range(a, a + b + len(ranks)))
        left, right = _join(last[:, keys], touched[:, keys])
        here, later = last[left][:, :a], touched[right][:, :a]
        keep = np.ones(len(left), dtype=np.bool_)
        for column, k in enumerate(numbers):
            if k < fork:
                keep &= here[:, column] == later[:, column]
            elif k == fork:
                keep &= later[:, column] > here[:, column]
        order = [outer.index(p) if p in outer else a + b + len(ranks) + inner.index(p)
                 for p in shown]
        rows = np.column_stack((last[left][keep][:, order], later[keep]))
        rows = np.unique(rows, axis=0) if rows.shape[1] else rows[:1]
        rows = _first_of_each(rows, len(shown))
        at, exists = _rows(tiles, loops, rows[:, : len(shown)], written)
        there &= exists
        if len(rows):
            for column, k in enumerate(numbers):
                digits[k] = rows[at, len(shown) + column]
    key = np.zeros(len(written), dtype=np.int64)
    for k in range(depth):
        key = key * tiles.radix(k) + digits[k]
    firsts = tiles.firsts(depth)
    keys = tiles.prefix_keys(depth)[firsts]
    at = np.minimum(np.searchsorted(keys, key), len(firsts) - 1)
    return there, firsts[at]


_MOST_PAIRS = 50_000_000
