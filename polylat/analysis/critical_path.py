"""The critical path of a schedule in which tile iterations stand for others.

It is walked back from the last finish, as in a schedule of which all is looked at. Where it comes
round to the same accesses, so many iterations of some loops earlier, it goes round as often as
these loops do: what repeats is kept once, with its number of times.
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

from polylat.analysis.access import AccessKey, Step, WaitedFor
from polylat.analysis.critical_walk import CriticalWalk
from polylat.analysis.explicit_path import REASONS, ExplicitPath, explicit_path
from polylat.analysis.repetition import Digits, Item, Stay
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.numbers import Number, reduce_number
from polylat.schedule.reasons import PORT

__all__ = ["CriticalPath", "PeriodicPath", "critical_path", "periodic_path"]

K = TypeVar("K")


@dataclass(frozen=True, eq=False)
class PeriodicPath(Sequence[Step]):
    """The steps of a critical path, what repeats kept once.

    Parameters
    ----------
    model
        The mapping.
    items
        The path, in order of time.
    """

    model: Model
    items: tuple[Item, ...]

    @cached_property
    def _length(self) -> int:
        return sum(item.steps for item in self.items)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Step: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...

    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        if isinstance(index, slice):
            chosen = range(*index.indices(self._length))
            if chosen.step == 1:
                return tuple(self._between(chosen.start, chosen.stop))
            return tuple(self[i] for i in chosen)
        return self._step(range(self._length)[index])

    def __iter__(self) -> Iterator[Step]:
        return self._between(0, self._length)

    def _between(self, low: int, high: int) -> Iterator[Step]:
        """Steps from one on and before another."""
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
        """The same of some items, which begin at a time.

        `moves` has the rounds of the repetitions around them, `at` how many stays stand before
        them in each.
        """
        for item in items:
            if high <= 0:
                return
            size = item.steps
            if low < size:
                first, end = max(low, 0), min(high, size)
                if isinstance(item, Stay):
                    for k in range(first, end):
                        yield self._in_stay(item, k, time, moves, at)
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
            at = tuple(n + item.stays for n in at)

    @cached_property
    def _ends(self) -> tuple[list[int], list[int]]:
        """Where each item ends: as a number of steps, and in time."""
        steps = accumulate(item.steps for item in self.items)
        return list(steps), list(accumulate(item.duration for item in self.items))

    def index_at(self, time: Number) -> int:
        """The step that is served at a time: the first that ends later; their number if none."""
        steps = floor(Fraction(time) * self.model.costs.scale)
        number = bisect_right(self._ends[1], steps)
        if number == len(self.items):
            return len(self)
        index, since = (ends[number - 1] if number else 0 for ends in self._ends)
        steps -= since
        item = self.items[number]
        while not isinstance(item, Stay):
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
        while not isinstance(item, Stay):
            times, index = divmod(index, item.steps // item.count)
            time += times * item.once
            moves.append((item.shifts, times))
            at.append(0)
            for inner in item.body:
                if index < inner.steps:
                    break
                index -= inner.steps
                time += inner.duration
                at = [a + inner.stays for a in at]
            item = inner
        return self._in_stay(item, index, time, moves, at)

    def _in_stay(
        self,
        stay: Stay,
        index: int,
        time: int,
        moves: Sequence[tuple[tuple[Digits, ...], int]],
        at: Sequence[int],
    ) -> Step:
        digits = list(stay.digits)
        for (shifts, times), place in zip(moves, at[1:], strict=True):
            digits = [d + times * s for d, s in zip(digits, shifts[place], strict=True)]
        leaf = self.model.lowered.leaves[stay.served.leaf]
        time += sum(duration for _, duration in stay.served.parts[:index])
        what, duration = stay.served.parts[index]
        return Step(
            einsum=leaf.einsum.name,
            tile=tuple(
                (loop.variable, digit) for loop, digit in zip(leaf.temporal, digits, strict=False)
            ),
            component=what.component,
            port=what.port,
            tensor=what.tensor,
            action=what.action,
            start=self._time(time),
            finish=self._time(time + duration),
            waited_for=REASONS[PORT if index else stay.reason],
        )

    def _time(self, steps: int) -> Number:
        return reduce_number(Fraction(steps, self.model.costs.scale))

    def windows(self) -> list[tuple[Step, ...]]:
        """Runs of consecutive steps: all but the rounds in the middle of what repeats.

        Of each repetition the first two rounds and the last two, so that what lies between is
        the same as what is seen on both sides, moved along.
        """
        ranges: list[list[int]] = []
        for low, high in _seen(self.items, 0):
            if ranges and ranges[-1][1] == low:
                ranges[-1][1] = high
            else:
                ranges.append([low, high])
        return [tuple(self._between(low, high)) for low, high in ranges]

    def totals(self) -> dict[AccessKey, Number]:
        """Time per (Einsum, component, tensor or None, action), largest first."""
        found: dict[AccessKey, int] = {}
        for stay, times in _stays(self.items, 1):
            einsum = self.model.lowered.leaves[stay.served.leaf].einsum.name
            for what, duration in stay.served.parts:
                key = (einsum, what.component, what.tensor, what.action)
                found[key] = found.get(key, 0) + times * duration
        return self._ordered(found)

    def waits(self) -> dict[WaitedFor | None, Number]:
        """Time of the steps by what they had waited for, largest first."""
        found: dict[WaitedFor | None, int] = {}
        for stay, times in _stays(self.items, 1):
            for place, (_, duration) in enumerate(stay.served.parts):
                reason = REASONS[PORT if place else stay.reason]
                found[reason] = found.get(reason, 0) + times * duration
        return self._ordered(found)

    def _ordered(self, found: dict[K, int]) -> dict[K, Number]:
        ordered = sorted(found.items(), key=lambda item: -item[1])
        return {key: self._time(time) for key, time in ordered}


def _seen(items: Sequence[Item], start: int) -> Iterator[tuple[int, int]]:
    """Ranges of steps that are in no round in the middle of a repetition."""
    for item in items:
        if isinstance(item, Stay):
            yield start, start + item.steps
        else:
            once = item.steps // item.count
            for round_ in sorted({0, 1, max(item.count - 2, 0), item.count - 1}):
                yield from _seen(item.body, start + round_ * once)
        start += item.steps


def _stays(items: Sequence[Item], times: int) -> Iterator[tuple[Stay, int]]:
    """Every `Stay`, and how often it is on the path."""
    for item in items:
        if isinstance(item, Stay):
            yield item, times
        else:
            yield from _stays(item.body, times * item.count)


CriticalPath = ExplicitPath | PeriodicPath
"""A critical path, as one list or with its repetitions folded."""


def periodic_path(solution: Solution) -> PeriodicPath:
    """Return the critical path of a schedule in which sampled iterations represent the others.

    Parameters
    ----------
    solution
        The schedule.

    Returns
    -------
    PeriodicPath
        The path; what repeats is kept once.

    Raises
    ------
    UnsupportedError
        The path cannot be followed.
    """
    return PeriodicPath(solution.model, CriticalWalk(solution).back())


def critical_path(solution: Solution) -> CriticalPath:
    """Return the critical path of a schedule.

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
        The path cannot be followed.
    """
    if solution.model.engine == "periodic":
        return periodic_path(solution)
    return explicit_path(solution)
