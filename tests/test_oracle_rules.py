"""Single rules of the model, in the oracle, on cases computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

import oracle
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage

Data = dict[str, Any]


def commands(setup: Data | None = None, burst: Data | None = None) -> Data:
    """21 commands of 4 operations each, one leaf; Q holds a command's input tile."""
    data = spec(
        {"m": 21, "k": 4},
        [einsum("e", ("z", "m k"), ("a", "m k"))],
        [memory("DRAM", "inf", "inf"), memory("Q", "inf", "inf"), compute("mac")],
        [storage("DRAM", "a", "z"), loop("m"), storage("Q", "a"), loop("k"), leaf("e")],
    )
    data["schedule"] = {"setup": setup or {}, "burst": burst or {}}
    return data


def test_setup_limits_the_issue_of_commands() -> None:
    """21 commands of 4 operations take 21 * 4, or 21 * 8 if the command's tile takes 8."""
    assert oracle.analyze(commands())["latency"] == 84
    assert oracle.analyze(commands({"Q": {"write": 8}}))["latency"] == 168
    assert oracle.analyze(commands({"Q": {"read": 8}}))["latency"] == 84


@pytest.mark.parametrize(("length", "expected"), [(1, 84), (4, 84), (3, 126), (16, 336)])
def test_bursts_round_transfers_up(length: int, expected: int) -> None:
    """The tile of 4 takes as long as the next multiple; the operations' own reads do not."""
    data = commands(burst={"Q": {"write": length, "read": 100}})
    for action in data["arch"]["nodes"][1]["actions"]:
        action["throughput"] = 1
    answer = oracle.analyze(data)
    # Q has one port: a tile is written in 4, or more with bursts, and read in 4.
    assert answer["latency"] == expected + 84
    assert answer["accesses"]["e", "Q", "a", "write"] == 84


def test_rigid_computation_stalls_as_a_whole() -> None:
    """Tiles arrive at 3, 6, 9, 12; an operation takes 1 and passes 2 later.

    A rigid pipeline advances with what it takes in: the first value passes with the start of the
    third operation, at 9 + 1, and is written then; the last two are not held up, at 12 + 1 + 2.
    """
    data = spec(
        {"m": 4},
        [einsum("e", ("z", "m"), ("a", "m"))],
        [
            memory("DRAM", "1/3", "inf", separate_read_write_ports=True),
            memory("SRAM", "inf", "inf"),
            compute("mac"),
        ],
        [storage("DRAM", "a", "z"), loop("m"), storage("SRAM", "a", "z"), leaf("e")],
    )
    data["schedule"] = {"latency": {"mac": {"compute": 2}}}
    assert passes(data) == [6, 9, 12, 15]
    data["schedule"]["rigid"] = ["mac"]
    assert passes(data) == [10, 13, 14, 15]


def passes(data: Data) -> list[Any]:
    """When the foregrounds of the only leaf pass."""
    model = oracle.Model(oracle.read_problem(data), "tile", (), None, "all")
    schedule = oracle.schedule_of(model, "program")
    assert schedule is not None
    return [schedule.finish(key) for key in sorted(model.steps) if key[0] == "passed"]


def three_stages(fanout: int) -> Data:
    """Pipeline[Pipeline[e1, e2], e3] of one unit each; 5 iterations of 1 per stage."""
    names = [("e1", "a", "b"), ("e2", "b", "c"), ("e3", "c", "d")]
    one, two, three = (nested(leaf(name)) for name, _, _ in names)
    inner = {"type": "Pipeline", "nodes": [one, two]}
    return spec(
        {"m": 5},
        [einsum(name, (output, "m"), (source, "m")) for name, source, output in names],
        [
            memory("SRAM", "inf", "inf"),
            compute("mac", spatial=[{"name": "X", "fanout": fanout}]),
        ],
        [
            storage("SRAM", "a", "b", "c", "d"),
            loop("m"),
            {"type": "Pipeline", "nodes": [nested(inner), three]},
        ],
    )


