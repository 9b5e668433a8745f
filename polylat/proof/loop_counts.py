"""Numbers that depend on loop indices, as grids: constant on boxes of indices.

A loop is cut into a few ranges of indices, and on every product of ranges, a *cell*, the number is
the same. The size of a grid does not depend on trip counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polylat.lowering.paths import Leaf

__all__ = [
    "LoopCounts",
    "as_boxes",
    "at_extreme",
    "constant",
    "over_iterations",
    "summed_over",
    "together",
]

_WIDE = 1 << 62
_COMBINE: Mapping[str, Callable[[Any, Any], Any]] = {
    "*": np.multiply,
    "+": np.add,
    "-": np.subtract,
    "max": np.maximum,
}


@dataclass(frozen=True, eq=False)
class LoopCounts:
    """A number per index of some loops.

    Parameters
    ----------
    loops
        The positions of the loops on the path, increasing.
    trips
        The number of iterations of each.
    cuts
        Per loop, the first index of each range, from 0 on, increasing.
    values
        Shape (ranges of each loop): the number on each cell, as a 64-bit or a Python integer.
    """

    loops: tuple[int, ...]
    trips: tuple[int, ...]
    cuts: tuple[tuple[int, ...], ...]
    values: Any

    def sizes(self, axis: int) -> list[int]:
        """Return the number of indices of each range of a loop.

        Parameters
        ----------
        axis
            The number of the loop among `loops`.

        Returns
        -------
        list of int
            The sizes.
        """
        ends = [*self.cuts[axis][1:], self.trips[axis]]
        return [b - a for a, b in zip(self.cuts[axis], ends, strict=True)]

    @property
    def total(self) -> int:
        """The sum over all indices."""
        return int(summed_over(self, self.loops).values)

    @property
    def largest(self) -> int:
        """The largest number."""
        return int(self.values.max(initial=0))

    def with_cuts(self, cuts: Sequence[tuple[int, ...]]) -> LoopCounts:
        """Cut the loops further.

        Parameters
        ----------
        cuts
            Per loop, its new cuts, which include the present ones.

        Returns
        -------
        LoopCounts
            The same numbers.
        """
        values = self.values
        for axis, (old, new) in enumerate(zip(self.cuts, cuts, strict=True)):
            if len(old) != len(new):
                values = values.take(np.searchsorted(old, new, side="right") - 1, axis=axis)
        return LoopCounts(self.loops, self.trips, tuple(cuts), values)

    def mapped(self, function: Callable[[Any], Any]) -> LoopCounts:
        """Apply a function to all numbers.

        Parameters
        ----------
        function
            From an array of numbers to an array of the same shape.

        Returns
        -------
        LoopCounts
            The results.
        """
        values = np.asarray(function(self.values))
        return LoopCounts(self.loops, self.trips, self.cuts, values)

    def merged(self) -> LoopCounts:
        """Return the same numbers with as few cuts as possible.

        Returns
        -------
        LoopCounts
            Neighboring ranges with equal numbers are one.
        """
        cuts, values = list(self.cuts), self.values
        for axis in range(values.ndim):
            flat = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
            keep = np.ones(len(flat), dtype=np.bool_)
            keep[1:] = np.asarray(flat[1:] != flat[:-1], dtype=np.bool_).any(axis=1)
            cuts[axis] = tuple(np.array(cuts[axis])[keep].tolist())
            values = values.compress(keep, axis=axis)
        return LoopCounts(self.loops, self.trips, tuple(cuts), values)

    def over(self, loops: Sequence[int], trips: Sequence[int]) -> LoopCounts:
        """Return the same numbers as a function of more loops.

        Parameters
        ----------
        loops, trips
            The positions of all loops, increasing, and their numbers of iterations.

        Returns
        -------
        LoopCounts
            The numbers.
        """
        shape, cuts, axis = [], [], 0
        for loop in loops:
            if axis < len(self.loops) and self.loops[axis] == loop:
                shape.append(self.values.shape[axis])
                cuts.append(self.cuts[axis])
                axis += 1
            else:
                shape.append(1)
                cuts.append((0,))
        assert axis == len(self.loops), "the loops include those of the numbers"
        return LoopCounts(tuple(loops), tuple(trips), tuple(cuts), self.values.reshape(shape))


def constant(value: int) -> LoopCounts:
    """Return a number that depends on no loop.

    Parameters
    ----------
    value
        The number.

    Returns
    -------
    LoopCounts
        The number.
    """
    return LoopCounts((), (), (), np.array(value, dtype=object))


def together(a: LoopCounts, b: LoopCounts, combine: str) -> LoopCounts:
    """Combine two numbers, index by index.

    Parameters
    ----------
    a, b
        The numbers.
    combine
        ``"*"``, ``"+"``, ``"-"`` or ``"max"``.

    Returns
    -------
    LoopCounts
        The result, over the loops of both.
    """
    cuts: Sequence[tuple[int, ...]] = a.cuts
    if b.loops and (a.loops, a.cuts) != (b.loops, b.cuts):
        trips = dict(zip(a.loops, a.trips, strict=True)) | dict(zip(b.loops, b.trips, strict=True))
        loops = tuple(sorted(trips))
        a, b = (x.over(loops, [trips[p] for p in loops]) for x in (a, b))
        cuts = [tuple(sorted({*x, *y})) for x, y in zip(a.cuts, b.cuts, strict=True)]
        a, b = a.with_cuts(cuts), b.with_cuts(cuts)
    one, two = a.values, b.values
    bound = a.largest * b.largest if combine == "*" else a.largest + b.largest
    if bound >= _WIDE:
        one, two = one.astype(object), two.astype(object)
    values = _COMBINE[combine](one, two)
    return LoopCounts(a.loops, a.trips, tuple(cuts), np.asarray(values))


def summed_over(counts: LoopCounts, loops: Collection[int]) -> LoopCounts:
    """Sum over all indices of some loops.

    Parameters
    ----------
    counts
        The numbers.
    loops
        Positions of loops.

    Returns
    -------
    LoopCounts
        The sums, over the other loops.
    """
    values = counts.values
    kept = [axis for axis, loop in enumerate(counts.loops) if loop not in loops]
    gone = [axis for axis in range(len(counts.loops)) if axis not in kept]
    everything = counts.largest
    for axis in gone:
        everything *= counts.trips[axis]
    if everything >= _WIDE:
        values = values.astype(object)
    for axis in gone:
        shape = [-1 if k == axis else 1 for k in range(values.ndim)]
        values = values * np.array(counts.sizes(axis), dtype=values.dtype).reshape(shape)
    if gone:
        values = np.asarray(values.sum(axis=tuple(gone)), dtype=values.dtype)
    return LoopCounts(
        tuple(counts.loops[k] for k in kept),
        tuple(counts.trips[k] for k in kept),
        tuple(counts.cuts[k] for k in kept),
        values,
    )


def at_extreme(counts: LoopCounts, inner: Collection[int], *, last: bool) -> LoopCounts:
    """Return 1 at the first or last index of inner loops that has a number above 0, else 0.

    Parameters
    ----------
    counts
        The numbers.
    inner
        Positions of the inner loops, whose indices are compared in lexicographic order, for every
        index of the other loops.
    last
        Whether the last index counts, not the first.

    Returns
    -------
    LoopCounts
        0 or 1 per index.
    """
    cuts = []
    for loop, old, trips in zip(counts.loops, counts.cuts, counts.trips, strict=True):
        single = [c - 1 for c in [*old[1:], trips]] if last else [c + 1 for c in old]
        more = {c for c in single if 0 <= c < trips} if loop in inner else set()
        cuts.append(tuple(sorted({*old, *more})))
    counts = counts.with_cuts(cuts)
    axes = [k for k, loop in enumerate(counts.loops) if loop not in inner]
    order = [*axes, *(k for k in range(len(counts.loops)) if k not in axes)]
    there = np.asarray(counts.values > 0, dtype=np.bool_).transpose(order)
    flat = there.reshape(int(np.prod(there.shape[: len(axes)], dtype=np.int64)), -1)
    width = flat.shape[1]
    at = width - 1 - flat[:, ::-1].argmax(axis=1) if last else flat.argmax(axis=1)
    found = np.zeros(flat.shape, dtype=np.int64)
    found[np.arange(len(flat)), at] = flat.any(axis=1)
    values = found.reshape(there.shape).transpose(np.argsort(order))
    return LoopCounts(counts.loops, counts.trips, counts.cuts, values)


def over_iterations(leaf: Leaf, counts: LoopCounts, depth: int) -> LoopCounts:
    """Return numbers as a function of all loops that index the tile iterations of a leaf.

    Parameters
    ----------
    leaf
        The leaf.
    counts
        The numbers, over some of these loops.
    depth
        The number of Temporal loops that index its tile iterations.

    Returns
    -------
    LoopCounts
        The same numbers, over the first `depth` Temporal loops.
    """
    positions = leaf.temporal_positions[:depth]
    return counts.over(positions, [leaf.trips[p] for p in positions])


def as_boxes(counts: LoopCounts) -> tuple[Any, Any]:
    """Return the boxes of indices whose number is not 0.

    Parameters
    ----------
    counts
        The numbers.

    Returns
    -------
    (low, size)
        Shape (loops, boxes) each: the first index of every box, and its number of indices.
    """
    some = np.argwhere(np.asarray(counts.values != 0, dtype=np.bool_)).T
    low = np.zeros(some.shape, dtype=np.int64)
    size = np.zeros(some.shape, dtype=np.int64)
    for axis in range(len(counts.loops)):
        low[axis] = np.array(counts.cuts[axis], dtype=np.int64)[some[axis]]
        size[axis] = np.array(counts.sizes(axis), dtype=np.int64)[some[axis]]
    return low, size
