"""Where the states of a recurrence are held, and how its inputs arrive."""

from __future__ import annotations

from polylat.analysis.recurrences import Recurrence
from polylat.analysis.recurrent_analysis import RecurrentAnalysis, RingChange
from polylat.lowering.paths import producer_of
from polylat.spec.mapping import Branch, Storage
from polylat.spec.rewriting import (
    node_at,
    path_of,
    temporal_loops_of,
    with_nodes,
    without_storage,
)
from polylat.spec.staged import staged_holders

__all__ = ["add_inner_memories", "add_staged_inputs"]


def add_inner_memories(analysis: RecurrentAnalysis, ring: Recurrence) -> None:
    """Add the changes that hold a state of a recurrence closer to the unit.

    In each memory inside of those that hold it, above and below the loop that carries it; where the
    innermost one stands below that loop, above it; and where others read the last state only, in an
    inner memory alone.

    Parameters
    ----------
    analysis
        The changes.
    ring
        The recurrence.
    """
    spec = analysis.spec
    for state in ring.states:
        tensor = state.tensor
        leaf = producer_of(analysis.leaves.values(), tensor)
        producer, storages = leaf.einsum.name, leaf.storages(tensor)
        innermost = storages[-1]
        for memory in spec.arch.memories_inside(producer, innermost.component):
            for side in ("above", "below"):
                _add_storage(analysis, ring, tensor, memory, side)
        if innermost.depth > ring.depth and len(storages) > 1:
            names = spec.workload.names_of(tensor)
            bare = without_storage(spec.mapping, tensor, innermost.component, names)
            _add_storage(analysis, ring, tensor, innermost.component, "above", bare)
        if state.last_read_by and not state.all_read_by and state.inner is not None:
            _add_only_storage(analysis, ring, tensor, producer, state.inner)


def _add_storage(
    analysis: RecurrentAnalysis,
    ring: Recurrence,
    tensor: str,
    component: str,
    side: str,
    bare: Branch | None = None,
) -> None:
    """Add the change that holds a state directly above or below the loop that carries it.

    `bare`: the mapping without the Storage that stands further inside.
    """
    mapping = analysis.spec.mapping if bare is None else bare
    place = temporal_loops_of(mapping, ring.einsums[0])[ring.depth]
    loop, storage = node_at(mapping, place), Storage(component, (tensor,))
    nodes = (storage, loop) if side == "above" else (loop, storage)
    spec = analysis.with_mapping(with_nodes(mapping, place, *nodes))
    if spec is None:
        return
    over = f"{side} the loop over {ring.variable}"
    names = ", ".join(analysis.spec.workload.names_of(tensor))
    what = f"{tensor} kept in {component} {over}"
    write = f"!Storage {{component: {component}, tensors: [{names}]}} directly {over}"
    if bare is not None:
        what, write = f"{what} instead of below", f"{write}, and not below it"
    analysis.add(RingChange("storage", what, write, spec, analysis.options), [ring])


def _add_only_storage(
    analysis: RecurrentAnalysis, ring: Recurrence, tensor: str, producer: str, component: str
) -> None:
    """Add the change that holds a state in one memory alone, where its outermost Storage stands."""
    mapping, workload = analysis.spec.mapping, analysis.spec.workload
    holders = [
        place
        for place in path_of(mapping, producer)
        if isinstance(node := node_at(mapping, place), Storage) and tensor in node.tensors
    ]
    outer, storage = node_at(mapping, holders[0]), Storage(component, (tensor,))
    names = workload.names_of(tensor)
    found = with_nodes(mapping, holders[0], outer, storage)
    for holder in analysis.spec.arch.order:
        found = without_storage(found, tensor, holder, names, storage)
    spec = analysis.with_mapping(found)
    if spec is not None:
        what = f"{tensor} kept in {component} alone"
        write = (
            f"!Storage {{component: {component}, tensors: [{', '.join(names)}]}} in place of the"
            f" outermost Storage of {tensor}, and no other"
        )
        analysis.add(RingChange("storage", what, write, spec, analysis.options), [ring])


def add_staged_inputs(analysis: RecurrentAnalysis, ring: Recurrence) -> None:
    """Add the change that stages the inputs of a recurrence: these need not wait for its state.

    Parameters
    ----------
    analysis
        The changes.
    ring
        The recurrence.
    """
    einsums = [analysis.leaves[name].einsum for name in ring.einsums]
    made = {tensor for einsum in einsums for tensor in einsum.outputs}
    inputs = {tensor for einsum in einsums for tensor in einsum.inputs} - made
    staged = set(staged_holders(analysis.options["staged"], analysis.known))
    pairs = [p for p in analysis.known.holders if p[0] in inputs and p not in staged]
    if not pairs:
        return
    options = {**analysis.options, "staged": (*analysis.options["staged"], *pairs)}
    names = ", ".join(f"{tensor}@{component}" for tensor, component in pairs)
    write = f"schedule: {{staged: [{names}]}}"
    analysis.add(RingChange("staged", f"{names} staged", write, analysis.spec, options), [ring])
