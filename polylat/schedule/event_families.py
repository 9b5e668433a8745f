"""Families of events: one event per point of a leaf's grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.graph import TaskGraph
from polylat.schedule.grid import Grid

__all__ = ["EventFamilies", "family_numbers"]


@dataclass(frozen=True, eq=False)
class EventFamilies:
    """Families of events: one event per point of a leaf's grid.

    Parameters
    ----------
    leaf, first
        Shape (families,): the leaf of each family, and its first event.
    count
        Number of events.
    start
        Leaf → the starts of its tile iterations; between them, the last start so far.
    ready
        (leaf, position of a separate block) → when the blocks may begin.
    task
        (leaf, position of a block, port) → the ends of the block's tasks.
    served, finish
        (leaf, port) → the last end of a task so far; of a foreground task.
    late
        Leaf → the same, of starts and by port, of those tile iterations only whose fixed latency
        is at least a given one: for each but the smallest that occurs. These events are as much
        later as that latency is larger than the smallest one.
    latest_of
        Family of tasks, or of beginnings of blocks → the last one of its events so far.
    parts
        (family, the families of which it is the latest event so far).
    delay
        Family → by how many steps of the task graph its events are later than those of its parts;
        missing: 0.
    exists
        Shape (events,): whether the event itself occurs.
    sizes
        Per leaf, the number of points of its grid.
    starts, tasks
        Per block, its beginning; per task, its end: numbers of events.
    """

    leaf: Ints
    first: Ints
    count: int
    start: Mapping[int, int]
    ready: Mapping[tuple[int, int], int]
    task: Mapping[tuple[int, int, int], int]
    served: Mapping[tuple[int, int], int]
    finish: Mapping[tuple[int, int], int]
    late: Mapping[int, Sequence[int]]
    latest_of: Mapping[int, int]
    parts: tuple[tuple[int, tuple[int, ...]], ...]
    delay: Mapping[int, int]
    exists: Mask
    sizes: tuple[int, ...]
    starts: Ints
    tasks: Ints

    @property
    def forward(self) -> list[int]:
        """The families whose events are the last ones so far."""
        return sorted({*self.start.values(), *(family for family, _ in self.parts)})

    @cached_property
    def finish_of(self) -> Mapping[int, Sequence[int]]:
        """Leaf → the families of `finish`."""
        found: dict[int, list[int]] = {}
        for (leaf, _), family in self.finish.items():
            found.setdefault(leaf, []).append(family)
        return found

    @cached_property
    def tasks_of(self) -> Mapping[tuple[int, int], Sequence[int]]:
        """(leaf, position of a block) → the families of its tasks."""
        found: dict[tuple[int, int], list[int]] = {}
        for (leaf, index, _), family in self.task.items():
            found.setdefault((leaf, index), []).append(family)
        return found

    @cached_property
    def tasks_on(self) -> Mapping[tuple[int, int], Sequence[tuple[int, int]]]:
        """(leaf, port) → (position of the block, family) of its tasks there, in sequence."""
        found: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for (leaf, index, port), family in self.task.items():
            found.setdefault((leaf, port), []).append((index, family))
        return {key: sorted(tasks) for key, tasks in found.items()}

    def event(self, family: int, keys: Ints) -> Ints:
        """Return the events of a family at points of the grid.

        Parameters
        ----------
        family, keys
            The family, and the points, shape (n,).

        Returns
        -------
        numpy.ndarray
            Numbers of events, shape (n,).
        """
        return int(self.first[family]) + keys

    def span(self, family: int) -> slice:
        """Return the range of a family's events.

        Parameters
        ----------
        family
            The family.

        Returns
        -------
        slice
            The range.
        """
        first = int(self.first[family])
        return slice(first, first + self.sizes[int(self.leaf[family])])

    def occurs(self, family: int) -> Mask:
        """Return at which points of the grid a family's event itself occurs.

        Parameters
        ----------
        family
            The family.

        Returns
        -------
        numpy.ndarray
            Shape (size of the grid,).
        """
        return self.exists[self.span(family)]

    @staticmethod
    def of(graph: TaskGraph, grid: Grid, keys: Sequence[Ints]) -> EventFamilies:
        """Number the families of a task graph's events.

        Parameters
        ----------
        graph, grid
            The task graph of the sampled tile iterations, and their grid.
        keys
            Per leaf, the points of its tile iterations.

        Returns
        -------
        EventFamilies
            The families.
        """
        leaves: list[int] = []

        def new(leaf: int) -> int:
            leaves.append(leaf)
            return len(leaves) - 1

        start = {leaf: new(leaf) for leaf in range(len(keys))}
        owner_leaf = graph.leaf[graph.owner]
        ready: dict[tuple[int, int], int] = {}
        separate = np.arange(graph.iterations, graph.blocks)
        for leaf, index in _distinct(owner_leaf[separate], graph.sequence[separate]):
            ready[leaf, index] = new(leaf)
        block = graph.task_block
        task: dict[tuple[int, int, int], int] = {}
        kinds: dict[tuple[int, int, int], int] = {}
        for leaf, index, port, kind in _distinct(
            owner_leaf[block], graph.sequence[block], graph.task_port, graph.kind[block]
        ):
            task[leaf, index, port] = new(leaf)
            kinds[leaf, index, port] = kind
        parts: dict[tuple[tuple[int, ...], int], int] = {}

        def latest(leaf: int, *of: int, delay: int = 0) -> int:
            if (of, delay) not in parts:
                parts[of, delay] = new(leaf)
            return parts[of, delay]

        served, finish = {}, {}
        fronts: dict[int, list[tuple[int, ...]]]
        fronts = {leaf: [(family,)] for leaf, family in start.items()}
        on_port: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for key in task:
            on_port.setdefault((key[0], key[2]), []).append(key)
        for (leaf, port), mine in sorted(on_port.items()):
            served[leaf, port] = latest(leaf, *(task[key] for key in mine))
            front = [task[key] for key in mine if kinds[key] == 1]
            if front:
                finish[leaf, port] = latest(leaf, *front)
                fronts[leaf].append((*front,))
        late: dict[int, list[int]] = {}
        only: dict[int, Mask] = {}
        for leaf, delay, points in _late_points(graph, grid, keys):
            found = [latest(leaf, *of, delay=delay) for of in fronts[leaf]]
            late.setdefault(leaf, []).extend(found)
            only |= dict.fromkeys(found, points)
        latest_of = {
            family: latest(key[0], family) for key, family in [*task.items(), *ready.items()]
        }
        leaf_of = np.array(leaves, dtype=np.int64)
        sizes = np.array(grid.sizes)[leaf_of]
        ends = np.cumsum(sizes)
        first = ends - sizes
        starts, tasks = _events_of(graph, first, keys, start, ready, task)
        exists = np.zeros(int(ends[-1]), dtype=np.bool_)
        exists[starts] = True
        exists[tasks] = True
        for (of, _), family in parts.items():
            for one in of:
                exists[first[family] : ends[family]] |= exists[first[one] : ends[one]]
            if family in only:
                exists[first[family] : ends[family]] &= only[family]
        return EventFamilies(
            leaf_of,
            first,
            int(ends[-1]),
            start,
            ready,
            task,
            served,
            finish,
            late,
            latest_of,
            tuple((family, of) for (of, _), family in parts.items()),
            {family: delay for (_, delay), family in parts.items() if delay},
            exists,
            tuple(grid.sizes),
            starts,
            tasks,
        )


def _late_points(
    graph: TaskGraph, grid: Grid, keys: Sequence[Ints]
) -> Iterator[tuple[int, int, Mask]]:
    """Yield per leaf, and fixed latency of its tile iterations but for the smallest one.

    By how many steps it is larger than the smallest one, and which points of the leaf's grid are
    tile iterations with at least that latency.
    """
    for leaf, latencies in enumerate(graph.foreground_latencies):
        least, *more = latencies.tolist()
        for latency in more:
            points = np.zeros(grid.sizes[leaf], dtype=np.bool_)
            late = graph.latency[: graph.iterations][graph.leaf == leaf] >= latency
            points[keys[leaf][late]] = True
            yield leaf, latency - least, points


def _events_of(
    graph: TaskGraph,
    first: Ints,
    keys: Sequence[Ints],
    start: Mapping[int, int],
    ready: Mapping[tuple[int, int], int],
    task: Mapping[tuple[int, int, int], int],
) -> tuple[Ints, Ints]:
    """Return the events of the beginnings of blocks and of the ends of tasks."""
    every_key = np.concatenate([np.zeros(0, dtype=np.int64), *keys])
    leaf = graph.leaf[graph.owner]
    starts = np.full(graph.blocks, -1)
    starts[: graph.iterations] = first[family_numbers(start, graph.leaf)] + every_key
    separate = np.arange(graph.iterations, graph.blocks)
    if len(separate):
        which = family_numbers(ready, leaf[separate], graph.sequence[separate])
        starts[separate] = first[which] + every_key[graph.owner[separate]]
    tasks = np.zeros(0, dtype=np.int64)
    if graph.tasks:
        block = graph.task_block
        which = family_numbers(task, leaf[block], graph.sequence[block], graph.task_port)
        tasks = first[which] + every_key[graph.owner[block]]
    return starts, tasks


def _distinct(*columns: Ints) -> list[tuple[int, ...]]:
    """Return the distinct rows of some columns of small numbers, in lexicographic order."""
    spans = tuple(int(column.max(initial=0)) + 1 for column in columns)
    key = np.ravel_multi_index(columns, spans)
    found = np.unravel_index(np.flatnonzero(np.bincount(key)), spans)
    return [tuple(row) for row in np.array(found).T.tolist()]


def family_numbers(families: Mapping[Any, int], *columns: Ints) -> Ints:
    """Return the family of each row of keys.

    Parameters
    ----------
    families
        Key → family; keys are numbers, or tuples of numbers.
    *columns
        The keys, each of shape (n,).

    Returns
    -------
    numpy.ndarray
        Families, shape (n,); meaningless for keys that are not among `families`, or -1.
    """
    keys = np.array([key if isinstance(key, tuple) else (key,) for key in families]).reshape(
        len(families), len(columns)
    )
    spans = [
        int(max(a.max(initial=0), b.max(initial=0))) + 1
        for a, b in zip(keys.T, columns, strict=True)
    ]
    table = np.full(spans, -1)
    table[tuple(keys.T)] = list(families.values())
    return table[columns]
