"""Counting elements: of a tile, touched first, touched last; one group of variables at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.relations import GroupText, Runs, set_text, solve
from polylat.lowering.scan import LARGEST_TABLE, Ints
from polylat.lowering.tiles import Tiles, interval, tied_groups
from polylat.spec.affine import Affine

__all__ = ["GroupCount", "operations"]

_REMEMBERED = 100_000
"""Tables up to this size are kept."""


class GroupCount:
    """Counts for one group of variables and the indices that they make.

    A group of one variable is counted in closed form: its tiles are intervals. Larger groups
    (windows, constraints that tie variables together) are asked of ISL.
    """

    def __init__(self, tiles: Tiles, variables: Sequence[str], indices: Sequence[Affine]) -> None:
        self.tiles = tiles
        self.leaf = tiles.leaf
        self.variables = tuple(variables)
        self.indices = tuple(indices)
        self.loops = [
            k for k, loop in enumerate(self.leaf.temporal) if loop.variable in self.variables
        ]
        self.positions = [p for p, loop in enumerate(self.leaf.loops) if loop.unit is None]
        self.kept = dict(enumerate(tiles.kept))
        self.tied = any(set(c.variables) & set(self.variables) for c in self.leaf.coupled)

    @property
    def simple(self) -> bool:
        """Whether it is one variable that nothing ties to another."""
        return len(self.variables) == 1 and not self.tied

    def footprint(self, depth: int, summed: Sequence[int], above: range) -> Ints:
        """Elements of a tile at `depth`, for each tile iteration in it."""
        loops = self._within(depth)
        if self.simple:
            lengths = self._lengths(loops, self._mine(summed), above)
            table = lengths if self.indices else np.minimum(lengths, 1)
            return self._look_up(loops, _sum_tail(table, len(loops)))
        found = self._points(loops, summed, above)
        return self._tally(loops, found)

    def first(self, depth: int, summed: Sequence[int], above: range) -> Ints:
        """Elements of a tile at `depth` that no earlier tile touches."""
        loops = self._within(depth)
        if self.simple:
            table = self._lengths(loops, self._mine(summed), above)
            if not self.indices:
                table = _first_existing(table > 0, len(loops))
            return self._look_up(loops, _sum_tail(table, len(loops)))
        found = self._extreme(loops, [], summed, above, "lexmin")
        return self._tally(loops, found)

    def last(self, depth: int, summed: Sequence[int], above: range) -> Ints:
        """Elements that a tile iteration touches last within its tile at `depth`."""
        loops = self._within(self.tiles.depth)
        outer = self._within(depth)
        if self.simple:
            # Below the storage an element belongs to one unit (if its index depends on it): sum
            # over the units of Spatial loops that a loop of the tile iteration stands in.
            innermost = max((self.positions[k] for k in loops), default=-1)
            below = [p for p in self._spatial() if p not in above and p < innermost]
            mine = sorted({*self._mine(summed), *(below if self.indices else ())})
            table = self._lengths(loops, mine, range(max(len(above), innermost)))
            if not self.indices:
                table = _last_existing(table > 0, len(outer), len(loops))
            return self._look_up(loops, _sum_tail(table, len(loops)))
        inner = [k for k in loops if k not in outer]
        found = self._extreme(outer, inner, summed, above, "lexmax")
        order = [*outer, *inner]
        columns = [order.index(k) for k in loops]
        return self._tally(loops, found[:, columns])

    def operations(self, summed: Sequence[int]) -> Ints:
        """Operations of a tile iteration: the first unit's, or summed over units."""
        loops = self._within(self.tiles.depth)
        if self.simple:
            everywhere = range(len(self.leaf.loops))
            table = self._lengths(loops, self._mine(summed), everywhere)
            return self._look_up(loops, _sum_tail(table, len(loops)))
        mine = self._mine(summed)
        zero = [p for p, loop in enumerate(self.leaf.loops) if loop.unit and p not in mine]
        text = GroupText(self.leaf, self.variables, "x", self._shown(loops, mine), zero)
        dims = [*self._names(text, loops, mine), *text.values.values()]
        hidden = [h for h in text.hidden if h not in dims]
        keep = self._keep(loops)
        return self._tally(loops, solve(set_text(dims, hidden, text.conditions), keep=keep))

    def _within(self, depth: int) -> list[int]:
        return [k for k in self.loops if k < depth]

    def _mine(self, positions: Sequence[int]) -> list[int]:
        return [p for p in positions if self.leaf.loops[p].variable in self.variables]

    def _spatial(self) -> list[int]:
        return [
            p
            for p, loop in enumerate(self.leaf.loops)
            if loop.unit is not None and loop.variable in self.variables
        ]

    def _shown(self, loops: Sequence[int], spatial: Sequence[int]) -> list[int]:
        return [*(self.positions[k] for k in loops), *spatial]

    def _names(self, text: GroupText, loops: Sequence[int], spatial: Sequence[int]) -> list[str]:
        return [text.shown[p] for p in self._shown(loops, spatial)]

    def _lengths(self, loops: Sequence[int], summed: Sequence[int], first_unit: range) -> Ints:
        """Length of the variable's tile: axes are the loops, then the units summed over.

        Other Spatial loops stand at their first unit where `first_unit` has their position, and
        are left out (all units together) elsewhere. Temporal loops that are not shown but stand
        above a Spatial loop that is count in full: a unit's tile is what it gets of all of them.
        """
        variable = self.variables[0]
        mine = [p for p, loop in enumerate(self.leaf.loops) if loop.variable == variable]
        spatial = [p for p in mine if self.leaf.loops[p].unit is not None]
        shown = self._shown(loops, summed)
        fixed = [p for p in spatial if p in first_unit and p not in shown]
        key = variable, tuple(loops), tuple(summed), tuple(fixed)
        known = self.tiles.lengths.get(key)
        if known is not None:
            return known
        innermost = max([*summed, *fixed], default=-1)
        inside = [p for p in mine if p < innermost and p not in shown and p not in spatial]
        axes = [self.kept[k].digits for k in loops]
        axes += [np.arange(self.leaf.trips[p]) for p in (*summed, *inside)]
        shape = tuple(len(axis) for axis in axes)
        if prod(shape) > LARGEST_TABLE:
            raise TooLargeError(
                f"the loops over {variable!r} of Einsum {self.leaf.einsum.name!r} have"
                f" {prod(shape)} tiles to count",
                where=self.leaf.where or "mapping",
                mend="use larger tiles",
            )
        digits: dict[int, Ints | int] = dict.fromkeys(fixed, 0)
        for i, (p, axis) in enumerate(zip((*shown, *inside), axes, strict=True)):
            digits[p] = axis.reshape([-1 if i == j else 1 for j in range(len(axes))])
        start, end = interval(self.leaf, variable, digits)
        lengths: Ints = np.broadcast_to(np.maximum(np.asarray(end - start), 0), shape)
        total = _sum_tail(lengths, len(shown))
        if total.size <= _REMEMBERED:
            self.tiles.lengths[key] = total
        return total

    def _look_up(self, loops: Sequence[int], table: Ints) -> Ints:
        """Table over the places of the loops' indices → per tile iteration."""
        if not loops:
            return np.full(self.tiles.size, int(table), dtype=np.int64)
        index = np.zeros(self.tiles.size, dtype=np.int64)
        for k in loops:
            index = index * self.kept[k].count + self.tiles.places[k]
        return np.ascontiguousarray(table).reshape(-1)[index]

    def _tally(self, loops: Sequence[int], found: Ints) -> Ints:
        """Number of rows for each value of the first columns, the loops' indices."""
        shape = [self.kept[k].count for k in loops]
        index = np.zeros(len(found), dtype=np.int64)
        for column, (k, radix) in enumerate(zip(loops, shape, strict=True)):
            index = index * radix + np.searchsorted(self.kept[k].digits, found[:, column])
        size = int(np.prod(shape, dtype=np.int64))
        table = np.bincount(index, minlength=size).astype(np.int64)
        return self._look_up(loops, table.reshape(shape))

    def _text(self, loops: Sequence[int], summed: Sequence[int], above: range) -> GroupText:
        mine = self._mine(summed)
        zero = [p for p in above if self.leaf.loops[p].unit is not None and p not in mine]
        return GroupText(self.leaf, self.variables, "x", self._shown(loops, mine), zero)

    def _keep(self, loops: Sequence[int], columns: Sequence[int] | None = None) -> Runs:
        """The iterations that are looked at, for the columns of a table that are loops."""
        places = range(len(loops)) if columns is None else columns
        return tuple(
            (column, self.kept[k].runs)
            for column, k in zip(places, loops, strict=True)
            if self.kept[k].cuts
        )

    def _elements(self, text: GroupText) -> tuple[list[str], list[str]]:
        names = [f"z{i}" for i in range(len(self.indices))]
        equal = [
            f"{name} = {text.index(index)}" for name, index in zip(names, self.indices, strict=True)
        ]
        return names, equal

    def _points(self, loops: Sequence[int], summed: Sequence[int], above: range) -> Ints:
        text = self._text(loops, summed, above)
        names, equal = self._elements(text)
        dims = [*self._names(text, loops, self._mine(summed)), *names]
        keep = self._keep(loops)
        return solve(set_text(dims, text.hidden, [*text.conditions, *equal]), keep=keep)

    def _extreme(
        self,
        outer: Sequence[int],
        inner: Sequence[int],
        summed: Sequence[int],
        above: range,
        want: str,
    ) -> Ints:
        """Per element (and outer index, and unit) its first or last toucher; outer ones first.

        For the first toucher of all, `outer` are the loops compared and `inner` is empty.
        """
        compared = list(inner) if want == "lexmax" else list(outer)
        fixed = list(outer) if want == "lexmax" else []
        mine = self._mine(summed)
        text = self._text([*fixed, *compared], summed, above)
        names, equal = self._elements(text)
        source = [*(text.shown[self.positions[k]] for k in fixed), *names]
        source += [text.shown[p] for p in mine]
        target = [text.shown[self.positions[k]] for k in compared]
        relation = set_text([*source, *target], text.hidden, [*text.conditions, *equal])
        columns = [*range(len(fixed)), *range(len(source), len(source) + len(target))]
        found = solve(relation, want, len(source), keep=self._keep([*fixed, *compared], columns))
        return found[:, columns]


