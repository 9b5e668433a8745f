"""Makespan of a task graph in a static order, as the longest path of a graph of its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import networkx as nx
import numpy as np
import numpy.typing as npt
import rustworkx as rx

from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.reasons import PASSED, STARTED
from polylat.schedule.stalls import stall_precedences

__all__ = ["Events", "by_networkx", "by_polylat", "by_rustworkx", "events"]

Ints = npt.NDArray[np.int64]

FILL, FOREGROUND, WRITE_BACK = range(3)


@dataclass(frozen=True, eq=False)
class Events:
    """The events of a task graph, and the least delays between them.

    Parameters
    ----------
    count
        Number of events: starts of tile iterations and separate transfers, tasks, blocks, finishes.
    source, target, weight
        The edges: each target happens at least `weight` after its source. Shape (edges,).
    """

    count: int
    source: Ints
    target: Ints
    weight: Ints


def events(graph: TaskGraph, order: Literal["program", "skew"] = "program") -> Events:
    """Return the events of a task graph, with its ports' order of service as edges.

    Every tile iteration starts and finishes, every separate transfer starts, every task begins and
    every block has been served. A task waits for the start of its block and for the previous task
    on its port; a block waits for its tasks. A tile iteration starts after the previous one of its
    leaf, and when its fills have passed; it finishes after the previous one, and when its
    foreground has passed. A write-back starts when its tile iteration has finished.

    Where some block passes later than it was served, there is one event more per tile iteration:
    it and all earlier ones of its leaf have been served. Else that is the finish. The last event is
    the end of everything.
    """
    n, blocks, tasks = graph.iterations, graph.blocks, graph.tasks
    task0, block0, finish0 = blocks, blocks + tasks, 2 * blocks + tasks
    served0 = finish0 + n if graph.late else finish0
    end = served0 + n
    iteration, task = np.arange(n), np.arange(tasks)
    latency = graph.latency
    fills = np.flatnonzero(graph.kind == FILL)
    backs = np.flatnonzero(graph.kind == WRITE_BACK)
    late_backs = backs[latency[backs] > 0]
    successors = np.flatnonzero(~graph.leaf_starts)
    empty = np.flatnonzero(np.bincount(graph.task_block, minlength=blocks) == 0)
    served_in, _ = graph.port_order(skewed=order == "skew")
    earlier, later = served_in[:-1], served_in[1:]
    same_port = graph.task_port[earlier] == graph.task_port[later]
    earlier, later = earlier[same_port], later[same_port]
    duration = graph.task_duration
    source, until = graph.edge_source, graph.edge_until
    own = source < n
    awaited = np.where(own, np.where(until == PASSED, finish0, served0), block0)
    awaited[until == STARTED] = 0
    delays = np.where(~own & (until == PASSED), latency[source], 0)
    started, held, lags = stall_precedences(graph)
    parts: list[tuple[Ints, Ints, Ints | int]] = [
        (successors - 1, successors, 0),
        (block0 + fills, graph.owner[fills], latency[fills]),
        (finish0 + graph.owner[backs], backs, 0),
        (graph.task_block, task0 + task, 0),
        (empty, block0 + empty, 0),
        (task0 + earlier, task0 + later, duration[earlier]),
        (task0 + task, block0 + graph.task_block, duration),
        (block0 + iteration, finish0 + iteration, latency[:n]),
        (finish0 + successors - 1, finish0 + successors, 0),
        (started, finish0 + held, lags),
        (awaited + source, graph.edge_target, delays),
        (block0 + late_backs, np.full(len(late_backs), end), latency[late_backs]),
    ]
    if graph.late:
        parts += [
            (block0 + iteration, served0 + iteration, 0),
            (served0 + successors - 1, served0 + successors, 0),
        ]
    return Events(
        end + 1,
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


def by_polylat(graph: TaskGraph, order: Literal["program", "skew"] = "program") -> int:
    """Build polylat's index, sort the tasks of each port, and compute the makespan."""
    timing = ExplicitTaskGraph(graph).time(order)
    assert timing.legal, f"the order {order} contradicts the dependences"
    return timing.makespan
