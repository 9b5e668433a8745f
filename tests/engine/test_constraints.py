"""The precedences of sampled mappings, against the explicit engine; and what they refuse."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

import polylat
from builders import (
    LEGAL,
    Data,
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
from grids import kept_at_random, members
from polylat import MappingError, Spec
from polylat.engine.constraints import extension_rules
from polylat.engine.model import Model, build
from polylat.engine.sampling_search import Inputs, SamplingSearch
from polylat.engine.service_order import order_of_shortened_loops
from polylat.engine.service_rules import service_rules
from polylat.lowering.enumeration import trip_counts
from polylat.lowering.iterations import IrregularError
from polylat.lowering.lowered import lower
from polylat.lowering.sampling import LoopSample
from polylat.schedule.boxes import Rows, Sources
from polylat.schedule.extension import ExtensionRules
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicTaskGraph
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.timing import Order, TaskSchedule
from reports import explicit_up_to, transfers
from strategies import holders, options_of_long

FEWER = settings(
    max_examples=max(settings().max_examples // 7, 5),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


class Members:
    """The precedences of a sampled mapping for all members, with times of the explicit engine."""

    def __init__(self, sampled: ExtensionRules, whole: ExtensionRules) -> None:
        self.sampled, self.whole = sampled, whole
        for name in ("start", "ready", "task", "served", "finish", "latest_of"):
            assert getattr(sampled.families, name) == getattr(whole.families, name), name

    def event(self, family: int, digits: list[int]) -> int:
        """The event of a family at a tile iteration."""
        grid, one = self.whole.grid, int(self.whole.families.leaf[family])
        key = sum(d * int(s) for d, s in zip(digits, grid.stride[one], strict=False))
        return int(self.whole.families.first[family]) + key

    def pairs(self, sources: Sources, rows: Rows) -> list[tuple[int, int, bool, bool, int]]:
        """(target, source, own, sound, lag) of all members of the rows' boxes, by whole events."""
        rules, grid = self.sampled, self.sampled.grid
        families = rules.families
        found = []
        for target, family, number, own, sound, lag in zip(
            rows.target.tolist(),
            rows.family.tolist(),
            rows.source.tolist(),
            rows.own.tolist(),
            rows.sound.tolist(),
            rows.lag.tolist(),
            strict=True,
        ):
            one, other = int(sources.leaf[number]), int(sources.other[number])
            key = int(sources.target[number])
            mine = int(np.searchsorted(families.first, target, side="right")) - 1
            assert int(families.leaf[mine]) == one
            assert int(families.leaf[family]) == other
            assert target - int(families.first[mine]) == key
            digits = grid.columns(one, grid.digit)[:, key]
            periods = grid.columns(one, grid.period)[:, key]
            base = sources.base[number, : grid.depth[other]]
            for member in members(grid, one, key):
                there = base.copy()
                for k, later in enumerate(member):
                    if sources.slope[number] >= 0:
                        there += later * sources.slopes[sources.slope[number], : len(base), k]
                    elif k < sources.same[number]:
                        there[k] += later * periods[k]
                assert (there >= 0).all() and (there < grid.trips[other, : len(there)]).all()
                here = digits + np.array(member, dtype=np.int64) * periods
                found.append(
                    (
                        self.event(mine, here.tolist()),
                        self.event(family, there.tolist()),
                        own,
                        sound,
                        lag,
                    )
                )
        return found


def rows_of(plan: PeriodicTaskGraph, order: Order | None) -> list[tuple[Sources, Rows]]:
    """The precedences of an order, and where their sources are."""
    rules, skew = plan.repeats.all_members, plan.repeats.skew
    found = [(rules.sources, rules.common)]
    if order == "skew" and skew is not None:
        found.append((skew.sources, skew.precedences))
    elif order is not None:
        found += [(rules.sources, rules.in_order), (rules.sources, getattr(rules, order))]
    return found


def known_orders(plan: PeriodicTaskGraph) -> list[Order | None]:
    """The orders whose precedences are known for all members; None for no order."""
    skew, known = plan.repeats.skew, plan.repeats.ports.skew is not None
    found: list[Order | None] = [None, "program"]
    if known and not (skew is not None and skew.undecided):
        found.append("skew")
    return found


