"""Schedules that are right, each of which an earlier proof refused."""

from __future__ import annotations

from typing import Any

import pytest

import polylat
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage
from polylat import Spec
from reports import explicit_up_to

Data = dict[str, Any]


def tied_waits(size: int, tile: int) -> Data:
    """The fill of a tile takes as long as the computation on it: two waits end at once."""
    branches = [nested(loop("m"), leaf(f"e{k}", f"c{k}")) for k in range(2)]
    return spec(
        {"m": size},
        [einsum("e0", ("b", "m"), ("a", "m")), einsum("e1", ("c", "m"), ("b", "m"))],
        [
            memory("DRAM", 1, "inf", size="inf"),
            memory("SRAM", "inf", "inf", size="inf"),
            compute("c0"),
            compute("c1", "1/7"),
        ],
        [
            storage("DRAM", "a"),
            loop("m", tile),
            storage("SRAM", "a", "b", "c"),
            {"type": "Sequential", "nodes": branches},
        ],
    )


@pytest.mark.parametrize("explicit", [0, 100_000])
@pytest.mark.parametrize("order", ["program", "skew", "oldest"])
def test_a_tie_may_be_named_by_either_of_its_waits(explicit: int, order: str) -> None:
    """Six tiles of 20: a fill of 20, then computations of 1 and of 7 per element."""
    data = tied_waits(120, 20)
    with explicit_up_to(explicit):
        report = polylat.analyze(Spec.from_dict(data), order=order)
    # Of each tile e0 takes 20 and e1 takes 140; e0 waits for the first fill (20) only.
    assert report.latency == 20 + 6 * (20 + 140)
    assert report.verify().latency == report.latency


def reduction_over_units() -> Data:
    """Partial sums of two units that the hardware adds up: three k over two units."""
    unit = memory("RF", size="inf", spatial=[{"name": "X", "fanout": 2}])
    spatial = {"type": "Spatial", "rank_variable": "k", "tile_shape": 2, "component": "RF"}
    return spec(
        {"m": 2, "k": 3},
        [einsum("e", ("y", "m"), ("a", "m k"))],
        [memory("DRAM", size="inf"), unit, compute("mac")],
        [
            storage("DRAM", "a", "y"),
            spatial | {"name": "X"},
            storage("RF", "y"),
            loop("m"),
            loop("k"),
            leaf("e"),
        ],
    )


@pytest.mark.parametrize("background", [(), "y"])
@pytest.mark.parametrize("granularity", ["tile", "flow", "full"])
def test_write_backs_of_the_busiest_unit(granularity: str, background: Any) -> None:
    """A unit with fewer iterations is done earlier; the busiest one writes back."""
    report = polylat.analyze(
        Spec.from_dict(reduction_over_units()), granularity=granularity, background=background
    )
    assert report.latency == 8
    report.verify()


def transposed(points: int) -> Data:
    """A transposed convolution whose filter loop is outside: y is complete in its own order."""
    data = spec(
        {"p": points, "r": 3, "o": 2 * points + 1},
        [
            einsum("up", ("y", "o"), ("x", "p"), ("f", "r")),
            einsum("act", ("z", "o"), ("y", "o")),
        ],
        [
            memory("DRAM", "1/2", "1/2", size="inf"),
            memory("SRAM", 1, "1/2", size="inf"),
            {"type": "Fork", "nodes": [compute("vec", "inf")]},
            compute("mac", "1/2"),
        ],
        [
            storage("DRAM", "x", "f", "z"),
            storage("SRAM", "y"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(loop("r"), loop("p"), leaf("up")),
                    nested(loop("o"), leaf("act", "vec")),
                ],
            },
        ],
    )
    accesses = data["workload"]["einsums"][0]["tensor_accesses"]
    for access, projection in zip(
        accesses, ({"P": "p"}, {"R": "r"}, {"O": "2*p + r"}), strict=True
    ):
        access["projection"] = projection
    for access in data["workload"]["einsums"][1]["tensor_accesses"]:
        access["projection"] = {"O": "o"}
    return data


@pytest.mark.parametrize("order", ["program", "skew", "oldest"])
def test_elements_that_are_complete_in_an_order_of_their_own(order: str) -> None:
    with explicit_up_to(100_000):
        report = polylat.analyze(Spec.from_dict(transposed(1041)), order=order, slots=1)
    assert report.latency == 16658
    report.verify()
