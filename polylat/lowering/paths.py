"""The tree of a mapping as one path per leaf: loops, holders and splits, outermost first."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

from polylat.spec.affine import Affine
from polylat.spec.workload import Einsum

__all__ = [
    "Leaf",
    "LoopKeys",
    "PathHolder",
    "PathLoop",
    "PathSplit",
    "leaves_below",
    "loop_nodes",
    "producer_of",
    "separating_split",
    "with_pipelines",
]


@dataclass(frozen=True)
class PathLoop:
    """A loop of a path.

    Parameters
    ----------
    node
        Number of the tree node, equal for all leaves below the loop.
    variable, tile
        Rank variable, and number of its values per iteration (tile shape).
    unit
        (component, dimension) of a Spatial loop, None for a Temporal one.
    initial
        Number of values of the first iteration; None: as in the others.
    """

    node: int
    variable: str
    tile: int
    unit: tuple[str, str] | None = None
    initial: int | None = None

    @property
    def first(self) -> int:
        """Number of values of the first iteration."""
        return self.tile if self.initial is None else self.initial

    def trip_count(self, extent: int) -> int:
        """Return the number of iterations in a tile around the loop.

        Parameters
        ----------
        extent
            The number of values of the tile around it, at least 1.

        Returns
        -------
        int
            The number of iterations.
        """
        return 1 + max(0, -(-(extent - self.first) // self.tile))

    def tiles(self, extent: int) -> list[tuple[int, int]]:
        """Return the lengths of the tiles into which the loop divides a tile around it.

        Parameters
        ----------
        extent
            The number of values of the tile around it.

        Returns
        -------
        list of (int, int)
            Lengths above 0, and how often each occurs.
        """
        full, rest = divmod(max(0, extent - self.first), self.tile)
        parts = [(min(extent, self.first), 1), (self.tile, full), (rest, 1)]
        return [(length, count) for length, count in parts if length > 0 and count]


@dataclass(frozen=True)
class PathHolder:
    """A holder of one tensor on a path.

    Parameters
    ----------
    node
        Number of the tree node, equal for all leaves that share the holder.
    component
        The component that holds the tensor, or in which a Toll charges for it.
    toll
        Whether it is a Toll, which charges for transfers and holds nothing.
    position
        Number of loops (Temporal and Spatial) above it.
    depth
        Number of Temporal loops above it.
    above_split
        Whether a split is below it.
    where
        Position of the node in the input.
    """

    node: int
    component: str
    toll: bool
    position: int
    depth: int
    above_split: bool
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class PathSplit:
    """A split on a path.

    Parameters
    ----------
    node
        Number of the tree node.
    pipeline
        Whether it is a Pipeline (else a Sequential).
    branch
        The branch that the path takes.
    depth
        Number of Temporal loops above it.
    binding
        Of a Pipeline: per stage, the number of the units that it uses; empty if none is given.
    where
        Position of the split in the input.
    """

    node: int
    pipeline: bool
    branch: int
    depth: int
    binding: tuple[int, ...] = ()
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Leaf:
    """A leaf of the mapping with its path: the loops, holders and splits above it.

    Parameters
    ----------
    number
        Its position among the leaves, in tree order.
    einsum
        The Einsum that it computes.
    component
        Name of the Compute that it runs on.
    loops
        The loops above it, outermost first.
    holders
        Tensor → its holders, outermost first; the first is the backing storage.
    splits
        The splits above it, outermost first.
    ranges
        Rank variable → least and largest value.
    coupled
        Further constraints of the iteration space: expressions in several variables, each ≥ 0.
    fixed_depth
        Number of Temporal loops above the innermost Storage, Toll or split of the path.
    where
        Position of the Compute node in the input.
    """

    number: int
    einsum: Einsum
    component: str
    loops: tuple[PathLoop, ...]
    holders: Mapping[str, tuple[PathHolder, ...]]
    splits: tuple[PathSplit, ...]
    ranges: Mapping[str, tuple[int, int]]
    coupled: tuple[Affine, ...]
    fixed_depth: int
    where: str = field(default="", compare=False)

    @cached_property
    def temporal(self) -> tuple[PathLoop, ...]:
        """The Temporal loops, outermost first."""
        return tuple(loop for loop in self.loops if loop.unit is None)

    @cached_property
    def temporal_positions(self) -> list[int]:
        """Positions of the Temporal loops among all loops."""
        return [p for p, loop in enumerate(self.loops) if loop.unit is None]

    @cached_property
    def shape(self) -> Hashable:
        """The leaf without names and tree nodes: rank variables and tensors are positions.

        Leaves of equal shapes have the same loops and holders, over the same sizes.
        """
        places = {variable: place for place, variable in enumerate(self.einsum.rank_variables)}

        def index(expression: Affine) -> tuple[int, tuple[tuple[int, int], ...]]:
            terms = sorted((places[variable], factor) for variable, factor in expression.terms)
            return expression.constant, tuple(terms)

        return (
            self.component,
            self.einsum.is_copy,
            self.einsum.n_instances,
            tuple(map(index, self.einsum.constraints)),
            tuple(self.ranges[variable] for variable in self.einsum.rank_variables),
            tuple(map(index, self.coupled)),
            tuple((places[x.variable], x.tile, x.unit, x.initial) for x in self.loops),
            tuple(
                (
                    tuple(tuple(map(index, some)) for some in access.reads),
                    None if access.write is None else tuple(map(index, access.write)),
                    access.bits_per_value,
                    tuple(
                        (h.component, h.toll, h.position, h.depth, h.above_split)
                        for h in self.holders[access.tensor]
                    ),
                )
                for access in self.einsum.accesses
            ),
        )

    def storages(self, tensor: str) -> tuple[PathHolder, ...]:
        """Return the Storages of a tensor: its holders except Tolls.

        Parameters
        ----------
        tensor
            A tensor that the leaf accesses.

        Returns
        -------
        tuple of PathHolder
            The Storages, outermost first.
        """
        return self._storages[tensor]

    @cached_property
    def _storages(self) -> Mapping[str, tuple[PathHolder, ...]]:
        return {
            tensor: tuple(h for h in holders if not h.toll)
            for tensor, holders in self.holders.items()
        }

    @cached_property
    def volume(self) -> int:
        """Number of integer points in the box of `ranges`.

        It bounds every number of values that the leaf accesses, in one tile iteration or in all
        of them together: different tiles and units have different operations, and no more elements
        than operations.
        """
        return prod(high - low + 1 for low, high in self.ranges.values())

    @cached_property
    def trips(self) -> tuple[int, ...]:
        """Per loop, its largest trip count."""
        extent = {v: high - low + 1 for v, (low, high) in self.ranges.items()}
        counts = []
        for loop in self.loops:
            counts.append(loop.trip_count(extent[loop.variable]))
            extent[loop.variable] = max(length for length, _ in loop.tiles(extent[loop.variable]))
        return tuple(counts)

    @cached_property
    def temporal_trips(self) -> tuple[int, ...]:
        """Per Temporal loop, its largest trip count."""
        return tuple(n for n, loop in zip(self.trips, self.loops, strict=True) if loop.unit is None)


LoopKeys = Sequence[Sequence[int]]
"""Per leaf, the keys of its Temporal loops, outermost first. Equal keys: sampled alike.

