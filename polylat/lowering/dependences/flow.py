"""Rule 1: an element is read after it was brought, as edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from polylat.lowering.dependences.edges import RuleEdges, find_keys
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.sums import check_final, check_kept
from polylat.lowering.dependences.tables import exceeds_all_before
from polylat.lowering.iterations import IrregularError
from polylat.lowering.numbering import BlockStream, Numbering
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import SourceHolder
from polylat.lowering.transfers import TransferOptions, hand_over_depth
from polylat.schedule.arrays import Ints
from polylat.schedule.reasons import FLOW

__all__ = ["flow_edges", "storage_reads"]


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
    events = tiles.firsts(depth)
    stream = layout.stream(reader.number, "fill", tensor, level + 1)
    if stream is not None:
        return depth, events, stream.numbers
    return depth, events, layout.bases[reader.number] + events


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
        An element is read that was not brought, or is not final; or a sum is lost.
    """
    for leaf in leaves:
        for tensor in leaf.einsum.outputs:
            check_kept(leaf, tensor)
    for (number, tensor), source in found.items():
        if source.leaf is None:
            continue
        pair = Exchange.of(leaves, number, tensor, source)
        padded = pair.check()
        depth, events, targets = storage_reads(layout, pair.reader, tensor, source.level)
        if source.produces:
            check_final(pair)
            yield from _from_producer(layout, options, pair, depth, events, targets)
            continue
        if padded:
            # Readings of padding alone, which the filler has not read, wait for nothing.
            tiles, others = layout.tiles[number], layout.tiles[source.leaf]
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
    filler = pair.bringer
    stream = layout.stream(filler.number, "fill", pair.tensor, pair.level)
    assert stream is not None, "a shared storage stands above a split"
    depth = pair.holder.depth
    filled_keys = layout.tiles[filler.number].prefix_keys(depth)[stream.iterations]
    keys = layout.tiles[pair.reader.number].prefix_keys(depth)[events]
    return RuleEdges(stream.first + np.searchsorted(filled_keys, keys), targets, FLOW, None)
