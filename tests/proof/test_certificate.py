"""Certificates: legal schedules are proven, and violations are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polylat
from builders import (
    EXAMPLE,
    LEGAL,
    compute,
    delayed,
    einsum,
    leaf,
    loop,
    memory,
    nested,
    spec,
    storage,
    stretched,
)
from polylat import OptionError, Report, Spec, TooLargeError
from polylat.analysis.starts import BlockStarts, Starts, build_starts
from polylat.engine.solution import Solution
from polylat.proof.certificate import CertificateError
from polylat.proof.verify import check_witness, verify, verify_results
from polylat.schedule.critical_path import critical_chain, timed_events
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.pieces import Pieces
from polylat.schedule.timing import TaskSchedule
from reports import explicit_up_to, report_or_none
from strategies import cascades, long_cascades

Data = dict[str, Any]
ORDERS = ("program", "skew", "oldest", "best")
METHODS = st.booleans()
MOST_VISITED = 5_000


def check(report: Report, timing: TaskSchedule, *, pointwise: bool) -> None:
    """Verify another timing of a report's mapping, with the latency that the report claims."""
    model = report.solution.model
    verify(
        model,
        build_starts(Solution(model, timing)),
        report.solution.schedule.makespan,
        pointwise=pointwise,
    )


def moved(timing: TaskSchedule, event: int, by: int) -> TaskSchedule:
    """A schedule in which one event happens at another time."""
    values = timing.values.copy()
    values[event] += by
    return replace(timing, values=values)


@given(cascades(), st.sampled_from(ORDERS), METHODS)
def test_schedules_hold(case: tuple[Data, Data], order: str, pointwise: bool) -> None:
    report = report_or_none(case, order)
    if report is None:
        return
    check(report, report.solution.schedule, pointwise=pointwise)
    certificate = report.verify()
    assert certificate.latency == report.latency
    assert certificate.tiles == report.tiles
    assert certificate.tasks == report.solution.model.graph.tasks
    assert not [note for note in certificate.notes if "critical path" in note]


