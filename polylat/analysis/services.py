"""All services of a schedule by its ports, as runs that repeat: any number of them, few values.

A *service* is what one port serves of a tile iteration at a time. A *run* is one service and its
repetitions at constant rates, nested; how many runs there are does not depend on trip counts.
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

__all__ = ["Runs", "Stretch", "services"]


@dataclass(frozen=True, eq=False)
class Stretch:
    """A stretch of time that goes on alike, period by period.

    Parameters
    ----------
    start, period, count
        From `start` on, `count` periods.
    """

    start: int
    period: int
    count: int


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of services.

    Parameters
    ----------
    first, duration
        When the first service of each run starts, and how long each lasts.
    rate, count, loop, stride
        Shape (levels, runs), longer rates first: the services repeat so many times, each so much
        later, in so many iterations further in that loop.
    digits
        Shape (loops, runs): the tile iteration of the first.
    stream, port
        Which block of a leaf (a number), on which port.
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
        """Shape (levels + 1, runs): from here inwards, from the first start to the last end."""
        wide = self.rate * (self.count - 1).astype(self.rate.dtype)
        lasts = self.duration[np.newaxis]
        return np.cumsum(np.concatenate((lasts, wide[::-1])), axis=0)[::-1]

    @property
    def stop(self) -> Times:
        """When the last service of each run ends."""
        return np.asarray(self.first + self.span[0])

    def some(self, which: Ints | np.ndarray) -> Runs:
        """Some of the runs."""
        return Runs(
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

    def seen(self, low: int, high: int) -> Runs:
        """The runs that may be served between two times."""
        inside = np.asarray(self.first < high, dtype=np.bool_)
        return self.some(inside & np.asarray(self.stop > low, dtype=np.bool_))

    @cached_property
    def _outer(self) -> Times:
        """Per run, its longest rate; 0 if it does not repeat."""
        return np.where(self.count[0] > 1, self.rate[0], 0) if len(self.rate) else self.first * 0

    def opened(self, low: int, high: int, *, whole: bool = False) -> Runs:
        """The runs with the longest rate taken apart, as far as they are served between two times.

        Parameters
        ----------
        low, high
            The times.
        whole
            Take apart all runs that repeat.
        """
        outer = self._outer
        if not len(self.rate):
            return self.seen(low, high)
        mine = np.asarray(outer > 0 if whole else outer == outer.max(initial=1), dtype=np.bool_)
        rest, split = self.some(~mine), self.some(mine)
        step, inner = split.rate[0], split.span[1]
        begin = np.clip((low - split.first - inner) // step + 1, 0, split.count[0])
        end = np.clip(-((split.first - high) // step), 0, split.count[0])
        which, copy = spread(begin.astype(np.int64), np.maximum(end - begin, 0).astype(np.int64))
        found = split.some(which)
        digits = found.digits.copy()
        at = np.arange(found.size)
        if len(digits):
            digits[found.loop[0], at] += copy * found.stride[0]

        def inwards(values: Times, filler: int) -> Times:
            last = np.full((1, values.shape[1]), filler, dtype=values.dtype)
            return np.concatenate((values[1:], last))

        split = Runs(
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

    def single(self, low: int, high: int) -> Runs:
        """Every service between two times on its own, in the order in which they start."""
        found = self.seen(low, high)
        while (found.count > 1).any():
            found = found.opened(low, high, whole=True)
        return found.some(np.lexsort((found.port, _ranks(found.first))))

    def number(self, low: int, high: int) -> int:
        """How many services start from `low` on and before `high`."""
        one = replace(self, duration=self.duration * 0 + 1)
        before = one.busy(np.array([low, high], dtype=object)).astype(object).sum(axis=1)
        return int(before[1] - before[0])

    def busy(self, times: Times) -> Times:
        """Shape (times, runs): how long each run has been served before each of the times."""
        level = len(self.rate)
        at = np.repeat(np.arange(len(times)), self.size)
        which = np.tile(np.arange(self.size), len(times))
        total = np.full(len(at), 0, dtype=object if self.first.dtype == object else np.int64)
        slot = np.arange(len(at))
        first, now = self.first[which], np.asarray(times, dtype=self.first.dtype)[at]
        inside = self.count.astype(total.dtype)
        for k in range(level):
            deeper = inside[k + 1 :].prod(axis=0)[which] if k + 1 < level else 1
            step = np.maximum(self.rate[k, which], 1)
            count = self.count[k, which]
            done = np.clip((now - first - self.span[k + 1, which]) // step + 1, 0, count)
            begun = np.clip(-((first - now) // step), 0, count)
            whole = done * deeper * self.duration[which]
            np.add.at(total, slot, whole)
            row, copy = spread(done.astype(np.int64), np.maximum(begun - done, 0).astype(np.int64))
            first = first[row] + copy.astype(first.dtype) * step[row]
            which, now, slot = which[row], now[row], slot[row]
        np.add.at(total, slot, np.clip(now - first, 0, self.duration[which]))
        return total.reshape(len(times), self.size)

    def stretches(self, low: int, high: int, least: int) -> list[Stretch]:
        """Stretches between two times in which all that is served repeats.

        From `run.regular` to `run.until` a run does what it did one of its periods earlier. So
        between neighbouring such marks, where every run that is there repeats, all does, with the
        least common multiple of the periods.

        Parameters
        ----------
        low, high
            The times.
        least
            Smallest number of periods.
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
                found.append(Stretch(begin, period, (end - begin) // period))
        return found


def _ranks(times: Times) -> Ints:
    return np.unique(times, return_inverse=True)[1].reshape(-1)


def _joined(parts: list[Runs]) -> Runs:
    names = ("first", "duration", "rate", "count", "loop", "stride", "digits", "stream", "port")
    return Runs(*(np.concatenate([getattr(p, name) for p in parts], axis=-1) for name in names))


def services(solution: Solution) -> tuple[Runs, tuple[tuple[int, int], ...]]:
    """All services of a schedule, and which (leaf, block) each stream is."""
    model = solution.model
    parts: list[Runs] = []
    names: list[tuple[int, int]] = []
    depth = model.layout.depth
    for stream in block_starts(solution):
        for port, families in stream.tasks.items():
            parts.append(_runs(merge_pieces(families), depth, len(names), port))
        names.append((stream.leaf, stream.block))
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        table = np.zeros((depth, 0), dtype=np.int64)
        parts = [Runs(empty, empty, table, table, table, table, table, empty, empty)]
    return _joined(parts), tuple(names)


def _runs(families: Pieces, depth: int, stream: int, port: int) -> Runs:
    """Runs of one port's services, levels with the longest rate first."""

    def padded(values: Times, filler: int) -> Times:
        more = np.full((depth - len(values), families.size), filler, dtype=values.dtype)
        return np.concatenate((values, more))

    count, stride = padded(families.count, 1), padded(families.stride, 0)
    rate = np.where(count > 1, padded(families.rate, 0), 0)
    digits, first = padded(families.low, 0), families.start
    back = np.asarray(rate < 0, dtype=np.bool_)
    if back.any():  # start with the earliest one
        first = first + np.where(back, rate * (count - 1), 0).sum(axis=0)
        digits = digits + np.where(back, stride * (count - 1), 0)
        rate, stride = abs(rate), np.where(back, -stride, stride)
    order = np.argsort(-rate, axis=0, kind="stable")

    def sorted_(values: Times) -> Times:
        return np.take_along_axis(values, order, axis=0)

    size = families.size
    return Runs(
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
