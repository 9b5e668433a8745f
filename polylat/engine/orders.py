"""Choose the granularity and the order of service of a mapping, and schedule it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

from polylat.engine.cycle import describe_cycle
from polylat.engine.solution import Solution
from polylat.engine.solve import Schedules, solve
from polylat.errors import ScheduleError, TooLargeError
from polylat.lowering.lowered import Granularity, LoweredMapping, at_tile_granularity, lower
from polylat.numbers import Number
from polylat.spec import Spec

__all__ = ["ScheduleChoice", "schedule_mapping", "sequential_makespan"]

_REFINEMENTS = 6
"""How often one more loop is resolved where the requested granularity has too many iterations."""

Solver = Callable[..., Schedules]
"""`solve`, or a version of it that caches its results."""
_Pairs = frozenset[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class ScheduleChoice:
    """The schedule chosen for a mapping under its options.

    Parameters
    ----------
    solved
        The schedules in all orders.
    lowered
        The mapping at the requested granularity. Where that has too many tile iterations, the
        schedules are of coarser ones.
    chosen
        The requested schedule.
    settled
        Whether the schedules of all orders that it was chosen from are proven.
    """

    solved: Schedules
    lowered: LoweredMapping
    chosen: Solution
    settled: bool

    @property
    def coarse(self) -> bool:
        """Whether the tile iterations are coarser than requested."""
        return self.solved.model.lowered.depths != self.lowered.depths

    @cached_property
    def exact(self) -> bool:
        """Whether the makespan of the chosen schedule is proven to be the latency."""
        if (self.settled and not self.coarse) or self.solved.model.runs_in_turn:
            return True
        model = self.solved.model
        bound = Fraction(max(model.graph.loads, default=0), model.costs.scale)
        if not self.coarse:
            unlimited = Fraction(self.solved.unlimited.makespan, model.costs.scale)
            bound = max(bound, unlimited)
        return self.chosen.makespan == bound


def schedule_mapping(
    spec: Spec,
    options: Mapping[str, Any],
    *,
    lowering: Callable[[Granularity], LoweredMapping] | None = None,
    solver: Solver = solve,
) -> ScheduleChoice:
    """Schedule a mapping, at the finest granularity that is affordable.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms.
    lowering, solver
        Replacements of `lower` and `solve` that cache their results.

    Returns
    -------
    Choice
        The requested schedule, and the schedules that it was chosen from.

    Raises
    ------
    ScheduleError
        The order (or all of them) contradicts the dependences.
    TooLargeError
        There are too many tile iterations.
    """
    lowering = lowering or partial(lower, spec)
    pairs = _background(spec, options["background"])
    solved, lowered = _solve(lowering, solver, pairs, options)
    chosen, settled = _choose(solver, solved, options)
    return ScheduleChoice(solved, lowered, chosen, settled)


def sequential_makespan(solved: Schedules, max_tiles: int) -> Number | None:
    """Return the makespan with every Pipeline as a Sequential and no background write-back.

    Parameters
    ----------
    solved
        The schedules of the mapping as it is.
    max_tiles
        Largest number of tile iterations to visit.

    Returns
    -------
    Number or None
        In the architecture's unit of time; None where that mapping is illegal.
    """
    model, lowered = solved.model, solved.model.lowered
    pipelines = any(s.pipeline for leaf in lowered.leaves for s in leaf.splits)
    if pipelines or model.background:
        if not any(block.kind == "fill" for blocks in model.layout.blocks for block in blocks):
            # The leaves run in turn: the makespan is the same.
            lowered = at_tile_granularity(lowered)
        solved = solve(lowered, frozenset(), model.slots, max_tiles, sequential=True)
    legal = [solution.makespan for solution in solved.solutions.values() if solution.legal]
    return min(legal, default=None)


def _solve(
    lowering: Callable[[Granularity], LoweredMapping],
    solver: Solver,
    pairs: _Pairs,
    options: Mapping[str, Any],
) -> tuple[Schedules, LoweredMapping]:
    granularity, limit = options["granularity"], options["max_tiles"]
    auto = granularity == "auto"
    lowered = lowering("flow" if auto else granularity)
    slots = options["slots"]
    try:
        return solver(lowered, pairs, slots, limit, quick=auto), lowered
    except TooLargeError:
        coarse = lowering("tile")
        if coarse.depths == lowered.depths:
            raise
        solved = solver(coarse, pairs, slots, limit)
    if auto:
        return solved, coarse
    return _refined(solved, lowered, (pairs, slots, limit)), lowered


def _refined(
    solved: Schedules, lowered: LoweredMapping, options: tuple[_Pairs, Any, int]
) -> Schedules:
    """Return schedules of the finest affordable tile iterations, where these are faster.

    Resolve one more loop at a time, of the leaf (or of all leaves at once) that lowers the latency
    most, until it falls no further, or to the resource bound.
    """
    pairs, slots, limit = options
    if solved.model.runs_in_turn:
        return solved
    for _ in range(_REFINEMENTS):
        model = solved.model
        if _least(solved) == Fraction(max(model.graph.loads, default=0), model.costs.scale):
            break
        best = solved
        for depths in _finer(model.lowered.depths, lowered.depths):
            try:
                found = solve(replace(lowered, depths=depths), pairs, slots, limit, quick=True)
            except TooLargeError:
                continue
            if _least(found) < _least(best):
                best = found
        if best is solved:
            break
        solved = best
    return solved


def _finer(depths: tuple[int, ...], finest: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the depths with one more loop of one leaf, or of every leaf; without the finest."""
    more = [tuple(n + (i == k) for i, n in enumerate(depths)) for k in range(len(depths))]
    more.append(tuple(n + 1 for n in depths))
    clipped = [tuple(map(min, finer, finest)) for finer in more]
    return [finer for finer in dict.fromkeys(clipped) if finer not in (depths, finest)]


