"""The walk over the tree of a mapping, which makes one path per leaf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from polylat.errors import UnsupportedError
from polylat.lowering.legality import (
    check_distribution,
    check_holders,
    check_loops,
    check_units,
)
from polylat.lowering.paths import Leaf, PathHolder, PathLoop, PathSplit
from polylat.lowering.rank_bounds import rank_bounds
from polylat.spec import Spec
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

__all__ = ["mapping_leaves"]


def mapping_leaves(spec: Spec) -> tuple[Leaf, ...]:
    """Return the leaves of a mapping in tree order.

    Only the shape of the mapping is checked here. Whether data is present when it is read is
    decided in `lowering.dependences`.

    Parameters
    ----------
    spec
        The input.

    Returns
    -------
    tuple of Leaf
        The leaves.

    Raises
    ------
    MappingError
        A leaf lacks a loop or a holder; a loop runs over a variable that the Einsum below it does
        not have, or its tile is larger than the tile around it; a tensor is held twice in a
        component, or below a holder that is closer to the Compute.
    UnsupportedError
        A tensor has several producers; a Spatial loop runs over a variable whose range depends on
        other variables.
    """
    for tensor in spec.workload.tensors:
        producers = spec.workload.producers(tensor)
        if len(producers) > 1:
            raise UnsupportedError(
                f"tensor {tensor!r} is produced by several Einsums: {', '.join(producers)}",
                fix="give each result its own name",
            )
    check_distribution(spec)
    found: list[Leaf] = []
    numbers = count()
    _walk(spec, spec.mapping, _Above(), numbers, found)
    return tuple(found)


@dataclass
class _Above:
    """The loops, holders and splits above a node, outermost first."""

    loops: tuple[tuple[int, Loop], ...] = ()  # number of the node, loop
    holders: Mapping[str, tuple[PathHolder, ...]] = field(default_factory=dict)  # by tensor
    splits: tuple[PathSplit, ...] = ()
    fixed_depth: int = 0


def _walk(
    spec: Spec, branch: Branch, above: _Above, numbers: Iterator[int], found: list[Leaf]
) -> None:
    loops, holders, fixed = list(above.loops), dict(above.holders), above.fixed_depth
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
                    holders[tensor] = (*holders.get(tensor, ()), holder)
    depth = _temporal(loops)
    if isinstance(branch.end, Compute):
        here = _Above(tuple(loops), holders, above.splits, fixed)
        found.append(_leaf(spec, branch.end, here, len(found)))
        return
    identity = next(numbers)
    pipeline = isinstance(branch.end, Pipeline)
    binding = branch.end.binding if isinstance(branch.end, Pipeline) else ()
    for index, child in enumerate(branch.end.branches):
        split = PathSplit(identity, pipeline, index, depth, binding, branch.end.where)
        splits = (*above.splits, split)
        below = _Above(tuple(loops), holders, splits, depth)
        _walk(spec, child, below, numbers, found)


def _temporal(loops: Sequence[tuple[int, Loop]]) -> int:
    return sum(isinstance(loop, Temporal) for _, loop in loops)


def _path_loop(number: int, loop: Loop, einsum: str) -> PathLoop:
    unit = (loop.component, loop.dimension) if isinstance(loop, Spatial) else None
    initial = loop.initial_tile_shape if isinstance(loop, Temporal) else None
    initial = None if initial == loop.tile_shape else initial
    return PathLoop(number, loop.variable(einsum), loop.tile_shape, unit, initial)


def _leaf(spec: Spec, node: Compute, above: _Above, number: int) -> Leaf:
    einsum = spec.workload.einsum(node.einsum)
    place = f"{node.where or 'mapping'} (Compute {node.einsum})"
    ranges = rank_bounds(einsum)
    holders: dict[str, tuple[PathHolder, ...]] = {}
    for tensor in einsum.tensors:
        held = above.holders.get(tensor, ())
        check_holders(spec, einsum, tensor, held, place)
        holders[tensor] = held
    loops = tuple(_path_loop(number, loop, einsum.name) for number, loop in above.loops)
    check_loops(spec, einsum, loops, ranges, place)
    coupled = tuple(
        c
        for c in einsum.constraints
        if len(c.terms) > 1
        and c.constant + sum(k * ranges[v][0 if k > 0 else 1] for v, k in c.terms) < 0
    )
    check_units(spec, einsum, loops, holders, place)
    tied = {v for c in coupled for v in c.variables}
    for loop in loops:
        if loop.unit is not None and loop.variable in tied:
            raise UnsupportedError(
                f"a Spatial loop over {loop.variable!r}, whose range depends on other variables",
                where=place,
                fix="use a Temporal loop, or an iteration space that is a box",
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
