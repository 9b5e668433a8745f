"""Schedules as affine pieces: over a strided box of tile iterations, times grow linearly.

A *family* is such a piece. How many there are does not depend on trip counts: what repeats is one
family, however often it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from polylat.lowering.scan import Ints
from polylat.schedule.graph import Times

__all__ = ["Families", "merged"]


@dataclass(frozen=True, eq=False)
class Families:
    """Times of one event of a leaf, as families.

    The tile iterations of family f have the indices ``low[k, f] + stride[k, f] * x[k]`` for
    ``0 <= x[k] < count[k, f]``; their time is ``start[f] + sum(rate[k, f] * x[k])``.

    Parameters
    ----------
    low, stride, count, rate
        Shape (loops, families).
    start, duration
        Per family: the time of its first tile iteration, and how long the event lasts.

    Examples
    --------
    >>> import numpy as np
    >>> digits = np.array([[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]])
    >>> some = Families.of_points(digits, np.array([0, 4, 8, 20, 24, 28]), np.full(6, 2))
    >>> some.size, some.points
    (6, 6)
    >>> one = merged(some)
    >>> one.size, one.points, one.count[:, 0].tolist(), one.rate[:, 0].tolist()
    (1, 6, [2, 3], [20, 4])
    """

    low: Ints
    stride: Ints
    count: Ints
    start: Times
    rate: Times
    duration: Times

    @staticmethod
    def of_points(digits: Ints, start: Times, duration: Times) -> Families:
        """One family per tile iteration."""
        ones = np.ones_like(digits)
        nothing = np.zeros(digits.shape, dtype=start.dtype)
        return Families(digits, ones, ones, start, nothing, duration)

    @property
    def size(self) -> int:
        """Number of families."""
        return len(self.start)

    @property
    def depth(self) -> int:
        """Number of loops."""
        return len(self.low)

    @cached_property
    def sizes(self) -> list[int]:
        """Per family, its number of tile iterations."""
        return [prod(column) for column in self.count.T.tolist()]

    @property
    def points(self) -> int:
        """Number of tile iterations."""
        return sum(self.sizes)

    @cached_property
    def high(self) -> Ints:
        """Last index per loop."""
        return self.low + self.stride * (self.count - 1)

    @cached_property
    def _spans(self) -> Times:
        wide = self.rate * (self.count - 1).astype(self.rate.dtype)
        return np.asarray(wide.reshape(self.depth, self.size))

    @cached_property
    def first(self) -> Times:
        """Per family, the earliest time of one of its tile iterations."""
        return np.asarray(self.start + np.minimum(self._spans, 0).sum(axis=0))

    @cached_property
    def last(self) -> Times:
        """Per family, the latest end."""
        return np.asarray(self.start + np.maximum(self._spans, 0).sum(axis=0) + self.duration)

    @property
    def ends(self) -> Families:
        """The ends of these events."""
        return Families(
            self.low,
            self.stride,
            self.count,
            self.start + self.duration,
            self.rate,
            self.duration * 0,
        )

    def shifted(self, by: Times) -> Families:
        """The same, later by so much per family."""
        return Families(
            self.low, self.stride, self.count, self.start + by, self.rate, self.duration
        )

    def chosen(self, which: Ints | np.ndarray) -> Families:
        """Some of the families."""
        return Families(
            self.low[:, which],
            self.stride[:, which],
            self.count[:, which],
            self.start[which],
            self.rate[:, which],
            self.duration[which],
        )

    def expanded(self) -> tuple[Ints, Times, Times]:
        """All tile iterations: indices (a row per loop), times, durations."""
        counts = np.array(self.sizes, dtype=np.int64)
        which = np.repeat(np.arange(self.size), counts)
        rest = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        digits = np.zeros((self.depth, len(which)), dtype=np.int64)
        start = self.start[which].copy()
        for k in range(self.depth - 1, -1, -1):
            x = rest % self.count[k, which]
            rest //= self.count[k, which]
            digits[k] = self.low[k, which] + self.stride[k, which] * x
            start = start + self.rate[k, which] * x.astype(start.dtype)
        return digits, start, self.duration[which]

    @staticmethod
    def joined(parts: Sequence[Families]) -> Families:
        """Several together."""
        return Families(
            np.concatenate([p.low for p in parts], axis=1),
            np.concatenate([p.stride for p in parts], axis=1),
            np.concatenate([p.count for p in parts], axis=1),
            np.concatenate([p.start for p in parts]),
            np.concatenate([p.rate for p in parts], axis=1),
            np.concatenate([p.duration for p in parts]),
        )


def merged(families: Families) -> Families:
    """The same times as fewer families.

    Families that continue each other along a loop become one: first in the innermost loop, then
    outwards, until nothing more is gained.
    """
    while True:
        before = families.size
        for k in range(families.depth - 1, -1, -1):
            families = _along(families, k)
        if families.size == before or families.depth == 1:
            return families


def _along(families: Families, loop: int) -> Families:
    """Merge along a loop: steps of one, or where few merge, of what repeats in it."""
    if families.size < 2:
        return families
    best = _merge(families, loop, 1)
    steps = {int(s) for s in np.unique(families.stride[loop])} - {1}
    if best.size > 8 and 2 * best.size > families.size:
        steps |= {2, 3, 4}
    for step in sorted(steps):
        found = _merge(families, loop, step)
        if found.size < best.size:
            best = found
    return best


def _merge(families: Families, loop: int, residues: int) -> Families:
    """Merge along a loop what agrees in all else (and in the index modulo `residues`)."""
    group = _groups(families, loop, residues)
    order = np.lexsort((families.low[loop], group))
    group = group[order]
    low, stride = families.low[loop][order], families.stride[loop][order]
    count, rate = families.count[loop][order], families.rate[loop][order]
    start = families.start[order]
    # Marks: the first and, where there are more, the last tile iteration of every family.
    long = count > 1
    of = np.repeat(np.arange(len(order)), 1 + long)
    last = np.concatenate((of[1:] != of[:-1], [True])) & long[of]
    steps = np.where(last, count[of] - 1, 0)
    position = low[of] + stride[of] * steps
    value = start[of] + rate[of] * steps.astype(start.dtype)
    # Links between neighbouring marks: how far apart they are, in index and time.
    inside = of[1:] == of[:-1]
    apart = np.where(inside, stride[of[:-1]], position[1:] - position[:-1])
    later = np.where(inside, rate[of[:-1]], value[1:] - value[:-1])
    linked = (group[of[1:]] == group[of[:-1]]) & (apart > 0)
    weight = np.where(inside, count[of[:-1]] + 1, 1)
    same = linked[1:] & linked[:-1] & (apart[1:] == apart[:-1])
    same &= np.asarray(later[1:] == later[:-1], dtype=np.bool_)
    run = np.concatenate(([0], np.cumsum(~same)))
    strong = np.zeros(int(run[-1]) + 1, dtype=np.int64)
    np.add.at(strong, run, weight)
    holds = linked & (strong[run] >= 2)
    # Two families that stand alone in their group make a piece of two.
    alone = np.bincount(group, minlength=int(group[-1]) + 1)
    holds |= linked & (alone[group[of[:-1]]] == 2) & ~long[of[:-1]] & ~long[of[1:]]
    # Each mark belongs to the run on its left, else to that on its right, else to itself.
    marks = len(of)
    left = np.concatenate(([-1], np.where(holds, run, -1)))
    right = np.concatenate((np.where(holds, run, -1), [-1]))
    first = np.concatenate((inside, [False]))
    owner = np.where(first, right, np.where(left >= 0, left, right))
    owner = np.where(owner < 0, -1 - np.arange(marks), owner)
    heads = np.flatnonzero(np.concatenate(([True], owner[1:] != owner[:-1])))
    tails = np.concatenate((heads[1:], [marks])) - 1
    many = tails > heads
    link = np.minimum(heads, max(marks - 2, 0))
    step = np.where(many, apart[link], 1)
    which = order[of[heads]]
    low_, stride_, count_ = families.low.copy(), families.stride.copy(), families.count.copy()
    low_, stride_, count_ = low_[:, which], stride_[:, which], count_[:, which]
    rate_ = families.rate[:, which].copy()
    low_[loop] = position[heads]
    stride_[loop] = step
    count_[loop] = (position[tails] - position[heads]) // step + 1
    rate_[loop] = np.where(many, later[link], later[link] * 0)
    return Families(low_, stride_, count_, value[heads], rate_, families.duration[which])


def _groups(families: Families, loop: int, residues: int) -> Ints:
    """Numbers of what agrees in all but one loop."""
    columns = [families.duration]
    for k in range(families.depth):
        if k != loop:
            columns += [families.low[k], families.stride[k], families.count[k], families.rate[k]]
    if residues > 1:
        columns.append(families.low[loop] % residues)
    keys: list[Ints] = []
    for column in columns:
        if (column == column[0]).all():
            continue
        # Python's integers are not sorted along with others, their ranks are.
        exact = column.dtype == object
        keys.append(np.unique(column, return_inverse=True)[1].reshape(-1) if exact else column)
    group = np.zeros(families.size, dtype=np.int64)
    if keys:
        order = np.lexsort(keys[::-1])
        table = np.array(keys, dtype=np.int64)[:, order]
        group[order[1:]] = np.cumsum((table[:, 1:] != table[:, :-1]).any(axis=0))
    return group
