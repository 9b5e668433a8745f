"""Which iterations of a loop are looked at: all, or all but stretches that repeat one period.

A loop of many iterations does the same over and over. Of a stretch of such iterations only the
period before it is looked at; the stretch is so many further copies of it. Iterations that are
looked at are numbered through: their *places*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylat.lowering.scan import Ints

__all__ = ["Cut", "Kept"]


@dataclass(frozen=True)
class Cut:
    """Iterations that are left out.

    Parameters
    ----------
    place
        Place of the first iteration after them.
    period, copies
        So many iterations make a period; so many copies of the period before `place` are left
        out.
    """

    place: int
    period: int
    copies: int

    @property
    def removed(self) -> int:
        """Number of iterations left out."""
        return self.period * self.copies


@dataclass(frozen=True)
class Kept:
    """The iterations of a loop that are looked at.

    Parameters
    ----------
    trips
        The loop's trip count.
    cuts
        What is left out, in order.

    Examples
    --------
    A loop of 100 iterations, of which 0 to 3 and 98, 99 are looked at: iteration 50 is the 47th
    copy of iteration 3.

    >>> kept = Kept(100, (Cut(4, 1, 94),))
    >>> kept.count, kept.digits.tolist()
    (6, [0, 1, 2, 3, 98, 99])
    >>> [a.tolist() for a in kept.locate(np.array([2, 50, 99]))]
    [[2, 3, 5], [0, 47, 0], [1, 1, 1]]
    """

    trips: int
    cuts: tuple[Cut, ...] = ()

    @cached_property
    def count(self) -> int:
        """Number of iterations that are looked at."""
        return self.trips - sum(cut.removed for cut in self.cuts)

    @cached_property
    def digits(self) -> Ints:
        """Per place, the iteration."""
        digits = np.arange(self.count)
        for cut in self.cuts:
            digits[cut.place :] += cut.removed
        return digits

    @cached_property
    def multiplicity(self) -> Ints:
        """Per place, the number of iterations that it stands for."""
        times = np.ones(self.count, dtype=np.int64)
        for cut in self.cuts:
            times[cut.place - cut.period : cut.place] += cut.copies
        return times

    @cached_property
    def periods(self) -> Ints:
        """Per place, the period of the cut that it stands before; 0 if none."""
        periods = np.zeros(self.count, dtype=np.int64)
        for cut in self.cuts:
            periods[cut.place - cut.period : cut.place] = cut.period
        return periods

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """First and last iteration of each run of those that are looked at."""
        ends = [cut.place - 1 for cut in self.cuts] + [self.count - 1]
        starts = [0] + [cut.place for cut in self.cuts]
        return tuple(
            (int(self.digits[a]), int(self.digits[b])) for a, b in zip(starts, ends, strict=True)
        )

    @cached_property
    def _runs(self) -> tuple[Ints, Ints, Ints]:
        """Per run, kept and left out in turn: first iteration, place, period (0: kept)."""
        first, place, period = [0], [0], [0]
        gone = 0
        for cut in self.cuts:
            first += [cut.place + gone, cut.place + gone + cut.removed]
            place += [cut.place - cut.period, cut.place]
            period += [cut.period, 0]
            gone += cut.removed
        return np.array(first), np.array(place), np.array(period)

    def locate(self, digits: Ints) -> tuple[Ints, Ints, Ints]:
        """Where iterations are looked at.

        Returns
        -------
        (places, copies, periods)
            The place that stands for each iteration, how many periods later the iteration is, and
            how long such a period is (1 where the iteration is looked at itself).
        """
        if not self.cuts:
            return digits, np.zeros_like(digits), np.ones_like(digits)
        first, place, period = self._runs
        run = np.searchsorted(first, digits, side="right") - 1
        into, size = digits - first[run], period[run]
        gone = size > 0
        safe = np.where(gone, size, 1)
        places = place[run] + np.where(gone, into % safe, into)
        return places, np.where(gone, into // safe + 1, 0), safe

    def place_of(self, digit: int) -> tuple[int, int]:
        """The place that stands for an iteration, and how many periods later that is."""
        gone = 0
        for cut in self.cuts:
            into = digit - gone - cut.place
            if into < 0:
                break
            if into < cut.removed:
                return cut.place - cut.period + into % cut.period, into // cut.period + 1
            gone += cut.removed
        return digit - gone, 0
