"""All precedences of a mapping whose tile iterations are sampled, for all tile iterations at once.

Every rule of precedence says on which tile iteration another one waits, by its loop indices. These
are computed from the mapping for the sampled tile iterations and, as affine functions, for the ones
that these represent. `schedule.boxes` decides each precedence for all of them.

Where a rule names the last of several events (the finish of everything in a tile), the source is an
event family that is filled forward: its event at a point of the grid is the last one up to there.
So rules need not know which tile iterations exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polylat.engine.capacity_rows import capacity_rows
from polylat.engine.port_rows import in_order_rows, port_rows
from polylat.engine.row_builder import RowBuilder
from polylat.engine.rule_rows import (
    barrier_rows,
    chain_rows,
    flow_rows,
    ready_order_rows,
    task_rows,
    transfer_rows,
)
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.numbering import Numbering
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.boxes import Rows, Sources
from polylat.schedule.extension import ExtensionRules
from polylat.schedule.graph import TaskGraph

__all__ = ["extension_rules"]


def extension_rules(
    lowered: LoweredMapping,
    layout: Numbering,
    graph: TaskGraph,
    options: TransferOptions,
    shifts: Mapping[int, Sequence[int]],
) -> ExtensionRules:
    """Return all precedences of a mapping whose tile iterations are sampled.

    Parameters
    ----------
    lowered, layout, graph
        The mapping, the numbering of its sampled tile iterations, and their task graph.
    options
        Which transfers are separate, and how many tiles holders keep.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.

    Returns
    -------
    ExtensionRules
        The event families, the precedences between them, and those of the ports by order.
    """
    builder = RowBuilder(lowered, layout, graph, options, shifts)
    common = [*chain_rows(builder), *transfer_rows(builder), *flow_rows(builder)]
    common += [*barrier_rows(builder), *capacity_rows(builder), *task_rows(builder)]
    in_order = in_order_rows(builder)
    ready_order = ready_order_rows(builder)
    program, skew = port_rows(builder)
    return ExtensionRules(
        builder.grid,
        builder.families,
        Sources.joined(builder.sources, builder.width),
        Rows.joined(common),
        Rows.joined(in_order),
        program,
        skew,
        Rows.joined(ready_order),
        tuple(builder.undecided),
        builder.tails,
    )