def random_durations(graph: TaskGraph, random: np.random.Generator) -> Any:
    """Durations of all tasks; write-backs of a stream, which pass in order, are alike."""
    durations = random.integers(1, 20, graph.tasks)
    block = graph.task_block
    back = graph.kind[block] == 2
    keys = (graph.leaf[graph.owner[block]], graph.sequence[block], graph.task_port)
    kind = np.unique(np.array(keys)[:, back], axis=1, return_inverse=True)[1].reshape(-1)
    durations[back] = random.integers(1, 20, graph.tasks)[kind]
    return durations


@st.composite
def somewhat_long_cascades(draw: st.DrawFn) -> tuple[Data, Data]:
    """A cascade with one or two longer loops, and options for `build`."""
    case = draw(st.sampled_from(LEGAL))
    variables = sorted(case["spec"]["workload"]["iteration_space_shape"])
    longer = draw(st.lists(st.sampled_from(variables), min_size=1, max_size=2, unique=True))
    data = stretched(case["spec"], {v: draw(st.sampled_from((3, 5, 7))) for v in longer})
    options = draw(options_of_long(case))
    held = holders(data)
    if draw(st.booleans()) and held:
        options["staged"] = draw(st.lists(st.sampled_from(held), min_size=1, unique=True))
    return data, options


@pytest.mark.slow
@FEWER
@given(somewhat_long_cascades(), st.data())
def test_precedences_of_all_members_are_those_of_the_explicit_engine(
    case: tuple[Data, Data], data: st.DataObject
) -> None:
    """With any durations, the explicit times satisfy all precedences, and each one is attained."""
    try:
        input_spec = Spec.from_dict(case[0])
        transfer = transfers(input_spec, **case[1])
        lowered = lower(input_spec, data.draw(st.sampled_from(("tile", "flow"))), transfer)
        assume(12 <= lowered.size <= 500)
        model = build(lowered, transfer)
        kept = kept_at_random(data.draw, trip_counts(lowered.leaves))
        assume(any(sample.cuts for sample in kept.values()))
        sampled = build(lowered, transfer, kept=kept)
        assume(not sampled.layout.whole)
    except (MappingError, IrregularError, NotPeriodicError):
        assume(False)
        raise
    assert isinstance(sampled.plan, PeriodicTaskGraph)
    rules = sampled.plan.repeats.all_members
    assume(not rules.undecided)
    assume(model.shifts == sampled.shifts)
    whole = extension_rules(lowered, model.layout, model.graph, transfer, model.shifts)
    both = Members(rules, whole)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    for order in known_orders(sampled.plan):
        every = [pair for part in rows_of(sampled.plan, order) for pair in both.pairs(*part)]
        for _ in range(3):
            durations = random_durations(model.graph, random)
            graph = replace(model.graph, task_duration=durations)
            schedule = ExplicitTaskGraph(graph).time(order)
            if not schedule.legal:
                continue
            times = whole.extended(schedule.ready, schedule.task_begin + durations, durations)
            bound = np.zeros(len(times.values), dtype=np.int64)
            proven = bound.copy()
            for target, source, own, sound, lag in every:
                after = times.values[source] + times.steps[target] + lag
                bound[target] = max(bound[target], after)
                if sound and (whole.families.exists[source] or not own):
                    proven[target] = max(proven[target], after)
            needed = whole.needed
            assert (proven[needed] <= times.values[needed]).all(), "a precedence is none"
            assert (bound[needed] >= times.values[needed]).all(), "a precedence is missing"
            event(f"order {order}, overtaking {model.graph.overtaking}")


# Schedules that are wrong for skipped tile iterations


