"""Retiming of a schedule all tile iterations of which are visited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any

import numpy as np

from polylat.analysis.access import AccessKey
from polylat.analysis.evaluation import INT64_LIMIT, DurationPart, Evaluation, duration_parts
from polylat.analysis.explicit_path import path_latencies
from polylat.engine.solution import Solution
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Times
from polylat.schedule.critical_path import TimedEvents, critical_chain
from polylat.schedule.longest_path import PrecedenceSystem

__all__ = ["ExplicitRetimer", "explicit_retimer"]


@dataclass(frozen=True, eq=False)
class ExplicitRetimer:
    """Retimes a schedule all tile iterations of which are visited.

    Parameters
    ----------
    solution
        The schedule.
    timed
        Its events.
    parts
        The parts of the durations of the tasks.
    """

    solution: Solution
    timed: TimedEvents
    parts: tuple[DurationPart, ...]

    @cached_property
    def loads(self) -> Mapping[AccessKey, Number]:
        """Access → busy time of its busiest port at scale 1; accesses without any are missing."""
        steps: dict[tuple[AccessKey, int], int] = {}
        for part in self.parts:
            at = part.key, int(self.solution.model.graph.task_port[part.tasks[0]])
            steps[at] = steps.get(at, 0) + part.total
        most: dict[AccessKey, int] = {}
        for (key, _), load in steps.items():
            most[key] = max(most.get(key, 0), load)
        return {key: reduce_number(Fraction(n, self.solution.scale)) for key, n in most.items()}

    def evaluate(
        self,
        scales: Mapping[AccessKey, Fraction],
        /,
        *,
        quick: bool = False,  # noqa: ARG002 - all tile iterations are visited
    ) -> Evaluation:
        """Return the latency with scaled durations, see `Retimer`.

        Parameters
        ----------
        scales
            (Einsum, component, tensor or None, action) → the factor of its durations, or 1.
        quick
            Not used.

        Returns
        -------
        Evaluation
            The latency, and a critical path.
        """
        used = {key: Fraction(scales.get(key, 1)) for key in self.loads}
        unit = lcm(*(scale.denominator for scale in used.values()))
        factors = {key: int(scale * unit) for key, scale in used.items()}
        timed = self.retimed(self._durations(factors), unit)
        chain = critical_chain(timed)
        on_path = np.zeros(len(timed.durations), dtype=np.bool_)
        on_path[chain.tasks] = True
        steps: dict[AccessKey, int] = {}
        for part in self.parts:
            found = int(part.steps[on_path[part.tasks]].sum())
            if found:
                steps[part.key] = steps.get(part.key, 0) + found
        scale = self.solution.scale
        unscaled = {key: reduce_number(Fraction(n, scale)) for key, n in steps.items()}
        for key, n in path_latencies(self.solution.model, chain).items():
            unscaled[key] = reduce_number(Fraction(n, scale * unit))
        return Evaluation(
            reduce_number(Fraction(timed.makespan, scale * unit)), used, lambda: unscaled
        )

    def retimed(self, durations: Times, unit: int = 1) -> TimedEvents:
        """Return the schedule under other durations.

        Parameters
        ----------
        durations
            Shape (tasks,): the durations of the tasks.
        unit
            Their number of steps per step of the task graph.

        Returns
        -------
        TimedEvents
            The earliest (ASAP) schedule with the same order of service.
        """
        events = self.timed.events
        values = self._system.earliest(events.of_tasks(durations), unit)
        return self.timed.retimed(durations, values, unit)

    @cached_property
    def _system(self) -> PrecedenceSystem:
        waits = self.timed.precedences
        return PrecedenceSystem(self.timed.events.count, waits.source, waits.target, waits.lag)

    def _durations(self, factors: Mapping[AccessKey, int]) -> Times:
        # An access without time may have a large factor, and one with a large time the factor 0.
        total = sum(part.total * max(factors[part.key], 1) for part in self.parts)
        most = max(total, *factors.values(), 0)
        dtype: Any = np.int64 if most < INT64_LIMIT else object
        durations = np.full(self.solution.model.graph.tasks, 0, dtype=dtype)
        for part in self.parts:
            durations[part.tasks] += part.steps.astype(dtype) * factors[part.key]
        return durations


def explicit_retimer(solution: Solution) -> ExplicitRetimer:
    """Prepare a schedule for retiming with its order of service.

    Parameters
    ----------
    solution
        The schedule; its model visits all tile iterations.

    Returns
    -------
    ExplicitRetimer
        Times the task graph under other durations.
    """
    model = solution.model
    return ExplicitRetimer(solution, solution.timed_events, tuple(duration_parts(model)))
