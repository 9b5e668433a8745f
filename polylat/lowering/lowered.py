"""A lowered mapping: its leaves, and the granularity of their tile iterations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from polylat.lowering.accesses.shared_blocks import CountedBlocks, SharedBlocks
from polylat.lowering.carried import separating_depth
from polylat.lowering.cascade import cascade_graph, exchanged_tensors
from polylat.lowering.enumeration import count_iterations
from polylat.lowering.paths import Leaf, with_pipelines
from polylat.lowering.sharing import SourceHolder, source_holders, tensor_users
from polylat.lowering.transfers import TransferOptions
from polylat.lowering.tree import mapping_leaves
from polylat.lowering.units import Users, check_bindings, unit_users
from polylat.spec import Spec

__all__ = [
    "Granularity",
    "LoweredMapping",
    "RequestedGranularity",
    "at_tile_granularity",
    "lower",
    "lower_requested",
    "with_sequential_splits",
]

Granularity = Literal["tile", "flow", "full"]

RequestedGranularity = Granularity | Literal["auto"]


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
        (leaf, tensor that it reads) → the holder in which the leaf finds it.
    counted
        The blocks counted so far, which versions of one mapping share.
    exchanged
        Tensors that count as exchanged, besides those that are.
    """

    spec: Spec
    leaves: tuple[Leaf, ...]
    granularity: Granularity
    depths: tuple[int, ...]
    found: Mapping[tuple[int, str], SourceHolder]
    counted: SharedBlocks
    exchanged: frozenset[str] = frozenset()

    @cached_property
    def size(self) -> int:
        """Number of tile iterations of all leaves."""
        return sum(map(count_iterations, self.leaves, self.depths))

    @cached_property
    def users(self) -> Mapping[str, Sequence[Leaf]]:
        """Tensor → the leaves that access it, in tree order."""
        return tensor_users(self.leaves)

    @cached_property
    def produced(self) -> frozenset[str]:
        """The tensors that some Einsum produces."""
        return frozenset(tensor for leaf in self.leaves for tensor in leaf.einsum.outputs)

    @cached_property
    def has_states(self) -> bool:
        """Whether an Einsum reads what it computed itself."""
        return any(leaf.einsum.states for leaf in self.leaves)

    @cached_property
    def has_recurrences(self) -> bool:
        """Whether an Einsum reads what it, or a later one, computed."""
        return any(source.recurrent for source in self.found.values())

    @cached_property
    def memories(self) -> tuple[str, ...]:
        """The memories that hold tensors, in the order of the architecture."""
        holding = {
            holder.component
            for leaf in self.leaves
            for holders in leaf.holders.values()
            for holder in holders
            if not holder.toll
        }
        return tuple(name for name in self.spec.arch.order if name in holding)

    @cached_property
    def units(self) -> Mapping[str, tuple[Users, ...]]:
        """Component → the leaves that use each range of its units."""
        return unit_users(self.spec, self.leaves)


def lower(
    spec: Spec,
    granularity: Granularity,
    options: TransferOptions | None = None,
    *,
    counted: CountedBlocks | None = None,
    exchanged: Collection[str] = (),
) -> LoweredMapping:
    """Lower a mapping.

    Parameters
    ----------
    spec
        The input.
    granularity
        The loops that index tile iterations: ``"tile"``: those above the innermost Storage, Toll
        or split; ``"flow"``: also down to the innermost loop that indexes an exchanged tensor, or
        an output that is written back in the background element by element; ``"full"``: all
        Temporal loops. In each of them also those down to the innermost loop that carries a
        recurrence of an Einsum to itself.
    options
        Which write-backs are in the background, and which holders are staged.
    counted
        Blocks already counted for other inputs, whose leaves may be equal; None: there are none.
    exchanged
        Tensors that count as exchanged, besides those that are.

    Returns
    -------
    LoweredMapping
        The lowered mapping.

    Raises
    ------
    MappingError, UnsupportedError
        The mapping is illegal, or not modeled.
    """
    leaves = mapping_leaves(spec)
    check_bindings(spec, leaves)
    _check_ports(spec, leaves)
    depths = _depths(leaves, granularity, options or TransferOptions(), exchanged)
    found = source_holders(leaves)
    blocks = SharedBlocks(spec, CountedBlocks() if counted is None else counted)
    return LoweredMapping(spec, leaves, granularity, depths, found, blocks, frozenset(exchanged))


def _check_ports(spec: Spec, leaves: Sequence[Leaf]) -> None:
    """Refuse a component in use whose ``total_latency`` does not give the time of each access."""
    for leaf in leaves:
        holders = (holder for several in leaf.holders.values() for holder in several)
        used = {leaf.component, *(holder.component for holder in holders)}
        for component in spec.arch.paths[leaf.einsum.name]:
            if component.name in used and component.total_latency is not None:
                raise component.total_latency.refusal(component.name)


def lower_requested(
    lowering: Callable[[Granularity, TransferOptions], LoweredMapping],
    granularity: RequestedGranularity,
    options: TransferOptions,
    max_tiles: int,
) -> LoweredMapping:
    """Lower a mapping, also at granularity ``"auto"``.

    Parameters
    ----------
    lowering
        Lowers the mapping: `lower`, or what caches its results.
    granularity, options
        As for `lower`. ``"auto"`` is ``"flow"`` if that has no more than `max_tiles` tile
        iterations, else ``"tile"``. Whether finer ones can be sampled is no criterion, as it
        depends on durations.
    max_tiles
        Largest number of tile iterations at granularity ``"flow"``.

    Returns
    -------
    LoweredMapping
        The lowered mapping.

    Raises
    ------
    MappingError, UnsupportedError
        As for `lower`.
    """
    if granularity != "auto":
        return lowering(granularity, options)
    lowered = lowering("flow", options)
    return lowered if lowered.size <= max_tiles else lowering("tile", options)


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
    return replace(
        lowered, granularity="tile", depths=_depths(lowered.leaves, "tile", TransferOptions())
    )


def _depths(
    leaves: Sequence[Leaf],
    granularity: Granularity,
    options: TransferOptions,
    exchanged: Collection[str] = (),
) -> tuple[int, ...]:
    every = exchanged_tensors(cascade_graph(leaves)).union(exchanged)
    return tuple(
        separating_depth(leaf, _depth(leaf, every, granularity, options)) for leaf in leaves
    )


def _depth(
    leaf: Leaf, exchanged: Collection[str], granularity: Granularity, options: TransferOptions
) -> int:
    if granularity == "tile":
        return leaf.fixed_depth
    if granularity == "full":
        return len(leaf.temporal)
    variables = {
        variable
        for access in leaf.einsum.accesses
        if access.tensor in exchanged
        or (access.output and _leaves_by_element(leaf, access.tensor, options))
        for variable in access.variables
    }
    indexing = [k + 1 for k, loop in enumerate(leaf.temporal) if loop.variable in variables]
    return max([leaf.fixed_depth, *indexing])


def _leaves_by_element(leaf: Leaf, tensor: str, options: TransferOptions) -> bool:
    """Return whether an output is written back in the background, but not in whole tiles."""
    return any(
        (tensor, holder.component) in options.background
        and not options.is_staged(tensor, holder.component)
        for holder in leaf.storages(tensor)[1:]
    )
