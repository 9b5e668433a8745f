"""Plain data: the values that it becomes."""

from __future__ import annotations

import dataclasses
import json
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from builders import OURS
from polylat.errors import ExpressionError, PolylatError, SpecError
from polylat.spec import Spec
from polylat.spec.affine import Affine
from polylat.spec.arch import Component
from polylat.spec.mapping import Compute, Pipeline, Sequential, Spatial, Storage, Temporal, Toll
from polylat.spec.reading.load import load
from polylat.spec.reading.yaml_text import parse


def memory(name: str, **more: Any) -> dict[str, Any]:
    actions = [{"name": "read", "throughput": 8}, {"name": "write", "throughput": 4}]
    return {"type": "Memory", "name": name, "size": "inf", "actions": actions, **more}


def compute(name: str, **more: Any) -> dict[str, Any]:
    actions = [{"name": "compute", "throughput": 1}]
    return {"type": "Compute", "name": name, "actions": actions, **more}


def matmul(**more: Any) -> dict[str, Any]:
    """Z = A B on a memory and a compute, as plain data."""
    return {
        "workload": {
            "rank_sizes": {"M": 4, "N": 4, "K": 4},
            "bits_per_value": {"All": 8},
            "einsums": [
                {
                    "name": "mm",
                    "tensor_accesses": [
                        {"name": "A", "projection": ["m", "k"]},
                        {"name": "B", "projection": ["k", "n"]},
                        {"name": "Z", "projection": ["m", "n"], "output": True},
                    ],
                }
            ],
        },
        "arch": {"nodes": [memory("DRAM"), compute("mac")]},
        "mapping": {
            "nodes": [
                {"type": "Storage", "component": "DRAM", "tensors": ["A", "B", "Z"]},
                {"type": "Temporal", "rank_variable": "m", "tile_shape": 1},
                {"type": "Temporal", "rank_variable": "n", "tile_shape": 1},
                {"type": "Temporal", "rank_variable": "k", "tile_shape": 1},
                {"type": "Compute", "einsum": "mm", "component": "mac"},
            ]
        },
        **more,
    }


def component(data: dict[str, Any], name: str = "DRAM", einsum: str = "mm") -> Component:
    return Spec.from_dict(data).arch.component(einsum, name)


def dram(**more: Any) -> Component:
    """The DRAM of a matmul, with more keys."""
    data = matmul()
    data["arch"]["nodes"][0] = memory("DRAM", **more)
    return component(data)


def test_the_whole_of_a_small_input() -> None:
    spec = Spec.from_dict(matmul())
    (einsum,) = spec.workload.einsums
    assert einsum.name == "mm"
    assert einsum.rank_variables == ("m", "k", "n")
    assert [str(c) for c in einsum.constraints] == ["m", "-m + 3", "k", "-k + 3", "n", "-n + 3"]
    assert einsum.tensors == ("A", "B", "Z")
    assert einsum.inputs == ("A", "B")
    assert einsum.access("Z").ranks == ("M", "N")
    assert einsum.access("Z").projection == (Affine((("m", 1),)), Affine((("n", 1),)))
    assert einsum.access("Z").bits_per_value == 8
    assert einsum.where == "workload.einsums[0]"
    assert spec.arch.order == ("DRAM", "mac")
    assert [c.kind for c in spec.arch.paths["mm"]] == ["Memory", "Compute"]
    assert spec.mapping.nodes == (
        Storage("DRAM", ("A", "B", "Z")),
        Temporal("m", 1),
        Temporal("n", 1),
        Temporal("k", 1),
    )
    assert spec.mapping.end == Compute("mm", "mac")
    assert spec.mapping.nodes[1].where == "mapping.nodes[1]"
    assert spec.schedule == {}


def test_the_input_is_not_changed() -> None:
    data = matmul()
    before = json.dumps(data)
    Spec.from_dict(data)
    assert json.dumps(data) == before


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(OURS.glob("*.yaml")), ids=lambda p: p.stem)
def test_plain_data_is_read_like_yaml(path: Path) -> None:
    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: bare(v) for k, v in value.items()}
        return [bare(v) for v in value] if isinstance(value, list) else value

    ours, theirs = Spec.from_dict(bare(parse(path.read_text()))), load(path)
    assert ours.arch == theirs.arch
    assert ours.mapping == theirs.mapping
    nowhere = [
        tuple(dataclasses.replace(e, where="") for e in spec.workload.einsums)
        for spec in (ours, theirs)
    ]
    assert nowhere[0] == nowhere[1]


