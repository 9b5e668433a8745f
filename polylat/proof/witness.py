"""Check a critical path: a gapless chain of accesses, each of which waits for the previous one.

Such a chain is the witness that the schedule attains the latency: with the same order on the
ports, no access of it could start earlier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import islpy as isl
import numpy as np

from polylat.analysis.access import Step
from polylat.analysis.isl_pieces import preceding
from polylat.lowering.points import PiecewiseAffine
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.precedence import PrecedenceRule
from polylat.proof.step_location import Place, describe_step, locate_steps
from polylat.proof.words import time_at
from polylat.schedule.arrays import Ints
from polylat.schedule.pieces import Pieces

__all__ = ["WitnessChecker"]

Index = tuple[int, ...]

_MAX_EVENTS = 100_000


class WitnessChecker:
    """Check chains of accesses against a schedule and the rules.

    Parameters
    ----------
    schedule
        The schedule, with the rules.
    """

    def __init__(self, schedule: CheckedSchedule) -> None:
        self.schedule = schedule
        self.rules_of: dict[tuple[int, int], list[PrecedenceRule]] = {}
        for rule in schedule.rules:
            self.rules_of.setdefault((rule.leaf, rule.block), []).append(rule)
        self._values: dict[tuple[int, Index], Index | None] = {}
        self._before: dict[int, isl.PwMultiAff] = {}

    def check(self, steps: Sequence[Step], latency: int | None = None) -> int:
        """Check that consecutive steps follow each other without gaps, for the reasons they state.

        Parameters
        ----------
        steps
            Consecutive steps.
        latency
            If given, the steps must reach from 0 to this time, in steps of 1/scale.

        Returns
        -------
        int
            The number of steps.

        Raises
        ------
        BrokenRule
            A step is not where the schedule has it, or did not wait as stated.
        """
        chain = list(steps)
        scale = self.schedule.schedule.scale
        times = [(int(s.start * scale), int(s.finish * scale)) for s in chain]
        if latency is not None:
            ends = (times[0][0], times[-1][1]) if times else (0, 0)
            if ends != (0, latency):
                raise BrokenRule(
                    f"the critical path goes from {chain[0].start} to {chain[-1].finish}"
                )
        for k in range(1, len(chain)):
            if times[k][0] != times[k - 1][1]:
                raise BrokenRule(f"there is a gap in the critical path at {chain[k].start}")
        found = locate_steps(self.schedule, chain, times)
        self._evaluate_rules([place for place, _ in found])
        for k, step in enumerate(chain):
            if step.waited_for is None and times[k][0] != 0:
                what = describe_step(self.schedule, step)
                raise BrokenRule(f"{what} waits for nothing, and starts at {step.start}")
            if k and not self._waited(step, times[k][0], found[k], found[k - 1]):
                what, other = (describe_step(self.schedule, x) for x in (step, chain[k - 1]))
                raise BrokenRule(f"{what} does not wait for {other} ({step.waited_for})")
        return len(chain)

    # Reasons of the start times

    def _evaluate_rules(self, places: Sequence[Place]) -> None:
        """Evaluate the rules of all given blocks and tile iterations at once."""
        by_block: dict[tuple[int, int], set[Index]] = {}
        for leaf, block, index in places:
            by_block.setdefault((leaf, block), set()).add(index)
        for key, indices in by_block.items():
            some = sorted(indices)
            for rule in self.rules_of.get(key, ()):
                values, there = _evaluate_function(rule.function, some)
                for index, row, here in zip(some, values.tolist(), there.tolist(), strict=True):
                    self._values[id(rule), index] = tuple(row) if here else None

    def _awaited_iteration(self, rule: PrecedenceRule, index: Index) -> Index | None:
        key = id(rule), index
        if key not in self._values:
            values, there = _evaluate_function(rule.function, [index])
            self._values[key] = tuple(values[0].tolist()) if there[0] else None
        return self._values[key]

    def _waited(
        self,
        step: Step,
        time: int,
        step_place: tuple[Place, int],
        previous: tuple[Place, int],
    ) -> bool:
        """Return whether a step waited for the previous one, and for the reason that it states.

        Where several waits end at the start of the step, the previous step may be the one and the
        stated reason another one of them.
        """
        place, port = step_place
        stated = None if step.waited_for == "port" else step.waited_for
        if stated is None and port == previous[1]:
            return True
        if stated is not None and self._reaches(place, time, stated, previous[0]):
            return True
        if port != previous[1] and not self._reaches(place, time, None, previous[0]):
            return False
        if stated is None:
            return self._port_released(place, port, time)
        return self._reaches(place, time, stated, None)

    def _reaches(self, place: Place, time: int, reason: str | None, wanted: Place | None) -> bool:
        """Return whether an event waits, without a delay, for a service that ends at a time.

        Parameters
        ----------
        place, time
            The event and its start. From there, search backwards through the events that start at
            the same time.
        reason
            The rule by which the event has to wait; None: any.
        wanted
            The service; None: any that ends at `time`.
        """
        if time_at(self.schedule.block_starts(place[0], place[1]).ready, place[2]) != time:
            return False
        seen: set[tuple[Place, bool]] = set()
        stack: list[tuple[Place, bool]] = [(place, reason is None)]
        while stack:
            event = stack.pop()
            if event in seen:
                continue
            seen.add(event)
            if len(seen) > _MAX_EVENTS:
                return False
            (leaf, block, index), reached = event
            if time_at(self.schedule.block_starts(leaf, block).ready, index) != time:
                continue
            for rule in self.rules_of.get((leaf, block), ()):
                if not reached and rule.reason != reason:
                    continue
                value = self._awaited_iteration(rule, index)
                if value is None:
                    continue
                if wanted is not None:
                    if self._includes(rule.awaited, rule.awaited_block, value, wanted):
                        return True
                elif self._ends_at(rule.awaited, rule.awaited_block, value, time):
                    return True
                there = (
                    self._foreground(rule.awaited)
                    if rule.awaited_block is None
                    else rule.awaited_block
                )
                stack.append(((rule.awaited, there, value), True))
            stack += [(found, reached) for found in self._own_predecessors(leaf, block, index)]
        return False

    def _ends_at(self, leaf: int, stream: int | None, index: Index, time: int) -> bool:
        """Return whether a service that a finish, or the end of a block, waits for ends then."""
        for block in self.schedule.schedule.blocks_of(leaf):
            if stream not in (None, block.block):
                continue
            for pieces in block.tasks.values():
                for place in _services_ending_at(pieces, time):
                    if self._includes(leaf, stream, index, (leaf, block.block, place)):
                        return True
        return False

    def _port_released(self, place: Place, port: int, time: int) -> bool:
        """Return whether another service of a port ends at a time."""
        for block in self.schedule.schedule.blocks:
            pieces = block.tasks.get(port)
            if pieces is not None:
                for index in _services_ending_at(pieces, time):
                    if (block.leaf, block.block, index) != place:
                        return True
        return False

    def _foreground(self, leaf: int) -> int:
        return self.schedule.sets.foreground(leaf)

    def _includes(self, leaf: int, stream: int | None, index: Index, place: Place) -> bool:
        """Return whether a finish, or the end of a block, waits for a block in a tile iteration."""
        if leaf != place[0]:
            return False
        kind = self.schedule.expected.blocks[leaf][place[1]].kind
        if stream is not None:
            up_to = place[2] <= index if kind == "background" else place[2] == index
            return place[1] == stream and up_to
        if kind != "background":
            return place[2] <= index
        for part in self.schedule.read_backs(leaf):
            if part[0] == place[1]:
                values, there = _evaluate_function(part[1], [index])
                if there[0] and place[2] <= tuple(values[0].tolist()):
                    return True
        return False

    def _own_predecessors(self, leaf: int, block: int, index: Index) -> list[Place]:
        """Return the events of the same leaf that an event waits for."""
        front = self._foreground(leaf)
        if block != front:
            kind = self.schedule.expected.blocks[leaf][block].kind
            return [(leaf, front, index)] if kind == "background" else []
        found = [
            (leaf, number, index)
            for number, what in enumerate(self.schedule.expected.blocks[leaf])
            if what.kind == "fill"
        ]
        if leaf not in self._before:
            self._before[leaf] = preceding(self.schedule.sets.spaces[leaf], 1)
        values, there = _evaluate_function(self._before[leaf], [index])
        if there[0]:
            found.append((leaf, front, tuple(values[0].tolist())))
        return found


def _evaluate_function(
    function: isl.PwMultiAff, indices: Sequence[Index]
) -> tuple[Ints, np.ndarray]:
    size = function.dim(isl.dim_type.in_)
    rows = np.array(indices, dtype=np.int64).reshape(len(indices), size)
    return PiecewiseAffine(function).at(rows)


def _services_ending_at(pieces: Pieces, time: int) -> Iterator[Index]:
    """Yield the tile iterations in which a service ends at a time.

    A port serves one block at a time, so that there are few.
    """
    for f in np.flatnonzero(np.asarray((pieces.first <= time) & (pieces.last >= time))).tolist():
        column = pieces.chosen(np.array([f]))
        left = time - int(column.start[0]) - int(column.duration[0])
        terms = [
            (int(c), int(n)) for c, n in zip(column.rate[:, 0], column.count[:, 0], strict=True)
        ]
        for steps in _combinations(left, terms):
            yield tuple(
                int(low) + int(stride) * x
                for low, stride, x in zip(column.low[:, 0], column.stride[:, 0], steps, strict=True)
            )


def _combinations(total: int, terms: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """Yield the steps x, 0 <= x < count, with which rates times steps add up to a total."""
    if not terms:
        if not total:
            yield ()
        return
    (rate, count), rest = terms[0], terms[1:]
    least = sum(min(0, c * (n - 1)) for c, n in rest)
    most = sum(max(0, c * (n - 1)) for c, n in rest)
    if rate <= 0:
        steps: Sequence[int] = range(min(count, _MAX_EVENTS))
    else:
        low, high = -((most - total) // rate), (total - least) // rate
        steps = range(max(0, low), min(count - 1, high) + 1)
    for x in steps:
        for more in _combinations(total - rate * x, rest):
            yield (x, *more)
