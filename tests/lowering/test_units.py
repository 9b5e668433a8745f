"""The units that leaves use, and the ports, memories and names that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
import polylat
from polylat import MappingError, Report, Spec
from polylat.lowering.lowered import lower
from polylat.lowering.units import divided_users, unit_users, users_label
from polylat.proof.units import Units
from polylat.spec.reading.evaluate import evaluate
from polylat.spec.reading.yaml_text import parse
from unit_cases import UNITS, P, S, bound, on_units


def analyzed(tree: Sequence[Any], held: str = "DRAM", **fanouts: int) -> Report:
    return polylat.analyze(Spec.from_dict(on_units(tree, fanouts, held)))


@pytest.mark.parametrize(("tree", "fanouts", "held", "expected"), UNITS)
def test_units(tree: Sequence[Any], fanouts: dict[str, int], held: str, expected: int) -> None:
    report = analyzed(tree, held, **fanouts)
    assert report.resource_bound == report.latency == expected
    report.verify()


def test_ports_are_named_by_the_einsums_that_they_serve() -> None:
    def names(*tree: Any, fanout: int) -> list[str]:
        return [port.name for port in analyzed(tree, mac=fanout).ports]

    assert names(P, 1, 1, fanout=1) == ["mac"]
    assert names(S, 2, 2, fanout=2) == ["mac"]
    assert names(P, (P, 1, 1), 1, fanout=2) == ["mac[e1+e3]", "mac[e2]"]
    whole = names(S, (P, 1, 1), 4, 4, 4, 4, fanout=4)
    assert whole == ["mac[e1+e3..e6]", "mac[e2..e6]", "mac[e3..e6]"]


def test_an_access_occupies_the_ports_of_all_units_of_its_leaf() -> None:
    report = analyzed((S, (P, 1, 2), 4), mac=4)
    assert [(p.name, p.busy) for p in report.ports] == [
        ("mac[e1+e3]", 8),
        ("mac[e2+e3]", 8),
        ("mac[e3]", 4),
    ]


def test_the_report_says_which_stages_contend() -> None:
    report = analyzed((P, (P, 1, 1), 1), mac=2)
    outer, inner = report.contention
    assert (outer.stages, outer.own) == (("e1+e2", "e3"), ())
    assert outer.shared == ("DRAM", "RF", "mac[e1+e3]")
    assert (inner.stages, inner.own, inner.shared) == (("e1", "e2"), ("mac",), ("DRAM", "RF"))


def test_a_binding_replaces_the_order_of_the_tree() -> None:
    def names(*numbers: int) -> list[str]:
        return [port.name for port in analyzed((P, (bound(*numbers), 1, 1), 1), mac=2).ports]

    assert names(0, 1) == names(3, 7) == ["mac[e1+e3]", "mac[e2]"]
    assert names(1, 0) == names(9, 1) == ["mac[e1]", "mac[e2+e3]"]
    three = analyzed((bound(1, 0, 1), 1, 2, 1), mac=3)
    assert [port.name for port in three.ports] == ["mac[e1+e3]", "mac[e2]"]
    (pipeline,) = three.contention
    assert pipeline.shared == ("DRAM", "RF", "mac[e1+e3]")


BOTH = "gives 'e1' and 'e2' units of their own, but both need the same unit of 'mac'. Fix: "
ELSE = ", map them to different Computes, or give both stages one number."


@pytest.mark.parametrize(
    ("tree", "fanouts", "held", "concurrent", "fix"),
    [
        ((bound(0, 1), 1, 1), {}, "DRAM", {}, "give 'mac' several units (spatial: [{name: X,"),
        ((bound(0, 1), 2, 2), {"mac": 3}, "DRAM", {}, "use fewer units per stage, or hold the ten"),
        ((bound(0, 1), 1, 1), {"PE": 2}, "RF", {}, "use fewer units per stage, or hold the tensor"),
        (
            (bound(0, 1), 1, 1),
            {"mac": 2},
            "DRAM",
            {"RF": True},
            "write support_concurrent_binding: true in 'mac', map them",
        ),
    ],
)
def test_a_binding_that_the_units_do_not_allow(
    tree: Sequence[Any], fanouts: dict[str, int], held: str, concurrent: dict[str, bool], fix: str
) -> None:
    spec = Spec.from_dict(on_units(tree, fanouts, held, concurrent))
    with pytest.raises(MappingError) as refused:
        polylat.analyze(spec)
    message = str(refused.value)
    assert message.startswith("mapping.nodes[")
    assert f"the binding [0, 1] {BOTH}{fix}" in message
    assert message.endswith(ELSE)
    # The accounting of AccelForge does not depend on it, nor does a Sequential.
    assert polylat.roofline(spec).latency == 8
    assert polylat.analyze(Spec.from_dict(on_units((S, 1, 1), fanouts, held))).latency == 8


@pytest.mark.parametrize("tree", [(bound(0, 1), (S, 1, 1), 1), (bound(1, 0), (S, 1, 2), (S, 1, 1))])
def test_variants_of_a_mapping_keep_its_bindings(tree: Any) -> None:
    """Stages that become Pipelines need more units, which the binding may not leave them."""
    given = Spec.from_dict(on_units(tree, {"mac": 2 if 1 in tree else 3}))
    found = polylat.explore(given, exhaustive=True)
    assert found.illegal > 0
    for result in found.results:
        if result.error:
            assert "the binding" in result.error
            with pytest.raises(MappingError, match="the binding"):
                polylat.analyze(result.spec)
        else:
            assert polylat.analyze(result.spec).latency == result.latency


@pytest.mark.parametrize(
    ("concurrent", "fanouts", "expected"),
    [
        ({}, {"mac": 2}, 4),
        ({"mac": True}, {"mac": 2}, 4),
        ({"mac": False}, {"mac": 2}, 8),
        # A component that supports it implies those above it, not those below.
        ({"RF": True}, {"mac": 2}, 8),
        ({"RF": True}, {"PE": 2}, 4),
        ({"RF": True}, {"PE": 2, "mac": 2}, 4),
        ({"mac": True}, {"PE": 2}, 4),
        ({"mac": True, "RF": False}, {"PE": 2}, 4),
        ({"DRAM": True}, {"PE": 2}, 8),
        ({"RF": False}, {"PE": 2}, 4),
    ],
)
def test_components_that_do_not_support_concurrent_binding_are_not_divided(
    concurrent: dict[str, bool], fanouts: dict[str, int], expected: int
) -> None:
    data = on_units((P, 1, 1), fanouts, concurrent=concurrent)
    report = polylat.analyze(Spec.from_dict(data))
    assert report.latency == expected == oracle.analyze(data)["latency"]
    report.verify()


def trees(einsums: int, most: int) -> st.SearchStrategy[Any]:
    """Trees of splits, some of them bound, over so many Einsums on so many units at most."""
    if einsums == 1:
        return st.integers(1, most)

    @st.composite
    def split(draw: Any) -> Any:
        cuts = sorted(draw(st.sets(st.integers(1, einsums - 1), min_size=1)))
        sizes = [high - low for low, high in pairwise([0, *cuts, einsums])]
        kind = draw(st.sampled_from((P, P, S, "bound")))
        if kind == "bound":
            kind = bound(*(draw(st.sampled_from((0, 1, 0, 2))) for _ in sizes))
        return (kind, *(draw(trees(size, most)) for size in sizes))

    return split()


@given(st.data())
def test_random_bindings(data: st.DataObject) -> None:
    """Ports and latencies are the oracle's, and the proof derives the same ports."""
    fanouts = {"PE": data.draw(st.sampled_from((1, 2))), "mac": data.draw(st.integers(1, 5))}
    tree = data.draw(trees(data.draw(st.integers(2, 5)), fanouts["mac"]))
    held = data.draw(st.sampled_from(("DRAM", "RF")))
    flags = st.sampled_from((None, None, None, True, False))
    drawn = {name: data.draw(flags) for name in ("DRAM", "RF", "mac")}
    concurrent = {name: flag for name, flag in drawn.items() if flag is not None}
    plain = on_units(tree, fanouts, held, concurrent)
    spec = Spec.from_dict(plain)
    try:
        expected = oracle.analyze(plain)
    except oracle.Illegal:
        with pytest.raises(MappingError, match="the binding"):
            polylat.analyze(spec)
        return
    report = polylat.analyze(spec)
    assert {name: getattr(report, name) for name in ("latency", "resource_bound")} == {
        name: expected[name] for name in ("latency", "resource_bound")
    }
    lowered = lower(spec, "full")
    proven = Units(spec, lowered.leaves)
    for component, users in unit_users(spec, lowered.leaves).items():
        assert {frozenset(some) for some in users} == proven.groups(component)
    assert Spec.from_parts(evaluate(parse(spec.to_yaml()))) == spec


def test_ranges_with_the_same_leaves_are_one() -> None:
    ranges = [(0, 2), (1, 2), (2,)]
    assert divided_users(ranges, (2,)) == ((2,),)
    assert divided_users(ranges, (0, 2)) == ((0, 2), (2,))
    assert divided_users(ranges, ()) == ()


def test_users_of_the_units_of_components_below_others() -> None:
    spec = Spec.from_dict(on_units((P, (P, 1, 1), 1), {"PE": 2, "mac": 3}))
    leaves = lower(spec, "full").leaves
    users = unit_users(spec, leaves)
    assert users["DRAM"] == ((0, 1, 2),)
    assert users["PE"] == users["RF"] == ((0, 2), (1,))
    assert users["mac"] == ((0,), (1,), (2,))
    assert users_label(leaves, (0, 2)) == "e1+e3"
    assert users_label(leaves, (0, 1, 2)) == "e1+e2+e3"
