"""Precedences of limited buffer space (rule 3)."""

from __future__ import annotations

from math import prod

import numpy as np

from polylat.engine.row_builder import RowBuilder
from polylat.lowering.dependences.capacity import exchange_levels, touching_iterations
from polylat.lowering.iterations import joint_tile_keys
from polylat.lowering.mixed_radix import predecessor
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.sharing import leaves_sharing
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.boxes import Rows
from polylat.spec.slots import slots_of

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
            exchanged = exchange_levels(builder.users[tensor], leaf, tensor)
            for level, holder in enumerate(leaf.storages(tensor)):
                slots = slots_of(builder.options.slots, tensor, holder.component)
                if holder.depth == 0 or slots is None:
                    continue
                firsts = builder.keys[number][builder.layout.tiles[number].firsts(holder.depth)]
                start = builder.families.event(builder.families.start[number], firsts)
                if level in exchanged:
                    rows += _after_touches(builder, number, firsts, start, tensor, holder, slots)
                    continue
                for index in builder.streams(number, "write_back", tensor, level):
                    existing = _existing_tiles(builder, tensor, holder)
                    depth = holder.depth
                    some, base, same = _tiles_before(
                        builder, number, firsts, existing, depth, slots
                    )
                    base[depth:] = builder.ends(number, len(some))[depth:]
                    last = builder.source(number, firsts[some], number, base, same)
                    rows += builder.after_blocks(start[some], (number, index), last, served=True)
        for index in builder.streams(number, "fill"):
            block = builder.layout.blocks[number][index]
            assert block.tensor is not None
            holder = leaf.storages(block.tensor)[block.level]
            slots = slots_of(builder.options.slots, block.tensor, holder.component)
            if holder.depth == 0 or slots is None:
                continue
            family = builder.families.ready[number, index]
            keys = np.flatnonzero(builder.families.occurs(family))
            target = builder.families.event(family, keys)
            rows += _after_touches(builder, number, keys, target, block.tensor, holder, slots)
    return rows


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
    depth = holder.depth
    existing = _existing_tiles(builder, tensor, holder)
    some, base, same = _tiles_before(builder, leaf, keys, existing, depth, slots)
    for other in leaves_sharing(builder.users[tensor], tensor, holder):
        number = other.number
        inner = _last_touching(builder, other, tensor, holder, len(existing))
        if inner is None:
            continue
        sound, digits = inner
        last = builder.ends(number, len(some))
        last[:depth] = base[:depth]
        if digits is not None:
            last[depth:] = digits[:, None]
        source = builder.source(leaf, keys[some], number, last, same)
        rows += builder.after_finish(target[some], number, source, served=True, sound=sound)
        if tensor not in other.einsum.outputs:
            continue
        level = next(i for i, h in enumerate(other.storages(tensor)) if h.node == holder.node)
        end = builder.ends(number, len(some))
        end[:depth] = base[:depth]
        written = builder.source(leaf, keys[some], number, end, same)
        for moved in (level, level + 1):
            for index in builder.streams(number, "write_back", tensor, moved):
                rows += builder.after_blocks(target[some], (number, index), written, served=True)
    return rows


def _existing_tiles(builder: RowBuilder, tensor: str, holder: PathHolder) -> Ints:
    """Return the keys of a holder's tiles that contain an operation, increasing."""
    sharing = leaves_sharing(builder.users[tensor], tensor, holder)
    return joint_tile_keys([builder.layout.tiles[o.number] for o in sharing], holder.depth)


def _last_touching(
    builder: RowBuilder, leaf: Leaf, tensor: str, holder: PathHolder, tiles_of_all: int
) -> tuple[bool, Ints | None] | None:
    """Return which tile iteration of a leaf touches a tile of a holder last.

    None if no tile iteration does. Else whether it is the same one in every tile, and its
    indices in the loops inside the holder (None: the last one). Where tiles differ, it is the
    last one of the tile, which finishes no earlier.
    """
    tiles = builder.layout.tiles[leaf.number]
    touching = touching_iterations(builder.layout, leaf, tensor, holder)
    if not len(touching):
        return None
    lasts = tiles.lasts(holder.depth)
    if np.isin(lasts, touching).all():
        return len(lasts) == tiles_of_all, None
    prefix = tiles.prefix_keys(holder.depth)[touching]
    final = touching[np.append(prefix[1:] != prefix[:-1], True)]
    digits = tiles.digits[holder.depth :, final]
    if (digits == digits[:, :1]).all() and len(final) == len(lasts):
        return len(lasts) == tiles_of_all, digits[:, 0]
    return False, None


def _tiles_before(
    builder: RowBuilder, leaf: int, keys: Ints, existing: Ints, depth: int, slots: int
) -> tuple[Ints, Ints, Ints]:
    """Return the tile `slots` existing tiles before each point's tile at a depth."""
    radix = builder.grid.trips[leaf, :depth]
    full = len(existing) == prod(builder.grid.count[leaf, :depth].tolist())

    def move(digits: Ints, _which: Ints) -> tuple[Ints, Mask]:
        found, exists = digits.copy(), np.ones(digits.shape[1], dtype=np.bool_)
        for _ in range(slots):
            found[:depth], same = predecessor(found[:depth], radix)
            exists &= same > 0
            if full:
                continue
            while True:
                absent = exists & ~_tile_exists(builder, leaf, found, depth, existing)
                if not absent.any():
                    break
                moved, same = predecessor(found[:depth], radix)
                found[:depth] = np.where(absent, moved, found[:depth])
                exists &= (same > 0) | ~absent
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
