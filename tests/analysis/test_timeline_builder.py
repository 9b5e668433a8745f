"""Timelines: what their bars, shades and segments add up to, on random cascades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import polylat
from builders import EXAMPLE
from polylat import OptionError, Report, Spec
from polylat.analysis import visiting
from polylat.analysis.explicit_retiming import explicit_retimer
from polylat.analysis.timeline import Bar, TimelineSegment
from polylat.schedule.critical_path import task_slacks, timed_events
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.views.timeline import Timeline
from reports import analyzed, explicit_up_to
from strategies import cascades, long_cascades

Data = dict[str, Any]
FEW = settings(
    max_examples=max(settings().max_examples // 5, 5),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
FEWER = settings(FEW, max_examples=max(settings().max_examples // 16, 6))
SOME = settings(max_examples=max(settings().max_examples // 2, 5))
WHOLE = 10**9


def example(**options: Any) -> Report:
    return polylat.analyze(polylat.load(EXAMPLE), **{"granularity": "tile", **options})


def lanes(bars: tuple[Bar, ...]) -> Iterator[list[Bar]]:
    for lane in sorted({bar.lane for bar in bars}):
        yield [bar for bar in bars if bar.lane == lane]


@SOME
@given(cascades())
def test_random_cascades(case: tuple[Data, Data]) -> None:
    data, options = case
    report = analyzed(data, **options)
    line = report.timeline(fold=False, limit=WHOLE)
    check_bars(report, line)
    check_critical_path(report, line)
    if not report.solution.model.graph.late:  # bars wait for bars, without latencies between them
        check_waits(line)
    check_slack(report, line)


def check_bars(report: Report, line: Timeline) -> None:
    """Ports serve one bar at a time; bars add up to accesses, to loads and to the latency."""
    (segment,) = line.segments
    assert segment.times == 1 and not segment.shades and not line.folded
    assert [lane.name for lane in line.lanes] == [port.name for port in report.ports]
    for mine in lanes(line.bars):
        assert all(a.finish <= b.start for a, b in pairwise(mine))
    for number, port in enumerate(report.ports):
        assert line.busy(number) == port.busy
        assert sum(bar.duration for bar in line.bars if bar.lane == number) == port.busy
    model = report.solution.model
    last = max((bar.finish for bar in line.bars), default=0)
    assert line.latency == report.latency
    assert last == report.latency or (model.graph.late and last < report.latency)
    assert all(bar.duration == sum(part.duration for part in bar.parts) for bar in line.bars)
    if not (model.costs.per_transfer or model.costs.bursts):
        assert Counter({k: v for k, v in times(line).items() if v}) == expected_times(report)
    for einsum, index in {(bar.einsum, bar.tile) for bar in line.bars}:
        leaf = next(x for x in report.solution.model.lowered.leaves if x.einsum.name == einsum)
        assert [v for v, _ in index] == [x.variable for x in leaf.temporal][: len(index)]


def times(line: Timeline) -> Counter[tuple[Any, ...]]:
    """Busy time per port and access, by the bars; an access keeps each of its units' ports busy."""
    by_lane: Counter[tuple[Any, ...]] = Counter()
    for bar in line.bars:
        lane = line.lanes[bar.lane]
        for part in bar.parts:
            key = (bar.einsum, lane.component, lane.port, part.tensor, part.action)
            by_lane[bar.lane, *key] += part.duration  # type: ignore[assignment]
    found: Counter[tuple[Any, ...]] = Counter()
    for at, time in by_lane.items():
        found[at[1:]] = max(found[at[1:]], time)
    return found


def expected_times(report: Report) -> Counter[tuple[Any, ...]]:
    """The same from the number of actions and the time of one action."""
    spec = report.solution.model.lowered.spec
    found: Counter[tuple[Any, ...]] = Counter()
    for einsum in spec.workload.einsums:
        repeat = einsum.n_instances * spec.workload.n_instances
        for component in spec.arch.paths[einsum.name]:
            for port in component.ports:
                for (name, where, tensor, action), actions in report.accesses.items():
                    if (name, where) == (einsum.name, component.name):
                        each = port.durations.get(action, Fraction(0)) * repeat
                        key = (name, where, port.name, tensor, action)
                        found[key] += actions * each  # type: ignore[assignment]
    return Counter({key: time for key, time in found.items() if time})


