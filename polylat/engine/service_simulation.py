"""List scheduling of all tile iterations that skips repetitions.

The order "oldest" is simulated service by service. When the ports have repeated a pattern of
services, with the same progress of every stream, the simulation continues as many repetitions later
as the pattern still follows there: that number is found by bisection. So it visits the beginning
and the end of each regime only. The result is a guess, as the skipped services are not simulated:
`ExtensionRules.not_work_conserving` must check the schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf, lcm
from typing import NamedTuple

import numpy as np

from polylat.engine.event_times import BeginningTimes, KnownEvents, TooManyEventsError
from polylat.engine.event_waits import EventWaits
from polylat.engine.model import Model
from polylat.engine.service_log import END, Digits, ServiceRun, StreamLog, moved_in_loop
from polylat.lowering.logical_dates import date_columns
from polylat.lowering.paths import LoopKeys
from polylat.lowering.task_graph import KINDS

__all__ = ["Simulation", "Stream", "simulated_services"]

_LEAST_LEAP = 3
"""Smallest number of repetitions to skip."""

_BEGINNINGS = 2
"""How many beginnings may be tested per simulated service."""

_CHAIN = 4
"""How many latencies in a row are looked back at."""

_WINDOW = 50
"""Number of services in which ports are expected to repeat themselves."""


@dataclass(frozen=True)
class Stream:
    """The services of one kind of block on a port.

    Parameters
    ----------
    leaf, sequence, port
        The leaf, the position of the block in its tile iterations, and the port.
    family
        The family of the events at which the services end.
    late
        Whether they are write-backs in the background.
    alive
        Where they occur, see `LeafPoints.prefixes`.
    durations
        Per point of the leaf's grid, in steps.
    """

    leaf: int
    sequence: int
    port: int
    family: int
    late: bool
    alive: list[list[bool]]
    durations: list[int]


@dataclass(frozen=True, eq=False)
class Simulation:
    """The services of all ports in the order "oldest".

    Parameters
    ----------
    streams
        The streams.
    logs
        Per stream, its services.
    simulated
        How many services were simulated one by one, also in the search for repetitions.
    """

    streams: tuple[Stream, ...]
    logs: tuple[StreamLog, ...]
    simulated: int

    @property
    def services(self) -> dict[tuple[int, int, int], StreamLog]:
        """(leaf, position of the block, port) → the services."""
        return {
            (stream.leaf, stream.sequence, stream.port): log
            for stream, log in zip(self.streams, self.logs, strict=True)
        }

    def regimes(self, keys: LoopKeys) -> dict[int, tuple[tuple[int, int], ...]]:
        """Return from which iterations of each loop on the services repeat alike.

        Parameters
        ----------
        keys
            Per leaf, the keys of its loops.

        Returns
        -------
        dict
            Key → (iteration, period from there on), in increasing order.
        """
        found: dict[int, list[tuple[int, int, int]]] = {}
        for stream, log in zip(self.streams, self.logs, strict=True):
            for run in log.runs:
                if run.moves:
                    first = min(int(digits[run.loop]) for digits in run.digits)
                    behind = first + run.times * run.moves
                    key = keys[stream.leaf][run.loop]
                    found.setdefault(key, []).append((first, behind, run.moves))
        return {key: _pieces(ranges) for key, ranges in found.items()}


def _pieces(ranges: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the common pieces of ranges (first, behind, period), each with a common period."""
    ends = sorted({end for first, behind, _ in ranges for end in (first, behind)})
    return tuple(
        (end, lcm(*(period for first, behind, period in ranges if first <= end < behind)))
        for end in ends
    )


class _Leap(NamedTuple):
    """Skipped repetitions.

    Parameters
    ----------
    at
        The number of services before it.
    first, last
        The services that repeat: positions in the log.
    moves
        Per stream, (loop, iterations) that it moves per repetition; None: none.
    begins
        The same per family of beginnings that moves.
    steps, times
        The duration of a repetition in steps, and their number.
    long
        The ports whose present service lasts longer.
    """

    at: int
    first: int
    last: int
    moves: tuple[tuple[int, int] | None, ...]
    begins: dict[int, tuple[int, int]]
    steps: int
    times: int
    long: frozenset[int]


