"""The sampled tile iterations of a leaf as arrays of loop indices."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from polylat.lowering.integer_types import position_type, tile_lengths
from polylat.lowering.paths import Leaf
from polylat.lowering.sampling import LoopSample
from polylat.schedule.arrays import Ints

__all__ = [
    "IrregularError",
    "IterationTable",
    "first_unit_indices",
    "joint_tile_keys",
]


@dataclass(frozen=True, eq=False)
class IterationTable:
    """The sampled tile iterations of a leaf, in execution order.

    A tile iteration has a *number* (its position in these arrays), *digits* (its loop indices) and
    *places* (the positions of these indices among the sampled iterations of each loop).

    Parameters
    ----------
    leaf
        The leaf.
    depth
        Number of Temporal loops that index the tile iterations.
    places
        The places of the loop indices, shape (depth, size).
    kept
        Per loop, its sampled iterations. The trip count is the largest of all leaves below the
        loop, so that these leaves number tiles alike.
    """

    leaf: Leaf
    depth: int
    places: Ints
    kept: tuple[LoopSample, ...]

    @property
    def size(self) -> int:
        """Number of sampled tile iterations."""
        return int(self.places.shape[1])

    @cached_property
    def whole(self) -> bool:
        """Whether all tile iterations are sampled."""
        return not any(kept.cuts for kept in self.kept)

    @cached_property
    def digits(self) -> Ints:
        """The loop indices, shape (depth, size)."""
        if self.whole:
            return self.places
        rows = [kept.digits[row] for kept, row in zip(self.kept, self.places, strict=True)]
        return np.array(rows, dtype=np.int64).reshape(self.places.shape)

    @cached_property
    def multiplicity(self) -> Ints:
        """Number of tile iterations that each represents, with itself: shape (size,).

        Where all are sampled, it is a view of a single 1.
        """
        if self.whole:
            return np.broadcast_to(np.int64(1), (self.size,))
        times = np.ones(self.size, dtype=np.int64)
        for kept, row in zip(self.kept, self.places, strict=True):
            if kept.cuts:
                times *= kept.multiplicity[row]
        return times

    @cached_property
    def every(self) -> Ints:
        """The numbers of all tile iterations, which many accesses share: shape (size,)."""
        if self.depth == 1 and self.size == self.places[0, -1] + 1:
            first: Ints = self.places[0]  # increasing
            return first
        return np.arange(self.size)

    @cached_property
    def keys(self) -> Ints:
        """Mixed-radix number of the places of each tile iteration: increasing, shape (size,)."""
        return self.prefix_keys(self.depth)

    @cached_property
    def trips(self) -> Ints:
        """Trip counts of the loops, shape (depth,)."""
        return np.array([kept.trips for kept in self.kept], dtype=np.int64)

    @cached_property
    def lengths(self) -> dict[Hashable, Ints]:
        """Cache of tile lengths, which many accesses share."""
        return {}

    @cached_property
    def position_type(self) -> type:
        """The type of the positions of tiles in their rank variables."""
        return position_type(self.leaf, [kept.trips for kept in self.kept])

    def radix(self, loop: int) -> int:
        """Return the largest trip count of a Temporal loop, of all leaves below it.

        Parameters
        ----------
        loop
            Number of the loop among the Temporal loops.

        Returns
        -------
        int
            The trip count.
        """
        return self.kept[loop].trips

    def prefix_keys(self, depth: int) -> Ints:
        """Return the key of the tile at a depth that contains each tile iteration.

        Parameters
        ----------
        depth
            Number of outer loops.

        Returns
        -------
        numpy.ndarray
            Mixed-radix numbers of the places of the first `depth` loops, shape (size,).
        """
        return self.places[0] if depth == 1 else self.keys_of(self.places[:depth])

    def keys_of(self, places: Ints) -> Ints:
        """Return the mixed-radix numbers of places.

        Parameters
        ----------
        places
            Places of the first loops, shape (loops, n).

        Returns
        -------
        numpy.ndarray
            Keys, shape (n,).
        """
        key = np.zeros(places.shape[1], dtype=np.int64)
        for kept, place in zip(self.kept, places, strict=False):
            key = key * kept.count + place
        return key

    def turns(self, digits: Ints, above: int, depth: int) -> Ints:
        """Return the linearized index of the Temporal loops from `above` to `depth`.

        Parameters
        ----------
        digits
            Loop indices, shape (loops, n).
        above, depth
            Numbers of the first loop and of the loop behind the last one.

        Returns
        -------
        numpy.ndarray
            Linearized indices in the loops' trip counts, shape (n,).
        """
        turn = np.zeros(digits.shape[1], dtype=np.int64)
        for k in range(above, depth):
            turn = turn * self.radix(k) + digits[k]
        return turn

    def firsts(self, depth: int) -> Ints:
        """Return the first tile iteration of each tile at a depth.

        Parameters
        ----------
        depth
            Number of outer loops that index the tiles.

        Returns
        -------
        numpy.ndarray
            Tile iterations, increasing, shape (tiles,).
        """
        key = self.prefix_keys(depth)
        return np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))

    def lasts(self, depth: int) -> Ints:
        """Return the last tile iteration of each tile at a depth.

        Parameters
        ----------
        depth
            Number of outer loops that index the tiles.

        Returns
        -------
        numpy.ndarray
            Tile iterations, increasing, shape (tiles,).
        """
        firsts = self.firsts(depth)
        return np.concatenate((firsts[1:], [self.size])) - 1

    def find(self, digits: Ints) -> Ints:
        """Return the sampled tile iterations with given indices.

        Parameters
        ----------
        digits
            Loop indices of sampled tile iterations, shape (depth, n).

        Returns
        -------
        numpy.ndarray
            Tile iterations, shape (n,).
        """
        if self.whole:
            return np.searchsorted(self.keys, self.keys_of(digits))
        found, periods = self.locate(digits)
        assert not periods.any(), "all are sampled"
        return found

    def at_places(self, places: Ints) -> Ints:
        """Return the tile iterations at given places.

        Parameters
        ----------
        places
            Places, shape (depth, n).

        Returns
        -------
        numpy.ndarray
            Tile iterations, -1 where none exists: shape (n,).
        """
        keys = self.keys_of(places)
        found = np.minimum(np.searchsorted(self.keys, keys), self.size - 1)
        return np.where(self.keys[found] == keys, found, -1)

    def locate(self, digits: Ints) -> tuple[Ints, Ints]:
        """Return the sampled tile iterations that represent given ones.

        Parameters
        ----------
        digits
            Loop indices of existing tile iterations, shape (depth, n).

        Returns
        -------
        (iterations, copies)
            The representing tile iterations, shape (n,), and the number of periods per loop by
            which the given ones are later, shape (depth, n).

        Raises
        ------
        IrregularError
            A representing tile iteration does not exist.
        """
        places, periods = np.zeros_like(digits), np.zeros_like(digits)
        for k, kept in enumerate(self.kept):
            places[k], periods[k], _ = kept.locate(digits[k])
        found = self.at_places(places)
        if (found < 0).any():
            raise IrregularError("a tile iteration that represents skipped ones does not exist")
        return found, periods

    def locate_before(self, digits: Ints) -> tuple[Ints, Ints]:
        """Return the tile iterations that represent the last ones up to given indices.

        Loops over variables that constraints tie together must be sampled completely.

        Parameters
        ----------
        digits
            Loop indices, shape (depth, n); a tile iteration with these indices need not exist.

        Returns
        -------
        (iterations, copies)
            As for `locate`, of the last existing tile iterations that are not after the indices.

        Raises
        ------
        IrregularError
            A representing tile iteration does not exist or is not sampled.
        """
        if not self.leaf.coupled:
            return self.locate(digits)
        places, periods = np.zeros_like(digits), np.zeros_like(digits)
        for k, kept in enumerate(self.kept):
            places[k], periods[k], _ = kept.locate(digits[k])
        found = np.searchsorted(self.keys, self.keys_of(places), side="right") - 1
        for k, kept in enumerate(self.kept):
            if kept.cuts and (self.places[k][found] != places[k]).any():
                raise IrregularError("the predecessor of a tile iteration is not sampled")
        return found, periods

    def clip_last(self, digits: Ints, fixed: Ints) -> Ints:
        """Return the indices of the last tile iterations up to given indices.

        Parameters
        ----------
        digits
            Loop indices, shape (depth, n).
        fixed
            Number of outer indices that are given, shape (n,). The others are free.

        Returns
        -------
        numpy.ndarray
            Loop indices, shape (depth, n), of the last existing tile iterations that agree with
            the given indices, or that precede them where none agrees.
        """
        found = digits.copy()
        free = np.zeros(digits.shape[1], dtype=np.bool_)
        for k in range(self.depth):
            last = self.last_index(k, found)
            given = (k < fixed) & ~free
            free |= given & (found[k] > last)
            found[k] = np.where(given, np.minimum(found[k], last), last)
        return found

    @cached_property
    def full(self) -> bool:
        """Whether every combination of sampled loop indices is a tile iteration."""
        return self.size == prod(kept.count for kept in self.kept)

    def last_index(self, loop: int, digits: Ints) -> Ints:
        """Return the last index of a loop inside given tiles.

        Variables that constraints tie together count as if they were not.

        Parameters
        ----------
        loop
            Number of the loop among the Temporal loops.
        digits
            Loop indices, shape (depth, n), of which only those of the loops around it count.

        Returns
        -------
        numpy.ndarray
            Shape (n,).
        """
        most = self.kept[loop].trips
        if self.full:
            return np.full(digits.shape[1], most - 1)
        positions, inner = self.leaf.temporal_positions, self.leaf.temporal[loop]
        outer = {
            positions[j]: digits[j]
            for j in range(loop)
            if self.leaf.temporal[j].variable == inner.variable
        } | first_unit_indices(self.leaf, inner.variable, positions[loop])
        length = tile_lengths(self.leaf, inner.variable, outer, kind=self.position_type)
        trips = (length > 0) + np.maximum(-(-(length - inner.first) // inner.tile), 0)
        last: Ints = np.broadcast_to(np.minimum(most, trips) - 1, digits.shape[1:])
        return last.astype(np.int64, copy=False)

    def shifted(self, iterations: Ints, loop: int, places: int) -> Ints:
        """Return the tile iterations a number of places earlier in one loop.

        Parameters
        ----------
        iterations
            Tile iterations, shape (n,).
        loop, places
            Number of the loop, and by how many places to move back in it.

        Returns
        -------
        numpy.ndarray
            Tile iterations, shape (n,); unchanged where no earlier one exists.
        """
        wanted = self.places[:, iterations].copy()
        wanted[loop] -= places
        keys = self.keys_of(wanted)
        found = np.minimum(np.searchsorted(self.keys, keys), self.size - 1)
        exists = (self.keys[found] == keys) & (wanted[loop] >= 0)
        return np.where(exists, found, iterations)

    @cached_property
    def earlier(self) -> Ints:
        """The tile iteration one period earlier per loop, or -1: shape (depth, size).

        It is -1 where a tile iteration represents no skipped ones.
        """
        earlier = np.full(self.places.shape, -1, dtype=np.int64)
        for k, kept in enumerate(self.kept):
            if not kept.cuts:
                continue
            periods = kept.period_lengths[self.places[k]]
            representing = np.flatnonzero(periods)
            places = self.places[:, representing].copy()
            places[k] -= periods[representing]
            keys = self.keys_of(places)
            found = np.minimum(np.searchsorted(self.keys, keys), self.size - 1)
            if (self.keys[found] != keys).any():
                raise IrregularError("a tile iteration one period earlier does not exist")
            earlier[k, representing] = found
        return earlier


class IrregularError(Exception):
    """Skipped tile iterations are not translates of the sampled ones that represent them."""


def joint_tile_keys(some: Sequence[IterationTable], depth: int) -> Ints:
    """Return the keys of the tiles at a depth that exist for any of some leaves.

    Parameters
    ----------
    some
        The tile iterations of the leaves.
    depth
        Number of outer loops that index the tiles; the leaves share these loops.

    Returns
    -------
    numpy.ndarray
        Keys, increasing, shape (tiles,).
    """
    keys = np.sort(np.concatenate([t.prefix_keys(depth)[t.firsts(depth)] for t in some]))
    return keys[np.concatenate(([True], keys[1:] != keys[:-1]))]


def first_unit_indices(leaf: Leaf, variable: str, position: int) -> dict[int, Ints | int]:
    """Return index 0 for the Spatial loops over a variable above a position.

    Units run at the same time, and no unit has more iterations than the first one. So a tile
    iteration exists if it exists for the first unit.

    Parameters
    ----------
    leaf, variable
        The leaf and its rank variable.
    position
        A position on the path.

    Returns
    -------
    dict
        Position of a Spatial loop → 0.
    """
    return {
        p: 0
        for p, loop in enumerate(leaf.loops[:position])
        if loop.variable == variable and loop.unit is not None
    }
