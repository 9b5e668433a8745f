"""Derive, element by element, which tile iteration brings what another one reads.

Each function solves one integer program per group of connected variables, parametrically in the
tile iteration that reads (lexicographic maximum of an ISL relation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import islpy as isl

from polylat.errors import MappingError
from polylat.lowering.paths import Leaf
from polylat.proof.element_relations import SharedElements, combined_functions, shared_elements
from polylat.proof.element_sets import ElementSet, touched, written_back
from polylat.proof.problem import Problem
from polylat.proof.relation_text import (
    ExchangeGroup,
    PartText,
    exchange_groups,
    exists_text,
    independent_parts,
)
from polylat.spec.affine import Affine

__all__ = [
    "Brought",
    "check_brought",
    "last_bringer",
    "moved_by_inner",
    "read_after_write_back",
    "read_back_elements",
    "updated_before_leaving",
]

_IN, _OUT = isl.dim_type.in_, isl.dim_type.out


Brought = Literal["all", "some", "none"]
"""How many of the elements that a leaf reads in a holder another leaf brings there."""


def check_brought(
    reader: Leaf, bringer: Leaf, tensor: str, level: int, producer: Leaf | None
) -> Brought:
    """Check that all elements a leaf reads in a holder were brought there in the same residency.

    Elements that the producer does not compute in any of its operations are padding: they need not
    be brought.

    Parameters
    ----------
    reader, bringer
        The leaf that reads, and the leaf that produces or fills.
    tensor, level
        The tensor, and the index of the shared holder among the reader's holders of it.
    producer
        The leaf that produces the tensor; None if there is none.

    Returns
    -------
    Brought
        How many of the elements were brought.

    Raises
    ------
    MappingError
        An element was not, and is no padding.
    """
    read, brought = (leaf.einsum.access(tensor).projection for leaf in (reader, bringer))
    met = _may_meet(read, brought)
    everything, nothing = met, not met
    due: list[bool] = []  # per group: whether elements must be brought
    late: list[bool] = []  # per group: whether some of these were not
    above = range(reader.storages(tensor)[level].position)
    for group in exchange_groups(reader, bringer, tensor, above, producer):
        there = _elements_read(reader, group.read, read, group)
        comes = _elements_read(bringer, group.brought, brought, group)
        everything = everything and there.is_subset(comes)
        nothing = nothing or (there & comes).is_empty()
        if producer is not None:
            computed = producer.einsum.access(tensor).projection
            there &= _elements_computed(producer, computed, group)
        due.append(not there.is_empty())
        late.append(not there.is_subset(comes))
    possible = producer is None or _may_meet(read, producer.einsum.access(tensor).projection)
    if possible and all(due) and (any(late) or not met):
        raise MappingError(
            f"Einsum {reader.einsum.name!r} reads elements of tensor {tensor!r} that no leaf"
            " brought there"
        )
    return "all" if everything else "none" if nothing else "some"


def _may_meet(one: Sequence[Affine], other: Sequence[Affine]) -> bool:
    """Return whether no rank has different constant indices in two projections."""
    pairs = zip(one, other, strict=True)
    constants = [(a.constant, b.constant) for a, b in pairs if not (a.variables or b.variables)]
    return all(a == b for a, b in constants)


def _elements_read(
    leaf: Leaf, variables: Sequence[str], projection: Sequence[Affine], group: ExchangeGroup
) -> isl.Set:
    """Return the set of (indices of shared loops, elements) of a leaf's operations."""
    text = PartText(leaf, variables, "x", group.shared)
    names = [f"z{r}" for r in group.ranks]
    equal = [f"z{r} = {text.affine(projection[r])}" for r in group.ranks]
    dims = [*text.names(group.shared), *names]
    return isl.Set(exists_text(dims, text.hidden, [*text.conditions, *equal]))


