"""The flow of one tensor from the leaf that brings it into a shared storage to a reader."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod

import numpy as np

from polylat.errors import MappingError, TooLargeError
from polylat.lowering.corners import Corners
from polylat.lowering.dependences.tables import (
    MOST_PAIRS,
    equal_row_pairs,
    find_row_ranges,
    first_of_each_group,
    last_of_each_group,
)
from polylat.lowering.groups import (
    GroupText,
    connected_groups,
    element_points,
    elements_text,
    last_targets,
    loops_over,
    missing_point,
    solve_group,
)
from polylat.lowering.isl_text import set_text
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.lowering.points import PiecewiseAffine
from polylat.lowering.sampling import LoopSample
from polylat.lowering.sharing import SourceHolder
from polylat.lowering.tabulated import TabulatedFunction
from polylat.schedule.arrays import Ints, Mask, concatenated_ranges
from polylat.spec.affine import Affine

__all__ = ["Exchange"]

_Function = PiecewiseAffine | TabulatedFunction

_Last = tuple[list[int], list[int], _Function]
"""Loops of the reader and of the bringer, and reader indices → last indices of the bringer."""

_MOST_VALUES = 1 << 22
"""Up to this number of values of the variables, a function may be tabulated instead."""

_OPERATIONS = 20_000
"""Number of ISL's operations after which a function is tabulated: some hundredths of a second."""


