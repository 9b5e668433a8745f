"""AccelForge's own latency and action counts of a mapping, reproduced in exact arithmetic.

The formulas are those of AccelForge's symbolic model (`model._looptree.reuse.symbolic` for the
counts, `model._looptree.latency.memory` for the latency). Per Einsum and tensor, with holders
h0 … hm from the outside in and the leaf below them, all counts are products of trip counts:

- The *fill* of a holder is the size of the bounding box of its tile.
- The exchanges of a holder or the leaf with its parent are that fill (one element for the leaf)
  times the trip counts of the loops between the two; a Spatial loop over units that share the
  element counts once.
- The accesses to a holder are its exchanges with its parent and with its child, times the trip
  counts of the Temporal loops above it (for one unit) or of all loops above it (for all units).

Accesses above a split are charged to every Einsum below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import ceil
from typing import Any, NamedTuple

from polylat.errors import MappingError, UnsupportedError
from polylat.lowering.rank_bounds import rank_bounds
from polylat.numbers import Number, format_large, reduce_number
from polylat.spec import Spec
from polylat.spec.arch import Component
from polylat.spec.mapping import (
    Branch,
    Compute,
    Holder,
    Loop,
    Spatial,
    Storage,
    Temporal,
    Toll,
)
from polylat.spec.reading.live import as_spec
from polylat.spec.workload import Einsum, TensorAccess, Workload
from polylat.tables import Column, Table, Tabular

__all__ = ["AccessKey", "Number", "Roofline", "roofline"]

AccessKey = tuple[str, str, str | None, str]
"""(Einsum, component, tensor or None, action)."""
_Nodes = tuple[Loop | Holder, ...]


@dataclass(frozen=True)
class Roofline(Tabular):
    """AccelForge's figures for a mapping.

    Parameters
    ----------
    latency
        The sum over Einsums of the largest busy time in `per_einsum`.
    per_einsum
        Einsum → component that it uses → busy time, for all instances of the Einsum.
    accesses
        (Einsum, component, tensor or None, action) → number of actions of the busiest unit in one
        instance of the Einsum, which determine its latency. Zeros are listed, as in AccelForge.
    totals
        The same over all units and all instances: AccelForge's action counts.
    components
        Names of the components in `per_einsum`, in the order of the architecture.
    """

    latency: Number
    per_einsum: Mapping[str, Mapping[str, Number]]
    accesses: Mapping[AccessKey, Number]
    totals: Mapping[AccessKey, Number]
    components: tuple[str, ...]

    @property
    def bottleneck(self) -> dict[str, str]:
        """Einsum → the component with the largest busy time; the outermost of equals."""
        return {einsum: max(busy, key=busy.__getitem__) for einsum, busy in self.per_einsum.items()}

    def headline(self) -> tuple[str, ...]:
        """Return the latency, and what it is.

        Returns
        -------
        tuple of str
            Two sentences.
        """
        return (
            f"AccelForge's latency  {format_large(self.latency)}",
            "The sum over Einsums of the busy time of the slowest component, back to back.",
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the busy time per Einsum and component.

        Returns
        -------
        tuple of Table
            One table, in the architecture's unit of time.
        """
        columns = [Column(name, name, "number") for name in self.components]
        rows = tuple(
            (
                einsum,
                *(busy.get(name) for name in self.components),
                self.bottleneck[einsum] if busy else None,
            )
            for einsum, busy in self.per_einsum.items()
        )
        return (Table((Column("einsum", "Einsum"), *columns, Column("slowest", "slowest")), rows),)


