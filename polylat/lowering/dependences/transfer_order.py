"""The order of the separate transfers of a leaf, as edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from polylat.lowering.accesses.blocks import Block
from polylat.lowering.dependences.edges import RuleEdges, alike
from polylat.lowering.dependences.read_back import next_readers, summing_loops
from polylat.lowering.iterations import IrregularError
from polylat.lowering.mixed_radix import predecessor
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf
from polylat.lowering.transfers import TransferOptions, hand_over_depth
from polylat.schedule.arrays import Ints
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
        for index, block in enumerate(layout.blocks[leaf.number]):
            if block.kind == "foreground":
                continue
            assert block.tensor is not None
            stream = layout.streams[leaf.number, index]
            if block.kind == "fill":
                yield from _after_outer_fill(layout, leaf, block, stream)
                if leaf.einsum.access(block.tensor).output:
                    yield from _after_write_backs(layout, options, leaf, block, stream)
            else:
                yield from _after_inner_write_backs(layout, leaf, block, stream)


def _after_outer_fill(
    layout: Numbering, leaf: Leaf, block: Block, stream: tuple[int, Ints]
) -> Iterator[RuleEdges]:
    assert block.tensor is not None
    outer = layout.stream(leaf.number, "fill", block.tensor, block.level - 1)
    if outer is None:
        return
    keys = layout.tiles[leaf.number].prefix_keys(leaf.storages(block.tensor)[block.level - 1].depth)
    filled, reading = keys[outer[1]], keys[stream[1]]
    at = np.minimum(np.searchsorted(filled, reading), len(filled) - 1)
    exists = filled[at] == reading
    target = stream[0] + np.flatnonzero(exists)
    yield RuleEdges(outer[0] + at[exists], target, FLOW, None)


def _after_write_backs(
    layout: Numbering, options: TransferOptions, leaf: Leaf, block: Block, stream: tuple[int, Ints]
) -> Iterator[RuleEdges]:
    assert block.tensor is not None
    tiles = layout.tiles[leaf.number]
    out = layout.stream(leaf.number, "write_back", block.tensor, block.level)
    assert out is not None, "separate read-backs go with separate write-backs"
    if not tiles.whole:
        yield _after_previous_sum(layout, leaf, block, stream, out)
        return
    inner = hand_over_depth(leaf, block.tensor, block.level, options)
    written, reading = next_readers(tiles, out[1], block.tensor, block.level, inner)
    yield RuleEdges(out[0] + written, stream[0] + np.searchsorted(stream[1], reading), FLOW, None)


def _after_previous_sum(
    layout: Numbering,
    leaf: Leaf,
    block: Block,
    stream: tuple[int, Ints],
    out: tuple[int, Ints],
) -> RuleEdges:
    """Order the read-backs of sampled tiles after the last write-back of the previous sums."""
    assert block.tensor is not None
    tiles = layout.tiles[leaf.number]
    summing = summing_loops(leaf, block.tensor, block.level)
    if summing is None:
        raise IrregularError("sampled tiles share elements of an output irregularly")
    depth = leaf.storages(block.tensor)[block.level].depth
    digits = tiles.digits[:, stream[1]].copy()
    radix = np.array([tiles.radix(k) for k in summing], dtype=np.int64)
    digits[summing], same = predecessor(digits[summing], radix)
    exists = np.flatnonzero(same)
    last = tiles.clip_last(digits[:, exists], np.full(len(exists), depth))
    written, periods = tiles.locate(last)
    at = np.minimum(np.searchsorted(out[1], written), len(out[1]) - 1)
    if (out[1][at] != written).any():
        raise IrregularError("a write-back does not occur in every period")
    return RuleEdges(out[0] + at, stream[0] + exists, FLOW, periods)


def _after_inner_write_backs(
    layout: Numbering, leaf: Leaf, block: Block, stream: tuple[int, Ints]
) -> Iterator[RuleEdges]:
    assert block.tensor is not None
    storages = leaf.storages(block.tensor)
    tile = layout.tiles[leaf.number].prefix_keys(storages[block.level].depth)
    for level in range(block.level + 1, len(storages)):
        inner = layout.stream(leaf.number, "write_back", block.tensor, level)
        if inner is None:
            continue
        ahead = layout.block(leaf.number, "write_back", block.tensor, level)
        assert ahead is not None
        if alike(ahead, inner):
            # They pass in order, so the last one suffices.
            source = np.searchsorted(inner[1], stream[1], side="right") - 1
            target = np.flatnonzero(source >= 0)
            target = target[tile[inner[1][source[target]]] == tile[stream[1][target]]]
            yield RuleEdges(inner[0] + source[target], stream[0] + target, FLOW, None)
            continue
        target = np.searchsorted(stream[1], inner[1])
        yield RuleEdges(inner[0] + np.arange(len(target)), stream[0] + target, FLOW, None)
        target = 1 + np.flatnonzero(tile[stream[1][1:]] == tile[stream[1][:-1]])
        yield RuleEdges(stream[0] + target - 1, stream[0] + target, FLOW, None, until=STARTED)
