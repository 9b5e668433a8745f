"""Wrong input: each kind has a message that says what, where, and how to fix it.

And any input gives a `Spec` or a `PolylatError`, in bounded time.
"""

from __future__ import annotations

import copy
import json
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import OURS
from polylat.errors import (
    ExpressionError,
    MappingError,
    OptionError,
    PolylatError,
    SpecError,
    UnsupportedError,
)
from polylat.spec import Spec
from polylat.spec.background import normalize_background
from polylat.spec.option_values import (
    normalize_enforce_capacity,
    normalize_granularity,
    normalize_max_tiles,
    normalize_order,
)
from polylat.spec.reading.load import load
from polylat.spec.reading.yaml_text import parse
from polylat.spec.slots import normalize_slots

CASES = sorted(OURS.glob("*.yaml"))

Change = Callable[[dict[str, Any]], object]


def chain() -> dict[str, Any]:
    """Two Einsums on a small architecture with a Toll, a Container and a Fork."""
    rates = [{"name": "read", "throughput": 8}, {"name": "write", "throughput": 4}]
    one = [{"name": "compute", "throughput": 1}]

    def loop(variable: str) -> dict[str, Any]:
        return {"type": "Temporal", "rank_variable": variable, "tile_shape": 1}

    def storage(component: str, *tensors: str) -> dict[str, Any]:
        return {"type": "Storage", "component": component, "tensors": list(tensors)}

    data: dict[str, Any] = {
        "workload": {
            "rank_sizes": {"M": 4, "N": 4, "K": 4, "P": 4},
            "bits_per_value": {"All": 8},
            "einsums": [
                {
                    "name": "e1",
                    "tensor_accesses": [
                        {"name": "A", "projection": ["m", "k"]},
                        {"name": "B", "projection": ["k", "n"]},
                        {"name": "T", "projection": ["m", "n"], "output": True},
                    ],
                },
                {
                    "name": "e2",
                    "tensor_accesses": [
                        {"name": "T", "projection": ["m", "n"]},
                        {"name": "C", "projection": ["n", "p"]},
                        {"name": "Z", "projection": ["m", "p"], "output": True},
                    ],
                },
            ],
        },
        "arch": {
            "nodes": [
                {"type": "Memory", "name": "DRAM", "size": "inf", "actions": rates},
                {"type": "Toll", "name": "Link", "direction": "up", "actions": rates[:1]},
                {"type": "Fork", "nodes": [{"type": "Compute", "name": "side", "actions": one}]},
                {
                    "type": "Container",
                    "name": "PE",
                    "spatial": [{"name": "X", "fanout": 4}],
                },
                {"type": "Memory", "name": "SRAM", "size": 1024, "actions": rates},
                {"type": "Compute", "name": "mac", "actions": one},
            ]
        },
        "mapping": {
            "nodes": [
                storage("DRAM", "A", "B", "C", "T", "Z"),
                loop("m"),
                {
                    "type": "Sequential",
                    "nodes": [
                        {
                            "type": "Nested",
                            "nodes": [
                                storage("SRAM", "A"),
                                loop("n"),
                                loop("k"),
                                {"type": "Compute", "einsum": "e1", "component": "mac"},
                            ],
                        },
                        {
                            "type": "Nested",
                            "nodes": [
                                loop("n"),
                                loop("p"),
                                {"type": "Compute", "einsum": "e2", "component": "mac"},
                            ],
                        },
                    ],
                },
            ]
        },
    }
    unshared: dict[str, Any] = json.loads(json.dumps(data))
    return unshared


def einsum(data: dict[str, Any], index: int = 0) -> Any:
    return data["workload"]["einsums"][index]


def node(data: dict[str, Any], *path: int) -> Any:
    found = data["mapping"]
    for index in path:
        found = found["nodes"][index]
    return found


def part(data: dict[str, Any], index: int) -> Any:
    return data["arch"]["nodes"][index]


def told(change: Change) -> PolylatError:
    data = chain()
    change(data)
    with pytest.raises(PolylatError) as caught:
        Spec.from_dict(data)
    return caught.value


def test_the_example_is_right() -> None:
    assert len(Spec.from_dict(chain()).workload.einsums) == 2


