"""The analysis against the oracle, and against answers of a third implementation."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import oracle
import pytest
from hypothesis import given
from strategies import cascades

import polylat
from polylat import MappingError, Report, ScheduleError, Spec

Data = dict[str, Any]
CASES: list[Data] = json.loads(
    (Path(__file__).parent / "data" / "cascades.json").read_text(encoding="utf-8")
)
RESULTS = (
    "latency",
    "latency_by_order",
    "resource_bound",
    "dependence_bound",
    "sequential",
    "tiles",
    "accesses",
    "granularity",
)


def analyzed(data: Data, options: Data) -> Report | None:
    """The report, None where the mapping is illegal."""
    try:
        return polylat.analyze(Spec.from_dict(data), **options)
    except (MappingError, ScheduleError):
        return None


@given(cascades())
def test_oracle(case: tuple[Data, Data]) -> None:
    """Analyzer and oracle agree exactly, on legality too."""
    data, options = case
    report = analyzed(data, options)
    try:
        expected = oracle.analyze(data, **options)
    except oracle.Illegal:
        assert report is None
        return
    assert report is not None
    assert {name: getattr(report, name) for name in RESULTS} == {
        name: expected[name] for name in RESULTS
    }


def exact(value: str | None) -> Fraction | None:
    """A number of the file."""
    return None if value is None else Fraction(value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_known_answers(case: Data) -> None:
    """A hundred random cascades with the answers of an implementation of its own."""
    options = case["options"] | {"background": [tuple(b) for b in case["options"]["background"]]}
    report, expected = analyzed(case["spec"], options), case["expected"]
    if expected is None:
        assert report is None
        return
    assert report is not None
    assert report.latency == exact(expected["latency"])
    assert report.latency_by_order == {
        order: exact(latency) for order, latency in expected["latency_by_order"].items()
    }
    assert report.resource_bound == exact(expected["resource_bound"])
    assert report.dependence_bound == exact(expected["dependence_bound"])
    assert report.tiles == expected["tiles"]
    assert report.accesses == {tuple(key): exact(n) for *key, n in expected["accesses"]}
