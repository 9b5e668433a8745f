"""Which leaves share a holder, and which leaf brings a tensor into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polylat.errors import MappingError
from polylat.lowering.cascade import cascade_graph, producer_of
from polylat.lowering.paths import Leaf, PathHolder

__all__ = ["SourceHolder", "leaves_sharing", "source_holders", "tensor_users"]


@dataclass(frozen=True)
class SourceHolder:
    """The holder in which a leaf finds an input tensor.

    Parameters
    ----------
    level
        Index, among the storages of the tensor on the reader's path, of the innermost storage
        that the reader shares with an earlier leaf that accesses the tensor; 0 if there is none.
        The reader fills the deeper storages itself.
    leaf
        The leaf that brings the tensor there: its producer, or the leaf that fills the storage for
        all readers. None for the backing storage of a tensor that no Einsum produces.
    produces
        Whether that leaf is the producer.
    producer
        The leaf that produces the tensor; None if no Einsum does.
    """

    level: int
    leaf: int | None
    produces: bool
    producer: int | None


def source_holders(leaves: Sequence[Leaf]) -> dict[tuple[int, str], SourceHolder]:
    """Return the holder in which each leaf finds each of its input tensors.

    Parameters
    ----------
    leaves
        The leaves of a mapping, in tree order.

    Returns
    -------
    dict
        (leaf, input tensor) → the holder.

    Raises
    ------
    MappingError
        The reader of a tensor shares no storage with its producer.
    """
    graph = cascade_graph(leaves)
    found: dict[tuple[int, str], SourceHolder] = {}
    users: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        for tensor in leaf.einsum.inputs:
            producer = producer_of(graph, leaf.number, tensor)
            earlier = users.get(tensor, [])
            found[leaf.number, tensor] = _source(leaves, earlier, leaf, tensor, producer)
        for tensor in dict.fromkeys(leaf.einsum.tensors):
            users.setdefault(tensor, []).append(leaf)
    return found


def _source(
    leaves: Sequence[Leaf], earlier: Sequence[Leaf], leaf: Leaf, tensor: str, producer: int | None
) -> SourceHolder:
    nodes = [h.node for h in leaf.storages(tensor)]
    shared = {
        other.number: max(
            (i for i, h in enumerate(other.storages(tensor)) if h.node in nodes), default=-1
        )
        for other in earlier
    }
    level = max(shared.values(), default=-1)
    if producer is not None and shared[producer] == -1:
        raise MappingError(
            f"Einsum {leaf.einsum.name!r} reads tensor {tensor!r}, but shares no Storage of it with"
            f" its producer {leaves[producer].einsum.name!r}",
            where=leaf.where or "mapping",
            fix=f"put a Storage of {tensor!r} above the split that separates the two Einsums",
        )
    if producer is not None and shared[producer] >= level:
        return SourceHolder(level, producer, True, producer)
    if level <= 0:
        return SourceHolder(0, None, False, producer)
    filler = next(o for o in earlier if shared[o.number] >= level)
    return SourceHolder(level, filler.number, False, producer)


def leaves_sharing(leaves: Sequence[Leaf], tensor: str, holder: PathHolder) -> list[Leaf]:
    """Return the leaves that access a tensor through one holder.

    Parameters
    ----------
    leaves
        The leaves of a mapping, or those that access the tensor (see `tensor_users`).
    tensor, holder
        The tensor and the holder.

    Returns
    -------
    list of Leaf
        The leaves, in tree order.
    """
    return [
        leaf for leaf in leaves if any(h.node == holder.node for h in leaf.holders.get(tensor, ()))
    ]


def tensor_users(leaves: Sequence[Leaf]) -> dict[str, list[Leaf]]:
    """Return which leaves access each tensor.

    Parameters
    ----------
    leaves
        The leaves of a mapping, in tree order.

    Returns
    -------
    dict
        Tensor → the leaves that access it, in tree order.
    """
    users: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        for tensor in dict.fromkeys(leaf.einsum.tensors):
            users.setdefault(tensor, []).append(leaf)
    return users
