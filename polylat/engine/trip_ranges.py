"""Schedules for all trip counts of a range, proven from sampled schedules at its ends.

A mapping at a large size is sampled as usual. The same tile iterations are sampled at smaller
sizes, where fewer periods are skipped. `schedule.growth` then decides whether the schedules at the
ends prove those of all sizes between. Times are whole numbers of steps: a slack that decreased
with the size, by at least a step each, would be negative at a size that is large enough. So a
proof up to such a size holds for all larger ones as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import gcd
from typing import Any

import numpy as np

from polylat.engine.model import Model, build
from polylat.engine.sampling_search import Inputs
from polylat.engine.solution import Solution
from polylat.engine.solve import SERVICES, Schedules
from polylat.engine.work_conserving import (
    ports_have_no_choice,
    service_by_date,
    simulation_of,
    work_conserving_by_shortened_loops,
    work_conserving_by_simulation,
)
from polylat.lowering.enumeration import trip_counts
from polylat.lowering.iterations import IrregularError
from polylat.lowering.sampling import LoopSample
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicTaskGraph
from polylat.schedule.growth import CornerSchedule, is_proven_between
from polylat.schedule.timing import Order, TaskSchedule

__all__ = ["MorePeriodsError", "Range", "RangeProver", "Sizes"]

Sizes = tuple[int, ...]
"""A value of every growing parameter."""

_FAR = 64
"""How much larger than the lower end of a range the sizes are from which it is proven."""

_LARGER = (0, 1, 2, 4)
"""By how many steps the lower end of a range is raised where the smallest sizes are special."""


class MorePeriodsError(Exception):
    """The schedule repeats only after a multiple of the step of a parameter.

    Parameters
    ----------
    factors
        Per parameter, the multiple.
    """

    def __init__(self, factors: tuple[int, ...]) -> None:
        super().__init__(f"period {factors}")
        self.factors = factors


@dataclass(frozen=True)
class Range:
    """A proven range of sizes: from `low` on, in steps, all with schedules that are alike.

    Parameters
    ----------
    low, high
        The smallest and largest sizes that the proof is from.
    unbounded
        Whether it also holds for all sizes beyond `high`.
    last
        Per event that may be the last one, its time at each corner, in steps: shape (2**p,), see
        `growth.is_proven_between`. The makespan is the largest of these times, interpolated
        multilinearly.
    scale
        Steps per unit of time.
    """

    low: Sizes
    high: Sizes
    unbounded: bool
    last: tuple[tuple[int, ...], ...]
    scale: int


@dataclass(eq=False)
class RangeProver:
    """Proves the schedules of one mapping for ranges of sizes.

    Parameters
    ----------
    inputs_at
        Sizes → the lowered mapping, with its options.
    high
        The sizes that `found` is of.
    step
        Per parameter, by how much sizes grow at a time: a multiple of the tiles.
    found
        The schedules at `high`, from a sample of the tile iterations.
    """

    inputs_at: Callable[[Sizes], Inputs]
    high: Sizes
    step: Sizes
    found: Schedules
    _built: dict[tuple[Any, ...], Model] = field(default_factory=dict)
    _timed: dict[tuple[Order | None, Model], _Corner | None] = field(default_factory=dict)

    def range_of(self, order: Order | None) -> Range | None:
        """Prove the schedules in one order.

        Parameters
        ----------
        order
            The order of service; None: no block waits for a port.

        Returns
        -------
        Range or None
            The range; None if there is no proof.

        Raises
        ------
        MorePeriodsError
            The schedule repeats only after a multiple of the step.
        """
        solution = self._solution(order)
        if solution is None or solution.model.layout.apart:
            return None
        steps = self._fewest(solution.model.sample)
        if steps is None:
            return None
        for more in _LARGER:
            low = tuple(
                high - step * max(down - more, 0)
                for high, step, down in zip(self.high, self.step, steps, strict=True)
            )
            if any(a * _FAR >= b for a, b in zip(low, self.high, strict=True)):
                return None  # several ranges grow, and the others are too long
            try:
                proven = self._proven(solution, low)
            except (NotPeriodicError, IrregularError):
                proven = None
            if proven is not None:
                return proven
        return None

    def ends(self, order: Order | None, proven: Range) -> tuple[CornerSchedule, ...] | None:
        """Return the schedules that a range was proven from.

        Parameters
        ----------
        order
            As for `range_of`.
        proven
            The range.

        Returns
        -------
        tuple of CornerSchedule or None
            One per corner; None if there is none.
        """
        solution = self._solution(order)
        if solution is None:
            return None
        found = []
        for taken in _corners(len(proven.low)):
            ends = zip(proven.low, proven.high, taken, strict=True)
            corner = self._corner(solution, tuple(b if take else a for a, b, take in ends))
            if corner is None:
                return None
            found.append(corner.schedule)
        return tuple(found)

    def _solution(self, order: Order | None) -> Solution | None:
        if order is None:
            return self.found.unlimited
        return self.found.solutions.get(order)

    def _fewest(self, kept: Mapping[int, LoopSample]) -> tuple[int, ...] | None:
        """By how many steps each size can shrink, so that every loop still skips a period."""
        here = trip_counts(self.inputs_at(self.high).lowered.leaves)
        factors, steps = [], []
        for i, (size, step) in enumerate(zip(self.high, self.step, strict=True)):
            smaller = (*self.high[:i], size - step, *self.high[i + 1 :])
            there = trip_counts(self.inputs_at(smaller).lowered.leaves)
            down, factor = (size - 1) // step, 1
            for node, trips in here.items():
                fewer = trips - there[node]
                if not fewer or node not in kept:
                    continue  # iterations of an inner loop that are not distinguished
                if not kept[node].cuts:
                    return None
                cut = max(kept[node].cuts, key=lambda c: c.periods)
                factor = factor * cut.period // gcd(cut.period, fewer * factor)
                down = min(down, (cut.periods - 1) * cut.period // fewer)
            factors.append(factor)
            steps.append(down)
        if any(factor > 1 for factor in factors):
            raise MorePeriodsError(tuple(factors))
        return tuple(steps)

    def _proven(self, solution: Solution, low: Sizes) -> Range | None:
        sizes = [
            tuple(b if take else a for a, b, take in zip(low, self.high, taken, strict=True))
            for taken in _corners(len(low))
        ]
        next_to_low = tuple(a + step for a, step in zip(low, self.step, strict=True))
        corners: list[_Corner] = []
        for at in (*sizes, next_to_low):
            corner = self._corner(solution, at)
            if corner is None:
                return None
            corners.append(corner)
        *ends, inside = corners
        if len({corner.model.costs.scale for corner in corners}) > 1:
            return None
        if not is_proven_between([corner.schedule for corner in ends]):
            return None
        last = _last_events(ends)
        if not last or not self._affine_durations(low, ends, inside):
            return None
        far = min((b - a) // step for a, b, step in zip(low, self.high, self.step, strict=True))
        # By how much the times at the lower end, or a step of one size from it, may differ at most.
        slowest = 4 * max(ends[0].timing.makespan, inside.timing.makespan)
        return Range(low, self.high, far > slowest, last, inside.model.costs.scale)

    def _affine_durations(self, low: Sizes, ends: Sequence[_Corner], inside: _Corner) -> bool:
        """Whether the durations at the lower end, a step from it and at the upper end fit.

        The number of elements of a tile grows by ever smaller steps with a size, until it grows by
        equal ones (`closed_form.footprints`). Equal steps at the lower end and on average up to
        the upper end are equal throughout.
        """
        first = ends[0].model.graph.task_duration.astype(object)
        expected = first * 0
        far = [(b - a) // step for a, b, step in zip(low, self.high, self.step, strict=True)]
        total = 1
        for n in far:
            total *= n
        for taken, corner in zip(_corners(len(low)), ends, strict=True):
            weight = 1
            for take, n in zip(taken, far, strict=True):
                weight *= 1 if take else n - 1
            duration = corner.model.graph.task_duration.astype(object)
            if corner.model.costs.bursts and (duration != first).any():
                return False
            expected = expected + weight * duration
        return bool((expected == total * inside.model.graph.task_duration.astype(object)).all())

    def _corner(self, solution: Solution, sizes: Sizes) -> _Corner | None:
        here = self._model(solution.model.sample, sizes)
        if here is None:
            return None
        # A range and the next larger one have corners in common.
        key = solution.order, here
        if key not in self._timed:
            self._timed[key] = _timed_like(solution, here)
        return self._timed[key]

    def _model(self, kept: Mapping[int, LoopSample], sizes: Sizes) -> Model | None:
        inputs = self.inputs_at(sizes)
        trips = trip_counts(inputs.lowered.leaves)
        sample = {node: _regrown(loop, trips[node]) for node, loop in kept.items()}
        key = (sizes, *sorted(sample.items()))
        if key not in self._built:
            if any(loop is None for loop in sample.values()):
                return None
            self._built[key] = build(
                *inputs, kept={node: loop for node, loop in sample.items() if loop is not None}
            )
        model = self._built[key]
        return model if isinstance(model.plan, PeriodicTaskGraph) else None


@dataclass(frozen=True, eq=False)
class _Corner:
    """A schedule at some sizes."""

    model: Model
    timing: TaskSchedule
    schedule: CornerSchedule


def _corners(count: int) -> Iterator[tuple[bool, ...]]:
    """Per corner, which sizes are the upper ends: bit i of the corner's number is size i."""
    for taken in product((False, True), repeat=count):
        yield taken[::-1]


