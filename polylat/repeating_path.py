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
from itertools import accumulate, pairwise
from math import floor
from typing import TypeVar, overload

import numpy as np

from polylat.critical import REASONS, What, parts_of
from polylat.errors import UnsupportedError
from polylat.exact import Number, number
from polylat.model import Model
from polylat.report import AccessKey, Step, WaitedFor
from polylat.schedule.critical import PORT, START
from polylat.schedule.graph import Ints
from polylat.schedule.periodic import Events, PeriodicPlan
from polylat.schedule.timing import Timing

__all__ = ["RepeatingPath", "Repetition", "Stay", "Walk", "repeating_path"]

Digits = tuple[int, ...]
K = TypeVar("K")


@dataclass(frozen=True)
class Stay:
    """What the path does on a port: one or more accesses of a block, without a gap.

    Parameters
    ----------
    parts
        (what, duration) of each access, in steps of time.
    leaf, digits
        The tile iteration.
    reason
        What it waited for.
    """

    parts: tuple[tuple[What, int], ...]
    leaf: int
    digits: Digits
    reason: int

    @cached_property
    def duration(self) -> int:
        """How long it takes."""
        return sum(duration for _, duration in self.parts)

    @cached_property
    def steps(self) -> int:
        """Number of accesses."""
        return len(self.parts)

    @property
    def shape(self) -> tuple[object, ...]:
        """What it is, wherever in the loops."""
        return self.parts, self.leaf, self.reason

    @property
    def places(self) -> tuple[Digits, ...]:
        """Where in the loops it is."""
        return (self.digits,)


@dataclass(frozen=True)
class Repetition:
    """A part of the path that repeats.

    Parameters
    ----------
    body
        What repeats, in order of time, as it is the first time.
    count
        How often.
    shifts
        For each `Stay` in the body, nested ones included, how many iterations later in each loop
        it is the next time.
    """

    body: tuple[Stay | Repetition, ...]
    count: int
    shifts: tuple[Digits, ...]

    @cached_property
    def once(self) -> int:
        """How long it takes once: as many initiation intervals as iterations go by."""
        return sum(item.duration for item in self.body)

    @cached_property
    def duration(self) -> int:
        """How long all of it takes."""
        return self.once * self.count

    @cached_property
    def steps(self) -> int:
        """Number of accesses, all times together."""
        return self.count * sum(item.steps for item in self.body)

    @cached_property
    def shape(self) -> tuple[object, ...]:
        """What it is, wherever in the loops."""
        return tuple(item.shape for item in self.body), self.count, self.shifts

    @cached_property
    def places(self) -> tuple[Digits, ...]:
        """Where in the loops each `Stay` is the first time."""
        return tuple(place for item in self.body for place in item.places)


Item = Stay | Repetition