# Components --------------------------------------------------------------------------------------


def test_numbers_of_all_kinds() -> None:
    for throughput in (Fraction(1, 10), 0.1, Decimal("0.1"), "0.1", "1/10", "1 / 10"):
        actions = [{"name": "read", "throughput": throughput}, {"name": "write", "throughput": 1}]
        assert dram(actions=actions).ports[0].durations["read"] == 10
    assert dram(size=math.inf).size is None
    assert dram(size="inf").size is None
    assert dram(size="1024 * 8").size == 8192


def test_one_port_by_default() -> None:
    (port,) = dram().ports
    assert (port.name, port.constant) == ("", 0)
    assert port.durations == {"read": Fraction(1, 8), "write": Fraction(1, 4)}


def test_a_port_for_each_argument_of_max() -> None:
    ports = dram(total_latency="max(a.n_calls / a.throughput for a in actions)").ports
    assert [p.name for p in ports] == ["read", "write"]
    ports = dram(
        total_latency="max(actions[0].n_calls, actions[0].n_calls / 2 + 3, actions[1].n_calls, 9)"
    ).ports
    assert [(p.name, p.durations, p.constant) for p in ports] == [
        ("read", {"read": 1}, 0),
        ("read #2", {"read": Fraction(1, 2)}, 3),
        ("write", {"write": 1}, 0),
        ("constant", {}, 9),
    ]


def test_separate_ports() -> None:
    actions = [{"name": n, "throughput": 2} for n in ("refresh", "read", "write")]
    ports = dram(separate_read_write_ports=True, actions=actions).ports
    half = Fraction(1, 2)
    assert [(p.name, p.durations) for p in ports] == [
        ("read", {"read": half}),
        ("refresh+write", {"refresh": half, "write": half}),
    ]
    assert len(dram(separate_read_write_ports=False).ports) == 1


def test_a_latency_without_actions() -> None:
    assert [(p.durations, p.constant) for p in dram(total_latency=0).ports] == [({}, 0)]
    assert [(p.durations, p.constant) for p in dram(total_latency="2*3").ports] == [({}, 6)]


def test_a_latency_that_needs_no_throughput() -> None:
    component_ = dram(actions=[], total_latency="actions['read'].n_calls * 3")
    assert component_.actions == ("read", "write")
    assert component_.ports[0].durations == {"read": 3}


def test_scales_and_parallel_instances() -> None:
    actions = [
        {"name": "read", "throughput": 2, "throughput_scale": 3},
        {"name": "write", "latency": "1/2", "latency_scale": 4},
    ]
    found = dram(actions=actions, throughput_scale="1/2", n_parallel_instances=5, actions_scale=7)
    assert found.ports[0].durations == {"read": Fraction(1, 15), "write": Fraction(4, 5)}
    assert found.actions_per_value["read", "A"] == 56
    assert dram(latency_scale=2).ports[0].durations["read"] == Fraction(1, 4)
    zero = [{"name": "read", "latency": 0}, {"name": "write", "throughput": "inf"}]
    assert dram(actions=zero).ports[0].durations == {"read": 0, "write": 0}


def test_bits_and_values_per_action() -> None:
    assert dram().actions_per_value["read", "A"] == 8
    assert dram(bits_per_action=16).actions_per_value["read", "A"] == Fraction(1, 2)
    assert dram(values_per_action={"A": 4, "Other": 2}).actions_per_value == {
        (action, tensor): Fraction(1, 4 if tensor == "A" else 2)
        for action in ("read", "write")
        for tensor in ("A", "B", "Z")
    }
    actions = [
        {"name": "read", "throughput": 1, "bits_per_action": "bits_per_action * 2"},
        {"name": "write", "throughput": 1, "values_per_action": {"~Inputs": 3}},
    ]
    found = dram(actions=actions, bits_per_action=16, bits_per_value={"Z": 64}).actions_per_value
    assert found["read", "A"] == Fraction(8, 32)
    assert found["read", "Z"] == Fraction(64, 32)
    assert found["write", "Z"] == Fraction(1, 3)
    assert found["write", "A"] == Fraction(8, 16)
    assert dram(bits_per_action="inf").actions_per_value["read", "A"] == 0


