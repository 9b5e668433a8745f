"""All points of a bounded ISL set as an array, in lexicographic order.

ISL visits points one by one, at microseconds per point. Instead, ISL computes the bounds of each
dimension as piecewise quasi-affine functions of the dimensions before it, and NumPy evaluates
these functions for all partial points at once: in 64 bits if no intermediate result can exceed
them, else in Python integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import islpy as isl
import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.corners import Corners
from polylat.lowering.integer_types import Counts, fitting_type
from polylat.numbers import INT64_LIMIT
from polylat.schedule.arrays import Ints, Mask, concatenated_ranges

__all__ = [
    "LARGEST_TABLE",
    "PiecewiseAffine",
    "integer_points",
    "last_intervals",
    "number_of_points",
]


LARGEST_TABLE = 1 << 26
"""Maximum number of points: a larger array would not fit in the memory of a usual machine."""

_MOST_HOLES = 1 << 18
"""Up to this number of candidates for points, candidates between the parts of a set are tested."""

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
        The set has more than `LARGEST_TABLE` points, or coordinates of 2^62 or more.

    Examples
    --------
    >>> import islpy as isl
    >>> integer_points(isl.Set("{ [i, j] : 0 <= i < 3 and 2i <= j <= i + 1 }")).tolist()
    [[0, 0], [0, 1], [1, 2]]
    """
    relation = _bounded(relation)
    size = relation.dim(_SET)
    if size == 0:
        return np.zeros((0 if relation.is_empty() else 1, 0), dtype=np.int64)
    found = np.zeros((1, 0), dtype=np.int64)
    limit = 0  # of the coordinates so far
    for k in range(size):
        head = relation.project_out(_SET, k + 1, size - k - 1).compute_divs().coalesce()
        found = _extended(found, limit, head)
        if not len(found):
            return np.zeros((0, size), dtype=np.int64)
        limit = max(limit, _largest(found[:, k]))
    return found


def number_of_points(relation: isl.Set) -> int:
    """Return the number of points of a set; in the last dimension, intervals are not enumerated.

    Parameters
    ----------
    relation
        As for `integer_points`.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ValueError, TooLargeError
        As for `integer_points`.

    Examples
    --------
    >>> import islpy as isl
    >>> number_of_points(isl.Set("{ [i, j] : 0 <= i < 3 and 0 <= j < 1000000000 }"))
    3000000000
    """
    if relation.dim(_SET) == 0:
        return len(integer_points(relation))
    _, lengths = last_intervals(relation)
    return int(lengths.sum(dtype=object))


def last_intervals(relation: isl.Set) -> tuple[Ints, Ints]:
    """Return the points of a set without their last coordinates, and how many of these there are.

    Parameters
    ----------
    relation
        As for `integer_points`, with at least one dimension.

    Returns
    -------
    (points, numbers)
        Points, shape (n, dimensions - 1), and numbers above zero, shape (n,), whose sum is the
        number of points of the set. Points may occur several times.

    Raises
    ------
    ValueError, TooLargeError
        As for `integer_points`.

    Examples
    --------
    >>> import islpy as isl
    >>> last_intervals(isl.Set("{ [i, j] : 0 <= i < 2 and i <= j < 1000000000 }"))[1].tolist()
    [1000000000, 999999999]
    """
    relation = _bounded(relation)
    size = relation.dim(_SET)
    parts = relation.get_basic_sets()
    if len(parts) != 1 or parts[0].dim(_DIV):
        found = integer_points(relation)[:, :-1]
        return found, np.ones(len(found), dtype=np.int64)
    heads = integer_points(relation.project_out(_SET, size - 1, 1))
    rows, low, high = _intervals(heads, _largest(heads), relation)
    return rows, np.asarray(high - low + 1, dtype=np.int64)  # the bounds are below 2^62


def _bounded(relation: isl.Set) -> isl.Set:
    """Return a set with explicit integer divisions, after checking that it is bounded."""
    if relation.dim(isl.dim_type.param) or not relation.is_bounded():
        raise ValueError(f"not a bounded set without parameters: {relation}")
    return relation.compute_divs()


