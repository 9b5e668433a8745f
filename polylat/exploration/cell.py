"""The variants that differ in slots only: timed together, and equal schedules once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from polylat.engine.barrier_bound import barrier_bound
from polylat.exploration.kernels import GraphArrays, time_variants
from polylat.exploration.shared_tables import DividedUnits
from polylat.exploration.variants import VariantGraph
from polylat.lowering.dependences.skew import shifts_from_distances
from polylat.lowering.holder_tiles import Memory
from polylat.lowering.logical_dates import logical_dates
from polylat.lowering.ports import PortKey, divided_ports
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.graph import TaskGraph

__all__ = ["Cell", "TimedVariant"]

_MOST_CACHED = 10_000
"""Largest number of timed variants that a cell keeps."""
_UNLIMITED = -1
"""The mode in which no task waits for a port."""


@dataclass(frozen=True)
class TimedVariant:
    """The schedule of one variant of a cell, in numbers.

    Parameters
    ----------
    makespan
        The last finish in steps of ``1 / scale``; -1 if every order contradicts the dependences.
    order
        The order of the ports, as an index into `polylat.schedule.timing.ORDERS`.
    peaks
        Per memory of the cell, the most bits that are resident at a time, in units of
        ``1 / denominator`` bits.
    """

    makespan: int
    order: int
    peaks: tuple[int, ...]


@dataclass(frozen=True)
class _Cache:
    """The timed variants of a cell in some orders.

    Parameters
    ----------
    which
        Per row of `Cell.slots`, an index into `timed`; -1 where it has not been timed.
    numbers
        Holders with a single slot and enforced slot counts, as bytes → index into `timed`.
    timed
        The timed variants.
    fits
        Per timed variant, shape (holders, slot counts): whether its schedule keeps to that slot
        count, whether it is enforced or not.
    """

    which: Ints
    numbers: dict[bytes, int]
    timed: list[TimedVariant]
    fits: list[Mask]


class Cell:
    """The variants of a graph that have the same kinds of splits.

    Parameters
    ----------
    graph
        The task graph of all variants.
    pipelines
        Tree nodes of the splits that are Pipelines.
    slots
        Shape (rows, holders): the slot counts of each holder of `VariantGraph.holders` to choose
        from; 0: unlimited.
    """

    def __init__(self, graph: VariantGraph, pipelines: frozenset[int], slots: Ints) -> None:
        self.graph = graph
        self.pipelines = pipelines
        self.slots = slots
        self._caches: dict[tuple[int, ...], _Cache] = {}
        self._known_orders: dict[bytes, tuple[Ints, Ints]] = {}
        units = graph.shared.divided(pipelines)
        self.leaves = units.leaves
        self._copies, self.tasks, self.ports = self._on_ports(units)
        numbers: dict[Memory, int] = {}
        held = [
            [numbers.setdefault(memory, len(numbers)) for memory in some] for some in units.memories
        ]
        width = max(map(len, held), default=1)
        self.memory = np.array(
            [some + [-1] * (width - len(some)) for some in held], dtype=np.int64
        ).reshape(len(held), width)
        """Shape (holders, n): the memories of each holder of the graph, then -1."""
        self.memories = tuple(component for component, _ in numbers)
        """Per memory, its component."""
        self.sequential = np.array(
            [node not in pipelines for node in graph.split_nodes], dtype=np.bool_
        )

    def _on_ports(self, units: DividedUnits) -> tuple[Ints, TaskGraph, tuple[PortKey, ...]]:
        """Put the tasks of the graph on the ports of the cell.

        The number of ports that serve each task of the graph, shape (tasks,): one for each range of
        units that its leaf uses; the graph with a task on each of them; and the ports.
        """
        graph = self.graph
        served: dict[PortKey, list[int]] = {}
        for leaf, port in graph.columns:
            served.setdefault(graph.costs.ports[port], []).append(leaf)
        divided = divided_ports(served, units.users)
        numbers: dict[PortKey, int] = {}
        columns = [
            [
                numbers.setdefault(key, len(numbers))
                for key in divided[graph.costs.ports[port]]
                if not key.users or leaf in key.users
            ]
            for leaf, port in graph.columns
        ]
        count = np.array([len(keys) for keys in columns], dtype=np.int64)
        copies = count[graph.column]
        column = np.repeat(graph.column, copies)
        first = np.concatenate(([0], np.cumsum(count)))[column]
        number = np.arange(len(column)) - np.repeat(np.cumsum(copies) - copies, copies)
        ports = np.array([key for keys in columns for key in keys], dtype=np.int64)
        tasks = replace(
            graph.tasks,
            task_block=np.repeat(graph.tasks.task_block, copies),
            task_duration=np.repeat(graph.tasks.task_duration, copies),
            task_port=ports[first + number],
            ports=len(numbers),
        )
        return copies, tasks, tuple(numbers)

    @cached_property
    def _arrays(self) -> GraphArrays:
        return self.graph.arrays(self.tasks, self._copies)

    @cached_property
    def _skewed(self) -> TaskGraph:
        """The graph with the skewed dates of the cell."""
        shifts = shifts_from_distances(self.leaves, self.graph.shared.distances)
        return replace(self.tasks, dates=logical_dates(self.graph.layout, shifts))

    def _orders(self, single: Mask) -> tuple[Ints, Ints]:
        """Return the orders of the ports where these holders have a single slot.

        Shape (3, tasks): the tasks by port, in the orders of `polylat.schedule.timing.ORDERS`;
        shape (ports + 1,): where the tasks of each port begin.
        """
        key = single.tobytes()
        if key not in self._known_orders:
            program, start = self.tasks.port_order(skewed=False)
            skewed = replace(self._skewed, host=self.graph.hosts(single))
            skew, _ = skewed.port_order(skewed=True)
            found = np.array([program, skew, skewed.background_last(skew)])
            self._known_orders[key] = found, start
        return self._known_orders[key]

    @cached_property
    def resource_bound(self) -> int:
        """The busy time of the busiest port in steps; the same for all variants of the cell."""
        return max(self.tasks.loads, default=0)

    @cached_property
    def barrier_bound(self) -> int:
        """A lower bound on makespans in steps, from the barriers of Sequentials."""
        return barrier_bound(self.leaves, self.graph.layout.tiles, self.tasks)

    @cached_property
    def peak_bounds(self) -> dict[str, int]:
        """Per component, a lower bound on its peak under any schedule, in ``1 / denominator`` bits.

        The tiles that a foreground block accesses in a memory that serves it for some time are
        resident together; so are the tiles that are resident from the start, or to the end.
        """
        graph, held = self.graph, self.graph.held
        block, tile, used = graph.foreground_tiles
        memory = self.memory[held.holder]
        least = [0] * len(self.memories)
        sums = np.zeros((graph.tasks.blocks, len(self.memories)), dtype=np.int64)
        for column in memory.T:
            there = column[tile] >= 0
            np.add.at(sums, (block[there], column[tile[there]]), held.bits[tile[there]])
        for number in range(len(self.memories)):
            here = used & (memory == number).any(axis=1)
            ends = [
                int(held.bits[here & resident].sum()) for resident in (held.from_start, held.to_end)
            ]
            least[number] = max(int(sums[:, number].max(initial=0)), *ends)
        return self._largest(least)

    @cached_property
    def dependence_bound(self) -> int:
        """The last finish in steps if no task waited for a port, whatever the slot counts.

        A slot count only adds precedences.
        """
        slots = np.zeros((1, len(self.graph.holders)), dtype=np.int64)
        makespans, *_ = self._simulate(slots, np.zeros(self.graph.ahead, bool), (_UNLIMITED,))
        return int(makespans[0])

    def time(self, rows: Ints, orders: Sequence[int]) -> tuple[list[TimedVariant], Ints]:
        """Time variants; those with the same schedule are timed once.

        Parameters
        ----------
        rows
            Shape (n,): the row of `slots` of each variant.
        orders
            Indices into `polylat.schedule.timing.ORDERS`. The first one with the least makespan
            counts.

        Returns
        -------
        (list of TimedVariant, numpy.ndarray)
            The timed variants of the cell; shape (n,): the index of each variant in that list.

        Notes
        -----
        Each variant is timed without slot counts first. If that schedule keeps to the variant's
        slot counts, it is the schedule of the variant. Otherwise the slot counts that it exceeds
        are enforced, until none is exceeded.
        """
        cache = self._caches.get(tuple(orders))
        if cache is None or len(cache.timed) > _MOST_CACHED:
            none = np.full(len(self.slots), -1, dtype=np.int64)
            cache = self._caches[tuple(orders)] = _Cache(none, {}, [], [])
        left = np.unique(rows[cache.which[rows] < 0])
        slots = self.slots[left]
        single = slots[:, : self.graph.ahead] == 1
        if 1 not in orders and 2 not in orders:
            single[:] = False
        holders = np.arange(slots.shape[1])
        count = np.searchsorted(np.array(self.graph.slot_counts), slots)
        enforced = np.zeros_like(slots)
        while len(left):
            choices = np.concatenate((single, enforced), axis=1)
            first, of = _distinct_rows(choices)
            numbers = self._timed(choices[first], cache, orders)
            fits = np.array([cache.fits[n] for n in numbers.tolist()])
            exceeded = ~fits[of[:, np.newaxis], holders, count] & (enforced == 0) & (slots > 0)
            more = exceeded.any(axis=1)
            cache.which[left[~more]] = numbers[of[~more]]
            left, slots, count, single = left[more], slots[more], count[more], single[more]
            enforced = np.where(exceeded[more], slots, enforced[more])
        return cache.timed, cache.which[rows]

    def _timed(self, choices: Ints, cache: _Cache, orders: Sequence[int]) -> Ints:
        """Return the index of the timed variant of each choice; time those that are not cached."""
        keys = [row.tobytes() for row in choices]
        ahead = self.graph.ahead
        alike: dict[bytes, list[int]] = {}
        for k, key in enumerate(keys):
            if key not in cache.numbers:
                alike.setdefault(choices[k, :ahead].tobytes(), []).append(k)
        for these in alike.values():
            single = choices[these[0], :ahead].astype(np.bool_)
            by_port, _ = self._orders(single)
            # An order that repeats an earlier one has the same schedule.
            modes = [
                m for m in orders if m != 1 or 0 not in orders or (by_port[1] != by_port[0]).any()
            ]
            found = self._simulate(choices[these, ahead:], single, modes, peaks=True)
            for k, makespan, mode, peaks, fits in zip(these, *found, strict=True):
                cache.numbers[keys[k]] = len(cache.timed)
                timed = TimedVariant(int(makespan), modes[int(mode)], tuple(peaks.tolist()))
                cache.timed.append(timed)
                cache.fits.append(fits)
        return np.array([cache.numbers[key] for key in keys], dtype=np.int64)

    def _simulate(
        self, slots: Ints, single: Mask, modes: Sequence[int], *, peaks: bool = False
    ) -> tuple[Ints, Ints, Ints, Mask]:
        """Return makespans, indices into the modes, peaks, and kept slot counts."""
        g = self.graph
        orders, start = self._orders(single)
        found: tuple[Ints, Ints, Ints, Mask] = time_variants(
            self._arrays,
            self.sequential,
            self.tasks.task_port.astype(np.int32),
            start,
            orders,
            self.memory[g.held.holder],
            len(self.memories),
            self.resource_bound,
            np.array(modes, dtype=np.int64),
            peaks,
            np.ascontiguousarray(slots, dtype=np.int64),
        )
        return found

    def peaks_by_component(self, timed: TimedVariant) -> dict[str, int]:
        """Return the peaks of a variant by component.

        Parameters
        ----------
        timed
            A timed variant of this cell.

        Returns
        -------
        dict of str to int
            Component → the peak of its units in the stage that holds most, in ``1 / denominator``
            bits.
        """
        return self._largest(timed.peaks)

    def _largest(self, peaks: Sequence[int]) -> dict[str, int]:
        """Return, per component, the largest of the values of its memories."""
        found: dict[str, int] = {}
        for component, peak in zip(self.memories, peaks, strict=True):
            found[component] = max(found.get(component, 0), peak)
        return found


def _distinct_rows(table: Ints) -> tuple[Ints, Ints]:
    """Return the first of each group of equal rows, and the group of each row."""
    groups: dict[bytes, int] = {}
    of = [groups.setdefault(row.tobytes(), len(groups)) for row in table]
    number = np.array(of, dtype=np.int64)
    return np.unique(number, return_index=True)[1], number
