"""Numbers of elements and operations per tile iteration, for independent parts of the variables.

The tiles of a part of one variable are intervals: their lengths follow from the trip counts. For
other parts (windows, constraints that tie variables together), ISL builds the relation of loop
indices and elements. Where it is small, its points are counted. Where it is large, ISL proves box
by box that the elements of all indices are translates of each other, so that their number is that
of one index.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from math import prod

import islpy as isl
import numpy as np

from polylat.lowering.paths import Leaf
from polylat.lowering.points import integer_points, number_of_points
from polylat.numbers import INT64_LIMIT
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.loop_counts import (
    LoopCounts,
    at_extreme,
    summed_over,
    together,
)
from polylat.proof.relation_text import PartText, exists_text
from polylat.spec.affine import Affine

__all__ = ["Meeting", "Part"]

FEW_OPERATIONS = 200_000
"""Up to this number of operations of a part, the points of its relation are counted one by one."""
_MOST_BOXES = 3_000

_IN, _OUT, _SET = isl.dim_type.in_, isl.dim_type.out, isl.dim_type.set


@dataclass(frozen=True)
class Meeting:
    """What another leaf touches in the same tile, of the elements of a part.

    Parameters
    ----------
    leaf, variables
        The leaf, and its variables that depend on those of the part.
    indices
        Its index expressions, of the same ranks.
    """

    leaf: Leaf
    variables: tuple[str, ...]
    indices: tuple[Affine, ...]


@dataclass(frozen=True)
class Part:
    """An independent part of a leaf's variables, with the ranks of a tensor that they index.

    Parameters
    ----------
    leaf
        The leaf.
    depth
        The number of Temporal loops that index its tile iterations.
    variables
        The variables.
    indices
        The index expressions in these variables. If there are none, every tile that exists has one
        element.
    weights
        (position of a Spatial loop whose units are summed over, a factor per unit); None: 1 for
        all units.
    others
        Index expressions of further projections; the elements are those of any of them.
    meeting
        If given, only elements that this leaf touches in the same tile count.
    """

    leaf: Leaf
    depth: int
    variables: tuple[str, ...]
    indices: tuple[Affine, ...] = ()
    weights: tuple[int, tuple[int, ...]] | None = None
    others: tuple[tuple[Affine, ...], ...] = ()
    meeting: Meeting | None = None

    def temporal(self, depth: int) -> tuple[int, ...]:
        """Return the Temporal loops over the variables.

        Parameters
        ----------
        depth
            The number of Temporal loops to consider.

        Returns
        -------
        tuple of int
            Their positions.
        """
        return self._over(self.leaf.temporal_positions[:depth])

    def footprint(self, depth: int, units: Collection[int], above: int) -> LoopCounts:
        """Count the elements of tiles.

        Parameters
        ----------
        depth
            The number of Temporal loops above the tiles.
        units
            Positions of the Spatial loops whose units are summed over.
        above
            The number of loops above the holder. Of the other Spatial loops among these, only unit
            0 is counted; of those below the holder, all units together.

        Returns
        -------
        LoopCounts
            Per index of the loops above the tiles, the number of elements.
        """
        units = self._over(units)
        loops = self.temporal(depth)
        if self._alone:
            found = self._lengths(loops, units, above)
            if not self.indices:
                found = found.mapped(lambda lengths: np.minimum(lengths, 1))
            return self._sum(found, units)
        return self._elements(loops, (), units, above, "every")

    def first(self, depth: int, units: Collection[int], above: int) -> LoopCounts:
        """Count the elements of tiles that no earlier tile touches.

        Parameters
        ----------
        depth, units, above
            As for `footprint`.

        Returns
        -------
        LoopCounts
            Per index of the loops above the tiles, the number of elements.
        """
        units = self._over(units)
        loops = self.temporal(depth)
        if self._alone:
            found = self._lengths(loops, units, above)
            if not self.indices:
                found = at_extreme(found, loops, last=False)
            return self._sum(found, units)
        return self._elements(loops, (), units, above, "first")

    def last(self, depth: int, units: Collection[int], above: int, within: int) -> LoopCounts:
        """Count the elements that no later part of the same tile touches.

        Parameters
        ----------
        depth, units, above
            As for `footprint`.
        within
            The number of Temporal loops above the parts of a tile.

        Returns
        -------
        LoopCounts
            Per part, the number of elements.
        """
        units = self._over(units)
        loops, outer = self.temporal(within), self.temporal(depth)
        inner = [p for p in loops if p not in outer]
        if self._alone:
            found = self._lengths(loops, units, above)
            if not self.indices:
                found = at_extreme(found, inner, last=True)
            return self._sum(found, units)
        return self._elements(outer, inner, units, above, "last")

    def operations(self, units: Collection[int]) -> LoopCounts:
        """Count the operations of tile iterations.

        Parameters
        ----------
        units
            Positions of the Spatial loops whose units are summed over. Of the others, only unit 0
            is counted.

        Returns
        -------
        LoopCounts
            Per tile iteration, the number of operations.
        """
        units = self._over(units)
        loops = self.temporal(self.depth)
        everywhere = len(self.leaf.loops)
        if self._alone:
            return self._sum(self._lengths(loops, units, everywhere), units)
        plain = tuple(Affine(((v, 1),)) for v in self.variables)
        points = Part(self.leaf, self.depth, self.variables, plain, self.weights)
        return points._elements(loops, (), units, everywhere, "every")

    def _sum(self, counts: LoopCounts, units: Collection[int]) -> LoopCounts:
        """Sum over units, each with its weight."""
        if self.weights is not None and self.weights[0] in units:
            position, factors = self.weights
            values = np.array(factors, dtype=np.int64)
            cuts = (tuple(range(len(factors))),)
            weighted = LoopCounts((position,), (len(factors),), cuts, values)
            counts = together(counts, weighted, "*")
        return summed_over(counts, units)

    @property
    def _alone(self) -> bool:
        """Whether the part is one variable that no constraint ties to another."""
        plain = not self.others and self.meeting is None
        return plain and len(self.variables) == 1 and not self._tied

    @property
    def _tied(self) -> bool:
        return any(set(c.variables) & set(self.variables) for c in self.leaf.coupled)

    def _over(self, positions: Collection[int]) -> tuple[int, ...]:
        return tuple(p for p in positions if self.leaf.loops[p].variable in self.variables)

    def _spatial(self, above: int, units: Sequence[int]) -> list[int]:
        """Return the Spatial loops of which only unit 0 is counted."""
        fixed = self._over(range(above))
        return [p for p in fixed if self.leaf.loops[p].unit is not None and p not in units]

    def _lengths(self, loops: Sequence[int], units: Sequence[int], above: int) -> LoopCounts:
        """Return the number of values of the variable per index of Temporal loops and units."""
        shown = frozenset((*loops, *units))
        (variable,) = self.variables
        low, high = self.leaf.ranges[variable]
        chain = [
            (p, loop.tile, loop.initial or loop.tile)
            for p, loop in enumerate(self.leaf.loops)
            if loop.variable == variable
        ]
        return interval_lengths(
            high - low + 1, tuple(chain), shown, frozenset(self._spatial(above, units))
        )

    def _elements(
        self,
        outer: Sequence[int],
        inner: Sequence[int],
        units: Sequence[int],
        above: int,
        which: str,
    ) -> LoopCounts:
        """Count the elements of a part of several variables, or of tied ones.

        *every*: of each tile; *first*: those that no earlier tile touches; *last*: those that no
        tile iteration with the same outer and later inner indices touches.
        """
        loops = (*outer, *inner)
        zero = self._spatial(above, units)
        text = PartText(self.leaf, self.variables, "x", [*loops, *units], zero)
        ranks = [f"z{k}" for k in range(len(self.indices))]
        # Compared indices come last, for the lexicographic minimum or maximum.
        compared = inner if which == "last" else outer if which == "first" else ()
        fixed = [p for p in loops if p not in compared]
        dims = [*text.names([*fixed, *units]), *ranks, *text.names(compared)]
        relation = isl.Set.empty(isl.Set(exists_text(dims, (), ())).get_space())
        for indices in (self.indices, *self.others):
            equal = [f"{z} = {text.affine(i)}" for z, i in zip(ranks, indices, strict=True)]
            relation |= isl.Set(exists_text(dims, text.hidden, [*text.conditions, *equal]))
        if self.meeting is not None:
            relation &= self._met(self.meeting, dims, [*loops, *units], zero)
        if which != "every":
            as_map = isl.Map.from_range(relation)
            as_map = as_map.move_dims(_IN, 0, _OUT, 0, len(dims) - len(compared))
            as_map = as_map.lexmax() if which == "last" else as_map.lexmin()
            relation = as_map.wrap().flatten()
        # Units with weights are counted one by one.
        each = [p for p in units if self.weights is not None and p == self.weights[0]]
        order = sorted((*loops, *each))
        columns = [dims.index(text.index[p]) for p in order]
        trips = [self.leaf.trips[p] for p in order]
        count: Callable[..., LoopCounts] = _by_points
        ranges = [self.leaf.ranges[v] for v in self.variables]
        operations = prod(high - low + 1 for low, high in ranges)
        if not self._tied and operations > FEW_OPERATIONS:
            # One iteration of a loop moves the elements by its tile times their coefficients.
            moves = {
                p: [dict(i.terms).get(self.leaf.loops[p].variable, 0) for i in self.indices]
                for p in order
            }
            shifts = [
                [
                    moves[p][ranks.index(d)] * self.leaf.loops[p].tile if d in ranks else 0
                    for d in dims
                ]
                for p in order
            ]
            count = partial(_by_translation, shifts=shifts)
        return self._sum(count(relation, columns, order, trips), each)

    def _met(
        self, meeting: Meeting, dims: Sequence[str], shown: Sequence[int], zero: Sequence[int]
    ) -> isl.Set:
        """Return what another leaf touches, in the same tiles, in the dimensions of the part."""
        text = PartText(meeting.leaf, meeting.variables, "x", shown, zero)
        equal = [f"z{k} = {text.affine(i)}" for k, i in enumerate(meeting.indices)]
        return isl.Set(exists_text(dims, text.hidden, [*text.conditions, *equal]))


@lru_cache(maxsize=1024)
def interval_lengths(
    extent: int,
    chain: tuple[tuple[int, int, int], ...],
    shown: frozenset[int],
    zero: frozenset[int],
) -> LoopCounts:
    """Return the lengths of the tiles of an interval.

    Parameters
    ----------
    extent
        The length of the interval.
    chain
        (position, tile, first tile) of the loops that divide it, outermost first.
    shown
        Positions of the loops by whose indices the lengths are distinguished; over the other loops
        they are summed.
    zero
        Positions of loops of which only the index 0 is counted.

    Returns
    -------
    LoopCounts
        The lengths; 0 where there is no tile.

    Examples
    --------
    Seven values in tiles of four, each in tiles of two: the last one has one value.

    >>> lengths = interval_lengths(7, ((0, 4, 4), (1, 2, 2)), frozenset({0, 1}), frozenset())
    >>> lengths.values.tolist(), lengths.total
    ([[2, 2], [2, 1]], 7)
    """
    trips, most = [], extent
    for _, tile, first in chain:
        behind = max(0, most - first)
        trips.append(1 + -(-behind // tile))
        most = max(min(most, first), min(behind, tile))
    last = max((k for k, (p, *_) in enumerate(chain) if p in shown or p in zero), default=-1)

    @cache
    def divided(extent: int, k: int) -> LoopCounts:
        if k > last:
            return LoopCounts((), (), (), np.array(extent, dtype=object))
        position, tile, first = chain[k]
        if position in zero:
            return divided(min(extent, first), k + 1)
        full, rest = divmod(max(0, extent - first), tile)
        ranges = [(1 if extent else 0, min(extent, first)), (full, tile), (1 if rest else 0, rest)]
        if position not in shown:
            some = [divided(length, k + 1).mapped(partial(_times, n)) for n, length in ranges]
            return together(together(some[0], some[1], "+"), some[2], "+")
        ranges.append((trips[k] - sum(n for n, _ in ranges), 0))
        parts = [(n, divided(length, k + 1)) for n, length in ranges if n]
        cuts = [
            tuple(sorted(set().union(*some)))
            for some in zip(*(part.cuts for _, part in parts), strict=True)
        ]
        one = parts[0][1]
        starts = np.cumsum([0, *(n for n, _ in parts)]).tolist()[:-1]
        return LoopCounts(
            (position, *one.loops),
            (trips[k], *one.trips),
            (tuple(starts), *cuts),
            np.stack([part.with_cuts(cuts).values for _, part in parts]),
        )

    return divided(extent, 0)


def _times(factor: int, values: np.ndarray) -> np.ndarray:
    return np.asarray(values * factor)


def _by_points(
    relation: isl.Set, columns: Sequence[int], loops: Sequence[int], trips: Sequence[int]
) -> LoopCounts:
    """Count the points of a relation per index of the loops in some of its columns."""
    points = integer_points(relation)
    place = np.zeros(len(points), dtype=np.int64)
    for column, n in zip(columns, trips, strict=True):
        place = place * n + points[:, column]
    values = np.bincount(place, minlength=prod(trips)).astype(np.int64).reshape(tuple(trips))
    cuts = tuple(tuple(range(n)) for n in trips)
    return LoopCounts(tuple(loops), tuple(trips), cuts, values).merged()


def _by_translation(
    relation: isl.Set,
    columns: Sequence[int],
    loops: Sequence[int],
    trips: Sequence[int],
    *,
    shifts: Sequence[Sequence[int]],
) -> LoopCounts:
    """Count the points of a relation, one index per box of indices.

    Boxes are cut until, in each of them, the points at neighboring indices are translates.
    """
    size = relation.dim(_SET)
    dims = [f"i{k}" for k in range(size)]
    moved = []
    for column, shift in zip(columns, shifts, strict=True):
        back = [f"({-1 if k == column else -shift[k]}) + {d}" for k, d in enumerate(dims)]
        move = isl.MultiAff(f"{{ [{', '.join(dims)}] -> [{', '.join(back)}] }}")
        late = relation.preimage_multi_aff(move)
        moved.append((relation - late) | (late - relation))
    boxes: list[tuple[list[tuple[int, int]], int]] = []
    left = [[(0, n - 1) for n in trips]]
    while left:
        box = left.pop()
        if len(boxes) + len(left) > _MOST_BOXES:
            raise BrokenRule("the elements of an access are too irregular to be counted")
        axis, at = _irregular(moved, columns, box)
        if axis is None:
            corner = relation
            for column, (low, _) in zip(columns, box, strict=True):
                corner = corner.fix_val(_SET, column, isl.Val(low))
            boxes.append((box, number_of_points(corner)))
            continue
        low, high = box[axis]
        for a, b in zip([low, *at], [*(x - 1 for x in at), high], strict=True):
            left.append([*box[:axis], (a, b), *box[axis + 1 :]])
    cuts = [tuple(sorted({box[k][0] for box, _ in boxes})) for k in range(len(loops))]
    most = prod(trips) * max(count for _, count in boxes)
    values = np.zeros(tuple(len(c) for c in cuts), dtype=np.int64 if most < INT64_LIMIT else object)
    for box, count in boxes:
        where = tuple(
            slice(*np.searchsorted(c, [low, high + 1]))
            for c, (low, high) in zip(cuts, box, strict=True)
        )
        values[where] = count
    return LoopCounts(tuple(loops), tuple(trips), tuple(cuts), values).merged()


def _irregular(
    moved: Sequence[isl.Set], columns: Sequence[int], box: Sequence[tuple[int, int]]
) -> tuple[int | None, list[int]]:
    """Return a loop of a box, and where to cut it; None if its points are translates."""
    for axis, wrong in enumerate(moved):
        low, high = box[axis]
        if low == high:
            continue
        inside = wrong
        for k, (column, (a, b)) in enumerate(zip(columns, box, strict=True)):
            # The difference at an index is that to the previous index.
            inside = inside.lower_bound_val(_SET, column, isl.Val(a + (k == axis)))
            inside = inside.upper_bound_val(_SET, column, isl.Val(b))
        if not inside.is_empty():
            first = int(inside.dim_min_val(columns[axis]).to_python())
            final = int(inside.dim_max_val(columns[axis]).to_python())
            return axis, sorted({first, final})
    return None, []
