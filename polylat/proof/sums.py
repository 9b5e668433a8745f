"""Derive that no partial sum is read, and that no sum is lost.

For two leaves that access a tensor, the pairs of tiles in which they access the same element are
one ISL relation: the product of the relations of independent parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import islpy as isl

from polylat.errors import MappingError
from polylat.lowering.paths import Leaf
from polylat.proof.relation_text import (
    LeafAccess,
    PartText,
    Projection,
    element_groups,
    exists_text,
)

__all__ = ["check_final", "check_kept"]


def check_final(reader: Leaf, producer: Leaf, tensor: str, level: int) -> None:
    """Check that a producer updates no element after the tile in which it is read.

    Parameters
    ----------
    reader, producer
        The leaf that reads, and the leaf that produces.
    tensor, level
        The tensor, and the index of the shared holder among the reader's holders of it.

    Raises
    ------
    MappingError
        An element is updated again: a partial sum is read.
    """
    depth = reader.storages(tensor)[level].depth
    loops = reader.temporal_positions[:depth]
    pairs = isl.Set(f"{{ [{', '.join(_dims(loops))}] : 1 = 0 }}")
    for index in reader.einsum.access(tensor).reads:
        pairs |= _same_elements(reader, index, producer, tensor, loops)
    later = " or ".join(
        "(" + " and ".join([*(f"r{p} = w{p}" for p in loops[:k]), f"r{q} < w{q}"]) + ")"
        for k, q in enumerate(loops)
    )
    if loops and not (pairs & isl.Set(exists_text(_dims(loops), (), [later]))).is_empty():
        raise MappingError(
            f"Einsum {reader.einsum.name!r} reads partial sums of tensor {tensor!r}, which"
            f" {producer.einsum.name!r} updates again later"
        )


def check_kept(leaf: Leaf, tensor: str) -> None:
    """Check that each element of an output is updated in one tile of its backing storage.

    Parameters
    ----------
    leaf, tensor
        A leaf and its output.

    Raises
    ------
    MappingError
        An element is updated in two tiles.
    """
    loops = range(leaf.storages(tensor)[0].position)
    pairs = _same_elements(leaf, leaf.einsum.written(tensor), leaf, tensor, loops)
    same = [f"r{p} = w{p}" for p in loops]
    if not pairs.is_subset(isl.Set(exists_text(_dims(loops), (), same))):
        raise MappingError(
            f"Einsum {leaf.einsum.name!r} updates elements of its output {tensor!r} in several"
            " tiles of its outermost holder"
        )


def _dims(loops: Sequence[int]) -> list[str]:
    return [*(f"r{p}" for p in loops), *(f"w{p}" for p in loops)]


def _same_elements(
    reader: Leaf, index: Projection, producer: Leaf, tensor: str, loops: Sequence[int]
) -> isl.Set:
    """Return the pairs of tiles, by the indices of shared loops, that access a common element."""
    brought = producer.einsum.written(tensor)
    pairs = isl.Set(exists_text(_dims(loops), (), ()))
    accesses = [LeafAccess(reader, (index,)), LeafAccess(producer, (brought,))]
    for (reads, writes), ranks, _ in element_groups(accesses):
        r, w = PartText(reader, reads, "x", loops), PartText(producer, writes, "y", loops)
        conditions = [*r.conditions, *w.conditions]
        conditions += [f"{r.affine(index[k])} = {w.affine(brought[k])}" for k in ranks]
        conditions += [f"r{p} = {name}" for p, name in r.index.items()]
        conditions += [f"w{p} = {name}" for p, name in w.index.items()]
        hidden = [*r.hidden, *w.hidden, *r.index.values(), *w.index.values()]
        pairs &= isl.Set(exists_text(_dims(loops), hidden, conditions))
    return pairs
