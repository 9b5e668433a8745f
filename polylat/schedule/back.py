"""Back in time through a schedule in which tile iterations stand for others, compiled by numba.

An *instance* of an event is the event as it is some periods later: the event and, per loop, how
many periods. Its time is the event's, and so many times later as the event is later than the one
a period earlier. What it waits for is what the event waits for, moved along.

Times may need more than 64 bits, and are only ever compared: they are kept modulo several
numbers that have no factor in common, whose product is more than twice any of them.
"""

from __future__ import annotations

from math import gcd, prod
from typing import Any, NamedTuple

import numba
import numpy as np

from polylat.schedule.graph import Ints, Times

__all__ = [
    "LOST",
    "REASONS",
    "Tables",
    "Trail",
    "moduli_for",
    "reasons_of",
    "residues",
    "walk_round",
]

# numba's decorators are untyped.
_njit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")

# Constants are numpy's integers: numba would compile a function anew for each of Python's that it
# is called with.
ZERO, NONE, LOST, FULL = -np.arange(4)
REASONS = 8
"""More than there are reasons: a stay's shape is its kind times so many, plus the reason."""
ROUNDS = 3
"""With so many of the last times that an event was met, a round may have begun."""

# Rows of the room for intermediate results, each with an entry per loop: copies of instances;
# numbers of ways; then, from `MOVES` on, two for each loop.
HERE, NOW, FOUND, CHOSEN, START, SOUGHT, NEAREST, WAYS, MOVES = np.arange(9)


class Tables(NamedTuple):
    """A schedule as plain arrays.

    Events are numbered as in `periodic.Events`: starts, and ends of tasks. A *wait* is of an
    event for another; of an event's, at most one is by a rule. Rows of loops are as long as the
    most loops that a leaf has.

    Parameters
    ----------
    moduli
        The moduli.
    values, durations
        Shape (moduli, events) and (moduli, tasks): times, and durations.
    iteration
        Per event, its tile iteration.
    earlier, after
        Shape (events, loops): the event like it a period earlier, and behind the stretch that its
        tile iteration stands for; -1 where there is none.
    periods
        Shape (tile iterations, loops): how many periods later it is behind that stretch.
    kind, sequence
        As in the task graph, per block.
    task_block, task_port
        As in the task graph, per task.
    task_kind
        Per task, what it does: tasks of one kind do the same in the same leaf.
    own_start, own
        Blocks by tile iteration.
    served_start, served
        Tasks by block.
    leaf, digits, period
        Per tile iteration, its leaf; shape (tile iterations, loops): the loops' indices, and how
        many iterations later its next copy is.
    keys, bases
        Numbers of tile iterations by places, increasing within a leaf; where each leaf's begin.
    trips, places
        Shape (leaves, loops): how many iterations, and how many places there are; 0 beyond a
        leaf's loops.
    cut_start, cut_place, cut_period, cut_copies, cut_stand
        Per leaf and loop, what is left out; the first iteration of the period before it.
    wait_start, wait_source, wait_rule, wait_reason, wait_copies
        Waits by what waits, then by rule; the last of shape (waits, loops).
    """

    moduli: Ints
    values: Ints
    durations: Ints
    iteration: Ints
    earlier: Ints
    after: Ints
    periods: Ints
    kind: Ints
    sequence: Ints
    task_block: Ints
    task_port: Ints
    task_kind: Ints
    own_start: Ints
    own: Ints
    served_start: Ints
    served: Ints
    leaf: Ints
    digits: Ints
    period: Ints
    keys: Ints
    bases: Ints
    trips: Ints
    places: Ints
    cut_start: Ints
    cut_place: Ints
    cut_period: Ints
    cut_copies: Ints
    cut_stand: Ints
    wait_start: Ints
    wait_source: Ints
    wait_rule: Ints
    wait_reason: Ints
    wait_copies: Ints


