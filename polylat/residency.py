"""Tiles that come and go at constant rates: families of residents, and the level they add up to.

A tile of a tile iteration that stands for others stands for their tiles: each copy comes and goes
so much later than the one before it. The level of a memory is a sum of such series of changes.
Where nothing of them begins or ends, all is as it was one common period earlier but for a
constant, so that the level is highest in the first or in the last such period.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np

from polylat.errors import UnsupportedError
from polylat.lowering.kept import Kept
from polylat.lowering.scan import Ints
from polylat.schedule.graph import Times
from polylat.schedule.periodic import runs

__all__ = ["Changes", "Residents", "highest", "joined", "levels"]

MOST_CHANGES = 1 << 22
"""So many changes of a level are looked at one by one, to find its peak."""


@dataclass(frozen=True, eq=False)
class Residents:
    """The tiles of one holder: those that are looked at, each with its copies.

    Parameters
    ----------
    tensor
        The holder's tensor.
    variables, kept
        Per loop above the holder: its variable, and which of its iterations are looked at.
    places
        Shape (loops, tiles): where in these loops the tiles are that are looked at, in order.
    start, end
        When each is resident.
    start_growth, end_growth
        Shape (loops, tiles): by how much its copies one period later start and end later.
    elements, bits_per_value
        The size of each, and of an element.
    """

    tensor: str
    variables: tuple[str, ...]
    kept: tuple[Kept, ...]
    places: Ints
    start: Times
    end: Times
    start_growth: Times
    end_growth: Times
    elements: Ints
    bits_per_value: Fraction

    @cached_property
    def counts(self) -> Ints:
        """Shape (loops, tiles): for how many each stands, itself included."""
        counts = np.ones_like(self.places)
        for k, kept in enumerate(self.kept):
            if kept.cuts:
                counts[k] = kept.multiplicity[self.places[k]]
        return counts

    @cached_property
    def bases(self) -> Ints:
        """Shape (loops, tiles): the loops' indices."""
        rows = [kept.digits[row] for kept, row in zip(self.kept, self.places, strict=True)]
        return np.array(rows, dtype=np.int64).reshape(self.places.shape)

    @cached_property
    def strides(self) -> Ints:
        """Shape (loops, tiles): how many iterations later the next copy is (0: there is none)."""
        rows = [kept.periods[row] for kept, row in zip(self.kept, self.places, strict=True)]
        return np.array(rows, dtype=np.int64).reshape(self.places.shape)

    @cached_property
    def last(self) -> int:
        """When the last one ends."""
        return int((self.end + ((self.counts - 1) * self.end_growth).sum(axis=0)).max(initial=0))

    def span(self, tile: int, copies: Sequence[int]) -> tuple[int, int]:
        """When a copy of a tile starts and ends."""
        start, end = int(self.start[tile]), int(self.end[tile])
        for k, times in enumerate(copies):
            if times:
                start += times * int(self.start_growth[k, tile])
                end += times * int(self.end_growth[k, tile])
        return start, end

    def index(self, tile: int, copies: Sequence[int]) -> tuple[int, ...]:
        """The loops' indices for a copy of a tile."""
        return tuple(
            int(self.bases[k, tile]) + times * int(self.strides[k, tile])
            for k, times in enumerate(copies)
        )

    def every(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """All tiles that are ever resident, in order, as (tile looked at, copies)."""
        for tile, copies in self._walk(0, 0, len(self.start)):
            start, end = self.span(tile, copies)
            if start < end:
                yield tile, copies

    def _walk(self, loop: int, low: int, high: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        if loop == len(self.kept):
            for tile in range(low, high):
                yield tile, ()
            return
        row = self.places[loop, low:high]
        some = np.unique(row)
        starts = low + np.searchsorted(row, some)
        ends = low + np.searchsorted(row, some, side="right")
        where = {p: (a, b) for p, a, b in zip(*map(np.ndarray.tolist, (some, starts, ends)))}
        for place, times in _iterations(self.kept[loop], where):
            for tile, copies in self._walk(loop + 1, *where[place]):
                yield tile, (times, *copies)

    def at(self, time: int) -> list[tuple[int, tuple[int, ...]]]:
        """The tiles that are resident at an instant, in order, as (tile looked at, copies)."""
        latest = self.end + ((self.counts - 1) * self.end_growth).sum(axis=0)
        found = []
        for tile in np.flatnonzero((self.start <= time) & (latest > time)).tolist():
            ways = (self.counts, self.start_growth, self.end_growth)
            rows = list(zip(*(way[:, tile].tolist() for way in ways), strict=True))
            start, end = int(self.start[tile]), int(latest[tile])
            found += [(tile, copies) for copies in _resident(rows, start, end, time)]
        if any(kept.cuts for kept in self.kept):
            found.sort(key=lambda item: self.index(*item))
        return found

    def changes(self, denominator: int) -> Changes:
        """The changes that the tiles make to a level, in bits times `denominator`."""
        bits = self.elements.astype(object) * int(self.bits_per_value * denominator)
        return Changes(
            np.concatenate((self.start, self.end)),
            np.concatenate((self.start_growth, self.end_growth), axis=1),
            np.concatenate((self.counts, self.counts), axis=1),
            np.concatenate((bits, -bits)),
        )


def _iterations(kept: Kept, there: dict[int, tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """All iterations of a loop, as (place, copies)."""
    done = 0
    for cut in kept.cuts:
        yield from ((place, 0) for place in range(done, cut.place) if place in there)
        some = [place for place in range(cut.place - cut.period, cut.place) if place in there]
        if some:
            for times in range(1, cut.copies + 1):
                yield from ((place, times) for place in some)
        done = cut.place
    yield from ((place, 0) for place in range(done, kept.count) if place in there)


def _resident(
    rows: Sequence[tuple[int, int, int]], start: int, end: int, time: int
) -> Iterator[tuple[int, ...]]:
    """Which copies of a tile are resident at an instant.

    Parameters
    ----------
    rows
        Per loop: the number of copies, and by how much each starts and ends later.
    start, end
        The start of the first of them, and the end of the last one.
    time
        The instant.
    """
    if not rows:
        if start <= time < end:
            yield ()
        return
    (count, later, longer), *rest = rows
    end -= (count - 1) * longer
    low = max(0, (time - end) // longer + 1) if longer else 0
    high = min(count - 1, (time - start) // later) if later else count - 1
    for times in range(low, high + 1):
        for copies in _resident(rest, start + times * later, end + times * longer, time):
            yield (times, *copies)


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
        return self.first + ((self.count - 1) * self.period).sum(axis=0)

    @cached_property
    def total(self) -> Times:
        """What each series adds up to."""
        return self.weight * self.count.prod(axis=0, dtype=np.int64)

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
    latest = np.maximum.accumulate(changes.stop) if len(changes.stop) else changes.stop
    complete = np.concatenate(([0], np.cumsum(changes.total)))
    for start, end in _windows(changes, low, high):
        over = int(np.searchsorted(latest, start, side="right"))
        begun = int(np.searchsorted(changes.first, end))
        near = changes.some(slice(over, max(over, begun)))
        level, inner = near.between(start, end, MOST_CHANGES)
        inner = inner.some(np.argsort(inner.first, kind="stable"))
        level += int(complete[over]) + highest(inner, start, end)
        best = level if best is None else max(best, level)
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
    times, level = _summed(changes, low, high)
    keep = np.concatenate(([True], level[1:] != level[:-1]))
    return times[keep], base + level[keep]


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
    """Where to look for the highest level: the rest is no higher."""
    step, count, (span, many) = changes.period[0], changes.count[0], changes.inner
    again = np.flatnonzero(count > 1)
    # From here to there each is what it was a period earlier, and one period's changes more.
    regular = changes.first[again] + span[again] - step[again]
    until = changes.first[again] + count[again] * step[again]
    stop = changes.stop[again]
    marks = np.concatenate((changes.first, regular, until, stop))
    marks = marks[(marks > low) & (marks < high)]
    ends = np.array([low, high], dtype=marks.dtype)
    marks = np.unique(np.concatenate((marks, ends)))
    found: list[tuple[int, int]] = []
    since = low
    shortest = int(step[again].min()) if len(again) else high - low
    for gap in np.flatnonzero(marks[1:] - marks[:-1] > shortest):
        start, end = int(marks[gap]), int(marks[gap + 1])
        on = (changes.first[again] < end) & (stop > start)
        mine = again[on]
        if not len(mine) or (regular[on] > start).any() or (until[on] < end).any():
            continue
        weight = changes.weight[mine] * many[mine]
        length, up = _length(step[mine], weight)
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
