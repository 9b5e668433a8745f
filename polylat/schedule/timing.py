"""The schedule of a task graph: the times of its events, and the order of service behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from polylat.schedule.arrays import Ints, Times, group_offsets
from polylat.schedule.graph import TaskGraph

__all__ = ["ORDERS", "Order", "TaskSchedule", "service_order"]

Order = Literal["program", "skew", "oldest"]
"""An order of service.

"program" and "skew" are static: by date, without or with the shifts of the Pipelines. "oldest" is
work-conserving: an idle port takes the ready task with the earliest skewed date, those of
background write-backs last.
"""

ORDERS: tuple[Order, ...] = ("program", "skew", "oldest")
"""All orders of service."""


@dataclass(frozen=True, eq=False)
class TaskSchedule:
    """A schedule: the earliest (ASAP) times of a task graph under an order of service.

    Parameters
    ----------
    order
        The order in which the ports serve; None if ports serve any number of tasks at once.
    begin, finish
        Shape (iterations,), in steps: when each tile iteration starts, and when it has finished.
    block_finish
        Shape (blocks,), in steps: when each block has finished.
    fill_begin
        Shape (blocks,), in steps: when each prefetched fill may start; 0 for the other blocks.
    task_begin
        Shape (tasks,), in steps: when the port begins to serve each task.
    waiting
        Shape (events,), numbered as in `events.EventNumbering`: the number of unmet precedences.
    undone
        Number of events that the order never lets happen. Unless it is 0, the order contradicts
        the dependences and the times mean nothing.
    """

    order: Order | None
    begin: Times
    finish: Times
    block_finish: Times
    fill_begin: Times
    task_begin: Times
    waiting: Ints
    undone: int

    @property
    def legal(self) -> bool:
        """Whether the order agrees with the dependences."""
        return self.undone == 0

    @cached_property
    def makespan(self) -> int:
        """The last finish, in steps."""
        return max(int(self.finish.max(initial=0)), int(self.block_finish.max(initial=0)))


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
