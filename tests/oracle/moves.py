"""Values that move, by tile iteration and unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .problem import Element, Index

Moves = Mapping[Index, Mapping[Index, list[Element]]]
"""Per tile iteration and unit (indices of the Spatial loops above the inner end): the values."""


def moves() -> defaultdict[Index, defaultdict[Index, list[Element]]]:
    """No moves."""
    return defaultdict(lambda: defaultdict(list))


@dataclass(frozen=True)
class Part:
    """Values of a tensor that move alike; ``variables`` are those that index them.

    Units along a Spatial loop over another variable may share them.
    """

    tensor: str
    variables: frozenset[str]
    moves: Moves = field(hash=False)

    def of(self, iteration: Index) -> Mapping[Index, list[Element]]:
        """What moves in a tile iteration, per unit."""
        return self.moves.get(iteration, {})


def moved(parts: Iterable[Part], iteration: Index) -> set[tuple[Index, Element]]:
    """What moves in a tile iteration: units of the inner end, and elements."""
    return {
        (unit, element)
        for part in parts
        for unit, elements in part.of(iteration).items()
        for element in elements
    }
