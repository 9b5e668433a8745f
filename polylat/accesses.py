"""Footprints → accesses: how many of each, and in which tile iteration.

Counting follows AccelForge, element by element. Everything here is a count of elements; what an access
takes in time is the architecture's matter (`Component.actions_per_value`, `Port.durations`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from polylat.errors import UnsupportedError
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.relations import (
    GroupText,
    groups,
    last_of_each,
    ranks_of,
    set_text,
    solve,
)
from polylat.lowering.scan import Ints
from polylat.lowering.sharing import Source
from polylat.lowering.tiles import Tiles, interval, tied_groups
from polylat.spec.arch import Component

__all__ = ["Access", "Block", "Transfer", "leaf_blocks", "tile_elements"]

Kind = Literal["fill", "foreground", "background"]


@dataclass(frozen=True, eq=False)
class Access:
    """One kind of access of a leaf.

    Parameters
    ----------
    component, tensor, action
        What is done, where, to what (no tensor for a computation).
    iterations
        The tile iterations that have the access, increasing.
    counts
        How many values each accesses (of one unit, the busiest).
    """

    component: str
    tensor: str | None
    action: str
    iterations: Ints
    counts: Ints


@dataclass(frozen=True, eq=False)
class Transfer:
    """Movement of a tensor between two neighbouring storages (or storage and Compute).

    Parameters
    ----------
    tensor
        The tensor.
    level
        Index of the inner storage among the tensor's storages; their number for the Compute.
    upward
        True for a write-back, False for a fill, a read-back or an operand.
    readback
        Whether it brings back what was written back before.
    accesses
        What it accesses.
    """

    tensor: str
    level: int
    upward: bool
    readback: bool
    accesses: tuple[Access, ...]


@dataclass(frozen=True, eq=False)
class Block:
    """The accesses of a leaf that are served as one block per tile iteration and port.

    Parameters
    ----------
    kind
        Prefetched fill, foreground or background write-back.
    tensor, level
        Of a fill or a write-back: the tensor and the index of the storage filled or left.
    transfers
        The movements that belong to it.
    compute
        The computation itself (foreground only).
    """

    kind: Kind
    tensor: str | None
    level: int
    transfers: tuple[Transfer, ...]
    compute: Access | None = None

    def accesses(self) -> Iterator[Access]:
        """All accesses, in the order of the Einsum's accesses."""
        for transfer in self.transfers:
            yield from transfer.accesses
        if self.compute is not None:
            yield self.compute


def leaf_blocks(
    tiles: Tiles,
    components: Mapping[str, Component],
    found: Mapping[str, Source],
    background: frozenset[tuple[str, str]],
) -> tuple[Block, ...]:
    """Accesses of a leaf, as blocks in the order in which a port serves them.

    Parameters
    ----------
    tiles
        The leaf's tile iterations.
    components
        Component name → the component as this Einsum sees it.
    found
        Input tensor → where it is found (`sources`).
    background
        (tensor, component) pairs whose write-backs are in the background.
    """
    leaf = tiles.leaf
    if leaf.einsum.is_copy:
        return (Block("foreground", None, 0, _copies(tiles, components)),)
    fills: list[tuple[int, int, Block]] = []
    backs: list[tuple[int, int, Block]] = []
    foreground: list[Transfer] = []
    for rank, access in enumerate(leaf.einsum.accesses):
        tensor = access.tensor
        storages = leaf.storages(tensor)
        counter = _Counter(tiles, tensor, components)
        for level in range(1, len(storages)):
            holder = storages[level]
            place = leaf.holders[tensor].index(holder)
            if not access.output:
                if level <= found[tensor].level:
                    continue
                fill = counter.fill(level)
                if holder.above_split:
                    fills.append((place, rank, Block("fill", tensor, level, (fill,))))
                else:
                    foreground.append(fill)
                continue
            foreground.append(counter.read_back(level))
            back = counter.write_back(level)
            if (tensor, holder.component) in background:
                backs.append((-place, rank, Block("background", tensor, level, (back,))))
            else:
                foreground.append(back)
        foreground += counter.operands()
    fills.sort(key=lambda item: item[:2])
    backs.sort(key=lambda item: item[:2])
    compute = Access(
        leaf.component, None, "compute", np.arange(tiles.size), _operations(tiles)
    )
    front = Block("foreground", None, 0, tuple(t for t in foreground if t.accesses), compute)
    return (*(b for *_, b in fills), front, *(b for *_, b in backs))


