"""Look-up and join of tables whose rows are loop indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.iterations import IterationTable
from polylat.schedule.arrays import Ints, concatenated_ranges

__all__ = [
    "MOST_PAIRS",
    "equal_row_pairs",
    "exceeds_all_before",
    "find_row_ranges",
    "find_rows",
    "first_of_each_group",
    "last_of_each_group",
    "union_of",
]

MOST_PAIRS = 50_000_000
"""Maximum number of pairs of tile iterations: more would not fit in memory."""


def union_of(parts: Sequence[Ints], size: int) -> Ints:
    """Return the union of sets of tile iterations.

    Parameters
    ----------
    parts
        Arrays of tile iterations.
    size
        Number of tile iterations of the leaf.

    Returns
    -------
    numpy.ndarray
        The union, increasing.
    """
    named = np.zeros(size, dtype=np.bool_)
    for part in parts:
        named[part] = True
    return np.flatnonzero(named)


def _tile_keys(tiles: IterationTable, loops: Sequence[int], events: Ints) -> Ints:
    """Return the mixed-radix numbers of some loop indices of tile iterations."""
    index = np.zeros(len(events), dtype=np.int64)
    for k in loops:
        index = index * tiles.radix(k) + tiles.digits[k][events]
    return index


def _row_keys(tiles: IterationTable, loops: Sequence[int], rows: Ints) -> Ints:
    """Return the mixed-radix numbers of the first columns of rows: indices of some loops."""
    index = np.zeros(len(rows), dtype=np.int64)
    for column, k in enumerate(loops):
        index = index * tiles.radix(k) + rows[:, column]
    return index


def find_rows(
    tiles: IterationTable, loops: Sequence[int], rows: Ints, events: Ints
) -> tuple[Ints, np.ndarray]:
    """Find the row with the loop indices of each tile iteration.

    Parameters
    ----------
    tiles, loops
        The tile iterations of a leaf, and numbers of loops.
    rows
        Distinct indices of these loops in lexicographic order, shape (m, columns).
    events
        Tile iterations, shape (n,).

    Returns
    -------
    (rows, found)
        Number of a row, and whether it has these indices: shape (n,) each.
    """
    if not len(rows):
        return np.zeros(len(events), dtype=np.int64), np.zeros(len(events), dtype=np.bool_)
    keys, wanted = _row_keys(tiles, loops, rows), _tile_keys(tiles, loops, events)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def find_row_ranges(
    tiles: IterationTable, loops: Sequence[int], pairs: Ints, events: Ints
) -> tuple[Ints, Ints]:
    """Find the range of rows with the loop indices of each tile iteration.

    Parameters
    ----------
    tiles, loops
        As for `find_rows`.
    pairs
        Rows in lexicographic order whose first columns are indices of the loops.
    events
        Tile iterations, shape (n,).

    Returns
    -------
    (lengths, starts)
        Number of rows, and the first row: shape (n,) each.
    """
    keys, wanted = _row_keys(tiles, loops, pairs), _tile_keys(tiles, loops, events)
    start = np.searchsorted(keys, wanted, side="left")
    end = np.searchsorted(keys, wanted, side="right")
    return end - start, start


def first_of_each_group(rows: Ints, columns: int) -> Ints:
    """Return the first row of each group of consecutive rows with equal first columns.

    Parameters
    ----------
    rows
        A table, shape (n, width).
    columns
        Number of columns to compare.

    Returns
    -------
    numpy.ndarray
        Rows, shape (groups, width).
    """
    if len(rows) == 0:
        return rows
    change = np.any(rows[1:, :columns] != rows[:-1, :columns], axis=1)
    return rows[np.concatenate(([True], change))]


def last_of_each_group(rows: Ints, columns: int) -> Ints:
    """Return the last row of each group of consecutive rows with equal first columns.

    Parameters
    ----------
    rows
        A table, shape (n, width).
    columns
        Number of columns to compare.

    Returns
    -------
    numpy.ndarray
        Rows, shape (groups, width).
    """
    return first_of_each_group(rows[::-1], columns)[::-1]


def equal_row_pairs(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Return all pairs of equal rows of two tables: their equi-join.

    Parameters
    ----------
    left, right
        Tables, shape (m, columns) and (n, columns).

    Returns
    -------
    (left rows, right rows)
        Row numbers, shape (pairs,) each.

    Raises
    ------
    TooLargeError
        There are more than `MOST_PAIRS` pairs.
    """
    if left.shape[1] == 0:
        if len(left) * len(right) > MOST_PAIRS:
            raise _too_many_pairs()
        a, b = np.indices((len(left), len(right)))
        return a.reshape(-1), b.reshape(-1)
    _, groups = np.unique(np.concatenate((left, right)), axis=0, return_inverse=True)
    left_group, right_group = groups[: len(left)].reshape(-1), groups[len(left) :].reshape(-1)
    order = np.argsort(right_group, kind="stable")
    start = np.searchsorted(right_group[order], left_group, side="left")
    end = np.searchsorted(right_group[order], left_group, side="right")
    lengths = end - start
    if lengths.sum() > MOST_PAIRS:
        raise _too_many_pairs()
    repeat, rows = concatenated_ranges(start, lengths)
    return repeat, order[rows]


def _too_many_pairs() -> TooLargeError:
    return TooLargeError(
        f"more than {MOST_PAIRS:,} pairs of tile iterations share an element",
        fix="use larger tiles, or granularity='tile'",
    )


def exceeds_all_before(values: Ints) -> np.ndarray:
    """Return where a value exceeds all values before it.

    Parameters
    ----------
    values
        Non-negative values, shape (n,).

    Returns
    -------
    numpy.ndarray
        Booleans, shape (n,).
    """
    if not len(values):
        return np.zeros(0, dtype=np.bool_)
    before = np.concatenate(([-1], np.maximum.accumulate(values)[:-1]))
    return values > before
