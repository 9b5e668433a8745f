"""The precedences between the tasks of each port by skewed date, for sampled loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from polylat.engine.port_turns import latest_first, nearest_branches, needed_turns
from polylat.engine.service_table import ServiceTable
from polylat.lowering.mixed_radix import last_turn, linear_index
from polylat.lowering.paths import PathSplit
from polylat.schedule.arrays import Ints

__all__ = ["skewed_order"]

Part = tuple[Ints, Ints, Ints]
"""(source, target, periods) of some precedences, see `Precedences`."""


def skewed_order(table: ServiceTable, shifts: Mapping[int, Sequence[int]]) -> list[Part]:
    """Return the precedences between tasks of each port, by skewed date.

    Each task waits for the previous one of its leaf. The first one for an index of the loops above
    a split also waits for the last tasks of other branches with earlier skewed dates (those that
    `needed_turns` selects), which are the same for all tasks for this index. They are found by
    their loop indices: they need not be the previous sampled ones.

    Parameters
    ----------
    table
        The tasks.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.

    Returns
    -------
    list of (source, target, periods)
        The precedences, as of `ServiceTable.precedences`.

    Raises
    ------
    IrregularError
        The task that represents a skipped one does not exist.
    """
    parts: list[Part] = []
    waits: dict[int, list[_Awaited]] = {}
    for tasks in table.by_leaf:
        new_port = np.diff(table.port[tasks], prepend=-1) != 0
        parts += table.precedences(tasks[:-1][~new_port[1:]], tasks[1:][~new_port[1:]])
    turns = _Turns(table)
    for leaf, tiles in enumerate(table.layout.tiles):
        for at in range(len(tiles.leaf.splits)):
            for other, awaited in turns.awaited(leaf, at, shifts):
                waits.setdefault(other, []).append(awaited)
    for other, some in waits.items():
        parts.append(_last_tasks(table, other, some))
    return parts


class _Awaited(NamedTuple):
    """Tasks that wait for the last ones of another leaf up to given indices of common loops.

    `targets` has shape (n,), `outer` shape (common loops, n).
    """

    targets: Ints
    outer: Ints


class _Turns:
    """The turns of the branches of splits in a table of tasks."""

    def __init__(self, table: ServiceTable) -> None:
        self._table = table
        # (split, port) → branch → its leaves that use the port.
        self._leaves: dict[tuple[int, int], dict[int, list[int]]] = {}
        for leaf, (tiles, tasks) in enumerate(zip(table.layout.tiles, table.by_leaf, strict=True)):
            for port in np.unique(table.port[tasks]).tolist():
                for split in tiles.leaf.splits:
                    branches = self._leaves.setdefault((split.node, port), {})
                    branches.setdefault(split.branch, []).append(leaf)
        self._orders = {key: sorted(branches) for key, branches in self._leaves.items()}
        self._first: dict[tuple[int, int], dict[int, Ints]] = {}
        self._in_every_turn: dict[tuple[int, int], dict[int, bool]] = {}

    def awaited(
        self, leaf: int, at: int, shifts: Mapping[int, Sequence[int]]
    ) -> Iterator[tuple[int, _Awaited]]:
        """Yield the other leaves that a leaf's tasks wait for, by a split of the leaf (by number).

        Skewed dates are compared by the indices of the loops above the split around this one; then
        by the turn, which is the linearized index of the loops between the two splits, plus the
        shift of the stage if the split is a Pipeline; then by the branch, where a Pipeline has
        later stages first (see `lowering.task_graph.logical_dates`).
        """
        table, tiles = self._table, self._table.layout.tiles[leaf]
        split, above = tiles.leaf.splits[at], tiles.leaf.splits[at - 1].depth if at else 0
        radix = np.array([tiles.radix(k) for k in range(split.depth)], dtype=np.int64)
        for port, targets in self._first_tasks(leaf, split.depth).items():
            leaves = self._leaves[split.node, port]
            if len(leaves) == 1:
                continue
            shift = shifts.get(split.node)
            in_every_turn = self._always(split, port)
            order = self._orders[split.node, port]
            nearest = nearest_branches(split, order, shift, in_every_turn)
            branches, delays = latest_first(split, nearest, shift)
            always = np.array([in_every_turn[b] for b in branches])
            iterations = table.iteration[targets] - table.layout.bases[leaf]
            shared = tiles.digits[: split.depth, iterations]
            turn = linear_index(shared[above:], radix[above:])
            needed = needed_turns(delays, always, turn, turn, prod(radix[above:].tolist()))
            branch, task = np.nonzero(needed)
            outer, exists = last_turn(radix, shared[:, task], above, delays[branch])
            for number, name in enumerate(branches):
                some = np.flatnonzero(exists & (branch == number))
                for other in leaves[name] if len(some) else ():
                    yield other, _Awaited(targets[task[some]], outer[:, some])

    def _always(self, split: PathSplit, port: int) -> dict[int, bool]:
        """Return per branch of a split whether it has a task on a port in every turn."""
        if (split.node, port) not in self._in_every_turn:
            tiles, depth = self._table.layout.tiles, split.depth
            self._in_every_turn[split.node, port] = {
                branch: any(
                    len(self._first_tasks(leaf, depth)[port])
                    == prod(kept.count for kept in tiles[leaf].kept[:depth])
                    for leaf in leaves
                )
                for branch, leaves in self._leaves[split.node, port].items()
            }
        return self._in_every_turn[split.node, port]

    def _first_tasks(self, leaf: int, depth: int) -> dict[int, Ints]:
        """Return a leaf's first tasks per port, for each index of some outer loops."""
        if (leaf, depth) not in self._first:
            table = self._table
            tasks = table.by_leaf[leaf]
            outer = table.layout.tiles[leaf].prefix_keys(depth)
            index = outer[table.iteration[tasks] - table.layout.bases[leaf]]
            port = table.port[tasks]
            new_port = np.diff(port, prepend=-1) != 0
            first = new_port | (np.diff(index, prepend=-1) != 0)
            tasks, port = tasks[first], port[first]
            starts = np.flatnonzero(np.diff(port, prepend=-1) != 0)
            groups = np.split(tasks, starts)[1:]
            self._first[leaf, depth] = dict(zip(port[starts].tolist(), groups, strict=True))
        return self._first[leaf, depth]


def _last_tasks(table: ServiceTable, leaf: int, waits: Sequence[_Awaited]) -> Part:
    """Return the precedences on the last tasks of a leaf up to given indices."""
    tiles = table.layout.tiles[leaf]
    targets = np.concatenate([w.targets for w in waits])
    digits = np.zeros((tiles.depth, len(targets)), dtype=np.int64)
    given = np.repeat([len(w.outer) for w in waits], [len(w.targets) for w in waits])
    start = 0
    for w in waits:
        digits[: len(w.outer), start : start + len(w.targets)] = w.outer
        start += len(w.targets)
    position, periods = tiles.locate_before(tiles.clip_last(digits, given))
    source, which, later = table.last_served(
        leaf, table.by_leaf[leaf], table.port[targets], position, periods
    )
    return source, targets[which], later
