"""Accesses of a leaf, and the blocks of accesses that a port serves without interruption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polylat.lowering.integer_types import Counts
from polylat.schedule.arrays import Ints

__all__ = ["Access", "Block", "BlockKind"]

BlockKind = Literal["fill", "foreground", "write_back"]
"""A separate fill or read-back, the foreground, or a separate write-back."""


@dataclass(frozen=True, eq=False)
class Access:
    """The accesses of a leaf to one tensor in one component by one action.

    Parameters
    ----------
    component, tensor, action
        The component, the tensor (None for a computation) and the action.
    iterations
        The tile iterations that have the access, increasing, numbered within the leaf: shape (n,).
    counts
        Number of values that each accesses, in the busiest unit or in all: shape (n,); Python
        integers (dtype object) where the leaf's numbers may exceed 64 bits.
    inward
        Whether the values move towards the compute.
    transfer
        Whether the access is part of a transfer between storages, rather than of the operations.
    free
        Whether the access takes no time, whatever its component says.
    link
        In a Network: index of the port of the dimension whose busiest link the values pass; None
        where all ports of the component that the action occupies are meant.
    hops
        How often the latency of the action applies: in a Network, the hops of the longest route.
    """

    component: str
    tensor: str | None
    action: str
    iterations: Ints
    counts: Counts
    inward: bool = False
    transfer: bool = False
    free: bool = False
    link: int | None = None
    hops: int = 1


@dataclass(frozen=True, eq=False)
class Block:
    """Accesses of a leaf that a port serves as one block per tile iteration.

    Parameters
    ----------
    kind
        Fill or read-back, foreground, or write-back.
    tensor, level
        Of a separate transfer: the tensor, and the index of the storage at its inner end. Of the
        foreground: None and 0.
    accesses
        The accesses, in the order of service.
    background
        Of a write-back: whether it is in the background.
    ahead
        Of a fill in a skewed order: whether it is served one tile ahead.
    """

    kind: BlockKind
    tensor: str | None
    level: int
    accesses: tuple[Access, ...]
    background: bool = False
    ahead: bool = False
