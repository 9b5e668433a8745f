"""Check that everything starts as early as possible, by visiting all tile iterations.

The rules bound every start from below. Every start must equal the largest of its bounds: 0, or the
end of an event that it waits for.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polylat.lowering.points import PiecewiseAffine
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.pointwise import related_rows
from polylat.proof.precedence import PrecedenceRule, Until
from polylat.proof.tabulated_times import TabulatedTimes
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces

__all__ = ["MAX_VISITED", "check_earliest", "check_without_ports"]

MAX_VISITED = 100_000
"""Largest number of events that are visited one by one."""


def check_earliest(schedule: CheckedSchedule) -> int | None:
    """Check that no start could be earlier, with the same order of service on the ports.

    Parameters
    ----------
    schedule
        The schedule, which keeps all rules.

    Returns
    -------
    int or None
        The number of starts; None where there are more than `MAX_VISITED`.

    Raises
    ------
    BrokenRule
        A start could be earlier.
    """
    return sum(_Earliest(schedule).check()) if _is_small(schedule) else None


def check_without_ports(schedule: CheckedSchedule) -> int | None:
    """Check that everything starts at the earliest time that the rules allow.

    Parameters
    ----------
    schedule
        A schedule in which no block waits for a port. It need not have been checked before.

    Returns
    -------
    int or None
        The number of starts; None where there are more than `MAX_VISITED`.

    Raises
    ------
    BrokenRule
        A start is earlier or later.
    """
    return sum(_Earliest(schedule).check_without_ports()) if _is_small(schedule) else None


def _is_small(schedule: CheckedSchedule) -> bool:
    events = [f for s in schedule.schedule.blocks for f in (s.ready, *s.tasks.values())]
    return sum(f.points for f in events) <= MAX_VISITED


class _Earliest:
    """The least start of every event, given the times of the other events."""

    def __init__(self, schedule: CheckedSchedule) -> None:
        self.schedule = schedule
        self._tables: dict[int, TabulatedTimes] = {}
        self._finishes: dict[tuple[int, Until], Times] = {}

    def check(self) -> Iterator[int]:
        """Check all starts, and yield their numbers."""
        for stream in self.schedule.schedule.blocks:
            leaf, block = stream.leaf, stream.block
            digits, ready = self._table(stream.ready).table
            least = self._least(leaf, block, digits)
            late = np.flatnonzero(np.asarray(ready > least, dtype=np.bool_))
            if len(late):
                index = tuple(digits[int(late[0])].tolist())
                when = self.schedule.words.time(int(least[late[0]]))
                what = self.schedule.start_in_words(leaf, block, index)
                raise BrokenRule(f"{what} but nothing that it waits for ends after {when}")
            yield len(ready)
        for port in range(len(self.schedule.ports)):
            yield self._check_port(port)

    def check_without_ports(self) -> Iterator[int]:
        """Check that all starts are the least ones, and yield their numbers."""
        for stream in self.schedule.schedule.blocks:
            table = self._table(stream.ready)
            digits, ready = table.table
            wrong = np.asarray(ready != self._least(stream.leaf, stream.block, digits))
            for pieces in stream.tasks.values():
                at, there = table.find(self._table(pieces).table[0])
                start = self._table(pieces).table[1]
                wrong[at] |= ~there | np.asarray(start != ready[at], dtype=np.bool_)
            if wrong.any():
                index = tuple(digits[int(np.flatnonzero(wrong)[0])].tolist())
                what = self.schedule.start_in_words(stream.leaf, stream.block, index)
                raise BrokenRule(f"without ports, {what} which is not when it may start")
            yield len(ready)

    def _table(self, pieces: Pieces) -> TabulatedTimes:
        if id(pieces) not in self._tables:
            self._tables[id(pieces)] = TabulatedTimes(pieces)
        return self._tables[id(pieces)]

    def _least(self, leaf: int, block: int, digits: Ints) -> Times:
        """Return the least start of a block in some tile iterations, without ports."""
        least: Times = np.full(len(digits), 0, dtype=self._dtype(leaf))
        if block == self.schedule.sets.foreground(leaf):
            least[1:] = self._table(self.schedule.foreground(leaf).ready).table[1][:-1]
        for rule in self.schedule.rules:
            if (rule.leaf, rule.block) == (leaf, block):
                self._raise_by_rule(least, rule, digits)
        return least

    def _raise_by_rule(self, least: Times, rule: PrecedenceRule, digits: Ints) -> None:
        """Raise the starts of tile iterations to the ends of the events that a rule awaits."""
        leaf, block = rule.awaited, rule.awaited_block
        values, there = PiecewiseAffine(rule.function).at(digits)
        some = least[there]
        if block is None:
            front = self._table(self.schedule.foreground(leaf).ready)
            finish = self._finish(leaf, rule.until)
            least[there] = np.maximum(some, finish[front.find(values[there])[0]])
            return
        every = self.schedule.block_starts(leaf, block).ready
        for ends in self.schedule.passes(leaf, block, rule.until):
            event = self._table(ends)
            if rule.relation is None or (ends.points == every.points and _is_ordered(event)):
                _raise_to(some, event, values[there])
                continue
            waiting = self._table(self.schedule.block_starts(rule.leaf, rule.block).ready)
            at, which = related_rows(rule.relation, waiting, event)
            np.maximum.at(least, at, event.table[1][which])
        least[there] = np.maximum(least[there], some)

    def _finish(self, leaf: int, until: Until) -> Times:
        """Return when each tile iteration of a leaf has finished, or has been served."""
        if (leaf, until) not in self._finishes:
            front = self.schedule.sets.foreground(leaf)
            table = self._table(self.schedule.foreground(leaf).ready)
            found: Times = table.table[1].copy()
            for ends in self.schedule.passes(leaf, front, until):
                _raise_to(found, self._table(ends), table.table[0])
            self._finishes[leaf, until] = np.maximum.accumulate(found)
        return self._finishes[leaf, until]

    def _dtype(self, leaf: int) -> np.dtype:
        return self.schedule.foreground(leaf).ready.start.dtype

    def _check_port(self, port: int) -> int:
        """Check that a port serves each block when it may start, or after the previous one."""
        served = [(s, s.tasks[port]) for s in self.schedule.schedule.blocks if port in s.tasks]
        starts, ends, ready, owners = [], [], [], []
        for number, (stream, pieces) in enumerate(served):
            digits, start = self._table(pieces).table
            may = self._table(stream.ready)
            starts.append(start)
            ends.append(self._table(self.schedule.ends(pieces)).table[1])
            ready.append(may.table[1][may.find(digits)[0]])
            owners.append(np.full(len(start), number))
        if not served:
            return 0
        start, end = np.concatenate(starts), np.concatenate(ends)
        order = np.argsort(start, kind="stable")
        least = np.concatenate(ready)[order]
        least[1:] = np.maximum(least[1:], end[order][:-1])
        late = np.flatnonzero(np.asarray(start[order] > least, dtype=np.bool_))
        if len(late):
            at = int(order[late[0]])
            stream, pieces = served[int(np.concatenate(owners)[at])]
            words = self.schedule.words
            raise BrokenRule(
                f"{words.port(port)} serves {words.block(stream.leaf, stream.block)} of Einsum"
                f" {words.einsum(stream.leaf)!r} at {words.time(int(start[at]))}, but could at"
                f" {words.time(int(least[late[0]]))}"
            )
        return len(order)


def _raise_to(times: Times, event: TabulatedTimes, digits: Ints) -> None:
    """Raise times to those of an event in the same tile iterations, where it occurs."""
    at, there = event.find(digits)
    times[there] = np.maximum(times[there], event.table[1][at[there]])


def _is_ordered(event: TabulatedTimes) -> bool:
    """Return whether times never decrease from one tile iteration to the next."""
    times = event.table[1]
    return not np.asarray(times[1:] < times[:-1], dtype=np.bool_).any()
