"""The example: every figure in its text."""

from __future__ import annotations

import runpy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import polylat
from builders import EXAMPLES
from polylat.analysis.attribution import latency_steps


def load(mapping: str, top: str = "Sequential", inner: str = "Sequential") -> polylat.Spec:
    files = (EXAMPLES / name for name in ("arch.yaml", "workload.yaml", f"{mapping}.yaml"))
    return polylat.load(*files, top=top, inner=inner)


@pytest.mark.parametrize(
    ("mapping", "top", "inner", "granularity", "background", "program", "skew", "oldest"),
    [
        ("untapped", "Sequential", "Sequential", "flow", (), 31744, 31744, 31744),
        ("untapped", "Sequential", "Pipeline", "tile", (), 31296, 31296, 31232),
        ("untapped", "Pipeline", "Sequential", "flow", (), 30784, 30784, 24856),
        ("untapped", "Pipeline", "Pipeline", "flow", (), 30160, 30160, 24064),
        ("tap_resident", "Sequential", "Sequential", "tile", (), 32256, 32256, 32256),
        ("tap_resident", "Sequential", "Sequential", "tile", ("o2",), 32256, 32256, 31808),
        ("tap_resident", "Sequential", "Sequential", "flow", ("o2",), 32256, 32256, 31752),
        ("tap_resident", "Pipeline", "Pipeline", "flow", (), 30672, 30672, 24576),
        ("tap_resident", "Pipeline", "Pipeline", "flow", ("o2",), 31744, 31744, 24576),
        ("tap_refetched", "Sequential", "Sequential", "flow", (), 32768, 32768, 32768),
        ("tap_refetched", "Sequential", "Sequential", "tile", ("o2",), 32768, 32768, 32320),
        ("tap_refetched", "Pipeline", "Pipeline", "flow", (), 31184, 31184, 25088),
    ],
)
def test_latency_of_every_order(
    mapping: str,
    top: str,
    inner: str,
    granularity: str,
    background: tuple[str, ...],
    program: int,
    skew: int,
    oldest: int,
) -> None:
    report = polylat.analyze(
        load(mapping, top, inner), granularity=granularity, background=background
    )
    assert report.latency_by_order == {"program": program, "skew": skew, "oldest": oldest}
    assert report.latency == min(program, skew, oldest)


@pytest.mark.parametrize(
    ("mapping", "latency"), [("untapped", 31744), ("tap_refetched", 32768), ("tap_resident", 32768)]
)
@pytest.mark.parametrize("top", ["Sequential", "Pipeline"])
def test_accelforge_prices_a_pipeline_like_a_sequential(
    mapping: str, latency: int, top: str
) -> None:
    assert polylat.roofline(load(mapping, top)).latency == latency


def test_what_the_mappers_tap_costs() -> None:
    without, with_tap = polylat.roofline(load("untapped")), polylat.roofline(load("tap_refetched"))
    extra = {
        key: number - without.accesses.get(key, 0)
        for key, number in with_tap.accesses.items()
        if number != without.accesses.get(key, 0)
    }
    assert extra == {
        ("e2", "DRAM", "o2", "write"): 512,
        ("e2", "SRAM", "o2", "read"): 512,  # the write-back's reading of SRAM
        ("e3", "DRAM", "o2", "read"): 512,  # fetched back
        ("e3", "SRAM", "o2", "write"): 512,
    }
    assert with_tap.bottleneck == {"e1": "DRAM", "e2": "SRAM", "e3": "DRAM"}


@pytest.mark.parametrize(("granularity", "late"), [("flow", 8), ("tile", 64)])
def test_what_the_tap_costs_in_the_background(granularity: str, late: int) -> None:
    """What e2 computes last, a value or a row, is written last: e3 needs DRAM until then."""
    waited = polylat.analyze(load("tap_resident"), granularity=granularity)
    hidden = polylat.analyze(load("tap_resident"), granularity=granularity, background="o2")
    without = polylat.analyze(load("untapped"), granularity=granularity)
    assert (waited.latency, without.latency) == (32256, 31744)
    assert hidden.latency == hidden.barrier_bound + late == without.latency + late
    write = ("e2", "DRAM", "o2", "write")
    assert hidden.accesses[write] == 512
    assert hidden.critical_totals[write] == late
    last = hidden.critical_path[-1]
    assert (last.einsum, last.component, last.tensor) == ("e2", "DRAM", "o2")
    # All of o2 is one tile in SRAM: it leaves when it has been computed.
    assert hidden.staged == 31744 + 512


