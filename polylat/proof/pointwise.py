"""Decide a rule tile iteration by tile iteration, where start times are too irregular for pieces.

The rule's function is evaluated at every tile iteration of the waiting event, and the times are
compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import islpy as isl
import numpy as np

from polylat.lowering.points import integer_points
from polylat.proof.decide import Counterexample
from polylat.proof.piecewise import PiecewiseFunction
from polylat.proof.tabulated_times import TabulatedTimes
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces

__all__ = ["PointDecider", "find_overlap_pointwise", "related_rows"]


@dataclass
class PointDecider:
    """Decide rules by comparing the times of every tile iteration.

    Parameters
    ----------
    decided_by_bounds
        Number of tile iterations that were compared.
    decided_by_isl
        Always 0: ISL provides the functions only.
    checks, checks_by_isl
        Number of relations that were checked; always 0, as ISL decides none.
    """

    decided_by_bounds: int = 0
    decided_by_isl: int = 0
    checks: int = 0
    checks_by_isl: int = 0

    def first_violation(
        self, function: PiecewiseFunction, waiting: TabulatedTimes, awaited: TabulatedTimes
    ) -> Counterexample | None:
        """Find the first tile iteration that starts before the event it waits for has ended.

        Parameters
        ----------
        function
            Tile iterations of `waiting` → those of `awaited`.
        waiting, awaited
            The starts of the waiting event, and the ends of the awaited one.

        Returns
        -------
        Counterexample or None
            None if every tile iteration waits.
        """
        digits, start = waiting.table
        self.decided_by_bounds += len(start)
        self.checks += 1
        values, there = function.points.at(digits)
        at, found = awaited.find(values)
        late = there & found
        late[late] = np.asarray(awaited.table[1][at[late]] > start[late], dtype=np.bool_)
        return _first(late, digits, awaited.table[0][at] if len(awaited.keys) else digits)

    def first_violation_up_to(
        self, function: PiecewiseFunction, waiting: TabulatedTimes, awaited: TabulatedTimes
    ) -> Counterexample | None:
        """Find a violation where all tile iterations up to the function's value are awaited.

        Parameters
        ----------
        function
            Tile iterations of `waiting` → the last awaited tile iteration, in lexicographic order.
        waiting, awaited
            The starts of the waiting event, and the ends of the awaited one.

        Returns
        -------
        Counterexample or None
            None if every tile iteration waits.
        """
        digits, start = waiting.table
        self.decided_by_bounds += len(start)
        self.checks += 1
        values, there = function.points.at(digits)
        times = awaited.table[1]
        if not len(times):
            return None
        latest = np.maximum.accumulate(times)
        at = awaited.last_at_or_before(values)
        late = there & (at >= 0)
        late[late] = np.asarray(latest[at[late]] > start[late], dtype=np.bool_)
        if not late.any():
            return None
        first = int(np.flatnonzero(late)[0])
        worst = int(np.flatnonzero(times[: at[first] + 1] > start[first])[0])
        return Counterexample(_index_at(digits, first), _index_at(awaited.table[0], worst))

    def first_violation_among(
        self, relation: isl.Map, waiting: TabulatedTimes, awaited: TabulatedTimes
    ) -> Counterexample | None:
        """Find a violation where all related tile iterations are awaited.

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
        self.checks += 1
        at, which = related_rows(relation, waiting, awaited)
        self.decided_by_bounds += len(at)
        late = np.asarray(awaited.table[1][which] > waiting.table[1][at], dtype=np.bool_)
        return _first(late, waiting.table[0][at], awaited.table[0][which])

    def first_inversion(self, times: TabulatedTimes) -> Counterexample | None:
        """Find two tile iterations that start in the wrong order.

        Parameters
        ----------
        times
            The starts of one event.

        Returns
        -------
        Counterexample or None
            The earlier tile iteration as `awaited` and the later one, which starts before it, as
            `waiting`; None if starts never decrease in lexicographic order.
        """
        digits, start = times.table
        self.decided_by_bounds += len(start)
        self.checks += 1
        wrong = np.asarray(start[1:] < start[:-1], dtype=np.bool_)
        return _first(np.concatenate(([False], wrong))[: len(start)], digits, np.roll(digits, 1, 0))


def related_rows(
    relation: isl.Map, waiting: TabulatedTimes, awaited: TabulatedTimes
) -> tuple[Ints, Ints]:
    """List the pairs of a relation between the tile iterations of two events.

    Parameters
    ----------
    relation
        Tile iterations of `waiting` → those of `awaited`.
    waiting, awaited
        The two events.

    Returns
    -------
    (rows, rows)
        Shape (pairs,) each: rows of the tables of both events.
    """
    points = integer_points(relation.wrap().flatten())
    size = relation.dim(isl.dim_type.in_)
    at, here = waiting.find(points[:, :size])
    which, there = awaited.find(points[:, size:])
    both = here & there
    return at[both], which[both]


def _index_at(digits: Ints, which: int) -> tuple[int, ...]:
    """Return the index of one row of a table."""
    return tuple(int(x) for x in digits[which])


def _first(wrong: np.ndarray, waiting: Ints, awaited: Ints) -> Counterexample | None:
    """Return the first row of a mask as a counterexample."""
    if not wrong.any():
        return None
    at = int(np.flatnonzero(wrong)[0])
    return Counterexample(_index_at(waiting, at), _index_at(awaited, at))


def find_overlap_pointwise(
    served: list[Pieces],
) -> tuple[tuple[int, tuple[int, ...]], tuple[int, tuple[int, ...]]] | int:
    """Find two services of a port that overlap, by sorting all services by start.

    Parameters
    ----------
    served
        The services of each block that the port serves.

    Returns
    -------
    ((block, tile iteration), (block, tile iteration)) or int
        Two services that overlap, with blocks as indices into `served`; where there are none, the
        number of services.
    """
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
