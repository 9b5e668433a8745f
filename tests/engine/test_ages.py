"""Which blocks are older, against the sorted tasks, where fills are served ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from builders import compute, einsum, leaf, loop, memory, spec, storage
from grids import kept_at_random
from polylat import Spec
from polylat.engine.ages import Services, _hosts, are_older
from polylat.engine.model import Model, build
from polylat.engine.service_order import order_of_shortened_loops
from polylat.engine.service_table import ServiceTable
from polylat.lowering.enumeration import trip_counts
from polylat.lowering.iterations import IrregularError
from polylat.lowering.lowered import lower
from polylat.schedule.extrapolation import NotPeriodicError
from reports import transfers
from served_ahead import models_with_hosts, places_on_ports

FEWER = settings(
    max_examples=max(settings().max_examples // 3, 5),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@FEWER
@given(models_with_hosts(), st.integers(0, 2**32 - 1))
def test_the_older_one_of_two_tasks_is_known(model: Model, seed: int) -> None:
    graph, layout = model.graph, model.layout
    assume(model.ahead is not None)
    place = places_on_ports(graph, background_last=True)
    random = np.random.default_rng(seed)
    one, two = random.integers(0, graph.tasks, (2, 500))
    alike = graph.task_port[one] == graph.task_port[two]
    one, two = one[alike], two[alike]
    table = ServiceTable(layout, graph)
    still = np.zeros((len(one), layout.depth, layout.depth), dtype=np.int64)
    tasks, others = (
        Services(table.leaf[some], table.sequence[some], table.loop_indices(some), still)
        for some in (one, two)
    )
    none = np.zeros((layout.depth, len(one)), dtype=np.int64)
    older = are_older(layout, model.shifts, model.ahead, tasks, others, none)
    assert older.tolist() == (place[one] < place[two]).tolist()


@pytest.mark.slow
@FEWER
@given(models_with_hosts((5, 9)), st.data())
def test_older_tasks_are_older_in_all_of_their_boxes(model: Model, data: st.DataObject) -> None:
    kept = kept_at_random(data.draw, trip_counts(model.lowered.leaves))
    try:
        sampled = build(model.lowered, model.options, kept=kept)
        assume(not sampled.layout.whole and sampled.ahead is not None)
        layout, graph = sampled.layout, sampled.graph
        _, order = order_of_shortened_loops(layout, graph, *graph.port_order(skewed=True))
    except (IrregularError, NotPeriodicError):
        assume(False)
        raise
    assume(model.shifts == sampled.shifts)
    rows = np.flatnonzero(order.exists)
    table = ServiceTable(layout, graph)
    task = order.task[rows]
    iteration = table.iteration[task]
    periods, skipped = layout.period_lengths[:, iteration], layout.skipped_periods[:, iteration]
    steps = np.zeros((len(rows), layout.depth, layout.depth), dtype=np.int64)
    for k in range(layout.depth):
        steps[:, k, k] = periods[k]
    digits = layout.digits[:, iteration], order.digits[rows].T
    tasks = Services(table.leaf[task], table.sequence[task], digits[0], steps)
    others = Services(order.leaf[rows], order.sequence[rows], digits[1], order.moves(rows))
    older = are_older(layout, sampled.shifts, sampled.ahead, tasks, others, skipped)
    place = places_on_ports(model.graph, background_last=True)
    whole = ServiceTable(model.layout, model.graph)
    for row in np.flatnonzero(older).tolist():
        every = np.array(list(np.ndindex(*(skipped[:, row] + 1).tolist())), dtype=np.int64)
        found = []
        for some in (tasks, others):
            n = len(every)
            there = some.digits[:, [row]] + some.moves[row] @ every.T
            where = np.full(n, some.leaf[row]), there, np.full(n, some.sequence[row])
            found.append(whole.locate(*where, np.full(n, table.port[task[row]]))[0])
        exist = (found[0] >= 0) & (found[1] >= 0)
        assert (place[found[0]] < place[found[1]])[exist].all()


def test_hosts_of_a_box_may_differ_between_corners_that_are_alike() -> None:
    """Tiles of 2, 4, 4, 4 and 2 values of b, in tiles of two: the last ones are 0, 1, 1, 1, 0."""
    data = spec(
        {"b": 16, "v": 2},
        [einsum("e", ("y", "b v"), ("a", "b v"), ("w", "b"))],
        [memory("D", "1/2", size="inf"), memory("S", "inf", "inf", size="inf"), compute("c")],
        [storage("D", "a", "w", "y"), {**loop("b", 4), "initial_tile_shape": 2}, loop("v"),
         loop("b", 2), storage("S", "a"), loop("b"), leaf("e", "c")],
    )  # fmt: skip
    options = transfers(Spec.from_dict(data), staged="all")
    model = build(lower(Spec.from_dict(data), "flow", options), options)
    assert model.ahead is not None
    ((leaf_number, position),) = model.ahead.tile_depth
    hosts = model.ahead.hosts((leaf_number, position), np.array([[0, 1, 4], [1, 1, 1], [0, 0, 0]]))
    assert hosts.tolist() == [[0, 1, 4], [0, 0, 0], [0, 1, 0]]
    depth = model.layout.depth
    moves = np.zeros((3, depth, depth), dtype=np.int64)
    moves[:, 0, 0] = 1
    first = np.zeros((depth, 3), dtype=np.int64)
    first[:2] = [[0, 1, 1], [1, 1, 1]]
    skipped = np.zeros((depth, 3), dtype=np.int64)
    skipped[0] = [4, 3, 2]
    of = np.zeros(3, dtype=np.int64)
    tasks = Services(of + leaf_number, of + position, first, moves)
    assert _hosts(model.ahead, tasks, skipped)[1].tolist() == [False, False, True]
