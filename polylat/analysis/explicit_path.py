"""The critical path of a schedule all tile iterations of which are visited, split into accesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import TypeVar, overload

import numpy as np

from polylat.analysis.access import AccessKey, Step
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.lowering.durations import AccessKind, access_durations, latency_kind
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.critical_path import CriticalChain, critical_chain
from polylat.schedule.reasons import NAMES, PORT, START, WaitedFor

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

    @property
    def length(self) -> int:
        """Number of steps."""
        return len(self.what)

    def __len__(self) -> int:
        return self.length

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
    chain = critical_chain(solution.timed_events)
    owner, sequence = graph.owner[chain.block], graph.sequence[chain.block]
    leaves = graph.leaf[owner]
    bases = np.array(model.layout.bases, dtype=np.int64)
    places = owner - bases[leaves]
    port = np.where(chain.task >= 0, np.append(graph.task_port, -1)[chain.task], -1)
    kinds: dict[AccessKind, int] = {}
    columns: list[list[Times]] = [[np.zeros(0, dtype=np.int64)] for _ in range(4)]
    for at in _equal_columns(leaves, sequence, port):
        leaf = int(leaves[at[0]])
        block = model.layout.blocks[leaf][int(sequence[at[0]])]
        parts: list[tuple[AccessKind, Ints, Times]]
        if port[at[0]] >= 0:
            parts = access_durations(
                model.lowered, model.costs, leaf, block, int(port[at[0]]), places[at]
            )
        else:
            every = np.arange(len(at))
            parts = [(latency_kind(model.lowered, leaf, block), every, chain.duration[at])]
        for index, (what, which, durations) in enumerate(parts):
            kind = kinds.setdefault(what, len(kinds))
            order = at[which] * _MOST_ACCESSES + index
            kind_column = np.full(len(order), kind, dtype=np.int64)
            for column, values in zip(
                columns, (order, kind_column, places[at[which]], durations), strict=True
            ):
                column.append(values)
    order, what_column, iteration, duration = (np.concatenate(c) for c in columns)
    sort = np.argsort(order, kind="stable")
    order = order[sort]
    # The first access of a task waited for its reason, the others for the port.
    part = order // _MOST_ACCESSES
    first = np.diff(part, prepend=-1) != 0
    return ExplicitPath(
        model,
        tuple(kinds),
        what_column[sort].astype(np.int64),
        iteration[sort].astype(np.int64),
        np.cumsum(duration[sort]),
        np.where(first, chain.reason[part], PORT),
    )


def path_latencies(model: Model, chain: CriticalChain) -> dict[AccessKey, int]:
    """Return the fixed latencies on a critical path.

    Parameters
    ----------
    model
        The mapping.
    chain
        The critical path.

    Returns
    -------
    dict
        (Einsum, component, tensor or None, ``"latency"``) → time in steps of the schedule.
    """
    graph, found = model.graph, dict[AccessKey, int]()
    passing = chain.task < 0
    blocks, durations = chain.block[passing], chain.duration[passing]
    leaves, sequence = graph.leaf[graph.owner[blocks]], graph.sequence[blocks]
    for at in _equal_columns(leaves, sequence):
        leaf = int(leaves[at[0]])
        block = model.layout.blocks[leaf][int(sequence[at[0]])]
        kind = latency_kind(model.lowered, leaf, block)
        name = model.lowered.leaves[leaf].einsum.name
        key = (name, kind.component, kind.tensor, kind.action)
        found[key] = found.get(key, 0) + int(durations[at].sum())
    return found


def _equal_columns(*rows: Ints) -> list[Ints]:
    """Return the positions of the equal columns of a table, for each distinct column."""
    if not len(rows[0]):
        return []
    order = np.lexsort(rows[::-1])
    table = np.stack(rows)[:, order]
    return np.split(order, np.flatnonzero((table[:, 1:] != table[:, :-1]).any(axis=0)) + 1)
