"""Earliest times of a task graph whose sampled tile iterations represent skipped ones.

A loop is sampled around *skipped ranges*, each a whole number of periods long. Let t(k) be the time
of the translate, k periods later, of an event in the last sampled period before a range. Skipped
times are extrapolated: t(k) = t(0) + k · (t(0) − t(−1)). Behind the range, where sampling resumes,
the computed times must lie on that line. That is necessary, and says where to sample anew. Whether
the extrapolated times are the earliest of all tile iterations is decided by `extension`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Times, concatenated_ranges
from polylat.schedule.events import EventNumbering, Precedences
from polylat.schedule.extension import ExtensionRules, PortRules, ServiceRules, SkewRules
from polylat.schedule.finishing import FinishEvents
from polylat.schedule.graph import TaskGraph
from polylat.schedule.longest_path import PrecedenceSystem
from polylat.schedule.precedences import (
    EventPrecedences,
    PortPrecedences,
    event_precedences,
)
from polylat.schedule.timing import Order, TaskSchedule

__all__ = [
    "NotPeriodicError",
    "PeriodicScheduler",
    "PeriodicStructure",
    "PeriodicTaskGraph",
    "SkippedRange",
    "extrapolation_terms",
]


class NotPeriodicError(Exception):
    """A skipped range is not represented by the sampled periods around it.

    Parameters
    ----------
    places
        (leaf, loop, number of the range in the loop) of each such range; empty if undetermined.
    timing
        The schedule in which this was found, if any.
    excess
        Per range around which only times differ: the largest delay of an event behind it, in steps,
        against the extrapolation.
    tails
        (leaf, loop) → number of iterations before the end of each range of the loop that must be
        sampled before anything else can be said.
    """

    def __init__(
        self,
        places: Sequence[tuple[int, int, int]],
        timing: TaskSchedule | None = None,
        excess: Mapping[tuple[int, int, int], int] | None = None,
        tails: Mapping[tuple[int, int], int] | None = None,
    ) -> None:
        super().__init__(f"not periodic: {places}")
        self.places = tuple(places)
        self.timing = timing
        self.excess = excess or {}
        self.tails = tails or {}


@dataclass(frozen=True, eq=False)
class SkippedRange:
    """A skipped range of a loop, and the sampled periods around it.

    Parameters
    ----------
    where
        (leaf, loop, number of the range in the loop).
    periods
        Number of skipped periods.
    stand
        Shape (n,): the tile iterations of the last period before the range, which represent the
        skipped ones.
    before, after
        Shape (n,): the translates of `stand` one period earlier, and in the first period behind
        the range.
    """

    where: tuple[int, int, int]
    periods: int
    stand: Ints
    before: Ints
    after: Ints


@dataclass(frozen=True, eq=False)
class PeriodicStructure:
    """The periodic structure of a task graph: what extrapolating skipped ranges requires.

    Parameters
    ----------
    earlier
        Shape (loops, iterations): the translate one period earlier; -1 where a tile iteration
        represents no others.
    chain
        Precedences from each tile iteration to the next one of its leaf.
    skipped_ranges
        The skipped ranges.
    of_ports, of_finishing
        List the precedences between the tasks of each port, and the tasks that finishes of tile
        iterations consist of.
    of_all, of_service, of_skew
        List the precedences of all tile iterations, by which extrapolated times are checked; those
        of an order of service that is given (`PortPrecedences.seen`); and those of the order
        "skew", where fills that are served ahead come before other blocks.

    Notes
    -----
    These are listed on first use: a schedule in which no block waits for a port needs none of the
    ports, and in most samples that are too small, the times of the sampled tile iterations show it.
    """

    earlier: Ints
    chain: Precedences
    skipped_ranges: tuple[SkippedRange, ...]
    of_ports: Callable[[], PortPrecedences]
    of_finishing: Callable[[], FinishEvents]
    of_all: Callable[[], ExtensionRules]
    of_service: Callable[[], ServiceRules] | None = None
    of_skew: Callable[[], SkewRules] | None = None

    @cached_property
    def ports(self) -> PortPrecedences:
        """Precedences between the tasks of each port."""
        return self.of_ports()

    @cached_property
    def finishing(self) -> FinishEvents:
        """The tasks that finishes of tile iterations consist of."""
        return self.of_finishing()

    @cached_property
    def all_members(self) -> ExtensionRules:
        """The precedences of all tile iterations, by which extrapolated times are checked."""
        return self.of_all()

    @cached_property
    def skew(self) -> SkewRules | None:
        """The order "skew", where fills that are served ahead come before other blocks."""
        return None if self.of_skew is None else self.of_skew()

    def port_rules(self, order: Order | None) -> PortRules | None:
        """Return the precedences of an order of service that is not simply that of the dates.

        Parameters
        ----------
        order
            The order.

        Returns
        -------
        PortRules or None
            None for the orders whose precedences are among `all_members`.
        """
        if order == "oldest" and self.service is not None:
            return self.service
        return self.skew if order in ("skew", "oldest") else None

    @cached_property
    def service(self) -> ServiceRules | None:
        """The order of service taken from another schedule, as a candidate for "oldest"."""
        return None if self.of_service is None else self.of_service()


@dataclass(frozen=True, eq=False)
class PeriodicTaskGraph:
    """A task graph whose sampled tile iterations represent skipped ones.

    Parameters
    ----------
    graph
        The task graph of the sampled tile iterations.
    repeats
        Its periodic structure.
    """

    graph: TaskGraph
    repeats: PeriodicStructure

    @cached_property
    def events(self) -> EventNumbering:
        """The numbering of events."""
        return EventNumbering(self.graph)

    def precedences(self, order: Order | None) -> EventPrecedences:
        """Return all precedences between events.

        Parameters
        ----------
        order
            As for `timer`.

        Returns
        -------
        EventPrecedences
            The precedences; where ports serve in an order, those on finishes are replaced.

        Raises
        ------
        NotPeriodicError
            The order of service is not known for skipped tile iterations.
        """
        repeats = self.repeats
        if order is None:
            stalled = repeats.finishing.starts.ends if self.graph.rigid else None
            return event_precedences(self.events, None, repeats.chain, stalled=stalled)
        served = repeats.ports.of(order)
        if served is None:
            raise NotPeriodicError([])
        return event_precedences(self.events, served, repeats.chain, repeats.finishing)

    @cached_property
    def _boundaries(self) -> _Boundaries:
        return _boundaries_of(self.events, self.repeats.skipped_ranges)

    @cached_property
    def circular(self) -> list[tuple[int, int, int]]:
        """The skipped ranges in which a tile iteration might wait for itself, taking no time.

        A cycle of precedences through a task, which takes time, contradicts any times of it. Only
        tile iterations without tasks may wait for each other at one instant. They do not if they
        can be numbered, increasing along the precedences: the numbers are times of another graph,
        in which tile iterations take one step each, and tasks none.
        """
        graph = self.graph
        front = np.zeros(graph.iterations, dtype=np.bool_)
        front[graph.owner[graph.task_block[graph.kind[graph.task_block] == 1]]] = True
        # What waits for a tile iteration of another leaf also waits for its tasks. So a leaf whose
        # tile iterations all have one is in no cycle; and no cycle is within one leaf.
        idle = np.unique(graph.leaf[~front])
        if len(idle) == 0 or (len(idle) == 1 and not (graph.kind != 1).any()):
            return []
        waits = self.precedences(None)
        terms = extrapolation_terms(self.events, self.repeats.earlier, waits)
        lag = waits.lag * 0
        system = PrecedenceSystem(self.events.count, waits.source, waits.target, lag, terms)
        steps = np.zeros(self.events.count, dtype=np.int64)
        steps[: graph.iterations] = 1
        if system.undone:
            return []
        members = self.repeats.all_members
        potential = _times_of(self.events, system.earliest(steps))
        return members.not_increasing(members.extended(*potential, graph.task_duration * 0, unit=0))

    def timer(self, order: Order | None) -> PeriodicScheduler:
        """Prepare to schedule the graph for many durations.

        Parameters
        ----------
        order
            A static order, or "oldest" if its order of service is given (`PortPrecedences.seen`);
            None lets ports serve any number of tasks at once.

        Returns
        -------
        PeriodicScheduler
            The sorted precedences.

        Raises
        ------
        NotPeriodicError
            A precedence is on a skipped event that no sampled one represents.
        """
        return PeriodicScheduler(self, order)

    def time(self, order: Order | None) -> TaskSchedule:
        """Return the earliest (ASAP) schedule under an order of service.

        Parameters
        ----------
        order
            As for `timer`.

        Returns
        -------
        TaskSchedule
            The schedule; check `TaskSchedule.legal`.

        Raises
        ------
        NotPeriodicError
            The times behind a skipped range do not continue those before it.
        """
        timer = self.timer(order)
        return timer.timing(self.graph.task_duration, timer.values(self.graph.task_duration))

    @cached_property
    def unlimited(self) -> TaskSchedule:
        """The schedule in which no block waits for a port, see `time`."""
        return self.time(None)

    def time_static(self) -> dict[Order, TaskSchedule]:
        """Return the earliest (ASAP) schedules under the static orders.

        Returns
        -------
        dict of str to TaskSchedule
            The schedules under "program" and "skew"; without "skew" where fills that are served
            ahead come before other blocks, as it may need another sample.

        Raises
        ------
        NotPeriodicError
            The times behind a skipped range do not continue those before it.
        """
        found: dict[Order, TaskSchedule] = {"program": self.time("program")}
        ports = self.repeats.ports
        if ports.skew is ports.program:
            found["skew"] = replace(found["program"], order="skew")
        elif not self.graph.overtaking:
            found["skew"] = self.time("skew")
        return found


class PeriodicScheduler:
    """Schedules one task graph under one order of service, for many durations of its tasks.

    The precedences are sorted once; each evaluation is one pass over them.

    Parameters
    ----------
    plan
        The task graph.
    order
        As for `PeriodicTaskGraph.timer`.

    Raises
    ------
    NotPeriodicError
        A precedence is on a skipped event that no sampled one represents, or skipped tile
        iterations might wait for each other.
    """

    def __init__(self, plan: PeriodicTaskGraph, order: Order | None) -> None:
        self._graph = plan.graph
        self._order = order
        self._events = events = plan.events
        repeats = plan.repeats
        waits = plan.precedences(order)
        terms = extrapolation_terms(events, repeats.earlier, waits)
        self._system = PrecedenceSystem(events.count, waits.source, waits.target, waits.lag, terms)
        self._stretches = repeats.skipped_ranges
        self._repeats = repeats
        self._boundaries = plan._boundaries.only(_checked(events, order))
        if plan.circular:
            raise NotPeriodicError(plan.circular)

    def values(self, task_duration: Times, unit: int = 1) -> Times:
        """Return the earliest (ASAP) times of all events for given durations.

        Parameters
        ----------
        task_duration
            Shape (tasks,), in steps.
        unit
            Number of these steps per step of the task graph.

        Returns
        -------
        numpy.ndarray
            Shape (events,), in steps; Python integers (dtype object) where 64 bits do not suffice.

        Raises
        ------
        NotPeriodicError
            The times behind a skipped range do not continue those before it.
        """
        durations = self._events.of_tasks(task_duration)
        values = self._system.earliest(durations, unit)
        if values.dtype != durations.dtype:
            return self.values(task_duration.astype(object), unit)
        if not self._system.undone:
            wrong = self._violations(durations, values)
            if wrong:
                late = {where: excess for where, excess in wrong if excess is not None}
                places = [where for where, _ in wrong]
                raise NotPeriodicError(places, self.timing(task_duration, values, unit), late)
            members = self._repeats.all_members
            times = members.extended(*_times_of(self._events, values), task_duration, unit)
            rules = self._repeats.port_rules(self._order)
            places = members.wrong_places(self._order, times, rules)
            if places:
                timing = self.timing(task_duration, values, unit)
                raise NotPeriodicError(places, timing, tails=members.tails)
        return values

    def timing(self, task_duration: Times, values: Times, unit: int = 1) -> TaskSchedule:
        """Return the schedule with given times of events.

        Parameters
        ----------
        task_duration
            Shape (tasks,), in steps.
        values
            Shape (events,), in steps, see `values`.
        unit
            Number of these steps per step of the task graph.

        Returns
        -------
        TaskSchedule
            The schedule, whose task graph has latencies in the same steps.
        """
        events = self._events
        if unit != 1 and events.graph.late:
            graph = events.graph
            latency = graph.latency.astype(values.dtype) * unit
            rigid = {leaf: d.astype(values.dtype) * unit for leaf, d in graph.rigid.items()}
            events = EventNumbering(replace(graph, latency=latency, rigid=rigid))
        return TaskSchedule(
            self._order,
            events,
            task_duration,
            values,
            self._system.waiting,
            self._system.undone,
        )

    def _violations(
        self, durations: Times, values: Times
    ) -> list[tuple[tuple[int, int, int], int | None]]:
        """Skipped ranges that are not extrapolated correctly, and the largest delay behind each.

        The delay is None where not only times differ.
        """
        around = self._boundaries
        stand, before, after = around.stand, around.before, around.after
        late = values[after] - values[stand]
        late -= around.periods.astype(values.dtype) * (values[stand] - values[before])
        unlike = (durations[stand] != durations[before]) | (durations[stand] != durations[after])
        bad = np.asarray(unlike | (late != 0), dtype=np.bool_)
        found: list[tuple[tuple[int, int, int], int | None]] = []
        for number in sorted({*around.unlike, *np.unique(around.which[bad]).tolist()}):
            here = around.which == number
            lost = number in around.unlike or unlike[here].any()
            found.append((self._stretches[number].where, None if lost else int(late[here].max())))
        return found


def _times_of(events: EventNumbering, values: Times) -> tuple[Times, Times]:
    """Return when blocks may start, and when tasks end."""
    return values[: events.graph.blocks], events.of_ends(values)


@dataclass(frozen=True, eq=False)
class _Boundaries:
    """Events in the periods around skipped ranges.

    Parameters
    ----------
    unlike
        Numbers of the ranges around which different events occur.
    which
        Shape (n,): the number of each event's range.
    stand, before, after
        Shape (n,): events of the last period before the range, and their translates one period
        earlier and in the first period behind the range; -1 where there is none.
    periods
        Shape (n,): how many periods `after` is later than `stand`.
    """

    unlike: frozenset[int]
    which: Ints
    stand: Ints
    before: Ints
    after: Ints
    periods: Ints

    def only(self, checked: Mask) -> _Boundaries:
        """Select the events to be checked, but for ranges around which different events occur."""
        some = checked[self.stand]
        lost = some & ((self.before < 0) | (self.after < 0))
        unlike = self.unlike | frozenset(self.which[lost].tolist())
        if unlike:
            some &= ~np.isin(self.which, list(unlike))
        columns = self.which, self.stand, self.before, self.after, self.periods
        return _Boundaries(unlike, *(column[some] for column in columns))


def _checked(events: EventNumbering, order: Order | None) -> Mask:
    """Per event, whether its times must continue linearly behind skipped ranges."""
    graph = events.graph
    checked = np.ones(events.count, dtype=np.bool_)
    if order is not None:
        # Precedences on blocks and finishes are replaced by those on tasks, see `precedences`.
        checked[graph.blocks + graph.tasks :] = False
    return checked


def _boundaries_of(events: EventNumbering, stretches: Sequence[SkippedRange]) -> _Boundaries:
    """All events in the periods around skipped ranges."""
    by_iteration = np.argsort(events.iteration, kind="stable")
    every = np.bincount(events.iteration, minlength=events.graph.iterations)
    starts = np.cumsum(every) - every
    never = np.zeros(0, dtype=np.int64)
    sizes = [len(stretch.stand) for stretch in stretches]
    numbers = np.repeat(np.arange(len(stretches)), sizes)
    periods = np.repeat([stretch.periods + 1 for stretch in stretches], sizes).astype(np.int64)
    standing, earlier, later = (
        np.concatenate([never, *parts])
        for parts in (
            [stretch.stand for stretch in stretches],
            [stretch.before for stretch in stretches],
            [stretch.after for stretch in stretches],
        )
    )
    which, place = concatenated_ranges(starts[standing], every[standing])
    stand = by_iteration[place]
    before, after = events.at(stand, earlier[which]), events.at(stand, later[which])
    unlike = numbers[every[later] != every[standing]]
    return _Boundaries(
        frozenset(unlike.tolist()), numbers[which], stand, before, after, periods[which]
    )


def extrapolation_terms(
    events: EventNumbering, earlier: Ints, waits: Precedences
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the terms by which awaited skipped events are later than their representatives.

    Parameters
    ----------
    events
        The numbering of events.
    earlier
        As in `PeriodicStructure`.
    waits
        Precedences between events.

    Returns
    -------
    (precedence, factor, later, back)
        Each of shape (terms,), see `PrecedenceSystem`: the precedence, the number of periods,
        the representative, and its translate one period earlier.

    Raises
    ------
    NotPeriodicError
        A representative has no translate one period earlier.
    """
    loops, which = np.nonzero(waits.periods)
    source = waits.source[which]
    before = earlier[loops, events.iteration[source]]
    back = np.where(before < 0, -1, events.at(source, before))
    if (back < 0).any():
        raise NotPeriodicError([])
    return which, waits.periods[loops, which], source, back
