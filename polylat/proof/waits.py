"""Search a schedule backward, from an event to a service that it waits for without a gap.

Only fixed latencies, and stalls of rigid pipelines, may lie between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import islpy as isl
import numpy as np

from polylat.analysis.isl_pieces import preceding
from polylat.analysis.starts import BlockStarts
from polylat.lowering.points import PiecewiseAffine
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.precedence import PrecedenceRule, Until
from polylat.proof.words import time_at
from polylat.schedule.arrays import Ints
from polylat.schedule.pieces import Pieces

__all__ = ["Index", "Place", "Waits", "services_ending_at"]

Index = tuple[int, ...]
Place = tuple[int, int, Index]
"""(leaf, block, tile iteration)"""

_Event = tuple[Place, int, bool]
"""(block and tile iteration, its start, whether the search has followed the stated reason)"""

_MAX_EVENTS = 100_000


@dataclass(frozen=True)
class _Awaited:
    """Tile iterations of a block that an event waits for.

    Parameters
    ----------
    leaf, block, until
        The block, and whether it must have passed, or only been served.
    last
        The last of the tile iterations, if the others start no later; None if any of them may start
        last.
    includes
        Whether a tile iteration is one of them.
    """

    leaf: int
    block: int
    until: Until
    last: Index | None
    includes: Callable[[Index], bool]


class Waits:
    """The waits of a schedule: from an event to the services that it waits for.

    Parameters
    ----------
    schedule
        The schedule, with the rules.
    """

    def __init__(self, schedule: CheckedSchedule) -> None:
        self.schedule = schedule
        self.rules_of: dict[tuple[int, int], list[PrecedenceRule]] = {}
        for rule in schedule.rules:
            self.rules_of.setdefault((rule.leaf, rule.block), []).append(rule)
        self._values: dict[tuple[int, Index], Index | None] = {}
        self._before: dict[int, isl.PwMultiAff] = {}
        self._functions: dict[int, tuple[isl.PwMultiAff, PiecewiseAffine]] = {}

    def evaluate_rules(self, places: Sequence[Place]) -> None:
        """Evaluate the rules of blocks in tile iterations, all at once.

        Parameters
        ----------
        places
            The blocks and tile iterations.
        """
        by_block: dict[tuple[int, int], set[Index]] = {}
        for leaf, block, index in places:
            by_block.setdefault((leaf, block), set()).add(index)
        for key, indices in by_block.items():
            some = sorted(indices)
            for rule in self.rules_of.get(key, ()):
                values, there = self._evaluated(rule.function, some)
                for index, row, here in zip(some, values.tolist(), there.tolist(), strict=True):
                    self._values[id(rule), index] = tuple(row) if here else None

    def _awaited_iteration(self, rule: PrecedenceRule, index: Index) -> Index | None:
        key = id(rule), index
        if key not in self._values:
            values, there = self._evaluated(rule.function, [index])
            self._values[key] = tuple(values[0].tolist()) if there[0] else None
        return self._values[key]

    def awaited_service(
        self, place: Place, time: int, *, reason: str | None = None, wanted: Place | None = None
    ) -> Place | None:
        """Find a service that an event waits for, with only fixed latencies and stalls between.

        The search goes backward through the events that the event waits for.

        Parameters
        ----------
        place, time
            The event and its start.
        reason
            The rule by which the event waits; None: any.
        wanted
            The service; None: any.

        Returns
        -------
        Place or None
            The service; None if the event does not wait for it.
        """
        return self._search([(place, time, reason is None)], reason, wanted)

    def last_service(self, end: int, wanted: Place | None = None) -> Place | None:
        """Find a service that the last finish waits for, as `awaited_service` does.

        Parameters
        ----------
        end
            The last finish.
        wanted
            The service; None: any.

        Returns
        -------
        Place or None
            The service; None if the last finish does not wait for it.
        """
        for stream in self.schedule.schedule.blocks:
            found = self._service(_whole(stream), end, wanted)
            if found is not None:
                return found
        return self._search(self._last_events(end), None, wanted)

    def is_free(self, place: Place | None, time: int) -> bool:
        """Return whether only fixed latencies and stalls lie between time 0 and an event.

        Parameters
        ----------
        place, time
            The event and its start; None: the last finish.

        Returns
        -------
        bool
            Whether the search backward from the event reaches time 0 without a service.
        """
        events = self._last_events(time) if place is None else [(place, time, True)]
        return self._search(events, None, None, origin=True) is not None

    def _last_events(self, end: int) -> list[_Event]:
        return [
            (place, time, True)
            for stream in self.schedule.schedule.blocks
            for place, time in self._events(_whole(stream), end)
        ]

    def _search(
        self,
        events: Sequence[_Event],
        reason: str | None,
        wanted: Place | None,
        *,
        origin: bool = False,
    ) -> Place | None:
        """Return a service that events wait for, or an event at time 0."""
        seen: set[_Event] = set()
        stack = list(events)
        while stack:
            event = stack.pop()
            if event in seen:
                continue
            seen.add(event)
            if len(seen) > _MAX_EVENTS:
                return None
            place, time, reached = event
            start = time_at(self.schedule.block_starts(place[0], place[1]).ready, place[2])
            if start != time:
                continue
            if origin and time == 0:
                return place
            for rule in self.rules_of.get(place[:2], ()):
                if not reached and rule.reason != reason:
                    continue
                awaited = self._awaited(rule, place[2])
                if awaited is None:
                    continue
                found = None if origin else self._service(awaited, time, wanted)
                if found is not None:
                    return found
                stack += [(at, when, True) for at, when in self._events(awaited, time)]
            before = self._preceding(place)
            if before is not None:
                stack.append((before, time, reached))
        return None

    def _awaited(self, rule: PrecedenceRule, index: Index) -> _Awaited | None:
        """Return what a tile iteration waits for by a rule; None for nothing."""
        value = self._awaited_iteration(rule, index)
        if value is None:
            return None
        leaf, block = rule.awaited, rule.awaited_block
        if block is None:
            front = self.schedule.sets.foreground(leaf)
            return _Awaited(leaf, front, rule.until, value, lambda at: at <= value)
        if rule.relation is None:
            return _Awaited(leaf, block, rule.until, value, lambda at: at == value)
        related = rule.relation.intersect_domain(_point(index)).range()
        return _Awaited(
            leaf, block, rule.until, None, lambda at: not (related & _point(at)).is_empty()
        )

    def _service(self, awaited: _Awaited, time: int, wanted: Place | None) -> Place | None:
        """Return an awaited service after which its block passes, or is served, at a time."""
        block = awaited.leaf, awaited.block
        if wanted is not None and wanted[:2] != block:
            return None
        for pieces in self.schedule.block_starts(*block).tasks.values():
            ends = self.schedule.passed(*block, self.schedule.ends(pieces), awaited.until)
            some = services_ending_at(ends, time) if wanted is None else [wanted[2]]
            for index in some:
                if time_at(ends, index) == time and awaited.includes(index):
                    return (*block, index)
        return None

    def _events(self, awaited: _Awaited, time: int) -> Iterator[tuple[Place, int]]:
        """Yield the awaited starts after which fixed latencies or stalls last until a time."""
        leaf, block, until = awaited.leaf, awaited.block, awaited.until
        stream = self.schedule.block_starts(leaf, block)
        begun = self.schedule.passed(leaf, block, stream.ready, until)
        constant = self.schedule.expected.latency(leaf, block).values.size == 1
        if awaited.last is not None and (constant or until == "served"):
            # The other tile iterations start no later.
            some: Iterable[Index] = [awaited.last]
        elif any(pieces.points == stream.ready.points for pieces in stream.tasks.values()):
            some = []
        elif awaited.last is not None:
            # Of those that start together, the others start no later than the last one.
            some = _last_ending_at(begun, time, awaited.last)
        else:
            some = services_ending_at(begun, time)
        for index in some:
            if time_at(begun, index) == time and awaited.includes(index):
                start = time_at(stream.ready, index)
                assert start is not None
                yield (leaf, block, index), start
        if until == "passed" and block == self.schedule.sets.foreground(leaf):
            stalls = self.schedule.stalls(leaf)
            for held, later, start in () if stalls is None else stalls.ending_at(time):
                if awaited.includes(held):
                    yield (leaf, block, later), start

    def _evaluated(
        self, function: isl.PwMultiAff, indices: Sequence[Index]
    ) -> tuple[Ints, np.ndarray]:
        """Return the values of a function, one per row, and where it is defined."""
        if id(function) not in self._functions:
            # The function is kept alive, as its id is the key.
            self._functions[id(function)] = function, PiecewiseAffine(function)
        size = function.dim(isl.dim_type.in_)
        rows = np.array(indices, dtype=np.int64).reshape(len(indices), size)
        return self._functions[id(function)][1].at(rows)

    def _preceding(self, place: Place) -> Place | None:
        """Return the foreground in the preceding tile iteration; None for other blocks."""
        leaf, block, index = place
        if block != self.schedule.sets.foreground(leaf):
            return None
        if leaf not in self._before:
            self._before[leaf] = preceding(self.schedule.sets.spaces[leaf], 1)
        values, there = self._evaluated(self._before[leaf], [index])
        return (leaf, block, tuple(values[0].tolist())) if there[0] else None


def _whole(stream: BlockStarts) -> _Awaited:
    """Return a block in all of its tile iterations."""
    return _Awaited(stream.leaf, stream.block, "passed", None, lambda _: True)


def _point(index: Index) -> isl.Set:
    """Return a tile iteration as a set."""
    return isl.Set(f"{{ [{', '.join(map(str, index))}] }}")


def services_ending_at(pieces: Pieces, time: int) -> Iterator[Index]:
    """Yield the tile iterations in which a service ends at a time.

    Parameters
    ----------
    pieces
        The services.
    time
        The time, in steps of 1/scale.

    Yields
    ------
    tuple of int
        The indices of a tile iteration. A port that serves one block at a time has at most one.
    """
    for left, terms, low, stride in _columns_at(pieces, time):
        for steps in _combinations(left, terms):
            yield tuple(a + n * x for a, n, x in zip(low, stride, steps, strict=True))


def _last_ending_at(pieces: Pieces, time: int, last: Index) -> Iterator[Index]:
    """Yield per piece the last tile iteration, up to a given one, in which a service ends then."""
    for left, terms, low, stride in _columns_at(pieces, time):
        limits = [divmod(at - a, n) for at, a, n in zip(last, low, stride, strict=True)]
        steps = _last_combination(left, terms, limits)
        if steps is not None:
            yield tuple(a + n * x for a, n, x in zip(low, stride, steps, strict=True))


def _columns_at(
    pieces: Pieces, time: int
) -> Iterator[tuple[int, list[tuple[int, int]], list[int], list[int]]]:
    """Yield the pieces in which a service may end at a time.

    How much later that is than the end of the first service; per loop, the rate and the number of
    members; the first index, and the distance of indices.
    """
    for f in np.flatnonzero(np.asarray((pieces.first <= time) & (pieces.last >= time))).tolist():
        column = pieces.chosen(np.array([f]))
        left = time - int(column.start[0]) - int(column.duration[0])
        rates, counts, low, stride = (
            [int(x) for x in row[:, 0]]
            for row in (column.rate, column.count, column.low, column.stride)
        )
        # A loop with one index has no distance.
        yield left, list(zip(rates, counts, strict=True)), low, [max(n, 1) for n in stride]


def _last_combination(
    total: int, terms: Sequence[tuple[int, int]], limits: Sequence[tuple[int, int]] | None
) -> tuple[int, ...] | None:
    """Return the last one of the steps that `_combinations` yields, up to a limit.

    The limit is given per loop: the largest step, and by how much the index of the limit is larger;
    None: there is no limit.
    """
    if not terms:
        return None if total else ()
    (rate, count), rest = terms[0], terms[1:]
    steps = _steps(total, rate, count, rest)
    most, beyond = (count - 1, 1) if limits is None else limits[0]
    for x in range(min(steps.stop - 1, most), steps.start - 1, -1)[:_MAX_EVENTS]:
        equal = limits is not None and x == most and not beyond
        found = _last_combination(total - rate * x, rest, limits[1:] if limits and equal else None)
        if found is not None:
            return (x, *found)
        if not rate and not equal:
            return None  # nor for any smaller step
    return None


def _combinations(total: int, terms: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """Yield all steps, ``0 <= step < count`` per term, whose sum of ``rate * step`` is a total."""
    if not terms:
        if not total:
            yield ()
        return
    (rate, count), rest = terms[0], terms[1:]
    steps = _steps(total, rate, count, rest)
    for x in steps if rate > 0 else steps[:_MAX_EVENTS]:
        for more in _combinations(total - rate * x, rest):
            yield (x, *more)


def _steps(total: int, rate: int, count: int, rest: Sequence[tuple[int, int]]) -> range:
    """Return the steps in one loop that those in the other loops may make up to a total."""
    if rate <= 0:
        return range(count)
    least = sum(min(0, c * (n - 1)) for c, n in rest)
    most = sum(max(0, c * (n - 1)) for c, n in rest)
    low, high = -((most - total) // rate), (total - least) // rate
    return range(max(0, low), min(count - 1, high) + 1)