def check_critical_path(report: Report, line: Timeline) -> None:
    """The critical path passes through bars from 0 to the latency without a gap."""
    path = tuple(report.critical_path)
    (segment,) = line.segments
    if len(path) <= 1000:
        assert segment.critical == path
    if report.solution.model.graph.late:
        return  # fixed latencies lie between the bars
    critical = [bar for bar in line.bars if bar.critical]
    assert sum((bar.duration for bar in critical), Fraction(0)) == report.latency
    at: int | Fraction = 0
    for bar in sorted(critical, key=lambda b: b.start):
        assert bar.start == at
        at = bar.finish
    firsts = {step.start: step.waited_for for step in path}
    assert all(bar.waited_for == firsts[bar.start] for bar in critical)


def check_waits(line: Timeline) -> None:
    """A bar starts when the bar that it waited for has been served."""
    for bar in line.bars:
        assert (bar.waited_for is None) == (bar.start == 0)
        if bar.after is not None:
            assert line.bars[bar.after].finish == bar.start
        if bar.waited_for == "port" and bar.start:
            assert bar.after is not None
            assert line.bars[bar.after].lane == bar.lane
        if bar.waited_for in ("flow", "barrier", "capacity"):
            assert any(other.finish == bar.start for other in line.bars)


def check_slack(report: Report, line: Timeline) -> None:
    """Slack is not negative, 0 on the critical path, and agrees with that of the accesses."""
    if report.engine != "explicit":
        return
    for bar in line.bars:
        assert bar.slack is not None and bar.slack >= 0
        assert bar.finish + bar.slack <= report.latency
        if bar.critical:
            assert bar.slack == 0
    # A factor by which all such accesses could be slower for free is free for each of them alone.
    for row in report.sensitivity().accesses:
        if row.slack is None:
            continue
        for bar in line.bars:
            component = line.lanes[bar.lane].component
            mine = sum(
                (
                    part.duration
                    for part in bar.parts
                    if (bar.einsum, component, part.tensor, part.action)
                    == (row.einsum, row.component, row.tensor, row.action)
                ),
                Fraction(0),
            )
            assert bar.slack is not None
            assert bar.slack >= (Fraction(row.slack) - 1) * mine


@FEW
@given(cascades(), st.integers(0, 10**6))
def test_slack_is_the_most_that_is_free(case: tuple[Data, Data], pick: int) -> None:
    """A task can take longer by its slack without a change of the latency, but not by more."""
    data, options = case
    report = analyzed(data, **options)
    assume(report.engine == "explicit" and report.latency > 0)
    model, timing = report.solution.model, report.solution.schedule
    assert isinstance(model.plan, ExplicitTaskGraph)
    free = task_slacks(timed_events(model.graph, timing))
    task = pick % model.graph.tasks
    retimer = explicit_retimer(report.solution)
    for more, late in ((0, False), (1, True)):
        durations = model.graph.task_duration.copy()
        durations[task] += free[task] + more
        assert (retimer.retimed(durations).makespan > timing.makespan) == late


@FEW
@given(cascades(), st.integers(1, 30))
def test_shades_add_up(case: tuple[Data, Data], limit: int) -> None:
    """Shades, which replace bars that are too many to show, add up to the same busy time."""
    data, options = case
    report = analyzed(data, **options)
    line = report.timeline(fold=False, limit=limit)
    whole = report.timeline(fold=False, limit=WHOLE)
    for number, port in enumerate(report.ports):
        assert line.busy(number) == port.busy
    for shade in line.segments[0].shades:
        served: Counter[tuple[str, str]] = Counter()
        for bar in whole.bars:
            if bar.lane == shade.lane:
                inside = min(bar.finish, shade.finish) - max(bar.start, shade.start)
                if inside > 0:
                    served[bar.einsum, bar.kind] += inside  # type: ignore[assignment]
        assert served == Counter({(e, k): t for e, k, t in shade.busy})


