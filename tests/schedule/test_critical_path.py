"""The critical path, the reasons for waiting and the slack of explicit schedules.

The list of precedences says what binds. Here it is found again without that list: from the fields
of the task graph, and by simulation with other durations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import polylat
from plain_events import Event, PlainEvents, Wait
from polylat import Spec
from polylat.schedule.critical_path import (
    TimedEvents,
    critical_chain,
    task_slacks,
    timed_events,
    waiting_reasons,
)
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.reasons import FLOW, START
from polylat.schedule.timing import ORDERS, Order, TaskSchedule
from reports import report_or_none
from strategies import cascades

Data = dict[str, Any]
Part = tuple[int, int, int, int]
"""Of a path: block, task or -1 for a fixed latency, duration, reason."""


class Walk:
    """Walks back along what each event waits for, as found from the fields of the graph."""

    def __init__(self, graph: TaskGraph, timing: TaskSchedule) -> None:
        self.graph = graph
        order = np.lexsort((timing.task_begin, graph.task_port)).tolist()
        ports = graph.task_port
        before = {two: one for one, two in pairwise(order) if ports[one] == ports[two]}
        self.plain = PlainEvents(graph, before)
        self.times = dict(zip(self.plain.every, timing.values.tolist(), strict=True))
        self.makespan = timing.makespan

    def block(self, event: Event) -> int:
        """The block of an event."""
        return int(self.graph.task_block[event[1]]) if event[0] == "end" else event[1]

    def back(self, event: Event) -> Iterator[Part]:
        """The tasks up to an event, latest first, and the fixed latencies between them."""
        task: Part | None = None
        after: list[Part] = []
        idle: Wait | None = None
        while True:
            time = self.times[event]
            if event[0] == "end":
                if task is not None:
                    yield task
                    yield from after
                duration = self.plain.duration(event)
                task, after = (self.block(event), event[1], duration, START), []
                time -= duration
            if time == 0:
                break
            tight = (w for w in self.plain.waits(event) if self.times[w.source] + w.lag == time)
            wait = next(tight)
            if wait.source[0] in ("served", "finish") and event[0] in ("served", "finish"):
                # If no task is found further back, the latest tile iteration without tasks counts.
                own = (w for w in tight if w.source == ("start", event[1]))
                idle = idle or next(own, None)
            else:
                if event[0] in ("served", "finish") and wait.source[0] == "start":
                    wait = idle or wait
                idle = None
            if task is not None and task[3] == START:
                task = (*task[:3], wait.reason)
            if wait.lag:
                after.append((self.block(wait.source), -1, wait.lag, FLOW))
            event = wait.source
        if task is not None:
            yield task
        yield from after

    def last(self) -> Event:
        """The event that the critical path ends with."""
        graph = self.graph
        passed = {
            task: self.times["end", task] + int(graph.latency[block])
            for task, block in enumerate(graph.task_block.tolist())
        }
        last = [task for task, time in passed.items() if time == self.makespan]
        front = [task for task in last if graph.kind[graph.task_block[task]] == 1]
        if last:
            return "end", (front or last)[0]
        finishes = range(graph.iterations)
        if found := [i for i in finishes if self.times["finish", i] == self.makespan]:
            return "finish", found[0]
        separate = range(graph.iterations, graph.blocks)
        passing = {b: self.times["served", b] + int(graph.latency[b]) for b in separate}
        return "served", next(b for b, time in passing.items() if time == self.makespan)

    def path(self) -> list[Part]:
        """The critical path."""
        last = self.last()
        found = [*self.back(last)]
        rest = self.makespan - self.times[last]
        latest = [(self.block(last), -1, rest, FLOW)] if rest else []
        return [*reversed(found), *latest]


def parts(timed: TimedEvents) -> list[Part]:
    """The parts of a critical path."""
    chain = critical_chain(timed)
    columns = (chain.block, chain.task, chain.duration, chain.reason)
    return [*zip(*(column.tolist() for column in columns), strict=True)]


def explicit_schedule(case: tuple[Data, Data], order: Order) -> tuple[TaskGraph, TaskSchedule]:
    """A schedule all tile iterations of which are visited."""
    report = report_or_none(case, order)
    assume(report is not None)
    assert report is not None
    assume(report.latency > 0 and isinstance(report.solution.model.plan, ExplicitTaskGraph))
    return report.solution.model.graph, report.solution.schedule


@given(cascades(), st.sampled_from(ORDERS))
def test_paths_and_reasons(case: tuple[Data, Data], order: Order) -> None:
    graph, timing = explicit_schedule(case, order)
    timed, walk = timed_events(graph, timing), Walk(graph, timing)
    assert parts(timed) == walk.path()
    every = np.arange(graph.tasks)
    assert waiting_reasons(timed, every).tolist() == [
        next(walk.back(("end", task)))[3] for task in range(graph.tasks)
    ]


@given(cascades(), st.sampled_from(["program", "skew"]), st.integers(0, 10**6))
def test_slack_is_the_most_that_is_free(case: tuple[Data, Data], order: Order, pick: int) -> None:
    """Simulated again, a task may take longer by its slack, but not by more."""
    graph, timing = explicit_schedule(case, order)
    task = pick % graph.tasks
    slack = int(task_slacks(timed_events(graph, timing))[task])
    for more in (0, 1):
        durations = graph.task_duration.copy()
        durations[task] += slack + more
        again = ExplicitTaskGraph(graph).time(order, durations)
        assert again.makespan == timing.makespan + more


@pytest.mark.parametrize("order", ORDERS)
def test_times_of_python_integers(spec: Spec, order: Order) -> None:
    """Times beyond 64 bits have the same path and slack as small ones."""
    report = polylat.analyze(spec, granularity="tile", order=order)
    graph, timing = report.solution.model.graph, report.solution.schedule
    far = 1 << 70
    longer = replace(
        graph,
        task_duration=graph.task_duration.astype(object) * far,
        latency=graph.latency.astype(object) * far,
    )
    later = ExplicitTaskGraph(longer).time(order)
    small, large = timed_events(graph, timing), timed_events(longer, later)
    assert [(*part[:2], part[2] * far, part[3]) for part in parts(small)] == parts(large)
    assert (task_slacks(small).astype(object) * far == task_slacks(large)).all()
