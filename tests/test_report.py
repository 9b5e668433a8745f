"""`analyze` on cases computed by hand: options, errors, units, exact numbers."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import builders
import polylat
from builders import CASCADES, DATA, EXAMPLES, OURS, options_of
from polylat import (
    CapacityError,
    OptionError,
    ScheduleError,
    Spec,
    TooLargeError,
    UnsupportedError,
)

Data = dict[str, Any]
CASES: dict[str, Data] = {case["name"]: case for case in CASCADES}


def corpus(name: str) -> Spec:
    """An AccelForge input."""
    return polylat.load(OURS / f"{name}.yaml")


def memory(name: str, throughput: Any = 1, **more: Any) -> Data:
    """A memory whose actions move one value of 8 bits at the throughput."""
    actions = [
        {"name": name, "throughput": throughput, "bits_per_action": 8} for name in ("read", "write")
    ]
    return {"type": "Memory", "name": name, "size": "inf", "actions": actions, **more}


def compute(throughput: Any = 1, **more: Any) -> Data:
    """A Compute."""
    return {
        "type": "Compute",
        "name": "mac",
        "actions": [{"name": "compute", "throughput": throughput}],
        **more,
    }


def storage(component: str, *tensors: str) -> Data:
    """A Storage node."""
    return {"type": "Storage", "component": component, "tensors": list(tensors)}


def temporal(variable: str, tile: int = 1) -> Data:
    """A Temporal loop."""
    return {"type": "Temporal", "rank_variable": variable, "tile_shape": tile}


def spatial(variable: str, tile: int = 1) -> Data:
    """A Spatial loop over the units of the Compute."""
    return {
        "type": "Spatial",
        "rank_variable": variable,
        "tile_shape": tile,
        "component": "mac",
        "name": "X",
    }


def leaf(einsum: str) -> Data:
    """A Compute node."""
    return {"type": "Compute", "einsum": einsum, "component": "mac"}


def chain(size: int, nodes: list[Data], arch: list[Data], **more: Any) -> Spec:
    """Element-wise e1: a → b and e2: b → c over m."""
    einsums = [
        {
            "name": name,
            "tensor_accesses": [
                {"name": source, "projection": ["m"]},
                {"name": target, "projection": ["m"], "output": True},
            ],
        }
        for name, source, target in (("e1", "a", "b"), ("e2", "b", "c"))
    ]
    workload = {
        "rank_sizes": {"M": size},
        "bits_per_value": {"All": 8},
        "einsums": einsums,
        **more,
    }
    return Spec.from_dict(
        {"workload": workload, "arch": {"nodes": arch}, "mapping": {"nodes": nodes}}
    )


def split(kind: str, *branches: list[Data]) -> Data:
    """A split with these branches."""
    return {
        "type": kind,
        "nodes": [{"type": "Nested", "nodes": branch} for branch in branches],
    }


def two_stages(kind: str, fanout: int, units: int = 2) -> Spec:
    """Eight elements through two stages that use some units each; only computing takes time."""
    stage = [temporal("m", units), spatial("m")]
    return chain(
        8,
        [
            storage("DRAM", "a", "b", "c"),
            split(kind, [*stage, leaf("e1")], [*stage, leaf("e2")]),
        ],
        [memory("DRAM", "inf"), compute(spatial=[{"name": "X", "fanout": fanout}])],
    )


def test_stages_share_an_array_where_it_fits() -> None:
    """Two stages of two units each: side by side on four units, in turn on three."""
    fits = polylat.analyze(two_stages("Pipeline", 4), granularity="flow")
    assert [(p.name, p.busy) for p in fits.ports] == [("mac[e1]", 4), ("mac[e2]", 4)]
    assert (fits.latency, fits.sequential) == (5, 8)
    assert [(c.own, c.shared) for c in fits.contention] == [(("mac",), ("DRAM",))]
    contend = polylat.analyze(two_stages("Pipeline", 3), granularity="flow")
    assert [(p.name, p.busy) for p in contend.ports] == [("mac", 8)]
    assert contend.latency == 8
    assert [(c.own, c.shared) for c in contend.contention] == [((), ("DRAM", "mac"))]


def test_sequential_branches_use_the_same_units() -> None:
    """Branches of a Sequential never need units of their own."""
    report = polylat.analyze(two_stages("Sequential", 4))
    assert [(p.name, p.busy) for p in report.ports] == [("mac", 8)]
    assert (report.latency, report.contention) == (8, ())


def test_capacity_holds_the_producer_back() -> None:
    """One slot: e1 may not overwrite the tile before e2 has read it."""
    spec = chain(
        4,
        [
            storage("DRAM", "a", "c"),
            temporal("m"),
            storage("SRAM", "b"),
            split("Pipeline", [leaf("e1")], [leaf("e2")]),
        ],
        [
            memory("DRAM", 1, separate_read_write_ports=True),
            memory("SRAM", "inf"),
            compute("inf"),
        ],
    )
    assert polylat.analyze(spec).latency == 5
    one = polylat.analyze(spec, slots=1)
    assert one.latency == 8
    assert "capacity" in {step.waited_for for step in one.critical_path}
    assert polylat.analyze(spec, slots={"b": 1}).latency == 8
    assert polylat.analyze(spec, slots=None).latency == 5


def test_the_critical_path_of_a_pipeline() -> None:
    """Read a, then write c: four reads, the last write waits for data."""
    spec = chain(
        2,
        [
            storage("DRAM", "a", "c"),
            temporal("m"),
            storage("SRAM", "b"),
            split("Pipeline", [leaf("e1")], [leaf("e2")]),
        ],
        [memory("DRAM", 1, separate_read_write_ports=True), memory("SRAM", "inf"), compute("inf")],
    )
    path = polylat.analyze(spec).critical_path
    assert [
        (s.einsum, s.tile, s.port, s.tensor, s.action, s.start, s.finish, s.waited_for)
        for s in path
    ] == [
        ("e1", (("m", 0),), "read", "a", "read", 0, 1, None),
        ("e1", (("m", 1),), "read", "a", "read", 1, 2, "port"),
        ("e2", (("m", 1),), "write", "c", "write", 2, 3, "flow"),
    ]
    assert path[-1].duration == 1
    assert path[:1] == (path[0],)


def test_occupancy_of_the_tapped_cascade() -> None:
    """All of o2 (64 values of 8 bits), and one row of o1."""
    files = [EXAMPLES / name for name in ("arch.yaml", "workload.yaml", "untapped.yaml")]
    report = polylat.analyze(polylat.load(*files), granularity="tile")
    sram = next(m for m in report.occupancy if m.component == "SRAM")
    assert (sram.peak, sram.size, sram.exceeded) == (64 * 8 + 8 * 8, 1_000_000, False)
    assert {tile.tensor for tile in sram.at(0)} == {"o1"}
    rows = [tile for tile in sram.tiles() if tile.tensor == "o1"]
    assert [tile.index for tile in rows] == [(("m", i),) for i in range(8)]
    assert all(a.end <= b.start for a, b in pairwise(rows))


def test_capacity_can_be_enforced() -> None:
    """A memory that is too small is reported, or an error."""
    nodes = [storage("DRAM", "a", "c"), storage("SRAM", "b")]
    nodes.append(split("Sequential", [temporal("m"), leaf("e1")], [temporal("m"), leaf("e2")]))
    spec = chain(4, nodes, [memory("DRAM"), memory("SRAM", size=31), compute()])
    sram = polylat.analyze(spec).occupancy[1]
    assert (sram.component, sram.peak, sram.size, sram.exceeded) == ("SRAM", 32, 31, True)
    with pytest.raises(CapacityError, match="'SRAM' holds up to 32 bits, and its size is 31"):
        polylat.analyze(spec, enforce_capacity=True)


def test_instances_multiply() -> None:
    """An Einsum with n instances does everything n times; so does a workload."""
    nodes = [storage("DRAM", "a", "b", "c")]
    nodes.append(split("Sequential", [temporal("m"), leaf("e1")], [temporal("m"), leaf("e2")]))
    arch = [memory("DRAM"), compute("inf")]
    once = polylat.analyze(chain(4, nodes, arch))
    thrice = polylat.analyze(chain(4, nodes, arch, n_instances=3))
    assert (once.latency, once.roofline) == (16, 16)
    assert (thrice.latency, thrice.roofline) == (48, 48)


def test_constants_are_charged_once_per_einsum() -> None:
    """A constant in total_latency is overhead on the port, and on the critical path."""
    nodes = [storage("DRAM", "a", "b", "c")]
    nodes.append(split("Sequential", [temporal("m"), leaf("e1")], [temporal("m"), leaf("e2")]))
    latency = "7 + sum(a.n_calls / a.throughput for a in actions)"
    arch = [memory("DRAM", total_latency=latency), compute("inf")]
    report = polylat.analyze(chain(4, nodes, arch), granularity="full")
    assert (report.latency, report.roofline) == (30, 30)
    assert report.critical_totals["e1", "DRAM", None, "overhead"] == 7
    assert sum(report.critical_totals.values()) == 30


def test_stages_on_two_chips_cannot_exchange_through_private_memories() -> None:
    """Y is held above the Pipeline in an SRAM per chip: both stages use one chip, as in a row."""
    spec = polylat.load(DATA / "definition" / "two_chips_private_sram.yaml")
    report = polylat.analyze(spec)
    assert report.latency == report.roofline == 1932
    assert report.contention[0].own == ()


def test_a_copy_onto_the_chip() -> None:
    """4 reads of 1 in DRAM, then 4 writes of 10; AccelForge writes the copy in DRAM, too."""
    spec = polylat.load(DATA / "definition" / "copy_in.yaml")
    report = polylat.analyze(spec)
    assert (report.latency, report.roofline) == (44, 80)
    assert report.accesses["I", "DRAM", "I_in", "read"] == 4
    assert report.accesses["I", "SRAM", "I", "write"] == 4
    assert ("I", "DRAM", "I_in", "write") not in report.accesses


def test_copy_einsums() -> None:
    """Alone, a copy takes what AccelForge says; what reads the copy waits for it."""
    report = polylat.analyze(corpus("t_copy_einsum"))
    assert (report.latency, report.roofline) == (592, 592)
    assert ("cp", "mac", None, "compute") not in report.accesses


@pytest.mark.parametrize("factor", [10**12, 10**30])
def test_numbers_beyond_64_bits(factor: int) -> None:
    """Slower by any factor takes exactly that factor longer."""
    case = CASES["cascade-1010"]
    options = options_of(case)
    before = polylat.analyze(Spec.from_dict(case["spec"]), **options)

    def slower(value: Any) -> Any:
        return value if value == "inf" else f"({value}) / {factor} / 1000003"

    def longer(value: Any) -> str:
        return f"({value}) * {factor} * 1000003"

    spec = json.loads(json.dumps(case["spec"]))
    for node in spec["arch"]["nodes"]:
        for action in node["actions"]:
            action["throughput"] = slower(action["throughput"])
            action["latency"] = longer(action.get("latency", 0))
    for actions in spec["schedule"]["setup"].values():
        actions.update({name: longer(time) for name, time in actions.items()})
    after = polylat.analyze(Spec.from_dict(spec), **options)
    scale = factor * 1000003
    assert after.latency == before.latency * scale
    assert after.dependence_bound == before.dependence_bound * scale
    assert sum(after.critical_totals.values()) == after.latency
    assert [p.busy for p in after.ports] == [p.busy * scale for p in before.ports]


def test_an_order_that_contradicts_the_dependences() -> None:
    """Its latency is None, and requesting it is an error that names the cycle."""
    case = CASES["cascade-1068"]
    spec, options = Spec.from_dict(case["spec"]), options_of(case)
    report = polylat.analyze(spec, **options)
    assert report.latency_by_order["program"] is None
    with pytest.raises(ScheduleError) as caught:
        polylat.analyze(spec, **options | {"order": "program"})
    text = str(caught.value)
    assert text.startswith("mapping: order 'program' contradicts the dependences: ")
    assert " waits (port) for " in text
    assert " waits (flow) for " in text


def test_no_order_at_all() -> None:
    """A Sequential whose consumer reads what the producer makes only later."""
    spec = chain(
        2,
        [
            storage("DRAM", "a", "b", "c"),
            split("Sequential", [temporal("m"), leaf("e1")], [temporal("m"), leaf("e2")]),
        ],
        [memory("DRAM"), compute()],
    )
    assert polylat.analyze(spec).latency == 8
    case = CASES["cascade-1099"]
    options = options_of(case)
    with pytest.raises(ScheduleError, match=r"every order .* e1\[.* waits \(barrier\) for e2\["):
        polylat.analyze(Spec.from_dict(case["spec"]), **options)


def test_max_tiles() -> None:
    """Too many tile iterations to visit: a bracket, or an error; `auto` takes coarser ones."""
    spec = corpus("issue_o2_sram_only")
    assert polylat.analyze(spec).granularity == "flow"
    coarse = polylat.analyze(spec, max_tiles=100)
    assert (coarse.granularity, coarse.tiles) == ("tile", 17)
    bracket = polylat.analyze(spec, granularity="flow", max_tiles=20)
    assert (bracket.granularity, bracket.tiles) == ("flow", 1088)
    assert bracket.lower_bound <= polylat.analyze(spec, granularity="flow").latency
    assert bracket.latency >= polylat.analyze(spec, granularity="flow").latency
    with pytest.raises(TooLargeError, match="17 tile iterations at granularity 'tile'"):
        polylat.analyze(spec, max_tiles=10)


@pytest.mark.parametrize("order", ["program", "skew", "oldest", "best"])
def test_lower_bound_holds_for_every_order(order: str) -> None:
    """Two stages share a Compute, busy for 16; that of the stage between them is busy for 20."""
    names = [("e1", "b", "a"), ("e2", "c", "b"), ("e3", "d", "c")]
    stages = [builders.leaf("e1", "x"), builders.leaf("e2", "y"), builders.leaf("e3", "x")]
    data = builders.spec(
        {"m": 4},
        [builders.einsum(name, (out, "m"), (source, "m")) for name, out, source in names],
        [memory("S", "inf"), builders.compute("x", "1/2"), builders.compute("y", "1/5")],
        [
            builders.storage("S", "a", "d"),
            builders.loop("m"),
            builders.storage("S", "b", "c"),
            {"type": "Pipeline", "nodes": [builders.nested(stage) for stage in stages]},
        ],
    )
    report = polylat.analyze(Spec.from_dict(data), order=order)
    assert report.latency == (36 if order == "program" else 24)
    assert report.exact
    assert report.lower_bound == report.resource_bound == 20
    assert report.gap == Fraction(report.latency, 20) - 1


def test_absurdly_many_tiles(tmp_path: Path) -> None:
    """The message does not spell their number."""
    large = tmp_path / "workload.yaml"
    text = (EXAMPLES / "workload.yaml").read_text(encoding="utf-8")
    large.write_text(text.replace(": 8,", f": 1{'0' * 60},"), encoding="utf-8")
    spec = polylat.load(EXAMPLES / "arch.yaml", large, EXAMPLES / "untapped.yaml")
    with pytest.raises(TooLargeError, match=r"2\^62 tile iterations or more") as error:
        polylat.analyze(spec, granularity="full")
    assert len(str(error.value)) < 200


def test_background_that_is_not_there() -> None:
    """A tensor that the mapping does not write back changes nothing, and is named."""
    spec = corpus("issue_o2_to_dram")
    report = polylat.analyze(spec, background=["o2", "o1"])
    assert report.background == (("o2", "SRAM"),)
    assert report.idle_background == (("o1", None),)
    assert "Nothing is written back for o1." in str(report)
    assert "<br>Nothing is written back for o1.<br>" in report._repr_html_()
    assert polylat.analyze(spec, background="o2@SRAM").latency == report.latency
    with pytest.raises(OptionError, match="nothing is written back from SRAM for o1"):
        polylat.analyze(spec, background=["o2", "o1@SRAM"])


def test_options_in_the_file() -> None:
    """The `schedule:` key gives the options that the call does not."""
    case = CASES["cascade-1000"]
    spec = Spec.from_dict(case["spec"] | {"schedule": {"granularity": "tile", "slots": 3}})
    report = polylat.analyze(spec)
    assert (report.granularity, report.slots) == ("tile", 3)
    report = polylat.analyze(spec, granularity="flow", slots=2)
    assert (report.granularity, report.slots) == ("flow", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"granularity": "fine"}, "granularity"),
        ({"order": "newest"}, "order"),
        ({"background": "o9"}, "o9"),
        ({"slots": 0}, "slots"),
        ({"max_tiles": 0}, "max_tiles"),
    ],
)
def test_options_that_cannot_be_used(options: Data, message: str) -> None:
    """One clear error."""
    with pytest.raises(OptionError, match=message):
        polylat.analyze(corpus("issue_o2_sram_only"), **options)


def test_units_are_where_the_architecture_has_them() -> None:
    """A Spatial loop above what is outside its units is refused."""
    spec = chain(
        4,
        [
            storage("DRAM", "a", "b", "c"),
            split(
                "Sequential",
                [spatial("m"), storage("SRAM", "a"), leaf("e1")],
                [temporal("m"), leaf("e2")],
            ),
        ],
        [memory("DRAM"), memory("SRAM"), compute(spatial=[{"name": "X", "fanout": 4}])],
    )
    with pytest.raises(UnsupportedError, match="stands above the holder of tensor 'a' in 'SRAM'"):
        polylat.analyze(spec)


def test_tensors_without_ranks() -> None:
    """A full reduction has one element."""
    spec = Spec.from_dict(
        {
            "workload": {
                "rank_sizes": {"M": 5},
                "bits_per_value": {"All": 8},
                "einsums": [
                    {
                        "name": "sum",
                        "tensor_accesses": [
                            {"name": "a", "projection": ["m"]},
                            {"name": "s", "projection": {}, "output": True},
                        ],
                    }
                ],
            },
            "arch": {"nodes": [memory("DRAM"), compute()]},
            "mapping": {"nodes": [storage("DRAM", "a", "s"), temporal("m"), leaf("sum")]},
        }
    )
    report = polylat.analyze(spec, granularity="full")
    assert report.accesses == {
        ("sum", "DRAM", "a", "read"): 5,
        ("sum", "DRAM", "s", "read"): 4,
        ("sum", "DRAM", "s", "write"): 5,
        ("sum", "mac", None, "compute"): 5,
    }
    assert report.latency == report.roofline == 14


SINGLE = [
    path.stem
    for path in sorted(OURS.glob("*.json"))
    if len(json.loads(path.read_text(encoding="utf-8"))["workload"]["einsums"]) == 1
]
COUNTED_OTHERWISE = {
    # Tiles that do not divide: AccelForge averages, polylat counts what exists.
    "t_conv1d_imperfect": (196, Fraction(399, 2)),
    # A first tile of 4: 12 values of I, and 8 in each of 6 tiles, instead of 8 in each of 8 tiles.
    "t_conv1d_p_init": (406, 406 - Fraction(8 * 8 - (12 + 6 * 8), 4)),
    "t_mm_imperfect_k": (604, 540),
    "t_mm_imperfect_m": (542, 526),
}


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("granularity", ["tile", "full"])
def test_a_single_leaf_has_accelforges_latency(name: str, granularity: str) -> None:
    """Within one leaf everything streams, as AccelForge assumes."""
    report = polylat.analyze(corpus(name), granularity=granularity)
    expected = COUNTED_OTHERWISE.get(name, (report.roofline, report.roofline))
    assert (report.roofline, report.latency) == expected


def test_an_iteration_space_that_is_no_box() -> None:
    """A lower triangle: tiles hold what exists, counted by hand."""

    def einsum(name: str, source: str, target: str, *ranks: str) -> Data:
        accesses = [
            {"name": source, "projection": ["i", "j"]},
            {"name": target, "projection": list(ranks), "output": True},
        ]
        return {"name": name, "tensor_accesses": accesses}

    workload = {
        "iteration_space_shape": {"i": "0 <= i < 6", "j": "0 <= j <= i"},
        "bits_per_value": {"All": 8},
        "einsums": [einsum("e1", "a", "b", "i", "j"), einsum("e2", "b", "r", "i")],
    }
    inner = [temporal("i"), temporal("j")]
    nodes = [
        storage("DRAM", "a", "r"),
        temporal("i", 2),
        storage("SRAM", "b"),
        split(
            "Pipeline",
            [storage("SRAM", "a"), temporal("j", 2), *inner, leaf("e1")],
            [temporal("j", 2), storage("SRAM", "r"), *inner, leaf("e2")],
        ),
    ]
    arch = {"nodes": [memory("DRAM"), memory("SRAM"), compute()]}
    spec = Spec.from_dict({"workload": workload, "arch": arch, "mapping": {"nodes": nodes}})
    report = polylat.analyze(spec, granularity="tile")
    assert report.tiles == 3 + (1 + 2 + 3)
    assert report.accesses == {
        ("e1", "DRAM", "a", "read"): 21,
        ("e1", "SRAM", "a", "write"): 21,
        ("e1", "SRAM", "a", "read"): 21,
        ("e1", "SRAM", "b", "write"): 21,
        ("e1", "mac", None, "compute"): 21,
        ("e2", "SRAM", "b", "read"): 21,
        # Two rows of r in each of six tiles; all but the first time of a row comes back.
        ("e2", "DRAM", "r", "write"): 12,
        ("e2", "DRAM", "r", "read"): 12 - 6,
        ("e2", "SRAM", "r", "write"): 21 + 6,
        ("e2", "SRAM", "r", "read"): (21 - 6) + 12,
        ("e2", "mac", None, "compute"): 21,
    }
    assert polylat.analyze(spec, granularity="full").tiles == 21 + 21
