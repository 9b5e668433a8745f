"""A schedule under other durations: everything else stays, the order of service too.

Under a fixed order the latency is a maximum over paths of sums of durations, hence a convex,
piecewise linear function of every duration.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any, Protocol

import numpy as np

from polylat.accesses.blocks import Block
from polylat.critical import same_tasks
from polylat.errors import UnsupportedError
from polylat.exact import Number, number
from polylat.greedy import seen_elsewhere
from polylat.lowering.scan import Ints
from polylat.model import Model
from polylat.repeating_path import repeating_path
from polylat.report import AccessKey, Report
from polylat.schedule import kernels
from polylat.schedule.graph import Times
from polylat.schedule.periodic import NotPeriodicError, PeriodicPlan
from polylat.schedule.timing import Order, Plan, Timing, service_order
from polylat.visits import QUICK, Search, in_turn

__all__ = ["OVERHEAD", "Evaluation", "ExplicitRetimer", "Retimer", "explicit_retimer", "retimer"]

OVERHEAD = "overhead"
"""The action that stands for the constant in a component's ``total_latency``."""

_Totals = Callable[[], Mapping[AccessKey, Number]]

_PROGRAM = 0  # The mode of `kernels.simulate` in which ports serve in the order given.
_LIMIT = 1 << 62
_ROUNDS = 12
_LOOKS = 4  # So many are kept: they may be large.


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
    follow: _Totals
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
        times = {key: number(Fraction(n) * self.scales[key]) for key, n in self.unscaled.items()}
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
            Give up where other tile iterations would have to be looked at than before.

        Raises
        ------
        UnsupportedError
            Too many tile iterations must be looked at.
        """


@dataclass(frozen=True, eq=False)
class _Part:
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


@dataclass(frozen=True, eq=False)
class ExplicitRetimer:
    """Times the task graph of a schedule anew, every task of it.

    Parameters
    ----------
    model
        The mapping.
    plan
        Its task graph.
    order
        Tasks in the order of service, port by port; and where each port's begin.
    parts
        What the durations of the tasks are made of.
    """

    model: Model
    plan: Plan
    order: tuple[Ints, Ints]
    parts: tuple[_Part, ...]

    @cached_property
    def loads(self) -> Mapping[AccessKey, Number]:
        """What takes time, and for how long it keeps its busiest port busy at scale 1."""
        steps: dict[tuple[AccessKey, int], int] = {}
        for part in self.parts:
            at = part.key, int(self.plan.graph.task_port[part.tasks[0]])
            steps[at] = steps.get(at, 0) + part.total
        most: dict[AccessKey, int] = {}
        for (key, _), load in steps.items():
            most[key] = max(most.get(key, 0), load)
        return {key: number(Fraction(n, self.model.costs.scale)) for key, n in most.items()}

    def evaluate(
        self,
        scales: Mapping[AccessKey, Fraction],
        /,
        *,
        quick: bool = False,  # noqa: ARG002 - all of them are looked at
    ) -> Evaluation:
        """The latency with all durations of some accesses scaled; see `Retimer`."""
        used = {key: Fraction(scales.get(key, 1)) for key in self.loads}
        unit = lcm(*(scale.denominator for scale in used.values()))
        factors = {key: int(scale * unit) for key, scale in used.items()}
        latency, tasks = self._critical_tasks(self._durations(factors))
        on_path = np.zeros(self.plan.graph.tasks, dtype=np.bool_)
        on_path[tasks] = True
        steps: dict[AccessKey, int] = {}
        for part in self.parts:
            found = int(part.steps[on_path[part.tasks]].sum())
            if found:
                steps[part.key] = steps.get(part.key, 0) + found
        scale = self.model.costs.scale
        unscaled = {key: number(Fraction(n, scale)) for key, n in steps.items()}
        return Evaluation(number(Fraction(latency, scale * unit)), used, lambda: unscaled)

    def _durations(self, factors: Mapping[AccessKey, int]) -> Times:
        total = sum(part.total * factors[part.key] for part in self.parts)
        most = max(total, *factors.values(), 0)  # what takes no time may have a large factor
        dtype: Any = np.int64 if most < _LIMIT else object
        durations = np.full(self.plan.graph.tasks, 0, dtype=dtype)
        for part in self.parts:
            durations[part.tasks] += part.steps.astype(dtype) * factors[part.key]
        return durations

    def _critical_tasks(self, durations: Times) -> tuple[int, Ints]:
        """The last finish, and tasks that lead to it without a gap."""
        graph, plan = self.plan.graph, self.plan
        exact = durations.dtype == object
        begin, finish, block_finish, fill_begin, task_begin = (
            np.full(size, 0, dtype=durations.dtype)
            for size in (
                graph.iterations,
                graph.iterations,
                graph.blocks,
                graph.blocks,
                graph.tasks,
            )
        )
        owner, kind, *indices = self._indices
        undone = (kernels.simulate.py_func if exact else kernels.simulate)(
            _PROGRAM,
            graph.leaf_starts,
            owner,
            kind,
            *indices,
            durations,
            self.order[0].astype(owner.dtype),
            self.order[1],
            begin,
            finish,
            block_finish,
            fill_begin,
            task_begin,
            np.zeros(2 * (graph.iterations + graph.blocks) + graph.tasks, dtype=owner.dtype),
        )
        assert undone == 0
        last_finish = max(int(finish.max(initial=0)), int(block_finish.max(initial=0)))
        if last_finish == 0:
            return 0, np.zeros(0, dtype=np.int64)
        end = task_begin + durations
        ended = np.flatnonzero(end == last_finish)
        foreground = ended[graph.kind[graph.task_block[ended]] != 2]
        tasks, _ = (kernels.walk_back.py_func if exact else kernels.walk_back)(
            int((foreground if len(foreground) else ended)[0]),
            0,
            0,
            self._before,
            graph.leaf_starts,
            graph.owner,
            graph.kind,
            *plan.block_tasks,
            *plan.own_blocks,
            *self._into,
            graph.edge_source,
            graph.edge_reason,
            graph.task_block,
            end,
            begin,
            finish,
            block_finish,
            fill_begin,
            task_begin,
        )
        return last_finish, tasks

    @cached_property
    def _indices(self) -> tuple[Ints, ...]:
        """What `kernels.simulate` reads besides times, in 32 bits where these do."""
        graph, plan = self.plan.graph, self.plan
        events = 2 * (graph.iterations + graph.blocks) + graph.tasks
        fits = max(2 * events, len(graph.edge_source)) < 1 << 31
        dtype: Any = np.int32 if fits else np.int64
        return tuple(
            array.astype(dtype, copy=False)
            for array in (
                graph.owner,
                graph.kind,
                *plan.block_tasks,
                *plan.own_blocks,
                *plan.edges,
                graph.edge_target,
                graph.task_block,
                graph.task_port,
            )
        )

    @cached_property
    def _into(self) -> tuple[Ints, Ints]:
        """Edges by what waits for them."""
        graph = self.plan.graph
        start, edges = kernels.by_key(graph.edge_target, graph.blocks + graph.iterations)
        return start, edges

    @cached_property
    def _before(self) -> Ints:
        """Per task the one that its port serves before it, -1 if none."""
        tasks, _ = self.order
        port = self.plan.graph.task_port[tasks]
        before = np.full(len(tasks), -1, dtype=np.int64)
        same = port[1:] == port[:-1]
        before[tasks[1:][same]] = tasks[:-1][same]
        return before


def retimer(report: Report) -> Retimer:
    """What times a report's schedule anew.

    The order of service stays as it is in the report: for ``"oldest"``, the order in which every
    port has served. Analysing anew may find a better one.

    Examples
    --------
    >>> import polylat
    >>> from polylat.retime import retimer
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> found = retimer(report).evaluate({("e1", "DRAM", "w1", "read"): Fraction(1, 2)})
    >>> report.latency, found.latency, sum(found.time.values())
    (31744, 31680, 31680)
    """
    model = report._model
    if isinstance(model.plan, Plan):
        return explicit_retimer(model, model.plan, report._timing)
    if in_turn(model):
        return TurnRetimer(model, report._timing, lambda: report.critical_totals)
    return PeriodicRetimer(model, report._timing, lambda: report.critical_totals)


class PeriodicRetimer:
    """Times a schedule anew in which tile iterations stand for others.

    Under other durations more of them may have to be looked at.

    Parameters
    ----------
    model, timing
        The schedule.
    now
        Its critical path: by access, how long those on it take.
    """

    def __init__(self, model: Model, timing: Timing, now: _Totals) -> None:
        assert timing.order is not None
        self._order: Order = timing.order
        self._model = model
        self._now = now
        self._parts = tuple(_parts(model))
        self._looks = [_Looked(model, self._parts, self._order)]

    @cached_property
    def loads(self) -> Mapping[AccessKey, Number]:
        """What takes time, and for how long it keeps its busiest port busy at scale 1."""
        return _loads(self._model, self._parts)

    def evaluate(
        self, scales: Mapping[AccessKey, Fraction], /, *, quick: bool = False
    ) -> Evaluation:
        """The latency with all durations of some accesses scaled; see `Retimer`."""
        used = {key: Fraction(scales.get(key, 1)) for key in self.loads}
        for looked in self._looks:
            with suppress(NotPeriodicError):
                return self._timed(looked, used)
        found = None if quick else self._search().run(lambda model: self._look(model, used))
        if found is None:
            raise UnsupportedError(
                "with these durations the schedule repeats in too many tile iterations to look at",
                where="mapping",
                mend="use granularity='tile', order='skew', or raise max_tiles",
            )
        return found

    def _search(self) -> Search:
        """Looks at more than the report did."""
        model = self._model
        assert isinstance(model.plan, PeriodicPlan)
        what = (model.lowered, model.background, model.slots)
        if model.plan.repeats.ports.seen is None:
            return Search(what, QUICK, rounds=_ROUNDS)
        cut = frozenset(
            loop.node
            for tiles in model.layout.tiles
            for loop, kept in zip(tiles.leaf.temporal, tiles.kept, strict=False)
            if kept.cuts
        )
        return Search(
            what,
            QUICK,
            rounds=_ROUNDS,
            only=cut,
            prepare=lambda some: seen_elsewhere(model, some),
        )

    def _fits(self, factors: Mapping[AccessKey, int]) -> Any:
        """A type of numbers that holds all such durations: no more than all work together."""
        total = sum(self._work[key] * factor for key, factor in factors.items())
        return np.int64 if total < _LIMIT else object

    @cached_property
    def _work(self) -> Mapping[AccessKey, int]:
        """For how long each access keeps ports busy, all together, in steps of time."""
        work: dict[AccessKey, int] = {}
        for (key, _), steps in _busy(self._model, self._parts).items():
            work[key] = work.get(key, 0) + steps
        return work

    def _look(self, model: Model, used: Mapping[AccessKey, Fraction]) -> Evaluation:
        """Time a model, and keep it: under other durations, too, it may tell what all others do."""
        looked = _Looked(model, tuple(_parts(model)), self._order)
        found = self._timed(looked, used)
        self._looks.insert(1, looked)
        del self._looks[_LOOKS:]
        return found

    def _timed(self, looked: _Looked, used: Mapping[AccessKey, Fraction]) -> Evaluation:
        unit = lcm(*(scale.denominator for scale in used.values()))
        factors = {key: int(scale * unit) for key, scale in used.items()}
        scale = self._model.costs.scale
        durations = looked.durations(factors, unit, self._fits(factors))
        values = looked.timer.values(durations)
        timing = looked.timer.timing(durations, values)
        assert timing.legal
        now = looked is self._looks[0] and all(factor == unit for factor in factors.values())

        def follow() -> Mapping[AccessKey, Number]:
            if now:
                return self._now()
            again = looked.timed(durations)
            return repeating_path(again, timing).totals()

        def sink(keys: Collection[AccessKey]) -> Fraction | None:
            alone = dict.fromkeys(keys, 1)
            grows = looked.durations(alone, 0, self._fits(alone))
            slope = looked.timer.slope(durations, values, grows)
            return None if slope is None else Fraction(slope, scale)

        return Evaluation(number(Fraction(timing.makespan, scale * unit)), used, follow, sink)


class _Looked:
    """A schedule in which some tile iterations are looked at, ready to be timed anew.

    Parameters
    ----------
    model, parts, order
        The mapping, what the durations of its tasks are made of, and the order.
    """

    def __init__(self, model: Model, parts: Sequence[_Part], order: Order) -> None:
        assert isinstance(model.plan, PeriodicPlan)
        self._model = model
        self._plan = model.plan
        self.timer = model.plan.timer(order)
        self._parts: dict[AccessKey, list[_Part]] = {}
        for part in parts:
            self._parts.setdefault(part.key, []).append(part)

    def durations(self, factors: Mapping[AccessKey, int], unit: int, dtype: Any) -> Times:
        """Durations of tasks: of all accesses times `unit`, or a factor of their own."""
        durations = self._model.graph.task_duration.astype(dtype) * unit
        for key, factor in factors.items():
            if factor != unit:
                for part in self._parts.get(key, ()):
                    durations[part.tasks] += part.steps.astype(dtype) * (factor - unit)
        return durations

    def timed(self, durations: Times) -> Model:
        """The mapping under such durations."""
        graph = replace(self._model.graph, task_duration=durations)
        return replace(self._model, plan=PeriodicPlan(graph, self._plan.repeats))


def explicit_retimer(model: Model, plan: Plan, timing: Timing) -> ExplicitRetimer:
    """Times the task graph anew, in the order in which its ports serve it in a schedule.

    Parameters
    ----------
    model
        The mapping, all tile iterations of it.
    plan
        Its task graph.
    timing
        The schedule.
    """
    return ExplicitRetimer(model, plan, service_order(plan.graph, timing), tuple(_parts(model)))


class TurnRetimer:
    """Times a schedule anew in which leaves run one after another.

    Of every *turn* of a leaf, its tile iterations between two barriers, the busiest port says how
    long it takes.

    Parameters
    ----------
    model, timing
        The schedule: no Pipeline, no prefetched fills, nothing in the background.
    now
        Its critical path: by access, how long those on it take.
    """

    def __init__(self, model: Model, timing: Timing, now: _Totals) -> None:
        self._model = model
        self._timing = timing
        self._now = now
        self._parts = tuple(_parts(model))

    @cached_property
    def loads(self) -> Mapping[AccessKey, Number]:
        """What takes time, and for how long it keeps its busiest port busy at scale 1."""
        return _loads(self._model, self._parts)

    def evaluate(
        self,
        scales: Mapping[AccessKey, Fraction],
        /,
        *,
        quick: bool = False,  # noqa: ARG002 - nothing else is looked at
    ) -> Evaluation:
        """The latency with all durations of some accesses scaled; see `Retimer`."""
        used = {key: Fraction(scales.get(key, 1)) for key in self.loads}
        scale = self._model.costs.scale
        if all(factor == 1 for factor in used.values()):
            # Where several ports are as busy, those of the report's critical path.
            latency = number(Fraction(self._timing.makespan, scale))
            return Evaluation(latency, used, self._now)
        unit = lcm(*(factor.denominator for factor in used.values()))
        ports, (times, rows) = self._model.graph.ports, self._turns
        busy = np.full(len(times) * ports, 0, dtype=object)
        for key, (where, steps) in rows.items():
            busy[where] += steps * int(used[key] * unit)
        by_turn = busy.reshape(len(times), ports)
        busiest = np.arange(len(times)) * ports + by_turn.argmax(axis=1)
        counts = np.full(len(busy), 0, dtype=object)
        counts[busiest] = times
        found = {key: int((steps * counts[where]).sum()) for key, (where, steps) in rows.items()}
        unscaled = {key: number(Fraction(n, scale)) for key, n in found.items() if n}
        latency = number(Fraction(int((busy * counts).sum()), scale * unit))
        return Evaluation(latency, used, lambda: unscaled)

    @cached_property
    def _turns(self) -> tuple[Times, Mapping[AccessKey, tuple[Ints, Times]]]:
        """Turns of leaves, and how long they keep which ports busy.

        Returns
        -------
        (times, rows)
            Per turn, how often there is one like it. By access, where (turn times the number of
            ports plus the port) and for how long.
        """
        graph, layout = self._model.graph, self._model.layout
        turn_of = np.zeros(graph.iterations, dtype=np.int64)
        inner = np.full(graph.iterations, 1, dtype=object)
        times: list[int] = []
        for tiles, base in zip(layout.tiles, layout.bases, strict=True):
            depth = max((split.depth for split in tiles.leaf.splits), default=0)
            mine = slice(base, base + tiles.size)
            firsts = tiles.firsts(depth)
            turn = np.searchsorted(firsts, np.arange(tiles.size), side="right") - 1
            turn_of[mine] = len(times) + turn
            outer = np.full(tiles.size, 1, dtype=object)
            for k, kept in enumerate(tiles.kept):
                many = outer if k < depth else inner[mine]
                many *= kept.multiplicity[tiles.places[k]].astype(object)
            times += outer[firsts].tolist()
        rows: dict[AccessKey, tuple[Ints, Times]] = {}
        owner = graph.owner[graph.task_block]
        for part in self._parts:
            at = turn_of[owner[part.tasks]] * graph.ports + graph.task_port[part.tasks]
            where, steps = rows.get(part.key, (at[:0], inner[:0]))
            where, which = np.unique(np.concatenate((where, at)), return_inverse=True)
            total = np.full(len(where), 0, dtype=object)
            more = part.steps.astype(object) * inner[owner[part.tasks]]
            np.add.at(total, which, np.concatenate((steps, more)))
            rows[part.key] = where, total
        return np.array(times, dtype=object), rows


def _loads(model: Model, parts: Sequence[_Part]) -> Mapping[AccessKey, Number]:
    """What takes time, and for how long it keeps its busiest port busy at scale 1."""
    most: dict[AccessKey, int] = {}
    for (key, _), steps in _busy(model, parts).items():
        most[key] = max(most.get(key, 0), steps)
    return {key: number(Fraction(n, model.costs.scale)) for key, n in most.items()}


def _busy(model: Model, parts: Sequence[_Part]) -> Mapping[tuple[AccessKey, int], int]:
    """For how long each access keeps each port busy at scale 1, in steps of time."""
    graph = model.graph
    times = graph.multiplicity[graph.owner[graph.task_block]].astype(object)
    steps: dict[tuple[AccessKey, int], int] = {}
    for part in parts:
        at = part.key, int(graph.task_port[part.tasks[0]])
        steps[at] = steps.get(at, 0) + int((part.steps * times[part.tasks]).sum())
    return steps


def _parts(model: Model) -> Iterator[_Part]:
    """What the durations of the tasks are made of, access by access."""
    for leaf, block, port, tasks, iterations in same_tasks(model):
        yield from _block_parts(model, leaf, block, port, tasks, iterations)


def _block_parts(
    model: Model, leaf: int, block: Block, port: int, tasks: Ints, iterations: Ints
) -> Iterator[_Part]:
    """What the durations of a block's tasks on a port are made of."""
    costs = model.costs
    name = model.lowered.leaves[leaf].einsum.name
    dtype = model.graph.task_duration.dtype
    for access in block.accesses:
        each = costs.per_value[leaf, access.component, access.tensor, access.action].get(port, 0)
        if each:
            at = np.searchsorted(access.iterations, iterations)
            at = np.minimum(at, len(access.iterations) - 1)
            which = np.flatnonzero(access.iterations[at] == iterations)
            steps = access.counts[at[which]].astype(dtype) * each
            key = (name, access.component, access.tensor, access.action)
            yield from _part(key, tasks[which], steps)
    component = costs.ports[port].component
    once = costs.constant.get((leaf, component), {}).get(port, 0)
    if once and block.kind == "foreground":
        first = tasks[iterations == 0]
        steps = np.full(len(first), once, dtype=dtype)
        yield from _part((name, component, None, OVERHEAD), first, steps)


def _part(key: AccessKey, tasks: Ints, steps: Times) -> Iterator[_Part]:
    total = int(steps.sum())
    if total:
        yield _Part(key, tasks, steps, total)
