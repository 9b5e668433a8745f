"""What all variants of a mapping share: counted, related and numbered once.

The task graph of every variant is a part of one graph. Its blocks are those of the mapping with all
write-backs in the background; where one is in the foreground, its accesses belong to the foreground
block, and its own block has nothing to do. An edge is there for all variants, or depends on one
choice: whether a split is Sequential, a write-back in the background, or how many slots a tensor
has. So a variant is a few flags, and its graph is what these let through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np

from polylat.accesses.blocks import Block
from polylat.accesses.counting import leaf_blocks, tile_elements
from polylat.dependences.layout import Layout
from polylat.dependences.rules import Part, Rules, Slots
from polylat.dependences.skew import distances, shifts_by
from polylat.exploration import kernels
from polylat.lowering.kept import Kept
from polylat.lowering.paths import Leaf
from polylat.lowering.scan import Ints
from polylat.lowering.sharing import sharers
from polylat.lowering.tiles import common_keys, shared_radices, tiles
from polylat.model import Lowered
from polylat.schedule.graph import ranks
from polylat.schedule.kernels import by_key
from polylat.tasks import PortKey, costs, own_stages, separations

__all__ = ["Cell", "Row", "Structure", "TooCostlyError", "capacity_tensors", "write_backs"]

Pair = tuple[str, str]
"""(tensor, component written back from)"""
_KINDS = {"fill": 0, "foreground": 1, "background": 2}
_LIMIT = 1 << 61
_MOST_KNOWN = 10_000
"""With more rows than this, those of a cell are forgotten."""


class TooCostlyError(Exception):
    """Times do not fit 64 bits."""


@dataclass(frozen=True, eq=False)
class _Tasks:
    """All tasks that a variant may have, by block.

    Parameters
    ----------
    block, column
        The block; and the port, as a number of (leaf, component, port of the component).
    load
        How long it takes by itself.
    pair
        The write-back that has to be in the background for it, -1 if none.
    """

    block: Ints
    column: Ints
    load: Ints
    pair: Ints


@dataclass(frozen=True, eq=False)
class _Added:
    """What write-backs in the foreground add to the tasks of foreground blocks."""

    task: Ints
    load: Ints
    pair: Ints


@dataclass(frozen=True, eq=False)
class _Touches:
    """Which blocks access which tiles of a holder.

    Parameters
    ----------
    tile, component
        The tile, numbered over all holders; and the component.
    block, own, pair
        The block; and where the access is a write-back (`pair` ≥ 0), the block in the background.
    """

    tile: Ints
    component: Ints
    block: Ints
    own: Ints
    pair: Ints


@dataclass(frozen=True, eq=False)
class _Held:
    """Tiles of all holders.

    Parameters
    ----------
    holder
        Per tile, its holder, as an index into `holders`.
    bits
        Per tile, its size, in units of ``1 / denominator``.
    first, last
        Per tile, whether it is resident from the start, and to the end.
    holders
        Per holder its component and the leaf through which it is known.
    denominator
        See `bits`.
    """

    holder: Ints
    bits: Ints
    first: np.ndarray
    last: np.ndarray
    holders: tuple[tuple[str, int], ...]
    denominator: int


@dataclass(frozen=True)
class Row:
    """What one variant of a cell comes to.

    Parameters
    ----------
    makespan
        The last finish; -1 if no order agrees with the dependences.
    order
        Which order it is of.
    peaks
        Per memory of the cell, the most bits that are resident, in units of ``1 / denominator``.
    """

    makespan: int
    order: int
    peaks: tuple[int, ...]


@dataclass(frozen=True)
class _Known:
    """What was timed of a cell in some orders.

    Parameters
    ----------
    numbers
        (write-backs in the background, slots of each tensor, 0: unlimited), as bytes → row.
    rows
        What it comes to.
    held
        Per row, shape (tensors, numbers of slots): what it keeps within, whether it has to or not.
    """

    numbers: dict[bytes, int]
    rows: list[Row]
    held: list[np.ndarray]


class Structure:
    """A lowered mapping, all of its tile iterations, and the choices that do not change these.

    Parameters
    ----------
    lowered
        The mapping. The kinds of its splits do not count.
    pairs
        The write-backs that may be in the background.
    slots
        Numbers of slots that any tensor may have.

    Raises
    ------
    MappingError
        Something is read that nobody brought there.
    TooCostlyError
        Times do not fit 64 bits.
    """

    def __init__(
        self, lowered: Lowered, pairs: Iterable[Pair], slots: Iterable[int | None]
    ) -> None:
        self.lowered = lowered
        self.spec = lowered.spec
        self.leaves = _with_splits(lowered.leaves, pipeline=False)
        kept = {node: Kept(trips) for node, trips in shared_radices(self.leaves).items()}
        made = [tiles(leaf, n, kept) for leaf, n in zip(self.leaves, lowered.depths, strict=True)]
        self.pairs = tuple(pairs)
        blocks: list[tuple[Block, ...]] = []
        for leaf, some in zip(self.leaves, made, strict=True):
            components = {c.name: c for c in self.spec.arch.paths[leaf.einsum.name]}
            mine = {t: s for (n, t), s in lowered.found.items() if n == leaf.number}
            blocks.append(leaf_blocks(some, components, mine, frozenset(self.pairs)))
        self.layout = Layout.of(made, blocks)
        self.costs = costs(self.spec, self.leaves, made, blocks)
        if self.costs.exact:
            raise TooCostlyError
        self.streams: dict[tuple[int, str, int], int] = {}
        """Write-backs, (leaf, tensor, level), and their number."""
        for leaf, some_blocks in zip(self.leaves, blocks, strict=True):
            for block in some_blocks:
                if block.kind == "background" and block.tensor is not None:
                    component = leaf.storages(block.tensor)[block.level].component
                    number = self.pairs.index((block.tensor, component))
                    self.streams[leaf.number, block.tensor, block.level] = number
        whole = sorted({limit for limit in slots if limit is not None})
        self.limits = (0, *whole)
        """Numbers of slots that tensors may have; 0 stands for no limit."""
        self._number_blocks()
        self._make_tasks()
        self._make_edges()
        self._make_touches()

    @cached_property
    def _ahead(self) -> dict[int, dict[tuple[int, int], int]]:
        """How far ahead of its reader a producer may be, if all splits are Pipelines."""
        leaves = _with_splits(self.leaves, pipeline=True)
        return distances(leaves, self.layout, self.lowered.found)

    @property
    def _components(self) -> tuple[str, ...]:
        return self.spec.arch.order

    # Blocks and tasks

    def _number_blocks(self) -> None:
        layout = self.layout
        self.iterations, self.blocks = layout.iterations, layout.total
        self.owner = np.empty(layout.total, dtype=np.int64)
        self.owner[: layout.iterations] = np.arange(layout.iterations)
        self.kind = np.ones(layout.total, dtype=np.int64)
        self.sequence = np.zeros(layout.total, dtype=np.int64)
        self.block_pair = np.full(layout.total, -1, dtype=np.int64)
        self.leaf_starts = np.zeros(layout.iterations, dtype=np.bool_)
        for leaf, mine in enumerate(layout.blocks):
            base, size = layout.bases[leaf], layout.tiles[leaf].size
            self.leaf_starts[base] = True
            for index, block in enumerate(mine):
                first, iterations = base, np.arange(size)
                if block.kind != "foreground":
                    first, iterations = layout.streams[leaf, index]
                some = slice(first, first + len(iterations))
                self.owner[some] = base + iterations
                self.kind[some] = _KINDS[block.kind]
                self.sequence[some] = index
                if block.kind == "background":
                    assert block.tensor is not None
                    self.block_pair[some] = self.streams[leaf, block.tensor, block.level]
        start, other = by_key(self.owner[self.iterations :], self.iterations)
        self.own = start, other + self.iterations

    def _make_tasks(self) -> None:
        """Tasks by block; columns are the ports of a leaf, whichever ports these come to be."""
        layout = self.layout
        columns: dict[tuple[int, str, int], int] = {}
        parts: list[tuple[Ints, int, Ints, int]] = []
        added: list[tuple[Ints, int, Ints, int]] = []
        for leaf, mine in enumerate(layout.blocks):
            base, size = layout.bases[leaf], layout.tiles[leaf].size
            front: dict[int, Ints] = {}
            for index, block in enumerate(mine):
                loads = self._loads(leaf, block, columns)
                if block.kind == "foreground":
                    front = loads
                    continue
                first, iterations = layout.streams[leaf, index]
                pair = -1
                if block.kind == "background":
                    assert block.tensor is not None
                    pair = self.streams[leaf, block.tensor, block.level]
                own = first + np.arange(len(iterations))
                for column, load in loads.items():
                    parts.append((own, column, load[iterations], pair))
                    if pair >= 0:
                        added.append((base + iterations, column, load[iterations], pair))
                        front.setdefault(column, np.zeros(size, dtype=np.int64))
            parts += [(base + np.arange(size), column, load, -1) for column, load in front.items()]
        self.columns = tuple(columns)
        blocks, port, length, backs = _stacked(parts)
        # Foreground tasks that nothing adds to need not exist where they take no time.
        width = max(len(columns), 1)
        whose, where, more, whence = _stacked(added)
        keys = blocks * width + port
        needed = (length > 0) | np.isin(keys, (whose * width + where)[more > 0])
        order = np.flatnonzero(needed)
        order = order[np.argsort(keys[order], kind="stable")]
        self.tasks = _Tasks(blocks[order], port[order], length[order], backs[order])
        adds = more > 0
        at = np.searchsorted(keys[order], (whose * width + where)[adds])
        self.added = _Added(at, more[adds], whence[adds])
        self.column_loads = np.zeros(len(columns), dtype=np.int64)
        np.add.at(self.column_loads, port, length)
        self.column_component = np.array(
            [self._components.index(component) for _, component, _ in self.columns], dtype=np.int64
        )

    def _loads(
        self, leaf: int, block: Block, columns: dict[tuple[int, str, int], int]
    ) -> dict[int, Ints]:
        """Per column, how long each tile iteration's occurrence of a block takes."""
        size = self.layout.tiles[leaf].size
        loads: dict[int, Ints] = {}

        def load(port: int) -> Ints:
            key = self.costs.ports[port]
            column = columns.setdefault((leaf, key.component, key.index), len(columns))
            if column not in loads:
                loads[column] = np.zeros(size, dtype=np.int64)
            return loads[column]

        for access in block.accesses:
            what = (leaf, access.component, access.tensor, access.action)
            for port, each in self.costs.per_value[what].items():
                load(port)[access.iterations] += access.counts * each
        if block.kind == "foreground":
            for (number, _), constants in self.costs.constant.items():
                if number == leaf:
                    for port, once in constants.items():
                        load(port)[0] += once
        return loads

    # Edges

    def _make_edges(self) -> None:
        parts: list[tuple[Part, int]] = []
        found = self.lowered.found
        plain = Rules(self.leaves, self.layout, found, None)
        fixed = [*plain.flow(), *plain.barriers(), *plain.read_backs()]
        parts += [(part, 0) for part in fixed]
        for limit in self.limits[1:]:
            some = Rules(self.leaves, self.layout, found, limit).capacity()
            parts += [(part, limit) for part in some]
        self.split_nodes = tuple(
            dict.fromkeys(split.node for leaf in self.leaves for split in leaf.splits)
        )
        tensors = [part.tensor for part, _ in parts if part.tensor is not None]
        self.tensors: tuple[str, ...] = tuple(dict.fromkeys(tensors))
        """Those whose slots may make a difference."""
        groups: dict[tuple[int, int, int, int], int] = {}
        which, sources, targets = [], [], []
        for part, limit in parts:
            split = -1 if part.split is None else self.split_nodes.index(part.split)
            pair = -1 if part.write_back is None else self.streams[part.write_back]
            tensor = -1 if part.tensor is None else self.tensors.index(part.tensor)
            group = groups.setdefault((split, pair, tensor, limit), len(groups))
            which.append(np.full(len(part.source), group, dtype=np.int64))
            sources.append(part.source)
            targets.append(part.target)
        empty = [np.zeros(0, dtype=np.int64)]
        source = np.concatenate(sources or empty)
        order = np.argsort(source, kind="stable")
        self.edge_source = source[order].astype(np.int32)
        self.edge_target = np.concatenate(targets or empty)[order].astype(np.int32)
        self.edge_group = np.concatenate(which or empty)[order].astype(np.int32)
        rows = [(*group, self.limits.index(group[3])) for group in groups]
        self.groups = np.array(rows, dtype=np.int64).reshape(-1, 5)

    # Tiles that are resident

    def _make_touches(self) -> None:
        layout, spec = self.layout, self.spec
        holders: list[tuple[str, int]] = []
        found: list[tuple[Ints, int, Ints, Ints, int]] = []
        of_holder, elements, sizes, first, last = [], [], [], [], []
        done: set[tuple[int, str]] = set()
        count = 0
        for leaf in self.leaves:
            for tensor in leaf.einsum.tensors:
                for level, holder in enumerate(leaf.storages(tensor)):
                    if (holder.node, tensor) in done:
                        continue
                    done.add((holder.node, tensor))
                    sharing = sharers(self.leaves, tensor, holder)
                    keys = common_keys([layout.tiles[o.number] for o in sharing], holder.depth)
                    most = np.zeros(len(keys), dtype=np.int64)
                    component = self._components.index(holder.component)
                    for other in sharing:
                        mine = layout.tiles[other.number]
                        where = np.searchsorted(keys, mine.prefix_keys(holder.depth))
                        seen = {c.name: c for c in spec.arch.paths[other.einsum.name]}
                        np.maximum.at(most, where, tile_elements(mine, seen, tensor, level))
                        for iterations, blocks, pair in self._accessing(
                            other, tensor, holder.component
                        ):
                            base = layout.bases[other.number]
                            mine_blocks = base + iterations
                            tile = count + where[iterations]
                            found.append((tile, component, mine_blocks, blocks, pair))
                    backing = level == 0 and holder.depth == 0
                    of_holder.append(np.full(len(keys), len(holders), dtype=np.int64))
                    elements.append(most)
                    known = spec.arch.component(leaf.einsum.name, holder.component)
                    bits = leaf.einsum.access(tensor).bits_per_value
                    sizes.append(Fraction(known.bits_per_value.get(tensor, bits)))
                    stays = backing and not spec.workload.producers(tensor)
                    first.append(np.full(len(keys), stays, dtype=np.bool_))
                    stays = backing and not spec.workload.readers(tensor)
                    last.append(np.full(len(keys), stays, dtype=np.bool_))
                    holders.append((holder.component, leaf.number))
                    count += len(keys)
        denominator = lcm(*(size.denominator for size in sizes))
        scaled = [e * int(s * denominator) for e, s in zip(elements, sizes, strict=True)]
        if (
            sum(int(e.max(initial=0)) * len(e) * s for e, s in zip(elements, sizes, strict=True))
            * (denominator)
            >= _LIMIT
        ):
            raise TooCostlyError
        self.held = _Held(
            np.concatenate(of_holder),
            np.concatenate(scaled),
            np.concatenate(first),
            np.concatenate(last),
            tuple(holders),
            denominator,
        )
        empty = np.zeros(0, dtype=np.int64)
        self.touches = _Touches(
            np.concatenate([empty, *(f[0] for f in found)]),
            np.concatenate([empty, *(np.full(len(f[0]), f[1]) for f in found)]),
            np.concatenate([empty, *(f[2] if f[4] >= 0 else f[3] for f in found)]),
            np.concatenate([empty, *(f[3] for f in found)]),
            np.concatenate([empty, *(np.full(len(f[0]), f[4]) for f in found)]),
        )

    @cached_property
    def at_work(self) -> tuple[Ints, Ints, np.ndarray]:
        """Foreground blocks and the tiles that are resident while these are at work.

        Returns
        -------
        (block, tile, used)
            Each pair once; and per tile whether it is in one of them.
        """
        tasks, touches = self.tasks, self.touches
        served = np.zeros(len(self.spec.arch.order) * self.blocks, dtype=np.bool_)
        mine = (tasks.pair < 0) & (tasks.load > 0)
        component = self.column_component[tasks.column[mine]]
        served[component * self.blocks + tasks.block[mine]] = True
        some = (touches.pair < 0) & served[touches.component * self.blocks + touches.block]
        tiles = len(self.held.bits)
        block, tile = np.divmod(np.unique(touches.block[some] * tiles + touches.tile[some]), tiles)
        used = np.zeros(tiles, dtype=np.bool_)
        used[tile] = True
        return block, tile, used

    def _accessing(self, leaf: Leaf, tensor: str, component: str) -> list[tuple[Ints, Ints, int]]:
        """Tile iterations, their blocks, and the write-back that these are (-1: none)."""
        layout = self.layout
        found = []
        for index, block in enumerate(layout.blocks[leaf.number]):
            parts = [
                access.iterations
                for access in block.accesses
                if access.component == component and access.tensor == tensor
            ]
            if not parts:
                continue
            mine = np.unique(np.concatenate(parts))
            blocks, pair = layout.bases[leaf.number] + mine, -1
            if block.kind != "foreground":
                start, iterations = layout.streams[leaf.number, index]
                blocks = start + np.searchsorted(iterations, mine)
            if block.kind == "background":
                assert block.tensor is not None
                pair = self.streams[leaf.number, block.tensor, block.level]
            found.append((mine, blocks, pair))
        return found

    # Dates

    @cached_property
    def _dates(self) -> tuple[Ints, list[tuple[int, int, slice, int, int]]]:
        """Dates in program order, as columns; and where the splits' columns are.

        Returns
        -------
        (columns, splits)
            Per leaf and split: row of the turn, tree node, columns, branch, number of stages.
        """
        layout = self.layout
        rows: list[list[Ints]] = []
        splits = []
        for leaf, mine in enumerate(layout.tiles):
            plain: list[Ints] = []
            above = 0
            span = slice(layout.bases[leaf], layout.bases[leaf] + mine.size)
            for split in mine.leaf.splits:
                splits.append((len(plain), split.node, span, split.branch, leaf))
                turn = mine.turns(mine.digits, above, split.depth)
                plain += [turn, np.full(mine.size, split.branch, dtype=np.int64)]
                above = split.depth
            rows.append([*plain, *(mine.digits[k] for k in range(above, mine.depth))])
        columns = np.zeros((max(map(len, rows)), layout.iterations), dtype=np.int64)
        for mine_rows, base, some in zip(rows, layout.bases, layout.tiles, strict=True):
            for row, values in enumerate(mine_rows):
                columns[row, base : base + some.size] = values
        return columns, splits

    def in_order(self, columns: Ints) -> Ints:
        """Tasks sorted by date, then by the sequence of their blocks."""
        rank = ranks(columns)
        block = self.tasks.block
        order = np.lexsort((self.sequence[block], rank[self.owner[block]]))
        return order.astype(np.int32)

    @cached_property
    def program(self) -> Ints:
        """Tasks in program order."""
        return self.in_order(self._dates[0])

    def skewed(self, pipelines: frozenset[int]) -> Ints:
        """Tasks by skewed date, with these Pipelines (tree nodes)."""
        stages: dict[int, int] = {}
        for leaf in self.leaves:
            for split in leaf.splits:
                if split.node in pipelines:
                    stages[split.node] = max(stages.get(split.node, 0), split.branch + 1)
        if not stages:
            return self.program
        moved = shifts_by(stages, self._ahead)
        columns, splits = self._dates
        columns = columns.copy()
        for row, node, span, branch, _ in splits:
            if node in stages:
                columns[row, span] += moved[node][branch]
                columns[row + 1, span] *= -1
        return self.in_order(columns)

    def cell(self, pipelines: frozenset[int]) -> Cell:
        """The variants in which these splits (tree nodes) are Pipelines."""
        return Cell(self, pipelines)


