"""Measure run times of interleaved runs, so that other load slows all tools alike."""

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
    """Run times of a function, and its result.

    Parameters
    ----------
    times
        Seconds per run.
    result
        Result of every run.
    """

    times: tuple[float, ...]
    result: object

    @property
    def median(self) -> float:
        """Median run time in seconds."""
        return statistics.median(self.times)


def interleaved(
    runs: Mapping[str, Callable[[], object]], repeats: Mapping[str, int]
) -> dict[str, Measured]:
    """Run several functions in turn.

    Parameters
    ----------
    runs
        Name → function to run.
    repeats
        Name → number of runs.

    Returns
    -------
    dict
        Name → run times and result.

    Raises
    ------
    AssertionError
        A function returns different results in different runs.
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
    """Run a function without garbage collection; return its seconds and its result."""
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
    """Return the processor time of one run, in seconds, garbage collection included."""
    gc.collect()
    start = process_time()
    run()
    return process_time() - start


def forget() -> None:
    """Clear the caches of all functions of polylat, as in a new process."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "polylat":
            for value in list(vars(module).values()):
                clear = getattr(value, "cache_clear", None)
                if callable(clear) and not isinstance(value, type):
                    clear()


def machine() -> dict[str, Any]:
    """Describe the machine and the versions of the packages."""
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
    """Format columns of text, the first one aligned left and the others right."""
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, rule, *rows]
    )
