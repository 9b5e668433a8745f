"""Derive the residency of a holder's tiles, and split it into pieces of constant growth.

The start of a tile is the minimum, its end the maximum, of the times of several accesses that each
grow at constant rates. A maximum of affine functions is convex and a minimum is concave, so such a
time grows at a constant rate throughout a skipped range if its growth before the range equals its
average growth across it. Where it does not, another access takes over within the range: the range
is split there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from polylat.analysis.residency import (
    AccessStream,
    HolderResidency,
    IrregularResidencyError,
    Periods,
    ServiceSpans,
    access_streams,
)
from polylat.engine.solution import Solution
from polylat.lowering.holder_tiles import holder_tiles, is_replaced
from polylat.lowering.paths import PathHolder
from polylat.lowering.sampling import LoopSample
from polylat.schedule.arrays import Ints, Times

__all__ = ["holder_residency"]

MAX_PIECES = 100_000
"""Most pieces of constant growth that the tiles of one holder are split into."""

Affine = tuple[int, tuple[int, ...]]
"""A time, and its increase per period, per loop."""


def holder_residency(
    solution: Solution,
    span: ServiceSpans,
    tensor: str,
    level: int,
    holder: PathHolder,
) -> HolderResidency:
    """Derive when the tiles of a holder are resident.

    Parameters
    ----------
    solution
        The schedule, with its model.
    span
        When the ports of the holder's component serve each block.
    tensor, level, holder
        The tensor, and the holder and its index among the Storages of the first leaf below it.

    Returns
    -------
    HolderResidency
        Times in steps of 1/scale.

    Raises
    ------
    IrregularResidencyError
        Tiles do not start or end at constant rates, or need more than `MAX_PIECES` pieces.
    """
    model, timing = solution.model, solution.schedule
    layout, lowered = model.layout, model.lowered
    held = holder_tiles(lowered.spec, lowered.users[tensor], layout, tensor, level, holder)
    keys, first = held.keys, held.sharing[0]
    dtype = timing.finish.dtype
    start = np.full(len(keys), timing.makespan, dtype=dtype)
    end = np.full(len(keys), 0, dtype=dtype)
    streams: list[AccessStream] = []
    for leaf in held.sharing:
        where = held.where[leaf.number]
        streams += access_streams(model, leaf, tensor, holder.component, where)
    for stream in streams:
        np.minimum.at(start, stream.where, span.begin[stream.blocks])
        np.maximum.at(end, stream.where, span.end[stream.blocks])
    if held.from_start:
        start[:] = 0
    if held.to_end:
        end[:] = timing.makespan
    kept = layout.tiles[first.number].kept[: holder.depth]
    grid = _SampleGrid(kept, keys, _digits(keys, [k.count for k in kept]))
    pieces = _pieces_of_tiles(solution, span, grid, start, end, streams)
    if is_replaced(layout, held.sharing, tensor, level, holder):
        pieces = _after_previous(pieces, grid, end)
    tile = pieces.tile
    if grid.growth(held.elements, len(kept)).any():
        raise IrregularResidencyError
    nonempty = pieces.end > pieces.start
    nonempty |= (pieces.start_growth != pieces.end_growth).any(axis=0)
    resident = np.flatnonzero((pieces.end >= pieces.start) & nonempty)
    return HolderResidency(
        tensor,
        tuple(loop.variable for loop in first.temporal[: holder.depth]),
        kept,
        grid.places[:, tile[resident]],
        pieces.first[:, resident],
        pieces.counts[:, resident],
        pieces.start[resident],
        pieces.end[resident],
        pieces.start_growth[:, resident],
        pieces.end_growth[:, resident],
        held.elements[tile[resident]],
        held.bits_per_value,
    )


@dataclass(frozen=True, eq=False)
class _SampleGrid:
    """Sampled tiles, or tile iterations, which represent their translates in skipped ranges.

    Parameters
    ----------
    kept
        The sampled iterations of the loops.
    keys, places
        Shapes (n,) and (loops, n): their places among the sampled iterations, in mixed radix
        (increasing) and per loop.
    """

    kept: Sequence[LoopSample]
    keys: Ints
    places: Ints

    @cached_property
    def counts(self) -> Ints:
        """Number of tiles that each sampled tile represents, itself included, shape (loops, n)."""
        counts = np.ones_like(self.places)
        for k, kept in enumerate(self.kept):
            if kept.cuts:
                counts[k] = kept.multiplicity[self.places[k]]
        return counts

    def select(self, which: Ints | npt.NDArray[np.bool_]) -> _SampleGrid:
        """Select some of the sampled tiles."""
        return _SampleGrid(self.kept, self.keys[which], self.places[:, which])

    def growth(self, values: Times, depth: int) -> Times:
        """Return by how much values increase per period, shape (loops, n).

        Each value is the minimum or the maximum of affine functions of the period, so it is
        affine itself if its increase before the skipped range equals the average across it.

        Parameters
        ----------
        values
            Shape (n,): the values.
        depth
            The number of loops in which the values must grow at constant rates. In the other
            loops it suffices that convex values do not decrease.

        Raises
        ------
        IrregularResidencyError
            They do not grow at constant rates.
        """
        kept, keys, places = self.kept, self.keys, self.places
        growth = np.full((len(kept), len(keys)), 0, dtype=values.dtype)
        periodic: list[tuple[int, Ints, Ints]] = []
        width = 1
        for k in range(len(kept) - 1, -1, -1):
            for cut in kept[k].cuts:
                if cut.place < 2 * cut.period or cut.place + cut.period > kept[k].count:
                    raise IrregularResidencyError
                sampled = np.flatnonzero(
                    (places[k] >= cut.place - cut.period) & (places[k] < cut.place)
                )
                before = self.rows_of(keys[sampled] - cut.period * width)
                after = self.rows_of(keys[sampled] + cut.period * width)
                grown = growth[k, sampled] = values[sampled] - values[before]
                constant = values[after] - values[sampled] == (cut.periods + 1) * grown
                if (grown < 0).any() or (k < depth and not constant.all()):
                    raise IrregularResidencyError
                periodic.append((k, sampled, before))
            width *= kept[k].count
        # The growth in one loop must not depend on the other loops.
        for loop, sampled, before in periodic:
            for k in range(depth):
                if k != loop < depth and (growth[k, sampled] != growth[k, before]).any():
                    raise IrregularResidencyError
        return growth

    def rows_of(self, wanted: Ints) -> Ints:
        """Return the sampled tiles with given keys; raise if one is missing."""
        if not len(wanted):
            return wanted
        found = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        if (self.keys[found] != wanted).any():
            raise IrregularResidencyError
        return found


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The sampled tile of each piece; the other fields as in `HolderResidency`."""

    tile: Ints
    first: Ints
    counts: Ints
    start: Times
    end: Times
    start_growth: Times
    end_growth: Times


