"""Derive the precedence rules of the model as ISL functions on tile iterations.

The tile iterations of a leaf start in order, which `check_order` proves, and finish in order. So of
several tile iterations of a leaf that another one waits for, the last one suffices: a rule is a
piecewise quasi-affine function, waiting tile iteration → last awaited one, computed as a
lexicographic maximum (parametric integer programming, Feautrier 1988). Write-backs may pass out of
order, so a rule that awaits several of them is a relation. The rules are derived from the paths of
the leaves and the options alone, and hold for all tile iterations at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from polylat.proof.barrier_rules import barrier_rules
from polylat.proof.capacity_rules import capacity_rules
from polylat.proof.flow_rules import flow_rules
from polylat.proof.precedence import PrecedenceRule
from polylat.proof.tile_sets import TileSets
from polylat.proof.transfer_rules import transfer_rules

__all__ = ["precedence_rules"]


def precedence_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive rules 1 to 3 (flow, barriers and capacity) and the rules of separate transfers.

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
        Elements are read that no leaf has brought in the same residency, or that are updated
        again later; or elements of an output are updated in several tiles of its backing storage.
    """
    yield from flow_rules(sets)
    yield from transfer_rules(sets)
    yield from barrier_rules(sets)
    yield from capacity_rules(sets)
