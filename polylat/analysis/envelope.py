"""The latency as a convex, piecewise linear function of the scale of some durations.

Its pieces are found by tangents (a cutting-plane method): two tangents meet where the function may
have a breakpoint; there it is evaluated again, until no tangent lies above another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction

from polylat.analysis.access import AccessKey
from polylat.analysis.evaluation import Evaluation, Retimer
from polylat.errors import UnsupportedError

__all__ = ["EnvelopePiece", "Line", "Tangents", "envelope", "steepest_slope", "tangent", "tangents"]


@dataclass(frozen=True)
class Line:
    """A line that touches a convex function from below."""

    rest: Fraction
    slope: Fraction

    def at(self, scale: Fraction) -> Fraction:
        return self.rest + self.slope * scale


Tangents = Callable[[Fraction], Line]


def tangents(retimer: Retimer, keys: Collection[AccessKey]) -> Tangents:
    """Scale of some durations → a line through the latency there that is nowhere above it."""
    return lambda scale: tangent(retimer.evaluate(dict.fromkeys(keys, scale)), keys, scale)


def tangent(found: Evaluation, keys: Collection[AccessKey], scale: Fraction) -> Line:
    slope = found.slope(keys)
    return Line(found.latency - slope * scale, slope)


def steepest_slope(retimer: Retimer, keys: Collection[AccessKey]) -> Fraction:
    """The largest slope of any line: the latency if only these accesses took time."""
    rest = dict.fromkeys((key for key in retimer.loads if key not in keys), Fraction(0))
    return Fraction(retimer.evaluate(rest).latency)


EnvelopePiece = tuple[Fraction, Line]


def envelope(
    tangent_at: Tangents, steepest: Fraction
) -> tuple[list[EnvelopePiece], list[tuple[Fraction, Fraction]]]:
    """The pieces of a convex piecewise linear function from 0 on, and where they begin.

    Parameters
    ----------
    tangent_at
        Gives a line of the function anywhere.
    steepest
        Its slope from some place on.

    Returns
    -------
    (pieces, unresolved)
        And narrow intervals in which no line can be had.
    """
    first = (Fraction(0), tangent_at(Fraction(0)))
    last = (Fraction(1), tangent_at(Fraction(1)))
    points = [first, last]
    while last[1].slope != steepest:
        last = (2 * last[0], tangent_at(2 * last[0]))
        points.append(last)
    pieces: list[EnvelopePiece] = []
    unresolved: list[tuple[Fraction, Fraction]] = []
    # What is left to be resolved, from left to right: each between two points with their lines.
    while len(points) > 1:
        (left, low), (right, high) = points[:2]
        if low.at(right) == high.at(right):
            pieces.append((left, low))
        elif low.at(left) == high.at(left):
            pieces.append((left, high))
        else:
            middle = (low.rest - high.rest) / (high.slope - low.slope)
            try:
                line = tangent_at(middle)
            except UnsupportedError:
                near = _around(tangent_at, middle, left, right)
                if near:
                    points[1:1] = near
                    continue
                unresolved.append((left, right))
            else:
                if line.at(middle) != low.at(middle):
                    points.insert(1, (middle, line))
                    continue
            pieces += [(left, low), (middle, high)]
        del points[0]
    pieces.append(points[0])
    distinct = [piece for i, piece in enumerate(pieces) if i == 0 or piece[1] != pieces[i - 1][1]]
    return distinct, unresolved


def _around(
    tangent_at: Tangents, middle: Fraction, left: Fraction, right: Fraction
) -> list[EnvelopePiece]:
    """Points with their lines close to one where none can be had, if they are not there yet."""
    found = []
    for factor in (1 - _CLOSE, 1 + _CLOSE):
        scale = middle.limit_denominator(10**9) * factor
        if left < scale < right:
            try:
                found.append((scale, tangent_at(scale)))
            except UnsupportedError:
                continue
    return found


_CLOSE = Fraction(1, 10**5)
