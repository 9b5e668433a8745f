"""The compiled functions of `backtrack` that follow a path back to time 0 and detect its rounds."""

from __future__ import annotations

from typing import Any

from polylat.schedule.backtrack_shapes import EVENT, FULL, LINK, PLACE, SHAPE, shape_number
from polylat.schedule.backtrack_steps import (
    BLOCKS,
    CHOSEN,
    CUT_COUNT,
    CUT_LAST_PERIOD,
    CUT_PERIOD,
    CUT_START,
    DIGITS,
    FOUND,
    HERE,
    ITERATION,
    LEAF,
    LOOPS,
    LOST,
    MODULI,
    N_MODULI,
    NONE,
    PERIOD,
    REASONS,
    SOUGHT,
    TASK_KIND,
    WAIT_LAG,
    WAIT_LATENCY,
    WAITS,
    ZERO,
    copy_row,
    locate,
    predecessor,
    residue,
    subtract_duration,
)
from polylat.schedule.compilation import compiled

__all__ = ["compiled_walk"]

_njit = compiled(error_model="numpy")

CANDIDATES = 3
"""How many of an event's latest occurrences are tried as the beginning of a round."""


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
    before = locate(t, work, event, FOUND)
    for k in range(t[LOOPS]):
        # `SOUGHT` is where the walk was a round ago, hence one round more.
        work[SOUGHT, k] -= (times + 1) * (places[low, k] - places[middle, k])
    there = locate(t, work, event, CHOSEN)
    if before < 0 or there < 0:
        return LOST
    for r in range(t[N_MODULI]):
        modulus = t[t[MODULI] + r]
        earlier = residue(t, work, before, FOUND, r)
        found = residue(t, work, there, CHOSEN, r)
        if earlier < 0 or found < 0:
            return LOST
        once = (earlier - time[0, r]) % modulus
        if found != (time[0, r] - times % modulus * once) % modulus:
            return NONE
        time[1, r] = found
    for r in range(t[N_MODULI]):
        time[0, r] = time[1, r]
    copy_row(work, CHOSEN, HERE)
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
def _record(t: Any, work: Any, items: Any, places: Any, end: Any, event: Any, shape: Any) -> Any:
    """Record an item at the event `HERE`; return the number of items, or `FULL`."""
    place, iteration = items[PLACE, end], t[t[ITERATION] + event]
    if end + 1 == items.shape[1] or place == len(places):
        return FULL
    for k in range(t[LOOPS]):
        at = iteration * t[LOOPS] + k
        places[place, k] = t[t[DIGITS] + at] + work[HERE, k] * t[t[PERIOD] + at]
    places[place, t[LOOPS]] = t[t[LEAF] + iteration]
    items[SHAPE, end] = shape
    items[EVENT, end] = NONE
    items[PLACE, end + 1] = place + 1
    return end + 1


@_njit
def _may_begin_round(items: Any, last: Any, item: Any, event: Any) -> Any:
    """Note that an item is the first one recorded after the walk has come to an event."""
    items[EVENT, item] = event
    items[LINK, item] = last[event]
    last[event] = item


@_njit
def _fold(
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
    end: Any,
    made: Any,
    event: Any,
) -> Any:
    """Replace the last round and further ones by a repetition if the last items are a round.

    Returns the event behind them, or `FULL` or `LOST`; the numbers of items and of shapes.
    """
    copied = False
    for k in range(t[LOOPS]):
        copied = copied or work[HERE, k] != 0
    if not copied:
        return event, end, made
    middle, times, event = _last_round(t, work, time, items, places, last, end, event)
    if middle == LOST:
        return LOST, end, made
    if middle < 0:
        return event, end, made
    first = 2 * middle - end
    shape = shape_number(
        items, places, shapes, children, shifts, buckets, first, middle, times + 2, made
    )
    if shape < 0:
        return FULL, end, made
    for i in range(end - 1, first - 1, -1):
        if items[EVENT, i] >= 0:
            last[items[EVENT, i]] = items[LINK, i]
    items[SHAPE, first] = REASONS * kinds + shape
    items[EVENT, first] = NONE
    items[PLACE, first + 1] = items[PLACE, middle]
    return event, first + 1, max(made, shape + 1)


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
    periods: Any,
    latent: Any,
    none: Any,
    port: Any,
    flow: Any,
) -> Any:
    """Walk back from an event to time 0.

    Parameters
    ----------
    t, work, time
        The packed tables, and room for intermediate results and for times.
    items, places, shapes, children, shifts, last, buckets
        The fields of an empty `BacktrackRecord`, which is filled.
    kinds
        Number of kinds of services and latencies.
    event, periods
        The event, and by how many periods it is translated, shape (loops,).
    latent
        The kind of the fixed latency that follows the event, `NONE` if none does.
    none, port, flow
        The codes `START`, `PORT` and `FLOW` of `reasons`.

    Returns
    -------
    (items, shapes)
        Numbers of items and of shapes. Instead of the former: `FULL` if the trail is too small,
        `LOST` if a predecessor is not found.
    """
    end, made = ZERO, ZERO
    trail = items, places, shapes, children, shifts, last, buckets
    for k in range(t[LOOPS]):
        work[HERE, k] = periods[k]
    for r in range(t[N_MODULI]):
        time[0, r] = residue(t, work, event, HERE, r)
        if time[0, r] < 0:
            return LOST, ZERO
    while event >= 0:
        serves = event >= t[BLOCKS]
        if serves and latent >= 0:
            end = _record(t, work, items, places, end, event, REASONS * latent + flow)
            if end < 0:
                return FULL, ZERO
        event, end, made = _fold(t, work, time, *trail, kinds, end, made, event)
        if event < 0:
            return event, ZERO
        if serves:
            subtract_duration(t, time, event - t[BLOCKS])
        before, reason, wait = predecessor(t, work, time, event, none, port)
        if before == LOST:
            return LOST, ZERO
        shape = REASONS * latent + flow
        if serves:
            shape = REASONS * t[t[TASK_KIND] + event - t[BLOCKS]] + reason
        end = _record(t, work, items, places, end, event, shape)
        if end < 0:
            return FULL, ZERO
        _may_begin_round(items, last, end - 1, event)
        event = before
        copy_row(work, CHOSEN, HERE)
        latent = NONE
        if wait >= 0:
            latent = t[t[WAIT_LATENCY] + wait]
            for r in range(t[N_MODULI]):
                lag = t[t[WAIT_LAG] + r * t[WAITS] + wait]
                time[0, r] = (time[0, r] - lag) % t[t[MODULI] + r]
    return end, made
