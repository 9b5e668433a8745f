"""Longest paths with lags, and with terms of extrapolation, against recursion."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polylat.schedule.longest_path import PrecedenceSystem

Rows = list[tuple[int, ...]]


@st.composite
def systems(draw: st.DrawFn) -> tuple[int, Rows, Rows]:
    """Events, precedences (source, target, lag) and terms (precedence, factor, later, back)."""
    count = draw(st.integers(2, 8))
    names = draw(st.permutations(range(count)))
    edges: Rows = []
    terms: Rows = []
    for at in draw(st.lists(st.integers(1, count - 1), max_size=14)):
        source = draw(st.integers(0, at - 1))
        if at > 1 and draw(st.booleans()):
            later, back = sorted(draw(st.sets(st.integers(0, at - 1), min_size=2, max_size=2)))
            terms.append((len(edges), draw(st.integers(1, 3)), names[later], names[back]))
        edges.append((names[source], names[at], draw(st.integers(0, 9))))
    return count, edges, terms


def columns(rows: Rows, width: int) -> list[Any]:
    """The columns of a table."""
    return list(np.array(rows, dtype=np.int64).reshape(-1, width).T)


@given(systems(), st.lists(st.integers(0, 9), min_size=8, max_size=8), st.integers(1, 3))
def test_earliest(system: tuple[int, Rows, Rows], durations: list[int], unit: int) -> None:
    """Without lags, terms, or both; with a coarser unit of lags; in Python integers, too."""
    count, edges, terms = system

    @cache
    def time(event: int) -> int:
        after = [0]
        for number, (source, target, lag) in enumerate(edges):
            if target == event:
                grown = [f * (time(k) - time(b)) for e, f, k, b in terms if e == number]
                after.append(time(source) + unit * lag + sum(grown))
        return max(after) + durations[event]

    which, factor, later, back = columns(terms, 4)
    source, target, lag = columns(edges, 3)
    found = PrecedenceSystem(count, source, target, lag, (which, factor, later, back))
    assert found.undone == 0
    given_durations = np.array(durations[:count])
    expected = [time(event) for event in range(count)]
    assert found.earliest(given_durations, unit).tolist() == expected
    assert found.earliest(given_durations.astype(object), unit).tolist() == expected


def test_lags_beyond_64_bits() -> None:
    """Where a sum might not fit 64 bits, times are Python integers."""
    source, target = np.array([0, 1]), np.array([1, 2])
    large = 1 << 61
    found = PrecedenceSystem(3, source, target, np.array([large, large]))
    assert found.earliest(np.array([1, 1, 1])).tolist() == [1, large + 2, 2 * large + 3]
    exact = PrecedenceSystem(3, source, target, np.array([large * 8, 0], dtype=object))
    assert exact.earliest(np.array([1, 1, 1])).tolist() == [1, 8 * large + 2, 8 * large + 3]
    assert found.earliest(np.array([1, 1, 1]), 4).tolist() == [1, 4 * large + 2, 8 * large + 3]


def test_cycles_have_no_times() -> None:
    """Events on a cycle, and behind it, are counted."""
    source, target = np.array([0, 1, 2, 2]), np.array([1, 2, 1, 3])
    found = PrecedenceSystem(4, source, target, np.array([0, 1, 0, 0]))
    assert found.undone == 3
