"""From ISL relations to arrays: all points of a bounded set, in lexicographic order.

ISL can visit points one by one, at microseconds a point. Here ISL is asked for bounds instead (of
each dimension, given those before it: a piecewise quasi-affine function), and these are evaluated
for all partial points at once.
"""

from __future__ import annotations

from typing import Any

import islpy as isl
import numpy as np
import numpy.typing as npt

from polylat.errors import TooLargeError

__all__ = ["LARGEST_TABLE", "Ints", "points", "runs"]

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LARGEST_TABLE = 1 << 26
"""Beyond this many points an array would not fit the memory of a usual machine."""

_SET = isl.dim_type.set
_IN = isl.dim_type.in_
_DIV = isl.dim_type.div


def points(relation: isl.Set) -> Ints:
    """All points of a set, one per row, in lexicographic order.

    Parameters
    ----------
    relation
        A set without parameters, bounded in every dimension. Wrap a map first.

    Returns
    -------
    numpy.ndarray
        Shape (number of points, number of dimensions).

    Raises
    ------
    ValueError
        The set has parameters or is not bounded.
    TooLargeError
        It has too many points.

    Examples
    --------
    >>> import islpy as isl
    >>> points(isl.Set("{ [i, j] : 0 <= i < 3 and 2i <= j <= i + 1 }")).tolist()
    [[0, 0], [0, 1], [1, 2]]
    """
    if relation.dim(isl.dim_type.param) or not relation.is_bounded():
        raise ValueError(f"not a bounded set without parameters: {relation}")
    relation = relation.compute_divs()
    size = relation.dim(_SET)
    if size == 0:
        return np.zeros((0 if relation.is_empty() else 1, 0), dtype=np.int64)
    found = np.zeros((1, 0), dtype=np.int64)
    for k in range(size):
        head = relation.project_out(_SET, k + 1, size - k - 1).compute_divs().coalesce()
        bounds = isl.Map.from_range(head).move_dims(_IN, 0, isl.dim_type.out, 0, k)
        least = _evaluate(bounds.lexmin_pw_multi_aff(), found)
        most = _evaluate(bounds.lexmax_pw_multi_aff(), found)
        if k == 0 and len(least[0]) and not least[1].any():
            return np.zeros((0, size), dtype=np.int64)
        inside = least[1]
        found, low, high = found[inside], least[0][inside], most[0][inside]
        lengths = high - low + 1
        if lengths.sum() > LARGEST_TABLE:
            raise TooLargeError(
                f"a relation of the mapping has more than {LARGEST_TABLE} points",
                where="mapping",
                mend="use granularity='tile', or larger tiles",
            )
        repeated, values = runs(low, lengths)
        found = np.column_stack((found[repeated], values))
        if _may_have_holes(head):
            found = found[_contains(head, found)]
    return found


def runs(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """The numbers of several runs, one after another, and of which run each is.

    Examples
    --------
    >>> import numpy as np
    >>> [a.tolist() for a in runs(np.array([5, 0]), np.array([2, 1]))]
    [[0, 0, 1], [5, 6, 0]]
    """
    which = np.repeat(np.arange(len(starts)), lengths)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return which, starts[which] + offset


def _may_have_holes(head: isl.Set) -> bool:
    """Whether points between the bounds of the last dimension may be missing."""
    return head.n_basic_set() > 1 or any(b.dim(_DIV) for b in head.get_basic_sets())


def _evaluate(function: isl.PwMultiAff, at: Ints) -> tuple[Ints, Mask]:
    """Values of a one-dimensional function, and where it is defined."""
    pieces: list[tuple[Any, Any]] = []
    function.foreach_piece(lambda domain, value: pieces.append((domain, value)))
    values = np.zeros(len(at), dtype=np.int64)
    defined = np.zeros(len(at), dtype=np.bool_)
    for domain, value in pieces:
        inside = _contains(domain, at) if at.shape[1] else np.ones(len(at), dtype=np.bool_)
        values = np.where(inside, _affine(value.get_aff(0), at), values)
        defined |= inside
    return values, defined


def _contains(domain: isl.Set, at: Ints) -> Mask:
    """Which points lie in the set."""
    inside = np.zeros(len(at), dtype=np.bool_)
    for basic in domain.compute_divs().get_basic_sets():
        here = np.ones(len(at), dtype=np.bool_)
        for constraint in basic.get_constraints():
            value = _affine(constraint.get_aff(), at)
            here &= (value == 0) if constraint.is_equality() else (value >= 0)
        inside |= here
    return inside


def _affine(aff: isl.Aff, at: Ints) -> Ints:
    """Values of a quasi-affine expression, rounded down."""
    denominator = _integer(aff.get_denominator_val())
    total = np.full(len(at), _scaled(aff.get_constant_val(), denominator), dtype=np.int64)
    for i in range(aff.dim(_IN)):
        coefficient = _scaled(aff.get_coefficient_val(_IN, i), denominator)
        if coefficient:
            total += coefficient * at[:, i]
    for i in range(aff.dim(_DIV)):
        coefficient = _scaled(aff.get_coefficient_val(_DIV, i), denominator)
        if coefficient:
            total += coefficient * _affine(aff.get_div(i), at)
    return total // denominator


def _integer(value: isl.Val) -> int:
    return int(value.to_python())


def _scaled(value: isl.Val, denominator: int) -> int:
    return _integer(value * denominator)
