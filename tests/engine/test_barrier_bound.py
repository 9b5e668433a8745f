"""The barrier bound against cases computed by hand, the oracle, and both engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import oracle
import polylat
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage, without_machine
from polylat import MappingError, Report, ScheduleError, Spec, TooLargeError, UnsupportedError
from polylat.engine.model import build
from polylat.engine.solve import solve
from polylat.exploration.cell import Cell
from polylat.exploration.choice import TransferChoice
from polylat.exploration.shared_tables import SharedTables
from polylat.exploration.variants import VariantGraph
from polylat.lowering.lowered import Granularity, lower, with_sequential_splits
from polylat.lowering.transfers import TransferOptions
from reports import explicit_up_to
from strategies import cascades, write_backs

Data = dict[str, Any]


def chain(times: Sequence[int], nodes: Sequence[Data], size: int, inner: int = 1) -> Data:
    """Einsums t1 = t0, t2 = t1, … over m and n, each on a unit of its own; memories are free."""
    names = range(1, len(times) + 1)
    return spec(
        {"m": size, "n": inner},
        [einsum(f"e{k}", (f"t{k}", "m n"), (f"t{k - 1}", "m n")) for k in names],
        [
            memory("DRAM", "inf", "inf", size="inf"),
            memory("SRAM", "inf", "inf", size="inf"),
            *(compute(f"mac{k}", f"1/{time}") for k, time in zip(names, times, strict=True)),
        ],
        [storage("DRAM", "t0", f"t{len(times)}"), *nodes],
    )


def split(kind: str, *branches: Data) -> Data:
    return {"type": kind, "nodes": list(branches)}


def unit(number: int, *above: Data) -> Data:
    return nested(*above, leaf(f"e{number}", f"mac{number}"))


def explicit_and_periodic(data: Data, **options: Any) -> tuple[Report, Report]:
    """The report from all tile iterations, and from a sample of them."""
    with explicit_up_to(10**9):
        every = polylat.analyze(Spec.from_dict(data), **options)
    with explicit_up_to(0):
        some = polylat.analyze(Spec.from_dict(data), **options)
    return every, some


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        # e1, then the largest of e2 and e3, in each of 40 iterations.
        (("Sequential", "Pipeline"), 40 * (2 + 5)),
        # e1 beside e2 and e3, which alternate.
        (("Pipeline", "Sequential"), 40 * (3 + 5)),
        (("Sequential", "Sequential"), 40 * (2 + 3 + 5)),
        (("Pipeline", "Pipeline"), 40 * 5),
    ],
)
def test_nested_splits(kinds: tuple[str, str], expected: int) -> None:
    inner = nested(storage("SRAM", "t2"), split(kinds[1], unit(2), unit(3)))
    nodes = [loop("m"), storage("SRAM", "t1"), split(kinds[0], unit(1), inner)]
    data = chain((2, 3, 5), nodes, size=40)
    assert oracle.analyze(data, granularity="full")["barrier_bound"] == expected
    for report in explicit_and_periodic(data, granularity="full"):
        assert report.barrier_bound == expected
        assert report.latency >= expected
        report.verify()


def test_loops_between_two_sequentials() -> None:
    """The turns of the inner Sequential are summed within each turn of the outer one."""
    inner = split("Sequential", unit(1), unit(2))
    nodes = [
        storage("SRAM", "t1", "t2"),
        loop("m"),
        split("Sequential", nested(loop("n"), inner), unit(3, loop("n"))),
    ]
    data = chain((2, 3, 5), nodes, size=30, inner=4)
    for report in explicit_and_periodic(data, granularity="full"):
        assert report.barrier_bound == report.latency == 30 * 4 * (2 + 3 + 5)
        assert report.optimal


def test_busy_ports_differ_from_turn_to_turn() -> None:
    """A port that is the busiest of one turn is not that of another."""
    branches = [unit(1, loop("m")), unit(2, loop("m"))]
    data = chain((2, 3), [storage("SRAM", "t1"), split("Sequential", *branches)], size=50)
    for report in explicit_and_periodic(data, granularity="full"):
        assert (report.resource_bound, report.dependence_bound) == (50 * 3, 2 + 3)
        assert report.barrier_bound == report.latency == 50 * (2 + 3)
        assert (report.optimal, report.binding) == (True, "barrier")
        assert "Proven optimal by the barrier bound" in str(report)


def test_constants_belong_to_the_first_turn() -> None:
    """A constant of 7 is more than the operations of the first turn, and absent from the others."""
    nodes = [storage("SRAM", "t1"), loop("m"), split("Sequential", unit(1), unit(2))]
    data = chain((2, 3), nodes, size=40)
    dram = data["arch"]["nodes"][0]
    dram["total_latency"] = "7 + sum(a.n_calls / a.throughput for a in actions)"
    for report in explicit_and_periodic(data, granularity="full"):
        assert report.barrier_bound == report.latency == 2 * 7 + 39 * (2 + 3)
        report.verify()


@pytest.mark.parametrize("size", [10**6, 10**12])
def test_any_number_of_iterations(size: int) -> None:
    nodes = [storage("SRAM", "t1"), loop("m"), split("Sequential", unit(1), unit(2))]
    report = polylat.analyze(Spec.from_dict(chain((2, 3), nodes, size)))
    assert report.barrier_bound == report.latency == size * (2 + 3)
    assert report.verify().latency == report.latency


def test_numbers_beyond_64_bits() -> None:
    nodes = [storage("SRAM", "t1"), loop("m"), split("Sequential", unit(1), unit(2))]
    report = polylat.analyze(Spec.from_dict(chain((2 * 10**30, 3), nodes, 10**6)))
    assert report.barrier_bound == report.latency == 10**6 * (2 * 10**30 + 3)
    report.verify()


def test_a_bracket_is_above_it() -> None:
    """It does not depend on the granularity, so that coarse tile iterations may attain it."""
    branches = [unit(1, loop("m")), unit(2, loop("m"))]
    data = chain((2, 3), [storage("SRAM", "t1"), split("Sequential", *branches)], size=50)
    with explicit_up_to(0):
        report = polylat.analyze(Spec.from_dict(data), granularity="full", max_tiles=2)
    assert (report.exact, report.latency, report.dependence_bound) == (True, 250, 0)
    report.verify()


def test_a_wrong_bound_is_refused() -> None:
    nodes = [storage("SRAM", "t1"), loop("m"), split("Sequential", unit(1), unit(2))]
    report = polylat.analyze(Spec.from_dict(chain((2, 3), nodes, 5)))
    with pytest.raises(polylat.CertificateError, match="barrier_bound"):
        replace(report, barrier_bound=Fraction(24)).verify()


@given(cascades(), st.sampled_from(("tile", "flow", "full")))
def test_same_at_every_granularity(case: tuple[Data, Data], granularity: str) -> None:
    """Setups and bursts aside, which depend on the elements that move together."""
    data, options = case
    data, background = without_machine(data, "setup", "burst"), options["background"]
    found = []
    for chosen in ("tile", granularity):
        try:
            report = polylat.analyze(
                Spec.from_dict(data), granularity=chosen, background=background
            )
        except (MappingError, ScheduleError, TooLargeError):
            assume(False)
        found.append(report.barrier_bound)
    assert found[0] == found[1]


@given(cascades(), st.data())
def test_bounds_of_explored_variants(case: tuple[Data, Data], data: st.DataObject) -> None:
    """A cell has the bound of its variants: that of the mapping; as a Sequential it is no less."""
    pairs = write_backs(case[0])
    background = frozenset(pair for pair in pairs if data.draw(st.booleans()))
    options = TransferOptions(background=background)
    try:
        lowered = lower(Spec.from_dict(case[0]), "flow", options)
        model = build(lowered, options)
        graph = VariantGraph(SharedTables(lowered), TransferChoice((), background), (2,))
    except (MappingError, UnsupportedError):
        assume(False)
        raise
    nodes = frozenset(s.node for path in lowered.leaves for s in path.splits if s.pipeline)
    expected = Fraction(model.barrier_bound, model.costs.scale)
    cell = Cell(graph, nodes, np.zeros((1, len(graph.holders)), dtype=np.int64))
    assert Fraction(cell.barrier_bound, graph.costs.scale) == expected
    sequential = build(with_sequential_splits(lowered), options)
    assert Fraction(sequential.barrier_bound, sequential.costs.scale) >= expected


@given(cascades(), st.sampled_from(["tile", "flow", "full"]))
def test_leaves_that_stream_in_turn_attain_the_bound(
    case: tuple[Data, Data], granularity: Granularity
) -> None:
    """Where all leaves run in turn, the bound is the makespan of every order."""
    options = TransferOptions(frozenset(), (), case[1].get("slots", 2))
    try:
        lowered = lower(Spec.from_dict(case[0]), granularity, options)
        found = solve(lowered, options, 10**6)
        in_turn = solve(lowered, options, 10**6, sequential=True)
    except MappingError:
        assume(False)
        raise
    model = found.model
    assume(model.streams and model.takes_port_time)
    assume(found.solutions["program"].legal)
    for solution in in_turn.solutions.values():
        assert solution.legal
        assert solution.schedule.makespan == model.barrier_bound_in_turn
