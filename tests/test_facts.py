"""Properties that follow from the model, on random cascades."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import oracle
from builders import without_machine
from polylat import Report, Spec
from polylat.analysis.access import LATENCY
from polylat.engine.model import build
from polylat.engine.solution import Solution
from polylat.lowering.lowered import lower
from polylat.numbers import Number
from reports import analyzed, transfers
from strategies import cascades, write_backs

Data = dict[str, Any]
ORDERS = ("program", "skew", "oldest")


def rebuilt(node: Any, change: Callable[[Data], Data]) -> Any:
    """A copy of nested data with every mapping changed, inner ones first."""
    if isinstance(node, dict):
        return change({key: rebuilt(value, change) for key, value in node.items()})
    if isinstance(node, list):
        return [rebuilt(item, change) for item in node]
    return node


def retyped(data: Data, old: str, new: str) -> Data:
    """The same input with splits of one type as the other, without bindings."""

    def change(node: Data) -> Data:
        if node.get("type") != old:
            return node
        return {key: value for key, value in node.items() if key != "binding"} | {"type": new}

    return data | {"mapping": rebuilt(data["mapping"], change)}


def has_fills(data: Data, options: Data) -> bool:
    """Whether the mapping has separate fills."""
    input_spec = Spec.from_dict(data)
    given = transfers(input_spec, **options)
    model = build(lower(input_spec, "tile", given), given)
    return any(b.kind == "fill" for blocks in model.layout.blocks for b in blocks)


STREAMED: Data = {"background": (), "staged": ()}
"""All transfers stream, but for fills above a split."""


@given(cascades(max_einsums=1))
def test_one_leaf_streams(case: tuple[Data, Data]) -> None:
    """Without latencies, one leaf has the latency of its largest port load in any order."""
    data, options = case
    report = analyzed(without_machine(data, "latency", "rigid"), **options | STREAMED)
    assert set(report.latency_by_order.values()) == {report.resource_bound}
    assert report.optimal


@given(cascades())
def test_sequential_has_one_order(case: tuple[Data, Data]) -> None:
    """With Sequential splits only, all streamed, all orders attain the barrier bound."""
    data, options = case
    data = retyped(without_machine(data, "latency", "rigid"), "Pipeline", "Sequential")
    options = options | STREAMED
    report = analyzed(data, **options)
    assume(not has_fills(data, options))
    assert set(report.latency_by_order.values()) == {report.barrier_bound}
    assert report.latency == report.sequential
    assert report.optimal


@given(cascades())
def test_pipelining_never_slows_the_program_order(case: tuple[Data, Data]) -> None:
    """Every Sequential as a Pipeline is no slower in program order, where both exist."""
    data, options = case
    options = options | {"background": ()}
    before = analyzed(retyped(data, "Pipeline", "Sequential"), **options)
    after = analyzed(retyped(data, "Sequential", "Pipeline"), **options)
    slow, fast = before.latency_by_order["program"], after.latency_by_order["program"]
    assume(slow is not None and fast is not None)
    assert slow is not None
    assert fast is not None
    assert fast <= slow


@given(cascades())
def test_background_never_slows_the_program_order_of_staged_holders(
    case: tuple[Data, Data],
) -> None:
    """Write-backs that are separate anyway wait for no more if they are in the background."""
    data, options = case
    options = options | {"staged": "all"}
    everything = analyzed(data, **options | {"background": write_backs(data)})
    nothing = analyzed(data, **options | {"background": ()})
    fast, slow = everything.latency_by_order["program"], nothing.latency_by_order["program"]
    assume(slow is not None)
    assert slow is not None
    assert fast is not None
    assert fast <= slow


def slower(data: Data, draw: Callable[[], int]) -> Data:
    """The same input; some actions take longer, pass later, or have a longer setup."""

    def change(node: Data) -> Data:
        if "throughput" in node and node["throughput"] != "inf":
            rate = Fraction(str(node["throughput"])) / draw()
            return node | {"throughput": str(rate)}
        return node

    machine = dict(data.get("schedule", {}))
    for key in ("latency", "setup"):
        table = machine.get(key, {})
        machine[key] = {
            component: {action: str(Fraction(time) * draw() + draw() // 2)
                        for action, time in actions.items()}
            for component, actions in table.items()
        }  # fmt: skip
    return data | {"arch": rebuilt(data["arch"], change), "schedule": machine}


@given(cascades(), st.data())
def test_static_orders_are_monotone(case: tuple[Data, Data], data: st.DataObject) -> None:
    """Larger durations, latencies and setups make neither static order faster.

    Rigid pipelines aside: a longer service lets the next tile iteration enter later, and stall
    less.
    """
    before_data = without_machine(case[0], "rigid")
    before = analyzed(before_data, **case[1])
    after_data = slower(before_data, lambda: data.draw(st.sampled_from((1, 1, 2, 3))))
    after = analyzed(after_data, **case[1])
    for order in ("program", "skew"):
        fast, slow = before.latency_by_order[order], after.latency_by_order[order]
        assert (fast is None) == (slow is None)
        assert fast is None or slow is None or fast <= slow


class EngineTimes:
    """A schedule of the engine by the names of the oracle's steps."""

    def __init__(self, solution: Solution) -> None:
        model, schedule = solution.model, solution.schedule
        self.solution = solution
        self.block: dict[tuple[Any, ...], int] = {}
        layout = model.layout
        for leaf, tiles in enumerate(layout.tiles):
            digits = list(map(tuple, tiles.digits.T.tolist()))
            for stream in layout.streams[leaf]:
                block = stream.block
                for number, at in enumerate(stream.iterations.tolist(), stream.first):
                    if block.kind == "foreground":
                        self.block["fore", leaf, digits[at]] = number
                    else:
                        kind = "fill" if block.kind == "fill" else "back"
                        self.block[kind, leaf, digits[at], block.level, block.tensor] = number
        self.services = {}
        keys = {block: key for key, block in self.block.items()}
        graph = model.graph
        for task, begin in enumerate(schedule.task_begin.tolist()):
            end = begin + int(schedule.durations[task])
            key = keys[int(graph.task_block[task])]
            port = int(graph.task_port[task])
            self.services[key, port] = solution.time(begin), solution.time(end)

    def start(self, key: tuple[Any, ...]) -> Number:
        """When a block may be served."""
        return self.solution.time(int(self.solution.schedule.ready[self.block[key]]))

    def finish(self, key: tuple[Any, ...]) -> Number:
        """When a block has passed; of a foreground, when its tile iteration has finished."""
        schedule = self.solution.schedule
        if key[0] in ("fore", "passed"):
            return self.solution.time(int(schedule.finish[self.block["fore", *key[1:]]]))
        return self.solution.time(int(schedule.passed[self.block[key]]))