Where these are tree nodes, all leaves below a loop sample the same iterations of it.
"""


def loop_nodes(leaves: Iterable[Leaf]) -> tuple[tuple[int, ...], ...]:
    """Return the tree nodes of the Temporal loops above each leaf.

    Parameters
    ----------
    leaves
        The leaves.

    Returns
    -------
    tuple of tuple of int
        Per leaf, the tree nodes, outermost first.
    """
    return tuple(tuple(loop.node for loop in leaf.temporal) for leaf in leaves)


def leaves_below(leaves: Iterable[Leaf], node: int) -> list[Leaf]:
    """Return the leaves below a Temporal loop.

    Parameters
    ----------
    leaves
        The leaves.
    node
        Tree node of the loop.

    Returns
    -------
    list of Leaf
        Those that have the loop on their paths.
    """
    return [leaf for leaf in leaves if any(loop.node == node for loop in leaf.temporal)]


def producer_of(leaves: Iterable[Leaf], tensor: str) -> Leaf:
    """Return the leaf that computes a tensor.

    Parameters
    ----------
    leaves
        Leaves, one of which computes it.
    tensor
        The tensor.

    Returns
    -------
    Leaf
        The leaf.
    """
    return next(leaf for leaf in leaves if tensor in leaf.einsum.outputs)


def separating_split(a: Leaf, b: Leaf) -> int:
    """Return the split at which the paths of two leaves part.

    Parameters
    ----------
    a, b
        Different leaves.

    Returns
    -------
    int
        Its number among the splits of each of them.
    """
    pairs = zip(a.splits, b.splits, strict=False)
    return next(i for i, (one, other) in enumerate(pairs) if one.branch != other.branch)


def with_pipelines(leaves: Iterable[Leaf], nodes: Container[int]) -> tuple[Leaf, ...]:
    """Return the leaves with some splits as Pipelines, and all others as Sequentials.

    Parameters
    ----------
    leaves
        The leaves.
    nodes
        Tree nodes of the splits that are Pipelines.

    Returns
    -------
    tuple of Leaf
        The changed leaves.
    """
    return tuple(
        replace(leaf, splits=tuple(replace(s, pipeline=s.node in nodes) for s in leaf.splits))
        for leaf in leaves
    )
