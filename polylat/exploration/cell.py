"""The variants that differ in write-backs and slots only: timed together, and each graph once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from polylat.exploration.kernels import time_variants
from polylat.exploration.variants import VariantGraph
from polylat.lowering.dependences.skew import shifts_from_distances
from polylat.lowering.paths import with_pipelines
from polylat.lowering.ports import PortKey, stages_with_units
from polylat.lowering.task_graph import logical_dates
from polylat.schedule.arrays import Ints

__all__ = ["Cell", "TimedVariant"]

_MOST_CACHED = 10_000
"""Largest number of timed variants that a cell keeps."""
_MODES = (0, 1, 3)
"""Per order of `polylat.schedule.timing.ORDERS`, its mode in `time_variants`."""
_UNLIMITED = 2
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
    numbers
        Write-backs in the background and enforced slot counts, as bytes → index into `timed`.
    timed
        The timed variants.
    fits
        Per timed variant, shape (tensors, slot counts): whether its schedule keeps to that slot
        count, whether it is enforced or not.
    """

    numbers: dict[bytes, int]
    timed: list[TimedVariant]
    fits: list[np.ndarray]


class Cell:
    """The variants of a graph that have the same kinds of splits.

    Parameters
    ----------
    graph
        The task graph of all variants.
    pipelines
        Tree nodes of the splits that are Pipelines.
    """

    def __init__(self, graph: VariantGraph, pipelines: frozenset[int]) -> None:
        self.graph = graph
        self.pipelines = pipelines
        self._caches: dict[tuple[int, ...], _Cache] = {}
        self.leaves = with_pipelines(graph.leaves, pipelines)
        units = stages_with_units(graph.spec, self.leaves)
        ports: dict[PortKey, int] = {}
        numbers = []
        for leaf, port in graph.columns:
            key = graph.costs.ports[port]
            key = replace(key, stages=units[leaf][key.component])
            numbers.append(ports.setdefault(key, len(ports)))
        self.ports = tuple(ports)
        """The ports of the cell: stages may have their own units of a component."""
        port_of_task = np.array(numbers, dtype=np.int64)[graph.column]
        self.tasks = replace(graph.tasks, task_port=port_of_task, ports=len(ports))
        """The graph with the ports of the cell."""
        memories: dict[tuple[str, tuple[tuple[int, int], ...]], int] = {}
        self.memory = np.array(
            [
                memories.setdefault((component, units[leaf][component]), len(memories))
                for component, leaf in graph.held.holders
            ],
            dtype=np.int64,
        )
        """Per holder of the graph, its memory."""
        self.memories = tuple(component for component, _ in memories)
        """Per memory, its component."""
        self.sequential = np.array(
            [node not in pipelines for node in graph.split_nodes], dtype=np.bool_
        )

    @cached_property
    def program_order(self) -> Ints:
        """The tasks by port, then in program order: shape (tasks,)."""
        return self.tasks.port_order(skewed=False)[0].astype(np.int32)

    @cached_property
    def skewed_order(self) -> Ints:
        """The tasks by port, then by skewed date; `program_order` itself without Pipelines."""
        if not self.pipelines:
            return self.program_order
        shifts = shifts_from_distances(self.leaves, self.graph.distances)
        dates = logical_dates(self.graph.layout, shifts)
        return replace(self.tasks, dates=dates).port_order(skewed=True)[0].astype(np.int32)

    @cached_property
    def resource_bound(self) -> int:
        """The busy time of the busiest port in steps; the same for all variants of the cell."""
        return max(self.tasks.loads, default=0)

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
        np.add.at(sums, (block, memory[tile]), held.bits[tile])
        for number in range(len(self.memories)):
            here = used & (memory == number)
            ends = [
                int(held.bits[here & resident].sum()) for resident in (held.from_start, held.to_end)
            ]
            least[number] = max(int(sums[:, number].max(initial=0)), *ends)
        return self._largest(least)

    def dependence_bounds(self, background: np.ndarray) -> list[int]:
        """Return lower bounds on makespans: the last finish if no task waited for a port.

        Parameters
        ----------
        background
            Shape (n, write-backs): which write-backs are in the background.

        Returns
        -------
        list of int
            Per row, a bound in steps of ``1 / scale``.

        Notes
        -----
        A row's bound holds for all variants whose background write-backs are a subset of the
        row's, whatever their slot counts: a slot count only adds precedences, and waiting for a
        write-back takes no less time than not waiting for it.
        """
        slots = np.zeros((len(background), len(self.graph.tensors)), dtype=np.int64)
        makespans, *_ = self._simulate(background, slots, (_UNLIMITED,), peaks=False)
        return [int(makespan) for makespan in makespans]

    def time(
        self, background: np.ndarray, slots: np.ndarray, orders: Sequence[int]
    ) -> tuple[list[TimedVariant], Ints]:
        """Time variants; those with the same schedule are timed once.

        Parameters
        ----------
        background
            Shape (n, write-backs): which write-backs are in the background.
        slots
            Shape (n, tensors): the slot count of each tensor of `VariantGraph.tensors`; 0:
            unlimited.
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
        if self.skewed_order is self.program_order and len(orders) > 1:
            # Without Pipelines, skew repeats the order "program".
            orders = [order for order in orders if order != 1]
        cache = self._caches.get(tuple(orders))
        if cache is None or len(cache.timed) > _MOST_CACHED:
            cache = self._caches[tuple(orders)] = _Cache({}, [], [])
        tensors = np.arange(slots.shape[1])
        count = np.searchsorted(np.array(self.graph.slot_counts), slots)
        which = np.full(len(slots), -1, dtype=np.int64)
        enforced = np.zeros_like(slots)
        left = np.arange(len(slots))
        while len(left):
            rows = np.concatenate((background[left].astype(np.int64), enforced[left]), axis=1)
            unique, of = np.unique(rows, axis=0, return_inverse=True)
            numbers = self._timed(unique, background.shape[1], cache, orders)[of.reshape(-1)]
            distinct, at = np.unique(numbers, return_inverse=True)
            fits = np.array([cache.fits[n] for n in distinct])
            exceeded = ~fits[at[:, None], tensors, count[left]] & (enforced[left] == 0)
            exceeded &= slots[left] > 0
            done = ~exceeded.any(axis=1)
            which[left[done]] = numbers[done]
            enforced[left] = np.where(exceeded, slots[left], enforced[left])
            left = left[~done]
        return cache.timed, which

    def _timed(
        self, rows: np.ndarray, write_backs: int, cache: _Cache, orders: Sequence[int]
    ) -> Ints:
        """Return the index of each row's timed variant; time those that are not cached."""
        keys = [row.tobytes() for row in rows]
        new = [k for k, key in enumerate(keys) if key not in cache.numbers]
        if new:
            background, slots = rows[new, :write_backs].astype(np.bool_), rows[new, write_backs:]
            modes = [_MODES[order] for order in orders]
            found = self._simulate(background, slots, modes, peaks=True)
            for k, makespan, mode, peaks, fits in zip(new, *found, strict=True):
                cache.numbers[keys[k]] = len(cache.timed)
                timed = TimedVariant(int(makespan), orders[int(mode)], tuple(peaks.tolist()))
                cache.timed.append(timed)
                cache.fits.append(fits)
        return np.array([cache.numbers[key] for key in keys], dtype=np.int64)

    def _simulate(
        self, background: np.ndarray, slots: np.ndarray, modes: Sequence[int], *, peaks: bool
    ) -> tuple[Ints, Ints, Ints, np.ndarray]:
        """Return makespans, indices into the modes, peaks, and kept slot counts."""
        g = self.graph
        skewed = self.skewed_order if any(mode in (1, 3) for mode in modes) else self.program_order
        found: tuple[Ints, Ints, Ints, np.ndarray] = time_variants(
            g.arrays,
            self.sequential,
            self.tasks.task_port.astype(np.int32),
            self.tasks.ports,
            self.memory[g.held.holder],
            len(self.memories),
            self.program_order,
            skewed,
            self.resource_bound,
            np.array(modes, dtype=np.int64),
            peaks,
            np.ascontiguousarray(background, dtype=np.bool_),
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
