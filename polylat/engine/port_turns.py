"""Which other branches of a split a task waits for on its port, served in a static order.

A port serves the turns of a split's branches by date (`lowering.task_graph.logical_dates`). So a
task waits for the last earlier turn of each other branch. Ordered by date, the latest one first,
most of these waits follow from the ones before them: the first task of a branch's turn itself waits
for the earlier turns. Only the waits up to the first turn that has a task are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from polylat.lowering.paths import PathSplit
from polylat.lowering.task_graph import latest_turn
from polylat.schedule.arrays import Ints, Mask

__all__ = ["latest_first", "needed_turns"]


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
