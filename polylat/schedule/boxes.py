"""Decide precedences for all members of boxes of skipped iterations at once.

The times of an event over the tile iterations of a leaf are affine pieces: a sampled tile iteration
represents a box of skipped ones, k[l] periods later in loop l, and its time grows by a constant
rate per period. A precedence of such a box on a source whose loop indices are affine in k is an
affine inequality on every part of the box within which the source stays in one piece. Where the
source moves by a fraction of its period, the parts have every second, third, … member. An affine
function on a box is least at a corner. So the inequality is decided exactly, for all members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Narrow, Times
from polylat.schedule.box_kernels import decide, split
from polylat.schedule.grid import Grid

__all__ = [
    "Parts",
    "Rows",
    "Sources",
    "decide_rows",
]

_MOST_PARTS = 4096
"""Largest number of parts that a box is split into where loops have few sampled iterations."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of boxes within which a source stays in one piece.

    Parameters
    ----------
    first
        Shape (sources + 1,): where the parts of each source begin. A source without parts would be
        in too many pieces.
    key
        Shape (parts,): the point of the source's grid that represents the source.
    detail
        Shape (parts,): the row of the arrays below; -1: the part has one member, whose source is
        sampled.
    low, extent
        Shape (details, D): the first member of a part, and the number of further ones, per loop.
    stride
        Shape (details, D): how many periods of the target lie between two of these members.
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
    stride: Ints
    periods: Ints
    slope: Ints

    @cached_property
    def spread(self) -> Mask:
        """Shape (details,): whether the source has parts with a stride of several periods.

        Where the parts of such a source lie is no affine function of the trip counts.
        """
        of_part = np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))
        wide = np.flatnonzero(self.detail >= 0)
        owner = of_part[wide]
        found = np.zeros(len(self.low), dtype=np.bool_)
        apart = np.zeros(len(self.first) - 1, dtype=np.bool_)
        np.logical_or.at(apart, owner, (self.stride[self.detail[wide]] > 1).any(axis=1))
        found[self.detail[wide]] = apart[owner]
        return found


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
            *split(
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
                _MOST_PARTS,
                # What a leaf samples of a loop, one by one, and all residues of its periods.
                max(_MOST_PARTS, 2 * int(grid.count.max(initial=0))),
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
    lag
        Shape (rows,), in steps: how long after the event waited for the event happens at the
        earliest, its own duration aside.
    """

    target: Ints
    family: Ints
    source: Ints
    own: Mask
    sound: Mask
    lag: Times

    def chosen(self, which: Mask) -> Rows:
        """Select rows.

        Parameters
        ----------
        which
            Shape (rows,): whether to select each row.

        Returns
        -------
        Rows
            The selected rows; this object if these are all.
        """
        if which.all():
            return self
        return Rows(
            self.target[which],
            self.family[which],
            self.source[which],
            self.own[which],
            self.sound[which],
            self.lag[which],
        )

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
            np.concatenate([none, *(p.lag for p in parts)]),
        )


def decide_rows(
    parts: Parts,
    first: Ints,
    rows: Rows,
    weight: Times,
    values: Times,
    rates: Times,
    exists: Mask,
) -> Narrow:
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
        Shape (rows,): `HOLDS`, `TIGHT`, `VIOLATED` or `UNDECIDED` of `box_kernels`.
    """
    outcome = np.zeros(len(rows.target), dtype=np.int8)
    exact = values.dtype == object
    run = decide.py_func if exact else decide
    factors = parts.low, parts.extent, parts.stride, parts.periods, parts.slope
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
