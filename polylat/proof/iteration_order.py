"""Check that tile iterations start in order, and their services after their starts."""

from __future__ import annotations

from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule

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
        identity = schedule.sets.identity(leaf)
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
            for pieces in stream.tasks.values():
                pair = schedule.first_violation(identity, leaf, pieces, stream.ready)
                count += 1
                if pair is not None:
                    words = schedule.words
                    raise BrokenRule(
                        f"{words.tile(leaf, pair.waiting)}: {words.block(leaf, stream.block)} may"
                        f" start at {schedule.when(stream.ready, pair.awaited)}, but a port serves"
                        f" it at {schedule.when(pieces, pair.waiting)}"
                    )
    return count
