"""The nodes of an input, as plain data for `polylat.Spec.from_dict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Node", "compute", "einsum", "leaf", "loop", "memory", "nested", "spatial", "storage"]

Node = dict[str, Any]


def memory(
    name: str, size: int | str, read: int | str, write: int | str | None = None, **further: Any
) -> Node:
    """A Memory with its throughputs (`write`: as `read`), in values or bits per unit of time."""
    rates = {"read": read, "write": read if write is None else write}
    actions = [{"name": action, "throughput": rate} for action, rate in rates.items()]
    return {"type": "Memory", "name": name, "size": size, "actions": actions, **further}


def compute(name: str, throughput: int, **further: Any) -> Node:
    """A Compute with its throughput."""
    actions = [{"name": "compute", "throughput": throughput}]
    return {"type": "Compute", "name": name, "actions": actions, **further}


def einsum(name: str, projections: Mapping[str, Sequence[str]]) -> Node:
    """An Einsum; the last of its tensors is the output."""
    accesses: list[Node] = [
        {"name": tensor, "projection": list(variables)} for tensor, variables in projections.items()
    ]
    accesses[-1]["output"] = True
    return {"name": name, "tensor_accesses": accesses}


def storage(component: str, *tensors: str) -> Node:
    """A Storage node."""
    return {"type": "Storage", "component": component, "tensors": list(tensors)}


def loop(variable: str, tile: int = 1) -> Node:
    """A Temporal loop."""
    return {"type": "Temporal", "rank_variable": variable, "tile_shape": tile}


def spatial(variable: str, component: str, dimension: str) -> Node:
    """A Spatial loop over single values."""
    return {
        "type": "Spatial",
        "rank_variable": variable,
        "tile_shape": 1,
        "component": component,
        "name": dimension,
    }


def leaf(name: str, component: str) -> Node:
    """A Compute node."""
    return {"type": "Compute", "einsum": name, "component": component}


def nested(*nodes: Node) -> Node:
    """A branch of a split."""
    return {"type": "Nested", "nodes": list(nodes)}
