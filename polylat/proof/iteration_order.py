"""Check that tile iterations start in order, and their services after their starts."""

from __future__ import annotations

import islpy as isl

from polylat.analysis.starts import BlockStarts
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.schedule.pieces import Pieces

__all__ = ["check_order"]


def check_order(schedule: CheckedSchedule) -> int:
    """Check that tile iterations start in order from 0, and their services after their starts.

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
        A start is out of order.
    """
    count = 0
    for leaf in range(len(schedule.sets.leaves)):
        identity = _identity(schedule.sets.spaces[leaf])
        foreground = schedule.foreground(leaf)
        pair = schedule.decider.first_inversion(schedule.times_of(foreground.ready))
        count += 1
        if pair is not None:
            raise BrokenRule(
                f"{schedule.start_in_words(leaf, foreground.block, pair.waiting)} before"
                f" {schedule.words.tile(leaf, pair.awaited)}, which starts at"
                f" {schedule.when(foreground.ready, pair.awaited)}"
            )
        for stream in schedule.schedule.blocks_of(leaf):
            if stream.ready.size and int(min(stream.ready.first.tolist())) < 0:
                raise BrokenRule(
                    f"a block of Einsum {schedule.words.einsum(leaf)!r} starts before time 0"
                )
            kind = schedule.expected.blocks[leaf][stream.block].kind
            if kind != "foreground":
                waiting, awaited = foreground.ready, stream.ready
                if kind == "background":
                    waiting, awaited = awaited, waiting
                _check_within_iteration(schedule, leaf, identity, stream, waiting, awaited)
                count += 1
            for pieces in stream.tasks.values():
                _check_within_iteration(schedule, leaf, identity, stream, pieces, stream.ready)
                count += 1
    return count


def _check_within_iteration(
    schedule: CheckedSchedule,
    leaf: int,
    identity: isl.PwMultiAff,
    stream: BlockStarts,
    waiting: Pieces,
    awaited: Pieces,
) -> None:
    pair = schedule.first_violation(identity, leaf, waiting, awaited)
    if pair is not None:
        words = schedule.words
        raise BrokenRule(
            f"{words.tile(leaf, pair.waiting)}: {words.block(leaf, stream.block)} may"
            f" start at {schedule.when(awaited, pair.awaited)}, but an event that waits for it"
            f" starts at {schedule.when(waiting, pair.waiting)}"
        )


def _identity(space: isl.Set) -> isl.PwMultiAff:
    return isl.PwMultiAff.from_map(isl.Map.identity(space.get_space().map_from_set()))
