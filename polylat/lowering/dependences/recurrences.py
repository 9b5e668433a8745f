"""Recurrences: what an Einsum reads of what it, or a later Einsum, computes.

In program order, every element must be computed before it is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polylat.errors import MappingError
from polylat.lowering.corners import subsets
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.iterations import IterationTable
from polylat.lowering.logical_dates import date_columns
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf
from polylat.schedule.arrays import Ints, Mask

__all__ = ["check_before"]


def check_before(layout: Numbering, pair: Exchange, depth: int, events: Ints) -> None:
    """Check that what a recurrence brings is brought before it is read, in program order.

    Parameters
    ----------
    layout
        The numbering of tile iterations.
    pair
        The exchange.
    depth, events
        The depth of the tiles that are read, and the tile iterations that read them, numbered
        within the leaf, shape (n,).

    Raises
    ------
    MappingError
        A tile iteration reads an element that itself, or one behind it, brings.

    Notes
    -----
    Where a reading represents others, the dates of both move affinely. A difference that is
    lexicographically positive at the corners of a box is so in the whole box.
    """
    tiles, others = layout.tiles[pair.reader.number], layout.tiles[pair.bringer.number]
    digits = tiles.digits[:, events]
    if tiles.whole:
        last, some = pair.last_within(tiles, depth, events, others, pair.holder.depth)
        _refuse(pair, tiles, others, digits, last, some)
        return
    last, slopes, affine, _ = pair.last_on_boxes(tiles, depth, events, others, pair.holder.depth)
    steps = np.array(
        [
            kept.period_lengths[places[events]]
            for kept, places in zip(tiles.kept, tiles.places, strict=True)
        ]
    )
    periods = np.array(
        [
            kept.skipped_periods[places[events]]
            for kept, places in zip(tiles.kept, tiles.places, strict=True)
        ]
    )
    wide = [k for k in range(tiles.depth) if periods[k].any()]
    for corner in [(), *subsets(wide)]:
        here, there = digits.copy(), last.copy()
        for k in corner:
            here[k] += steps[k] * periods[k]
            there += slopes[:, k] * periods[k]
        _refuse(pair, tiles, others, here, there, affine)


def _refuse(
    pair: Exchange,
    tiles: IterationTable,
    others: IterationTable,
    reading: Ints,
    bringing: Ints,
    some: Mask,
) -> None:
    """Refuse tile iterations that read what is not brought before them."""
    dates, _ = date_columns(tiles, reading, {})
    brought, _ = date_columns(others, bringing, {})
    before = _less(brought, dates)
    late = np.flatnonzero(some & ~before)
    if not len(late):
        return
    reader, bringer = pair.reader, pair.bringer
    at = late[0]
    same = reader is bringer and (reading[:, at] == bringing[: len(reading), at]).all()
    when = (
        "that it computes in the same tile iteration"
        if same
        else f"that {bringer.einsum.name!r} computes in tile iteration"
        f" ({_indices(bringer, bringing[:, at])}), not before it"
    )
    spatial = [loop.variable for loop in reader.loops if loop.unit is not None]
    fix = "put a Temporal loop over the rank variable that carries the recurrence above both"
    if same and spatial:
        fix = (
            "a Spatial loop cannot carry a recurrence: make the loop over"
            f" {' or '.join(map(repr, dict.fromkeys(spatial)))} Temporal"
        )
    elif not same:
        fix += " Einsums, outside the loops over which an element is summed"
    raise MappingError(
        f"Einsum {reader.einsum.name!r} reads in tile iteration"
        f" ({_indices(reader, reading[:, at])}) an element of tensor {pair.tensor!r} {when}",
        where=reader.where or pair.holder.where or "mapping",
        fix=fix,
    )


def _less(left: Sequence[Ints], right: Sequence[Ints]) -> Mask:
    """Return where dates are lexicographically less than others, column by column."""
    less = np.zeros(len(left[0]) if left else 0, dtype=np.bool_)
    equal = np.ones(len(less), dtype=np.bool_)
    for a, b in zip(left, right, strict=False):
        less |= equal & (a < b)
        equal &= a == b
    return less


def _indices(leaf: Leaf, digits: Ints) -> str:
    loops = [leaf.loops[p] for p in leaf.temporal_positions]
    return ", ".join(
        f"{loop.variable}: {digit}" for loop, digit in zip(loops, digits.tolist(), strict=False)
    )
