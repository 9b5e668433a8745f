"""Check a schedule against every rule of the model, one rule after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import islpy as isl
import numpy as np

from polylat.analysis.isl_pieces import (
    first_point,
    intersecting_pairs,
    last_at_or_before,
    pieces_to_set,
)
from polylat.analysis.starts import BlockStarts, Starts
from polylat.engine.model import Model
from polylat.lowering.points import integer_points
from polylat.proof.affine_times import AffineTimes
from polylat.proof.decide import Counterexample, Decider
from polylat.proof.expected import expected_iterations, expected_loads, operation_count_mismatch
from polylat.proof.piecewise import PiecewiseFunction, split_function
from polylat.proof.pointwise import PointDecider, find_overlap_pointwise
from polylat.proof.ports import find_overlap
from polylat.proof.rules import PrecedenceRule, RequiredPrecedences
from polylat.proof.tabulated_times import TabulatedTimes
from polylat.proof.words import BrokenRule, Wording, time_at
from polylat.schedule.pieces import Pieces, merge_pieces

__all__ = ["FinishPart", "ScheduleChecks"]

MAX_PIECES = 300
"""Beyond this many pieces of one event, an explicit schedule is decided point by point."""


@dataclass(frozen=True)
class FinishPart:
    """One of the events that the finish of a leaf's tile iterations waits for.

    Parameters
    ----------
    ends
        The ends of the event, as pieces.
    last
        Tile iteration → the last one at or before it that has the event; None if all have it.
    ordered
        Whether the ends never decrease from one tile iteration to the next.
    """

    ends: Any
    last: isl.PwMultiAff | None
    ordered: bool


class ScheduleChecks:
    """The checks of one schedule of a mapping.

    Parameters
    ----------
    model
        The mapping.
    schedule
        The schedule to check.
    pointwise
        Whether to decide every tile iteration instead of pairs of pieces; None: where the
        schedule is explicit and some event has more than `MAX_PIECES` pieces.
    """

    def __init__(self, model: Model, schedule: Starts, *, pointwise: bool | None = None) -> None:
        self.model = model
        self.schedule = schedule
        self.words = Wording(model)
        self.rules = RequiredPrecedences(model)
        if pointwise is None:
            most = max(
                (f.size for s in schedule.blocks for f in (s.ready, *s.tasks.values())), default=0
            )
            pointwise = most > MAX_PIECES and model.layout.whole
        self.pointwise = pointwise
        self.decider: Any = PointDecider() if pointwise else Decider()
        self._times: dict[int, Any] = {}
        self._parts: dict[int, tuple[FinishPart, ...]] = {}
        self._identities: dict[int, isl.PwMultiAff] = {}
        self._read_backs: dict[int, tuple[tuple[int, isl.PwMultiAff], ...]] = {}
        self._functions: dict[tuple[int, int], tuple[isl.PwMultiAff, PiecewiseFunction]] = {}

    @property
    def decisions(self) -> int:
        """Number of decisions so far."""
        return int(self.decider.decided_by_bounds + self.decider.decided_by_isl)

    def times_of(self, pieces: Pieces) -> Any:
        """Prepare pieces for the decider.

        Parameters
        ----------
        pieces
            The starts or ends of one event.

        Returns
        -------
        AffineTimes or TabulatedTimes
            The same times, in the decider's form.
        """
        kind = TabulatedTimes if self.pointwise else AffineTimes
        if id(pieces) not in self._times:
            self._times[id(pieces)] = kind(pieces)
        return self._times[id(pieces)]

    def foreground(self, leaf: int) -> BlockStarts:
        """Return the foreground of a leaf; its `ready` is the start of the tile iterations.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        BlockStarts
            The foreground block.
        """
        return self.block_starts(leaf, self.rules.foreground(leaf))

    def block_starts(self, leaf: int, block: int) -> BlockStarts:
        """Return a block of a leaf.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.

        Returns
        -------
        BlockStarts
            The block.
        """
        return self._blocks[leaf, block]

    @cached_property
    def _blocks(self) -> dict[tuple[int, int], BlockStarts]:
        return {(s.leaf, s.block): s for s in self.schedule.blocks}

    # Contents

    def contents(self) -> int:
        """Check that exactly the required services are scheduled, once, with their durations.

        Returns
        -------
        int
            The number of relations proven.

        Raises
        ------
        BrokenRule
            A service is missing, duplicated, superfluous, or of a wrong duration.
        """
        count = 0
        wanted = {
            (leaf, block)
            for leaf, blocks in enumerate(self.model.layout.blocks)
            for block in range(len(blocks))
        }
        if set(self._blocks) != wanted or len(self.schedule.blocks) != len(wanted):
            raise BrokenRule("the schedule does not list every block of every Einsum exactly once")
        for leaf, block in sorted(wanted):
            stream = self.block_starts(leaf, block)
            what = f"{self.words.block(leaf, block)} of Einsum {self.words.einsum(leaf)!r}"
            expected_set = expected_iterations(self.rules, leaf, block)
            self._check_distinct(stream.ready, f"{what} is scheduled to start", leaf)
            self._check_iterations(stream.ready, expected_set, what, leaf)
            expected = expected_loads(self.model, leaf, block)
            count += 1
            for port in sorted({*expected, *stream.tasks}):
                count += 1
                where = f"{what} on {self.words.port(port)}"
                scheduled = stream.tasks.get(port)
                if port not in expected or scheduled is None:
                    how = "is never" if scheduled is None else "takes no time, but is"
                    raise BrokenRule(f"{where} {how} scheduled")
                self._check_distinct(scheduled, f"{where} is scheduled", leaf)
                self._check_durations(scheduled, expected[port], where, leaf)
            mismatch = operation_count_mismatch(self.model, leaf)
            if mismatch is not None:
                raise BrokenRule(
                    f"Einsum {self.words.einsum(leaf)!r} has {mismatch[1]} operations, but"
                    f" {mismatch[0]} computations are counted"
                )
        return count

    def _check_distinct(self, pieces: Pieces, what: str, leaf: int) -> None:
        if self.pointwise:
            keys = self.times_of(pieces).keys
            twice = np.flatnonzero(keys[1:] == keys[:-1])
            if len(twice):
                index = tuple(self.times_of(pieces).table[0][int(twice[0])].tolist())
                raise BrokenRule(f"{what} twice for {self.words.tile(leaf, index)}")
            return
        for a, b in intersecting_pairs(pieces):
            both = pieces_to_set(pieces.chosen(np.array([a])))
            both &= pieces_to_set(pieces.chosen(np.array([b])))
            if not both.is_empty():
                raise BrokenRule(f"{what} twice for {self.words.tile(leaf, first_point(both))}")

    def _check_iterations(self, pieces: Pieces, expected: isl.Set, what: str, leaf: int) -> None:
        if self.pointwise:
            have, want = self.times_of(pieces).table[0], integer_points(expected)
            if have.shape != want.shape or (have != want).any():
                a, b = set(map(tuple, have.tolist())), set(map(tuple, want.tolist()))
                raise BrokenRule(
                    self._presence_message(min(a ^ b), what, leaf, missing=min(a ^ b) in b)
                )
            return
        have = pieces_to_set(merge_pieces(_without_times(pieces)))
        if not have.is_equal(expected):
            missing = expected - have
            index = first_point(missing if not missing.is_empty() else have - expected)
            raise BrokenRule(
                self._presence_message(index, what, leaf, missing=not missing.is_empty())
            )

    def _presence_message(
        self, index: tuple[int, ...], what: str, leaf: int, *, missing: bool
    ) -> str:
        how = "is not scheduled for" if missing else "is scheduled, but does not occur, for"
        return f"{what} {how} {self.words.tile(leaf, index)}"

    def _check_durations(
        self, scheduled: Pieces, expected: Pieces, what: str, leaf: int
    ) -> None:
        if self.pointwise:
            have, want = _duration_table(scheduled), _duration_table(expected)
            if have != want:
                index = min(i for i in {*have, *want} if have.get(i, 0) != want.get(i, 0))
                raise BrokenRule(
                    self._duration_message(have.get(index), want.get(index), index, what, leaf)
                )
            return
        plain = _without_times(scheduled)
        for duration in {*plain.duration.tolist(), *expected.duration.tolist()}:
            have = pieces_to_set(merge_pieces(plain.chosen(plain.duration == duration)))
            want = pieces_to_set(expected.chosen(expected.duration == duration))
            if not have.is_equal(want):
                index = first_point((have - want) | (want - have))
                here = [
                    next(
                        (
                            int(f.duration[k])
                            for k in range(f.size)
                            if time_at(f.chosen(np.array([k])), index) is not None
                        ),
                        None,
                    )
                    for f in (scheduled, expected)
                ]
                raise BrokenRule(self._duration_message(here[0], here[1], index, what, leaf))

    def _duration_message(
        self, have: int | None, want: int | None, index: tuple[int, ...], what: str, leaf: int
    ) -> str:
        if have is None or want is None:
            return self._presence_message(index, what, leaf, missing=have is None)
        return (
            f"{what} takes {self.words.time(want)} for {self.words.tile(leaf, index)}, but is"
            f" scheduled for {self.words.time(have)}"
        )

    # Order within a leaf

    def order(self) -> int:
        """Check that tile iterations start in order from 0, and their services after their starts.

        Returns
        -------
        int
            The number of relations proven.

        Raises
        ------
        BrokenRule
            A start is out of order.
        """
        count = 0
        for leaf in range(len(self.rules.leaves)):
            foreground = self.foreground(leaf)
            pair = self.decider.first_inversion(self.times_of(foreground.ready))
            count += 1
            if pair is not None:
                raise BrokenRule(
                    f"{self._start_message(leaf, foreground.block, pair.waiting)} before"
                    f" {self.words.tile(leaf, pair.awaited)}, which starts at"
                    f" {self._when(foreground.ready, pair.awaited)}"
                )
            for stream in self.schedule.blocks_of(leaf):
                if stream.ready.size and int(min(stream.ready.first.tolist())) < 0:
                    raise BrokenRule(
                        f"a block of Einsum {self.words.einsum(leaf)!r} starts before time 0"
                    )
                kind = self.model.layout.blocks[leaf][stream.block].kind
                if kind != "foreground":
                    waiting, awaited = foreground.ready, stream.ready
                    if kind == "background":
                        waiting, awaited = awaited, waiting
                    self._check_within_iteration(leaf, stream, waiting, awaited)
                    count += 1
                for pieces in stream.tasks.values():
                    self._check_within_iteration(leaf, stream, pieces, stream.ready)
                    count += 1
        return count

    def _check_within_iteration(
        self, leaf: int, stream: BlockStarts, waiting: Pieces, awaited: Pieces
    ) -> None:
        pair = self._violation(self._identity(leaf), leaf, waiting, awaited)
        if pair is not None:
            raise BrokenRule(
                f"{self.words.tile(leaf, pair.waiting)}: {self.words.block(leaf, stream.block)} may"
                f" start at {self._when(awaited, pair.awaited)}, but an event that waits for it"
                f" starts at {self._when(waiting, pair.waiting)}"
            )

    def _identity(self, leaf: int) -> isl.PwMultiAff:
        if leaf not in self._identities:
            space = self.rules.spaces[leaf].get_space().map_from_set()
            self._identities[leaf] = isl.PwMultiAff.from_map(isl.Map.identity(space))
        return self._identities[leaf]

    def _violation(
        self, function: isl.PwMultiAff, leaf: int, waiting: Pieces, awaited: Pieces
    ) -> Counterexample | None:
        found: Counterexample | None = self.decider.first_violation(
            self._function(function, leaf), self.times_of(waiting), self.times_of(awaited)
        )
        return found

    def _function(self, function: isl.PwMultiAff, leaf: int) -> PiecewiseFunction:
        key = id(function), leaf
        if key not in self._functions:
            # The function is kept alive, as its id is the key.
            self._functions[key] = function, split_function(function, self.rules.spaces[leaf])
        return self._functions[key][1]

    # Rules 1 to 3

    def check_rules(self) -> Iterator[str]:
        """Check rules 1 to 3: flow, barriers and capacity.

        Yields
        ------
        str
            The kind of each rule, when it has been proven.

        Raises
        ------
        BrokenRule
            A rule is broken.
        """
        for rule in self.precedence_rules:
            self._check_rule(rule)
            yield rule.kind

    @cached_property
    def precedence_rules(self) -> tuple[PrecedenceRule, ...]:
        """Rules 1 to 3 of the mapping."""
        return tuple(self.rules.all_rules())

    def read_backs(self, leaf: int) -> tuple[tuple[int, isl.PwMultiAff], ...]:
        """Return the background write-backs that the finish of a leaf's tile iterations waits for.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        tuple of (block, function)
            As in `RequiredPrecedences.read_backs`.
        """
        if leaf not in self._read_backs:
            self._read_backs[leaf] = tuple(self.rules.read_backs(leaf))
        return self._read_backs[leaf]

    def _check_rule(self, rule: PrecedenceRule) -> None:
        waiting = self.block_starts(rule.leaf, rule.block).ready
        if rule.awaited_block is not None:
            stream = self.block_starts(rule.awaited, rule.awaited_block)
            self._decide(rule, waiting, stream.ready, rule.function, each=True)
            kind = self.model.layout.blocks[rule.awaited][rule.awaited_block].kind
            for pieces in stream.tasks.values():
                ends = self._ends(pieces)
                if kind == "fill":
                    # Only this fill is awaited; fills of earlier tile iterations may end later.
                    self._decide(rule, waiting, ends, rule.function, each=True)
                else:
                    last = self._last_with_event(rule.awaited, pieces)
                    self._check_up_to(rule, waiting, ends, last, ordered=self._ordered(ends))
            return
        for part in self.finish_parts(rule.awaited):
            self._check_up_to(rule, waiting, part.ends, part.last, ordered=part.ordered)

    def _check_up_to(
        self,
        rule: PrecedenceRule,
        waiting: Pieces,
        ends: Pieces,
        last: isl.PwMultiAff | None,
        *,
        ordered: bool,
    ) -> None:
        """Check that an event has ended in all tile iterations up to the awaited one."""
        function = rule.function
        if last is not None:
            function = last.pullback_pw_multi_aff(function).coalesce()
        self._decide(rule, waiting, ends, function, each=ordered and not self.pointwise)

    def _decide(
        self,
        rule: PrecedenceRule,
        waiting: Pieces,
        awaited: Pieces,
        function: isl.PwMultiAff,
        *,
        each: bool,
    ) -> None:
        both = self.times_of(waiting), self.times_of(awaited)
        which = self._function(function, rule.leaf)
        decide = self.decider.first_violation if each else self.decider.first_violation_up_to
        pair = decide(which, *both)
        if pair is None:
            return
        who = self._start_message(rule.leaf, rule.block, pair.waiting)
        done = self._when(awaited, pair.awaited)
        what = f"{self.words.tile(rule.awaited, pair.awaited)} has finished, at {done}"
        if rule.awaited_block is not None:
            what = f"{self.words.block(rule.awaited, rule.awaited_block)} by {what}"
        raise BrokenRule(f"{who} before {what} ({rule.kind}: {rule.why})")

    def _start_message(self, leaf: int, block: int, index: tuple[int, ...]) -> str:
        stream = self.block_starts(leaf, block)
        who = self.words.tile(leaf, index)
        if self.model.layout.blocks[leaf][block].kind != "foreground":
            who = f"{self.words.block(leaf, block)} by {who}"
        return f"{who} starts at {self._when(stream.ready, index)},"

    def _when(self, pieces: Pieces, index: tuple[int, ...]) -> str:
        found = time_at(pieces, index)
        return "?" if found is None else self.words.time(found)

    def _ends(self, pieces: Pieces) -> Pieces:
        key = id(pieces)
        if key not in self._ended:
            self._ended[key] = pieces, pieces.ends
        return self._ended[key][1]

    @cached_property
    def _ended(self) -> dict[int, tuple[Pieces, Pieces]]:
        return {}

    def _ordered(self, pieces: Pieces) -> bool:
        return self.decider.first_inversion(self.times_of(pieces)) is None

    def finish_parts(self, leaf: int) -> tuple[FinishPart, ...]:
        """Return the events that the finish of a leaf's tile iterations waits for.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        tuple of FinishPart
            Starts, services of foreground and fills, and write-backs that are read back.
        """
        if leaf not in self._parts:
            self._parts[leaf] = tuple(self._finish_parts(leaf))
        return self._parts[leaf]

    def _finish_parts(self, leaf: int) -> Iterator[FinishPart]:
        yield FinishPart(self.foreground(leaf).ready, None, True)
        for stream in self.schedule.blocks_of(leaf):
            if self.model.layout.blocks[leaf][stream.block].kind == "background":
                continue
            for pieces in stream.tasks.values():
                ends = self._ends(pieces)
                yield FinishPart(ends, self._last_with_event(leaf, pieces), self._ordered(ends))
        for block, function in self.read_backs(leaf):
            stream = self.block_starts(leaf, block)
            for pieces in stream.tasks.values():
                ends = self._ends(pieces)
                last = self._last_with_event(leaf, pieces)
                if last is not None:
                    last = last.pullback_pw_multi_aff(function).coalesce()
                yield FinishPart(ends, last or function, self._ordered(ends))

    def _last_with_event(self, leaf: int, pieces: Pieces) -> isl.PwMultiAff | None:
        """Return tile iteration → the last one up to it that has an event; None if all have it."""
        space = self.rules.spaces[leaf]
        if pieces.points == self.foreground(leaf).ready.points:
            return None
        if self.pointwise:
            # The event's own table is searched instead.
            return None
        return last_at_or_before(pieces_to_set(merge_pieces(_without_times(pieces))), space)

    # Ports and latency

    def ports(self) -> int:
        """Check that no port serves two blocks at once.

        Returns
        -------
        int
            The number of ports.

        Raises
        ------
        BrokenRule
            Two services of a port overlap.
        """
        count = 0
        for port in range(len(self.model.costs.ports)):
            served = [
                (s, s.tasks[port]) for s in self.schedule.blocks if s.tasks.get(port) is not None
            ]
            count += 1
            found: Any
            if self.pointwise:
                found = find_overlap_pointwise([f for _, f in served])
            else:
                found = find_overlap([self.times_of(f) for _, f in served])
            if isinstance(found, int):
                self.decider.decided_by_bounds += found
                continue
            (a, first), (b, second) = found
            one, two = served[a], served[b]
            raise BrokenRule(
                f"{self.words.port(port)} serves {self.words.tile(one[0].leaf, first)} from"
                f" {self._when(one[1], first)} to {self._when(self._ends(one[1]), first)}, and"
                f" {self.words.tile(two[0].leaf, second)} from {self._when(two[1], second)} on"
            )
        return count

    def end(self, latency: int) -> int:
        """Check that the last finish is at the claimed latency.

        Parameters
        ----------
        latency
            The claimed latency, in steps of 1/scale.

        Returns
        -------
        int
            The number of pieces examined.

        Raises
        ------
        BrokenRule
            The last finish is at another time.
        """
        latest = 0
        for stream in self.schedule.blocks:
            for pieces in (stream.ready, *stream.tasks.values()):
                if pieces.size:
                    latest = max(latest, int(max(pieces.last.tolist())))
        if latest != latency:
            raise BrokenRule(
                f"the last finish is at {self.words.time(latest)}, but the claimed latency is"
                f" {self.words.time(latency)}"
            )
        return self.schedule.piece_count


def _without_times(pieces: Pieces) -> Pieces:
    """Return the same pieces with all start times 0."""
    return Pieces(
        pieces.low,
        pieces.stride,
        pieces.count,
        pieces.start * 0,
        pieces.rate * 0,
        pieces.duration,
    )


def _duration_table(pieces: Pieces) -> dict[tuple[int, ...], int]:
    """Return tile iteration → duration."""
    digits, _, duration = pieces.expanded()
    return dict(zip(map(tuple, digits.T.tolist()), duration.tolist(), strict=True))