def _extended(found: Ints, limit: int, head: isl.Set) -> Ints:
    """Return the points of a set, given their coordinates but for the last one.

    `limit` is a bound of the absolute values of these coordinates.
    """
    rows, low, high = _intervals(found, limit, head)
    lengths = high - low + 1  # each fits in 64 bits; if none is large, their sum does, too
    longest = int(lengths.max(initial=0))
    total = longest if longest > LARGEST_TABLE else int(lengths.sum())
    parts = head.n_basic_set()
    if total > _MOST_HOLES and parts > 1:
        # There may be large gaps between the parts of the set.
        some = [
            _extended(found, limit, isl.Set.from_basic_set(part))
            for part in head.make_disjoint().get_basic_sets()
        ]
        joined = np.concatenate(some)
        return joined[np.lexsort(joined.T[::-1])]
    if total > LARGEST_TABLE:
        raise TooLargeError(
            f"a relation of the mapping has more than {LARGEST_TABLE} points",
            where="mapping",
            fix="use granularity='tile', or larger tiles",
        )
    repeated, values = concatenated_ranges(low, lengths)
    found = np.column_stack((rows[repeated], values))
    if parts > 1 or any(part.dim(_DIV) for part in head.get_basic_sets()):
        domain = _Domain(head)
        limit = max(limit, _largest(low), _largest(high))
        found = found[domain.contains(domain.reach.exact(found, limit))]
    return found


def _intervals(found: Ints, limit: int, head: isl.Set) -> tuple[Ints, Counts, Counts]:
    """Return the coordinates that points of a set have, and the bounds of their last coordinate."""
    bounds = isl.Map.from_range(head).move_dims(_IN, 0, isl.dim_type.out, 0, found.shape[1])
    least, inside = PiecewiseAffine(bounds.lexmin_pw_multi_aff()).at(found, limit)
    most, _ = PiecewiseAffine(bounds.lexmax_pw_multi_aff()).at(found, limit)
    return found[inside], least[inside, 0], most[inside, 0]


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
        self._reach = _Reach.of(
            [domain.reach for domain, _ in self._pieces]
            + [function.reach for _, functions in self._pieces for function in functions]
        )

    def at(self, points: Ints, limit: int | None = None) -> tuple[Ints, Mask]:
        """Evaluate the function.

        Parameters
        ----------
        points
            One point per row, shape (n, dimensions).
        limit
            A bound of the absolute values of all coordinates; None: the largest of them.

        Returns
        -------
        (values, defined)
            One value per row, shape (n, dimensions of the value), and where the function is
            defined, shape (n,). Values are 0 elsewhere.

        Raises
        ------
        TooLargeError
            There are values of 2^62 or more.
        """
        values = np.zeros((len(points), self._size), dtype=np.int64)
        defined = np.zeros(len(points), dtype=np.bool_)
        points = self._reach.exact(points, _largest(points) if limit is None else limit)
        for domain, functions in self._pieces:
            inside = domain.contains(points)
            for column, function in enumerate(functions):
                values[inside, column] = _in_range(function.at(points[inside]))
            defined |= inside
        return values, defined

    def on_boxes(self, corners: Corners) -> tuple[Ints, Ints, Mask, Mask]:
        """Evaluate the function on boxes of points.

        Parameters
        ----------
        corners
            The boxes.

        Returns
        -------
        (values, slopes, affine, undefined)
            The value for k = 0, shape (boxes, dimensions of the value); its increase per step of
            each coordinate of k, shape (boxes, dimensions of the value, coordinates); whether
            the function is defined on all of the box and affine with these slopes, shape (boxes,);
            and whether it is certain that it is undefined on all of the box, shape (boxes,).
        """
        values = np.zeros((corners.boxes, self._size), dtype=np.int64)
        slopes = np.zeros((corners.boxes, self._size, corners.coordinates), dtype=np.int64)
        affine = np.zeros(corners.boxes, dtype=np.bool_)
        undefined = np.ones(corners.boxes, dtype=np.bool_)
        points = self._reach.exact(corners.points, _largest(corners.points))
        for domain, functions in self._pieces:
            undefined &= domain.avoiding(corners, points)
            inside = domain.containing(corners, points)
            if not inside.any():
                continue
            affine |= inside
            for column, function in enumerate(functions):
                found, here = corners.affine(_in_range(function.at(points)))
                values[inside, column] = found[0][inside]
                slopes[inside, column] = found[1][inside]
                affine[inside] &= (here & function.divisions_affine(corners, points))[inside]
        return values, slopes, affine, undefined


