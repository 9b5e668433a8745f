"""Explicit task graphs against a simulation in plain Python, event by event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from plain_events import PlainEvents, plain_values, previous
from polylat import MappingError, Spec, TooLargeError
from polylat.engine.model import build
from polylat.lowering.lowered import lower
from polylat.schedule.events import EventNumbering
from polylat.schedule.graph import TaskGraph
from polylat.schedule.links import event_links
from polylat.schedule.list_scheduling import ExplicitTaskGraph, _Simulator
from polylat.schedule.precedences import event_precedences
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


@given(cascades())
def test_links(case: tuple[Data, Data]) -> None:
    """They are all precedences but one: from the start to the end of a block with tasks."""
    graph = graph_of(case)
    events = EventNumbering(graph)
    start, out, lag, awaited = event_links(events)
    lags = lag.tolist() if graph.late else [0] * len(out)
    sources = np.repeat(np.arange(events.count), np.diff(start)).tolist()
    found = sorted(zip(sources, out.tolist(), lags, strict=True))
    every = event_precedences(events, None)
    columns = every.source.tolist(), every.target.tolist(), every.lag.tolist()
    served = set(graph.task_block.tolist())
    implied = {
        (block, int(events.block(np.array([block]))[0]), 0)
        for block in range(graph.iterations, graph.blocks)
        if block in served
    }
    expected = sorted(one for one in zip(*columns, strict=True) if one not in implied)
    assert found == expected
    assert awaited.tolist() == np.bincount(out, minlength=events.count).tolist()


@given(cascades(), st.sampled_from(("program", "skew", "oldest", None)))
def test_little_room(case: tuple[Data, Data], order: Any) -> None:
    """Where more events settle together than there is room for, the simulation starts again."""
    graph = graph_of(case)
    expected = ExplicitTaskGraph(graph).time(order)
    with mock.patch.object(_Simulator, "_usual_room", 0):
        found = ExplicitTaskGraph(graph).time(order)
    assert found.undone == expected.undone
    assert found.waiting.tolist() == expected.waiting.tolist()
    if expected.legal:
        assert found.values.tolist() == expected.values.tolist()


@given(cascades(), st.sampled_from((126, 127, 300)))
def test_many_precedences_of_an_event(case: tuple[Data, Data], times: int) -> None:
    """Their number does not fit 8 bits; each edge that is there already changes nothing."""
    graph = graph_of(case)
    assume(len(graph.edge_source))
    names = ("edge_source", "edge_target", "edge_until", "edge_reason", "edge_rule")
    edges: Data = {name: np.repeat(getattr(graph, name), times) for name in names}
    edges["edge_periods"] = np.repeat(graph.edge_periods, times, axis=1)
    many = replace(graph, **edges)
    for order in ("program", "oldest"):
        expected, found = (ExplicitTaskGraph(g).time(order) for g in (graph, many))
        assert found.legal == expected.legal
        if expected.legal:
            assert found.values.tolist() == expected.values.tolist()
