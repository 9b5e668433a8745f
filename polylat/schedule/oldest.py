"""The work-conserving order, where tile iterations stand for others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from polylat.schedule.graph import Ints, TaskGraph, Times
from polylat.schedule.periodic import (
    Events,
    NotPeriodicError,
    PeriodicPlan,
    Repeats,
    Waits,
    extrapolations,
)
from polylat.schedule.timing import Timing

__all__ = ["Rivals", "check_oldest"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rivals:
    """What a port may have chosen instead of each task: a row per task and stream on its port.

    A stream is one kind of block of a leaf; a port serves its blocks in order.

    Parameters
    ----------
    tasks, streams
        The task, and the number of the stream.
    following, previous
        Of the stream the block that is served next after the task, and the one before that; -1
        where there is none.
    copies, earlier
        Shape (loops, rows): how many periods later `following` and `previous` are.
    own, digits
        Shape (loops, rows): indices of the loops of the task, and of what follows.
    """

    tasks: Ints
    streams: Ints
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
    graph, repeats = plan.graph, plan.repeats
    holds, rows = checked.holds, checked.rows()
    count = int(rivals.streams.max(initial=0)) + 1
    row_of = np.full(graph.tasks * count, -1, dtype=np.int64)
    row_of[rivals.tasks * count + rivals.streams] = np.arange(len(rivals.tasks))
    events = checked.events
    iteration = graph.owner[graph.task_block]
    wrong = []
    for stretch in repeats.stretches:
        place = np.full(graph.iterations, -1, dtype=np.int64)
        place[stretch.stand] = np.arange(len(stretch.stand))
        at = place[iteration]
        inside = np.flatnonzero(at >= 0)
        stand = np.flatnonzero(at[rivals.tasks] >= 0)
        if not len(stand):
            continue

        def same(
            iterations: Ints, at: Ints = at, inside: Ints = inside, stand: Ints = stand
        ) -> tuple[Ints, Mask]:
            there = np.full(graph.tasks, -1, dtype=np.int64)
            there[inside] = events.at(events.task(inside), iterations[at[inside]]) - graph.blocks
            tasks = there[rivals.tasks[stand]]
            found = row_of[tasks * count + rivals.streams[stand]]
            return found, (tasks >= 0) & (found >= 0)

        before, known = same(stretch.before)
        after, also = same(stretch.after)
        fine = known & also & ((holds[stand] & holds[before] & holds[after]) > 0)
        for row in rows:
            once = row[..., stand] - row[..., before]
            fine &= np.atleast_2d(
                row[..., after] - row[..., stand] == (stretch.copies + 1) * once
            ).all(axis=0)
        moved = rivals.digits[:, stand] - rivals.digits[:, before]
        own = rivals.own[:, stand] - rivals.own[:, before]
        fine &= (moved == 0).all(axis=0) | (moved == own).all(axis=0)
        if not fine.all():
            wrong.append(stretch.where)
    if not holds.all():
        wrong = [stretch.where for stretch in repeats.stretches]
    if wrong:
        raise NotPeriodicError(wrong, timing)


class _Checked:
    """The times of tasks and of their rivals, and which of the conditions they meet."""

    def __init__(self, plan: PeriodicPlan, timing: Timing, rivals: Rivals) -> None:
        graph, repeats = plan.graph, plan.repeats
        self.plan = plan
        self.rivals = rivals
        self.events = Events(graph)
        ready = np.where(
            graph.kind[graph.task_block] == 0,
            timing.fill_begin[graph.task_block],
            timing.begin[graph.owner[graph.task_block]],
        )
        begin = timing.task_begin
        x, z, previous = rivals.tasks, rivals.following, rivals.previous
        self.free = _ports_free(graph, self.events, repeats, timing)[x]
        self.begin = begin[x]
        self.next_ready = self._later(ready, z, rivals.copies)
        self.next_begin = self._later(begin, z, rivals.copies)
        self.last_ready = self._later(ready, previous, rivals.earlier)
        self.last_end = self._later(begin + graph.task_duration, previous, rivals.earlier)
        itself = (previous == x) & ~rivals.earlier.any(axis=0)
        there, first = z >= 0, previous < 0
        apart = first | itself | (self.last_end <= self.begin)
        apart &= ~there | (self.next_begin >= self.begin + graph.task_duration[x])
        apart &= first | ~there | (self.last_ready <= self.next_ready)
        older = self._older()
        idle = self.begin > self.free
        self.holds = np.where(
            apart,
            1 * (~there | (self.next_ready > self.begin))
            + 2 * (there & older & (self.next_ready >= self.begin))
            + 4 * (there & older & ~idle),
            0,
        )

    def rows(self) -> list[Times]:
        """What has to grow linearly."""
        rivals = self.rivals
        numbers = np.where(rivals.following < 0, -1, 0), np.where(rivals.previous < 0, -1, 0)
        times = self.free, self.begin, self.next_ready, self.next_begin, self.last_ready
        return [*times, self.last_end, rivals.digits, *numbers]

    def _later(self, values: Times, tasks: Ints, copies: Ints) -> Times:
        """Values of tasks so many periods later (0 where there is none); loops last."""
        graph, repeats = self.plan.graph, self.plan.repeats
        there = tasks >= 0
        found = np.where(there, values[..., tasks], 0)
        owner = graph.owner[graph.task_block]
        for k in range(len(copies)):
            some = np.flatnonzero(there & (copies[k] > 0))
            if not len(some):
                continue
            mine = tasks[some]
            before = repeats.earlier[k][owner[mine]]
            back = self.events.at(self.events.task(mine), before) - graph.blocks
            if (before < 0).any() or (back < 0).any():
                raise NotPeriodicError([])
            found[..., some] += copies[k, some] * (values[..., mine] - values[..., back])
        return found

    def _older(self) -> Mask:
        """Whether the task comes before what follows in its stream: foreground first, then date."""
        graph, rivals = self.plan.graph, self.rivals
        x, z = rivals.tasks, rivals.following
        owner = graph.owner[graph.task_block]
        dates = graph.dates.skew[:, owner]
        mine, theirs = dates[:, x], self._later(dates, z, rivals.copies)
        sequence = graph.sequence[graph.task_block]
        older = sequence[x] < sequence[z]
        for a, b in zip(mine[::-1], theirs[::-1], strict=True):
            older = np.where(a == b, older, a < b)
        late = graph.kind[graph.task_block] == 2
        return np.where(late[x] == late[z], older, ~late[x])


def _ports_free(graph: TaskGraph, events: Events, repeats: Repeats, timing: Timing) -> Times:
    """Per task, when its port has served the one before it."""
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
