"""Why a schedule takes as long as it does: back from the last finish to time 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polylat.schedule.graph import Ints, TaskGraph
from polylat.schedule.kernels import by_key
from polylat.schedule.timing import Plan, Timing

__all__ = ["BARRIER", "CAPACITY", "FLOW", "PORT", "START", "Link", "critical_links"]

FLOW, BARRIER, CAPACITY, PORT, START = range(5)


@dataclass(frozen=True)
class Link:
    """One task of the critical path.

    Parameters
    ----------
    task
        The task.
    reason
        What it waited for: `FLOW`, `BARRIER`, `CAPACITY`, `PORT`, or `START` if for nothing.
    """

    task: int
    reason: int


def critical_links(plan: Plan, timing: Timing) -> tuple[Link, ...]:
    """Tasks from time 0 to the makespan, each beginning when the one before ends.

    Where several chains are as long, the one is followed that waits for data rather than for a
    port, and for another leaf rather than for its own.
    """
    return _Walk(plan, timing).links()


class _Walk:
    """Steps back from an instant to what happened last before it.

    Several things may happen at one instant, linked by waits that take no time; they are passed
    through, and the first wait that names a reason gives it.
    """

    def __init__(self, plan: Plan, timing: Timing) -> None:
        self.plan = plan
        self.graph: TaskGraph = plan.graph
        self.timing = timing
        self.into = by_key(self.graph.edge_target, self.graph.blocks + self.graph.iterations)
        self.end = timing.task_begin + self.graph.task_duration
        self.before = self._port_predecessors()

    def _port_predecessors(self) -> Ints:
        before = np.full(self.graph.tasks, -1, dtype=np.int64)
        if self.graph.tasks:
            order = np.lexsort((self.timing.task_begin, self.graph.task_port))
            same = self.graph.task_port[order[1:]] == self.graph.task_port[order[:-1]]
            before[order[1:][same]] = order[:-1][same]
        return before

    def links(self) -> tuple[Link, ...]:
        makespan = self.timing.makespan
        if makespan == 0:
            return ()
        ended = np.flatnonzero(self.end == makespan)
        foreground = ended[self.graph.kind[self.graph.task_block[ended]] != 2]
        task = int((foreground if len(foreground) else ended)[0])
        found: list[Link] = []
        while True:
            reason, previous = self._why(task)
            found.append(Link(task, reason))
            if previous < 0:
                return tuple(reversed(found))
            task = previous

    def _why(self, task: int) -> tuple[int, int]:
        """Why a task begins when it does, and which task ended then."""
        time = self.timing.task_begin[task]
        if time == 0:
            return START, -1
        block = int(self.graph.task_block[task])
        if self._ready(block) == time:
            reason, previous = self._back_from_start(block, time)
            if previous >= 0:
                return reason, previous
        return PORT, int(self.before[task])

    def _ready(self, block: int) -> int:
        if self.graph.kind[block] == 0:
            return int(self.timing.fill_begin[block])
        return int(self.timing.begin[self.graph.owner[block]])

    def _back_from_start(self, block: int, time: int) -> tuple[int, int]:
        """From the start of a block to a task that ended then, through waits without duration."""
        start = block if self.graph.kind[block] == 0 else int(self.graph.owner[block])
        todo: list[tuple[str, int, int]] = [("start", start, START)]
        seen: set[tuple[str, int]] = set()
        while todo:
            event, number, reason = todo.pop()
            if (event, number) in seen:
                continue
            seen.add((event, number))
            if event == "task":
                return reason, number
            # The last pushed is followed first.
            todo.extend(reversed(list(getattr(self, f"_before_{event}")(number, time, reason))))
        return START, -1

    def _before_start(self, number: int, time: int, reason: int) -> list[tuple[str, int, int]]:
        steps = self._sources(number, time, reason)
        if number < self.graph.iterations:
            for block in self._own(number):
                if self.graph.kind[block] == 0 and self.timing.fill_begin[block] == time:
                    steps.append(("start", block, reason))
            if not self.graph.leaf_starts[number] and self.timing.begin[number - 1] == time:
                steps.append(("start", number - 1, reason))
        return steps

    def _before_block(self, number: int, time: int, reason: int) -> list[tuple[str, int, int]]:
        first, last = self.plan.block_tasks[0][number], self.plan.block_tasks[0][number + 1]
        tasks = self.plan.block_tasks[1][first:last]
        if not len(tasks):
            start = number if self.graph.kind[number] == 0 else int(self.graph.owner[number])
            return [("start", start, reason)] if self._ready(number) == time else []
        return [("task", int(t), reason) for t in tasks if self.end[t] == time]

    def _before_finish(self, number: int, time: int, reason: int) -> list[tuple[str, int, int]]:
        steps = []
        own = [b for b in self._own(number) if self.graph.kind[b] == 0]
        for block in (number, *own):
            if self.timing.block_finish[block] == time:
                steps.append(("block", block, reason))
        steps += self._sources(self.graph.blocks + number, time, reason)
        if not self.graph.leaf_starts[number] and self.timing.finish[number - 1] == time:
            steps.append(("finish", number - 1, reason))
        return steps

    def _sources(self, target: int, time: int, reason: int) -> list[tuple[str, int, int]]:
        """What an edge made the target wait for until now."""
        steps = []
        start, entries = self.into
        for edge in entries[start[target] : start[target + 1]]:
            source = int(self.graph.edge_source[edge])
            foreground = source < self.graph.iterations
            ended = self.timing.finish[source] if foreground else self.timing.block_finish[source]
            if ended == time:
                why = int(self.graph.edge_reason[edge]) if reason == START else reason
                steps.append(("finish" if foreground else "block", source, why))
        return steps

    def _own(self, iteration: int) -> list[int]:
        start, blocks = self.plan.own_blocks
        return [int(b) for b in blocks[start[iteration] : start[iteration + 1]]]
