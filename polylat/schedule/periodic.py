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
from typing import Any

import numpy as np
import numpy.typing as npt

from polylat.schedule.graph import Ints, TaskGraph, Times
from polylat.schedule.kernels import by_key
from polylat.schedule.timing import Order, Timing

__all__ = [
    "Events",
    "NotPeriodicError",
    "PeriodicPlan",
    "PortWaits",
    "Repeats",
    "Stretch",
    "Waits",
    "extrapolations",
    "runs",
    "time_periodic",
]


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

    def time(self, order: Order | None) -> Timing:
        """Earliest times under a static order (None: nothing waits for a port)."""
        return time_periodic(self.graph, self.repeats, order)

    def time_static(self) -> dict[Order, Timing]:
        """Earliest times under the static orders."""
        program = self.time("program")
        same = self.repeats.ports.skew is self.repeats.ports.program
        return {
            "program": program,
            "skew": replace(program, order="skew") if same else self.time("skew"),
        }


def time_periodic(graph: TaskGraph, repeats: Repeats, order: Order | None) -> Timing:
    """Earliest times under a static order (None: nothing waits for a port).

    Raises
    ------
    NotPeriodicError
        What is left out does not repeat what stands before it.
    """
    events = Events(graph)
    waits = _waits(graph, events, repeats, order)
    exact = graph.task_duration.dtype == object
    values = np.full(events.count, 0, dtype=object if exact else np.int64)
    durations = values.copy()
    durations[graph.blocks : graph.blocks + graph.tasks] = graph.task_duration
    into, sources = _grouped(waits.target, waits.source, events.count)
    edges, terms = (
        by_key(waits.target, events.count)[1],
        extrapolations(events, repeats.earlier, waits),
    )
    term_start, term_order = by_key(terms[0], len(waits.source))
    rank = np.empty(len(edges), dtype=np.int64)
    rank[edges] = np.arange(len(edges))
    # Terms by edge, in the order in which edges stand by target.
    counts = np.diff(term_start)[edges]
    starts = np.concatenate(([0], np.cumsum(counts)))
    by_edge = np.argsort(rank[terms[0]], kind="stable")
    factor, later, back = terms[1][by_edge], terms[2][by_edge], terms[3][by_edge]
    needs = np.concatenate((waits.source, terms[2], terms[3]))
    needed_by = np.concatenate((waits.target, waits.target[terms[0]], waits.target[terms[0]]))
    out_start, out = _grouped(needs, needed_by, events.count)
    pending = np.bincount(needed_by, minlength=events.count).astype(np.int64)
    if exact:
        factor = factor.astype(object)
    run = _evaluate.py_func if exact else _evaluate
    undone = run(
        durations, into, sources, starts, factor, later, back, out_start, out, pending, values
    )
    del term_order
    timing = _timing(graph, order, values, durations, pending, int(undone))
    if timing.legal:
        wrong = _wrong(graph, events, repeats, values, durations, order)
        if wrong:
            late = {where: excess for where, excess in wrong if excess is not None}
            raise NotPeriodicError([where for where, _ in wrong], timing, late)
    return timing


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


def _timing(
    graph: TaskGraph,
    order: Order | None,
    values: Times,
    durations: Times,
    pending: Ints,
    undone: int,
) -> Timing:
    n, blocks, tasks = graph.iterations, graph.blocks, graph.tasks
    fill_begin = values[:blocks].copy()
    fill_begin[graph.kind != 0] = 0
    return Timing(
        order,
        begin=values[:n],
        finish=values[2 * blocks + tasks :],
        block_finish=values[blocks + tasks : 2 * blocks + tasks],
        fill_begin=fill_begin,
        task_begin=values[blocks : blocks + tasks] - durations[blocks : blocks + tasks],
        waiting=pending,
        undone=undone,
    )


def _wrong(
    graph: TaskGraph,
    events: Events,
    repeats: Repeats,
    values: Times,
    durations: Times,
    order: Order | None,
) -> list[tuple[tuple[int, int, int], int | None]]:
    """The stretches behind which not all is where its copies would go on, and how much later."""
    wrong: list[tuple[tuple[int, int, int], int | None]] = []
    n, blocks, tasks = graph.iterations, graph.blocks, graph.tasks
    used = np.ones(events.count, dtype=np.bool_)
    used[n:blocks] = graph.kind[n:] == 0
    if order is not None:
        used[blocks + tasks :] = False  # what waits for these events waits for what they are of
    by_iteration = np.argsort(events.iteration, kind="stable")
    starts = np.searchsorted(events.iteration[by_iteration], np.arange(n + 1))
    for stretch in repeats.stretches:
        lengths = (starts[1:] - starts[:-1])[stretch.stand]
        mine, place = runs(starts[stretch.stand], lengths)
        stand = by_iteration[place]
        keep = used[stand]
        mine, stand = mine[keep], stand[keep]
        before = events.at(stand, stretch.before[mine])
        after = events.at(stand, stretch.after[mine])
        there = (starts[1:] - starts[:-1])[stretch.after]
        if (before < 0).any() or (after < 0).any() or (there != lengths).any():
            wrong.append((stretch.where, None))
            continue
        grown = values[stand] + (stretch.copies + 1) * (values[stand] - values[before])
        alike = (durations[stand] == durations[before]) & (durations[stand] == durations[after])
        if not alike.all():
            wrong.append((stretch.where, None))
        elif (values[after] != grown).any():
            wrong.append((stretch.where, int((values[after] - grown).max())))
    return wrong


def _evaluate_plain(
    durations: Any,
    into: Any,
    sources: Any,
    terms: Any,
    factor: Any,
    later: Any,
    back: Any,
    out_start: Any,
    out: Any,
    pending: Any,
    values: Any,
) -> int:
    """Settle events once all that they need is settled; the number of those that never are."""
    count = len(values)
    stack = np.empty(count, np.int64)
    top = 0
    for event in range(count):
        if pending[event] == 0:
            stack[top] = event
            top += 1
    settled = 0
    while top > 0:
        top -= 1
        event = stack[top]
        settled += 1
        best = durations[event] * 0
        for edge in range(into[event], into[event + 1]):
            value = values[sources[edge]]
            for term in range(terms[edge], terms[edge + 1]):
                value += factor[term] * (values[later[term]] - values[back[term]])
            best = max(best, value)
        values[event] = best + durations[event]
        for k in range(out_start[event], out_start[event + 1]):
            target = out[k]
            pending[target] -= 1
            if pending[target] == 0:
                stack[top] = target
                top += 1
    return count - settled


def _compiled(function: Any) -> Any:
    import numba

    return numba.njit(cache=True, nogil=True)(function)


_evaluate: Any = _compiled(_evaluate_plain)
