"""The barrier bound: what the foregrounds take where the turns of each Sequential do not overlap.

A *turn* of a Sequential is one of its branches with one index of the loops above it. Rule 2 of the
model puts all turns of a Sequential into one sequence, in which each turn starts when the one
before it has finished. The foregrounds of a turn are served between its start and its finish. So:

- a leaf needs at least its largest port load;
- a Sequential needs at least the sum of what its turns need;
- a Pipeline needs at least the largest port load of its stages together, and at least what each of
  them needs.

Below a Sequential, this holds for each of its turns alone. Prefetched fills and write-backs in
the background may be served in other turns; they do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.schedule.arrays import Ints, Mask, Times, widened
from polylat.schedule.graph import TaskGraph

__all__ = ["barrier_bound"]

_FOREGROUND = 1


@dataclass(frozen=True, eq=False)
class _Turns:
    """A time per turn, or several: the turns are indices of some outer loops.

    Parameters
    ----------
    keys
        Mixed-radix numbers of the places of these loops, increasing, shape (turns,).
    times
        The times in steps, of all tile iterations that the turn represents, shape (turns, …).
    """

    keys: Ints
    times: Times


def barrier_bound(
    leaves: Sequence[Leaf],
    tiles: Sequence[IterationTable],
    graph: TaskGraph,
    *,
    chosen: Mask | None = None,
) -> int:
    """Return a lower bound on the makespan of every schedule, from the barriers of Sequentials.

    Parameters
    ----------
    leaves
        The leaves of the mapping, in tree order.
    tiles
        Per leaf, its sampled tile iterations, in the order of those of the graph.
    graph
        The task graph.
    chosen
        Shape (tasks,): the tasks that count; None: those of the foreground.

    Returns
    -------
    int
        The bound in steps: exact for all tile iterations, sampled or not.

    Notes
    -----
    A sampled tile iteration represents skipped ones with the same durations, in every loop by
    itself. So a sampled turn represents skipped turns with the same port loads, and the loads
    within it are sums over the inner loops.
    """
    if not leaves:
        return 0
    if chosen is None:
        chosen = graph.kind[graph.task_block] == _FOREGROUND
    return _Bound(leaves, tiles, graph, np.flatnonzero(chosen)).total


class _Bound:
    """The recursion over the tree of splits."""

    def __init__(
        self,
        leaves: Sequence[Leaf],
        tiles: Sequence[IterationTable],
        graph: TaskGraph,
        tasks: Ints,
    ) -> None:
        self.leaves = leaves
        self.tiles = tiles
        self.graph = graph
        owner = graph.owner[graph.task_block[tasks]]
        leaf = graph.leaf[owner]
        self.of_leaf: Mapping[int, tuple[Ints, Ints]] = {
            n: (tasks[leaf == n], owner[leaf == n] - base)
            for n, base in enumerate(np.flatnonzero(graph.leaf_starts).tolist())
        }
        """Leaf → its tasks, and the tile iteration of each, numbered within the leaf."""

    @property
    def total(self) -> int:
        """The bound of the whole mapping."""
        return int(self._needed(range(len(self.leaves)), 0, 0).times.sum())

    def _needed(self, some: Sequence[int], above: int, depth: int) -> _Turns:
        """Return what leaves below the same splits need, per turn.

        Parameters
        ----------
        some
            The leaves.
        above
            Number of splits above them that are accounted for.
        depth
            Number of loops that index the turns.
        """
        splits = self.leaves[some[0]].splits
        if above == len(splits):
            return self._busiest(some, depth)
        split = splits[above]
        branches: dict[int, list[int]] = {}
        for leaf in some:
            branches.setdefault(self.leaves[leaf].splits[above].branch, []).append(leaf)
        inner = depth if split.pipeline else split.depth
        parts = [self._needed(branch, above + 1, inner) for branch in branches.values()]
        if split.pipeline:
            return _joined([self._busiest(some, depth), *parts], np.maximum)
        return self._summed(_joined(parts, np.add), self.tiles[some[0]], inner, depth)

    def _busiest(self, some: Sequence[int], depth: int) -> _Turns:
        """Return the largest port load of some leaves together, per turn."""
        used = np.zeros(self.graph.ports, dtype=np.bool_)
        for n in some:
            used[self.graph.task_port[self.of_leaf[n][0]]] = True
        ports = np.flatnonzero(used)
        loads = _joined([self._loads(n, depth, ports) for n in some], np.add)
        if not len(ports):
            return _Turns(loads.keys, np.zeros(len(loads.keys), dtype=loads.times.dtype))
        return _Turns(loads.keys, loads.times.max(axis=1))

    def _loads(self, leaf: int, depth: int, ports: Ints) -> _Turns:
        """Return the loads that a leaf puts on ports, per turn: shape (turns, ports)."""
        tiles, graph = self.tiles[leaf], self.graph
        tasks, iterations = self.of_leaf[leaf]
        keys = tiles.prefix_keys(depth)
        first = np.concatenate(([True], keys[1:] != keys[:-1]))
        turn = np.cumsum(first) - 1
        times = np.ones(tiles.size, dtype=np.int64)
        for k in range(depth, tiles.depth):
            if tiles.kept[k].cuts:
                times *= tiles.kept[k].multiplicity[tiles.places[k]]
        durations = widened(graph.task_duration[tasks])
        dtype = durations.dtype
        shape = int(first.sum()), len(ports)
        loads = np.full(shape[0] * shape[1], 0, dtype=dtype)
        place = np.zeros(graph.ports, dtype=np.int64)
        place[ports] = np.arange(len(ports))
        at = turn[iterations] * len(ports) + place[graph.task_port[tasks]]
        np.add.at(loads, at, durations * times[iterations].astype(dtype))
        return _Turns(keys[first], loads.reshape(shape))

    def _summed(self, turns: _Turns, tiles: IterationTable, inner: int, depth: int) -> _Turns:
        """Return the sums of the times of turns over the loops from `depth` to `inner`."""
        keys, times = turns.keys, turns.times
        for kept in reversed(tiles.kept[depth:inner]):
            keys, place = np.divmod(keys, kept.count)
            if kept.cuts:
                times = times * kept.multiplicity[place].astype(times.dtype)
        first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        return _Turns(keys[first], np.add.reduceat(times, first))


def _joined(some: Sequence[_Turns], combine: np.ufunc) -> _Turns:
    """Return the turns that exist for any of some, with their times combined.

    A turn that does not exist takes no time.
    """
    if len(some) == 1:
        return some[0]
    keys = np.unique(np.concatenate([turns.keys for turns in some]))
    dtype = object if any(turns.times.dtype == object for turns in some) else np.int64
    times = np.full((len(keys), *some[0].times.shape[1:]), 0, dtype=dtype)
    for turns in some:
        at = np.searchsorted(keys, turns.keys)
        times[at] = combine(times[at], turns.times)
    return _Turns(keys, times)
