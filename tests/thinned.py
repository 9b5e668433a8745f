"""Long lists of cases, of which most profiles run some, and ``full`` and ``nightly`` all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

Case = TypeVar("Case")

COMPLETE = os.environ.get("HYPOTHESIS_PROFILE") in {"full", "nightly"}


def thinned(cases: Sequence[Case], every: int) -> list[Case]:
    """Every `every`-th case, and the last one; all cases in complete profiles."""
    if COMPLETE or not cases:
        return list(cases)
    found = list(cases[::every])
    return found if (len(cases) - 1) % every == 0 else [*found, cases[-1]]


def spread(cases: Sequence[Case], most: int | None) -> list[Case]:
    """At most `most` of the cases, evenly spaced: with the first and the last; None for all."""
    if most is None or len(cases) <= most:
        return list(cases)
    return [cases[k * (len(cases) - 1) // (most - 1)] for k in range(most)]