def test_a_value_of_no_bits_is_free() -> None:
    """As in AccelForge's architecture of Jia et al., whose bandwidth limiter lets inputs pass."""
    found = dram(bits_per_value={"A": 0})
    assert found.bits_per_value["A"] == found.actions_per_value["read", "A"] == 0
    assert found.actions_per_value["read", "B"] == 8
    with pytest.raises(ExpressionError, match="must be a finite number of at least zero, not -1"):
        dram(bits_per_value={"A": -1})


def test_bits_per_value_of_a_component() -> None:
    found = dram(bits_per_value={"Outputs": "2 * Z.bits_per_value"})
    assert found.bits_per_value == {"A": 8, "B": 8, "Z": 16}


def test_a_dummy_costs_no_time() -> None:
    assert dram(actions=[], component_class="Dummy").ports[0].durations == {"read": 0, "write": 0}


def test_what_only_matters_to_energy_or_a_mapper_is_not_looked_at() -> None:
    dram(
        area="unknown_name",
        leak_power="1 +",
        energy_scale=None,
        enabled="len(All) == 99",
        component_class="SmartBuffer",
        tensors={"keep": "~MainMemory", "may_keep": "All", "tensor_order_options": [["A"]]},
        extra_attributes_for_component_model={"technology": "7nm", "n_bits": "unknown"},
    )
    Spec.from_dict(matmul(mapper={"x": 1}, model={"metrics": []}, config={"y": []}))


def test_a_toll() -> None:
    data = matmul()
    toll = {"type": "Toll", "name": "Link", "actions": [{"name": "read", "throughput": 4}]}
    data["mapping"]["nodes"].insert(1, {"type": "Toll", "component": "Link", "tensors": ["A", "Z"]})
    data["arch"]["nodes"].insert(1, {**toll, "direction": "up_and_down"})
    spec = Spec.from_dict(data)
    assert spec.mapping.nodes[1] == Toll("Link", ("A", "Z"))
    assert spec.arch.component("mm", "Link").direction == dict.fromkeys("ABZ", "up_and_down")
    assert spec.arch.component("mm", "Link").size is None
    data["arch"]["nodes"][1] = {**toll, "direction": {"Inputs": "down", "Z": "up"}}
    found = component(data, "Link").direction
    assert found == {"A": "down", "B": "down", "Z": "up"}


def test_spatial_dimensions() -> None:
    data = matmul()
    data["arch"]["nodes"].insert(
        1,
        {
            "type": "Container",
            "name": "PE",
            "spatial": [
                {"name": "X", "fanout": "2 * 2", "reuse": "Inputs"},
                {"name": "Y", "fanout": 2, "may_reuse": "Nothing", "reuse": "Inputs"},
                {"name": "Z", "fanout": 1, "min_usage": 1, "loop_bounds": []},
            ],
        },
    )
    data["mapping"]["nodes"].insert(
        1,
        {
            "type": "Spatial",
            "rank_variable": "m",
            "tile_shape": "4 / 4",
            "name": "X",
            "component": "PE",
        },
    )
    spec = Spec.from_dict(data)
    found = spec.arch.component("mm", "PE")
    assert (found.kind, found.fanout, found.ports) == ("Container", 8, ())
    assert [(d.name, d.fanout, set(d.may_reuse)) for d in found.spatial] == [
        ("X", 4, {"A", "B"}),
        ("Y", 2, set()),
        ("Z", 1, {"A", "B", "Z"}),
    ]
    assert spec.mapping.nodes[1] == Spatial("m", 1, "PE", "X")


def two_computes() -> dict[str, Any]:
    """Two Einsums on two Computes, one of which is in a Fork."""
    data = matmul()
    data["workload"]["rank_sizes"]["N2"] = 4
    data["workload"]["einsums"].append("Y[m, n2] = Z[m, N: n] * C[n, n2]")
    data["arch"]["nodes"] = [
        memory("DRAM"),
        {
            "type": "Fork",
            "nodes": [memory("VRF"), {"type": "Hierarchical", "nodes": [compute("vector")]}],
        },
        {"type": "Hierarchical", "nodes": [memory("SRAM"), compute("other")]},
        compute("mac"),
    ]

    def branch(einsum: str, at: str, *variables: str) -> dict[str, Any]:
        loops = [{"type": "Temporal", "rank_variable": v, "tile_shape": 1} for v in variables]
        leaf = {"type": "Compute", "einsum": einsum, "component": at}
        return {"type": "Nested", "nodes": [*loops, leaf]}

    data["mapping"]["nodes"] = [
        {"type": "Storage", "component": "DRAM", "tensors": ["A", "B", "C", "Z", "Y"]},
        {"type": "Reservation", "purposes": ["A"], "resource": "DRAM"},
        {
            "type": "Sequential",
            "nodes": [branch("mm", "vector", "m", "n", "k"), branch("Y", "mac", "m", "n", "n2")],
        },
    ]
    return data


