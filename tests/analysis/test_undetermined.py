"""What a sample of tile iterations does not determine: all are visited, or it is named."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import polylat
from benchmarks.fused import chain
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage
from command import run as run_command
from polylat import Report, Spec, UnsupportedError
from polylat.analysis import visiting
from polylat.analysis.critical_walk import CriticalWalk
from polylat.analysis.explicit_path import ExplicitPath
from polylat.analysis.periodic_retiming import PeriodicRetimer
from polylat.analysis.sensitivity import NO_TIME
from polylat.views.text import explanation_text
from reports import explicit_up_to, report_or_none
from strategies import long_cascades
from thinned import COMPLETE

Data = dict[str, Any]
FEWER = settings(
    max_examples=max(settings().max_examples // 10, 5),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
WHOLE = 10**9
MOST = 20_000 if COMPLETE else 3_000
"""Largest number of tile iterations of a draw: all are visited, for comparison."""
ORDERS = st.sampled_from(("program", "skew", "oldest"))
RANGE = re.compile(r"between ([\d.,]+) and ([\d.,]+); not determined")


def both(case: tuple[Data, Data], order: str) -> tuple[Report, Report]:
    """The report with all tile iterations, and the one of a sample; few draws have no sample."""
    with explicit_up_to(0):
        sampled = report_or_none(case, order)
    assume(sampled is not None and sampled.engine == "periodic" and sampled.exact)
    assert sampled is not None
    assume(sampled.tiles <= MOST)
    with explicit_up_to(WHOLE):
        whole = report_or_none(case, order)
    assert whole is not None and whole.engine == "explicit"
    assert sampled.latency == whole.latency
    return whole, sampled


def never_traced(_: CriticalWalk) -> None:
    raise UnsupportedError("this path cannot be traced", where="mapping", fix="shorten it")


# Slack -------------------------------------------------------------------------------------------


@FEWER
@given(long_cascades(), ORDERS)
def test_a_sample_has_the_slack_of_all(case: tuple[Data, Data], order: str) -> None:
    """The slack and the latency without accesses are those of the schedule of all iterations."""
    whole, sampled = both(case, order)
    every = {row.name: row for row in whole.sensitivity().accesses}
    found = {row.name: row for row in sampled.sensitivity().accesses}
    assert found.keys() == every.keys()
    for name, row in found.items():
        assert row.slack == every[name].slack
        assert row.slack_reason == every[name].slack_reason
        assert row.latency_if_free == every[name].latency_if_free


@pytest.mark.long
@FEWER
@given(long_cascades(), ORDERS)
def test_undetermined_slack_has_a_reason(case: tuple[Data, Data], order: str) -> None:
    """Without visiting all: the slack of all iterations, or the range in which it is."""
    whole, sampled = both(case, order)
    every = {row.name: row for row in whole.sensitivity().accesses}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(visiting, "MOST_VISITED", 0)
        rows = sampled.sensitivity().accesses
    for row in rows:
        exact = every[row.name]
        if row.slack is not None or row.slack_reason == NO_TIME:
            assert (row.slack, row.slack_reason) == (exact.slack, exact.slack_reason)
        else:
            bounds = RANGE.match(row.slack_reason or "")
            assert bounds is not None and exact.slack is not None
            low, high = (Fraction(bound.replace(",", "")) for bound in bounds.groups())
            assert low <= exact.slack <= high
        assert row.latency_if_free in (None, exact.latency_if_free)


def slow_write(rows: int) -> Report:
    """Three Einsums on one unit; if DRAM's writes are slow, they fall behind little by little."""
    ports = "max(a.n_calls / a.throughput for a in actions)"
    data = spec(
        {"m": rows, "k": 2, "n": 3},
        [
            einsum("e0", ("t0", "m"), ("w0", "m k")),
            einsum("e1", ("t1", "m"), ("t0", "m")),
            einsum("e2", ("t2", "m"), ("t1", "m"), ("w2", "n")),
        ],
        [
            memory("DRAM", 1, "1/2", size="inf", total_latency=ports),
            memory("SRAM", "inf", "inf", size="inf"),
            compute("mac", "1/3"),
        ],
        [
            storage("DRAM", "t0", "t1"),
            storage("SRAM", "t0", "w0", "w2", "t2"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(loop("k"), loop("m", 83), loop("m"), leaf("e0")),
                    nested(loop("m", 5), loop("m"), leaf("e1")),
                    nested(loop("m", 62), loop("m", 31), loop("n"), loop("m"), leaf("e2")),
                ],
            },
        ],
    )
    data["workload"]["bits_per_value"] = {"w0": 2, "t0": 2, "Other": 1}
    return polylat.analyze(Spec.from_dict(data), granularity="flow", slots=None, order="program")


@pytest.mark.parametrize(
    ("rows", "slack"), [(251, Fraction(2349, 1066)), (1200, Fraction(495, 221))]
)
def test_slack_that_needs_all_iterations(rows: int, slack: Fraction) -> None:
    """At the slack, the writes catch up with e2 in its last iteration."""
    with explicit_up_to(0):
        report = slow_write(rows)
    assert report.engine == "periodic"
    (row,) = (r for r in report.sensitivity().components if r.name == "DRAM write")
    assert row.slack == slack
    assert report.what_if({("DRAM", "write"): 1 / slack}).latency == report.latency
    slower = 1 / (slack + Fraction(1, 10**6))
    assert report.what_if({("DRAM", "write"): slower}).latency > report.latency


