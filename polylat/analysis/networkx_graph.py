"""The task graph of a schedule as a graph of networkx."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

import networkx as nx
import numpy as np
import numpy.typing as npt

from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.errors import TooLargeError
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Ints
from polylat.schedule.reasons import NAMES
from polylat.spec.options import normalize_limit, normalize_window

__all__ = ["networkx_graph"]

Edge = tuple[int, int, str]
"""(source, target, reason)"""
_KINDS = ("fill", "foreground", "background")


def networkx_graph(
    solution: Solution,
    *,
    limit: int = 10_000,
    window: tuple[Number, Number] | None = None,
) -> nx.DiGraph[int]:
    """Tasks and what they wait for.

    A task is what one port serves of a tile iteration at a time: its foreground accesses, a
    prefetched fill or a background write-back. Where tile iterations stand for others, only those
    that are looked at are in the graph.

    Parameters
    ----------
    solution
        The schedule.
    limit
        Largest number of tasks.
    window
        (from, to): only tasks that are served between these times.

    Returns
    -------
    networkx.DiGraph
        Nodes have the attributes *einsum*, *tile*, *component*, *port*, *kind*, *start*, *finish*
        and *duration*. An edge says that its target starts no earlier than its source has
        finished; *reason* is *flow*, *barrier*, *capacity*, *port* (the port serves one
        after the other), or *order* (so it does, and both are the same of one Einsum).

    Raises
    ------
    TooLargeError
        There are more than `limit` tasks.
    """
    model = solution.model
    some = _inside(solution, window)
    if len(some) > normalize_limit(limit):
        raise TooLargeError(
            f"the task graph has {len(some)} tasks, more than limit={limit}",
            fix="raise the limit, or give a shorter window",
        )
    result: nx.DiGraph[int] = nx.DiGraph()
    result.add_nodes_from(_nodes(solution, some))
    inside = np.zeros(model.graph.tasks, dtype=np.bool_)
    inside[some] = True
    for source, target, reason in _edges(solution, inside):
        if not result.has_edge(source, target):
            result.add_edge(source, target, reason=reason)
    return result


def _inside(solution: Solution, window: tuple[Number, Number] | None) -> Ints:
    model, timing = solution.model, solution.schedule
    start = timing.task_begin
    end = start + model.graph.task_duration
    if window is None:
        return np.arange(len(start))
    first, last = (time * model.costs.scale for time in normalize_window(window))
    # In whole steps: strictly inside.
    low, high = int(first // 1), int(-(-last // 1))
    inside = np.asarray(end > low, dtype=np.bool_) & np.asarray(start < high, dtype=np.bool_)
    return np.flatnonzero(inside)


def _nodes(solution: Solution, some: Ints) -> Iterator[tuple[int, dict[str, Any]]]:
    model, timing = solution.model, solution.schedule
    graph, layout, scale = model.graph, model.layout, model.costs.scale
    bases = np.array(layout.bases)
    names: dict[int, str] = {}
    for path in model.lowered.spec.arch.paths.values():
        for component in path:
            for port, key in enumerate(model.costs.ports):
                if key.component == component.name:
                    names[port] = component.ports[key.index].name
    for task in some.tolist():
        block, port = int(graph.task_block[task]), int(graph.task_port[task])
        owner = int(graph.owner[block])
        leaf = int(np.searchsorted(bases, owner, side="right")) - 1
        tiles = layout.tiles[leaf]
        index = tiles.digits[:, owner - layout.bases[leaf]].tolist()
        start, lasts = int(timing.task_begin[task]), int(graph.task_duration[task])
        yield (
            task,
            {
                "einsum": tiles.leaf.einsum.name,
                "tile": tuple(
                    (loop.variable, x)
                    for loop, x in zip(tiles.leaf.temporal[: tiles.depth], index, strict=True)
                ),
                "component": model.costs.ports[port].component,
                "port": names[port],
                "kind": _KINDS[int(graph.kind[block])],
                "start": reduce_number(Fraction(start, scale)),
                "finish": reduce_number(Fraction(start + lasts, scale)),
                "duration": reduce_number(Fraction(lasts, scale)),
            },
        )


def _edges(solution: Solution, inside: npt.NDArray[np.bool_]) -> Iterator[Edge]:
    """Edges between the tasks that are asked for."""
    model, timing = solution.model, solution.schedule
    graph = model.graph
    keep = graph.edge_target < graph.blocks
    if len(graph.edge_periods):
        keep &= ~graph.edge_periods.any(axis=0)
    edges = np.flatnonzero(keep)
    sources = _tasks_at(model, graph.edge_source[edges], last=True)
    targets = _tasks_at(model, graph.edge_target[edges], last=False)
    for source in sources:
        some = np.flatnonzero(source >= 0)
        some = some[inside[source[some]]]
        for target in targets if len(some) else ():
            both = some[target[some] >= 0]
            both = both[inside[target[both]]]
            reasons = graph.edge_reason[edges[both]].tolist()
            yield from zip(
                source[both].tolist(),
                target[both].tolist(),
                (NAMES[reason] for reason in reasons),
                strict=True,
            )
    stream = _streams(model)
    ranks = np.unique(timing.task_begin, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((ranks, graph.task_port))
    before, after = order[:-1], order[1:]
    follows = inside[before] & inside[after] & (graph.task_port[before] == graph.task_port[after])
    for one, other in zip(before[follows].tolist(), after[follows].tolist(), strict=True):
        yield one, other, "order" if stream[one] == stream[other] else "port"


def _streams(model: Model) -> Ints:
    """Per task a number of its leaf, block and port."""
    graph = model.graph
    leaf = graph.leaf[graph.owner[graph.task_block]]
    width = int(graph.sequence.max(initial=0)) + 1
    blocks = leaf * width + graph.sequence[graph.task_block]
    return np.asarray(blocks * graph.ports + graph.task_port)


def _tasks_at(model: Model, events: Ints, *, last: bool) -> list[Ints]:
    """Tasks that stand for events, an array of them (-1: none) for each leaf, block and port.

    A port serves a block of a leaf in order. So for the finish of a tile iteration stand its
    last tasks up to there, and for the start of one the first tasks from there on.
    """
    graph = model.graph
    owner, stream = graph.owner[graph.task_block], _streams(model)
    order = np.lexsort((owner, stream))
    found = []
    for some in np.split(order, np.flatnonzero(np.diff(stream[order])) + 1):
        if not len(some):
            continue
        kind, leaf = int(graph.kind[graph.task_block[some[0]]]), graph.leaf[owner[some[0]]]
        tasks = np.full(len(events), -1, dtype=np.int64)
        if kind != (2 if last else 0):
            mine = np.flatnonzero(events < graph.iterations)
            mine = mine[graph.leaf[events[mine]] == leaf]
            side: Literal["left", "right"] = "right" if last else "left"
            at = np.searchsorted(owner[some], events[mine], side=side) - last
            there = (at >= 0) & (at < len(some))
            tasks[mine[there]] = some[at[there]]
        blocks = graph.task_block[some]
        mine = np.flatnonzero(events >= graph.iterations)
        at = np.minimum(np.searchsorted(blocks, events[mine]), len(some) - 1)
        there = blocks[at] == events[mine]
        tasks[mine[there]] = some[at[there]]
        found.append(tasks)
    return found
