"""The printed report, verbatim where it matters."""

from __future__ import annotations

import io
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import polylat
from benchmarks.network_inputs import NETWORKS
from builders import (
    EXAMPLES,
    OURS,
    compute,
    einsum,
    leaf,
    loop,
    memory,
    nested,
    spec,
    storage,
)
from polylat.analysis.attribution import latency_steps
from polylat.numbers import format_number
from polylat.views.text import explanation_text, render_report, report_text
from polylat.views.timeline_layout import critical_parts


def example(mapping: str = "tap_resident", **variables: Any) -> polylat.Spec:
    files = (EXAMPLES / name for name in ("arch.yaml", "workload.yaml", f"{mapping}.yaml"))
    return polylat.load(*files, **variables)


def flat(text: str) -> str:
    """A text without line breaks and columns."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (31744, "31,744"),
        (-512, "-512"),
        (10**17, "100,000,000,000,000,000"),
        (10**18, "1e18"),
        (10**18 + 1, "≈1e18"),
        (Fraction(99999999999, 10**14), "999.99999999e-6"),
        (Fraction(2999999999, 3 * 10**12), "≈1e-3"),
        (Fraction(547, 2), "273.5"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(1, 3), "1/3"),
        (Fraction(-4096, 3), "-4,096/3"),
        (Fraction(10**9, 12345), "≈81,004.46"),
        (Fraction(7, 781250), "8.96e-6"),
        (Fraction(1, 3 * 10**9), "≈333.3333e-12"),
        (Fraction(1, 10**30), "1e-30"),
        (Fraction(10**20, 3), "≈33.33333e18"),
        (Fraction(10**12 + 1, 10**12), "≈1.000000"),
    ],
)
def test_numbers(value: int | Fraction, text: str) -> None:
    assert format_number(value) == text


def test_headline_of_an_optimal_schedule() -> None:
    report = polylat.analyze(example(), granularity="tile")
    assert report_text(report).splitlines()[:7] == [
        "Latency  32,256",
        "  order program · granularity tile · 17 tile iterations",
        (
            "  The write-back of o2 from SRAM by e2 costs 512 of 32,256: without it, the latency is"
            " 31,744. With"
        ),
        "  the write-back in the background: 31,808.",
        "  As fast as sequential execution, without overlap between branches.",
        "  Proven optimal by the dependence bound: no schedule has a shorter chain of dependences.",
        (
            "  Bounds: resource 24,576 (port DRAM), dependence 32,256 (ports always free),"
            " barrier 32,256."
        ),
    ]


def test_headline_with_a_busy_port() -> None:
    text = report_text(polylat.analyze(example(top="Pipeline", inner="Pipeline")))
    assert "Proven optimal by the resource bound: no schedule keeps DRAM busy for less." in text


def test_headline_with_a_gap() -> None:
    report = polylat.analyze(example("tap_refetched", top="Pipeline"), background="o2@SRAM")
    gap = report.latency - report.resource_bound
    assert report.binding == "resource" and gap > 0
    text = report_text(report)
    assert f"  Not proven optimal: {gap:,} (" in text and "above the resource bound." in text


def test_headline_of_a_schedule_that_keeps_barriers() -> None:
    pipeline = {"type": "Pipeline", "nodes": [nested(loop("x"), leaf(e)) for e in ("e0", "e1")]}
    data = spec(
        {"x": 2, "y": 2},
        [
            einsum("e0", ("t1", "x y"), ("i0", "x y")),
            einsum("e1", ("t3", "x"), ("t1", "x y"), ("w2", "y")),
        ],
        [*(memory(name, size="inf") for name in ("DRAM", "SRAM", "RF")), compute("mac")],
        [
            *(storage("DRAM", "i0", "t3"), loop("y"), storage("DRAM", "t1", "w2")),
            *(storage("SRAM", "w2"), storage("RF", "w2"), pipeline),
        ],
    )
    report = polylat.analyze(polylat.Spec.from_dict(data), granularity="tile")
    assert report.keeps_barriers
    assert (report.latency, report.latency_by_order["oldest"]) == (20, 21)
    kept = "The fastest schedule keeps the barriers: it runs every Pipeline as a Sequential."
    assert report_text(report).splitlines()[2:4] == [
        f"  {kept}",
        "  As fast as sequential execution, without overlap between branches.",
    ]


def test_headline_in_the_background() -> None:
    report = polylat.analyze(example(), granularity="tile", background="o2")
    assert report_text(report).splitlines()[:8] == [
        "Latency  31,808",
        "  order oldest · granularity tile · 17 tile iterations · background: o2@SRAM",
        (
            "  The write-back of o2 from SRAM by e2 costs 64 of 31,808: without it, the latency is"
            " 31,744. The"
        ),
        "  write-back is in the background; if it is waited for, 32,256.",
        "  1.014x as fast as sequential execution (32,256).",
        "  Not proven optimal: 64 (0.2%) above the dependence bound.",
        (
            "  Bounds: resource 24,576 (port DRAM), dependence 31,744 (ports always free),"
            " barrier 31,744."
        ),
        "  Energy 50,176: DRAM 49.0%, SRAM 48.0%, mac 3.1%.",
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (8, "Two tiles of every tensor fit into SRAM."),
        (7, "Two tiles of every tensor do not fit into SRAM (8 of 7 bits)."),
        ("inf", None),
    ],
)
def test_whether_double_buffering_fits(size: int | str, expected: str | None) -> None:
    """A tile has four values of one bit."""
    data = spec(
        {"m": 3, "k": 4},
        [einsum("e", ("b", "m k"), ("a", "m k"))],
        [memory("DRAM", size="inf"), memory("SRAM", size=size), compute("mac")],
        [storage("DRAM", "a", "b"), loop("m"), storage("SRAM", "a"), loop("k"), leaf("e")],
    )
    text = report_text(polylat.analyze(polylat.Spec.from_dict(data)))
    if expected is None:
        assert "Two tiles" not in text
    else:
        assert expected in flat(text)


def test_what_is_staged_is_not_staged_again() -> None:
    text = report_text(polylat.analyze(example(), granularity="tile", staged="all"))
    assert "staged: o1@SRAM" in text or "staged: o2@SRAM" in text
    assert "With every tile staged" not in text


def test_slower_than_in_sequence() -> None:
    """A write-back in the background is in no schedule before its value has been computed."""
    data = spec(
        {"m": 1},
        [einsum("e1", ("b", "m"), ("a", "m"))],
        [memory("DRAM", size="inf"), memory("SRAM", "inf", "inf", size="inf"), compute("mac")],
        [storage("DRAM", "a", "b"), storage("SRAM", "b"), loop("m"), leaf("e1")],
    )
    report = polylat.analyze(polylat.Spec.from_dict(data), background="b@SRAM")
    assert (report.latency, report.sequential) == (1 + 1, 2)
    data["arch"]["nodes"][0]["separate_read_write_ports"] = True
    report = polylat.analyze(polylat.Spec.from_dict(data), background="b@SRAM")
    assert (report.latency, report.sequential) == (1 + 1, 1)
    assert "Slower than sequential execution (1)." in report_text(report)


def section(text: str, title: str) -> list[str]:
    lines = text.splitlines()
    start = lines.index(title) + 1
    return lines[start : lines.index("", start)]


def test_from_accelforges_figure() -> None:
    text = report_text(polylat.analyze(example(), granularity="tile", background="o2"))
    assert section(text, "From AccelForge's latency to polylat's") == [
        "  Step                    Change  Latency  Reason",
        (
            "  AccelForge                       32,768  sum over Einsums of the slowest component's"
            " busy time"
        ),
        (
            "  residency and counts      -512   32,256  e3 finds o2 in SRAM (left by e2);"
            " AccelForge refetches it"
        ),
        "  barriers and transfers       0   32,256  sequential execution: no net effect",
        "  overlap                   -448   31,808  write-backs in the background (o2@SRAM)",
    ]
    assert section(text, "Actions that AccelForge and polylat count differently") == [
        "  Einsum  Component  Tensor  Action  AccelForge  polylat  Change of time  Reason",
        "  e3      DRAM       o2      read           512        0            -512  already in SRAM",
        "  e3      SRAM       o2      write          512        0            -512  already in SRAM",
    ]


def test_pipelines_are_named_as_the_reason() -> None:
    report = polylat.analyze(example(top="Pipeline", inner="Pipeline"), background="o2")
    assert (
        "-7,680 24,576 Pipeline stages run concurrently (e1+e2 | e3; e1 | e2) and write-backs in"
        " the background (o2@SRAM)"
    ) in flat(report_text(report))


def test_barriers_may_cost() -> None:
    report = polylat.analyze(polylat.load(OURS / "map_attn_a2.yaml"))
    comparison = latency_steps(report)
    assert (comparison.accelforge, comparison.back_to_back) == (1168, 1168)
    assert (comparison.sequential, comparison.latency) == (1182, 1182)
    report.verify()
    assert (
        "barriers and transfers +14 1,182 sequential execution: a branch starts when the previous"
        " one has finished"
    ) in flat(report_text(report))


def test_counts_differ_for_imperfect_tiles() -> None:
    report = polylat.analyze(polylat.load(OURS / "t_mm_imperfect_k.yaml"))
    text = flat(report_text(report))
    assert "elements of Z in mm are counted exactly, not on average" in text
    for action in ("read", "write"):
        assert re.search(rf"mm SRAM Z {action} [\d,]+ [\d,]+ -32 exact count", text)


def test_ports() -> None:
    text = report_text(polylat.analyze(example(), granularity="tile"))
    assert section(text, "Ports") == [
        "  Port    Busy  Utilization  Used by",
        "  DRAM  24,576        76.2%  e3 47.9%, e1 33.3%, e2 18.8%",
        "  SRAM  24,064        74.6%  e2 51.1%, e1 31.9%, e3 17.0%",
        "  mac    1,536         4.8%  e1 33.3%, e2 33.3%, e3 33.3%",
    ]


def test_stages_that_contend() -> None:
    text = report_text(polylat.analyze(example(top="Pipeline")))
    assert section(text, "Ports")[-1] == (
        "  Pipeline e1+e2 | e3: the stages contend for DRAM, SRAM, mac."
    )


def test_critical_path_adds_up() -> None:
    report = polylat.analyze(example(), granularity="tile", background="o2")
    lines = section(report_text(report), "Critical path")
    rows = [line.split() for line in lines[1:] if re.match("  e[123] ", line)]
    times = [int(row[4].replace(",", "")) for row in rows]
    assert sum(times) == 31808
    said = flat(" ".join(lines))
    assert "Time on the critical path by what each access waited for: " in said
    for why, time in report.critical_reasons.items():
        words = {None: "nothing", "flow": "data", "barrier": "a barrier", "port": "its port"}
        assert f"{words[why]} {format_number(time)} (" in said


def test_steps_of_the_critical_path() -> None:
    report = polylat.analyze(example(), granularity="tile")
    lines = section(report_text(report, steps=2), "Critical path, step by step (first 2)")
    assert lines[:3] == [
        "  Start  Finish  Einsum  Tile  Port  Tensor  Action  Waited for",
        "      0     512  e1      m=0   DRAM  i1      read    nothing",
        "    512   1,024  e1      m=0   DRAM  w1      read    its port",
    ]
    assert lines[3] == f"  {len(report.critical_path) - 2} more steps."


def test_fixed_latencies_are_steps_without_a_port() -> None:
    """Fills of 2 pass 5 later, and writes likewise; operations take 1."""
    data = spec(
        {"m": 2},
        [einsum("e1", ("b", "m"), ("a", "m"))],
        [
            memory("DRAM", "1/2", "1/2", size="inf", separate_read_write_ports=True),
            memory("SRAM", "inf", "inf", size="inf"),
            compute("mac"),
        ],
        [storage("DRAM", "a", "b"), loop("m"), storage("SRAM", "a", "b"), leaf("e1")],
    )
    data["schedule"] = {"latency": {"DRAM": {"read": 5, "write": 5}}}
    report = polylat.analyze(polylat.Spec.from_dict(data), granularity="full", staged="all")
    assert report.latency == 2 * 2 + 5 + 1 + 2 + 5
    text = report_text(report, steps=6)
    assert "  e1      SRAM       a       latency     5" in text
    steps = section(text, "Critical path, step by step (first 6)")
    assert [line.split()[4:] for line in steps[1:]] == [
        ["DRAM.read", "a", "read", "nothing"],
        ["DRAM.read", "a", "read", "its", "port"],
        ["-", "a", "latency", "data"],
        ["mac", "-", "compute", "data"],
        ["DRAM.write", "b", "write", "data"],
        ["-", "b", "latency", "data"],
    ]
    (segment,) = report.timeline().segments
    # The red line goes on along the lane of what was served before.
    lanes = [lane for _, _, lane in critical_parts(report.timeline(), segment)]
    names = [report.ports[lane].name for lane in lanes]
    assert names == ["DRAM.read", "DRAM.read", "mac", "DRAM.write"]
    times = [(start, finish) for start, finish, _ in critical_parts(report.timeline(), segment)]
    assert times == [(0, 2), (2, 9), (9, 10), (10, 17)]
    assert "SRAM latency 58.8%" in report.to_html()


def test_memories() -> None:
    text = report_text(polylat.analyze(example(), granularity="tile"))
    assert section(text, "Memories") == [
        "  Memory  Peak (bits)  Size (bits)  Share",
        "  DRAM          2,560    unlimited",
        "  SRAM            576    1,000,000   0.1%",
    ]


def test_memories_that_are_too_small() -> None:
    report = polylat.analyze(polylat.load(OURS / "map_conv1d_a2.yaml"))
    (memory,) = (memory for memory in report.occupancy if memory.exceeded)
    assert memory.size is not None
    text = report_text(report)
    head, *rows = section(text, "Memories")
    assert head.endswith("Exceeded by")
    assert any(row.endswith(f"  {format_number(memory.peak - memory.size)}") for row in rows)
    assert "Each tile counts with its full size" in text


def test_the_limits_of_the_model_are_stated() -> None:
    text = report_text(polylat.analyze(example()))
    assert flat(text).endswith(
        "Within a leaf of the mapping, reads, computation and writes that stream overlap freely, as"
        " AccelForge assumes. Separate transfers, of staged holders for example, do not."
    )


def test_a_report_prints_as_its_text() -> None:
    report = polylat.analyze(example())
    assert str(report) == report_text(report)


def test_roofline() -> None:
    assert str(polylat.roofline(example())).splitlines() == [
        "AccelForge's latency  32,768",
        "The sum over Einsums of the busy time of the slowest component, back to back.",
        "Energy  51,200",
        "",
        "Einsum    DRAM    SRAM  mac  slowest",
        "e1       8,192   7,680  512  DRAM",
        "e2       4,608  12,288  512  SRAM",
        "e3      12,288   4,608  512  DRAM",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(OURS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_case_prints_within_its_width(path: Path) -> None:
    loaded = polylat.load(path)
    report = polylat.analyze(loaded)
    comparison = latency_steps(report)
    assert comparison.latency == report.latency
    for text in (report_text(report, steps=3), str(polylat.roofline(loaded))):
        assert max(map(len, text.splitlines())) <= 100
        assert "\x1b" not in text
        assert not re.search(r"[ \t]$", text, re.MULTILINE)


def test_colour_is_for_terminals() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system="standard")
    console.print(render_report(polylat.analyze(example())))
    assert "\x1b[1;32m32,256\x1b[0m" in out.getvalue()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert max(map(len, plain.splitlines())) <= 80


@pytest.mark.long
def test_of_many_loops_the_longest_steady_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = polylat.analyze(polylat.Spec.from_dict(NETWORKS["transformer"](1)))
    loops = report.initiation_intervals
    times = {"+".join(loop.einsums): loop.interval * loop.iterations for loop in loops}
    longest = sorted(times, key=lambda einsums: -times[einsums])
    assert len(longest) == len(loops) == 5 and longest != list(times)
    monkeypatch.setattr("polylat.views.text._ROWS", 2)
    found = explanation_text(report).partition("Steady state")[2].partition("What limits")[0]
    shown = [
        line.split()[1] if line.split()[0] == "h" else line.split()[4]
        for line in found.splitlines()[2:]
        if re.match(r"  [a-z] ", line)
    ]
    assert shown == longest[:2]
    assert "3 more rows; the JSON lists all" in found
