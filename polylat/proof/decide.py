"""Decide a rule for all tile iterations at once: by bounds where they suffice, else by ISL.

A rule demands of every tile iteration c of the waiting event that the awaited event has ended in
tile iteration function(c). Both times are affine on pieces, and so is each part of the function.
So for a part of the function and a pair of pieces, the rule holds if an affine function of c is
nowhere positive on a bounded set. An upper bound over the box around the set proves it where that
bound is not positive; otherwise ISL decides whether the set of violations is empty (integer set
emptiness, Verdoolaege 2010, "isl: An Integer Set Library"). Every pair that can interact is
decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import lcm
from typing import Any

import islpy as isl
import numpy as np

from polylat.analysis.isl_pieces import pieces_to_set
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces

__all__ = ["AffineTimes", "Counterexample", "Decider", "PiecewiseFunction", "split_function"]

Index = tuple[int, ...]
_SET, _IN = isl.dim_type.set, isl.dim_type.in_
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Counterexample:
    """Two tile iterations that break a rule.

    Parameters
    ----------
    waiting, awaited
        The indices of the waiting tile iteration, and of the one it waits for.
    """

    waiting: Index
    awaited: Index


class AffineTimes:
    """Start times as functions ``(constant + coefficients * index) / scale``, and as ISL objects.

    Parameters
    ----------
    pieces
        The pieces of one event.
    """

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.scale = lcm(*np.unique(pieces.stride).tolist()) if pieces.depth else 1
        self.sets: dict[int, isl.Set] = {}
        self.affs: dict[tuple[int, int], isl.Aff] = {}

    @cached_property
    def whole(self) -> isl.Set:
        """All tile iterations."""
        return pieces_to_set(self.pieces)

    def linear(self, scale: int) -> tuple[Times, Times]:
        """Return the start times as affine functions of the index.

        Parameters
        ----------
        scale
            A multiple of every stride.

        Returns
        -------
        (constant, slope)
            Shapes (pieces,) and (loops, pieces): ``constant + slope * index`` is `scale` times the
            start time.
        """
        f = self.pieces
        rate, low = f.rate.astype(object), f.low.astype(object)
        slope = np.asarray(rate * scale // f.stride.astype(object)).reshape(f.depth, f.size)
        constant = f.start.astype(object) * scale - (slope * low).sum(axis=0)
        largest = np.abs(slope).sum(axis=0).max(initial=0) * (int(f.high.max(initial=0)) + 1)
        if int(np.abs(constant).max(initial=0)) + int(largest) < 1 << 54:
            return constant.astype(np.int64), slope.astype(np.int64)
        return constant, slope

    def set_of(self, which: int) -> isl.Set:
        """Return the tile iterations of one piece.

        Parameters
        ----------
        which
            The index of the piece.

        Returns
        -------
        islpy.Set
            Its tile iterations, as points without a name.
        """
        if which not in self.sets:
            self.sets[which] = pieces_to_set(self.pieces.chosen(np.array([which])))
        return self.sets[which]

    def aff_of(self, which: int, scale: int) -> isl.Aff:
        """Return the start time on one piece as an affine expression.

        Parameters
        ----------
        which
            The index of the piece.
        scale
            A multiple of every stride.

        Returns
        -------
        islpy.Aff
            Tile iteration → `scale` times its start time.
        """
        key = which, scale
        if key not in self.affs:
            f = self.pieces
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
    """A part of a function; `matrix` and `constant` are None where it has floors."""

    domain: isl.Set
    value: isl.MultiAff
    low: Ints
    high: Ints
    matrix: Ints | None
    constant: Ints | None


@dataclass(frozen=True, eq=False)
class PiecewiseFunction:
    """A piecewise affine function between tile iterations.

    Parameters
    ----------
    source
        The function.
    parts
        Its parts, each with the bounding box of its domain.
    """

    source: isl.PwMultiAff
    parts: tuple[_Part, ...]


def split_function(source: isl.PwMultiAff, domain: isl.Set) -> PiecewiseFunction:
    """Split a function into its affine parts.

    Parameters
    ----------
    source
        The function.
    domain
        The tile iterations where it is evaluated: bounded.

    Returns
    -------
    PiecewiseFunction
        The function, restricted to `domain`.
    """
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
    return PiecewiseFunction(source, tuple(parts))


def _integer(value: isl.Val) -> int:
    return int(value.to_python())


@dataclass
class Decider:
    """Decide rules on affine pieces, and count the decisions.

    Parameters
    ----------
    decided_by_bounds
        Number of pairs of pieces that bounds have decided.
    decided_by_isl
        Number of pairs of pieces that ISL has decided.
    """

    decided_by_bounds: int = 0
    decided_by_isl: int = 0

    def first_violation(
        self, function: PiecewiseFunction, waiting: AffineTimes, awaited: AffineTimes
    ) -> Counterexample | None:
        """Find the first tile iteration that starts before the event it waits for has ended.

        Parameters
        ----------
        function
            Tile iterations of `waiting` → those of `awaited`.
        waiting, awaited
            The starts of the waiting event, and the ends of the awaited one.

        Returns
        -------
        Counterexample or None
            None if every tile iteration waits.
        """
        found: list[Counterexample] = []
        scale = lcm(waiting.scale, awaited.scale)
        for part in function.parts:
            for c, p in self._suspects(part, waiting, awaited, scale):
                self.decided_by_isl += 1
                value = part.value
                there = awaited.set_of(p).preimage_multi_aff(value)
                bad = part.domain & waiting.set_of(c) & there
                over = awaited.aff_of(p, scale).pullback_multi_aff(value)
                over = over.sub(waiting.aff_of(c, scale))
                bad = bad.intersect(_positive(over))
                if not bad.is_empty():
                    at = bad.lexmin().sample_point()
                    found.append(Counterexample(_coordinates(at), _image(function.source, at)))
        return min(found, key=lambda pair: pair.waiting, default=None)

    def _suspects(
        self, part: _Part, waiting: AffineTimes, awaited: AffineTimes, scale: int
    ) -> Iterator[tuple[int, int]]:
        """Yield the pairs of pieces that bounds do not prove."""
        c, p = waiting.pieces, awaited.pieces
        low = np.maximum(c.low, part.low[:, None]) if c.depth else c.low
        high = np.minimum(c.high, part.high[:, None]) if c.depth else c.high
        inside = np.flatnonzero((low <= high).all(axis=0))
        constants, slopes = waiting.linear(scale), awaited.linear(scale)
        step = max(1, _CHUNK // max(1, p.size * max(1, c.depth)))
        for start in range(0, len(inside), step):
            chunk = inside[start : start + step]
            bad = np.asarray(p.last[None, :] > c.first[chunk][:, None], dtype=np.bool_)
            if part.matrix is not None and part.constant is not None and bad.any():
                bad &= _interacting(part, low[:, chunk], high[:, chunk], p)
                over = _bounds(part, chunk, (low, high), constants, slopes, p)
                bad &= np.asarray(over >= scale, dtype=np.bool_)
            self.decided_by_bounds += bad.size - int(bad.sum())
            for i, j in np.argwhere(bad).tolist():
                yield int(chunk[i]), j

    def first_violation_up_to(
        self, function: PiecewiseFunction, waiting: AffineTimes, awaited: AffineTimes
    ) -> Counterexample | None:
        """Find a violation where all tile iterations up to the function's value are awaited.

        Parameters
        ----------
        function
            Tile iterations of `waiting` → the last awaited tile iteration, in lexicographic order.
        waiting, awaited
            The starts of the waiting event, and the ends of the awaited one.

        Returns
        -------
        Counterexample or None
            None if every tile iteration waits.
        """
        scale = lcm(waiting.scale, awaited.scale)
        later = isl.Map("{ [s] -> [t] : t > s }")
        relation = isl.Map.from_pw_multi_aff(function.source)
        every = relation.range().get_space()
        relation = relation.apply_range(isl.Map.lex_ge(every).intersect_range(awaited.whole))
        for c in range(waiting.pieces.size):
            awaited_by_piece = relation.intersect_domain(waiting.set_of(c))
            when = isl.Map.from_aff(waiting.aff_of(c, scale))
            first = waiting.pieces.first[c]
            for p in np.flatnonzero(awaited.pieces.last > first).tolist():
                self.decided_by_isl += 1
                ends = isl.Map.from_aff(awaited.aff_of(p, scale)).reverse()
                bad = awaited_by_piece.intersect_range(awaited.set_of(p))
                bad &= when.apply_range(later).apply_range(ends)
                if not bad.is_empty():
                    at = _coordinates(bad.wrap().lexmin().sample_point())
                    size = waiting.pieces.depth
                    return Counterexample(at[:size], at[size:])
        return None

    def first_inversion(self, times: AffineTimes) -> Counterexample | None:
        """Find two tile iterations that start in the wrong order.

        Parameters
        ----------
        times
            The starts of one event.

        Returns
        -------
        Counterexample or None
            The earlier tile iteration as `awaited` and the later one, which starts before it, as
            `waiting`; None if starts never decrease in lexicographic order.
        """
        f = times.pieces
        constant, slope = times.linear(times.scale)
        found: list[Counterexample] = []
        for loop in range(f.depth):
            step = max(1, _CHUNK // max(1, f.size * f.depth))
            for start in range(0, f.size, step):
                chunk = np.arange(start, min(start + step, f.size))
                bad = np.asarray(
                    (f.last - f.duration)[chunk][:, None] > f.first[None, :], dtype=np.bool_
                )
                if bad.any():
                    over = _order_bounds(f, chunk, loop, constant, slope)
                    bad &= over >= times.scale
                self.decided_by_bounds += bad.size - int(bad.sum())
                for i, j in np.argwhere(bad).tolist():
                    self.decided_by_isl += 1
                    pair = _inversion(times, int(chunk[i]), j, loop)
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


def _interacting(part: _Part, low: Ints, high: Ints, p: Pieces) -> np.ndarray:
    """Return the mask (tile boxes, pieces) of pairs that a part of a function may relate."""
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
    p: Pieces,
) -> Any:
    """Return an upper bound on how late the awaited end is, per pair of pieces."""
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


def _order_bounds(f: Pieces, some: Ints, loop: int, constant: Times, slope: Times) -> Any:
    """Return an upper bound on how much later an earlier tile iteration starts, per pair of pieces.

    The pairs of tile iterations agree in the loops before `loop`, and the first one's index of
    `loop` is smaller.
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


def _inversion(times: AffineTimes, a: int, b: int, loop: int) -> Counterexample | None:
    """Find the first pair of tile iterations of two pieces that start in the wrong order."""
    depth, scale = times.pieces.depth, times.scale
    relation = isl.Map.from_domain_and_range(times.set_of(a), times.set_of(b))
    for k in range(loop):
        relation = relation.equate(_IN, k, isl.dim_type.out, k)
    relation = relation.order_lt(_IN, loop, isl.dim_type.out, loop)
    earlier = isl.Map("{ [s] -> [t] : t < s }")
    when = isl.Map.from_aff(times.aff_of(a, scale)).apply_range(earlier)
    relation &= when.apply_range(isl.Map.from_aff(times.aff_of(b, scale)).reverse())
    if relation.is_empty():
        return None
    at = _coordinates(relation.wrap().lexmin().sample_point())
    return Counterexample(at[depth:], at[:depth])
