"""Precedences between the tasks of a port, served in a static order."""

from __future__ import annotations

from math import prod

import numpy as np

from polylat.engine.port_turns import latest_first, nearest_branches, needed_turns
from polylat.engine.row_builder import RowBuilder
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.mixed_radix import last_turn, linear_index
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import PathSplit
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
        turns = _Turns(builder)
        for leaf, port in builder.families.served:
            for at in turns.splits(leaf, port):
                for part, skewed in zip(found, orders, strict=True):
                    part.append(turns.rows(leaf, port, at, skewed=skewed))
    joined = [Rows.joined(rows) for rows in found]
    return joined[0], None if builder.graph.overtaking else joined[-1]


class _Turns:
    """The turns of the branches of splits, on ports that several branches use.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.
    """

    def __init__(self, builder: RowBuilder) -> None:
        self._builder = builder
        self._leaves: dict[tuple[int, int], dict[int, list[int]]] = {}
        for leaf, port in builder.families.served:
            for split in builder.leaves[leaf].splits:
                branches = self._leaves.setdefault((split.node, port), {})
                branches.setdefault(split.branch, []).append(leaf)
        self._orders = {key: sorted(branches) for key, branches in self._leaves.items()}
        self._first: dict[tuple[int, int, int], tuple[Ints, Ints]] = {}
        self._in_every_turn: dict[tuple[int, int], dict[int, bool]] = {}

    def splits(self, leaf: int, port: int) -> list[int]:
        """Return the splits of a leaf (by number) of which other branches use a port."""
        every = enumerate(self._builder.leaves[leaf].splits)
        return [at for at, split in every if len(self._leaves[split.node, port]) > 1]

    def rows(self, leaf: int, port: int, at: int, *, skewed: bool) -> Rows:
        """Let a leaf's tasks wait for the last ones of other branches of a split.

        See `lowering.task_graph.logical_dates`: dates are compared by the indices of the loops
        above the split around the split that separates the leaves; then by the turn, the linearized
        index of the loops between the two; then by the branch. All branches share these loops.
        """
        builder = self._builder
        splits = builder.leaves[leaf].splits
        split, above = splits[at], splits[at - 1].depth if at else 0
        leaves = self._leaves[split.node, port]
        shift = builder.shifts.get(split.node) if skewed else None
        in_every_turn = self._always(split, port)
        order = self._orders[split.node, port]
        nearest = nearest_branches(split, order, shift, in_every_turn)
        branches, delays = latest_first(split, nearest, shift)
        keys, targets = self._first_tasks(leaf, port, split.depth)
        always = np.array([in_every_turn[b] for b in branches])
        loops = slice(above, split.depth)
        radix = builder.grid.trips[leaf, : split.depth]
        least = builder.digits[leaf][:, keys]
        most = least + builder.skipped[leaf][:, keys] * builder.period[leaf][:, keys]
        needed = needed_turns(
            delays,
            always,
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
        others = [leaves[b] for b in branches]
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

    def _always(self, split: PathSplit, port: int) -> dict[int, bool]:
        """Return per branch of a split whether it has a task on a port in every turn."""
        if (split.node, port) not in self._in_every_turn:
            count, depth = self._builder.grid.count, split.depth
            self._in_every_turn[split.node, port] = {
                branch: any(
                    len(self._first_tasks(leaf, port, depth)[0])
                    == prod(count[leaf, :depth].tolist())
                    for leaf in leaves
                )
                for branch, leaves in self._leaves[split.node, port].items()
            }
        return self._in_every_turn[split.node, port]

    def _first_tasks(self, leaf: int, port: int, depth: int) -> tuple[Ints, Ints]:
        """Return a leaf's first tasks on a port, per index of some loops: points, and events."""
        if (leaf, port, depth) not in self._first:
            self._first[leaf, port, depth] = _first_tasks(self._builder, leaf, port, depth)
        return self._first[leaf, port, depth]


def _first_tasks(builder: RowBuilder, leaf: int, port: int, depth: int) -> tuple[Ints, Ints]:
    every = [family for _, family in builder.families.tasks_on[leaf, port]]
    occur = [builder.families.occurs(family) for family in every]
    keys = np.flatnonzero(np.logical_or.reduce(occur))
    outer = builder.grid.prefix(leaf, keys, depth)
    keys = keys[np.diff(outer, prepend=-1) != 0]
    events = np.full(len(keys), -1)
    for family, here in zip(every, occur, strict=True):
        events = np.where((events < 0) & here[keys], builder.families.event(family, keys), events)
    return keys, events
