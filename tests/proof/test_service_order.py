"""The order in which ports serve: the one that the report names, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage
from polylat import Report, Spec
from polylat.analysis.starts import build_starts
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.service_order import check_service_order
from polylat.proof.verify import checked_schedule
from reports import report_or_none
from strategies import cascades

Data = dict[str, Any]
ORDERS = ("program", "skew", "oldest")


def serves_in(report: Report, order: str) -> bool:
    """Whether the schedule of a report is in an order."""
    model = report.solution.model
    checked = checked_schedule(model, build_starts(report.solution))
    try:
        return check_service_order(checked, order, model.shifts) is not None
    except BrokenRule:
        return False


def three_stages(middle: str = "1/5") -> Data:
    """The first and the last stage share a unit; the orders differ."""
    branches = [nested(leaf(f"e{k}", f"mac{k % 2}")) for k in range(3)]
    tensors = ["a", "b", "c", "d"]
    return spec(
        {"m": 4},
        [einsum(f"e{k}", (tensors[k + 1], "m"), (tensors[k], "m")) for k in range(3)],
        [
            memory("DRAM", "inf", "inf", size="inf"),
            {"type": "Fork", "nodes": [compute("mac1", middle)]},
            compute("mac0", "1/2"),
        ],
        [storage("DRAM", *tensors), loop("m"), {"type": "Pipeline", "nodes": branches}],
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("other", ORDERS)
def test_another_order_is_refused(order: str, other: str) -> None:
    report = polylat.analyze(Spec.from_dict(three_stages()), order=order)
    latencies = report.latency_by_order
    if order == other:
        assert serves_in(report, other)
    elif latencies[order] != latencies[other]:
        assert not serves_in(report, other)


def test_the_orders_of_three_stages_differ() -> None:
    report = polylat.analyze(Spec.from_dict(three_stages()))
    assert len(set(report.latency_by_order.values())) > 1


def test_a_port_that_idles_is_not_oldest() -> None:
    """With skew, the third tile of the first stage waits for the slow second stage.

    Whenever the shared unit serves, it serves the oldest block that may start, but it idles before.
    """
    data = Spec.from_dict(three_stages(middle="1/20"))
    assert serves_in(polylat.analyze(data, order="oldest"), "oldest")
    assert not serves_in(polylat.analyze(data, order="skew"), "oldest")


@given(cascades(), st.sampled_from(ORDERS), st.sampled_from(ORDERS))
def test_a_schedule_in_an_order_has_its_latency(
    case: tuple[Data, Data], order: str, other: str
) -> None:
    """Times are the earliest ones: the order of service determines the schedule."""
    report = report_or_none(case, order)
    if report is not None and serves_in(report, other):
        assert report.latency_by_order[other] == report.latency
