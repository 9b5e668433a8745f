"""All precedences between the events of a task graph, each with its rule and its reason.

This is the one list of what waits for what. Timing, slack, the critical path, the reasons in a
timeline and deadlocks read it. A graph in which every tile iteration is sampled is the instance in
which no awaited event is some periods later.

The finish of a tile iteration is the latest of the ends of its tasks and of the earlier finishes of
its leaf. Where sampled tile iterations represent skipped ones, these may diverge at different
constant rates, and their maximum does not grow at a constant rate. There, precedences on a finish
are replaced by precedences on the last task up to it on each port; where fixed latencies differ,
on the last one with at least each of them, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from polylat.schedule.arrays import (
    Ints,
    Mask,
    Narrow,
    Times,
    concatenated_ranges,
    group_by_key,
    widened,
)
from polylat.schedule.events import EventNumbering, LaggedPrecedences, Precedences
from polylat.schedule.finishing import FinishEvents, FinishParts
from polylat.schedule.reasons import FLOW, PASSED, PORT, START, STARTED
from polylat.schedule.stalls import stall_precedences
from polylat.schedule.timing import Order

__all__ = [
    "EventPrecedences",
    "PortPrecedences",
    "consecutive",
    "event_precedences",
    "list_links",
]


_FOREGROUND = 1
"""The kind of blocks whose numbers are those of their tile iterations."""

_LISTED_AT_ONCE = 1 << 16
"""Number of tasks or edges whose precedences are listed at once: their arrays are small."""


@dataclass(frozen=True, eq=False)
class EventPrecedences(LaggedPrecedences):
    """Precedences between events.

    Parameters
    ----------
    rule
        Shape (precedences,): the rule of each precedence. Rules of an event are compared in
        increasing order; `group` says which of them are parts of one.
    reason
        Shape (precedences,): the reason of each precedence (`schedule.reasons`); `START` where the
        two events are of the same leaf.
    width
        Number of rules of a group.
    """

    rule: Ints
    reason: Ints
    width: int

    @property
    def group(self) -> Ints:
        """Shape (precedences,): the number of the edges that each rule is a part of."""
        return self.rule // self.width

    def chosen(self, which: Ints) -> EventPrecedences:
        """Select precedences.

        Parameters
        ----------
        which
            Their positions, or a mask.

        Returns
        -------
        EventPrecedences
            These precedences.
        """
        return EventPrecedences(
            self.source[which],
            self.target[which],
            self.periods[:, which],
            self.lag[which],
            self.rule[which],
            self.reason[which],
            self.width,
        )

    def by_target(self, count: int) -> tuple[Ints, EventPrecedences]:
        """Sort the precedences by target, and those of a target by rule.

        Parameters
        ----------
        count
            Number of events.

        Returns
        -------
        (start, precedences)
            Shape (count + 1,): where the precedences of each event begin; and the precedences.
        """
        _, by_rule = group_by_key(self.rule, int(self.rule.max(initial=0)) + 1)
        start, by_target = group_by_key(self.target[by_rule], count)
        return start, self.chosen(by_rule[by_target])


@dataclass(frozen=True, eq=False)
class PortPrecedences:
    """Precedences between tasks that a port serves one after the other, by order of service.

    Parameters
    ----------
    program, skew
        The static orders: by date and by skewed date; None where they are not known.
    seen
        The order of service taken from another schedule, as a candidate for "oldest"; None if
        there is none.
    """

    program: Precedences | None
    skew: Precedences | None
    seen: Precedences | None = None

    def of(self, order: Order) -> Precedences | None:
        """Return the precedences of an order of service.

        Parameters
        ----------
        order
            The order; "oldest" is represented by `seen` if given, else by "skew".

        Returns
        -------
        Precedences
            Precedences between tasks (numbers of tasks, not of events); None if they are not known.
        """
        if order == "program":
            return self.program
        return self.seen if order == "oldest" and self.seen is not None else self.skew


def consecutive(tasks: Ints, start: Ints, loops: int) -> Precedences:
    """Return the precedences between tasks that a port serves one after the other.

    Parameters
    ----------
    tasks, start
        The tasks by port, in the order of service; where those of each port begin.
    loops
        Number of rows of `periods`.

    Returns
    -------
    Precedences
        Precedences between tasks, none of them some periods later.
    """
    follows = np.ones(len(tasks), dtype=np.bool_)
    follows[start[:-1][start[:-1] < start[1:]]] = False
    at = np.flatnonzero(follows)
    return Precedences(tasks[at - 1], tasks[at], np.zeros((loops, len(at)), dtype=np.int64))


def event_precedences(
    events: EventNumbering,
    served: Precedences | None,
    chain: Precedences | None = None,
    finishing: FinishEvents | None = None,
    stalled: LaggedPrecedences | None = None,
) -> EventPrecedences:
    """List all precedences between events.

    Parameters
    ----------
    events
        The task graph, and the numbering of its events.
    served
        Precedences between tasks that a port serves one after the other; None lets ports serve any
        number of tasks at once.
    chain
        Precedences from each tile iteration to the next one of its leaf; None: all are sampled.
    finishing
        The tasks that replace finishes; None keeps precedences on finishes.
    stalled
        Precedences from starts to finishes of tile iterations in rigid pipelines; None: all are
        sampled. Not used where `finishing` is given, which has its own.

    Returns
    -------
    EventPrecedences
        The precedences; those of one target by one rule are listed latest source first. Finishes of
        foreground blocks, for which nothing waits, have none.
    """
    return _Listing(events, served, chain, finishing, stalled).precedences()


def list_links(events: EventNumbering, take: Callable[[Ints, Ints, Times | int], None]) -> None:
    """List all precedences but those of ports, where every tile iteration is sampled.

    Parameters
    ----------
    events
        The task graph, and the numbering of its events.
    take
        Takes the sources, targets and lags of some precedences at a time, shape (n,) each.
    """
    listing = _Listing(events, None, None, None, None)
    listing.take = take
    listing.collect()


class _Part(NamedTuple):
    """Some precedences; a rule, a reason and a lag may be the same for all of them."""

    source: Narrow
    target: Narrow
    rule: Ints | int
    periods: Ints | None
    reason: Ints | int
    lag: Times | int


class _Listing:
    """Collects the precedences of all events.

    Rules of a start, in the order of comparison: the previous tile iteration of the leaf, or the
    finish of the own one for a write-back; the edges (of one edge: the finish or the block, the
    start, the last tasks on each port, other starts); the fills. Rules of a task: its start, the
    port. Rules of a block: its tasks, its start. Rules of a finish, and of the end of service of a
    tile iteration: its tasks, the previous one, the start, other starts.
    """

    def __init__(
        self,
        events: EventNumbering,
        served: Precedences | None,
        chain: Precedences | None,
        finishing: FinishEvents | None,
        stalled: LaggedPrecedences | None,
    ) -> None:
        self.events, self.graph = events, events.graph
        graph = self.graph
        self.loops = len(graph.edge_periods)
        self.served, self.finishing, self.stalled = served, finishing, stalled
        self.chain = _all_sampled(events, self.loops) if chain is None else chain
        of_tasks = 1 if finishing is None else finishing.tasks.most
        of_starts = 1 if finishing is None else finishing.starts.most
        self.behind_tasks = 2 + of_tasks * graph.ports
        self.width = self.behind_tasks + of_starts - 1
        self.behind_edges = (int(graph.edge_rule.max(initial=0)) + 2) * self.width
        self.parts: list[_Part] = []
        self.take: Callable[[Ints, Ints, Times | int], None] | None = None
        """Takes the sources, targets and lags of each part, where these only are wanted."""

    @cached_property
    def edge_rule(self) -> Ints:
        """Shape (edges,): the first rule of each edge."""
        return (self.graph.edge_rule.astype(np.int64) + 1) * self.width

    def precedences(self) -> EventPrecedences:
        """All precedences with their rules and reasons."""
        self.collect()
        source, target = self._joined()
        lag = self._lags(len(source))
        counts = [len(part.source) for part in self.parts]
        rule, reason = (
            np.concatenate([np.broadcast_to(v, n) for v, n in zip(column, counts, strict=True)])
            for column in zip(*((part.rule, part.reason) for part in self.parts), strict=True)
        )
        periods = np.zeros((self.loops, len(source)), dtype=np.int64)
        at = 0
        for part, count in zip(self.parts, counts, strict=True):
            if part.periods is not None and self.loops:
                periods[:, at : at + count] = part.periods
            at += count
        return EventPrecedences(source, target, periods, lag, rule, reason, self.width)

    def collect(self) -> None:
        """List the precedences: as parts, or to `take`."""
        if self.take is None:
            none = np.zeros(0, dtype=np.int64)
            self.parts.append(_Part(none, none, 0, None, START, 0))
        self._of_starts()
        self._of_tasks()
        if self.finishing is None:
            self._of_fills()
            self._of_blocks()
            self._of_finishes()
            self._of_edges()
        else:
            self._of_fill_tasks()
            self._of_finish_events(self.finishing)

    def _joined(self) -> tuple[Ints, Ints]:
        source = np.concatenate([part.source for part in self.parts])
        target = np.concatenate([part.target for part in self.parts])
        return source, target

    def _lags(self, count: int) -> Times:
        lags: Times = np.full(count, 0, dtype=self.graph.latency.dtype)
        at = 0
        for part in self.parts:
            lags[at : at + len(part.source)] = part.lag
            at += len(part.source)
        return lags

    def _add(
        self,
        source: Ints,
        target: Ints,
        rule: Ints | int,
        periods: Ints | None = None,
        reason: Ints | int = START,
        lag: Times | int = 0,
    ) -> None:
        if not len(source):
            return
        if self.take is not None:
            self.take(source, target, lag)
        else:
            self.parts.append(_Part(source, target, rule, periods, reason, lag))

    def _of_starts(self) -> None:
        self._add(self.chain.source, self.chain.target, 0, self.chain.periods)

    def _of_fills(self) -> None:
        graph, events = self.graph, self.events
        fills = events.numbers_where(graph.kind == 0)
        rule = self.behind_edges + widened(graph.sequence[fills]) * self.width
        self._add(
            events.block(fills), graph.owner[fills], rule, reason=FLOW, lag=graph.latency[fills]
        )

    def _of_fill_tasks(self) -> None:
        graph, events = self.graph, self.events
        fills = np.flatnonzero(graph.kind == 0)
        tasks = np.flatnonzero(graph.kind[graph.task_block] == 0)
        parts = ((fills, fills, 0), (tasks, graph.task_block[tasks], 1 + graph.task_port[tasks]))
        for of, blocks, port in parts:
            event = of if of is fills else events.task(of)
            rule = self.behind_edges + widened(graph.sequence[blocks]) * self.width + port
            self._add(event, graph.owner[blocks], rule, reason=FLOW, lag=graph.latency[blocks])

    def _of_tasks(self) -> None:
        graph, events, served = self.graph, self.events, self.served
        for first in range(0, graph.tasks, _LISTED_AT_ONCE):
            blocks = graph.task_block[first : first + _LISTED_AT_ONCE]
            tasks = np.arange(first, first + len(blocks), dtype=events.number_type)
            self._add(blocks, events.task(tasks), 0)
        if served is not None:
            leaf = graph.leaf[graph.owner[graph.task_block[served.source]]]
            before, after = events.task(served.source), events.task(served.target)
            self._add(before, after, 1 + leaf, served.periods, PORT)

    def _of_blocks(self) -> None:
        graph, events = self.graph, self.events
        for tasks, blocks in self._tasks_latest_first(foreground=False):
            self._add(events.task(tasks), events.block(blocks), 0)
        separate = events.numbers_where(graph.kind != _FOREGROUND)
        if self.take is not None:  # a task ends after its block starts
            separate = separate[~self._served[graph.iterations :]]
        self._add(separate, events.block(separate), 1)

    @property
    def _served(self) -> Mask:
        """Shape (blocks,): whether some port serves a block."""
        found = np.zeros(self.graph.blocks, dtype=np.bool_)
        found[self.graph.task_block] = True
        return found

    def _tasks_latest_first(self, *, foreground: bool) -> Iterator[tuple[Narrow, Narrow]]:
        """Return the tasks of foregrounds or of separate blocks, and their blocks, latest first."""
        graph = self.graph
        for first in reversed(range(0, graph.tasks, _LISTED_AT_ONCE)):
            blocks = graph.task_block[first : first + _LISTED_AT_ONCE]
            place = np.flatnonzero((blocks < graph.iterations) == foreground)[::-1]
            yield (place + first).astype(self.events.number_type), blocks[place]

    def _of_finishes(self) -> None:
        graph, events, chain = self.graph, self.events, self.chain
        every = np.arange(graph.iterations, dtype=events.number_type)
        # A task ends after its tile iteration starts.
        idle = events.numbers_where(~self._served[: graph.iterations])
        ends = [(events.finish(every), graph.latency)]
        if graph.late:
            ends.append((events.block(every), graph.latency * 0))
        for end, lag in ends:
            for tasks, owner in self._tasks_latest_first(foreground=True):
                self._add(events.task(tasks), end[owner], 0, lag=lag[owner] if graph.late else 0)
            self._add(end[chain.source], end[chain.target], 1, chain.periods)
            self._add(idle, end[idle], 2, lag=lag[idle])
        if self.stalled is None and graph.rigid:
            started, held, lags = stall_precedences(graph)
            self._add(started, events.finish(held), 3, lag=lags)
        elif self.stalled is not None:
            held = events.finish(self.stalled.target)
            self._add(self.stalled.source, held, 3, self.stalled.periods, lag=self.stalled.lag)
        written = events.numbers_where(graph.kind == 2)
        self._add(events.finish(graph.owner[written]), written, 0, reason=FLOW)

    def _of_edges(self) -> None:
        graph = self.graph
        count = len(graph.edge_source)
        if self.take is None:
            self._add_edges(_latest_first(graph.edge_source))
        else:
            for first in range(0, count, _LISTED_AT_ONCE):
                self._add_edges(slice(first, min(first + _LISTED_AT_ONCE, count)))

    def _add_edges(self, which: Ints | slice) -> None:
        graph, events = self.graph, self.events
        source, target = graph.edge_source[which], graph.edge_target[which]
        until, reason = graph.edge_until[which], graph.edge_reason[which]
        lag: Times | int = 0
        rule: Ints | int = 0
        periods: Ints | None = None
        if self.take is None:
            rule, periods = self.edge_rule[which], graph.edge_periods[:, which]
        if graph.late or self.take is None:
            waits = (until == PASSED) & (source >= graph.iterations)
            lag = np.where(waits, graph.latency[source], 0)
        event = events.block(source)
        whole = (source < graph.iterations) & ((until == PASSED) | (not graph.late))
        event[whole] = events.finish(source[whole])
        event[until == STARTED] = source[until == STARTED]
        self._add(event, target, rule, periods, reason, lag)

    def _of_finish_events(self, finishing: FinishEvents) -> None:
        graph, events = self.graph, self.events
        every = np.arange(graph.iterations)
        late = graph.latency
        parts = finishing.tasks
        ends, edges, written = parts.ends, parts.edges, parts.written
        self._add(every, events.finish(every), 0, lag=late[every])
        finishes = events.finish(ends.target)
        self._add(events.task(ends.source), finishes, 0, ends.periods, lag=ends.lag)
        rule = self._task_rule(written.source, written.place) - 1
        tasks = events.task(written.source)
        self._add(tasks, written.target, rule, written.periods, FLOW, written.lag)
        backs = np.flatnonzero(graph.kind == 2)
        self._add(graph.owner[backs], backs, 0, reason=FLOW, lag=late[graph.owner[backs]])
        self._of_edge_tasks(edges.source, edges.target, edges.periods, edges.lag, edges.place)
        self._of_other_starts(finishing.starts)
        start, of_block = group_by_key(graph.task_block, graph.blocks)
        single = np.flatnonzero(
            (graph.edge_source >= graph.iterations) & (graph.edge_until != STARTED)
        )
        blocks = graph.edge_source[single]
        which, place = concatenated_ranges(start[blocks], np.diff(start)[blocks])
        edge = single[which]
        lag, first = self._edge_lag(edge), np.zeros_like(edge)
        self._of_edge_tasks(of_block[place], edge, graph.edge_periods[:, edge], lag, first)
        # The source of an edge finishes no earlier than it starts.
        self._add(
            graph.edge_source,
            graph.edge_target,
            self.edge_rule + 1,
            graph.edge_periods,
            graph.edge_reason,
            self._edge_lag(np.arange(len(graph.edge_source))),
        )

    def _of_other_starts(self, parts: FinishParts) -> None:
        graph, events = self.graph, self.events
        ends, edges, written = parts.ends, parts.edges, parts.written
        self._add(ends.source, events.finish(ends.target), 3, ends.periods, lag=ends.lag)
        rule = self._start_rule(written.place)
        self._add(written.source, written.target, rule, written.periods, FLOW, written.lag)
        of, rule = edges.target, self.edge_rule[edges.target] + self._start_rule(edges.place)
        reason = graph.edge_reason[of]
        self._add(edges.source, graph.edge_target[of], rule, edges.periods, reason, edges.lag)

    def _start_rule(self, place: Ints) -> Ints:
        """Number the starts of one finish, its own aside, within the rules of an edge."""
        return self.behind_tasks + place - 1

    def _task_rule(self, tasks: Ints, place: Ints) -> Ints:
        """Number the tasks of one finish within the rules of an edge."""
        return 2 + place * self.graph.ports + self.graph.task_port[tasks]

    def _of_edge_tasks(
        self, tasks: Ints, edges: Ints, periods: Ints, lag: Times, place: Ints
    ) -> None:
        graph = self.graph
        rule = self.edge_rule[edges] + self._task_rule(tasks, place)
        source, reason = self.events.task(tasks), graph.edge_reason[edges]
        self._add(source, graph.edge_target[edges], rule, periods, reason, lag)

    def _edge_lag(self, edges: Ints) -> Times:
        graph = self.graph
        passed = graph.edge_until[edges] == PASSED
        lag: Times = np.where(passed, graph.latency[graph.edge_source[edges]], 0)
        return lag


def _latest_first(sources: Ints) -> Ints:
    """Return the positions of sources in decreasing order."""
    _, order = group_by_key(sources, int(sources.max(initial=0)) + 1)
    return np.asarray(order[::-1])


def _all_sampled(events: EventNumbering, loops: int) -> Precedences:
    """Return the precedences from each tile iteration to the next one of its leaf."""
    after = events.numbers_where(~events.graph.leaf_starts)
    return Precedences(after - 1, after, np.zeros((loops, len(after)), dtype=np.int64))
