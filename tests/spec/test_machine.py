"""Properties of the machine: throughput, latency, setup, burst and rigid under ``schedule:``."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from builders import ROOT
from polylat.analysis.roofline import roofline
from polylat.errors import ExpressionError, OptionError, PolylatError, UnsupportedError
from polylat.spec import Spec
from polylat.spec.arch import Component
from polylat.spec.options import OPTIONS
from polylat.spec.reading.load import load
from polylat.spec.reading.machine import MACHINE_KEYS


def chain(schedule: dict[str, Any], **actions: list[dict[str, Any]]) -> Spec:
    """A product of matrices on a DRAM, a Toll, a Container and a Compute."""
    rates = [{"name": "read", "throughput": 8}, {"name": "write", "throughput": 4}]

    def component(kind: str, name: str, default: list[dict[str, Any]], **more: Any) -> Any:
        return {"type": kind, "name": name, "actions": actions.get(name, default), **more}

    data: dict[str, Any] = {
        "variables": {"T": "3/2"},
        "workload": {
            "rank_sizes": {"M": 4, "N": 4, "K": 4},
            "bits_per_value": {"All": 8},
            "einsums": [
                {
                    "name": "e",
                    "tensor_accesses": [
                        {"name": "A", "projection": ["m", "k"]},
                        {"name": "B", "projection": ["k", "n"]},
                        {"name": "Z", "projection": ["m", "n"], "output": True},
                    ],
                }
            ],
        },
        "arch": {
            "nodes": [
                component("Memory", "DRAM", rates, size="inf"),
                component("Toll", "bus", [{"name": "read", "throughput": 8}], direction="up"),
                {"type": "Container", "name": "PE", "spatial": [{"name": "X", "fanout": 2}]},
                component("Compute", "mac", [{"name": "compute", "throughput": 1}]),
            ]
        },
        "mapping": {
            "nodes": [
                {"type": "Storage", "component": "DRAM", "tensors": ["A", "B", "Z"]},
                *(
                    {"type": "Temporal", "rank_variable": variable, "tile_shape": 1}
                    for variable in ("m", "n", "k")
                ),
                {"type": "Compute", "einsum": "e", "component": "mac"},
            ]
        },
        "schedule": schedule,
    }
    return Spec.from_dict(data)


def seen(name: str, schedule: dict[str, Any], **actions: list[dict[str, Any]]) -> Component:
    return chain(schedule, **actions).arch.component("e", name)


def test_defaults() -> None:
    for component in chain({}).arch.paths["e"]:
        assert component.latency == component.setup == component.burst == {}
        assert component.rigid is False


def test_values_are_exact() -> None:
    dram = seen(
        "DRAM",
        {
            "latency": {"DRAM": {"read": "1/3", "write": 0.1}},
            "setup": {"DRAM": {"read": "2 * T", "write": "8 / throughput"}},
            "burst": {"DRAM": {"read": "2 ** 6", "write": 1}},
        },
    )
    assert dram.latency == {"read": Fraction(1, 3), "write": Fraction(1, 10)}
    assert dram.setup == {"read": 3, "write": 2}
    assert dram.burst == {"read": 64}, "1 is the default"
    assert seen("DRAM", {"setup": {"DRAM": {"read": 0}}}).setup == {}
    assert seen("DRAM", {"setup": None, "rigid": None, "latency": {"DRAM": None}}).latency == {}
    assert seen("mac", {"latency": {"mac": {"compute": 5}}}).latency == {"compute": 5}


def test_they_are_no_options_of_analyze() -> None:
    given = {"rigid": "mac", "setup": {"bus": {"read": 1}}, "slots": 3}
    assert chain(given).schedule == {"slots": 3}


@pytest.mark.parametrize("names", ["mac", ["mac"], ["mac", "mac"]])
def test_rigid(names: object) -> None:
    assert seen("mac", {"rigid": names}).rigid is True
    assert seen("DRAM", {"rigid": names}).rigid is False


READ = {"name": "read", "throughput": 8}


def test_latency_field_of_an_action() -> None:
    """Alone, it is the reciprocal of a throughput, as in AccelForge; beside one, it is fixed."""
    write = {"name": "write", "throughput": 4}
    lone = seen("DRAM", {}, DRAM=[{"name": "read", "latency": 3}, write])
    assert lone.ports[0].durations == {"read": 3, "write": Fraction(1, 4)}
    assert lone.latency == {}
    both = {"name": "read", "throughput": 8, "latency": "2 * T", "throughput_scale": 2}
    dram = seen("DRAM", {}, DRAM=[both, write])
    assert dram.ports[0].durations == {"read": Fraction(1, 16), "write": Fraction(1, 4)}
    assert dram.latency == {"read": 3}, "scales of the throughput leave it alone"
    zero = [READ | {"latency": 0}, write]
    assert seen("DRAM", {}, DRAM=zero).latency == {}


def test_schedule_latency_overrides_the_field() -> None:
    actions = [READ | {"latency": 7}, {"name": "write", "throughput": 4, "latency": 9}]
    schedule = {"latency": {"DRAM": {"read": 0}}}
    assert seen("DRAM", schedule, DRAM=actions).latency == {"write": 9}
    lone = [{"name": "read", "latency": 3}, {"name": "write", "throughput": 4}]
    dram = seen("DRAM", {"latency": {"DRAM": {"read": 5}}}, DRAM=lone)
    assert dram.latency == {"read": 5}
    assert dram.ports[0].durations["read"] == 3


def test_roofline_ignores_them() -> None:
    """AccelForge 1.0.467 prices throughputs only."""
    plain = roofline(chain({})).latency
    schedule = {"setup": {"DRAM": {"read": 9}}, "burst": {"DRAM": {"read": 64}}, "rigid": "mac"}
    both = [READ | {"latency": 7}, {"name": "write", "throughput": 4}]
    assert roofline(chain(schedule, DRAM=both)).latency == plain


def test_throughputs_are_those_of_the_actions() -> None:
    """With the scales of the component, in place of a model of it or of the action's own."""
    given = {"throughput": {"DRAM": {"read": "4 * T", "write": 0.1}, "mac": {"compute": "inf"}}}
    queried = [{"name": "read", "throughput_scale": 2}, {"name": "write", "latency": 7}]
    dram = seen("DRAM", given, DRAM=queried)
    assert dram.ports[0].durations == {"read": Fraction(1, 12), "write": 10}
    assert dram.latency == {"write": 7}  # as of an action with throughput and latency
    assert seen("mac", given, mac=[]).ports[0].durations == {"compute": 0}
    expected = {"read": Fraction(1, 6), "write": Fraction(10)}
    for component in (seen("DRAM", given), seen("DRAM", given, DRAM=[])):
        assert component.ports == (replace(dram.ports[0], durations=expected),)


