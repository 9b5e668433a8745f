"""The compiled functions of `backtrack`: one step back in time, and the detection of rounds.

They stay in one module, but for `backtrack_shapes`: numba's cache notices changes of a function's
own file only.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from polylat.schedule.backtrack_shapes import EVENT, FULL, LINK, PLACE, SHAPE, shape_number

__all__ = ["LOST", "MOVES", "NONE", "REASONS", "compiled_reasons", "compiled_walk"]

# numba's decorators are untyped.
_njit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")

# Constants are NumPy integers: numba would compile a function again for each Python literal that it
# is called with.
ZERO, NONE, LOST, _ = -np.arange(4)
REASONS = 8
"""More than there are reason codes: the shape of a service is ``REASONS * kind + reason``."""
CANDIDATES = 3
"""How many of an event's latest occurrences are tried as the beginning of a round."""

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
N_MODULI, LOOPS, EVENTS, BLOCKS, ITERATIONS, TASKS = np.arange(34, 40)


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
def _copy(work: Any, source: Any, target: Any) -> Any:
    for k in range(work.shape[1]):
        work[target, k] = work[source, k]


# Instances of events: an event, and the row of `work` with the periods by which it is later.


@_njit
def _residue(t: Any, work: Any, event: Any, row: Any, r: Any) -> Any:
    """The time of an instance modulo one of the moduli; `LOST` if it cannot be extrapolated."""
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
        found = _residue(t, work, event, row, r)
        if found < 0:
            return LOST
        if found != time[0, r]:
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
def _locate(t: Any, work: Any, event: Any, row: Any) -> Any:
    """The event representing its translate at indices `SOUGHT`, periods into a row; or `NONE`."""
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
    return _locate(t, work, t[t[WAIT_SOURCE] + wait], FOUND)


@_njit
def _binding(t: Any, work: Any, time: Any, event: Any, row: Any, wait: Any) -> Any:
    """What an instance waits for, if at `time[0]`, its periods in `FOUND`; or `NONE`, or `LOST`."""
    ways = _combinations(t, work, event, row, wait)
    if ways < 0:
        return LOST
    for way in range(ways):
        found = _awaited(t, work, row, wait, way)
        if found < 0:
            continue
        there = _happens_at(t, work, time, found, FOUND)
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
            _copy(work, FOUND, CHOSEN)
            return found
        if found == LOST:
            return LOST
    return LOST


@_njit
def _starts_then(t: Any, work: Any, time: Any, event: Any) -> Any:
    """Whether the tile iteration at indices `SOUGHT` starts at `time[0]`."""
    found = _locate(t, work, event, FOUND)
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
        return _locate(t, work, event, NOW)
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
        _copy(work, FOUND, NOW)
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
    """What the start `NOW` waits for by its first rule that binds: an end, a start, and why.

    The periods of an end are in `CHOSEN`, those of a start in `START`; the end may be `LOST`.
    """
    end, start, group, why = NONE, NONE, NONE, none
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
                start = found
                _copy(work, FOUND, START)
        elif end < 0 or _preferred(t, work, found, end):
            end = found
            _copy(work, FOUND, CHOSEN)
            _copy(work, SOUGHT, NEAREST)
    return end, start, why


@_njit
def _predecessor(t: Any, work: Any, time: Any, event: Any, none: Any, port: Any) -> Any:
    """The task that ended when the task `HERE` began, its periods in `CHOSEN`; and the reason.

    `NONE` if the task began at time 0, `LOST` if no such task is found.
    """
    if not time[0].any():
        return NONE, none
    now = t[t[TASK_BLOCK] + event - t[BLOCKS]]
    _copy(work, HERE, NOW)
    ready = _happens_at(t, work, time, now, NOW)
    if ready < 0:
        return LOST, none
    if not ready:
        return _port_predecessor(t, work, time, event), port
    reason = none
    while True:
        if now < t[ITERATIONS]:
            now = _first_together(t, work, time, now, none)
            if now == LOST:
                return LOST, none
        end, start, why = _first_rule(t, work, time, now, none)
        if end == LOST:
            return LOST, none
        reason = why if reason == none else reason
        if end >= 0:
            return end, reason
        if start < 0:
            return LOST, none
        now = start
        _copy(work, START, NOW)


@_njit
def _subtract_duration(t: Any, time: Any, task: Any) -> Any:
    """Subtract the duration of a task from `time[0]`."""
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
            time[0, r] = _residue(t, work, event, HERE, r)
            known = known and time[0, r] >= 0
        found[i] = unknown
        if known:
            _subtract_duration(t, time, tasks[i])
            before, reason = _predecessor(t, work, time, event, none, port)
            if before != LOST:
                found[i] = reason
    return found


# Rounds


@_njit
def _further_rounds(t: Any, places: Any, low: Any, middle: Any, high: Any) -> Any:
    """How many further rounds stay within the skipped ranges.

    Places `low` … `middle` − 1 are those of the last round but one, `middle` … `high` − 1 those of
    the last round.
    """
    loops = t[LOOPS]
    least: Any = NONE
    for place in range(middle, high):
        for k in range(loops):
            digit = places[place, k]
            by = places[place - middle + low, k] - digit
            if by == 0:
                continue
            first = NONE
            loop = places[place, loops] * loops + k
            for cut in range(t[t[CUT_START] + loop], t[t[CUT_START] + loop + 1]):
                stand = t[t[CUT_LAST_PERIOD] + cut]
                size = t[t[CUT_PERIOD] + cut] * (t[t[CUT_COUNT] + cut] + 1)
                if by > 0 and stand <= digit < stand + size:
                    first = stand
            if first < 0:
                return 0
            most = (digit - first) // by - 1
            if least < 0 or most < least:
                least = max(most, 0)
    return max(least, 0)


