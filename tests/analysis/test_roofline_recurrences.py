"""AccelForge's prices of recurrences: those of Einsums with a tensor for each read of a state."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

import polylat
from builders import Data, compute, leaf, loop, memory, nested, spec, storage
from networked import spatial_loops
from polylat.analysis.access import AccessKey
from polylat.analysis.roofline import Roofline, roofline
from polylat.spec import Spec

SIZES = {"t": 6, "d": 4}
STEP = "h[t+1, d] = a[t, d] * h[t, d]"
ARCH = [
    memory("DRAM", 2, 1, size="inf"),
    memory("SRAM", 4, 3, size="inf"),
    memory("RF", 8, 5, size="inf"),
    compute("mac", "1/3"),
]


def machine(einsums: list[str], nodes: list[Data], arch: list[Data] = ARCH) -> Data:
    """An input with Einsums given as text."""
    data = spec(SIZES, [], arch, nodes)
    data["workload"]["einsums"] = list(einsums)
    return data


def renamed(data: Data, state: str = "h") -> Data:
    """The same input, in which every read of the state is of a tensor of its own."""
    data = copy.deepcopy(data)
    number = 0
    texts = []
    for text in data["workload"]["einsums"]:
        left, right = text.split("=", 1)
        parts = re.split(rf"\b{state}\[", right)
        for k in range(1, len(parts)):
            parts[k] = f"{state}{number}[" + parts[k]
            number += 1
        texts.append(f"{left}={''.join(parts)}")
    data["workload"]["einsums"] = texts
    names = [f"{state}{k}" for k in range(number)]

    def hold(nodes: list[Data]) -> None:
        for node in nodes:
            hold(node.get("nodes", []))
            if state in node.get("tensors", ()):
                node["tensors"] = [*names, *node["tensors"]]

    hold(data["mapping"]["nodes"])
    for component in data["arch"]["nodes"]:
        for dim in component.get("spatial", ()):
            if state in dim.get("may_reuse", ()):
                dim["may_reuse"] = " | ".join([state, *names])
    return data


def joined(counts: Any, state: str = "h") -> dict[AccessKey, Any]:
    """Numbers of actions of a renamed input under the name of the state."""
    found: dict[AccessKey, Any] = {}
    for (einsum, component, tensor, action), number in counts.items():
        name = state if tensor is not None and tensor.rstrip("0123456789") == state else tensor
        key = einsum, component, name, action
        found[key] = found.get(key, 0) + number
    return found


def check_equal(ours: Roofline, other: Roofline) -> None:
    assert ours.latency == other.latency > 0
    assert ours.per_einsum == other.per_einsum
    assert ours.accesses == joined(other.accesses)
    assert ours.totals == joined(other.totals)


HOLDERS = {
    "no tiles": [storage("DRAM", "a", "h"), loop("t"), loop("d")],
    "above the loop": [storage("DRAM", "a", "h"), storage("RF", "h"), loop("t"), loop("d")],
    "below the loop": [storage("DRAM", "a", "h"), loop("t"), storage("RF", "h"), loop("d")],
    "between": [
        storage("DRAM", "a", "h"),
        loop("t", 3),
        storage("SRAM", "h", "a"),
        loop("d", 2),
        storage("RF", "a", "h"),
        loop("t"),
        loop("d"),
    ],
}


@pytest.mark.parametrize("nodes", HOLDERS.values(), ids=HOLDERS)
@pytest.mark.parametrize(
    "text",
    [
        STEP,
        "h[t, d] = a[t, d] * h[t-1, d]",
        "h[t+1, d] = a[t, d] * h[t, d] * h[T: 0, d]",
        "h[T: t+2, d] = a[t, d] * h[t, d] * h[t+1, d]",
    ],
)
def test_a_state_is_priced_as_two_tensors(text: str, nodes: list[Data]) -> None:
    data = machine([text], [*nodes, leaf("h")])
    check_equal(roofline(Spec.from_dict(data)), roofline(Spec.from_dict(renamed(data))))


def test_by_hand() -> None:
    """24 operations, each of which reads a and h and writes h: 48 reads at 2, 24 writes at 1."""
    figures = roofline(Spec.from_dict(machine(["h[t, d] = a[t, d] * h[T: 0, d]"], UNTILED)))
    assert figures.accesses["h", "DRAM", "h", "read"] == 24
    assert figures.accesses["h", "DRAM", "h", "write"] == 24
    assert figures.per_einsum["h"] == {"DRAM": 48 // 2 + 24, "mac": 3 * 24}


UNTILED = [*HOLDERS["no tiles"], leaf("h")]


def test_an_array_that_shares_values() -> None:
    """What a Spatial loop over d shares of h[T: 0, D: 0], it does not of h[t, d]."""
    arch: list[Data] = copy.deepcopy(ARCH)
    arch[2]["spatial"] = [{"name": "X", "fanout": 4, "may_reuse": "h"}]
    row = {"type": "Spatial", "rank_variable": "d", "tile_shape": 1, "name": "X", "component": "RF"}
    nodes = [storage("DRAM", "a", "h"), loop("t"), row, storage("RF", "a", "h"), leaf("h")]
    data = machine(["h[t+1, d] = a[t, d] * h[t, d] * h[T: 0, D: 0]"], nodes, arch)
    assert spatial_loops(data["mapping"]["nodes"])
    check_equal(roofline(Spec.from_dict(data)), roofline(Spec.from_dict(renamed(data))))


@pytest.mark.parametrize("topology", ["mesh", "all_to_all"])
def test_networks(topology: str) -> None:
    hop = {"name": "hop", "throughput": 3, "latency": 1}
    noc = {"type": "Network", "name": "noc", "topology": topology, "actions": [hop]}
    dim = {"name": "X", "fanout": 4, "may_reuse": "All"}
    units = {"type": "Container", "name": "PEs", "spatial": [dim]}
    row = {"type": "Spatial", "rank_variable": "d", "tile_shape": 1, "name": "X"}
    nodes = [storage("DRAM", "a", "h"), loop("t"), row | {"component": "PEs"}, leaf("h")]
    data = machine(
        ["h[t+1, d] = a[t, d] * h[t, d] * h[T: 0, D: 0]"], nodes, [ARCH[0], noc, units, ARCH[3]]
    )
    figures = roofline(Spec.from_dict(data))
    assert figures.accesses["h", "noc", "h", "hop"] > 0
    check_equal(figures, roofline(Spec.from_dict(renamed(data))))


@pytest.mark.parametrize("accounting", ["1.0", "main"])
def test_a_copy_of_a_state(accounting: str) -> None:
    nodes = [storage("DRAM", "h"), loop("t", 2), storage("SRAM", "h"), loop("t"), loop("d")]
    data = machine(["h[t+1, d] = identity(h[t, d])"], [*nodes, leaf("h")])
    ours = roofline(Spec.from_dict(data), accounting=accounting)
    other = roofline(Spec.from_dict(renamed(data)), accounting=accounting)
    assert (ours.latency, ours.per_einsum) == (other.latency, other.per_einsum)
    assert ours.accesses == joined(other.accesses)


def test_einsums_that_read_what_a_later_one_computes() -> None:
    """The reader stands before the producer; other Einsums read the same state."""
    stages = [nested(loop("d"), leaf("g")), nested(loop("d"), leaf("h"))]
    nodes = [
        storage("DRAM", "a", "b", "g", "h"),
        loop("t"),
        storage("SRAM", "g", "h"),
        {"type": "Sequential", "nodes": stages},
    ]
    data = machine(["g[t, d] = a[t, d] * h[t, d]", "h[t+1, d] = b[t, d] * g[t, d]"], nodes)
    spec_ = Spec.from_dict(data)
    check_equal(roofline(spec_), roofline(Spec.from_dict(renamed(data))))
    assert polylat.roofline(spec_.with_pipelines()) == polylat.roofline(spec_)
