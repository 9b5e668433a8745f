"""Accesses, and the blocks in which a port serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polylat.lowering.scan import Ints

__all__ = ["Access", "Block", "Kind"]

Kind = Literal["fill", "foreground", "background"]


@dataclass(frozen=True, eq=False)
class Access:
    """One kind of access of a leaf.

    Parameters
    ----------
    component, tensor, action
        What is done, where, to what (no tensor for a computation).
    iterations
        The tile iterations that have the access, increasing.
    counts
        How many values each accesses (of one unit, the busiest).
    """

    component: str
    tensor: str | None
    action: str
    iterations: Ints
    counts: Ints


@dataclass(frozen=True, eq=False)
class Block:
    """The accesses of a leaf that are served as one block per tile iteration and port.

    Parameters
    ----------
    kind
        Prefetched fill, foreground or background write-back.
    tensor, level
        Of a fill or a write-back: the tensor and the index of the storage filled or left.
    accesses
        What belongs to it, in the order in which it is served.
    """

    kind: Kind
    tensor: str | None
    level: int
    accesses: tuple[Access, ...]
