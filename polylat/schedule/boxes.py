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
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Times, compiled
from polylat.schedule.grid import Grid

__all__ = [
    "HOLDS",
    "TIGHT",
    "UNDECIDED",
    "VIOLATED",
    "Parts",
    "Rows",
    "Sources",
    "decide_rows",
]

HOLDS, TIGHT, VIOLATED, UNDECIDED = range(4)
"""Outcome of a precedence: it holds, it holds with equality throughout, it is violated somewhere,
or its source does not stay in few pieces."""

_MOST_PARTS = 4096
"""Largest number of parts that a box is split into."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of boxes within which a source stays in one piece.

    Parameters
    ----------
    first
        Shape (sources + 1,): where the parts of each source begin; none: it does not stay in few.
    key
        Shape (parts,): the point of the source's grid that represents the source.
    detail
        Shape (parts,): the row of the arrays below; -1: the part has one member, whose source is
        sampled.
    low, extent
        Shape (details, D): the first member of a part, and the number of further ones, per loop.
    periods
        Shape (details, D): by how many periods the source of the first member is later.
    slope
        Shape (details, D, D): by how many periods the source is later (first axis) per member
        (second axis).
    """

    first: Ints
    key: Ints
    detail: Ints
    low: Ints
    extent: Ints
    periods: Ints
    slope: Ints


@dataclass(frozen=True, eq=False)
class Sources:
    """Where the sources of a rule lie: loop indices that are affine on the boxes of the targets.

    Parameters
    ----------
    leaf, target
        Shape (n,): the leaf of each target, and its point of the grid.
    other, base
        Shape (n,) and (n, D): the leaf of each source, and its loop indices for k = 0.
    same
        Shape (n,): in this number of outer loops the source moves as the target does; it does not
        move in the loops inside. Meaningless where `slope` is not -1.
    slope, slopes
        Shape (n,): the matrix in `slopes`, shape (matrices, D, D), by which the source moves; -1:
        see `same`. A matrix says by how many iterations of the source's loop (first axis) the
        source moves per period of the target's loop (second axis).
    """

    leaf: Ints
    target: Ints
    other: Ints
    base: Ints
    same: Ints
    slope: Ints
    slopes: Ints

    @staticmethod
    def joined(parts: Sequence[Sources], width: int) -> Sources:
        """Concatenate sources.

        Parameters
        ----------
        parts
            The parts.
        width
            Largest number of loops D.

        Returns
        -------
        Sources
            All sources, in order.
        """
        none = np.zeros(0, dtype=np.int64)
        slope: list[Ints] = [none]
        matrices = 0
        for part in parts:
            slope.append(np.where(part.slope < 0, -1, part.slope + matrices))
            matrices += len(part.slopes)
        return Sources(
            np.concatenate([none, *(p.leaf for p in parts)]),
            np.concatenate([none, *(p.target for p in parts)]),
            np.concatenate([none, *(p.other for p in parts)]),
            np.concatenate([np.zeros((0, width), dtype=np.int64), *(p.base for p in parts)]),
            np.concatenate([none, *(p.same for p in parts)]),
            np.concatenate(slope),
            np.concatenate(
                [np.zeros((0, width, width), dtype=np.int64), *(p.slopes for p in parts)]
            ),
        )

    def parts(self, grid: Grid) -> Parts:
        """Split the targets' boxes into parts within which the source stays in one piece.

        Parameters
        ----------
        grid
            The grids of the leaves.

        Returns
        -------
        Parts
            The parts.
        """
        return Parts(
            *_split(
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
                self.leaf,
                self.target,
                self.other,
                self.base,
                self.same,
                self.slope,
                self.slopes,
            )
        )


