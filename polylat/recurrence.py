"""The work-conserving order from its own recurrence: a short loop tells how a long one goes on.

Ports that take what may start make of a state always the same future. A state is what has been
served, and for how long what is being served still will be; what happened before does not matter
otherwise. So where a state comes back one period of the outermost loop later, in iterations that
the end of the loop does not yet bear upon, every further period of the loop takes as long.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from polylat.dependences.rules import Slots
from polylat.errors import MappingError, TooLargeError
from polylat.lowering.kept import Cut, Kept
from polylat.lowering.paths import Leaf, PathLoop
from polylat.lowering.scan import Ints
from polylat.lowering.tiles import IrregularError, shared_radices
from polylat.model import Lowered, Model, build
from polylat.schedule.graph import TaskGraph, Times
from polylat.schedule.periodic import (
    NotPeriodicError,
    PeriodicPlan,
    Waits,
)
from polylat.schedule.timing import Plan, Timing

__all__ = ["LENGTHS", "recurrent"]

_NEAR = 6
LENGTHS = (24, 72, 240)
"""How many iterations of the loop are looked at, one after another."""

_PERIODS = (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 16, 24)


def recurrent(
    what: tuple[Lowered, frozenset[tuple[str, str]], Slots], most: int, *, longer_than: int = 0
) -> tuple[Timing, Model] | None:
    """The timing of a mapping in the order "oldest", if it recurs in the outermost loop.

    Parameters
    ----------
    what
        The mapping and the options.
    most
        Largest number of tile iterations to look at.
    longer_than
        Look at more iterations of the loop than these.

    Returns
    -------
    (timing, model) or None
        `model` looks at some iterations of the outermost loop and at all of the others.
    """
    lowered = what[0]
    loop = _outermost(lowered)
    if loop is None:
        return None
    trips = shared_radices(lowered.leaves)[loop.node]
    for length in LENGTHS:
        if length <= longer_than:
            continue
        if length >= trips:
            return None
        short = _shortened(lowered, loop, trips - length)
        if short.size > most:
            return None
        try:
            found = _try(what, short, loop, trips, length)
        except (IrregularError, NotPeriodicError, TooLargeError):
            found = None
        if found is not None:
            return found
    return None


def _outermost(lowered: Lowered) -> PathLoop | None:
    """The first Temporal loop that runs more than once, if all leaves are below it."""
    first = lowered.leaves[0]
    for place, loop in enumerate(first.temporal):
        if any(
            place >= depth or len(leaf.temporal) <= place or leaf.temporal[place].node != loop.node
            for leaf, depth in zip(lowered.leaves, lowered.depths, strict=True)
        ):
            return None
        if first.temporal_trips[place] > 1:
            # What the leaves call it, and whether it is the same for all.
            variables = [leaf.temporal[place].variable for leaf in lowered.leaves]
            tied = any(
                v in c.variables
                for leaf, v in zip(lowered.leaves, variables, strict=True)
                for c in leaf.coupled
            )
            trips = {leaf.temporal_trips[place] for leaf in lowered.leaves}
            return None if tied or len(trips) > 1 else loop
    return None


def _shortened(lowered: Lowered, loop: PathLoop, by: int) -> Lowered:
    """The mapping with fewer iterations of a loop."""

    def shorter(leaf: Leaf) -> Leaf:
        variable = next(x.variable for x in leaf.temporal if x.node == loop.node)
        low, high = leaf.ranges[variable]
        return replace(leaf, ranges={**leaf.ranges, variable: (low, high - by * loop.tile)})

    return replace(lowered, leaves=tuple(map(shorter, lowered.leaves)))


def _try(
    what: tuple[Lowered, frozenset[tuple[str, str]], Slots],
    short: Lowered,
    loop: PathLoop,
    trips: int,
    length: int,
) -> tuple[Timing, Model] | None:
    lowered, background, slots = what
    try:
        small = build(short, background, slots)
    except MappingError:
        return None
    assert isinstance(small.plan, Plan)

    def looked(cut: int, period: int) -> Model:
        copies = (trips - length) // period
        kept = {
            node: Kept(n, (Cut(cut, period, copies),)) if node == loop.node else Kept(n)
            for node, n in shared_radices(lowered.leaves).items()
        }
        return build(*what, kept=kept)

    # What the whole loop makes larger, such as a tile above it, takes as long as it does there.
    model = looked(length * 3 // 4, 1)
    if len(model.graph.task_duration) != len(small.graph.task_duration):
        return None
    if model.costs.ports != small.costs.ports:
        return None
    graph = replace(small.graph, task_duration=model.graph.task_duration)
    timing = replace(small.plan, graph=graph).time("oldest")
    if not timing.legal:
        return None
    level = lowered.leaves[0].temporal.index(loop)
    place = np.concatenate([tiles.places[level] for tiles in small.layout.tiles])
    found = _recurrence(graph, timing, place, length)
    if found is None:
        return None
    cut, period, time, state = found
    copies, rest = divmod(trips - length, period)
    if rest:
        # Look at so many iterations that whole periods are left out.
        short = _shortened(lowered, loop, copies * period)
        return _try(what, short, loop, trips, length + rest)
    model = looked(cut, period)
    if (model.graph.task_duration != graph.task_duration).any():
        return None
    timing = _stretched(graph, timing, place >= cut, copies * time, state)
    assert isinstance(model.plan, PeriodicPlan)
    seen = _seen(model.plan, timing, copies)
    repeats = replace(model.plan.repeats, ports=replace(model.plan.repeats.ports, seen=seen))
    # Timed in the order in which ports were seen to serve, all must be as it was.
    plan = PeriodicPlan(model.graph, repeats)
    again = plan.time("oldest")
    if not again.legal or (again.task_begin != timing.task_begin).any():
        return None
    return again, replace(model, plan=plan)


def _seen(plan: PeriodicPlan, timing: Timing, copies: int) -> Waits:
    """What every port served before each task.

    One loop is cut. What is looked at follows on something else that is, or on a copy that is
    among the first or the last ones.
    """
    graph, earlier = plan.graph, plan.repeats.earlier
    events = plan.events
    loops, _ = np.nonzero(earlier >= 0)
    level = int(loops[0]) if len(loops) else 0
    owner = graph.owner[graph.task_block]
    stand = np.flatnonzero(earlier[level][owner] >= 0)
    before = events.earlier_tasks(stand, earlier[level][owner[stand]])
    if (before < 0).any():
        raise NotPeriodicError([])
    growth = timing.task_begin[stand] - timing.task_begin[before]
    every = np.arange(graph.tasks)
    some = sorted(
        {*range(1, min(_NEAR, copies) + 1), *range(max(copies - _NEAR, 0) + 1, copies + 1)}
    )
    tasks = np.concatenate([every, *(stand for _ in some)])
    times = np.concatenate(
        [timing.task_begin, *(timing.task_begin[stand] + n * growth for n in some)]
    )
    number = np.concatenate([np.zeros_like(every), *(np.full(len(stand), n) for n in some)])
    order = np.lexsort((times, graph.task_port[tasks]))
    follows = np.flatnonzero(
        (graph.task_port[tasks[order[1:]]] == graph.task_port[tasks[order[:-1]]])
        & (number[order[1:]] == 0)
    )
    source, target = order[:-1][follows], order[1:][follows]
    later = np.zeros((len(earlier), len(source)), dtype=np.int64)
    later[level] = number[source]
    return Waits(tasks[source], tasks[target], later)


def _recurrence(
    graph: TaskGraph, timing: Timing, place: Ints, length: int
) -> tuple[int, int, int, int] | None:
    """Where, after how many iterations and after what time a state comes back.

    Returns
    -------
    (place, period, time, state) or None
        The place up to which the iterations go on as the periods before them did; and when the
        state was first there.
    """
    iteration = graph.owner[graph.task_block]
    task_place = place[iteration]
    order = np.argsort(task_place, kind="stable")
    starts = np.searchsorted(task_place[order], np.arange(length + 1))
    sizes = np.diff(starts)
    end = timing.task_begin + graph.task_duration
    middle = np.flatnonzero(sizes == sizes[length // 2])
    if not sizes[length // 2]:
        return None
    # The longest run of places around the middle that have as many tasks.
    low = high = length // 2
    while low - 1 in middle:
        low -= 1
    while high + 1 in middle:
        high += 1
    rows = order[starts[low] : starts[high + 1]].reshape(high + 1 - low, -1)
    begins, lengths = timing.task_begin[rows], graph.task_duration[rows]
    same = [graph.task_port, graph.sequence[graph.task_block], graph.leaf[iteration]]
    # Per row, when the first of it and of what comes later begins, and when all up to it has ended.
    last_end = np.full(length, 0, dtype=end.dtype)
    np.maximum.at(last_end, task_place, end)
    ended = np.maximum.accumulate(last_end)[low : high + 1]
    first_begin = np.full(length, timing.makespan + 1, dtype=end.dtype)
    np.minimum.at(first_begin, task_place, timing.task_begin)
    starting = np.minimum.accumulate(first_begin[::-1])[::-1][low : high + 1]
    for period in _PERIODS:
        if len(rows) <= 4 * period:
            break
        grown = begins[period:] - begins[:-period]
        alike = (grown == grown[:, :1]).all(axis=1) & (grown[:, 0] > 0)
        alike &= (lengths[period:] == lengths[:-period]).all(axis=1)
        for column in same:
            alike &= (column[rows[period:]] == column[rows[:-period]]).all(axis=1)
        for first, final in _runs(alike, grown[:, 0]):
            time = int(grown[final, 0])
            # Where to cut: as late as can be.
            for last in range(min(final, len(rows) - 2 - period), first + 2 * period, -1):
                # A state: all before some row has ended by then, and neither has anything of the
                # last period begun by then, nor anything behind it a period later.
                states = ended[first + period - 1 : last]
                behind = last + 1 + period
                back = (states < starting[last + 1]) & (states + time < starting[behind])
                if back.any():
                    state = int(states[np.flatnonzero(back)[0]])
                    return low + last + 1, period, time, state
    return None


def _runs(alike: np.ndarray, times: Ints) -> list[tuple[int, int]]:
    """First and last of each run of rows that are alike and take the same time, longest first."""
    found = []
    first = 0
    for i in range(1, len(alike) + 1):
        if i == len(alike) or not alike[i] or not alike[i - 1] or times[i] != times[i - 1]:
            if alike[first]:
                found.append((first, i - 1))
            first = i
    return sorted(found, key=lambda run: run[0] - run[1])


def _stretched(graph: TaskGraph, timing: Timing, late: np.ndarray, more: int, state: int) -> Timing:
    """The timing of the long loop: what comes late comes so much later."""
    blocks = late[graph.owner]
    tasks = blocks[graph.task_block]

    def moved(times: Times, which: np.ndarray) -> Times:
        # What might start before the state was there does not wait for the loop.
        return np.where(which & (times > state), times + more, times)

    return Timing(
        "oldest",
        begin=moved(timing.begin, late),
        finish=moved(timing.finish, late),
        block_finish=moved(timing.block_finish, blocks),
        fill_begin=moved(timing.fill_begin, blocks & (graph.kind == 0)),
        task_begin=moved(timing.task_begin, tasks),
        waiting=timing.waiting,
        undone=0,
    )
