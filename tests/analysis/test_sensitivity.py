"""Sensitivities: what binds the latency, what has slack, what more speed gains; exactly."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import polylat
from builders import EXAMPLES, ROOT, delayed, without_machine
from command import run
from polylat import (
    OptionError,
    Report,
    UnsupportedError,
)
from polylat.analysis.access import LATENCY, OVERHEAD, AccessKey
from polylat.analysis.bandwidth_curve import Curve
from polylat.analysis.periodic_retiming import PeriodicRetimer
from polylat.analysis.sensitivity import RIGID
from polylat.views import sentences
from polylat.views.as_json import curve_to_dict, explanation_to_dict
from polylat.views.text import curve_text, explanation_text
from reports import analyzed, explicit_up_to
from strategies import cascades

Data = dict[str, Any]
FILES = [str(EXAMPLES / f"{name}.yaml") for name in ("arch", "workload", "untapped")]

FACTORS = st.sampled_from([Fraction(*f) for f in ((1, 3), (1, 2), (3, 4), (1, 1), (7, 5), (2, 1))])
SCALES = st.fractions(0, 8, max_denominator=1000) | st.sampled_from(
    [Fraction(0), Fraction(1, 10**12), Fraction(10**30 + 1, 10**10)]
)


def example(mapping: str = "untapped", **options: Any) -> Report:
    """A report of the example, with tile iterations that are easily counted by hand."""
    variables = {name: options.pop(name) for name in ("top", "inner") if name in options}
    files = [*FILES[:2], str(EXAMPLES / f"{mapping}.yaml")]
    return polylat.analyze(polylat.load(files, **variables), **{"granularity": "tile", **options})


def with_overhead() -> Report:
    """The example, where DRAM takes 100 longer for each Einsum."""
    spec = polylat.load(FILES)
    for path in spec.arch.paths.values():
        (port,) = path[0].ports
        object.__setattr__(port, "constant", Fraction(100))
    return polylat.analyze(spec, granularity="tile")


def components(report: Report) -> list[str]:
    """The components that take time, for more than their overhead."""
    return list(dict.fromkeys(key[1] for key in report.retimer.loads if key[3] != OVERHEAD))


# Properties --------------------------------------------------------------------------------------


@given(cascades())
def test_rows_add_up_to_the_latency(case: tuple[Data, Data]) -> None:
    """The rows are of accesses; what else is on the critical path is fixed latency."""
    data, options = case
    report = analyzed(data, **options)
    found = report.sensitivity()
    assert found.latency == report.latency
    assert {
        (r.einsum, r.component, r.tensor, r.action): r.critical
        for r in found.accesses
        if r.critical
    } == {key: time for key, time in report.critical_totals.items() if key[3] != LATENCY}
    fixed = sum(time for key, time in report.critical_totals.items() if key[3] == LATENCY)
    for rows in (found.components, found.accesses):
        times = [row.critical for row in rows if row.critical is not None]
        assert len(times) == len(rows) and sum(times) + fixed == report.latency
        for row in rows:
            assert (row.slack is None) == (row.slack_reason is not None)
            if row.duration is not None and row.count is not None:
                assert row.count * row.duration == row.critical
        order = [
            (-time, row.slack is None, row.slack or 0)
            for time, row in zip(times, rows, strict=True)
        ]
        assert order == sorted(order)


@given(cascades(), st.data())
def test_other_throughputs_as_analysed_anew(case: tuple[Data, Data], data: st.DataObject) -> None:
    """In program order, which durations do not change, retiming equals a new analysis.

    Setups belong to the durations that are scaled, and durations in rigid pipelines are not.
    """
    spec, options = case
    spec = without_machine(spec, "setup", "rigid")
    options = options | {"order": "program"}
    report = analyzed(spec, **options)
    changed = copy.deepcopy(spec)
    throughputs: dict[Any, Fraction] = {}
    for node in changed["arch"]["nodes"]:
        for action in node.get("actions", ()):
            factor = data.draw(FACTORS)
            throughputs[node["name"], action["name"]] = factor
            if str(action["throughput"]) not in ("inf", "Infinity"):
                action["throughput"] = str(exact(action["throughput"]) * factor)
    again = analyzed(changed, **options)
    found = report.what_if(throughputs)
    assert found.latency == again.latency
    assert found.critical == again.critical_totals
    assert sum(found.critical.values()) == found.latency


def exact(throughput: object) -> Fraction:
    """A throughput of the input as a number."""
    top, _, bottom = str(throughput).partition("/")
    return Fraction(top) / Fraction(bottom or 1)


@given(cascades(), st.lists(SCALES, min_size=1, max_size=4), st.data())
def test_curves(case: tuple[Data, Data], scales: list[Fraction], data: st.DataObject) -> None:
    """A curve is convex and agrees with retiming."""
    spec, options = case
    report = analyzed(without_machine(spec, "rigid"), **options)
    assume(components(report))
    component = data.draw(st.sampled_from(components(report)))
    timed = {key for key in report.retimer.loads if key[1] == component}
    action = data.draw(st.sampled_from([None, *sorted({key[3] for key in timed})]))
    keys = [key for key in timed if action in (None, key[3]) and key[3] != OVERHEAD]
    found = report.curve(component, action)
    assert (found.component, found.action, found.latency) == (component, action, report.latency)
    assert found.at(1) == report.latency
    assert found.breakpoints[0][0] == 0
    assert all(one < two for one, two in pairwise(found.slopes))
    assert found.slopes[0] >= 0
    for ((start, low), (end, high)), slope in zip(
        pairwise(found.breakpoints), found.slopes[:-1], strict=True
    ):
        assert start < end
        assert high - low == slope * (end - start)
    for scale in scales:
        again = report.retimer.evaluate(dict.fromkeys(keys, scale))
        assert found.at(scale) == again.latency == sum(again.time.values())
        factor = 1 / scale if scale else "inf"
        name = component if action is None else (component, action)
        assert found.at_bandwidth(factor) == report.what_if({name: factor}).latency
    turning_points(found)


def turning_points(curve: Curve) -> None:
    """The properties of a curve hold, and are tight."""
    slower, faster = Fraction(9, 10), Fraction(11, 10)
    beyond, below = curve.beyond, curve.below
    if beyond is None:
        assert curve.at(curve.breakpoints[0][0]) < curve.at(Fraction(1, 10**9))
    elif beyond:
        assert curve.at_bandwidth(Fraction(beyond)) == curve.at(0)
        assert curve.at_bandwidth(beyond * slower) > curve.at(0)
    if below is not None:
        bound = curve.at_bandwidth(Fraction(below)) * below
        assert curve.at_bandwidth(below * slower) * below * slower == bound
        assert curve.at_bandwidth(below * faster) * below * faster > bound
    if curve.alone:
        assert curve.at(Fraction(7, 3)) == curve.latency * Fraction(7, 3)


@given(cascades())
def test_slack_is_tight(case: tuple[Data, Data]) -> None:
    """At the slack the latency is the same; anything slower makes it larger."""
    data, options = case
    report = analyzed(data, **options)
    found = report.sensitivity()
    for rows in (found.components, found.accesses):
        for row in (row for row in rows if row.slack_reason != RIGID):
            name: Any = (row.component, row.action)
            if row.einsum is not None:
                name = (row.einsum, row.component, row.tensor, row.action)
            free = report.what_if({name: "inf"}).latency
            assert row.latency_if_free == free <= report.latency
            if row.slack is None:
                assert free == report.what_if({name: Fraction(1, 10**6)}).latency
                continue
            assert row.slack >= 1
            assert not row.critical or row.slack == 1
            assert report.what_if({name: 1 / Fraction(row.slack)}).latency == report.latency
            more = 1 / (Fraction(row.slack) * (1 + Fraction(1, 10**6)))
            assert report.what_if({name: more}).latency > report.latency


@given(cascades(), st.sampled_from([Fraction(0), Fraction(2, 3), Fraction(10**40 + 1, 10**20)]))
def test_everything_scaled(case: tuple[Data, Data], scale: Fraction) -> None:
    """Times beyond 64 bits, or of 0: the latency scales by the same factor."""
    data, options = case
    report = analyzed(without_machine(data, "latency", "rigid"), **options)
    found = report.retimer.evaluate(dict.fromkeys(report.retimer.loads, scale))
    assert found.latency == report.latency * scale
    assert sum(found.time.values()) == found.latency


# At real size ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_attention_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breakpoints are found from samples elsewhere: no more tile iterations are visited."""
    with explicit_up_to(0):
        report = polylat.analyze(
            polylat.load(EXAMPLES / "attention.yaml", EXAMPLES / "attention_schedule.yaml")
        )
    retimer = report.retimer
    with monkeypatch.context() as patched:
        patched.delattr(PeriodicRetimer, "_search")
        rows = {
            (r.einsum, r.component, r.tensor, r.action): r for r in report.sensitivity().accesses
        }
    key = ("AV", "SRAM", "V", "read")
    assert rows[key].slack == 6
    # Nothing runs before the first keys have arrived: their write takes half as long as the read.
    assert rows["QK", "DRAM", "K", "read"].slack == 1
    assert rows["QK", "SRAM", "K", "write"].slack == 2
    # Here this port is as busy as the array, but for a few tile iterations.
    near: dict[AccessKey, Fraction] = {key: Fraction(11253, 1024)}
    with pytest.raises(UnsupportedError):
        retimer.evaluate(near, quick=True)
    found = retimer.evaluate(near)
    assert found.latency > report.latency
    assert retimer.evaluate(near, quick=True).latency == found.latency


