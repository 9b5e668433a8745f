"""Prove with ISL that the schedule behind a formula is the earliest one, for all sizes at once.

With the number j of steps above the smallest size as a variable, each precedence of a schedule is
an affine inequality in j and in the members m of a box whose extents are affine in j. ISL decides
whether any integer point violates it. The formula itself is proven from two sizes (`growth`); here
no size is special, and none is too large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from polylat.engine.trip_ranges import Sizes
from polylat.numbers import format_number, json_number, reduce_number
from polylat.proof.certificate import CertificateError
from polylat.schedule.arrays import Mask, Times
from polylat.schedule.boxes import Parts
from polylat.schedule.decisions import Decision, ExtendedTimes, ServiceChoices
from polylat.schedule.growth import CornerSchedule
from polylat.tables import Column, Table, Tabular

if TYPE_CHECKING:
    import islpy

__all__ = ["FormulaCertificate", "ProvenRange", "decide_for_all_sizes"]


_FIX = "report this as an error of polylat"


@dataclass(frozen=True)
class ProvenRange:
    """A schedule that is the earliest one for all sizes of a class, from some on.

    Parameters
    ----------
    order
        The order of service; ``"dependence bound"`` where no block waits for a port.
    times
        The times of the parameters, see `Parameter.coordinate`.
    low, step
        The sizes: from `low` on, in steps.
    inequalities
        Number of inequalities that ISL decided.
    """

    order: str
    times: tuple[Fraction, ...]
    low: Sizes
    step: Sizes
    inequalities: int


@dataclass(frozen=True)
class FormulaCertificate(Tabular):
    """The schedules that ISL has proven for all sizes.

    Parameters
    ----------
    ranges
        The schedules.
    """

    ranges: tuple[ProvenRange, ...]

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the proven schedules as plain data for JSON.

        Returns
        -------
        list of dict
            As ``docs/json.md`` describes them.
        """
        return [
            {
                "order": one.order,
                "times": [json_number(reduce_number(time)) for time in one.times],
                "low": list(one.low),
                "step": list(one.step),
                "inequalities": one.inequalities,
            }
            for one in self.ranges
        ]

    def headline(self) -> tuple[str, ...]:
        """Return how much was proven.

        Returns
        -------
        tuple of str
            One sentence.
        """
        count = sum(one.inequalities for one in self.ranges)
        found = f"{len(self.ranges)} schedules proven for all sizes"
        return (f"{found}: ISL decided {count:,} inequalities.",)

    def tables(self) -> tuple[Table, ...]:
        """Return a row per schedule.

        Returns
        -------
        tuple of Table
            One table.
        """
        rows = tuple(
            (
                one.order,
                ", ".join(format_number(reduce_number(time)) for time in one.times) or None,
                ", ".join(map(str, one.low)),
                ", ".join(map(str, one.step)),
                one.inequalities,
            )
            for one in self.ranges
        )
        columns = (
            Column("order", "Order"),
            Column("times", "time per action"),
            Column("low", "sizes from"),
            Column("step", "in steps of"),
            Column("inequalities", "inequalities", "number"),
        )
        return (Table(columns, rows, "Schedules").without_empty("times"),)


