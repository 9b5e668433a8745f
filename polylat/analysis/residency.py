"""Residency of a holder's tiles as affine pieces, and the access times that it is derived from.

A sampled tile represents its translates in the skipped ranges of the loops above the holder: k
periods later, it starts and ends k times a constant later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from polylat.analysis.levels import ChangeSeries
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.lowering.sampling import LoopSample
from polylat.schedule.arrays import Ints, Times

__all__ = [
    "AccessStream",
    "HolderResidency",
    "IrregularResidencyError",
    "Periods",
    "ServiceSpans",
    "access_streams",
    "service_spans",
]

Periods = tuple[int, ...]
"""Number of periods later, per loop."""


class IrregularResidencyError(Exception):
    """Residency cannot be extrapolated: skipped tiles do not start or end at constant rates."""


@dataclass(frozen=True, eq=False)
class HolderResidency:
    """Residency of the tiles of one holder, as pieces that start and end at constant rates.

    Parameters
    ----------
    tensor
        The holder's tensor.
    variables, kept
        Per loop above the holder: its rank variable, and its sampled iterations.
    places
        Shape (loops, pieces): the sampled tile of each piece, as places among the sampled
        iterations; pieces are in lexicographic order.
    first, counts
        Shape (loops, pieces): how many periods after the sampled tile the first tile of the piece
        is, and the number of its tiles.
    start, end
        Shape (pieces,): when the first tile of the piece is resident, in steps of 1/scale.
    start_growth, end_growth
        Shape (loops, pieces): increase of start and end per period.
    elements
        Shape (pieces,): the number of elements of a tile.
    bits_per_value
        Bits per element.
    """

    tensor: str
    variables: tuple[str, ...]
    kept: tuple[LoopSample, ...]
    places: Ints
    first: Ints
    counts: Ints
    start: Times
    end: Times
    start_growth: Times
    end_growth: Times
    elements: Times
    bits_per_value: Fraction

    @cached_property
    def bases(self) -> Ints:
        """Indices of the loops for the first tile of each piece, shape (loops, pieces)."""
        rows = [kept.digits[row] for kept, row in zip(self.kept, self.places, strict=True)]
        return np.array(rows, dtype=np.int64).reshape(self.places.shape) + self.first * self.strides

    @cached_property
    def strides(self) -> Ints:
        """Iterations per period, shape (loops, pieces)."""
        rows = [kept.period_lengths[row] for kept, row in zip(self.kept, self.places, strict=True)]
        return np.array(rows, dtype=np.int64).reshape(self.places.shape)

    @cached_property
    def latest(self) -> Times:
        """End of the last tile of each piece, shape (pieces,)."""
        grown: Times = self.end + ((self.counts - 1) * self.end_growth).sum(axis=0)
        return grown

    def span(self, piece: int, periods: Sequence[int]) -> tuple[int, int]:
        """Return when a tile is resident.

        Parameters
        ----------
        piece
            The index of its piece.
        periods
            Per loop, how many periods after the first tile of the piece it is.

        Returns
        -------
        (start, end)
            In steps of 1/scale.
        """
        start, end = int(self.start[piece]), int(self.end[piece])
        for k, times in enumerate(periods):
            if times:
                start += times * int(self.start_growth[k, piece])
                end += times * int(self.end_growth[k, piece])
        return start, end

    def index(self, piece: int, periods: Sequence[int]) -> tuple[int, ...]:
        """Return the indices of a tile.

        Parameters
        ----------
        piece
            The index of its piece.
        periods
            Per loop, how many periods after the first tile of the piece it is.

        Returns
        -------
        tuple of int
            The indices of the loops above the holder.
        """
        return tuple(
            int(self.bases[k, piece]) + times * int(self.strides[k, piece])
            for k, times in enumerate(periods)
        )

    def every(self) -> Iterator[tuple[int, Periods]]:
        """List all tiles that are ever resident, in lexicographic order.

        Yields
        ------
        (piece, periods)
            The index of the piece, and per loop how many periods after its first tile the tile is.
        """
        for pieces, periods in self._walk(0, 0, len(self.start)):
            for piece in pieces:
                offsets = tuple(
                    times - first
                    for times, first in zip(periods, self.first[:, piece].tolist(), strict=True)
                )
                counts = self.counts[:, piece].tolist()
                if all(0 <= times < count for times, count in zip(offsets, counts, strict=True)):
                    start, end = self.span(piece, offsets)
                    if start < end:
                        yield piece, offsets

    def _walk(self, loop: int, low: int, high: int) -> Iterator[tuple[range, Periods]]:
        """Yield the pieces of each tile, and its periods after the sampled tile."""
        if loop == len(self.kept):
            if low < high:
                yield range(low, high), ()
            return
        some, starts = np.unique(self.places[loop, low:high], return_index=True)
        bounds = [*(low + starts).tolist(), high]
        where = dict(zip(some.tolist(), pairwise(bounds), strict=True))
        for place, times in _iterations(self.kept[loop], where):
            for pieces, periods in self._walk(loop + 1, *where[place]):
                yield pieces, (times, *periods)

    def at(self, time: int) -> list[tuple[int, Periods]]:
        """List the tiles that are resident at an instant, in lexicographic order.

        Parameters
        ----------
        time
            The instant, in steps of 1/scale.

        Returns
        -------
        list of (piece, periods)
            As in `every`.
        """
        found: list[tuple[int, Periods]] = []
        for piece in np.flatnonzero((self.start <= time) & (self.latest > time)).tolist():
            columns = (self.counts, self.start_growth, self.end_growth)
            rows = list(zip(*(way[:, piece].tolist() for way in columns), strict=True))
            start, end = int(self.start[piece]), int(self.latest[piece])
            found += [(piece, periods) for periods in _resident(rows, start, end, time)]
        if any(kept.cuts for kept in self.kept):
            found.sort(key=lambda item: self.index(*item))
        return found

    def changes(self, denominator: int) -> ChangeSeries:
        """Return the changes that the tiles make to the memory's level.

        Parameters
        ----------
        denominator
            A common denominator of the bits per element.

        Returns
        -------
        ChangeSeries
            The changes, in bits times `denominator`.
        """
        bits = self.elements.astype(object) * int(self.bits_per_value * denominator)
        return ChangeSeries(
            np.concatenate((self.start, self.end)),
            np.concatenate((self.start_growth, self.end_growth), axis=1),
            np.concatenate((self.counts, self.counts), axis=1),
            np.concatenate((bits, -bits)),
        )


def _iterations(kept: LoopSample, present: dict[int, tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield all iterations of a loop as (place, periods after it)."""
    done = 0
    for cut in kept.cuts:
        yield from ((place, 0) for place in range(done, cut.place) if place in present)
        repeated = [place for place in range(cut.place - cut.period, cut.place) if place in present]
        if repeated:
            for times in range(1, cut.periods + 1):
                yield from ((place, times) for place in repeated)
        done = cut.place
    yield from ((place, 0) for place in range(done, kept.count) if place in present)


