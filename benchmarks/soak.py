"""A day of work in minutes: random inputs through every public function, with the memory watched.

``python -m benchmarks.soak --minutes 20`` (``make soak``) draws random cascades and runs functions
on them until the time is over. It fails if

- the memory of the process is larger by more than a bound in the last third of the time than in the
  first one,
- a cache exceeds its size,
- a fixed set of inputs has other results at the end than at the beginning, or
- a function raises anything but a `PolylatError`.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import json
import pkgutil
import random
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

import polylat
from benchmarks.measure import machine, table
from polylat import PolylatError, Report, Spec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from strategies import cascades, long_cascades  # noqa: E402 - a module of the tests
from threaded_cases import answers  # noqa: E402

__all__ = ["ALLOWED", "Soak", "main"]

ALLOWED = 48
"""MiB by which the memory may grow from the first to the last third of the time, besides that of
caches of arrays: for code that is loaded late, and for gaps between what is in use."""
_BATCH = 10
"""Number of cases of a draw; memory of the generator itself is freed after each."""
_MOST_TILES = 2000
"""Largest number of tile iterations of an analysis: many small cases find more than a few large."""
_SAMPLES = 40
"""Number of samples of the memory."""


def _exchange(spec: Spec) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "spec.yaml")
        file.write_text(spec.to_yaml(), encoding="utf-8")
        assert polylat.load(file).to_yaml() == spec.to_yaml()


def _stored(spec: Spec) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"splits": False, "slots": [1, 2], "max_tiles": _MOST_TILES}
        store = Path(folder, "results")
        first = polylat.explore(spec, store=store, **options)
        assert polylat.explore(spec, store=store, **options).results == first.results


def _symbolic(spec: Spec) -> None:
    component = next(iter(spec.arch.paths.values()))[0]
    str(polylat.symbolic(spec, [f"{component.name}.throughput"]).latency)


def _written(report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report.to_perfetto(Path(folder, "trace.json"), limit=10_000)


def _curve(report: Report) -> None:
    for row in report.sensitivity().components:
        report.curve(row.component)


def _factors(report: Report) -> None:
    report.what_if({row.component: 2 for row in report.sensitivity().components})


def _occupancies(report: Report) -> None:
    for occupancy in report.occupancy:
        report.occupancy_relation(occupancy.component)


def _costs(report: Report) -> None:
    for holder in report.write_backs:
        str(report.cost_of(holder, "out"))


OF_SPEC: dict[str, Callable[[Spec], object]] = {
    "roofline": lambda spec: str(polylat.roofline(spec)),
    "tree": lambda spec: polylat.tree(spec).to_svg(),
    "yaml": _exchange,
    "explore": lambda spec: polylat.explore(spec, slots=[1, 2], max_tiles=_MOST_TILES).to_dict(),
    "explore with a file": _stored,
    "symbolic": _symbolic,
}
"""Functions of an input."""

OF_REPORT: dict[str, Callable[[Report], object]] = {
    "to_dict": lambda report: report.to_dict(steps=None),
    "text": str,
    "to_html": lambda report: report.to_html(sensitivity=False),
    "explain": lambda report: report.explain().to_dict(),
    "verify": lambda report: report.verify().to_dict(),
    "timeline": lambda report: report.timeline(fold=True).to_svg(),
    "timeline in a terminal": lambda report: report.timeline(fold=True).to_text(),
    "to_perfetto": _written,
    "mapping_tree": lambda report: report.mapping_tree().to_svg(),
    "frames": lambda report: (report.accesses_frame(), report.ports_frame()),
    "critical_frame": lambda report: report.critical_frame(),
    "occupancy_frame": lambda report: report.occupancy_frame(),
    "sensitivity": lambda report: report.sensitivity().to_frame(),
    "what_if": _factors,
    "curve": _curve,
    "changes": lambda report: report.changes().best,
    "mechanisms": lambda report: report.mechanisms(),
    "schedule": lambda report: str(report.schedule),
    "occupancy_relation": _occupancies,
    "write_back_costs": _costs,
    "to_networkx": lambda report: report.to_networkx(),
    "refetches": lambda report: report.refetches,
    "compare": lambda report: str(polylat.compare({"a": report, "b": report})),
}
"""Functions of a report."""


@dataclass
class Soak:
    """What was run, and what was measured.

    Parameters
    ----------
    minutes
        The time.
    start
        Number of the first draw.
    """

    minutes: float
    start: int
    calls: Counter[str] = field(default_factory=Counter)
    """Function → number of calls that returned a result."""
    refused: Counter[str] = field(default_factory=Counter)
    """Function → number of calls that raised a `PolylatError`."""
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Function → time of all calls."""
    slowest: list[tuple[float, str]] = field(default_factory=list)
    """Seconds and function of the slowest calls."""
    failures: list[str] = field(default_factory=list)
    """What went wrong."""
    samples: list[dict[str, float]] = field(default_factory=list)
    """Minutes, memory in MiB, of which caches, and number of cases."""
    cases: int = 0

    def run(self) -> None:
        """Run random cases until the time is over, and check what is to hold."""
        before = answers()
        begin = time.monotonic()
        self._sample(0)
        number = self.start
        while (passed := time.monotonic() - begin) < 60 * self.minutes and not self.failures:
            self._draw(number, begin)
            number += 1
            if len(self.samples) * 60 * self.minutes / _SAMPLES <= passed:
                self._sample(passed)
        self._sample(time.monotonic() - begin)
        self._check_memory()
        after = answers()
        self.failures += [f"other results at the end: {n}" for n in before if before[n] != after[n]]

    def _draw(self, number: int, begin: float) -> None:
        @seed(number)
        @settings(
            max_examples=_BATCH,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(long_cascades() if number % 3 == 0 else cascades())
        def batch(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
            if time.monotonic() - begin < 60 * self.minutes:
                self.cases += 1
                self._run_case(*case, random.Random(f"{number} {self.cases}"))

        batch()

    def _run_case(self, data: Any, options: Any, draw: random.Random) -> None:
        spec = self._call("from_dict", lambda: Spec.from_dict(data))
        if spec is None:
            return
        for name in draw.sample(list(OF_SPEC), 2):
            # Formulas and explorations take seconds each.
            if name not in ("symbolic", "explore", "explore with a file") or draw.random() < 0.05:
                self._call(name, lambda name=name: OF_SPEC[name](spec))  # type: ignore[misc]
        limited = {"max_tiles": _MOST_TILES} | options
        report = self._call("analyze", lambda: polylat.analyze(spec, **limited))
        if report is not None:
            for name in draw.sample(list(OF_REPORT), 4):
                self._call(name, lambda name=name: OF_REPORT[name](report))  # type: ignore[misc]

    def _call(self, name: str, function: Callable[[], Any]) -> Any:
        begin = time.process_time()
        try:
            found = function()
        except PolylatError:
            self.refused[name] += 1
            return None
        except Exception:  # noqa: BLE001 - every other error is a failure
            self.failures.append(f"{name}: {traceback.format_exc()}")
            return None
        finally:
            used = time.process_time() - begin
            self.seconds[name] += used
            self.slowest = sorted([*self.slowest, (round(used, 1), name)], reverse=True)[:5]
        self.calls[name] += 1
        return found

    def _sample(self, passed: float) -> None:
        gc.collect()
        _give_back()
        kept = 0
        for name, cache in _caches():
            info = cache.cache_info()
            if hasattr(info, "most"):
                kept += info.size
                if info.size > info.most:
                    self.failures.append(f"the cache of {name} has {info.size:,} bytes")
            elif info.maxsize is not None and info.currsize > info.maxsize:
                self.failures.append(f"the cache of {name} has {info.currsize:,} entries")
        sample = {
            "minutes": passed / 60,
            "memory": _resident(),
            "caches": kept / (1 << 20),
            "cases": self.cases,
        }
        self.samples.append(sample)
        print(
            f"{sample['minutes']:6.1f} min  {sample['memory']:7.1f} MiB  of which caches of arrays"
            f" {sample['caches']:5.1f} MiB  {self.cases:,} cases",
            flush=True,
        )

    def _check_memory(self) -> None:
        grown = self.growth
        if grown > ALLOWED:
            self.failures.append(f"the memory has grown by {grown:.1f} MiB, more than {ALLOWED}")

    @property
    def growth(self) -> float:
        """MiB by which the memory besides caches of arrays has grown, from third to third.

        The medians of the first and of the last third are compared: the peak of one large input is
        no growth.
        """
        used = [sample["memory"] - sample["caches"] for sample in self.samples[1:]]
        third = max(1, len(used) // 3)
        return median(used[-third:]) - median(used[:third])


def _caches() -> Iterator[tuple[str, Any]]:
    """Yield the caches of functions of all modules, by name."""
    for module in pkgutil.walk_packages(polylat.__path__, "polylat."):
        if module.name in sys.modules:
            for name, value in vars(importlib.import_module(module.name)).items():
                if hasattr(value, "cache_info") and not isinstance(value, type):
                    yield f"{module.name}.{name}", value


def _resident() -> float:
    """Return the memory of the process in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / (1 << 20)


def _give_back() -> None:
    """Return free memory to the operating system (glibc)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def main() -> None:
    """Run the soak test; exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, help="write the samples as JSON here")
    given_ = parser.parse_args()
    soak = Soak(given_.minutes, given_.seed)
    soak.run()
    rows = [
        [name, f"{soak.calls[name]:,}", f"{soak.refused[name]:,}", f"{soak.seconds[name]:.0f}"]
        for name in sorted(soak.calls | soak.refused)
    ]
    print(table(["function", "results", "refused", "seconds"], rows))
    print(f"{soak.cases:,} cases; growth from the first to the last third: {soak.growth:.1f} MiB")
    print("Slowest calls:", ", ".join(f"{name} {used} s" for used, name in soak.slowest))
    if given_.output is not None:
        given_.output.write_text(
            json.dumps({"machine": machine(), "samples": soak.samples}, indent=1), encoding="utf-8"
        )
    print("\n".join(soak.failures) or "All checks hold.")
    sys.exit(bool(soak.failures))


if __name__ == "__main__":
    main()
