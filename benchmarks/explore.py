"""Compare `explore` with `analyze` and AccelForge; one and two processes; tile shapes.

``python -m benchmarks.explore [-o FILE] [--smoke]``. Where AccelForge is installed, its
``evaluate_mapping`` runs in turn with polylat's functions, on the same files.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from operator import truediv
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from benchmarks import fused
from benchmarks.measure import machine, seconds, table
from polylat.exploration import evaluate
from polylat.explorer import Exploration, explore
from polylat.report import analyze
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
LARGE: dict[str, tuple[Callable[[], Spec], dict[str, Any]]] = {
    "64 tile shapes, splits, 3 numbers of slots": (
        lambda: Spec.from_dict(fused.chain(128)),
        {
            "granularity": "tile",
            "slots": [1, 2, 3],
            "tiles": {"m": [16, 32, 64, 128], "n1#1": [4, 8, 16, 32], "n2#1": [4, 8, 16, 32]},
        },
    ),
    "map_mlp_a2_small flow, 10 numbers of slots": (
        lambda: load(OURS / "map_mlp_a2_small.yaml"),
        {"granularity": "flow", "slots": range(1, 11)},
    ),
}
"""Spaces for two processes: one with many tile shapes; and one with two cells, of which one has
nearly all of the work, most of it shared by its variants."""
SHAPES: dict[str, dict[str, Any]] = {
    "7 tile shapes": {"splits": False, "background": False},
    "7 tile shapes, splits, write-backs, 3 numbers of slots": {"slots": [1, 2, 3]},
}


@dataclass(frozen=True)
class Row:
    """Measurements of one space.

    Parameters
    ----------
    name, granularity, variants, tiles
        The case and the granularity; the number of variants, and of tile iterations per variant.
    explore
        Seconds per variant of an exhaustive `explore` without caches, lowering included.
    pruned
        Seconds of `explore` with bounds ÷ number of variants, including those excluded.
    excluded
        Number of variants that the bounds exclude.
    analyze
        Seconds of `analyze` per variant: the median over sampled variants of the median over runs.
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
    """Measure every space; `explore` and `analyze` must return equal latencies."""
    rows = []
    for name, granularity in cases:
        path = OURS / f"{name}.yaml"
        spec = load(path)
        theirs = _accelforge(path)
        found = _explore(spec, granularity)  # warm up, and the expected results
        step = max(1, found.variants // sample)
        sampled = found.results[::step]
        times: dict[str, list[float]] = {"explore": [], "pruned": [], "theirs": []}
        analyze_times: list[list[float]] = [[] for _ in sampled]
        for _ in range(turns):
            took, again = seconds(lambda: _explore(spec, granularity))  # noqa: B023
            assert again.results == found.results
            times["explore"].append(took / found.variants)
            took, pruned = seconds(lambda: _explore(spec, granularity, exhaustive=False))  # noqa: B023
            assert pruned.front == found.front
            times["pruned"].append(took / found.variants)
            for result, runs in zip(sampled, analyze_times, strict=True):
                took, report = seconds(lambda: analyze(result.spec))  # noqa: B023
                assert report.latency == result.latency
                runs.append(took)
            if theirs is not None:
                times["theirs"].append(seconds(theirs)[0])
        rows.append(
            Row(
                name,
                granularity,
                found.variants,
                sampled[0].report.tiles,
                statistics.median(times["explore"]),
                statistics.median(times["pruned"]),
                pruned.excluded,
                statistics.median(map(statistics.median, analyze_times)),
                statistics.median(times["theirs"]) if theirs is not None else None,
            )
        )
    return rows


def _explore(spec: Spec, granularity: str, *, exhaustive: bool = True) -> Exploration:
    """Explore with empty caches, except those of ISL's relations, which `analyze` has as well."""
    evaluate.clear_cache()
    return explore(spec, granularity=granularity, slots=SLOTS, exhaustive=exhaustive, n_jobs=1)


def _accelforge(path: Path) -> Callable[[], object] | None:
    try:
        import accelforge
    except ImportError:
        return None
    warnings.filterwarnings("ignore", module="accelforge")  # pandas warns of fragmented frames
    spec = accelforge.Spec.from_yaml(str(path))
    spec.evaluate_mapping()
    evaluated: Callable[[], object] = spec.evaluate_mapping
    return evaluated


def scaling(turns: int = 9) -> list[dict[str, Any]]:
    """Measure one process, two running worker processes, and the best ratio that is possible.

    Cores may differ in speed, in particular on a shared machine. Therefore the single process runs
    on each of two cores in turn, and the mean of the two speeds counts; ratios are computed per
    turn.

    Even independent processes share caches, memory bandwidth and power. The `ceiling` measures
    this: twice the time of one process ÷ that of two simultaneous ones,
    each of which does all of the work.
    """
    return [{"space": name, **_scaling(*large, turns)} for name, large in LARGE.items()]


def _scaling(make: Callable[[], Spec], options: dict[str, Any], turns: int) -> dict[str, Any]:
    import joblib

    spec = make()
    pool = joblib.Parallel(n_jobs=2, batch_size=1)
    alone = joblib.delayed(_explore_in_one_process)
    expected = explore(spec, n_jobs=2, exhaustive=True, **options)  # starts the workers
    pool(alone(spec, options) for _ in range(2))  # lets both load all code

    def measure(jobs: int) -> float:
        """Return the seconds of `jobs` processes; 0: of two that do all of the work each."""
        pool(joblib.delayed(_clear_caches)() for _ in range(8))
        evaluate.clear_cache()
        if not jobs:
            return seconds(lambda: pool(alone(spec, options) for _ in range(2)))[0]
        time, found = seconds(lambda: explore(spec, n_jobs=jobs, exhaustive=True, **options))
        assert found.results == expected.results
        return time

    ones, twos, aparts = [], [], []
    for _ in range(turns):
        ones_by_core = []
        for core in _cores():
            with _pinned_to(core):
                ones_by_core.append(measure(1))
        ones.append(statistics.harmonic_mean(ones_by_core))
        twos.append(measure(2))
        aparts.append(measure(0))
    return {
        "variants": expected.variants,
        "one": statistics.median(ones),
        "two": statistics.median(twos),
        "apart": statistics.median(aparts),
        "ratio": statistics.median(map(truediv, ones, twos)),
        "ceiling": 2 * statistics.median(map(truediv, ones, aparts)),
    }


def _cores() -> Sequence[int | None]:
    """Return two cores; None where the system cannot pin a process to a core."""
    return sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else [None]


@contextmanager
def _pinned_to(core: int | None) -> Iterator[None]:
    """Pin this process to a core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _explore_in_one_process(spec: Spec, options: dict[str, Any]) -> int:
    return explore(spec, n_jobs=1, exhaustive=True, **options).evaluated


def _clear_caches() -> None:
    sleep(0.02)  # so that each of the two processes gets some of the calls
    evaluate.clear_cache()


def tile_shapes(turns: int = 3) -> list[dict[str, Any]]:
    """Measure variants of several tile shapes, for each of which the mapping is lowered again."""
    spec = Spec.from_dict(fused.chain(16))
    rows: list[dict[str, Any]] = []
    for name, more in SHAPES.items():
        options = {"tiles": {"m": [1, 2, 4, 8, 16, 32, 64]}, "granularity": "tile", **more}
        found = explore(spec, exhaustive=True, n_jobs=1, **options)
        times, analyze_times = [], []
        for _ in range(turns):
            evaluate.clear_cache()
            start = perf_counter()
            explore(spec, exhaustive=True, n_jobs=1, **options)
            times.append((perf_counter() - start) / found.variants)
            for result in found.results[:: max(1, found.variants // 7)]:
                took, report = seconds(lambda: analyze(result.spec))  # noqa: B023
                assert report.latency == result.latency
                analyze_times.append(took)
        explored, analyzed = statistics.median(times), statistics.median(analyze_times)
        rows.append(
            {
                "space": name,
                "variants": found.variants,
                "explore": explored,
                "analyze": analyzed,
                "ratio": analyzed / explored,
            }
        )
    return rows


def show(
    rows: Sequence[Row],
    pairs: Sequence[dict[str, Any]] | None,
    shapes: Sequence[dict[str, Any]] | None,
) -> None:
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
    print(f"variants excluded by bounds: {excluded or 'none'}")
    for pair in pairs or ():
        print(
            f"{pair['space']}, {pair['variants']:,} variants:"
            f" one process {pair['one']:.2f} s, two {pair['two']:.2f} s: {pair['ratio']:.2f}×;"
            f" all of the work in each of two at once {pair['apart']:.2f} s:"
            f" at most {pair['ceiling']:.2f}×"
        )
    for space in shapes or ():
        print(
            f"{space['space']}: {space['variants']:,} variants,"
            f" explore {1e3 * space['explore']:.2f} ms per variant,"
            f" analyze {1e3 * space['analyze']:.1f} ms: {space['ratio']:.1f}×"
        )


def figures(*, smoke: bool) -> dict[str, Any]:
    """Run all measurements and print them."""
    rows = explorations(SMOKE, 3, 1) if smoke else explorations()
    pairs = None if smoke else scaling()
    shapes = None if smoke else tile_shapes()
    show(rows, pairs, shapes)
    return {"spaces": [asdict(row) for row in rows], "scaling": pairs, "tile_shapes": shapes}


def main() -> None:
    """Run all measurements, print them, and write them as JSON."""
    parser = argparse.ArgumentParser(description="Measure explore.")
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON here")
    parser.add_argument("--smoke", action="store_true", help="one small space only")
    options = parser.parse_args()
    found = {"machine": machine()} | figures(smoke=options.smoke)
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
