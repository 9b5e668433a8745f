"""The JSON output: exact numbers, and every key documented."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import polylat
from builders import EXAMPLES, OURS, ROOT
from polylat.views.as_json import report_to_dict, roofline_to_dict


def example(mapping: str = "tap_resident", **variables: Any) -> polylat.Spec:
    files = (EXAMPLES / name for name in ("arch.yaml", "workload.yaml", f"{mapping}.yaml"))
    return polylat.load(*files, **variables)


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    spec = example(top="Pipeline", inner="Pipeline")
    return report_to_dict(polylat.analyze(spec, background="o2@SRAM", slots={"o1": 3}), steps=2)


def test_headline(data: dict[str, Any]) -> None:
    head = {key: value for key, value in data.items() if not isinstance(value, (list, dict))}
    assert head == {
        "schema": "polylat.report/1",
        "latency": 24576,
        "order": "oldest",
        "granularity": "flow",
        "tiles": 1088,
        "keeps_barriers": False,
        "resource_bound": 24576,
        "dependence_bound": data["dependence_bound"],
        "barrier_bound": 24064,
        "binding": "resource",
        "optimal": True,
        "sequential": 32256,
        "speedup": "21/16",
        "roofline": 32768,
        "engine": "explicit",
        "exact": True,
        "lower_bound": 24576,
        "gap": 0,
    }
    assert data["background"] == [{"tensor": "o2", "component": "SRAM"}]
    assert data["staged_holders"] == []
    assert data["slots"] == {"o1": 3}
    assert set(data["latency_by_order"]) == {"program", "skew", "oldest"}


def test_ports(data: dict[str, Any]) -> None:
    assert data["ports"][0] == {
        "name": "DRAM",
        "component": "DRAM",
        "port": "",
        "units": "",
        "busy": 24576,
        "utilization": 1,
        "users": {"e3": 11776, "e1": 8192, "e2": 4608},
    }
    assert [port["utilization"] for port in data["ports"]] == [1, "47/48", "1/16"]


def test_pipelines(data: dict[str, Any]) -> None:
    shared = ["DRAM", "SRAM", "mac"]
    assert data["pipelines"] == [
        {"stages": ["e1+e2", "e3"], "own": [], "shared": shared},
        {"stages": ["e1", "e2"], "own": [], "shared": shared},
    ]


def test_critical_path(data: dict[str, Any]) -> None:
    path = data["critical_path"]
    assert sum(total["time"] for total in path["totals"]) == 24576
    assert sum(path["waited_for"].values()) == 24576
    assert len(path["steps"]) == 2
    assert path["length"] > 2
    first = path["steps"][0]
    assert (first["start"], first["waited_for"], first["einsum"]) == (0, None, "e1")
    assert [loop["variable"] for loop in first["tile"]] == ["m", "n0", "n1"]


def test_steps_of_the_critical_path_are_listed_on_demand() -> None:
    report = polylat.analyze(example(), granularity="tile")
    assert report.to_dict()["critical_path"]["steps"] == []
    every = report.to_dict(steps=None)["critical_path"]
    assert len(every["steps"]) == every["length"] == len(report.critical_path)
    assert every["steps"][-1]["finish"] == 32256


def test_memories(data: dict[str, Any]) -> None:
    assert [(m["component"], m["size"], m["exceeded"]) for m in data["memories"]] == [
        ("DRAM", None, False),
        ("SRAM", 1000000, False),
    ]


def test_accesses_and_charges(data: dict[str, Any]) -> None:
    write = {"einsum": "e2", "component": "DRAM", "tensor": "o2", "action": "write"}
    assert {**write, "actions": 512} in data["accesses"]
    assert data["comparison"]["charges"][0] == {
        "einsum": "e3",
        "component": "DRAM",
        "tensor": "o2",
        "action": "read",
        "accelforge": 512,
        "polylat": 0,
        "time": 512,
        "found_in": "SRAM",
        "brought_by": "e2",
        "produced": True,
    }


def test_numbers_are_exact() -> None:
    report = polylat.analyze(example("untapped", top="Pipeline"))
    data = report.to_dict()
    assert data["speedup"] == str(Fraction(31744, 24856))
    assert Fraction(data["ports"][0]["utilization"]) == Fraction(24064, 24856)


def test_roofline() -> None:
    data = roofline_to_dict(polylat.roofline(example()))
    assert data["schema"] == "polylat.roofline/1"
    assert data["latency"] == 32768
    assert data["einsums"][1] == {
        "einsum": "e2",
        "slowest": "SRAM",
        "busy": {"DRAM": 4608, "SRAM": 12288, "mac": 512},
    }
    fetch = {"einsum": "e3", "component": "DRAM", "tensor": "o2", "action": "read"}
    assert {**fetch, "actions": 512, "total": 512} in data["accesses"]


def keys(value: Any) -> set[str]:
    """Every key whose name is fixed (not a name from the input, an order or a reason)."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item)}
    if not isinstance(value, dict):
        return set()
    free = {"latency_by_order", "waited_for", "users", "busy", "slots", "leakage"}
    return set(value) | {k for key, item in value.items() if key not in free for k in keys(item)}


@pytest.mark.parametrize("which", ["report", "roofline"])
def test_every_key_is_documented(which: str, data: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    made = data if which == "report" else roofline_to_dict(polylat.roofline(example()))
    assert [key for key in sorted(keys(made)) if f"`{key}`" not in page] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(OURS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_case_survives_json(path: Path) -> None:
    report = polylat.analyze(polylat.load(path))
    data = report.to_dict(steps=5)
    assert json.loads(json.dumps(data)) == data
    assert Fraction(data["latency"]) == report.latency
