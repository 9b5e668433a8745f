"""The flow of one tensor from the leaf that brings it into a shared storage to a reader."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod

import numpy as np

from polylat.errors import MappingError, TooLargeError
from polylat.lowering.corners import Corners
from polylat.lowering.dependences.exchange_groups import (
    ExchangeEnds,
    GroupFlow,
    LastFunction,
)
from polylat.lowering.dependences.tables import MOST_PAIRS, find_row_ranges, first_of_each_group
from polylat.lowering.groups import joint_groups
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.lowering.sampling import LoopSample
from polylat.schedule.arrays import Ints, Mask, concatenated_ranges
from polylat.spec.workload import Projection

__all__ = ["Exchange"]


_READER, _BRINGER, _PRODUCER = range(3)
"""Numbers of the sides of an exchange: of its accesses."""


class Exchange(ExchangeEnds):
    """A leaf that reads a tensor in a shared storage, and the leaf that brings it there.

    The two are the same leaf where an Einsum reads what it computed before. Parameters: see
    `ExchangeEnds`.

    Notes
    -----
    The dependences are exact, element by element, as in array dataflow analysis (Feautrier 1991).
    Elements that the producer computes nowhere are padding: nothing has to bring them.

    Within a tile of a storage, an element is one that the producer brings if it is so in every
    group of variables. The others are the union, over the groups, of those that are not so in this
    group: one part each.
    """

    def groups(self, equal_depth: int) -> Iterator[GroupFlow]:
        """Split both leaves' variables into groups that ranks and shared loops tie together.

        Parameters
        ----------
        equal_depth
            Number of shared Temporal loops whose indices are equal on both sides. Those of Spatial
            loops above the storage always are.

        Yields
        ------
        GroupFlow
            A group.
        """
        shared = []
        temporal = 0
        for p, loop in enumerate(self.reader.loops):
            if loop.unit is None:
                if temporal < equal_depth:
                    shared.append(p)
                temporal += 1
            elif p < self.holder.position:
                shared.append(p)
        accesses = [(self.reader, self.read), (self.bringer, self.brought)]
        tied = [(_BRINGER, p) for p in shared]
        computing = _BRINGER
        if self.producer is not None and not self.produces:
            computing = _PRODUCER
            accesses.append((self.producer, self.producer.einsum.written(self.tensor)))
        if self.apart is not None:
            assert self.producer is not None, "what it brings does not count"
            tied += [(computing, p) for p in range(self.apart_position)]
        for variables, ranks in joint_groups(accesses, tied):
            members = [
                (side, leaf.einsum.rank_variables.index(v))
                for side, ((leaf, _), own) in enumerate(zip(accesses, variables, strict=True))
                for v in own
            ]
            yield GroupFlow(
                self,
                variables[_READER],
                variables[_BRINGER],
                variables[computing],
                ranks,
                [p for p in shared if self.reader.loops[p].variable in variables[_READER]],
                first=members[0],
                without=self.part in members,
            )

    def of_part(self, part: tuple[int, int] | None) -> Exchange:
        """Return the exchange of one part.

        Parameters
        ----------
        part
            One of `parts`.

        Returns
        -------
        Exchange
            The exchange.
        """
        ends = self.reader, self.bringer, self.tensor, self.level, self.producer
        return Exchange(*ends, self.read, self.brought, self.apart, part)

    def parts(self) -> tuple[tuple[int, int] | None, ...]:
        """Return the parts of the exchange that have elements.

        Returns
        -------
        tuple
            Values of `part`; None alone where all elements count.
        """
        if self.apart is None or self.producer is None:
            return (None,)
        if self._constants_apart(self.producer.einsum.written(self.tensor)) is not None:
            return (None,)
        return _existing_parts(_Shape(self._shape, self))

    def check(self) -> bool:
        """Check that every element that the reader reads was brought in the same residency.

        Returns
        -------
        bool
            Whether some elements were not, as they are padding.

        Raises
        ------
        MappingError
            An element is read that was not brought, although the producer computes it (or, without
            a producer, although it is an input).
        """
        return _is_padded(_Shape(self._shape, self))

    @cached_property
    def _shape(self) -> Hashable:
        """The exchange without names: what the relations of its groups depend on."""
        leaves: list[Leaf] = []

        def number(leaf: Leaf) -> int:
            known = next((i for i, other in enumerate(leaves) if other is leaf), len(leaves))
            if known == len(leaves):
                leaves.append(leaf)
            return known

        def side(leaf: Leaf | None, projection: Projection | None) -> Hashable:
            if leaf is None or projection is None:
                return None
            at = leaf.einsum.access(self.tensor).projections.index(projection)
            return number(leaf), leaf.shape, leaf.einsum.tensors.index(self.tensor), at

        written = None
        if self.producer is not None:
            written = self.producer.einsum.written(self.tensor)
        return (
            side(self.reader, self.read),
            side(self.bringer, self.brought),
            side(self.producer, written),
            self.produces,
            self.level,
            self.apart,
            self.part,
        )

    def _lasts(self, equal_depth: int, depth: int, bringer_depth: int) -> tuple[LastFunction, ...]:
        """Return `GroupFlow.last` of every group."""
        return _last_functions(_Shape(self._shape, self), equal_depth, depth, bringer_depth)

    def _check(self) -> bool:
        groups = list(self.groups(self.holder.depth))
        apart = self._constants_apart(self.brought)
        if apart is None and all(group.missing(whole=True) is None for group in groups):
            return False
        if self.producer is not None:
            # An element is computed if its indices are, in every group.
            written = self.producer.einsum.written(self.tensor)
            if self._constants_apart(written) is not None:
                return True
            if not all(group.reads_computed() for group in groups):
                return True
        if apart is not None:
            raise self._nothing_there(
                f"at rank {self.reader.einsum.access(self.tensor).ranks[apart]}"
            )
        for group in groups:
            point = group.missing(whole=self.producer is None)
            if point is not None:
                raise self._nothing_there(point)
        return True

    def _constants_apart(self, other: Projection) -> int | None:
        """Return a rank at which the reader and another leaf have different constant indices."""
        for r, (a, b) in enumerate(zip(self.read, other, strict=True)):
            if not a.variables and not b.variables and a.constant != b.constant:
                return r
        return None

    def _nothing_there(self, where: str) -> MappingError:
        reader, bringer = self.reader.einsum.name, self.bringer.einsum.name
        did = "produces" if self.produces else "fills"
        return MappingError(
            f"Einsum {reader!r} reads elements of tensor {self.tensor!r} in"
            f" {self.holder.component!r} that are not there: {bringer!r} {did} the tile, but"
            f" not {where}",
            where=self.reader.where or self.holder.where or "mapping",
            fix=f"hold {self.tensor!r} above the loops that separate the two Einsums, or make"
            " their tiles match",
        )

    def last_within(
        self,
        tiles: IterationTable,
        depth: int,
        events: Ints,
        bringer_tiles: IterationTable,
        equal_depth: int,
    ) -> tuple[Ints, Mask]:
        """Return the last tile iteration of the bringer that each reading depends on.

        Parameters
        ----------
        tiles, depth, events
            The reader's tile iterations, the depth of the tiles that it reads, and the tile
            iterations that read, shape (n,).
        bringer_tiles
            The bringer's tile iterations.
        equal_depth
            Number of shared Temporal loops whose indices are equal on both sides.

        Returns
        -------
        (digits, exists)
            Loop indices, shape (depth of `bringer_tiles`, n), and whether such a tile iteration
            exists, shape (n,): if not, all elements that are read are padding, or none were brought
            with these indices.
        """
        digits = np.zeros((bringer_tiles.depth, len(events)), dtype=np.int64)
        exists = np.full(len(events), self._constants_apart(self.brought) is None)
        for loops, columns, function in self._lasts(equal_depth, depth, bringer_tiles.depth):
            rows = _columns(tiles, loops, lambda kept: kept.digits)
            values, defined = function.at(rows)
            at = _row_numbers(tiles, loops, events)
            exists &= defined[at]
            for k, column in zip(columns, values.T, strict=True):
                digits[k] = column[at]
        return digits, exists

    def last_on_boxes(
        self,
        tiles: IterationTable,
        depth: int,
        events: Ints,
        bringer_tiles: IterationTable,
        equal_depth: int,
    ) -> tuple[Ints, Ints, Mask, Mask]:
        """Return how the bringer's last tile iteration moves with the skipped readings.

        Parameters
        ----------
        tiles, depth, events, bringer_tiles, equal_depth
            As for `last_within`. Each of `events` represents a box of tile iterations, k[l] periods
            later in loop l.

        Returns
        -------
        (digits, slopes, affine, absent)
            Loop indices for k = 0, shape (depth of `bringer_tiles`, n); their increase per period
            of each of the reader's loops, shape (depth of `bringer_tiles`, depth of `tiles`, n);
            whether such a tile iteration exists for all k and moves like that, shape (n,); and
            whether it exists for no k, shape (n,).
        """
        digits = np.zeros((bringer_tiles.depth, len(events)), dtype=np.int64)
        slopes = np.zeros((bringer_tiles.depth, tiles.depth, len(events)), dtype=np.int64)
        absent = np.full(len(events), self._constants_apart(self.brought) is not None)
        affine = ~absent
        for loops, columns, function in self._lasts(equal_depth, depth, bringer_tiles.depth):
            corners = Corners(
                _columns(tiles, loops, lambda kept: kept.digits),
                _columns(tiles, loops, lambda kept: kept.period_lengths),
                _columns(tiles, loops, lambda kept: kept.skipped_periods),
                tuple(range(len(loops))),
            )
            values, moves, good, never = function.on_boxes(corners)
            at = _row_numbers(tiles, loops, events)
            affine &= good[at]
            absent |= never[at]
            for i, column in enumerate(columns):
                digits[column] = values[at, i]
                for j, k in enumerate(loops):
                    slopes[column, k] = moves[at, i, j]
        return digits, slopes, affine, absent

    def write_back_pairs(
        self,
        bringer_tiles: IterationTable,
        written: Ints,
        within: int,
        tiles: IterationTable,
        depth: int,
        events: Ints,
        all_pairs: bool,
    ) -> tuple[Ints, Ints]:
        """Return the pairs of a write-back and a reading that share an element.

        Parameters
        ----------
        bringer_tiles, written
            The producer's tile iterations, and those that write back.
        within
            Number of loops above the parts of the producer's tile that are written back at once.
        tiles, depth, events
            As for `last_within`.
        all_pairs
            Whether to return all pairs, or per write-back only the first reading: the later ones
            start later.

        Returns
        -------
        (writes, reads)
            Positions in `written` and in `events`, shape (pairs,) each.

        Raises
        ------
        TooLargeError
            There are too many pairs.
        """
        inner = self.bringer.storages(self.tensor)[self.level + 1].depth
        writes = np.arange(len(written))
        digits = np.zeros((depth, len(written)), dtype=np.int64)
        for group in self.groups(self.holder.depth):
            write_loops, read_loops, pairs = group.brought_pairs(within, inner, depth)
            if not all_pairs:
                pairs = first_of_each_group(pairs, len(write_loops))
            lengths, starts = find_row_ranges(bringer_tiles, write_loops, pairs, written[writes])
            if lengths.sum() > MOST_PAIRS:
                raise TooLargeError(
                    f"separate write-backs of tensor {self.tensor!r} have more than"
                    f" {MOST_PAIRS} readings",
                    fix="use larger tiles, or granularity='tile'",
                )
            repeat, rows = concatenated_ranges(starts, lengths)
            writes, digits = writes[repeat], digits[:, repeat]
            for column, k in enumerate(read_loops):
                digits[k] = pairs[rows, len(write_loops) + column]
        return writes, np.searchsorted(tiles.prefix_keys(depth)[events], tiles.keys_of(digits))


@dataclass(frozen=True)
class _Shape:
    """An exchange that is equal to others if they differ in names only.

    Networks repeat their layers: the relations of equal exchanges are solved once.
    """

    key: Hashable
    pair: Exchange = field(compare=False)


@lru_cache(maxsize=1024)
def _existing_parts(shape: _Shape) -> tuple[tuple[int, int], ...]:
    pair = shape.pair
    groups = pair.groups(pair.holder.depth)
    return tuple(group.first for group in groups if group.reads_apart())


@lru_cache(maxsize=1024)
def _is_padded(shape: _Shape) -> bool:
    return shape.pair._check()


@lru_cache(maxsize=1024)
def _last_functions(
    shape: _Shape, equal_depth: int, depth: int, bringer_depth: int
) -> tuple[LastFunction, ...]:
    groups = shape.pair.groups(equal_depth)
    return tuple(group.last(depth, bringer_depth) for group in groups)


def _columns(tiles: IterationTable, loops: Sequence[int], of: Callable[[LoopSample], Ints]) -> Ints:
    """Return a number per place, for all combinations of places of some loops: one row each."""
    shape = tuple(tiles.kept[k].count for k in loops)
    rows = np.zeros((prod(shape), len(loops)), dtype=np.int64)
    for column, (k, places) in enumerate(zip(loops, np.indices(shape), strict=True)):
        rows[:, column] = of(tiles.kept[k])[places.reshape(-1)]
    return rows


def _row_numbers(tiles: IterationTable, loops: Sequence[int], events: Ints) -> Ints:
    """Return the row in `_columns` of each tile iteration."""
    at = np.zeros(len(events), dtype=np.int64)
    for k in loops:
        at = at * tiles.kept[k].count + tiles.places[k][events]
    return at