class Cell:
    """The variants of a structure that have the same kinds of splits.

    Parameters
    ----------
    structure
        What they share with others.
    pipelines
        The splits (tree nodes) that are Pipelines.
    """

    def __init__(self, structure: Structure, pipelines: frozenset[int]) -> None:
        self.structure = structure
        self.pipelines = pipelines
        self._known: dict[tuple[int, ...], _Known] = {}
        spec = structure.spec
        leaves = [
            replace(
                leaf,
                splits=tuple(replace(s, pipeline=s.node in pipelines) for s in leaf.splits),
            )
            for leaf in structure.leaves
        ]
        separate = separations(spec, leaves)
        stages = [
            own_stages(leaf, [c.name for c in spec.arch.paths[leaf.einsum.name]], separate)
            for leaf in leaves
        ]
        ports: dict[PortKey, int] = {}
        self.port = np.array(
            [
                ports.setdefault(PortKey(c, index, stages[leaf][c]), len(ports))
                for leaf, c, index in structure.columns
            ],
            dtype=np.int64,
        )
        self.ports = len(ports)
        memories: dict[tuple[str, tuple[tuple[int, int], ...]], int] = {}
        self.memory = np.array(
            [
                memories.setdefault((component, stages[leaf][component]), len(memories))
                for component, leaf in structure.held.holders
            ],
            dtype=np.int64,
        )
        self.memories = tuple(component for component, _ in memories)
        """Per memory, its component: stages may have units of their own."""
        self.sequential = np.array(
            [node not in pipelines for node in structure.split_nodes], dtype=np.bool_
        )

    @cached_property
    def skew(self) -> Ints:
        """Tasks by skewed date."""
        return self.structure.skewed(self.pipelines)

    @cached_property
    def resource_bound(self) -> int:
        """The largest busy time of a port: the same for all variants of the cell."""
        loads = np.zeros(self.ports, dtype=np.int64)
        np.add.at(loads, self.port, self.structure.column_loads)
        return int(loads.max(initial=0))

    @cached_property
    def least_peaks(self) -> dict[str, int]:
        """Per component, bits that some unit holds at some time whatever the schedule.

        What a foreground block accesses in a memory that serves it for some time is resident
        while it does, and so is what stays from the start or to the end.
        """
        structure, held = self.structure, self.structure.held
        block, tile, used = structure.at_work
        memory = self.memory[held.holder]
        least = [0] * len(self.memories)
        sums = np.zeros((structure.blocks, len(self.memories)), dtype=np.int64)
        np.add.at(sums, (block, memory[tile]), held.bits[tile])
        for number in range(len(self.memories)):
            here = used & (memory == number)
            ends = [int(held.bits[here & stays].sum()) for stays in (held.first, held.last)]
            least[number] = max(int(sums[:, number].max(initial=0)), *ends)
        return self._by_component(least)

    def dependence_bounds(self, background: np.ndarray) -> list[int]:
        """Per row of write-backs in the background, the last finish if no port were ever busy.

        No variant with these in the background, and as many slots as it likes, is faster; nor is
        one in which fewer of them are, as waiting for a write-back takes no less time.
        """
        slots = np.zeros((len(background), len(self.structure.tensors)), dtype=np.int64)
        makespans, *_ = self._run(background, slots, (2,), peaks=False)
        return [int(t) for t in makespans]

    def rows(
        self, background: np.ndarray, slots: np.ndarray, orders: Sequence[int]
    ) -> tuple[list[Row], Ints]:
        """What variants come to.

        Each is timed without limits to what tensors may hold first. Where that schedule keeps
        within the limits, it is the variant's; otherwise those that it does not keep within are
        added, until it does. So variants that come to the same are timed once.

        Parameters
        ----------
        background
            Shape (variants, pairs of the structure): what is in the background.
        slots
            Shape (variants, tensors of the structure): how many slots each has, 0: unlimited.
        orders
            0: program, 1: skew, 2: oldest. The first of those with the least makespan counts.

        Returns
        -------
        (rows, which)
            What is known of the cell in these orders, and which of that each variant is.
        """
        if self.skew is self.structure.program and len(orders) > 1:
            # The second order is the first one again, and comes after it.
            orders = [order for order in orders if order != 1]
        known = self._known.get(tuple(orders))
        if known is None or len(known.rows) > _MOST_KNOWN:
            known = self._known[tuple(orders)] = _Known({}, [], [])
        tensors = np.arange(slots.shape[1])
        limit = np.searchsorted(np.array(self.structure.limits), slots)
        which = np.full(len(slots), -1, dtype=np.int64)
        kept = np.zeros_like(slots)
        left = np.arange(len(slots))
        while len(left):
            asked = np.concatenate((background[left].astype(np.int64), kept[left]), axis=1)
            some, of = np.unique(asked, axis=0, return_inverse=True)
            numbers = self._timed(some, background.shape[1], known, orders)[of.reshape(-1)]
            unlike, where = np.unique(numbers, return_inverse=True)
            held = np.array([known.held[n] for n in unlike])
            broken = ~held[where[:, None], tensors, limit[left]] & (kept[left] == 0)
            broken &= slots[left] > 0
            done = ~broken.any(axis=1)
            which[left[done]] = numbers[done]
            kept[left] = np.where(broken, slots[left], kept[left])
            left = left[~done]
        return known.rows, which

    def _timed(self, asked: np.ndarray, pairs: int, known: _Known, orders: Sequence[int]) -> Ints:
        """Numbers of the rows for these write-backs and limits; what is not known yet is timed."""
        keys = [row.tobytes() for row in asked]
        new = [k for k, key in enumerate(keys) if key not in known.numbers]
        if new:
            back, limits = asked[new, :pairs].astype(np.bool_), asked[new, pairs:]
            modes = [_MODES[order] for order in orders]
            makespans, best, most, held = self._run(back, limits, modes, peaks=True)
            for k, makespan, order, peaks, mine in zip(
                new, makespans, best, most, held, strict=True
            ):
                known.numbers[keys[k]] = len(known.rows)
                known.rows.append(Row(int(makespan), orders[int(order)], tuple(peaks.tolist())))
                known.held.append(mine)
        return np.array([known.numbers[key] for key in keys], dtype=np.int64)

    def _run(
        self, background: np.ndarray, slots: np.ndarray, modes: Sequence[int], *, peaks: bool
    ) -> tuple[Ints, Ints, Ints, np.ndarray]:
        s = self.structure
        skew = self.skew if any(mode in (1, 3) for mode in modes) else s.program
        found: tuple[Ints, Ints, Ints, np.ndarray] = kernels.variants(
            np.array(modes, dtype=np.int64),
            peaks,
            np.ascontiguousarray(background, dtype=np.bool_),
            np.ascontiguousarray(slots, dtype=np.int64),
            self.resource_bound,
            s.leaf_starts,
            s.owner.astype(np.int32),
            s.kind.astype(np.int32),
            s.block_pair,
            s.own[0],
            s.own[1],
            s.edge_source,
            s.edge_target,
            s.edge_group,
            s.groups,
            len(s.limits),
            self.sequential,
            s.tasks.block,
            s.tasks.load,
            s.tasks.pair,
            self.port[s.tasks.column] if len(self.port) else s.tasks.column,
            s.column_component[s.tasks.column] if len(self.port) else s.tasks.column,
            s.added.task,
            s.added.load,
            s.added.pair,
            s.program,
            skew,
            self.ports,
            s.touches.tile,
            s.touches.component,
            s.touches.block,
            s.touches.own,
            s.touches.pair,
            s.held.bits,
            s.held.first,
            s.held.last,
            self.memory[s.held.holder],
            len(self.memories),
            len(s.spec.arch.order),
        )
        return found

    def by_component(self, row: Row) -> dict[str, int]:
        """The peaks of a row by component: that of the stage that needs most."""
        return self._by_component(row.peaks)

    def _by_component(self, peaks: Sequence[int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for component, peak in zip(self.memories, peaks, strict=True):
            found[component] = max(found.get(component, 0), peak)
        return found


_MODES = (0, 1, 3)
"""How `kernels.variants` numbers the orders; 2 is no order at all."""


def _with_splits(leaves: Sequence[Leaf], *, pipeline: bool) -> tuple[Leaf, ...]:
    """The leaves with all splits of one kind."""
    return tuple(
        replace(leaf, splits=tuple(replace(s, pipeline=pipeline) for s in leaf.splits))
        for leaf in leaves
    )


def _stacked(
    parts: Sequence[tuple[Ints, int, Ints, int]],
) -> tuple[Ints, Ints, Ints, Ints]:
    """Rows of (block, column, load, pair)."""
    empty = np.zeros(0, dtype=np.int64)
    return (
        np.concatenate([empty, *(p[0] for p in parts)]),
        np.concatenate([empty, *(np.full(len(p[0]), p[1]) for p in parts)]),
        np.concatenate([empty, *(p[2] for p in parts)]),
        np.concatenate([empty, *(np.full(len(p[0]), p[3]) for p in parts)]),
    )


def write_backs(lowered: Lowered) -> tuple[Pair, ...]:
    """The write-backs that a mapping has: (tensor, component written back from)."""
    return tuple(
        (tensor, holder.component)
        for leaf in lowered.leaves
        if not leaf.einsum.is_copy
        for tensor in leaf.einsum.outputs
        for holder in leaf.storages(tensor)[1:]
    )


def capacity_tensors(lowered: Lowered) -> tuple[str, ...]:
    """Tensors whose slots may make a difference.

    Those exchanged or fetched ahead through a holder of depth above 0, and those that may be
    written back in the background out of one.
    """
    found: dict[str, None] = {}
    for leaf in lowered.leaves:
        if leaf.einsum.is_copy:
            continue
        for tensor in leaf.einsum.outputs:
            read = any(tensor in other.einsum.inputs for other in lowered.leaves)
            levels = leaf.storages(tensor) if read else leaf.storages(tensor)[1:]
            if any(holder.depth for holder in levels):
                found[tensor] = None
        for tensor in leaf.einsum.inputs:
            start = lowered.found[leaf.number, tensor].level + 1
            if any(h.depth and h.above_split for h in leaf.storages(tensor)[start:]):
                found[tensor] = None
    return tuple(t for t in lowered.spec.workload.tensors if t in found)


def slots_of(slots: Slots, tensor: str) -> int | None:
    """How many slots a tensor has."""
    return slots.get(tensor, 2) if isinstance(slots, Mapping) else slots
