"""Networks, and memories that are distributed over an Array, in the analysis."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

import oracle
import polylat
from builders import Data, compute, einsum, leaf, loop, memory, nested, spec, storage, with_energies
from network_cases import INPUTS, below, dims, network, priced, units
from networked import networked_cascades
from polylat import MappingError, OptionError, Report, ScheduleError, Spec, UnsupportedError


def analyzed(data: Data, **options: Any) -> Report:
    """The report on an input."""
    return polylat.analyze(Spec.from_dict(data), **options)


def larger(data: Data, variable: str, size: int) -> Data:
    """The same input with another size of a rank variable."""
    changed = copy.deepcopy(data)
    changed["workload"]["iteration_space_shape"][variable] = f"0 <= {variable} < {size}"
    return changed


def test_by_hand() -> None:
    """The example of the section *Networks* of the model."""
    report = analyzed(INPUTS["mesh_1d"])
    busy = {port.name: port.busy for port in report.ports}
    assert busy == {"DRAM": 128, "noc.X": 52, "mac": 64}
    hops = {t: report.accesses["e", "noc", t, "hop"] for t in "ABZ"}
    assert hops == {"A": 3 * 8, "B": 3 * 16, "Z": 4 * 8}
    # All hops, at 3 each: 48 of A, 96 of B, and 3 for each value of Z.
    assert report.energy.actions["e", "noc", "A", "hop"] == 3 * 48
    assert report.energy.actions["e", "noc", "B", "hop"] == 3 * 96
    assert report.energy.actions["e", "noc", "Z", "hop"] == 3 * 3 * 32
    assert report.latency == 128 + 4 + 4


def test_transfers_count_in_every_iteration() -> None:
    """B is fetched in each of two iterations over m, and AccelForge counts its traffic once."""
    report = analyzed(INPUTS["mesh_1d_tiles"])
    figures = polylat.roofline(Spec.from_dict(INPUTS["mesh_1d_tiles"]))
    key = "e", "noc", "B", "hop"
    assert report.accesses[key] == 2 * 2 * figures.accesses[key] == 2 * 48


def test_a_dimension_inside_another() -> None:
    """B is unicast along X, then along Y in each column: both dimensions have traffic."""
    report = analyzed(INPUTS["mesh_2d"])
    busy = {port.name: port.busy for port in report.ports}
    # Along X, 3 parts of A (8 each) and of B (16 each), and Z once (32). Along Y, in a column, 3
    # parts of B (4 each) and of Z (8 each), and A once (8).
    assert busy["noc.X"] == Fraction(3 * 8 + 3 * 16 + 32, 2)
    assert busy["noc.Y"] == Fraction(3 * 4 + 3 * 8 + 8, 2)


def test_hardware_that_cannot_multicast() -> None:
    """Without multicast, every unit gets its own copy: three pass the first link instead of one."""
    arch = [
        memory("DRAM", size="inf"),
        network(),
        memory("PE", size="inf", spatial=dims(X=4)),
        compute("mac"),
    ]
    nodes = [storage("DRAM", "a", "z"), *units("PE", ("n", 1, "X")), storage("PE", "a", "z")]
    data = spec({"m": 2, "n": 4}, [einsum("e", ("z", "m n"), ("a", "m"))], arch, nodes)
    data["mapping"]["nodes"] += [loop("m"), leaf("e")]
    assert analyzed(data).accesses["e", "noc", "a", "hop"] == 2
    data["arch"]["nodes"][2]["spatial"][0]["may_reuse"] = "~a"
    assert analyzed(data).accesses["e", "noc", "a", "hop"] == 2 * 3


def test_operations_cross_a_network() -> None:
    """A is held above the inner Network: each of its reads crosses the switch."""
    report = analyzed(INPUTS["two_levels"])
    assert report.accesses["e", "inner", "B", "hop"] > 0
    assert report.accesses["e", "outer", "A", "hop"] > 0  # the outermost of the two
    assert ("e", "inner", "A", "hop") not in report.accesses


def test_a_link_delays_a_pipeline() -> None:
    """A separate fill occupies the link before its tile can be used."""
    arch = [
        memory("DRAM", "inf", "inf", size="inf"),
        network(latency=5, throughput="1/2"),
        memory("PE", "inf", "inf", size="inf", spatial=dims(X=2)),
        compute("mac", 1),
    ]
    nodes = [
        storage("DRAM", "a", "z"),
        loop("m", 1),
        *units("PE", ("n", 1, "X")),
        storage("PE", "a", "z"),
        leaf("e"),
    ]
    data = spec({"m": 3, "n": 2}, [einsum("e", ("z", "m n"), ("a", "m n"))], arch, nodes)
    # Fills take 2 on the link and pass 10 later; so does a write-back.
    report = analyzed(data, staged="all", slots=None)
    assert {p.name: p.busy for p in report.ports} == {"noc.X": 12, "mac": 3}
    assert report.latency == 6 + 10 + 1 + 2 + 10
    # Streamed, a write-back starts with its computation.
    assert analyzed(data, staged="a", slots=None).latency == 6 + 10 + 2 + 10
    # With two slots, the third fill waits until the first write-back has been served, at 14.
    assert analyzed(data, staged="a").latency == 14 + 2 + 10 + 2 + 10


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("options", [{}, {"staged": "all", "granularity": "full"}], ids=str)
def test_verified(name: str, options: Data) -> None:
    report = analyzed(INPUTS[name], **options)
    assert report.exact
    report.verify()


@pytest.mark.long
@given(networked_cascades(max_einsums=2))
@settings(max_examples=15)
def test_random_schedules_are_verified(case: tuple[Data, Data]) -> None:
    data, options = case
    try:
        report = analyzed(data, **options)
    except (MappingError, ScheduleError, UnsupportedError):
        return
    report.verify()


@given(networked_cascades(max_einsums=2))
@settings(max_examples=15)
def test_energy(case: tuple[Data, Data]) -> None:
    """The energy of all hops in all units is the oracle's."""
    data, options = case
    for node in data["arch"]["nodes"]:
        if node["type"] == "Array":
            node["nodes"] = with_energies({"arch": node})["arch"]["nodes"]
    data = with_energies(data)
    try:
        report = analyzed(data, **options)
    except (MappingError, ScheduleError, UnsupportedError):
        return
    how = {name: options[name] for name in ("background", "slots", "staged")}
    model = oracle.Model(oracle.read_problem(data), report.granularity, **how)
    expected = oracle.energies(model)
    actions = report.energy.actions
    assert {k: v for k, v in actions.items() if v} == {k: v for k, v in expected.items() if v}


