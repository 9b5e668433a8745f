"""A cycle of waits in words."""

from __future__ import annotations

import numpy as np

from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.schedule.cycle import find_cycle
from polylat.schedule.list_scheduling import ExplicitTaskGraph

__all__ = ["describe_cycle"]

_MOST = 6


def describe_cycle(solution: Solution) -> str:
    """A cycle of waits among what an order never lets happen, in words."""
    model, timing = solution.model, solution.schedule
    if not isinstance(model.plan, ExplicitTaskGraph):
        return "what it makes wait for each other goes round in a circle"
    said = [
        f"{_say(model, wait.waiting)} waits ({wait.reason}) for {_say(model, wait.awaited)}"
        for wait in find_cycle(model.plan, timing)
    ]
    more = [f"and {len(said) - _MOST} more"] if len(said) > _MOST else []
    return "; ".join([*said[:_MOST], *more])


def _say(model: Model, block: int) -> str:
    graph, layout = model.graph, model.layout
    owner = int(graph.owner[block])
    leaf = int(np.searchsorted(np.array(layout.bases), owner, side="right")) - 1
    tiles = layout.tiles[leaf]
    loops = tiles.leaf.temporal[: tiles.depth]
    index = ", ".join(
        f"{loop.variable}={int(tiles.digits[k, owner - layout.bases[leaf]])}"
        for k, loop in enumerate(loops)
    )
    what = layout.blocks[leaf][int(graph.sequence[block])]
    name = f"{tiles.leaf.einsum.name}[{index}]"
    if what.kind == "fill":
        return f"the fill of {what.tensor} for {name}"
    return f"the write-back of {what.tensor} by {name}" if what.kind == "background" else name
