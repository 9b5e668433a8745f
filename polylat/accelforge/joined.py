"""The mappings that AccelForge's mapper joins, with the lower bounds that its sums give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from polylat.accelforge.busy_times import SEPARATOR, BusyTimes

__all__ = ["KeepBelow", "TooManyMappingsError", "bounds_of_rows", "least_of_einsums", "mark_rows"]

_SLACK = Fraction(1, 100_000)
"""AccelForge computes busy times in single precision. (Their relative errors are below 1e-6.)"""

_EXACT = 1 << 20
"""Sums of whole numbers up to this one are exact."""

_MOST_MARKS = 1 << 50
"""AccelForge compares numbers in double precision."""

_MARKS = ("Total<SEP>mark", "Total<SEP>mark_negated")


class TooManyMappingsError(Exception):
    """A join has more mappings than are allowed."""


def bounds_of_rows(table: Any, busy: BusyTimes, tolerance: float) -> list[Fraction]:
    """Return a lower bound on the latency of each joined mapping: its largest busy time.

    Parameters
    ----------
    table
        AccelForge's table of mappings.
    busy
        The columns of busy times.
    tolerance
        AccelForge's ``objective_tolerance``: by how much a dropped mapping may be better.

    Returns
    -------
    list of Fraction
        The bounds, less the error of AccelForge's arithmetic.
    """
    found = []
    wider = Fraction(1 + tolerance) ** 2
    columns = [name for name in busy.columns if name in table.columns]
    for row in table[columns].itertuples(index=False):
        largest = max((Fraction(float(value)) for value in row), default=Fraction(0))
        whole = all(float(value).is_integer() for value in row) and largest < _EXACT
        found.append((largest if whole else largest * (1 - _SLACK)) / wider)
    return found


def least_of_einsums(pmappings: Any, busy: BusyTimes) -> dict[str, dict[str, float]]:
    """Return the least busy times of the partial mappings of each Einsum.

    Parameters
    ----------
    pmappings
        AccelForge's partial mappings.
    busy
        The columns of busy times.

    Returns
    -------
    dict
        Einsum → column → time.
    """
    return {
        einsum: {
            column: min(float(group.mappings.data[column].min()) for group in groups)
            for column in busy.columns
        }
        for einsum, groups in pmappings.einsum2pmappings.items()
        if groups
    }


def mark_rows(pmappings: Any) -> None:
    """Make the rows of partial mappings incomparable, so that the join drops none.

    Two further objectives have the same number, but with opposite signs, which is different for
    any two joined mappings.

    Parameters
    ----------
    pmappings
        AccelForge's partial mappings; changed.

    Raises
    ------
    TooManyMappingsError
        There are more combinations than such numbers.
    """
    step = 1
    for groups in pmappings.einsum2pmappings.values():
        count = sum(len(group.mappings.data) for group in groups)
        mark = 0
        for group in groups:
            marks = [(mark + i) * step for i in range(len(group.mappings.data))]
            group.mappings.data[_MARKS[0]] = marks
            group.mappings.data[_MARKS[1]] = [-one for one in marks]
            mark += len(marks)
        step *= max(count, 1)
        if step > _MOST_MARKS:
            raise TooManyMappingsError(f"up to {step:.1e}")


@dataclass(frozen=True)
class KeepBelow:
    """Keeps the joined mappings whose bound is below a latency; in any process.

    Parameters
    ----------
    latency
        The latency; None: keep all.
    columns
        The columns of busy times.
    least
        As from `least_of_einsums`: what the Einsums that are not joined yet add at least.
    most
        Most rows of a table.
    """

    latency: float | None
    columns: Sequence[str]
    least: Mapping[str, Mapping[str, float]]
    most: int

    def __call__(self, table: Any) -> Any:
        """Return which rows are kept.

        Parameters
        ----------
        table
            Rows of (partly) joined mappings.

        Returns
        -------
        numpy.ndarray
            The mask.

        Raises
        ------
        TooManyMappingsError
            More rows are kept than are allowed.
        """
        import numpy as np

        keep = np.ones(len(table), dtype=bool)
        if self.latency is not None:
            left = [
                least
                for einsum, least in self.least.items()
                if f"{einsum}{SEPARATOR}compressed_index" not in table.columns
            ]
            for column in self.columns:
                rest = sum(least[column] for least in left)
                busy = table[column].to_numpy(dtype=np.float64) + rest
                keep &= busy * float(1 - _SLACK) < self.latency
        if int(keep.sum()) > self.most:
            raise TooManyMappingsError(str(int(keep.sum())))
        return keep
