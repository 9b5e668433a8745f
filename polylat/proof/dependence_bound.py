"""Prove the dependence bound: a chain of services that wait for each other, without ports.

In a schedule in which no block waits for a port, follow the waits back from the last finish. If
they lead to time 0 without a gap, no schedule of the mapping is shorter than that chain.
"""

from __future__ import annotations

from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.waits import Place, Waits
from polylat.proof.words import time_at

__all__ = ["MAX_CHAIN", "dependence_chain"]

MAX_CHAIN = 500
"""Longest chain that is followed, in services."""


def dependence_chain(schedule: CheckedSchedule, bound: int) -> int | None:
    """Follow the waits of a schedule from its last finish back to time 0.

    Parameters
    ----------
    schedule
        The schedule, in which no block waits for a port.
    bound
        Its last finish, in steps of 1/scale.

    Returns
    -------
    int or None
        The number of services of the chain; None where it has more than `MAX_CHAIN`.

    Raises
    ------
    BrokenRule
        A service of the chain starts later than everything that it waits for.
    """
    if not bound:
        return 0
    waits = Waits(schedule)
    place = waits.last_service(bound)
    steps, time = 0, bound
    while place is not None:
        steps, time = steps + 1, _start_of(schedule, place)
        if not time:
            return steps
        if steps >= MAX_CHAIN:
            return None
        found = waits.awaited_service(place, time)
        if found is None and not waits.is_free(place, time):
            words = schedule.words
            raise BrokenRule(
                f"without ports, {schedule.start_in_words(*place)} but waits for nothing that ends"
                f" at {words.time(time)}: the dependence bound is not proven"
            )
        place = found
    if not steps and not waits.is_free(None, bound):
        raise BrokenRule(f"without ports, nothing finishes at {schedule.words.time(bound)}")
    return steps


def _start_of(schedule: CheckedSchedule, place: Place) -> int:
    """Return the start of a block, and check that all of its ports serve it from then on."""
    stream = schedule.block_starts(place[0], place[1])
    ready = time_at(stream.ready, place[2])
    for pieces in stream.tasks.values():
        if time_at(pieces, place[2]) not in (None, ready):
            raise BrokenRule(
                f"without ports, {schedule.start_in_words(*place)} but is served later"
            )
    assert ready is not None
    return ready
