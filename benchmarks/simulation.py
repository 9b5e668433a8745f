"""Discrete-event simulation of the order "oldest" with simpy.

Each leaf has one process that starts its tile iterations in order and one that finishes them; every
fill and every port is a process; every condition to wait for is an event. Waiting for an event that
has already happened is free. An idle port serves the first of its tasks that may start; it chooses
after all other events of the instant.
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
"""Priority of the last events of an instant; simpy's own are 0 (urgent) and 1 (normal)."""

Process = Generator[Event, object, None]


def by_simpy(graph: TaskGraph) -> int:
    """Simulate a task graph with simpy; return the makespan."""
    return _Simulation(graph).run()


def by_polylat(graph: TaskGraph) -> int:
    """Build polylat's index, sort the tasks by date, and compute the makespan."""
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
        self.tasks = _group(graph.task_block, np.arange(graph.tasks), blocks)
        # An edge delays the start of a tile iteration or a fill, or the finish of a tile iteration.
        self.predecessors = _group(graph.edge_target, graph.edge_source, blocks + n)
        self.transfers: dict[int, list[int]] = {}
        for block in range(n, blocks):
            self.transfers.setdefault(self.owner[block], []).append(block)
        self.unserved_tasks = [len(tasks) for tasks in self.tasks]
        event = self.env.event
        self.fill_starts = {b: event() for b in range(n, blocks) if self.kind[b] == FILL}
        self.served = [event() for _ in range(blocks)]
        self.finished = [event() for _ in range(n)]
        self.ready: list[list[tuple[bool, int]]] = [[] for _ in range(graph.ports)]
        self.idle: list[Event | None] = [None] * graph.ports
        order, _ = graph.port_order(skewed=True)
        self.order: list[int] = order.tolist()
        position = np.empty(graph.tasks, dtype=np.int64)
        position[order] = np.arange(graph.tasks)
        self.position: list[int] = position.tolist()
        starts = np.flatnonzero(graph.leaf_starts).tolist()
        for first, end in zip(starts, [*starts[1:], n], strict=True):
            self.env.process(self.starting(range(first, end)))
            self.env.process(self.finishing(range(first, end)))
        for fill in self.fill_starts:
            self.env.process(self.filling(fill))
        for port in range(graph.ports):
            self.env.process(self.serving(port))

    def run(self) -> int:
        """Run the simulation; return the time of the last event."""
        self.env.run()
        assert all(event.processed for event in self.finished), (
            "deadlock: a tile iteration never finishes"
        )
        return int(self.env.now)

    def completion(self, source: int) -> Event:
        """Return the event at an edge's source: a tile iteration finishes, or a block is served."""
        return self.finished[source] if source < self.n else self.served[source]

    def starting(self, iterations: Iterable[int]) -> Process:
        """Start the tile iterations of a leaf in order."""
        for i in iterations:
            transfers = self.transfers.get(i, ())
            for block in transfers:
                if self.kind[block] == FILL:
                    yield self.fill_starts[block]
            for source in self.predecessors[i]:
                yield self.completion(source)
            self.submit(i)
            for block in transfers:
                if self.kind[block] == BACKGROUND:
                    self.submit(block)

    def finishing(self, iterations: Iterable[int]) -> Process:
        """Finish the tile iterations of a leaf in order."""
        blocks = len(self.owner)
        for i in iterations:
            yield self.served[i]
            for block in self.transfers.get(i, ()):
                if self.kind[block] == FILL:
                    yield self.served[block]
            for source in self.predecessors[blocks + i]:
                yield self.completion(source)
            self.finished[i].succeed()

    def filling(self, block: int) -> Process:
        """Start a fill, independently of its tile iteration."""
        for source in self.predecessors[block]:
            yield self.completion(source)
        self.submit(block)
        self.fill_starts[block].succeed()

    def submit(self, block: int) -> None:
        """Make a block's tasks ready on their ports."""
        if not self.tasks[block]:
            self.served[block].succeed()
        for task in self.tasks[block]:
            port = self.port[task]
            heappush(self.ready[port], (self.kind[block] == BACKGROUND, self.position[task]))
            idle = self.idle[port]
            if idle is not None:
                idle.succeed()
                self.idle[port] = None

    def serving(self, port: int) -> Process:
        """Serve the tasks of a port, one at a time."""
        env, ready = self.env, self.ready[port]
        while True:
            if not ready:
                idle = self.idle[port] = env.event()
                yield idle
            yield _EndOfInstant(env)
            task = self.order[heappop(ready)[1]]
            yield env.timeout(self.duration[task])
            block = self.block[task]
            self.unserved_tasks[block] -= 1
            if not self.unserved_tasks[block]:
                self.served[block].succeed()


class _EndOfInstant(Event):
    """Event that happens now, but after all other events of this instant."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, LAST)  # type: ignore[arg-type]  # simpy declares only its own priorities


def _group(keys: Ints, values: Ints, count: int) -> list[list[int]]:
    """Group values by key; `count` is the number of keys."""
    order = np.argsort(keys, kind="stable")
    ends = np.cumsum(np.bincount(keys, minlength=count))[:-1]
    return [part.tolist() for part in np.split(values[order], ends)]
