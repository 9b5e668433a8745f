"""The items of a critical path: services of a port, and repetitions of items."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from polylat.lowering.durations import AccessKind

__all__ = ["Digits", "Item", "Repetition", "ServedAccesses", "Service"]

Digits = tuple[int, ...]
"""Loop indices of a tile iteration, or differences of such."""


@dataclass(frozen=True)
class ServedAccesses:
    """Accesses of a block that a port serves without a gap.

    Parameters
    ----------
    leaf
        The leaf of the block.
    parts
        (kind, duration) of each access in order of time; durations in steps.
    """

    leaf: int
    parts: tuple[tuple[AccessKind, int], ...]

    @cached_property
    def duration(self) -> int:
        """The sum of the durations, in steps."""
        return sum(duration for _, duration in self.parts)


class Service(NamedTuple):
    """A service on the path: one or more accesses of a block on a port, without a gap.

    Parameters
    ----------
    served
        The accesses; many services share one such value.
    digits
        Loop indices of the tile iteration.
    reason
        Reason code (`schedule.reasons`) of its first access; the others wait for the port.
    """

    served: ServedAccesses
    digits: Digits
    reason: int

    @property
    def duration(self) -> int:
        """Its duration, in steps."""
        return self.served.duration

    @property
    def steps(self) -> int:
        """Number of accesses."""
        return len(self.served.parts)

    @property
    def services(self) -> int:
        """Number of services in it: itself."""
        return 1

    @property
    def occurrences(self) -> int:
        """Number of services in it, over all rounds of repetitions: itself."""
        return 1


@dataclass(frozen=True)
class Repetition:
    """A part of the path that repeats: a number of rounds.

    Parameters
    ----------
    body
        The items of the first round, in order of time.
    count
        Number of rounds.
    shifts
        For each `Service` in the body, nested ones included, by how many iterations of each loop it
        is later in the next round.
    """

    body: tuple[Service | Repetition, ...]
    count: int
    shifts: tuple[Digits, ...]

    @cached_property
    def once(self) -> int:
        """Duration of a round in steps: one initiation interval per iteration that it advances."""
        return sum(item.duration for item in self.body)

    @cached_property
    def duration(self) -> int:
        """Duration of all rounds, in steps."""
        return self.once * self.count

    @cached_property
    def steps(self) -> int:
        """Number of accesses in all rounds."""
        return self.count * sum(item.steps for item in self.body)

    @cached_property
    def services(self) -> int:
        """Number of services in a round, those of nested repetitions once."""
        return sum(item.services for item in self.body)

    @cached_property
    def occurrences(self) -> int:
        """Number of services in all rounds, over all rounds of nested repetitions."""
        return self.count * sum(item.occurrences for item in self.body)


Item = Service | Repetition
"""An item of a path."""
