"""Derive causality: no value is moved before it exists, and no tile is used before it has arrived.

Every element is computed, moved outwards by separate write-backs, moved inwards by separate fills
and read-backs, and then used. These precedences are derived element by element from the operations,
independently of the rules of the model that imply them.
"""

from __future__ import annotations

from collections.abc import Iterator

from polylat.lowering.paths import Leaf
from polylat.proof.element_flow import brought_elements, moved_by_inner, updated_before_leaving
from polylat.proof.flow_rules import computed_before, fetched_before, tile_read, waiting_block
from polylat.proof.precedence import PrecedenceRule, flow_from_all
from polylat.proof.sources import Source
from polylat.proof.tile_sets import TileSets
from polylat.proof.transfer_rules import written_back_before

__all__ = ["causality_rules"]


def causality_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive the precedences between the computation, the transfers and the use of elements.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Yields
    ------
    PrecedenceRule
        A rule per tensor and pair of consecutive steps of its elements.
    """
    for leaf in sets.leaves:
        for tensor in leaf.einsum.outputs:
            yield from _outwards(sets, leaf, tensor)
        for tensor in leaf.einsum.tensors:
            yield from _inwards(sets, leaf, tensor)
    for (number, tensor), sources in sets.sources.items():
        for source in sources:
            if source.produces:
                yield from _computed(sets, sets.leaves[number], tensor, source)
            else:
                yield from _fetched(sets, sets.leaves[number], tensor, source)


def _outwards(sets: TileSets, leaf: Leaf, tensor: str) -> Iterator[PrecedenceRule]:
    """Yield the steps of elements from their computation out of every separate holder."""
    number, problem = leaf.number, sets.expected.problem
    front = number, sets.foreground(number)
    blocks: dict[int, tuple[int, int]] = {}
    for level in problem.separate_levels(leaf, tensor):
        block = sets.separate_block(number, "write_back", tensor, level)
        if block is not None:
            blocks[level] = number, block
    for level, back in blocks.items():
        some = sets.block_set(*back)
        computed = updated_before_leaving(problem, leaf, tensor, level)
        relation = computed.between(some, sets.spaces[number])
        why = f"{leaf.einsum.name} computes {tensor}"
        yield flow_from_all("causality", back, front, relation, why)
        if level + 1 in blocks:
            inner = blocks[level + 1]
            moved = moved_by_inner(problem, leaf, tensor, level, level + 1)
            relation = moved.between(some, sets.block_set(*inner))
            component = leaf.storages(tensor)[level + 1].component
            why = f"{leaf.einsum.name} writes back {tensor} from {component}"
            yield flow_from_all("causality", back, inner, relation, why)


def _inwards(sets: TileSets, leaf: Leaf, tensor: str) -> Iterator[PrecedenceRule]:
    """Yield the steps of elements through the leaf's own fills and read-backs to their use."""
    number = leaf.number
    storages = leaf.storages(tensor)
    outer: int | None = None
    for level in sets.expected.problem.separate_levels(leaf, tensor):
        fill = sets.separate_block(number, "fill", tensor, level)
        if fill is None:
            continue
        arrived = sets.entry(number, number, storages[level].depth)
        why = f"{leaf.einsum.name} fetches {tensor} into {storages[level].component}"
        front = sets.foreground(number)
        yield PrecedenceRule("causality", number, front, number, fill, arrived, why, "flow")
        if outer is not None:
            holder = storages[level - 1]
            before = sets.entry(number, number, holder.depth)
            why = f"{leaf.einsum.name} fetches {tensor} into {holder.component}"
            yield PrecedenceRule("causality", number, fill, number, outer, before, why, "flow")
        outer = fill
        back = sets.separate_block(number, "write_back", tensor, level)
        if back is not None:
            relation = written_back_before(sets, leaf, tensor, level, fill, back)
            why = f"{leaf.einsum.name} writes back {tensor} from {storages[level].component}"
            yield flow_from_all("causality", (number, fill), (number, back), relation, why)


def _fetched(sets: TileSets, reader: Leaf, tensor: str, source: Source) -> Iterator[PrecedenceRule]:
    """Yield the step of elements from the leaf that fetches them to another one that reads them."""
    level, filler = source.level, sets.leaves[source.leaf]
    waiting = waiting_block(sets, reader, tensor, level)
    fill = sets.separate_block(filler.number, "fill", tensor, level)
    arrived = fetched_before(sets, reader, filler, tensor, level)
    if arrived.domain().is_empty():
        return
    why = f"{filler.einsum.name} fetches {tensor} into {reader.storages(tensor)[level].component}"
    yield PrecedenceRule(
        "causality", reader.number, waiting, filler.number, fill, arrived, why, "flow"
    )


def _computed(
    sets: TileSets, reader: Leaf, tensor: str, source: Source
) -> Iterator[PrecedenceRule]:
    """Yield the steps of elements from the leaf that produces them to the one that reads them."""
    number, problem = reader.number, sets.expected.problem
    level, bringer = source.level, sets.leaves[source.leaf]
    read = tile_read(sets, reader, tensor, level)
    waiting = number, waiting_block(sets, reader, tensor, level)
    for index in reader.einsum.access(tensor).reads:
        why = f"{bringer.einsum.name} computes {tensor}"
        for last in computed_before(sets, reader, index, tensor, source):
            if not last.domain().is_empty():
                yield PrecedenceRule("causality", *waiting, bringer.number, None, last, why, "flow")
        for moved in range(level + 1, len(bringer.storages(tensor))):
            back = sets.separate_block(bringer.number, "write_back", tensor, moved)
            if back is None:
                continue
            block = bringer.number, back
            component = bringer.storages(tensor)[moved].component
            why = f"{bringer.einsum.name} writes back {tensor} from {component}"
            for elements in brought_elements(problem, reader, index, bringer, tensor, level, moved):
                relation = elements.between(sets.firsts(number, read), sets.block_set(*block))
                if not relation.is_empty():
                    yield flow_from_all("causality", waiting, block, relation, why)
