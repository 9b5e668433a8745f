"""Which other branches of a split a task waits for on its port, served in a static order.

A port serves the turns of a split's branches by date (`lowering.task_graph.logical_dates`). So a
task waits for the last earlier turn of each other branch. Ordered by date, the latest one first,
most of these waits follow from the ones before them: the first task of a branch's turn itself waits
for the earlier turns. Only the waits up to the first turn that has a task are needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from polylat.lowering.paths import PathSplit
from polylat.lowering.task_graph import latest_turn
from polylat.schedule.arrays import Ints, Mask

__all__ = ["latest_first", "nearest_branches", "needed_turns"]


def nearest_branches(
    split: PathSplit,
    branches: Sequence[int],
    shift: Sequence[int] | None,
    always: Mapping[int, bool],
) -> Sequence[int]:
    """Return the other branches whose turns can be the last ones before those of a task.

    Where turns are served branch by branch, no branch before the nearest one that has a task in
    every turn counts. So a network of many branches is looked at once, not once per branch.

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
