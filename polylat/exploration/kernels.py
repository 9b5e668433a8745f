"""Variants of one structure, timed one after another: compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from polylat.schedule.kernels import simulate

__all__ = ["variants"]

# numba's decorators are untyped.
_njit: Any = numba.njit(cache=True, nogil=True)

_FAR = 1 << 62


@_njit
def variants(
    modes: Any,
    peaks: bool,
    background: Any,
    slots: Any,
    bound: int,
    leaf_starts: Any,
    owner: Any,
    kind: Any,
    block_pair: Any,
    own_start: Any,
    own: Any,
    edge_source: Any,
    edge_target: Any,
    edge_group: Any,
    groups: Any,
    limits: int,
    sequential: Any,
    part_block: Any,
    part_load: Any,
    part_pair: Any,
    part_port: Any,
    part_component: Any,
    added_task: Any,
    added_load: Any,
    added_pair: Any,
    program: Any,
    skew: Any,
    ports: int,
    touch_tile: Any,
    touch_component: Any,
    touch_block: Any,
    touch_own: Any,
    touch_pair: Any,
    tile_bits: Any,
    tile_first: Any,
    tile_last: Any,
    tile_memory: Any,
    memories: int,
    components: int,
) -> Any:
    """Time variants, and find the most bits that are resident in each memory.

    Parameters
    ----------
    modes
        Orders to try: 0 program, 1 skew, 3 oldest; 2: nothing waits for a port.
    peaks
        Whether the peaks are wanted.
    background, slots
        Per variant and write-back, whether it is in the background; per variant and tensor, how
        many slots it has (-1: unlimited).
    bound
        No makespan is less: where one is as little, no other order is tried.
    others
        See `polylat.exploration.structure`.

    Returns
    -------
    (makespans, best, peaks, held)
        The least makespan, -1 if there is none; which of the modes it is of, the first if several
        are; shape (variants, memories): the peaks in that order. Shape (variants, tensors, limits):
        whether what was timed keeps within so many slots anyway, limited to them or not.

    Notes
    -----
    Where a schedule keeps a rule that it need not keep, it is the schedule under that rule, too:
    times are the earliest possible, and ports choose at each instant among the same blocks. What
    waits for something at the very instant at which that ends might be in a circle of things that
    take no time, if there are any such; then it does not count as kept.
    """
    count = len(background)
    n = len(leaf_starts)
    blocks = len(owner)
    parts = len(part_block)
    edges = len(edge_source)
    makespans = np.full(count, -1, np.int64)
    held = np.ones((count, slots.shape[1], limits), np.bool_)
    best = np.zeros(count, np.int64)
    most = np.zeros((count, memories if peaks else 0), np.int64)
    load = np.empty(parts, np.int64)
    number = np.empty(parts, np.int32)
    task_block = np.empty(parts, np.int32)
    task_port = np.empty(parts, np.int32)
    task_component = np.empty(parts, np.int32)
    duration = np.empty(parts, np.int64)
    block_start = np.empty(blocks + 1, np.int32)
    numbers = np.arange(max(parts, edges)).astype(np.int32)
    edges_start = np.empty(blocks + 1, np.int32)
    target = np.empty(edges, np.int32)
    active = np.empty(len(groups), np.bool_)
    order = np.empty(parts, np.int32)
    order_start = np.empty(ports + 1, np.int64)
    place = np.empty(ports + 1, np.int64)
    begin = np.empty(n, np.int64)
    finish = np.empty(n, np.int64)
    block_finish = np.empty(blocks, np.int64)
    fill_begin = np.empty(blocks, np.int64)
    all_task_begin = np.empty(parts, np.int64)
    all_wait = np.empty(2 * (n + blocks) + parts, np.int32)
    kept_begin = np.empty(n, np.int64)
    kept_block_finish = np.empty(blocks, np.int64)
    kept_fill_begin = np.empty(blocks, np.int64)
    kept_task_begin = np.empty(parts, np.int64)
    for v in range(count):
        # Tasks: what takes time.
        for x in range(parts):
            load[x] = part_load[x]
            if part_pair[x] >= 0 and not background[v, part_pair[x]]:
                load[x] = 0
        for a in range(len(added_task)):
            if not background[v, added_pair[a]]:
                load[added_task[a]] += added_load[a]
        tasks = 0
        at = 0
        for x in range(parts):
            if load[x] > 0:
                while at <= part_block[x]:
                    block_start[at] = tasks
                    at += 1
                number[x] = tasks
                task_block[tasks] = part_block[x]
                task_port[tasks] = part_port[x]
                task_component[tasks] = part_component[x]
                duration[tasks] = load[x]
                tasks += 1
        while at <= blocks:
            block_start[at] = tasks
            at += 1
        # Edges: those of the choices that are made.
        for g in range(len(groups)):
            split, pair, tensor, limit, _ = groups[g]
            here = True
            if split >= 0:
                here = sequential[split]
            if pair >= 0:
                here = here and background[v, pair]
            if tensor >= 0:
                here = here and slots[v, tensor] == limit
            active[g] = here
        some = 0
        at = 0
        for e in range(edges):
            if active[edge_group[e]]:
                while at <= edge_source[e]:
                    edges_start[at] = some
                    at += 1
                target[some] = edge_target[e]
                some += 1
        while at <= blocks:
            edges_start[at] = some
            at += 1
        instant = False
        for b in range(blocks):
            if block_start[b] == block_start[b + 1]:
                pair = block_pair[b]
                if pair < 0 or background[v, pair]:
                    instant = True
        task_begin = all_task_begin[:tasks]
        wait = all_wait[: 2 * (n + blocks) + tasks]
        least = -1
        last_dates = -1
        for m in range(len(modes)):
            mode = modes[m]
            dates = 1 if mode in (1, 3) else 0
            if dates != last_dates:
                # Ports: their tasks by date.
                wanted = skew if dates == 1 else program
                order_start[:] = 0
                for x in range(tasks):
                    order_start[task_port[x] + 1] += 1
                for q in range(ports):
                    order_start[q + 1] += order_start[q]
                place[:] = order_start
                for k in range(parts):
                    x = wanted[k]
                    if load[x] > 0:
                        q = part_port[x]
                        order[place[q]] = number[x]
                        place[q] += 1
                last_dates = dates
            begin[:] = 0
            finish[:] = 0
            block_finish[:] = 0
            fill_begin[:] = 0
            task_begin[:] = 0
            wait[:] = 0
            undone = simulate(
                1 if mode == 3 else 2 if mode == 2 else 0,
                leaf_starts,
                owner,
                kind,
                block_start,
                numbers[:tasks],
                own_start,
                own,
                edges_start,
                numbers[:some],
                target[:some],
                task_block[:tasks],
                task_port[:tasks],
                duration[:tasks],
                order[:tasks],
                order_start,
                begin,
                finish,
                block_finish,
                fill_begin,
                task_begin,
                wait,
            )
            if undone > 0:
                continue
            if peaks:
                for e in range(edges):
                    _, pair, tensor, _, which = groups[edge_group[e]]
                    if tensor < 0 or not held[v, tensor, which]:
                        continue
                    if pair >= 0 and not background[v, pair]:
                        continue
                    source = edge_source[e]
                    ends = finish[source] if source < n else block_finish[source]
                    waits = begin[edge_target[e]] if edge_target[e] < n else 0
                    if edge_target[e] >= n:
                        waits = fill_begin[edge_target[e]]
                    if ends > waits or (instant and ends == waits):
                        held[v, tensor, which] = False
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
                    kept_begin[:] = begin
                    kept_block_finish[:] = block_finish
                    kept_fill_begin[:] = fill_begin
                    kept_task_begin[:tasks] = task_begin
            if least == bound:
                break
        makespans[v] = least
        if peaks and least >= 0:
            _peaks(
                most[v],
                background[v],
                least,
                owner,
                kind,
                task_block[:tasks],
                task_component[:tasks],
                duration[:tasks],
                kept_begin,
                kept_block_finish,
                kept_fill_begin,
                kept_task_begin[:tasks],
                touch_tile,
                touch_component,
                touch_block,
                touch_own,
                touch_pair,
                tile_bits,
                tile_first,
                tile_last,
                tile_memory,
                components,
            )
    return makespans, best, most, held


@_njit
def _peaks(
    most: Any,
    background: Any,
    makespan: int,
    owner: Any,
    kind: Any,
    task_block: Any,
    task_component: Any,
    duration: Any,
    begin: Any,
    block_finish: Any,
    fill_begin: Any,
    task_begin: Any,
    touch_tile: Any,
    touch_component: Any,
    touch_block: Any,
    touch_own: Any,
    touch_pair: Any,
    tile_bits: Any,
    tile_first: Any,
    tile_last: Any,
    tile_memory: Any,
    components: int,
) -> None:
    """The most bits that are resident in each memory; as `polylat.occupancy` has it."""
    blocks = len(owner)
    tiles = len(tile_bits)
    # When a component serves a block; if it does not, when the last port begins to.
    ready = np.empty(blocks, np.int64)
    for b in range(blocks):
        ready[b] = fill_begin[b] if kind[b] == 0 else begin[owner[b]]
    first = np.full((components, blocks), _FAR, np.int64)
    last = np.zeros((components, blocks), np.int64)
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
    for t in range(len(touch_tile)):
        b = touch_block[t]
        if touch_pair[t] >= 0 and background[touch_pair[t]]:
            b = touch_own[t]
        c, tile = touch_component[t], touch_tile[t]
        served = first[c, b] < _FAR
        opens = first[c, b] if served else ready[b]
        closes = last[c, b] if served else block_finish[b]
        if opens < start[tile]:
            start[tile] = opens
        if closes > end[tile]:
            end[tile] = closes
    for tile in range(tiles):
        if tile_first[tile]:
            start[tile] = 0
        if tile_last[tile]:
            end[tile] = makespan
        if end[tile] <= start[tile]:
            # Never resident: it must not count.
            start[tile] = _FAR
            end[tile] = _FAR
    comes = np.argsort(start, kind="mergesort")
    goes = np.argsort(end, kind="mergesort")
    level = np.zeros(len(most), np.int64)
    gone = 0
    for k in range(tiles):
        tile = comes[k]
        if start[tile] == _FAR:
            break
        while end[goes[gone]] <= start[tile]:
            level[tile_memory[goes[gone]]] -= tile_bits[goes[gone]]
            gone += 1
        memory = tile_memory[tile]
        level[memory] += tile_bits[tile]
        if level[memory] > most[memory]:
            most[memory] = level[memory]
