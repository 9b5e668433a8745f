"""All benchmarks: ``python -m benchmarks [-o FILE] [--smoke] [--only NAME…]`` (or ``make bench``).

Prints tables; with ``-o`` also writes every figure as JSON.
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

from benchmarks import explore, longest_path, real_size, simulation, trip_counts
from benchmarks.cascades import cascades
from benchmarks.cases import cascade
from benchmarks.measure import interleaved, machine, table
from polylat.engine.model import build
from polylat.lowering.lowered import lower
from polylat.schedule.graph import TaskGraph

ROOT = Path(__file__).resolve().parent.parent
ACCELFORGE_PYTHON = Path(".venv-accelforge", "bin", "python")

SMOKE_ROWS = (2, 7)
ROWS = (4, 34, 334, 3334)
"""A thousand, ten thousand, a hundred thousand and a million tile iterations."""
MOST_ROWS = {"networkx": 334, "rustworkx": 3334, "simpy": 3334}
"""Larger ones take these too long, or too much memory."""
LONG = 334
"""From this many rows on the others run less often."""


def main() -> None:
    """Run the benchmarks that are asked for."""
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
        "explore": explorations,
        "accelforge": accelforge,
    }
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--smoke", action="store_true", help="small sizes: do all sides agree?")
    parser.add_argument("--only", nargs="+", choices=sections, default=list(sections))
    parser.add_argument(
        "--accelforge-python",
        type=Path,
        default=ACCELFORGE_PYTHON,
        help="a Python that has AccelForge and polylat (default: that of `make accelforge`)",
    )
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "smoke": options.smoke}
    print("machine:", json.dumps(found["machine"]))
    _run(2)  # what only the first run costs is measured in a process of its own
    for name, section in sections.items():
        if name in options.only:
            print(f"\n{name}\n", flush=True)
            found[name] = section(options)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"\nfigures: {options.output}")


def _rows(options: argparse.Namespace) -> Sequence[int]:
    return SMOKE_ROWS if options.smoke else ROWS


def _graph(rows: int, *, background: bool) -> TaskGraph:
    pairs = frozenset({("o2", "SRAM")} if background else ())
    return build(lower(cascade(rows), "full"), pairs, 2).graph


def _run(rows: int) -> None:
    graph = _graph(rows, background=True)
    longest_path.by_polylat(graph)
    simulation.by_polylat(graph)


def warm_up(options: argparse.Namespace) -> dict[str, float] | None:
    """What the first analysis of a process costs: with numba's cache, and without."""
    if options.smoke:
        print("left out")
        return None
    code = (
        "from time import perf_counter as now; start = now()\n"
        "from benchmarks.__main__ import _run; imported = now()\n"
        "_run(2); print(imported - start, now() - imported)"
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
    """The longest path of one graph, by networkx, rustworkx and polylat: build and solve."""
    found = []
    for rows in _rows(options):
        graph = _graph(rows, background=False)
        events = longest_path.events(graph)
        runs = {
            "polylat": partial(longest_path.by_polylat, graph),
            "networkx": partial(longest_path.by_networkx, events),
            "rustworkx": partial(longest_path.by_rustworkx, events),
        }
        size = {"nodes": events.count, "edges": len(events.source)}
        found.append(_beside(rows, graph, size, runs, options))
    _show(found, ("nodes", "edges"))
    return found


def simulations(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The order "oldest", simulated by simpy and timed by polylat."""
    found = []
    for rows in _rows(options):
        graph = _graph(rows, background=True)
        runs = {
            "polylat": partial(simulation.by_polylat, graph),
            "simpy": partial(simulation.by_simpy, graph),
        }
        found.append(_beside(rows, graph, {"tasks": graph.tasks}, runs, options))
    _show(found, ("tasks",))
    return found


def _beside(
    rows: int,
    graph: TaskGraph,
    size: Mapping[str, int],
    runs: Mapping[str, Callable[[], object]],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Run polylat and others in turn; all must come to the same."""
    chosen = {name: run for name, run in runs.items() if rows <= MOST_ROWS.get(name, rows)}
    often, seldom = (1, 1) if options.smoke else (7, 3) if rows < LONG else (5, 2)
    repeats = {name: often if name == "polylat" else seldom for name in chosen}
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


def _show(found: Sequence[Mapping[str, Any]], sizes: Sequence[str]) -> None:
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
    """`analyze` as a whole: time by phase, peak memory."""
    found = cascades(_rows(options), 1 if options.smoke else 3)
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
    print(f"(seconds; a process that has analysed nothing: {found[0]['baseline_mib']} MiB)")
    return found


def trips(options: argparse.Namespace) -> list[dict[str, Any]]:
    """`analyze` on fused cascades, by number of trips, beside engines that look at everything."""
    rows = (
        trip_counts.trip_counts(trip_counts.SMOKE_TRIPS, trip_counts.SMOKE_MOST, 1)
        if options.smoke
        else trip_counts.trip_counts()
    )
    trip_counts.show(rows)
    return [row.to_dict() for row in rows]


def real_sizes(options: argparse.Namespace) -> dict[str, Any] | None:
    """`analyze` on workloads of real size; small ones of the project's own to try it."""
    rows = (
        real_size.real_size(real_size.OURS, real_size.SMOKE_PATTERNS, 1)
        if options.smoke
        else real_size.real_size()
    )
    if rows is None:
        print(f"left out: there is no {real_size.CORPUS}; POLYLAT_CORPUS names another folder")
        return None
    real_size.show(rows)
    return {"summary": real_size.summary(rows), "rows": [row.to_dict() for row in rows]}


def explorations(options: argparse.Namespace) -> dict[str, Any]:
    """`explore` beside `analyze` and, in an environment that has it, AccelForge."""
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
    """`analyze` and `roofline` beside AccelForge, in an environment that has both."""
    python: Path = options.accelforge_python
    if options.smoke or not (ROOT / python).exists():
        why = "left out" if options.smoke else f"no {python}"
        print(f"{why}: `make accelforge` sets it up and compares")
        return None
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        command = [str(ROOT / python), "-m", "benchmarks.accelforge_compare", "-o", str(output)]
        subprocess.run(command, check=True, cwd=ROOT)
        figures: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return figures


if __name__ == "__main__":
    main()