@dataclass(frozen=True, eq=False)
class Rows:
    """Precedences between families of events, one row per target box.

    A *family* has one event per point of a leaf's grid. Events are numbered family by family.

    Parameters
    ----------
    target, family
        Shape (rows,): the event that waits, and the family of the event that it waits for.
    source
        Shape (rows,): where that event is: a number of `Sources`.
    own
        Shape (rows,): whether the source is the event itself, so that equality counts only where
        the event exists; else it is the last event up to the indices.
    sound
        Shape (rows,): whether the row is a precedence, so that equality counts at all.
    """

    target: Ints
    family: Ints
    source: Ints
    own: Mask
    sound: Mask

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """Concatenate rows.

        Parameters
        ----------
        parts
            The parts.

        Returns
        -------
        Rows
            All rows, in order.
        """
        none = np.zeros(0, dtype=np.int64)
        never = np.zeros(0, dtype=np.bool_)
        return Rows(
            np.concatenate([none, *(p.target for p in parts)]),
            np.concatenate([none, *(p.family for p in parts)]),
            np.concatenate([none, *(p.source for p in parts)]),
            np.concatenate([never, *(p.own for p in parts)]),
            np.concatenate([never, *(p.sound for p in parts)]),
        )


def decide_rows(
    parts: Parts,
    first: Ints,
    rows: Rows,
    weight: Times,
    values: Times,
    rates: Times,
    exists: Mask,
) -> Ints:
    """Decide precedences for all members of their targets' boxes.

    Parameters
    ----------
    parts
        The parts of the boxes, per source.
    first
        Shape (families,): the first event of each family.
    rows, weight
        The precedences, and how many steps each target is at least later than its source: shape
        (rows,).
    values, rates
        Shape (events,) and (events, D): the time of each event for k = 0, and its increase per
        period of each loop.
    exists
        Shape (events,): whether the event itself occurs.

    Returns
    -------
    numpy.ndarray
        Shape (rows,): `HOLDS`, `TIGHT`, `VIOLATED` or `UNDECIDED`.
    """
    outcome = np.zeros(len(rows.target), dtype=np.int64)
    exact = values.dtype == object
    run = _decide.py_func if exact else _decide
    factors = parts.low, parts.extent, parts.periods, parts.slope
    run(
        parts.first,
        parts.key,
        parts.detail,
        *(factor.astype(object) if exact else factor for factor in factors),
        first,
        rows.target,
        rows.family,
        rows.source,
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
    part_start: Any,
    key: Any,
    details: Any,
    low: Any,
    extent: Any,
    periods: Any,
    slope: Any,
    first: Any,
    target: Any,
    family: Any,
    source: Any,
    own: Any,
    weight: Any,
    values: Any,
    rates: Any,
    exists: Any,
    outcome: Any,
) -> None:
    width = low.shape[1]
    for r in range(len(target)):
        event = target[r]
        start, end = part_start[source[r]], part_start[source[r] + 1]
        found = 1 if start < end else 3
        for part in range(start, end):
            other = first[family[r]] + key[part]
            difference = values[event] - values[other] - weight[r]
            least = difference
            detail = details[part]
            flat = True
            if detail >= 0:
                for k in range(width):
                    if low[detail, k] > 0:
                        difference += low[detail, k] * rates[event, k]
                    if periods[detail, k] > 0:
                        difference -= periods[detail, k] * rates[other, k]
                least = difference
                for k in range(width):
                    if extent[detail, k] > 0:
                        grows = rates[event, k]
                        for p in range(width):
                            if slope[detail, p, k] != 0:
                                grows -= slope[detail, p, k] * rates[other, p]
                        if grows != 0:
                            flat = False
                        if grows < 0:
                            least += grows * extent[detail, k]
            if least < 0:
                found = 2
                break
            if difference != 0 or not flat or (own[r] and not exists[other]):
                found = 0
        outcome[r] = found


