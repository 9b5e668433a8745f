"""Simulation of explicit task graphs, in which every tile iteration is sampled.

Under a static order the times are longest paths. The order "oldest" is list scheduling (Graham
1966): time advances from one event to the next, and idle ports choose among the ready tasks.

The compiled loop also runs uncompiled (``.py_func``), on Python integers, where times do not fit
64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Times
from polylat.schedule.compilation import compiled
from polylat.schedule.events import EventNumbering
from polylat.schedule.graph import TaskGraph
from polylat.schedule.precedences import event_links
from polylat.schedule.timing import ORDERS, Order, ScheduleSummary, TaskSchedule

__all__ = ["ExplicitTaskGraph", "list_schedule", "settle"]


@compiled
def _push(heap: Any, base: int, size: int, key: int) -> None:
    """Push a key onto the binary heap in heap[base : base + size]."""
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if heap[base + up] <= key:
            break
        heap[base + at] = heap[base + up]
        at = up
    heap[base + at] = key


@compiled
def _pop(heap: Any, base: int, size: int) -> int:
    """Pop the least key of the binary heap in heap[base : base + size]."""
    least = heap[base]
    key = heap[base + size - 1]
    last = size - 1
    at = 0
    while True:
        down = 2 * at + 1
        if down >= last:
            break
        if down + 1 < last and heap[base + down + 1] < heap[base + down]:
            down += 1
        if heap[base + down] >= key:
            break
        heap[base + at] = heap[base + down]
        at = down
    heap[base + at] = key
    return int(least)


@compiled
def list_schedule(
    out_start: Any,
    out: Any,
    lag: Any,
    first_task: int,
    task_port: Any,
    task_duration: Any,
    order: Any,
    order_start: Any,
    place: Any,
    values: Any,
    wait: Any,
) -> int:
    """Compute the times of all events if an idle port takes the first ready task, in place.

    Parameters
    ----------
    out_start, out, lag
        The precedences by source: the events that wait for it, and how long after it they happen
        at the earliest; no lags mean that all of them are 0.
    first_task
        The event at which task 0 ends; those of the others follow.
    task_port, task_duration
        As in `TaskGraph`.
    order, order_start
        Shape (tasks,): the tasks by port, each port's by preference; shape (ports + 1,): where
        those of each port begin.
    place
        Shape (tasks,): the position of each task in `order`.
    values
        Result, shape (events,), all 0 on entry: when each event happens.
    wait
        Shape (events,): the number of precedences of each event, counted down to that of unmet
        ones.

    Returns
    -------
    int
        Number of events that never happen: 0 unless the dependences are circular.

    Notes
    -----
    An event that no unmet precedence holds back is settled when its time has come: a task is ready
    then, any other event happens. All that happens at an instant is settled before ports choose.
    Events whose time has not come are in `later`, a binary heap by time; it is part of this
    function so that it also runs on Python integers.
    """
    events = len(wait)
    tasks = len(task_port)
    ports = len(order_start) - 1
    heap = np.empty(tasks, place.dtype)
    size = np.zeros(ports, np.int64)
    running = np.full(ports, -1, np.int64)
    late = len(lag) > 0
    stack = np.empty(events, wait.dtype)
    later = np.empty(events if late else 0, wait.dtype)
    waiting = 0
    top = 0
    for event in range(events):
        if wait[event] == 0:
            stack[top] = event
            top += 1
    settled = 0
    clock = task_duration[0] * 0 if tasks else 0
    while True:
        while top > 0:
            top -= 1
            event = stack[top]
            task = event - first_task
            if 0 <= task < tasks and running[task_port[task]] != task:
                q = task_port[task]
                _push(heap, order_start[q], size[q], place[task])
                size[q] += 1
                continue
            if 0 <= task < tasks:
                running[task_port[task]] = -1
                values[event] = clock
            settled += 1
            now = values[event]
            for k in range(out_start[event], out_start[event + 1]):
                target = out[k]
                time = now + lag[k] if late else now
                if time > values[target]:
                    values[target] = time
                wait[target] -= 1
                if wait[target] == 0:
                    if values[target] > clock:
                        at = waiting
                        waiting += 1
                        while at > 0:
                            up = (at - 1) >> 1
                            if values[later[up]] <= values[target]:
                                break
                            later[at] = later[up]
                            at = up
                        later[at] = target
                    else:
                        stack[top] = target
                        top += 1
        busy = False
        soonest = clock
        for q in range(ports):
            if running[q] < 0 and size[q] > 0:
                task = order[_pop(heap, order_start[q], size[q])]
                size[q] -= 1
                running[q] = task
                values[first_task + task] = clock + task_duration[task]
            if running[q] >= 0:
                end = values[first_task + running[q]]
                if not busy or end < soonest:
                    soonest = end
                busy = True
        if waiting and (not busy or values[later[0]] < soonest):
            soonest = values[later[0]]
            busy = True
        if not busy:
            break
        clock = soonest
        for q in range(ports):
            if running[q] >= 0 and values[first_task + running[q]] == clock:
                stack[top] = first_task + running[q]
                top += 1
        while waiting and values[later[0]] == clock:
            stack[top] = later[0]
            top += 1
            waiting -= 1
            last = later[waiting]
            at = 0
            while True:
                down = 2 * at + 1
                if down >= waiting:
                    break
                if down + 1 < waiting and values[later[down + 1]] < values[later[down]]:
                    down += 1
                if values[later[down]] >= values[last]:
                    break
                later[at] = later[down]
                at = down
            later[at] = last
    return int(events - settled)


@compiled
def settle(
    out_start: Any,
    out: Any,
    lag: Any,
    first_task: int,
    task_duration: Any,
    follower: Any,
    values: Any,
    wait: Any,
) -> int:
    """Compute the times of all events under a static order of service, in place.

    Parameters
    ----------
    out_start, out, lag, first_task, task_duration
        As for `list_schedule`; no lags mean that all of them are 0.
    follower
        Shape (tasks,): the task that the port serves next, -1 for none.
    values, wait
        As for `list_schedule`; `wait` counts precedences between tasks of a port, too.

    Returns
    -------
    int
        As for `list_schedule`.

    Notes
    -----
    Longest paths in topological order (Kahn 1962).
    """
    events = len(wait)
    tasks = len(task_duration)
    late = len(lag) > 0
    stack = np.empty(events, wait.dtype)
    top = 0
    for event in range(events):
        if wait[event] == 0:
            stack[top] = event
            top += 1
    settled = 0
    while top > 0:
        top -= 1
        event = stack[top]
        settled += 1
        task = event - first_task
        if 0 <= task < tasks:
            values[event] += task_duration[task]
            if len(follower):
                target = follower[task] + first_task
                if target >= first_task:
                    if values[event] > values[target]:
                        values[target] = values[event]
                    wait[target] -= 1
                    if wait[target] == 0:
                        stack[top] = target
                        top += 1
        now = values[event]
        for k in range(out_start[event], out_start[event + 1]):
            target = out[k]
            time = now + lag[k] if late else now
            if time > values[target]:
                values[target] = time
            wait[target] -= 1
            if wait[target] == 0:
                stack[top] = target
                top += 1
    return int(events - settled)


@dataclass(frozen=True, eq=False)
class ExplicitTaskGraph:
    """An explicit task graph, prepared for scheduling.

    Parameters
    ----------
    graph
        The task graph.
    """

    graph: TaskGraph

    @cached_property
    def events(self) -> EventNumbering:
        """The numbering of events."""
        return EventNumbering(self.graph)

    def time(self, order: Order | None, durations: Times | None = None) -> TaskSchedule:
        """Return the earliest (ASAP) schedule under an order of service.

        Parameters
        ----------
        order
            The order; None lets ports serve any number of tasks at once.
        durations
            Shape (tasks,), in steps; None: those of the graph.

        Returns
        -------
        TaskSchedule
            The schedule; check `TaskSchedule.legal`.
        """
        return _Simulator(self.events).run(order, durations)

    @cached_property
    def unlimited(self) -> TaskSchedule:
        """The schedule in which no block waits for a port, see `time`."""
        return self.time(None)

    def time_all(self) -> tuple[dict[Order, TaskSchedule | ScheduleSummary], int]:
        """Return the earliest (ASAP) schedule under every order, and the bound without ports.

        Returns
        -------
        (schedules, makespan)
            The schedules by order: the times of the first of the fastest legal ones, of the others
            a summary. The last finish if ports serve any number of tasks at once, in steps.

        Notes
        -----
        "skew" is not simulated again where its order is that of "program".
        """
        simulator = _Simulator(self.events)
        unlimited = simulator.run(None).makespan
        found: dict[Order, TaskSchedule | ScheduleSummary] = {"oldest": simulator.run("oldest")}
        found = _fastest_in_full({**found, "program": simulator.run("program")})
        if simulator.skew is simulator.program:
            found["skew"] = replace(found["program"], order="skew")
        else:
            del simulator.program  # it is not needed any more
            found["skew"] = simulator.run("skew")
        return _fastest_in_full(found), unlimited


def _fastest_in_full(
    found: Mapping[Order, TaskSchedule | ScheduleSummary],
) -> dict[Order, TaskSchedule | ScheduleSummary]:
    """Summarize schedules, by order, but for the first of the fastest legal ones."""
    orders = [order for order in ORDERS if order in found]
    legal = [order for order in orders if found[order].legal]
    fastest = min(legal, key=lambda order: found[order].makespan, default=None)
    return {
        order: timed.summary if isinstance(timed, TaskSchedule) and order != fastest else timed
        for order, timed in ((order, found[order]) for order in orders)
    }


class _Simulator:
    """The precedences and orders of service of a graph, sorted for simulations.

    They take more memory than the graph, so that nothing keeps them behind the simulations. Their
    integers have 32 bits where they fit.
    """

    def __init__(self, events: EventNumbering) -> None:
        self.events, self.graph = events, events.graph
        source, target, self._lag = event_links(events)  # their type has room for every task
        self._start, self._out, self._awaited, order = _by_source(
            source, target, events.count, len(self._lag) > 0
        )
        if len(self._lag):
            self._lag = self._lag[order]

    def run(self, order: Order | None, durations: Times | None = None) -> TaskSchedule:
        """Return the schedule under an order of service, as `ExplicitTaskGraph.time` does."""
        graph = self.graph
        durations = graph.task_duration if durations is None else durations
        exact = object in (durations.dtype, self._lag.dtype)
        values: Times = np.full(self.events.count, 0, dtype=object if exact else np.int64)
        wait = self._awaited.copy()
        lag = self._lag.astype(object) if exact else self._lag
        links = self._start, self._out, lag, graph.blocks
        if order == "oldest":
            preferred = graph.background_last(self.skew[0])
            place = np.empty_like(preferred)
            place[preferred] = np.arange(graph.tasks)
            port = graph.task_port.astype(self._out.dtype, copy=False)
            run = list_schedule.py_func if exact else list_schedule
            undone = run(*links, port, durations, preferred, self.skew[1], place, values, wait)
        else:
            follower = self._follower(order)
            wait[graph.blocks + follower[follower >= 0]] += 1
            run = settle.py_func if exact else settle
            undone = run(*links, durations, follower, values, wait)
        if not undone:  # no precedence is unmet
            wait = np.broadcast_to(wait.dtype.type(0), wait.shape)
        return TaskSchedule(order, self.events, durations, values, wait, int(undone))

    def _follower(self, order: Order | None) -> Ints:
        follower = np.full(self.graph.tasks if order else 0, -1, dtype=self._out.dtype)
        if order:
            tasks, start = self.skew if order == "skew" else self.program
            follower[tasks[:-1]] = tasks[1:]
            ends = start[1:][start[1:] > start[:-1]] - 1
            follower[tasks[ends]] = -1
        return follower

    @cached_property
    def program(self) -> tuple[Ints, Ints]:
        """The tasks by port and date, and where those of each port begin."""
        return self.graph.port_order(skewed=False, dtype=self._out.dtype)

    @cached_property
    def skew(self) -> tuple[Ints, Ints]:
        """The same by skewed date; `program` itself where that is the order."""
        graph = self.graph
        if np.array_equal(graph.dates.program, graph.dates.skew) and np.array_equal(
            graph.host, graph.owner
        ):
            return self.program
        return graph.port_order(skewed=True, dtype=self._out.dtype)


@compiled
def _by_source(source: Any, target: Any, count: int, ordered: bool) -> Any:
    """Group precedences by source with a counting sort (stable).

    Parameters
    ----------
    source, target
        Shape (precedences,): numbers of events.
    count
        Number of events.
    ordered
        Whether to return the order.

    Returns
    -------
    (start, out, waiting, order)
        Shape (count + 1,): where the targets of each event begin in `out`; the targets; shape
        (count,): the number of precedences of each event; the positions of the precedences by
        source, none unless they are wanted. All have the type of `source`.
    """
    start = np.zeros(count + 1, source.dtype)
    waiting = np.zeros(count, source.dtype)
    for k in range(len(source)):
        start[source[k] + 1] += 1
        waiting[target[k]] += 1
    for event in range(count):
        start[event + 1] += start[event]
    place = start[:-1].copy()
    out = np.empty(len(source), source.dtype)
    order = np.empty(len(source) if ordered else 0, source.dtype)
    for k in range(len(source)):
        at = place[source[k]]
        out[at] = target[k]
        if ordered:
            order[at] = k
        place[source[k]] += 1
    return start, out, waiting, order
