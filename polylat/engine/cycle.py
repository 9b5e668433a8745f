"""Describe a cycle of precedences (a deadlock) in words."""

from __future__ import annotations

import numpy as np

from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.schedule.cycle import find_cycle
from polylat.schedule.list_scheduling import ExplicitTaskGraph

__all__ = ["describe_cycle"]

_MOST_EDGES = 6
"""Largest number of edges of a cycle that are spelled out."""


def describe_cycle(solution: Solution) -> str:
    """Describe a cycle of precedences that makes an order of service infeasible.

    Parameters
    ----------
    solution
        A schedule that is not legal.

    Returns
    -------
    str
        One clause per edge of the cycle: which block waits for which, and why.
    """
    model, timing = solution.model, solution.schedule
    if not isinstance(model.plan, ExplicitTaskGraph):
        return "its precedences form a cycle"
    clauses = [
        f"{_block_name(model, edge.waiting)} waits ({edge.reason}) for"
        f" {_block_name(model, edge.awaited)}"
        for edge in find_cycle(model.graph, timing)
    ]
    more = [f"and {len(clauses) - _MOST_EDGES} more"] if len(clauses) > _MOST_EDGES else []
    return "; ".join([*clauses[:_MOST_EDGES], *more])


def _block_name(model: Model, block: int) -> str:
    graph, layout = model.graph, model.layout
    owner = int(graph.owner[block])
    leaf = int(np.searchsorted(np.array(layout.bases), owner, side="right")) - 1
    tiles = layout.tiles[leaf]
    loops = tiles.leaf.temporal[: tiles.depth]
    index = ", ".join(
        f"{loop.variable}={int(tiles.digits[k, owner - layout.bases[leaf]])}"
        for k, loop in enumerate(loops)
    )
    pattern = layout.blocks[leaf][int(graph.sequence[block])]
    name = f"{tiles.leaf.einsum.name}[{index}]"
    if pattern.kind == "fill":
        return f"the fill of {pattern.tensor} for {name}"
    return f"the write-back of {pattern.tensor} by {name}" if pattern.kind == "write_back" else name
