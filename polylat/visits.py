"""Which iterations are looked at: as few as tell how all the others go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod



from polylat.dependences.rules import Slots
from polylat.errors import TooLargeError
from polylat.lowering.kept import Cut, Kept

from polylat.lowering.tiles import IrregularError, shared_radices
from polylat.model import Lowered, Model, build
from polylat.schedule.periodic import NotPeriodicError
from polylat.schedule.timing import Order, Timing

__all__ = ["Solved", "solve"]

EXPLICIT = 5_000
"""Up to this many tile iterations all are looked at: that takes no longer."""

MOST_VISITED = 200_000
"""Beyond this many tile iterations to look at, looking at all of them may be quicker."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A model with its timings.

    Parameters
    ----------
    model
        The mapping with its options.
    timings
        Per order, its timing.
    unlimited
        The timing when nothing waits for a port.
    """

    model: Model
    timings: Mapping[Order, Timing]
    unlimited: Timing


def solve(
    lowered: Lowered,
    background: frozenset[tuple[str, str]],
    slots: Slots,
    max_tiles: int,
    *,
    sequential: bool = False,
) -> Solved:
    """Time a mapping under every order.

    Parameters
    ----------
    lowered, background, slots
        The mapping and the options.
    max_tiles
        Largest number of tile iterations to look at.
    sequential
        Take every Pipeline as a Sequential.

    Raises
    ------
    TooLargeError
        More tile iterations must be looked at.
    """
    if lowered.size > EXPLICIT:
        found = _periodic(lowered, background, slots, min(max_tiles, MOST_VISITED), sequential)
        if found is not None:
            return found
    if lowered.size > max_tiles:
        raise TooLargeError(
            f"the mapping has {lowered.size} tile iterations at granularity"
            f" {lowered.granularity!r}, and more than max_tiles={max_tiles} of them must be looked"
            " at",
            where="mapping",
            mend="raise max_tiles"
            + ("" if lowered.granularity == "tile" else ", or use granularity='tile'"),
        )
    return _timed(build(lowered, background, slots, sequential=sequential))


def _timed(model: Model) -> Solved:
    return Solved(model, model.plan.time_all(), model.plan.time(None))


@dataclass
class _Look:
    """How much of a loop is looked at."""

    head: int
    tail: int
    period: int = 1


def _periodic(
    lowered: Lowered,
    background: frozenset[tuple[str, str]],
    slots: Slots,
    most: int,
    sequential: bool,
) -> Solved | None:
    """The timings from few tile iterations, if these tell those of all."""
    trips = _trips(lowered)
    looks = _initial(lowered, slots)
    # Where variables are tied together, what exists in one loop depends on the other.
    tied = {
        loop.node
        for leaf in lowered.leaves
        for loop in leaf.temporal
        if any(loop.variable in c.variables for c in leaf.coupled)
    }
    while True:
        kept = {
            node: Kept(counts[-1]) if node in tied else _kept(counts, looks[node])
            for node, counts in trips.items()
        }
        if not any(some.cuts for some in kept.values()) or _visited(lowered, kept) > most:
            return None
        try:
            return _timed(build(lowered, background, slots, sequential=sequential, kept=kept))
        except IrregularError:
            return None
        except NotPeriodicError as error:
            if not error.places:
                return None
            nodes = {lowered.leaves[leaf].temporal[loop].node for leaf, loop, _ in error.places}
            for node in nodes:
                look = looks[node]
                look.head, look.tail = 2 * look.head, look.tail + 1


def _visited(lowered: Lowered, kept: Mapping[int, Kept]) -> int:
    return sum(
        prod(kept[loop.node].count for loop in leaf.temporal[:depth])
        for leaf, depth in zip(lowered.leaves, lowered.depths, strict=True)
    )


def _initial(lowered: Lowered, slots: Slots) -> dict[int, _Look]:
    """A guess: iterations settle after as many as tiles may be held at a time."""
    below: dict[int, int] = {}
    for leaf in lowered.leaves:
        for loop in leaf.temporal:
            below[loop.node] = below.get(loop.node, 0) + 1
    limits = slots.values() if isinstance(slots, Mapping) else [slots]
    most = max([2, *(n for n in limits if n is not None)])
    return {
        node: _Look(3 + most, 1 + most) if users > 1 else _Look(3, 2)
        for node, users in below.items()
    }


def _trips(lowered: Lowered) -> dict[int, tuple[int, ...]]:
    """Per Temporal loop (tree node), the trip counts that it has, increasing."""
    largest = shared_radices(lowered.leaves)
    found: dict[int, set[int]] = {}
    for leaf in lowered.leaves:
        extents: dict[str, set[int]] = {
            v: {high - low + 1} for v, (low, high) in leaf.ranges.items()
        }
        for loop in leaf.loops:
            mine = extents[loop.variable]
            counts = {-(-extent // loop.tile) for extent in mine}
            if loop.unit is None:
                found.setdefault(loop.node, set()).update(counts)
            rests = {extent % loop.tile for extent in mine} - {0}
            full = {loop.tile} if max(mine) >= loop.tile else set()
            extents[loop.variable] = rests | full
    return {node: tuple(sorted({*counts, largest[node]})) for node, counts in found.items()}


def _kept(trips: Sequence[int], look: _Look) -> Kept:
    """Look at the head of a loop and at the iterations around each of its trip counts."""
    most = trips[-1]
    runs = [(0, look.head + 2 * (look.period - 1))]
    for count in trips:
        low, high = count - look.tail - look.period + 1, min(count + look.head, most)
        if count == most:
            high = most
        gap = low - runs[-1][1]
        copies = gap // look.period
        if copies < 2 or runs[-1][1] - runs[-1][0] < 2 * look.period + 1:
            runs[-1] = (runs[-1][0], max(runs[-1][1], high))
        else:
            runs.append((runs[-1][1] + copies * look.period, high))
    runs[-1] = (runs[-1][0], most)
    cuts = []
    gone = 0
    for (_, end), (start, _) in zip(runs, runs[1:], strict=False):
        cuts.append(Cut(end - gone, look.period, (start - end) // look.period))
        gone += start - end
    return Kept(most, tuple(cuts))


