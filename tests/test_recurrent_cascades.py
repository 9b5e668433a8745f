"""Random cascades with recurrences: how many are legal, and facts that hold for all of them."""

from __future__ import annotations

import copy
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import oracle
from builders import without_machine
from recurrent_cascades import is_legal, recurrent_cascades
from test_oracle import all_pipelines

Data = dict[str, Any]
Case = tuple[Data, Data]


def model_of(data: Data, options: Data) -> oracle.Model | None:
    """The model of a cascade, None where the mapping is illegal."""
    options = options | {"granularity": options["granularity"].replace("auto", "flow")}
    try:
        return oracle.Model(oracle.read_problem(data), **options)
    except oracle.Illegal:
        return None


@pytest.mark.long
def test_about_half_of_the_cascades_are_legal() -> None:
    """And their states are read by the Einsum itself, by an earlier one, and filled."""
    found: Counter[str] = Counter()

    @settings(
        max_examples=150,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(recurrent_cascades())
    def count(case: Case) -> None:
        found["all"] += 1
        model = model_of(*case)
        if model is None or not is_legal(*case):
            return
        found["legal"] += 1
        found["itself"] += any(flow.source == flow.target for flow in model.flows)
        found["earlier"] += any(flow.source > flow.target for flow in model.flows)
        found["filled"] += any(is_filled(run) for run in model.runs)

    count()
    assert 0.35 < found["legal"] / found["all"] < 0.75
    # The draws differ between versions of hypothesis.
    least = found["legal"] / 20
    assert all(found[name] >= least for name in ("itself", "earlier", "filled"))


def is_filled(run: oracle.Run) -> bool:
    """Whether a leaf moves a state inwards that it writes, too."""
    return any(
        transfer.filled and not transfer.own and run.leaf.einsum.writes(transfer.tensor)
        for transfer in run.transfers.values()
    )


@given(recurrent_cascades())
def test_schedules(case: Case) -> None:
    """Causality, ports, and all bounds hold in every order."""
    model = model_of(*case)
    if model is None:
        return
    bounds = [
        oracle.resource_bound(model),
        oracle.dependence_bound(model),
        oracle.barrier_bound(model),
    ]
    for order in oracle.ORDERS:
        schedule = oracle.schedule_of(model, order)
        if schedule is not None:
            assert not oracle.check_causality(model, schedule)
            assert not oracle.check_ports(schedule)
            assert all(bound is None or schedule.latency >= bound for bound in bounds)


@given(recurrent_cascades())
def test_recurrences_go_forward_in_time(case: Case) -> None:
    """What a recurrence brings has finished before it is read, in every order."""
    model = model_of(*case)
    if model is None:
        return
    for order in oracle.ORDERS:
        schedule = oracle.schedule_of(model, order)
        if schedule is None:
            continue
        for flow in model.flows:
            if flow.source >= flow.target:
                end = schedule.finish(("end", flow.source, flow.source_iteration))
                assert end <= schedule.start(("start", flow.target, flow.target_iteration))


@given(recurrent_cascades())
def test_slower_computation_is_not_faster(case: Case) -> None:
    """Larger durations and latencies of computations: program and skew are max-plus.

    But for a rigid pipeline: with a longer latency it may have to outwait what waits for it.
    """
    data, options = case
    data = without_machine(data, "rigid")
    before = model_of(data, options)
    if before is None:
        return
    slow, late = copy.deepcopy(data), copy.deepcopy(data)
    for node in slow["arch"]["nodes"]:
        if node["type"] == "Compute":
            throughput = node["actions"][0]["throughput"]
            node["actions"][0]["throughput"] = (
                1 if throughput == "inf" else str(Fraction(str(throughput)) / 3)
            )
    for node in late["arch"]["nodes"]:
        if node["type"] == "Compute":
            machine = late.setdefault("schedule", {}).setdefault("latency", {})
            given_latency = machine.get(node["name"], {}).get("compute", 0)
            machine[node["name"]] = {"compute": str(Fraction(str(given_latency)) + Fraction(7, 2))}
    for changed in (slow, late):
        after = model_of(changed, options)
        assert after is not None
        for order in ("program", "skew"):
            one, two = (oracle.schedule_of(model, order) for model in (before, after))
            assert (one is None) == (two is None)
            assert one is None or two is None or one.latency <= two.latency


@given(recurrent_cascades())
def test_pipelines_do_not_slow_the_program_order(case: Case) -> None:
    """Every Sequential as a Pipeline: never slower, without background, where both exist."""
    data, options = case
    options = options | {"background": ()}
    before = model_of(data, options)
    after = None if before is None else model_of(all_pipelines(data), options)
    if before is None or after is None:
        return
    one, two = (oracle.schedule_of(model, "program") for model in (before, after))
    if one is not None and two is not None:
        assert two.latency <= one.latency
