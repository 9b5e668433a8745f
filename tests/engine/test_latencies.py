"""Fixed latencies that differ between tile iterations: sampled schedules equal visited ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polylat
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage, stretched
from differences import CHECKS, compare
from polylat import Report, Spec
from recurrent_cascades import recurrent_cascades
from reports import explicit_up_to

Data = dict[str, Any]
FULL: Data = {"granularity": "full"}
FREE = [memory(name, "inf", "inf", size="inf") for name in ("DRAM", "SRAM", "RF")]


def fetched(tiles: int, inside: int, late: int) -> Data:
    """``b[m, k] = x[m]``, then ``c[m, k] = b[m, k]``; x arrives `late` after its fetch per tile."""
    data = spec(
        {"m": tiles, "k": inside},
        [einsum("e1", ("b", "m k"), ("x", "m")), einsum("e2", ("c", "m k"), ("b", "m k"))],
        [*FREE, compute("c1"), compute("c2")],
        [
            storage("DRAM", "x"),
            storage("SRAM", "b", "c"),
            loop("m"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(storage("RF", "x"), loop("k"), leaf("e1", "c1")),
                    nested(loop("k"), leaf("e2", "c2")),
                ],
            },
        ],
    )
    data["schedule"] = {"latency": {"DRAM": {"read": late}}}
    return data


def summed(tiles: int, inside: int, late: int) -> Data:
    """``y[m]``, 5 each; ``b[m]`` from it, a sum over k that takes no time; ``c[m]``, 1 each.

    A partial sum is read `late` after it is asked for; an operation passes 1 after its service.
    """
    data = spec(
        {"m": tiles, "k": inside},
        [
            einsum("e0", ("y", "m"), ("x", "m")),
            einsum("e1", ("b", "m"), ("y", "m"), ("w", "m k")),
            einsum("e2", ("c", "m"), ("b", "m")),
        ],
        [*FREE, compute("c0", "1/5"), compute("c1", "inf"), compute("c2")],
        [
            storage("SRAM", "w", "x", "y", "c"),
            storage("RF", "b"),
            loop("m"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(leaf("e0", "c0")),
                    nested(loop("k"), leaf("e1", "c1")),
                    nested(leaf("e2", "c2")),
                ],
            },
        ],
    )
    data["schedule"] = {"latency": {"RF": {"read": late}, "c1": {"compute": 1}}}
    return data


def sampled(data: Data) -> Report:
    """The report of a mapping of which not all tile iterations are visited."""
    with explicit_up_to(0):
        report = polylat.analyze(Spec.from_dict(data), **FULL)
    assert report.engine == "periodic"
    assert report.exact
    assert report.unsettled == ()
    return report


@pytest.mark.parametrize("tiles", [40, 10**9])
@pytest.mark.parametrize("inside", [3, 40])
def test_a_tile_passes_with_its_first_operation(tiles: int, inside: int) -> None:
    """The first operation of a tile waits for the fetch, and the others finish no earlier.

    The first one of all passes at 1 + 10. From then on the second unit is never idle.
    """
    report = sampled(fetched(tiles, inside, 10))
    assert report.latency == 11 + tiles * inside
    assert report.critical_totals[("e1", "c1", None, "latency")] == 10
    assert report.verify().latency == report.latency


@pytest.mark.parametrize("tiles", [40, 10**9])
@pytest.mark.parametrize("inside", [3, 40])
def test_a_latency_belongs_to_the_last_of_the_tile_iterations_that_pass(
    tiles: int, inside: int
) -> None:
    """The first operation of a sum reads no partial sum: it passes earlier than the others.

    The last sum starts at 5 · tiles. It passes 10 + 1 later, and so does the last result, 1 + 10
    later: the unit reads the sum.
    """
    report = sampled(summed(tiles, inside, 10))
    assert report.latency == 5 * tiles + 10 + 1 + 1 + 10
    before, summing, _last, _end = report.critical_path[-4:]
    assert before.action == "compute"
    assert summing.tile == (("m", tiles - 1), ("k", inside - 1))
    assert (summing.action, summing.finish - summing.start) == ("latency", 11)
    assert report.verify().latency == report.latency


@pytest.mark.slow
@pytest.mark.parametrize("make", [fetched, summed])
def test_the_path_is_that_of_all_tile_iterations(make: Any) -> None:
    for tiles, inside, late in ((40, 3, 10), (7, 30, 11), (20, 6, 4)):
        found = compare(make(tiles, inside, late), FULL, checks=CHECKS)
        assert (found.engine, found.exact, found.differences) == ("periodic", True, [])
        assert not found.undetermined["which of several critical paths"]


@pytest.mark.parametrize("make", [fetched, summed])
def test_costs_do_not_depend_on_the_trip_count(make: Any) -> None:
    sizes = [sampled(make(t, 40, 10)).solution.model.graph.iterations for t in (10**3, 10**9)]
    assert sizes[0] == sizes[1] < 1_000


@st.composite
def late_cascades(draw: st.DrawFn) -> tuple[Data, Data]:
    """Cascades with recurrences, with latencies of all actions, and options."""
    data, options = draw(recurrent_cascades())
    steps, batch = draw(st.sampled_from((5, 7, 12))), draw(st.sampled_from((1, 2, 5)))
    data = stretched(data, {"t": steps, "b": batch})
    times = st.sampled_from((0, 1, 3, 7, "5/2"))
    late = {
        node["name"]: {action["name"]: draw(times) for action in node["actions"]}
        for node in data["arch"]["nodes"]
        if node["type"] in ("Memory", "Toll", "Compute")
    }
    machine = {key: value for key, value in data.get("schedule", {}).items() if key != "rigid"}
    return data | {"schedule": machine | {"latency": late}}, options | {"max_tiles": 6_000}


@settings(max_examples=max(settings().max_examples // 3, 5))
@given(late_cascades())
def test_sampled_and_visited(case: tuple[Data, Data]) -> None:
    """Figures, schedules, critical paths and sensitivities are equal, and certificates hold."""
    checks = {"schedule", "critical", "sensitivity", "verify"}
    assert compare(*case, checks=checks).differences == []


@pytest.mark.long
def test_latencies_differ_in_random_cascades() -> None:
    """The property above says something."""
    found: Counter[str] = Counter()

    @settings(max_examples=80, derandomize=True, database=None, deadline=None)
    @given(late_cascades())
    def count(case: tuple[Data, Data]) -> None:
        with explicit_up_to(0):
            try:
                report = polylat.analyze(Spec.from_dict(case[0]), **case[1])
            except polylat.PolylatError:
                return
        graph = report.solution.model.graph
        differ = any(len(latencies) > 1 for latencies in graph.foreground_latencies)
        found[report.engine] += differ and report.exact

    count()
    assert found["periodic"]  # other versions of hypothesis draw few of them
