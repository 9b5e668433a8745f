"""The shifts of pipeline stages in skewed dates: by how much producers run ahead of readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.readings import exchanges, finds_whole_fill, storage_reads
from polylat.lowering.iterations import IrregularError, IterationTable
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf, separating_split
from polylat.lowering.sharing import SourceHolder
from polylat.numbers import INT64_LIMIT
from polylat.schedule.arrays import Ints

__all__ = ["shifts_from_distances", "skew_distances", "skew_shifts"]


def skew_shifts(
    leaves: Sequence[Leaf], layout: Numbering, found: Mapping[tuple[int, str], SourceHolder]
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
    return shifts_from_distances(leaves, skew_distances(leaves, layout, found))


def shifts_from_distances(
    leaves: Sequence[Leaf], ahead: Mapping[int, Mapping[tuple[int, int], int]]
) -> dict[int, list[int]]:
    """Return the shift of each stage of each Pipeline from given distances.

    Parameters
    ----------
    leaves
        The leaves, in tree order.
    ahead
        The result of `skew_distances`; there may be more splits in it than Pipelines.

    Returns
    -------
    dict
        As for `skew_shifts`.

    Raises
    ------
    TooLargeError
        A shift is so large that dates do not fit in 64 bits.

    Notes
    -----
    A shift is the length of the longest path to the stage in the graph of distances, in which a
    flow to an earlier stage, a recurrence, has no iteration of its own. Where a cycle is longer
    than 0 there are no shifts: the Pipeline is missing.
    """
    stages: dict[int, int] = {}
    for leaf in leaves:
        for split in leaf.splits:
            if split.pipeline:
                stages[split.node] = max(stages.get(split.node, 0), split.branch + 1)
    result = {}
    for node, count in stages.items():
        stage_shifts = _longest_paths(count, ahead.get(node, {}))
        if stage_shifts is None:
            continue
        if max(stage_shifts) >= INT64_LIMIT:
            raise TooLargeError(
                f"a stage of a Pipeline is {max(stage_shifts)} iterations behind the first one,"
                " 2^62 or more",
                where="mapping",
                fix="use larger tiles, or a Sequential",
            )
        result[node] = stage_shifts
    return result


def _longest_paths(stages: int, distance_to: Mapping[tuple[int, int], int]) -> list[int] | None:
    """Return the least shifts ≥ 0 of the stages; None if there are none (Bellman and Ford)."""
    shifts = [0] * stages
    flows = sorted(distance_to.items(), key=lambda item: (item[0][1], item[0][0]))
    for _ in range(stages + 1):
        before = list(shifts)
        for (source, target), distance in flows:
            least = shifts[source] + distance + (source < target)
            shifts[target] = max(shifts[target], least)
        if shifts == before:
            return shifts
    return None


def skew_distances(
    leaves: Sequence[Leaf], layout: Numbering, found: Mapping[tuple[int, str], SourceHolder]
) -> dict[int, dict[tuple[int, int], int]]:
    """Return the largest distance of a flow from each stage to each other one.

    A distance is the difference, of bringer and reader, of the linearized index of the loops
    between the Pipeline and the split above it. Flows count between tile iterations that agree on
    the loops further out.

    Parameters
    ----------
    leaves, layout, found
        As for `skew_shifts`.

    Returns
    -------
    dict
        Tree node of a Pipeline → (stage of the bringer, stage of the reader) → distance.
    """
    result: dict[int, dict[tuple[int, int], int]] = {}
    for (number, tensor), source in found.items():
        for pair in exchanges(leaves, number, tensor, source):
            reader, bringer = pair.reader, pair.bringer
            if reader is bringer:
                continue
            at = separating_split(reader, bringer)
            split, other = reader.splits[at], bringer.splits[at]
            if not split.pipeline:
                continue
            above = reader.splits[at - 1].depth if at else 0
            filled = not pair.produces and finds_whole_fill(leaves, number, tensor, source)
            largest = _distance(layout, pair, above, split.depth, filled=filled)
            if largest is not None:
                stages = result.setdefault(split.node, {})
                key = (other.branch, split.branch)
                stages[key] = max(stages.get(key, largest), largest)
    return result


def _distance(
    layout: Numbering, pair: Exchange, above: int, depth: int, *, filled: bool
) -> int | None:
    """Return the largest distance of an exchange; None without a flow.

    `filled`: see `finds_whole_fill`.
    """
    tiles, bringer_tiles = layout.tiles[pair.reader.number], layout.tiles[pair.bringer.number]
    read_depth, events, _ = storage_reads(layout, pair.reader, pair.tensor, pair.level)
    if pair.produces and not tiles.whole:
        return _distance_of_boxes(pair, tiles, read_depth, events, bringer_tiles, above, depth)
    if pair.produces:
        last, exists = pair.last_within(
            tiles, read_depth, events, bringer_tiles, max(above, pair.holder.depth)
        )
    else:
        if not filled:
            # Readings of what the filler has not filled do not wait for it.
            _, some = pair.last_within(tiles, read_depth, events, bringer_tiles, pair.holder.depth)
            events = events[some]
        firsts = bringer_tiles.firsts(pair.holder.depth)
        keys = bringer_tiles.prefix_keys(pair.holder.depth)[firsts]
        read_keys = tiles.prefix_keys(pair.holder.depth)[events]
        fillers = firsts[np.searchsorted(keys, read_keys)]
        last = bringer_tiles.digits[:, fillers]
        exists = bringer_tiles.prefix_keys(above)[fillers] == tiles.prefix_keys(above)[events]
    if not exists.any():
        return None
    turn = tiles.turns(tiles.digits[:, events], above, depth)
    ahead = bringer_tiles.turns(last, above, depth) - turn
    return int(ahead[exists].max())


def _distance_of_boxes(
    pair: Exchange,
    tiles: IterationTable,
    read_depth: int,
    events: Ints,
    bringer_tiles: IterationTable,
    above: int,
    depth: int,
) -> int | None:
    """Return the largest distance of all readings, of which some are sampled; None without a flow.

    An affine function on a box is largest at a corner.
    """
    last, slopes, affine, absent = pair.last_on_boxes(
        tiles, read_depth, events, bringer_tiles, max(above, pair.holder.depth)
    )
    if not affine.all():
        if above > pair.holder.depth and not (affine | absent).all():
            raise IrregularError("the distance of a flow is not affine")
        # `engine.constraints` refuses a sample in which a flow does not move with its box.
        events, last, slopes = events[affine], last[:, affine], slopes[:, :, affine]
    if not len(events):
        return None
    turn = tiles.turns(tiles.digits[:, events], above, depth)
    ahead = bringer_tiles.turns(last, above, depth) - turn
    for k, (kept, places) in enumerate(zip(tiles.kept, tiles.places, strict=True)):
        moved = np.zeros((tiles.depth, len(events)), dtype=np.int64)
        moved[k] = kept.period_lengths[places[events]]
        rise = bringer_tiles.turns(slopes[:, k], above, depth) - tiles.turns(moved, above, depth)
        ahead = ahead + np.maximum(rise, 0) * kept.skipped_periods[places[events]]
    return int(ahead.max())