def _regrown(loop: LoopSample, trips: int) -> LoopSample | None:
    """Sample the same iterations of a loop with another trip count."""
    if trips == loop.trips:
        return loop
    at = max(range(len(loop.cuts)), key=lambda i: loop.cuts[i].periods)
    cut = loop.cuts[at]
    periods = cut.periods - (loop.trips - trips) // cut.period
    if periods < 1 or (loop.trips - trips) % cut.period:
        return None
    cuts = (*loop.cuts[:at], replace(cut, periods=periods), *loop.cuts[at + 1 :])
    return LoopSample(trips, cuts)


def _timed_like(solution: Solution, here: Model) -> _Corner | None:
    """The schedule at other sizes, in the order of a solution; None where there is none."""
    if solution.order == "oldest":
        return _oldest(here, ordered=solution.model.service_order is not None)
    assert isinstance(here.plan, PeriodicTaskGraph)
    return _static(here, here.plan.time(solution.order))


def _static(model: Model, timing: TaskSchedule) -> _Corner | None:
    """A schedule in a static order."""
    if not timing.legal:
        return None
    assert isinstance(model.plan, PeriodicTaskGraph)
    repeats = model.plan.repeats
    members = repeats.all_members
    end = timing.task_begin + model.graph.task_duration
    times = members.extended(timing.ready, end, model.graph.task_duration)
    rules = repeats.port_rules(timing.order)
    return _Corner(
        model,
        timing,
        CornerSchedule(members, times, members.decisions(timing.order, times, rules)),
    )


