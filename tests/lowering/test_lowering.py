"""ISL relations and the arrays made from them, against each other and against enumeration."""

from __future__ import annotations

from typing import Any

import islpy as isl
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from polylat import MappingError, Spec
from polylat.engine.model import build
from polylat.lowering.accesses.counting import tile_elements
from polylat.lowering.dependences.readings import exchanges
from polylat.lowering.dependences.skew import skew_shifts
from polylat.lowering.enumeration import count_iterations, iteration_table, trip_counts
from polylat.lowering.iterations import IterationTable
from polylat.lowering.lowered import LoweredMapping, lower
from polylat.lowering.paths import Leaf
from polylat.lowering.points import integer_points
from polylat.lowering.relations import domain, tiling
from polylat.lowering.sampling import LoopSample
from polylat.lowering.transfers import TransferOptions
from relations import access, date_tags, dates, flow, footprint
from strategies import cascades

Data = dict[str, Any]
COEFFICIENT = st.integers(-3, 3)


def enumerated(relation: isl.Set) -> list[list[int]]:
    """The points of a set as ISL visits them, sorted."""
    found: list[list[int]] = []

    def visit(point: isl.Point) -> None:
        found.append(
            [
                int(point.get_coordinate_val(isl.dim_type.set, i).to_python())
                for i in range(relation.dim(isl.dim_type.set))
            ]
        )

    relation.foreach_point(visit)
    return sorted(found)


@given(st.lists(st.tuples(COEFFICIENT, COEFFICIENT, COEFFICIENT, st.integers(-5, 9)), max_size=4))
def test_points_of_polyhedra(rows: list[tuple[int, int, int, int]]) -> None:
    """The scan finds the points that ISL visits, holes and unions included."""
    conditions = [f"{a}*i + {b}*j + {c}*k + {d} >= 0" for a, b, c, d in rows]
    box = "0 <= i <= 5 and -3 <= j <= 4 and 0 <= k <= 3"
    every = isl.Set(f"{{ [i, j, k] : {' and '.join([box, *conditions])} }}")
    assert integer_points(every).tolist() == enumerated(every)
    holes = every & isl.Set("{ [i, j, k] : (i + j) mod 3 = 0 or k = 1 }")
    assert integer_points(holes).tolist() == enumerated(holes)
    image = isl.Set(
        f"{{ [i, z] : exists j, k : z = 2j + 3k and {' and '.join([box, *conditions])} }}"
    )
    assert integer_points(image).tolist() == enumerated(image)


@pytest.mark.parametrize("text", ["{ [i] : i >= 0 }", "[n] -> { [i] : 0 <= i < n }"])
def test_points_guards(text: str) -> None:
    """Sets without end or with parameters have no array of points."""
    with pytest.raises(ValueError, match="not a bounded set"):
        integer_points(isl.Set(text))


def lowered(case: tuple[Data, Data]) -> LoweredMapping:
    """The mapping, lowered; illegal ones do not count."""
    data, options = case
    try:
        return lower(Spec.from_dict(data), options["granularity"])
    except MappingError:
        assume(False)
        raise


def tiles_of(low: LoweredMapping) -> list[IterationTable]:
    """All tile iterations of all leaves."""
    kept = {node: LoopSample(trips) for node, trips in trip_counts(low.leaves).items()}
    return [iteration_table(leaf, n, kept) for leaf, n in zip(low.leaves, low.depths, strict=True)]


def has_spatial(leaf: Leaf) -> bool:
    """Whether some loop of the leaf is spatial."""
    return any(loop.unit is not None for loop in leaf.loops)


@given(cascades())
def test_tilings_partition_the_domain(case: tuple[Data, Data]) -> None:
    """Every operation is in one tile iteration, and the arrays hold those that exist."""
    low = lowered(case)
    for leaf, some in zip(low.leaves, tiles_of(low), strict=True):
        relation = tiling(leaf, some.depth)
        assert relation.range() == domain(leaf)
        assert relation.reverse().is_single_valued()
        assert integer_points(relation.domain()).tolist() == some.digits.T.tolist()
        assert some.size == count_iterations(leaf, some.depth)


@given(cascades())
def test_footprints_have_the_counted_size(case: tuple[Data, Data]) -> None:
    """Closed forms and products over groups count what ISL counts, tile by tile."""
    low = lowered(case)
    for leaf, some in zip(low.leaves, tiles_of(low), strict=True):
        assume(not has_spatial(leaf))
        components = {c.name: c for c in low.spec.arch.paths[leaf.einsum.name]}
        for tensor in leaf.einsum.tensors:
            assert footprint(leaf, tensor, 0).range() == access(leaf, tensor).range()
            for level, holder in enumerate(leaf.storages(tensor)):
                relation = footprint(leaf, tensor, holder.depth)
                found = integer_points(relation.wrap().flatten())
                prefix = found[:, : holder.depth]
                counted = tile_elements(some, components, tensor, level)
                for i in some.firsts(holder.depth):
                    here = (prefix == some.digits[: holder.depth, i]).all(axis=1)
                    assert here.sum() == counted[i]


@given(cascades())
def test_flow_by_groups_is_flow(case: tuple[Data, Data]) -> None:
    """The last producer, found group by group, is the last of the whole relation."""
    low = lowered(case)
    every = tiles_of(low)
    for (number, tensor), source in low.found.items():
        if source.leaf is None:
            continue
        reader, bringer = low.leaves[number], low.leaves[source.leaf]
        assume(not has_spatial(reader) and not has_spatial(bringer))
        (exchange,) = exchanges(low.leaves, number, tensor, source)
        try:
            exchange.check()
        except MappingError:
            assume(False)
        mine, theirs = every[number], every[source.leaf]
        whole = flow(reader, bringer, tensor, source.level, (theirs.depth, mine.depth))
        latest = integer_points(whole.reverse().lexmax().wrap().flatten())
        events = np.arange(mine.size)
        last, some = exchange.last_within(mine, mine.depth, events, theirs, exchange.holder.depth)
        expected = np.concatenate((mine.digits, last)).T[some]
        assert latest.tolist() == expected.tolist()


@given(cascades())
def test_dates_as_relations(case: tuple[Data, Data]) -> None:
    """Logical dates as an ISL map are those that the scheduler compares."""
    low = lowered(case)
    try:
        model = build(low, TransferOptions())
    except MappingError:
        assume(False)
        raise
    shift = skew_shifts(low.leaves, model.layout, low.found)
    for leaf, some, base in zip(low.leaves, tiles_of(low), model.layout.bases, strict=True):
        if tuple(k.trips for k in some.kept) != leaf.temporal_trips[: some.depth]:
            continue  # the map of a leaf has its own trip counts only
        tags = date_tags(leaf, some.depth)
        for columns, skew in (
            (model.graph.dates.program, None),
            (model.graph.dates.skew, shift),
        ):
            relation = dates(leaf, some.depth, skew)
            assert relation.dim(isl.dim_type.out) == len(tags)
            rows = integer_points(relation.wrap().flatten())
            mine = columns[: len(tags), base : base + some.size]
            assert rows.tolist() == np.concatenate((some.digits, mine)).T.tolist()