def _least(solved: Schedules) -> Number:
    """Return the least makespan of the legal schedules; 0 if there is none."""
    return min((s.makespan for s in solved.solutions.values() if s.legal), default=0)


def _background(spec: Spec, requested: Iterable[tuple[str, str | None]]) -> _Pairs:
    """Return (tensor, component) pairs; a tensor without a component means all components."""
    return frozenset(
        (tensor, component)
        for tensor, named in requested
        for component in (spec.arch.order if named is None else (named,))
    )


def _choose(solver: Solver, solved: Schedules, options: Mapping[str, Any]) -> tuple[Solution, bool]:
    """Return the requested schedule, and whether all schedules that compete with it are proven."""
    order, model, solutions = options["order"], solved.model, solved.solutions
    if order != "best":
        if order not in solutions:
            raise TooLargeError(
                f"order {order!r} is not periodic within few tile iterations, and the mapping has"
                f" {model.lowered.size} at granularity {model.lowered.granularity!r}",
                where="mapping",
                fix="raise max_tiles, or use order='skew' or granularity='tile'",
            )
        if not solutions[order].legal:
            raise _no_order(solutions[order], f"order {order!r}")
        return solutions[order], True
    choices = [solution for solution in solutions.values() if solution.legal]
    settled = solved.settled
    if model.background:
        # A schedule that waits for the write-backs is also feasible where it need not.
        waiting = solver(model.lowered, frozenset(), options["slots"], options["max_tiles"])
        choices += [solution for solution in waiting.solutions.values() if solution.legal]
        settled &= waiting.settled
    if not choices:
        raise _no_order(list(solutions.values())[-1], "every order of the ports")
    return min(choices, key=lambda solution: solution.makespan), settled


def _no_order(solution: Solution, which: str) -> ScheduleError:
    cycle = describe_cycle(solution)
    return ScheduleError(
        f"{which} contradicts the dependences: {cycle}",
        where="mapping",
        fix="use another order, hold the exchanged tensor above the loops that separate its"
        " producer from its reader, or give it more slots",
    )
