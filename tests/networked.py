"""Hypothesis strategies: random cascades with Networks, and with memories spread over an Array."""

from __future__ import annotations

import copy

from hypothesis import strategies as st

from strategies import (
    Data,
    Draw,
    architectures,
    chances,
    machines,
    mappings,
    tensor_names,
    throughputs,
    workloads,
)
from strategies import options as drawn_options


def has_units(arch: Data) -> bool:
    """Whether some component has several units."""
    return any("spatial" in node for node in arch["nodes"])


def spatial_loops(nodes: list[Data]) -> list[Data]:
    """All Spatial loops of a mapping."""
    found = []
    for node in nodes:
        if node["type"] == "Spatial":
            found.append(node)
        found += spatial_loops(node.get("nodes", []))
    return found


@st.composite
def networks(draw: Draw, name: str, tensors: list[str]) -> Data:
    """A Network: a mesh, or a switch."""
    latency = draw(st.sampled_from((0, 1, 3, "1/2")))
    hop = {"name": "hop", "latency": latency, "throughput": draw(throughputs())}
    made: Data = {"type": "Network", "name": name, "actions": [hop]}
    if draw(chances(4)):
        made["topology"] = draw(st.sampled_from(("all_to_all", "mesh")))
    if draw(chances(2)):
        made["bits_per_action"] = draw(st.sampled_from((2, 4)))
    if draw(chances(2)):
        made["bits_per_value"] = {draw(st.sampled_from(tensors)): draw(st.sampled_from((3, 4)))}
    return made


def with_two_dimensions(draw: Draw, nodes: list[Data], loops: list[Data]) -> None:
    """Let some Spatial loops run along a second dimension of their component."""
    for node in nodes:
        mine = [loop for loop in loops if loop["component"] == node["name"]]
        if "spatial" in node and mine and draw(st.booleans()):
            node["spatial"] = [*node["spatial"], {**node["spatial"][0], "name": "Y"}]
            for loop in mine:
                loop["name"] = draw(st.sampled_from(("X", "Y")))


def with_strides(draw: Draw, nodes: list[Data], components: list[Data]) -> None:
    """Let some Spatial loops be two, the outer one with a stride."""
    for place in range(len(nodes) - 1, -1, -1):
        node = nodes[place]
        with_strides(draw, node.get("nodes", []), components)
        if node["type"] == "Spatial" and draw(chances(4)):
            nodes.insert(place, {**node, "tile_shape": 2 * node["tile_shape"]})
            for component in components:
                if component["name"] == node["component"]:
                    for dim in component["spatial"]:
                        dim["fanout"] = max(dim["fanout"], 6)


def spread_over_array(draw: Draw, nodes: list[Data], loops: list[Data]) -> list[Data]:
    """Put the memory above an array of units into an Array, over which it may be distributed."""
    at = next((i for i, node in enumerate(nodes) if "spatial" in node), 0)
    if at < 2 or nodes[at - 1]["type"] != "Memory" or draw(chances(3)):
        return nodes
    memory, below = nodes[at - 1], nodes[at]
    physical = []
    for dim in below["spatial"]:
        shares = [n for n in range(dim["fanout"], 0, -1) if dim["fanout"] % n == 0]
        if draw(chances(8)):
            physical.append({"name": dim["name"], "fanout": draw(st.sampled_from(shares))})
    array: Data = {"type": "Array", "name": "PEs", "spatial": below["spatial"]}
    array["nodes"] = [{**memory, "spatial": physical}]
    for loop in loops:
        if loop["component"] == below["name"]:
            loop["component"] = "PEs"
    inner = {key: value for key, value in below.items() if key != "spatial"}
    kept = [] if below["type"] == "Container" else [inner]
    return [*nodes[: at - 1], array, *kept, *nodes[at + 1 :]]


@st.composite
def networked_cascades(draw: Draw, max_einsums: int = 3) -> tuple[Data, Data]:
    """A cascade with Spatial loops and Networks, and its options."""
    workload = draw(workloads(max_einsums))
    arch = draw(architectures(workload).filter(has_units))
    spec = {"workload": workload, "arch": arch, "mapping": draw(mappings(workload, arch))}
    machine = draw(machines(arch))
    if machine:
        spec["schedule"] = machine
    spec = copy.deepcopy(spec)
    options = draw(drawn_options(spec))
    nodes = spec["arch"]["nodes"]
    with_strides(draw, spec["mapping"]["nodes"], nodes)
    loops = spatial_loops(spec["mapping"]["nodes"])
    with_two_dimensions(draw, nodes, loops)
    nodes = spread_over_array(draw, nodes, loops)
    made: list[Data] = []
    tensors = tensor_names(spec["workload"])
    for number, node in enumerate(nodes):
        used = any(loop["component"] == node["name"] for loop in loops)
        first = node["type"] == "Compute" and nodes[number - 1]["type"] == "Compute"
        if number and not first and draw(chances(9 if used else 3)):
            network = draw(networks(f"net{number}", tensors))
            if node["type"] == "Array" and draw(st.booleans()):
                node["nodes"].append(network)
            else:
                made.append(network)
        made.append(node)
    spec["arch"]["nodes"] = made
    return spec, options
