"""Points per second: a formula of arrays, against `analyze` and AccelForge per point.

``python -m benchmarks.formulas -o FILE`` measures in an environment that has AccelForge.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import polylat

__all__ = ["FormulaFigures", "figures"]

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
    accelforge
        Points per second of AccelForge's `evaluate_mapping`, on the input as it is; None if it is
        not installed.
    agree
        Whether the formula and `analyze` have the same latency at all compared points.
    """

    name: str
    derived: float
    points: int
    per_second: float
    analyze: float
    roofline: float
    accelforge: float | None
    agree: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dict(vars(self))


def figures(*, smoke: bool = False) -> list[FormulaFigures]:
    """Measure formulas of two mappings of the tapped cascade.

    Parameters
    ----------
    smoke
        Whether to take few points.

    Returns
    -------
    list of FormulaFigures
        One per mapping.
    """
    points, compared = (10_000, 10) if smoke else (1_000_000, 100)
    return [
        _figures("untapped", points, compared),
        _figures("tap_resident", points, compared, granularity="tile", background="o2"),
    ]


def _figures(name: str, points: int, compared: int, **options: Any) -> FormulaFigures:
    """Measure one formula in a size and in the throughput of DRAM: the best of three runs."""
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
    theirs = _accelforge(files)
    return FormulaFigures(
        name,
        derived,
        points,
        points / best,
        compared / analyzed,
        compared / rooflines,
        None if theirs is None else 1 / min(_timed(theirs) for _ in range(9)),
        agree,
    )


def _accelforge(files: Sequence[Path]) -> Callable[[], object] | None:
    try:
        import accelforge
    except ImportError:
        return None
    warnings.filterwarnings("ignore", module="accelforge")  # pandas warns of fragmented frames
    evaluated: Callable[[], object] = accelforge.Spec.from_yaml(*map(str, files)).evaluate_mapping
    evaluated()
    return evaluated


def _timed(run: Any) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def main() -> None:
    """Measure, and write the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.formulas", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    output: Path = parser.parse_args().output
    output.write_text(json.dumps([one.to_dict() for one in figures()]), encoding="utf-8")


if __name__ == "__main__":
    main()
