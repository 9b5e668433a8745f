"""Pieces of a schedule: merging them keeps every time."""

from __future__ import annotations

import itertools
from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polylat.schedule.pieces import Pieces, merge_pieces


@given(st.data())
def test_merged_pieces_are_the_same_times(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), max_size=3))
    grid = np.array(list(itertools.product(*map(range, shape))), dtype=np.int64)
    grid = grid.reshape(prod(shape), len(shape))
    keep = data.draw(st.sets(st.integers(0, len(grid) - 1), min_size=1))
    digits = grid[sorted(keep)].T
    rates = data.draw(st.lists(st.integers(0, 4), min_size=len(shape), max_size=len(shape)))
    start = (digits * np.array(rates, dtype=np.int64)[:, None]).sum(axis=0)
    start[data.draw(st.integers(0, len(start) - 1))] += data.draw(st.integers(0, 2))
    if data.draw(st.booleans()):
        start = start.astype(object)
    few = merge_pieces(Pieces.of_points(digits, start, np.ones(len(start), dtype=start.dtype)))

    def table(pieces: Pieces) -> list[tuple[int, ...]]:
        index, times, lasts = pieces.expanded()
        return sorted(zip(*index.tolist(), times.tolist(), lasts.tolist(), strict=True))

    assert table(few) == table(Pieces.of_points(digits, start, np.ones(len(start))))
    assert few.size <= len(start)
