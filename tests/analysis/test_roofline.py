"""The roofline, which is AccelForge's accounting: against AccelForge's results, and by hand.

Our own cases are in ``tests/data/accelforge``. A larger corpus is used where it is present: in
the folder that the environment variable POLYLAT_CORPUS names, or next to the repository.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from itertools import product
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from builders import CORPUS, OURS
from polylat.analysis.roofline import Roofline, roofline
from polylat.errors import MappingError, OptionError, SpecError, UnsupportedError
from polylat.lowering.rank_bounds import rank_bounds
from polylat.spec import Spec
from polylat.spec.affine import Affine
from polylat.spec.reading.load import load
from polylat.spec.workload import Einsum

# `yaml_is_complete` is true for all cases.
CASES = {path.stem: path for folder in (CORPUS, OURS) for path in sorted(folder.glob("*.yaml"))}


# The corpus


@pytest.fixture(scope="module", params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> tuple[Roofline, dict[str, Any]]:
    """polylat's and AccelForge's figures for a case."""
    path = CASES[request.param]
    answer: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return roofline(load(path)), answer


def near(value: Any) -> Any:
    """Equal within the precision of AccelForge's 32-bit floats."""
    return pytest.approx(value, rel=1e-6)


def test_our_cases_are_here() -> None:
    assert len(list(OURS.glob("*.yaml"))) >= 46


def test_corpus_latency(case: tuple[Roofline, dict[str, Any]]) -> None:
    ours, answer = case
    assert float(ours.latency) == near(answer["latency_total"])
    for einsum, busy in answer["latency_per_einsum_component"].items():
        assert {name: float(time) for name, time in ours.per_einsum[einsum].items()} == near(busy)
        bottleneck = ours.per_einsum[einsum][ours.bottleneck[einsum]]
        assert float(bottleneck) == near(answer["latency_per_einsum"][einsum])


def test_corpus_actions(case: tuple[Roofline, dict[str, Any]]) -> None:
    ours, answer = case
    expected = {
        (einsum, component, None if tensor == "None" else tensor, action): number
        for einsum, components in answer["actions"].items()
        for component, tensors in components.items()
        for tensor, actions in tensors.items()
        for action, number in actions.items()
    }
    assert {key: float(number) for key, number in ours.totals.items()} == near(expected)


def test_corpus_energy(case: tuple[Roofline, dict[str, Any]]) -> None:
    """Whole numbers to the digit; AccelForge's others pass through 32-bit floats."""
    ours, answer = case
    expected = answer["energy_total"]
    if isinstance(expected, int):
        assert ours.energy.total == expected
    assert float(ours.energy.total) == pytest.approx(expected, rel=1e-8)


def test_corpus_actions_of_one_unit(case: tuple[Roofline, dict[str, Any]]) -> None:
    ours, answer = case
    expected = {}
    for einsum, internals in answer["internals_per_einsum_instance"].items():
        scales = {
            component["name"]: component.get("actions_scale", 1)
            for component in answer["arch"]["flattened_per_einsum"][einsum]
        }
        for compute in internals["compute"]:
            name = compute["component"]
            expected[einsum, name, None, "compute"] = compute["max_latency_ops"] * scales[name]
        computes = {compute["component"] for compute in internals["compute"]}
        for name, tensors in internals["buffets"].items():
            for tensor, counts in tensors.items():
                if name not in computes:
                    for action in ("read", "write"):
                        number = counts[f"per_unit_{action}"] * scales[name]
                        expected[einsum, name, tensor, action] = number
        for name, tensors in internals.get("network", {}).items():
            for tensor, counts in tensors.items():
                traffic = counts["max_traffic"].values()
                expected[einsum, name, tensor, "hop"] = max(traffic, default=0)
    assert {key: float(number) for key, number in ours.accesses.items()} == near(expected)


def test_corpus_is_exact(case: tuple[Roofline, dict[str, Any]]) -> None:
    ours, _ = case
    numbers = [ours.latency, *ours.accesses.values(), *ours.totals.values()]
    assert all(type(n) is int or (type(n) is Fraction and n.denominator > 1) for n in numbers)


# By hand


Node = Mapping[str, Any]