@pytest.mark.parametrize(("fanout", "resource"), [(1, 15), (2, 10), (3, 5)])
def test_stages_use_the_first_units_that_they_may(fanout: int, resource: int) -> None:
    """On one unit all contend; on two e3 contends with e1 alone; on three none does."""
    answer = oracle.analyze(three_stages(fanout))
    assert answer["resource_bound"] == resource


def test_stages_do_not_exchange_through_private_memories() -> None:
    """Two stages on two chips, with the exchanged tensor in a memory of a chip: one chip."""
    data = three_stages(1)
    chip = {"type": "Container", "name": "chip", "spatial": [{"name": "C", "fanout": 3}]}
    data["arch"]["nodes"].insert(0, chip)
    assert oracle.analyze(data)["resource_bound"] == 15
    data["arch"]["nodes"].insert(0, data["arch"]["nodes"].pop(1))
    assert oracle.analyze(data)["resource_bound"] == 5


def sums(above: bool) -> Data:
    """One sum over k per m, read by e2; k is a loop above, or below, what holds the sums."""
    return spec(
        {"m": 2, "k": 3},
        [einsum("e1", ("t", "m"), ("a", "m k")), einsum("e2", ("z", "m k"), ("t", "m"))],
        [memory("DRAM"), compute("mac")],
        [
            storage("DRAM", "a", "z"),
            *([storage("DRAM", "t"), loop("k")] if above else [loop("k"), storage("DRAM", "t")]),
            {
                "type": "Sequential",
                "nodes": [nested(loop("m"), leaf("e1")), nested(loop("m"), leaf("e2"))],
            },
        ],
    )


def test_partial_sums_are_illegal() -> None:
    """A sum in two residencies of its backing storage is lost."""
    with pytest.raises(oracle.Illegal, match="is lost"):
        oracle.analyze(sums(above=False))


def test_reading_a_partial_sum() -> None:
    """A sum in DRAM is read out of SRAM in a residency after which it is updated again."""
    data = sums(above=True)
    data["arch"]["nodes"].insert(1, memory("SRAM"))
    data["mapping"]["nodes"].insert(3, storage("SRAM", "t"))
    with pytest.raises(oracle.Illegal, match="reads the partial sum"):
        oracle.analyze(data)


def test_padding_waits_for_nothing() -> None:
    """What no operation computes counts as an access, and is there from the start."""
    data = spec(
        {"p": 4, "q": 4, "s": 3},
        [einsum("a", ("y", "p"), ("x", "p")), einsum("b", ("z", "q"), ("y", "p"))],
        [memory("DRAM", "inf", "inf"), memory("SRAM"), compute("one"), compute("two")],
        [
            storage("DRAM", "x", "z"),
            storage("SRAM", "y"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(loop("p"), leaf("a", "one")),
                    nested(loop("q"), loop("s"), leaf("b", "two")),
                ],
            },
        ],
    )
    data["workload"]["einsums"][1]["tensor_accesses"][0]["projection"] = {"P": "q + s - 1"}
    answer = oracle.analyze(data)
    assert answer["accesses"]["b", "SRAM", "y", "read"] == 12
    assert answer["dependence_bound"] == 1 + 1
    data["workload"]["einsums"][1]["tensor_accesses"][0]["projection"] = {"P": "q + s - 9"}
    assert oracle.analyze(data)["dependence_bound"] == 1


def test_initial_tile_shape() -> None:
    """Tiles of m are {0, 1, 2}, {3, 4}, {5, 6}: b is filled three times."""
    outer = {**loop("m", 2), "initial_tile_shape": 3}
    data = spec(
        {"m": 7, "n": 4},
        [einsum("e", ("z", "m n"), ("a", "m"), ("b", "n"))],
        [memory("DRAM"), memory("SRAM"), compute("mac")],
        [
            storage("DRAM", "a", "b", "z"),
            outer,
            storage("SRAM", "a", "b", "z"),
            *(loop("m"), loop("n"), leaf("e")),
        ],
    )
    answer = oracle.analyze(data, granularity="tile")
    assert answer["tiles"] == 3
    assert answer["accesses"]["e", "DRAM", "b", "read"] == 3 * 4
    assert answer["accesses"]["e", "DRAM", "a", "read"] == 7


