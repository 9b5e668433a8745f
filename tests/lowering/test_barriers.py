"""Sequentials below shared loops whose trip counts differ from branch to branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
import polylat
from builders import compute, leaf, memory, nested, spec, storage
from polylat import PolylatError, Report, Spec
from reports import explicit_up_to

Data = dict[str, Any]
Draw = Callable[..., Any]
Sizes = dict[str, tuple[int, int]]

FEWER = settings(max_examples=max(5, settings().max_examples * 2 // 5))
AXES = ("x", "y")


def shared(axis: str, names: Sequence[str], shape: int = 1) -> Data:
    """A loop over an axis of several Einsums, each of which has a rank variable of its own."""
    variables = {name: f"{axis}_{name}" for name in names}
    return {"type": "Temporal", "rank_variable": variables, "tile_shape": shape}


def cascade(
    sizes: Sizes, exchanged: Sequence[bool], times: Sequence[str | int], nodes: Sequence[Data]
) -> Data:
    """Einsums o[x, y] = i[x, y], which may also read the output of the Einsum before them."""
    einsums: list[Data] = []
    backed: list[str] = []
    before = ""
    for name, exchange in zip(sizes, [False, *exchanged], strict=False):
        projection = {"X": f"x_{name}", "Y": f"y_{name}"}
        tensors = [f"i_{name}", *([f"o_{before}"] if exchange else []), f"o_{name}"]
        accesses: list[Data] = [{"name": t, "projection": projection} for t in tensors]
        accesses[-1]["output"] = True
        einsums.append({"name": name, "tensor_accesses": accesses})
        backed += [f"i_{name}", f"o_{name}"]
        before = name
    units = [compute(f"c_{name}", time) for name, time in zip(sizes, times, strict=False)]
    return spec(
        {
            f"{axis}_{name}": n
            for name, of in sizes.items()
            for axis, n in zip(AXES, of, strict=True)
        },
        einsums,
        [memory("DRAM", times[-2], times[-1], size="inf"), *units],
        [storage("DRAM", *backed), *nodes],
    )


def grouped(draw: Draw, names: Sequence[str], extents: Sizes, shortest: int) -> list[Data]:
    """The nodes for some Einsums: shared loops above a split, or the private loops of a leaf."""
    if len(names) == 1:
        (name,) = names
        private = [a for a, n in zip(AXES, extents[name], strict=True) if n > 1]
        loops = [shared(axis, names) for axis in draw(st.permutations(private))]
        return [*loops, leaf(name, f"c_{name}")]
    loops = []
    for axis in draw(st.lists(st.sampled_from(AXES), min_size=1, max_size=2, unique=True)):
        at = AXES.index(axis)
        least = min(extents[name][at] for name in names)
        shape = draw(st.integers(1, max(1, min(shortest, least))))
        loops.append(shared(axis, names, shape))
        for name in names:
            clipped = list(extents[name])
            clipped[at] = min(shape, clipped[at])
            extents = {**extents, name: (clipped[0], clipped[1])}
    cuts = draw(st.lists(st.integers(1, len(names) - 1), min_size=1, unique=True))
    ends = [0, *sorted(cuts), len(names)]
    branches = [names[a:b] for a, b in pairwise(ends)]
    kind = draw(st.sampled_from(("Sequential", "Sequential", "Pipeline")))
    inner = [nested(*grouped(draw, branch, extents, shortest)) for branch in branches]
    return [*loops, {"type": kind, "nodes": inner}]


@st.composite
def unequal(draw: Draw, most: int = 4, at_once: int = 2) -> tuple[Data, Data]:
    """Two to four Einsums of different sizes below shared loops, and options for `analyze`."""
    names = [f"e{k}" for k in range(draw(st.integers(2, 4)))]
    size = st.tuples(st.integers(1, most), st.integers(1, 3))
    sizes: Sizes = {name: draw(size) for name in names}
    exchanged = [
        all(n <= m for n, m in zip(sizes[two], sizes[one], strict=True)) and draw(st.booleans())
        for one, two in pairwise(names)
    ]
    times = [draw(st.sampled_from((1, 2, "1/2", "1/10"))) for _ in names]
    times += draw(st.sampled_from((("inf", "inf"), (1, 2), ("1/3", "inf"))))
    data = cascade(sizes, exchanged, times, grouped(draw, names, sizes, at_once))
    return data, {"granularity": draw(st.sampled_from(("full", "flow", "tile")))}


def figures(report: Report) -> list[Any]:
    return [
        report.latency,
        report.latency_by_order,
        report.resource_bound,
        report.dependence_bound,
        report.barrier_bound,
        report.sequential,
    ]


def checked(data: Data, options: Data) -> Report | None:
    """The report, which agrees with the oracle; None where both say that it is illegal."""
    try:
        expected = oracle.analyze(data, **options)
    except oracle.Illegal:
        with pytest.raises(PolylatError):
            polylat.analyze(Spec.from_dict(data), **options)
        return None
    report = polylat.analyze(Spec.from_dict(data), **options)
    bounds = "resource_bound", "dependence_bound", "barrier_bound"
    names = "latency", "latency_by_order", *bounds, "sequential"
    assert figures(report) == [expected[name] for name in names]
    return report


@pytest.mark.parametrize(
    ("sizes", "latency"),
    [
        # e1 has no second iteration, nor has e3: e2's second waits for e3's first.
        ((1, 2, 1), 1 + 10 + 10 + 10),
        # Two indices in a row at which only e2 and then only e2 again has iterations.
        ((1, 3, 1), 1 + 10 + 10 + 10 + 10),
        # e3's second waits for its first, as nothing else is left to wait for.
        ((1, 1, 3), 1 + 10 + 3 * 10),
        # e2 hands on what it waited for: e3 waits for e1.
        ((2, 1, 2), 2 * 1 + 10 + 2 * 10),
        # e1 waits for itself where both others are missing.
        ((3, 1, 1), 3 * 1 + 10 + 10),
    ],
)
def test_branches_without_iterations(sizes: tuple[int, int, int], latency: int) -> None:
    """A branch takes 1, 10 and 10 for each index, and no two of them overlap."""
    names = ["e1", "e2", "e3"]
    data = cascade(
        {name: (size, 1) for name, size in zip(names, sizes, strict=True)},
        [False, False],
        [1, "1/10", "1/10", "inf", "inf"],
        [
            shared("x", names),
            {"type": "Sequential", "nodes": [nested(leaf(name, f"c_{name}")) for name in names]},
        ],
    )
    options: Data = {"granularity": "full"}
    assert oracle.analyze(data, **options)["latency"] == latency
    report = checked(data, options)
    assert report is not None
    assert report.latency == report.barrier_bound == latency
    report.verify()


@given(unequal())
def test_unequal_trip_counts(case: tuple[Data, Data]) -> None:
    report = checked(*case)
    if report is not None:
        report.verify()


@FEWER
@given(unequal(), st.randoms(use_true_random=False))
def test_explored_variants(case: tuple[Data, Data], random: Any) -> None:
    """Sequentials that are Pipelines in the input, and the reverse."""
    data, options = case
    try:
        spec = Spec.from_dict({**data, "schedule": options})
        found = polylat.explore(spec, splits=True, slots=(1, 2), exhaustive=True)
    except PolylatError:
        return
    for result in random.sample(found.results, min(3, len(found.results))):
        if result.latency is not None:
            report = polylat.analyze(result.spec)
            assert (result.latency, result.order) == (report.latency, report.order)


@given(unequal(60, 3), st.sampled_from(("program", "skew")))
def test_long_loops(case: tuple[Data, Data], order: str) -> None:
    """Skipped iterations wait like those that are visited."""
    data, options = case
    spec = Spec.from_dict(data)
    try:
        explicit = polylat.analyze(spec, order=order, **options)
    except PolylatError:
        return
    with explicit_up_to(0):
        report = polylat.analyze(spec, order=order, **options)
    if report.exact:
        assert figures(report) == figures(explicit)
        report.verify()
