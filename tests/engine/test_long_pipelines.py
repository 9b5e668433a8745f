"""Pipelines of many stages: their cost grows with the stages, and no wait is lost."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polylat
from chains import chain
from polylat.engine.port_turns import latest_first, needed_turns
from polylat.lowering.paths import PathSplit
from reports import explicit_up_to, shared_up_to

Data = dict[str, Any]
NAMES = (
    "latency",
    "latency_by_order",
    "resource_bound",
    "dependence_bound",
    "exact",
    "critical_totals",
)
FEWER = settings(max_examples=max(settings().max_examples // 6, 6))


@pytest.mark.slow
@FEWER
@given(
    st.lists(st.integers(1, 4), min_size=6, max_size=11),
    st.integers(1, 16),
    st.integers(1, 16),
    st.sampled_from([1, 2, 3]),
    st.sampled_from(["tile", "flow"]),
    st.sampled_from([0, 10**9]),
)
def test_extrapolated_is_visited(
    widths: list[int], read: int, write: int, slots: int, granularity: str, shared: int
) -> None:
    """A sample of the iterations of many stages has the schedule of all."""
    case = chain(150, widths, read=read, write=write, bits=1)
    options: Data = {"granularity": granularity, "slots": slots}
    with explicit_up_to(10**9):
        every = polylat.analyze(case, **options)
    with explicit_up_to(0), shared_up_to(shared):
        some = polylat.analyze(case, **options)
    for name in NAMES:
        assert getattr(some, name) == getattr(every, name), name


@pytest.mark.slow
@pytest.mark.parametrize("stages", [8, 24])
def test_exact(stages: int) -> None:
    """A million rows are exact; the multiplier, which all stages share, is the busiest port."""
    report = polylat.analyze(chain(10**6, [4] * (stages + 1), bits=1), granularity="tile")
    assert report.exact
    # The multiplier is idle only while the Pipeline fills and drains.
    assert 16 * 10**6 * stages == report.resource_bound
    assert 0 <= report.latency - report.resource_bound < 1000


@pytest.mark.long
def test_without_ports_more_iterations_are_sampled() -> None:
    """The orders keep their own, smaller sample; `verify` proves both schedules."""
    case = chain(10**4, [1, 2] * 6, read=16, write=16, bits=1)
    reports = []
    for shared in (0, 10**9):
        with explicit_up_to(0), shared_up_to(shared):
            reports.append(polylat.analyze(case, granularity="flow"))
    apart, together = reports
    assert apart.to_dict() == together.to_dict()
    models = [found.model for found in (apart.schedules, apart.schedules.unlimited)]
    assert models[0].graph.iterations < models[1].graph.iterations
    assert together.schedules.unlimited.model is together.schedules.model
    assert apart.schedules.unlimited.makespan == apart.dependence_bound
    apart.verify()


@given(
    shift=st.lists(st.integers(0, 5), min_size=2, max_size=6),
    turns=st.integers(1, 9),
    data=st.data(),
)
def test_needed_turns_imply_all(shift: list[int], turns: int, data: st.DataObject) -> None:
    """All waits between turns follow from the needed ones, whichever branches skip turns."""
    shift.sort()
    shift[0] = 0
    skewed = data.draw(st.booleans())
    branches = range(len(shift))
    masks = [
        np.array(data.draw(st.lists(st.booleans(), min_size=turns, max_size=turns)))
        | data.draw(st.booleans())
        for _ in branches
    ]
    always = [bool(mask.all()) for mask in masks]
    shifts = shift if skewed else None

    def date(branch: int, turn: int) -> tuple[int, int]:
        return (turn + shift[branch], -branch) if skewed else (turn, branch)

    tasks = [(b, t) for b in branches for t in range(turns) if masks[b][t]]
    tasks.sort(key=lambda task: date(*task))
    earlier: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for branch, turn in tasks:
        split = PathSplit(0, True, branch, 1)
        others, delays = latest_first(split, set(branches) - {branch}, shifts)
        here = np.array([turn])
        needed = needed_turns(delays, np.array([always[b] for b in others]), here, here, turns)
        waits = [(branch, turn - 1)] + [
            (other, min(turn + int(delay), turns - 1))
            for other, delay, chosen in zip(others, delays, needed[:, 0], strict=True)
            if chosen
        ]
        found = set()
        for other, last in waits:
            on_port = [t for t in range(last + 1) if masks[other][t]]
            if on_port:
                found |= {(other, on_port[-1])} | earlier[other, on_port[-1]]
        earlier[branch, turn] = found
    for a, b in product(tasks, tasks):
        assert (a in earlier[b]) == (date(*a) < date(*b))
