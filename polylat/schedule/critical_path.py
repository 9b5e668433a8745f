"""The critical path of an explicit schedule, from the last finish back to time 0."""

from __future__ import annotations

import numpy as np

from polylat.schedule.arrays import Ints, group_by_key
from polylat.schedule.critical_kernels import critical_walk_back
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.reasons import PORT, START
from polylat.schedule.timing import TaskSchedule

__all__ = ["critical_tasks", "edges_by_target"]


def critical_tasks(plan: ExplicitTaskGraph, timing: TaskSchedule) -> tuple[Ints, Ints]:
    """Return a chain of tasks from time 0 to the makespan, each beginning when the last one ends.

    Among several such chains, a rule decides that refers to times and precedences only, so that it
    does not depend on which tile iterations are visited. The last task is one of a foreground block
    if one ends at the makespan. A task whose block may start when it begins waits for that start,
    otherwise for the port. Of the tile iterations of a leaf that start together, the first one
    waits: for the first rule (flow, barrier, capacity, in the order of the mapping) of which a
    source finishes then, otherwise for its first fill that may start then. A source finishes when
    its last task ends: of those that end then, the one of the latest tile iteration, of its
    foreground before its fills, with the largest number.

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
        *edges_by_target(graph),
        graph.edge_source,
        graph.edge_rule,
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


def edges_by_target(graph: TaskGraph) -> tuple[Ints, Ints]:
    """Group the edges of a task graph by target, and sort those of a target by rule.

    Parameters
    ----------
    graph
        The task graph.

    Returns
    -------
    (start, edges)
        As `group_by_key` returns them.
    """
    order = np.argsort(graph.edge_rule, kind="stable")
    start, edges = group_by_key(graph.edge_target[order], graph.blocks + graph.iterations)
    return start, order[edges]


def _port_predecessors(plan: ExplicitTaskGraph, timing: TaskSchedule) -> Ints:
    """Per task, the task that its port serves before it; -1 if none."""
    graph = plan.graph
    before = np.full(graph.tasks, -1, dtype=np.int64)
    order = np.lexsort((timing.task_begin, graph.task_port))
    same = graph.task_port[order[1:]] == graph.task_port[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    return before