def roofline(spec: Spec | Any) -> Roofline:
    """Compute AccelForge's latency and action counts of a mapping.

    Parameters
    ----------
    spec
        Workload, architecture and mapping; a Pipeline counts as a Sequential, as in AccelForge. Or
        AccelForge's ``Spec`` with a mapping, or its ``Mappings`` with one mapping.

    Returns
    -------
    Roofline
        Exact numbers: int if integral, else Fraction.

    Raises
    ------
    MappingError
        AccelForge refuses the mapping. (Not raised if it refuses only because of the size of a
        memory, or because it cannot join the Einsums' mappings, on which the counts do not depend.)
    SpecError
        The iteration space of an Einsum is empty or unbounded.
    UnsupportedError
        AccelForge refuses the workload: a rank variable has different bounds in two Einsums, or a
        copy Einsum has several inputs.

    Notes
    -----
    AccelForge's latency of an Einsum is that of its slowest component; the latency of a component
    is its ``total_latency`` expression, here its largest port load. It is multiplied by the
    ``n_instances`` of the Einsum and of the workload, and summed over the Einsums.

    Examples
    --------
    A sum of 6 values in two tiles of 3, from a memory that serves one action per unit of time.
    Every operation reads A and Z and writes Z, except that the first one does not read Z.

    >>> from fractions import Fraction
    >>> from polylat.analysis.roofline import roofline
    >>> from polylat.spec import Spec
    >>> from polylat.spec.affine import Affine
    >>> from polylat.spec.arch import Arch, Component, Port
    >>> from polylat.spec.mapping import Branch, Compute, Storage, Temporal
    >>> from polylat.spec.workload import Einsum, TensorAccess, Workload
    >>> k, one = Affine((("k", 1),)), Fraction(1)
    >>> total = Einsum(
    ...     "total",
    ...     ("k",),
    ...     (k, Affine((("k", -1),), 5)),
    ...     (TensorAccess("A", ("K",), (k,), False, one), TensorAccess("Z", (), (), True, one)),
    ... )
    >>> memory = Component(
    ...     "DRAM",
    ...     "Memory",
    ...     actions_per_value={(action, t): one for action in ("read", "write") for t in "AZ"},
    ...     ports=(Port("", {"read": one, "write": one}),),
    ... )
    >>> adder = Component(
    ...     "adder",
    ...     "Compute",
    ...     actions_per_value={("compute", None): one},
    ...     ports=(Port("", {"compute": one}),),
    ... )
    >>> nodes = (Storage("DRAM", ("A", "Z")), Temporal("k", 3), Temporal("k", 1))
    >>> figures = roofline(
    ...     Spec(
    ...         Workload((total,)),
    ...         Arch(("DRAM", "adder"), {"total": (memory, adder)}),
    ...         Branch(nodes, Compute("total", "adder")),
    ...     )
    ... )
    >>> figures.per_einsum, figures.bottleneck
    ({'total': {'DRAM': 17, 'adder': 6}}, {'total': 'DRAM'})
    >>> figures.accesses["total", "DRAM", "Z", "read"]
    5
    """
    spec = as_spec(spec)
    busy: dict[str, dict[str, Number]] = {}
    accesses: dict[AccessKey, Number] = {}
    totals: dict[AccessKey, Number] = {}
    for path in _paths(spec):
        einsum = path.einsum
        instances = spec.workload.n_instances * einsum.n_instances
        sums: dict[str, dict[str, Number]] = {}
        for count in _counts(path):
            key = (einsum.name, count.component, count.tensor, count.action)
            accesses[key] = reduce_number(count.one_unit)
            totals[key] = reduce_number(count.all_units * instances)
            actions = sums.setdefault(count.component, {})
            actions[count.action] = actions.get(count.action, 0) + count.one_unit
        busy[einsum.name] = {
            component.name: reduce_number(_busy(component, sums[component.name]) * instances)
            for component in path.components
            if component.name in sums
        }
    per_einsum = {einsum.name: busy[einsum.name] for einsum in spec.workload.einsums}
    # AccelForge omits zeros from its maxima. This matters for the negative time of a bounding box
    # of negative extent (due to a negative coefficient), which is the largest if all others are 0.
    latency: Number = 0
    for times in per_einsum.values():
        latency += max((time for time in times.values() if time), default=0)
    used = {name for times in per_einsum.values() for name in times}
    components = tuple(name for name in spec.arch.order if name in used)
    return Roofline(reduce_number(latency), per_einsum, accesses, totals, components)


def _busy(component: Component, actions: Mapping[str, Number]) -> Number:
    """Busy time of the component's busiest port for the given numbers of actions."""
    loads: list[Number] = []
    for port in component.ports:
        load: Number = port.constant
        for action, count in actions.items():
            if count and action in port.durations:
                load += count * port.durations[action]
        loads.append(load)
    return max(loads, default=0)


# Counting: the path to each leaf, and the numbers of actions on it -------------------------------


def _paths(spec: Spec) -> Iterator[_Path]:
    """Yield the path to every leaf; refuse an Einsum without exactly one leaf."""
    sizes = _sizes(spec.workload)
    shared = _shared(spec.workload)
    einsums = {einsum.name: einsum for einsum in spec.workload.einsums}
    computed: set[str] = set()
    for leaf, nodes in _leaves(spec.mapping, ()):
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


def _trip_count(extent: int, tile: int) -> Number:
    """``extent / tile``, a fraction if the tiles do not divide the extent."""
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
        shared.update(seen.intersection(einsum.tensors))
        seen.update(einsum.tensors)
    return shared


