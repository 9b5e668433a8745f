"""Derive rule 1 of the model: an element has arrived before it is read."""

from __future__ import annotations

from collections.abc import Iterator

from polylat.analysis.isl_pieces import first_within, prefix_function
from polylat.proof.element_flow import check_brought, last_bringer
from polylat.proof.precedence import PrecedenceKind, PrecedenceRule
from polylat.proof.tile_sets import TileSets

__all__ = ["flow_rules"]


def flow_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive rule 1: an element has arrived before it is read.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Yields
    ------
    PrecedenceRule
        A rule per reader and tensor, and per transfer through which elements arrive.

    Raises
    ------
    MappingError
        Elements are read that no leaf has brought in the same residency.
    """
    for (number, tensor), source in sets.sources.items():
        if source.leaf is None:
            continue
        reader, bringer = sets.leaves[number], sets.leaves[source.leaf]
        storages = reader.storages(tensor)
        block = sets.separate_block(number, "fill", tensor, source.level + 1)
        waiting = sets.foreground(number) if block is None else block
        kind: PrecedenceKind = "flow" if block is None else "prefetch"
        where = f"{tensor} in {storages[source.level].component}"
        check_brought(reader, bringer, tensor, source.level)
        if source.produces:
            deeper = source.level + 1 < len(storages)
            read = storages[source.level + 1].depth if deeper else sets.depths[number]
            last = last_bringer(
                reader,
                bringer,
                tensor,
                source.level,
                (read, sets.depths[number], sets.depths[bringer.number]),
            )
            why = f"{bringer.einsum.name} produces {where}"
            yield PrecedenceRule(kind, number, waiting, bringer.number, None, last, why, "flow")
            for level in range(source.level + 1, len(bringer.storages(tensor))):
                back = sets.separate_block(bringer.number, "background", tensor, level)
                if back is not None:
                    yield PrecedenceRule(
                        kind,
                        number,
                        waiting,
                        bringer.number,
                        back,
                        last,
                        f"{bringer.einsum.name} writes back {where} in the background",
                        "flow",
                    )
            continue
        first = sets.sources[bringer.number, tensor].level + 1
        for level in range(first, source.level + 1):
            fill = sets.separate_block(bringer.number, "fill", tensor, level)
            if fill is None:
                raise AssertionError("a shared holder above a split has separate fills")
            depth = storages[level].depth
            owner = first_within(sets.spaces[bringer.number], depth)
            function = owner.pullback_pw_multi_aff(prefix_function(sets.depths[number], depth))
            why = f"{bringer.einsum.name} fetches {tensor} into {storages[level].component}"
            yield PrecedenceRule(kind, number, waiting, bringer.number, fill, function, why, "flow")
