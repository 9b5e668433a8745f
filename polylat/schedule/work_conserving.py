"""Check that a periodic schedule is the work-conserving one ("oldest").

List scheduling (see `list_scheduling`) visits every task. Where ranges of loops are skipped, an
order of service is guessed instead, scheduled as a static one, and verified here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Times, concatenated_ranges, date_ranks
from polylat.schedule.events import Precedences
from polylat.schedule.extrapolation import (
    NotPeriodicError,
    PeriodicTaskGraph,
    SkippedRange,
    extrapolation_terms,
)
from polylat.schedule.timing import TaskSchedule

__all__ = ["ServiceAlternatives", "check_work_conserving"]


@dataclass(frozen=True, eq=False)
class ServiceAlternatives:
    """The tasks that a port might have served instead of each task.

    A *stream* is all blocks of one kind in a leaf, which a port serves in order. A *gap* of a
    stream on a port is the time between two consecutive tasks of it, or after the last one. There
    is one *row* per task and stream on the task's port.

    Parameters
    ----------
    first, width
        Shape (tasks,): the first row of each task, and the number of its rows, which are
        consecutive. The tasks of a port have the same streams in the same order.
    tasks, gaps
        Shape (rows,): the task, and the gap of the stream in which it is served or which begins
        with it.
    following, previous
        Shape (gaps,): the tasks of the stream after and before the gap; -1 where there is none.
    periods, earlier
        Shape (loops, gaps): how many periods later `following` and `previous` are.
    own, digits
        Loop indices, shape (loops, tasks) and (loops, gaps): of the tasks, and of `following`.
    """

    first: Ints
    width: Ints
    tasks: Ints
    gaps: Ints
    following: Ints
    previous: Ints
    periods: Ints
    earlier: Ints
    own: Ints
    digits: Ints


def check_work_conserving(
    plan: PeriodicTaskGraph, timing: TaskSchedule, rivals: ServiceAlternatives
) -> None:
    """Check that in a schedule every port takes the first ready task of the order "oldest".

    Parameters
    ----------
    plan
        The task graph.
    timing
        Its schedule, under the order of service to be checked.
    rivals
        The tasks that might have been served instead.

    Raises
    ------
    NotPeriodicError
        The order is not the work-conserving one, or times do not grow linearly.

    Notes
    -----
    When a task begins, the previous task of every stream on its port has been served, and the next
    one is served later; this one is not ready, or has a later date (and the port was not idle while
    the task was ready). Tasks of a stream become ready in order, so that the next one represents
    all that follow. These are inequalities between times that grow linearly from period to period:
    they hold throughout a skipped range if they hold before and behind it.
    """
    checked = _Checked(plan, timing, rivals)
    wrong = plan.repeats.skipped_ranges
    if checked.holds.all():
        wrong = tuple(stretch for stretch in wrong if not checked.extends_over(stretch))
    if wrong:
        raise NotPeriodicError([stretch.where for stretch in wrong], timing)


class _Checked:
    """Times of tasks and of their rivals, and the conditions that hold between them."""

    def __init__(
        self, plan: PeriodicTaskGraph, timing: TaskSchedule, rivals: ServiceAlternatives
    ) -> None:
        graph = plan.graph
        self._plan = plan
        self._rivals = rivals
        self._events = plan.events
        self._iteration = graph.owner[graph.task_block]
        ready = np.where(
            graph.kind[graph.task_block] == 0,
            timing.fill_begin[graph.task_block],
            timing.begin[self._iteration],
        )
        begin, end = timing.task_begin, timing.task_begin + graph.task_duration
        free = _ports_free(plan, timing)
        z, previous = rivals.following, rivals.previous
        next_ready = self._later(ready, z, rivals.periods)
        next_begin = self._later(begin, z, rivals.periods)
        last_ready = self._later(ready, previous, rivals.earlier)
        last_end = self._later(end, previous, rivals.earlier)
        there, first = z >= 0, previous < 0
        in_order = first | ~there | (last_ready <= next_ready)
        itself = np.where(rivals.earlier.any(axis=0), -1, previous)

        x, gap = rivals.tasks, rivals.gaps
        now, opens, comes = begin[x], next_ready[gap], there[gap]
        apart = in_order[gap] & ((itself[gap] == x) | (last_end[gap] <= now))
        apart &= ~comes | (next_begin[gap] >= end[x])
        older = comes & self._older()
        # Bits of the conditions that hold, any of which suffices: the rival is not ready; the task
        # is older, and the rival is ready no earlier than the task begins; the task is older, and
        # the port was not idle before.
        self.holds = np.where(
            apart,
            1 * (~comes | (opens > now))
            + 2 * (older & (opens >= now))
            + 4 * (older & (now <= free[x])),
            0,
        )
        # The values of each task (rows) and of each gap (rows) that must grow linearly.
        self._of_task = np.stack((free, begin), axis=1)
        numbers = np.where(there, 0, -1), np.where(first, -1, 0)
        times = next_ready, next_begin, last_ready, last_end
        self._of_gap = np.stack((*rivals.digits, *times, *numbers), axis=1)
        self._own = np.ascontiguousarray(rivals.own.T)

    def extends_over(self, stretch: SkippedRange) -> bool:
        """Whether values grow linearly, and the same condition holds, over a skipped range."""
        rivals = self._rivals
        place = np.full(self._plan.graph.iterations, -1, dtype=np.int64)
        place[stretch.stand] = np.arange(len(stretch.stand))
        at = place[self._iteration]
        stand = np.flatnonzero(at >= 0)
        before = self._events.earlier_tasks(stand, stretch.before[at[stand]])
        after = self._events.earlier_tasks(stand, stretch.after[at[stand]])
        if (before < 0).any() or (after < 0).any():
            return False
        around = stand, before, after
        _, grow = _growth(self._of_task, around, stretch.periods)
        if not grow:
            return False
        which, row = concatenated_ranges(rivals.first[stand], rivals.width[stand])
        rows = [row + (rivals.first[tasks] - rivals.first[stand])[which] for tasks in around]
        held = self.holds[rows[0]] & self.holds[rows[1]] & self.holds[rows[2]]
        once, grow = _growth(self._of_gap, [rivals.gaps[row] for row in rows], stretch.periods)
        moved = once[:, : len(rivals.digits)]
        own = (self._own[stand] - self._own[before])[which]
        still = (moved == 0).all(axis=1) | (moved == own).all(axis=1)
        return bool(grow and held.all() and still.all())

    def _later(self, values: Times, tasks: Ints, periods: Ints) -> Times:
        """Values of tasks some periods later, along the last axis; 0 where the task is -1.

        `periods`, of shape (loops, tasks), is the number of periods.
        """
        there = tasks >= 0
        found = np.where(there, values[..., tasks], 0)
        for k in range(len(periods)):
            some = np.flatnonzero(there & (periods[k] > 0))
            if not len(some):
                continue
            moved = tasks[some]
            before = self._plan.repeats.earlier[k][self._iteration[moved]]
            back = self._events.earlier_tasks(moved, before)
            if (before < 0).any() or (back < 0).any():
                raise NotPeriodicError([])
            found[..., some] += periods[k, some] * (values[..., moved] - values[..., back])
        return found

    def _older(self) -> Mask:
        """Per row, whether the order "oldest" has the task before the one after the gap."""
        graph, rivals = self._plan.graph, self._rivals
        z = rivals.following
        late = graph.kind[graph.task_block] == 2
        dates = graph.dates.skew[:, self._iteration]
        sequence = graph.sequence[graph.task_block]
        rival = np.vstack((late[z], self._later(dates, z, rivals.periods), sequence[z]))
        # Ranking is stable: a task is older than an equal rival only if it precedes the rival here.
        rank = date_ranks(np.concatenate((rival, np.vstack((late, dates, sequence))), axis=1))
        return np.asarray(rank[len(z) :][rivals.tasks] < rank[: len(z)][rivals.gaps])


def _growth(values: Times, around: Sequence[Ints], periods: int) -> tuple[Times, bool]:
    """By how much rows of values grow per period, and whether that continues over a skipped range.

    `around`: the rows of the last period before the range, of the period before that, and of the
    first period behind the range.
    """
    stand, before, after = (values[rows] for rows in around)
    once = stand - before
    return once, bool((after - stand == (periods + 1) * once).all())


def _ports_free(plan: PeriodicTaskGraph, timing: TaskSchedule) -> Times:
    """Per task, when its port becomes free for it."""
    graph, events, repeats = plan.graph, plan.events, plan.repeats
    assert timing.order is not None
    served = repeats.ports.of(timing.order)
    values: Any = np.full(events.count, 0, dtype=graph.task_duration.dtype)
    values[graph.blocks : graph.blocks + graph.tasks] = timing.task_begin + graph.task_duration
    waits = Precedences(events.task(served.source), served.target, served.periods)
    ends = values[waits.source]
    which, periods, later, back = extrapolation_terms(events, repeats.earlier, waits)
    np.add.at(ends, which, periods * (values[later] - values[back]))
    free = np.full(graph.tasks, 0, dtype=values.dtype)
    np.maximum.at(free, served.target, ends)
    return free
