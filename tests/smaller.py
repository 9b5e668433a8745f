"""Smaller cascades that still have a property: plain data is cut down step by step."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

Data = dict[str, Any]
Case = tuple[Data, Data]


def smaller(spec: Data, options: Data, keeps: Callable[[Data, Data], bool]) -> Case:
    """A smaller case with the same property.

    Parameters
    ----------
    spec, options
        A cascade as plain data, and the arguments of ``analyze``.
    keeps
        Whether a case has the property. Illegal ones have not.

    Returns
    -------
    tuple
        The spec and the options of a case of which no single cut keeps the property.
    """
    found: Case = (spec, options)
    progress = True
    while progress:
        progress = False
        for cut in cuts(*found):
            if keeps(*cut):
                found, progress = cut, True
                break
    return found


def cuts(spec: Data, options: Data) -> Iterator[Case]:
    """Cases that are one step smaller, the largest steps first."""
    for name in [einsum["name"] for einsum in spec["workload"]["einsums"]]:
        less = without_einsum(spec, name)
        if less is not None:
            less = with_used_tensors(less)
            yield less, used_options(less, options)
    for number in range(count_nodes(spec, ("Temporal", "Spatial", "Storage"))):
        less = without_node(spec, number)
        yield less, used_options(less, options)
    for name in [n for einsum in spec["workload"]["einsums"] for n in inputs(einsum)]:
        less = without_tensor(spec, name)
        yield less, used_options(less, options)
    for key in ("background", "staged", "slots", "granularity"):
        if options.get(key) not in (None, [], {}, "full", 2):
            rest = {k: v for k, v in options.items() if k != key}
            yield spec, rest | ({"granularity": "full"} if key == "granularity" else {})
    for key in ("background", "staged"):
        for pair in options.get(key, ()):
            yield spec, options | {key: [other for other in options[key] if other != pair]}
    if isinstance(options.get("slots"), dict):
        for name in options["slots"]:
            slots = {other: n for other, n in options["slots"].items() if other != name}
            yield spec, options | {"slots": slots}
    for key in spec.get("schedule", {}):
        yield spec | {"schedule": {k: v for k, v in spec["schedule"].items() if k != key}}, options
    for variable, size in sizes(spec).items():
        for less_size in dict.fromkeys((size // 2, size * 3 // 4, size - 1)):
            if 0 < less_size < size:
                yield with_size(spec, variable, less_size), options
    yield from simpler_nodes(spec, options)


def inputs(einsum: Data) -> list[str]:
    """The names of an Einsum's inputs, unless there is only one."""
    names = [a["name"] for a in einsum["tensor_accesses"] if not a.get("output")]
    return names if len(names) > 1 else []


def without_einsum(spec: Data, name: str) -> Data | None:
    """Without one Einsum; what it made is an input for the others."""
    if len(spec["workload"]["einsums"]) < 2:
        return None
    less = copy.deepcopy(spec)
    einsums = less["workload"]["einsums"]
    less["workload"]["einsums"] = [e for e in einsums if e["name"] != name]
    less["mapping"]["nodes"] = without_leaf(less["mapping"]["nodes"], name)
    for node in walk(less["mapping"]["nodes"]):
        if isinstance(node.get("rank_variable"), dict):
            node["rank_variable"].pop(name, None)
    return less


def without_leaf(nodes: list[Data], name: str) -> list[Data]:
    """Nodes without the branch of a leaf; a split with one branch left is that branch."""
    found: list[Data] = []
    for node in nodes:
        if "nodes" not in node:
            found.append(node)
            continue
        rest = [
            branch
            for branch in node["nodes"]
            if [n["einsum"] for n in walk([branch]) if n["type"] == "Compute"] != [name]
        ]
        rest = without_leaf(rest, name)
        if node["type"] in ("Pipeline", "Sequential") and len(rest) == 1:
            found += rest[0]["nodes"] if rest[0]["type"] == "Nested" else rest
        else:
            found.append({**node, "nodes": rest})
    return found


def walk(nodes: list[Data]) -> Iterator[Data]:
    """All nodes of a tree."""
    for node in nodes:
        yield node
        yield from walk(node.get("nodes", []))


