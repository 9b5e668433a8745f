"""Sampled mappings whose fills are served one tile ahead in skewed orders."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

import polylat
from builders import Data, compute, einsum, leaf, loop, memory, nested, spec, storage
from polylat import Spec, TooLargeError
from polylat.engine import solve
from polylat.engine.sampling_search import Inputs
from polylat.engine.solve import Schedules
from polylat.lowering.lowered import lower
from polylat.lowering.transfers import TransferOptions
from reports import explicit_up_to


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


def sampled_and_all(data: Data, options: TransferOptions) -> tuple[Schedules, Schedules]:
    """The schedules from a sample of the tile iterations, and from all of them."""
    lowered = lower(Spec.from_dict(data), "flow", options)
    with explicit_up_to(0):
        sampled = solve._periodic(Inputs(lowered, options), 10_000, None)
    with explicit_up_to(10**9):
        whole = solve.solve(lowered, options, 10**6)
    assert sampled is not None
    assert not sampled.model.layout.whole
    assert (sampled.model.graph.host != sampled.model.graph.owner).any()
    for order, solution in sampled.solutions.items():
        assert solution.legal == whole.solutions[order].legal
        assert solution.makespan == whole.solutions[order].makespan
    pairs = [(s.unlimited.makespan, s.model.costs.scale) for s in (sampled, whole)]
    assert Fraction(*pairs[0]) == Fraction(*pairs[1])
    return sampled, whole


@pytest.mark.parametrize("slots", [2, 3, None])
@pytest.mark.parametrize("write", ["inf", "1/2", "2/7"])
@pytest.mark.parametrize("staged", [((None, None),), (("a", None), ("v", None)), (("v", "S"),)])
def test_the_order_of_the_program_is_sampled(
    slots: int | None, write: str, staged: tuple[tuple[str | None, str | None], ...]
) -> None:
    """Hosts play no role in it; the other orders are not claimed to be known."""
    options = TransferOptions(frozenset(), staged, slots)
    sampled, _ = sampled_and_all(fetched(write), options)
    assert sampled.model.graph.overtaking
    assert set(sampled.solutions) == {"program"}
    assert not sampled.settled


@pytest.mark.parametrize("slots", [2, 3, None])
def test_a_port_without_a_choice_serves_all_orders_alike(slots: int | None) -> None:
    options = TransferOptions(frozenset(), ((None, None),), slots)
    sampled, _ = sampled_and_all(one_stream(), options)
    assert not sampled.model.graph.overtaking
    assert sampled.settled


def test_a_long_mapping_is_bounded_and_not_called_exact() -> None:
    data = Spec.from_dict(fetched(write="1/2", trips=300_000))
    how: dict[str, Any] = {"granularity": "flow", "staged": "all", "max_tiles": 20_000}
    report = polylat.analyze(data, **how)
    assert report.order == "program"
    assert report.latency_by_order["skew"] is None
    assert set(report.unsettled) == {"skew", "oldest"}
    assert report.exact == (report.latency == report.lower_bound)
    with pytest.raises(TooLargeError, match="order='program'"):
        polylat.analyze(data, order="skew", **how)
