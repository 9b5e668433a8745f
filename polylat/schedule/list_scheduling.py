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

from polylat.schedule.arrays import Ints, Narrow, Times, narrow_type
from polylat.schedule.compilation import compiled
from polylat.schedule.events import EventNumbering
from polylat.schedule.graph import TaskGraph
from polylat.schedule.links import event_links
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
    stack: Any,
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
    stack
        Shape (n,): room for the events that no unmet precedence holds back and that are not settled
        yet. All events are enough.

    Returns
    -------
    int
        Number of events that never happen: 0 unless the dependences are circular. −1: the stack is
        too small, and the results mean nothing.

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
    later = np.empty(events if late else 0, out.dtype)
    waiting = 0
    top = 0
    for event in range(events):
        if wait[event] == 0:
            if top == len(stack):
                return -1
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
                        if top == len(stack):
                            return -1
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
                if top == len(stack):
                    return -1
                stack[top] = first_task + running[q]
                top += 1
        while waiting and values[later[0]] == clock:
            if top == len(stack):
                return -1
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
    stack: Any,
) -> int:
    """Compute the times of all events under a static order of service, in place.

    Parameters
    ----------
    out_start, out, lag, first_task, task_duration
        As for `list_schedule`; no lags mean that all of them are 0.
    follower
        Shape (tasks,): the task that the port serves next, -1 for none.
    values, wait, stack
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
    top = 0
    for event in range(events):
        if wait[event] == 0:
            if top == len(stack):
                return -1
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
                        if top == len(stack):
                            return -1
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
                if top == len(stack):
                    return -1
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

    def time_all(
        self, below: int | None = None
    ) -> tuple[dict[Order, TaskSchedule | ScheduleSummary], int]:
        """Return the earliest (ASAP) schedule under every order, and the bound without ports.

        Parameters
        ----------
        below
            A makespan: the times of schedules that are not shorter are not kept. None keeps some.

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
        found: dict[Order, TaskSchedule | ScheduleSummary] = {}
        skewed: tuple[Order, ...] = () if simulator.never_skewed else ("skew",)
        for order in ("oldest", *skewed, "program"):
            timed = simulator.run(order, last=order != "oldest")
            found = _fastest_in_full({**found, order: timed}, below)
            del timed
        if not skewed:
            found["skew"] = replace(found["program"], order="skew")
        return _fastest_in_full(found, below), unlimited


def _fastest_in_full(
    found: Mapping[Order, TaskSchedule | ScheduleSummary], below: int | None
) -> dict[Order, TaskSchedule | ScheduleSummary]:
    """Summarize schedules, by order, but for the first of the fastest legal ones below a bound."""
    orders = [order for order in ORDERS if order in found]
    legal = [
        order
        for order in orders
        if found[order].legal and (below is None or found[order].makespan < below)
    ]
    fastest = min(legal, key=lambda order: found[order].makespan, default=None)
    return {
        order: timed.summary if isinstance(timed, TaskSchedule) and order != fastest else timed
        for order, timed in ((order, found[order]) for order in orders)
    }


