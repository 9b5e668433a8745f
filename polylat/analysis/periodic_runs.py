"""Runs of a critical path in which it recurs, as long as possible and with the shortest period.

Where the trace of a path begins to repeat, and after how many services, depends on the sample of
tile iterations. The maximal run around a repetition, and its smallest period, do not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from polylat.analysis.repetition import Digits, Item, Repetition, ServedAccesses, Service

__all__ = ["PeriodicRun", "periodic_runs"]

_MOST_IN_PERIOD = 4096
"""Longer rounds are kept as they were traced."""

_MOST_ADDED = 20_000
"""Largest number of services by which a run is extended in each direction."""

_Occurrence = tuple[ServedAccesses, Digits]
"""The accesses of a service, and the loop indices of their tile iteration."""


@dataclass(frozen=True)
class PeriodicRun:
    """A run of services, each of which recurs a period later in later tile iterations.

    Parameters
    ----------
    cycle
        The services of a period, in order of time from one of the first leaf on, each with the
        number of times that it recurs within the period.
    shifts
        For each of them, by how many iterations of each loop it is later in the next period.
    periods
        Number of whole periods in the run.
    """

    cycle: tuple[tuple[ServedAccesses, int], ...]
    shifts: tuple[Digits, ...]
    periods: int


def periodic_runs(items: Sequence[Item]) -> Iterator[PeriodicRun]:
    """Find the maximal runs around the repetitions of a path.

    Parameters
    ----------
    items
        The path, in order of time.

    Yields
    ------
    PeriodicRun
        The runs; of nested repetitions, those in the first two and in the last rounds around them.
    """
    path = _Occurrences(items)
    for repetition, start in _placed(items, 0):
        yield _maximal(path, repetition, start)


def _placed(items: Sequence[Item], start: int) -> Iterator[tuple[Repetition, int]]:
    """Yield repetitions, with the number of the first service of each."""
    for item in items:
        if isinstance(item, Repetition):
            yield item, start
            once = item.occurrences // item.count
            for number in sorted({0, 1, item.count - 1}):
                yield from _placed(item.body, start + number * once)
        start += item.occurrences


class _Occurrences:
    """All services of a path, by number.

    Parameters
    ----------
    items
        The path.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(item.occurrences for item in self._items))

    @property
    def count(self) -> int:
        """Number of services; `len` would count to 2^63 only."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: int) -> _Occurrence:
        at = bisect_right(self._ends, number)
        number -= self._ends[at - 1] if at else 0
        item = self._items[at]
        moves: list[tuple[tuple[Digits, ...], int]] = []
        places: list[int] = []
        while not isinstance(item, Service):
            times, number = divmod(number, item.occurrences // item.count)
            moves.append((item.shifts, times))
            places.append(0)
            for inner in item.body:
                if number < inner.occurrences:
                    break
                number -= inner.occurrences
                places = [place + inner.services for place in places]
            item = inner
        digits = item.digits
        for (shifts, times), place in zip(moves, places, strict=True):
            digits = tuple(d + times * s for d, s in zip(digits, shifts[place], strict=True))
        return item.served, digits


def _shift(earlier: _Occurrence, later: _Occurrence) -> Digits | None:
    """Return by how many iterations a service is later than another one of the same accesses."""
    if earlier[0] != later[0]:
        return None
    return tuple(b - a for a, b in zip(earlier[1], later[1], strict=True))


def _maximal(path: _Occurrences, repetition: Repetition, start: int) -> PeriodicRun:
    size = repetition.occurrences // repetition.count
    if size > _MOST_IN_PERIOD:
        return PeriodicRun(tuple(_counted(repetition.body, 1)), repetition.shifts, repetition.count)
    round_ = [path[start + k] for k in range(2 * size)]
    period, shifts = _smallest_period(round_, size)
    first, end = start, start + repetition.occurrences
    while 0 < first > start - _MOST_ADDED:
        shift = shifts[(first - 1 - start) % period]
        if _shift(path[first - 1], path[first - 1 + period]) != shift:
            break
        first -= 1
    most = min(path.count, end + _MOST_ADDED)
    while end < most and _shift(path[end - period], path[end]) == shifts[(end - start) % period]:
        end += 1
    periods = (end - first) // period
    # A cycle has no beginning: it is written from the first leaf on.
    first += min(range(period), key=lambda k: path[first + k][0].leaf)
    return PeriodicRun(
        tuple((path[first + k][0], 1) for k in range(period)),
        tuple(shifts[(first - start + k) % period] for k in range(period)),
        periods,
    )


def _counted(items: Sequence[Item], times: int) -> Iterator[tuple[ServedAccesses, int]]:
    for item in items:
        if isinstance(item, Service):
            yield item.served, times
        else:
            yield from _counted(item.body, times * item.count)


def _smallest_period(round_: Sequence[_Occurrence], size: int) -> tuple[int, list[Digits]]:
    """Return the smallest period of two rounds, and the shift of each service to the next one."""
    for period in range(1, size + 1):
        if size % period:
            continue
        shifts = [_shift(round_[k], round_[k + period]) for k in range(2 * size - period)]
        known = [shift for shift in shifts[:period] if shift is not None]
        if len(known) == period and all(
            shift == known[k % period] for k, shift in enumerate(shifts)
        ):
            return period, known
    raise ValueError("the second round repeats the first one")