# By hand -----------------------------------------------------------------------------------------

# Per row, e1 moves 1,024 bits over DRAM's port and 960 over SRAM's, e2 512 and 1,472; then e3 moves
# 11,776 and 4,096. Eight rows; the splits are Sequential. Each computes 64, 64 and 512.


def test_rows_by_hand() -> None:
    found = example().sensitivity()
    assert found.latency == 31744 == 8 * 1024 + 8 * 1472 + 11776
    rows = {(row.component, row.action): row for row in found.components}
    first, *_, last = rows
    assert (first, last) == (("DRAM", "read"), ("mac", "compute"))
    assert rows["DRAM", "read"].critical == 8 * 1024 + 4096 + 3584
    assert rows["DRAM", "write"].critical == 4096
    assert rows["SRAM", "read"].critical == 8 * (512 + 448)
    assert rows["SRAM", "write"].critical == 8 * 512
    assert rows["mac", "compute"].critical == 0
    assert rows["mac", "compute"].slack == 16 == 1024 // 64
    # Without DRAM's reads, e1 takes 960 per row; e3 takes as long as SRAM's reads or DRAM's writes.
    assert rows["DRAM", "read"].latency_if_free == 8 * 960 + 8 * 1472 + 4096
    assert rows["DRAM", "write"].latency_if_free == 31744 - 4096
    slack = {(r.einsum, r.component, r.tensor, r.action): r.slack for r in found.accesses}
    assert slack["e2", "DRAM", "w2", "read"] == Fraction(1472, 512)
    assert slack["e3", "SRAM", "o2", "read"] == Fraction(11776, 4096)
    assert slack["e1", "SRAM", "o1", "write"] == Fraction(1024 - 448, 512)
    assert slack["e1", "SRAM", "o1", "read"] == Fraction(1024 - 512, 448)
    assert slack["e3", "mac", None, "compute"] == 23
    assert slack["e3", "DRAM", "o3", "write"] == 1


