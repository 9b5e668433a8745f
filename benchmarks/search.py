"""Compare `search` with AccelForge's mapper and `rerank`; and with all mappings of small problems.

``python -m benchmarks.search [NAME…] [-o FILE] [--examples FOLDER]`` needs an environment with
AccelForge (``make accelforge``). FOLDER is the folder ``examples`` of AccelForge's repository, for
the problems on its architectures.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measure import machine, table
from polylat.accelforge import rerank, search
from polylat.accelforge.busy_times import busy_times
from polylat.accelforge.candidates import time_mapping
from polylat.accelforge.engine import join, make_partial_mappings
from polylat.accelforge.joined import KeepBelow, mark_rows
from polylat.report import normalize_input
from polylat.spec.reading.live.convert import MappingsConverter

__all__ = ["all_mappings", "compare", "main"]

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MOST = 100_000
"""Most mappings of a small problem."""

CHAIN = """
workload:
  rank_sizes: {{M: {0}, N0: {1}, N1: {2}, N2: {3}}}
  bits_per_value: {{All: 8}}
  einsums:
    - name: e1
      tensor_accesses:
        - {{name: t0, projection: [m, n0]}}
        - {{name: w1, projection: [n0, n1]}}
        - {{name: t1, projection: [m, n1], output: true}}
    - name: e2
      tensor_accesses:
        - {{name: t1, projection: [m, n1]}}
        - {{name: w2, projection: [n1, n2]}}
        - {{name: t2, projection: [m, n2], output: true}}
"""
ATTENTION = """
workload:
  rank_sizes: {H: 4, M: 256, P: 256, E: 64, F: 64}
  bits_per_value: {All: 8}
  einsums:
    - name: QK
      tensor_accesses:
        - {name: Q, projection: [h, m, e]}
        - {name: K, projection: [h, p, e]}
        - {name: S, projection: [h, m, p], output: true}
      renames: {input: Q, weight: K, output: S}
    - name: softmax
      tensor_accesses:
        - {name: S, projection: [h, m, p]}
        - {name: A, projection: [h, m, p], output: true}
      renames: {input: S, weight: Nothing, output: A}
    - name: AV
      tensor_accesses:
        - {name: A, projection: [h, m, p]}
        - {name: V, projection: [h, p, f]}
        - {name: Y, projection: [h, m, f], output: true}
      renames: {input: A, weight: V, output: Y}
"""
SMALL = {
    "2 x 2 x 2 x 2": (2, 2, 2, 2),
    "4 x 2 x 2 x 2": (4, 2, 2, 2),
    "4 x 4 x 2 x 4": (4, 4, 2, 4),
}
"""Two matrix multiplications: M, N0, N1, N2; with an SRAM of 200 bits."""


@dataclass(frozen=True)
class Row:
    """A problem, as AccelForge's mapper, `rerank` and `search` solve it.

    Parameters
    ----------
    problem
        Its name.
    mapper_seconds, mappings
        Time of AccelForge's mapper, and the number of its mappings.
    first
        Latency of AccelForge's first choice, with Pipelines.
    reranked, rerank_seconds
        Latency of the fastest of its mappings, and the time of `rerank`.
    found, bound, search_seconds
        Latency and lower bound of `search`, and its time.
    joined, timed
        Numbers of its mappings.
    """

    problem: str
    mapper_seconds: float
    mappings: int
    first: float
    reranked: float
    rerank_seconds: float
    found: float
    bound: float
    search_seconds: float
    joined: int
    timed: int


@dataclass(frozen=True)
class SmallRow:
    """A small problem, of which all mappings are analyzed.

    Parameters
    ----------
    problem
        Its name.
    kept, best_of_kept
        Number of mappings that the partial mappings that AccelForge keeps can form, and the least
        latency.
    every, best_of_every
        The same of all partial mappings.
    found
        Latency of `search`.
    """

    problem: str
    kept: int
    best_of_kept: float
    every: int
    best_of_every: float
    found: float


def problems(examples: Path | None) -> dict[str, Callable[[], Any]]:
    """Return the problems, as AccelForge's Specs."""
    import accelforge as af

    def motivating(tapped: bool, size: int = 8) -> Any:
        files = [(EXAMPLES / f"{name}.yaml").read_text("utf-8") for name in ("workload", "arch")]
        spec = _of_text(
            files[0].replace(": 8,", f": {size},").replace("N3: 8", f"N3: {size}"), files[1]
        )
        if tapped:
            spec.arch.nodes["DRAM"].tensors.keep = "(~Intermediates) | o2"
        return spec

    def mapper(name: str) -> Any:
        folder = EXAMPLES / "mapper"
        return af.Spec.from_yaml(str(folder / "arch.yaml"), str(folder / f"{name}.yaml"))

    found: dict[str, Callable[[], Any]] = {
        "untapped": lambda: motivating(False),
        "tapped": lambda: motivating(True),
        "16 x 16 x 16": lambda: motivating(False, 16),
        "attention": lambda: mapper("attention"),
        "mlp": lambda: mapper("mlp"),
        "chain": lambda: mapper("chain"),
    }
    if examples is not None:
        found["tpu_v4i"] = lambda: _of_text(
            ATTENTION, (examples / "arches" / "tpu_v4i.yaml").read_text(encoding="utf-8")
        )
    return found


