"""The sampled loop indices of leaves as dense grids, with times extrapolated over skipped ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Times
from polylat.schedule.compilation import compiled

__all__ = ["Grid", "fill_forward"]

_LIMIT = float(1 << 61)
"""Values beyond it are computed again in Python integers: the sum of two still fits 64 bits."""


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
        Ranges of a loop's iterations, sampled and repeating in turn; those of loop l of leaf a are
        ``runs[a, l]`` to ``runs[a, l + 1]``: the first iteration, its place, and the period (0:
        sampled only). A repeating range begins with the period that represents the skipped ones.
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

    def prefix(self, leaf: int, keys: Ints, depth: int) -> Ints:
        """Return the places of the outer loops at grid points of a leaf, as one number.

        Parameters
        ----------
        leaf, keys
            Number of the leaf, and its points, shape (n,).
        depth
            Number of outer loops.

        Returns
        -------
        numpy.ndarray
            Shape (n,): not decreasing if the points are not.
        """
        if depth == 0:
            return np.zeros_like(keys)
        return np.asarray(keys // self.stride[leaf, depth - 1], dtype=np.int64)

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


def fill_forward(grid: Grid, leaf: int, own: Times, exists: Mask) -> Times:
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
        times of skipped events are extrapolated. Python integers (dtype object) where 64 bits do
        not suffice.
    """
    filled = own.copy()
    exact = own.dtype == object
    run = _fill_forward.py_func if exact else _fill_forward
    done = run(
        int(grid.depth[leaf]),
        grid.count[leaf],
        grid.stride[leaf],
        grid.places[leaf],
        grid.digit,
        grid.period,
        grid.skipped.astype(object) if exact else grid.skipped,
        exists,
        inf if exact else _LIMIT,
        filled,
    )
    return filled if done else fill_forward(grid, leaf, own.astype(object), exists)


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
    limit: float,
    filled: Any,
) -> bool:
    """Fill forward in place; return False if a value might not fit 64 bits."""
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
                    if abs(value) > limit / skipped[here - 1]:
                        return False
                    value *= skipped[here - 1]
                break
        if before >= 0:
            value += filled[before]
            if not exists[key] or value > filled[key]:
                filled[key] = value
        elif not exists[key]:
            filled[key] = value
    return True
