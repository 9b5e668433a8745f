"""From a spec to its timings: lowering, accesses, dependences and orders in one go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from polylat.accesses.blocks import Block
from polylat.accesses.counting import leaf_blocks
from polylat.dependences.layout import Edges, Layout
from polylat.dependences.rules import Slots, dependences
from polylat.dependences.skew import shifts
from polylat.lowering.kept import Kept
from polylat.lowering.paths import Leaf, leaves
from polylat.lowering.sharing import Source, sources
from polylat.lowering.tiles import count_tiles, shared_radices, tiles
from polylat.repeats import repeats
from polylat.schedule.graph import TaskGraph
from polylat.schedule.periodic import PeriodicPlan
from polylat.schedule.timing import Plan, plan
from polylat.spec import Spec
from polylat.tasks import Costs, build_graph, costs

__all__ = ["Granularity", "Lowered", "Model", "coarsest", "lower", "sequential_leaves"]

Granularity = Literal["tile", "flow", "full"]


@dataclass(frozen=True, eq=False)
class Lowered:
    """A mapping's leaves and how finely their tile iterations are told apart.

    Parameters
    ----------
    spec
        The input.
    leaves
        Its leaves.
    granularity
        The granularity of the tile iterations.
    depths
        Per leaf, the number of Temporal loops that index its tile iterations.
    found
        (leaf, input tensor) → where it is found.
    """

    spec: Spec
    leaves: tuple[Leaf, ...]
    granularity: Granularity
    depths: tuple[int, ...]
    found: Mapping[tuple[int, str], Source]

    @cached_property
    def size(self) -> int:
        """Number of tile iterations."""
        return sum(map(count_tiles, self.leaves, self.depths))


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


def lower(spec: Spec, granularity: Granularity) -> Lowered:
    """Lower a mapping.

    Raises
    ------
    MappingError, UnsupportedError
        The mapping is illegal, or not modelled.
    """
    found = leaves(spec)
    return Lowered(spec, found, granularity, _depths(found, granularity), sources(found))


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


def sequential_leaves(lowered: Lowered) -> Lowered:
    """The same mapping with every Pipeline as a Sequential."""
    changed = tuple(
        replace(leaf, splits=tuple(replace(s, pipeline=False) for s in leaf.splits))
        for leaf in lowered.leaves
    )
    return replace(lowered, leaves=changed)


def coarsest(lowered: Lowered) -> Lowered:
    """The same mapping at granularity "tile"."""
    return replace(lowered, granularity="tile", depths=_depths(lowered.leaves, "tile"))


def _depths(found: Sequence[Leaf], granularity: Granularity) -> tuple[int, ...]:
    exchanged = {
        tensor
        for leaf in found
        for tensor in leaf.einsum.outputs
        if any(tensor in other.einsum.inputs for other in found if other is not leaf)
    }
    return tuple(_depth(leaf, exchanged, granularity) for leaf in found)


def _depth(leaf: Leaf, exchanged: Iterable[str], granularity: Granularity) -> int:
    if granularity == "tile":
        return leaf.fixed_depth
    if granularity == "full":
        return len(leaf.temporal)
    variables = {v for a in leaf.einsum.accesses if a.tensor in exchanged for v in a.variables}
    indexing = [k + 1 for k, loop in enumerate(leaf.temporal) if loop.variable in variables]
    return max([leaf.fixed_depth, *indexing])
