"""How much later everything could happen: latest times under the order of service of a schedule."""

from __future__ import annotations

from typing import Any

import numpy as np

from polylat.schedule.graph import Ints, TaskGraph, Times
from polylat.schedule.kernels import by_key
from polylat.schedule.periodic import Events
from polylat.schedule.timing import Timing

__all__ = ["slacks"]


def slacks(graph: TaskGraph, timing: Timing) -> Times:
    """Per task, how much later its port could serve it with the same makespan (ALAP − ASAP).

    The ports keep their order of service. All tile iterations must be looked at.
    """
    events = Events(graph)
    source, target = _waits(graph, events, timing)
    durations = np.full(events.count, 0, dtype=timing.task_begin.dtype)
    durations[graph.blocks : graph.blocks + graph.tasks] = graph.task_duration
    start, into = by_key(target, events.count)
    pending = np.bincount(source, minlength=events.count).astype(np.int64)
    latest = np.full(events.count, timing.makespan, dtype=durations.dtype)
    run = _settle.py_func if durations.dtype == object else _settle
    run(durations, start, source[into], pending, latest)
    ends = timing.task_begin + graph.task_duration
    free: Times = latest[graph.blocks : graph.blocks + graph.tasks] - ends
    return free


def _waits(graph: TaskGraph, events: Events, timing: Timing) -> tuple[Ints, Ints]:
    """All waits between events, as (source, target): the rules of the model, and the ports."""
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


def _settle_plain(durations: Any, start: Any, into: Any, pending: Any, latest: Any) -> None:
    """Settle events from the last ones back, each once all that waits for it is settled."""
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


def _compiled(function: Any) -> Any:
    import numba

    return numba.njit(cache=True, nogil=True)(function)


_settle: Any = _compiled(_settle_plain)
