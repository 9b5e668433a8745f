"""All points of a bounded ISL set as an array, in lexicographic order.

ISL visits points one by one, at microseconds per point. Instead, ISL computes the bounds of each
dimension as piecewise quasi-affine functions of the dimensions before it, and NumPy evaluates
these functions for all partial points at once.
"""

from __future__ import annotations

from typing import Any

import islpy as isl
import numpy as np

from polylat.errors import TooLargeError
from polylat.schedule.arrays import Ints, Mask, concatenated_ranges

__all__ = ["LARGEST_TABLE", "PiecewiseAffine", "integer_points"]


LARGEST_TABLE = 1 << 26
"""Maximum number of points: a larger array would not fit in the memory of a usual machine."""

_SET = isl.dim_type.set
_IN = isl.dim_type.in_
_DIV = isl.dim_type.div


def integer_points(relation: isl.Set) -> Ints:
    """Return all points of a set in lexicographic order.

    Parameters
    ----------
    relation
        A set without parameters, bounded in every dimension. Wrap a map first.

    Returns
    -------
    numpy.ndarray
        One point per row, shape (points, dimensions).

    Raises
    ------
    ValueError
        The set has parameters or is not bounded.
    TooLargeError
        The set has more than `LARGEST_TABLE` points.

    Examples
    --------
    >>> import islpy as isl
    >>> integer_points(isl.Set("{ [i, j] : 0 <= i < 3 and 2i <= j <= i + 1 }")).tolist()
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
        least, inside = PiecewiseAffine(bounds.lexmin_pw_multi_aff()).at(found)
        most, _ = PiecewiseAffine(bounds.lexmax_pw_multi_aff()).at(found)
        if k == 0 and not inside.any():
            return np.zeros((0, size), dtype=np.int64)
        found, low, high = found[inside], least[inside, 0], most[inside, 0]
        lengths = high - low + 1
        if lengths.sum() > LARGEST_TABLE:
            raise TooLargeError(
                f"a relation of the mapping has more than {LARGEST_TABLE} points",
                where="mapping",
                fix="use granularity='tile', or larger tiles",
            )
        repeated, values = concatenated_ranges(low, lengths)
        found = np.column_stack((found[repeated], values))
        if _may_have_holes(head):
            found = found[_Domain(head).contains(found)]
    return found


def _may_have_holes(head: isl.Set) -> bool:
    """Whether the set may lack points between the bounds of its last dimension."""
    return head.n_basic_set() > 1 or any(b.dim(_DIV) for b in head.get_basic_sets())


class PiecewiseAffine:
    """A piecewise quasi-affine function that is evaluated at many points at once.

    Parameters
    ----------
    function
        The function as an ISL object.
    """

    def __init__(self, function: isl.PwMultiAff) -> None:
        self._pieces: list[tuple[_Domain, list[_Affine]]] = []
        self._size = function.dim(isl.dim_type.out)

        def add(domain: isl.Set, value: isl.MultiAff) -> None:
            values = [_Affine(value.get_aff(i)) for i in range(self._size)]
            self._pieces.append((_Domain(domain), values))

        function.foreach_piece(add)

    def at(self, points: Ints) -> tuple[Ints, Mask]:
        """Evaluate the function.

        Parameters
        ----------
        points
            One point per row, shape (n, dimensions).

        Returns
        -------
        (values, defined)
            One value per row, shape (n, dimensions of the value), and where the function is
            defined, shape (n,). Values are 0 elsewhere.
        """
        values = np.zeros((len(points), self._size), dtype=np.int64)
        defined = np.zeros(len(points), dtype=np.bool_)
        for domain, functions in self._pieces:
            inside = domain.contains(points)
            for column, function in enumerate(functions):
                values[inside, column] = function.at(points[inside])
            defined |= inside
        return values, defined


class _Domain:
    """A set whose membership is evaluated at many points at once."""

    def __init__(self, domain: isl.Set) -> None:
        self._parts = [
            [(c.is_equality(), _Affine(c.get_aff())) for c in basic.get_constraints()]
            for basic in domain.compute_divs().get_basic_sets()
        ]

    def contains(self, points: Ints) -> Mask:
        """Return which points lie in the set."""
        inside = np.zeros(len(points), dtype=np.bool_)
        for constraints in self._parts:
            here = np.ones(len(points), dtype=np.bool_)
            for equality, function in constraints:
                value = function.at(points)
                here &= (value == 0) if equality else (value >= 0)
            inside |= here
        return inside


class _Affine:
    """A quasi-affine expression, rounded down, that is evaluated at many points at once."""

    def __init__(self, aff: isl.Aff) -> None:
        self._denominator = _integer(aff.get_denominator_val())
        self._constant = _scaled(aff.get_constant_val(), self._denominator)
        self._terms = _coefficients(aff, _IN, self._denominator)
        self._divs = [
            (_Affine(aff.get_div(i)), k) for i, k in _coefficients(aff, _DIV, self._denominator)
        ]

    def at(self, points: Ints) -> Ints:
        """Return the values at points, one per row."""
        total = np.full(len(points), self._constant, dtype=np.int64)
        for i, k in self._terms:
            total += k * points[:, i]
        for div, k in self._divs:
            total += k * div.at(points)
        return total // self._denominator if self._denominator != 1 else total


def _coefficients(aff: isl.Aff, of: Any, denominator: int) -> list[tuple[int, int]]:
    """(dimension, coefficient) of the coefficients that are not 0."""
    found = [(i, _scaled(aff.get_coefficient_val(of, i), denominator)) for i in range(aff.dim(of))]
    return [(i, k) for i, k in found if k]


def _integer(value: isl.Val) -> int:
    return int(value.to_python())


def _scaled(value: isl.Val, denominator: int) -> int:
    return _integer(value * denominator)
