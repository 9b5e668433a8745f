"""Check that a recurrence goes forward in program order: what is read has been brought before."""

from __future__ import annotations

import islpy as isl

from polylat.analysis.isl_pieces import prefix_map
from polylat.errors import MappingError
from polylat.lowering.paths import Leaf
from polylat.proof.element_relations import SharedElements
from polylat.proof.tile_sets import TileSets

__all__ = ["check_forward"]


def check_forward(
    sets: TileSets,
    reader: Leaf,
    producer: Leaf,
    tensor: str,
    depth: int,
    elements: SharedElements,
) -> None:
    """Check that a recurrence brings elements in tile iterations before those that read them.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.
    reader, producer
        The leaf that reads, and the leaf that produces: the same one, or a later one.
    tensor, depth
        The tensor, and the number of loops above the tiles that are read.
    elements
        Tile iteration of the reader → tile iterations of the producer whose elements it reads.

    Raises
    ------
    MappingError
        An element is brought in a tile iteration that is not before one that reads it.
    """
    here, there = reader.number, producer.number
    # Below the split at which they part, all of the producer's tile iterations are later.
    loops = sets.depths[here]
    if reader is not producer:
        pairs = zip(reader.splits, producer.splits, strict=False)
        loops = next(a.depth for a, b in pairs if a.branch != b.branch)
    read, brought = prefix_map(sets.depths[here], loops), prefix_map(sets.depths[there], loops)
    later = isl.Map.lex_le(read.range().get_space())
    related = elements.between(sets.firsts(here, depth), sets.spaces[there])
    if not (related & read.apply_range(later).apply_range(brought.reverse())).is_empty():
        raise MappingError(
            f"Einsum {reader.einsum.name!r} reads elements of tensor {tensor!r} before"
            f" {producer.einsum.name!r} computes them"
        )
