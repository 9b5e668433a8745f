"""The compiled hash consing of `backtrack`: equal repetitions share one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from polylat.schedule.compilation import compiled

__all__ = [
    "CHAIN",
    "CHILD",
    "COUNT",
    "EVENT",
    "FULL",
    "LINK",
    "PLACE",
    "SHAPE",
    "SHIFT",
    "shape_number",
]

_njit = compiled(error_model="numpy")

FULL = -np.int64(3)

# Rows of `BacktrackRecord.items` and of `BacktrackRecord.shapes`.
SHAPE, PLACE, EVENT, LINK = np.arange(4)
COUNT, CHILD, SHIFT, CHAIN = np.arange(4)


@_njit
def _same_shape(
    shapes: Any, children: Any, shifts: Any, known: Any, new: Any, size: Any, moved: Any
) -> Any:
    """Whether a known shape equals the one under construction."""
    child, shift = shapes[CHILD, known], shapes[SHIFT, known]
    if shapes[COUNT, known] != shapes[COUNT, new]:
        return False
    if shapes[CHILD, known + 1] - child != size or shapes[SHIFT, known + 1] - shift != moved:
        return False
    for i in range(size):
        if children[child + i] != children[shapes[CHILD, new] + i]:
            return False
    for i in range(moved):
        for k in range(shifts.shape[1]):
            if shifts[shift + i, k] != shifts[shapes[SHIFT, new] + i, k]:
                return False
    return True


@_njit
def shape_number(
    items: Any,
    places: Any,
    shapes: Any,
    children: Any,
    shifts: Any,
    buckets: Any,
    first: Any,
    middle: Any,
    rounds: Any,
    new: Any,
) -> Any:
    """Return the shape of a round.

    Parameters
    ----------
    items, places, shapes, children, shifts, buckets
        The fields of `BacktrackRecord`.
    first, middle
        The items of the round are `first` … `middle` − 1.
    rounds
        Number of rounds.
    new
        The number of a new shape.

    Returns
    -------
    int
        The number of an equal shape; `new`, which is filled, if there is none; `FULL` if the record
        is too small.
    """
    low, high = items[PLACE, first], items[PLACE, middle]
    child, shift = shapes[CHILD, new], shapes[SHIFT, new]
    size, moved = middle - first, high - low
    if new + 1 == shapes.shape[1] or child + size > len(children) or shift + moved > len(shifts):
        return FULL
    mixed = rounds
    for i in range(size):
        children[child + i] = items[SHAPE, first + i]
        mixed = (mixed * 1000003 + items[SHAPE, first + i]) & 0xFFFFFFFFFF
    for i in range(moved):
        for k in range(shifts.shape[1]):
            shifts[shift + i, k] = places[high + i, k] - places[low + i, k]
            mixed = (mixed * 1000003 + shifts[shift + i, k]) & 0xFFFFFFFFFF
    bucket = mixed % len(buckets)
    shapes[COUNT, new] = rounds
    known = buckets[bucket]
    while known >= 0:
        if _same_shape(shapes, children, shifts, known, new, size, moved):
            return known
        known = shapes[CHAIN, known]
    shapes[CHILD, new + 1] = child + size
    shapes[SHIFT, new + 1] = shift + moved
    shapes[CHAIN, new] = buckets[bucket]
    buckets[bucket] = new
    return new
