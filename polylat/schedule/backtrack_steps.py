"""The compiled functions of `backtrack` for one step back in time: what an event waited for."""

from __future__ import annotations

from typing import Any

import numpy as np

from polylat.schedule.compilation import compiled

__all__ = [
    "LOST",
    "MOVES",
    "NONE",
    "REASONS",
    "ZERO",
    "compiled_reasons",
    "copy_row",
    "locate",
    "predecessor",
    "residue",
    "subtract_duration",
]

_njit = compiled(error_model="numpy")

# Constants are NumPy integers: numba would compile a function again for each Python literal that it
# is called with.
ZERO, NONE, LOST, _ = -np.arange(4)
REASONS = 8
"""More than there are reason codes: the shape of a service is ``REASONS * kind + reason``."""

# Rows of `work`, each with an entry per loop: how many periods later an instance is; loop indices;
# numbers of alternatives; then, from `MOVES` on, two rows per loop.
HERE, NOW, FOUND, CHOSEN, START, SOUGHT, NEAREST, LEAP, WAYS, MOVES = np.arange(10)

# Head of the packed array: offsets of the tables, as the fields of `BacktrackTables`, then
# sizes.
MODULI, VALUES, DURATIONS, ITERATION, EARLIER, AFTER, PERIODS = np.arange(7)
KIND, SEQUENCE, TASK_BLOCK, TASK_PORT, TASK_KIND = np.arange(7, 12)
OWN_START, OWN, SERVED_START, SERVED = np.arange(12, 16)
LEAF, DIGITS, PERIOD, KEYS, BASES, TRIPS, PLACES = np.arange(16, 23)
CUT_START, CUT_PLACE, CUT_PERIOD, CUT_COUNT, CUT_LAST_PERIOD = np.arange(23, 28)
WAIT_START, WAIT_SOURCE, WAIT_RULE, WAIT_GROUP, WAIT_REASON, WAIT_PERIODS = np.arange(28, 34)
WAIT_LAG, WAIT_LATENCY = np.arange(34, 36)
N_MODULI, LOOPS, EVENTS, BLOCKS, ITERATIONS, TASKS, WAITS = np.arange(36, 43)