class Trail(NamedTuple):
    """Where a walk has been: items, which are stays on a port and repetitions of items.

    Equal items, wherever in the loops, have the same *shape*: a number. Below `REASONS * kinds` it
    is a stay's, ``REASONS * kind + reason``; from there on that of a repetition.

    Parameters
    ----------
    items
        Rows `SHAPE`, `PLACE` (where the item's places begin; one more entry than items), `EVENT`
        (-1 for a repetition) and `LINK` (the last item before it that was the same event).
    places
        Rows: where in the loops it is, loop by loop, and the leaf. Of a repetition, where its
        first round is.
    shapes
        Rows `COUNT` (how often it goes round), `CHILD` and `SHIFT` (where its children and shifts
        begin; one more entry than shapes), `CHAIN` (another shape in the same bucket).
    children
        Shapes of the items in a round.
    shifts
        By how many iterations in each loop each place moves from one round to the next.
    last
        Per event, the last item that was it.
    buckets
        Shapes of repetitions by what a hash function says of them.
    """

    items: Ints
    places: Ints
    shapes: Ints
    children: Ints
    shifts: Ints
    last: Ints
    buckets: Ints

    @staticmethod
    def empty(size: int, events: int, loops: int) -> Trail:
        """Room for so many items, and as many places, shapes, children and shifts."""
        return Trail(
            items=np.zeros((4, size + 1), dtype=np.int64),
            places=np.zeros((size, loops + 1), dtype=np.int64),
            shapes=np.zeros((4, size + 1), dtype=np.int64),
            children=np.zeros(size, dtype=np.int64),
            shifts=np.zeros((size, loops), dtype=np.int64),
            last=np.full(events, NONE, dtype=np.int64),
            buckets=np.full(4096, NONE, dtype=np.int64),
        )


SHAPE, PLACE, EVENT, LINK = np.arange(4)
COUNT, CHILD, SHIFT, CHAIN = np.arange(4)


def moduli_for(most: int) -> Ints:
    """Numbers below 2^31 without a common factor, whose product is more than twice a number.

    So integers from minus this number to it are equal if they are modulo each.

    Examples
    --------
    >>> moduli_for(10).tolist(), moduli_for(1 << 40).tolist()
    ([2147483647], [2147483647, 2147483646])
    """
    found: list[int] = []
    candidate = (1 << 31) - 1
    while prod(found) <= max(2 * most, 1):
        if gcd(candidate, prod(found)) == 1:
            found.append(candidate)
        candidate -= 1
    return np.array(found, dtype=np.int64)


def residues(times: Times, moduli: Ints) -> Ints:
    """Times modulo each of some numbers: shape (moduli, times)."""
    rows = [(times % int(m)).astype(np.int64) for m in moduli]
    return np.array(rows, dtype=np.int64).reshape(len(moduli), len(times))


def walk_round(tables: Tables, last: int, start: int, port: int) -> tuple[Trail, int, int]:
    """From the end of a task back to time 0; what the way repeats is kept once.

    Parameters
    ----------
    tables
        The schedule.
    last
        The event.
    start, port
        Reasons: nothing was waited for, the port was.

    Returns
    -------
    (trail, items, shapes)
        The items, the latest first; how many, and how many shapes of repetitions. `LOST` instead
        of the number of items if what is waited for is not found.
    """
    t, work, time = _packed(tables), *_room(tables)
    size = 1024 + len(tables.task_block)
    kinds = int(tables.task_kind.max(initial=0)) + 1
    while True:
        trail = Trail.empty(size, len(tables.iteration), tables.digits.shape[1])
        items, shapes = _walk(t, work, time, *trail, kinds, last, start, port)
        if items != FULL:
            return trail, items, shapes
        size *= 2


def reasons_of(tables: Tables, tasks: Ints, start: int, port: int) -> Ints:
    """What tasks waited for; `port` where that is not found."""
    return np.asarray(_reasons(_packed(tables), *_room(tables), tasks, start, port))


def _packed(tables: Tables) -> Ints:
    """All in one array, which begins with where in it each table does, and some sizes.

    A compiled function that takes so many arrays takes a minute to compile.
    """
    parts = [np.ravel(part) for part in tables]
    sizes = [
        len(tables.moduli),
        tables.digits.shape[1],
        len(tables.iteration),
        len(tables.kind),
        len(tables.leaf),
        len(tables.task_block),
    ]
    head = len(parts) + len(sizes)
    starts = head + np.cumsum([0, *(len(part) for part in parts[:-1])])
    return np.concatenate((starts, sizes, *parts)).astype(np.int64)


def _room(tables: Tables) -> tuple[Ints, Ints]:
    """Room for intermediate results, and for two times."""
    loops = tables.digits.shape[1]
    work = np.zeros((MOVES + 2 * loops, loops), dtype=np.int64)
    return work, np.zeros((2, len(tables.moduli)), dtype=np.int64)


