"""Leaves that read back what separate transfers wrote back: all of their iterations are visited."""

from __future__ import annotations

import pytest

import polylat
from builders import LEGAL, stretched
from polylat import Spec
from reports import explicit_up_to

CASES = [
    (17, "n0", 30),  # one leaf: nothing waits for a finish
    (43, "n1", 60),  # branches of a Sequential wait for finishes, which nothing delays
    (65, "k", 60),  # a reader waits for finishes
    (85, "m", 40),
]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "variable", "factor"), CASES)
def test_same_latencies(number: int, variable: str, factor: int) -> None:
    """The orders that are settled have the explicit engine's latencies and bounds."""
    case = LEGAL[number]
    spec = Spec.from_dict(stretched(case["spec"], {variable: factor}))
    options = {name: value for name, value in case["options"].items() if name != "order"}
    with explicit_up_to(10**9):
        every = polylat.analyze(spec, **options)
    with explicit_up_to(0):
        some = polylat.analyze(spec, **options)
    assert every.engine == "explicit"
    for name, latency in some.latency_by_order.items():
        assert name in some.unsettled or latency == every.latency_by_order[name]
    assert some.dependence_bound == every.dependence_bound
    assert not some.exact or some.latency == every.latency
