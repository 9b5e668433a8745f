"""Schedule a lowered mapping in every order: from all of its tile iterations, or from a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import takewhile
from math import ceil
from typing import NamedTuple

from polylat.engine.leaves_apart import keys_apart
from polylat.engine.model import Model, build
from polylat.engine.sampling_search import Inputs, Sampled, SamplingSearch
from polylat.engine.solution import Solution
from polylat.engine.work_conserving import (
    ports_have_no_choice,
    simulation_of,
    work_conserving_by_date,
    work_conserving_by_shortened_loops,
    work_conserving_by_simulation,
)
from polylat.errors import TooLargeError
from polylat.lowering.lowered import LoweredMapping, with_sequential_splits
from polylat.lowering.paths import loop_nodes
from polylat.lowering.sampling import LoopSample
from polylat.lowering.transfers import TransferOptions
from polylat.numbers import Number
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicTaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.timing import ORDERS, Order

__all__ = [
    "MOST_SAMPLED",
    "QUICK",
    "Schedules",
    "fewer_iterations",
    "solve",
    "solve_oldest",
    "solve_sampled",
]

EXPLICIT = 20_000
"""Up to this number of tile iterations, all are visited: sampling would not be faster."""

VISITED_PER_SAMPLED: int | None = 12
"""Where all tile iterations may be visited, the samples of a search have together at most one tile
iteration per this number (None: no limit). Sampling one takes as long as visiting 8. So a search
that fails adds at most two thirds to the time of visiting all, and a visit that replaces a search
takes at most about 1.5 times as long as that search."""

MOST_SAMPLED = 200_000
"""Beyond this number of sampled tile iterations, visiting all of them may be faster."""

QUICK = 30_000
"""Largest sample that is tried before a coarser granularity is considered."""

MOST_SHARED = QUICK
"""Beyond this number of tile iterations, a sample that is needed without ports is not that of the
orders, too. Where no port holds them back, fast stages of a Pipeline run far ahead before slow ones
stop them: what follows is periodic only after many iterations."""

SERVICES = 20_000
"""Largest number of services that are simulated one by one for the order "oldest": of a mapping,
and of all refinements of a mapping together."""

_BYTES_PER_ITERATION = 500
"""Memory that a visited tile iteration takes, about, in a mapping with few accesses."""

_MOST_BYTES = 16 << 30
"""Most memory that the advice of an error asks for."""

_MOST_TOGETHER = 10_000
"""Largest common sample, in tile iterations, that is tried before one of leaves sampled apart."""

_OLDEST_ROUNDS = 8
"""How often the sample is enlarged for the order "oldest"."""


@dataclass(frozen=True, eq=False)
class Schedules:
    """A mapping with its schedules in all orders.

    Parameters
    ----------
    model
        The mapping with its options.
    solutions
        Per order, its schedule. The model of a solution is the same mapping, but may sample other
        tile iterations. An order without a proven schedule is missing.
    unlimited_makespan
        The last finish where no block waits for a port, in steps.
    unlimited_sample
        The sample from which that is proven, see `Model.sample`; None: that of `model`.
    simulated
        How many services were simulated one by one; all that were allowed where that has failed.
    """

    model: Model
    solutions: Mapping[Order, Solution]
    unlimited_makespan: int
    unlimited_sample: Mapping[int, LoopSample] | None = None
    simulated: int = 0

    @cached_property
    def unlimited(self) -> Solution:
        """The schedule in which no block waits for a port."""
        model = self.model
        if self.unlimited_sample not in (None, model.sample):
            model = build(model.lowered, model.options, kept=self.unlimited_sample)
        return Solution(model, model.plan.unlimited)

    @property
    def least(self) -> Number | None:
        """The least makespan of the legal schedules; None if there is none."""
        return min((s.makespan for s in self.solutions.values() if s.legal), default=None)

    @property
    def settled(self) -> bool:
        """Whether the schedule of every order is proven."""
        return len(self.solutions) == len(ORDERS)


def solve(
    lowered: LoweredMapping,
    options: TransferOptions,
    max_tiles: int,
    *,
    sequential: bool = False,
    quick: bool = False,
    services: int = SERVICES,
    beside: Schedules | None = None,
) -> Schedules:
    """Schedule a mapping in every order.

    Parameters
    ----------
    lowered, options
        The mapping and the options, as in `Model`.
    max_tiles
        Largest number of tile iterations to visit.
    sequential
        Treat every Pipeline as a Sequential.
    quick
        Stop at a small sample where there are too many tile iterations to visit all.
    services
        Largest number of services to simulate one by one where no other guess of the order "oldest"
        is proven.
    beside
        Schedules that these are compared with, of the same mapping or of one with other splits.
        Where all tile iterations are visited, the two share tasks if these are the same, and the
        times of schedules that are not faster are not kept.

    Returns
    -------
    Schedules
        The schedules.

    Raises
    ------
    TooLargeError
        More tile iterations would have to be visited.
    """
    if sequential:
        lowered = with_sequential_splits(lowered)
    inputs = Inputs(lowered, options)
    found = None
    if lowered.size > min(EXPLICIT, max_tiles):
        few = QUICK if quick or lowered.size <= max_tiles else MOST_SAMPLED
        work = _work(lowered, max_tiles)
        found = solve_sampled(inputs, min(max_tiles, few), work, services=services)
        if found is not None and found.settled:
            return found
    if lowered.size <= max_tiles:
        if beside is None:
            return _explicit(build(*inputs))
        return _explicit(build(*inputs, beside=beside.model), beside.least)
    if found is not None:
        return found
    raise TooLargeError(
        f"the mapping has {lowered.size:,} tile iterations at granularity {lowered.granularity!r},"
        f" and no sample of up to max_tiles={max_tiles:,} of them represents the others",
        where="mapping",
        fix=fewer_iterations(lowered),
    )


def fewer_iterations(lowered: LoweredMapping) -> str:
    """Return what to change where too many tile iterations would have to be visited.

    Parameters
    ----------
    lowered
        The mapping.

    Returns
    -------
    str
        The advice: coarser tile iterations; to visit all of them only where that is possible.
    """
    ways = [] if lowered.granularity == "tile" else ["granularity='tile'"]
    ways.append("larger tiles in the loops above the splits and memories")
    needed = lowered.size * _BYTES_PER_ITERATION
    if needed <= _MOST_BYTES:
        size = f"{max(needed / 2**30, 0.1):.1f} GB"
        ways.append(f"max_tiles={lowered.size} (about {size} of memory)")
    return f"use {', or '.join(ways)}"


def _explicit(model: Model, below: Number | None = None) -> Schedules:
    assert isinstance(model.plan, ExplicitTaskGraph)
    steps = None if below is None else ceil(below * model.costs.scale)
    timings, unlimited = model.plan.time_all(steps)
    solutions = {order: Solution(model, timing) for order, timing in timings.items()}
    return Schedules(model, solutions, unlimited)


def _work(lowered: LoweredMapping, max_tiles: int) -> int | None:
    """Return the number of tile iterations to sample, in all rounds of a search; None: no limit."""
    if VISITED_PER_SAMPLED is None or lowered.size > max_tiles:
        return None
    return lowered.size // VISITED_PER_SAMPLED


def solve_sampled(
    inputs: Inputs,
    most: int,
    work: int | None = None,
    *,
    most_oldest: int | None = None,
    services: int = SERVICES,
) -> Schedules | None:
    """Return the schedules of a mapping from a sample of its tile iterations.

    Parameters
    ----------
    inputs
        The mapping and the options.
    most, work
        Largest number of tile iterations to sample, at once and in all rounds (None: no limit).
    most_oldest
        The same at once for the order "oldest", where it is not another order; None: `most`.
    services
        As in `solve`.

    Returns
    -------
    Schedules or None
        The schedules; None if no sample proves the static orders.
    """
    limit = most if most_oldest is None else most_oldest
    built: dict[Sampled, Model] = {}
    search = SamplingSearch(inputs, most, work=work, built=built)
    # First without ports: where the times of too small a sample differ, no order is timed.
    alone = search.run(_without_ports)
    if alone is None:
        return None
    apart = alone.size > MOST_SHARED
    if apart:
        search = SamplingSearch(inputs, most, work=search.work, built=built)

    def in_all_orders(model: Model) -> Schedules:
        unlimited = alone if apart else _without_ports(model)
        makespan, left = unlimited.makespan, search.work
        allowed = _Services(services)
        found = _solutions(model, makespan, inputs, most, left, built, limit, allowed)
        simulated = services - allowed.left
        return Schedules(model, found, unlimited.makespan, unlimited.sample, simulated)

    return search.run(in_all_orders)


@dataclass
class _Services:
    """Services that may be simulated one by one.

    Parameters
    ----------
    left
        Their number.
    """

    left: int


class _WithoutPorts(NamedTuple):
    """The schedule in which no block waits for a port.

    Parameters
    ----------
    makespan
        Its last finish, in steps.
    sample, size
        The sample from which it is proven, and its number of tile iterations.
    """

    makespan: int
    sample: Mapping[int, LoopSample]
    size: int


def _without_ports(model: Model) -> _WithoutPorts:
    assert isinstance(model.plan, PeriodicTaskGraph)
    return _WithoutPorts(model.plan.unlimited.makespan, model.sample, model.graph.iterations)


def _solutions(
    model: Model,
    unlimited: int,
    inputs: Inputs,
    most: int,
    work: int | None,
    built: dict[Sampled, Model],
    most_oldest: int,
    services: _Services,
) -> dict[Order, Solution]:
    """Return the schedules of a model in which sampled tile iterations represent the others."""
    assert isinstance(model.plan, PeriodicTaskGraph)
    found: dict[Order, Solution] = {
        order: Solution(model, timing) for order, timing in model.plan.time_static().items()
    }
    program = found["program"].schedule
    if ports_have_no_choice(model, program):
        found["oldest"] = Solution(model, replace(program, order="oldest"))
        return found
    if model.graph.overtaking:
        skew, work = _served_ahead(model, inputs, most, work, built)
        if skew is None:
            return found
        found["skew"] = skew
    try:
        skew = found["skew"]
        found["oldest"] = Solution(skew.model, work_conserving_by_date(skew.model, skew.schedule))
    except NotPeriodicError:
        if not most_oldest:
            return found
        # Where another order attains a bound, the latency does not depend on "oldest".
        bound = max(unlimited, model.bound)
        legal = [solution.schedule for solution in found.values() if solution.legal]
        if any(schedule.makespan == bound for schedule in legal):
            services = _Services(0)
        oldest = solve_oldest(inputs, most_oldest, work, built, services=services)
        if oldest is not None:
            found["oldest"] = oldest
    return found


def _served_ahead(
    model: Model, inputs: Inputs, most: int, work: int | None, built: dict[Sampled, Model]
) -> tuple[Solution | None, int | None]:
    """Schedule a mapping whose fills are served ahead in the order "skew", if that is known.

    First from the sample in which the order "program" is proven; else from one of its own. Return
    also what is left of `work`.
    """

    def timed(sampled: Model) -> Solution:
        return Solution(sampled, sampled.plan.time("skew"))

    assert isinstance(model.plan, PeriodicTaskGraph)
    if model.plan.repeats.ports.skew is None:
        return None, work
    try:
        return timed(model), work
    except NotPeriodicError:
        search = SamplingSearch(inputs, most, work=work, built=built)
        return search.run(timed), search.work


def solve_oldest(
    inputs: Inputs,
    most: int,
    work: int | None = None,
    built: dict[Sampled, Model] | None = None,
    *,
    services: _Services | None = None,
) -> Solution | None:
    """Schedule a mapping in the order "oldest" from a sample of its tile iterations.

    Parameters
    ----------
    inputs
        The mapping and the options.
    most, work
        Largest number of tile iterations to sample, at once and in all rounds (None: no limit).
    built
        As in `SamplingSearch`.
    services
        How many services may be simulated; those that are, are subtracted. None: none.

    Returns
    -------
    Solution or None
        Its model has the order in which the ports serve. None if no sample proves a schedule.
    """
    # First only common loops are skipped: the order in which a port alternates between two leaves
    # rarely repeats with a loop that only one of them has.
    search = partial(SamplingSearch, inputs, rounds=_OLDEST_ROUNDS, built=built)
    found = None
    common = _common_loops(inputs.lowered)
    if common:
        shared = search(min(most, QUICK), only=common, work=work)
        found, work = shared.run(_guessed), shared.work
    if found is None:
        every = search(most, work=work)
        found, work = every.run(_guessed), every.work
    if found is None and services is not None and services.left:
        found = _by_simulation(search, inputs.lowered, most, work, services)
    return found


def _by_simulation(
    search: Callable[..., SamplingSearch],
    lowered: LoweredMapping,
    most: int,
    work: int | None,
    services: _Services,
) -> Solution | None:
    """Return the schedule in the order of service of a simulation, if it is proven."""
    # Where all tile iterations may be visited, a long simulation takes longer than that.
    few = services.left if work is None else min(services.left, max(work, 0))
    simulation = search(most, work=work).run(lambda model: simulation_of(model, few))
    services.left -= few if simulation is None else simulation.simulated
    if simulation is None:
        return None

    def guessed(model: Model) -> Solution:
        schedule, ordered = work_conserving_by_simulation(model, simulation)
        return Solution(ordered, schedule)

    nodes, keys = loop_nodes(lowered.leaves), keys_apart(lowered)
    together = search(most, regimes=simulation.regimes(nodes))
    searches = [together]
    if keys is not None:
        apart = search(most, regimes=simulation.regimes(keys), keys=keys)
        common, separate = together.size, apart.size
        if common > max(_MOST_TOGETHER, 2 * separate):
            searches = [apart, together]
        elif common > separate:
            searches = [together, apart]
    for tried in searches:
        tried.work = work
        found, work = tried.run(guessed), tried.work
        if found is not None:
            return found
    return None


def _guessed(model: Model) -> Solution:
    """Return the work-conserving schedule, whose model has the guessed order of service."""
    schedule, ordered = work_conserving_by_shortened_loops(model)
    return Solution(ordered, schedule)


def _common_loops(lowered: LoweredMapping) -> frozenset[int]:
    """Return the loops (tree nodes) that index the tile iterations of all leaves."""
    nodes = [
        [loop.node for loop in leaf.temporal[:depth]]
        for leaf, depth in zip(lowered.leaves, lowered.depths, strict=True)
    ]
    alike = takewhile(lambda level: len(set(level)) == 1, zip(*nodes, strict=False))
    return frozenset(level[0] for level in alike)
