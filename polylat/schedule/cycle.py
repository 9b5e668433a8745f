"""Why an order cannot be kept: a cycle of waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from polylat.schedule.graph import Ints
from polylat.schedule.kernels import by_key
from polylat.schedule.timing import Plan, Timing

__all__ = ["Wait", "find_cycle"]

What = Literal["start", "task", "block", "finish"]
Event = tuple[What, int]
Reason = Literal["flow", "barrier", "capacity", "port"]
_REASONS: tuple[Reason, ...] = ("flow", "barrier", "capacity")


@dataclass(frozen=True)
class Wait:
    """One wait of a cycle: `waiting` may not go on before `awaited`.

    Parameters
    ----------
    waiting, awaited
        Blocks (a foreground block stands for its tile iteration).
    reason
        Why.
    """

    waiting: int
    awaited: int
    reason: Reason


def find_cycle(plan: Plan, timing: Timing) -> tuple[Wait, ...]:
    """A cycle among what an order never lets happen.

    What has not happened waits for something that has not happened: following that back must come
    round. Only the waits with a reason are given: those within a leaf go without saying.
    """
    return _Search(plan, timing).cycle()


class _Search:
    def __init__(self, plan: Plan, timing: Timing) -> None:
        self.plan = plan
        self.graph = plan.graph
        self.waiting = timing.waiting
        self.into = by_key(self.graph.edge_target, self.graph.blocks + self.graph.iterations)
        self.before: Ints = np.full(self.graph.tasks, -1, dtype=np.int64)
        if timing.order in ("program", "skew"):
            tasks, start = self.graph.port_order(skewed=timing.order == "skew")
            self.before[tasks[1:]] = tasks[:-1]
            self.before[tasks[start[:-1][start[:-1] < start[1:]]]] = -1

    def cycle(self) -> tuple[Wait, ...]:
        graph = self.graph
        event: Event = ("start", int(np.flatnonzero(self.waiting[: graph.iterations])[0]))
        trail: list[tuple[Event, Reason | None]] = []
        seen: dict[Event, int] = {}
        while event not in seen:
            seen[event] = len(trail)
            previous, reason = next((e, why) for e, why in self._awaits(event) if self._undone(e))
            trail.append((event, reason))
            event = previous
        ring = trail[seen[event] :]
        ends = [e for e, _ in ring[1:]] + [event]
        return tuple(
            Wait(self._block(waiting), self._block(awaited), reason)
            for (waiting, reason), awaited in zip(ring, ends, strict=True)
            if reason is not None
        )

    def _undone(self, event: Event) -> bool:
        return bool(self.waiting[self._number(event)])

    def _number(self, event: Event) -> int:
        what, number = event
        blocks, tasks = self.graph.blocks, self.graph.tasks
        offset = {"start": 0, "task": blocks, "block": blocks + tasks}
        return number + offset.get(what, 2 * blocks + tasks)

    def _block(self, event: Event) -> int:
        return int(self.graph.task_block[event[1]]) if event[0] == "task" else event[1]

    def _awaits(self, event: Event) -> Iterator[tuple[Event, Reason | None]]:
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
                kind: What = "finish" if source < graph.iterations else "block"
                yield (kind, source), _REASONS[int(graph.edge_reason[edge])]
            if what == "finish":
                yield ("block", number), None
            if number < graph.iterations:
                yield from self._within_leaf(what, number)

    def _within_leaf(self, what: What, number: int) -> Iterator[tuple[Event, None]]:
        start, own = self.plan.own_blocks
        for block in own[start[number] : start[number + 1]]:
            if self.graph.kind[block] == 0:
                yield ("start" if what == "start" else "block", int(block)), None
        if not self.graph.leaf_starts[number]:
            yield (what, number - 1), None

    def _start_of(self, block: int) -> Event:
        fill = self.graph.kind[block] == 0
        return ("start", block if fill else int(self.graph.owner[block]))
