"""Decisions on boxes of skipped iterations, against an enumeration of all of their members."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from grids import Point, grid_of, loop_samples, members, represented
from polylat.lowering.sampling import LoopSample, SkippedPeriods
from polylat.schedule.arrays import Ints
from polylat.schedule.box_kernels import HOLDS, TIGHT, UNDECIDED, VIOLATED
from polylat.schedule.boxes import Rows, Sources, decide_rows
from polylat.schedule.grid import Grid, fill_forward

LEAVES = st.lists(st.lists(loop_samples(), min_size=1, max_size=2), min_size=1, max_size=2)


@st.composite
def sources(draw: st.DrawFn, leaves: list[list[LoopSample]], grid: Grid) -> Sources:
    """Sources of random leaves, which move with the loops or by random matrices."""
    width = grid.stride.shape[1]
    columns: list[tuple[int, int, int, list[int], int, int]] = []
    matrices: list[list[list[int]]] = []
    for _ in range(draw(st.integers(1, 4))):
        leaf, other = (draw(st.integers(0, len(leaves) - 1)) for _ in range(2))
        key = draw(st.integers(0, grid.sizes[leaf] - 1))
        base = [draw(st.integers(0, loop.trips - 1)) for loop in leaves[other]]
        same, slope = draw(st.integers(0, min(len(leaves[leaf]), len(leaves[other])))), -1
        if same and draw(st.booleans()):
            # As most rules: some iterations before the target, in the loops that move alike.
            places = grid.place_rows(leaf)[:, key]
            for k in range(same):
                digit = int(leaves[leaf][k].digits[places[k]])
                base[k] = max(0, digit - draw(st.integers(0, 2)))
        elif draw(st.booleans()):
            slope = len(matrices)
            rows = st.lists(st.integers(-3, 3), min_size=width, max_size=width)
            matrices.append(draw(st.lists(rows, min_size=width, max_size=width)))
        columns.append((leaf, key, other, base + [0] * (width - len(base)), same, slope))
    slopes = np.array(matrices, dtype=np.int64).reshape(len(matrices), width, width)
    parts = [np.array(column, dtype=np.int64) for column in zip(*columns, strict=True)]
    return Sources(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], slopes)


def source_of(found: Sources, row: int, grid: Grid, member: Point) -> Point:
    """The loop indices of a source for one member of its target's box."""
    leaf, other = int(found.leaf[row]), int(found.other[row])
    index = found.base[row, : grid.depth[other]].tolist()
    places = grid.place_rows(leaf)[:, found.target[row]] + grid.places[leaf, : grid.depth[leaf]]
    for k, later in enumerate(member):
        for p in range(len(index)):
            if found.slope[row] >= 0:
                index[p] += later * int(found.slopes[found.slope[row], p, k])
            elif p == k and p < found.same[row]:
                index[p] += later * int(grid.period[places[k]])
    return tuple(index)


def enumerated(
    leaves: list[list[LoopSample]],
    grid: Grid,
    found: Sources,
    rows: Rows,
    first: np.ndarray,
    weight: np.ndarray,
    values: np.ndarray,
    rates: np.ndarray,
    exists: np.ndarray,
) -> list[int]:
    """The outcomes, by visiting all members."""
    outcomes = []
    for r, source in enumerate(rows.source.tolist()):
        leaf, other = int(found.leaf[source]), int(found.other[source])
        differences: list[int] = []
        tight = True
        for member in members(grid, leaf, int(found.target[source])):
            place = represented(leaves[other], source_of(found, source, grid, member))
            if place is None:
                differences = []
                break
            at = int(first[rows.family[r]]) + place[0]
            time = values[rows.target[r]] + sum(
                k * x for k, x in zip(member, rates[rows.target[r]], strict=False)
            )
            awaited = values[at] + sum(k * x for k, x in zip(place[1], rates[at], strict=False))
            differences.append(time - awaited - weight[r])
            tight &= bool(exists[at]) or not rows.own[r]
        if not differences:
            outcomes.append(UNDECIDED)
        elif min(differences) < 0:
            outcomes.append(VIOLATED)
        else:
            outcomes.append(TIGHT if tight and max(differences) == 0 else HOLDS)
    return outcomes