def test_forks_are_on_the_way_to_their_own_computes_only() -> None:
    spec = Spec.from_dict(two_computes())
    assert spec.arch.order == ("DRAM", "VRF", "vector", "SRAM", "other", "mac")
    names = {e: [c.name for c in path] for e, path in spec.arch.paths.items()}
    assert names == {"mm": ["DRAM", "VRF", "vector"], "Y": ["DRAM", "SRAM", "mac"]}


def test_an_array_stands_below_what_it_contains() -> None:
    data = matmul()
    data["arch"]["nodes"].insert(
        1,
        {
            "type": "Array",
            "name": "PEs",
            "spatial": [{"name": "X", "fanout": 4}],
            "nodes": [memory("GLB")],
        },
    )
    path = Spec.from_dict(data).arch.paths["mm"]
    assert [(c.name, c.kind, c.fanout) for c in path] == [
        ("DRAM", "Memory", 1),
        ("GLB", "Memory", 1),
        ("PEs", "Container", 4),
        ("mac", "Compute", 1),
    ]


# Expressions in their places ---------------------------------------------------------------------


def test_variables_and_fields_of_components() -> None:
    data = matmul(variables={"width": "2 * base", "base": 8, "unused": "1 +"})
    data["arch"]["variables"] = {"base": 5, "tensors": "len(All)"}
    data["arch"]["extra_attributes_for_all_component_models"] = {"node": 7}
    data["arch"]["nodes"][0] = memory(
        "DRAM",
        size="width * n_parallel_instances",
        n_parallel_instances="tensors",
        extra_attributes_for_component_model={"mine": "node + 1"},
    )
    data["arch"]["nodes"].insert(1, memory("SRAM", size="DRAM.size + base", actions_scale="1"))
    data["arch"]["nodes"][0]["actions"][0]["throughput"] = (
        "mine * variables.base * variables.width / 16"
    )
    spec = Spec.from_dict(data)
    assert spec.arch.component("mm", "DRAM").size == 48
    assert spec.arch.component("mm", "SRAM").size == 53
    assert spec.arch.component("mm", "DRAM").ports[0].durations["read"] == Fraction(1, 8 * 5 * 3)


def test_in_total_latency_the_variables_of_the_input_come_first() -> None:
    data = matmul(variables={"base": 8})
    data["arch"]["variables"] = {"base": 5}
    data["arch"]["nodes"][0]["total_latency"] = "base"
    assert component(data).ports[0].constant == 8


def test_given_variables_override_those_of_the_input() -> None:
    data = matmul(variables={"T": 2})
    data["arch"]["nodes"][0]["actions"][0]["throughput"] = "T"
    data["mapping"]["nodes"][1]["tile_shape"] = "T"
    assert component(data).ports[0].durations["read"] == Fraction(1, 2)
    spec = Spec.from_dict(data, T="1 + 2")
    assert spec.arch.component("mm", "DRAM").ports[0].durations["read"] == Fraction(1, 3)
    assert spec.mapping.nodes[1] == Temporal("m", 3)
    with pytest.raises(SpecError, match="no variable 'T'"):
        Spec.from_dict(matmul(), T=1)


def test_expressions_see_the_tensors_of_each_einsum() -> None:
    data = two_computes()
    data["renames"] = {
        "einsums": [
            {
                "name": "default",
                "tensor_accesses": {
                    "input": "Inputs & Intermediates if Inputs & Intermediates else A",
                    "weight": "~(input | Outputs)",
                },
                "rank_variables": [{"name": "rows", "source": "m", "expected_count": 1}],
            },
            {"name": "Y", "tensor_accesses": {"scaled": "C"}},
            {"name": "mm", "tensor_accesses": {"scaled": "A | B"}},
        ]
    }
    data["arch"]["nodes"][0]["size"] = "100 * len(scaled) + weight.bits_per_value * len(rows)"
    data["workload"]["bits_per_value"] = {"C": 4, "Other": 8}
    spec = Spec.from_dict(data)
    assert spec.arch.component("mm", "DRAM").size == 208
    assert spec.arch.component("Y", "DRAM").size == 104


