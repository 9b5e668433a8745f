"""Schedules and occupancies as ISL relations, and the task graph."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import islpy as isl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polylat
from builders import (
    EXAMPLE,
    LEGAL,
    compute,
    einsum,
    leaf,
    loop,
    memory,
    nested,
    options_of,
    spec,
    storage,
    stretched,
)
from polylat import (
    OptionError,
    Report,
    Spec,
)
from polylat.analysis.relation import access_names
from polylat.lowering.points import integer_points
from reports import explicit_up_to, report_or_none
from strategies import cascades, long_cascades

Data = dict[str, Any]
Starts = dict[str, set[tuple[int, ...]]]
ORDERS = ("program", "skew", "oldest", "best")


def maps(relation: isl.UnionMap) -> list[isl.Map]:
    """The maps of a union."""
    found: list[isl.Map] = []
    relation.foreach_map(found.append)
    return found


def pieces(relation: isl.UnionMap) -> int:
    """Number of affine pieces."""
    return sum(m.n_basic_map() for m in maps(relation))


def starts(relation: isl.UnionMap) -> Starts:
    """All points of a schedule."""
    return {
        m.get_tuple_name(isl.dim_type.in_): set(
            map(tuple, integer_points(m.wrap().flatten()).tolist())
        )
        for m in maps(relation)
    }


def starts_of_arrays(report: Report) -> Starts:
    """The same from the timing, task by task."""
    model, timing = report.solution.model, report.solution.schedule
    graph, layout, costs = model.graph, model.layout, model.costs
    names = access_names(model)
    tasks: dict[tuple[int, int], int] = {}
    for task, block in enumerate(graph.task_block.tolist()):
        tasks[block, int(graph.task_port[task])] = int(timing.task_begin[task])
    found: Starts = {}
    for owner, streams in enumerate(layout.streams):
        tiles = layout.tiles[owner]
        for number, stream in enumerate(streams):
            first, accesses = stream.first, []
            for access in stream.block.accesses:
                position = {
                    iteration: at for at, iteration in enumerate(access.iterations.tolist())
                }
                durations = costs.durations(owner, access)
                steps = {port: times.tolist() for port, times in durations.items()}
                accesses.append((position, steps))
            for occurrence, iteration in enumerate(stream.iterations.tolist()):
                index = tuple(tiles.digits[:, iteration].tolist())
                ready = timing.ready[first + occurrence]
                into: dict[int, int] = {}
                for place, (position, steps) in enumerate(accesses):
                    if iteration not in position:
                        continue
                    at = position[iteration]
                    timed = {port: times[at] for port, times in steps.items()}
                    name = names[owner, number, place]
                    if not timed:
                        found.setdefault(name, set()).add((*index, int(ready)))
                    for port, time in timed.items():
                        begin = tasks[first + occurrence, port] + into.get(port, 0)
                        into[port] = into.get(port, 0) + time
                        called = name
                        if len(timed) > 1:
                            component = costs.ports[port]
                            path = model.lowered.spec.arch.paths[tiles.leaf.einsum.name]
                            ports = next(c.ports for c in path if c.name == component.component)
                            called = f"{name}_{ports[component.index].name or component.index}"
                        found.setdefault(called, set()).add((*index, begin))
    return found


@given(cascades(), st.sampled_from(ORDERS))
def test_schedule_is_the_arrays(case: tuple[Data, Data], order: str) -> None:
    report = report_or_none(case, order)
    # Arrays name ports by number: units that several leaves divide are named in the relation.
    if report is not None and not any(p.users for p in report.solution.model.costs.ports):
        assert starts(report.schedule()) == starts_of_arrays(report)


@pytest.mark.parametrize(
    ("machine", "write", "takes"),
    [
        ({}, 1, 4),
        # The tile's 4 values are rounded up to two bursts of 3.
        ({"burst": {"Q": {"write": 3}}}, 1, 6),
        ({"setup": {"Q": {"write": 8}}}, 1, 12),
        # A write that takes no time per value still takes its setup.
        ({"setup": {"Q": {"write": 8}}}, "inf", 8),
    ],
)
def test_fixed_times_of_transfers(machine: Data, write: int | str, takes: int) -> None:
    """A port writes a tile of 4 values, then reads them: 3 tiles, one after another."""
    data = spec(
        {"m": 3, "k": 4},
        [einsum("e", ("z", "m k"), ("a", "m k"))],
        [
            memory("DRAM", "inf", "inf", size="inf"),
            memory("Q", 1, write, size="inf"),
            compute("mac", "inf"),
        ],
        [storage("DRAM", "a", "z"), loop("m"), storage("Q", "a"), loop("k"), leaf("e")],
    )
    report = polylat.analyze(
        polylat.Spec.from_dict(data | {"schedule": machine}), granularity="tile"
    )
    found = starts(report.schedule())
    period = takes + 4
    assert found["e_Q_a_write"] == {(m, m * period) for m in range(3)}
    assert found["e_Q_a_read"] == {(m, m * period + takes) for m in range(3)}


@settings(max_examples=max(settings().max_examples // 10, 5))
@given(long_cascades(), st.sampled_from(ORDERS))
def test_what_stands_for_others_has_the_same_relations(case: tuple[Data, Data], order: str) -> None:
    with explicit_up_to(1 << 30):
        explicit = report_or_none(case, order, max_tiles=5_000)
    with explicit_up_to(0):
        periodic = report_or_none(case, order, max_tiles=5_000)
    if explicit is None or periodic is None or explicit.order != periodic.order:
        return
    if explicit.granularity != periodic.granularity:
        return
    assert explicit.schedule().is_equal(periodic.schedule())
    for component in {m.component for m in explicit.occupancy}:
        one = explicit.occupancy_relation(component)
        assert one.is_equal(periodic.occupancy_relation(component))


@pytest.mark.long
@pytest.mark.parametrize("case", LEGAL[:8], ids=lambda case: str(case["name"]))
def test_size_does_not_depend_on_trip_counts(case: Data) -> None:
    sizes = []
    options = options_of(case)
    for factor in (300, 3_000):
        variables = case["spec"]["workload"]["iteration_space_shape"]
        spec = stretched(case["spec"], dict.fromkeys(variables, factor))
        report = report_or_none((spec, options), "program")
        if report is None or report.engine != "periodic":
            return
        sizes.append(pieces(report.schedule()))
    assert sizes[1] <= sizes[0] + 4


def test_regular_explicit_schedules_are_small() -> None:
    report = polylat.analyze(polylat.load(*EXAMPLE), granularity="flow")
    assert report.engine == "explicit" and report.tiles > 1_000
    assert pieces(report.schedule()) < 50
    assert report.time_scale == 1


@given(cascades(), st.integers(0, 6))
def test_occupancy(case: tuple[Data, Data], shift: int) -> None:
    report = report_or_none(case)
    if report is None:
        return
    scale = report.time_scale
    last = int(report.latency * scale)
    for component in {m.component for m in report.occupancy}:
        relation = report.occupancy_relation(component)
        memories = [m for m in report.occupancy if m.component == component]
        for time in range(shift, last + 1, max(last // 8, 1)):
            # Units that different leaves use are memories of their own, which may hold the same
            # tile.
            resident: Counter[object] = Counter()
            for held in memories:
                tiles = held.at(Fraction(time, scale))
                resident |= Counter((tile.tensor, tile.index) for tile in tiles)
            now = relation.intersect_domain(isl.UnionSet(f"{{ [{time}] }}"))
            assert sum(len(integer_points(m.range())) for m in maps(now)) == resident.total()


@pytest.mark.parametrize("limit", [10**9, 0])
def test_tiles_that_replace_each_other(limit: int) -> None:
    """A leaf streams through its holder: each tile is resident from the end of the previous one."""
    first = nested(
        storage("SRAM", "a"), loop("x"), storage("SRAM", "s"), loop("y"), leaf("E", "mac")
    )
    second = nested(loop("x"), loop("y"), leaf("F", "mac"))
    nodes = [
        storage("DRAM", "a", "t", "u", "s"),
        loop("z"),
        {"type": "Sequential", "nodes": [first, second]},
    ]
    einsums = [
        einsum("E", ("t", "x y z"), ("a", "x y"), ("s", "z")),
        einsum("F", ("u", "x y"), ("t", "x y z")),
    ]
    # Writes of SRAM run ahead of its reads.
    two_ports = "max(action.n_calls / action.throughput for action in actions)"
    sram = memory("SRAM", size="inf", total_latency=two_ports)
    arch = [memory("DRAM", size="inf"), sram, compute("mac")]
    data = spec({"x": 20, "y": 2, "z": 5}, einsums, arch, nodes)
    with explicit_up_to(limit):
        report = polylat.analyze(Spec.from_dict(data), granularity="flow")
    assert report.engine == ("explicit" if limit else "periodic")
    (held,) = (memory for memory in report.occupancy if memory.component == "SRAM")
    relation = report.occupancy_relation("SRAM")
    scale = report.time_scale
    for time in range(0, int(report.latency * scale), 7):
        now = relation.intersect_domain(isl.UnionSet(f"{{ [{time}] }}"))
        count = sum(len(integer_points(m.range())) for m in maps(now))
        assert count == len(held.at(Fraction(time, scale)))


@pytest.mark.parametrize("limit", [10**9, 0])
@pytest.mark.parametrize("granularity", ["flow", "tile"])
def test_accesses_that_take_only_a_fixed_latency(limit: int, granularity: str) -> None:
    """A tile stays until its last read has passed, also where the port takes no time for it."""
    nodes = [storage("DRAM", "a", "z"), loop("m"), storage("SRAM", "a"), loop("k"), leaf("e")]
    arch = [memory("DRAM", size="inf"), memory("SRAM", "inf", "inf", size="inf"), compute("mac")]
    data = spec({"m": 20, "k": 4}, [einsum("e", ("z", "m k"), ("a", "m k"))], arch, nodes)
    machine = {"schedule": {"latency": {"SRAM": {"read": 5}}}}
    with explicit_up_to(limit):
        report = polylat.analyze(Spec.from_dict(data | machine), granularity=granularity)
    assert report.engine == ("explicit" if limit else "periodic")
    (held,) = (memory for memory in report.occupancy if memory.component == "SRAM")
    relation = report.occupancy_relation("SRAM")
    scale = report.time_scale
    counts = []
    for time in range(int(report.latency * scale)):
        now = relation.intersect_domain(isl.UnionSet(f"{{ [{time}] }}"))
        counts.append(sum(len(integer_points(m.range())) for m in maps(now)))
        assert counts[-1] == len(held.at(Fraction(time, scale)))
    assert max(counts) > 0


def test_occupancy_of_what_holds_nothing() -> None:
    report = polylat.analyze(polylat.load(*EXAMPLE))
    with pytest.raises(OptionError, match="holds no tensor"):
        report.occupancy_relation("mac")