# Shape -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.update(worklod=d.pop("workload")),
            ("unknown key 'worklod' (1 more problem in the input). Did you mean 'workload'?"),
        ),
        (
            lambda d: d.pop("mapping"),
            (
                "the key 'mapping' is missing. Fix: add the mapping to analyze; "
                "AccelForge's mapper can find one."
            ),
        ),
        (lambda d: d.pop("arch"), "the key 'arch' is missing. Fix: add arch."),
        (
            lambda d: part(d, 0).pop("size"),
            "arch.nodes[0]: the key 'size' is missing. Fix: add size.",
        ),
        (
            lambda d: part(d, 0).update(sizes=part(d, 0).pop("size")),
            (
                "arch.nodes[0]: unknown key 'sizes' (1 more problem in the input). "
                "Did you mean 'size'?"
            ),
        ),
        (
            lambda d: part(d, 0)["actions"][0].update(troughput=3),
            ("arch.nodes[0].actions[0]: unknown key 'troughput'. Did you mean 'throughput'?"),
        ),
        (
            lambda d: part(d, 0).update({"four)": None}),
            (
                "arch.nodes[0]: unknown key 'four)'. "
                "Fix: put an expression that contains commas in quotes."
            ),
        ),
        (
            lambda d: part(d, 0).update(type="Memroy"),
            "arch.nodes[0]: unknown node type 'Memroy'. Did you mean 'Memory'?",
        ),
        (
            lambda d: part(d, 0).update(type="Storage"),
            (
                "arch.nodes[0]: unknown node type 'Storage'. Fix: use one of: Memory, "
                "Compute, Toll, Container, Hierarchical, Fork, Array, Network."
            ),
        ),
        (
            lambda d: node(d, 0).pop("type"),
            (
                "mapping.nodes[0]: the node has no type. "
                "Fix: add a tag such as !Storage, or a key such as type: Storage."
            ),
        ),
        (lambda d: node(d, 0).update(type="Memory"), "mapping.nodes[0]: unknown node type"),
        (
            lambda d: d["mapping"]["nodes"].insert(0, "Storage"),
            "mapping.nodes[0]: must be a node, not 'Storage'",
        ),
        (lambda d: d.update(mapping=[]), "mapping: must be a mapping, not a list"),
        (lambda d: d["arch"].update(nodes={}), "arch.nodes: must be a list, not a mapping"),
        (lambda d: part(d, 0).update(name=3), "arch.nodes[0].name: must be a name, not 3"),
        (lambda d: part(d, 0).update(name=" "), "arch.nodes[0].name: must not be empty"),
        (
            lambda d: part(d, 0).update(name="x" * 300),
            "arch.nodes[0].name: a name of 300 characters is too long",
        ),
        (
            lambda d: part(d, 0).update(size=[1]),
            "arch.nodes[0].size: must be a number or an expression, not a list",
        ),
        (
            lambda d: part(d, 0).update(actions="read"),
            "arch.nodes[0].actions: must be a list, not 'read'",
        ),
        (
            lambda d: part(d, 0).update(values_per_action=4),
            "arch.nodes[0].values_per_action: must be a mapping, not 4",
        ),
        (
            lambda d: part(d, 0).update(skip_initial_output_write="maybe"),
            "arch.nodes[0].skip_initial_output_write: must be true or false, not 'maybe'",
        ),
        (
            lambda d: part(d, 1).update(direction=3),
            "arch.nodes[1].direction: must be up, down, up_and_down or a mapping, not 3",
        ),
        (
            lambda d: einsum(d)["tensor_accesses"][0].update(projection="m"),
            (
                "workload.einsums[0].tensor_accesses[0].projection: must be a list of rank "
                "variables or a mapping from ranks to expressions, not 'm'"
            ),
        ),
        (
            lambda d: einsum(d)["tensor_accesses"][0].update(projection=[["m"]]),
            (
                "workload.einsums[0].tensor_accesses[0].projection: must be an expression of rank "
                "variables, not a list"
            ),
        ),
        (
            lambda d: d["workload"].update(iteration_space_shape={"m": 4}),
            "workload.iteration_space_shape.m: must be a string, not 4",
        ),
        (
            lambda d: einsum(d).update(renames={"x": 3}),
            "workload.einsums[0].renames.x: must be a string, not 3",
        ),
        (
            lambda d: einsum(d).update(renames=[{"name": "x", "sorce": "A"}]),
            "workload.einsums[0].renames[0]: unknown key 'sorce' (1 more problem",
        ),
        (lambda d: d.update(workload=None), "workload: must be a mapping, not nothing"),
    ],
)
def test_shape(change: Change, message: str) -> None:
    error = told(change)
    assert type(error) is SpecError
    assert str(error).startswith(message)


