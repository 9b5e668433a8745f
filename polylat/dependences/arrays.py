"""Tables of loop indices: looking rows up, and joining them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.scan import Ints, runs
from polylat.lowering.tiles import Tiles

__all__ = [
    "MOST_PAIRS",
    "first_of_each",
    "increases",
    "join",
    "row_keys",
    "rows_of",
    "runs",
    "spans_of",
    "tile_keys",
    "union_of",
]

MOST_PAIRS = 50_000_000
"""Beyond this many pairs of tile iterations memory would run out."""


def union_of(parts: Sequence[Ints], size: int) -> Ints:
    """The tile iterations (of so many) that any of the arrays names, increasing."""
    named = np.zeros(size, dtype=np.bool_)
    for part in parts:
        named[part] = True
    return np.flatnonzero(named)


def tile_keys(tiles: Tiles, loops: Sequence[int], events: Ints) -> Ints:
    """Mixed-radix number of some loops' indices, per tile iteration."""
    index = np.zeros(len(events), dtype=np.int64)
    for k in loops:
        index = index * tiles.radix(k) + tiles.digits[k][events]
    return index


def row_keys(tiles: Tiles, loops: Sequence[int], rows: Ints) -> Ints:
    """Mixed-radix number of the first columns of rows, which are indices of some loops."""
    index = np.zeros(len(rows), dtype=np.int64)
    for column, k in enumerate(loops):
        index = index * tiles.radix(k) + rows[:, column]
    return index


def rows_of(
    tiles: Tiles, loops: Sequence[int], rows: Ints, events: Ints
) -> tuple[Ints, np.ndarray]:
    """Per tile iteration the row that has its indices, and whether there is one."""
    if not len(rows):
        return np.zeros(len(events), dtype=np.int64), np.zeros(len(events), dtype=np.bool_)
    keys, wanted = row_keys(tiles, loops, rows), tile_keys(tiles, loops, events)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def spans_of(tiles: Tiles, loops: Sequence[int], pairs: Ints, events: Ints) -> tuple[Ints, Ints]:
    """Per tile iteration the run of rows that have its indices: length and start."""
    keys, wanted = row_keys(tiles, loops, pairs), tile_keys(tiles, loops, events)
    start = np.searchsorted(keys, wanted, side="left")
    end = np.searchsorted(keys, wanted, side="right")
    return end - start, start


def first_of_each(rows: Ints, columns: int) -> Ints:
    """The first row of each run of rows that agree in the first columns."""
    if len(rows) == 0:
        return rows
    change = np.any(rows[1:, :columns] != rows[:-1, :columns], axis=1)
    return rows[np.concatenate(([True], change))]


def join(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Indices of all pairs of equal rows."""
    if left.shape[1] == 0:
        a, b = np.indices((len(left), len(right)))
        return a.reshape(-1), b.reshape(-1)
    _, both = np.unique(np.concatenate((left, right)), axis=0, return_inverse=True)
    mine, theirs = both[: len(left)].reshape(-1), both[len(left) :].reshape(-1)
    order = np.argsort(theirs, kind="stable")
    start = np.searchsorted(theirs[order], mine, side="left")
    end = np.searchsorted(theirs[order], mine, side="right")
    lengths = end - start
    if lengths.sum() > MOST_PAIRS:
        raise TooLargeError(
            f"more than {MOST_PAIRS} pairs of tile iterations share an element",
            mend="use granularity='tile'",
        )
    repeat, rows = runs(start, lengths)
    return repeat, order[rows]


def increases(values: Ints) -> np.ndarray:
    """Where a value exceeds all before it."""
    if not len(values):
        return np.zeros(0, dtype=np.bool_)
    before = np.concatenate(([-1], np.maximum.accumulate(values)[:-1]))
    return values > before
