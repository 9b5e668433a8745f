"""Mappings of many branches: what is listed grows with their number, not with its square."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.network_inputs import NETWORKS, dataflow
from polylat.engine.sampling_search import Inputs, SamplingSearch
from polylat.lowering.lowered import lower
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.extrapolation import PeriodicTaskGraph
from polylat.spec import Spec


def sequential(stages: int) -> dict[str, Any]:
    """A dataflow design whose stages run one after another."""
    data = dataflow(stages)
    data["mapping"]["nodes"][-1]["type"] = "Sequential"
    return data


def precedences(data: dict[str, Any]) -> int:
    """The number of precedences of a sample: of the rules, and of the ports in both orders."""
    lowered = lower(Spec.from_dict(data), "tile")
    model = SamplingSearch(Inputs(lowered, TransferOptions()), 10**6).model()
    assert model is not None
    assert isinstance(model.plan, PeriodicTaskGraph)
    rules = model.plan.repeats.all_members
    some = (rules.common, rules.in_order, rules.program, rules.skew)
    return sum(len(rows.target) for rows in some if rows is not None)


@pytest.mark.parametrize("network", [sequential, NETWORKS["transformer"]])
def test_precedences_grow_with_the_number_of_branches(network: Any) -> None:
    few, more, many = (precedences(network(size)) for size in (3, 6, 12))
    assert many - more == 2 * (more - few)
