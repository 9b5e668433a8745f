"""The critical path of a sampled schedule, followed back in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from benchmarks.fused import attention, chain
from polylat.analysis.critical_walk import CriticalWalk, _equal_rows
from polylat.analysis.repetition import Digits, Item, Service
from polylat.engine.solution import Solution
from polylat.schedule.extrapolation import PeriodicTaskGraph


@given(
    st.lists(st.lists(st.one_of(st.none(), st.integers(0, 2)), min_size=3, max_size=3), max_size=12)
)
def test_equal_rows_are_grouped(rows: list[list[int | None]]) -> None:
    columns = []
    for column in zip(*rows, strict=True):
        there = [k for k, value in enumerate(column) if value is not None]
        columns.append((np.array(there, dtype=np.int64), np.array([column[k] for k in there])))
    first, group = _equal_rows(len(rows), columns)
    assert [rows[first[g]] for g in group] == rows
    assert len(first) == len({tuple(row) for row in rows})


def shape(items: tuple[Item, ...]) -> list[Any]:
    """A path without the durations of its accesses."""
    return [
        ([what for what, _ in item.served.parts], item.digits, item.reason)
        if isinstance(item, Service)
        else (shape(item.body), item.count, item.shifts)
        for item in items
    ]


REPORTS = (
    polylat.analyze(polylat.Spec.from_dict(chain(10**5))),
    polylat.analyze(polylat.Spec.from_dict(attention(10**4))),
)


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("slower", [2, 10**12, 10**30 + 57])
def test_the_same_path_on_another_time_scale(report: polylat.Report, slower: int) -> None:
    """The path does not depend on the scale, not even where times need more than 64 bits."""
    model, timing = report.solution.model, report.solution.schedule
    plan = model.plan
    assert isinstance(plan, PeriodicTaskGraph)
    graph = replace(plan.graph, task_duration=plan.graph.task_duration.astype(object) * slower)
    slow = replace(model, plan=replace(plan, graph=graph))
    again = slow.plan.time(timing.order)
    assert again.makespan == timing.makespan * slower
    assert shape(CriticalWalk(Solution(slow, again)).back()) == shape(
        CriticalWalk(report.solution).back()
    )


@pytest.mark.parametrize("report", REPORTS)
def test_what_tasks_on_the_path_waited_for(report: polylat.Report) -> None:
    """The reason found for a single task is the one found on the path."""
    model = report.solution.model
    walk, graph = CriticalWalk(report.solution), model.graph
    periods = np.zeros((model.layout.depth, graph.tasks), dtype=np.int64)
    reasons = walk.reasons(np.arange(graph.tasks), periods).tolist()
    owner = graph.owner[graph.task_block]
    tasks: dict[tuple[int, Digits], set[int]] = {}
    for task, tile in enumerate(owner.tolist()):
        leaf = int(graph.leaf[tile])
        digits = model.layout.tiles[leaf].digits[:, tile - model.layout.bases[leaf]]
        tasks.setdefault((leaf, tuple(digits.tolist())), set()).add(reasons[task])
    stays = [item for item in walk.back() if isinstance(item, Service)]
    seen = [tasks[key] for stay in stays if (key := (stay.served.leaf, stay.digits)) in tasks]
    assert seen
    for stay in stays:
        assert stay.reason in tasks.get((stay.served.leaf, stay.digits), {stay.reason})
