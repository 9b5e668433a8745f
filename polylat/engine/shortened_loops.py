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

from polylat.lowering.logical_dates import logical_dates
from polylat.lowering.numbering import Numbering
from polylat.lowering.sampling import LoopSample
from polylat.schedule.events import EventNumbering
from polylat.schedule.graph import TaskGraph

__all__ = ["shortened_graph"]


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
