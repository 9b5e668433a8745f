"""The level that series of changes add up to, and its peak, however long the series are.

Where no series begins or ends, all is as it was one common period earlier but for a constant, so
that the level is highest in the first or in the last such period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np

from polylat.errors import UnsupportedError
from polylat.lowering.scan import Ints
from polylat.schedule.graph import Times
from polylat.schedule.periodic import runs

__all__ = ["Changes", "highest", "joined", "levels"]

MOST_CHANGES = 1 << 22
"""So many changes of a level are looked at one by one, to find its peak."""

FEW_CHANGES = 1000
"""So many are looked at rather than left out: that takes no longer."""


@dataclass(frozen=True, eq=False)
class Changes:
    """Series of changes of a level.

    Parameters
    ----------
    first
        When each series begins.
    period, count
        Shape (dimensions, series): it repeats so often after so long, and so on inwards.
    weight
        What each change adds.
    """

    first: Times
    period: Times
    count: Ints
    weight: Times

    @property
    def depth(self) -> int:
        """Number of dimensions."""
        return len(self.period)

    @cached_property
    def inner(self) -> tuple[Times, Ints]:
        """How long one period's changes go on, and how many they are."""
        span = ((self.count[1:] - 1) * self.period[1:]).sum(axis=0)
        return span, self.count[1:].prod(axis=0, dtype=np.int64)

    @cached_property
    def stop(self) -> Times:
        """When each series makes its last change."""
        last: Times = self.first + ((self.count - 1) * self.period).sum(axis=0)
        return last

    @cached_property
    def total(self) -> Times:
        """What each series adds up to."""
        total: Times = self.weight * self.count.prod(axis=0, dtype=np.int64)
        return total

    def some(self, which: Ints | slice) -> Changes:
        """Some of the series."""
        return Changes(
            self.first[which], self.period[:, which], self.count[:, which], self.weight[which]
        )

    def between(self, low: int, high: int, most: int) -> tuple[int, Changes]:
        """The changes after `low` and before `high`, with one dimension less.

        Returns
        -------
        (level, changes)
            The level that what is complete at `low` adds up to, and the other series: they may
            begin before `low` or end after `high`.

        Raises
        ------
        UnsupportedError
            They are more than `most`.
        """
        span, many = self.inner
        step = np.maximum(self.period[0], 1)
        count = self.count[0]
        over = np.clip((low - self.first - span) // step + 1, 0, count).astype(np.int64)
        begun = np.clip((high - 1 - self.first) // step + 1, 0, count).astype(np.int64)
        number = begun - over
        if int(number.sum()) > most:
            raise _too_many()
        which, copy = runs(over, number)
        first = self.first[which] + copy.astype(self.first.dtype) * self.period[0, which]
        level = int((self.weight * many * over).sum())
        rest = Changes(first, self.period[1:, which], self.count[1:, which], self.weight[which])
        return level, rest


def joined(parts: Sequence[Changes]) -> Changes:
    """All changes of several, in order of their beginnings, longer periods further out."""
    depth = max((part.depth for part in parts), default=0)
    dtype = np.result_type(np.int64, *(part.first.dtype for part in parts))
    empty = np.zeros(0, dtype=np.int64)
    first = np.concatenate([empty.astype(dtype), *(part.first for part in parts)])
    weight = np.concatenate([empty.astype(object), *(part.weight for part in parts)])
    period = np.full((depth, len(first)), 0, dtype=dtype)
    count = np.ones((depth, len(first)), dtype=np.int64)
    at = 0
    for part in parts:
        stop = at + len(part.first)
        period[: part.depth, at:stop] = part.period
        count[: part.depth, at:stop] = part.count
        at = stop
    # What repeats without delay is one change.
    weight = weight * np.where(period == 0, count, 1).prod(axis=0, dtype=np.int64)
    count[period == 0] = 1
    period[count == 1] = 0
    largest = int((abs(weight) * count.prod(axis=0, dtype=np.int64)).sum())
    if largest < 1 << 62:
        weight = weight.astype(np.int64)
    outward = np.argsort(-period, axis=0, kind="stable")
    period = np.take_along_axis(period, outward, axis=0)
    count = np.take_along_axis(count, outward, axis=0)
    depth = int((count > 1).any(axis=1).sum())
    order = np.argsort(first, kind="stable")
    return Changes(first[order], period[:depth, order], count[:depth, order], weight[order])


def highest(changes: Changes, low: int, high: int) -> int:
    """The highest level from `low` on and before `high`.

    Raises
    ------
    UnsupportedError
        Series have so different periods that it takes too long to look.
    """
    if not changes.depth:
        _, level = _summed(changes, low, high)
        return int(level.max())
    best: int | None = None
    total, count = 0, 0
    on, following = np.zeros(0, dtype=np.int64), 0
    for start, end in _windows(changes, low, high):
        # Sum up what is complete, and look at what is not, or begins.
        over = changes.stop[on] <= start
        total += int(changes.total[on[over]].sum())
        begun = int(np.searchsorted(changes.first, end))
        on = np.concatenate((on[~over], np.arange(following, begun)))
        following = begun
        ahead, inner = changes.some(on).between(start, end, MOST_CHANGES)
        count += len(inner.first)
        if count > MOST_CHANGES:
            raise _too_many()
        inner = inner.some(np.argsort(inner.first, kind="stable"))
        here = ahead + total + highest(inner, start, end)
        best = here if best is None else max(best, here)
    return best or 0


def levels(changes: Changes, low: int, high: int, most: int) -> tuple[Times, Times]:
    """The level at `low`, and at each change after it and before `high`.

    Returns
    -------
    (times, levels)
        Of which the first is that at `low`.

    Raises
    ------
    UnsupportedError
        There are more than `most` changes.
    """
    base = 0
    while changes.depth:
        level, changes = changes.between(low, high, most)
        base += level
    times, summed = _summed(changes, low, high)
    keep = np.append(True, summed[1:] != summed[:-1])
    return times[keep], base + summed[keep]


def _summed(changes: Changes, low: int, high: int) -> tuple[Times, Times]:
    """Single changes summed up: the level at `low` and at all times of changes up to `high`."""
    mine = changes.first < high
    first, weight = changes.first[mine], changes.weight[mine]
    before = first <= low
    order = np.argsort(first[~before], kind="stable")
    times = np.concatenate((np.array([low], dtype=first.dtype), first[~before][order]))
    start = np.array([weight[before].sum()], dtype=weight.dtype)
    level = np.cumsum(np.concatenate((start, weight[~before][order])))
    last = np.concatenate((times[1:] != times[:-1], [True]))
    return times[last], level[last]


def _windows(changes: Changes, low: int, high: int) -> list[tuple[int, int]]:
    """Where to look for the highest level, in order: the rest is no higher."""
    again = np.flatnonzero(changes.count[0] > 1)
    if not len(again):
        return [(low, high)]
    # From here to there each is what it was a period earlier, and one period's changes more.
    step, first, stop = changes.period[0, again], changes.first[again], changes.stop[again]
    regular = first + changes.inner[0][again] - step
    until = first + changes.count[0, again] * step
    many = changes.inner[1][again]
    weight = changes.weight[again] * many
    marks = np.concatenate((changes.first, regular, until, stop))
    ends = np.array([low, high], dtype=marks.dtype)
    marks = np.unique(np.concatenate((ends, marks[(marks > low) & (marks < high)])))
    found: list[tuple[int, int]] = []
    since = low
    on, following = np.zeros(0, dtype=np.int64), 0
    for gap in np.flatnonzero(marks[1:] - marks[:-1] > step.min()).tolist():
        start, end = int(marks[gap]), int(marks[gap + 1])
        begun = int(np.searchsorted(first, end))
        on = np.concatenate((on[stop[on] > start], np.arange(following, begun)))
        on, following = on[stop[on] > start], begun
        if ((end - start) // np.maximum(step[on], 1) * many[on]).sum() < FEW_CHANGES:
            continue
        if (regular[on] > start).any() or (until[on] < end).any():
            continue
        length, up = _length(step[on], weight[on])
        if length >= end - start:
            continue
        # All of the gap but its first or last part is left out.
        if up:
            found.append((since, start))
            since = end - length
        else:
            found.append((since, start + length))
            since = end
    found.append((since, high))
    return [(a, b) for a, b in found if a < b]


def _length(periods: Times, weights: Times) -> tuple[int, bool]:
    """How much of a stretch in which all repeats has to be looked at, and whether at its end."""
    some, which = np.unique(periods, return_inverse=True)
    sums = np.full(len(some), 0, dtype=weights.dtype)
    np.add.at(sums, which, weights)
    rate = sum(Fraction(int(w), int(p)) for w, p in zip(sums, some, strict=True))
    length = lcm(*(int(p) for p in some))
    if rate:
        # No level is further from the line that they all follow than what one period changes.
        length = min(length, int(int(abs(weights).sum()) / abs(rate)) + 2)
    return length, rate > 0


def _too_many() -> UnsupportedError:
    return UnsupportedError(
        "the tiles in a memory come and go at rates of which no short time is a multiple",
        where="mapping",
        mend="use granularity='tile', or larger tiles",
    )
