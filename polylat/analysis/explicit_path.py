"""The critical path of a schedule all tile iterations of which are visited, split into accesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import TypeVar, overload

import numpy as np

from polylat.analysis.access import LATENCY, AccessKey, Step
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.lowering.accesses.blocks import Block
from polylat.lowering.durations import AccessKind, access_durations
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.critical_path import TimedEvents, critical_tasks
from polylat.schedule.reasons import FLOW, NAMES, PORT, START, WaitedFor

__all__ = ["REASONS", "ExplicitPath", "explicit_path", "path_latencies"]

K = TypeVar("K")

REASONS: dict[int, WaitedFor | None] = {**NAMES, START: None}
"""The name of each reason code; None for `START`."""

_MOST_ACCESSES = 1 << 16
"""More than the number of accesses of a task."""


@dataclass(frozen=True, eq=False)
class ExplicitPath(Sequence[Step]):
    """The steps of a critical path as arrays; each `Step` is made on demand.

    Parameters
    ----------
    model
        The mapping.
    kinds, what
        The kinds of accesses, and the kind of each step, shape (n,).
    iteration
        The tile iteration of each step, numbered within its leaf, shape (n,).
    end
        The end of each step, shape (n,), in steps of time. The first step begins at 0, every other
        one at the end of the previous one.
    reason
        The reason code of each step, shape (n,).
    """

    model: Model
    kinds: tuple[AccessKind, ...]
    what: Ints
    iteration: Ints
    end: Times
    reason: Ints

    def __len__(self) -> int:
        return len(self.what)

    @overload
    def __getitem__(self, index: int) -> Step: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...

    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        if isinstance(index, slice):
            return tuple(self._step(i) for i in range(*index.indices(len(self))))
        return self._step(range(len(self))[index])

    def _step(self, i: int) -> Step:
        kind = self.kinds[self.what[i]]
        tiles = self.model.layout.tiles[kind.leaf]
        return Step(
            einsum=tiles.leaf.einsum.name,
            tile=tuple(
                (loop.variable, int(tiles.digits[k, self.iteration[i]]))
                for k, loop in enumerate(tiles.leaf.temporal[: tiles.depth])
            ),
            component=kind.component,
            port=kind.port,
            units=kind.units,
            tensor=kind.tensor,
            action=kind.action,
            start=self._time(int(self.end[i - 1]) if i else 0),
            finish=self._time(int(self.end[i])),
            waited_for=REASONS[int(self.reason[i])],
        )

    def index_at(self, time: Number) -> int:
        """Return the index of the step that is served at a time.

        Parameters
        ----------
        time
            A time, in the architecture's unit of time.

        Returns
        -------
        int
            The first step that ends later; the number of steps if none does.
        """
        steps = floor(Fraction(time) * self.model.costs.scale)
        return int(np.searchsorted(self.end, steps, side="right"))

    def _time(self, steps: int) -> Number:
        return reduce_number(Fraction(steps, self.model.costs.scale))

    def totals(self) -> dict[AccessKey, Number]:
        """Return the time on the path by access.

        Returns
        -------
        dict
            (Einsum, component, tensor or None, action) → time in the architecture's unit of time,
            largest first.
        """
        leaves = self.model.lowered.leaves
        return self._sums(
            self.what,
            lambda k: (
                leaves[self.kinds[k].leaf].einsum.name,
                self.kinds[k].component,
                self.kinds[k].tensor,
                self.kinds[k].action,
            ),
        )

    def waits(self) -> dict[WaitedFor | None, Number]:
        """Return the time on the path by the reason why the steps waited.

        Returns
        -------
        dict
            Reason, None at time 0, → time in the architecture's unit of time, largest first.
        """
        return self._sums(self.reason, lambda k: REASONS[k])

    def _sums(self, group: Ints, name: Callable[[int], K]) -> dict[K, Number]:
        durations = np.diff(self.end, prepend=self.end[:1] * 0)
        found: dict[K, int] = {}
        for value in np.unique(group).tolist():
            time = int(durations[group == value].sum())
            found[name(value)] = found.get(name(value), 0) + time
        ordered = sorted(found.items(), key=lambda item: -item[1])
        return {key: self._time(time) for key, time in ordered}


def explicit_path(solution: Solution) -> ExplicitPath:
    """Return the critical path of a schedule all tile iterations of which are visited.

    Parameters
    ----------
    solution
        The schedule.

    Returns
    -------
    ExplicitPath
        The accesses of the path, in order of time.
    """
    model = solution.model
    graph = model.graph
    tasks, reasons = critical_tasks(solution.timed_events)
    kinds: dict[AccessKind, int] = {}
    columns: list[list[Times]] = [[np.zeros(0, dtype=np.int64)] for _ in range(4)]
    blocks = graph.task_block[tasks]
    owners = graph.owner[blocks]
    bases = np.array(model.layout.bases)
    leaf_of = np.searchsorted(bases, owners, side="right") - 1
    group = (leaf_of * (int(graph.sequence.max(initial=0)) + 1) + graph.sequence[blocks]) * (
        graph.ports + 1
    ) + graph.task_port[tasks]
    gaps = _gaps(solution.timed_events, tasks)
    for value in np.unique(group):
        at = np.flatnonzero(group == value)
        leaf, port = int(leaf_of[at[0]]), int(graph.task_port[tasks[at[0]]])
        block = model.layout.blocks[leaf][int(graph.sequence[blocks[at[0]]])]
        iterations = owners[at] - bases[leaf]
        for index, (what, which, durations) in enumerate(
            access_durations(model.lowered, model.costs, leaf, block, port, iterations)
        ):
            kind = kinds.setdefault(what, len(kinds))
            order = at[which] * _MOST_ACCESSES + index
            kind_column = np.full(len(order), kind, dtype=np.int64)
            for column, values in zip(
                columns, (order, kind_column, iterations[which], durations), strict=True
            ):
                column.append(values)
        passing = at[gaps[:-1][at] > 0]
        kind = kinds.setdefault(_latency_of(model, leaf, block), len(kinds))
        latest = passing * _MOST_ACCESSES + _MOST_ACCESSES - 1
        row = (latest, np.full(len(passing), kind), owners[passing] - bases[leaf], gaps[passing])
        for column, values in zip(columns, row, strict=True):
            column.append(values)
    if len(tasks) and gaps[-1] > 0:
        # What comes before the first task is the latency of blocks that take no time.
        leaf = int(leaf_of[0])
        front = next(b for b in model.layout.blocks[leaf] if b.kind == "foreground")
        kind = kinds.setdefault(_latency_of(model, leaf, front), len(kinds))
        row = (np.array([-1]), np.array([kind]), owners[:1] - bases[leaf], gaps[-1:])
        for column, values in zip(columns, row, strict=True):
            column.append(values)
    order, what_column, iteration, duration = (np.concatenate(c) for c in columns)
    sort = np.argsort(order, kind="stable")
    order = order[sort]
    # The first access of a task waited for its reason, the others for the port.
    first = np.concatenate(([True], order[1:] // _MOST_ACCESSES != order[:-1] // _MOST_ACCESSES))[
        : len(order)
    ]
    task_reason = np.where(first, reasons[order // _MOST_ACCESSES], PORT)
    passing = order % _MOST_ACCESSES == _MOST_ACCESSES - 1
    return ExplicitPath(
        model,
        tuple(kinds),
        what_column[sort].astype(np.int64),
        iteration[sort].astype(np.int64),
        np.cumsum(duration[sort]),
        np.where(passing, FLOW, task_reason),
    )


def path_latencies(model: Model, timed: TimedEvents, tasks: Ints) -> dict[AccessKey, int]:
    """Return the fixed latencies on a critical path.

    Parameters
    ----------
    model
        The mapping.
    timed, tasks
        The events of a schedule, and the tasks of its critical path.

    Returns
    -------
    dict
        (Einsum, component, tensor or None, ``"latency"``) → time in steps of the schedule.
    """
    graph, found = model.graph, dict[AccessKey, int]()
    gaps = _gaps(timed, tasks)
    if not len(tasks):
        return found
    # What comes before the first task is the latency of blocks that take no time.
    blocks = np.append(graph.task_block[tasks], graph.owner[graph.task_block[tasks[:1]]])
    some = np.flatnonzero(gaps > 0)
    for block, gap in zip(blocks[some].tolist(), gaps[some].tolist(), strict=True):
        leaf = int(graph.leaf[graph.owner[block]])
        kind = _latency_of(model, leaf, model.layout.blocks[leaf][int(graph.sequence[block])])
        name = model.lowered.leaves[leaf].einsum.name
        key = (name, kind.component, kind.tensor, LATENCY)
        found[key] = found.get(key, 0) + gap
    return found


def _gaps(timed: TimedEvents, tasks: Ints) -> Times:
    """Return the fixed latency behind each task of a path, and before the first one.

    That is the time up to the next task, or to the makespan. The last entry is the time before the
    first task.
    """
    ends = timed.ends[tasks]
    begins = ends - timed.durations[tasks]
    gaps: Times = np.append(begins[1:], ends[:1] * 0 + timed.makespan) - ends
    return np.append(gaps, begins[:1])


def _latency_of(model: Model, leaf: int, block: Block) -> AccessKind:
    """Return the latency of a block as a kind of access."""
    path = model.lowered.leaves[leaf]
    if block.tensor is None:
        return AccessKind(leaf, path.component, "", "", None, LATENCY)
    component = path.storages(block.tensor)[block.level].component
    return AccessKind(leaf, component, "", "", block.tensor, LATENCY)
