"""Rigid pipelines: sampled schedules equal those of which every tile iteration was visited."""

from __future__ import annotations

from collections import Counter
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polylat
from builders import delayed, loop
from differences import compare
from disagreeing import draw_late
from polylat import Spec
from polylat.lowering.mixed_radix import successor
from reports import explicit_up_to


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(0, 400), st.integers(0, 400)
)
def test_successors_are_sums(radix: list[int], number: int, by: int) -> None:
    number %= prod(radix)
    places = [prod(radix[k + 1 :]) for k in range(len(radix))]
    digits = np.array([[number // p % r] for p, r in zip(places, radix, strict=True)])
    found, exists = successor(digits, np.array(radix), by)
    assert exists[0] == (number + by < prod(radix))
    if exists[0]:
        assert found[:, 0] @ np.array(places) == number + by


@pytest.mark.parametrize("trips", [5, 12, 10**9])
def test_results_move_on_with_what_enters(trips: int) -> None:
    """Operation i of the second stage starts at 3i and passes at 3i + 3.

    In a rigid pipeline, two more operations must enter: it passes at 3(i + 2) + 1. The third stage
    starts with the first one, at 6 or at 10, and is busy from then on.
    """
    for rigid, begins in ((False, 6), (True, 10)):
        report = polylat.analyze(Spec.from_dict(delayed(trips, rigid=rigid)), granularity="full")
        assert report.exact
        assert report.engine == ("periodic" if trips > 10**6 else "explicit")
        assert report.latency == begins + 3 * trips
        # Of equally critical paths, the latest one: in a rigid pipeline, the last operation that
        # enters holds back the one two before it.
        first, last = 3 * trips, 9 if rigid else 3
        assert report.critical_totals == {
            ("e0", "c0", None, "compute"): first,
            **({} if rigid else {("e1", "c1", None, "compute"): 1}),
            ("e1", "c1", None, "latency"): report.latency - first - last - (not rigid),
            ("e2", "c2", None, "compute"): last,
        }


@settings(max_examples=max(settings().max_examples // 2, 5))
@given(st.integers(0, 2**63))
def test_extrapolated_is_visited(seed: int) -> None:
    assert compare(*draw_late(seed)).differences == []


@pytest.mark.long
def test_rigid_pipelines_are_extrapolated() -> None:
    """The property above says something."""
    found: Counter[str] = Counter()
    for seed in range(24):
        one = compare(*draw_late(seed), checks=())
        found["extrapolated"] += one.engine == "periodic" and one.exact and not one.coarse
    assert found["extrapolated"] >= 4


def test_loops_without_all_combinations_of_indices_are_visited() -> None:
    """Partial tiles inside a rigid pipeline: the number of iterations in flight is not uniform."""
    data = delayed(30, rigid=True)
    branch = data["mapping"]["nodes"][-1]["nodes"][1]["nodes"]
    branch[0:1] = [loop("m", 4), loop("m")]
    with explicit_up_to(0):
        report = polylat.analyze(Spec.from_dict(data), granularity="full")
    assert report.engine == "explicit"
