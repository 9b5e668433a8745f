"""Makespan of a task graph in program order, as the longest path of a graph of its events."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
import numpy.typing as npt
import rustworkx as rx

from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import explicit_task_graph

__all__ = ["Events", "by_networkx", "by_polylat", "by_rustworkx", "events"]

Ints = npt.NDArray[np.int64]

FILL, BACKGROUND = 0, 2


@dataclass(frozen=True, eq=False)
class Events:
    """The events of a task graph, and the least delays between them.

    Parameters
    ----------
    count
        Number of events: starts of tile iterations and fills, tasks, blocks, finishes.
    source, target, weight
        The edges: each target happens at least `weight` after its source. Shape (edges,).
    """

    count: int
    source: Ints
    target: Ints
    weight: Ints


def events(graph: TaskGraph) -> Events:
    """Return the events of a task graph, with its ports' program order as edges.

    Every tile iteration starts and finishes, every fill starts, every task begins and every block
    finishes. A task waits for the start of its block and for the previous task on its port; a block
    waits for its tasks; a tile iteration waits for its fills, its blocks and the previous tile
    iteration of its leaf.
    """
    n, blocks, tasks = graph.iterations, graph.blocks, graph.tasks
    task0, block0, finish0 = blocks, blocks + tasks, 2 * blocks + tasks
    block = np.arange(blocks)
    # A foreground or background block begins with its tile iteration, a fill on its own.
    begin = np.where(graph.kind == FILL, block, graph.owner)
    fills = np.flatnonzero(graph.kind == FILL)
    awaited = np.flatnonzero(graph.kind != BACKGROUND)
    successors = np.flatnonzero(~graph.leaf_starts)
    empty = np.flatnonzero(np.bincount(graph.task_block, minlength=blocks) == 0)
    order, _ = graph.port_order(skewed=False)
    earlier, later = order[:-1], order[1:]
    same_port = graph.task_port[earlier] == graph.task_port[later]
    earlier, later = earlier[same_port], later[same_port]
    task = np.arange(tasks)
    duration = graph.task_duration
    sources = np.where(graph.edge_source < n, finish0, block0) + graph.edge_source
    targets = np.where(
        graph.edge_target < blocks, graph.edge_target, finish0 - blocks + graph.edge_target
    )
    parts: list[tuple[Ints, Ints, Ints | int]] = [
        (successors - 1, successors, 0),
        (fills, graph.owner[fills], 0),
        (begin[graph.task_block], task0 + task, 0),
        (begin[empty], block0 + empty, 0),
        (task0 + earlier, task0 + later, duration[earlier]),
        (task0 + task, block0 + graph.task_block, duration),
        (block0 + awaited, finish0 + graph.owner[awaited], 0),
        (finish0 + successors - 1, finish0 + successors, 0),
        (sources, targets, 0),
    ]
    return Events(
        finish0 + n,
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        np.concatenate([np.broadcast_to(p[2], p[0].shape) for p in parts]),
    )


def by_networkx(found: Events) -> int:
    """Build the graph and find its longest path with networkx."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_weighted_edges_from(
        zip(found.source.tolist(), found.target.tolist(), found.weight.tolist(), strict=True)
    )
    return int(nx.dag_longest_path_length(graph))


def by_rustworkx(found: Events) -> int:
    """Build the graph and find its longest path with rustworkx."""
    graph: rx.PyDiGraph[None, int] = rx.PyDiGraph(
        multigraph=True, node_count_hint=found.count, edge_count_hint=len(found.source)
    )
    graph.add_nodes_from([None] * found.count)
    graph.add_edges_from(
        list(zip(found.source.tolist(), found.target.tolist(), found.weight.tolist(), strict=True))
    )
    return int(rx.dag_longest_path_length(graph, weight_fn=lambda _source, _target, w: w))


def by_polylat(graph: TaskGraph) -> int:
    """Build polylat's index, sort the tasks of each port, and compute the makespan."""
    timing = explicit_task_graph(graph).time("program")
    assert timing.legal, "the program order contradicts the dependences"
    return timing.makespan
