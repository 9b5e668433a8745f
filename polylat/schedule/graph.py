"""The task graph: which port serves which task for how long, and what waits for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Narrow, Times, date_ranks, widened
from polylat.schedule.compilation import compiled

__all__ = ["LogicalDates", "TaskGraph"]


@dataclass(frozen=True, eq=False)
class LogicalDates:
    """Logical dates of tile iterations: columns of integers, compared lexicographically.

    Parameters
    ----------
    program, skew
        Shape (columns, iterations): without and with the shifts of the Pipelines.
    """

    program: Narrow
    skew: Narrow


@dataclass(frozen=True, eq=False)
class TaskGraph:
    """Tile iterations, blocks, tasks and edges of a mapping.

    *Blocks* 0 … `iterations` − 1 are the foreground blocks, one per tile iteration, and have its
    number; separate fills, read-backs and write-backs follow. A *task* is the part of a block that
    one port serves. A block is *served* when all of its tasks are, and has *passed* a fixed latency
    later. Where only some tile iterations are sampled, these represent the skipped
    ones, and an edge may lead to a target from a source that is some periods later.

    Parameters
    ----------
    leaf_starts
        Shape (iterations,): whether a tile iteration is the first of its leaf.
    leaf
        Shape (iterations,): the leaf of each tile iteration.
    multiplicity
        Shape (iterations,): how many tile iterations, itself included, each one represents.
    owner
        Shape (blocks,): the tile iteration that each block belongs to.
    host
        Shape (blocks,): the tile iteration by whose date a block is served in a skewed order.
    kind
        Shape (blocks,): 0 fill or read-back, 1 foreground, 2 write-back.
    background
        Shape (blocks,): whether a write-back is in the background.
    sequence
        Shape (blocks,): the position of each block among the blocks of its tile iteration.
    latency
        Shape (blocks,): for how many steps a block has been served when it passes.
    task_block, task_port, task_duration
        Shape (tasks,): the block of each task, its port, and for how many steps (> 0) the port
        serves it. Durations are in few bits where they fit.
    ports
        Number of ports.
    edge_source
        Shape (edges,): a block; a foreground block means its tile iteration and all earlier ones of
        its leaf.
    edge_target
        Shape (edges,): what waits for it: the start of a tile iteration (< `iterations`) or of
        another block.
    edge_until
        Shape (edges,): whether the source must have passed, been served, or started (codes of
        `reasons`).
    edge_reason
        Shape (edges,): `FLOW`, `BARRIER` or `CAPACITY` of `reasons`.
    edge_rule
        Shape (edges,): the relation that each edge is of.
    edge_periods
        Shape (loops, edges): how many periods later than `edge_source` the source is, loop by
        loop.
    rigid
        Leaf whose pipeline stalls as a whole → for how many steps each of its tile iterations
        occupies the pipeline: the largest duration of a task of its foreground, shape (tile
        iterations of the leaf,).
    dates
        Logical dates of the tile iterations.
    """

    leaf_starts: Mask
    leaf: Narrow
    multiplicity: Ints
    owner: Narrow
    host: Narrow
    kind: Narrow
    background: Mask
    sequence: Narrow
    latency: Times
    task_block: Narrow
    task_port: Narrow
    task_duration: Times
    ports: int
    edge_source: Narrow
    edge_target: Narrow
    edge_until: Narrow
    edge_reason: Narrow
    edge_rule: Narrow
    edge_periods: Ints
    rigid: Mapping[int, Times]
    dates: LogicalDates

    @property
    def iterations(self) -> int:
        """Number of tile iterations."""
        return len(self.leaf_starts)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self.owner)

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return len(self.task_block)

    @cached_property
    def foreground_latencies(self) -> list[Times]:
        """Per leaf, the different fixed latencies of its tile iterations, increasing."""
        late = self.latency[: self.iterations]
        firsts = np.flatnonzero(self.leaf_starts)
        return [np.unique(mine) for mine in np.split(late, firsts[1:])]

    @cached_property
    def loads(self) -> list[int]:
        """Busy time of every port, skipped tile iterations included, in steps."""
        times = self.multiplicity[self.owner[self.task_block]]
        durations = widened(self.task_duration)
        busy = durations * times.astype(durations.dtype)
        totals = np.full(self.ports, 0, dtype=busy.dtype)
        np.add.at(totals, self.task_port, busy)
        return [int(t) for t in totals]

    @cached_property
    def late(self) -> bool:
        """Whether some block passes later than it is served."""
        return bool((self.latency > 0).any())

    @cached_property
    def rivals(self) -> Mask:
        """Shape (ports,): whether a port serves blocks of two kinds, or of two leaves."""
        width = int(self.sequence.max(initial=0)) + 1
        kind = self.leaf[self.owner].astype(np.int64) * width + self.sequence
        found: Mask = _ports_of_two_kinds(self.task_port, self.task_block, kind, self.ports)
        return found

    @cached_property
    def overtaking(self) -> bool:
        """Whether, in a skewed order, fills that are served ahead may come before other blocks.

        Where a port serves blocks of one kind and leaf only, they do not: hosts are in the order of
        the owners.
        """
        ahead = (self.host != self.owner)[self.task_block]
        return bool(self.rivals[self.task_port[ahead]].any())

    def port_order(self, *, skewed: bool, dtype: Any = np.int64) -> tuple[Ints, Ints]:
        """Return the tasks of each port in the order of their dates.

        Parameters
        ----------
        skewed
            Whether to order by skewed dates rather than by those of the program.
        dtype
            Type of the numbers of tasks: one that they fit in.

        Returns
        -------
        (tasks, start)
            Shape (tasks,): the tasks by port, then date of the host, then kind of block, own blocks
            before hosted ones, date of the tile iteration, and position of the block; shape
            (ports + 1,): where the tasks of each port begin in `tasks`.
        """
        dates = self.dates.skew if skewed else self.dates.program
        rank = date_ranks(dates).astype(dtype, copy=False)
        # Radix sort, least significant key first: each pass keeps the order of equal keys.
        order = np.arange(self.tasks, dtype=dtype)
        order = self._by_block(order, self.sequence, int(self.sequence.max(initial=0)) + 1)
        order = self._by_block(order, rank[self.owner], self.iterations)
        if skewed and not np.array_equal(self.host, self.owner):
            order = self._by_block(order, (self.host != self.owner).astype(np.int8), 2)
            order = self._by_block(order, self.kind, 3)
            order = self._by_block(order, rank[self.host], self.iterations)
        return self._by_port(order)

    def background_last(self, order: Ints) -> Ints:
        """Return the order in which an idle port prefers tasks: background write-backs last.

        Parameters
        ----------
        order
            Shape (tasks,): the tasks by port, then by skewed date.

        Returns
        -------
        numpy.ndarray
            Shape (tasks,): the tasks by port, those of background write-backs last.
        """
        behind = self.background[self.task_block[order]]
        if not behind.any():
            return order
        return self._by_port(np.concatenate((order[~behind], order[behind])))[0]

    def _by_block(self, order: Narrow, key: Narrow, count: int) -> Narrow:
        """Sort tasks by a key of their blocks."""
        found: Narrow = _stably_sorted(order, self.task_block, key, count)[0]
        return found

    def _by_port(self, order: Ints) -> tuple[Ints, Ints]:
        """Sort tasks by port, and return where those of each port begin."""
        found: tuple[Ints, Ints] = _stably_sorted(
            order, self.task_block[:0], self.task_port, self.ports
        )
        return found


@compiled
def _stably_sorted(order: Any, place: Any, key: Any, count: int) -> Any:
    """Sort numbers by key with a counting sort (stable).

    Parameters
    ----------
    order
        Shape (n,): the numbers.
    place
        Where the key of each number is in `key`; empty: at the number.
    key
        The keys, from 0 to `count` − 1.
    count
        Number of keys.

    Returns
    -------
    (numbers, start)
        Shape (n,), of the type of `order`; shape (count + 1,): where those of each key begin.
    """
    direct = len(place) == 0
    start = np.zeros(count + 1, np.int64)
    for number in order:
        start[key[number if direct else place[number]] + 1] += 1
    for k in range(count):
        start[k + 1] += start[k]
    behind = start[:-1].copy()
    found = np.empty_like(order)
    for number in order:
        k = key[number if direct else place[number]]
        found[behind[k]] = number
        behind[k] += 1
    return found, start


@compiled
def _ports_of_two_kinds(task_port: Any, task_block: Any, kind: Any, ports: int) -> Any:
    """Return whether each port serves blocks of two kinds."""
    one_of = np.full(ports, -1, np.int64)
    found = np.zeros(ports, np.bool_)
    for task in range(len(task_port)):
        port, here = task_port[task], kind[task_block[task]]
        if one_of[port] < 0:
            one_of[port] = here
        elif one_of[port] != here:
            found[port] = True
    return found
