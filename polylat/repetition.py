"""Parts of a critical path: stays on a port, and what repeats, kept once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from polylat.critical import What

__all__ = ["Digits", "Item", "Repetition", "Stay"]

Digits = tuple[int, ...]


@dataclass(frozen=True)
class Stay:
    """What the path does on a port: one or more accesses of a block, without a gap.

    Parameters
    ----------
    parts
        (what, duration) of each access, in steps of time.
    leaf, digits
        The tile iteration.
    reason
        What it waited for.
    """

    parts: tuple[tuple[What, int], ...]
    leaf: int
    digits: Digits
    reason: int

    @cached_property
    def duration(self) -> int:
        """How long it takes."""
        return sum(duration for _, duration in self.parts)

    @cached_property
    def steps(self) -> int:
        """Number of accesses."""
        return len(self.parts)

    @property
    def shape(self) -> tuple[object, ...]:
        """What it is, wherever in the loops."""
        return self.parts, self.leaf, self.reason

    @property
    def places(self) -> tuple[Digits, ...]:
        """Where in the loops it is."""
        return (self.digits,)


@dataclass(frozen=True)
class Repetition:
    """A part of the path that repeats.

    Parameters
    ----------
    body
        What repeats, in order of time, as it is the first time.
    count
        How often.
    shifts
        For each `Stay` in the body, nested ones included, how many iterations later in each loop
        it is the next time.
    """

    body: tuple[Stay | Repetition, ...]
    count: int
    shifts: tuple[Digits, ...]

    @cached_property
    def once(self) -> int:
        """How long it takes once: as many initiation intervals as iterations go by."""
        return sum(item.duration for item in self.body)

    @cached_property
    def duration(self) -> int:
        """How long all of it takes."""
        return self.once * self.count

    @cached_property
    def steps(self) -> int:
        """Number of accesses, all times together."""
        return self.count * sum(item.steps for item in self.body)

    @cached_property
    def shape(self) -> tuple[object, ...]:
        """What it is, wherever in the loops."""
        return tuple(item.shape for item in self.body), self.count, self.shifts

    @cached_property
    def places(self) -> tuple[Digits, ...]:
        """Where in the loops each `Stay` is the first time."""
        return tuple(place for item in self.body for place in item.places)


Item = Stay | Repetition
