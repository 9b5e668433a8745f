"""What decides a rule where times are irregular: every tile iteration on its own.

The rule's function is evaluated at all tile iterations that wait, and their times are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylat.lowering.scan import Ints, PieceWise
from polylat.proof.decide import Function, Pair, Pieces
from polylat.schedule.graph import Times

__all__ = ["PointDecider", "Points", "rows"]


class Points(Pieces):
    """Families, tile iteration by tile iteration in lexicographic order."""

    @cached_property
    def table(self) -> tuple[Ints, Times]:
        """Indices (a row per tile iteration) and times."""
        digits, start, _ = self.families.expanded()
        order = np.lexsort(digits[::-1]) if len(digits) else np.arange(len(start))
        return digits[:, order].T, start[order]

    @cached_property
    def radices(self) -> list[int]:
        """Per loop, one more than the largest index."""
        return [int(high) + 1 for high in self.families.high.max(axis=1, initial=0)]

    @cached_property
    def keys(self) -> Ints:
        """Mixed-radix numbers of the tile iterations: increasing."""
        return self.key_of(self.table[0])

    def key_of(self, digits: Ints) -> Ints:
        """Mixed-radix numbers of tile iterations, a row each."""
        key = np.zeros(len(digits), dtype=np.int64)
        for column, radix in zip(digits.T, self.radices, strict=True):
            key = key * radix + column
        return key

    def find(self, digits: Ints) -> tuple[Ints, np.ndarray]:
        """Where tile iterations stand in the table, and whether they do."""
        inside = (digits < np.array(self.radices, dtype=np.int64)[None, :]).all(axis=1)
        if not len(self.keys):
            return np.zeros(len(digits), dtype=np.int64), np.zeros(len(digits), dtype=np.bool_)
        wanted = self.key_of(digits)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return at, inside & (self.keys[at] == wanted)

    def last_before(self, digits: Ints) -> Ints:
        """Where the last one stands that does not come after tile iterations; -1: nowhere."""
        # Indices beyond all that are here would not fit their radix.
        clipped = digits.copy()
        free = np.zeros(len(digits), dtype=np.bool_)
        for k, radix in enumerate(self.radices):
            free |= clipped[:, k] >= radix
            clipped[free, k] = radix - 1
        return np.asarray(np.searchsorted(self.keys, self.key_of(clipped), side="right") - 1)


@dataclass
class PointDecider:
    """Decides rules by looking at every tile iteration.

    Parameters
    ----------
    bounded
        Tile iterations looked at.
    asked
        Always 0: ISL has given the functions.
    """

    bounded: int = 0
    asked: int = 0

    def late(self, function: Function, waiting: Points, awaited: Points) -> Pair | None:
        """The first tile iteration that does not wait, None if all do."""
        digits, start = waiting.table
        self.bounded += len(start)
        values, there = PieceWise(function.source).at(digits)
        at, found = awaited.find(values)
        late = there & found
        late[late] = np.asarray(awaited.table[1][at[late]] > start[late], dtype=np.bool_)
        return _first(late, digits, awaited.table[0][at] if len(awaited.keys) else digits)

    def late_any(self, function: Function, waiting: Points, awaited: Points) -> Pair | None:
        """The same where all that do not come after the function's value are waited for."""
        digits, start = waiting.table
        self.bounded += len(start)
        values, there = PieceWise(function.source).at(digits)
        times = awaited.table[1]
        if not len(times):
            return None
        latest = np.maximum.accumulate(times)
        at = awaited.last_before(values)
        late = there & (at >= 0)
        late[late] = np.asarray(latest[at[late]] > start[late], dtype=np.bool_)
        if not late.any():
            return None
        first = int(np.flatnonzero(late)[0])
        worst = int(np.flatnonzero(times[: at[first] + 1] > start[first])[0])
        return Pair(rows(digits, first), rows(awaited.table[0], worst))

    def disorder(self, pieces: Points) -> Pair | None:
        """Two tile iterations of which the later one is earlier in time, None if there are none."""
        digits, start = pieces.table
        self.bounded += len(start)
        wrong = np.asarray(start[1:] < start[:-1], dtype=np.bool_)
        return _first(np.concatenate(([False], wrong))[: len(start)], digits, np.roll(digits, 1, 0))


def rows(digits: Ints, which: int) -> tuple[int, ...]:
    """A tile iteration of a table."""
    return tuple(int(x) for x in digits[which])


def _first(wrong: np.ndarray, waiting: Ints, awaited: Ints) -> Pair | None:
    if not wrong.any():
        return None
    at = int(np.flatnonzero(wrong)[0])
    return Pair(rows(waiting, at), rows(awaited, at))