def _pieces_of_tiles(
    solution: Solution,
    span: ServiceSpans,
    grid: _SampleGrid,
    start: Times,
    end: Times,
    streams: Sequence[AccessStream],
) -> _Pieces:
    """Represent all tiles by pieces that start and end at constant rates.

    Parameters
    ----------
    solution, span
        The schedule, and when the component's ports serve each block.
    grid, start, end
        The sampled tiles, and when they are resident.
    streams
        The accesses to them.
    """
    depth = len(grid.kept)
    try:
        for stream in streams:
            if not stream.tiles.whole:
                _check_untimed_starts(stream.select(~span.served[stream.blocks]), depth, span.begin)
        return _Pieces(
            np.arange(len(start)),
            np.zeros_like(grid.counts),
            grid.counts,
            start,
            end,
            grid.growth(start, depth),
            grid.growth(end, depth),
        )
    except IrregularResidencyError:
        if not depth:
            raise
        return _split_pieces(_affine_bounds(solution, span, grid, streams), grid, start, end)


def _after_previous(pieces: _Pieces, grid: _SampleGrid, end: Times) -> _Pieces:
    """Delay the residency of each tile until that of the previous tile ends.

    Parameters
    ----------
    pieces
        The residency of the tiles by themselves.
    grid, end
        The sampled tiles, and when each of them ends.
    """
    previous, growth = _ends_of_previous(grid, end)
    tile = pieces.tile
    limit = previous[tile] + (growth[:, tile] * pieces.first).sum(axis=0)
    grown = growth[:, tile]
    spans = pieces.counts - 1
    later = _sign(limit - pieces.start, (grown - pieces.start_growth) * spans) > 0
    start = np.where(later, limit, pieces.start)
    start_growth = np.where(later, grown, pieces.start_growth)
    resident = _sign(pieces.end - start, (pieces.end_growth - start_growth) * spans) >= 0
    return _Pieces(
        tile[resident],
        *(way[:, resident] for way in (pieces.first, pieces.counts)),
        *(way[resident] for way in (start, pieces.end)),
        *(way[:, resident] for way in (start_growth, pieces.end_growth)),
    )


