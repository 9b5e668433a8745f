"""Discrete-event simulation of the order "oldest" with simpy.

Each leaf has one process that starts its tile iterations in order and one that finishes them; every
separate transfer and every port is a process; every condition to wait for is an event. Waiting for
an event that has already happened is free. An idle port serves the first of its tasks that may
start; it chooses after all other events of the instant.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from heapq import heappop, heappush
from typing import Any

import numpy as np
import simpy
from simpy.events import Event

from polylat.schedule.arrays import Ints
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.reasons import PASSED, STARTED
from polylat.schedule.stalls import stall_precedences

__all__ = ["by_polylat", "by_simpy"]

FILL, FOREGROUND, WRITE_BACK = range(3)
LAST = 2
"""Priority of the last events of an instant; simpy's own are 0 (urgent) and 1 (normal)."""

Process = Generator[Event, Any, None]


def by_simpy(graph: TaskGraph) -> int:
    """Simulate a task graph with simpy; return the makespan."""
    return _Simulation(graph).run()


def by_polylat(graph: TaskGraph) -> int:
    """Build polylat's index, sort the tasks by date, and compute the makespan."""
    return ExplicitTaskGraph(graph).time("oldest").makespan


class _Simulation:
    def __init__(self, graph: TaskGraph) -> None:
        n, blocks = graph.iterations, graph.blocks
        self.n = n
        self.env = simpy.Environment()
        self.owner: list[int] = graph.owner.tolist()
        self.background: list[bool] = graph.background.tolist()
        self.latency: list[int] = graph.latency.tolist()
        self.port: list[int] = graph.task_port.tolist()
        self.block: list[int] = graph.task_block.tolist()
        self.duration: list[int] = graph.task_duration.tolist()
        self.tasks = _group(graph.task_block, np.arange(graph.tasks), blocks)
        # An edge delays the start of a tile iteration or of a separate transfer.
        self.edges = _group(graph.edge_target, np.arange(len(graph.edge_target)), blocks)
        self.edge_source: list[int] = graph.edge_source.tolist()
        self.edge_until: list[int] = graph.edge_until.tolist()
        started, held, lag = stall_precedences(graph)
        self.stalls = _group(held, np.arange(len(held)), n)
        self.stall_source: list[int] = started.tolist()
        self.stall_lag: list[int] = lag.tolist()
        kind: list[int] = graph.kind.tolist()
        self.fills: dict[int, list[int]] = {}
        for block in range(n, blocks):
            if kind[block] == FILL:
                self.fills.setdefault(self.owner[block], []).append(block)
        self.unserved_tasks = [len(tasks) for tasks in self.tasks]
        event = self.env.event
        watched = graph.edge_source[graph.edge_until == STARTED].tolist() + self.stall_source
        self.started = {block: event() for block in watched}
        self.served = [event() for _ in range(blocks)]
        self.passed = [
            event() if late else served
            for late, served in zip(self.latency, self.served, strict=True)
        ]
        self.finished = [event() for _ in range(n)]
        # Whether a tile iteration and all earlier ones of its leaf have been served.
        self.all_served = [event() for _ in range(n)] if graph.late else self.finished
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
            if graph.late:
                self.env.process(self.counting_served(range(first, end)))
        for block in range(n, blocks):
            self.env.process(self.transferring(block, after=kind[block] == WRITE_BACK))
        for port in range(graph.ports):
            self.env.process(self.serving(port))

    def run(self) -> int:
        """Run the simulation; return the time of the last event."""
        self.env.run()
        assert all(event.processed for event in (*self.finished, *self.passed)), (
            "deadlock: a tile iteration never finishes"
        )
        return int(self.env.now)

    def awaited(self, edge: int) -> Event:
        """Return the event at an edge's source."""
        source, until = self.edge_source[edge], self.edge_until[edge]
        if until == STARTED:
            return self.started[source]
        if source < self.n:
            return (self.finished if until == PASSED else self.all_served)[source]
        return (self.passed if until == PASSED else self.served)[source]

    def starting(self, iterations: Iterable[int]) -> Process:
        """Start the tile iterations of a leaf in order."""
        for i in iterations:
            for block in self.fills.get(i, ()):
                yield self.passed[block]
            for edge in self.edges[i]:
                yield self.awaited(edge)
            self.start(i)

    def finishing(self, iterations: Iterable[int]) -> Process:
        """Finish the tile iterations of a leaf in order."""
        env = self.env
        for i in iterations:
            yield self.passed[i]
            for stall in self.stalls[i]:
                started = yield self.started[self.stall_source[stall]]
                rest = started + self.stall_lag[stall] - env.now
                if rest > 0:
                    yield env.timeout(rest)
            self.finished[i].succeed()

    def counting_served(self, iterations: Iterable[int]) -> Process:
        """Note up to which tile iteration of a leaf all have been served."""
        for i in iterations:
            yield self.served[i]
            self.all_served[i].succeed()

    def transferring(self, block: int, *, after: bool) -> Process:
        """Start a separate transfer: a write-back after its tile iteration has finished."""
        if after:
            yield self.finished[self.owner[block]]
        for edge in self.edges[block]:
            yield self.awaited(edge)
        self.start(block)

    def start(self, block: int) -> None:
        """Make a block's tasks ready on their ports."""
        if block in self.started:
            self.started[block].succeed(self.env.now)
        if not self.tasks[block]:
            self.serve(block)
        for task in self.tasks[block]:
            port = self.port[task]
            heappush(self.ready[port], (self.background[block], self.position[task]))
            idle = self.idle[port]
            if idle is not None:
                idle.succeed()
                self.idle[port] = None

    def serve(self, block: int) -> None:
        """Note that all tasks of a block have been served."""
        self.served[block].succeed()
        if self.latency[block]:
            self.env.process(self.passing(block))

    def passing(self, block: int) -> Process:
        """Let a block pass, its latency after it was served."""
        yield self.env.timeout(self.latency[block])
        self.passed[block].succeed()

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
                self.serve(block)


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
