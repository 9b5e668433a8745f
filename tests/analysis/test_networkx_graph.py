"""The task graph as a networkx graph."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from builders import EXAMPLE
from polylat import (
    OptionError,
    TooLargeError,
)
from reports import report_or_none
from strategies import cascades

Data = dict[str, Any]
ORDERS = ("program", "skew", "oldest", "best")


@given(cascades(), st.sampled_from(ORDERS))
def test_edges_of_the_task_graph_hold(case: tuple[Data, Data], order: str) -> None:
    report = report_or_none(case, order)
    if report is None:
        return
    graph = report.to_networkx()
    assert len(graph) == report.solution.model.graph.tasks
    for source, target, attributes in graph.edges(data=True):
        before, after = graph.nodes[source], graph.nodes[target]
        reason = attributes["reason"]
        assert after["start"] >= before["finish"]
        assert reason in {"flow", "barrier", "capacity", "port", "order"}
        if reason in {"port", "order"}:
            assert before["component"] == after["component"]
        if reason == "order":
            assert before["einsum"] == after["einsum"]
    served = max((n["finish"] for _, n in graph.nodes(data=True)), default=0)
    late = report.solution.model.graph.late  # the last fixed latency follows the last service
    assert served <= report.latency if late else served == report.latency


def test_window_of_the_task_graph() -> None:
    report = polylat.analyze(polylat.load(*EXAMPLE), granularity="tile")
    whole, some = report.to_networkx(), report.to_networkx(window=(0, 1024))
    assert 0 < len(some) < len(whole)
    assert all(node["start"] < 1024 for _, node in some.nodes(data=True))
    assert set(some.edges) == set(whole.subgraph(some).edges)
    with pytest.raises(TooLargeError, match="limit=3"):
        report.to_networkx(limit=3)
    with pytest.raises(OptionError):
        report.to_networkx(window=(2, 1))