def _copies(tiles: Tiles, components: Mapping[str, Component]) -> tuple[Transfer, ...]:
    """Movements of a copy Einsum, as AccelForge counts them.

    The output's holders are further ones of the input, all but the outermost in a component left
    out, and data flows outwards only: each tile is read in its storage and written to the one
    above it. There is no computation.
    """
    leaf = tiles.leaf
    if len(leaf.einsum.inputs) != 1:
        raise UnsupportedError(
            f"copy Einsum {leaf.einsum.name!r} has {len(leaf.einsum.inputs)} inputs",
            where=leaf.einsum.where or leaf.where or None,
            mend="give it one input",
        )
    outermost: dict[str, PathHolder] = {}
    for holder in sorted(
        (h for holders in leaf.holders.values() for h in holders),
        key=lambda h: (h.position, h.node),
    ):
        outermost.setdefault(holder.component, holder)
    holders = tuple(outermost.values())
    counter = _Counter(tiles, leaf.einsum.inputs[0], components, holders)
    moves = (counter.push_out(level) for level in range(1, len(counter.storages)))
    return tuple(move for move in moves if move.accesses)


@dataclass(frozen=True, eq=False)
class _Side:
    """One end of a transfer: who counts, and which Spatial loops its count sums over."""

    component: str
    action: str
    position: int
    toll: bool = False


def tile_elements(tiles: Tiles, components: Mapping[str, Component], tensor: str, level: int) -> Ints:
    """Elements of a storage's tile that a leaf touches (one unit's), per tile iteration."""
    counter = _Counter(tiles, tensor, components)
    storage = counter.storages[level]
    return counter.footprint(level, _Side(storage.component, "read", storage.position))