def test_curve_by_hand() -> None:
    found = example().curve("DRAM")

    def latency(scale: Fraction) -> Fraction:
        rows = ((8, 1024, 960), (8, 512, 1472), (1, 11776, 4096))
        return sum((n * max(dram * scale, Fraction(sram)) for n, dram, sram in rows), Fraction(0))

    assert [scale for scale, _ in found.breakpoints] == [
        0,
        Fraction(4096, 11776),
        Fraction(960, 1024),
        Fraction(1472, 512),
    ]
    assert found.slopes == (0, 11776, 11776 + 8 * 1024, 11776 + 8 * (1024 + 512))
    for scale in (*(Fraction(n, 16) for n in range(64)), Fraction(10**9, 7)):
        assert found.at(scale) == latency(scale)
    assert found.beyond == Fraction(23, 8)
    assert found.below == Fraction(8, 23)
    assert not found.alone
    assert found.at_bandwidth("inf") == found.at_bandwidth(float("inf")) == 23552
    assert found.at_bandwidth(Decimal("0.5")) == found.at_bandwidth("1/2") == latency(Fraction(2))


def test_only_the_last_background_write_is_on_the_critical_path() -> None:
    report = example("tap_resident", background="o2")
    found = report.sensitivity()
    row = next(
        r for r in found.accesses if (r.component, r.tensor, r.action) == ("DRAM", "o2", "write")
    )
    # A row of o2, 64 bits, leaves while e1 and e2 compute the next one. The last row may leave when
    # e3 starts; DRAM's port serves all of e3 before it.
    assert report.latency == 31744 + 64
    assert (row.critical, row.latency_if_free, row.slack) == (64, 31744, 1)
    # Each row of o2 is read from SRAM beside e1's next row: 1,024 in all, as on DRAM's port. So
    # fetching w1 twice as fast helps e1 in its first row only.
    assert report.what_if({("e1", "DRAM", "w1", "read"): 2}).latency == 31808 - (1024 - 960)


