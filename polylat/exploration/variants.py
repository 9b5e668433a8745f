"""The task graph of variants that differ in splits, orders and slots only.

All variants with the same separate transfers have the same tile iterations, blocks and tasks, and
their precedences are a subset of one list, which is made once, with all splits Sequential and under
every slot count. A precedence belongs to every variant, or depends on the choices that its relation
names: whether a split is Sequential, or how many slots a holder has. Slots decide one thing more: a
holder with a single slot is not filled one tile ahead in a skewed order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from polylat.exploration.choice import TransferChoice
from polylat.exploration.held_tiles import IntegerRangeError, held_tiles
from polylat.exploration.kernels import GraphArrays
from polylat.exploration.shared_tables import SharedTables
from polylat.lowering.dependences.edges import RuleEdges, joined_edges
from polylat.lowering.dependences.rules import rule_edges
from polylat.lowering.ports import access_costs
from polylat.lowering.task_graph import build_graph
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.arrays import Ints, Mask, group_by_key, widened
from polylat.schedule.events import EventNumbering
from polylat.schedule.graph import TaskGraph
from polylat.schedule.precedences import event_precedences
from polylat.schedule.reasons import SERVED

__all__ = ["VariantGraph"]


class VariantGraph:
    """The task graph of all variants that have the same tile iterations and transfers.

    Parameters
    ----------
    shared
        The mapping with its tile iterations.
    transfers
        Which transfers are separate.
    slots
        The slot counts that any holder may have (None: unlimited).

    Raises
    ------
    MappingError
        A tile is read that no Einsum or fill has provided.
    IntegerRangeError
        Times or sizes do not fit into 64 bits.
    """

    def __init__(
        self, shared: SharedTables, transfers: TransferChoice, slots: Iterable[int | None]
    ) -> None:
        lowered = shared.lowered
        self.spec, self.leaves, self.shared = lowered.spec, lowered.leaves, shared
        # Without a limit, every staged holder is filled ahead.
        options = TransferOptions(transfers.background, transfers.staged, slots=None)
        self.layout = shared.layout(options)
        self.costs = access_costs(self.spec, self.leaves, self.layout.tiles, self.layout.blocks, {})
        if self.costs.exact:
            raise IntegerRangeError
        self.slot_counts = (0, *sorted({count for count in slots if count is not None}))
        """The slot counts that holders may have; 0: unlimited."""
        parts = rule_edges(self.leaves, self.layout, lowered.found, options, self.slot_counts[1:])
        self.tasks = build_graph(self.layout, joined_edges(self.layout, parts), self.costs, {})
        """The task graph under all conditions, with one set of units per component."""
        self._name_conditions(parts)
        ports = max(self.tasks.ports, 1)
        leaf = self.tasks.leaf[self.tasks.owner[self.tasks.task_block]]
        pairs, self.column = np.unique(leaf * ports + self.tasks.task_port, return_inverse=True)
        self.columns = [divmod(pair, ports) for pair in pairs.tolist()]
        """(leaf, port), of all tasks; `column`, shape (tasks,), has that of each task."""
        self.held = held_tiles(shared.held, self.layout)

    def _name_conditions(self, parts: Sequence[RuleEdges]) -> None:
        """Number the choices that precedences depend on, and the holders that are filled ahead."""
        self.split_nodes = tuple(
            dict.fromkeys(split.node for leaf in self.leaves for split in leaf.splits)
        )
        ahead: dict[tuple[str, str], list[slice]] = {}
        for leaf, streams in zip(self.leaves, self.layout.streams, strict=True):
            for stream in streams:
                block, fills = stream.block, stream.span
                if (self.tasks.host[fills] != self.tasks.owner[fills]).any():
                    assert block.tensor is not None
                    component = leaf.storages(block.tensor)[block.level].component
                    ahead.setdefault((block.tensor, component), []).append(fills)
        limited = [part.holder for part in parts if part.holder is not None and len(part.source)]
        self.holders: tuple[tuple[str, str], ...] = tuple(dict.fromkeys((*ahead, *limited)))
        """(tensor, component) of the holders whose slot counts may make a difference; the first
        ones, `ahead`, are filled ahead unless they have a single slot."""
        self.ahead = len(ahead)
        self.filled_ahead: Ints = np.full(self.tasks.blocks, -1, dtype=np.int64)
        """Shape (blocks,): the number of the holder that each block fills ahead; -1: none."""
        for holder, filled in enumerate(ahead.values()):
            for fills in filled:
                self.filled_ahead[fills] = holder
        self.conditions = np.full((len(parts), 3), -1, dtype=np.int64)
        """Per relation: split that must be Sequential, holder, and the index of the slot count that
        it must have; -1: none."""
        for condition, part in zip(self.conditions, parts, strict=True):
            if part.split is not None:
                condition[0] = self.split_nodes.index(part.split)
            if part.holder in self.holders:
                assert part.until == SERVED, "room is free as soon as a tile has been served"
                condition[1] = self.holders.index(part.holder)
                condition[2] = self.slot_counts.index(part.slots or 0)

    @cached_property
    def task_component(self) -> Ints:
        """Shape (tasks,): the component whose port serves each task, by the architecture."""
        order = self.spec.arch.order
        of_port = np.array([order.index(p.component) for p in self.costs.ports] or [0])
        components: Ints = of_port[self.tasks.task_port]
        return components

    @cached_property
    def tile_component(self) -> Ints:
        """Shape (tiles,): the component that holds each tile, by the architecture."""
        order = self.spec.arch.order
        of_holder = np.array([order.index(component) for component in self.held.holders])
        components: Ints = of_holder[self.held.holder]
        return components

    def arrays(self, tasks: TaskGraph, copies: Ints) -> GraphArrays:
        """Return the graph with the tasks of a cell as arrays for `kernels.time_variants`.

        Parameters
        ----------
        tasks, copies
            The graph with a task on each port of the cell; shape (tasks of this graph,): how many
            of them each task has become.

        Returns
        -------
        GraphArrays
            The arrays.
        """
        held = self.held
        events = EventNumbering(tasks)
        every = event_precedences(events, None)
        # The rules of a start are, in this order: the previous one, those of edges, and fills.
        relation = every.group - 1
        of_edge = (every.target < tasks.blocks) & (relation >= 0)
        of_edge &= relation <= int(tasks.edge_rule.max(initial=-1))
        depends = np.append((self.conditions >= 0).any(axis=1), False)
        condition = np.where(of_edge, relation, -1)
        condition[~depends[condition]] = -1
        limited = np.append(self.conditions[:, 1] >= 0, False)[condition]
        start, by_source = group_by_key(every.source, events.count)
        served = np.zeros(tasks.blocks, dtype=np.bool_)
        served[tasks.task_block] = True
        return GraphArrays(
            tasks.iterations,
            start.astype(np.int32),
            every.target[by_source].astype(np.int32),
            every.lag[by_source] if tasks.late else every.lag[:0],
            condition[by_source].astype(np.int32),
            every.source[limited],
            every.target[limited],
            condition[limited],
            self.conditions,
            np.array(self.slot_counts),
            not served.all(),
            np.ascontiguousarray(tasks.latency),
            tasks.task_block.astype(np.int32),
            widened(tasks.task_duration),
            np.repeat(self.task_component, copies),
            held.bits,
            held.from_start,
            held.to_end,
            held.before,
            self.tile_component,
            held.access_tile,
            held.access_block,
            len(self.spec.arch.order),
        )

    def hosts(self, single: Mask) -> Ints:
        """Return the tile iteration by whose date each block is served in a skewed order.

        Parameters
        ----------
        single
            Shape (ahead,): whether each of the first `ahead` holders has a single slot.

        Returns
        -------
        numpy.ndarray
            Shape (blocks,).
        """
        kept = np.append(single, False)[self.filled_ahead]
        hosts: Ints = np.where(kept, self.tasks.owner, self.tasks.host)
        return hosts

    @cached_property
    def foreground_tiles(self) -> tuple[Ints, Ints, Mask]:
        """Foreground blocks that are served for some time, and the tiles that are resident then.

        The blocks and the tiles of all such pairs, and a mask of shape (tiles,) of these tiles.
        Tiles that replace others are left out: their residency may begin after their access.
        """
        held, blocks = self.held, self.tasks.blocks
        served = np.zeros(len(self.spec.arch.order) * blocks, dtype=np.bool_)
        served[self.task_component * blocks + self.tasks.task_block] = True
        tile, block = held.access_tile, held.access_block
        replaced = np.zeros(len(held.holders), dtype=np.bool_)
        replaced[held.holder[held.before >= 0]] = True
        chosen = served[self.tile_component[tile] * blocks + block]
        chosen &= (block < self.tasks.iterations) & ~replaced[held.holder[tile]]
        count = len(held.bits)
        block, tile = np.divmod(np.unique(block[chosen] * count + tile[chosen]), count)
        used = np.zeros(count, dtype=np.bool_)
        used[tile] = True
        return block, tile, used
