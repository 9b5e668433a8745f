"""Sample iterations of the loops until the schedule of the rest can be extrapolated.

Every loop starts with a small sample: some iterations at its beginning, and some around each of
its trip counts. Where the extrapolation from that sample fails (`NotPeriodicError`), the sample of
the loop that failed grows: a longer period, more iterations at its ends, or a restart, an iteration
from which the loop is sampled as if it began anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isqrt, lcm, prod
from typing import NamedTuple, TypeVar

import numpy as np

from polylat.engine.alignment import alignments
from polylat.engine.alike_loops import alike_loops
from polylat.engine.model import Model, build
from polylat.lowering.enumeration import trip_counts
from polylat.lowering.iterations import IrregularError
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.paths import LoopKeys, loop_nodes, separating_split
from polylat.lowering.sampling import LoopSample, SkippedPeriods
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.events import EventNumbering
from polylat.schedule.extrapolation import NotPeriodicError
from polylat.schedule.timing import TaskSchedule
from polylat.spec.slots import Slots

__all__ = ["Inputs", "Sampled", "SamplingSearch"]

T = TypeVar("T")
Sampled = tuple[tuple[int, LoopSample], ...]
"""(loop, its sampled iterations) of all loops."""
_Range = tuple[int, int, int]
"""(leaf, loop, number of the skipped range)"""

_ROUND = 1_500
"""How many more tile iterations could be sampled in the time that a round takes anyway."""

_MOST_BUILT = 50_000
"""How many tile iterations the models have together that are kept for other searches."""

_MOST_BLIND = 6
"""How often the sample is enlarged after failures that show no delay."""

_LEAST_SKIPPED = 64
"""Smallest skipped range, in iterations, where regimes are known: a shorter one lies between two
regimes, and does not repeat."""

_MOST_RESTARTS = 16
"""How often one loop may change to another periodic regime."""


class Inputs(NamedTuple):
    """The arguments of `build`.

    Parameters
    ----------
    lowered
        The mapping.
    options
        How tiles move between holders.
    """

    lowered: LoweredMapping
    options: TransferOptions


@dataclass(frozen=True)
class _Sample:
    """Which iterations of a loop are sampled.

    Parameters
    ----------
    head, tail
        Number of iterations at the loop's beginning, and before each of its trip counts.
    period
        Number of iterations after which the schedule repeats.
    restarts
        Iterations at which another periodic regime begins: a head is sampled from there.
    regimes
        (iteration, period from there on) of restarts, in increasing order, where periods are known:
        the schedule repeats after a common multiple of that period and of `period`.
    """

    head: int
    tail: int
    period: int = 1
    restarts: tuple[int, ...] = ()
    regimes: tuple[tuple[int, int], ...] = ()

    def period_at(self, iteration: int) -> int:
        """The number of iterations after which the schedule repeats, around an iteration."""
        at = bisect_right(self.regimes, iteration, key=lambda regime: regime[0])
        return lcm(self.period, self.regimes[at - 1][1]) if at else self.period

    @property
    def beginnings(self) -> list[int]:
        """Where periodic regimes begin."""
        return sorted({*self.restarts, *(iteration for iteration, _ in self.regimes)})


@dataclass(frozen=True)
class _RestartSearch:
    """The search for the iteration at which a periodic regime of a loop ends.

    Parameters
    ----------
    nodes, number
        The loop, then those like it that are sampled with it; and the number of the skipped
        range.
    first, period
        The first skipped iteration there, and the number of iterations per period.
    holds, fails
        The largest number of skipped periods for which the extrapolation was found to hold, and the
        smallest for which it was found to fail.
    points
        (periods, delay behind the range) of the last two failures.
    sample
        The sample of the loops before the search.
    held
        Whether the extrapolation held for the number of periods tried last.
    """

    nodes: tuple[int, ...]
    number: int
    first: int
    period: int
    holds: int
    fails: int
    points: tuple[tuple[int, int], ...]
    sample: _Sample
    held: bool = False

    @property
    def node(self) -> int:
        """The loop that decides."""
        return self.nodes[0]

    @property
    def next(self) -> int:
        """The number of periods to try next: by the secant method, or by bisection.

        The delay is convex in the number of periods. So the secant through two failures reaches
        zero at or above the largest number without a delay. Without two points: bisection, in
        geometric steps while the interval is wide. After a number that held, one near the upper end
        of the interval: regimes often end just before the loop does.
        """
        if len(self.points) == 2:
            (a, delay_a), (b, delay_b) = self.points
            if delay_b > delay_a:
                guess = a - -(-delay_a * (b - a) // (delay_b - delay_a))
                if guess < self.fails:
                    return max(guess, self.holds + 1)
        if self.held:
            return self.fails - isqrt(self.fails - self.holds)
        if self.fails > 8 * (self.holds + 1) and len(self.points) != 1:
            return isqrt((self.holds + 1) * self.fails)
        return (self.holds + self.fails) // 2


class SamplingSearch:
    """Enlarges the sample of iterations until the schedule of all can be extrapolated.

    Loops are given by their keys: their tree nodes, unless leaves are sampled apart.

    Parameters
    ----------
    inputs
        The mapping and the options.
    most
        Largest number of tile iterations to sample.
    rounds
        Largest number of times that the sample is enlarged.
    work
        Largest number of tile iterations to sample, in all rounds, each of which counts as
        `_ROUND` more; None: no limit.
    only
        The loops (tree nodes) whose iterations may be skipped; None: all.
    prepare
        Applied to every model before it is timed.
    built
        The models that other searches have built from these inputs, by sample; this one adds its
        own.
    regimes
        Loop → (iteration, period from there on) of its periodic regimes.
    keys
        Per leaf, the keys of its Temporal loops; None: their tree nodes.

    Attributes
    ----------
    work
        What is left of `work`.
    """

    def __init__(
        self,
        inputs: Inputs,
        most: int,
        *,
        rounds: int = 120,
        work: int | None = None,
        only: frozenset[int] | None = None,
        prepare: Callable[[Model], Model] | None = None,
        built: dict[Sampled, Model] | None = None,
        regimes: Mapping[int, tuple[tuple[int, int], ...]] | None = None,
        keys: LoopKeys | None = None,
    ) -> None:
        self.inputs = inputs
        self.most = most
        self._rounds = rounds
        self._blind = 0
        self.work = work
        self._prepare = prepare
        self._built = built
        lowered = inputs.lowered
        nodes = loop_nodes(lowered.leaves)
        self._keys = nodes if keys is None else keys
        node_of = {
            key: node
            for mine, own in zip(self._keys, nodes, strict=True)
            for key, node in zip(mine, own, strict=True)
        }
        trips, samples = _trips(lowered), _initial_samples(lowered, inputs.options.slots)
        self._trips = {key: trips[node] for key, node in node_of.items()}
        self._alike = alike_loops(lowered) if keys is None else {key: (key,) for key in node_of}
        self._samples = {key: samples[node] for key, node in node_of.items()}
        for node, known in (regimes or {}).items():
            self._samples[node] = replace(self._samples[node], regimes=known)
        self._model: Model | None = None
        self._restart: _RestartSearch | None = None
        self._tails = {node: sample.tail + 2 for node, sample in self._samples.items()}
        # Where variables are coupled, the iterations of one loop depend on those of another loop.
        self._whole = {
            key
            for leaf, mine in zip(lowered.leaves, self._keys, strict=True)
            for loop, key in zip(leaf.temporal, mine, strict=True)
            if any(loop.variable in c.variables for c in leaf.coupled)
        }
        if only is not None:
            self._whole |= self._trips.keys() - only

    def run(self, time: Callable[[Model], T]) -> T | None:
        """Time models with growing samples until one of them succeeds.

        Parameters
        ----------
        time
            Times a model; raises `NotPeriodicError` where more iterations must be sampled. The
            first model is the last one of the run before, if there was one.

        Returns
        -------
        T or None
            The first result of `time`; None if too many tile iterations would have to be sampled.
        """
        while self._rounds:
            self._rounds -= 1
            try:
                return self._timed(time)
            except IrregularError:
                return None
            except NotPeriodicError as error:
                self._blind += not error.excess
                if not error.places or self._blind > _MOST_BLIND or not self._enlarge(error):
                    return None
        return None

    def _timed(self, time: Callable[[Model], T]) -> T | None:
        model = self.model()
        return None if model is None else time(model)

    def model(self) -> Model | None:
        """Build the mapping with the present sample.

        Returns
        -------
        Model or None
            None if the sample is too large, or no smaller than all tile iterations.
        """
        if self._model is None:
            lowered, kept = self.inputs.lowered, self._kept()
            sampled = self._count(kept)
            if self.work is not None:
                self.work -= sampled + _ROUND
                if self.work < 0:
                    return None
            if lowered.size > sampled <= self.most:
                model = self._build(kept)
                self._model = model if self._prepare is None else self._prepare(model)
        return self._model

    @property
    def size(self) -> int:
        """Number of tile iterations of the present sample."""
        return self._count(self._kept())

    def _kept(self) -> dict[int, LoopSample]:
        """Return the sampled iterations of the loops."""
        return {
            key: LoopSample(trips[-1])
            if key in self._whole
            else _loop_sample(trips, self._samples[key])
            for key, trips in self._trips.items()
        }

    def _count(self, kept: Mapping[int, LoopSample]) -> int:
        """Return the number of sampled tile iterations."""
        depths = self.inputs.lowered.depths
        return sum(
            prod(kept[key].count for key in mine[:depth])
            for mine, depth in zip(self._keys, depths, strict=True)
        )

    def _build(self, kept: Mapping[int, LoopSample]) -> Model:
        if self._built is None:
            return build(*self.inputs, kept=kept, keys=self._keys)
        key = tuple(kept.items())
        if key in self._built:
            return self._built[key]
        model = build(*self.inputs, kept=kept, keys=self._keys)
        kept_so_far = sum(other.graph.iterations for other in self._built.values())
        if kept_so_far + model.graph.iterations <= _MOST_BUILT:
            self._built[key] = model
        return model

    def _enlarge(self, error: NotPeriodicError) -> bool:
        """Sample more of the loops whose extrapolation failed; False if that cannot help."""
        model = self._model
        wrong: dict[int, list[_Range]] = {}
        for place in error.places:
            wrong.setdefault(self._keys[place[0]][place[1]], []).append(place)
        if model is None:
            # Accesses or dependences differ, before any time is known.
            for node in wrong:
                self._sample_more(node)
            return True
        if self._lengthen(error.tails):
            return True
        if self._restart is not None:
            self._narrow_restart(wrong.get(self._restart.node, []), error.excess)
            return True
        steady = []
        for node, places in wrong.items():
            sample = self._samples[node]
            periods = [
                _period(model, error.timing, *place) for place in places if error.timing is not None
            ]
            if periods and periods == [_cut_period(model, place) for place in places]:
                steady.append(node)
                continue
            found = {period for period in periods if period is not None}
            regular = None not in periods
            # Leaves that are not periodic yet will most likely have the period of the others.
            if found and (regular or len(found) == 1):
                self._samples[node] = replace(sample, period=lcm(sample.period, *found))
            if not found or not regular:
                self._sample_more(node)
        # Leaves wait for earlier ones, so that a change of regime in the first loop that fails
        # often explains the others. Its delay must be known: it shows that there is such a change.
        first = next(iter(wrong))
        known = len(wrong) == 1 or any(place in error.excess for place in wrong[first])
        enough = self._samples[first].tail >= self._tails[first]
        if len(steady) == len(wrong) and known and enough:
            if len(self._samples[first].restarts) >= _MOST_RESTARTS:
                return False
            equal = [
                node
                for node in self._alike[first]
                if node != first and node in wrong and self._samples[node] == self._samples[first]
            ]
            self._begin_restart(model, (first, *equal), wrong[first], error.excess)
        else:
            for node in steady:
                sample = self._samples[node]
                self._samples[node] = replace(sample, head=sample.head + 2, tail=sample.tail + 2)
        self._model = None
        return True

    def _lengthen(self, tails: Mapping[tuple[int, int], int]) -> bool:
        """Sample these numbers of iterations at the ends of loops; False if they are already."""
        longer = False
        for (leaf, loop), tail in tails.items():
            node = self._keys[leaf][loop]
            if self._samples[node].tail < tail:
                self._samples[node] = replace(self._samples[node], tail=tail)
                self._tails[node] = tail + 2
                self._model, longer = None, True
        return longer

    def _sample_more(self, node: int) -> None:
        """Sample more iterations at the beginning of a loop, and at its ends."""
        sample = self._samples[node]
        self._samples[node] = replace(sample, head=2 * sample.head, tail=sample.tail + 1)

    # A loop may be periodic for many iterations and then enter another periodic regime. The search
    # finds the iteration of that change: up to it the extrapolation holds.

    def _begin_restart(
        self,
        model: Model,
        nodes: tuple[int, ...],
        places: Sequence[_Range],
        excess: Mapping[_Range, int],
    ) -> None:
        leaf, loop, number = min(places, key=lambda place: place[2])
        kept = model.layout.tiles[leaf].kept[loop]
        cut = kept.cuts[number]
        first = int(kept.digits[cut.place - 1]) + 1
        delay = max((excess.get(p, 0) for p in places if p[2] <= number), default=0)
        points = ((cut.periods, delay),) if delay else ()
        self._restart = _RestartSearch(
            nodes, number, first, cut.period, 0, cut.periods, points, self._samples[nodes[0]]
        )
        self._try_restart(self._restart.next)

    def _try_restart(self, periods: int) -> None:
        """Restart the sample of the loop after a number of skipped periods."""
        search = self._restart
        assert search is not None
        digit = search.first + periods * search.period
        restarts = tuple(sorted({*search.sample.restarts, digit}))
        for node in search.nodes:
            self._samples[node] = replace(search.sample, restarts=restarts)
        self._model = None

    def _narrow_restart(self, places: Sequence[_Range], excess: Mapping[_Range, int]) -> None:
        search = self._restart
        assert search is not None
        periods = search.next
        failed = [place for place in places if place[2] <= search.number]
        if failed:
            delay = max(excess.get(place, 0) for place in failed)
            points = ((periods, delay), *search.points)[:2] if delay else ()
            self._restart = replace(search, fails=periods, points=points, held=False)
        else:
            self._restart = replace(search, holds=periods, held=True)
        if self._restart.fails - self._restart.holds > 1:
            self._try_restart(self._restart.next)
        else:
            self._try_restart(self._restart.holds)
            self._restart = None


def _cut_period(model: Model, place: _Range) -> int:
    """Return the period of a skipped range."""
    leaf, loop, number = place
    return model.layout.tiles[leaf].kept[loop].cuts[number].period


def _period(
    model: Model, timing: TaskSchedule | None, leaf: int, loop: int, number: int
) -> int | None:
    """Return the period with which times grow before a skipped range, or a multiple of it."""
    assert timing is not None
    tiles, base = model.layout.tiles[leaf], model.layout.bases[leaf]
    cut = tiles.kept[loop].cuts[number]
    events = EventNumbering(model.graph)
    owner = model.graph.owner[model.graph.task_block] - base
    ends = timing.task_begin + model.graph.task_duration
    before = tiles.kept[loop].cuts[number - 1].place if number else 0
    # The events of a period may coincide: only a wide window shows that a shorter period fails.
    window = max((cut.place - before) // 3, cut.period)
    tasks = np.flatnonzero((owner >= 0) & (owner < tiles.size))
    place = tiles.places[loop][owner[tasks]]
    tasks = tasks[(place >= cut.place - window) & (place < cut.place)]
    for period in range(cut.period, window + 1):
        once = events.earlier_tasks(tasks, base + tiles.shifted(owner[tasks], loop, period))
        twice = events.earlier_tasks(tasks, base + tiles.shifted(owner[tasks], loop, 2 * period))
        if len(tasks) and (once >= 0).all() and (twice >= 0).all():
            growth = ends[tasks] - ends[once]
            if (growth == ends[once] - ends[twice]).all():
                return period
    return None


def _initial_samples(lowered: LoweredMapping, slots: Slots) -> dict[int, _Sample]:
    """Return the first samples.

    A transient is assumed to be as long as the number of slots, and as the last stage of a Pipeline
    is behind the first one.
    """
    users: dict[int, int] = {}
    for leaf in lowered.leaves:
        for loop in leaf.temporal:
            users[loop.node] = users.get(loop.node, 0) + 1
    limits = slots.values() if isinstance(slots, Mapping) else [slots]
    most = max([2, *(n for n in limits if n is not None)])
    aligned = alignments(lowered)
    shifted = _shifted_iterations(lowered)
    samples = {}
    for node, count in users.items():
        more = most + shifted.get(node, 0)
        sample = _Sample(3 + more, 1 + more) if count > 1 else _Sample(3, 2)
        if node in aligned:
            period, restarts = aligned[node].period, aligned[node].restarts
            sample = replace(sample, period=period, restarts=restarts)
        samples[node] = sample
    return samples


def _shifted_iterations(lowered: LoweredMapping) -> dict[int, int]:
    """Return how many iterations of a loop the last stage of a Pipeline is behind the first one.

    Per loop (tree node): the largest one, at least. A stage is at least one turn, which is an
    iteration of the loops between the Pipeline and the split above it, behind the stages that it
    reads from; it may be further behind.
    """
    behind: dict[tuple[int, int], int] = {}
    for (number, _), source in sorted(lowered.found.items()):
        if source.leaf is not None and source.leaf != number:
            reader, bringer = lowered.leaves[number], lowered.leaves[source.leaf]
            at = separating_split(reader, bringer)
            split, other = reader.splits[at], bringer.splits[at]
            if split.pipeline:
                here, there = (split.node, split.branch), (split.node, other.branch)
                behind[here] = max(behind.get(here, 0), behind.get(there, 0) + 1)
    found: dict[int, int] = {}
    for leaf in lowered.leaves:
        above = 0
        for split in leaf.splits:
            turns = behind.get((split.node, split.branch), 0)
            for k in range(split.depth - 1, above - 1, -1):
                node = leaf.temporal[k].node
                found[node] = max(found.get(node, 0), turns)
                turns = -(-turns // leaf.temporal_trips[k])
            above = split.depth
    return found


def _trips(lowered: LoweredMapping) -> dict[int, tuple[int, ...]]:
    """Return the trip counts that occur per Temporal loop (tree node), increasing."""
    largest = trip_counts(lowered.leaves)
    found: dict[int, set[int]] = {}
    for leaf in lowered.leaves:
        extents: dict[str, set[int]] = {
            v: {high - low + 1} for v, (low, high) in leaf.ranges.items()
        }
        for loop in leaf.loops:
            above = extents[loop.variable]
            counts = {loop.trip_count(extent) for extent in above}
            if loop.unit is None:
                found.setdefault(loop.node, set()).update(counts)
            extents[loop.variable] = {n for extent in above for n, _ in loop.tiles(extent)}
    return {node: tuple(sorted({*counts, largest[node]})) for node, counts in found.items()}


def _loop_sample(trips: Sequence[int], sample: _Sample) -> LoopSample:
    """Sample the head of a loop, and the iterations around its trip counts and restarts."""
    most = trips[-1]

    def head_from(iteration: int) -> int:
        return iteration + sample.head + 2 * (sample.period_at(iteration) - 1)

    def tail_before(iteration: int) -> int:
        return iteration - sample.tail - sample.period_at(iteration - 1) + 1

    runs = [(0, head_from(0))]
    around = [(tail_before(count), count + sample.head) for count in trips[:-1]]
    # Before a restart, as at a loop's end, iterations may differ from those of the period.
    around += [(tail_before(start), head_from(start)) for start in sample.beginnings]
    around.sort()
    around.append((tail_before(most), most))
    periods_between = []
    for low, high in around:
        period = sample.period_at(runs[-1][1] - 1)
        periods = (low - runs[-1][1]) // period
        fewest = max(2, -(-_LEAST_SKIPPED // period)) if sample.regimes else 2
        if periods < fewest or runs[-1][1] - runs[-1][0] < 2 * period + 1:
            runs[-1] = (runs[-1][0], min(max(runs[-1][1], high), most))
        else:
            runs.append((runs[-1][1] + periods * period, min(high, most)))
            periods_between.append(period)
    runs[-1] = (runs[-1][0], most)
    cuts = []
    skipped = 0
    for ((_, end), (start, _)), period in zip(pairwise(runs), periods_between, strict=True):
        cuts.append(SkippedPeriods(end - skipped, period, (start - end) // period))
        skipped += start - end
    return LoopSample(most, tuple(cuts))
