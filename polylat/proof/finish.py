"""The events that determine when the tile iterations of a leaf finish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polylat.analysis.isl_pieces import last_at_or_before
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.precedence import Until
from polylat.proof.tile_sets import event_set
from polylat.schedule.pieces import Pieces

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["FinishPart", "Finishes"]


@dataclass(frozen=True)
class FinishPart:
    """One of the events that determine when the tile iterations of a leaf finish.

    Parameters
    ----------
    ends
        The ends of the event, as pieces.
    last
        Tile iteration → the last one at or before it that has the event; None if all have it.
    ordered
        Whether the ends never decrease from one tile iteration to the next.
    """

    ends: Any
    last: isl.PwMultiAff | None
    ordered: bool


class Finishes:
    """The events that determine when tile iterations finish, by leaf.

    Parameters
    ----------
    schedule
        The schedule to check.
    """

    def __init__(self, schedule: CheckedSchedule) -> None:
        self.schedule = schedule
        self._parts: dict[tuple[int, Until], tuple[FinishPart, ...]] = {}

    def parts(self, leaf: int, until: Until) -> tuple[FinishPart, ...]:
        """Return the events that determine when the tile iterations of a leaf finish.

        Fills and read-backs are not among them, as a tile iteration starts after its own have
        passed.

        Parameters
        ----------
        leaf
            The number of the leaf.
        until
            Whether the foregrounds must have passed, or only been served.

        Returns
        -------
        tuple of FinishPart
            The events of the foreground.
        """
        if (leaf, until) not in self._parts:
            front = self.schedule.sets.foreground(leaf)
            self._parts[leaf, until] = tuple(
                FinishPart(ends, self.last_with_event(leaf, ends), self.schedule.is_ordered(ends))
                for ends in self.schedule.passes(leaf, front, until)
            )
        return self._parts[leaf, until]

    def last_with_event(self, leaf: int, pieces: Pieces) -> isl.PwMultiAff | None:
        """Return, per tile iteration, the last one at or before it that has an event.

        Parameters
        ----------
        leaf
            The number of the leaf.
        pieces
            The starts of the event.

        Returns
        -------
        islpy.PwMultiAff or None
            Tile iteration → tile iteration; None if all have the event, or if the schedule is
            decided point by point.
        """
        space = self.schedule.sets.spaces[leaf]
        if pieces.points == self.schedule.foreground(leaf).ready.points:
            return None
        if self.schedule.pointwise:
            # `PointDecider` searches the table of the event instead.
            return None
        return last_at_or_before(event_set(pieces), space)
