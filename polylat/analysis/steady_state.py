"""The initiation interval of each loop, and the critical cycle that determines it.

In the steady state a loop starts an iteration every *initiation interval* (Rau 1994, for software
pipelining). It is read off the repetitions of the critical path: each is a critical cycle, whose
time per iteration is the maximum cycle ratio of the precedences (Reiter 1968).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from polylat.analysis.access import AccessKey
from polylat.analysis.critical_path import CriticalPath, PeriodicPath, periodic_path
from polylat.analysis.periodic_runs import PeriodicRun, periodic_runs
from polylat.analysis.visiting import MOST_VISITED
from polylat.engine.model import Model
from polylat.engine.sampling_search import Inputs, SamplingSearch
from polylat.engine.solution import Solution
from polylat.engine.solve import MOST_SAMPLED, solve_oldest
from polylat.engine.work_conserving import ports_have_no_choice, work_conserving_by_date
from polylat.errors import UnsupportedError
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.paths import Leaf
from polylat.numbers import Number, reduce_number
from polylat.schedule.timing import Order

__all__ = ["InitiationInterval", "initiation_intervals"]


@dataclass(frozen=True)
class InitiationInterval:
    """The initiation interval of a loop in its steady state.

    Parameters
    ----------
    variable, tile
        Rank variable and tile shape of the loop.
    einsums
        The Einsums below it.
    interval
        Time per iteration, in the architecture's unit of time.
    iterations
        Number of consecutive iterations that keep this interval.
    cycle
        The critical cycle: time per (Einsum, component, tensor or None, action) of the accesses
        that wait for one another from one period of the loop to the next, in this order. The times
        add up to `period` intervals.
    period
        Number of iterations per turn of the cycle.
    """

    variable: str
    tile: int
    einsums: tuple[str, ...]
    interval: Number
    iterations: int
    cycle: tuple[tuple[AccessKey, Number], ...]
    period: int

    def __str__(self) -> str:
        turn = "; ".join(
            f"{' '.join(part for part in key if part)} {time}" for key, time in self.cycle
        )
        per = "iteration" if self.period == 1 else f"{self.period} iterations"
        return (
            f"loop over {self.variable} (tiles of {self.tile}, {'+'.join(self.einsums)}):"
            f" {self.interval} per iteration; per {per}: {turn}"
        )


def initiation_intervals(solution: Solution, path: CriticalPath) -> tuple[InitiationInterval, ...]:
    """Return the initiation interval of every loop along which the critical path repeats.

    Loops that the path crosses only a few times, or in which it does not repeat, have none.

    Parameters
    ----------
    solution
        The schedule.
    path
        Its critical path.

    Returns
    -------
    tuple of InitiationInterval
        From the outermost loop inwards, leaf by leaf; times in the architecture's unit of time.

    Raises
    ------
    UnsupportedError
        All tile iterations were visited, and the path through a sample of them cannot be traced.

    Examples
    --------
    >>> import polylat
    >>> report = polylat.analyze(polylat.load("examples/attention.yaml"), granularity="tile")
    >>> print(report.initiation_intervals[2])
    loop over p (tiles of 128, QK): 128 per iteration; per iteration: QK mac compute 128
    """
    folded = _folded_path(solution, path)
    if folded is None:
        return ()
    scale = folded.model.costs.scale
    found: dict[int, InitiationInterval] = {}
    below = _leaves_below(folded.model.lowered)
    for run in periodic_runs(folded.items):
        for node, by in _moves(folded.model.lowered, run).items():
            known = found.get(node)
            times = run.periods * by
            if known is None or known.iterations < times:
                found[node] = _interval(folded.model.lowered, below[node], node, by, run, scale)
    order = {node: place for place, node in enumerate(below)}
    return tuple(found[node] for node in sorted(found, key=order.__getitem__))


def _folded_path(solution: Solution, path: CriticalPath) -> PeriodicPath | None:
    """Return the critical path with its repetitions folded; None if no sampling succeeds.

    The sample of a schedule serves all orders, and may be so large that few repetitions remain. So
    that the result does not depend on it, a sample for this order is searched unless that is slow.
    """
    if isinstance(path, PeriodicPath) and solution.model.lowered.size > MOST_VISITED:
        return path
    model, order = solution.model, solution.order
    assert order is not None
    inputs = Inputs(model.lowered, model.options)
    found = SamplingSearch(inputs, MOST_SAMPLED).run(lambda sampled: _timed(sampled, order))
    if found is None and order == "oldest":
        found = solve_oldest(inputs, MOST_SAMPLED)
    if found is None or found.schedule.makespan != solution.schedule.makespan:
        return path if isinstance(path, PeriodicPath) else None
    try:
        return periodic_path(found)
    except UnsupportedError as error:
        if isinstance(path, PeriodicPath):
            return path
        # The path itself is known, as all tile iterations were visited.
        raise UnsupportedError(
            "how the critical path repeats cannot be determined", where=error.where, fix=error.fix
        ) from error


def _timed(sampled: Model, order: Order) -> Solution:
    """Return the schedule of a sample; for "oldest", where it is that of the dates."""
    if order != "oldest":
        return Solution(sampled, sampled.plan.time(order))
    program = sampled.plan.time("program")
    if ports_have_no_choice(sampled, program):
        return Solution(sampled, program)
    return Solution(sampled, work_conserving_by_date(sampled, sampled.plan.time("skew")))


def _moves(lowered: LoweredMapping, run: PeriodicRun) -> dict[int, int]:
    """Return the loops (tree nodes) that a period advances, and by how many iterations."""
    moved: dict[int, int] = {}
    for (served, _), shift in zip(run.cycle, run.shifts, strict=True):
        loops = lowered.leaves[served.leaf].temporal
        for loop, by in zip(loops, shift, strict=False):
            if by > 0:
                moved[loop.node] = by
    return moved


def _interval(
    lowered: LoweredMapping,
    below: Sequence[Leaf],
    node: int,
    by: int,
    run: PeriodicRun,
    scale: int,
) -> InitiationInterval:
    loop = next(loop for loop in below[0].temporal if loop.node == node)
    cycle: dict[AccessKey, int] = {}
    # In the order of the leaves: a cycle has no beginning.
    for served, times in sorted(run.cycle, key=lambda item: item[0].leaf):
        einsum = lowered.leaves[served.leaf].einsum.name
        for what, duration in served.parts:
            key = (einsum, what.component, what.tensor, what.action)
            cycle[key] = cycle.get(key, 0) + times * duration
    return InitiationInterval(
        loop.variable,
        loop.tile,
        tuple(leaf.einsum.name for leaf in below),
        reduce_number(Fraction(sum(cycle.values()), scale * by)),
        run.periods * by,
        tuple((key, reduce_number(Fraction(time, scale))) for key, time in cycle.items()),
        by,
    )


def _leaves_below(lowered: LoweredMapping) -> dict[int, list[Leaf]]:
    """Return loop (tree node) → the leaves below it; from the outermost inwards, leaf by leaf."""
    found: dict[int, list[Leaf]] = {}
    for leaf in lowered.leaves:
        for loop in leaf.temporal:
            found.setdefault(loop.node, []).append(leaf)
    return found
