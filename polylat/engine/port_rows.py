"""Precedences between the tasks of a port, served in a static order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polylat.engine.row_builder import RowBuilder
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.mixed_radix import last_turn
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import PathSplit, separating_split
from polylat.lowering.task_graph import latest_turn
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.boxes import Rows

__all__ = ["in_order_rows", "port_rows", "runs_in_turn"]


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


def runs_in_turn(lowered: LoweredMapping, layout: Numbering) -> bool:
    """Return whether the leaves run one after another, without separate transfers.

    Parameters
    ----------
    lowered, layout
        The mapping, and the numbering of its tile iterations and blocks.

    Returns
    -------
    bool
        False where there is a Pipeline, a prefetched fill or a background write-back.
    """
    return all(
        block.kind == "foreground" for blocks in layout.blocks for block in blocks
    ) and not any(split.pipeline for leaf in lowered.leaves for split in leaf.splits)


def port_rows(builder: RowBuilder) -> tuple[Rows, Rows | None]:
    """A port serves the tasks of different leaves by date.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.

    Returns
    -------
    (program, skew)
        The precedences in the order of the dates, and in that of the skewed dates: the same object
        if these dates are equal, None where fills that are served ahead come before other blocks.

    Notes
    -----
    The source depends on the target's indices in the loops above the split that separates the
    leaves. For each of these, only the first task of a leaf on a port has a row: the others are
    later, as the port serves the tasks of a leaf in order.

    Where leaves run in turn, no task has a row: by rule 2, all tasks wait for the same sources.
    """
    dates = builder.graph.dates
    same = builder.graph.overtaking or np.array_equal(dates.program, dates.skew)
    orders = [False] if same else [False, True]
    found: list[list[Rows]] = [[] for _ in orders]
    if not runs_in_turn(builder.lowered, builder.layout):
        for leaf, port in builder.families.served:
            for split, (above, rivals) in _rivals(builder, leaf, port).items():
                first = _first_tasks(builder, leaf, port, split.depth)
                for delay in sorted({r.delays[skewed] for r in rivals for skewed in orders}):
                    some = [r for r in rivals if delay in r.delays[: len(orders)]]
                    rows = _after(builder, leaf, first, (above, split.depth, delay), some)
                    for part, skewed in zip(found, orders, strict=True):
                        here = np.array([r.delays[skewed] == delay for r in some])
                        part.append(rows.chosen(np.tile(here, len(rows.target) // len(some))))
    joined = [Rows.joined(rows) for rows in found]
    return joined[0], None if builder.graph.overtaking else joined[-1]


class _Rival(NamedTuple):
    """Another leaf on a port, its family of the last tasks there, and how far its turns go.

    The delays (see `latest_turn`) are those in the order of the dates, and of the skewed dates.
    """

    leaf: int
    served: int
    delays: tuple[int, int]


def _rivals(builder: RowBuilder, leaf: int, port: int) -> dict[PathSplit, tuple[int, list[_Rival]]]:
    """Return the other leaves on a port, by the split that separates them from a leaf.

    And the number of loops above the split around that one.
    """
    found: dict[PathSplit, tuple[int, list[_Rival]]] = {}
    mine = builder.leaves[leaf]
    for (other, same_port), served in builder.families.served.items():
        if other == leaf or port != same_port:
            continue
        at = separating_split(mine, builder.leaves[other])
        split, branch = mine.splits[at], builder.leaves[other].splits[at].branch
        shift = builder.shifts.get(split.node)
        delays = (latest_turn(split, branch, None), latest_turn(split, branch, shift))
        above = mine.splits[at - 1].depth if at else 0
        found.setdefault(split, (above, []))[1].append(_Rival(other, served, delays))
    return found


def _first_tasks(builder: RowBuilder, leaf: int, port: int, depth: int) -> tuple[Ints, Ints]:
    """Return a leaf's first tasks on a port, per index of some outer loops: points, and events."""
    every = [family for _, family in builder.tasks_on(leaf, port)]
    occur = [builder.families.occurs(family) for family in every]
    keys = np.flatnonzero(np.logical_or.reduce(occur))
    outer = builder.grid.prefix(leaf, keys, depth)
    keys = keys[np.diff(outer, prepend=-1) != 0]
    events = np.full(len(keys), -1)
    for family, here in zip(every, occur, strict=True):
        events = np.where((events < 0) & here[keys], builder.families.event(family, keys), events)
    return keys, events


def _after(
    builder: RowBuilder,
    leaf: int,
    first: tuple[Ints, Ints],
    turn: tuple[int, int, int],
    rivals: Sequence[_Rival],
) -> Rows:
    """Let tasks wait for the last ones of other leaves with earlier dates.

    See `lowering.task_graph.logical_dates`: dates are compared by the indices of the loops above
    the split around the split that separates the leaves; then by the turn, the linearized index of
    the loops between the two; then by the branch. `turn` says which loops these are, and how far
    the turns go. All leaves share these loops. The rows are those of all rivals, task by task.
    """
    keys, targets = first
    above, depth, delay = turn
    radix = builder.grid.trips[leaf, :depth]

    def move(digits: Ints) -> tuple[Ints, Mask]:
        return last_turn(radix, digits, above, delay)

    exists, good, outer = builder.translated(leaf, keys, move, depth)
    builder.note(leaf, keys[~good])
    some = np.flatnonzero(exists & good)
    others = np.array([rival.leaf for rival in rivals])
    base = np.tile(builder.grid.trips[others].T - 1, len(some))
    base[:depth] = np.repeat(outer[:depth, some], len(rivals), axis=1)
    each = np.repeat(some, len(rivals))
    source = builder.source(leaf, keys[each], np.tile(others, len(some)), base, depth)
    served = np.tile([rival.served for rival in rivals], len(some))
    return builder.rows(targets[each], served, source)