def memory(name: str, read: float = 1, write: float = 1, **more: Any) -> dict[str, Any]:
    """A memory with this number of actions, of one bit each, per unit of time."""
    actions = [{"name": "read", "throughput": read}, {"name": "write", "throughput": write}]
    return {"type": "Memory", "name": name, "size": "inf", "actions": actions, **more}


def toll(name: str, direction: Any) -> dict[str, Any]:
    actions = [{"name": "read", "throughput": 1}]
    return {"type": "Toll", "name": name, "direction": direction, "actions": actions}


def compute(name: str = "mac", **more: Any) -> dict[str, Any]:
    actions = [{"name": "compute", "throughput": 1}]
    return {"type": "Compute", "name": name, "actions": actions, **more}


def einsum(name: str, output: str, *inputs: str, **more: Any) -> dict[str, Any]:
    """An Einsum of accesses such as ``"Z[m,2*p+r]"``, the ranks of which are ``Z0``, ``Z1``."""

    def access(text: str) -> dict[str, Any]:
        tensor, _, indices = text.rstrip("]").partition("[")
        ranks = {f"{tensor}{i}": index for i, index in enumerate(indices.split(","))}
        return {"name": tensor, "projection": ranks}

    accesses = [{**access(output), "output": True}, *map(access, inputs)]
    return {"name": name, "tensor_accesses": accesses, **more}


def holder(component: str, *tensors: str, kind: str = "Storage") -> Node:
    return {"type": kind, "component": component, "tensors": list(tensors)}


def temporal(variable: str, tile: int) -> Node:
    return {"type": "Temporal", "rank_variable": variable, "tile_shape": tile}


def spatial(variable: str, tile: int, component: str = "mac", dimension: str = "X") -> Node:
    return {
        "type": "Spatial",
        "rank_variable": variable,
        "tile_shape": tile,
        "component": component,
        "name": dimension,
    }


def leaf(name: str, component: str = "mac") -> Node:
    return {"type": "Compute", "einsum": name, "component": component}


def split(*branches: Sequence[Node], kind: str = "Sequential") -> Node:
    return {"type": kind, "nodes": [{"type": "Nested", "nodes": list(b)} for b in branches]}


def spec(
    sizes: Mapping[str, int],
    einsums: Sequence[Mapping[str, Any]],
    arch: Sequence[Mapping[str, Any]],
    nodes: Sequence[Node],
    **workload: Any,
) -> Spec:
    """A Spec with one bit per value."""
    return Spec.from_dict(
        {
            "workload": {
                "iteration_space_shape": {v: f"0 <= {v} < {size}" for v, size in sizes.items()},
                "bits_per_value": {"All": 1},
                "einsums": list(einsums),
                **workload,
            },
            "arch": {"nodes": list(arch)},
            "mapping": {"nodes": list(nodes)},
        }
    )


MATMUL = einsum("mm", "Z[m,n]", "A[m,k]", "B[k,n]")
CUBE = {"m": 4, "n": 6, "k": 8}
ONES = [temporal("m", 1), temporal("n", 1), temporal("k", 1)]
FLAT = [memory("DRAM"), compute()]
TWO = [memory("DRAM"), memory("SRAM"), compute()]


def counts(
    figures: Roofline, component: str, of: str = "mm", *, all_units: bool = False
) -> dict[str, tuple[Any, Any]]:
    """Tensor → (reads, writes) of a component."""
    numbers = figures.totals if all_units else figures.accesses
    return {
        str(tensor): (numbers[e, c, tensor, "read"], numbers[e, c, tensor, "write"])
        for (e, c, tensor, action) in numbers
        if (e, c, action) == (of, component, "read")
    }


def test_one_memory() -> None:
    figures = roofline(spec(CUBE, [MATMUL], FLAT, [holder("DRAM", *"ABZ"), *ONES, leaf("mm")]))
    # 4 * 6 * 8 operations; each of the 24 results has nothing to read before its first update.
    assert counts(figures, "DRAM") == {"Z": (192 - 24, 192), "A": (192, 0), "B": (192, 0)}
    assert figures.accesses["mm", "mac", None, "compute"] == 192
    assert figures.per_einsum == {"mm": {"DRAM": 4 * 192 - 24, "mac": 192}}
    assert figures.latency == 4 * 192 - 24
    assert figures.bottleneck == {"mm": "DRAM"}
    with pytest.raises(FrozenInstanceError):
        figures.latency = 0  # type: ignore[misc]


