"""Whether the times of sampled tile iterations, extended to all, are an earliest (ASAP) schedule.

A sampled tile iteration represents a box of skipped ones; the time of an event grows by a constant
rate per period of each loop. This extended schedule is the ASAP schedule of all tile iterations if
every precedence holds for all members of every box, and if every event is attained: one of its
precedences holds with equality throughout its box, or its time is 0 there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Narrow, Times
from polylat.schedule.boxes import Parts, Rows, Sources, decide_rows
from polylat.schedule.decisions import Decision, ExtendedTimes, ServiceChoices
from polylat.schedule.event_families import EventFamilies
from polylat.schedule.grid import Grid, fill_forward
from polylat.schedule.timing import Order

__all__ = ["ExtensionRules", "Followers", "PortRules", "ServiceRules", "SkewRules"]

_LIMIT = 1 << 61

_FOLLOWERS_AT_ONCE = 50_000
"""How many followers are examined at once: it bounds the memory that they take."""


@dataclass(frozen=True, eq=False)
class PortRules:
    """The precedences of an order of service.

    Parameters
    ----------
    parts
        The parts of the boxes, per source of the precedences.
    precedences
        Every task begins after the tasks that its port serves before it.
    """

    parts: Parts
    precedences: Rows


@dataclass(frozen=True, eq=False)
class SkewRules(PortRules):
    """The order "skew", where fills that are served ahead come before other blocks.

    Parameters
    ----------
    parts, precedences
        As in `PortRules`.
    sources
        Where the sources of the precedences lie.
    undecided
        (leaf, point of its grid) of boxes with a precedence that does not move with the box.
    """

    sources: Sources
    undecided: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Followers:
    """For tasks and streams on their ports, the first task of the stream that is served later.

    Parameters
    ----------
    parts, rows
        The parts of the boxes, and one row per task and follower.
    ready
        Shape (rows,): the family of the times at which followers are ready.
    older
        Shape (rows,): whether the task is before its follower in the order "oldest".
    """

    parts: Parts
    rows: Rows
    ready: Ints
    older: Mask


@dataclass(frozen=True, eq=False)
class ServiceRules(PortRules):
    """The precedences of an order of service, and what makes it work-conserving.

    Parameters
    ----------
    parts, precedences
        As in `PortRules`.
    waiting, older
        Shape (followers,): the task that has each follower, and whether it is before its follower
        in the order "oldest".
    followers
        Lists the followers with given numbers.
    """

    waiting: Narrow
    older: Mask
    followers: Callable[[Ints], Followers]


@dataclass(frozen=True, eq=False)
class ExtensionRules:
    """All precedences of a sampled mapping, for all members of the boxes.

    Parameters
    ----------
    grid, families
        The grids of the leaves, and the event families.
    sources
        Where the sources of the precedences lie.
    common
        The precedences without ports.
    in_order
        The precedences of a leaf's tasks on each port.
    program, skew
        The precedences between leaves on each port, by order of service; None where fills that are
        served ahead come before other blocks, see `SkewRules`.
    ready_order
        The fills of a stream are ready in order: required by work-conserving orders.
    undecided
        (leaf, point of its grid) of boxes with a precedence that does not move with the box.
    tails
        As in `NotPeriodicError`, for the precedences that do not move with their box.
    """

    grid: Grid
    families: EventFamilies
    sources: Sources
    common: Rows
    in_order: Rows
    program: Rows
    skew: Rows | None
    ready_order: Rows
    undecided: tuple[tuple[int, int], ...]
    tails: Mapping[tuple[int, int], int]

    def extended(self, begin: Times, end: Times, duration: Times, unit: int = 1) -> ExtendedTimes:
        """Extend the times of sampled tile iterations to all event families.

        Parameters
        ----------
        begin, end
            Times in steps: when each block may begin, shape (blocks,), and when each task ends,
            shape (tasks,).
        duration
            Shape (tasks,), in steps.
        unit
            Number of these steps per step of the lags of precedences.

        Returns
        -------
        ExtendedTimes
            The times; Python integers (dtype object) where 64 bits may not suffice.
        """
        families = self.families
        exact = object in (end.dtype, begin.dtype)
        values: Any = np.full(families.count, 0, dtype=object if exact else np.int64)
        values[families.starts] = begin
        values[families.tasks] = end
        steps: Any = np.full(families.count, 0, dtype=values.dtype)
        steps[families.tasks] = duration
        fits = True
        starts = {*families.start.values()}
        for family, parts in [*((f, (f,)) for f in starts), *families.parts]:
            here = families.span(family)
            own = values[families.span(parts[0])].copy()
            for part in parts[1:]:
                own = np.maximum(own, values[families.span(part)])
            if family in families.delay:
                delay = families.delay[family] * unit
                fits &= exact or int(own.max(initial=0)) + delay < _LIMIT
                own = own + delay if fits else own
            leaf = int(families.leaf[family])
            filled = fill_forward(self.grid, leaf, own, families.exists[here])
            fits &= filled.dtype == values.dtype
            if fits:
                # Starts are given, even if one of them were before the last one.
                given = families.exists[here] & (family in starts)
                values[here] = np.where(given, own, filled)
        rates = self._rates(values)
        if not exact and (not fits or self._large(values, rates)):
            exactly = begin.astype(object), end.astype(object), duration.astype(object)
            return self.extended(*exactly, unit=unit)
        return ExtendedTimes(values, rates, steps, unit)

    @property
    def undecided_places(self) -> list[tuple[int, int, int]]:
        """The skipped ranges in which a precedence does not move with the box."""
        return self._places_of(self.undecided)

    def wrong_places(
        self, order: Order | None, times: ExtendedTimes, service: PortRules | None = None
    ) -> list[tuple[int, int, int]]:
        """Return the skipped ranges over which times are not those of the ASAP schedule.

        Parameters
        ----------
        order
            The order of service; None: ports serve any number of tasks at once.
        times
            The times of a schedule, see `extended`.
        service
            The order of service of a list schedule, or with fills that are served ahead, instead of
            that of the dates.

        Returns
        -------
        list of (leaf, loop, number of the range in the loop)
            The ranges; empty if the extended times are the ASAP schedule.
        """
        if self.undecided:
            return self.undecided_places
        if isinstance(service, SkewRules) and service.undecided:
            return self._places_of(service.undecided)
        decisions = self.decisions(order, times, service)
        missed = np.flatnonzero(self.needed & ~self.attained(times, decisions))
        return self._places(np.unique(np.concatenate([missed, *(d.failed for d in decisions)])))

    def decisions(
        self, order: Order | None, times: ExtendedTimes, service: PortRules | None = None
    ) -> tuple[Decision, ...]:
        """Decide all precedences of a schedule.

        Parameters
        ----------
        order, times, service
            As for `wrong_places`.

        Returns
        -------
        tuple of Decision
            The precedences without ports; and, unless `order` is None, those of the ports.
        """
        found = [self._decided(self.common, times, self._parts)]
        if service is not None:
            found.append(self._decided(service.precedences, times, service.parts))
        elif order is not None:
            between = self.program if order == "program" else self.skew
            assert between is not None
            found += [self._decided(rows, times, self._parts) for rows in (self.in_order, between)]
        return tuple(found)

    def attained(self, times: ExtendedTimes, decisions: Iterable[Decision]) -> Mask:
        """Return which events are as early as possible, throughout their boxes.

        Parameters
        ----------
        times
            The times of the schedule.
        decisions
            Its precedences.

        Returns
        -------
        numpy.ndarray
            Shape (events,): whether a precedence determines the time, or the time is 0.
        """
        attained = np.asarray((times.values == 0) & (times.rates == 0).all(axis=1), dtype=np.bool_)
        for decision in decisions:
            attained[decision.rows.target[decision.tight]] = True
        return attained

    def begins_idle(self, times: ExtendedTimes, skew: SkewRules | None = None) -> Mask:
        """Return which tasks do not begin, throughout their boxes, when their port becomes free.

        Parameters
        ----------
        times
            The times of the schedule in the order "skew", see `extended`.
        skew
            That order, where fills that are served ahead come before other blocks.

        Returns
        -------
        numpy.ndarray
            Shape (tasks,).
        """
        if skew is not None:
            rows, parts = skew.precedences, skew.parts
        else:
            assert self.skew is not None
            rows, parts = Rows.joined([self.in_order, self.skew]), self._parts
        busy = self._determined(self._decided(rows, times, parts))
        return np.asarray(~busy[self.families.tasks], dtype=np.bool_)

    def not_increasing(self, times: ExtendedTimes) -> list[tuple[int, int, int]]:
        """Return the skipped ranges over which a potential does not rule out cycles.

        Parameters
        ----------
        times
            A potential of the events: the earliest times if every tile iteration takes one step
            before it starts, and tasks take none, see `extended`.

        Returns
        -------
        list of (leaf, loop, number of the range in the loop)
            The ranges; empty if the potential increases along the precedences, from start to start.
        """
        steps = times.steps.copy()
        for family in self.families.start.values():
            here = self.families.span(family)
            steps[here][self.families.exists[here]] = 1
        rises = self._decided(self.common, times, self._parts, steps[self.common.target])
        return self._places(rises.failed)

    def ready_in_order(self, times: ExtendedTimes) -> bool:
        """Return whether the fills of every stream are ready in order.

        Parameters
        ----------
        times
            The times of a schedule, see `extended`.

        Returns
        -------
        bool
            False if one of them may be ready before an earlier one.
        """
        return bool(self.order_of_fills(times).holds.all())

    def order_of_fills(self, times: ExtendedTimes) -> Decision:
        """Decide whether the fills of every stream are ready in order.

        Parameters
        ----------
        times
            The times of a schedule, see `extended`.

        Returns
        -------
        Decision
            One row per fill, on the one before it.
        """
        return self._decided(self.ready_order, times, self._parts)

    def not_work_conserving(
        self, service: ServiceRules, times: ExtendedTimes
    ) -> list[tuple[int, int, int]]:
        """Return the skipped ranges over which ports do not serve the oldest ready task.

        Parameters
        ----------
        service
            The order of service.
        times
            The times of the schedule in this order, which has passed `wrong_places`.

        Returns
        -------
        list of (leaf, loop, number of the range in the loop)
            The ranges; empty if the schedule is that of the order "oldest".
        """
        served = self._decided(service.precedences, times, service.parts)
        fills = self.order_of_fills(times)
        wrong = [served.failed, fills.failed]
        busy = self._determined(served)
        # A task that is older, and begins when its port becomes free, is the right choice: its
        # port has served all tasks before the follower.
        doubtful = np.flatnonzero(~(service.older & busy[service.waiting]))
        for start in range(0, len(doubtful), _FOLLOWERS_AT_ONCE):
            chosen = doubtful[start : start + _FOLLOWERS_AT_ONCE]
            choices = self._choices(service, times, served, fills, chosen)
            good = choices.kept(busy, choices.closed.holds, choices.level.holds)
            wrong.append(choices.later.rows.target[~good])
        return self._places(np.unique(np.concatenate(wrong)))

    def choices(self, service: ServiceRules, times: ExtendedTimes) -> ServiceChoices:
        """Decide the conditions under which ports serve the oldest ready task.

        Parameters
        ----------
        service, times
            As for `not_work_conserving`.

        Returns
        -------
        ServiceChoices
            The conditions.
        """
        served = self._decided(service.precedences, times, service.parts)
        every = np.arange(len(service.waiting))
        return self._choices(service, times, served, self.order_of_fills(times), every)

    def _choices(
        self,
        service: ServiceRules,
        times: ExtendedTimes,
        served: Decision,
        fills: Decision,
        chosen: Ints,
    ) -> ServiceChoices:
        """Decide the conditions of some followers."""
        found, steps = service.followers(chosen), times.steps
        # The follower's time less the task's: both are negated.
        opposite = ExtendedTimes(steps - times.values, -times.rates, steps)
        opens = replace(found.rows, family=found.ready)
        one: Any = np.full(len(chosen), 1, dtype=times.values.dtype)
        return ServiceChoices(
            served,
            fills,
            self._decided(found.rows, opposite, found.parts, steps[found.rows.target]),
            self._decided(opens, opposite, found.parts, one),
            self._decided(opens, opposite, found.parts, one * 0),
            found.older,
        )

    def _places_of(self, points: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Return the skipped ranges that some points (leaf, key) represent."""
        return sorted({place for leaf, key in points for place in self._place(leaf, key)})

    def _places(self, events: Ints) -> list[tuple[int, int, int]]:
        """Return the skipped ranges that some events represent."""
        wrong = set()
        for family in np.unique(self._family_of[events]).tolist():
            mine = events[self._family_of[events] == family]
            leaf = int(self.families.leaf[family])
            for key in (mine - self.families.first[family]).tolist():
                wrong |= self._place(leaf, key)
        return sorted(wrong)

    def _decided(
        self, rows: Rows, times: ExtendedTimes, parts: Parts, weight: Times | None = None
    ) -> Decision:
        """Decide rows; by default, a target is later than its source by its duration."""
        if weight is None:
            lag = rows.lag if times.unit == 1 else rows.lag.astype(times.values.dtype) * times.unit
            weight = times.steps[rows.target] + lag
        outcome = decide_rows(
            parts,
            self.families.first,
            rows,
            weight,
            times.values,
            times.rates,
            self.families.exists,
        )
        return Decision(rows, parts, outcome)

    def _determined(self, decision: Decision) -> Mask:
        """Return which events a precedence determines throughout their boxes."""
        determined = np.zeros(self.families.count, dtype=np.bool_)
        determined[decision.rows.target[decision.tight]] = True
        return determined

    @cached_property
    def _parts(self) -> Parts:
        return self.sources.parts(self.grid)

    @cached_property
    def _family_of(self) -> Ints:
        sizes = np.array(self.families.sizes)[self.families.leaf]
        found: Ints = np.repeat(np.arange(len(sizes)), sizes)
        return found

    @cached_property
    def needed(self) -> Mask:
        """The events whose times must be attained."""
        needed = self.families.exists.copy()
        for family in self.families.forward:
            needed[self.families.span(family)] = True
        return needed

    def _rates(self, values: Times) -> Times:
        """Return the increase of every event's time per period of each loop."""
        width = self.grid.stride.shape[1]
        rates: Times = np.full((len(values), width), 0, dtype=values.dtype)
        for leaf, shifts in enumerate(self._shifts):
            for k, keys, back in shifts:
                for family in np.flatnonzero(self.families.leaf == leaf).tolist():
                    first = int(self.families.first[family])
                    rates[first + keys, k] = values[first + keys] - values[first + back]
        return rates

    @cached_property
    def _shifts(self) -> list[list[tuple[int, Ints, Ints]]]:
        """Per leaf: (loop, points that represent skipped ones, the points one period earlier)."""
        found = []
        for leaf, depth in enumerate(self.grid.depth.tolist()):
            periods = self.grid.columns(leaf, self.grid.period)
            mine = []
            for k in range(depth):
                keys = np.flatnonzero(periods[k])
                if len(keys):
                    mine.append((k, keys, keys - periods[k, keys] * self.grid.stride[leaf, k]))
            found.append(mine)
        return found

    def _large(self, values: Times, rates: Times) -> bool:
        """Whether a difference of times of skipped events may not fit 64 bits."""
        most = int(np.abs(values).max(initial=0))
        # A target moves in each of its loops, and its source in each of its own, for each of these:
        # on each part it stays within one skipped range, by which its slopes are limited.
        width = int(rates.shape[1])
        longest = max((n for loops in self._longest for n in loops), default=0) + 2
        fastest = int(np.abs(rates).max(initial=0))
        if 4 * most + longest * fastest * width * (width + 3) < _LIMIT:
            return False
        # By how much a time can grow within a box, in all loops.
        growth = 0
        for leaf, loops in enumerate(self._longest):
            here = np.abs(rates[self.families.leaf[self._family_of] == leaf])
            by_loop = here.max(axis=0, initial=0).tolist()
            grown = sum((n + 2) * int(rate) for n, rate in zip(loops, by_loop, strict=False))
            growth = max(growth, grown)
        return 4 * most + growth * (width + 3) >= _LIMIT

    @cached_property
    def _longest(self) -> list[list[int]]:
        """Per leaf and loop, the largest number of periods of a skipped range."""
        grid = self.grid
        return [
            [
                int(grid.skipped[first : first + count].max(initial=0))
                for first, count in zip(
                    grid.places[leaf, :depth].tolist(),
                    grid.count[leaf, :depth].tolist(),
                    strict=True,
                )
            ]
            for leaf, depth in enumerate(grid.depth.tolist())
        ]

    @cached_property
    def _ranges(self) -> list[list[list[tuple[int, int, int]]]]:
        """Per leaf and loop: (first place, place behind the last one, number) of each range."""
        grid = self.grid
        found: list[list[list[tuple[int, int, int]]]] = []
        for leaf, depth in enumerate(grid.depth.tolist()):
            loops = []
            for k in range(depth):
                runs = range(int(grid.runs[leaf, k]), int(grid.runs[leaf, k + 1]))
                cuts = [run for run in runs if grid.run_period[run]]
                loops.append(
                    [
                        (
                            int(grid.run_place[run]),
                            int(grid.run_place[run] + grid.run_period[run]),
                            number,
                        )
                        for number, run in enumerate(cuts)
                    ]
                )
            found.append(loops)
        return found

    def _place(self, leaf: int, key: int) -> set[tuple[int, int, int]]:
        """Return the skipped ranges that a point represents; if there are none, all ranges."""
        grid = self.grid
        found = set()
        for k, ranges in enumerate(self._ranges[leaf]):
            place = int(key // grid.stride[leaf, k] % grid.count[leaf, k])
            found |= {(leaf, k, n) for low, high, n in ranges if low <= place < high}
        return found or {
            (other, k, n)
            for other, loops in enumerate(self._ranges)
            for k, ranges in enumerate(loops)
            for _, _, n in ranges
        }