# Workload ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            lambda d: d["workload"].update(einsums=[]),
            SpecError,
            "workload.einsums: there is no Einsum",
        ),
        (
            lambda d: einsum(d, 1).update(name="e1"),
            SpecError,
            "workload.einsums[1]: two Einsums are named 'e1'",
        ),
        (
            lambda d: einsum(d)["tensor_accesses"].append(einsum(d)["tensor_accesses"][2]),
            SpecError,
            "workload.einsums[0].tensor_accesses[3]: Einsum 'e1' writes the tensor 'T' twice",
        ),
        (
            lambda d: einsum(d)["tensor_accesses"].pop(),
            SpecError,
            (
                "workload.einsums[0].tensor_accesses: Einsum 'e1' has no output. Fix: mark "
                "the tensor that it produces with output: true"
            ),
        ),
        (
            lambda d: einsum(d).update(is_copy_operation=True),
            SpecError,
            "workload.einsums[0]: Einsum 'e1' is a copy operation with 2 inputs",
        ),
        (
            lambda d: einsum(d)["tensor_accesses"][0].update(projection=["m", "M"]),
            SpecError,
            "workload.einsums[0].tensor_accesses[0].projection[1]: 'M' is not a rank variable",
        ),
        (
            lambda d: einsum(d)["tensor_accesses"][0].update(projection=["m", "p + r"]),
            SpecError,
            (
                "workload.einsums[0].tensor_accesses[0].projection[1]: 'p + r' is not a rank "
                "variable. Fix: list only names that start with a lowercase letter; for "
                "expressions give a mapping {RANK: expression}"
            ),
        ),
        (
            lambda d: einsum(d)["tensor_accesses"][0].update(projection=["m", "m"]),
            SpecError,
            "workload.einsums[0].tensor_accesses[0].projection[1]: the rank variable 'm' occurs",
        ),
        (
            lambda d: einsum(d)["tensor_accesses"][0].update(projection={"m": "m"}),
            SpecError,
            "workload.einsums[0].tensor_accesses[0].projection.m: 'm' is not a rank",
        ),
        (
            lambda d: einsum(d)["tensor_accesses"][0].update(projection={"M N": "m"}),
            SpecError,
            "workload.einsums[0].tensor_accesses[0].projection['M N']: 'M N' is not the name of a",
        ),
        (
            lambda d: einsum(d)["tensor_accesses"][0].update(projection={"M": "m", "K": "k * k"}),
            UnsupportedError,
            (
                "workload.einsums[0].tensor_accesses[0].projection.K: cannot read "
                "'k * k': k times k is not affine. Fix: write an affine expression"
            ),
        ),
        (
            lambda d: einsum(d)["tensor_accesses"][0].update(projection={"M": "m", "K": "k k"}),
            SpecError,
            "workload.einsums[0].tensor_accesses[0].projection.K: cannot read",
        ),
        (
            lambda d: einsum(d, 1)["tensor_accesses"][0].update(projection=["m", "k"]),
            SpecError,
            (
                "workload.einsums[1].tensor_accesses[0].projection: the tensor 'T' has the ranks "
                "M, K here and M, N in Einsum 'e1'"
            ),
        ),
        (
            lambda d: d["workload"].update(bits_per_value={"Inputs": 8}),
            SpecError,
            (
                "workload.einsums[0].tensor_accesses[2]: the tensor 'T' has no bits_per_value. "
                "Fix: add it to workload.bits_per_value, for example All: 8"
            ),
        ),
        (
            lambda d: d["workload"].update(bits_per_value={"Inputs": 8, "Outputs": 16}),
            SpecError,
            (
                "workload.einsums[1].tensor_accesses[0]: the tensor 'T' has 8 bits per value here "
                "and 16 in Einsum 'e1'"
            ),
        ),
        (
            lambda d: d["workload"].update(bits_per_value={"All": 8, "A": 16}),
            ExpressionError,
            "workload.bits_per_value, for Einsum 'e1': two keys name the tensor 'A': 'All' and 'A'",
        ),
        (
            lambda d: d["workload"].update(bits_per_value={"Al": 8}),
            ExpressionError,
            (
                "workload.bits_per_value.Al, for Einsum 'e1': cannot evaluate 'Al': 'Al' is not "
                "defined. Did you mean 'All'?"
            ),
        ),
        (
            lambda d: d["workload"].update(bits_per_value={"All": 0}),
            ExpressionError,
            (
                "workload.bits_per_value.All, for Einsum 'e1': bits_per_value of 'A' must be a "
                "finite number above zero, not 0"
            ),
        ),
        (
            lambda d: d["workload"]["rank_sizes"].pop("K"),
            SpecError,
            (
                "workload.einsums[0]: the rank variable 'k' of Einsum 'e1' has no bounds. Fix: "
                "add k: 0 <= k < SIZE to workload.iteration_space_shape, or K: SIZE to "
                "workload.rank_sizes"
            ),
        ),
        (
            lambda d: d["workload"]["rank_sizes"].update(K=-4),
            ExpressionError,
            "workload.rank_sizes.K: the size of rank 'K' must be a whole number above zero, not -4",
        ),
        (
            lambda d: d["workload"]["rank_sizes"].update(K="7/2"),
            ExpressionError,
            (
                "workload.rank_sizes.K: the size of rank 'K' must be a whole number above zero, "
                "not '7/2' (= 3.5)"
            ),
        ),
        (
            lambda d: d["workload"]["rank_sizes"].update(k=4),
            SpecError,
            "workload.rank_sizes.k: 'k' is not a rank, which starts with a capital",
        ),
        (
            lambda d: d["workload"].update(iteration_space_shape={"K": "0 <= k < 4"}),
            SpecError,
            "workload.iteration_space_shape.K: 'K' is not a rank variable",
        ),
        (
            lambda d: d["workload"].update(iteration_space_shape={"k": "0 <= k < kmax"}),
            SpecError,
            (
                "workload.iteration_space_shape.k: 'kmax' in '0 <= k < kmax' is neither a rank "
                "variable of Einsum 'e1' nor a variable that is a number"
            ),
        ),
        (
            lambda d: d["workload"].update(iteration_space_shape={"k": "k < 4 or k > 8"}),
            UnsupportedError,
            "workload.iteration_space_shape.k: cannot read 'k < 4 or k > 8': 'or' is not affine",
        ),
        (
            lambda d: einsum(d).update(iteration_space_shape=["0 < 0"]),
            SpecError,
            "workload.einsums[0]: the iteration space of Einsum 'e1' is empty",
        ),
        (
            lambda d: einsum(d).update(n_instances=0),
            ExpressionError,
            "workload.einsums[0].n_instances: the number of instances must be a finite number",
        ),
        (
            lambda d: d.update(
                renames={
                    "einsums": [
                        {
                            "name": "default",
                            "tensor_accesses": [
                                {"name": "input", "source": "Inputs", "expected_count": 1}
                            ],
                        }
                    ]
                }
            ),
            ExpressionError,
            (
                "renames.einsums[0].tensor_accesses[0], for Einsum 'e1': 'input' = 'Inputs' has 2 "
                "elements (A, B), but expected_count is 1"
            ),
        ),
        (
            lambda d: einsum(d).update(renames={"x": "3"}),
            ExpressionError,
            "workload.einsums[0].renames.x, for Einsum 'e1': '3' must be a set of tensors",
        ),
    ],
)
def test_workload(change: Change, kind: type[PolylatError], message: str) -> None:
    error = told(change)
    assert type(error) is kind
    assert str(error).startswith(message)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Z[m]", "an Einsum has exactly one '='"),
        ("Z[m] = A[m] = B[m]", "an Einsum has exactly one '='"),
        ("Z = A[m]", "the left side of '=' must be one tensor with its ranks in brackets"),
        ("Z[m] = A", "the right side of '=' must have at least one tensor"),
        ("Z[m] = A[m] * B]", "its brackets do not match"),
        ("Z[m] = A[]", "a rank of 'A' is empty"),
        ("Z[m] = A[m,]", "a rank of 'A' is empty"),
        ("Z[m] = A[M]", "'M' is not a rank variable"),
        ("Z[m] = A[2*m]", "'2*m' is not a rank variable"),
        ("Z[m] = A[k: m]", "'k:m' is not of the form RANK: expression"),
        ("Z[m] = A[K:]", "'K:' is not of the form RANK: expression"),
        ("Z[m] = A[m, M: k]", "the rank 'M' of 'A' is given twice"),
        ("Z[" + "m" * 20_000 + "] = A[m]", "it is too long"),
    ],
)
def test_einsums_as_text(text: str, why: str) -> None:
    error = told(lambda d: d["workload"]["einsums"].append(text))
    assert str(error).startswith("workload.einsums[2]: ")
    assert why in str(error)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"einsum": 3}, "workload.einsums[2].einsum: must be the text of an Einsum"),
        (
            {"einsum": "Z[m] = A[m]", "tensor_accesses": 3},
            "workload.einsums[2].tensor_accesses: must be a list",
        ),
        (
            {"einsum": "Z[m] = A[m]", "tensor_accesses": [3]},
            "workload.einsums[2].tensor_accesses[0]: must be a mapping with a name",
        ),
        (
            {"einsum": "Z[m] = A[m]", "tensor_accesses": [{"name": "B"}]},
            "workload.einsums[2].tensor_accesses[0]: tensor 'B' is not in the Einsum",
        ),
        (
            {"einsum": "Z[m] = A[m]", "tensor_accesses": [{"name": "A", "output": True}]},
            "workload.einsums[2].tensor_accesses[0].output: output is already given by the Einsum",
        ),
        (3, "workload.einsums[2]: must be a mapping, not 3"),
        ([[[[[[[[[[[[[]]]]]]]]]]]]], "workload.einsums[2]"),
    ],
)
def test_entries_with_texts(entry: Any, message: str) -> None:
    assert str(told(lambda d: d["workload"]["einsums"].append(entry))).startswith(message)


