"""Search a schedule backward for the service that an event waits for, without a delay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import islpy as isl
import numpy as np

from polylat.analysis.isl_pieces import preceding
from polylat.lowering.points import PiecewiseAffine
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.precedence import PrecedenceRule
from polylat.proof.words import time_at
from polylat.schedule.arrays import Ints
from polylat.schedule.pieces import Pieces

__all__ = ["Index", "Place", "Waits", "services_ending_at"]

Index = tuple[int, ...]
Place = tuple[int, int, Index]
"""(leaf, block, tile iteration)"""

_MAX_EVENTS = 100_000


class Waits:
    """The waits of a schedule: from an event to the services that it waits for.

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
        self._functions: dict[int, tuple[isl.PwMultiAff, PiecewiseAffine]] = {}

    def evaluate_rules(self, places: Sequence[Place]) -> None:
        """Evaluate the rules of blocks in tile iterations, all at once.

        Parameters
        ----------
        places
            The blocks and tile iterations.
        """
        by_block: dict[tuple[int, int], set[Index]] = {}
        for leaf, block, index in places:
            by_block.setdefault((leaf, block), set()).add(index)
        for key, indices in by_block.items():
            some = sorted(indices)
            for rule in self.rules_of.get(key, ()):
                values, there = self._evaluated(rule.function, some)
                for index, row, here in zip(some, values.tolist(), there.tolist(), strict=True):
                    self._values[id(rule), index] = tuple(row) if here else None

    def _awaited_iteration(self, rule: PrecedenceRule, index: Index) -> Index | None:
        key = id(rule), index
        if key not in self._values:
            values, there = self._evaluated(rule.function, [index])
            self._values[key] = tuple(values[0].tolist()) if there[0] else None
        return self._values[key]

    def awaited_service(
        self, place: Place, time: int, *, reason: str | None = None, wanted: Place | None = None
    ) -> Place | None:
        """Find a service that ends when an event starts, and that the event waits for.

        From the event, search backward through the events that start at the same time.

        Parameters
        ----------
        place, time
            The event and its start.
        reason
            The rule by which the event has to wait; None: any.
        wanted
            The service; None: any that ends at `time`.

        Returns
        -------
        Place or None
            The service; None if the event does not wait for it.
        """
        if time_at(self.schedule.block_starts(place[0], place[1]).ready, place[2]) != time:
            return None
        seen: set[tuple[Place, bool]] = set()
        stack: list[tuple[Place, bool]] = [(place, reason is None)]
        while stack:
            event = stack.pop()
            if event in seen:
                continue
            seen.add(event)
            if len(seen) > _MAX_EVENTS:
                return None
            (leaf, block, index), reached = event
            if time_at(self.schedule.block_starts(leaf, block).ready, index) != time:
                continue
            for rule in self.rules_of.get((leaf, block), ()):
                if not reached and rule.reason != reason:
                    continue
                value = self._awaited_iteration(rule, index)
                if value is None:
                    continue
                found = self._awaited_in(rule, value, time, wanted)
                if found is not None:
                    return found
                there = (
                    self._foreground(rule.awaited)
                    if rule.awaited_block is None
                    else rule.awaited_block
                )
                stack.append(((rule.awaited, there, value), True))
            stack += [(found, reached) for found in self._own_predecessors(leaf, block, index)]
        return None

    def _awaited_in(
        self, rule: PrecedenceRule, index: Index, time: int, wanted: Place | None
    ) -> Place | None:
        """Return a service that a rule awaits in a tile iteration, and that ends at a time."""
        leaf, stream = rule.awaited, rule.awaited_block
        if wanted is not None:
            return wanted if self._includes(leaf, stream, index, wanted) else None
        for block in self.schedule.schedule.blocks_of(leaf):
            if stream not in (None, block.block):
                continue
            for pieces in block.tasks.values():
                for at in services_ending_at(pieces, time):
                    place = leaf, block.block, at
                    if self._includes(leaf, stream, index, place):
                        return place
        return None

    def _evaluated(
        self, function: isl.PwMultiAff, indices: Sequence[Index]
    ) -> tuple[Ints, np.ndarray]:
        """Return the values of a function, one per row, and where it is defined."""
        if id(function) not in self._functions:
            # The function is kept alive, as its id is the key.
            self._functions[id(function)] = function, PiecewiseAffine(function)
        size = function.dim(isl.dim_type.in_)
        rows = np.array(indices, dtype=np.int64).reshape(len(indices), size)
        return self._functions[id(function)][1].at(rows)

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
                values, there = self._evaluated(part[1], [index])
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
        values, there = self._evaluated(self._before[leaf], [index])
        if there[0]:
            found.append((leaf, front, tuple(values[0].tolist())))
        return found


def services_ending_at(pieces: Pieces, time: int) -> Iterator[Index]:
    """Yield the tile iterations in which a service ends at a time.

    Parameters
    ----------
    pieces
        The services.
    time
        The time, in steps of 1/scale.

    Yields
    ------
    tuple of int
        The indices of a tile iteration. A port that serves one block at a time has at most one.
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
