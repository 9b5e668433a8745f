"""The periodic structure of a sampled task graph: skipped ranges, and precedences across them.

Each skipped range of a loop consists of translates of the last sampled period before the range,
which represents it. A precedence whose source lies in a skipped range is stored with an *instance*
of the representative: the representing task or tile iteration, and the number of periods per loop
by which the source is later. `ServiceTable` has the rules that find sources. The graph is timed by
`schedule.extrapolation`, which checks that times grow by a constant amount from period to period.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from polylat.engine.ahead_order import order_ahead
from polylat.engine.served_ahead import ServedAhead
from polylat.engine.service_table import ServiceTable
from polylat.engine.skewed_order import skewed_order
from polylat.engine.stalls import stall_lags
from polylat.lowering.accesses.blocks import Access
from polylat.lowering.dependences.extend import through_skipped
from polylat.lowering.iterations import IrregularError, IterationTable
from polylat.lowering.mixed_radix import successor
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.events import Precedences
from polylat.schedule.extension import ExtensionRules, SkewRules
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicStructure, SkippedRange
from polylat.schedule.graph import TaskGraph
from polylat.schedule.precedences import (
    FinishingTasks,
    LaggedPrecedences,
    PortPrecedences,
    consecutive,
)

__all__ = ["periodic_structure"]

_Part = tuple[Ints, Ints, Ints]
"""(source, target, periods) of some precedences, see `Precedences`."""


def periodic_structure(
    layout: Numbering,
    graph: TaskGraph,
    shifts: Mapping[int, Sequence[int]],
    ahead: ServedAhead | None,
    of_all: Callable[[], ExtensionRules],
    of_skew: Callable[[], SkewRules] | None,
) -> PeriodicStructure:
    """Return the periodic structure of a task graph whose tile iterations are sampled.

    Parameters
    ----------
    layout
        The numbering of the sampled tile iterations and blocks.
    graph
        Their task graph.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.
    ahead
        The fills that are served ahead of other blocks, see `Model`.
    of_all
        Lists the precedences of all tile iterations.
    of_skew
        Lists those of the order "skew", where fills that are served ahead come before other blocks;
        None where there are none, or where their order is not known.

    Returns
    -------
    PeriodicStructure
        The skipped ranges, and the precedences that may cross them.

    Raises
    ------
    IrregularError
        Skipped tile iterations are not translates of the sampled ones that represent them.
    NotPeriodicError
        An access is not the same in all periods around a skipped range.
    """
    _require_equal_latencies(layout, graph)
    return PeriodicStructure(
        layout.earlier,
        _chain(layout),
        tuple(_skipped_ranges(layout)),
        partial(_static_orders, layout, graph, shifts, ahead),
        partial(_finishing_tasks, layout, graph),
        of_all,
        of_skew=of_skew,
    )


def _require_equal_latencies(layout: Numbering, graph: TaskGraph) -> None:
    """Raise an error unless a leaf's tile iterations finish equally long after their service."""
    for tiles, base in zip(layout.tiles, layout.bases, strict=True):
        late = graph.latency[base : base + tiles.size]
        if (late != late[0]).any():
            raise IrregularError("fixed latencies differ between tile iterations")


def _static_orders(
    layout: Numbering,
    graph: TaskGraph,
    shifts: Mapping[int, Sequence[int]],
    ahead: ServedAhead | None,
) -> PortPrecedences:
    """Return the precedences between the tasks of each port, in the static orders."""
    table = ServiceTable(layout, graph)
    program = _program_order(table)
    skew: Precedences | None = program
    if graph.overtaking:
        skew = None if ahead is None else _order_ahead(table, ahead)
    elif not np.array_equal(graph.dates.program, graph.dates.skew):
        skew = _joined(layout, skewed_order(table, shifts))
    return PortPrecedences(program, skew)


def _skipped_ranges(layout: Numbering) -> list[SkippedRange]:
    """Return the skipped ranges of all loops, each with the sampled periods around it.

    Raises
    ------
    NotPeriodicError
        An access is not the same in all of these periods.
    """
    found = []
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        counted = [
            _counts(tiles.size, access)
            for block in layout.blocks[leaf]
            for access in block.accesses
        ]
        for k, kept in enumerate(tiles.kept):
            for number, cut in enumerate(kept.cuts):
                positions = tiles.places[k]
                representing = np.flatnonzero(
                    (positions >= cut.place - cut.period) & (positions < cut.place)
                )
                before = _translated(tiles, representing, k, -cut.period)
                after = _translated(tiles, representing, k, cut.period)
                for counts in counted:
                    same = counts[representing] == counts[before]
                    same &= counts[representing] == counts[after]
                    if not same.all():
                        raise NotPeriodicError([(leaf, k, number)])
                found.append(
                    SkippedRange(
                        (leaf, k, number),
                        cut.periods,
                        base + representing,
                        base + before,
                        base + after,
                    )
                )
    return found


def _counts(size: int, access: Access) -> Ints:
    """Return how much each tile iteration of a leaf accesses."""
    counts = np.zeros(size, dtype=access.counts.dtype)
    counts[access.iterations] = access.counts
    return counts


def _translated(tiles: IterationTable, iterations: Ints, loop: int, by: int) -> Ints:
    """Return tile iterations moved by a number of sampled positions in one loop."""
    positions = tiles.places[:, iterations].copy()
    positions[loop] += by
    found = tiles.at_places(positions)
    if (found < 0).any():
        raise IrregularError("a period around a skipped range lacks a tile iteration")
    return found