class _Counter:
    """Counts the transfers of one tensor of one leaf."""

    def __init__(
        self,
        tiles: Tiles,
        tensor: str,
        components: Mapping[str, Component],
        holders: Sequence[PathHolder] = (),
    ) -> None:
        self.tiles = tiles
        self.leaf = tiles.leaf
        self.tensor = tensor
        self.access = tiles.leaf.einsum.access(tensor)
        self.components = components
        self.holders = tuple(holders) or self.leaf.holders[tensor]
        self.storages = tuple(h for h in self.holders if not h.toll)
        self.groups = groups(
            self.leaf.einsum.rank_variables,
            [index.variables for index in self.access.projection],
            [c.variables for c in self.leaf.coupled],
        )

    def fill(self, level: int) -> Transfer:
        """Fills of the storage: each tile whole, in the tile iteration that enters it."""
        depth = self.storages[level].depth
        accesses = [
            self._access(side, self._at_entry(depth, self.footprint(level, side)))
            for side in self._sides(level, upward=False)
        ]
        return Transfer(self.tensor, level, False, False, _nonempty(accesses))

    def read_back(self, level: int) -> Transfer:
        """What enters the storage again because it was written back from it before."""
        depth = self.storages[level].depth
        skip_here = self._skips(level)
        accesses = []
        for side in self._sides(level, upward=False):
            whole = self.footprint(level, side)
            parent = side.position < self.storages[level].position and not side.toll
            if skip_here and (not parent or self._skips(level - 1)):
                whole = whole - self._first(depth, level, side)
            accesses.append(self._access(side, self._at_entry(depth, whole)))
        return Transfer(self.tensor, level, False, True, _nonempty(accesses))

    def push_out(self, level: int) -> Transfer:
        """Each tile of the storage whole to the one above it (copy Einsums)."""
        depth = self.storages[level].depth
        accesses = [
            self._access(side, self._at_entry(depth, self.footprint(level, side)))
            for side in self._sides(level, upward=True)
        ]
        return Transfer(self.tensor, level, True, False, _nonempty(accesses))

    def write_back(self, level: int) -> Transfer:
        """Each element once per tile of the storage, where it is updated last within it."""
        accesses = [
            self._access(side, self._last(level, side))
            for side in self._sides(level, upward=True)
        ]
        return Transfer(self.tensor, level, True, False, _nonempty(accesses))

    def operands(self) -> list[Transfer]:
        """What the operations themselves read and write, in the innermost storage."""
        level = len(self.storages)
        if not self.access.output:
            reads = [
                self._access(side, self._all(side)) for side in self._sides(level, upward=False)
            ]
            return [Transfer(self.tensor, level, False, False, _nonempty(reads))]
        skips = self.components[self.leaf.component].skip_initial_output_write
        reads = []
        for side in self._sides(level, upward=False):
            count = self._all(side)
            if skips and (side.toll or self._skips(level - 1)):
                count = count - self._first(self.tiles.depth, level, side)
            reads.append(self._access(side, count))
        writes = [
            self._access(side, self._all(side)) for side in self._sides(level, upward=True)
        ]
        return [
            Transfer(self.tensor, level, False, False, _nonempty(reads)),
            Transfer(self.tensor, level, True, False, _nonempty(writes)),
        ]

    def _skips(self, level: int) -> bool:
        return self.components[self.storages[level].component].skip_initial_output_write

    def _sides(self, level: int, *, upward: bool) -> list[_Side]:
        """Who takes part in a transfer between two neighbouring storages."""
        parent = self.storages[level - 1]
        child = self.storages[level] if level < len(self.storages) else None
        come, go = ("write", "read") if upward else ("read", "write")
        sides = [_Side(parent.component, come, parent.position)]
        for holder in self.holders[self.holders.index(parent) + 1 :]:
            if not holder.toll:
                break
            direction = self.components[holder.component].direction.get(self.tensor)
            if direction in ("up_and_down", "up" if upward else "down"):
                sides.append(_Side(holder.component, "read", holder.position, toll=True))
        if child is not None:
            sides.append(_Side(child.component, go, child.position))
        return sides

    def _access(self, side: _Side, counts: Ints) -> Access:
        there = np.flatnonzero(counts)
        return Access(side.component, self.tensor, side.action, there, counts[there])

    def _at_entry(self, depth: int, per_iteration: Ints) -> Ints:
        """Keep a count where a new tile is entered."""
        counts = np.zeros(self.tiles.size, dtype=np.int64)
        firsts = self.tiles.firsts(depth)
        counts[firsts] = per_iteration[firsts]
        return counts

    # Counts per tile iteration, as products over the groups.

    def _summed(self, child_position: int, side: _Side) -> list[int]:
        """Spatial loops between a side and the inner end that multiply the side's count.

        All of them, except where the tensor does not depend on the variable and the hardware may
        multicast (inputs) or reduce (outputs) over the dimension.
        """
        summed = []
        for p, loop in enumerate(self.leaf.loops):
            if loop.unit is None or not side.position <= p < child_position:
                continue
            component = self.components[loop.unit[0]]
            dim = next(d for d in component.spatial if d.name == loop.unit[1])
            if loop.variable in self.access.variables or self.tensor not in dim.may_reuse:
                summed.append(p)
        return summed

    def footprint(self, level: int, side: _Side) -> Ints:
        storage = self.storages[level]
        summed = self._summed(storage.position, side)
        return self._product(
            lambda g: g.footprint(storage.depth, summed, range(storage.position))
        )

    def _first(self, depth: int, level: int, side: _Side) -> Ints:
        child = self._child_position(level)
        summed = self._summed(child, side)
        return self._product(lambda g: g.first(depth, summed, range(child)))

    def _last(self, level: int, side: _Side) -> Ints:
        storage = self.storages[level]
        summed = self._summed(storage.position, side)
        return self._product(
            lambda g: g.last(storage.depth, summed, range(storage.position))
        )

    def _all(self, side: _Side) -> Ints:
        summed = self._summed(len(self.leaf.loops), side)
        counts = np.ones(self.tiles.size, dtype=np.int64)
        for variables in tied_groups(self.leaf):
            counts = counts * _Group(self.tiles, variables, ()).operations(summed)
        return counts

    def _child_position(self, level: int) -> int:
        if level < len(self.storages):
            return self.storages[level].position
        return len(self.leaf.loops)

    def _product(self, count: object) -> Ints:
        total = np.ones(self.tiles.size, dtype=np.int64)
        for variables, ranks in self.groups:
            total = total * count(  # type: ignore[operator]
                _Group(self.tiles, variables, [self.access.projection[r] for r in ranks])
            )
        return total