def decide_for_all_sizes(low: CornerSchedule, high: CornerSchedule, steps: int) -> int:
    """Prove that interpolated times are the earliest schedule for all sizes from the smaller on.

    Parameters
    ----------
    low, high
        The schedules at two sizes.
    steps
        By how many steps the second size is larger.

    Returns
    -------
    int
        Number of different inequalities that ISL decided.

    Raises
    ------
    CertificateError
        A precedence is violated at some size, or no precedence determines an event.
    """
    proof = _Proof(low, high, steps)
    attained = low.members.attained(low.times, ()) & high.members.attained(high.times, ())
    for one, other in zip(low.decisions, high.decisions, strict=True):
        attained = attained | proof.determined(_served(low, one), _served(high, other))
    if (low.members.needed & ~attained).any():
        raise CertificateError(
            "no precedence determines an event of the formula's schedule at all sizes", fix=_FIX
        )
    for one, other in zip(low.conditions, high.conditions, strict=True):
        proof.require(_served(low, one), _served(high, other))
    if low.choices is not None and high.choices is not None:
        proof.require_oldest(low.choices, high.choices)
    return len(proof.decided)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of a schedule at one size: their decision, the times they compare, and their weights."""

    decision: Decision
    times: ExtendedTimes
    weights: Times


def _served(corner: CornerSchedule, decision: Decision) -> _Rows:
    """Rows by which a target is later than its source by its duration."""
    rows, times = decision.rows, corner.times
    lag = rows.lag.astype(object) * times.unit
    return _Rows(decision, times, times.steps[rows.target].astype(object) + lag)


def _followers(corner: CornerSchedule, decision: Decision, weights: Times) -> _Rows:
    """Rows on which the source is the later one: both times are negated, as in `choices`."""
    steps, times = corner.times.steps, corner.times
    return _Rows(decision, ExtendedTimes(steps - times.values, -times.rates, steps), weights)


class _Proof:
    """Inequalities that ISL has decided, for schedules at two sizes."""

    def __init__(self, low: CornerSchedule, high: CornerSchedule, steps: int) -> None:
        self.low, self.high, self.steps = low, high, steps
        self.width = int(low.times.rates.shape[1])
        self.decided: set[tuple[int, ...]] = set()

    def require(self, low: _Rows, high: _Rows, chosen: Mask | None = None) -> Mask:
        """Prove rows for all sizes; return which of them hold with equality throughout."""
        tight = np.ones(len(low.decision.rows.target), dtype=np.bool_)
        for row, key in self._inequalities(low, high, chosen):
            if key not in self.decided:
                if not _never_negative(key, self.width):
                    raise CertificateError(
                        "a precedence of the formula's schedule is violated at some size", fix=_FIX
                    )
                self.decided.add(key)
            tight[row] &= not any(key[: 2 + self.width])
        return tight

    def determined(self, low: _Rows, high: _Rows) -> Mask:
        """Prove rows for all sizes; return the events that one of them determines."""
        tight = self.require(low, high)
        rows, parts, families = low.decision.rows, low.decision.parts, self.low.members.families
        found = np.zeros(families.count, dtype=np.bool_)
        for row in np.flatnonzero(tight & rows.sound).tolist():
            source = int(rows.source[row])
            keys = parts.key[parts.first[source] : parts.first[source + 1]]
            exist = families.exists[int(families.first[rows.family[row]]) + keys].all()
            if len(keys) and (exist or not rows.own[row]):
                found[rows.target[row]] = True
        return found

    def require_oldest(self, low: ServiceChoices, high: ServiceChoices) -> None:
        """Prove that ports serve the oldest ready task, by the same conditions at all sizes."""
        corners = (self.low, low), (self.high, high)
        busy = self.determined(_served(self.low, low.served), _served(self.high, high.served))
        self.require(_served(self.low, low.ready_order), _served(self.high, high.ready_order))
        later, closed, level = [], [], []
        for corner, choices in corners:
            durations = corner.times.steps[choices.later.rows.target].astype(object)
            later.append(_followers(corner, choices.later, durations))
            closed.append(_followers(corner, choices.closed, durations * 0 + 1))
            level.append(_followers(corner, choices.level, durations * 0))
        self.require(later[0], later[1])
        shut = low.closed.holds & high.closed.holds
        self.require(closed[0], closed[1], shut)
        even = ~shut & low.level.holds & high.level.holds
        self.require(level[0], level[1], even)
        rest = ~shut & ~(low.older & (even | busy[low.later.rows.target]))
        if rest.any():
            raise CertificateError("a port may not serve the oldest ready task", fix=_FIX)

    def _inequalities(
        self, low: _Rows, high: _Rows, chosen: Mask | None
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """(row, coefficients) of the slack on each part of each row's box.

        The coefficients are those of 1, j and m, then, per loop, of 1 and j in the extent of m. In
        a loop without an extent, the coefficient of m is 0.
        """
        rows, parts = low.decision.rows, low.decision.parts
        first = self.low.members.families.first
        for row in range(len(rows.target)) if chosen is None else np.flatnonzero(chosen).tolist():
            source = int(rows.source[row])
            begin, end = parts.first[source : source + 2].tolist()
            if begin == end:
                raise CertificateError("an event that is waited for has no sample", fix=_FIX)
            for part in range(begin, end):
                if not _is_fixed(parts, high.decision.parts, part):
                    raise CertificateError("members that take turns grow in number", fix=_FIX)
                event = int(first[rows.family[row]] + parts.key[part])
                ends = [self._slack(some, row, part, event) for some in (low, high)]
                yield row, self._coefficients(*ends)

    def _slack(
        self, some: _Rows, row: int, part: int, event: int
    ) -> tuple[int, list[int], list[int]]:
        """The slack of the first member, its increase per further one, and how many there are."""
        times, parts = some.times, some.decision.parts
        target = int(some.decision.rows.target[row])
        slack = int(times.values[target]) - int(times.values[event]) - int(some.weights[row])
        rises, reach = [0] * self.width, [0] * self.width
        detail = int(parts.detail[part])
        if detail < 0:
            return slack, rises, reach
        for k in range(self.width):
            slack += int(parts.low[detail, k]) * int(times.rates[target, k])
            slack -= int(parts.periods[detail, k]) * int(times.rates[event, k])
            reach[k] = int(parts.extent[detail, k])
            rises[k] = int(parts.stride[detail, k]) * int(times.rates[target, k]) - sum(
                int(parts.slope[detail, p, k]) * int(times.rates[event, p])
                for p in range(self.width)
            )
        return slack, rises, reach

    def _coefficients(
        self, low: tuple[int, list[int], list[int]], high: tuple[int, list[int], list[int]]
    ) -> tuple[int, ...]:
        """The slack as an affine function of j and m, and the extents as ones of j."""
        (start, rises, reach), (end, other_rises, other_reach) = low, high
        moving = [a != 0 or b != 0 for a, b in zip(reach, other_reach, strict=True)]
        if any(m and a != b for m, a, b in zip(moving, rises, other_rises, strict=True)):
            raise CertificateError(
                "a rate changes with the size: the slack is not affine", fix=_FIX
            )
        slack = [
            Fraction(start),
            Fraction(end - start, self.steps),
            *(Fraction(rise if m else 0) for m, rise in zip(moving, rises, strict=True)),
        ]
        scale = lcm(*(number.denominator for number in slack))
        extents = [
            number
            for a, b in zip(reach, other_reach, strict=True)
            for number in (Fraction(a), Fraction(b - a, self.steps))
        ]
        return (*(int(number * scale) for number in slack), *map(_whole, extents))


def _whole(number: Fraction) -> int:
    if number.denominator != 1:
        raise CertificateError("a number of skipped periods is not affine in the size", fix=_FIX)
    return int(number)


def _is_fixed(parts: Parts, others: Parts, part: int) -> bool:
    """Whether a part is the same at both sizes, if its members take turns with those of others."""
    detail, other = int(parts.detail[part]), int(others.detail[part])
    if detail < 0 or not (parts.spread[detail] or others.spread[other]):
        return True
    return all(
        np.array_equal(a[detail], b[other])
        for a, b in (
            (parts.low, others.low),
            (parts.extent, others.extent),
            (parts.stride, others.stride),
            (parts.periods, others.periods),
            (parts.slope, others.slope),
        )
    )


def _never_negative(key: tuple[int, ...], width: int) -> bool:
    """Whether a slack is nowhere negative: ISL finds no integer point at which it is."""
    import islpy

    rest, per_step, *others = key
    rises, reaches = others[:width], others[width:]
    names = [f"m{k}" for k in range(width)]
    space = islpy.Space.create_from_names(islpy.DEFAULT_CONTEXT, set=["j", *names])
    bad = islpy.BasicSet.universe(space)

    def add(bad: islpy.BasicSet, terms: dict[object, int]) -> islpy.BasicSet:
        return bad.add_constraint(islpy.Constraint.ineq_from_names(space, terms))

    bad = add(bad, {"j": 1})
    for k, name in enumerate(names):
        bad = add(bad, {name: 1})
        bad = add(bad, {1: reaches[2 * k], "j": reaches[2 * k + 1], name: -1})
    slack = {1: -rest - 1, "j": -per_step}
    slack |= {name: -rise for name, rise in zip(names, rises, strict=True)}
    return bool(add(bad, slack).is_empty())
