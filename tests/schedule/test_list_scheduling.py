"""Explicit task graphs against a simulation in plain Python, event by event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from plain_events import PlainEvents, plain_values, previous
from polylat import MappingError, Spec, TooLargeError
from polylat.engine.model import build
from polylat.lowering.lowered import lower
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from reports import transfers
from strategies import cascades

Data = dict[str, Any]
MOST_EVENTS = 400


def graph_of(case: tuple[Data, Data]) -> TaskGraph:
    """The task graph of all tile iterations of a cascade; large and illegal ones do not count."""
    data, options = case
    try:
        spec = Spec.from_dict(data)
        given_options = transfers(spec, **options)
        granularity = options["granularity"].replace("auto", "flow")
        graph = build(lower(spec, granularity, given_options), given_options).graph
    except (MappingError, TooLargeError):
        assume(False)
        raise
    assume(2 * graph.blocks + graph.tasks + graph.iterations <= MOST_EVENTS)
    return graph


def places(graph: TaskGraph) -> list[tuple[Any, ...]]:
    """What orders the tasks of a port under "oldest", for each task: rules of the model."""
    rank = {date: k for k, date in enumerate(sorted(dates(graph, skewed=True)))}
    date = [rank[one] for one in dates(graph, skewed=True)]
    found = []
    for block in graph.task_block.tolist():
        own, host = int(graph.owner[block]), int(graph.host[block])
        kind, place = int(graph.kind[block]), int(graph.sequence[block])
        found.append(
            (bool(graph.background[block]), date[host], kind, host != own, date[own], place)
        )
    return found


def dates(graph: TaskGraph, *, skewed: bool) -> list[tuple[int, ...]]:
    """The logical dates of the tile iterations."""
    columns = graph.dates.skew if skewed else graph.dates.program
    return list(map(tuple, columns.T.tolist()))


@given(cascades(), st.sampled_from(("program", "skew", None)))
def test_static_orders(case: tuple[Data, Data], order: Any) -> None:
    """Under a static order, every event happens as early as what it waits for allows."""
    graph = graph_of(case)
    before = {}
    if order is not None:
        tasks, start = graph.port_order(skewed=order == "skew")
        before = previous(tasks.tolist(), start.tolist())
    plain = PlainEvents(graph, before)
    expected, found = plain.earliest(), ExplicitTaskGraph(graph).time(order)
    assert found.legal == (expected is not None)
    if expected is not None:
        # Events that nothing awaits need not be listed: ends of service without latencies.
        listed = [e[0] != "served" or e[1] >= graph.iterations or graph.late for e in plain.every]
        assert (
            found.values[listed].tolist()
            == np.array(plain_values(plain, expected))[listed].tolist()
        )
        passed = [expected["served", b] + int(graph.latency[b]) for b in range(graph.blocks)]
        ends = [expected["finish", i] for i in range(graph.iterations)]
        assert found.makespan == max([*passed[graph.iterations :], *ends], default=0)


@given(cascades())
def test_oldest(case: tuple[Data, Data]) -> None:
    """The compiled list schedule, events that a latency delays included."""
    graph = graph_of(case)
    plain = PlainEvents(graph)
    expected, found = plain.list_schedule(places(graph)), ExplicitTaskGraph(graph).time("oldest")
    assert found.legal == (expected is not None)
    if expected is not None:
        listed = [e[0] != "served" or e[1] >= graph.iterations or graph.late for e in plain.every]
        assert (
            found.values[listed].tolist()
            == np.array(plain_values(plain, expected))[listed].tolist()
        )


@given(cascades())
def test_port_order(case: tuple[Data, Data]) -> None:
    """Ports serve by the date of the host, kind, own before hosted, date, and position."""
    graph = graph_of(case)
    for skewed in (False, True):
        date = dates(graph, skewed=skewed)

        def place(task: int, date: Any = date, skewed: bool = skewed) -> tuple[Any, ...]:
            block = int(graph.task_block[task])
            own = int(graph.owner[block])
            host = int(graph.host[block]) if skewed else own
            kind, sequence = int(graph.kind[block]), int(graph.sequence[block])
            return date[host], kind, host != own, date[own], sequence

        tasks, start = graph.port_order(skewed=skewed)
        for port in range(graph.ports):
            served = tasks[start[port] : start[port + 1]].tolist()
            assert set(served) == set(np.flatnonzero(graph.task_port == port).tolist())
            assert served == sorted(served, key=place)


@given(cascades(), st.sampled_from(("program", "oldest")))
def test_python_integers(case: tuple[Data, Data], order: Any) -> None:
    """Times and latencies beyond 64 bits are those of the small graph, times a factor."""
    graph = graph_of(case)
    far = 1 << 70
    longer = {
        name: getattr(graph, name).astype(object) * far for name in ("task_duration", "latency")
    }
    rigid = {leaf: durations.astype(object) * far for leaf, durations in graph.rigid.items()}
    small = ExplicitTaskGraph(graph).time(order)
    large = ExplicitTaskGraph(replace(graph, **longer, rigid=rigid)).time(order)
    assert small.legal == large.legal
    if small.legal:
        assert [int(v) * far for v in small.values] == [int(v) for v in large.values]
        assert small.makespan * far == large.makespan
