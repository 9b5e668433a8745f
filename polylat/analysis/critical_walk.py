"""Trace the critical path of a schedule in which sampled tile iterations represent skipped ones.

The walk itself is compiled: `schedule.backtrack`. This module prepares its tables from a solution,
and turns its record into items of a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from polylat.analysis.repetition import Digits, Item, Repetition, ServedAccesses, Service
from polylat.engine.solution import Solution
from polylat.errors import UnsupportedError
from polylat.lowering.durations import access_durations, latency_kind, tasks_by_block_and_port
from polylat.schedule.arrays import Ints, Times, group_by_key, group_offsets
from polylat.schedule.backtrack import (
    BacktrackRecord,
    BacktrackTables,
    binding_reasons,
    coprime_moduli,
    residues,
    trace_critical_path,
)
from polylat.schedule.backtrack_shapes import CHILD, COUNT, PLACE, SHAPE, SHIFT
from polylat.schedule.backtrack_steps import LOST, REASONS
from polylat.schedule.extrapolation import PeriodicTaskGraph
from polylat.schedule.precedences import EventPrecedences
from polylat.schedule.reasons import FLOW, PORT, START, UNKNOWN

__all__ = ["CriticalWalk"]


class CriticalWalk:
    """A schedule with skipped tile iterations, prepared to be traced back in time.

    Parameters
    ----------
    solution
        The schedule.
    """

    def __init__(self, solution: Solution) -> None:
        model, timing = solution.model, solution.schedule
        plan = model.plan
        assert isinstance(plan, PeriodicTaskGraph)
        self.model = model
        self.timing = timing
        self.graph = plan.graph
        self._plan = plan
        self.events = plan.events
        self.repeats = plan.repeats
        self.tiles = model.layout.tiles
        self.loops = len(plan.repeats.earlier)
        self._kinds: dict[ServedAccesses, int] = {}

    def reasons(self, tasks: Ints, periods: Ints) -> Ints:
        """Return why tasks waited.

        Parameters
        ----------
        tasks, periods
            Sampled tasks, shape (n,), and by how many periods each is translated, shape
            (loops, n).

        Returns
        -------
        numpy.ndarray
            Shape (n,): reason codes (`schedule.reasons`); `UNKNOWN` where the walk cannot determine
            the reason.
        """
        rows = _plain(periods.T)
        return binding_reasons(self._tables, _plain(tasks), rows, START, PORT, UNKNOWN)

    def back(self) -> tuple[Item, ...]:
        """Trace the critical path back from the last finish.

        Returns
        -------
        tuple of Item
            The path in order of time, from time 0 to the makespan, without a gap; `Service`s
            include fixed latencies.

        Raises
        ------
        UnsupportedError
            The path cannot be traced through a repetition.
        """
        if self.timing.makespan == 0:
            return ()
        tables = self._tables
        last, periods, latency = self._last
        kinds, codes = len(self._kinds), (START, PORT, FLOW)
        trail, items, shapes = trace_critical_path(tables, kinds, last, periods, latency, codes)
        if items == LOST:
            raise _lost()
        depths = [tiles.depth for tiles in self.tiles]
        return _PathBuilder(list(self._kinds), depths, trail, items, shapes).path()

    @property
    def _last(self) -> tuple[int, Ints, int]:
        """What passes last: an event, its number of periods per loop, and the kind of its latency.

        The end of a task if one passes last, of a foreground block if there is one; else the start
        of a block without tasks, or one that holds a rigid pipeline back.
        """
        graph, timing = self.graph, self.timing
        still = np.zeros(self.loops, dtype=np.int64)
        ends = timing.task_begin + graph.task_duration + graph.latency[graph.task_block]
        ended = np.flatnonzero(ends == timing.makespan)
        if len(ended):
            front = ended[graph.kind[graph.task_block[ended]] == 1]
            last = int((front if len(front) else ended)[0]) + graph.blocks
            lag = int(graph.latency[graph.task_block[last - graph.blocks]])
        else:
            passing = np.flatnonzero(
                (graph.latency > 0) & (timing.ready + graph.latency == timing.makespan)
            )
            if not len(passing):
                return self._last_start
            last = int(passing[0])
            lag = int(graph.latency[last])
        kind = self._latency_kinds(np.array([last]), np.array([lag], dtype=graph.latency.dtype))
        return last, still, int(kind[0])

    @property
    def _last_start(self) -> tuple[int, Ints, int]:
        """The start of another tile iteration that holds back the last finish, as `_last`."""
        timing, starts = self.timing, self.repeats.finishing.starts.ends
        finishes = timing.finish[starts.target]
        values = timing.values[starts.source]
        grown = starts.periods.astype(values.dtype) * self._growth(starts.source)
        held = np.flatnonzero(
            (finishes == timing.makespan)
            & (values + grown.sum(axis=0) + starts.lag == timing.makespan)
        )[:1]
        if not len(held):
            raise _lost()
        kind = self._latency_kinds(starts.source[held], starts.lag[held])
        return int(starts.source[held[0]]), _plain(starts.periods[:, held[0]]), int(kind[0])

    def _growth(self, starts: Ints) -> Times:
        """How much later, per loop, the starts of tile iterations are from period to period."""
        values = self.timing.values
        rows = []
        for earlier in self.repeats.earlier:
            before = earlier[starts]
            rows.append(np.where(before >= 0, values[starts] - values[before], 0))
        return np.array(rows, dtype=values.dtype).reshape(self.loops, len(starts))

    @cached_property
    def _tables(self) -> BacktrackTables:
        graph, timing = self.graph, self.timing
        n, events = graph.iterations, self.events
        count = graph.blocks + graph.tasks
        every = np.arange(count)
        iteration = events.iteration[:count]
        values = timing.values[: graph.blocks + graph.tasks]
        after = np.full((self.loops, n), -1, dtype=np.int64)
        periods = np.ones((self.loops, n), dtype=np.int64)
        for stretch in self.repeats.skipped_ranges:
            after[stretch.where[1], stretch.stand] = stretch.after
            periods[stretch.where[1], stretch.stand] = stretch.periods + 1

        def counterparts(rows: Ints) -> Ints:
            """Per event and loop, the corresponding event of another tile iteration."""
            found = np.full((count, self.loops), -1, dtype=np.int64)
            for k, row in enumerate(rows):
                there = row[iteration]
                some = np.flatnonzero(there >= 0)
                found[some, k] = events.at(every[some], there[some])
            return found

        earlier = counterparts(self.repeats.earlier)
        wait_start, waits = self.waits
        moduli = coprime_moduli(self._largest_time(values, earlier))
        own = np.lexsort((graph.sequence, graph.owner))
        served_start, served = group_by_key(graph.task_block, graph.blocks)
        return BacktrackTables(
            moduli=moduli,
            values=residues(values, moduli),
            durations=residues(graph.task_duration, moduli),
            iteration=_plain(iteration),
            earlier=earlier,
            after=counterparts(after),
            periods=_plain(periods.T),
            kind=_plain(graph.kind),
            sequence=_plain(graph.sequence),
            task_block=_plain(graph.task_block),
            task_port=_plain(graph.task_port),
            task_kind=self._task_kinds,
            own_start=group_offsets(graph.owner, n),
            own=_plain(own),
            served_start=_plain(served_start),
            served=_plain(served),
            leaf=_plain(graph.leaf),
            **self._loop_indices(),
            **self._skipped_ranges(),
            wait_start=wait_start,
            wait_source=_plain(waits.source),
            wait_rule=_plain(waits.rule),
            wait_group=_plain(waits.group),
            wait_reason=_plain(waits.reason),
            wait_periods=_plain(waits.periods.T),
            wait_lag=residues(waits.lag, moduli),
            wait_latency=self._latency_kinds(waits.source, waits.lag),
        )

    def _largest_time(self, values: Times, earlier: Ints) -> int:
        """Return an upper bound of all times of the walk, and of differences between them."""
        most = int(values.max(initial=0)) + int(self.waits[1].lag.max(initial=0))
        trips = max((kept.trips for tiles in self.tiles for kept in tiles.kept), default=1)
        for column in earlier.T:
            some = np.flatnonzero(column >= 0)
            grown = abs(values[some] - values[column[some]])
            most += trips * int(grown.max(initial=0))
        return 2 * most * (trips + 1)

    def _loop_indices(self) -> dict[str, Ints]:
        """Return the tables of loop indices."""
        layout = self.model.layout
        keys = np.concatenate([tiles.keys for tiles in self.tiles])
        return {
            "digits": np.ascontiguousarray(layout.digits.T),
            "period": np.ascontiguousarray(layout.period_lengths.T),
            "keys": _plain(keys),
            "bases": np.array([*layout.bases, layout.iterations], dtype=np.int64),
        }

    def _skipped_ranges(self) -> dict[str, Ints]:
        """Return the tables of trip counts and skipped ranges, by leaf and loop."""
        count = np.zeros((len(self.tiles), self.loops), dtype=np.int64)
        trips = np.zeros_like(count)
        where, cuts = [], []
        for leaf, tiles in enumerate(self.tiles):
            for k, kept in enumerate(tiles.kept):
                count[leaf, k], trips[leaf, k] = kept.count, kept.trips
                for cut in kept.cuts:
                    stand = int(kept.digits[cut.place - cut.period])
                    where.append(leaf * self.loops + k)
                    cuts.append((cut.place, cut.period, cut.periods, stand))
        columns = np.array(cuts, dtype=np.int64).reshape(-1, 4).T
        names = ("cut_place", "cut_period", "cut_count", "cut_last_period")
        found = {name: _plain(column) for name, column in zip(names, columns, strict=True)}
        start = group_offsets(np.array(where, dtype=np.int64), count.size)
        return found | {"trips": trips, "places": count, "cut_start": start}

    @cached_property
    def waits(self) -> tuple[Ints, EventPrecedences]:
        """Precedences of the starts of blocks and of the ends of tasks, as `by_target` sorts them.

        A path enters no finish. That a task begins no earlier than its block is not listed.
        """
        waits = self._plan.precedences(self.timing.order)
        count = self.graph.blocks + self.graph.tasks
        of_starts = waits.target < self.graph.blocks
        of_tasks = (waits.target < count) & (waits.reason == PORT)
        return waits.chosen(of_starts | of_tasks).by_target(count)

    def _latency_kinds(self, sources: Ints, lags: Times) -> Ints:
        """Return the kinds of the fixed latencies behind events; -1 where the lag is 0."""
        graph = self.graph
        found = np.full(len(sources), -1, dtype=np.int64)
        late = np.flatnonzero(lags > 0)
        blocks = self.events.block_of[sources[late]]
        leaves, sequence = graph.leaf[graph.owner[blocks]], graph.sequence[blocks]
        _, steps = np.unique(lags[late], return_inverse=True)
        width = int(sequence.max(initial=0)) + 1
        code = (leaves * width + sequence) * (len(late) + 1) + steps.reshape(-1)
        _, first, alike = np.unique(code, return_index=True, return_inverse=True)
        kinds = []
        for at in first.tolist():
            leaf = int(leaves[at])
            block = self.model.layout.blocks[leaf][int(sequence[at])]
            what = latency_kind(self.model.lowered, leaf, block)
            kinds.append(self._kind(ServedAccesses(leaf, ((what, int(lags[late[at]])),))))
        found[late] = np.array(kinds, dtype=np.int64)[alike.reshape(-1)]
        return found

    def _kind(self, served: ServedAccesses) -> int:
        """Return the number of a kind of tasks, or of fixed latencies."""
        return self._kinds.setdefault(served, len(self._kinds))

    @cached_property
    def _task_kinds(self) -> Ints:
        """Shape (tasks,): the kind of each task."""
        number = np.zeros(self.graph.tasks, dtype=np.int64)
        for leaf, block, port, tasks, iterations in tasks_by_block_and_port(
            self.model.graph, self.model.layout
        ):
            parts = access_durations(
                self.model.lowered, self.model.costs, leaf, block, port, iterations
            )
            first, alike = _equal_rows(len(tasks), [(which, times) for _, which, times in parts])
            found = []
            for task in first.tolist():
                accesses = []
                for what, which, times in parts:
                    at = int(np.searchsorted(which, task))
                    if at < len(which) and which[at] == task:
                        accesses.append((what, int(times[at])))
                found.append(self._kind(ServedAccesses(leaf, tuple(accesses))))
            number[tasks] = np.array(found, dtype=np.int64)[alike]
        return number


def _lost() -> UnsupportedError:
    return UnsupportedError(
        "the critical path cannot be traced through a repetition of the schedule",
        where="mapping",
        fix="use larger tiles, or granularity='tile'",
    )


def _equal_rows(count: int, columns: Sequence[tuple[Ints, Times]]) -> tuple[Ints, Ints]:
    """Group the equal rows of a table with missing entries.

    Parameters
    ----------
    count
        Number of rows.
    columns
        Per column, the rows that have an entry, and their entries.

    Returns
    -------
    (first, group)
        The first row of each group, shape (groups,), and the group of each row, shape (count,).
    """
    group = np.zeros(count, dtype=np.int64)
    first = np.zeros(min(count, 1), dtype=np.int64)
    for rows, values in columns:
        code = np.zeros(count, dtype=np.int64)
        code[rows] = np.unique(values, return_inverse=True)[1].reshape(-1) + 1
        _, first, group = np.unique(
            group * (len(values) + 1) + code, return_index=True, return_inverse=True
        )
    return first, group.reshape(-1)


class _PathBuilder:
    """Turns the record of a walk, latest item first, into items in order of time.

    Parameters
    ----------
    kinds
        Per kind of task, its accesses.
    depths
        Number of loops per leaf.
    trail, items, shapes
        The record, and its numbers of items and of shapes of repetitions.
    """

    def __init__(
        self,
        kinds: Sequence[ServedAccesses],
        depths: Sequence[int],
        trail: BacktrackRecord,
        items: int,
        shapes: int,
    ) -> None:
        self.kinds = kinds
        self.depths = depths
        self.shape: list[int] = trail.items[SHAPE, :items].tolist()
        self.start: list[int] = trail.items[PLACE, : items + 1].tolist()
        self.digits = trail.places[: self.start[-1], :-1]
        self.count: list[int] = trail.shapes[COUNT, :shapes].tolist()
        child, shift = trail.shapes[[CHILD, SHIFT], : shapes + 1].tolist()
        self.children = [trail.children[a:b].tolist() for a, b in pairwise(child)]
        self.shift = [trail.shifts[a:b] for a, b in pairwise(shift)]
        self.service_shapes = REASONS * len(kinds)

    def path(self) -> tuple[Item, ...]:
        """Return the path."""
        digits = self.digits.copy()
        # The round that the walk visits first is the last one in order of time.
        for shape, start in zip(self.shape, self.start, strict=False):
            if shape >= self.service_shapes:
                by = self._last_rounds[shape - self.service_shapes]
                digits[start : start + len(by)] += by
        places = iter(digits[::-1].tolist())
        return tuple(self._item(shape, places) for shape in reversed(self.shape))

    def _item(self, shape: int, places: Iterator[list[int]]) -> Item:
        if shape < self.service_shapes:
            served = self.kinds[shape // REASONS]
            digits = tuple(next(places)[: self.depths[served.leaf]])
            return Service(served, digits, shape % REASONS)
        number = shape - self.service_shapes
        body = tuple(self._item(child, places) for child in reversed(self.children[number]))
        return Repetition(body, self.count[number], self._forward_shifts[number])

    @cached_property
    def _last_rounds(self) -> list[Ints]:
        """Per repetition, the shifts of its services from the first to the last round visited.

        Repetitions within it included: they move to their last rounds, too.
        """
        found: list[Ints] = []
        for count, children, shift in zip(self.count, self.children, self.shift, strict=True):
            by = (count - 1) * shift
            at = 0
            for child in children:
                inner = (
                    found[child - self.service_shapes] if child >= self.service_shapes else by[:0]
                )
                by[at : at + len(inner)] += inner
                at += max(len(inner), 1)
            found.append(by)
        return found

    @cached_property
    def _leaves(self) -> list[list[int]]:
        """Per repetition, the leaf of each service."""
        found: list[list[int]] = []
        for children in self.children:
            leaves: list[int] = []
            for child in children:
                if child < self.service_shapes:
                    leaves.append(self.kinds[child // REASONS].leaf)
                else:
                    leaves += found[child - self.service_shapes]
            found.append(leaves)
        return found

    @cached_property
    def _forward_shifts(self) -> list[tuple[Digits, ...]]:
        """Per repetition, the shifts of its services in order of time."""
        return [
            tuple(
                tuple(row[: self.depths[leaf]])
                for row, leaf in zip((-shift[::-1]).tolist(), reversed(leaves), strict=True)
            )
            for shift, leaves in zip(self.shift, self._leaves, strict=True)
        ]


def _plain(values: Ints) -> Ints:
    """Return values as the compiled code takes them: 64 bits, contiguous."""
    return np.ascontiguousarray(values, dtype=np.int64)