def _leaves(branch: Branch, above: _Nodes) -> Iterator[tuple[Compute, _Nodes]]:
    """Yield every leaf with the loops and holders above it, outer to inner."""
    nodes = above + branch.nodes
    if isinstance(branch.end, Compute):
        yield branch.end, nodes
    else:
        for child in branch.end.branches:
            yield from _leaves(child, nodes)


class _Loop(NamedTuple):
    """A loop on a path."""

    position: int
    """Index of the node on the path."""
    variable: str
    tile: int
    trips: Number
    """Trip count for tensors that do not depend on the variable (see `_loops`)."""
    level: int
    """Index of the component whose units a Spatial loop uses; -1 for a Temporal loop."""
    reusable: AbstractSet[str]
    """Tensors that these units may share (multicast or reduction)."""
    where: str


class _Holding(NamedTuple):
    """A holder on a path, for one of its tensors."""

    position: int
    """Index of the node on the path."""
    until: int
    """Index of the next holder on the path, of any tensor of the Einsum."""
    level: int
    """Index of the component, from the outside in."""
    component: Component


class _Path(NamedTuple):
    """The path from the root to a leaf, as its Einsum uses it."""

    einsum: Einsum
    components: Sequence[Component]
    sizes: Mapping[str, int]
    loops: Sequence[_Loop]
    steps: Number
    """Operations of the busiest unit."""
    operations: Number
    """Operations of all units."""
    holdings: dict[str, list[_Holding]]
    """Tensor → its holders, outer to inner."""


def _path(
    einsum: Einsum,
    leaf: Compute,
    nodes: _Nodes,
    components: Sequence[Component],
    sizes: Mapping[str, int],
    shared: AbstractSet[str],
) -> _Path:
    if not components or components[-1].name != leaf.component:
        raise MappingError(
            f"the architecture's path for Einsum {einsum.name!r} does not lead to "
            f"{leaf.component!r}",
            where=leaf.where or None,
            fix="name a Compute of the architecture",
        )
    levels = {component.name: level for level, component in enumerate(components)}
    loops, steps, operations = _loops(einsum, leaf, nodes, components, levels, sizes)
    holdings = _holdings(einsum, leaf, nodes, components, levels, shared)
    return _Path(einsum, components, sizes, loops, steps, operations, holdings)


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
) -> tuple[list[_Loop], Number, Number]:
    """Return the loops, and the number of operations of one unit and of all units.

    The trip count of a loop is (tile above) ÷ (its tile), possibly a fraction. For tensors that do
    not depend on the variable, AccelForge rounds it up at the variable's outermost loop, provided
    that the variable indexes all tensors alone (no sum, no coefficient).
    """
    shape = {variable: sizes[variable] for variable in einsum.rank_variables}
    rounded = set(shape) - _in_expressions(einsum)
    unfinished = {variable for variable, size in shape.items() if size > 1}
    loops: list[_Loop] = []
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
        trips = _trip_count(shape[variable], tile)
        shape[variable] = tile
        operations *= trips
        rounded_trips = trips
        if variable in rounded:
            rounded.remove(variable)
            rounded_trips = ceil(trips)
        if isinstance(node, Temporal):
            steps *= trips
            loops.append(
                _Loop(position, variable, tile, rounded_trips, -1, frozenset(), node.where)
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
            _Loop(position, variable, tile, rounded_trips, level, dim.may_reuse, node.where)
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
    for access in einsum.accesses:
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
) -> dict[str, list[_Holding]]:
    """Return the holders of every tensor, outer to inner."""
    found: list[tuple[str, int, int]] = []
    held: dict[str, set[int]] = {}
    for position, node in enumerate(nodes):
        if not isinstance(node, (Storage, Toll)):
            continue
        for tensor in node.tensors:
            if tensor not in einsum.tensors:
                continue
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
    for tensor in einsum.tensors:
        if tensor not in held:
            raise MappingError(
                f"nothing holds {tensor!r} above Einsum {einsum.name!r}",
                where=leaf.where or None,
                fix="add a Storage of the tensor",
            )
    holdings: dict[str, list[_Holding]] = {tensor: [] for tensor in einsum.tensors}
    for i, (tensor, position, level) in enumerate(found):
        until = found[i + 1][1] if i + 1 < len(found) else len(nodes)
        holdings[tensor].append(_Holding(position, until, level, components[level]))
    return holdings


class _Count(NamedTuple):
    """Number of actions of a component for a tensor, in one instance of the Einsum."""

    component: str
    tensor: str | None
    action: str
    one_unit: Number
    all_units: Number