class _Group:
    """Counts for one group of variables and the indices that they make.

    A group of one variable is counted in closed form: its tiles are intervals. Larger groups
    (windows, constraints that tie variables together) are asked of ISL.
    """

    def __init__(self, tiles: Tiles, variables: Sequence[str], indices: Sequence[object]) -> None:
        self.tiles = tiles
        self.leaf = tiles.leaf
        self.variables = tuple(variables)
        self.indices = tuple(indices)
        self.loops = [
            k for k, loop in enumerate(self.leaf.temporal) if loop.variable in self.variables
        ]
        self.positions = [p for p, loop in enumerate(self.leaf.loops) if loop.unit is None]
        self.tied = any(set(c.variables) & set(self.variables) for c in self.leaf.coupled)

    @property
    def simple(self) -> bool:
        return len(self.variables) == 1 and not self.tied

    def footprint(self, depth: int, summed: Sequence[int], above: range) -> Ints:
        """Elements of a tile at `depth`, for each tile iteration in it."""
        loops = self._within(depth)
        if self.simple:
            lengths = self._lengths(loops, self._mine(summed), above)
            table = lengths if self.indices else np.minimum(lengths, 1)
            return self._look_up(loops, _sum_tail(table, len(loops)))
        found = self._points(loops, summed, above)
        return self._tally(loops, found)

    def first(self, depth: int, summed: Sequence[int], above: range) -> Ints:
        """Elements of a tile at `depth` that no earlier tile touches."""
        loops = self._within(depth)
        if self.simple:
            table = self._lengths(loops, self._mine(summed), above)
            if not self.indices:
                table = _first_existing(table > 0, len(loops))
            return self._look_up(loops, _sum_tail(table, len(loops)))
        found = self._extreme(loops, [], summed, above, "lexmin")
        return self._tally(loops, found)

    def last(self, depth: int, summed: Sequence[int], above: range) -> Ints:
        """Elements that a tile iteration touches last within its tile at `depth`."""
        loops = self._within(self.tiles.depth)
        outer = self._within(depth)
        if self.simple:
            # Below the storage an element belongs to one unit (if its index depends on it): sum
            # over the units of Spatial loops that a loop of the tile iteration stands in.
            innermost = max((self.positions[k] for k in loops), default=-1)
            below = [p for p in self._spatial() if p not in above and p < innermost]
            mine = sorted({*self._mine(summed), *(below if self.indices else ())})
            table = self._lengths(loops, mine, range(max(len(above), innermost)))
            if not self.indices:
                table = _last_existing(table > 0, len(outer), len(loops))
            return self._look_up(loops, _sum_tail(table, len(loops)))
        inner = [k for k in loops if k not in outer]
        found = self._extreme(outer, inner, summed, above, "lexmax")
        order = [*outer, *inner]
        columns = [order.index(k) for k in loops]
        return self._tally(loops, found[:, columns])

    def operations(self, summed: Sequence[int]) -> Ints:
        """Operations of a tile iteration: the first unit's, or summed over units."""
        loops = self._within(self.tiles.depth)
        if self.simple:
            everywhere = range(len(self.leaf.loops))
            table = self._lengths(loops, self._mine(summed), everywhere)
            return self._look_up(loops, _sum_tail(table, len(loops)))
        mine = self._mine(summed)
        zero = [p for p, loop in enumerate(self.leaf.loops) if loop.unit and p not in mine]
        text = GroupText(self.leaf, self.variables, "x", self._shown(loops, mine), zero)
        dims = [*self._names(text, loops, mine), *text.values.values()]
        hidden = [h for h in text.hidden if h not in dims]
        return self._tally(loops, solve(set_text(dims, hidden, text.conditions)))

    def _within(self, depth: int) -> list[int]:
        return [k for k in self.loops if k < depth]

    def _mine(self, positions: Sequence[int]) -> list[int]:
        return [p for p in positions if self.leaf.loops[p].variable in self.variables]

    def _spatial(self) -> list[int]:
        return [
            p
            for p, loop in enumerate(self.leaf.loops)
            if loop.unit is not None and loop.variable in self.variables
        ]

    def _shown(self, loops: Sequence[int], spatial: Sequence[int]) -> list[int]:
        return [*(self.positions[k] for k in loops), *spatial]

    def _names(self, text: GroupText, loops: Sequence[int], spatial: Sequence[int]) -> list[str]:
        return [text.shown[p] for p in self._shown(loops, spatial)]

    def _lengths(self, loops: Sequence[int], summed: Sequence[int], first_unit: range) -> Ints:
        """Length of the variable's tile: axes are the loops, then the units summed over.

        Other Spatial loops stand at their first unit where `first_unit` has their position, and
        are left out (all units together) elsewhere. Temporal loops that are not shown but stand
        above a Spatial loop that is count in full: a unit's tile is what it gets of all of them.
        """
        variable = self.variables[0]
        mine = [p for p, loop in enumerate(self.leaf.loops) if loop.variable == variable]
        spatial = [p for p in mine if self.leaf.loops[p].unit is not None]
        shown = self._shown(loops, summed)
        fixed = [p for p in spatial if p in first_unit and p not in shown]
        innermost = max([*summed, *fixed], default=-1)
        inside = [p for p in mine if p < innermost and p not in shown and p not in spatial]
        shape = tuple(self.leaf.trips[p] for p in (*shown, *inside))
        grids = np.indices(shape, sparse=True)
        digits: dict[int, Ints | int] = dict.fromkeys(fixed, 0)
        digits.update(zip((*shown, *inside), grids, strict=True))
        start, end = interval(self.leaf, variable, digits)
        lengths = np.broadcast_to(np.maximum(np.asarray(end - start), 0), shape)
        return _sum_tail(lengths, len(shown))

    def _look_up(self, loops: Sequence[int], table: Ints) -> Ints:
        """Table over the loops' indices → per tile iteration."""
        if not loops:
            return np.full(self.tiles.size, int(table), dtype=np.int64)
        index = np.zeros(self.tiles.size, dtype=np.int64)
        for k in loops:
            index = index * self.leaf.temporal_trips[k] + self.tiles.digits[k]
        return np.ascontiguousarray(table).reshape(-1)[index]

    def _tally(self, loops: Sequence[int], found: Ints) -> Ints:
        """Number of rows for each value of the first columns, the loops' indices."""
        shape = [self.leaf.temporal_trips[k] for k in loops]
        index = np.zeros(len(found), dtype=np.int64)
        for column, radix in enumerate(shape):
            index = index * radix + found[:, column]
        size = int(np.prod(shape, dtype=np.int64))
        table = np.bincount(index, minlength=size).astype(np.int64)
        return self._look_up(loops, table.reshape(shape))

    def _text(self, loops: Sequence[int], summed: Sequence[int], above: range) -> GroupText:
        mine = self._mine(summed)
        zero = [p for p in above if self.leaf.loops[p].unit is not None and p not in mine]
        return GroupText(self.leaf, self.variables, "x", self._shown(loops, mine), zero)

    def _elements(self, text: GroupText) -> tuple[list[str], list[str]]:
        names = [f"z{i}" for i in range(len(self.indices))]
        equal = [
            f"{name} = {text.index(index)}"  # type: ignore[arg-type]
            for name, index in zip(names, self.indices, strict=True)
        ]
        return names, equal

    def _points(self, loops: Sequence[int], summed: Sequence[int], above: range) -> Ints:
        text = self._text(loops, summed, above)
        names, equal = self._elements(text)
        dims = [*self._names(text, loops, self._mine(summed)), *names]
        return solve(set_text(dims, text.hidden, [*text.conditions, *equal]))

    def _extreme(
        self,
        outer: Sequence[int],
        inner: Sequence[int],
        summed: Sequence[int],
        above: range,
        want: str,
    ) -> Ints:
        """Per element (and outer index, and unit) its first or last toucher; outer ones first.

        For the first toucher of all, `outer` are the loops compared and `inner` is empty.
        """
        compared = list(inner) if want == "lexmax" else list(outer)
        fixed = list(outer) if want == "lexmax" else []
        mine = self._mine(summed)
        text = self._text([*fixed, *compared], summed, above)
        names, equal = self._elements(text)
        source = [*(text.shown[self.positions[k]] for k in fixed), *names]
        source += [text.shown[p] for p in mine]
        target = [text.shown[self.positions[k]] for k in compared]
        relation = set_text([*source, *target], text.hidden, [*text.conditions, *equal])
        found = solve(relation, want, len(source))
        columns = [*range(len(fixed)), *range(len(source), len(source) + len(target))]
        return found[:, columns]


