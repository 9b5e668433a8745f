"""Rigid pipelines in a sample of the tile iterations: which starts hold back which finishes."""

from __future__ import annotations

from math import prod

import numpy as np

from polylat.lowering.iterations import IrregularError
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Times
from polylat.schedule.graph import TaskGraph

__all__ = ["stall_lags"]


def stall_lags(layout: Numbering, graph: TaskGraph) -> dict[int, Times]:
    """Return how long after a start the tile iterations before it finish at the earliest.

    Parameters
    ----------
    layout
        The numbering of the sampled tile iterations.
    graph
        Their task graph.

    Returns
    -------
    dict of {int: numpy.ndarray}
        Leaf with a rigid pipeline → steps for the tile iteration 1, 2, … before the one that
        starts, as far as these may be in flight.

    Raises
    ------
    IrregularError
        The tile iterations of such a leaf differ in duration or latency, or some combinations of
        loop indices are none.

    Notes
    -----
    With the duration d and the latency L of each tile iteration, the m-th one before a start
    finishes no earlier than d + L − m · d after it, for every m up to L / d (see
    `polylat.schedule.stalls`).
    """
    found: dict[int, Times] = {}
    for leaf, durations in graph.rigid.items():
        tiles, base = layout.tiles[leaf], layout.bases[leaf]
        latencies = graph.latency[base : base + tiles.size]
        duration, latency = int(durations[0]), int(latencies[0])
        if (durations != duration).any() or (latencies != latency).any():
            raise IrregularError("tile iterations of a rigid pipeline differ")
        size = prod(kept.trips for kept in tiles.kept)
        if int(tiles.multiplicity.sum()) != size:
            raise IrregularError("a rigid pipeline skips combinations of loop indices")
        reach = min(latency // duration, size - 1) if duration else 0
        if reach:
            lags = [latency + duration - m * duration for m in range(1, reach + 1)]
            found[leaf] = np.array(lags, dtype=latencies.dtype)
    return found
