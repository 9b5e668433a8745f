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
from math import lcm

import islpy as isl
import numpy as np

from polylat.proof.affine_times import AffineTimes
from polylat.proof.bounds import inversion_bounds, lateness_bounds, may_interact
from polylat.proof.piecewise import FunctionPart, PiecewiseFunction

__all__ = ["Counterexample", "Decider"]

Index = tuple[int, ...]
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


@dataclass
class Decider:
    """Decide rules on affine pieces, and count the decisions.

    Parameters
    ----------
    decided_by_bounds
        Number of pairs of pieces that bounds have decided.
    decided_by_isl
        Number of pairs of pieces that ISL has decided.
    checks, checks_by_isl
        Number of relations that were checked, and of those for which bounds did not suffice.
    """

    decided_by_bounds: int = 0
    decided_by_isl: int = 0
    checks: int = 0
    checks_by_isl: int = 0

    def _end_check(self, before: int) -> None:
        """Count a check; `before` is the number of decisions by ISL before it."""
        self.checks += 1
        self.checks_by_isl += self.decided_by_isl > before

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
        before = self.decided_by_isl
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
        self._end_check(before)
        return min(found, key=lambda pair: pair.waiting, default=None)

    def _suspects(
        self, part: FunctionPart, waiting: AffineTimes, awaited: AffineTimes, scale: int
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
                bad &= may_interact(part, low[:, chunk], high[:, chunk], p)
                over = lateness_bounds(part, chunk, (low, high), constants, slopes, p)
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
        relation = isl.Map.from_pw_multi_aff(function.source)
        every = relation.range().get_space()
        relation = relation.apply_range(isl.Map.lex_ge(every).intersect_range(awaited.whole))
        return self.first_violation_among(relation, waiting, awaited)

    def first_violation_among(
        self, relation: isl.Map, waiting: AffineTimes, awaited: AffineTimes
    ) -> Counterexample | None:
        """Find a violation where all related tile iterations are awaited.

        Parameters
        ----------
        relation
            Tile iterations of `waiting` → those of `awaited`.
        waiting, awaited
            The starts of the waiting event, and the ends of the awaited one.

        Returns
        -------
        Counterexample or None
            None if every tile iteration waits.
        """
        before = self.decided_by_isl
        scale = lcm(waiting.scale, awaited.scale)
        later = isl.Map("{ [s] -> [t] : t > s }")
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
        self._end_check(before)
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
        before = self.decided_by_isl
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
                    over = inversion_bounds(f, chunk, loop, constant, slope)
                    bad &= over >= times.scale
                self.decided_by_bounds += bad.size - int(bad.sum())
                for i, j in np.argwhere(bad).tolist():
                    self.decided_by_isl += 1
                    pair = _inversion(times, int(chunk[i]), j, loop)
                    if pair is not None:
                        found.append(pair)
        self._end_check(before)
        return min(found, key=lambda pair: pair.awaited, default=None)


def _positive(aff: isl.Aff) -> isl.Set:
    none = isl.Aff.zero_on_domain_space(aff.get_domain_space())
    return aff.gt_set(none)


def _coordinates(point: isl.Point) -> Index:
    size = point.get_space().dim(isl.dim_type.set)
    return tuple(
        int(point.get_coordinate_val(isl.dim_type.set, k).to_python()) for k in range(size)
    )


def _image(function: isl.PwMultiAff, point: isl.Point) -> Index:
    here = isl.Set.from_point(point)
    return _coordinates(
        isl.Map.from_pw_multi_aff(function).intersect_domain(here).range().sample_point()
    )


def _inversion(times: AffineTimes, a: int, b: int, loop: int) -> Counterexample | None:
    """Find the first pair of tile iterations of two pieces that start in the wrong order."""
    depth, scale = times.pieces.depth, times.scale
    relation = isl.Map.from_domain_and_range(times.set_of(a), times.set_of(b))
    for k in range(loop):
        relation = relation.equate(isl.dim_type.in_, k, isl.dim_type.out, k)
    relation = relation.order_lt(isl.dim_type.in_, loop, isl.dim_type.out, loop)
    earlier = isl.Map("{ [s] -> [t] : t < s }")
    when = isl.Map.from_aff(times.aff_of(a, scale)).apply_range(earlier)
    relation &= when.apply_range(isl.Map.from_aff(times.aff_of(b, scale)).reverse())
    if relation.is_empty():
        return None
    at = _coordinates(relation.wrap().lexmin().sample_point())
    return Counterexample(at[depth:], at[:depth])
