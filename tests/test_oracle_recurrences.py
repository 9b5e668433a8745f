"""The oracle on recurrences: the answers of independent implementations."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import oracle
from test_oracle_cascades import exact, read, title

Data = dict[str, Any]

CASCADES = read("cascades-recurrent.json")
"""Random cascades with recurrences, and worked cases."""
NAMES = [case["name"] for case in CASCADES if case["expected"] is not None]


@pytest.mark.parametrize("case", CASCADES, ids=title)
def test_known_answers(case: Data) -> None:
    """Latencies, bounds, tile iterations and accesses; None where the mapping is illegal."""
    if case["expected"] is None:
        with pytest.raises(oracle.Illegal):
            oracle.analyze(case["spec"], **case["options"])
        return
    answer = oracle.analyze(case["spec"], **case["options"])
    expected = {name: exact(value) for name, value in case["expected"].items()}
    assert {name: answer[name] for name in expected} == expected


@cache
def model_of(name: str) -> oracle.Model:
    """The model of a legal cascade."""
    case = next(case for case in CASCADES if case["name"] == name)
    return oracle.Model(oracle.read_problem(case["spec"]), **case["options"])


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
