"""Why the tasks of a schedule waited, if all tile iterations are visited.

The reasons are those that the critical path names, see `schedule.critical_path`.
"""

from __future__ import annotations

import numpy as np

from polylat.schedule.arrays import Ints
from polylat.schedule.graph import TaskGraph
from polylat.schedule.reasons import PORT, START
from polylat.schedule.timing import TaskSchedule

__all__ = ["start_reasons", "task_reasons"]


def start_reasons(graph: TaskGraph, timing: TaskSchedule) -> Ints:
    """Return why tile iterations and fills do not start earlier.

    Parameters
    ----------
    graph, timing
        An explicit task graph, and its earliest (ASAP) schedule.

    Returns
    -------
    numpy.ndarray
        Shape (blocks,): reason codes (`schedule.reasons`) of the starts of tile iterations and of
        fills; `START` for those at time 0.
    """
    n = graph.iterations
    begin = timing.fill_begin.copy()
    begin[:n] = timing.begin
    reasons = np.full(graph.blocks, START, dtype=np.int64)
    arrived = np.where(
        graph.edge_source < n,
        timing.finish[np.minimum(graph.edge_source, n - 1)],
        timing.block_finish[graph.edge_source],
    )
    starts = graph.edge_target < graph.blocks
    target = np.minimum(graph.edge_target, graph.blocks - 1)
    tight = np.flatnonzero(starts & np.asarray(arrived == begin[target], dtype=np.bool_))
    tight = tight[np.asarray(arrived[tight] > 0, dtype=np.bool_)]
    # The first rule is assigned last.
    tight = tight[np.argsort(-graph.edge_rule[tight], kind="stable")]
    reasons[target[tight]] = graph.edge_reason[tight]
    fills = n + np.flatnonzero(graph.kind[n:] == 0)[::-1]
    owner = graph.owner[fills]
    same = np.asarray(begin[fills] == begin[owner], dtype=np.bool_) & (reasons[owner] == START)
    reasons[owner[same]] = reasons[fills[same]]
    # Of the tile iterations that start together, the first one waits.
    together = np.zeros(n, dtype=np.bool_)
    together[1:] = np.asarray(begin[1:n] == begin[: n - 1], dtype=np.bool_)
    first = np.flatnonzero(~together | graph.leaf_starts)
    reasons[:n] = reasons[first[np.searchsorted(first, np.arange(n), side="right") - 1]]
    return reasons


def task_reasons(graph: TaskGraph, timing: TaskSchedule, reasons: Ints, tasks: Ints) -> Ints:
    """Return why tasks do not begin earlier.

    Parameters
    ----------
    graph, timing
        An explicit task graph, and its earliest (ASAP) schedule.
    reasons
        The reasons of the starts, see `start_reasons`.
    tasks
        Shape (n,): the tasks.

    Returns
    -------
    numpy.ndarray
        Shape (n,): reason codes; `START` for tasks that begin at time 0.
    """
    block = graph.task_block[tasks]
    event = np.where(graph.kind[block] == 0, block, graph.owner[block])
    ready = timing.fill_begin.copy()
    ready[: graph.iterations] = timing.begin
    begin = timing.task_begin[tasks]
    found = np.where(np.asarray(begin == ready[event], dtype=np.bool_), reasons[event], PORT)
    found[np.asarray(begin == 0, dtype=np.bool_)] = START
    return found.astype(np.int64)
