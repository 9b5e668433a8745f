"""Evaluate variants of the model on rows, and summarize their errors."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from time import perf_counter

import polylat
from benchmarks.truth.rows import Constants, Family, Row, Variant
from polylat.errors import PolylatError

__all__ = ["Errors", "Result", "errors", "evaluate", "evaluated", "groups", "halves"]


@dataclass(frozen=True)
class Result:
    """What the model says about a row.

    Parameters
    ----------
    row, variant
        The row, and the name of the variant.
    latency
        The latency; None if there is none.
    exact
        Whether polylat calls it exact.
    tiles
        Number of tile iterations.
    seconds
        Time for reading the input and analyzing it.
    failure
        Why there is no latency.
    """

    row: Row
    variant: str
    latency: Fraction | None
    exact: bool = True
    tiles: int = 0
    seconds: float = 0.0
    failure: str = ""

    @property
    def error(self) -> float:
        """The deviation from the measured cycles in percent, with its sign."""
        assert self.latency is not None
        return float((Fraction(self.latency) / self.row.cycles - 1) * 100)

    @property
    def missed(self) -> bool:
        """Whether the latency differs from what this variant must give exactly."""
        expected = self.row.expected.get(self.variant)
        return expected is not None and self.latency != expected


@dataclass(frozen=True)
class Errors:
    """Absolute errors of several rows, in percent.

    Parameters
    ----------
    rows
        Number of rows.
    mean, median, largest
        Of the absolute errors.
    """

    rows: int
    mean: float
    median: float
    largest: float


def evaluate(family: Family, variant: Variant, row: Row, constants: Constants) -> Result:
    """Evaluate a variant on a row.

    Parameters
    ----------
    family, variant, row
        What to evaluate on which row.
    constants
        The values of the variant's constants.
    """
    started = perf_counter()
    try:
        spec = polylat.Spec.from_dict(family.build(row, variant.name, constants))
        if variant.name == "roofline":
            latency = Fraction(polylat.roofline(spec).latency)
            return Result(row, variant.name, latency, seconds=perf_counter() - started)
        report = polylat.analyze(spec)
    except PolylatError as error:
        took = perf_counter() - started
        return Result(row, variant.name, None, seconds=took, failure=f"{error}")
    return Result(
        row,
        variant.name,
        Fraction(report.latency),
        exact=report.exact,
        tiles=report.tiles,
        seconds=perf_counter() - started,
    )


def evaluated(
    family: Family,
    rows: Sequence[Row],
    variants: Iterable[Variant],
    constants: Mapping[str, Constants],
) -> Iterator[Result]:
    """Evaluate variants on rows, variant by variant.

    Parameters
    ----------
    family, rows, variants
        What to evaluate.
    constants
        Name of the variant → values of its constants.
    """
    for variant in variants:
        for row in rows:
            yield evaluate(family, variant, row, constants[variant.name])


def errors(results: Iterable[Result]) -> Errors | None:
    """Summarize the errors of rows that have a latency; None if no row has.

    Parameters
    ----------
    results
        The results.
    """
    found = [abs(result.error) for result in results if result.latency is not None]
    if not found:
        return None
    return Errors(len(found), statistics.fmean(found), statistics.median(found), max(found))


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the groups of rows by name, all rows first.

    Parameters
    ----------
    rows
        The rows of a family.
    """
    names = dict.fromkeys(name for row in rows for name in row.groups)
    return {
        "all": list(rows),
        **{name: [row for row in rows if name in row.groups] for name in sorted(names)},
    }


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows that constants are fitted on, and the others: every second row.

    Rows from different sources are counted apart.

    Parameters
    ----------
    rows
        The rows of a family, in the order of the file.
    """
    fitted: list[Row] = []
    others: list[Row] = []
    seen: dict[str, int] = {}
    for row in rows:
        kind = row.facts.get("source", "")
        place = seen.get(kind, 0)
        seen[kind] = place + 1
        (others if place % 2 else fitted).append(row)
    return fitted, others