def _elements_computed(
    producer: Leaf, projection: Sequence[Affine], group: ExchangeGroup
) -> isl.Set:
    """Return the set of (any indices of shared loops, elements) that a producer computes."""
    text = PartText(producer, group.computed, "y", ())
    names = [f"z{r}" for r in group.ranks]
    equal = [f"z{r} = {text.affine(projection[r])}" for r in group.ranks]
    dims = [*(f"any{p}" for p in group.shared), *names]
    return isl.Set(exists_text(dims, text.hidden, [*text.conditions, *equal]))


def last_bringer(
    reader: Leaf, bringer: Leaf, tensor: str, level: int, depths: tuple[int, int, int]
) -> isl.PwMultiAff:
    """Derive the last tile iteration of a producer whose elements a tile iteration reads.

    Parameters
    ----------
    reader, bringer
        The leaf that reads, and the leaf that produces.
    tensor, level
        The tensor, and the index of the shared holder among the reader's holders of it.
    depths
        The numbers of loops that index the tiles that are read, the tile iterations of the reader,
        and those of the producer.

    Returns
    -------
    islpy.PwMultiAff
        Tile iteration of the reader → last one of the producer whose elements it reads.
    """
    read_depth, waiting, awaited = depths
    reader_loops, bringer_loops = reader.temporal_positions, bringer.temporal_positions
    read = reader.einsum.access(tensor).projection
    brought = bringer.einsum.access(tensor).projection
    parts: list[isl.PwMultiAff] = []
    order: list[int] = []
    for reads, brings, _, ranks, shared in _exchanged(reader, bringer, tensor, level):
        source = [k for k in range(read_depth) if reader.loops[reader_loops[k]].variable in reads]
        target = [k for k in range(awaited) if bringer.loops[bringer_loops[k]].variable in brings]
        r = PartText(reader, reads, "r", [*(reader_loops[k] for k in source), *shared])
        b = PartText(bringer, brings, "b", [*(bringer_loops[k] for k in target), *shared])
        conditions = [*r.conditions, *b.conditions]
        conditions += [f"{r.affine(read[x])} = {b.affine(brought[x])}" for x in ranks]
        conditions += [f"{r.index[p]} = {b.index[p]}" for p in shared]
        hidden = [*r.hidden, *b.hidden]
        hidden += [r.index[p] for p in shared if p not in [reader_loops[k] for k in source]]
        hidden += [b.index[p] for p in shared if p not in [bringer_loops[k] for k in target]]
        given = [r.index[reader_loops[k]] if k in source else f"f{k}" for k in range(waiting)]
        wanted = [b.index[bringer_loops[k]] for k in target]
        text = exists_text([*given, *wanted], hidden, conditions)
        relation = _as_map(isl.Set(text), waiting)
        parts.append(relation.lexmax_pw_multi_aff())
        order += target
    return combined_functions(parts, order, waiting, awaited)


def _as_map(some: isl.Set, source: int) -> isl.Map:
    found = isl.Map.from_range(some)
    return found.move_dims(_IN, 0, _OUT, 0, source)


def read_after_write_back(
    problem: Problem, reader: Leaf, bringer: Leaf, tensor: str, level: int, moved: int
) -> SharedElements:
    """Relate reads to the write-backs of the elements that they read, in the same residency.

    Parameters
    ----------
    problem
        The mapping and its options.
    reader, bringer
        The leaf that reads, and the leaf that produces.
    tensor, level
        The tensor, and the index of the shared holder among the holders of both.
    moved
        The index of the producer's holder that is written back, further in.

    Returns
    -------
    SharedElements
        Tile iteration of the reader → tile iterations of the producer.
    """
    storages, holder = reader.storages(tensor), reader.storages(tensor)[level]
    depth = problem.depths[reader.number]
    read = storages[level + 1].depth if level + 1 < len(storages) else depth
    pairs = []
    for reads, brings, _, ranks, shared in _exchanged(reader, bringer, tensor, level):
        units = [p for p in shared if reader.loops[p].unit is not None]
        one = touched(reader, tensor, read, reads, ranks, units)
        pairs.append((one, _leaving(problem, bringer, tensor, moved, brings, ranks, units)))
    return shared_elements(pairs, (depth, problem.depths[bringer.number]), holder.depth)


