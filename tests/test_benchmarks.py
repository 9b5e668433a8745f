"""The benchmarks, small: all sides get the same numbers. Times are not checked."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given

pytest.importorskip("networkx", reason="the extra `bench` is not installed")
pytest.importorskip("rustworkx", reason="the extra `bench` is not installed")
pytest.importorskip("simpy", reason="the extra `bench` is not installed")

import networkx as nx

import polylat
from benchmarks import longest_path, real_size, simulation, trip_counts
from benchmarks.answer import Answer
from benchmarks.cases import ITERATIONS_PER_ROW, cascade
from benchmarks.fused import attention, attention_block, chain
from benchmarks.measure import forget, interleaved, seconds, table
from benchmarks.network_inputs import NETWORKS
from builders import ROOT
from polylat.engine.model import Model, build
from polylat.lowering.lowered import lower
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.reasons import PASSED, SERVED
from polylat.spec.mapping import Branch, Compute, Pipeline, Sequential
from polylat.spec.workload import Workload
from reports import transfers
from strategies import cascades

Data = dict[str, Any]

MACHINE: Data = {
    "latency": {"DRAM": {"read": 50, "write": 20}, "SRAM": {"read": 3}, "mac": {"compute": 700}},
    "setup": {"DRAM": {"read": 4}},
    "rigid": ["mac"],
}
"""Fixed latencies and setups, and a pipeline that stalls as a whole."""


def model(rows: int, *, pipelined: bool, background: bool) -> Model:
    pairs = frozenset({("o2", "SRAM")} if background else ())
    options = TransferOptions(background=pairs)
    return build(lower(cascade(rows, pipelined=pipelined), "full", options), options)


def graph_of(data: Data, *, granularity: Any = "tile", **options: Any) -> TaskGraph:
    spec = polylat.Spec.from_dict(data)
    chosen = transfers(spec, **options)
    return build(lower(spec, granularity, chosen), chosen).graph


def check_every_side(graph: TaskGraph) -> None:
    """In every order, the other tools get polylat's number; a deadlock is one for both."""
    plan = ExplicitTaskGraph(graph)
    static: tuple[Literal["program", "skew"], ...] = ("program", "skew")
    for order in static:
        events = longest_path.events(graph, order)
        if plan.time(order).legal:
            longest = longest_path.by_polylat(graph, order)
            assert longest_path.by_networkx(events) == longest
            assert longest_path.by_rustworkx(events) == longest
        else:
            with pytest.raises(nx.NetworkXUnfeasible):
                longest_path.by_networkx(events)
    if plan.time("oldest").legal:
        assert simulation.by_simpy(graph) == simulation.by_polylat(graph)
    else:
        with pytest.raises(AssertionError, match="deadlock"):
            simulation.by_simpy(graph)


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
def test_every_side_agrees(rows: int, pipelined: bool, background: bool) -> None:
    graph = model(rows, pipelined=pipelined, background=background).graph
    assert graph.iterations == rows * ITERATIONS_PER_ROW
    check_every_side(graph)


@pytest.mark.parametrize("staged", [(), "all", ["o1"], ["w2@SRAM"]], ids=str)
@pytest.mark.parametrize("background", [(), ["o3"]], ids=str)
@pytest.mark.parametrize("machine", [{}, MACHINE], ids=["plain", "machine"])
def test_every_side_agrees_on_separate_transfers(
    staged: Any, background: list[str], machine: Data
) -> None:
    data = chain(5)
    data["schedule"] |= machine
    for slots in (1, 2, None):
        check_every_side(graph_of(data, staged=staged, background=background, slots=slots))


def test_the_separate_transfers_are_of_every_kind() -> None:
    data = chain(5)
    data["schedule"] |= MACHINE
    for background in (False, True):
        graph = graph_of(data, staged="all", background=["o3"] if background else ())
        assert graph.late
        assert graph.rigid
        assert (graph.host != graph.owner).any()
        assert (graph.kind == 0).any()
        assert set(graph.background[graph.kind == 2].tolist()) == {background}


def test_every_side_agrees_on_known_cascades() -> None:
    path = ROOT / "tests" / "data" / "cascades-staged.json"
    cases = json.loads(path.read_text(encoding="utf-8"))
    waits = set()
    for case in cases[::4]:
        pairs = [tuple(pair) for pair in case["options"]["background"]]
        if case["expected"] is not None:
            graph = graph_of(case["spec"], **case["options"] | {"background": pairs})
            check_every_side(graph)
            own = graph.edge_source < graph.iterations
            waits |= {*zip(own.tolist(), graph.edge_until.tolist(), strict=True)}
    # Tile iterations and single transfers, which have passed or have been served.
    assert waits >= {(own, until) for own in (True, False) for until in (PASSED, SERVED)}


