"""The task graph of all variants of a mapping: one graph with conditions on its edges and tasks.

The task graph of every variant is a subgraph of one graph, which is built once. The blocks of that
graph are those of the mapping with all write-backs in the background. Where a variant has a
write-back in the foreground, its accesses are added to the foreground block, and its own block is
empty. An edge belongs to every variant, or depends on one choice: whether a split is Sequential,
whether a write-back is in the background, or how many slots a tensor has. So a variant is given
by a few flags, and its graph consists of the edges and tasks whose conditions they satisfy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylat.exploration.axes import WriteBack
from polylat.exploration.tile_accesses import IntegerRangeError, tile_accesses
from polylat.lowering.accesses.blocks import Block
from polylat.lowering.accesses.counting import leaf_blocks
from polylat.lowering.dependences.rules import DependenceRules, RuleEdges
from polylat.lowering.dependences.skew import shifts_from_distances, skew_distances
from polylat.lowering.enumeration import iteration_table, trip_counts
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import with_pipelines
from polylat.lowering.ports import access_costs
from polylat.lowering.sampling import LoopSample
from polylat.schedule.arrays import Ints, date_ranks, group_by_key

__all__ = ["CandidateTasks", "ForegroundWriteBacks", "VariantGraph"]

_KINDS = {"fill": 0, "foreground": 1, "background": 2}
"""Codes of the kinds of blocks, as `polylat.schedule.graph.TaskGraph` has them."""


@dataclass(frozen=True, eq=False)
class CandidateTasks:
    """All tasks that a variant may have, sorted by block.

    Parameters
    ----------
    block
        Shape (n,): the block of each task.
    column
        Shape (n,): its port, as an index into `VariantGraph.columns`.
    duration
        Shape (n,): its duration in steps of ``1 / scale``, without write-backs in the foreground.
    write_back
        Shape (n,): the number of the write-back that must be in the background for the task to
        exist; -1 if it always exists.
    """

    block: Ints
    column: Ints
    duration: Ints
    write_back: Ints


@dataclass(frozen=True, eq=False)
class ForegroundWriteBacks:
    """Durations that write-backs add to the tasks of foreground blocks where in the foreground.

    Parameters
    ----------
    task
        Shape (n,): the foreground task, as an index into `CandidateTasks`.
    duration
        Shape (n,): the additional duration in steps of ``1 / scale``.
    write_back
        Shape (n,): the number of the write-back.
    """

    task: Ints
    duration: Ints
    write_back: Ints


class VariantGraph:
    """The task graph of all variants that have the same tile iterations.

    Parameters
    ----------
    lowered
        The mapping. Whether its splits are Sequential or Pipeline makes no difference.
    write_backs
        The write-backs that may be in the background; they are numbered in this order.
    slots
        The slot counts that any tensor may have (None: unlimited).

    Raises
    ------
    MappingError
        A tile is read that no Einsum or fill has provided.
    IntegerRangeError
        Times or sizes do not fit into 64 bits.
    """

    def __init__(
        self, lowered: LoweredMapping, write_backs: Iterable[WriteBack], slots: Iterable[int | None]
    ) -> None:
        self.lowered = lowered
        self.spec = lowered.spec
        self.leaves = with_pipelines(lowered.leaves, ())
        kept = {node: LoopSample(trips) for node, trips in trip_counts(self.leaves).items()}
        by_leaf = [
            iteration_table(leaf, n, kept)
            for leaf, n in zip(self.leaves, lowered.depths, strict=True)
        ]
        self.write_backs = tuple(write_backs)
        blocks: list[tuple[Block, ...]] = []
        for leaf, leaf_tiles in zip(self.leaves, by_leaf, strict=True):
            components = {c.name: c for c in self.spec.arch.paths[leaf.einsum.name]}
            sources = {t: s for (n, t), s in lowered.found.items() if n == leaf.number}
            background = frozenset(self.write_backs)
            blocks.append(leaf_blocks(leaf_tiles, components, sources, background))
        self.layout = Numbering.of(by_leaf, blocks)
        self.costs = access_costs(self.spec, self.leaves, by_leaf, blocks)
        if self.costs.exact:
            raise IntegerRangeError
        self.streams: dict[tuple[int, str, int], int] = {}
        """(leaf, tensor, level) of a write-back → its number."""
        for leaf, leaf_own in zip(self.leaves, blocks, strict=True):
            for block in leaf_own:
                if block.kind == "background" and block.tensor is not None:
                    component = leaf.storages(block.tensor)[block.level].component
                    number = self.write_backs.index((block.tensor, component))
                    self.streams[leaf.number, block.tensor, block.level] = number
        self.slot_counts = (0, *sorted({count for count in slots if count is not None}))
        """The slot counts that tensors may have; 0: unlimited."""
        self._number_blocks()
        self._make_tasks()
        self._make_edges()
        self.held, self.accesses = tile_accesses(self.spec, self.leaves, self.layout, self.streams)

    # Blocks and tasks

    def _number_blocks(self) -> None:
        layout = self.layout
        self.iterations, self.blocks = layout.iterations, layout.total
        self.owner = np.empty(layout.total, dtype=np.int64)
        self.owner[: layout.iterations] = np.arange(layout.iterations)
        self.kind = np.ones(layout.total, dtype=np.int64)
        self.sequence = np.zeros(layout.total, dtype=np.int64)
        self.block_write_back = np.full(layout.total, -1, dtype=np.int64)
        self.leaf_starts = np.zeros(layout.iterations, dtype=np.bool_)
        for leaf, blocks in enumerate(layout.blocks):
            base, size = layout.bases[leaf], layout.tiles[leaf].size
            self.leaf_starts[base] = True
            for index, block in enumerate(blocks):
                first, iterations = base, np.arange(size)
                if block.kind != "foreground":
                    first, iterations = layout.streams[leaf, index]
                numbers = slice(first, first + len(iterations))
                self.owner[numbers] = base + iterations
                self.kind[numbers] = _KINDS[block.kind]
                self.sequence[numbers] = index
                self.block_write_back[numbers] = self._write_back(leaf, block)
        start, other = group_by_key(self.owner[self.iterations :], self.iterations)
        self.own = start, other + self.iterations
        """Per tile iteration its blocks but the foreground, as `group_by_key` gives them."""

    def _write_back(self, leaf: int, block: Block) -> int:
        """Return the number of the write-back that a block is, or -1."""
        if block.kind != "background":
            return -1
        assert block.tensor is not None
        return self.streams[leaf, block.tensor, block.level]

    def _make_tasks(self) -> None:
        """Make the tasks; columns are the ports of a leaf, before stages are given their own."""
        layout = self.layout
        columns: dict[tuple[int, str, int], int] = {}
        parts: list[tuple[Ints, int, Ints, int]] = []
        added: list[tuple[Ints, int, Ints, int]] = []
        for leaf, blocks in enumerate(layout.blocks):
            base, size = layout.bases[leaf], layout.tiles[leaf].size
            foreground: dict[int, Ints] = {}
            for index, block in enumerate(blocks):
                durations = self._durations(leaf, block, columns)
                if block.kind == "foreground":
                    foreground = durations
                    continue
                first, iterations = layout.streams[leaf, index]
                write_back = self._write_back(leaf, block)
                own = first + np.arange(len(iterations))
                for column, steps in durations.items():
                    parts.append((own, column, steps[iterations], write_back))
                    if write_back >= 0:
                        added.append((base + iterations, column, steps[iterations], write_back))
                        foreground.setdefault(column, np.zeros(size, dtype=np.int64))
            numbers = base + np.arange(size)
            parts += [(numbers, column, steps, -1) for column, steps in foreground.items()]
        self.columns = tuple(columns)
        """(leaf, component, port of the component)"""
        numbers, ports, steps, write_backs = _concatenated(parts)
        width = max(len(columns), 1)
        added_block, added_column, added_steps, added_write_back = _concatenated(added)
        keys = numbers * width + ports
        added_keys = added_block * width + added_column
        adds = added_steps > 0
        # A foreground task that takes no time and to which nothing is added need not exist.
        needed = np.flatnonzero((steps > 0) | np.isin(keys, added_keys[adds]))
        order = needed[np.argsort(keys[needed], kind="stable")]
        self.tasks = CandidateTasks(numbers[order], ports[order], steps[order], write_backs[order])
        task = np.searchsorted(keys[order], added_keys[adds])
        self.added = ForegroundWriteBacks(task, added_steps[adds], added_write_back[adds])
        self.column_loads = np.zeros(len(columns), dtype=np.int64)
        np.add.at(self.column_loads, ports, steps)
        components = [self.spec.arch.order.index(component) for _, component, _ in self.columns]
        self.column_component = np.array(components, dtype=np.int64)

    def _durations(
        self, leaf: int, block: Block, columns: dict[tuple[int, str, int], int]
    ) -> dict[int, Ints]:
        """Return, per column, the duration of a block in each tile iteration of its leaf."""
        size = self.layout.tiles[leaf].size
        durations: dict[int, Ints] = {}

        def of(port: int) -> Ints:
            key = self.costs.ports[port]
            column = columns.setdefault((leaf, key.component, key.index), len(columns))
            return durations.setdefault(column, np.zeros(size, dtype=np.int64))

        for access in block.accesses:
            what = (leaf, access.component, access.tensor, access.action)
            for port, steps in self.costs.per_value[what].items():
                of(port)[access.iterations] += access.counts * steps
        if block.kind == "foreground":
            for (number, _), constants in self.costs.constant.items():
                if number == leaf:
                    for port, steps in constants.items():
                        of(port)[0] += steps
        return durations

    # Edges

    def _make_edges(self) -> None:
        """Make the edges of all variants, by source, and number their conditions."""
        found = self.lowered.found
        plain = DependenceRules(self.leaves, self.layout, found, None)
        fixed = [*plain.flow(), *plain.barriers(), *plain.read_backs()]
        parts: list[tuple[RuleEdges, int]] = [(part, 0) for part in fixed]
        for count in self.slot_counts[1:]:
            capacity = DependenceRules(self.leaves, self.layout, found, count).capacity()
            parts += [(part, count) for part in capacity]
        self.split_nodes = tuple(
            dict.fromkeys(split.node for leaf in self.leaves for split in leaf.splits)
        )
        tensors = [part.tensor for part, _ in parts if part.tensor is not None]
        self.tensors: tuple[str, ...] = tuple(dict.fromkeys(tensors))
        """The tensors whose slot counts may make a difference."""
        numbers: dict[tuple[int, int, int, int], int] = {}
        conditions, sources, targets = [], [], []
        for part, count in parts:
            split = -1 if part.split is None else self.split_nodes.index(part.split)
            write_back = -1 if part.write_back is None else self.streams[part.write_back]
            tensor = -1 if part.tensor is None else self.tensors.index(part.tensor)
            condition = numbers.setdefault((split, write_back, tensor, count), len(numbers))
            conditions.append(np.full(len(part.source), condition, dtype=np.int64))
            sources.append(part.source)
            targets.append(part.target)
        empty = [np.zeros(0, dtype=np.int64)]
        source = np.concatenate(sources or empty)
        order = np.argsort(source, kind="stable")
        self.edge_source = source[order].astype(np.int32)
        self.edge_target = np.concatenate(targets or empty)[order].astype(np.int32)
        self.edge_condition = np.concatenate(conditions or empty)[order].astype(np.int32)
        rows = [(*key, self.slot_counts.index(key[3])) for key in numbers]
        self.conditions = np.array(rows, dtype=np.int64).reshape(-1, 5)
        """Per condition: split that must be Sequential, write-back that must be in the background,
        tensor and the slot count that it must have, index of that count; -1: none."""

    # Tiles that are resident

    @cached_property
    def foreground_tiles(self) -> tuple[Ints, Ints, np.ndarray]:
        """Foreground blocks that are served for some time, and the tiles that are resident then.

        The blocks and the tiles of all such pairs, and a mask of shape (tiles,) of these tiles.
        """
        tasks, accesses = self.tasks, self.accesses
        served = np.zeros(len(self.spec.arch.order) * self.blocks, dtype=np.bool_)
        foreground = (tasks.write_back < 0) & (tasks.duration > 0)
        component = self.column_component[tasks.column[foreground]]
        served[component * self.blocks + tasks.block[foreground]] = True
        chosen = accesses.write_back < 0
        chosen &= served[accesses.component * self.blocks + accesses.block]
        count = len(self.held.bits)
        pairs = np.unique(accesses.block[chosen] * count + accesses.tile[chosen])
        block, tile = np.divmod(pairs, count)
        used = np.zeros(count, dtype=np.bool_)
        used[tile] = True
        return block, tile, used

    # Logical dates

    @cached_property
    def _dates(self) -> tuple[Ints, list[tuple[int, int, slice, int]]]:
        """Logical dates in program order, and where the columns of splits are.

        The dates have shape (columns, tile iterations). Per leaf and split: the row of its turn
        (the next row has the branch), its tree node, the tile iterations, the branch.
        """
        layout = self.layout
        by_leaf: list[list[Ints]] = []
        splits = []
        for leaf, leaf_tiles in enumerate(layout.tiles):
            rows: list[Ints] = []
            above = 0
            span = slice(layout.bases[leaf], layout.bases[leaf] + leaf_tiles.size)
            for split in leaf_tiles.leaf.splits:
                splits.append((len(rows), split.node, span, split.branch))
                turn = leaf_tiles.turns(leaf_tiles.digits, above, split.depth)
                rows += [turn, np.full(leaf_tiles.size, split.branch, dtype=np.int64)]
                above = split.depth
            by_leaf.append([*rows, *(leaf_tiles.digits[k] for k in range(above, leaf_tiles.depth))])
        columns = np.zeros((max(map(len, by_leaf)), layout.iterations), dtype=np.int64)
        for rows, base, leaf_tiles in zip(by_leaf, layout.bases, layout.tiles, strict=True):
            for row, values in enumerate(rows):
                columns[row, base : base + leaf_tiles.size] = values
        return columns, splits

    def _by_date(self, columns: Ints) -> Ints:
        """Return the tasks sorted by date, then by the sequence of their blocks."""
        rank = date_ranks(columns)
        block = self.tasks.block
        order = np.lexsort((self.sequence[block], rank[self.owner[block]]))
        return order.astype(np.int32)

    @cached_property
    def program_order(self) -> Ints:
        """Candidate tasks in program order, shape (tasks,)."""
        return self._by_date(self._dates[0])

    @cached_property
    def _distances(self) -> dict[int, dict[tuple[int, int], int]]:
        """Distances from producers to readers, as if all splits were Pipelines."""
        leaves = with_pipelines(self.leaves, self.split_nodes)
        return skew_distances(leaves, self.layout, self.lowered.found)

    def skewed_order(self, pipelines: frozenset[int]) -> Ints:
        """Return the candidate tasks by skewed date.

        Parameters
        ----------
        pipelines
            Tree nodes of the splits that are Pipelines.

        Returns
        -------
        numpy.ndarray
            Shape (tasks,); `program_order` itself if there are no Pipelines.
        """
        leaves = with_pipelines(self.leaves, pipelines)
        shifts = shifts_from_distances(leaves, self._distances)
        if not shifts:
            return self.program_order
        columns, splits = self._dates
        columns = columns.copy()
        for row, node, span, branch in splits:
            if node in shifts:
                columns[row, span] += shifts[node][branch]
                columns[row + 1, span] *= -1
        return self._by_date(columns)


def _concatenated(
    parts: Sequence[tuple[Ints, int, Ints, int]],
) -> tuple[Ints, Ints, Ints, Ints]:
    """Join (blocks, column, durations, write-back)."""
    empty = np.zeros(0, dtype=np.int64)
    return (
        np.concatenate([empty, *(p[0] for p in parts)]),
        np.concatenate([empty, *(np.full(len(p[0]), p[1]) for p in parts)]),
        np.concatenate([empty, *(p[2] for p in parts)]),
        np.concatenate([empty, *(np.full(len(p[0]), p[3]) for p in parts)]),
    )
