"""Derive rule 1 of the model: an element has arrived before it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from polylat.lowering.paths import Leaf
from polylat.proof.element_flow import (
    brought_elements,
    check_brought,
    last_bringer,
    readers_of_fills,
)
from polylat.proof.precedence import PrecedenceKind, PrecedenceRule
from polylat.proof.program_order import check_forward
from polylat.proof.relation_text import LeafAccess, Projection
from polylat.proof.sources import Source, found_at, level_of, producer_of
from polylat.proof.sums import check_final, check_kept
from polylat.proof.tile_sets import TileSets

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["computed_before", "fetched_before", "flow_rules", "tile_read", "waiting_block"]


def flow_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive rule 1: an element has arrived before it is read.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Yields
    ------
    PrecedenceRule
        Rules per reader, and tensor that another leaf, or itself as the producer, brings.

    Raises
    ------
    MappingError
        Elements are read that no leaf has brought in the same residency, that are updated again
        later, or that a recurrence brings too late; or elements of an output are updated in several
        tiles of its backing storage.

    Notes
    -----
    A reader waits for the last transfer of an element only. That waits for the others: a write-back
    for the tile iterations that compute its elements and for write-backs from further in, a fill
    for fills by the same leaf from further out.
    """
    for leaf in sets.leaves:
        for output in leaf.einsum.outputs:
            check_kept(leaf, output)
    for (number, tensor), sources in sets.sources.items():
        reader = sets.leaves[number]
        _check_arrived(sets, reader, tensor, sources)
        for source in sources:
            if source.produces:
                check_final(reader, sets.leaves[source.leaf], tensor, source.level)
                for index in reader.einsum.access(tensor).reads:
                    yield from _from_producer(sets, reader, index, tensor, source)
            else:
                yield from _from_filler(sets, reader, tensor, source)


def _check_arrived(sets: TileSets, reader: Leaf, tensor: str, sources: tuple[Source, ...]) -> None:
    """Check that what a leaf finds in a shared holder, or in the backing storage, is there."""
    producer = producer_of(sets.leaves, tensor)
    level = found_at(sets.leaves, reader, tensor)
    if producer is None and not level:
        return
    bringers = []
    for source in sources:
        if source.level == level:
            leaf = sets.leaves[source.leaf]
            reads = leaf.einsum.access(tensor).reads
            bringers.append(
                LeafAccess(leaf, (leaf.einsum.written(tensor),) if source.produces else reads)
            )
    check_brought(reader, bringers, tensor, level, producer)


def tile_read(sets: TileSets, reader: Leaf, tensor: str, level: int) -> int:
    """Return the number of loops above the tiles that a leaf reads out of a holder.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.
    reader, tensor, level
        The leaf that reads, the tensor, and the index of the holder.

    Returns
    -------
    int
        The depth of the next holder further in; of the innermost one, that of tile iterations.
    """
    storages = reader.storages(tensor)
    return storages[level + 1].depth if level + 1 < len(storages) else sets.depths[reader.number]


def waiting_block(sets: TileSets, reader: Leaf, tensor: str, level: int) -> int:
    """Return the block by which a leaf reads a tensor out of a holder.

    Parameters
    ----------
    sets, reader, tensor, level
        As for `tile_read`.

    Returns
    -------
    int
        Its index: a separate fill of the next holder further in, or else the foreground.
    """
    fill = sets.separate_block(reader.number, "fill", tensor, level + 1)
    return sets.foreground(reader.number) if fill is None else fill


def fetched_before(
    sets: TileSets, reader: Leaf, filler: Leaf, tensor: str, level: int
) -> isl.PwMultiAff:
    """Derive which fill by another leaf a tile iteration waits for.

    Parameters
    ----------
    sets, reader
        As for `tile_read`.
    filler
        The leaf that fills the holder.
    tensor, level
        As for `tile_read`.

    Returns
    -------
    islpy.PwMultiAff
        Tile iteration of the reader → that of the other leaf to which the fill belongs. The other
        tile iterations of the reader read nothing that was fetched.
    """
    holder = reader.storages(tensor)[level]
    found = sets.entry(reader.number, filler.number, holder.depth)
    producer = producer_of(sets.leaves, tensor)
    if producer is not None and level_of(producer, tensor, holder.node) is None:
        producer = None
    depths = tile_read(sets, reader, tensor, level), sets.depths[reader.number]
    some = readers_of_fills(reader, filler, producer, tensor, level, depths)
    return found if some is None else found.intersect_domain(some)


