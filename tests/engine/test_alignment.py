"""The periods with which flows repeat, against the flows themselves."""

from __future__ import annotations

from itertools import pairwise

import pytest

from builders import compute, einsum, leaf, loop, memory, nested, spec, storage
from polylat import Spec
from polylat.engine.alignment import Alignment, alignments
from polylat.lowering.lowered import lower


def reader_alignment(size: int, producer: int, reader: int) -> Alignment:
    """The alignment of the reader's outer loop, in a Pipeline with tiles of different size."""
    stages = [
        nested(loop("m", tile), loop("m"), leaf(name, "mac"))
        for name, tile in (("e1", producer), ("e2", reader))
    ]
    data = spec(
        {"m": size},
        [einsum("e1", ("b", "m"), ("a", "m")), einsum("e2", ("c", "m"), ("b", "m"))],
        [memory("S", size="inf"), compute("mac")],
        [storage("S", "a", "b", "c"), {"type": "Pipeline", "nodes": stages}],
    )
    lowered = lower(Spec.from_dict(data), "flow")
    return alignments(lowered).get(lowered.leaves[1].loops[0].node, Alignment())


@pytest.mark.parametrize("size", [240, 1000])
@pytest.mark.parametrize("producer", [2, 6, 9, 30, 60, 100])
@pytest.mark.parametrize("reader", [2, 4, 15, 50])
def test_flows_repeat_with_the_alignment(size: int, producer: int, reader: int) -> None:
    """Between restarts, the tile that an iteration waits for moves evenly from period to period.

    The iteration before a restart may read on both sides of the border.
    """
    aligned = reader_alignment(size, producer, reader)
    trips = -(-size // reader)
    last = [min(reader * (i + 1), size) - 1 for i in range(trips)]
    tile = [element // producer for element in last]
    ends = [0, *aligned.restarts, trips - 1]
    for low, high in pairwise(ends):
        moves = {tile[i + aligned.period] - tile[i] for i in range(low, high - 1 - aligned.period)}
        assert len(moves) <= 1, (low, high, aligned)


@pytest.mark.parametrize(
    ("producer", "reader", "period"), [(6, 4, 3), (4, 6, 2), (9, 6, 3), (5, 5, 1), (2, 8, 1)]
)
def test_the_period_is_the_least(producer: int, reader: int, period: int) -> None:
    assert reader_alignment(3600, producer, reader) == Alignment(period, ())


def test_shared_loops_are_aligned() -> None:
    """The stages of a loop that both of them share read alike in all of its iterations."""
    stages = [nested(loop("m"), leaf(name, "mac")) for name in ("e1", "e2")]
    data = spec(
        {"m": 120},
        [einsum("e1", ("b", "m"), ("a", "m")), einsum("e2", ("c", "m"), ("b", "m"))],
        [memory("S", size="inf"), compute("mac")],
        [storage("S", "a", "b", "c"), loop("m", 7), {"type": "Pipeline", "nodes": stages}],
    )
    assert alignments(lower(Spec.from_dict(data), "flow")) == {}
