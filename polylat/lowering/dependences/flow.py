"""Rule 1: an element is read after it was brought, as edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from polylat.lowering.dependences.edges import RuleEdges, find_keys
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.readings import exchanges, finds_whole_fill, storage_reads
from polylat.lowering.dependences.recurrences import check_before
from polylat.lowering.dependences.sums import check_final, check_kept
from polylat.lowering.dependences.tables import exceeds_all_before
from polylat.lowering.iterations import IrregularError
from polylat.lowering.numbering import BlockStream, Numbering
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import SourceHolder
from polylat.lowering.transfers import TransferOptions, hand_over_depth
from polylat.schedule.arrays import Ints
from polylat.schedule.reasons import FLOW

__all__ = ["flow_edges"]


def flow_edges(
    leaves: Sequence[Leaf],
    layout: Numbering,
    found: Mapping[tuple[int, str], SourceHolder],
    options: TransferOptions,
) -> Iterator[RuleEdges]:
    """Rule 1: an element is read after it was brought.

    Parameters
    ----------
    leaves, layout, found, options
        As for `rules.dependence_edges`.

    Yields
    ------
    RuleEdges
        Edges.

    Raises
    ------
    MappingError
        An element is read that was not brought, or is not final; or a sum is lost; or a recurrence
        brings an element too late.
    """
    for leaf in leaves:
        for tensor in leaf.einsum.outputs:
            check_kept(leaf, tensor)
    for (number, tensor), source in found.items():
        filled = finds_whole_fill(leaves, number, tensor, source)
        for pair in exchanges(leaves, number, tensor, source):
            depth, events, targets = storage_reads(layout, pair.reader, tensor, pair.level)
            if pair.produces:
                check_final(pair)
                if source.recurrent:
                    check_before(layout, pair, depth, events)
                yield from _from_producer(layout, options, pair, depth, events, targets)
                continue
            if not filled:
                # Readings of what the filler has not filled do not wait for it.
                tiles, others = layout.tiles[number], layout.tiles[pair.bringer.number]
                _, some = pair.last_within(tiles, depth, events, others, pair.holder.depth)
                events, targets = events[some], targets[some]
            yield _from_filler(layout, pair, events, targets)


def _from_producer(
    layout: Numbering,
    options: TransferOptions,
    pair: Exchange,
    depth: int,
    events: Ints,
    targets: Ints,
) -> Iterator[RuleEdges]:
    tiles = layout.tiles[pair.reader.number]
    bringer = pair.bringer.number
    producer = layout.tiles[bringer]
    fills = len(targets) > 0 and targets[0] >= layout.iterations
    digits, some = pair.last_within(tiles, depth, events, producer, pair.holder.depth)
    if not some.all():
        # Readings of padding alone wait for nothing.
        events, targets, digits = events[some], targets[some], digits[:, some]
    last, periods = producer.locate(digits)
    stream = layout.stream(bringer, "write_back", pair.tensor, pair.level + 1)
    if stream is None:
        source = layout.bases[bringer] + last
        keep = np.ones(len(events), dtype=np.bool_)
        if layout.whole and not fills:
            keep = exceeds_all_before(last)
        yield RuleEdges(source[keep], targets[keep], FLOW, periods[:, keep])
        return
    inner = hand_over_depth(pair.bringer, pair.tensor, pair.level + 1, options)
    if layout.whole and not stream.uniform:
        within = producer.depth if inner is None else inner
        written, read = pair.write_back_pairs(
            producer, stream.iterations, within, tiles, depth, events, fills
        )
        yield RuleEdges(stream.first + written, targets[read], FLOW, None)
        return
    # Uniform write-backs pass in order, so the last one suffices.
    at = _occurrence(layout, bringer, stream, last, inner)
    yield RuleEdges(stream.first + at, targets, FLOW, periods)


def _occurrence(
    layout: Numbering, leaf: int, stream: BlockStream, iterations: Ints, inner: int | None
) -> Ints:
    """Return the positions in a stream of the write-backs that move what iterations update."""
    keys, wanted = stream.iterations, iterations
    if inner is not None:
        prefix = layout.tiles[leaf].prefix_keys(inner)
        keys, wanted = prefix[keys], prefix[wanted]
    occurs, at = find_keys(keys, wanted)
    if not occurs.all():
        raise IrregularError("a write-back does not occur in every period")
    return at


def _from_filler(layout: Numbering, pair: Exchange, events: Ints, targets: Ints) -> RuleEdges:
    """Order readings after the fill that brought the tile; it waits for outer ones itself."""
    filler, depth = pair.bringer, pair.holder.depth
    tiles = layout.tiles[filler.number]
    stream = layout.stream(filler.number, "fill", pair.tensor, pair.level)
    if stream is None:
        # A streamed fill is a part of the tile iteration that enters the tile.
        filling = tiles.firsts(depth)
        numbers = layout.bases[filler.number] + filling
    else:
        filling, numbers = stream.iterations, stream.numbers
    keys = layout.tiles[pair.reader.number].prefix_keys(depth)[events]
    at = np.searchsorted(tiles.prefix_keys(depth)[filling], keys)
    return RuleEdges(numbers[at], targets, FLOW, None)