@pytest.mark.parametrize("background", [(), ("o2",)])
def test_overlapping_stages_keep_dram_busy(background: tuple[str, ...]) -> None:
    report = polylat.analyze(load("tap_resident", "Pipeline", "Pipeline"), background=background)
    assert report.granularity == "flow"
    assert report.latency == report.resource_bound == 24576
    assert report.optimal and report.binding == "resource"
    assert [port.name for port in report.ports if port.busy == 24576] == ["DRAM"]


def test_from_accelforges_figure_to_the_latency() -> None:
    spec = load("tap_resident", "Pipeline", "Pipeline")
    found = latency_steps(polylat.analyze(spec, background="o2"))
    steps = (found.accelforge, found.back_to_back, found.sequential, found.latency)
    assert steps == (32768, 32256, 32256, 24576)
    assert [(c.einsum, c.component, c.action, c.time, c.found_in) for c in found.charges] == [
        ("e3", "DRAM", "read", 512, "SRAM"),
        ("e3", "SRAM", "write", 512, "SRAM"),
    ]
    assert {(c.brought_by, c.produced) for c in found.charges} == {("e2", True)}


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / "tapped_cascade.py"))


def rows(table: Any) -> list[list[str]]:
    cells = zip(*(column.cells for column in table.columns), strict=True)
    return [[str(cell) for cell in row] for row in cells]


def test_the_script_tells_the_story(script: dict[str, Any]) -> None:
    found = [
        [cell.replace("[bold]", "").replace("[/bold]", "") for cell in row[1:4]]
        for row in rows(script["story"]())
    ]
    assert found == [
        ["31,744", "31,744", "31,744"],
        ["32,768", "32,768", "32,768"],
        ["32,768", "32,256", "32,256"],
        ["32,768", "31,752", "31,744"],
        ["31,744", "24,064", "24,064"],
        ["32,768", "24,576", "24,576"],
    ]
    assert [row[4] for row in rows(script["story"]())] == [
        *("31,744", "32,752", "32,256", "32,256", "24,064", "24,576")
    ]
    assert [row[5] for row in rows(script["story"]())] == [
        *3 * ["[green]barriers[/green]"],
        "not proven",
        *2 * ["[green]busy DRAM[/green]"],
    ]


def test_the_script_takes_accelforges_extra_apart(script: dict[str, Any]) -> None:
    table = script["extra"]()
    assert table.title == "AccelForge's additional latency of 1,024, by Einsum"
    assert rows(table) == [
        ["e1", "DRAM", "8,192", "8,192", "nothing"],
        ["e2", "SRAM", "11,776", "12,288", "512 reads of o2"],
        ["e3", "DRAM", "11,776", "12,288", "512 reads of o2"],
    ]


@pytest.mark.parametrize("table", ["story", "extra"])
def test_the_scripts_tables_fit_a_terminal(script: dict[str, Any], table: str) -> None:
    made = script[table]()
    console = Console(width=80)
    assert console.measure(made).maximum <= 80


