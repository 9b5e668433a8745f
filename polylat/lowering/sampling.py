"""The sampled iterations of a loop.

A long loop repeats itself: a range of its iterations consists of further periods of the period
before it. Such a range is skipped, and the period before it represents it. The sampled iterations
are numbered consecutively: their *places*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylat.schedule.arrays import Ints

__all__ = ["LoopSample", "SkippedPeriods"]


@dataclass(frozen=True)
class SkippedPeriods:
    """A skipped range of iterations: a number of periods.

    Parameters
    ----------
    place
        Place of the first iteration after the range.
    period, periods
        Number of iterations per period, and number of skipped periods. The period before `place`
        represents them.
    """

    place: int
    period: int
    periods: int

    @property
    def removed(self) -> int:
        """Number of skipped iterations."""
        return self.period * self.periods


@dataclass(frozen=True)
class LoopSample:
    """The sampled iterations of a loop.

    Parameters
    ----------
    trips
        The loop's trip count.
    cuts
        The skipped ranges, in increasing order.

    Examples
    --------
    A loop of 100 iterations, of which 0 to 3, 98 and 99 are sampled: iteration 50 is 47 periods
    later than iteration 3, which represents it.

    >>> kept = LoopSample(100, (SkippedPeriods(4, 1, 94),))
    >>> kept.count, kept.digits.tolist()
    (6, [0, 1, 2, 3, 98, 99])
    >>> [a.tolist() for a in kept.locate(np.array([2, 50, 99]))]
    [[2, 3, 5], [0, 47, 0], [1, 1, 1]]
    """

    trips: int
    cuts: tuple[SkippedPeriods, ...] = ()

    @cached_property
    def count(self) -> int:
        """Number of sampled iterations."""
        return self.trips - sum(cut.removed for cut in self.cuts)

    @property
    def digits(self) -> Ints:
        """Per place, the iteration: shape (count,)."""
        return self._digits if self.cuts else np.arange(self.count)

    @cached_property
    def _digits(self) -> Ints:
        digits = np.arange(self.count)
        for cut in self.cuts:
            digits[cut.place :] += cut.removed
        return digits

    @cached_property
    def skipped_periods(self) -> Ints:
        """Per place, the number of skipped periods that it represents: shape (count,)."""
        periods = np.zeros(self.count, dtype=np.int64)
        for cut in self.cuts:
            periods[cut.place - cut.period : cut.place] = cut.periods
        return periods

    @cached_property
    def multiplicity(self) -> Ints:
        """Per place, the number of iterations that it represents, with itself: shape (count,)."""
        return self.skipped_periods + 1

    @cached_property
    def period_lengths(self) -> Ints:
        """Per place, the period of the skipped range that it represents, or 0: shape (count,)."""
        periods = np.zeros(self.count, dtype=np.int64)
        for cut in self.cuts:
            periods[cut.place - cut.period : cut.place] = cut.period
        return periods

    @cached_property
    def repeating(self) -> list[tuple[int, int, int]]:
        """Per skipped range: first iteration of the period before it, last iteration, period."""
        return [
            (
                int(self.digits[c.place - c.period]),
                int(self.digits[c.place - 1]) + c.removed,
                c.period,
            )
            for c in self.cuts
        ]

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """First and last iteration of each contiguous range of sampled iterations."""
        ends = [cut.place - 1 for cut in self.cuts] + [self.count - 1]
        starts = [0] + [cut.place for cut in self.cuts]
        return tuple(
            (int(self.digits[a]), int(self.digits[b])) for a, b in zip(starts, ends, strict=True)
        )

    @cached_property
    def ranges(self) -> tuple[Ints, Ints, Ints]:
        """Per range, sampled and skipped in turn: first iteration, place, period (0: sampled)."""
        first, place, period = [0], [0], [0]
        skipped = 0
        for cut in self.cuts:
            first += [cut.place + skipped, cut.place + skipped + cut.removed]
            place += [cut.place - cut.period, cut.place]
            period += [cut.period, 0]
            skipped += cut.removed
        return np.array(first), np.array(place), np.array(period)

    def locate(self, digits: Ints) -> tuple[Ints, Ints, Ints]:
        """Return the places that represent iterations.

        Parameters
        ----------
        digits
            Iterations, shape (n,).

        Returns
        -------
        (places, copies, periods)
            The place that represents each iteration, by how many periods the iteration is later
            (0 if it is sampled), and the iterations per period (1 if it is sampled): shape (n,)
            each.
        """
        if not self.cuts:
            return digits, np.zeros_like(digits), np.ones_like(digits)
        first, place, period = self.ranges
        run = np.searchsorted(first, digits, side="right") - 1
        offset, size = digits - first[run], period[run]
        skipped = size > 0
        divisor = np.where(skipped, size, 1)
        places = place[run] + np.where(skipped, offset % divisor, offset)
        return places, np.where(skipped, offset // divisor + 1, 0), divisor
