"""Simulation of explicit task graphs, in which every tile iteration is sampled.

Under a static order the simulation settles each event once all that it waits for is settled: a
longest path in topological order (Kahn 1962). The order "oldest" is list scheduling (Graham 1966):
time advances from one end of a task to the next, and idle ports choose among the ready tasks.

The compiled loop also runs uncompiled (``.py_func``), on Python integers, where times do not fit
64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Times, compiled, group_by_key
from polylat.schedule.graph import TaskGraph
from polylat.schedule.timing import Order, TaskSchedule

__all__ = ["ExplicitTaskGraph", "explicit_task_graph", "simulate"]


@compiled
def _push(heap: Any, base: int, size: int, key: int) -> None:
    """Push a key onto the binary heap in heap[base : base + size]."""
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if heap[base + up] <= key:
            break
        heap[base + at] = heap[base + up]
        at = up
    heap[base + at] = key


@compiled
def _pop(heap: Any, base: int, size: int) -> int:
    """Pop the least key of the binary heap in heap[base : base + size]."""
    least = heap[base]
    key = heap[base + size - 1]
    last = size - 1
    at = 0
    while True:
        down = 2 * at + 1
        if down >= last:
            break
        if down + 1 < last and heap[base + down + 1] < heap[base + down]:
            down += 1
        if heap[base + down] >= key:
            break
        heap[base + at] = heap[base + down]
        at = down
    heap[base + at] = key
    return int(least)


@compiled
def simulate(
    mode: int,
    leaf_starts: Any,
    owner: Any,
    kind: Any,
    block_tasks_start: Any,
    block_tasks: Any,
    own_start: Any,
    own: Any,
    edges_start: Any,
    edges: Any,
    edge_target: Any,
    task_block: Any,
    task_port: Any,
    task_duration: Any,
    order: Any,
    order_start: Any,
    begin: Any,
    finish: Any,
    block_finish: Any,
    fill_begin: Any,
    task_begin: Any,
    wait: Any,
) -> int:
    """Compute the earliest (ASAP) times of all events, in place.

    Parameters
    ----------
    mode
        0: ports serve in the given order; 1: an idle port takes the first ready task in the given
        order, those of background blocks last; 2: ports serve any number of tasks at once.
    leaf_starts, owner, kind
        As in `TaskGraph`.
    block_tasks_start, block_tasks
        The tasks by block, as `arrays.by_key` returns them.
    own_start, own
        The blocks other than foreground blocks, by tile iteration.
    edges_start, edges
        The edges by source.
    edge_target, task_block, task_port, task_duration
        As in `TaskGraph`.
    order, order_start
        Shape (tasks,): the tasks by port, each port's in its order; shape (ports + 1,): where
        those of each port begin.
    begin, finish
        Results, shape (iterations,), all 0 on entry: when each tile iteration starts, and when it
        has finished.
    block_finish, fill_begin
        Results, shape (blocks,), all 0 on entry: when each block has finished; when each fill may
        start.
    task_begin
        Result, shape (tasks,), all 0 on entry: when each task begins.
    wait
        Result, shape (events,), all 0 on entry: the number of unmet precedences of each event.

    Returns
    -------
    int
        Number of events that never happen: 0 unless the order contradicts the dependences.

    Notes
    -----
    Every event counts its unmet precedences. At 0 it is settled, at the latest of the times that
    it waited for, and pushed onto a stack, from which it settles its successors.
    """
    n = len(leaf_starts)
    blocks = len(owner)
    tasks = len(task_block)
    ports = len(order_start) - 1
    # Events are numbered as in `EventNumbering`. Start of tile iteration i: i; start of fill b: b;
    # end of task x: blocks + x; finish of block b: blocks + tasks + b; finish of tile iteration i:
    # 2 * blocks + tasks + i.
    task0 = blocks
    block0 = blocks + tasks
    finish0 = 2 * blocks + tasks
    for i in range(n):
        if not leaf_starts[i]:
            wait[i] += 1
            wait[finish0 + i] += 1
        wait[finish0 + i] += 1
        for k in range(own_start[i], own_start[i + 1]):
            if kind[own[k]] == 0:
                wait[i] += 1
                wait[finish0 + i] += 1
    for e in range(len(edge_target)):
        target = edge_target[e]
        if target < blocks:
            wait[target] += 1
        else:
            wait[finish0 + target - blocks] += 1
    for b in range(blocks):
        wait[block0 + b] = block_tasks_start[b + 1] - block_tasks_start[b]
    for x in range(tasks):
        wait[task0 + x] = 1
    follower = np.full(tasks, -1, wait.dtype)
    place = np.zeros(tasks, wait.dtype)
    for q in range(ports):
        for k in range(order_start[q], order_start[q + 1]):
            place[order[k]] = k
            if mode == 0 and k + 1 < order_start[q + 1]:
                follower[order[k]] = order[k + 1]
                wait[task0 + order[k + 1]] += 1
    heap = np.empty(tasks if mode == 1 else 0, wait.dtype)
    size = np.zeros(ports, np.int64)
    running = np.full(ports, -1, np.int64)
    stack = np.empty(finish0 + n, wait.dtype)
    top = 0
    for i in range(n):
        if wait[i] == 0:
            stack[top] = i
            top += 1
    for b in range(n, blocks):
        if kind[b] == 0 and wait[b] == 0:
            stack[top] = b
            top += 1
    settled = 0
    clock = task_duration[0] * 0 if tasks else 0
    while True:
        while top > 0:
            top -= 1
            event = stack[top]
            settled += 1
            if event < blocks:
                # A tile iteration or a fill starts.
                is_fill = event >= n
                now = fill_begin[event] if is_fill else begin[event]
                if is_fill:
                    i = owner[event]
                    if now > begin[i]:
                        begin[i] = now
                    wait[i] -= 1
                    if wait[i] == 0:
                        stack[top] = i
                        top += 1
                else:
                    i = event + 1
                    if i < n and not leaf_starts[i]:
                        if now > begin[i]:
                            begin[i] = now
                        wait[i] -= 1
                        if wait[i] == 0:
                            stack[top] = i
                            top += 1
                # Its blocks: the fill itself, or the foreground block and the write-backs.
                k = own_start[event] if not is_fill else 0
                b = event
                while b >= 0:
                    if block_tasks_start[b] == block_tasks_start[b + 1]:
                        block_finish[b] = now
                        stack[top] = block0 + b
                        top += 1
                    for t in range(block_tasks_start[b], block_tasks_start[b + 1]):
                        x = block_tasks[t]
                        if now > task_begin[x]:
                            task_begin[x] = now
                        wait[task0 + x] -= 1
                        if wait[task0 + x] == 0:
                            if mode == 1:
                                q = task_port[x]
                                key = place[x] if kind[b] != 2 else place[x] + tasks
                                _push(heap, order_start[q], size[q], key)
                                size[q] += 1
                            else:
                                stack[top] = task0 + x
                                top += 1
                    b = -1
                    if not is_fill:
                        while k < own_start[event + 1]:
                            if kind[own[k]] == 2:
                                b = own[k]
                                k += 1
                                break
                            k += 1
            elif event < block0:
                # A task ends.
                x = event - task0
                end = task_begin[x] + task_duration[x]
                b = task_block[x]
                if end > block_finish[b]:
                    block_finish[b] = end
                wait[block0 + b] -= 1
                if wait[block0 + b] == 0:
                    stack[top] = block0 + b
                    top += 1
                x = follower[x]
                if x >= 0:
                    if end > task_begin[x]:
                        task_begin[x] = end
                    wait[task0 + x] -= 1
                    if wait[task0 + x] == 0:
                        stack[top] = task0 + x
                        top += 1
            else:
                # A block or a tile iteration finishes.
                if event < finish0:
                    source = event - block0
                    now = block_finish[source]
                    if kind[source] != 2:
                        i = owner[source]
                        if now > finish[i]:
                            finish[i] = now
                        wait[finish0 + i] -= 1
                        if wait[finish0 + i] == 0:
                            stack[top] = finish0 + i
                            top += 1
                    if source < n:
                        continue
                else:
                    source = event - finish0
                    now = finish[source]
                    i = source + 1
                    if i < n and not leaf_starts[i]:
                        if now > finish[i]:
                            finish[i] = now
                        wait[finish0 + i] -= 1
                        if wait[finish0 + i] == 0:
                            stack[top] = finish0 + i
                            top += 1
                for k in range(edges_start[source], edges_start[source + 1]):
                    target = edge_target[edges[k]]
                    if target < n:
                        if now > begin[target]:
                            begin[target] = now
                    elif target < blocks:
                        if now > fill_begin[target]:
                            fill_begin[target] = now
                    else:
                        i = target - blocks
                        if now > finish[i]:
                            finish[i] = now
                        target = finish0 + i
                    wait[target] -= 1
                    if wait[target] == 0:
                        stack[top] = target
                        top += 1
        if mode != 1:
            break
        # Every event at this instant is settled: idle ports choose, then the clock advances.
        busy = False
        soonest = clock
        for q in range(ports):
            if running[q] < 0 and size[q] > 0:
                key = _pop(heap, order_start[q], size[q])
                size[q] -= 1
                running[q] = order[key - tasks if key >= tasks else key]
                task_begin[running[q]] = clock
            if running[q] >= 0:
                end = task_begin[running[q]] + task_duration[running[q]]
                if not busy or end < soonest:
                    soonest = end
                busy = True
        if not busy:
            break
        clock = soonest
        for q in range(ports):
            x = running[q]
            if x >= 0 and task_begin[x] + task_duration[x] == clock:
                running[q] = -1
                stack[top] = task0 + x
                top += 1
    fills = 0
    for b in range(n, blocks):
        if kind[b] == 0:
            fills += 1
    return int(n + fills + tasks + blocks + n - settled)


@dataclass(frozen=True, eq=False)
class ExplicitTaskGraph:
    """An explicit task graph, indexed for simulation.

    Parameters
    ----------
    graph
        The task graph.
    block_tasks, own_blocks, edges
        Tasks by block, blocks other than foreground blocks by tile iteration, and edges by
        source, as `arrays.by_key` returns them.
    """

    graph: TaskGraph
    block_tasks: tuple[Ints, Ints]
    own_blocks: tuple[Ints, Ints]
    edges: tuple[Ints, Ints]

    def time(self, order: Order | None) -> TaskSchedule:
        """Return the earliest (ASAP) schedule under an order of service.

        Parameters
        ----------
        order
            The order; None lets ports serve any number of tasks at once.

        Returns
        -------
        TaskSchedule
            The schedule; check `TaskSchedule.legal`.
        """
        graph = self.graph
        exact = graph.task_duration.dtype == object
        dtype: Any = object if exact else np.int64
        begin, finish = _zeros(graph.iterations, dtype), _zeros(graph.iterations, dtype)
        block_finish, fill_begin = _zeros(graph.blocks, dtype), _zeros(graph.blocks, dtype)
        task_begin = _zeros(graph.tasks, dtype)
        owner, kind, *indices = self._indices
        wait = np.zeros(2 * (graph.iterations + graph.blocks) + graph.tasks, dtype=owner.dtype)
        tasks, start = self._order(order)
        run = simulate.py_func if exact else simulate
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
        return TaskSchedule(
            order, begin, finish, block_finish, fill_begin, task_begin, wait, int(undone)
        )

    def time_all(self) -> dict[Order, TaskSchedule]:
        """Return the earliest (ASAP) schedule under every order.

        Returns
        -------
        dict of str to TaskSchedule
            The schedules by order. "skew" is not simulated again where its dates are those of
            "program".
        """
        program, oldest = self.time("program"), self.time("oldest")
        same = self._skew is self._program
        skew = replace(program, order="skew") if same else self.time("skew")
        return {"program": program, "skew": skew, "oldest": oldest}

    @cached_property
    def _indices(self) -> tuple[Ints, ...]:
        """The integer arguments of `simulate`, in 32 bits where they fit: half the traffic."""
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


def explicit_task_graph(graph: TaskGraph) -> ExplicitTaskGraph:
    """Index an explicit task graph for simulation.

    Parameters
    ----------
    graph
        The task graph.

    Returns
    -------
    ExplicitTaskGraph
        The indexed graph.
    """
    tasks = group_by_key(graph.task_block, graph.blocks)
    start, other = group_by_key(graph.owner[graph.iterations :], graph.iterations)
    edges = group_by_key(graph.edge_source, graph.blocks)
    return ExplicitTaskGraph(graph, tasks, (start, other + graph.iterations), edges)


def _zeros(size: int, dtype: Any) -> Times:
    return np.full(size, 0, dtype=dtype)