# Architecture ------------------------------------------------------------------------------------


def _array(*nodes: dict[str, Any]) -> dict[str, Any]:
    spatial = [{"name": "X", "fanout": 4}]
    return {"type": "Array", "name": "PEs", "nodes": list(nodes), "spatial": spatial}


def _network(**fields: Any) -> dict[str, Any]:
    actions = [{"name": "hop", "latency": 0, "throughput": 1}]
    return {"type": "Network", "name": "noc", "actions": actions, **fields}


def _spread(dim: str, fanout: int) -> dict[str, Any]:
    """A memory that is distributed over an Array."""
    actions = [{"name": name, "throughput": 1} for name in ("read", "write")]
    spatial = [{"name": dim, "fanout": fanout}]
    memory = {"type": "Memory", "name": "bank", "size": "inf"}
    return {**memory, "actions": actions, "spatial": spatial}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            lambda d: part(d, 4).update(name="DRAM"),
            SpecError,
            "arch.nodes[4]: two components are named 'DRAM'. Fix: rename one",
        ),
        (
            lambda d: part(d, 0)["actions"].append({"name": "read", "throughput": 1}),
            SpecError,
            "arch.nodes[0].actions[2]: 'DRAM' has two actions named 'read'",
        ),
        (
            lambda d: part(d, 3)["spatial"].append({"name": "X", "fanout": 2}),
            SpecError,
            "arch.nodes[3].spatial[1]: 'PE' has two spatial dimensions named 'X'",
        ),
        (
            lambda d: d["arch"].update(nodes=[]),
            SpecError,
            "arch.nodes: the architecture has no components",
        ),
        (
            lambda d: d["arch"]["nodes"].insert(1, _network(topology="torus")),
            SpecError,
            (
                "arch.nodes[1].topology, for Einsum 'e1': 'torus' is not a topology. Fix: use one "
                "of: mesh, all_to_all"
            ),
        ),
        (
            lambda d: d["arch"]["nodes"].insert(1, _network(actions=[])),
            SpecError,
            (
                "arch.nodes[1].actions, for Einsum 'e1': the action 'hop' of 'noc' has no latency. "
                "Fix: give both, such as {name: hop, latency: 0, throughput: inf}"
            ),
        ),
        (
            lambda d: d["arch"]["nodes"].insert(
                1, _network(actions=[{"name": "hop", "latency": 1}])
            ),
            SpecError,
            (
                "arch.nodes[1].actions[0], for Einsum 'e1': the action 'hop' of 'noc' has no "
                "throughput beside its latency. Fix: give both"
            ),
        ),
        (
            lambda d: d["arch"]["nodes"].insert(1, _network(total_latency="max_hops + 1")),
            UnsupportedError,
            (
                "arch.nodes[1].total_latency, for Einsum 'e1': the total_latency of the Network "
                "'noc' has a constant. Fix: write it with max_hops and max_link_traffic only"
            ),
        ),
        (
            lambda d: d["arch"]["nodes"].insert(
                1, _network(total_latency="max_hops * max_link_traffic")
            ),
            UnsupportedError,
            (
                "arch.nodes[1].total_latency, for Einsum 'e1': the total_latency of 'noc' is not a "
                "maximum of sums"
            ),
        ),
        (
            lambda d: d["arch"]["nodes"].insert(
                1, _network(total_latency="sum(a.n_calls for a in actions)")
            ),
            ExpressionError,
            "arch.nodes[1].total_latency, for Einsum 'e1': ",
        ),
        (
            lambda d: d["arch"]["nodes"].insert(1, _network(separate_read_write_ports=True)),
            SpecError,
            (
                "arch.nodes[1].separate_read_write_ports, for Einsum 'e1': the Network 'noc' has "
                "no reads and writes to separate"
            ),
        ),
        (
            lambda d: part(d, 0)["actions"][1].pop("throughput"),
            SpecError,
            (
                "arch.nodes[0].actions[1], for Einsum 'e1': the action 'write' of 'DRAM' has no "
                "throughput. Fix: add {name: write, throughput: …} to its actions, or give it as "
                "schedule: throughput: {DRAM: {write: …}}; inf if it takes no time."
            ),
        ),
        (
            lambda d: part(d, 0).update(actions=[], component_class="LPDDR4"),
            SpecError,
            (
                "arch.nodes[0].actions, for Einsum 'e1': the action 'read' of 'DRAM' has no "
                "throughput (AccelForge would query its component model 'LPDDR4', with the "
                "package hwcomponents). Fix: add {name: read, throughput: …} to its actions, or "
                "give it as schedule: throughput: {DRAM: {read: …}}; inf if it takes no time."
            ),
        ),
        (
            lambda d: part(d, 0)["actions"][0].update(throughput=0),
            ExpressionError,
            (
                "arch.nodes[0].actions[0].throughput, for Einsum 'e1': the throughput of 'read' "
                "must be above zero, not 0"
            ),
        ),
        (
            lambda d: part(d, 0)["actions"][0].update(throughput=None, latency="inf"),
            ExpressionError,
            "arch.nodes[0].actions[0].latency, for Einsum 'e1': the throughput of 'read' must be",
        ),
        (
            lambda d: part(d, 0)["actions"][0].update(throughput=None, latency=-1),
            ExpressionError,
            "arch.nodes[0].actions[0].latency, for Einsum 'e1': the latency is negative: -1",
        ),
        (
            lambda d: part(d, 0).update(throughput_scale=-1),
            ExpressionError,
            "arch.nodes[0].throughput_scale, for Einsum 'e1': throughput_scale must be above zero",
        ),
        (
            lambda d: part(d, 0).update(throughput_scale=1, latency_scale=1),
            SpecError,
            (
                "arch.nodes[0], for Einsum 'e1': throughput_scale and latency_scale of 'DRAM' are "
                "both given"
            ),
        ),
        (
            lambda d: part(d, 0).update(n_parallel_instances=0),
            ExpressionError,
            "arch.nodes[0].n_parallel_instances, for Einsum 'e1': n_parallel_instances must be",
        ),
        (
            lambda d: part(d, 0).update(actions_scale=0),
            ExpressionError,
            "arch.nodes[0].actions_scale, for Einsum 'e1': actions_scale must be a finite number",
        ),
        (
            lambda d: part(d, 0).update(size=-1),
            ExpressionError,
            "arch.nodes[0].size, for Einsum 'e1': the size is negative: -1",
        ),
        (
            lambda d: part(d, 0).update(size="size"),
            ExpressionError,
            "arch.nodes[0].size, for Einsum 'e1': cannot evaluate 'size': 'size' is not defined",
        ),
        (
            lambda d: part(d, 0).update(size="actions_scale", actions_scale="size"),
            ExpressionError,
            (
                "arch.nodes[0].size, for Einsum 'e1': cannot evaluate 'actions_scale': "
                "it depends on its own value: size → actions_scale → size"
            ),
        ),
        (
            lambda d: part(d, 0).update(values_per_action={"All": 0}),
            ExpressionError,
            "arch.nodes[0].values_per_action.All, for Einsum 'e1': values_per_action must be above",
        ),
        (
            lambda d: part(d, 0).update(bits_per_action="0"),
            ExpressionError,
            "arch.nodes[0].bits_per_action, for Einsum 'e1': bits_per_action must be above zero",
        ),
        (
            lambda d: part(d, 0).update(bits_per_value={"All": -1}),
            ExpressionError,
            "arch.nodes[0].bits_per_value.All, for Einsum 'e1': bits_per_value of 'A' must be",
        ),
        (
            lambda d: part(d, 3)["spatial"][0].update(fanout="1/2"),
            ExpressionError,
            "arch.nodes[3].spatial[0].fanout, for Einsum 'e1': the fanout of 'X' must be a whole",
        ),
        (
            lambda d: part(d, 3)["spatial"][0].update(may_reuse="~DRAM"),
            ExpressionError,
            (
                "arch.nodes[3].spatial[0].may_reuse, for Einsum 'e1': cannot evaluate '~DRAM': "
                "cannot compute ~ of the component 'DRAM'"
            ),
        ),
        (
            lambda d: part(d, 3)["spatial"][0].update(reuse="DRAM"),
            ExpressionError,
            (
                "arch.nodes[3].spatial[0].reuse, for Einsum 'e1': 'DRAM' (= the component 'DRAM') "
                "must be a set of tensors"
            ),
        ),
        (
            lambda d: part(d, 1).update(direction="sideways"),
            SpecError,
            "arch.nodes[1].direction, for Einsum 'e1': 'sideways' is not a direction",
        ),
        (
            lambda d: part(d, 1).update(direction={"Inputs": "up"}),
            SpecError,
            "arch.nodes[1].direction, for Einsum 'e1': no direction is given for T",
        ),
        (
            lambda d: part(d, 0).update(total_latency="inf"),
            ExpressionError,
            "arch.nodes[0].total_latency, for Einsum 'e1': 'inf' must be a finite time, not inf",
        ),
        (
            lambda d: part(d, 0).update(total_latency="actions"),
            ExpressionError,
            "arch.nodes[0].total_latency, for Einsum 'e1': 'actions' must be a finite time, not",
        ),
        (
            lambda d: part(d, 0).update(total_latency="actions['refresh'].n_calls"),
            ExpressionError,
            "arch.nodes[0].total_latency, for Einsum 'e1': cannot evaluate",
        ),
        (
            lambda d: part(d, 0).update(total_latency="max_hops"),
            ExpressionError,
            "arch.nodes[0].total_latency, for Einsum 'e1': cannot evaluate 'max_hops'",
        ),
        (
            lambda d: part(d, 0).update(total_latency=3, separate_read_write_ports=True),
            SpecError,
            (
                "arch.nodes[0].total_latency, for Einsum 'e1': total_latency and "
                "separate_read_write_ports are both given"
            ),
        ),
        (
            lambda d: d["arch"]["nodes"].insert(0, _array({"type": "Fork", "nodes": []})),
            SpecError,
            "arch.nodes[0].nodes[0]: an Array may contain components only",
        ),
        (
            lambda d: d["arch"]["nodes"].insert(0, _array({"type": "Compute", "name": "c"})),
            SpecError,
            "arch.nodes[0].nodes[0]: the Compute 'c' is inside an Array",
        ),
        (
            lambda d: d["arch"]["nodes"].insert(
                0,
                _array({"type": "Container", "name": "c", "spatial": [{"name": "X", "fanout": 2}]}),
            ),
            SpecError,
            (
                "arch.nodes[0].nodes[0].spatial, for Einsum 'e1': 'c' cannot be distributed over "
                "an Array"
            ),
        ),
        (
            lambda d: d["arch"]["nodes"].insert(0, _array(_spread("Z", 2))),
            SpecError,
            (
                "arch.nodes[0].nodes[0].spatial[0], for Einsum 'e1': 'bank' is distributed along "
                "'Z', which is no dimension of its Array"
            ),
        ),
        (
            lambda d: d["arch"]["nodes"].insert(0, _array(_spread("X", 8))),
            SpecError,
            (
                "arch.nodes[0].nodes[0].spatial[0].fanout, for Einsum 'e1': 'bank' has 8 instances "
                "along 'X', where its Array has 4 units. Fix: use at most 4"
            ),
        ),
    ],
)
def test_arch(change: Change, kind: type[PolylatError], message: str) -> None:
    error = told(change)
    assert str(error).startswith(message)
    assert type(error) is kind


