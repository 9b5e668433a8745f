"""Numbers beyond 64 bits: the right figures, by hand and in Python integers, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import polylat
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage
from command import run
from polylat import Spec, TooLargeError, UnsupportedError
from polylat.analysis.envelope import Tangent, envelope
from polylat.analysis.levels import ChangeSeries
from polylat.lowering.ports import total_values
from polylat.views.text import report_text

Data = dict[str, Any]
ONE = Fraction(1)
DRAM = memory("DRAM", size="inf")
SRAM = memory("SRAM", size="inf")
MAC = compute("mac")


def product(m: int, n: int, k: int) -> Data:
    """A matrix product in one memory."""
    return spec(
        {"m": m, "n": n, "k": k},
        [einsum("e", ("z", "m n"), ("a", "m k"), ("b", "k n"))],
        [DRAM, MAC],
        [storage("DRAM", "a", "b", "z"), loop("m"), loop("n"), loop("k"), leaf("e")],
    )


def many_ranks(count: int) -> Data:
    """An Einsum with many ranks of size 2, of which the result has one."""
    names = [f"r{i}" for i in range(count)]
    half = count // 2
    return spec(
        dict.fromkeys(names, 2),
        [einsum("e", ("z", "r0"), ("a", " ".join(names[:half])), ("b", " ".join(names[half:])))],
        [DRAM, MAC],
        [storage("DRAM", "a", "b", "z"), *map(loop, names), leaf("e")],
    )


CASES = {
    "10^19 operations": (product(10**7, 10**6, 10**6), 10**19, 10**13),
    "2^63 operations": (product(2**21, 2**21, 2**21), 2**63, 2**42),
    "a rank of 10^18": (product(10**18, 8, 8), 64 * 10**18, 8 * 10**18),
    "a rank of 2^62": (product(2**62, 8, 8), 2**68, 2**65),
    "a rank of 2^63": (product(2**63, 8, 8), 2**69, 2**66),
    "a rank of 10^30": (product(10**30, 8, 8), 64 * 10**30, 8 * 10**30),
    "64 ranks": (many_ranks(64), 2**64, 2),
}


@pytest.mark.parametrize(("data", "operations", "results"), CASES.values(), ids=CASES)
def test_one_leaf(data: Data, operations: int, results: int) -> None:
    """Every operation reads two operands and writes the result; all but the first read it."""
    report = polylat.analyze(Spec.from_dict(data))
    expected = {
        ("e", "DRAM", "a", "read"): operations,
        ("e", "DRAM", "b", "read"): operations,
        ("e", "DRAM", "z", "read"): operations - results,
        ("e", "DRAM", "z", "write"): operations,
        ("e", "mac", None, "compute"): operations,
    }
    assert report.accesses == expected
    assert report.latency == report.resource_bound == 4 * operations - results
    assert report.optimal
    assert (report.roofline, report.sequential) == (report.latency, report.latency)
    zeros = {("e", "DRAM", tensor, "write"): 0 for tensor in "ab"}
    assert report.accelforge.accesses == expected | zeros
    assert {p.component: p.busy for p in report.ports} == {
        "DRAM": report.latency,
        "mac": operations,
    }
    assert sum(report.critical_totals.values()) == report.latency
    assert report.what_if({"DRAM": 2}).latency == Fraction(report.latency, 2)
    assert report.curve("DRAM").at(0) == operations
    assert report.verify().latency == report.latency


@pytest.mark.slow
@pytest.mark.parametrize("data", [CASES["2^63 operations"][0], CASES["64 ranks"][0]])
def test_the_commands(data: Data, tmp_path: Path) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    latency = polylat.analyze(Spec.from_dict(data)).latency
    page = str(tmp_path / "page.html")
    for command, more in (
        ("analyze", []),
        ("analyze", ["--json"]),
        ("roofline", []),
        ("roofline", ["--json"]),
        ("explain", []),
        ("curve", ["--component", "DRAM"]),
        ("curve", ["--component", "DRAM", "--json"]),
        ("timeline", []),
        ("explore", []),
        ("report", ["-o", page]),
    ):
        done = run(command, str(file), *more)
        assert (done.exit_code, done.exception) == (0, None), (command, done.output)
        if more == ["--json"]:
            assert json.loads(done.stdout)["latency"] == latency
    assert Path(page).stat().st_size > 0


# Any sizes


SIZES = st.integers(1, 7)
FACTORS = st.sampled_from([1, 2**31, 2**61, 2**62, 2**63, 10**19, 2**64, 3**80])


@st.composite
def sequences(draw: st.DrawFn) -> tuple[Data, Fraction]:
    """Einsums one after another, each in one or two memories, and their latency."""
    sizes = {v: draw(SIZES) for v in "mnk"}
    sizes[draw(st.sampled_from("mnk"))] *= draw(FACTORS)
    dram, sram, mac = (draw(st.integers(1, 3)) for _ in range(3))
    einsums: list[Data] = []
    branches: list[Data] = []
    latency = Fraction(0)
    for number in range(draw(st.integers(1, 3))):
        name, inside = f"e{number}", draw(st.booleans())
        output = draw(st.sampled_from(["m", "m n"]))
        inputs = {f"w{number}": draw(st.sampled_from(["m k", "k n", "k", "m n k"]))}
        if number:
            inputs[f"t{number}"] = einsums[-1]["tensor_accesses"][-1]["projection"]
            inputs[f"t{number}"] = " ".join(inputs[f"t{number}"])
        einsums.append(einsum(name, (f"t{number + 1}", output), *inputs.items()))
        used = sorted({*output.split(), *" ".join(inputs.values()).split()})
        loops = [loop(v, draw(st.integers(1, sizes[v]))) for v in used if draw(st.booleans())]
        loops += [loop(v) for v in draw(st.permutations(used))]
        tensors = [*inputs, f"t{number + 1}"]
        holders = [storage("SRAM", *tensors)] if inside else []
        branches.append(nested(*holders, *loops, leaf(name)))
        latency += _busy(sizes, used, list(inputs.values()), output, inside, (dram, sram, mac))
    arch = [
        memory("DRAM", dram, dram, size="inf"),
        memory("SRAM", sram, sram, size="inf"),
        compute("mac", mac),
    ]
    every = dict.fromkeys(a["name"] for e in einsums for a in e["tensor_accesses"])
    split = {"type": "Sequential", "nodes": branches}
    nodes = [storage("DRAM", *every), split]
    if len(branches) == 1:
        nodes = [storage("DRAM", *every), *branches[0]["nodes"]]
    needed = {v for e in einsums for a in e["tensor_accesses"] for v in a["projection"]}
    return spec({v: sizes[v] for v in needed}, einsums, arch, nodes), latency


def _busy(
    sizes: dict[str, int],
    used: Sequence[str],
    inputs: Sequence[str],
    output: str,
    inside: bool,
    speeds: tuple[int, int, int],
) -> Fraction:
    """The busy time of the busiest port of one Einsum, whose tiles are whole tensors."""
    operations = prod(sizes[v] for v in used)
    results = prod(sizes[v] for v in output.split())
    whole = sum(prod(sizes[v] for v in ranks.split()) for ranks in inputs)
    # Operands are read once per operation, and the result but for its first values.
    served = (len(inputs) + 2) * operations - results
    if inside:
        loads = (whole + results, served + whole + results, operations)
    else:
        loads = (served, 0, operations)
    return max(Fraction(load, speed) for load, speed in zip(loads, speeds, strict=True))


@given(sequences(), st.sampled_from(["auto", "tile"]))
@example((CASES["2^63 operations"][0], Fraction(2**65 - 2**42)), "auto")
def test_sequences(case: tuple[Data, Fraction], granularity: str) -> None:
    data, latency = case
    report = polylat.analyze(Spec.from_dict(data), granularity=granularity)
    assert report.latency == latency
    assert report.exact
    assert report.latency >= max(report.resource_bound, report.dependence_bound)
    for tiles, blocks in zip(
        report.solution.model.layout.tiles, report.solution.model.layout.blocks, strict=True
    ):
        for access in (access for block in blocks for access in block.accesses):
            assert 0 < total_values(access, tiles) <= tiles.leaf.volume


# Other mappings, by hand


def test_units_inside_a_long_loop() -> None:
    """Four units take turns of four values each; the last turn has one value."""
    size = 2**64 + 1
    mac = compute("mac", spatial=[{"name": "x", "fanout": 4}])
    unit = {"type": "Spatial", "rank_variable": "m", "tile_shape": 1, "component": "mac"}
    nodes = [storage("DRAM", "a", "z"), loop("m", 4), unit | {"name": "x"}, leaf("e")]
    data = spec({"m": size}, [einsum("e", ("z", "m"), ("a", "m"))], [DRAM, mac], nodes)
    report = polylat.analyze(Spec.from_dict(data))
    assert report.accesses["e", "mac", None, "compute"] == 2**62 + 1
    assert report.accesses["e", "DRAM", "a", "read"] == size
    assert report.latency == 2 * size


def test_memories() -> None:
    """One tile iteration fills 2^65 elements of 3 bits."""
    data = product(2**63, 4, 2)
    data["arch"]["nodes"].insert(1, SRAM)
    data["workload"]["bits_per_value"] = {"All": 3}
    data["mapping"]["nodes"].insert(1, storage("SRAM", "a", "z"))
    report = polylat.analyze(Spec.from_dict(data))
    peaks = {m.component: m.peak for m in report.occupancy}
    assert peaks == {"DRAM": 3 * (2**64 + 8 + 2**65), "SRAM": 3 * (2**64 + 2**65)}


def test_tiles_of_more_than_64_bits() -> None:
    """Three tiles of 2^70 values and one of 5, filled one after another."""
    size = 3 * 2**70 + 5
    nodes = [storage("DRAM", "a", "z"), loop("m", 2**70), storage("SRAM", "a")]
    nodes += [loop("m"), leaf("e")]
    fast = memory("SRAM", "inf", "inf", size="inf")
    data = spec(
        {"m": size},
        [einsum("e", ("z", "m"), ("a", "m"))],
        [DRAM, fast, compute("mac", "inf")],
        nodes,
    )
    report = polylat.analyze(Spec.from_dict(data))
    assert (report.tiles, report.latency) == (4, 2 * size)
    assert {m.component: m.peak for m in report.occupancy}["SRAM"] == 2**70


def test_nothing_takes_time() -> None:
    """Counts are exact where their times, which are 0, fit 64 bits."""
    data = product(2**64, 4, 2)
    data["arch"]["nodes"] = [memory("DRAM", "inf", "inf", size="inf"), compute("mac", "inf")]
    found = Spec.from_dict(data)
    report = polylat.analyze(found)
    assert (report.latency, report.accesses["e", "DRAM", "a", "read"]) == (0, 2**67)
    best = polylat.explore(found).best
    assert best is not None
    assert best.latency == 0


def test_skipped_iterations_with_wide_counts() -> None:
    """A loop of 10^6 iterations with 2^64 operations each."""
    nodes = [storage("DRAM", "a", "z"), loop("n"), storage("SRAM", "a"), loop("m"), leaf("e")]
    data = spec(
        {"m": 2**64, "n": 10**6},
        [einsum("e", ("z", "m n"), ("a", "m n"))],
        [DRAM, SRAM, MAC],
        nodes,
    )
    report = polylat.analyze(Spec.from_dict(data))
    assert report.engine == "periodic"
    assert report.latency == 2 * 10**6 * 2**64


# Limits


def test_too_many_tile_iterations() -> None:
    data = product(2**21, 2**21, 2**21)
    data["arch"]["nodes"].insert(1, SRAM)
    data["mapping"]["nodes"].insert(4, storage("SRAM", "a"))
    message = r"2\^62 tile iterations or more\. Fix: use larger tiles"
    with pytest.raises(TooLargeError, match=message):
        polylat.analyze(Spec.from_dict(data))


def windows(size: int, tile: int, stride: int) -> Data:
    """A convolution of width 3 in tiles."""
    accesses = [
        {"name": "i", "projection": {"H": f"{stride}*p + r"}},
        {"name": "o", "projection": ["p"], "output": True},
    ]
    nodes = [storage("DRAM", "i", "o"), loop("p", tile), storage("SRAM", "i")]
    nodes += [loop("p"), loop("r"), leaf("e")]
    return spec(
        {"p": size, "r": 3}, [{"name": "e", "tensor_accesses": accesses}], [DRAM, SRAM, MAC], nodes
    )


def test_a_long_loop_over_windows() -> None:
    """Windows of 4 elements; only the sampled ones are listed."""
    report = polylat.analyze(Spec.from_dict(windows(2**50, 2, 1)))
    operations, results = 3 * 2**50, 2**50
    assert report.accesses["e", "DRAM", "i", "read"] == 2**49 * 4
    assert report.resource_bound == max(2**51 + 2 * operations - results, 2**51 + operations)
    assert report.latency == report.resource_bound


@pytest.mark.parametrize("stride", [2**60, 2**62, 2**64])
def test_indices_beyond_64_bits(stride: int) -> None:
    with pytest.raises(TooLargeError, match=r"indices of 2\^62 or more"):
        polylat.analyze(Spec.from_dict(windows(8, 2, stride)))


def test_a_tile_of_many_elements() -> None:
    """The outermost tile has an interval of inputs, and all results; a window has 4 inputs."""
    report = polylat.analyze(Spec.from_dict(windows(2**40, 2, 1)))
    peaks = {memory.component: memory.peak for memory in report.occupancy}
    assert peaks == {"DRAM": 2**40 + 2 + 2**40, "SRAM": 4}


def test_a_tile_that_is_too_large_to_count() -> None:
    """The accesses are known, but not how many elements, with gaps, the outermost tile has."""
    report = polylat.analyze(Spec.from_dict(windows(2**40, 2, 4)))
    assert report.accesses["e", "DRAM", "i", "read"] == 2**39 * 6
    with pytest.raises(polylat.UnsupportedError, match="more than"):
        _ = next(m for m in report.occupancy if m.component == "DRAM").peak
    assert f"{report.accesses['e', 'DRAM', 'i', 'read']:,}" in str(report)


# Numbers that nothing fits


def two_memories(size: int, throughput: object, tile: int = 1) -> Data:
    """A matrix product in tiles, with hostile figures."""
    inside = [storage("SRAM", "a"), loop("n"), *([loop("k")] if tile > 1 else []), leaf("e")]
    data = spec(
        {"m": 3, "n": 2, "k": size},
        [einsum("e", ("z", "m n"), ("a", "m k"), ("b", "k n"))],
        [memory("DRAM", size="inf"), memory("SRAM", size="inf"), MAC],
        [storage("DRAM", "a", "b", "z"), loop("m"), loop("k", tile), *inside],
    )
    for action in data["arch"]["nodes"][0]["actions"]:
        action["throughput"] = throughput
    return data


def windows_without_bounds() -> Data:
    """Two rank variables of which only the sum is bounded."""
    data = product(2, 2, 2)
    workload = data["workload"]
    del workload["iteration_space_shape"]
    workload["rank_sizes"] = {"H": 8}
    accesses = [
        {"name": "a", "projection": {"H": "p + r"}},
        {"name": "z", "projection": {"H": "p + r"}, "output": True},
    ]
    workload["einsums"] = [{"name": "e", "tensor_accesses": accesses}]
    nodes = [storage("DRAM", "a", "z"), leaf("e")]
    return {**data, "mapping": {"nodes": nodes}}


HOSTILE: dict[str, Data] = {
    "rank 1e400": two_memories(10**400, 1, 10**400),
    "throughput 1e17": two_memories(6, "1e17"),
    "throughput 1e400": two_memories(6, "1e400"),
    "latency 1e400": two_memories(6, 1)
    | {"schedule": {"latency": {"DRAM": {"read": "1e400"}}, "staged": "all"}},
    "no bounds": windows_without_bounds(),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_every_function(data: Data, tmp_path: Path) -> None:
    """A result, or one clear error: from every function, and from every command."""
    file = tmp_path / "mapping.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    page, csv = str(tmp_path / "page.html"), str(tmp_path / "results.csv")
    svg, trace = str(tmp_path / "timeline.svg"), str(tmp_path / "trace.json")
    for command, *more in (
        ("analyze", "--json", "--verify"),
        ("roofline",),
        ("explain",),
        ("curve", "--component", "DRAM"),
        ("timeline", "-o", svg),
        ("timeline", "-o", trace),
        ("explore", "--staged", "-o", csv),
        ("report", "--verify", "-o", page),
    ):
        limit = () if command == "roofline" else ("--max-tiles", "1000")
        done = run(command, str(file), *more, *limit)
        error = done.exception if not isinstance(done.exception, SystemExit) else None
        assert error is None, (command, more, error)
        assert done.exit_code in (0, 2), (command, more, done.output)
        if done.exit_code and "No variant is legal" not in done.stderr:
            assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize(("data", "status"), [(HOSTILE["no bounds"], 2), (product(2, 2, 2), 0)])
def test_status(data: Data, status: int, tmp_path: Path) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    done = run("analyze", str(file))
    assert done.exit_code == status
    assert status == 0 or "rank variable 'p' of Einsum 'e' has no lower bound" in done.stderr


def test_figures_of_extreme_throughputs() -> None:
    """By hand: nothing takes as long as the 54 accesses of SRAM, or as those of DRAM."""
    fast = polylat.analyze(Spec.from_dict(two_memories(6, "1e30")))
    assert fast.accesses["e", "SRAM", "a", "read"] == 36
    assert fast.accesses["e", "SRAM", "a", "write"] == 18
    assert fast.latency == 54
    slow = polylat.analyze(Spec.from_dict(two_memories(6, "1e-30")))
    counts = [n for (_, component, *_), n in slow.accesses.items() if component == "DRAM"]
    assert slow.resource_bound == slow.roofline == sum(counts) * 10**30
    # Durations of more than 64 bits, and a critical path through them.
    assert sum(slow.critical_totals.values()) == slow.latency
    assert slow.what_if({"DRAM": 2}).latency < slow.latency
    assert slow.sensitivity().latency == slow.latency


@pytest.mark.parametrize("digits", [1, 62, 63, 200])
def test_stages_divide_any_number_of_units(digits: int) -> None:
    """Two stages with a unit each overlap: the first result, then one per operation of e2."""
    mac = compute("mac", spatial=[{"name": "x", "fanout": 2**digits}])
    einsums = [einsum("e1", ("b", "m"), ("a", "m")), einsum("e2", ("z", "m"), ("b", "m"))]
    stages = [nested(leaf("e1")), nested(leaf("e2"))]
    nodes = [storage("DRAM", "a", "b", "z"), loop("m"), {"type": "Pipeline", "nodes": stages}]
    fast = memory("DRAM", "inf", "inf", size="inf")
    report = polylat.analyze(Spec.from_dict(spec({"m": 5}, einsums, [fast, mac], nodes)))
    assert report.latency == 5 + 1


@pytest.mark.parametrize("digits", [0, 1, 6, 40, 4000])
def test_a_curve_over_thousands_of_digits(digits: int) -> None:
    """The last piece is found in few steps, however many digits its scale has."""
    kink = Fraction(10**digits)
    flat, steep = Tangent(kink, Fraction(0)), Tangent(Fraction(0), ONE)
    asked: list[Fraction] = []

    def tangent_at(scale: Fraction) -> Tangent:
        asked.append(scale)
        return flat if scale < kink else steep

    pieces, unresolved = envelope(tangent_at, ONE)
    assert not unresolved
    assert pieces == [(Fraction(0), flat), (kink, steep)]
    assert len(asked) <= 60


def test_more_steps_than_len_counts() -> None:
    """Per iteration of m, three Einsums take turns: one step each, one after the other."""
    trips = 2**62 - 1
    tensors = "abcd"
    pairs = list(pairwise(tensors))
    stages = [nested(leaf(f"e{i}")) for i in range(len(pairs))]
    data = spec(
        {"m": trips},
        [einsum(f"e{i}", (b, "m"), (a, "m")) for i, (a, b) in enumerate(pairs)],
        [memory("DRAM", "inf", "inf", size="inf"), MAC],
        [storage("DRAM", *tensors), loop("m"), {"type": "Sequential", "nodes": stages}],
    )
    report = polylat.analyze(Spec.from_dict(data))
    path = report.critical_path
    assert path.length == report.latency == 3 * trips > 2**63
    assert path[path.length - 1].finish == report.latency
    assert report.to_dict()["critical_path"]["length"] == path.length
    assert f" of {path.length:,}" in report.to_html()
    assert f"{path.length - 3:,} more steps" in report_text(report, steps=3)
    with pytest.raises(OverflowError):
        len(path)


def test_more_periods_than_64_bits_count_are_refused() -> None:
    """Four series of 2^62 periods each in one window are 2^64 periods."""
    none, one = np.zeros(4, dtype=np.int64), np.ones(4, dtype=np.int64)
    series = ChangeSeries(none, one[None], one[None] * 2**62, one)
    with pytest.raises(UnsupportedError):
        series.between(0, 2**62, 10)
