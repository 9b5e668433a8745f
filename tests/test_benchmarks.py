"""The benchmarks, small: all sides come to the same numbers. Times are not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("networkx", reason="the extra `bench` is not installed")
pytest.importorskip("rustworkx", reason="the extra `bench` is not installed")
pytest.importorskip("simpy", reason="the extra `bench` is not installed")

from benchmarks import longest_path, simulation
from benchmarks.cases import ITERATIONS_PER_ROW, cascade
from benchmarks.measure import interleaved, seconds, table
from polylat.model import Model, build, lower

ROOT = Path(__file__).parent.parent


def model(rows: int, *, pipelined: bool, background: bool) -> Model:
    pairs = frozenset({("o2", "SRAM")} if background else ())
    return build(lower(cascade(rows, pipelined=pipelined), "full", 10**6), pairs, 2)


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
def test_every_side_agrees(rows: int, pipelined: bool, background: bool) -> None:
    graph = model(rows, pipelined=pipelined, background=background).graph
    assert graph.iterations == rows * ITERATIONS_PER_ROW
    events = longest_path.events(graph)
    longest = longest_path.by_polylat(graph)
    assert longest_path.by_networkx(events) == longest
    assert longest_path.by_rustworkx(events) == longest
    assert simulation.by_simpy(graph) == simulation.by_polylat(graph)


def test_the_case_has_every_kind_of_block() -> None:
    kinds = np.unique(model(3, pipelined=True, background=True).graph.kind)
    assert kinds.tolist() == [0, 1, 2]


def test_all_benchmarks_run(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "--smoke", "-o", str(output)],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    figures = json.loads(output.read_text(encoding="utf-8"))
    assert {"machine", "longest-path", "simulation", "cascades"} <= set(figures)
    assert all(set(row["ratios"]) == {"simpy"} for row in figures["simulation"])
    assert all(row["peak_mib"] > 0 for row in figures["cascades"])


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
