"""The latency as a convex, piecewise linear function of the scale of some durations.

The function is the upper envelope of its tangents. These are found one by one: the function is
evaluated at the scale where two neighboring tangents meet. Either its value is theirs, which proves
a breakpoint, or its tangent there lies above both. This is the method of Eisner and Severance
(1976) for parametric problems, a cutting-plane method in one dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction

from polylat.analysis.access import AccessKey
from polylat.analysis.evaluation import Evaluation, Retimer, rigid_accesses
from polylat.errors import UnsupportedError

__all__ = [
    "EnvelopePiece",
    "Tangent",
    "Tangents",
    "envelope",
    "steepest_slope",
    "tangent",
    "tangents",
]

_CLOSE = Fraction(1, 10**5)
"""Relative distance of the scales that are tried instead of one without a tangent."""

_LARGER = tuple(Fraction(*pair) for pair in ((2, 1), (3, 1), (5, 1), (7, 3), (10, 1), (100, 1)))
"""Multiples of a scale that are tried for the last pieces: at some, rates differ too little."""

_FEW = 16
"""Number of steps to larger scales after which each step doubles the number of digits."""


@dataclass(frozen=True)
class Tangent:
    """A line that touches a convex function from below.

    Parameters
    ----------
    rest
        The value at scale 0, in the architecture's unit of time.
    slope
        The change of the value per unit of scale.
    """

    rest: Fraction
    slope: Fraction

    def at(self, scale: Fraction) -> Fraction:
        """Return the value at a scale.

        Parameters
        ----------
        scale
            The scale of the durations.

        Returns
        -------
        Fraction
            The value, in the architecture's unit of time.
        """
        return self.rest + self.slope * scale


Tangents = Callable[[Fraction], Tangent]
"""Scale → a tangent of the latency there; `UnsupportedError` where none can be determined."""


def tangents(retimer: Retimer, keys: Collection[AccessKey]) -> Tangents:
    """Return the function that computes tangents of the latency.

    Parameters
    ----------
    retimer
        Retimes the schedule.
    keys
        The accesses whose durations are scaled.

    Returns
    -------
    Callable
        Scale → a line through the latency there that is nowhere above the latency.
    """
    return lambda scale: tangent(retimer.evaluate(dict.fromkeys(keys, scale)), keys, scale)


def tangent(found: Evaluation, keys: Collection[AccessKey], scale: Fraction) -> Tangent:
    """Return the tangent of the latency at an evaluation.

    Parameters
    ----------
    found
        The latency where the durations of the accesses are scaled.
    keys, scale
        The accesses, and their scale.

    Returns
    -------
    Tangent
        The tangent, as a function of the scale.
    """
    slope = found.slope(keys)
    return Tangent(found.latency - slope * scale, slope)


def steepest_slope(retimer: Retimer, keys: Collection[AccessKey]) -> Fraction:
    """Return the largest slope of the latency.

    That is the latency if only these accesses, and nothing else, took time. The durations in rigid
    pipelines count as fixed latencies.

    Parameters
    ----------
    retimer
        Retimes the schedule.
    keys
        The accesses whose durations are scaled.

    Returns
    -------
    Fraction
        The slope, in the architecture's unit of time per unit of scale.
    """
    rigid = rigid_accesses(retimer.solution.model)
    changing = [key for key in retimer.loads if key not in rigid]
    rest = dict.fromkeys((key for key in changing if key not in keys), Fraction(0))
    fixed = Fraction(retimer.evaluate(dict.fromkeys(changing, Fraction(0))).latency)
    if not fixed:
        return Fraction(retimer.evaluate(rest).latency)
    # The times of two paths at scale 1 differ by a step or not at all, and their fixed latencies by
    # no more than all of them: beyond this scale, the path with the larger slope is longer.
    far = fixed * retimer.solution.scale + 1
    return retimer.evaluate({**rest, **dict.fromkeys(keys, far)}).slope(keys)


EnvelopePiece = tuple[Fraction, Tangent]
"""(scale at which it begins, line) of a piece."""


def envelope(
    tangent_at: Tangents, steepest: Fraction
) -> tuple[list[EnvelopePiece], list[tuple[Fraction, Fraction]]]:
    """Return the pieces of a convex piecewise linear function of scales from 0 on.

    Parameters
    ----------
    tangent_at
        Scale → a tangent of the function there.
    steepest
        The slope of the last piece.

    Returns
    -------
    (pieces, unresolved)
        The pieces, from left to right; and narrow intervals (from, to) in which no tangent can be
        determined.

    Raises
    ------
    UnsupportedError
        No tangent can be determined at scale 0, at 1, or at any of several larger ones.

    Notes
    -----
    The method of Eisner and Severance (1976): n pieces take at most 2n evaluations, besides those
    that find the last piece.
    """
    first = (Fraction(0), tangent_at(Fraction(0)))
    last = (Fraction(1), tangent_at(Fraction(1)))
    points = [first, last]
    while last[1].slope != steepest:
        last = _beyond(tangent_at, last[0], 1 << max(len(points) - 1 - _FEW, 0))
        points.append(last)
    pieces: list[EnvelopePiece] = []
    unresolved: list[tuple[Fraction, Fraction]] = []
    # The points bound the intervals that are not resolved yet, from left to right.
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


def _beyond(tangent_at: Tangents, scale: Fraction, power: int) -> EnvelopePiece:
    """Return a tangent at a scale that is larger by a power of several factors."""
    *others, last = (scale * factor**power for factor in _LARGER)
    for larger in others:
        try:
            return larger, tangent_at(larger)
        except UnsupportedError:
            continue
    return last, tangent_at(last)


def _around(
    tangent_at: Tangents, middle: Fraction, left: Fraction, right: Fraction
) -> list[EnvelopePiece]:
    """Return tangents on both sides of a scale that has none, as far as they are within a range."""
    found = []
    for factor in (1 - _CLOSE, 1 + _CLOSE):
        scale = middle.limit_denominator(10**9) * factor
        if left < scale < right:
            try:
                found.append((scale, tangent_at(scale)))
            except UnsupportedError:
                continue
    return found
