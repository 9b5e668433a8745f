"""Overlaps on a port: whether a sum with bounded terms reaches an interval."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from polylat.proof.ports import reaches

terms = st.lists(
    st.tuples(st.integers(-30, 30), st.integers(-3, 1), st.integers(0, 5)), max_size=4
).map(lambda some: [(c, low, low + more) for c, low, more in some])


@given(st.integers(-60, 60), terms, st.integers(-20, 20), st.integers(0, 8))
def test_reaches(constant: int, some: list[tuple[int, int, int]], low: int, width: int) -> None:
    values = itertools.product(*(range(a, b + 1) for _, a, b in some))
    sums = (constant + sum(c * z for (c, *_), z in zip(some, v, strict=True)) for v in values)
    expected = any(low <= x <= low + width for x in sums)
    assert reaches(constant, some, low, low + width) is expected
