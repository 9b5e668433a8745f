"""Find the fastest overlapped schedule among the results of AccelForge's mapper.

::

    python examples/from_mapper.py              # problems "tapped" and "attention"
    python examples/from_mapper.py chain mlp    # other problems of PROBLEMS

AccelForge's mapper searches for mappings, and polylat ranks them by overlapped latency. This needs
``pip install 'polylat[accelforge]'``, Python 3.12 and Graphviz (for the mapper's drawings).
It takes one to four minutes per problem, nearly all of it in the mapper.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import accelforge as af
from rich import box
from rich.console import Console
from rich.table import Table

from polylat.accelforge import best, rerank

HERE = Path(__file__).parent
PROBLEMS = {
    "untapped": "three matrix multiplications",
    "tapped": "the same, and o2 written to DRAM as well",
    "chain": "four matrix multiplications",
    "attention": "attention, with a softmax",
    "mlp": "a multi-layer perceptron",
}


@dataclass(frozen=True)
class Setting:
    """Options with which the mappings are analyzed.

    Parameters
    ----------
    name
        Name in the table.
    options
        Options of `rerank`.
    """

    name: str
    options: dict[str, Any]


def problem(name: str) -> Any:
    """Return AccelForge's Spec of a problem, without a mapping."""
    if name in ("untapped", "tapped"):
        spec = af.Spec.from_yaml(str(HERE / "arch.yaml"), str(HERE / "workload.yaml"))
        if name == "tapped":
            spec.arch.nodes["DRAM"].tensors.keep = "(~Intermediates) | o2"
    else:
        folder = HERE / "mapper"
        spec = af.Spec.from_yaml(str(folder / "arch.yaml"), str(folder / f"{name}.yaml"))
    # RESOURCE_USAGE as well: otherwise only one or two mappings would remain.
    spec.mapper.metrics = af.Metrics.LATENCY | af.Metrics.ENERGY | af.Metrics.RESOURCE_USAGE
    return spec


@cache
def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for the drawings of AccelForge's mapper, whose workers outlive a search."""
    return tempfile.TemporaryDirectory()


def search(spec: Any) -> Any:
    """Run AccelForge's mapper and return its Mappings."""
    with contextlib.chdir(scratch().name), contextlib.redirect_stdout(io.StringIO()):
        return spec.map_workload_to_arch(print_progress=False)


SETTINGS = (
    Setting("as mapped", {}),
    Setting("stages overlap", {"pipelined": True}),
    Setting("tiles staged", {"pipelined": True, "staged": "all"}),
)
"""As mapped; stages overlap, and accesses of a tile iteration stream; all tiles are handed over."""


def story(name: str, mappings: Any) -> Table:
    """Return a table of AccelForge's first choice and the fastest mapping, for each setting."""
    title = f"{name}: {PROBLEMS[name]} ({len(mappings)} mappings)"
    table = Table(
        title=title, title_justify="left", pad_edge=False, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("setting", no_wrap=True)
    for heading in ("AccelForge's first", "the fastest", "bound", "gain"):
        table.add_column(heading, justify="right", no_wrap=True)
    for setting in SETTINGS:
        ranked = rerank(mappings, quiet=True, **setting.options)
        first = ranked.loc[ranked.attrs["accelforge_winner"]]
        best = ranked.loc[ranked.attrs["winner"]]
        gain = first["latency"] / best["latency"] - 1
        table.add_row(
            setting.name,
            latencies(first),
            latencies(best),
            "reached"
            if best["latency"] == best["resource_bound"]
            else f"{best['resource_bound']:,.0f}",
            f"{gain:.1%}" if gain else "-",
        )
    return table


def latencies(row: Any) -> str:
    """Format the number of a mapping, AccelForge's latency and polylat's latency."""
    return f"{row.name}: {row['accelforge']:,.0f} -> {row['latency']:,.0f}"


def main(names: Sequence[str]) -> None:
    """Search, rank, and prove the fastest schedule."""
    console = Console(width=80)
    for name in names:
        mappings = search(problem(name))
        console.print(story(name, mappings))
        found = best(mappings, pipelined=True)
        print(str(found.report).partition("\n\n")[0])  # print(found.report) for the full report
        print(str(found.report.verify()).partition("\n")[0])
        live = problem(name)
        live.mapping = found.mapping  # AccelForge evaluates Pipelines as Sequentials
        print(f"AccelForge's figure for it: {live.evaluate_mapping().latency():,}\n")


if __name__ == "__main__":
    main(sys.argv[1:] or ["tapped", "attention"])
