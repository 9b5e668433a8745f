"""The rules of the model, checked one after the other on a schedule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import islpy as isl
import numpy as np

from polylat.lowering.scan import points
from polylat.model import Model
from polylat.proof.decide import Decider, Function, Pair, Pieces, function_of
from polylat.proof.expected import busy, loads, miscounted, occurs
from polylat.proof.families import Families, merged
from polylat.proof.pointwise import PointDecider, Points
from polylat.proof.ports import overlap
from polylat.proof.schedule import Schedule, Stream
from polylat.proof.waits import Rules, Wait, families_set, last_before
from polylat.proof.words import Broken, Words, time_at
from polylat.schedule.graph import Times

__all__ = ["Checks", "Part"]

MOST_PIECES = 300
"""Beyond this many families of one event, an explicit schedule is decided point by point."""


@dataclass(frozen=True)
class Part:
    """A part of the finish of a leaf's tile iterations.

    Parameters
    ----------
    ends
        When it is over, by the tile iteration that it belongs to.
    last
        Tile iteration → the last one that has it up to there; None: every one has it.
    ordered
        Whether it is over in order.
    stream, port
        What it is: a block on a port; no port for the start itself.
    """

    ends: Any
    last: isl.PwMultiAff | None
    ordered: bool
    stream: Stream
    port: int | None


class Checks:
    """A schedule of a mapping, to be checked.

    Parameters
    ----------
    model
        The mapping.
    schedule
        What is to be checked.
    pointwise
        Whether to look at every tile iteration instead of at families; None: where families
        are many.
    """

    def __init__(self, model: Model, schedule: Schedule, *, pointwise: bool | None = None) -> None:
        self.model = model
        self.schedule = schedule
        self.words = Words(model)
        self.rules = Rules(model)
        if pointwise is None:
            most = max(
                (f.size for s in schedule.streams for f in (s.ready, *s.tasks.values())), default=0
            )
            pointwise = most > MOST_PIECES and model.layout.whole
        self.pointwise = pointwise
        self.decider: Any = PointDecider() if pointwise else Decider()
        self._pieces: dict[int, Any] = {}
        self._parts: dict[int, tuple[Part, ...]] = {}
        self._identities: dict[int, isl.PwMultiAff] = {}
        self._read_backs: dict[int, tuple[tuple[int, isl.PwMultiAff], ...]] = {}
        self._functions: dict[tuple[int, int], tuple[isl.PwMultiAff, Function]] = {}

    @property
    def decisions(self) -> int:
        """Number of decisions so far."""
        return int(self.decider.bounded + self.decider.asked)

    def pieces(self, families: Families) -> Any:
        """Families, ready to be decided about."""
        kind = Points if self.pointwise else Pieces
        if id(families) not in self._pieces:
            self._pieces[id(families)] = kind(families)
        return self._pieces[id(families)]

    def front(self, leaf: int) -> Stream:
        """The foreground of a leaf: its `ready` is the start of tile iterations."""
        return self.stream(leaf, self.rules.foreground(leaf))

    def stream(self, leaf: int, block: int) -> Stream:
        """A block of a leaf."""
        return self._streams[leaf, block]

    @cached_property
    def _streams(self) -> dict[tuple[int, int], Stream]:
        return {(s.leaf, s.block): s for s in self.schedule.streams}

    # What is there

    def contents(self) -> int:
        """All that must be served is, once, for as long as it takes; and nothing else."""
        count = 0
        wanted = {
            (leaf, block)
            for leaf, blocks in enumerate(self.model.layout.blocks)
            for block in range(len(blocks))
        }
        if set(self._streams) != wanted or len(self.schedule.streams) != len(wanted):
            raise Broken("the schedule does not have every block of every Einsum, once")
        for leaf, block in sorted(wanted):
            stream = self.stream(leaf, block)
            what = f"{self.words.block(leaf, block)} of Einsum {self.words.einsum(leaf)!r}"
            there = occurs(self.rules, leaf, block)
            self._once(stream.ready, f"{what} may start", leaf)
            self._same_set(stream.ready, there, what, leaf)
            expected = loads(self.model, leaf, block)
            count += 1
            for port in sorted({*expected, *stream.tasks}):
                count += 1
                where = f"{what} on {self.words.port(port)}"
                mine = stream.tasks.get(port)
                if port not in expected or mine is None:
                    raise Broken(f"{where}: scheduled {'never' if mine is None else 'for nothing'}")
                self._once(mine, f"{where} is scheduled", leaf)
                self._same_load(mine, expected[port], where, leaf)
            found = miscounted(self.model, leaf)
            if found is not None:
                raise Broken(
                    f"Einsum {self.words.einsum(leaf)!r} has {found[1]} operations, and"
                    f" {found[0]} computations are counted"
                )
        return count

    def _once(self, families: Families, what: str, leaf: int) -> None:
        if self.pointwise:
            keys = self.pieces(families).keys
            twice = np.flatnonzero(keys[1:] == keys[:-1])
            if len(twice):
                index = tuple(self.pieces(families).table[0][int(twice[0])].tolist())
                raise Broken(f"{what} twice for {self.words.tile(leaf, index)}")
            return
        for a, b in _meeting(families):
            both = families_set(families.chosen(np.array([a])))
            both &= families_set(families.chosen(np.array([b])))
            if not both.is_empty():
                raise Broken(f"{what} twice for {self.words.tile(leaf, _first_of(both))}")

    def _same_set(self, families: Families, wanted: isl.Set, what: str, leaf: int) -> None:
        if self.pointwise:
            have, want = self.pieces(families).table[0], points(wanted)
            if have.shape != want.shape or (have != want).any():
                a, b = set(map(tuple, have.tolist())), set(map(tuple, want.tolist()))
                raise Broken(self._differs(min(a ^ b), what, leaf, missing=min(a ^ b) in b))
            return
        have = families_set(merged(_plain(families)))
        if not have.is_equal(wanted):
            missing = wanted - have
            index = _first_of(missing if not missing.is_empty() else have - wanted)
            raise Broken(self._differs(index, what, leaf, missing=not missing.is_empty()))

    def _differs(self, index: tuple[int, ...], what: str, leaf: int, *, missing: bool) -> str:
        how = "is not scheduled for" if missing else "is scheduled, but does not occur, for"
        return f"{what} {how} {self.words.tile(leaf, index)}"

    def _same_load(self, mine: Families, wanted: Families, what: str, leaf: int) -> None:
        if self.pointwise:
            have, want = _loads_of(mine), _loads_of(wanted)
            if have != want:
                index = min(i for i in {*have, *want} if have.get(i, 0) != want.get(i, 0))
                raise Broken(self._lasts(have.get(index), want.get(index), index, what, leaf))
            return
        plain = _plain(mine)
        for duration in {*plain.duration.tolist(), *wanted.duration.tolist()}:
            have = families_set(merged(plain.chosen(plain.duration == duration)))
            want = families_set(wanted.chosen(wanted.duration == duration))
            if not have.is_equal(want):
                index = _first_of((have - want) | (want - have))
                here = [
                    next(
                        (
                            int(f.duration[k])
                            for k in range(f.size)
                            if time_at(f.chosen(np.array([k])), index) is not None
                        ),
                        None,
                    )
                    for f in (mine, wanted)
                ]
                raise Broken(self._lasts(here[0], here[1], index, what, leaf))

    def _lasts(
        self, have: int | None, want: int | None, index: tuple[int, ...], what: str, leaf: int
    ) -> str:
        if have is None or want is None:
            return self._differs(index, what, leaf, missing=have is None)
        return (
            f"{what} takes {self.words.time(want)} for {self.words.tile(leaf, index)}, and is"
            f" scheduled for {self.words.time(have)}"
        )

    # Order within a leaf

    def order(self) -> int:
        """Tile iterations start in order, after 0, and what they consist of after they start."""
        count = 0
        for leaf in range(len(self.rules.leaves)):
            front = self.front(leaf)
            pair = self.decider.disorder(self.pieces(front.ready))
            count += 1
            if pair is not None:
                raise Broken(
                    f"{self._starts(leaf, front.block, pair.waiting)} before"
                    f" {self.words.tile(leaf, pair.awaited)}, which starts at"
                    f" {self._when(front.ready, pair.awaited)}"
                )
            for stream in self.schedule.of_leaf(leaf):
                if stream.ready.size and int(min(stream.ready.first.tolist())) < 0:
                    raise Broken(f"something of Einsum {self.words.einsum(leaf)!r} starts before 0")
                kind = self.model.layout.blocks[leaf][stream.block].kind
                if kind != "foreground":
                    waiting, awaited = front.ready, stream.ready
                    if kind == "background":
                        waiting, awaited = awaited, waiting
                    self._same_iteration(leaf, stream, waiting, awaited)
                    count += 1
                for families in stream.tasks.values():
                    self._same_iteration(leaf, stream, families, stream.ready)
                    count += 1
        return count

    def _same_iteration(
        self, leaf: int, stream: Stream, waiting: Families, awaited: Families
    ) -> None:
        pair = self._late(self._identity(leaf), leaf, waiting, awaited)
        if pair is not None:
            raise Broken(
                f"{self.words.tile(leaf, pair.waiting)}: {self.words.block(leaf, stream.block)} may"
                f" start at {self._when(awaited, pair.awaited)}, and what waits for that starts at"
                f" {self._when(waiting, pair.waiting)}"
            )

    def _identity(self, leaf: int) -> isl.PwMultiAff:
        if leaf not in self._identities:
            space = self.rules.spaces[leaf].get_space().map_from_set()
            self._identities[leaf] = isl.PwMultiAff.from_map(isl.Map.identity(space))
        return self._identities[leaf]

    def _late(
        self, function: isl.PwMultiAff, leaf: int, waiting: Families, awaited: Families
    ) -> Pair | None:
        found: Pair | None = self.decider.late(
            self._function(function, leaf), self.pieces(waiting), self.pieces(awaited)
        )
        return found

    def _function(self, function: isl.PwMultiAff, leaf: int) -> Function:
        key = id(function), leaf
        if key not in self._functions:
            # The function is kept so that its identity stays its own.
            self._functions[key] = function, function_of(function, self.rules.spaces[leaf])
        return self._functions[key][1]

    # Rules

    def waits(self) -> Iterator[str]:
        """Rules 1 to 3 and what holds prefetched fills back; says of each which kind it is."""
        for wait in self.waits_of_rules:
            self._wait(wait)
            yield wait.kind

    @cached_property
    def waits_of_rules(self) -> tuple[Wait, ...]:
        """Rules 1 to 3 of the mapping."""
        return tuple(self.rules.waits())

    def read_backs(self, leaf: int) -> tuple[tuple[int, isl.PwMultiAff], ...]:
        """What the finish of a leaf's tile iterations waits for in the background."""
        if leaf not in self._read_backs:
            self._read_backs[leaf] = tuple(self.rules.read_backs(leaf))
        return self._read_backs[leaf]

    def _wait(self, wait: Wait) -> None:
        waiting = self.stream(wait.leaf, wait.block).ready
        if wait.stream is not None:
            stream = self.stream(wait.awaited, wait.stream)
            self._check(wait, waiting, stream.ready, wait.function, each=True)
            kind = self.model.layout.blocks[wait.awaited][wait.stream].kind
            for families in stream.tasks.values():
                ends = self._ends(families)
                if kind == "fill":
                    # Waited for on its own: other fills of the tensor may be later.
                    self._check(wait, waiting, ends, wait.function, each=True)
                else:
                    last = self._last(wait.awaited, families)
                    self._up_to(wait, waiting, ends, last, ordered=self._ordered(ends))
            return
        for part in self.parts(wait.awaited):
            self._up_to(wait, waiting, part.ends, part.last, ordered=part.ordered)

    def _up_to(
        self,
        wait: Wait,
        waiting: Families,
        ends: Families,
        last: isl.PwMultiAff | None,
        *,
        ordered: bool,
    ) -> None:
        """Check that all is over that belongs to tile iterations up to the awaited one."""
        function = wait.function
        if last is not None:
            function = last.pullback_pw_multi_aff(function).coalesce()
        self._check(wait, waiting, ends, function, each=ordered and not self.pointwise)

    def _check(
        self,
        wait: Wait,
        waiting: Families,
        awaited: Families,
        function: isl.PwMultiAff,
        *,
        each: bool,
    ) -> None:
        pieces = self.pieces(waiting), self.pieces(awaited)
        which = self._function(function, wait.leaf)
        decide = self.decider.late if each else self.decider.late_any
        pair = decide(which, *pieces)
        if pair is None:
            return
        who = self._starts(wait.leaf, wait.block, pair.waiting)
        done = self._when(awaited, pair.awaited)
        what = f"{self.words.tile(wait.awaited, pair.awaited)} has finished, at {done}"
        if wait.stream is not None:
            what = f"{self.words.block(wait.awaited, wait.stream)} by {what}"
        raise Broken(f"{who} before {what} ({wait.kind}: {wait.why})")

    def _starts(self, leaf: int, block: int, index: tuple[int, ...]) -> str:
        stream = self.stream(leaf, block)
        who = self.words.tile(leaf, index)
        if self.model.layout.blocks[leaf][block].kind != "foreground":
            who = f"{self.words.block(leaf, block)} by {who}"
        return f"{who} starts at {self._when(stream.ready, index)},"

    def _when(self, families: Families, index: tuple[int, ...]) -> str:
        found = time_at(families, index)
        return "?" if found is None else self.words.time(found)

    def _ends(self, families: Families) -> Families:
        key = id(families)
        if key not in self._ended:
            self._ended[key] = families, families.ends
        return self._ended[key][1]

    @cached_property
    def _ended(self) -> dict[int, tuple[Families, Families]]:
        return {}

    def _ordered(self, families: Families) -> bool:
        return self.decider.disorder(self.pieces(families)) is None

    def parts(self, leaf: int) -> tuple[Part, ...]:
        """What the finish of a leaf's tile iterations consists of."""
        if leaf not in self._parts:
            self._parts[leaf] = tuple(self._parts_of(leaf))
        return self._parts[leaf]

    def _parts_of(self, leaf: int) -> Iterator[Part]:
        front = self.front(leaf)
        yield Part(front.ready, None, True, front, None)
        for stream in self.schedule.of_leaf(leaf):
            if self.model.layout.blocks[leaf][stream.block].kind == "background":
                continue
            for port, families in stream.tasks.items():
                ends = self._ends(families)
                yield Part(ends, self._last(leaf, families), self._ordered(ends), stream, port)
        for block, function in self.read_backs(leaf):
            stream = self.stream(leaf, block)
            for port, families in stream.tasks.items():
                ends = self._ends(families)
                last = self._last(leaf, families)
                if last is not None:
                    last = last.pullback_pw_multi_aff(function).coalesce()
                yield Part(ends, last or function, self._ordered(ends), stream, port)

    def _last(self, leaf: int, families: Families) -> isl.PwMultiAff | None:
        """Tile iteration → the last one up to it that has an event; None: each has it."""
        space = self.rules.spaces[leaf]
        if families.points == self.front(leaf).ready.points:
            return None
        if self.pointwise:
            # Looked up in the table of the event itself.
            return None
        return last_before(families_set(merged(_plain(families))), space)

    # Ports, and the end

    def ports(self) -> int:
        """No port serves two things at once."""
        count = 0
        for port in range(len(self.model.costs.ports)):
            served = [
                (s, s.tasks[port]) for s in self.schedule.streams if s.tasks.get(port) is not None
            ]
            count += 1
            found: Any
            if self.pointwise:
                found = _overlap_of_points([f for _, f in served])
            else:
                found = overlap([self.pieces(f) for _, f in served])
            if isinstance(found, int):
                self.decider.bounded += found
                continue
            (a, first), (b, second) = found
            one, two = served[a], served[b]
            raise Broken(
                f"{self.words.port(port)} serves {self.words.tile(one[0].leaf, first)} from"
                f" {self._when(one[1], first)} to {self._when(self._ends(one[1]), first)}, and"
                f" {self.words.tile(two[0].leaf, second)} from {self._when(two[1], second)} on"
            )
        return count

    def end(self, latency: int) -> int:
        """Everything is over by the latency, and something not before it."""
        last = 0
        for stream in self.schedule.streams:
            for families in (stream.ready, *stream.tasks.values()):
                if families.size:
                    last = max(last, int(max(families.last.tolist())))
        if last != latency:
            raise Broken(
                f"the last finish is at {self.words.time(last)}, and the latency is said to be"
                f" {self.words.time(latency)}"
            )
        return self.schedule.pieces

    def busy(self) -> list[int]:
        """Total busy time of every port."""
        totals = [0] * len(self.model.costs.ports)
        for stream in self.schedule.streams:
            for port, families in stream.tasks.items():
                totals[port] += busy(families)
        return totals


