"""Check that no port serves two blocks at once, and that the last finish is the latency."""

from __future__ import annotations

from typing import Any

from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.pointwise import find_overlap_pointwise
from polylat.proof.ports import find_overlap

__all__ = ["check_latency", "check_ports"]


def check_ports(schedule: CheckedSchedule) -> int:
    """Check that no port serves two blocks at once.

    Parameters
    ----------
    schedule
        The schedule to check.

    Returns
    -------
    int
        The number of ports.

    Raises
    ------
    BrokenRule
        Two services of a port overlap.
    """
    count = 0
    for port in range(len(schedule.ports)):
        served = [
            (s, s.tasks[port]) for s in schedule.schedule.blocks if s.tasks.get(port) is not None
        ]
        count += 1
        found: Any
        if schedule.pointwise:
            found = find_overlap_pointwise([f for _, f in served])
        else:
            found = find_overlap([schedule.times_of(f) for _, f in served])
        if isinstance(found, int):
            schedule.decider.decided_by_bounds += found
            continue
        (a, first), (b, second) = found
        one, two = served[a], served[b]
        raise BrokenRule(
            f"{schedule.words.port(port)} serves {schedule.words.tile(one[0].leaf, first)} from"
            f" {schedule.when(one[1], first)} to {schedule.when(schedule.ends(one[1]), first)}, and"
            f" {schedule.words.tile(two[0].leaf, second)} from {schedule.when(two[1], second)} on"
        )
    return count


def check_latency(schedule: CheckedSchedule, latency: int) -> int:
    """Check that the last finish is at the claimed latency.

    Parameters
    ----------
    schedule
        The schedule to check.
    latency
        The claimed latency, in steps of 1/scale.

    Returns
    -------
    int
        The number of pieces examined.

    Raises
    ------
    BrokenRule
        The last finish is at another time.
    """
    latest = 0
    for stream in schedule.schedule.blocks:
        events = (stream.ready, *schedule.passes(stream.leaf, stream.block, "passed"))
        for pieces in events:
            if pieces.size:
                latest = max(latest, int(max(pieces.last.tolist())))
    if latest != latency:
        raise BrokenRule(
            f"the last finish is at {schedule.words.time(latest)}, but the claimed latency is"
            f" {schedule.words.time(latency)}"
        )
    return schedule.schedule.piece_count
