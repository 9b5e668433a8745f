"""The types of integers in arrays: 64 bits where all numbers fit, else Python integers.

The type is chosen from bounds that are computed with Python integers before an array is made, so
that no number ever wraps around.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from polylat.lowering.paths import Leaf, PathLoop
from polylat.numbers import INT64_LIMIT
from polylat.schedule.arrays import Ints

__all__ = [
    "Counts",
    "count_type",
    "fitting_type",
    "joint_count_type",
    "position_type",
    "tile_lengths",
]

Counts = npt.NDArray[Any]
"""Numbers of values: 64-bit integers where they fit, else Python integers (dtype object)."""


def fitting_type(most: int) -> type:
    """Return the type of numbers with a given bound.

    Parameters
    ----------
    most
        A bound of their absolute values, and of all intermediate results.

    Returns
    -------
    type
        ``numpy.int64``, or ``object`` for Python integers.
    """
    return np.int64 if most < INT64_LIMIT else object


def count_type(leaf: Leaf, factor: int = 1) -> type:
    """Return the type of the numbers of values that a leaf accesses.

    Parameters
    ----------
    leaf
        The leaf.
    factor
        How often a value may count.

    Returns
    -------
    type
        ``numpy.int64`` if their sums over all tile iterations fit, too; else ``object``.
    """
    return fitting_type(leaf.volume * factor)


def joint_count_type(leaves: Iterable[Leaf]) -> type:
    """Return the type of the numbers of values that several leaves access.

    Parameters
    ----------
    leaves
        The leaves.

    Returns
    -------
    type
        As for `count_type`.
    """
    return fitting_type(max(leaf.volume for leaf in leaves))


def position_type(leaf: Leaf, trips: Sequence[int]) -> type:
    """Return the type of the positions of tiles in their rank variables.

    Parameters
    ----------
    leaf
        The leaf.
    trips
        The largest trip counts of its first Temporal loops, of all leaves below them.

    Returns
    -------
    type
        ``numpy.int64`` if the positions of all tiles fit, of those that do not exist, too; else
        ``object``.
    """
    loops = zip(leaf.temporal, trips, strict=False)
    positions = [loop.tile * n + abs(loop.first - loop.tile) for loop, n in loops]
    return fitting_type(max([*positions, *(high - low + 1 for low, high in leaf.ranges.values())]))


def tile_lengths(
    leaf: Leaf,
    variable: str,
    digits: Mapping[int, Ints | int],
    inside: Collection[int] = (),
    *,
    kind: type = np.int64,
) -> Counts | int:
    """Return the number of a variable's values in tiles.

    Parameters
    ----------
    leaf, variable
        The leaf and its rank variable.
    digits
        Position of a loop → its index, or an array of indices. Loops that are not named do not
        restrict the tile.
    inside
        Positions of loops that are summed over, all their iterations together.
    kind
        The type of the computation, see `position_type`.

    Returns
    -------
    numpy.ndarray or int
        The lengths, of the common shape of the arrays; 0 where a tile does not exist.

    Notes
    -----
    The length of a tile depends only on that of the tile around it. The iterations of a loop have
    at most three lengths, the tile shape, a first one and a rest, so that a sum over them takes
    constant time.
    """
    low, high = leaf.ranges[variable]
    length: Counts | int = high - low + 1
    number: Counts | int = 1
    others: list[tuple[Counts | int, Counts | int]] = []
    # Lengths of the other tiles of loops that are summed over, with the number of each.
    for p, loop in enumerate(leaf.loops):
        if loop.variable != variable:
            continue
        tile = loop.tile
        if p in digits:
            offset, size = _tile_at(loop, _of_type(digits[p], kind))
            length = _least(length - offset, size)
            others = [(_least(one - offset, size), many) for one, many in others]
        elif p in inside:
            found = [(_positive(one), many) for one, many in ((length, number), *others)]
            others = []
            if loop.initial is not None:
                others = [(_least(one, loop.first), many) for one, many in found]
                found = [(_positive(one - loop.first), many) for one, many in found]
            length, number = tile, sum(many * (one // tile) for one, many in found)
            others += [(one % tile, many) for one, many in found]
    length = _positive(length)
    if not inside:
        return length
    return length * number + sum(_positive(one) * many for one, many in others)


def _of_type(digit: Ints | int, kind: type) -> Counts | int:
    return digit if isinstance(digit, int) else digit.astype(kind, copy=False)


def _tile_at(loop: PathLoop, digit: Counts | int) -> tuple[Counts | int, Counts | int]:
    """Return where a tile begins in the tile around its loop, and its size there."""
    if loop.initial is None:
        return loop.tile * digit, loop.tile
    more = loop.first - loop.tile
    if isinstance(digit, int):
        return loop.tile * digit + (more if digit else 0), loop.tile if digit else loop.first
    later = np.minimum(digit, 1)
    return loop.tile * digit + more * later, loop.first - more * later


def _least(length: Counts | int, tile: Counts | int) -> Counts | int:
    if isinstance(length, int) and isinstance(tile, int):
        return min(length, tile)
    return np.minimum(length, tile)


def _positive(length: Counts | int) -> Counts | int:
    return max(length, 0) if isinstance(length, int) else np.maximum(length, 0)
