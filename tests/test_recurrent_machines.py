"""Recurrences on machines with arrays, Tolls, bursts and slots; by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import oracle
from builders import leaf, loop, memory, nested, storage
from recurrent import access, einsum, scan, scan_with_loads, two_stages, two_stages_in_dram, written

Data = dict[str, Any]


def latencies(data: Data, **options: Any) -> set[Any]:
    """The latencies in the three orders."""
    answer = oracle.analyze(data, **{"granularity": "flow", **options})
    return set(answer["latency_by_order"].values())


def spatial(variable: str, shape: int = 1) -> Data:
    """A Spatial loop over units of a Compute."""
    found = {"type": "Spatial", "rank_variable": variable, "tile_shape": shape}
    return {**found, "component": "mac", "name": "X"}


def with_units(data: Data, fanout: int, **more: Any) -> Data:
    """The same machine with an array of units in its Compute."""
    data = copy.deepcopy(data)
    data["arch"]["nodes"][-1]["spatial"] = [{"name": "X", "fanout": fanout, **more}]
    return data


# --------------------------------------------------------------------------------------------
# Arrays
# --------------------------------------------------------------------------------------------


def test_a_batch_on_two_units() -> None:
    """Four values per step on two units take as long as two on one."""
    data = with_units(scan(5, 2, 6, batch=4), 2)
    data["mapping"]["nodes"][3:4] = [spatial("b", 2), loop("b")]
    answer = oracle.analyze(data, granularity="flow")
    assert set(answer["latency_by_order"].values()) == {42}
    assert answer["resource_bound"] == 20


@pytest.mark.parametrize("registers", ["h0", "above", "below"])
def test_steps_on_units(registers: str) -> None:
    """Units work at the same time: a Spatial loop over steps cannot carry a recurrence."""
    data = with_units(scan(2, 2, 3, registers=registers), 2)
    place = data["mapping"]["nodes"].index(loop("t"))
    data["mapping"]["nodes"][place] = spatial("t")
    with pytest.raises(oracle.Illegal, match=r"before it is produced|is lost"):
        oracle.analyze(data)


@pytest.mark.parametrize(("reuse", "shared"), [("All", True), ("w", False)])
def test_units_share_what_they_all_read(reuse: str, shared: bool) -> None:
    """h[t+1, b] sums h[t, i] over i, in a unit for each b: h[t, i] is read once for both, or twice.

    The sum of each b is that of its unit: written twice per step, and read once.
    """
    data = with_units(scan(3, 1, 0, batch=2), 2, may_reuse=reuse)
    data["workload"]["iteration_space_shape"]["i"] = "0 <= i < 2"
    reads = [access("h", "t", "i"), access("w", "i", "b")]
    data["workload"]["einsums"] = [einsum("e", *reads, written("h", "t + 1", "b"))]
    data["mapping"]["nodes"] = [
        storage("RF", "h", "w"),
        *(loop("t"), loop("i"), spatial("b")),
        leaf("e"),
    ]
    accesses = oracle.analyze(data)["accesses"]
    assert accesses["e", "RF", "h", "read"] == 3 * ((2 if shared else 4) + 2)
    assert accesses["e", "RF", "h", "write"] == 3 * 4


@pytest.mark.parametrize(("fanout", "expected", "resource"), [(4, 22, 20), (2, 40, 40)])
def test_stages_with_units_of_their_own(fanout: int, expected: int, resource: int) -> None:
    """Two stages of 2 use two units each: of four, or both the same two."""
    data = with_units(two_stages(5, 4, 2, 2), fanout)
    del data["arch"]["nodes"][1]
    data["arch"]["nodes"][-1]["name"] = "mac"
    data["mapping"]["nodes"][2] = loop("b", 2)
    data["mapping"]["nodes"][-1]["nodes"] = [nested(spatial("b"), leaf(f"e{k}")) for k in (1, 2)]
    assert latencies(data) == {expected}
    assert oracle.analyze(data)["resource_bound"] == resource


@pytest.mark.parametrize("backed", [True, False])
@pytest.mark.parametrize(("place", "legal"), [("b", True), ("b - 1", False), ("1 - b", False)])
def test_private_memories(place: str, legal: bool, backed: bool) -> None:
    """What one unit brings into its own memory is not in that of another one.

    Out of the backing storage outside it would have to be fetched before it is there. Where each
    unit reads its own, SRAM reads two states in the first step, and writes two in each.
    """
    data = scan(3, 1, 0, batch=2)
    data["workload"]["einsums"] = [einsum("e", access("h", "t", place), written("h", "t + 1", "b"))]
    data["arch"]["nodes"].insert(2, {"type": "Container", "name": "chip"})
    data["arch"]["nodes"][2]["spatial"] = [{"name": "X", "fanout": 2}]
    data["mapping"]["nodes"] = [
        *([storage("SRAM", "h")] if backed else []),
        {**spatial("b"), "component": "chip"},
        storage("RF", "h"),
        loop("t"),
        leaf("e"),
    ]
    if legal:
        assert latencies(data, granularity="full") == {(2 + 2) + 2 + 2 if backed else 3}
        return
    with pytest.raises(oracle.Illegal):
        oracle.analyze(data)


# --------------------------------------------------------------------------------------------
# What moves a state
# --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("down", 8 + 3 * 5), ("up", 4 * 8), ("up_and_down", 13 + 3 * 8)],
)
def test_a_toll_on_the_way(direction: str, expected: int) -> None:
    """The first state passes it inwards, all others outwards: 5 each.

    A step finishes 3 after its foreground is served, which takes 2, or as long as what streams.
    """
    data = scan(4, 2, 3, registers="above")
    actions = [{"name": "read", "throughput": "1/5"}]
    toll = {"type": "Toll", "name": "link", "direction": direction, "actions": actions}
    data["arch"]["nodes"].insert(2, toll)
    place = data["mapping"]["nodes"].index(storage("RF", "h"))
    data["mapping"]["nodes"].insert(place, {**storage("link", "h"), "type": "Toll"})
    assert latencies(data) == {expected}
    passed = {"down": 1, "up": 4, "up_and_down": 5}[direction]
    assert oracle.analyze(data)["accesses"]["e", "link", "h", "read"] == passed


@pytest.mark.parametrize(
    ("key", "action", "number", "registers", "options", "expected"),
    [
        # Tiles of two states leave at once, in a burst of four.
        ("burst", "write", 4, "half", {"staged": "h"}, 2 * (1 + 2 * 5 + 4)),
        # In the background each of them leaves by itself: only the last one is waited for.
        ("burst", "write", 4, "above", {"background": ["h@RF"]}, 1 + 4 * 5 + 4),
        ("setup", "read", 2, "half", {"staged": "h"}, 2 * (3 + 2 * 5 + 2)),
        # A fixed latency of what moves: the read of a fill passes later, the write of the last one.
        ("latency", "read", 6, "half", {"staged": "h"}, 2 * (7 + 2 * 5 + 2)),
        ("latency", "write", 6, "above", {"staged": "h"}, 1 + 4 * 5 + 4 + 6),
    ],
)
def test_costs_of_transfers(
    key: str, action: str, number: int, registers: str, options: Data, expected: int
) -> None:
    """What a transfer costs beyond its actions, on SRAM."""
    data = scan(4, 2, 3, registers=registers)
    data["schedule"] = {key: {"SRAM": {action: number}}}
    assert latencies(data, **options) == {expected}


def test_a_first_tile_of_another_size() -> None:
    """Tiles of steps {0}, {1, 2} and {3}: each fills one state, and drains as many as it has."""
    data = scan(4, 2, 3, registers="half")
    place = data["mapping"]["nodes"].index(loop("t", 2))
    data["mapping"]["nodes"][place]["initial_tile_shape"] = 1
    assert latencies(data, staged="h") == {(1 + 5 + 1) + (1 + 2 * 5 + 2) + (1 + 5 + 1)}
    accesses = oracle.analyze(data)["accesses"]
    assert accesses["e", "SRAM", "h", "read"] == 3
    assert accesses["e", "SRAM", "h", "write"] == 4


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (None, 29),
        (2, 29),
        (1, 4 + 4 * 6 + 5),
        ({"x": 1}, 4 + 4 * 6 + 5),
        ({"x@RF": 1, "x": None}, 4 + 4 * 6 + 5),
        ({"h": 1}, 29),
    ],
)
def test_slots_of_loads(slots: Any, expected: int) -> None:
    """With one slot a load of 4 waits until the step before has been served, 2 after its start."""
    assert latencies(scan_with_loads(5, 2, 3, 4), staged="x", slots=slots) == {expected}


@pytest.mark.parametrize("slots", [None, 1, 2, {"h": 1}, {"h@RF": None}])
def test_slots_do_not_hold_a_leaf_from_its_own_state(slots: Any) -> None:
    """A leaf's own state makes no exchange holder; staged, each step waits for the one before."""
    data = scan(4, 2, 3, registers="below")
    assert latencies(data, slots=slots) == {20}
    assert latencies(data, slots=slots, staged="h") == {28}


