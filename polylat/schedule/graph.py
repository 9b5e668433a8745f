"""The task graph: what is to be served by which port, and what waits for what. Plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Dates", "TaskGraph", "ranks", "starts_of"]

Ints = npt.NDArray[np.int64]
Times = npt.NDArray[Any]
"""Times: 64-bit integers where they fit, Python integers (dtype object) where they do not."""


@dataclass(frozen=True, eq=False)
class Dates:
    """Logical dates of tile iterations, as columns compared from the first to the last.

    Parameters
    ----------
    program, skew
        Shape (columns, tile iterations): without and with the shifts of the Pipelines.
    """

    program: Ints
    skew: Ints


@dataclass(frozen=True, eq=False)
class TaskGraph:
    """Tile iterations, blocks, tasks and edges of a mapping.

    Numbering: *blocks* 0 … `iterations` − 1 are the foreground blocks, one per tile iteration,
    whose number they share; the others (prefetched fills and background write-backs) follow. A
    *task* is the part of a block that one port serves.

    Parameters
    ----------
    leaf_starts
        Per tile iteration, whether it is its leaf's first.
    leaf
        Per tile iteration, its leaf.
    multiplicity
        Per tile iteration, how many it stands for.
    owner
        Per block, the tile iteration that it belongs to.
    kind
        Per block: 0 prefetched fill, 1 foreground, 2 background.
    sequence
        Per block, its place among the blocks of its tile iteration.
    task_block, task_port, task_duration
        Per task: its block, its port and how long the port serves it (> 0).
    ports
        Number of ports.
    edge_source, edge_target, edge_reason, edge_rule, edge_copies
        Per edge: a source block (for a foreground one: the finish of its tile iteration) and the
        target that waits for it: a tile iteration's start, a fill (≥ `iterations`), or from the
        number of blocks on a tile iteration's finish; `edge_rule` is the relation that an edge is
        of. `edge_copies` (loops, edges) says how many periods later than the source the target
        waits for, where tile iterations stand for others.
    dates
        Logical dates of the tile iterations.
    """

    leaf_starts: npt.NDArray[np.bool_]
    leaf: Ints
    multiplicity: Ints
    owner: Ints
    kind: Ints
    sequence: Ints
    task_block: Ints
    task_port: Ints
    task_duration: Times
    ports: int
    edge_source: Ints
    edge_target: Ints
    edge_reason: Ints
    edge_rule: Ints
    edge_copies: Ints
    dates: Dates

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
    def loads(self) -> list[int]:
        """Total busy time of every port."""
        times = self.multiplicity[self.owner[self.task_block]]
        busy = self.task_duration * times.astype(self.task_duration.dtype)
        totals = np.full(self.ports, 0, dtype=busy.dtype)
        np.add.at(totals, self.task_port, busy)
        return [int(t) for t in totals]

    def port_order(self, *, skewed: bool) -> tuple[Ints, Ints]:
        """Tasks in the order of date, port by port.

        Returns
        -------
        (tasks, start)
            `tasks` sorted by port, then date of the tile iteration, then sequence of the block;
            and per port where its tasks start (one more entry than ports).
        """
        from polylat.schedule.kernels import by_key

        rank = ranks(self.dates.skew if skewed else self.dates.program)
        places = int(self.sequence.max(initial=0)) + 1
        order = np.arange(self.tasks)
        for key, count in (
            (self.sequence[self.task_block], places),
            (rank[self.owner[self.task_block]], self.iterations),
            (self.task_port, self.ports),
        ):
            # Sorting by the least significant key first: each sort keeps the order of equals.
            start, entries = by_key(key[order], count)
            order = order[entries]
        return order, start


def ranks(columns: Ints) -> Ints:
    """Position of each tile iteration when sorted by date (dates are distinct)."""
    count = columns.shape[1]
    low = columns.min(axis=1, initial=0)
    spans = [int(s) for s in columns.max(axis=1, initial=0) - low + 1]
    total = 1
    for span in spans:
        total *= span
    if total < 1 << 62:
        key = np.zeros(count, dtype=np.int64)
        for column, least, span in zip(columns, low, spans, strict=True):
            key = key * span + (column - least)
        order = np.argsort(key, kind="stable")
    else:
        order = np.lexsort(columns[::-1])
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    return rank


def starts_of(keys: Ints, count: int) -> Ints:
    """Where things with each key begin, when sorted by it; and the end."""
    found = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(keys, minlength=count), out=found[1:])
    return found
