"""Timing a task graph in which tile iterations stand for others: the earliest times of all.

Times of what is left out are extrapolated from the last two periods before it: what is `copies`
periods later than a thing ends so many times later as that thing ends later than the one a period
before it. Whether that is so is checked where the iterations that are looked at begin again. The
check is enough: at each copy the earliest time is a maximum of times that grow linearly from copy
to copy, so it is convex in the number of the copy; and a convex function that meets a line before,
at and behind a stretch meets it all along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from polylat.schedule.graph import Ints, TaskGraph, Times
from polylat.schedule.kernels import by_key
from polylat.schedule.timing import Order, Timing

__all__ = [
    "Around",
    "Events",
    "NotPeriodicError",
    "PeriodicPlan",
    "PeriodicTimer",
    "PortWaits",
    "Repeats",
    "Stretch",
    "System",
    "Waits",
    "extrapolations",
    "runs",
]


_LIMIT = float(1 << 61)


def runs(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """The numbers of several runs, one after another, and of which run each is."""
    which = np.repeat(np.arange(len(starts)), lengths)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return which, starts[which] + offset


class NotPeriodicError(Exception):
    """Something does not repeat as it was taken to.

    Parameters
    ----------
    places
        (leaf, loop, number of the cut) of each stretch whose copies are not alike.
    timing
        The times that show it.
    excess
        How much later at most than they should be things are behind each stretch, if it is that.
    """

    def __init__(
        self,
        places: Sequence[tuple[int, int, int]],
        timing: Timing | None = None,
        excess: Mapping[tuple[int, int, int], int] | None = None,
    ) -> None:
        super().__init__(f"not periodic: {places}")
        self.places = tuple(places)
        self.timing = timing
        self.excess = excess or {}


@dataclass(frozen=True, eq=False)
class Waits:
    """Who waits for whom.

    Parameters
    ----------
    source, target
        What is waited for, and what waits.
    copies
        Shape (loops, waits): how many periods later than `source` the target waits for.
    """

    source: Ints
    target: Ints
    copies: Ints


@dataclass(frozen=True, eq=False)
class PortWaits:
    """The order in which ports serve: each task waits for the one before it.

    Parameters
    ----------
    program, skew
        By date and by skewed date.
    seen
        The order of a schedule that was found otherwise: ports that take what may start.
    """

    program: Waits
    skew: Waits
    seen: Waits | None = None

    def of(self, order: Order) -> Waits:
        """The order in which ports serve."""
        if order == "program":
            return self.program
        return self.seen if order == "oldest" and self.seen is not None else self.skew


@dataclass(frozen=True, eq=False)
class Stretch:
    """Iterations that are left out, and what stands around them.

    Parameters
    ----------
    where
        (leaf, loop, number of the cut).
    copies
        How many periods are left out.
    stand, before, after
        Tile iterations of the period before the stretch; those a period earlier; and those that
        come first behind it.
    """

    where: tuple[int, int, int]
    copies: int
    stand: Ints
    before: Ints
    after: Ints


@dataclass(frozen=True, eq=False)
class Repeats:
    """What a task graph needs so that its tile iterations can stand for others.

    Parameters
    ----------
    earlier
        Shape (loops, tile iterations): the one a period earlier, -1 where it stands for no other.
    chain
        Tile iterations and those before them in their leaf.
    stretches
        What is left out.
    ports
        How ports serve, by order.
    ends
        Tasks, and tile iterations whose finish waits for them: on each port the leaf's last task.
    rules
        Tasks, and edges (by number) that wait for the finish that is made of them.
    skips
        Per task, whether some are left out between it and the next one of its block and port.
    """

    earlier: Ints
    chain: Waits
    stretches: tuple[Stretch, ...]
    ports: PortWaits
    ends: Waits
    rules: Waits
    skips: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Events:
    """Numbers of what happens, as in `kernels.simulate`."""

    graph: TaskGraph

    @property
    def count(self) -> int:
        """Number of events."""
        return 2 * self.graph.blocks + self.graph.tasks + self.graph.iterations

    def task(self, tasks: Ints) -> Ints:
        """Tasks: when they have been served."""
        return self.graph.blocks + tasks

    def block(self, blocks: Ints) -> Ints:
        """Blocks: when they have finished."""
        return self.graph.blocks + self.graph.tasks + blocks

    def finish(self, iterations: Ints) -> Ints:
        """Tile iterations: when they have finished."""
        return 2 * self.graph.blocks + self.graph.tasks + iterations

    @cached_property
    def _block_keys(self) -> tuple[Ints, Ints, int]:
        width = int(self.graph.sequence.max(initial=0)) + 1
        keys = self.graph.owner * width + self.graph.sequence
        order = np.argsort(keys, kind="stable")
        return keys[order], order, width

    @cached_property
    def task_keys(self) -> tuple[Ints, Ints]:
        """Tasks by block and port: ``block * ports + port``, increasing, and the task of each."""
        keys = self.graph.task_block * self.graph.ports + self.graph.task_port
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def block_at(self, iterations: Ints, like: Ints) -> Ints:
        """Per block, the one like it in another tile iteration (-1: none)."""
        keys, order, width = self._block_keys
        return _look_up(keys, order, iterations * width + self.graph.sequence[like])

    def task_at(self, blocks: Ints, like: Ints) -> Ints:
        """Per task, the one on the same port of another block (-1: none)."""
        keys, order = self.task_keys
        wanted = blocks * self.graph.ports + self.graph.task_port[like]
        return np.where(blocks < 0, -1, _look_up(keys, order, wanted))

    def earlier_tasks(self, tasks: Ints, iterations: Ints) -> Ints:
        """Per task, the one like it in another tile iteration (-1: none)."""
        blocks = self.block_at(iterations, self.graph.task_block[tasks])
        return self.task_at(blocks, tasks)

    def at(self, events: Ints, iterations: Ints) -> Ints:
        """Per event, the one like it in another tile iteration (-1: none)."""
        graph = self.graph
        found = np.full(len(events), -1, dtype=np.int64)
        n, blocks, tasks = graph.iterations, graph.blocks, graph.tasks
        begin, finish = events < n, events >= 2 * blocks + tasks
        found[begin] = iterations[begin]
        found[finish] = self.finish(iterations[finish])
        fill = (events >= n) & (events < blocks)
        found[fill] = self.block_at(iterations[fill], events[fill])
        served = (events >= blocks) & (events < blocks + tasks)
        like = events[served] - blocks
        there = self.task_at(self.block_at(iterations[served], graph.task_block[like]), like)
        found[served] = np.where(there < 0, -1, self.task(there))
        ended = (events >= blocks + tasks) & ~finish
        there = self.block_at(iterations[ended], events[ended] - blocks - tasks)
        found[ended] = np.where(there < 0, -1, self.block(there))
        return found

    @cached_property
    def iteration(self) -> Ints:
        """Per event, the tile iteration that it belongs to."""
        graph = self.graph
        return np.concatenate(
            (
                graph.owner,
                graph.owner[graph.task_block],
                graph.owner,
                np.arange(graph.iterations),
            )
        )


def _look_up(keys: Ints, values: Ints, wanted: Ints) -> Ints:
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], -1)


@dataclass(frozen=True, eq=False)
class PeriodicPlan:
    """A task graph whose tile iterations stand for others, ready to be timed."""

    graph: TaskGraph
    repeats: Repeats

    @cached_property
    def events(self) -> Events:
        """Numbers of what happens."""
        return Events(self.graph)

    @cached_property
    def around(self) -> Around:
        """What happens around what is left out."""
        return _around(self.events, self.repeats.stretches)

    def timer(self, order: Order | None) -> PeriodicTimer:
        """What times it under a static order (None: nothing waits for a port)."""
        return PeriodicTimer(self, order)

    def time(self, order: Order | None) -> Timing:
        """Earliest times under a static order (None: nothing waits for a port).

        Raises
        ------
        NotPeriodicError
            What is left out does not repeat what stands before it.
        """
        timer = self.timer(order)
        return timer.timing(self.graph.task_duration, timer.values(self.graph.task_duration))

    def time_static(self) -> dict[Order, Timing]:
        """Earliest times under the static orders."""
        program = self.time("program")
        same = self.repeats.ports.skew is self.repeats.ports.program
        return {
            "program": program,
            "skew": replace(program, order="skew") if same else self.time("skew"),
        }


class PeriodicTimer:
    """Times a task graph under a static order, for one set of durations after another.

    What waits for what is sorted once, so that to time it anew takes one pass over the waits.

    Parameters
    ----------
    plan
        The task graph, and how its tile iterations stand for others.
    order
        In which order ports serve (None: nothing waits for a port).

    Raises
    ------
    NotPeriodicError
        There is nothing to extrapolate from.
    """

    def __init__(self, plan: PeriodicPlan, order: Order | None) -> None:
        self._graph = graph = plan.graph
        self._order = order
        self._events = events = plan.events
        repeats = plan.repeats
        waits = _waits(graph, events, repeats, order)
        terms = extrapolations(events, repeats.earlier, waits)
        self._system = System(events.count, waits.source, waits.target, terms)
        self._stretches = repeats.stretches
        self._around = plan.around.only(_timed(events, order))

    def values(self, task_duration: Times) -> Times:
        """When everything happens, event by event, if tasks take so long.

        Raises
        ------
        NotPeriodicError
            What is left out does not repeat what stands before it.
        """
        durations = self._by_event(task_duration)
        values = self._system.latest(durations)
        if values.dtype != durations.dtype:
            return self.values(task_duration.astype(object))
        if not self._system.undone:
            wrong = self._wrong(durations, values)
            if wrong:
                late = {where: excess for where, excess in wrong if excess is not None}
                places = [where for where, _ in wrong]
                raise NotPeriodicError(places, self.timing(task_duration, values), late)
        return values

    def timing(self, task_duration: Times, values: Times) -> Timing:
        """The schedule in which everything happens at such times."""
        graph = self._graph
        n, blocks, tasks = graph.iterations, graph.blocks, graph.tasks
        fill_begin = values[:blocks].copy()
        fill_begin[graph.kind != 0] = 0
        return Timing(
            self._order,
            begin=values[:n],
            finish=values[2 * blocks + tasks :],
            block_finish=values[blocks + tasks : 2 * blocks + tasks],
            fill_begin=fill_begin,
            task_begin=values[blocks : blocks + tasks] - task_duration,
            waiting=self._system.waiting,
            undone=self._system.undone,
        )

    def slope(self, task_duration: Times, values: Times, grows: Times) -> int | None:
        """How fast the last finish sinks while durations shrink.

        The same earliest times, of durations that are less by something infinitesimal: of what
        happens at the same time, that holds which shrinks least. What is left out is extrapolated
        and checked as the times are.

        Parameters
        ----------
        task_duration, values
            Durations of tasks, and when everything happens.
        grows
            By how much the durations of the tasks differ per unit.

        Returns
        -------
        int or None
            The slope from the left: there is a path to the last finish on which what grows adds up
            to it. None where that does not repeat as the times do.
        """
        assert not self._system.undone
        if object in (values.dtype, grows.dtype):
            values, grows = values.astype(object), grows.astype(object)
        durations = self._by_event(task_duration.astype(values.dtype))
        rises = self._by_event(grows)
        slopes = self._system.least(durations, values, rises)
        if slopes.dtype != rises.dtype:
            return self.slope(task_duration, values, grows.astype(object))
        if self._wrong(rises, slopes):
            return None
        ends = np.flatnonzero(values == self.timing(task_duration, values).makespan)
        return int(slopes[ends[ends >= self._graph.blocks]].min())

    def _by_event(self, task_duration: Times) -> Times:
        durations = np.full(self._events.count, 0, dtype=task_duration.dtype)
        durations[self._graph.blocks : self._graph.blocks + self._graph.tasks] = task_duration
        return durations

    def _wrong(
        self, durations: Times, values: Times
    ) -> list[tuple[tuple[int, int, int], int | None]]:
        """The stretches behind which not all is where its copies would go on; how much later."""
        around = self._around
        stand, before, after = around.stand, around.before, around.after
        late = values[after] - values[stand]
        late -= around.periods.astype(values.dtype) * (values[stand] - values[before])
        unlike = (durations[stand] != durations[before]) | (durations[stand] != durations[after])
        bad = np.asarray(unlike | (late != 0), dtype=np.bool_)
        found: list[tuple[tuple[int, int, int], int | None]] = []
        for number in sorted({*around.unlike, *np.unique(around.which[bad]).tolist()}):
            mine = around.which == number
            lost = number in around.unlike or unlike[mine].any()
            found.append((self._stretches[number].where, None if lost else int(late[mine].max())))
        return found


class System:
    """Equations of times: each event happens a while after the last of what it waits for.

    Parameters
    ----------
    count
        Number of events.
    source, target
        Waits: `target` waits for `source`.
    terms
        (wait, factor, later, back): what it waits for is so many times further than `source` as
        `later` is than `back`.
    """

    def __init__(
        self, count: int, source: Ints, target: Ints, terms: tuple[Ints, Ints, Ints, Ints]
    ) -> None:
        which, factor, later, back = terms
        into, edges = by_key(target, count)
        rank = np.empty(len(edges), dtype=np.int64)
        rank[edges] = np.arange(len(edges))
        # Terms by wait, in the order in which waits stand by target.
        start, by_edge = by_key(rank[which], len(edges))
        self._waits = into, source[edges], start, factor[by_edge], later[by_edge], back[by_edge]
        needs = np.concatenate((source, later, back))
        needed_by = np.concatenate((target, target[which], target[which]))
        self.waiting: Ints = np.bincount(needed_by, minlength=count).astype(np.int64)
        self._sequence = _sequence(*_grouped(needs, needed_by, count), self.waiting)
        self.undone = count - len(self._sequence)

    def latest(self, durations: Times) -> Times:
        """When everything happens; Python integers (dtype object) if it does not fit 64 bits."""
        values = np.full_like(durations, 0)
        if self._run(_evaluate, durations, values):
            return values
        return self.latest(durations.astype(object))

    def least(self, durations: Times, values: Times, rises: Times) -> Times:
        """Of all that an event really waits for, the least slope, and its own; see `latest`."""
        slopes = np.full_like(rises, 0)
        if self._run(_sink, durations, values, rises, slopes):
            return slopes
        return self.least(*(array.astype(object) for array in (durations, values, rises)))

    def _run(self, kernel: Any, *arrays: Times) -> bool:
        """Run a kernel; False if something does not fit 64 bits."""
        into, sources, terms, factor, later, back = self._waits
        exact = arrays[0].dtype == object
        waits = into, sources, terms, factor.astype(object) if exact else factor, later, back
        run = kernel.py_func if exact else kernel
        return bool(run(self._sequence, *waits, inf if exact else _LIMIT, *arrays))


@dataclass(frozen=True, eq=False)
class Around:
    """Events around what is left out.

    Parameters
    ----------
    unlike
        The stretches around which not the same happens.
    which
        Per event, the number of the stretch.
    stand, before, after
        What stands for copies, what is a period earlier, and what comes first behind the stretch.
    periods
        How many periods later than `stand` that is.
    """

    unlike: frozenset[int]
    which: Ints
    stand: Ints
    before: Ints
    after: Ints
    periods: Ints

    def only(self, timed: npt.NDArray[np.bool_]) -> Around:
        """Of these events some; and none of stretches around which not the same happens."""
        some = timed[self.stand]
        lost = some & ((self.before < 0) | (self.after < 0))
        unlike = self.unlike | frozenset(self.which[lost].tolist())
        if unlike:
            some &= ~np.isin(self.which, list(unlike))
        columns = self.which, self.stand, self.before, self.after, self.periods
        return Around(unlike, *(column[some] for column in columns))


def _timed(events: Events, order: Order | None) -> npt.NDArray[np.bool_]:
    """Which events are timed on their own."""
    graph = events.graph
    timed = np.ones(events.count, dtype=np.bool_)
    timed[graph.iterations : graph.blocks] = graph.kind[graph.iterations :] == 0
    if order is not None:
        # What waits for these events waits for what they are of.
        timed[graph.blocks + graph.tasks :] = False
    return timed


def _around(events: Events, stretches: Sequence[Stretch]) -> Around:
    """Events around what is left out; `before` and `after` are -1 where there is no such thing."""
    by_iteration = np.argsort(events.iteration, kind="stable")
    every = np.bincount(events.iteration, minlength=events.graph.iterations)
    starts = np.cumsum(every) - every
    parts: list[tuple[Ints, ...]] = [(np.zeros(0, dtype=np.int64),) * 5]
    unlike = set()
    for number, stretch in enumerate(stretches):
        mine, place = runs(starts[stretch.stand], every[stretch.stand])
        stand = by_iteration[place]
        before = events.at(stand, stretch.before[mine])
        after = events.at(stand, stretch.after[mine])
        if (every[stretch.after] != every[stretch.stand]).any():
            unlike.add(number)
        numbers, periods = (np.full(len(stand), k) for k in (number, stretch.copies + 1))
        parts.append((numbers, stand, before, after, periods))
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Around(frozenset(unlike), *columns)


def _grouped(keys: Ints, values: Ints, count: int) -> tuple[Ints, Ints]:
    start, order = by_key(keys, count)
    return start, values[order]


def _waits(graph: TaskGraph, events: Events, repeats: Repeats, order: Order | None) -> Waits:
    """All waits between events.

    Where ports serve in order, waits for the finish of a tile iteration are waits for the tasks
    that it is made of: these may drift apart from each other at constant rates, and then their
    maximum is not what grows at a constant rate.
    """
    n, blocks = graph.iterations, graph.blocks
    parts: list[tuple[Ints, Ints, Ints | None]] = []
    chain = repeats.chain
    parts.append((chain.source, chain.target, chain.copies))
    others = np.arange(n, blocks)
    fills = others[graph.kind[n:] == 0]
    parts.append((fills, graph.owner[fills], None))
    every = np.arange(blocks)
    ready = np.where(graph.kind == 0, every, graph.owner)
    tasks = np.arange(graph.tasks)
    parts.append((ready[graph.task_block], events.task(tasks), None))
    parts.append((ready, events.block(every), None))
    parts.append((events.task(tasks), events.block(graph.task_block), None))
    late = events.finish(graph.edge_target - blocks)
    target = np.where(graph.edge_target < blocks, graph.edge_target, late)
    whole = graph.edge_source < n
    if order is None:
        parts.append((events.block(every[:n]), events.finish(every[:n]), None))
        parts.append((events.block(fills), events.finish(graph.owner[fills]), None))
        parts.append((events.finish(chain.source), events.finish(chain.target), chain.copies))
        finish = events.finish(np.minimum(graph.edge_source, n - 1))
        source = np.where(whole, finish, events.block(graph.edge_source))
        parts.append((source, target, graph.edge_copies))
    else:
        served = repeats.ports.of(order)
        parts.append((events.task(served.source), events.task(served.target), served.copies))
        ends, rules = repeats.ends, repeats.rules
        parts.append((every[:n], events.finish(every[:n]), None))
        parts.append((events.task(ends.source), events.finish(ends.target), ends.copies))
        parts.append((events.task(rules.source), target[rules.target], rules.copies))
        # A finish, or the end of a block, is no earlier than the start, nor than any of its tasks.
        parts.append((ready[graph.edge_source], target, graph.edge_copies))
        start, of_block = by_key(graph.task_block, blocks)
        single = np.flatnonzero(~whole)
        lengths = np.diff(start)[graph.edge_source[single]]
        edge, place = runs(start[graph.edge_source[single]], lengths)
        edge = single[edge]
        parts.append((events.task(of_block[place]), target[edge], graph.edge_copies[:, edge]))
    depth = len(repeats.earlier)
    copies = [np.zeros((depth, len(s)), dtype=np.int64) if c is None else c for s, _, c in parts]
    return Waits(
        np.concatenate([s for s, _, _ in parts]),
        np.concatenate([t for _, t, _ in parts]),
        np.concatenate(copies, axis=1),
    )


def extrapolations(events: Events, earlier: Ints, waits: Waits) -> tuple[Ints, Ints, Ints, Ints]:
    """What makes up the waits for what is left out: wait, copies, stand-in, a period earlier."""
    loops, which = np.nonzero(waits.copies)
    source = waits.source[which]
    before = earlier[loops, events.iteration[source]]
    back = np.where(before < 0, -1, events.at(source, before))
    if (back < 0).any():
        raise NotPeriodicError([])
    return which, waits.copies[loops, which], source, back


def _sequence_plain(out_start: Any, out: Any, waiting: Any) -> Any:
    """Events, each after all that it needs; without those that never have it.

    `waiting`, how much each needs, becomes how much it still waits for.
    """
    count = len(waiting)
    sequence = np.empty(count, np.int64)
    stack = np.empty(count, np.int64)
    top = 0
    for event in range(count):
        if waiting[event] == 0:
            stack[top] = event
            top += 1
    settled = 0
    while top > 0:
        top -= 1
        event = stack[top]
        sequence[settled] = event
        settled += 1
        for k in range(out_start[event], out_start[event + 1]):
            target = out[k]
            waiting[target] -= 1
            if waiting[target] == 0:
                stack[top] = target
                top += 1
    return sequence[:settled]


def _evaluate_plain(
    sequence: Any,
    into: Any,
    sources: Any,
    terms: Any,
    factor: Any,
    later: Any,
    back: Any,
    limit: float,
    durations: Any,
    values: Any,
) -> bool:
    """Earliest times: each event happens at the last of the times that it waits for.

    False if something comes near a limit.
    """
    for event in sequence:
        best = durations[event] * 0
        for edge in range(into[event], into[event + 1]):
            value = values[sources[edge]]
            for term in range(terms[edge], terms[edge + 1]):
                grown = values[later[term]] - values[back[term]]
                if abs(grown) > limit / factor[term]:
                    return False
                value += factor[term] * grown
                if abs(value) > limit:
                    return False
            best = max(best, value)
        values[event] = best + durations[event]
        if values[event] > limit:
            return False
    return True


def _sink_plain(
    sequence: Any,
    into: Any,
    sources: Any,
    terms: Any,
    factor: Any,
    later: Any,
    back: Any,
    limit: float,
    durations: Any,
    values: Any,
    rises: Any,
    slopes: Any,
) -> bool:
    """Slopes of earliest times: the least of what each event really waits for, and its own.

    False if something comes near a limit.
    """
    for event in sequence:
        start = values[event] - durations[event]
        least = rises[event] * 0
        known = start == 0
        for edge in range(into[event], into[event + 1]):
            value = values[sources[edge]]
            slope = slopes[sources[edge]]
            for term in range(terms[edge], terms[edge + 1]):
                risen = slopes[later[term]] - slopes[back[term]]
                if abs(risen) > limit / factor[term]:
                    return False
                value += factor[term] * (values[later[term]] - values[back[term]])
                slope += factor[term] * risen
                if abs(slope) > limit:
                    return False
            if value == start and (not known or slope < least):
                least = slope
                known = True
        slopes[event] = least + rises[event]
        if slopes[event] > limit:
            return False
    return True


def _compiled(function: Any) -> Any:
    import numba

    return numba.njit(cache=True, nogil=True)(function)


_sequence: Any = _compiled(_sequence_plain)
_evaluate: Any = _compiled(_evaluate_plain)
_sink: Any = _compiled(_sink_plain)
