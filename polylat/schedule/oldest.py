"""The work-conserving order, where tile iterations stand for others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

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

__all__ = ["time_oldest"]


def time_oldest(plan: PeriodicPlan, skew: Timing) -> Timing:
    """The schedule of ports that take the oldest block that may start, where it is known.

    It is the one in the order of skewed dates if that never lets a port wait for a block while
    another one may start, nor serves a block in the background while another one may start. Both
    are inequalities between times that grow linearly from copy to copy of what is left out: they
    hold for all copies if they hold before and behind.

    Raises
    ------
    NotPeriodicError
        It may be another one.
    """
    if not skew.legal:
        raise NotPeriodicError([])
    graph, repeats = plan.graph, plan.repeats
    events = Events(graph)
    order, start = graph.port_order(skewed=True)
    ready = np.where(
        graph.kind[graph.task_block] == 0,
        skew.fill_begin[graph.task_block],
        skew.begin[graph.owner[graph.task_block]],
    )
    idle = skew.task_begin > _ports_free(graph, events, repeats, skew)
    late = graph.kind[graph.task_block] == 2
    stream = graph.leaf[graph.owner[graph.task_block]] * (int(graph.sequence.max(initial=0)) + 1)
    stream = stream + graph.sequence[graph.task_block]
    for port in range(graph.ports):
        mine = order[start[port] : start[port + 1]]
        for one in np.unique(stream[mine]):
            other = np.flatnonzero(stream[mine] == one)
            # Per task of the port, the next one of that stream.
            at = np.searchsorted(other, np.arange(len(mine)), side="right")
            there = at < len(other)
            following = mine[other[np.minimum(at, len(other) - 1)]]
            before = mine[other[np.maximum(at - 1, 0)]]
            unknown = there & (at > 0) & repeats.skips[before]
            if late[mine[other[0]]]:
                first = ~idle[mine]
            else:
                first = ~idle[mine] & ~late[mine]
            # A block in the background gives way to any other one that may start by then.
            gives = late[mine] & ~late[following]
            begins = skew.task_begin[mine]
            second = (ready[following] > begins) | (~gives & (ready[following] == begins))
            holds = np.where(there, first + 2 * second, 3)
            holds[unknown] = -1
            _holds_everywhere(graph, events, repeats, mine, holds)
    return replace(skew, order="oldest")


def _holds_everywhere(
    graph: TaskGraph, events: Events, repeats: Repeats, tasks: Ints, holds: Ints
) -> None:
    """Raise unless one of two inequalities holds for each task and all its copies.

    Parameters
    ----------
    holds
        Per task, which of the two hold (bits), -1 where that is not known.
    """
    known = np.full(graph.tasks, -2, dtype=np.int64)
    known[tasks] = holds
    iteration = graph.owner[graph.task_block[tasks]]
    around = []
    for stretch in repeats.stretches:
        at = np.searchsorted(stretch.stand, iteration)
        at = np.minimum(at, max(len(stretch.stand) - 1, 0))
        inside = stretch.stand[at] == iteration if len(stretch.stand) else at < 0
        stand, at = tasks[inside], at[inside]
        if len(stand):
            numbers = events.task(stand)
            before = events.at(numbers, stretch.before[at]) - graph.blocks
            after = events.at(numbers, stretch.after[at]) - graph.blocks
            around.append((stand, before, after))
    for stand, before, _ in around:
        known[stand] = np.where(known[stand] == -1, known[before], known[stand])
    if (known[tasks] == -1).any():
        raise NotPeriodicError([])
    for stand, _, after in around:
        known[stand] &= known[after]
    if not known[tasks].all():
        raise NotPeriodicError([])


def _ports_free(graph: TaskGraph, events: Events, repeats: Repeats, timing: Timing) -> Times:
    """Per task, when its port has served the one before it."""
    served = repeats.ports.skew
    values = np.full(events.count, 0, dtype=graph.task_duration.dtype)
    values[graph.blocks : graph.blocks + graph.tasks] = timing.task_begin + graph.task_duration
    waits = Waits(events.task(served.source), served.target, served.copies)
    ends = values[waits.source]
    which, copies, later, back = extrapolations(events, repeats.earlier, waits)
    np.add.at(ends, which, copies * (values[later] - values[back]))
    free = np.full(graph.tasks, 0, dtype=values.dtype)
    np.maximum.at(free, served.target, ends)
    return free
