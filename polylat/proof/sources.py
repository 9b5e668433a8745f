"""Where a leaf finds what it reads, derived from the paths of the leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polylat.lowering.paths import Leaf

__all__ = ["Source", "find_sources", "leaves_at", "producer_of"]


@dataclass(frozen=True)
class Source:
    """The Storage in which a leaf finds an input, and who brought it there.

    Parameters
    ----------
    level
        The index of the Storage among the tensor's Storages on the reader's path.
    leaf
        The number of the leaf that brought the tensor there; None where it is there from the start.
    produces
        Whether that leaf produces the tensor, instead of fetching it.
    """

    level: int
    leaf: int | None
    produces: bool


def find_sources(leaves: Sequence[Leaf]) -> dict[tuple[int, str], Source]:
    """Find where each leaf finds each of its inputs.

    Parameters
    ----------
    leaves
        The leaves of the mapping, in tree order.

    Returns
    -------
    dict
        (leaf, input) → the Storage, by rule 1 of the model: the innermost one that the reader
        shares with an earlier leaf that accesses the tensor.
    """
    return {
        (leaf.number, tensor): _source(leaves, leaf, tensor)
        for leaf in leaves
        for tensor in leaf.einsum.inputs
    }


def _source(leaves: Sequence[Leaf], reader: Leaf, tensor: str) -> Source:
    own = [holder.node for holder in reader.storages(tensor)]
    # From the innermost Storage outward: do earlier leaves access the tensor in it?
    for level in range(len(own) - 1, -1, -1):
        users = [
            other for other in leaves_at(leaves, tensor, own[level]) if other.number < reader.number
        ]
        if not users:
            continue
        for other in users:
            if tensor in other.einsum.outputs:
                return Source(level, other.number, True)
        if level:
            return Source(level, users[0].number, False)
    return Source(0, None, False)


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
