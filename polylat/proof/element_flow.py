"""Derive, element by element, which tile iteration brings what another one reads.

Each function solves one integer program per group of connected variables, parametrically in the
tile iteration that reads (lexicographic maximum of an ISL relation).
"""

from __future__ import annotations

from collections.abc import Sequence

import islpy as isl

from polylat.analysis.isl_pieces import prefix_map
from polylat.errors import MappingError
from polylat.lowering.paths import Leaf
from polylat.proof.relation_text import (
    PartText,
    exists_text,
    independent_parts,
    tile_iterations,
)

__all__ = ["check_brought", "last_bringer", "last_read_back"]

_IN, _OUT = isl.dim_type.in_, isl.dim_type.out


def _exchange_groups(
    reader: Leaf, bringer: Leaf, tensor: str, level: int
) -> list[tuple[list[str], list[str], tuple[int, ...], list[int]]]:
    """Group variables of both leaves, ranks and shared loops by what must be solved together."""
    shared = range(reader.storages(tensor)[level].position)
    read = reader.einsum.access(tensor).projection
    brought = bringer.einsum.access(tensor).projection
    indices = [
        [*(f"r.{v}" for v in a.variables), *(f"b.{v}" for v in b.variables)]
        for a, b in zip(read, brought, strict=True)
    ]
    ties = [[f"r.{reader.loops[p].variable}", f"b.{bringer.loops[p].variable}"] for p in shared]
    ties += [[f"r.{v}" for v in c.variables] for c in reader.coupled]
    ties += [[f"b.{v}" for v in c.variables] for c in bringer.coupled]
    names = [f"r.{v}" for v in reader.einsum.rank_variables]
    names += [f"b.{v}" for v in bringer.einsum.rank_variables]
    found = []
    for members in independent_parts(names, [*indices, *ties]):
        ranks = tuple(x for x, some in enumerate(indices) if some and some[0] in members)
        read_variables = [m[2:] for m in members if m.startswith("r.")]
        brought_variables = [m[2:] for m in members if m.startswith("b.")]
        loops = [p for p in shared if reader.loops[p].variable in read_variables]
        found.append((read_variables, brought_variables, ranks, loops))
    return found


def check_brought(reader: Leaf, bringer: Leaf, tensor: str, level: int) -> None:
    """Check that all elements a leaf reads in a holder were brought there in the same residency.

    Parameters
    ----------
    reader, bringer
        The leaf that reads, and the leaf that produces or fills.
    tensor, level
        The tensor, and the index of the shared holder among the reader's holders of it.

    Raises
    ------
    MappingError
        They were not.
    """
    read = reader.einsum.access(tensor).projection
    brought = bringer.einsum.access(tensor).projection
    brought_all = all(
        a.constant == b.constant
        for a, b in zip(read, brought, strict=True)
        if not a.variables and not b.variables
    )
    for read_variables, brought_variables, ranks, shared in _exchange_groups(
        reader, bringer, tensor, level
    ):
        sets = []
        for leaf, variables, projection in (
            (reader, read_variables, read),
            (bringer, brought_variables, brought),
        ):
            text = PartText(leaf, variables, "x", shared)
            names = [f"z{r}" for r in ranks]
            equal = [f"z{r} = {text.affine(projection[r])}" for r in ranks]
            dims = [*text.names(shared), *names]
            sets.append(isl.Set(exists_text(dims, text.hidden, [*text.conditions, *equal])))
        brought_all = brought_all and sets[0].is_subset(sets[1])
    if not brought_all:
        raise MappingError(
            f"Einsum {reader.einsum.name!r} reads elements of tensor {tensor!r} that no leaf"
            " brought there"
        )


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
        The number of loops that index the tiles that are read; of those that index the tile
        iterations of the reader, and of the producer.

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
    for reads, brings, ranks, shared in _exchange_groups(reader, bringer, tensor, level):
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
    return _side_by_side(parts, order, waiting, awaited)


