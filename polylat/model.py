"""From a spec to its timings: lowering, accesses, dependences and orders in one go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from polylat.accesses.blocks import Block
from polylat.accesses.counting import leaf_blocks
from polylat.dependences.layout import Edges, Layout
from polylat.dependences.rules import Slots, dependences
from polylat.dependences.skew import shifts
from polylat.errors import TooLargeError
from polylat.lowering.paths import Leaf, leaves
from polylat.lowering.sharing import Source, sources
from polylat.lowering.tiles import Tiles, count_tiles, shared_radices, tiles
from polylat.schedule.graph import TaskGraph
from polylat.schedule.timing import Plan, plan
from polylat.spec import Spec
from polylat.tasks import Costs, build_graph, costs

__all__ = ["Granularity", "Lowered", "Model", "lower", "sequential_leaves"]

Granularity = Literal["tile", "flow", "full"]


@dataclass(frozen=True, eq=False)
class Lowered:
    """A mapping's leaves with their tile iterations: what does not depend on the options.

    Parameters
    ----------
    spec
        The input.
    leaves
        Its leaves.
    granularity
        The granularity of the tile iterations.
    tiles
        Per leaf, its tile iterations.
    found
        (leaf, input tensor) → where it is found.
    """

    spec: Spec
    leaves: tuple[Leaf, ...]
    granularity: Granularity
    tiles: tuple[Tiles, ...]
    found: Mapping[tuple[int, str], Source]

    @property
    def size(self) -> int:
        """Number of tile iterations."""
        return sum(t.size for t in self.tiles)


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
    plan
        The task graph, ready to be timed.
    """

    lowered: Lowered
    background: frozenset[tuple[str, str]]
    slots: Slots
    layout: Layout
    edges: Edges
    costs: Costs
    plan: Plan

    @property
    def graph(self) -> TaskGraph:
        """The task graph."""
        return self.plan.graph


def lower(spec: Spec, granularity: Literal["auto"] | Granularity, max_tiles: int) -> Lowered:
    """Lower a mapping.

    Raises
    ------
    MappingError, UnsupportedError
        The mapping is illegal, or not modelled.
    TooLargeError
        There are more than `max_tiles` tile iterations.
    """
    found = leaves(spec)
    chosen: Granularity = "flow" if granularity == "auto" else granularity
    depths = _depths(found, chosen)
    count = _count(found, depths)
    if granularity == "auto" and count > max_tiles:
        chosen = "tile"
        depths = _depths(found, chosen)
        count = _count(found, depths)
    if count > max_tiles:
        raise TooLargeError(
            f"the mapping has {count} tile iterations at granularity {chosen!r}, more than"
            f" max_tiles={max_tiles}",
            where="mapping",
            mend="raise max_tiles" + ("" if chosen == "tile" else ", or use granularity='tile'"),
        )
    radices = shared_radices(found)
    made = tuple(tiles(leaf, depth, radices) for leaf, depth in zip(found, depths, strict=True))
    return Lowered(spec, found, chosen, made, sources(found))


def build(
    lowered: Lowered,
    background: frozenset[tuple[str, str]],
    slots: Slots,
    *,
    sequential: bool = False,
) -> Model:
    """Build the task graph of a lowered mapping under given options.

    Parameters
    ----------
    lowered, background, slots
        The mapping and the options.
    sequential
        Take every Pipeline as a Sequential.
    """
    if sequential:
        lowered = sequential_leaves(lowered)
    spec = lowered.spec
    blocks: list[tuple[Block, ...]] = []
    for leaf, some in zip(lowered.leaves, lowered.tiles, strict=True):
        components = {c.name: c for c in spec.arch.paths[leaf.einsum.name]}
        mine = {t: s for (n, t), s in lowered.found.items() if n == leaf.number}
        blocks.append(leaf_blocks(some, components, mine, background))
    layout = Layout.of(lowered.tiles, blocks)
    edges = dependences(lowered.leaves, layout, lowered.found, slots)
    durations = costs(spec, lowered.leaves, blocks)
    graph = build_graph(layout, edges, durations, shifts(lowered.leaves, layout, lowered.found))
    return Model(lowered, background, slots, layout, edges, durations, plan(graph))


def sequential_leaves(lowered: Lowered) -> Lowered:
    """The same mapping with every Pipeline as a Sequential."""
    changed = tuple(
        replace(leaf, splits=tuple(replace(s, pipeline=False) for s in leaf.splits))
        for leaf in lowered.leaves
    )
    made = tuple(
        replace(some, leaf=leaf) for some, leaf in zip(lowered.tiles, changed, strict=True)
    )
    return replace(lowered, leaves=changed, tiles=made)


def _depths(found: Sequence[Leaf], granularity: Granularity) -> list[int]:
    exchanged = {
        tensor
        for leaf in found
        for tensor in leaf.einsum.outputs
        if any(tensor in other.einsum.inputs for other in found if other is not leaf)
    }
    return [_depth(leaf, exchanged, granularity) for leaf in found]


def _depth(leaf: Leaf, exchanged: Iterable[str], granularity: Granularity) -> int:
    if granularity == "tile":
        return leaf.fixed_depth
    if granularity == "full":
        return len(leaf.temporal)
    variables = {v for a in leaf.einsum.accesses if a.tensor in exchanged for v in a.variables}
    indexing = [k + 1 for k, loop in enumerate(leaf.temporal) if loop.variable in variables]
    return max([leaf.fixed_depth, *indexing])


def _count(found: Sequence[Leaf], depths: Sequence[int]) -> int:
    return sum(count_tiles(leaf, depth) for leaf, depth in zip(found, depths, strict=True))
