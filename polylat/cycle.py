"""Why an order cannot be kept: a cycle of waits."""

from __future__ import annotations

import numpy as np

from polylat.model import Model
from polylat.schedule.timing import Timing

__all__ = ["describe_cycle"]


def describe_cycle(model: Model, timing: Timing) -> str:
    """A cycle of waits among what the order never lets happen, in words."""
    import networkx as nx

    graph, layout = model.graph, model.layout
    waits = nx.DiGraph()
    names = ("flow", "barrier", "capacity")

    def start(i: int) -> tuple[str, int]:
        return ("start", i)

    for i in range(graph.iterations):
        waits.add_edge(start(i), ("finish", i), why="")
        if not graph.leaf_starts[i]:
            waits.add_edge(start(i - 1), start(i), why="")
            waits.add_edge(("finish", i - 1), ("finish", i), why="")
    for b in range(graph.iterations, graph.blocks):
        owner = int(graph.owner[b])
        if graph.kind[b] == 0:
            waits.add_edge(("fill", b), start(owner), why="")
            waits.add_edge(("fill", b), ("done", b), why="")
            waits.add_edge(("done", b), ("finish", owner), why="")
        else:
            waits.add_edge(start(owner), ("done", b), why="")
    for source, target, reason in zip(
        graph.edge_source, graph.edge_target, graph.edge_reason, strict=True
    ):
        before = ("finish" if source < graph.iterations else "done", int(source))
        if target < graph.iterations:
            after = start(int(target))
        elif target < graph.blocks:
            after = ("fill", int(target))
        else:
            after = ("finish", int(target) - graph.blocks)
        waits.add_edge(before, after, why=names[reason])
    if timing.order in ("program", "skew"):
        tasks, starts = graph.port_order(skewed=timing.order == "skew")
        for port in range(graph.ports):
            on_port = tasks[starts[port] : starts[port + 1]]
            blocks = graph.task_block[on_port]
            for one, other in zip(blocks, blocks[1:], strict=False):
                waits.add_edge(_served(graph, int(one)), _begins(graph, int(other)), why="port")
    try:
        cycle = nx.find_cycle(waits)
    except nx.NetworkXNoCycle:
        return "what waits for what makes a cycle"
    said = []
    for before, after in cycle:
        why = waits.edges[before, after]["why"]
        if why:
            said.append(f"{_say(layout, graph, after)} waits ({why}) for {_say(layout, graph, before)}")
    shown = said[:_MOST] + ([f"and {len(said) - _MOST} more"] if len(said) > _MOST else [])
    return "; ".join(shown)


def _served(graph: object, block: int) -> tuple[str, int]:
    return ("done" if block >= graph.iterations else "finish", block)  # type: ignore[attr-defined]


def _begins(graph: object, block: int) -> tuple[str, int]:
    kind = graph.kind[block]  # type: ignore[attr-defined]
    if kind == 0:
        return ("fill", block)
    return ("done", block) if kind == 2 else ("finish", block)


def _say(layout: object, graph: object, event: tuple[str, int]) -> str:
    number = event[1]
    owner = int(graph.owner[number])  # type: ignore[attr-defined]
    leaf = int(np.searchsorted(layout.bases, owner, side="right")) - 1  # type: ignore[attr-defined]
    tiles = layout.tiles[leaf]  # type: ignore[attr-defined]
    at = owner - layout.bases[leaf]  # type: ignore[attr-defined]
    index = ", ".join(
        f"{loop.variable}={int(tiles.digits[k, at])}"
        for k, loop in enumerate(tiles.leaf.temporal[: tiles.depth])
    )
    what = {"fill": "the fill of ", "done": "a block of "}.get(event[0], "")
    return f"{what}{tiles.leaf.einsum.name}[{index}]"


_MOST = 6
