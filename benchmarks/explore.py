"""`explore`: variants per second, beside `analyze` and AccelForge; two workers; tile shapes.

``python -m benchmarks.explore [-o FILE] [--smoke]``. Where AccelForge is installed, its
``evaluate_mapping`` runs in turn with the others, on the same files.
"""

from __future__ import annotations

import argparse
import json
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measure import machine, seconds, table
from polylat.analysis import analyze
from polylat.exploration import Exploration, evaluate, explore
from polylat.spec import Spec
from polylat.spec.reading.load import load

__all__ = ["explorations", "figures", "scaling", "show", "tile_shapes"]

OURS = Path(__file__).resolve().parent.parent / "tests" / "data" / "accelforge"
CASES: tuple[tuple[str, str], ...] = (
    ("issue_o2_to_dram", "tile"),
    ("issue_o2_to_dram", "flow"),
    ("map_attn_a2", "tile"),
    ("map_attn_a2", "flow"),
    ("map_chain3_uneven", "tile"),
    ("map_chain3_uneven", "flow"),
    ("t_chain3_fused_m2", "tile"),
    ("t_chain3_fused_m2", "flow"),
)
SMOKE = CASES[:1]
SLOTS = range(1, 5)
SAMPLE = 6
LARGE: dict[str, Any] = {"granularity": "flow", "slots": range(1, 6)}
SMALL: dict[str, Any] = {"granularity": "tile", "slots": range(1, 3)}


@dataclass(frozen=True)
class Row:
    """One space.

    Parameters
    ----------
    name, granularity, variants, tiles
        The case; the number of variants, and of tile iterations of each.
    explore
        Seconds per variant of `explore`, all of them evaluated, from nothing: lowering and all.
    pruned
        Seconds of `explore` with the bounds ÷ number of variants, whether evaluated or excluded.
    excluded
        How many of them the bounds excluded.
    analyze
        Seconds of `analyze` of a variant: the median of some, each the median of some runs.
    accelforge
        Seconds of AccelForge's `evaluate_mapping`; None where it is not installed.
    """

    name: str
    granularity: str
    variants: int
    tiles: int
    explore: float
    pruned: float
    excluded: int
    analyze: float
    accelforge: float | None


