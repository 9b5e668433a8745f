"""Who shares a holder with whom, and who brings a tensor into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polylat.errors import MappingError
from polylat.lowering.paths import Leaf, PathHolder

__all__ = ["Source", "sharers", "sources"]


@dataclass(frozen=True)
class Source:
    """Where a leaf finds an input tensor.

    Parameters
    ----------
    level
        Index, among the storages of the tensor on the reader's path, of the innermost one
        shared with an earlier leaf that accesses the tensor; 0 if there is none. The reader
        fills the deeper ones itself.
    leaf
        The leaf that brought the tensor there: its producer, or the leaf that filled it for
        all. None for the backing storage of a tensor that no Einsum produces.
    produces
        Whether that leaf is the producer.
    """

    level: int
    leaf: int | None
    produces: bool


def sources(leaves: Sequence[Leaf]) -> dict[tuple[int, str], Source]:
    """For each leaf and each input tensor of it, where it is found.

    Raises
    ------
    MappingError
        A tensor's reader shares no storage with its producer.
    """
    found: dict[tuple[int, str], Source] = {}
    for leaf in leaves:
        for tensor in leaf.einsum.inputs:
            found[leaf.number, tensor] = _source(leaves, leaf, tensor)
    return found


def _source(leaves: Sequence[Leaf], leaf: Leaf, tensor: str) -> Source:
    earlier = [o for o in leaves[: leaf.number] if tensor in o.einsum.tensors]
    nodes = [h.node for h in leaf.storages(tensor)]
    shared = {
        other.number: max(
            (i for i, h in enumerate(other.storages(tensor)) if h.node in nodes), default=-1
        )
        for other in earlier
    }
    producer = next((o for o in earlier if tensor in o.einsum.outputs), None)
    level = max(shared.values(), default=-1)
    if producer is not None and shared[producer.number] == -1:
        raise MappingError(
            f"Einsum {leaf.einsum.name!r} reads tensor {tensor!r}, but shares no Storage of it with"
            f" its producer {producer.einsum.name!r}",
            where=leaf.where or "mapping",
            mend=f"put a Storage of {tensor!r} above the split that parts the two",
        )
    if producer is not None and shared[producer.number] >= level:
        return Source(level, producer.number, True)
    if level <= 0:
        return Source(0, None, False)
    filler = next(o for o in earlier if shared[o.number] >= level)
    return Source(level, filler.number, False)


def sharers(leaves: Sequence[Leaf], tensor: str, holder: PathHolder) -> list[Leaf]:
    """The leaves that access the tensor through a holder of it."""
    return [
        leaf for leaf in leaves if any(h.node == holder.node for h in leaf.holders.get(tensor, ()))
    ]