@given(cascades())
def test_causality(case: tuple[Data, Data]) -> None:
    """In every order, each value is computed before it leaves, and arrives before it is used.

    The causes are found by the oracle, element by element from the operations; the times are those
    of the engine.
    """
    data, options = case
    report = analyzed(data, **options)
    names = ("background", "slots", "staged")
    model = oracle.Model(
        oracle.read_problem(data), report.granularity, **{name: options[name] for name in names}
    )
    checked = 0
    for solution in report.schedules.solutions.values():
        if solution.legal:
            times: Any = EngineTimes(solution)
            assert not oracle.check_causality(model, times)
            assert not oracle.check_ports(times)
            checked += 1
    assert checked


@given(cascades())
def test_bounds_and_sequential(case: tuple[Data, Data]) -> None:
    """All bounds hold for every order; the best order is no slower than sequential."""
    data, options = case
    report = analyzed(data, **options)
    largest = max(report.resource_bound, report.dependence_bound, report.barrier_bound)
    for latency in report.latency_by_order.values():
        assert latency is None or latency >= largest
    assert report.latency >= largest
    if not report.background:  # a write-back in the background leaves later than a streamed one
        assert report.sequential is None or report.latency <= report.sequential
    assert report.optimal == (report.latency == largest)
    for order in ORDERS:
        if report.latency_by_order[order] is not None:
            one = analyzed(data, **options | {"order": order})
            assert one.latency == report.latency_by_order[order]
            assert one.order == order


