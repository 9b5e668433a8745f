"""Levels that series of periodic changes add up to, and their peaks, for series of any length.

Where no series begins or ends, the level equals the level one common period earlier plus a
constant. So its maximum lies in the first or in the last common period of such a range, and the
rest is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np

from polylat.errors import UnsupportedError
from polylat.schedule.arrays import Ints, Times, concatenated_ranges

__all__ = ["ChangeSeries", "TooManyChangesError", "level_steps", "merge_series", "peak_level"]

MAX_CHANGES = 1 << 22
"""Most changes that are visited one by one to find a peak."""

MIN_SKIPPED_CHANGES = 1000
"""Ranges of fewer changes are visited: skipping them would not save time."""


class TooManyChangesError(UnsupportedError):
    """More changes would have to be visited than a limit allows."""


@dataclass(frozen=True, eq=False)
class ChangeSeries:
    """Series of changes of a level, each periodic in several nested dimensions.

    Parameters
    ----------
    first
        Shape (series,): the time of the first change.
    period, count
        Shape (dimensions, series): period and number of repetitions of each dimension, from the
        outermost inwards. Series s has changes at ``first[s] + sum(period[d, s] * k[d])`` for
        ``0 <= k[d] < count[d, s]``.
    weight
        Shape (series,): the amount that each change adds to the level.
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
        """Duration and number of the changes of one outermost period, shape (series,) each."""
        span = ((self.count[1:] - 1) * self.period[1:]).sum(axis=0)
        return span, self.count[1:].prod(axis=0, dtype=np.int64)

    @cached_property
    def stop(self) -> Times:
        """Time of the last change of each series, shape (series,)."""
        last: Times = self.first + ((self.count - 1) * self.period).sum(axis=0)
        return last

    @cached_property
    def total(self) -> Times:
        """Sum of all changes of each series, shape (series,)."""
        total: Times = self.weight * self.count.prod(axis=0, dtype=np.int64)
        return total

    def select(self, which: Ints | slice) -> ChangeSeries:
        """Select some of the series.

        Parameters
        ----------
        which
            Indices of series, or a slice.

        Returns
        -------
        ChangeSeries
            The selected series.
        """
        return ChangeSeries(
            self.first[which], self.period[:, which], self.count[:, which], self.weight[which]
        )

    def between(self, low: int, high: int, most: int) -> tuple[int, ChangeSeries]:
        """Unroll the outermost dimension over a time window.

        Parameters
        ----------
        low, high
            The window: changes after `low` and before `high`.
        most
            The most series to return.

        Returns
        -------
        (level, changes)
            The sum of the periods that are complete at `low`, and the periods that reach into the
            window as series of one dimension less. These may begin before `low` or end after
            `high`.

        Raises
        ------
        UnsupportedError
            More than `most` periods reach into the window.
        """
        span, many = self.inner
        step = np.maximum(self.period[0], 1)
        count = self.count[0]
        over = np.clip((low - self.first - span) // step + 1, 0, count).astype(np.int64)
        begun = np.clip((high - 1 - self.first) // step + 1, 0, count).astype(np.int64)
        number = begun - over
        if number.sum(dtype=object) > most:
            raise _too_many_error()
        which, copy = concatenated_ranges(over, number)
        first = self.first[which] + copy.astype(self.first.dtype) * self.period[0, which]
        level = int((self.weight * many * over).sum())
        rest = ChangeSeries(
            first, self.period[1:, which], self.count[1:, which], self.weight[which]
        )
        return level, rest


def merge_series(parts: Sequence[ChangeSeries]) -> ChangeSeries:
    """Collect the series of several parts.

    Parameters
    ----------
    parts
        The parts, of any numbers of dimensions.

    Returns
    -------
    ChangeSeries
        All series, sorted by their first change, with longer periods further out.
    """
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
    # Repetitions at the same time are one change.
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
    return ChangeSeries(first[order], period[:depth, order], count[:depth, order], weight[order])


def peak_level(changes: ChangeSeries, low: int, high: int) -> int:
    """Return the highest level in a time window.

    Parameters
    ----------
    changes
        The series.
    low, high
        The window: from `low` on and before `high`.

    Returns
    -------
    int
        The highest level.

    Raises
    ------
    UnsupportedError
        The common period is so long that more than `MAX_CHANGES` changes must be visited.
    """
    if not changes.depth:
        _, level = _accumulate(changes, low, high)
        return int(level.max())
    best: int | None = None
    total, count = 0, 0
    on, following = np.zeros(0, dtype=np.int64), 0
    for start, end in _candidate_windows(changes, low, high):
        # Sum up the completed series; visit the running ones and those that begin here.
        over = changes.stop[on] <= start
        total += int(changes.total[on[over]].sum())
        begun = int(np.searchsorted(changes.first, end))
        on = np.concatenate((on[~over], np.arange(following, begun)))
        following = begun
        ahead, inner = changes.select(on).between(start, end, MAX_CHANGES)
        count += len(inner.first)
        if count > MAX_CHANGES:
            raise _too_many_error()
        inner = inner.select(np.argsort(inner.first, kind="stable"))
        here = ahead + total + peak_level(inner, start, end)
        best = here if best is None else max(best, here)
    return best or 0


def level_steps(changes: ChangeSeries, low: int, high: int, most: int) -> tuple[Times, Times]:
    """Return the level at the start of a time window and at each change in it.

    Parameters
    ----------
    changes
        The series.
    low, high
        The window: from `low` on and before `high`.
    most
        The most changes to list.

    Returns
    -------
    (times, levels)
        Shape (n,) each: `low` and the times of the changes, and the level from each of them on.

    Raises
    ------
    UnsupportedError
        There are more than `most` changes.
    """
    base = 0
    while changes.depth:
        level, changes = changes.between(low, high, most)
        base += level
    times, summed = _accumulate(changes, low, high)
    keep = np.append(True, summed[1:] != summed[:-1])
    return times[keep], base + summed[keep]


def _accumulate(changes: ChangeSeries, low: int, high: int) -> tuple[Times, Times]:
    """Return the level at `low` and at every later change before `high`, for single changes."""
    mine = changes.first < high
    first, weight = changes.first[mine], changes.weight[mine]
    before = first <= low
    order = np.argsort(first[~before], kind="stable")
    times = np.concatenate((np.array([low], dtype=first.dtype), first[~before][order]))
    start = np.array([weight[before].sum()], dtype=weight.dtype)
    level = np.cumsum(np.concatenate((start, weight[~before][order])))
    last = np.concatenate((times[1:] != times[:-1], [True]))
    return times[last], level[last]


def _candidate_windows(changes: ChangeSeries, low: int, high: int) -> list[tuple[int, int]]:
    """Return the windows, in order, one of which contains the highest level."""
    again = np.flatnonzero(changes.count[0] > 1)
    if not len(again):
        return [(low, high)]
    # From `regular` to `until`, a series repeats its level one period earlier, plus a constant.
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
        if ((end - start) // np.maximum(step[on], 1) * many[on]).sum() < MIN_SKIPPED_CHANGES:
            continue
        if (regular[on] > start).any() or (until[on] < end).any():
            continue
        length, up = _window_length(step[on], weight[on])
        if length >= end - start:
            continue
        # Visit only the first or the last part of the gap, whichever is higher.
        if up:
            found.append((since, start))
            since = end - length
        else:
            found.append((since, start + length))
            since = end
    found.append((since, high))
    return [(a, b) for a, b in found if a < b]


def _window_length(periods: Times, weights: Times) -> tuple[int, bool]:
    """Return how much of a periodic range must be visited, and whether at its end."""
    some, which = np.unique(periods, return_inverse=True)
    sums = np.full(len(some), 0, dtype=weights.dtype)
    np.add.at(sums, which, weights)
    rate = sum(Fraction(int(w), int(p)) for w, p in zip(sums, some, strict=True))
    length = lcm(*(int(p) for p in some))
    if rate:
        # The level stays within the changes of one period of its average line.
        length = min(length, int(int(abs(weights).sum()) / abs(rate)) + 2)
    return length, rate > 0


def _too_many_error() -> TooManyChangesError:
    return TooManyChangesError(
        "the tiles in a memory are replaced at periods whose common multiple is too long",
        where="mapping",
        fix="use granularity='tile', or larger tiles",
    )
