"""Run all benchmarks: ``python -m benchmarks [-o FILE] [--smoke] [--only NAME…]`` (``make bench``).

Print tables; with ``-o``, also write all figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import (
    explore,
    formulas,
    longest_path,
    networks,
    real_size,
    simulation,
    trip_counts,
)
from benchmarks.cascades import cascades
from benchmarks.cases import cascade
from benchmarks.measure import interleaved, machine, table
from polylat.engine.model import build
from polylat.lowering.lowered import lower
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.graph import TaskGraph

ROOT = Path(__file__).resolve().parent.parent
ACCELFORGE_PYTHON = Path(".venv-accelforge", "bin", "python")

SMOKE_ROWS = (2, 7)
ROWS = (4, 34, 334, 3334)
"""About 10³, 10⁴, 10⁵ and 10⁶ tile iterations."""
ROW_LIMITS = {"networkx": 334, "rustworkx": 3334, "simpy": 3334}
"""Largest number of rows per tool; more would take too much time or memory."""
MANY_ROWS = 334
"""From this number of rows on, runs are repeated less often."""


def main() -> None:
    """Run the requested benchmarks."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="polylat's benchmarks"
    )
    sections: dict[str, Callable[[argparse.Namespace], object]] = {
        "warm-up": warm_up,
        "longest-path": longest_paths,
        "simulation": simulations,
        "cascades": whole_analyses,
        "trip-counts": trips,
        "real-size": real_sizes,
        "networks": whole_networks,
        "explore": explorations,
        "formulas": formula_points,
        "accelforge": accelforge,
    }
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--smoke", action="store_true", help="small sizes: do all tools agree?")
    parser.add_argument(
        "--only", nargs="+", choices=sections, default=list(sections), help="sections to run"
    )
    parser.add_argument("--plot", type=Path, help="draw the figures of `networks` as SVG here")
    parser.add_argument(
        "--accelforge-python",
        type=Path,
        default=ACCELFORGE_PYTHON,
        help="Python interpreter with AccelForge and polylat (default: of `make accelforge`)",
    )
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), "smoke": options.smoke}
    print("machine:", json.dumps(figures["machine"]))
    _run_polylat(2)  # the cost of a first run is measured separately, by `warm_up`
    for name, section in sections.items():
        if name in options.only:
            print(f"\n{name}\n", flush=True)
            figures[name] = section(options)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        print(f"\nfigures: {options.output}")


