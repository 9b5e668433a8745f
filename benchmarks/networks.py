"""Measure `analyze` on whole networks of 2 to some hundred Einsums, beside AccelForge.

Every figure is of a process of its own, which has loaded its modules and its compiled code on a
small network of the kind: processor time to load and to evaluate, and peak memory. For polylat also
the time to schedule the whole network, where `analyze` schedules a loop over equal blocks.
AccelForge evaluates the same mapping, from the file that `polylat.Spec.to_yaml` writes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import processor_seconds, table
from benchmarks.network_inputs import NETWORKS

__all__ = ["SIZES", "SMOKE_SIZES", "Row", "networks", "plot", "show"]

ROOT = Path(__file__).resolve().parent.parent
SMALLEST = {"transformer": 1, "resnet50": 1, "dataflow": 2, "pipelines": 2}
"""Layers, blocks or stages of the network with which a process loads its code."""

SIZES: Mapping[str, Sequence[int]] = {
    "transformer": (1, 2, 4, 8, 14, 32, 96),
    "resnet50": (1, 2, 4, 8, 16),
    "dataflow": (2, 4, 8, 16, 32, 64, 128),
    "pipelines": (1, 2, 4, 8, 24),
}
SMOKE_SIZES: Mapping[str, Sequence[int]] = {
    "transformer": (2,),
    "resnet50": (2,),
    "dataflow": (3,),
    "pipelines": (2,),
}
LONGEST = 120.0
"""A network whose evaluation takes a tool longer than this, in seconds, is its last one."""
TOLERANCE = 1e-6
"""Largest relative difference: AccelForge's figures pass through 32-bit floats."""


@dataclass
class Row:
    """Measurements of one network.

    Parameters
    ----------
    network, size, einsums
        The network, its number of layers, blocks or stages, and of Einsums.
    figures
        Tool → figures: ``"load"`` and ``"evaluate"``, processor seconds; ``"memory"``, peak in MiB.
        That of polylat also has ``"whole"``, processor seconds from the figures to those by Einsum;
        ``"latency"``, ``"roofline"``, ``"exact"`` and ``"tiles"``; that of AccelForge its
        ``"latency"``. A tool that was not run is missing.
    """

    network: str
    size: int
    einsums: int
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return vars(self)


def networks(
    sizes: Mapping[str, Sequence[int]] = SIZES,
    accelforge: Path | None = None,
    longest: float = LONGEST,
) -> list[Row]:
    """Measure all networks.

    Parameters
    ----------
    sizes
        Network → its numbers of layers, blocks or stages, increasing.
    accelforge
        Python interpreter with AccelForge; None: measure polylat only.
    longest
        As `LONGEST`.

    Returns
    -------
    list of Row
        One row per network and size.

    Raises
    ------
    AssertionError
        polylat's roofline is not AccelForge's latency.
    """
    pythons = {"polylat": Path(sys.executable)}
    if accelforge is not None:
        pythons["accelforge"] = accelforge
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for network, some in sizes.items():
            running = dict(pythons)
            small = _written(network, SMALLEST[network], Path(folder))
            for size in some:
                made = _written(network, size, Path(folder))
                row = Row(network, size, len(NETWORKS[network](size)["workload"]["einsums"]))
                for tool, python in list(running.items()):
                    row.figures[tool] = _measured(tool, python, small, made)
                    if row.figures[tool]["evaluate"] > longest:
                        del running[tool]
                _check(row)
                found.append(row)
    return found


def _written(network: str, size: int, folder: Path) -> Path:
    """Write a network for both tools: plain data for polylat, YAML for AccelForge."""
    from polylat.spec import Spec

    path = folder / f"{network}-{size}.json"
    if not path.exists():
        data = NETWORKS[network](size)
        path.write_text(json.dumps(data), encoding="utf-8")
        text = Spec.from_dict(data).to_yaml(schedule=False)
        path.with_suffix(".yaml").write_text(text, encoding="utf-8")
    return path


def _measured(tool: str, python: Path, small: Path, made: Path) -> dict[str, Any]:
    """Measure one network in a process of its own."""
    command = [str(python), "-m", "benchmarks.networks", tool, str(small), str(made)]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _check(row: Row) -> None:
    if len(row.figures) == 2:
        ours, theirs = row.figures["polylat"]["roofline"], row.figures["accelforge"]["latency"]
        assert abs(ours - theirs) <= TOLERANCE * theirs, f"{row.network}: {ours}, not {theirs}"