def test_a_loop_above_refetches_even_what_does_not_depend_on_it() -> None:
    nodes = [holder("DRAM", *"ABZ"), temporal("k", 4), temporal("n", 3), holder("SRAM", *"ABZ")]
    figures = roofline(spec(CUBE, [MATMUL], TWO, [*nodes, *ONES, leaf("mm")]))
    # Four tiles: A is 4 x 4, B is 4 x 3, Z is 4 x 3 and read back in the second half of k.
    assert counts(figures, "DRAM") == {
        "Z": (4 * 12 - 2 * 12, 4 * 12),
        "A": (4 * 16, 0),
        "B": (4 * 12, 0),
    }
    assert counts(figures, "SRAM") == {
        "Z": (4 * 12 + 192 - 24, 4 * 12 - 2 * 12 + 192),
        "A": (192, 4 * 16),
        "B": (192, 4 * 12),
    }


def test_initial_writes_are_counted_where_they_are_not_skipped() -> None:
    arch = [memory("DRAM"), memory("SRAM", skip_initial_output_write=False), compute()]
    nodes = [holder("DRAM", *"ABZ"), temporal("k", 4), holder("SRAM", *"ABZ"), *ONES]
    figures = roofline(spec(CUBE, [MATMUL], arch, [*nodes, leaf("mm")]))
    assert counts(figures, "DRAM")["Z"] == (2 * 24, 2 * 24)
    assert counts(figures, "SRAM")["Z"] == (2 * 24 + 192, 2 * 24 + 192)
    arch = [memory("DRAM"), memory("SRAM"), compute(skip_initial_output_write=False)]
    figures = roofline(spec(CUBE, [MATMUL], arch, [*nodes, leaf("mm")]))
    assert counts(figures, "DRAM")["Z"] == (24, 2 * 24)
    assert counts(figures, "SRAM")["Z"] == (2 * 24 + 192, 24 + 192)


def test_imperfect_tiles() -> None:
    nodes = [holder("DRAM", *"ABZ"), temporal("m", 3), holder("SRAM", *"ABZ"), *ONES, leaf("mm")]
    figures = roofline(spec(CUBE, [MATMUL], TWO, nodes))
    # A and Z see 4/3 tiles of 3 rows. B does not depend on m and sees both tiles.
    assert counts(figures, "DRAM")["A"] == (Fraction(4, 3) * 3 * 8, 0)
    assert counts(figures, "DRAM")["B"] == (2 * 48, 0)
    # The operations of m are 4/3 * 3; from B they are read 2 * 3 times.
    assert counts(figures, "SRAM")["A"] == (192, 32)
    assert counts(figures, "SRAM")["B"] == (2 * 3 * 48, 96)
    assert figures.accesses["mm", "mac", None, "compute"] == 192
    # Only the outermost loop of a variable rounds up.
    sizes = {"m": 5, "n": 1, "k": 1}
    nodes = [holder("DRAM", *"ABZ"), temporal("m", 4), temporal("m", 3), temporal("m", 1)]
    figures = roofline(spec(sizes, [MATMUL], FLAT, [*nodes, leaf("mm")]))
    assert counts(figures, "DRAM") == {"Z": (0, 5), "A": (5, 0), "B": (2 * Fraction(4, 3) * 3, 0)}


def test_a_variable_in_a_sum_is_not_rounded_up() -> None:
    conv = einsum("c", "O[p]", "I[p+r]", "W[r]")
    nodes = [holder("DRAM", *"OIW"), temporal("p", 3), temporal("p", 1), temporal("r", 1)]
    figures = roofline(spec({"p": 7, "r": 2}, [conv], FLAT, [*nodes, leaf("c")]))
    assert counts(figures, "DRAM", "c")["W"] == (14, 0)


