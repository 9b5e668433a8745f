"""The critical path of a schedule, with its repetitions kept once.

The path is traced back from the last finish (`critical_walk`). Where sampled tile iterations
represent skipped ones, the trace repeats, a constant number of iterations earlier each time. Such a
*round* is stored once, with the number of rounds and the shift of each service between rounds. The
accesses of the path (`Step`) are generated on demand.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from math import floor
from typing import TypeVar, overload

from polylat.analysis.access import AccessKey, Step
from polylat.analysis.critical_walk import CriticalWalk
from polylat.analysis.explicit_path import REASONS, ExplicitPath, explicit_path
from polylat.analysis.repetition import Digits, Item, Service
from polylat.analysis.visiting import visit_all
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.errors import UnsupportedError
from polylat.numbers import Number, reduce_number
from polylat.schedule.reasons import PORT, WaitedFor

__all__ = ["CriticalPath", "PeriodicPath", "critical_path", "periodic_path"]

K = TypeVar("K")


@dataclass(frozen=True, eq=False)
class PeriodicPath(Sequence[Step]):
    """The steps of a critical path, with its repetitions kept once.

    Parameters
    ----------
    model
        The mapping.
    items
        The path, in order of time. It begins at time 0 and has no gap.
    """

    model: Model
    items: tuple[Item, ...]

    @cached_property
    def length(self) -> int:
        """Number of steps; `len` counts to 2^63 only."""
        return sum(item.steps for item in self.items)

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Step: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...

    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        if isinstance(index, slice):
            chosen = range(*index.indices(self.length))
            if chosen.step == 1:
                return tuple(self._between(chosen.start, chosen.stop))
            return tuple(self[i] for i in chosen)
        return self._step(range(self.length)[index])

    def __iter__(self) -> Iterator[Step]:
        return self._between(0, self.length)

    def _between(self, low: int, high: int) -> Iterator[Step]:
        """Yield the steps with indices from `low` up to, but not including, `high`."""
        return self._inside(self.items, low, high, 0, (), (0,))

    def _inside(
        self,
        items: Sequence[Item],
        low: int,
        high: int,
        time: int,
        moves: tuple[tuple[tuple[Digits, ...], int], ...],
        at: tuple[int, ...],
    ) -> Iterator[Step]:
        """Yield those of some items, the first of which begins at `time`; indices count from it.

        Per repetition around the items, `moves` has its shifts and the number of the round, and
        `at`, from its second entry on, the number of services before the items in its body.
        """
        for item in items:
            if high <= 0:
                return
            size = item.steps
            if low < size:
                first, end = max(low, 0), min(high, size)
                if isinstance(item, Service):
                    for k in range(first, end):
                        yield self._in_service(item, k, time, moves, at)
                else:
                    once = size // item.count
                    for number in range(first // once, -(-end // once)):
                        yield from self._inside(
                            item.body,
                            low - number * once,
                            high - number * once,
                            time + number * item.once,
                            (*moves, (item.shifts, number)),
                            (*at, 0),
                        )
            low, high, time = low - size, high - size, time + item.duration
            at = tuple(n + item.services for n in at)

    @cached_property
    def _ends(self) -> tuple[list[int], list[int]]:
        """Where each item ends: the number of steps up to there, and the time."""
        steps = accumulate(item.steps for item in self.items)
        return list(steps), list(accumulate(item.duration for item in self.items))

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
        number = bisect_right(self._ends[1], steps)
        if number == len(self.items):
            return self.length
        index, since = (ends[number - 1] if number else 0 for ends in self._ends)
        steps -= since
        item = self.items[number]
        while not isinstance(item, Service):
            times, steps = divmod(steps, item.once)
            index += times * (item.steps // item.count)
            for inner in item.body:
                if steps < inner.duration:
                    break
                steps -= inner.duration
                index += inner.steps
            item = inner
        for _, duration in item.served.parts:
            if steps < duration:
                break
            steps -= duration
            index += 1
        return index

    def _step(self, index: int) -> Step:
        number = bisect_right(self._ends[0], index)
        before, time = (ends[number - 1] if number else 0 for ends in self._ends)
        index -= before
        item = self.items[number]
        moves: list[tuple[tuple[Digits, ...], int]] = []
        at = [0]
        while not isinstance(item, Service):
            times, index = divmod(index, item.steps // item.count)
            time += times * item.once
            moves.append((item.shifts, times))
            at.append(0)
            for inner in item.body:
                if index < inner.steps:
                    break
                index -= inner.steps
                time += inner.duration
                at = [a + inner.services for a in at]
            item = inner
        return self._in_service(item, index, time, moves, at)

    def _in_service(
        self,
        service: Service,
        index: int,
        time: int,
        moves: Sequence[tuple[tuple[Digits, ...], int]],
        at: Sequence[int],
    ) -> Step:
        """Return a step of a service, in the given rounds of the repetitions around it."""
        digits = list(service.digits)
        for (shifts, number), position in zip(moves, at[1:], strict=True):
            digits = [d + number * s for d, s in zip(digits, shifts[position], strict=True)]
        leaf = self.model.lowered.leaves[service.served.leaf]
        time += sum(duration for _, duration in service.served.parts[:index])
        what, duration = service.served.parts[index]
        return Step(
            einsum=leaf.einsum.name,
            tile=tuple(
                (loop.variable, digit) for loop, digit in zip(leaf.temporal, digits, strict=False)
            ),
            component=what.component,
            port=what.port,
            units=what.units,
            tensor=what.tensor,
            action=what.action,
            start=self._time(time),
            finish=self._time(time + duration),
            waited_for=REASONS[PORT if index else service.reason],
        )

    def _time(self, steps: int) -> Number:
        return reduce_number(Fraction(steps, self.model.costs.scale))

    def windows(self) -> list[tuple[Step, ...]]:
        """Return the steps without the middle rounds of repetitions.

        The first two and the last two rounds of each repetition remain: the rounds between them are
        translates of these.

        Returns
        -------
        list of tuple of Step
            Runs of consecutive steps, in order of time.
        """
        found: list[list[Step]] = []
        behind = -1
        for index, step in self._outer(self.items, 0, 0, (), (0,)):
            if index != behind:
                found.append([])
            found[-1].append(step)
            behind = index + 1
        return [tuple(steps) for steps in found]

    def _outer(
        self,
        items: Sequence[Item],
        index: int,
        time: int,
        moves: tuple[tuple[tuple[Digits, ...], int], ...],
        at: tuple[int, ...],
    ) -> Iterator[tuple[int, Step]]:
        """Yield the steps that are in no middle round, with their indices, as `_inside` does.

        The first of the items begins at `time`, with the step of an `index`.
        """
        for item in items:
            if isinstance(item, Service):
                for k in range(item.steps):
                    yield index + k, self._in_service(item, k, time, moves, at)
            else:
                once = item.steps // item.count
                outer = {0, 1, item.count - 2, item.count - 1}
                for number in sorted(n for n in outer if 0 <= n < item.count):
                    yield from self._outer(
                        item.body,
                        index + number * once,
                        time + number * item.once,
                        (*moves, (item.shifts, number)),
                        (*at, 0),
                    )
            index, time = index + item.steps, time + item.duration
            at = tuple(n + item.services for n in at)

    def totals(self) -> dict[AccessKey, Number]:
        """Return the time on the path by access.

        Returns
        -------
        dict
            (Einsum, component, tensor or None, action) → time in the architecture's unit of time,
            largest first.
        """
        found: dict[AccessKey, int] = {}
        for service, times in _services(self.items, 1):
            einsum = self.model.lowered.leaves[service.served.leaf].einsum.name
            for what, duration in service.served.parts:
                key = (einsum, what.component, what.tensor, what.action)
                found[key] = found.get(key, 0) + times * duration
        return self._ordered(found)

    def waits(self) -> dict[WaitedFor | None, Number]:
        """Return the time on the path by the reason why the steps waited.

        Returns
        -------
        dict
            Reason, None at time 0, → time in the architecture's unit of time, largest first.
        """
        found: dict[WaitedFor | None, int] = {}
        for service, times in _services(self.items, 1):
            for index, (_, duration) in enumerate(service.served.parts):
                reason = REASONS[PORT if index else service.reason]
                found[reason] = found.get(reason, 0) + times * duration
        return self._ordered(found)

    def _ordered(self, found: dict[K, int]) -> dict[K, Number]:
        ordered = sorted(found.items(), key=lambda item: -item[1])
        return {key: self._time(time) for key, time in ordered}


def _services(items: Sequence[Item], times: int) -> Iterator[tuple[Service, int]]:
    """Yield every `Service`, and how often it is on the path."""
    for item in items:
        if isinstance(item, Service):
            yield item, times
        else:
            yield from _services(item.body, times * item.count)


CriticalPath = ExplicitPath | PeriodicPath
"""A critical path: all of its accesses as arrays, or with its repetitions kept once."""


def periodic_path(solution: Solution) -> PeriodicPath:
    """Return the critical path of a schedule in which sampled iterations represent the others.

    Parameters
    ----------
    solution
        The schedule.

    Returns
    -------
    PeriodicPath
        The path, with its repetitions kept once.

    Raises
    ------
    UnsupportedError
        The path cannot be traced through a repetition.
    """
    return PeriodicPath(solution.model, CriticalWalk(solution).back())


def critical_path(solution: Solution) -> CriticalPath:
    """Return the critical path of a schedule.

    Where it cannot be traced through the repetitions, all tile iterations are visited if they are
    few enough.

    Parameters
    ----------
    solution
        The schedule.

    Returns
    -------
    CriticalPath
        A chain of accesses from time 0 to the makespan, without a gap.

    Raises
    ------
    UnsupportedError
        The path cannot be traced through a repetition, and there are too many tile iterations to
        visit them all.
    """
    if solution.model.engine == "explicit":
        return explicit_path(solution)
    try:
        return periodic_path(solution)
    except UnsupportedError:
        whole = visit_all(solution)
        if whole is None:
            raise
        return explicit_path(whole)