def _ends_of_previous(grid: _SampleGrid, end: Times) -> tuple[Times, Times]:
    """Return when the residency of each tile's predecessor ends, and its increase per period.

    The predecessor of a sampled tile is the previous sampled tile or, behind a skipped range, the
    last tile of that range.
    """
    growth = grid.growth(end, len(grid.kept))
    previous = np.full(len(end), 0, dtype=end.dtype)
    previous[1:] = end[:-1]
    grown = np.full(growth.shape, 0, dtype=growth.dtype)
    places = grid.places
    width = 1
    for k in range(len(grid.kept) - 1, -1, -1):
        for cut in grid.kept[k].cuts:
            at = np.arange(1, len(end))
            steps = places[k, at] - places[k, at - 1]
            same = (places[:k, at] == places[:k, at - 1]).all(axis=0)
            across = at[same & (places[k, at] >= cut.place) & (places[k, at - 1] < cut.place)]
            within = at[(places[k, at] >= cut.place - cut.period) & (places[k, at] < cut.place)]
            if (steps[across - 1] != 1).any() or not same[within - 1].all():
                raise IrregularResidencyError
            previous[across] += cut.periods * growth[k, across - 1]
            inside = places[k, within - 1] >= cut.place - cut.period
            if (places[k, within[~inside] - 1] != cut.place - cut.period - 1).any():
                raise IrregularResidencyError
            grown[k, within[inside]] = growth[k, within[inside] - 1]
            behind = grid.rows_of(grid.keys[within[~inside] - 1] + cut.period * width)
            grown[k, within[~inside]] = growth[k, behind]
        width *= grid.kept[k].count
    return previous, grown


def _sign(base: Times, gains: Times) -> Times:
    """Return the sign of values that grow from a base, which must be the same in all periods."""
    least = base + np.minimum(gains, 0).sum(axis=0)
    most = base + np.maximum(gains, 0).sum(axis=0)
    if ((least < 0) & (most > 0)).any():
        raise IrregularResidencyError
    signs: Times = np.where(most > 0, 1, np.where(least < 0, -1, 0))
    return signs


def _check_untimed_starts(stream: AccessStream, depth: int, begin: Times) -> None:
    """Check that accesses that take no time start at constant rates.

    Such an access happens when the last of several ports starts. The first of several such accesses
    to a tile is a minimum of maxima: neither convex nor concave.
    """
    tiles, some = stream.tiles, stream.iterations
    grid = _SampleGrid(tiles.kept, tiles.keys[some], tiles.places[:, some])
    grid.growth(begin[stream.blocks], depth)


@dataclass(frozen=True, eq=False)
class _AffineBound:
    """Times that grow at constant rates, which bound the start or the end of tiles.

    Parameters
    ----------
    there
        Shape (tiles,): whether a tile has such a time.
    value, growth
        Shapes (tiles,) and (loops, tiles): the time, and its increase per period.
    """

    there: npt.NDArray[np.bool_]
    value: Times
    growth: Times


@dataclass(frozen=True)
class _AffineBounds:
    """The affine functions whose minima and maxima are the starts and ends of tiles.

    Parameters
    ----------
    starts
        The start is the minimum over these groups of the maximum of each group.
    ends
        The end is the maximum of these.
    """

    starts: list[list[_AffineBound]]
    ends: list[_AffineBound]


