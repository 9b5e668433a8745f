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
from polylat.engine.finishing import finish_events
from polylat.engine.served_ahead import ServedAhead
from polylat.engine.service_table import ServiceTable, joined_precedences
from polylat.engine.skewed_order import skewed_order
from polylat.lowering.accesses.blocks import Access
from polylat.lowering.dependences.extend import through_skipped
from polylat.lowering.iterations import IrregularError, IterationTable
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Ints
from polylat.schedule.events import Precedences
from polylat.schedule.extension import ExtensionRules, SkewRules
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicStructure, SkippedRange
from polylat.schedule.graph import TaskGraph
from polylat.schedule.precedences import PortPrecedences, consecutive

__all__ = ["periodic_structure"]


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
    return PeriodicStructure(
        layout.earlier,
        _chain(layout),
        tuple(_skipped_ranges(layout)),
        partial(_static_orders, layout, graph, shifts, ahead),
        partial(finish_events, layout, graph),
        of_all,
        of_skew=of_skew,
    )


def _static_orders(
    layout: Numbering,
    graph: TaskGraph,
    shifts: Mapping[int, Sequence[int]],
    ahead: ServedAhead | None,
) -> PortPrecedences:
    """Return the precedences between the tasks of each port, in the static orders."""
    if layout.apart:
        # Places are not comparable between leaves.
        return PortPrecedences(None, None)
    table = ServiceTable(layout, graph)
    program = _program_order(table)
    skew: Precedences | None = program
    if graph.overtaking:
        skew = None if ahead is None else _order_ahead(table, ahead)
    elif not np.array_equal(graph.dates.program, graph.dates.skew):
        skew = joined_precedences(layout, skewed_order(table, shifts))
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
    return joined_precedences(layout, parts)


def _program_order(table: ServiceTable) -> Precedences:
    """Return the precedences between consecutive tasks of each port, by date."""
    served = consecutive(*table.graph.port_order(skewed=False), table.layout.depth)
    return joined_precedences(table.layout, table.precedences(served.source, served.target))


def _order_ahead(table: ServiceTable, ahead: ServedAhead) -> Precedences | None:
    """Return the precedences by skewed date where fills are served ahead, None if not known."""
    try:
        return joined_precedences(table.layout, order_ahead(table, ahead))
    except IrregularError:
        return None
