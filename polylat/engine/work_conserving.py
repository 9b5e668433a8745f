"""The work-conserving order of service ("oldest") in sampled loops: guess and check.

Under this order a port serves, whenever it is free, the oldest ready block (list scheduling). That
requires visiting every tile iteration, so the order of a sampled graph is guessed: the order of the
skewed dates, that of the shortened loops (`engine.shortened_loops`), that of list scheduling with
the ready times of the previous guess, or that of a simulation that skips repetitions
(`engine.service_simulation`). The guess is timed like a static order, and
`ExtensionRules.not_work_conserving` then decides whether a port should have served another block,
in the sampled iterations and in all skipped ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np

from polylat.engine.model import Model
from polylat.engine.service_order import (
    ServiceOrder,
    order_of_services,
    order_of_shortened_loops,
    transferred_order,
)
from polylat.engine.service_rules import service_rules
from polylat.engine.service_simulation import Simulation, simulated_services
from polylat.engine.service_table import ServiceTable
from polylat.engine.shortened_loops import shortened_graph
from polylat.lowering.iterations import IrregularError
from polylat.schedule.arrays import Ints, Mask, date_ranks, group_offsets
from polylat.schedule.decisions import ExtendedTimes
from polylat.schedule.events import Precedences
from polylat.schedule.extension import ExtensionRules, ServiceRules
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicTaskGraph
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.timing import TaskSchedule, service_order

__all__ = [
    "ports_have_no_choice",
    "service_by_date",
    "simulation_of",
    "with_order_of",
    "work_conserving_by_date",
    "work_conserving_by_shortened_loops",
    "work_conserving_by_simulation",
]


def ports_have_no_choice(model: Model, schedule: TaskSchedule) -> bool:
    """Return whether no port ever has two ready tasks, so that all orders are the same.

    Parameters
    ----------
    model, schedule
        A model whose tile iterations are sampled, and its schedule in the order "program".

    Returns
    -------
    bool
        True where the leaves run one after another; also where each port serves blocks of one kind
        only, and these are ready in order, unless there is no such schedule.
    """
    if model.runs_in_turn:
        return True
    return not model.graph.rivals.any() and _fills_ready_in_order(model, schedule)


def _fills_ready_in_order(model: Model, schedule: TaskSchedule) -> bool:
    """Return whether the prefetched fills of every stream are ready in order."""
    members = _members(model)
    if not schedule.legal or not members.families.ready:
        return schedule.legal
    return members.ready_in_order(_extended(model, schedule))


def _members(model: Model) -> ExtensionRules:
    assert isinstance(model.plan, PeriodicTaskGraph)
    return model.plan.repeats.all_members


def _extended(model: Model, schedule: TaskSchedule) -> ExtendedTimes:
    duration = model.graph.task_duration
    end = schedule.task_begin + duration
    return _members(model).extended(schedule.ready, end, duration)


_SEQUENCES = 8
"""How often an order of service is derived from the times under another one."""


def work_conserving_by_date(model: Model, skew: TaskSchedule) -> TaskSchedule:
    """Return the schedule in the order of skewed dates, if that is the work-conserving one.

    Parameters
    ----------
    model
        A model whose tile iterations are sampled.
    skew
        Its schedule in the order "skew".

    Returns
    -------
    TaskSchedule
        The same schedule, as that of the order "oldest".

    Raises
    ------
    NotPeriodicError
        The work-conserving schedule may be another one.
    """
    if not skew.legal:
        raise NotPeriodicError([])
    _check(model, skew, _extended(model, skew), service_by_date(model, skew))
    return replace(skew, order="oldest")


def service_by_date(model: Model, skew: TaskSchedule) -> ServiceRules:
    """Return the order of skewed dates as an order of service that may be work-conserving.

    Parameters
    ----------
    model, skew
        As for `work_conserving_by_date`.

    Returns
    -------
    ServiceRules
        The order of service, and the tasks that come later in it.

    Raises
    ------
    NotPeriodicError
        The order is not known for skipped tile iterations.
    """
    _require_known_dates(model)
    assert isinstance(model.plan, PeriodicTaskGraph)
    graph, times = model.graph, _extended(model, skew)
    # In the order of dates, a task that begins when the previous one ends is the oldest ready task,
    # unless it is a background write-back: these come last.
    idle = _members(model).begins_idle(times, model.plan.repeats.skew)
    sequence = graph.port_order(skewed=True)
    if _idle_while_ready(model, skew, idle, *sequence):
        raise NotPeriodicError([])
    idle |= graph.background[graph.task_block]
    _, order = order_of_shortened_loops(model.layout, graph, *sequence, idle)
    return _rules(model, order)


def _idle_while_ready(
    model: Model, schedule: TaskSchedule, idle: Mask, order: Ints, start: Ints
) -> bool:
    """Return whether a port is idle in a schedule while a task is ready that it serves later.

    Only sampled tile iterations that represent no others are examined: this decides quickly, in
    most cases, that the schedule is not work-conserving.

    Parameters
    ----------
    model, schedule
        The model and its schedule.
    idle
        Shape (tasks,): whether a task may begin later than its port becomes free.
    order, start
        The order of service, as from `TaskGraph.port_order`.
    """
    graph = model.graph
    iteration = graph.owner[graph.task_block]
    single = (model.layout.skipped_periods[:, iteration] == 0).all(axis=0)
    ready, begin = schedule.ready[graph.task_block], schedule.task_begin
    for first, last in pairwise(start.tolist()):
        mine = order[first:last]
        soonest = np.minimum.accumulate(ready[mine][::-1])[::-1]
        here = mine[:-1]
        if ((soonest[1:] < begin[here]) & idle[here] & single[here]).any():
            return True
    return False


def _require_known_dates(model: Model) -> None:
    """Raise an error where it is not known by which dates fills are served ahead."""
    if model.graph.overtaking and model.ahead is None:
        raise NotPeriodicError([])


def _rules(model: Model, order: ServiceOrder) -> ServiceRules:
    _require_known_dates(model)
    members, shifts, ahead = _members(model), model.shifts, model.ahead
    return service_rules(model.layout, model.graph, members, order, shifts, ahead)


def _check(model: Model, schedule: TaskSchedule, times: ExtendedTimes, rules: ServiceRules) -> None:
    """Check that in a schedule every port serves the oldest ready task."""
    places = _members(model).not_work_conserving(rules, times)
    if places:
        raise NotPeriodicError(places, schedule)


def work_conserving_by_shortened_loops(model: Model) -> tuple[TaskSchedule, Model]:
    """Return the work-conserving schedule, with the order of service of the shortened loops.

    Parameters
    ----------
    model
        A model whose tile iterations are sampled.

    Returns
    -------
    (schedule, model)
        The schedule, and the model with the order in which its ports serve.

    Raises
    ------
    NotPeriodicError
        The work-conserving schedule may be another one.
    """
    _require_known_dates(model)
    sequence = _list_schedule(shortened_graph(model.layout, model.graph, model.shifts))
    tried: list[Ints] = []
    while True:
        tried.append(sequence[0])
        try:
            return _in_sequence(model, *sequence)
        except NotPeriodicError as error:
            if error.timing is None or not error.timing.legal or len(tried) > _SEQUENCES:
                raise
            # The shortened loops take too little time, compared with the blocks outside them.
            sequence = _resequenced(model.graph, error.timing)
            if any(np.array_equal(sequence[0], other) for other in tried):
                raise


def simulation_of(model: Model, most: int) -> Simulation:
    """Return a simulation of all tile iterations under the order "oldest".

    Parameters
    ----------
    model
        A model whose tile iterations are sampled.
    most
        Largest number of services to simulate one by one.

    Returns
    -------
    Simulation
        The simulation.

    Raises
    ------
    NotPeriodicError
        The services repeat too rarely, or precedences do not move with the boxes.
    """
    _require_known_dates(model)
    places = _members(model).undecided_places
    if places:
        raise NotPeriodicError(places)
    found = simulated_services(model, most)
    if found is None:
        raise NotPeriodicError([])
    return found


def work_conserving_by_simulation(
    model: Model, simulation: Simulation
) -> tuple[TaskSchedule, Model]:
    """Return the work-conserving schedule, with the order of service of a simulation.

    Parameters
    ----------
    model
        A model whose tile iterations are sampled.
    simulation
        A simulation of the same mapping.

    Returns
    -------
    (schedule, model)
        As `work_conserving_by_shortened_loops`.

    Raises
    ------
    NotPeriodicError
        The work-conserving schedule may be another one.
    """
    return _in_order(model, *order_of_services(model.layout, model.graph, simulation.services))


def _in_sequence(model: Model, order: Ints, start: Ints) -> tuple[TaskSchedule, Model]:
    """Return the schedule with a given sequence of sampled services, if it is work-conserving."""
    return _in_order(model, *order_of_shortened_loops(model.layout, model.graph, order, start))


def _in_order(
    model: Model, seen: Precedences, followers: ServiceOrder
) -> tuple[TaskSchedule, Model]:
    """Return the schedule with a given order of service, if it is work-conserving."""
    assert isinstance(model.plan, PeriodicTaskGraph)
    ordered = _with_order(model, seen, followers)
    assert isinstance(ordered.plan, PeriodicTaskGraph)
    schedule = ordered.plan.time("oldest")
    if not schedule.legal:
        raise NotPeriodicError(
            [stretch.where for stretch in model.plan.repeats.skipped_ranges], schedule
        )
    service = ordered.plan.repeats.service
    assert service is not None
    _check(ordered, schedule, _extended(ordered, schedule), service)
    return schedule, ordered


def _resequenced(graph: TaskGraph, schedule: TaskSchedule) -> tuple[Ints, Ints]:
    """Return the order in which idle ports take the oldest task that is ready in a schedule.

    As `service_order` does. Each port is a machine of its own: the tasks have the times at which
    they are ready in the given schedule (single-machine list scheduling with release times).
    """
    block = graph.task_block
    iteration = graph.owner[block]
    ready = schedule.ready[block]
    late = graph.background[block].astype(np.int64)
    if graph.overtaking:
        dated, _ = graph.port_order(skewed=True)
        place = np.empty_like(dated)
        place[dated] = np.arange(len(dated))
        rank = date_ranks(np.vstack((late, place)))
    else:
        rank = date_ranks(np.vstack((late, graph.dates.skew[:, iteration], graph.sequence[block])))
    order: list[int] = []
    for port in range(graph.ports):
        tasks = np.flatnonzero(graph.task_port == port)
        tasks = tasks[np.lexsort((rank[tasks], ready[tasks]))]
        order += _single_machine(
            tasks.tolist(),
            ready[tasks].tolist(),
            rank[tasks].tolist(),
            graph.task_duration[tasks].tolist(),
        )
    return np.array(order, dtype=np.int64), group_offsets(graph.task_port, graph.ports)


def _single_machine(
    tasks: Sequence[int], ready: Sequence[int], rank: Sequence[int], duration: Sequence[int]
) -> list[int]:
    """Return tasks, given by the times at which they are ready, in the order of service."""
    served: list[int] = []
    waiting: list[tuple[int, int]] = []
    clock = at = 0
    while at < len(tasks) or waiting:
        if not waiting:
            clock = max(clock, ready[at])
        while at < len(tasks) and ready[at] <= clock:
            heappush(waiting, (rank[at], at))
            at += 1
        _, first = heappop(waiting)
        served.append(tasks[first])
        clock += duration[first]
    return served


def _with_order(model: Model, seen: Precedences, order: ServiceOrder) -> Model:
    """Return a model with an order of service for its ports."""
    assert isinstance(model.plan, PeriodicTaskGraph)
    structure = model.plan.repeats
    ordered = replace(
        structure,
        of_ports=lambda: replace(structure.ports, seen=seen),
        of_finishing=lambda: structure.finishing,
        of_all=lambda: structure.all_members,
        of_service=lambda: _rules(model, order),
    )
    return replace(model, plan=PeriodicTaskGraph(model.graph, ordered), service_order=order)


def _list_schedule(graph: TaskGraph) -> tuple[Ints, Ints]:
    """Return the work-conserving order of service of a graph, as `service_order` does."""
    schedule = ExplicitTaskGraph(graph).time("oldest")
    if not schedule.legal:
        raise NotPeriodicError([])
    return service_order(graph, schedule)


def with_order_of(model: Model, other: Model) -> Model:
    """Transfer the order of service of a model to another sample of the same mapping.

    Every task takes the predecessor of the task that represents it in the first model, translated
    by the iterations between the two, in the loops that both leaves share.

    Parameters
    ----------
    model
        A model from `work_conserving_by_shortened_loops`, which has the order of service.
    other
        The same mapping, of which other tile iterations are sampled.

    Returns
    -------
    Model
        The other model, with the order in which its ports serve.

    Raises
    ------
    IrregularError
        The predecessor of a task is not determined.
    """
    assert isinstance(model.plan, PeriodicTaskGraph)
    assert isinstance(other.plan, PeriodicTaskGraph)
    seen = model.plan.repeats.ports.seen
    assert seen is not None
    assert model.service_order is not None
    old, new = ServiceTable(model.layout, model.graph), ServiceTable(other.layout, other.graph)
    digits = new.loop_indices(np.arange(other.graph.tasks))
    representative, _ = old.locate(new.leaf, digits, new.sequence, new.port)
    precedence = np.full(model.graph.tasks, -1, dtype=np.int64)
    precedence[seen.target] = np.arange(len(seen.target))
    tasks = np.flatnonzero((representative >= 0) & (precedence[representative] >= 0))
    chosen = precedence[representative[tasks]]
    source = seen.source[chosen]
    later = digits[:, tasks] - old.loop_indices(representative[tasks])
    shared = model.layout.shared[new.leaf[tasks], old.leaf[source]]
    later[np.arange(len(later))[:, None] >= shared] = 0
    awaited = old.loop_indices(source, seen.periods[:, chosen]) + later
    found, periods = new.locate(old.leaf[source], awaited, old.sequence[source], old.port[source])
    if (representative < 0).any() or (found < 0).any():
        raise IrregularError("a port does not serve all periods alike")
    order = transferred_order(
        model.service_order, (model.layout, model.graph), (other.layout, other.graph)
    )
    return _with_order(other, Precedences(found, tasks, periods), order)
