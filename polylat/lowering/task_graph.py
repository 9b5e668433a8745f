"""The task graph of a mapping: tasks with durations, and precedence edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from polylat.lowering.accesses.blocks import Block
from polylat.lowering.accesses.counting import Units
from polylat.lowering.enumeration import iteration_table, trip_counts
from polylat.lowering.iterations import IterationTable
from polylat.lowering.logical_dates import logical_dates
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.numbering import DependenceEdges, Numbering
from polylat.lowering.paths import LoopKeys, loop_nodes
from polylat.lowering.ports import AccessCosts
from polylat.lowering.sampling import LoopSample
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.arrays import Ints, Narrow, Times, narrow_type
from polylat.schedule.graph import LogicalDates, TaskGraph

__all__ = [
    "KINDS",
    "blocks_of_leaf",
    "build_graph",
    "iteration_tables",
    "number_blocks",
    "with_dependences",
]

KINDS = {"fill": 0, "foreground": 1, "write_back": 2}
"""The kinds of blocks, as numbers in the order in which ports serve those of a tile iteration."""


def number_blocks(
    lowered: LoweredMapping,
    options: TransferOptions,
    kept: Mapping[int, LoopSample] | None = None,
    keys: LoopKeys | None = None,
) -> Numbering:
    """Enumerate and number the tile iterations and the blocks of a mapping.

    Parameters
    ----------
    lowered
        The mapping.
    options
        Which transfers are separate.
    kept
        Key of a loop → its sampled iterations; None: all of them.
    keys
        Per leaf, the keys of its Temporal loops; None: their tree nodes.

    Returns
    -------
    Numbering
        The numbering.

    Raises
    ------
    TooLargeError
        There are too many sampled tile iterations.
    """
    tables = iteration_tables(lowered, kept, keys)
    blocks = [blocks_of_leaf(lowered, table, options) for table in tables]
    for table in tables:
        table.lengths.clear()  # nothing else counts accesses
    return Numbering.of(tables, blocks)


def iteration_tables(
    lowered: LoweredMapping,
    kept: Mapping[int, LoopSample] | None = None,
    keys: LoopKeys | None = None,
) -> list[IterationTable]:
    """Enumerate the tile iterations of all leaves.

    Parameters
    ----------
    lowered, kept, keys
        As for `number_blocks`.

    Returns
    -------
    list of IterationTable
        The tile iterations, leaf by leaf.

    Raises
    ------
    TooLargeError
        There are too many sampled tile iterations.
    """
    if kept is None:
        kept = {node: LoopSample(trips) for node, trips in trip_counts(lowered.leaves).items()}
    if keys is None:
        keys = loop_nodes(lowered.leaves)
    return [
        iteration_table(
            leaf,
            n,
            {loop.node: kept[k] for loop, k in zip(leaf.temporal[:n], mine[:n], strict=True)},
        )
        for leaf, n, mine in zip(lowered.leaves, lowered.depths, keys, strict=True)
    ]


def blocks_of_leaf(
    lowered: LoweredMapping,
    table: IterationTable,
    options: TransferOptions,
    units: Units = "busiest",
) -> tuple[Block, ...]:
    """Return the blocks of a leaf.

    Parameters
    ----------
    lowered, table, options
        The mapping, the tile iterations of the leaf, and which transfers are separate.
    units
        The units whose values are counted.

    Returns
    -------
    tuple of Block
        As `leaf_blocks` returns them.
    """
    leaf = table.leaf
    found = {tensor: lowered.found[leaf.number, tensor] for tensor in leaf.einsum.reads}
    return lowered.counted.of(table, found, lowered.leaves, lowered.produced, options, units)


def build_graph(
    layout: Numbering,
    edges: DependenceEdges,
    costs: AccessCosts,
    shifts: Mapping[int, Sequence[int]],
) -> TaskGraph:
    """Build the task graph of a mapping.

    A task is the service of a block on one port.

    Parameters
    ----------
    layout, edges, costs
        The numbering of tile iterations and blocks, the dependences, and the durations.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.

    Returns
    -------
    TaskGraph
        The task graph; durations in steps of 1/scale.
    """
    dtype: type = object if costs.exact else np.int64
    blocks: list[Ints] = []
    ports: list[Ints] = []
    durations: list[Times] = []
    number = layout.number_type
    few = np.int8 if layout.whole and len(costs.ports) < 1 << 6 else np.int32
    owner: Narrow = np.empty(layout.total, dtype=number)
    owner[: layout.iterations] = np.arange(layout.iterations)
    host = owner.copy()
    kind = np.ones(layout.total, dtype=np.int8)
    streams = max(map(len, layout.streams), default=0)
    sequence: Narrow = np.zeros(
        layout.total, dtype=np.int8 if layout.whole and streams < 1 << 6 else np.int32
    )
    background = np.zeros(layout.total, dtype=np.bool_)
    latency: Times = np.full(layout.total, 0, dtype=dtype)
    starts = np.zeros(layout.iterations, dtype=np.bool_)
    rigid: dict[int, Times] = {}
    for leaf, mine in enumerate(layout.streams):
        tiles, base = layout.tiles[leaf], layout.bases[leaf]
        starts[base] = True
        for index, stream in enumerate(mine):
            block, first, iterations = stream.block, stream.first, stream.iterations
            here = stream.span
            if block.kind == "foreground":
                late = foreground_latency(costs, leaf, block, tiles.size)
            else:
                passing = sum(costs.latency(leaf, access) for access in block.accesses)
                late = np.full(len(iterations), passing, dtype=dtype)
                owner[here] = base + iterations
                hosts = _hosts(iterations) if block.ahead else iterations
                host[here] = base + hosts
            latency[here] = late
            kind[here] = KINDS[block.kind]
            background[here] = block.background
            sequence[here] = index
            longest: Times = np.full(len(iterations), 0, dtype=dtype)
            for port, load in _loads(leaf, block, iterations, costs, dtype).items():
                busy = np.flatnonzero(load)
                blocks.append((first + busy).astype(number, copy=False))
                ports.append(np.broadcast_to(few(port), busy.shape))
                durations.append(_in_few_bits(load[busy]) if layout.whole else load[busy])
                longest = np.maximum(longest, load)
            if block.kind == "foreground" and leaf in costs.rigid:
                rigid[leaf] = longest
    if layout.whole and not costs.exact and not latency.any():
        latency = np.broadcast_to(np.int64(0), latency.shape)
    return TaskGraph(
        leaf_starts=starts,
        leaf=np.repeat(
            np.arange(len(layout.tiles), dtype=np.int32), [t.size for t in layout.tiles]
        ),
        multiplicity=_multiplicity(layout),
        owner=owner,
        host=owner if np.array_equal(host, owner) else host,
        kind=kind,
        background=background,
        sequence=sequence,
        latency=latency,
        task_block=_joined(blocks),
        task_port=_joined(ports),
        task_duration=_joined(durations),
        ports=len(costs.ports),
        edge_source=edges.source,
        edge_target=edges.target,
        edge_until=edges.until,
        edge_reason=edges.reason,
        edge_rule=edges.rule,
        edge_periods=edges.periods,
        rigid=rigid,
        dates=logical_dates(layout, shifts),
    )


def with_dependences(
    graph: TaskGraph,
    layout: Numbering,
    edges: DependenceEdges,
    shifts: Mapping[int, Sequence[int]],
) -> TaskGraph:
    """Return the task graph of a mapping that differs from another one in its splits only.

    Parameters
    ----------
    graph
        The task graph of the other mapping, with the same tasks.
    layout, edges, shifts
        As for `build_graph`.

    Returns
    -------
    TaskGraph
        The task graph, which shares the tasks.
    """
    dates = logical_dates(layout, shifts)
    if np.array_equal(dates.program, graph.dates.program):
        skew = graph.dates.program if dates.skew is dates.program else dates.skew
        dates = LogicalDates(graph.dates.program, skew)
    return replace(
        graph,
        edge_source=edges.source,
        edge_target=edges.target,
        edge_until=edges.until,
        edge_reason=edges.reason,
        edge_rule=edges.rule,
        edge_periods=edges.periods,
        dates=dates,
    )


def _in_few_bits(times: Times) -> Times:
    """Return times in as few bits as they need."""
    if times.dtype == object:
        return times
    most = int(times.max(initial=0))
    return times.astype(np.int16 if most < 1 << 15 else narrow_type(most))


def _joined(parts: list[Times]) -> Times:
    """Concatenate arrays, and release them."""
    found = np.concatenate(parts or [np.zeros(0, dtype=np.int16)])
    parts.clear()
    return found


def _multiplicity(layout: Numbering) -> Ints:
    if layout.whole:
        return np.broadcast_to(np.int64(1), (layout.iterations,))
    return np.concatenate([tiles.multiplicity for tiles in layout.tiles])


def _loads(
    leaf: int, block: Block, iterations: Ints, costs: AccessCosts, dtype: type
) -> dict[int, Times]:
    """Return number of a port → steps per occurrence of a block, shape (n,)."""
    loads: dict[int, Times] = {}

    def load(port: int) -> Times:
        return loads.setdefault(port, np.full(len(iterations), 0, dtype=dtype))

    for access in block.accesses:
        at = (
            access.iterations
            if block.kind == "foreground"
            else np.searchsorted(iterations, access.iterations)
        )
        for port, steps in costs.durations(leaf, access).items():
            load(port)[at] += steps
    if block.kind == "foreground":
        for constants in costs.constants_of(leaf):
            for port, once in constants.items():
                load(port)[0] += once
    return loads


def foreground_latency(costs: AccessCosts, leaf: int, block: Block, size: int) -> Times:
    """Return how long after its service a foreground passes: its longest chain of accesses.

    Inwards, the slowest of its tensors; the computation; outwards. Each access that a tile
    iteration has is a link of its chain.

    Parameters
    ----------
    costs, leaf, block
        The latencies of accesses, the number of a leaf, and its foreground.
    size
        Number of tile iterations of the leaf.

    Returns
    -------
    numpy.ndarray
        Steps, shape (size,).
    """
    dtype: type = object if costs.exact else np.int64
    inward: dict[str | None, Times] = {}
    behind: Times = np.full(size, 0, dtype=dtype)
    for access in block.accesses:
        late = costs.latency(leaf, access)
        if late:
            chain = behind
            if access.inward:
                none: Times = np.full(size, 0, dtype=dtype)
                chain = inward.setdefault(access.tensor, none)
            chain[access.iterations] += late
    ahead: Times = np.full(size, 0, dtype=dtype)
    for chain in inward.values():
        ahead = np.maximum(ahead, chain)
    return ahead + behind


def _hosts(iterations: Ints) -> Ints:
    """Return the first tile iteration of the tile before each tile, of the first tile itself.

    The tile iterations of a stream of fills are those that enter a tile.
    """
    return iterations[np.maximum(np.arange(len(iterations)) - 1, 0)]
