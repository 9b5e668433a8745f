"""The periods with which the flows into a loop repeat.

A reader's iteration reads the elements of an interval of each rank, which moves by a constant
advance. Their producer works in tiles of that rank. Where the advance is not a multiple of the
tile, the producer's indices repeat only after the least common multiple of the two. For a long tile
that is crossed a few times, it is cheaper to restart the sample at each border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, lcm
from typing import NamedTuple

from polylat.lowering.dependences.readings import exchanges
from polylat.lowering.enumeration import trip_counts
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.paths import Leaf

__all__ = ["Alignment", "alignments"]

_MOST_CROSSINGS = 16
"""Largest number of borders of tiles of one length at which the sample of a loop restarts."""


@dataclass(frozen=True)
class Alignment:
    """How the iterations of a loop align with the tiles of their producers.

    Parameters
    ----------
    period
        Number of iterations after which the alignment repeats.
    restarts
        Iterations at which the loop crosses a border of a longer tile.
    """

    period: int = 1
    restarts: tuple[int, ...] = ()


def alignments(lowered: LoweredMapping) -> dict[int, Alignment]:
    """Return the alignment of every loop over which flows do not repeat at once.

    Parameters
    ----------
    lowered
        The mapping.

    Returns
    -------
    dict
        Tree node of a loop → its alignment; loops with period 1 and without restarts are missing.
    """
    trips = trip_counts(lowered.leaves)
    borders: dict[int, set[_Crossing]] = {}
    for (number, tensor), source in lowered.found.items():
        for pair in exchanges(lowered.leaves, number, tensor, source):
            if not pair.produces:
                continue
            reader, producer = pair.reader, pair.bringer
            shared = {loop.node for loop in reader.loops} & {loop.node for loop in producer.loops}
            for here, there in zip(pair.read, pair.brought, strict=True):
                tiles = [
                    t for node, *t in _advances(producer, dict(there.terms)) if node not in shared
                ]
                for node, advance, first in _advances(reader, dict(here.terms)):
                    if node not in shared:
                        borders.setdefault(node, set()).update(
                            _Crossing(advance, first - advance, tile, border)
                            for tile, border in tiles
                        )
    found = {}
    for node, pairs in borders.items():
        aligned = _alignment(trips[node], sorted(pairs))
        if aligned != Alignment():
            found[node] = aligned
    return found


class _Crossing(NamedTuple):
    """How a loop crosses the tiles of a producer, in elements of a rank.

    Parameters
    ----------
    advance, shift
        Iteration i > 0 begins at i · advance + shift.
    tile, border
        The length of the tiles, and where the second one begins.
    """

    advance: int
    shift: int
    tile: int
    border: int

    @property
    def period(self) -> int:
        """Number of iterations after which the crossings repeat."""
        return self.tile // gcd(self.tile, self.advance)


def _advances(leaf: Leaf, coefficients: dict[str, int]) -> list[tuple[int, int, int]]:
    """Return (tree node, by how far one iteration moves in a rank, the first one) of all loops."""
    return [
        (loop.node, factor * loop.tile, factor * loop.first)
        for loop in leaf.loops
        for factor in [abs(coefficients.get(loop.variable, 0))]
        if factor
    ]


def _alignment(trips: int, pairs: Sequence[_Crossing]) -> Alignment:
    """Return the alignment with the least number of sampled iterations."""
    needs = sorted({pair.period for pair in pairs} - {1})
    best, least = Alignment(), None
    for kept in range(len(needs) + 1):
        period = lcm(1, *needs[:kept])
        longer = [pair for pair in pairs if pair.period in needs[kept:]]
        if any((trips * pair.advance - 1) // pair.tile > _MOST_CROSSINGS for pair in longer):
            continue
        crossed = {
            -(-(border - pair.shift) // pair.advance)
            for pair in longer
            for border in range(pair.border, trips * pair.advance + pair.shift, pair.tile)
        }
        restarts = tuple(sorted(r for r in crossed if 0 < r < trips))
        cost = min(trips, 3 * period * (1 + len(restarts)) + 6 * len(restarts))
        if least is None or cost < least:
            best, least = Alignment(period, restarts), cost
    return best
