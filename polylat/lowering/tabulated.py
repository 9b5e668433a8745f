"""Functions that are given as a table of their values."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from polylat.lowering.corners import Corners
from polylat.schedule.arrays import Ints, Mask, concatenated_ranges

__all__ = ["TabulatedFunction"]


class TabulatedFunction:
    """A function of integer points, evaluated like a `PiecewiseAffine`.

    Parameters
    ----------
    points
        The points at which it is defined, distinct, in lexicographic order, shape (n, dimensions).
    values
        Its values, shape (n, dimensions of the value).
    """

    def __init__(self, points: Ints, values: Ints) -> None:
        self._points = points
        self._values = values
        self._low = points.min(axis=0) if len(points) else np.zeros(points.shape[1], dtype=np.int64)
        high = points.max(axis=0) if len(points) else self._low - 1
        self._extent = high - self._low + 1

    @cached_property
    def _keys(self) -> Ints:
        """Mixed-radix numbers of the points, increasing."""
        return self._numbered(self._points)

    def _numbered(self, points: Ints) -> Ints:
        keys = np.zeros(len(points), dtype=np.int64)
        for column, low, extent in zip(points.T, self._low, self._extent, strict=True):
            keys = keys * extent + column - low
        return keys

    def at(self, points: Ints) -> tuple[Ints, Mask]:
        """Evaluate the function.

        Parameters
        ----------
        points
            One point per row, shape (n, dimensions).

        Returns
        -------
        (values, defined)
            One value per row, shape (n, dimensions of the value), and where the function is
            defined, shape (n,). Values are 0 elsewhere.
        """
        values = np.zeros((len(points), self._values.shape[1]), dtype=np.int64)
        offset = points - self._low
        defined: Mask = np.asarray(((offset >= 0) & (offset < self._extent)).all(axis=1))
        some = np.flatnonzero(defined)
        if not len(self._keys):
            defined[:] = False
            return values, defined
        keys = self._numbered(points[some])
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        found = self._keys[place] == keys
        defined[some] = found
        values[some[found]] = self._values[place[found]]
        return values, defined

    def on_boxes(self, corners: Corners) -> tuple[Ints, Ints, Mask, Mask]:
        """Evaluate the function on boxes of points, at every point.

        Parameters
        ----------
        corners
            The boxes.

        Returns
        -------
        (values, slopes, affine, undefined)
            As of `PiecewiseAffine.on_boxes`.
        """
        sizes = (corners.last + 1).prod(axis=1)
        box, place = concatenated_ranges(np.zeros_like(sizes), sizes)
        steps = np.zeros((len(box), corners.coordinates), dtype=np.int64)
        for c in reversed(range(corners.coordinates)):
            place, steps[:, c] = np.divmod(place, corners.last[box, c] + 1)
        points = corners.first[box]
        for c, dimension in enumerate(corners.moved):
            points[:, dimension] += corners.steps[box, c] * steps[:, c]
        found, defined = self.at(points)
        first = np.cumsum(sizes) - sizes
        values = found[first]
        slopes = np.zeros((*values.shape, corners.coordinates), dtype=np.int64)
        # In the order of the points of a box, the next one in a coordinate is that many behind.
        behind = np.ones(corners.boxes, dtype=np.int64)
        for c in reversed(range(corners.coordinates)):
            wide = np.flatnonzero(corners.last[:, c])
            slopes[wide, :, c] = found[first[wide] + behind[wide]] - values[wide]
            behind *= corners.last[:, c] + 1
        line = values[box] + np.einsum("ijk,ik->ij", slopes[box], steps)
        good = defined & (found == line).all(axis=1)
        if not len(first):
            return values, slopes, good[:0], good[:0]
        affine = np.logical_and.reduceat(good, first)
        return values, slopes, affine, ~np.logical_or.reduceat(defined, first)
