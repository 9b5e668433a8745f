"""The start times of a schedule as affine pieces, per leaf and block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from polylat.engine.solution import Solution
from polylat.lowering.iterations import IterationTable
from polylat.schedule.arrays import Ints, Times, widened
from polylat.schedule.pieces import Pieces, merge_pieces

__all__ = ["BlockStarts", "Starts", "block_starts", "build_starts", "piece_per_sample"]


@dataclass(frozen=True, eq=False)
class BlockStarts:
    """The starts and services of one block of a leaf, in all its tile iterations.

    Parameters
    ----------
    leaf, block
        The number of the leaf, and the index of the block among its blocks.
    ready
        When the block may start: the start of its tile iteration, or a fill's own start.
    tasks
        Port → start and duration of its services of the block.
    """

    leaf: int
    block: int
    ready: Pieces
    tasks: Mapping[int, Pieces]


@dataclass(frozen=True, eq=False)
class Starts:
    """All start times of a schedule.

    Parameters
    ----------
    scale
        Steps of time per unit of time.
    blocks
        The blocks of all leaves.
    """

    scale: int
    blocks: tuple[BlockStarts, ...]

    def blocks_of(self, leaf: int) -> tuple[BlockStarts, ...]:
        """Return the blocks of a leaf.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        tuple of BlockStarts
            Its blocks.
        """
        return tuple(s for s in self.blocks if s.leaf == leaf)

    @property
    def piece_count(self) -> int:
        """Number of affine pieces."""
        return sum(
            s.ready.size + sum(pieces.size for pieces in s.tasks.values()) for s in self.blocks
        )

    @property
    def service_count(self) -> int:
        """Number of services by a port."""
        return sum(f.points for s in self.blocks for f in s.tasks.values())


def build_starts(solution: Solution) -> Starts:
    """Represent a schedule by few affine pieces.

    Parameters
    ----------
    solution
        The schedule, with its model.

    Returns
    -------
    Starts
        The start times of all tile iterations, merged into as few pieces as `merge_pieces` finds.
    """
    return Starts(
        solution.scale,
        tuple(
            BlockStarts(
                s.leaf,
                s.block,
                merge_pieces(s.ready),
                {port: merge_pieces(f) for port, f in s.tasks.items()},
            )
            for s in block_starts(solution)
        ),
    )


def block_starts(solution: Solution) -> tuple[BlockStarts, ...]:
    """Represent a schedule by affine pieces, one per event and sampled tile iteration.

    Parameters
    ----------
    solution
        The schedule, with its model.

    Returns
    -------
    tuple of BlockStarts
        The blocks of all leaves.
    """
    model, timing = solution.model, solution.schedule
    graph, layout = model.graph, model.layout
    order = np.argsort(graph.task_block, kind="stable")
    blocks = graph.task_block[order]
    found = []
    for leaf, tiles in enumerate(layout.tiles):
        for index, stream in enumerate(layout.streams[leaf]):
            first, iterations = stream.first, stream.iterations
            ready = timing.ready[stream.span]
            low, high = np.searchsorted(blocks, [first, first + len(iterations)])
            of_block = order[low:high]
            tasks = {}
            for port in np.unique(graph.task_port[of_block]).tolist():
                on_port = of_block[graph.task_port[of_block] == port]
                tasks[port] = piece_per_sample(
                    tiles,
                    iterations[graph.task_block[on_port] - first],
                    timing.task_begin[on_port],
                    widened(graph.task_duration[on_port]),
                )
            pieces = piece_per_sample(tiles, iterations, ready, ready * 0)
            found.append(BlockStarts(leaf, index, pieces, tasks))
    return tuple(found)


def piece_per_sample(
    tiles: IterationTable, iterations: Ints, start: Times, duration: Times
) -> Pieces:
    """Return the affine pieces of an event, one per sampled tile iteration.

    A sampled tile iteration in the period before a skipped range represents its translates in that
    range: its times grow by a constant per period, the difference to one period earlier.

    Parameters
    ----------
    tiles
        The leaf's tile iterations.
    iterations
        Shape (n,): the sampled tile iterations that have the event, increasing.
    start, duration
        Shape (n,): the start time and the duration of each, in steps of 1/scale.

    Returns
    -------
    Pieces
        n pieces, which cover the skipped tile iterations too.
    """
    digits = tiles.digits[:, iterations]
    pieces = Pieces.of_points(digits, start, duration)
    if tiles.whole:
        return pieces
    stride, count = pieces.stride.copy(), pieces.count.copy()
    rate = pieces.rate.copy()
    for k, kept in enumerate(tiles.kept):
        earlier = tiles.earlier[k, iterations]
        periodic = np.flatnonzero(earlier >= 0)
        if not len(periodic):
            continue
        before = np.searchsorted(iterations, earlier[periodic])
        assert (iterations[before] == earlier[periodic]).all(), "checked by the engine"
        place = tiles.places[k, iterations[periodic]]
        stride[k, periodic] = kept.period_lengths[place]
        count[k, periodic] = kept.multiplicity[place]
        rate[k, periodic] = start[periodic] - start[before]
    return Pieces(pieces.low, stride, count, start, rate, duration)
