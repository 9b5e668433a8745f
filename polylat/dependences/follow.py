"""From waits between tile iterations that are looked at to the waits of those they stand for.

Where iterations of a loop are left out, what is one place before another may be many iterations
before it. What a tile iteration waits for is as far from it as it is wherever the loop is whole:
the first loop in which the two differ moves along, the loops inside it do not.
"""

from __future__ import annotations

import numpy as np

from polylat.lowering.scan import Ints
from polylat.lowering.tiles import Tiles

__all__ = ["follow", "shared_depth"]


def shared_depth(a: Tiles, b: Tiles) -> int:
    """Number of Temporal loops that index tile iterations of both leaves and are the same loop."""
    depth = 0
    for mine, theirs in zip(a.leaf.temporal[: a.depth], b.leaf.temporal[: b.depth], strict=False):
        if mine.node != theirs.node:
            break
        depth += 1
    return depth


def follow(
    tiles: Tiles,
    waiting: Ints,
    others: Tiles,
    awaited: Ints,
    *,
    depth: int,
    occurs: bool = False,
) -> tuple[Ints, Ints]:
    """What tile iterations wait for, from what they would wait for if nothing were left out.

    Parameters
    ----------
    tiles, waiting
        Tile iterations of a leaf.
    others, awaited
        For each, the tile iteration of a leaf that the places say.
    depth
        Number of loops that both are below.
    occurs
        Whether `awaited` is the last occurrence of something that need not be in every iteration:
        where it is not in the period before what is left out, it is nowhere in there.

    Returns
    -------
    (tile iterations, copies)
        As `Tiles.locate` gives them.
    """
    none = np.zeros((others.depth, len(awaited)), dtype=np.int64)
    if others.whole:
        return awaited, none
    digits = others.digits[:, awaited].copy()
    same = np.ones(len(awaited), dtype=np.bool_)
    moved = np.zeros(len(awaited), dtype=np.bool_)
    for k in range(depth):
        kept = others.kept[k]
        mine, theirs = tiles.places[k][waiting], others.places[k][awaited]
        differ = same & (mine != theirs)
        same &= ~differ
        if not kept.cuts:
            continue
        for cut in kept.cuts:
            over = differ & (theirs < cut.place) & (mine >= cut.place)
            if occurs:
                over &= theirs >= cut.place - cut.period
            moved |= over
            digits[k, over] = kept.digits[mine[over]] - (mine - theirs)[over]
    if not moved.any():
        return awaited, none
    found, copies = awaited.copy(), none
    found[moved], copies[:, moved] = others.locate(digits[:, moved])
    return found, copies
