"""The two ends of an exchange, and the groups of their variables as ISL relations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from polylat.lowering.dependences.tables import equal_row_pairs, last_of_each_group
from polylat.lowering.groups import (
    GroupText,
    element_points,
    elements_text,
    last_targets,
    loops_over,
    missing_point,
    solve_group,
)
from polylat.lowering.isl_text import set_text
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.points import PiecewiseAffine
from polylat.lowering.tabulated import TabulatedFunction
from polylat.schedule.arrays import Ints
from polylat.spec.affine import Affine
from polylat.spec.workload import Projection

__all__ = ["ExchangeEnds", "GroupFlow", "LastFunction"]

_Function = PiecewiseAffine | TabulatedFunction

LastFunction = tuple[list[int], list[int], _Function]
"""Loops of the reader and of the bringer, and reader indices → last indices of the bringer."""

_MOST_VALUES = 1 << 22
"""Up to this number of values of the variables, a function may be tabulated instead."""

_OPERATIONS = 20_000
"""Number of ISL's operations after which a function is tabulated: some hundredths of a second."""


@dataclass(frozen=True, eq=False)
class ExchangeEnds:
    """A leaf that reads a tensor in a shared storage, and the leaf that brings it there.

    Parameters
    ----------
    reader, bringer
        The leaves; the bringer produces the tensor or fills the storage.
    tensor, level
        The tensor, and the index of the shared storage among its storages.
    producer
        The leaf that produces the tensor; None if there is none.
    read, brought
        The projections of the elements that are read, and that are brought.
    apart
        Number of the storage, or None: elements that the producer brings into the same tile of it
        do not count.
    part
        Of several exchanges whose elements together are those that count: the group of this one, by
        one of its variables: the number of its side, and its own. None: all elements count.

    """

    reader: Leaf
    bringer: Leaf
    tensor: str
    level: int
    producer: Leaf | None
    read: Projection
    brought: Projection
    apart: int | None = None
    part: tuple[int, int] | None = None

    @cached_property
    def holder(self) -> PathHolder:
        """The shared storage."""
        return self.reader.storages(self.tensor)[self.level]

    @property
    def produces(self) -> bool:
        """Whether the bringer produces the elements; else it fills the storage."""
        written = self.bringer.einsum.access(self.tensor).write
        return self.producer is self.bringer and self.brought == written

    @property
    def apart_position(self) -> int:
        """Number of loops above the storage `apart`."""
        assert self.apart is not None, "no elements are excepted"
        return self.reader.storages(self.tensor)[self.apart].position


