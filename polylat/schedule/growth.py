"""Whether schedules at the ends of ranges of trip counts prove those at all trip counts between.

Mappings that differ only in the trip counts of some loops can be sampled alike: only the numbers of
skipped periods differ. Let trip counts grow between the *corners* of a box. If times are
interpolated multilinearly between the corners, and no rate changes with the trip count of its own
loop, the slack of every precedence at a given fraction of its box is multilinear in the trip
counts, and so least at a corner. Hence:

- a precedence that holds at all corners holds for all trip counts between them;
- a precedence that determines the time of its target at all corners does so between them.

So if the precedences that hold with equality at all corners determine every event, the interpolated
times are the earliest (ASAP) schedule for all trip counts of the box.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.boxes import Parts
from polylat.schedule.decisions import Decision, ExtendedTimes, ServiceChoices
from polylat.schedule.extension import ExtensionRules

__all__ = ["CornerSchedule", "is_proven_between"]


@dataclass(frozen=True, eq=False)
class CornerSchedule:
    """A schedule at a corner, with its precedences decided.

    Parameters
    ----------
    members
        The precedences of all tile iterations.
    times
        The times of all event families.
    decisions
        The precedences of the schedule.
    conditions
        What must also hold: rows whose outcome matters, without determining a time.
    choices
        The conditions of the order "oldest", where it is not another order.
    """

    members: ExtensionRules
    times: ExtendedTimes
    decisions: tuple[Decision, ...]
    conditions: tuple[Decision, ...] = ()
    choices: ServiceChoices | None = None

    @property
    def all_decisions(self) -> tuple[Decision, ...]:
        """All decided rows."""
        chosen = self.choices
        if chosen is None:
            return (*self.decisions, *self.conditions)
        return (
            *self.decisions,
            *self.conditions,
            chosen.served,
            chosen.ready_order,
            chosen.later,
            chosen.closed,
            chosen.level,
        )


def is_proven_between(corners: Sequence[CornerSchedule]) -> bool:
    """Return whether schedules at the corners of a box of trip counts prove those between.

    Parameters
    ----------
    corners
        The schedules, 2**p of them for p trip counts: bit i of a corner's number says at which end
        of the range of trip count i it is.

    Returns
    -------
    bool
        True if the times, interpolated multilinearly, are the earliest ones throughout the box.
    """
    first = corners[0]
    if not all(_alike(first, other) for other in corners[1:]):
        return False
    if not all(_rates_fit(a, b) for a, b in _edges(corners)):
        return False
    required = (d for c in corners for d in (*c.decisions, *c.conditions))
    if not all(decision.holds.all() for decision in required):
        return False
    attained = _attained(corners)
    if (first.members.needed & ~attained).any():
        return False
    return first.choices is None or _work_conserving(corners)


def _edges(corners: Sequence[CornerSchedule]) -> Iterator[tuple[CornerSchedule, CornerSchedule]]:
    """Pairs of corners that differ in one trip count."""
    for number, corner in enumerate(corners):
        bit = 1
        while bit < len(corners):
            if not number & bit:
                yield corner, corners[number | bit]
            bit <<= 1


def _alike(one: CornerSchedule, other: CornerSchedule) -> bool:
    """Whether the sampled tile iterations are alike: the same events, precedences and parts."""
    a, b = one.members.families, other.members.families
    if a.count != b.count or not (a.exists == b.exists).all():
        return False
    if not (one.members.needed == other.members.needed).all():
        return False
    if len(one.all_decisions) != len(other.all_decisions):
        return False
    same = zip(one.all_decisions, other.all_decisions, strict=True)
    if not all(_same_rows(x, y) for x, y in same):
        return False
    if (one.choices is None) != (other.choices is None):
        return False
    return (
        one.choices is None
        or other.choices is None
        or np.array_equal(one.choices.older, other.choices.older)
    )


def _same_rows(one: Decision, other: Decision) -> bool:
    same = all(
        np.array_equal(a, b)
        for a, b in (
            (one.rows.target, other.rows.target),
            (one.rows.family, other.rows.family),
            (one.rows.source, other.rows.source),
            (one.rows.own, other.rows.own),
            (one.rows.sound, other.rows.sound),
            (one.parts.first, other.parts.first),
            (one.parts.key, other.parts.key),
            (one.parts.detail, other.parts.detail),
            (one.parts.slope, other.parts.slope),
            (one.parts.stride, other.parts.stride),
        )
    )
    # Parts whose members take turns may not grow: where they end is not affine.
    some = one.parts.spread
    places = zip(_places(one.parts), _places(other.parts), strict=True)
    return same and all(np.array_equal(a[some], b[some]) for a, b in places)


def _places(parts: Parts) -> tuple[Ints, Ints, Ints]:
    """What changes with the trip counts: where parts begin, how long they are, their sources."""
    return parts.low, parts.extent, parts.periods


def _rates_fit(one: CornerSchedule, other: CornerSchedule) -> bool:
    """Whether rates change only in loops whose numbers of skipped periods do not."""
    width = one.times.rates.shape[1]
    moving = np.zeros(width, dtype=np.bool_)
    for a, b in zip(one.all_decisions, other.all_decisions, strict=True):
        for x, y in zip(_places(a.parts), _places(b.parts), strict=True):
            moving |= (x != y).any(axis=0)
    changed = np.asarray((one.times.rates != other.times.rates).any(axis=0), dtype=np.bool_)
    return not (moving & changed).any()


def _at_all(masks: Iterable[Mask]) -> Mask:
    """What holds at all corners."""
    return np.asarray(np.logical_and.reduce(list(masks)), dtype=np.bool_)


def _attained(corners: Sequence[CornerSchedule]) -> Mask:
    """Which events the same precedence determines at all corners, or happen at 0 at all of them."""
    attained = _at_all(corner.members.attained(corner.times, ()) for corner in corners)
    for number, decision in enumerate(corners[0].decisions):
        tight = _at_all(corner.decisions[number].tight for corner in corners)
        attained[decision.rows.target[tight]] = True
    return attained


def _work_conserving(corners: Sequence[CornerSchedule]) -> bool:
    """Whether the same conditions show at all corners that ports serve the oldest ready task."""
    chosen = [corner.choices for corner in corners if corner.choices is not None]
    if not all(c.served.holds.all() and c.ready_order.holds.all() for c in chosen):
        return False
    busy = np.zeros(corners[0].members.families.count, dtype=np.bool_)
    busy[chosen[0].served.rows.target[_at_all(c.served.tight for c in chosen)]] = True
    closed, level = _at_all(c.closed.holds for c in chosen), _at_all(c.level.holds for c in chosen)
    return all(bool(choices.kept(busy, closed, level).all()) for choices in chosen)
