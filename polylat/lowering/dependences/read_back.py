"""Which tile iteration reads back the elements that another one wrote back."""

from __future__ import annotations

import numpy as np

from polylat.lowering.dependences.tables import equal_row_pairs, find_rows, first_of_each_group
from polylat.lowering.groups import connected_groups, element_points, loops_over
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.schedule.arrays import Ints

__all__ = ["next_readers", "summing_loops"]


def next_readers(
    tiles: IterationTable, written: Ints, tensor: str, level: int, inner: int | None = None
) -> tuple[Ints, Ints]:
    """Return the first tile iteration that reads back an element of each write-back.

    Parameters
    ----------
    tiles
        The tile iterations of a leaf.
    written
        Those that write back.
    tensor, level
        The tensor, and the index of the storage written back from.
    inner
        Depth of the tiles in which elements are written back; None: one by one.

    Returns
    -------
    (positions, iterations)
        Positions in `written` of the write-backs that are read back, and the tile iterations that
        read: shape (n,) each.
    """
    leaf = tiles.leaf
    depth = leaf.storages(tensor)[level].depth
    positions: list[Ints] = []
    reading: list[Ints] = []
    # The outermost loop in which a later tile differs is the fork; its index is larger there.
    unread = np.arange(len(written))
    for fork in range(depth - 1, -1, -1):
        if not len(unread):
            break
        read, reader = _later(tiles, written[unread], tensor, level, fork, inner)
        positions.append(unread[read])
        reading.append(reader[read])
        unread = unread[~read]
    if not positions:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty
    return np.concatenate(positions), np.concatenate(reading)


def _later(
    tiles: IterationTable,
    written: Ints,
    tensor: str,
    level: int,
    fork: int,
    inner_depth: int | None,
) -> tuple[np.ndarray, Ints]:
    """Return whether, and in which tile iteration, a later tile shares a written element first.

    Later tiles here agree with the tile of the write-back in the loops before `fork` and have a
    larger index in loop `fork`.
    """
    leaf = tiles.leaf
    depth = leaf.storages(tensor)[level].depth
    written_to = leaf.einsum.written(tensor)
    exists_for_all = np.ones(len(written), dtype=np.bool_)
    digits = np.zeros((depth, len(written)), dtype=np.int64)
    ties = [c.variables for c in leaf.coupled]
    for variables, ranks in connected_groups(
        leaf.einsum.rank_variables, [i.variables for i in written_to], ties
    ):
        within = tiles.depth if inner_depth is None else inner_depth
        loops, shown = loops_over(leaf, variables, within)
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
        indices = [written_to[r] for r in ranks]
        last = element_points(leaf, variables, indices, [*outer, *units], inner)
        touched = element_points(leaf, variables, indices, [*outer, *units])
        a, b = len(outer), len(units)
        same = list(range(a, a + b + len(ranks)))
        left, right = equal_row_pairs(last[:, same], touched[:, same])
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
        rows = first_of_each_group(rows, len(shown))
        at, exists = find_rows(tiles, loops, rows[:, : len(shown)], written)
        exists_for_all &= exists
        if len(rows):
            for column, k in enumerate(numbers):
                digits[k] = rows[at, len(shown) + column]
    firsts = tiles.firsts(depth)
    keys = tiles.prefix_keys(depth)[firsts]
    at = np.minimum(np.searchsorted(keys, tiles.keys_of(digits)), len(firsts) - 1)
    return exists_for_all, firsts[at]


def summing_loops(leaf: Leaf, tensor: str, level: int) -> list[int] | None:
    """Return the loops above a storage that sum the output.

    Where every other loop above the storage divides the output's elements, a tile reads back what
    the previous tile of these loops wrote back, with the same indices of the others.

    Parameters
    ----------
    leaf
        The leaf.
    tensor, level
        An output, and the index of a storage of it.

    Returns
    -------
    list of int or None
        Their numbers among the Temporal loops; None if tiles share elements in another way.
    """
    ties = [c.variables for c in leaf.coupled]
    written = leaf.einsum.written(tensor)
    groups = connected_groups(leaf.einsum.rank_variables, [i.variables for i in written], ties)
    dividing = {variables[0] for variables, ranks in groups if len(variables) == 1 and ranks}
    summing = {variables[0] for variables, ranks in groups if len(variables) == 1 and not ranks}
    above = leaf.temporal[: leaf.storages(tensor)[level].depth]
    if any(loop.variable not in dividing | summing for loop in above):
        return None
    return [k for k, loop in enumerate(above) if loop.variable in summing]
