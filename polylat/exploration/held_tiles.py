"""The tiles that memories hold, and the accesses to them, for the peaks of all variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np

from polylat.lowering.holder_tiles import HolderTiles, holder_tiles, is_replaced, storages_once
from polylat.lowering.integer_types import Counts
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf, PathHolder
from polylat.schedule.arrays import Ints, Mask
from polylat.spec import Spec

__all__ = ["HeldTiles", "IntegerRangeError", "TilesOfHolder", "held_tiles", "tiles_of_holders"]

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
    before
        Shape (tiles,): the tile that each tile replaces; -1: none.
    access_tile, access_block
        Shape (n,): a tile, and a block that accesses it.
    holders
        Per holder, its component.
    denominator
        Common denominator of all sizes.
    """

    holder: Ints
    bits: Ints
    from_start: Mask
    to_end: Mask
    before: Ints
    access_tile: Ints
    access_block: Ints
    holders: tuple[str, ...]
    denominator: int


class TilesOfHolder(NamedTuple):
    """The tiles of one holder.

    Parameters
    ----------
    tensor, level, holder
        The tensor, and the holder and its index among the Storages of the first leaf below it.
    tiles
        The tiles.
    """

    tensor: str
    level: int
    holder: PathHolder
    tiles: HolderTiles


def tiles_of_holders(
    spec: Spec, leaves: Sequence[Leaf], layout: Numbering
) -> tuple[TilesOfHolder, ...]:
    """Return the tiles of all holders, which do not depend on which transfers are separate.

    Parameters
    ----------
    spec, leaves, layout
        The input, the leaves of the lowered mapping, and their tile iterations.

    Returns
    -------
    tuple of TilesOfHolder
        The holders, each once, in the order of `storages_once`.
    """
    found = []
    for leaf, tensor, level in storages_once(leaves):
        holder = leaf.storages(tensor)[level]
        tiles = holder_tiles(spec, leaves, layout, tensor, level, holder)
        found.append(TilesOfHolder(tensor, level, holder, tiles))
    return tuple(found)


def held_tiles(of_holders: Sequence[TilesOfHolder], layout: Numbering) -> HeldTiles:
    """Return the tiles of all holders, and the accesses to them.

    Parameters
    ----------
    of_holders
        The tiles of each holder.
    layout
        The tile iterations and blocks.

    Returns
    -------
    HeldTiles
        The tiles and the accesses.

    Raises
    ------
    IntegerRangeError
        The sum of all sizes does not fit into 64 bits.
    """
    holders: list[str] = []
    ends: list[tuple[bool, bool]] = []
    elements: list[Counts] = []
    sizes: list[Fraction] = []
    tiles, blocks = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    count = 0
    before: list[Ints] = []
    for tensor, level, holder, held in of_holders:
        component = holder.component
        for number, where in held.where.items():
            for stream, iterations in layout.accesses_to(number, tensor, component):
                tiles.append(count + where[iterations])
                blocks.append(stream.numbers_in(iterations))
        holders.append(component)
        ends.append((held.from_start, held.to_end))
        elements.append(held.elements)
        sizes.append(held.bits_per_value)
        previous = np.full(len(held.keys), -1, dtype=np.int64)
        if is_replaced(layout, held.sharing, tensor, level, holder):
            previous[1:] = count + np.arange(len(held.keys) - 1)
        before.append(previous)
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
        np.concatenate(before),
        np.concatenate(tiles),
        np.concatenate(blocks),
        tuple(holders),
        denominator,
    )