@settings(max_examples=4 * settings().max_examples)
@given(LEAVES, st.data())
def test_decisions_are_those_for_all_members(
    leaves: list[list[LoopSample]], data: st.DataObject
) -> None:
    grid = grid_of(leaves)
    assume(max(grid.sizes) < 300)
    found = data.draw(sources(leaves, grid))
    width = grid.stride.shape[1]
    # One family per leaf.
    first = np.cumsum([0, *grid.sizes[:-1]])
    count = sum(grid.sizes)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # Times near an affine function of the index hold with equality now and then.
    slope: Ints = np.array(random.integers(-1, 3, width), dtype=np.int64)
    noise = data.draw(st.sampled_from((0, 0, 1, 3)))
    values, rates = np.zeros(count, np.int64), np.zeros((count, width), np.int64)
    for leaf in range(len(leaves)):
        here = slice(int(first[leaf]), int(first[leaf]) + grid.sizes[leaf])
        depth = len(leaves[leaf])
        values[here] = slope[:depth] @ grid.columns(leaf, grid.digit)
        rates[here, :depth] = (slope[:depth, None] * grid.columns(leaf, grid.period)).T
    values += random.integers(0, noise + 1, count)
    rates += random.integers(0, noise // 2 + 1, rates.shape) * (rates != 0)
    exists = random.random(count) < 0.8
    numbers = np.arange(len(found.target))
    rows = Rows(
        first[found.leaf] + found.target,
        found.other,
        numbers,
        random.random(len(numbers)) < 0.5,
        np.ones(len(numbers), dtype=np.bool_),
        np.zeros(len(numbers), dtype=np.int64),
    )
    weight = random.integers(0, 2, len(numbers))
    if data.draw(st.booleans()):
        # The equality of one member, which need not be that of the others.
        targets = zip(found.leaf.tolist(), found.target.tolist(), strict=True)
        for r, (leaf, key) in enumerate(targets):
            member = (0,) * len(leaves[leaf])
            place = represented(leaves[found.other[r]], source_of(found, r, grid, member))
            if place is not None and place[0] + first[found.other[r]] != first[leaf] + key:
                weight[r] = values[first[leaf] + key] - (
                    values[first[found.other[r]] + place[0]]
                    + np.array(place[1]) @ rates[first[found.other[r]] + place[0], : len(place[1])]
                )
    expected = enumerated(leaves, grid, found, rows, first, weight, values, rates, exists)
    parts = found.parts(grid)
    decided = decide_rows(parts, first, rows, weight, values, rates, exists)
    assert decided.tolist() == expected
    for outcome in expected:
        event(("holds", "tight", "violated", "undecided")[outcome])
    # Python integers, beyond 64 bits too: all times and weights are a multiple of the first ones.
    for factor in (1, 10**30):
        times = [a.astype(object) * factor for a in (weight, values, rates)]
        assert (
            decide_rows(parts, first, rows, times[0], times[1], times[2], exists).tolist()
            == expected
        )


@pytest.mark.parametrize(("least", "outcome"), [(0, HOLDS), (-1, VIOLATED)])
def test_products_do_not_wrap_around(least: int, outcome: int) -> None:
    """A rate and a number of periods fit in 64 bits, their product does not."""
    grid = grid_of([[LoopSample(2**40 + 8, (SkippedPeriods(4, 1, 2**40),))]])
    one, zero = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    found = Sources(zero, 3 * one, zero, one[None] * 0, zero, -one, np.zeros((0, 1, 1), np.int64))
    rows = Rows(3 * one, zero, zero, one > 1, one > 0, zero)
    # Times fall; the last member of the box waits for the first iteration, which is at 0.
    values = np.array([0, 0, 0, 2**90 + least, 0, 0, 0, 0], dtype=object)
    rates = np.array([[0], [0], [0], [-(2**50)], [0], [0], [0], [0]], dtype=object)
    exists, weight = np.ones(8, dtype=np.bool_), np.array([0], dtype=object)
    decided = decide_rows(found.parts(grid), zero, rows, weight, values, rates, exists)
    assert decided.tolist() == [outcome]


@pytest.mark.parametrize(
    ("ahead", "outcome"), [(0, HOLDS), (1, TIGHT), (2, VIOLATED)], ids=["holds", "tight", "fails"]
)
@pytest.mark.parametrize("periods", [6, 10**9])
def test_a_source_moves_by_a_fraction_of_its_period(ahead: int, outcome: int, periods: int) -> None:
    """The source moves by 4 of 6 iterations: three parts take turns, in which it is alike."""
    waiting = LoopSample(periods + 8, (SkippedPeriods(4, 1, periods),))
    awaited = LoopSample(4 * periods + 40, (SkippedPeriods(13, 6, (4 * periods) // 6 + 2),))
    grid = grid_of([[waiting], [awaited]])
    zero, one = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)
    slopes = np.full((1, 1, 1), 4, dtype=np.int64)
    found = Sources(zero, 3 * one, one, 9 * one[None], zero, zero, slopes)
    first = np.array([0, waiting.count])
    # Times are 5 per iteration awaited; those that the source never is at are much later.
    late = np.array([0 if (i - 9) % 2 == 0 else 10**6 for i in awaited.digits.tolist()])
    values = np.concatenate((20 * waiting.digits, 5 * awaited.digits + late))
    rates = np.concatenate((np.full(waiting.count, 20), np.full(awaited.count, 30)))[:, None]
    rows = Rows(3 * one, one, zero, one > 1, one > 0, zero)
    weight = np.array([20 * 3 - 5 * 9 + ahead - 1])
    parts = found.parts(grid)
    exists = np.ones(len(values), dtype=np.bool_)
    assert decide_rows(parts, first, rows, weight, values, rates, exists).tolist() == [outcome]
    assert parts.stride.tolist() == [[3]] * 3
    assert sorted(parts.low[:, 0].tolist()) == [0, 1, 2]
    assert parts.spread.all()
    assert int((parts.extent + 1).sum()) == periods + 1


@given(st.lists(loop_samples(), min_size=1, max_size=3), st.data())
def test_fill_forward(loops: list[LoopSample], data: st.DataObject) -> None:
    """The latest event up to each point, of events that occur in some residues of the loops."""
    grid = grid_of([loops])
    assume(grid.sizes[0] < 400 and np.prod([loop.trips for loop in loops]) < 20_000)
    occurs = []
    for loop in loops:
        # The same in all periods of a range: an event occurs at a place or it does not.
        here = np.array(
            data.draw(st.lists(st.booleans(), min_size=loop.count, max_size=loop.count))
        )
        for cut in loop.cuts:
            for n in range(1, 2 + (cut.place >= 2 * cut.period)):
                low = cut.place - n * cut.period
                here[low : low + cut.period] = here[cut.place - cut.period : cut.place]
        occurs.append(here)
    steps = [0] * len(loops)
    span = 1
    for k in range(len(loops) - 1, -1, -1):
        steps[k] = span + data.draw(st.integers(0, 2))
        span = steps[k] * loops[k].trips
    exists = np.array([all(o[p] for o, p in zip(occurs, place, strict=True)) for place in
                       product(*(range(loop.count) for loop in loops))])  # fmt: skip
    own = np.array(steps) @ grid.columns(0, grid.digit)
    filled = fill_forward(grid, 0, np.where(exists, own, 0), exists)
    expected: dict[Point, int] = {}
    latest = 0
    for index in product(*(range(loop.trips) for loop in loops)):
        place = represented(loops, index)
        assert place is not None
        if exists[place[0]]:
            latest = max(latest, sum(s * i for s, i in zip(steps, index, strict=True)))
        expected[index] = latest
    digits = grid.columns(0, grid.digit)
    assert filled.tolist() == [expected[tuple(column)] for column in digits.T.tolist()]
    exact = fill_forward(grid, 0, np.where(exists, own, 0).astype(object), exists)
    assert exact.tolist() == filled.tolist()


@pytest.mark.parametrize("step", [1, 2**40, 2**62, 2**70])
def test_fill_forward_beyond_64_bits(step: int) -> None:
    loop = LoopSample(2**30 + 8, (SkippedPeriods(4, 1, 2**30),))
    grid = grid_of([[loop]])
    exists = np.array([True] * 4 + [False] * 4)
    own: Any = np.array([step * i for i in range(4)] + [0] * 4, dtype=object)
    if step < 2**60:
        own = own.astype(np.int64)
    last = step * (3 + 2**30)
    assert fill_forward(grid, 0, own, exists).tolist() == [0, step, 2 * step, 3 * step] + [last] * 4


@pytest.mark.parametrize(("ahead", "outcome"), [(0, HOLDS), (1, TIGHT), (2, VIOLATED)])
def test_a_box_contains_much_that_another_leaf_samples(ahead: int, outcome: int) -> None:
    """One leaf skips most of a loop of which another one samples thousands of iterations."""
    cuts = SkippedPeriods(3_000, 1_000, 400_000), SkippedPeriods(6_000, 500, 10**6)
    awaited = LoopSample(9_000 + sum(cut.removed for cut in cuts), cuts)
    waiting = LoopSample(awaited.trips, (SkippedPeriods(4, 1, awaited.trips - 8),))
    assert awaited.count == 9_000
    grid = grid_of([[waiting], [awaited]])
    zero, one = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)
    found = Sources(zero, 3 * one, one, 3 * one[None], one, -one, np.zeros((0, 1, 1), np.int64))
    first = np.array([0, waiting.count])
    # Both are at 5 per iteration.
    values = 5 * np.concatenate((waiting.digits, awaited.digits))
    rates = 5 * np.concatenate((waiting.period_lengths, awaited.period_lengths))[:, None]
    rows = Rows(3 * one, one, zero, one > 1, one > 0, zero)
    parts = found.parts(grid)
    exists = np.ones(len(values), dtype=np.bool_)
    decided = decide_rows(parts, first, rows, np.array([ahead - 1]), values, rates, exists)
    assert decided.tolist() == [outcome]
    # Every iteration is in one part.
    extent = np.ones(len(parts.key), dtype=np.int64)
    wide = np.flatnonzero(parts.detail >= 0)
    extent[wide] += parts.extent[parts.detail[wide], 0]
    assert extent.sum() == waiting.trips - 7
