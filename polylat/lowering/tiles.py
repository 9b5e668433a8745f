"""Tile iterations as arrays: which exist, and where each stands in its leaf's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.paths import Leaf
from polylat.lowering.relations import GroupText, groups, set_text, solve
from polylat.lowering.scan import Ints

__all__ = [
    "Tiles",
    "common_keys",
    "count_tiles",
    "interval",
    "shared_radices",
    "tied_groups",
    "tiles",
]


@dataclass(frozen=True, eq=False)
class Tiles:
    """The tile iterations of a leaf, in execution order.

    Parameters
    ----------
    leaf
        The leaf.
    depth
        Number of Temporal loops that index them.
    digits
        Shape (depth, number of tile iterations): the loops' indices.
    radices
        Per loop, its largest trip count for any leaf below it: what numbers tiles the same way
        for all of them.
    """

    leaf: Leaf
    depth: int
    digits: Ints
    radices: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of tile iterations."""
        return int(self.digits.shape[1])

    @cached_property
    def keys(self) -> Ints:
        """Mixed-radix number of each tile iteration: increasing."""
        return self.prefix_keys(self.depth)

    def radix(self, loop: int) -> int:
        """Largest trip count of a Temporal loop, for any leaf below it."""
        return self.radices[loop]

    def prefix_keys(self, depth: int) -> Ints:
        """Per tile iteration, the mixed-radix number of its first `depth` indices."""
        return self.keys_of(self.digits[:depth])

    def keys_of(self, digits: Ints) -> Ints:
        """Mixed-radix numbers of indices of the first loops, a row each."""
        key = np.zeros(digits.shape[1], dtype=np.int64)
        for loop, index in enumerate(digits):
            key = key * self.radix(loop) + index
        return key

    def firsts(self, depth: int) -> Ints:
        """The tile iterations that begin a new value of the first `depth` indices."""
        key = self.prefix_keys(depth)
        return np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))

    def lasts(self, depth: int) -> Ints:
        """The tile iterations that end a value of the first `depth` indices."""
        firsts = self.firsts(depth)
        return np.concatenate((firsts[1:], [self.size])) - 1

    def find(self, keys: Ints) -> Ints:
        """Tile iterations of these keys (all of which exist)."""
        return np.searchsorted(self.keys, keys)


def common_keys(some: Sequence[Tiles], depth: int) -> Ints:
    """Keys of the tiles at a (shared) depth that exist for any of the leaves, increasing."""
    keys = np.sort(np.concatenate([t.prefix_keys(depth)[t.firsts(depth)] for t in some]))
    return keys[np.concatenate(([True], keys[1:] != keys[:-1]))]


def interval(
    leaf: Leaf, variable: str, digits: Mapping[int, Ints | int]
) -> tuple[Ints | int, Ints | int]:
    """First value and end of a variable's tile, given the indices of (some) loops over it.

    An empty or reversed interval says that the tile does not exist.
    """
    low, high = leaf.ranges[variable]
    start: Ints | int = low
    end: Ints | int = high + 1
    for p, loop in enumerate(leaf.loops):
        if loop.variable == variable and p in digits:
            start = start + loop.tile * digits[p]
            end = np.minimum(start + loop.tile, end)
    return start, end


def existing(leaf: Leaf, variables: Sequence[str], depth: int) -> tuple[list[int], np.ndarray]:
    """Which indices of the loops over some variables (a group) exist.

    Returns
    -------
    (loops, mask)
        The Temporal loops over these variables among the first `depth`, and a Boolean array with
        one axis for each.
    """
    loops = [k for k, loop in enumerate(leaf.temporal[:depth]) if loop.variable in variables]
    positions = _positions(leaf)
    shape = tuple(leaf.temporal_trips[k] for k in loops)
    if len(variables) == 1:
        grids = [np.asarray(g, dtype=np.int64) for g in np.indices(shape, sparse=True)]
        digits = {positions[k]: grid for k, grid in zip(loops, grids, strict=True)}
        start, end = interval(leaf, variables[0], digits)
        return loops, np.broadcast_to(np.asarray(start < end), shape)
    mask = np.zeros(shape, dtype=np.bool_)
    text = GroupText(leaf, variables, "x", [positions[k] for k in loops])
    found = solve(set_text(list(text.shown.values()), text.hidden, text.conditions))
    mask[tuple(found.T)] = True
    return loops, mask


def tied_groups(leaf: Leaf) -> list[tuple[str, ...]]:
    """Variables of a leaf, grouped by what its iteration space ties together."""
    ties = [c.variables for c in leaf.coupled]
    return [variables for variables, _ in groups(leaf.einsum.rank_variables, (), ties)]


def count_tiles(leaf: Leaf, depth: int) -> int:
    """Number of tile iterations, without making them."""
    total = 1
    for variables in tied_groups(leaf):
        radices = [
            n
            for n, loop in zip(leaf.temporal_trips[:depth], leaf.temporal[:depth], strict=True)
            if loop.variable in variables
        ]
        if prod(radices) > _LARGEST_GROUP:
            return prod(leaf.temporal_trips[:depth])  # an upper bound, far beyond any limit
        total *= int(existing(leaf, variables, depth)[1].sum())
    return total


def shared_radices(leaves: Sequence[Leaf]) -> dict[int, int]:
    """Per loop (tree node), its largest trip count for any leaf below it."""
    largest: dict[int, int] = {}
    for leaf in leaves:
        for loop, trips in zip(leaf.loops, leaf.trips, strict=True):
            largest[loop.node] = max(largest.get(loop.node, 1), trips)
    return largest


def tiles(leaf: Leaf, depth: int, radices: Mapping[int, int]) -> Tiles:
    """Make the tile iterations of a leaf, given the `shared_radices` of all leaves.

    Raises
    ------
    TooLargeError
        The indices alone do not fit a 64-bit number, or the array would be absurdly large.
    """
    shape = leaf.temporal_trips[:depth]
    if prod(shape) > _LARGEST_GRID:
        raise TooLargeError(
            f"Einsum {leaf.einsum.name!r} has up to {prod(shape)} tile iterations",
            where=leaf.where or "mapping",
            mend="use granularity='tile', or larger tiles",
        )
    mask = np.ones(shape, dtype=np.bool_)
    for variables in tied_groups(leaf):
        loops, here = existing(leaf, variables, depth)
        if not here.all():
            mask &= here.reshape([n if k in loops else 1 for k, n in enumerate(shape)])
    shared = tuple(radices[loop.node] for loop in leaf.temporal[:depth])
    if prod(shared) >= 1 << 62:
        raise TooLargeError(f"the loops of Einsum {leaf.einsum.name!r} have {prod(shared)} tiles")
    digits = np.array(np.nonzero(mask)) if depth else np.zeros((0, 1))
    return Tiles(leaf, depth, digits.astype(np.int64), shared)


def _positions(leaf: Leaf) -> list[int]:
    """Positions of the Temporal loops among all loops of the path."""
    return [p for p, loop in enumerate(leaf.loops) if loop.unit is None]


_LARGEST_GROUP = 1 << 24
_LARGEST_GRID = 1 << 28