def formula_points(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Points per second of formulas, against an analysis per point, and AccelForge if it exists."""
    python: Path = options.accelforge_python
    found: list[dict[str, Any]]
    if options.smoke or not (ROOT / python).exists():
        found = [one.to_dict() for one in formulas.figures(smoke=options.smoke)]
    else:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "figures.json"
            command = [str(ROOT / python), "-m", "benchmarks.formulas", "-o", str(output)]
            subprocess.run(command, check=True, cwd=ROOT)
            found = json.loads(output.read_text(encoding="utf-8"))
    rows = [
        (
            one["name"],
            f"{one['derived']:.1f}",
            *(
                "" if one[tool] is None else f"{one[tool]:,.0f}"
                for tool in ("per_second", "analyze", "roofline", "accelforge")
            ),
            f"{one['per_second'] / one['analyze']:,.0f}",
        )
        for one in found
    ]
    head = ("mapping", "derive s", "points/s", "analyze/s", "roofline/s", "AccelForge/s", "ratio")
    print(table(head, rows))
    assert all(one["agree"] for one in found)
    return found


def _row_counts(options: argparse.Namespace) -> Sequence[int]:
    return SMOKE_ROWS if options.smoke else ROWS


def _graph(rows: int, *, background: bool) -> TaskGraph:
    pairs = frozenset({("o2", "SRAM")} if background else ())
    options = TransferOptions(background=pairs)
    return build(lower(cascade(rows), "full", options), options).graph


def _run_polylat(rows: int) -> None:
    graph = _graph(rows, background=True)
    longest_path.by_polylat(graph)
    simulation.by_polylat(graph)


def warm_up(options: argparse.Namespace) -> dict[str, float] | None:
    """Measure the first analysis in a process, with and without numba's cache."""
    if options.smoke:
        print("skipped in a smoke run")
        return None
    code = (
        "from time import perf_counter as now; start = now()\n"
        "from benchmarks.__main__ import _run_polylat; imported = now()\n"
        "_run_polylat(2); print(imported - start, now() - imported)"
    )

    def first(cache: str) -> tuple[float, float]:
        done = subprocess.run(
            [sys.executable, "-c", f"import os\nos.environ['NUMBA_CACHE_DIR'] = {cache!r}\n{code}"],
            check=True,
            capture_output=True,
            cwd=ROOT,
            text=True,
        )
        imports, run = map(float, done.stdout.split())
        return imports, run

    with tempfile.TemporaryDirectory() as cache:
        compiling = first(cache)
        cached = first(cache)
    found = {
        "imports": min(compiling[0], cached[0]),
        "first_run_compiling": compiling[1],
        "first_run_cached": cached[1],
    }
    print(table(("seconds", ""), [(name, f"{took:.2f}") for name, took in found.items()]))
    return found


def longest_paths(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure networkx, rustworkx and polylat on the longest path of one graph."""
    found = []
    for rows in _row_counts(options):
        graph = _graph(rows, background=False)
        events = longest_path.events(graph)
        runs = {
            "polylat": partial(longest_path.by_polylat, graph),
            "networkx": partial(longest_path.by_networkx, events),
            "rustworkx": partial(longest_path.by_rustworkx, events),
        }
        size = {"nodes": events.count, "edges": len(events.source)}
        found.append(_compare(rows, graph, size, runs, options))
    _print_table(found, ("nodes", "edges"))
    return found


def simulations(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure simpy and polylat on the order "oldest"."""
    found = []
    for rows in _row_counts(options):
        graph = _graph(rows, background=True)
        runs = {
            "polylat": partial(simulation.by_polylat, graph),
            "simpy": partial(simulation.by_simpy, graph),
        }
        found.append(_compare(rows, graph, {"tasks": graph.tasks}, runs, options))
    _print_table(found, ("tasks",))
    return found


def _compare(
    rows: int,
    graph: TaskGraph,
    size: Mapping[str, int],
    runs: Mapping[str, Callable[[], object]],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Run polylat and the other tools in turn; all must return the same result."""
    chosen = {name: run for name, run in runs.items() if rows <= ROW_LIMITS.get(name, rows)}
    own, other = (1, 1) if options.smoke else (7, 3) if rows < MANY_ROWS else (5, 2)
    repeats = {name: own if name == "polylat" else other for name in chosen}
    measured = interleaved(chosen, repeats)
    results = {name: m.result for name, m in measured.items()}
    assert len(set(results.values())) == 1, f"different results: {results}"
    medians = {name: m.median for name, m in measured.items()}
    return {
        "iterations": graph.iterations,
        **size,
        "result": results["polylat"],
        "seconds": medians,
        "ratios": {
            name: took / medians["polylat"] for name, took in medians.items() if name != "polylat"
        },
    }


def _print_table(found: Sequence[Mapping[str, Any]], sizes: Sequence[str]) -> None:
    names = list(dict.fromkeys(name for row in found for name in row["seconds"]))
    head = ["iterations", *sizes]
    for name in names:
        head += [name] if name == "polylat" else [name, ""]
    lines = []
    for row in found:
        line = [f"{row[key]:,}" for key in ("iterations", *sizes)]
        for name in names:
            took = row["seconds"].get(name)
            line.append("" if took is None else f"{took:.4f} s")
            if name != "polylat":
                line.append("" if took is None else f"{row['ratios'][name]:.0f}×")
        lines.append(line)
    print(table(head, lines))


def whole_analyses(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure `analyze`: time by phase, and peak memory."""
    found = cascades(_row_counts(options), 1 if options.smoke else 3)
    phases = list(found[0]["seconds"])
    lines = [
        (
            f"{row['iterations']:,}",
            *(f"{row['seconds'][phase]:.4f}" for phase in phases),
            f"{row['peak_mib']:,} MiB",
        )
        for row in found
    ]
    print(table(("iterations", *phases, "peak memory"), lines))
    print(f"(seconds; baseline of a process with a tiny case: {found[0]['baseline_mib']} MiB)")
    return found


def trips(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure `analyze` by trip count, and tools that visit every tile iteration."""
    rows = (
        trip_counts.trip_counts(trip_counts.SMOKE_TRIPS, trip_counts.SMOKE_MOST, 1)
        if options.smoke
        else trip_counts.trip_counts()
    )
    trip_counts.show(rows)
    return [row.to_dict() for row in rows]


def real_sizes(options: argparse.Namespace) -> dict[str, Any] | None:
    """Measure `analyze` on real-size workloads; in a smoke run, on small ones of the project."""
    rows = (
        real_size.real_size(real_size.OURS, real_size.SMOKE_PATTERNS, 1)
        if options.smoke
        else real_size.real_size()
    )
    if rows is None:
        print(f"skipped: {real_size.CORPUS} does not exist; set POLYLAT_CORPUS to another folder")
        return None
    real_size.show(rows)
    return {"summary": real_size.summary(rows), "rows": [row.to_dict() for row in rows]}


def whole_networks(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure `analyze` on networks of many Einsums, and AccelForge if it exists."""
    python: Path | None = ROOT / options.accelforge_python
    sizes = networks.SMOKE_SIZES if options.smoke else networks.SIZES
    if options.smoke or python is None or not python.exists():
        python = None
    rows = networks.networks(sizes, python)
    networks.show(rows)
    if options.plot:
        networks.plot(rows, options.plot)
    return [row.to_dict() for row in rows]


def explorations(options: argparse.Namespace) -> dict[str, Any]:
    """Measure `explore`, `analyze` and, in an environment that has it, AccelForge."""
    python: Path = options.accelforge_python
    if options.smoke or not (ROOT / python).exists():
        return explore.figures(smoke=options.smoke)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        command = [str(ROOT / python), "-m", "benchmarks.explore", "-o", str(output)]
        subprocess.run(command, check=True, cwd=ROOT)
        figures: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return figures


def accelforge(options: argparse.Namespace) -> dict[str, Any] | None:
    """Measure `analyze`, `roofline` and AccelForge, in an environment that has them."""
    python: Path = options.accelforge_python
    if options.smoke or not (ROOT / python).exists():
        why = "smoke run" if options.smoke else f"{python} does not exist"
        print(f"skipped ({why}): `make accelforge` creates the environment and compares")
        return None
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        command = [str(ROOT / python), "-m", "benchmarks.accelforge_compare", "-o", str(output)]
        subprocess.run(command, check=True, cwd=ROOT)
        figures: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return figures


if __name__ == "__main__":
    main()
