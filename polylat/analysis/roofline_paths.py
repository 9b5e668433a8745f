"""The path to each leaf of a mapping as AccelForge's accounting sees it: loops and holders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from polylat.errors import MappingError, UnsupportedError
from polylat.lowering.rank_bounds import rank_bounds
from polylat.numbers import Number
from polylat.spec import Spec
from polylat.spec.arch import Component
from polylat.spec.mapping import Branch, Compute, Holder, Loop, Spatial, Storage, Temporal, Toll
from polylat.spec.workload import Einsum, TensorAccess, Workload

__all__ = [
    "CountedLoop",
    "Holding",
    "MappingPath",
    "mapping_paths",
    "priced_accesses",
    "trip_count",
]

_Nodes = tuple[Loop | Holder, ...]


def mapping_paths(spec: Spec) -> Iterator[MappingPath]:
    """Yield the path to every leaf; refuse an Einsum without exactly one leaf.

    Parameters
    ----------
    spec
        The input.

    Yields
    ------
    MappingPath
        In the order of the tree.

    Raises
    ------
    MappingError
        An Einsum has no leaf or several.
    UnsupportedError
        A rank variable has different numbers of values in two Einsums.
    """
    sizes = _sizes(spec.workload)
    shared = _shared(spec.workload)
    einsums = {einsum.name: einsum for einsum in spec.workload.einsums}
    computed: set[str] = set()
    for leaf, nodes in _leaves(spec.mapping, (), spec.workload):
        einsum = einsums.get(leaf.einsum)
        if einsum is None or einsum.name in computed:
            raise MappingError(
                f"Einsum {leaf.einsum!r} is "
                + ("not in the workload" if einsum is None else "computed twice"),
                where=leaf.where or None,
                fix="give each Einsum of the workload one Compute node",
            )
        computed.add(einsum.name)
        yield _path(einsum, leaf, nodes, spec.arch.paths.get(einsum.name, ()), sizes, shared)
    if missing := [name for name in einsums if name not in computed]:
        raise MappingError(
            f"Einsum {missing[0]!r} has no Compute node",
            fix="give each Einsum of the workload one Compute node",
        )


def priced_accesses(einsum: Einsum) -> tuple[TensorAccess, ...]:
    """Return the accesses that are priced as tensors of their own.

    Parameters
    ----------
    einsum
        The Einsum.

    Returns
    -------
    tuple of TensorAccess
        One per read and one per write, all of which have one projection: in AccelForge an Einsum
        accesses a tensor once. Earlier states that the input names as tensors are such tensors.
    """
    found: list[TensorAccess] = []
    for access in einsum.original or einsum.accesses:
        found += (replace(access, reads=(read,), write=None) for read in access.reads)
        if access.write is not None:
            found.append(replace(access, reads=()))
    return tuple(found)


def trip_count(extent: int, tile: int) -> Number:
    """Return the average number of tiles.

    Parameters
    ----------
    extent, tile
        Numbers of values.

    Returns
    -------
    Number
        ``extent / tile``: a fraction if the tiles do not divide the extent.
    """
    count, rest = divmod(extent, tile)
    return Fraction(extent, tile) if rest else count


def _sizes(workload: Workload) -> dict[str, int]:
    """Number of values of each rank variable, which AccelForge requires to be one per cascade."""
    sizes: dict[str, int] = {}
    for einsum in workload.einsums:
        for variable, (low, high) in rank_bounds(einsum).items():
            size = high - low + 1
            if sizes.setdefault(variable, size) != size:
                raise UnsupportedError(
                    f"rank variable {variable!r} has {size} values in Einsum {einsum.name!r} and "
                    f"{sizes[variable]} in another, which AccelForge refuses",
                    where=einsum.where or None,
                    fix="rename the rank variable in one of them",
                )
    return sizes


def _shared(workload: Workload) -> set[str]:
    """Tensors that several Einsums access."""
    seen: set[str] = set()
    shared: set[str] = set()
    for einsum in workload.einsums:
        tensors = _tensors(einsum)
        shared.update(seen.intersection(tensors))
        seen.update(tensors)
    return shared


def _tensors(einsum: Einsum) -> tuple[str, ...]:
    """Names of the tensors accessed, as the input has them."""
    return tuple(dict.fromkeys(access.tensor for access in priced_accesses(einsum)))


def _leaves(branch: Branch, above: _Nodes, workload: Workload) -> Iterator[tuple[Compute, _Nodes]]:
    """Yield every leaf with the loops and holders above it, outer to inner."""
    nodes = above + tuple(
        replace(node, tensors=node.named(workload)) if isinstance(node, Storage | Toll) else node
        for node in branch.nodes
    )
    if isinstance(branch.end, Compute):
        yield branch.end, nodes
    else:
        for child in branch.end.branches:
            yield from _leaves(child, nodes, workload)


class CountedLoop(NamedTuple):
    """A loop on a path.

    Parameters
    ----------
    position
        Index of the node on the path.
    variable, tile
        Rank variable and tile shape.
    trips
        Trip count for tensors that do not depend on the variable (see `_loops`).
    level, dimension
        Index of the component whose units a Spatial loop uses, and their dimension; -1 and ``""``
        for a Temporal loop.
    reusable
        Tensors that these units may share (multicast or reduction).
    where
        Location in the input.
    """

    position: int
    variable: str
    tile: int
    trips: Number
    level: int
    dimension: str
    reusable: AbstractSet[str]
    where: str


class Holding(NamedTuple):
    """A holder on a path, for one of its tensors.

    Parameters
    ----------
    position
        Index of the node on the path.
    until
        Index of the next holder on the path, of any tensor of the Einsum.
    level
        Index of the component, from the outside in.
    component
        The component.
    number
        Its number among the holders on the path: a node that names two tensors is two holders.
    """

    position: int
    until: int
    level: int
    component: Component
    number: int


class MappingPath(NamedTuple):
    """The path from the root to a leaf, as its Einsum uses it.

    Parameters
    ----------
    einsum, components
        The Einsum, and the components on the architecture's path to its Compute.
    sizes
        Rank variable → number of values.
    loops
        The loops, outer to inner.
    steps, operations
        Operations of the busiest unit, and of all units.
    holdings
        Per access that is priced as a tensor of its own: its holders, outer to inner.
    """

    einsum: Einsum
    components: Sequence[Component]
    sizes: Mapping[str, int]
    loops: Sequence[CountedLoop]
    steps: Number
    operations: Number
    holdings: Sequence[tuple[TensorAccess, Sequence[Holding]]]

    @property
    def inputs(self) -> list[TensorAccess]:
        """The accesses that read."""
        return [access for access, _ in self.holdings if not access.output]


def _path(
    einsum: Einsum,
    leaf: Compute,
    nodes: _Nodes,
    components: Sequence[Component],
    sizes: Mapping[str, int],
    shared: AbstractSet[str],
) -> MappingPath:
    if not components or components[-1].name != leaf.component:
        raise MappingError(
            f"the architecture's path for Einsum {einsum.name!r} does not lead to "
            f"{leaf.component!r}",
            where=leaf.where or None,
            fix="name a Compute of the architecture",
        )
    levels = {component.name: level for level, component in enumerate(components)}
    loops, steps, operations = _loops(einsum, leaf, nodes, components, levels, sizes)
    of = _holdings(einsum, leaf, nodes, components, levels, shared)
    holdings = [(access, of[access.tensor]) for access in priced_accesses(einsum)]
    return MappingPath(einsum, components, sizes, loops, steps, operations, holdings)


def _level(node: Spatial | Holder, levels: Mapping[str, int]) -> int:
    if node.component not in levels:
        raise MappingError(
            f"component {node.component!r} is not on the path to the Einsum's Compute",
            where=node.where or None,
            fix="use one of " + ", ".join(levels),
        )
    return levels[node.component]


def _loops(
    einsum: Einsum,
    leaf: Compute,
    nodes: _Nodes,
    components: Sequence[Component],
    levels: Mapping[str, int],
    sizes: Mapping[str, int],
) -> tuple[list[CountedLoop], Number, Number]:
    """Return the loops, and the number of operations of one unit and of all units.

    The trip count of a loop is (tile above) ÷ (its tile), possibly a fraction. For tensors that do
    not depend on the variable, AccelForge rounds it up at the variable's outermost loop, provided
    that the variable indexes all tensors alone (no sum, no coefficient).
    """
    shape = {variable: sizes[variable] for variable in einsum.rank_variables}
    rounded = set(shape) - _in_expressions(einsum)
    unfinished = {variable for variable, size in shape.items() if size > 1}
    loops: list[CountedLoop] = []
    steps: Number = 1
    operations: Number = 1
    units: dict[tuple[str, str], Number] = {}
    for position, node in enumerate(nodes):
        if not isinstance(node, (Temporal, Spatial)):
            continue
        variable = node.variable(einsum.name)
        if variable not in shape:
            raise MappingError(
                f"a loop over {variable!r} is above Einsum {einsum.name!r}, which does not "
                "have this rank variable",
                where=node.where or None,
                fix="move the loop below the split, or loop over one of " + ", ".join(shape),
            )
        if node.tile_shape == 1:
            unfinished.discard(variable)
        tile = 1 if sizes[variable] == 1 else node.tile_shape
        trips = trip_count(shape[variable], tile)
        shape[variable] = tile
        operations *= trips
        rounded_trips = trips
        if variable in rounded:
            rounded.remove(variable)
            rounded_trips = ceil(trips)
        if isinstance(node, Temporal):
            steps *= trips
            loops.append(
                CountedLoop(
                    position, variable, tile, rounded_trips, -1, "", frozenset(), node.where
                )
            )
            continue
        level = _level(node, levels)
        dim = next((d for d in components[level].spatial if d.name == node.dimension), None)
        if dim is None:
            raise MappingError(
                f"{node.component!r} has no spatial dimension {node.dimension!r}",
                where=node.where or None,
                fix="use one of " + (", ".join(d.name for d in components[level].spatial) or "-"),
            )
        used = units[node.component, dim.name] = units.get((node.component, dim.name), 1) * trips
        if used > dim.fanout:
            raise MappingError(
                f"Spatial loops use {used} units of {node.component!r} along {dim.name!r}, which "
                f"has {dim.fanout}",
                where=node.where or None,
                fix="enlarge the loop's tile_shape",
            )
        loops.append(
            CountedLoop(
                position,
                variable,
                tile,
                rounded_trips,
                level,
                dim.name,
                dim.may_reuse,
                node.where,
            )
        )
    if unfinished:
        raise MappingError(
            f"no loop above Einsum {einsum.name!r} has tile_shape 1 for "
            + ", ".join(map(repr, sorted(unfinished))),
            where=leaf.where or None,
            fix="add one: a Compute node performs a single operation",
        )
    return (loops, 0, 0) if einsum.is_copy else (loops, steps, operations)


def _in_expressions(einsum: Einsum) -> set[str]:
    """Rank variables that occur in some tensor only within expressions, such as ``p + r``."""
    found: set[str] = set()
    for access in priced_accesses(einsum):
        alone = {
            index.terms[0][0]
            for index in access.projection
            if not index.constant and len(index.terms) == 1 and index.terms[0][1] == 1
        }
        found.update(v for v in access.variables if v not in alone)
    return found


def _holdings(
    einsum: Einsum,
    leaf: Compute,
    nodes: _Nodes,
    components: Sequence[Component],
    levels: Mapping[str, int],
    shared: AbstractSet[str],
) -> dict[str, list[Holding]]:
    """Return the holders of every tensor, outer to inner."""
    tensors = _tensors(einsum)
    found: list[tuple[str, int, int]] = []
    held: dict[str, set[int]] = {}
    for position, node in enumerate(nodes):
        if not isinstance(node, (Storage, Toll)):
            continue
        for tensor in node.among(tensors):
            level = _level(node, levels)
            component = components[level]
            if component.kind != ("Toll" if isinstance(node, Toll) else "Memory"):
                raise MappingError(
                    f"{component.name!r} is a {component.kind}, which a {type(node).__name__} node "
                    "cannot name",
                    where=node.where or None,
                    fix="use Storage for a Memory and Toll for a Toll",
                )
            if component.kind == "Toll" and tensor in shared and tensor not in held:
                raise MappingError(
                    f"the outermost holder of {tensor!r}, which several Einsums use, is the Toll "
                    f"{component.name!r}",
                    where=node.where or None,
                    fix="add a Storage of the tensor above it",
                )
            if level in held.setdefault(tensor, set()) and not einsum.is_copy:
                raise MappingError(
                    f"{component.name!r} holds {tensor!r} twice above Einsum {einsum.name!r}",
                    where=node.where or None,
                    fix="remove one of the two",
                )
            held[tensor].add(level)
            found.append((tensor, position, level))
    for tensor in tensors:
        if tensor not in held:
            raise MappingError(
                f"nothing holds {tensor!r} above Einsum {einsum.name!r}",
                where=leaf.where or None,
                fix="add a Storage of the tensor",
            )
    holdings: dict[str, list[Holding]] = {tensor: [] for tensor in tensors}
    for i, (tensor, position, level) in enumerate(found):
        until = found[i + 1][1] if i + 1 < len(found) else len(nodes)
        holdings[tensor].append(Holding(position, until, level, components[level], i))
    return holdings
