"""Decide on boxes of points what holds for all of them, from their corners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from polylat.schedule.arrays import Ints, Mask

__all__ = ["Corners", "subsets"]


@dataclass(frozen=True, eq=False)
class Corners:
    """The corners of boxes of points: {first + step · k}, 0 ≤ k ≤ last, coordinate by coordinate.

    Parameters
    ----------
    first
        Shape (boxes, dimensions): the points for k = 0.
    steps, last
        Shape (boxes, coordinates): how far a step of each coordinate moves the dimension that it
        moves, and the largest value of the coordinate.
    moved
        The dimension that each coordinate moves.
    """

    first: Ints
    steps: Ints
    last: Ints
    moved: tuple[int, ...]

    @property
    def boxes(self) -> int:
        """Number of boxes."""
        return len(self.first)

    @property
    def coordinates(self) -> int:
        """Number of coordinates of k."""
        return len(self.moved)

    @cached_property
    def subsets(self) -> list[tuple[int, ...]]:
        """The coordinates that are last, not first, corner by corner: first none, then each one."""
        wide = [c for c in range(self.coordinates) if self.last[:, c].any()]
        return [(), *subsets(wide)]

    @cached_property
    def points(self) -> Ints:
        """The corners, shape (corners · boxes, dimensions)."""
        found = np.repeat(self.first[None], len(self.subsets), axis=0)
        for at, subset in enumerate(self.subsets):
            for c in subset:
                found[at, :, self.moved[c]] += self.steps[:, c] * self.last[:, c]
        return found.reshape(len(self.subsets) * self.boxes, self.first.shape[1])

    def split(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Arrange values by corner.

        Parameters
        ----------
        values
            Values at `points`, shape (corners · boxes,).

        Returns
        -------
        numpy.ndarray
            Shape (corners, boxes).
        """
        return values.reshape(len(self.subsets), self.boxes)

    def affine(self, values: npt.NDArray[Any]) -> tuple[tuple[Ints, Ints], Mask]:
        """Decide whether values at the corners are those of affine functions.

        Parameters
        ----------
        values
            Values at `points`, shape (corners · boxes,).

        Returns
        -------
        ((value, slopes), affine)
            The value for k = 0, shape (boxes,); its increase per step of each coordinate, shape
            (boxes, coordinates); and whether an affine function with integer slopes has these
            values at all corners, shape (boxes,).
        """
        by_corner = self.split(values)
        base = by_corner[0]
        kind: Any = object if values.dtype == object else np.int64
        slopes = np.full((self.boxes, self.coordinates), 0, dtype=kind)
        affine = np.ones(self.boxes, dtype=np.bool_)
        for at, subset in enumerate(self.subsets):
            if len(subset) == 1:
                (c,) = subset
                last = np.maximum(self.last[:, c], 1)
                slopes[:, c] = (by_corner[at] - base) // last
            rise = np.full(self.boxes, 0, dtype=kind)
            for c in subset:
                rise += slopes[:, c] * self.last[:, c]
            affine &= np.asarray(by_corner[at] == base + rise, dtype=np.bool_)
        return (base, slopes), affine


def subsets(coordinates: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the subsets of coordinates but the empty one: the corners of a box, without the first.

    Parameters
    ----------
    coordinates
        The coordinates in which the box extends.

    Yields
    ------
    tuple of int
        The coordinates that have their largest value at a corner.
    """
    for size in range(1, len(coordinates) + 1):
        yield from combinations(coordinates, size)