def test_tiles_are_bounding_boxes() -> None:
    conv = einsum("c", "O[p]", "I[3*p+r]", "W[r]")
    nodes = [
        holder("DRAM", *"OIW"),
        temporal("p", 2),
        holder("SRAM", *"OIW"),
        temporal("p", 1),
        temporal("r", 1),
        leaf("c"),
    ]
    figures = roofline(spec({"p": 6, "r": 2}, [conv], TWO, nodes))
    # A tile spans 3 * (2 - 1) + (2 - 1) + 1 elements, one of which is never used.
    assert counts(figures, "DRAM", "c")["I"] == (3 * 5, 0)
    # No element of an output in a sum is found to be new, other than once.
    shifted = einsum("c", "O[p+1]", "I[p]")
    nodes = [holder("DRAM", *"OI"), temporal("p", 1), leaf("c")]
    figures = roofline(spec({"p": 6}, [shifted], FLAT, nodes))
    assert counts(figures, "DRAM", "c")["O"] == (6 - 1, 6)


@pytest.mark.parametrize(
    ("may_reuse", "a", "b", "z"),
    [("All", 24, 192, 192), ("Nothing", 192, 192, 192), ("A", 24, 192, 192), ("Z", 192, 192, 192)],
)
def test_multicast(may_reuse: str, a: int, b: int, z: int) -> None:
    # Eight units along n: each element of A goes to all of them.
    sizes = {"m": 4, "n": 8, "k": 6}
    arch = [memory("DRAM"), compute(spatial=[{"name": "X", "fanout": 8, "may_reuse": may_reuse}])]
    nodes = [holder("DRAM", *"ABZ"), temporal("m", 1), temporal("k", 1), spatial("n", 1)]
    figures = roofline(spec(sizes, [MATMUL], arch, [*nodes, leaf("mm")]))
    assert counts(figures, "DRAM") == {"Z": (z - 32, z), "A": (a, 0), "B": (b, 0)}
    assert figures.accesses["mm", "mac", None, "compute"] == 24
    assert figures.totals["mm", "mac", None, "compute"] == 192


@pytest.mark.parametrize(("may_reuse", "writes", "reads"), [("All", 24, 0), ("~Outputs", 192, 0)])
def test_reduction(may_reuse: str, writes: int, reads: int) -> None:
    # Eight units along k, each with a register that holds a partial sum of every result.
    dims = [{"name": "X", "fanout": 8, "may_reuse": may_reuse}]
    arch = [memory("DRAM"), memory("RF", spatial=dims), compute()]
    nodes = [holder("DRAM", *"ABZ"), spatial("k", 1, "RF"), holder("RF", *"ABZ")]
    ones = [temporal("m", 1), temporal("n", 1)]
    figures = roofline(spec(CUBE, [MATMUL], arch, [*nodes, *ones, leaf("mm")]))
    assert counts(figures, "DRAM")["Z"] == (reads, writes)
    assert counts(figures, "RF") == {"Z": (24, 24), "A": (24, 4), "B": (24, 6)}
    assert counts(figures, "RF", all_units=True) == {
        "Z": (192, 192),
        "A": (192, 32),
        "B": (192, 48),
    }


def test_a_spatial_loop_acts_where_its_units_part() -> None:
    # In the mapping the units of mac part above SRAM, in the architecture below it.
    arch = [
        memory("DRAM"),
        memory("SRAM"),
        compute(spatial=[{"name": "X", "fanout": 4, "may_reuse": "Nothing"}]),
    ]
    nodes = [holder("DRAM", *"ABZ"), spatial("m", 1), holder("SRAM", *"ABZ")]
    ones = [temporal("n", 1), temporal("k", 1)]
    figures = roofline(spec(CUBE, [MATMUL], arch, [*nodes, *ones, leaf("mm")]))
    assert counts(figures, "DRAM") == {"Z": (0, 24), "A": (32, 0), "B": (48, 0)}
    assert counts(figures, "SRAM")["B"] == (192, 48)


