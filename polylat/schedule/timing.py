"""The schedule of a task graph: the times of its events, and the order of service behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from polylat.schedule.arrays import Ints, Times, group_offsets, widened
from polylat.schedule.events import EventNumbering
from polylat.schedule.graph import TaskGraph

__all__ = ["ORDERS", "Order", "ScheduleSummary", "TaskSchedule", "service_order"]

Order = Literal["program", "skew", "oldest"]
"""An order of service.

"program" and "skew" are static: by date, without or with the shifts of the Pipelines. "oldest" is
work-conserving: an idle port takes the ready task with the earliest skewed date, those of
background write-backs last.
"""

ORDERS: tuple[Order, ...] = ("program", "skew", "oldest")
"""All orders of service."""


@dataclass(frozen=True)
class ScheduleSummary:
    """What schedules are compared by: less memory than the times of all events.

    Parameters
    ----------
    order, legal, makespan
        As in `TaskSchedule`.
    """

    order: Order | None
    legal: bool
    makespan: int


@dataclass(frozen=True, eq=False)
class TaskSchedule:
    """A schedule: the earliest (ASAP) times of a task graph under an order of service.

    Parameters
    ----------
    order
        The order in which the ports serve; None if ports serve any number of tasks at once.
    events
        The task graph, and the numbering of its events.
    durations
        Shape (tasks,), in steps.
    values
        Shape (events,), in steps: when each event happens. In few bits where all times fit.
    waiting
        Shape (events,): the number of unmet precedences.
    undone
        Number of events that the order never lets happen. Unless it is 0, the order contradicts
        the dependences and the times mean nothing.
    """

    order: Order | None
    events: EventNumbering
    durations: Times
    values: Times
    waiting: Ints
    undone: int

    @property
    def legal(self) -> bool:
        """Whether the order agrees with the dependences."""
        return self.undone == 0

    @property
    def begin(self) -> Times:
        """Shape (iterations,), in steps: when each tile iteration starts."""
        return widened(self.values[: self.events.graph.iterations])

    @property
    def finish(self) -> Times:
        """Shape (iterations,), in steps: when each tile iteration has finished."""
        return widened(self.events.of_finishes(self.values))

    @property
    def ready(self) -> Times:
        """Shape (blocks,), in steps: when each block may start."""
        return widened(self.values[: self.events.graph.blocks])

    @property
    def task_begin(self) -> Times:
        """Shape (tasks,), in steps: when the port begins to serve each task."""
        ends = widened(self.events.of_ends(self.values))
        begun: Times = ends - self.durations
        return begun

    @property
    def passed(self) -> Times:
        """Shape (blocks,), in steps: when each block has passed."""
        graph = self.events.graph
        served = self.ready.copy()
        np.maximum.at(served, graph.task_block, widened(self.events.of_ends(self.values)))
        passed: Times = served + graph.latency
        return passed

    @cached_property
    def makespan(self) -> int:
        """The last finish, in steps."""
        if not self.events.graph.late:
            return int(self.values.max(initial=0))
        return max(int(self.finish.max(initial=0)), int(self.passed.max(initial=0)))

    @property
    def summary(self) -> ScheduleSummary:
        """The schedule without its times."""
        return ScheduleSummary(self.order, self.legal, self.makespan)


def service_order(graph: TaskGraph, timing: TaskSchedule) -> tuple[Ints, Ints]:
    """Return the order in which the ports serve the tasks in a schedule.

    Parameters
    ----------
    graph
        The task graph.
    timing
        Its schedule.

    Returns
    -------
    (tasks, start)
        Shape (tasks,): the tasks by port, then by the time at which they begin; shape
        (ports + 1,): where the tasks of each port begin in `tasks`.
    """
    # Durations are positive, so that no two tasks of a port begin together.
    tasks = np.lexsort((timing.task_begin, graph.task_port))
    return tasks, group_offsets(graph.task_port, graph.ports)
