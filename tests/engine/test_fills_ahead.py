"""Sampled mappings whose fills are served one tile ahead in skewed orders."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings

import polylat
from builders import (
    RECURRENT_LEGAL,
    Data,
    compute,
    einsum,
    leaf,
    loop,
    memory,
    nested,
    options_of,
    spec,
    storage,
    stretched,
)
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


@pytest.mark.long
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
    max_examples=max(settings().max_examples // 5, 5),
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


@pytest.mark.slow
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


@pytest.mark.long
@pytest.mark.parametrize("slots", [2, 3, None])
@pytest.mark.parametrize("write", ["inf", "2/7"])
@pytest.mark.parametrize("pipeline", [True, False])
def test_fills_at_several_depths(slots: int | None, write: str, pipeline: bool) -> None:
    sampled, _ = sampled_and_all(nested_fills(write, pipeline=pipeline), staged_all(slots))
    assert sampled.model.graph.overtaking
    assert "skew" in sampled.solutions


@pytest.mark.long
@pytest.mark.parametrize("slots", [2, 3, None])
@pytest.mark.parametrize("pipeline", [True, False])
@pytest.mark.parametrize("m", [241, 247, 251])
def test_the_last_tiles_of_several_loops_are_smaller(
    slots: int | None, pipeline: bool, m: int
) -> None:
    data = nested_fills("2/7", pipeline=pipeline, m=m)
    sampled, _ = sampled_and_all(data, staged_all(slots))
    assert sampled.model.graph.overtaking
    assert not all(tiles.full for tiles in sampled.model.layout.tiles)
    assert "skew" in sampled.solutions


def uneven(steps: int, values: int = 3, first: int = 2) -> Data:
    """Tiles of two of three values per step; DRAM serves a tile ahead, and another operand."""
    return spec(
        {"t": steps, "b": values},
        [einsum("e", ("y", "t b"), ("a", "t b"), ("w", "b"))],
        [memory("D", "1/2", "inf", size="inf"), memory("S", "inf", "inf", size="inf"),
         compute("c", "1/3")],
        [storage("D", "a", "w"), storage("S", "y"), loop("t"),
         {**loop("b", 2), "initial_tile_shape": first}, storage("S", "a"), loop("b"),
         leaf("e", "c")],
    )  # fmt: skip


def uneven_branches(steps: int, *, pipeline: bool = True) -> Data:
    """A fill per step for two branches whose last tiles are smaller; the second one has its own."""
    return spec(
        {"t": steps, "b": 3},
        [einsum("e1", ("u", "t b"), ("i", "t"), ("w", "t b")),
         einsum("e2", ("y", "t b"), ("u", "t b"), ("v", "t b"))],
        [memory("D", "1/2", "1/3", size="inf"), memory("S", "1/2", "inf", size="inf"),
         compute("c1", "1/3"), compute("c2", "1/2")],
        [storage("D", "i", "w", "v", "y"), storage("S", "u"), loop("t", 2), storage("S", "w"),
         {"type": "Pipeline" if pipeline else "Sequential", "nodes": [
             nested(loop("t"), loop("b", 2), loop("b"), leaf("e1", "c1")),
             nested(loop("b", 2), storage("S", "v"), loop("t"), loop("b"), leaf("e2", "c2"))]}],
    )  # fmt: skip


SMALLER_TILES: dict[str, Callable[[int], Data]] = {
    "last": uneven,
    "first": lambda steps: uneven(steps, 4, 1),
    "first and last": lambda steps: uneven(steps, 6, 1),
    "larger first": lambda steps: uneven(steps, 6, 3),
    "pipeline": uneven_branches,
    "sequential": lambda steps: uneven_branches(steps, pipeline=False),
}


@pytest.mark.parametrize("slots", [2, 3, None])
@pytest.mark.parametrize("which", SMALLER_TILES)
def test_smaller_tiles(which: str, slots: int | None) -> None:
    data, options = SMALLER_TILES[which](201), staged_all(slots)
    lowered = lower(Spec.from_dict(data), "full", options)
    with explicit_up_to(0):
        sampled = solve.solve_sampled(Inputs(lowered, options), 10_000, None)
    assert sampled is not None
    assert sampled.model.graph.overtaking
    assert not all(tiles.full for tiles in sampled.model.layout.tiles)
    assert set(sampled.solutions) >= {"program", "skew"}
    assert_same(sampled, solve.solve(lowered, options, 10**6))


def latency(data: Data, order: Order, **options: Any) -> Fraction:
    """The latency in an order of the ports, exactly."""
    given_options: dict[str, Any] = {"granularity": "full", "staged": "all", **options}
    report = polylat.analyze(Spec.from_dict(data), order=order, **given_options)
    assert report.exact
    assert report.engine == ("periodic" if "max_tiles" in options else "explicit")
    return Fraction(report.latency)


@pytest.mark.parametrize("order", ["skew", "oldest"])
@pytest.mark.parametrize("which", SMALLER_TILES)
def test_a_thousand_million_steps_grow_as_a_few_do(which: str, order: Order) -> None:
    grown = SMALLER_TILES[which]
    few, more = latency(grown(100), order), latency(grown(120), order)
    many = 10**9 - 100
    assert many % 20 == 0
    expected = few + (more - few) * many / 20
    assert latency(grown(10**9), order, max_tiles=10_000) == expected


@pytest.mark.parametrize("name", ["recurrent-85", "recurrent-95", "recurrent-107", "recurrent-119"])
def test_long_recurrences_with_smaller_tiles_are_exact(name: str) -> None:
    (case,) = [case for case in RECURRENT_LEGAL if case["name"] == name]
    options = {key: case["options"][key] for key in ("granularity", "staged", "slots")}
    period = 120
    size = 301 + 8_333_331 * period

    def report(steps: int) -> Report:
        data = stretched(case["spec"], {"t": 0}, steps)
        return polylat.analyze(Spec.from_dict(data), **options, max_tiles=10_000)

    few, more, many = report(301), report(301 + period), report(size)
    assert few.engine == more.engine == "explicit"
    assert many.engine == "periodic"
    assert many.exact
    for order, makespan in many.latency_by_order.items():
        one, two = (Fraction(r.latency_by_order[order] or 0) for r in (few, more))
        assert makespan == one + (two - one) * ((size - 301) // period)


def beside_a_triangle(steps: int, *, tied: bool) -> Data:
    """e1 has a fill per step and row, of a rectangle or of a triangle; e2 is a triangle."""
    p, q = ("i", "j") if tied else ("p", "q")
    data = spec(
        {"t": steps, "p": 3, "q": 3, "i": 3},
        [einsum("e1", ("u", f"t {p} {q}"), ("a", f"t {p} {q}"), ("w", f"{p} {q}")),
         einsum("e2", ("y", "t i j"), ("v", "t i j"), ("x", "i j"))],
        [memory("D", "1/2", "1/3", size="inf"), memory("S", "inf", "inf", size="inf"),
         compute("c1", "1/3"), compute("c2", "1/2")],
        [storage("D", "a", "w", "v", "x", "u", "y"), loop("t"),
         {"type": "Sequential", "nodes": [
             nested(loop(p), storage("S", "a"), loop(q), leaf("e1", "c1")),
             nested(loop("i"), loop("j"), leaf("e2", "c2"))]}],
    )  # fmt: skip
    data["workload"]["iteration_space_shape"]["j"] = "0 <= j <= i"
    return data


@pytest.mark.parametrize("tied", [False, True])
def test_fills_ahead_beside_a_triangle(tied: bool) -> None:
    """Only where the fills are those of the triangle, their order is not known."""
    data, options = beside_a_triangle(101, tied=tied), staged_all(2)
    lowered = lower(Spec.from_dict(data), "full", options)
    with explicit_up_to(0):
        sampled = solve.solve_sampled(Inputs(lowered, options), 10_000, None)
    assert sampled is not None
    assert sampled.model.graph.overtaking
    assert ("skew" in sampled.solutions) is not tied
    assert_same(sampled, solve.solve(lowered, options, 10**6))


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


@pytest.mark.long
@pytest.mark.parametrize("more", range(3))
def test_a_long_mapping_in_every_order(more: int) -> None:
    """24 per iteration, with a rest that depends on the number modulo 3, as where it is visited."""
    how: dict[str, Any] = {"granularity": "flow", "staged": "all"}
    rests = set()
    for trips in (900 + more, 1_800 + more, 300_000 + more, 10**9 - 1 + more):
        data = Spec.from_dict(fetched(write="1/2", trips=trips))
        with explicit_up_to(0 if trips > 2_000 else 10**6):
            report = polylat.analyze(data, **how, max_tiles=20_000)
        assert report.exact and report.unsettled == ()
        assert report.engine == ("periodic" if trips > 2_000 else "explicit")
        assert report.order == "oldest"
        rests.add(report.latency - 24 * trips)
    assert rests == {40 if more == 0 else 36}


@pytest.mark.slow
def test_a_long_recurrence_is_bounded_and_not_called_exact() -> None:
    """Where no guess of the order is proven, two orders and a bound remain."""
    case = next(case for case in RECURRENT_LEGAL if case["name"] == "recurrent-116")
    options = {**options_of(case), "max_tiles": 20_000}
    data = Spec.from_dict(stretched(case["spec"], {"t": 10**6}))
    report = polylat.analyze(data, **options)
    assert report.unsettled == ("oldest",)
    assert report.latency == min(time for time in report.latency_by_order.values() if time)
    assert report.lower_bound < report.latency and not report.exact
    with pytest.raises(TooLargeError, match="order='skew'"):
        polylat.analyze(data, **{**options, "order": "oldest"})


def test_a_long_mapping_is_certified() -> None:
    report = long_report("skew")
    assert report.exact
    assert report.engine == "periodic"
    report.verify()


@pytest.mark.slow
def test_the_order_of_the_oldest_fill_is_certified() -> None:
    data = Spec.from_dict(fetched(write="1/2", trips=9_000))
    with explicit_up_to(0):
        report = polylat.analyze(data, granularity="flow", staged="all", order="oldest")
    assert report.exact
    assert report.engine == "periodic"
    report.verify()
