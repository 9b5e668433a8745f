"""The rules of precedence (flow, barriers, capacity) as edges between tile iterations and blocks.

The tile iterations of a leaf start in order and finish in order. So of all tile iterations of a
leaf that another one waits for, only the last needs an edge, and of all that wait for one, only
the first: relations are solved for lexicographic maxima and minima, and most edges are implied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.extend import through_skipped
from polylat.lowering.dependences.read_back import next_readers
from polylat.lowering.dependences.tables import exceeds_all_before, union_of
from polylat.lowering.iterations import IrregularError, joint_tile_keys
from polylat.lowering.numbering import DependenceEdges, Numbering
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.sharing import SourceHolder, leaves_sharing
from polylat.schedule.arrays import Ints
from polylat.schedule.reasons import BARRIER, CAPACITY, FLOW

__all__ = [
    "DependenceRules",
    "RuleEdges",
    "Slots",
    "dependence_edges",
    "exchange_levels",
    "joined_edges",
    "rule_edges",
    "slots_of",
    "storage_reads",
    "touching_iterations",
]

Slots = int | None | Mapping[str, int | None]
WriteBack = tuple[int, str, int]
"""(leaf, tensor, index of the storage that is written back from)."""


class RuleEdges(NamedTuple):
    """The edges of one relation, and the options that they depend on.

    Parameters
    ----------
    source, target, reason, periods
        As in `DependenceEdges`; `periods` is None where all of them are 0.
    split
        The Sequential (tree node) whose barrier they belong to.
    write_back
        The write-back that must be in the background for them to exist.
    tensor, slots
        The tensor whose number of slots they depend on, and that number.
    """

    source: Ints
    target: Ints
    reason: int
    periods: Ints | None
    split: int | None = None
    write_back: WriteBack | None = None
    tensor: str | None = None
    slots: int | None = None


def dependence_edges(
    leaves: Sequence[Leaf],
    layout: Numbering,
    found: Mapping[tuple[int, str], SourceHolder],
    slots: Slots,
) -> DependenceEdges:
    """Return all dependence edges of a mapping.

    Parameters
    ----------
    leaves, layout
        The leaves, in tree order, and the numbering of their tile iterations and blocks.
    found
        (leaf, input tensor) → the holder in which the leaf finds it.
    slots
        Number of tiles that holders keep, for all tensors or per tensor; None: unlimited.

    Returns
    -------
    DependenceEdges
        The edges, relation by relation.

    Raises
    ------
    MappingError
        An element is read that was not brought.
    IrregularError
        Skipped tile iterations are not translates of the sampled ones that represent them.
    """
    return joined_edges(layout, rule_edges(leaves, layout, found, (slots,)))


def rule_edges(
    leaves: Sequence[Leaf],
    layout: Numbering,
    found: Mapping[tuple[int, str], SourceHolder],
    options: Iterable[Slots],
) -> list[RuleEdges]:
    """Return the edges of all rules under one or several numbers of slots, relation by relation.

    Parameters
    ----------
    leaves, layout, found
        As for `dependence_edges`.
    options
        Numbers of slots, each as for `dependence_edges`.

    Returns
    -------
    list of RuleEdges
        The edges, each under the options that it depends on.

    Raises
    ------
    MappingError, IrregularError
        As for `dependence_edges`.
    """
    plain = DependenceRules(leaves, layout, found, None)
    limited = [DependenceRules(leaves, layout, found, slots) for slots in options]
    capacity = [part for rules in limited for part in rules.capacity()]
    return [*plain.flow(), *plain.barriers(), *capacity, *plain.read_backs()]


def joined_edges(layout: Numbering, parts: Sequence[RuleEdges]) -> DependenceEdges:
    """Join the edges of relations.

    Parameters
    ----------
    layout
        The numbering of tile iterations and blocks.
    parts
        The edges of each relation.

    Returns
    -------
    DependenceEdges
        The edges; `DependenceEdges.rule` is the position of their relation in `parts`.
    """
    depth = 0 if layout.whole else layout.depth
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return DependenceEdges(empty, empty, empty, empty, np.zeros((depth, 0), dtype=np.int64))
    source = np.concatenate([p.source for p in parts])
    target = np.concatenate([p.target for p in parts])
    reason = np.concatenate([np.full(len(p.source), p.reason, dtype=np.int64) for p in parts])
    periods = np.zeros((depth, len(source)), dtype=np.int64)
    at = 0
    for part in parts:
        size = len(part.source)
        if depth and part.periods is not None:
            periods[: len(part.periods), at : at + size] = part.periods
        at += size
    rule = np.repeat(np.arange(len(parts)), [len(p.source) for p in parts])
    return DependenceEdges(source, target, reason, rule, periods)


def storage_reads(
    layout: Numbering, reader: Leaf, tensor: str, level: int
) -> tuple[int, Ints, Ints]:
    """Return when a leaf reads a storage: to fill the next inner one, or by its operations.

    Parameters
    ----------
    layout
        The numbering of tile iterations and blocks.
    reader, tensor, level
        The leaf, the tensor, and the index of the storage.

    Returns
    -------
    (depth, events, targets)
        The depth of the tiles that are read; the tile iterations that read them, numbered within
        the leaf, shape (n,); and the numbers of the tile iterations or prefetched fills that wait
        for the data, shape (n,).
    """
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


def slots_of(slots: Slots, tensor: str) -> int | None:
    """Return the number of tiles of a tensor that holders keep.

    Parameters
    ----------
    slots, tensor
        The option, for all tensors or per tensor, and the tensor.

    Returns
    -------
    int or None
        The number; None: unlimited.
    """
    if isinstance(slots, Mapping):
        return slots.get(tensor, 2)
    return slots


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


class DependenceRules:
    """The rules of precedence, each of which yields parts of the edges.

    A part depends on the options that it names: whether a split is Sequential, whether a write-back
    is in the background, the number of slots of a tensor. It is the same under all others.

    Parameters
    ----------
    leaves, layout, found, slots
        As for `dependence_edges`.
    """

    def __init__(
        self,
        leaves: Sequence[Leaf],
        layout: Numbering,
        found: Mapping[tuple[int, str], SourceHolder],
        slots: Slots,
    ) -> None:
        self.leaves = leaves
        self.layout = layout
        self.found = found
        self.slots = slots

    # Rule 1

    def flow(self) -> Iterator[RuleEdges]:
        """Rule 1: an element is read after it was brought.

        Yields
        ------
        RuleEdges
            Edges.

        Raises
        ------
        MappingError
            An element is read that was not brought.
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
    ) -> Iterator[RuleEdges]:
        tiles = self.layout.tiles[pair.reader.number]
        producer = self.layout.tiles[pair.bringer.number]
        digits = pair.last(tiles, depth, events, producer)
        last, periods = producer.locate(digits)
        source = self.layout.bases[pair.bringer.number] + last
        fills = len(targets) > 0 and targets[0] >= self.layout.iterations
        keep = np.ones(len(events), dtype=np.bool_)
        if self.layout.whole and not fills:
            keep = exceeds_all_before(last)
        yield RuleEdges(source[keep], targets[keep], FLOW, periods[:, keep])
        for level in range(pair.level + 1, len(pair.bringer.storages(pair.tensor))):
            stream = self.layout.stream(pair.bringer.number, "background", pair.tensor, level)
            if stream is None:
                continue
            back = (pair.bringer.number, pair.tensor, level)
            if self.layout.whole:
                written, read = pair.write_back_pairs(
                    producer, stream[1], tiles, depth, events, fills
                )
                yield RuleEdges(stream[0] + written, targets[read], FLOW, None, write_back=back)
            else:
                # The write-backs of a stream finish in order, so the last one suffices.
                source = self._occurrence(stream, last)
                yield RuleEdges(source, targets, FLOW, periods, write_back=back)

    def _occurrence(self, stream: tuple[int, Ints], iterations: Ints) -> Ints:
        """Return the blocks of a stream that belong to tile iterations."""
        at = np.minimum(np.searchsorted(stream[1], iterations), len(stream[1]) - 1)
        if (stream[1][at] != iterations).any():
            raise IrregularError("a write-back does not occur in every period")
        return stream[0] + at

    def _from_filler(
        self, pair: Exchange, level: int, events: Ints, targets: Ints
    ) -> Iterator[RuleEdges]:
        filler = pair.bringer
        filler_source = self.found[filler.number, pair.tensor]
        for filled in range(filler_source.level + 1, level + 1):
            stream = self.layout.stream(filler.number, "fill", pair.tensor, filled)
            assert stream is not None, "a shared storage stands above a split"
            depth = filler.storages(pair.tensor)[filled].depth
            filled_keys = self.layout.tiles[filler.number].prefix_keys(depth)[stream[1]]
            keys = self.layout.tiles[pair.reader.number].prefix_keys(depth)[events]
            yield RuleEdges(stream[0] + np.searchsorted(filled_keys, keys), targets, FLOW, None)

    # Rule 2

    def barriers(self) -> Iterator[RuleEdges]:
        """Rule 2: the branches of a Sequential run one after another.

        Yields
        ------
        RuleEdges
            Edges.
        """
        below: dict[int, dict[int, list[Leaf]]] = {}
        depths: dict[int, int] = {}
        for leaf in self.leaves:
            for split in leaf.splits:
                if not split.pipeline:
                    below.setdefault(split.node, {}).setdefault(split.branch, []).append(leaf)
                    depths[split.node] = split.depth
        for node, branches in below.items():
            for part in self._between_branches(list(branches.values()), depths[node]):
                yield part._replace(split=node)

    def _between_branches(
        self, branches: Sequence[Sequence[Leaf]], depth: int
    ) -> Iterator[RuleEdges]:
        """Order the branches of a split, for all indices of the loops above it, in one sequence.

        A *turn* is a branch with one such index. Turns without tile iterations are not in the
        sequence, so that the turn behind them waits for the one before them.
        """
        count = len(branches)
        sequence = np.unique(
            np.concatenate([self._tiles_of(x, depth) * count + b for b, x in enumerate(branches)])
        )
        for branch, waiting in enumerate(branches):
            for leaf in waiting:
                firsts = self.layout.tiles[leaf.number].firsts(depth)
                turn = np.searchsorted(sequence, self._tiles_of([leaf], depth) * count + branch)
                firsts, turn = firsts[turn > 0], turn[turn > 0]
                ahead, before = np.divmod(sequence[turn - 1], count)
                for other_branch in np.unique(before):
                    chosen = before == other_branch
                    for other in branches[other_branch]:
                        yield self._barrier(leaf, firsts[chosen], other, ahead[chosen], depth)

    def _barrier(
        self, leaf: Leaf, waiting: Ints, other: Leaf, ahead: Ints, depth: int
    ) -> RuleEdges:
        """Order tile iterations after the last ones of another leaf within given tiles, if any."""
        tiles, others = self.layout.tiles[leaf.number], self.layout.tiles[other.number]
        ended = self._tiles_of([other], depth)
        at = np.minimum(np.searchsorted(ended, ahead), len(ended) - 1)
        exists = ended[at] == ahead
        last = others.lasts(depth)[at[exists]]
        awaited, periods = through_skipped(tiles, waiting[exists], others, last, depth=depth)
        source = self.layout.bases[other.number] + awaited
        target = self.layout.bases[leaf.number] + waiting[exists]
        return RuleEdges(source, target, BARRIER, periods)

    def _tiles_of(self, leaves: Sequence[Leaf], depth: int) -> Ints:
        """Return the keys of the tiles at a depth that exist for any of the leaves, increasing."""
        return joint_tile_keys([self.layout.tiles[leaf.number] for leaf in leaves], depth)

    # Rule 3

    def capacity(self) -> Iterator[RuleEdges]:
        """Rule 3: a holder keeps a limited number of tiles.

        Yields
        ------
        RuleEdges
            Edges.
        """
        for leaf in self.leaves:
            for tensor in leaf.einsum.outputs:
                exchanged = exchange_levels(self.leaves, leaf, tensor)
                for level, holder in enumerate(leaf.storages(tensor)):
                    if holder.depth == 0 or slots_of(self.slots, tensor) is None:
                        continue
                    if level in exchanged:
                        yield from self._exchange(leaf, tensor, holder)
                    yield from self._written_back(leaf, tensor, level, holder)
            for index, block in enumerate(self.layout.blocks[leaf.number]):
                if block.kind == "fill":
                    assert block.tensor is not None
                    holder = leaf.storages(block.tensor)[block.level]
                    if holder.depth > 0 and slots_of(self.slots, block.tensor) is not None:
                        stream = self.layout.streams[leaf.number, index]
                        yield from self._filled(leaf, block.tensor, holder, stream)

    def _exchange(self, leaf: Leaf, tensor: str, holder: PathHolder) -> Iterator[RuleEdges]:
        firsts, tile, order = self._numbered(leaf, tensor, holder)
        targets = self.layout.bases[leaf.number] + firsts
        yield from self._after_touches(leaf, tensor, holder, order, tile, firsts, targets)

    def _written_back(
        self, leaf: Leaf, tensor: str, level: int, holder: PathHolder
    ) -> Iterator[RuleEdges]:
        """Order a tile after the background write-backs of the tile whose slot it takes."""
        stream = self.layout.stream(leaf.number, "background", tensor, level)
        if stream is None:
            return
        firsts, tile, order = self._numbered(leaf, tensor, holder)
        slots = slots_of(self.slots, tensor)
        assert slots is not None
        out = np.searchsorted(
            order, self.layout.tiles[leaf.number].prefix_keys(holder.depth)[stream[1]]
        )
        # Tile iterations start in order, so it suffices that the first one waits of the tile that
        # takes the slot.
        at = np.searchsorted(tile, out + slots)
        exists = at < len(tile)
        exists[exists] = tile[at[exists]] == out[exists] + slots
        tiles, waiting = self.layout.tiles[leaf.number], firsts[at[exists]]
        written, periods = through_skipped(
            tiles, waiting, tiles, stream[1][exists], depth=holder.depth
        )
        source = self._occurrence(stream, written)
        back = (leaf.number, tensor, level)
        target = self.layout.bases[leaf.number] + waiting
        yield RuleEdges(
            source, target, CAPACITY, periods, write_back=back, tensor=tensor, slots=slots
        )

    def _filled(
        self, leaf: Leaf, tensor: str, holder: PathHolder, stream: tuple[int, Ints]
    ) -> Iterator[RuleEdges]:
        _, tile, order = self._numbered(leaf, tensor, holder)
        targets = stream[0] + np.arange(len(stream[1]))
        yield from self._after_touches(leaf, tensor, holder, order, tile, stream[1], targets)

    def _numbered(self, leaf: Leaf, tensor: str, holder: PathHolder) -> tuple[Ints, Ints, Ints]:
        """Return the first tile iterations of a holder's tiles, their numbers κ, and all tiles."""
        sharing = leaves_sharing(self.leaves, tensor, holder)
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
    ) -> Iterator[RuleEdges]:
        """Order targets, in tiles `tile`, after all accesses to the tile `slots` tiles earlier."""
        slots = slots_of(self.slots, tensor)
        assert slots is not None
        for other in leaves_sharing(self.leaves, tensor, holder):
            touching = touching_iterations(self.layout, other, tensor, holder)
            if not len(touching):
                continue
            tiles, others = self.layout.tiles[leaf.number], self.layout.tiles[other.number]
            keys = others.prefix_keys(holder.depth)[touching]
            touched = np.searchsorted(order, keys)
            at = np.searchsorted(touched, tile - slots, side="right") - 1
            exists = at >= 0
            exists[exists] = touched[at[exists]] == tile[exists] - slots
            awaited, periods = through_skipped(
                tiles, waiting[exists], others, touching[at[exists]], depth=holder.depth
            )
            source = self.layout.bases[other.number] + awaited
            yield RuleEdges(source, targets[exists], CAPACITY, periods, tensor=tensor, slots=slots)

    # Finish

    def read_backs(self) -> Iterator[RuleEdges]:
        """Order the finish of a tile iteration after the write-backs of what it reads back.

        Leaves with skipped tile iterations have no such edges. `engine.rule_rows.read_backs` has
        the precedences by which it is checked that the write-backs delay nothing there.

        Yields
        ------
        RuleEdges
            Edges.
        """
        for leaf in self.leaves:
            tiles, base = self.layout.tiles[leaf.number], self.layout.bases[leaf.number]
            if not tiles.whole:
                continue
            for tensor in leaf.einsum.outputs:
                for level in range(1, len(leaf.storages(tensor))):
                    stream = self.layout.stream(leaf.number, "background", tensor, level)
                    if stream is None:
                        continue
                    written, reading = next_readers(tiles, stream[1], tensor, level)
                    back = (leaf.number, tensor, level)
                    target = self.layout.total + base + reading
                    yield RuleEdges(stream[0] + written, target, FLOW, None, write_back=back)
