"""The shifts of pipeline stages in skewed dates: by how much producers run ahead of readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.rules import storage_reads
from polylat.lowering.numbering import Layout
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import Source

__all__ = ["distances", "shifts", "shifts_by"]


def shifts(
    leaves: Sequence[Leaf], layout: Layout, found: Mapping[tuple[int, str], Source]
) -> dict[int, list[int]]:
    """Return the shift of each stage of each Pipeline.

    Shifts are the least ones with which the source of every flow precedes its target.

    Parameters
    ----------
    leaves, layout
        The leaves, in tree order, and the numbering of their tile iterations.
    found
        (leaf, input tensor) → the holder in which the leaf finds it.

    Returns
    -------
    dict
        Tree node of a Pipeline → the shift of each stage, in iterations of the loops above it.
    """
    stages: dict[int, int] = {}
    for leaf in leaves:
        for split in leaf.splits:
            if split.pipeline:
                stages[split.node] = max(stages.get(split.node, 0), split.branch + 1)
    return shifts_by(stages, distances(leaves, layout, found) if stages else {})


def shifts_by(
    stages: Mapping[int, int], ahead: Mapping[int, Mapping[tuple[int, int], int]]
) -> dict[int, list[int]]:
    """Return the shift of each stage of each Pipeline from given distances.

    Parameters
    ----------
    stages
        Tree node of a Pipeline → its number of stages.
    ahead
        The result of `distances`.

    Returns
    -------
    dict
        As for `shifts`.

    Notes
    -----
    A shift is the length of the longest path to the stage in the graph of distances.
    """
    result = {}
    for node, count in stages.items():
        known = ahead.get(node, {})
        mine: list[int] = []
        for stage in range(count):
            needs = [mine[a] + 1 + known[a, stage] for a in range(stage) if (a, stage) in known]
            mine.append(max([0, *needs]))
        result[node] = mine
    return result


def distances(
    leaves: Sequence[Leaf], layout: Layout, found: Mapping[tuple[int, str], Source]
) -> dict[int, dict[tuple[int, int], int]]:
    """Return the largest distance of a flow from each stage to each later one.

    A distance is the difference, of bringer and reader, of the linearized index of the loops
    between the Pipeline and the split above it. Flows count between tile iterations that agree on
    the loops further out.

    Parameters
    ----------
    leaves, layout, found
        As for `shifts`.

    Returns
    -------
    dict
        Tree node of a Pipeline → (stage of the bringer, stage of the reader) → distance.
    """
    result: dict[int, dict[tuple[int, int], int]] = {}
    for (number, tensor), source in found.items():
        if source.leaf is None:
            continue
        reader, bringer = leaves[number], leaves[source.leaf]
        at = next(
            i
            for i, (a, b) in enumerate(zip(reader.splits, bringer.splits, strict=False))
            if a.branch != b.branch
        )
        split, other = reader.splits[at], bringer.splits[at]
        if not split.pipeline:
            continue
        above = reader.splits[at - 1].depth if at else 0
        largest = _distance(leaves, layout, (number, tensor), source, above, split.depth)
        if largest is not None:
            stages = result.setdefault(split.node, {})
            key = (other.branch, split.branch)
            stages[key] = max(stages.get(key, largest), largest)
    return result


def _distance(
    leaves: Sequence[Leaf],
    layout: Layout,
    what: tuple[int, str],
    source: Source,
    above: int,
    depth: int,
) -> int | None:
    number, tensor = what
    assert source.leaf is not None
    pair = Exchange(leaves[number], leaves[source.leaf], tensor, source.level)
    tiles, theirs = layout.tiles[number], layout.tiles[source.leaf]
    read_depth, events, _ = storage_reads(layout, pair.reader, tensor, source.level)
    if source.produces:
        last, there = pair.last_within(
            tiles, read_depth, events, theirs, max(above, pair.holder.depth)
        )
    else:
        firsts = theirs.firsts(pair.holder.depth)
        keys = theirs.prefix_keys(pair.holder.depth)[firsts]
        mine = tiles.prefix_keys(pair.holder.depth)[events]
        fillers = firsts[np.searchsorted(keys, mine)]
        last = theirs.digits[:, fillers]
        there = theirs.prefix_keys(above)[fillers] == tiles.prefix_keys(above)[events]
    if not there.any():
        return None
    turn = tiles.turns(tiles.digits[:, events], above, depth)
    ahead = theirs.turns(last, above, depth) - turn
    return int(ahead[there].max())
