"""The critical path of an explicit schedule, from the last finish back to time 0."""

from __future__ import annotations

import numpy as np

from polylat.schedule.arrays import Ints, group_by_key
from polylat.schedule.critical_kernels import critical_walk_back
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.reasons import PORT, START
from polylat.schedule.timing import TaskSchedule

__all__ = ["critical_tasks"]


def critical_tasks(plan: ExplicitTaskGraph, timing: TaskSchedule) -> tuple[Ints, Ints]:
    """Return a chain of tasks from time 0 to the makespan, each beginning when the last one ends.

    Among several such chains, waiting for data takes precedence over waiting for a port, and
    waiting for another leaf over waiting for the same leaf.

    Parameters
    ----------
    plan
        An explicit task graph.
    timing
        An earliest (ASAP) schedule of it.

    Returns
    -------
    (tasks, reasons)
        Both of shape (length of the path,), in the order of time: the tasks, and the code in
        `reasons` of what each task waited for; `START` if it waited for nothing.

    Notes
    -----
    The backward pass of the critical path method (Kelley and Walker 1959) along tight precedences.
    """
    graph = plan.graph
    if timing.makespan == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    end = timing.task_begin + graph.task_duration
    ended = np.flatnonzero(end == timing.makespan)
    foreground = ended[graph.kind[graph.task_block[ended]] != 2]
    last = int((foreground if len(foreground) else ended)[0])
    into = group_by_key(graph.edge_target, graph.blocks + graph.iterations)
    tasks, reasons = (critical_walk_back.py_func if end.dtype == object else critical_walk_back)(
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


def _port_predecessors(plan: ExplicitTaskGraph, timing: TaskSchedule) -> Ints:
    """Per task, the task that its port serves before it; -1 if none."""
    graph = plan.graph
    before = np.full(graph.tasks, -1, dtype=np.int64)
    order = np.lexsort((timing.task_begin, graph.task_port))
    same = graph.task_port[order[1:]] == graph.task_port[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    return before
