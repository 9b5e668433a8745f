"""Padding between layers: elements that are read although no Einsum computes them."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
import polylat
from builders import ROOT, compute, einsum, leaf, loop, memory, nested, spec, storage
from differences import compare
from disagreeing import draw_padded
from polylat import MappingError, Padding, Report, Spec
from test_agreement import agree

Data = dict[str, Any]
DEFINITION = ROOT / "tests" / "data" / "definition"
PADS = ((0, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 2, 1), (1, 1, 2), (2, 1, 2), (2, 2, 2))
"""(padding, stride, dilation)"""
SMALL = (60, 400)
"""Bounds on the number of operations of random cascades."""


def proven(data: Data | Spec, **options: Any) -> Report:
    """The report, whose certificate holds."""
    report = polylat.analyze(data if isinstance(data, Spec) else Spec.from_dict(data), **options)
    report.verify()
    return report


def test_a_row_on_each_side() -> None:
    """18 operations read Y = q + s - 1 in SRAM; AccelForge's figure is 1,008, DRAM's busy time."""
    report = proven(polylat.load(DEFINITION / "padding_between_layers.yaml"))
    assert report.latency == report.roofline == 1008
    assert report.accesses["b", "SRAM", "y", "read"] == 18 * 8
    assert report.padding == (Padding("b", "y", 2, ("Y=-1", "Y=6")),)
    sentence = (
        "b reads 2 elements of y that no Einsum computes (padding, at Y=-1, Y=6):"
        " they count and wait for nothing."
    )
    assert str(report.padding[0]) == sentence
    assert sentence in " ".join(str(report).split())
    assert sentence in report.to_html()
    assert report.to_dict()["padding"] == [
        {
            "einsum": "b",
            "tensor": "y",
            "elements": 2,
            "coordinates": ["Y=-1", "Y=6"],
            "initial": False,
        }
    ]


@pytest.mark.parametrize(("granularity", "latency"), [("tile", "441/2"), ("flow", "389/2")])
def test_same_convolutions(granularity: str, latency: str) -> None:
    """Two 3x3 convolutions of 4 x 4 pixels, fused by rows.

    The filter arrives at 9/2; a row of 4 pixels takes 36 on each unit. By tiles: row 0 of the
    second layer waits for rows 0 and 1 of the first, its last row for no further one: 9/2 + 6 * 36.
    By elements: pixel (0, 3) ends at 82, as y[1, 3] is there at 72 and column 4 is padding;
    pixel (1, 2) waits for y[2, 3], at 108, and ends at 109; the 9 pixels behind it take 9 each.
    """
    cnn = polylat.load(DEFINITION / "same_convolutions.yaml")
    report = proven(cnn, granularity=granularity)
    assert (
        report.latency
        == Fraction(latency)
        == Fraction(9, 2) + {"tile": 216, "flow": 190}[granularity]
    )
    assert report.padding == (Padding("conv2", "y", 36 - 16, ("Y=-1", "Y=4", "X=-1", "X=4")),)


def convolutions(
    pad: int, stride: int, gap: int, *, tile: int = 1, length: int = 9, kind: str = "Pipeline"
) -> Data:
    """A layer that computes `length` elements, and one that reads windows of 3 of them."""
    outputs = (length + 2 * pad - 2 * gap - 1) // stride + 1
    data = spec(
        {"p": length, "q": outputs, "s": 3},
        [einsum("e0", ("y", "p"), ("x", "p")), einsum("e1", ("z", "q"), ("y", "q"), ("w", "s"))],
        [
            memory("DRAM", 1, "1/2", size="inf"),
            memory("SRAM", 3, 2, size="inf"),
            compute("mac", "1/2"),
            compute("alu"),
        ],
        [
            storage("DRAM", "x", "w", "z"),
            storage("SRAM", "y"),
            {
                "type": kind,
                "nodes": [
                    nested(loop("p", tile), loop("p"), leaf("e0")),
                    nested(storage("SRAM", "w"), loop("q"), loop("s"), leaf("e1", "alu")),
                ],
            },
        ],
    )
    data["workload"]["einsums"][1]["tensor_accesses"][0]["projection"] = {
        "Y": f"{stride}*q + {gap}*s - {pad}"
    }
    data["workload"]["einsums"][0]["tensor_accesses"][1]["projection"] = {"Y": "p"}
    return data


@pytest.mark.slow
@pytest.mark.parametrize("granularity", ["tile", "flow"])
@pytest.mark.parametrize(("pad", "stride", "gap"), PADS)
def test_windows(pad: int, stride: int, gap: int, granularity: str) -> None:
    """All paddings, strides and dilations, one element at a time and in tiles."""
    for tile, staged in ((1, ()), (4, "all")):
        data = convolutions(pad, stride, gap, tile=tile)
        agree(data, {"granularity": granularity, "staged": staged})
        proven(data, granularity=granularity, staged=staged)
    read = {
        stride * q + gap * s - pad
        for q in range((9 + 2 * pad - 2 * gap - 1) // stride + 1)
        for s in range(3)
    }
    outside = read - set(range(9))
    found = proven(data).padding
    assert sum(padding.elements for padding in found) == len(outside)


def test_long_windows_are_extrapolated() -> None:
    """At both ends of a million pixels, padding; in between, each window waits for its last one."""
    data = convolutions(2, 1, 1, length=10**6)
    report = proven(data, granularity="flow", order="skew")
    assert report.engine == "periodic"
    assert report.exact
    few, more = (
        proven(convolutions(2, 1, 1, length=n), granularity="flow", order="skew").latency
        for n in (1000, 2000)
    )
    assert report.latency == more + 998 * (more - few)
    assert report.padding[0].coordinates == ("Y=-2..-1", f"Y={10**6}..{10**6 + 1}")


def test_what_is_computed_must_be_there() -> None:
    """Y = 2 is computed, in another tile of SRAM than the one in which it is read."""
    data = convolutions(1, 1, 1)
    nodes = data["mapping"]["nodes"]
    shared = {"type": "Temporal", "rank_variable": {"e0": "p", "e1": "q"}, "tile_shape": 3}
    data["mapping"]["nodes"] = [nodes[0], shared, *nodes[1:]]
    with pytest.raises(oracle.Illegal):
        oracle.analyze(data, granularity="flow")
    with pytest.raises(MappingError, match=r"not Y=3 \(tile p: 0\)|not Y=3 \(tile q: 0\)"):
        polylat.analyze(Spec.from_dict(data), granularity="flow")


@pytest.mark.parametrize("offset", [-9, -4, 5, 9, 30])
def test_everything_or_almost_everything_is_padding(offset: int) -> None:
    """Readings without a source wait for nothing, in every order."""
    data = convolutions(0, 1, 1)
    access = data["workload"]["einsums"][1]["tensor_accesses"][0]
    access["projection"] = {"Y": f"q + s + {offset}" if offset > 0 else f"q + s - {-offset}"}
    for granularity in ("tile", "flow"):
        agree(data, {"granularity": granularity})
        report = proven(data, granularity=granularity)
        assert report.padding[0].elements == min(9, abs(offset))


def test_a_constant_coordinate() -> None:
    """An Einsum reads row 1, and row 0 is what the other one computes: all of it is padding."""
    data = convolutions(0, 1, 1)
    one, two = data["workload"]["einsums"]
    one["tensor_accesses"][1]["projection"] = {"R": "0", "Y": "p"}
    two["tensor_accesses"][0]["projection"] = {"R": "1", "Y": "q + s"}
    agree(data, {"granularity": "flow"})
    assert proven(data).padding == (Padding("e1", "y", 9, ("R=1",)),)


def test_padding_that_another_reader_fetched() -> None:
    """e1 fetches elements -1 to 3 of y into SRAM; e2 waits for these, and not for -3 and -2."""
    data = spec(
        {"p": 6, "q": 5},
        [
            einsum("e0", ("y", "p"), ("x", "p")),
            einsum("e1", ("u", "q"), ("y", "q")),
            einsum("e2", ("v", "q"), ("y", "q")),
        ],
        [
            memory("DRAM", "1/4", 1, size="inf"),
            memory("SRAM", size="inf"),
            *map(compute, ("m0", "m1", "m2")),
        ],
        [
            storage("DRAM", "x", "y", "u", "v"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(loop("p"), leaf("e0", "m0")),
                    nested(
                        storage("SRAM", "y"),
                        {
                            "type": "Pipeline",
                            "nodes": [nested(loop("q"), leaf(f"e{k}", f"m{k}")) for k in (1, 2)],
                        },
                    ),
                ],
            },
        ],
    )
    for number, by in ((1, 1), (2, 3)):
        access = data["workload"]["einsums"][number]["tensor_accesses"][0]
        access["projection"] = {"Y": f"q - {by}"}
    data["workload"]["einsums"][0]["tensor_accesses"][1]["projection"] = {"Y": "p"}
    agree(data, {"granularity": "flow"})
    report = proven(data, granularity="flow")
    assert [str(p).split(":")[0] for p in report.padding] == [
        "e1 reads 1 element of y that no Einsum computes (padding, at Y=-1)",
        "e2 reads 3 elements of y that no Einsum computes (padding, at Y=-3..-1)",
    ]


@settings(max_examples=max(settings().max_examples // 8, 5))
@given(st.integers(0, 2**63))
def test_extrapolated_is_visited(seed: int) -> None:
    """What is extrapolated is what a full visit finds, where readings shift the boundaries."""
    assert compare(*draw_padded(seed, *SMALL)).differences == []


@pytest.mark.slow
def test_padding_is_extrapolated() -> None:
    """The property above says something."""
    found: Counter[str] = Counter()
    for seed in range(12):
        case = draw_padded(seed, *SMALL)
        one = compare(*case, checks=())
        found["extrapolated"] += one.engine == "periodic" and one.exact and not one.coarse
        found["padding"] += bool(
            not one.illegal and polylat.analyze(Spec.from_dict(case.spec), **case.options).padding
        )
    assert found["extrapolated"] >= 4
    assert found["padding"] >= 9
