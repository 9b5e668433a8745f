"""Array types, and the operations on integer arrays that several modules share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from polylat.schedule.compilation import compiled

__all__ = [
    "Ints",
    "Mask",
    "Narrow",
    "Times",
    "concatenated_ranges",
    "date_ranks",
    "group_by_key",
    "group_offsets",
    "mark_reachable",
    "narrow_type",
    "widened",
]

Ints = npt.NDArray[np.int64]
"""Counts, numbers and indices."""

Mask = npt.NDArray[np.bool_]
"""A truth value per entry."""

Narrow = npt.NDArray[Any]
"""Integers in as few bits as the largest of them needs: cast them before they are multiplied."""

Times = npt.NDArray[Any]
"""Times in steps: 64-bit integers where they fit, else Python integers (dtype object).

Arrays that are documented as having fewer bits are converted by `widened` before arithmetic."""


def date_ranks(columns: Ints) -> Ints:
    """Return the rank of each tile iteration in lexicographic order of dates.

    Parameters
    ----------
    columns
        Shape (columns, n): the dates, compared from the first column on; equal ones keep their
        order.

    Returns
    -------
    numpy.ndarray
        Shape (n,): a permutation of 0 … n − 1.

    Examples
    --------
    >>> import numpy as np
    >>> date_ranks(np.array([[1, 0, 1], [0, 5, -2]])).tolist()
    [2, 0, 1]
    """
    count = columns.shape[1]
    low = columns.min(axis=1, initial=0)
    spans = [int(s) for s in columns.max(axis=1, initial=0) - low + 1]
    total = 1
    for span in spans:
        total *= span
    if total < 1 << 62:
        # A mixed-radix number per date sorts faster than the columns.
        key = np.zeros(count, dtype=np.int64)
        for column, least, span in zip(columns, low, spans, strict=True):
            key = key * span + (column - least)
        order = np.argsort(key, kind="stable")
    else:
        order = np.lexsort(columns[::-1])
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    return rank


def narrow_type(most: int) -> type[np.signedinteger[Any]]:
    """Return a type of integers for a large array: 32 bits where they suffice, else 64.

    Parameters
    ----------
    most
        The largest integer of the array; the least is not below its negative.

    Returns
    -------
    type
        The type.

    Examples
    --------
    >>> narrow_type(10**9).__name__, narrow_type(10**10).__name__
    ('int32', 'int64')
    """
    return np.int32 if most < 1 << 31 else np.int64


def widened(numbers: Narrow) -> Times:
    """Return integers in 64 bits, so that they can be added and multiplied.

    Parameters
    ----------
    numbers
        The integers, in any type.

    Returns
    -------
    numpy.ndarray
        The integers; a view where they have 64 bits, or are Python integers (dtype object).

    Examples
    --------
    >>> import numpy as np
    >>> widened(np.array([2_000_000_000], dtype=np.int32)) * 2
    array([4000000000])
    """
    return numbers if numbers.dtype == object else numbers.astype(np.int64, copy=False)


def group_offsets(keys: Ints, count: int) -> Ints:
    """Return where the entries of each key begin in an array sorted by key.

    Parameters
    ----------
    keys
        Shape (n,): the key of each entry, from 0 to `count` − 1, in any order.
    count
        Number of keys.

    Returns
    -------
    numpy.ndarray
        Shape (count + 1,): the offsets; the last one is n.

    Examples
    --------
    >>> import numpy as np
    >>> group_offsets(np.array([2, 0, 2]), 3).tolist()
    [0, 1, 1, 3]
    """
    found = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(keys, minlength=count), out=found[1:])
    return found


def concatenated_ranges(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """Concatenate ranges of consecutive integers.

    Parameters
    ----------
    starts, lengths
        Shape (n,): the first integer of each range, and the number of its integers.

    Returns
    -------
    (which, values)
        Both of shape (sum of lengths,): the number of the range that each value is of, and the
        values.

    Examples
    --------
    >>> import numpy as np
    >>> [a.tolist() for a in concatenated_ranges(np.array([5, 0]), np.array([2, 1]))]
    [[0, 0, 1], [5, 6, 0]]
    """
    which = np.repeat(np.arange(len(starts)), lengths)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return which, starts[which] + offset


@compiled
def group_by_key(keys: Any, count: int) -> Any:
    """Group entries by key with a counting sort (stable).

    Parameters
    ----------
    keys
        Shape (n,): the key of each entry, from 0 to `count` − 1.
    count
        Number of keys.

    Returns
    -------
    (start, entries)
        Shape (count + 1,): where the entries of each key begin in `entries`, and n at the end;
        shape (n,): the numbers of the entries in the order of their keys.

    Examples
    --------
    >>> import numpy as np
    >>> [a.tolist() for a in group_by_key(np.array([2, 0, 2]), 3)]
    [[0, 1, 1, 3], [1, 0, 2]]
    """
    start = np.zeros(count + 1, np.int64)
    for k in keys:
        start[k + 1] += 1
    for k in range(count):
        start[k + 1] += start[k]
    place = start[:-1].copy()
    entries = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        k = keys[i]
        entries[place[k]] = i
        place[k] += 1
    return start, entries


@compiled
def mark_reachable(start: Any, out: Any, marked: Any) -> None:
    """Mark, in place, every node that can be reached from a marked node.

    Parameters
    ----------
    start, out
        The edges by source: node k has an edge to each of ``out[start[k] : start[k + 1]]``.
    marked
        Shape (nodes,), booleans: the nodes to begin with; the reachable ones are added.

    Notes
    -----
    Depth-first search.
    """
    count = len(marked)
    stack = np.empty(count, np.int64)
    top = 0
    for k in range(count):
        if marked[k]:
            stack[top] = k
            top += 1
    while top > 0:
        top -= 1
        k = stack[top]
        for e in range(start[k], start[k + 1]):
            if not marked[out[e]]:
                marked[out[e]] = True
                stack[top] = out[e]
                top += 1
