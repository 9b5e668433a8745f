"""The logical dates of tile iterations: in program order, and skewed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polylat.lowering.iterations import IterationTable
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import PathSplit
from polylat.schedule.arrays import Ints, Narrow, narrow_type
from polylat.schedule.graph import LogicalDates

__all__ = ["date_columns", "date_width", "latest_turn", "logical_dates"]


def logical_dates(layout: Numbering, shifts: Mapping[int, Sequence[int]]) -> LogicalDates:
    """Return the logical dates of all tile iterations, in program order and skewed.

    Parameters
    ----------
    layout
        The numbering of tile iterations.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.

    Returns
    -------
    LogicalDates
        One column per tile iteration, to be compared lexicographically.

    Notes
    -----
    A date alternates loop indices and branch numbers along the path, as the 2d + 1 schedules of
    Feautrier (1992) and Kelly and Pugh (1993): per split, the linearized index of the loops
    between it and the split above, then the branch; last the remaining indices. In a skewed date,
    a stage s of a Pipeline has (index + shift, -s) instead of (index, s): software pipelining.
    """
    program, skew = [], []
    for tiles in layout.tiles:
        plain, skewed = date_columns(tiles, tiles.digits, shifts)
        program.append(plain)
        skew.append(skewed)
    dates, skewed_dates = _columns(layout, program), _columns(layout, skew)
    same = np.array_equal(dates, skewed_dates)
    return LogicalDates(dates, dates if same else skewed_dates)


def latest_turn(split: PathSplit, branch: int, shift: Sequence[int] | None) -> int:
    """Return how far the turns of another branch with earlier dates go.

    Parameters
    ----------
    split
        A split, with the branch that dates are compared with.
    branch
        The other branch.
    shift
        The shift of each stage, for skewed dates; None for the program order, and for a Sequential.

    Returns
    -------
    int
        The last turn of the other branch with an earlier date, less the given turn.
    """
    if shift is None:
        return 0 if branch < split.branch else -1
    return shift[split.branch] - shift[branch] - (branch < split.branch)


def date_width(tiles: IterationTable) -> int:
    """Return the number of columns of the logical dates of one leaf.

    Parameters
    ----------
    tiles
        The leaf's tile iterations.

    Returns
    -------
    int
        Two per split, and one per loop below the innermost split.
    """
    splits = tiles.leaf.splits
    return 2 * len(splits) + tiles.depth - (splits[-1].depth if splits else 0)


def date_columns(
    tiles: IterationTable, digits: Ints, shifts: Mapping[int, Sequence[int]]
) -> tuple[list[Ints], list[Ints]]:
    """Return the logical dates of tile iterations of one leaf, as `logical_dates` does.

    Parameters
    ----------
    tiles
        The leaf's tile iterations.
    digits
        Loop indices, shape (depth, n).
    shifts
        As for `logical_dates`.

    Returns
    -------
    (program, skew)
        The columns of the dates, each of shape (n,).
    """
    plain: list[Ints] = []
    skewed: list[Ints] = []
    above = 0
    for split in tiles.leaf.splits:
        turn = tiles.turns(digits, above, split.depth)
        branch = np.full(digits.shape[1], split.branch, dtype=np.int64)
        plain += [turn, branch]
        if split.node in shifts:
            skewed += [turn + shifts[split.node][split.branch], -branch]
        else:
            skewed += [turn, branch]
        above = split.depth
    rest = [digits[k] for k in range(above, tiles.depth)]
    return [*plain, *rest], [*skewed, *rest]


def _largest(numbers: Ints) -> int:
    return max(int(numbers.max(initial=0)), -int(numbers.min(initial=0)))


def _columns(layout: Numbering, parts: Sequence[Sequence[Ints]]) -> Narrow:
    """Return the dates of all leaves, padded with zeros to one length."""
    width = max(len(part) for part in parts)
    number: type = np.int64
    if layout.whole:  # dates of skipped tile iterations are computed from those of sampled ones
        number = narrow_type(2 * max((_largest(row) for part in parts for row in part), default=0))
    columns: Narrow = np.zeros((width, layout.iterations), dtype=number)
    for part, base, tiles in zip(parts, layout.bases, layout.tiles, strict=True):
        for row, values in enumerate(part):
            columns[row, base : base + tiles.size] = values
    return columns
