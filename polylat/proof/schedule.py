"""A schedule as a value: per leaf and block, families of what starts when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from polylat.lowering.scan import Ints
from polylat.lowering.tiles import Tiles
from polylat.model import Model
from polylat.proof.families import Families, merged
from polylat.schedule.graph import Times
from polylat.schedule.timing import Timing

__all__ = ["Schedule", "Stream", "copied", "schedule_of", "streams_of"]


@dataclass(frozen=True, eq=False)
class Stream:
    """What one block of a leaf does in all its tile iterations.

    Parameters
    ----------
    leaf, block
        The leaf, and the index of the block among its blocks.
    ready
        When the block may start: the tile iteration's start, or a fill's own.
    tasks
        Port → when the port serves the block, and how long.
    """

    leaf: int
    block: int
    ready: Families
    tasks: Mapping[int, Families]


@dataclass(frozen=True, eq=False)
class Schedule:
    """When everything happens, in integer steps of time.

    Parameters
    ----------
    scale
        Steps per unit of time.
    streams
        All blocks of all leaves.
    """

    scale: int
    streams: tuple[Stream, ...]

    def of_leaf(self, leaf: int) -> tuple[Stream, ...]:
        """The blocks of a leaf."""
        return tuple(s for s in self.streams if s.leaf == leaf)

    @property
    def pieces(self) -> int:
        """Number of families."""
        return sum(
            s.ready.size + sum(families.size for families in s.tasks.values()) for s in self.streams
        )

    @property
    def tasks(self) -> int:
        """Number of services by a port."""
        return sum(f.points for s in self.streams for f in s.tasks.values())


def schedule_of(model: Model, timing: Timing) -> Schedule:
    """A timing as a schedule of few families."""
    streams = streams_of(model, timing)
    return Schedule(
        model.costs.scale,
        tuple(
            Stream(
                s.leaf, s.block, merged(s.ready), {port: merged(f) for port, f in s.tasks.items()}
            )
            for s in streams
        ),
    )


def streams_of(model: Model, timing: Timing) -> tuple[Stream, ...]:
    """A timing as families: one per thing that is looked at."""
    graph, layout = model.graph, model.layout
    order = np.argsort(graph.task_block, kind="stable")
    blocks = graph.task_block[order]
    found = []
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        for index, block in enumerate(layout.blocks[leaf]):
            if block.kind == "foreground":
                first, iterations = base, np.arange(tiles.size)
            else:
                first, iterations = layout.streams[leaf, index]
            if block.kind == "fill":
                ready = timing.fill_begin[first : first + len(iterations)]
            else:
                ready = timing.begin[base + iterations]
            low, high = np.searchsorted(blocks, [first, first + len(iterations)])
            mine = order[low:high]
            tasks = {}
            for port in np.unique(graph.task_port[mine]).tolist():
                some = mine[graph.task_port[mine] == port]
                tasks[port] = copied(
                    tiles,
                    iterations[graph.task_block[some] - first],
                    timing.task_begin[some],
                    graph.task_duration[some],
                )
            families = copied(tiles, iterations, ready, ready * 0)
            found.append(Stream(leaf, index, families, tasks))
    return tuple(found)


def copied(tiles: Tiles, iterations: Ints, start: Times, duration: Times) -> Families:
    """Families of an event, from the tile iterations that are looked at.

    Parameters
    ----------
    tiles
        The leaf's tile iterations.
    iterations
        Those that have the event, increasing.
    start, duration
        The time of each, and how long it lasts.
    """
    digits = tiles.digits[:, iterations]
    families = Families.of_points(digits, start, duration)
    if tiles.whole:
        return families
    stride, count = families.stride.copy(), families.count.copy()
    rate = families.rate.copy()
    for k, kept in enumerate(tiles.kept):
        earlier = tiles.earlier[k, iterations]
        mine = np.flatnonzero(earlier >= 0)
        if not len(mine):
            continue
        at = np.searchsorted(iterations, earlier[mine])
        assert (iterations[at] == earlier[mine]).all(), "checked when the schedule was made"
        place = tiles.places[k, iterations[mine]]
        stride[k, mine] = kept.periods[place]
        count[k, mine] = kept.multiplicity[place]
        rate[k, mine] = start[mine] - start[at]
    return Families(families.low, stride, count, start, rate, duration)
