"""Affine pieces of a schedule: over a strided box of tile iterations, times are affine.

The number of pieces does not depend on trip counts: iterations that repeat form one piece,
however often they repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from polylat.schedule.arrays import Ints, Times

__all__ = ["Pieces", "merge_pieces"]


@dataclass(frozen=True, eq=False)
class Pieces:
    """Times of one event of a leaf, as affine pieces.

    The tile iterations of piece p have the indices ``low[k, p] + stride[k, p] * x[k]`` for
    ``0 <= x[k] < count[k, p]``; the event starts at ``start[p] + sum(rate[k, p] * x[k])``.

    Parameters
    ----------
    low, stride, count
        Shape (loops, pieces): the first index, the distance between indices, and their number.
    start
        Shape (pieces,): start time in the tile iteration ``x = 0``.
    rate
        Shape (loops, pieces): increase of the start time per step of ``x[k]``.
    duration
        Shape (pieces,): duration of the event. All times are in steps of 1/scale.

    Examples
    --------
    >>> import numpy as np
    >>> digits = np.array([[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]])
    >>> some = Pieces.of_points(digits, np.array([0, 4, 8, 20, 24, 28]), np.full(6, 2))
    >>> some.size, some.points
    (6, 6)
    >>> one = merge_pieces(some)
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
    def of_points(digits: Ints, start: Times, duration: Times) -> Pieces:
        """Return one piece per tile iteration.

        Parameters
        ----------
        digits
            Shape (loops, n): the indices of n tile iterations.
        start, duration
            Shape (n,): start time and duration, in steps of 1/scale.

        Returns
        -------
        Pieces
            n pieces of one tile iteration each.
        """
        ones = np.ones_like(digits)
        nothing = np.zeros(digits.shape, dtype=start.dtype)
        return Pieces(digits, ones, ones, start, nothing, duration)

    @property
    def size(self) -> int:
        """Number of pieces."""
        return len(self.start)

    @property
    def depth(self) -> int:
        """Number of loops."""
        return len(self.low)

    @cached_property
    def sizes(self) -> list[int]:
        """Number of tile iterations of each piece."""
        return [prod(column) for column in self.count.T.tolist()]

    @property
    def points(self) -> int:
        """Number of tile iterations."""
        return sum(self.sizes)

    @cached_property
    def high(self) -> Ints:
        """Last index per loop, shape (loops, pieces)."""
        return self.low + self.stride * (self.count - 1)

    @cached_property
    def _spans(self) -> Times:
        wide = self.rate * (self.count - 1).astype(self.rate.dtype)
        return np.asarray(wide.reshape(self.depth, self.size))

    @cached_property
    def first(self) -> Times:
        """Earliest start of each piece, shape (pieces,)."""
        return np.asarray(self.start + np.minimum(self._spans, 0).sum(axis=0))

    @cached_property
    def last(self) -> Times:
        """Latest end of each piece, shape (pieces,)."""
        return np.asarray(self.start + np.maximum(self._spans, 0).sum(axis=0) + self.duration)

    @property
    def ends(self) -> Pieces:
        """The ends of these events, as pieces of duration 0."""
        return Pieces(
            self.low,
            self.stride,
            self.count,
            self.start + self.duration,
            self.rate,
            self.duration * 0,
        )

    def shifted(self, by: Times) -> Pieces:
        """Delay every piece.

        Parameters
        ----------
        by
            Shape (pieces,): the delays, in steps of 1/scale.

        Returns
        -------
        Pieces
            The same pieces, starting that much later.
        """
        return Pieces(self.low, self.stride, self.count, self.start + by, self.rate, self.duration)

    def chosen(self, which: Ints | np.ndarray) -> Pieces:
        """Select some of the pieces.

        Parameters
        ----------
        which
            Indices of pieces, or a mask of shape (pieces,).

        Returns
        -------
        Pieces
            The selected pieces.
        """
        return Pieces(
            self.low[:, which],
            self.stride[:, which],
            self.count[:, which],
            self.start[which],
            self.rate[:, which],
            self.duration[which],
        )

    def expanded(self) -> tuple[Ints, Times, Times]:
        """List all tile iterations.

        Returns
        -------
        (digits, start, duration)
            Indices of shape (loops, n), start times and durations of shape (n,), for the n tile
            iterations of all pieces.
        """
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
    def joined(parts: Sequence[Pieces]) -> Pieces:
        """Concatenate pieces.

        Parameters
        ----------
        parts
            At least one, all of the same number of loops.

        Returns
        -------
        Pieces
            The pieces of all parts, in order.
        """
        return Pieces(
            np.concatenate([p.low for p in parts], axis=1),
            np.concatenate([p.stride for p in parts], axis=1),
            np.concatenate([p.count for p in parts], axis=1),
            np.concatenate([p.start for p in parts]),
            np.concatenate([p.rate for p in parts], axis=1),
            np.concatenate([p.duration for p in parts]),
        )


