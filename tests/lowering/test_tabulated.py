"""Functions from readings to the last writes that they depend on: by ISL and as tables."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import polylat
from disagreeing import draw
from polylat import Spec
from polylat.errors import PolylatError
from polylat.lowering.corners import Corners
from polylat.lowering.dependences import exchange_groups
from polylat.lowering.points import PiecewiseAffine
from polylat.lowering.tabulated import TabulatedFunction

Function = PiecewiseAffine | TabulatedFunction
Pair = tuple[list[int], PiecewiseAffine, TabulatedFunction]
"""Trip counts of the loops of a reader, and the function by ISL and as a table."""


def functions(seed: int) -> list[Pair]:
    """All functions of a random cascade that ISL finds within half a second or so."""
    found: list[Pair] = []
    last, tabulated = exchange_groups.GroupFlow.last, exchange_groups.GroupFlow._tabulated

    def both(self: Any, depth: int, bringer_depth: int) -> tuple[list[int], list[int], Function]:
        columns: list[Any] = []

        def noted(self: Any, *shown: Any) -> TabulatedFunction:
            columns.extend(shown)
            return tabulated(self, *shown)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(exchange_groups, "_OPERATIONS", 1)
            patched.setattr(exchange_groups.GroupFlow, "_tabulated", noted)
            loops, targets, table = last(self, depth, bringer_depth)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(exchange_groups, "_OPERATIONS", 50_000)
            function = last(self, depth, bringer_depth)[2]
        if isinstance(table, TabulatedFunction) and isinstance(function, PiecewiseAffine):
            trips = [self.pair.reader.trips[p] for p in columns[0]]
            found.append((trips, function, table))
        return loops, targets, table

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exchange_groups.GroupFlow, "last", both)
        case = draw(seed)
        with suppress(PolylatError):
            polylat.analyze(Spec.from_dict(case.spec), **case.options, max_tiles=20_000)
    return found


@settings(
    max_examples=max(settings().max_examples // 10, 5),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(st.integers(0, 2**63), st.integers(0, 2**32))
def test_tables_are_what_isl_computes(seed: int, choice: int) -> None:
    chance = np.random.default_rng(choice)
    for trips, function, table in functions(seed):
        every = np.array(list(product(*map(range, trips))), dtype=np.int64)
        every = every.reshape(prod(trips), len(trips))
        expected, there = function.at(every)
        values, defined = table.at(every)
        assert (defined == there).all()
        assert (values == expected).all()
        outside, defined = table.at(every + np.array(trips, dtype=np.int64))
        assert not trips or not (defined.any() or outside.any())
        first = every[chance.integers(0, len(every), 20)]
        steps = chance.integers(1, 4, first.shape)
        last = chance.integers(0, 5, first.shape)
        corners = Corners(first, steps, last, tuple(range(len(trips))))
        values, slopes, affine, undefined = table.on_boxes(corners)
        by_isl = function.on_boxes(corners)
        assert affine[by_isl[2]].all(), "a table recognizes all affine boxes"
        assert (values[by_isl[2]] == by_isl[0][by_isl[2]]).all()
        assert (slopes[by_isl[2]] == by_isl[1][by_isl[2]]).all()
        assert undefined[by_isl[3]].all(), "a table recognizes all boxes without a value"
        for box in np.flatnonzero(undefined).tolist():
            for k in product(*(range(n + 1) for n in last[box].tolist())):
                _, there = function.at((first[box] + steps[box] * np.array(k, dtype=int))[None])
                assert not there[0]
        for box in np.flatnonzero(affine).tolist():
            for k in product(*(range(n + 1) for n in last[box].tolist())):
                value, there = function.at((first[box] + steps[box] * np.array(k, dtype=int))[None])
                assert there[0]
                assert (value[0] == values[box] + slopes[box] @ np.array(k, dtype=int)).all()


def test_functions_are_compared() -> None:
    """The property above says something."""
    assert sum(prod(trips) > 1 for seed in range(12) for trips, _, _ in functions(seed)) >= 12


def test_a_function_that_isl_finds_in_minutes() -> None:
    """Two Spatial loops with different tiles: this analysis took 150 s."""
    case = draw(1005646)
    report = polylat.analyze(Spec.from_dict(case.spec), **case.options)
    assert report.exact
    assert report.latency == Fraction(24157, 2)
