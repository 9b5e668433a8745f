"""Up to which tile iterations ports serve blocks before others, against the sorted tasks."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from grids import kept_at_random
from polylat.engine.ahead_rows import _moved
from polylat.engine.model import Model, build
from polylat.engine.row_builder import RowBuilder
from polylat.engine.served_ahead import ServedAhead
from polylat.lowering.enumeration import trip_counts
from polylat.lowering.iterations import IrregularError
from polylat.lowering.mixed_radix import predecessor, successor
from polylat.schedule.extrapolation import NotPeriodicError
from served_ahead import models_with_hosts, places_on_ports


@settings(max_examples=max(settings().max_examples // 3, 10))
@given(models_with_hosts())
def test_the_last_earlier_task_of_each_block(model: Model) -> None:
    graph, layout = model.graph, model.layout
    ahead = ServedAhead.of(layout, graph, model.shifts)
    assume(ahead is not None)
    assert ahead is not None
    place = places_on_ports(graph)
    iteration = graph.owner[graph.task_block]
    leaf, index = graph.leaf[iteration], graph.sequence[graph.task_block]
    iteration = iteration - np.array(layout.bases)[leaf]
    key = np.array([layout.tiles[a].keys[i] for a, i in zip(leaf, iteration, strict=True)])
    kinds = sorted(set(zip(leaf.tolist(), index.tolist(), graph.task_port.tolist(), strict=True)))
    tasks = {
        kind: np.flatnonzero((np.array(kind)[:, None] == (leaf, index, graph.task_port)).all(0))
        for kind in kinds
    }
    for (target, mine), (source, others) in product(tasks.items(), tasks.items()):
        if target[2] != source[2]:
            continue
        digits = layout.tiles[target[0]].digits[:, iteration[mine]]
        where, exists = ahead.moves(target[:2], source[:2])[-1].at(digits)
        upto = np.where(exists, layout.tiles[source[0]].keys_of(where), -1)
        for task, last in zip(mine.tolist(), upto.tolist(), strict=True):
            assert (key[others] <= last).tolist() == (place[others] < place[task]).tolist()


@pytest.mark.long
@settings(
    max_examples=max(settings().max_examples // 3, 10),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(models_with_hosts((5, 9)), st.data())
def test_moves_take_all_of_a_box_as_they_take_its_corners(
    model: Model, data: st.DataObject
) -> None:
    kept = kept_at_random(data.draw, trip_counts(model.lowered.leaves))
    try:
        sampled = build(model.lowered, model.options, kept=kept)
        layout, ahead = sampled.layout, sampled.ahead
        assume(not layout.whole and ahead is not None)
        assert ahead is not None
        inputs = sampled.lowered, layout, sampled.graph, sampled.options, sampled.shifts
        builder = RowBuilder(*inputs)
    except (IrregularError, NotPeriodicError):
        assume(False)
        raise
    families = builder.families
    for (leaf, index, port), family in families.task.items():
        keys = np.flatnonzero(families.occurs(family))
        digits, period = builder.digits[leaf][:, keys], builder.period[leaf][:, keys]
        boxes = np.repeat(np.arange(len(keys)), (builder.skipped[leaf][:, keys] + 1).prod(axis=0))
        sizes = (builder.skipped[leaf][:, keys] + 1).T.tolist()
        inside = [np.array(list(np.ndindex(*size)), dtype=np.int64) for size in sizes]
        by = np.concatenate(inside).T * period[:, boxes]
        for other, position, same in families.task:
            if same != port:
                continue
            moves = ahead.moves((leaf, index), (other, position))
            exists, good, base = _moved(builder, leaf, keys, moves)
            found, there = moves[-1].at(digits[:, boxes] + by)
            moving = np.zeros_like(found)
            moving[: moves[-1].depth] = by[: moves[-1].depth]
            known = good[boxes]
            assert (there == exists[boxes])[known].all()
            assert (found == base[:, boxes] + moving)[:, known & there].all()


@given(st.data())
def test_numbers_in_mixed_radix(data: st.DataObject) -> None:
    radix = np.array(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)), dtype=np.int64)
    every = np.array(list(np.ndindex(*radix.tolist())), dtype=np.int64).reshape(-1, len(radix)).T
    following, more = successor(every, radix, 1)
    assert more.tolist() == [True] * (every.shape[1] - 1) + [False]
    assert (following[:, :-1] == every[:, 1:]).all()
    before, same = predecessor(following, radix)
    assert (before[:, more] == every[:, more]).all()
    assert (same[more] > 0).all()
