"""Start times of one event as a table with a row per tile iteration."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from polylat.proof.affine_times import AffineTimes
from polylat.schedule.arrays import Ints, Times

__all__ = ["TabulatedTimes"]


class TabulatedTimes(AffineTimes):
    """Start times of one event as a table, in lexicographic order of the tile iterations."""

    @cached_property
    def table(self) -> tuple[Ints, Times]:
        """Indices, shape (n, loops), and start times, shape (n,), of all n tile iterations."""
        digits, start, _ = self.pieces.expanded()
        order = np.lexsort(digits[::-1]) if len(digits) else np.arange(len(start))
        return digits[:, order].T, start[order]

    @cached_property
    def radices(self) -> list[int]:
        """Per loop, the largest index plus 1."""
        return [int(high) + 1 for high in self.pieces.high.max(axis=1, initial=0)]

    @cached_property
    def keys(self) -> Ints:
        """Mixed-radix numbers of the tile iterations, shape (n,), increasing."""
        return self.key_of(self.table[0])

    def key_of(self, digits: Ints) -> Ints:
        """Number tile iterations in mixed radix.

        Parameters
        ----------
        digits
            Shape (m, loops): the indices of m tile iterations.

        Returns
        -------
        numpy.ndarray
            Shape (m,): numbers in lexicographic order.
        """
        key = np.zeros(len(digits), dtype=np.int64)
        for column, radix in zip(digits.T, self.radices, strict=True):
            key = key * radix + column
        return key

    def find(self, digits: Ints) -> tuple[Ints, np.ndarray]:
        """Look up tile iterations in the table.

        Parameters
        ----------
        digits
            Shape (m, loops): the indices of m tile iterations.

        Returns
        -------
        (rows, present)
            Shape (m,) each: the row of each in the table, and whether it is in the table.
        """
        inside = (digits < np.array(self.radices, dtype=np.int64)[None, :]).all(axis=1)
        if not len(self.keys):
            return np.zeros(len(digits), dtype=np.int64), np.zeros(len(digits), dtype=np.bool_)
        wanted = self.key_of(digits)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return at, inside & (self.keys[at] == wanted)

    def last_at_or_before(self, digits: Ints) -> Ints:
        """Find the last row at or before each tile iteration, in lexicographic order.

        Parameters
        ----------
        digits
            Shape (m, loops): the indices of m tile iterations.

        Returns
        -------
        numpy.ndarray
            Shape (m,): the rows; -1 where every row comes later.
        """
        # Clip indices beyond the table, which would overflow their radix.
        clipped = digits.copy()
        free = np.zeros(len(digits), dtype=np.bool_)
        for k, radix in enumerate(self.radices):
            free |= clipped[:, k] >= radix
            clipped[free, k] = radix - 1
        return np.asarray(np.searchsorted(self.keys, self.key_of(clipped), side="right") - 1)
