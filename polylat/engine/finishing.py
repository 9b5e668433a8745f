"""The events that finishes of tile iterations consist of, where some tile iterations are sampled.

What waits for a finish waits for the last task on each port, see `schedule.finishing`; the events
may lie in skipped ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polylat.engine.service_table import PrecedencePart, ServiceTable, joined_precedences
from polylat.engine.stalls import stall_lags
from polylat.lowering.mixed_radix import successor
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Ints, Mask, Times
from polylat.schedule.finishing import FinishEvents, FinishParts, FinishPrecedences
from polylat.schedule.graph import TaskGraph
from polylat.schedule.reasons import PASSED

__all__ = ["finish_events"]


def finish_events(layout: Numbering, graph: TaskGraph) -> FinishEvents:
    """Return the events that finishes of tile iterations consist of.

    Parameters
    ----------
    layout
        The numbering of the sampled tile iterations and blocks.
    graph
        Their task graph.

    Returns
    -------
    FinishEvents
        The precedences from these events to what waits for the finishes.

    Raises
    ------
    IrregularError
        An event that represents a skipped one does not exist, or see `stall_lags`.

    Notes
    -----
    A port serves the foregrounds of a leaf in order. So of the tile iterations with one fixed
    latency, the last one on each port passes last. The finish of a tile iteration is the maximum of
    these passings, over the ports and the fixed latencies that occur up to it. Instead of those
    with one latency, those with at least that latency are considered: the maximum is the same.
    """
    table = ServiceTable(layout, graph)
    kinds = graph.kind[graph.task_block]
    stalls = stall_lags(layout, graph)
    edges = np.flatnonzero(graph.edge_source < graph.iterations)
    edge_leaf = table.block_leaf[graph.edge_source[edges]]
    served, started = _Collected(layout, graph), _Collected(layout, graph)
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        tasks = table.by_leaf[leaf]
        tasks = tasks[kinds[tasks] == 1]
        late = graph.latency[base : base + tiles.size]
        backs = np.flatnonzero((graph.kind == 2) & (table.block_leaf == leaf))
        users = _users_of(layout, graph, leaf, edges[edge_leaf == leaf], backs)
        for place, latency in enumerate(graph.foreground_latencies[leaf]):
            users = users if place == 0 else users.waiting_for_latencies
            some = tasks[late[table.iteration[tasks] - base] >= latency]
            ports = np.unique(table.port[some])
            source, which, periods = table.last_served(
                leaf,
                some,
                np.repeat(ports, len(users.kind)),
                np.tile(users.position, len(ports)),
                np.tile(users.periods, len(ports)),
            )
            served.add(users, source, which % max(len(users.kind), 1), periods, latency, place)
            if place:
                those = np.flatnonzero(late >= latency)
                last, which, periods = table.last_of(leaf, those, users.position, users.periods)
                started.add(users, base + last, which, periods, latency, place)
        if leaf in stalls:
            users = users.waiting_for_latencies
            position, periods, lags = users.position, users.periods, stalls[leaf]
            later, which, periods, behind = _later_starts(
                layout, leaf, position, periods, len(lags)
            )
            started.add(users, later, which, periods, lags[behind - 1], behind)
    return FinishEvents(served.parts(), started.parts())


@dataclass(frozen=True, eq=False)
class _Users:
    """What waits for finishes of tile iterations of one leaf.

    Parameters
    ----------
    kind, target
        Shape (n,): 0 a tile iteration, 1 an edge, 2 a separate write-back; and its number.
    position, periods
        Tile iterations, numbered within the leaf, shape (n,), and the number of periods per loop by
        which the ones that finish are later, shape (depth of the leaf, n).
    passed
        Shape (n,): whether it waits for their fixed latencies, too.
    """

    kind: Ints
    target: Ints
    position: Ints
    periods: Ints
    passed: Mask

    @property
    def waiting_for_latencies(self) -> _Users:
        """Those that wait for fixed latencies."""
        if self.passed.all():
            return self
        some = self.passed
        columns = self.kind[some], self.target[some], self.position[some], self.periods[:, some]
        return _Users(*columns, some[some])


def _users_of(layout: Numbering, graph: TaskGraph, leaf: int, edges: Ints, backs: Ints) -> _Users:
    """Return what waits for tile iterations of a leaf: edges, and separate write-backs."""
    tiles, base = layout.tiles[leaf], layout.bases[leaf]
    every = np.arange(tiles.size)
    kind = np.repeat(np.arange(3), (len(every), len(edges), len(backs)))
    position = np.concatenate((every, graph.edge_source[edges] - base, graph.owner[backs] - base))
    periods = np.zeros((tiles.depth, len(kind)), dtype=np.int64)
    periods[:, kind == 1] = graph.edge_periods[: tiles.depth, edges]
    passed = np.ones(len(kind), dtype=np.bool_)
    passed[kind == 1] = graph.edge_until[edges] == PASSED
    return _Users(kind, np.concatenate((base + every, edges, backs)), position, periods, passed)


class _Collected:
    """Collects events that finishes of tile iterations consist of, leaf by leaf."""

    def __init__(self, layout: Numbering, graph: TaskGraph) -> None:
        self._layout = layout
        self._parts: list[PrecedencePart] = []
        none = np.zeros(0, dtype=np.int64)
        self._kind, self._place, self._lag = [none], [none], [graph.latency[:0]]

    def add(
        self,
        users: _Users,
        source: Ints,
        which: Ints,
        periods: Ints,
        latency: Times | int,
        place: Ints | int,
    ) -> None:
        """Add events, with the positions of the users of whose finishes they are parts."""
        self._parts.append((source, users.target[which], periods))
        self._kind.append(users.kind[which])
        lag: Times = np.full(len(which), 0, dtype=self._lag[0].dtype)
        lag[:] = latency
        lag[~users.passed[which]] = 0
        self._lag.append(lag)
        self._place.append(np.broadcast_to(np.asarray(place, dtype=np.int64), which.shape))

    def parts(self) -> FinishParts:
        """Return the precedences, by the kind of what waits."""
        waits = joined_precedences(self._layout, self._parts)
        lag, place = np.concatenate(self._lag), np.concatenate(self._place)
        every = FinishPrecedences(waits.source, waits.target, waits.periods, lag, place)
        kinds = np.concatenate(self._kind)
        return FinishParts(*(every.chosen(kinds == kind) for kind in range(3)))


def _later_starts(
    layout: Numbering, leaf: int, position: Ints, periods: Ints, reach: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the tile iterations behind given ones, as far as there are any.

    Parameters
    ----------
    layout, leaf
        The numbering, and a leaf with all combinations of its loop indices.
    position, periods
        Tile iterations, numbered within the leaf, shape (n,), and the number of periods per loop by
        which the ones in question are later, shape (depth of the leaf, n).
    reach
        The largest number of places behind them.

    Returns
    -------
    (iterations, which, periods, places)
        Tile iterations behind, shape (m,); to which of the n entries each belongs; the number of
        periods per loop by which it is later, shape (depth of the leaf, m); and by how many places
        it is behind.
    """
    tiles, base = layout.tiles[leaf], layout.bases[leaf]
    digits = layout.later(base + position, periods)[: tiles.depth]
    behind = np.repeat(np.arange(1, reach + 1), len(position))
    moved, exists = successor(np.tile(digits, reach), tiles.trips, behind)
    found, later = tiles.locate(moved[:, exists])
    which = np.flatnonzero(exists) % max(len(position), 1)
    return base + found, which, later, behind[exists]
