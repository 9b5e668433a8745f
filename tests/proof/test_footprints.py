"""Counts of the proof: against brute force, and its two methods against each other."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polylat
from builders import compute, einsum, leaf, loop, memory, spec, storage
from polylat import Spec
from polylat.engine.model import Model
from polylat.numbers import reduce_number
from polylat.proof import footprints
from polylat.proof.durations import Expectation
from polylat.proof.footprints import interval_lengths
from polylat.proof.loop_counts import LoopCounts, at_extreme, constant, summed_over, together
from polylat.proof.problem import Problem
from reports import explicit_up_to, report_or_none
from strategies import cascades, long_cascades

Data = dict[str, Any]


@contextmanager
def points_up_to(operations: int) -> Iterator[None]:
    """Count the points of relations of at most this number of operations."""
    before = footprints.FEW_OPERATIONS
    footprints.FEW_OPERATIONS = operations
    try:
        yield
    finally:
        footprints.FEW_OPERATIONS = before


def lengths_by_hand(
    extent: int, tiles: list[tuple[int, int]], shown: set[int], zero: set[int]
) -> Counter[tuple[int, ...]]:
    """The number of values per index of the shown loops; a loop has a tile and a first tile."""
    found: Counter[tuple[int, ...]] = Counter()
    for value in range(extent):
        rest, index, here = value, [], True
        for position, (tile, first) in enumerate(tiles):
            digit = 0
            if rest >= first:
                digit, rest = divmod(rest - first, tile)
                digit += 1
            here = here and (position not in zero or digit == 0)
            if position in shown:
                index.append(digit)
        if here:
            found[tuple(index)] += 1
    return found


@given(
    st.integers(1, 40),
    st.lists(st.integers(1, 9), min_size=1, max_size=3).map(lambda t: sorted(t, reverse=True)),
    st.data(),
)
def test_interval_lengths(extent: int, shapes: list[int], data: st.DataObject) -> None:
    tiles = [(n, data.draw(st.one_of(st.just(n), st.integers(1, 9)))) for n in shapes]
    kinds = data.draw(st.lists(st.sampled_from("shz"), min_size=len(tiles), max_size=len(tiles)))
    shown = {k for k, kind in enumerate(kinds) if kind == "s"}
    zero = {k for k, kind in enumerate(kinds) if kind == "z"}
    found = interval_lengths(
        extent,
        tuple((k, tile, first) for k, (tile, first) in enumerate(tiles)),
        frozenset(shown),
        frozenset(zero),
    )
    expected = lengths_by_hand(extent, tiles, shown, zero)
    assert all_numbers(found) == {
        index: expected.get(index, 0) for index in itertools.product(*map(range, found.trips))
    }


def all_numbers(counts: LoopCounts) -> dict[tuple[int, ...], int]:
    """The number at every index."""
    each = counts.with_cuts([tuple(range(n)) for n in counts.trips])
    return {index: int(each.values[index]) for index in itertools.product(*map(range, each.trips))}


def test_grids() -> None:
    a = interval_lengths(7, ((0, 4, 4), (2, 2, 2)), frozenset({0, 2}), frozenset())
    b = interval_lengths(5, ((1, 2, 2),), frozenset({1}), frozenset())
    product = together(a, b, "*")
    assert product.loops == (0, 1, 2) and product.total == 35
    assert all_numbers(summed_over(product, [1])) == {
        index: 5 * n for index, n in all_numbers(a).items()
    }
    assert together(product, constant(3), "-").total == 35 - 3 * 2 * 3 * 2
    last = at_extreme(product, [1, 2], last=True)
    assert {i for i, n in all_numbers(last).items() if n} == {(0, 2, 1), (1, 2, 1)}
    first = at_extreme(product, [0, 1, 2], last=False)
    assert {i for i, n in all_numbers(first).items() if n} == {(0, 0, 0)}


def actions(model: Model) -> dict[Any, Any]:
    """The actions of every access by the counts of the proof."""
    expected = Expectation(Problem.of(model), model.costs.scale)
    found: dict[Any, Any] = {}
    for path, blocks in zip(model.lowered.leaves, expected.blocks, strict=True):
        for access in (a for block in blocks for a in block.accesses):
            key = path.einsum.name, access.component, access.tensor, access.action
            component = model.lowered.spec.arch.component(path.einsum.name, access.component)
            each = component.actions_per_value[access.action, access.tensor]
            found[key] = found.get(key, 0) + each * access.counts.total
    return {key: reduce_number(count) for key, count in found.items()}


@given(cascades(), st.sampled_from([0, 200_000]))
def test_counts_are_those_of_the_engine(case: tuple[Data, Data], few: int) -> None:
    """Whether points are counted one by one, or translates are proven."""
    report = report_or_none(case)
    if report is not None:
        with points_up_to(few):
            assert actions(report.solution.model) == report.accesses


@settings(max_examples=max(settings().max_examples // 2, 5))
@given(long_cascades())
def test_counts_of_sampled_loops(case: tuple[Data, Data]) -> None:
    with explicit_up_to(0):
        report = report_or_none(case, max_tiles=5_000)
    if report is not None:
        with points_up_to(0):
            assert actions(report.solution.model) == report.accesses


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows_of_a_large_convolution(stride: int) -> None:
    """3·10⁵ windows of three: the counts follow from translates."""
    size, filters = 300_000, 3
    data = spec(
        {"p": size, "r": filters},
        [einsum("e", ("y", "p"), ("x", "p"), ("f", "r"))],
        [memory("DRAM", size="inf"), memory("SRAM", size="inf"), compute("mac")],
        [
            storage("DRAM", "x", "f", "y"),
            loop("p", 4),
            storage("SRAM", "x"),
            loop("p"),
            loop("r"),
            leaf("e"),
        ],
    )
    accesses = data["workload"]["einsums"][0]["tensor_accesses"]
    accesses[0]["projection"] = {"X": f"{stride}*p + r"}
    accesses[1]["projection"], accesses[2]["projection"] = {"R": "r"}, {"P": "p"}
    report = polylat.analyze(Spec.from_dict(data), granularity="tile")
    window = len({stride * p + r for p in range(4) for r in range(filters)})
    assert actions(report.solution.model)["e", "DRAM", "x", "read"] == size // 4 * window
    report.verify()