def periodic(data: Data, **options: Any) -> list[tuple[Model, TaskSchedule]]:
    """Models of which tile iterations are skipped, with their proven schedules, by order."""
    input_spec, granularity = Spec.from_dict(data), options.pop("granularity", "flow")
    transfer = transfers(input_spec, **options)
    inputs = Inputs(lower(input_spec, granularity, transfer), transfer)
    found: list[tuple[Model, TaskSchedule]] = []
    orders: tuple[Order | None, ...] = (None, "program", "skew")
    for order in orders:

        def timed(model: Model, order: Order | None = order) -> tuple[Model, TaskSchedule]:
            assert isinstance(model.plan, PeriodicTaskGraph)
            return model, model.plan.time(order)

        result = SamplingSearch(inputs, 10_000).run(timed)
        if result is not None:
            found.append(result)
    return found


def pipeline(n: int = 50) -> Data:
    """Three stages of which two share a unit."""
    return spec(
        {"m": n},
        [einsum("e1", ("b", "m"), ("a", "m")), einsum("e2", ("c", "m"), ("b", "m")),
         einsum("e3", ("d", "m"), ("c", "m"))],
        [memory("S", 3, "1/2", size="inf"), compute("c1", "1/2"), compute("c2", "1/5")],
        [storage("S", "a", "b", "c", "d"), loop("m"),
         {"type": "Pipeline", "nodes": [nested(leaf("e1", "c1")), nested(leaf("e2", "c2")),
                                        nested(leaf("e3", "c1"))]}],
    )  # fmt: skip


def tiled(n: int = 40) -> Data:
    """A consumer of windows of tiles, with prefetched weights and write-backs."""
    return spec(
        {"m": n, "k": 2, "j": 3},
        [einsum("e1", ("b", "m"), ("a", "m k"), ("w", "k")),
         einsum("e2", ("c", "m"), ("b", "m"), ("v", "m j"))],
        [memory("D", 1, "1/3", size="inf"), memory("S", "inf", "inf", size="inf"),
         compute("c1", "1/2"), compute("c2", "1/4")],
        [storage("D", "a", "w", "v", "c"), loop("m", 2), storage("S", "b", "v", "c"),
         {"type": "Pipeline", "nodes": [
             nested(loop("m"), storage("S", "a", "w"), loop("k"), leaf("e1", "c1")),
             nested(loop("m"), loop("j"), leaf("e2", "c2"))]}],
    )  # fmt: skip


def barriers(n: int = 30) -> Data:
    """Two branches in turn."""
    return spec(
        {"m": n, "k": 8},
        [einsum("e1", ("b", "m"), ("a", "m k")), einsum("e2", ("c", "m"), ("b", "m"))],
        [memory("S", 2, 1, size="inf"), compute("c1", "1/2"), compute("c2", "1/5")],
        [storage("S", "a", "b", "c"), loop("m"),
         {"type": "Sequential", "nodes": [nested(loop("k"), leaf("e1", "c1")),
                                          nested(leaf("e2", "c2"))]}],
    )  # fmt: skip


PROVEN = [
    result
    for data, options in (
        (pipeline(), {}),
        (pipeline(), {"slots": 1}),
        (tiled(), {"background": [("c", "S")]}),
        (tiled(), {"slots": None}),
        (barriers(), {"granularity": "full"}),
    )
    for result in periodic(data, **options)
]


def wrong_places(model: Model, schedule: TaskSchedule, **moved: Any) -> list[Any]:
    """What the precedences say about a schedule some of whose times were changed."""
    assert isinstance(model.plan, PeriodicTaskGraph)
    duration = model.graph.task_duration
    times = {
        "ready": schedule.ready,
        "end": schedule.task_begin + duration,
        **moved,
    }
    rules = model.plan.repeats.all_members
    extended = rules.extended(times["ready"], times["end"], duration)
    return rules.wrong_places(schedule.order, extended)


def test_there_are_proven_schedules() -> None:
    assert len(PROVEN) >= 12
    for model, schedule in PROVEN:
        assert wrong_places(model, schedule) == []
        assert not model.layout.whole


