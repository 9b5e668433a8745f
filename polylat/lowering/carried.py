"""The loops that carry a recurrence of an Einsum to itself."""

from __future__ import annotations

from collections.abc import Sequence

from polylat.lowering.groups import GroupText, JointGroup, first_point, joint_groups
from polylat.lowering.isl_text import set_text
from polylat.lowering.paths import Leaf
from polylat.spec.workload import Projection

__all__ = ["separating_depth"]


def separating_depth(leaf: Leaf, depth: int) -> int:
    """Return how many loops separate what an Einsum computes from what it reads of it.

    Parameters
    ----------
    leaf
        The leaf of the Einsum.
    depth
        Number of Temporal loops, at least.

    Returns
    -------
    int
        The least number of Temporal loops, at least `depth`, with which no tile iteration reads an
        element that it brings; all loops if there is none.
    """
    for tensor in leaf.einsum.states:
        written = leaf.einsum.written(tensor)
        for read in dict.fromkeys(leaf.einsum.access(tensor).reads):
            while depth < len(leaf.temporal) and _meet(leaf, read, written, depth):
                depth += 1
    return depth


def _meet(leaf: Leaf, read: Projection, written: Projection, depth: int) -> bool:
    """Return whether a tile iteration reads an element that it computes.

    Variables are compared group by group: an element is read and computed if it is in each group.
    """
    for a, b in zip(read, written, strict=True):
        if not a.variables and not b.variables and a.constant != b.constant:
            return False
    same = leaf.temporal_positions[:depth]
    groups = joint_groups([(leaf, read), (leaf, written)], [(1, p) for p in same])
    return all(_overlap(leaf, read, written, group, same) for group in groups)


def _overlap(
    leaf: Leaf, read: Projection, written: Projection, group: JointGroup, same: Sequence[int]
) -> bool:
    """Return whether two operations of a tile iteration have equal indices in a group."""
    reading, writing = group.variables
    reads = GroupText(leaf, reading, "r", same)
    writes = GroupText(leaf, writing, "w", same)
    conditions = [*reads.conditions, *writes.conditions]
    conditions += [f"{reads.index(read[r])} = {writes.index(written[r])}" for r in group.ranks]
    conditions += [f"{reads.shown[p]} = {writes.shown[p]}" for p in same if p in reads.shown]
    hidden = [*reads.hidden, *writes.hidden, *reads.shown.values(), *writes.shown.values()]
    return first_point(set_text([], hidden, conditions)) is not None