# Entries at the beginning of the packed array: where each table begins, and sizes.
(
    MODULI,
    VALUES,
    DURATIONS,
    ITERATION,
    EARLIER,
    AFTER,
    PERIODS,
    KIND,
    SEQUENCE,
    TASK_BLOCK,
    TASK_PORT,
    TASK_KIND,
    OWN_START,
    OWN,
    SERVED_START,
    SERVED,
    LEAF,
    DIGITS,
    PERIOD,
    KEYS,
    BASES,
    TRIPS,
    PLACES,
    CUT_START,
    CUT_PLACE,
    CUT_PERIOD,
    CUT_COPIES,
    CUT_STAND,
    WAIT_START,
    WAIT_SOURCE,
    WAIT_RULE,
    WAIT_REASON,
    WAIT_COPIES,
    N_MODULI,
    LOOPS,
    EVENTS,
    BLOCKS,
    ITERATIONS,
    TASKS,
) = np.arange(39)


@_njit
def _search(t: Any, table: Any, low: Any, high: Any, wanted: Any) -> Any:
    """Where a number is in a part of a table that increases; `NONE`."""
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


# Instances: an event, and the row of the copies.


@_njit
def _residue(t: Any, work: Any, event: Any, row: Any, r: Any) -> Any:
    """The time of an instance modulo one of the moduli; `LOST` if it is not known."""
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
def _is_at(t: Any, work: Any, time: Any, event: Any, row: Any) -> Any:
    """Whether an instance is at a time: 1, 0, or `LOST`."""
    for r in range(t[N_MODULI]):
        found = _residue(t, work, event, row, r)
        if found < 0:
            return LOST
        if found != time[0, r]:
            return 0
    return 1


@_njit
def _like(t: Any, event: Any, iteration: Any) -> Any:
    """The event like this one in another tile iteration that is looked at; `NONE`."""
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
    """The event that stands for one like this at `SOUGHT`, its copies into a row; `NONE`."""
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
            removed = period * t[t[CUT_COPIES] + cut]
            if into < removed:
                place = t[t[CUT_PLACE] + cut] - period + into % period
                work[row, k] = into // period + 1
                break
            place -= removed
        key = key * t[t[PLACES] + loop] + place
    at = _search(t, KEYS, t[t[BASES] + leaf], t[t[BASES] + leaf + 1], key)
    return NONE if at < 0 else _like(t, event, at)


# Waits


@_njit
def _wait_like(t: Any, event: Any, rule: Any) -> Any:
    """The wait of an event by a rule; `NONE`."""
    low, high = t[t[WAIT_START] + event], t[t[WAIT_START] + event + 1]
    return _search(t, WAIT_RULE, low, high, rule)


@_njit
def _place(t: Any, wait: Any, k: Any) -> Any:
    """Index in a loop of what is waited for."""
    at = t[t[ITERATION] + t[t[WAIT_SOURCE] + wait]] * t[LOOPS] + k
    copies = t[t[WAIT_COPIES] + wait * t[LOOPS] + k]
    return t[t[DIGITS] + at] + copies * t[t[PERIOD] + at]


@_njit
def _moves(t: Any, work: Any, event: Any, loop: Any, wait: Any) -> Any:
    """How far what an event waits for moves from one copy to the next: as many ways; `LOST`.

    Per period, as it does across the stretch; and as far as from a period earlier.
    """
    loops, rule, row, ways = t[LOOPS], t[t[WAIT_RULE] + wait], MOVES + 2 * loop, 0
    behind, before = t[t[AFTER] + event * loops + loop], t[t[EARLIER] + event * loops + loop]
    if behind < 0 or before < 0:
        return LOST
    at = _wait_like(t, behind, rule)
    if at >= 0:
        periods = t[t[PERIODS] + t[t[ITERATION] + event] * loops + loop]
        ways = 1
        for k in range(loops):
            by = _place(t, at, k) - _place(t, wait, k)
            if by % periods:
                ways = 0
            work[row, k] = by // periods
    at = _wait_like(t, before, rule)
    if at >= 0:
        for k in range(loops):
            work[row + ways, k] = _place(t, wait, k) - _place(t, at, k)
        ways += 1
    return ways


@_njit
def _ways(t: Any, work: Any, event: Any, row: Any, wait: Any) -> Any:
    """In how many ways what an instance waits for may have moved; `LOST`."""
    total = 1
    for k in range(t[LOOPS]):
        if work[row, k]:
            ways = _moves(t, work, event, k, wait)
            if ways < 0:
                return LOST
            work[WAYS, k] = ways
            total *= ways
    return total


@_njit
def _awaited(t: Any, work: Any, row: Any, wait: Any, way: Any) -> Any:
    """What an instance waits for if that moved in one of the ways, copies in `FOUND`; `NONE`."""
    loops = t[LOOPS]
    for k in range(loops):
        work[SOUGHT, k] = _place(t, wait, k)
    for loop in range(loops - 1, -1, -1):
        if work[row, loop]:
            move = MOVES + 2 * loop + way % work[WAYS, loop]
            way //= work[WAYS, loop]
            for k in range(loops):
                work[SOUGHT, k] += work[row, loop] * work[move, k]
    return _locate(t, work, t[t[WAIT_SOURCE] + wait], FOUND)


