"""Multilinear polynomials, against their values at points."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from polylat.closed_form.multilinear import Multilinear

coefficients = st.lists(st.integers(-3, 3), min_size=4, max_size=4)


@given(coefficients, st.integers(0, 3), st.integers(0, 3), st.integers(1, 4), st.integers(1, 4))
def test_nonnegative_in_a_box(some: list[int], a: int, b: int, wide: int, high: int) -> None:
    """Exactly if it is at all corners; and then at all points."""
    value = Multilinear(tuple(map(Fraction, some)))
    box = list(product(range(a, a + wide + 1), range(b, b + high + 1)))
    least = min(value.at(point) for point in box)
    assert value.is_nonnegative((a, b), (a + wide, b + high)) == (least >= 0)


@given(coefficients, st.integers(0, 3), st.integers(0, 3))
def test_nonnegative_without_limit(some: list[int], a: int, b: int) -> None:
    """For all larger values: a large box decides, as the coefficients are small."""
    value = Multilinear(tuple(map(Fraction, some)))
    corners = list(product((a, a + 1, a + 1000, a + 10**7), (b, b + 1, b + 1000, b + 10**7)))
    assert value.is_nonnegative((a, b), (None, None)) == all(value.at(p) >= 0 for p in corners)


@given(st.lists(st.integers(-9, 9), min_size=4, max_size=4))
def test_between_corners(values: list[int]) -> None:
    """Interpolation has the given values, and is affine in each variable."""
    found = Multilinear.between((1, 2), (4, 9), values)
    corners = [(1, 2), (4, 2), (1, 9), (4, 9)]
    assert [found.at(corner) for corner in corners] == values
    assert found.at((2, 5)) * 2 == found.at((1, 5)) + found.at((3, 5))
    assert found.fix_last(5).at((3,)) == found.at((3, 5))
    line = Multilinear.through((Fraction(2), found.fix_last(2)), (Fraction(9), found.fix_last(9)))
    assert line == found