# Mapping -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            lambda d: node(d, 2, 0, 3).update(einsum="e3"),
            MappingError,
            (
                "mapping.nodes[2].nodes[0].nodes[3].einsum: the workload has no Einsum 'e3'. "
                "Fix: use one of: e1, e2"
            ),
        ),
        (
            lambda d: node(d, 2, 0, 3).update(component="mca"),
            MappingError,
            (
                "mapping.nodes[2].nodes[0].nodes[3].component: the architecture has no component "
                "'mca'. Did you mean 'mac'?"
            ),
        ),
        (
            lambda d: node(d, 2, 0, 3).update(component="DRAM"),
            MappingError,
            (
                "mapping.nodes[2].nodes[0].nodes[3].component: a Compute node names 'DRAM', which "
                "is a Memory. Fix: name a Compute"
            ),
        ),
        (
            lambda d: node(d, 2, 1, 2).update(einsum="e1"),
            MappingError,
            (
                "mapping.nodes[2].nodes[1].nodes[2]: the Einsum 'e1' is computed twice. Fix: "
                "keep one Compute node for it; the other is at "
                "mapping.nodes[2].nodes[0].nodes[3]"
            ),
        ),
        (
            lambda d: node(d, 0)["tensors"].append("W"),
            MappingError,
            "mapping.nodes[0].tensors[5]: the workload has no tensor 'W'",
        ),
        (
            lambda d: node(d, 0)["tensors"].append("A"),
            MappingError,
            "mapping.nodes[0].tensors[5]: the tensor 'A' is listed twice",
        ),
        (
            lambda d: node(d, 0).update(component="Link"),
            MappingError,
            (
                "mapping.nodes[0].component: a Storage node names 'Link', which is a Toll. "
                "Fix: write a Toll node"
            ),
        ),
        (
            lambda d: node(d, 0).update(type="Toll"),
            MappingError,
            (
                "mapping.nodes[0].component: a Toll node names 'DRAM', which is a Memory. "
                "Fix: write a Storage node"
            ),
        ),
        (
            lambda d: node(d, 0).update(component="PE"),
            MappingError,
            (
                "mapping.nodes[0].component: a Storage node names 'PE', which is a Container. "
                "Fix: name a Memory"
            ),
        ),
        (
            lambda d: node(d, 0).update(component="mac"),
            MappingError,
            (
                "mapping.nodes[0].component: a Storage node names 'mac', which is a Compute. "
                "Fix: name a Memory"
            ),
        ),
        (
            lambda d: node(d, 1).update(rank_variable="q"),
            MappingError,
            "mapping.nodes[1].rank_variable: no Einsum has the rank variable 'q'",
        ),
        (
            lambda d: node(d, 1).update(rank_variable="k"),
            MappingError,
            "mapping.nodes[1]: the loop over 'k' is above 'e2', which does not have this rank",
        ),
        (
            lambda d: node(d, 1).update(rank_variable=["m", "n"]),
            UnsupportedError,
            "mapping.nodes[1].rank_variable: the loop is ambiguous: 'e1' has several of its rank",
        ),
        (
            lambda d: node(d, 1).update(tile_shape=0),
            ExpressionError,
            "mapping.nodes[1].tile_shape: the tile shape must be a whole number above zero, not 0",
        ),
        (
            lambda d: node(d, 1).update(tile_shape="symbol"),
            ExpressionError,
            "mapping.nodes[1].tile_shape: cannot evaluate 'symbol': 'symbol' is not defined",
        ),
        (
            lambda d: node(d, 1).pop("tile_shape"),
            SpecError,
            "mapping.nodes[1]: the key 'tile_shape' is missing",
        ),
        (
            lambda d: d["mapping"]["nodes"].append(node(d, 1)),
            MappingError,
            (
                "mapping.nodes[3]: there are nodes below a Sequential, in the same list. Fix: "
                "move them into its branches"
            ),
        ),
        (
            lambda d: node(d, 2, 0)["nodes"].append(node(d, 2, 0, 1)),
            MappingError,
            (
                "mapping.nodes[2].nodes[0].nodes[4]: there are nodes below a Compute, in the same "
                "list. Fix: move them above the Compute"
            ),
        ),
        (
            lambda d: node(d, 2, 0)["nodes"].pop(),
            MappingError,
            (
                "mapping.nodes[2].nodes[0]: the branch does not end in a Compute, a Sequential or "
                "a Pipeline. Fix: add a Compute node at its end"
            ),
        ),
        (
            lambda d: node(d, 2).update(nodes=[]),
            MappingError,
            "mapping.nodes[2]: the Sequential has no branches",
        ),
        (
            lambda d: node(d, 2).update(type="Split"),
            UnsupportedError,
            (
                "mapping.nodes[2]: a Split does not say how its branches are scheduled. Fix: "
                "write Sequential or Pipeline"
            ),
        ),
        (
            lambda d: d["mapping"].update(nodes=[]),
            MappingError,
            "mapping: the branch does not end in a Compute",
        ),
        (
            lambda d: node(d, 2, 0, 0).update(component="DRAM"),
            MappingError,
            "mapping.nodes[2].nodes[0].nodes[0]: 'DRAM' holds 'A' twice on the way to 'e1'",
        ),
        (
            lambda d: (
                node(d, 0).update(component="SRAM") or node(d, 2, 0, 0).update(component="DRAM")
            ),
            MappingError,
            (
                "mapping.nodes[2].nodes[0].nodes[0]: 'DRAM' holds 'A' below 'SRAM', which is "
                "closer to the compute"
            ),
        ),
        (
            lambda d: node(d, 2, 0, 3).update(component="side"),
            MappingError,
            (
                "mapping.nodes[2].nodes[0].nodes[0]: 'SRAM' is not on the way to 'side', where "
                "'e1' is computed, and cannot hold 'A' for it"
            ),
        ),
        (
            lambda d: node(d, 0)["tensors"].remove("C"),
            MappingError,
            "mapping.nodes[2].nodes[1].nodes[2]: nothing holds 'C' above 'e2'",
        ),
        (
            lambda d: (
                d["mapping"]["nodes"].insert(
                    0, {"type": "Toll", "component": "Link", "tensors": ["T"]}
                )
                or node(d, 1)["tensors"].remove("T")
            ),
            MappingError,
            (
                "mapping.nodes[0]: the Toll 'Link' is the outermost holder of 'T', which "
                "several Einsums access"
            ),
        ),
        (
            lambda d: node(d, 1).update(type="Spatial", name="Y", component="PE"),
            MappingError,
            "mapping.nodes[1]: 'PE' has no spatial dimension 'Y'. Fix: use one of: X",
        ),
        (
            lambda d: node(d, 1).update(type="Spatial", name="X", component="PES"),
            MappingError,
            "mapping.nodes[1].component: the architecture has no component 'PES'",
        ),
        (
            lambda d: (
                node(d, 1).update(type="Spatial", name="X", component="PE"),
                node(d, 2, 1, 2).update(component="side"),
            ),
            MappingError,
            "mapping.nodes[1]: 'PE' is not on the way to 'side', where 'e2' is computed",
        ),
    ],
)
def test_mapping(change: Change, kind: type[PolylatError], message: str) -> None:
    error = told(change)
    assert str(error).startswith(message)
    assert type(error) is kind