@pytest.mark.slow
@settings(max_examples=max(settings().max_examples // 2, 5))
@given(long_cascades(), st.sampled_from(ORDERS))
def test_periodic_schedules_hold(case: tuple[Data, Data], order: str) -> None:
    with explicit_up_to(0):
        report = report_or_none(case, order, max_tiles=MOST_VISITED)
    if report is not None:
        certificate = report.verify()
        assert certificate.engine == report.engine
        assert certificate.latency == report.latency


@given(cascades(), st.sampled_from(ORDERS), METHODS, st.data())
def test_early_starts_are_found(
    case: tuple[Data, Data], order: str, pointwise: bool, data: st.DataObject
) -> None:
    """A task one step earlier; or the start of a block, where not at 0."""
    report = report_or_none(case, order)
    if report is None:
        return
    timing = report.solution.schedule
    events = timing.events
    choices = events.task(np.arange(events.graph.tasks)).tolist()
    choices += timing.ready.nonzero()[0].tolist()
    if not choices:
        return
    with pytest.raises(CertificateError):
        check(report, moved(timing, data.draw(st.sampled_from(choices)), -1), pointwise=pointwise)


@given(cascades(), st.sampled_from(ORDERS), METHODS, st.data())
def test_a_delay_on_the_critical_path_is_found(
    case: tuple[Data, Data], order: str, pointwise: bool, data: st.DataObject
) -> None:
    report = report_or_none(case, order)
    if (
        report is None
        or not report.latency
        or not isinstance(report.solution.model.plan, ExplicitTaskGraph)
    ):
        return
    timing = report.solution.schedule
    path = critical_chain(timed_events(report.solution.model.graph, timing)).tasks
    if len(path):
        event = data.draw(st.sampled_from(timing.events.task(path).tolist()))
        with pytest.raises(CertificateError):
            check(report, moved(timing, event, 1), pointwise=pointwise)


def with_tasks(schedule: Starts, which: int, change: Callable[[Pieces], Pieces]) -> Starts:
    """A schedule with the pieces of one block on one port changed."""
    places = [(s, port) for s, stream in enumerate(schedule.blocks) for port in stream.tasks]
    at, port = places[which]
    stream = schedule.blocks[at]
    tasks = dict(stream.tasks) | {port: change(stream.tasks[port])}
    streams = list(schedule.blocks)
    streams[at] = BlockStarts(stream.leaf, stream.block, stream.ready, tasks)
    return Starts(schedule.scale, tuple(streams))


def points_of(pieces: Pieces) -> Pieces:
    """One piece per tile iteration."""
    return Pieces.of_points(*pieces.expanded())


def dropped(which: int) -> Callable[[Pieces], Pieces]:
    """All but one tile iteration."""

    def change(pieces: Pieces) -> Pieces:
        some = points_of(pieces)
        return some.chosen(np.delete(np.arange(some.size), which % some.size))

    return change


def doubled(which: int, later: int) -> Callable[[Pieces], Pieces]:
    """One tile iteration once more, at another time."""

    def change(pieces: Pieces) -> Pieces:
        some = points_of(pieces)
        again = some.chosen(np.array([which % some.size]))
        return Pieces.joined([some, again.shifted(again.start * 0 + later)])

    return change


def shorter(which: int) -> Callable[[Pieces], Pieces]:
    """One tile iteration shorter by a step."""

    def change(pieces: Pieces) -> Pieces:
        some = points_of(pieces)
        duration = some.duration.copy()
        duration[which % some.size] -= 1
        return replace(some, duration=duration)

    return change


@given(cascades(), METHODS, st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.integers(0, 2))
def test_missing_and_duplicate_services_are_found(
    case: tuple[Data, Data], pointwise: bool, which: int, index: int, how: int
) -> None:
    report = report_or_none(case)
    if report is None:
        return
    model, makespan = report.solution.model, report.solution.schedule.makespan
    schedule = build_starts(report.solution)
    count = sum(len(stream.tasks) for stream in schedule.blocks)
    if not count:
        return
    change = (dropped(index), doubled(index, makespan), shorter(index))[how]
    mutated = with_tasks(schedule, which % count, change)
    with pytest.raises(CertificateError):
        verify(model, mutated, makespan, pointwise=pointwise)


@pytest.mark.long
@settings(max_examples=max(settings().max_examples // 10, 5))
@given(long_cascades(), st.data())
def test_early_starts_are_found_in_periodic_schedules(
    case: tuple[Data, Data], data: st.DataObject
) -> None:
    with explicit_up_to(0):
        report = report_or_none(case, max_tiles=MOST_VISITED)
    if report is None:
        return
    model, makespan = report.solution.model, report.solution.schedule.makespan
    schedule = build_starts(report.solution)
    count = sum(len(stream.tasks) for stream in schedule.blocks)
    if not count:
        return
    index = data.draw(st.integers(0, 1 << 20))

    def earlier(pieces: Pieces) -> Pieces:
        by = pieces.start * 0
        by[index % pieces.size] = -1
        return pieces.shifted(by)

    mutated = with_tasks(schedule, data.draw(st.integers(0, count - 1)), earlier)
    with pytest.raises(CertificateError):
        verify(model, mutated, makespan)


@given(cascades())
def test_another_latency_is_found(case: tuple[Data, Data]) -> None:
    report = report_or_none(case)
    if report is None:
        return
    model, timing = report.solution.model, report.solution.schedule
    for latency in (timing.makespan - 1, timing.makespan + 1):
        with pytest.raises(CertificateError, match="the last finish"):
            verify(model, build_starts(Solution(model, timing)), latency)


@given(cascades(), st.sampled_from(ORDERS), st.data())
def test_steps_that_did_not_wait_are_found(
    case: tuple[Data, Data], order: str, data: st.DataObject
) -> None:
    report = report_or_none(case, order)
    if report is None or len(report.critical_path) < 3:
        return
    steps = list(report.critical_path)
    assert check_witness(report, steps) == len(steps)
    assert check_witness(report, steps[1:]) == len(steps) - 1
    at = data.draw(st.integers(1, len(steps) - 2))
    with pytest.raises(CertificateError, match="gap"):
        check_witness(report, steps[:at] + steps[at + 1 :])
    moved = replace(steps[at], tile=steps[0].tile, einsum=steps[0].einsum)
    if steps[at].action == "latency":  # that of several tiles may pass at the same time
        moved = replace(steps[at], tile=(("m", 10**6),))
    if moved != steps[at]:
        with pytest.raises(CertificateError):
            check_witness(report, [*steps[:at], moved, *steps[at + 1 :]])
    nothing = replace(steps[at], waited_for=None)
    with pytest.raises(CertificateError, match="waits for nothing"):
        check_witness(report, [*steps[:at], nothing, *steps[at + 1 :]])


@pytest.mark.parametrize("rigid", [False, True])
def test_latencies_of_other_blocks_are_found(rigid: bool) -> None:
    """The one latency on the path, behind a service or of a stall, belongs to one tile of e1."""
    report = polylat.analyze(Spec.from_dict(delayed(12, rigid=rigid)), granularity="full")
    assert report.verify().latency == report.latency
    steps = list(report.critical_path)
    (at,) = (k for k, step in enumerate(steps) if step.action == "latency")
    (_, digit), *_ = steps[at].tile
    for change in (
        {"einsum": "e0", "component": "c0"},
        {"component": "c0"},
        {"tensor": "t1", "component": "SRAM"},
        {"tile": (("m", digit - 1),)},
        {"tile": (("m", digit + 1),)},
    ):
        changed: Any = replace(steps[at], **change)
        with pytest.raises(CertificateError, match="no block has the fixed latency"):
            check_witness(report, [*steps[:at], changed, *steps[at + 1 :]])


def test_long_rigid_pipelines_are_refused() -> None:
    report = polylat.analyze(Spec.from_dict(delayed(10**9, rigid=True)), granularity="full")
    with pytest.raises(TooLargeError, match="rigid"):
        report.verify()


def test_fewer_setups_without_background() -> None:
    """In the background, each k of z leaves by itself; else z leaves at once, with one setup."""
    data = spec(
        {"m": 1, "k": 2},
        [einsum("e1", ("t", "m"), ("a", "m")), einsum("e2", ("z", "k"), ("t", "m"))],
        [
            memory("DRAM", "inf", "inf", size="inf"),
            memory("SRAM", 1, "inf", size="inf"),
            compute("mac", "inf"),
        ],
        [
            storage("DRAM", "a", "t", "z"),
            storage("SRAM", "z"),
            {"type": "Pipeline", "nodes": [nested(leaf("e1")), nested(loop("k"), leaf("e2"))]},
        ],
    )
    data["schedule"] = {"setup": {"SRAM": {"read": 7}}}
    report = polylat.analyze(Spec.from_dict(data), granularity="flow", background=["z@SRAM"])
    assert report.resource_bound == 2 * (7 + 1)
    assert report.sequential == 7 + 2
    assert report.verify().latency == report.latency


def test_a_certificate_lists_the_proven_rules() -> None:
    report = polylat.analyze(polylat.load(*EXAMPLE), granularity="tile", background="o2")
    certificate = report.verify()
    text = str(certificate)
    assert "17 tile iterations" in text and "31,808" in text
    assert [p.kind for p in certificate.proven] == [
        "tasks",
        "order",
        "flow",
        "transfer",
        "barrier",
        "capacity",
        "causality",
        "ports",
        "earliest",
        "latency",
        "witness",
        "service",
        "dependence",
        "turns",
        "report",
    ]
    unwrapped = " ".join(text.split())
    assert all(p.meaning in unwrapped for p in certificate.proven)


def test_a_certificate_says_how_it_decided() -> None:
    """Plain words, and no method that was not used."""
    report = polylat.analyze(polylat.load(*EXAMPLE), granularity="tile", background="o2")
    by_bounds = report.verify()
    assert by_bounds.checks_by_isl == 0 and "decided by ISL" not in str(by_bounds)
    assert "all decided by bounds on pairs of pieces" in by_bounds.how
    model, makespan = report.solution.model, report.solution.schedule.makespan
    visited = verify(model, build_starts(report.solution), makespan, pointwise=True)
    assert visited.checks_by_isl == 0
    assert "decided by visiting all 17 tile iterations" in visited.how
    case = next(c for c in LEGAL if c["name"] == "cascade-1011")
    by_isl = polylat.analyze(
        Spec.from_dict(case["spec"]), granularity="flow", staged="all"
    ).verify()
    assert 0 < by_isl.checks_by_isl < by_isl.checks
    assert f"{by_isl.checks_by_isl} decided by ISL" in by_isl.how


def test_a_broken_rule_is_explained() -> None:
    report = polylat.analyze(polylat.load(*EXAMPLE), granularity="tile", background="o2")
    # e3 waits for all of e2.
    timing = moved(report.solution.schedule, 16, -1)
    with pytest.raises(CertificateError) as caught:
        check(report, timing, pointwise=False)
    assert str(caught.value) == (
        "schedule: tile iteration () of Einsum 'e3' starts at 19967, before tile iteration (m: 7)"
        " of Einsum 'e2' has finished, at 19968 (flow: e2 produces o2 in SRAM)."
    )


@pytest.mark.long
def test_a_billion_tile_iterations() -> None:
    """The effort depends on the number of pieces, not on that of the tile iterations."""
    case = next(c for c in LEGAL if c["name"] == "cascade-1011")
    spec = stretched(case["spec"], dict.fromkeys(("m", "c"), 10_000))
    report = report_or_none((spec, {"granularity": "flow"}))
    assert report is not None
    certificate = report.verify()
    assert certificate.tiles > 10**9 and certificate.pieces < 500
    assert sum(p.decisions for p in certificate.proven) < 50_000


def test_exact_times() -> None:
    """Times beyond 64 bits are Python integers."""
    case = {
        "workload": {
            "iteration_space_shape": {"m": "0 <= m < 4"},
            "bits_per_value": {"A": 8, "B": 8, "C": 8},
            "einsums": [
                {
                    "name": "one",
                    "tensor_accesses": [
                        {"name": "A", "projection": {"M": "m"}},
                        {"name": "B", "projection": {"M": "m"}, "output": True},
                    ],
                },
                {
                    "name": "two",
                    "tensor_accesses": [
                        {"name": "B", "projection": {"M": "m"}},
                        {"name": "C", "projection": {"M": "m"}, "output": True},
                    ],
                },
            ],
        },
        "arch": {
            "nodes": [
                {
                    "type": "Memory",
                    "name": "DRAM",
                    "size": "inf",
                    "actions": [
                        {"name": "read", "throughput": f"1/{10**19}"},
                        {"name": "write", "throughput": "3"},
                    ],
                },
                {
                    "type": "Compute",
                    "name": "mac",
                    "actions": [{"name": "compute", "throughput": 7}],
                },
            ]
        },
        "mapping": {
            "nodes": [
                {"type": "Storage", "tensors": ["A", "B", "C"], "component": "DRAM"},
                {
                    "type": "Pipeline",
                    "nodes": [
                        {
                            "type": "Nested",
                            "nodes": [
                                {"type": "Temporal", "rank_variable": "m", "tile_shape": 1},
                                {"type": "Compute", "einsum": name, "component": "mac"},
                            ],
                        }
                        for name in ("one", "two")
                    ],
                },
            ]
        },
    }
    report = report_or_none((case, {"granularity": "full"}))
    assert report is not None and report.solution.model.costs.exact
    assert report.verify().latency == report.latency > Fraction(10**19)


def test_the_progress_names_what_is_checked() -> None:
    told: list[tuple[str, int, int]] = []
    certificate = verify_results(
        polylat.analyze(polylat.load(*EXAMPLE)),
        lambda what, done, total: told.append((what, done, total)),
    )
    assert all(0 <= done <= total and total > 0 for _, done, total in told)
    parts = list(dict.fromkeys(what for what, _, _ in told))
    assert parts[:4] == ["figures of the report", "accesses", "relations of the mapping", "rules"]
    rules = [(done, total) for what, done, total in told if what == "rules"]
    checked = ("flow", "transfer", "barrier", "capacity", "causality")
    number = sum(proven.relations for proven in certificate.proven if proven.kind in checked)
    assert rules == [(done, number) for done in range(number + 1)]


def test_progress_is_a_flag() -> None:
    report = polylat.analyze(polylat.load(*EXAMPLE))
    with pytest.raises(OptionError, match="progress"):
        report.verify(progress="yes")  # type: ignore[arg-type]
    assert report.verify(progress=True).latency == report.verify().latency == report.latency