@pytest.mark.parametrize(
    ("direction", "reads"),
    [
        ("up_and_down", 64 + 96),
        ("down", 64 + 96 - 48),
        ("up", 48),
        ({"A": "up", "Z | B": "up"}, 48),
    ],
)
def test_toll(direction: Any, reads: int) -> None:
    arch = [memory("DRAM"), toll("link", direction), memory("SRAM"), compute()]
    nodes = [
        holder("DRAM", *"ABZ"),
        holder("link", *"ABZ", kind="Toll"),
        temporal("k", 4),
        holder("SRAM", *"ABZ"),
        *ONES,
        leaf("mm"),
    ]
    figures = roofline(spec({"m": 4, "n": 6, "k": 8}, [MATMUL], arch, nodes))
    # Down: 2 * 16 of A, 2 * 24 of B and, in the second half of k, 24 of Z. Up: 2 * 24 of Z.
    down, up = 32 + 48 + 24, 48
    expected = {"up_and_down": down + up, "down": down}.get(str(direction), up)
    assert figures.per_einsum["mm"]["link"] == expected
    assert all(writes == 0 for _, writes in counts(figures, "link").values())
    assert counts(figures, "DRAM")["Z"] == (24, 48)


def test_ports_constants_and_instances() -> None:
    arch = [
        memory("DRAM", 2, 4, total_latency="max(a.n_calls / a.throughput for a in actions)"),
        memory("SRAM", 2, 4, total_latency="sum(a.n_calls / a.throughput for a in actions) + 7"),
        compute(actions_scale=3),
    ]
    first, second = einsum("e1", "T[m]", "A[m]", n_instances=5), einsum("e2", "Z[m]", "T[m]")
    nodes = [
        holder("DRAM", *"AZ"),
        holder("SRAM", "T"),
        split([temporal("m", 1), leaf("e1")], [temporal("m", 1), leaf("e2")]),
    ]
    figures = roofline(spec({"m": 8}, [first, second], arch, nodes, n_instances=2))
    assert figures.per_einsum == {
        "e1": {"DRAM": 10 * 4, "SRAM": 10 * (2 + 7), "mac": 10 * 24},
        "e2": {"DRAM": 2 * 2, "SRAM": 2 * (4 + 7), "mac": 2 * 24},
    }
    assert figures.latency == 240 + 48
    assert figures.accesses["e1", "mac", None, "compute"] == 24
    assert figures.totals["e1", "mac", None, "compute"] == 240
    # Of e2, nothing uses SRAM if T is elsewhere.
    nodes = [holder("DRAM", *"ATZ"), holder("SRAM", "A"), nodes[-1]]
    figures = roofline(spec({"m": 8}, [first, second], arch, nodes))
    assert "SRAM" in figures.per_einsum["e1"]
    assert "SRAM" not in figures.per_einsum["e2"]


def test_a_tile_above_a_split_is_charged_to_every_einsum() -> None:
    both = [einsum("e1", "T[m]", "A[m]"), einsum("e2", "Z[m]", "A[m]", "T[m]")]
    nodes = [
        holder("DRAM", *"AZ"),
        temporal("m", 2),
        holder("SRAM", *"AT"),
        split([temporal("m", 1), leaf("e1")], [temporal("m", 1), leaf("e2")]),
    ]
    figures = roofline(spec({"m": 8}, both, TWO, nodes))
    assert counts(figures, "DRAM", "e1")["A"] == counts(figures, "DRAM", "e2")["A"] == (8, 0)
    assert list(figures.per_einsum) == ["e1", "e2"]
    pipelined = [*nodes[:-1], {**nodes[-1], "type": "Pipeline"}]
    assert roofline(spec({"m": 8}, both, TWO, pipelined)) == figures


def test_copies_flow_outwards_only() -> None:
    copy = einsum("cp", "B[m]", "A[m]", is_copy_operation=True)
    nodes = [holder("DRAM", "A"), temporal("m", 2), holder("SRAM", "B"), temporal("m", 1)]
    figures = roofline(spec({"m": 8}, [copy], TWO, [*nodes, leaf("cp")]))
    assert counts(figures, "DRAM", "cp") == {"A": (0, 8)}
    assert counts(figures, "SRAM", "cp") == {"A": (8, 0)}
    assert figures.per_einsum["cp"] == {"DRAM": 8, "SRAM": 8, "mac": 0}