def operations(tiles: Tiles) -> Ints:
    """Operations of each tile iteration (the first unit's)."""
    counts = np.ones(tiles.size, dtype=np.int64)
    for variables in tied_groups(tiles.leaf):
        counts = counts * GroupCount(tiles, variables, ()).operations(())
    return counts


def _sum_tail(table: Ints, axes: int) -> Ints:
    """Sum over all axes but the first ones."""
    total: Ints = table.sum(axis=tuple(range(axes, table.ndim)), dtype=np.int64)
    return total


def _first_existing(exists: np.ndarray, axes: int) -> Ints:
    """1 where an index is the first that exists (for each unit), over the first axes."""
    flat = exists.reshape(int(np.prod(exists.shape[:axes], dtype=np.int64)), -1)
    first = np.zeros(flat.shape, dtype=np.int64)
    units = np.arange(flat.shape[1])
    first[flat.argmax(axis=0), units] = flat.any(axis=0)
    return first.reshape(exists.shape)


def _last_existing(exists: np.ndarray, outer: int, axes: int) -> Ints:
    """1 where an index is the last that exists, for each outer index and each unit."""
    head = int(np.prod(exists.shape[:outer], dtype=np.int64))
    body = int(np.prod(exists.shape[outer:axes], dtype=np.int64))
    flat = exists.reshape(head, body, -1)
    last = np.zeros(flat.shape, dtype=np.int64)
    where = body - 1 - flat[:, ::-1].argmax(axis=1)
    rows, units = np.indices(where.shape)
    last[rows, where, units] = flat.any(axis=1)
    return last.reshape(exists.shape)
