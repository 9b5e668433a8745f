"""The oracle against cases computed by hand, and against properties of the model."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings

import oracle
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage, without_machine
from strategies import cascades, workloads
from unit_cases import UNITS, on_units

Data = dict[str, Any]


def matmul(shape: int) -> Data:
    """A 4 x 4 x 4 matrix product; ``shape`` is the number of values of k in a tile in SRAM."""
    return spec(
        {"m": 4, "n": 4, "k": 4},
        [einsum("mm", ("Z", "m n"), ("A", "m k"), ("B", "k n"))],
        [memory("DRAM"), memory("SRAM", 2, 2), compute("mac")],
        [
            storage("DRAM", "A", "B", "Z"),
            loop("k", shape),
            storage("SRAM", "A", "B", "Z"),
            *(loop("m"), loop("n"), loop("k")),
            leaf("mm"),
        ],
    )


def test_counts_of_one_matmul() -> None:
    """Two tiles of k: inputs are filled once in all, the output is written twice, read back once.

    Per operation SRAM is read once for each input, and for the output except the first time.
    """
    accesses = oracle.analyze(matmul(2), granularity="tile")["accesses"]
    assert accesses == {
        ("mm", "DRAM", "A", "read"): 16,
        ("mm", "DRAM", "B", "read"): 16,
        ("mm", "DRAM", "Z", "read"): 16,
        ("mm", "DRAM", "Z", "write"): 32,
        ("mm", "SRAM", "A", "write"): 16,
        ("mm", "SRAM", "B", "write"): 16,
        ("mm", "SRAM", "Z", "write"): 16 + 64,
        ("mm", "SRAM", "A", "read"): 64,
        ("mm", "SRAM", "B", "read"): 64,
        ("mm", "SRAM", "Z", "read"): 32 + 48,
        ("mm", "mac", None, "compute"): 64,
    }


@pytest.mark.parametrize("granularity", ["tile", "flow", "full"])
def test_roofline_of_one_matmul(granularity: str) -> None:
    """One leaf takes as long as its busiest port: here SRAM, (112 + 208) / 2."""
    answer = oracle.analyze(matmul(2), granularity=granularity)
    assert answer["latency_by_order"] == {"program": 160, "skew": 160, "oldest": 160}
    assert answer["resource_bound"] == answer["sequential"] == 160


def test_imperfect_tiles_count_what_exists() -> None:
    """Tiles of 3 and 1 values of k: as many values move as in tiles of 2 and 2."""
    counts = oracle.analyze(matmul(3), granularity="tile")["accesses"]
    assert counts == oracle.analyze(matmul(2), granularity="tile")["accesses"]


def two_stages(
    kind: str, first: int | str, second: int | str, tensors_at: str = "inside", size: int = 5
) -> Data:
    """Two element-wise Einsums, one tile iteration per m, on Computes of their own.

    ``t`` is exchanged inside the loop over m (slots matter) or above it; memories are free.
    """
    exchange = storage("SRAM", "t")
    inside = [loop("m"), exchange] if tensors_at == "inside" else [exchange, loop("m")]
    return spec(
        {"m": size},
        [einsum("e1", ("t", "m"), ("a", "m")), einsum("e2", ("z", "m"), ("t", "m"))],
        [
            memory("DRAM", "inf", "inf"),
            memory("SRAM", "inf", "inf"),
            compute("one", first),
            compute("two", second),
        ],
        [
            storage("DRAM", "a", "z"),
            *inside,
            {"type": kind, "nodes": [nested(leaf("e1", "one")), nested(leaf("e2", "two"))]},
        ],
    )


@pytest.mark.parametrize(("first", "second"), [(1, 1), ("1/3", "1/2"), ("1/2", "1/3")])
@pytest.mark.parametrize("slots", [2, 3, None])
def test_uniform_pipeline(first: int | str, second: int | str, slots: int | None) -> None:
    """T iterations of a pipeline with room take sum(d) + (T - 1) max(d)."""
    one, two = 1 / Fraction(first), 1 / Fraction(second)
    answer = oracle.analyze(two_stages("Pipeline", first, second), slots=slots)
    expected = one + two + 4 * max(one, two)
    assert set(answer["latency_by_order"].values()) == {expected}
    assert answer["sequential"] == 5 * (one + two)
    assert answer["resource_bound"] == 5 * max(one, two)


def test_pipeline_with_one_slot() -> None:
    """One slot: the producer waits for the consumer of the tile before, nothing overlaps."""
    answer = oracle.analyze(two_stages("Pipeline", "1/3", "1/2"), slots=1)
    assert answer["latency"] == answer["sequential"] == 25
    above = oracle.analyze(two_stages("Pipeline", "1/3", "1/2", "above"), slots=1)
    assert above["latency"] == 3 + 2 + 4 * 3


def test_sequential_above_a_loop_shared() -> None:
    """A Sequential split takes the stages in turn, whatever the slots."""
    for slots in (1, 2, None):
        answer = oracle.analyze(two_stages("Sequential", "1/3", "1/2"), slots=slots)
        assert answer["latency"] == 5 * (3 + 2)


def weights_above(depth: int) -> Data:
    """Weights of the second of two Einsums, filled into SRAM above the split (4 per tile).

    ``depth`` is the number of the loops, m and one more, above the holder.
    """
    shared = [loop("m"), storage("SRAM", "w")] if depth else [storage("SRAM", "w"), loop("m")]
    return spec(
        {"m": 3, "k": 4},
        [
            einsum("e1", ("t", "m"), ("a", "m")),
            einsum("e2", ("z", "m"), ("t", "m"), ("w", "m k")),
        ],
        [
            memory("DRAM", 1, "inf", separate_read_write_ports=True),
            memory("SRAM", "inf", "inf"),
            compute("one", "1/4"),
            compute("two", 2),
        ],
        [
            storage("DRAM", "w"),
            storage("SRAM", "a", "t", "z"),
            *shared,
            {
                "type": "Sequential",
                "nodes": [nested(leaf("e1", "one")), nested(loop("k"), leaf("e2", "two"))],
            },
        ],
    )


def test_prefetch_overlaps_a_sequential_split() -> None:
    """Weights load (4 per tile) while e1 computes (4 per tile); e2 adds 2 per tile.

    With two slots every fill is ready when e1 is done: 3 * (4 + 2). With one slot the fill of
    the second tile waits for e2 in the first one, but still runs beside e1.
    """
    for slots in (1, 2):
        answer = oracle.analyze(weights_above(1), slots=slots)
        assert set(answer["latency_by_order"].values()) == {18}
        assert answer["resource_bound"] == 12


def test_prefetch_of_a_whole_tensor() -> None:
    """Filled at once, the 12 weights belong to e2's first tile, which starts with them at 12.

    It takes 2, then e1 and e2 take turns: 12 + 2 + 2 * (4 + 2).
    """
    answer = oracle.analyze(weights_above(0))
    assert answer["latency"] == 26
    assert answer["dependence_bound"] == 26


def write_back(background: Sequence[str | tuple[str, str]] = (), slots: int = 2) -> Data:
    """Analyze: e1 makes 2 values per m, written back to DRAM; e2 reads them in SRAM.

    Per iteration: e1 takes 1 on its Compute, the write-back 3 * 2 on DRAM; e2 takes 4 and reads
    from SRAM, free of cost.
    """
    data = spec(
        {"m": 3, "k": 2},
        [einsum("e1", ("t", "m k"), ("a", "m k")), einsum("e2", ("z", "m"), ("t", "m k"))],
        [
            memory("DRAM", "inf", "1/3"),
            memory("SRAM", "inf", "inf"),
            compute("one", 2),
            compute("two", "1/2"),
        ],
        [
            storage("DRAM", "t"),
            storage("SRAM", "a", "z"),
            loop("m"),
            storage("SRAM", "t"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(loop("k"), leaf("e1", "one")),
                    nested(loop("k"), leaf("e2", "two")),
                ],
            },
        ],
    )
    return oracle.analyze(data, granularity="tile", background=background, slots=slots)


def test_write_back_in_the_foreground() -> None:
    """The consumer waits for write-backs: 3 * 6 on DRAM, then the last e2."""
    answer = write_back()
    assert set(answer["latency_by_order"].values()) == {3 * 6 + 4}


def test_write_back_in_the_background() -> None:
    """e2 waits for e1's compute only; the write-backs, one after the other, end at 1 + 3 * 6.

    Where no block waits for a port, e1 takes its first two tiles at 0, and the third when the
    write-back of the first one, begun at 1, has left the slot: at 7. Its own ends at 7 + 1 + 6.
    """
    for background in (["t"], [("t", "SRAM")]):
        answer = write_back(background)
        assert answer["latency"] == 1 + 3 * 6
        assert answer["dependence_bound"] == 7 + 1 + 6
        assert answer["sequential"] == 3 * (6 + 4)


def test_write_back_in_the_background_with_one_slot() -> None:
    """A tile is free when its write-back is done: each e1 starts 1 + 6 after the one before."""
    answer = write_back(["t"], slots=1)
    assert answer["latency"] == 3 * (1 + 6)
    assert answer["dependence_bound"] == 3 * (1 + 6)


def test_dependence_bound_of_other_names() -> None:
    """Write-backs that are not named stay in the foreground."""
    assert write_back(["z"])["latency"] == write_back()["latency"]


def motivating(top: str, inner: str, resident: bool) -> Data:
    """The motivating problem: three 8 x 8 x 8 products; o2 in SRAM, or in DRAM as well."""
    data = spec(
        {"m": 8, "n0": 8, "n1": 8, "n2": 8, "n3": 8},
        [
            einsum("e1", ("o1", "m n1"), ("i1", "m n0"), ("w1", "n0 n1")),
            einsum("e2", ("o2", "m n2"), ("o1", "m n1"), ("w2", "n1 n2")),
            einsum("e3", ("o3", "m n3"), ("o2", "m n2"), ("w3", "n2 n3")),
        ],
        [memory("DRAM"), memory("SRAM"), compute("mac")],
        [
            *([storage("DRAM", "o2")] if resident else []),
            storage("SRAM", "o2"),
            {
                "type": top,
                "nodes": [
                    nested(
                        storage("DRAM", "w1", "i1", "w2"),
                        loop("m"),
                        storage("SRAM", "o1"),
                        {
                            "type": inner,
                            "nodes": [
                                nested(loop("n0"), loop("n1"), leaf("e1")),
                                nested(loop("n1"), loop("n2"), leaf("e2")),
                            ],
                        },
                    ),
                    nested(
                        storage("DRAM", "w3", "o3"), loop("m"), loop("n2"), loop("n3"), leaf("e3")
                    ),
                ],
            },
        ],
    )
    data["workload"]["bits_per_value"] = {"All": 8}
    return data


S, P = "Sequential", "Pipeline"


@pytest.mark.long
@pytest.mark.parametrize(
    ("top", "inner", "resident", "granularity", "background", "expected"),
    [
        (S, S, False, "flow", (), (31744, 31744, 31744)),
        (S, P, False, "tile", (), (31296, 31296, 31232)),
        (P, S, False, "flow", (), (30784, 30784, 24856)),
        (P, P, False, "flow", (), (30160, 30160, 24064)),
        (S, S, True, "tile", (), (32256, 32256, 32256)),
        (S, S, True, "tile", ("o2",), (32256, 32256, 31808)),
        (P, P, True, "flow", (), (30672, 30672, 24576)),
        (P, P, True, "flow", ("o2",), (31744, 31744, 24576)),
    ],
)
def test_motivating_problem(
    top: str,
    inner: str,
    resident: bool,
    granularity: str,
    background: tuple[str, ...],
    expected: tuple[int, int, int],
) -> None:
    """The write of o2 to DRAM: on the critical path, in the background, or hidden by pipelines."""
    problem = oracle.read_problem(motivating(top, inner, resident))
    by_order = oracle.latencies(oracle.Model(problem, granularity, background, 2))
    assert by_order == dict(zip(oracle.ORDERS, expected, strict=True))


def array(first: int, second: int, fanout: int) -> Data:
    """Two stages that use some of the units of one array, four operations each."""
    data = two_stages("Pipeline", 1, 1, "above", size=2)
    data["workload"]["iteration_space_shape"] = {"m": "0 <= m < 2", "k": "0 <= k < 4"}
    data["workload"]["einsums"] = [
        einsum("e1", ("t", "m k"), ("a", "m k")),
        einsum("e2", ("z", "m k"), ("t", "m k")),
    ]
    data["arch"]["nodes"][2:] = [compute("mac", spatial=[{"name": "X", "fanout": fanout}])]
    unit = {"type": "Spatial", "rank_variable": "k", "component": "mac", "name": "X"}
    data["mapping"]["nodes"][-1]["nodes"] = [
        nested({**unit, "tile_shape": 4 // units}, loop("k"), leaf(name))
        for name, units in (("e1", first), ("e2", second))
    ]
    return data


def test_stages_share_an_array_where_it_fits() -> None:
    """2 + 2 units of 4: e1 and e2 overlap (2 per iteration); of 3 they contend."""
    fits = oracle.analyze(array(2, 2, 4), granularity="tile")
    assert (fits["latency"], fits["resource_bound"]) == (2 + 2 + 2, 4)
    contends = oracle.analyze(array(2, 2, 3), granularity="tile")
    assert (contends["latency"], contends["resource_bound"]) == (8, 8)


@pytest.mark.parametrize(("tree", "fanouts", "held", "expected"), UNITS)
def test_units(tree: Sequence[Any], fanouts: dict[str, int], held: str, expected: int) -> None:
    """The stages wait for nothing but units: the busiest one decides."""
    answer = oracle.analyze(on_units(tree, fanouts, held))
    assert answer["resource_bound"] == answer["latency"] == expected


def test_toll_counts_its_directions() -> None:
    """What moves between DRAM and SRAM passes the Toll; it holds nothing."""
    for direction, expected in (("up_and_down", 2 * 16 + 16 + 32), ("down", 48), ("up", 32)):
        data = matmul(2)
        toll = {"type": "Toll", "name": "Link", "direction": direction}
        data["arch"]["nodes"].insert(1, {**toll, "actions": [{"name": "read", "throughput": 1}]})
        node = {"type": "Toll", "component": "Link", "tensors": ["A", "B", "Z"]}
        data["mapping"]["nodes"].insert(1, node)
        accesses = oracle.analyze(data)["accesses"]
        assert sum(n for key, n in accesses.items() if key[1] == "Link") == expected
        assert accesses["mm", "DRAM", "Z", "read"] == 16


def test_illegal_without_a_shared_holder() -> None:
    """Producer and consumer must share a holder."""
    data = two_stages("Pipeline", 1, 1)
    data["mapping"]["nodes"] = [
        storage("DRAM", "a", "z"),
        {
            "type": "Pipeline",
            "nodes": [
                nested(storage("SRAM", "t"), loop("m"), leaf("e1", "one")),
                nested(storage("SRAM", "t"), loop("m"), leaf("e2", "two")),
            ],
        },
    ]
    with pytest.raises(oracle.Illegal, match="shared with its producer"):
        oracle.analyze(data)


def test_illegal_where_nobody_brings() -> None:
    """A consumer may not read what was written in another residency."""
    data = two_stages("Pipeline", 1, 1)
    data["workload"]["einsums"][1]["tensor_accesses"][0]["projection"] = {"M": "4 - m"}
    data["workload"]["einsums"][0]["tensor_accesses"][1]["projection"] = {"M": "m"}
    with pytest.raises(oracle.Illegal, match="nobody brought"):
        oracle.analyze(data)


def test_order_that_contradicts_the_dependences() -> None:
    """A consumer that reads backwards: no Sequential is possible, a Pipeline only with skew."""
    data = two_stages("Pipeline", 1, 1, "above")
    data["workload"]["einsums"][1]["tensor_accesses"][0]["projection"] = {"M": "4 - m"}
    data["workload"]["einsums"][0]["tensor_accesses"][1]["projection"] = {"M": "m"}
    shared = [node for node in data["mapping"]["nodes"] if node["type"] != "Storage"]
    shared[1]["nodes"] = [nested(leaf("e1", "one")), nested(leaf("e2", "one"))]
    answer = oracle.analyze(data)
    assert answer["latency_by_order"] == {"program": None, "skew": 10, "oldest": 10}
    assert answer["sequential"] is None
    shared[1]["type"] = "Sequential"
    with pytest.raises(oracle.NoOrder):
        oracle.analyze(data)


# --------------------------------------------------------------------------------------------
# Facts
# --------------------------------------------------------------------------------------------

Cascade = tuple[Data, Data]
modest = settings(max_examples=60, deadline=None)


def legal(data: Data, **options: Any) -> oracle.Model:
    """The model of a cascade that has a schedule; others are skipped."""
    granularity = "flow" if options["granularity"] == "auto" else options["granularity"]
    try:
        return oracle.Model(
            oracle.read_problem(data, options.get("pipelines", True)),
            granularity,
            options["background"],
            options["slots"],
            options.get("staged", ()),
        )
    except oracle.Illegal:
        assume(False)
        raise


@pytest.mark.slow
@modest
@given(cascades())
def test_latencies_are_above_the_bounds(cascade: Cascade) -> None:
    """No latency is below a bound; without background the best one is at most ``sequential``."""
    data, options = cascade
    model = legal(data, **options)
    latencies = [value for value in oracle.latencies(model).values() if value is not None]
    assume(latencies)
    waiting = oracle.dependence_bound(model)
    assert waiting is not None
    bounds = (oracle.resource_bound(model), oracle.barrier_bound(model), waiting)
    assert min(latencies) >= max(bounds)
    answer = oracle.analyze(data, **{**options, "background": ()})
    assert answer["sequential"] is None or answer["latency"] <= answer["sequential"]


@modest
@given(cascades(max_einsums=1))
def test_one_leaf_has_the_latency_of_its_busiest_port(cascade: Cascade) -> None:
    """One leaf, all transfers stream, no latency: the latency is the largest load of a port."""
    data, options = cascade
    data = without_machine(data, "latency", "rigid")
    model = legal(data, **{**options, "background": (), "staged": ()})
    assert set(oracle.latencies(model).values()) == {oracle.resource_bound(model)}


@pytest.mark.slow
@modest
@given(cascades())
def test_orders_agree_where_all_is_sequential(cascade: Cascade) -> None:
    """Only Sequential splits, all transfers stream: all orders take as long as the barriers."""
    data, options = cascade
    data = without_machine(data, "latency", "rigid")
    options = {**options, "background": (), "staged": ()}
    model = legal(data, **{**options, "pipelines": False})
    assume(all(key[0] != "fill" for key in model.steps))
    found = set(oracle.latencies(model).values())
    assume(None not in found)  # one slot may contradict the dependences
    assert found == {oracle.barrier_bound(model)}


@pytest.mark.slow
@modest
@given(cascades())
def test_pipelines_do_not_slow_the_program_order(cascade: Cascade) -> None:
    """Every Sequential as a Pipeline: the program order is never slower, if both exist."""
    data, options = cascade
    options = {**options, "background": ()}
    sequential = oracle.latencies(legal(data, **{**options, "pipelines": False}))["program"]
    pipelined = oracle.latencies(legal(all_pipelines(data), **options))["program"]
    assume(sequential is not None and pipelined is not None)
    assert sequential is not None and pipelined is not None
    assert pipelined <= sequential


def all_pipelines(data: Any) -> Any:
    """Plain data with every Sequential as a Pipeline."""
    if isinstance(data, dict):
        data = {key: all_pipelines(value) for key, value in data.items()}
        return {**data, "type": "Pipeline"} if data.get("type") == "Sequential" else data
    return [all_pipelines(value) for value in data] if isinstance(data, list) else data


@modest
@given(workloads())
def test_workloads_are_small(workload: Data) -> None:
    """The strategies keep the iteration spaces small enough for the oracle."""
    bounds = oracle.read_bounds(workload)
    for entry in workload["einsums"]:
        domain = list(oracle.points(oracle.read_einsum(entry, bounds, {})))
        assert 0 < len(domain) <= 64
