"""Which leaves share a holder, and which leaf brings a tensor into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from polylat.errors import MappingError
from polylat.lowering.cascade import cascade_graph, producer_of
from polylat.lowering.paths import Leaf, PathHolder

__all__ = [
    "Bringer",
    "SourceHolder",
    "leaves_sharing",
    "source_holders",
    "tensor_users",
]


@dataclass(frozen=True)
class Bringer:
    """A leaf that brings elements of a tensor into a storage out of which another one reads.

    Parameters
    ----------
    level
        Index of the storage among the storages of the tensor on the reader's path.
    leaf
        The number of the leaf, which may be the reader itself.
    produces
        Whether it produces the elements; else it fills the storage.
    """

    level: int
    leaf: int
    produces: bool


@dataclass(frozen=True)
class SourceHolder:
    """The holder in which a leaf finds a tensor that it reads.

    Parameters
    ----------
    level
        Index, among the storages of the tensor on the reader's path, of the innermost storage
        that the reader shares with an earlier leaf that accesses the tensor; 0 if there is none.
        The reader fills the deeper storages itself.
    leaf
        The earlier leaf that brings the tensor there: its producer, or the leaf that fills the
        storage for all readers. None where the reader is the first leaf that accesses the tensor.
    produces
        Whether that leaf is the producer.
    producer
        The leaf that produces the tensor; None if no Einsum does.
    recurrent
        Number of the storages that the reader shares with the producer, if that is the reader
        itself or a later leaf: into each of them it brings elements that the reader reads later. 0
        without a recurrence.
    sources
        The leaves that bring what the reader reads, per storage out of which it reads. The
        reader's own fills are not among them.
    """

    level: int
    leaf: int | None
    produces: bool
    producer: int | None
    recurrent: int = 0
    sources: tuple[Bringer, ...] = ()


def source_holders(leaves: Sequence[Leaf]) -> dict[tuple[int, str], SourceHolder]:
    """Return the holder in which each leaf finds each tensor that it reads.

    Parameters
    ----------
    leaves
        The leaves of a mapping, in tree order.

    Returns
    -------
    dict
        (leaf, tensor that it reads) → the holder.

    Raises
    ------
    MappingError
        The reader of a tensor shares no storage with its producer.
    """
    graph = cascade_graph(leaves)
    found: dict[tuple[int, str], SourceHolder] = {}
    users: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        for tensor in leaf.einsum.reads:
            producer = producer_of(graph, leaf.number, tensor)
            earlier = users.get(tensor, [])
            here = _source(leaves, earlier, leaf, tensor, producer)
            sources = _sources(leaves, earlier, found, leaf, tensor, here)
            found[leaf.number, tensor] = replace(here, sources=tuple(sources))
        for tensor in dict.fromkeys(leaf.einsum.tensors):
            users.setdefault(tensor, []).append(leaf)
    return found


def _source(
    leaves: Sequence[Leaf], earlier: Sequence[Leaf], leaf: Leaf, tensor: str, producer: int | None
) -> SourceHolder:
    shared = {other.number: _shared_level(leaf, other, tensor) for other in earlier}
    level = max(shared.values(), default=-1)
    recurrent = 0
    if producer is not None and producer not in shared:
        recurrent = _shared_level(leaf, leaves[producer], tensor) + 1
    if producer is not None and not recurrent and shared.get(producer, -1) == -1:
        raise MappingError(
            f"Einsum {leaf.einsum.name!r} reads tensor {tensor!r}, but shares no Storage of it with"
            f" its producer {leaves[producer].einsum.name!r}",
            where=leaf.where or "mapping",
            fix=f"put a Storage of {tensor!r} above the split that separates the two Einsums",
        )
    if producer is not None and not recurrent and shared[producer] >= level:
        return SourceHolder(level, producer, True, producer)
    if level <= 0:
        return SourceHolder(0, None, False, producer, recurrent)
    filler = next(o for o in earlier if shared[o.number] >= level)
    return SourceHolder(level, filler.number, False, producer, recurrent)


def _shared_level(leaf: Leaf, other: Leaf, tensor: str) -> int:
    """Return the innermost storage of a leaf that another leaf shares; -1 if there is none."""
    nodes = {h.node for h in other.storages(tensor)}
    shared = [i for i, h in enumerate(leaf.storages(tensor)) if h.node in nodes]
    return max(shared, default=-1)


def _sources(
    leaves: Sequence[Leaf],
    earlier: Sequence[Leaf],
    found: Mapping[tuple[int, str], SourceHolder],
    leaf: Leaf,
    tensor: str,
    here: SourceHolder,
) -> Iterator[Bringer]:
    """Yield the leaves that bring what a leaf reads, per storage out of which it reads."""
    produced = set()
    if here.producer is not None:
        produced = {h.node for h in leaves[here.producer].storages(tensor)}
    for level, storage in enumerate(leaf.storages(tensor)):
        if level < here.level:
            continue
        if here.producer is not None and storage.node in produced:
            yield Bringer(level, here.producer, True)
        if level != here.level or level == 0:
            continue
        for other in leaves_sharing(earlier, tensor, storage):
            filled = found.get((other.number, tensor))
            if filled is not None and filled.level < level:
                yield Bringer(level, other.number, False)
                break


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
