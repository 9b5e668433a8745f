"""A latency under changed durations, and what a task's duration is made of.

Under a fixed order of service the latency is a maximum over paths of sums of durations (a max-plus
expression), hence a convex, piecewise linear function of every duration.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Protocol

from polylat.analysis.access import AccessKey
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.lowering.durations import access_durations, tasks_by_block_and_port
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Ints, Times

__all__ = [
    "INT64_LIMIT",
    "CriticalTotals",
    "DurationPart",
    "Evaluation",
    "Retimer",
    "busiest_loads",
    "duration_parts",
    "port_loads",
]

CriticalTotals = Callable[[], Mapping[AccessKey, Number]]
"""Gives, by access, the time on a critical path."""

INT64_LIMIT = 1 << 62
"""Sums of durations below this fit 64-bit integers."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A latency under changed durations, and the critical path that it comes of.

    Parameters
    ----------
    latency
        The last finish.
    scales
        Access → what its durations were multiplied by.
    follow
        Follows the critical path, which takes longer than to find the latency: by access, how long
        those on it take at scale 1.
    sink
        The slope for some accesses, where it is known without following the critical path.
    """

    latency: Number
    scales: Mapping[AccessKey, Fraction]
    follow: CriticalTotals
    sink: Callable[[Collection[AccessKey]], Fraction | None] = lambda _: None

    @cached_property
    def unscaled(self) -> Mapping[AccessKey, Number]:
        """How long the accesses on the critical path take at scale 1.

        Times the scales, they add up to the latency, and to no more than the latency under any
        other scales: they are its slopes here.
        """
        return self.follow()

    @cached_property
    def time(self) -> Mapping[AccessKey, Number]:
        """Time on the critical path by (Einsum, component, tensor or None, action), largest first.

        What takes none is left out. The times add up to the latency.
        """
        times = {key: reduce_number(Fraction(n) * self.scales[key]) for key, n in self.unscaled.items()}
        return dict(sorted(((k, t) for k, t in times.items() if t), key=lambda item: -item[1]))

    def slope(self, keys: Collection[AccessKey]) -> Fraction:
        """How long some accesses take at scale 1, all together, on a critical path."""
        found = self.sink(keys)
        if found is None:
            found = sum((Fraction(self.unscaled.get(key, 0)) for key in keys), Fraction(0))
        return found


class Retimer(Protocol):
    """Times a schedule anew, with its order of service, under changed durations."""

    @property
    def solution(self) -> Solution:
        """The schedule."""

    @property
    def loads(self) -> Mapping[AccessKey, Number]:
        """What takes time, and for how long it keeps its busiest port busy at scale 1."""

    def evaluate(
        self, scales: Mapping[AccessKey, Fraction], /, *, quick: bool = False
    ) -> Evaluation:
        """The latency with all durations of some accesses scaled.

        Parameters
        ----------
        scales
            (Einsum, component, tensor or None, action) → what its durations are multiplied by,
            1 where nothing is said. At 0, the limit: it takes no time, and keeps its turn.
        quick
            Give up where other tile iterations would have to be sampled at than before.

        Raises
        ------
        UnsupportedError
            Too many tile iterations must be sampled at.
        """


@dataclass(frozen=True, eq=False)
class DurationPart:
    """What one kind of access adds to the durations of the tasks of one port.

    Parameters
    ----------
    key
        The access.
    tasks
        The tasks, each once.
    steps
        What it adds to each at scale 1.
    total
        The sum of these.
    """

    key: AccessKey
    tasks: Ints
    steps: Times
    total: int


def busiest_loads(model: Model, parts: Sequence[DurationPart]) -> Mapping[AccessKey, Number]:
    """What takes time, and for how long it keeps its busiest port busy at scale 1."""
    most: dict[AccessKey, int] = {}
    for (key, _), steps in port_loads(model, parts).items():
        most[key] = max(most.get(key, 0), steps)
    return {key: reduce_number(Fraction(n, model.costs.scale)) for key, n in most.items()}


def port_loads(model: Model, parts: Sequence[DurationPart]) -> Mapping[tuple[AccessKey, int], int]:
    """For how long each access keeps each port busy at scale 1, in steps of time."""
    graph = model.graph
    times = graph.multiplicity[graph.owner[graph.task_block]].astype(object)
    steps: dict[tuple[AccessKey, int], int] = {}
    for part in parts:
        at = part.key, int(graph.task_port[part.tasks[0]])
        steps[at] = steps.get(at, 0) + int((part.steps * times[part.tasks]).sum())
    return steps


def duration_parts(model: Model) -> Iterator[DurationPart]:
    """What the durations of the tasks are made of, access by access."""
    lowered = model.lowered
    for leaf, block, port, tasks, iterations in tasks_by_block_and_port(model.graph, model.layout):
        name = lowered.leaves[leaf].einsum.name
        for kind, positions, steps in access_durations(
            lowered, model.costs, leaf, block, port, iterations
        ):
            total = int(steps.sum())
            if total:
                key = (name, kind.component, kind.tensor, kind.action)
                yield DurationPart(key, tasks[positions], steps, total)
