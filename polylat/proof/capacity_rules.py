"""Derive rule 3 of the model: a tile waits until a buffer slot is free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from polylat.analysis.isl_pieces import last_within, preceding, prefix_function
from polylat.lowering.paths import Leaf, PathHolder
from polylat.proof.precedence import PrecedenceKind, PrecedenceRule
from polylat.proof.sources import leaves_at
from polylat.proof.tile_sets import TileSets

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["capacity_rules"]


def capacity_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive rule 3: a tile waits until a buffer slot is free.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Yields
    ------
    PrecedenceRule
        Rules per holder with limited slots and leaf that waits for a slot of it.
    """
    for leaf in sets.leaves:
        number = leaf.number
        for tensor in leaf.einsum.outputs:
            exchanged = _exchanged(sets, leaf, tensor)
            for level, holder in enumerate(leaf.storages(tensor)):
                freed = _freed_tile(sets, leaf, tensor, holder)
                if freed is None:
                    continue
                waiting: _Waiting = ("capacity", number, sets.foreground(number))
                freed = freed.intersect_domain(sets.firsts(number, holder.depth))
                if level in exchanged:
                    yield from _until_served(sets, waiting, tensor, holder, freed)
                else:
                    yield from _until_left(sets, waiting, leaf, tensor, level, holder, freed)
        for index, block in enumerate(sets.expected.blocks[number]):
            if block.kind != "fill" or block.tensor is None:
                continue
            holder = leaf.storages(block.tensor)[block.level]
            freed = _freed_tile(sets, leaf, block.tensor, holder)
            if freed is not None:
                waiting = ("transfer", number, index)
                freed = freed.intersect_domain(sets.block_set(number, index))
                yield from _until_served(sets, waiting, block.tensor, holder, freed)


_Waiting = tuple[PrecedenceKind, int, int]
"""(kind, leaf, block)"""


def _freed_tile(
    sets: TileSets, leaf: Leaf, tensor: str, holder: PathHolder
) -> isl.PwMultiAff | None:
    """Return tile iteration → the tile whose buffer slot is reused; None if unlimited."""
    limit = sets.expected.problem.kept_tiles(tensor, holder.component)
    if holder.depth == 0 or limit is None:
        return None
    tiles = sets.prefixes(leaves_at(sets.leaves, tensor, holder.node), holder.depth)
    head = prefix_function(sets.depths[leaf.number], holder.depth)
    return preceding(tiles, limit).pullback_pw_multi_aff(head).coalesce()


def _until_served(
    sets: TileSets,
    waiting: _Waiting,
    tensor: str,
    holder: PathHolder,
    freed: isl.PwMultiAff,
) -> Iterator[PrecedenceRule]:
    """Yield rules that wait until every access to the freed tile has been served."""
    why = f"a buffer slot for {tensor} in {holder.component}"
    for other in leaves_at(sets.leaves, tensor, holder.node):
        touching = sets.touching(other.number, tensor, holder.component)
        if not touching.is_empty():
            last = last_within(touching, holder.depth).pullback_pw_multi_aff(freed).coalesce()
            yield PrecedenceRule(
                *waiting, other.number, None, last, why, "capacity", until="served"
            )
        if tensor in other.einsum.outputs:
            level = [h.node for h in other.storages(tensor)].index(holder.node)
            for moved in (level, level + 1):
                yield from _until_left(sets, waiting, other, tensor, moved, holder, freed)


def _until_left(
    sets: TileSets,
    waiting: _Waiting,
    other: Leaf,
    tensor: str,
    level: int,
    holder: PathHolder,
    freed: isl.PwMultiAff,
) -> Iterator[PrecedenceRule]:
    """Yield rules that wait until the separate write-backs in the freed tile have been served."""
    why = f"a buffer slot for {tensor} in {holder.component}"
    back = sets.separate_block(other.number, "write_back", tensor, level)
    if back is not None:
        last, relation = sets.within_tiles(freed, (other.number, back), holder.depth)
        yield PrecedenceRule(
            *waiting,
            other.number,
            back,
            last,
            why,
            "capacity",
            until="served",
            relation=relation,
        )


def _exchanged(sets: TileSets, producer: Leaf, tensor: str) -> set[int]:
    """Return the levels of the producer's holders at which a reader shares the tensor."""
    nodes = [h.node for h in producer.storages(tensor)]
    found = set()
    for reader in sets.leaves:
        if reader is not producer and tensor in reader.einsum.inputs:
            # A leaf's own state makes no exchange holder.
            shared = [h.node for h in reader.storages(tensor) if h.node in nodes]
            found.add(nodes.index(shared[-1]))
    return found
