"""Precedences of limited buffer space (rule 3)."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from polylat.engine.row_builder import RowBuilder
from polylat.lowering.iterations import joint_tile_keys
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.sharing import leaves_sharing
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.boxes import Rows

__all__ = ["capacity_rows"]


def capacity_rows(builder: RowBuilder) -> list[Rows]:
    """Rule 3: a holder keeps a limited number of tiles.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.

    Returns
    -------
    list of Rows
        The precedences.
    """
    rows = []
    for leaf in builder.leaves:
        number = leaf.number
        for tensor in leaf.einsum.outputs:
            slots = _slots(builder, tensor)
            for level, holder in enumerate(leaf.storages(tensor)):
                if holder.depth == 0 or slots is None:
                    continue
                firsts = builder.keys[number][builder.layout.tiles[number].firsts(holder.depth)]
                start = builder.families.event(builder.families.start[number], firsts)
                if _exchanged(builder, leaf, tensor, level):
                    rows += _after_touches(builder, number, firsts, start, tensor, holder, slots)
                families = builder.stream(number, "background", tensor, level)
                if families:
                    some, base, same = _tiles_before(builder, number, firsts, tensor, holder, slots)
                    base[holder.depth :] = (
                        builder.grid.trips[number, holder.depth : len(base)] - 1
                    )[:, None]
                    last = builder.source(number, firsts[some], number, base, same)
                    rows += [builder.rows(start[some], f, last) for f in families]
        for index, block in enumerate(builder.layout.blocks[number]):
            if block.kind != "fill":
                continue
            assert block.tensor is not None
            holder = leaf.storages(block.tensor)[block.level]
            slots = _slots(builder, block.tensor)
            if holder.depth == 0 or slots is None:
                continue
            family = builder.families.ready[number, index]
            keys = np.flatnonzero(builder.families.occurs(family))
            target = builder.families.event(family, keys)
            rows += _after_touches(builder, number, keys, target, block.tensor, holder, slots)
    return rows


def _slots(builder: RowBuilder, tensor: str) -> int | None:
    if isinstance(builder.slots, Mapping):
        return builder.slots.get(tensor, 2)
    return builder.slots


def _exchanged(builder: RowBuilder, producer: Leaf, tensor: str, level: int) -> bool:
    """Whether some consumer reads through a storage of the producer."""
    nodes = {h.node: i for i, h in enumerate(producer.storages(tensor))}
    return any(
        max(nodes.get(h.node, -1) for h in reader.storages(tensor)) == level
        for reader in builder.leaves[producer.number + 1 :]
        if tensor in reader.einsum.inputs
    )


def _after_touches(
    builder: RowBuilder,
    leaf: int,
    keys: Ints,
    target: Ints,
    tensor: str,
    holder: PathHolder,
    slots: int,
) -> list[Rows]:
    rows = []
    some, base, same = _tiles_before(builder, leaf, keys, tensor, holder, slots)
    depth = holder.depth
    sharing = leaves_sharing(builder.leaves, tensor, holder)
    existing = joint_tile_keys([builder.layout.tiles[o.number] for o in sharing], depth)
    for other in sharing:
        number = other.number
        inner = _last_touching(builder, number, tensor, holder, len(existing))
        if inner is None:
            continue
        last = np.zeros((int(builder.grid.depth[number]), len(some)), dtype=np.int64)
        last[:depth] = base[:depth]
        ends = builder.grid.trips[number, : builder.grid.depth[number]] - 1
        last[depth:] = ends[depth:, None]
        sound, digits = inner
        if digits is not None:
            last[depth:] = digits[:, None]
        source = builder.source(leaf, keys[some], number, last, same)
        rows += [
            builder.rows(target[some], family, source, sound=sound)
            for family in builder.finish(number)
        ]
    return rows


def _last_touching(
    builder: RowBuilder, leaf: int, tensor: str, holder: PathHolder, tiles_of_all: int
) -> tuple[bool, Ints | None] | None:
    """Return which tile iteration of a leaf touches a tile of a holder last.

    None if no tile iteration does. Else whether it is the same one in every tile, and its
    indices in the loops inside the holder (None: the last one). Where tiles differ, it is the
    last one of the tile, which finishes no earlier.
    """
    tiles = builder.layout.tiles[leaf]
    touching = np.zeros(tiles.size, dtype=np.bool_)
    for block in builder.layout.blocks[leaf]:
        for access in block.accesses:
            if access.component == holder.component and access.tensor == tensor:
                touching[access.iterations] = True
    if not touching.any():
        return None
    lasts = tiles.lasts(holder.depth)
    if touching[lasts].all():
        return len(lasts) == tiles_of_all, None
    places = np.flatnonzero(touching)
    prefix = tiles.prefix_keys(holder.depth)[places]
    final = places[np.append(prefix[1:] != prefix[:-1], True)]
    digits = tiles.digits[holder.depth :, final]
    if (digits == digits[:, :1]).all() and len(final) == len(lasts):
        return len(lasts) == tiles_of_all, digits[:, 0]
    return False, None


def _tiles_before(
    builder: RowBuilder, leaf: int, keys: Ints, tensor: str, holder: PathHolder, slots: int
) -> tuple[Ints, Ints, Ints]:
    """Return the tile `slots` tiles before each point's tile of a holder."""
    depth = holder.depth
    sharing = leaves_sharing(builder.leaves, tensor, holder)
    existing = joint_tile_keys([builder.layout.tiles[o.number] for o in sharing], depth)
    radix = builder.grid.trips[leaf, :depth]
    full = len(existing) == prod(builder.grid.count[leaf, :depth].tolist())

    def previous(digits: Ints) -> tuple[Ints, Mask]:
        found = digits.copy()
        borrow = np.ones(digits.shape[1], dtype=np.bool_)
        for k in range(depth - 1, -1, -1):
            down = borrow & (found[k] > 0)
            found[k] = np.where(down, found[k] - 1, np.where(borrow, radix[k] - 1, found[k]))
            borrow &= ~down
        return found, ~borrow

    def move(digits: Ints) -> tuple[Ints, Mask]:
        found, exists = digits.copy(), np.ones(digits.shape[1], dtype=np.bool_)
        for _ in range(slots):
            found, some = previous(found)
            exists &= some
            if full:
                continue
            while True:
                absent = exists & ~_tile_exists(builder, leaf, found, depth, existing)
                if not absent.any():
                    break
                moved, some = previous(found)
                found = np.where(absent, moved, found)
                exists &= some | ~absent
        return found, exists

    exists, good, base = builder.translated(leaf, keys, move, depth)
    builder.note(leaf, keys[~good])
    some = np.flatnonzero(exists & good)
    return some, base[:, some], np.full(len(some), depth)


def _tile_exists(builder: RowBuilder, leaf: int, digits: Ints, depth: int, existing: Ints) -> Mask:
    tiles = builder.layout.tiles[leaf]
    places = np.zeros((depth, digits.shape[1]), dtype=np.int64)
    for k in range(depth):
        places[k], _, _ = tiles.kept[k].locate(np.maximum(digits[k], 0))
    keys = tiles.keys_of(places)
    at = np.minimum(np.searchsorted(existing, keys), len(existing) - 1)
    return np.asarray(existing[at] == keys, dtype=np.bool_)
