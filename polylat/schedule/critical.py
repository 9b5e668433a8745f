"""Why a schedule takes as long as it does: back from the last finish to time 0."""

from __future__ import annotations

import numpy as np

from polylat.schedule.graph import Ints
from polylat.schedule.kernels import by_key, walk_back
from polylat.schedule.timing import Plan, Timing

__all__ = ["BARRIER", "CAPACITY", "FLOW", "PORT", "START", "critical_tasks"]

FLOW, BARRIER, CAPACITY, PORT, START = range(5)


def critical_tasks(plan: Plan, timing: Timing) -> tuple[Ints, Ints]:
    """Tasks from time 0 to the makespan, each beginning when the one before ends.

    Where several chains are as long, the one is followed that waits for data rather than for a
    port, and for another leaf rather than for its own.

    Returns
    -------
    (tasks, reasons)
        The tasks in order, and what each waited for: `FLOW`, `BARRIER`, `CAPACITY`, `PORT`, or
        `START` if for nothing.
    """
    graph = plan.graph
    if timing.makespan == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    end = timing.task_begin + graph.task_duration
    ended = np.flatnonzero(end == timing.makespan)
    foreground = ended[graph.kind[graph.task_block[ended]] != 2]
    last = int((foreground if len(foreground) else ended)[0])
    into = by_key(graph.edge_target, graph.blocks + graph.iterations)
    tasks, reasons = (walk_back.py_func if end.dtype == object else walk_back)(
        last,
        START,
        PORT,
        _port_predecessors(plan, timing),
        graph.leaf_starts,
        graph.owner,
        graph.kind,
        *plan.block_tasks,
        *plan.own_blocks,
        *into,
        graph.edge_source,
        graph.edge_reason,
        graph.task_block,
        end,
        timing.begin,
        timing.finish,
        timing.block_finish,
        timing.fill_begin,
        timing.task_begin,
    )
    return tasks[::-1], reasons[::-1]


def _port_predecessors(plan: Plan, timing: Timing) -> Ints:
    """Per task the one that its port served before it, -1 if none."""
    graph = plan.graph
    before = np.full(graph.tasks, -1, dtype=np.int64)
    order = np.lexsort((timing.task_begin, graph.task_port))
    same = graph.task_port[order[1:]] == graph.task_port[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    return before
