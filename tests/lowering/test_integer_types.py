"""The integers of arrays: that they fit 64 bits, or are Python integers."""

from __future__ import annotations

import ast
from itertools import product
from math import prod

import islpy as isl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import ROOT
from fixed_types import functions_with_fixed_types
from polylat import TooLargeError
from polylat.lowering import points
from polylat.lowering.integer_types import count_type, fitting_type, position_type, tile_lengths
from polylat.lowering.paths import Leaf, PathLoop
from polylat.lowering.points import PiecewiseAffine, integer_points, number_of_points
from polylat.spec.workload import Einsum

# Where arrays have a fixed type

FITTING = {
    "accesses/elements.py": {
        "GroupCount.footprint": "zeros and ones",
        "GroupCount._look_up": "positions in a table",
        "GroupCount._row_weights": "hops, at most the number of units",
        "GroupCount._tally": "positions in a table, and numbers of its rows, times hops",
        "_first_existing": "zeros and ones, positions in a table",
        "_last_existing": "zeros and ones, positions in a table",
    },
    "corners.py": {
        "Corners.affine": "object where the values are",
    },
    "dependences/exchange.py": {
        "Exchange.last_on_boxes": "loop indices, and their distances",
        "Exchange.last_within": "loop indices",
        "Exchange.write_back_pairs": "loop indices",
        "_columns": "loop indices, distances and numbers of periods",
        "_row_numbers": "positions in a table",
    },
    "dependences/extend.py": {"through_skipped": "numbers of periods"},
    "dependences/read_back.py": {
        "next_readers": "numbers of tile iterations",
        "_later": "loop indices",
    },
    "dependences/edges.py": {"joined_edges": "numbers of blocks, reasons, periods"},
    "dependences/skew.py": {"_distance_of_boxes": "loop indices"},
    "dependences/tables.py": {
        "_tile_keys": "keys of tile iterations",
        "_row_keys": "keys of tile iterations",
        "find_rows": "positions in a table",
    },
    "dependences/transfer_order.py": {"_after_previous_sum": "loop indices"},
    "durations.py": {
        "tasks_by_block_and_port": "numbers of tile iterations",
        "access_durations": "times: object where `AccessCosts.exact`",
    },
    "enumeration.py": {"iteration_table": "places"},
    "integer_types.py": {
        "fitting_type": "the choice",
        "tile_lengths": "a default; callers pass `position_type`",
    },
    "iterations.py": {
        "IterationTable.digits": "loop indices",
        "IterationTable.trips": "trip counts, whose product fits 64 bits",
        "IterationTable.multiplicity": "at most the number of tile iterations",
        "IterationTable.keys_of": "keys of sampled tile iterations",
        "IterationTable.turns": "keys of tile iterations",
        "IterationTable.last_index": "loop indices",
        "IterationTable.earlier": "numbers of tile iterations",
    },
    "mixed_radix.py": {
        "predecessor": "loop indices",
        "successor": "loop indices, and numbers of tile iterations",
        "linear_index": "numbers of tile iterations, and of turns of a loop",
    },
    "logical_dates.py": {
        "_columns": "keys of tile iterations plus shifts, each below 2^62",
        "date_columns": "numbers of branches",
    },
    "numbering.py": {
        "Numbering.earlier": "numbers of tile iterations",
        "Numbering.number_type": "the choice",
        "Numbering.shared": "numbers of loops",
        "Numbering._rows": "loop indices, places, periods",
    },
    "ports.py": {"AccessCosts.steps": "times: object where `AccessCosts.exact`"},
    "points.py": {
        "integer_points": "coordinates below 2^62",
        "last_intervals": "lengths of intervals between coordinates below 2^62",
        "PiecewiseAffine.at": "values below 2^62",
        "PiecewiseAffine.on_boxes": "values below 2^62, and their differences",
        "_Reach.exact": "the choice",
        "_Affine.at": "object where `_Reach` says so",
    },
    "sampling.py": {
        "LoopSample.period_lengths": "at most the trip count",
        "LoopSample.skipped_periods": "at most the trip count",
    },
    "tabulated.py": {
        "TabulatedFunction.__init__": "loop indices",
        "TabulatedFunction._numbered": "positions in a box of at most 2^22 values",
        "TabulatedFunction.at": "loop indices",
        "TabulatedFunction.on_boxes": "loop indices, numbers of periods",
    },
    "task_graph.py": {
        "_in_few_bits": "the choice",
        "_joined": "nothing",
        "_multiplicity": "ones",
        "build_graph": "numbers of blocks and ports; times: object where `AccessCosts.exact`",
        "foreground_latency": "times: object where `AccessCosts.exact`",
    },
}
"""Functions of `polylat.lowering` that make arrays of 64-bit integers, and why their numbers fit.

There are fewer than 2^62 tile iterations (`iteration_table`), so that keys and loop indices fit.
Numbers of values have the type that `count_type` chooses.
"""