class Exchange:
    """A leaf that reads a tensor in a shared storage, and the leaf that brings it there.

    Parameters
    ----------
    reader, bringer
        The leaves; the bringer produces the tensor or fills the storage.
    tensor, level
        The tensor, and the index of the shared storage among its storages.
    producer
        The leaf that produces the tensor; None if there is none.

    Notes
    -----
    The dependences are exact, element by element, as in array dataflow analysis (Feautrier 1991).
    Elements that the producer computes nowhere are padding: nothing has to bring them.
    """

    def __init__(
        self, reader: Leaf, bringer: Leaf, tensor: str, level: int, producer: Leaf | None
    ) -> None:
        self.reader = reader
        self.bringer = bringer
        self.tensor = tensor
        self.level = level
        self.producer = producer
        self.holder = reader.storages(tensor)[level]

    @classmethod
    def of(cls, leaves: Sequence[Leaf], reader: int, tensor: str, source: SourceHolder) -> Exchange:
        """Return the exchange by which a leaf finds an input.

        Parameters
        ----------
        leaves
            The leaves of the mapping.
        reader, tensor
            The number of the leaf that reads, and its input.
        source
            The holder in which it finds the input, which another leaf brings there.

        Returns
        -------
        Exchange
            The exchange.
        """
        assert source.leaf is not None, "the input is there from the start"
        producer = None if source.producer is None else leaves[source.producer]
        return cls(leaves[reader], leaves[source.leaf], tensor, source.level, producer)

    def groups(self, equal_depth: int) -> Iterator[_Group]:
        """Split both leaves' variables into groups that ranks and shared loops tie together.

        Parameters
        ----------
        equal_depth
            Number of shared Temporal loops whose indices are equal on both sides. Those of Spatial
            loops above the storage always are.

        Yields
        ------
        _Group
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
        sides = {"r": self.reader, "b": self.bringer}
        if self.producer is not None and self.producer is not self.bringer:
            sides["p"] = self.producer
        indices: list[list[str]] = [[] for _ in self.reader.einsum.access(self.tensor).projection]
        for side, leaf in sides.items():
            for index, own in zip(indices, self._projection(leaf), strict=True):
                index += [f"{side}.{v}" for v in own.variables]
        ties = [[f"r.{self.reader.loops[p].variable}"] for p in shared]
        for tie, p in zip(ties, shared, strict=True):
            tie.append(f"b.{self.bringer.loops[p].variable}")
        names = []
        for side, leaf in sides.items():
            ties += [[f"{side}.{v}" for v in c.variables] for c in leaf.coupled]
            names += [f"{side}.{v}" for v in leaf.einsum.rank_variables]
        for members, ranks in connected_groups(names, indices, ties):
            of = {side: [m[2:] for m in members if m[0] == side] for side in sides}
            yield _Group(self, of["r"], of["b"], of.get("p", of["b"]), ranks, shared)

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

        def side(leaf: Leaf) -> Hashable:
            return leaf.shape, leaf.einsum.tensors.index(self.tensor)

        producer: Hashable = None
        if self.producer is not None:
            producer = "bringer" if self.producer is self.bringer else side(self.producer)
        alone = self.reader is self.bringer
        return side(self.reader), side(self.bringer), producer, alone, self.level

    def _lasts(self, equal_depth: int, depth: int, bringer_depth: int) -> tuple[_Last, ...]:
        """Return `_Group.last` of every group."""
        return _last_functions(_Shape(self._shape, self), equal_depth, depth, bringer_depth)

    def _check(self) -> bool:
        groups = list(self.groups(self.holder.depth))
        apart = self._constants_apart(self.bringer)
        if apart is None and all(group.missing(whole=True) is None for group in groups):
            return False
        if self.producer is not None:
            # An element is computed if its indices are, in every group.
            if self._constants_apart(self.producer) is not None:
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

    def _projection(self, leaf: Leaf) -> tuple[Affine, ...]:
        return tuple(leaf.einsum.access(self.tensor).projection)

    def _constants_apart(self, leaf: Leaf) -> int | None:
        """Return a rank at which the reader and another leaf have different constant indices."""
        pairs = zip(self._projection(self.reader), self._projection(leaf), strict=True)
        for r, (a, b) in enumerate(pairs):
            if not a.variables and not b.variables and a.constant != b.constant:
                return r
        return None

    def _nothing_there(self, where: str) -> MappingError:
        reader, bringer = self.reader.einsum.name, self.bringer.einsum.name
        did = "produces" if self.tensor in self.bringer.einsum.outputs else "fills"
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
        exists = np.full(len(events), self._constants_apart(self.bringer) is None)
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
        absent = np.full(len(events), self._constants_apart(self.bringer) is not None)
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
def _is_padded(shape: _Shape) -> bool:
    return shape.pair._check()


@lru_cache(maxsize=1024)
def _last_functions(
    shape: _Shape, equal_depth: int, depth: int, bringer_depth: int
) -> tuple[_Last, ...]:
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


class _Group:
    """One group of a pair's variables, as ISL relations."""

    def __init__(
        self,
        pair: Exchange,
        read: Sequence[str],
        brought: Sequence[str],
        computed: Sequence[str],
        ranks: Sequence[int],
        shared: Sequence[int],
    ) -> None:
        self.pair = pair
        self.read = read
        self.brought = brought
        self.computed = computed
        self.ranks = ranks
        self.shared = [p for p in shared if pair.reader.loops[p].variable in read]

    def missing(self, *, whole: bool) -> str | None:
        """Describe an element of a residency that is read and was not brought; None if none.

        `whole`: it may be padding.
        """
        pair = self.pair
        brought = elements_text(
            pair.bringer, self.brought, self._indices(pair.bringer), self.shared
        )[0]
        point = missing_point(self._wanted, brought, "" if whole else self._image)
        if point is None:
            return None
        names = [pair.reader.loops[p].variable for p in self.shared]
        names += [pair.reader.einsum.access(pair.tensor).ranks[r] for r in self.ranks]
        element = ", ".join(
            f"{n}={x}"
            for n, x in zip(names[len(self.shared) :], point[len(self.shared) :], strict=True)
        )
        tile = ", ".join(
            f"{n}: {x}" for n, x in zip(names, point[: len(self.shared)], strict=False)
        )
        return f"{element or 'in this tile'}" + (f" (tile {tile})" if tile else "")

    def reads_computed(self) -> bool:
        """Return whether the reader reads any element whose indices the producer computes."""
        return missing_point(self._wanted, "", self._image) is not None

    @cached_property
    def _wanted(self) -> str:
        """The set of (shared loops, elements that are read)."""
        reader = self.pair.reader
        return elements_text(reader, self.read, self._indices(reader), self.shared)[0]

    @cached_property
    def _image(self) -> str:
        """The set of (any indices of shared loops, elements that the producer computes)."""
        producer = self.pair.producer
        assert producer is not None, "padding is what a producer does not compute"
        text = GroupText(producer, self.computed, "x", ())
        names = [f"z{i}" for i in range(len(self.ranks))]
        equal = [
            f"{n} = {text.index(i)}" for n, i in zip(names, self._indices(producer), strict=True)
        ]
        dims = [*(f"s{p}" for p in self.shared), *names]
        return set_text(dims, text.hidden, [*text.conditions, *equal])

    def _points(
        self,
        leaf: Leaf,
        variables: Sequence[str],
        shown: Sequence[int],
        inner: Sequence[int] = (),
    ) -> Ints:
        return element_points(leaf, variables, self._indices(leaf), shown, inner)

    def _indices(self, leaf: Leaf) -> list[Affine]:
        projection = self.pair._projection(leaf)
        return [projection[r] for r in self.ranks]

    def last(self, depth: int, bringer_depth: int) -> _Last:
        """Return loops of reader and bringer, and reader indices → last indices of the bringer."""
        pair = self.pair
        reader_loops, reader_shown = loops_over(pair.reader, self.read, depth)
        bringer_loops, bringer_shown = loops_over(pair.bringer, self.brought, bringer_depth)
        reader = GroupText(pair.reader, self.read, "r", [*reader_shown, *self.shared])
        bringer = GroupText(pair.bringer, self.brought, "b", [*bringer_shown, *self.shared])
        read = pair.reader.einsum.access(pair.tensor).projection
        brought = pair.bringer.einsum.access(pair.tensor).projection
        conditions = [*reader.conditions, *bringer.conditions]
        conditions += [f"{reader.index(read[r])} = {bringer.index(brought[r])}" for r in self.ranks]
        conditions += [f"{reader.shown[p]} = {bringer.shown[p]}" for p in self.shared]
        source = [reader.shown[p] for p in reader_shown]
        target = [bringer.shown[p] for p in bringer_shown]
        hidden = [*reader.hidden, *bringer.hidden]
        hidden += [reader.shown[p] for p in self.shared if p not in reader_shown]
        hidden += [bringer.shown[p] for p in self.shared if p not in bringer_shown]
        text = set_text([*source, *target], hidden, conditions)
        few = self._values(pair.reader, self.read) + self._values(pair.bringer, self.brought)
        function: _Function | None
        function = last_targets(text, len(source), _OPERATIONS if few <= _MOST_VALUES else 0)
        if function is None:
            function = self._tabulated(reader_shown, bringer_shown)
        return reader_loops, bringer_loops, function

    def _values(self, leaf: Leaf, variables: Sequence[str]) -> int:
        """Return the number of values of some variables together."""
        return prod(high - low + 1 for low, high in (leaf.ranges[v] for v in variables))

    def _tabulated(
        self, reader_shown: Sequence[int], bringer_shown: Sequence[int]
    ) -> TabulatedFunction:
        """Return the function of `last`, from all elements that both sides access."""
        pair, shared = self.pair, self.shared
        inner = [p for p in bringer_shown if p not in shared]
        text, _ = elements_text(
            pair.bringer, self.brought, self._indices(pair.bringer), shared, inner
        )
        brought = last_of_each_group(solve_group(text), len(shared) + len(self.ranks))
        units = [p for p in shared if p not in reader_shown]
        read = self._points(pair.reader, self.read, [*reader_shown, *units])
        size = len(reader_shown)
        keys = [
            reader_shown.index(p) if p in reader_shown else size + units.index(p) for p in shared
        ]
        keys += [size + len(units) + i for i in range(len(self.ranks))]
        left, right = equal_row_pairs(brought[:, : len(keys)], read[:, keys])
        columns = [
            shared.index(p) if p in shared else len(keys) + inner.index(p) for p in bringer_shown
        ]
        rows = np.column_stack((read[right][:, :size], brought[left][:, columns]))
        last = last_of_each_group(rows[np.lexsort(rows.T[::-1])] if rows.shape[1] else rows, size)
        return TabulatedFunction(last[:, :size], last[:, size:])

    def brought_pairs(
        self, bringer_depth: int, inner_depth: int, depth: int
    ) -> tuple[list[int], list[int], Ints]:
        """Return pairs of loop indices of a write-back and a reading that share an element.

        A write-back brings the elements that its tile iteration updates last within the tile of
        the producer's storage below the shared one, which is at `inner_depth`.
        """
        pair = self.pair
        bringer_loops, bringer_shown = loops_over(pair.bringer, self.brought, bringer_depth)
        outer = [p for k, p in zip(bringer_loops, bringer_shown, strict=True) if k < inner_depth]
        inner = [p for p in bringer_shown if p not in outer]
        reader_loops, reader_shown = loops_over(pair.reader, self.read, depth)
        units = [p for p in self.shared if pair.bringer.loops[p].unit is not None]
        brought = self._points(pair.bringer, self.brought, [*outer, *units], inner)
        read = self._points(pair.reader, self.read, [*reader_shown, *units])
        # Columns: outer loops, units, elements, inner loops; the reader's loops, units, elements.
        a, b = len(outer), len(units)
        keys_brought = [outer.index(p) if p in outer else a + units.index(p) for p in self.shared]
        keys_brought += [a + b + i for i in range(len(self.ranks))]
        keys_read = [
            reader_shown.index(p) if p in reader_shown else len(reader_shown) + units.index(p)
            for p in self.shared
        ]
        keys_read += [len(reader_shown) + b + i for i in range(len(self.ranks))]
        left, right = equal_row_pairs(brought[:, keys_brought], read[:, keys_read])
        order = [
            outer.index(p) if p in outer else a + b + len(self.ranks) + inner.index(p)
            for p in bringer_shown
        ]
        rows = np.column_stack((brought[left][:, order], read[right][:, : len(reader_shown)]))
        return bringer_loops, reader_loops, np.unique(rows, axis=0) if rows.shape[1] else rows[:1]
