"""Measuring run time: medians of interleaved runs, so that a busy machine slows all sides alike."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter, process_time
from typing import Any, TypeVar

T = TypeVar("T")

__all__ = ["Measured", "forget", "interleaved", "machine", "processor_seconds", "seconds", "table"]


@dataclass(frozen=True)
class Measured:
    """What several runs of one thing took, and what it gave.

    Parameters
    ----------
    times
        Seconds of each run.
    result
        What every run returned.
    """

    times: tuple[float, ...]
    result: object

    @property
    def median(self) -> float:
        """Median of the times."""
        return statistics.median(self.times)


def interleaved(
    runs: Mapping[str, Callable[[], object]], repeats: Mapping[str, int]
) -> dict[str, Measured]:
    """Run several things in turn, each so many times.

    Parameters
    ----------
    runs
        Name → what to run.
    repeats
        Name → how often.

    Returns
    -------
    dict
        Name → times and result.

    Raises
    ------
    AssertionError
        Something gives different results in different runs.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    results: dict[str, object] = {}
    for turn in range(max(repeats.values())):
        for name, run in runs.items():
            if turn < repeats[name]:
                took, result = seconds(run)
                times[name].append(took)
                assert results.setdefault(name, result) == result, f"{name} is not repeatable"
    return {name: Measured(tuple(times[name]), results[name]) for name in runs}


def seconds(run: Callable[[], T]) -> tuple[float, T]:
    """Time of one run without the garbage collector's, and what it returned."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        start = perf_counter()
        result = run()
        return perf_counter() - start, result
    finally:
        if enabled:
            gc.enable()


def processor_seconds(run: Callable[[], object]) -> float:
    """Processor time of one run, the garbage collector's included."""
    gc.collect()
    start = process_time()
    run()
    return process_time() - start


def forget() -> None:
    """Empty every cache of polylat's functions, as in a process that has analysed nothing."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "polylat":
            for value in list(vars(module).values()):
                clear = getattr(value, "cache_clear", None)
                if callable(clear):
                    clear()


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: _version(name) for name in _PACKAGES},
    }


_PACKAGES = ("polylat", "numpy", "numba", "islpy", "networkx", "rustworkx", "simpy")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first aligned left and the others right."""
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, rule, *rows]
    )