def read_back_elements(problem: Problem, leaf: Leaf, tensor: str, level: int) -> SharedElements:
    """Relate tiles to all write-backs of their elements, from any tile.

    Parameters
    ----------
    problem
        The mapping and its options.
    leaf, tensor, level
        The leaf, its output, and the index of the holder that is written back.

    Returns
    -------
    SharedElements
        Tile iteration in a tile → tile iterations that write back.
    """
    holder, depth = leaf.storages(tensor)[level], problem.depths[leaf.number]
    pairs = []
    for variables, ranks in _groups(leaf, tensor):
        units = _units(leaf, variables, holder.position)
        one = touched(leaf, tensor, holder.depth, variables, ranks, units)
        pairs.append((one, _leaving(problem, leaf, tensor, level, variables, ranks, units)))
    return shared_elements(pairs, (depth, depth), 0)


def updated_before_leaving(problem: Problem, leaf: Leaf, tensor: str, level: int) -> SharedElements:
    """Relate write-backs to all tile iterations in the same tile that update their elements.

    Parameters
    ----------
    problem, leaf, tensor, level
        As for `read_back_elements`.

    Returns
    -------
    SharedElements
        Tile iteration that writes back → tile iterations that update its elements.
    """
    holder, depth = leaf.storages(tensor)[level], problem.depths[leaf.number]
    pairs = []
    for variables, ranks in _groups(leaf, tensor):
        units = _units(leaf, variables, holder.position)
        other = touched(leaf, tensor, depth, variables, ranks, units)
        pairs.append((_leaving(problem, leaf, tensor, level, variables, ranks, units), other))
    return shared_elements(pairs, (depth, depth), holder.depth)


def moved_by_inner(
    problem: Problem, leaf: Leaf, tensor: str, level: int, inner: int
) -> SharedElements:
    """Relate write-backs to those of the same elements, in the same tile, from a holder further in.

    Parameters
    ----------
    problem, leaf, tensor, level
        As for `read_back_elements`.
    inner
        The index of the holder further in.

    Returns
    -------
    SharedElements
        Tile iteration that writes back → tile iterations that write back from further in.
    """
    holder, depth = leaf.storages(tensor)[level], problem.depths[leaf.number]
    pairs = []
    for variables, ranks in _groups(leaf, tensor):
        units = _units(leaf, variables, holder.position)
        one, other = (
            _leaving(problem, leaf, tensor, at, variables, ranks, units) for at in (level, inner)
        )
        pairs.append((one, other))
    return shared_elements(pairs, (depth, depth), holder.depth)


def _leaving(
    problem: Problem,
    leaf: Leaf,
    tensor: str,
    level: int,
    variables: Sequence[str],
    ranks: Sequence[int],
    units: Sequence[int],
) -> ElementSet:
    within = problem.hand_over_depth(leaf, tensor, level)
    depths = within, problem.depths[leaf.number]
    return written_back(leaf, tensor, level, depths, variables, ranks, units)


def _exchanged(reader: Leaf, bringer: Leaf, tensor: str, level: int) -> list[ExchangeGroup]:
    """Return the groups of variables of two leaves that share the loops above a holder."""
    above = range(reader.storages(tensor)[level].position)
    return exchange_groups(reader, bringer, tensor, above)


def _groups(leaf: Leaf, tensor: str) -> list[tuple[tuple[str, ...], list[int]]]:
    """Return the independent groups of a leaf's variables, with the ranks that they index."""
    projection = leaf.einsum.access(tensor).projection
    ties = [*(i.variables for i in projection), *(c.variables for c in leaf.coupled)]
    return [
        (
            members,
            [r for r, i in enumerate(projection) if i.variables and i.variables[0] in members],
        )
        for members in independent_parts(leaf.einsum.rank_variables, ties)
    ]


def _units(leaf: Leaf, variables: Sequence[str], position: int) -> list[int]:
    """Return the Spatial loops over some variables that are above a position."""
    return [
        p
        for p in range(position)
        if leaf.loops[p].unit is not None and leaf.loops[p].variable in variables
    ]
