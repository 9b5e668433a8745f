"""Checks of the shape of a mapping: each leaf has the loops and holders that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from polylat.errors import MappingError, UnsupportedError
from polylat.lowering.paths import PathHolder, PathLoop
from polylat.spec import Spec
from polylat.spec.workload import Einsum

__all__ = ["check_distribution", "check_holders", "check_loops", "check_units"]


def check_holders(
    spec: Spec, einsum: Einsum, tensor: str, held: tuple[PathHolder, ...], place: str
) -> None:
    """Check the holders of a tensor on the path of a leaf.

    Parameters
    ----------
    spec, einsum, tensor
        The input, the Einsum of the leaf, and a tensor that it accesses.
    held
        The holders of the tensor, outermost first.
    place
        Position of the leaf in the input, for messages.

    Raises
    ------
    MappingError
        No Storage holds the tensor; the outermost holder is a Toll; a holder is not on the
        architecture's path to the Compute; or two holders are in one component or in the wrong
        order.
    """
    if not held or all(h.toll for h in held):
        raise MappingError(
            f"Einsum {einsum.name!r} accesses tensor {tensor!r}, which no Storage above it holds",
            where=place,
            fix=f"name {tensor!r} in a Storage node on the path to this leaf",
        )
    if held[0].toll:
        raise MappingError(
            f"the outermost holder of tensor {tensor!r} is a Toll, which keeps nothing",
            where=held[0].where or place,
            fix=f"put a Storage of {tensor!r} above it",
        )
    order = {c.name: i for i, c in enumerate(spec.arch.paths[einsum.name])}
    for holder in held:
        if holder.component not in order:
            raise MappingError(
                f"component {holder.component!r} holds tensor {tensor!r}, but is not on the path"
                f" of the architecture to the Compute of Einsum {einsum.name!r}",
                where=holder.where or place,
                fix=f"use one of: {', '.join(order)}",
            )
    for outer, inner in pairwise(held):
        if outer.component == inner.component:
            raise MappingError(
                f"tensor {tensor!r} is held twice in {inner.component!r} on one path",
                where=inner.where or place,
                fix="name it in one of the two nodes only",
            )
        if order[outer.component] > order[inner.component]:
            raise MappingError(
                f"tensor {tensor!r} is held in {inner.component!r} below {outer.component!r},"
                " which is closer to the compute",
                where=inner.where or place,
                fix="order the holders of a tensor from the outermost component to the innermost",
            )


def check_units(
    spec: Spec,
    einsum: Einsum,
    loops: tuple[PathLoop, ...],
    holders: Mapping[str, tuple[PathHolder, ...]],
    place: str,
) -> None:
    """Check that Spatial loops are above all holders inside their units, and below the others.

    Parameters
    ----------
    spec, einsum
        The input and the Einsum of the leaf.
    loops, holders
        The loops of its path, and its holders by tensor, outermost first.
    place
        Position of the leaf in the input, for messages.

    Raises
    ------
    UnsupportedError
        A Spatial loop is on the wrong side of a holder.
    """
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
                        fix="put Spatial loops directly above the holders in their component",
                    )


def check_distribution(spec: Spec) -> None:
    """Check that the instances of memories that are distributed over an Array serve whole units.

    Parameters
    ----------
    spec
        The input.

    Raises
    ------
    UnsupportedError
        The units of the Array are no multiple of the instances.
    """
    for path in spec.arch.paths.values():
        for component in path:
            for dim in component.physical:
                if dim.stride.denominator != 1:
                    raise UnsupportedError(
                        f"{component.name!r} has {dim.fanout} instances along {dim.name!r}, which"
                        f" do not divide the {dim.fanout * dim.stride} units of its Array",
                        fix="use a number of instances that divides the units",
                    )


def check_loops(
    spec: Spec,
    einsum: Einsum,
    loops: tuple[PathLoop, ...],
    ranges: Mapping[str, tuple[int, int]],
    place: str,
) -> None:
    """Check the loops of a path.

    Parameters
    ----------
    spec, einsum
        The input and the Einsum of the leaf.
    loops
        The loops of its path, outermost first.
    ranges
        Rank variable → least and largest value.
    place
        Position of the leaf in the input, for messages.

    Raises
    ------
    MappingError
        A loop runs over an unknown variable or has too large tiles; Spatial loops use more units
        than exist; or a variable lacks a loop with tiles of 1.
    """
    tile = {v: high - low + 1 for v, (low, high) in ranges.items()}
    fanouts: dict[tuple[str, str], int] = {}
    for loop in loops:
        kind = "Temporal" if loop.unit is None else "Spatial"
        if loop.variable not in tile:
            raise MappingError(
                f"a {kind} loop over {loop.variable!r} stands above Einsum {einsum.name!r},"
                " which has no such rank variable",
                where=place,
                fix=f"use one of its rank variables: {', '.join(einsum.rank_variables)}",
            )
        if loop.tile > tile[loop.variable]:
            raise MappingError(
                f"a {kind} loop over {loop.variable!r} has tiles of {loop.tile}, larger than the"
                f" {tile[loop.variable]} that it tiles for Einsum {einsum.name!r}",
                where=place,
                fix=f"use a tile_shape of at most {tile[loop.variable]}",
            )
        if loop.first > tile[loop.variable]:
            raise MappingError(
                f"a {kind} loop over {loop.variable!r} has a first tile of {loop.first}, larger"
                f" than the {tile[loop.variable]} that it tiles for Einsum {einsum.name!r}",
                where=place,
                fix=f"use an initial_tile_shape of at most {tile[loop.variable]}",
            )
        if loop.unit is not None:
            trips = loop.trip_count(tile[loop.variable])
            used = fanouts[loop.unit] = fanouts.get(loop.unit, 1) * trips
            available = _fanout(spec, einsum.name, loop.unit, place)
            if used > available:
                raise MappingError(
                    f"Spatial loops of Einsum {einsum.name!r} use {used} units of"
                    f" {loop.unit[0]!r} along {loop.unit[1]!r}, which has {available}",
                    where=place,
                    fix="use larger tiles",
                )
        tile[loop.variable] = max(length for length, _ in loop.tiles(tile[loop.variable]))
    for variable, size in tile.items():
        if size > 1:
            raise MappingError(
                f"the leaf of Einsum {einsum.name!r} lacks a loop over {variable!r}:"
                f" tiles of {size} reach the Compute",
                where=place,
                fix=f"add a Temporal loop over {variable!r} with tile_shape 1, innermost",
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
        fix="name a spatial dimension of a component on the path to the Compute",
    )
