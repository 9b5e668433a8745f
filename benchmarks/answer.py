"""The results of `analyze` that the benchmarks compare and print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from polylat.numbers import Number
from polylat.report import Report

__all__ = ["Answer", "shown"]


@dataclass(frozen=True)
class Answer:
    """Main results of a report.

    Parameters
    ----------
    engine, granularity, tiles
        The engine, the granularity, and the number of tile iterations at this granularity.
    latency, lower_bound
        The latency, and a lower bound on it.
    exact, gap
        Whether the latency is exact; and by how much it may be too large otherwise, as a fraction
        of the lower bound.
    optimal
        Whether no schedule of the mapping is faster.
    """

    engine: str
    granularity: str
    tiles: int
    latency: Number
    lower_bound: Number
    exact: bool
    gap: float
    optimal: bool

    @classmethod
    def of(cls, report: Report) -> Answer:
        """Return the main results of a report."""
        return cls(
            report.engine,
            report.granularity,
            report.tiles,
            report.latency,
            report.lower_bound,
            report.exact,
            float(report.gap),
            report.optimal,
        )

    @property
    def precision(self) -> str:
        """``"exact"``, or the gap in percent."""
        return "exact" if self.exact else f"{self.gap:.2%}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        numbers = {"latency": str(self.latency), "lower_bound": str(self.lower_bound)}
        return vars(self) | numbers


def shown(number: Number) -> str:
    """Format a number for a table."""
    if number.denominator == 1:
        return f"{int(number):,}"
    return str(number) if number.denominator < 1000 else f"{float(number):.6g}"
