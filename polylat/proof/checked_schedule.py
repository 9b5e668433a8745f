"""The schedule to check: its blocks and times, the rules, and the decider."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from polylat.analysis.starts import BlockStarts, Starts
from polylat.proof.affine_times import AffineTimes
from polylat.proof.decide import Counterexample, Decider
from polylat.proof.durations import Expectation
from polylat.proof.passing import Stalls, delayed, stalls_of
from polylat.proof.piecewise import PiecewiseFunction
from polylat.proof.pointwise import PointDecider
from polylat.proof.precedence import PrecedenceRule, Until
from polylat.proof.rules import precedence_rules
from polylat.proof.tabulated_times import TabulatedTimes
from polylat.proof.tile_sets import TileSets
from polylat.proof.units import PortName
from polylat.proof.words import Wording, time_at
from polylat.schedule.pieces import Pieces

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["CheckedSchedule"]

MAX_PIECES = 300
"""Beyond this many pieces of one event, a schedule is decided point by point."""

MAX_POINTS = 20_000_000
"""Largest number of events that are listed one by one."""


class CheckedSchedule:
    """A schedule of a mapping, with the rules that it must keep and a decider.

    Parameters
    ----------
    expected
        The blocks and accesses that the schedule must have.
    ports
        The ports of the schedule, by number.
    schedule
        The schedule to check.
    pointwise
        Whether to decide every tile iteration instead of pairs of pieces; None: where some event
        has more than `MAX_PIECES` pieces, and all tile iterations can be listed.
    like
        Another schedule of the same mapping with the same options. Its rules are reused.
    """

    def __init__(
        self,
        expected: Expectation,
        ports: Sequence[PortName],
        schedule: Starts,
        *,
        pointwise: bool | None = None,
        like: CheckedSchedule | None = None,
    ) -> None:
        self.expected = expected
        self.ports = ports
        self.schedule = schedule
        self.words = Wording(expected, ports)
        self.sets: TileSets = TileSets(expected) if like is None else like.sets
        if like is not None:
            self.rules = like.rules
        if pointwise is None:
            events = [f for s in schedule.blocks for f in (s.ready, *s.tasks.values())]
            most = max((f.size for f in events), default=0)
            pointwise = most > MAX_PIECES and sum(f.points for f in events) <= MAX_POINTS
        self.pointwise = pointwise
        self.decider: Any = PointDecider() if pointwise else Decider()
        self._times: dict[int, Any] = {}
        self._ended: dict[int, tuple[Pieces, Pieces]] = {}
        self._passed: dict[tuple[int, int, int], tuple[Pieces, Pieces]] = {}
        self._passes: dict[tuple[int, int, Until], tuple[Pieces, ...]] = {}
        self._stalls: dict[int, Stalls | None] = {}
        self._ordered: dict[int, bool] = {}
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
        return self.block_starts(leaf, self.sets.foreground(leaf))

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
        return self.blocks[leaf, block]

    @cached_property
    def blocks(self) -> dict[tuple[int, int], BlockStarts]:
        """(leaf, block) → the block's starts."""
        return {(s.leaf, s.block): s for s in self.schedule.blocks}

    @cached_property
    def rules(self) -> tuple[PrecedenceRule, ...]:
        """Rules 1 to 3 of the mapping, and those of separate transfers."""
        return tuple(precedence_rules(self.sets))

    def passes(self, leaf: int, block: int, until: Until) -> tuple[Pieces, ...]:
        """Return the events after which a block has passed, or has been served.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.
        until
            Whether the block must pass, or only be served.

        Returns
        -------
        tuple of Pieces
            Its start and the ends of its services; if the block must pass, later by its fixed
            latency, and with the ends of its stalls.
        """
        key = leaf, block, until
        if key not in self._passes:
            stream = self.block_starts(leaf, block)
            events = [stream.ready, *(self.ends(pieces) for pieces in stream.tasks.values())]
            if any(pieces.points == stream.ready.points for pieces in events[1:]):
                # Services begin after the start: `check_order` proves it.
                del events[0]
            events = [self.passed(leaf, block, pieces, until) for pieces in events]
            if until == "passed" and self.expected.blocks[leaf][block].kind == "foreground":
                stalls = self.stalls(leaf)
                events += [] if stalls is None else [stalls.latest]
            self._passes[key] = tuple(events)
        return self._passes[key]

    def passed(self, leaf: int, block: int, pieces: Pieces, until: Until) -> Pieces:
        """Return an event of a block, later by the block's fixed latency where it must pass.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.
        pieces
            The start of the block, or the ends of one of its services.
        until
            Whether the block must pass, or only be served.

        Returns
        -------
        Pieces
            The event, as pieces; the same object for the same arguments.
        """
        if until == "served":
            return pieces
        key = leaf, block, id(pieces)
        if key not in self._passed:
            late = self.expected.latency(leaf, block)
            # The event is kept alive, as its id is the key.
            self._passed[key] = pieces, delayed(self.sets.leaves[leaf], pieces, late)
        return self._passed[key][1]

    def stalls(self, leaf: int) -> Stalls | None:
        """Return the stalls of a rigid pipeline.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        Stalls or None
            The stalls; None if there are none.
        """
        if leaf not in self._stalls:
            found = None
            if self.expected.is_rigid(leaf):
                front = self.sets.foreground(leaf)
                found = stalls_of(
                    self.sets.leaves[leaf],
                    self.foreground(leaf).ready,
                    self.expected.latency(leaf, front),
                    list(self.expected.loads(leaf, front).values()),
                )
            self._stalls[leaf] = found if found is not None and len(found.held) else None
        return self._stalls[leaf]

    def ends(self, pieces: Pieces) -> Pieces:
        """Return the ends of an event.

        Parameters
        ----------
        pieces
            The starts of the event, with its durations.

        Returns
        -------
        Pieces
            The ends, as pieces; the same object for the same starts.
        """
        key = id(pieces)
        if key not in self._ended:
            self._ended[key] = pieces, pieces.ends
        return self._ended[key][1]

    def is_ordered(self, pieces: Pieces) -> bool:
        """Decide whether the times of an event never decrease from one tile iteration to the next.

        Parameters
        ----------
        pieces
            The starts or ends of the event.

        Returns
        -------
        bool
            Whether they never decrease.
        """
        if id(pieces) not in self._ordered:
            inversion = self.decider.first_inversion(self.times_of(pieces))
            self._ordered[id(pieces)] = inversion is None
        return self._ordered[id(pieces)]

    def restricted(self, function: isl.PwMultiAff, leaf: int) -> PiecewiseFunction:
        """Restrict a function to the tile iterations of a leaf.

        Parameters
        ----------
        function
            Tile iterations of the leaf → those of another one.
        leaf
            The number of the leaf.

        Returns
        -------
        PiecewiseFunction
            The function; the same object for the same arguments.
        """
        key = id(function), leaf
        if key not in self._functions:
            # The function is kept alive, as its id is the key.
            here = function.intersect_domain(self.sets.spaces[leaf])
            self._functions[key] = function, PiecewiseFunction(here)
        return self._functions[key][1]

    def first_violation(
        self, function: isl.PwMultiAff, leaf: int, waiting: Pieces, awaited: Pieces
    ) -> Counterexample | None:
        """Find the first tile iteration that starts before the event it waits for has ended.

        Parameters
        ----------
        function
            Tile iterations of `waiting` → those of `awaited`.
        leaf
            The number of the waiting leaf.
        waiting, awaited
            The starts of the waiting event, and the ends of the awaited one.

        Returns
        -------
        Counterexample or None
            None if every tile iteration waits.
        """
        found: Counterexample | None = self.decider.first_violation(
            self.restricted(function, leaf), self.times_of(waiting), self.times_of(awaited)
        )
        return found

    def first_violation_among(
        self, relation: isl.Map, waiting: Pieces, awaited: Pieces
    ) -> Counterexample | None:
        """Find a tile iteration that starts before one of several events that it waits for.

        Parameters
        ----------
        relation
            Tile iterations of `waiting` → those of `awaited`.
        waiting, awaited
            The starts of the waiting event, and the ends of the awaited one.

        Returns
        -------
        Counterexample or None
            None if every tile iteration waits.
        """
        found: Counterexample | None = self.decider.first_violation_among(
            relation, self.times_of(waiting), self.times_of(awaited)
        )
        return found

    # Words

    def when(self, pieces: Pieces, index: tuple[int, ...]) -> str:
        """Return the time of an event in a tile iteration, in words.

        Parameters
        ----------
        pieces
            The starts or ends of the event.
        index
            The indices of the tile iteration.

        Returns
        -------
        str
            The time in the architecture's unit of time; ``?`` where the event does not occur.
        """
        found = time_at(pieces, index)
        return "?" if found is None else self.words.time(found)

    def start_in_words(self, leaf: int, block: int, index: tuple[int, ...]) -> str:
        """Return the start of a block, as the beginning of a sentence.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.
        index
            The indices of the tile iteration.

        Returns
        -------
        str
            Such as ``tile iteration (m: 7) of Einsum 'e2' starts at 40,``.
        """
        stream = self.block_starts(leaf, block)
        who = self.words.tile(leaf, index)
        if self.expected.blocks[leaf][block].kind != "foreground":
            who = f"{self.words.block(leaf, block)} by {who}"
        return f"{who} starts at {self.when(stream.ready, index)},"
