"""Fit constants of the hardware to measured cycles: descent along one constant at a time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from benchmarks.truth.measure import evaluate, halves
from benchmarks.truth.rows import Constants, Family, Row, Variant

__all__ = ["descend", "fitted", "loss"]

STEPS = (Fraction(13, 10), Fraction(11, 10), Fraction(103, 100))
"""Factors by which a constant is made larger and smaller, one after the other."""


def fitted(
    family: Family, rows: Sequence[Row], names: Sequence[str] | None = None
) -> Mapping[str, Constants]:
    """Fit the constants of all variants of a family.

    Parameters
    ----------
    family
        The family.
    rows
        Its rows.
    names
        The variants to fit; by default all.
    """
    return {
        variant.name: _fit(family, variant, rows, variant.constants)
        if variant.constants and (names is None or variant.name in names)
        else variant.constants
        for variant in family.variants
    }


def _fit(family: Family, variant: Variant, rows: Sequence[Row], start: Constants) -> Constants:
    """Fit the constants of a variant, starting from those given.

    Parameters
    ----------
    family, variant
        What to fit.
    rows
        The rows of the family; every second one is used.
    start
        First values of the constants.
    """
    fitted, _ = halves(rows)
    constants = dict(start)
    for group in dict.fromkeys(family.fitted_on.get(name, "") for name in constants):
        names = [name for name in constants if family.fitted_on.get(name, "") == group]
        used = [row for row in fitted if not group or group in row.groups]
        constants = descend(
            lambda tried, used=used: loss(family, variant, used, tried),  # type: ignore[misc]
            constants,
            names,
        )
    return constants


def loss(family: Family, variant: Variant, rows: Sequence[Row], constants: Constants) -> float:
    """Return the mean plus the median of |ln(latency ÷ cycles)| over rows.

    The logarithm weighs too long and too short alike; the median keeps a few rows with other causes
    from deciding.

    Parameters
    ----------
    family, variant, rows
        What to evaluate.
    constants
        Values of the constants.
    """
    results = [evaluate(family, variant, row, constants) for row in rows]
    found = [
        abs(math.log(result.latency / result.row.cycles))
        for result in results
        if result.latency is not None
    ]
    return statistics.fmean(found) + statistics.median(found)


def descend(
    objective: Callable[[Constants], float], start: Constants, names: Sequence[str]
) -> dict[str, Fraction]:
    """Return constants from which no step makes the objective smaller.

    Values are rounded to three digits.

    Parameters
    ----------
    objective
        What to make small.
    start
        First values.
    names
        The constants to change.
    """
    best: dict[str, Fraction] = dict(start)
    least = objective(best)
    known: dict[tuple[Fraction, ...], float] = {}
    for step in STEPS:
        improved = True
        while improved:
            improved = False
            for name in names:
                for value in (best[name] * step, best[name] / step):
                    tried = {**best, name: _rounded(value)}
                    key = tuple(tried.values())
                    if key not in known:
                        known[key] = objective(tried)
                    if known[key] < least:
                        best, least, improved = tried, known[key], True
    return best


def _rounded(value: Fraction) -> Fraction:
    """Round to three digits."""
    return Fraction(f"{float(value):.3g}")
