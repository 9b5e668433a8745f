"""The simulation of the order "oldest" where events happen a fixed latency after others."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from test_latencies import fetched, late_cascades, summed

import polylat
from builders import (
    RECURRENT,
    compute,
    delayed,
    leaf,
    loop,
    memory,
    nested,
    options_of,
    spec,
    storage,
    stretched,
)
from polylat import DomainError, PolylatError, Spec
from polylat.engine import solve
from polylat.engine.model import Model, build
from polylat.engine.sampling_search import Inputs, SamplingSearch
from polylat.engine.service_simulation import Simulation
from polylat.engine.work_conserving import simulation_of
from polylat.lowering.lowered import lower
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from reports import explicit_up_to, transfers

Data = dict[str, Any]

CASES = {case["name"]: case for case in RECURRENT}
NAMES = ("recurrent-97", "recurrent-135", "recurrent-136", "recurrent-973")
"""Cascades of which only a simulation finds the order: with latencies, the last one with setups."""


def tensor(name: str, index: str, *, output: bool = False) -> Data:
    """An access of a tensor with one index."""
    access: Data = {"name": name, "projection": {name.upper(): index}}
    return access | {"output": True} if output else access


def shared(steps: int, late: Data, *, read: int | str = "inf") -> Data:
    """``u[t] = x[t]``, and ``h[t + 1] = f(u[t], h[t])`` on the same unit, 1 per operation."""
    data = spec(
        {"t": steps},
        [
            {"name": "e1", "tensor_accesses": [tensor("x", "t"), tensor("u", "t", output=True)]},
            {
                "name": "e2",
                "tensor_accesses": [
                    tensor("u", "t"),
                    tensor("h", "t"),
                    tensor("h", "t + 1", output=True),
                ],
            },
        ],
        [memory("SRAM", read, "inf", size="inf"), compute("mac")],
        [
            storage("SRAM", "x", "u", "h"),
            loop("t"),
            {"type": "Pipeline", "nodes": [nested(leaf("e1")), nested(leaf("e2"))]},
        ],
    )
    data["schedule"] = {"latency": late}
    return data


def inputs_of(data: Data, options: Data) -> Inputs:
    """A mapping, lowered."""
    chosen = transfers(Spec.from_dict(data), **options)
    return Inputs(lower(Spec.from_dict(data), options["granularity"], chosen), chosen)


def of_steps(name: str, steps: int) -> tuple[Data, Data]:
    """A cascade with a number of time steps, and its options."""
    case = CASES[name]
    data = stretched(case["spec"], {"t": 0}, steps)
    return data, options_of(case)


def simulated(inputs: Inputs) -> tuple[Model, Simulation] | None:
    """A sample of a mapping, and the simulation of all tile iterations."""
    search = SamplingSearch(inputs, 10**6)
    return search.run(lambda model: (model, simulation_of(model, 10**6)))


def assert_all_services(inputs: Inputs, simulation: Simulation) -> None:
    """The simulation has every service of the explicit engine, at the same time."""
    whole = build(*inputs)
    assert isinstance(whole.plan, ExplicitTaskGraph)
    schedule = whole.plan.time("oldest")
    graph = whole.graph
    iteration = graph.owner[graph.task_block]
    digits = whole.layout.digits[:, iteration].T.tolist()
    leaves, sequence = graph.leaf[iteration].tolist(), graph.sequence[graph.task_block].tolist()
    port, begin = graph.task_port.tolist(), schedule.task_begin.tolist()
    for task in range(graph.tasks):
        log = simulation.services[leaves[task], sequence[task], port[task]]
        depth = whole.layout.tiles[leaves[task]].depth
        assert log.begin(tuple(digits[task][:depth])) == begin[task]


FLOW: Data = {"granularity": "flow"}
FULL: Data = {"granularity": "full"}


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (shared(300, {"mac": {"compute": 5}}), FLOW),
        # Longer than many repetitions of the services.
        (shared(300, {"mac": {"compute": 40}}), FLOW),
        (shared(300, {"mac": {"compute": "5/2"}, "SRAM": {"read": 7}}, read=1), FLOW),
        # Tile iterations whose latencies differ.
        (fetched(40, 20, 10), FULL),
        (summed(40, 20, 30), FULL),
        (delayed(100, rigid=True), FLOW),
        *(of_steps(name, 300) for name in NAMES),
    ],
)
def test_all_services(data: Data, options: Data) -> None:
    inputs = inputs_of(data, options)
    found = simulated(inputs)
    assert found is not None
    assert_all_services(inputs, found[1])


@settings(max_examples=max(settings().max_examples // 3, 5), deadline=None)
@given(late_cascades())
def test_random_services(case: tuple[Data, Data]) -> None:
    """The same for random cascades, unless later blocks of a stream are ready first."""
    data, options = case
    try:
        inputs = inputs_of(data, options)
        found = simulated(inputs)
        explicit = build(*inputs)
    except PolylatError:
        return
    assert isinstance(explicit.plan, ExplicitTaskGraph)
    schedule = explicit.plan.time("oldest")
    if found is None or not schedule.legal or not served_in_order(explicit):
        return
    assert_all_services(inputs, found[1])


def served_in_order(model: Model) -> bool:
    """Whether each port serves the blocks of one kind and leaf in order."""
    assert isinstance(model.plan, ExplicitTaskGraph)
    graph, begin = model.graph, model.plan.time("oldest").task_begin.tolist()
    iteration = graph.owner[graph.task_block]
    columns = graph.leaf[iteration], graph.sequence[graph.task_block], graph.task_port, iteration
    streams: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
    for task, (*stream, number) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        streams.setdefault((stream[0], stream[1], stream[2]), []).append((number, begin[task]))
    return all(
        sorted(mine) == sorted(mine, key=lambda service: service[1]) for mine in streams.values()
    )


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_long_recurrences(name: str) -> None:
    """At any number of steps the order is proven, from as many tile iterations."""
    latencies: list[Fraction] = []
    sizes = []
    for steps in (1_000, 2_000, 3_000, 10**9):
        data, options = of_steps(name, steps)
        with explicit_up_to(0 if steps > 1_000 else solve.EXPLICIT):
            report = polylat.analyze(Spec.from_dict(data), **options, max_tiles=100_000)
        assert report.exact
        assert report.unsettled == ()
        oldest = report.latency_by_order["oldest"]
        assert oldest is not None
        latencies.append(Fraction(oldest))
        sizes.append(report.solution.model.graph.iterations)
    first, second, third, last = latencies
    assert third - second == second - first
    assert last == first + (second - first) * (10**9 - 1_000) / 1_000
    assert sizes[1] == sizes[3]


@pytest.mark.long
@pytest.mark.parametrize(("late", "step", "rest"), [(2, 3, 3), (5, 6, 6), (40, 41, 41)])
@pytest.mark.parametrize("steps", [1_000, 10**9])
def test_one_leaf_runs_ahead(late: int, step: int, rest: int, steps: int) -> None:
    """The recurrence takes 1 + late per step: e1 has run ahead before its first `steps / late`.

    The first step begins at 1 + late, and each begins when the one before has passed. So the period
    of e1 is `late` iterations, in which e2 moves by one: a fraction of its own period.
    """
    with explicit_up_to(0 if steps > 1_000 else solve.EXPLICIT):
        report = polylat.analyze(
            Spec.from_dict(shared(steps, {"mac": {"compute": late}})), **FLOW, max_tiles=10_000
        )
    assert report.unsettled == ()
    assert report.latency_by_order["oldest"] == report.latency == step * steps + rest
    assert report.engine == ("explicit" if steps == 1_000 else "periodic")
    assert report.verify().latency == report.latency


@pytest.mark.long
@pytest.mark.parametrize("late", [2, 5, 8])
def test_a_formula_where_one_leaf_runs_ahead(late: int) -> None:
    """Where parts that take turns end is not affine in the size: a formula says nothing of it."""
    data = shared(10, {"mac": {"compute": late}})
    formula = polylat.symbolic(Spec.from_dict(data), ["t"], **FLOW)
    proven = 0
    for steps in (*range(1, 65), 777, 10**5, 10**9 + 7):
        try:
            found = formula(t=steps)
        except DomainError:
            continue
        proven += 1
        assert found == (late + 1) * (steps + 1)
    assert proven >= 64


def test_a_service_between_several_repetitions() -> None:
    """Ports repeat short patterns between services that are a latency apart.

    The simulation finds the long pattern: it takes few services, at any number of steps.
    """
    data, options = of_steps("recurrent-90", 10**9)
    search = SamplingSearch(inputs_of(data, options), 10**6)
    assert search.run(lambda model: simulation_of(model, 3_000)) is not None
