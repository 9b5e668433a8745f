"""The task graph of a schedule as a networkx graph."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

import networkx as nx
import numpy as np
import numpy.typing as npt

from polylat.analysis.access_counts import port_labels
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.errors import TooLargeError
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Ints
from polylat.schedule.reasons import NAMES
from polylat.spec.arguments import normalize_limit, normalize_window

__all__ = ["networkx_graph"]

_Edge = tuple[int, int, str]
"""(source, target, reason)"""
_KINDS = ("fill", "foreground", "write_back")


def networkx_graph(
    solution: Solution,
    *,
    limit: int = 10_000,
    window: tuple[Number, Number] | None = None,
) -> nx.DiGraph[int]:
    """Return the tasks and their precedences as a graph.

    A task is the part of a block that one port serves; a block is the foreground or a separate
    transfer of a tile iteration. The graph has the sampled tile iterations only.

    Parameters
    ----------
    solution
        The schedule.
    limit
        Largest number of tasks.
    window
        (from, to), in the architecture's unit of time: only the tasks served between these times.

    Returns
    -------
    networkx.DiGraph
        Nodes have the attributes *einsum*, *tile*, *component*, *port*, *units*, *kind* (*fill*,
        *foreground*, *write_back*, *background*), *start*, *finish* and *duration*. The target of
        an edge starts when its source has finished, or later. The *reason* of an edge is *flow*,
        *barrier*, *capacity*, *port* (the port serves the target next), or *order* (likewise, and
        both are blocks of the same kind and Einsum).

    Raises
    ------
    TooLargeError
        There are more than `limit` tasks.
    """
    model = solution.model
    tasks = _inside(solution, window)
    if len(tasks) > normalize_limit(limit):
        raise TooLargeError(
            f"the task graph has {len(tasks)} tasks, more than limit={limit}",
            fix="raise the limit, or give a shorter window",
        )
    result: nx.DiGraph[int] = nx.DiGraph()
    result.add_nodes_from(_nodes(solution, tasks))
    inside = np.zeros(model.graph.tasks, dtype=np.bool_)
    inside[tasks] = True
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
    # Rounded outwards to whole steps.
    low, high = int(first // 1), int(-(-last // 1))
    inside = np.asarray(end > low, dtype=np.bool_) & np.asarray(start < high, dtype=np.bool_)
    return np.flatnonzero(inside)


def _nodes(solution: Solution, tasks: Ints) -> Iterator[tuple[int, dict[str, Any]]]:
    model, timing = solution.model, solution.schedule
    graph, layout, scale = model.graph, model.layout, model.costs.scale
    bases = np.array(layout.bases)
    labels = port_labels(model)
    for task in tasks.tolist():
        block = int(graph.task_block[task])
        component, port, units = labels[int(graph.task_port[task])]
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
                "component": component,
                "port": port,
                "units": units,
                "kind": "background" if graph.background[block] else _KINDS[int(graph.kind[block])],
                "start": reduce_number(Fraction(start, scale)),
                "finish": reduce_number(Fraction(start + lasts, scale)),
                "duration": reduce_number(Fraction(lasts, scale)),
            },
        )


def _edges(solution: Solution, inside: npt.NDArray[np.bool_]) -> Iterator[_Edge]:
    """Yield the edges between tasks of the graph; `inside` says per task whether it is one."""
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
    """Return a number per task that is the same for tasks of the same leaf, block and port."""
    graph = model.graph
    leaf = graph.leaf[graph.owner[graph.task_block]]
    width = int(graph.sequence.max(initial=0)) + 1
    blocks = leaf * width + graph.sequence[graph.task_block]
    return np.asarray(blocks * graph.ports + graph.task_port)


def _tasks_at(model: Model, events: Ints, *, last: bool) -> list[Ints]:
    """Return the tasks that represent events: per leaf, block and port, an array with -1 for none.

    A port serves the blocks of one kind of a leaf in order. So the finish of a tile iteration is
    represented by the last tasks up to it, and its start by the first tasks from it on.
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
            whole = np.flatnonzero(events < graph.iterations)
            whole = whole[graph.leaf[events[whole]] == leaf]
            side: Literal["left", "right"] = "right" if last else "left"
            at = np.searchsorted(owner[some], events[whole], side=side) - last
            exists = (at >= 0) & (at < len(some))
            tasks[whole[exists]] = some[at[exists]]
        blocks = graph.task_block[some]
        single = np.flatnonzero(events >= graph.iterations)
        at = np.minimum(np.searchsorted(blocks, events[single]), len(some) - 1)
        exists = blocks[at] == events[single]
        tasks[single[exists]] = some[at[exists]]
        found.append(tasks)
    return found