@_njit
def _on_port(t: Any, work: Any, time: Any, event: Any) -> Any:
    """What the port of the task `HERE` served until a time, copies in `CHOSEN`; `LOST`."""
    for wait in range(t[t[WAIT_START] + event], t[t[WAIT_START] + event + 1]):
        ways = _ways(t, work, event, HERE, wait)
        if ways < 0:
            return LOST
        for way in range(ways):
            found = _awaited(t, work, HERE, wait, way)
            if found < 0:
                continue
            there = _is_at(t, work, time, found, FOUND)
            if there < 0:
                return LOST
            if there:
                _copy(work, FOUND, CHOSEN)
                return found
    return LOST


@_njit
def _kind_of(t: Any, event: Any) -> Any:
    return t[t[KIND] + t[t[TASK_BLOCK] + event - t[BLOCKS]]]


@_njit
def _nearer(t: Any, work: Any, event: Any, than: Any) -> Any:
    """Whether the end of a task is to be followed rather than that of another of its leaf.

    The later in the loops; then the foreground's.
    """
    leaves = t[LEAF]
    if t[leaves + t[t[ITERATION] + event]] != t[leaves + t[t[ITERATION] + than]]:
        return False
    for k in range(t[LOOPS]):
        if work[SOUGHT, k] != work[NEAREST, k]:
            return work[SOUGHT, k] > work[NEAREST, k]
    front, other = _kind_of(t, event) == 1, _kind_of(t, than) == 1
    return front if front != other else event > than


@_njit
def _previous(t: Any, work: Any, time: Any, event: Any, none: Any, port: Any) -> Any:
    """The task that ended when that `HERE` began, at a time, copies in `CHOSEN`; and the reason.

    `NONE` if it began at 0, `LOST` if there is no such thing.
    """
    if not time[0].any():
        return NONE, none
    fill = _kind_of(t, event) == 0
    now = t[t[TASK_BLOCK] + event - t[BLOCKS]] if fill else t[t[ITERATION] + event]
    _copy(work, HERE, NOW)
    ready = _is_at(t, work, time, now, NOW)
    if ready < 0:
        return LOST, none
    if not ready:
        return _on_port(t, work, time, event), port
    reason = none
    while True:
        end, start, end_reason, start_reason = NONE, NONE, none, none
        for wait in range(t[t[WAIT_START] + now], t[t[WAIT_START] + now + 1]):
            ways = _ways(t, work, now, NOW, wait)
            if ways < 0:
                return LOST, none
            for way in range(ways):
                found = _awaited(t, work, NOW, wait, way)
                there = 0 if found < 0 else _is_at(t, work, time, found, FOUND)
                if there < 0:
                    return LOST, none
                if not there:
                    continue
                if found >= t[BLOCKS]:
                    if end < 0 or _nearer(t, work, found, end):
                        end_reason = t[t[WAIT_REASON] + wait] if end < 0 else end_reason
                        end = found
                        _copy(work, FOUND, CHOSEN)
                        _copy(work, SOUGHT, NEAREST)
                elif start < 0:
                    start, start_reason = found, t[t[WAIT_REASON] + wait]
                    _copy(work, FOUND, START)
        if end >= 0:
            return end, end_reason if reason == none else reason
        if start < 0:
            return LOST, none
        now = start
        _copy(work, START, NOW)
        reason = start_reason if reason == none else reason


@_njit
def _begin(t: Any, time: Any, task: Any) -> Any:
    """From the time at which a task ends to that at which it begins."""
    for r in range(t[N_MODULI]):
        duration = t[t[DURATIONS] + r * t[TASKS] + task]
        time[0, r] = (time[0, r] - duration) % t[t[MODULI] + r]


@_njit
def _reasons(t: Any, work: Any, time: Any, tasks: Any, none: Any, port: Any) -> Any:
    found = np.empty(len(tasks), np.int64)
    for i in range(len(tasks)):
        event = t[BLOCKS] + tasks[i]
        for r in range(t[N_MODULI]):
            time[0, r] = t[t[VALUES] + r * t[EVENTS] + event]
        _begin(t, time, tasks[i])
        before, reason = _previous(t, work, time, event, none, port)
        found[i] = port if before == LOST else reason
    return found


# Coming round


