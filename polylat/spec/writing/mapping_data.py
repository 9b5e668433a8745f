"""A mapping as plain data: AccelForge's nodes, each with its type."""

from __future__ import annotations

from typing import Any

from polylat.spec.mapping import Branch, Compute, Loop, Pipeline, Spatial, Storage, Temporal, Toll
from polylat.spec.workload import Workload

__all__ = ["mapping_data"]


def mapping_data(branch: Branch, workload: Workload) -> list[dict[str, Any]]:
    """Return the nodes of a branch as plain data.

    Parameters
    ----------
    branch, workload
        The branch, and the workload.

    Returns
    -------
    list of dict
        The nodes, outer to inner, each with its ``type``. Reservations, which AccelForge's mapper
        adds and its model does not need, are not restored. The ``rank_variable`` of a loop that
        Einsums share under different names is a list of these names, or Einsum → name where an
        Einsum has several of them, which AccelForge cannot represent.
    """
    nodes: list[dict[str, Any]] = []
    for node in branch.nodes:
        if isinstance(node, Storage | Toll) and not node.named(workload):
            continue  # the nodes in the branches below, for which it stands, keep their names
        made: dict[str, Any] = {"type": type(node).__name__}
        match node:
            case Temporal():
                made |= _loop(node, workload)
            case Spatial():
                made |= {"name": node.dimension, "component": node.component}
                made |= _loop(node, workload)
            case Storage() | Toll():
                made |= {"component": node.component, "tensors": list(node.named(workload))}
        nodes.append(made)
    end = branch.end
    if isinstance(end, Compute):
        return [*nodes, {"type": "Compute", "einsum": end.einsum, "component": end.component}]
    split: dict[str, Any] = {"type": type(end).__name__}
    if isinstance(end, Pipeline) and end.binding:
        split["binding"] = list(end.binding)
    split["nodes"] = [{"type": "Nested", "nodes": mapping_data(b, workload)} for b in end.branches]
    return [*nodes, split]


def _loop(node: Loop, workload: Workload) -> dict[str, Any]:
    made = {"rank_variable": _rank_variable(node, workload), "tile_shape": node.tile_shape}
    if isinstance(node, Temporal) and node.initial_tile_shape is not None:
        made["initial_tile_shape"] = node.initial_tile_shape
    return made


def _rank_variable(loop: Loop, workload: Workload) -> str | list[str] | dict[str, str]:
    if not loop.by_einsum:
        return loop.rank_variable
    names = {variable for _, variable in loop.by_einsum}
    for einsum, variable in loop.by_einsum:
        if names.intersection(workload.einsum(einsum).rank_variables) - {variable}:
            return dict(loop.by_einsum)
    return sorted(names)
