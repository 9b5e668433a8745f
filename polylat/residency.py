"""Which tiles of a holder are resident when: families that come and go at constant rates.

A tile stands for those of the tile iterations that its own stand for: each copy comes and goes so
much later than the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from polylat.accesses.counting import tile_elements
from polylat.levels import Changes
from polylat.lowering.kept import Kept
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.scan import Ints
from polylat.lowering.tiles import Tiles, common_keys
from polylat.model import Model
from polylat.schedule.graph import Times
from polylat.schedule.timing import Timing

__all__ = ["Residents", "Spans", "UnlikeError", "block_spans", "residents"]


Copies = tuple[int, ...]
"""How many periods later, per loop."""

MOST_PIECES = 100_000
"""Into so many families with rates of their own the tiles of a holder are taken apart."""


class UnlikeError(Exception):
    """Tiles do not come and go as those that stand for them."""


@dataclass(frozen=True, eq=False)
class Residents:
    """The tiles of one holder: families of copies that come and go at constant rates.

    Parameters
    ----------
    tensor
        The holder's tensor.
    variables, kept
        Per loop above the holder: its variable, and which of its iterations are looked at.
    places
        Shape (loops, families): where in these loops the tile is that stands for them, in order.
    first, counts
        Shape (loops, families): how many periods later the first of them is, and how many they
        are.
    start, end
        When the first one is resident.
    start_growth, end_growth
        Shape (loops, families): by how much the next one starts and ends later.
    elements, bits_per_value
        The size of each, and of an element.
    """

    tensor: str
    variables: tuple[str, ...]
    kept: tuple[Kept, ...]
    places: Ints
    first: Ints
    counts: Ints
    start: Times
    end: Times
    start_growth: Times
    end_growth: Times
    elements: Ints
    bits_per_value: Fraction

    @cached_property
    def bases(self) -> Ints:
        """Shape (loops, families): the loops' indices for the first."""
        rows = [kept.digits[row] for kept, row in zip(self.kept, self.places, strict=True)]
        return np.array(rows, dtype=np.int64).reshape(self.places.shape) + self.first * self.strides

    @cached_property
    def strides(self) -> Ints:
        """Shape (loops, families): how many iterations later the next one is."""
        rows = [kept.periods[row] for kept, row in zip(self.kept, self.places, strict=True)]
        return np.array(rows, dtype=np.int64).reshape(self.places.shape)

    @cached_property
    def latest(self) -> Times:
        """When the last one of each family ends."""
        grown: Times = self.end + ((self.counts - 1) * self.end_growth).sum(axis=0)
        return grown

    def span(self, family: int, copies: Sequence[int]) -> tuple[int, int]:
        """When one of a family starts and ends."""
        start, end = int(self.start[family]), int(self.end[family])
        for k, times in enumerate(copies):
            if times:
                start += times * int(self.start_growth[k, family])
                end += times * int(self.end_growth[k, family])
        return start, end

    def index(self, family: int, copies: Sequence[int]) -> tuple[int, ...]:
        """The loops' indices for one of a family."""
        return tuple(
            int(self.bases[k, family]) + times * int(self.strides[k, family])
            for k, times in enumerate(copies)
        )

    def every(self) -> Iterator[tuple[int, Copies]]:
        """All tiles that are ever resident, in order, as (family, copies)."""
        for families, copies in self._walk(0, 0, len(self.start)):
            for family in families:
                mine = tuple(
                    times - first
                    for times, first in zip(copies, self.first[:, family].tolist(), strict=True)
                )
                counts = self.counts[:, family].tolist()
                if all(0 <= times < count for times, count in zip(mine, counts, strict=True)):
                    start, end = self.span(family, mine)
                    if start < end:
                        yield family, mine

    def _walk(self, loop: int, low: int, high: int) -> Iterator[tuple[range, Copies]]:
        """Families and copies counted from what stands for them."""
        if loop == len(self.kept):
            if low < high:
                yield range(low, high), ()
            return
        some, starts = np.unique(self.places[loop, low:high], return_index=True)
        bounds = [*(low + starts).tolist(), high]
        where = dict(zip(some.tolist(), pairwise(bounds), strict=True))
        for place, times in _iterations(self.kept[loop], where):
            for families, copies in self._walk(loop + 1, *where[place]):
                yield families, (times, *copies)

    def at(self, time: int) -> list[tuple[int, Copies]]:
        """The tiles that are resident at an instant, in order, as (family, copies)."""
        found: list[tuple[int, Copies]] = []
        for family in np.flatnonzero((self.start <= time) & (self.latest > time)).tolist():
            ways = (self.counts, self.start_growth, self.end_growth)
            rows = list(zip(*(way[:, family].tolist() for way in ways), strict=True))
            start, end = int(self.start[family]), int(self.latest[family])
            found += [(family, copies) for copies in _resident(rows, start, end, time)]
        if any(kept.cuts for kept in self.kept):
            found.sort(key=lambda item: self.index(*item))
        return found

    def changes(self, denominator: int) -> Changes:
        """The changes that the tiles make to a level, in bits times `denominator`."""
        bits = self.elements.astype(object) * int(self.bits_per_value * denominator)
        return Changes(
            np.concatenate((self.start, self.end)),
            np.concatenate((self.start_growth, self.end_growth), axis=1),
            np.concatenate((self.counts, self.counts), axis=1),
            np.concatenate((bits, -bits)),
        )