def _plain(families: Families) -> Families:
    """Families without their times: these are all 0."""
    return Families(
        families.low,
        families.stride,
        families.count,
        families.start * 0,
        families.rate * 0,
        families.duration,
    )


def _loads_of(families: Families) -> dict[tuple[int, ...], int]:
    digits, _, duration = families.expanded()
    return dict(zip(map(tuple, digits.T.tolist()), duration.tolist(), strict=True))


def _meeting(families: Families) -> list[tuple[int, int]]:
    """Pairs of families whose boxes meet."""
    found = []
    for a in range(families.size - 1):
        rest = slice(a + 1, None)
        meets = np.ones(families.size - a - 1, dtype=np.bool_)
        for k in range(families.depth):
            meets &= families.low[k, rest] <= families.high[k, a]
            meets &= families.high[k, rest] >= families.low[k, a]
            common = np.gcd(families.stride[k, rest], families.stride[k, a])
            single = (families.count[k, rest] == 1) & (families.count[k, a] == 1)
            apart = families.low[k, rest] - families.low[k, a]
            meets &= single | (apart % common == 0)
        found += [(a, a + 1 + int(b)) for b in np.flatnonzero(meets)]
    return found


def _first_of(some: isl.Set) -> tuple[int, ...]:
    point = some.lexmin().sample_point()
    size = some.dim(isl.dim_type.set)
    return tuple(
        int(point.get_coordinate_val(isl.dim_type.set, k).to_python()) for k in range(size)
    )


def _overlap_of_points(
    served: list[Families],
) -> tuple[tuple[int, tuple[int, ...]], tuple[int, tuple[int, ...]]] | int:
    tables = [f.expanded() for f in served]
    if not tables:
        return 0
    which = np.repeat(np.arange(len(tables)), [len(t[1]) for t in tables])
    at = np.concatenate([np.arange(len(t[1])) for t in tables])
    start: Times = np.concatenate([t[1] for t in tables])
    end = start + np.concatenate([t[2] for t in tables])
    order = np.argsort(start, kind="stable")
    clash = np.flatnonzero(np.asarray(end[order[:-1]] > start[order[1:]], dtype=np.bool_))
    if not len(clash):
        return len(order)
    pair = order[int(clash[0])], order[int(clash[0]) + 1]
    first, second = ((int(which[x]), tuple(tables[which[x]][0][:, at[x]].tolist())) for x in pair)
    return first, second
