"""Precedences of tile iterations and their tasks, of flow (rule 1) and of barriers (rule 2)."""

from __future__ import annotations

from math import prod

import numpy as np

from polylat.engine.row_builder import RowBuilder
from polylat.lowering.accesses.blocks import Block
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.read_back import next_readers, summing_loops
from polylat.lowering.dependences.readings import exchanges, finds_whole_fill, storage_reads
from polylat.lowering.mixed_radix import predecessor
from polylat.lowering.paths import Leaf
from polylat.lowering.transfers import hand_over_depth
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.boxes import Rows

__all__ = [
    "barrier_rows",
    "chain_rows",
    "flow_rows",
    "ready_order_rows",
    "task_rows",
    "transfer_rows",
]


def chain_rows(builder: RowBuilder) -> list[Rows]:
    """Tile iterations start in order; families that are filled forward do not decrease.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.

    Returns
    -------
    list of Rows
        The precedences.
    """
    rows = []
    for family in builder.families.forward:
        before = builder.before(int(builder.families.leaf[family]))
        exists = np.flatnonzero(before >= 0)
        target = builder.families.event(family, exists)
        rows.append(builder.rows(target, family, before[exists]))
    for family, parts in builder.families.parts:
        itself = builder.itself(int(builder.families.leaf[family]))
        lag = builder.families.delay.get(family, 0)
        for part in parts:
            keys = np.flatnonzero(builder.families.occurs(part) & builder.families.occurs(family))
            target = builder.families.event(family, keys)
            rows.append(builder.rows(target, part, itself[keys], own=True, lag=lag))
    return rows


def transfer_rows(builder: RowBuilder) -> list[Rows]:
    """Separate transfers: what those of a leaf wait for, and its tile iterations for them.

    A tile iteration starts after its own fills, a fill after that of the tile that it reads from, a
    write-back after its tile iteration and after the write-backs from further in.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.

    Returns
    -------
    list of Rows
        The precedences.
    """
    rows: list[Rows] = []
    for (leaf, index), family in builder.families.ready.items():
        block = builder.layout.blocks[leaf][index]
        keys = np.flatnonzero(builder.families.occurs(family))
        ready = builder.families.event(family, keys)
        here = builder.itself(leaf)[keys]
        if block.kind == "fill":
            start = builder.families.event(builder.families.start[leaf], keys)
            rows += builder.after_blocks(start, (leaf, index), here, own=True)
            for outer in builder.streams(leaf, "fill", block.tensor, block.level - 1):
                assert block.tensor is not None
                holder = builder.leaves[leaf].storages(block.tensor)[block.level - 1]
                entry = _entry(builder, leaf, keys, leaf, holder.depth)
                rows += builder.after_blocks(ready, (leaf, outer), entry, own=True)
            rows += _after_write_backs(builder, leaf, index, block)
            continue
        rows += builder.after_finish(ready, leaf, here)
        for inner in builder.streams(leaf, "write_back", block.tensor):
            if builder.layout.blocks[leaf][inner].level > block.level:
                rows += builder.after_blocks(ready, (leaf, inner), here)
    return rows


def _after_write_backs(builder: RowBuilder, leaf: int, index: int, block: Block) -> list[Rows]:
    """A read-back follows the write-backs of its elements."""
    assert block.tensor is not None
    path, tiles = builder.leaves[leaf], builder.layout.tiles[leaf]
    if not path.einsum.access(block.tensor).output:
        return []
    out = builder.layout.stream(leaf, "write_back", block.tensor, block.level)
    assert out is not None, "separate read-backs go with separate write-backs"
    if not tiles.whole:
        return _after_previous_sums(builder, leaf, index, block)
    inner = hand_over_depth(path, block.tensor, block.level, builder.options)
    written, reading = next_readers(tiles, out.iterations, block.tensor, block.level, inner)
    keys = builder.keys[leaf]
    target = builder.families.event(builder.families.ready[leaf, index], keys[reading])
    digits = builder.digits[leaf][:, keys[out.iterations[written]]]
    source = builder.source(leaf, keys[reading], leaf, digits, 0)
    (back,) = builder.streams(leaf, "write_back", block.tensor, block.level)
    return builder.after_blocks(target, (leaf, back), source, own=True)