def _oldest(here: Model, *, ordered: bool) -> _Corner | None:
    """The schedule in the order "oldest", proven by the arguments of `solve_oldest`."""
    assert isinstance(here.plan, PeriodicTaskGraph)
    if ordered:
        schedule, here = _in_known_order(here)
        corner = _static(here, schedule)
        assert isinstance(here.plan, PeriodicTaskGraph)
        service = here.plan.repeats.service
    else:
        program = here.plan.time("program")
        if ports_have_no_choice(here, program):
            corner = _static(here, program)
            if corner is None:
                return None
            fills = corner.schedule.members.order_of_fills(corner.schedule.times)
            conditions = () if here.runs_in_turn else (fills,)
            return replace(corner, schedule=replace(corner.schedule, conditions=conditions))
        skew = here.plan.time("skew")
        corner = _static(here, skew)
        service = None if corner is None else service_by_date(here, skew)
    if corner is None or service is None:
        return None
    choices = corner.schedule.members.choices(service, corner.schedule.times)
    return replace(corner, schedule=replace(corner.schedule, choices=choices))


def _in_known_order(here: Model) -> tuple[TaskSchedule, Model]:
    """Return the work-conserving schedule in the order of shortened loops, or of a simulation."""
    try:
        return work_conserving_by_shortened_loops(here)
    except NotPeriodicError:
        return work_conserving_by_simulation(here, simulation_of(here, SERVICES))


def _last_events(corners: Sequence[_Corner]) -> tuple[tuple[int, ...], ...]:
    """The times at the corners of all events that may be the last one; empty if unknown.

    The finish of a tile iteration is no such event, but the last of several: of other ones at other
    corners, maybe.
    """
    columns = []
    for corner in corners:
        timing, graph = corner.timing, corner.model.graph
        ends = timing.task_begin + timing.durations + graph.latency[graph.task_block]
        times = np.concatenate((ends, timing.ready + graph.latency))
        if times.max(initial=0) != timing.makespan:
            return ()  # a rigid pipeline finishes later than its tasks
        columns.append(times.tolist())
    events = sorted(set(zip(*columns, strict=True)), reverse=True)
    kept: list[tuple[int, ...]] = []
    for event in events:
        if not any(all(a >= b for a, b in zip(other, event, strict=True)) for other in kept):
            kept.append(event)
    return tuple(kept)
