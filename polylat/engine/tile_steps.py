"""Moves between the tile iterations of a leaf: to the first one of a tile, to the tiles around it.

Only the first and the last tile of a loop may differ in size from the others, so that the loops
inside have other numbers of iterations there. A box of skipped iterations begins behind the first
and ends before the last iteration of each loop in which it extends. So a translate of it contains
at most one of these two, at its end. What a move does there, and in the box otherwise, shows at the
corners: where the move translates these, it translates all of the box (see `lowering.corners`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from polylat.lowering.iterations import IterationTable
from polylat.lowering.mixed_radix import predecessor
from polylat.schedule.arrays import Ints, Mask

__all__ = [
    "Place",
    "Step",
    "entry",
    "itself",
    "next_tile",
    "predecessor_in",
    "previous_tile",
]

Place: TypeAlias = tuple[Ints, Mask]
"""Loop indices of tile iterations, and whether there are any."""

Step: TypeAlias = Callable[[Ints], Place]
"""A function from loop indices, shape (depth, n), to those of tile iterations."""


def itself(digits: Ints) -> Place:
    """Stay where it is.

    Parameters
    ----------
    digits
        Loop indices, shape (depth, n).

    Returns
    -------
    (digits, exists)
        The same ones.
    """
    return digits, np.ones(digits.shape[1], dtype=np.bool_)


def entry(digits: Ints, depth: int) -> Ints:
    """Return the first tile iterations of tiles.

    Parameters
    ----------
    digits
        Loop indices of tile iterations, shape (depth, n).
    depth
        Number of loops that index the tiles.

    Returns
    -------
    numpy.ndarray
        Loop indices, shape (depth, n).
    """
    found = digits.copy()
    found[depth:] = 0
    return found


def predecessor_in(tiles: IterationTable) -> Step:
    """Return the move to the combination of loop indices before, which need not exist.

    Parameters
    ----------
    tiles
        The tile iterations of a leaf.

    Returns
    -------
    callable
        The move.
    """
    trips = tiles.trips

    def at(digits: Ints) -> Place:
        found, same = predecessor(digits, trips)
        return found, np.asarray(same > 0, dtype=np.bool_)

    return at


def previous_tile(tiles: IterationTable, depth: int) -> Step:
    """Return the move to the first tile iteration of the tile before.

    Parameters
    ----------
    tiles, depth
        The tile iterations of a leaf, and the number of loops that index the tiles.

    Returns
    -------
    callable
        The move.
    """
    trips = tiles.trips[:depth]

    def at(digits: Ints) -> Place:
        found = entry(digits, depth)
        found[:depth], same = predecessor(digits[:depth], trips)
        found = tiles.clip_last(found, np.full(digits.shape[1], depth))
        return entry(found, depth), np.asarray(same > 0, dtype=np.bool_)

    return at


def next_tile(tiles: IterationTable, depth: int) -> Step:
    """Return the move to the first tile iteration of the next tile; that of the last tile stays.

    Loop indices need not be those of a tile iteration: the next tile is the first one behind them.

    Parameters
    ----------
    tiles, depth
        The tile iterations of a leaf, and the number of loops that index the tiles.

    Returns
    -------
    callable
        The move.
    """

    def at(digits: Ints) -> Place:
        found = entry(digits, depth)
        more = np.zeros(digits.shape[1], dtype=np.bool_)
        for k in range(depth - 1, -1, -1):
            up = ~more & (digits[k] < tiles.last_index(k, digits))
            found[k, up] += 1
            found[k + 1 :, up] = 0
            more |= up
        return itself(found)

    return at