@given(st.sampled_from(PROVEN), st.sampled_from((-1, 1)), st.data())
def test_no_time_can_be_changed(
    proven: tuple[Model, TaskSchedule], by: int, data: st.DataObject
) -> None:
    """A schedule with one time that is one step earlier or later is refused."""
    model, schedule = proven
    graph = model.graph
    places = {
        "ready": (schedule.ready, np.arange(graph.blocks)),
        "end": (schedule.task_begin + graph.task_duration, np.arange(graph.tasks)),
    }
    name = data.draw(st.sampled_from([n for n, (_, some) in places.items() if len(some)]))
    times, some = places[name]
    changed = times.copy()
    changed[data.draw(st.sampled_from(some.tolist()))] += by
    assert wrong_places(model, schedule, **{name: changed})


@given(st.sampled_from(PROVEN), st.sampled_from((-1, 1)), st.data())
def test_no_range_can_have_another_length(
    proven: tuple[Model, TaskSchedule], by: int, data: st.DataObject
) -> None:
    """The schedule is refused for a mapping of which a period more or less is skipped."""
    model, schedule = proven
    assume(schedule.order is not None)  # times need not grow where no port is ever busy
    kept: dict[int, LoopSample] = {}
    for tiles in model.layout.tiles:
        kept |= {o.node: k for o, k in zip(tiles.leaf.temporal, tiles.kept, strict=False)}
    node = data.draw(st.sampled_from([n for n, sample in kept.items() if sample.cuts]))
    cuts = list(kept[node].cuts)
    at = data.draw(st.integers(0, len(cuts) - 1))
    cuts[at] = replace(cuts[at], periods=cuts[at].periods + by)
    assume(cuts[at].periods > 0)
    trips = kept[node].trips + by * cuts[at].period
    rules = _with_grid_of(model, node, LoopSample(trips, tuple(cuts)))
    duration = model.graph.task_duration
    end = schedule.task_begin + duration
    times = rules.extended(schedule.ready, end, duration)
    assert rules.wrong_places(schedule.order, times)


def _with_grid_of(model: Model, node: int, sample: LoopSample) -> ExtensionRules:
    """The precedences of the same sampled tile iterations, where a loop has another sample."""
    tables = []
    for tiles in model.layout.tiles:
        nodes = [o.node for o in tiles.leaf.temporal]
        kept = tuple(sample if n == node else k for n, k in zip(nodes, tiles.kept, strict=False))
        tables.append(replace(tiles, kept=kept))
    layout = replace(model.layout, tiles=tuple(tables))
    return extension_rules(model.lowered, layout, model.graph, model.options, model.shifts)


# Tile iterations without tasks


def without_tasks(n: int = 40) -> Data:
    """Tile iterations of two stages that take no time."""
    return spec(
        {"m": n, "x": 3},
        [einsum("e1", ("b", "m"), ("a", "m")), einsum("e2", ("c", "m"), ("b", "m")),
         einsum("e3", ("d", "x"), ("v", "x"))],
        [memory("S", "inf", "inf", size="inf"), compute("u", "inf"), compute("v", 1)],
        [storage("S", "a", "b", "c", "d", "v"),
         {"type": "Pipeline", "nodes": [
             nested(loop("m"), {"type": "Pipeline", "nodes": [nested(leaf("e1", "u")),
                                                             nested(leaf("e2", "u"))]}),
             nested(loop("x"), leaf("e3", "v"))]}],
    )  # fmt: skip


def test_a_cycle_that_takes_no_time_is_found() -> None:
    """If e1 also waited for e2, no time would contradict that, but nothing could start."""
    model, schedule = periodic(without_tasks())[0]
    assert isinstance(model.plan, PeriodicTaskGraph)
    assert model.plan.circular == []
    rules = model.plan.repeats.all_members
    grid, families = rules.grid, rules.families
    keys = np.flatnonzero(grid.columns(0, grid.skipped).any(axis=0))
    more = Sources(
        np.zeros(len(keys), np.int64),
        keys,
        np.ones(len(keys), np.int64),
        grid.columns(0, grid.digit)[:, keys].T,
        np.ones(len(keys), np.int64),
        np.full(len(keys), -1),
        np.zeros((0, 1, 1), np.int64),
    )
    rows = Rows(
        families.event(families.start[0], keys),
        np.full(len(keys), families.start[1]),
        len(rules.sources.target) + np.arange(len(keys)),
        np.zeros(len(keys), np.bool_),
        np.ones(len(keys), np.bool_),
        np.zeros(len(keys), np.int64),
    )
    circular = replace(
        rules,
        sources=Sources.joined([rules.sources, more], 1),
        common=Rows.joined([rules.common, rows]),
    )
    structure = replace(model.plan.repeats, of_all=lambda: circular)
    plan = PeriodicTaskGraph(model.graph, structure)
    assert wrong_places(replace(model, plan=plan), schedule) == []
    assert plan.circular
    with pytest.raises(NotPeriodicError):
        plan.time(None)