def _as_map(some: isl.Set, source: int) -> isl.Map:
    found = isl.Map.from_range(some)
    return found.move_dims(_IN, 0, _OUT, 0, source)


def _side_by_side(
    parts: Sequence[isl.PwMultiAff], order: Sequence[int], waiting: int, awaited: int
) -> isl.PwMultiAff:
    """Combine functions of the same argument into one, and sort their results."""
    found = isl.PwMultiAff(f"{{ [{', '.join(f'i{k}' for k in range(waiting))}] -> [] }}")
    for part in parts:
        found = found.flat_range_product(part)
    given = ", ".join(f"t{k}" for k in order)
    wanted = ", ".join(f"t{k}" for k in range(awaited))
    sort = isl.PwMultiAff(f"{{ [{given}] -> [{wanted}] }}")
    return sort.pullback_pw_multi_aff(found).coalesce()


def last_read_back(leaf: Leaf, tensor: str, level: int, depth: int) -> isl.PwMultiAff | None:
    """Derive the last tile iteration whose write-back is read back so far.

    Among all tile iterations that updated an element before the tile in which it is read back, the
    last one also updated it last in its own tile: that is where the element was written back.

    Parameters
    ----------
    leaf
        The leaf.
    tensor, level
        The output, and the index of the holder that is written back among the leaf's holders of it.
    depth
        The number of loops that index the leaf's tile iterations.

    Returns
    -------
    islpy.PwMultiAff or None
        Tile iteration → the last one that wrote back an element which it, or one before it, reads
        back; None if nothing is read back.
    """
    holder = leaf.storages(tensor)[level]
    positions = leaf.temporal_positions
    units = [p for p in range(holder.position) if leaf.loops[p].unit is not None]
    outer, inner = positions[: holder.depth], positions[:depth]
    projection = leaf.einsum.access(tensor).projection
    ties = [*(i.variables for i in projection), *(c.variables for c in leaf.coupled)]
    conditions: list[str] = []
    hidden: list[str] = []
    several = False
    for variables in independent_parts(leaf.einsum.rank_variables, ties):
        now = PartText(leaf, variables, "r", [*outer, *units])
        then = PartText(leaf, variables, "w", [*inner, *units])
        part_conditions = [*now.conditions, *then.conditions]
        part_conditions += [
            f"{now.affine(i)} = {then.affine(i)}"
            for i in projection
            if i.variables and i.variables[0] in variables
        ]
        part_conditions += [f"{now.index[p]} = {then.index[p]}" for p in units if p in now.index]
        part_hidden = [*now.hidden, *then.hidden, *now.names(units), *then.names(units)]
        conditions += part_conditions
        hidden += part_hidden
        reading, writing = now.names(outer), then.names(outer)
        rest = [p for p in inner if p not in outer]
        pairs = isl.Set(
            exists_text([*reading, *writing], [*part_hidden, *then.names(rest)], part_conditions)
        )
        same = [f"{a} = {b}" for a, b in zip(reading, writing, strict=True)]
        several = several or not pairs.is_subset(
            isl.Set(exists_text([*reading, *writing], (), same))
        )
    if not several:
        return None
    read_at, written_at = [f"rd{p}" for p in outer], [f"wd{p}" for p in inner]
    later = " or ".join(
        "(" + " and ".join([*(f"rd{p} = wd{p}" for p in outer[:k]), f"rd{q} > wd{q}"]) + ")"
        for k, q in enumerate(outer)
    )
    text = exists_text([*read_at, *written_at], hidden, [*conditions, f"({later})"])
    pairs_of_tiles = _as_map(isl.Set(text), len(outer))
    every = tile_iterations(leaf, depth)
    reads = prefix_map(depth, holder.depth).intersect_domain(every).apply_range(pairs_of_tiles)
    before = isl.Map.lex_ge(every.get_space()).intersect_domain(every).intersect_range(every)
    found = before.apply_range(reads)
    return None if found.is_empty() else found.lexmax_pw_multi_aff().coalesce()
