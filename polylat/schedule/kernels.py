"""The loops that visit every task, compiled by numba.

The same functions run uncompiled (``.py_func``) on Python integers where times do not fit 64 bits.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["by_key", "reached", "simulate", "walk_back"]

# numba's decorators are untyped.
_njit: Any = numba.njit(cache=True, nogil=True)


@_njit
def by_key(keys: Any, count: int) -> Any:
    """Counting sort: per key where its entries start, and the entries' numbers in key order."""
    start = np.zeros(count + 1, np.int64)
    for k in keys:
        start[k + 1] += 1
    for k in range(count):
        start[k + 1] += start[k]
    place = start[:-1].copy()
    entries = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        k = keys[i]
        entries[place[k]] = i
        place[k] += 1
    return start, entries


@_njit
def reached(start: Any, out: Any, marked: Any) -> None:
    """Mark all that can be reached from what is marked, along edges grouped by where they begin."""
    count = len(marked)
    stack = np.empty(count, np.int64)
    top = 0
    for k in range(count):
        if marked[k]:
            stack[top] = k
            top += 1
    while top > 0:
        top -= 1
        k = stack[top]
        for e in range(start[k], start[k + 1]):
            if not marked[out[e]]:
                marked[out[e]] = True
                stack[top] = out[e]
                top += 1


@_njit
def _push(heap: Any, base: int, size: int, key: int) -> None:
    """Push onto the binary heap that lies in heap[base : base + size]."""
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if heap[base + up] <= key:
            break
        heap[base + at] = heap[base + up]
        at = up
    heap[base + at] = key


@_njit
def _pop(heap: Any, base: int, size: int) -> int:
    """Pop the least key of the binary heap that lies in heap[base : base + size]."""
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


@_njit
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
    """Earliest times of everything.

    Parameters
    ----------
    mode
        0: ports serve in the order given; 1: whenever a port is idle it takes the first in that
        order among what may start, background last; 2: nothing waits for a port.
    block_tasks_start, block_tasks
        Tasks of each block. `own_*`: blocks other than foreground of each tile iteration.
        `edges_*`: edges of each source.
    order, order_start
        Tasks of each port in its order.
    begin, finish, block_finish, fill_begin, task_begin
        Filled in: when tile iterations may start and have finished; when blocks have finished;
        when fills may start; when tasks start. All zero on entry.
    wait
        Filled in: what each event (see the code) still waits for. Zero on entry.

    Returns
    -------
    int
        Number of things left undone: 0 unless the order contradicts the dependences.

    Notes
    -----
    Every event (may start, finished, …) counts what it still waits for; at zero it is settled, at
    the latest time among what it waited for, and goes on a stack to settle what waits for it.
    """
    n = len(leaf_starts)
    blocks = len(owner)
    tasks = len(task_block)
    ports = len(order_start) - 1
    # Events: start of i: i; start of fill b: b; task x: blocks + x; block b: blocks + tasks + b;
    # finish of i: 2 * blocks + tasks + i.
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
                # A tile iteration or a fill may start.
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
                # Its blocks: the fill alone, or the foreground and the write-backs.
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
                # A task has been served: it ends a duration after it begins.
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
                # A block, or a tile iteration, has finished.
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
        # All that happens at this instant is known. Idle ports choose; then time goes on.
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


@_njit
def walk_back(
    task: int,
    start_reason: int,
    port_reason: int,
    port_before: Any,
    leaf_starts: Any,
    owner: Any,
    kind: Any,
    block_tasks_start: Any,
    block_tasks: Any,
    own_start: Any,
    own: Any,
    into_start: Any,
    into: Any,
    edge_source: Any,
    edge_reason: Any,
    task_block: Any,
    task_end: Any,
    begin: Any,
    finish: Any,
    block_finish: Any,
    fill_begin: Any,
    task_begin: Any,
) -> Any:
    """From a task back to time 0: each time to a task that ended when the last one began.

    Whatever happens at an instant after 0 waited for something that happened at that very
    instant, and so on back to the end of a task: times are the earliest possible. The first edge
    met on the way says why.

    Returns
    -------
    (tasks, reasons)
        From the last task to the first.
    """
    n = len(leaf_starts)
    blocks = len(owner)
    tasks = np.empty(len(task_block), np.int64)
    reasons = np.empty(len(task_block), np.int64)
    count = 0
    while task >= 0:
        time = task_begin[task]
        block = task_block[task]
        fill = kind[block] == 0
        ready = fill_begin[block] if fill else begin[owner[block]]
        tasks[count] = task
        if time == 0:
            reasons[count] = start_reason
            return tasks[: count + 1], reasons[: count + 1]
        if ready != time:
            reasons[count] = port_reason
            task = port_before[task]
            count += 1
            continue
        # What: 0 start (of a tile iteration or a fill), 1 block, 2 finish of a tile iteration.
        what = 0
        number = block if fill else owner[block]
        reason = start_reason
        task = -1
        while task < 0:
            if what == 1:
                for t in range(block_tasks_start[number], block_tasks_start[number + 1]):
                    if task_end[block_tasks[t]] == time:
                        task = block_tasks[t]
                if task < 0:
                    what = 0
                    if kind[number] != 0:
                        number = owner[number]
                continue
            found = False
            target = number if what == 0 else blocks + number
            if what == 2:
                if block_finish[number] == time:
                    what = 1
                    continue
                for k in range(own_start[number], own_start[number + 1]):
                    if kind[own[k]] == 0 and block_finish[own[k]] == time:
                        what = 1
                        number = own[k]
                        found = True
                        break
                if found:
                    continue
            for k in range(into_start[target], into_start[target + 1]):
                source = edge_source[into[k]]
                ended = finish[source] if source < n else block_finish[source]
                if ended == time:
                    if reason == start_reason:
                        reason = edge_reason[into[k]]
                    what = 2 if source < n else 1
                    number = source
                    found = True
                    break
            if found:
                continue
            if what == 0 and number < n:
                for k in range(own_start[number], own_start[number + 1]):
                    if kind[own[k]] == 0 and fill_begin[own[k]] == time:
                        number = own[k]
                        found = True
                        break
                if found:
                    continue
            number -= 1
        reasons[count] = reason
        count += 1
    return tasks[:count], reasons[:count]
