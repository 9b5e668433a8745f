"""When blocks pass: fixed latencies after they were served, and stalls of rigid pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.paths import Leaf
from polylat.proof.loop_counts import LoopCounts, over_iterations
from polylat.proof.tabulated_times import TabulatedTimes
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces, merge_pieces

__all__ = ["Stalls", "delayed", "numbers_at", "stalls_of"]

_MOST_TILES = 1_000_000
"""Largest number of tile iterations of a rigid pipeline: all of its stalls are listed."""


def numbers_at(leaf: Leaf, numbers: LoopCounts, digits: Ints) -> Times:
    """Evaluate a number per tile iteration in some tile iterations.

    Parameters
    ----------
    leaf
        The leaf.
    numbers
        The number, as a function of loop indices.
    digits
        Shape (n, loops): the indices of the tile iterations.

    Returns
    -------
    numpy.ndarray
        Shape (n,): the numbers, as Python integers.
    """
    grid = over_iterations(leaf, numbers, digits.shape[1])
    cells = tuple(
        np.searchsorted(cuts, digits[:, k], side="right") - 1 for k, cuts in enumerate(grid.cuts)
    )
    return np.broadcast_to(grid.values[cells], len(digits)).astype(object)


def delayed(leaf: Leaf, pieces: Pieces, by: LoopCounts) -> Pieces:
    """Delay an event by a time that depends on the tile iteration.

    Parameters
    ----------
    leaf
        The leaf.
    pieces
        The event.
    by
        The delay per tile iteration.

    Returns
    -------
    Pieces
        The event, its pieces cut where the delay changes.
    """
    if not (by.values != 0).any():
        return pieces
    for k, cuts in enumerate(over_iterations(leaf, by, pieces.depth).cuts):
        for cut in cuts[1:]:
            pieces = _cut(pieces, k, cut)
    late = numbers_at(leaf, by, pieces.low.T)
    return pieces.shifted(late if pieces.start.dtype == object else late.astype(np.int64))


def _cut(pieces: Pieces, loop: int, at: int) -> Pieces:
    """Cut the pieces that reach from before an index to it or beyond."""
    low, high = pieces.low[loop], pieces.high[loop]
    crosses = (low < at) & (high >= at)
    if not crosses.any():
        return pieces
    some = pieces.chosen(np.flatnonzero(crosses))
    stride = some.stride[loop]
    before = -((some.low[loop] - at) // stride)
    parts = [pieces.chosen(np.flatnonzero(~crosses))]
    for first, count in ((before * 0, before), (before, some.count[loop] - before)):
        lows, counts = some.low.copy(), some.count.copy()
        lows[loop] += first * stride
        counts[loop] = count
        start = some.start + some.rate[loop] * first.astype(some.rate.dtype)
        parts.append(Pieces(lows, some.stride, counts, start, some.rate, some.duration))
    return Pieces.joined(parts)


@dataclass(frozen=True, eq=False)
class Stalls:
    """The stalls of a rigid pipeline.

    A tile iteration in the pipeline advances only while later ones enter: it passes no earlier than
    a given time after each of them starts.

    Parameters
    ----------
    digits
        Shape (tile iterations, loops): the indices of the leaf's tile iterations, in order.
    start
        Shape (tile iterations,): when each starts.
    held, later, until
        Shape (stalls,): a tile iteration in the pipeline, the later one that holds it back, and the
        earliest time at which the former passes.
    """

    digits: Ints
    start: Times
    held: Ints
    later: Ints
    until: Times

    @cached_property
    def latest(self) -> Pieces:
        """The earliest time at which each tile iteration that is held back passes."""
        at = np.unique(self.held)
        times: Times = np.full(len(self.start), 0, dtype=self.start.dtype)
        np.maximum.at(times, self.held, self.until)
        return merge_pieces(Pieces.of_points(self.digits[at].T, times[at], times[at] * 0))

    def ending_at(self, time: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int]]:
        """Yield the stalls that end at a time.

        Parameters
        ----------
        time
            The time, in steps of 1/scale.

        Yields
        ------
        (held, later, start)
            The two tile iterations, and when the later one starts.
        """
        for at in np.flatnonzero(np.asarray(self.until == time, dtype=np.bool_)).tolist():
            held, later = (
                tuple(int(x) for x in self.digits[rows[at]]) for rows in (self.held, self.later)
            )
            yield held, later, int(self.start[self.later[at]])


def stalls_of(
    leaf: Leaf, begin: Pieces, latency: LoopCounts, loads: Sequence[LoopCounts]
) -> Stalls:
    """Return the stalls of a rigid pipeline.

    Parameters
    ----------
    leaf
        The leaf.
    begin
        The starts of its tile iterations.
    latency, loads
        The fixed latency of its foreground, and how long each port serves it.

    Returns
    -------
    Stalls
        The stalls.

    Raises
    ------
    TooLargeError
        There are too many tile iterations to list them all.
    """
    size = int(begin.count.astype(object).prod(axis=0).sum())
    if size > _MOST_TILES:
        raise TooLargeError(
            f"the rigid pipeline of {leaf.einsum.name!r} has {size} tile iterations, of which"
            f" at most {_MOST_TILES} can be verified",
            where="schedule: rigid",
            fix="use granularity='tile', or larger tiles",
        )
    digits, start = TabulatedTimes(begin).table
    late = numbers_at(leaf, latency, digits)
    longest: Any = np.full(len(start), 0, dtype=object)
    for load in loads:
        longest = np.maximum(longest, numbers_at(leaf, load, digits))
    held: list[Ints] = [np.zeros(0, dtype=np.int64)]
    later: list[Ints] = [np.zeros(0, dtype=np.int64)]
    until: list[Times] = [start[:0]]
    for behind in range(1, len(start)):
        here = slice(0, len(start) - behind)
        flying = (longest[here] > 0) & (late[here] >= behind * longest[here])
        at = np.flatnonzero(np.asarray(flying, dtype=np.bool_))
        if not len(at):
            break
        held.append(at)
        later.append(at + behind)
        lag = late[at] - (behind - 1) * longest[at]
        until.append(start[at + behind] + lag.astype(start.dtype))
    return Stalls(digits, start, *(np.concatenate(some) for some in (held, later, until)))
