"""The events that finishes of tile iterations consist of, where some tile iterations are skipped.

A finish is the latest of several events. These may diverge at different constant rates, and their
maximum does not grow at a constant rate. So what waits for the finish waits for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.events import LaggedPrecedences

__all__ = ["FinishPrecedences", "FinishingTasks"]


@dataclass(frozen=True, eq=False)
class FinishPrecedences(LaggedPrecedences):
    """Precedences from events that the finish of a tile iteration consists of.

    Parameters
    ----------
    place
        Shape (precedences,): which one a source is of several tasks of one port, or of several
        starts, that the finish consists of. Those of a larger number are compared later.
    """

    place: Ints

    def chosen(self, which: Ints | Mask) -> FinishPrecedences:
        """Select precedences.

        Parameters
        ----------
        which
            Their positions, or a mask.

        Returns
        -------
        FinishPrecedences
            These precedences.
        """
        columns = self.periods[:, which], self.lag[which], self.place[which]
        return FinishPrecedences(self.source[which], self.target[which], *columns)

    def scaled(self, factor: int, dtype: Any) -> FinishPrecedences:
        """Return the precedences with lags that are multiplied by a factor.

        Parameters
        ----------
        factor
            The factor.
        dtype
            Type of the lags.

        Returns
        -------
        FinishPrecedences
            The precedences.
        """
        return replace(self, lag=self.lag.astype(dtype) * factor)


@dataclass(frozen=True, eq=False)
class FinishingTasks:
    """The events that finishes of tile iterations consist of.

    On each port, the last task up to the tile iteration; and for each fixed latency that is not the
    smallest one of the leaf, the last task of a tile iteration with at least that latency.

    Parameters
    ----------
    ends
        Precedences from tasks to tile iterations (numbers of tasks, and of tile iterations).
    edges
        Precedences from tasks to edges (numbers of edges) whose source is a finish.
    written
        Precedences from tasks to separate write-backs (numbers of blocks) of tile iterations.
    started_ends, started_edges, started_written
        The same from the starts of other tile iterations: of the last one with at least a fixed
        latency, and in rigid pipelines of later ones.
    """

    ends: FinishPrecedences
    edges: FinishPrecedences
    written: FinishPrecedences
    started_ends: FinishPrecedences
    started_edges: FinishPrecedences
    started_written: FinishPrecedences

    @property
    def of_tasks(self) -> int:
        """The largest number of tasks of one port that a finish consists of."""
        return 1 + _last_place(self.ends, self.edges, self.written)

    @property
    def of_starts(self) -> int:
        """The largest number of starts that a finish consists of, its own included."""
        return 1 + _last_place(self.started_ends, self.started_edges, self.started_written)

    def scaled(self, factor: int, dtype: Any) -> FinishingTasks:
        """Return them with lags that are multiplied by a factor.

        Parameters
        ----------
        factor
            The factor.
        dtype
            Type of the lags.

        Returns
        -------
        FinishingTasks
            The precedences.
        """
        return FinishingTasks(
            self.ends.scaled(factor, dtype),
            self.edges.scaled(factor, dtype),
            self.written.scaled(factor, dtype),
            self.started_ends.scaled(factor, dtype),
            self.started_edges.scaled(factor, dtype),
            self.started_written.scaled(factor, dtype),
        )


def _last_place(*parts: FinishPrecedences) -> int:
    return max(int(part.place.max(initial=0)) for part in parts)
