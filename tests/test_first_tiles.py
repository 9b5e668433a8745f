"""Loops with `initial_tile_shape`: their first iteration has a tile of another size."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polylat
from builders import ROOT, compute, einsum, leaf, loop, memory, nested, spec, storage
from differences import compare
from disagreeing import draw_first_tiles
from polylat import MappingError, Report, Spec, SpecError, UnsupportedError
from test_agreement import agree

Data = dict[str, Any]
DEFINITION = ROOT / "tests" / "data" / "definition"
SMALL = (200, 1200)
"""Bounds on the number of operations of random cascades."""


def proven(data: Data | Spec, **options: Any) -> Report:
    """The report, whose certificate holds."""
    report = polylat.analyze(data if isinstance(data, Spec) else Spec.from_dict(data), **options)
    report.verify()
    return report


def test_seven_values_in_three_tiles() -> None:
    """7 of a, and 4 of b for each of three tiles; AccelForge prices four tiles."""
    given_spec = polylat.load(DEFINITION / "initial_tile_shape.yaml")
    report = proven(given_spec)
    assert (report.latency, report.tiles, report.roofline) == (7 + 3 * 4, 3, 7 + 4 * 4)
    assert report.accesses["e", "DRAM", "b", "read"] == 12
    assert "3 tiles of 2, the first of 3" in str(polylat.tree(given_spec))


def test_the_file_that_is_written_has_the_field(tmp_path: Path) -> None:
    given_spec = polylat.load(DEFINITION / "initial_tile_shape.yaml")
    file = tmp_path / "written.yaml"
    file.write_text(given_spec.to_yaml(), encoding="utf-8")
    assert "initial_tile_shape: 3" in file.read_text(encoding="utf-8")
    assert polylat.load(file) == given_spec


@pytest.mark.parametrize(("granularity", "latency"), [("tile", 234), ("flow", 217)])
def test_first_rows(granularity: str, latency: int) -> None:
    """The first iteration computes three rows: R - 1 more than the others.

    A row of the first layer takes 4 * 9 = 36, so that rows are complete at 108, 144, 180 and 216; a
    row of the second one takes 18. By tiles, its last row begins at 216. By elements, only its last
    operation waits for the last element of the first layer, at 216. Tiles of x have 5 rows of 6
    values, and then 3.
    """
    report = proven(polylat.load(DEFINITION / "first_rows.yaml"), granularity=granularity)
    assert report.latency == latency
    assert report.latency == {"tile": 216 + 18, "flow": 216 + 1}[granularity]
    assert report.accesses["conv1", "DRAM", "x", "read"] == 5 * 6 + 3 * 3 * 6
    assert not report.padding


def two_layers(outer: Data | None, inner: Data, below: Data, size: int = 11) -> Data:
    """An element-wise Einsum in tiles, and windows of 3 over what it computes."""
    loops = [one for one in (outer, inner) if one is not None]
    data = spec(
        {"m": size, "q": size - 2, "s": 3},
        [einsum("e0", ("y", "m"), ("x", "m")), einsum("e1", ("z", "q"), ("y", "q"), ("w", "s"))],
        [
            memory("DRAM", "1/2", 1, size="inf"),
            memory("SRAM", 2, 3, size="inf"),
            compute("mac"),
            compute("alu", 2),
        ],
        [
            storage("DRAM", "x", "y", "w", "z"),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(*loops, storage("SRAM", "x", "y"), below, leaf("e0")),
                    nested(storage("SRAM", "w"), loop("q"), loop("s"), leaf("e1", "alu")),
                ],
            },
        ],
    )
    projection = data["workload"]["einsums"][1]["tensor_accesses"][0]
    projection["projection"] = {"M": "q + s"}
    data["workload"]["einsums"][0]["tensor_accesses"][1]["projection"] = {"M": "m"}
    return data


def first(variable: str, shape: int, initial: int) -> Data:
    """A Temporal loop whose first tile has another size."""
    return {**loop(variable, shape), "initial_tile_shape": initial}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("granularity", "staged"),
    [("tile", "all"), ("flow", ()), ("full", "all")],
    ids=["tile", "flow", "full"],
)
@pytest.mark.parametrize(
    ("outer", "inner", "tiles"),
    [
        (None, (2, 3), [3, 2, 2, 2, 2]),
        (None, (3, 1), [1, 3, 3, 3, 1]),
        (None, (4, 11), [11]),
        (None, (9, 4), [4, 7]),
        ((5, 5), (2, 3), [3, 2, 3, 2, 1]),
        ((4, 7), (3, 1), [1, 3, 3, 1, 3]),
        ((4, 2), (3, 4), [2, 4, 4, 1]),
        ((3, 8), (2, 5), [5, 2, 1, 3]),
    ],
)
def test_tiles(
    outer: tuple[int, int] | None,
    inner: tuple[int, int],
    tiles: list[int],
    granularity: str,
    staged: Any,
) -> None:
    """Within each tile of an outer loop of the variable, the first tile has that size.

    The tiles of 11 values, from the outermost loop in; each is read in DRAM.
    """
    data = two_layers(outer and first("m", *outer), first("m", *inner), loop("m"))
    agree(data, {"granularity": granularity, "staged": staged})
    report = proven(data, granularity=granularity, staged=staged)
    (sram,) = (memory for memory in report.occupancy if memory.component == "SRAM")
    held = sorted((t for t in sram.tiles() if t.tensor == "x"), key=lambda tile: tile.start)
    assert [tile.bits for tile in held] == tiles


def with_text(path: Path, old: str, new: str) -> Spec:
    """The example with seven values, with another text in place of one."""
    text = (DEFINITION / "initial_tile_shape.yaml").read_text(encoding="utf-8")
    assert old in text
    file = path / "changed.yaml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return polylat.load(file)


def test_long_loops_are_extrapolated(tmp_path: Path) -> None:
    """The first of half a million tiles is sampled by itself."""
    report = proven(with_text(tmp_path, "M: 7", f"M: {10**6 + 1}"))
    assert report.engine == "periodic"
    assert report.latency == 10**6 + 1 + 4 * (1 + (10**6 - 2) // 2)


def test_formulas() -> None:
    """Trip counts with a first tile: 1 + ceiling((M - 3) / 2)."""
    formula = polylat.symbolic(polylat.load(DEFINITION / "initial_tile_shape.yaml"), ["M"])
    given_spec = polylat.load(DEFINITION / "initial_tile_shape.yaml")
    for size in (3, 4, 7, 10, 1001):
        assert formula(M=size) == size + 4 * (1 + -(-(size - 3) // 2))
    assert polylat.analyze(given_spec).latency == formula(M=7)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("0", "the initial tile shape must be a whole number above zero, not 0"),
        ("8", "a Temporal loop over 'm' has a first tile of 8, larger than the 7 that it tiles"),
        ("2.5", "the initial tile shape must be a whole number above zero, not 2.5"),
        ("[2]", "must be a number or an expression, not a list"),
    ],
)
def test_what_is_no_first_tile(value: str, what: str, tmp_path: Path) -> None:
    with pytest.raises((SpecError, MappingError), match=re.escape(what)):
        polylat.analyze(with_text(tmp_path, "tile_shape: 3", f"tile_shape: {value}"))


def test_units_have_equal_tiles() -> None:
    """A Spatial loop with a first tile of another size is an error; the same size is none."""
    data = two_layers(None, first("m", 2, 3), loop("m"))
    branch = data["mapping"]["nodes"][1]["nodes"][0]["nodes"]
    data["arch"]["nodes"][2]["spatial"] = [{"name": "X", "fanout": 4}]
    spatial = {**loop("m"), "type": "Spatial", "component": "mac", "name": "X"}
    branch[2] = {**spatial, "initial_tile_shape": 1}
    assert polylat.analyze(Spec.from_dict(data)).latency
    branch[2] = {**spatial, "initial_tile_shape": 2}
    with pytest.raises(UnsupportedError, match="its units would have tiles of different sizes"):
        polylat.analyze(Spec.from_dict(data))


@pytest.mark.slow
@settings(max_examples=max(settings().max_examples // 10, 4))
@given(st.integers(0, 2**63))
def test_extrapolated_is_visited(seed: int) -> None:
    """What is extrapolated is what a full visit finds, where first tiles shift all others."""
    assert compare(*draw_first_tiles(seed, *SMALL)).differences == []


@pytest.mark.long
def test_first_tiles_are_extrapolated() -> None:
    """The property above says something."""
    found: Counter[str] = Counter()
    for seed in range(14):
        case = draw_first_tiles(seed, *SMALL)
        one = compare(*case, checks=())
        has = "initial_tile_shape" in str(case.spec)
        found["first"] += has and not one.illegal
        found["extrapolated"] += has and one.engine == "periodic" and one.exact and not one.coarse
    assert found["first"] >= 8
    assert found["extrapolated"] >= 3
