"""Compiled loops that time the variants of one graph, and find the peaks of their memories."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Times
from polylat.schedule.compilation import compiled
from polylat.schedule.list_scheduling import list_schedule, settle

__all__ = ["GraphArrays", "time_variants"]

_NEVER = 1 << 62


class GraphArrays(NamedTuple):
    """A `VariantGraph` as arrays. Events are numbered as in `polylat.schedule.events`.

    Parameters
    ----------
    iterations
        Number of tile iterations.
    out_start, out, lag, condition
        The precedences by source: where those of each event begin; the events that wait for it;
        how long after it these happen at the earliest, empty if at once; and the condition of each
        precedence, -1 if it belongs to every variant.
    limited_source, limited_target, limited_condition
        The precedences that depend on slot counts.
    conditions
        Shape (conditions, 3): `VariantGraph.conditions`.
    slot_counts
        The slot counts that a holder may have; 0: unlimited.
    idle_blocks
        Whether some blocks take no time.
    latency
        Shape (blocks,): as in `polylat.schedule.graph.TaskGraph`.
    task_block, task_duration, task_component
        Shape (tasks,): the block of each task, its duration and component.
    tile_bits, tile_from_start, tile_to_end, tile_before, tile_component
        Shape (tiles,): as in `HeldTiles`; the component that holds each tile.
    access_tile, access_block
        As in `HeldTiles`.
    components
        Number of components.
    """

    iterations: int
    out_start: Ints
    out: Ints
    lag: Times
    condition: Ints
    limited_source: Ints
    limited_target: Ints
    limited_condition: Ints
    conditions: Ints
    slot_counts: Ints
    idle_blocks: bool
    latency: Times
    task_block: Ints
    task_duration: Times
    task_component: Ints
    tile_bits: Ints
    tile_from_start: Mask
    tile_to_end: Mask
    tile_before: Ints
    tile_component: Ints
    access_tile: Ints
    access_block: Ints
    components: int


@compiled
def time_variants(
    graph: GraphArrays,
    sequential: Any,
    task_port: Any,
    order_start: Any,
    orders: Any,
    tile_memory: Any,
    memories: int,
    bound: int,
    modes: Any,
    peaks: bool,
    slots: Any,
) -> Any:
    """Time variants, and find the peak of each memory.

    Parameters
    ----------
    graph
        The graph of all variants.
    sequential
        Shape (splits,): whether each split is Sequential.
    task_port
        Shape (tasks,): the port of each task.
    order_start
        Shape (ports + 1,): where the tasks of each port begin in a row of `orders`.
    orders
        Shape (3, tasks): the tasks by port, then in program order; by skewed date; and by
        preference of the order "oldest".
    tile_memory, memories
        Shape (tiles, n): the memories that hold each tile, then -1; the number of memories.
    bound
        A lower bound on all makespans in steps: where it is reached, no other order is tried.
    modes
        Orders to try, as rows of `orders`; -1: no task waits for a port.
    peaks
        Whether peaks and kept slot counts are wanted.
    slots
        Shape (n, holders): the slot count of each holder; 0: unlimited.

    Returns
    -------
    (makespans, best, most, fits)
        Shape (n,): the least makespan in steps, -1 if there is none; shape (n,): the mode that it
        is of, as an index into `modes`, the first one of several; shape (n, memories): the peaks
        of that schedule; shape (n, holders, slot counts): whether every schedule that was tried
        keeps to that slot count of that holder, whether it is enforced or not.

    Notes
    -----
    A schedule that satisfies additional precedences is also the schedule under these precedences:
    all times are the earliest possible, and at each instant a port chooses among the same blocks.
    The exception is an event at the very instant of its additional predecessor: it might be on a
    cycle of events that take no time, which contains a block that takes none, if there are such
    blocks. Then the slot count does not count as kept.
    """
    count = len(slots)
    n = graph.iterations
    blocks = len(graph.latency)
    tasks = len(graph.task_block)
    events = len(graph.out_start) - 1
    makespans = np.full(count, -1, np.int64)
    fits = np.ones((count, slots.shape[1], len(graph.slot_counts)), np.bool_)
    best = np.zeros(count, np.int64)
    most = np.zeros((count, memories if peaks else 0), np.int64)
    # One more than there are conditions: -1 is the last one, which always holds.
    possible = np.ones(len(graph.conditions) + 1, np.bool_)
    active = np.ones(len(graph.conditions) + 1, np.bool_)
    out_start = np.empty(events + 1, np.int32)
    out = np.empty(len(graph.out), np.int32)
    lag = np.empty(len(graph.lag), np.int64)
    late = len(lag) > 0
    waiting = np.empty(events, np.int32)
    wait = np.empty(events, np.int32)
    values = np.empty(events, np.int64)
    best_values = np.empty(events, np.int64)
    following = np.empty(tasks, np.int32)
    place = np.empty(tasks, np.int32)
    stack = np.empty(events, np.int32)
    for v in range(count):
        # The precedences of the variant are those whose conditions hold: active ones. Possible ones
        # may belong to another slot count; by these `fits` is found.
        for g in range(len(graph.conditions)):
            split, holder, which = graph.conditions[g]
            possible[g] = split < 0 or sequential[split]
            active[g] = possible[g]
            active[g] &= holder < 0 or slots[v, holder] == graph.slot_counts[which]
        chosen = 0
        waiting[:] = 0
        for event in range(events):
            out_start[event] = chosen
            for k in range(graph.out_start[event], graph.out_start[event + 1]):
                if active[graph.condition[k]]:
                    out[chosen] = graph.out[k]
                    if late:
                        lag[chosen] = graph.lag[k]
                    waiting[graph.out[k]] += 1
                    chosen += 1
        out_start[events] = chosen
        least = -1
        for m in range(len(modes)):
            mode = modes[m]
            wait[:] = waiting
            values[:] = 0
            if mode == 2:
                for k in range(tasks):
                    place[orders[2, k]] = k
                undone = list_schedule(
                    out_start,
                    out[:chosen],
                    lag[: chosen if late else 0],
                    blocks,
                    task_port,
                    graph.task_duration,
                    orders[2],
                    order_start,
                    place,
                    values,
                    wait,
                    stack,
                )
            else:
                following[:] = -1
                if mode >= 0:
                    for q in range(len(order_start) - 1):
                        for k in range(order_start[q] + 1, order_start[q + 1]):
                            following[orders[mode, k - 1]] = orders[mode, k]
                            wait[blocks + orders[mode, k]] += 1
                undone = settle(
                    out_start,
                    out[:chosen],
                    lag[: chosen if late else 0],
                    blocks,
                    graph.task_duration,
                    following,
                    values,
                    wait,
                    stack,
                )
            if undone > 0:
                continue
            if peaks:
                for k in range(len(graph.limited_source)):
                    g = graph.limited_condition[k]
                    _, holder, which = graph.conditions[g]
                    if possible[g] and fits[v, holder, which]:
                        free = values[graph.limited_source[k]]
                        taken = values[graph.limited_target[k]]
                        if free > taken or (graph.idle_blocks and free == taken):
                            fits[v, holder, which] = False
            makespan = 0
            for event in range(2 * blocks + tasks, events):
                makespan = max(makespan, values[event])
            for block in range(n, blocks):
                makespan = max(makespan, values[blocks + tasks + block] + graph.latency[block])
            if least < 0 or makespan < least:
                least = makespan
                best[v] = m
                best_values, values = values, best_values
            if least == bound:
                break
        makespans[v] = least
        if peaks and least >= 0:
            _peaks(most[v], graph, tile_memory, least, best_values)
    return makespans, best, most, fits


@compiled
def _peaks(most: Any, graph: GraphArrays, tile_memory: Any, makespan: int, values: Any) -> None:
    """Find the most bits that are resident in each memory, as `polylat.analysis.occupancy` does."""
    blocks = len(graph.latency)
    tasks = len(graph.task_block)
    tiles = len(graph.tile_bits)
    # The span in which a component serves a block; an access without duration happens when the
    # last port of its block begins, and lasts until the block has passed.
    ready = values[:blocks].copy()
    passed = values[:blocks].copy()
    first = np.full((graph.components, blocks), _NEVER, np.int64)
    last = np.zeros((graph.components, blocks), np.int64)
    for task in range(tasks):
        block, c = graph.task_block[task], graph.task_component[task]
        end = values[blocks + task]
        begin = end - graph.task_duration[task]
        ready[block] = max(ready[block], begin)
        passed[block] = max(passed[block], end)
        first[c, block] = min(first[c, block], begin)
        last[c, block] = max(last[c, block], end)
    for block in range(blocks):
        passed[block] += graph.latency[block]
    start = np.full(tiles, makespan, np.int64)
    end_of = np.zeros(tiles, np.int64)
    for t in range(len(graph.access_tile)):
        block, tile = graph.access_block[t], graph.access_tile[t]
        c = graph.tile_component[tile]
        served = first[c, block] < _NEVER
        from_time = first[c, block] if served else ready[block]
        to_time = last[c, block] if served else passed[block]
        start[tile] = min(start[tile], from_time)
        end_of[tile] = max(end_of[tile], to_time)
    for tile in range(tiles):
        if graph.tile_from_start[tile]:
            start[tile] = 0
        if graph.tile_to_end[tile]:
            end_of[tile] = makespan
    for tile in range(tiles):
        if graph.tile_before[tile] >= 0:
            start[tile] = max(start[tile], end_of[graph.tile_before[tile]])
    for tile in range(tiles):
        if end_of[tile] <= start[tile]:
            # Never resident.
            start[tile] = _NEVER
            end_of[tile] = _NEVER
    by_start = np.argsort(start, kind="mergesort")
    by_end = np.argsort(end_of, kind="mergesort")
    level = np.zeros(len(most), np.int64)
    ended = 0
    for k in range(tiles):
        tile = by_start[k]
        if start[tile] == _NEVER:
            break
        while end_of[by_end[ended]] <= start[tile]:
            for memory in tile_memory[by_end[ended]]:
                if memory >= 0:
                    level[memory] -= graph.tile_bits[by_end[ended]]
            ended += 1
        for memory in tile_memory[tile]:
            if memory >= 0:
                level[memory] += graph.tile_bits[tile]
                most[memory] = max(most[memory], level[memory])
