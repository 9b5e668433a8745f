"""How long each access of a block occupies each port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polylat.lowering.accesses.blocks import Block
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.numbering import Numbering
from polylat.lowering.ports import AccessCosts
from polylat.lowering.units import users_label
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.graph import TaskGraph
from polylat.spec.arch import LATENCY, OVERHEAD

__all__ = [
    "AccessKind",
    "access_durations",
    "latency_kind",
    "tasks_by_block_and_port",
]


@dataclass(frozen=True)
class AccessKind:
    """The accesses of a leaf to one tensor by one action on one port.

    Parameters
    ----------
    leaf
        Number of the leaf.
    component, port
        Names of the component and of its port; of a fixed latency, no port.
    units
        The units of the component, named by `units.users_label`; empty where they are not divided.
    tensor, action
        The tensor (None for a computation and for `OVERHEAD`) and the action; `OVERHEAD` is the
        time that a port is busy once per leaf, `LATENCY` a fixed latency.
    """

    leaf: int
    component: str
    port: str
    units: str
    tensor: str | None
    action: str


def tasks_by_block_and_port(
    graph: TaskGraph, layout: Numbering
) -> Iterator[tuple[int, Block, int, Ints, Ints]]:
    """Group the tasks of a graph by block and port.

    Parameters
    ----------
    graph
        The task graph.
    layout
        The numbering of its tile iterations and blocks.

    Yields
    ------
    (leaf, block, port, tasks, iterations)
        The number of the leaf, the block, the number of the port, the tasks, shape (n,), and
        their tile iterations, numbered within the leaf, shape (n,).
    """
    owner = graph.owner[graph.task_block]
    leaves, sequence = graph.leaf[owner], graph.sequence[graph.task_block]
    iterations = owner - np.array(layout.bases, dtype=np.int64)[leaves]
    order = np.lexsort((graph.task_port, sequence, leaves))
    keys = np.stack((leaves, sequence, graph.task_port))[:, order]
    changes = np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1
    for tasks in np.split(order, changes) if len(order) else ():
        leaf, port = int(leaves[tasks[0]]), int(graph.task_port[tasks[0]])
        block = layout.blocks[leaf][int(sequence[tasks[0]])]
        yield leaf, block, port, tasks, iterations[tasks]


def access_durations(
    lowered: LoweredMapping,
    costs: AccessCosts,
    leaf: int,
    block: Block,
    port: int,
    iterations: Ints,
) -> list[tuple[AccessKind, Ints, Times]]:
    """Split the durations of a block on a port into those of its accesses.

    Parameters
    ----------
    lowered
        The mapping.
    costs
        Steps that each value takes.
    leaf, block, port
        The number of the leaf, the block, and the number of the port.
    iterations
        Tile iterations, numbered within the leaf, shape (n,).

    Returns
    -------
    list of (kind, positions, steps)
        One entry per access in the order of service, and one for the overhead of the leaf: the
        positions in `iterations` that have the access, shape (m,), and the steps that it takes
        there, shape (m,).
    """
    dtype: type = object if costs.exact else np.int64
    key = costs.ports[port]
    einsum = lowered.leaves[leaf].einsum
    component = lowered.spec.arch.component(einsum.name, key.component)
    place = (leaf, key.component, component.ports[key.index].name)
    units = users_label(lowered.leaves, key.users)
    found: list[tuple[AccessKind, Ints, Times]] = []
    for access in block.accesses:
        busy = costs.steps(leaf, access, port)
        if busy is None:
            continue
        at = np.minimum(np.searchsorted(access.iterations, iterations), len(access.iterations) - 1)
        positions = np.flatnonzero(access.iterations[at] == iterations)
        kind = AccessKind(*place, units, access.tensor, access.action)
        found.append((kind, positions, busy[at[positions]]))
    once = costs.constant.get((leaf, key.component), {}).get(port, 0)
    if once and block.kind == "foreground":
        positions = np.flatnonzero(iterations == 0)
        steps: Times = np.full(len(positions), once, dtype=dtype)
        found.append((AccessKind(*place, units, None, OVERHEAD), positions, steps))
    return found


def latency_kind(lowered: LoweredMapping, leaf: int, block: Block) -> AccessKind:
    """Return the fixed latency of a block as a kind of access.

    Parameters
    ----------
    lowered
        The mapping.
    leaf, block
        The number of the leaf, and its block.

    Returns
    -------
    AccessKind
        The latency; no port serves it.
    """
    path = lowered.leaves[leaf]
    if block.tensor is None:
        return AccessKind(leaf, path.component, "", "", None, LATENCY)
    component = path.storages(block.tensor)[block.level].component
    return AccessKind(leaf, component, "", "", block.tensor, LATENCY)
