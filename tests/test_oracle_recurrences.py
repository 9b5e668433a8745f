"""The oracle on recurrences: the answers of independent implementations."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import oracle
from builders import RECURRENT_LEGAL, compute, einsum, leaf, loop, memory, spec, storage

Data = dict[str, Any]

NAMES = [case["name"] for case in RECURRENT_LEGAL]


@cache
def model_of(name: str) -> oracle.Model:
    """The model of a legal cascade."""
    case = next(case for case in RECURRENT_LEGAL if case["name"] == name)
    return oracle.Model(oracle.read_problem(case["spec"]), **case["options"])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_causality_in_every_order(name: str) -> None:
    """No value moves before it exists, no tile is used before it has arrived."""
    model = model_of(name)
    for order in oracle.ORDERS:
        schedule = oracle.schedule_of(model, order)
        if schedule is not None:
            assert not oracle.check_causality(model, schedule)
            assert not oracle.check_ports(schedule)


def test_causality_of_recurrences_is_checked() -> None:
    """A schedule in which no tile iteration waits for the one before is found out."""
    model = model_of("worked-a-registers")
    schedule = oracle.schedule_of(model, "program")
    assert schedule is not None
    early = {event: 0 if event[0] == "start" else time for event, time in schedule.times.items()}
    assert oracle.check_causality(model, oracle.Schedule("program", early, schedule.network))


# --------------------------------------------------------------------------------------------
# Earlier states with names of their own
# --------------------------------------------------------------------------------------------


def named(text: str, *, together: bool) -> Data:
    """``H[t, d] = f(H_prev[t, d], X[t, d])``; both names stand in one Storage, or in two."""
    holders = [storage("RF", "H", "H_prev")]
    if not together:
        holders = [storage("RF", "H_prev"), storage("RF", "H")]
    data = spec(
        {"t": 5, "d": 2},
        [einsum("e", ("H", "t d"), ("H_prev", "t d"), ("X", "t d"))],
        [memory("DRAM", "inf", "inf"), memory("RF", "inf", "inf"), compute("mac", "1/2")],
        [storage("DRAM", "X"), *holders, loop("t"), loop("d"), leaf("e")],
    )
    data["schedule"] = {"recurrences": {"H_prev": text}, "latency": {"mac": {"compute": 6}}}
    return data


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("text", ["H[t-1]", "H[t - 1, d]"])
def test_named_states(text: str, together: bool) -> None:
    """They are the state one step before: a step starts 2 + 6 after the one before."""
    answer = oracle.analyze(named(text, together=together), granularity="flow")
    assert set(answer["latency_by_order"].values()) == {4 * (2 + 6) + 2 * 2 + 6}
    assert answer["accesses"]["e", "RF", "H", "read"] == 10


def test_named_states_two_steps_before() -> None:
    """Two steps have four operations of 2: as long as a value takes, so that the unit is busy."""
    answer = oracle.analyze(named("H[t-2]", together=True), granularity="flow")
    assert set(answer["latency_by_order"].values()) == {5 * 2 * 2 + 6}


def test_the_shift_is_composed_with_the_projection() -> None:
    """H_prev at t + 1 is H at t: its own result, which is not there before."""
    data = named("H[t-1]", together=True)
    access = data["workload"]["einsums"][0]["tensor_accesses"][0]
    access["projection"] = {"T": "t + 1", "D": "d"}
    with pytest.raises(oracle.Illegal, match="before it is produced"):
        oracle.analyze(data)
    access["projection"] = {"T": "t - 1", "D": "d"}
    two = oracle.analyze(named("H[t-2]", together=True))
    assert oracle.analyze(data)["latency_by_order"] == two["latency_by_order"]
