"""`analyze` and the report page on workloads of real size: as they are, and with Pipelines.

The cases are the ``auto_*`` and ``map_ex_*`` of AccelForge's corpus (POLYLAT_CORPUS names the
folder). A case that fails is a row with its error.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
"""Small cases among the project's own, so that they are there without the corpus."""


@dataclass(frozen=True)
class Row:
    """A case.

    Parameters
    ----------
    case, splits
        Its name, and what its splits are: ``"as written"``, ``"Pipeline"`` or ``"none"``.
    seconds, warm
        Median times of `analyze`: with empty caches, and with what the run before left in them.
        Where it failed, the time until then.
    page
        Median processor time of the report's page, with empty caches: to load, to analyse and to
        make the page; 0 where the analysis failed.
    answer
        What `analyze` says, None where it raises an error.
    error
        That error.
    """

    case: str
    splits: str
    seconds: float
    warm: float | None = None
    page: float = 0.0
    answer: Answer | None = None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return vars(self) | {"answer": self.answer and self.answer.to_dict()}


def real_size(
    folder: Path = CORPUS, patterns: Sequence[str] = PATTERNS, repeats: int = 5
) -> list[Row] | None:
    """Analyse every case of a folder.

    Parameters
    ----------
    folder
        Where the cases are.
    patterns
        Which of its files they are.
    repeats
        How often each is run.

    Returns
    -------
    list of Row, or None
        One per case, and one more with every split as Pipeline where that makes a difference. None
        if there is no such folder.
    """
    if not folder.is_dir():
        return None
    rows = []
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        took, spec, error = _tried(lambda path=path: load(path))  # type: ignore[misc]
        if spec is None:
            rows.append(Row(path.stem, "", took, error=f"when loaded: {error}"))
            continue
        whole = replace(spec, mapping=spec.mapping.with_pipelines())
        splits = "none" if isinstance(spec.mapping.end, Compute) else "as written"
        rows.append(_row(path, splits, spec, repeats))
        if whole != spec:
            rows.append(_row(path, "Pipeline", whole, repeats))
    return rows


def _row(path: Path, splits: str, spec: Spec, repeats: int) -> Row:
    case = path.stem
    fresh, warm, page = [], [], []
    for _ in range(repeats):
        forget()
        took, answer, error = _tried(lambda: _analyzed(spec))
        if answer is None:
            return Row(case, splits, took, error=error)
        fresh.append(took)
        took, again = seconds(lambda: _analyzed(spec))
        warm.append(took)
        assert again == answer, f"{case}: {again} from caches, not {answer}"
    for _ in range(repeats):
        forget()
        page.append(processor_seconds(lambda: _page(path, splits)))
    first, later, whole = map(statistics.median, (fresh, warm, page))
    return Row(case, splits, first, later, whole, answer)


def _analyzed(spec: Spec) -> Answer:
    return Answer.of(analyze(spec, granularity="auto"))


def _page(path: Path, splits: str) -> str:
    spec = load(path)
    if splits == "Pipeline":
        spec = replace(spec, mapping=spec.mapping.with_pipelines())
    return analyze(spec, granularity="auto").to_html(inputs=[str(path)])


def _tried(run: Callable[[], T]) -> tuple[float, T | None, str]:
    """Time, and result or error."""
    start = perf_counter()
    try:
        took, result = seconds(run)
    except Exception as error:  # noqa: BLE001 - whatever it is, the table shows it
        return perf_counter() - start, None, f"{type(error).__name__}: {error}"
    return took, result, ""


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """How many there are of what, and median and worst times of those that did not fail."""
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
    """Print the rows, and what they come to."""
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
        low = "" if answer.exact else f"≥ {shown(answer.lower_bound)}"
        lines.append(
            (
                row.case,
                row.splits,
                answer.granularity,
                f"{answer.tiles:,}",
                answer.engine,
                shown(answer.latency),
                low,
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
        median, worst = (found[f"{which}_seconds"] * 1000 for which in ("median", "worst"))
        print(f"median {median:,.1f} ms, worst {worst:,.1f} ms: {found['worst']}")
        median, worst = (found[f"{which}_page"] * 1000 for which in ("median", "worst"))
        print(f"page: median {median:,.1f} ms, worst {worst:,.1f} ms: {found['slowest_page']}")
