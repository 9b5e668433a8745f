"""The simulation of the order "oldest", and schedules that only it finds."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from builders import LEGAL, stretched, without_latencies
from polylat import Spec
from polylat.engine import solve
from polylat.engine.model import build
from polylat.engine.sampling_search import Inputs, SamplingSearch
from polylat.engine.service_log import ServiceRun, StreamLog
from polylat.engine.work_conserving import simulation_of
from polylat.lowering.lowered import lower
from reports import explicit_up_to, transfers

Data = dict[str, Any]

OPTIONS: dict[int, Data] = {
    1: {"granularity": "flow"},
    23: {"granularity": "tile", "slots": 3},
    26: {"granularity": "tile", "background": ["t4"]},
    46: {"granularity": "flow", "slots": 3},
    52: {"granularity": "flow"},
    59: {"granularity": "tile", "background": [("t1", "RF")]},
    80: {"granularity": "flow", "slots": 3},
}

REGIMES = [
    # Background write-backs that fill the gaps which another leaf leaves, and later run alone.
    (1, {"m": 500}),
    (23, {"m": 300}),
    (26, {"n0": 100}),
    # Two leaves that share a unit at a ratio of rates which changes when one of them wraps.
    (46, {"k": 150}),
    # One leaf runs ahead of another in the same loop.
    (59, {"m": 300}),
    # A service that lasts for many repetitions of the other ports.
    (52, {"m": 300}),
    # Periods of several iterations in one regime, and of one iteration in the next.
    (80, {"m": 500}),
]


def case_of(number: int, factors: dict[str, int]) -> tuple[Spec, Data]:
    """A stretched cascade without latencies, and the options of `analyze`."""
    data = without_latencies(LEGAL[number]["spec"])
    return Spec.from_dict(stretched(data, factors)), OPTIONS[number]


def inputs_of(number: int, factors: dict[str, int]) -> Inputs:
    """The same, lowered."""
    spec, options = case_of(number, factors)
    given_options = transfers(spec, **options)
    return Inputs(lower(spec, options["granularity"], given_options), given_options)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "factors"), REGIMES)
def test_all_services(number: int, factors: dict[str, int]) -> None:
    """The simulation has every service of the explicit engine, at the same time."""
    inputs = inputs_of(number, factors)
    search = SamplingSearch(inputs, 10**6)
    simulation = search.run(lambda model: simulation_of(model, 10**6))
    assert simulation is not None
    whole = build(*inputs)
    schedule = solve._explicit(whole).solutions["oldest"].schedule
    graph = whole.graph
    iteration = graph.owner[graph.task_block]
    digits = whole.layout.digits[:, iteration].T.tolist()
    leaf, sequence = graph.leaf[iteration].tolist(), graph.sequence[graph.task_block].tolist()
    port, begin = graph.task_port.tolist(), schedule.task_begin.tolist()
    for task in range(graph.tasks):
        log = simulation.services[leaf[task], sequence[task], port[task]]
        depth = whole.layout.tiles[leaf[task]].depth
        assert log.begin(tuple(digits[task][:depth])) == begin[task]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "factors"),
    [(1, {"m": 500}), (23, {"m": 300}), (52, {"m": 900}), (59, {"m": 300}), (80, {"m": 3000})],
)
def test_simulated_order(number: int, factors: dict[str, int]) -> None:
    """The order of service of a simulation is proven, and gives the explicit engine's latency."""
    inputs = inputs_of(number, factors)
    with explicit_up_to(0):
        search = partial(SamplingSearch, inputs)
        services = solve._Services(solve.SERVICES)
        found = solve._by_simulation(search, inputs.lowered, 10**6, None, services)
    assert found is not None
    explicit = solve._explicit(build(*inputs)).solutions["oldest"]
    assert found.makespan == explicit.makespan


@pytest.mark.parametrize(("number", "variable"), [(1, "m"), (23, "m")], ids=str)
def test_large(number: int, variable: str) -> None:
    """At large trip counts, every order is settled, and the schedule is proven from its report."""
    spec, options = case_of(number, {variable: 10**5})
    report = polylat.analyze(spec, **options)
    assert report.exact
    assert not report.unsettled


RUNS = st.lists(
    st.tuples(
        st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 6), st.integers(0, 4)
    ),
    min_size=1,
    max_size=4,
)


@given(RUNS, st.integers(-3, 200))
def test_log(parts: list[tuple[list[int], int, int]], time: int) -> None:
    """A log with runs answers as the list of all its services does."""
    runs, every = [], []
    at = iteration = 0
    for gaps, times, pause in parts:
        begins, digits = [], []
        for gap in gaps:
            begins.append(at)
            digits.append((0, iteration))
            at, iteration = at + gap, iteration + 1
        steps = at + pause - begins[0]
        run = ServiceRun(begins, digits, times, steps, 1, len(gaps))
        every += [run.service(n, k) for n in range(times) for k in range(len(gaps))]
        runs.append(run)
        at, iteration = begins[0] + times * steps, digits[0][1] + times * len(gaps)
    log = StreamLog(runs)
    assert every == sorted(every)
    assert log.after(time) == next((s for s in every if s[0] > time), None)
    assert log.before(time) == next((s for s in reversed(every) if s[0] < time), None)
    for begin, digits_of in every:
        assert log.begin(digits_of) == begin
    assert log.begin((0, iteration)) is None