def _affine_bounds(
    solution: Solution, span: ServiceSpans, grid: _SampleGrid, streams: Sequence[AccessStream]
) -> _AffineBounds:
    """Collect the affine functions that bound the tiles' starts and ends, port by port."""
    model, timing = solution.model, solution.schedule
    graph = model.graph
    bounds = _AffineBounds([], [])
    ready = timing.ready
    finish = timing.task_begin + graph.task_duration
    for stream_of_block in streams:
        served = span.served[stream_of_block.blocks]
        untimed = stream_of_block.select(~served)
        beginnings: list[_AffineBound] = []
        if len(untimed.where):
            beginnings.append(
                _affine_bound(grid, untimed.where, ready[untimed.blocks], largest=False)
            )
            bounds.ends.append(
                _affine_bound(grid, untimed.where, ready[untimed.blocks], largest=True)
            )
        for port in range(graph.ports):
            of_block = np.full(graph.blocks, -1, dtype=np.int64)
            on_port = np.flatnonzero(graph.task_port == port)
            of_block[graph.task_block[on_port]] = on_port
            stream = stream_of_block.select(served) if span.ports[port] else untimed
            tasks = of_block[stream.blocks]
            has = tasks >= 0
            if not has.any():
                continue
            tasks, where = tasks[has], stream.where[has]
            begin = _affine_bound(grid, where, timing.task_begin[tasks], largest=False)
            bounds.ends.append(_affine_bound(grid, where, finish[tasks], largest=True))
            if span.ports[port]:
                bounds.starts.append([begin])
            elif has.all():
                beginnings.append(begin)
            else:
                raise IrregularResidencyError  # the first start need not be the first in order
        if beginnings:
            bounds.starts.append(beginnings)
    return bounds


def _affine_bound(grid: _SampleGrid, where: Ints, times: Times, *, largest: bool) -> _AffineBound:
    """Return per tile the minimum or maximum of times that are in order."""
    there = np.zeros(len(grid.keys), dtype=np.bool_)
    there[where] = True
    value = np.full(len(there), 0 if largest else times.max(), dtype=times.dtype)
    (np.maximum if largest else np.minimum).at(value, where, times)
    growth = np.full(grid.places.shape, 0, dtype=times.dtype)
    growth[:, there] = grid.select(there).growth(value[there], len(grid.kept))
    return _AffineBound(there, value, growth)


def _split_pieces(bounds: _AffineBounds, grid: _SampleGrid, start: Times, end: Times) -> _Pieces:
    """Split the ranges where another port becomes the first or the last one."""
    rows: list[tuple[int, Periods, Periods, Affine, Affine]] = []
    single = (0,) * len(grid.kept)
    for tile in range(len(grid.keys)):
        counts = tuple(grid.counts[:, tile].tolist())
        own = (int(start[tile]), single), (int(end[tile]), single)
        if all(count == 1 for count in counts) or own[1] < own[0]:
            rows.append((tile, single, counts, *own))
            continue
        starts = [_of_tile(tile, group) for group in bounds.starts]
        parts = _split_box([s for s in starts if s], _of_tile(tile, bounds.ends), single, counts)
        for first, size, *pair in parts:
            if not any(first) and (pair[0][0], pair[1][0]) != (own[0][0], own[1][0]):
                raise IrregularResidencyError
            rows.append((tile, first, size, pair[0], pair[1]))
            if len(rows) > MAX_PIECES:
                raise IrregularResidencyError

    def column(values: Sequence[int]) -> Times:
        return np.array(values, dtype=start.dtype)

    def table(values: Sequence[tuple[int, ...]], dtype: npt.DTypeLike) -> Times:
        return np.array(values, dtype=dtype).reshape(len(rows), len(grid.kept)).T

    return _Pieces(
        np.array([row[0] for row in rows], dtype=np.int64),
        table([row[1] for row in rows], np.int64),
        table([row[2] for row in rows], np.int64),
        column([row[3][0] for row in rows]),
        column([row[4][0] for row in rows]),
        table([row[3][1] for row in rows], start.dtype),
        table([row[4][1] for row in rows], start.dtype),
    )


