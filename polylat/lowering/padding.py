"""Padding: what is read of a tensor although no operation of its producer computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import islpy as isl

from polylat.lowering.cascade import cascade_graph
from polylat.lowering.groups import (
    elements_text,
    first_point_of,
    joint_groups,
    missing_point,
)
from polylat.lowering.paths import Leaf
from polylat.lowering.points import integer_points
from polylat.numbers import format_number
from polylat.spec.workload import Projection

__all__ = ["Padding", "padding_reads"]

_MOST_RANGES = 4
"""Largest number of ranges of coordinates that the text names."""


@dataclass(frozen=True)
class Padding:
    """Elements of a tensor that an Einsum reads, and that no Einsum computes.

    Their accesses count, and wait for nothing but the fills that bring them.

    Parameters
    ----------
    einsum
        The Einsum that reads them.
    tensor
        The tensor, which another Einsum produces.
    elements
        The number of these elements.
    coordinates
        Where they are: ranges of coordinates of a rank, such as ``"Y=-1"`` and ``"Y=8..9"``; where
        several ranks depend on each other, the first element, such as ``"Y=-1 X=0, …"``.
    initial
        Whether it is the initial state of a recurrence.
    """

    einsum: str
    tensor: str
    elements: int
    coordinates: tuple[str, ...]
    initial: bool = False

    def __str__(self) -> str:
        """The padding as a sentence."""
        one = self.elements == 1
        places = list(self.coordinates[:_MOST_RANGES])
        if len(self.coordinates) > _MOST_RANGES:
            places.append("…")
        return (
            f"{self.einsum} reads {format_number(self.elements)} element{'' if one else 's'} of"
            f" {self.tensor} that no Einsum computes"
            f" ({'initial state' if self.initial else 'padding'}, at {', '.join(places)}):"
            f" {'it counts and waits' if one else 'they count and wait'} for nothing."
        )


def padding_reads(leaves: Sequence[Leaf]) -> tuple[Padding, ...]:
    """Return the padding that Einsums read.

    Parameters
    ----------
    leaves
        The leaves of a mapping, in tree order.

    Returns
    -------
    tuple of Padding
        The padding, by reader and tensor, in tree order.

    Examples
    --------
    >>> import polylat
    >>> from polylat.lowering.tree import mapping_leaves
    >>> spec = polylat.load(
    ...     "examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml"
    ... )
    >>> padding_reads(mapping_leaves(spec))
    ()
    """
    found = []
    for producer, reader, tensor in sorted(
        cascade_graph(leaves).edges(keys=True), key=lambda edge: edge[1]
    ):
        found += _padding(leaves[reader], leaves[producer], tensor)
    return tuple(found)


def _padding(reader: Leaf, producer: Leaf, tensor: str) -> list[Padding]:
    """Return the padding of a tensor that a leaf reads, if there is any.

    The elements that are read are the product of those of independent groups of variables. So are
    those of them that the producer computes.
    """
    ranks = reader.einsum.access(tensor).ranks
    written = producer.einsum.written(tensor)
    first, *others = dict.fromkeys(reader.einsum.access(tensor).reads)
    if others:
        return _padding_of_several(reader, (first, *others), producer, written, tensor)
    accesses = [(reader, first), (producer, written)]
    sets: list[tuple[tuple[int, ...], str, str]] = []
    for variables, here in joint_groups(accesses):
        read, computed = (
            elements_text(leaf, own, [projection[r] for r in here], ())[0]
            for (leaf, projection), own in zip(accesses, variables, strict=True)
        )
        sets.append((here, read, computed))
    coordinates = [
        f"{rank}={a.constant}"
        for rank, a, b in zip(ranks, first, written, strict=True)
        if not (a.variables or b.variables) and a.constant != b.constant
    ]
    apart = bool(coordinates)
    for here, read, computed in sets:
        if missing_point(read, computed) is not None:
            coordinates += _coordinates([ranks[r] for r in here], isl.Set(read) - isl.Set(computed))
    if not coordinates:
        return []
    every = prod(_count(isl.Set(read)) for _, read, _ in sets)
    inside = 0 if apart else prod(_count(isl.Set(r) & isl.Set(c)) for _, r, c in sets)
    initial = producer.number >= reader.number
    return [Padding(reader.einsum.name, tensor, every - inside, tuple(coordinates), initial)]


def _padding_of_several(
    reader: Leaf,
    reads: Sequence[Projection],
    producer: Leaf,
    written: Projection,
    tensor: str,
) -> list[Padding]:
    """Return the padding of a tensor that a leaf reads by several projections."""
    variables = reader.einsum.rank_variables
    outside = isl.Set(elements_text(reader, variables, reads[0], ())[0])
    for read in reads[1:]:
        outside |= isl.Set(elements_text(reader, variables, read, ())[0])
    computed = elements_text(producer, producer.einsum.rank_variables, written, ())[0]
    outside = (outside - isl.Set(computed)).coalesce()
    point = first_point_of(outside)
    if point is None:
        return []
    parts = outside.make_disjoint().get_basic_sets()
    elements = sum(_count(isl.Set.from_basic_set(part)) for part in parts)
    ranks = reader.einsum.access(tensor).ranks
    element = " ".join(f"{r}={x}" for r, x in zip(ranks, point, strict=True)) or "its only element"
    where = (element,) if elements == 1 else (element, "…")
    initial = producer.number >= reader.number
    return [Padding(reader.einsum.name, tensor, elements, where, initial)]


def _coordinates(ranks: Sequence[str], outside: isl.Set) -> list[str]:
    """Describe elements: by ranges of one rank, or by the first one."""
    points = integer_points(outside)
    if len(ranks) > 1:
        first = " ".join(f"{r}={x}" for r, x in zip(ranks, points[0].tolist(), strict=True))
        return [first] if len(points) == 1 else [first, "…"]
    ranges: list[list[int]] = []
    for value in points[:, 0].tolist():
        if ranges and ranges[-1][1] == value - 1:
            ranges[-1][1] = value
        else:
            ranges.append([value, value])
    return [f"{ranks[0]}={a}" if a == b else f"{ranks[0]}={a}..{b}" for a, b in ranges]


def _count(some: isl.Set) -> int:
    """Return the number of points of a bounded set; boxes are counted at once."""
    size = some.dim(isl.dim_type.set)
    if some.is_empty():
        return 0
    extents = []
    box = isl.Set.universe(some.get_space())
    for i in range(size):
        low, high = some.dim_min_val(i), some.dim_max_val(i)
        box = box.lower_bound_val(isl.dim_type.set, i, low)
        box = box.upper_bound_val(isl.dim_type.set, i, high)
        extents.append(int(high.to_python()) - int(low.to_python()) + 1)
    if some.is_equal(box):
        return prod(extents)
    return int(some.count_val().to_python())
