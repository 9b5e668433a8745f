"""Logical dates.

Implements *Orders*, up to the shifts of *Ports and their orders*.
"""

from __future__ import annotations

from collections.abc import Mapping

from .lowered import Lowered
from .paths import Leaf
from .problem import Index, Node

Shifts = Mapping[Node, list[int]]
"""Per Pipeline that has skew, the shift of each stage."""


def linear(lowered: Lowered, leaf: Leaf, start: int, end: int, iteration: Index) -> int:
    """The linearised index of the loops between two splits.

    Mixed radix, radix = the loop's largest trip count: of all leaves below the loop, so that they
    number its iterations alike.
    """
    index = 0
    for place in range(start, end):
        node = leaf.temporal[place].node
        trips = (loop.trips for x in lowered.leaves for loop in x.temporal if loop.node == node)
        index = index * max(trips) + iteration[place]
    return index


def date(lowered: Lowered, leaf: Leaf, iteration: Index, shifts: Shifts | None) -> Index:
    """The logical date of a tile iteration, with skew where ``shifts`` are given.

    For each Split the linearised index t of the loops between it and the split above it, then the
    branch s; last the remaining indices. Under Pipeline with skew, (t, s) becomes (t + c_s, −s),
    unless it has none.
    """
    result: list[int] = []
    start = 0
    for split, branch in leaf.turns:
        end = leaf.depth(split)
        t = linear(lowered, leaf, start, end, iteration)
        if shifts is not None and split in shifts:
            result += [t + shifts[split][branch], -branch]
        else:
            result += [t, branch]
        start = end
    return (*result, *iteration[start:])
