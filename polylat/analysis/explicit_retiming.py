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
from polylat.engine.solution import Solution
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.critical_kernels import critical_walk_back
from polylat.schedule.critical_path import edges_by_target
from polylat.schedule.list_scheduling import ExplicitTaskGraph, simulate
from polylat.schedule.timing import service_order

__all__ = ["ExplicitRetimer", "explicit_retimer"]

_PROGRAM = 0  # The mode of `simulate` in which ports serve in the given order.


@dataclass(frozen=True, eq=False)
class ExplicitRetimer:
    """Retimes a schedule all tile iterations of which are visited.

    Parameters
    ----------
    solution
        The schedule.
    order
        The tasks in the order of service, by port, shape (tasks,); and where the tasks of each port
        begin, shape (ports + 1,).
    parts
        The parts of the durations of the tasks.
    """

    solution: Solution
    order: tuple[Ints, Ints]
    parts: tuple[DurationPart, ...]

    @property
    def plan(self) -> ExplicitTaskGraph:
        """The task graph, prepared for scheduling."""
        plan = self.solution.model.plan
        assert isinstance(plan, ExplicitTaskGraph)
        return plan

    @cached_property
    def loads(self) -> Mapping[AccessKey, Number]:
        """Access → busy time of its busiest port at scale 1; accesses without any are missing."""
        steps: dict[tuple[AccessKey, int], int] = {}
        for part in self.parts:
            at = part.key, int(self.plan.graph.task_port[part.tasks[0]])
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
        latency, tasks = self._critical_tasks(self._durations(factors))
        on_path = np.zeros(self.plan.graph.tasks, dtype=np.bool_)
        on_path[tasks] = True
        steps: dict[AccessKey, int] = {}
        for part in self.parts:
            found = int(part.steps[on_path[part.tasks]].sum())
            if found:
                steps[part.key] = steps.get(part.key, 0) + found
        scale = self.solution.scale
        unscaled = {key: reduce_number(Fraction(n, scale)) for key, n in steps.items()}
        return Evaluation(reduce_number(Fraction(latency, scale * unit)), used, lambda: unscaled)

    def _durations(self, factors: Mapping[AccessKey, int]) -> Times:
        # An access without time may have a large factor, and one with a large time the factor 0.
        total = sum(part.total * max(factors[part.key], 1) for part in self.parts)
        most = max(total, *factors.values(), 0)
        dtype: Any = np.int64 if most < INT64_LIMIT else object
        durations = np.full(self.plan.graph.tasks, 0, dtype=dtype)
        for part in self.parts:
            durations[part.tasks] += part.steps.astype(dtype) * factors[part.key]
        return durations

    def _critical_tasks(self, durations: Times) -> tuple[int, Ints]:
        """Return the makespan, and the tasks of a critical path."""
        graph, plan = self.plan.graph, self.plan
        exact = durations.dtype == object
        begin, finish, block_finish, fill_begin, task_begin = (
            np.full(size, 0, dtype=durations.dtype)
            for size in (
                graph.iterations,
                graph.iterations,
                graph.blocks,
                graph.blocks,
                graph.tasks,
            )
        )
        owner, kind, *indices = self._indices
        undone = (simulate.py_func if exact else simulate)(
            _PROGRAM,
            graph.leaf_starts,
            owner,
            kind,
            *indices,
            durations,
            self.order[0].astype(owner.dtype),
            self.order[1],
            begin,
            finish,
            block_finish,
            fill_begin,
            task_begin,
            np.zeros(2 * (graph.iterations + graph.blocks) + graph.tasks, dtype=owner.dtype),
        )
        assert undone == 0
        last_finish = max(int(finish.max(initial=0)), int(block_finish.max(initial=0)))
        if last_finish == 0:
            return 0, np.zeros(0, dtype=np.int64)
        end = task_begin + durations
        ended = np.flatnonzero(end == last_finish)
        foreground = ended[graph.kind[graph.task_block[ended]] != 2]
        tasks, _ = (critical_walk_back.py_func if exact else critical_walk_back)(
            int((foreground if len(foreground) else ended)[0]),
            0,
            0,
            self._before,
            graph.leaf_starts,
            graph.owner,
            graph.kind,
            *plan.block_tasks,
            *plan.own_blocks,
            *self._into,
            graph.edge_source,
            graph.edge_rule,
            graph.edge_reason,
            graph.task_block,
            end,
            begin,
            finish,
            block_finish,
            fill_begin,
            task_begin,
        )
        return last_finish, tasks

    @cached_property
    def _indices(self) -> tuple[Ints, ...]:
        """The index arrays that `simulate` reads, in 32 bits where these suffice."""
        graph, plan = self.plan.graph, self.plan
        events = 2 * (graph.iterations + graph.blocks) + graph.tasks
        fits = max(2 * events, len(graph.edge_source)) < 1 << 31
        dtype: Any = np.int32 if fits else np.int64
        return tuple(
            array.astype(dtype, copy=False)
            for array in (
                graph.owner,
                graph.kind,
                *plan.block_tasks,
                *plan.own_blocks,
                *plan.edges,
                graph.edge_target,
                graph.task_block,
                graph.task_port,
            )
        )

    @cached_property
    def _into(self) -> tuple[Ints, Ints]:
        """The edges by target, as `edges_by_target` returns them."""
        return edges_by_target(self.plan.graph)

    @cached_property
    def _before(self) -> Ints:
        """Per task, the task that its port serves before it; -1 if there is none."""
        tasks, _ = self.order
        port = self.plan.graph.task_port[tasks]
        before = np.full(len(tasks), -1, dtype=np.int64)
        same = port[1:] == port[:-1]
        before[tasks[1:][same]] = tasks[:-1][same]
        return before


def explicit_retimer(solution: Solution) -> ExplicitRetimer:
    """Prepare a schedule for retiming with its order of service.

    Parameters
    ----------
    solution
        The schedule; its model visits all tile iterations.

    Returns
    -------
    ExplicitRetimer
        Simulates the task graph under other durations.
    """
    model = solution.model
    order = service_order(model.graph, solution.schedule)
    return ExplicitRetimer(solution, order, tuple(duration_parts(model)))
