"""Constructors for the nodes of an input, as plain data for `polylat.Spec.from_dict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Node", "compute", "einsum", "leaf", "loop", "memory", "nested", "spatial", "storage"]

Node = dict[str, Any]


def memory(
    name: str, size: int | str, read: int | str, write: int | str | None = None, **further: Any
) -> Node:
    """Return a Memory; throughputs in actions per unit of time, `write` by default as `read`."""
    rates = {"read": read, "write": read if write is None else write}
    actions = [{"name": action, "throughput": rate} for action, rate in rates.items()]
    return {"type": "Memory", "name": name, "size": size, "actions": actions, **further}


def compute(name: str, throughput: int, **further: Any) -> Node:
    """Return a Compute with the given throughput."""
    actions = [{"name": "compute", "throughput": throughput}]
    return {"type": "Compute", "name": name, "actions": actions, **further}


def einsum(name: str, projections: Mapping[str, Sequence[str]]) -> Node:
    """Return an Einsum; the last of its tensors is the output."""
    accesses: list[Node] = [
        {"name": tensor, "projection": list(variables)} for tensor, variables in projections.items()
    ]
    accesses[-1]["output"] = True
    return {"name": name, "tensor_accesses": accesses}


def storage(component: str, *tensors: str) -> Node:
    """Return a Storage node."""
    return {"type": "Storage", "component": component, "tensors": list(tensors)}


def loop(variable: str, tile: int = 1) -> Node:
    """Return a Temporal loop."""
    return {"type": "Temporal", "rank_variable": variable, "tile_shape": tile}


def spatial(variable: str, component: str, dimension: str) -> Node:
    """Return a Spatial loop over single values."""
    return {
        "type": "Spatial",
        "rank_variable": variable,
        "tile_shape": 1,
        "component": component,
        "name": dimension,
    }


def leaf(name: str, component: str) -> Node:
    """Return a Compute node."""
    return {"type": "Compute", "einsum": name, "component": component}


def nested(*nodes: Node) -> Node:
    """Return a branch of a split."""
    return {"type": "Nested", "nodes": list(nodes)}