@given(cascades())
def test_every_side_agrees_on_random_cascades(case: tuple[Data, Data]) -> None:
    data, options = case
    options = options | {"granularity": options["granularity"].replace("auto", "flow")}
    try:
        graph = graph_of(data, **options)
    except (polylat.MappingError, polylat.TooLargeError):
        assume(False)
        raise
    assume(graph.tasks <= 2000)
    check_every_side(graph)


def test_the_case_has_every_kind_of_block() -> None:
    kinds = np.unique(model(3, pipelined=True, background=True).graph.kind)
    assert kinds.tolist() == [0, 1, 2]


@pytest.mark.smoke
def test_all_benchmarks_run(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "--smoke", "-o", str(output)],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    figures = json.loads(output.read_text(encoding="utf-8"))
    sections = {"longest-path", "simulation", "cascades", "trip-counts", "real-size", "networks"}
    assert {"machine", *sections} <= set(figures)
    assert all(set(row["ratios"]) == {"simpy"} for row in figures["simulation"])
    assert all(row["peak_mib"] > 0 for row in figures["cascades"])
    assert {row["case"] for row in figures["trip-counts"]} == {"chain", "attention"}
    assert all(set(row["answer"]) >= {"engine", "gap"} for row in figures["trip-counts"])
    assert all(set(row["growth"]) == {"analyze", "warm"} for row in figures["trip-counts"])
    assert figures["real-size"]["summary"]["rows"] == len(figures["real-size"]["rows"]) > 0
    assert figures["real-size"]["summary"]["failed"] == 0
    assert [row["network"] for row in figures["networks"]] == list(NETWORKS)
    assert all(row["figures"]["polylat"]["exact"] for row in figures["networks"])


@pytest.mark.smoke
def test_trips_grow_and_tiles_stay() -> None:
    few, many = (trip_counts.trip_counts((n,), {}, 1) for n in (10, 1000))
    assert [row.tiles for row in few] == [120, 650]
    assert [100 * row.tiles for row in few] == [row.tiles for row in many]
    assert not any(row.growth for row in few)
    assert all(row.growth == {"analyze": 1, "warm": 1} for row in many)


@pytest.mark.parametrize("make", [chain, attention])
def test_a_thousand_million_trips_are_an_input(make: Any) -> None:
    lowered = lower(polylat.Spec.from_dict(make(10**9)), "tile")
    assert lowered.size == lower(polylat.Spec.from_dict(make(10)), "tile").size * 10**8


@pytest.mark.smoke
def test_other_ways_run_as_far_as_they_can() -> None:
    most = {"explicit": 1000, "networkx": 500, "simpy": 1000}
    rows = trip_counts.trip_counts((10, 100), most, 1)
    assert [set(row.ratios) for row in rows] == [
        {"explicit", "networkx", "simpy"},
        set(),
        {"explicit", "simpy"},
        set(),
    ]


@pytest.mark.smoke
def test_an_analysis_that_fails_is_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(spec: polylat.Spec, **options: object) -> polylat.Report:
        raise polylat.TooLargeError(f"too large for {len(options)} options")

    monkeypatch.setattr(trip_counts, "analyze", refuse)
    monkeypatch.setattr(real_size, "analyze", refuse)
    rows = trip_counts.trip_counts((10,), {"explicit": 1000, "simpy": 1000}, 1)
    assert all(row.answer is None and set(row.seconds) == {"explicit", "simpy"} for row in rows)
    trip_counts.show(rows)
    assert "TooLargeError: too large for 0 options" in capsys.readouterr().out
    assert not any(row.seconds for row in trip_counts.trip_counts((10,), {}, 1))
    sizes = real_size.real_size(real_size.OURS, ("map_attn_*.yaml",), 1)
    assert sizes is not None
    assert [row.splits for row in sizes] == ["as written", "Pipeline"]
    assert real_size.summary(sizes)["failed"] == 2
    real_size.show(sizes)
    assert "map_attn_a2 (Pipeline): TooLargeError: too large" in capsys.readouterr().out


def test_answers_that_differ_are_noticed() -> None:
    spec = polylat.Spec.from_dict(chain(10))
    answer = Answer.of(polylat.analyze(spec))
    orders = {"program": answer.latency + 3, "oldest": answer.latency}
    found = {"warm": answer, "explicit": orders, "networkx": orders["program"]}
    trip_counts._check(answer, found)
    with pytest.raises(AssertionError, match="networkx differs"):
        trip_counts._check(answer, found | {"networkx": 4})
    with pytest.raises(AssertionError, match="from caches"):
        trip_counts._check(answer, found | {"warm": None})
    wrong = replace(answer, latency=answer.latency - 1)
    with pytest.raises(AssertionError, match="contradicts"):
        trip_counts._check(wrong, found | {"warm": wrong})
    bracket = replace(answer, latency=10**9, lower_bound=2, exact=False)
    trip_counts._check(bracket, found | {"warm": bracket})