@_njit
def _times(t: Any, places: Any, low: Any, middle: Any, high: Any) -> Any:
    """How often the way goes on the same before something is not a copy any more.

    Places from `low` on and before `middle` are those of the round before last, from there on and
    before `high` those of the last.
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
                stand = t[t[CUT_STAND] + cut]
                size = t[t[CUT_PERIOD] + cut] * (t[t[CUT_COPIES] + cut] + 1)
                if by > 0 and stand <= digit < stand + size:
                    first = stand
            if first < 0:
                return 0
            most = (digit - first) // by - 1
            if least < 0 or most < least:
                least = max(most, 0)
    return max(least, 0)


@_njit
def _further(
    t: Any, work: Any, time: Any, places: Any, low: Any, middle: Any, times: Any, event: Any
) -> Any:
    """The event so many rounds further; `NONE` if the times are not those of rounds, or `LOST`.

    The instance that the way has come to is `HERE`, at a time; both become those so many rounds
    further.
    """
    for k in range(t[LOOPS]):
        work[SOUGHT, k] = places[middle, k]
    before = _locate(t, work, event, FOUND)
    for k in range(t[LOOPS]):
        # That is where the way was a round ago; it is one round further already.
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
def _go_round(
    t: Any, work: Any, time: Any, items: Any, places: Any, last: Any, end: Any, event: Any
) -> Any:
    """Where a round began if the way has gone the same twice, how often it goes on, and to what.

    The first is `NONE` if there is no such round, or `LOST`.
    """
    middle = last[event]
    for _ in range(ROUNDS):
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
            times = _times(t, places, low, high, items[PLACE, end])
            if times >= 1:
                found = _further(t, work, time, places, low, high, times, event)
                if found != NONE:
                    return (middle if found >= 0 else LOST), times, found
        middle = items[LINK, middle]
    return NONE, ZERO, event


@_njit
def _same(
    shapes: Any, children: Any, shifts: Any, known: Any, new: Any, size: Any, moved: Any
) -> Any:
    """Whether a shape is that which is being made."""
    child, shift = shapes[CHILD, known], shapes[SHIFT, known]
    if shapes[COUNT, known] != shapes[COUNT, new]:
        return False
    if shapes[CHILD, known + 1] - child != size or shapes[SHIFT, known + 1] - shift != moved:
        return False
    for i in range(size):
        if children[child + i] != children[shapes[CHILD, new] + i]:
            return False
    for i in range(moved):
        for k in range(shifts.shape[1]):
            if shifts[shift + i, k] != shifts[shapes[SHIFT, new] + i, k]:
                return False
    return True


@_njit
def _shape(
    items: Any,
    places: Any,
    shapes: Any,
    children: Any,
    shifts: Any,
    buckets: Any,
    first: Any,
    middle: Any,
    rounds: Any,
    new: Any,
) -> Any:
    """The number of the shape of a repetition: `new` if there was none like it, or `FULL`.

    The repetition's first round is made of the items from `first` on and before `middle`, its
    second of those from there on.
    """
    low, high = items[PLACE, first], items[PLACE, middle]
    child, shift = shapes[CHILD, new], shapes[SHIFT, new]
    size, moved = middle - first, high - low
    if new + 1 == shapes.shape[1] or child + size > len(children) or shift + moved > len(shifts):
        return FULL
    mixed = rounds
    for i in range(size):
        children[child + i] = items[SHAPE, first + i]
        mixed = (mixed * 1000003 + items[SHAPE, first + i]) & 0xFFFFFFFFFF
    for i in range(moved):
        for k in range(shifts.shape[1]):
            shifts[shift + i, k] = places[high + i, k] - places[low + i, k]
            mixed = (mixed * 1000003 + shifts[shift + i, k]) & 0xFFFFFFFFFF
    bucket = mixed % len(buckets)
    shapes[COUNT, new] = rounds
    known = buckets[bucket]
    while known >= 0:
        if _same(shapes, children, shifts, known, new, size, moved):
            return known
        known = shapes[CHAIN, known]
    shapes[CHILD, new + 1] = child + size
    shapes[SHIFT, new + 1] = shift + moved
    shapes[CHAIN, new] = buckets[bucket]
    buckets[bucket] = new
    return new


@_njit
def _walk(
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
    """As `walk_round`: numbers of items and of shapes; `FULL` if there is not room enough."""
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
            middle, times, event = _go_round(t, work, time, items, places, last, end, event)
            if middle == LOST:
                return LOST, 0
            if middle >= 0:
                first = 2 * middle - end
                shape = _shape(
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
        _begin(t, time, event - t[BLOCKS])
        before, reason = _previous(t, work, time, event, none, port)
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
