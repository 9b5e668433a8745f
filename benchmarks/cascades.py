"""Time by phase and peak memory of `analyze`, for 10³ to 10⁶ tile iterations.

Each size runs in a separate process (``python -m benchmarks.cascades ROWS REPEATS``), so that peak
memory is measured for this size alone.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.cases import cascade
from benchmarks.measure import seconds
from polylat.engine.model import build
from polylat.lowering.lowered import lower
from polylat.lowering.transfers import TransferOptions
from polylat.report import analyze
from polylat.schedule.timing import ORDERS

__all__ = ["cascades", "phases"]

ROOT = Path(__file__).resolve().parent.parent
MAX_TILES = 10**9


def cascades(rows: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Measure several sizes, each in a separate process."""
    found = []
    for count in rows:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.cascades", str(count), str(repeats)],
            check=True,
            capture_output=True,
            cwd=ROOT,
            text=True,
        )
        found.append(json.loads(done.stdout))
    return found


def phases(rows: int, repeats: int) -> dict[str, Any]:
    """Measure one size in this process.

    Returns
    -------
    dict
        Sizes of the task graph; median seconds by phase and of `analyze` as a whole; and the peak
        memory of the process in MiB, before and after the runs.
    """
    _run_phases(1)
    before = _peak_mib()
    runs = [_run_phases(rows) for _ in range(repeats)]
    medians = {
        phase: statistics.median(run["seconds"][phase] for run in runs)
        for phase in runs[0]["seconds"]
    }
    return runs[0] | {
        "rows": rows,
        "seconds": medians,
        "baseline_mib": round(before),
        "peak_mib": round(_peak_mib()),
    }


def _run_phases(rows: int) -> dict[str, Any]:
    """Run every phase once, then `analyze` and the properties of its report."""
    spec = cascade(rows)
    options = TransferOptions(background=frozenset({("o2", "SRAM")}))
    took: dict[str, float] = {}

    took["lower"], lowered = seconds(lambda: lower(spec, "full", options))
    took["build"], model = seconds(partial(build, lowered, options))
    for order in (*ORDERS, None):
        took[order or "no ports"], timing = seconds(partial(model.plan.time, order))
    size = {
        "iterations": model.graph.iterations,
        "blocks": model.graph.blocks,
        "tasks": model.graph.tasks,
        "edges": len(model.graph.edge_source),
    }
    del lowered, model, timing  # free memory: only `analyze` and its report count for the peak
    took["analyze"], report = seconds(
        lambda: analyze(spec, granularity="full", background="o2", max_tiles=MAX_TILES)
    )
    took["critical totals"], _ = seconds(lambda: report.critical_totals)
    took["occupancy"], _ = seconds(lambda: report.occupancy)
    return size | {"latency": str(report.latency), "seconds": took}


def _peak_mib() -> float:
    """Return the peak memory of this process, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike that of `getrusage`, this peak does not include the memory of the parent process.
        lines = dict(line.split(":", 1) for line in status.read_text("ascii").splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**2


if __name__ == "__main__":
    print(json.dumps(phases(int(sys.argv[1]), int(sys.argv[2]))))