ATTENTION = [ROOT / "examples" / f"{name}.yaml" for name in ("attention", "attention_schedule")]


def test_the_attention_block_is_the_example() -> None:
    example = polylat.load(*ATTENTION)
    block = polylat.Spec.from_dict(attention_block(32, 32))
    assert without_places(example.workload) == without_places(block.workload)
    arch = replace(example.arch, energies=block.arch.energies)  # the benchmark has none
    assert replace(example, workload=block.workload, arch=arch) == block
    sequential = polylat.load(*ATTENTION, split="Sequential")
    assert (
        sequential.mapping
        == polylat.Spec.from_dict(attention_block(32, 32, split="Sequential")).mapping
    )
    assert sequential.mapping.with_pipelines() == example.mapping


def without_places(workload: Workload) -> Workload:
    return replace(workload, einsums=tuple(replace(e, where="") for e in workload.einsums))


def test_the_example_of_real_size() -> None:
    example = polylat.load(*ATTENTION)
    report = polylat.analyze(example)
    assert report.tiles == 32 * 32 * 65
    # From when the keys of the first head have arrived, 4096 x 128 values of 16 bits, the array is
    # always busy: 2 x 32 x 4096 x 4096 x 128 operations on 128 x 128 units.
    assert report.resource_bound == 2 * 32 * 4096 * 4096 * 128 // (128 * 128)
    assert report.latency == report.resource_bound + 4096 * 128 * 16 // 8192
    # In sequence, the softmax is added to that.
    assert report.sequential == report.latency + 32 * 4096 * 4096 // 128


def test_every_split_becomes_a_pipeline() -> None:
    spec = polylat.load(real_size.OURS / "map_attn_a2.yaml")
    assert {type(split) for split in splits(spec.mapping)} == {Sequential}
    changed = list(splits(spec.mapping.with_pipelines()))
    assert len(changed) == 2
    assert {type(split) for split in changed} == {Pipeline}
    assert list(spec.mapping.with_pipelines().leaves()) == list(spec.mapping.leaves())


def splits(branch: Branch) -> Iterator[Sequential | Pipeline]:
    if not isinstance(branch.end, Compute):
        yield branch.end
        for below in branch.end.branches:
            yield from splits(below)


def test_a_folder_that_is_absent_is_no_failure(tmp_path: Path) -> None:
    assert real_size.real_size(tmp_path / "absent") is None
    assert real_size.real_size(tmp_path) == []


def test_a_file_that_cannot_be_loaded_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "auto_broken.yaml").write_text("workload: {}", encoding="utf-8")
    rows = real_size.real_size(tmp_path)
    assert rows is not None
    assert [row.error.partition(":")[0] for row in rows] == ["cannot load"]


def test_caches_are_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, others = types.ModuleType("polylat.cached"), types.ModuleType("polylatest")
    for module in (ours, others):
        monkeypatch.setitem(sys.modules, module.__name__, module)
        module.double = lru_cache(lambda n: 2 * n)  # type: ignore[attr-defined]
        assert module.double(1) == 2
    forget()
    assert [module.double.cache_info().currsize for module in (ours, others)] == [0, 1]


def test_runs_are_interleaved_and_repeatable() -> None:
    order: list[str] = []

    def run(name: str) -> int:
        order.append(name)
        return len(name)

    measured = interleaved(
        {"one": lambda: run("one"), "three": lambda: run("three")}, {"one": 1, "three": 2}
    )
    assert order == ["one", "three", "three"]
    assert [len(m.times) for m in measured.values()] == [1, 2]
    assert measured["three"].result == 5
    numbers = iter(range(9))
    with pytest.raises(AssertionError, match="not repeatable"):
        interleaved({"counter": lambda: next(numbers)}, {"counter": 2})


def test_seconds_gives_the_result() -> None:
    took, result = seconds(lambda: "done")
    assert took >= 0
    assert result == "done"


def test_table_aligns_columns() -> None:
    assert table(("a", "bb"), [("xyz", "1")]) == "a    bb\n---  --\nxyz   1"


@pytest.mark.parametrize(
    ("network", "size", "einsums"), [("transformer", 3, 27), ("resnet50", 16, 68)]
)
def test_networks_are_exact(network: str, size: int, einsums: int) -> None:
    spec = polylat.Spec.from_dict(NETWORKS[network](size))
    assert len(spec.workload.einsums) == einsums
    report = polylat.analyze(spec)
    assert report.exact
    assert report.latency >= report.resource_bound
