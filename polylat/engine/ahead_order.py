"""Precedences on ports in the order "skew" where fills are served one tile ahead, of a sample.

Every sampled task waits for the last earlier task of each block on its port, which need not be
sampled (see `engine.served_ahead`).
"""

from __future__ import annotations

import numpy as np

from polylat.engine.served_ahead import BlockKey, ServedAhead
from polylat.engine.service_table import ServiceTable
from polylat.schedule.arrays import Ints

__all__ = ["order_ahead"]

_Part = tuple[Ints, Ints, Ints]


def order_ahead(table: ServiceTable, ahead: ServedAhead) -> list[_Part]:
    """Return the precedences between the tasks of each port.

    Parameters
    ----------
    table
        The tasks.
    ahead
        Up to which tile iteration a port serves one block before another one.

    Returns
    -------
    list of (source, target, periods)
        As `ServiceTable.precedences` returns them.

    Raises
    ------
    IrregularError
        The task that represents a skipped one does not exist.
    """
    tasks = _by_block(table)
    parts: list[_Part] = []
    for target, mine in tasks.items():
        for source, others in tasks.items():
            ports = np.intersect1d(table.port[mine], table.port[others])
            if len(ports):
                some = mine[np.isin(table.port[mine], ports)]
                parts += _precedences(table, ahead, target, source, some, others)
    return parts


def _by_block(table: ServiceTable) -> dict[BlockKey, Ints]:
    """Return the tasks of every block: by port, and by tile iteration within a port."""
    found: dict[BlockKey, Ints] = {}
    for leaf, tasks in enumerate(table.by_leaf):
        for index in np.unique(table.sequence[tasks]).tolist():
            found[leaf, index] = tasks[table.sequence[tasks] == index]
    return found


def _precedences(
    table: ServiceTable,
    ahead: ServedAhead,
    target: BlockKey,
    source: BlockKey,
    tasks: Ints,
    others: Ints,
) -> list[_Part]:
    """Let tasks of a block wait for the last earlier ones among those of a block."""
    (leaf, _), (other, _) = target, source
    tiles, base = table.layout.tiles[leaf], table.layout.bases[leaf]
    if leaf != other and target not in ahead.tile_depth:
        # The source is the same for all tasks with this index, which the port serves in order.
        outer = tiles.prefix_keys(ahead.shared_depth(leaf, other))[table.iteration[tasks] - base]
        new = np.diff(table.port[tasks], prepend=-1) != 0
        tasks = tasks[new | (np.diff(outer, prepend=-1) != 0)]
    digits = tiles.digits[:, table.iteration[tasks] - base]
    places, exists = ahead.moves(target, source)[-1].at(digits)
    if not exists.any():
        return []
    tasks = tasks[exists]
    theirs = table.layout.tiles[other]
    last = theirs.clip_last(places[:, exists], np.full(len(tasks), theirs.depth))
    position, periods = theirs.locate_before(last)
    found, which, later = table.last_served(other, others, table.port[tasks], position, periods)
    return [(found, tasks[which], later)]
