"""Deadlock: a cycle of precedences that makes an order of service impossible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import networkx as nx
import numpy as np

from polylat.schedule.arrays import Ints, group_by_key
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.reasons import NAMES, WaitedFor
from polylat.schedule.timing import TaskSchedule

__all__ = ["CycleEdge", "find_cycle"]

_Kind = Literal["start", "task", "block", "finish"]
_Event = tuple[_Kind, int]
"""The kind of an event, and the number of its tile iteration, task or block."""


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


def find_cycle(plan: ExplicitTaskGraph, timing: TaskSchedule) -> tuple[CycleEdge, ...]:
    """Return a cycle of precedences among the events that an order never lets happen.

    Parameters
    ----------
    plan
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
    return _CycleSearch(plan, timing).cycle()


class _CycleSearch:
    def __init__(self, plan: ExplicitTaskGraph, timing: TaskSchedule) -> None:
        self.plan = plan
        self.graph = plan.graph
        self.waiting = timing.waiting
        self.into = group_by_key(self.graph.edge_target, self.graph.blocks + self.graph.iterations)
        self.before: Ints = np.full(self.graph.tasks, -1, dtype=np.int64)
        if timing.order in ("program", "skew"):
            tasks, start = self.graph.port_order(skewed=timing.order == "skew")
            self.before[tasks[1:]] = tasks[:-1]
            self.before[tasks[start[:-1][start[:-1] < start[1:]]]] = -1

    def cycle(self) -> tuple[CycleEdge, ...]:
        start = int(np.flatnonzero(self.waiting[: self.graph.iterations])[0])
        waits = self._first_unmet(("start", start))
        return tuple(
            CycleEdge(self._block(waiting), self._block(awaited), reason)
            for waiting, awaited in nx.find_cycle(waits, source=("start", start))
            if (reason := waits.edges[waiting, awaited]["reason"]) is not None
        )

    def _first_unmet(self, event: _Event) -> nx.DiGraph[_Event]:
        """Return the graph of every event's first unmet predecessor, as far as it is reachable."""
        waits: nx.DiGraph[_Event] = nx.DiGraph()
        while event not in waits or not waits.out_degree(event):
            awaited, reason = next(
                (e, why) for e, why in self._predecessors(event) if self._undone(e)
            )
            waits.add_edge(event, awaited, reason=reason)
            event = awaited
        return waits

    def _undone(self, event: _Event) -> bool:
        return bool(self.waiting[self._number(event)])

    def _number(self, event: _Event) -> int:
        what, number = event
        blocks, tasks = self.graph.blocks, self.graph.tasks
        offset = {"start": 0, "task": blocks, "block": blocks + tasks}
        return number + offset.get(what, 2 * blocks + tasks)

    def _block(self, event: _Event) -> int:
        return int(self.graph.task_block[event[1]]) if event[0] == "task" else event[1]

    def _predecessors(self, event: _Event) -> Iterator[tuple[_Event, WaitedFor | None]]:
        what, number = event
        graph = self.graph
        if what == "task":
            if self.before[number] >= 0:
                yield ("task", int(self.before[number])), "port"
            yield self._start_of(int(graph.task_block[number])), None
        elif what == "block":
            start, tasks = self.plan.block_tasks
            for task in tasks[start[number] : start[number + 1]]:
                yield ("task", int(task)), None
            yield self._start_of(number), None
        else:
            target = number if what == "start" else graph.blocks + number
            start, edges = self.into
            for edge in edges[start[target] : start[target + 1]]:
                source = int(graph.edge_source[edge])
                kind: _Kind = "finish" if source < graph.iterations else "block"
                yield (kind, source), NAMES[int(graph.edge_reason[edge])]
            if what == "finish":
                yield ("block", number), None
            if number < graph.iterations:
                yield from self._within_leaf(what, number)

    def _within_leaf(self, what: _Kind, number: int) -> Iterator[tuple[_Event, None]]:
        start, own = self.plan.own_blocks
        for block in own[start[number] : start[number + 1]]:
            if self.graph.kind[block] == 0:
                yield ("start" if what == "start" else "block", int(block)), None
        if not self.graph.leaf_starts[number]:
            yield (what, number - 1), None

    def _start_of(self, block: int) -> _Event:
        fill = self.graph.kind[block] == 0
        return ("start", block if fill else int(self.graph.owner[block]))
