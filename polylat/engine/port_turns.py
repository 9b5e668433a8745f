"""Which other branches of a split a task waits for on its port, served in a static order.

A port serves the turns of a split's branches by date (`lowering.logical_dates`). So a
task waits for the last earlier turn of each other branch. Ordered by date, the latest one first,
most of these waits follow from the ones before them: the first task of a branch's turn itself waits
for the earlier turns. Only the waits up to the first turn that has a task are needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from polylat.lowering.logical_dates import latest_turn
from polylat.lowering.paths import Leaf, PathSplit
from polylat.schedule.arrays import Ints, Mask

__all__ = ["PortTurns", "latest_first", "nearest_branches", "needed_turns"]


class PortTurns:
    """The turns of the branches of splits, on the ports that they use.

    Parameters
    ----------
    leaves
        The leaves, in tree order.
    uses
        (leaf, port) of every port that a leaf uses.
    in_every_turn
        Function (leaf, port, number of loops above the split) → whether the leaf has a task on the
        port in every turn.
    """

    def __init__(
        self,
        leaves: Sequence[Leaf],
        uses: Iterable[tuple[int, int]],
        in_every_turn: Callable[[int, int, int], bool],
    ) -> None:
        self._in_every_turn = in_every_turn
        self._leaves: dict[tuple[int, int], dict[int, list[int]]] = {}
        for leaf, port in uses:
            for split in leaves[leaf].splits:
                branches = self._leaves.setdefault((split.node, port), {})
                branches.setdefault(split.branch, []).append(leaf)
        self._sorted = {key: sorted(branches) for key, branches in self._leaves.items()}
        self._always: dict[tuple[int, int], dict[int, bool]] = {}

    def branches(self, split: PathSplit, port: int) -> Mapping[int, Sequence[int]]:
        """Return the branches of a split that use a port.

        Parameters
        ----------
        split, port
            The split and the port.

        Returns
        -------
        Mapping
            Branch → its leaves that use the port.
        """
        return self._leaves[split.node, port]

    def needed(
        self,
        split: PathSplit,
        port: int,
        shift: Sequence[int] | None,
        least: Ints,
        most: Ints,
        turns: int,
    ) -> tuple[list[int], Ints, Mask]:
        """Return which branches tasks wait for.

        Parameters
        ----------
        split, port
            The split, with the branch whose tasks wait, and their port.
        shift
            The shift of each stage, as for `latest_turn`.
        least, most, turns
            As for `needed_turns`.

        Returns
        -------
        (branches, delays, needed)
            As of `latest_first` and `needed_turns`.
        """
        always = self._have_all(split, port)
        nearest = nearest_branches(split, self._sorted[split.node, port], shift, always)
        branches, delays = latest_first(split, nearest, shift)
        whole = np.array([always[branch] for branch in branches])
        return branches, delays, needed_turns(delays, whole, least, most, turns)

    def _have_all(self, split: PathSplit, port: int) -> Mapping[int, bool]:
        """Return per branch whether it has a task on a port in every turn."""
        key = split.node, port
        if key not in self._always:
            self._always[key] = {
                branch: any(self._in_every_turn(leaf, port, split.depth) for leaf in leaves)
                for branch, leaves in self._leaves[key].items()
            }
        return self._always[key]


def nearest_branches(
    split: PathSplit,
    branches: Sequence[int],
    shift: Sequence[int] | None,
    always: Mapping[int, bool],
) -> Sequence[int]:
    """Return the other branches whose turns can be the last ones before those of a task.

    Where turns are served branch by branch, no branch before the nearest one that has a task in
    every turn counts. So the cost of all branches grows linearly with their number.

    Parameters
    ----------
    split
        A split, with the branch whose tasks wait.
    branches
        All branches that use the port, increasing.
    shift
        The shift of each stage, as for `latest_turn`.
    always
        Per branch, whether it has a task on the port in every turn.

    Returns
    -------
    sequence of int
        Branches.
    """
    at = bisect_left(branches, split.branch)
    if shift is None:
        for earlier in range(at - 1, -1, -1):
            if always[branches[earlier]]:
                return branches[earlier:at]
    return [*branches[:at], *branches[at + 1 :]]


def latest_first(
    split: PathSplit, branches: Iterable[int], shift: Sequence[int] | None
) -> tuple[list[int], Ints]:
    """Order the other branches of a split by the dates of their last earlier turns.

    Parameters
    ----------
    split
        A split, with the branch whose tasks wait.
    branches
        Other branches.
    shift
        The shift of each stage, as for `latest_turn`.

    Returns
    -------
    (branches, delays)
        The branches, that with the latest date first; and how far their turns go, see
        `latest_turn`, shape (branches,).
    """

    def date(branch: int) -> tuple[int, int]:
        delay = latest_turn(split, branch, shift)
        return (delay, branch) if shift is None else (delay + shift[branch], -branch)

    ordered = sorted(branches, key=date, reverse=True)
    delays = [latest_turn(split, branch, shift) for branch in ordered]
    return ordered, np.array(delays, dtype=np.int64)


def needed_turns(delays: Ints, always: Mask, least: Ints, most: Ints, turns: int) -> Mask:
    """Return which waits for turns of other branches do not follow from others.

    Parameters
    ----------
    delays
        From `latest_first`.
    always
        Shape (branches,): whether the branch has a task on the port in every turn.
    least, most
        Shape (n,): the least and the largest turn of each waiting task's box.
    turns
        Number of turns.

    Returns
    -------
    numpy.ndarray
        Shape (branches, n): whether the task waits for the last earlier turn of the branch, and
        this does not follow from the wait for a branch before it.
    """
    within = (least + delays[:, None] >= 0) & (most + delays[:, None] < turns)
    follows = np.logical_or.accumulate(always[:, None] & within, axis=0)
    needed = np.ones_like(follows)
    needed[1:] = ~follows[:-1]
    return needed
