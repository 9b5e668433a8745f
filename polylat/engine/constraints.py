"""All precedences of a mapping whose tile iterations are sampled, for all tile iterations at once.

Every rule of precedence says on which tile iteration another one waits, by its loop indices. These
are computed here from the mapping for the sampled tile iterations and, as affine functions, for the
ones that these represent. `schedule.boxes` decides each precedence for all of them.

Where a rule names the last of several events (the finish of everything in a tile), the source is an
event family that is filled forward: its event at a point of the grid is the last one up to there.
So rules need not know which tile iterations exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import prod

import numpy as np

from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.rules import Slots, storage_reads
from polylat.lowering.iterations import joint_tile_keys
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.sharing import leaves_sharing
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.boxes import Grid, Rows, Sources
from polylat.schedule.extension import EventFamilies, ExtensionRules
from polylat.schedule.graph import TaskGraph

__all__ = ["extension_rules"]


def extension_rules(
    lowered: LoweredMapping,
    layout: Numbering,
    graph: TaskGraph,
    slots: Slots,
    shifts: Mapping[int, Sequence[int]],
) -> ExtensionRules:
    """Return all precedences of a mapping whose tile iterations are sampled.

    Parameters
    ----------
    lowered, layout, graph
        The mapping, the numbering of its sampled tile iterations, and their task graph.
    slots
        Number of tiles that holders keep.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.

    Returns
    -------
    ExtensionRules
        The event families, the precedences between them, and those of the ports by order.
    """
    return _Rules(lowered, layout, graph, slots, shifts).result()


class _Rules:
    def __init__(
        self,
        lowered: LoweredMapping,
        layout: Numbering,
        graph: TaskGraph,
        slots: Slots,
        shifts: Mapping[int, Sequence[int]],
    ) -> None:
        self.lowered = lowered
        self.leaves = lowered.leaves
        self.layout = layout
        self.graph = graph
        self.slots = slots
        self.shifts = shifts
        self.grid = _grid(layout)
        self.width = max(layout.depth, 1)
        self.digits = [self.grid.columns(a, self.grid.digit) for a in range(len(self.leaves))]
        self.skipped = [self.grid.columns(a, self.grid.skipped) for a in range(len(self.leaves))]
        self.period = [self.grid.columns(a, self.grid.period) for a in range(len(self.leaves))]
        self.keys = [tiles.keys for tiles in layout.tiles]
        self.families = EventFamilies.of(graph, self.grid, self.keys)
        self.undecided: list[tuple[int, int]] = []
        self.sources: list[Sources] = []
        self.numbered = 0
        self.known: dict[tuple[int, ...], tuple[Ints, Ints]] = {}
        self.lost: dict[tuple[int, int, bool], Mask] = {}

    def result(self) -> ExtensionRules:
        common = [*self._chains(), *self._fills(), *self._flows(), *self._barriers()]
        common += [*self._capacity(), *self._within()]
        in_order = self._in_order()
        ready_order = self._ready_order()
        program = self._port_rows(skewed=False)
        same = np.array_equal(self.graph.dates.program, self.graph.dates.skew)
        skew = program if same else self._port_rows(skewed=True)
        return ExtensionRules(
            self.grid,
            self.families,
            Sources.joined(self.sources, self.width),
            Rows.joined(common),
            Rows.joined(in_order),
            Rows.joined(program),
            Rows.joined(skew),
            Rows.joined(ready_order),
            tuple(self.undecided),
        )

    # Sources and rows

    def _source(
        self,
        leaf: int,
        keys: Ints,
        other: int,
        base: Ints,
        same: Ints | int,
        slopes: Ints | None = None,
    ) -> Ints:
        """Number sources; `base` and `slopes` have the loops first and the sources last."""
        n = len(keys)
        wide = np.zeros((n, self.width), dtype=np.int64)
        wide[:, : len(base)] = base.T
        which = np.full(n, -1)
        matrices = np.zeros((0, self.width, self.width), dtype=np.int64)
        if slopes is not None:
            moving = np.flatnonzero(slopes.any(axis=(0, 1)))
            which[moving] = np.arange(len(moving))
            matrices = np.zeros((len(moving), self.width, self.width), dtype=np.int64)
            matrices[:, : slopes.shape[0], : slopes.shape[1]] = slopes[:, :, moving].transpose(
                2, 0, 1
            )
        self.sources.append(
            Sources(
                np.full(n, leaf),
                keys,
                np.full(n, other),
                wide,
                np.broadcast_to(np.asarray(same, dtype=np.int64), (n,)),
                which,
                matrices,
            )
        )
        first = self.numbered
        self.numbered += n
        return np.arange(first, first + n)

    def _itself(self, leaf: int) -> Ints:
        """Return, per point of a leaf's grid, the source that is the same point."""
        known = self.known.get((leaf,))
        if known is None:
            digits = self.digits[leaf]
            every = np.arange(digits.shape[1])
            known = self.known[leaf,] = self._source(leaf, every, leaf, digits, len(digits)), every
        return known[0]

    def _before(self, leaf: int) -> Ints:
        """Return, per point of a leaf's grid, the source that is the point before it, or -1."""
        known = self.known.get((leaf, leaf))
        if known is None:
            digits = self.digits[leaf]
            exists, base, same = self._previous(leaf, digits, len(digits))
            found = np.full(digits.shape[1], -1)
            found[exists] = self._source(leaf, exists, leaf, base, same)
            known = self.known[leaf, leaf] = found, exists
        return known[0]

    def _rows(
        self, target: Ints, family: int, source: Ints, *, own: bool = False, sound: bool = True
    ) -> Rows:
        n = len(target)
        return Rows(target, np.full(n, family), source, np.full(n, own), np.full(n, sound))

    def _previous(self, leaf: int, digits: Ints, depth: int) -> tuple[Ints, Ints, Ints]:
        """Return the last points before the tiles at a depth that contain given points.

        (positions of the points that have one, loop indices, outer loops in which they move alike)
        """
        found = digits.copy()
        same = np.zeros(digits.shape[1], dtype=np.int64)
        for k in range(self.grid.depth[leaf] - 1, -1, -1):
            last = self.grid.trips[leaf, k] - 1
            if k >= depth:
                found[k] = last
                continue
            here = (same == 0) & (digits[k] > 0)
            found[k] = np.where(here, digits[k] - 1, np.where(same == 0, last, digits[k]))
            same[here] = k + 1
        exists = np.flatnonzero(same)
        return exists, found[:, exists], same[exists]

    def _chains(self) -> list[Rows]:
        """Tile iterations start in order; families that are filled forward do not decrease."""
        rows = []
        for family in self.families.forward:
            before = self._before(int(self.families.leaf[family]))
            exists = np.flatnonzero(before >= 0)
            target = self.families.event(family, exists)
            rows.append(self._rows(target, family, before[exists]))
        for family, parts in self.families.parts:
            itself = self._itself(int(self.families.leaf[family]))
            for part in parts:
                keys = np.flatnonzero(self.families.occurs(part))
                target = self.families.event(family, keys)
                rows.append(self._rows(target, part, itself[keys], own=True))
        return rows

    def _fills(self) -> list[Rows]:
        """A tile iteration starts after its own prefetched fills may start."""
        rows = []
        for (leaf, _), family in self.families.ready.items():
            keys = np.flatnonzero(self.families.occurs(family))
            target = self.families.event(self.families.start[leaf], keys)
            rows.append(self._rows(target, family, self._itself(leaf)[keys], own=True))
        return rows

    def _ready_order(self) -> list[Rows]:
        """The fills of a stream are ready in order."""
        rows = []
        for (leaf, index), family in self.families.ready.items():
            before = self._before(leaf)
            keys = np.flatnonzero(self.families.occurs(family) & (before >= 0))
            target = self.families.event(family, keys)
            last = self.families.last_ready[leaf, index]
            rows.append(self._rows(target, last, before[keys], sound=False))
        return rows

    def _within(self) -> list[Rows]:
        """A task begins after its block may begin."""
        rows = []
        for (leaf, index, _), family in self.families.task.items():
            keys = np.flatnonzero(self.families.occurs(family))
            block = self.families.ready.get((leaf, index), self.families.start[leaf])
            target = self.families.event(family, keys)
            rows.append(self._rows(target, block, self._itself(leaf)[keys], own=True))
        return rows

    # Ports

    def _in_order(self) -> list[Rows]:
        """A port serves the tasks of a leaf in order, and those of a tile iteration in sequence."""
        rows = []
        for (leaf, port), served in self.families.served.items():
            before = self._before(leaf)
            every = self._tasks_on(leaf, port)
            for number, (_, family) in enumerate(every):
                here = self.families.occurs(family)
                keys = np.flatnonzero(here & (before >= 0))
                target = self.families.event(family, keys)
                rows.append(self._rows(target, served, before[keys]))
                for _, ahead in every[:number]:
                    both = np.flatnonzero(here & self.families.occurs(ahead))
                    target = self.families.event(family, both)
                    rows.append(self._rows(target, ahead, self._itself(leaf)[both], own=True))
        return rows

    def _tasks_on(self, leaf: int, port: int) -> list[tuple[int, int]]:
        """Return (position of the block, family) of a leaf's tasks on a port, in sequence."""
        return sorted(
            (index, family)
            for (number, index, other), family in self.families.task.items()
            if (number, other) == (leaf, port)
        )

    def _port_rows(self, *, skewed: bool) -> list[Rows]:
        """A port serves the tasks of different leaves by date."""
        rows = []
        earlier: dict[tuple[int, int], Ints] = {}
        for leaf, port in self.families.served:
            for (other, same_port), served in self.families.served.items():
                if other == leaf or port != same_port:
                    continue
                if (leaf, other) not in earlier:
                    earlier[leaf, other] = self._last_before(leaf, other, skewed=skewed)
                before = earlier[leaf, other]
                for _, family in self._tasks_on(leaf, port):
                    here = self.families.occurs(family)
                    keys = np.flatnonzero(here & (before >= 0))
                    target = self.families.event(family, keys)
                    rows.append(self._rows(target, served, before[keys]))
                    lost = self._lost(leaf, other, skewed)
                    self._note(leaf, np.flatnonzero(here & lost))
        return rows

    def _lost(self, leaf: int, other: int, skewed: bool) -> Mask:
        """Return the points before which the last one of another leaf does not move with the box."""
        return self.lost[leaf, other, skewed]

    def _last_before(self, leaf: int, other: int, *, skewed: bool) -> Ints:
        """Return, per point, the source that is the last point of another leaf with an earlier date.

        -1 where there is none.

        See `lowering.task_graph.logical_dates`: dates are compared by the indices of the loops
        above the split around the split that separates the leaves; then by the turn, the linearized
        index of the loops between the two; then by the branch.
        """
        mine, its = self.leaves[leaf], self.leaves[other]
        at = next(
            i
            for i, (a, b) in enumerate(zip(mine.splits, its.splits, strict=False))
            if a.branch != b.branch
        )
        split, branch = mine.splits[at], its.splits[at].branch
        above = mine.splits[at - 1].depth if at else 0
        delay = 0
        if split.pipeline and skewed:
            shift = self.shifts[split.node]
            delay = shift[split.branch] - shift[branch]
            first = branch > split.branch
        else:
            first = branch < split.branch
        if not first:
            delay -= 1

        def move(digits: Ints) -> tuple[Ints, Mask]:
            return self._moved(other, digits, above, split.depth, delay)

        keys = np.arange(self.grid.sizes[leaf])
        exists, good, base = self._translated(leaf, keys, move, split.depth)
        self.lost[leaf, other, skewed] = exists & ~good
        found = np.full(len(keys), -1)
        some = np.flatnonzero(exists & good)
        found[some] = self._source(leaf, some, other, base[:, some], split.depth)
        return found

    def _moved(
        self, leaf: int, digits: Ints, above: int, depth: int, delay: int
    ) -> tuple[Ints, Mask]:
        """Return the last points of a leaf up to a turn: the given one, and `delay` further.

        Where the turn is beyond the last one of the outer loops' index, it is the last one; where
        it is before the first one, the last point of the previous index.
        """
        radix = self.grid.trips[leaf]
        inner = radix[: self.grid.depth[leaf]] - 1
        found = np.repeat(inner[:, None], digits.shape[1], axis=1)
        found[:above] = digits[:above]
        count = prod(int(radix[k]) for k in range(above, depth))
        turn = np.zeros(digits.shape[1], dtype=np.int64)
        for k in range(above, depth):
            turn = turn * radix[k] + digits[k]
        turn = turn + delay
        early = turn < 0
        rest = np.clip(turn, 0, count - 1)
        for k in range(depth - 1, above - 1, -1):
            found[k] = np.where(early, radix[k] - 1, rest % radix[k])
            rest = rest // radix[k]
        exists = ~early
        for k in range(above - 1, -1, -1):
            back = early & ~exists & (digits[k] > 0)
            found[k] = np.where(
                back, digits[k] - 1, np.where(early & ~exists, radix[k] - 1, found[k])
            )
            exists |= back
        return found, exists

    def _translated(
        self, leaf: int, keys: Ints, move: Callable[[Ints], tuple[Ints, Mask]], depth: int
    ) -> tuple[Mask, Mask, Ints]:
        """Return the sources of a rule that moves loop indices: (exist, move alike, indices).

        Does a source move as its target does in the outer `depth` loops, and not at all in the
        others? `move` consists of integer divisions and of choices by sign, so that it suffices to
        compare the corners of each box (see `lowering.corners`).
        """
        digits = self.digits[leaf][:, keys]
        base, exists = move(digits)
        good = np.ones(len(keys), dtype=np.bool_)
        skipped, period = self.skipped[leaf][:, keys], self.period[leaf][:, keys]
        boxes = np.flatnonzero(skipped[:depth].any(axis=0))
        digits, start = digits[:, boxes], base[:, boxes]
        distance = skipped[:, boxes] * period[:, boxes]
        wide = [k for k in range(min(depth, len(digits))) if distance[k].any()]
        for size in range(1, len(wide) + 1):
            for subset in combinations(wide, size):
                corner, predicted = digits.copy(), start.copy()
                for k in subset:
                    corner[k] += distance[k]
                    predicted[k] += distance[k]
                found, there = move(corner)
                alike = (there == exists[boxes]) & ((found == predicted).all(axis=0) | ~there)
                good[boxes] &= alike
        return exists, good, base

    def _note(self, leaf: int, keys: Ints) -> None:
        """Remember targets with a precedence that does not move with their box."""
        self.undecided += [(leaf, int(key)) for key in keys]

    # Rule 1

    def _flows(self) -> list[Rows]:
        rows = []
        for (number, tensor), source in self.lowered.found.items():
            if source.leaf is None:
                continue
            reader, bringer = self.leaves[number], self.leaves[source.leaf]
            depth, events, targets = storage_reads(self.layout, reader, tensor, source.level)
            target, keys = self._targets(number, events, targets)
            if not source.produces:
                rows += self._from_filler(bringer, tensor, source.level, target, keys, number)
                continue
            pair = Exchange(reader, bringer, tensor, source.level)
            tiles, others = self.layout.tiles[number], self.layout.tiles[source.leaf]
            digits, slopes, affine = pair.last_on_boxes(
                tiles, depth, events, others, pair.holder.depth
            )
            self._note(number, keys[~affine])
            some = np.flatnonzero(affine)
            last = self._source(
                number, keys[some], source.leaf, digits[:, some], 0, slopes[:, :, some]
            )
            rows += [self._rows(target[some], f, last) for f in self._finish(source.leaf)]
            for level in range(source.level + 1, len(bringer.storages(tensor))):
                rows += [
                    self._rows(target[some], family, last, own=True)
                    for family in self._stream(source.leaf, "background", tensor, level)
                ]
        return rows

    def _targets(self, leaf: int, events: Ints, targets: Ints) -> tuple[Ints, Ints]:
        """Return the events that wait, and their grid points."""
        keys = self.keys[leaf][events]
        if len(targets) and targets[0] >= self.layout.iterations:
            index = int(self.graph.sequence[targets[0]])
            return self.families.event(self.families.ready[leaf, index], keys), keys
        return self.families.event(self.families.start[leaf], keys), keys

    def _finish(self, leaf: int) -> list[int]:
        """Return the families whose latest event is the finish of a tile iteration."""
        ports = [f for (number, _), f in self.families.finish.items() if number == leaf]
        return [self.families.start[leaf], *ports]

    def _stream(self, leaf: int, kind: str, tensor: str, level: int) -> list[int]:
        """Return the families of the last tasks, and of the last beginnings, of a stream."""
        for index, block in enumerate(self.layout.blocks[leaf]):
            if (block.kind, block.tensor, block.level) == (kind, tensor, level):
                found = [
                    f for (a, i, _), f in self.families.last.items() if (a, i) == (leaf, index)
                ]
                ready = self.families.last_ready.get((leaf, index))
                return [*found, *([] if ready is None else [ready])]
        return []

    def _from_filler(
        self, filler: Leaf, tensor: str, level: int, target: Ints, keys: Ints, reader: int
    ) -> list[Rows]:
        rows = []
        outer = self.lowered.found[filler.number, tensor].level
        for filled in range(outer + 1, level + 1):
            depth = filler.storages(tensor)[filled].depth
            base = np.zeros((int(self.grid.depth[filler.number]), len(keys)), dtype=np.int64)
            base[:depth] = self.digits[reader][:depth, keys]
            filling = self._source(reader, keys, filler.number, base, depth)
            rows += [
                self._rows(target, family, filling, own=True)
                for family in self._stream(filler.number, "fill", tensor, filled)
            ]
        return rows

    # Rule 2

    def _barriers(self) -> list[Rows]:
        rows = []
        for leaf in self.leaves:
            for at, split in enumerate(leaf.splits):
                if split.pipeline:
                    continue
                for other in self.leaves:
                    theirs = other.splits[at] if at < len(other.splits) else None
                    if theirs is None or theirs.node != split.node:
                        continue
                    if theirs.branch != split.branch:
                        rows += self._barrier(
                            leaf, other, split.depth, theirs.branch < split.branch
                        )
        return rows

    def _barrier(self, leaf: Leaf, other: Leaf, depth: int, earlier: bool) -> list[Rows]:
        tiles = self.layout.tiles[leaf.number]
        keys = self.keys[leaf.number][tiles.firsts(depth)]
        digits = self._widened(leaf.number, other.number, depth, keys)
        if earlier:
            base = np.repeat(
                (self.grid.trips[other.number, : self.grid.depth[other.number]] - 1)[:, None],
                len(keys),
                axis=1,
            )
            base[:depth] = digits[:depth]
            some, same = np.arange(len(keys)), np.full(len(keys), depth)
        else:
            some, base, same = self._previous(other.number, digits, depth)
        target = self.families.event(self.families.start[leaf.number], keys[some])
        source = self._source(leaf.number, keys[some], other.number, base, same)
        return [self._rows(target, family, source) for family in self._finish(other.number)]

    def _widened(self, leaf: int, other: int, depth: int, keys: Ints) -> Ints:
        """Return the indices of common loops, in as many loops as another leaf has."""
        digits = np.zeros((int(self.grid.depth[other]), len(keys)), dtype=np.int64)
        digits[:depth] = self.digits[leaf][:depth, keys]
        return digits

    # Rule 3

    def _capacity(self) -> list[Rows]:
        rows = []
        for leaf in self.leaves:
            number = leaf.number
            for tensor in leaf.einsum.outputs:
                slots = self._slots(tensor)
                for level, holder in enumerate(leaf.storages(tensor)):
                    if holder.depth == 0 or slots is None:
                        continue
                    firsts = self.keys[number][self.layout.tiles[number].firsts(holder.depth)]
                    start = self.families.event(self.families.start[number], firsts)
                    if self._exchanged(leaf, tensor, level):
                        rows += self._after_touches(number, firsts, start, tensor, holder, slots)
                    families = self._stream(number, "background", tensor, level)
                    if families:
                        some, base, same = self._tiles_before(number, firsts, tensor, holder, slots)
                        base[holder.depth :] = (
                            self.grid.trips[number, holder.depth : len(base)] - 1
                        )[:, None]
                        last = self._source(number, firsts[some], number, base, same)
                        rows += [self._rows(start[some], f, last) for f in families]
            for index, block in enumerate(self.layout.blocks[number]):
                if block.kind != "fill":
                    continue
                assert block.tensor is not None
                holder = leaf.storages(block.tensor)[block.level]
                slots = self._slots(block.tensor)
                if holder.depth == 0 or slots is None:
                    continue
                family = self.families.ready[number, index]
                keys = np.flatnonzero(self.families.occurs(family))
                target = self.families.event(family, keys)
                rows += self._after_touches(number, keys, target, block.tensor, holder, slots)
        return rows

    def _slots(self, tensor: str) -> int | None:
        if isinstance(self.slots, Mapping):
            return self.slots.get(tensor, 2)
        return self.slots

    def _exchanged(self, producer: Leaf, tensor: str, level: int) -> bool:
        """Whether some consumer reads through a storage of the producer."""
        nodes = {h.node: i for i, h in enumerate(producer.storages(tensor))}
        return any(
            max(nodes.get(h.node, -1) for h in reader.storages(tensor)) == level
            for reader in self.leaves[producer.number + 1 :]
            if tensor in reader.einsum.inputs
        )

    def _after_touches(
        self, leaf: int, keys: Ints, target: Ints, tensor: str, holder: PathHolder, slots: int
    ) -> list[Rows]:
        rows = []
        some, base, same = self._tiles_before(leaf, keys, tensor, holder, slots)
        depth = holder.depth
        sharing = leaves_sharing(self.leaves, tensor, holder)
        existing = joint_tile_keys([self.layout.tiles[o.number] for o in sharing], depth)
        for other in sharing:
            number = other.number
            inner = self._last_touching(number, tensor, holder, len(existing))
            if inner is None:
                continue
            last = np.zeros((int(self.grid.depth[number]), len(some)), dtype=np.int64)
            last[:depth] = base[:depth]
            ends = self.grid.trips[number, : self.grid.depth[number]] - 1
            last[depth:] = ends[depth:, None]
            sound, digits = inner
            if digits is not None:
                last[depth:] = digits[:, None]
            source = self._source(leaf, keys[some], number, last, same)
            rows += [
                self._rows(target[some], family, source, sound=sound)
                for family in self._finish(number)
            ]
        return rows

    def _last_touching(
        self, leaf: int, tensor: str, holder: PathHolder, tiles_of_all: int
    ) -> tuple[bool, Ints | None] | None:
        """Return which tile iteration of a leaf touches a tile of a holder last.

        None if no tile iteration does. Else whether it is the same one in every tile, and its
        indices in the loops inside the holder (None: the last one). Where tiles differ, it is the
        last one of the tile, which finishes no earlier.
        """
        tiles = self.layout.tiles[leaf]
        touching = np.zeros(tiles.size, dtype=np.bool_)
        for block in self.layout.blocks[leaf]:
            for access in block.accesses:
                if access.component == holder.component and access.tensor == tensor:
                    touching[access.iterations] = True
        if not touching.any():
            return None
        lasts = tiles.lasts(holder.depth)
        if touching[lasts].all():
            return len(lasts) == tiles_of_all, None
        places = np.flatnonzero(touching)
        prefix = tiles.prefix_keys(holder.depth)[places]
        final = places[np.append(prefix[1:] != prefix[:-1], True)]
        digits = tiles.digits[holder.depth :, final]
        if (digits == digits[:, :1]).all() and len(final) == len(lasts):
            return len(lasts) == tiles_of_all, digits[:, 0]
        return False, None

    def _tiles_before(
        self, leaf: int, keys: Ints, tensor: str, holder: PathHolder, slots: int
    ) -> tuple[Ints, Ints, Ints]:
        """Return the tile `slots` tiles before each point's tile of a holder."""
        depth = holder.depth
        sharing = leaves_sharing(self.leaves, tensor, holder)
        existing = joint_tile_keys([self.layout.tiles[o.number] for o in sharing], depth)
        radix = self.grid.trips[leaf, :depth]
        full = len(existing) == prod(self.grid.count[leaf, :depth].tolist())

        def previous(digits: Ints) -> tuple[Ints, Mask]:
            found = digits.copy()
            borrow = np.ones(digits.shape[1], dtype=np.bool_)
            for k in range(depth - 1, -1, -1):
                down = borrow & (found[k] > 0)
                found[k] = np.where(down, found[k] - 1, np.where(borrow, radix[k] - 1, found[k]))
                borrow &= ~down
            return found, ~borrow

        def move(digits: Ints) -> tuple[Ints, Mask]:
            found, exists = digits.copy(), np.ones(digits.shape[1], dtype=np.bool_)
            for _ in range(slots):
                found, some = previous(found)
                exists &= some
                if full:
                    continue
                while True:
                    absent = exists & ~self._tile_exists(leaf, found, depth, existing)
                    if not absent.any():
                        break
                    moved, some = previous(found)
                    found = np.where(absent, moved, found)
                    exists &= some | ~absent
            return found, exists

        exists, good, base = self._translated(leaf, keys, move, depth)
        self._note(leaf, keys[exists & ~good])
        some = np.flatnonzero(exists & good)
        return some, base[:, some], np.full(len(some), depth)

    def _tile_exists(self, leaf: int, digits: Ints, depth: int, existing: Ints) -> Mask:
        tiles = self.layout.tiles[leaf]
        places = np.zeros((depth, digits.shape[1]), dtype=np.int64)
        for k in range(depth):
            places[k], _, _ = tiles.kept[k].locate(np.maximum(digits[k], 0))
        keys = tiles.keys_of(places)
        at = np.minimum(np.searchsorted(existing, keys), len(existing) - 1)
        return existing[at] == keys