def _largest(values: Ints) -> int:
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))


class _Reach(NamedTuple):
    """A bound of all intermediate results at a point: ``constant + slope * limit``.

    `limit` is a bound of the absolute values of the point's coordinates.
    """

    constant: int = 0
    slope: int = 0

    @staticmethod
    def of(parts: Sequence[_Reach]) -> _Reach:
        """Return a bound for several computations."""
        return _Reach(*(max(column) for column in zip((0, 0), *parts, strict=True)))

    def exact(self, points: Ints, limit: int) -> Counts:
        """Return points as integers of the type in which intermediate results fit."""
        kind = fitting_type(self.constant + self.slope * limit)
        return points if kind is np.int64 else points.astype(kind)


def _in_range(values: Counts) -> Counts:
    """Refuse values that do not fit in 64 bits together with their differences."""
    if values.dtype == object and _largest(values) >= INT64_LIMIT:
        raise TooLargeError(
            "a relation of the mapping has indices of 2^62 or more",
            where="mapping",
            fix="use smaller ranks, or index expressions with smaller numbers",
        )
    return values


class _Domain:
    """A set whose membership is evaluated at many points at once."""

    def __init__(self, domain: isl.Set) -> None:
        self._parts = [
            [(c.is_equality(), _Affine(c.get_aff())) for c in basic.get_constraints()]
            for basic in domain.compute_divs().get_basic_sets()
        ]
        self.reach: _Reach = _Reach.of(
            [function.reach for constraints in self._parts for _, function in constraints]
        )

    def containing(self, corners: Corners, points: Counts) -> Mask:
        """Return which boxes lie in one convex part of the set, on which it is affine.

        Shape (boxes,). Within a part whose integer divisions are affine on a box, membership is a
        conjunction of affine inequalities, which hold in the box if they do at its corners.
        """
        found = np.zeros(corners.boxes, dtype=np.bool_)
        for constraints in self._parts:
            here = np.ones(corners.boxes, dtype=np.bool_)
            for equality, function in constraints:
                value = corners.split(function.at(points))
                here &= ((value == 0) if equality else (value >= 0)).all(axis=0)
                if here.any():
                    here &= function.divisions_affine(corners, points)
            found |= here
        return found

    def avoiding(self, corners: Corners, points: Counts) -> Mask:
        """Return which boxes certainly have no point in the set, shape (boxes,).

        Each convex part has a constraint that holds nowhere in the box: one whose integer divisions
        are affine on the box, and that fails at all corners on the same side.
        """
        found = np.ones(corners.boxes, dtype=np.bool_)
        for constraints in self._parts:
            outside = np.zeros(corners.boxes, dtype=np.bool_)
            for equality, function in constraints:
                value = corners.split(function.at(points))
                fails = (value < 0).all(axis=0)
                if equality:
                    fails |= (value > 0).all(axis=0)
                if fails.any():
                    outside |= fails & function.divisions_affine(corners, points)
            found &= outside
        return found

    def contains(self, points: Counts) -> Mask:
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
        constant, slope = abs(self._constant), sum(abs(k) for _, k in self._terms)
        for div, k in self._divs:
            # A floor is no larger than its numerator.
            constant += abs(k) * div.reach.constant
            slope += abs(k) * div.reach.slope
        self.reach: _Reach = _Reach(constant, slope)

    def divisions_affine(self, corners: Corners, points: Counts) -> Mask:
        """Return on which boxes all integer divisions are affine, shape (boxes,).

        A division of an affine function by a constant, minus an affine function with integer
        slopes, is monotone in every coordinate. So it is 0 on a box if it is 0 at its corners.
        """
        found = np.ones(corners.boxes, dtype=np.bool_)
        for div, _ in self._divs:
            found &= div.divisions_affine(corners, points)
            found &= corners.affine(div.at(points))[1]
        return found

    def at(self, points: Counts) -> Counts:
        """Return the values at points, one per row."""
        kind = object if points.dtype == object else np.int64
        total: Counts = np.full(len(points), self._constant, dtype=kind)
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