@_njit
def _search(t: Any, table: Any, low: Any, high: Any, wanted: Any) -> Any:
    """Position of a number in an increasing part of a table (binary search), or `NONE`."""
    end = high
    while low < high:
        middle = (low + high) // 2
        if t[t[table] + middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < end and t[t[table] + low] == wanted else NONE


@_njit
def copy_row(work: Any, source: Any, target: Any) -> Any:
    """Copy a row of `work`.

    Parameters
    ----------
    work
        Room for intermediate results.
    source, target
        The two rows.
    """
    for k in range(work.shape[1]):
        work[target, k] = work[source, k]


# Instances of events: an event, and the row of `work` with the periods by which it is later.


@_njit
def residue(t: Any, work: Any, event: Any, row: Any, r: Any) -> Any:
    """Return the time of an instance modulo one of the moduli.

    Parameters
    ----------
    t, work
        The packed tables, and room for intermediate results.
    event, row
        The instance: an event, and the row of `work` with the periods by which it is later.
    r
        The number of the modulus.

    Returns
    -------
    int
        The residue, in steps; `LOST` if the time cannot be extrapolated.
    """
    modulus, values = t[t[MODULI] + r], r * t[EVENTS]
    value = t[t[VALUES] + values + event]
    total = value
    for k in range(t[LOOPS]):
        if work[row, k]:
            before = t[t[EARLIER] + event * t[LOOPS] + k]
            if before < 0:
                return LOST
            later = (value - t[t[VALUES] + values + before]) % modulus
            total += work[row, k] % modulus * later % modulus
    return total % modulus


@_njit
def _happens_at(t: Any, work: Any, time: Any, event: Any, row: Any) -> Any:
    """Whether the time of an instance is `time[0]`: 1, 0, or `LOST`."""
    for r in range(t[N_MODULI]):
        found = residue(t, work, event, row, r)
        if found < 0:
            return LOST
        if found != time[0, r]:
            return 0
    return 1


@_njit
def _precedes(t: Any, work: Any, time: Any, event: Any, row: Any, wait: Any) -> Any:
    """Whether an instance happens the lag of a precedence before `time[0]`: 1, 0, or `LOST`."""
    for r in range(t[N_MODULI]):
        found = residue(t, work, event, row, r)
        if found < 0:
            return LOST
        if (found + t[t[WAIT_LAG] + r * t[WAITS] + wait]) % t[t[MODULI] + r] != time[0, r]:
            return 0
    return 1


@_njit
def _corresponding(t: Any, event: Any, iteration: Any) -> Any:
    """The corresponding event in another sampled tile iteration, or `NONE`."""
    blocks = t[BLOCKS]
    task = event - blocks
    block = event if task < 0 else t[t[TASK_BLOCK] + task]
    if task < 0 and block < t[ITERATIONS]:
        return iteration
    sequence = t[t[SEQUENCE] + block]
    for k in range(t[t[OWN_START] + iteration], t[t[OWN_START] + iteration + 1]):
        there = t[t[OWN] + k]
        if t[t[SEQUENCE] + there] == sequence:
            if task < 0:
                return there
            port = t[t[TASK_PORT] + task]
            for i in range(t[t[SERVED_START] + there], t[t[SERVED_START] + there + 1]):
                if t[t[TASK_PORT] + t[t[SERVED] + i]] == port:
                    return blocks + t[t[SERVED] + i]
            return NONE
    return NONE


@_njit
def locate(t: Any, work: Any, event: Any, row: Any) -> Any:
    """Return the sampled event that represents the translate of an event at indices `SOUGHT`.

    Parameters
    ----------
    t, work
        The packed tables, and room for intermediate results.
    event
        The event.
    row
        The row of `work` to which the periods of the translate are written.

    Returns
    -------
    int
        The sampled event; `NONE` if there is no such translate.
    """
    leaf = t[t[LEAF] + t[t[ITERATION] + event]]
    key = ZERO
    for k in range(t[LOOPS]):
        work[row, k] = 0
        loop = leaf * t[LOOPS] + k
        trips, place = t[t[TRIPS] + loop], work[SOUGHT, k]
        if not trips:
            continue
        if place < 0 or place >= trips:
            return NONE
        for cut in range(t[t[CUT_START] + loop], t[t[CUT_START] + loop + 1]):
            into, period = place - t[t[CUT_PLACE] + cut], t[t[CUT_PERIOD] + cut]
            if into < 0:
                break
            removed = period * t[t[CUT_COUNT] + cut]
            if into < removed:
                place = t[t[CUT_PLACE] + cut] - period + into % period
                work[row, k] = into // period + 1
                break
            place -= removed
        key = key * t[t[PLACES] + loop] + place
    at = _search(t, KEYS, t[t[BASES] + leaf], t[t[BASES] + leaf + 1], key)
    return NONE if at < 0 else _corresponding(t, event, at)


# Precedences


@_njit
def _precedence_by_rule(t: Any, event: Any, rule: Any) -> Any:
    """The precedence of an event by a rule, or `NONE`."""
    low, high = t[t[WAIT_START] + event], t[t[WAIT_START] + event + 1]
    return _search(t, WAIT_RULE, low, high, rule)


@_njit
def _source_index(t: Any, wait: Any, k: Any) -> Any:
    """Loop index of the tile iteration that a precedence waits for."""
    at = t[t[ITERATION] + t[t[WAIT_SOURCE] + wait]] * t[LOOPS] + k
    periods = t[t[WAIT_PERIODS] + wait * t[LOOPS] + k]
    return t[t[DIGITS] + at] + periods * t[t[PERIOD] + at]


@_njit
def _shifts_per_period(t: Any, work: Any, event: Any, loop: Any, wait: Any) -> Any:
    """Shifts per period, in loop indices, of what an event waits for: the number found, or `LOST`.

    One is observed across the skipped range, the other between the two periods before it.
    """
    loops, rule, row, ways = t[LOOPS], t[t[WAIT_RULE] + wait], MOVES + 2 * loop, 0
    behind, before = t[t[AFTER] + event * loops + loop], t[t[EARLIER] + event * loops + loop]
    if behind < 0 or before < 0:
        return LOST
    at = _precedence_by_rule(t, behind, rule)
    if at >= 0:
        periods = t[t[PERIODS] + t[t[ITERATION] + event] * loops + loop]
        ways = 1
        for k in range(loops):
            by = _source_index(t, at, k) - _source_index(t, wait, k)
            if by % periods:
                ways = 0
            work[row, k] = by // periods
    at = _precedence_by_rule(t, before, rule)
    if at >= 0:
        for k in range(loops):
            work[row + ways, k] = _source_index(t, wait, k) - _source_index(t, at, k)
        ways += 1
    return ways


@_njit
def _combinations(t: Any, work: Any, event: Any, row: Any, wait: Any) -> Any:
    """The number of combinations of shifts, over all loops, for an instance, or `LOST`."""
    total = 1
    for k in range(t[LOOPS]):
        if work[row, k]:
            ways = _shifts_per_period(t, work, event, k, wait)
            if ways < 0:
                return LOST
            work[WAYS, k] = ways
            total *= ways
    return total


@_njit
def _awaited(t: Any, work: Any, row: Any, wait: Any, way: Any) -> Any:
    """The awaited event under one combination of shifts, its periods in `FOUND`, or `NONE`."""
    loops = t[LOOPS]
    for k in range(loops):
        work[SOUGHT, k] = _source_index(t, wait, k)
    for loop in range(loops - 1, -1, -1):
        if work[row, loop]:
            move = MOVES + 2 * loop + way % work[WAYS, loop]
            way //= work[WAYS, loop]
            for k in range(loops):
                work[SOUGHT, k] += work[row, loop] * work[move, k]
    return locate(t, work, t[t[WAIT_SOURCE] + wait], FOUND)


@_njit
def _binding(t: Any, work: Any, time: Any, event: Any, row: Any, wait: Any) -> Any:
    """What an instance waits for until `time[0]`, its periods in `FOUND`; or `NONE`, or `LOST`."""
    ways = _combinations(t, work, event, row, wait)
    if ways < 0:
        return LOST
    for way in range(ways):
        found = _awaited(t, work, row, wait, way)
        if found < 0:
            continue
        there = _precedes(t, work, time, found, FOUND, wait)
        if there < 0:
            return LOST
        if there:
            return found
    return NONE


@_njit
def _port_predecessor(t: Any, work: Any, time: Any, event: Any) -> Any:
    """The task that the port served before the task `HERE`, its periods in `CHOSEN`, or `LOST`."""
    for wait in range(t[t[WAIT_START] + event], t[t[WAIT_START] + event + 1]):
        found = _binding(t, work, time, event, HERE, wait)
        if found >= 0:
            copy_row(work, FOUND, CHOSEN)
            return found
        if found == LOST:
            return LOST
    return LOST


@_njit
def _starts_then(t: Any, work: Any, time: Any, event: Any) -> Any:
    """Whether the tile iteration at indices `SOUGHT` starts at `time[0]`."""
    found = locate(t, work, event, FOUND)
    return found >= 0 and _happens_at(t, work, time, found, FOUND) == 1


@_njit
def _leap(t: Any, work: Any, time: Any, event: Any) -> Any:
    """An earlier tile iteration that starts when that at `NOW` does, found by bisection."""
    loops = t[LOOPS]
    for k in range(loops):
        at = event * loops + k
        work[LEAP, k] = t[t[DIGITS] + at] + work[NOW, k] * t[t[PERIOD] + at]
    for loop in range(loops):
        for k in range(loops):
            work[SOUGHT, k] = work[LEAP, k] if k <= loop else 0
        if not _starts_then(t, work, time, event):
            continue
        low, high = ZERO, work[LEAP, loop]
        while low < high:
            middle = (low + high) // 2
            work[SOUGHT, loop] = middle
            if _starts_then(t, work, time, event):
                high = middle
            else:
                low = middle + 1
        work[SOUGHT, loop] = high
        return locate(t, work, event, NOW)
    return event


@_njit
def _first_together(t: Any, work: Any, time: Any, event: Any, none: Any) -> Any:
    """The first tile iteration of the leaf that starts when the one at `NOW` does, or `LOST`."""
    while True:
        # The first rule is the one on the previous tile iteration.
        wait = t[t[WAIT_START] + event]
        if wait == t[t[WAIT_START] + event + 1] or t[t[WAIT_REASON] + wait] != none:
            return event
        if t[t[WAIT_SOURCE] + wait] >= t[ITERATIONS]:
            return event
        found = _binding(t, work, time, event, NOW, wait)
        if found < 0:
            return LOST if found == LOST else event
        copy_row(work, FOUND, NOW)
        event = _leap(t, work, time, found)


@_njit
def _block_kind(t: Any, event: Any) -> Any:
    return t[t[KIND] + t[t[TASK_BLOCK] + event - t[BLOCKS]]]


@_njit
def _preferred(t: Any, work: Any, event: Any, than: Any) -> Any:
    """Whether an end of a task has later loop indices than another, or is the foreground's."""
    for k in range(t[LOOPS]):
        if work[SOUGHT, k] != work[NEAREST, k]:
            return work[SOUGHT, k] > work[NEAREST, k]
    front, other = _block_kind(t, event) == 1, _block_kind(t, than) == 1
    return front if front != other else event > than


@_njit
def _first_rule(t: Any, work: Any, time: Any, event: Any, none: Any) -> Any:
    """What the start `NOW` waits for by its first rule that binds, by which precedence, and why.

    That is an end of a task if there is one, otherwise a start; its periods are in `CHOSEN`.
    """
    end, start, group, why = NONE, NONE, NONE, none
    of_end, of_start = NONE, NONE
    for wait in range(t[t[WAIT_START] + event], t[t[WAIT_START] + event + 1]):
        if (end >= 0 or start >= 0) and t[t[WAIT_GROUP] + wait] != group:
            break
        found = _binding(t, work, time, event, NOW, wait)
        if found == LOST:
            return LOST, NONE, none
        if found < 0:
            continue
        group, why = t[t[WAIT_GROUP] + wait], t[t[WAIT_REASON] + wait]
        if found < t[BLOCKS]:
            if start < 0:
                start, of_start = found, np.int64(wait)
                copy_row(work, FOUND, START)
        elif end < 0 or _preferred(t, work, found, end):
            end, of_end = found, np.int64(wait)
            copy_row(work, FOUND, CHOSEN)
            copy_row(work, SOUGHT, NEAREST)
    if end >= 0:
        return end, of_end, why
    copy_row(work, START, CHOSEN)
    return start, of_start, why


@_njit
def predecessor(t: Any, work: Any, time: Any, event: Any, none: Any, port: Any) -> Any:
    """Return what the instance `HERE` waited for until `time[0]`; its periods are in `CHOSEN`.

    Parameters
    ----------
    t, work, time
        The packed tables, and room for intermediate results and for times.
    event
        The event: the end of a task, which began at `time[0]`, or the start of a block.
    none, port
        The codes `START` and `PORT` of `reasons`.

    Returns
    -------
    (event, reason, wait)
        The end of a task or, a fixed latency earlier, any event: `NONE` at time 0, `LOST` if none
        is found. The reason. The precedence with the fixed latency, `NONE` if there is none.
    """
    if not time[0].any():
        return NONE, none, NONE
    now = event
    if event >= t[BLOCKS]:
        now = t[t[TASK_BLOCK] + event - t[BLOCKS]]
        ready = _happens_at(t, work, time, now, HERE)
        if ready < 0:
            return LOST, none, NONE
        if not ready:
            return _port_predecessor(t, work, time, event), port, NONE
    copy_row(work, HERE, NOW)
    reason = none
    while True:
        if now < t[ITERATIONS]:
            now = _first_together(t, work, time, now, none)
            if now == LOST:
                return LOST, none, NONE
        found, wait, why = _first_rule(t, work, time, now, none)
        if found < 0:
            return LOST, none, NONE
        reason = why if reason == none else reason
        if t[t[WAIT_LATENCY] + wait] >= 0:
            return found, reason, wait
        if found >= t[BLOCKS]:
            return found, reason, NONE
        now = found
        copy_row(work, CHOSEN, NOW)


@_njit
def subtract_duration(t: Any, time: Any, task: Any) -> Any:
    """Subtract the duration of a task from `time[0]`.

    Parameters
    ----------
    t, time
        The packed tables, and room for times.
    task
        The task.
    """
    for r in range(t[N_MODULI]):
        duration = t[t[DURATIONS] + r * t[TASKS] + task]
        time[0, r] = (time[0, r] - duration) % t[t[MODULI] + r]


@_njit
def compiled_reasons(
    t: Any, work: Any, time: Any, tasks: Any, periods: Any, none: Any, port: Any, unknown: Any
) -> Any:
    """Return what tasks waited for.

    Parameters
    ----------
    t, work, time
        The packed tables, and room for intermediate results and for times.
    tasks, periods
        Shape (n,): sampled tasks; shape (n, loops): by how many periods each is translated.
    none, port, unknown
        The codes `START`, `PORT` and `UNKNOWN` of `reasons`.

    Returns
    -------
    numpy.ndarray
        Shape (n,): reason codes; `unknown` where the predecessor is not found.
    """
    found = np.empty(len(tasks), np.int64)
    for i in range(len(tasks)):
        event = t[BLOCKS] + tasks[i]
        for k in range(t[LOOPS]):
            work[HERE, k] = periods[i, k]
        known = True
        for r in range(t[N_MODULI]):
            time[0, r] = residue(t, work, event, HERE, r)
            known = known and time[0, r] >= 0
        found[i] = unknown
        if known:
            subtract_duration(t, time, tasks[i])
            before, reason, _ = predecessor(t, work, time, event, none, port)
            if before != LOST:
                found[i] = reason
    return found
