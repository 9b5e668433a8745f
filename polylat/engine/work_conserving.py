"""Ports that take the oldest block that may start, in loops of which few iterations are looked at.

The order in which they serve is guessed, and the guess is checked. It is seen in the same loops
without what is left out of them; in the long loops everything is served after what is as far
from it there. Timed like any order that is given, this is the work-conserving schedule if no port
should have chosen otherwise, now or in any of the iterations that are left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from polylat.engine.extension import Served, rivals, served_like, shortened
from polylat.engine.model import Model
from polylat.lowering.iterations import IrregularError
from polylat.schedule.arrays import Ints
from polylat.schedule.events import Precedences
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicTaskGraph
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import explicit_task_graph
from polylat.schedule.timing import TaskSchedule, service_order
from polylat.schedule.work_conserving import check_work_conserving

__all__ = ["seen_elsewhere", "time_as_dated", "time_as_seen"]


def time_as_dated(model: Model, skew: TaskSchedule) -> TaskSchedule:
    """The schedule in the order of skewed dates, if it is the work-conserving one.

    Raises
    ------
    NotPeriodicError
        It may be another one.
    """
    assert isinstance(model.plan, PeriodicTaskGraph)
    if not skew.legal:
        raise NotPeriodicError([])
    graph = model.graph
    check_work_conserving(model.plan, skew, rivals(model.layout, graph, *graph.port_order(skewed=True)))
    return replace(skew, order="oldest")


def time_as_seen(model: Model) -> tuple[TaskSchedule, Model]:
    """The work-conserving schedule, guessed from the loops without what is left out.

    Returns
    -------
    (timing, model)
        `model` has the order in which ports serve.

    Raises
    ------
    NotPeriodicError
        It may be another one.
    """
    assert isinstance(model.plan, PeriodicTaskGraph)
    graph, repeats = model.graph, model.plan.repeats
    order, start = _seen(shortened(model.layout, graph, model.shifts))
    seen = served_like(model.layout, graph, order, start)
    found = PeriodicTaskGraph(graph, replace(repeats, ports=replace(repeats.ports, seen=seen)))
    timing = found.time("oldest")
    if not timing.legal:
        raise NotPeriodicError([stretch.where for stretch in repeats.stretches])
    check_work_conserving(found, timing, rivals(model.layout, graph, order, start))
    return timing, replace(model, plan=found)


def _seen(graph: TaskGraph) -> tuple[Ints, Ints]:
    """Tasks in the order in which ports serve them, port by port, and where each port's begin."""
    timing = explicit_task_graph(graph).time("oldest")
    if not timing.legal:
        raise NotPeriodicError([])
    return service_order(graph, timing)


def seen_elsewhere(model: Model, other: Model) -> Model:
    """The order in which ports were seen to serve, where other iterations are looked at.

    Parameters
    ----------
    model
        A model whose plan has the order in which ports were seen to serve.
    other
        The same mapping; of its loops other iterations are looked at.

    Raises
    ------
    IrregularError
        It cannot be said what a port served before something.
    """
    assert isinstance(model.plan, PeriodicTaskGraph)
    assert isinstance(other.plan, PeriodicTaskGraph)
    seen = model.plan.repeats.ports.seen
    assert seen is not None
    old, new = Served(model.layout, model.graph), Served(other.layout, other.graph)
    digits = new.digits(np.arange(other.graph.tasks))
    alike, _ = old.located(new.leaf, digits, new.sequence, new.port)
    before = np.full(model.graph.tasks, -1, dtype=np.int64)
    before[seen.target] = np.arange(len(seen.target))
    tasks = np.flatnonzero((alike >= 0) & (before[alike] >= 0))
    wait = before[alike[tasks]]
    source = seen.source[wait]
    # What a copy was served after is as many periods later, in the loops that both are in.
    later = digits[:, tasks] - old.digits(alike[tasks])
    shared = model.layout.shared[new.leaf[tasks], old.leaf[source]]
    later[np.arange(len(later))[:, None] >= shared] = 0
    moved = old.digits(source, seen.periods[:, wait]) + later
    found, periods = new.located(old.leaf[source], moved, old.sequence[source], old.port[source])
    if (alike < 0).any() or (found < 0).any():
        raise IrregularError("a port does not serve everywhere alike")
    ports = replace(other.plan.repeats.ports, seen=Precedences(found, tasks, periods))
    repeats = replace(other.plan.repeats, ports=ports)
    return replace(other, plan=PeriodicTaskGraph(other.graph, repeats))