def _iterations(kept: Kept, there: dict[int, tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """All iterations of a loop, as (place, copies)."""
    done = 0
    for cut in kept.cuts:
        yield from ((place, 0) for place in range(done, cut.place) if place in there)
        some = [place for place in range(cut.place - cut.period, cut.place) if place in there]
        if some:
            for times in range(1, cut.copies + 1):
                yield from ((place, times) for place in some)
        done = cut.place
    yield from ((place, 0) for place in range(done, kept.count) if place in there)


def _resident(
    rows: Sequence[tuple[int, int, int]], start: int, end: int, time: int
) -> Iterator[Copies]:
    """Which copies of a tile are resident at an instant.

    Parameters
    ----------
    rows
        Per loop: the number of copies, and by how much each starts and ends later.
    start, end
        The start of the first of them, and the end of the last one.
    time
        The instant.
    """
    if not rows:
        if start <= time < end:
            yield ()
        return
    (count, later, longer), *rest = rows
    end -= (count - 1) * longer
    low = max(0, (time - end) // longer + 1) if longer else 0
    high = min(count - 1, (time - start) // later) if later else count - 1
    for times in range(low, high + 1):
        for copies in _resident(rest, start + times * later, end + times * longer, time):
            yield (times, *copies)


@dataclass(frozen=True, eq=False)
class Spans:
    """When a component's ports serve blocks.

    Parameters
    ----------
    begin, end
        Per block, when the first of them begins to serve it, and when the last one has. If none
        does, when the last of all ports begins, and when the block has finished.
    served
        Per block, whether any does.
    ports
        Which ports they are.
    """

    begin: Times
    end: Times
    served: npt.NDArray[np.bool_]
    ports: npt.NDArray[np.bool_]


def block_spans(model: Model, timing: Timing, component: str) -> Spans:
    """When a component's ports serve blocks."""
    graph = model.graph
    mine = np.array([key.component == component for key in model.costs.ports], dtype=np.bool_)
    begin, end = _ready(model, timing), timing.block_finish.copy()
    np.maximum.at(begin, graph.task_block, timing.task_begin)
    tasks = np.flatnonzero(mine[graph.task_port])
    blocks = graph.task_block[tasks]
    begin[blocks] = timing.makespan
    end[blocks] = 0
    np.minimum.at(begin, blocks, timing.task_begin[tasks])
    np.maximum.at(end, blocks, timing.task_begin[tasks] + graph.task_duration[tasks])
    served = np.zeros(graph.blocks, dtype=np.bool_)
    served[blocks] = True
    return Spans(begin, end, served, mine)


def _ready(model: Model, timing: Timing) -> Times:
    """Per block, when it may start."""
    graph = model.graph
    ready: Times = timing.begin[graph.owner]
    fills = graph.kind == 0
    ready[fills] = timing.fill_begin[fills]
    return ready


@dataclass(frozen=True, eq=False)
class _Stream:
    """Accesses of a block of a leaf to a tensor in a memory.

    Parameters
    ----------
    tiles
        The leaf's tile iterations.
    iterations
        Those that have such accesses, in order.
    blocks
        The blocks that these belong to.
    where
        Numbers of the tiles that they access.
    """

    tiles: Tiles
    iterations: Ints
    blocks: Ints
    where: Ints

    def some(self, which: Ints | npt.NDArray[np.bool_]) -> _Stream:
        """Some of them."""
        return _Stream(self.tiles, self.iterations[which], self.blocks[which], self.where[which])


def residents(
    model: Model,
    timing: Timing,
    span: Spans,
    sharing: Sequence[Leaf],
    tensor: str,
    level: int,
    holder: PathHolder,
) -> Residents:
    """The tiles of a holder under a schedule.

    Parameters
    ----------
    model, timing
        The mapping and the schedule.
    span
        When the ports of the holder's component serve blocks.
    sharing
        The leaves that access the tensor through the holder.
    tensor, level, holder
        The tensor, and the holder as the first of these leaves has it.

    Raises
    ------
    UnlikeError
        They do not come and go at constant rates.
    """
    spec, layout = model.lowered.spec, model.layout
    keys = common_keys([layout.tiles[o.number] for o in sharing], holder.depth)
    dtype = timing.finish.dtype
    start = np.full(len(keys), timing.makespan, dtype=dtype)
    end = np.full(len(keys), 0, dtype=dtype)
    elements = np.zeros(len(keys), dtype=np.int64)
    streams: list[_Stream] = []
    for leaf in sharing:
        tiles = layout.tiles[leaf.number]
        where = np.searchsorted(keys, tiles.prefix_keys(holder.depth))
        components = {c.name: c for c in spec.arch.paths[leaf.einsum.name]}
        np.maximum.at(elements, where, tile_elements(tiles, components, tensor, level))
        streams += _streams(model, leaf, tensor, holder.component, where)
    for stream in streams:
        np.minimum.at(start, stream.where, span.begin[stream.blocks])
        np.maximum.at(end, stream.where, span.end[stream.blocks])
    backing = level == 0 and holder.depth == 0
    if backing and not spec.workload.producers(tensor):
        start[:] = 0
    if backing and not spec.workload.readers(tensor):
        end[:] = timing.makespan
    kept = layout.tiles[sharing[0].number].kept[: holder.depth]
    grid = _Grid(kept, keys, _digits(keys, [k.count for k in kept]))
    component = spec.arch.component(sharing[0].einsum.name, holder.component)
    access_bits = sharing[0].einsum.access(tensor).bits_per_value
    families = _families(model, timing, span, grid, start, end, streams)
    which = families.tile
    if grid.growth(elements, len(kept)).any():
        raise UnlikeError
    later = families.end > families.start
    later |= (families.start_growth != families.end_growth).any(axis=0)
    there = np.flatnonzero((families.end >= families.start) & later)
    return Residents(
        tensor,
        tuple(loop.variable for loop in sharing[0].temporal[: holder.depth]),
        kept,
        grid.places[:, which[there]],
        families.first[:, there],
        families.counts[:, there],
        families.start[there],
        families.end[there],
        families.start_growth[:, there],
        families.end_growth[:, there],
        elements[which[there]],
        Fraction(component.bits_per_value.get(tensor, access_bits)),
    )


def _streams(
    model: Model, leaf: Leaf, tensor: str, component: str, where: Ints
) -> Iterator[_Stream]:
    layout = model.layout
    tiles, base = layout.tiles[leaf.number], layout.bases[leaf.number]
    for index, block in enumerate(layout.blocks[leaf.number]):
        parts = [
            access.iterations
            for access in block.accesses
            if access.component == component and access.tensor == tensor
        ]
        if parts:
            mine = np.unique(np.concatenate(parts))
            blocks = base + mine
            if block.kind != "foreground":
                first, iterations = layout.streams[leaf.number, index]
                blocks = first + np.searchsorted(iterations, mine)
            yield _Stream(tiles, mine, blocks, where[mine])


@dataclass(frozen=True, eq=False)
class _Grid:
    """Tiles, or tile iterations, of which some stand for others.

    Parameters
    ----------
    kept
        The loops.
    keys, places
        Where in the loops they are: as numbers, increasing, and a row per loop.
    """

    kept: Sequence[Kept]
    keys: Ints
    places: Ints

    @cached_property
    def counts(self) -> Ints:
        """Shape (loops, tiles): for how many each stands, itself included."""
        counts = np.ones_like(self.places)
        for k, kept in enumerate(self.kept):
            if kept.cuts:
                counts[k] = kept.multiplicity[self.places[k]]
        return counts

    def some(self, which: Ints | npt.NDArray[np.bool_]) -> _Grid:
        """Some of them."""
        return _Grid(self.kept, self.keys[which], self.places[:, which])

    def growth(self, values: Times, depth: int) -> Times:
        """By how much values grow with each copy, per loop.

        Each value is the least or the largest of some that grow at constant rates, so that it is
        a concave or convex function of the numbers of the copies: it grows at a constant rate
        itself if it does so between what is looked at before, at and behind the copies.

        Parameters
        ----------
        values
            The values.
        depth
            In how many of the loops they grow at constant rates. In the others it is enough that
            convex ones do not become less.

        Raises
        ------
        UnlikeError
            They do not.
        """
        kept, keys, places = self.kept, self.keys, self.places
        growth = np.full((len(kept), len(keys)), 0, dtype=values.dtype)
        copied: list[tuple[int, Ints, Ints]] = []
        width = 1
        for k in range(len(kept) - 1, -1, -1):
            for cut in kept[k].cuts:
                if cut.place < 2 * cut.period or cut.place + cut.period > kept[k].count:
                    raise UnlikeError
                stand = np.flatnonzero(
                    (places[k] >= cut.place - cut.period) & (places[k] < cut.place)
                )
                before = self._found(keys[stand] - cut.period * width)
                after = self._found(keys[stand] + cut.period * width)
                grown = growth[k, stand] = values[stand] - values[before]
                straight = values[after] - values[stand] == (cut.copies + 1) * grown
                if (grown < 0).any() or (k < depth and not straight.all()):
                    raise UnlikeError
                copied.append((k, stand, before))
            width *= kept[k].count
        # How much they grow in one loop must not depend on another one.
        for loop, stand, before in copied:
            for k in range(depth):
                if k != loop < depth and (growth[k, stand] != growth[k, before]).any():
                    raise UnlikeError
        return growth

    def _found(self, wanted: Ints) -> Ints:
        if not len(wanted):
            return wanted
        found = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        if (self.keys[found] != wanted).any():
            raise UnlikeError
        return found


@dataclass(frozen=True, eq=False)
class _Families:
    """Which tile each family is of; the others as in `Residents`."""

    tile: Ints
    first: Ints
    counts: Ints
    start: Times
    end: Times
    start_growth: Times
    end_growth: Times


def _families(
    model: Model,
    timing: Timing,
    span: Spans,
    grid: _Grid,
    start: Times,
    end: Times,
    streams: Sequence[_Stream],
) -> _Families:
    """Tiles and their copies as families that come and go at constant rates.

    Parameters
    ----------
    model, timing, span
        The schedule.
    grid, start, end
        The tiles that are looked at, and when they are resident.
    streams
        The accesses to them.
    """
    depth = len(grid.kept)
    try:
        for stream in streams:
            if not stream.tiles.whole:
                _check_begins(stream.some(~span.served[stream.blocks]), depth, span.begin)
        return _Families(
            np.arange(len(start)),
            np.zeros_like(grid.counts),
            grid.counts,
            start,
            end,
            grid.growth(start, depth),
            grid.growth(end, depth),
        )
    except UnlikeError:
        if not depth:
            raise
        return _apart(_lines(model, timing, span, grid, streams), grid, start, end)


def _check_begins(stream: _Stream, depth: int, begin: Times) -> None:
    """Check that what begins when the last of several ports does, does so at constant rates.

    The first of such accesses to a tile would be neither the least nor the largest of what grows
    at constant rates.
    """
    tiles, some = stream.tiles, stream.iterations
    grid = _Grid(tiles.kept, tiles.keys[some], tiles.places[:, some])
    grid.growth(begin[stream.blocks], depth)


@dataclass(frozen=True, eq=False)
class _Line:
    """Times that grow at constant rates.

    Parameters
    ----------
    there
        Per tile, whether it has one.
    value, growth
        Per tile, the time; and by how much it grows with each copy, a row per loop.
    """

    there: npt.NDArray[np.bool_]
    value: Times
    growth: Times


@dataclass(frozen=True)
class _Lines:
    """What tiles' times are made of.

    Parameters
    ----------
    starts
        The start is the least of the largest of each of these.
    ends
        The end is the largest of these.
    """

    starts: list[list[_Line]]
    ends: list[_Line]


def _lines(
    model: Model, timing: Timing, span: Spans, grid: _Grid, streams: Sequence[_Stream]
) -> _Lines:
    """What tiles' starts and ends are made of, port by port."""
    graph = model.graph
    lines = _Lines([], [])
    ready = _ready(model, timing)
    finish = timing.task_begin + graph.task_duration
    for whole in streams:
        served = span.served[whole.blocks]
        alone = whole.some(~served)
        beginnings: list[_Line] = []
        if len(alone.where):
            beginnings.append(_line(grid, alone.where, ready[alone.blocks], largest=False))
            lines.ends.append(_line(grid, alone.where, ready[alone.blocks], largest=True))
        for port in range(graph.ports):
            of_block = np.full(graph.blocks, -1, dtype=np.int64)
            mine = np.flatnonzero(graph.task_port == port)
            of_block[graph.task_block[mine]] = mine
            stream = whole.some(served) if span.ports[port] else alone
            tasks = of_block[stream.blocks]
            has = tasks >= 0
            if not has.any():
                continue
            tasks, where = tasks[has], stream.where[has]
            begin = _line(grid, where, timing.task_begin[tasks], largest=False)
            lines.ends.append(_line(grid, where, finish[tasks], largest=True))
            if span.ports[port]:
                lines.starts.append([begin])
            elif has.all():
                beginnings.append(begin)
            else:
                raise UnlikeError  # the first to begin need not be the first in order
        if beginnings:
            lines.starts.append(beginnings)
    return lines


def _line(grid: _Grid, where: Ints, times: Times, *, largest: bool) -> _Line:
    """Per tile the least or largest of some times, which are in order."""
    there = np.zeros(len(grid.keys), dtype=np.bool_)
    there[where] = True
    value = np.full(len(there), 0 if largest else times.max(), dtype=times.dtype)
    (np.maximum if largest else np.minimum).at(value, where, times)
    growth = np.full(grid.places.shape, 0, dtype=times.dtype)
    growth[:, there] = grid.some(there).growth(value[there], len(grid.kept))
    return _Line(there, value, growth)


Affine = tuple[int, tuple[int, ...]]
"""A time, and by how much it grows with each copy, per loop."""


def _apart(lines: _Lines, grid: _Grid, start: Times, end: Times) -> _Families:
    """Take copies apart where another port becomes the first or the last one."""
    rows: list[tuple[int, Copies, Copies, Affine, Affine]] = []
    single = (0,) * len(grid.kept)
    for tile in range(len(grid.keys)):
        counts = tuple(grid.counts[:, tile].tolist())
        here = (int(start[tile]), single), (int(end[tile]), single)
        if all(count == 1 for count in counts) or here[1] < here[0]:
            rows.append((tile, single, counts, *here))
            continue
        starts = [_of(tile, group) for group in lines.starts]
        pieces = _pieces([s for s in starts if s], _of(tile, lines.ends), single, counts)
        for first, mine, *pair in pieces:
            if not any(first) and (pair[0][0], pair[1][0]) != (here[0][0], here[1][0]):
                raise UnlikeError
            rows.append((tile, first, mine, pair[0], pair[1]))
            if len(rows) > MOST_PIECES:
                raise UnlikeError

    def column(values: Sequence[int]) -> Times:
        return np.array(values, dtype=start.dtype)

    def table(values: Sequence[tuple[int, ...]], dtype: npt.DTypeLike) -> Times:
        return np.array(values, dtype=dtype).reshape(len(rows), len(grid.kept)).T

    return _Families(
        np.array([row[0] for row in rows], dtype=np.int64),
        table([row[1] for row in rows], np.int64),
        table([row[2] for row in rows], np.int64),
        column([row[3][0] for row in rows]),
        column([row[4][0] for row in rows]),
        table([row[3][1] for row in rows], start.dtype),
        table([row[4][1] for row in rows], start.dtype),
    )


def _of(tile: int, lines: Sequence[_Line]) -> list[Affine]:
    """The lines of a tile."""
    return [
        (int(line.value[tile]), tuple(line.growth[:, tile].tolist()))
        for line in lines
        if line.there[tile]
    ]


def _pieces(
    starts: Sequence[Sequence[Affine]], ends: Sequence[Affine], first: Copies, counts: Copies
) -> Iterator[tuple[Copies, Copies, Affine, Affine]]:
    """Parts of copies throughout which one line is the start and one is the end.

    Parameters
    ----------
    starts, ends
        The start is the least of the largest of each group; the end is the largest.
    first, counts
        The copies.
    """
    todo = [(first, counts)]
    while todo:
        first, counts = todo.pop()
        start = _least_of_largest(starts, first, counts)
        end = _outermost(ends, first, counts, 1)
        if isinstance(start, _Split):
            todo += _parts(first, counts, start)
        elif isinstance(end, _Split):
            todo += _parts(first, counts, end)
        else:
            yield first, counts, (_value(start, first), start[1]), (_value(end, first), end[1])


@dataclass(frozen=True)
class _Split:
    """After how many copies in a loop others begin."""

    loop: int
    count: int


def _parts(first: Copies, counts: Copies, split: _Split) -> list[tuple[Copies, Copies]]:
    """Copies in two parts, the first one last."""
    k, n = split.loop, split.count
    rest = (*first[:k], first[k] + n, *first[k + 1 :])
    return [
        (rest, (*counts[:k], counts[k] - n, *counts[k + 1 :])),
        (first, (*counts[:k], n, *counts[k + 1 :])),
    ]


def _value(line: Affine, copies: Copies) -> int:
    return line[0] + sum(n * g for n, g in zip(copies, line[1], strict=True))


def _least_of_largest(
    groups: Sequence[Sequence[Affine]], first: Copies, counts: Copies
) -> Affine | _Split:
    """The least of the largest line of each group, or where to part the copies."""
    largest: list[Affine] = []
    for group in groups:
        found = _outermost(group, first, counts, 1)
        if isinstance(found, _Split):
            return found
        largest.append(found)
    return _outermost(largest, first, counts, -1)


def _outermost(
    lines: Sequence[Affine], first: Copies, counts: Copies, sign: int
) -> Affine | _Split:
    """The line that is the largest (the least) throughout, or where to part the copies."""
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
            return _Split(loop, min(count, spans[loop]))
    return best


def _digits(keys: Ints, radices: Sequence[int]) -> Ints:
    digits = np.zeros((len(radices), len(keys)), dtype=np.int64)
    rest = keys.copy()
    for k in range(len(radices) - 1, -1, -1):
        digits[k] = rest % radices[k]
        rest //= radices[k]
    return digits