@pytest.mark.parametrize("options", [{}, {"staged": "all"}], ids=str)
@pytest.mark.parametrize("name", ["mesh_1d_tiles", "two_einsums", "bank_strides", "switch_2d"])
def test_samples_and_all(name: str, options: Data) -> None:
    """A long loop is sampled; all of its iterations take the same."""
    data = larger(INPUTS[name], "m", 60)
    long = analyzed(larger(INPUTS[name], "m", 1_000_000), **options)
    assert long.exact
    long.verify()
    some, all_of_them = (
        analyzed(data, granularity="full", **options),
        analyzed(data, granularity="full", max_tiles=1_000_000, **options),
    )
    assert some.latency == all_of_them.latency


def test_what_if() -> None:
    """Faster links: the order of service stays, and the latency falls to that of DRAM."""
    data = below(("k", 2, "X"), throughput="1/4")
    report = analyzed(priced(data), staged="all")
    faster = report.what_if({("noc", "hop"): 1000})
    assert faster.latency < report.latency
    again = analyzed(priced(below(("k", 2, "X"), throughput=250)), staged="all")
    assert again.latency <= faster.latency


def test_setup_and_burst() -> None:
    """Each transfer keeps the link of each dimension that it passes busy longer."""
    data = copy.deepcopy(INPUTS["mesh_2d"])
    plain = {p.name: p.busy for p in analyzed(data).ports}
    data["schedule"] = {"setup": {"noc": {"hop": 5}}}
    longer = {p.name: p.busy for p in analyzed(data).ports}
    # A and B inward, Z outward; nothing is read back.
    assert longer["noc.X"] == plain["noc.X"] + 3 * 5
    assert longer["noc.Y"] == plain["noc.Y"] + 3 * 5
    data["schedule"] = {"burst": {"noc": {"hop": 7}}}
    bursts = {p.name: p.busy for p in analyzed(data).ports}
    # X: 24, 48 and 32 become 28, 49 and 35; Y: 8, 12 and 24 become 14, 14 and 28.
    assert bursts["noc.X"] == Fraction(28 + 49 + 35, 2)
    assert bursts["noc.Y"] == Fraction(14 + 14 + 28, 2)


