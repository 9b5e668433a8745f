"""The critical path, the reasons for waiting and the slack of explicit schedules.

The list of precedences says what binds. Here it is found again without that list: from the fields
of the task graph, and by simulation with other durations.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import polylat
from plain_events import Event, PlainEvents
from polylat import Spec
from polylat.schedule.critical_path import (
    critical_tasks,
    task_slacks,
    timed_events,
    waiting_reasons,
)
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.reasons import START
from polylat.schedule.timing import ORDERS, Order, TaskSchedule
from reports import report_or_none
from strategies import cascades

Data = dict[str, Any]


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

    def back(self, event: Event, steps: int) -> tuple[list[int], list[int]]:
        """The tasks up to an event, latest first, and what each waited for."""
        tasks: list[int] = []
        reasons: list[int] = []
        while True:
            time = self.times[event]
            if event[0] == "end":
                if len(tasks) == steps:
                    return tasks, reasons
                tasks.append(event[1])
                reasons.append(START)
                time -= self.plain.duration(event)
            if time == 0:
                return tasks, reasons
            tight = (w for w in self.plain.waits(event) if self.times[w.source] + w.lag == time)
            wait = next(tight)
            if reasons and reasons[-1] == START:
                reasons[-1] = wait.reason
            event = wait.source

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

    def path(self) -> tuple[list[int], list[int]]:
        """The critical path."""
        tasks, reasons = self.back(self.last(), self.graph.tasks)
        return tasks[::-1], reasons[::-1]


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
    tasks, reasons = critical_tasks(timed)
    assert (tasks.tolist(), reasons.tolist()) == walk.path()
    every = np.arange(graph.tasks)
    assert waiting_reasons(timed, every).tolist() == [
        walk.back(("end", task), 1)[1][0] for task in range(graph.tasks)
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
    assert [a.tolist() for a in critical_tasks(small)] == [
        a.tolist() for a in critical_tasks(large)
    ]
    assert (task_slacks(small).astype(object) * far == task_slacks(large)).all()
