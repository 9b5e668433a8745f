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
from polylat.exploration.axes import capacity_tensors, write_backs
from polylat.exploration.cell import Cell
from polylat.exploration.variants import VariantGraph
from polylat.lowering.lowered import lower
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import with_pipelines
from polylat.lowering.ports import PortKey
from polylat.schedule.arrays import Ints
from polylat.schedule.graph import TaskGraph
from strategies import cascades

Draw = Any
Key = Hashable
FEWER = settings(max_examples=max(10, settings().max_examples // 2))


@st.composite
def variants(draw: Draw) -> tuple[Spec, list[Any], frozenset[int], Any]:
    """A mapping; the write-backs in the background, the Pipelines and the slots of a variant."""
    data, _ = draw(cascades())
    try:
        spec = Spec.from_dict(data)
        lowered = lower(spec, "full")
    except (MappingError, UnsupportedError):
        assume(False)
        raise
    nodes = sorted({split.node for leaf in lowered.leaves for split in leaf.splits})
    chosen = [pair for pair in dict.fromkeys(write_backs(lowered)) if draw(st.booleans())]
    pipelines = frozenset(node for node in nodes if draw(st.booleans()))
    counts = st.sampled_from((1, 2, None))
    slots = {tensor: draw(counts) for tensor in spec.workload.tensors}
    return spec, chosen, pipelines, slots


def names_of_blocks(layout: Numbering) -> list[Key]:
    """What each block is, whatever other blocks there are."""
    names: list[Key] = list(range(layout.iterations))
    for (leaf, index), (_, iterations) in layout.streams.items():
        block = layout.blocks[leaf][index]
        stream = (leaf, block.kind, block.tensor, block.level)
        names += [(stream, iteration) for iteration in iterations.tolist()]
    return names


def named_edges(graph: TaskGraph, layout: Numbering, chosen: np.ndarray) -> set[Key]:
    names = names_of_blocks(layout)
    names += [("finish", i) for i in range(layout.iterations)]
    columns = (graph.edge_source, graph.edge_target, graph.edge_reason)
    rows = zip(*(column[chosen].tolist() for column in columns), strict=True)
    return {(names[source], names[target], reason) for source, target, reason in rows}


def named_durations(
    graph: TaskGraph, layout: Numbering, block: Ints, ports: Sequence[PortKey]
) -> dict[tuple[Key, PortKey], int]:
    """Block and port → for how long the port serves it, if the tasks are those of given blocks."""
    names = names_of_blocks(layout)
    found: dict[tuple[Key, PortKey], int] = {}
    columns = (block, graph.task_port, graph.task_duration)
    for number, port, duration in zip(*(column.tolist() for column in columns), strict=True):
        if duration:
            at = names[number], ports[port]
            found[at] = found.get(at, 0) + duration
    return found


@FEWER
@given(variants())
def test_the_graph_of_a_variant_satisfies_its_conditions(case: Any) -> None:
    spec, chosen, pipelines, slots = case
    lowered = lower(spec, "full")
    try:
        variant = replace(lowered, leaves=with_pipelines(lowered.leaves, pipelines))
        model = build(variant, frozenset(chosen), slots)
    except (MappingError, UnsupportedError):
        assume(False)
        raise
    graph = VariantGraph(lowered, write_backs(lowered), (1, 2, None))
    copied = {t for leaf in lowered.leaves if leaf.einsum.is_copy for t in leaf.einsum.outputs}
    assert {*graph.tensors} - copied <= {*capacity_tensors(lowered)}
    cell = Cell(graph, pipelines)
    background = np.array([pair in chosen for pair in graph.write_backs], dtype=np.bool_)
    counts = np.array([slots[tensor] or 0 for tensor in graph.tensors], dtype=np.int64)

    split, write_back, tensor, count = graph.conditions.T
    holds = (split < 0) | np.append(cell.sequential, True)[split]
    holds &= (write_back < 0) | np.append(background, True)[write_back]
    holds &= (tensor < 0) | (np.append(counts, 0)[tensor] == np.array(graph.slot_counts)[count])
    every = np.ones(len(model.graph.edge_source), dtype=np.bool_)
    found = named_edges(cell.tasks, graph.layout, holds[graph.tasks.edge_rule])
    assert found == named_edges(model.graph, model.layout, every)

    own = np.append(background, True)[graph.write_back]
    block = np.where(own, np.arange(graph.tasks.blocks), graph.tasks.owner)[cell.tasks.task_block]
    assert named_durations(cell.tasks, graph.layout, block, cell.ports) == named_durations(
        model.graph, model.layout, model.graph.task_block, model.costs.ports
    )
