"""Derive, element by element, which tile iteration brings what another one reads.

Each function solves one integer program per group of connected variables, parametrically in the
tile iteration that reads (lexicographic maximum of an ISL relation).
"""

from __future__ import annotations

from collections.abc import Sequence

import islpy as isl

from polylat.errors import MappingError
from polylat.lowering.paths import Leaf
from polylat.proof.element_products import Frame, Product, element_product, is_nowhere, met, minus
from polylat.proof.element_relations import (
    SharedElements,
    combined_functions,
    domain_of,
    shared_elements,
)
from polylat.proof.element_sets import ElementSet, touched, written_back
from polylat.proof.problem import Problem
from polylat.proof.relation_text import (
    ElementGroup,
    LeafAccess,
    PartText,
    Projection,
    element_groups,
    exists_text,
)
from polylat.proof.sources import level_of

__all__ = [
    "brought_elements",
    "carrying_depth",
    "check_brought",
    "last_bringer",
    "moved_by_inner",
    "read_back_elements",
    "readers_of_fills",
    "updated_before_leaving",
]

_IN, _OUT, _SET = isl.dim_type.in_, isl.dim_type.out, isl.dim_type.set


def check_brought(
    reader: Leaf, bringers: Sequence[LeafAccess], tensor: str, level: int, producer: Leaf | None
) -> None:
    """Check that all elements a leaf reads in a holder were brought there in the same residency.

    Elements that the producer does not compute in any of its operations are padding: they need not
    be brought.

    Parameters
    ----------
    reader, bringers
        The leaf that reads; the leaves that produce or fill, with the projections by which they do.
    tensor, level
        The tensor, and the index of the shared holder among the reader's holders of it.
    producer
        The leaf that produces the tensor; None if there is none.

    Raises
    ------
    MappingError
        An element was not, and is no padding.
    """
    above = range(reader.storages(tensor)[level].position)
    for index in reader.einsum.access(tensor).reads:
        accesses = [LeafAccess(reader, (index,)), *bringers]
        if producer is not None:
            accesses.append(LeafAccess(producer, (producer.einsum.written(tensor),), in_tile=False))
        groups = element_groups(accesses, above)
        frames = [Frame(group, tuple(group.shared), len(above)) for group in groups]
        due = element_product(frames, accesses[0], 0, index)
        if producer is not None:
            number = len(accesses) - 1
            projection = producer.einsum.written(tensor)
            computed = element_product(frames, accesses[-1], number, projection)
            due = met(due, computed)
        missing = [due]
        for number, bringer in enumerate(bringers, 1):
            for projection in bringer.projections:
                missing = minus(missing, element_product(frames, bringer, number, projection))
        if not all(map(is_nowhere, missing)):
            raise MappingError(
                f"Einsum {reader.einsum.name!r} reads elements of tensor {tensor!r} that no leaf"
                " brought there"
            )


def readers_of_fills(
    reader: Leaf,
    filler: Leaf,
    producer: Leaf | None,
    tensor: str,
    level: int,
    depths: tuple[int, int],
) -> isl.Set | None:
    """Derive which tile iterations read an element that another leaf fetched.

    Parameters
    ----------
    reader, filler, producer
        The leaf that reads; the leaf that fills; the leaf that produces elements in the same tile,
        which are not filled, or None.
    tensor, level
        The tensor, and the index of the shared holder among the reader's holders of it.
    depths
        The numbers of loops that index the tiles that are read, and the tile iterations.

    Returns
    -------
    islpy.Set or None
        The tile iterations of the reader, as points without a name; None: all of them.
    """
    read_depth, depth = depths
    above = range(reader.storages(tensor)[level].position)
    fills = LeafAccess(filler, filler.einsum.access(tensor).reads)
    found = isl.Set(f"{{ [{', '.join(f'i{k}' for k in range(depth))}] : 1 = 0 }}")
    for index in reader.einsum.access(tensor).reads:
        accesses = [LeafAccess(reader, (index,)), fills]
        if producer is not None:
            accesses.append(LeafAccess(producer, (producer.einsum.written(tensor),)))
        groups = element_groups(accesses, above)
        frames = [Frame(g, _shown(reader, g, read_depth), len(above)) for g in groups]
        read = element_product(frames, accesses[0], 0, index)
        for fill in fills.projections:
            filled = element_product(frames, fills, 1, fill)
            if producer is None and not minus([read], filled):
                return None
            terms = [met(read, filled)]
            if producer is not None:
                projection = producer.einsum.written(tensor)
                terms = minus(terms, element_product(frames, accesses[2], 2, projection))
            for term in terms:
                sets = [
                    ElementSet(points, _numbers(reader, group, read_depth))
                    for group, points in zip(groups, term, strict=True)
                ]
                found = found | domain_of(sets, depth)
    return found.coalesce()


def carrying_depth(leaf: Leaf, tensor: str) -> int:
    """Find the innermost loop that carries a recurrence of a leaf to itself.

    Parameters
    ----------
    leaf, tensor
        The leaf, and a tensor that it reads and writes.

    Returns
    -------
    int
        The least number of Temporal loops that index tile iterations of which none reads an element
        that it writes; that of all loops where there is none.
    """
    brought = leaf.einsum.written(tensor)
    positions = leaf.temporal_positions
    for depth in range(len(positions)):
        if not any(
            _reads_own(leaf, index, brought, positions[:depth])
            for index in leaf.einsum.access(tensor).reads
        ):
            return depth
    return len(positions)


