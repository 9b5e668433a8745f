"""Compare polylat with AccelForge: figures and run time.

``python -m benchmarks.accelforge_compare [FOLDER…]`` needs an environment with both (``make
accelforge``; AccelForge needs Python 3.12). Every case of the folders is loaded by both; then
AccelForge's ``evaluate_mapping`` runs in turn with polylat's ``roofline`` and
``analyze(granularity="tile")``. The exit code is 1 if figures differ.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import accelforge
from accelforge.frontend.mapping import Compute
from accelforge.model.main import evaluate_mapping

from benchmarks.measure import interleaved, machine, seconds, table
from polylat.analysis.roofline import roofline
from polylat.errors import PolylatError
from polylat.report import analyze
from polylat.spec.reading.load import load

ROOT = Path(__file__).resolve().parent.parent
OURS = ROOT / "tests" / "data" / "accelforge"
CORPUS = Path(os.environ.get("POLYLAT_CORPUS", ROOT.parent / "shared" / "accelforge-corpus"))
TOLERANCE = 1e-6
"""Largest relative difference: AccelForge's figures pass through 32-bit floats."""
SLOW = 2.0
"""If AccelForge's first run takes at least this time in seconds, only one more run follows."""

MEANING = {
    "roofline": "evaluate_mapping ÷ roofline",
    "roofline_first": "the same, first run of each",
    "roofline_prepared": "the same, AccelForge's expressions evaluated in advance",
    "analyze": "evaluate_mapping ÷ analyze(granularity='tile')",
    "analyze_first": "the same, first run of each",
    "analyze_prepared": "the same, AccelForge's expressions evaluated in advance",
    "loading": "loading",
}


@dataclass(frozen=True)
class Case:
    """Result of one case.

    Parameters
    ----------
    name
        Name of the case.
    figures
        Number of compared figures: the latency, and that of every component for every Einsum.
    difference
        Largest relative difference among the compared figures.
    theirs, prepared
        Seconds of `evaluate_mapping`, and of the same with AccelForge's expressions evaluated in
        advance.
    roofline, analyze
        Seconds of polylat's functions; None where polylat does not analyze the mapping.
    tiles
        Number of tile iterations.
    first
        Seconds of the first run of `evaluate_mapping`, `roofline` and `analyze` (AccelForge caches
        the code that it compiles for a mapping).
    loading
        Seconds to load the case, in AccelForge and in polylat.
    remark
        Why polylat rejects the input or does not analyze it; else empty.
    """

    name: str
    figures: int = 0
    difference: float = 0.0
    theirs: float | None = None
    prepared: float | None = None
    roofline: float | None = None
    analyze: float | None = None
    tiles: int | None = None
    first: tuple[float, float, float | None] | None = None
    loading: tuple[float, float] | None = None
    remark: str = ""


def compare(path: Path, repeats: int) -> Case:
    """Run one case with both tools."""
    load_theirs, their_spec = seconds(lambda: accelforge.Spec.from_yaml(str(path)))
    try:
        load_ours, spec = seconds(lambda: load(path))
        first_roofline, figures = seconds(lambda: roofline(spec))
    except PolylatError as error:
        return Case(path.stem, remark=f"polylat: {error.what}")
    first_theirs, answer = seconds(their_spec.evaluate_mapping)
    expected = {"": float(answer.latency())}
    for (einsum, component), time in answer.latency(per_einsum=True, per_component=True).items():
        expected[f"{einsum} {component}"] = float(time)
    found = {"": float(figures.latency)}
    for einsum, busy in figures.per_einsum.items():
        for component, exact in busy.items():
            found[f"{einsum} {component}"] = float(exact)
    difference = max(_difference(found.get(key, 0.0), value) for key, value in expected.items())
    remark, first_analyze, tiles = "", None, None
    try:
        first_analyze, report = seconds(lambda: analyze(spec, granularity="tile"))
    except PolylatError as error:
        remark = f"analyze: {error.what}"
    else:
        tiles = report.tiles
    prepared = _evaluate_prepared(their_spec)
    runs: dict[str, Callable[[], object]] = {
        "theirs": _without_result(their_spec.evaluate_mapping),
        "prepared": _without_result(prepared),
        "roofline": lambda: roofline(spec).latency,
    }
    if first_analyze is not None:
        runs["analyze"] = lambda: analyze(spec, granularity="tile").latency
    rounds = repeats if first_theirs < SLOW else 1
    ours = max(repeats, 5) if repeats > 1 else 1
    counts = dict.fromkeys(runs, ours) | {"theirs": rounds, "prepared": rounds}
    medians = {name: run.median for name, run in interleaved(runs, counts).items()}
    return Case(
        path.stem,
        len(expected),
        difference,
        medians["theirs"],
        medians["prepared"],
        medians["roofline"],
        medians.get("analyze"),
        tiles,
        (first_theirs, first_roofline, first_analyze),
        (load_theirs, load_ours),
        remark,
    )


