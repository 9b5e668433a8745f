"""Mappings of a part of a cascade, and Storages that each branch of a split begins with."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import builders
import polylat
from builders import DATA, compute, einsum, leaf, loop, memory, nested, storage
from polylat import Spec
from polylat.errors import ExpressionError, MappingError, PolylatError
from reports import report_or_none
from strategies import Data, cascades

UPSTREAM = DATA / "upstream"
BASE = [UPSTREAM / "base.arch.yaml", UPSTREAM / "base.wl.yaml"]


def branches_of(split: Data) -> list[list[Data]]:
    """The lists of nodes of the branches of a split."""
    return [branch["nodes"] for branch in split["nodes"]]


def einsums_below(nodes: list[Data]) -> set[str]:
    """The Einsums that are computed below."""
    last = nodes[-1]
    if last["type"] == "Compute":
        return {last["einsum"]}
    return set().union(*map(einsums_below, branches_of(last)))


# A Storage that each branch begins with


def pushed(data: Data) -> tuple[Data, list[tuple[str, str]]]:
    """The input with Storages directly above a split moved to the heads of its branches."""
    data = copy.deepcopy(data)
    users = {
        e["name"]: {access["name"] for access in e["tensor_accesses"]}
        for e in data["workload"]["einsums"]
    }
    moved: list[tuple[str, str]] = []

    def walk(nodes: list[Data], above: set[str]) -> None:
        split = nodes[-1]
        if split["type"] == "Compute":
            return
        branches = branches_of(split)
        used = [set().union(*(users[e] for e in einsums_below(b))) for b in branches]
        for at in range(len(nodes) - 2, -1, -1):
            node = nodes[at]
            if node["type"] != "Storage":
                break
            others = (n["tensors"] for n in nodes if n["type"] == "Storage" and n is not node)
            taken = above.union(*others)
            for tensor in list(node["tensors"]):
                into = [b for b, tensors in zip(branches, used, strict=True) if tensor in tensors]
                if tensor not in taken and len(into) > 1:
                    node["tensors"].remove(tensor)
                    moved.append((tensor, node["component"]))
                    for branch in into:
                        branch.insert(0, {**node, "tensors": [tensor]})
        held = above.union(*(n["tensors"] for n in nodes if n["type"] == "Storage"))
        nodes[:] = [n for n in nodes if n["type"] != "Storage" or n["tensors"]]
        for branch in branches:
            walk(branch, held | {t for n in branch if n["type"] == "Storage" for t in n["tensors"]})

    walk(data["mapping"]["nodes"], set())
    return data, moved


def test_the_older_form_of_accelforges_examples() -> None:
    shared = polylat.load(*BASE, UPSTREAM / "shared_in_branches.map.yaml")
    assert shared == polylat.load(*BASE, UPSTREAM / "good.map.yaml")
    report = polylat.analyze(shared)
    assert report.latency == 24 == report.roofline
    assert report.merged_holders == (("B", "SRAM"),)
    assert "One buffer for all branches, as they begin with it: B@SRAM." in str(report)
    assert report.to_dict()["merged_holders"] == [{"tensor": "B", "component": "SRAM"}]


@given(cascades())
def test_one_buffer_for_all_branches(case: tuple[Data, Data]) -> None:
    plain, options = case
    spread, moved = pushed(plain)
    expected = report_or_none(case, options.get("order", "best"))
    if expected is None or not moved:
        return
    spec = Spec.from_dict(spread)
    assert {*moved} <= {*spec.mapping.merged_holders()}
    report = polylat.analyze(spec, **options)
    assert report.latency_by_order == expected.latency_by_order
    assert report.accesses == expected.accesses
    assert report.roofline == expected.roofline
    assert report.bounds == expected.bounds


def shared_with_loop() -> Data:
    """B is produced in SRAM at the head of one branch, and held below a loop of the other."""
    einsums = [einsum("e1", ("B", "m"), ("A", "m")), einsum("e2", ("C", "m"), ("B", "m"))]
    arch = [memory("DRAM", size="inf"), memory("SRAM", size="inf"), compute("mac")]
    produce = nested(storage("SRAM", "B"), loop("m"), leaf("e1"))
    consume = nested(loop("m"), storage("SRAM", "B"), leaf("e2"))
    split = {"type": "Sequential", "nodes": [produce, consume]}
    return builders.spec({"m": 4}, einsums, arch, [storage("DRAM", "A", "C"), split])


def test_a_loop_between_keeps_them_apart() -> None:
    spec = Spec.from_dict(shared_with_loop())
    assert list(spec.mapping.merged_holders()) == []
    with pytest.raises(MappingError, match="'e2' reads tensor 'B', but shares no Storage of it"):
        polylat.analyze(spec)


# Mappings of a part of the cascade


def test_a_mapping_of_one_einsum() -> None:
    """As AccelForge evaluates it: 4 reads of A and 4 writes of B in DRAM."""
    spec = polylat.load(UPSTREAM / "partial.yaml")
    report = polylat.analyze(spec)
    assert report.latency == report.roofline == 8
    assert report.unmapped == spec.workload.unmapped == ("C",)
    assert "Not mapped, thus left out: C." in str(report)
    assert "Not mapped, thus left out: C." in str(spec)
    assert report.to_dict()["unmapped"] == ["C"]
    assert report.verify().latency == 8


def part_of(data: Data, number: int) -> Data:
    """The input with one branch of its outermost split only."""
    nodes = data["mapping"]["nodes"]
    branch = nodes[-1]["nodes"][number % len(nodes[-1]["nodes"])]
    return data | {"mapping": {"nodes": [*nodes[:-1], *branch["nodes"]]}}


def holding(nodes: list[Data], tensors: set[str]) -> list[Data]:
    """The nodes with Storages of these tensors only."""
    kept = []
    for node in nodes:
        new = dict(node)
        if "nodes" in new:
            new["nodes"] = holding(new["nodes"], tensors)
        if "tensors" in new:
            new["tensors"] = [tensor for tensor in new["tensors"] if tensor in tensors]
        if new.get("tensors", True):
            kept.append(new)
    return kept


@given(cascades(), st.integers(0, 3))
def test_a_part_is_a_cascade_of_its_own(case: tuple[Data, Data], number: int) -> None:
    """The same as without the other Einsums in the workload."""
    assume(case[0]["mapping"]["nodes"][-1]["type"] != "Compute")
    data = part_of(case[0], number)
    mapped = einsums_below(data["mapping"]["nodes"])
    workload = data["workload"]
    kept = [e for e in workload["einsums"] if e["name"] in mapped]
    used = {access["name"] for e in kept for access in e["tensor_accesses"]}
    bits = workload["bits_per_value"]
    if "All" not in bits:
        bits = {tensor: bits[tensor] for tensor in used}
    less = workload | {"einsums": kept, "bits_per_value": bits}
    alone = copy.deepcopy(data | {"workload": less})
    alone["mapping"]["nodes"] = holding(alone["mapping"]["nodes"], used)
    how = {"granularity": case[1].get("granularity", "auto")}
    try:
        expected: Any = polylat.analyze(Spec.from_dict(alone), **how)
    except ExpressionError:  # the architecture names a tensor of another Einsum
        assume(False)
    except PolylatError as error:
        with pytest.raises(type(error)):
            polylat.analyze(Spec.from_dict(data), **how)
        return
    report = polylat.analyze(Spec.from_dict(data), **how)
    assert set(report.unmapped) == {e["name"] for e in workload["einsums"]} - mapped
    assert report.latency_by_order == expected.latency_by_order
    assert report.accesses == expected.accesses
    assert report.roofline == expected.roofline
