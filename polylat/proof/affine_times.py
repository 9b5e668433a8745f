"""Start times of one event as affine functions on pieces, and as ISL objects."""

from __future__ import annotations

from functools import cached_property
from math import lcm

import islpy as isl
import numpy as np

from polylat.analysis.isl_pieces import pieces_to_set
from polylat.schedule.arrays import Times
from polylat.schedule.pieces import Pieces

__all__ = ["AffineTimes"]


class AffineTimes:
    """Start times as functions ``(constant + coefficients * index) / scale``, and as ISL objects.

    Parameters
    ----------
    pieces
        The pieces of one event.
    """

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.scale = lcm(*np.unique(pieces.stride).tolist()) if pieces.depth else 1
        self.sets: dict[int, isl.Set] = {}
        self.affs: dict[tuple[int, int], isl.Aff] = {}

    @cached_property
    def whole(self) -> isl.Set:
        """All tile iterations."""
        return pieces_to_set(self.pieces)

    def linear(self, scale: int) -> tuple[Times, Times]:
        """Return the start times as affine functions of the index.

        Parameters
        ----------
        scale
            A multiple of every stride.

        Returns
        -------
        (constant, slope)
            Shapes (pieces,) and (loops, pieces): ``constant + slope * index`` is `scale` times the
            start time.
        """
        f = self.pieces
        rate, low = f.rate.astype(object), f.low.astype(object)
        slope = np.asarray(rate * scale // f.stride.astype(object)).reshape(f.depth, f.size)
        constant = f.start.astype(object) * scale - (slope * low).sum(axis=0)
        largest = np.abs(slope).sum(axis=0).max(initial=0) * (int(f.high.max(initial=0)) + 1)
        if int(np.abs(constant).max(initial=0)) + int(largest) < 1 << 54:
            return constant.astype(np.int64), slope.astype(np.int64)
        return constant, slope

    def set_of(self, which: int) -> isl.Set:
        """Return the tile iterations of one piece.

        Parameters
        ----------
        which
            The index of the piece.

        Returns
        -------
        islpy.Set
            Its tile iterations, as points without a name.
        """
        if which not in self.sets:
            self.sets[which] = pieces_to_set(self.pieces.chosen(np.array([which])))
        return self.sets[which]

    def aff_of(self, which: int, scale: int) -> isl.Aff:
        """Return the start time on one piece as an affine expression.

        Parameters
        ----------
        which
            The index of the piece.
        scale
            A multiple of every stride.

        Returns
        -------
        islpy.Aff
            Tile iteration → `scale` times its start time.
        """
        key = which, scale
        if key not in self.affs:
            f = self.pieces
            total = int(f.start[which]) * scale
            terms = []
            for k in range(f.depth):
                slope = int(f.rate[k, which]) * scale // int(f.stride[k, which])
                total -= slope * int(f.low[k, which])
                terms.append(f"{slope}i{k}")
            dims = ", ".join(f"i{k}" for k in range(f.depth))
            self.affs[key] = isl.Aff(f"{{ [{dims}] -> [({' + '.join([str(total), *terms])})] }}")
        return self.affs[key]
