"""What binds in an explicit schedule: critical path, reasons for waiting, and slack.

The critical path method (Kelley and Walker 1959) on the list of precedences. A precedence is
*tight* if its target, less its duration, happens when its source does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from polylat.numbers import INT64_LIMIT
from polylat.schedule.arrays import Ints, Times, widened
from polylat.schedule.compilation import compiled
from polylat.schedule.events import EventNumbering
from polylat.schedule.graph import TaskGraph
from polylat.schedule.longest_path import PrecedenceSystem
from polylat.schedule.precedences import EventPrecedences, consecutive, event_precedences
from polylat.schedule.reasons import FLOW, START
from polylat.schedule.timing import TaskSchedule, service_order

__all__ = [
    "CriticalChain",
    "TimedEvents",
    "critical_chain",
    "task_slacks",
    "timed_events",
    "waiting_reasons",
]


@dataclass(frozen=True, eq=False)
class TimedEvents:
    """The events of an explicit schedule, and all precedences between them.

    Parameters
    ----------
    events
        The task graph, and the numbering of its events.
    start, precedences
        The precedences as `EventPrecedences.by_target` returns them.
    durations
        Shape (tasks,), in steps.
    values
        Shape (events,): the earliest (ASAP) time of each event, in steps.
    unit
        Number of steps of `durations` and `values` per step of the task graph.
    """

    events: EventNumbering
    start: Ints
    precedences: EventPrecedences
    durations: Times
    values: Times
    unit: int = 1

    @cached_property
    def lag(self) -> Times:
        """Shape (precedences,): the lags of the precedences, in steps."""
        return self._scaled(self.precedences.lag)

    @cached_property
    def latency(self) -> Times:
        """Shape (blocks,): the fixed latency of each block, in steps."""
        return self._scaled(self.events.graph.latency)

    def retimed(self, durations: Times, values: Times, unit: int = 1) -> TimedEvents:
        """Return the same events at other times.

        Parameters
        ----------
        durations, values, unit
            As for this class.

        Returns
        -------
        TimedEvents
            The events. Its times are Python integers (dtype object), all of them, where some of
            them do not fit 64 bits.
        """
        latest = unit * int(self.events.graph.latency.max(initial=0))
        if object in (durations.dtype, values.dtype) or latest >= INT64_LIMIT:
            durations, values = durations.astype(object), values.astype(object)
        return replace(self, durations=durations, values=values, unit=unit)

    def _scaled(self, times: Times) -> Times:
        return times if self.unit == 1 else times.astype(self.values.dtype) * self.unit

    @cached_property
    def makespan(self) -> int:
        """The last finish, in steps."""
        return max(int(self.values.max(initial=0)), int(self._passed.max(initial=0)))

    @cached_property
    def _passed(self) -> Times:
        """Shape (blocks,), in steps: when each separate block has passed, 0 for foregrounds."""
        graph = self.events.graph
        passed: Times = self.values[self.events.block(np.arange(graph.blocks))] + self.latency
        passed[: graph.iterations] = 0
        return passed

    @property
    def last_events(self) -> Ints:
        """The finishes of tile iterations, and ends of service of blocks, that pass last."""
        finishes = np.flatnonzero(self.events.of_finishes(self.values) == self.makespan)
        blocks = np.flatnonzero(self._passed == self.makespan)
        return np.concatenate((self.events.finish(finishes), self.events.block(blocks)))

    @property
    def ends(self) -> Times:
        """Shape (tasks,): when each task ends, in steps."""
        return self.events.of_ends(self.values)


def timed_events(graph: TaskGraph, timing: TaskSchedule) -> TimedEvents:
    """List the events and the precedences of a schedule.

    Parameters
    ----------
    graph, timing
        An explicit task graph (every tile iteration is sampled), and its earliest (ASAP) schedule.

    Returns
    -------
    TimedEvents
        Its events.
    """
    events = timing.events
    served = consecutive(*service_order(graph, timing), len(graph.edge_periods))
    start, precedences = event_precedences(events, served).by_target(events.count)
    durations, values = widened(timing.durations), widened(timing.values)
    found = TimedEvents(events, start, precedences, durations, values)
    return found.retimed(durations, values)


@dataclass(frozen=True, eq=False)
class CriticalChain:
    """A critical path: services of tasks and fixed latencies in the order of time, without a gap.

    Parameters
    ----------
    block
        Shape (n,): the block that is served, or whose fixed latency passes.
    task
        Shape (n,): the task that is served; -1 for a fixed latency.
    duration
        Shape (n,), in steps.
    reason
        Shape (n,): the code in `reasons` of what each task waited for, `START` if for nothing;
        `FLOW` for a fixed latency.
    """

    block: Ints
    task: Ints
    duration: Times
    reason: Ints

    @property
    def tasks(self) -> Ints:
        """The tasks of the path, in the order of time."""
        return self.task[self.task >= 0]


def critical_chain(timed: TimedEvents) -> CriticalChain:
    """Return a chain of tasks and fixed latencies from time 0 to the makespan.

    Among several such chains, a rule decides that refers to times and precedences only, so that it
    does not depend on which tile iterations are visited. The last task is one of a foreground block
    if one passes at the makespan. A task whose block may start when it begins waits for that start,
    otherwise for the port. Of the tile iterations of a leaf that start together, the first one
    waits: for the first rule (flow, barrier, capacity, in the order of the mapping) of which a
    source passes then, otherwise for its first fill that may start then. A source passes when its
    last task has: of those that pass then, the one of the latest tile iteration, of its foreground
    before its fills, with the largest number; if there is none, the latest tile iteration without
    tasks whose fixed latency ends then.

    Parameters
    ----------
    timed
        The events of the schedule.

    Returns
    -------
    CriticalChain
        The path.
    """
    graph, makespan = timed.events.graph, timed.makespan
    if makespan == 0:
        none = np.zeros(0, dtype=np.int64)
        return CriticalChain(none, none, timed.durations[:0], none)
    passed = timed.ends + timed.latency[graph.task_block]
    ended = np.flatnonzero(passed == makespan)
    foreground = ended[graph.kind[graph.task_block[ended]] == 1]
    if len(ended):
        last = timed.events.task(foreground if len(foreground) else ended)[:1]
    else:  # a block without tasks passes last, or a rigid pipeline is held back
        last = timed.last_events[:1]
    # One more step than tasks: what comes before the first one is followed to time 0, too.
    tasks, waits, reasons = _walked_back(timed, last, graph.tasks + 1)
    served = tasks >= 0
    block, duration = np.empty_like(tasks), np.empty(len(tasks), dtype=timed.values.dtype)
    block[served] = graph.task_block[tasks[served]]
    block[~served] = timed.events.block_of[timed.precedences.source[waits[~served]]]
    duration[served] = timed.durations[tasks[served]]
    duration[~served] = timed.lag[waits[~served]]
    rest = makespan - timed.values[last]
    if rest[0] > 0:
        block = np.concatenate((timed.events.block_of[last], block))
        tasks, duration = np.append(-1, tasks), np.concatenate((rest, duration))
        reasons = np.append(FLOW, reasons)
    return CriticalChain(block[::-1], tasks[::-1], duration[::-1], reasons[::-1])


def waiting_reasons(timed: TimedEvents, tasks: Ints) -> Ints:
    """Return why tasks do not begin earlier.

    Parameters
    ----------
    timed
        The events of the schedule.
    tasks
        Shape (n,): the tasks.

    Returns
    -------
    numpy.ndarray
        Shape (n,): reason codes (`schedule.reasons`) as the critical path names them; `START` for
        tasks that begin at time 0.
    """
    found, _, reasons = _walked_back(timed, timed.events.task(tasks), 1)
    return reasons[found >= 0]


def task_slacks(timed: TimedEvents) -> Times:
    """Return how much later each task could begin without raising the makespan.

    The ports keep their order of service.

    Parameters
    ----------
    timed
        The events of the schedule.

    Returns
    -------
    numpy.ndarray
        Shape (tasks,), in steps: latest (ALAP) minus earliest (ASAP) start time.
    """
    waits, events, graph = timed.precedences, timed.events, timed.events.graph
    # One more event is the end: it follows the passing of every separate block.
    separate = np.arange(graph.iterations, graph.blocks)
    target = np.concatenate((waits.target, np.full(len(separate), events.count)))
    source = np.concatenate((waits.source, events.block(separate)))
    lag = np.concatenate((timed.lag, timed.latency[separate]))
    system = PrecedenceSystem(events.count + 1, target, source, lag)
    durations = np.append(events.of_tasks(timed.durations), timed.durations[:1].sum() * 0)
    tails = events.of_ends(system.earliest(durations))
    free: Times = timed.makespan - tails - (timed.ends - timed.durations)
    return free


def _walked_back(timed: TimedEvents, last: Ints, steps: int) -> tuple[Ints, Ints, Ints]:
    """Walk back from each event until a number of tasks and their reasons are known."""
    exact = timed.values.dtype == object
    walk = _walk_back.py_func if exact else _walk_back
    tasks, waits, reasons = walk(
        last,
        steps,
        START,
        FLOW,
        timed.events.graph.blocks,
        timed.events.graph.blocks + timed.events.graph.tasks,
        timed.start,
        timed.precedences.source,
        timed.precedences.reason,
        timed.lag.astype(object) if exact else timed.lag,
        timed.durations,
        timed.values,
    )
    return tasks, waits, reasons


@compiled
def _walk_back(
    last: Any,
    steps: int,
    none: int,
    flow: int,
    blocks: int,
    served: int,
    start: Any,
    source: Any,
    reason: Any,
    lag: Any,
    durations: Any,
    values: Any,
) -> Any:
    """Walk back from events along the first tight precedence of every event.

    Times are the earliest possible: an event after time 0 waits for an event, at the same instant
    or a fixed latency earlier, and that one for another, down to the end of a task or to time 0.

    Parameters
    ----------
    last, steps
        The events to begin with, and from each the largest number of tasks.
    none, flow
        The codes `START` and `FLOW` of `reasons`.
    blocks, served
        Number of blocks: the end of task k is event ``blocks + k``; the first event behind these:
        it and the others are ends of service and finishes.
    start, source, reason, lag
        The precedences by target.
    durations, values
        As in `TimedEvents`.

    Returns
    -------
    (tasks, waits, reasons)
        By part of all walks: a task, or -1; -1, or a precedence with a fixed latency; what the task
        waited for.
    """
    room = len(last) + len(values)
    tasks = np.full(room, -1, np.int64)
    waits = np.full(room, -1, np.int64)
    reasons = np.full(room, flow, np.int64)
    count = 0
    for first in last:
        event = first
        taken = 0
        task = -1  # the part of the walk that is the last task
        held = -1  # a precedence on the start of a tile iteration, if no earlier task is found
        while True:
            time = values[event]
            if blocks <= event < blocks + len(durations):
                if taken == steps:
                    break
                task = count
                tasks[task] = event - blocks
                reasons[task] = none
                count += 1
                taken += 1
                time = time - durations[event - blocks]
            if time == 0 or (taken == steps and reasons[task] != none):
                break
            wait = start[event]
            while values[source[wait]] + lag[wait] != time:
                wait += 1
                assert wait < start[event + 1]  # times are the earliest: one is tight
            if event >= served and source[wait] >= served:  # the previous finish of the leaf
                own = wait + 1
                if held < 0 and own < start[event + 1] and source[own] == (event - served) % blocks:
                    held = own if values[source[own]] + lag[own] == time else held
            else:
                if event >= served and source[wait] < blocks and held >= 0:
                    wait = held
                held = -1
            if task >= 0 and reasons[task] == none:
                reasons[task] = reason[wait]
            if lag[wait] > 0:
                waits[count] = wait
                count += 1
            event = source[wait]
    return tasks[:count], waits[:count], reasons[:count]
