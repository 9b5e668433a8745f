"""The critical path, the reasons for waiting and the slack of explicit schedules.

The list of precedences says what binds. Here it is found again without that list: from the fields
of the task graph, and by simulation with other durations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import polylat
from polylat import Spec
from polylat.schedule.critical_path import (
    critical_tasks,
    task_slacks,
    timed_events,
    waiting_reasons,
)
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph, explicit_task_graph
from polylat.schedule.reasons import PORT, START
from polylat.schedule.timing import ORDERS, Order, TaskSchedule
from reports import report_or_none
from strategies import cascades

Data = dict[str, Any]


class Walk:
    """Finds what each task waits for, from the fields of the graph."""

    def __init__(self, graph: TaskGraph, timing: TaskSchedule) -> None:
        self.graph, self.timing = graph, timing
        self.n = graph.iterations
        self.end = timing.task_begin + graph.task_duration
        self.tasks_of = defaultdict(list)
        for task, block in enumerate(graph.task_block.tolist()):
            self.tasks_of[block].append(task)
        self.fills_of = defaultdict(list)
        for block in np.flatnonzero(graph.kind == 0).tolist():
            self.fills_of[int(graph.owner[block])].append(block)
        self.edges_into = defaultdict(list)
        for edge in np.argsort(graph.edge_rule, kind="stable").tolist():
            self.edges_into[int(graph.edge_target[edge])].append(edge)
        self.before: dict[int, int] = {}
        order = np.lexsort((timing.task_begin, graph.task_port)).tolist()
        for one, other in pairwise(order):
            if graph.task_port[one] == graph.task_port[other]:
                self.before[other] = one

    def starts(self, block: int) -> int:
        """When a tile iteration or a fill starts."""
        return int((self.timing.begin if block < self.n else self.timing.fill_begin)[block])

    def finished(self, block: int) -> int:
        """When a tile iteration or a block finishes."""
        return int((self.timing.finish if block < self.n else self.timing.block_finish)[block])

    def last_task(self, blocks: list[int], time: int) -> int | None:
        """The task with the largest number that ends at a time."""
        ended = [t for b in blocks for t in self.tasks_of[b] if self.end[t] == time]
        return max(ended, default=None)

    def last_of(self, source: int, time: int) -> int | None:
        """The task at whose end a source finishes; None if it finishes when it starts."""
        while source >= 0:
            found = self.last_task([source], time)
            if source >= self.n or found is not None:
                return found
            found = self.last_task(self.fills_of[source], time)
            if found is not None:
                return found
            into = self.edges_into[self.graph.blocks + source]
            read_back = [int(self.graph.edge_source[e]) for e in into]
            awaited = [b for b in read_back if self.finished(b) == time]
            if awaited:
                source = max(awaited)
            elif self.graph.leaf_starts[source] or self.finished(source - 1) != time:
                return None
            else:
                source -= 1
        return None

    def binding(self, block: int, time: int) -> Iterator[tuple[int, int]]:
        """The sources of the first rule that binds a start, the largest first, with the reason."""
        edges = self.edges_into[block]
        sources = [(int(self.graph.edge_source[e]), e) for e in edges]
        tight = [(s, e) for s, e in sources if self.finished(s) == time]
        if tight:
            first = self.graph.edge_rule[tight[0][1]]
            alike = [(s, e) for s, e in tight if self.graph.edge_rule[e] == first]
            source, edge = max(alike)
            yield source, int(self.graph.edge_reason[edge])

    def step(self, task: int) -> tuple[int | None, int]:
        """The task that ends when a task begins, and why the task waits for it."""
        graph = self.graph
        time = int(self.timing.task_begin[task])
        if time == 0:
            return None, START
        block = int(graph.task_block[task])
        at = block if graph.kind[block] == 0 else int(graph.owner[block])
        if self.starts(at) != time:
            return self.before[task], PORT
        reason = START
        while True:
            while at < self.n and not graph.leaf_starts[at] and self.starts(at - 1) == time:
                at -= 1
            for source, why in self.binding(at, time):
                reason = why if reason == START else reason
                found = self.last_of(source, time)
                if found is not None:
                    return found, reason
                at = source
                if at >= self.n and graph.kind[at] != 0:
                    at = int(graph.owner[at])
                break
            else:
                at = next(f for f in self.fills_of[at] if self.starts(f) == time)

    def path(self) -> tuple[list[int], list[int]]:
        """The critical path."""
        ended = np.flatnonzero(self.end == self.timing.makespan).tolist()
        front = [t for t in ended if self.graph.kind[self.graph.task_block[t]] != 2]
        task: int | None = (front or ended)[0]
        tasks, reasons = [], []
        while task is not None:
            tasks.append(task)
            task, reason = self.step(task)
            reasons.append(reason)
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
        walk.step(task)[1] for task in range(graph.tasks)
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
        again = explicit_task_graph(replace(graph, task_duration=durations)).time(order)
        assert again.makespan == timing.makespan + more


@pytest.mark.parametrize("order", ORDERS)
def test_times_of_python_integers(spec: Spec, order: Order) -> None:
    """Times beyond 64 bits have the same path and slack as small ones."""
    report = polylat.analyze(spec, granularity="tile", order=order)
    graph, timing = report.solution.model.graph, report.solution.schedule
    far = 1 << 70
    longer = replace(graph, task_duration=graph.task_duration.astype(object) * far)
    later = explicit_task_graph(longer).time(order)
    small, large = timed_events(graph, timing), timed_events(longer, later)
    assert [a.tolist() for a in critical_tasks(small)] == [
        a.tolist() for a in critical_tasks(large)
    ]
    assert (task_slacks(small).astype(object) * far == task_slacks(large)).all()
