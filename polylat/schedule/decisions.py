"""Times of all tile iterations, sampled or not, and which precedences they keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Narrow, Times
from polylat.schedule.box_kernels import HOLDS, TIGHT
from polylat.schedule.boxes import Parts, Rows

__all__ = ["Decision", "ExtendedTimes", "ServiceChoices"]


@dataclass(frozen=True, eq=False)
class ExtendedTimes:
    """Times of all event families, extended over the skipped tile iterations.

    Parameters
    ----------
    values, rates
        Shape (events,) and (events, D), in steps: the time of each event for k = 0, and its
        increase per period of each loop.
    steps
        Shape (events,), in steps: the duration of the task that ends, else 0.
    unit
        Number of these steps per step of the lags of precedences.
    """

    values: Times
    rates: Times
    steps: Times
    unit: int = 1


@dataclass(frozen=True, eq=False)
class Decision:
    """Precedences, and which of them hold for all members of their targets' boxes.

    Parameters
    ----------
    rows, parts
        The precedences, and the parts of the boxes, per source.
    outcome
        Shape (rows,): as returned by `decide_rows`.
    """

    rows: Rows
    parts: Parts
    outcome: Narrow

    @property
    def holds(self) -> Mask:
        """Shape (rows,): whether the precedence holds for all members."""
        return np.asarray((self.outcome == HOLDS) | (self.outcome == TIGHT), dtype=np.bool_)

    @property
    def tight(self) -> Mask:
        """Shape (rows,): whether it determines the target's time, for all members."""
        return np.asarray((self.outcome == TIGHT) & self.rows.sound, dtype=np.bool_)

    @property
    def failed(self) -> Ints:
        """The events with a precedence that does not hold for all members, or is undecided."""
        found: Ints = np.unique(self.rows.target[~self.holds])
        return found


@dataclass(frozen=True, eq=False)
class ServiceChoices:
    """Whether ports serve the oldest ready task: one condition per row of the followers.

    When a task begins, all tasks before the followers have been served, and the followers are
    served after it. So the port had no better choice if each follower is not ready yet, or if the
    task is older, and the follower is not ready before or the port was not idle. Tasks of a stream
    are ready in order, so that the followers represent all later ones.

    Parameters
    ----------
    served
        The precedences of the order of service.
    ready_order
        The fills of a stream are ready in order.
    later
        Each follower is served later.
    closed
        It is ready only after the task has begun.
    level
        It is not ready before the task begins.
    older
        As in `ServiceRules`.
    """

    served: Decision
    ready_order: Decision
    later: Decision
    closed: Decision
    level: Decision
    older: Mask

    def kept(self, busy: Mask, closed: Mask, level: Mask) -> Mask:
        """Return for which followers the port serves the oldest ready task.

        Parameters
        ----------
        busy
            Shape (events,): whether the task begins, throughout its box, when its port becomes
            free.
        closed, level
            Shape (rows,): whether these conditions hold.

        Returns
        -------
        numpy.ndarray
            Shape (rows,).
        """
        good = closed | (self.older & (level | busy[self.later.rows.target]))
        return np.asarray(self.later.holds & good, dtype=np.bool_)
