"""Mappings of many branches: what is listed grows with their number, not with its square."""

from __future__ import annotations

from typing import Any

import pytest

import polylat
from benchmarks.network_inputs import NETWORKS, dataflow, pipelines
from polylat.engine import sampling_search
from polylat.engine.model import build
from polylat.engine.sampling_search import Inputs, SamplingSearch
from polylat.lowering.lowered import lower
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.extrapolation import PeriodicTaskGraph
from polylat.spec import Spec
from reports import explicit_up_to


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


@pytest.mark.long
@pytest.mark.parametrize("network", [sequential, NETWORKS["transformer"]])
def test_precedences_grow_with_the_number_of_branches(network: Any) -> None:
    few, more, many = (precedences(network(size)) for size in (3, 6, 12))
    assert many - more == 2 * (more - few)


@pytest.mark.long
def test_equal_blocks_are_sampled_in_as_many_rounds_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def counted(*args: Any, **options: Any) -> Any:
        built.append(args)
        return build(*args, **options)

    monkeypatch.setattr(sampling_search, "build", counted)
    rounds = []
    for count in (3, 6):
        built.clear()
        assert polylat.analyze(Spec.from_dict(pipelines(count))).exact
        rounds.append(len(built))
    assert rounds[0] == rounds[1] > 3


@pytest.mark.slow
def test_equal_blocks_are_scheduled_as_if_all_were_visited() -> None:
    spec = Spec.from_dict(pipelines(2, rows=250))
    with explicit_up_to(0):
        some = polylat.analyze(spec)
    with explicit_up_to(10**9):
        every = polylat.analyze(spec)
    assert some.engine == "periodic"
    assert every.engine == "explicit"
    assert some.latency_by_order == every.latency_by_order
    assert some.dependence_bound == every.dependence_bound
