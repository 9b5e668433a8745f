"""Timing a task graph: the orders, the bounds, and the times that come of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from polylat.schedule.graph import Ints, TaskGraph, Times, starts_of

__all__ = ["ORDERS", "Order", "Plan", "Timing", "plan", "service_order"]

Order = Literal["program", "skew", "oldest"]
ORDERS: tuple[Order, ...] = ("program", "skew", "oldest")


@dataclass(frozen=True, eq=False)
class Timing:
    """A schedule of a task graph: the earliest time of everything, given an order.

    Parameters
    ----------
    order
        Which order the ports serve in; None where nothing waits for a port.
    begin, finish
        Per tile iteration: when it may start, and when it has finished.
    block_finish
        Per block: when it has finished.
    fill_begin
        Per block: when a prefetched fill may start (0 for other blocks).
    task_begin
        Per task: when its port begins to serve it.
    waiting
        Per event (start, task, block, finish; see `kernels.simulate`) what it still waits for.
    undone
        Number of things that the order never lets happen; the times mean nothing unless it is 0.
    """

    order: Order | None
    begin: Times
    finish: Times
    block_finish: Times
    fill_begin: Times
    task_begin: Times
    waiting: Ints
    undone: int

    @property
    def legal(self) -> bool:
        """Whether the order agrees with the dependences."""
        return self.undone == 0

    @cached_property
    def makespan(self) -> int:
        """The last finish."""
        return max(int(self.finish.max(initial=0)), int(self.block_finish.max(initial=0)))


@dataclass(frozen=True, eq=False)
class Plan:
    """A task graph, indexed for simulation."""

    graph: TaskGraph
    block_tasks: tuple[Ints, Ints]
    own_blocks: tuple[Ints, Ints]
    edges: tuple[Ints, Ints]

    def time(self, order: Order | None) -> Timing:
        """Earliest times under an order (None: nothing waits for a port)."""
        from polylat.schedule import kernels

        graph = self.graph
        exact = graph.task_duration.dtype == object
        dtype: Any = object if exact else np.int64
        begin, finish = _zeros(graph.iterations, dtype), _zeros(graph.iterations, dtype)
        block_finish, fill_begin = _zeros(graph.blocks, dtype), _zeros(graph.blocks, dtype)
        task_begin = _zeros(graph.tasks, dtype)
        owner, kind, *indices = self._indices
        wait = np.zeros(2 * (graph.iterations + graph.blocks) + graph.tasks, dtype=owner.dtype)
        tasks, start = self._order(order)
        run = kernels.simulate.py_func if exact else kernels.simulate
        undone = run(
            {"program": 0, "skew": 0, "oldest": 1, None: 2}[order],
            graph.leaf_starts,
            owner,
            kind,
            *indices,
            graph.task_duration,
            tasks,
            start,
            begin,
            finish,
            block_finish,
            fill_begin,
            task_begin,
            wait,
        )
        return Timing(order, begin, finish, block_finish, fill_begin, task_begin, wait, int(undone))

    def time_all(self) -> dict[Order, Timing]:
        """Earliest times under every order; what dates the same is timed once."""
        program, oldest = self.time("program"), self.time("oldest")
        same = self._skew is self._program
        skew = replace(program, order="skew") if same else self.time("skew")
        return {"program": program, "skew": skew, "oldest": oldest}

    @cached_property
    def _indices(self) -> tuple[Ints, ...]:
        """What the kernel reads besides times, in 32 bits where these do: half the traffic."""
        graph = self.graph
        events = 2 * (graph.iterations + graph.blocks) + graph.tasks
        fits = max(2 * events, len(graph.edge_source)) < 1 << 31
        dtype: Any = np.int32 if fits else np.int64
        return tuple(
            array.astype(dtype, copy=False)
            for array in (
                graph.owner,
                graph.kind,
                *self.block_tasks,
                *self.own_blocks,
                *self.edges,
                graph.edge_target,
                graph.task_block,
                graph.task_port,
            )
        )

    def _order(self, order: Order | None) -> tuple[Ints, Ints]:
        return self._program if order in ("program", None) else self._skew

    @cached_property
    def _program(self) -> tuple[Ints, Ints]:
        return self._narrowed(skewed=False)

    @cached_property
    def _skew(self) -> tuple[Ints, Ints]:
        if np.array_equal(self.graph.dates.program, self.graph.dates.skew):
            return self._program
        return self._narrowed(skewed=True)

    def _narrowed(self, *, skewed: bool) -> tuple[Ints, Ints]:
        tasks, start = self.graph.port_order(skewed=skewed)
        return tasks.astype(self._indices[0].dtype, copy=False), start


def plan(graph: TaskGraph) -> Plan:
    """Index a task graph for simulation."""
    from polylat.schedule import kernels

    tasks = kernels.by_key(graph.task_block, graph.blocks)
    start, other = kernels.by_key(graph.owner[graph.iterations :], graph.iterations)
    edges = kernels.by_key(graph.edge_source, graph.blocks)
    return Plan(graph, tasks, (start, other + graph.iterations), edges)


def service_order(graph: TaskGraph, timing: Timing) -> tuple[Ints, Ints]:
    """Tasks in the order in which ports serve them, port by port, and where each port's begin."""
    # No two tasks of a port begin together: each takes some time.
    tasks = np.lexsort((timing.task_begin, graph.task_port))
    return tasks, starts_of(graph.task_port, graph.ports)


def _zeros(size: int, dtype: Any) -> Times:
    return np.full(size, 0, dtype=dtype)
