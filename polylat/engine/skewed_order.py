"""The precedences between the tasks of each port by skewed date, for sampled loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from math import prod
from typing import NamedTuple

import numpy as np

from polylat.engine.port_turns import PortTurns
from polylat.engine.service_table import ServiceTable
from polylat.lowering.mixed_radix import last_turn, linear_index
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
    first = cache(partial(_first_tasks, table))
    uses = [
        (leaf, port)
        for leaf, tasks in enumerate(table.by_leaf)
        for port in np.unique(table.port[tasks]).tolist()
    ]

    def in_every_turn(leaf: int, port: int, depth: int) -> bool:
        counts = (kept.count for kept in table.layout.tiles[leaf].kept[:depth])
        return len(first(leaf, depth)[port]) == prod(counts)

    turns = PortTurns([tiles.leaf for tiles in table.layout.tiles], uses, in_every_turn)
    for leaf, tiles in enumerate(table.layout.tiles):
        for at, split in enumerate(tiles.leaf.splits):
            for port, targets in first(leaf, split.depth).items():
                if len(turns.branches(split, port)) > 1:
                    shift = shifts.get(split.node)
                    for other, awaited in _awaited(table, turns, leaf, port, at, targets, shift):
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


def _awaited(
    table: ServiceTable,
    turns: PortTurns,
    leaf: int,
    port: int,
    at: int,
    targets: Ints,
    shift: Sequence[int] | None,
) -> Iterator[tuple[int, _Awaited]]:
    """Yield the other leaves that a leaf's tasks wait for, by a split of the leaf (by number).

    Skewed dates are compared by the indices of the loops above the split around this one; then by
    the turn, which is the linearized index of the loops between the two splits, plus the shift of
    the stage if the split is a Pipeline; then by the branch, where a Pipeline has later stages
    first (see `lowering.logical_dates`).
    """
    tiles = table.layout.tiles[leaf]
    split, above = tiles.leaf.splits[at], tiles.leaf.splits[at - 1].depth if at else 0
    radix = np.array([tiles.radix(k) for k in range(split.depth)], dtype=np.int64)
    iterations = table.iteration[targets] - table.layout.bases[leaf]
    shared = tiles.digits[: split.depth, iterations]
    turn = linear_index(shared[above:], radix[above:])
    count = prod(radix[above:].tolist())
    branches, delays, needed = turns.needed(split, port, shift, turn, turn, count)
    branch, task = np.nonzero(needed)
    outer, exists = last_turn(radix, shared[:, task], above, delays[branch])
    for number, name in enumerate(branches):
        some = np.flatnonzero(exists & (branch == number))
        for other in turns.branches(split, port)[name] if len(some) else ():
            yield other, _Awaited(targets[task[some]], outer[:, some])


def _first_tasks(table: ServiceTable, leaf: int, depth: int) -> dict[int, Ints]:
    """Return a leaf's first tasks per port, for each index of some outer loops."""
    tasks = table.by_leaf[leaf]
    outer = table.layout.tiles[leaf].prefix_keys(depth)
    index = outer[table.iteration[tasks] - table.layout.bases[leaf]]
    port = table.port[tasks]
    first = (np.diff(port, prepend=-1) != 0) | (np.diff(index, prepend=-1) != 0)
    tasks, port = tasks[first], port[first]
    starts = np.flatnonzero(np.diff(port, prepend=-1) != 0)
    groups = np.split(tasks, starts)[1:]
    return dict(zip(port[starts].tolist(), groups, strict=True))


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
