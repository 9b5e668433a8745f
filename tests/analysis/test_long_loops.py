"""Memory and results of timelines, pages and long critical paths do not depend on trip counts."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polylat
from chains import chain, drifting
from polylat.analysis.critical_path import PeriodicPath
from polylat.analysis.services import ServiceRuns
from polylat.errors import OptionError

OUTPUTS: dict[str, Callable[[polylat.Report], object]] = {
    "timeline": lambda report: report.timeline().to_svg(),
    "page": lambda report: report.to_html(sensitivity=False),
    "JSON": lambda report: report.to_dict(),
}


def _peaks(report: polylat.Report) -> dict[str, int]:
    found = {}
    for name, output in OUTPUTS.items():
        tracemalloc.start()
        output(report)
        found[name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (chain, {"granularity": "full"}),
        (drifting, {"granularity": "tile", "background": True, "slots": None}),
        (drifting, {"granularity": "tile", "background": True, "slots": 1000}),
    ],
)
def test_memory_does_not_grow_with_the_trip_count(
    spec: Callable[[int], polylat.Spec], options: dict[str, Any]
) -> None:
    few, many = (polylat.analyze(spec(rows), **options) for rows in (10**4, 10**7))
    small, large = _peaks(few), _peaks(many)
    assert many.exact
    for name, peak in large.items():  # a process takes 190 MB more
        assert peak <= small[name] + (16 << 20), name
    line = many.timeline()
    assert [line.busy(k) for k in range(len(line.lanes))] == [port.busy for port in many.ports]


@st.composite
def runs(draw: st.DrawFn) -> ServiceRuns:
    """Runs of services with up to two levels of repetitions."""
    size = draw(st.integers(1, 4))
    dtype = draw(st.sampled_from([np.int64, object]))

    def row(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=size, max_size=size))

    count = np.array([row(1, 5), row(1, 5)])
    rate = np.sort(np.array([row(1, 20), row(1, 20)]), axis=0)[::-1]
    return ServiceRuns(
        np.array(row(0, 30), dtype=dtype),
        np.array(row(1, 6), dtype=dtype),
        np.where(count > 1, rate, 0).astype(dtype),
        count,
        np.zeros_like(count),
        np.ones_like(count),
        np.zeros((2, size), dtype=np.int64),
        np.arange(size),
        np.arange(size),
    )


@given(runs(), st.lists(st.integers(-5, 200), min_size=1, max_size=6), st.data())
@settings(deadline=None)
def test_busy_times_are_those_of_every_service(
    some: ServiceRuns, times: list[int], data: st.DataObject
) -> None:
    group = data.draw(
        st.lists(st.integers(0, 2), min_size=some.size, max_size=some.size).map(np.array)
    )
    times.sort()
    every = [
        (g, start + i * outer + j * inner, duration)
        for g, start, duration, (outer, inner), (m, n) in zip(
            group.tolist(),
            some.first.tolist(),
            some.duration.tolist(),
            some.rate.T.tolist(),
            some.count.T.tolist(),
            strict=True,
        )
        for i in range(m)
        for j in range(n)
    ]
    wanted = [
        [
            sum(min(max(now - start, 0), duration) for g, start, duration in every if g == which)
            for which in range(int(group.max()) + 1)
        ]
        for now in times
    ]
    assert some.busy(np.array(times, dtype=object), group).tolist() == wanted
    low, high = times[0], times[-1]
    assert some.number(low, high) == sum(low <= start < high for _, start, _ in every)


def test_an_outline_has_the_largest_level_of_each_part() -> None:
    (memory,) = (
        m
        for m in polylat.analyze(chain(40), granularity="full", background=True).occupancy
        if m.component == "SRAM"
    )
    start, end = Fraction(7, 2), 300
    every, exact = memory.outline(start, end, 10, 10**6)
    assert exact and every == memory.steps_between(start, end)
    parts, exact = memory.outline(start, end, 10, 5)
    assert not exact and len(parts) == 10
    edges = [*(time for time, _ in parts), end]
    for (begin, bits), finish in zip(parts, edges[1:], strict=True):
        assert bits == memory.peak_between(begin, finish)
        inside = memory.steps_between(begin, finish)
        assert bits == max(level for _, level in inside)


def test_an_outline_of_too_many_changes_is_that_of_its_peaks() -> None:
    for memory in polylat.analyze(chain(10**6), granularity="full").occupancy:
        parts, exact = memory.outline(0, 10**6, 8, 100)
        assert len(parts) <= 100 if exact else len(parts) == 8
        assert max(bits for _, bits in parts) <= memory.peak


@pytest.mark.parametrize("granularity", ["tile", "full"])
def test_windows_of_a_long_path_are_slices_of_it(granularity: str) -> None:
    path = polylat.analyze(chain(10**5), granularity=granularity).critical_path
    assert isinstance(path, PeriodicPath)
    windows = path.windows()
    assert windows[0][0].start == 0
    assert windows[-1][-1] == path[-1]
    for steps in windows:
        first = path.index_at(steps[0].start)
        assert path[first : first + len(steps)] == steps
    assert sum(map(len, windows)) < 10**4 < len(path)


def test_more_bars_than_fit_are_refused() -> None:
    report = polylat.analyze(chain(10**6), granularity="full")
    with pytest.raises(OptionError, match="bars one by one, of at most 1,000,000"):
        report.timeline(limit=10**9)
    with pytest.raises(OptionError, match="steps, of which at most 1,000,000 are listed"):
        report.to_dict(steps=None)
