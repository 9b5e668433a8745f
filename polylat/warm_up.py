"""Compile the numeric kernels of explorations and of long analyses in advance."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from polylat.errors import PolylatError
from polylat.explorer import explore
from polylat.report import analyze
from polylat.schedule.compilation import kept_code
from polylat.spec import Spec

__all__ = ["warm_up"]

_TRIPS = (6, 1_000_000)
"""Numbers of iterations of a loop that is visited, and of one that is sampled."""

_LONG = (10**5, 10**10)
"""Times of an action that need 32 and 64 bits; others have 16."""


def warm_up() -> tuple[int, int]:
    """Compile what explorations and analyses of many tile iterations need.

    Compiled code is kept in the first folder that can be written to: that of the environment
    variable ``NUMBA_CACHE_DIR``, the folders ``__pycache__`` of the package, the user's folder for
    caches. It is read from all of them, so that an image of a container can have it in a package
    that is read-only later. Without this call, the first exploration compiles it, which takes about
    20 seconds.

    Returns
    -------
    (int, int)
        Number of compiled functions, and how many of them are in memory only, because there is no
        folder that can be written to.
    """
    for trips in _TRIPS:
        for latency in (0, 2):
            spec = Spec.from_dict(_cascade(trips, latency))
            for order in ("program", "skew", "oldest"):
                for staged in ((), "all"):
                    with suppress(PolylatError):  # too large, or a path that cannot be traced
                        report = analyze(spec, order=order, staged=staged)
                        report.sensitivity()
                        report.timeline(fold=True, limit=10)
    for time in _LONG:
        for staged in ((), "all"):
            analyze(Spec.from_dict(_cascade(_TRIPS[0], 0, time)), staged=staged)
    few = Spec.from_dict(_cascade(_TRIPS[0], 0))
    explore(few, slots=[1, 2], staged=True, exhaustive=True, n_jobs=1, progress=False)
    return kept_code()


def _cascade(trips: int, latency: int, time: int = 1) -> dict[str, Any]:
    """Return a Pipeline of two Einsums, with a fixed latency of the computation.

    A value takes a memory a given time.
    """
    actions = [{"name": name, "throughput": f"1/{time}"} for name in ("read", "write")]
    memories = [
        {"type": "Memory", "name": name, "size": "inf", "actions": actions}
        for name in ("DRAM", "SRAM")
    ]
    mac = {"name": "compute", "throughput": 1, "latency": latency}
    stages = [
        {"type": "Nested", "nodes": [{"type": "Compute", "einsum": name, "component": "mac"}]}
        for name in ("e1", "e2")
    ]
    return {
        "workload": {
            "rank_sizes": {"M": trips},
            "bits_per_value": {"All": 1},
            "einsums": [
                {
                    "name": name,
                    "tensor_accesses": [
                        {"name": read, "projection": ["m"]},
                        {"name": written, "projection": ["m"], "output": True},
                    ],
                }
                for name, read, written in (("e1", "a", "b"), ("e2", "b", "c"))
            ],
        },
        "arch": {"nodes": [*memories, {"type": "Compute", "name": "mac", "actions": [mac]}]},
        "mapping": {
            "nodes": [
                {"type": "Storage", "component": "DRAM", "tensors": ["a", "b", "c"]},
                {"type": "Temporal", "rank_variable": "m", "tile_shape": 1},
                {"type": "Storage", "component": "SRAM", "tensors": ["a", "b", "c"]},
                {"type": "Pipeline", "nodes": stages},
            ]
        },
    }
