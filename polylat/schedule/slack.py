"""Slack of tasks in an explicit schedule: latest (ALAP) minus earliest (ASAP) start times."""

from __future__ import annotations

from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Times, compiled, group_by_key
from polylat.schedule.events import EventNumbering
from polylat.schedule.graph import TaskGraph
from polylat.schedule.timing import TaskSchedule

__all__ = ["task_slacks"]


def task_slacks(graph: TaskGraph, timing: TaskSchedule) -> Times:
    """Return how much later each task could begin without raising the makespan.

    The ports keep their order of service.

    Parameters
    ----------
    graph
        An explicit task graph: every tile iteration is sampled.
    timing
        An earliest (ASAP) schedule of it.

    Returns
    -------
    numpy.ndarray
        Shape (tasks,), in steps: latest (ALAP) minus earliest (ASAP) start time.

    Notes
    -----
    The backward pass of the critical path method (Kelley and Walker 1959).
    """
    events = EventNumbering(graph)
    source, target = _precedences(graph, events, timing)
    durations = np.full(events.count, 0, dtype=timing.task_begin.dtype)
    durations[graph.blocks : graph.blocks + graph.tasks] = graph.task_duration
    start, into = group_by_key(target, events.count)
    pending = np.bincount(source, minlength=events.count).astype(np.int64)
    latest = np.full(events.count, timing.makespan, dtype=durations.dtype)
    run = _latest_times.py_func if durations.dtype == object else _latest_times
    run(durations, start, source[into], pending, latest)
    ends = timing.task_begin + graph.task_duration
    free: Times = latest[graph.blocks : graph.blocks + graph.tasks] - ends
    return free


def _precedences(
    graph: TaskGraph, events: EventNumbering, timing: TaskSchedule
) -> tuple[Ints, Ints]:
    """All precedences between events, as (source, target): of the model and of the port order."""
    n, blocks = graph.iterations, graph.blocks
    every, tasks = np.arange(blocks), np.arange(graph.tasks)
    after = np.flatnonzero(~graph.leaf_starts)
    fills = np.flatnonzero(graph.kind == 0)
    waited = np.flatnonzero(graph.kind != 2)
    ready = np.where(graph.kind == 0, every, graph.owner)
    order = np.lexsort((timing.task_begin, graph.task_port))
    same = graph.task_port[order[1:]] == graph.task_port[order[:-1]]
    source = np.where(
        graph.edge_source < n,
        events.finish(np.minimum(graph.edge_source, n - 1)),
        events.block(graph.edge_source),
    )
    late = events.finish(graph.edge_target - blocks)
    target = np.where(graph.edge_target < blocks, graph.edge_target, late)
    pairs = [
        (after - 1, after),
        (fills, graph.owner[fills]),
        (ready[graph.task_block], events.task(tasks)),
        (ready, events.block(every)),
        (events.task(tasks), events.block(graph.task_block)),
        (events.block(waited), events.finish(graph.owner[waited])),
        (events.finish(after - 1), events.finish(after)),
        (events.task(order[:-1][same]), events.task(order[1:][same])),
        (source, target),
    ]
    return np.concatenate([s for s, _ in pairs]), np.concatenate([t for _, t in pairs])


@compiled
def _latest_times(durations: Any, start: Any, into: Any, pending: Any, latest: Any) -> None:
    """Compute latest times in place, in reverse topological order.

    `pending` counts the successors of each event that are not settled.
    """
    count = len(latest)
    stack = np.empty(count, np.int64)
    top = 0
    for event in range(count):
        if pending[event] == 0:
            stack[top] = event
            top += 1
    while top > 0:
        top -= 1
        event = stack[top]
        by = latest[event] - durations[event]
        for edge in range(start[event], start[event + 1]):
            source = into[edge]
            latest[source] = min(latest[source], by)
            pending[source] -= 1
            if pending[source] == 0:
                stack[top] = source
                top += 1
