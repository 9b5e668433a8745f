"""Interval bounds on differences of start times, over the boxes around pairs of pieces."""

from __future__ import annotations

from typing import Any

import numpy as np

from polylat.proof.piecewise import FunctionPart
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces

__all__ = ["inversion_bounds", "lateness_bounds", "may_interact"]


def may_interact(part: FunctionPart, low: Ints, high: Ints, p: Pieces) -> np.ndarray:
    """Find the pairs of boxes and pieces that a part of a function may relate.

    Parameters
    ----------
    part
        A part without floors.
    low, high
        Shape (loops, boxes): the corners of the boxes of waiting tile iterations.
    p
        The pieces of the awaited event.

    Returns
    -------
    numpy.ndarray
        Shape (boxes, pieces): whether the image of the box may meet the piece.
    """
    matrix, constant = part.matrix, part.constant
    assert matrix is not None and constant is not None
    least = constant[:, None] + np.minimum(matrix, 0) @ high + np.maximum(matrix, 0) @ low
    most = constant[:, None] + np.minimum(matrix, 0) @ low + np.maximum(matrix, 0) @ high
    fits = np.ones((low.shape[1], p.size), dtype=np.bool_)
    for j in range(p.depth):
        fits &= (most[j][:, None] >= p.low[j][None, :]) & (least[j][:, None] <= p.high[j][None, :])
    return fits


def lateness_bounds(
    part: FunctionPart,
    some: Ints,
    box: tuple[Ints, Ints],
    waiting: tuple[Times, Times],
    awaited: tuple[Times, Times],
    p: Pieces,
) -> Any:
    """Bound from above how much later the awaited end is than the waiting start.

    Parameters
    ----------
    part
        A part without floors.
    some
        Shape (n,): the pieces of the waiting event to consider.
    box
        The corners of the boxes of all waiting pieces, shape (loops, pieces) each.
    waiting, awaited
        Constants and slopes of the times of both events, as `AffineTimes.linear` returns them.
    p
        The pieces of the awaited event.

    Returns
    -------
    numpy.ndarray
        Shape (n, awaited pieces): the bounds, in the scale of the times.
    """
    matrix, constant = part.matrix, part.constant
    assert matrix is not None and constant is not None
    constants, slopes = waiting[0][some], waiting[1][:, some]
    theirs, their_slopes = awaited
    dtype = object if object in (constants.dtype, theirs.dtype) else np.int64
    total = theirs[None, :] + (constant.astype(dtype)[:, None] * their_slopes).sum(axis=0)[None, :]
    total = total - constants[:, None]
    for k in range(matrix.shape[1]):
        slope = (matrix[:, k].astype(dtype)[:, None] * their_slopes).sum(axis=0)
        slope = slope[None, :] - slopes[k][:, None]
        low = np.repeat(box[0][k, some][:, None], p.size, axis=1)
        high = np.repeat(box[1][k, some][:, None], p.size, axis=1)
        for j in range(matrix.shape[0]):
            if matrix[j, k] == 1 and np.count_nonzero(matrix[j]) == 1:
                low = np.maximum(low, (p.low[j] - constant[j])[None, :])
                high = np.minimum(high, (p.high[j] - constant[j])[None, :])
        total = total + np.maximum(slope * low.astype(dtype), slope * high.astype(dtype))
    return total


def inversion_bounds(f: Pieces, some: Ints, loop: int, constant: Times, slope: Times) -> Any:
    """Bound from above how much later an earlier tile iteration starts than a later one.

    The pairs of tile iterations agree in the loops before `loop`, and the first one's index of
    `loop` is smaller.

    Parameters
    ----------
    f
        The pieces of the event.
    some
        Shape (n,): the pieces of the first tile iterations to consider.
    loop
        The first loop in which the tile iterations differ.
    constant, slope
        The times, as `AffineTimes.linear` returns them.

    Returns
    -------
    numpy.ndarray
        Shape (n, pieces): the bounds, in the scale of the times; very negative where there is no
        such pair.
    """
    dtype = constant.dtype
    nothing = -(1 << 61)
    a, b = some[:, None], np.arange(f.size)[None, :]
    total = constant[a] - constant[b]
    possible = np.ones(total.shape, dtype=np.bool_)
    for k in range(f.depth):
        here, there = slope[k][a], slope[k][b]
        low_a, high_a = f.low[k][a], f.high[k][a]
        low_b, high_b = f.low[k][b], f.high[k][b]
        if k < loop:
            low, high = np.maximum(low_a, low_b), np.minimum(high_a, high_b)
            possible &= low <= high
            change = here - there
            total = total + np.maximum(change * low.astype(dtype), change * high.astype(dtype))
        elif k == loop:
            possible &= low_a < high_b
            best = np.full(total.shape, nothing, dtype=dtype)
            low = np.maximum(low_a, low_b - 1)
            high = np.minimum(high_a, high_b - 1)
            for x, y in (
                (low_a, low_b),
                (low_a, high_b),
                (high_a, low_b),
                (high_a, high_b),
                (low, low + 1),
                (high, high + 1),
            ):
                inside = (x < y) & (x >= low_a) & (x <= high_a) & (y >= low_b) & (y <= high_b)
                value = here * x.astype(dtype) - there * y.astype(dtype)
                best = np.where(inside, np.maximum(best, value), best)
            total = total + best
        else:
            total = total + np.maximum(here * low_a.astype(dtype), here * high_a.astype(dtype))
            total = total - np.minimum(there * low_b.astype(dtype), there * high_b.astype(dtype))
    return np.where(possible, total, nothing)