@pytest.mark.parametrize(
    ("name", "latency", "moved"),
    [
        # The second release ignores holders further in than all backing storages.
        ("copy_same_memory", {"1.0": 4, "main": 0}, {}),
        ("copy_to_sram", {"1.0": 4, "main": 4}, {("DRAM", "write"): 4}),
        ("copy_to_sram2", {"1.0": 4, "main": 4}, {("DRAM", "read"): 4, ("SRAM", "write"): 4}),
    ],
)
def test_copies_in_both_releases(
    name: str, latency: dict[str, int], moved: dict[tuple[str, str], int]
) -> None:
    """Figures of AccelForge 1.0.467 and of its main of 2026-08-12."""
    data = load(OURS.parent / "upstream" / f"{name}.yaml")
    assert {release: roofline(data, accounting=release).latency for release in latency} == latency
    figures = roofline(data, accounting="main")
    assert {(c, a): n for (_, c, _, a), n in figures.totals.items() if n} == moved
    assert {tensor for _, _, tensor, _ in figures.totals} == {"A", None}


def test_main_ignores_what_lies_further_in_than_all_backing_storages() -> None:
    """AccelForge's main: a node that names two tensors is two holders, in its order."""
    copy = einsum("cp", "B[m,n]", "A[m,n]", is_copy_operation=True)
    arch = [memory("DRAM"), memory("SRAM"), memory("REG"), compute()]
    found = {}
    for names in ("AB", "BA"):
        nodes = [holder("DRAM", "A"), holder("SRAM", "A"), temporal("m", 2), holder("REG", *names)]
        data = spec(
            {"m": 4, "n": 6}, [copy], arch, [*nodes, temporal("n", 1), temporal("m", 1), leaf("cp")]
        )
        totals = roofline(data, accounting="main").totals
        found[names] = {(c, a): n for (_, c, _, a), n in totals.items() if n}
    assert found["AB"] == {("DRAM", "write"): 24, ("SRAM", "read"): 24, ("SRAM", "write"): 24}
    assert found["BA"] == {
        ("DRAM", "write"): 24,
        ("SRAM", "read"): 48,
        ("REG", "write"): 24,
    }


def test_the_accounting_of_the_file() -> None:
    name = OURS.parent / "upstream" / "copy_same_memory.yaml"
    data = replace(load(name), schedule={"accounting": "main"})
    assert (roofline(data).latency, roofline(data, accounting="1.0").latency) == (0, 4)
    assert polylat.analyze(data).roofline == 0
    assert polylat.analyze(data, accounting="1.0").roofline == 4
    with pytest.raises(OptionError, match=r"accounting must be one of 1\.0, main, not '2\.0'"):
        roofline(data, accounting="2.0")


def test_a_loop_over_a_single_value_has_one_iteration() -> None:
    nodes = [holder("DRAM", *"ABZ"), temporal("m", 1), temporal("m", 1), temporal("k", 1)]
    figures = roofline(spec({"m": 1, "n": 1, "k": 3}, [MATMUL], FLAT, [*nodes, leaf("mm")]))
    assert counts(figures, "DRAM") == {"Z": (2, 3), "A": (3, 0), "B": (3, 0)}


WIDE = [memory("DRAM"), compute(spatial=[{"name": "X", "fanout": 2}])]
NEST = [
    memory("DRAM"),
    memory("SRAM", spatial=[{"name": "Y", "fanout": 8}]),
    compute(spatial=[{"name": "X", "fanout": 8}]),
]
HELD = holder("DRAM", *"ABZ")


@pytest.mark.parametrize(
    ("message", "arch", "nodes"),
    [
        ("tile_shape 1 for 'k'", FLAT, [HELD, temporal("m", 1), temporal("n", 1)]),
        ("uses? 4 units", WIDE, [HELD, spatial("m", 1), *ONES]),
        ("uses? 8/3 units", WIDE, [HELD, spatial("k", 3), *ONES]),
        ("spatial dimension", WIDE, [HELD, spatial("m", 2, dimension="Q"), *ONES]),
        ("nothing holds|does not hold|no holder", FLAT, [holder("DRAM", *"AB"), *ONES]),
        (
            "twice",
            TWO,
            [HELD, holder("SRAM", "A"), temporal("k", 4), holder("SRAM", "A"), *ONES],
        ),
        # Below, the order of the mapping is not that of the architecture, and that matters.
        (
            "is moved below",
            NEST,
            [HELD, spatial("m", 2), temporal("m", 1), holder("SRAM", *"ABZ"), *ONES],
        ),
        (
            "is moved below",
            NEST,
            [HELD, spatial("m", 1), spatial("k", 1, "SRAM", "Y"), holder("SRAM", *"ABZ"), *ONES],
        ),
        (
            "is moved below",
            NEST,
            [HELD, spatial("m", 2), holder("SRAM", *"ABZ"), *ONES],
        ),
    ],
)
def test_refused_mappings(
    message: str, arch: Sequence[Mapping[str, Any]], nodes: Sequence[Node]
) -> None:
    with pytest.raises(MappingError, match=message):
        roofline(spec(CUBE, [MATMUL], arch, [*nodes, leaf("mm")]))


