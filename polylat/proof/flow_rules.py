"""Derive rule 1 of the model: an element has arrived before it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from polylat.lowering.paths import Leaf
from polylat.proof.element_flow import check_brought, last_bringer, read_after_write_back
from polylat.proof.precedence import PrecedenceKind, PrecedenceRule
from polylat.proof.sources import producer_of
from polylat.proof.sums import check_final, check_kept
from polylat.proof.tile_sets import TileSets

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["flow_rules", "waiting_for_fills"]


def flow_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive rule 1: an element has arrived before it is read.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Yields
    ------
    PrecedenceRule
        A rule per reader and tensor that another leaf brings.

    Raises
    ------
    MappingError
        Elements are read that no leaf has brought in the same residency, or that are updated
        again later; or elements of an output are updated in several tiles of its backing storage.

    Notes
    -----
    A reader waits for the last transfer of an element only. That waits for the others: a write-back
    for the tile iterations that compute its elements and for write-backs from further in, a fill
    for fills by the same leaf from further out.
    """
    for leaf in sets.leaves:
        for output in leaf.einsum.outputs:
            check_kept(leaf, output)
    for (number, tensor), source in sets.sources.items():
        if source.leaf is None:
            continue
        reader, bringer = sets.leaves[number], sets.leaves[source.leaf]
        storages = reader.storages(tensor)
        block = sets.separate_block(number, "fill", tensor, source.level + 1)
        waiting = sets.foreground(number) if block is None else block
        kind: PrecedenceKind = "flow" if block is None else "transfer"
        producer = producer_of(sets.leaves, tensor)
        brought = check_brought(reader, bringer, tensor, source.level, producer)
        if brought == "none":
            continue
        if source.produces:
            check_final(reader, bringer, tensor, source.level)
            yield _from_producer(sets, reader, bringer, tensor, source.level, waiting, kind)
            continue
        holder = storages[source.level]
        fill = sets.separate_block(bringer.number, "fill", tensor, source.level)
        if fill is None:
            raise AssertionError("a shared holder above a split has separate fills")
        function = sets.entry(number, bringer.number, holder.depth)
        if brought == "some":
            function = function.intersect_domain(
                waiting_for_fills(sets, reader, bringer, tensor, source.level)
            )
        why = f"{bringer.einsum.name} fetches {tensor} into {holder.component}"
        yield PrecedenceRule(kind, number, waiting, bringer.number, fill, function, why, "flow")


def waiting_for_fills(
    sets: TileSets, reader: Leaf, filler: Leaf, tensor: str, level: int
) -> isl.Set:
    """Return the tile iterations that read an element which another reader fetched.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.
    reader, filler
        The leaf that reads, and the leaf that fills.
    tensor, level
        The tensor, and the index of the shared holder among the reader's holders of it.

    Returns
    -------
    islpy.Set
        The tile iterations of the reader, as points without a name. The others read padding only.
    """
    storages, depth = reader.storages(tensor), sets.depths[reader.number]
    read = storages[level + 1].depth if level + 1 < len(storages) else depth
    depths = read, depth, sets.depths[filler.number]
    return last_bringer(reader, filler, tensor, level, depths).domain()


def _from_producer(
    sets: TileSets,
    reader: Leaf,
    bringer: Leaf,
    tensor: str,
    level: int,
    waiting: int,
    kind: PrecedenceKind,
) -> PrecedenceRule:
    """Derive that a reader waits for what its producer computes, or writes back."""
    number, source = reader.number, bringer.number
    storages = reader.storages(tensor)
    depth = sets.depths[number]
    read = storages[level + 1].depth if level + 1 < len(storages) else depth
    where = f"{tensor} in {storages[level].component}"
    back = sets.separate_block(source, "write_back", tensor, level + 1)
    if back is None:
        depths = read, depth, sets.depths[source]
        last = last_bringer(reader, bringer, tensor, level, depths)
        why = f"{bringer.einsum.name} produces {where}"
        return PrecedenceRule(kind, number, waiting, source, None, last, why, "flow")
    elements = read_after_write_back(
        sets.expected.problem, reader, bringer, tensor, level, level + 1
    )
    # The first tile iteration in a tile reads it.
    firsts = sets.firsts(number, read)
    relation = elements.between(firsts, sets.block_set(source, back))
    inner = bringer.storages(tensor)[level + 1]
    if any(loop.unit is not None for loop in bringer.loops[: inner.position]):
        # Counts are those of one unit, and the others may write back in other tile iterations.
        last = relation.lexmax_pw_multi_aff().coalesce()
    else:
        last = elements.last.intersect_domain(firsts)
    why = f"{bringer.einsum.name} writes back {where}"
    return PrecedenceRule(kind, number, waiting, source, back, last, why, "flow", relation=relation)
