"""Reading AccelForge's inputs gives the values that AccelForge evaluated them to.

Our own cases are in ``tests/data/accelforge``. A larger corpus is used where it is present: in
the folder that the environment variable POLYLAT_CORPUS names, or next to the repository.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from builders import CORPUS, OURS
from polylat.spec import Spec
from polylat.spec.arch import Component
from polylat.spec.mapping import Branch, Compute, Spatial, Storage, Temporal, Toll
from polylat.spec.reading.load import load
from polylat.spec.workload import Einsum

isl = pytest.importorskip("islpy")


def _cases() -> Iterator[Path]:
    found = {p.stem: p for folder in (CORPUS, OURS) for p in sorted(folder.glob("*.yaml"))}
    yield from sorted(found.values(), key=lambda p: p.stem)


CASES = list(_cases())


@pytest.fixture(params=CASES, ids=lambda p: p.stem)
def case(request: pytest.FixtureRequest) -> tuple[Spec, dict[str, Any]]:
    """A case, read by polylat, and AccelForge's results."""
    path: Path = request.param
    return load(path), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def test_all_our_cases_are_here() -> None:
    assert len(list(OURS.glob("*.yaml"))) == len(list(OURS.glob("*.json"))) >= 46
    assert not list(OURS.glob("map_ex_*"))


def test_workload(case: tuple[Spec, dict[str, Any]]) -> None:
    spec, answer = case
    expected = answer["workload"]
    assert spec.workload.n_instances == expected["n_instances"]
    assert [e.name for e in spec.workload.einsums] == [e["name"] for e in expected["einsums"]]
    for einsum, told in zip(spec.workload.einsums, expected["einsums"], strict=True):
        assert einsum.is_copy == told["is_copy_operation"]
        assert einsum.n_instances == told["n_instances"]
        assert sorted(einsum.rank_variables) == sorted(told["rank_variables"])
        assert list(einsum.tensors) == [a["name"] for a in told["tensor_accesses"]]
        for access, its in zip(einsum.accesses, told["tensor_accesses"], strict=True):
            assert access.output == its["output"]
            assert access.bits_per_value == its["bits_per_value"]
            assert list(access.ranks) == list(its["projection"])
            variables = ",".join(einsum.rank_variables)
            ours = isl.Map(f"{{ [{variables}] -> [{','.join(map(str, access.projection))}] }}")
            theirs = isl.Map(f"{{ [{variables}] -> [{','.join(its['projection'].values())}] }}")
            assert ours.is_equal(theirs)


def test_iteration_space(case: tuple[Spec, dict[str, Any]]) -> None:
    spec, answer = case
    for einsum, told in zip(spec.workload.einsums, answer["workload"]["einsums"], strict=True):
        space = _space(einsum)
        variables = ",".join(einsum.rank_variables)
        assert space.is_equal(isl.Set(f"{{ [{variables}] : {told['iteration_space_isl']} }}"))
        for index, variable in enumerate(einsum.rank_variables):
            size = space.dim_max_val(index).to_python() - space.dim_min_val(index).to_python() + 1
            assert size == told["rank_variable_bounds"][variable]


def _space(einsum: Einsum) -> Any:
    conditions = " and ".join(f"{c} >= 0" for c in einsum.constraints)
    return isl.Set(f"{{ [{','.join(einsum.rank_variables)}] : {conditions} }}")


def test_components(case: tuple[Spec, dict[str, Any]]) -> None:
    spec, answer = case
    flattened = answer["arch"]["flattened_per_einsum"]
    assert set(spec.arch.paths) == set(flattened)
    for einsum, told in flattened.items():
        path = spec.arch.paths[einsum]
        assert [c.name for c in path] == [c["name"] for c in told]
        tensors = spec.workload.einsum(einsum).tensors
        for component, its in zip(path, told, strict=True):
            assert component.kind == ("Container" if its["kind"] == "Array" else its["kind"])
            assert [(d.name, d.fanout, d.may_reuse) for d in component.spatial] == [
                (d["name"], d["fanout"], frozenset(d["may_reuse"])) for d in its["spatial"]
            ]
            if component.kind == "Container":
                assert component.ports == ()
                continue
            if component.network is not None:
                assert component.network.topology == its["topology"]
                continue
            _check_actions(component, its, tensors)
            if component.kind == "Memory":
                assert component.size == (None if its["size"] == "inf" else its["size"])
                assert component.skip_initial_output_write == its["skip_initial_output_write"]
            if component.kind == "Toll":
                assert component.direction == its["direction"]
            if component.kind in ("Memory", "Toll"):
                bits = {a.tensor: a.bits_per_value for a in spec.workload.einsum(einsum).accesses}
                assert component.bits_per_value == {**bits, **its["bits_per_value"]}


