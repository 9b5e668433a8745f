"""What each event of a mapping waits for, tile iteration by tile iteration.

The precedences of a sampled mapping are rows on boxes of tile iterations (`constraints`). Here they
are read for single tile iterations, sampled or not, given by their loop indices: tuples, which
compare as their tile iterations do.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from polylat.engine.model import Model
from polylat.engine.service_log import END, Digits
from polylat.lowering.iterations import IterationTable
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.boxes import Rows, Sources
from polylat.schedule.extrapolation import PeriodicTaskGraph

__all__ = ["EventWait", "EventWaits", "LeafPoints"]


class LeafPoints:
    """The tile iterations of a leaf, and the grid points that represent them.

    Parameters
    ----------
    tiles
        The sampled tile iterations of the leaf.

    Attributes
    ----------
    depth, trips
        The number of loops, and their trip counts.
    """

    def __init__(self, tiles: IterationTable) -> None:
        self.depth = tiles.depth
        self.trips = [kept.trips for kept in tiles.kept]
        self._count = [kept.count for kept in tiles.kept]
        self._digits: list[list[int]] = [kept.digits.tolist() for kept in tiles.kept]
        self._periods: list[list[int]] = [kept.period_lengths.tolist() for kept in tiles.kept]
        self._skipped: list[list[int]] = [kept.skipped_periods.tolist() for kept in tiles.kept]
        self._found: dict[Digits, tuple[int, tuple[int, ...]]] = {}

    def place(self, loop: int, digit: int) -> tuple[int, int]:
        """Return the place that represents an iteration of a loop, and how many periods earlier.

        Parameters
        ----------
        loop, digit
            The loop and the iteration.

        Returns
        -------
        (int, int)
            The place, and the number of periods.
        """
        digits = self._digits[loop]
        at = bisect_right(digits, digit) - 1
        if digits[at] == digit:
            return at, 0
        period = self._periods[loop][at]
        later, rest = divmod(digit - digits[at] - 1, period)
        return at + 1 - period + rest, later + 1

    def point(self, digits: Digits) -> tuple[int, tuple[int, ...]]:
        """Return the grid point that represents a tile iteration, and how many periods earlier.

        Parameters
        ----------
        digits
            The loop indices.

        Returns
        -------
        (int, tuple of int)
            The point, and the number of periods per loop.
        """
        found = self._found.get(digits)
        if found is None:
            key = 0
            later = []
            for loop in range(self.depth):
                place, periods = self.place(loop, int(digits[loop]))
                key = key * self._count[loop] + place
                later.append(periods)
            found = self._found[digits] = key, tuple(later)
        return found

    def lengths(self, digits: Digits) -> list[int]:
        """Return the period of the range that represents a tile iteration, per loop, or 0.

        Parameters
        ----------
        digits
            The loop indices.

        Returns
        -------
        list of int
            The numbers of iterations.
        """
        places = [self.place(loop, int(digits[loop]))[0] for loop in range(self.depth)]
        return [self._periods[loop][place] for loop, place in enumerate(places)]

    def left(self, loop: int, digit: int) -> int:
        """Return how many more periods the place that represents an iteration also represents.

        Parameters
        ----------
        loop, digit
            The loop and the iteration.

        Returns
        -------
        int
            The number of periods.
        """
        place, later = self.place(loop, digit)
        return self._skipped[loop][place] - later

    def first(self, alive: list[list[bool]]) -> Digits:
        """Return the first of some tile iterations.

        Parameters
        ----------
        alive
            Per number of outer loops, and place of these: whether there are any, see `prefixes`.

        Returns
        -------
        tuple
            Its loop indices.
        """
        return self._least((), 0, alive) if alive[0][0] else END

    def following(self, digits: Digits, alive: list[list[bool]]) -> Digits:
        """Return the next one of some tile iterations.

        Parameters
        ----------
        digits
            A tile iteration.
        alive
            As for `first`.

        Returns
        -------
        tuple
            Its loop indices.
        """
        keys = [0]
        for loop in range(self.depth):
            place = self.place(loop, int(digits[loop]))[0]
            keys.append(keys[-1] * self._count[loop] + place)
        for loop in range(self.depth - 1, -1, -1):
            digit = int(digits[loop]) + 1
            while digit < self.trips[loop]:
                place, _ = self.place(loop, digit)
                key = keys[loop] * self._count[loop] + place
                if alive[loop + 1][key]:
                    return self._least((*digits[:loop], digit), key, alive)
                digit = self._next_candidate(loop, digit, keys[loop], alive)
        return END

    def _next_candidate(self, loop: int, digit: int, outer: int, alive: list[list[bool]]) -> int:
        """Return the next iteration of a loop that may have an event."""
        place, later = self.place(loop, digit)
        period = self._periods[loop][place]
        if not later or not period:
            return digit + 1
        around = range(place - period, place + period + 1)
        mine = [
            p for p in around if 0 <= p < self._count[loop] and self._periods[loop][p] == period
        ]
        if any(alive[loop + 1][outer * self._count[loop] + p] for p in mine):
            return digit + 1
        return digit + max(self.left(loop, digit), 0) * period + 1

    def last_up_to(self, digits: Digits, alive: list[list[bool]]) -> Digits | None:
        """Return the last one of some tile iterations up to a given one.

        Parameters
        ----------
        digits
            The given tile iteration.
        alive
            As for `first`.

        Returns
        -------
        tuple or None
            Its loop indices; None if there is none.
        """
        keys = [0]
        for loop in range(self.depth):
            place = self.place(loop, int(digits[loop]))[0]
            keys.append(keys[-1] * self._count[loop] + place)
        if alive[self.depth][keys[-1]]:
            return digits
        for loop in range(self.depth - 1, -1, -1):
            found = self._last_in(loop, int(digits[loop]) - 1, keys[loop], alive)
            if found is not None:
                digit, key = found
                return self._greatest((*digits[:loop], digit), key, alive)
        return None

    def _last_in(
        self, loop: int, most: int, outer: int, alive: list[list[bool]]
    ) -> tuple[int, int] | None:
        """Return the last iteration of a loop up to a given one that has an event, and its key."""
        found = None
        for place in range(self._count[loop]):
            first = self._digits[loop][place]
            key = outer * self._count[loop] + place
            if first > most or not alive[loop + 1][key]:
                continue
            period, skipped = self._periods[loop][place], self._skipped[loop][place]
            later = min((most - first) // period, skipped) if period else 0
            digit = first + later * period
            if found is None or digit > found[0]:
                found = digit, key
        return found

    def _greatest(self, digits: Digits, key: int, alive: list[list[bool]]) -> Digits:
        for loop in range(len(digits), self.depth):
            found = self._last_in(loop, self.trips[loop] - 1, key, alive)
            assert found is not None
            digits, key = (*digits, found[0]), found[1]
        return digits

    def _least(self, digits: Digits, key: int, alive: list[list[bool]]) -> Digits:
        for loop in range(len(digits), self.depth):
            place = 0
            while not alive[loop + 1][key * self._count[loop] + place]:
                place += 1
            digits = (*digits, self._digits[loop][place])
            key = key * self._count[loop] + place
        return digits

    def prefixes(self, exists: Mask) -> list[list[bool]]:
        """Return per number of outer loops, and place of these, whether there is an event.

        Parameters
        ----------
        exists
            Shape (points,): whether there is an event.

        Returns
        -------
        list of list of bool
            The tables.
        """
        found: list[list[bool]] = []
        size = 1
        for loop in range(self.depth + 1):
            found.append([bool(some.any()) for some in exists.reshape(size, -1)])
            size *= self._count[loop] if loop < self.depth else 1
        return found


class EventWait(NamedTuple):
    """What an event waits for.

    Parameters
    ----------
    families, up_to
        All events of these families up to a tile iteration must have happened. These are ends of
        services, or beginnings.
    lag
        By how many steps the event is later than these.
    """

    families: tuple[int, ...]
    up_to: Digits
    lag: int


@dataclass(frozen=True)
class _Wait:
    """A precedence of a box.

    The families that it waits for, their leaf, up to which tile iteration, how that one moves, and
    the lag; and if only some tile iterations count, a family whose events are in these.
    """

    families: tuple[int, ...]
    leaf: int
    base: tuple[int, ...]
    moves: tuple[tuple[int, ...], ...]
    lag: int
    only: int | None


class EventWaits:
    """What starts of tile iterations and of fills wait for, for single tile iterations.

    Parameters
    ----------
    model
        A model whose tile iterations are sampled.

    Attributes
    ----------
    leaves
        The tile iterations of each leaf.
    families
        The families of the events.
    longest_lag
        The largest lag of a precedence, in steps.
    """

    def __init__(self, model: Model) -> None:
        assert isinstance(model.plan, PeriodicTaskGraph)
        rules = model.plan.repeats.all_members
        self.families = families = rules.families
        self.leaves = [LeafPoints(tiles) for tiles in model.layout.tiles]
        self._begins = {*families.start.values(), *families.ready.values()}
        begins = np.zeros(len(families.leaf), dtype=np.bool_)
        begins[list(self._begins)] = True
        owner = np.searchsorted(families.first, rules.common.target, side="right") - 1
        mine = np.flatnonzero(begins[owner])
        order = mine[np.argsort(rules.common.target[mine], kind="stable")]
        self._rows, self._order = rules.common, order
        self._targets: Ints = rules.common.target[order]
        self._sources = rules.sources
        self._depths: list[int] = rules.grid.depth.tolist()
        self._parts = dict(families.parts)
        self._by_event: dict[int, tuple[_Wait, ...]] = {}
        lags = rules.common.lag[order]
        delays = max(families.delay.values(), default=0)
        self.longest_lag = int(lags.max(initial=0)) + delays
        self._alive: dict[int, list[list[bool]]] = {}

    def alive(self, family: int) -> list[list[bool]]:
        """Return where the events of a family occur.

        Parameters
        ----------
        family
            The family.

        Returns
        -------
        list of list of bool
            See `LeafPoints.prefixes`.
        """
        if family not in self._alive:
            leaf = int(self.families.leaf[family])
            self._alive[family] = self.leaves[leaf].prefixes(self.families.occurs(family))
        return self._alive[family]

    def of(self, family: int, leaf: int, digits: Digits) -> list[EventWait]:
        """Return what an event waits for.

        Parameters
        ----------
        family, leaf, digits
            The family of the event (starts or fills), its leaf and its tile iteration.

        Returns
        -------
        list of EventWait
            What it waits for. Ends of services come first.
        """
        point, later = self.leaves[leaf].point(digits)
        event = int(self.families.first[family]) + point
        waits = self._by_event.get(event)
        if waits is None:
            waits = self._by_event[event] = tuple(self._read(event, leaf, digits))
        found = []
        for wait in waits:
            up_to: Digits | None = _moved(wait, later) if any(later) else wait.base
            if wait.only is not None:
                assert up_to is not None
                up_to = self.leaves[wait.leaf].last_up_to(up_to, self.alive(wait.only))
            if up_to is not None:
                found.append(EventWait(wait.families, up_to, wait.lag))
        return found

    def _read(self, event: int, leaf: int, digits: Digits) -> list[_Wait]:
        low, high = np.searchsorted(self._targets, [event, event + 1])
        lengths = self.leaves[leaf].lengths(digits)
        found: dict[_Wait, None] = {}
        for row in self._order[low:high].tolist():
            wait = self._wait(self._rows, self._sources, row, lengths)
            if wait.families != (self._family(event),) or wait.lag:
                found[wait] = None
        # Ends of services are known at once, and beginnings follow from them.
        return sorted(found, key=lambda wait: any(f in self._begins for f in wait.families))

    def _family(self, event: int) -> int:
        return int(np.searchsorted(self.families.first, event, side="right")) - 1

    def _wait(self, rows: Rows, sources: Sources, row: int, lengths: list[int]) -> _Wait:
        family, source = int(rows.family[row]), int(rows.source[row])
        leaf = int(sources.other[source])
        depth = self._depths[leaf]
        base = tuple(sources.base[source, :depth].tolist())
        slope = int(sources.slope[source])
        moves = []
        for loop in range(depth):
            if slope >= 0:
                moves.append(tuple(sources.slopes[slope, loop, : len(lengths)].tolist()))
            else:
                shared = loop < int(sources.same[source])
                moves.append(tuple(n if shared and k == loop else 0 for k, n in enumerate(lengths)))
        delay = self.families.delay.get(family, 0)
        return _Wait(
            self._parts.get(family, (family,)),
            leaf,
            base,
            tuple(moves),
            int(rows.lag[row]) + delay,
            family if delay else None,
        )


def _moved(wait: _Wait, later: tuple[int, ...]) -> Digits:
    return tuple(
        digit + sum(n * k for n, k in zip(move, later, strict=True))
        for digit, move in zip(wait.base, wait.moves, strict=True)
    )