def test_every_fixed_type_has_a_reason() -> None:
    folder = ROOT / "polylat" / "lowering"
    found = {
        (str(path.relative_to(folder)), name)
        for path in folder.rglob("*.py")
        for name in functions_with_fixed_types(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == {(path, name) for path, names in FITTING.items() for name in names}


def test_the_roofline_has_python_integers() -> None:
    for path in (ROOT / "polylat" / "analysis").glob("roofline*.py"):
        text = path.read_text(encoding="utf-8")
        assert "numpy" not in text
        assert "float" not in text


# Choices


@pytest.mark.parametrize(("most", "kind"), [(2**62 - 1, np.int64), (2**62, object)])
def test_fitting_type(most: int, kind: type) -> None:
    assert fitting_type(most) is kind


def leaf_over(ranges: dict[str, tuple[int, int]], loops: list[PathLoop]) -> Leaf:
    return Leaf(0, Einsum("e", tuple(ranges), (), ()), "mac", tuple(loops), {}, (), ranges, (), 0)


def test_types_of_a_leaf() -> None:
    loops = [PathLoop(0, "m", 2**40), PathLoop(1, "n", 1)]
    leaf = leaf_over({"m": (5, 4 + 2**31), "n": (-2, 2**31 - 3)}, loops)
    assert (leaf.volume, count_type(leaf)) == (2**62, object)
    assert position_type(leaf, (1, 2**31)) is np.int64
    # Another leaf below the loop may have more iterations.
    assert position_type(leaf, (2**22, 2**31)) is object


# Lengths of tiles


@st.composite
def tilings(draw: st.DrawFn) -> tuple[int, list[int], list[str]]:
    """An extent, nested tile shapes, and what is done with the loops."""
    extent = draw(st.integers(1, 40))
    tiles: list[int] = []
    for _ in range(draw(st.integers(1, 4))):
        tiles.append(draw(st.integers(1, min([extent, *tiles]))))
    kinds = draw(st.lists(st.sampled_from(["given", "inside"]), min_size=4, max_size=4))
    return extent, tiles, kinds[: len(tiles)]


@given(tilings(), st.sampled_from([1, 2**70]))
def test_tile_lengths(case: tuple[int, list[int], list[str]], unit: int) -> None:
    """Against all values one by one, each of which stands for `unit` values."""
    extent, tiles, kinds = case
    loops = [PathLoop(p, "m", tile * unit) for p, tile in enumerate(tiles)]
    leaf = leaf_over({"m": (3, 2 + extent * unit)}, loops)
    trips = [-(-outer // tile) for outer, tile in zip([extent, *tiles], tiles, strict=False)]
    given_loops = [p for p, kind in enumerate(kinds) if kind == "given"]
    shape = tuple(trips[p] + 1 for p in given_loops)
    expected = np.zeros(shape, dtype=object)
    for value in range(extent):
        rest, digits = value, []
        for tile in tiles:
            digits.append(rest // tile)
            rest %= tile
        expected[tuple(digits[p] for p in given_loops)] += unit
    axes = np.indices(shape)
    inside = {p for p, kind in enumerate(kinds) if kind == "inside"}
    digits_of = dict(zip(given_loops, axes, strict=True))
    found = tile_lengths(leaf, "m", digits_of, inside, kind=position_type(leaf, trips))
    assert np.array_equal(np.asarray(found, dtype=object), expected)
    one = tuple(n // 2 for n in shape)
    alone = tile_lengths(leaf, "m", dict(zip(given_loops, one, strict=True)), inside)
    assert alone == expected[one]


# Points of relations


def test_large_coefficients() -> None:
    """Coordinates fit 64 bits, the products that they are computed from do not."""
    low, factor = 2**40, 2**40
    text = f"{{ [i, j] : {low} <= i < {low + 3} and 0 <= j - {factor}*i + {factor * low} <= 1 }}"
    rows = [[low + i, factor * i + j] for i in range(3) for j in range(2)]
    assert integer_points(isl.Set(text)).tolist() == rows
    value = isl.PwMultiAff(f"{{ [i] -> [floor(({factor}*i - {factor * low}) / 2)] : i >= 0 }}")
    values, defined = PiecewiseAffine(value).at(np.array([[low + 5], [-1]]))
    assert (values.tolist(), defined.tolist()) == ([[factor // 2 * 5], [0]], [True, False])


@pytest.mark.parametrize("text", [f"[{2**62}]", f"[{-(2**62)}]", f"[{2**100}]"])
def test_large_coordinates(text: str) -> None:
    with pytest.raises(TooLargeError, match=r"indices of 2\^62 or more"):
        integer_points(isl.Set(f"{{ {text} }}"))


def test_the_number_of_points_is_not_wrapped() -> None:
    """Eight rows of 2^61 points each are 2^64 points."""
    with pytest.raises(TooLargeError, match="more than"):
        integer_points(isl.Set(f"{{ [i, j] : 0 <= i < 8 and 0 <= j < {2**61} }}"))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f"[i, j] : 0 <= i < 8 and 0 <= j < {2**61}", 2**64),
        (f"[i, j] : 0 <= i < 3 and i <= j < {10**9}", 3 * 10**9 - 3),
        (f"[i] : {2**60} <= i < {2**60 + 2}", 2),
        ("[i, j] : 0 <= i < 5 and 2i <= j <= i + 2", 6),
        ("[]", 1),
        ("[i] : i < 0 < i", 0),
    ],
)
def test_points_are_counted_without_a_table(text: str, count: int) -> None:
    assert number_of_points(isl.Set(f"{{ {text} }}")) == count


BOXES = st.lists(
    st.tuples(st.integers(-5, 5), st.integers(0, 3), st.integers(-5, 5), st.integers(0, 3)),
    min_size=1,
    max_size=3,
)


@given(BOXES, st.integers(1, 3), st.integers(0, 1))
def test_gaps_between_the_parts_of_a_set(
    boxes: list[tuple[int, int, int, int]], stride: int, limit: int
) -> None:
    """The parts are enumerated apart where there may be large gaps between them."""
    texts = [
        f"{a} <= i <= {a + b} and {c} <= j + i <= {c + d} and exists k : j = {stride}*k"
        for a, b, c, d in boxes
    ]
    region = isl.Set("{ [i, j] : " + " or ".join(f"({text})" for text in texts) + " }")
    expected = [
        [i, j]
        for i, j in product(range(-20, 21), repeat=2)
        if j % stride == 0 and any(a <= i <= a + b and c <= j + i <= c + d for a, b, c, d in boxes)
    ]
    before = points._MOST_HOLES
    points._MOST_HOLES = limit * before
    try:
        assert integer_points(region).tolist() == expected
        assert number_of_points(region) == len(expected)
    finally:
        points._MOST_HOLES = before


def test_a_wide_gap() -> None:
    text = f"{{ [i] : 0 <= i < 2 or {2**60} <= i < {2**60 + 2} }}"
    assert integer_points(isl.Set(text)).ravel().tolist() == [0, 1, 2**60, 2**60 + 1]


def test_volume_of_a_box() -> None:
    leaf = leaf_over({"m": (0, 2), "n": (-1, 3)}, [PathLoop(0, "m", 1), PathLoop(1, "n", 1)])
    assert leaf.volume == prod((3, 5))
