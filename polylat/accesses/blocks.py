"""Accesses, and the blocks in which a port serves them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from polylat.lowering.scan import Ints

__all__ = ["Access", "Block", "Kind", "Transfer"]

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
class Transfer:
    """Movement of a tensor between two neighbouring storages (or storage and Compute).

    Parameters
    ----------
    tensor
        The tensor.
    level
        Index of the inner storage among the tensor's storages; their number for the Compute.
    upward
        True for a write-back, False for a fill, a read-back or an operand.
    readback
        Whether it brings back what was written back before.
    accesses
        What it accesses.
    """

    tensor: str
    level: int
    upward: bool
    readback: bool
    accesses: tuple[Access, ...]


@dataclass(frozen=True, eq=False)
class Block:
    """The accesses of a leaf that are served as one block per tile iteration and port.

    Parameters
    ----------
    kind
        Prefetched fill, foreground or background write-back.
    tensor, level
        Of a fill or a write-back: the tensor and the index of the storage filled or left.
    transfers
        The movements that belong to it.
    compute
        The computation itself (foreground only).
    """

    kind: Kind
    tensor: str | None
    level: int
    transfers: tuple[Transfer, ...]
    compute: Access | None = None

    def accesses(self) -> Iterator[Access]:
        """All accesses, in the order of the Einsum's accesses."""
        for transfer in self.transfers:
            yield from transfer.accesses
        if self.compute is not None:
            yield self.compute
