"""Mutual exclusion of a port: an exact test whether two of its services overlap.

Two services overlap if and only if the difference of their starts lies between two bounds. Over
two affine pieces that difference is a constant plus a sum of terms ``c * z``, where z ranges over
an interval of integers: a bounded linear Diophantine inequality. Terms of equal c are merged, as
the sum of two intervals of integers is an interval; so are the terms of c and ``m * c`` where the
interval of the former has at least m values. The remaining terms are searched depth-first, the
largest c first, pruned by interval bounds and by the greatest common divisor of the smaller
coefficients. ISL decides where that search would take too long, and finds the counterexample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd

import islpy as isl
import numpy as np

from polylat.proof.affine_times import AffineTimes
from polylat.proof.decide import Index
from polylat.schedule.pieces import Pieces

__all__ = ["find_overlap", "reaches"]

_MAX_TRIED = 10_000

Term = tuple[int, int, int]
"""(coefficient c, smallest z, largest z)"""


def reaches(constant: int, terms: Sequence[Term], low: int, high: int) -> bool | None:
    """Decide whether a constant plus terms ``c * z`` can lie between two bounds.

    Parameters
    ----------
    constant
        The constant.
    terms
        Coefficient and interval of each term.
    low, high
        The bounds, both included.

    Returns
    -------
    bool or None
        None if the search was given up after `_MAX_TRIED` steps.

    Examples
    --------
    Starts at 0, 10, 20, ... and at 5, 15, ...: the distance is never less than 5.

    >>> reaches(-5, [(10, 0, 99), (-10, 0, 99)], -4, 4), reaches(-5, [(10, 0, 9)], -4, 5)
    (False, True)
    """
    reduced = _reduced(terms)
    tails = [(0, 0, 0)]
    for c, least, most in reversed(reduced):
        below, above, common = tails[-1]
        tails.append((below + c * least, above + c * most, gcd(common, c)))
    tails.reverse()
    tried = 0
    stack = [(0, low - constant, high - constant)]
    while stack:
        tried += 1
        if tried > _MAX_TRIED:
            return None
        place, low, high = stack.pop()
        below, above, common = tails[place]
        low, high = max(low, below), min(high, above)
        if low > high or (common and high // common * common < low):
            continue
        if place >= len(reduced) - 1:
            return True
        c, least, most = reduced[place]
        below, above, _ = tails[place + 1]
        first, last = max(least, -((above - low) // c)), min(most, (high - below) // c)
        if last - first > _MAX_TRIED:
            return None
        stack += [(place + 1, low - c * z, high - c * z) for z in range(first, last + 1)]
    return False


def _reduced(terms: Sequence[Term]) -> list[Term]:
    """Merge terms into terms of distinct positive coefficients, the largest first."""
    found: dict[int, tuple[int, int]] = {}
    for c, least, most in terms:
        if not c or least == most == 0:
            continue
        below, above = found.get(abs(c), (0, 0))
        low, high = (least, most) if c > 0 else (-most, -least)
        found[abs(c)] = (below + low, above + high)
    result: list[Term] = []
    for c, (least, most) in sorted(found.items()):
        if result:
            small, below, above = result[-1]
            times, rest = divmod(c, small)
            if rest == 0 and above - below + 1 >= times:
                result[-1] = (small, below + times * least, above + times * most)
                continue
        result.append((c, least, most))
    result.reverse()
    return result


def _pairs(parts: Sequence[Pieces]) -> Iterator[tuple[int, int]]:
    """Yield pairs of pieces (numbered across all parts) whose total time spans overlap."""
    first = np.concatenate([p.first for p in parts])
    last = np.concatenate([p.last for p in parts])
    order = np.argsort(first, kind="stable")
    until = np.searchsorted(first[order], last[order], side="left")
    for place, which in enumerate(order.tolist()):
        for other in order[place : until[place]].tolist():
            yield which, other


def find_overlap(
    served: Sequence[AffineTimes],
) -> tuple[tuple[int, Index], tuple[int, Index]] | int:
    """Find two services of a port that overlap.

    Parameters
    ----------
    served
        The services of each block that the port serves.

    Returns
    -------
    ((block, tile iteration), (block, tile iteration)) or int
        Two services that overlap, with blocks as indices into `served`; where there are none, the
        number of pairs of pieces that were decided.
    """
    parts = [p.pieces for p in served]
    if not parts:
        return 0
    owner = np.repeat(np.arange(len(parts)), [p.size for p in parts]).tolist()
    base = np.concatenate(([0], np.cumsum([p.size for p in parts]))).tolist()
    columns = [_column(p, f) for p in parts for f in range(p.size)]
    decided = 0
    for a, b in _pairs(parts):
        decided += 1
        if a == b:
            clash = _with_itself(columns[a])
        else:
            (start, duration, terms_a), (other, length, terms_b) = columns[a], columns[b]
            terms = [*terms_a, *((-c, x, y) for c, x, y in terms_b)]
            clash = reaches(start - other, terms, 1 - duration, length - 1)
        if clash is False:
            continue
        i, j = owner[a], owner[b]
        found = _overlapping(served[i], a - base[i], served[j], b - base[j], same=a == b)
        if found is not None:
            return (i, found[0]), (j, found[1])
    return decided


_Column = tuple[int, int, list[Term]]


def _column(pieces: Pieces, f: int) -> _Column:
    terms = [
        (int(pieces.rate[k, f]), 0, int(pieces.count[k, f]) - 1)
        for k in range(pieces.depth)
        if pieces.count[k, f] > 1
    ]
    return int(pieces.start[f]), int(pieces.duration[f]), terms


def _with_itself(column: _Column) -> bool | None:
    """Decide whether two different tile iterations of a piece overlap."""
    _, duration, terms = column
    for k, (c, _, most) in enumerate(terms):
        later = [(x, -high, high) for x, _, high in terms[k + 1 :]]
        clash = reaches(0, [(c, 1, most), *later], 1 - duration, duration - 1)
        if clash is not False:
            return clash
    return False


def _overlapping(
    a: AffineTimes, which: int, b: AffineTimes, other: int, *, same: bool
) -> tuple[Index, Index] | None:
    """Find tile iterations of two pieces that overlap, with ISL; None if there are none."""
    one, two = int(a.pieces.duration[which]), int(b.pieces.duration[other])
    near = isl.Map(
        f"{{ [s] -> [t] : s - t < {two * b.scale * a.scale}"
        f" and t - s < {one * b.scale * a.scale} }}"
    )
    scale = a.scale * b.scale
    relation = isl.Map.from_aff(a.aff_of(which, scale)).apply_range(near)
    relation = relation.apply_range(isl.Map.from_aff(b.aff_of(other, scale)).reverse())
    relation = relation.intersect_domain(a.set_of(which)).intersect_range(b.set_of(other))
    if same:
        relation -= isl.Map.identity(relation.get_space())
    if relation.is_empty():
        return None
    point = relation.wrap().lexmin().sample_point()
    size = a.pieces.depth
    at = tuple(
        int(point.get_coordinate_val(isl.dim_type.set, k).to_python())
        for k in range(point.get_space().dim(isl.dim_type.set))
    )
    return at[:size], at[size:]