def _chain(layout: Numbering) -> Precedences:
    """Return the precedences from each tile iteration to the next one of its leaf."""
    parts = []
    for tiles, base in zip(layout.tiles, layout.bases, strict=True):
        target = np.arange(1, tiles.size)
        source, periods = through_skipped(tiles, target, tiles, target - 1, depth=tiles.depth)
        parts.append((base + source, base + target, periods))
    return _joined(layout, parts)


def _finishing_tasks(layout: Numbering, graph: TaskGraph) -> FinishingTasks:
    """Return the tasks that finishes of tile iterations consist of.

    A port serves the foregrounds of a leaf in order. So the finish of a tile iteration is the
    maximum, over the ports, of the end of the last foreground task up to it, and its fixed latency.
    """
    table = ServiceTable(layout, graph)
    kinds = graph.kind[graph.task_block]
    stalls = stall_lags(layout, graph)
    served: list[_Part] = []
    stalled: list[_Part] = []
    # Of each precedence: whether a tile iteration, an edge or a write-back waits; its lag.
    served_users, stalled_users = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    lags = [graph.latency[:0]]
    edges = np.flatnonzero(graph.edge_source < graph.iterations)
    edge_leaf = table.block_leaf[graph.edge_source[edges]]
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        tasks = table.by_leaf[leaf]
        tasks = tasks[kinds[tasks] == 1]
        ports = np.unique(table.port[tasks])
        every = np.arange(tiles.size)
        of_leaf = edges[edge_leaf == leaf]
        backs = np.flatnonzero((graph.kind == 2) & (table.block_leaf == leaf))
        user = np.repeat(np.arange(3), (len(every), len(of_leaf), len(backs)))
        target = np.concatenate((base + every, of_leaf, backs))
        position = np.concatenate(
            (every, graph.edge_source[of_leaf] - base, graph.owner[backs] - base)
        )
        periods = np.zeros((tiles.depth, len(user)), dtype=np.int64)
        periods[:, user == 1] = graph.edge_periods[: tiles.depth, of_leaf]
        port = np.repeat(ports, len(user))
        source, which, later = table.last_served(
            leaf, tasks, port, np.tile(position, len(ports)), np.tile(periods, len(ports))
        )
        which %= len(user)
        served.append((source, target[which], later))
        served_users.append(user[which])
        if leaf in stalls:
            source, which, later, lag = _later_starts(layout, leaf, position, periods, stalls[leaf])
            stalled.append((source, target[which], later))
            stalled_users.append(user[which])
            lags.append(lag)
    waits, user = _joined(layout, served), np.concatenate(served_users)
    held, held_user, lag = (
        _joined(layout, stalled),
        np.concatenate(stalled_users),
        np.concatenate(lags),
    )

    def waiting(kind: int) -> Precedences:
        some = user == kind
        return Precedences(waits.source[some], waits.target[some], waits.periods[:, some])

    def held_back(kind: int) -> LaggedPrecedences:
        some = held_user == kind
        return LaggedPrecedences(
            held.source[some], held.target[some], held.periods[:, some], lag[some]
        )

    stalls_of = held_back(0), held_back(1), held_back(2)
    return FinishingTasks(waiting(0), waiting(1), waiting(2), *stalls_of)


def _later_starts(
    layout: Numbering, leaf: int, position: Ints, periods: Ints, lags: Times
) -> tuple[Ints, Ints, Ints, Times]:
    """Return the tile iterations behind given ones, as far as there are any.

    Parameters
    ----------
    layout, leaf
        The numbering, and a leaf with all combinations of its loop indices.
    position, periods
        Tile iterations, numbered within the leaf, shape (n,), and the number of periods per loop by
        which the ones in question are later, shape (depth of the leaf, n).
    lags
        The lag of the tile iteration 1, 2, … places behind.

    Returns
    -------
    (iterations, which, periods, lags)
        Tile iterations behind, shape (m,); to which of the n entries each belongs; the number of
        periods per loop by which it is later, shape (depth of the leaf, m); and the lags.
    """
    tiles, base = layout.tiles[leaf], layout.bases[leaf]
    radix = np.array([kept.trips for kept in tiles.kept], dtype=np.int64)
    digits = layout.later(base + position, periods)[: tiles.depth]
    behind = np.repeat(np.arange(1, len(lags) + 1), len(position))
    moved, exists = successor(np.tile(digits, len(lags)), radix, behind)
    found, later = tiles.locate(moved[:, exists])
    which = np.flatnonzero(exists) % max(len(position), 1)
    return base + found, which, later, lags[behind[exists] - 1]


def _program_order(table: ServiceTable) -> Precedences:
    """Return the precedences between consecutive tasks of each port, by date."""
    served = consecutive(*table.graph.port_order(skewed=False), table.layout.depth)
    return _joined(table.layout, table.precedences(served.source, served.target))


def _order_ahead(table: ServiceTable, ahead: ServedAhead) -> Precedences | None:
    """Return the precedences by skewed date where fills are served ahead, None if not known."""
    try:
        return _joined(table.layout, order_ahead(table, ahead))
    except IrregularError:
        return None


def _joined(layout: Numbering, parts: Sequence[_Part]) -> Precedences:
    """Concatenate precedences; the numbers of periods are padded to the largest depth."""
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return Precedences(empty, empty, np.zeros((layout.depth, 0), dtype=np.int64))
    columns = []
    for source, _, periods in parts:
        padded = np.zeros((layout.depth, len(source)), dtype=np.int64)
        padded[: len(periods)] = periods
        columns.append(padded)
    return Precedences(
        np.concatenate([source for source, _, _ in parts]),
        np.concatenate([target for _, target, _ in parts]),
        np.concatenate(columns, axis=1),
    )
