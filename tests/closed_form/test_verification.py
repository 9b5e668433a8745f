"""ISL proves the schedules behind formulas for all sizes, and finds what is wrong with others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import polylat
from builders import EXAMPLE
from polylat import CertificateError
from polylat.closed_form.verification import decide_for_all_sizes
from polylat.engine.solve import QUICK, solve_sampled
from polylat.engine.trip_ranges import RangeProver, Sizes
from polylat.schedule.decisions import ExtendedTimes
from polylat.schedule.growth import CornerSchedule
from polylat.schedule.timing import Order

HIGH: Sizes = (1 << 36,)


def ends(order: Order | None) -> tuple[CornerSchedule, CornerSchedule, int]:
    """A schedule of the tapped cascade at two sizes, and their distance."""
    formula = polylat.symbolic(
        polylat.load(*EXAMPLE), ["M"], granularity="tile", background="o2@SRAM"
    )
    family = formula._forms.families[()]

    def inputs_at(sizes: Sizes):  # type: ignore[no-untyped-def]
        return family.inputs_at((sizes, ()))

    found = solve_sampled(inputs_at(HIGH), QUICK)
    assert found is not None
    prover = RangeProver(inputs_at, HIGH, (1,), found)
    proven = prover.range_of(order)
    assert proven is not None
    both = prover.ends(order, proven)
    assert both is not None
    return both[0], both[1], proven.high[0] - proven.low[0]


def moved(corner: CornerSchedule, event: int, by: int) -> CornerSchedule:
    """The same schedule with one event at another time."""
    values = corner.times.values.copy()
    values[event] += by
    return replace(corner, times=ExtendedTimes(values, corner.times.rates, corner.times.steps))


@pytest.mark.parametrize("order", ["program", "skew", "oldest", None])
def test_schedules_of_a_formula(order: Order | None) -> None:
    """Every order of the tapped cascade, and the dependence bound."""
    low, high, steps = ends(order)
    assert decide_for_all_sizes(low, high, steps) > 20


@pytest.mark.parametrize("by", [-1, 1])
def test_wrong_times(by: int) -> None:
    """An event that is earlier violates a precedence; one that is later is not determined."""
    low, high, steps = ends("program")
    events = np.flatnonzero(low.members.needed & (low.times.values > 0))[::37]
    assert len(events) > 3
    for event in events.tolist():
        with pytest.raises(CertificateError, match=r"violated|determines"):
            decide_for_all_sizes(moved(low, event, by), moved(high, event, by), steps)


def test_wrong_growth() -> None:
    """Times that hold at the smaller size, and grow too fast or too slowly."""
    low, high, steps = ends("program")
    event = int(np.flatnonzero(low.members.needed & (high.times.values > HIGH[0]))[-1])
    for by in (-steps, steps):
        with pytest.raises(CertificateError, match=r"violated|determines"):
            decide_for_all_sizes(low, moved(high, event, by), steps)


def test_another_choice_of_a_port() -> None:
    """The order "oldest" needs its conditions at all sizes."""
    low, high, steps = ends("oldest")
    assert low.choices is not None
    assert high.choices is not None
    none = np.zeros_like(low.choices.older)
    late = replace(low, choices=replace(low.choices, older=none))
    with pytest.raises(CertificateError, match="oldest ready task"):
        decide_for_all_sizes(late, replace(high, choices=replace(high.choices, older=none)), steps)


def test_formula_certificate() -> None:
    """What it proves, as text and as data; nothing where sizes were analyzed one by one."""
    spec = polylat.load(*EXAMPLE)
    certificate = polylat.symbolic(spec, ["M"], granularity="tile", background="o2").verify()
    assert [one.order for one in certificate.ranges] == [
        "program",
        "skew",
        "oldest",
        "dependence bound",
    ]
    assert "4 schedules proven for all sizes" in str(certificate)
    assert [row["low"] for row in certificate.to_dict()] == [[11]] * 4
    bounded = polylat.symbolic(spec, {"M": (1, 8)}, granularity="tile").verify()
    assert bounded.ranges == ()
