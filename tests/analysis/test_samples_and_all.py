"""Analyses of a sample of the tile iterations equal those of all of them, figure by figure."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

import polylat
from benchmarks.fused import attention
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage
from disagreeing import draw, draw_late
from polylat import MappingError, Report, ScheduleError, Spec, TooLargeError, UnsupportedError
from polylat.analysis import timeline_builder, visiting
from polylat.analysis.critical_path import PeriodicPath
from polylat.analysis.critical_walk import CriticalWalk
from polylat.analysis.periodic_runs import periodic_runs
from polylat.analysis.repetition import Digits, Item, Repetition, ServedAccesses, Service
from polylat.analysis.slack import LatestStarts, SlackUndeterminedError
from polylat.analysis.timeline import Bar
from polylat.analysis.timeline_builder import TimelineBuilder
from polylat.analysis.visiting import visit_all
from polylat.engine.solution import Solution
from polylat.schedule.critical_path import task_slacks
from polylat.schedule.reasons import FLOW, UNKNOWN
from polylat.views.captions import bar_words
from reports import explicit_up_to
from strategies import long_cascades

Data = dict[str, Any]
WHOLE = 10**9
MOST = 20_000
SHOWN = 5_000
EXAMPLES = settings().max_examples
# A failing seed is drawn again by ``draw``; shrinking it would draw an unrelated case.
SEEDS = settings(
    max_examples=max(EXAMPLES // 20, 3),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
FEWER = settings(max_examples=max(EXAMPLES // 20, 3), suppress_health_check=list(HealthCheck))
CASES = st.integers(0, 2**63).map(draw) | long_cascades()
FACTORS = st.fractions(Fraction(1, 30), 30, max_denominator=30)
BLOCKS = {"rank_variable": "m", "tile_shape": 66}
Pair = tuple[Report, Report]


def pair(data: Data, options: Data) -> Pair | None:
    """The report of all tile iterations, and the one of a sample with the same order of service."""
    try:
        given = Spec.from_dict(data)
        with explicit_up_to(WHOLE):
            every = polylat.analyze(given, max_tiles=MOST, **options)
        with explicit_up_to(0):
            some = polylat.analyze(given, max_tiles=MOST, **options)
            if some.engine == "explicit":
                limit = {"granularity": every.granularity, "max_tiles": max(every.tiles - 1, 1)}
                some = polylat.analyze(given, **{**options, **limit})
    except (MappingError, ScheduleError, TooLargeError, UnsupportedError):
        return None
    if some.order != every.order:
        with explicit_up_to(WHOLE):
            every = polylat.analyze(given, **{**options, "order": some.order})
    same = some.exact and some.granularity == every.granularity
    same = same and some.keeps_barriers == every.keeps_barriers
    return (every, some) if same and some.engine == "periodic" else None


def drawn(case: tuple[Data, Data]) -> Pair:
    """The same; draws that cannot be sampled do not count."""
    found = pair(*case)
    assume(found is not None)
    assert found is not None
    return found


def components(report: Report) -> list[str]:
    """The components that take time."""
    return sorted({key[1] for key in report.retimer.loads})


def bars(report: Report, window: tuple[Any, Any]) -> dict[Any, Bar]:
    """The bars of a window, by place."""
    line = TimelineBuilder(report).timeline(window, False, "", 10**6)
    return {(b.lane, b.start, b.einsum, b.tile, b.kind): b for s in line.segments for b in s.bars}


# Random cascades ----------------------------------------------------------------------------------


@pytest.mark.slow
@SEEDS
@given(CASES)
def test_critical_path(case: tuple[Data, Data]) -> None:
    """Of equally critical paths, both name the same one."""
    every, some = drawn(case)
    paths = some.critical_path, every.critical_path
    assert len(paths[0]) == len(paths[1])
    # A path may have millions of steps.
    for steps in (slice(SHOWN), slice(-SHOWN, None), slice(None, None, len(paths[0]) // SHOWN + 1)):
        assert paths[0][steps] == paths[1][steps]
    assert some.critical_totals == every.critical_totals
    assert some.critical_reasons == every.critical_reasons
    assert some.initiation_intervals == every.initiation_intervals


@pytest.mark.long
@SEEDS
@given(st.integers(0, 2**63).map(draw_late))
def test_paths_and_slacks_with_fixed_latencies(case: tuple[Data, Data]) -> None:
    """A sample by itself has the path and the slacks of all tile iterations."""
    every, some = drawn(case)
    assume(some.solution.model.graph.late)
    walk = CriticalWalk(some.solution)
    assert list(PeriodicPath(some.solution.model, walk.back())) == list(every.critical_path)
    check_slacks(every, some)


def check_slacks(every: Report, some: Report) -> None:
    """The slacks that a sample determines by itself are those of all tile iterations."""
    if every.engine != "explicit":
        return
    try:
        latest = LatestStarts(CriticalWalk(some.solution))
    except SlackUndeterminedError:
        return
    free = task_slacks(every.solution.timed_events)
    expected = dict(zip(places(every.solution), free, strict=True))
    graph = some.solution.model.graph
    still = np.zeros((some.solution.model.layout.depth, graph.tasks), dtype=np.int64)
    slacks = latest.slacks(np.arange(graph.tasks), still, some.solution.schedule.task_begin)
    found = dict(zip(places(some.solution), slacks, strict=True))
    assert {k: v for k, v in found.items() if v is not None}.items() <= expected.items()


def places(solution: Solution) -> list[Any]:
    """Per task, its leaf, loop indices, block and port."""
    graph = solution.model.graph
    owner = graph.owner[graph.task_block]
    digits = map(tuple, solution.model.layout.digits[:, owner].T.tolist())
    columns = (graph.leaf[owner], graph.sequence[graph.task_block], graph.task_port)
    return list(zip(digits, *(column.tolist() for column in columns), strict=True))


@SEEDS
@given(CASES)
def test_slacks(case: tuple[Data, Data]) -> None:
    check_slacks(*drawn(case))


@pytest.mark.parametrize("trips", [97, 131])
def test_slacks_of_every_second_iteration(trips: int) -> None:
    """A stage reads every second result of the one before it: the slacks of these are smaller.

    As a row of results is read at a stride of 2, a skipped iteration of the second stage that is
    read may lie between sampled ones that are not.
    """
    window = {"Y": "y", "M": "2*x + z"}
    reads = einsum("e2", ("t2", "y x"))
    reads["tensor_accesses"].insert(0, {"name": "t1", "projection": window})
    data = spec(
        {"y": 3, "m": trips, "x": 48, "z": 2},
        [einsum("e0", ("t0", "y m")), einsum("e1", ("t1", "y m"), ("t0", "y m")), reads],
        [
            memory("SRAM", "inf", "inf", size="inf"),
            memory("RF", "inf", "inf", size="inf", spatial=[{"name": "X", "fanout": 2}]),
            *(compute(f"c{k}", 1) for k in range(3)),
        ],
        [
            storage("SRAM", "t0", "t1", "t2"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(
                        {"type": "Spatial", "component": "RF", "name": "X", **BLOCKS},
                        *(loop("m"), loop("y"), leaf("e0", "c0")),
                    ),
                    nested(loop("y"), loop("m", 30), loop("m"), leaf("e1", "c1")),
                    nested(loop("z"), loop("x"), loop("y"), leaf("e2", "c2")),
                ],
            },
        ],
    )
    found = pair(data, {"order": "program", "granularity": "full"})
    assert found is not None
    check_slacks(*found)


@pytest.mark.long
@SEEDS
@given(CASES)
def test_sensitivity(case: tuple[Data, Data]) -> None:
    every, some = drawn(case)
    expected, found = every.sensitivity(), some.sensitivity()
    assert found == expected


@SEEDS
@given(CASES, st.data())
def test_other_throughputs(case: tuple[Data, Data], data: st.DataObject) -> None:
    every, some = drawn(case)
    faster: Any = {name: data.draw(FACTORS) for name in components(every)}
    assert some.what_if(faster) == every.what_if(faster)


@SEEDS
@given(CASES, st.data())
def test_curves(case: tuple[Data, Data], data: st.DataObject) -> None:
    every, some = drawn(case)
    assume(components(every))
    name = data.draw(st.sampled_from(components(every)))
    found, expected = some.curve(name), every.curve(name)
    if not found.unresolved:
        assert found == expected


@pytest.mark.slow
@SEEDS
@given(CASES)
def test_slopes_are_derivatives(case: tuple[Data, Data]) -> None:
    """A slope that is found without a path is the derivative to the left; at 0, to the right."""
    every, some = drawn(case)
    little = Fraction(1, 10**12)
    for key in some.retimer.loads:
        for scale, sign in ((Fraction(1), -1), (Fraction(3, 2), -1), (Fraction(0), 1)):
            try:
                found = some.retimer.evaluate({key: scale})
            except UnsupportedError:
                continue
            slope = found.direct_slope([key])
            if slope is not None:
                near = every.retimer.evaluate({key: scale + sign * little}).latency
                assert near == found.latency + sign * slope * little


@pytest.mark.slow
@SEEDS
@given(CASES, st.data())
def test_bars_of_a_window(case: tuple[Data, Data], data: st.DataObject) -> None:
    """Duration, slack, reason and criticality of every bar, skipped iterations included."""
    every, some = drawn(case)
    assume(every.latency > 0)
    start = every.latency * data.draw(st.fractions(0, Fraction(9, 10), max_denominator=40))
    length = max(Fraction(every.latency, 20), Fraction(1))
    window = (start, min(start + length, Fraction(every.latency)))
    assert bars(some, window) == bars(every, window)


@pytest.mark.slow
@FEWER
@given(CASES, st.data())
def test_occupancy_at_any_time(case: tuple[Data, Data], data: st.DataObject) -> None:
    every, some = drawn(case)
    time = every.latency * data.draw(st.fractions(0, 1, max_denominator=1000))
    for mine, other in zip(every.occupancy, some.occupancy, strict=True):
        try:
            peak = other.peak
        except UnsupportedError:
            continue
        assert (other.component, peak) == (mine.component, mine.peak)
        assert other.level(time) == mine.level(time)
        assert sorted(map(str, other.at(time))) == sorted(map(str, mine.at(time)))


# Known cases --------------------------------------------------------------------------------------


@cache
def two_busy_ports(split: str) -> Pair:
    """The weights of e0 take as long as its computation: two chains are equally critical."""
    data = spec(
        {"m": 24, "k": 5},
        [
            einsum("e0", ("t0", "m"), ("w0", "m k")),
            einsum("e1", ("t1", "m"), ("t0", "m")),
        ],
        [
            memory("DRAM", 1, 1, size="inf"),
            memory("SRAM", "inf", 4, size="inf"),
            compute("mac0", 1),
            compute("mac1", "1/9"),
        ],
        [
            storage("DRAM", "w0"),
            storage("SRAM", "t0", "t1"),
            {
                "type": split,
                "nodes": [
                    nested(
                        loop("k"),
                        storage("SRAM", "w0"),
                        loop("m", 3),
                        loop("m"),
                        leaf("e0", "mac0"),
                    ),
                    nested(loop("m", 12), loop("m"), leaf("e1", "mac1")),
                ],
            },
        ],
    )
    found = pair(data, {"order": "program", "slots": None})
    assert found is not None
    return found


@pytest.mark.parametrize("split", ["Sequential", "Pipeline"])
def test_of_equally_critical_paths_the_same(split: str) -> None:
    every, some = two_busy_ports(split)
    assert every.critical_totals == some.critical_totals
    assert list(every.critical_path) == list(some.critical_path)
    # Slower computation makes another chain critical, and slower weights that chain.
    half = Fraction(1, 2)
    changes: tuple[dict[Any, Fraction | int], ...] = (
        {},
        {"mac0": half},
        {"DRAM": half},
        {"mac1": 9},
    )
    for faster in changes:
        assert every.what_if(faster) == some.what_if(faster)
    intervals = every.initiation_intervals
    assert intervals == some.initiation_intervals
    assert bars(every, (0, every.latency)) == bars(some, (0, every.latency))


def test_a_reason_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of all tile iterations; where these are too many, it is unknown, not "port"."""
    every, some = two_busy_ports("Pipeline")
    window = (0, every.latency)
    expected = bars(every, window)
    monkeypatch.setattr(
        CriticalWalk,
        "reasons",
        lambda _, tasks, __: (tasks * 0) + UNKNOWN,
    )
    found = bars(some, window)
    assert {k: b.waited_for for k, b in found.items()} == {
        k: b.waited_for for k, b in expected.items()
    }
    monkeypatch.setattr(timeline_builder, "visit_all", lambda _: None)
    unknown = [bar for bar in bars(some, window).values() if not bar.critical]
    assert unknown
    assert all(bar.waited_for == "unknown" and bar.after is None for bar in unknown)
    lane = TimelineBuilder(some).lanes[unknown[0].lane]
    assert "waited for what is not determined" in bar_words(unknown[0], lane)


