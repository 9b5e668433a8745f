"""Measure `analyze` and the report page on real-size workloads, as written and with Pipelines.

The cases are the ``auto_*`` and ``map_ex_*`` of AccelForge's corpus (POLYLAT_CORPUS names the
folder). A failed case is a row with its error.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from benchmarks.answer import Answer, shown
from benchmarks.measure import forget, processor_seconds, seconds, table
from polylat.report import analyze
from polylat.spec import Spec
from polylat.spec.mapping import Compute
from polylat.spec.reading.load import load

__all__ = [
    "CORPUS",
    "OURS",
    "PATTERNS",
    "SMOKE_PATTERNS",
    "Row",
    "real_size",
    "show",
    "summary",
]

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
CORPUS = Path(os.environ.get("POLYLAT_CORPUS", ROOT.parent / "shared" / "accelforge-corpus"))
PATTERNS = ("auto_*.yaml", "map_ex_*.yaml")
OURS = ROOT / "tests" / "data" / "accelforge"
SMOKE_PATTERNS = ("map_attn_*.yaml", "t_mm_toll.yaml", "t_chain2_*.yaml")
"""Small cases of the project, for smoke runs without the corpus."""


@dataclass(frozen=True)
class Row:
    """Measurements of one case.

    Parameters
    ----------
    case, splits
        Name of the case, and kind of its splits: ``"as written"``, ``"Pipeline"`` or ``"none"``.
    seconds, warm
        Median times of `analyze`: with empty caches, and with those that the previous run filled.
        For a failed case, the time until it failed.
    page
        Median processor time of the report page, with empty caches: to load, to analyze and to
        write the page; 0 where the analysis failed.
    answer
        Main results of `analyze`; None where it raises an error.
    error
        The error of a failed case; else empty.
    """

    case: str
    splits: str
    seconds: float
    warm: float | None = None
    page: float = 0.0
    answer: Answer | None = None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return vars(self) | {"answer": self.answer and self.answer.to_dict()}


def real_size(
    folder: Path = CORPUS, patterns: Sequence[str] = PATTERNS, repeats: int = 5
) -> list[Row] | None:
    """Analyze every case of a folder.

    Parameters
    ----------
    folder
        The folder.
    patterns
        Patterns of the names of the cases.
    repeats
        Number of runs per case.

    Returns
    -------
    list of Row, or None
        One row per case, and another one with every split as Pipeline if the case has a Sequential
        split. None if the folder does not exist.
    """
    if not folder.is_dir():
        return None
    rows = []
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        took, spec, error = _try(lambda path=path: load(path))  # type: ignore[misc]
        if spec is None:
            rows.append(Row(path.stem, "", took, error=f"cannot load: {error}"))
            continue
        pipelined = spec.with_pipelines()
        splits = "none" if isinstance(spec.mapping.end, Compute) else "as written"
        rows.append(_row(path, splits, spec, repeats))
        if pipelined != spec:
            rows.append(_row(path, "Pipeline", pipelined, repeats))
    return rows


def _row(path: Path, splits: str, spec: Spec, repeats: int) -> Row:
    case = path.stem
    fresh, warm, page = [], [], []
    for _ in range(repeats):
        forget()
        took, answer, error = _try(lambda: _analyze(spec))
        if answer is None:
            return Row(case, splits, took, error=error)
        fresh.append(took)
        took, again = seconds(lambda: _analyze(spec))
        warm.append(took)
        assert again == answer, f"{case}: {again} from caches, not {answer}"
    for _ in range(repeats):
        forget()
        page.append(processor_seconds(lambda: _page(path, splits)))
    fresh_time, warm_time, page_time = map(statistics.median, (fresh, warm, page))
    return Row(case, splits, fresh_time, warm_time, page_time, answer)


def _analyze(spec: Spec) -> Answer:
    return Answer.of(analyze(spec, granularity="auto"))


def _page(path: Path, splits: str) -> str:
    spec = load(path)
    if splits == "Pipeline":
        spec = spec.with_pipelines()
    return analyze(spec, granularity="auto").to_html(inputs=[str(path)])


def _try(run: Callable[[], T]) -> tuple[float, T | None, str]:
    """Return the time of a run, and its result or error."""
    start = perf_counter()
    try:
        took, result = seconds(run)
    except Exception as error:  # noqa: BLE001 - the table shows every error
        return perf_counter() - start, None, f"{type(error).__name__}: {error}"
    return took, result, ""


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the number of rows by outcome, and median and worst times of the successful ones."""
    done = [row for row in rows if row.answer is not None]
    found: dict[str, Any] = {
        "rows": len(rows),
        "failed": len(rows) - len(done),
        "exact": sum(row.answer.exact for row in done if row.answer),
        "largest_gap": max((row.answer.gap for row in done if row.answer), default=0.0),
    }
    if done:
        worst = max(done, key=lambda row: row.seconds)
        found |= {
            "median_seconds": statistics.median(row.seconds for row in done),
            "worst_seconds": worst.seconds,
            "worst": f"{worst.case} ({worst.splits})",
        }
        slowest = max(done, key=lambda row: row.page)
        found |= {
            "median_page": statistics.median(row.page for row in done),
            "worst_page": slowest.page,
            "slowest_page": f"{slowest.case} ({slowest.splits})",
        }
    return found


def show(rows: Sequence[Row]) -> None:
    """Print the rows and their summary."""
    head = ["case", "splits", "granularity", "tile iterations", "engine", "latency", "bound", ""]
    head += ["analyze", "warm", "page"]
    lines = []
    for row in rows:
        times = (row.seconds, row.warm, row.page or None)
        took = [f"{s * 1000:,.1f} ms" if s is not None else "" for s in times]
        if row.answer is None:
            lines.append((row.case, row.splits, "", "", "", "failed", "", "", *took))
            continue
        answer = row.answer
        bound = "" if answer.exact else f"≥ {shown(answer.lower_bound)}"
        lines.append(
            (
                row.case,
                row.splits,
                answer.granularity,
                f"{answer.tiles:,}",
                answer.engine,
                shown(answer.latency),
                bound,
                answer.precision,
                *took,
            )
        )
    print(table(head, lines))
    for row in rows:
        if row.error:
            print(f"{row.case} ({row.splits}): {row.error}")
    found = summary(rows)
    print(f"\n{found['rows']} rows, {found['failed']} failed, {found['exact']} exact", end="")
    print(f", largest gap {found['largest_gap']:.2%}")
    if "worst" in found:
        median, worst = (found[f"{key}_seconds"] * 1000 for key in ("median", "worst"))
        print(f"median {median:,.1f} ms, worst {worst:,.1f} ms: {found['worst']}")
        median, worst = (found[f"{key}_page"] * 1000 for key in ("median", "worst"))
        print(f"page: median {median:,.1f} ms, worst {worst:,.1f} ms: {found['slowest_page']}")