def test_renames_of_an_einsum_come_before_the_defaults() -> None:
    data = matmul(
        renames={"einsums": [{"name": "default", "tensor_accesses": {"x": "A", "y": "~x"}}]}
    )
    data["workload"]["einsums"][0]["renames"] = [{"name": "x", "source": "B"}]
    data["arch"]["nodes"][0]["bits_per_value"] = {"x": 1, "y": 2}
    assert component(data).bits_per_value == {"A": 2, "B": 1, "Z": 2}


# Workload ----------------------------------------------------------------------------------------


def test_einsums_as_text() -> None:
    text = "Z[m, n] = exp( A[m,k] ) * B[K: k, N: n]"
    (einsum,) = Spec.from_dict(_named(text)).workload.einsums
    assert einsum.name == "Z"
    assert einsum.tensors == ("A", "B", "Z")
    assert einsum.access("B").ranks == ("K", "N")
    assert einsum.outputs == ("Z",)


def _named(entry: Any) -> dict[str, Any]:
    """The matmul, with its Einsum given otherwise, and named Z."""
    data = matmul()
    data["workload"]["einsums"] = [[[entry]]]
    data["mapping"]["nodes"][-1]["einsum"] = "Z"
    return data


def test_einsums_as_text_with_more_keys() -> None:
    entry = {
        "einsum": "Z[m, n] = A[m, K: 2*k + 1] * B[k, n] + B[k, n]",
        "tensor_accesses": [{"name": "A", "bits_per_value": 4}],
        "rank_sizes": {"K": 9},
        "iteration_space_shape": ["k < 4"],
        "n_instances": 3,
        "renames": {"weight": "B"},
    }
    (einsum,) = Spec.from_dict(_named(entry)).workload.einsums
    assert einsum.n_instances == 3
    assert einsum.tensors == ("A", "B", "Z")
    assert [a.bits_per_value for a in einsum.accesses] == [4, 8, 8]
    assert str(einsum.access("A").projection[1]) == "2*k + 1"
    assert [str(c) for c in einsum.constraints] == [
        *("-k + 3", "m", "-m + 3", "2*k + 1", "-2*k + 7", "k", "-k + 8", "n", "-n + 3"),
    ]


def test_sizes_and_strides_may_be_variables() -> None:
    data = _named("Z[m, n] = A[m, K: S*k] * B[k, n]")
    data["variables"] = {"S": 2, "SIZE": "2 ** 3"}
    data["workload"]["rank_sizes"] = {"M": "SIZE", "N": "SIZE / 2"}
    data["workload"]["iteration_space_shape"] = {"k": "0 <= k < SIZE", "unused": "0 <= u < 3"}
    (einsum,) = Spec.from_dict(data).workload.einsums
    assert str(einsum.access("A").projection[1]) == "2*k"
    assert {str(c) for c in einsum.constraints} == {"k", "-k + 7", "m", "-m + 7", "n", "-n + 3"}


def test_a_lower_case_name_in_a_projection_is_a_rank_variable() -> None:
    data = matmul(variables={"m": 100, "k": 3})
    assert Spec.from_dict(data).workload.einsums[0].rank_variables == ("m", "k", "n")


def test_copies_and_instances() -> None:
    data = matmul()
    data["workload"]["n_instances"] = "2 * 2"
    data["workload"]["einsums"].insert(
        0, {"einsum": "A[m, k] = A0[m, k]", "is_copy_operation": "true", "n_instances": 2}
    )
    copy = {
        "type": "Nested",
        "nodes": [{"type": "Temporal", "rank_variable": v, "tile_shape": 1} for v in ("m", "k")]
        + [{"type": "Compute", "einsum": "A", "component": "mac"}],
    }
    rest = data["mapping"]["nodes"][1:]
    data["mapping"]["nodes"] = [
        {"type": "Storage", "component": "DRAM", "tensors": ["A0", "A", "B", "Z"]},
        {"type": "Pipeline", "nodes": [copy, {"type": "Nested", "nodes": rest}]},
    ]
    spec = Spec.from_dict(data)
    assert spec.workload.n_instances == 4
    assert [(e.is_copy, e.n_instances) for e in spec.workload.einsums] == [(True, 2), (False, 1)]
    assert isinstance(spec.mapping.end, Pipeline)


@pytest.mark.parametrize("projection", [[], {}])
def test_a_tensor_may_be_one_value(projection: Any) -> None:
    data = matmul()
    data["workload"]["einsums"][0]["tensor_accesses"].append(
        {"name": "S", "projection": projection}
    )
    data["mapping"]["nodes"][0]["tensors"].append("S")
    (einsum,) = Spec.from_dict(data).workload.einsums
    assert (einsum.access("S").ranks, einsum.access("S").projection) == ((), ())


