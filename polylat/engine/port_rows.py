"""Precedences between the tasks of a port, served in a static order."""

from __future__ import annotations

from math import prod

import numpy as np

from polylat.engine.row_builder import RowBuilder, predecessor
from polylat.lowering.paths import separating_split
from polylat.lowering.task_graph import latest_turn
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.boxes import Rows

__all__ = ["in_order_rows", "port_rows"]


def in_order_rows(builder: RowBuilder) -> list[Rows]:
    """A port serves the tasks of a leaf in order, and those of a tile iteration in sequence.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.

    Returns
    -------
    list of Rows
        The precedences.
    """
    rows = []
    for (leaf, port), served in builder.families.served.items():
        before = builder.before(leaf)
        every = builder.tasks_on(leaf, port)
        for number, (_, family) in enumerate(every):
            here = builder.families.occurs(family)
            keys = np.flatnonzero(here & (before >= 0))
            target = builder.families.event(family, keys)
            rows.append(builder.rows(target, served, before[keys]))
            for _, ahead in every[:number]:
                both = np.flatnonzero(here & builder.families.occurs(ahead))
                target = builder.families.event(family, both)
                rows.append(builder.rows(target, ahead, builder.itself(leaf)[both], own=True))
    return rows


def port_rows(builder: RowBuilder, *, skewed: bool) -> list[Rows]:
    """A port serves the tasks of different leaves by date.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.
    skewed
        Whether to compare skewed dates.

    Returns
    -------
    list of Rows
        The precedences.
    """
    rows = []
    earlier: dict[tuple[int, int], Ints] = {}
    lost: dict[tuple[int, int], Mask] = {}
    for leaf, port in builder.families.served:
        for (other, same_port), served in builder.families.served.items():
            if other == leaf or port != same_port:
                continue
            if (leaf, other) not in earlier:
                found = _last_before(builder, leaf, other, skewed=skewed)
                earlier[leaf, other], lost[leaf, other] = found
            before = earlier[leaf, other]
            for _, family in builder.tasks_on(leaf, port):
                here = builder.families.occurs(family)
                keys = np.flatnonzero(here & (before >= 0))
                target = builder.families.event(family, keys)
                rows.append(builder.rows(target, served, before[keys]))
                builder.note(leaf, np.flatnonzero(here & lost[leaf, other]))
    return rows


def _last_before(builder: RowBuilder, leaf: int, other: int, *, skewed: bool) -> tuple[Ints, Mask]:
    """Return, per point, the source that is the last point of another leaf with an earlier date.

    -1 where there is none. Also whether the source does not move with the point's box.

    See `lowering.task_graph.logical_dates`: dates are compared by the indices of the loops
    above the split around the split that separates the leaves; then by the turn, the linearized
    index of the loops between the two; then by the branch.
    """
    mine, its = builder.leaves[leaf], builder.leaves[other]
    at = separating_split(mine, its)
    split, branch = mine.splits[at], its.splits[at].branch
    above = mine.splits[at - 1].depth if at else 0
    delay = latest_turn(split, branch, builder.shifts.get(split.node) if skewed else None)

    def move(digits: Ints) -> tuple[Ints, Mask]:
        return _moved(builder, other, digits, above, split.depth, delay)

    keys = np.arange(builder.grid.sizes[leaf])
    exists, good, base = builder.translated(leaf, keys, move, split.depth)
    found = np.full(len(keys), -1)
    some = np.flatnonzero(exists & good)
    found[some] = builder.source(leaf, some, other, base[:, some], split.depth)
    return found, ~good


def _moved(
    builder: RowBuilder, leaf: int, digits: Ints, above: int, depth: int, delay: int
) -> tuple[Ints, Mask]:
    """Return the last points of a leaf up to a turn: the given one, and `delay` further.

    Where the turn is beyond the last one of the outer loops' index, it is the last one; where
    it is before the first one, the last point of the previous index.
    """
    radix = builder.grid.trips[leaf]
    found = builder.ends(leaf, digits.shape[1])
    count = prod(int(radix[k]) for k in range(above, depth))
    turn = np.zeros(digits.shape[1], dtype=np.int64)
    for k in range(above, depth):
        turn = turn * radix[k] + digits[k]
    turn = turn + delay
    early = turn < 0
    rest = np.clip(turn, 0, count - 1)
    for k in range(depth - 1, above - 1, -1):
        found[k] = np.where(early, radix[k] - 1, rest % radix[k])
        rest = rest // radix[k]
    outer, same = predecessor(digits[:above], radix[:above])
    found[:above] = np.where(early, outer, digits[:above])
    return found, ~early | (same > 0)
