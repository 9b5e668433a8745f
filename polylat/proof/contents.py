"""Check that exactly the required services are scheduled, once, with their durations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polylat.analysis.isl_pieces import first_point, intersecting_pairs, pieces_to_set
from polylat.lowering.points import integer_points
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.expected import expected_iterations, expected_loads, operation_count_mismatch
from polylat.proof.tile_sets import event_set
from polylat.proof.words import BrokenRule, time_at
from polylat.schedule.pieces import Pieces

if TYPE_CHECKING:
    import islpy as isl

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
    wanted = {
        (leaf, block)
        for leaf, blocks in enumerate(schedule.model.layout.blocks)
        for block in range(len(blocks))
    }
    if set(schedule.blocks) != wanted or len(schedule.schedule.blocks) != len(wanted):
        raise BrokenRule("the schedule does not list every block of every Einsum exactly once")
    for leaf, block in sorted(wanted):
        stream = schedule.block_starts(leaf, block)
        what = f"{schedule.words.block(leaf, block)} of Einsum {schedule.words.einsum(leaf)!r}"
        expected_set = expected_iterations(schedule.sets, leaf, block)
        _check_distinct(schedule, stream.ready, f"{what} is scheduled to start", leaf)
        _check_iterations(schedule, stream.ready, expected_set, what, leaf)
        expected = expected_loads(schedule.model, leaf, block)
        count += 1
        for port in sorted({*expected, *stream.tasks}):
            count += 1
            where = f"{what} on {schedule.words.port(port)}"
            scheduled = stream.tasks.get(port)
            if port not in expected or scheduled is None:
                how = "is never" if scheduled is None else "takes no time, but is"
                raise BrokenRule(f"{where} {how} scheduled")
            _check_distinct(schedule, scheduled, f"{where} is scheduled", leaf)
            _check_durations(schedule, scheduled, expected[port], where, leaf)
        mismatch = operation_count_mismatch(schedule.model, leaf)
        if mismatch is not None:
            raise BrokenRule(
                f"Einsum {schedule.words.einsum(leaf)!r} has {mismatch[1]} operations, but"
                f" {mismatch[0]} computations are counted"
            )
    return count


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


def _check_iterations(
    schedule: CheckedSchedule, pieces: Pieces, expected: isl.Set, what: str, leaf: int
) -> None:
    if schedule.pointwise:
        have, want = schedule.times_of(pieces).table[0], integer_points(expected)
        if have.shape != want.shape or (have != want).any():
            a, b = set(map(tuple, have.tolist())), set(map(tuple, want.tolist()))
            raise BrokenRule(
                _presence_message(schedule, min(a ^ b), what, leaf, missing=min(a ^ b) in b)
            )
        return
    have = event_set(pieces)
    if not have.is_equal(expected):
        missing = expected - have
        index = first_point(missing if not missing.is_empty() else have - expected)
        raise BrokenRule(
            _presence_message(schedule, index, what, leaf, missing=not missing.is_empty())
        )


def _presence_message(
    schedule: CheckedSchedule, index: tuple[int, ...], what: str, leaf: int, *, missing: bool
) -> str:
    how = "is not scheduled for" if missing else "is scheduled, but does not occur, for"
    return f"{what} {how} {schedule.words.tile(leaf, index)}"


def _check_durations(
    schedule: CheckedSchedule, scheduled: Pieces, expected: Pieces, what: str, leaf: int
) -> None:
    if schedule.pointwise:
        have, want = _duration_table(scheduled), _duration_table(expected)
        if have != want:
            index = min(i for i in {*have, *want} if have.get(i, 0) != want.get(i, 0))
            raise BrokenRule(
                _duration_message(schedule, have.get(index), want.get(index), index, what, leaf)
            )
        return
    for duration in {*scheduled.duration.tolist(), *expected.duration.tolist()}:
        have = event_set(scheduled.chosen(scheduled.duration == duration))
        want = pieces_to_set(expected.chosen(expected.duration == duration))
        if not have.is_equal(want):
            index = first_point((have - want) | (want - have))
            here = [
                next(
                    (
                        int(f.duration[k])
                        for k in range(f.size)
                        if time_at(f.chosen(np.array([k])), index) is not None
                    ),
                    None,
                )
                for f in (scheduled, expected)
            ]
            raise BrokenRule(_duration_message(schedule, here[0], here[1], index, what, leaf))


def _duration_message(
    schedule: CheckedSchedule,
    have: int | None,
    want: int | None,
    index: tuple[int, ...],
    what: str,
    leaf: int,
) -> str:
    if have is None or want is None:
        return _presence_message(schedule, index, what, leaf, missing=have is None)
    return (
        f"{what} takes {schedule.words.time(want)} for {schedule.words.tile(leaf, index)}, but is"
        f" scheduled for {schedule.words.time(have)}"
    )


def _duration_table(pieces: Pieces) -> dict[tuple[int, ...], int]:
    """Return tile iteration → duration."""
    digits, _, duration = pieces.expanded()
    return dict(zip(map(tuple, digits.T.tolist()), duration.tolist(), strict=True))
