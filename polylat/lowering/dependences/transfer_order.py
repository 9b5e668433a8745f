"""The order of the separate transfers of a leaf, as edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from polylat.lowering.dependences.edges import RuleEdges, find_keys
from polylat.lowering.dependences.read_back import next_readers, summing_loops
from polylat.lowering.iterations import IrregularError
from polylat.lowering.mixed_radix import predecessor
from polylat.lowering.numbering import BlockStream, Numbering
from polylat.lowering.paths import Leaf
from polylat.lowering.transfers import TransferOptions, hand_over_depth
from polylat.schedule.reasons import FLOW, STARTED

__all__ = ["transfer_edges"]


def transfer_edges(
    leaves: Sequence[Leaf], layout: Numbering, options: TransferOptions
) -> Iterator[RuleEdges]:
    """Order the separate transfers of each leaf.

    A fill follows that of the tile that it reads from; a read-back also the write-backs of its
    elements; a write-back those from further in.

    Parameters
    ----------
    leaves, layout, options
        As for `rules.dependence_edges`.

    Yields
    ------
    RuleEdges
        Edges.

    Raises
    ------
    IrregularError
        Sampled tiles share elements of an output in another way than sums do.
    """
    for leaf in leaves:
        for stream in layout.streams[leaf.number]:
            tensor = stream.block.tensor
            if tensor is None:
                continue
            if stream.block.kind == "fill":
                yield from _after_outer_fill(layout, leaf, tensor, stream)
                if leaf.einsum.access(tensor).output:
                    yield from _after_write_backs(layout, options, leaf, tensor, stream)
            else:
                yield from _after_inner_write_backs(layout, leaf, tensor, stream)


def _after_outer_fill(
    layout: Numbering, leaf: Leaf, tensor: str, stream: BlockStream
) -> Iterator[RuleEdges]:
    level = stream.block.level - 1
    outer = layout.stream(leaf.number, "fill", tensor, level)
    if outer is None:
        return
    keys = layout.tiles[leaf.number].prefix_keys(leaf.storages(tensor)[level].depth)
    exists, at = find_keys(keys[outer.iterations], keys[stream.iterations])
    yield RuleEdges(outer.first + at, stream.first + np.flatnonzero(exists), FLOW, None)


def _after_write_backs(
    layout: Numbering, options: TransferOptions, leaf: Leaf, tensor: str, stream: BlockStream
) -> Iterator[RuleEdges]:
    level = stream.block.level
    tiles = layout.tiles[leaf.number]
    out = layout.stream(leaf.number, "write_back", tensor, level)
    assert out is not None, "separate read-backs go with separate write-backs"
    if not tiles.whole:
        yield _after_previous_sum(layout, leaf, tensor, stream, out)
        return
    inner = hand_over_depth(leaf, tensor, level, options)
    written, reading = next_readers(tiles, out.iterations, tensor, level, inner)
    yield RuleEdges(out.first + written, stream.numbers_in(reading), FLOW, None)


def _after_previous_sum(
    layout: Numbering, leaf: Leaf, tensor: str, stream: BlockStream, out: BlockStream
) -> RuleEdges:
    """Order the read-backs of sampled tiles after the last write-back of the previous sums."""
    level = stream.block.level
    tiles = layout.tiles[leaf.number]
    summing = summing_loops(leaf, tensor, level)
    if summing is None:
        raise IrregularError("sampled tiles share elements of an output irregularly")
    depth = leaf.storages(tensor)[level].depth
    digits = tiles.digits[:, stream.iterations].copy()
    radix = np.array([tiles.radix(k) for k in summing], dtype=np.int64)
    digits[summing], same = predecessor(digits[summing], radix)
    exists = np.flatnonzero(same)
    last = tiles.clip_last(digits[:, exists], np.full(len(exists), depth))
    written, periods = tiles.locate(last)
    occurs, at = find_keys(out.iterations, written)
    if not occurs.all():
        raise IrregularError("a write-back does not occur in every period")
    return RuleEdges(out.first + at, stream.first + exists, FLOW, periods)


def _after_inner_write_backs(
    layout: Numbering, leaf: Leaf, tensor: str, stream: BlockStream
) -> Iterator[RuleEdges]:
    storages = leaf.storages(tensor)
    tile = layout.tiles[leaf.number].prefix_keys(storages[stream.block.level].depth)
    here = tile[stream.iterations]
    for level in range(stream.block.level + 1, len(storages)):
        inner = layout.stream(leaf.number, "write_back", tensor, level)
        if inner is None:
            continue
        if inner.uniform:
            # They pass in order, so the last one suffices.
            source = np.searchsorted(inner.iterations, stream.iterations, side="right") - 1
            target = np.flatnonzero(source >= 0)
            target = target[tile[inner.iterations[source[target]]] == here[target]]
            yield RuleEdges(inner.first + source[target], stream.first + target, FLOW, None)
            continue
        target = np.searchsorted(stream.iterations, inner.iterations)
        yield RuleEdges(inner.numbers, stream.first + target, FLOW, None)
        target = 1 + np.flatnonzero(here[1:] == here[:-1])
        yield RuleEdges(stream.first + target - 1, stream.first + target, FLOW, None, until=STARTED)