def test_an_index_may_be_constant() -> None:
    data = matmul()
    data["workload"]["einsums"][0]["tensor_accesses"][0]["projection"] = {"M": "m", "K": 3}
    data["workload"]["einsums"][0]["tensor_accesses"][1]["projection"] = {"K": "k", "N": "n"}
    (einsum,) = Spec.from_dict(data).workload.einsums
    assert einsum.access("A").projection[1] == Affine((), 3)


# Mapping -----------------------------------------------------------------------------------------


def test_nested_nodes_are_dissolved_and_reservations_dropped() -> None:
    data = two_computes()
    split = data["mapping"]["nodes"].pop()
    split["nodes"][0]["nodes"].insert(0, {"type": "Reservation"})
    inner = {"type": "Nested", "nodes": [{"type": "Mapping", "nodes": [split]}]}
    data["mapping"]["nodes"].append(inner)
    spec = Spec.from_dict(data)
    assert isinstance(spec.mapping.end, Sequential)
    first, second = spec.mapping.end.branches
    assert [n.rank_variable for n in first.nodes if isinstance(n, Temporal)] == ["m", "n", "k"]
    assert second.end == Compute("Y", "mac")
    assert first.end.where == "mapping.nodes[2].nodes[0].nodes[0].nodes[0].nodes[4]"
    assert [leaf.einsum for leaf in spec.mapping.leaves()] == ["mm", "Y"]


def test_a_branch_may_be_a_leaf_or_a_split() -> None:
    data = matmul()
    leaf = data["mapping"]["nodes"].pop()
    split = {"type": "Sequential", "nodes": [{"type": "Pipeline", "nodes": [leaf]}]}
    data["mapping"]["nodes"].append(split)
    end = Spec.from_dict(data).mapping.end
    assert isinstance(end, Sequential)
    assert isinstance(end.branches[0].end, Pipeline)


# Schedule ----------------------------------------------------------------------------------------


def test_schedule_options() -> None:
    options = {
        "granularity": "flow",
        "order": "skew",
        "background": ["Z", "B", {"tensor": "Z"}],
        "staged": ["A", "DRAM"],
        "slots": {"A": 3, "B": None},
        "max_tiles": 1000,
        "enforce_capacity": True,
    }
    assert Spec.from_dict(matmul(schedule=options)).schedule == {
        "granularity": "flow",
        "order": "skew",
        "background": (("Z", None), ("B", None)),
        "staged": (("A", None), (None, "DRAM")),
        "slots": {"A": 3, "B": None},
        "max_tiles": 1000,
        "enforce_capacity": True,
    }
    assert Spec.from_dict(matmul(schedule=None)).schedule == {}


# Odd data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [None, [], "workload", 3, {}, {"workload": {}}, {1: 2}, object(), {"x" * 999: 1}]
)
def test_what_is_no_input(data: Any) -> None:
    with pytest.raises(PolylatError):
        Spec.from_dict(data)


def test_data_that_contains_itself() -> None:
    data = matmul()
    data["mapping"]["nodes"].append(data["mapping"])
    with pytest.raises(SpecError, match=r"mapping\.nodes\[5\]: the data contains itself"):
        Spec.from_dict(data)


def test_data_that_is_shared_is_fine() -> None:
    data = matmul()
    node = memory("SRAM")
    data["arch"]["nodes"][0]["actions"] = node["actions"]
    data["arch"]["nodes"].insert(1, node)
    assert Spec.from_dict(data).arch.order == ("DRAM", "SRAM", "mac")


def test_data_that_is_too_deep_or_too_large() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SpecError, match="levels deep"):
        Spec.from_dict({"workload": deep})
    wide: Any = ["x"] * 100
    for _ in range(20):
        wide = [wide] * 100
    with pytest.raises(SpecError, match="values"):
        Spec.from_dict({"workload": wide})


def test_deep_mappings_are_read() -> None:
    """A mapping as mappers write it for a long chain of Einsums: splits within splits."""
    data = matmul()
    inner = data["mapping"]["nodes"].pop()
    for _ in range(32):
        inner = {"type": "Sequential", "nodes": [{"type": "Nested", "nodes": [inner]}]}
    data["mapping"]["nodes"].append(inner)
    assert [leaf.einsum for leaf in Spec.from_dict(data).mapping.leaves()] == ["mm"]