@pytest.mark.parametrize(
    ("holder", "options", "expected"),
    [
        # Filled, computed by both, written back, before the next one can be filled.
        ("below", {"staged": "h"}, 4 * (5 + 2 + 3 + 7)),
        ("below", {"background": ["h@SRAM"]}, 4 * (5 + 2 + 3 + 7)),
        # All states leave at the end, or each one behind the step that computes it.
        ("above", {"staged": "h"}, 5 + 4 * (2 + 3) + 4 * 7),
        ("above", {"background": ["h@SRAM"]}, 5 + (2 + 3) + 4 * 7),
    ],
)
def test_separate_transfers_across_stages(holder: str, options: Data, expected: int) -> None:
    """The state of two stages, of 2 and 3, with DRAM that reads in 5 and writes in 7."""
    assert latencies(two_stages_in_dram(4, holder), **options) == {expected}


@pytest.mark.parametrize("kind", ["Sequential", "Pipeline"])
def test_a_copy_of_the_last_state(kind: str) -> None:
    """Only h[5] leaves the registers: the steps take 25, its write 4."""
    data = scan(5, 2, 3)
    data["arch"]["nodes"][0] = memory("DRAM", "inf", "1/4", size="inf")
    copied = einsum("z", access("h", 5, "b"), written("o", "b"))
    data["workload"]["einsums"].append({**copied, "is_copy_operation": True})
    data["mapping"]["nodes"] = [
        storage("DRAM", "x", "o"),
        storage("RF", "h"),
        {
            "type": kind,
            "nodes": [nested(loop("t"), loop("b"), leaf("e")), nested(loop("b"), leaf("z"))],
        },
    ]
    assert latencies(data) == {25 + 4}
    accesses = oracle.analyze(data)["accesses"]
    assert accesses["z", "DRAM", "o", "write"] == accesses["z", "RF", "h", "read"] == 1