class _Simulator:
    """The precedences and orders of service of a graph, sorted for simulations.

    They take more memory than the graph, so that nothing keeps them behind the simulations. Their
    integers are in few bits where they fit.
    """

    def __init__(self, events: EventNumbering) -> None:
        self.events, self.graph = events, events.graph
        self.links = event_links(events)

    def run(
        self, order: Order | None, durations: Times | None = None, *, last: bool = False
    ) -> TaskSchedule:
        """Return the schedule under an order of service, as `ExplicitTaskGraph.time` does.

        The order of a `last` run is not needed any more.
        """
        durations = self.graph.task_duration if durations is None else durations
        undone, values, wait = self._run(order, durations, self._usual_room, last=last)
        if undone < 0:
            undone, values, wait = self._run(order, durations, self.events.count, last=last)
        if not undone:  # no precedence is unmet
            wait = np.broadcast_to(wait.dtype.type(0), wait.shape)
        return TaskSchedule(order, self.events, durations, values, wait, undone)

    @property
    def _usual_room(self) -> int:
        """A number of events that can be settled at the same time: few, but for rare graphs."""
        first = int(np.count_nonzero(self.links.awaited == 0))
        return min(first + self.events.count // 8 + 1024, self.events.count)

    def _run(
        self, order: Order | None, durations: Times, room: int, *, last: bool
    ) -> tuple[int, Times, Narrow]:
        """Simulate with room for some events to settle; return what `settle` does."""
        graph = self.graph
        start, out, lag, awaited = self.links
        time = self._time_type(durations)
        # Few combinations of types: each of them is compiled.
        steps = durations if time is np.int32 else durations.astype(time, copy=False)
        links = start, out, lag.astype(time, copy=False), graph.blocks
        served: tuple[Any, ...]
        if order == "oldest":
            place, first = self.skew
            tasks = _places(place)
            if graph.background.any():
                tasks = graph.background_last(tasks)
                place = _places(tasks)
            wait = awaited.copy()
            served = graph.task_port, steps, tasks, first, place
            simulate = list_schedule
        elif order is None:
            wait = awaited.copy()
            served = steps, np.zeros(0, dtype=out.dtype)
            simulate = settle
        else:
            place, first = self.skew if order == "skew" else self.program
            if last:
                self.__dict__.pop(order, None)  # it takes as much memory as the followers
            tasks = _places(place)
            del place
            wait = awaited.copy()
            of_tasks = wait[graph.blocks : graph.blocks + graph.tasks]
            served = steps, _followers(tasks, first, of_tasks)
            del tasks
            simulate = settle
        values: Times = np.full(self.events.count, 0, dtype=time)
        simulate = simulate.py_func if time is object else simulate
        undone = simulate(*links, *served, values, wait, np.empty(room, dtype=out.dtype))
        return int(undone), values, wait

    def _time_type(self, durations: Times) -> Any:
        """Return a type in which every schedule fits."""
        lag = self.links.lag
        if object in (durations.dtype, lag.dtype):
            return object
        # No event waits for longer than all tasks one after another, and a lag before each event.
        longest = int(durations.sum()) + self.events.count * int(lag.max(initial=0))
        narrow = durations.dtype != np.int64 and lag.dtype == np.int32
        return narrow_type(longest) if narrow else np.int64

    @cached_property
    def program(self) -> tuple[Narrow, Ints]:
        """The place of each task by port and date, and where those of each port begin."""
        return self._placed(skewed=False)

    @cached_property
    def skew(self) -> tuple[Narrow, Ints]:
        """The same by skewed date; `program` itself where that is the order."""
        return self.program if self.never_skewed else self._placed(skewed=True)

    @cached_property
    def never_skewed(self) -> bool:
        """Whether "skew" is the order of "program"."""
        graph = self.graph
        same = graph.dates.program is graph.dates.skew
        same = same or np.array_equal(graph.dates.program, graph.dates.skew)
        return same and (graph.host is graph.owner or np.array_equal(graph.host, graph.owner))

    def _placed(self, *, skewed: bool) -> tuple[Narrow, Ints]:
        tasks, start = self.graph.port_order(skewed=skewed, dtype=self.links.out.dtype)
        return _places(tasks), start


@compiled
def _places(order: Any) -> Any:
    """Return the position of each number in a permutation: its inverse."""
    place = np.empty_like(order)
    for k in range(len(order)):
        place[order[k]] = k
    return place


@compiled
def _followers(tasks: Any, start: Any, wait: Any) -> Any:
    """Return the task that a port serves after each, -1 for none, and count it in `wait`."""
    follower = np.full_like(tasks, -1)
    for port in range(len(start) - 1):
        for k in range(start[port] + 1, start[port + 1]):
            follower[tasks[k - 1]] = tasks[k]
            wait[tasks[k]] += 1
    return follower
