"""Energy: against the oracle, in explorations, and by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given

import oracle
import polylat
from builders import compute, einsum, leaf, loop, memory, spec, storage, with_energies
from polylat import Report, Spec
from polylat.analysis.roofline import roofline
from polylat.errors import SpecError, UnsupportedError
from polylat.explorer import Result
from polylat.numbers import Number
from reports import analyzed, explicit_up_to
from strategies import Data, cascades


def product(trips: int = 8, units: int = 4) -> Data:
    """A matrix product: 8 x 8 x 8 operations on an array that shares A along its columns."""
    array = [{"name": "X", "fanout": units, "may_reuse": "A"}]
    spatial = {"type": "Spatial", "rank_variable": "n", "component": "mac", "name": "X"}
    return with_energies(
        spec(
            {"m": trips, "n": 8, "k": 8},
            [einsum("mm", ("Z", "m n"), ("A", "m k"), ("B", "k n"))],
            [
                memory("DRAM", size="inf"),
                memory("SRAM", size="inf"),
                compute("mac", spatial=array),
            ],
            [
                storage("DRAM", "A", "B", "Z"),
                loop("m"),
                storage("SRAM", "A", "B", "Z"),
                loop("n", units),
                loop("k"),
                {**spatial, "tile_shape": 1},
                leaf("mm"),
            ],
        ),
        leak=True,
    )


@given(cascades())
def test_the_oracle_agrees(case: tuple[Data, Data]) -> None:
    plain, options = case
    data = with_energies(plain)
    report = analyzed(data, **options)
    how = {name: options[name] for name in ("background", "slots", "staged") if name in options}
    model = oracle.Model(oracle.read_problem(data), report.granularity, **how)
    expected = oracle.energies(model)
    assert {k: e for k, e in report.energy.actions.items() if e} == {
        k: e for k, e in expected.items() if e
    }
    assert report.energy.total == sum(expected.values())
    with explicit_up_to(0):
        assert analyzed(data, **options).energy == report.energy


def test_by_hand() -> None:
    """Energies are 1 per DRAM, 5/2 and 5/3 per SRAM, 7/2 per mac action, units leak 1, 2, 3."""
    report = polylat.analyze(Spec.from_dict(product()))
    energy = report.energy
    # A is shared by the four units, B and Z are not.
    assert energy.actions["mm", "SRAM", "A", "read"] == 8 * 8 * 2 * Fraction(5, 2)
    assert energy.actions["mm", "SRAM", "B", "read"] == 8 * 8 * 8 * Fraction(5, 2)
    assert energy.actions["mm", "mac", None, "compute"] == 512 * Fraction(7, 2)
    assert report.accesses["mm", "mac", None, "compute"] == 128
    assert energy.leakage == {
        "DRAM": report.latency,
        "SRAM": 2 * report.latency,
        "mac": 3 * report.latency,
    }
    assert energy.total == sum(energy.per_component.values()) == sum(energy.per_action.values())
    assert energy.per_action["mac", "leakage"] == 3 * report.latency
    theirs = roofline(report.spec).energy
    assert {k: e for k, e in theirs.actions.items() if e} == energy.actions
    assert "Energy" in str(energy)


def test_long_loops() -> None:
    """Sampled tile iterations count as often as they occur."""
    few, many = (polylat.analyze(Spec.from_dict(product(10**n))) for n in (2, 8))
    assert (few.engine, many.engine) == ("explicit", "periodic")
    assert all(e == 10**6 * few.energy.actions[k] for k, e in many.energy.actions.items())


def test_instances() -> None:
    data = product()
    data["workload"]["n_instances"] = 3
    data["workload"]["einsums"][0]["n_instances"] = 5
    one, many = (polylat.analyze(Spec.from_dict(d)).energy for d in (product(), data))
    assert many.total == 15 * one.total


def test_scales() -> None:
    data = product()
    sram, mac = data["arch"]["nodes"][1:]
    sram |= {"energy_scale": 2, "leak_power_scale": 3, "n_parallel_instances": 2}
    sram["actions"][0] |= {"energy_scale": "0.5", "energy": "2 * 3"}
    mac["component_class"] = "Dummy"
    del mac["actions"][0]["energy"]
    energy = polylat.analyze(Spec.from_dict(data)).energy
    latency = polylat.analyze(Spec.from_dict(data)).latency
    assert energy.actions["mm", "SRAM", "A", "read"] == 8 * 8 * 2 * 6
    assert energy.actions["mm", "mac", None, "compute"] == 0
    assert energy.leakage["SRAM"] == 2 * 3 * 2 * latency


@pytest.mark.parametrize("spatial", ["nodes", "own"])
def test_instances_that_leak(spatial: str) -> None:
    """As in AccelForge, a component leaks once per unit above it; its own fanout does not count."""
    data = product()
    dim = [{"name": "Y", "fanout": 7}]
    if spatial == "own":
        data["arch"]["nodes"][1]["spatial"] = dim
        expected = {"DRAM": 1, "SRAM": 2, "mac": 3 * 7}
    else:
        data["arch"]["nodes"].insert(1, {"type": "Container", "name": "C", "spatial": dim})
        expected = {"DRAM": 1, "SRAM": 2 * 7, "mac": 3 * 7}
    report = polylat.analyze(Spec.from_dict(data))
    assert {n: e / report.latency for n, e in report.energy.leakage.items()} == expected


def test_components_of_other_branches_leak() -> None:
    data = product()
    other = compute("alu", spatial=[{"name": "Y", "fanout": 5}], leak_power=7)
    outer = memory("ROM", size="inf", leak_power=11)
    data["arch"]["nodes"].insert(1, {"type": "Fork", "nodes": [outer, other]})
    report = polylat.analyze(Spec.from_dict(data))
    assert report.energy.leakage["alu"] == 7 * report.latency
    assert report.energy.leakage["ROM"] == 11 * report.latency


@pytest.mark.long
def test_energies_that_are_not_given() -> None:
    """Latencies do not depend on them; they are missed when they are asked for."""
    data = product()
    data["arch"]["nodes"][1]["component_class"] = "SmartBufferSRAM"
    del data["arch"]["nodes"][1]["actions"][1]["energy"]
    report = polylat.analyze(Spec.from_dict(data))
    assert report.latency == polylat.analyze(Spec.from_dict(product())).latency
    message = r"'write' of 'SRAM' has no energy .*SmartBufferSRAM"
    with pytest.raises(SpecError, match=message):
        report.energy  # noqa: B018
    with pytest.raises(SpecError, match=message):
        roofline(report.spec).energy  # noqa: B018
    assert report.known_energy is roofline(report.spec).known_energy is None
    with pytest.raises(SpecError, match="'write' of 'SRAM'"):
        polylat.explore(report.spec, objectives="energy")
    polylat.explore(report.spec)


@pytest.mark.parametrize("value", ["1 / 0", "unknown", "inf", "[1]", "All"])
def test_energies_that_are_no_numbers(value: str) -> None:
    data = product()
    data["arch"]["nodes"][1]["actions"][0]["energy"] = value
    report = polylat.analyze(Spec.from_dict(data))
    with pytest.raises(SpecError, match=r"arch\.nodes\[1\]\.actions\[0\]\.energy"):
        report.energy  # noqa: B018


def test_leakage_that_is_not_known() -> None:
    data = product()
    del data["arch"]["nodes"][0]["leak_power"]
    energy = polylat.analyze(Spec.from_dict(data)).energy
    assert (energy.without, "DRAM" in energy.leakage) == (("DRAM",), False)
    assert "Without the leakage of DRAM" in str(energy)
    data["arch"]["nodes"][2]["spatial"][0]["power_gateable"] = True
    assert polylat.analyze(Spec.from_dict(data)).energy.without == ("DRAM", "SRAM", "mac")


def test_leakage_that_depends_on_the_einsum() -> None:
    plain = product()
    plain["workload"]["einsums"].append(einsum("copy", ("Y", "m n"), ("Z", "m n")))
    plain["arch"]["nodes"][0]["leak_power"] = "3 if len(Inputs) > 1 else 4"
    plain["mapping"] = {
        "nodes": [
            storage("DRAM", "A", "B", "Z", "Y"),
            {
                "type": "Sequential",
                "nodes": [
                    {"type": "Nested", "nodes": [*map(loop, "mnk"), leaf("mm")]},
                    {"type": "Nested", "nodes": [*map(loop, "mn"), leaf("copy")]},
                ],
            },
        ]
    }
    report = polylat.analyze(Spec.from_dict(plain))
    with pytest.raises(UnsupportedError, match="'DRAM' depends on the Einsum"):
        report.energy  # noqa: B018


def test_an_exploration() -> None:
    """The energy of every variant is that of `analyze`; the front has the three objectives."""
    data = product()
    nodes = data["mapping"]["nodes"]
    nodes.insert(-1, loop("m"))
    given_ = Spec.from_dict(data)
    tiles = {"m": [1, 2, 4], "n": [2, 4]}
    names = ("latency", "energy", "peak@SRAM")
    every = polylat.explore(given_, tiles=tiles, objectives=names, exhaustive=True)
    few = polylat.explore(given_, tiles=tiles, objectives=names)
    assert few.front == every.front
    for result in every.results:
        report: Report = polylat.analyze(result.spec)
        assert (result.latency, result.energy) == (report.latency, report.energy.total)

    def point(result: Result) -> tuple[Number, ...]:
        assert result.latency is not None and result.energy is not None
        return result.latency, result.energy, result.peaks["SRAM"] or 0

    points = set(map(point, every.results))
    assert set(map(point, every.front)) == {
        p
        for p in points
        if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)
    }
    assert {"energy", "peak@SRAM"} <= set(every.to_pandas().columns)
    assert polylat.explore(given_).results[0].energy is None
