"""Slack of a schedule in which sampled tile iterations represent the skipped ones.

The *tail* of an event is the longest path from it to the end of the schedule. Its latest (ALAP)
start is the makespan less its tail, and slack is ALAP less ASAP start (critical path method, Kelley
and Walker 1959). Tails are solved like the ASAP times, over the reversed precedences. Within a
skipped range the tails are assumed to grow linearly from period to period, from the tail of the
first event behind the range; the rate is first that of the times, then that of the tails before the
range. The assumption is checked from both sides:

- No tail is too short: along every precedence, the tail of the source is at least the duration plus
  the lag and the tail of the target. While the source is in one skipped range and the target in
  another, both sides are linear in the number of the period: the inequality holds for all of these
  pairs if it holds for the first and the last one.
- No tail is too long: the tail of a representing event is attained by a successor that represents
  as many periods, in the same or the next period, with the same rate, and moves on by a period when
  the event does. So it is attained in every period up to the first event behind the range.

Where a check fails, the slack of every event that depends on it is undetermined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from polylat.analysis.critical_walk import CriticalWalk
from polylat.lowering.iterations import IrregularError
from polylat.lowering.numbering import Numbering
from polylat.lowering.sampling import LoopSample
from polylat.schedule.arrays import Ints, Mask, Times, group_by_key, mark_reachable
from polylat.schedule.extrapolation import PeriodicTaskGraph
from polylat.schedule.longest_path import PrecedenceSystem
from polylat.schedule.timing import TaskSchedule

__all__ = ["LatestStarts", "SlackUndeterminedError"]

_ROUNDS = 8
"""Largest number of corrections of the rates at which tails grow."""


class SlackUndeterminedError(Exception):
    """The successors of an event cannot be determined."""


class LatestStarts:
    """Latest (ALAP) start times of a schedule, under its order of service.

    Parameters
    ----------
    walk
        The schedule and its precedences.

    Raises
    ------
    SlackUndeterminedError
        The successors of an event cannot be determined.
    """

    def __init__(self, walk: CriticalWalk) -> None:
        model, timing = walk.model, walk.timing
        assert isinstance(model.plan, PeriodicTaskGraph)
        self._graph = graph = model.graph
        self._makespan = timing.makespan
        self._gaps = gaps = _Gaps(model.layout, model.plan)
        pairs = _ReversiblePrecedences(walk, gaps).pairs()
        skipped: Mask = np.asarray(pairs.later.any(axis=0), dtype=np.bool_)
        direct, others = pairs.chosen(~skipped), pairs.chosen(skipped)
        source, target, periods = direct.source, direct.target, direct.periods
        count = graph.blocks + graph.tasks
        ahead = gaps.ahead(target, periods)
        # What passes last, or holds back a finish, is followed by one more event: the end.
        rest = _rests(model.plan)
        behind = np.flatnonzero(rest)
        end = count + gaps.size
        system = PrecedenceSystem(
            end + 1,
            np.concatenate((ahead.at, np.full(len(behind), end))),
            np.concatenate((source, behind)),
            np.concatenate((direct.lag, rest[behind])),
            ahead.terms,
        )
        if system.undone:
            raise SlackUndeterminedError
        rates = gaps.as_times(timing)
        durations = np.full(end + 1, 0, dtype=rates.dtype)
        durations[graph.blocks : count] = graph.task_duration
        for _ in range(_ROUNDS):
            durations[count:end] = rates
            tails = system.earliest(durations)
            again = gaps.before(tails)
            if (again == rates).all():
                break
            rates = again
        durations = durations.astype(tails.dtype)
        self._tails = tails
        tight = tails[source] == durations[source] + direct.lag + ahead.values(tails)
        ends = np.asarray(tails[:count] == durations[:count] + rest, dtype=np.bool_)
        lost = gaps.lost(tails)
        lost |= gaps.unlike(tails, direct, np.asarray(tight, dtype=np.bool_), ends)
        later = gaps.ahead(others.target, others.periods)
        least = durations[others.source] + others.lag + later.values(tails)
        short = gaps.ahead(others.source, others.later).values(tails) < least
        lost[others.source[np.asarray(short, dtype=np.bool_)]] = True
        # Whatever depends on an event that fails a check is undetermined.
        moved = periods.any(axis=0)
        needs = np.concatenate((ahead.at, target[moved], later.at, others.target))
        needed_by = np.concatenate((source, source[moved], others.source, others.source))
        start, order = group_by_key(needs, count)
        mark_reachable(start, needed_by[order], lost)
        self._unknown = lost

    def slacks(self, tasks: Ints, periods: Ints, begin: Times) -> list[int | None]:
        """Return the slack of tasks.

        Parameters
        ----------
        tasks, periods
            Tasks, shape (n,), and the number of periods by which each is translated, shape
            (loops, n).
        begin
            Their start times in steps, shape (n,).

        Returns
        -------
        list
            Slack in steps; None where it is undetermined.
        """
        events = tasks + self._graph.blocks
        ahead = self._gaps.ahead(events, periods)
        unknown = self._unknown[events] | self._unknown[ahead.at]
        free = self._makespan - ahead.values(self._tails) - begin
        return [None if u else int(f) for u, f in zip(unknown.tolist(), free, strict=True)]


@dataclass(frozen=True, eq=False)
class _Ahead:
    """Translated events, expressed by the first corresponding event behind the skipped range.

    Parameters
    ----------
    at
        Per event, the corresponding one behind the ranges of all loops in which it is translated.
    terms
        (number, factor, later, back): the tail of an event is longer by `factor` times the
        difference of two tails.
    """

    at: Ints
    terms: tuple[Ints, Ints, Ints, Ints]

    def values(self, tails: Times) -> Times:
        """Return the tails of the translated events."""
        which, factor, later, back = self.terms
        found = tails[self.at]
        np.add.at(found, which, factor.astype(tails.dtype) * (tails[later] - tails[back]))
        return found


class _Gaps:
    """The skipped ranges, by loop and by the tile iteration that represents each.

    Parameters
    ----------
    layout, plan
        The tile iterations, and their periodic structure.
    """

    def __init__(self, layout: Numbering, plan: PeriodicTaskGraph) -> None:
        graph = plan.graph
        self.events = plan.events
        self.count = graph.blocks + graph.tasks
        self.iteration = self.events.iteration[: self.count]
        shape = (layout.depth, graph.iterations)
        # The first tile iteration behind a skipped range, and the one a period before it.
        self._after, self._before = np.full((2, *shape), -1, dtype=np.int64)
        self.periods = np.zeros(shape, dtype=np.int64)
        for stretch in plan.repeats.skipped_ranges:
            k = stretch.where[1]
            self._after[k, stretch.stand] = stretch.after
            self._before[k, stretch.stand] = stretch.before
            self.periods[k, stretch.stand] = stretch.periods
        # Number of the growth rate, per loop and representing event; 0: none.
        stands = [self.stand(k) for k in range(layout.depth)]
        self._rate = np.zeros((layout.depth, self.count), dtype=np.int64)
        self.size = 1
        for row, stand in zip(self._rate, stands, strict=True):
            row[stand] = self.size + np.arange(len(stand))
            self.size += len(stand)

    def as_times(self, timing: TaskSchedule) -> Times:
        """Return the rates at which start times grow."""
        return self._grown(-np.concatenate((timing.ready, timing.task_begin)))

    def before(self, tails: Times) -> Times:
        """Return the rates at which tails grow before the skipped ranges."""
        return self._grown(tails)

    def _grown(self, values: Times) -> Times:
        rates = np.full(self.size, 0, dtype=values.dtype)
        for k, row in enumerate(self._rate):
            stand = self.stand(k)
            rates[row[stand]] = values[self._like(stand, self._before[k])] - values[stand]
        return np.maximum(rates, 0)

    def stand(self, loop: int) -> Ints:
        """Return the events that represent skipped ones in a loop."""
        return np.flatnonzero(self.periods[loop][self.iteration] > 0)

    def after(self, events: Ints, loop: int) -> Ints:
        """Return, per representing event, the first corresponding one behind the range."""
        return self._like(events, self._after[loop])

    def _like(self, events: Ints, iterations: Ints) -> Ints:
        found = self.events.at(events, iterations[self.iteration[events]])
        if (found < 0).any():
            raise SlackUndeterminedError
        return found

    def ahead(self, events: Ints, periods: Ints) -> _Ahead:
        """Return events translated by a number of periods (a row per loop)."""
        at = events.copy()
        for k in range(len(periods)):
            some = np.flatnonzero(periods[k] > 0)
            at[some] = self.after(at[some], k)
        loops, which = np.nonzero(periods)
        like = events[which]
        factor = self.periods[loops, self.iteration[like]] + 1 - periods[loops, which]
        rate = self.count + self._rate[loops, like]
        return _Ahead(at, (which, factor, rate, np.full_like(rate, self.count)))

    def lost(self, tails: Times) -> Mask:
        """Return the events whose tails do not grow at the assumed rates in all loops."""
        lost = np.zeros(self.count, dtype=np.bool_)
        rates = tails[self.count + self._rate]
        for k in range(len(self.periods)):
            stand = self.stand(k)
            others = np.arange(len(rates)) != k
            grown = rates[others][:, self.after(stand, k)] != rates[others][:, stand]
            lost[stand[np.asarray(grown, dtype=np.bool_).any(axis=0)]] = True
            periods = np.zeros((len(self.periods), len(stand)), dtype=np.int64)
            periods[k] = 1
            wrong = tails[stand] != self.ahead(stand, periods).values(tails) + rates[k, stand]
            lost[stand[np.asarray(wrong, dtype=np.bool_)]] = True
        return lost

    def unlike(self, tails: Times, pairs: _Pairs, tight: Mask, ends: Mask) -> Mask:
        """Return representing events whose tails need not be attained in every period.

        Parameters
        ----------
        tails
            All tails.
        pairs
            Precedences from sampled events.
        tight
            Whether the tail of the source is attained by each of them.
        ends
            Per event, whether its tail is attained by its own latency: in every period, if the tail
            does not grow.
        """
        source, target = pairs.source, pairs.target
        left = self.periods[:, self.iteration]
        rates = tails[self.count + self._rate]
        same = (left[:, source] == left[:, target]) & (pairs.periods <= 1) & pairs.paced
        same &= np.asarray(rates[:, source] == rates[:, target], dtype=np.bool_)
        alike = tight & (same | (left[:, source] == 0)).all(axis=0)
        unlike: Mask = np.asarray((left > 0).any(axis=0), dtype=np.bool_)
        unlike[source[alike]] = False
        unlike[ends & (np.asarray(rates == 0, dtype=np.bool_) | (left == 0)).all(axis=0)] = False
        return unlike


class _Pairs(NamedTuple):
    """Precedences between instances of events; rows per loop.

    Parameters
    ----------
    source, later
        Sampled events, and by how many periods the awaited event is later.
    target, periods
        Sampled events, and by how many periods the waiting event is later.
    lag
        Lags, in steps.
    paced
        Whether the source moves on by a period of the loop when the target does.
    """

    source: Ints
    later: Ints
    target: Ints
    periods: Ints
    lag: Times
    paced: Mask

    def chosen(self, which: Mask) -> _Pairs:
        """Return some of them."""
        return _Pairs(
            self.source[which],
            self.later[:, which],
            self.target[which],
            self.periods[:, which],
            self.lag[which],
            self.paced[:, which],
        )


def _rests(plan: PeriodicTaskGraph) -> Times:
    """Return how long before the end each start of a block and end of a task is at the latest."""
    graph, stalled = plan.graph, plan.repeats.finishing.starts.ends
    rest: Times = np.concatenate((graph.latency, graph.latency[graph.task_block]))
    still = ~stalled.periods.any(axis=0)
    np.maximum.at(rest, stalled.source[still], stalled.lag[still])
    return rest


class _ReversiblePrecedences:
    """The precedences of all events; a rule has at most one precedence into each event.

    Parameters
    ----------
    walk
        The schedule, and the precedences of its starts and tasks.
    gaps
        The skipped ranges.
    """

    def __init__(self, walk: CriticalWalk, gaps: _Gaps) -> None:
        graph, layout = walk.graph, walk.model.layout
        self._layout, self._gaps, self._events = layout, gaps, gaps.events
        self._iteration = gaps.iteration
        self._leaf = graph.leaf
        _, waits = walk.waits
        tasks = np.arange(graph.tasks)
        none = np.zeros((layout.depth, graph.tasks), dtype=np.int64)
        most = int(waits.rule.max(initial=0)) + 1
        self.source = np.concatenate((waits.source, graph.task_block))
        self.target = np.concatenate((waits.target, tasks + graph.blocks))
        self.periods = np.concatenate((waits.periods, none), axis=1)
        self.lag = np.append(waits.lag, np.zeros(graph.tasks, dtype=waits.lag.dtype))
        rule = np.concatenate((waits.rule, np.full(graph.tasks, most)))
        self._width = most + 1
        self._rule = rule
        keys = self.target * self._width + rule
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._digits = self._layout.later(self._iteration[self.source], self.periods)

    def pairs(self) -> _Pairs:
        """Return the precedences that are to be checked, with sampled or skipped sources.

        From period to period of the target, its source moves at a constant step in one loop, or
        not at all. So the periods in which the source is sampled are determined. Where both are
        skipped, both tails are linear: of each skipped range that the source passes through, the
        first and the last instance are listed.

        Returns
        -------
        _Pairs
            All precedences from sampled events, and those from skipped ones that imply the others.
        """
        if (self._keys[1:] == self._keys[:-1]).any():
            raise SlackUndeterminedError
        which = np.arange(len(self.source))
        periods, digits = np.zeros_like(self.periods), self._digits
        moved = np.zeros(self.periods.shape, dtype=np.bool_)
        pace = np.zeros(self.periods.shape, dtype=np.int64)
        for k in range(len(periods)):
            stand = np.flatnonzero(self._gaps.periods[k][self._iteration[self.target]] > 0)
            loop, step = self._moves(stand, k)
            if (moved[loop, stand] & (step > 0)).any():
                raise SlackUndeterminedError  # two loops of the target move one loop of the source
            moved[loop, stand] |= step > 0
            pace[k, stand] = np.where(loop == k, step, 0)
            place = np.full(len(self.source), -1, dtype=np.int64)
            place[stand] = np.arange(len(stand))
            mine = np.flatnonzero(place[which] >= 0)
            wait, at = which[mine], place[which[mine]]
            number = self._gaps.periods[k][self._iteration[self.target[wait]]]
            # A source that does not move precedes all periods: the first and the last suffice.
            still = np.flatnonzero(step[at] == 0)
            parts = [(mine[still], number[still])]
            leaf = self._leaf[self._iteration[self.source[wait]]]
            for source in np.unique(leaf).tolist():
                for inner, kept in enumerate(self._layout.tiles[source].kept):
                    some = np.flatnonzero((leaf == source) & (step[at] > 0) & (loop[at] == inner))
                    now = digits[inner, mine[some]]
                    steps = _periods_at(kept, now, step[at[some]], number[some])
                    parts += [(mine[some[column]], times) for column, times in steps]
            from_ = np.concatenate([a for a, _ in parts])
            times = np.concatenate([b for _, b in parts])
            more, there = periods[:, from_].copy(), digits[:, from_].copy()
            more[k] = times
            by = place[which[from_]]
            there[loop[by], np.arange(len(by))] += times * step[by]
            which = np.concatenate((which, which[from_]))
            periods = np.concatenate((periods, more), axis=1)
            digits = np.concatenate((digits, there), axis=1)
        found, later = self._located(which, digits)
        paced = pace[:, which] == self._layout.period_lengths[:, self._iteration[found]]
        pairs = _Pairs(found, later, self.target[which], periods, self.lag[which], paced)
        return pairs.chosen(found >= 0)

    def _moves(self, waits: Ints, loop: int) -> tuple[Ints, Ints]:
        """Return the loop in which each source moves from period to period, and its step or 0."""
        target = self.target[waits]
        wanted = self._gaps.after(target, loop) * self._width + self._rule[waits]
        at = np.minimum(np.searchsorted(self._keys, wanted), max(len(self._keys) - 1, 0))
        if (self._keys[at] != wanted).any():
            raise SlackUndeterminedError
        moved = self._digits[:, self._order[at]] - self._digits[:, waits]
        periods = self._gaps.periods[loop][self._iteration[target]] + 1
        if (moved % periods).any() or (moved < 0).any() or ((moved != 0).sum(axis=0) > 1).any():
            raise SlackUndeterminedError
        which = moved.argmax(axis=0)
        step = moved[which, np.arange(len(waits))] // periods
        leaf = self._leaf[self._iteration[self.source[waits]]]
        for number, tiles in enumerate(self._layout.tiles):
            for k, kept in enumerate(tiles.kept):
                mine = (leaf == number) & (which == k)
                # It must move by whole periods of the skipped ranges of that loop.
                if any((step[mine] % cut.period).any() for cut in kept.cuts):
                    raise SlackUndeterminedError
        return which, step

    def _located(self, which: Ints, digits: Ints) -> tuple[Ints, Ints]:
        """Return the sources of precedences at given indices, -1 for none, and their periods."""
        found, later = np.full(len(which), -1, dtype=np.int64), np.zeros_like(digits)
        source = self.source[which]
        leaf = self._leaf[self._iteration[source]]
        for number, (tiles, base) in enumerate(
            zip(self._layout.tiles, self._layout.bases, strict=True)
        ):
            mine = np.flatnonzero(leaf == number)
            trips = tiles.trips[:, np.newaxis]
            inside = (digits[: tiles.depth, mine] >= 0) & (digits[: tiles.depth, mine] < trips)
            mine = mine[inside.all(axis=0)]
            try:
                position, periods = tiles.locate(digits[: tiles.depth, mine])
            except IrregularError as error:
                raise SlackUndeterminedError from error
            found[mine] = self._events.at(source[mine], base + position)
            later[: tiles.depth, mine] = periods
        return found, later


def _periods_at(
    kept: LoopSample, now: Ints, step: Ints, number: Ints
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the numbers of steps after which indices are sampled, or in skipped ranges.

    Parameters
    ----------
    kept
        The sampled iterations of a loop.
    now, step, number
        Shape (n,): indices, how far they move with each step, and the largest number of steps.

    Yields
    ------
    (which, times)
        Positions, and numbers of steps from 1 on: all that lead to sampled iterations; for each
        skipped range, the first and the last one that leads into it.
    """
    times, rest = np.divmod(kept.digits[:, np.newaxis] - now, step)
    row, column = np.nonzero((rest == 0) & (times >= 1) & (times <= number))
    yield column, times[row, column]
    for cut in kept.cuts:
        first = int(kept.digits[cut.place - cut.period]) + cut.period
        last = first + cut.period * cut.periods - 1
        low = np.maximum(-((now - first) // step), 1)
        high = np.minimum((last - now) // step, number)
        some = np.flatnonzero(low <= high)
        yield some, low[some]
        yield some, high[some]
