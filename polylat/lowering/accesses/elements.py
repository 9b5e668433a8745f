"""Counts of elements per group of variables: of a tile, touched first, touched last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.enumeration import tied_groups
from polylat.lowering.groups import GroupText, WantedRanges, solve_group, translates
from polylat.lowering.integer_types import Counts, count_type, tile_lengths
from polylat.lowering.isl_text import set_text
from polylat.lowering.iterations import IrregularError, IterationTable
from polylat.lowering.points import LARGEST_TABLE
from polylat.schedule.arrays import Ints, Mask
from polylat.spec.affine import Affine

__all__ = ["GroupCount", "operations"]

_REMEMBERED = 100_000
"""Maximum size of a table that is cached."""


class GroupCount:
    """Counts of elements for one group of variables.

    The tiles of a group of one variable are intervals, which are counted in closed form. Larger
    groups (windows, constraints that tie variables together) are enumerated by ISL. Counts have
    shape (size,): one number per tile iteration.

    Parameters
    ----------
    tiles
        The tile iterations of the leaf.
    variables
        The variables of the group.
    indices
        The index expressions in these variables; none to count 1 where the tile exists.
    weights
        Position of a Spatial loop whose units are summed over → a factor per unit; 1 for all units
        of a loop that is missing.
    """

    def __init__(
        self,
        tiles: IterationTable,
        variables: Sequence[str],
        indices: Sequence[Affine],
        weights: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        self.tiles = tiles
        self.weights = weights or {}
        self.leaf = tiles.leaf
        self.variables = tuple(variables)
        self.indices = tuple(indices)
        self.loops = [
            k for k, loop in enumerate(self.leaf.temporal) if loop.variable in self.variables
        ]
        self.positions = self.leaf.temporal_positions
        self.kept = dict(enumerate(tiles.kept))
        self.tied = any(set(c.variables) & set(self.variables) for c in self.leaf.coupled)

    @property
    def simple(self) -> bool:
        """Whether the group is one variable that no constraint ties to another."""
        return len(self.variables) == 1 and not self.tied

    def footprint(self, depth: int, summed: Sequence[int], above: range) -> Counts:
        """Return the number of elements of the tile that contains each tile iteration.

        Parameters
        ----------
        depth
            Number of Temporal loops above the tile.
        summed
            Positions of the Spatial loops whose units are summed over.
        above
            Positions of the loops above the storage: of other Spatial loops there, the first unit
            counts.

        Returns
        -------
        numpy.ndarray
            Elements, shape (size,).
        """
        loops = self._within(depth)
        if self.simple:
            units = self._over_variables(summed)
            lengths = self._lengths(loops, units, above)
            table = lengths if self.indices else _exist(lengths).astype(np.int64)
            return self._look_up(loops, self._sum_units(table, len(loops), units))
        return self._tally(loops, *self._points(loops, summed, above))

    def first(self, depth: int, summed: Sequence[int], above: range) -> Counts:
        """Return the number of elements of a tile that no earlier tile touches.

        Parameters
        ----------
        depth, summed, above
            As for `footprint`.

        Returns
        -------
        numpy.ndarray
            Elements, shape (size,).
        """
        loops = self._within(depth)
        if self.simple:
            units = self._over_variables(summed)
            table = self._lengths(loops, units, above)
            if not self.indices:
                table = _first_existing(_exist(table), len(loops))
            return self._look_up(loops, self._sum_units(table, len(loops), units))
        if not loops:
            return self.footprint(depth, summed, above)  # there is one tile
        return self._tally(loops, *self._extreme(loops, [], summed, above, "lexmin"))

    def last(self, depth: int, summed: Sequence[int], above: range, inner: int) -> Counts:
        """Return the number of elements that no later part of the tile touches.

        Parameters
        ----------
        depth, summed, above
            As for `footprint`.
        inner
            Number of Temporal loops above the parts: of all parts of the tile, the tile iteration's
            one is counted.

        Returns
        -------
        numpy.ndarray
            Elements, shape (size,).
        """
        loops = self._within(inner)
        outer = self._within(depth)
        if self.simple:
            # Below the storage, each unit has its own elements (if the index depends on the
            # unit). So sum over the units of Spatial loops above the innermost Temporal loop.
            innermost = max((self.positions[k] for k in loops), default=-1)
            below = [p for p in self._spatial() if p not in above and p < innermost]
            units = sorted({*self._over_variables(summed), *(below if self.indices else ())})
            table = self._lengths(loops, units, range(max(len(above), innermost)))
            if not self.indices:
                table = _last_existing(_exist(table), len(outer), len(loops))
            return self._look_up(loops, self._sum_units(table, len(loops), units))
        compared = [k for k in loops if k not in outer]
        found, weights = self._extreme(outer, compared, summed, above, "lexmax")
        order = [*outer, *compared]
        columns = [order.index(k) for k in loops]
        return self._tally(loops, found[:, columns], weights)

    def operations(self, summed: Sequence[int]) -> Counts:
        """Return the number of operations of each tile iteration.

        Parameters
        ----------
        summed
            Positions of the Spatial loops whose units are summed over; of others, the first unit
            counts.

        Returns
        -------
        numpy.ndarray
            Operations, shape (size,).
        """
        loops = self._within(self.tiles.depth)
        if self.simple:
            everywhere = range(len(self.leaf.loops))
            units = self._over_variables(summed)
            table = self._lengths(loops, units, everywhere)
            return self._look_up(loops, self._sum_units(table, len(loops), units))
        units = self._over_variables(summed)
        zero = [p for p, loop in enumerate(self.leaf.loops) if loop.unit and p not in units]
        text = GroupText(self.leaf, self.variables, "x", self._shown(loops, units), zero)
        dims = [*self._names(text, loops, units), *text.values.values()]
        hidden = [h for h in text.hidden if h not in dims]
        found = solve_group(set_text(dims, hidden, text.conditions), keep=self._keep(loops))
        return self._tally(loops, found, self._row_weights(found, len(loops), units))

    def _within(self, depth: int) -> list[int]:
        return [k for k in self.loops if k < depth]

    def _over_variables(self, positions: Sequence[int]) -> list[int]:
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

    def _lengths(self, loops: Sequence[int], summed: Sequence[int], first_unit: range) -> Counts:
        """Return the lengths of the variable's tiles: one axis per loop, then one per summed loop.

        Other Spatial loops have index 0 if `first_unit` contains their position; elsewhere all
        units are taken together. Temporal loops above a summed or fixed Spatial loop that are not
        in `loops` are summed over: a unit's tile is the union of its parts in all of their
        iterations.
        """
        variable = self.variables[0]
        loops_over_variable = [
            p for p, loop in enumerate(self.leaf.loops) if loop.variable == variable
        ]
        spatial = [p for p in loops_over_variable if self.leaf.loops[p].unit is not None]
        shown = self._shown(loops, summed)
        fixed = [p for p in spatial if p in first_unit and p not in shown]
        key = variable, tuple(loops), tuple(summed), tuple(fixed)
        known = self.tiles.lengths.get(key)
        if known is not None:
            return known
        axes = [self.kept[k].count for k in loops] + [self.leaf.trips[p] for p in summed]
        if prod(axes) > LARGEST_TABLE:
            raise TooLargeError(
                f"the loops over {variable!r} of Einsum {self.leaf.einsum.name!r} have"
                f" {prod(axes)} tiles to count",
                where=self.leaf.where or "mapping",
                fix="use larger tiles",
            )
        innermost = max([*summed, *fixed], default=-1)
        inside = {p for p in loops_over_variable if p < innermost} - {*shown, *spatial}
        indices = [self.kept[k].digits for k in loops] + [np.arange(n) for n in axes[len(loops) :]]
        digits: dict[int, Ints | int] = dict.fromkeys(fixed, 0)
        for i, (p, index) in enumerate(zip(shown, indices, strict=True)):
            digits[p] = index.reshape([-1 if i == j else 1 for j in range(len(axes))])
        kind = self.tiles.position_type
        lengths = tile_lengths(self.leaf, variable, digits, inside, kind=kind)
        table: Counts = np.asarray(lengths, dtype=count_type(self.leaf))
        table = np.broadcast_to(table, axes)
        if table.size <= _REMEMBERED:
            self.tiles.lengths[key] = table
        return table

    def _look_up(self, loops: Sequence[int], table: Counts) -> Counts:
        """Return the entry of each tile iteration in a table over the places of loops."""
        if not loops:
            return np.full(self.tiles.size, table, dtype=table.dtype)
        index = np.zeros(self.tiles.size, dtype=np.int64)
        for k in loops:
            index = index * self.kept[k].count + self.tiles.places[k]
        return np.ascontiguousarray(table).reshape(-1)[index]

    def _sum_units(self, table: Counts, axes: int, units: Sequence[int]) -> Counts:
        """Sum over the axes behind the first ones, which are those of units."""
        for k, p in enumerate(units):
            if p in self.weights:
                shape = [-1 if i == axes + k else 1 for i in range(table.ndim)]
                kind = count_type(self.leaf, len(self.leaf.loops) * sum(self.weights[p]))
                table = table * np.array(self.weights[p], dtype=kind).reshape(shape)
        return _sum_tail(table, axes)

    def _row_weights(self, rows: Ints, first: int, units: Sequence[int]) -> Ints | None:
        """Return the weight of each row, whose columns from the first one on are units."""
        weights: Ints | None = None
        for k, p in enumerate(units):
            if p in self.weights:
                factors = np.array(self.weights[p], dtype=np.int64)[rows[:, first + k]]
                weights = factors if weights is None else weights * factors
        return weights

    def _tally(self, loops: Sequence[int], found: Ints, weights: Counts | None = None) -> Counts:
        """Return the number of rows with the loop indices of each tile iteration."""
        shape = [self.kept[k].count for k in loops]
        index = np.zeros(len(found), dtype=np.int64)
        for column, (k, radix) in enumerate(zip(loops, shape, strict=True)):
            index = index * radix + np.searchsorted(self.kept[k].digits, found[:, column])
        size = int(np.prod(shape, dtype=np.int64))
        if weights is None:
            table = np.bincount(index, minlength=size).astype(np.int64)
        else:
            table = np.zeros(size, dtype=weights.dtype)
            np.add.at(table, index, weights)
        return self._look_up(loops, table.reshape(shape))

    def _text(self, loops: Sequence[int], summed: Sequence[int], above: range) -> GroupText:
        units = self._over_variables(summed)
        zero = [p for p in above if self.leaf.loops[p].unit is not None and p not in units]
        return GroupText(self.leaf, self.variables, "x", self._shown(loops, units), zero)

    def _keep(self, loops: Sequence[int], columns: Sequence[int] | None = None) -> WantedRanges:
        """Return the restriction to sampled iterations for the columns of a table."""
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

    def _points(
        self, loops: Sequence[int], summed: Sequence[int], above: range
    ) -> tuple[Ints, Counts | None]:
        """Return rows that begin with loop indices, and their weights.

        A weight is the number of elements that a row represents, times the weights of its units.
        """
        text = self._text(loops, summed, above)
        names, equal = self._elements(text)
        units = self._over_variables(summed)
        dims = [*self._names(text, loops, units), *names]
        return self._counted(dims, text.hidden, [*text.conditions, *equal], loops, units)

    def _counted(
        self,
        dims: Sequence[str],
        hidden: Sequence[str],
        conditions: Sequence[str],
        loops: Sequence[int],
        units: Sequence[int],
    ) -> tuple[Ints, Counts | None]:
        """Return rows of loops, units and elements, and their weights: see `_points`."""
        # Elements in an interval of the last rank are one row.
        want = "counts" if self.indices else "points"
        found = solve_group(set_text(dims, hidden, conditions), want, keep=self._keep(loops))
        weights = self._row_weights(found, len(loops), units)
        if not self.indices:
            return found, weights
        kind = count_type(self.leaf, prod(map(sum, self.weights.values())))
        numbers: Counts = found[:, -1].astype(kind)
        return found, numbers if weights is None else weights * numbers

    def _extreme(
        self,
        outer: Sequence[int],
        inner: Sequence[int],
        summed: Sequence[int],
        above: range,
        want: str,
    ) -> tuple[Ints, Ints | None]:
        """Return loop indices of the first or last tile iteration that touches each element.

        One row per element, unit and, for ``"lexmax"``, index of the outer loops, which are the
        first columns; and the weights of the rows. For ``"lexmin"``, `outer` are the loops to
        minimize and `inner` is empty.
        """
        compared = list(inner) if want == "lexmax" else list(outer)
        fixed = list(outer) if want == "lexmax" else []
        units = self._over_variables(summed)
        text = self._text([*fixed, *compared], summed, above)
        names, equal = self._elements(text)
        source = [*(text.shown[self.positions[k]] for k in fixed), *names]
        source += [text.shown[p] for p in units]
        target = [text.shown[self.positions[k]] for k in compared]
        relation = set_text([*source, *target], text.hidden, [*text.conditions, *equal])
        columns = [*range(len(fixed)), *range(len(source), len(source) + len(target))]
        for k, column in zip([*fixed, *compared], columns, strict=True):
            # An element of the tile moves by the tile's distance times its coefficient.
            loop = self.leaf.temporal[k]
            moves = [loop.tile * dict(index.terms).get(loop.variable, 0) for index in self.indices]
            elements = range(len(fixed), len(fixed) + len(names))
            for first, last, period in self.kept[k].repeating:
                shift = {column: period}
                shift |= {z: move * period for z, move in zip(elements, moves, strict=True)}
                if not translates(
                    relation, want, len(source), column, (first, last), tuple(shift.items())
                ):
                    raise IrregularError("elements are not touched alike in all periods")
        found = solve_group(
            relation, want, len(source), keep=self._keep([*fixed, *compared], columns)
        )
        weights = self._row_weights(found, len(fixed) + len(names), units)
        return found[:, columns], weights


def operations(tiles: IterationTable, *, every_unit: bool = False) -> Counts:
    """Return the number of operations of each tile iteration.

    Parameters
    ----------
    tiles
        The tile iterations.
    every_unit
        Whether the operations of all units count, or only those of the first one.

    Returns
    -------
    numpy.ndarray
        Operations, shape (size,).
    """
    spatial = [p for p, loop in enumerate(tiles.leaf.loops) if loop.unit is not None]
    summed = spatial if every_unit else []
    counts: Counts = np.ones(tiles.size, dtype=count_type(tiles.leaf))
    for variables in tied_groups(tiles.leaf):
        counts = counts * GroupCount(tiles, variables, ()).operations(summed)
    return counts


def _sum_tail(table: Counts, axes: int) -> Counts:
    """Sum over all axes but the first ones."""
    # The sum over no axes is a scalar, not an array, if the table has none.
    return np.asarray(table.sum(axis=tuple(range(axes, table.ndim))), dtype=table.dtype)


def _exist(lengths: Counts) -> Mask:
    return np.asarray(lengths > 0, dtype=np.bool_)


def _first_existing(exists: Mask, axes: int) -> Ints:
    """Return 1 at the first existing index over the first axes, per unit, and 0 elsewhere."""
    flat = exists.reshape(int(np.prod(exists.shape[:axes], dtype=np.int64)), -1)
    first = np.zeros(flat.shape, dtype=np.int64)
    units = np.arange(flat.shape[1])
    first[flat.argmax(axis=0), units] = flat.any(axis=0)
    return first.reshape(exists.shape)


def _last_existing(exists: Mask, outer: int, axes: int) -> Ints:
    """Return 1 at the last existing index per outer index and unit, and 0 elsewhere."""
    head = int(np.prod(exists.shape[:outer], dtype=np.int64))
    body = int(np.prod(exists.shape[outer:axes], dtype=np.int64))
    flat = exists.reshape(head, body, -1)
    last = np.zeros(flat.shape, dtype=np.int64)
    where = body - 1 - flat[:, ::-1].argmax(axis=1)
    rows, units = np.indices(where.shape)
    last[rows, where, units] = flat.any(axis=1)
    return last.reshape(exists.shape)
