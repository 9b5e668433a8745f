"""The work-conserving order of service ("oldest") in sampled loops: guess and check.

Under this order a port serves, whenever it is free, the oldest ready block (list scheduling). That
requires visiting every tile iteration, so the order of a sampled graph is guessed: either it is the
order of the skewed dates, or the order of the shortened loops (`engine.shortened_loops`). The guess
is timed like a static order, and `check_work_conserving` then proves that no port should have
served another block, in the sampled iterations and in all skipped ones.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from polylat.engine.model import Model
from polylat.engine.service_table import ServiceTable
from polylat.engine.shortened_loops import service_alternatives, shortened_graph, translated_order
from polylat.lowering.iterations import IrregularError
from polylat.schedule.arrays import Ints
from polylat.schedule.events import Precedences
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicTaskGraph
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import explicit_task_graph
from polylat.schedule.timing import TaskSchedule, service_order
from polylat.schedule.work_conserving import check_work_conserving

__all__ = ["with_order_of", "work_conserving_by_date", "work_conserving_by_shortened_loops"]


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
    assert isinstance(model.plan, PeriodicTaskGraph)
    if not skew.legal:
        raise NotPeriodicError([])
    graph = model.graph
    alternatives = service_alternatives(model.layout, graph, *graph.port_order(skewed=True))
    check_work_conserving(model.plan, skew, alternatives)
    return replace(skew, order="oldest")


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
    assert isinstance(model.plan, PeriodicTaskGraph)
    graph, structure = model.graph, model.plan.repeats
    order, start = _list_schedule(shortened_graph(model.layout, graph, model.shifts))
    seen = translated_order(model.layout, graph, order, start)
    ports = replace(structure.ports, seen=seen)
    plan = PeriodicTaskGraph(graph, replace(structure, ports=ports))
    schedule = plan.time("oldest")
    if not schedule.legal:
        raise NotPeriodicError([stretch.where for stretch in structure.skipped_ranges])
    check_work_conserving(plan, schedule, service_alternatives(model.layout, graph, order, start))
    return schedule, replace(model, plan=plan)


def _list_schedule(graph: TaskGraph) -> tuple[Ints, Ints]:
    """Return the work-conserving order of service of a graph, as `service_order` does."""
    schedule = explicit_task_graph(graph).time("oldest")
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
    ports = replace(other.plan.repeats.ports, seen=Precedences(found, tasks, periods))
    structure = replace(other.plan.repeats, ports=ports)
    return replace(other, plan=PeriodicTaskGraph(other.graph, structure))