@dataclass
class _State:
    """What has happened so far.

    Parameters
    ----------
    now
        The time in steps.
    known
        Per family of services or beginnings, what is known of its events.
    ends
        The ends of the services at present, as a heap: (time, stream).
    busy
        Per port, the stream that it serves, or -1, and the end of that service.
    openings
        Stream → from when on it may be served, or None, and how many services that is known from.
    """

    now: int
    known: dict[int, KnownEvents]
    ends: list[tuple[int, int]] = field(default_factory=list)
    busy: list[tuple[int, int]] = field(default_factory=list)
    openings: dict[int, tuple[int | None, int]] = field(default_factory=dict)

    def copy(self) -> _State:
        """An independent copy."""
        return _State(
            self.now,
            {family: events.copy() for family, events in self.known.items()},
            self.ends.copy(),
            self.busy.copy(),
            self.openings.copy(),
        )


class _StuckError(Exception):
    """The simulation cannot continue: a deadlock, or too many services."""


def simulated_services(model: Model, most: int) -> Simulation | None:
    """Return the services of all ports in the order "oldest", of all tile iterations.

    Parameters
    ----------
    model
        A model whose tile iterations are sampled. The boxes of its precedences are decided.
    most
        Largest number of services to simulate one by one.

    Returns
    -------
    Simulation or None
        The services, as a guess; None if they repeat too rarely, or if there is a deadlock.
    """
    run = _Run(model, most)
    try:
        run.all()
    except (_StuckError, TooManyEventsError, RecursionError):
        # `BeginningTimes` follows beginnings that wait for beginnings, and gives up on long chains.
        return None
    return Simulation(run.streams, run.logs(), run.services)


_Signature = tuple[tuple[tuple[int, int], ...], tuple[int, ...], tuple[int, ...]]
_Rank = tuple[bool, tuple[int, ...], int]
"""(background, logical date, number within the tile iteration): the least is served first."""
_Visit = tuple[int, int, dict[int, Digits]]
"""(time, number of services so far, family → its first event that is not known)"""


