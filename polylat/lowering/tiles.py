"""Tile iterations as arrays: those that are looked at, and where each stands in its leaf."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.kept import Kept
from polylat.lowering.paths import Leaf
from polylat.lowering.relations import GroupText, groups, set_text, solve
from polylat.lowering.scan import Ints

__all__ = [
    "IrregularError",
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
    """The tile iterations of a leaf that are looked at, in execution order.

    Parameters
    ----------
    leaf
        The leaf.
    depth
        Number of Temporal loops that index them.
    places
        Shape (depth, number of tile iterations): the places of the loops' indices.
    kept
        Per loop, which of its iterations are looked at; of so many iterations as it has at most
        for any leaf below it, which numbers tiles the same way for all of them.
    """

    leaf: Leaf
    depth: int
    places: Ints
    kept: tuple[Kept, ...]

    @property
    def size(self) -> int:
        """Number of tile iterations looked at."""
        return int(self.places.shape[1])

    @cached_property
    def whole(self) -> bool:
        """Whether all tile iterations are looked at."""
        return not any(kept.cuts for kept in self.kept)

    @cached_property
    def digits(self) -> Ints:
        """The loops' indices, shape (depth, number of tile iterations)."""
        if self.whole:
            return self.places
        rows = [kept.digits[row] for kept, row in zip(self.kept, self.places, strict=True)]
        return np.array(rows, dtype=np.int64).reshape(self.places.shape)

    @cached_property
    def multiplicity(self) -> Ints:
        """Per tile iteration looked at, the number that it stands for."""
        times = np.ones(self.size, dtype=np.int64)
        for kept, row in zip(self.kept, self.places, strict=True):
            if kept.cuts:
                times *= kept.multiplicity[row]
        return times

    @cached_property
    def keys(self) -> Ints:
        """Mixed-radix number of each tile iteration: increasing."""
        return self.prefix_keys(self.depth)

    @cached_property
    def lengths(self) -> dict[Hashable, Ints]:
        """Lengths of tiles of variables that have been asked for: many accesses ask the same."""
        return {}

    def radix(self, loop: int) -> int:
        """Largest trip count of a Temporal loop, for any leaf below it."""
        return self.kept[loop].trips

    def prefix_keys(self, depth: int) -> Ints:
        """Per tile iteration, the mixed-radix number of the places of its first indices."""
        return self.keys_of(self.places[:depth])

    def keys_of(self, places: Ints) -> Ints:
        """Mixed-radix numbers of places of the first loops, a row each."""
        key = np.zeros(places.shape[1], dtype=np.int64)
        for kept, place in zip(self.kept, places, strict=False):
            key = key * kept.count + place
        return key

    def turns(self, digits: Ints, above: int, depth: int) -> Ints:
        """Linearised index of the Temporal loops from `above` to `depth`."""
        turn = np.zeros(digits.shape[1], dtype=np.int64)
        for k in range(above, depth):
            turn = turn * self.radix(k) + digits[k]
        return turn

    def firsts(self, depth: int) -> Ints:
        """The tile iterations that begin a new value of the first `depth` indices."""
        key = self.prefix_keys(depth)
        return np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))

    def lasts(self, depth: int) -> Ints:
        """The tile iterations that end a value of the first `depth` indices."""
        firsts = self.firsts(depth)
        return np.concatenate((firsts[1:], [self.size])) - 1

    def find(self, digits: Ints) -> Ints:
        """Tile iterations of these indices (a row per loop), all of which are looked at."""
        if self.whole:
            return np.searchsorted(self.keys, self.keys_of(digits))
        found, copies = self.locate(digits)
        assert not copies.any(), "looked at"
        return found

    def at_places(self, places: Ints) -> Ints:
        """Tile iterations at places (a row per loop), -1 where there is none."""
        keys = self.keys_of(places)
        found = np.minimum(np.searchsorted(self.keys, keys), self.size - 1)
        return np.where(self.keys[found] == keys, found, -1)

    def locate(self, digits: Ints) -> tuple[Ints, Ints]:
        """The tile iterations that stand for others, and how many periods later these are.

        Parameters
        ----------
        digits
            Indices of existing tile iterations, a row per loop.

        Returns
        -------
        (tile iterations, copies)
            `copies` has a row per loop.

        Raises
        ------
        IrregularError
            What stands for one of them does not exist.
        """
        places, copies = np.zeros_like(digits), np.zeros_like(digits)
        for k, kept in enumerate(self.kept):
            places[k], copies[k], _ = kept.locate(digits[k])
        found = self.at_places(places)
        if (found < 0).any():
            raise IrregularError("a tile iteration that stands for others does not exist")
        return found, copies

    def locate_before(self, digits: Ints) -> tuple[Ints, Ints]:
        """The same for the last existing tile iterations that do not come after the indices.

        Loops over variables that are tied together must be looked at as a whole.
        """
        if not self.leaf.coupled:
            return self.locate(digits)
        places, copies = np.zeros_like(digits), np.zeros_like(digits)
        for k, kept in enumerate(self.kept):
            places[k], copies[k], _ = kept.locate(digits[k])
        found = np.searchsorted(self.keys, self.keys_of(places), side="right") - 1
        for k, kept in enumerate(self.kept):
            if kept.cuts and (self.places[k][found] != places[k]).any():
                raise IrregularError("the tile iteration before another one is not looked at")
        return found, copies

    def clip_last(self, digits: Ints, fixed: Ints) -> Ints:
        """The last existing tile iterations that agree with, or come before, the given indices.

        Parameters
        ----------
        digits
            Indices, a row per loop.
        fixed
            Per tile iteration, how many of its first indices are given.
        """
        found = digits.copy()
        positions = _positions(self.leaf)
        free = np.zeros(digits.shape[1], dtype=np.bool_)
        for k in range(self.depth):
            loop = self.leaf.temporal[k]
            outer = {
                positions[j]: found[j]
                for j in range(k)
                if self.leaf.temporal[j].variable == loop.variable
            } | _first_units(self.leaf, loop.variable, positions[k])
            start, end = interval(self.leaf, loop.variable, outer)
            last = np.minimum(self.kept[k].trips, -(-(end - start) // loop.tile)) - 1
            given = (k < fixed) & ~free
            free |= given & (found[k] > last)
            found[k] = np.where(given, np.minimum(found[k], last), last)
        return found

    def shifted(self, iterations: Ints, loop: int, places: int) -> Ints:
        """Per tile iteration, the one some places earlier in a loop (itself if there is none)."""
        wanted = self.places[:, iterations].copy()
        wanted[loop] -= places
        keys = self.keys_of(wanted)
        found = np.minimum(np.searchsorted(self.keys, keys), self.size - 1)
        there = (self.keys[found] == keys) & (wanted[loop] >= 0)
        return np.where(there, found, iterations)

    @cached_property
    def earlier(self) -> Ints:
        """Per loop, the tile iteration one period earlier in it; -1 where it stands for itself."""
        earlier = np.full(self.places.shape, -1, dtype=np.int64)
        for k, kept in enumerate(self.kept):
            if not kept.cuts:
                continue
            periods = kept.periods[self.places[k]]
            mine = np.flatnonzero(periods)
            places = self.places[:, mine].copy()
            places[k] -= periods[mine]
            keys = self.keys_of(places)
            found = np.minimum(np.searchsorted(self.keys, keys), self.size - 1)
            if (self.keys[found] != keys).any():
                raise IrregularError("a tile iteration one period earlier does not exist")
            earlier[k, mine] = found
        return earlier


class IrregularError(Exception):
    """Tile iterations that were taken for copies of others are not."""


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


def existing(
    leaf: Leaf, variables: Sequence[str], kept: Sequence[Kept]
) -> tuple[list[int], np.ndarray]:
    """Which indices of the loops over some variables (a group) exist.

    Parameters
    ----------
    kept
        Per loop that indexes tile iterations, which of its iterations are looked at.

    Returns
    -------
    (loops, mask)
        The Temporal loops over these variables, and a Boolean array with one axis for each.
    """
    loops = [k for k in range(len(kept)) if leaf.temporal[k].variable in variables]
    positions = _positions(leaf)
    shape = tuple(kept[k].count for k in loops)
    if len(variables) == 1:
        digits = {
            positions[k]: kept[k].digits.reshape([-1 if i == j else 1 for j in range(len(loops))])
            for i, k in enumerate(loops)
        } | _first_units(leaf, variables[0], max((positions[k] for k in loops), default=0))
        start, end = interval(leaf, variables[0], digits)
        return loops, np.broadcast_to(np.asarray(start < end), shape)
    mask = np.zeros(shape, dtype=np.bool_)
    text = GroupText(leaf, variables, "x", [positions[k] for k in loops])
    found = solve(set_text(list(text.shown.values()), text.hidden, text.conditions))
    mask[tuple(found.T)] = True
    return loops, mask


def _first_units(leaf: Leaf, variable: str, position: int) -> dict[int, Ints | int]:
    """First indices of the Spatial loops over a variable that stand above a position.

    Units run at the same time, and the first one has as much to do as any: what exists for it
    exists.
    """
    return {
        p: 0
        for p, loop in enumerate(leaf.loops[:position])
        if loop.variable == variable and loop.unit is not None
    }


def tied_groups(leaf: Leaf) -> list[tuple[str, ...]]:
    """Variables of a leaf, grouped by what its iteration space ties together."""
    ties = [c.variables for c in leaf.coupled]
    return [variables for variables, _ in groups(leaf.einsum.rank_variables, (), ties)]


def count_tiles(leaf: Leaf, depth: int) -> int:
    """Number of tile iterations, without making them."""
    total = 1
    for variables in tied_groups(leaf):
        if len(variables) == 1:
            total *= _count_existing(leaf, variables[0], depth)
            continue
        kept = [Kept(n) for n in leaf.temporal_trips[:depth]]
        loops = [k for k in range(depth) if leaf.temporal[k].variable in variables]
        if prod(kept[k].trips for k in loops) > _LARGEST_GROUP:
            return prod(leaf.temporal_trips[:depth])  # an upper bound, far beyond any limit
        total *= int(existing(leaf, variables, kept)[1].sum())
    return total


def _count_existing(leaf: Leaf, variable: str, depth: int) -> int:
    """Number of existing indices of the first loops over a variable."""
    # Extents of a variable's tile and how often each occurs: at most one more per loop. Units of
    # Spatial loops run at the same time: the first one has as much to do as any.
    low, high = leaf.ranges[variable]
    extents = {high - low + 1: 1}
    temporal = 0
    for loop in leaf.loops:
        temporal += loop.unit is None
        if temporal > depth:
            break
        if loop.variable != variable:
            continue
        inner: dict[int, int] = {}
        for extent, times in extents.items():
            full, rest = divmod(extent, loop.tile)
            parts = [(loop.tile, full), (rest, 1)]
            if loop.unit is not None:
                parts = [(min(extent, loop.tile), 1)]
            for length, count in parts:
                if length and count:
                    inner[length] = inner.get(length, 0) + times * count
        extents = inner
    return sum(extents.values())


def shared_radices(leaves: Sequence[Leaf]) -> dict[int, int]:
    """Per loop (tree node), its largest trip count for any leaf below it."""
    largest: dict[int, int] = {}
    for leaf in leaves:
        for loop, trips in zip(leaf.loops, leaf.trips, strict=True):
            largest[loop.node] = max(largest.get(loop.node, 1), trips)
    return largest


def tiles(leaf: Leaf, depth: int, kept: Mapping[int, Kept]) -> Tiles:
    """Make the tile iterations of a leaf.

    Parameters
    ----------
    leaf, depth
        The leaf, and the number of Temporal loops that index them.
    kept
        Per loop (tree node), which of its iterations are looked at.

    Raises
    ------
    TooLargeError
        The indices alone do not fit a 64-bit number, or the array would be absurdly large.
    """
    mine = tuple(kept[loop.node] for loop in leaf.temporal[:depth])
    if prod(some.trips for some in mine) >= 1 << 62:
        raise TooLargeError(
            f"the loops of Einsum {leaf.einsum.name!r} have 2^62 tiles or more",
            where=leaf.where or "mapping",
            mend="use granularity='tile', or larger tiles",
        )
    shape = tuple(some.count for some in mine)
    if prod(shape) > _LARGEST_GRID:
        raise TooLargeError(
            f"Einsum {leaf.einsum.name!r} has more than {_LARGEST_GRID:,} tile iterations",
            where=leaf.where or "mapping",
            mend="use granularity='tile', or larger tiles",
        )
    mask = np.ones(shape, dtype=np.bool_)
    for variables in tied_groups(leaf):
        loops, here = existing(leaf, variables, mine)
        if not here.all():
            mask &= here.reshape([n if k in loops else 1 for k, n in enumerate(shape)])
    places = np.array(np.nonzero(mask)) if depth else np.zeros((0, 1))
    return Tiles(leaf, depth, places.astype(np.int64), mine)


def _positions(leaf: Leaf) -> list[int]:
    """Positions of the Temporal loops among all loops of the path."""
    return [p for p, loop in enumerate(leaf.loops) if loop.unit is None]


_LARGEST_GROUP = 1 << 24
_LARGEST_GRID = 1 << 28
