"""The oracle against the answers of independent implementations, and the facts of the model."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import pytest

import oracle
from builders import RECURRENT, ROOT, compute, einsum, leaf, loop, memory, spec, storage
from test_oracle import all_pipelines, motivating

Data = dict[str, Any]


def read(name: str) -> list[Data]:
    """Cases of a file of the test data."""
    cases: list[Data] = json.loads((ROOT / "tests" / "data" / name).read_text(encoding="utf-8"))
    return cases


CASCADES = read("cascades-staged.json")
"""Random cascades with stores and forwards, fixed latencies and setups."""
LEGAL = [case for case in CASCADES if case["expected"] is not None]
MOTIVATING = read("motivating.json")


def title(case: Data) -> str:
    """What names a test."""
    return str(case["name"])


def exact(value: Any) -> Any:
    """The numbers of an answer as the oracle gives them."""
    if isinstance(value, dict):
        return {name: exact(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return {tuple(key): Fraction(actions) for *key, actions in value}
    return None if value is None else Fraction(value)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASCADES + MOTIVATING + RECURRENT, ids=title)
def test_known_answers(case: Data) -> None:
    """Latencies, bounds, tile iterations and accesses; None where the mapping is illegal."""
    if case["expected"] is None:
        with pytest.raises(oracle.Illegal):
            oracle.analyze(case["spec"], **case["options"])
        return
    answer = oracle.analyze(case["spec"], **case["options"])
    expected = {name: exact(value) for name, value in case["expected"].items()}
    assert {name: answer[name] for name in expected} == expected


# --------------------------------------------------------------------------------------------
# Rows computed by hand
# --------------------------------------------------------------------------------------------

S, P = "Sequential", "Pipeline"
BACKGROUND = {"background": ["o2@SRAM"]}


@pytest.mark.long
@pytest.mark.parametrize(
    ("splits", "options", "expected"),
    [
        ((S, S), {"granularity": "tile"}, (32256, 32256, 32256)),
        ((S, S), {"granularity": "tile", **BACKGROUND}, (32256, 32256, 31808)),
        ((S, S), {"granularity": "flow", **BACKGROUND}, (32256, 32256, 31752)),
        ((P, P), {"granularity": "tile", **BACKGROUND}, (32256, 32256, 31296)),
        ((P, P), {"granularity": "flow"}, (30672, 30672, 24576)),
        ((P, P), {"granularity": "flow", **BACKGROUND}, (31744, 31744, 24576)),
    ],
)
def test_o2_resident(splits: tuple[str, str], options: Data, expected: tuple[int, ...]) -> None:
    """The tensor o2 is held in DRAM and in SRAM above the split."""
    assert by_order(motivating(*splits, resident=True), options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"staged": "all"}, (32768, 32768, 32752)), (BACKGROUND, (32768, 32768, 32320))],
)
def test_o2_fetched_back(options: Data, expected: tuple[int, ...]) -> None:
    """DRAM holds o2 above the top split, and SRAM holds it inside both branches."""
    data = motivating(S, S, resident=True)
    nodes = data["mapping"]["nodes"]
    inner = nodes.pop(1)
    first, second = (branch["nodes"] for branch in nodes[1]["nodes"])
    first[-1]["nodes"][1]["nodes"].insert(0, inner)
    second.insert(3, dict(inner))
    assert by_order(data, {"granularity": "tile", **options}) == expected


@pytest.mark.parametrize(
    ("apart", "slots", "expected"),
    [
        (True, 1, (90, 90, 90)),
        (True, 2, (60, 60, 60)),
        (False, 1, (120, 120, 120)),
        (False, 2, (120, 80, 80)),
    ],
)
def test_one_leaf_with_staged_tiles(apart: bool, slots: int, expected: tuple[int, ...]) -> None:
    """Four tiles; fill, computation and drain take 10 each.

    One slot: the next fill starts when the computation is done, the next computation when the
    drain is: 3 * 20 + 30. Two slots: a pipeline of three, 30 + 3 * 10; on one DRAM port, the load
    of the port, 8 * 10, but not in program order.
    """
    options = {"granularity": "tile", "staged": "all", "slots": slots}
    assert by_order(one_leaf(apart), options) == expected


def test_one_leaf_with_fixed_latencies() -> None:
    """Reads pass after 100, writes after 200, computations after 3.

    Streamed: each port needs 4 * 10, and the last foreground passes 100 + 3 + 200 later. Staged:
    the first computation is served from 110 to 120; that makes room for the third fill, the second
    one, to 130, for the fourth: served at 140, there at 240, computed at 250 + 3, drained 10 + 200
    later.
    """
    data = one_leaf(apart=True)
    latency = {"DRAM": {"read": 100, "write": 200}, "mac": {"compute": 3}}
    data["schedule"] = {"latency": latency}
    assert by_order(data, {"granularity": "tile"}) == (343, 343, 343)
    assert by_order(data, {"granularity": "tile", "staged": "all"}) == (463, 463, 463)
    for node in data["arch"]["nodes"]:
        for action in node["actions"]:
            action["latency"] = latency.get(node["name"], {}).get(action["name"], 0)
    del data["schedule"]
    assert by_order(data, {"granularity": "tile"}) == (343, 343, 343)


def one_leaf(apart: bool) -> Data:
    """One element-wise Einsum of 4 x 10 elements, a tile of 10 at a time in SRAM, which is free."""
    ports = {"separate_read_write_ports": True} if apart else {}
    return spec(
        {"m": 4, "k": 10},
        [einsum("e1", ("z", "m k"), ("a", "m k"))],
        [memory("DRAM", **ports), memory("SRAM", "inf", "inf"), compute("mac")],
        [
            storage("DRAM", "a", "z"),
            loop("m"),
            storage("SRAM", "a", "z"),
            loop("k"),
            leaf("e1"),
        ],
    )


def by_order(data: Data, options: Data) -> tuple[Any, ...]:
    """The latencies in the orders program, skew and oldest."""
    found = oracle.analyze(data, **options)["latency_by_order"]
    return tuple(found[order] for order in oracle.ORDERS)


# --------------------------------------------------------------------------------------------
# Facts
# --------------------------------------------------------------------------------------------

NAMES = [case["name"] for case in LEGAL]


@cache
def case_of(name: str) -> Data:
    """A legal cascade."""
    return next(case for case in LEGAL if case["name"] == name)


@cache
def model_of(name: str) -> oracle.Model:
    """The model of a legal cascade."""
    case = case_of(name)
    return oracle.Model(oracle.read_problem(case["spec"]), **case["options"])


@cache
def answer_of(name: str) -> Data:
    """The answer for a legal cascade."""
    case = case_of(name)
    return oracle.analyze(case["spec"], **case["options"])


def changed(name: str, pipelines: bool = True, every: bool = False, **options: Any) -> oracle.Model:
    """A cascade with other options, with every Pipeline as Sequential, or the other way round."""
    case = case_of(name)
    data = all_pipelines(case["spec"]) if every else case["spec"]
    return oracle.Model(oracle.read_problem(data, pipelines), **{**case["options"], **options})


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_causality_in_every_order(name: str) -> None:
    """No value moves before it exists, no tile is used before it has arrived."""
    model = model_of(name)
    for order in oracle.ORDERS:
        schedule = oracle.schedule_of(model, order)
        if schedule is not None:
            assert not oracle.check_causality(model, schedule)
            assert not oracle.check_ports(schedule)
            assert schedule.latency == answer_of(name)["latency_by_order"][order]


def test_causality_is_checked() -> None:
    """A schedule in which nothing waits is found out."""
    model = model_of("cascade-1000")
    schedule = oracle.schedule_of(model, "program")
    assert schedule is not None
    early = {event: 0 if event[0] == "start" else time for event, time in schedule.times.items()}
    assert oracle.check_causality(model, oracle.Schedule("program", early, schedule.network))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_latency_is_below_a_bound(name: str) -> None:
    """All bounds hold for all orders; "best" is at most ``sequential`` without background."""
    answer = answer_of(name)
    bounds = [answer[f"{kind}_bound"] for kind in ("resource", "dependence", "barrier")]
    latencies = [answer["latency"], *answer["latency_by_order"].values()]
    assert all(value is None or value >= max(bounds) for value in latencies)
    if not case_of(name)["options"]["background"] and answer["sequential"] is not None:
        assert answer["latency"] <= answer["sequential"]


def streams(model: oracle.Model) -> bool:
    """Whether a mapping has no separate transfers and no fixed latency."""
    return not any(key[0] in ("fill", "back") or step.latency for key, step in model.steps.items())


def streaming_models() -> Iterator[tuple[str, oracle.Model]]:
    """Cascades without background, stages and fixed latency, every Pipeline as Sequential."""
    for name in NAMES:
        data = copy.deepcopy(case_of(name)["spec"])
        for node in data["arch"]["nodes"]:
            for action in node["actions"]:
                action.pop("latency", None)
        options = {**case_of(name)["options"], "background": (), "staged": ()}
        try:
            model = oracle.Model(oracle.read_problem(data, pipelines=False), **options)
        except oracle.Illegal:
            continue
        if streams(model):
            yield name, model


@pytest.mark.long
def test_orders_agree_where_all_is_sequential_and_streams() -> None:
    """The same latency for all orders, and it is the barrier bound."""
    found = 0
    for name, model in streaming_models():
        latencies = set(oracle.latencies(model).values())
        assert latencies in ({oracle.barrier_bound(model)}, {None}), name
        found += 1
    assert found > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_pipelines_do_not_slow_the_program_order(name: str) -> None:
    """Every Sequential as a Pipeline: never slower, without background, where both exist."""
    before = changed(name, background=())
    after = changed(name, every=True, background=())
    one, two = (oracle.schedule_of(model, "program") for model in (before, after))
    if one is not None and two is not None:
        assert two.latency <= one.latency


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_slower_actions_make_no_static_order_faster(name: str) -> None:
    """Larger durations, latencies and setups: program and skew are max-plus."""
    before = answer_of(name)["latency_by_order"]
    options = case_of(name)["options"]
    for data in slower(case_of(name)["spec"]):
        after = oracle.Model(oracle.read_problem(data), **options)
        for order in ("program", "skew"):
            schedule = oracle.schedule_of(after, order)
            assert (schedule is None) == (before[order] is None)
            assert schedule is None or schedule.latency >= before[order]


def slower(data: Data) -> Iterator[Data]:
    """A cascade with the last memory at a third of its speed; with latencies; with setups."""
    memories = [node for node in data["arch"]["nodes"] if node["type"] == "Memory"]
    slow = copy.deepcopy(data)
    for node in slow["arch"]["nodes"]:
        if node["name"] == memories[-1]["name"]:
            for action in node["actions"]:
                if action["throughput"] != "inf":
                    action["throughput"] = str(Fraction(str(action["throughput"])) / 3)
    yield slow
    late = copy.deepcopy(data)
    for node in late["arch"]["nodes"]:
        for action in node["actions"]:
            action["latency"] = str(Fraction(str(action.get("latency", 0))) + Fraction(3, 2))
    yield late
    more = copy.deepcopy(data)
    setup = more.setdefault("schedule", {}).setdefault("setup", {})
    for node in memories:
        table = setup.setdefault(node["name"], {})
        for action in ("read", "write"):
            table[action] = str(Fraction(str(table.get(action, 0))) + 2)
    yield more