def test_the_script_prints(script: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    script["main"]()
    printed = capsys.readouterr().out
    assert "what does it cost to write o2 to DRAM?" in printed
    assert "AccelForge's additional latency of 1,024" in printed


@pytest.mark.parametrize("size", [1, 4, 5, 8])
def test_a_state_limits_small_steps_only(size: int, tmp_path: Path) -> None:
    """A step has 2 D multiplications; a state takes 1 + 4 in each of two units."""
    text = (EXAMPLES / "state_space.yaml").read_text(encoding="utf-8")
    file = tmp_path / "state_space.yaml"
    file.write_text(text.replace("D: 4,", f"D: {size},"), encoding="utf-8")
    plain = polylat.load(file)
    spec = polylat.load(file, EXAMPLES / "state_space_schedule.yaml")
    assert spec == polylat.load(file, recurrences={"H_prev": "H[t-1]"})
    report = polylat.analyze(spec)
    assert [found.interval for found in report.initiation_intervals] == [max(2 * size, 10)]
    assert report.dependence_bound == 32 * 10 + 1 + 4
    assert report.roofline == polylat.roofline(plain).latency


# --------------------------------------------------------------------------------------------
# Recurrences at a real size
# --------------------------------------------------------------------------------------------


def recurrent(name: str, **variables: Any) -> polylat.Report:
    files = (EXAMPLES / f"{name}{end}.yaml" for end in ("", "_schedule"))
    report = polylat.analyze(polylat.load(*files, **variables))
    assert report.exact
    return report


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "latency", "ring", "busy"),
    [
        # A block is S 4, RM, P and RD 4 + 10 each, RNV 4. Each tile of queries ends with Y.
        ({"split": "Sequential"}, 6_605_670, 4 + 3 * (4 + 10) + 4, 3 * 4),
        ({}, 2_468_396, 4 + 10, 3 * 4),
        ({"heads": 2}, 1_642_622, 22, 2 * 3 * 4),
        ({"heads": 4}, 1_625_054, 44, 4 * 3 * 4),
    ],
)
def test_flash_attention(variables: dict[str, Any], latency: int, ring: int, busy: int) -> None:
    report = recurrent("flash_attention", **variables)
    assert report.latency == latency
    assert {(found.einsums, found.interval, found.busy) for found in report.recurrences} == {
        ((einsum,), ring, busy) for einsum in ("RM", "RD", "RNV")
    }
    # Per block and head 3 times 4 on the vector unit, and per tile of queries Y: 4.
    assert report.resource_bound == 32 * 64 * (64 * 3 * 4 + 4)
    assert report.roofline == 2_637_824


@pytest.mark.parametrize(
    ("variables", "ring"),
    [
        ({"split": "Sequential"}, 3 * (4 + 10)),
        ({}, 2 * (4 + 10)),
        ({"heads": 2}, 2 * (4 + 10)),
        ({"heads": 4}, 36),
        ({"heads": 8}, 72),
    ],
)
def test_state_space_layer(variables: dict[str, Any], ring: int) -> None:
    """A pass over the tokens takes the ring's time for each; the next one starts a step early."""
    report = recurrent("state_space_layer", **variables)
    heads = variables.get("heads", 1)
    assert isinstance(heads, int)
    (found,) = report.recurrences
    assert found.einsums == ("HH", "H")
    assert (found.interval, found.busy) == (ring, heads * 4)
    assert abs(report.latency - Fraction(ring * 4096 * 32, heads)) < ring * 32 // heads
    assert report.resource_bound == 4 * 4096 * 32
    assert report.roofline == 3 * 4 * 4096 * 32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "latency", "ring"),
    [
        # S 64, LM 1, RM 11, SLN, SLD 1, SLNV 64, PRM, SPD, RD 11, SPNV, RNV 64 + 10.
        ({"split": "Sequential"}, 10_630_520, 2 * 64 + 3 * 1 + 4 * 11 + 2 * 74),
        ({}, 4_991_805, 2 * (64 + 10)),
        ({"heads": 2}, 4_507_518, 2 * (64 + 10)),
        ({"heads": 4}, 4_481_615, 276),
    ],
)
def test_fusemax(variables: dict[str, Any], latency: int, ring: int) -> None:
    report = recurrent("fusemax", **variables)
    assert report.latency == latency
    heads = variables.get("heads", 1)
    assert isinstance(heads, int)
    busy = 4 * 1 + 2 * 64  # of the vector unit
    assert {(found.einsums, found.interval, found.busy) for found in report.recurrences} == {
        (einsums, ring, heads * busy) for einsums in (("RM",), ("SPD", "RD"), ("SPNV", "RNV"))
    }
    assert report.resource_bound == 32 * 16 * (64 * busy + 64)
    assert report.roofline == 8_650_752
