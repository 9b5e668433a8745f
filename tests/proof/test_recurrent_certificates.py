"""Certificates of cascades with recurrences: what an Einsum reads of itself, or of a later one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_causality import check_causes, legal_solutions, moved

import polylat
from builders import (
    RECURRENT,
    RECURRENT_LEGAL,
    compute,
    leaf,
    loop,
    memory,
    nested,
    options_of,
    spec,
    storage,
    stretched,
)
from polylat import Spec
from polylat.analysis.starts import build_starts
from polylat.errors import MappingError
from polylat.lowering.tree import mapping_leaves
from polylat.proof.certificate import CertificateError
from polylat.proof.durations import Expectation
from polylat.proof.flow_rules import flow_rules
from polylat.proof.problem import Problem
from polylat.proof.service_order import check_service_order
from polylat.proof.shifts import stage_shifts
from polylat.proof.tile_sets import TileSets
from polylat.proof.verify import checked_schedule, verify
from recurrent import access, einsum
from recurrent_cascades import recurrent_cascades
from reports import explicit_up_to, report_or_none
from thinned import thinned

Data = dict[str, Any]

ILLEGAL = [case for case in RECURRENT if case["expected"] is None]


def title(case: Data) -> str:
    """What names a test."""
    return str(case["name"])


def sets_of(data: Data) -> TileSets:
    """The tile iterations of a mapping, which may be illegal, with all loops."""
    read = Spec.from_dict(data)
    leaves = mapping_leaves(read)
    depths = tuple(len(leaf.temporal) for leaf in leaves)
    return TileSets(Expectation(Problem(read, leaves, depths, frozenset(), (), 2), 1))


@pytest.mark.parametrize("name", ["recurrent-95", "recurrent-84", "recurrent-107"])
def test_a_long_recurrence_is_certified(name: str) -> None:
    """Elements in a long dimension are counted as intervals."""
    case = next(case for case in RECURRENT_LEGAL if case["name"] == name)
    data = stretched(case["spec"], {"t": 0}, 10**9)
    report = polylat.analyze(Spec.from_dict(data), **options_of(case))
    certificate = report.verify()
    assert (certificate.latency, certificate.tiles) == (report.latency, report.tiles)
    assert report.tiles > 10**9
    assert any("recurrence" in note for note in certificate.notes)


POINTWISE = thinned(RECURRENT_LEGAL, 3)
"""The cases whose rules are also proven at every point, one by one."""


@pytest.mark.slow
@pytest.mark.parametrize("case", RECURRENT_LEGAL, ids=title)
def test_every_legal_order_is_certified(case: Data) -> None:
    """The report with its critical path and bounds, and the schedules of all orders."""
    report = polylat.analyze(Spec.from_dict(case["spec"]), **options_of(case))
    certificate = report.verify()
    assert str(certificate.latency) == case["expected"]["latency"]
    assert not [note for note in certificate.notes if "dependence" in note or "path" in note]
    for order, solution in report.schedules.solutions.items():
        if solution.legal:
            starts, makespan = build_starts(solution), solution.schedule.makespan
            for pointwise in (False, True) if case in POINTWISE else (False,):
                verify(solution.model, starts, makespan, pointwise=pointwise)
            checked = checked_schedule(solution.model, starts)
            assert check_service_order(checked, order, stage_shifts(checked.sets)) is not None


@given(recurrent_cascades())
def test_random_cascades_are_certified(case: tuple[Data, Data]) -> None:
    report = report_or_none(case)
    if report is not None:
        assert report.verify().latency == report.latency


@given(st.sampled_from(RECURRENT_LEGAL), st.booleans(), st.data())
def test_what_starts_one_step_early_is_refused(
    case: Data, pointwise: bool, data: st.DataObject
) -> None:
    """Times are the earliest ones, so that any earlier start breaks a rule."""
    report = polylat.analyze(Spec.from_dict(case["spec"]), **options_of(case))
    solution = data.draw(st.sampled_from(legal_solutions(report)))
    schedule = build_starts(solution)
    late = [
        (stream.leaf, stream.block, tuple(index))
        for stream in schedule.blocks
        for index, time in zip(
            stream.ready.expanded()[0].T.tolist(), stream.ready.expanded()[1].tolist(), strict=True
        )
        if time
    ]
    if late:
        number, block, index = data.draw(st.sampled_from(late))
        early = moved(schedule, number, block, index, -1)
        with pytest.raises(CertificateError):
            verify(solution.model, early, solution.schedule.makespan, pointwise=pointwise)


@given(st.sampled_from(RECURRENT_LEGAL), st.booleans(), st.data())
def test_what_precedes_its_cause_is_refused(
    case: Data, pointwise: bool, data: st.DataObject
) -> None:
    """The causes are those of the oracle, which enumerates operations and elements."""
    check_causes(case, pointwise, data)


@pytest.mark.parametrize("case", ILLEGAL, ids=title)
def test_illegal_mappings_are_refused(case: Data) -> None:
    """Elements that nobody brought, or that come later, and partial sums."""
    with pytest.raises(MappingError):
        list(flow_rules(sets_of(case["spec"])))


@pytest.mark.slow
@pytest.mark.parametrize("case", RECURRENT_LEGAL, ids=title)
def test_legal_mappings_are_not_refused(case: Data) -> None:
    assert all(rule.reason == "flow" for rule in flow_rules(sets_of(case["spec"])))


def ring(batch: int) -> Data:
    """Three stages, of which the first one needs the last one's state of the step before."""
    stages = [
        einsum("e1", access("h", "t", "b"), access("u", "t", "b", output=True)),
        einsum("e2", access("u", "t", "b"), access("v", "t", "b", output=True)),
        einsum("e3", access("v", "t", "b"), access("h", "t + 1", "b", output=True)),
    ]
    return spec(
        {"t": 4, "b": batch},
        stages,
        [
            memory("RF", "inf", "inf", size="inf"),
            {"type": "Fork", "nodes": [compute("mac2", "1/3")]},
            compute("mac", "1/2"),
        ],
        [
            storage("RF", "h", "u", "v"),
            loop("t"),
            loop("b"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(leaf("e1", "mac")),
                    nested(leaf("e2", "mac")),
                    nested(leaf("e3", "mac2")),
                ],
            },
        ],
    )