def _by_polylat(path: Path) -> dict[str, Any]:
    """Load and analyze a network with polylat, whose file has the data of `Spec.from_dict`."""
    from polylat.report import Report, analyze
    from polylat.spec import Spec

    data = json.loads(path.read_text(encoding="utf-8"))
    specs: list[Spec] = []
    reports: list[Report] = []
    load = processor_seconds(lambda: specs.append(Spec.from_dict(data)))
    evaluate = processor_seconds(lambda: reports.append(analyze(specs[0])))
    report = reports[0]
    return {
        "load": load,
        "evaluate": evaluate,
        "whole": processor_seconds(lambda: report.ports),
        "latency": float(report.latency),
        "roofline": float(report.roofline),
        "exact": report.exact,
        "tiles": report.tiles,
    }


def _by_accelforge(path: Path) -> dict[str, Any]:
    """Load and evaluate a network with AccelForge."""
    import accelforge

    name = str(path.with_suffix(".yaml"))
    specs: list[Any] = []
    answers: list[Any] = []
    load = processor_seconds(lambda: specs.append(accelforge.Spec.from_yaml(name)))
    evaluate = processor_seconds(lambda: answers.append(specs[0].evaluate_mapping()))
    return {"load": load, "evaluate": evaluate, "latency": float(answers[0].latency())}


_TOOLS = {"polylat": _by_polylat, "accelforge": _by_accelforge}


def show(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    head = ["network", "size", "Einsums", "tile iterations", "", "load s", "analyze s", "MiB"]
    head += ["whole s"]
    head += ["AccelForge load s", "evaluate s", "MiB", "evaluate ÷ analyze"]
    lines = []
    for row in rows:
        ours, theirs = row.figures.get("polylat"), row.figures.get("accelforge")
        line = [row.network, str(row.size), str(row.einsums)]
        line += (
            [f"{ours['tiles']:,}", "exact" if ours["exact"] else "bracket"] if ours else [""] * 2
        )
        line += _cells(ours)
        line.append(f"{ours['whole']:.2f}" if ours else "")
        line += _cells(theirs)
        if ours and theirs:
            line.append(f"{theirs['evaluate'] / ours['evaluate']:.0f}×")
        else:
            line.append("")
        lines.append(line)
    print(table(head, lines))


def _cells(figures: Mapping[str, Any] | None) -> list[str]:
    if figures is None:
        return [""] * 3
    return [
        f"{figures['load']:.2f}",
        f"{figures['evaluate']:.2f}",
        f"{figures['memory']:,.0f}",
    ]


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw processor time and peak memory against the number of Einsums, as SVG.

    Parameters
    ----------
    rows
        The measurements.
    path
        The file to write.
    """
    import matplotlib as mpl

    mpl.rcParams.update({"svg.hashsalt": "polylat", "svg.fonttype": "none", "font.size": 9})
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    colors = dict(zip(NETWORKS, ("#3366aa", "#cc6633", "#339966", "#8855aa"), strict=True))
    for axis, key, label in zip(
        axes, ("evaluate", "memory"), ("processor time (s)", "peak memory (MiB)"), strict=True
    ):
        for network, color in colors.items():
            for tool, style in (("polylat", "o-"), ("accelforge", "s--")):
                some = [r for r in rows if r.network == network and tool in r.figures]
                if some:
                    axis.loglog(
                        [row.einsums for row in some],
                        [row.figures[tool][key] for row in some],
                        style,
                        color=color,
                        markersize=3,
                        linewidth=1,
                        label=f"{network}, {'AccelForge' if tool == 'accelforge' else tool}",
                    )
        axis.set(xlabel="Einsums", ylabel=label)
        axis.grid(visible=True, which="major", linewidth=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7)
    figure.savefig(path, format="svg", metadata={"Date": None})
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")


def main() -> None:
    """Measure one network with one tool, in this process; print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("tool", choices=_TOOLS)
    parser.add_argument("small", type=Path, help="network with which the code is loaded")
    parser.add_argument("made", type=Path, help="network to measure")
    options = parser.parse_args()
    run = _TOOLS[options.tool]
    run(options.small)
    figures = run(options.made)
    # Kibibytes on Linux, bytes on macOS.
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    figures["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