def compare(name: str, spec: Any) -> Row:
    """Solve a problem by AccelForge's mapper, by `rerank` and by `search`."""
    metrics = type(spec.mapper.metrics)
    spec.mapper.metrics = metrics.LATENCY | metrics.ENERGY | metrics.RESOURCE_USAGE
    with _quiet():
        start = perf_counter()
        mappings = spec.map_workload_to_arch(print_progress=False)
        mapper_seconds = perf_counter() - start
    start = perf_counter()
    ranked: Any = rerank(mappings, quiet=True, pipelined=True)
    rerank_seconds = perf_counter() - start
    start = perf_counter()
    found = search(spec, progress=False)
    return Row(
        name,
        mapper_seconds,
        len(mappings),
        float(ranked.loc[ranked.attrs["accelforge_winner"], "latency"]),
        float(ranked.loc[ranked.attrs["winner"], "latency"]),
        rerank_seconds,
        float(found.value),
        float(found.lower_bound),
        perf_counter() - start,
        len(found.table),
        found.timed,
    )


def all_mappings(name: str, sizes: Sequence[int]) -> SmallRow:
    """Analyze all mappings of a small problem."""
    arch = (EXAMPLES / "mapper" / "arch.yaml").read_text(encoding="utf-8")
    spec = _of_text(CHAIN.format(*sizes), arch, sram=200)
    counts, latencies = [], []
    for keep_all in (False, True):
        count, latency = _least(spec, keep_all=keep_all)
        counts.append(count)
        latencies.append(latency)
    found = search(spec, progress=False, n_jobs=1)
    return SmallRow(name, counts[0], latencies[0], counts[1], latencies[1], float(found.value))


def _least(spec: Any, *, keep_all: bool) -> tuple[int, float]:
    """Return the number of mappings and the least latency of those that fit."""
    metrics = type(spec.mapper.metrics)
    spec.mapper.metrics = metrics.LATENCY | metrics.ENERGY | metrics.RESOURCE_USAGE
    busy = busy_times(spec, pipelined=True)
    partial = make_partial_mappings(spec, busy, n_jobs=1, cache=None, keep_all=keep_all)
    mark_rows(partial)
    mappings = join(partial, spec.mapper.metrics, n_jobs=1, keep=KeepBelow(None, (), {}, MOST))
    converter = MappingsConverter(mappings)
    timed = [
        time_mapping(*normalize_input(converter.spec(number), {"pipelined": True}))
        for number in range(len(mappings))
    ]
    return len(timed), float(min(one.latency for one in timed if one.fits))


def _of_text(workload: str, arch: str, **variables: Any) -> Any:
    import accelforge as af

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, "arch.yaml"), Path(folder, "workload.yaml")]
        for file, text in zip(files, (arch, workload), strict=True):
            file.write_text(text, encoding="utf-8")
        return af.Spec.from_yaml(*map(str, files), jinja_parse_data=variables)


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for the drawings of AccelForge's mapper, whose workers outlive a search."""
    return tempfile.TemporaryDirectory()


@contextlib.contextmanager
def _quiet() -> Any:
    with contextlib.chdir(_scratch().name), contextlib.redirect_stdout(io.StringIO()):
        yield


def _seconds(value: float) -> str:
    return f"{value:.3g} s"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("names", nargs="*", help="problems, or `small` (default: all)")
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--examples", type=Path, help="AccelForge's folder of examples")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    known = problems(options.examples)
    names = options.names or [*known, "small"]
    if unknown := [name for name in names if name not in (*known, "small")]:
        parser.error(f"there is no problem {unknown[0]!r}; there are {', '.join(known)}, small")
    rows = [compare(name, known[name]()) for name in names if name != "small"]
    small = [all_mappings(*one) for one in SMALL.items()] if "small" in names else []
    if rows:
        print(
            table(
                ["problem", "mapper", "first", "rerank", "", "search", "", "bound", "gain"],
                [
                    [
                        row.problem,
                        f"{row.mappings} in {_seconds(row.mapper_seconds)}",
                        f"{row.first:,.6g}",
                        f"{row.reranked:,.6g}",
                        _seconds(row.rerank_seconds),
                        f"{row.found:,.6g}",
                        f"{row.timed} of {row.joined} in {_seconds(row.search_seconds)}",
                        f"{row.bound:,.6g}",
                        f"{row.first / row.found:.3f}",
                    ]
                    for row in rows
                ],
            )
        )
    if small:
        print(
            table(
                ["problem", "kept", "best", "all", "best", "search"],
                [
                    [
                        row.problem,
                        f"{row.kept:,}",
                        f"{row.best_of_kept:,}",
                        f"{row.every:,}",
                        f"{row.best_of_every:,}",
                        f"{row.found:,}",
                    ]
                    for row in small
                ],
            )
        )
    if options.output is not None:
        figures = {
            "machine": machine(),
            "problems": [asdict(row) for row in rows],
            "small": [asdict(row) for row in small],
        }
        options.output.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
