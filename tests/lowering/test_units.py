"""The units that leaves use, and the ports, memories and names that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import polylat
from polylat import Report, Spec
from polylat.lowering.lowered import lower
from polylat.lowering.units import divided_users, unit_users, users_label
from unit_cases import UNITS, P, S, on_units


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
