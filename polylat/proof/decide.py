"""What decides a rule for all tile iterations at once: bounds where they suffice, else ISL.

A rule says of every tile iteration c of a waiting event: the awaited event of function(c) is over
by then. Both times are affine on families. For a piece of the function and a pair of families, what
is to be shown is that an affine function of c is nowhere positive on a bounded set: its bound
over the box around the set, where that is not positive, is a proof; else ISL decides whether
the set of exceptions is empty. No pair that can interact is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import lcm
from typing import Any

import islpy as isl
import numpy as np

from polylat.lowering.scan import Ints
from polylat.proof.families import Families
from polylat.proof.waits import families_set
from polylat.schedule.graph import Times

__all__ = ["Decider", "Function", "Pair", "Pieces", "function_of"]

Index = tuple[int, ...]
_SET, _IN = isl.dim_type.set, isl.dim_type.in_
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Pair:
    """Two tile iterations that contradict a rule."""

    waiting: Index
    awaited: Index


class Pieces:
    """Families as functions ``(constant + coefficients * index) / scale``, and as ISL objects."""

    def __init__(self, families: Families) -> None:
        self.families = families
        self.scale = lcm(*np.unique(families.stride).tolist()) if families.depth else 1
        self.sets: dict[int, isl.Set] = {}
        self.affs: dict[tuple[int, int], isl.Aff] = {}

    @cached_property
    def whole(self) -> isl.Set:
        """All tile iterations."""
        return families_set(self.families)

    def linear(self, scale: int) -> tuple[Times, Times]:
        """Constants and coefficients (a row per loop) of the time, times a scale."""
        f = self.families
        rate, low = f.rate.astype(object), f.low.astype(object)
        slope = np.asarray(rate * scale // f.stride.astype(object)).reshape(f.depth, f.size)
        constant = f.start.astype(object) * scale - (slope * low).sum(axis=0)
        largest = np.abs(slope).sum(axis=0).max(initial=0) * (int(f.high.max(initial=0)) + 1)
        if int(np.abs(constant).max(initial=0)) + int(largest) < 1 << 54:
            return constant.astype(np.int64), slope.astype(np.int64)
        return constant, slope

    def set_of(self, which: int) -> isl.Set:
        """One family's tile iterations."""
        if which not in self.sets:
            self.sets[which] = families_set(self.families.chosen(np.array([which])))
        return self.sets[which]

    def aff_of(self, which: int, scale: int) -> isl.Aff:
        """One family's time, times a scale."""
        key = which, scale
        if key not in self.affs:
            f = self.families
            total = int(f.start[which]) * scale
            terms = []
            for k in range(f.depth):
                slope = int(f.rate[k, which]) * scale // int(f.stride[k, which])
                total -= slope * int(f.low[k, which])
                terms.append(f"{slope}i{k}")
            dims = ", ".join(f"i{k}" for k in range(f.depth))
            self.affs[key] = isl.Aff(f"{{ [{dims}] -> [({' + '.join([str(total), *terms])})] }}")
        return self.affs[key]


@dataclass(frozen=True, eq=False)
class _Part:
    """A piece of a function: where, what, and if it is affine, its matrix and constants."""

    domain: isl.Set
    value: isl.MultiAff
    low: Ints
    high: Ints
    matrix: Ints | None
    constant: Ints | None


@dataclass(frozen=True, eq=False)
class Function:
    """A piecewise affine function between tile iterations."""

    source: isl.PwMultiAff
    parts: tuple[_Part, ...]


def function_of(source: isl.PwMultiAff, domain: isl.Set) -> Function:
    """Take a function apart, where it is asked for."""
    source = source.intersect_domain(domain)
    parts: list[_Part] = []

    def add(where: isl.Set, value: isl.MultiAff) -> None:
        where = where.coalesce()
        if where.is_empty():
            return
        size = where.dim(_SET)
        low = np.array([_integer(where.dim_min_val(k)) for k in range(size)], dtype=np.int64)
        high = np.array([_integer(where.dim_max_val(k)) for k in range(size)], dtype=np.int64)
        rows, constants, plain = [], [], True
        for j in range(value.dim(isl.dim_type.out)):
            aff = value.get_aff(j)
            plain = plain and aff.dim(isl.dim_type.div) == 0
            plain = plain and _integer(aff.get_denominator_val()) == 1
            if plain:
                row = [_integer(aff.get_coefficient_val(_IN, k)) for k in range(size)]
                rows.append(row)
                constants.append(_integer(aff.get_constant_val()))
        matrix = np.array(rows, dtype=np.int64).reshape(len(rows), size) if plain else None
        constant = np.array(constants, dtype=np.int64) if plain else None
        parts.append(_Part(where, value, low, high, matrix, constant))

    source.foreach_piece(add)
    return Function(source, tuple(parts))


def _integer(value: isl.Val) -> int:
    return int(value.to_python())