def _evaluate_prepared(spec: Any) -> Callable[[], object]:
    """Return `evaluate_mapping` with the architecture's expressions evaluated in advance."""
    specs, architectures = {}, {}
    for node in spec.mapping.get_nodes_of_type(Compute):
        costed = spec.calculate_component_costs(einsum_name=node.einsum, area=False)
        specs[node.einsum] = costed
        architectures[node.einsum, node.component] = costed._get_flattened_architecture(
            compute_node=node.component
        )
    return lambda: evaluate_mapping(spec, architectures, specs)


def _without_result(run: Callable[[], object]) -> Callable[[], None]:
    def result() -> None:
        run()

    return result


def _difference(ours: float, theirs: float) -> float:
    largest = max(abs(ours), abs(theirs))
    return abs(ours - theirs) / largest if largest else 0.0


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    """Medians and least of the ratios, and what there was to compare."""
    timed = [c for c in cases if c.theirs is not None]
    found: dict[str, Any] = {
        "cases": len(cases),
        "compared": len(timed),
        "figures": sum(c.figures for c in timed),
        "largest_difference": max((c.difference for c in timed), default=0.0),
        "differing": [c.name for c in timed if c.difference > TOLERANCE],
        "remarks": {c.name: c.remark for c in cases if c.remark},
    }
    for name, ratios in _ratios(timed).items():
        found[name] = {"median": statistics.median(ratios), "least": min(ratios)} | {
            "cases": len(ratios)
        }
    return found


def _ratios(cases: Sequence[Case]) -> dict[str, list[float]]:
    ratios: dict[str, list[float]] = {}
    for case in cases:
        for name, ours in (("roofline", case.roofline), ("analyze", case.analyze)):
            if ours is not None:
                assert case.theirs is not None
                assert case.prepared is not None
                ratios.setdefault(name, []).append(case.theirs / ours)
                ratios.setdefault(f"{name}_evaluate_prepared", []).append(case.prepared / ours)
        if case.first is not None:
            theirs, ours, analyzed = case.first
            ratios.setdefault("roofline_first", []).append(theirs / ours)
            if analyzed is not None:
                ratios.setdefault("analyze_first", []).append(theirs / analyzed)
        if case.loading is not None:
            ratios.setdefault("loading", []).append(case.loading[0] / case.loading[1])
    return ratios


def show(cases: Sequence[Case]) -> str:
    """Format the cases as a table."""
    rows = []
    for c in cases:
        if c.theirs is None or c.roofline is None:
            continue
        analyzed = (
            ("", "", "")
            if c.analyze is None
            else (f"{c.tiles:,}", _milliseconds(c.analyze), _ratio(c.theirs, c.analyze))
        )
        rows.append(
            (
                c.name,
                str(c.figures),
                f"{c.difference:.0e}" if c.difference else "0",
                _milliseconds(c.theirs),
                _milliseconds(c.roofline),
                _ratio(c.theirs, c.roofline),
                *analyzed,
            )
        )
    head = ("case", "figures", "difference", "AccelForge", "roofline", "", "tiles", "analyze", "")
    return table(head, rows)


def _milliseconds(time: float) -> str:
    return f"{1000 * time:.2f} ms"


def _ratio(theirs: float, ours: float) -> str:
    return f"{theirs / ours:.1f}×"


def paths(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the inputs of the folders, sorted by name; names in later folders take precedence."""
    found = {path.stem: path for folder in folders for path in folder.glob("*.yaml")}
    for name in sorted(found):
        yield found[name]


def main() -> None:
    """Compare, print the table, and fail if figures differ."""
    parser = argparse.ArgumentParser(description="Compare polylat with AccelForge.")
    folders = [folder for folder in (CORPUS, OURS) if folder.is_dir()]
    parser.add_argument("folders", type=Path, nargs="*", default=folders)
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="runs per case (default 3); polylat runs at least 5 times unless this is 1",
    )
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON here")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="accelforge")  # pandas warns of fragmented frames
    inputs = list(paths(options.folders))
    if not inputs:
        parser.error("no inputs")
    compare(inputs[0], 1)  # warm up: the first run in a process costs more
    cases = [compare(path, options.repeats) for path in inputs]
    figures = summary(cases)
    print(show(cases))
    for name, remark in figures["remarks"].items():
        print(f"{name}: {remark}")
    print(
        f"AccelForge {version('accelforge')}: {figures['compared']} of {figures['cases']} cases,"
        f" {figures['figures']} figures, largest difference {figures['largest_difference']:.0e}"
    )
    rows = []
    for name, meaning in MEANING.items():
        if name in figures:
            ratios = figures[name]
            rows.append((meaning, *(f"{ratios[key]:.1f}×" for key in ("median", "least"))))
    print(table(("AccelForge's time ÷ polylat's", "median", "minimum"), rows))
    if options.output:
        result = {
            "machine": machine(),
            "accelforge": version("accelforge"),
            "summary": figures,
            "cases": [asdict(case) for case in cases],
        }
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if figures["differing"] or not figures["compared"]:
        sys.exit(f"figures differ: {', '.join(figures['differing']) or 'nothing was compared'}")


if __name__ == "__main__":
    main()
