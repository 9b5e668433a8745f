"""The order "oldest" as a discrete-event simulation with simpy.

One process walks each leaf's tile iterations as they start and one as they finish, every fill and
every port is a process, and whatever has to be waited for is an event. Events that have happened
already cost nothing. A port that is idle takes the first of its tasks that may start; it chooses
after all else that happens at that instant.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from heapq import heappop, heappush

import numpy as np
import simpy
from simpy.events import Event

from polylat.schedule.arrays import Ints
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import explicit_task_graph

__all__ = ["by_polylat", "by_simpy"]

FILL, FOREGROUND, BACKGROUND = range(3)
LAST = 2
"""Priority of what happens last at an instant: simpy's own are 0 (urgent) and 1 (normal)."""

Process = Generator[Event, object, None]


def by_simpy(graph: TaskGraph) -> int:
    """Simulate a task graph with simpy."""
    return _Simulation(graph).run()


def by_polylat(graph: TaskGraph) -> int:
    """Index the task graph and time it with polylat, the sorting by date included."""
    return explicit_task_graph(graph).time("oldest").makespan


class _Simulation:
    def __init__(self, graph: TaskGraph) -> None:
        n, blocks = graph.iterations, graph.blocks
        self.n = n
        self.env = simpy.Environment()
        self.owner: list[int] = graph.owner.tolist()
        self.kind: list[int] = graph.kind.tolist()
        self.port: list[int] = graph.task_port.tolist()
        self.block: list[int] = graph.task_block.tolist()
        self.duration: list[int] = graph.task_duration.tolist()
        self.tasks = _lists(graph.task_block, np.arange(graph.tasks), blocks)
        # What waits: a tile iteration's or a fill's start, and a tile iteration's finish.
        self.waits = _lists(graph.edge_target, graph.edge_source, blocks + n)
        self.others: dict[int, list[int]] = {}
        for block in range(n, blocks):
            self.others.setdefault(self.owner[block], []).append(block)
        self.left = [len(tasks) for tasks in self.tasks]
        event = self.env.event
        self.fill_starts = {b: event() for b in range(n, blocks) if self.kind[b] == FILL}
        self.served = [event() for _ in range(blocks)]
        self.finished = [event() for _ in range(n)]
        self.ready: list[list[tuple[bool, int]]] = [[] for _ in range(graph.ports)]
        self.idle: list[Event | None] = [None] * graph.ports
        order, _ = graph.port_order(skewed=True)
        self.order: list[int] = order.tolist()
        place = np.empty(graph.tasks, dtype=np.int64)
        place[order] = np.arange(graph.tasks)
        self.place: list[int] = place.tolist()
        starts = np.flatnonzero(graph.leaf_starts).tolist()
        for first, end in zip(starts, [*starts[1:], n], strict=True):
            self.env.process(self.starting(range(first, end)))
            self.env.process(self.finishing(range(first, end)))
        for fill in self.fill_starts:
            self.env.process(self.filling(fill))
        for port in range(graph.ports):
            self.env.process(self.serving(port))

    def run(self) -> int:
        """Run to the end: the time of the last event."""
        self.env.run()
        assert all(event.processed for event in self.finished), "something never happens"
        return int(self.env.now)

    def ended(self, source: int) -> Event:
        """What an edge waits for: a tile iteration's finish, or a block's."""
        return self.finished[source] if source < self.n else self.served[source]

    def starting(self, iterations: Iterable[int]) -> Process:
        """A leaf's tile iterations start one after the other."""
        for i in iterations:
            others = self.others.get(i, ())
            for block in others:
                if self.kind[block] == FILL:
                    yield self.fill_starts[block]
            for source in self.waits[i]:
                yield self.ended(source)
            self.submit(i)
            for block in others:
                if self.kind[block] == BACKGROUND:
                    self.submit(block)

    def finishing(self, iterations: Iterable[int]) -> Process:
        """A leaf's tile iterations finish one after the other."""
        blocks = len(self.owner)
        for i in iterations:
            yield self.served[i]
            for block in self.others.get(i, ()):
                if self.kind[block] == FILL:
                    yield self.served[block]
            for source in self.waits[blocks + i]:
                yield self.ended(source)
            self.finished[i].succeed()

    def filling(self, block: int) -> Process:
        """A fill starts by itself."""
        for source in self.waits[block]:
            yield self.ended(source)
        self.submit(block)
        self.fill_starts[block].succeed()

    def submit(self, block: int) -> None:
        """Let the ports have a block's tasks."""
        if not self.tasks[block]:
            self.served[block].succeed()
        for task in self.tasks[block]:
            port = self.port[task]
            heappush(self.ready[port], (self.kind[block] == BACKGROUND, self.place[task]))
            idle = self.idle[port]
            if idle is not None:
                idle.succeed()
                self.idle[port] = None

    def serving(self, port: int) -> Process:
        """A port serves one task at a time."""
        env, ready = self.env, self.ready[port]
        while True:
            if not ready:
                idle = self.idle[port] = env.event()
                yield idle
            yield _Late(env)
            task = self.order[heappop(ready)[1]]
            yield env.timeout(self.duration[task])
            block = self.block[task]
            self.left[block] -= 1
            if not self.left[block]:
                self.served[block].succeed()


class _Late(Event):
    """Happens at once, but after all else that happens at this instant."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, LAST)  # type: ignore[arg-type]  # any number will do


def _lists(keys: Ints, values: Ints, count: int) -> list[list[int]]:
    """The values of each key."""
    order = np.argsort(keys, kind="stable")
    ends = np.cumsum(np.bincount(keys, minlength=count))[:-1]
    return [part.tolist() for part in np.split(values[order], ends)]