def computed_before(
    sets: TileSets, reader: Leaf, index: Projection, tensor: str, source: Source
) -> list[isl.PwMultiAff]:
    """Derive the last tile iteration of a producer for which a tile iteration waits.

    Parameters
    ----------
    sets, reader
        As for `tile_read`.
    index
        The projection by which the leaf reads.
    tensor, source
        The tensor; the producer, and the holder out of which the leaf reads.

    Returns
    -------
    list of islpy.PwMultiAff
        Tile iteration of the reader → the last one of the producer, of all of these.
    """
    producer, level = sets.leaves[source.leaf], source.level
    if producer.number >= reader.number:
        problem = sets.expected.problem
        some = brought_elements(problem, reader, index, producer, tensor, level)
        return [elements.last for elements in some]
    read, depth = tile_read(sets, reader, tensor, level), sets.depths[reader.number]
    depths = read, depth, sets.depths[producer.number]
    return [last_bringer(reader, index, producer, tensor, level, depths)]


def _from_filler(
    sets: TileSets, reader: Leaf, tensor: str, source: Source
) -> Iterator[PrecedenceRule]:
    """Derive that a reader waits for what another leaf fetches."""
    number, level = reader.number, source.level
    filler = sets.leaves[source.leaf]
    waiting = waiting_block(sets, reader, tensor, level)
    function = fetched_before(sets, reader, filler, tensor, level)
    if function.domain().is_empty():
        return
    # A fill that streams has finished with its tile iteration.
    fill = sets.separate_block(filler.number, "fill", tensor, level)
    why = f"{filler.einsum.name} fetches {tensor} into {reader.storages(tensor)[level].component}"
    kind = _kind(sets, reader, waiting)
    yield PrecedenceRule(kind, number, waiting, filler.number, fill, function, why, "flow")


def _from_producer(
    sets: TileSets, reader: Leaf, index: Projection, tensor: str, source: Source
) -> Iterator[PrecedenceRule]:
    """Derive that a reader waits for what its producer computes, or writes back."""
    number, level = reader.number, source.level
    problem, bringer = sets.expected.problem, sets.leaves[source.leaf]
    read = tile_read(sets, reader, tensor, level)
    if bringer.number >= number:
        for elements in brought_elements(problem, reader, index, bringer, tensor, level):
            check_forward(sets, reader, bringer, tensor, read, elements)
    where = f"{tensor} in {reader.storages(tensor)[level].component}"
    waiting = waiting_block(sets, reader, tensor, level)
    kind = _kind(sets, reader, waiting)
    back = sets.separate_block(source.leaf, "write_back", tensor, level + 1)
    if back is None:
        why = f"{bringer.einsum.name} produces {where}"
        for last in computed_before(sets, reader, index, tensor, source):
            if not last.domain().is_empty():
                yield PrecedenceRule(kind, number, waiting, source.leaf, None, last, why, "flow")
        return
    why = f"{bringer.einsum.name} writes back {where}"
    for elements in brought_elements(problem, reader, index, bringer, tensor, level, level + 1):
        # The first tile iteration in a tile reads it.
        firsts = sets.firsts(number, read)
        relation = elements.between(firsts, sets.block_set(source.leaf, back))
        if relation.is_empty():
            continue
        inner = bringer.storages(tensor)[level + 1]
        if any(loop.unit is not None for loop in bringer.loops[: inner.position]):
            # Counts are those of one unit, and the others may write back in other tile iterations.
            last = relation.lexmax_pw_multi_aff().coalesce()
        else:
            last = elements.last.intersect_domain(firsts)
        yield PrecedenceRule(
            kind, number, waiting, source.leaf, back, last, why, "flow", relation=relation
        )


def _kind(sets: TileSets, reader: Leaf, waiting: int) -> PrecedenceKind:
    return "flow" if waiting == sets.foreground(reader.number) else "transfer"
