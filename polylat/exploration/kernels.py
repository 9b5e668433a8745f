"""Compiled loops that time the variants of one graph, and find the peaks of their memories."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from polylat.schedule.arrays import Ints, Mask, compiled
from polylat.schedule.list_scheduling import simulate

__all__ = ["GraphArrays", "time_variants"]

_NEVER = 1 << 62


class GraphArrays(NamedTuple):
    """A `VariantGraph` as arrays.

    Parameters
    ----------
    leaf_starts, owner, kind
        As in `polylat.schedule.graph.TaskGraph`.
    write_back
        Shape (blocks,): the write-back that each block is, or -1.
    own_start, own
        The blocks other than foreground blocks, by tile iteration.
    edge_source, edge_target, edge_condition
        Shape (edges,): the edges, by source; the condition of each edge.
    conditions
        Shape (conditions, 4): `VariantGraph.conditions`.
    slot_counts
        The slot counts that a tensor may have; 0: unlimited.
    task_block, task_duration, task_component
        Shape (tasks,): the tasks by block, their durations and components.
    merged
        Shape (tasks,): `VariantGraph.merged`.
    tile_bits, tile_from_start, tile_to_end, tile_component
        Shape (tiles,): as in `HeldTiles`; the component that holds each tile.
    access_tile, access_block
        As in `HeldTiles`.
    components
        Number of components.
    """

    leaf_starts: Mask
    owner: Ints
    kind: Ints
    write_back: Ints
    own_start: Ints
    own: Ints
    edge_source: Ints
    edge_target: Ints
    edge_condition: Ints
    conditions: Ints
    slot_counts: Ints
    task_block: Ints
    task_duration: Ints
    task_component: Ints
    merged: Ints
    tile_bits: Ints
    tile_from_start: Mask
    tile_to_end: Mask
    tile_component: Ints
    access_tile: Ints
    access_block: Ints
    components: int


@compiled
def time_variants(
    graph: GraphArrays,
    sequential: Any,
    task_port: Any,
    ports: int,
    tile_memory: Any,
    memories: int,
    program_order: Any,
    skewed_order: Any,
    bound: int,
    modes: Any,
    peaks: bool,
    background: Any,
    slots: Any,
) -> Any:
    """Time variants by list scheduling, and find the peak of each memory.

    Parameters
    ----------
    graph
        The graph of all variants.
    sequential
        Shape (splits,): whether each split is Sequential.
    task_port, ports
        Shape (tasks,): the port of each task; the number of ports.
    tile_memory, memories
        Shape (tiles,): the memory that holds each tile; the number of memories.
    program_order, skewed_order
        Shape (tasks,): the tasks by port, then in program order, or by skewed date.
    bound
        A lower bound on all makespans in steps: where it is reached, no other order is tried.
    modes
        Orders to try: 0: program, 1: skew, 3: oldest; 2: no task waits for a port.
    peaks
        Whether peaks and kept slot counts are wanted.
    background
        Shape (n, write-backs): whether each write-back is in the background.
    slots
        Shape (n, tensors): the slot count of each tensor; 0: unlimited.

    Returns
    -------
    (makespans, best, most, fits)
        Shape (n,): the least makespan in steps, -1 if there is none; shape (n,): the mode that it
        is of, as an index into `modes`, the first one of several; shape (n, memories): the peaks
        of that schedule; shape (n, tensors, slot counts): whether every schedule that was tried
        keeps to that slot count of that tensor, whether it is enforced or not.

    Notes
    -----
    A schedule that satisfies additional precedences is also the schedule under these precedences:
    all times are the earliest possible, and at each instant a port chooses among the same blocks.
    The exception is an event that starts at the very instant at which its additional predecessor
    finishes: it might be on a cycle of blocks without duration, if there are such blocks. Then the
    slot count does not count as kept.
    """
    count = len(background)
    n = len(graph.leaf_starts)
    blocks = len(graph.owner)
    candidates = len(graph.task_block)
    edges = len(graph.edge_source)
    makespans = np.full(count, -1, np.int64)
    fits = np.ones((count, slots.shape[1], len(graph.slot_counts)), np.bool_)
    best = np.zeros(count, np.int64)
    most = np.zeros((count, memories if peaks else 0), np.int64)
    duration_of = np.empty(candidates, np.int64)
    number = np.empty(candidates, np.int32)
    order = np.empty(candidates, np.int32)
    order_start = np.empty(ports + 1, np.int32)
    edges_start = np.empty(blocks + 1, np.int32)
    target = np.empty(edges, np.int32)
    numbers = np.arange(max(candidates, edges)).astype(np.int32)
    possible = np.empty(len(graph.conditions), np.bool_)
    active = np.empty(len(graph.conditions), np.bool_)
    begin = np.empty(n, np.int64)
    finish = np.empty(n, np.int64)
    block_finish = np.empty(blocks, np.int64)
    fill_begin = np.empty(blocks, np.int64)
    all_task_begin = np.empty(candidates, np.int64)
    all_wait = np.empty(2 * (n + blocks) + candidates, np.int32)
    best_begin = np.empty(n, np.int64)
    best_block_finish = np.empty(blocks, np.int64)
    best_fill_begin = np.empty(blocks, np.int64)
    best_task_begin = np.empty(candidates, np.int64)
    for v in range(count):
        # The tasks of the variant are the candidates with a duration.
        for x in range(candidates):
            duration_of[x] = graph.task_duration[x]
        for x in range(candidates):
            if graph.merged[x] >= 0 and not background[v, graph.write_back[graph.task_block[x]]]:
                duration_of[graph.merged[x]] += duration_of[x]
                duration_of[x] = 0
        exists = np.flatnonzero(duration_of)
        number[exists] = numbers[: len(exists)]
        block_of, port_of = graph.task_block[exists], task_port[exists]
        duration = duration_of[exists]
        tasks = len(block_of)
        block_start = _starts(block_of, blocks)
        # The edges of the variant are those whose conditions hold: active ones. Possible ones may
        # belong to another slot count; by these `fits` is found.
        for g in range(len(graph.conditions)):
            split, write_back, tensor, which = graph.conditions[g]
            possible[g] = split < 0 or sequential[split]
            possible[g] &= write_back < 0 or background[v, write_back]
            active[g] = possible[g]
            active[g] &= tensor < 0 or slots[v, tensor] == graph.slot_counts[which]
        chosen = 0
        edges_start[:] = 0
        for e in range(edges):
            if active[graph.edge_condition[e]]:
                edges_start[graph.edge_source[e] + 1] += 1
                target[chosen] = graph.edge_target[e]
                chosen += 1
        for b in range(blocks):
            edges_start[b + 1] += edges_start[b]
        has_empty_block = False
        for b in range(blocks):
            if block_start[b] == block_start[b + 1]:
                write_back = graph.write_back[b]
                if write_back < 0 or background[v, write_back]:
                    has_empty_block = True
        task_begin = all_task_begin[:tasks]
        wait = all_wait[: 2 * (n + blocks) + tasks]
        least = -1
        last_dates = -1
        for m in range(len(modes)):
            mode = modes[m]
            dates = 1 if mode in (1, 3) else 0
            if dates != last_dates:
                by_port = skewed_order if dates == 1 else program_order
                order_start[:] = 0
                served = 0
                for x in by_port:
                    if duration_of[x] > 0:
                        order[served] = number[x]
                        order_start[task_port[x] + 1] += 1
                        served += 1
                for q in range(ports):
                    order_start[q + 1] += order_start[q]
                last_dates = dates
            begin[:] = 0
            finish[:] = 0
            block_finish[:] = 0
            fill_begin[:] = 0
            task_begin[:] = 0
            wait[:] = 0
            unreached = simulate(
                1 if mode == 3 else 2 if mode == 2 else 0,
                graph.leaf_starts,
                graph.owner,
                graph.kind,
                block_start,
                numbers[:tasks],
                graph.own_start,
                graph.own,
                edges_start,
                numbers[:chosen],
                target[:chosen],
                block_of,
                port_of,
                duration,
                order[:tasks],
                order_start,
                begin,
                finish,
                block_finish,
                fill_begin,
                task_begin,
                wait,
            )
            if unreached > 0:
                continue
            if peaks:
                for e in range(edges):
                    g = graph.edge_condition[e]
                    _, _, tensor, which = graph.conditions[g]
                    if tensor < 0 or not possible[g] or not fits[v, tensor, which]:
                        continue
                    source, waiting = graph.edge_source[e], graph.edge_target[e]
                    ends = finish[source] if source < n else block_finish[source]
                    if waiting < n:
                        waits = begin[waiting]
                    elif waiting < blocks:
                        waits = fill_begin[waiting]
                    else:
                        waits = finish[waiting - blocks]
                    if ends > waits or (has_empty_block and ends == waits):
                        fits[v, tensor, which] = False
            makespan = 0
            for i in range(n):
                if finish[i] > makespan:
                    makespan = finish[i]
            for b in range(blocks):
                if block_finish[b] > makespan:
                    makespan = block_finish[b]
            if least < 0 or makespan < least:
                least = makespan
                best[v] = m
                if peaks:
                    best_begin[:] = begin
                    best_block_finish[:] = block_finish
                    best_fill_begin[:] = fill_begin
                    best_task_begin[:tasks] = task_begin
            if least == bound:
                break
        makespans[v] = least
        if peaks and least >= 0:
            _peaks(
                most[v],
                graph,
                tile_memory,
                background[v],
                least,
                block_of,
                graph.task_component[exists],
                duration,
                best_begin,
                best_block_finish,
                best_fill_begin,
                best_task_begin[:tasks],
            )
    return makespans, best, most, fits


@compiled
def _starts(keys: Any, count: int) -> Any:
    """Return where the entries of each key begin in increasing keys."""
    start = np.zeros(count + 1, np.int32)
    for key in keys:
        start[key + 1] += 1
    for key in range(count):
        start[key + 1] += start[key]
    return start


@compiled
def _peaks(
    most: Any,
    graph: GraphArrays,
    tile_memory: Any,
    background: Any,
    makespan: int,
    task_block: Any,
    task_component: Any,
    duration: Any,
    begin: Any,
    block_finish: Any,
    fill_begin: Any,
    task_begin: Any,
) -> None:
    """Find the most bits that are resident in each memory, as `polylat.analysis.occupancy` does."""
    blocks = len(graph.owner)
    tiles = len(graph.tile_bits)
    # The span in which a component serves a block; an access without duration happens when the
    # last port of its block begins.
    ready = np.empty(blocks, np.int64)
    for b in range(blocks):
        ready[b] = fill_begin[b] if graph.kind[b] == 0 else begin[graph.owner[b]]
    first = np.full((graph.components, blocks), _NEVER, np.int64)
    last = np.zeros((graph.components, blocks), np.int64)
    for x in range(len(task_block)):
        b, c = task_block[x], task_component[x]
        if task_begin[x] > ready[b]:
            ready[b] = task_begin[x]
        if task_begin[x] < first[c, b]:
            first[c, b] = task_begin[x]
        if task_begin[x] + duration[x] > last[c, b]:
            last[c, b] = task_begin[x] + duration[x]
    start = np.full(tiles, makespan, np.int64)
    end = np.zeros(tiles, np.int64)
    for t in range(len(graph.access_tile)):
        b, tile = graph.access_block[t], graph.access_tile[t]
        if graph.write_back[b] >= 0 and not background[graph.write_back[b]]:
            b = graph.owner[b]
        c = graph.tile_component[tile]
        served = first[c, b] < _NEVER
        from_time = first[c, b] if served else ready[b]
        to_time = last[c, b] if served else block_finish[b]
        if from_time < start[tile]:
            start[tile] = from_time
        if to_time > end[tile]:
            end[tile] = to_time
    for tile in range(tiles):
        if graph.tile_from_start[tile]:
            start[tile] = 0
        if graph.tile_to_end[tile]:
            end[tile] = makespan
        if end[tile] <= start[tile]:
            # Never resident.
            start[tile] = _NEVER
            end[tile] = _NEVER
    by_start = np.argsort(start, kind="mergesort")
    by_end = np.argsort(end, kind="mergesort")
    level = np.zeros(len(most), np.int64)
    ended = 0
    for k in range(tiles):
        tile = by_start[k]
        if start[tile] == _NEVER:
            break
        while end[by_end[ended]] <= start[tile]:
            level[tile_memory[by_end[ended]]] -= graph.tile_bits[by_end[ended]]
            ended += 1
        memory = tile_memory[tile]
        level[memory] += graph.tile_bits[tile]
        if level[memory] > most[memory]:
            most[memory] = level[memory]
