"""The order of service of shortened loops, and its translation into the whole loops.

The *shortened* loops are the loops without their skipped ranges: the trip count of each is its
number of sampled iterations, few enough for list scheduling to visit all. The order in which their
ports serve is carried into the whole loops by constant distances (see `service_table`): each task
follows an instance of the task that it follows in the shortened loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from polylat.engine.service_table import ServiceTable
from polylat.lowering.numbering import Numbering
from polylat.lowering.sampling import LoopSample
from polylat.lowering.task_graph import logical_dates
from polylat.schedule.arrays import Ints
from polylat.schedule.events import EventNumbering, Precedences
from polylat.schedule.extrapolation import NotPeriodicError
from polylat.schedule.graph import TaskGraph
from polylat.schedule.work_conserving import ServiceAlternatives

__all__ = ["service_alternatives", "shortened_graph", "translated_order"]


def shortened_graph(
    layout: Numbering, graph: TaskGraph, shifts: Mapping[int, Sequence[int]]
) -> TaskGraph:
    """Return the task graph of the shortened loops.

    An edge whose source lies in a skipped range gets a sampled source instead: at the same distance
    from the beginning of the range or from its end, whichever is nearer.

    Parameters
    ----------
    layout
        The numbering of the sampled tile iterations and blocks.
    graph
        Their task graph.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.

    Returns
    -------
    TaskGraph
        The same tile iterations, blocks and tasks; no edge is on a later period.
    """
    whole = tuple(
        replace(tiles, kept=tuple(LoopSample(kept.count) for kept in tiles.kept))
        for tiles in layout.tiles
    )
    dates = logical_dates(replace(layout, tiles=whole), shifts)
    moved = np.flatnonzero(graph.edge_periods.any(axis=0))
    source = graph.edge_source.copy()
    events = EventNumbering(graph)
    owner = graph.owner[source[moved]]
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        edges = moved[graph.leaf[owner] == leaf]
        iterations = graph.owner[source[edges]] - base
        positions = tiles.places[:, iterations].copy()
        for k, kept in enumerate(tiles.kept):
            periods = graph.edge_periods[k, edges]
            for cut in kept.cuts:
                represented = (positions[k] < cut.place) & (positions[k] >= cut.place - cut.period)
                represented &= periods > 0
                near = np.where(periods <= cut.periods // 2, periods, periods - cut.periods)
                positions[k, represented] += (near * cut.period)[represented]
            positions[k] = np.clip(positions[k], 0, kept.count - 1)
        nearest = tiles.at_places(positions)
        found = events.block_at(base + np.maximum(nearest, 0), source[edges])
        exists = (nearest >= 0) & (found >= 0)
        source[edges[exists]] = found[exists]
    none = np.zeros_like(graph.edge_periods)
    return replace(graph, edge_source=source, edge_periods=none, dates=dates)


def translated_order(layout: Numbering, graph: TaskGraph, order: Ints, start: Ints) -> Precedences:
    """Return the order of service of the shortened loops as precedences in the whole loops.

    Parameters
    ----------
    layout
        The numbering of the sampled tile iterations and blocks.
    graph
        Their task graph.
    order, start
        The tasks in the order of service of the shortened loops, by port, shape (tasks,); and where
        the tasks of each port begin, shape (ports + 1,).

    Returns
    -------
    Precedences
        Between tasks: each waits for the instance that its port serves before it.
    """
    table = ServiceTable(layout, graph)
    follows = np.ones(len(order), dtype=np.bool_)
    follows[start[:-1][start[:-1] < start[1:]]] = False
    at = np.flatnonzero(follows)
    source, periods = table.at_sampled_distance(order[at], order[at - 1])
    return Precedences(source, order[at], periods)


def service_alternatives(
    layout: Numbering, graph: TaskGraph, order: Ints, start: Ints
) -> ServiceAlternatives:
    """Return the tasks that a port might have served instead of each task.

    These are, per stream (the blocks of one kind in a leaf), the next task that the port has not
    served yet. In the whole loops it is an instance, as far away as in the shortened loops.

    Parameters
    ----------
    layout
        The numbering of the sampled tile iterations and blocks.
    graph
        Their task graph.
    order, start
        The order of service of the shortened loops, as for `translated_order`.

    Returns
    -------
    ServiceAlternatives
        The tasks and their alternatives, for `check_work_conserving`.

    Raises
    ------
    NotPeriodicError
        A port does not serve a stream in order.
    """
    table = ServiceTable(layout, graph)
    stream = table.leaf * table.width + table.sequence
    first, width = (np.zeros(graph.tasks, dtype=np.int64) for _ in range(2))
    streams: list[Ints] = []
    # Rows of `ServiceAlternatives`, a column per port and stream: (row, stream, following task).
    columns: list[tuple[Ints, Ints, Ints]] = []
    for port in range(graph.ports):
        tasks = order[start[port] : start[port + 1]]
        kinds = np.unique(stream[tasks])
        width[tasks] = len(kinds)
        first[tasks] = sum(len(row) for row, _, _ in columns) + len(kinds) * np.arange(len(tasks))
        for number, kind in enumerate(kinds):
            in_stream = stream[tasks] == kind
            of_stream = tasks[in_stream]
            if (np.diff(table.iteration[of_stream]) < 0).any():
                raise NotPeriodicError([])
            following = np.append(of_stream, -1)[np.cumsum(in_stream)]
            columns.append((first[tasks] + number, np.full(len(tasks), len(streams)), following))
            streams.append(of_stream)
    columns.append((np.zeros(0, dtype=np.int64),) * 3)
    row, column, following = (np.concatenate(part) for part in zip(*columns, strict=True))
    tasks, gaps = np.repeat(order, width[order]), np.empty_like(row)
    periods = np.zeros((layout.depth, len(row)), dtype=np.int64)
    exists = np.flatnonzero(following >= 0)
    following[exists], periods[:, exists] = table.at_sampled_distance(
        tasks[row[exists]], following[exists]
    )
    # Down each column, a gap extends over the rows with the same following instance.
    opens = np.ones(len(row), dtype=np.bool_)
    opens[1:] = np.any([part[1:] != part[:-1] for part in (column, following, *periods)], axis=0)
    at = np.flatnonzero(opens)
    gaps[row] = np.repeat(np.arange(len(at)), np.diff(at, append=len(row)))
    following, periods = following[at], periods[:, at]
    # The instance before the gap: the predecessor in the stream of the one after it.
    finals = np.array([of_stream[-1] for of_stream in streams], dtype=np.int64)
    previous, earlier = finals[column[at]], np.zeros_like(periods)
    exists = np.flatnonzero(following >= 0)
    previous[exists], earlier[:, exists] = table.translate(
        *_predecessors(table, streams), following[exists], periods[:, exists]
    )
    own = table.loop_indices(np.arange(graph.tasks))
    digits = table.loop_indices(following, periods)
    return ServiceAlternatives(
        first, width, tasks, gaps, following, previous, periods, earlier, own, digits
    )


def _predecessors(table: ServiceTable, streams: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Return, per task, the instance before it in its stream: (tasks, periods)."""
    previous = np.full(table.graph.tasks, -1, dtype=np.int64)
    periods = np.zeros((table.layout.depth, table.graph.tasks), dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    tasks = np.concatenate([none, *(of_stream[1:] for of_stream in streams)])
    before = np.concatenate([none, *(of_stream[:-1] for of_stream in streams)])
    previous[tasks], periods[:, tasks] = table.at_sampled_distance(tasks, before)
    return previous, periods
