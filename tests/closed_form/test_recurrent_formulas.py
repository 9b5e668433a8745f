"""Latencies of recurrences as formulas: those of the documentation."""

from __future__ import annotations

from typing import Any

import pytest

import polylat
from polylat import Spec
from recurrent import scan, two_stages

Data = dict[str, Any]


def formula(data: Data, parameters: Data) -> polylat.Formula:
    """The formula of a mapping's latency, whose certificate holds."""
    found = polylat.symbolic(Spec.from_dict(data), parameters, granularity="flow")
    found.verify()
    return found


def test_a_scan_of_any_length() -> None:
    """T steps take T (d + L)."""
    found = formula(scan(5, 2, 3), {"t": (1, None)})
    assert str(found.latency) == "5*t"
    assert found(t=10**12) == 5 * 10**12


@pytest.mark.parametrize("batch", [1, 3, 4, 6])
def test_a_batch_inside(batch: int) -> None:
    """(T - 1) max(B d, d + L) + B d + L, with d = 2 and L = 6."""
    found = formula(scan(5, 2, 6, batch=batch), {"t": (1, None)})
    for steps in (1, 2, 7, 10**9):
        expected = (steps - 1) * max(2 * batch, 8) + 2 * batch + 6
        assert found(t=steps) == expected


def test_any_batch() -> None:
    found = formula(scan(5, 2, 6, batch=3), {"b": (1, None)})
    for batch in (1, 2, 3, 4, 5, 10**6):
        assert found(b=batch) == 4 * max(2 * batch, 8) + 2 * batch + 6


def test_two_stages_of_any_length() -> None:
    """(T - 1) max(B max(d1, d2), d1 + d2) + (B - 1) max(d1, d2) + d1 + d2, with d = 2 and 3."""
    found = formula(two_stages(5, 2, 2, 3), {"t": (1, None)})
    for steps in (1, 2, 7, 10**9):
        assert found(t=steps) == (steps - 1) * 6 + 3 + 5