class _Tile(NamedTuple):
    """A holder's tile, or the operation at the leaf, and the trip counts above it."""

    fill: int
    """Elements in the bounding box of the tile."""
    temporal: Number
    """Trips of the Temporal loops above it."""
    first: Number
    """The same, only of loops that lead to other elements, each of which has a first access."""
    units: Number
    """Trips of the Spatial loops above it."""
    exchanges: Number
    """Trips of the loops between its parent and it, as its parent sees them."""
    first_exchanges: Number
    """The same, only of loops that lead to other elements."""


def _counts(path: _Path) -> Iterator[_Count]:
    """Yield the numbers of all actions on a path."""
    einsum = path.einsum
    compute = path.components[-1]
    for tensor, holdings in (_copied(path) if einsum.is_copy else path.holdings).items():
        access = einsum.access(tensor)
        segments = _segments(access, path.loops, holdings)
        tiles = _tiles(access, segments, path.sizes)
        yield from _tensor_counts(
            access, einsum.is_copy, holdings, tiles, compute.skip_initial_output_write
        )
    cost = compute.actions_per_value["compute", None]
    yield _Count(compute.name, None, "compute", path.steps * cost, path.operations * cost)


def _copied(path: _Path) -> dict[str, list[_Holding]]:
    """Return the holders that count in a copy Einsum.

    AccelForge (`convert_to_copy`) treats the output's holders as further holders of the input, and
    keeps only the outermost one in each component.
    """
    einsum = path.einsum
    if len(einsum.inputs) != 1:
        raise UnsupportedError(
            f"copy Einsum {einsum.name!r} has {len(einsum.inputs)} inputs",
            where=einsum.where or None,
            fix="give it one input",
        )
    for tensor, holdings in path.holdings.items():
        _segments(einsum.access(tensor), path.loops, holdings)  # raises where AccelForge does
    outermost: dict[int, _Holding] = {}
    for holding in sorted(chain.from_iterable(path.holdings.values()), key=lambda p: p.position):
        outermost.setdefault(holding.level, holding._replace(until=holding.position))
    return {einsum.inputs[0]: list(outermost.values())}


def _segments(
    access: TensorAccess, loops: Sequence[_Loop], holdings: Sequence[_Holding]
) -> list[list[_Loop]]:
    """Return the loops directly above each holder of a tensor, and above the leaf.

    AccelForge's `_get_single_tensor_mapping` moves a Spatial loop to the level of the architecture
    where its units are: above the first holder whose component is the loop's or below it.
    """
    segments: list[list[_Loop]] = [[] for _ in range(len(holdings) + 1)]
    moved = False
    for loop in loops:
        above = sum(holding.position < loop.position for holding in holdings)
        if loop.level < 0:
            segments[above].append(loop)
            continue
        at = next((j for j, p in enumerate(holdings) if p.level >= loop.level), len(holdings))
        moved |= at != above
        segments[at].append(loop)
    if moved:
        for holding, segment in zip(holdings[1:], segments[2:], strict=True):
            end = _reserved(access, loops, holding)
            segment.sort(key=lambda loop: loop.level >= 0 or loop.position > end)
        _check_order(access, [loop for segment in segments for loop in segment])
    return segments


def _reserved(access: TensorAccess, loops: Sequence[_Loop], holding: _Holding) -> int:
    """Index of the last loop by which AccelForge shrinks the tile of a holder below the first.

    Spatial loops are placed below it. (`insert_reservation_nodes`: down through loops over
    variables that index the tensor, up to and including the first that does so within a sum.)
    """
    fully_relevant = _fully_relevant(access)
    end = holding.position
    for loop in loops:
        if not holding.position < loop.position < holding.until:
            continue
        if loop.level < 0 and loop.variable not in access.variables:
            break
        if loop.level >= 0 and loop.level != holding.level:
            break
        end = loop.position
        if loop.level < 0 and loop.variable not in fully_relevant:
            break
    return end


def _check_order(access: TensorAccess, loops: Sequence[_Loop]) -> None:
    """Refuse, as AccelForge does, reordered loops that depend on one another."""
    for i, outer in enumerate(loops):
        for inner in loops[i + 1 :]:
            if outer.position < inner.position:
                continue
            spatial = outer.level >= 0 and inner.level >= 0
            if spatial or (outer.variable == inner.variable and outer.variable in access.variables):
                raise MappingError(
                    f"for {access.tensor!r} this loop over {inner.variable!r} is moved below one "
                    f"over {outer.variable!r} that is below it in the mapping, because a Spatial "
                    "loop acts where its component is in the architecture",
                    where=inner.where or None,
                    fix="order loops and holders like the components of the architecture",
                )