@pytest.mark.parametrize(
    ("batch", "shifts", "latency"), [(1, [], 28), (2, [(0, 1, 2)], 35), (3, [(0, 1, 2)], 51)]
)
def test_shifts_of_a_ring(batch: int, shifts: list[tuple[int, ...]], latency: int) -> None:
    """The element comes back after as many turns as there are batches.

    A ring of three stages needs two. With one, the orders are program order: 4 · (2 + 2 + 3). With
    more, the unit of the first two stages is busy for 16 · batch, and e3 ends it.
    """
    data = ring(batch)
    assert list(stage_shifts(sets_of(data)).values()) == shifts
    report = polylat.analyze(Spec.from_dict(data))
    assert report.latency == latency
    report.verify()


def chain(steps: int, tile: int) -> Data:
    """``h[t+1] = f(h[t], x[t])`` with h in DRAM and, by tiles of the steps, in an RF."""
    return spec(
        {"t": steps},
        [einsum("e", access("h", "t"), access("x", "t"), access("h", "t + 1", output=True))],
        [
            memory("DRAM", 1, 1, size="inf"),
            memory("RF", "inf", "inf", size="inf"),
            compute("mac", "1/2"),
        ],
        [storage("DRAM", "h"), storage("RF", "x"), loop("t", tile), storage("RF", "h"), loop("t")]
        + [leaf("e")],
    )


@pytest.mark.parametrize("explicit", [0, 100_000])
@pytest.mark.parametrize("tile", [1, 4])
def test_many_steps(explicit: int, tile: int) -> None:
    """Per tile: fetch one state, compute, write all states back when the tile is complete."""
    with explicit_up_to(explicit):
        report = polylat.analyze(Spec.from_dict(chain(1000, tile)), staged="h")
        assert report.latency == 1000 // tile * (1 + 2 * tile + tile)
        report.verify()


def test_a_million_steps() -> None:
    data = chain(10**6, 4)
    data["schedule"] = {"latency": {"mac": {"compute": 3}}}
    report = polylat.analyze(Spec.from_dict(data), background="h")
    certificate = report.verify()
    assert certificate.latency == report.latency
    assert certificate.tiles == 10**6


def test_reads_of_the_same_state_count_each() -> None:
    """Two reads of a step, and one of the step before: three per operation, two states filled."""
    data = chain(6, 6)
    data["workload"]["einsums"] = [
        einsum(
            "e", *(access("h", x) for x in ("t", "t", "t + 1")), access("h", "t + 2", output=True)
        )
    ]
    data["mapping"]["nodes"] = [
        node for node in data["mapping"]["nodes"] if node.get("tensors") != ["x"]
    ]
    report = polylat.analyze(Spec.from_dict(data))
    assert report.accesses["e", "DRAM", "h", "read"] == 2
    assert report.accesses["e", "DRAM", "h", "write"] == 6
    assert report.accesses["e", "RF", "h", "read"] == 6 * 3 + 6
    report.verify()


def test_shifts_of_the_engine_are_the_derived_ones() -> None:
    for case in RECURRENT_LEGAL[::8]:
        report = polylat.analyze(Spec.from_dict(case["spec"]), **options_of(case))
        model = report.schedules.model
        sets = TileSets(Expectation(Problem.of(model), model.costs.scale))
        derived = stage_shifts(sets)
        assert derived == {node: tuple(some) for node, some in model.shifts.items()}


def stencil(steps: int, size: int, tile: int, place: int) -> Data:
    """``h[t+1, b] = f(h[t, b], h[t, b+1])``; the RF stands below so many loops."""
    nodes = [loop("t"), loop("b", tile), loop("b")]
    nodes.insert(place, storage("RF", "h"))
    reads = access("h", "t", "b"), access("h", "t", "b + 1")
    return spec(
        {"t": steps, "b": size},
        [einsum("e", *reads, access("h", "t + 1", "b", output=True))],
        [memory("DRAM", 1, 1, size="inf"), memory("RF", "inf", "inf", size="inf"), compute("mac")],
        [storage("DRAM", "h"), *nodes, leaf("e")],
    )


@pytest.mark.long
@pytest.mark.parametrize("options", [{}, {"staged": "h"}, {"background": "h"}], ids=str)
@pytest.mark.parametrize(("steps", "size", "tile"), [(6, 8, 4), (300, 400, 20)])
def test_fills_of_a_stencil(steps: int, size: int, tile: int, options: Data) -> None:
    """A fill moves the union of both reads, but for what is brought into the same tile.

    Above the loops: the initial states, and the border of each further step. Below the loop over
    steps: all states of a step, and its border. Below that over tiles: each of them with one more.
    """
    fills = [size + 1 + steps - 1, steps * (size + 1), steps * size // tile * (tile + 1)]
    for place, fill in enumerate(fills):
        report = polylat.analyze(Spec.from_dict(stencil(steps, size, tile, place)), **options)
        assert report.accesses["e", "DRAM", "h", "read"] == fill
        assert report.accesses["e", "DRAM", "h", "write"] == steps * size
        report.verify()