def _operations(tiles: Tiles) -> Ints:
    counts = np.ones(tiles.size, dtype=np.int64)
    for variables in tied_groups(tiles.leaf):
        counts = counts * _Group(tiles, variables, ()).operations(())
    return counts


def _nonempty(accesses: Sequence[Access]) -> tuple[Access, ...]:
    return tuple(a for a in accesses if len(a.iterations))


def _sum_tail(table: Ints, axes: int) -> Ints:
    """Sum over all axes but the first ones."""
    return table.sum(axis=tuple(range(axes, table.ndim)), dtype=np.int64)


def _first_existing(exists: np.ndarray, axes: int) -> Ints:
    """1 where an index is the first that exists (for each unit), over the first axes."""
    flat = exists.reshape(int(np.prod(exists.shape[:axes], dtype=np.int64)), -1)
    first = np.zeros(flat.shape, dtype=np.int64)
    units = np.arange(flat.shape[1])
    first[flat.argmax(axis=0), units] = flat.any(axis=0)
    return first.reshape(exists.shape)


def _last_existing(exists: np.ndarray, outer: int, axes: int) -> Ints:
    """1 where an index is the last that exists, for each outer index and each unit."""
    head = int(np.prod(exists.shape[:outer], dtype=np.int64))
    body = int(np.prod(exists.shape[outer:axes], dtype=np.int64))
    flat = exists.reshape(head, body, -1)
    last = np.zeros(flat.shape, dtype=np.int64)
    where = body - 1 - flat[:, ::-1].argmax(axis=1)
    rows, units = np.indices(where.shape)
    last[rows, where, units] = flat.any(axis=1)
    return last.reshape(exists.shape)
