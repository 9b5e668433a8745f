"""Choose the granularity and the order of service of a mapping, and schedule it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

from polylat.engine.cycle import describe_cycle
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.engine.solve import SERVICES, Schedules, fewer_iterations, solve
from polylat.errors import ScheduleError, TooLargeError
from polylat.lowering.lowered import (
    Granularity,
    LoweredMapping,
    at_tile_granularity,
    lower,
    lower_requested,
)
from polylat.lowering.transfers import FreeTransfer, TransferOptions
from polylat.numbers import Number, reduce_number
from polylat.spec import Spec

__all__ = ["ScheduleChoice", "schedule_mapping", "sequential_makespan", "transfer_options"]

_REFINEMENTS = 6
"""How often one more loop is resolved where the requested granularity has too many iterations."""

Solver = Callable[..., Schedules]
"""`solve`, or a version of it that caches its results."""


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
    in_turn
        The schedules of the mapping with every Pipeline as a Sequential, if it was chosen from
        them, too.
    """

    solved: Schedules
    lowered: LoweredMapping
    chosen: Solution
    settled: bool
    in_turn: Schedules | None

    @property
    def coarse(self) -> bool:
        """Whether the tile iterations are coarser than requested."""
        return self.solved.model.lowered.depths != self.lowered.depths

    @property
    def bounds(self) -> tuple[Number, Number, Number]:
        """Lower bounds of every schedule: resource, dependence and barrier bound."""
        model = self.solved.model
        # Coarser tile iterations wait longer: their dependence bound does not hold for finer ones.
        dependence = 0 if self.coarse else self.solved.unlimited_makespan
        resource, dependent, barrier = (
            reduce_number(Fraction(steps, model.costs.scale))
            for steps in (model.resource_bound, dependence, model.barrier_bound)
        )
        return resource, dependent, barrier

    @property
    def lower_bound(self) -> Number:
        """The largest lower bound: no schedule of the mapping, in any order, takes less."""
        return max(self.bounds)

    @cached_property
    def exact(self) -> bool:
        """Whether the makespan of the chosen schedule is proven to be the latency."""
        if self.settled and not self.coarse:
            return True
        model = self.solved.model
        steps = model.bound if self.coarse else max(model.bound, self.solved.unlimited_makespan)
        return self.chosen.makespan == Fraction(steps, model.costs.scale)


def schedule_mapping(
    spec: Spec,
    options: Mapping[str, Any],
    *,
    free: frozenset[FreeTransfer] = frozenset(),
    lowering: Callable[[Granularity, TransferOptions], LoweredMapping] | None = None,
    solver: Solver = solve,
) -> ScheduleChoice:
    """Schedule a mapping, at the finest granularity that is affordable.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms; the splits are those of the input.
    free
        Transfers that take no time.
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
    transfers = replace(transfer_options(spec, options), free=free)
    solved, lowered = _solve(lowering, solver, transfers, options)
    try:
        chosen, settled, in_turn = _choose(solver, solved, options)
    except ScheduleError as error:
        if solved.model.lowered.depths == lowered.depths:
            raise
        # Coarser tile iterations wait for more: this says nothing about those requested.
        raise TooLargeError(
            f"the mapping has {lowered.size} tile iterations at granularity"
            f" {lowered.granularity!r}, more than max_tiles={options['max_tiles']}; coarser ones"
            " wait for each other",
            where="mapping",
            fix=fewer_iterations(lowered),
        ) from error
    return ScheduleChoice(solved, lowered, chosen, settled, in_turn)


def sequential_makespan(choice: ScheduleChoice, max_tiles: int) -> Number | None:
    """Return the makespan with every Pipeline as a Sequential and no background write-back.

    Parameters
    ----------
    choice
        The schedules of the mapping as it is.
    max_tiles
        Largest number of tile iterations to visit.

    Returns
    -------
    Number or None
        In the architecture's unit of time; None where that mapping is illegal.
    """
    solved = choice.solved
    model, lowered = solved.model, solved.model.lowered
    if model.options.background and not choice.coarse:
        # Write-backs in the background may need finer tile iterations.
        options = model.options.without_background
        lowered = lower(lowered.spec, lowered.granularity, options, exchanged=lowered.exchanged)
    if choice.in_turn is not None and not model.options.background:
        solved = choice.in_turn
    elif _streams_in_turn(model) and _program_exists(solved):
        return reduce_number(Fraction(model.barrier_bound_in_turn, model.costs.scale))
    elif _has_pipelines(lowered) or model.options.background:
        if _streams_in_turn(model):
            # The leaves run in turn: the makespan is the same.
            lowered = at_tile_granularity(lowered)
        options = model.options.without_background
        solved = solve(lowered, options, max_tiles, sequential=True, beside=solved)
    return solved.least


def transfer_options(spec: Spec, options: Mapping[str, Any]) -> TransferOptions:
    """Return the options that say how tiles move between holders.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms.

    Returns
    -------
    TransferOptions
        The options; a tensor without a component means all components.
    """
    background = frozenset(
        (tensor, component)
        for tensor, named in options["background"]
        for component in (spec.arch.order if named is None else (named,))
    )
    return TransferOptions(background, options["staged"], options["slots"])


def _has_pipelines(lowered: LoweredMapping) -> bool:
    return any(split.pipeline for leaf in lowered.leaves for split in leaf.splits)


def _solve(
    lowering: Callable[[Granularity, TransferOptions], LoweredMapping],
    solver: Solver,
    transfers: TransferOptions,
    options: Mapping[str, Any],
) -> tuple[Schedules, LoweredMapping]:
    granularity, limit = options["granularity"], options["max_tiles"]
    lowered = lower_requested(lowering, granularity, transfers, limit)
    try:
        return solver(lowered, transfers, limit), lowered
    except TooLargeError:
        coarse = lowering("tile", transfers)
        if coarse.depths == lowered.depths:
            raise
        solved = solver(coarse, transfers, limit)
        costs = solved.model.costs
        if costs.per_transfer or costs.bursts:
            # Finer tile iterations have more streamed transfers, each with a setup and in bursts.
            # The schedule of coarser ones is none of theirs.
            raise
    return _refined(solver, solved, lowered, transfers, options), lowered


def _refined(
    solver: Solver,
    solved: Schedules,
    lowered: LoweredMapping,
    transfers: TransferOptions,
    options: Mapping[str, Any],
) -> Schedules:
    """Return schedules of the finest affordable tile iterations, where these are faster.

    Resolve one more loop at a time, of the leaf (or of all leaves at once) that lowers the latency
    most, until it falls no further, or to a bound. Services of finer tile iterations are simulated
    only if the order "oldest" of the coarser ones is proven, and at most `SERVICES` of all of them
    together: a simulation that finds no repetition takes far longer than all other orders.
    """
    order, limit, services = options["order"], options["max_tiles"], SERVICES
    for _ in range(_REFINEMENTS):
        model = solved.model
        if (solved.least or 0) == Fraction(model.bound, model.costs.scale):
            break
        best = solved
        if "oldest" not in solved.solutions:
            services = 0
        for depths in _finer(model.lowered, lowered.depths):
            try:
                found = solver(
                    replace(lowered, depths=depths), transfers, limit, quick=True, services=services
                )
            except TooLargeError:
                continue
            services -= found.simulated
            if order in solved.solutions and order not in found.solutions:
                continue  # the requested order is proven for coarser tile iterations only
            if (found.least or 0) < (best.least or 0):
                best = found
        if best is solved:
            break
        solved = best
    return solved


def _finer(lowered: LoweredMapping, finest: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the depths with one more loop of one leaf, or of every leaf; without the finest.

    Loops of a single iteration make no tile iterations finer: one more loop is one with several.
    """
    depths, trips = lowered.depths, [leaf.temporal_trips for leaf in lowered.leaves]

    def with_one_more(k: int) -> int:
        longer = (n for n in range(depths[k], finest[k]) if trips[k][n] > 1)
        return next(longer, depths[k] - 1) + 1

    every = tuple(min(n + 1, most) for n, most in zip(depths, finest, strict=True))
    more = [(*depths[:k], with_one_more(k), *depths[k + 1 :]) for k in range(len(depths))]
    if any(trips[k][n - 1] > 1 for k, n in enumerate(every) if n > depths[k]):
        more.append(every)
    return [finer for finer in dict.fromkeys(more) if finer not in (depths, finest)]


