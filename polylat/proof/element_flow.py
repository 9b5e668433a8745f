"""Derive, element by element, which tile iteration brings what another one reads.

Each function solves one integer program per group of connected variables, parametrically in the
tile iteration that reads (lexicographic maximum of an ISL relation).
"""

from __future__ import annotations

from collections.abc import Sequence

import islpy as isl

from polylat.analysis.isl_pieces import prefix_map
from polylat.errors import MappingError
from polylat.lowering.groups import GroupText, connected_groups
from polylat.lowering.isl_text import set_text
from polylat.lowering.paths import Leaf
from polylat.lowering.relations import tiling

__all__ = ["check_brought", "last_bringer", "last_read_back", "tile_set"]

_IN, _OUT = isl.dim_type.in_, isl.dim_type.out


def tile_set(leaf: Leaf, depth: int) -> isl.Set:
    """Return the tile iterations of a leaf.

    Parameters
    ----------
    leaf
        The leaf.
    depth
        The number of loops that index its tile iterations.

    Returns
    -------
    islpy.Set
        The tile iterations, as points without a name.
    """
    found = tiling(leaf, depth).domain()
    if found.has_tuple_id():
        found = found.reset_tuple_id()
    return found.remove_redundancies().coalesce()


def _temporal_positions(leaf: Leaf) -> list[int]:
    return [p for p, loop in enumerate(leaf.loops) if loop.unit is None]


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
    for members, ranks in connected_groups(names, indices, ties):
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
            text = GroupText(leaf, variables, "x", shared)
            names = [f"z{r}" for r in ranks]
            equal = [f"z{r} = {text.index(projection[r])}" for r in ranks]
            dims = [*(text.shown[p] for p in shared), *names]
            sets.append(isl.Set(set_text(dims, text.hidden, [*text.conditions, *equal])))
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
    reader_loops, bringer_loops = _temporal_positions(reader), _temporal_positions(bringer)
    read = reader.einsum.access(tensor).projection
    brought = bringer.einsum.access(tensor).projection
    parts: list[isl.PwMultiAff] = []
    order: list[int] = []
    for reads, brings, ranks, shared in _exchange_groups(reader, bringer, tensor, level):
        source = [k for k in range(read_depth) if reader.loops[reader_loops[k]].variable in reads]
        target = [k for k in range(awaited) if bringer.loops[bringer_loops[k]].variable in brings]
        r = GroupText(reader, reads, "r", [*(reader_loops[k] for k in source), *shared])
        b = GroupText(bringer, brings, "b", [*(bringer_loops[k] for k in target), *shared])
        conditions = [*r.conditions, *b.conditions]
        conditions += [f"{r.index(read[x])} = {b.index(brought[x])}" for x in ranks]
        conditions += [f"{r.shown[p]} = {b.shown[p]}" for p in shared]
        hidden = [*r.hidden, *b.hidden]
        hidden += [r.shown[p] for p in shared if p not in [reader_loops[k] for k in source]]
        hidden += [b.shown[p] for p in shared if p not in [bringer_loops[k] for k in target]]
        given = [r.shown[reader_loops[k]] if k in source else f"f{k}" for k in range(waiting)]
        text = set_text([*given, *(b.shown[bringer_loops[k]] for k in target)], hidden, conditions)
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
    positions = _temporal_positions(leaf)
    units = [p for p in range(holder.position) if leaf.loops[p].unit is not None]
    outer = positions[: holder.depth]
    projection = leaf.einsum.access(tensor).projection
    ties = [c.variables for c in leaf.coupled]
    conditions: list[str] = []
    hidden: list[str] = []
    several = False
    for variables, ranks in connected_groups(
        leaf.einsum.rank_variables, [i.variables for i in projection], ties
    ):
        here = [p for p in units if leaf.loops[p].variable in variables]
        now, then = (
            GroupText(leaf, variables, "r", [*outer, *here]),
            GroupText(leaf, variables, "w", [*positions[:depth], *here]),
        )
        group_conditions = [*now.conditions, *then.conditions]
        group_conditions += [
            f"{now.index(projection[x])} = {then.index(projection[x])}" for x in ranks
        ]
        group_conditions += [f"{now.shown[p]} = {then.shown[p]}" for p in here]
        group_hidden = [*now.hidden, *then.hidden]
        group_hidden += [text.shown[p] for text in (now, then) for p in here]
        conditions += group_conditions
        hidden += group_hidden
        loops = [p for p in outer if leaf.loops[p].variable in variables]
        inner = [p for p in positions[:depth] if p in then.shown and p not in loops]
        dims = [*(now.shown[p] for p in loops), *(then.shown[p] for p in loops)]
        pairs = isl.Set(
            set_text(dims, [*group_hidden, *(then.shown[p] for p in inner)], group_conditions)
        )
        same = " and ".join(f"d{k} = e{k}" for k in range(len(loops))) or "1 = 1"
        names = [f"d{k}" for k in range(len(loops))] + [f"e{k}" for k in range(len(loops))]
        several = several or not pairs.is_subset(isl.Set(f"{{ [{', '.join(names)}] : {same} }}"))
    if not several:
        return None
    reading = [f"ri{p}" for p in outer]
    writing = [f"wi{p}" for p in positions[:depth]]
    later = " or ".join(
        "("
        + " and ".join([f"ri{p} = wi{p}" for p in outer[:k]] + [f"ri{outer[k]} > wi{outer[k]}"])
        + ")"
        for k in range(len(outer))
    )
    text = set_text([*reading, *writing], hidden, [*conditions, f"({later})"])
    pairs_of_tiles = _as_map(isl.Set(text), len(outer))
    every = tile_set(leaf, depth)
    reads = prefix_map(depth, holder.depth).intersect_domain(every).apply_range(pairs_of_tiles)
    before = isl.Map.lex_ge(every.get_space()).intersect_domain(every).intersect_range(every)
    found = before.apply_range(reads)
    return None if found.is_empty() else found.lexmax_pw_multi_aff().coalesce()