def test_roofline_uses_throughputs() -> None:
    rates: list[dict[str, Any]] = [
        {"name": "read", "throughput": 3},
        {"name": "write", "throughput": "T"},
    ]
    given = {"throughput": {"DRAM": {"read": 3, "write": "T"}}}
    assert roofline(chain(given)).per_einsum == roofline(chain({}, DRAM=rates)).per_einsum
    assert roofline(chain(given, DRAM=[])) == roofline(chain({}, DRAM=rates))


def test_throughputs_survive_to_yaml(tmp_path: Path) -> None:
    spec = chain({"throughput": {"DRAM": {"read": "2 * T"}}})
    file = tmp_path / "input.yaml"
    file.write_text(spec.to_yaml(), encoding="utf-8")
    assert load(file) == spec
    assert spec.with_variables(T=4).arch == chain({"throughput": {"DRAM": {"read": 8}}}).arch


@pytest.mark.parametrize(
    ("schedule", "kind", "message"),
    [
        (
            {"throughput": {"DRAM": {"read": 0}}},
            ExpressionError,
            (
                "schedule.throughput.DRAM.read, for Einsum 'e': the throughput of 'read' must be "
                "above zero, not 0."
            ),
        ),
        (
            {"throughput": {"PE": {"read": 1}}},
            OptionError,
            "schedule.throughput.PE: throughput names 'PE', which has no actions.",
        ),
        (
            {"throughput": {"mac": 3}},
            OptionError,
            "schedule.throughput.mac: must be a mapping from actions to throughputs, not 3.",
        ),
        (
            {"latncy": {}},
            OptionError,
            "schedule: there is no option 'latncy'. Did you mean 'latency'?",
        ),
        (
            {"latency": 3},
            OptionError,
            (
                "schedule.latency: must be a mapping from components to {action: time}, not 3. Fix:"
                " write {component: {action: …}}."
            ),
        ),
        (
            {"setup": {"DRAM": [3]}},
            OptionError,
            "schedule.setup.DRAM: must be a mapping from actions to times, not a list.",
        ),
        (
            {"burst": {"DRAN": {"read": 4}}},
            OptionError,
            (
                "schedule.burst.DRAN: burst names the component 'DRAN', which does not exist. Did"
                " you mean 'DRAM'?"
            ),
        ),
        (
            {"setup": {"DRAM": {"reed": 4}}},
            OptionError,
            "schedule.setup.DRAM.reed: 'DRAM' has no action 'reed'. Did you mean 'read'?",
        ),
        (
            {"setup": {"DRAM": {"read": None}}},
            OptionError,
            "schedule.setup.DRAM.read: must be a number or an expression, not nothing.",
        ),
        (
            {"latency": {"PE": {"read": 4}}},
            OptionError,
            "schedule.latency.PE: latency names 'PE', which has no actions. Fix: name a Memory, a",
        ),
        (
            {"setup": {"mac": {"compute": 4}}},
            OptionError,
            "schedule.setup.mac: setup names the Compute 'mac', which transfers nothing.",
        ),
        (
            {"latency": {"DRAM": {"read": "-1"}}},
            ExpressionError,
            (
                "schedule.latency.DRAM.read, for Einsum 'e': the latency must be a finite time of"
                " at least zero, not -1."
            ),
        ),
        (
            {"setup": {"DRAM": {"read": "inf"}}},
            ExpressionError,
            (
                "schedule.setup.DRAM.read, for Einsum 'e': the setup must be a finite time of at"
                " least zero, not inf."
            ),
        ),
        (
            {"setup": {"DRAM": {"read": "2 * U"}}},
            ExpressionError,
            "schedule.setup.DRAM.read, for Einsum 'e': cannot evaluate '2 * U':",
        ),
        (
            {"burst": {"DRAM": {"read": 0}}},
            ExpressionError,
            "schedule.burst.DRAM.read, for Einsum 'e': the burst must be a whole number above zero",
        ),
        (
            {"burst": {"DRAM": {"read": "3/2"}}},
            ExpressionError,
            "schedule.burst.DRAM.read, for Einsum 'e': the burst must be a whole number above zero",
        ),
        (
            {"rigid": 3},
            OptionError,
            "schedule.rigid: rigid must be a list of Computes, not 3.",
        ),
        (
            {"rigid": ["mac", "DRAM"]},
            OptionError,
            "schedule.rigid[1]: rigid names 'DRAM', which is not a Compute. Fix: use one of: mac.",
        ),
        (
            {"rigid": [{}]},
            OptionError,
            "schedule.rigid[0]: rigid names {}, which is not a Compute.",
        ),
    ],
)
def test_wrong_properties(schedule: dict[str, Any], kind: type[PolylatError], message: str) -> None:
    with pytest.raises(kind) as error:
        chain(schedule)
    assert str(error.value).startswith(message)


def test_the_documentation_names_every_key() -> None:
    sections = (ROOT / "docs" / "schedule.md").read_text(encoding="utf-8").split("\n## ")
    rows = {
        part.splitlines()[0]: re.findall(r"^\| `(\w+)`", part, re.MULTILINE) for part in sections
    }
    assert sorted(rows["Options of an analysis"]) == sorted(OPTIONS)
    assert rows["Properties of the machine"] == list(MACHINE_KEYS)


@pytest.mark.parametrize("value", [-1, "inf", "x y"])
def test_wrong_latency_field(value: object) -> None:
    action = READ | {"latency": value}
    with pytest.raises(ExpressionError, match=r"arch.nodes\[0\].actions\[0\].latency"):
        chain({}, DRAM=[action, {"name": "write", "throughput": 4}])


def test_a_toll_has_no_latency_of_its_own() -> None:
    """A transfer has the latencies of its read and of its write."""
    with pytest.raises(UnsupportedError, match="a fixed latency of the Toll 'bus'"):
        chain({"latency": {"bus": {"read": 3}}})
