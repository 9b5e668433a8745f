"""Recurrences: what an Einsum reads of what it, or a later Einsum, computes.

In program order, every element must be computed before it is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import islpy as isl
import numpy as np

from polylat.errors import MappingError
from polylat.lowering.corners import subsets
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.groups import elements_text, first_point_of
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
    reads, brings = reading[:, late[0]], bringing[:, late[0]]
    there = f"({_indices(bringer, brings)})"
    spatial = dict.fromkeys(loop.variable for loop in reader.loops if loop.unit is not None)
    if reader is bringer and (reads == brings).all():
        when = "which it computes in the same tile iteration"
        fix = "let it read an element of an earlier step"
        if spatial:
            names = " or ".join(map(repr, spatial))
            fix += f"; a Spatial loop carries no recurrence: make the loop over {names} Temporal"
    elif reader is bringer:
        when = f"which it completes in tile iteration {there}, not before it"
        fix = "put the loops over which an element is summed inside the loop over its steps"
    else:
        when = f"which {bringer.einsum.name!r} completes in tile iteration {there}, not before it"
        fix = (
            "put all loops over the steps, Temporal ones, above both Einsums, and those over which"
            " an element is summed inside them"
        )
    raise MappingError(
        f"Einsum {reader.einsum.name!r} reads {_element(pair, reads, brings)} of tensor"
        f" {pair.tensor!r} in tile iteration ({_indices(reader, reads)}), {when}",
        where=reader.where or pair.holder.where or "mapping",
        fix=fix,
    )


def _element(pair: Exchange, reading: Ints, bringing: Ints) -> str:
    """Return an element that one tile iteration reads and another one brings, as a text."""
    common: isl.Set | None = None
    for leaf, projection, digits in (
        (pair.reader, pair.read, reading),
        (pair.bringer, pair.brought, bringing),
    ):
        shown = leaf.temporal_positions[: len(digits)]
        text, _ = elements_text(leaf, leaf.einsum.rank_variables, projection, shown)
        some = isl.Set(text)
        for k, digit in enumerate(digits.tolist()):
            some = some.fix_val(isl.dim_type.set, k, isl.Val(digit))
        some = some.project_out(isl.dim_type.set, 0, len(shown))
        common = some if common is None else common & some
    point = None if common is None else first_point_of(common)
    if not point:
        return "an element"
    ranks = pair.reader.einsum.access(pair.tensor).ranks
    return f"the element {', '.join(f'{r}={x}' for r, x in zip(ranks, point, strict=True))}"


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