@compiled
def _split(
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
    leaf: Any,
    target: Any,
    others: Any,
    base: Any,
    same: Any,
    slope: Any,
    slopes: Any,
) -> Any:
    width = stride.shape[1]
    sources = len(target)
    first = np.zeros(sources + 1, np.int64)
    room = 2 * sources + 16
    keys = np.zeros(room, np.int64)
    details = np.full(room, -1, np.int64)
    wide = sources // 4 + 16
    lows = np.zeros((wide, width), np.int64)
    extents = np.zeros((wide, width), np.int64)
    laters = np.zeros((wide, width), np.int64)
    grows = np.zeros((wide, width, width), np.int64)
    detail = 0
    low = np.zeros((_MOST_PARTS + 2, width), np.int64)
    high = np.zeros((_MOST_PARTS + 2, width), np.int64)
    step = np.zeros(width, np.int64)
    moves = np.zeros((width, width), np.int64)
    length = np.zeros(width, np.int64)
    later = np.zeros(width, np.int64)
    written = 0
    for r in range(sources):
        begun, detailed = written, detail
        mine, other = leaf[r], others[r]
        outer, inner = depth[mine], depth[other]
        for k in range(outer):
            place = places[mine, k] + target[r] // stride[mine, k] % count[mine, k]
            step[k] = period[place]
            low[0, k] = 0
            high[0, k] = skipped[place]
        for p in range(inner):
            for k in range(outer):
                if slope[r] >= 0:
                    moves[p, k] = slopes[slope[r], p, k]
                else:
                    moves[p, k] = step[k] if p == k and p < same[r] else 0
        top = 1
        lost = False
        while top > 0 and not lost:
            top -= 1
            source = 0
            split = -1
            split_at = 0
            for p in range(inner):
                start = base[r, p]
                least = base[r, p]
                most = base[r, p]
                moving = -1
                several = False
                for k in range(outer):
                    s = moves[p, k]
                    if s != 0:
                        start += s * low[top, k]
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
                run = runs[other, p]
                while run + 1 < runs[other, p + 1] and run_first[run + 1] <= start:
                    run += 1
                end = trips[other, p] if run + 1 == runs[other, p + 1] else run_first[run + 1]
                length[p] = run_period[run]
                ahead = start - run_first[run]
                if length[p] == 0:
                    later[p] = 0
                    source += (run_place[run] + ahead) * stride[other, p]
                else:
                    later[p] = ahead // length[p]
                    source += (run_place[run] + ahead % length[p]) * stride[other, p]
                if least == most:
                    continue
                whole = length[p] > 0 and least >= run_first[run] and most < end
                if whole:
                    for k in range(outer):
                        if high[top, k] > low[top, k] and moves[p, k] % length[p] != 0:
                            whole = False
                if whole:
                    continue
                split = moving
                if several:
                    # Halve the widest loop that moves the source.
                    widest = 0
                    for k in range(outer):
                        if moves[p, k] != 0 and high[top, k] - low[top, k] > widest:
                            widest = high[top, k] - low[top, k]
                            split = k
                    split_at = low[top, split] + (widest + 1) // 2
                else:
                    s = moves[p, moving]
                    members = 1
                    if length[p] > 0 and s % length[p] == 0:
                        if s > 0:
                            members = (end - start + s - 1) // s
                        else:
                            members = ahead // (-s) + 1
                    split_at = low[top, moving] + members
                break
            if lost:
                break
            if split >= 0:
                if top >= _MOST_PARTS or written - begun >= _MOST_PARTS:
                    lost = True
                    break
                for k in range(outer):
                    low[top + 1, k] = low[top, k]
                    high[top + 1, k] = high[top, k]
                low[top, split] = split_at
                high[top + 1, split] = split_at - 1
                top += 2
                continue
            if written == room:
                room *= 2
                keys = np.concatenate((keys, np.zeros_like(keys)))
                details = np.concatenate((details, np.full_like(details, -1)))
            if detail == wide:
                wide *= 2
                lows = np.concatenate((lows, np.zeros_like(lows)))
                extents = np.concatenate((extents, np.zeros_like(extents)))
                laters = np.concatenate((laters, np.zeros_like(laters)))
                grows = np.concatenate((grows, np.zeros_like(grows)))
            keys[written] = source
            details[written] = -1
            simple = True
            for k in range(outer):
                simple = simple and high[top, k] == 0
            for p in range(inner):
                simple = simple and later[p] == 0
            if not simple:
                details[written] = detail
                for k in range(width):
                    lows[detail, k] = low[top, k] if k < outer else 0
                    extents[detail, k] = high[top, k] - low[top, k] if k < outer else 0
                    laters[detail, k] = later[k] if k < inner else 0
                    for p in range(width):
                        grows[detail, p, k] = 0
                        if k < outer and p < inner and length[p] > 0 and extents[detail, k] > 0:
                            grows[detail, p, k] = moves[p, k] // length[p]
                detail += 1
            written += 1
        if lost:
            written, detail = begun, detailed
        first[r + 1] = written
    return (
        first,
        keys[:written],
        details[:written],
        lows[:detail],
        extents[:detail],
        laters[:detail],
        grows[:detail],
    )