def _reads_own(leaf: Leaf, index: Projection, brought: Projection, loops: Sequence[int]) -> bool:
    """Return whether some elements are read and written at one index of some loops."""
    accesses = [LeafAccess(leaf, (index,)), LeafAccess(leaf, (brought,))]
    frames = [Frame(g, tuple(g.shared), len(leaf.loops)) for g in element_groups(accesses, loops)]
    read = element_product(frames, accesses[0], 0, index)
    return not is_nowhere(met(read, element_product(frames, accesses[1], 1, brought)))


def _numbers(reader: Leaf, group: ElementGroup, depth: int) -> tuple[int, ...]:
    """Return the numbers of the first Temporal loops of a reader that are over a group."""
    variables = group.variables[0]
    return tuple(k for k in range(depth) if reader.temporal[k].variable in variables)


def _shown(reader: Leaf, group: ElementGroup, depth: int) -> tuple[int, ...]:
    """Return the positions of these loops, then those of the shared Spatial loops."""
    temporal = (reader.temporal_positions[k] for k in _numbers(reader, group, depth))
    return (*temporal, *_shared_units(reader, group))


def _shared_units(reader: Leaf, group: ElementGroup) -> list[int]:
    return [p for p in group.shared if reader.loops[p].unit is not None]


def last_bringer(
    reader: Leaf,
    index: Projection,
    bringer: Leaf,
    tensor: str,
    level: int,
    depths: tuple[int, int, int],
) -> isl.PwMultiAff:
    """Derive the last tile iteration of a producer whose elements a tile iteration reads.

    Parameters
    ----------
    reader, index, bringer
        The leaf that reads, the projection by which it does, and the leaf that produces.
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
    brought = bringer.einsum.written(tensor)
    accesses = [LeafAccess(reader, (index,)), LeafAccess(bringer, (brought,))]
    parts: list[isl.PwMultiAff] = []
    order: list[int] = []
    above = range(reader.storages(tensor)[level].position)
    for (reads, brings), ranks, shared in element_groups(accesses, above):
        source = [k for k in range(read_depth) if reader.loops[reader_loops[k]].variable in reads]
        target = [k for k in range(awaited) if bringer.loops[bringer_loops[k]].variable in brings]
        r = PartText(reader, reads, "r", [*(reader_loops[k] for k in source), *shared])
        b = PartText(bringer, brings, "b", [*(bringer_loops[k] for k in target), *shared])
        conditions = [*r.conditions, *b.conditions]
        conditions += [f"{r.affine(index[x])} = {b.affine(brought[x])}" for x in ranks]
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


def brought_elements(
    problem: Problem,
    reader: Leaf,
    index: Projection,
    bringer: Leaf,
    tensor: str,
    level: int,
    moved: int | None = None,
) -> list[SharedElements]:
    """Relate reads out of a holder to what brings their elements there, in the same residency.

    Elements that the producer brings into the tile further in, if both leaves have it, are not read
    out of this holder.

    Parameters
    ----------
    problem
        The mapping and its options.
    reader, index, bringer
        The leaf that reads, the projection by which it does, and the leaf that produces.
    tensor, level
        The tensor, and the index of the shared holder among the holders of both.
    moved
        The index of the producer's holder that is written back, further in; None: related are the
        tile iterations that compute the elements.

    Returns
    -------
    list of SharedElements
        Tile iteration of the reader → tile iterations of the producer; the union of all.
    """
    storages, holder = reader.storages(tensor), reader.storages(tensor)[level]
    depth, awaited = problem.depths[reader.number], problem.depths[bringer.number]
    inner = storages[level + 1] if level + 1 < len(storages) else None
    read_depth = depth if inner is None else inner.depth
    brings_further = inner is not None and level_of(bringer, tensor, inner.node) is not None
    common = inner.position if inner is not None and brings_further else holder.position
    brought = bringer.einsum.written(tensor)
    accesses = [LeafAccess(reader, (index,)), LeafAccess(bringer, (brought,))]
    groups = element_groups(accesses, range(common))
    frames = [Frame(group, _shown(reader, group, read_depth), common) for group in groups]
    terms: list[Product] = [element_product(frames, accesses[0], 0, index)]
    if brings_further:
        terms = minus(terms, element_product(frames, accesses[1], 1, brought))
    found = []
    for term in terms:
        pairs = []
        for group, touches in zip(groups, term, strict=True):
            numbers, units = _numbers(reader, group, read_depth), _shared_units(reader, group)
            kept = [p for p in units if p < holder.position]
            points = touches.project_out(_SET, len(numbers) + len(kept), len(units) - len(kept))
            brings, ranks = group.variables[1], group.ranks
            if moved is None:
                other = touched(bringer, brought, awaited, brings, ranks, kept)
            else:
                other = _leaving(problem, bringer, tensor, moved, brings, ranks, kept)
            pairs.append((ElementSet(points, numbers), other))
        found.append(shared_elements(pairs, (depth, awaited), holder.depth))
    return found


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
        one = touched(leaf, leaf.einsum.written(tensor), holder.depth, variables, ranks, units)
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
        other = touched(leaf, leaf.einsum.written(tensor), depth, variables, ranks, units)
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


def _groups(leaf: Leaf, tensor: str) -> list[tuple[list[str], tuple[int, ...]]]:
    """Return the independent groups of a leaf's variables, with the ranks that its output has."""
    groups = element_groups([LeafAccess(leaf, (leaf.einsum.written(tensor),))])
    return [(group.variables[0], group.ranks) for group in groups]


def _units(leaf: Leaf, variables: Sequence[str], position: int) -> list[int]:
    """Return the Spatial loops over some variables that are above a position."""
    return [
        p
        for p in range(position)
        if leaf.loops[p].unit is not None and leaf.loops[p].variable in variables
    ]
