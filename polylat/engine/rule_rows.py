"""Precedences of tile iterations and their tasks, of flow (rule 1) and of barriers (rule 2)."""

from __future__ import annotations

import numpy as np

from polylat.engine.row_builder import RowBuilder
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.read_back import may_read_back
from polylat.lowering.dependences.rules import storage_reads
from polylat.lowering.paths import Leaf
from polylat.schedule.arrays import Ints, concatenated_ranges, group_by_key
from polylat.schedule.boxes import Rows
from polylat.schedule.extension import ReadBacks

__all__ = [
    "barrier_rows",
    "chain_rows",
    "fill_rows",
    "flow_rows",
    "read_backs",
    "ready_order_rows",
    "task_rows",
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
        for part in parts:
            keys = np.flatnonzero(builder.families.occurs(part))
            target = builder.families.event(family, keys)
            rows.append(builder.rows(target, part, itself[keys], own=True))
    return rows


def fill_rows(builder: RowBuilder) -> list[Rows]:
    """A tile iteration starts after its own prefetched fills may start.

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
        keys = np.flatnonzero(builder.families.occurs(family))
        target = builder.families.event(builder.families.start[leaf], keys)
        rows.append(builder.rows(target, family, builder.itself(leaf)[keys], own=True))
    return rows


def ready_order_rows(builder: RowBuilder) -> list[Rows]:
    """The fills of a stream are ready in order.

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


def read_backs(builder: RowBuilder) -> ReadBacks:
    """A tile iteration finishes after the write-backs of what it reads back.

    That matters only for leaves of which a finish is awaited. Where tile iterations are skipped, it
    is only checked that write-backs delay no finish: what a tile reads back was written in earlier
    tiles of the holder.

    Parameters
    ----------
    builder
        The mapping; all other precedences have been made.

    Returns
    -------
    ReadBacks
        The precedences.
    """
    graph = builder.graph
    edges = np.flatnonzero(graph.edge_target >= graph.blocks)
    finishing = graph.leaf[graph.edge_target[edges] - graph.blocks]
    edges = edges[np.isin(finishing, list(builder.awaited))]
    start, tasks = group_by_key(graph.task_block, graph.blocks)
    written = graph.edge_source[edges]
    which, place = concatenated_ranges(start[written], start[written + 1] - start[written])
    reading = graph.edge_target[edges][which] - graph.blocks
    keys = np.concatenate([np.zeros(0, dtype=np.int64), *builder.keys])
    rows: list[Rows] = []
    groups: list[Ints] = []
    for number in sorted(builder.awaited):
        _add_earlier_write_backs(builder, builder.leaves[number], rows, groups)
    return ReadBacks(
        builder.families.tasks[tasks[place]],
        graph.leaf[reading],
        keys[reading],
        Rows.joined(rows),
        np.concatenate([np.zeros(0, dtype=np.int64), *groups]),
    )


def _add_earlier_write_backs(
    builder: RowBuilder, leaf: Leaf, rows: list[Rows], groups: list[Ints]
) -> None:
    """Add rows from the write-backs of earlier tiles to finishes of a sampled leaf.

    One of the rows of a group suffices: a finish is the latest of several events.
    """
    tiles = builder.layout.tiles[leaf.number]
    for block in builder.layout.blocks[leaf.number]:
        if block.kind != "background" or tiles.whole:
            continue
        assert block.tensor is not None
        if not may_read_back(leaf, block.tensor, block.level):
            continue
        depth = leaf.storages(block.tensor)[block.level].depth
        keys = builder.keys[leaf.number][tiles.firsts(depth)]
        some, base, same = builder.previous(
            leaf.number, builder.digits[leaf.number][:, keys], depth
        )
        source = builder.source(leaf.number, keys[some], leaf.number, base, same)
        for family in builder.stream(leaf.number, "background", block.tensor, block.level):
            first = 1 + max((int(part.max(initial=-1)) for part in groups), default=-1)
            for finish in builder.finish(leaf.number):
                target = builder.families.event(finish, keys[some])
                rows.append(builder.rows(target, family, source, sound=False))
                groups.append(first + np.arange(len(some)))


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
        if source.leaf is None:
            continue
        reader, bringer = builder.leaves[number], builder.leaves[source.leaf]
        depth, events, targets = storage_reads(builder.layout, reader, tensor, source.level)
        target, keys = builder.targets(number, events, targets)
        if not source.produces:
            rows += _from_filler(builder, bringer, tensor, source.level, target, keys, number)
            continue
        pair = Exchange(reader, bringer, tensor, source.level)
        tiles, others = builder.layout.tiles[number], builder.layout.tiles[source.leaf]
        digits, slopes, affine = pair.last_on_boxes(tiles, depth, events, others, pair.holder.depth)
        builder.note(number, keys[~affine])
        some = np.flatnonzero(affine)
        last = builder.source(
            number, keys[some], source.leaf, digits[:, some], 0, slopes[:, :, some]
        )
        rows += [builder.rows(target[some], f, last) for f in builder.finish(source.leaf)]
        for level in range(source.level + 1, len(bringer.storages(tensor))):
            rows += [
                builder.rows(target[some], family, last, own=True)
                for family in builder.stream(source.leaf, "background", tensor, level)
            ]
    return rows


def _from_filler(
    builder: RowBuilder,
    filler: Leaf,
    tensor: str,
    level: int,
    target: Ints,
    keys: Ints,
    reader: int,
) -> list[Rows]:
    rows = []
    outer = builder.lowered.found[filler.number, tensor].level
    tiles, readers = builder.layout.tiles[filler.number], builder.layout.tiles[reader]
    reading = np.searchsorted(builder.keys[reader], keys)
    for filled in range(outer + 1, level + 1):
        depth = filler.storages(tensor)[filled].depth
        # Of variables that are tied together, a tile's first indices need not be 0.
        firsts = tiles.firsts(depth)
        at = np.searchsorted(tiles.prefix_keys(depth)[firsts], readers.prefix_keys(depth)[reading])
        base = tiles.digits[:, firsts[at]].copy()
        base[:depth] = builder.digits[reader][:depth, keys]
        filling = builder.source(reader, keys, filler.number, base, depth)
        rows += [
            builder.rows(target, family, filling, own=True)
            for family in builder.stream(filler.number, "fill", tensor, filled)
        ]
    return rows


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
    """
    rows = []
    for leaf in builder.leaves:
        for at, split in enumerate(leaf.splits):
            if split.pipeline:
                continue
            for other in builder.leaves:
                theirs = other.splits[at] if at < len(other.splits) else None
                if theirs is None or theirs.node != split.node:
                    continue
                if theirs.branch != split.branch:
                    rows += _barrier(
                        builder, leaf, other, split.depth, theirs.branch < split.branch
                    )
    return rows


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
    return [builder.rows(target, family, source) for family in builder.finish(other.number)]
