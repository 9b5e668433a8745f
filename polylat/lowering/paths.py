"""The tree of a mapping as one path per leaf: its loops, holders and splits, outer to inner.

Here a mapping's shape is checked (no ISL yet): whether every leaf has the loops and holders that
it needs. Whether the data is there when it is read is decided from relations, in `dependences`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, pairwise

from polylat.bounds import rank_bounds
from polylat.errors import MappingError, UnsupportedError
from polylat.spec import Spec
from polylat.spec.affine import Affine
from polylat.spec.mapping import (
    Branch,
    Compute,
    Loop,
    Pipeline,
    Spatial,
    Split,
    Storage,
    Temporal,
    Toll,
)
from polylat.spec.workload import Einsum

__all__ = ["Leaf", "PathHolder", "PathLoop", "PathSplit", "leaves"]


@dataclass(frozen=True)
class PathLoop:
    """A loop of a path.

    Parameters
    ----------
    node
        Number of the tree node: leaves below the same loop share it.
    variable, tile
        Rank variable and tile shape.
    unit
        (component, dimension) of a Spatial loop, None for a Temporal one.
    """

    node: int
    variable: str
    tile: int
    unit: tuple[str, str] | None = None


@dataclass(frozen=True)
class PathHolder:
    """A holder of one tensor on a path.

    Parameters
    ----------
    node
        Number of the tree node: leaves below the same node share the holder.
    component
        The component that holds, or through which a Toll lets pass.
    toll
        Whether it is a Toll: it charges, and holds nothing.
    position
        Number of loops (Temporal and Spatial) above it.
    depth
        Number of Temporal loops above it.
    above_split
        Whether a split stands below it.
    where
        Where the node stands in the input.
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
    """

    node: int
    pipeline: bool
    branch: int
    depth: int


@dataclass(frozen=True)
class Leaf:
    """A leaf of the mapping, with all that stands above it.

    Parameters
    ----------
    number
        Its position among the leaves, in tree order.
    einsum
        The Einsum that it computes.
    component
        Name of the Compute that it runs on.
    loops
        The loops above it, outer to inner.
    holders
        Tensor → its holders, outer to inner; the first is the backing storage.
    splits
        The splits above it, outer to inner.
    ranges
        Rank variable → least and largest value.
    coupled
        What else bounds the iteration space: expressions in several variables, each ≥ 0.
    fixed_depth
        Number of Temporal loops above the innermost Storage, Toll or split of the path.
    where
        Where the Compute node stands in the input.
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
        """The Temporal loops, outer to inner."""
        return tuple(loop for loop in self.loops if loop.unit is None)

    def storages(self, tensor: str) -> tuple[PathHolder, ...]:
        """The holders of a tensor that keep it: Tolls left out."""
        return tuple(h for h in self.holders[tensor] if not h.toll)

    @cached_property
    def trips(self) -> tuple[int, ...]:
        """Per loop, its largest trip count."""
        extent = {v: high - low + 1 for v, (low, high) in self.ranges.items()}
        counts = []
        for loop in self.loops:
            counts.append(-(-extent[loop.variable] // loop.tile))
            extent[loop.variable] = min(extent[loop.variable], loop.tile)
        return tuple(counts)

    @cached_property
    def temporal_trips(self) -> tuple[int, ...]:
        """Per Temporal loop, its largest trip count."""
        return tuple(n for n, loop in zip(self.trips, self.loops, strict=True) if loop.unit is None)


@dataclass
class _Above:
    """What stands above a point of the tree while it is walked."""

    loops: tuple[tuple[int, Loop], ...] = ()  # number of the node, loop
    holders: tuple[tuple[str, PathHolder], ...] = ()
    splits: tuple[PathSplit, ...] = ()
    fixed_depth: int = 0


def leaves(spec: Spec) -> tuple[Leaf, ...]:
    """The leaves of a mapping, in tree order.

    Raises
    ------
    MappingError
        A leaf lacks a loop or a holder; a loop runs over a variable that the Einsum below it does
        not have, or its tile is larger than what it tiles; a tensor is held twice in a component,
        or below a holder that is closer to the compute.
    UnsupportedError
        A tensor with several producers; Spatial loops in an iteration space that is no box.
    """
    for tensor in spec.workload.tensors:
        producers = spec.workload.producers(tensor)
        if len(producers) > 1:
            raise UnsupportedError(
                f"tensor {tensor!r} is produced by several Einsums: {', '.join(producers)}",
                mend="give each result a name of its own",
            )
    found: list[Leaf] = []
    numbers = count()
    _walk(spec, spec.mapping, _Above(), numbers, found)
    _check_order(spec, found)
    return tuple(found)


def _walk(
    spec: Spec, branch: Branch, above: _Above, numbers: Iterator[int], found: list[Leaf]
) -> None:
    loops, holders, fixed = list(above.loops), list(above.holders), above.fixed_depth
    for node in branch.nodes:
        depth = _temporal(loops)
        match node:
            case Temporal() | Spatial():
                loops.append((next(numbers), node))
            case Storage() | Toll():
                fixed = depth
                identity = next(numbers)
                for tensor in node.tensors:
                    holder = PathHolder(
                        node=identity,
                        component=node.component,
                        toll=isinstance(node, Toll),
                        position=len(loops),
                        depth=depth,
                        above_split=isinstance(branch.end, Split),
                        where=node.where,
                    )
                    holders.append((tensor, holder))
    depth = _temporal(loops)
    if isinstance(branch.end, Compute):
        here = _Above(tuple(loops), tuple(holders), above.splits, fixed)
        found.append(_leaf(spec, branch.end, here, len(found)))
        return
    identity = next(numbers)
    for index, child in enumerate(branch.end.branches):
        split = PathSplit(identity, isinstance(branch.end, Pipeline), index, depth)
        splits = (*above.splits, split)
        below = _Above(tuple(loops), tuple(holders), splits, depth)
        _walk(spec, child, below, numbers, found)


def _temporal(loops: Sequence[tuple[int, Loop]]) -> int:
    return sum(isinstance(loop, Temporal) for _, loop in loops)


def _path_loop(number: int, loop: Loop, einsum: str) -> PathLoop:
    unit = (loop.component, loop.dimension) if isinstance(loop, Spatial) else None
    return PathLoop(number, loop.variable(einsum), loop.tile_shape, unit)


def _leaf(spec: Spec, node: Compute, above: _Above, number: int) -> Leaf:
    einsum = spec.workload.einsum(node.einsum)
    place = f"{node.where or 'mapping'} (Compute {node.einsum})"
    ranges = rank_bounds(einsum)
    holders: dict[str, tuple[PathHolder, ...]] = {}
    for tensor in einsum.tensors:
        held = tuple(h for t, h in above.holders if t == tensor)
        _check_holders(spec, einsum, tensor, held, place)
        holders[tensor] = held
    loops = tuple(_path_loop(number, loop, einsum.name) for number, loop in above.loops)
    _check_loops(spec, einsum, loops, ranges, place)
    coupled = tuple(
        c
        for c in einsum.constraints
        if len(c.terms) > 1
        and c.constant + sum(k * ranges[v][0 if k > 0 else 1] for v, k in c.terms) < 0
    )
    _check_units(spec, einsum, loops, holders, place)
    tied = {v for c in coupled for v in c.variables}
    for loop in loops:
        if loop.unit is not None and loop.variable in tied:
            raise UnsupportedError(
                f"a Spatial loop over {loop.variable!r}, whose range depends on other variables",
                where=place,
                mend="use a Temporal loop, or an iteration space that is a box",
            )
    return Leaf(
        number=number,
        einsum=einsum,
        component=node.component,
        loops=loops,
        holders=holders,
        splits=above.splits,
        ranges=ranges,
        coupled=coupled,
        fixed_depth=above.fixed_depth,
        where=node.where,
    )


def _check_holders(
    spec: Spec, einsum: Einsum, tensor: str, held: tuple[PathHolder, ...], place: str
) -> None:
    if not held or all(h.toll for h in held):
        raise MappingError(
            f"Einsum {einsum.name!r} accesses tensor {tensor!r}, which no Storage above it holds",
            where=place,
            mend=f"name {tensor!r} in a Storage node on the path to this leaf",
        )
    if held[0].toll:
        raise MappingError(
            f"the outermost holder of tensor {tensor!r} is a Toll, which keeps nothing",
            where=held[0].where or place,
            mend=f"put a Storage of {tensor!r} above it",
        )
    order = {c.name: i for i, c in enumerate(spec.arch.paths[einsum.name])}
    for holder in held:
        if holder.component not in order:
            raise MappingError(
                f"component {holder.component!r} holds tensor {tensor!r}, but is not on the path"
                f" of the architecture to the Compute of Einsum {einsum.name!r}",
                where=holder.where or place,
                mend=f"use one of: {', '.join(order)}",
            )
    for outer, inner in pairwise(held):
        if outer.component == inner.component:
            raise MappingError(
                f"tensor {tensor!r} is held twice in {inner.component!r} on one path",
                where=inner.where or place,
                mend="name it in one of the two nodes only",
            )
        if order[outer.component] > order[inner.component]:
            raise MappingError(
                f"tensor {tensor!r} is held in {inner.component!r} below {outer.component!r},"
                " which is closer to the compute",
                where=inner.where or place,
                mend="order the holders of a tensor from the outermost component to the innermost",
            )


def _check_units(
    spec: Spec,
    einsum: Einsum,
    loops: tuple[PathLoop, ...],
    holders: Mapping[str, tuple[PathHolder, ...]],
    place: str,
) -> None:
    """Spatial loops stand where their units part: above what is replicated, below the rest."""
    order = {c.name: i for i, c in enumerate(spec.arch.paths[einsum.name])}
    for position, loop in enumerate(loops):
        if loop.unit is None:
            continue
        for tensor, held in holders.items():
            for holder in held:
                below = holder.position > position
                if below != (order[holder.component] >= order[loop.unit[0]]):
                    raise UnsupportedError(
                        f"a Spatial loop over units of {loop.unit[0]!r} stands"
                        f" {'above' if below else 'below'} the holder of tensor {tensor!r} in"
                        f" {holder.component!r}, which is {'out' if below else 'in'}side the units",
                        where=holder.where or place,
                        mend="put Spatial loops directly above what is in their component",
                    )


def _check_loops(
    spec: Spec,
    einsum: Einsum,
    loops: tuple[PathLoop, ...],
    ranges: Mapping[str, tuple[int, int]],
    place: str,
) -> None:
    tile = {v: high - low + 1 for v, (low, high) in ranges.items()}
    fanouts: dict[tuple[str, str], int] = {}
    for loop in loops:
        kind = "Temporal" if loop.unit is None else "Spatial"
        if loop.variable not in tile:
            raise MappingError(
                f"a {kind} loop over {loop.variable!r} stands above Einsum {einsum.name!r},"
                " which has no such rank variable",
                where=place,
                mend=f"its rank variables are: {', '.join(einsum.rank_variables)}",
            )
        if loop.tile > tile[loop.variable]:
            raise MappingError(
                f"a {kind} loop over {loop.variable!r} has tiles of {loop.tile}, larger than the"
                f" {tile[loop.variable]} that it tiles for Einsum {einsum.name!r}",
                where=place,
                mend=f"use a tile_shape of at most {tile[loop.variable]}",
            )
        if loop.unit is not None:
            trips = -(-tile[loop.variable] // loop.tile)
            used = fanouts[loop.unit] = fanouts.get(loop.unit, 1) * trips
            available = _fanout(spec, einsum.name, loop.unit, place)
            if used > available:
                raise MappingError(
                    f"Spatial loops of Einsum {einsum.name!r} use {used} units of"
                    f" {loop.unit[0]!r} along {loop.unit[1]!r}, which has {available}",
                    where=place,
                    mend="use larger tiles",
                )
        tile[loop.variable] = loop.tile
    for variable, size in tile.items():
        if size > 1:
            raise MappingError(
                f"the leaf of Einsum {einsum.name!r} lacks a loop over {variable!r}:"
                f" tiles of {size} reach the Compute",
                where=place,
                mend=f"add a Temporal loop over {variable!r} with tile_shape 1",
            )


def _fanout(spec: Spec, einsum: str, unit: tuple[str, str], place: str) -> int:
    for component in spec.arch.paths[einsum]:
        if component.name == unit[0]:
            for dim in component.spatial:
                if dim.name == unit[1]:
                    return dim.fanout
    raise MappingError(
        f"a Spatial loop names dimension {unit[1]!r} of component {unit[0]!r}, which Einsum"
        f" {einsum!r} does not have",
        where=place,
        mend="name a spatial dimension of a component on the path to the Compute",
    )


def _check_order(spec: Spec, found: list[Leaf]) -> None:
    position = {leaf.einsum.name: leaf.number for leaf in found}
    for leaf in found:
        for tensor in leaf.einsum.inputs:
            for producer in spec.workload.producers(tensor):
                if producer in position and position[producer] > leaf.number:
                    raise MappingError(
                        f"Einsum {leaf.einsum.name!r} reads tensor {tensor!r} before Einsum"
                        f" {producer!r} produces it",
                        where=leaf.where or "mapping",
                        mend=f"put the branch of {producer!r} first",
                    )