def test_what_if_by_hand() -> None:
    report = example()
    twice = report.what_if({"DRAM": 2})
    assert twice.latency == 8 * 960 + 8 * 1472 + 5888
    assert twice.speedup == Fraction(31744, twice.latency)
    assert twice.critical is not None
    assert twice.critical["e2", "SRAM", "o2", "write"] == 4096
    # The most specific name holds.
    some = report.what_if(
        {"DRAM": 2, ("DRAM", "write"): "0.5", ("e3", "DRAM", "o3", "write"): Decimal(1)}
    )
    assert some.latency == 8 * 960 + 8 * 1472 + (4096 + 3584) // 2 + 4096
    assert report.what_if({}).latency == report.latency
    assert report.what_if({"DRAM": "inf", "SRAM": "inf"}).latency == 8 * 64 + 8 * 64 + 512
    nothing = report.what_if({"DRAM": "inf", "SRAM": "inf", "mac": float("inf")})
    assert (nothing.latency, nothing.speedup, nothing.critical) == (0, None, {})


def test_overhead_is_a_class_of_its_own() -> None:
    report = with_overhead()
    assert report.latency == 31744 + 100 + 100
    found = report.sensitivity()
    rows = {row.einsum: row for row in found.accesses if row.action == OVERHEAD}
    assert rows["e1"].critical == rows["e3"].critical == rows["e1"].duration == 100
    assert (rows["e1"].count, rows["e1"].slack) == (1, 1)
    # In its first row, e2 waits 1,472 for SRAM, and DRAM reads w2 for 512.
    assert (rows["e2"].critical, rows["e2"].slack) == (0, Fraction(1472 - 512, 100))
    (row,) = (row for row in found.components if row.action == OVERHEAD)
    assert (row.critical, row.count, row.duration) == (200, 2, 100)
    assert report.what_if({"DRAM": "inf"}).latency == 8 * 960 + 8 * 1472 + 4096
    assert report.what_if({("DRAM", OVERHEAD): "inf"}).latency == 31744
    assert report.curve("DRAM", OVERHEAD).at(0) == 31744
    assert report.curve("DRAM").at(0) == 8 * 960 + 8 * 1472 + 4096


def test_pipelines_keep_their_order() -> None:
    """The order "oldest" keeps its order of service, so that nothing changes at scale 1."""
    report = example(
        "tap_resident", top="Pipeline", inner="Pipeline", granularity="flow", background="o2"
    )
    assert (report.order, report.latency) == ("oldest", 24576)
    assert report.what_if({"DRAM": 1}).latency == report.latency
    assert report.curve("DRAM").beyond is not None


def test_what_takes_no_time() -> None:
    spec = polylat.load(FILES)
    for path in spec.arch.paths.values():
        for component in path:
            for port in component.ports:
                object.__setattr__(port, "durations", {})
    report = polylat.analyze(spec)
    assert report.latency == 0
    found = report.sensitivity()
    assert {row.slack for row in (*found.components, *found.accesses)} == {None}
    curve = report.curve("DRAM")
    assert (curve.breakpoints, curve.slopes, curve.beyond, curve.alone) == (
        ((0, 0),),
        (0,),
        0,
        False,
    )
    assert report.changes().best is None
    assert "Nothing takes time." in explanation_text(report)
    assert "has no influence" in curve_text(report, curve)


def test_a_component_alone() -> None:
    spec = polylat.load(FILES)
    for path in spec.arch.paths.values():
        for component in path[1:]:
            for port in component.ports:
                object.__setattr__(port, "durations", {})
    report = polylat.analyze(spec)
    curve = report.curve("DRAM")
    assert (curve.breakpoints, curve.slopes) == (((0, 0),), (24064,))
    assert (curve.beyond, curve.below, curve.alone) == (None, None, True)
    assert "is inversely proportional to the bandwidth of DRAM" in curve_text(report, curve)


# Bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("throughputs", "message"),
    [
        ({"DRM": 2}, "there is no component 'DRM'. Did you mean 'DRAM'?"),
        (
            {("DRAM", "raed"): 2},
            "component 'DRAM': there is no action 'raed'. Did you mean 'read'?",
        ),
        (
            {("DRAM", OVERHEAD): 2},
            "component 'DRAM': there is no action 'overhead'. Did you mean 'read'?",
        ),
        (
            {("e1", "DRAM", "w3", "read"): 2},
            (
                "throughputs: there is no access ('e1', 'DRAM', 'w3', 'read')."
                " Fix: use one of the keys of report.accesses."
            ),
        ),
        (
            {("DRAM",): 2},
            (
                "throughputs: ('DRAM',) does not name accesses. Fix: name a component,"
                " (component, action) or (einsum, component, tensor, action)."
            ),
        ),
        *(
            (
                {("DRAM", "read"): factor},
                (
                    "throughput of DRAM read: a factor must be a number above zero, or inf,"
                    f" not {factor!r}. Fix: write 2, 1.5 or Fraction(3, 2); 2 is twice as"
                    " fast."
                ),
            )
            for factor in (0, -1, -1.5, "fast", "1/0", True, None, float("nan"), Decimal("nan"))
        ),
    ],
)
def test_bad_throughputs(throughputs: Any, message: str) -> None:
    with pytest.raises(OptionError) as error:
        example().what_if(throughputs)
    assert str(error.value) == message


@pytest.mark.parametrize("throughputs", [3, "DRAM", ["DRAM"], {"DRAM": "1e999999999"}])
def test_what_is_no_throughput(throughputs: Any) -> None:
    with pytest.raises(OptionError):
        example().what_if(throughputs)


def test_bad_curves() -> None:
    report = example()
    with pytest.raises(OptionError, match="there is no component 'sram'"):
        report.curve("sram")
    with pytest.raises(OptionError, match="component 'mac': there is no action 'read'"):
        report.curve("mac", "read")
    with pytest.raises(OptionError, match="a scale of durations is a number from 0 on, not -1"):
        report.curve("mac").at(-1)
    with pytest.raises(OptionError, match="a scale of durations is a number from 0 on, not 'x'"):
        report.curve("mac").at("x")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="bandwidth: a factor must be"):
        report.curve("mac").at_bandwidth(0)


# Output ------------------------------------------------------------------------------------------


def test_explain_prints_what_binds() -> None:
    result = run("explain", *FILES, "--granularity", "tile")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == explanation_text(example())
    lines = result.stdout.splitlines()
    assert lines[0] == "Latency  31,744"
    assert "  DRAM read twice as fast        27,392  4,352  13.7%  49,152" in lines
    first = lines[lines.index("What limits the latency: time on the critical path") + 2]
    assert " ".join(first.split()) == "DRAM read 15,872 50.0% 15,872 1 23,552"
    assert any(line.split() == ["e1", "mac", "-", "compute", "16x"] for line in lines)


def test_curve_prints_the_curve() -> None:
    result = run("curve", *FILES, "--granularity", "tile", "--component", "DRAM")
    assert (result.exit_code, result.stderr) == (0, "")
    report = example()
    assert result.stdout == curve_text(report, report.curve("DRAM"))
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        "Latency  31,744  at the current bandwidth of DRAM",
        "  A higher bandwidth of DRAM reduces the latency, down to 23,552 at 2.875x.",
        "  Below 0.3478x, the latency is inversely proportional to the bandwidth of DRAM.",
    ]
    assert any(line.split() == ["2x", "25,344", "1.253x"] for line in lines)
    assert any(line.endswith("  11,776 + 19,968/x") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--component", "mac"], "not reduce the latency; 0.0625x suffices"),
        (["--component", "DRAM", "--action", "write"], "A higher write bandwidth of DRAM always"),
        (["--component", "SRAM", "--action", "read"], "read bandwidth of SRAM"),
    ],
)
def test_curve_says_what_matters(arguments: Sequence[str], words: str) -> None:
    assert words in run("curve", *FILES, "--granularity", "tile", *arguments).stdout


def test_options_reach_the_analysis() -> None:
    options = ["--set", "top=Pipeline", "--background", "o1", "--order", "skew", "--slots", "3"]
    report = polylat.analyze(
        polylat.load(FILES, top="Pipeline"), background="o1", order="skew", slots=3
    )
    data = json.loads(run("curve", *FILES, *options, "--component", "SRAM", "--json").stdout)
    assert data == curve_to_dict(report.curve("SRAM"))
    data = json.loads(run("explain", *FILES, *options, "--json").stdout)
    assert data == explanation_to_dict(report)
    assert data["order"] == "skew"