def test_loops_may_change_places_where_that_changes_nothing() -> None:
    # As above, but every tile in SRAM is as large as the mapping says: B does not depend on m.
    nodes = [HELD, spatial("m", 2), holder("SRAM", *"ZAB"), *ONES]
    assert roofline(spec(CUBE, [MATMUL], NEST, [*nodes, leaf("mm")])).latency > 0


def test_a_toll_cannot_be_the_outermost_holder_of_an_exchanged_tensor() -> None:
    both = [einsum("e1", "T[m]", "A[m]"), einsum("e2", "Z[m]", "T[m]")]
    arch = [memory("DRAM"), toll("link", "down"), compute()]
    nodes = [
        holder("DRAM", *"AZ"),
        holder("link", "T", kind="Toll"),
        split([temporal("m", 1), leaf("e1")], [temporal("m", 1), leaf("e2")]),
    ]
    with pytest.raises((MappingError, SpecError), match="Toll"):
        roofline(spec({"m": 8}, both, arch, nodes))


def test_a_loop_above_an_einsum_without_its_variable_is_refused() -> None:
    both = [einsum("e1", "T[m]", "A[m,k]"), einsum("e2", "Z[m]", "T[m]")]
    nodes = [
        holder("DRAM", *"AZT"),
        temporal("k", 1),
        split([temporal("m", 1), leaf("e1")], [temporal("m", 1), leaf("e2")]),
    ]
    with pytest.raises(MappingError, match="'k'"):
        roofline(spec({"m": 8, "k": 2}, both, FLAT, nodes))


def test_a_rank_variable_has_the_same_bounds_everywhere() -> None:
    first = einsum("e1", "T[m]", "A[m]", iteration_space_shape=["0 <= m < 4"])
    second = einsum("e2", "Z[m]", "B[m]", iteration_space_shape=["0 <= m < 5"])
    nodes = [
        holder("DRAM", *"ATBZ"),
        split([temporal("m", 1), leaf("e1")], [temporal("m", 1), leaf("e2")]),
    ]
    with pytest.raises(UnsupportedError, match="'m' has 5 values in Einsum 'e2'"):
        roofline(spec({}, [first, second], FLAT, nodes))


# Bounds of rank variables


def constraint(constant: int, **coefficients: int) -> Affine:
    return Affine(tuple(coefficients.items()), constant)


def space(variables: str, *constraints: Affine) -> Einsum:
    return Einsum("e", tuple(variables), constraints, ())


X_TO_5 = (constraint(0, x=1), constraint(5, x=-1))


def test_bounds_of_a_box() -> None:
    box = space("xy", *X_TO_5, constraint(-3, y=2), constraint(13, y=-3))
    assert rank_bounds(box) == {"x": (0, 5), "y": (2, 4)}
    implied = space("xy", *box.constraints, constraint(20, x=-1, y=-1))
    assert rank_bounds(implied) == rank_bounds(box)


def test_bounds_that_other_variables_set() -> None:
    triangle = space("xy", *X_TO_5, constraint(0, y=1), constraint(-1, x=1, y=-1))
    assert rank_bounds(triangle) == {"x": (1, 5), "y": (0, 4)}
    # x = 3 * y needs more than intervals: x ends at 3.
    multiple = space(
        "xy", *X_TO_5, constraint(0, x=1, y=-3), constraint(0, x=-1, y=3), constraint(0, y=1)
    )
    assert rank_bounds(multiple) == {"x": (0, 3), "y": (0, 1)}