def with_used_tensors(spec: Data) -> Data:
    """Holders and rank variables only of what the Einsums use."""
    less = copy.deepcopy(spec)
    accesses = [a for e in less["workload"]["einsums"] for a in e["tensor_accesses"]]
    tensors = {a["name"] for a in accesses}
    for node in walk(less["mapping"]["nodes"]):
        if "tensors" in node:
            node["tensors"] = [t for t in node["tensors"] if t in tensors]
    less["mapping"]["nodes"] = without_empty(less["mapping"]["nodes"])
    words = {w for a in accesses for e in a["projection"].values() for w in re.findall(r"\w+", e)}
    shape = less["workload"]["iteration_space_shape"]
    less["workload"]["iteration_space_shape"] = {v: s for v, s in shape.items() if v in words}
    return less


def without_empty(nodes: list[Data]) -> list[Data]:
    """Nodes without Storage nodes that name no tensor."""
    return [
        {**node, "nodes": without_empty(node["nodes"])} if "nodes" in node else node
        for node in nodes
        if node.get("tensors", ["any"])
    ]


def used_options(spec: Data, options: Data) -> Data:
    """Options that name only tensors and holders of the cascade."""
    held = {
        (tensor, node["component"])
        for node in walk(spec["mapping"]["nodes"])
        for tensor in node.get("tensors", ())
    }
    rest = dict(options)
    for key in ("background", "staged"):
        if isinstance(options.get(key), list):
            rest[key] = [pair for pair in options[key] if tuple(pair) in held]
            if not rest[key]:
                del rest[key]
    if isinstance(options.get("slots"), dict):
        names = {tensor for tensor, _ in held} | {f"{t}@{c}" for t, c in held}
        rest["slots"] = {name: n for name, n in options["slots"].items() if name in names}
    return rest


def without_tensor(spec: Data, name: str) -> Data:
    """Without the reads of a tensor, where the Einsum has another input."""
    less = copy.deepcopy(spec)
    for einsum in less["workload"]["einsums"]:
        if name in inputs(einsum):
            accesses = einsum["tensor_accesses"]
            einsum["tensor_accesses"] = [
                a for a in accesses if a["name"] != name or a.get("output")
            ]
    return with_used_tensors(less)


def count_nodes(spec: Data, kinds: tuple[str, ...]) -> int:
    """Number of nodes of these kinds."""
    return sum(node["type"] in kinds for node in walk(spec["mapping"]["nodes"]))


def without_node(spec: Data, number: int) -> Data:
    """Without one loop or Storage node, counted in tree order."""
    less = copy.deepcopy(spec)
    place = -1

    def kept(nodes: list[Data]) -> list[Data]:
        nonlocal place
        found = []
        for node in nodes:
            if node["type"] in ("Temporal", "Spatial", "Storage"):
                place += 1
                if place == number:
                    continue
            found.append({**node, "nodes": kept(node["nodes"])} if "nodes" in node else node)
        return found

    less["mapping"]["nodes"] = kept(less["mapping"]["nodes"])
    return less


def sizes(spec: Data) -> dict[str, int]:
    """The sizes of the rank variables."""
    shape = spec["workload"]["iteration_space_shape"]
    return {v: int(re.findall(r"< (\d+)$", text)[0]) for v, text in shape.items()}


def with_size(spec: Data, variable: str, size: int) -> Data:
    """With another size of a rank variable."""
    less = copy.deepcopy(spec)
    less["workload"]["iteration_space_shape"][variable] = f"0 <= {variable} < {size}"
    return less


def simpler_nodes(spec: Data, options: Data) -> Iterator[Case]:
    """Smaller tiles, free memories, and units without throughputs of their own."""
    nodes = list(walk(spec["mapping"]["nodes"]))
    for number, node in enumerate(nodes):
        for key, value in (("tile_shape", node.get("tile_shape", 1) // 2),):
            if value:
                less = copy.deepcopy(spec)
                list(walk(less["mapping"]["nodes"]))[number][key] = value
                yield less, options
    for number, node in enumerate(spec["arch"]["nodes"]):
        for key in ("total_latency", "separate_read_write_ports"):
            if key in node:
                less = copy.deepcopy(spec)
                del less["arch"]["nodes"][number][key]
                yield less, options
        for place, action in enumerate(node["actions"]):
            simple = "inf" if node["type"] == "Memory" else 1
            if action["throughput"] not in (simple, "inf"):
                less = copy.deepcopy(spec)
                less["arch"]["nodes"][number]["actions"][place]["throughput"] = simple
                yield less, options
