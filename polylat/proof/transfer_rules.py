"""Derive when the separate transfers of a leaf may start, and what waits for them."""

from __future__ import annotations

from collections.abc import Iterator

import islpy as isl

from polylat.analysis.isl_pieces import prefix_map
from polylat.lowering.paths import Leaf
from polylat.proof.accesses import ExpectedBlock
from polylat.proof.element_flow import read_back_elements
from polylat.proof.precedence import PrecedenceRule, flow_from_all
from polylat.proof.tile_sets import TileSets

__all__ = ["transfer_rules", "written_back_before"]


def transfer_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive when the separate transfers of a leaf may start, and what waits for them.

    A tile iteration waits for its own fills and read-backs. A fill or a read-back waits for that of
    the outer tile from which it reads, and a read-back for the write-backs of its elements. A
    write-back waits for its tile iteration, and for the write-backs from further in that belong to
    this or an earlier tile iteration in the same tile.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Yields
    ------
    PrecedenceRule
        The rules.
    """
    for leaf in sets.leaves:
        for index, block in enumerate(sets.expected.blocks[leaf.number]):
            if block.kind == "fill":
                yield from _of_fill(sets, leaf, index, block)
            elif block.kind == "write_back":
                yield from _of_write_back(sets, leaf, index, block)


def _of_fill(
    sets: TileSets, leaf: Leaf, index: int, block: ExpectedBlock
) -> Iterator[PrecedenceRule]:
    number, tensor = leaf.number, block.tensor
    assert tensor is not None
    storages = leaf.storages(tensor)
    front = sets.foreground(number)
    own = f"{leaf.einsum.name} fetches {tensor} into {storages[block.level].component}"
    yield PrecedenceRule(
        "transfer", number, front, number, index, sets.identity(number), own, "flow"
    )
    outer = sets.separate_block(number, "fill", tensor, block.level - 1)
    if outer is not None:
        holder = storages[block.level - 1]
        function = sets.entry(number, number, holder.depth)
        why = f"{leaf.einsum.name} fetches {tensor} into {holder.component}"
        yield PrecedenceRule("transfer", number, index, number, outer, function, why, "flow")
    back = sets.separate_block(number, "write_back", tensor, block.level)
    if back is not None:
        relation = written_back_before(sets, leaf, tensor, block.level, index, back)
        why = f"{leaf.einsum.name} reads back {tensor} from {storages[block.level - 1].component}"
        yield flow_from_all("transfer", (number, index), (number, back), relation, why)


def written_back_before(
    sets: TileSets, leaf: Leaf, tensor: str, level: int, fill: int, back: int
) -> isl.Map:
    """Relate read-backs to the write-backs of their elements in earlier tiles.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.
    leaf, tensor, level
        The leaf, its output, and the index of the holder on the path.
    fill, back
        The indices of the blocks of read-backs and of write-backs.

    Returns
    -------
    islpy.Map
        Tile iteration that reads back → tile iterations that wrote back.
    """
    number = leaf.number
    head = prefix_map(sets.depths[number], leaf.storages(tensor)[level].depth)
    later = isl.Map.lex_gt(head.range().get_space())
    elements = read_back_elements(sets.expected.problem, leaf, tensor, level)
    relation = elements.between(sets.block_set(number, fill), sets.block_set(number, back))
    return relation.intersect(head.apply_range(later).apply_range(head.reverse())).coalesce()


def _of_write_back(
    sets: TileSets, leaf: Leaf, index: int, block: ExpectedBlock
) -> Iterator[PrecedenceRule]:
    number, tensor = leaf.number, block.tensor
    assert tensor is not None
    storages = leaf.storages(tensor)
    why = f"{leaf.einsum.name} updates {tensor}"
    yield PrecedenceRule(
        "transfer", number, index, number, None, sets.identity(number), why, "flow"
    )
    head = prefix_map(sets.depths[number], storages[block.level].depth)
    here = sets.block_set(number, index)
    same = head.apply_range(head.reverse()) & isl.Map.lex_ge(here.get_space())
    for level in range(block.level + 1, len(storages)):
        inner = sets.separate_block(number, "write_back", tensor, level)
        if inner is None:
            continue
        relation = same.intersect_domain(here).intersect_range(sets.block_set(number, inner))
        why = f"{leaf.einsum.name} writes back {tensor} from {storages[level].component}"
        yield flow_from_all("transfer", (number, index), (number, inner), relation, why)