def test_a_schedule_that_is_not_that_of_all_is_an_error() -> None:
    _, some = two_busy_ports("Pipeline")
    solution = some.solution
    late = solution.schedule.values.copy()
    solution.schedule.events.of_finishes(late)[:] += 1
    other = Solution(solution.model, replace(solution.schedule, values=late))
    with pytest.raises(ScheduleError, match="is not that of all tile iterations"):
        visit_all(other)
    assert some.tiles <= visiting.MOST_VISITED


@pytest.mark.long
def test_slopes_of_long_loops() -> None:
    """Times so large that no step is small enough: two steps of the same slope."""
    report = polylat.analyze(Spec.from_dict(attention(10**4)))
    little = Fraction(1, 10**18)
    for key in report.retimer.loads:
        found = report.retimer.evaluate({key: Fraction(3, 2)})
        below = report.retimer.evaluate({key: Fraction(3, 2) - little})
        assert found.direct_slope([key]) == (found.latency - below.latency) / little


# Recurrences --------------------------------------------------------------------------------------


def service(leaf_: int, digits: Digits) -> Service:
    return Service(ServedAccesses(leaf_, ()), digits, FLOW)


def test_the_longest_run_with_the_shortest_period() -> None:
    """Rounds of two equal halves, after one more and before another one."""

    def a(k: int) -> Service:
        return service(0, (k,))

    def b(k: int) -> Service:
        return service(1, (k, 0))

    items: tuple[Item, ...] = (
        service(2, ()),
        b(0),
        a(1),
        b(1),
        Repetition((a(2), b(2), a(3), b(3)), 10, ((2,), (2, 0), (2,), (2, 0))),
        a(22),
        service(2, ()),
    )
    (run,) = periodic_runs(items)
    assert [served.leaf for served, _ in run.cycle] == [0, 1]
    assert run.shifts == ((1,), (1, 0))
    assert run.periods == 22
