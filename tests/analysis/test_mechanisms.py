"""One mapping under each mechanism: each row is an analysis of its own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

import polylat
from polylat import MappingError, ScheduleError, Spec, UnsupportedError
from polylat.spec.mapping import Sequential
from reports import analyzed
from strategies import Data, cascades

FEWER = settings(max_examples=max(5, settings().max_examples // 2))


@pytest.mark.slow
@FEWER
@given(cascades())
def test_each_row_is_an_analysis(case: tuple[Data, Data]) -> None:
    plain, options = case
    report = analyzed(plain, **options)
    spec = Spec.from_dict(plain)
    found = report.mechanisms()
    assert found.accelforge == report.roofline
    for row in found.rows:
        assert all(isinstance(split, Sequential) for split in row.spec.mapping.splits())
        try:
            expected = polylat.analyze(row.spec).latency
        except (MappingError, ScheduleError, UnsupportedError):
            assert row.found.latency is None and row.found.reason
        else:
            assert row.found.latency == expected
    by_words = {row.what: row.found.latency for row in found.rows}
    assert by_words["Sequential splits"] == report.sequential or report.staged_holders
    assert ("Pipelines" in by_words) == bool(list(spec.mapping.splits()))