# The order "oldest"


def contended(n: int, first: str, second: str) -> Data:
    """Three stages, of which the first and the last share a unit."""
    return spec(
        {"m": n},
        [einsum("e1", ("b", "m"), ("a", "m")), einsum("e2", ("c", "m"), ("b", "m")),
         einsum("e3", ("d", "m"), ("c", "m"))],
        [memory("S", "inf", "inf", size="inf"), compute("u", first), compute("v", second)],
        [storage("S", "a", "b", "c", "d"), loop("m"),
         {"type": "Pipeline", "nodes": [nested(leaf("e1", "u")), nested(leaf("e2", "v")),
                                        nested(leaf("e3", "u"))]}],
    )  # fmt: skip


@pytest.mark.parametrize("slots", [1, 2, 3, None])
@pytest.mark.parametrize(("first", "second"), [("1/2", "1/5"), ("1/3", "1/2"), ("1", "1/4")])
def test_another_order_of_service_is_refused(first: str, second: str, slots: int | None) -> None:
    """A static schedule passes as "oldest" only if it is that schedule."""
    data = contended(40, first, second)
    input_spec = Spec.from_dict(data)
    whole = build(lower(input_spec, "flow"), transfers(input_spec, slots=slots))
    oldest = ExplicitTaskGraph(whole.graph).time("oldest")
    passed: Counter[tuple[bool, bool]] = Counter()
    for model, schedule in periodic(data, slots=slots):
        if schedule.order is None or not schedule.legal:
            continue
        assert isinstance(model.plan, PeriodicTaskGraph)
        rules = model.plan.repeats.all_members
        order = model.graph.port_order(skewed=schedule.order == "skew")
        _, followers = order_of_shortened_loops(model.layout, model.graph, *order)
        inputs = model.layout, model.graph, rules, followers
        service = service_rules(*inputs, model.shifts, model.ahead)
        duration = model.graph.task_duration
        end = schedule.task_begin + duration
        times = rules.extended(schedule.ready, end, duration)
        refused = rules.not_work_conserving(service, times)
        static = ExplicitTaskGraph(whole.graph).time(schedule.order)
        same = (static.task_begin == oldest.task_begin).all()
        assert refused or same, schedule.order
        passed[bool(refused), bool(same)] += 1
    assert passed[True, False], "one of the orders is another one"


# Mappings whose extended schedules were accepted although they were wrong


def late_capacity(late: int) -> Data:
    """The 40th tile of `t` waits for the first write-back, which a long fill delays."""
    return spec(
        {"x": late, "m": 1000},
        [einsum("e1", ("o", "x"), ("v", "x")), einsum("p", ("b", "m"), ("b0", "m")),
         einsum("q", ("a", "m"), ("b", "m")), einsum("e2", ("t", "m"), ("a", "m"))],
        [memory("D", size="inf"), memory("S", "inf", "inf", size="inf"), compute("c1", "inf"),
         compute("cp", "1/3"), compute("cq", "1/2"), compute("c2", "1/5")],
        [storage("D", "v", "t"), storage("S", "o", "a", "b0", "b"),
         {"type": "Pipeline", "nodes": [
             nested(storage("S", "v"), loop("x"), leaf("e1", "c1")),
             nested(loop("m"), {"type": "Sequential", "nodes": [nested(leaf("p", "cp")),
                                                               nested(leaf("q", "cq"))]}),
             nested(loop("m"), storage("S", "t"), leaf("e2", "c2"))]}],
    )  # fmt: skip


