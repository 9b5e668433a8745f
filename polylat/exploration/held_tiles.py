"""The tiles that memories hold, and the accesses to them, for the peaks of all variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from polylat.lowering.holder_tiles import holder_tiles, storages_once
from polylat.lowering.integer_types import Counts
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf
from polylat.schedule.arrays import Ints, Mask
from polylat.spec import Spec

__all__ = ["HeldTiles", "IntegerRangeError", "held_tiles"]

_LIMIT = 1 << 61
"""Sums of bits stay below this, so that they fit into 64 bits."""


class IntegerRangeError(Exception):
    """Times or sizes do not fit into 64-bit integers."""


@dataclass(frozen=True, eq=False)
class HeldTiles:
    """The tiles of all holders, and the accesses to them.

    Parameters
    ----------
    holder
        Shape (tiles,): the holder of each tile, as an index into `holders`.
    bits
        Shape (tiles,): the size of each tile, in units of ``1 / denominator`` bits.
    from_start, to_end
        Shape (tiles,): whether each tile is resident from time 0, and until the makespan.
    access_tile, access_block
        Shape (n,): a tile, and a block that accesses it.
    holders
        Per holder, its component and the first leaf below it.
    denominator
        Common denominator of all sizes.
    """

    holder: Ints
    bits: Ints
    from_start: Mask
    to_end: Mask
    access_tile: Ints
    access_block: Ints
    holders: tuple[tuple[str, int], ...]
    denominator: int


def held_tiles(spec: Spec, leaves: Sequence[Leaf], layout: Numbering) -> HeldTiles:
    """Return the tiles of all holders, and the accesses to them.

    Parameters
    ----------
    spec
        The input.
    leaves
        The leaves of the lowered mapping.
    layout
        Their tile iterations and blocks.

    Returns
    -------
    HeldTiles
        The tiles and the accesses.

    Raises
    ------
    IntegerRangeError
        The sum of all sizes does not fit into 64 bits.
    """
    holders: list[tuple[str, int]] = []
    ends: list[tuple[bool, bool]] = []
    elements: list[Counts] = []
    sizes: list[Fraction] = []
    tiles, blocks = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    count = 0
    for leaf, tensor, level in storages_once(leaves):
        holder = leaf.storages(tensor)[level]
        held = holder_tiles(spec, leaves, layout, tensor, level, holder)
        for number, where in held.where.items():
            for index, iterations in layout.accesses_to(number, tensor, holder.component):
                tiles.append(count + where[iterations])
                blocks.append(layout.occurrences(number, index, iterations))
        holders.append((holder.component, leaf.number))
        ends.append((held.from_start, held.to_end))
        elements.append(held.elements)
        sizes.append(held.bits_per_value)
        count += len(held.keys)
    denominator = lcm(*(size.denominator for size in sizes))
    most = sum(int(e.max(initial=0)) * len(e) * s for e, s in zip(elements, sizes, strict=True))
    if most * denominator >= _LIMIT:
        raise IntegerRangeError
    scaled = [
        (e * int(s * denominator)).astype(np.int64) for e, s in zip(elements, sizes, strict=True)
    ]
    holder_of = np.repeat(np.arange(len(holders)), [len(e) for e in elements])
    from_start, to_end = np.array(ends, dtype=np.bool_).T
    return HeldTiles(
        holder_of,
        np.concatenate(scaled),
        from_start[holder_of],
        to_end[holder_of],
        np.concatenate(tiles),
        np.concatenate(blocks),
        tuple(holders),
        denominator,
    )
