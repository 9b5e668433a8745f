"""Precedences between the tasks of a port, served in a static order."""

from __future__ import annotations

from functools import cache, partial
from math import prod

import numpy as np

from polylat.engine.port_turns import PortTurns
from polylat.engine.row_builder import RowBuilder
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.mixed_radix import last_turn, linear_index
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Ints, Mask, concatenated_ranges
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
        every = builder.families.tasks_on[leaf, port]
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
    later, as the port serves the tasks of a leaf in order. It has rows for the branches that
    `needed_turns` selects: the other waits follow from these.

    Where leaves run in turn, no task has a row: by rule 2, all tasks wait for the same sources.
    """
    dates = builder.graph.dates
    same = builder.graph.overtaking or np.array_equal(dates.program, dates.skew)
    orders = [False] if same else [False, True]
    found: list[list[Rows]] = [[] for _ in orders]
    if not runs_in_turn(builder.lowered, builder.layout):
        first = cache(partial(_first_tasks, builder))

        def in_every_turn(leaf: int, port: int, depth: int) -> bool:
            points, _ = first(leaf, port, depth)
            turns: int = prod(builder.grid.count[leaf, :depth].tolist())
            return len(points) == turns

        turns = PortTurns(builder.leaves, builder.families.served, in_every_turn)
        for leaf, port in builder.families.served:
            for at, split in enumerate(builder.leaves[leaf].splits):
                if len(turns.branches(split, port)) == 1:
                    continue
                tasks = first(leaf, port, split.depth)
                for part, skewed in zip(found, orders, strict=True):
                    part.append(_after_turns(builder, turns, leaf, port, at, tasks, skewed=skewed))
    joined = [Rows.joined(rows) for rows in found]
    return joined[0], None if builder.graph.overtaking else joined[-1]


def _after_turns(
    builder: RowBuilder,
    turns: PortTurns,
    leaf: int,
    port: int,
    at: int,
    tasks: tuple[Ints, Ints],
    *,
    skewed: bool,
) -> Rows:
    """Let a leaf's tasks wait for the last ones of other branches of a split (by number).

    See `lowering.logical_dates`: dates are compared by the indices of the loops above
    the split around the split that separates the leaves; then by the turn, the linearized index of
    the loops between the two; then by the branch. All branches share these loops.
    """
    keys, targets = tasks
    splits = builder.leaves[leaf].splits
    split, above = splits[at], splits[at - 1].depth if at else 0
    loops = slice(above, split.depth)
    radix = builder.grid.trips[leaf, : split.depth]
    least = builder.digits[leaf][:, keys]
    most = least + builder.skipped[leaf][:, keys] * builder.period[leaf][:, keys]
    branches, delays, needed = turns.needed(
        split,
        port,
        builder.shifts.get(split.node) if skewed else None,
        linear_index(least[loops], radix[loops]),
        linear_index(most[loops], radix[loops]),
        prod(radix[loops].tolist()),
    )
    task, branch = np.nonzero(needed.T)
    delay = delays[branch]

    def move(digits: Ints, which: Ints) -> tuple[Ints, Mask]:
        return last_turn(radix, digits, above, delay[which])

    exists, good, outer = builder.translated(leaf, keys[task], move, split.depth)
    builder.note(leaf, keys[task[~good]])
    some = np.flatnonzero(exists & good)
    # Per wait for a branch, one row for each of the branch's leaves.
    others = [turns.branches(split, port)[b] for b in branches]
    count = np.array([len(found) for found in others])
    offset = np.cumsum(count) - count
    which, member = concatenated_ranges(offset[branch[some]], count[branch[some]])
    other = np.array([number for found in others for number in found])[member]
    served = np.array([builder.families.served[n, port] for found in others for n in found])
    each = some[which]
    base = builder.grid.trips[other].T - 1
    base[: split.depth] = outer[: split.depth, each]
    source = builder.source(leaf, keys[task[each]], other, base, split.depth)
    return builder.rows(targets[task[each]], served[member], source)


def _first_tasks(builder: RowBuilder, leaf: int, port: int, depth: int) -> tuple[Ints, Ints]:
    """Return a leaf's first tasks on a port, per index of some loops: points, and events."""
    every = [family for _, family in builder.families.tasks_on[leaf, port]]
    occur = [builder.families.occurs(family) for family in every]
    keys = np.flatnonzero(np.logical_or.reduce(occur))
    outer = builder.grid.prefix(leaf, keys, depth)
    keys = keys[np.diff(outer, prepend=-1) != 0]
    events = np.full(len(keys), -1)
    for family, here in zip(every, occur, strict=True):
        events = np.where((events < 0) & here[keys], builder.families.event(family, keys), events)
    return keys, events