def explorations(
    cases: Sequence[tuple[str, str]] = CASES, sample: int = SAMPLE, turns: int = 3
) -> list[Row]:
    """Measure spaces; the results of `explore` must be those of `analyze`."""
    rows = []
    for name, granularity in cases:
        path = OURS / f"{name}.yaml"
        spec = load(path)
        theirs = _accelforge(path)
        found = _explore(spec, granularity)  # what only the first run costs
        step = max(1, found.variants // sample)
        some = found.results[::step]
        times: dict[str, list[float]] = {"explore": [], "pruned": [], "theirs": []}
        each: list[list[float]] = [[] for _ in some]
        for _ in range(turns):
            took, again = seconds(lambda: _explore(spec, granularity))  # noqa: B023
            assert again.results == found.results
            times["explore"].append(took / found.variants)
            took, few = seconds(lambda: _explore(spec, granularity, exhaustive=False))  # noqa: B023
            assert few.front == found.front
            times["pruned"].append(took / found.variants)
            for result, mine in zip(some, each, strict=True):
                took, report = seconds(lambda: analyze(result.spec))  # noqa: B023
                assert report.latency == result.latency
                mine.append(took)
            if theirs is not None:
                times["theirs"].append(seconds(theirs)[0])
        rows.append(
            Row(
                name,
                granularity,
                found.variants,
                some[0].report.tiles,
                statistics.median(times["explore"]),
                statistics.median(times["pruned"]),
                few.excluded,
                statistics.median(statistics.median(mine) for mine in each),
                statistics.median(times["theirs"]) if theirs is not None else None,
            )
        )
    return rows


def _explore(spec: Spec, granularity: str, *, exhaustive: bool = True) -> Exploration:
    """Explore with nothing remembered but ISL's relations, which `analyze` remembers, too."""
    evaluate.forget()
    return explore(spec, granularity=granularity, slots=SLOTS, exhaustive=exhaustive, n_jobs=1)


def _accelforge(path: Path) -> Callable[[], object] | None:
    try:
        import accelforge
    except ImportError:
        return None
    warnings.filterwarnings("ignore", module="accelforge")  # pandas finds its frames fragmented
    spec = accelforge.Spec.from_yaml(str(path))
    spec.evaluate_mapping()
    evaluated: Callable[[], object] = spec.evaluate_mapping
    return evaluated


def scaling(options: dict[str, Any] = LARGE, turns: int = 3) -> dict[str, Any]:
    """One process beside two, which are running already."""
    spec = load(OURS / "map_chain3_uneven.yaml")
    times: dict[int, list[float]] = {1: [], 2: []}
    known: Exploration | None = None
    explore(spec, n_jobs=2, **SMALL)  # starts the processes, and loads what is compiled
    for _ in range(turns):
        for jobs, some in times.items():
            evaluate.forget()
            start = perf_counter()
            found = explore(spec, n_jobs=jobs, exhaustive=True, **options)
            some.append(perf_counter() - start)
            assert known is None or found.results == known.results
            known = found
    assert known is not None
    medians = {jobs: statistics.median(some) for jobs, some in times.items()}
    return {
        "variants": known.variants,
        "one": medians[1],
        "two": medians[2],
        "ratio": medians[1] / medians[2],
    }


def tile_shapes(turns: int = 3) -> dict[str, Any]:
    """Variants that differ in tile shapes, for which the mapping is lowered anew."""
    spec = load(OURS / "map_chain4_a2.yaml")
    shapes = {"m": [1, 2, 4, 8, 16, 32]}
    times = []
    for _ in range(turns):
        evaluate.forget()
        took, found = seconds(
            lambda: explore(spec, granularity="tile", tiles=shapes, exhaustive=True, n_jobs=1)
        )
        times.append(took / max(found.variants, 1))
    legal = [result for result in found.results if result.latency is not None]
    each = [seconds(lambda: analyze(result.spec))[0] for result in legal[:8]]  # noqa: B023
    return {
        "variants": found.variants,
        "legal": len(legal),
        "explore": statistics.median(times),
        "analyze": statistics.median(each),
    }


def show(rows: Sequence[Row], pair: dict[str, Any] | None, shapes: dict[str, Any] | None) -> None:
    """Print the tables."""
    head = ("space", "variants", "tiles", "explore", "variants/s", "analyze", "", "AccelForge", "")
    lines = []
    for row in rows:
        theirs = ("", "")
        if row.accelforge is not None:
            theirs = (f"{1e3 * row.accelforge:.0f} ms", f"{row.accelforge / row.explore:,.0f}×")
        lines.append(
            (
                f"{row.name} {row.granularity}",
                f"{row.variants:,}",
                f"{row.tiles:,}",
                f"{1e6 * row.explore:.0f} µs",
                f"{1 / row.explore:,.0f}",
                f"{1e3 * row.analyze:.1f} ms",
                f"{row.analyze / row.explore:,.0f}×",
                *theirs,
            )
        )
    print(table(head, lines))
    excluded = ", ".join(f"{r.name} {r.granularity} {r.excluded:,}" for r in rows if r.excluded)
    print(f"excluded by their bounds: {excluded or 'none'}")
    if pair is not None:
        print(
            f"two processes on {pair['variants']:,} variants: {pair['one']:.2f} s and"
            f" {pair['two']:.2f} s, {pair['ratio']:.2f}×"
        )
    if shapes is not None:
        print(
            f"tile shapes: {shapes['variants']:,} variants, {1e3 * shapes['explore']:.2f} ms each,"
            f" analyze {1e3 * shapes['analyze']:.1f} ms:"
            f" {shapes['analyze'] / shapes['explore']:.1f}×"
        )


def figures(*, smoke: bool) -> dict[str, Any]:
    """Measure all, and print it."""
    rows = explorations(SMOKE, 3, 1) if smoke else explorations()
    pair = None if smoke else scaling()
    shapes = None if smoke else tile_shapes()
    show(rows, pair, shapes)
    return {"spaces": [asdict(row) for row in rows], "scaling": pair, "tile_shapes": shapes}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Measure explore.")
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--smoke", action="store_true", help="small")
    options = parser.parse_args()
    found = {"machine": machine()} | figures(smoke=options.smoke)
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
