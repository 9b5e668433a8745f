"""Which iterations are looked at: as few as tell how all the others go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from math import isqrt, lcm, prod
from typing import TypeVar

import numpy as np

from polylat.dependences.rules import Slots
from polylat.errors import TooLargeError
from polylat.greedy import time_as_dated, time_as_seen
from polylat.lowering.kept import Cut, Kept
from polylat.lowering.tiles import IrregularError, shared_radices
from polylat.model import Lowered, Model, build, sequential_leaves
from polylat.recurrence import recurrent
from polylat.schedule.graph import TaskGraph
from polylat.schedule.periodic import Events, NotPeriodicError, PeriodicPlan
from polylat.schedule.timing import ORDERS, Order, Plan, Timing

__all__ = ["Search", "Solved", "in_turn", "oldest", "solve"]

T = TypeVar("T")

EXPLICIT = 5_000
"""Up to this many tile iterations all are looked at: that takes no longer."""

MOST_VISITED = 200_000
"""Beyond this many tile iterations to look at, looking at all of them may be quicker."""


_MOST_STOPS = 16
"""So many times a loop may begin to repeat in another way."""

_OLDEST_ROUNDS = 8
"""How often to look at more for the order "oldest"."""

QUICK = 30_000
"""So many tile iterations are looked at before a coarser granularity is thought of."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A mapping with its timings.

    Parameters
    ----------
    model
        The mapping with its options.
    timings
        Per order its timing, and the model that it is a timing of: the same mapping, of which
        other tile iterations may be looked at. An order that is missing is not settled.
    unlimited
        The timing of `model` when nothing waits for a port.
    """

    model: Model
    timings: Mapping[Order, tuple[Timing, Model]]
    unlimited: Timing

    @property
    def settled(self) -> bool:
        """Whether the timing in every order is known."""
        return len(self.timings) == len(ORDERS)


def solve(
    lowered: Lowered,
    background: frozenset[tuple[str, str]],
    slots: Slots,
    max_tiles: int,
    *,
    sequential: bool = False,
    quick: bool = False,
) -> Solved:
    """Time a mapping under every order.

    Parameters
    ----------
    lowered, background, slots
        The mapping and the options.
    max_tiles
        Largest number of tile iterations to look at.
    sequential
        Take every Pipeline as a Sequential.
    quick
        Give up early where all tile iterations are too many to look at.

    Raises
    ------
    TooLargeError
        More tile iterations must be looked at.
    """
    if sequential:
        lowered = sequential_leaves(lowered)
    what = (lowered, background, slots)
    found = None
    if lowered.size > min(EXPLICIT, max_tiles):
        few = QUICK if quick or lowered.size <= max_tiles else MOST_VISITED
        found = _periodic(what, min(max_tiles, few))
        if found is not None and found.settled:
            return found
    if lowered.size <= max_tiles:
        return _explicit(build(*what))
    if found is not None:
        return found
    raise TooLargeError(
        f"the mapping has {lowered.size} tile iterations at granularity {lowered.granularity!r},"
        f" and more than max_tiles={max_tiles} of them must be looked at",
        where="mapping",
        mend="raise max_tiles"
        + ("" if lowered.granularity == "tile" else ", or use granularity='tile'"),
    )


def in_turn(model: Model) -> bool:
    """Whether leaves run one after another and nothing is prefetched or in the background.

    Then each takes as long as its busiest port, however finely its tile iterations are told apart.
    """
    return all(
        block.kind == "foreground" for blocks in model.layout.blocks for block in blocks
    ) and not any(s.pipeline for leaf in model.lowered.leaves for s in leaf.splits)


def _no_rivals(graph: TaskGraph) -> bool:
    """Whether every port serves blocks of one kind, of one leaf."""
    leaf = graph.leaf[graph.owner[graph.task_block]]
    kind = leaf * (graph.sequence.max(initial=0) + 1) + graph.sequence[graph.task_block]
    one_of = np.empty(graph.ports, dtype=np.int64)
    one_of[graph.task_port] = kind
    return bool((one_of[graph.task_port] == kind).all())


_What = tuple[Lowered, frozenset[tuple[str, str]], Slots]


def _explicit(model: Model) -> Solved:
    assert isinstance(model.plan, Plan)
    timings = model.plan.time_all()
    return Solved(
        model, {o: (timing, model) for o, timing in timings.items()}, model.plan.time(None)
    )


def _settled(model: Model, what: _What, most: int) -> Solved:
    """The timings of a model in which tile iterations stand for others."""
    assert isinstance(model.plan, PeriodicPlan)
    timings: dict[Order, tuple[Timing, Model]] = {
        order: (timing, model) for order, timing in model.plan.time_static().items()
    }
    unlimited = model.plan.time(None)
    if in_turn(model) or _no_rivals(model.graph):
        # Only one leaf's blocks may start at a time, or no port serves others than one leaf's, in
        # order: ports have nothing to choose from.
        timings["oldest"] = replace(timings["program"][0], order="oldest"), model
        return Solved(model, timings, unlimited)
    try:
        timings["oldest"] = time_as_dated(model, timings["skew"][0]), model
    except NotPeriodicError:
        found = oldest(what, most)
        if found is not None:
            timings["oldest"] = found
    return Solved(model, timings, unlimited)


def oldest(what: _What, most: int) -> tuple[Timing, Model] | None:
    """The timing in the order "oldest", if it repeats in few tile iterations.

    Parameters
    ----------
    what
        The mapping and the options.
    most
        Largest number of tile iterations to look at.

    Returns
    -------
    (timing, model) or None
        `model` looks at some tile iterations, and has the order in which ports serve.
    """
    found = recurrent(what, most)
    # Ports that two leaves share rarely take turns in step with loops that only one leaf has.
    for loops, few in ((_common(what[0]), min(most, QUICK)), (None, most)):
        if found is None and loops != frozenset():
            found = Search(what, few, rounds=_OLDEST_ROUNDS, only=loops).run(time_as_seen)
    return found


def _common(lowered: Lowered) -> frozenset[int]:
    """The loops (tree nodes) that index the tile iterations of all leaves."""
    nodes = [
        [loop.node for loop in leaf.temporal[:depth]]
        for leaf, depth in zip(lowered.leaves, lowered.depths, strict=True)
    ]
    alike = takewhile(lambda level: len(set(level)) == 1, zip(*nodes, strict=False))
    return frozenset(level[0] for level in alike)


@dataclass(frozen=True)
class _Look:
    """How much of a loop is looked at.

    Parameters
    ----------
    head, tail
        So many iterations at its beginning, and before each of its trip counts.
    period
        After so many iterations it repeats.
    stops
        Iterations at which it goes on in another way: looked at again.
    """

    head: int
    tail: int
    period: int = 1
    stops: tuple[int, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Head and period."""
        return self.head, self.period


