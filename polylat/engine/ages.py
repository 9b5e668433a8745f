"""Which of two blocks is older in the order "oldest", for all members of a box.

A block is older if it is not in the background and the other one is, or else if it comes first in
the order of skewed dates: by the date of the host, by kind, own blocks before hosted ones, by the
date of the tile iteration, by position (see `TaskGraph.port_order`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylat.engine.served_ahead import ServedAhead
from polylat.lowering.accesses.blocks import Block
from polylat.lowering.corners import subsets
from polylat.lowering.iterations import IterationTable
from polylat.lowering.logical_dates import date_columns, date_width
from polylat.lowering.numbering import Numbering
from polylat.lowering.task_graph import KINDS
from polylat.schedule.arrays import Ints, Mask

__all__ = ["Services", "are_older"]


@dataclass(frozen=True, eq=False)
class Services:
    """Tasks whose loop indices are affine on boxes.

    Parameters
    ----------
    leaf, sequence
        Shape (n,): their leaves, and the positions of their blocks.
    digits
        Shape (depth, n): their loop indices for k = 0.
    moves
        Shape (n, depth, depth): by how many iterations each index (first axis) increases per period
        of each loop of the box (second axis).
    """

    leaf: Ints
    sequence: Ints
    digits: Ints
    moves: Ints


def are_older(
    layout: Numbering,
    shifts: Mapping[int, Sequence[int]],
    ahead: ServedAhead | None,
    tasks: Services,
    others: Services,
    skipped: Ints,
) -> Mask:
    """Return whether tasks are older than others, in all of their boxes.

    Parameters
    ----------
    layout, shifts
        The numbering, and the shift of each stage of a Pipeline in the skewed dates.
    ahead
        The fills that are served ahead of other blocks, if there are any.
    tasks, others
        The tasks in pairs, n each.
    skipped
        Shape (depth, n): the number of periods of the boxes, loop by loop.

    Returns
    -------
    numpy.ndarray
        Shape (n,).

    Notes
    -----
    Dates are affine on boxes; so are those of hosts that move as their blocks do, which is
    required. A task is older if the first column in which the dates differ is less throughout the
    box, and the columns before it are equal throughout.
    """
    late = _per_block(layout, lambda block: block.background).astype(np.bool_)
    known = np.ones(len(tasks.leaf), dtype=np.bool_)
    late_task = late[tasks.leaf, tasks.sequence]
    late_other = late[others.leaf, others.sequence]
    columns: list[tuple[Ints, Ints]] = []
    if ahead is not None:
        hosts, known = _hosts(ahead, tasks, skipped)
        other_hosts, moving = _hosts(ahead, others, skipped)
        known &= moving
        columns += _differences(layout, shifts, hosts, other_hosts, skipped)
        kinds = _per_block(layout, lambda block: KINDS[block.kind])
        kind = kinds[others.leaf, others.sequence] - kinds[tasks.leaf, tasks.sequence]
        hosted = (other_hosts.digits != others.digits).any(axis=0).astype(np.int64)
        hosted -= (hosts.digits != tasks.digits).any(axis=0)
        columns += [(kind, kind), (hosted, hosted)]
    columns += _differences(layout, shifts, tasks, others, skipped)
    equal = late_task == late_other
    older = ~late_task & late_other
    for least, most in columns:
        older |= equal & known & (least > 0)
        equal &= (least == 0) & (most == 0)
    return np.asarray(older | (equal & known & (others.sequence > tasks.sequence)), dtype=np.bool_)


def _per_block(layout: Numbering, value: Callable[[Block], int]) -> Ints:
    """Return a property of each block of a leaf, shape (leaves, blocks)."""
    width = max(len(blocks) for blocks in layout.blocks)
    found = np.zeros((len(layout.blocks), width), dtype=np.int64)
    for leaf, blocks in enumerate(layout.blocks):
        found[leaf, : len(blocks)] = [value(block) for block in blocks]
    return found


def _hosts(ahead: ServedAhead, tasks: Services, skipped: Ints) -> tuple[Services, Mask]:
    """Return the hosts of tasks, and whether they move as the tasks do, in all of the box.

    It suffices to compare the corners where numbers of iterations do not rise within the box.
    """
    hosts, moving = tasks.digits.copy(), np.ones(len(tasks.leaf), dtype=np.bool_)
    for block in ahead.tile_depth:
        leaf, sequence = block
        rows = np.flatnonzero((tasks.leaf == leaf) & (tasks.sequence == sequence))
        depth = ahead.layout.tiles[leaf].depth
        digits = tasks.digits[:depth, rows]
        found = ahead.hosts(block, digits)
        hosts[:depth, rows] = found
        wide = np.flatnonzero(skipped[:, rows].any(axis=1)).tolist()
        for subset in subsets(wide):
            by = sum(tasks.moves[rows, :depth, k].T * skipped[k, rows] for k in subset)
            alike = ahead.hosts(block, digits + by) == found + by
            moving[rows] &= alike.all(axis=0)
        tiles = ahead.layout.tiles[leaf]
        if not tiles.full:
            grows = tasks.moves[rows] * skipped[:, rows].T[:, None]
            moving[rows] &= _never_more_iterations(tiles, found, grows)
    return Services(tasks.leaf, tasks.sequence, hosts, tasks.moves), moving


def _never_more_iterations(tiles: IterationTable, hosts: Ints, grows: Ints) -> Mask:
    """Return in which boxes no loop of the hosts gets more iterations.

    These are boxes in which no index falls, and no host leaves a first tile of another size.

    Parameters
    ----------
    tiles
        The tile iterations of the leaf.
    hosts
        Loop indices of the hosts at the first members of n boxes, shape (depth of the leaf, n).
    grows
        By how much the indices grow within the boxes, per loop of the boxes: shape (n, depth,
        depth).

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    found: Mask = np.asarray((grows >= 0).all(axis=(1, 2)))
    for k, loop in enumerate(tiles.leaf.temporal[: tiles.depth]):
        if loop.initial is not None:
            found &= (hosts[k] > 0) | (grows[:, k] == 0).all(axis=1)
    return found