@pytest.mark.parametrize(
    ("message", "constraints"),
    [
        ("is empty", (constraint(-1),)),
        ("is empty", (constraint(0, x=1), constraint(-1, x=-1))),
        ("is empty", (*X_TO_5, constraint(0, y=1), constraint(-6, x=1, y=-1))),
        ("'y' of Einsum 'e' has no lower bound", X_TO_5),
        ("'y' of Einsum 'e' has no upper bound", (*X_TO_5, constraint(0, y=1))),
        (
            "'y' of Einsum 'e' has no upper bound",
            (*X_TO_5, constraint(0, y=1, x=1), constraint(0, y=1)),
        ),
    ],
)
def test_bounds_that_are_none(message: str, constraints: tuple[Affine, ...]) -> None:
    with pytest.raises(SpecError, match=message):
        rank_bounds(space("xy", *constraints))


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 5)), min_size=1, max_size=3),
    st.lists(
        st.tuples(st.lists(st.integers(-3, 3), min_size=3, max_size=3), st.integers(-6, 9)),
        max_size=3,
    ),
)
def test_bounds_by_enumeration(
    box: list[tuple[int, int]], coupled: list[tuple[list[int], int]]
) -> None:
    variables = "xyz"[: len(box)]
    constraints = []
    for v, (low, length) in zip(variables, box, strict=True):
        constraints += [constraint(-low, **{v: 1}), constraint(low + length, **{v: -1})]
    for coefficients, constant in coupled:
        terms = {v: c for v, c in zip(variables, coefficients, strict=False) if c}
        constraints.append(constraint(constant, **terms))
    points = [
        point
        for point in product(*(range(low, low + length + 1) for low, length in box))
        if all(c.at(dict(zip(variables, point, strict=True))) >= 0 for c in constraints)
    ]
    einsum = space(variables, *constraints)
    if points:
        axes = zip(variables, zip(*points, strict=True), strict=True)
        expected = {variable: (min(axis), max(axis)) for variable, axis in axes}
        assert rank_bounds(einsum) == expected
    else:
        with pytest.raises(SpecError, match="is empty"):
            rank_bounds(einsum)


@pytest.mark.parametrize(
    ("domain", "index", "latency", "dram", "sram"),
    [
        ("0 <= m < 4", "m", 8, {"A": (4, 0), "B": (0, 4)}, {"A": (4, 4), "B": (4, 4)}),
        ("3 <= m < 7", "m", 8, {"A": (4, 0), "B": (0, 4)}, {"A": (4, 4), "B": (4, 4)}),
        ("0 <= m < 4", "m + 3", 25, {"A": (10, 0), "B": (5, 10)}, {"A": (4, 10), "B": (13, 9)}),
        ("0 <= m < 4", "3 - m", 15, {"A": (6, 0), "B": (3, 6)}, {"A": (4, 6), "B": (9, 7)}),
        ("3 <= m < 7", "m - 3", 0, {"A": (-2, 0), "B": (-1, -2)}, {"A": (4, -2), "B": (1, 3)}),
    ],
)
def test_offsets_in_projections(
    domain: str,
    index: str,
    latency: int,
    dram: Mapping[str, tuple[int, int]],
    sram: Mapping[str, tuple[int, int]],
) -> None:
    """AccelForge's own figures: its tiles start at index 0, and may have a negative extent.

    A negative busy time is not the latency.
    """
    accesses = [
        {"name": "A", "projection": {"X": index}},
        {"name": "B", "projection": {"X": index}, "output": True},
    ]
    fast = [{"name": "compute", "throughput": inf}]
    arch = [memory("DRAM"), memory("SRAM", inf, inf), compute(actions=fast)]
    nodes = [holder("DRAM", *"AB"), temporal("m", 2), holder("SRAM", *"AB"), temporal("m", 1)]
    one = {"name": "e", "tensor_accesses": accesses}
    shape = {"m": domain}
    figures = roofline(spec({}, [one], arch, [*nodes, leaf("e")], iteration_space_shape=shape))
    assert figures.latency == latency
    assert figures.per_einsum["e"] == {"DRAM": sum(map(sum, dram.values())), "SRAM": 0, "mac": 0}
    assert (counts(figures, "DRAM", "e"), counts(figures, "SRAM", "e")) == (dram, sram)
