"""Quasi-affine functions on boxes, against an enumeration of all points of the boxes."""

from __future__ import annotations

from itertools import product

import islpy as isl
import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from polylat.lowering.corners import Corners
from polylat.lowering.points import PiecewiseAffine

NAMES = ("a", "b", "c")


@st.composite
def expressions(draw: st.DrawFn, dimensions: int, depth: int = 2) -> str:
    """An affine expression in the dimensions and in integer divisions of others."""
    terms = [str(draw(st.integers(-5, 5)))]
    for name in NAMES[:dimensions]:
        terms.append(f"{draw(st.integers(-3, 3))}*{name}")
    if depth and draw(st.integers(0, 2)):
        inner = draw(expressions(dimensions, depth - 1))
        terms.append(f"{draw(st.sampled_from((-2, -1, 1, 2, 4)))}*floor(({inner})/"
                     f"{draw(st.integers(2, 6))})")  # fmt: skip
    return " + ".join(terms)


@st.composite
def functions(draw: st.DrawFn) -> tuple[int, isl.PwMultiAff]:
    """A function of a few dimensions, in one or several pieces."""
    dimensions = draw(st.integers(1, 3))
    names = ", ".join(NAMES[:dimensions])
    size = draw(st.integers(1, 2))
    pieces = []
    cuts = draw(st.lists(st.integers(-10, 40), max_size=2, unique=True).map(sorted))
    for low, high in zip([None, *cuts], [*cuts, None], strict=True):
        values = ", ".join(draw(expressions(dimensions)) for _ in range(size))
        conditions = [f"a >= {low}"] if low is not None else []
        conditions += [f"a < {high}"] if high is not None else []
        if draw(st.booleans()):
            conditions.append(f"{draw(expressions(dimensions, 1))} + 20 >= 0")
        where = f" : {' and '.join(conditions)}" if conditions else ""
        pieces.append(f"[{names}] -> [{values}]{where}")
    return dimensions, isl.PwMultiAff("{ " + "; ".join(pieces) + " }")


def value_at(function: isl.PwMultiAff, point: tuple[int, ...]) -> list[int] | None:
    """The value by ISL itself; None where the function is not defined."""
    text = ", ".join(map(str, point))
    found = isl.Set(f"{{ [{text}] }}").apply(isl.Map.from_pw_multi_aff(function))
    if found.is_empty():
        return None
    at = found.sample_point()
    return [
        int(at.get_coordinate_val(isl.dim_type.set, i).to_python())
        for i in range(found.dim(isl.dim_type.set))
    ]


@settings(max_examples=2 * settings().max_examples)
@given(functions(), st.data())
def test_functions_on_boxes(case: tuple[int, isl.PwMultiAff], data: st.DataObject) -> None:
    dimensions, function = case
    moved = tuple(range(dimensions))
    boxes = data.draw(st.integers(1, 3))
    sizes = [st.integers(-10, 40), st.sampled_from((0, 1, 1, 2, 3, 4, 6, 12)), st.integers(0, 4)]
    first, steps, last = (
        np.array(
            [[data.draw(size) for _ in range(dimensions)] for _ in range(boxes)], dtype=np.int64
        )
        for size in sizes
    )
    corners = Corners(first, steps, last, moved)
    values, slopes, affine, undefined = PiecewiseAffine(function).on_boxes(corners)
    for box in range(boxes):
        event(f"affine: {affine[box]}")
        for k in product(*(range(n + 1) for n in last[box].tolist())):
            found = value_at(function, tuple((first[box] + steps[box] * np.array(k)).tolist()))
            if affine[box]:
                assert found == (values[box] + slopes[box] @ np.array(k)).tolist()
            if undefined[box]:
                assert found is None
        if not last[box].any() and value_at(function, tuple(first[box].tolist())) is not None:
            assert affine[box], "a point is a box"
        elif not last[box].any():
            assert undefined[box], "a point is a box"


@given(functions(), st.data())
def test_slopes_are_found_where_there_are_no_divisions(
    case: tuple[int, isl.PwMultiAff], data: st.DataObject
) -> None:
    """An affine function is affine on every box."""
    dimensions = case[0]
    factors = data.draw(st.lists(st.integers(-4, 4), min_size=dimensions, max_size=dimensions))
    names = ", ".join(NAMES[:dimensions])
    terms = " + ".join(f"{f}*{n}" for f, n in zip(factors, NAMES, strict=False))
    function = isl.PwMultiAff(f"{{ [{names}] -> [{terms}] }}")
    ones = np.ones((1, dimensions), dtype=np.int64)
    corners = Corners(ones, 2 * ones, 5 * ones, tuple(range(dimensions)))
    values, slopes, affine, undefined = PiecewiseAffine(function).on_boxes(corners)
    assert affine.all()
    assert not undefined.any()
    assert values.tolist() == [[sum(factors)]]
    assert slopes[0, 0].tolist() == [2 * f for f in factors]
