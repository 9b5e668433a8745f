"""The walk back through a schedule that repeats, beside one through all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from benchmarks.fused import attention, chain
from polylat.analysis.critical_walk import Walk, _alike
from polylat.analysis.repetition import Digits, Item, Stay
from polylat.schedule import backtrack_kernels
from polylat.schedule.backtrack import BacktrackTables, coprime_moduli, residues
from polylat.schedule.extrapolation import PeriodicTaskGraph

WHOLE = st.integers(-(10**40), 10**40)


@given(st.lists(WHOLE, min_size=1), st.integers(0, 10**40))
def test_residues_tell_apart_what_they_should(numbers: list[int], least: int) -> None:
    most = max(least, *map(abs, numbers))
    found = residues(np.array(numbers, dtype=object), coprime_moduli(most))
    columns = [tuple(column) for column in found.T.tolist()]
    for number, column in zip(numbers, columns, strict=True):
        for other, another in zip(numbers, columns, strict=True):
            assert (number == other) == (column == another)


@given(st.integers(0, 10**60))
def test_moduli_have_no_common_factor(most: int) -> None:
    moduli = coprime_moduli(most).tolist()
    assert np.lcm.reduce(np.array(moduli, dtype=object)) == np.prod(np.array(moduli, dtype=object))
    assert max(moduli) < 1 << 31


@given(
    st.lists(st.lists(st.one_of(st.none(), st.integers(0, 2)), min_size=3, max_size=3), max_size=12)
)
def test_rows_that_are_alike(rows: list[list[int | None]]) -> None:
    columns = []
    for column in zip(*rows, strict=True):
        there = [k for k, value in enumerate(column) if value is not None]
        columns.append((np.array(there, dtype=np.int64), np.array([column[k] for k in there])))
    first, group = _alike(len(rows), columns)
    assert [rows[first[g]] for g in group] == rows
    assert len(first) == len({tuple(row) for row in rows})


def shape(items: tuple[Item, ...]) -> list[Any]:
    """What a path is, but for how long its accesses take."""
    return [
        ([what for what, _ in item.served.parts], item.digits, item.reason)
        if isinstance(item, Stay)
        else (shape(item.body), item.count, item.shifts)
        for item in items
    ]


REPORTS = (
    polylat.analyze(polylat.Spec.from_dict(chain(10**5))),
    polylat.analyze(polylat.Spec.from_dict(attention(10**4))),
)


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("slower", [2, 10**12, 10**30 + 57])
def test_the_same_way_on_another_scale(report: polylat.Report, slower: int) -> None:
    """Also where times need more than 64 bits."""
    model, timing = report._model, report._timing
    plan = model.plan
    assert isinstance(plan, PeriodicTaskGraph)
    graph = replace(plan.graph, task_duration=plan.graph.task_duration.astype(object) * slower)
    slow = replace(model, plan=replace(plan, graph=graph))
    again = slow.plan.time(timing.order)
    assert again.makespan == timing.makespan * slower
    assert shape(Walk(slow, again).back()) == shape(Walk(model, timing).back())


@pytest.mark.parametrize("report", REPORTS)
def test_what_tasks_on_the_path_waited_for(report: polylat.Report) -> None:
    """Asked one by one, they say what they say on the path."""
    model = report._model
    walk, graph = Walk(model, report._timing), model.graph
    reasons = walk.reasons(range(graph.tasks))
    owner = graph.owner[graph.task_block]
    tasks: dict[tuple[int, Digits], set[int]] = {}
    for task, tile in enumerate(owner.tolist()):
        leaf = int(graph.leaf[tile])
        digits = model.layout.tiles[leaf].digits[:, tile - model.layout.bases[leaf]]
        tasks.setdefault((leaf, tuple(digits.tolist())), set()).add(reasons[task])
    stays = [item for item in walk.back() if isinstance(item, Stay)]
    seen = [tasks[key] for stay in stays if (key := (stay.served.leaf, stay.digits)) in tasks]
    assert seen
    for stay in stays:
        assert stay.reason in tasks.get((stay.served.leaf, stay.digits), {stay.reason})


def test_tables_are_packed_in_order() -> None:
    """The compiled code finds each table by a constant of its name."""
    assert [getattr(backtrack_kernels, name.upper()) for name in BacktrackTables._fields] == list(range(33))
    sizes = (
        backtrack_kernels.N_MODULI,
        backtrack_kernels.LOOPS,
        backtrack_kernels.EVENTS,
        backtrack_kernels.BLOCKS,
        backtrack_kernels.ITERATIONS,
        backtrack_kernels.TASKS,
    )
    assert list(map(int, sizes)) == list(range(33, 39))
