"""What the events of an explicit task graph wait for, and when they happen, in plain Python.

Written from the fields of `TaskGraph`, without the list of precedences that the engine uses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from polylat.schedule.graph import TaskGraph
from polylat.schedule.reasons import FLOW, PASSED, PORT, START, STARTED

Event = tuple[str, int]
"""``start`` of a tile iteration or a separate block; ``end`` of a task; ``served``: all tasks of a
separate block have ended, or those of the foregrounds up to a tile iteration; ``finish`` of a tile
iteration."""


@dataclass(frozen=True)
class Wait:
    """An event happens no earlier than this much after another one, its own duration aside."""

    source: Event
    lag: int
    reason: int


class PlainEvents:
    """The events of a task graph; `before` is the task that the port serves before each task."""

    def __init__(self, graph: TaskGraph, before: dict[int, int] | None = None) -> None:
        self.graph = graph
        self.before = before or {}
        self.tasks_of: dict[int, list[int]] = defaultdict(list)
        for task, block in enumerate(graph.task_block.tolist()):
            self.tasks_of[block].append(task)
        self.fills_of: dict[int, list[int]] = defaultdict(list)
        for block in range(graph.iterations, graph.blocks):
            if graph.kind[block] == 0:
                self.fills_of[int(graph.owner[block])].append(block)
        self.edges_into: dict[int, list[int]] = defaultdict(list)
        sources = graph.edge_source.tolist()
        # Of a rule, the latest source is named first.
        for edge in sorted(range(len(sources)), key=lambda e: (graph.edge_rule[e], -sources[e])):
            self.edges_into[int(graph.edge_target[edge])].append(edge)

    @cached_property
    def every(self) -> list[Event]:
        """All events."""
        graph = self.graph
        found = [("start", block) for block in range(graph.blocks)]
        found += [("end", task) for task in range(graph.tasks)]
        found += [("served", block) for block in range(graph.blocks)]
        return found + [("finish", i) for i in range(graph.iterations)]

    def duration(self, event: Event) -> int:
        """The duration of a task, else 0."""
        return int(self.graph.task_duration[event[1]]) if event[0] == "end" else 0

    def waits(self, event: Event) -> list[Wait]:
        """What an event waits for, in the order of comparison."""
        what, number = event
        find: dict[str, Callable[[int], list[Wait]]] = {
            "start": self._of_start,
            "end": self._of_task,
            "served": self._of_served,
            "finish": self._of_finish,
        }
        return find[what](number)

    def _of_start(self, block: int) -> list[Wait]:
        graph, found = self.graph, []
        owner = int(graph.owner[block])
        if block < graph.iterations:
            if not graph.leaf_starts[block]:
                found.append(Wait(("start", block - 1), 0, START))
        elif graph.kind[block] == 2:
            found.append(Wait(("finish", owner), 0, FLOW))
        found += [self._of_edge(edge) for edge in self.edges_into[block]]
        if block < graph.iterations:
            fills = sorted(self.fills_of[block], key=lambda fill: int(graph.sequence[fill]))
            found += [Wait(("served", f), int(graph.latency[f]), FLOW) for f in fills]
        return found

    def _of_edge(self, edge: int) -> Wait:
        graph = self.graph
        source, until = int(graph.edge_source[edge]), int(graph.edge_until[edge])
        reason = int(graph.edge_reason[edge])
        if until == STARTED:
            return Wait(("start", source), 0, reason)
        # Without latencies, what has been served has finished.
        if source < graph.iterations and (until == PASSED or not graph.late):
            return Wait(("finish", source), 0, reason)
        lag = int(graph.latency[source]) if until == PASSED else 0
        return Wait(("served", source), lag, reason)

    def _of_task(self, task: int) -> list[Wait]:
        found = [Wait(("start", int(self.graph.task_block[task])), 0, START)]
        if task in self.before:
            found.append(Wait(("end", self.before[task]), 0, PORT))
        return found

    def _of_served(self, block: int, latency: int = 0, what: str = "served") -> list[Wait]:
        tasks = sorted(self.tasks_of[block], reverse=True)
        found = [Wait(("end", task), latency, START) for task in tasks]
        if block < self.graph.iterations and not self.graph.leaf_starts[block]:
            found.append(Wait((what, block - 1), 0, START))
        return [*found, Wait(("start", block), latency, START)]

    def _of_finish(self, iteration: int) -> list[Wait]:
        graph = self.graph
        found = self._of_served(iteration, int(graph.latency[iteration]), "finish")
        leaf, latency = int(graph.leaf[iteration]), int(graph.latency[iteration])
        first, size = graph.leaf.tolist().index(leaf), graph.leaf.tolist().count(leaf)
        duration = int(graph.rigid[leaf][iteration - first]) if leaf in graph.rigid else 0
        later = range(iteration + 1, first + size)
        for source in later[: latency // duration if duration else 0]:
            lag = latency + duration - (source - iteration) * duration
            found.append(Wait(("start", source), lag, START))
        return found

    def earliest(self) -> dict[Event, int] | None:
        """When the events happen, if ports serve in the given order; None if some never do."""
        times: dict[Event, int] = {}
        left = self.every
        while left:
            rest = []
            for event in left:
                waits = self.waits(event)
                if all(wait.source in times for wait in waits):
                    after = max((times[w.source] + w.lag for w in waits), default=0)
                    times[event] = after + self.duration(event)
                else:
                    rest.append(event)
            if len(rest) == len(left):
                return None
            left = rest
        return times

    def list_schedule(self, place: Sequence[Any]) -> dict[Event, int] | None:
        """When the events happen, if an idle port takes the ready task with the least place.

        All that happens at an instant does before ports choose. None if some event never happens.
        """
        times: dict[Event, int] = {}
        running: dict[int, tuple[int, int]] = {}
        left = {event: self.waits(event) for event in self.every}
        now: int | None = 0
        while now is not None:
            while self._happen(now, times, running, left):
                pass
            ready = [
                e[1] for e in left if e[0] == "end" and self._ready(times, left[e]) is not None
            ]
            taken = {task for task, _ in running.values()}
            for task in sorted((t for t in ready if t not in taken), key=lambda t: place[t]):
                port = int(self.graph.task_port[task])
                if port not in running:
                    running[port] = task, now + self.duration(("end", task))
            coming = [end for _, end in running.values()]
            coming += [
                time
                for event, waits in left.items()
                if event[0] != "end" and (time := self._ready(times, waits)) is not None
            ]
            now = min(coming, default=None)
        return None if left else times

    def _happen(
        self,
        now: int,
        times: dict[Event, int],
        running: dict[int, tuple[int, int]],
        left: dict[Event, list[Wait]],
    ) -> bool:
        """Let what can happen now happen; whether anything did."""
        some: list[Event] = [("end", task) for task, end in running.values() if end == now]
        for event, waits in left.items():
            if event[0] != "end" and self._ready(times, waits) == now:
                some.append(event)
        for event in some:
            times[event] = now
            del left[event]
            if event[0] == "end":
                del running[int(self.graph.task_port[event[1]])]
        return bool(some)

    def _ready(self, times: dict[Event, int], waits: Sequence[Wait]) -> int | None:
        """When all waits are over; None if that is not known yet."""
        if not all(wait.source in times for wait in waits):
            return None
        return max((times[wait.source] + wait.lag for wait in waits), default=0)


def plain_values(events: PlainEvents, times: dict[Event, int]) -> list[int]:
    """The times in the order in which the engine numbers events."""
    return [times[event] for event in events.every]


def previous(order: Sequence[int], start: Sequence[int]) -> dict[int, int]:
    """The task that each port serves before each task, from the tasks by port."""
    found: dict[int, int] = {}
    for first, last in pairwise(start):
        found |= {two: one for one, two in pairwise(order[first:last])}
    return found
