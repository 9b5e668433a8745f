"""Dependences across skipped iterations.

Where iterations of a loop are skipped, the preceding place may be many iterations earlier.
Dependences have constant distances in the outermost loop in which the two tile iterations differ:
there, the awaited index is as far from the waiting one as the places say. The indices of the loops
inside do not move.
"""

from __future__ import annotations

import numpy as np

from polylat.lowering.iterations import IterationTable
from polylat.schedule.arrays import Ints

__all__ = ["through_skipped"]


def through_skipped(
    tiles: IterationTable,
    waiting: Ints,
    others: IterationTable,
    awaited: Ints,
    *,
    depth: int,
    occurs: bool = False,
) -> tuple[Ints, Ints]:
    """Return which tile iterations are awaited where dependences cross skipped iterations.

    Parameters
    ----------
    tiles, waiting
        The tile iterations of a leaf, and those that wait, shape (n,).
    others, awaited
        The tile iterations of a leaf, and those that are awaited if places were iterations,
        shape (n,).
    depth
        Number of loops above both leaves.
    occurs
        Whether `awaited` is the last occurrence of an access that not every iteration has. If it
        is not in the period before a skipped range, the range has no occurrence.

    Returns
    -------
    (iterations, copies)
        The tile iterations that represent the awaited ones, shape (n,), and the number of periods
        per loop by which the awaited ones are later, shape (depth of `others`, n).

    Raises
    ------
    IrregularError
        A representing tile iteration does not exist.
    """
    none = np.zeros((others.depth, len(awaited)), dtype=np.int64)
    if others.whole:
        return awaited, none
    digits = others.digits[:, awaited].copy()
    same = np.ones(len(awaited), dtype=np.bool_)
    moved = np.zeros(len(awaited), dtype=np.bool_)
    for k in range(depth):
        kept = others.kept[k]
        waiting_place, awaited_place = tiles.places[k][waiting], others.places[k][awaited]
        differ = same & (waiting_place != awaited_place)
        same &= ~differ
        if not kept.cuts:
            continue
        for cut in kept.cuts:
            over = differ & (awaited_place < cut.place) & (waiting_place >= cut.place)
            if occurs:
                over &= awaited_place >= cut.place - cut.period
            moved |= over
            digits[k, over] = (
                kept.digits[waiting_place[over]] - (waiting_place - awaited_place)[over]
            )
    if not moved.any():
        return awaited, none
    found, periods = awaited.copy(), none
    found[moved], periods[:, moved] = others.locate(digits[:, moved])
    return found, periods