def test_copies_read_their_input_and_write_their_output() -> None:
    """A copy computes nothing: 4 reads of 1 in DRAM, 4 free writes in SRAM."""
    data = spec(
        {"m": 4},
        [{**einsum("c", ("b", "m"), ("a", "m")), "is_copy_operation": True}],
        [memory("DRAM", 1, "1/10"), memory("SRAM", "inf", "inf"), compute("mac")],
        [storage("DRAM", "a"), storage("SRAM", "b"), loop("m"), leaf("c")],
    )
    answer = oracle.analyze(data)
    assert answer["latency"] == 4
    assert answer["accesses"] == {("c", "DRAM", "a", "read"): 4, ("c", "SRAM", "b", "write"): 4}


def test_options_of_the_file() -> None:
    """What the file gives counts where the argument is not given."""
    data = commands()
    data["arch"]["nodes"][0]["actions"][0]["throughput"] = 1
    streamed = oracle.analyze(data)["latency"]
    data["schedule"] |= {"staged": ["a@Q"], "slots": {"a@Q": 1}, "granularity": "tile"}
    assert oracle.analyze(data)["latency"] == 21 * (4 + 4)
    assert oracle.analyze(data, slots=2)["latency"] == 4 + 21 * 4
    assert oracle.analyze(data, slots={"a": 2})["latency"] == 4 + 21 * 4
    assert oracle.analyze(data, staged=())["latency"] == streamed == 84


def test_barriers_bound_the_latency() -> None:
    """A Sequential over 5 iterations of three stages of 1; a Pipeline only its busiest port."""
    data = three_stages(2)
    assert oracle.analyze(data)["barrier_bound"] == 10
    data["mapping"]["nodes"][-1]["type"] = "Sequential"
    assert oracle.analyze(data)["barrier_bound"] == 5 * (1 + 1)
    data["mapping"]["nodes"][-1]["nodes"][0]["nodes"][0]["type"] = "Sequential"
    assert oracle.analyze(data)["barrier_bound"] == 5 * 3


def test_flow_follows_a_background_write_back() -> None:
    """Tile iterations are as fine as what leaves in the background, unless it is staged."""
    data = spec(
        {"m": 6},
        [einsum("e", ("z", "m"), ("a", "m"))],
        [memory("DRAM"), memory("SRAM"), compute("mac")],
        [storage("DRAM", "a", "z"), storage("SRAM", "a", "z"), loop("m"), leaf("e")],
    )
    options: Data = {"granularity": "flow"}
    assert oracle.analyze(data, **options)["tiles"] == 1
    options["background"] = ["z@SRAM"]
    assert oracle.analyze(data, **options)["tiles"] == 6
    assert oracle.analyze(data, **options, staged=["z@SRAM"])["tiles"] == 1


def test_a_barrier_waits_for_every_separate_write_back() -> None:
    """Not for the last one alone: in some order it may be served first. Unless in background."""
    data = spec(
        {"m": 3},
        [einsum("e1", ("t", "m"), ("a", "m")), einsum("e2", ("z", "m"), ("b", "m"))],
        [
            memory("DRAM"),
            memory("SRAM"),
            compute("mac"),
        ],
        [
            storage("DRAM", "a", "b", "t", "z"),
            {
                "type": "Sequential",
                "nodes": [
                    nested(loop("m"), storage("SRAM", "t"), leaf("e1")),
                    nested(loop("m"), leaf("e2")),
                ],
            },
        ],
    )
    model = oracle.Model(oracle.read_problem(data), "tile", (), 2, "t")
    ends = {key for key in model.steps if key[0] == "back"}
    start = next(key for key in sorted(model.steps) if key[:2] == ("start", 1))
    assert ends <= {wait.key for wait in model.steps[start].waits}
    assert len(ends) == 3
    model = oracle.Model(oracle.read_problem(data), "tile", ["t"], 2, "t")
    assert not ends & {wait.key for wait in model.steps[start].waits}
