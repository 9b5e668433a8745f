"""Random networks of equal blocks: copies of a random cascade, one after another."""

from __future__ import annotations

import copy
import random
from typing import Any

from builders import CASCADES, options_of
from disagreeing import DRAWS, Case

Data = dict[str, Any]

KNOWN = [case for case in CASCADES if case["expected"] is not None]


def draw(seed: int) -> Case:
    """A network of equal blocks, some of which read what the block before computes."""
    chance = random.Random(seed)
    if chance.random() < 0.6:
        known = chance.choice(KNOWN)
        case = Case(known["spec"], options_of(known))
    else:
        case = DRAWS[chance.choice(list(DRAWS))](seed)
    options = {**case.options, "order": "best"}
    for name in ("background", "staged", "slots"):
        if chance.random() < 0.8:
            options.pop(name, None)
        elif not isinstance(options.get(name, ""), str):
            options[name] = of_block(options[name], chance.randrange(5), names_of(case.spec))
    return Case(network(case.spec, chance.randrange(5, 12), chance), options)


def of_block(value: Any, block: int, tensors: set[str]) -> Any:
    """The value of an option, with the names of the tensors in one block."""
    if isinstance(value, str):
        tensor, at, component = value.partition("@")
        return f"{tensor}_{block}{at}{component}" if tensor in tensors else value
    if isinstance(value, dict):
        return {of_block(name, block, tensors): number for name, number in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(of_block(part, block, tensors) for part in value)
    return value


def network(data: Data, blocks: int, chance: random.Random) -> Data:
    """Copies of a cascade in one Sequential, with further Einsums before and behind them."""
    tensors = sorted(names_of(data))
    einsums = [einsum["name"] for einsum in data["workload"]["einsums"]]
    flat = chance.random() < 0.7
    link = linked(data) if chance.random() < 0.7 else None
    first, last = chance.random() < 0.3, chance.random() < 0.3
    data = with_equal_ranks(data)
    suffixes = [*(["before"] if first else []), *map(str, range(blocks))]
    suffixes += ["behind"] if last else []
    parts = []
    for place, suffix in enumerate(suffixes):
        names = {name: f"{name}_{suffix}" for name in (*tensors, *einsums)}
        if link is not None and place:
            names[link[0]] = f"{link[1]}_{suffixes[place - 1]}"
        parts.append(renamed(data, names))
    if first and chance.random() < 0.5:
        parts[0]["mapping"]["nodes"] = other_loops(parts[0]["mapping"]["nodes"])
    found = copy.deepcopy(data)
    workload = found["workload"]
    workload["einsums"] = [e for part in parts for e in part["workload"]["einsums"]]
    workload["bits_per_value"] = {
        key: bits for part in parts for key, bits in part["workload"]["bits_per_value"].items()
    }
    for part in parts:
        found.setdefault("schedule", {}).update(part.get("schedule", {}))
    found["mapping"]["nodes"] = joined([part["mapping"]["nodes"] for part in parts], flat)
    return found


def other_loops(nodes: list[Data]) -> list[Data]:
    """The same mapping, in which each loop has a second one directly below it."""
    found = []
    for node in nodes:
        if "nodes" in node:
            found.append({**node, "nodes": other_loops(node["nodes"])})
        else:
            found += [node, dict(node)] if node["type"] == "Temporal" else [node]
    return found


def with_equal_ranks(data: Data) -> Data:
    """The same cascade, in which the ranks of all tensors have the same names."""
    data = copy.deepcopy(data)
    for einsum in data["workload"]["einsums"]:
        for access in einsum["tensor_accesses"]:
            indices = access["projection"]
            if isinstance(indices, dict):
                values = indices.values()
                access["projection"] = {f"R{k}": index for k, index in enumerate(values)}
    return data


def names_of(data: Data) -> set[str]:
    """The tensors of a cascade."""
    return {a["name"] for e in data["workload"]["einsums"] for a in e["tensor_accesses"]}


def linked(data: Data) -> tuple[str, str] | None:
    """An input and an output of a cascade with as many ranks, if there are any."""
    ranks: dict[str, int] = {}
    made: list[str] = []
    read: list[str] = []
    for einsum in data["workload"]["einsums"]:
        for access in einsum["tensor_accesses"]:
            ranks[access["name"]] = len(access["projection"])
            (made if access.get("output") else read).append(access["name"])
    inputs = [t for t in read if t not in made]
    outputs = [t for t in made if t not in read]
    for source in inputs:
        for target in outputs:
            if ranks[source] == ranks[target]:
                return source, target
    return None


def renamed(data: Any, names: dict[str, str]) -> Any:
    """Plain data with other names of tensors and Einsums."""
    if isinstance(data, dict):
        return {names.get(key, key): renamed(value, names) for key, value in data.items()}
    if isinstance(data, list):
        return [renamed(value, names) for value in data]
    return names.get(data, data) if isinstance(data, str) else data


def joined(parts: list[list[Data]], flat: bool) -> list[Data]:
    """One mapping of several: the outermost Storage holds the tensors of all."""
    tensors = [t for nodes in parts for t in nodes[0]["tensors"]]
    branches: list[Data] = []
    for nodes in parts:
        rest = nodes[1:]
        if flat and len(rest) == 1 and rest[0]["type"] == "Sequential":
            branches += rest[0]["nodes"]
        else:
            branches.append({"type": "Nested", "nodes": rest})
    root = {**parts[0][0], "tensors": list(dict.fromkeys(tensors))}
    return [root, {"type": "Sequential", "nodes": branches}]
