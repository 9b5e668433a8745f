"""Check that exactly the required services are scheduled, once, with their durations."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from polylat.analysis.isl_pieces import first_point, intersecting_pairs, pieces_to_set
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.loop_counts import LoopCounts, over_iterations
from polylat.proof.relation_text import operation_count
from polylat.proof.tile_sets import event_set
from polylat.schedule.pieces import Pieces

__all__ = ["check_contents"]


def check_contents(schedule: CheckedSchedule) -> int:
    """Check that exactly the required services are scheduled, once, with their durations.

    Parameters
    ----------
    schedule
        The schedule to check.

    Returns
    -------
    int
        The number of relations proven.

    Raises
    ------
    BrokenRule
        A service is missing, duplicated, superfluous, or of a wrong duration.
    """
    count = 0
    expected = schedule.expected
    wanted = {
        (leaf, block) for leaf, blocks in enumerate(expected.blocks) for block in range(len(blocks))
    }
    if set(schedule.blocks) != wanted or len(schedule.schedule.blocks) != len(wanted):
        raise BrokenRule("the schedule does not list every block of every Einsum exactly once")
    if len(set(schedule.ports)) != len(schedule.ports):
        raise BrokenRule("the schedule lists a port twice")
    number = {name: port for port, name in enumerate(schedule.ports)}
    for leaf, block in sorted(wanted):
        stream = schedule.block_starts(leaf, block)
        what = f"{schedule.words.block(leaf, block)} of Einsum {schedule.words.einsum(leaf)!r}"
        _check_distinct(schedule, stream.ready, f"{what} is scheduled to start", leaf)
        there = expected.iterations(leaf, block).mapped(_as_zero)
        _check_numbers(schedule, stream.ready, stream.ready.start * 0, there, what, leaf)
        count += 1
        loads = {}
        for name, load in expected.loads(leaf, block).items():
            if name not in number:
                raise BrokenRule(f"{what}: component {name[0]!r} lacks a port in the schedule")
            loads[number[name]] = load
        for port in sorted({*loads, *stream.tasks}):
            count += 1
            where = f"{what} on {schedule.words.port(port)}"
            scheduled = stream.tasks.get(port)
            if port not in loads or scheduled is None:
                how = "is never" if scheduled is None else "takes no time, but is"
                raise BrokenRule(f"{where} {how} scheduled")
            _check_distinct(schedule, scheduled, f"{where} is scheduled", leaf)
            load = loads[port].mapped(_absent_where_zero)
            _check_numbers(schedule, scheduled, scheduled.duration, load, where, leaf)
        _check_operations(schedule, leaf)
    return count


def _as_zero(values: Any) -> Any:
    """Return 0 where a count is above 0, and -1 elsewhere."""
    return np.where(np.asarray(values > 0, dtype=np.bool_), 0, -1)


def _absent_where_zero(values: Any) -> Any:
    """Return values, with -1 in place of 0."""
    return np.where(np.asarray(values > 0, dtype=np.bool_), values, -1)


def _check_operations(schedule: CheckedSchedule, leaf: int) -> None:
    """Check that as many computations are counted as the iteration space has operations.

    Leaves with Spatial loops are not compared, as the counts are those of one unit; nor are copy
    Einsums, which have no operations.
    """
    path = schedule.sets.leaves[leaf]
    if path.einsum.is_copy or any(loop.unit is not None for loop in path.loops):
        return
    counted = sum(
        access.counts.total
        for block in schedule.expected.blocks[leaf]
        for access in block.accesses
        if access.tensor is None
    )
    operations = operation_count(path)
    if counted != operations:
        raise BrokenRule(
            f"Einsum {schedule.words.einsum(leaf)!r} has {operations} operations, but"
            f" {counted} computations are counted"
        )


def _check_distinct(schedule: CheckedSchedule, pieces: Pieces, what: str, leaf: int) -> None:
    if schedule.pointwise:
        keys = schedule.times_of(pieces).keys
        twice = np.flatnonzero(keys[1:] == keys[:-1])
        if len(twice):
            index = tuple(schedule.times_of(pieces).table[0][int(twice[0])].tolist())
            raise BrokenRule(f"{what} twice for {schedule.words.tile(leaf, index)}")
        return
    for a, b in intersecting_pairs(pieces):
        both = pieces_to_set(pieces.chosen(np.array([a])))
        both &= pieces_to_set(pieces.chosen(np.array([b])))
        if not both.is_empty():
            raise BrokenRule(f"{what} twice for {schedule.words.tile(leaf, first_point(both))}")


def _check_numbers(
    schedule: CheckedSchedule,
    pieces: Pieces,
    numbers: Any,
    expected: LoopCounts,
    what: str,
    leaf: int,
) -> None:
    """Check that an event occurs in exactly the expected tile iterations, with their numbers.

    The tile iterations of the pieces are distinct. If all of them are expected, and there are as
    many as expected, none is missing.

    Parameters
    ----------
    numbers
        Shape (pieces,): the number of each piece.
    expected
        Per tile iteration, its number; -1 where the event does not occur.
    """
    grid = over_iterations(schedule.sets.leaves[leaf], expected, pieces.depth)
    outside = np.zeros(pieces.size, dtype=np.bool_)
    first = np.zeros((pieces.depth, pieces.size), dtype=np.int64)
    final = np.zeros((pieces.depth, pieces.size), dtype=np.int64)
    for k in range(pieces.depth):
        outside |= (pieces.low[k] < 0) | (pieces.high[k] >= grid.trips[k])
        first[k] = np.searchsorted(grid.cuts[k], pieces.low[k], side="right") - 1
        final[k] = np.searchsorted(grid.cuts[k], pieces.high[k], side="right") - 1
    wrong = outside.copy()
    single = (first == final).all(axis=0) & ~outside
    cells = tuple(first[:, single])
    wrong[single] = np.asarray(grid.values[cells] != numbers[single], dtype=np.bool_)
    for f in np.flatnonzero(~single & ~outside).tolist():
        ranges = [_met(grid.cuts[k], pieces, k, f) for k in range(pieces.depth)]
        wrong[f] = bool((grid.values[np.ix_(*ranges)] != numbers[f]).any())
    missing = expected_points(grid) - pieces.points
    if not wrong.any() and not missing:
        return
    if wrong.any():
        f = int(np.flatnonzero(wrong)[0])
        index = _first_wrong(schedule, pieces, f, int(numbers[f]), grid, leaf)
        want = _number_at(grid, index)
        if want >= 0:
            raise BrokenRule(
                f"{what} takes {schedule.words.time(want)} for {schedule.words.tile(leaf, index)},"
                f" but is scheduled for {schedule.words.time(int(numbers[f]))}"
            )
        how = "is scheduled, but does not occur, for"
    else:
        every = schedule.sets.set_of(leaf, grid.mapped(lambda values: values + 1))
        index = first_point(every - event_set(pieces))
        how = "is not scheduled for"
    raise BrokenRule(f"{what} {how} {schedule.words.tile(leaf, index)}")


def expected_points(grid: LoopCounts) -> int:
    """Return for how many indices a number is at least 0.

    Parameters
    ----------
    grid
        The numbers.

    Returns
    -------
    int
        The number of indices.
    """
    return grid.mapped(lambda v: np.asarray(v >= 0, dtype=np.bool_).astype(np.int64)).total


def _met(cuts: Sequence[int], pieces: Pieces, loop: int, f: int) -> list[int]:
    """Return the ranges of a loop that contain an index of a piece."""
    low, high = int(pieces.low[loop, f]), int(pieces.high[loop, f])
    stride = int(pieces.stride[loop, f])
    first, final = (bisect_right(cuts, x) - 1 for x in (low, high))
    found = []
    for cell in range(first, final + 1):
        begin = max(low, cuts[cell])
        end = high if cell == final else cuts[cell + 1] - 1
        if low + -(-(begin - low) // stride) * stride <= end:
            found.append(cell)
    return found


def _number_at(grid: LoopCounts, index: Sequence[int]) -> int:
    """Return the number at an index; -1 outside."""
    if any(not 0 <= x < trips for x, trips in zip(index, grid.trips, strict=True)):
        return -1
    cell = tuple(bisect_right(c, x) - 1 for c, x in zip(grid.cuts, index, strict=True))
    return int(grid.values[cell])


def _first_wrong(
    schedule: CheckedSchedule, pieces: Pieces, f: int, number: int, grid: LoopCounts, leaf: int
) -> tuple[int, ...]:
    """Return the first tile iteration of a piece for which another number is expected."""
    right = schedule.sets.set_of(
        leaf, grid.mapped(lambda v: np.asarray(v == number, dtype=np.bool_).astype(np.int64))
    )
    return first_point(pieces_to_set(pieces.chosen(np.array([f]))) - right)