def rolled_out(line: Timeline) -> list[tuple[TimelineSegment, Fraction]]:
    """Segments in order of time, repeated ones repeated, each with its delay."""

    def between(first: int, last: int, later: Fraction, depth: int) -> Iterator[Any]:
        at = first
        while at <= last:
            mine = [
                r
                for k, r in enumerate(line.repeats)
                if r.first == at and r.last <= last and nested(k) == depth
            ]
            if mine:
                (repeat,) = mine
                for turn in range(repeat.count):
                    again = later + turn * repeat.period
                    yield from between(repeat.first, repeat.last, again, depth + 1)
                at = repeat.last + 1
            else:
                yield line.segments[at], later
                at += 1

    def nested(number: int) -> int:
        mine = line.repeats[number]
        return sum(r.first <= mine.first and mine.last <= r.last for r in line.repeats[:number])

    return list(between(0, len(line.segments) - 1, Fraction(0), 0))


def seen(bar: Bar, later: Fraction) -> tuple[Any, ...]:
    durations = tuple((p.tensor, p.action, p.duration) for p in bar.parts)
    return (bar.lane, bar.einsum, bar.kind, bar.start + later, bar.duration, durations)


def check_folded(report: Report, whole: Timeline, limit: int) -> bool:
    """A folded timeline unfolds to the whole one. Return whether anything is folded."""
    line = report.timeline(fold=True, limit=limit)
    shown = rolled_out(line)
    at: Fraction = Fraction(0)
    for segment, later in shown:
        assert segment.start + later == at
        at = Fraction(segment.finish) + later
    assert at == report.latency
    counts = Counter(id(segment) for segment, _ in shown)
    assert all(counts[id(segment)] == segment.times for segment in line.segments)
    for number, port in enumerate(report.ports):
        assert line.busy(number) == port.busy
    if all(not segment.shades for segment in line.segments):
        found = [
            seen(bar, later)
            for segment, later in shown
            for bar in segment.bars
            if bar.start >= segment.start
        ]
        assert Counter(found) == Counter(seen(bar, Fraction(0)) for bar in whole.bars)
    for segment, later in shown[:40]:
        if later:
            continue  # memories may reach their steady state later than the ports
        for level, memory in zip(segment.levels, report.occupancy, strict=True):
            if level.steps is not None and len(level.steps) < 100:
                low, high = segment.start + later, segment.finish + later
                there = memory.steps_between(low, high)
                assert [(t + later, bits) for t, bits in level.steps] == list(there)
    return line.folded


@FEW
@given(long_cascades())
def test_folded_timelines_unfold(case: tuple[Data, Data]) -> None:
    """Repeated parts are shown once: unrolled, they are the timeline without folding."""
    data, options = case
    report = analyzed(data, **options)
    assume(report.tiles <= 3000)
    whole = report.timeline(fold=False, limit=WHOLE)
    check_folded(report, whole, 60)