class _Run:
    """A simulation."""

    def __init__(self, model: Model, most: int) -> None:
        self.model = model
        self.most = most
        self.waits = EventWaits(model)
        families = self.waits.families
        durations = np.zeros(families.count, dtype=object)
        durations[families.tasks] = model.graph.task_duration
        streams = []
        for (leaf, sequence, port), family in families.task.items():
            points = self.waits.leaves[leaf]
            streams.append(
                Stream(
                    leaf,
                    sequence,
                    port,
                    family,
                    model.layout.blocks[leaf][sequence].background,
                    points.prefixes(families.occurs(family)),
                    [int(n) for n in durations[families.span(family)]],
                )
            )
        self.streams = tuple(streams)
        self.on_port = [
            [n for n, stream in enumerate(streams) if stream.port == port]
            for port in range(model.graph.ports)
        ]
        self.leaf_of = leaf_of = {
            **{family: leaf for leaf, family in families.start.items()},
            **{family: leaf for (leaf, _), family in families.ready.items()},
        }
        self.beginnings = BeginningTimes(self.waits, leaf_of, _BEGINNINGS * most)
        # How long ago what a beginning waits for, and what that waits for in turn, can count.
        self.kept = _CHAIN * self.waits.longest_lag
        # What a stream waits for: its own fill, or the start of the tile iteration.
        self.opens = [
            families.ready.get((s.leaf, s.sequence), families.start[s.leaf]) for s in streams
        ]
        # (stream, tile iteration) → rank: most streams wait for several services.
        self.ranks: dict[tuple[int, Digits], _Rank] = {}
        self.log: list[tuple[int, int, Digits]] = []
        self.leaps: list[_Leap] = []
        self.visited: dict[_Signature, list[_Visit]] = {}
        self.services = 0
        self.resume = 0
        # How long the last services have taken.
        self.window = 0
        known = {s.family: KnownEvents(self.waits.leaves[s.leaf].first(s.alive)) for s in streams}
        for family, leaf in leaf_of.items():
            known[family] = KnownEvents(self.waits.leaves[leaf].first(self.waits.alive(family)))
        self.state = _State(0, known, [], [(-1, 0)] * len(self.on_port))

    def all(self) -> None:
        """Simulate to the end."""
        self._choose()
        while self._step(inf):
            self._leap()
        if any(digits != END for digits in self._next):
            raise _StuckError

    @property
    def _next(self) -> tuple[Digits, ...]:
        """Per stream, the first tile iteration that has not been served."""
        return tuple(self.state.known[stream.family].next for stream in self.streams)

    # One step: to the next time at which a port may choose.

    def _step(self, until: float) -> bool:
        """Go to the next time, up to a given one; return whether there is any."""
        state = self.state
        now = self._soonest()
        if now > until or now == inf:
            return False
        state.now = int(now)
        while state.ends and state.ends[0][0] == now:
            _, stream = heappop(state.ends)
            state.busy[self.streams[stream].port] = (-1, 0)
        self._choose()
        return True

    def _soonest(self) -> float:
        """Return when a service ends, or a stream of an idle port may be served."""
        state = self.state
        soonest: float = state.ends[0][0] if state.ends else inf
        if self.waits.longest_lag:
            for port, mine in enumerate(self.on_port):
                if state.busy[port][0] < 0:
                    times = [self._opening(n) for n in mine]
                    soonest = min([soonest, *(time for time in times if time is not None)])
        return max(soonest, state.now)

    def _choose(self) -> None:
        state = self.state
        for port, mine in enumerate(self.on_port):
            if state.busy[port][0] >= 0:
                continue
            nexts = [(n, state.known[self.streams[n].family].next) for n in mine]
            waiting = [(self._rank(n, digits), n) for n, digits in nexts if digits != END]
            for _, n in sorted(waiting):
                time = self._opening(n)
                if time is not None and time <= state.now:
                    self._serve(port, n)
                    break

    def _opening(self, number: int) -> int | None:
        """Return from when on a stream may be served, if that is known."""
        time, services = self.state.openings.get(number, (None, -1))
        if time is None and services < self.services:
            known = self.state.known
            digits = known[self.streams[number].family].next
            if digits != END:
                time = self.beginnings.time(known, self.opens[number], digits)
            self.state.openings[number] = time, self.services
        return time

    def _serve(self, port: int, number: int) -> None:
        state, stream = self.state, self.streams[number]
        self.services += 1
        if self.services > self.most:
            raise _StuckError
        events = state.known[stream.family]
        digits = events.next
        points = self.waits.leaves[stream.leaf]
        end = state.now + stream.durations[points.point(digits)[0]]
        heappush(state.ends, (end, number))
        state.busy[port] = (number, end)
        self.log.append((state.now, number, digits))
        events.add(end, points.following(digits, stream.alive))
        del state.openings[number]
        for kept in (events, state.known[self.opens[number]]):
            kept.forget(state.now - self.kept)

    def _rank(self, number: int, digits: Digits) -> _Rank:
        found = self.ranks.get((number, digits))
        if found is None:
            found = self._rank_of(self.streams[number], digits)
            self.ranks[number, digits] = found
        return found

    def _rank_of(self, stream: Stream, digits: Digits) -> _Rank:
        date = self._date(stream.leaf, digits)
        ahead = self.model.ahead
        if ahead is not None:
            block = stream.leaf, stream.sequence
            columns = np.array(digits, dtype=np.int64).reshape(-1, 1)
            host = tuple(ahead.hosts(block, columns)[:, 0].tolist())
            kind = KINDS[self.model.layout.blocks[stream.leaf][stream.sequence].kind]
            date = (*self._date(stream.leaf, host), kind, int(host != digits), *date)
        return stream.late, date, stream.sequence

    def _date(self, leaf: int, digits: Digits) -> tuple[int, ...]:
        columns = np.array(digits, dtype=np.int64).reshape(-1, 1)
        skewed = date_columns(self.model.layout.tiles[leaf], columns, self.model.shifts)[1]
        padding = len(self.model.graph.dates.skew) - len(skewed)
        return (*(int(column[0]) for column in skewed), *(0 for _ in range(padding)))

    # Leaps: repetitions are skipped.

    def _signature(self, long: frozenset[int]) -> _Signature:
        """Return what repeats: services and places, not how far streams are apart.

        The ends of services on the ports `long` do not count, nor do openings that are as far off:
        these last for several repetitions.
        """
        state = self.state
        busy = tuple(
            (n, end - state.now if n >= 0 and port not in long else 0)
            for port, (n, end) in enumerate(state.busy)
        )
        points = tuple(
            -1 if digits == END else self.waits.leaves[stream.leaf].point(digits)[0]
            for stream, digits in zip(self.streams, self._next, strict=True)
        )
        openings = tuple(map(self._until, range(len(self.streams)))) if self.kept else ()
        return busy, points, openings

    def _until(self, number: int) -> int:
        """Return how long a stream may not be served yet; -1 if that is not known, or far off."""
        time = self._opening(number)
        left = -1 if time is None else max(time - self.state.now, 0)
        return left if left <= self.window else -1

    def _long(self) -> frozenset[int]:
        """Return the ports whose services may last for several repetitions."""
        state = self.state
        return frozenset(
            port
            for port, (n, end) in enumerate(state.busy)
            if n >= 0 and end - state.now > self.window
        )

    def _leap(self) -> None:
        self.window = self.state.now - self.log[max(len(self.log) - _WINDOW, 0)][0]
        signature = self._signature(self._long())
        visits = self.visited.setdefault(signature, [])
        # What is known so far must not be computed from times behind the leap.
        for number in range(len(self.streams)):
            self._opening(number)
        nexts = {family: events.next for family, events in self.state.known.items()}
        visits.append((self.state.now, len(self.log), nexts))
        if len(visits) < 3 or len(self.log) < self.resume:
            return
        leap = self._repetition(*visits[-3:])
        if leap is None or leap.times < _LEAST_LEAP:
            return
        before = self.services
        holds = self._longest(leap)
        if holds >= _LEAST_LEAP:
            leap = leap._replace(times=holds)
            self._shift(leap)
            self.leaps.append(leap)
            self.visited.clear()
        else:
            # Search no longer than it takes to simulate.
            self.resume = len(self.log) + self.services - before

    def _longest(self, leap: _Leap) -> int:
        """Return the largest number of repetitions after which the ports do the same once more."""
        if not self._ends_alike(leap._replace(times=1)):
            return 0
        holds, fails, tried = 1, leap.times + 1, leap.times
        while fails - holds > 1:
            if self._ends_alike(leap._replace(times=tried)):
                holds = tried
            else:
                fails = tried
            tried = (holds + fails) // 2
        return holds

    def _repetition(self, first: _Visit, second: _Visit, third: _Visit) -> _Leap | None:
        """Return what the ports did twice, and at most how often they may do it again."""
        (t1, n1, b1), (t2, n2, b2), (t3, n3, b3) = first, second, third
        p1, p2, p3 = ([at[stream.family] for stream in self.streams] for at in (b1, b2, b3))
        moves = self._moves(p2, p3)
        alike = t3 - t2 == t2 - t1 and n3 - n2 == n2 - n1 and moves == self._moves(p1, p2)
        if not alike or moves is None or self._pattern(n1, n2) != self._pattern(n2, n3):
            return None
        steps = t3 - t2
        served = {self.streams[stream].port for stream in self._pattern(n2, n3)}
        long = frozenset(
            port for port, (n, _) in enumerate(self.state.busy) if n >= 0 and port not in served
        )
        most = [(self.state.busy[port][1] - t3) // steps for port in long]
        most += [
            self._left(stream.leaf, digits, move)
            for stream, digits, move in zip(self.streams, p3, moves, strict=True)
            if move is not None
        ]
        begins = {}
        for family, leaf in self.leaf_of.items():
            a, b, c = ((at[family],) for at in (b1, b2, b3))
            move = self._moves(b, c)
            if move is not None and move[0] is not None and move == self._moves(a, b):
                begins[family] = move[0]
                # They may be ahead of the services, and must not pass the end of the loop.
                most.append(self._left(leaf, b3[family], move[0]))
        return _Leap(n3, n2, n3, moves, begins, steps, min(most) - 1, long)

    def _left(self, leaf: int, digits: Digits, move: tuple[int, int]) -> int:
        """Return how often a tile iteration can move on within its range of a loop."""
        (loop, by), points = move, self.waits.leaves[leaf]
        return points.left(loop, int(digits[loop])) * points.lengths(digits)[loop] // by

    def _pattern(self, first: int, last: int) -> list[int]:
        return [stream for _, stream, _ in self.log[first:last]]

    def _moves(
        self, before: Sequence[Digits], after: Sequence[Digits]
    ) -> tuple[tuple[int, int] | None, ...] | None:
        """Return (loop, iterations) by which each stream has moved; None if in several loops."""
        found: list[tuple[int, int] | None] = []
        for a, b in zip(before, after, strict=True):
            if (a == END) != (b == END):
                return None
            loops = [k for k in range(len(a)) if a != END and a[k] != b[k]]
            if len(loops) > 1:
                return None
            found.append((loops[0], int(b[loops[0]] - a[loops[0]])) if loops else None)
        if any(move is not None and move[1] <= 0 for move in found) or not any(found):
            return None
        return tuple(found)

    def _ends_alike(self, leap: _Leap) -> bool:
        """Return whether the ports do the same once more after a leap."""
        before, logged = self.state.copy(), len(self.log)
        signature = self._signature(leap.long)
        self._shift(leap)
        at = self._next
        target = self.state.now + leap.steps
        try:
            while self._step(target):
                pass
            return (
                self.state.now == target
                and self._pattern(leap.first, leap.last) == self._pattern(logged, len(self.log))
                and self._moves(at, self._next) == leap.moves
                and self._signature(leap.long) == signature
            )
        finally:
            self.state = before
            del self.log[logged:]

    def _shift(self, leap: _Leap) -> None:
        state = self.state
        later = leap.steps * leap.times
        state.now += later
        state.openings.clear()
        for port, (n, end) in enumerate(state.busy):
            if n >= 0 and port not in leap.long:
                state.busy[port] = n, end + later
        state.ends = sorted((end, n) for n, end in state.busy if n >= 0)
        for stream, move in zip(self.streams, leap.moves, strict=True):
            if move is not None:
                state.known[stream.family].repeat(*move, leap.steps, leap.times, self.kept)
        for family, move in leap.begins.items():
            state.known[family].repeat(*move, leap.steps, leap.times, self.kept)
        for number, move in enumerate(leap.moves):
            # What has been served has begun, and all before it.
            served, begun = self.streams[number].family, self.opens[number]
            if move is not None and state.known[begun].next < state.known[served].digits[-1]:
                state.known[begun].next = state.known[served].digits[-1]

    def logs(self) -> tuple[StreamLog, ...]:
        """The services of each stream."""
        runs: list[list[ServiceRun]] = [[] for _ in self.streams]
        at = 0
        for leap in [*self.leaps, None]:
            end = len(self.log) if leap is None else leap.at
            for begin, stream, digits in self.log[at:end]:
                runs[stream].append(ServiceRun((begin,), (digits,)))
            at = end
            if leap is None:
                break
            for number, move in enumerate(leap.moves):
                mine = [(t, d) for t, s, d in self.log[leap.first : leap.last] if s == number]
                if move is None or not mine:
                    continue
                first = [(t + leap.steps, moved_in_loop(d, *move)) for t, d in mine]
                begins, indices = zip(*first, strict=True)
                runs[number].append(ServiceRun(begins, indices, leap.times, leap.steps, *move))
        return tuple(StreamLog(mine) for mine in runs)