def whole_leaf_that_reads_back(turns: int) -> Data:
    """`e1` has few tile iterations and finishes with the write-backs of what it reads back."""
    return spec(
        {"m": 2, "k": turns, "x": 200},
        [einsum("e1", ("t", "m"), ("a", "m k")), einsum("e2", ("u", "x"), ("b", "x"))],
        [memory("D", "inf", "1/10", size="inf"), memory("S", "inf", "inf", size="inf"),
         compute("c1"), compute("c2")],
        [storage("D", "t"), storage("S", "a", "b", "u"),
         {"type": "Sequential", "nodes": [
             nested(loop("k"), storage("S", "t"), loop("m"), leaf("e1", "c1")),
             nested(loop("x"), leaf("e2", "c2"))]}],
    )  # fmt: skip


def fills_out_of_order(write: str) -> Data:
    """`e2` reads columns of what `e1` produces in rows: its fills are not ready in order."""
    return spec(
        {"m": 3, "n": 300},
        [einsum("e1", ("t", "m n"), ("a", "m n")), einsum("e2", ("u", "n m"), ("t", "m n")),
         einsum("e3", ("v", "n m"), ("u", "n m"))],
        [memory("S", "inf", "inf", size="inf"), memory("R", "inf", write, size="inf"),
         memory("Q", "inf", "inf", size="inf"), compute("c1"), compute("c2", "inf")],
        [storage("S", "t", "a", "v"),
         {"type": "Pipeline", "nodes": [
             nested(loop("m"), loop("n"), leaf("e1", "c1")),
             nested(loop("n"), loop("m"), storage("R", "t"), storage("Q", "u"),
                    {"type": "Sequential", "nodes": [nested(leaf("e2", "c2")),
                                                     nested(leaf("e3", "c2"))]})]}],
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "options"),
    [
        *((late_capacity(x), {"slots": 40, "background": [("t", "S")]}) for x in (205, 215)),
        *((whole_leaf_that_reads_back(k), {"background": [("t", "S")]}) for k in (2, 3, 4)),
        *((fills_out_of_order(x), {"slots": None}) for x in ("1/2", "1/5")),
    ],
)
def test_wrong_extensions_are_not_accepted(data: Data, options: Data) -> None:
    found = []
    for tiles in (10**9, 0):
        with explicit_up_to(tiles):
            report = polylat.analyze(Spec.from_dict(data), granularity="full", **options)
            found.append((report.latency_by_order, report.latency, report.sequential))
    assert found[0] == found[1]


def shared_fill_of_tied_variables(read: str) -> Data:
    """The first tile iteration of `e1` in each tile is that of i = 0 and j = 3."""
    data = spec(
        {"b": 300, "i": 4, "j": 4, "m": 2},
        [einsum("e1", ("t", "b i j"), ("X", "b")), einsum("e2", ("u", "b m"), ("X", "b"))],
        [memory("D", read, "inf", size="inf"), memory("S", "inf", "inf", size="inf"),
         compute("c1", 2), compute("c2", "1/3")],
        [storage("D", "X"), storage("S", "t", "u"), loop("b"), storage("S", "X"),
         {"type": "Pipeline", "nodes": [nested(loop("i"), loop("j"), leaf("e1", "c1")),
                                        nested(loop("m"), leaf("e2", "c2"))]}],
    )  # fmt: skip
    data["workload"]["iteration_space_shape"]["j"] = "0 <= j < 4 and i + j >= 3"
    return data


@pytest.mark.parametrize("read", ["1", "1/9"])
def test_shared_fills_of_tied_variables_are_found(read: str) -> None:
    found = []
    for tiles, engine in ((10**9, "explicit"), (0, "periodic")):
        with explicit_up_to(tiles):
            data = shared_fill_of_tied_variables(read)
            report = polylat.analyze(Spec.from_dict(data), granularity="full")
            assert report.engine == engine
            found.append((report.latency_by_order, report.latency))
    assert found[0] == found[1]
