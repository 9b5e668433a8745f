"""The task graph of all variants of a mapping: one graph with conditions on its edges and blocks.

The task graph of every variant is a subgraph of one graph, which is built once, from the mapping
with all write-backs in the background and all splits Sequential, under every slot count. Where a
variant has a write-back in the foreground, its tasks are added to those of the foreground block,
and its own block is empty. An edge belongs to every variant, or depends on the choices that its
relation names: whether a split is Sequential, whether a write-back is in the background, or how
many slots a tensor has. So a variant is given by a few flags, and its graph consists of the edges
and tasks whose conditions they satisfy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from polylat.exploration.axes import WriteBack
from polylat.exploration.held_tiles import IntegerRangeError, held_tiles
from polylat.exploration.kernels import GraphArrays
from polylat.lowering.dependences.rules import RuleEdges, joined_edges, rule_edges
from polylat.lowering.dependences.skew import skew_distances
from polylat.lowering.lowered import LoweredMapping, with_sequential_splits
from polylat.lowering.paths import with_pipelines
from polylat.lowering.ports import access_costs
from polylat.lowering.task_graph import build_graph, number_blocks
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import explicit_task_graph

__all__ = ["VariantGraph"]


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
        lowered = with_sequential_splits(lowered)
        self.spec, self.leaves, self.found = lowered.spec, lowered.leaves, lowered.found
        self.write_backs = tuple(write_backs)
        self.layout = number_blocks(lowered, frozenset(self.write_backs))
        self.costs = access_costs(self.spec, self.leaves, self.layout.tiles, self.layout.blocks)
        if self.costs.exact:
            raise IntegerRangeError
        self.slot_counts = (0, *sorted({count for count in slots if count is not None}))
        """The slot counts that tensors may have; 0: unlimited."""
        parts = rule_edges(self.leaves, self.layout, self.found, self.slot_counts[1:])
        self._name_conditions(parts)
        self._make_tasks(build_graph(self.layout, joined_edges(self.layout, parts), self.costs, {}))
        self.held = held_tiles(self.spec, self.leaves, self.layout)

    def _make_tasks(self, graph: TaskGraph) -> None:
        """Give a foreground block a task on every port that its write-backs need."""
        self.write_back = np.full(graph.blocks, -1, dtype=np.int64)
        """Shape (blocks,): the number of the write-back that each block is; -1: another block."""
        for (leaf, index), (first, iterations) in self.layout.streams.items():
            made = self.layout.blocks[leaf][index]
            if made.kind == "background":
                number = self._write_back(leaf, made.tensor, made.level)
                self.write_back[first : first + len(iterations)] = number
        ports = max(graph.ports, 1)
        keys = graph.task_block * ports + graph.task_port
        back = self.write_back[graph.task_block] >= 0
        needed = graph.owner[graph.task_block[back]] * ports + graph.task_port[back]
        added = np.setdiff1d(needed, keys)
        every = np.concatenate((keys, added))
        order = np.argsort(every, kind="stable")
        block, port = np.divmod(every[order], ports)
        durations = np.concatenate((graph.task_duration, np.zeros_like(added)))
        self.tasks = replace(
            graph, task_block=block, task_port=port, task_duration=durations[order]
        )
        """The graph; a task of the foreground may take no time without the write-backs."""
        merged = np.full(len(every), -1, dtype=np.int64)
        merged[: graph.tasks][back] = np.searchsorted(every[order], needed)
        self.merged = merged[order]
        """Shape (tasks,): the foreground task that takes the duration of each task of a write-back
        where that is in the foreground; -1: none."""
        leaf_and_port = graph.leaf[graph.owner[block]] * ports + port
        pairs, self.column = np.unique(leaf_and_port, return_inverse=True)
        self.columns = [divmod(pair, ports) for pair in pairs.tolist()]
        """(leaf, port), of all tasks; `column`, shape (tasks,), has that of each task."""

    def _write_back(self, leaf: int, tensor: str | None, level: int) -> int:
        """Return the number of a write-back."""
        assert tensor is not None
        component = self.leaves[leaf].storages(tensor)[level].component
        return self.write_backs.index((tensor, component))

    def _name_conditions(self, parts: Sequence[RuleEdges]) -> None:
        """Number the choices that edges depend on."""
        self.split_nodes = tuple(
            dict.fromkeys(split.node for leaf in self.leaves for split in leaf.splits)
        )
        tensors = [part.tensor for part in parts if part.tensor is not None]
        self.tensors: tuple[str, ...] = tuple(dict.fromkeys(tensors))
        """The tensors whose slot counts may make a difference."""
        self.conditions = np.full((len(parts), 4), -1, dtype=np.int64)
        """Per relation: split that must be Sequential, write-back that must be in the background,
        tensor, and the index of the slot count that it must have; -1: none."""
        for condition, part in zip(self.conditions, parts, strict=True):
            if part.split is not None:
                condition[0] = self.split_nodes.index(part.split)
            if part.write_back is not None:
                condition[1] = self._write_back(*part.write_back)
            if part.tensor is not None:
                condition[2] = self.tensors.index(part.tensor)
                condition[3] = self.slot_counts.index(part.slots or 0)

    @cached_property
    def arrays(self) -> GraphArrays:
        """The graph as arrays for `kernels.time_variants`."""
        tasks, held = self.tasks, self.held
        indexed = explicit_task_graph(tasks)
        by_source = indexed.edges[1]
        order = self.spec.arch.order
        component_of_port = np.array([order.index(p.component) for p in self.costs.ports] or [0])
        component_of_holder = np.array([order.index(component) for component, _ in held.holders])
        return GraphArrays(
            tasks.leaf_starts,
            tasks.owner.astype(np.int32),
            tasks.kind.astype(np.int32),
            self.write_back,
            *indexed.own_blocks,
            tasks.edge_source[by_source].astype(np.int32),
            tasks.edge_target[by_source].astype(np.int32),
            tasks.edge_rule[by_source].astype(np.int32),
            self.conditions,
            np.array(self.slot_counts),
            tasks.task_block.astype(np.int32),
            tasks.task_duration,
            component_of_port[tasks.task_port],
            self.merged,
            held.bits,
            held.from_start,
            held.to_end,
            component_of_holder[held.holder],
            held.access_tile,
            held.access_block,
            len(order),
        )

    @cached_property
    def distances(self) -> dict[int, dict[tuple[int, int], int]]:
        """Distances from producers to readers, as if all splits were Pipelines."""
        leaves = with_pipelines(self.leaves, self.split_nodes)
        return skew_distances(leaves, self.layout, self.found)

    @cached_property
    def foreground_tiles(self) -> tuple[Ints, Ints, Mask]:
        """Foreground blocks that are served for some time, and the tiles that are resident then.

        The blocks and the tiles of all such pairs, and a mask of shape (tiles,) of these tiles.
        """
        arrays, blocks = self.arrays, self.tasks.blocks
        served = np.zeros(arrays.components * blocks, dtype=np.bool_)
        chosen = (self.merged < 0) & (arrays.task_duration > 0)
        served[arrays.task_component[chosen] * blocks + arrays.task_block[chosen]] = True
        count = len(arrays.tile_bits)
        tile, block = arrays.access_tile, arrays.access_block
        chosen = (self.write_back[block] < 0) & served[arrays.tile_component[tile] * blocks + block]
        block, tile = np.divmod(np.unique(block[chosen] * count + tile[chosen]), count)
        used = np.zeros(count, dtype=np.bool_)
        used[tile] = True
        return block, tile, used
