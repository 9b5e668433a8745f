"""Build timelines: segments of a schedule, their bars, and the reason why each bar waits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from math import ceil, floor

import numpy as np

from polylat.analysis.access import LATENCY, Step
from polylat.analysis.critical_path import CriticalPath
from polylat.analysis.critical_walk import CriticalWalk
from polylat.analysis.explicit_path import REASONS
from polylat.analysis.folding import SegmentWindow, TimelineFold, fold_timeline
from polylat.analysis.results import Results
from polylat.analysis.services import ServiceRuns, services
from polylat.analysis.slack import LatestStarts, SlackUndeterminedError
from polylat.analysis.timeline import (
    Bar,
    BarPart,
    Kind,
    Lane,
    OccupancyLevel,
    RepeatedPart,
    TimelineData,
    TimelineSegment,
    UtilizationSpan,
    window_of,
)
from polylat.analysis.visiting import visit_all
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.errors import OptionError, UnsupportedError
from polylat.lowering.durations import access_durations
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.critical_path import task_slacks, waiting_reasons
from polylat.schedule.events import EventNumbering
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.reasons import UNKNOWN, Wait

__all__ = ["MOST_BARS", "TimelineBuilder"]

_MOST_STEPS = 1000
"""Largest number of steps of the critical path that are listed in a segment."""

MOST_BARS = 1_000_000
"""Largest number of bars that a segment shows one by one, whatever the limit: each is an object."""

_BINS = 160
"""Number of shades, and of steps of an occupancy, where there are too many to list."""

_Pairs = Sequence[tuple[Number, Number]]


class TimelineBuilder:
    """Cuts a schedule into segments with bars.

    Parameters
    ----------
    results
        The schedule and its analyses.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        solution = results.solution
        self.solution, self.model, self.timing = solution, solution.model, solution.schedule
        self.scale = self.model.costs.scale
        self.runs, self.streams = services(self.solution)
        self.lanes = tuple(Lane(p.component, p.port, p.units, p.busy) for p in results.ports)
        self.events = EventNumbering(self.model.graph)
        # (Einsum, component, name of the port) → lane: a leaf has one of each.
        self.lane_of: dict[tuple[str, str, str], int] = {}
        for stream, port in {*zip(self.runs.stream.tolist(), self.runs.port.tolist(), strict=True)}:
            lane = self.lanes[port]
            einsum = self._einsum(self.streams[stream][0])
            self.lane_of[einsum, lane.component, lane.port] = port

    def _einsum(self, leaf: int) -> str:
        return self.model.lowered.leaves[leaf].einsum.name

    def _number(self, steps: int) -> Number:
        return reduce_number(Fraction(steps, self.scale))

    def timeline(
        self, window: tuple[Number, Number] | None, fold: bool | None, title: str, limit: int
    ) -> TimelineData:
        """Build the timeline of a window.

        Parameters
        ----------
        window
            (from, to), in the architecture's unit of time; None: all.
        fold
            Whether repetitions are shown once; None: if there are more than `limit` bars.
        title
            The title.
        limit
            Largest number of bars of a segment.

        Returns
        -------
        TimelineData
            The timeline.

        Raises
        ------
        OptionError
            The window is empty, or not within the schedule; or there are more than `MOST_BARS` bars
            to be shown one by one.
        """
        results = self.results
        low, high = self._window(window)
        runs = self.runs.seen(low, high)
        if fold is None:
            fold = runs.number(low, high) > limit
        pieces: list[SegmentWindow] = [SegmentWindow(low, high, 1)]
        repeats: tuple[TimelineFold, ...] = ()
        if fold and low < high:
            pieces, repeats = fold_timeline(runs, low, high, limit)
        return TimelineData(
            title=title,
            start=self._number(low),
            finish=self._number(high),
            latency=results.latency,
            lanes=self.lanes,
            einsums=tuple(leaf.einsum.name for leaf in self.model.lowered.leaves),
            segments=tuple(self._segment(runs, piece, limit) for piece in pieces),
            repeats=tuple(
                RepeatedPart(first, last, count, self._number(period))
                for first, last, count, period in repeats
            ),
            bounds=tuple((f"{name} bound", time) for name, time in results.bounds.items()),
            path_known=self._path is not None,
        )

    def _window(self, window: tuple[Number, Number] | None) -> tuple[int, int]:
        if window is None:
            return 0, self.timing.makespan
        first, last = window_of(window, self.results.latency)
        return floor(first * self.scale), ceil(last * self.scale)

    def _segment(self, runs: ServiceRuns, piece: SegmentWindow, limit: int) -> TimelineSegment:
        low, high = piece.start, piece.finish
        seen = runs.seen(low, high)
        start, finish = self._number(low), self._number(high)
        bars: tuple[Bar, ...] = ()
        shades: tuple[UtilizationSpan, ...] = ()
        critical = self._critical(start, finish)
        number = seen.number(low, high)
        if number <= limit:
            if number > MOST_BARS:
                raise OptionError(
                    f"limit={limit:,} asks for {number:,} bars one by one, of at most"
                    f" {MOST_BARS:,}",
                    fix="use a smaller limit, which shows repetitions once, or a window",
                )
            bars = self._bars(seen.single(low, high), critical)
        else:
            shades = self._shades(seen, low, high)
        levels = self._levels(start, finish, limit)
        return TimelineSegment(start, finish, piece.times, bars, shades, critical, levels)

    @cached_property
    def _path(self) -> CriticalPath | None:
        try:
            return self.results.critical_path
        except UnsupportedError:
            return None

    def _critical(self, start: Number, finish: Number) -> tuple[Step, ...]:
        path = self._path
        if path is None:
            return ()
        first, last = path.index_at(start), path.index_at(finish)
        if last < path.length and path[last].start < finish:
            last += 1
        if last - first <= _MOST_STEPS:
            return tuple(path[first:last])
        each = Fraction(finish - start) / _BINS
        some = dict.fromkeys(path.index_at(start + k * each) for k in range(_BINS))
        return tuple(path[k] for k in some)

    # Bars

    def _bars(self, single: ServiceRuns, critical: Sequence[Step]) -> tuple[Bar, ...]:
        count = single.size
        tasks = np.zeros(count, dtype=np.int64)
        parts: list[list[BarPart]] = [[] for _ in range(count)]
        tiles: list[tuple[tuple[str, int], ...]] = [()] * count
        later = np.zeros((self.model.layout.depth, count), dtype=np.int64)
        key = single.stream * (len(self.lanes) + 1) + single.port
        for value in np.unique(key).tolist():
            some = np.flatnonzero(key == value)
            stream, port = int(single.stream[some[0]]), int(single.port[some[0]])
            leaf, block = self.streams[stream]
            of = self.model.layout.tiles[leaf]
            iterations, later[: of.depth, some] = of.locate(single.digits[: of.depth, some])
            tasks[some] = _tasks(self.model, self.events, (leaf, block, port), iterations)
            names = [loop.variable for loop in of.leaf.temporal[: of.depth]]
            for bar, digits in zip(some.tolist(), single.digits[:, some].T.tolist(), strict=True):
                tiles[bar] = tuple(zip(names, digits, strict=False))
            what = self.model.layout.blocks[leaf][block]
            for part, which, times in access_durations(
                self.model.lowered, self.model.costs, leaf, what, port, iterations
            ):
                for bar, time in zip(some[which].tolist(), times.tolist(), strict=True):
                    made = BarPart(part.tensor, part.action, self._number(time))
                    parts[bar].append(made)
        slacks = self._slacks(tasks, later, single.first)
        if None in slacks and self._whole is not None:
            free = self._free_of_all[self._tasks_of_all(single, self._whole)]
            slacks = [self._number(int(steps)) for steps in free]
        bars = [
            Bar(
                lane=int(single.port[bar]),
                einsum=self._einsum(self.streams[int(single.stream[bar])][0]),
                tile=tiles[bar],
                kind=self._kind(int(single.stream[bar])),
                parts=tuple(parts[bar]),
                start=self._number(int(single.first[bar])),
                duration=self._number(int(single.duration[bar])),
                slack=slacks[bar],
            )
            for bar in range(count)
        ]
        why = self._waits(tasks, later)
        if "unknown" in why and self._whole is not None:
            why = self._waits_of_all(single, self._whole)
        return tuple(_linked(bars, why, self._on_path(bars, critical)))

    def _kind(self, stream: int) -> Kind:
        leaf, block = self.streams[stream]
        found = self.model.layout.blocks[leaf][block]
        return "background" if found.background else found.kind

    def _slacks(self, tasks: Ints, later: Ints, begin: Times) -> list[Number | None]:
        """Return the slack of tasks, translated by periods, that begin at given times."""
        free: list[int | None]
        if self._free is not None:
            free = self._free[tasks].tolist()
        elif self._latest is not None:
            free = self._latest.slacks(tasks, later, begin)
        else:
            free = [None] * len(tasks)
        return [None if steps is None else self._number(steps) for steps in free]

    def _tasks_of_all(self, single: ServiceRuns, whole: Solution) -> Ints:
        """Return the tasks of services in the schedule of all tile iterations."""
        model, events = whole.model, EventNumbering(whole.model.graph)
        tasks = np.zeros(single.size, dtype=np.int64)
        for bar in range(single.size):
            leaf, block = self.streams[int(single.stream[bar])]
            of = model.layout.tiles[leaf]
            iteration = of.find(single.digits[: of.depth, bar : bar + 1])
            tasks[bar] = _tasks(model, events, (leaf, block, int(single.port[bar])), iteration)[0]
        return tasks

    @cached_property
    def _whole(self) -> Solution | None:
        """The schedule of all tile iterations; None if there are too many."""
        return visit_all(self.solution)

    @cached_property
    def _free_of_all(self) -> Times:
        """Slack of the tasks of all tile iterations."""
        assert self._whole is not None
        return task_slacks(self._whole.timed_events)

    @cached_property
    def _free(self) -> Times | None:
        if not isinstance(self.model.plan, ExplicitTaskGraph):
            return None
        return task_slacks(self.solution.timed_events)

    @cached_property
    def _latest(self) -> LatestStarts | None:
        try:
            return LatestStarts(self._walk)
        except SlackUndeterminedError:
            return None

    def _on_path(self, bars: Sequence[Bar], critical: Sequence[Step]) -> dict[int, Step]:
        """Return the bars on the critical path, and the first step of each."""
        starts: dict[int, list[tuple[Number, int]]] = {}
        for place, bar in enumerate(bars):
            starts.setdefault(bar.lane, []).append((bar.start, place))
        found: dict[int, Step] = {}
        for step in critical:
            if step.action == LATENCY:
                continue
            lane = self.lane_of[step.einsum, step.component, step.port]
            mine = starts.get(lane, [])
            at = bisect_right(mine, step.start, key=lambda pair: pair[0]) - 1
            if at >= 0 and bars[mine[at][1]].finish >= step.finish:
                found.setdefault(mine[at][1], step)
        return found

    # Reasons for waiting

    def _waits(self, tasks: Ints, later: Ints) -> list[Wait]:
        """Return the reason why each task, translated by periods, waited."""
        if not isinstance(self.model.plan, ExplicitTaskGraph):
            return _names(self._walk.reasons(tasks, later))
        return _names(waiting_reasons(self.solution.timed_events, tasks))

    def _waits_of_all(self, single: ServiceRuns, whole: Solution) -> list[Wait]:
        """Return the reason why each service waited, from the schedule of all tile iterations."""
        tasks = self._tasks_of_all(single, whole)
        return _names(waiting_reasons(whole.timed_events, tasks))

    @cached_property
    def _walk(self) -> CriticalWalk:
        return CriticalWalk(self.solution)

    # Shades

    def _shades(self, runs: ServiceRuns, low: int, high: int) -> tuple[UtilizationSpan, ...]:
        bins = min(_BINS, high - low)
        edges = [low + (high - low) * k // bins for k in range(bins + 1)]
        names: dict[tuple[int, str, Kind], int] = {}
        group = [
            names.setdefault(
                (port, self._einsum(self.streams[stream][0]), self._kind(stream)), len(names)
            )
            for port, stream in zip(runs.port.tolist(), runs.stream.tolist(), strict=True)
        ]
        busy = runs.busy(np.array(edges, dtype=object), np.array(group, dtype=np.int64))
        found = []
        for k, row in enumerate(np.diff(busy, axis=0).tolist()):
            by_lane: dict[int, list[tuple[str, Kind, Number]]] = {}
            for (lane, einsum, kind), time in zip(names, row, strict=False):
                if time:
                    by_lane.setdefault(lane, []).append((einsum, kind, self._number(time)))
            start, finish = self._number(edges[k]), self._number(edges[k + 1])
            found += [
                UtilizationSpan(lane, start, finish, tuple(b))
                for lane, b in sorted(by_lane.items())
            ]
        return tuple(found)

    # Memories

    def _levels(self, start: Number, finish: Number, limit: int) -> tuple[OccupancyLevel, ...]:
        found = []
        for memory in self.results.occupancy:
            steps: tuple[tuple[Number, Number], ...] | None
            peak: Number | None
            exact = True
            try:
                peak = memory.peak
                steps, exact = memory.outline(start, finish, _BINS, max(limit, 2 * _BINS))
            except UnsupportedError:
                peak = steps = None
            found.append(
                OccupancyLevel(memory.component, memory.units, memory.size, peak, steps, exact)
            )
        return tuple(found)


def _tasks(
    model: Model, events: EventNumbering, what: tuple[int, int, int], iterations: Ints
) -> Ints:
    """Return the tasks of a (leaf, block, port), for tile iterations of a model."""
    leaf, block, port = what
    blocks = model.layout.streams[leaf][block].numbers_in(iterations)
    keys, order = events.task_keys
    return order[np.searchsorted(keys, blocks * model.graph.ports + port)]


def _names(reasons: Ints) -> list[Wait]:
    return ["unknown" if code == UNKNOWN else REASONS[code] for code in reasons.tolist()]


def _linked(
    bars: Sequence[Bar],
    why: Sequence[Wait],
    on_path: Mapping[int, Step],
) -> Iterator[Bar]:
    """Yield the bars, each with its reason for waiting and with the bar that it waited for."""
    ends: dict[Number, list[int]] = {}
    for place, bar in enumerate(bars):
        ends.setdefault(bar.finish, []).append(place)
    for place, (bar, waited) in enumerate(zip(bars, why, strict=True)):
        critical = place in on_path
        reason = on_path[place].waited_for if critical else waited
        ready = [k for k in ends.get(bar.start, ()) if k != place]
        same = [k for k in ready if bars[k].lane == bar.lane]
        other = [k for k in ready if bars[k].einsum != bar.einsum] or ready
        if reason == "port":
            after = same[0] if same else None
        elif reason is None or reason == "unknown":
            after = None
        else:
            before = [k for k in other if k in on_path] if critical else other
            after = next(iter(before or other), None)
        slack = 0 if critical else bar.slack
        yield replace(bar, waited_for=reason, after=after, critical=critical, slack=slack)