def _check_actions(component: Component, its: dict[str, Any], tensors: tuple[str, ...]) -> None:
    assert list(component.actions) == [a["name"] for a in its["actions"]]
    durations: dict[str, Fraction] = {}
    for port in component.ports:
        durations.update(port.durations)
    for action in its["actions"]:
        throughput = action["throughput"]
        expected = 0.0 if throughput == "inf" else 1 / throughput
        assert float(durations[action["name"]]) == pytest.approx(expected, rel=1e-12)
        scale = its["actions_scale"]
        if component.kind == "Compute":
            assert component.actions_per_value == {("compute", None): scale}
            continue
        for tensor in tensors:
            values = action["values_per_action"][tensor]
            ours = component.actions_per_value[action["name"], tensor]
            assert float(ours) == pytest.approx(scale / values, rel=1e-12)
    text = its["total_latency"]
    assert len(component.ports) == (len(component.actions) if text.startswith("max") else 1)


@pytest.mark.slow
def test_latency_of_ports(case: tuple[Spec, dict[str, Any]]) -> None:
    """AccelForge's numbers of actions, on our ports, take AccelForge's time."""
    spec, answer = case
    for einsum, internals in answer["internals_per_einsum_instance"].items():
        scales = {
            c["name"]: c.get("actions_scale", 1)
            for c in answer["arch"]["flattened_per_einsum"][einsum]
        }
        for name, expected in internals["latency"].items():
            component = spec.arch.component(einsum, name)
            if component.network is not None:
                found = component.network.latency(*_passing(internals["network"][name]))
                assert found == pytest.approx(expected, rel=1e-6)
                continue
            calls = dict.fromkeys(component.actions, 0.0)
            if component.kind == "Compute":
                calls["compute"] = sum(c["max_latency_ops"] for c in internals["compute"])
            else:
                for counts in internals["buffets"][name].values():
                    calls["read"] += counts["per_unit_read"]
                    if component.kind == "Memory":
                        calls["write"] += counts["per_unit_write"]
            busy = max(
                sum(float(d) * calls[a] * scales[name] for a, d in port.durations.items())
                + float(port.constant)
                for port in component.ports
            )
            assert busy == pytest.approx(expected, rel=1e-9)


def _passing(tensors: dict[str, Any]) -> tuple[int, int]:
    """Hops of the longest route, and the traffic on the busiest link."""
    traffic: dict[str, int] = {}
    for counts in tensors.values():
        for dim, actions in counts["max_traffic"].items():
            traffic[dim] = traffic.get(dim, 0) + actions
    hops = (counts["max_hops"] for counts in tensors.values())
    return max(hops, default=0), max(traffic.values(), default=0)


def test_mapping(case: tuple[Spec, dict[str, Any]]) -> None:
    spec, answer = case
    assert _ours(spec.mapping) == _theirs(answer["mapping"])


def _ours(branch: Branch) -> list[Any]:
    found: list[Any] = []
    for node in branch.nodes:
        if isinstance(node, Temporal):
            found.append(("Temporal", node.rank_variable, node.tile_shape))
        elif isinstance(node, Spatial):
            found.append(
                ("Spatial", node.rank_variable, node.tile_shape, node.component, node.dimension)
            )
        else:
            assert isinstance(node, (Storage, Toll))
            found.append((type(node).__name__, node.component, node.tensors))
    if isinstance(branch.end, Compute):
        found.append(("Compute", branch.end.einsum, branch.end.component))
    else:
        found.append((type(branch.end).__name__, [_ours(b) for b in branch.end.branches]))
    return found


def _theirs(node: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    for inner in node["nodes"] if node["type"] in ("Mapping", "Nested") else [node]:
        kind = inner["type"]
        if kind == "Temporal":
            found.append((kind, inner["rank_variable"], inner["tile_shape"]))
        elif kind == "Spatial":
            place = (inner["component"], inner["name"])
            found.append((kind, inner["rank_variable"], inner["tile_shape"], *place))
        elif kind in ("Storage", "Toll"):
            found.append((kind, inner["component"], tuple(inner["tensors"])))
        elif kind == "Compute":
            found.append((kind, inner["einsum"], inner["component"]))
        elif kind == "Nested":
            found.extend(_theirs(inner))
        elif kind != "Reservation":
            found.append((kind, [_theirs(b) for b in inner["nodes"]]))
    return found


def test_every_tree_node_says_where_it_stands(case: tuple[Spec, dict[str, Any]]) -> None:
    spec, _ = case
    for leaf in spec.mapping.leaves():
        assert leaf.where.startswith("mapping.nodes[") and "(line " in leaf.where


def test_numbers_are_exact() -> None:
    spec = load(OURS / "t_mm_ports_max.yaml")
    ports = spec.arch.component("mm", "SRAM").ports
    assert [(p.name, dict(p.durations)) for p in ports] == [
        ("read", {"read": Fraction(1, 32)}),
        ("write", {"write": Fraction(1, 16)}),
    ]
    assert math.isclose(float(ports[0].durations["read"]), 0.03125)