@pytest.mark.parametrize("most", [visiting.MOST_VISITED, 0])
def test_a_slack_that_is_not_determined_is_none(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no other durations can be timed: no slack, a reason, and no wrong number."""
    with explicit_up_to(0):
        report = slow_write(251)
    with explicit_up_to(WHOLE):
        whole = slow_write(251)
    assert (report.engine, whole.engine) == ("periodic", "explicit")
    monkeypatch.setattr(visiting, "MOST_VISITED", most)
    monkeypatch.setattr(PeriodicRetimer, "_search", lambda _: NoSearch())
    exact = {row.name: row for row in whole.sensitivity().accesses}
    missing = []
    for row in report.sensitivity().accesses:
        if row.slack is None and row.slack_reason != NO_TIME:
            missing.append(row)
        else:
            assert row.slack == exact[row.name].slack
    assert bool(missing) == (most == 0)
    for row in missing:
        bounds = RANGE.match(row.slack_reason or "")
        assert bounds is not None
        text = plain(explanation_text(report))
        assert f"Slack of {row.name}: between {bounds[1]} and {bounds[2]}; not" in text


class NoSearch:
    """A search that finds no sample."""

    def run(self, _: object) -> None:
        """Find nothing."""


def plain(text: str) -> str:
    """The text without line breaks."""
    return " ".join(text.split())


# Critical path -----------------------------------------------------------------------------------


@pytest.mark.long
@FEWER
@given(long_cascades(), ORDERS)
def test_a_path_that_cannot_be_traced_is_that_of_all(case: tuple[Data, Data], order: str) -> None:
    """Where it cannot be traced through repetitions, the path is that of all tile iterations."""
    whole, sampled = both(case, order)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CriticalWalk, "back", never_traced)
        path = sampled.critical_path
        sensitivity = sampled.sensitivity()
    assert sampled.latency == 0 or isinstance(path, ExplicitPath)
    assert sampled.critical_totals == whole.critical_totals
    assert sensitivity == whole.sensitivity()
    sampled.verify()


@pytest.mark.long
@FEWER
@given(long_cascades(), ORDERS)
def test_a_traced_path_attains_the_latency(case: tuple[Data, Data], order: str) -> None:
    _, sampled = both(case, order)
    if sampled.solution.model.graph.late:  # the path is that of all tile iterations
        assert set(sampled.undetermined) <= {"initiation_intervals"}
    else:
        assert not sampled.undetermined
    assert sum(sampled.critical_totals.values()) == sampled.latency
    sampled.verify()


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A file with a long mapping, none of whose critical paths can be traced."""
    monkeypatch.setattr(CriticalWalk, "back", never_traced)
    monkeypatch.setattr(visiting, "MOST_VISITED", 0)
    file = tmp_path / "long.json"
    file.write_text(json.dumps(chain(10**5)), encoding="utf-8")
    return str(file)


def run(*arguments: str) -> str:
    result = run_command(*arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


REASON = "Not determined: this path cannot be traced. Fix: shorten it."


@pytest.mark.long
def test_the_latency_is_shown_without_its_path(untraced: str, tmp_path: Path) -> None:
    expected = f"{polylat.analyze(polylat.load(untraced)).latency:,}"
    assert f"Latency {expected}" in plain(run("analyze", untraced))
    for command in (["analyze", "--full"], ["explain"]):
        text = plain(run(command[0], untraced, *command[1:]))
        assert f"Latency {expected}" in text
        assert REASON in text
    assert REASON in plain(run("analyze", untraced, "--critical-path", "5"))
    line = plain(run("timeline", untraced))
    assert f"latency {expected}" in line
    assert "critical path not determined" in line
    assert f"Latency {expected}" in plain(run("curve", untraced, "--component", "DRAM"))
    page = tmp_path / "report.html"
    run("report", untraced, "-o", str(page), "--verify", "--sensitivity")
    html = page.read_text(encoding="utf-8")
    assert expected in html and REASON in html
    for end in ("svg", "html", "json"):
        run("timeline", untraced, "-o", str(tmp_path / f"timeline.{end}"))


@pytest.mark.long
def test_json_says_what_is_missing(untraced: str) -> None:
    data = json.loads(run("analyze", untraced, "--json"))
    report = polylat.analyze(polylat.load(untraced))
    assert data["latency"] == report.latency
    assert data["critical_path"] is None and data["initiation_intervals"] is None
    reason = "this path cannot be traced. Fix: shorten it."
    missing = {"critical_path": reason, "initiation_intervals": reason}
    assert data["undetermined"] == report.undetermined == missing
    data = json.loads(run("explain", untraced, "--json"))
    assert data["latency"] == report.latency
    assert data["waited_for"] is None
    assert data["undetermined"] == missing
    assert all(row["critical"] is None and row["count"] is None for row in data["accesses"])


@pytest.mark.long
def test_slack_does_not_need_the_path(untraced: str) -> None:
    report = polylat.analyze(polylat.load(untraced))
    with explicit_up_to(WHOLE):
        small = polylat.analyze(Spec.from_dict(chain(200)))
    assert small.engine == "explicit"
    slack = {row.name: row.slack for row in report.sensitivity().accesses}
    critical = {row.name for row in small.sensitivity().accesses if row.critical}
    assert critical
    assert all(slack[name] == 1 for name in critical)
    assert report.what_if({"DRAM": 2}).critical is None
    assert report.changes().best is not None


def test_a_known_report_misses_nothing() -> None:
    assert polylat.analyze(Spec.from_dict(chain(10**5))).undetermined == {}


def test_intervals_of_a_path_whose_repetitions_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tile iterations are visited: the path is known, but not how it repeats."""
    monkeypatch.setattr(CriticalWalk, "back", never_traced)
    report = polylat.analyze(Spec.from_dict(chain(200)))
    assert report.engine == "explicit"
    assert sum(report.critical_totals.values()) == report.latency
    assert list(report.undetermined) == ["initiation_intervals"]
    reason = "Not determined: how the critical path repeats cannot be determined."
    assert reason in plain(explanation_text(report))