def _tiles(
    access: TensorAccess, segments: Sequence[Sequence[_Loop]], sizes: Mapping[str, int]
) -> list[_Tile]:
    """Return the tiles of a tensor: of its holders from the outside in, then of an operation."""
    shape = {variable: sizes[variable] for variable in access.variables}
    fully_relevant = _fully_relevant(access)
    temporal: Number = 1
    first: Number = 1
    units: Number = 1
    tiles: list[_Tile] = []
    for segment in segments:
        exchanges: Number = 1
        first_exchanges: Number = 1
        for loop in segment:
            if loop.variable in shape:
                trips = _trip_count(shape[loop.variable], loop.tile)
                shape[loop.variable] = loop.tile
            else:
                trips = loop.trips
            if trips == 1:
                continue
            if loop.level < 0:
                temporal *= trips
                exchanges *= trips
                if loop.variable in fully_relevant:
                    first *= trips
                    first_exchanges *= trips
            else:
                units *= trips
                if loop.variable in shape or access.tensor not in loop.reusable:
                    exchanges *= trips
                    first_exchanges *= trips
        tiles.append(
            _Tile(_bounding_box(access, shape), temporal, first, units, exchanges, first_exchanges)
        )
    return tiles


def _fully_relevant(access: TensorAccess) -> set[str]:
    """Rank variables whose first index is a single term, so that each value is another element.

    AccelForge counts one first write of an element (which needs no read-back) per trip of a loop
    over such a variable, but not of a loop over a variable within a sum.
    """
    relevance: dict[str, bool] = {}
    for index in access.projection:
        single = len(index.terms) + bool(index.constant) == 1
        for variable in index.variables:
            relevance.setdefault(variable, single)
    return {variable for variable, single in relevance.items() if single}


def _bounding_box(access: TensorAccess, shape: Mapping[str, int]) -> int:
    """Elements in the bounding box of a tile (AccelForge's `compute_dense_tile_occupancy`).

    Per rank, the extent is the index at the tile's end, plus 1.
    """
    size = 1
    for index in access.projection:
        extent = index.constant + 1
        for variable, coefficient in index.terms:
            extent += coefficient * (shape[variable] - 1)
        size *= extent
    return size


def _tensor_counts(
    access: TensorAccess,
    is_copy: bool,
    holdings: Sequence[_Holding],
    tiles: Sequence[_Tile],
    compute_skips: bool,
) -> Iterator[_Count]:
    """Yield the accesses of a tensor in all its holders, from the leaf outwards.

    `down` is the number of elements that the child reads, `up` the number that it writes, and
    `skipped` the part of `down` that is not read because no value exists yet; each is summed over
    the loops between the two. In a copy Einsum AccelForge moves data outwards only, and there are
    no accesses at the leaf.
    """
    down: Number = 0
    up: Number = 0
    skipped: Number = 0
    if not is_copy:
        leaf = tiles[-1]
        down = leaf.exchanges
        if access.output:
            up = leaf.exchanges
            skipped = leaf.first_exchanges if compute_skips else 0
    tensor = access.tensor
    for j in range(len(holdings) - 1, -1, -1):
        component, tile = holdings[j].component, tiles[j]
        toll = component.kind == "Toll"
        skips = (toll or component.skip_initial_output_write) and not is_copy
        # Exchanges with the parent. A Toll forwards the exchanges of its child, if it has one.
        read: Number = 0
        written: Number = 0
        not_read: Number = 0
        if j:
            through = toll and not (is_copy and j == len(holdings) - 1)
            if not is_copy:
                read = down if through else tile.fill
            if is_copy or access.output:
                written = up if through else tile.fill
            if access.output and skips:
                not_read = skipped if through else tile.fill
        direction = component.direction.get(tensor, "up_and_down") if toll else "up_and_down"
        reads: Number = 0
        first_reads: Number = 0
        if direction != "down":
            reads += written
        if direction != "up":
            reads += down
            first_reads = skipped if skips else 0
        cost = component.actions_per_value["read", tensor]
        one_unit: Number = (tile.temporal * reads - tile.first * first_reads) * cost
        yield _Count(component.name, tensor, "read", one_unit, one_unit * tile.units)
        one_unit = 0
        if not toll:
            cost = component.actions_per_value["write", tensor]
            one_unit = (tile.temporal * (read + up) - tile.first * not_read) * cost
        yield _Count(component.name, tensor, "write", one_unit, one_unit * tile.units)
        down = read * tile.exchanges
        up = written * tile.exchanges
        skipped = not_read * tile.first_exchanges
