"""The inputs of the measured designs: they say what the files say about their traffic."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import polylat
from benchmarks.truth import gemmini, streamhls, tileflow
from benchmarks.truth.measure import evaluate
from benchmarks.truth.rows import Family, Row, number
from builders import EXAMPLES

DATA = Path(__file__).parent / "data"
STREAMHLS, TILEFLOW, GEMMINI = (
    family.read(DATA / family.file)
    for family in (streamhls.FAMILY, tileflow.FAMILY, gemmini.FAMILY)
)
SMALL = [row for row in STREAMHLS if row.cycles < 20_000]


def accesses(family: Family, row: Row, variant: str = "streaming", **how: Any) -> dict[Any, Any]:
    spec = polylat.Spec.from_dict(family.build(row, variant, {}, **how))
    return dict(polylat.analyze(spec).accesses)


def actions(found: dict[Any, Any], component: str, action: str, *tensors: str | None) -> Any:
    return sum(
        count
        for (_, where, tensor, what), count in found.items()
        if (where, what) == (component, action) and (not tensors or tensor in tensors)
    )


def test_the_files_have_all_rows() -> None:
    assert (len(STREAMHLS), len(TILEFLOW), len(GEMMINI)) == (46, 87, 384)


@pytest.mark.parametrize("row", SMALL, ids=[row.name for row in SMALL])
def test_streaming_is_that_of_the_separate_simulation(row: Row) -> None:
    variant = next(v for v in streamhls.FAMILY.variants if v.name == "streaming")
    result = evaluate(streamhls.FAMILY, variant, row, {})
    assert result.latency == row.expected["streaming"]
    assert result.exact and not result.missed


def test_latency_of_a_pipeline_counts_from_the_end_of_its_interval() -> None:
    row = next(row for row in STREAMHLS if row.name.endswith("2560_DSPs/opt4/gemm"))
    assert streamhls.latencies(row) == {
        "u_node2": {"compute": 35},
        "u_node1": {"compute": 13},
        "u_node0": {"compute": 0},
    }
    schedule = streamhls.build(row, "rigid", {})["schedule"]
    assert schedule["rigid"] == ["u_node2", "u_node1", "u_node0"]


@pytest.mark.parametrize("row", TILEFLOW[::11], ids=[row.name for row in TILEFLOW[::11]])
def test_tileflow_moves_what_the_file_says(row: Row) -> None:
    found = accesses(tileflow.FAMILY, row)
    assert actions(found, "DRAM", "read") == row.facts["mem_to_buf_bits"]
    assert actions(found, "DRAM", "write") == row.facts["buf_to_mem_bits"]
    # One operation of a unit per cycle.
    steps = row.facts["M1"] * row.facts["N1"] * (row.facts["K1"] + row.facts["N2"])
    assert actions(found, "array", "compute") == steps // 256


def test_tileflow_in_order_has_the_same_traffic() -> None:
    row = TILEFLOW[33]
    data = tileflow.build(row, "in order", {})
    assert data["schedule"].pop("staged") == ["E@cache"]
    report = polylat.analyze(polylat.Spec.from_dict(data))
    assert dict(report.accesses) == accesses(tileflow.FAMILY, row)


@pytest.mark.parametrize("row", GEMMINI[::17], ids=[row.name for row in GEMMINI[::17]])
def test_gemmini_runs_the_commands_of_the_program(row: Row) -> None:
    facts = row.facts
    spec = polylat.Spec.from_dict(gemmini.build(row, "streaming", {}))
    report = polylat.analyze(spec)
    found = dict(report.accesses)
    assert report.tiles == facts["loops"]
    assert actions(found, "array", "compute") == facts["commands"]
    assert actions(found, "memory", "write") == facts["write_bytes"]
    assert actions(found, "memory", "read") == gemmini.values_loaded(facts)


def test_a_holder_per_command_moves_the_same() -> None:
    row = next(row for row in GEMMINI if row.name == "test 2")
    by_unit = accesses(gemmini.FAMILY, row)
    by_holder = accesses(gemmini.FAMILY, row, commands="holder")
    for component, action in (("memory", "read"), ("memory", "write"), ("array", "compute")):
        assert actions(by_unit, component, action) == actions(by_holder, component, action)
    spec = polylat.Spec.from_dict(gemmini.build(row, "streaming", {}, commands="holder"))
    assert polylat.analyze(spec).tiles == row.facts["commands"]


def test_schedules_of_gemmini() -> None:
    constants = next(v for v in gemmini.FAMILY.variants if v.name == "host").constants
    row = next(row for row in GEMMINI if row.name == "test 2")
    schedule = gemmini.build(row, "host", constants)["schedule"]
    assert schedule["staged"] == ["I", "W", "O"]
    assert schedule["setup"] == {"host": {"write": number(constants["multiplication"])}}
    schedule = gemmini.build(row, "host", constants, commands="holder")["schedule"]
    assert schedule["setup"]["queue"] == {"write": "44/5"}
    outside = replace(row, facts={**row.facts, "order": "CKNQPSR", "tile_C": 64})
    assert gemmini.build(outside, "host", constants)["schedule"]["staged"] == ["I", "W"]


def test_numbers_are_exact() -> None:
    assert [number(Fraction(x)) for x in ("6", "8.8")] == [6, "44/5"]


def test_the_example_is_the_row_that_it_names() -> None:
    row = next(row for row in GEMMINI if row.name == "test 6")
    files = (EXAMPLES / "gemmini" / name for name in ("arch.yaml", "mapping.yaml"))
    example = polylat.analyze(polylat.load(*files), granularity="tile")
    assert example.tiles == row.facts["loops"]
    found = dict(example.accesses)
    for access, count in accesses(gemmini.FAMILY, row).items():
        assert found[access] == count
