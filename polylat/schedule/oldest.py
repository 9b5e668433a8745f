"""The work-conserving order, where tile iterations stand for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from polylat.schedule.graph import Ints, Times, ranks
from polylat.schedule.periodic import (
    NotPeriodicError,
    PeriodicPlan,
    Stretch,
    Waits,
    extrapolations,
    runs,
)
from polylat.schedule.timing import Timing

__all__ = ["Rivals", "check_oldest"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rivals:
    """What a port may have chosen instead of each task: a row per task and stream on its port.

    A stream is one kind of block of a leaf; a port serves its blocks in order. A *gap* of it is
    where the port serves others: between two of its blocks, or behind its last one.

    Parameters
    ----------
    first, width
        Per task of the graph, its first row, and how many follow each other from there: of all
        tasks on a port the same streams, in the same order.
    tasks, gaps
        Per row the task, and the gap of the stream that it is served in (or that begins with it).
    following, previous
        Per gap, the block that is served next, and the one before that; -1 where there is none.
    copies, earlier
        Shape (loops, gaps): how many periods later `following` and `previous` are.
    own, digits
        Indices of the loops: shape (loops, tasks) of the tasks, (loops, gaps) of what follows.
    """

    first: Ints
    width: Ints
    tasks: Ints
    gaps: Ints
    following: Ints
    previous: Ints
    copies: Ints
    earlier: Ints
    own: Ints
    digits: Ints


def check_oldest(plan: PeriodicPlan, timing: Timing, rivals: Rivals) -> None:
    """Check that in a schedule every port takes the oldest block that may start.

    Of every stream of blocks on a port, the one before a task has been served by then, and the
    next one is served later and either may not start yet, or has a later date while the port was
    not idle before. So nothing is served at the same time as the task, and nothing should have been
    served in its place. As blocks of a stream may start in order, the next one speaks for all that
    come after it. All this is equations and inequalities between times that grow linearly from
    copy to copy of what is left out: they hold for all copies if they hold before and behind.

    Raises
    ------
    NotPeriodicError
        They do not hold, or the times do not grow linearly.
    """
    checked = _Checked(plan, timing, rivals)
    wrong = plan.repeats.stretches
    if checked.holds.all():
        wrong = tuple(stretch for stretch in wrong if not checked.goes_on(stretch))
    if wrong:
        raise NotPeriodicError([stretch.where for stretch in wrong], timing)


class _Checked:
    """The times of tasks and of their rivals, and which of the conditions they meet."""

    def __init__(self, plan: PeriodicPlan, timing: Timing, rivals: Rivals) -> None:
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
        next_ready = self._later(ready, z, rivals.copies)
        next_begin = self._later(begin, z, rivals.copies)
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
        self.holds = np.where(
            apart,
            1 * (~comes | (opens > now))
            + 2 * (older & (opens >= now))
            + 4 * (older & (now <= free[x])),
            0,
        )
        # What has to grow linearly, of a task and of a gap; a row each.
        self._of_task = np.stack((free, begin), axis=1)
        numbers = np.where(there, 0, -1), np.where(first, -1, 0)
        times = next_ready, next_begin, last_ready, last_end
        self._of_gap = np.stack((*rivals.digits, *times, *numbers), axis=1)
        self._own = np.ascontiguousarray(rivals.own.T)

    def goes_on(self, stretch: Stretch) -> bool:
        """Whether what is left out goes on as it does before that, and up to what is behind."""
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
        _, grow = _growth(self._of_task, around, stretch.copies)
        if not grow:
            return False
        which, row = runs(rivals.first[stand], rivals.width[stand])
        rows = [row + (rivals.first[tasks] - rivals.first[stand])[which] for tasks in around]
        held = self.holds[rows[0]] & self.holds[rows[1]] & self.holds[rows[2]]
        once, grow = _growth(self._of_gap, [rivals.gaps[row] for row in rows], stretch.copies)
        moved = once[:, : len(rivals.digits)]
        own = (self._own[stand] - self._own[before])[which]
        still = (moved == 0).all(axis=1) | (moved == own).all(axis=1)
        return bool(grow and held.all() and still.all())

    def _later(self, values: Times, tasks: Ints, copies: Ints) -> Times:
        """Values of tasks so many periods later (0 where there is none); loops last."""
        there = tasks >= 0
        found = np.where(there, values[..., tasks], 0)
        for k in range(len(copies)):
            some = np.flatnonzero(there & (copies[k] > 0))
            if not len(some):
                continue
            mine = tasks[some]
            before = self._plan.repeats.earlier[k][self._iteration[mine]]
            back = self._events.earlier_tasks(mine, before)
            if (before < 0).any() or (back < 0).any():
                raise NotPeriodicError([])
            found[..., some] += copies[k, some] * (values[..., mine] - values[..., back])
        return found

    def _older(self) -> Mask:
        """Per row, whether the task comes before what follows: foreground first, then date."""
        graph, rivals = self._plan.graph, self._rivals
        z = rivals.following
        late = graph.kind[graph.task_block] == 2
        dates = graph.dates.skew[:, self._iteration]
        sequence = graph.sequence[graph.task_block]
        theirs = np.vstack((late[z], self._later(dates, z, rivals.copies), sequence[z]))
        # Of equals the first ones are ranked first: a task is older only if it comes before.
        rank = ranks(np.concatenate((theirs, np.vstack((late, dates, sequence))), axis=1))
        return np.asarray(rank[len(z) :][rivals.tasks] < rank[: len(z)][rivals.gaps])


def _growth(values: Times, around: Sequence[Ints], copies: int) -> tuple[Times, bool]:
    """What rows of values grow by in a period, and whether they do in all that is left out.

    `around`: rows before what is left out, those a period earlier, and the first ones behind it.
    """
    stand, before, after = (values[rows] for rows in around)
    once = stand - before
    return once, bool((after - stand == (copies + 1) * once).all())


def _ports_free(plan: PeriodicPlan, timing: Timing) -> Times:
    """Per task, when its port has served the one before it."""
    graph, events, repeats = plan.graph, plan.events, plan.repeats
    assert timing.order is not None
    served = repeats.ports.of(timing.order)
    values: Any = np.full(events.count, 0, dtype=graph.task_duration.dtype)
    values[graph.blocks : graph.blocks + graph.tasks] = timing.task_begin + graph.task_duration
    waits = Waits(events.task(served.source), served.target, served.copies)
    ends = values[waits.source]
    which, copies, later, back = extrapolations(events, repeats.earlier, waits)
    np.add.at(ends, which, copies * (values[later] - values[back]))
    free = np.full(graph.tasks, 0, dtype=values.dtype)
    np.maximum.at(free, served.target, ends)
    return free
