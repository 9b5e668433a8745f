"""All precedences between the events of a task graph, each with its rule and its reason.

This is the one list of what waits for what. Timing, slack, the critical path, the reasons in a
timeline and deadlocks read it. A graph in which every tile iteration is sampled is the instance in
which no awaited event is some periods later.

The finish of a tile iteration is the latest of the ends of its tasks and of the earlier finishes of
its leaf. Where sampled tile iterations represent skipped ones, these may diverge at different
constant rates, and their maximum does not grow at a constant rate. There, precedences on a finish
are replaced by precedences on the last task up to it on each port.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polylat.schedule.arrays import Ints, concatenated_ranges, group_by_key
from polylat.schedule.events import EventNumbering, Precedences
from polylat.schedule.reasons import PORT, START

__all__ = ["EventPrecedences", "FinishingTasks", "consecutive", "event_precedences"]


@dataclass(frozen=True, eq=False)
class EventPrecedences(Precedences):
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
class FinishingTasks:
    """The tasks that finishes of tile iterations consist of: the last ones up to it on each port.

    Parameters
    ----------
    ends
        Precedences from tasks to tile iterations (numbers of tasks, and of tile iterations).
    edges
        Precedences from tasks to edges (numbers of edges) whose source is a finish.
    """

    ends: Precedences
    edges: Precedences


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
    finishing: FinishingTasks | None = None,
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

    Returns
    -------
    EventPrecedences
        The precedences; those of one target by one rule are listed latest source first. Finishes of
        foreground blocks, for which nothing waits, have none.
    """
    return _Listing(events, served, chain, finishing).precedences()


