"""Whether a port ever serves two things at once: an exact argument over families.

Two families overlap if and only if a difference of two starts falls between two bounds. Such a
difference is a constant plus a sum of terms ``c * z``, where z runs over an interval. Terms of
equal c are one term, as the sum of two intervals of integers is an interval; and so are those of
c and m * c where the first one's interval has m values or more. Of what remains, the term of the
largest c can only have such values as the others can make up for: these are tried one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd

import islpy as isl
import numpy as np

from polylat.proof.decide import Index, Pieces
from polylat.proof.families import Families

__all__ = ["overlap", "reaches"]

_MOST_TRIED = 10_000

Term = tuple[int, int, int]
"""(c, least z, largest z)"""


def reaches(constant: int, terms: Sequence[Term], low: int, high: int) -> bool | None:
    """Whether a constant plus terms ``c * z`` may lie between two bounds (both included).

    None if that is not found out in a reasonable number of steps.

    Examples
    --------
    Starts at 0, 10, 20, ... and at 5, 15, ...: never less than 5 apart.

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
        if tried > _MOST_TRIED:
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
        if last - first > _MOST_TRIED:
            return None
        stack += [(place + 1, low - c * z, high - c * z) for z in range(first, last + 1)]
    return False


def _reduced(terms: Sequence[Term]) -> list[Term]:
    """Terms of different positive factors, the largest first."""
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


def _pairs(parts: Sequence[Families]) -> Iterator[tuple[int, int]]:
    """Pairs of families (counted through) whose times overlap on the whole."""
    first = np.concatenate([p.first for p in parts])
    last = np.concatenate([p.last for p in parts])
    order = np.argsort(first, kind="stable")
    until = np.searchsorted(first[order], last[order], side="left")
    for place, which in enumerate(order.tolist()):
        for other in order[place : until[place]].tolist():
            yield which, other


def overlap(pieces: Sequence[Pieces]) -> tuple[tuple[int, Index], tuple[int, Index]] | int:
    """Two things that a port serves at once, or if there are none, the number of pairs decided.

    Parameters
    ----------
    pieces
        What the port serves.

    Returns
    -------
    ((which of the pieces, tile iteration), (which of the pieces, tile iteration)) or int
    """
    parts = [p.families for p in pieces]
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
            (start, duration, mine), (other, length, theirs) = columns[a], columns[b]
            terms = [*mine, *((-c, x, y) for c, x, y in theirs)]
            clash = reaches(start - other, terms, 1 - duration, length - 1)
        if clash is False:
            continue
        i, j = owner[a], owner[b]
        found = _witness(pieces[i], a - base[i], pieces[j], b - base[j], same=a == b)
        if found is not None:
            return (i, found[0]), (j, found[1])
    return decided


_Column = tuple[int, int, list[Term]]


def _column(families: Families, f: int) -> _Column:
    terms = [
        (int(families.rate[k, f]), 0, int(families.count[k, f]) - 1)
        for k in range(families.depth)
        if families.count[k, f] > 1
    ]
    return int(families.start[f]), int(families.duration[f]), terms


def _with_itself(column: _Column) -> bool | None:
    """Whether two different tile iterations of a family overlap."""
    _, duration, terms = column
    for k, (c, _, most) in enumerate(terms):
        later = [(x, -high, high) for x, _, high in terms[k + 1 :]]
        clash = reaches(0, [(c, 1, most), *later], 1 - duration, duration - 1)
        if clash is not False:
            return clash
    return False


def _witness(
    a: Pieces, which: int, b: Pieces, other: int, *, same: bool
) -> tuple[Index, Index] | None:
    """Tile iterations of two families that overlap, by ISL; None if there are none."""
    one, two = int(a.families.duration[which]), int(b.families.duration[other])
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
    size = a.families.depth
    at = tuple(
        int(point.get_coordinate_val(isl.dim_type.set, k).to_python())
        for k in range(point.get_space().dim(isl.dim_type.set))
    )
    return at[:size], at[size:]
