"""The critical path of a periodic schedule: a walk back in time that keeps repeating parts once.

An *instance* of an event is its translate some periods later: the event and, per loop, the number
of periods. Its time, and what it waits for, are extrapolated from the event and from the event's
translate one period earlier.

Where the walk does the same twice in a row, moving back by the same number of iterations, it skips
the further *rounds* of the same kind at once. Equal repetitions share one *shape* (hash consing),
so that the cost does not depend on trip counts.

Times may need more than 64 bits, but are only compared: they are kept as residues modulo several
coprime numbers (a residue number system; Chinese remainder theorem).
"""

from __future__ import annotations

from math import gcd, prod
from typing import NamedTuple

import numpy as np

from polylat.schedule.arrays import Ints, Narrow, widened
from polylat.schedule.backtrack_rounds import compiled_walk
from polylat.schedule.backtrack_shapes import FULL
from polylat.schedule.backtrack_steps import MOVES, NONE, compiled_reasons

__all__ = [
    "BacktrackRecord",
    "BacktrackTables",
    "binding_reasons",
    "coprime_moduli",
    "residues",
    "trace_critical_path",
]


class BacktrackTables(NamedTuple):
    """A periodic schedule as arrays.

    Events are the starts and the ends of tasks, numbered as in `EventNumbering`. An event has at
    most one precedence by each rule. Rows per loop are as long as the largest number of loops of a
    leaf.

    Parameters
    ----------
    moduli
        Shape (moduli,): the moduli.
    values, durations
        Shape (moduli, events) and (moduli, tasks): residues of times and of durations, in steps.
    iteration
        Shape (events,): the tile iteration of each event.
    earlier, after
        Shape (events, loops): the translate of each event one period earlier, and in the first
        period behind the skipped range that its tile iteration represents; -1 where there is none.
    periods
        Shape (iterations, loops): how many periods later that translate is.
    kind, sequence
        Shape (blocks,), as in `TaskGraph`.
    task_block, task_port
        Shape (tasks,), as in `TaskGraph`.
    task_kind
        Shape (tasks,): tasks of one kind serve equal accesses of the same leaf. Fixed latencies
        have kinds of their own.
    own_start, own
        Blocks by tile iteration, as `arrays.by_key` returns them.
    served_start, served
        Tasks by block.
    leaf
        Shape (iterations,): the leaf of each tile iteration.
    digits, period
        Shape (iterations, loops): the loop indices, and the length of a period in iterations.
    keys, bases
        Shape (iterations,): mixed-radix numbers of the sampled positions, increasing within a
        leaf; shape (leaves + 1,): where those of each leaf begin.
    trips, places
        Shape (leaves, loops): numbers of iterations, and of sampled positions; 0 beyond the loops
        of a leaf.
    cut_start
        Shape (leaves · loops + 1,): where the skipped ranges of each leaf and loop begin.
    cut_place, cut_period, cut_count, cut_last_period
        Shape (ranges,): the sampled position at which each range begins, its period, the number of
        skipped periods, and the first iteration of the period before it.
    wait_start
        Shape (events + 1,): where the precedences of each event begin.
    wait_source, wait_rule, wait_group, wait_reason
        Shape (precedences,), by target, then by rule: the awaited event, the rule, the number of
        the edges that the rule is a part of, the reason code.
    wait_periods
        Shape (precedences, loops): how many periods later than `wait_source` the awaited event is.
    wait_lag, wait_latency
        Shape (moduli, precedences): residues of the lags, in steps; shape (precedences,): the kind
        of the fixed latency that the lag is, -1 where there is none.
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
    cut_count: Ints
    cut_last_period: Ints
    wait_start: Ints
    wait_source: Ints
    wait_rule: Ints
    wait_group: Ints
    wait_reason: Ints
    wait_periods: Ints
    wait_lag: Ints
    wait_latency: Ints


class BacktrackRecord(NamedTuple):
    """The record of a walk: items, each a service of a port, a latency or a repetition of items.

    The *shape* of an item is a number that equal items share, wherever in the loops they are.
    Numbers below ``REASONS * kinds`` are shapes of services and latencies, ``REASONS * kind +
    reason``; the others are shapes of repetitions.

    Parameters
    ----------
    items
        Shape (4, size + 1), rows `SHAPE`, `PLACE` (where the places of the item begin; one more
        entry than items), `EVENT` (the event that the walk had come to; -1 for a repetition, and
        for a latency behind a service) and `LINK` (the previous item of the same event).
    places
        Shape (size, loops + 1): the loop indices of a service or latency, and its leaf; of a
        repetition, the places of its first round.
    shapes
        Shape (4, size + 1), rows `COUNT` (number of rounds), `CHILD` and `SHIFT` (where the
        children and the shifts begin; one more entry than shapes) and `CHAIN` (another shape in
        the same bucket).
    children
        Shape (size,): shapes of the items of a round.
    shifts
        Shape (size, loops): the shift of each place, in iterations, from one round to the next.
    last
        Shape (events,): the latest item of each event.
    buckets
        Shape (4096,): hash table of the shapes of repetitions.
    """

    items: Ints
    places: Ints
    shapes: Ints
    children: Ints
    shifts: Ints
    last: Ints
    buckets: Ints

    @staticmethod
    def empty(size: int, events: int, loops: int) -> BacktrackRecord:
        """Return an empty record.

        Parameters
        ----------
        size
            Capacity for items, places, shapes, children and shifts alike.
        events, loops
            Number of events, and the largest number of loops of a leaf.

        Returns
        -------
        BacktrackRecord
            The record.
        """
        return BacktrackRecord(
            items=np.zeros((4, size + 1), dtype=np.int64),
            places=np.zeros((size, loops + 1), dtype=np.int64),
            shapes=np.zeros((4, size + 1), dtype=np.int64),
            children=np.zeros(size, dtype=np.int64),
            shifts=np.zeros((size, loops), dtype=np.int64),
            last=np.full(events, NONE, dtype=np.int64),
            buckets=np.full(4096, NONE, dtype=np.int64),
        )


def coprime_moduli(most: int) -> Ints:
    """Return moduli that distinguish all integers of a range.

    Parameters
    ----------
    most
        The largest absolute value of the integers.

    Returns
    -------
    numpy.ndarray
        Shape (moduli,): coprime numbers below 2^31, whose product exceeds ``2 * most``. Integers
        from −`most` to `most` are equal if and only if all of their residues are.

    Examples
    --------
    >>> coprime_moduli(10).tolist(), coprime_moduli(1 << 40).tolist()
    ([2147483647], [2147483647, 2147483646])
    """
    found: list[int] = []
    candidate = (1 << 31) - 1
    while prod(found) <= max(2 * most, 1):
        if gcd(candidate, prod(found)) == 1:
            found.append(candidate)
        candidate -= 1
    return np.array(found, dtype=np.int64)


def residues(times: Narrow, moduli: Ints) -> Ints:
    """Return the residues of times modulo each of several numbers.

    Parameters
    ----------
    times
        Shape (n,), in steps, in any type of integers.
    moduli
        Shape (moduli,).

    Returns
    -------
    numpy.ndarray
        Shape (moduli, n): the residues, all non-negative.

    Examples
    --------
    >>> import numpy as np
    >>> residues(np.array([-1, 5], dtype=np.int16), coprime_moduli(5)).tolist()
    [[2147483646, 5]]
    """
    times = widened(times)
    rows = [(times % int(m)).astype(np.int64) for m in moduli]
    return np.array(rows, dtype=np.int64).reshape(len(moduli), len(times))


def trace_critical_path(
    tables: BacktrackTables,
    kinds: int,
    last: int,
    periods: Ints,
    latency: int,
    codes: tuple[int, int, int],
) -> tuple[BacktrackRecord, int, int]:
    """Walk from an event back to time 0.

    Parameters
    ----------
    tables
        The schedule.
    kinds
        Number of kinds of services and latencies.
    last, periods
        The event, and by how many periods it is translated, shape (loops,).
    latency
        The kind of the fixed latency that follows the event, -1 if none does.
    codes
        The codes `START`, `PORT` and `FLOW` of `reasons`.

    Returns
    -------
    (trail, items, shapes)
        The record of the walk, the latest item first; the numbers of items and of shapes of
        repetitions. Instead of the number of items, `LOST` if a predecessor is not found.
    """
    t, work, time = _packed(tables), *_room(tables)
    size = 1024 + len(tables.task_block)
    where = np.int64(last), periods, np.int64(latency)
    while True:
        trail = BacktrackRecord.empty(size, len(tables.iteration), tables.digits.shape[1])
        items, shapes = compiled_walk(t, work, time, *trail, kinds, *where, *codes)
        if items != FULL:
            return trail, items, shapes
        size *= 2


def binding_reasons(
    tables: BacktrackTables, tasks: Ints, periods: Ints, start: int, port: int, unknown: int
) -> Ints:
    """Return what tasks waited for.

    Parameters
    ----------
    tables
        The schedule.
    tasks, periods
        Sampled tasks, shape (n,), and by how many periods each is translated, shape (n, loops).
    start, port, unknown
        The codes `START`, `PORT` and `UNKNOWN` of `reasons`.

    Returns
    -------
    numpy.ndarray
        Shape (n,): reason codes; `unknown` where the predecessor is not found.
    """
    room = _room(tables)
    found = compiled_reasons(_packed(tables), *room, tasks, periods, start, port, unknown)
    return np.asarray(found)


def _packed(tables: BacktrackTables) -> Ints:
    """Pack all tables into one array, headed by the offset of each table and by some sizes.

    numba takes a minute to compile a function of that many arrays.
    """
    parts = [np.ravel(part) for part in tables]
    sizes = [
        len(tables.moduli),
        tables.digits.shape[1],
        len(tables.iteration),
        len(tables.kind),
        len(tables.leaf),
        len(tables.task_block),
        len(tables.wait_source),
    ]
    head = len(parts) + len(sizes)
    starts = head + np.cumsum([0, *(len(part) for part in parts[:-1])])
    return np.concatenate((starts, sizes, *parts)).astype(np.int64)


def _room(tables: BacktrackTables) -> tuple[Ints, Ints]:
    """Room for intermediate results, and for the residues of two times."""
    loops = tables.digits.shape[1]
    work = np.zeros((MOVES + 2 * loops, loops), dtype=np.int64)
    return work, np.zeros((2, len(tables.moduli)), dtype=np.int64)