def _periodic(what: _What, most: int) -> Solved | None:
    """The timings from few tile iterations, if these tell those of all."""
    return Search(what, most).run(lambda model: _settled(model, what, most))


class Search:
    """Looks at more and more tile iterations, until these tell what all the others do.

    Parameters
    ----------
    what
        The mapping and the options.
    most
        Largest number of tile iterations to look at.
    rounds
        How often at most to look at more of them.
    only
        The loops (tree nodes) of which not all iterations are looked at; None: any.
    prepare
        What to do with a model before it is timed.
    """

    def __init__(
        self,
        what: _What,
        most: int,
        *,
        rounds: int = 120,
        only: frozenset[int] | None = None,
        prepare: Callable[[Model], Model] | None = None,
    ) -> None:
        self.what = what
        self.most = most
        self._rounds = rounds
        self._prepare = prepare
        lowered, _, slots = what
        self._trips = _trips(lowered)
        self._looks = _initial(lowered, slots)
        self._model: Model | None = None
        self._stop: _Stop | None = None
        self._tails = {node: look.tail + 2 for node, look in self._looks.items()}
        # Where variables are tied together, what exists in one loop depends on the other.
        self._tied = {
            loop.node
            for leaf in lowered.leaves
            for loop in leaf.temporal
            if any(loop.variable in c.variables for c in leaf.coupled)
        }
        if only is not None:
            self._tied |= self._trips.keys() - only

    def run(self, time: Callable[[Model], T]) -> T | None:
        """What can be said of the first model for which it can be said.

        Parameters
        ----------
        time
            Raises `NotPeriodicError` where more tile iterations must be looked at.

        Returns
        -------
        what `time` returns; None if too many tile iterations must be looked at.
        """
        for _ in range(self._rounds):
            try:
                model = self.model()
                if model is None:
                    return None
                return time(model)
            except IrregularError:
                return None
            except NotPeriodicError as error:
                if not error.places or not self._look_further(error):
                    return None
        return None

    def model(self) -> Model | None:
        """The mapping, of which so much is looked at as has been found to be needed."""
        if self._model is None:
            lowered = self.what[0]
            kept = {
                node: Kept(counts[-1]) if node in self._tied else _kept(counts, self._looks[node])
                for node, counts in self._trips.items()
            }
            if lowered.size > _visited(lowered, kept) <= self.most:
                model = build(*self.what, kept=kept)
                self._model = model if self._prepare is None else self._prepare(model)
        return self._model

    def _look_further(self, error: NotPeriodicError) -> bool:
        """Look at more of the loops that do not repeat as they were taken to, if that may help."""
        model, lowered = self._model, self.what[0]
        assert model is not None
        wrong: dict[int, list[tuple[int, int, int]]] = {}
        for place in error.places:
            wrong.setdefault(lowered.leaves[place[0]].temporal[place[1]].node, []).append(place)
        if self._stop is not None:
            self._narrow(wrong.get(self._stop.node, []), error.excess)
            return True
        steady = []
        for node, places in wrong.items():
            look = self._looks[node]
            periods = [
                _period(model, error.timing, *place) for place in places if error.timing is not None
            ]
            if periods and all(period == look.period for period in periods):
                steady.append(node)
                continue
            known = [period for period in periods if period is not None]
            if known and len(known) == len(periods):
                self._looks[node] = replace(look, period=lcm(look.period, *known))
            else:
                self._looks[node] = replace(look, head=2 * look.head, tail=look.tail + 1)
        if len(steady) == len(wrong) == 1 and self._looks[steady[0]].tail >= self._tails[steady[0]]:
            if len(self._looks[steady[0]].stops) >= _MOST_STOPS:
                return False
            self._begin_stop(model, steady[0], wrong[steady[0]], error.excess)
        else:
            for node in steady:
                look = self._looks[node]
                self._looks[node] = replace(look, head=look.head + 2, tail=look.tail + 2)
        self._model = None
        return True

    # Where a loop repeats for long and then goes on in another way, the iteration at which it does
    # is searched for: up to there all is as it was taken to be.

    def _begin_stop(
        self,
        model: Model,
        node: int,
        places: Sequence[tuple[int, int, int]],
        excess: Mapping[tuple[int, int, int], int],
    ) -> None:
        leaf, loop, number = min(places, key=lambda place: place[2])
        kept = model.layout.tiles[leaf].kept[loop]
        cut = kept.cuts[number]
        first = int(kept.digits[cut.place - 1]) + 1
        late = max((excess.get(p, 0) for p in places if p[2] <= number), default=0)
        points = ((cut.copies, late),) if late else ()
        self._stop = _Stop(node, number, first, 0, cut.copies, points, self._looks[node])
        self._try_stop()

    def _try_stop(self) -> None:
        stop = self._stop
        assert stop is not None
        digit = stop.first + stop.next * stop.look.period
        stops = tuple(sorted({*stop.look.stops, digit}))
        self._looks[stop.node] = replace(stop.look, stops=stops)
        self._model = None

    def _narrow(
        self,
        places: Sequence[tuple[int, int, int]],
        excess: Mapping[tuple[int, int, int], int],
    ) -> None:
        stop = self._stop
        assert stop is not None
        copies = stop.next
        mine = [place for place in places if place[2] <= stop.cut]
        if mine:
            late = max(excess.get(place, 0) for place in mine)
            points = ((copies, late), *stop.points)[:2] if late else ()
            stop = replace(stop, fails=copies, points=points)
        else:
            stop = replace(stop, holds=copies)
        self._stop = stop
        if stop.fails - stop.holds > 1:
            self._try_stop()
            return
        # Up to here it holds: what comes next is looked at as if the loop began anew.
        self._stop = None
        digit = stop.first + stop.holds * stop.look.period
        stops = tuple(sorted({*stop.look.stops, digit}))
        self._looks[stop.node] = replace(stop.look, stops=stops)
        self._model = None


