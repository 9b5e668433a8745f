"""The times of events in a simulation: those of each family up to the first one that is not known.

The events of a family happen in order. A service is known as soon as it has begun, and a beginning
as soon as everything is known that it waits for: its time may lie in the future, as an event
happens a fixed latency after another one. Only times of the recent past are kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from polylat.engine.event_waits import EventWaits
from polylat.engine.service_log import Digits, moved_in_loop

__all__ = ["BeginningTimes", "KnownEvents", "TooManyEventsError"]

_LEAST_KEPT = 16
"""How many events of a family are kept, whenever they happen."""

_BEFORE_ALL: Digits = (-inf,)
"""Before the loop indices of all tile iterations."""


class TooManyEventsError(Exception):
    """The times of too many events would have to be computed."""


@dataclass
class KnownEvents:
    """The known events of a family.

    Parameters
    ----------
    next
        The tile iteration of the first event that is not known.
    digits, times
        The tile iterations of the recent events, and when they happen, in steps. The first entry
        represents all earlier ones.
    """

    next: Digits
    digits: list[Digits] = field(default_factory=lambda: [_BEFORE_ALL])
    times: list[int] = field(default_factory=lambda: [0])

    def copy(self) -> KnownEvents:
        """Copy them.

        Returns
        -------
        KnownEvents
            An independent copy.
        """
        return KnownEvents(self.next, self.digits.copy(), self.times.copy())

    def add(self, time: int, following: Digits) -> None:
        """Add the next event.

        Parameters
        ----------
        time
            When it happens; at the earliest, as events happen in order.
        following
            The tile iteration of the event behind it.
        """
        self.digits.append(self.next)
        self.times.append(max(time, self.times[-1]))
        self.next = following

    def time_up_to(self, digits: Digits) -> int | None:
        """Return when all events up to a tile iteration have happened.

        Parameters
        ----------
        digits
            The loop indices.

        Returns
        -------
        int or None
            The time in steps; None if it is not known. Of events that are not kept, a later time.
        """
        if self.next <= digits:
            return None
        return self.times[max(bisect_right(self.digits, digits) - 1, 0)]

    def forget(self, before: int) -> None:
        """Keep the events since a time, and a few more.

        Parameters
        ----------
        before
            The time in steps.
        """
        at = min(bisect_left(self.times, before), len(self.times) - _LEAST_KEPT)
        if at > len(self.times) // 2:
            del self.digits[:at], self.times[:at]

    def repeat(self, loop: int, moves: int, steps: int, times: int, kept: int) -> None:
        """Repeat the events of the last iterations of a loop.

        Parameters
        ----------
        loop, moves
            The loop, and how many of its iterations are repeated.
        steps, times
            How many steps each repetition is later than the one before, and their number.
        kept
            For how many steps times are needed.
        """
        first = bisect_left(self.digits, moved_in_loop(self.next, loop, -moves))
        pattern = list(zip(self.digits[first:], self.times[first:], strict=True))
        needed = min(times, kept // steps + 2)
        for number in range(times - needed + 1, times + 1):
            for digits, time in pattern:
                self.digits.append(moved_in_loop(digits, loop, number * moves))
                self.times.append(time + number * steps)
        self.next = moved_in_loop(self.next, loop, times * moves)


class BeginningTimes:
    """Computes when beginnings happen, from the events that they wait for.

    Parameters
    ----------
    waits
        What they wait for.
    leaf_of
        Family of beginnings → its leaf.
    most
        The largest number of beginnings to examine.
    """

    def __init__(self, waits: EventWaits, leaf_of: Mapping[int, int], most: int) -> None:
        self._waits = waits
        self._leaf_of = leaf_of
        self._left = most
        # Family → its first event that is not known, and an event on which that one waits.
        self._waiting: dict[int, tuple[Digits, int, Digits]] = {}

    def time(self, known: Mapping[int, KnownEvents], family: int, up_to: Digits) -> int | None:
        """Return when all events of a family up to a tile iteration have happened.

        Parameters
        ----------
        known
            Family of services, or of beginnings → its known events. More of them may be known
            afterwards.
        family, up_to
            The family, and the loop indices.

        Returns
        -------
        int or None
            The time in steps; None if it depends on a service that has not begun.

        Raises
        ------
        TooManyEventsError
            Too many beginnings have been examined.
        """
        mine = known[family]
        leaf = self._leaf_of.get(family)
        if leaf is not None:
            while mine.next <= up_to:
                time = self._next_time(known, family, leaf)
                if time is None:
                    return None
                points = self._waits.leaves[leaf]
                mine.add(time, points.following(mine.next, self._waits.alive(family)))
        return mine.time_up_to(up_to)

    def _next_time(self, known: Mapping[int, KnownEvents], family: int, leaf: int) -> int | None:
        """Return when the first beginning happens that is not known."""
        at = known[family].next
        digits, source, up_to = self._waiting.get(family, (None, family, at))
        if digits == at and self.time(known, source, up_to) is None:
            return None
        self._left -= 1
        if self._left < 0:
            raise TooManyEventsError
        latest = 0
        for wait in self._waits.of(family, leaf, at):
            for source in wait.families:
                time = self.time(known, source, wait.up_to)
                if time is None:
                    self._waiting[family] = at, source, wait.up_to
                    return None
                latest = max(latest, time + wait.lag)
        return latest