def merge_pieces(pieces: Pieces) -> Pieces:
    """Represent the same times by fewer pieces.

    Pieces that continue each other along a loop become one: first along the innermost loop, then
    along the outer loops, until the number of pieces no longer decreases.

    Parameters
    ----------
    pieces
        The pieces to merge.

    Returns
    -------
    Pieces
        Pieces of the same tile iterations, start times and durations. The merge is greedy: their
        number need not be the minimum.
    """
    while True:
        before = pieces.size
        for k in range(pieces.depth - 1, -1, -1):
            pieces = _along(pieces, k)
        if pieces.size == before or pieces.depth == 1:
            return pieces


def _along(pieces: Pieces, loop: int) -> Pieces:
    """Merge along a loop; where few neighbors merge, try residue classes of the index as well."""
    if pieces.size < 2:
        return pieces
    best = _merge(pieces, loop, 1)
    steps = {int(s) for s in np.unique(pieces.stride[loop])} - {1}
    if best.size > 8 and 2 * best.size > pieces.size:
        steps |= {2, 3, 4}
    for step in sorted(steps):
        found = _merge(pieces, loop, step)
        if found.size < best.size:
            best = found
    return best


def _merge(pieces: Pieces, loop: int, residues: int) -> Pieces:
    """Merge pieces that differ only in one loop (and agree in its index modulo `residues`)."""
    group = _groups(pieces, loop, residues)
    order = np.lexsort((pieces.low[loop], group))
    group = group[order]
    low, stride = pieces.low[loop][order], pieces.stride[loop][order]
    count, rate = pieces.count[loop][order], pieces.rate[loop][order]
    start = pieces.start[order]
    # Marks: the first and, where there are several, the last tile iteration of every piece.
    long = count > 1
    of = np.repeat(np.arange(len(order)), 1 + long)
    last = np.concatenate((of[1:] != of[:-1], [True])) & long[of]
    steps = np.where(last, count[of] - 1, 0)
    position = low[of] + stride[of] * steps
    value = start[of] + rate[of] * steps.astype(start.dtype)
    # Links between neighboring marks: their distance, in index and time.
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
    # Two single tile iterations that are alone in their group make a piece of two.
    alone = np.bincount(group, minlength=int(group[-1]) + 1)
    holds |= linked & (alone[group[of[:-1]]] == 2) & ~long[of[:-1]] & ~long[of[1:]]
    # Each mark joins the run on its left, else the run on its right, else it stays alone.
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
    low_, stride_, count_ = pieces.low.copy(), pieces.stride.copy(), pieces.count.copy()
    low_, stride_, count_ = low_[:, which], stride_[:, which], count_[:, which]
    rate_ = pieces.rate[:, which].copy()
    low_[loop] = position[heads]
    stride_[loop] = step
    count_[loop] = (position[tails] - position[heads]) // step + 1
    rate_[loop] = np.where(many, later[link], later[link] * 0)
    return Pieces(low_, stride_, count_, value[heads], rate_, pieces.duration[which])


def _groups(pieces: Pieces, loop: int, residues: int) -> Ints:
    """Number the groups of pieces that agree in everything but one loop, shape (pieces,)."""
    columns = [pieces.duration]
    for k in range(pieces.depth):
        if k != loop:
            columns += [pieces.low[k], pieces.stride[k], pieces.count[k], pieces.rate[k]]
    if residues > 1:
        columns.append(pieces.low[loop] % residues)
    keys: list[Ints] = []
    for column in columns:
        if (column == column[0]).all():
            continue
        # lexsort cannot mix Python integers with 64-bit ones: sort by their ranks.
        exact = column.dtype == object
        keys.append(np.unique(column, return_inverse=True)[1].reshape(-1) if exact else column)
    group = np.zeros(pieces.size, dtype=np.int64)
    if keys:
        order = np.lexsort(keys[::-1])
        table = np.array(keys, dtype=np.int64)[:, order]
        group[order[1:]] = np.cumsum((table[:, 1:] != table[:, :-1]).any(axis=0))
    return group