@dataclass(frozen=True, eq=False)
class RepeatingPath(Sequence[Step]):
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
            at = tuple(n + len(item.places) for n in at)

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
        while isinstance(item, Repetition):
            times, steps = divmod(steps, item.once)
            index += times * (item.steps // item.count)
            for inner in item.body:
                if steps < inner.duration:
                    break
                steps -= inner.duration
                index += inner.steps
            item = inner
        for _, duration in item.parts:
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
        while isinstance(item, Repetition):
            times, index = divmod(index, item.steps // item.count)
            time += times * item.once
            moves.append((item.shifts, times))
            at.append(0)
            for inner in item.body:
                if index < inner.steps:
                    break
                index -= inner.steps
                time += inner.duration
                at = [a + len(inner.places) for a in at]
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
        leaf = self.model.lowered.leaves[stay.leaf]
        time += sum(duration for _, duration in stay.parts[:index])
        what, duration = stay.parts[index]
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
        return number(Fraction(steps, self.model.costs.scale))

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
            einsum = self.model.lowered.leaves[stay.leaf].einsum.name
            for what, duration in stay.parts:
                key = (einsum, what.component, what.tensor, what.action)
                found[key] = found.get(key, 0) + times * duration
        return self._ordered(found)

    def waits(self) -> dict[WaitedFor | None, Number]:
        """Time of the steps by what they had waited for, largest first."""
        found: dict[WaitedFor | None, int] = {}
        for stay, times in _stays(self.items, 1):
            for place, (_, duration) in enumerate(stay.parts):
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


def repeating_path(model: Model, timing: Timing) -> RepeatingPath:
    """The critical path of a schedule in which tile iterations stand for others."""
    return RepeatingPath(model, Walk(model, timing).back())


@dataclass(frozen=True)
class _Instance:
    """An event of a tile iteration that need not be looked at.

    `event` is that of the tile iteration that stands for it, `copies` how many periods later.
    """

    event: int
    copies: Digits
    digits: Digits


@dataclass(frozen=True, eq=False)
class _Waits:
    """Waits between events, sorted by what waits and by rule: at most one of each."""

    source: Ints
    target: Ints
    copies: Ints
    rule: Ints
    reason: Ints

    @classmethod
    def of_parts(cls, source: Ints, target: Ints, copies: Ints, rule: Ints, reason: Ints) -> _Waits:
        """Sort them."""
        order = np.lexsort((rule, target))
        return cls(source[order], target[order], copies[:, order], rule[order], reason[order])

    def of(self, event: int) -> range:
        """The waits of an event."""
        low, high = np.searchsorted(self.target, [event, event + 1])
        return range(int(low), int(high))

    def like(self, event: int, rule: int) -> int | None:
        """The wait of an event by a rule."""
        mine = self.of(event)
        at = mine.start + int(np.searchsorted(self.rule[mine.start : mine.stop], rule))
        return at if at < mine.stop and self.rule[at] == rule else None


class Walk:
    """Follows a schedule in which tile iterations stand for others back in time.

    Parameters
    ----------
    model, timing
        The schedule.
    """

    def __init__(self, model: Model, timing: Timing) -> None:
        plan = model.plan
        assert isinstance(plan, PeriodicPlan)
        self.model = model
        self.graph = graph = plan.graph
        self.repeats = plan.repeats
        self.timing = timing
        self.events = Events(graph)
        self.bases = model.layout.bases
        n, blocks = graph.iterations, graph.blocks
        self.values = np.concatenate(
            (
                timing.begin,
                timing.fill_begin[n:],
                timing.task_begin + graph.task_duration,
            )
        )
        self.task0 = blocks
        self.iteration = self.events.iteration
        self.leaf = graph.leaf
        # Numbers that are looked up one by one, as Python has them: much quicker than in arrays.
        self._value: list[int] = [int(value) for value in self.values.tolist()]
        self._iteration: list[int] = self.iteration.tolist()
        self._leaf: list[int] = self.leaf[self.iteration].tolist()
        self._task_block: list[int] = graph.task_block.tolist()
        self._task_port: list[int] = graph.task_port.tolist()
        self._sequence: list[int] = graph.sequence.tolist()
        self._before_it: list[list[int]] = self.repeats.earlier.tolist()
        self._moved: dict[tuple[int, int, bool, int], list[Digits]] = {}
        self._index_waits()

    # Waits of starts: the tasks and starts that they wait for, rule by rule.

    def _index_waits(self) -> None:
        graph, repeats = self.graph, self.repeats
        n, blocks = graph.iterations, graph.blocks
        depth = len(repeats.earlier)
        source, target, copies, reason, rule = [], [], [], [], []

        def add(s: Ints, t: Ints, c: Ints | None, why: Ints, which: Ints) -> None:
            keep = t < blocks  # starts; nothing else is walked through
            none = np.zeros((depth, len(s)), dtype=np.int64)
            source.append(s[keep])
            target.append(t[keep])
            copies.append((none if c is None else c)[:, keep])
            reason.append(why[keep])
            rule.append(which[keep])

        rules = repeats.rules
        ports = graph.ports + 2
        edge = rules.target
        number = graph.edge_rule * ports
        port_of = graph.task_port[rules.source]
        add(
            rules.source + self.task0,
            graph.edge_target[edge],
            rules.copies,
            graph.edge_reason[edge],
            number[edge] + 2 + port_of,
        )
        alone = np.flatnonzero(graph.edge_source >= n)
        start, of_block = self._by_block()
        for at in range(int(np.diff(start).max(initial=0))):
            there = alone[np.diff(start)[graph.edge_source[alone]] > at]
            tasks = of_block[start[graph.edge_source[there]] + at]
            add(
                tasks + self.task0,
                graph.edge_target[there],
                graph.edge_copies[:, there],
                graph.edge_reason[there],
                number[there] + 2 + graph.task_port[tasks],
            )
        ready = np.where(graph.kind == 0, np.arange(blocks), graph.owner)
        add(
            ready[graph.edge_source],
            graph.edge_target,
            graph.edge_copies,
            graph.edge_reason,
            number + 1,
        )
        top = (int(graph.edge_rule.max(initial=0)) + 1) * ports
        fills = n + np.flatnonzero(graph.kind[n:] == 0)
        places = top + graph.sequence[fills]
        add(fills, graph.owner[fills], None, np.full(len(fills), START), places)
        top += int(graph.sequence.max(initial=0)) + 1
        chain = repeats.chain
        whole = np.full(len(chain.source), top)
        add(chain.source, chain.target, chain.copies, np.full(len(whole), START), whole)
        self.starts = _Waits.of_parts(
            np.concatenate(source),
            np.concatenate(target),
            np.concatenate(copies, axis=1),
            np.concatenate(rule),
            np.concatenate(reason),
        )
        assert self.timing.order is not None
        waits = repeats.ports.of(self.timing.order)
        leaf = self.leaf[graph.owner[graph.task_block[waits.source]]]
        self.served = _Waits.of_parts(
            waits.source + self.task0,
            waits.target + self.task0,
            waits.copies,
            leaf,
            np.zeros_like(leaf),
        )

    def _by_block(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.graph.task_block, kind="stable")
        sorted_blocks = self.graph.task_block[order]
        return np.searchsorted(sorted_blocks, np.arange(self.graph.blocks + 1)), order

    # Instances

    def time(self, instance: _Instance) -> int:
        """When a start is, or a task ends."""
        value = self._value[instance.event]
        for k, copies in enumerate(instance.copies):
            if copies:
                earlier = self._earlier(instance.event, k)
                value += copies * (self._value[instance.event] - self._value[earlier])
        return value

    def _earlier(self, event: int, loop: int) -> int:
        iteration = self._before_it[loop][self._iteration[event]]
        if iteration < 0:
            raise _lost()
        return self._like(event, iteration)

    def _like(self, event: int, iteration: int) -> int:
        """The event like this one in another tile iteration that is looked at."""
        if event < self.graph.iterations:
            return iteration
        fill = event < self.task0
        block = event if fill else self._task_block[event - self.task0]
        there = self._blocks.get((iteration, self._sequence[block]))
        if there is None:
            raise _lost()
        if fill:
            return there
        task = self._tasks.get((there, self._task_port[event - self.task0]))
        if task is None:
            raise _lost()
        return task + self.task0

    @cached_property
    def _blocks(self) -> dict[tuple[int, int], int]:
        keys = zip(self.graph.owner.tolist(), self.graph.sequence.tolist(), strict=True)
        return {key: block for block, key in enumerate(keys)}

    @cached_property
    def _tasks(self) -> dict[tuple[int, int], int]:
        keys = zip(self.graph.task_block.tolist(), self.graph.task_port.tolist(), strict=True)
        return {key: task for task, key in enumerate(keys)}

    @cached_property
    def _positions(self) -> list[dict[int, int]]:
        return [
            {key: place for place, key in enumerate(tiles.keys.tolist())}
            for tiles in self.model.layout.tiles
        ]

    def _leaf_of(self, event: int) -> int:
        return self._leaf[event]

    def instance(self, event: int, digits: Digits) -> _Instance:
        """The event like this one in another tile iteration."""
        leaf = self._leaf_of(event)
        key = 0
        copies = []
        for kept, digit in zip(self.model.layout.tiles[leaf].kept, digits, strict=True):
            place, later = kept.place_of(digit)
            key = key * kept.count + place
            copies.append(later)
        position = self._positions[leaf].get(key)
        if position is None:
            raise _lost()
        there = self._like(event, position + self.bases[leaf])
        return _Instance(there, tuple(copies), tuple(digits))

    def _digits(self, event: int, copies: Ints | Sequence[int]) -> Digits:
        leaf = self._leaf_of(event)
        position = self._iteration[event] - self.bases[leaf]
        digits = self._places[leaf][position]
        if not any(copies):
            return digits
        tiles = self.model.layout.tiles[leaf]
        return tuple(
            digit + int(copies[k]) * int(kept.periods[tiles.places[k, position]])
            for k, (digit, kept) in enumerate(zip(digits, tiles.kept, strict=True))
        )

    @cached_property
    def _places(self) -> list[list[Digits]]:
        return [
            [tuple(row) for row in tiles.digits.T.tolist()] for tiles in self.model.layout.tiles
        ]

    def _awaited(self, instance: _Instance, waits: _Waits, w: int) -> list[_Instance]:
        """What an instance waits for, from what its stand-in does.

        Empty if there is no such thing: then it is not what the instance waits for. Where what is
        waited for moves in one way before a stretch and in another way across it, both.

        Parameters
        ----------
        instance
            What waits.
        waits, w
            Waits, and that of the stand-in.
        """
        source = int(waits.source[w])
        digits = self._digits(source, waits.copies[:, w])
        found = [digits]
        for k, times in enumerate(instance.copies):
            if times:
                moves = self._moves(instance.event, k, waits, w, digits)
                found = [
                    tuple(d + times * m for d, m in zip(some, move, strict=True))
                    for some in found
                    for move in moves
                ]
        instances = []
        for moved in dict.fromkeys(found):
            try:
                instances.append(self.instance(source, moved))
            except UnsupportedError:
                continue
        return instances

    def _moves(self, event: int, loop: int, waits: _Waits, w: int, digits: Digits) -> list[Digits]:
        """How far what is waited for moves from one copy of an event to the next.

        Per period, as it does across the stretch; or as far as from a period earlier.
        """
        key = (event, loop, waits is self.starts, w)
        if key not in self._moved:
            self._moved[key] = self._find_moves(event, loop, waits, w, digits)
        return self._moved[key]

    def _find_moves(
        self, event: int, loop: int, waits: _Waits, w: int, digits: Digits
    ) -> list[Digits]:
        found = []
        after, periods = self._after[loop, self._iteration[event]]
        at = waits.like(self._like(event, after), waits.rule[w])
        if at is not None:
            behind = self._digits(int(waits.source[at]), waits.copies[:, at])
            if not any((b - d) % periods for d, b in zip(digits, behind, strict=True)):
                found.append(tuple((b - d) // periods for d, b in zip(digits, behind, strict=True)))
        at = waits.like(self._earlier(event, loop), waits.rule[w])
        if at is not None:
            before = self._digits(int(waits.source[at]), waits.copies[:, at])
            found.append(tuple(d - b for d, b in zip(digits, before, strict=True)))
        return found

    @cached_property
    def _after(self) -> dict[tuple[int, int], tuple[int, int]]:
        """(loop, tile iteration) → the one behind the stretch, and how many periods later."""
        found = {}
        for stretch in self.repeats.stretches:
            _, loop, _ = stretch.where
            pairs = zip(stretch.stand.tolist(), stretch.after.tolist(), strict=True)
            for stand, after in pairs:
                found[loop, stand] = after, stretch.copies + 1
        return found

    def _into(self, instance: _Instance) -> Iterator[tuple[_Instance, int]]:
        """What a start waits for, and why."""
        waits = self.starts
        for w in waits.of(instance.event):
            for awaited in self._awaited(instance, waits, w):
                yield awaited, int(waits.reason[w])

    @cached_property
    def _before(self) -> list[int]:
        """Per task that is looked at, the one whose end on its port it waited for; -1: not so."""
        graph, waits = self.graph, self.served
        begin = self.timing.task_begin
        blocks = graph.task_block
        start = np.where(graph.kind[blocks] == 0, blocks, graph.owner[blocks])
        waited = np.asarray(begin != self.values[start], dtype=np.bool_)
        single = np.flatnonzero(~waits.copies.any(axis=0))
        task = waits.target[single] - self.task0
        tight = np.asarray(self.values[waits.source[single]] == begin[task], dtype=np.bool_)
        before = np.full(graph.tasks, -1, dtype=np.int64)
        # The first of those that wait alike holds, as in `_before_on_port`.
        before[task[tight][::-1]] = waits.source[single][tight][::-1]
        moved = np.unique(waits.target[waits.copies.any(axis=0)] - self.task0)
        before[moved] = -1
        return [int(b) for b in np.where(waited, before, -1)]

    def _before_on_port(self, instance: _Instance, time: int) -> _Instance:
        """What the port of a task served until it began it."""
        for w in self.served.of(instance.event):
            for found in self._awaited(instance, self.served, w):
                if self.time(found) == time:
                    return found
        raise _lost()

    # The walk

    def _last(self) -> _Instance:
        ended = np.flatnonzero(self.values[self.task0 :] == self.timing.makespan)
        kinds = self.graph.kind[self.graph.task_block[ended]]
        foreground = ended[kinds != 2]
        event = int((foreground if len(foreground) else ended)[0]) + self.task0
        nothing = (0,) * self.model.layout.tiles[self._leaf_of(event)].depth
        return _Instance(event, nothing, self._digits(event, nothing))

    def _previous(self, instance: _Instance) -> tuple[_Instance | None, int]:
        """The task that ended when this one began, and what this one waited for."""
        task = instance.event - self.task0
        time = self.time(instance) - int(self.graph.task_duration[task])
        if time == 0:
            return None, START
        if not any(instance.copies):
            before = self._before[task]
            if before >= 0:
                return _Instance(before, instance.copies, self._digits(before, ())), PORT
        block = int(self.graph.task_block[task])
        start = block if self.graph.kind[block] == 0 else int(self.graph.owner[block])
        now = _Instance(start, instance.copies, instance.digits)
        if self.time(now) != time:
            return self._before_on_port(instance, time), PORT
        reason = START
        while True:
            ends: list[tuple[_Instance, int]] = []
            starts: list[tuple[_Instance, int]] = []
            for awaited, why in self._into(now):
                if self.time(awaited) == time:
                    (ends if awaited.event >= self.task0 else starts).append((awaited, why))
            if ends:
                found, why = ends[0]
                same = [e for e, w in ends if self._leaf_of(e.event) == self._leaf_of(found.event)]
                found = max(same, key=lambda e: (e.digits, -self._order(e), e.event))
                return found, why if reason == START else reason
            if not starts:
                raise _lost()
            now, why = starts[0]
            reason = why if reason == START else reason

    def reason(self, task: int) -> int:
        """What a task that is looked at waited for; `PORT` where that cannot be followed."""
        event = task + self.task0
        digits = self._digits(event, ())
        try:
            return self._previous(_Instance(event, (0,) * len(digits), digits))[1]
        except UnsupportedError:
            return PORT

    def _order(self, instance: _Instance) -> int:
        """Foreground blocks before others."""
        kind = self.graph.kind[self.graph.task_block[instance.event - self.task0]]
        return int(kind != 1)

    def _stay(self, instance: _Instance, reason: int) -> Stay:
        parts = self._parts[instance.event - self.task0]
        return Stay(parts, self._leaf_of(instance.event), instance.digits, reason)

    @cached_property
    def _parts(self) -> list[tuple[tuple[What, int], ...]]:
        """Per task, the accesses that it is made of."""
        graph, layout = self.graph, self.model.layout
        found: list[list[tuple[What, int]]] = [[] for _ in range(graph.tasks)]
        leaves = graph.leaf[graph.owner[graph.task_block]]
        sequence = graph.sequence[graph.task_block]
        positions = graph.owner[graph.task_block] - np.array(self.bases)[leaves]
        order = np.lexsort((graph.task_port, sequence, leaves))
        kinds = np.stack((leaves, sequence, graph.task_port))[:, order]
        changes = np.flatnonzero((kinds[:, 1:] != kinds[:, :-1]).any(axis=0)) + 1
        for tasks in np.split(order, changes) if len(order) else ():
            leaf, port = int(leaves[tasks[0]]), int(graph.task_port[tasks[0]])
            block = layout.blocks[leaf][int(sequence[tasks[0]])]
            for what, which, times in parts_of(self.model, leaf, block, port, positions[tasks]):
                for task, time in zip(tasks[which].tolist(), times.tolist(), strict=True):
                    found[task].append((what, int(time)))
        return [tuple(parts) for parts in found]

    def back(self) -> tuple[Item, ...]:
        """The path in order of time."""
        if self.timing.makespan == 0:
            return ()
        trail: list[Item] = []
        events: list[int | None] = []  # which event each part of the trail is, if one
        seen: dict[int, list[int]] = {}
        instance: _Instance | None = self._last()
        while instance is not None:
            if any(instance.copies):
                instance = self._come_round(trail, events, seen, instance)
            before, reason = self._previous(instance)
            seen.setdefault(instance.event, []).append(len(trail))
            events.append(instance.event)
            trail.append(self._stay(instance, reason))
            instance = before
        return tuple(_forward(item) for item in reversed(trail))

    def _come_round(
        self,
        trail: list[Item],
        events: list[int | None],
        seen: dict[int, list[int]],
        instance: _Instance,
    ) -> _Instance:
        """Leave out what repeats, if the path has gone the same way twice to get here."""
        places = seen.get(instance.event, [])
        now = len(trail)
        for last in reversed(places[-3:]):
            first = 2 * last - now
            if first < 0:
                continue
            late, early = trail[first:last], trail[last:now]
            if any(a.shape != b.shape for a, b in zip(late, early, strict=True)):
                continue
            there = [p for item in late for p in item.places]
            here = [p for item in early for p in item.places]
            moves = [
                tuple(a - b for a, b in zip(x, y, strict=True))
                for x, y in zip(there, here, strict=True)
            ]
            stays = [stay for item in early for stay, _ in _stays([item], 1)]
            times = self._times(stays, here, moves)
            if times < 1:
                continue
            shifts = tuple(tuple(-m for m in move) for move in moves)
            digits = tuple(d - (times + 1) * m for d, m in zip(here[0], moves[0], strict=True))
            # `here[0]` is where the path was a round ago; it is one round further already.
            found = self.instance(instance.event, digits)
            once = self.time(self.instance(instance.event, here[0])) - self.time(instance)
            if self.time(found) != self.time(instance) - times * once:
                continue
            for event in events[first:]:
                if event is not None:
                    seen[event].pop()
            del trail[first:], events[first:]
            trail.append(Repetition(tuple(late), times + 2, shifts))
            events.append(None)
            return found
        return instance

    def _times(
        self, stays: Sequence[Stay], places: Sequence[Digits], moves: Sequence[Digits]
    ) -> int:
        """How often the path goes on the same way before something is not a copy any more."""
        least: int | None = None
        for stay, place, move in zip(stays, places, moves, strict=True):
            tiles = self.model.layout.tiles[stay.leaf]
            for kept, digit, by in zip(tiles.kept, place, move, strict=True):
                if by == 0:
                    continue
                low = None
                for cut in kept.cuts:
                    stand = int(kept.digits[cut.place - cut.period])
                    if by > 0 and stand <= digit < stand + cut.period + cut.removed:
                        low = stand
                if low is None:
                    return 0
                most = (digit - low) // by - 1
                least = most if least is None else min(least, most)
        return least or 0


def _forward(item: Item) -> Item:
    """A part of the path in order of time, from one that was walked back."""
    if isinstance(item, Stay):
        return item
    last = item.count - 1
    moved = iter(item.shifts)
    body = tuple(_forward(_moved(inner, moved, last)) for inner in item.body)
    sizes = [len(inner.places) for inner in item.body]
    starts = np.cumsum([0, *sizes])
    shifts = [item.shifts[a:b] for a, b in pairwise(starts)]
    turned = [_turned(inner, mine) for inner, mine in zip(item.body, shifts, strict=True)]
    back = tuple(tuple(-d for d in shift) for mine in reversed(turned) for shift in mine)
    return Repetition(tuple(reversed(body)), item.count, back)


def _moved(item: Item, shifts: Iterator[Digits], times: int) -> Item:
    """The same so many times further."""
    if isinstance(item, Stay):
        shift = next(shifts)
        digits = tuple(d + times * s for d, s in zip(item.digits, shift, strict=True))
        return Stay(item.parts, item.leaf, digits, item.reason)
    return Repetition(
        tuple(_moved(inner, shifts, times) for inner in item.body), item.count, item.shifts
    )


def _turned(item: Item, shifts: Sequence[Digits]) -> list[Digits]:
    """Shifts of the stays of an item in the order in which `_forward` puts them."""
    if isinstance(item, Stay):
        return list(shifts)
    found: list[list[Digits]] = []
    at = 0
    for inner in item.body:
        size = len(inner.places)
        found.append(_turned(inner, shifts[at : at + size]))
        at += size
    return [shift for mine in reversed(found) for shift in mine]


def _lost() -> UnsupportedError:
    return UnsupportedError(
        "the critical path cannot be followed through what repeats",
        where="mapping",
        mend="raise max_tiles, or use granularity='tile'",
    )
