"""Sampled grids of several leaves, and an enumeration of what they represent."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from polylat.lowering.sampling import LoopSample, SkippedPeriods
from polylat.schedule.grid import Grid

Point = tuple[int, ...]


@st.composite
def loop_samples(draw: st.DrawFn, most_cuts: int = 2) -> LoopSample:
    """A loop with some skipped ranges, or none."""
    cuts = []
    place = 0
    for _ in range(draw(st.integers(0, most_cuts))):
        period = draw(st.integers(1, 3))
        place += 2 * period + draw(st.integers(0, 2))
        cuts.append(SkippedPeriods(place, period, draw(st.integers(1, 4))))
        place += period
    count = max(1, place + draw(st.integers(0, 3)))
    return LoopSample(count + sum(cut.removed for cut in cuts), tuple(cuts))


def grid_of(leaves: list[list[LoopSample]]) -> Grid:
    """The grid of leaves with these loops."""
    width = max(1, *(len(loops) for loops in leaves))
    columns: dict[str, list[list[int]]] = {
        name: [] for name in ("trips", "count", "stride", "runs", "places")
    }
    rows: dict[str, list[int]] = {
        name: [] for name in ("first", "place", "length", "digit", "period", "skipped")
    }
    for loops in leaves:
        more = [1] * (width - len(loops))
        counts = [loop.count for loop in loops]
        strides = [int(np.prod(counts[k + 1 :], dtype=np.int64)) for k in range(len(loops))]
        runs, places = [], []
        for loop in loops:
            runs.append(len(rows["first"]))
            places.append(len(rows["digit"]))
            skipped = 0
            spans = [(0, 0, 0)]
            for cut in loop.cuts:
                low = cut.place - cut.period
                spans += [(low + skipped, low, cut.period)]
                skipped += cut.removed
                spans += [(cut.place + skipped, cut.place, 0)]
            for name, column in zip(
                ("first", "place", "length"), zip(*spans, strict=True), strict=True
            ):
                rows[name] += column
            rows["digit"] += loop.digits.tolist()
            rows["period"] += loop.period_lengths.tolist()
            rows["skipped"] += (loop.multiplicity - 1).tolist()
        runs += [len(rows["first"])] * (width + 1 - len(loops))
        places += [len(rows["digit"])] * (width + 1 - len(loops))
        columns["trips"].append([loop.trips for loop in loops] + more)
        columns["count"].append(counts + more)
        columns["stride"].append(strides + more)
        columns["runs"].append(runs)
        columns["places"].append(places)
    wide = {name: np.array(value, dtype=np.int64) for name, value in columns.items()}
    flat = {name: np.array(value, dtype=np.int64) for name, value in rows.items()}
    return Grid(
        np.array([len(loops) for loops in leaves]),
        wide["trips"],
        wide["count"],
        wide["stride"],
        wide["runs"],
        flat["first"],
        flat["place"],
        flat["length"],
        wide["places"],
        flat["digit"],
        flat["period"],
        flat["skipped"],
    )


def members(grid: Grid, leaf: int, key: int) -> list[Point]:
    """By how many periods per loop the members of a point's box are later."""
    places = grid.place_rows(leaf)[:, key] + grid.places[leaf, : grid.depth[leaf]]
    return list(product(*(range(int(grid.skipped[place]) + 1) for place in places)))


def represented(loops: list[LoopSample], index: Point) -> tuple[int, Point] | None:
    """The point of the grid that represents an index, and how many periods later that is."""
    key = 0
    later = []
    for loop, digit in zip(loops, index, strict=True):
        if not 0 <= digit < loop.trips:
            return None
        place, copies, _ = (int(a[0]) for a in loop.locate(np.array([digit])))
        key = key * loop.count + place
        later.append(copies)
    return key, tuple(later)


def kept_at_random(draw: Any, trips: dict[int, int]) -> dict[int, LoopSample]:
    """Samples of the loops, of which some skip a range."""
    kept = {}
    for node, count in trips.items():
        period = draw(st.sampled_from((1, 1, 2, 3)))
        head = draw(st.integers(2 * period + 1, 2 * period + 4))
        periods = (count - head - draw(st.integers(period, period + 3))) // period
        cuts = (SkippedPeriods(head, period, periods),) if periods > 0 else ()
        kept[node] = LoopSample(count, cuts)
    return kept
