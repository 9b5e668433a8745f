"""The graph of all variants contains the task graph of each one, as `engine.model` builds it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from polylat import MappingError, Spec, UnsupportedError
from polylat.engine.model import build
from polylat.exploration.axes import limited_holders, memories_with_transfers, write_backs
from polylat.exploration.cell import Cell
from polylat.exploration.choice import TransferChoice
from polylat.exploration.shared_tables import SharedTables
from polylat.exploration.variants import VariantGraph
from polylat.lowering.lowered import lower
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import with_pipelines
from polylat.lowering.ports import PortKey
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.graph import TaskGraph
from polylat.spec.names import known_names
from polylat.spec.slots import slots_of
from polylat.spec.staged import Staged
from recurrent_cascades import recurrent_cascades
from strategies import cascades

Draw = Any
Key = Hashable
FEWER = settings(max_examples=max(5, settings().max_examples // 2))
COUNTS = (1, 2, None)


@st.composite
def variants(draw: Draw) -> tuple[Spec, TransferChoice, frozenset[int], Any]:
    """A mapping; the separate transfers, the Pipelines and the slots of a variant."""
    data, _ = draw(cascades() | recurrent_cascades())
    try:
        spec = Spec.from_dict(data)
        lowered = lower(spec, "tile")
    except (MappingError, UnsupportedError):
        assume(False)
        raise
    nodes = sorted({split.node for leaf in lowered.leaves for split in leaf.splits})
    background = frozenset(pair for pair in write_backs(lowered) if draw(st.booleans()))
    memories = memories_with_transfers(lowered)
    staged: Staged = tuple((None, memory) for memory in memories if draw(st.booleans()))
    known = known_names(spec.workload, spec.arch.order, spec.mapping)
    staged += tuple(pair for pair in known.holders if draw(st.sampled_from((False, False, True))))
    pipelines = frozenset(node for node in nodes if draw(st.booleans()))
    names = [*spec.workload.tensors, *(f"{t}@{c}" for t, c in known.holders)]
    slots = {name: draw(st.sampled_from(COUNTS)) for name in names}
    return spec, TransferChoice(staged, background), pipelines, slots


def names_of_blocks(layout: Numbering) -> list[Key]:
    """What each block is."""
    names: list[Key] = list(range(layout.iterations))
    for leaf, streams in enumerate(layout.streams):
        for stream in streams:
            block = stream.block
            if block.kind != "foreground":
                key = (leaf, block.kind, block.tensor, block.level)
                names += [(key, iteration) for iteration in stream.iterations.tolist()]
    return names


def named_edges(graph: TaskGraph, layout: Numbering, chosen: np.ndarray) -> set[Key]:
    """What waits for what, and until when."""
    names = names_of_blocks(layout)
    columns = (graph.edge_source, graph.edge_target, graph.edge_reason, graph.edge_until)
    rows = zip(*(column[chosen].tolist() for column in columns), strict=True)
    return {(names[source], names[target], *more) for source, target, *more in rows}


def named_durations(graph: TaskGraph, ports: Sequence[PortKey]) -> set[Key]:
    """Block, port, and for how long the port serves it."""
    columns = (graph.task_block, graph.task_port, graph.task_duration)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {(block, ports[port], duration) for block, port, duration in rows}


@FEWER
@given(variants())
def test_the_graph_of_a_variant_satisfies_its_conditions(case: Any) -> None:
    spec, transfers, pipelines, slots = case
    options = TransferOptions(transfers.background, transfers.staged, slots)
    lowered = lower(spec, "flow", options)
    try:
        variant = replace(lowered, leaves=with_pipelines(lowered.leaves, pipelines))
        model = build(variant, options)
    except (MappingError, UnsupportedError):
        assume(False)
        raise
    graph = VariantGraph(SharedTables(lowered), transfers, COUNTS)
    known = limited_holders(lowered, transfers.staged)
    assert {*graph.holders} <= {*known}
    counts = np.array([slots_of(slots, *holder) or 0 for holder in graph.holders], dtype=np.int64)
    cell = Cell(graph, pipelines, counts[np.newaxis])

    split, holder, count = graph.conditions.T
    holds = (split < 0) | np.append(cell.sequential, True)[split]
    holds &= (holder < 0) | (np.append(counts, 0)[holder] == np.array(graph.slot_counts)[count])
    every = np.ones(len(model.graph.edge_source), dtype=np.bool_)
    found = named_edges(cell.tasks, graph.layout, holds[graph.tasks.edge_rule])
    assert found == named_edges(model.graph, model.layout, every)

    assert named_durations(cell.tasks, cell.ports) == named_durations(
        model.graph, model.costs.ports
    )
    assert np.array_equal(graph.hosts(counts[: graph.ahead] == 1), model.graph.host)
    assert np.array_equal(cell.tasks.latency, model.graph.latency)
    assert np.array_equal(cell.tasks.background, model.graph.background)
    assert cell.tasks.rigid.keys() == model.graph.rigid.keys()
    for leaf, durations in model.graph.rigid.items():
        assert np.array_equal(cell.tasks.rigid[leaf], durations)