def _of_tile(tile: int, lines: Sequence[_AffineBound]) -> list[Affine]:
    """Return the affine functions of a tile."""
    return [
        (int(line.value[tile]), tuple(line.growth[:, tile].tolist()))
        for line in lines
        if line.there[tile]
    ]


def _split_box(
    starts: Sequence[Sequence[Affine]], ends: Sequence[Affine], first: Periods, counts: Periods
) -> Iterator[tuple[Periods, Periods, Affine, Affine]]:
    """Split a box of periods until one affine function is the start, and one the end, of each part.

    Parameters
    ----------
    starts, ends
        The start is the minimum over the groups of the maximum of each; the end is the maximum.
    first, counts
        The box: the first period and the number of periods, per loop.

    Yields
    ------
    (first, counts, start, end)
        The parts, with start and end relative to the first period of the part.
    """
    todo = [(first, counts)]
    while todo:
        first, counts = todo.pop()
        start = _min_of_max(starts, first, counts)
        end = _dominant(ends, first, counts, 1)
        if isinstance(start, _SplitPoint):
            todo += _halves(first, counts, start)
        elif isinstance(end, _SplitPoint):
            todo += _halves(first, counts, end)
        else:
            yield first, counts, (_value(start, first), start[1]), (_value(end, first), end[1])


@dataclass(frozen=True)
class _SplitPoint:
    """A loop, and the number of periods after which another affine function takes over."""

    loop: int
    count: int


def _halves(first: Periods, counts: Periods, split: _SplitPoint) -> list[tuple[Periods, Periods]]:
    """Split a box of periods in two; the first half comes last."""
    k, n = split.loop, split.count
    rest = (*first[:k], first[k] + n, *first[k + 1 :])
    return [
        (rest, (*counts[:k], counts[k] - n, *counts[k + 1 :])),
        (first, (*counts[:k], n, *counts[k + 1 :])),
    ]


def _value(line: Affine, periods: Periods) -> int:
    return line[0] + sum(n * g for n, g in zip(periods, line[1], strict=True))


def _min_of_max(
    groups: Sequence[Sequence[Affine]], first: Periods, counts: Periods
) -> Affine | _SplitPoint:
    """Return the minimum of the groups' maxima if it is one function throughout, else a split."""
    largest: list[Affine] = []
    for group in groups:
        found = _dominant(group, first, counts, 1)
        if isinstance(found, _SplitPoint):
            return found
        largest.append(found)
    return _dominant(largest, first, counts, -1)


def _dominant(
    lines: Sequence[Affine], first: Periods, counts: Periods, sign: int
) -> Affine | _SplitPoint:
    """Return the maximum (sign 1) or minimum (-1) if one function attains it, else a split."""
    spans = [n - 1 for n in counts]

    def rank(line: Affine) -> tuple[int, int]:
        gain = sum(g * s for g, s in zip(line[1], spans, strict=True))
        return sign * _value(line, first), sign * gain

    best = max(lines, key=rank)
    for line in lines:
        ahead = sign * (_value(best, first) - _value(line, first))
        loss = [max(0, sign * (b - a) * s) for a, b, s in zip(best[1], line[1], spans, strict=True)]
        if sum(loss) > ahead:
            loop = max(range(len(loss)), key=loss.__getitem__)
            rate = loss[loop] // spans[loop]
            middle = (sum(loss) - loss[loop]) // 2
            count = max(0, ahead - middle) // rate + 1
            return _SplitPoint(loop, min(count, spans[loop]))
    return best


def _digits(keys: Ints, radices: Sequence[int]) -> Ints:
    """Split mixed-radix numbers into digits, shape (loops, n)."""
    digits = np.zeros((len(radices), len(keys)), dtype=np.int64)
    rest = keys.copy()
    for k in range(len(radices) - 1, -1, -1):
        digits[k] = rest % radices[k]
        rest //= radices[k]
    return digits
