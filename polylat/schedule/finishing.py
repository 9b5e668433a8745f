"""The events that finishes of tile iterations consist of, where some tile iterations are skipped.

A finish is the latest of several events. These may diverge at different constant rates, and their
maximum does not grow at a constant rate. So what waits for the finish waits for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.events import LaggedPrecedences

__all__ = ["FinishEvents", "FinishParts", "FinishPrecedences"]


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
class FinishParts:
    """Precedences from events of one kind, of which finishes consist, to what waits for these.

    Parameters
    ----------
    ends, edges, written
        To tile iterations, which finish; to edges whose source is a finish; and to separate
        write-backs of tile iterations. The targets are numbers of tile iterations, of edges, and of
        blocks.
    """

    ends: FinishPrecedences
    edges: FinishPrecedences
    written: FinishPrecedences

    @property
    def most(self) -> int:
        """The largest number of these events that one finish consists of, on one port."""
        parts = self.ends, self.edges, self.written
        return 1 + max(int(part.place.max(initial=0)) for part in parts)

    def scaled(self, factor: int, dtype: Any) -> FinishParts:
        """Return the precedences with lags that are multiplied by a factor.

        Parameters
        ----------
        factor
            The factor.
        dtype
            Type of the lags.

        Returns
        -------
        FinishParts
            The precedences.
        """
        parts = self.ends, self.edges, self.written
        return FinishParts(*(part.scaled(factor, dtype) for part in parts))


@dataclass(frozen=True, eq=False)
class FinishEvents:
    """The events that finishes of tile iterations consist of.

    Parameters
    ----------
    tasks
        On each port, the last task up to the tile iteration; and for each fixed latency that is not
        the smallest one of the leaf, the last task of a tile iteration with at least that latency.
    starts
        Starts of other tile iterations: of the last one with at least a fixed latency, and in rigid
        pipelines of later ones.
    """

    tasks: FinishParts
    starts: FinishParts

    def scaled(self, factor: int, dtype: Any) -> FinishEvents:
        """Return them with lags that are multiplied by a factor, as `FinishParts.scaled`.

        Parameters
        ----------
        factor
            The factor.
        dtype
            Type of the lags.

        Returns
        -------
        FinishEvents
            The precedences.
        """
        return FinishEvents(self.tasks.scaled(factor, dtype), self.starts.scaled(factor, dtype))
