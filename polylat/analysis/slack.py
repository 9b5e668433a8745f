"""How much later everything could happen, where tile iterations stand for others.

From everything there is a longest path to the end, its *tail*: what starts no later than the
latency less its tail delays nothing. Tails are solved for as earliest times are, back from the end,
with what waits for whom turned round. Tails of what is left out are taken to grow evenly,
period by period, from the tail of what comes first behind it: first as times do, then as they are
found to grow before it. That is checked.

No tail is too short: what waits for something has a tail that is shorter by what lies between. Both
are linear in the number of the copy, so that this holds for all copies if it does at both ends of
what is left out. And none is too long: what stands for copies has its tail from something that
waits for it, which stands for as many copies, in the same or the next period, and grows alike. So
has every copy, up to what comes first behind them. Where that is not so, all that depends on it is
not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylat.analysis.critical_walk import CriticalWalk
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Ints, Mask, Times, group_by_key, mark_reachable
from polylat.schedule.extrapolation import PeriodicTaskGraph
from polylat.schedule.longest_path import PrecedenceSystem
from polylat.schedule.timing import TaskSchedule

__all__ = ["Latest", "UnknownError"]

_ROUNDS = 8
"""How often tails are found to grow otherwise, at most."""


class UnknownError(Exception):
    """What waits for something cannot be told."""


class Latest:
    """Latest times of a schedule, under its order of service.

    Parameters
    ----------
    walk
        The schedule, and what waits for what in it.

    Raises
    ------
    UnknownError
        What waits for something cannot be told.
    """

    def __init__(self, walk: CriticalWalk) -> None:
        model, timing = walk.model, walk.timing
        assert isinstance(model.plan, PeriodicTaskGraph)
        self._graph = graph = model.graph
        self._makespan = timing.makespan
        self._gaps = gaps = _Gaps(model.layout, model.plan)
        waits = _Waits(walk, gaps)
        source, target, periods = waits.turned()
        count = graph.blocks + graph.tasks
        ahead = gaps.ahead(target, periods)
        system = PrecedenceSystem(count + gaps.size, ahead.at, source, ahead.terms)
        if system.undone:
            raise UnknownError
        rates = gaps.as_times(timing)
        durations = np.full(count + gaps.size, 0, dtype=rates.dtype)
        durations[graph.blocks : count] = graph.task_duration
        for _ in range(_ROUNDS):
            durations[count:] = rates
            tails = system.earliest(durations)
            again = gaps.before(tails)
            if (again == rates).all():
                break
            rates = again
        durations = durations.astype(tails.dtype)
        self._tails = tails
        needed = gaps.ahead(waits.source, waits.periods).values(tails)
        early = needed < durations[waits.source] + tails[waits.target]
        tight = tails[source] == durations[source] + ahead.values(tails)
        lost = gaps.lost(tails)
        lost |= gaps.unlike(tails, source, target, periods, np.asarray(tight, dtype=np.bool_))
        lost[waits.source[np.asarray(early, dtype=np.bool_)]] = True
        # All that depends on what is not as it was taken to be is not known.
        moved, left_out = periods.any(axis=0), waits.periods.any(axis=0)
        needs = np.concatenate((ahead.at, target[moved], waits.target[left_out]))
        needed_by = np.concatenate((source, source[moved], waits.source[left_out]))
        start, order = group_by_key(needs, count)
        mark_reachable(start, needed_by[order], lost)
        self._unknown = lost

    def slacks(self, tasks: Ints, periods: Ints, begin: Times) -> list[int | None]:
        """How much later tasks could begin; None where that is not known.

        Parameters
        ----------
        tasks, periods
            Tasks, so many periods later (a row per loop).
        begin
            When they begin.
        """
        events = tasks + self._graph.blocks
        ahead = self._gaps.ahead(events, periods)
        unknown = self._unknown[events] | self._unknown[ahead.at]
        free = self._makespan - ahead.values(self._tails) - begin
        return [None if u else int(f) for u, f in zip(unknown.tolist(), free, strict=True)]


@dataclass(frozen=True, eq=False)
class _Ahead:
    """Events so many periods later, from what comes first behind what is left out.

    Parameters
    ----------
    at
        The first like each event there, in all loops in which it is later.
    terms
        (number, factor, later, back): it has a tail so many times longer by such a difference.
    """

    at: Ints
    terms: tuple[Ints, Ints, Ints, Ints]

    def values(self, tails: Times) -> Times:
        """Their tails."""
        which, factor, later, back = self.terms
        found = tails[self.at]
        np.add.at(found, which, factor.astype(tails.dtype) * (tails[later] - tails[back]))
        return found


class _Gaps:
    """What is left out, by loop and the tile iteration that stands for it.

    Parameters
    ----------
    layout, plan
        The tile iterations, and how they repeat.
    """

    def __init__(self, layout: Numbering, plan: PeriodicTaskGraph) -> None:
        graph = plan.graph
        self.events = plan.events
        self.count = graph.blocks + graph.tasks
        self.iteration = self.events.iteration[: self.count]
        shape = (layout.depth, graph.iterations)
        # What comes first behind what is left out, and what is a period before it.
        self._after, self._before = np.full((2, *shape), -1, dtype=np.int64)
        self.periods = np.zeros(shape, dtype=np.int64)
        for stretch in plan.repeats.stretches:
            k = stretch.where[1]
            self._after[k, stretch.stand] = stretch.after
            self._before[k, stretch.stand] = stretch.before
            self.periods[k, stretch.stand] = stretch.periods
        # Numbers of how fast tails grow, for each loop and event that stands for copies; 0: none.
        stands = [self.stand(k) for k in range(layout.depth)]
        self._rate = np.zeros((layout.depth, self.count), dtype=np.int64)
        self.size = 1
        for row, stand in zip(self._rate, stands, strict=True):
            row[stand] = self.size + np.arange(len(stand))
            self.size += len(stand)

    def as_times(self, timing: TaskSchedule) -> Times:
        """How fast times grow."""
        fills = timing.fill_begin[len(timing.begin) :]
        return self._grown(-np.concatenate((timing.begin, fills, timing.task_begin)))

    def before(self, tails: Times) -> Times:
        """How fast tails grow before what is left out."""
        return self._grown(tails)

    def _grown(self, values: Times) -> Times:
        rates = np.full(self.size, 0, dtype=values.dtype)
        for k, row in enumerate(self._rate):
            stand = self.stand(k)
            rates[row[stand]] = values[self._like(stand, self._before[k])] - values[stand]
        return np.maximum(rates, 0)

    def stand(self, loop: int) -> Ints:
        """Events that stand for copies in a loop."""
        there = self.periods[loop][self.iteration] > 0
        there &= ~self._idle
        return np.flatnonzero(there)

    @cached_property
    def _idle(self) -> Mask:
        """Numbers that stand for no event: a background write-back starts with its iteration."""
        graph = self.events.graph
        idle = np.zeros(self.count, dtype=np.bool_)
        idle[graph.iterations : graph.blocks] = graph.kind[graph.iterations :] != 0
        return idle

    def after(self, events: Ints, loop: int) -> Ints:
        """Per event that stands for copies, the first like it behind them."""
        return self._like(events, self._after[loop])

    def _like(self, events: Ints, iterations: Ints) -> Ints:
        found = self.events.at(events, iterations[self.iteration[events]])
        if (found < 0).any():
            raise UnknownError
        return found

    def ahead(self, events: Ints, periods: Ints) -> _Ahead:
        """Events so many periods later (a row per loop)."""
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
        """Events without the tails that are taken to grow up to them, in all loops alike."""
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

    def unlike(self, tails: Times, source: Ints, target: Ints, periods: Ints, tight: Mask) -> Mask:
        """Events that stand for copies which may not all have their tails from alike ones.

        Parameters
        ----------
        tails
            All tails.
        source, target, periods
            Waits: `target`, so many periods later, waits for `source`.
        tight
            Whether the tail of `source` is from there.
        """
        left = self.periods[:, self.iteration]
        rates = tails[self.count + self._rate]
        same = (left[:, source] == left[:, target]) & (periods <= 1)
        same &= np.asarray(rates[:, source] == rates[:, target], dtype=np.bool_)
        alike = tight & (same | (left[:, source] == 0)).all(axis=0)
        unlike: Mask = (left > 0).any(axis=0) & ~self._idle
        unlike[source[alike]] = False
        return unlike


class _Waits:
    """What waits for what, event by event; a rule has at most one wait of each event.

    Parameters
    ----------
    walk
        The schedule, and what starts and tasks wait for.
    gaps
        What is left out.
    """

    def __init__(self, walk: CriticalWalk, gaps: _Gaps) -> None:
        graph, layout = walk.graph, walk.model.layout
        self._layout, self._gaps, self._events = layout, gaps, gaps.events
        self._iteration = gaps.iteration
        self._leaf = graph.leaf
        _, waits, rules, _ = walk.waits
        tasks = np.arange(graph.tasks)
        ready = np.where(graph.kind == 0, np.arange(graph.blocks), graph.owner)
        none = np.zeros((layout.depth, graph.tasks), dtype=np.int64)
        most = int(rules.max(initial=0)) + 1
        self.source = np.concatenate((waits.source, ready[graph.task_block]))
        self.target = np.concatenate((waits.target, tasks + graph.blocks))
        self.periods = np.concatenate((waits.periods, none), axis=1)
        rule = np.concatenate((rules, np.full(graph.tasks, most)))
        self._width = most + 1
        self._rule = rule
        keys = self.target * self._width + rule
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._digits = self._layout.later(self._iteration[self.source], self.periods)

    def turned(self) -> tuple[Ints, Ints, Ints]:
        """All waits for what is looked at, those of what is left out included.

        From copy to copy of what waits, what it waits for moves evenly in one loop, or not at all.
        So it is known for which copies it is something that is looked at.

        Returns
        -------
        (source, target, copies)
            Waits: `target`, so many periods later, waits for `source`.
        """
        if (self._keys[1:] == self._keys[:-1]).any():
            raise UnknownError
        which = np.arange(len(self.source))
        periods, digits = np.zeros_like(self.periods), self._digits
        moved = np.zeros(self.periods.shape, dtype=np.bool_)
        for k in range(len(periods)):
            stand = np.flatnonzero(self._gaps.periods[k][self._iteration[self.target]] > 0)
            loop, step = self._moves(stand, k)
            if (moved[loop, stand] & (step > 0)).any():
                raise UnknownError  # two loops of what waits move one of what it waits for
            moved[loop, stand] |= step > 0
            place = np.full(len(self.source), -1, dtype=np.int64)
            place[stand] = np.arange(len(stand))
            mine = np.flatnonzero(place[which] >= 0)
            wait, at = which[mine], place[which[mine]]
            number = self._gaps.periods[k][self._iteration[self.target[wait]]]
            # What does not move is waited for by all copies: the first and the last one tell.
            still = np.flatnonzero(step[at] == 0)
            parts = [(mine[still], number[still])]
            leaf = self._leaf[self._iteration[self.source[wait]]]
            for source in np.unique(leaf).tolist():
                for inner, kept in enumerate(self._layout.tiles[source].kept):
                    some = np.flatnonzero((leaf == source) & (step[at] > 0) & (loop[at] == inner))
                    far = kept.digits[:, np.newaxis] - digits[inner, mine[some]]
                    times, rest = np.divmod(far, step[at[some]])
                    fine = (rest == 0) & (times >= 1) & (times <= number[some])
                    row, column = np.nonzero(fine)
                    parts.append((mine[some[column]], times[row, column]))
            from_ = np.concatenate([a for a, _ in parts])
            times = np.concatenate([b for _, b in parts])
            more, there = periods[:, from_].copy(), digits[:, from_].copy()
            more[k] = times
            by = place[which[from_]]
            there[loop[by], np.arange(len(by))] += times * step[by]
            which = np.concatenate((which, which[from_]))
            periods = np.concatenate((periods, more), axis=1)
            digits = np.concatenate((digits, there), axis=1)
        found = self._looked_at(which, digits)
        known = found >= 0
        return found[known], self.target[which[known]], periods[:, known]

    def _moves(self, waits: Ints, loop: int) -> tuple[Ints, Ints]:
        """In which loop what is waited for moves from copy to copy, and how far; 0: not at all."""
        target = self.target[waits]
        wanted = self._gaps.after(target, loop) * self._width + self._rule[waits]
        at = np.minimum(np.searchsorted(self._keys, wanted), max(len(self._keys) - 1, 0))
        if (self._keys[at] != wanted).any():
            raise UnknownError
        moved = self._digits[:, self._order[at]] - self._digits[:, waits]
        periods = self._gaps.periods[loop][self._iteration[target]] + 1
        if (moved % periods).any() or (moved < 0).any() or ((moved != 0).sum(axis=0) > 1).any():
            raise UnknownError
        which = moved.argmax(axis=0)
        step = moved[which, np.arange(len(waits))] // periods
        leaf = self._leaf[self._iteration[self.source[waits]]]
        for number, tiles in enumerate(self._layout.tiles):
            for k, kept in enumerate(tiles.kept):
                mine = (leaf == number) & (which == k)
                # It moves by whole periods of what is left out of that loop.
                if any((step[mine] % cut.period).any() for cut in kept.cuts):
                    raise UnknownError
        return which, step

    def _looked_at(self, which: Ints, digits: Ints) -> Ints:
        """What some waits wait for, at such indices; -1 where it is not looked at."""
        found = np.full(len(which), -1, dtype=np.int64)
        source = self.source[which]
        leaf = self._leaf[self._iteration[source]]
        for number, (tiles, base) in enumerate(
            zip(self._layout.tiles, self._layout.bases, strict=True)
        ):
            mine = np.flatnonzero(leaf == number)
            inside = np.ones(len(mine), dtype=np.bool_)
            for k, kept in enumerate(tiles.kept):
                row = digits[k, mine]
                inside &= (row >= 0) & (row < kept.trips)
                _, later, _ = kept.locate(np.clip(row, 0, kept.trips - 1))
                inside &= later == 0
            mine = mine[inside]
            position, _ = tiles.locate(digits[: tiles.depth, mine])
            found[mine] = self._events.at(source[mine], base + position)
        return found
