"""Derive the precedence rules of the model as ISL functions on tile iterations.

Tile iterations of a leaf start in order, which is proven too, and one finishes when it and those
before it have ended. So among all tile iterations of a leaf that one must wait for, the last one
suffices: a rule is a piecewise quasi-affine function from waiting to awaited tile iterations,
computed as a lexicographic maximum (parametric integer programming, Feautrier 1988). It is derived
from the relations of the lowered mapping alone, and holds for all tile iterations at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from polylat.proof.barrier_rules import barrier_rules
from polylat.proof.capacity_rules import capacity_rules
from polylat.proof.element_flow import last_read_back
from polylat.proof.flow_rules import flow_rules
from polylat.proof.precedence import PrecedenceRule
from polylat.proof.tile_sets import TileSets

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["precedence_rules", "read_backs"]


def precedence_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive rules 1 to 3: flow, barriers and capacity.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Yields
    ------
    PrecedenceRule
        All rules.

    Raises
    ------
    MappingError
        Elements are read that no leaf has brought in the same residency.
    """
    yield from flow_rules(sets)
    yield from barrier_rules(sets)
    yield from capacity_rules(sets)


def read_backs(sets: TileSets, leaf: int) -> Iterator[tuple[int, isl.PwMultiAff]]:
    """Derive which background write-backs the finish of a leaf's tile iterations waits for.

    A tile iteration waits for the write-backs of the elements that it, or one before it,
    reads back.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.
    leaf
        The number of the leaf.

    Yields
    ------
    (block, function)
        The block of write-backs, and tile iteration → the last tile iteration whose
        write-back it waits for.
    """
    for index, block in enumerate(sets.expected.blocks[leaf]):
        if block.kind == "background" and block.tensor is not None:
            found = last_read_back(sets.leaves[leaf], block.tensor, block.level, sets.depths[leaf])
            if found is not None:
                yield index, found
