"""A latency under changed durations, and the accesses that make up the durations of tasks.

Under a fixed order of service the latency is a max-plus expression of the durations (Baccelli et
al. 1992): the maximum, over the paths of the task graph, of the sum of durations on the path. Hence
it is a convex, piecewise linear function of them, of which a critical path gives a subgradient.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Protocol

from polylat.analysis.access import AccessKey
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.errors import UnsupportedError
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
    "rigid_accesses",
]

CriticalTotals = Callable[[], Mapping[AccessKey, Number]]
"""Computes, per access, the time on a critical path, in the architecture's unit of time."""

INT64_LIMIT = 1 << 62
"""Sums of durations below this fit 64-bit integers."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A latency under changed durations, and a critical path that attains it.

    Parameters
    ----------
    latency
        The makespan, in the architecture's unit of time.
    scales
        Access → the factor of its durations.
    trace
        Traces a critical path, which takes longer than computing the latency: per access, the time
        on the path at scale 1.
    direct_slope
        Computes a one-sided derivative of the latency along a common scale of some accesses,
        without tracing a critical path; None where it cannot.
    """

    latency: Number
    scales: Mapping[AccessKey, Fraction]
    trace: CriticalTotals
    direct_slope: Callable[[Collection[AccessKey]], Fraction | None] = field(
        default_factory=lambda: lambda _: None
    )

    @cached_property
    def unscaled(self) -> Mapping[AccessKey, Number]:
        """The time on the critical path per access, at scale 1: a subgradient of the latency.

        The sum of these times the scales is the latency, and a lower bound of it under any other
        scales.
        """
        return self.trace()

    @cached_property
    def time(self) -> Mapping[AccessKey, Number]:
        """Time on the critical path by (Einsum, component, tensor or None, action), largest first.

        Accesses that take no time are missing. The sum is the latency. Fixed latencies have no
        scale.
        """
        times = {
            key: reduce_number(Fraction(n) * self.scales.get(key, 1))
            for key, n in self.unscaled.items()
        }
        return dict(sorted(((k, t) for k, t in times.items() if t), key=lambda item: -item[1]))

    @cached_property
    def time_or_none(self) -> Mapping[AccessKey, Number] | None:
        """The same; None where no critical path can be traced."""
        try:
            return self.time
        except UnsupportedError:
            return None

    def slope(self, keys: Collection[AccessKey]) -> Fraction:
        """Return a slope of the latency along a common scale of some accesses.

        Parameters
        ----------
        keys
            The accesses.

        Returns
        -------
        Fraction
            The time of these accesses on a critical path at scale 1, in the architecture's unit of
            time: the slope of a tangent of the latency.
        """
        found = self.direct_slope(keys)
        if found is None:
            found = sum((Fraction(self.unscaled.get(key, 0)) for key in keys), Fraction(0))
        return found


class Retimer(Protocol):
    """Retimes a schedule under changed durations, with its order of service."""

    @property
    def solution(self) -> Solution:
        """The schedule."""

    @property
    def loads(self) -> Mapping[AccessKey, Number]:
        """Access → busy time of its busiest port at scale 1; accesses without any are missing."""

    def evaluate(
        self, scales: Mapping[AccessKey, Fraction], /, *, quick: bool = False
    ) -> Evaluation:
        """Return the latency with scaled durations.

        Parameters
        ----------
        scales
            (Einsum, component, tensor or None, action) → the factor of its durations; 1 where it is
            missing. At 0, an access takes no time, and keeps its turn in the order of service.
        quick
            Give up where the present sample of tile iterations does not suffice.

        Returns
        -------
        Evaluation
            The latency, and a critical path.

        Raises
        ------
        UnsupportedError
            Too many tile iterations must be sampled, or durations in a rigid pipeline change.
        """


@dataclass(frozen=True, eq=False)
class DurationPart:
    """The part of the durations of one port's tasks that one kind of access takes.

    Parameters
    ----------
    key
        The access.
    tasks
        The tasks, distinct, shape (n,).
    steps
        The part of the duration of each at scale 1, shape (n,), in steps of time.
    total
        The sum of `steps`.
    """

    key: AccessKey
    tasks: Ints
    steps: Times
    total: int


def busiest_loads(model: Model, parts: Sequence[DurationPart]) -> Mapping[AccessKey, Number]:
    """Return the busy time that each access causes on its busiest port.

    Parameters
    ----------
    model
        The mapping with its task graph.
    parts
        The parts of the durations, see `duration_parts`.

    Returns
    -------
    Mapping
        Access → busy time at scale 1, in the architecture's unit of time.
    """
    most: dict[AccessKey, int] = {}
    for (key, _), steps in port_loads(model, parts).items():
        most[key] = max(most.get(key, 0), steps)
    return {key: reduce_number(Fraction(n, model.costs.scale)) for key, n in most.items()}


def port_loads(model: Model, parts: Sequence[DurationPart]) -> Mapping[tuple[AccessKey, int], int]:
    """Return the busy time that each access causes on each port.

    Parameters
    ----------
    model
        The mapping with its task graph.
    parts
        The parts of the durations, see `duration_parts`.

    Returns
    -------
    Mapping
        (access, port) → busy time at scale 1, in steps of time, skipped tile iterations included.
    """
    graph = model.graph
    times = graph.multiplicity[graph.owner[graph.task_block]].astype(object)
    steps: dict[tuple[AccessKey, int], int] = {}
    for part in parts:
        at = part.key, int(graph.task_port[part.tasks[0]])
        steps[at] = steps.get(at, 0) + int((part.steps * times[part.tasks]).sum())
    return steps


def duration_parts(model: Model) -> Iterator[DurationPart]:
    """Split the durations of all tasks into the parts that their accesses take.

    Parameters
    ----------
    model
        The mapping with its task graph.

    Yields
    ------
    DurationPart
        One part per block of a leaf, port and access. The parts of a task add up to its duration.
    """
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


def rigid_accesses(model: Model) -> frozenset[AccessKey]:
    """Return the accesses on whose durations the stalls of rigid pipelines depend.

    Parameters
    ----------
    model
        The mapping with its task graph.

    Returns
    -------
    frozenset
        All accesses in the foreground of leaves with rigid pipelines and fixed latencies.
    """
    graph = model.graph
    late = {leaf for leaf in graph.rigid if graph.latency[model.layout.bases[leaf]]}
    if not late:
        return frozenset()

    def stalls(part: DurationPart) -> bool:
        block = int(graph.task_block[part.tasks[0]])
        return bool(graph.kind[block] == 1 and int(graph.leaf[graph.owner[block]]) in late)

    return frozenset(part.key for part in duration_parts(model) if stalls(part))
