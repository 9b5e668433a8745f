"""Long lists of cases, of which only the profile ``nightly`` runs all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

Case = TypeVar("Case")

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"


def thinned(cases: Sequence[Case], every: int) -> list[Case]:
    """Every `every`-th case, and the last one; all cases in the profile ``nightly``."""
    if NIGHTLY or not cases:
        return list(cases)
    found = list(cases[::every])
    return found if (len(cases) - 1) % every == 0 else [*found, cases[-1]]
