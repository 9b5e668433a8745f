"""Which tile iteration reads back what another one wrote back."""

from __future__ import annotations

import numpy as np

from polylat.dependences.arrays import first_of_each, join, rows_of
from polylat.lowering.paths import Leaf
from polylat.lowering.relations import element_points, groups, loops_over
from polylat.lowering.scan import Ints
from polylat.lowering.tiles import Tiles

__all__ = ["may_read_back", "next_readers"]


def next_readers(tiles: Tiles, written: Ints, tensor: str, level: int) -> tuple[Ints, Ints]:
    """Per write-back, the first tile iteration that reads some of it back, if there is one.

    Returns
    -------
    (indices into `written`, tile iterations)
    """
    leaf = tiles.leaf
    depth = leaf.storages(tensor)[level].depth
    mine: list[Ints] = []
    reading: list[Ints] = []
    # A later tile first differs from this one in some loop, where its index is larger.
    open_ = np.arange(len(written))
    for fork in range(depth - 1, -1, -1):
        if not len(open_):
            break
        there, first = _later(tiles, written[open_], tensor, level, fork)
        mine.append(open_[there])
        reading.append(first[there])
        open_ = open_[~there]
    if not mine:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty
    return np.concatenate(mine), np.concatenate(reading)


def _later(
    tiles: Tiles, written: Ints, tensor: str, level: int, fork: int
) -> tuple[np.ndarray, Ints]:
    """The first later tile that shares an element that a write-back wrote.

    Of those that agree with the write-back's tile in the loops before `fork` and are later there.
    """
    leaf = tiles.leaf
    depth = leaf.storages(tensor)[level].depth
    access = leaf.einsum.access(tensor)
    there = np.ones(len(written), dtype=np.bool_)
    digits = np.zeros((depth, len(written)), dtype=np.int64)
    ties = [c.variables for c in leaf.coupled]
    for variables, ranks in groups(
        leaf.einsum.rank_variables, [i.variables for i in access.projection], ties
    ):
        loops, shown = loops_over(leaf, variables, tiles.depth)
        outer = [p for k, p in zip(loops, shown, strict=True) if k < depth]
        inner = [p for p in shown if p not in outer]
        numbers = [k for k in loops if k < depth]
        units = [
            p
            for p, loop in enumerate(leaf.loops)
            if loop.unit is not None
            and loop.variable in variables
            and p < leaf.storages(tensor)[level].position
        ]
        indices = [access.projection[r] for r in ranks]
        last = element_points(leaf, variables, indices, [*outer, *units], inner)
        touched = element_points(leaf, variables, indices, [*outer, *units])
        a, b = len(outer), len(units)
        same = list(range(a, a + b + len(ranks)))
        left, right = join(last[:, same], touched[:, same])
        here, later = last[left][:, :a], touched[right][:, :a]
        keep = np.ones(len(left), dtype=np.bool_)
        for column, k in enumerate(numbers):
            if k < fork:
                keep &= here[:, column] == later[:, column]
            elif k == fork:
                keep &= later[:, column] > here[:, column]
        order = [
            outer.index(p) if p in outer else a + b + len(ranks) + inner.index(p) for p in shown
        ]
        rows = np.column_stack((last[left][keep][:, order], later[keep]))
        rows = np.unique(rows, axis=0) if rows.shape[1] else rows[:1]
        rows = first_of_each(rows, len(shown))
        at, exists = rows_of(tiles, loops, rows[:, : len(shown)], written)
        there &= exists
        if len(rows):
            for column, k in enumerate(numbers):
                digits[k] = rows[at, len(shown) + column]
    firsts = tiles.firsts(depth)
    keys = tiles.prefix_keys(depth)[firsts]
    at = np.minimum(np.searchsorted(keys, tiles.keys_of(digits)), len(firsts) - 1)
    return there, firsts[at]


def may_read_back(leaf: Leaf, tensor: str, level: int) -> bool:
    """Whether several tiles of a storage may share elements, so that some are read back."""
    access = leaf.einsum.access(tensor)
    ties = [c.variables for c in leaf.coupled]
    alone = {
        variables[0]
        for variables, ranks in groups(
            leaf.einsum.rank_variables, [i.variables for i in access.projection], ties
        )
        if len(variables) == 1 and ranks
    }
    above = leaf.storages(tensor)[level].depth
    return any(
        trips > 1 and loop.variable not in alone
        for loop, trips in zip(leaf.temporal[:above], leaf.temporal_trips[:above], strict=True)
    )