def _after_previous_sums(builder: RowBuilder, leaf: int, index: int, block: Block) -> list[Rows]:
    """A read-back follows the write-backs of the previous tile of the loops that sum."""
    assert block.tensor is not None
    path, family = builder.leaves[leaf], builder.families.ready[leaf, index]
    summing = summing_loops(path, block.tensor, block.level)
    assert summing is not None, "the edges of the sampled tiles have been listed"
    depth = path.storages(block.tensor)[block.level].depth
    radix = builder.grid.trips[leaf, summing]

    def move(digits: Ints, _which: Ints) -> tuple[Ints, Mask]:
        found = digits.copy()
        found[summing], same = predecessor(digits[summing], radix)
        return found, np.asarray(same > 0, dtype=np.bool_)

    keys = np.flatnonzero(builder.families.occurs(family))
    exists, good, base = builder.translated(leaf, keys, move, depth)
    builder.note(leaf, keys[~good])
    some = np.flatnonzero(exists & good)
    last = builder.ends(leaf, len(some))
    last[:depth] = base[:depth, some]
    source = builder.source(leaf, keys[some], leaf, last, depth)
    (back,) = builder.streams(leaf, "write_back", block.tensor, block.level)
    target = builder.families.event(family, keys[some])
    return builder.after_blocks(target, (leaf, back), source)


def ready_order_rows(builder: RowBuilder) -> list[Rows]:
    """The blocks of a stream are ready in order.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.

    Returns
    -------
    list of Rows
        The precedences.
    """
    rows = []
    for (leaf, _), family in builder.families.ready.items():
        before = builder.before(leaf)
        keys = np.flatnonzero(builder.families.occurs(family) & (before >= 0))
        target = builder.families.event(family, keys)
        last = builder.families.latest_of[family]
        rows.append(builder.rows(target, last, before[keys], sound=False))
    return rows


def task_rows(builder: RowBuilder) -> list[Rows]:
    """A task begins after its block may begin.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.

    Returns
    -------
    list of Rows
        The precedences.
    """
    rows = []
    for (leaf, index, _), family in builder.families.task.items():
        keys = np.flatnonzero(builder.families.occurs(family))
        block = builder.families.ready.get((leaf, index), builder.families.start[leaf])
        target = builder.families.event(family, keys)
        rows.append(builder.rows(target, block, builder.itself(leaf)[keys], own=True))
    return rows


def flow_rows(builder: RowBuilder) -> list[Rows]:
    """Rule 1: an element is read after it was brought.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.

    Returns
    -------
    list of Rows
        The precedences.
    """
    rows = []
    for (number, tensor), source in builder.lowered.found.items():
        filled = finds_whole_fill(builder.leaves, number, tensor, source)
        for pair in exchanges(builder.leaves, number, tensor, source):
            rows += _exchange_rows(builder, pair, filled=filled)
    return rows


def _exchange_rows(builder: RowBuilder, pair: Exchange, *, filled: bool) -> list[Rows]:
    """Return the precedences of one exchange; `filled`: see `finds_whole_fill`."""
    number, bringer, tensor = pair.reader.number, pair.bringer.number, pair.tensor
    depth, events, targets = storage_reads(builder.layout, pair.reader, tensor, pair.level)
    target, keys = builder.targets(number, events, targets)
    if not pair.produces and filled:
        return _from_filler(builder, pair, target, keys)
    digits, slopes, affine, absent = pair.last_on_boxes(
        builder.layout.tiles[number],
        depth,
        events,
        builder.layout.tiles[bringer],
        pair.holder.depth,
    )
    # Readings of padding alone, and of what another leaf brings, wait for nothing.
    builder.note(number, keys[~affine & ~absent])
    some = np.flatnonzero(affine)
    if not pair.produces:
        return _from_filler(builder, pair, target[some], keys[some])
    inner = hand_over_depth(pair.bringer, tensor, pair.level + 1, builder.options)
    if inner is not None:
        # The whole tile is written back with its last tile iteration.
        digits[inner:] = builder.ends(bringer, len(events))[inner:]
        slopes[inner:] = 0
    last = builder.source(number, keys[some], bringer, digits[:, some], 0, slopes[:, :, some])
    written = builder.streams(bringer, "write_back", tensor, pair.level + 1)
    rows = [] if written else builder.after_finish(target[some], bringer, last)
    for index in written:
        rows += builder.after_blocks(target[some], (bringer, index), last)
    return rows