@dataclass(frozen=True, eq=False)
class GroupFlow:
    """One group of the variables of an exchange, as ISL relations.

    Parameters
    ----------
    pair
        The ends of the exchange.
    read, brought, computed
        The group's variables of the reader, of the bringer, and of the producer.
    ranks
        The numbers of the tensor's ranks that the group's variables index.
    shared
        Positions of the loops, of those over the group's variables, whose indices are equal on both
        sides.
    first
        The first variable of the group: the number of the side that it belongs to, and its own.
    without
        Whether elements that the producer brings into the same tile of `apart` do not count.
    """

    pair: ExchangeEnds
    read: Sequence[str]
    brought: Sequence[str]
    computed: Sequence[str]
    ranks: Sequence[int]
    shared: Sequence[int]
    first: tuple[int, int]
    without: bool

    def missing(self, *, whole: bool) -> str | None:
        """Describe an element of a residency that is read and was not brought.

        Parameters
        ----------
        whole
            Whether it may be padding.

        Returns
        -------
        str or None
            The element and its tile; None if there is none.
        """
        pair = self.pair
        brought = elements_text(
            pair.bringer, self.brought, self._indices(pair.brought), self.shared
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
        """Return whether the reader reads any element whose indices the producer computes.

        Returns
        -------
        bool
            Whether it does.
        """
        return missing_point(self._wanted, "", self._image) is not None

    @cached_property
    def _wanted(self) -> str:
        """The set of (shared loops, elements that are read)."""
        indices = self._indices(self.pair.read)
        return elements_text(self.pair.reader, self.read, indices, self.shared)[0]

    @cached_property
    def _image(self) -> str:
        """The set of (any indices of shared loops, elements that the producer computes)."""
        return self._computed_text(self.shared, ())

    def reads_apart(self) -> bool:
        """Return whether elements are read that are not brought into the same tile of `apart`.

        Returns
        -------
        bool
            Whether there are such elements.
        """
        shown = self._above_apart()
        read = elements_text(self.pair.reader, self.read, self._indices(self.pair.read), shown)[0]
        return missing_point(read, self._computed_text(shown, shown)) is not None

    def _above_apart(self) -> list[int]:
        """Return the reader's loops above the storage `apart`, of those over the group."""
        loops = enumerate(self.pair.reader.loops[: self.pair.apart_position])
        return [p for p, loop in loops if loop.variable in self.read]

    def _computed_text(self, shown: Sequence[int], same: Collection[int]) -> str:
        """Return the text of the set of (shown loops, elements that the producer computes).

        Of the loops, those in `same` have the producer's index; the others have any.
        """
        producer = self.pair.producer
        assert producer is not None, "padding is what a producer does not compute"
        text = GroupText(producer, self.computed, "x", list(same))
        names = [f"z{i}" for i in range(len(self.ranks))]
        indices = self._indices(producer.einsum.written(self.pair.tensor))
        equal = [f"{n} = {text.index(i)}" for n, i in zip(names, indices, strict=True)]
        dims = [*(text.shown[p] if p in same else f"s{p}" for p in shown), *names]
        return set_text(dims, text.hidden, [*text.conditions, *equal])

    def _read_points(self, shown: Sequence[int]) -> Ints:
        """Return which of the reader's loop indices read which elements, those that count."""
        indices = self._indices(self.pair.read)
        if not self.without:
            return element_points(self.pair.reader, self.read, indices, shown)
        above = self._above_apart()
        every = [*shown, *(p for p in above if p not in shown)]
        text, _ = elements_text(self.pair.reader, self.read, indices, every)
        found = solve_group(text, without=self._computed_text(every, above))
        columns = [*range(len(shown)), *range(len(every), found.shape[1])]
        return np.unique(found[:, columns], axis=0) if columns else found[:1]

    def _indices(self, projection: Projection) -> list[Affine]:
        return [projection[r] for r in self.ranks]

    def last(self, depth: int, bringer_depth: int) -> LastFunction:
        """Return the function from a reading to the last tile iteration that brings its elements.

        Parameters
        ----------
        depth, bringer_depth
            Number of Temporal loops that index readings, and the bringer's tile iterations.

        Returns
        -------
        LastFunction
            The function of this group's indices.

        Raises
        ------
        TooLargeError
            A relation has too many points.
        """
        pair = self.pair
        reader_loops, reader_shown = loops_over(pair.reader, self.read, depth)
        bringer_loops, bringer_shown = loops_over(pair.bringer, self.brought, bringer_depth)
        above = self._above_apart() if self.without else []
        reader = GroupText(pair.reader, self.read, "r", [*reader_shown, *self.shared, *above])
        bringer = GroupText(pair.bringer, self.brought, "b", [*bringer_shown, *self.shared])
        conditions = [*reader.conditions, *bringer.conditions]
        conditions += [
            f"{reader.index(pair.read[r])} = {bringer.index(pair.brought[r])}" for r in self.ranks
        ]
        conditions += [f"{reader.shown[p]} = {bringer.shown[p]}" for p in self.shared]
        source = [reader.shown[p] for p in reader_shown]
        target = [bringer.shown[p] for p in bringer_shown]
        hidden = [*reader.hidden, *bringer.hidden]
        hidden += [reader.shown[p] for p in self.shared if p not in (*reader_shown, *above)]
        hidden += [bringer.shown[p] for p in self.shared if p not in bringer_shown]
        if self.without:
            every = [*reader_shown, *(p for p in above if p not in reader_shown)]
            names = [f"z{i}" for i in range(len(self.ranks))]
            equal = [
                f"{n} = {reader.index(pair.read[r])}"
                for n, r in zip(names, self.ranks, strict=True)
            ]
            dims = [*(reader.shown[p] for p in every), *names]
            text = set_text([*dims, *target], hidden, [*conditions, *equal])
            known = last_targets(
                text, len(source), without=self._computed_text(every, above), between=len(dims)
            )
            assert known is not None, "the number of operations is not limited"
            return reader_loops, bringer_loops, known
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
            pair.bringer, self.brought, self._indices(pair.brought), shared, inner
        )
        brought = last_of_each_group(solve_group(text), len(shared) + len(self.ranks))
        units = [p for p in shared if p not in reader_shown]
        read = self._read_points([*reader_shown, *units])
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

        Parameters
        ----------
        bringer_depth
            Number of loops above the parts of the producer's tile that are written back at once.
        inner_depth
            Depth of the producer's storage below the shared one: a write-back brings the elements
            that its tile iteration updates last within a tile of it.
        depth
            Number of loops that index readings.

        Returns
        -------
        (write loops, read loops, pairs)
            Numbers of loops of the producer and of the reader, and their indices, shape
            (pairs, loops).

        Raises
        ------
        TooLargeError
            There are too many pairs.
        """
        pair = self.pair
        bringer_loops, bringer_shown = loops_over(pair.bringer, self.brought, bringer_depth)
        outer = [p for k, p in zip(bringer_loops, bringer_shown, strict=True) if k < inner_depth]
        inner = [p for p in bringer_shown if p not in outer]
        reader_loops, reader_shown = loops_over(pair.reader, self.read, depth)
        units = [p for p in self.shared if pair.bringer.loops[p].unit is not None]
        brought = element_points(
            pair.bringer, self.brought, self._indices(pair.brought), [*outer, *units], inner
        )
        read = self._read_points([*reader_shown, *units])
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