@dataclass(frozen=True)
class _Stop:
    """The search for the iteration at which a loop stops to go on as it did.

    Parameters
    ----------
    node, cut
        The loop, and the number of the cut.
    first
        The first iteration that is left out there.
    holds, fails
        For how many copies it is known to go on, and for how many not to.
    points
        For the last two numbers of copies for which it does not, how late things are then.
    look
        How much of the loop was looked at before.
    """

    node: int
    cut: int
    first: int
    holds: int
    fails: int
    points: tuple[tuple[int, int], ...]
    look: _Look

    @property
    def next(self) -> int:
        """How many copies to try.

        How late things are is convex in the number of copies: the line through two points leads
        to where it begins, or to a point between.
        """
        if len(self.points) == 2:
            (a, late_a), (b, late_b) = self.points
            if late_b > late_a:
                guess = a - -(-late_a * (b - a) // (late_b - late_a))
                if self.holds < guess < self.fails:
                    return guess
        if self.fails > 8 * (self.holds + 1) and len(self.points) != 1:
            return isqrt((self.holds + 1) * self.fails)
        return (self.holds + self.fails) // 2


def _period(model: Model, timing: Timing, leaf: int, loop: int, number: int) -> int | None:
    """After how many iterations times grow alike before a cut: its period, or more, if any."""
    tiles, base = model.layout.tiles[leaf], model.layout.bases[leaf]
    cut = tiles.kept[loop].cuts[number]
    events = Events(model.graph)
    owner = model.graph.owner[model.graph.task_block] - base
    ends = timing.task_begin + model.graph.task_duration
    before = tiles.kept[loop].cuts[number - 1].place if number else 0
    most = max((cut.place - before) // 3, cut.period)
    # Within a period all may happen at once: a shorter one is only seen not to be one from afar.
    mine = np.flatnonzero((owner >= 0) & (owner < tiles.size))
    place = tiles.places[loop][owner[mine]]
    mine = mine[(place >= cut.place - most) & (place < cut.place)]
    for period in range(cut.period, most + 1):
        once = events.earlier_tasks(mine, base + tiles.shifted(owner[mine], loop, period))
        twice = events.earlier_tasks(mine, base + tiles.shifted(owner[mine], loop, 2 * period))
        if len(mine) and (once >= 0).all() and (twice >= 0).all():
            grown = ends[mine] - ends[once]
            if (grown == ends[once] - ends[twice]).all():
                return period
    return None


def _visited(lowered: Lowered, kept: Mapping[int, Kept]) -> int:
    return sum(
        prod(kept[loop.node].count for loop in leaf.temporal[:depth])
        for leaf, depth in zip(lowered.leaves, lowered.depths, strict=True)
    )


def _initial(lowered: Lowered, slots: Slots) -> dict[int, _Look]:
    """A guess: iterations settle after as many as tiles may be held at a time."""
    below: dict[int, int] = {}
    for leaf in lowered.leaves:
        for loop in leaf.temporal:
            below[loop.node] = below.get(loop.node, 0) + 1
    limits = slots.values() if isinstance(slots, Mapping) else [slots]
    most = max([2, *(n for n in limits if n is not None)])
    return {
        node: _Look(3 + most, 1 + most) if users > 1 else _Look(3, 2)
        for node, users in below.items()
    }


def _trips(lowered: Lowered) -> dict[int, tuple[int, ...]]:
    """Per Temporal loop (tree node), the trip counts that it has, increasing."""
    largest = shared_radices(lowered.leaves)
    found: dict[int, set[int]] = {}
    for leaf in lowered.leaves:
        extents: dict[str, set[int]] = {
            v: {high - low + 1} for v, (low, high) in leaf.ranges.items()
        }
        for loop in leaf.loops:
            mine = extents[loop.variable]
            counts = {-(-extent // loop.tile) for extent in mine}
            if loop.unit is None:
                found.setdefault(loop.node, set()).update(counts)
            rests = {extent % loop.tile for extent in mine} - {0}
            full = {loop.tile} if max(mine) >= loop.tile else set()
            extents[loop.variable] = rests | full
    return {node: tuple(sorted({*counts, largest[node]})) for node, counts in found.items()}


def _kept(trips: Sequence[int], look: _Look) -> Kept:
    """Look at the head of a loop and at the iterations around each of its trip counts."""
    most = trips[-1]
    head = look.head + 2 * (look.period - 1)
    runs = [(0, head)]
    around = [(count - look.tail - look.period + 1, count + look.head) for count in trips[:-1]]
    around += [(stop, stop + head) for stop in look.stops]
    around.sort()
    around.append((most - look.tail - look.period + 1, most))
    for low, high in around:
        gap = low - runs[-1][1]
        copies = gap // look.period
        if copies < 2 or runs[-1][1] - runs[-1][0] < 2 * look.period + 1:
            runs[-1] = (runs[-1][0], min(max(runs[-1][1], high), most))
        else:
            runs.append((runs[-1][1] + copies * look.period, min(high, most)))
    runs[-1] = (runs[-1][0], most)
    cuts = []
    gone = 0
    for (_, end), (start, _) in pairwise(runs):
        cuts.append(Cut(end - gone, look.period, (start - end) // look.period))
        gone += start - end
    return Kept(most, tuple(cuts))