def _from_filler(builder: RowBuilder, pair: Exchange, target: Ints, keys: Ints) -> list[Rows]:
    filler, level = pair.bringer, pair.level
    depth = filler.storages(pair.tensor)[level].depth
    filling = _entry(builder, pair.reader.number, keys, filler.number, depth)
    streams = builder.streams(filler.number, "fill", pair.tensor, level)
    if not streams:
        # A streamed fill is a part of the tile iteration that enters the tile.
        return builder.after_finish(target, filler.number, filling)
    (index,) = streams
    return builder.after_blocks(target, (filler.number, index), filling, own=True)


def _entry(builder: RowBuilder, reader: int, keys: Ints, filler: int, depth: int) -> Ints:
    """Number the first tile iterations of a leaf in the tiles at a depth that contain points."""
    tiles, readers = builder.layout.tiles[filler], builder.layout.tiles[reader]
    reading = np.searchsorted(builder.keys[reader], keys)
    # Of variables that are tied together, a tile's first indices need not be 0.
    firsts = tiles.firsts(depth)
    at = np.searchsorted(tiles.prefix_keys(depth)[firsts], readers.prefix_keys(depth)[reading])
    base = tiles.digits[:, firsts[at]].copy()
    base[:depth] = builder.digits[reader][:depth, keys]
    return builder.source(reader, keys, filler, base, depth)


def barrier_rows(builder: RowBuilder) -> list[Rows]:
    """Rule 2: the branches of a Sequential run one after another.

    Parameters
    ----------
    builder
        The mapping, and the sources numbered so far.

    Returns
    -------
    list of Rows
        The precedences.

    Notes
    -----
    A branch waits for the turns before it: the earlier branches with the same indices of the loops
    above the split, then all branches with the previous ones, the last one first. A turn that has
    tile iterations waits in the same way. So behind a branch that has some for all indices, no
    further precedence says anything new.
    """
    rows = []
    for depth, branches in _sequentials(builder):
        order = sorted(branches)
        whole = {b: any(_has_all(builder, leaf, depth) for leaf in branches[b]) for b in order}
        for at, branch in enumerate(order):
            turns = [(other, True) for other in reversed(order[:at])]
            # The own branch comes last: its previous turn may be the last one that is not empty.
            turns += [(other, False) for other in reversed(order[at:])]
            for other, earlier in turns:
                for leaf in branches[branch]:
                    for ahead in branches[other]:
                        rows += _barrier(builder, leaf, ahead, depth, earlier)
                if whole[other]:
                    break
    return rows


def _sequentials(builder: RowBuilder) -> list[tuple[int, dict[int, list[Leaf]]]]:
    """Return per Sequential the number of loops above it, and branch → its leaves."""
    found: dict[int, tuple[int, dict[int, list[Leaf]]]] = {}
    for leaf in builder.leaves:
        for split in leaf.splits:
            if not split.pipeline:
                _, branches = found.setdefault(split.node, (split.depth, {}))
                branches.setdefault(split.branch, []).append(leaf)
    return list(found.values())


def _has_all(builder: RowBuilder, leaf: Leaf, depth: int) -> bool:
    """Return whether a leaf has tile iterations for all indices of the outer loops."""
    tiles = builder.layout.tiles[leaf.number]
    return len(tiles.firsts(depth)) == prod(kept.count for kept in tiles.kept[:depth])


def _barrier(builder: RowBuilder, leaf: Leaf, other: Leaf, depth: int, earlier: bool) -> list[Rows]:
    tiles = builder.layout.tiles[leaf.number]
    keys = builder.keys[leaf.number][tiles.firsts(depth)]
    digits = builder.digits[leaf.number][:depth, keys]
    if earlier:
        base = builder.ends(other.number, len(keys))
        base[:depth] = digits
        some, same = np.arange(len(keys)), np.full(len(keys), depth)
    else:
        some, base, same = builder.previous(other.number, digits, depth)
    target = builder.families.event(builder.families.start[leaf.number], keys[some])
    source = builder.source(leaf.number, keys[some], other.number, base, same)
    rows = builder.after_finish(target, other.number, source)
    for index in builder.streams(other.number, "write_back"):
        if not builder.layout.blocks[other.number][index].background:
            rows += builder.after_blocks(target, (other.number, index), source)
    return rows
