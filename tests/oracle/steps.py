"""Steps: what is scheduled, and what it waits for.

Implements, of *What waits for what*, what a block and its start, *served* and *finished* are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from .ports import Port
from .problem import Index

Key = tuple[Any, ...]
"""Kind, order of the leaf, tile iteration; for transfers level and tensor, too.

Blocks: ``fore`` (the foreground), ``fill`` (a separate fill or read-back), ``back`` (a separate
write-back). Milestones of a tile iteration, without work: ``start`` (it starts), ``passed`` (its
foreground has passed), ``served`` and ``end`` (it has been served, has finished).
"""


@dataclass(frozen=True)
class Wait:
    """For a step: until it may start, was served, or has finished; and ``delay`` longer."""

    key: Key
    event: str = "finish"
    delay: Fraction = Fraction(0)


@dataclass(frozen=True)
class Place:
    """*Ports and their orders*, *Sequence on a port*: what orders a block among others.

    ``kind``: 0 for fills and read-backs, 1 for foregrounds, 2 for write-backs; ``number``: level
    (from the outside in for fills, from the inside out for write-backs) and order of the access.
    ``host``: the tile iteration that hosts the block in the orders with skew.
    """

    kind: int = 0
    number: tuple[int, ...] = ()
    host: Index = ()
    background: bool = False


@dataclass(frozen=True)
class Step:
    """A block or a milestone of a tile iteration of a leaf.

    It may start when all of ``waits`` are over. It is served when every port has served it, and
    has finished ``latency`` later.
    """

    leaf: int
    iteration: Index
    waits: frozenset[Wait]
    work: Mapping[Port, Fraction] = field(default_factory=dict, hash=False)
    latency: Fraction = Fraction(0)
    place: Place = Place()