def test_latency_of_the_schedule() -> None:
    """The key `schedule` gives the time of a hop."""
    data = copy.deepcopy(INPUTS["mesh_1d"])
    data["schedule"] = {"latency": {"noc": {"hop": 3}}}
    assert analyzed(data).latency == 128 + 3 * 8


def test_a_tile_in_a_distributed_memory() -> None:
    """Of the 64 values of B, each of the two instances that serve the units in use holds half."""
    report = analyzed(INPUTS["bank_strides"])
    held = next(o for o in report.occupancy if o.component == "bank")
    assert held.peak == 32


def test_explored() -> None:
    """A variant has the latency that the analysis computes for it."""
    found = Spec.from_dict(INPUTS["two_einsums"])
    best = polylat.explore(found).best
    assert best is not None
    assert best.latency == best.report.latency


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mesh_1d_tiles", "two_einsums", "bank_strides"])
def test_formulas(name: str) -> None:
    data = INPUTS[name]
    formula = polylat.symbolic(Spec.from_dict(data), ["M"])
    for size in (4, 7, 12, 31):
        assert formula.latency(M=size) == analyzed(larger(data, "m", size)).latency


def test_times_of_a_network_are_no_parameters() -> None:
    with pytest.raises(OptionError, match="the times of the Network 'noc' are no parameters"):
        polylat.symbolic(Spec.from_dict(INPUTS["mesh_1d"]), ["noc.throughput"])


def test_instances_that_do_not_divide_the_units() -> None:
    data = copy.deepcopy(INPUTS["bank_part"])
    data["arch"]["nodes"][1]["nodes"][0]["spatial"][0]["fanout"] = 3
    with pytest.raises(UnsupportedError, match="3 instances along 'X', which do not divide the 8"):
        analyzed(data)
    assert polylat.roofline(Spec.from_dict(data)).latency


def test_two_computes_have_their_own_dimensions() -> None:
    """The ports of a Network are the same for all Einsums, whatever is below it for each."""
    arch = [
        memory("DRAM", size="inf"),
        network(),
        compute("mac", spatial=dims(X=2)),
        compute("alu", spatial=dims(Y=2)),
    ]
    nodes = [
        storage("DRAM", "a", "t", "z"),
        {
            "type": "Sequential",
            "nodes": [
                nested(*units("mac", ("m", 1, "X")), leaf("e1")),
                nested(*units("alu", ("m", 1, "Y")), leaf("e2", "alu")),
            ],
        },
    ]
    einsums = [einsum("e1", ("t", "m"), ("a", "m")), einsum("e2", ("z", "m"), ("t", "m"))]
    report = analyzed(spec({"m": 2}, einsums, arch, nodes))
    assert {p.name: p.busy for p in report.ports if "noc" in p.name} == {"noc.X": 1, "noc.Y": 1}


def test_more_hops_than_64_bits_hold() -> None:
    """The values of a huge tile make hops that are counted with Python integers."""
    size = 2**40
    arch = [
        memory("DRAM", size="inf"),
        network(latency=0, throughput="inf"),
        memory("PE", "inf", "inf", size="inf", spatial=dims(X=2**13)),
        compute("mac", "inf"),
    ]
    nodes = [storage("DRAM", "a", "z"), *units("PE", ("n", 1, "X")), storage("PE", "a", "z")]
    einsums = [einsum("e", ("z", "m n"), ("a", "m n"))]
    data = spec({"m": size, "n": 2**13}, einsums, arch, [*nodes, loop("m"), leaf("e")])
    report = analyzed(with_energies(data))
    hops = size * 2**12 * (2**13 - 1)
    assert hops > 2**63
    energy = Fraction(report.energy.actions["e", "noc", "a", "hop"])
    assert energy == hops * Fraction(5, 2)


def test_a_copy_crosses_a_network() -> None:
    """Of four columns of 3 values, three leave the source; each value is written in its unit."""
    copied = einsum("e", ("z", "m n"), ("a", "m n")) | {"is_copy_operation": True}
    arch = [memory("DRAM", size="inf"), network(), memory("PE", size="inf", spatial=dims(X=4))]
    nodes = [storage("DRAM", "a"), *units("PE", ("n", 1, "X")), storage("PE", "z"), loop("m")]
    data = spec({"m": 3, "n": 4}, [copied], [*arch, compute("mac")], [*nodes, leaf("e")])
    report = analyzed(data)
    assert report.accesses["e", "noc", "a", "hop"] == 3 * 3
    # The reads take 12, and the last value makes 4 hops.
    assert report.latency == 12 + 4
    report.verify()