def test_steps_may_be_numbered_by_their_results() -> None:
    """h[t] = f(h[t-1]): the state before the first step is h[-1]."""
    data = scan(5, 2, 3, registers="above")
    numbered = copy.deepcopy(data)
    reads = [access("h", "t - 1", "b"), access("x", "t", "b")]
    numbered["workload"]["einsums"] = [einsum("e", *reads, written("h", "t", "b"))]
    assert oracle.analyze(numbered) == oracle.analyze(data)


@pytest.mark.parametrize(("registers", "filled"), [("below", 4 * 2), ("above", 2)])
def test_an_access_counts_per_operation(registers: str, filled: int) -> None:
    """h[t+2] from h[t] and h[t+1]: two reads per operation; what moves is the union.

    Registers of one step are filled with two states at every step, those of all steps with the two
    initial ones.
    """
    data = scan(4, 2, 0, registers=registers)
    reads = [access("h", "t", "b"), access("h", "t + 1", "b"), access("x", "t", "b")]
    data["workload"]["einsums"] = [einsum("e", *reads, written("h", "t + 2", "b"))]
    accesses = oracle.analyze(data)["accesses"]
    assert accesses["e", "SRAM", "h", "read"] == filled
    assert accesses["e", "SRAM", "h", "write"] == 4
    assert accesses["e", "RF", "h", "write"] == filled + 4
    assert accesses["e", "RF", "h", "read"] == 4 * 2 + 4


def test_the_same_state_read_twice() -> None:
    """Two accesses of one element are two reads per operation, and one value that moves."""
    data = scan(4, 2, 0, registers="below")
    reads = [access("h", "t", "b"), access("h", "t", "b"), access("x", "t", "b")]
    data["workload"]["einsums"] = [einsum("e", *reads, written("h", "t + 1", "b"))]
    accesses = oracle.analyze(data)["accesses"]
    assert accesses["e", "SRAM", "h", "read"] == 4
    assert accesses["e", "RF", "h", "read"] == 4 * 2 + 4
