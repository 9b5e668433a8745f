"""The compiled walk from a task back to time 0 along a critical path of an explicit schedule."""

from __future__ import annotations

from typing import Any

import numpy as np

from polylat.schedule.arrays import compiled

__all__ = ["critical_walk_back"]


@compiled
def critical_walk_back(
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
    edge_rule: Any,
    edge_reason: Any,
    task_block: Any,
    task_end: Any,
    begin: Any,
    finish: Any,
    block_finish: Any,
    fill_begin: Any,
    task_begin: Any,
) -> Any:
    """Walk from a task back to time 0, each step to a task that ends when the last one begins.

    Parameters
    ----------
    task
        The task to begin with.
    start_reason, port_reason
        The codes `START` and `PORT` of `reasons`.
    port_before
        Shape (tasks,): the task that the port serves before each task; -1 if none.
    leaf_starts, owner, kind
        As in `TaskGraph`.
    block_tasks_start, block_tasks
        The tasks by block, as `arrays.by_key` returns them.
    own_start, own
        The blocks other than foreground blocks, by tile iteration.
    into_start, into
        The edges by target, and those of a target by rule.
    edge_source, edge_rule, edge_reason, task_block
        As in `TaskGraph`.
    task_end
        Shape (tasks,): when each task ends.
    begin, finish, block_finish, fill_begin, task_begin
        The times of an earliest (ASAP) schedule, as in `TaskSchedule`.

    Returns
    -------
    (tasks, reasons)
        The tasks from the last to the first, and the reason code of each.

    Notes
    -----
    Times are the earliest possible: an event after time 0 waits for an event at the same instant,
    and that one for another, down to the end of a task. Of several, `critical_path` says which.
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
        # What starts then: a tile iteration, or a fill.
        number = block if fill else owner[block]
        reason = start_reason
        task = -1
        while task < 0:
            if number < n:
                while not leaf_starts[number] and begin[number - 1] == time:
                    number -= 1
            edge = -1
            for k in range(into_start[number], into_start[number + 1]):
                e = into[k]
                source = edge_source[e]
                if edge >= 0 and edge_rule[e] != edge_rule[edge]:
                    break
                ended = finish[source] if source < n else block_finish[source]
                if ended == time and (edge < 0 or source > edge_source[edge]):
                    edge = e
            if edge < 0:
                for k in range(own_start[number], own_start[number + 1]):
                    if kind[own[k]] == 0 and fill_begin[own[k]] == time:
                        number = own[k]
                        break
                continue
            if reason == start_reason:
                reason = edge_reason[edge]
            source = edge_source[edge]
            number = source
            back = source
            while task < 0 and back >= 0:
                if back >= n:
                    for t in range(block_tasks_start[back], block_tasks_start[back + 1]):
                        if task_end[block_tasks[t]] == time:
                            task = block_tasks[t]
                    if task < 0:
                        number = back if kind[back] == 0 else owner[back]
                    break
                if finish[back] != time:
                    break
                for t in range(block_tasks_start[back], block_tasks_start[back + 1]):
                    if task_end[block_tasks[t]] == time:
                        task = block_tasks[t]
                if task >= 0:
                    break
                for k in range(own_start[back], own_start[back + 1]):
                    if kind[own[k]] == 0:
                        for t in range(block_tasks_start[own[k]], block_tasks_start[own[k] + 1]):
                            if task_end[block_tasks[t]] == time:
                                task = max(task, block_tasks[t])
                awaited = -1
                for k in range(into_start[blocks + back], into_start[blocks + back + 1]):
                    source = edge_source[into[k]]
                    if block_finish[source] == time:
                        awaited = max(awaited, source)
                if awaited >= 0:
                    back = awaited
                elif leaf_starts[back]:
                    back = -1
                else:
                    back -= 1
        reasons[count] = reason
        count += 1
    return tasks[:count], reasons[:count]
