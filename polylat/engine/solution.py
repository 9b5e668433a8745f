"""A schedule together with the model that it is a schedule of."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from polylat.engine.model import Model
from polylat.numbers import Number, reduce_number
from polylat.schedule.critical_path import TimedEvents, timed_events
from polylat.schedule.timing import Order, ScheduleSummary, TaskSchedule

__all__ = ["Solution"]


@dataclass(frozen=True, eq=False)
class Solution:
    """A mapping, its task graph, and one schedule of that graph.

    Parameters
    ----------
    model
        The mapping with its options and its task graph.
    timed
        A schedule of that task graph: times in steps of ``1 / scale``; or its summary.
    """

    model: Model
    timed: TaskSchedule | ScheduleSummary

    @cached_property
    def schedule(self) -> TaskSchedule:
        """The schedule; it is timed again where only its summary has been kept."""
        if isinstance(self.timed, TaskSchedule):
            return self.timed
        return self.model.plan.time(self.timed.order)

    @property
    def order(self) -> Order | None:
        """The order in which the ports serve; None where no block waits for a port."""
        return self.timed.order

    @property
    def legal(self) -> bool:
        """Whether the order agrees with the dependences."""
        return self.timed.legal

    @property
    def scale(self) -> int:
        """Steps of time per unit of time."""
        return self.model.costs.scale

    @cached_property
    def makespan(self) -> Number:
        """The last finish, in the architecture's unit of time."""
        return self.time(self.timed.makespan)

    @cached_property
    def timed_events(self) -> TimedEvents:
        """The events of the schedule with their precedences, if all tile iterations are visited."""
        return timed_events(self.model.graph, self.schedule)

    def time(self, steps: int) -> Number:
        """Convert a number of steps into time.

        Parameters
        ----------
        steps
            A number of steps.

        Returns
        -------
        Number
            The same in the architecture's unit of time.
        """
        return reduce_number(Fraction(steps, self.scale))
