"""Retiming of a schedule in which sampled tile iterations represent the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any

import numpy as np

from polylat.analysis.access import LATENCY, AccessKey
from polylat.analysis.critical_path import periodic_path
from polylat.analysis.evaluation import (
    INT64_LIMIT,
    CriticalTotals,
    DurationPart,
    Evaluation,
    busiest_loads,
    duration_parts,
    port_loads,
)
from polylat.analysis.explicit_retiming import ExplicitRetimer, explicit_retimer
from polylat.analysis.visiting import visit_all
from polylat.engine.model import Model
from polylat.engine.sampling_search import Inputs, SamplingSearch
from polylat.engine.solution import Solution
from polylat.engine.solve import QUICK
from polylat.engine.work_conserving import with_order_of
from polylat.errors import UnsupportedError
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Times
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicTaskGraph
from polylat.schedule.timing import Order

__all__ = ["PeriodicRetimer"]

_ROUNDS = 12
"""How often the sample is enlarged."""

_HEADROOM = 1 << 8
"""How much larger than the largest time numbers of 64 bits must be to be fast: sums are formed."""

_MOST_SCHEDULES = 4
"""Number of sampled schedules that are kept: they may be large."""


class PeriodicRetimer:
    """Retimes a schedule in which sampled tile iterations represent the others.

    Other durations may require a larger sample; where all tile iterations are few enough, they are
    visited instead.

    Parameters
    ----------
    solution
        The schedule.
    now
        Computes, per access, the time on its critical path.
    """

    def __init__(self, solution: Solution, now: CriticalTotals) -> None:
        assert solution.order is not None
        model = solution.model
        self.solution = solution
        self._order: Order = solution.order
        self._model = model
        self._now = now
        self._parts = tuple(duration_parts(model))
        self._schedules = [_SampledSchedule(model, self._parts, self._order)]

    @cached_property
    def loads(self) -> Mapping[AccessKey, Number]:
        """Access → busy time of its busiest port at scale 1; accesses without any are missing."""
        return busiest_loads(self._model, self._parts)

    def evaluate(
        self, scales: Mapping[AccessKey, Fraction], /, *, quick: bool = False
    ) -> Evaluation:
        """Return the latency with scaled durations, see `Retimer`.

        Parameters
        ----------
        scales
            (Einsum, component, tensor or None, action) → the factor of its durations, or 1.
        quick
            Give up where the samples that were used before do not suffice.

        Returns
        -------
        Evaluation
            The latency, and a critical path.

        Raises
        ------
        UnsupportedError
            Too many tile iterations must be sampled.
        """
        used = {key: Fraction(scales.get(key, 1)) for key in self.loads}
        for sampled in self._schedules:
            with suppress(NotPeriodicError):
                return self._timed(sampled, used)
        if self._visiting is not None:
            return self._visiting.evaluate(used)
        found = None if quick else self._search().run(lambda model: self._sample(model, used))
        if found is None:
            raise UnsupportedError(
                "the schedule with these durations is not periodic within few tile iterations",
                where="mapping",
                fix="use granularity='tile', order='skew', or raise max_tiles",
            )
        return found

    @cached_property
    def _visiting(self) -> ExplicitRetimer | None:
        """Retimes the schedule of all tile iterations; None if there are too many."""
        whole = visit_all(self.solution)
        return None if whole is None else explicit_retimer(whole)

    def _search(self) -> SamplingSearch:
        """Return a search for a larger sample than the schedule has."""
        model = self._model
        assert isinstance(model.plan, PeriodicTaskGraph)
        inputs = Inputs(model.lowered, model.options)
        if model.plan.repeats.ports.seen is None:
            return SamplingSearch(inputs, QUICK, rounds=_ROUNDS)
        skipped = frozenset(
            loop.node
            for tiles in model.layout.tiles
            for loop, kept in zip(tiles.leaf.temporal, tiles.kept, strict=False)
            if kept.cuts
        )
        return SamplingSearch(
            inputs,
            QUICK,
            rounds=_ROUNDS,
            only=skipped,
            prepare=lambda other: with_order_of(model, other),
        )

    def _dtype(self, factors: Mapping[AccessKey, int], unit: int) -> Any:
        """Return a type that holds all times: at most the sum of busy times and latencies."""
        return np.int64 if self._total(factors, unit) < INT64_LIMIT else object

    def _total(self, factors: Mapping[AccessKey, int], unit: int) -> int:
        """Return an upper bound of all times."""
        served = (steps * max(factors.get(key, unit), unit, 1) for key, steps in self._work.items())
        return sum(served) + self._latencies * unit

    @cached_property
    def _latencies(self) -> int:
        """The sum of all fixed latencies, in steps of time."""
        graph = self._model.graph
        times = graph.multiplicity[graph.owner].astype(object)
        return int((graph.latency.astype(object) * times).sum())

    @cached_property
    def _work(self) -> Mapping[AccessKey, int]:
        """Access → its busy time on all ports, in steps of time."""
        work: dict[AccessKey, int] = {}
        for (key, _), steps in port_loads(self._model, self._parts).items():
            work[key] = work.get(key, 0) + steps
        return work

    def _sample(self, model: Model, used: Mapping[AccessKey, Fraction]) -> Evaluation:
        """Time a model, and keep it: its sample may suffice for other durations, too.

        Raises
        ------
        NotPeriodicError
            Its schedule is not periodic, or its order of service is not that of the schedule.
        """
        assert isinstance(model.plan, PeriodicTaskGraph)
        if model.plan.repeats.ports.seen is not None:
            # The order of service was transferred from another sample.
            now = model.plan.time(self._order)
            if not now.legal or now.makespan != self.solution.makespan:
                raise NotPeriodicError([])
        sampled = _SampledSchedule(model, tuple(duration_parts(model)), self._order)
        found = self._timed(sampled, used)
        self._schedules.insert(1, sampled)
        del self._schedules[_MOST_SCHEDULES:]
        return found

    def _timed(self, sampled: _SampledSchedule, used: Mapping[AccessKey, Fraction]) -> Evaluation:
        unit = lcm(*(scale.denominator for scale in used.values()))
        factors = {key: int(scale * unit) for key, scale in used.items()}
        scale = self._model.costs.scale
        durations = sampled.durations(factors, unit, self._dtype(factors, unit))
        values = sampled.timer.values(durations, unit)
        timing = sampled.timer.timing(durations, values, unit)
        if not timing.legal:
            raise NotPeriodicError([])
        now = sampled is self._schedules[0] and all(factor == unit for factor in factors.values())

        def trace() -> Mapping[AccessKey, Number]:
            if now:
                return self._now()
            again = Solution(sampled.timed(durations, unit), timing)
            try:
                return {
                    key: reduce_number(Fraction(n) / unit) if key[3] == LATENCY else n
                    for key, n in periodic_path(again).totals().items()
                }
            except UnsupportedError:
                if self._visiting is None:
                    raise
                return self._visiting.evaluate(used).unscaled

        def direct_slope(keys: Collection[AccessKey]) -> Fraction | None:
            slope = self._slope(sampled, factors, unit, timing.makespan, keys)
            return None if slope is None else Fraction(slope, scale)

        latency = reduce_number(Fraction(timing.makespan, scale * unit))
        return Evaluation(latency, used, trace, direct_slope)

    def _slope(
        self,
        sampled: _SampledSchedule,
        factors: Mapping[AccessKey, int],
        unit: int,
        makespan: int,
        keys: Collection[AccessKey],
    ) -> int | None:
        """Return a slope of the makespan in one direction of durations, by differences.

        The makespan is the maximum, over the paths, of their durations and latencies, which are
        integers. So
        no path is overtaken by another while a common factor of durations changes by less than one
        part in their total time, and the difference quotient over such a step is a one-sided
        derivative. Over a wider step it is one if that over half the step is the same: a convex
        function that has three points on a line is linear between them.

        Parameters
        ----------
        sampled
            The schedule.
        factors, unit
            Its durations, see `_SampledSchedule.durations`.
        makespan
            Its makespan.
        keys
            The accesses whose durations change.

        Returns
        -------
        int or None
            The derivative to the left, or where these accesses take no time to the right, in steps;
            None where the schedules with these durations are not periodic.
        """
        # Accesses that take no time cannot become faster.
        sign = -1 if all(factors.get(key) for key in keys) else 1
        if sign > 0 and any(factors.get(key) for key in keys):
            return None
        # A step is one part in `parts` of the unit of durations.
        total = self._total(factors, unit) + self._total({}, 1)
        work = sum(self._work.get(key, 0) for key in keys)
        parts = INT64_LIMIT // _HEADROOM // (total + 1)
        exact = parts > work or parts < 2
        parts = work + 1 if exact else parts - parts % 2
        found: list[int] = []
        for size in (1,) if exact else (1, 2):
            changed = {key: factor * parts for key, factor in factors.items()}
            changed |= {key: factors[key] * parts + sign * size for key in keys if key in factors}
            durations = sampled.durations(changed, unit * parts, self._dtype(changed, unit * parts))
            try:
                values = sampled.timer.values(durations, unit * parts)
            except NotPeriodicError:
                return None
            timing = sampled.timer.timing(durations, values, unit * parts)
            moved = timing.makespan - makespan * parts
            if moved % (sign * size):
                return None
            found.append(moved // (sign * size))
        return found[0] if len({*found}) == 1 else None


class _SampledSchedule:
    """A schedule of a sample of the tile iterations, prepared for other durations.

    Parameters
    ----------
    model, parts, order
        The mapping, the parts of the durations of its tasks, and the order of service.
    """

    def __init__(self, model: Model, parts: Sequence[DurationPart], order: Order) -> None:
        assert isinstance(model.plan, PeriodicTaskGraph)
        self._model = model
        self._plan = model.plan
        self.timer = model.plan.timer(order)
        self._parts: dict[AccessKey, list[DurationPart]] = {}
        for part in parts:
            self._parts.setdefault(part.key, []).append(part)

    def durations(self, factors: Mapping[AccessKey, int], unit: int, dtype: Any) -> Times:
        """Return durations of tasks: accesses are scaled by their factor, or by `unit`."""
        durations = self._model.graph.task_duration.astype(dtype) * unit
        for key, factor in factors.items():
            if factor != unit:
                for part in self._parts.get(key, ()):
                    durations[part.tasks] += part.steps.astype(dtype) * (factor - unit)
        return durations

    def timed(self, durations: Times, unit: int) -> Model:
        """Return the mapping with such durations, and latencies in the same steps."""
        graph = self._model.graph
        latency = graph.latency.astype(durations.dtype) * unit
        graph = replace(graph, task_duration=durations, latency=latency)
        repeats, dtype = self._plan.repeats, durations.dtype
        scaled = replace(
            repeats,
            of_ports=lambda: repeats.ports,
            of_finishing=lambda: repeats.finishing.scaled(unit, dtype),
        )
        return replace(self._model, plan=PeriodicTaskGraph(graph, scaled))