# Options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"granularty": "tile"},
            "schedule: there is no option 'granularty'. Did you mean 'granularity'?",
        ),
        (
            {"granularity": "fine"},
            "schedule.granularity: granularity must be one of auto, tile, flow, full, not 'fine'",
        ),
        ({"order": 3}, "schedule.order: order must be one of best, program, skew, oldest, not 3"),
        (
            {"background": ["T2"]},
            (
                "schedule.background: background names the tensor 'T2', which does not exist. "
                "Did you mean 'T'?"
            ),
        ),
        (
            {"background": "T@SRAN"},
            (
                "schedule.background: background names the component 'SRAN', which does not exist. "
                "Did you mean 'SRAM'?"
            ),
        ),
        ({"background": 3}, "schedule.background: background must be a list of write-backs, not 3"),
        (
            {"background": "T@"},
            "schedule.background: background names the component '', which does not exist.",
        ),
        ({"slots": 10**13}, "schedule.slots: slots must be at most 1000000000000. Fix: for"),
        (
            {"background": [["T", "SRAM", "x"]]},
            (
                "schedule.background: background: ['T', 'SRAM', 'x'] is not a write-back. Fix: "
                'write "tensor"'
            ),
        ),
        ({"background": [{"tensor": "T", "form": 1}]}, "schedule.background: background: {"),
        ({"slots": 0}, "schedule.slots: slots must be a whole number above zero, not 0"),
        ({"slots": True}, "schedule.slots: slots must be a whole number above zero, not True"),
        ({"slots": {"T": 1.5}}, "schedule.slots: slots of 'T' must be a whole number above zero"),
        ({"slots": {"Q": 1}}, "schedule.slots: slots names the tensor 'Q', which does not exist"),
        ({"max_tiles": -1}, "schedule.max_tiles: max_tiles must be a whole number above zero"),
        (
            {"enforce_capacity": 1},
            "schedule.enforce_capacity: enforce_capacity must be true or false, not 1",
        ),
    ],
)
def test_options_in_the_input(options: dict[str, Any], message: str) -> None:
    error = told(lambda d: d.update(schedule=options))
    assert type(error) is OptionError
    assert str(error).startswith(message)


