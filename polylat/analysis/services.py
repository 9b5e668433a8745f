"""All services of a schedule by its ports, as runs that repeat.

A *service* is the part of a block that one port serves without interruption. A *run* is one service
and its repetitions at constant rates, nested. The number of runs does not depend on trip counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from polylat.analysis.starts import block_starts
from polylat.engine.solution import Solution
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.arrays import concatenated_ranges as spread
from polylat.schedule.pieces import Pieces, merge_pieces

__all__ = ["RepeatedRange", "ServiceRuns", "services"]

_MOST_PAIRS = 1 << 16
"""Number of pairs of a run and a time that are processed at once."""


@dataclass(frozen=True, eq=False)
class RepeatedRange:
    """A range of time in which all services repeat.

    Parameters
    ----------
    start, period, count
        `count` periods of `period` steps, from `start` on.
    """

    start: int
    period: int
    count: int


@dataclass(frozen=True, eq=False)
class ServiceRuns:
    """Runs of services.

    Parameters
    ----------
    first, duration
        Start of the first service of each run, and duration of each service, in steps. Shape
        (runs,).
    rate, count, loop, stride
        Shape (levels, runs), longer rates first: the services repeat `count` times, each `rate`
        steps later, `stride` iterations further in loop `loop`.
    digits
        Shape (loops, runs): the tile iteration of the first service.
    stream, port
        Number of the block of a leaf, and the port. Shape (runs,).
    """

    first: Times
    duration: Times
    rate: Times
    count: Ints
    loop: Ints
    stride: Ints
    digits: Ints
    stream: Ints
    port: Ints

    @property
    def size(self) -> int:
        """Number of runs."""
        return len(self.first)

    @cached_property
    def services(self) -> list[int]:
        """Per run, the number of its services."""
        return [int(n) for n in self.count.astype(object).prod(axis=0)] if self.size else []

    @cached_property
    def span(self) -> Times:
        """Shape (levels + 1, runs): time from first start to last end, from each level inwards."""
        wide = self.rate * (self.count - 1).astype(self.rate.dtype)
        lasts = self.duration[np.newaxis]
        return np.cumsum(np.concatenate((lasts, wide[::-1])), axis=0)[::-1]

    @property
    def stop(self) -> Times:
        """End of the last service of each run."""
        return np.asarray(self.first + self.span[0])

    def some(self, which: Ints | np.ndarray) -> ServiceRuns:
        """Select runs.

        Parameters
        ----------
        which
            Numbers of runs, or a mask.

        Returns
        -------
        ServiceRuns
            These runs.
        """
        return ServiceRuns(
            self.first[which],
            self.duration[which],
            self.rate[:, which],
            self.count[:, which],
            self.loop[:, which],
            self.stride[:, which],
            self.digits[:, which],
            self.stream[which],
            self.port[which],
        )

    def seen(self, low: int, high: int) -> ServiceRuns:
        """Select the runs that overlap a window of time.

        Parameters
        ----------
        low, high
            The times, in steps.

        Returns
        -------
        ServiceRuns
            These runs, whole.
        """
        inside = np.asarray(self.first < high, dtype=np.bool_)
        return self.some(inside & np.asarray(self.stop > low, dtype=np.bool_))

    @cached_property
    def _outer(self) -> Times:
        """Per run, its longest rate; 0 if it does not repeat."""
        return np.where(self.count[0] > 1, self.rate[0], 0) if len(self.rate) else self.first * 0

    def repetitions(self, low: int, high: int) -> int:
        """Count the runs that `opened` would have to make of those with the longest rate.

        Parameters
        ----------
        low, high
            The times, in steps.

        Returns
        -------
        int
            The repetitions that overlap the window of time.
        """
        outer = self._outer
        split = self.some(np.asarray(outer == outer.max(initial=1), dtype=np.bool_))
        if not split.size or not len(split.rate):
            return 0
        begin, end = split._overlapping(low, high)
        return int((end - begin).sum())

    def _overlapping(self, low: int, high: int) -> tuple[Times, Times]:
        """Return the first outermost repetition in a window of time, and the one behind it."""
        step, inner = self.rate[0], self.span[1]
        begin = np.clip((low - self.first - inner) // step + 1, 0, self.count[0])
        end = np.clip(-((self.first - high) // step), 0, self.count[0])
        return begin, np.maximum(begin, end)

    def opened(self, low: int, high: int, *, whole: bool = False) -> ServiceRuns:
        """Split the runs with the longest rate into their repetitions, between two times.

        Parameters
        ----------
        low, high
            The times, in steps.
        whole
            Split all runs that repeat.

        Returns
        -------
        ServiceRuns
            The runs, those that were split with one level less.
        """
        outer = self._outer
        if not len(self.rate):
            return self.seen(low, high)
        mine = np.asarray(outer > 0 if whole else outer == outer.max(initial=1), dtype=np.bool_)
        rest, split = self.some(~mine), self.some(mine)
        begin, end = split._overlapping(low, high)
        which, copy = spread(begin.astype(np.int64), (end - begin).astype(np.int64))
        found = split.some(which)
        digits = found.digits.copy()
        at = np.arange(found.size)
        if len(digits):
            digits[found.loop[0], at] += copy * found.stride[0]

        def inwards(values: Times, filler: int) -> Times:
            last = np.full((1, values.shape[1]), filler, dtype=values.dtype)
            return np.concatenate((values[1:], last))

        split = ServiceRuns(
            found.first + copy.astype(found.first.dtype) * found.rate[0],
            found.duration,
            inwards(found.rate, 0),
            inwards(found.count, 1),
            inwards(found.loop, 0),
            inwards(found.stride, 0),
            digits,
            found.stream,
            found.port,
        )
        return _joined([rest, split]).seen(low, high)

    def single(self, low: int, high: int) -> ServiceRuns:
        """List every service between two times as a run of its own, by start time.

        Parameters
        ----------
        low, high
            The times, in steps.

        Returns
        -------
        ServiceRuns
            Runs without repetitions.
        """
        found = self.seen(low, high)
        while (found.count > 1).any():
            found = found.opened(low, high, whole=True)
        return found.some(np.lexsort((found.port, _ranks(found.first))))

    def number(self, low: int, high: int) -> int:
        """Count the services that start from one time on and before another.

        Parameters
        ----------
        low, high
            The times, in steps.

        Returns
        -------
        int
            Their number.
        """
        one = replace(self, duration=self.duration * 0 + 1)
        together = np.zeros(self.size, dtype=np.int64)
        before, until = one.busy(np.array([low, high], dtype=object), together)[:, 0].tolist()
        return int(until - before)

    def busy(self, times: Times, group: Ints) -> Times:
        """Return how long the runs of each group have been served before each of several times.

        Parameters
        ----------
        times
            The times, in steps, increasing, shape (n,).
        group
            Shape (runs,): the group of each run, from 0 on.

        Returns
        -------
        numpy.ndarray
            Busy time in steps, shape (n, groups); one group if there are no runs.
        """
        exact = self.first.dtype == object
        total = np.full((len(times), int(group.max(initial=0)) + 1), 0, dtype=object)
        if not self.size:
            return total
        total = total if exact else total.astype(np.int64)
        times = np.asarray(times, dtype=self.first.dtype)
        # A run counts as a whole from its last end on, and repetition by repetition until then.
        begun = np.searchsorted(times, self.first, side="right")
        over = np.searchsorted(times, self.stop, side="left")
        past = over < len(times)
        all_served = self.count.astype(total.dtype).prod(axis=0) * self.duration
        np.add.at(total, (over[past], group[past]), all_served[past])
        total = np.cumsum(total, axis=0)
        pairs = np.cumsum(over - begun)
        first = 0
        while first < self.size:  # in chunks, so that the arrays remain small
            done = pairs[first - 1] if first else 0
            last = max(int(np.searchsorted(pairs, done + _MOST_PAIRS, side="right")), first + 1)
            which, at = spread(begun[first:last], (over - begun)[first:last])
            self._add_served(total, (at, group[first + which]), first + which, times[at])
            first = last
        return total

    def _add_served(self, total: Times, slot: tuple[Ints, Ints], which: Ints, now: Times) -> None:
        """Add, to places of an array, how long runs have been served before given times."""
        first = self.first[which]
        inside = self.count.astype(total.dtype)
        for k in range(len(self.rate)):
            deeper = inside[k + 1 :].prod(axis=0)[which]
            step = np.maximum(self.rate[k, which], 1)
            count = self.count[k, which]
            done = np.clip((now - first - self.span[k + 1, which]) // step + 1, 0, count)
            begun = np.clip(-((first - now) // step), 0, count)
            np.add.at(total, slot, done * deeper * self.duration[which])
            row, copy = spread(done.astype(np.int64), np.maximum(begun - done, 0).astype(np.int64))
            first = first[row] + copy.astype(first.dtype) * step[row]
            which, now, slot = which[row], now[row], (slot[0][row], slot[1][row])
        np.add.at(total, slot, np.clip(now - first, 0, self.duration[which]))

    def repeated_ranges(self, low: int, high: int, least: int) -> list[RepeatedRange]:
        """Find the ranges between two times in which all services repeat.

        From `regular` to `until`, a run repeats what it did one of its periods earlier. So between
        neighboring such marks all services repeat if every run there does, with the least common
        multiple of the periods.

        Parameters
        ----------
        low, high
            The times, in steps.
        least
            Smallest number of periods.

        Returns
        -------
        list of RepeatedRange
            In order of time.
        """
        mine = self.seen(low, high)
        step = mine._outer
        regular = mine.first + (mine.span[1] if len(mine.rate) else mine.duration) - step
        until = mine.first + (mine.count[0] if len(mine.rate) else 1) * step
        ends = np.array([low, high], dtype=mine.first.dtype)
        marks = np.concatenate((mine.first, regular, until, mine.stop))
        marks = np.unique(np.concatenate((ends, marks[(marks > low) & (marks < high)])))
        found = []
        for at in np.flatnonzero(marks[1:] - marks[:-1] >= least * step.max(initial=1)).tolist():
            begin, end = int(marks[at]), int(marks[at + 1])
            there = (mine.first < end) & (mine.stop > begin)
            if not there.any() or (step[there] == 0).any():
                continue
            if (regular[there] > begin).any() or (until[there] < end).any():
                continue
            period = int(np.lcm.reduce(np.unique(step[there]).astype(object)))
            if (end - begin) // period >= least:
                found.append(RepeatedRange(begin, period, (end - begin) // period))
        return found


def _ranks(times: Times) -> Ints:
    return np.unique(times, return_inverse=True)[1].reshape(-1)


def _joined(parts: list[ServiceRuns]) -> ServiceRuns:
    names = ("first", "duration", "rate", "count", "loop", "stride", "digits", "stream", "port")
    return ServiceRuns(
        *(np.concatenate([getattr(p, name) for p in parts], axis=-1) for name in names)
    )


def services(solution: Solution) -> tuple[ServiceRuns, tuple[tuple[int, int], ...]]:
    """Return all services of a schedule.

    Parameters
    ----------
    solution
        The schedule.

    Returns
    -------
    tuple of (ServiceRuns, tuple)
        The services, and (leaf, block) of each stream.
    """
    model = solution.model
    parts: list[ServiceRuns] = []
    names: list[tuple[int, int]] = []
    depth = model.layout.depth
    for stream in block_starts(solution):
        for port, families in stream.tasks.items():
            parts.append(_runs(merge_pieces(families), depth, len(names), port))
        names.append((stream.leaf, stream.block))
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        table = np.zeros((depth, 0), dtype=np.int64)
        parts = [ServiceRuns(empty, empty, table, table, table, table, table, empty, empty)]
    return _joined(parts), tuple(names)


def _runs(families: Pieces, depth: int, stream: int, port: int) -> ServiceRuns:
    """Return the runs of one port's services, levels with the longest rate first."""

    def padded(values: Times, filler: int) -> Times:
        more = np.full((depth - len(values), families.size), filler, dtype=values.dtype)
        return np.concatenate((values, more))

    count, stride = padded(families.count, 1), padded(families.stride, 0)
    rate = np.where(count > 1, padded(families.rate, 0), 0)
    digits, first = padded(families.low, 0), families.start
    back = np.asarray(rate < 0, dtype=np.bool_)
    if back.any():  # begin with the earliest service
        first = first + np.where(back, rate * (count - 1), 0).sum(axis=0)
        digits = digits + np.where(back, stride * (count - 1), 0)
        rate, stride = abs(rate), np.where(back, -stride, stride)
    order = np.argsort(-rate, axis=0, kind="stable")

    def sorted_(values: Times) -> Times:
        return np.take_along_axis(values, order, axis=0)

    size = families.size
    return ServiceRuns(
        first,
        families.duration,
        sorted_(rate),
        sorted_(count),
        order.astype(np.int64),
        sorted_(stride),
        digits,
        np.full(size, stream, dtype=np.int64),
        np.full(size, port, dtype=np.int64),
    )
