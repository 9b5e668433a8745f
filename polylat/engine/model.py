"""A mapping under given options, down to a task graph that is ready to be timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from polylat.engine.extension import repeats
from polylat.lowering.accesses.blocks import Block
from polylat.lowering.accesses.counting import leaf_blocks
from polylat.lowering.dependences.rules import Slots, dependences
from polylat.lowering.dependences.skew import shifts
from polylat.lowering.enumeration import shared_radices, tiles
from polylat.lowering.lowered import Lowered
from polylat.lowering.numbering import Edges, Layout
from polylat.lowering.ports import Costs, costs
from polylat.lowering.sampling import Kept
from polylat.lowering.task_graph import build_graph
from polylat.schedule.extrapolation import PeriodicPlan
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import Plan, plan

__all__ = ["Model", "build"]


@dataclass(frozen=True, eq=False)
class Model:
    """A mapping with its options, down to the task graph.

    Parameters
    ----------
    lowered
        The mapping.
    background, slots
        The options.
    layout, edges, costs
        Numbering, dependences and durations.
    shifts
        Per Pipeline (tree node), the shift of each stage in the skewed dates.
    plan
        The task graph, ready to be timed.
    """

    lowered: Lowered
    background: frozenset[tuple[str, str]]
    slots: Slots
    layout: Layout
    edges: Edges
    costs: Costs
    shifts: Mapping[int, Sequence[int]]
    plan: Plan | PeriodicPlan

    @property
    def graph(self) -> TaskGraph:
        """The task graph."""
        return self.plan.graph

    @property
    def engine(self) -> Literal["explicit", "periodic"]:
        """Whether all tile iterations are looked at, or some stand for others."""
        return "explicit" if self.layout.whole else "periodic"


def build(
    lowered: Lowered,
    background: frozenset[tuple[str, str]],
    slots: Slots,
    *,
    kept: Mapping[int, Kept] | None = None,
) -> Model:
    """Build the task graph of a lowered mapping under given options.

    Parameters
    ----------
    lowered, background, slots
        The mapping and the options.
    kept
        Per loop (tree node), which of its iterations are looked at; None: all of them.

    Raises
    ------
    MappingError
        Something is read that nobody brought there.
    TooLargeError
        There are too many tile iterations to look at.
    IrregularError
        What is left out is not like what is looked at.
    """
    spec = lowered.spec
    if kept is None:
        kept = {node: Kept(trips) for node, trips in shared_radices(lowered.leaves).items()}
    made = [tiles(leaf, n, kept) for leaf, n in zip(lowered.leaves, lowered.depths, strict=True)]
    blocks: list[tuple[Block, ...]] = []
    for leaf, some in zip(lowered.leaves, made, strict=True):
        components = {c.name: c for c in spec.arch.paths[leaf.einsum.name]}
        mine = {t: s for (n, t), s in lowered.found.items() if n == leaf.number}
        blocks.append(leaf_blocks(some, components, mine, background))
    layout = Layout.of(made, blocks)
    edges = dependences(lowered.leaves, layout, lowered.found, slots)
    durations = costs(spec, lowered.leaves, made, blocks)
    moved = shifts(lowered.leaves, layout, lowered.found)
    graph = build_graph(layout, edges, durations, moved)
    how: Plan | PeriodicPlan
    if layout.whole:
        how = plan(graph)
    else:
        how = PeriodicPlan(graph, repeats(layout, graph, moved))
    return Model(lowered, background, slots, layout, edges, durations, moved, how)
