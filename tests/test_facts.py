"""Properties that follow from the model, on random cascades."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from polylat import Report, Spec
from polylat.engine.model import build
from polylat.lowering.lowered import lower
from reports import analyzed
from strategies import cascades

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
    """The same input with splits of one type as the other."""
    return data | {
        "mapping": rebuilt(
            data["mapping"], lambda n: n | {"type": new} if n.get("type") == old else n
        )
    }


def has_fills(data: Data, options: Data) -> bool:
    """Whether the mapping has prefetched fills."""
    lowered = lower(Spec.from_dict(data), "tile")
    model = build(lowered, frozenset(), options["slots"])
    return any(b.kind == "fill" for blocks in model.layout.blocks for b in blocks)


@given(cascades(max_einsums=1))
def test_one_leaf_streams(case: tuple[Data, Data]) -> None:
    """One leaf has the latency of its largest port load, whatever the order."""
    data, options = case
    report = analyzed(data, **options | {"background": ()})
    assert set(report.latency_by_order.values()) == {report.resource_bound}
    assert report.optimal


@given(cascades())
def test_sequential_has_one_order(case: tuple[Data, Data]) -> None:
    """With Sequential splits only and nothing prefetched, all orders take as long."""
    data, options = case
    data = retyped(data, "Pipeline", "Sequential")
    report = analyzed(data, **options | {"background": ()})
    assume(not has_fills(data, options))
    assert len(set(report.latency_by_order.values())) == 1
    assert report.latency == report.sequential


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
def test_background_never_slows_the_program_order(case: tuple[Data, Data]) -> None:
    """With unlimited slots, write-backs in the background make the program order no slower."""
    data, options = case
    options = options | {"slots": None}
    tensors = [a["name"] for e in data["workload"]["einsums"] for a in e["tensor_accesses"]]
    everything = analyzed(data, **options | {"background": tensors})
    nothing = analyzed(data, **options | {"background": ()})
    fast, slow = everything.latency_by_order["program"], nothing.latency_by_order["program"]
    assume(slow is not None)
    assert slow is not None
    assert fast is not None
    assert fast <= slow


@given(cascades())
def test_bounds_and_sequential(case: tuple[Data, Data]) -> None:
    """Both bounds hold for every order; the best order is no slower than sequential."""
    data, options = case
    report = analyzed(data, **options)
    for latency in report.latency_by_order.values():
        assert latency is None or latency >= report.resource_bound
        assert latency is None or latency >= report.dependence_bound
    assert report.latency >= max(report.resource_bound, report.dependence_bound)
    assert report.sequential is None or report.latency <= report.sequential
    assert report.optimal == (report.latency == max(report.resource_bound, report.dependence_bound))
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
        assert (einsum, component, tensor, action) in report.accesses


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
    mixed = {
        "workload": workload
        | {"einsums": random.sample(workload["einsums"], len(workload["einsums"]))},
        "arch": data["arch"],
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
        "sequential",
    ):
        assert getattr(before, name) == getattr(after, name), name
    assert [p.busy for p in before.ports] == [p.busy for p in after.ports]
