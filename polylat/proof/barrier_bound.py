"""Derive the barrier bound: the time of the foregrounds if turns of a Sequential do not overlap.

A turn of a Sequential is a branch at one index of the loops above. Rule 2 puts all turns into one
sequence, and the foregrounds of a turn are served between its start and its finish. So the times
that the turns need add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polylat.lowering.paths import Leaf
from polylat.proof.durations import Expectation
from polylat.proof.loop_counts import LoopCounts, constant, summed_over, together
from polylat.proof.units import PortName

__all__ = ["barrier_bound"]


def barrier_bound(expected: Expectation) -> int:
    """Derive the barrier bound of a mapping.

    Parameters
    ----------
    expected
        The blocks and accesses of the mapping.

    Returns
    -------
    int
        The bound, in steps of 1/scale: no schedule is shorter.
    """
    return _Turns(expected).needed(list(expected.problem.leaves), 0, 0).total


class _Turns:
    """The times that subtrees need, per index of the loops above a Sequential."""

    def __init__(self, expected: Expectation) -> None:
        self.leaves = expected.problem.leaves
        self.trips: dict[int, int] = {}
        self.loads: list[dict[PortName, LoopCounts]] = []
        for leaf, tiles in zip(self.leaves, expected.tiles, strict=True):
            loads: dict[PortName, LoopCounts] = {}
            for block, what in enumerate(expected.blocks[leaf.number]):
                if what.kind == "foreground":
                    loads = {
                        # Over all loops that index tile iterations, for sums over each of them.
                        port: together(load, tiles, "*")
                        for port, load in expected.loads(leaf.number, block).items()
                    }
            self.loads.append(loads)

    def needed(self, some: Sequence[Leaf], above: int, depth: int) -> LoopCounts:
        """Return the time that leaves need, per index of the outer loops.

        Parameters
        ----------
        some
            Leaves below the same splits.
        above
            The number of these splits that are already accounted for.
        depth
            The number of outer loops.

        Returns
        -------
        LoopCounts
            The times, over the first `depth` Temporal loops.
        """
        if above == len(some[0].splits):
            return self.busiest(some, depth)
        split = some[0].splits[above]
        branches: dict[int, list[Leaf]] = {}
        for leaf in some:
            branches.setdefault(leaf.splits[above].branch, []).append(leaf)
        if split.pipeline:
            found = self.busiest(some, depth)
            for branch in branches.values():
                found = _combined(found, self.needed(branch, above + 1, depth), "max")
            return found
        total = constant(0)
        for branch in branches.values():
            turns = self.needed(branch, above + 1, split.depth)
            inner = branch[0].temporal_positions[depth : split.depth]
            total = _combined(total, summed_over(turns, inner), "+")
        return total

    def busiest(self, some: Sequence[Leaf], depth: int) -> LoopCounts:
        """Return the largest load that leaves together put on a port, as `needed` does."""
        loads: dict[PortName, LoopCounts] = {}
        for leaf in some:
            for port, load in self.loads[leaf.number].items():
                turns = summed_over(load, leaf.temporal_positions[depth:])
                loads[port] = _combined(loads.get(port, constant(0)), turns, "+")
        found = constant(0)
        for load in loads.values():
            found = _combined(found, load, "max")
        return found


def _combined(a: LoopCounts, b: LoopCounts, combine: str) -> LoopCounts:
    """Combine times of leaves that share loops, which may have more iterations for one of them.

    An iteration that a leaf does not have needs no time.
    """
    trips = dict(zip(a.loops, a.trips, strict=True))
    for loop, count in zip(b.loops, b.trips, strict=True):
        trips[loop] = max(trips.get(loop, 0), count)
    return together(_padded(a, trips), _padded(b, trips), combine)


def _padded(counts: LoopCounts, trips: dict[int, int]) -> LoopCounts:
    """Return the same numbers, and 0 in iterations beyond the loops' own trip counts."""
    values, cuts = counts.values, list(counts.cuts)
    for axis, (loop, own) in enumerate(zip(counts.loops, counts.trips, strict=True)):
        if own < trips[loop]:
            cuts[axis] = (*cuts[axis], own)
            width = [(0, int(k == axis)) for k in range(values.ndim)]
            values = np.pad(values, width, constant_values=0)
    return LoopCounts(counts.loops, tuple(trips[k] for k in counts.loops), tuple(cuts), values)
