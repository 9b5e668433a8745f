"""The readings of tensors out of the storages into which other leaves, or the own one, bring them.

A leaf reads a tensor out of the storage in which it finds it, and out of each storage further in
that it fills. Into any of them its producer may bring elements, if that is the leaf itself or a
later one: a recurrence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import islpy as isl
import numpy as np

from polylat.errors import MappingError
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.groups import GroupText, elements_text, first_point_of
from polylat.lowering.isl_text import set_text
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import Bringer, SourceHolder
from polylat.schedule.arrays import Ints
from polylat.spec.workload import Projection

__all__ = ["exchanges", "finds_whole_fill", "storage_reads"]


def storage_reads(
    layout: Numbering, reader: Leaf, tensor: str, level: int
) -> tuple[int, Ints, Ints]:
    """Return when a leaf reads a storage: to fill the next inner one, or by its operations.

    Parameters
    ----------
    layout
        The numbering of tile iterations and blocks.
    reader, tensor, level
        The leaf, the tensor, and the index of the storage.

    Returns
    -------
    (depth, events, targets)
        The depth of the tiles that are read; the tile iterations that read them, numbered within
        the leaf, shape (n,); and the numbers of the tile iterations or separate fills that wait for
        the data, shape (n,).
    """
    tiles = layout.tiles[reader.number]
    storages = reader.storages(tensor)
    if level + 1 == len(storages):
        everything = np.arange(tiles.size)
        return tiles.depth, everything, layout.bases[reader.number] + everything
    depth = storages[level + 1].depth
    stream = layout.stream(reader.number, "fill", tensor, level + 1)
    if stream is not None:
        return depth, stream.iterations, stream.numbers
    events = tiles.firsts(depth)
    return depth, events, layout.bases[reader.number] + events


def exchanges(
    leaves: Sequence[Leaf], number: int, tensor: str, found: SourceHolder
) -> Iterator[Exchange]:
    """Yield the exchanges by which a leaf receives a tensor.

    Parameters
    ----------
    leaves
        The leaves of the mapping.
    number, tensor
        The number of the leaf that reads, and the tensor.
    found
        Where it finds the tensor.

    Yields
    ------
    Exchange
        One per storage that it reads, leaf that brings elements there, projections of the two, and
        part. Elements that a fill does not move, as they are brought into the same tile, are not
        among those of the fill.
    """
    reader = leaves[number]
    reads = tuple(dict.fromkeys(reader.einsum.access(tensor).reads))
    producer = None if found.producer is None else leaves[found.producer]
    for source in found.sources:
        bringer = leaves[source.leaf]
        apart = _excepted(source, found, len(reader.storages(tensor)))
        for read in reads:
            for brought in _brought(bringer, tensor, source):
                pair = Exchange(
                    reader, bringer, tensor, source.level, producer, read, brought, apart
                )
                for part in pair.parts():
                    yield pair.of_part(part)


def _brought(bringer: Leaf, tensor: str, source: Bringer) -> tuple[Projection, ...]:
    """Return the projections of the elements that a leaf brings into a storage."""
    if source.produces:
        return (bringer.einsum.written(tensor),)
    return tuple(dict.fromkeys(bringer.einsum.access(tensor).reads))


def _excepted(source: Bringer, found: SourceHolder, storages: int) -> int | None:
    """Return the storage such that elements that are brought into the same tile do not count.

    The producer, if it is not before the reader, brings them there: so no leaf fills it with them.
    """
    if not source.produces and source.level < found.recurrent:
        return source.level
    inner = source.level + 1
    return inner if inner < min(found.recurrent, storages) else None


def finds_whole_fill(leaves: Sequence[Leaf], number: int, tensor: str, found: SourceHolder) -> bool:
    """Return whether another leaf fills all that a leaf reads, tile by tile.

    Every reading then waits for that fill. Otherwise readings of what the fill does not bring, such
    as padding, do not.

    Parameters
    ----------
    leaves, number, tensor, found
        As for `exchanges`.

    Returns
    -------
    bool
        Whether it does.

    Raises
    ------
    MappingError
        An element is read that was not brought, although it should be.
    """
    padded = _check_present(leaves, number, tensor, found)
    return len(found.sources) == 1 and not found.recurrent and not padded


def _check_present(leaves: Sequence[Leaf], number: int, tensor: str, found: SourceHolder) -> bool:
    """Check that every element that a leaf reads is where it reads it.

    Only the storage in which the leaf finds the tensor can lack elements: the leaf fills the others
    with what its producer does not bring there.

    Parameters
    ----------
    leaves, number, tensor, found
        As for `exchanges`.

    Returns
    -------
    bool
        Whether some elements are padding, which nothing has to bring.

    Raises
    ------
    MappingError
        An element is read that was not brought, although the producer computes it (or, without
        a producer, although it is an input).
    """
    pairs = list(exchanges(leaves, number, tensor, found))
    if len(pairs) == 1 and len(found.sources) == 1 and not found.recurrent:
        return pairs[0].check()
    if not found.sources:
        return False
    reader = leaves[number]
    holder = reader.storages(tensor)[found.level]
    shown = range(holder.position)
    wanted = tuple(
        _elements(reader, read, shown) for read in dict.fromkeys(reader.einsum.access(tensor).reads)
    )
    brought = tuple(
        _elements(leaves[source.leaf], projection, shown)
        for source in found.sources
        if source.level == found.level
        for projection in _brought(leaves[source.leaf], tensor, source)
    )
    computed = ""
    if found.producer is not None:
        producer = leaves[found.producer]
        computed = _computed(producer, producer.einsum.written(tensor), len(shown))
    if _lacking(wanted, brought, "") is None:
        return False
    point = _lacking(wanted, brought, computed)
    if point is None:
        return True
    ranks = reader.einsum.access(tensor).ranks
    element = ", ".join(f"{r}={x}" for r, x in zip(ranks, point[len(shown) :], strict=True))
    tile = ", ".join(f"{reader.loops[p].variable}: {x}" for p, x in zip(shown, point, strict=False))
    raise MappingError(
        f"Einsum {reader.einsum.name!r} reads an element of tensor {tensor!r} in"
        f" {holder.component!r} that is not there: {element or 'its only element'}"
        + (f" (tile {tile})" if tile else ""),
        where=reader.where or holder.where or "mapping",
        fix=f"put the Storage of {tensor!r} in {holder.component!r} above the loops that separate"
        " the tile iterations that compute an element from those that read it",
    )


def _elements(leaf: Leaf, projection: Projection, shown: Sequence[int]) -> str:
    """Return the set of (loops, elements that a leaf accesses by a projection)."""
    return elements_text(leaf, leaf.einsum.rank_variables, projection, shown)[0]


def _computed(leaf: Leaf, projection: Projection, loops: int) -> str:
    """Return the set of (any indices of some loops, elements that a leaf computes)."""
    text = GroupText(leaf, leaf.einsum.rank_variables, "x", ())
    names = [f"z{i}" for i in range(len(projection))]
    equal = [f"{n} = {text.index(i)}" for n, i in zip(names, projection, strict=True)]
    dims = [*(f"s{p}" for p in range(loops)), *names]
    return set_text(dims, text.hidden, [*text.conditions, *equal])


@lru_cache(maxsize=1024)
def _lacking(
    wanted: tuple[str, ...], brought: tuple[str, ...], within: str
) -> tuple[int, ...] | None:
    """Return a point of some sets that other sets lack; `within`: a set that has it."""
    some = isl.Set(wanted[0])
    for text in wanted[1:]:
        some |= isl.Set(text)
    for text in brought:
        some -= isl.Set(text)
    if within:
        some &= isl.Set(within)
    return first_point_of(some)
