"""Rigid pipelines: a start holds back the earlier tile iterations that are in flight.

A pipeline that stalls as a whole advances only when it takes in the next tile iteration. With the
duration d of each, the foreground of a tile iteration passes no earlier than its latency after its
own service, and, for every later one that starts within the latency, no earlier than that start
plus its duration plus what is left of the latency.
"""

from __future__ import annotations

import numpy as np

from polylat.schedule.arrays import Ints, Times
from polylat.schedule.graph import TaskGraph

__all__ = ["stall_precedences"]


def stall_precedences(graph: TaskGraph) -> tuple[Ints, Ints, Times]:
    """Return the precedences of rigid pipelines, where all tile iterations are sampled.

    Parameters
    ----------
    graph
        The task graph.

    Returns
    -------
    (source, target, lag)
        Shape (stalls,) each: a tile iteration that starts, an earlier one of the same leaf that is
        in flight then, and the least number of steps between the start of the one and the finish of
        the other.
    """
    empty = np.zeros(0, dtype=np.int64)
    sources, targets, found = [empty], [empty], [graph.latency[:0]]
    for leaf, duration in graph.rigid.items():
        size, base = len(duration), int(np.searchsorted(graph.leaf, leaf))
        lags = graph.latency[base : base + size] + duration
        for behind in range(1, size):
            lags = lags[:-1] - duration[: size - behind]
            held = np.flatnonzero(
                (duration[: size - behind] > 0) & (lags >= duration[: size - behind])
            )
            if not len(held):
                break
            sources.append(base + held + behind)
            targets.append(base + held)
            found.append(lags[held])
    return np.concatenate(sources), np.concatenate(targets), np.concatenate(found)
