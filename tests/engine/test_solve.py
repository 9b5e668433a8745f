"""The periodic engine against the explicit one, and against closed forms."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import polylat
from benchmarks.fused import attention_block
from builders import (
    EXAMPLE,
    EXAMPLES,
    LEGAL,
    compute,
    einsum,
    leaf,
    loop,
    memory,
    nested,
    spec,
    storage,
    stretched,
)
from differences import coarser
from polylat import MappingError, Report, ScheduleError, Spec, TooLargeError
from polylat.engine.orders import schedule_mapping
from polylat.engine.solution import Solution
from polylat.engine.solve import SERVICES, Schedules, solve
from polylat.errors import UnsupportedError
from polylat.lowering.lowered import lower
from polylat.lowering.tree import mapping_leaves
from polylat.report import normalize_input
from polylat.schedule.timing import ScheduleSummary
from reports import explicit_up_to
from strategies import long_cascades

Data = dict[str, Any]
ORDERS = ("program", "skew", "oldest")
FEWER = settings(
    max_examples=max(settings().max_examples // 4, 5),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def both(data: Data, options: Data, most: int = 4000) -> tuple[Report, Report]:
    """The reports of the explicit and of the periodic engine, where both apply."""
    try:
        spec = Spec.from_dict(data)
        granularity = options["granularity"].replace("auto", "flow")
        size = lower(spec, granularity).size
        assume(60 <= size <= most)
        options = options | {"granularity": granularity}
        with explicit_up_to(10**9):
            every = polylat.analyze(spec, **options)
        with explicit_up_to(0):
            some = polylat.analyze(spec, **options)
    except (MappingError, ScheduleError):
        assume(False)
        raise
    assume(some.engine == "periodic")
    return every, some


@pytest.mark.slow
@FEWER
@given(long_cascades())
def test_same_report(case: tuple[Data, Data]) -> None:
    """Both engines give the same report, the critical path included."""
    every, some = both(*case)
    assert every.engine == "explicit"
    for name in (
        "latency",
        "latency_by_order",
        "order",
        "tiles",
        "resource_bound",
        "dependence_bound",
        "barrier_bound",
        "sequential",
        "accesses",
        "ports",
        "exact",
        "lower_bound",
        "critical_totals",
        "critical_reasons",
    ):
        assert getattr(some, name) == getattr(every, name), name
    assert list(some.critical_path) == list(every.critical_path)
    for mine, other in zip(every.occupancy, some.occupancy, strict=True):
        with suppress(UnsupportedError):  # not determined where residents do not repeat
            assert other.peak == mine.peak


@pytest.mark.long
@FEWER
@given(long_cascades(), st.data())
def test_same_when_timed_anew(case: tuple[Data, Data], data: st.DataObject) -> None:
    """Under other durations both engines find the same latency, and the same time on the path."""
    every, some = both(*case)
    assume(some.order != "oldest")
    mine, other = every.retimer, some.retimer
    assert dict(mine.loads) == dict(other.loads)
    scales = st.sampled_from([Fraction(s) for s in ("0", "1/2", "1", "7/5", "2", "3")])
    drawn = {key: data.draw(scales) for key in mine.loads}
    expected, found = mine.evaluate(drawn), other.evaluate(drawn)
    assert found.latency == expected.latency
    assert sum(found.time.values()) == found.latency
    keys = {key for key, scale in drawn.items() if scale and data.draw(st.booleans())}
    little = Fraction(1, 10**9)
    below = mine.evaluate({key: scale - little * (key in keys) for key, scale in drawn.items()})
    line = found.latency - found.slope(keys) * little
    assert line <= below.latency
    if found.direct_slope(keys) is not None:  # the slope from the left, found without the path
        assert line == below.latency


@pytest.mark.long
@pytest.mark.parametrize("split", ["Sequential", "Pipeline"])
@pytest.mark.parametrize("sizes", [(4, 60), (60, 4), (30, 30)])
def test_attention(sizes: tuple[int, int], split: str) -> None:
    """Two nested loops that all stages share, whose stages take from the same ports."""
    spec = Spec.from_dict(attention_block(*sizes, keys=512, split=split))
    with explicit_up_to(10**9):
        every = polylat.analyze(spec)
    with explicit_up_to(0):
        some = polylat.analyze(spec, max_tiles=every.tiles // 2)
    assert (every.engine, some.engine) == ("explicit", "periodic")
    assert some.latency_by_order == every.latency_by_order
    assert some.unsettled == ()
    assert some.critical_totals == every.critical_totals


@pytest.mark.long
def test_attention_of_any_size() -> None:
    """All orders are determined, at a cost that does not depend on the trip count."""
    once, more = (
        polylat.analyze(Spec.from_dict(attention_block(heads, 10**4)), order="oldest")
        for heads in (10**3, 10**5)
    )
    # The keys of the first head: 4096 rows of 128 values of 16 bits, 8192 bits at a time. After
    # that, tiles arrive before they are needed.
    first = 4096 * 128 * 16 // 8192
    assert more.latency - first == 100 * (once.latency - first)
    assert more.verify().latency == more.latency


@pytest.mark.long
@FEWER
@given(st.sampled_from(LEGAL), st.integers(40, 400), st.integers(0, 3), st.sampled_from((1, 2, 3)))
def test_outermost_loop(case: Data, factor: int, more: int, slots: int) -> None:
    """With a long outermost loop, every determined latency is that of the explicit engine."""
    spec = Spec.from_dict(case["spec"])
    loops = [leaf.temporal[:1] for leaf in mapping_leaves(spec)]
    variables = {loop[0].variable if loop else "" for loop in loops}
    assume(len(variables) == 1 and "" not in variables)
    data = stretched(case["spec"], dict.fromkeys(variables, factor), more)
    background = [tuple(pair) for pair in case["options"]["background"]]
    options: Data = {"granularity": "tile", "slots": slots, "background": background}
    try:
        long = Spec.from_dict(data)
        size = lower(long, "tile").size
        assume(size <= 6000)
        with explicit_up_to(10**9):
            every = polylat.analyze(long, **options)
        with explicit_up_to(50):
            some = polylat.analyze(long, max_tiles=max(50, size - 1), **options)
    except (MappingError, ScheduleError, TooLargeError):
        assume(False)
        raise
    for order in ORDERS:
        if some.latency_by_order[order] is not None:
            assert some.latency_by_order[order] == every.latency_by_order[order]
    assert some.lower_bound <= every.latency <= some.latency
    if some.exact:
        assert some.latency == every.latency


# Closed forms ------------------------------------------------------------------------------------


def pipeline(durations: list[int], tiles: int, *, capacity: bool = True) -> Spec:
    """Stages of given durations over a number of tiles, each on an array of its own."""
    stages = range(len(durations))
    einsums = [
        {
            "name": f"e{s}",
            "tensor_accesses": [
                {"name": f"t{s}", "projection": {f"T{s}": "m"}},
                {"name": f"t{s + 1}", "projection": {f"T{s + 1}": "m"}, "output": True},
            ],
        }
        for s in stages
    ]
    free = [{"name": action, "throughput": "inf"} for action in ("read", "write")]
    memories = [
        {"type": "Memory", "name": name, "size": "inf", "actions": free}
        for name in ("DRAM", "SRAM")
    ]
    arrays = [
        {
            "type": "Compute",
            "name": f"c{s}",
            "actions": [{"name": "compute", "throughput": f"1/{durations[s]}"}],
        }
        for s in stages
    ]
    outer = {"type": "Storage", "component": "DRAM", "tensors": ["t0", f"t{len(durations)}"]}
    loop = {"type": "Temporal", "rank_variable": "m", "tile_shape": 1}
    held = [f"t{s}" for s in stages if s]
    holder = {"type": "Storage", "component": "SRAM", "tensors": held}
    branches = [
        {
            "type": "Nested",
            "nodes": [{"type": "Compute", "einsum": f"e{s}", "component": f"c{s}"}],
        }
        for s in stages
    ]
    above = [loop, holder] if capacity else [holder, loop]
    return Spec.from_dict(
        {
            "workload": {
                "iteration_space_shape": {"m": f"0 <= m < {tiles}"},
                "bits_per_value": {"All": 8},
                "einsums": einsums,
            },
            "arch": {"nodes": [*memories, *arrays]},
            "mapping": {"nodes": [outer, *above, {"type": "Pipeline", "nodes": branches}]},
        }
    )


DURATIONS = st.one_of(
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.lists(st.integers(998, 1002), min_size=2, max_size=2),
)


@given(DURATIONS, st.sampled_from((10**4, 10**6, 10**9)), st.sampled_from((2, 3, None)))
def test_uniform_pipeline(durations: list[int], tiles: int, slots: int | None) -> None:
    """With enough slots: all stages once, and the longest one for every further tile."""
    with explicit_up_to(0):
        report = polylat.analyze(pipeline(durations, tiles), slots=slots, max_tiles=50_000)
    expected = sum(durations) + (tiles - 1) * max(durations)
    assert report.latency_by_order == dict.fromkeys(ORDERS, expected)
    assert report.engine == "periodic"
    assert report.exact
    assert sum(report.critical_totals.values()) == expected


@pytest.mark.long
@given(DURATIONS, st.integers(2, 6))
@example([1, 1, 17, 25], 3)  # without ports three tiles at once, all 42
@example([40, 3, 1, 2, 43], 5)  # the stages begin to wait for space at different tiles
def test_pipeline_that_fills_slowly(durations: list[int], slots: int) -> None:
    """However the slots fill, the longest stage sets the pace; and both engines agree."""
    report = polylat.analyze(pipeline(durations, 10**6), slots=slots, max_tiles=50_000)
    expected = sum(durations) + (10**6 - 1) * max(durations)
    assert report.latency_by_order == dict.fromkeys(ORDERS, expected)
    with explicit_up_to(10**9):
        every = polylat.analyze(pipeline(durations, 700), slots=slots)
    with explicit_up_to(0):
        some = polylat.analyze(pipeline(durations, 700), slots=slots)
    assert every.latency_by_order == some.latency_by_order
    assert every.dependence_bound == some.dependence_bound


@given(DURATIONS, st.sampled_from((10**4, 10**9)))
def test_one_slot(durations: list[int], tiles: int) -> None:
    """With one slot neighbours take turns: the slowest pair sets the pace."""
    report = polylat.analyze(pipeline(durations, tiles), slots=1, max_tiles=50_000)
    pairs = [a + b for a, b in pairwise(durations)]
    assert report.latency == sum(durations) + (tiles - 1) * max(pairs)


@given(DURATIONS)
def test_no_capacity(durations: list[int]) -> None:
    """Stages that nothing couples drift apart, each at its own rate."""
    report = polylat.analyze(pipeline(durations, 10**9, capacity=False), max_tiles=50_000)
    assert report.latency == sum(durations) + (10**9 - 1) * max(durations)


@pytest.mark.long
@pytest.mark.parametrize(
    "durations", [[1000, 14, 1001, 15], [999, 1000, 1], [29, 30, 31, 32], [997, 1, 1, 998]]
)
@pytest.mark.parametrize("tiles", [1500, 10**5, 10**9])
def test_nearly_equal_stages(durations: list[int], tiles: int) -> None:
    """A buffer fills for a thousand tiles before it delays the first stage."""
    with explicit_up_to(0):
        report = polylat.analyze(pipeline(durations, tiles), max_tiles=50_000)
    assert report.engine == "periodic"
    assert report.latency == sum(durations) + (tiles - 1) * max(durations)


def test_backlog_grows() -> None:
    """Background write-backs saturate a port, and end long after the last tile."""
    with explicit_up_to(10**9):
        short = {
            tiles: polylat.analyze(
                Spec.from_dict(tap(tiles)), background="o", order="program"
            ).latency
            for tiles in (1000, 2000, 3000)
        }
    step = Fraction(short[3000] - short[2000], 1000)
    assert short[2000] - short[1000] == 1000 * step
    assert step == 8  # the write-back takes eight, the computation one
    report = polylat.analyze(Spec.from_dict(tap(10**9)), background="o", order="program")
    assert report.engine == "periodic"
    assert report.latency == short[3000] + (10**9 - 3000) * step


def tap(tiles: int) -> Data:
    """One Einsum whose result is written to a slow DRAM."""
    return {
        "workload": {
            "iteration_space_shape": {"m": f"0 <= m < {tiles}"},
            "bits_per_value": {"All": 1},
            "einsums": [
                {
                    "name": "e",
                    "tensor_accesses": [
                        {"name": "i", "projection": {"I": "m"}},
                        {"name": "o", "projection": {"O": "m"}, "output": True},
                    ],
                }
            ],
        },
        "arch": {
            "nodes": [
                {
                    "type": "Memory",
                    "name": "DRAM",
                    "size": "inf",
                    "actions": [
                        {"name": "read", "throughput": "inf"},
                        {"name": "write", "throughput": "1/8"},
                    ],
                },
                {
                    "type": "Memory",
                    "name": "SRAM",
                    "size": "inf",
                    "actions": [
                        {"name": "read", "throughput": "inf"},
                        {"name": "write", "throughput": "inf"},
                    ],
                },
                {
                    "type": "Compute",
                    "name": "mac",
                    "actions": [{"name": "compute", "throughput": 1}],
                },
            ]
        },
        "mapping": {
            "nodes": [
                {"type": "Storage", "component": "DRAM", "tensors": ["i", "o"]},
                {"type": "Temporal", "rank_variable": "m", "tile_shape": 1},
                {"type": "Storage", "component": "SRAM", "tensors": ["i", "o"]},
                {"type": "Compute", "einsum": "e", "component": "mac"},
            ]
        },
    }


# A bracket --------------------------------------------------------------------------------------


def test_bracket() -> None:
    """Too fine for the limit: a schedule and a lower bound, marked as not exact."""
    spec = polylat.load(*EXAMPLE, top="Pipeline")
    exact = polylat.analyze(spec, granularity="full", background="o2")
    with explicit_up_to(0):
        limit = polylat.analyze(spec, granularity="tile").tiles
        report = polylat.analyze(spec, granularity="full", background="o2", max_tiles=limit)
    assert report.tiles == exact.tiles
    assert report.lower_bound <= exact.latency <= report.latency
    assert not report.exact
    assert report.gap == Fraction(report.latency) / Fraction(report.lower_bound) - 1 > 0


@pytest.mark.parametrize("proven", [False, True])
def test_finer_iterations_are_simulated_where_coarser_ones_are(proven: bool) -> None:
    """A simulation without result takes longer than all else: it is not repeated per refinement."""
    simulated: list[bool] = []

    def solver(*arguments: Any, **how: Any) -> Schedules:
        if how.get("quick"):
            simulated.append(how["services"] > 0)
        found = solve(*arguments, **how)
        kept = {name: one for name, one in found.solutions.items() if proven or name != "oldest"}
        return replace(found, solutions=kept)

    loaded = polylat.load(*EXAMPLE, top="Pipeline")
    with explicit_up_to(0):
        most = polylat.analyze(loaded, granularity="tile").tiles
        options = {"granularity": "full", "background": "o2", "max_tiles": most}
        choice = schedule_mapping(*normalize_input(loaded, options), solver=solver)
    assert choice.coarse
    assert simulated and set(simulated) == {proven}


@pytest.mark.parametrize("each", [0, 9_000, SERVICES])
def test_refinements_share_a_number_of_services(each: int) -> None:
    """However many refinements are tried, no more services are simulated for all of them."""
    allowed: list[int] = []
    coarse: list[Schedules] = []

    def solver(*arguments: Any, **how: Any) -> Schedules:
        if "services" not in how:
            coarse.append(solve(*arguments, **how))
            return coarse[-1]
        allowed.append(how["services"])
        return replace(coarse[0], simulated=min(each, how["services"]))

    loaded = polylat.load(*EXAMPLE, top="Pipeline")
    with explicit_up_to(0):
        most = polylat.analyze(loaded, granularity="tile").tiles
        options = {"granularity": "full", "background": "o2", "max_tiles": most}
        schedule_mapping(*normalize_input(loaded, options), solver=solver)
    assert len(allowed) > 2
    assert allowed == [max(SERVICES - n * each, 0) for n in range(len(allowed))]


@pytest.mark.parametrize("order", ["best", "oldest"])
def test_a_refinement_keeps_the_requested_order(order: str) -> None:
    """Where the order is proven for coarser tile iterations only, these are the result."""

    coarse: list[Schedules] = []

    def solver(*arguments: Any, **how: Any) -> Schedules:
        if "services" not in how:
            coarse.append(solve(*arguments, **how))
            return coarse[-1]
        sooner = ScheduleSummary("program", True, coarse[0].model.bound)
        faster = Solution(coarse[0].model, sooner)
        return replace(coarse[0], solutions={"program": faster})

    loaded = polylat.load(*EXAMPLE, top="Pipeline")
    with explicit_up_to(0):
        most = polylat.analyze(loaded, granularity="tile").tiles
        options = {"granularity": "full", "background": "o2", "max_tiles": most, "order": order}
        choice = schedule_mapping(*normalize_input(loaded, options), solver=solver)
    assert ("oldest" in choice.solved.solutions) == (order == "oldest")


@pytest.mark.parametrize("key", ["setup", "burst"])
def test_no_bracket_where_transfers_count(key: str) -> None:
    """A coarser schedule has fewer setups and fuller bursts: it is none of finer iterations."""
    data = spec(
        {"m": 100},
        [einsum("e1", ("b", "m"), ("a", "m")), einsum("e2", ("c", "m"), ("b", "m"))],
        [memory("DRAM", "inf", 1, size="inf"), memory("SRAM", size="inf"), compute("mac")],
        [
            storage("DRAM", "a", "b"),
            storage("SRAM", "c"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(storage("SRAM", "b"), loop("m"), leaf("e1")),
                    nested(loop("m"), leaf("e2")),
                ],
            },
        ],
    )
    data["schedule"] = {key: {"DRAM": {"write": 4}}}
    given_ = Spec.from_dict(data)
    fine = polylat.analyze(given_, granularity="full")
    assert fine.latency > polylat.analyze(given_, granularity="tile").latency
    assert fine.sequential is not None and fine.sequential >= fine.latency
    with pytest.raises(TooLargeError):
        polylat.analyze(given_, granularity="full", max_tiles=6)


@FEWER
@given(long_cascades(), st.integers(1, 64))
def test_brackets_hold(case: tuple[Data, Data], share: int) -> None:
    """However few tile iterations may be visited, the latency lies between the two numbers.

    A schedule of coarser tile iterations is one of the finer ones, too, in an order of service that
    may be faster than the three.
    """
    data, options = case
    try:
        spec = Spec.from_dict(data)
        size = lower(spec, "full").size
        assume(60 <= size <= 4000)
        options = options | {"granularity": "full"}
        with explicit_up_to(10**9):
            every = polylat.analyze(spec, **options)
        with explicit_up_to(0):
            some = polylat.analyze(spec, **options | {"max_tiles": max(size // share, 1)})
    except (MappingError, ScheduleError, TooLargeError):
        assume(False)
        raise
    assert some.lower_bound <= min(every.latency, some.latency)
    assert every.latency <= some.latency or coarser(every, some)
    assert (some.latency == every.latency) or not some.exact


@pytest.mark.parametrize("granularity", ["flow", "full"])
def test_refused_when_even_coarse_tiles_are_too_many(granularity: str) -> None:
    """The error names the option that would help."""
    files = [EXAMPLES / name for name in ("arch.yaml", "workload.yaml", "untapped.yaml")]
    with pytest.raises(TooLargeError, match="max_tiles"):
        polylat.analyze(polylat.load(*files), granularity=granularity, max_tiles=2)