def _grid(layout: Numbering) -> Grid:
    leaves, width = len(layout.tiles), max(layout.depth, 1)
    depth = np.array([tiles.depth for tiles in layout.tiles])
    trips, count = (np.ones((leaves, width), dtype=np.int64) for _ in range(2))
    stride = np.ones((leaves, width), dtype=np.int64)
    runs, places = (np.zeros((leaves, width + 1), dtype=np.int64) for _ in range(2))
    first: list[Ints] = []
    place: list[Ints] = []
    length: list[Ints] = []
    digit: list[Ints] = []
    period: list[Ints] = []
    skipped: list[Ints] = []
    for leaf, tiles in enumerate(layout.tiles):
        for k, kept in enumerate(tiles.kept):
            trips[leaf, k], count[leaf, k] = kept.trips, kept.count
            runs[leaf, k] = sum(len(part) for part in first)
            places[leaf, k] = sum(len(part) for part in digit)
            starts, at, periods = kept.ranges
            first.append(starts - periods)
            place.append(at)
            length.append(periods)
            digit.append(kept.digits)
            period.append(kept.period_lengths)
            skipped.append(kept.multiplicity - 1)
        runs[leaf, tiles.depth :] = sum(len(part) for part in first)
        places[leaf, tiles.depth :] = sum(len(part) for part in digit)
        for k in range(tiles.depth - 2, -1, -1):
            stride[leaf, k] = stride[leaf, k + 1] * count[leaf, k + 1]
    none = [np.zeros(0, dtype=np.int64)]
    return Grid(
        depth,
        trips,
        count,
        stride,
        runs,
        *(np.concatenate(none + parts) for parts in (first, place, length)),
        places,
        *(np.concatenate(none + parts) for parts in (digit, period, skipped)),
    )