def test_json() -> None:
    data = curve_to_dict(example().curve("DRAM"))
    assert data["schema"] == "polylat.curve/1"
    assert (data["beyond"], data["below"]) == ("23/8", "8/23")
    assert data["pieces"][1] == {"scale": "8/23", "latency": 23552, "slope": 11776}
    data = explanation_to_dict(example())
    assert data["schema"] == "polylat.explanation/2"
    assert sum(row["critical"] for row in data["accesses"]) == data["latency"] == 31744
    assert data["components"][0] == {
        "component": "DRAM",
        "action": "read",
        "critical": 15872,
        "count": 15872,
        "duration": 1,
        "slack": 1,
        "slack_reason": None,
        "latency_if_free": 23552,
    }
    assert data["changes"][0]["latency"] == 25344
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    rows = (*data["components"], *data["accesses"], *data["changes"])
    named = {*data, *curve_to_dict(example().curve("DRAM")), *(key for row in rows for key in row)}
    assert [key for key in sorted(named) if f"`{key}`" not in page] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curve", *FILES], "Missing option '--component'. See polylat curve --help."),
        (
            ["curve", *FILES, "--component", "DRM"],
            "there is no component 'DRM'. Did you mean 'DRAM'?",
        ),
        (
            ["curve", *FILES, "--component", "mac", "--action", "read"],
            "component 'mac': there is no action 'read'. Fix: use one of: compute.",
        ),
    ],
)
def test_bad_arguments(arguments: Sequence[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"polylat: {message}\n"


def with_throughput(trips: int, component: str, throughput: Fraction) -> Report:
    """Three stages, of which the second one has a rigid pipeline, with another throughput."""
    data = delayed(trips, rigid=True)
    (node,) = (node for node in data["arch"]["nodes"] if node["name"] == component)
    node["actions"][0]["throughput"] = str(throughput)
    return polylat.analyze(polylat.Spec.from_dict(data), granularity="full", order="program")


@pytest.mark.parametrize("engine", [0, 10**9])
@given(faster=st.sampled_from([Fraction(1, 4), Fraction(2, 3), Fraction(2), Fraction(9)]))
def test_durations_outside_a_rigid_pipeline(engine: int, faster: Fraction) -> None:
    """Without another order of service, other throughputs are as in a new analysis."""
    with explicit_up_to(engine):
        report = with_throughput(400, "c1", Fraction(1))
    assert report.engine == ("explicit" if engine else "periodic")
    for component in ("c0", "c2"):
        expected = with_throughput(400, component, faster / 3).latency
        assert report.what_if({component: faster}).latency == expected
        curve = report.curve(component)
        if not curve.unresolved:
            assert curve.at_bandwidth(faster) == expected


@pytest.mark.parametrize("engine", [0, 10**9])
def test_durations_in_a_rigid_pipeline(engine: int) -> None:
    """The stalls depend on them: faster operations may take longer together."""
    with explicit_up_to(engine):
        report = with_throughput(400, "c1", Fraction(1))
    assert report.latency < with_throughput(400, "c1", Fraction(2)).latency
    (row,) = (row for row in report.sensitivity().components if row.component == "c1")
    assert (row.slack, row.slack_reason, row.latency_if_free, row.count) == (
        None,
        RIGID,
        None,
        None,
    )
    for refused in (lambda: report.what_if({"c1": 2}), lambda: report.curve("c1")):
        with pytest.raises(UnsupportedError, match="rigid"):
            refused()
    assert report.what_if({"c1": 1}).latency == report.latency


def test_by_component_alone(report: Report) -> None:
    """The rows by component do not depend on whether those by access are computed, too."""
    every, some = report.sensitivity(), report.sensitivity(by_access=False)
    assert some == replace(every, accesses=())
    assert every.accesses
    assert report.sensitivity() is every


def test_an_explanation_of_a_large_network(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the call that computes the slack of every access; JSON has null."""
    every = explanation_to_dict(report)
    assert every["accesses"]
    assert "a network of this size" not in explanation_text(report)
    monkeypatch.setattr(sentences, "_MOST_TIMED", 0)
    assert explanation_to_dict(report) == {**every, "accesses": None}
    words = "This takes long for a network of this size: report.sensitivity() in Python."
    assert explanation_text(report).count(words) == 2
