"""The loops that carry a recurrence of an Einsum to itself."""

from __future__ import annotations

from collections.abc import Sequence

from polylat.lowering.groups import GroupText, connected_groups, first_point
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
        access = leaf.einsum.access(tensor)
        assert access.write is not None, "the Einsum produces its states"
        for read in dict.fromkeys(access.reads):
            while depth < len(leaf.temporal) and _meet(leaf, read, access.write, depth):
                depth += 1
    return depth


def _meet(leaf: Leaf, read: Projection, written: Projection, depth: int) -> bool:
    """Return whether a tile iteration reads an element that it computes.

    Variables are compared group by group: an element is read and computed if it is in each group.
    """
    same = leaf.temporal_positions[:depth]
    names = [f"{side}.{v}" for side in "rw" for v in leaf.einsum.rank_variables]
    indices = [
        [f"{side}.{v}" for side, index in (("r", a), ("w", b)) for v in index.variables]
        for a, b in zip(read, written, strict=True)
    ]
    ties = [[f"{side}.{v}" for v in c.variables] for side in "rw" for c in leaf.coupled]
    ties += [[f"{side}.{leaf.loops[p].variable}" for side in "rw"] for p in same]
    for members, ranks in connected_groups(names, indices, ties):
        of = {side: [m[2:] for m in members if m[0] == side] for side in "rw"}
        pairs = [(read[r], written[r]) for r in ranks]
        if not _overlap(leaf, tuple(of["r"]), tuple(of["w"]), tuple(pairs), tuple(same)):
            return False
    constants = [
        (a.constant, b.constant)
        for a, b in zip(read, written, strict=True)
        if not a.variables and not b.variables
    ]
    return all(a == b for a, b in constants)


def _overlap(
    leaf: Leaf,
    reading: Sequence[str],
    writing: Sequence[str],
    pairs: Sequence[Projection],
    same: Sequence[int],
) -> bool:
    """Return whether two operations of a tile iteration have equal indices in a group."""
    reads = GroupText(leaf, reading, "r", same)
    writes = GroupText(leaf, writing, "w", same)
    conditions = [*reads.conditions, *writes.conditions]
    conditions += [f"{reads.index(a)} = {writes.index(b)}" for a, b in pairs]
    conditions += [f"{reads.shown[p]} = {writes.shown[p]}" for p in same if p in reads.shown]
    hidden = [*reads.hidden, *writes.hidden, *reads.shown.values(), *writes.shown.values()]
    return first_point(set_text([], hidden, conditions)) is not None
