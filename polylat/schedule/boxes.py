"""Decide precedences for all members of boxes of skipped iterations at once.

The times of an event over the tile iterations of a leaf are affine pieces: a sampled tile iteration
represents a box of skipped ones, k[l] periods later in loop l, and its time grows by a constant
rate per period. A precedence of such a box on a source whose loop indices are affine in k is an
affine inequality on every part of the box within which the source stays in one piece. An affine
function on a box is least at a corner. So the inequality is decided exactly, for all members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Times, compiled

__all__ = ["HOLDS", "TIGHT", "UNDECIDED", "VIOLATED", "Grid", "Rows", "decide_rows", "fill_forward"]

HOLDS, TIGHT, VIOLATED, UNDECIDED = range(4)
"""Outcome of a precedence: it holds, it holds with equality throughout, it is violated somewhere,
or its source does not stay in few pieces."""

_MOST_PARTS = 4096
"""Largest number of parts that a box is split into."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The sampled loop indices of several leaves, each a dense grid in mixed radix.

    Parameters
    ----------
    depth
        Shape (leaves,): number of loops of each leaf.
    trips, count, stride
        Shape (leaves, D): trip count of each loop, its number of sampled iterations, and the
        distance in the grid of consecutive ones.
    runs, run_first, run_place, run_period
        Ranges of a loop's iterations, sampled and skipped in turn; those of loop l of leaf a are
        ``runs[a, l]`` to ``runs[a, l + 1]``: the first iteration, the place of the first sampled
        iteration or of the representing period, and the period (0: sampled).
    places, digit, period, skipped
        Per place of a loop, from ``places[a, l]`` on: the iteration, the period of the skipped
        range that the place represents (0: none), and the range's number of periods.
    """

    depth: Ints
    trips: Ints
    count: Ints
    stride: Ints
    runs: Ints
    run_first: Ints
    run_place: Ints
    run_period: Ints
    places: Ints
    digit: Ints
    period: Ints
    skipped: Ints

    @cached_property
    def sizes(self) -> list[int]:
        """Number of grid points of each leaf."""
        sizes = []
        for leaf, depth in enumerate(self.depth.tolist()):
            size = 1
            for k in range(depth):
                size *= int(self.count[leaf, k])
            sizes.append(size)
        return sizes

    def place_rows(self, leaf: int) -> Ints:
        """Return the places of all grid points of a leaf.

        Parameters
        ----------
        leaf
            Number of the leaf.

        Returns
        -------
        numpy.ndarray
            Shape (depth, size).
        """
        depth = int(self.depth[leaf])
        shape = tuple(self.count[leaf, :depth].tolist())
        return np.indices(shape, dtype=np.int64).reshape(depth, self.sizes[leaf])

    def columns(self, leaf: int, values: Ints) -> Ints:
        """Return a value per place of each loop, for all grid points of a leaf.

        Parameters
        ----------
        leaf
            Number of the leaf.
        values
            `digit`, `period` or `skipped`.

        Returns
        -------
        numpy.ndarray
            Shape (depth, size).
        """
        rows = self.place_rows(leaf)
        return np.array(
            [values[self.places[leaf, k] + row] for k, row in enumerate(rows)], dtype=np.int64
        ).reshape(rows.shape)


@dataclass(frozen=True, eq=False)
class Rows:
    """Precedences between families of events, one row per target box.

    A *family* has one event per point of a leaf's grid. Events are numbered family by family.

    Parameters
    ----------
    target, family
        Shape (rows,): the event that waits, and the family of what it waits for.
    base
        Shape (rows, D): the loop indices of the source for k = 0.
    same
        Shape (rows,): in this number of outer loops the source moves as the target does; it does
        not move in the loops inside. Meaningless where `slope` is not -1.
    slope
        Shape (rows,): the matrix in `slopes` by which the source moves; -1: see `same`.
    slopes
        Shape (matrices, D, D): by how many iterations of the source's loop (first axis) the source
        moves per period of the target's loop (second axis).
    own
        Shape (rows,): whether the source is the event itself, so that equality counts only where
        the event exists; else it is the last event up to the indices.
    sound
        Shape (rows,): whether the row is a precedence, so that equality counts at all.
    """

    target: Ints
    family: Ints
    base: Ints
    same: Ints
    slope: Ints
    slopes: Ints
    own: Mask
    sound: Mask

    @staticmethod
    def joined(parts: Sequence[Rows], width: int) -> Rows:
        """Concatenate rows.

        Parameters
        ----------
        parts
            The parts.
        width
            Largest number of loops D.

        Returns
        -------
        Rows
            All rows, in order.
        """
        none = np.zeros(0, dtype=np.int64)
        slopes: list[Ints] = [np.zeros((0, width, width), dtype=np.int64)]
        slope: list[Ints] = [none]
        matrices = 0
        for part in parts:
            slopes.append(part.slopes)
            slope.append(np.where(part.slope < 0, -1, part.slope + matrices))
            matrices += len(part.slopes)
        return Rows(
            np.concatenate([none, *(p.target for p in parts)]),
            np.concatenate([none, *(p.family for p in parts)]),
            np.concatenate([np.zeros((0, width), dtype=np.int64), *(p.base for p in parts)]),
            np.concatenate([none, *(p.same for p in parts)]),
            np.concatenate(slope),
            np.concatenate(slopes),
            np.concatenate([np.zeros(0, dtype=np.bool_), *(p.own for p in parts)]),
            np.concatenate([np.zeros(0, dtype=np.bool_), *(p.sound for p in parts)]),
        )


def decide_rows(
    grid: Grid,
    families: tuple[Ints, Ints],
    rows: Rows,
    family_of: Ints,
    weight: Times,
    values: Times,
    rates: Times,
    exists: Mask,
) -> Ints:
    """Decide precedences for all members of their targets' boxes.

    Parameters
    ----------
    grid
        The grids of the leaves.
    families
        Shape (families,): the leaf of each family, and its first event.
    rows, family_of, weight
        The precedences, the family of each row's target, and how many steps the target is at least
        later than the source: shape (rows,).
    values, rates
        Shape (events,) and (D, events): the time of each event for k = 0, and its increase per
        period of each loop.
    exists
        Shape (events,): whether the event itself occurs.

    Returns
    -------
    numpy.ndarray
        Shape (rows,): `HOLDS`, `TIGHT`, `VIOLATED` or `UNDECIDED`.
    """
    outcome = np.zeros(len(rows.target), dtype=np.int64)
    run = _decide.py_func if values.dtype == object else _decide
    run(
        grid.depth,
        grid.trips,
        grid.count,
        grid.stride,
        grid.runs,
        grid.run_first,
        grid.run_place,
        grid.run_period,
        grid.places,
        grid.period,
        grid.skipped,
        *families,
        rows.target,
        family_of,
        rows.family,
        rows.base,
        rows.same,
        rows.slope,
        rows.slopes,
        rows.own,
        weight,
        values,
        rates,
        exists,
        outcome,
    )
    return outcome


@compiled
def _decide(
    depth: Any,
    trips: Any,
    count: Any,
    stride: Any,
    runs: Any,
    run_first: Any,
    run_place: Any,
    run_period: Any,
    places: Any,
    period: Any,
    skipped: Any,
    leaf_of: Any,
    offset: Any,
    target: Any,
    target_family: Any,
    family: Any,
    base: Any,
    same: Any,
    slope: Any,
    slopes: Any,
    own: Any,
    weight: Any,
    values: Any,
    rates: Any,
    exists: Any,
    outcome: Any,
) -> None:
    width = stride.shape[1]
    low = np.zeros((_MOST_PARTS + 1, width), np.int64)
    high = np.zeros((_MOST_PARTS + 1, width), np.int64)
    step = np.zeros(width, np.int64)
    moves = np.zeros((width, width), np.int64)
    at_period = np.zeros(width, np.int64)
    for r in range(len(target)):
        event = target[r]
        mine = leaf_of[target_family[r]]
        other = leaf_of[family[r]]
        key = event - offset[target_family[r]]
        inner, outer = depth[other], depth[mine]
        single = True
        for k in range(outer):
            place = places[mine, k] + key // stride[mine, k] % count[mine, k]
            step[k] = period[place]
            low[0, k] = 0
            high[0, k] = skipped[place]
            if skipped[place] > 0:
                single = False
        for p in range(inner):
            for k in range(outer):
                if slope[r] >= 0:
                    moves[p, k] = slopes[slope[r], p, k]
                else:
                    moves[p, k] = step[k] if p == k and p < same[r] else 0
        top = 1
        parts = 0
        tight = True
        found = 0
        while top > 0:
            top -= 1
            parts += 1
            if parts > _MOST_PARTS:
                found = 3
                break
            source = offset[family[r]]
            # Find the piece of the source, or split the box where the source leaves it.
            split_loop = -1
            split_at = 0
            lost = False
            for p in range(inner):
                first = base[r, p]
                least = base[r, p]
                most = base[r, p]
                moving = -1
                several = False
                if not single:
                    for k in range(outer):
                        s = moves[p, k]
                        if s != 0:
                            first += s * low[top, k]
                            if s > 0:
                                least += s * low[top, k]
                                most += s * high[top, k]
                            else:
                                least += s * high[top, k]
                                most += s * low[top, k]
                            if high[top, k] > low[top, k]:
                                several = moving >= 0
                                moving = k
                if least < 0 or most >= trips[other, p]:
                    lost = True
                    break
                a, b = runs[other, p], runs[other, p + 1]
                run = a
                while run + 1 < b and run_first[run + 1] <= first:
                    run += 1
                end = trips[other, p] if run + 1 == b else run_first[run + 1]
                length = run_period[run]
                if length == 0:
                    at_period[p] = 0
                    place = run_place[run] + first - run_first[run]
                    source += place * stride[other, p]
                else:
                    at_period[p] = (first - run_first[run]) // length + 1
                    place = run_place[run] + (first - run_first[run]) % length
                    source += place * stride[other, p]
                if least == most:
                    continue
                whole = length > 0 and least >= run_first[run] and most < end
                if whole:
                    for k in range(outer):
                        if high[top, k] > low[top, k] and moves[p, k] % length != 0:
                            whole = False
                if whole:
                    continue
                split_loop = moving
                if several:
                    # Halve the widest loop that moves the source.
                    extent = 0
                    for k in range(outer):
                        if moves[p, k] != 0 and high[top, k] - low[top, k] > extent:
                            extent = high[top, k] - low[top, k]
                            split_loop = k
                    split_at = low[top, split_loop] + (extent + 1) // 2
                else:
                    s = moves[p, moving]
                    ahead = 1
                    if length > 0 and s % length == 0:
                        if s > 0:
                            ahead = (end - first + s - 1) // s
                        else:
                            ahead = (first - run_first[run]) // (-s) + 1
                    split_at = low[top, moving] + ahead
                break
            if lost:
                found = 3
                break
            if split_loop >= 0:
                # The stack grows by one box: both parts take the place of the whole.
                if top + 2 > _MOST_PARTS:
                    found = 3
                    break
                for k in range(outer):
                    low[top + 1, k] = low[top, k]
                    high[top + 1, k] = high[top, k]
                low[top, split_loop] = split_at
                high[top + 1, split_loop] = split_at - 1
                top += 2
                continue
            difference = values[event] - values[source] - weight[r]
            if single:
                for p in range(inner):
                    if at_period[p] > 0:
                        difference -= at_period[p] * rates[p, source]
                if difference < 0:
                    found = 2
                    break
                tight = tight and difference == 0
            else:
                for k in range(outer):
                    if low[top, k] > 0:
                        difference += low[top, k] * rates[k, event]
                for p in range(inner):
                    if at_period[p] > 0:
                        difference -= at_period[p] * rates[p, source]
                least_difference = difference
                flat = difference == 0
                for k in range(outer):
                    if high[top, k] > low[top, k]:
                        grows = rates[k, event]
                        for p in range(inner):
                            if moves[p, k] != 0 and at_period[p] > 0:
                                a = runs[other, p]
                                b = runs[other, p + 1]
                                where = base[r, p]
                                for m in range(outer):
                                    where += moves[p, m] * low[top, m]
                                run = a
                                while run + 1 < b and run_first[run + 1] <= where:
                                    run += 1
                                grows -= (moves[p, k] // run_period[run]) * rates[p, source]
                        if grows != 0:
                            flat = False
                        if grows < 0:
                            least_difference += grows * (high[top, k] - low[top, k])
                if least_difference < 0:
                    found = 2
                    break
                tight = tight and flat
            if own[r] and not exists[source]:
                tight = False
        if found == 0 and tight:
            found = 1
        outcome[r] = found


def fill_forward(
    grid: Grid, leaf: int, own: Times, exists: Mask
) -> Times:
    """Return the latest event up to each grid point, in a family of one leaf.

    Parameters
    ----------
    grid, leaf
        The grids, and the leaf.
    own, exists
        Shape (size,): the times of the events, and whether there is one.

    Returns
    -------
    numpy.ndarray
        Shape (size,): the largest time of an event up to each point; 0 where there is none. The
        times of skipped events are extrapolated.
    """
    filled = own.copy()
    run = _fill_forward.py_func if own.dtype == object else _fill_forward
    run(
        int(grid.depth[leaf]),
        grid.count[leaf],
        grid.stride[leaf],
        grid.places[leaf],
        grid.digit,
        grid.period,
        grid.skipped,
        exists,
        filled,
    )
    return filled


@compiled
def _fill_forward(
    depth: int,
    count: Any,
    stride: Any,
    places: Any,
    digit: Any,
    period: Any,
    skipped: Any,
    exists: Any,
    filled: Any,
) -> None:
    for key in range(len(filled)):
        before = -1
        value = filled[key] * 0
        for k in range(depth - 1, -1, -1):
            place = key // stride[k] % count[k]
            if place > 0:
                # The index before this one, with the last indices of the loops inside.
                before = key // stride[k] * stride[k] - 1
                here = places[k] + place
                gap = digit[here] - digit[here - 1]
                if gap > 1:
                    # It is skipped, in the last period of the range: the last of its period.
                    value = filled[before] - filled[before - period[here - 1] * stride[k]]
                    value *= skipped[here - 1]
                break
        if before >= 0:
            value += filled[before]
            if not exists[key] or value > filled[key]:
                filled[key] = value
        elif not exists[key]:
            filled[key] = value