def _choose(
    solver: Solver, solved: Schedules, options: Mapping[str, Any]
) -> tuple[Solution, bool, Schedules | None]:
    """Return the requested schedule, and the schedules that it was chosen from.

    That is, whether all of these are proven, and those of the mapping without Pipelines, if any.
    """
    order, model, solutions = options["order"], solved.model, solved.solutions
    if order != "best":
        if order not in solutions:
            other = "skew" if "skew" in solutions else "program"
            raise TooLargeError(
                f"order {order!r} is not periodic within few tile iterations, and the mapping has"
                f" {model.lowered.size} at granularity {model.lowered.granularity!r}",
                where="mapping",
                fix=f"{fewer_iterations(model.lowered)}, or order={other!r}",
            )
        if not solutions[order].legal:
            raise _no_order(solutions[order], f"order {order!r}")
        return solutions[order], True, None
    choices = [solution for solution in solutions.values() if solution.legal]
    settled = solved.settled
    in_turn = None
    # Where everything streams, keeping the barriers is never faster than the order "program".
    if _has_pipelines(model.lowered) and not (model.streams and _program_exists(solved)):
        # A schedule that keeps barriers is also feasible where it need not.
        limit = options["max_tiles"]
        in_turn = solver(model.lowered, model.options, limit, sequential=True, beside=solved)
        choices += [solution for solution in in_turn.solutions.values() if solution.legal]
        settled &= in_turn.settled
    if not choices and not settled:
        raise TooLargeError(
            "every order that is periodic within few tile iterations contradicts the dependences,"
            f" and the mapping has {model.lowered.size} at granularity"
            f" {model.lowered.granularity!r}",
            where="mapping",
            fix=fewer_iterations(model.lowered),
        )
    if not choices:
        raise _no_order(list(solutions.values())[-1], "every order of the ports")
    return min(choices, key=lambda solution: solution.makespan), settled, in_turn


def _streams_in_turn(model: Model) -> bool:
    """Return whether each leaf, in turn, takes the busy time of its busiest port."""
    return model.streams and model.takes_port_time


def _program_exists(solved: Schedules) -> bool:
    solution = solved.solutions.get("program")
    return solution is not None and solution.legal


def _no_order(solution: Solution, which: str) -> ScheduleError:
    cycle = describe_cycle(solution)
    return ScheduleError(
        f"{which} contradicts the dependences: {cycle}",
        where="mapping",
        fix="use another order, hold the exchanged tensor above the loops that separate its"
        " producer from its reader, or give it more slots",
    )