@given(cascades())
def test_critical_path(case: tuple[Data, Data]) -> None:
    """From time 0 to the latency without a gap, with totals that add up."""
    data, options = case
    report = analyzed(data, **options)
    now: int | Fraction = 0
    for step in report.critical_path:
        assert step.start == now
        assert step.duration > 0
        assert (step.waited_for is None) == (now == 0)
        now = step.finish
    assert now == report.latency
    assert sum(report.critical_totals.values()) == report.latency
    for (einsum, component, tensor, action), time in report.critical_totals.items():
        assert time > 0
        passes = action == LATENCY
        assert passes or (einsum, component, tensor, action) in report.accesses


@given(cascades())
def test_ports(case: tuple[Data, Data]) -> None:
    """The busiest port is the resource bound; none is busier than the schedule is long."""
    data, options = case
    report = analyzed(data, **options)
    assert max((p.busy for p in report.ports), default=0) == report.resource_bound
    assert all(0 < p.utilization <= 1 for p in report.ports)


@given(cascades())
def test_occupancy(case: tuple[Data, Data]) -> None:
    """Memories are empty at the end, and what is resident adds up at every change."""
    data, options = case
    report = analyzed(data, **options)
    for memory in report.occupancy:
        assert memory.peak == max((bits for _, bits in memory.steps), default=0)
        tiles = list(memory.tiles())
        for time, bits in memory.steps:
            assert bits == sum(t.bits for t in tiles if t.start <= time < t.end)
            assert time <= report.latency
        if memory.steps:
            assert memory.steps[-1][1] == 0


def renamed(data: Any, names: set[str], prefix: str) -> Any:
    """The same input with names changed everywhere, in expressions too."""
    if isinstance(data, str):
        return re.sub(r"\w+", lambda m: prefix * (m[0] in names) + m[0], data)
    if isinstance(data, dict):
        return {renamed(k, names, prefix): renamed(v, names, prefix) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)(renamed(v, names, prefix) for v in data)
    return data


@given(cascades())
def test_names_do_not_matter(case: tuple[Data, Data]) -> None:
    """Tensors, Einsums and components by other names: the same times."""
    data, options = case
    workload = data["workload"]
    names = {e["name"] for e in workload["einsums"]}
    names |= {a["name"] for e in workload["einsums"] for a in e["tensor_accesses"]}
    names |= {n["name"] for n in data["arch"]["nodes"]}
    before = analyzed(data, **options)
    after = analyzed(renamed(data, names, "q"), **renamed(options, names, "q"))
    same_times(before, after)
    assert {renamed(key, names, "q"): n for key, n in before.accesses.items()} == after.accesses


@given(cascades(), st.randoms(use_true_random=False))
def test_order_of_lists_does_not_matter(case: tuple[Data, Data], random: Any) -> None:
    """Einsums, tensors of a Storage, actions and keys in another order: the same report."""
    data, options = case

    def shuffle(node: Data) -> Data:
        node = {k: node[k] for k in random.sample(list(node), len(node))}
        for key in ("einsums", "tensors", "actions"):
            if key in node and node.get("type") != "Temporal":
                node[key] = random.sample(node[key], len(node[key]))
        return node

    before = analyzed(data, **options)
    workload = data["workload"]
    mixed = data | {
        "workload": workload
        | {"einsums": random.sample(workload["einsums"], len(workload["einsums"]))},
        "mapping": rebuilt(data["mapping"], shuffle),
    }
    after = analyzed(mixed, **options)
    same_times(before, after)
    assert before.accesses == after.accesses


def same_times(before: Report, after: Report) -> None:
    """Both reports give the same figures."""
    for name in (
        "latency",
        "latency_by_order",
        "order",
        "tiles",
        "resource_bound",
        "dependence_bound",
        "barrier_bound",
        "sequential",
    ):
        assert getattr(before, name) == getattr(after, name), name
    assert [p.busy for p in before.ports] == [p.busy for p in after.ports]
