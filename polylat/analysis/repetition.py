"""Parts of a critical path: stays on a port, and what repeats, kept once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from polylat.lowering.durations import AccessKind

__all__ = ["Digits", "Item", "Repetition", "Served", "Stay"]

Digits = tuple[int, ...]


@dataclass(frozen=True)
class Served:
    """What a port serves of a block without a gap.

    Parameters
    ----------
    leaf
        The block's leaf.
    parts
        (what, duration) of each access, in steps of time.
    """

    leaf: int
    parts: tuple[tuple[AccessKind, int], ...]

    @cached_property
    def duration(self) -> int:
        """How long it takes."""
        return sum(duration for _, duration in self.parts)


class Stay(NamedTuple):
    """What the path does on a port: one or more accesses of a block, without a gap.

    Parameters
    ----------
    served
        The accesses; many stays share one such value.
    digits
        The tile iteration.
    reason
        What it waited for.
    """

    served: Served
    digits: Digits
    reason: int

    @property
    def duration(self) -> int:
        """How long it takes."""
        return self.served.duration

    @property
    def steps(self) -> int:
        """Number of accesses."""
        return len(self.served.parts)

    @property
    def stays(self) -> int:
        """Number of stays in it: itself."""
        return 1


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
    def stays(self) -> int:
        """Number of stays in one round."""
        return sum(item.stays for item in self.body)


Item = Stay | Repetition
