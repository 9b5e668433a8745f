"""Whether the points of a relation repeat along a dimension, against an enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

import polylat
from disagreeing import draw as draw_case
from polylat import Spec
from polylat.lowering.groups import last_targets, solve_group, translates
from reports import explicit_up_to


@st.composite
def relations(draw: st.DrawFn) -> str:
    """A set of (element, loop, loop): a window, perhaps clipped, in which elements are touched."""
    stride, outer, inner = (draw(st.integers(1, 3)) for _ in range(3))
    size, taps = draw(st.integers(6, 14)), draw(st.integers(1, 4))
    most = draw(st.one_of(st.none(), st.integers(4, 40)))
    conditions = [
        f"0 <= i < {size}",
        f"0 <= j < {taps}",
        f"z = {stride}*({outer}*i + floor(j/{inner})) + j",
    ]
    if most is not None:
        conditions.append(f"z < {most}")
    return f"{{ [z, i, j] : {' and '.join(conditions)} }}"


@given(relations(), st.sampled_from(("points", "lexmin", "lexmax")), st.data())
def test_translates(text: str, want: str, data: st.DataObject) -> None:
    column = 1
    split = 1
    first = data.draw(st.integers(0, 3))
    period = data.draw(st.integers(1, 2))
    last = first + period * data.draw(st.integers(1, 6))
    found = [tuple(row) for row in solve_group(text, want, split).tolist()]
    guesses = [0] + [
        b[0] - a[0] for a in found[:6] for b in found if b[1] == a[1] + period and b[2] == a[2]
    ]
    move = data.draw(st.sampled_from(sorted(set(guesses))))
    shift = (move, period, 0)
    ahead = {
        tuple(x + y for x, y in zip(row, shift, strict=True))
        for row in found
        if first <= row[column] <= last - period
    }
    behind = {row for row in found if first + period <= row[column] <= last}
    expected = ahead == behind
    event(f"{want}: {expected}")
    got = translates(text, want, split, column, (first, last), ((column, period), (0, move)))
    assert got == expected


@pytest.mark.long
def test_relations_that_isl_does_not_decide_are_not_sampled() -> None:
    """The search for a sample of this mapping did not end."""
    case = draw_case(1016784)
    with explicit_up_to(0):
        report = polylat.analyze(Spec.from_dict(case.spec), **case.options)
    assert report.exact
    assert report.engine == "explicit"


def test_no_operations_are_left_over() -> None:
    """The limit on the operations of ISL holds for one function only."""
    text = "{ [i, j] : 0 <= i < 8 and i <= 2j < 20 }"
    assert last_targets(text, 1, 1) is None
    function = last_targets(text, 1)
    assert function is not None
    assert function.at(np.array([[3]]))[0].tolist() == [[9]]