@pytest.mark.slow
@FEWER
@given(long_cascades(), st.data())
def test_periodic_schedules_have_the_same_bars(
    case: tuple[Data, Data], data: st.DataObject
) -> None:
    """From a sample of the tile iterations, the bars of any window are the same.

    Their slack, too, if all tile iterations may be visited for it; else it may be missing.
    """
    spec, options = case
    with explicit_up_to(WHOLE):
        every = analyzed(spec, **options)
    assume(every.tiles <= 3000)
    with explicit_up_to(0):
        some = analyzed(spec, **options)
    assume(some.engine == "periodic" and some.order == every.order and every.latency > 0)
    start = Fraction(data.draw(st.integers(0, 99)), 100) * every.latency
    window = (start, start + Fraction(every.latency, data.draw(st.integers(1, 20))))
    most = data.draw(st.sampled_from((visiting.MOST_VISITED, 0)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(visiting, "MOST_VISITED", most)
        here, there = (r.timeline(window=window, fold=False, limit=WHOLE) for r in (some, every))
    assert here.start == there.start and here.finish == there.finish

    def plain(line: Timeline) -> list[Bar]:
        free = {"waited_for": None, "after": None, "slack": None, "critical": False}
        return [replace(bar, **free) for bar in line.bars]  # type: ignore[arg-type]

    assert plain(here) == plain(there)
    for mine, other in zip(here.bars, there.bars, strict=True):
        missing = mine.slack is None and not mine.critical and not most
        assert mine.slack == other.slack or missing
    assert {b.start for b in here.bars if b.waited_for is None} <= {0}
    check_folded(some, every.timeline(fold=False, limit=WHOLE), 60)


@pytest.mark.slow
@pytest.mark.parametrize("background", ["o2", ()])
def test_slack_from_a_sample_of_tile_iterations(
    background: str | tuple[()], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For fused matrix multiplications all slack is determined, as if all were visited."""
    from benchmarks.fused import chain

    monkeypatch.setattr(visiting, "MOST_VISITED", 0)
    spec = Spec.from_dict(chain(600))
    lines = []
    for tiles, engine in ((WHOLE, "explicit"), (0, "periodic")):
        with explicit_up_to(tiles):
            report = polylat.analyze(
                spec, granularity="tile", order="program", background=background
            )
        assert report.engine == engine
        lines.append(report.timeline(fold=False, limit=WHOLE))
    there, here = lines
    assert [bar.slack for bar in here.bars] == [bar.slack for bar in there.bars]
    assert len({bar.slack for bar in here.bars}) > 1
    assert all(bar.slack == 0 for bar in here.bars if bar.critical)


def test_any_number_of_iterations_fits_one_screen() -> None:
    """An attention block of 10^9 tile iterations: few segments, and nothing is lost."""
    from benchmarks.fused import attention

    report = polylat.analyze(Spec.from_dict(attention(10**6)), granularity="tile")
    assert report.engine == "periodic"
    line = report.timeline()
    assert line.folded and len(line.segments) <= 20
    assert sum(s.duration * s.times for s in line.segments) == report.latency
    for number, port in enumerate(report.ports):
        assert line.busy(number) == port.busy
    assert max(repeat.count for repeat in line.repeats) > 900


def test_the_example() -> None:
    line = example(background="o2").timeline()
    assert [lane.name for lane in line.lanes] == ["DRAM", "SRAM", "mac"]
    write = [bar for bar in line.bars if bar.kind == "background" and bar.lane == 0]
    # The last row of o2 leaves when e2 has computed it: then e3's last read of DRAM waits for it.
    assert [bar.critical for bar in write] == [False] * 7 + [True]
    assert {part.tensor for bar in write for part in bar.parts} == {"o2"}
    assert [bool(bar.slack) for bar in write] == [True] * 7 + [False]
    waited = example().timeline()
    writes = [
        bar
        for bar in waited.bars
        if any((part.tensor, part.action) == ("o2", "write") for part in bar.parts)
    ]
    assert writes and all(bar.kind == "foreground" for bar in writes)
    bounds = {"resource bound": 24576, "dependence bound": 31744, "barrier bound": 31744}
    assert dict(line.bounds) == bounds
    assert [level.name for level in line.segments[0].levels] == ["DRAM", "SRAM"]


def test_a_window() -> None:
    report = example()
    line = report.timeline(window=(1000, 2000))
    assert (line.start, line.finish) == (1000, 2000)
    assert all(bar.finish > 1000 and bar.start < 2000 for bar in line.bars)
    # Nothing is served after the end, and the timeline ends there.
    late = report.timeline(window=(32000, 10**9))
    assert (late.start, late.finish) == (32000, report.latency)


@pytest.mark.parametrize(
    "window", [(5, 5), (7, 3), (-1, 4), (32256, 40000), (5,), 5, ("a", 3), (0.5, float("inf"))]
)
def test_no_window(window: Any) -> None:
    report = example()
    told = []
    for show in (report.timeline, report.occupancy_frame):
        with pytest.raises(OptionError, match="window") as error:
            show(window=window)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_a_limit_of_nothing() -> None:
    with pytest.raises(OptionError, match="limit"):
        example().timeline(limit=0)


@pytest.mark.parametrize("window", [3, (1, 2, 3), (0, "x"), (0, "1e999999999"), (5, 1), (-1, 5)])
def test_windows_that_are_none(window: Any) -> None:
    report = polylat.analyze(polylat.load(EXAMPLE), granularity="tile")
    for asked in (report.timeline, report.occupancy_frame, report.to_networkx):
        with pytest.raises(OptionError, match="window"):
            asked(window=window)


@pytest.mark.parametrize("limit", [None, 0, 1.5, True])
def test_limits_that_are_none(limit: Any) -> None:
    report = polylat.analyze(polylat.load(EXAMPLE), granularity="tile")
    for asked in (report.timeline, report.to_networkx):
        with pytest.raises(OptionError, match="limit must be a whole number above zero"):
            asked(limit=limit)