def _differences(
    layout: Numbering,
    shifts: Mapping[int, Sequence[int]],
    tasks: Services,
    others: Services,
    skipped: Ints,
) -> list[tuple[Ints, Ints]]:
    """Return the least and the largest difference of dates in each box, column by column."""

    def later(at: Ints, by: tuple[Ints, Ints] | None = None) -> Ints:
        mine, theirs = tasks.digits[:, at], others.digits[:, at]
        if by is not None:
            mine, theirs = mine + by[0], theirs + by[1]
        found = _dates(layout, others.leaf[at], theirs, shifts)
        return found - _dates(layout, tasks.leaf[at], mine, shifts)

    difference = later(np.arange(len(tasks.leaf)))
    least, most = difference.copy(), difference.copy()
    for k in range(layout.depth):
        wide = np.flatnonzero(skipped[k])
        rise = later(wide, (tasks.moves[wide, :, k].T, others.moves[wide, :, k].T))
        rise = (rise - difference[:, wide]) * skipped[k, wide]
        least[:, wide] += np.minimum(rise, 0)
        most[:, wide] += np.maximum(rise, 0)
    return list(zip(least, most, strict=True))


def _dates(
    layout: Numbering, leaves: Ints, digits: Ints, shifts: Mapping[int, Sequence[int]]
) -> Ints:
    """Return the skewed dates of tile iterations with given indices, shape (columns, n)."""
    width = max(date_width(tiles) for tiles in layout.tiles)
    found = np.zeros((width, len(leaves)), dtype=np.int64)
    order = np.argsort(leaves, kind="stable")
    groups = np.unique(leaves[order], return_index=True, return_counts=True)
    for leaf, start, count in zip(*(group.tolist() for group in groups), strict=True):
        tiles, where = layout.tiles[leaf], order[start : start + count]
        columns = date_columns(tiles, digits[: tiles.depth, where], shifts)[1]
        for row, column in enumerate(columns):
            found[row, where] = column
    return found
