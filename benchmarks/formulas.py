"""Points per second: a formula of arrays, against `analyze` and AccelForge's figure per point."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import polylat

__all__ = ["FormulaFigures", "formula_figures"]

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True)
class FormulaFigures:
    """Times of one formula.

    Parameters
    ----------
    name
        The mapping.
    derived
        Seconds to derive the formula.
    points
        Number of points in the arrays.
    per_second
        Points per second of the formula, on one core.
    analyze, roofline
        Points per second of `polylat.analyze` and `polylat.roofline`, on the input with changed
        values.
    agree
        Whether the formula and `analyze` have the same latency at all compared points.
    """

    name: str
    derived: float
    points: int
    per_second: float
    analyze: float
    roofline: float
    agree: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dict(vars(self))


def formula_figures(name: str, points: int, compared: int, **options: Any) -> FormulaFigures:
    """Measure one formula in a size and in the throughput of DRAM.

    Parameters
    ----------
    name
        Name of a mapping of the examples.
    points
        Number of points in the arrays.
    compared
        Number of points to analyze.
    **options
        Options of `analyze`.

    Returns
    -------
    FormulaFigures
        The best of three runs on arrays.
    """
    files = [EXAMPLES / f"{file}.yaml" for file in ("arch", "workload", name)]
    spec = polylat.load(*files)
    start = perf_counter()
    formula = polylat.symbolic(spec, ["M", "DRAM.throughput"], **options)
    fast = formula.lambdify()
    fast(M=1, DRAM_throughput=1)
    derived = perf_counter() - start
    chance = np.random.default_rng(1)
    sizes = chance.integers(1, 1000, points)
    throughputs = chance.integers(1, 64, points)
    best = min(_timed(lambda: fast(M=sizes, DRAM_throughput=throughputs)) for _ in range(3))
    found = fast(M=sizes, DRAM_throughput=throughputs)
    options = {**options, "granularity": formula.options["granularity"]}
    specs = []
    for k in range(compared):
        at = spec
        for parameter, value in zip(
            formula.parameters, (int(sizes[k]), int(throughputs[k])), strict=True
        ):
            at = parameter.apply(
                at, value if parameter.kind == "size" else parameter.coordinate(value)
            )
        specs.append(at)
    start = perf_counter()
    latencies = [polylat.analyze(at, **options).latency for at in specs]
    analyzed = perf_counter() - start
    start = perf_counter()
    for at in specs:
        polylat.roofline(at)
    rooflines = perf_counter() - start
    agree = all(
        np.isnan(value) or float(latency) == value
        for latency, value in zip(latencies, found, strict=False)
    )
    return FormulaFigures(
        name, derived, points, points / best, compared / analyzed, compared / rooflines, agree
    )


def _timed(run: Any) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start