def test_options_as_arguments() -> None:
    tensors, components = ("T", "Z"), ("DRAM", "SRAM")
    assert normalize_granularity("tile") == "tile"
    assert normalize_order("best") == "best"
    assert normalize_max_tiles(5) == 5
    assert normalize_enforce_capacity(False) is False
    assert normalize_background(None, tensors, components) == ()
    assert normalize_background([], tensors, components) == ()
    pair = (("T", "SRAM"),)
    for value in ("T@SRAM", ["T@SRAM"], ("T", "SRAM"), ["T", "SRAM"], [("T", "SRAM")]):
        assert normalize_background(value, tensors, components) == pair
    assert normalize_background({"tensor": "T", "component": "SRAM"}, tensors, components) == pair
    assert normalize_background(["T", "Z"], tensors, components) == (("T", None), ("Z", None))
    assert normalize_background(("T", None), tensors, components) == (("T", None),)
    assert normalize_background(["T", "T"], tensors, components) == (("T", None),)
    assert normalize_background({"T"}, tensors, components) == (("T", None),)
    assert normalize_slots(None, tensors, components) is None
    assert normalize_slots(float("inf"), tensors, components) is None
    given = {"T": "unlimited", "Z": 2, "Z@SRAM": 3}
    assert normalize_slots(given, tensors, components) == {"T": None, "Z": 2, "Z@SRAM": 3}
    with pytest.raises(OptionError, match="slots must be given by names of tensors, not 3"):
        normalize_slots({3: 4}, tensors, components)
    with pytest.raises(OptionError, match=r"^granularity must be one of"):
        normalize_granularity("x" * 10_000)


