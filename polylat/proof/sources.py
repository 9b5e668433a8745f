"""Where a leaf finds what it reads, derived from the paths of the leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polylat.lowering.paths import Leaf

__all__ = ["Source", "find_sources", "found_at", "leaves_at", "level_of", "producer_of"]


@dataclass(frozen=True)
class Source:
    """What brings elements of a tensor into a Storage out of which a leaf reads.

    Parameters
    ----------
    level
        The index of the Storage among the tensor's Storages on the reader's path.
    leaf
        The number of the leaf that brings elements there.
    produces
        Whether that leaf produces the tensor, instead of fetching it.
    """

    level: int
    leaf: int
    produces: bool


def found_at(leaves: Sequence[Leaf], reader: Leaf, tensor: str) -> int:
    """Find the Storage in which a leaf finds a tensor that it reads.

    Parameters
    ----------
    leaves
        The leaves of the mapping, in tree order.
    reader, tensor
        The leaf, and a tensor that it reads.

    Returns
    -------
    int
        The index of the innermost Storage on its path that it shares with an earlier leaf that
        accesses the tensor; 0 if there is none. The leaf fills the Storages further in.
    """
    own = reader.storages(tensor)
    for level in range(len(own) - 1, 0, -1):
        if leaves_at(leaves, tensor, own[level].node)[0].number < reader.number:
            return level
    return 0


def find_sources(leaves: Sequence[Leaf]) -> dict[tuple[int, str], tuple[Source, ...]]:
    """Find what brings the elements that leaves read.

    Parameters
    ----------
    leaves
        The leaves of the mapping, in tree order.

    Returns
    -------
    dict
        (leaf, tensor that it reads) → what brings elements into the Storages out of which it reads,
        its own fills apart: by rule 1 of the model, the producer, be it the leaf itself or a later
        one, and else the first leaf that accesses the tile.
    """
    return {
        (leaf.number, tensor): tuple(_sources(leaves, leaf, tensor))
        for leaf in leaves
        for tensor in leaf.einsum.reads
    }


def _sources(leaves: Sequence[Leaf], reader: Leaf, tensor: str) -> Iterator[Source]:
    own = reader.storages(tensor)
    producer = producer_of(leaves, tensor)
    shared = found_at(leaves, reader, tensor)
    for level in range(shared, len(own)):
        if producer is not None and level_of(producer, tensor, own[level].node) is not None:
            yield Source(level, producer.number, True)
    if shared:
        first = leaves_at(leaves, tensor, own[shared].node)[0]
        if first.einsum.access(tensor).reads:
            yield Source(shared, first.number, False)


def level_of(leaf: Leaf, tensor: str, node: int) -> int | None:
    """Return where a holder stands among the Storages of a tensor on the path of a leaf.

    Parameters
    ----------
    leaf, tensor
        The leaf, and a tensor that it accesses.
    node
        The tree node of the holder.

    Returns
    -------
    int or None
        Its index; None if the leaf does not have it.
    """
    return next((k for k, h in enumerate(leaf.storages(tensor)) if h.node == node), None)


def leaves_at(leaves: Sequence[Leaf], tensor: str, node: int) -> list[Leaf]:
    """Return the leaves that access a tensor through a holder.

    Parameters
    ----------
    leaves
        The leaves of the mapping, in tree order.
    tensor, node
        The tensor, and the tree node of the holder.

    Returns
    -------
    list of Leaf
        The leaves, in tree order.
    """
    return [
        leaf for leaf in leaves if node in {holder.node for holder in leaf.holders.get(tensor, ())}
    ]


def producer_of(leaves: Sequence[Leaf], tensor: str) -> Leaf | None:
    """Return the leaf that produces a tensor.

    Parameters
    ----------
    leaves
        The leaves of the mapping.
    tensor
        The tensor.

    Returns
    -------
    Leaf or None
        The leaf; None if the tensor is an input of the mapping.
    """
    for leaf in leaves:
        if tensor in leaf.einsum.outputs:
            return leaf
    return None
