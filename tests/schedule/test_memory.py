"""Memory of task graphs in which every tile iteration is visited."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

import polylat
from chains import chain
from polylat.engine import solve
from polylat.schedule.timing import TaskSchedule


@pytest.mark.parametrize(
    ("options", "most", "kept"),
    [
        ({"granularity": "full", "background": True}, 300, 160),
        ({"granularity": "tile"}, 260, 120),
        # A second schedule, with every Pipeline as a Sequential, is compared with this one. What
        # compiled functions allocate is not traced: with that, it is less than 500 bytes.
        ({"granularity": "tile", "staged": True}, 440, 180),
    ],
)
def test_a_visited_tile_iteration_takes_few_bytes(
    options: dict[str, Any], most: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solve, "EXPLICIT", 10**9)
    rows = 20_000 if options["granularity"] == "tile" else 2_000
    polylat.analyze(chain(10), **options)  # compile
    spec = chain(rows)
    tracemalloc.start()
    report = polylat.analyze(spec, **options)
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.engine == "explicit"
    assert peak <= most * report.tiles
    assert left <= kept * report.tiles


def test_schedules_that_were_not_chosen_are_timed_again() -> None:
    """Their order, makespan and legality are known without it."""
    report = polylat.analyze(chain(100, (1, 2, 3)), granularity="flow", staged=True)
    assert report.engine == "explicit"
    solutions = report.schedules.solutions
    in_full = [o for o, s in solutions.items() if isinstance(s.timed, TaskSchedule)]
    assert in_full == [report.order]
    for order, solution in solutions.items():
        assert (solution.order, solution.schedule.order) == (order, order)
        assert solution.schedule.legal == solution.legal
        assert solution.time(solution.schedule.makespan) == solution.makespan