# Anything ----------------------------------------------------------------------------------------

FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TEXTS = {path: path.read_text(encoding="utf-8") for path in CASES}
FRAGMENTS = st.sampled_from(
    ["{{", "}}", "{% for i in range(3) %}", "&a ", "*a", "<<: *a", "!Memory", "!Foo ", "- ", "\t"]
    + ['"', "'", "[", "]", "{", "}", "|", ": ", "#", "\x00", "é", "9" * 30, "1e400", ".nan", "-1"]
    + ["0", "inf", "~", "null", "? ", "---\n", "%YAML 1.1\n", "__import__('os')", "9**9**9"]
    + ["!include /etc/passwd", "!include_loaded x", "1:30", "0x", "yes", "\\", "\n", "  "]
)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [[], {}, -1, 0, 10**5000, "nan", "inf", "A" * 5000, "All", "~All", "max()", "a.n_calls"]
        + ["(" * 300, "-" * 3000 + "1", "0 <= m < n", "m >= 0 or m < 0", "2m", "().__class__"]
        + [[[]], [None], {"a": {"a": {}}}, {"type": "Memory"}, {"type": []}, "1/0", "Other"]
        + ["DRAM", "DRAM.size", "variables", "*", "Z[m] = A[m]", "range(10**9)", "1e999999999"]
        + ["min(a.n_calls for a in actions)", "[x for x in range(9999) for y in range(9999)]"]
        + [b"x", object(), (1, 2), {1: 2}, set(), "factorial(100000)", "9**9**9", "x" * 200_000]
    ),
)


def survives(read: Callable[[], Spec]) -> None:
    """The result is a `Spec`, or a `PolylatError` with a message; and it does not take long."""
    start = time.monotonic()
    try:
        assert isinstance(read(), Spec)
    except PolylatError as error:
        assert 0 < len(str(error)) < 3000
        assert error.what
    assert time.monotonic() - start < 30


@FUZZ
@given(data=st.data())
def test_any_edit_of_the_text(data: st.DataObject, tmp_path: Path) -> None:
    text = TEXTS[data.draw(st.sampled_from(CASES))]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = min(len(text), start + data.draw(st.sampled_from([0, 0, 1, 3, 10, 40, 200])))
        other = data.draw(st.integers(0, len(text)))
        text = data.draw(
            st.sampled_from(
                [
                    text[:start] + text[stop:],
                    text[:start] + data.draw(FRAGMENTS) + text[stop:],
                    text[:start] + text[start:stop] * 2 + text[stop:],
                    text[:other] + text[start:stop] + text[other:],
                ]
            )
        )
    path = tmp_path / "case.yaml"
    path.write_text(text, encoding="utf-8")
    survives(lambda: load(path))


@FUZZ
@given(raw=st.binary(max_size=200), case=st.sampled_from(CASES), place=st.integers(0, 2000))
def test_any_bytes(raw: bytes, case: Path, place: int, tmp_path: Path) -> None:
    text = TEXTS[case].encode()
    path = tmp_path / "case.yaml"
    path.write_bytes(text[:place] + raw + text[place:])
    survives(lambda: load(path))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


TREES = {path: _plain(parse(text)) for path, text in TEXTS.items()} | {Path("chain"): chain()}
KEYS = st.sampled_from(
    ["size", "actions", "total_latency", "values_per_action", "bits_per_value", "direction", "foo"]
    + ["tile_shape", "type", "name", "spatial", "throughput", "latency", "renames", "projection"]
    + ["schedule", "variables", "rank_sizes", "n_instances", "nodes", "may_reuse", "All", "einsums"]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from _places(inner, (*path, key))


@FUZZ
@given(st.data())
def test_any_change_of_the_data(data: st.DataObject) -> None:
    tree = copy.deepcopy(TREES[data.draw(st.sampled_from(list(TREES)))])
    for _ in range(data.draw(st.integers(1, 2))):
        places = list(_places(tree))
        *path, key = data.draw(st.sampled_from(places))
        inside = tree
        for step in path:
            inside = inside[step]
        action = data.draw(st.sampled_from(["replace", "delete", "move", "add"]))
        if action == "replace":
            inside[key] = data.draw(JUNK)
        elif action == "delete":
            del inside[key]
        elif action == "move":
            found = tree
            for step in data.draw(st.sampled_from(places)):
                found = found[step] if isinstance(found, (dict, list)) else found
            inside[key] = copy.deepcopy(found)
        elif isinstance(inside, dict):
            inside[data.draw(KEYS)] = data.draw(JUNK)
        else:
            inside.append(data.draw(JUNK))
        if not tree:
            break
    survives(lambda: Spec.from_dict(tree))


def kinds(base: type[PolylatError]) -> list[type[PolylatError]]:
    """All kinds of errors of a kind."""
    return [base, *(kind for inner in base.__subclasses__() for kind in kinds(inner))]


@pytest.mark.parametrize("kind", kinds(PolylatError), ids=lambda kind: kind.__name__)
def test_errors_pass_between_processes(kind: type[PolylatError]) -> None:
    for error in (kind("it is wrong", where="arch", fix="mend it"), kind("it is wrong")):
        found = pickle.loads(pickle.dumps(error))
        assert type(found) is kind
        assert (found.what, found.where, found.fix) == (error.what, error.where, error.fix)
        assert str(found) == str(error)