@_njit
def _skip_rounds(
    t: Any, work: Any, time: Any, places: Any, low: Any, middle: Any, times: Any, event: Any
) -> Any:
    """The event some rounds further back, with `HERE` and `time`; or `NONE` if uneven, `LOST`."""
    for k in range(t[LOOPS]):
        work[SOUGHT, k] = places[middle, k]
    before = _locate(t, work, event, FOUND)
    for k in range(t[LOOPS]):
        # `SOUGHT` is where the walk was a round ago, hence one round more.
        work[SOUGHT, k] -= (times + 1) * (places[low, k] - places[middle, k])
    there = _locate(t, work, event, CHOSEN)
    if before < 0 or there < 0:
        return LOST
    for r in range(t[N_MODULI]):
        modulus = t[t[MODULI] + r]
        earlier = _residue(t, work, before, FOUND, r)
        found = _residue(t, work, there, CHOSEN, r)
        if earlier < 0 or found < 0:
            return LOST
        once = (earlier - time[0, r]) % modulus
        if found != (time[0, r] - times % modulus * once) % modulus:
            return NONE
        time[1, r] = found
    for r in range(t[N_MODULI]):
        time[0, r] = time[1, r]
    _copy(work, CHOSEN, HERE)
    return there


@_njit
def _last_round(
    t: Any, work: Any, time: Any, items: Any, places: Any, last: Any, end: Any, event: Any
) -> Any:
    """Where the last round began, the number of further rounds, and the event behind them.

    A round is found if the last items equal those before them. The first result is `NONE` if there
    is no round, or `LOST`.
    """
    middle = last[event]
    for _ in range(CANDIDATES):
        if middle < 0:
            break
        first = 2 * middle - end
        alike = first >= 0
        if alike:
            for i in range(first, middle):
                if items[SHAPE, i] != items[SHAPE, i - first + middle]:
                    alike = False
                    break
        if alike:
            low, high = items[PLACE, first], items[PLACE, middle]
            times = _further_rounds(t, places, low, high, items[PLACE, end])
            if times >= 1:
                found = _skip_rounds(t, work, time, places, low, high, times, event)
                if found != NONE:
                    return (middle if found >= 0 else LOST), times, found
        middle = items[LINK, middle]
    return NONE, ZERO, event


@_njit
def compiled_walk(
    t: Any,
    work: Any,
    time: Any,
    items: Any,
    places: Any,
    shapes: Any,
    children: Any,
    shifts: Any,
    last: Any,
    buckets: Any,
    kinds: Any,
    event: Any,
    none: Any,
    port: Any,
) -> Any:
    """Walk back from the end of a task to time 0.

    Parameters
    ----------
    t, work, time
        The packed tables, and room for intermediate results and for times.
    items, places, shapes, children, shifts, last, buckets
        The fields of an empty `BacktrackRecord`, which is filled.
    kinds
        Number of kinds of tasks.
    event
        The end of the task.
    none, port
        The codes `START` and `PORT` of `reasons`.

    Returns
    -------
    (items, shapes)
        Numbers of items and of shapes. Instead of the former: `FULL` if the trail is too small,
        `LOST` if a predecessor is not found.
    """
    loops = t[LOOPS]
    end, made = ZERO, ZERO
    for k in range(loops):
        work[HERE, k] = 0
    for r in range(t[N_MODULI]):
        time[0, r] = t[t[VALUES] + r * t[EVENTS] + event]
    while event >= 0:
        copied = False
        for k in range(loops):
            copied = copied or work[HERE, k] != 0
        if copied:
            middle, times, event = _last_round(t, work, time, items, places, last, end, event)
            if middle == LOST:
                return LOST, 0
            if middle >= 0:
                first = 2 * middle - end
                shape = shape_number(
                    items, places, shapes, children, shifts, buckets, first, middle, times + 2, made
                )
                if shape < 0:
                    return FULL, 0
                made = max(made, shape + 1)
                for i in range(end - 1, first - 1, -1):
                    if items[EVENT, i] >= 0:
                        last[items[EVENT, i]] = items[LINK, i]
                items[SHAPE, first] = REASONS * kinds + shape
                items[EVENT, first] = NONE
                end = first + 1
                items[PLACE, end] = items[PLACE, middle]
        _subtract_duration(t, time, event - t[BLOCKS])
        before, reason = _predecessor(t, work, time, event, none, port)
        if before == LOST:
            return LOST, 0
        place, iteration = items[PLACE, end], t[t[ITERATION] + event]
        if end + 1 == items.shape[1] or place == len(places):
            return FULL, 0
        for k in range(loops):
            at = iteration * loops + k
            places[place, k] = t[t[DIGITS] + at] + work[HERE, k] * t[t[PERIOD] + at]
        places[place, loops] = t[t[LEAF] + iteration]
        items[SHAPE, end] = REASONS * t[t[TASK_KIND] + event - t[BLOCKS]] + reason
        items[EVENT, end] = event
        items[LINK, end] = last[event]
        last[event] = end
        end += 1
        items[PLACE, end] = place + 1
        event = before
        _copy(work, CHOSEN, HERE)
    return end, made
