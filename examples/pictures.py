"""Draw the pictures of the documentation: ``python examples/pictures.py [FOLDER]``.

The folder is docs/ by default. The pictures are SVG; the timeline follows the light or dark
mode of the reader. Matplotlib is needed (the extra ``plot``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from io import StringIO
from pathlib import Path

import matplotlib as mpl

import polylat
from polylat.views.paper_plots import plot_lines

HERE = Path(__file__).resolve().parent


def tapped_cascade() -> str:
    """Draw four schedules of the motivating problem, with the write of o2 to DRAM."""
    files = [HERE / name for name in ("arch.yaml", "workload.yaml", "tap_resident.yaml")]
    spec = polylat.load(*files)
    pipelined = polylat.load(*files, top="Pipeline", inner="Pipeline")
    stack = polylat.timelines(
        {
            "AccelForge's accounting": polylat.roofline(spec),
            "o2 kept in SRAM, its write to DRAM streams": polylat.analyze(spec, granularity="tile"),
            "the same, each row written in the background": polylat.analyze(
                spec, granularity="tile", background="o2"
            ),
            "stages overlap": polylat.analyze(pipelined, granularity="flow", background="o2"),
        }
    )
    return stack.to_svg(width=960)


def formulas() -> str:
    """Draw the latency against the throughput of DRAM, without and with the write of o2."""
    files = [HERE / name for name in ("arch.yaml", "workload.yaml")]
    cases: dict[str, tuple[str, dict[str, str]]] = {
        "o2 in SRAM only": ("untapped.yaml", {}),
        "o2 to DRAM, too, in the background": ("tap_resident.yaml", {"background": "o2"}),
        "o2 to DRAM, too": ("tap_resident.yaml", {}),
    }
    lines = {}
    for name, (file, options) in cases.items():
        spec = polylat.load(*files, HERE / file)
        limits = {"DRAM.throughput": (1, 6)}
        formula = polylat.symbolic(spec, limits, granularity="tile", **options)
        sweep = formula.sweep(DRAM_throughput=range(1, 7))
        lines[name] = [(Fraction(row[0] or 0), Fraction(row[-1] or 0)) for row in sweep.rows]
    figure = plot_lines(
        lines,
        x="throughput of DRAM (M = 8)",
        y="latency",
        marked={place for line in lines.values() for place, _ in line},
        bottom=22_000,
        width=5.5,
    )
    text = StringIO()
    with mpl.rc_context({"svg.hashsalt": "polylat", "svg.fonttype": "none"}):
        figure.savefig(
            text, format="svg", metadata={"Creator": None, "Date": None}, facecolor="white"
        )
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())


PICTURES: Mapping[str, Callable[[], str]] = {
    "timeline.svg": tapped_cascade,
    "formula.svg": formulas,
}


def main() -> None:
    """Write all pictures to the folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "docs"
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        (folder / name).write_text(f"{draw()}\n", encoding="utf-8")
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