@dataclass
class Decider:
    """Decides rules, and counts what it took.

    Parameters
    ----------
    bounded
        Pairs of pieces that bounds have decided.
    asked
        Pairs of pieces that ISL has decided.
    """

    bounded: int = 0
    asked: int = 0
    _found: list[Pair] = field(default_factory=list)

    def late(self, function: Function, waiting: Pieces, awaited: Pieces) -> Pair | None:
        """The first tile iteration that does not wait, None if all do.

        Parameters
        ----------
        function
            Tile iterations of `waiting` → those of `awaited`.
        waiting, awaited
            When the one begins, and when the other is over.
        """
        found: list[Pair] = []
        scale = lcm(waiting.scale, awaited.scale)
        for part in function.parts:
            for c, p in self._suspects(part, waiting, awaited, scale):
                self.asked += 1
                value = part.value
                there = awaited.set_of(p).preimage_multi_aff(value)
                bad = part.domain & waiting.set_of(c) & there
                over = awaited.aff_of(p, scale).pullback_multi_aff(value)
                over = over.sub(waiting.aff_of(c, scale))
                bad = bad.intersect(_positive(over))
                if not bad.is_empty():
                    at = bad.lexmin().sample_point()
                    found.append(Pair(_coordinates(at), _image(function.source, at)))
        return min(found, key=lambda pair: pair.waiting, default=None)

    def _suspects(
        self, part: _Part, waiting: Pieces, awaited: Pieces, scale: int
    ) -> Iterator[tuple[int, int]]:
        """Pairs of families that bounds do not clear."""
        c, p = waiting.families, awaited.families
        low = np.maximum(c.low, part.low[:, None]) if c.depth else c.low
        high = np.minimum(c.high, part.high[:, None]) if c.depth else c.high
        mine = np.flatnonzero((low <= high).all(axis=0))
        constants, slopes = waiting.linear(scale), awaited.linear(scale)
        step = max(1, _CHUNK // max(1, p.size * max(1, c.depth)))
        for start in range(0, len(mine), step):
            some = mine[start : start + step]
            bad = np.asarray(p.last[None, :] > c.first[some][:, None], dtype=np.bool_)
            if part.matrix is not None and part.constant is not None and bad.any():
                bad &= _interacting(part, low[:, some], high[:, some], p)
                over = _bounds(part, some, (low, high), constants, slopes, p)
                bad &= np.asarray(over >= scale, dtype=np.bool_)
            self.bounded += bad.size - int(bad.sum())
            for i, j in np.argwhere(bad).tolist():
                yield int(some[i]), j

    def late_any(self, function: Function, waiting: Pieces, awaited: Pieces) -> Pair | None:
        """The same where all that do not come after the function's value are waited for."""
        scale = lcm(waiting.scale, awaited.scale)
        later = isl.Map("{ [s] -> [t] : t > s }")
        relation = isl.Map.from_pw_multi_aff(function.source)
        every = relation.range().get_space()
        relation = relation.apply_range(isl.Map.lex_ge(every).intersect_range(awaited.whole))
        for c in range(waiting.families.size):
            mine = relation.intersect_domain(waiting.set_of(c))
            when = isl.Map.from_aff(waiting.aff_of(c, scale))
            first = waiting.families.first[c]
            for p in np.flatnonzero(awaited.families.last > first).tolist():
                self.asked += 1
                ends = isl.Map.from_aff(awaited.aff_of(p, scale)).reverse()
                bad = mine.intersect_range(awaited.set_of(p))
                bad &= when.apply_range(later).apply_range(ends)
                if not bad.is_empty():
                    at = _coordinates(bad.wrap().lexmin().sample_point())
                    size = waiting.families.depth
                    return Pair(at[:size], at[size:])
        return None

    def disorder(self, pieces: Pieces) -> Pair | None:
        """Two tile iterations of which the later one is earlier in time, None if there are none."""
        f = pieces.families
        constant, slope = pieces.linear(pieces.scale)
        found: list[Pair] = []
        for loop in range(f.depth):
            step = max(1, _CHUNK // max(1, f.size * f.depth))
            for start in range(0, f.size, step):
                some = np.arange(start, min(start + step, f.size))
                bad = np.asarray(
                    (f.last - f.duration)[some][:, None] > f.first[None, :], dtype=np.bool_
                )
                if bad.any():
                    over = _order_bounds(f, some, loop, constant, slope)
                    bad &= over >= pieces.scale
                self.bounded += bad.size - int(bad.sum())
                for i, j in np.argwhere(bad).tolist():
                    self.asked += 1
                    pair = _disorder(pieces, int(some[i]), j, loop)
                    if pair is not None:
                        found.append(pair)
        return min(found, key=lambda pair: pair.awaited, default=None)


def _positive(aff: isl.Aff) -> isl.Set:
    none = isl.Aff.zero_on_domain_space(aff.get_domain_space())
    return aff.gt_set(none)


def _coordinates(point: isl.Point) -> Index:
    size = point.get_space().dim(_SET)
    return tuple(_integer(point.get_coordinate_val(_SET, k)) for k in range(size))


def _image(function: isl.PwMultiAff, point: isl.Point) -> Index:
    here = isl.Set.from_point(point)
    return _coordinates(
        isl.Map.from_pw_multi_aff(function).intersect_domain(here).range().sample_point()
    )


def _interacting(part: _Part, low: Ints, high: Ints, p: Families) -> np.ndarray:
    """Which families a piece of a function may lead to, from boxes (a column each)."""
    matrix, constant = part.matrix, part.constant
    assert matrix is not None and constant is not None
    least = constant[:, None] + np.minimum(matrix, 0) @ high + np.maximum(matrix, 0) @ low
    most = constant[:, None] + np.minimum(matrix, 0) @ low + np.maximum(matrix, 0) @ high
    fits = np.ones((low.shape[1], p.size), dtype=np.bool_)
    for j in range(p.depth):
        fits &= (most[j][:, None] >= p.low[j][None, :]) & (least[j][:, None] <= p.high[j][None, :])
    return fits


def _bounds(
    part: _Part,
    some: Ints,
    box: tuple[Ints, Ints],
    waiting: tuple[Times, Times],
    awaited: tuple[Times, Times],
    p: Families,
) -> Any:
    """By how much the awaited may be late: an upper bound per pair of families."""
    matrix, constant = part.matrix, part.constant
    assert matrix is not None and constant is not None
    constants, slopes = waiting[0][some], waiting[1][:, some]
    theirs, their_slopes = awaited
    dtype = object if object in (constants.dtype, theirs.dtype) else np.int64
    total = theirs[None, :] + (constant.astype(dtype)[:, None] * their_slopes).sum(axis=0)[None, :]
    total = total - constants[:, None]
    for k in range(matrix.shape[1]):
        slope = (matrix[:, k].astype(dtype)[:, None] * their_slopes).sum(axis=0)
        slope = slope[None, :] - slopes[k][:, None]
        low = np.repeat(box[0][k, some][:, None], p.size, axis=1)
        high = np.repeat(box[1][k, some][:, None], p.size, axis=1)
        for j in range(matrix.shape[0]):
            if matrix[j, k] == 1 and np.count_nonzero(matrix[j]) == 1:
                low = np.maximum(low, (p.low[j] - constant[j])[None, :])
                high = np.minimum(high, (p.high[j] - constant[j])[None, :])
        total = total + np.maximum(slope * low.astype(dtype), slope * high.astype(dtype))
    return total


def _order_bounds(f: Families, some: Ints, loop: int, constant: Times, slope: Times) -> Any:
    """By how much a tile iteration may be later than one that comes after it, from a loop on.

    An upper bound per pair of families: of the first one's time minus the second one's where both
    agree in the loops before and the first one's index of the loop is less.
    """
    dtype = constant.dtype
    nothing = -(1 << 61)
    a, b = some[:, None], np.arange(f.size)[None, :]
    total = constant[a] - constant[b]
    possible = np.ones(total.shape, dtype=np.bool_)
    for k in range(f.depth):
        here, there = slope[k][a], slope[k][b]
        low_a, high_a = f.low[k][a], f.high[k][a]
        low_b, high_b = f.low[k][b], f.high[k][b]
        if k < loop:
            low, high = np.maximum(low_a, low_b), np.minimum(high_a, high_b)
            possible &= low <= high
            change = here - there
            total = total + np.maximum(change * low.astype(dtype), change * high.astype(dtype))
        elif k == loop:
            possible &= low_a < high_b
            best = np.full(total.shape, nothing, dtype=dtype)
            low = np.maximum(low_a, low_b - 1)
            high = np.minimum(high_a, high_b - 1)
            for x, y in (
                (low_a, low_b),
                (low_a, high_b),
                (high_a, low_b),
                (high_a, high_b),
                (low, low + 1),
                (high, high + 1),
            ):
                inside = (x < y) & (x >= low_a) & (x <= high_a) & (y >= low_b) & (y <= high_b)
                value = here * x.astype(dtype) - there * y.astype(dtype)
                best = np.where(inside, np.maximum(best, value), best)
            total = total + best
        else:
            total = total + np.maximum(here * low_a.astype(dtype), here * high_a.astype(dtype))
            total = total - np.minimum(there * low_b.astype(dtype), there * high_b.astype(dtype))
    return np.where(possible, total, nothing)


def _disorder(pieces: Pieces, a: int, b: int, loop: int) -> Pair | None:
    """The first pair of tile iterations of two families that are in the wrong order in time."""
    depth, scale = pieces.families.depth, pieces.scale
    relation = isl.Map.from_domain_and_range(pieces.set_of(a), pieces.set_of(b))
    for k in range(loop):
        relation = relation.equate(_IN, k, isl.dim_type.out, k)
    relation = relation.order_lt(_IN, loop, isl.dim_type.out, loop)
    earlier = isl.Map("{ [s] -> [t] : t < s }")
    when = isl.Map.from_aff(pieces.aff_of(a, scale)).apply_range(earlier)
    relation &= when.apply_range(isl.Map.from_aff(pieces.aff_of(b, scale)).reverse())
    if relation.is_empty():
        return None
    at = _coordinates(relation.wrap().lexmin().sample_point())
    return Pair(at[depth:], at[:depth])
