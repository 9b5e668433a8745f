"""Precedences on ports in the order "skew" where fills are served one tile ahead, for all members.

Every task waits for the last earlier task of each block on its port (see `engine.served_ahead`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polylat.engine.row_builder import RowBuilder
from polylat.engine.served_ahead import BlockKey, Move, ServedAhead
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.numbering import Numbering
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.boxes import Rows, Sources
from polylat.schedule.extension import SkewRules
from polylat.schedule.graph import TaskGraph

__all__ = ["skew_rules"]


def skew_rules(
    lowered: LoweredMapping,
    layout: Numbering,
    graph: TaskGraph,
    options: TransferOptions,
    shifts: Mapping[int, Sequence[int]],
    ahead: ServedAhead,
) -> SkewRules:
    """Return the precedences of the order "skew" of a mapping with fills that are served ahead.

    Parameters
    ----------
    lowered, layout, graph, options, shifts
        As for `constraints.extension_rules`.
    ahead
        The fills that are served ahead of other blocks.

    Returns
    -------
    SkewRules
        The precedences.
    """
    builder = RowBuilder(lowered, layout, graph, options, shifts)
    rows = [
        _rows(builder, ahead, (leaf, index), (other, position), family, served)
        for (leaf, index, port), family in builder.families.task.items()
        for (other, position, same), served in builder.families.task.items()
        if same == port
    ]
    sources = Sources.joined(builder.sources, builder.width)
    return SkewRules(
        sources.parts(builder.grid), Rows.joined(rows), sources, tuple(builder.undecided)
    )


def _rows(
    builder: RowBuilder,
    ahead: ServedAhead,
    target: BlockKey,
    source: BlockKey,
    family: int,
    served: int,
) -> Rows:
    """Let the tasks of a block wait for the last earlier ones of a block on the same port."""
    (leaf, _), (other, _) = target, source
    keys = np.flatnonzero(builder.families.occurs(family))
    if leaf != other and target not in ahead.tile_depth:
        # The source is the same for all tasks with this index, which the port serves in order.
        outer = builder.grid.prefix(leaf, keys, ahead.shared_depth(leaf, other))
        keys = keys[np.diff(outer, prepend=-1) != 0]
    moves = ahead.moves(target, source)
    exists, good, base = _moved(builder, leaf, keys, moves)
    builder.note(leaf, keys[~good])
    some = np.flatnonzero(exists & good)
    where = builder.source(leaf, keys[some], other, base[:, some], moves[-1].depth)
    event = builder.families.event(family, keys[some])
    return builder.rows(event, builder.families.latest_of[served], where)


def _moved(
    builder: RowBuilder, leaf: int, keys: Ints, moves: Sequence[Move]
) -> tuple[Mask, Mask, Ints]:
    """Return where moves lead from points, as `RowBuilder.translated` does.

    Each move on the way is examined, too: as they go back and forth, their result might be that of
    a translation at the corners of a box although it is another one inside.
    """
    good = np.ones(len(keys), dtype=np.bool_)
    for move in moves:

        def to_source(digits: Ints, _: Ints, move: Move = move) -> tuple[Ints, Mask]:
            return move.at(digits)

        exists, alike, base = builder.translated(leaf, keys, to_source, move.depth, every=True)
        good &= alike
    return exists, good, base
