"""Deadlock: a cycle of precedences that makes an order of service impossible."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np

from polylat.schedule.events import EventNumbering
from polylat.schedule.graph import TaskGraph
from polylat.schedule.precedences import consecutive, event_precedences
from polylat.schedule.reasons import NAMES, WaitedFor
from polylat.schedule.timing import TaskSchedule

__all__ = ["CycleEdge", "find_cycle"]


@dataclass(frozen=True)
class CycleEdge:
    """One precedence of a cycle: `waiting` cannot proceed before `awaited`.

    Parameters
    ----------
    waiting, awaited
        Blocks; a foreground block represents its tile iteration.
    reason
        Why it waits.
    """

    waiting: int
    awaited: int
    reason: WaitedFor


def find_cycle(graph: TaskGraph, timing: TaskSchedule) -> tuple[CycleEdge, ...]:
    """Return a cycle of precedences among the events that an order never lets happen.

    Parameters
    ----------
    graph
        An explicit task graph.
    timing
        An illegal schedule of it.

    Returns
    -------
    tuple of CycleEdge
        The precedences that have a reason, against the direction of time; those within a leaf are
        omitted.

    Notes
    -----
    Every event that never happens waits for another such event, so that following these
    precedences backwards must close a cycle.
    """
    return _CycleSearch(graph, timing).cycle()


class _CycleSearch:
    def __init__(self, graph: TaskGraph, timing: TaskSchedule) -> None:
        self.graph = graph
        self.waiting = timing.waiting
        events = EventNumbering(graph)
        served = None
        if timing.order in ("program", "skew"):
            order = graph.port_order(skewed=timing.order == "skew")
            served = consecutive(*order, len(graph.edge_periods))
        self.start, self.waits = event_precedences(events, served).by_target(events.count)

    def cycle(self) -> tuple[CycleEdge, ...]:
        start = int(np.flatnonzero(self.waiting[: self.graph.iterations])[0])
        unmet = self._first_unmet(start)
        return tuple(
            CycleEdge(self._block(waiting), self._block(awaited), NAMES[reason])
            for waiting, awaited in nx.find_cycle(unmet, source=start)
            if (reason := unmet.edges[waiting, awaited]["reason"]) in NAMES
        )

    def _first_unmet(self, event: int) -> nx.DiGraph[int]:
        """Return the graph of every event's first unmet predecessor, as far as it is reachable."""
        unmet: nx.DiGraph[int] = nx.DiGraph()
        while event not in unmet or not unmet.out_degree(event):
            into = np.arange(self.start[event], self.start[event + 1])
            first = into[self.waiting[self.waits.source[into]] > 0][0]
            awaited = int(self.waits.source[first])
            unmet.add_edge(event, awaited, reason=int(self.waits.reason[first]))
            event = awaited
        return unmet

    def _block(self, event: int) -> int:
        """Return the block of an event; a tile iteration is its foreground block."""
        graph = self.graph
        blocks, tasks = graph.blocks, graph.tasks
        if event < blocks:
            return event
        if event < blocks + tasks:
            return int(graph.task_block[event - blocks])
        # The finishes of blocks, then those of tile iterations.
        return (event - blocks - tasks) % blocks
