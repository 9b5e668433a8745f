"""Numbers the sources of precedences, and makes rows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from polylat.engine.stalls import stall_lags
from polylat.lowering.corners import subsets
from polylat.lowering.iterations import IrregularError
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.mixed_radix import predecessor, successor
from polylat.lowering.numbering import Numbering
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.arrays import Ints, Mask, Times
from polylat.schedule.boxes import Rows, Sources
from polylat.schedule.event_families import EventFamilies
from polylat.schedule.graph import TaskGraph
from polylat.schedule.grid import Grid

__all__ = ["RowBuilder"]

_SPARSEST = 16
"""Largest number of grid points per tile iteration."""


class RowBuilder:
    """Numbers the sources of precedences, and makes rows of them.

    Points are those of a leaf's grid. Arrays of loop indices have the loops first.

    Parameters
    ----------
    lowered, layout, graph, options, shifts
        As for `extension_rules`.

    Attributes
    ----------
    grid, families, width
        The grids of the leaves, the event families, and the largest number of loops.
    users
        Tensor → the leaves that access it, in tree order.
    digits, skipped, period
        Per leaf, shape (depth, points): the loop indices of all points, and the number and the
        length of the periods that each represents.
    keys
        Per leaf, the points of its tile iterations.
    sources, numbered
        The sources so far, and their number.
    undecided
        (leaf, point) of targets with a precedence that does not move with their box.
    tails
        (leaf, loop) → number of iterations before the end of each range that must be sampled, so
        that precedences of rigid pipelines move with their boxes.

    Raises
    ------
    IrregularError
        Few of the grid's points are tile iterations.
    """

    def __init__(
        self,
        lowered: LoweredMapping,
        layout: Numbering,
        graph: TaskGraph,
        options: TransferOptions,
        shifts: Mapping[int, Sequence[int]],
    ) -> None:
        self.lowered = lowered
        self.leaves = lowered.leaves
        self.users = lowered.users
        self.layout = layout
        self.graph = graph
        self.options = options
        self.shifts = shifts
        self.grid = _grid(layout)
        self.width = max(layout.depth, 1)
        self.digits = [self.grid.columns(a, self.grid.digit) for a in range(len(self.leaves))]
        self.skipped = [self.grid.columns(a, self.grid.skipped) for a in range(len(self.leaves))]
        self.period = [self.grid.columns(a, self.grid.period) for a in range(len(self.leaves))]
        self.keys = [tiles.keys for tiles in layout.tiles]
        if sum(self.grid.sizes) > _SPARSEST * layout.iterations:
            raise IrregularError("few combinations of loop indices are tile iterations")
        self.families = EventFamilies.of(graph, self.grid, self.keys)
        self.undecided: list[tuple[int, int]] = []
        self.tails: dict[tuple[int, int], int] = {}
        self.sources: list[Sources] = []
        self.numbered = 0
        self._firsts: list[int] = []
        self._stalls = stall_lags(layout, graph)
        self._itself: dict[int, Ints] = {}
        self._before: dict[int, Ints] = {}

    def source(
        self,
        leaf: int,
        keys: Ints,
        other: Ints | int,
        base: Ints,
        same: Ints | int,
        slopes: Ints | None = None,
    ) -> Ints:
        """Number sources.

        Parameters
        ----------
        leaf, keys
            The leaf of the targets, and their points, shape (n,).
        other, base
            The leaf of the sources (or of each), and their loop indices for k = 0, shape
            (depth, n).
        same
            In how many outer loops the sources move as their targets do, see `Sources`.
        slopes
            By how many iterations the sources move, shape (depth, depth of `leaf`, n); None: see
            `same`.

        Returns
        -------
        numpy.ndarray
            Numbers of sources, shape (n,).
        """
        n = len(keys)
        shape = (n,)
        wide = np.zeros((n, self.width), dtype=np.int64)
        wide[:, : len(base)] = base.T
        which = np.broadcast_to(np.int64(-1), shape)
        matrices = np.zeros((0, self.width, self.width), dtype=np.int64)
        if slopes is not None:
            moving = np.flatnonzero(slopes.any(axis=(0, 1)))
            which = np.full(n, -1)
            which[moving] = np.arange(len(moving))
            matrices = np.zeros((len(moving), self.width, self.width), dtype=np.int64)
            matrices[:, : slopes.shape[0], : slopes.shape[1]] = slopes[:, :, moving].transpose(
                2, 0, 1
            )
        self.sources.append(
            Sources(
                np.broadcast_to(np.int64(leaf), shape),
                keys,
                np.broadcast_to(np.asarray(other, dtype=np.int64), shape),
                wide,
                np.broadcast_to(np.asarray(same, dtype=np.int64), shape),
                which,
                matrices,
            )
        )
        first = self.numbered
        self._firsts.append(first)
        self.numbered += n
        return np.arange(first, first + n)

    def itself(self, leaf: int) -> Ints:
        """Return, per point of a leaf's grid, the source that is the same point.

        Parameters
        ----------
        leaf
            The leaf.

        Returns
        -------
        numpy.ndarray
            Numbers of sources, shape (points,).
        """
        if leaf not in self._itself:
            digits = self.digits[leaf]
            every = np.arange(digits.shape[1])
            self._itself[leaf] = self.source(leaf, every, leaf, digits, len(digits))
        return self._itself[leaf]

    def before(self, leaf: int) -> Ints:
        """Return, per point of a leaf's grid, the source that is the point before it, or -1.

        Parameters
        ----------
        leaf
            The leaf.

        Returns
        -------
        numpy.ndarray
            Numbers of sources, shape (points,); -1 for the first point.
        """
        if leaf not in self._before:
            digits = self.digits[leaf]
            exists, base, same = self.previous(leaf, digits, len(digits))
            found = np.full(digits.shape[1], -1)
            found[exists] = self.source(leaf, exists, leaf, base, same)
            self._before[leaf] = found
        return self._before[leaf]

    def rows(
        self,
        target: Ints,
        family: Ints | int,
        source: Ints,
        *,
        own: bool = False,
        sound: bool = True,
        lag: Times | int = 0,
    ) -> Rows:
        """Make rows.

        Parameters
        ----------
        target, family, source
            The events that wait, the family of the event that they wait for, and its source.
        own, sound, lag
            As in `Rows`; the same for all rows, or shape (rows,).

        Returns
        -------
        Rows
            One row per target.
        """
        shape = target.shape
        return Rows(
            target,
            np.broadcast_to(np.asarray(family, dtype=np.int64), shape),
            source,
            np.broadcast_to(np.bool_(own), shape),
            np.broadcast_to(np.bool_(sound), shape),
            np.broadcast_to(np.asarray(lag, dtype=self.graph.latency.dtype), shape),
        )

    def previous(self, leaf: int, digits: Ints, depth: int) -> tuple[Ints, Ints, Ints]:
        """Return the last points before the tiles at a depth that contain given points.

        Parameters
        ----------
        leaf, digits, depth
            The leaf, loop indices of points, shape (depth, n), and the depth of the tiles.

        Returns
        -------
        (positions, digits, same)
            Positions of the points that have one, shape (m,); its loop indices, shape (depth, m);
            and in how many outer loops it moves as the given point does, shape (m,).
        """
        found = self.ends(leaf, digits.shape[1])
        found[:depth], same = predecessor(digits[:depth], self.grid.trips[leaf, :depth])
        exists = np.flatnonzero(same)
        return exists, found[:, exists], same[exists]

    def ends(self, leaf: int, count: int) -> Ints:
        """Return the last indices of all loops of a leaf, a number of times.

        Parameters
        ----------
        leaf, count
            The leaf, and the number n of times.

        Returns
        -------
        numpy.ndarray
            Loop indices, shape (depth, n).
        """
        last = self.grid.trips[leaf, : self.grid.depth[leaf]] - 1
        return np.repeat(last[:, None], count, axis=1)

    def translated(
        self,
        leaf: int,
        keys: Ints,
        move: Callable[[Ints, Ints], tuple[Ints, Mask]],
        depth: int,
        *,
        every: bool = False,
    ) -> tuple[Mask, Mask, Ints]:
        """Return the sources of a rule that moves loop indices.

        Parameters
        ----------
        leaf, keys
            The leaf of the targets, and their points, shape (n,).
        move
            (loop indices, positions of their points in `keys`) → loop indices of the sources, and
            whether there are any. It consists of integer divisions and of choices by sign, so that
            it suffices to compare the corners of each box (see `lowering.corners`).
        depth
            Number of outer loops.
        every
            Whether the sources depend on the indices of all loops, not only of the outer ones.

        Returns
        -------
        (exist, alike, digits)
            Whether a target has a source; whether it moves as the target does in the outer loops,
            and not at all in the others, or exists for no member of the box, shape (n,) each; and
            its loop indices for k = 0.
        """
        digits = self.digits[leaf][:, keys]
        base, exists = move(digits, np.arange(len(keys)))
        good = np.ones(len(keys), dtype=np.bool_)
        skipped, period = self.skipped[leaf][:, keys], self.period[leaf][:, keys]
        examined = len(skipped) if every else depth
        boxes = np.flatnonzero(skipped[:examined].any(axis=0))
        digits, start = digits[:, boxes], base[:, boxes]
        distance = skipped[:, boxes] * period[:, boxes]
        wide = [k for k in range(min(examined, len(digits))) if distance[k].any()]
        for subset in subsets(wide):
            corner, predicted = digits.copy(), start.copy()
            for k in subset:
                corner[k] += distance[k]
                if k < depth:
                    predicted[k] += distance[k]
            found, there = move(corner, boxes)
            alike = (there == exists[boxes]) & ((found == predicted).all(axis=0) | ~there)
            good[boxes] &= alike
        return exists, good, base

    def note(self, leaf: int, keys: Ints) -> None:
        """Remember targets with a precedence that does not move with their box.

        Parameters
        ----------
        leaf, keys
            The leaf of the targets, and their points.
        """
        self.undecided += [(leaf, int(key)) for key in keys]

    def targets(self, leaf: int, events: Ints, targets: Ints) -> tuple[Ints, Ints]:
        """Return the events that wait, and their grid points.

        Parameters
        ----------
        leaf, events, targets
            As `storage_reads` returns them, and the leaf that reads.

        Returns
        -------
        (events, keys)
            The events, and their points, shape (n,) each.
        """
        keys = self.keys[leaf][events]
        if len(targets) and targets[0] >= self.layout.iterations:
            index = int(self.graph.sequence[targets[0]])
            return self.families.event(self.families.ready[leaf, index], keys), keys
        return self.families.event(self.families.start[leaf], keys), keys

    def finish(self, leaf: int, *, served: bool) -> tuple[list[int], int]:
        """Return the families whose latest event is the finish of a tile iteration.

        Parameters
        ----------
        leaf
            The leaf.
        served
            Whether it suffices that the tile iteration has been served.

        Returns
        -------
        (families, lag)
            The families, and how long after the latest event the tile iteration has finished, or
            been served.
        """
        families = self.families
        found = [families.start[leaf], *families.finish_of.get(leaf, ())]
        if served:
            return found, 0
        return [*found, *families.late.get(leaf, ())], int(self.graph.foreground_latencies[leaf][0])

    def passing(self, leaf: int, index: int) -> tuple[list[int], int]:
        """Return the families whose latest event ends the service of a separate block.

        Parameters
        ----------
        leaf, index
            The leaf, and the position of the block.

        Returns
        -------
        (families, lag)
            The families of tasks and of beginnings, and how long after the latest event the block
            has passed.
        """
        families = self.families
        found = list(families.tasks_of.get((leaf, index), ()))
        if (leaf, index) in families.ready:
            found.append(families.ready[leaf, index])
        first = self.layout.streams[leaf][index].first
        return found, int(self.graph.latency[first])

    def streams(
        self, leaf: int, kind: str, tensor: str | None = None, level: int | None = None
    ) -> list[int]:
        """Return the positions of the separate blocks of a leaf with given properties.

        Parameters
        ----------
        leaf, kind, tensor, level
            As in `Numbering.stream`; None: any.

        Returns
        -------
        list of int
            Positions among the blocks of the leaf.
        """
        return [
            index
            for index, block in enumerate(self.layout.blocks[leaf])
            if block.kind == kind
            and tensor in (None, block.tensor)
            and level in (None, block.level)
        ]

    def after_blocks(
        self,
        target: Ints,
        block: tuple[int, int],
        source: Ints,
        *,
        own: bool = False,
        served: bool = False,
    ) -> list[Rows]:
        """Make rows that wait for a separate block.

        Parameters
        ----------
        target
            The events that wait.
        block
            The leaf, and the position of the block.
        source
            Where the block is.
        own
            Whether the block occurs there; else the last one up to there is meant.
        served
            Whether it suffices that the block has been served.

        Returns
        -------
        list of Rows
            The rows.
        """
        families, lag = self.passing(*block)
        latest = self.families.latest_of
        return [
            self.rows(target, f if own else latest[f], source, own=own, lag=0 if served else lag)
            for f in families
        ]

    def after_finish(
        self, target: Ints, leaf: int, source: Ints, *, served: bool = False, sound: bool = True
    ) -> list[Rows]:
        """Make rows that wait for the finish of a tile iteration.

        Parameters
        ----------
        target, leaf, source
            The events that wait, the leaf that they wait for, and where the tile iteration is.
        served
            Whether it suffices that the tile iteration has been served.
        sound
            As in `Rows`.

        Returns
        -------
        list of Rows
            The rows.
        """
        families, lag = self.finish(leaf, served=served)
        rows = [self.rows(target, f, source, sound=sound, lag=lag) for f in families]
        if not served and leaf in self._stalls:
            rows += self._after_stalls(target, leaf, source, sound)
        return rows

    def _after_stalls(self, target: Ints, leaf: int, source: Ints, sound: bool) -> list[Rows]:
        """Make rows that wait for the starts of later tile iterations of a rigid pipeline."""
        lags = self._stalls[leaf]
        rows = []
        start = self.families.start[leaf]
        parts = np.searchsorted(np.array(self._firsts), source, side="right") - 1
        for number in np.unique(parts).tolist():
            here = np.flatnonzero(parts == number)
            of = source[here] - self._firsts[number]
            which, numbers, behind = self._later(self.sources[number], of, len(lags))
            waiting = target[here[which]]
            rows.append(self.rows(waiting, start, numbers, sound=sound, lag=lags[behind - 1]))
        return rows

    def _later(self, part: Sources, which: Ints, reach: int) -> tuple[Ints, Ints, Ints]:
        """Number the tile iterations up to some places behind sources.

        Parameters
        ----------
        part, which
            Sources of one leaf, and the positions of the ones in question, shape (n,).
        reach
            The largest number of places.

        Returns
        -------
        (positions, sources, places)
            Positions in `which`, numbers of sources, and how many places these are behind.
        """
        leaf, other = int(part.leaf[which[0]]), int(part.other[which[0]])
        deep, depth = int(self.grid.depth[other]), int(self.grid.depth[leaf])
        radix = self.grid.trips[other, :deep]
        of = np.repeat(np.arange(len(which)), reach)
        behind = np.tile(np.arange(1, reach + 1), len(which))
        keys = part.target[which]
        skipped, period = self.skipped[leaf][:, keys], self.period[leaf][:, keys]
        slopes = np.zeros((deep, depth, len(which)), dtype=np.int64)
        for k in range(min(deep, depth)):
            slopes[k, k] = np.where(part.same[which] > k, period[k], 0)
        moved = np.flatnonzero(part.slope[which] >= 0)
        matrices = part.slopes[part.slope[which[moved]]]
        slopes[:, :, moved] = matrices[:, :deep, :depth].transpose(1, 2, 0)
        base, exists = successor(part.base[which, :deep].T[:, of], radix, behind)
        good = np.ones(len(of), dtype=np.bool_)
        wide = [k for k in range(depth) if skipped[k].any()]
        for subset in subsets(wide):
            by = sum(slopes[:, k] * skipped[k] for k in subset)
            corner = part.base[which, :deep].T + by
            found, there = successor(corner[:, of], radix, behind)
            alike = (found == base + by[:, of]).all(axis=0)
            alike = (there == exists) & (alike | ~there)
            good &= alike
            if len(subset) == 1 and not alike.all():
                (loop,) = subset
                most = int((behind * period[loop, of])[~alike].max())
                self.tails[leaf, loop] = max(most, self.tails.get((leaf, loop), 0))
        self.note(leaf, np.unique(keys[of[~good]]))
        some = np.flatnonzero(exists & good)
        of, behind = of[some], behind[some]
        numbers = self.source(
            leaf, keys[of], other, base[:, some], part.same[which[of]], slopes[:, :, of]
        )
        return of, numbers, behind


def _grid(layout: Numbering) -> Grid:
    leaves, width = len(layout.tiles), max(layout.depth, 1)
    depth = np.array([tiles.depth for tiles in layout.tiles])
    trips, count = (np.ones((leaves, width), dtype=np.int64) for _ in range(2))
    stride = np.ones((leaves, width), dtype=np.int64)
    runs, places = (np.zeros((leaves, width + 1), dtype=np.int64) for _ in range(2))
    first: list[Ints] = []
    place: list[Ints] = []
    length: list[Ints] = []
    digit: list[Ints] = []
    period: list[Ints] = []
    skipped: list[Ints] = []
    ranges = digits = 0
    for leaf, tiles in enumerate(layout.tiles):
        for k, kept in enumerate(tiles.kept):
            trips[leaf, k], count[leaf, k] = kept.trips, kept.count
            runs[leaf, k], places[leaf, k] = ranges, digits
            starts, at, periods = kept.ranges
            ranges, digits = ranges + len(starts), digits + kept.count
            first.append(starts - periods)
            place.append(at)
            length.append(periods)
            digit.append(kept.digits)
            period.append(kept.period_lengths)
            skipped.append(kept.skipped_periods)
        runs[leaf, tiles.depth :], places[leaf, tiles.depth :] = ranges, digits
        for k in range(tiles.depth - 2, -1, -1):
            stride[leaf, k] = stride[leaf, k + 1] * count[leaf, k + 1]
    none = [np.zeros(0, dtype=np.int64)]
    return Grid(
        depth=depth,
        trips=trips,
        count=count,
        stride=stride,
        runs=runs,
        run_first=np.concatenate(none + first),
        run_place=np.concatenate(none + place),
        run_period=np.concatenate(none + length),
        places=places,
        digit=np.concatenate(none + digit),
        period=np.concatenate(none + period),
        skipped=np.concatenate(none + skipped),
    )
