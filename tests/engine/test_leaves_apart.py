"""Leaves below one loop that sample different iterations of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_simulated_latencies import inputs_of, of_steps, shared, simulated

import polylat
from builders import leaf, loop, nested, storage
from differences import all_starts
from polylat import Spec
from polylat.engine import solve
from polylat.engine.leaves_apart import keys_apart
from polylat.engine.model import Model, build
from polylat.engine.sampling_search import Inputs, SamplingSearch
from polylat.engine.solution import Solution
from polylat.engine.work_conserving import work_conserving_by_simulation
from polylat.lowering.enumeration import trip_counts
from polylat.lowering.lowered import lower
from polylat.lowering.paths import LoopKeys, loop_nodes
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicTaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from reports import explicit_up_to

Data = dict[str, Any]

FLOW: Data = {"granularity": "flow"}


def keys_of(nodes: list[Data]) -> LoopKeys | None:
    """The keys of the cascade `shared` with another mapping."""
    data = shared(10, {})
    data["mapping"]["nodes"] = nodes
    return keys_apart(lower(Spec.from_dict(data), "flow"))


def pipeline(*above: Data) -> list[Data]:
    """Nodes above a Pipeline of both Einsums."""
    return [*above, {"type": "Pipeline", "nodes": [nested(leaf("e1")), nested(leaf("e2"))]}]


def test_flows_alone_do_not_couple_leaves() -> None:
    """Tensors are held above the loop: the second leaf has a key of its own for it."""
    keys = keys_of(pipeline(storage("SRAM", "x", "u", "h"), loop("t")))
    assert keys is not None
    (first,), (second,) = keys
    assert first != second
    # Loops of their own have their nodes as keys.
    own = [nested(loop("t"), leaf("e1")), nested(loop("t"), leaf("e2"))]
    above = [storage("SRAM", "x", "u", "h"), loop("t", 2)]
    keys = keys_of([*above, {"type": "Pipeline", "nodes": own}])
    assert keys is not None
    (common, inner), (other, further) = keys
    assert len({common, inner, other, further}) == 4


@pytest.mark.parametrize(
    "nodes",
    [
        # A tile of u has a limited number of slots in SRAM.
        pipeline(storage("SRAM", "x", "u", "h"), loop("t"), storage("RF", "u")),
        # The branches wait for each other.
        [
            storage("SRAM", "x", "u", "h"),
            loop("t"),
            {"type": "Sequential", "nodes": [nested(leaf("e1")), nested(leaf("e2"))]},
        ],
        # There is no loop in common.
        [
            storage("SRAM", "x", "u", "h"),
            {
                "type": "Pipeline",
                "nodes": [nested(loop("t"), leaf("e1")), nested(loop("t"), leaf("e2"))],
            },
        ],
    ],
    ids=["holder", "sequential", "nothing in common"],
)
def test_coupled_leaves_have_the_same_keys(nodes: list[Data]) -> None:
    """Where rules compare the places of tiles, and where there is nothing to separate."""
    data = shared(10, {})
    data["arch"]["nodes"].insert(1, {**data["arch"]["nodes"][0], "name": "RF"})
    data["mapping"]["nodes"] = nodes
    assert keys_apart(lower(Spec.from_dict(data), "flow")) is None


def test_only_coupled_leaves_are_sampled_alike() -> None:
    """Of three leaves, the two branches of a Sequential have the same keys."""
    data, options = of_steps("recurrent-8", 10)
    lowered = inputs_of(data, options).lowered
    keys, nodes = keys_apart(lowered), loop_nodes(lowered.leaves)
    assert keys is not None
    assert keys[0] == nodes[0]
    assert keys[1][:2] == keys[2][:2]
    assert set(keys[1][:2]).isdisjoint(nodes[1][:2])


def sampled_apart(inputs: Inputs) -> Solution | None:
    """The order "oldest" of a sample that has further iterations of one loop for some leaves."""
    keys, found = keys_apart(inputs.lowered), simulated(inputs)
    assert keys is not None
    assert found is not None
    _, simulation = found
    regimes = simulation.regimes(keys)
    trips = trip_counts(inputs.lowered.leaves)
    for mine, nodes in zip(keys, loop_nodes(inputs.lowered.leaves), strict=True):
        for key, node in zip(mine, nodes, strict=True):
            if key != node and trips[node] > 200:
                regimes[key] = tuple(sorted({150: 1, **dict(regimes.get(key, ()))}.items()))
    search = SamplingSearch(inputs, 10**5, regimes=regimes, keys=keys)

    def timed(model: Model) -> Solution:
        schedule, ordered = work_conserving_by_simulation(model, simulation)
        return Solution(ordered, schedule)

    return search.run(timed)


@pytest.mark.parametrize(
    "name",
    ["worked-b-three-batch2", "recurrent-182", "recurrent-2", "recurrent-52", "recurrent-97"],
)
def test_every_start_is_that_of_the_explicit_engine(name: str) -> None:
    """In all tile iterations, also those that only some leaves skip."""
    inputs = inputs_of(*of_steps(name, 300))
    solution = sampled_apart(inputs)
    assert solution is not None
    assert solution.model.layout.apart
    assert solution.model.engine == "periodic"
    whole = build(*inputs)
    assert isinstance(whole.plan, ExplicitTaskGraph)
    every = all_starts(Solution(whole, whole.plan.time("oldest")))
    found = all_starts(solution)
    assert found.keys() == every.keys()
    for key, rows in every.items():
        np.testing.assert_array_equal(found[key], rows)


@pytest.mark.long
@pytest.mark.parametrize("name", ["recurrent-8", "recurrent-44"])
def test_periods_that_are_multiplied_in_a_common_sample(name: str) -> None:
    """The leaf that runs ahead, and the others, repeat themselves with different periods."""
    data, options = of_steps(name, 3_000)
    with explicit_up_to(0):
        report = polylat.analyze(Spec.from_dict(data), **options, order="oldest")
    assert report.engine == "periodic"
    assert report.exact
    assert report.solution.model.layout.apart
    with explicit_up_to(10**6):
        every = polylat.analyze(Spec.from_dict(data), **options, order="oldest")
    assert every.engine == "explicit"
    assert report.latency == every.latency


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "latency"), [("recurrent-8", 146_545_454_553), ("recurrent-44", "236508772089/4")]
)
def test_long_recurrences(name: str, latency: int | str) -> None:
    """At 10⁹ steps, from few tile iterations."""
    data, options = of_steps(name, 10**9)
    report = polylat.analyze(Spec.from_dict(data), **options, order="oldest")
    assert report.exact
    assert str(report.latency) == str(latency)
    assert report.solution.model.graph.iterations < solve.MOST_SAMPLED // 4


def test_a_static_order_is_not_known_apart() -> None:
    """Their precedences compare places, which mean different iterations."""
    inputs = inputs_of(*of_steps("recurrent-182", 300))
    solution = sampled_apart(inputs)
    assert solution is not None
    plan = solution.model.plan
    assert isinstance(plan, PeriodicTaskGraph)
    assert plan.repeats.ports.seen is not None
    with pytest.raises(NotPeriodicError):
        plan.time("program")