def _resident(
    rows: Sequence[tuple[int, int, int]], start: int, end: int, time: int
) -> Iterator[Periods]:
    """Yield the tiles of a piece that are resident at an instant, as periods.

    Parameters
    ----------
    rows
        Per loop: the number of tiles, and the increase of their starts and ends per period.
    start, end
        The start of the first tile, and the end of the last one.
    time
        The instant.
    """
    if not rows:
        if start <= time < end:
            yield ()
        return
    (count, start_step, end_step), *rest = rows
    end -= (count - 1) * end_step
    low = max(0, (time - end) // end_step + 1) if end_step else 0
    high = min(count - 1, (time - start) // start_step) if start_step else count - 1
    for times in range(low, high + 1):
        for periods in _resident(rest, start + times * start_step, end + times * end_step, time):
            yield (times, *periods)


@dataclass(frozen=True, eq=False)
class ServiceSpans:
    """When the ports of a component serve each block.

    Parameters
    ----------
    begin, end
        Shape (blocks,): the start of the first service of the block by one of these ports, and
        the end of the last one. Where none of them serves it: when the last port of the block
        starts, and when the block has finished.
    served
        Shape (blocks,): whether one of these ports serves the block.
    ports
        Shape (ports,): whether a port belongs to the component.
    """

    begin: Times
    end: Times
    served: npt.NDArray[np.bool_]
    ports: npt.NDArray[np.bool_]


def service_spans(solution: Solution, component: str) -> ServiceSpans:
    """Return when the ports of a component serve each block.

    Parameters
    ----------
    solution
        The schedule, with its model.
    component
        The component.

    Returns
    -------
    ServiceSpans
        The times, in steps of 1/scale.
    """
    model, timing = solution.model, solution.schedule
    graph = model.graph
    own_ports = np.array([key.component == component for key in model.costs.ports], dtype=np.bool_)
    begin, end = timing.ready.copy(), timing.passed.copy()
    np.maximum.at(begin, graph.task_block, timing.task_begin)
    tasks = np.flatnonzero(own_ports[graph.task_port])
    blocks = graph.task_block[tasks]
    begin[blocks] = timing.makespan
    end[blocks] = 0
    np.minimum.at(begin, blocks, timing.task_begin[tasks])
    np.maximum.at(end, blocks, timing.task_begin[tasks] + graph.task_duration[tasks])
    served = np.zeros(graph.blocks, dtype=np.bool_)
    served[blocks] = True
    return ServiceSpans(begin, end, served, own_ports)


@dataclass(frozen=True, eq=False)
class AccessStream:
    """Accesses of one block of a leaf to a tensor in a memory.

    Parameters
    ----------
    tiles
        The leaf's tile iterations.
    iterations
        Shape (n,): the sampled tile iterations that have such accesses, increasing.
    blocks
        Shape (n,): their blocks.
    where
        Shape (n,): the tiles that they access, as indices into the holder's sampled tiles.
    """

    tiles: IterationTable
    iterations: Ints
    blocks: Ints
    where: Ints

    def select(self, which: Ints | npt.NDArray[np.bool_]) -> AccessStream:
        """Select some of the accesses.

        Parameters
        ----------
        which
            Indices, or a mask of shape (n,).

        Returns
        -------
        AccessStream
            The selected accesses.
        """
        return AccessStream(
            self.tiles, self.iterations[which], self.blocks[which], self.where[which]
        )


def access_streams(
    model: Model, leaf: Leaf, tensor: str, component: str, where: Ints
) -> Iterator[AccessStream]:
    """Collect the accesses of a leaf to a tensor in a memory, block by block.

    Parameters
    ----------
    model
        The mapping.
    leaf
        The leaf.
    tensor, component
        The tensor and the memory.
    where
        Shape (tile iterations,): the tile of each sampled tile iteration of the leaf.

    Yields
    ------
    AccessStream
        The accesses of one block.
    """
    layout = model.layout
    for stream, iterations in layout.accesses_to(leaf.number, tensor, component):
        blocks = stream.numbers_in(iterations)
        yield AccessStream(layout.tiles[leaf.number], iterations, blocks, where[iterations])
