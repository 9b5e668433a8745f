"""Rule 2: the branches of a Sequential run one after another, as edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from polylat.lowering.dependences.edges import (
    RuleEdges,
    find_keys,
    tile_keys,
    write_backs_in_tiles,
)
from polylat.lowering.dependences.extend import through_skipped
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf
from polylat.schedule.arrays import Ints
from polylat.schedule.reasons import BARRIER

__all__ = ["barrier_edges"]


def barrier_edges(leaves: Sequence[Leaf], layout: Numbering) -> Iterator[RuleEdges]:
    """Rule 2: the branches of a Sequential run one after another.

    Parameters
    ----------
    leaves, layout
        As for `rules.dependence_edges`.

    Yields
    ------
    RuleEdges
        Edges.
    """
    below: dict[int, dict[int, list[Leaf]]] = {}
    depths: dict[int, int] = {}
    for leaf in leaves:
        for split in leaf.splits:
            if not split.pipeline:
                below.setdefault(split.node, {}).setdefault(split.branch, []).append(leaf)
                depths[split.node] = split.depth
    for node, branches in below.items():
        for part in _between_branches(layout, list(branches.values()), depths[node]):
            yield part._replace(split=node)


def _between_branches(
    layout: Numbering, branches: Sequence[Sequence[Leaf]], depth: int
) -> Iterator[RuleEdges]:
    """Order the branches of a split, for all indices of the loops above it, in one sequence.

    A *turn* is a branch with one such index. Turns without tile iterations are not in the
    sequence, so that the turn behind them waits for the one before them.
    """
    count = len(branches)
    sequence = np.unique(
        np.concatenate([tile_keys(layout, x, depth) * count + b for b, x in enumerate(branches)])
    )
    for branch, waiting in enumerate(branches):
        for leaf in waiting:
            firsts = layout.tiles[leaf.number].firsts(depth)
            turn = np.searchsorted(sequence, tile_keys(layout, [leaf], depth) * count + branch)
            firsts, turn = firsts[turn > 0], turn[turn > 0]
            ahead, before = np.divmod(sequence[turn - 1], count)
            for other_branch in np.unique(before):
                chosen = before == other_branch
                for other in branches[other_branch]:
                    yield from _barrier(layout, leaf, firsts[chosen], other, ahead[chosen], depth)


def _barrier(
    layout: Numbering, leaf: Leaf, waiting: Ints, other: Leaf, ahead: Ints, depth: int
) -> Iterator[RuleEdges]:
    """Order tile iterations after all of another leaf within given tiles, if any.

    Its write-backs that are not in the background are part of it.
    """
    tiles, others = layout.tiles[leaf.number], layout.tiles[other.number]
    lasts = others.lasts(depth)
    exists, at = find_keys(others.prefix_keys(depth)[lasts], ahead)
    awaited, periods = through_skipped(tiles, waiting[exists], others, lasts[at], depth=depth)
    source = layout.bases[other.number] + awaited
    target = layout.bases[leaf.number] + waiting[exists]
    yield RuleEdges(source, target, BARRIER, periods)
    for stream in layout.streams[other.number]:
        if stream.block.kind != "write_back" or stream.block.background:
            continue
        source, which, periods = write_backs_in_tiles(
            layout, leaf, waiting, other, stream, ahead, depth
        )
        target = layout.bases[leaf.number] + waiting[which]
        yield RuleEdges(source, target, BARRIER, periods)