class _Listing:
    """Collects the precedences of all events.

    Rules of a start, in the order of comparison: the previous tile iteration of the leaf, the edges
    (of one edge: the finish or the block, the start, the last task on each port), the fills. Rules
    of a task: its start, the port. Rules of a block: its tasks, its start. Rules of a finish: tasks
    of the foreground, tasks of the fills, edges, the previous finish, the start.
    """

    def __init__(
        self,
        events: EventNumbering,
        served: Precedences | None,
        chain: Precedences | None,
        finishing: FinishingTasks | None,
    ) -> None:
        self.events, self.graph = events, events.graph
        graph = self.graph
        self.loops = len(graph.edge_periods)
        self.served, self.finishing = served, finishing
        self.chain = _all_sampled(events, self.loops) if chain is None else chain
        self.width = graph.ports + 2
        self.ready = np.where(graph.kind == 0, np.arange(graph.blocks), graph.owner)
        self.edge_rule = (graph.edge_rule + 1) * self.width
        self.behind_edges = (int(graph.edge_rule.max(initial=0)) + 2) * self.width
        # A foreground block finishes with its tile iteration.
        late = events.finish(graph.edge_target - graph.blocks)
        self.edge_target = np.where(graph.edge_target < graph.blocks, graph.edge_target, late)
        self.parts: list[tuple[Ints, Ints, Ints, Ints, Ints]] = []

    def precedences(self) -> EventPrecedences:
        self._of_starts()
        self._of_tasks()
        if self.finishing is None:
            self._of_blocks()
            self._of_finishes()
            self._of_edges()
        else:
            self._of_finishing_tasks(self.finishing)
        source, target, rule, reason = (
            np.concatenate([part[k] for part in self.parts]) for k in (0, 1, 3, 4)
        )
        periods = np.concatenate([part[2] for part in self.parts], axis=1)
        return EventPrecedences(source, target, periods, rule, reason, self.width)

    def _add(
        self,
        source: Ints,
        target: Ints,
        rule: Ints | int,
        periods: Ints | None = None,
        reason: Ints | int = START,
    ) -> None:
        count = len(source)
        if periods is None:
            periods = np.zeros((self.loops, count), dtype=np.int64)
        rule, reason = (np.broadcast_to(np.asarray(v), (count,)) for v in (rule, reason))
        self.parts.append((source, target, periods, rule, reason))

    def _of_starts(self) -> None:
        graph, chain = self.graph, self.chain
        self._add(chain.source, chain.target, 0, chain.periods)
        fills = np.flatnonzero(graph.kind == 0)
        self._add(fills, graph.owner[fills], self.behind_edges + graph.sequence[fills])

    def _of_tasks(self) -> None:
        graph, events, served = self.graph, self.events, self.served
        every = np.arange(graph.tasks)
        self._add(self.ready[graph.task_block], events.task(every), 0)
        if served is not None:
            leaf = graph.leaf[graph.owner[graph.task_block[served.source]]]
            tasks = events.task(served.source), events.task(served.target)
            self._add(*tasks, 1 + leaf, served.periods, PORT)

    def _of_blocks(self) -> None:
        graph, events = self.graph, self.events
        separate = np.arange(graph.iterations, graph.blocks)
        tasks = np.flatnonzero(graph.task_block >= graph.iterations)[::-1]
        self._add(events.task(tasks), events.block(graph.task_block[tasks]), 0)
        self._add(self.ready[separate], events.block(separate), 1)

    def _of_finishes(self) -> None:
        graph, events, chain = self.graph, self.events, self.chain
        kind, owner = graph.kind[graph.task_block], graph.owner[graph.task_block]
        for rule, some in enumerate((kind == 1, kind == 0)):
            tasks = np.flatnonzero(some)[::-1]
            self._add(events.task(tasks), events.finish(owner[tasks]), rule)
        after = events.finish(chain.source), events.finish(chain.target)
        self._add(*after, self.behind_edges, chain.periods)
        every = np.arange(graph.iterations)
        self._add(every, events.finish(every), self.behind_edges + 1)

    def _of_edges(self) -> None:
        graph, events = self.graph, self.events
        order = _latest_first(graph.edge_source)
        source, reason = graph.edge_source[order], graph.edge_reason[order]
        finish = events.finish(np.minimum(source, graph.iterations - 1))
        source = np.where(source < graph.iterations, finish, events.block(source))
        target, rule = self.edge_target[order], self.edge_rule[order]
        self._add(source, target, rule, graph.edge_periods[:, order], reason)

    def _of_finishing_tasks(self, finishing: FinishingTasks) -> None:
        graph, events = self.graph, self.events
        every = np.arange(graph.iterations)
        ends, edges = finishing.ends, finishing.edges
        self._add(every, events.finish(every), 0)
        self._add(events.task(ends.source), events.finish(ends.target), 0, ends.periods)
        self._of_edge_tasks(edges.source, edges.target, edges.periods)
        start, of_block = group_by_key(graph.task_block, graph.blocks)
        single = np.flatnonzero(graph.edge_source >= graph.iterations)
        blocks = graph.edge_source[single]
        which, place = concatenated_ranges(start[blocks], np.diff(start)[blocks])
        edge = single[which]
        self._of_edge_tasks(of_block[place], edge, graph.edge_periods[:, edge])
        # The source of an edge finishes no earlier than it starts.
        began, rule = self.ready[graph.edge_source], self.edge_rule + 1
        self._add(began, self.edge_target, rule, graph.edge_periods, graph.edge_reason)

    def _of_edge_tasks(self, tasks: Ints, edges: Ints, periods: Ints) -> None:
        graph = self.graph
        rule = self.edge_rule[edges] + 2 + graph.task_port[tasks]
        source, reason = self.events.task(tasks), graph.edge_reason[edges]
        self._add(source, self.edge_target[edges], rule, periods, reason)


def _latest_first(sources: Ints) -> Ints:
    """Return the positions of sources in decreasing order."""
    _, order = group_by_key(sources, int(sources.max(initial=0)) + 1)
    return np.asarray(order[::-1])


def _all_sampled(events: EventNumbering, loops: int) -> Precedences:
    """Return the precedences from each tile iteration to the next one of its leaf."""
    after = np.flatnonzero(~events.graph.leaf_starts)
    return Precedences(after - 1, after, np.zeros((loops, len(after)), dtype=np.int64))
