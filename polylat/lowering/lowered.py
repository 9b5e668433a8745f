"""A lowered mapping: its leaves, and the granularity of their tile iterations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from polylat.lowering.cascade import cascade_graph, exchanged_tensors
from polylat.lowering.enumeration import count_iterations
from polylat.lowering.paths import Leaf, with_pipelines
from polylat.lowering.sharing import SourceHolder, source_holders
from polylat.lowering.tree import mapping_leaves
from polylat.spec import Spec

__all__ = [
    "Granularity",
    "LoweredMapping",
    "at_tile_granularity",
    "lower",
    "with_sequential_splits",
]

Granularity = Literal["tile", "flow", "full"]


@dataclass(frozen=True, eq=False)
class LoweredMapping:
    """The leaves of a mapping and the granularity of their tile iterations.

    Parameters
    ----------
    spec
        The input.
    leaves
        The leaves, in tree order.
    granularity
        The granularity of the tile iterations.
    depths
        Per leaf, the number of Temporal loops that index its tile iterations.
    found
        (leaf, input tensor) → the holder in which the leaf finds it.
    """

    spec: Spec
    leaves: tuple[Leaf, ...]
    granularity: Granularity
    depths: tuple[int, ...]
    found: Mapping[tuple[int, str], SourceHolder]

    @cached_property
    def size(self) -> int:
        """Number of tile iterations of all leaves."""
        return sum(map(count_iterations, self.leaves, self.depths))


def lower(spec: Spec, granularity: Granularity) -> LoweredMapping:
    """Lower a mapping.

    Parameters
    ----------
    spec
        The input.
    granularity
        The loops that index tile iterations: ``"tile"``: those above the innermost Storage, Toll
        or split; ``"flow"``: also down to the innermost loop that indexes an exchanged tensor;
        ``"full"``: all Temporal loops.

    Returns
    -------
    LoweredMapping
        The lowered mapping.

    Raises
    ------
    MappingError, UnsupportedError
        The mapping is illegal, or not modeled.
    """
    found = mapping_leaves(spec)
    return LoweredMapping(
        spec, found, granularity, _depths(found, granularity), source_holders(found)
    )


def with_sequential_splits(lowered: LoweredMapping) -> LoweredMapping:
    """Return the same mapping with every Pipeline as a Sequential.

    Parameters
    ----------
    lowered
        The mapping.

    Returns
    -------
    LoweredMapping
        The changed mapping.
    """
    return replace(lowered, leaves=with_pipelines(lowered.leaves, ()))


def at_tile_granularity(lowered: LoweredMapping) -> LoweredMapping:
    """Return the same mapping at granularity ``"tile"``.

    Parameters
    ----------
    lowered
        The mapping.

    Returns
    -------
    LoweredMapping
        The mapping at the coarsest granularity.
    """
    return replace(lowered, granularity="tile", depths=_depths(lowered.leaves, "tile"))


def _depths(found: Sequence[Leaf], granularity: Granularity) -> tuple[int, ...]:
    exchanged = exchanged_tensors(cascade_graph(found))
    return tuple(_depth(leaf, exchanged, granularity) for leaf in found)


def _depth(leaf: Leaf, exchanged: Iterable[str], granularity: Granularity) -> int:
    if granularity == "tile":
        return leaf.fixed_depth
    if granularity == "full":
        return len(leaf.temporal)
    variables = {v for a in leaf.einsum.accesses if a.tensor in exchanged for v in a.variables}
    indexing = [k + 1 for k, loop in enumerate(leaf.temporal) if loop.variable in variables]
    return max([leaf.fixed_depth, *indexing])
