"""The tiles that memories hold, and the accesses to them, for the peaks of all variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from polylat.lowering.accesses.counting import tile_elements
from polylat.lowering.integer_types import Counts, joint_count_type
from polylat.lowering.iterations import joint_tile_keys
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import leaves_sharing
from polylat.schedule.arrays import Ints
from polylat.spec import Spec

__all__ = ["HeldTiles", "IntegerRangeError", "TileAccesses", "tile_accesses"]

_LIMIT = 1 << 61
"""Sums of bits stay below this, so that they fit into 64 bits."""


class IntegerRangeError(Exception):
    """Times or sizes do not fit into 64-bit integers."""


@dataclass(frozen=True, eq=False)
class HeldTiles:
    """The tiles of all holders.

    Parameters
    ----------
    holder
        Shape (tiles,): the holder of each tile, as an index into `holders`.
    bits
        Shape (tiles,): the size of each tile, in units of ``1 / denominator`` bits.
    resident_from_start, resident_to_end
        Shape (tiles,): whether each tile is resident from time 0, and until the makespan.
    holders
        Per holder, its component and the first leaf below it.
    denominator
        Common denominator of all sizes.
    """

    holder: Ints
    bits: Ints
    resident_from_start: np.ndarray
    resident_to_end: np.ndarray
    holders: tuple[tuple[str, int], ...]
    denominator: int


@dataclass(frozen=True, eq=False)
class TileAccesses:
    """Accesses of blocks to tiles, one entry per block and tile.

    Parameters
    ----------
    tile
        Shape (n,): the tile, as an index into the arrays of `HeldTiles`.
    component
        Shape (n,): the component that holds it, as an index into the architecture's order.
    block
        Shape (n,): the accessing block; of a write-back, the foreground block.
    own_block
        Shape (n,): the accessing block; of a write-back, its own block, for variants in which it
        is in the background.
    write_back
        Shape (n,): the number of the write-back, -1 for other accesses.
    """

    tile: Ints
    component: Ints
    block: Ints
    own_block: Ints
    write_back: Ints


def tile_accesses(
    spec: Spec,
    leaves: Sequence[Leaf],
    layout: Numbering,
    streams: Mapping[tuple[int, str, int], int],
) -> tuple[HeldTiles, TileAccesses]:
    """Return the tiles of all holders, and the accesses to them.

    Parameters
    ----------
    spec
        The input.
    leaves
        The leaves of the lowered mapping.
    layout
        Their tile iterations and blocks, with all write-backs in the background.
    streams
        (leaf, tensor, level) of a write-back → its number.

    Returns
    -------
    (HeldTiles, TileAccesses)
        The tiles and the accesses.

    Raises
    ------
    IntegerRangeError
        The sum of all sizes does not fit into 64 bits.
    """
    order = spec.arch.order
    holders: list[tuple[str, int]] = []
    holder_of, elements, from_start, to_end = [], [], [], []
    sizes: list[Fraction] = []
    accesses: list[tuple[Ints, int, Ints, Ints, int]] = []
    visited: set[tuple[int, str]] = set()
    count = 0
    for leaf in leaves:
        for tensor in leaf.einsum.tensors:
            for level, holder in enumerate(leaf.storages(tensor)):
                if (holder.node, tensor) in visited:
                    continue
                visited.add((holder.node, tensor))
                sharing = leaves_sharing(leaves, tensor, holder)
                keys = joint_tile_keys([layout.tiles[o.number] for o in sharing], holder.depth)
                largest: Counts = np.zeros(len(keys), dtype=joint_count_type(sharing))
                component = order.index(holder.component)
                for other in sharing:
                    tiles = layout.tiles[other.number]
                    where = np.searchsorted(keys, tiles.prefix_keys(holder.depth))
                    components = {c.name: c for c in spec.arch.paths[other.einsum.name]}
                    np.maximum.at(largest, where, tile_elements(tiles, components, tensor, level))
                    for iterations, blocks, write_back in _accessing_blocks(
                        layout, streams, other.number, tensor, holder.component
                    ):
                        foreground = layout.bases[other.number] + iterations
                        tile = count + where[iterations]
                        accesses.append((tile, component, foreground, blocks, write_back))
                backing = level == 0 and holder.depth == 0
                given = backing and not spec.workload.producers(tensor)
                result = backing and not spec.workload.readers(tensor)
                holder_of.append(np.full(len(keys), len(holders), dtype=np.int64))
                elements.append(largest)
                from_start.append(np.full(len(keys), given, dtype=np.bool_))
                to_end.append(np.full(len(keys), result, dtype=np.bool_))
                memory = spec.arch.component(leaf.einsum.name, holder.component)
                bits = leaf.einsum.access(tensor).bits_per_value
                sizes.append(Fraction(memory.bits_per_value.get(tensor, bits)))
                holders.append((holder.component, leaf.number))
                count += len(keys)
    denominator = lcm(*(size.denominator for size in sizes))
    most = sum(int(e.max(initial=0)) * len(e) * s for e, s in zip(elements, sizes, strict=True))
    if most * denominator >= _LIMIT:
        raise IntegerRangeError
    scaled = [
        (e * int(s * denominator)).astype(np.int64) for e, s in zip(elements, sizes, strict=True)
    ]
    held = HeldTiles(
        np.concatenate(holder_of),
        np.concatenate(scaled),
        np.concatenate(from_start),
        np.concatenate(to_end),
        tuple(holders),
        denominator,
    )
    return held, _concatenated(accesses)


def _concatenated(parts: Sequence[tuple[Ints, int, Ints, Ints, int]]) -> TileAccesses:
    """Join (tiles, component, foreground blocks, own blocks, write-back)."""
    empty = np.zeros(0, dtype=np.int64)
    return TileAccesses(
        np.concatenate([empty, *(p[0] for p in parts)]),
        np.concatenate([empty, *(np.full(len(p[0]), p[1]) for p in parts)]),
        np.concatenate([empty, *(p[2] if p[4] >= 0 else p[3] for p in parts)]),
        np.concatenate([empty, *(p[3] for p in parts)]),
        np.concatenate([empty, *(np.full(len(p[0]), p[4]) for p in parts)]),
    )


def _accessing_blocks(
    layout: Numbering,
    streams: Mapping[tuple[int, str, int], int],
    leaf: int,
    tensor: str,
    component: str,
) -> list[tuple[Ints, Ints, int]]:
    """Return tile iterations of a leaf, their accessing blocks, and the write-back (or -1)."""
    found = []
    for index, block in enumerate(layout.blocks[leaf]):
        parts = [
            access.iterations
            for access in block.accesses
            if access.component == component and access.tensor == tensor
        ]
        if not parts:
            continue
        accessing = np.unique(np.concatenate(parts))
        blocks, write_back = layout.bases[leaf] + accessing, -1
        if block.kind != "foreground":
            start, iterations = layout.streams[leaf, index]
            blocks = start + np.searchsorted(iterations, accessing)
        if block.kind == "background":
            assert block.tensor is not None
            write_back = streams[leaf, block.tensor, block.level]
        found.append((accessing, blocks, write_back))
    return found
