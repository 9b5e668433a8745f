"""Legal mappings compute the right values, and those that rule 1 refuses do not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given

import oracle
from builders import RECURRENT
from recurrent import scan
from recurrent_cascades import recurrent_cascades
from strategies import cascades

Data = dict[str, Any]


def verdicts(data: Data, options: Data) -> tuple[bool | None, bool] | None:
    """Whether rule 1 lets a mapping pass, None where program order does not exist; and the values.

    None altogether where the mapping is illegal for other reasons, or has Spatial loops.
    """
    options = options | {"granularity": options["granularity"].replace("auto", "flow")}
    try:
        lowered = oracle.lower(oracle.read_problem(data), oracle.read_options(**options))
    except oracle.Illegal:
        return None
    if any(loop.trips > 1 for leaf in lowered.leaves for loop in leaf.spatial):
        return None
    right = not oracle.Values(lowered).wrong
    arrivals = oracle.Arrivals(lowered)
    try:
        for run in lowered.runs:
            for tensor, level in run.transfers:
                for iteration in run.iterations:
                    arrivals.waits(run, tensor, level - 1, iteration)
    except oracle.Illegal:
        return False, right
    try:
        model = oracle.Model(oracle.read_problem(data), **options)
    except oracle.Illegal:  # stages that need the same unit
        return None
    return (True if oracle.schedule_of(model, "program") is not None else None), right


def check(data: Data, options: Data) -> bool | None:
    """Compare the rule with the values; whether the mapping is legal, None if not compared."""
    found = verdicts(data, options)
    if found is None or found[0] is None:
        return None
    legal, right = found
    assert legal == right
    return legal


def test_known_cascades() -> None:
    """Among the known cascades there are many of either kind."""
    found = Counter(check(case["spec"], case["options"]) for case in RECURRENT)
    assert found[True] > 100
    assert found[False] > 8


@given(recurrent_cascades())
def test_recurrences(case: tuple[Data, Data]) -> None:
    """Random cascades with recurrences."""
    check(*case)


@given(cascades())
def test_cascades(case: tuple[Data, Data]) -> None:
    """Random cascades without."""
    check(*case)


@pytest.mark.parametrize("registers", ["h0", "above", "half", "below"])
def test_scans(registers: str) -> None:
    """The state is found, wherever the registers stand."""
    assert check(scan(5, 1, 1, registers=registers, batch=2), {"granularity": "flow"}) is True


def test_a_lost_state() -> None:
    """Below its loop, the backing storage does not have it."""
    assert check(scan(5, 1, 1, registers="lost"), {"granularity": "flow"}) is False
