"""Sampled mappings whose fills are served one tile ahead in skewed orders."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings

import polylat
from builders import Data, compute, einsum, leaf, loop, memory, nested, spec, storage
from polylat import Report, Spec, TooLargeError
from polylat.engine import solve
from polylat.engine.model import Model
from polylat.engine.sampling_search import Inputs
from polylat.engine.solution import Solution
from polylat.engine.solve import Schedules
from polylat.lowering.lowered import lower
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.timing import Order
from reports import explicit_up_to
from served_ahead import MOST, models_with_hosts


def fetched(write: str = "inf", trips: int = 900) -> Data:
    """Two stages; DRAM serves tiles of the inputs of both, and what the second one writes."""
    return spec(
        {"m": trips, "k": 4},
        [einsum("e1", ("b", "m"), ("a", "m k"), ("w", "k")),
         einsum("e2", ("c", "m"), ("b", "m"), ("v", "m k"))],
        [memory("D", "1/2", write, size="inf"), memory("S", "inf", "inf", size="inf"),
         compute("c1", "1/3"), compute("c2", "1/5")],
        [storage("D", "a", "w", "v", "c"), storage("S", "b"), loop("m", 3),
         {"type": "Pipeline", "nodes": [
             nested(storage("S", "a", "w"), loop("m"), loop("k"), leaf("e1", "c1")),
             nested(loop("m"), storage("S", "v", "c"), loop("k"), leaf("e2", "c2"))]}],
    )  # fmt: skip


def one_stream(trips: int = 900) -> Data:
    """One Einsum: DRAM serves the tiles of one input, and nothing else."""
    return spec(
        {"m": trips, "k": 4},
        [einsum("e", ("b", "m"), ("a", "m k"))],
        [memory("D", "1/2", "inf", size="inf"), memory("S", "inf", "inf", size="inf"),
         compute("c", "1/3")],
        [storage("D", "a"), storage("S", "b"), loop("m"), storage("S", "a"), loop("k"),
         leaf("e", "c")],
    )  # fmt: skip


def staged_all(slots: int | None) -> TransferOptions:
    """All holders are staged."""
    return TransferOptions(frozenset(), ((None, None),), slots)


def begins(solution: Solution) -> dict[tuple[int, ...], Fraction]:
    """Leaf, position of the block, port and loop indices of each sampled task → when it begins."""
    model, schedule = solution.model, solution.schedule
    graph = model.graph
    block = graph.task_block
    owner = graph.owner[block]
    keys = np.vstack(
        (graph.leaf[owner], graph.sequence[block], graph.task_port, model.layout.digits[:, owner])
    )
    times = [Fraction(int(time), model.costs.scale) for time in schedule.task_begin]
    return dict(zip(map(tuple, keys.T.tolist()), times, strict=True))


def sampled_and_all(data: Data, options: TransferOptions) -> tuple[Schedules, Schedules]:
    """The schedules from a sample of the tile iterations, and from all of them."""
    lowered = lower(Spec.from_dict(data), "flow", options)
    with explicit_up_to(0):
        sampled = solve.solve_sampled(Inputs(lowered, options), 10_000, None)
    with explicit_up_to(10**9):
        whole = solve.solve(lowered, options, 10**6)
    assert sampled is not None
    assert not sampled.model.layout.whole
    assert (sampled.model.graph.host != sampled.model.graph.owner).any()
    assert_same(sampled, whole)
    return sampled, whole


def assert_same(sampled: Schedules, whole: Schedules) -> None:
    """The sampled tasks of all orders that are known begin when they do in the whole schedules."""
    for order, solution in sampled.solutions.items():
        assert solution.legal == whole.solutions[order].legal
        if solution.legal:
            assert solution.makespan == whole.solutions[order].makespan
            assert begins(solution).items() <= begins(whole.solutions[order]).items()
    assert sampled.unlimited.makespan == whole.unlimited.makespan


@pytest.mark.parametrize("slots", [2, 3, None])
@pytest.mark.parametrize("write", ["inf", "1/2", "2/7"])
@pytest.mark.parametrize("staged", [((None, None),), (("a", None), ("v", None)), (("v", "S"),)])
def test_static_orders_are_sampled(
    slots: int | None, write: str, staged: tuple[tuple[str | None, str | None], ...]
) -> None:
    options = TransferOptions(frozenset(), staged, slots)
    sampled, _ = sampled_and_all(fetched(write), options)
    assert sampled.model.graph.overtaking
    assert set(sampled.solutions) >= {"program", "skew"}


@settings(
    max_examples=max(settings().max_examples // 5, 20),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(models_with_hosts((3, 7)))
def test_sampled_schedules_are_those_of_all_tile_iterations(model: Model) -> None:
    with explicit_up_to(0):
        sampled = solve.solve_sampled(Inputs(model.lowered, model.options), MOST, None)
    assume(sampled is not None)
    assert sampled is not None
    assert_same(sampled, solve._explicit(model))
    event(f"orders: {sorted(sampled.solutions)}")


@pytest.mark.parametrize("write", ["1/2", "2/7"])
def test_the_oldest_fill_is_sampled(write: str) -> None:
    """Idle ports take a fill by the date of its host, which the program and the dates do not."""
    sampled, whole = sampled_and_all(fetched(write), staged_all(2))
    assert sampled.settled
    assert len({solution.makespan for solution in whole.solutions.values()}) == 3


def nested_fills(write: str, *, pipeline: bool, m: int = 240) -> Data:
    """Two leaves below common loops, each with fills at two depths from one port."""
    return spec(
        {"m": m, "k": 6, "n": 4},
        [einsum("e1", ("b", "m"), ("a", "m k"), ("w", "k")),
         einsum("e2", ("c", "m"), ("b", "m"), ("v", "m n"))],
        [memory("D", "1/2", write, size="inf"), memory("S", "1/4", "inf", size="inf"),
         memory("R", "inf", "inf", size="inf"), compute("c1", "1/3"), compute("c2", "1/5")],
        [storage("D", "a", "w", "v", "c"), loop("m", 12), storage("S", "b"),
         {"type": "Pipeline" if pipeline else "Sequential", "nodes": [
             nested(storage("S", "w"), loop("m", 3), storage("S", "a"), loop("m"), loop("k", 2),
                    storage("R", "a", "w"), loop("k"), leaf("e1", "c1")),
             nested(loop("m", 2), storage("S", "v", "c"), loop("m"), storage("R", "v"), loop("n"),
                    leaf("e2", "c2"))]}],
    )  # fmt: skip


@pytest.mark.parametrize("slots", [2, 3, None])
@pytest.mark.parametrize("write", ["inf", "2/7"])
@pytest.mark.parametrize("pipeline", [True, False])
def test_fills_at_several_depths(slots: int | None, write: str, pipeline: bool) -> None:
    sampled, _ = sampled_and_all(nested_fills(write, pipeline=pipeline), staged_all(slots))
    assert sampled.model.graph.overtaking
    assert "skew" in sampled.solutions


def test_an_irregular_leaf_has_no_known_order() -> None:
    """Its last tile is a smaller one, with fewer tile iterations."""
    sampled, _ = sampled_and_all(nested_fills("2/7", pipeline=False, m=247), staged_all(2))
    assert sampled.model.graph.overtaking
    assert set(sampled.solutions) == {"program"}


@pytest.mark.parametrize("slots", [2, 3, None])
def test_a_port_without_a_choice_serves_all_orders_alike(slots: int | None) -> None:
    options = TransferOptions(frozenset(), ((None, None),), slots)
    sampled, _ = sampled_and_all(one_stream(), options)
    assert not sampled.model.graph.overtaking
    assert sampled.settled


def long_report(order: Order | Literal["best"]) -> Report:
    """The report of a mapping that is too long to be visited."""
    data = Spec.from_dict(fetched(write="1/2", trips=300_000))
    how: dict[str, Any] = {"granularity": "flow", "staged": "all", "max_tiles": 20_000}
    return polylat.analyze(data, order=order, **how)


def test_a_long_mapping_is_bounded_and_not_called_exact() -> None:
    report = long_report("best")
    assert report.order == "skew"
    assert report.unsettled == ("oldest",)
    assert report.exact == (report.latency == report.lower_bound)
    with pytest.raises(TooLargeError, match="order='skew'"):
        long_report("oldest")


def test_a_long_mapping_is_certified() -> None:
    report = long_report("skew")
    assert report.exact
    assert report.engine == "periodic"
    report.verify()


def test_the_order_of_the_oldest_fill_is_certified() -> None:
    data = Spec.from_dict(fetched(write="1/2", trips=9_000))
    with explicit_up_to(0):
        report = polylat.analyze(data, granularity="flow", staged="all", order="oldest")
    assert report.exact
    assert report.engine == "periodic"
    report.verify()
