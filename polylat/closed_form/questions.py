"""Design questions: answers read off closed forms, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import floor, lcm
from typing import TYPE_CHECKING, Any

from polylat.closed_form.closed_form import ClosedForm
from polylat.closed_form.multilinear import Multilinear
from polylat.closed_form.parameters import Parameter
from polylat.errors import DomainError, OptionError
from polylat.numbers import Number, format_number, percent, reduce_number
from polylat.tables import Column, Table, Tabular
from polylat.views.paper_plots import plot_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Breakpoints", "Stretch", "enough", "fewest_slots", "first_faster", "stretches"]

_MOST_SIZES = 100_000
"""Largest size up to which two formulas are compared size by size."""


@dataclass(frozen=True)
class Stretch:
    """Values of a time between which the latency follows one line.

    Parameters
    ----------
    least, largest
        The values of the parameter; `largest` is None where there is no limit.
    rest, slope
        The latency is ``rest + slope * t``, where t is the time of one action.
    latency
        The latency at `least`.
    """

    least: Number
    largest: Number | None
    rest: Number
    slope: Number
    latency: Number

    @property
    def share(self) -> Number:
        """The part of `latency` that its actions take on a critical path, at `least`."""
        if not self.latency:
            return 0
        return reduce_number(1 - Fraction(self.rest) / Fraction(self.latency))


@dataclass(frozen=True)
class Breakpoints(Tabular):
    """The latency as a function of one time: where the bottleneck moves.

    Parameters
    ----------
    parameter
        The parameter.
    others
        The values of the other ones.
    stretches
        The stretches, from the least value on.
    form
        The closed form that they are of.
    """

    parameter: Parameter
    others: Mapping[str, Any]
    stretches: tuple[Stretch, ...]
    form: ClosedForm = field(repr=False, compare=False)

    @property
    def values(self) -> tuple[Number, ...]:
        """The values at which the latency bends."""
        return tuple(b.least for a, b in pairwise(self.stretches) if a.largest == b.least)

    def headline(self) -> tuple[str, ...]:
        """Return what the table is about.

        Returns
        -------
        tuple of str
            One or two sentences.
        """
        at = ", ".join(f"{name} = {value}" for name, value in self.others.items())
        return (f"Latency against {self.parameter.name}" + (f" at {at}" if at else ""),)

    def tables(self) -> tuple[Table, ...]:
        """Return a row per stretch.

        Returns
        -------
        tuple of Table
            One table.
        """
        name = self.parameter.name
        rows = tuple(
            (
                s.least,
                s.largest,
                s.latency,
                _line(s, self.parameter),
                percent(Fraction(s.share), 1),
            )
            for s in self.stretches
        )
        columns = (
            Column("least", f"{name} from", "number"),
            Column("largest", "to", "number"),
            Column("latency", "latency there", "number"),
            Column("line", "latency"),
            Column("share", f"share of {self.parameter.component}"),
        )
        return (Table(columns, rows, "Stretches"),)

    def plot(self, *, width: float = 5.0) -> Figure:
        """Plot the latency against the parameter, with a marker at each bend.

        Parameters
        ----------
        width
            Width in inches.

        Returns
        -------
        matplotlib.figure.Figure
            The figure, which belongs to no window.

        Raises
        ------
        MissingExtraError
            Matplotlib is not installed.
        """
        last = self.stretches[-1]
        far = 2 * Fraction(last.least) if last.largest is None else Fraction(last.largest)
        bends = [Fraction(value) for value in self.values]
        if bends:
            far = min(far, 3 * max(bends))
        points: list[tuple[Fraction, Fraction]] = []
        for s in self.stretches:
            low = Fraction(s.least)
            high = min(far, Fraction(s.largest)) if s.largest is not None else far
            if low > high:
                continue
            for k in range(33):
                value = low + (high - low) * k / 32
                time = self.parameter.coordinate(value)
                points.append((value, Fraction(s.rest) + Fraction(s.slope) * time))
        return plot_lines(
            {"": points},
            x=self.parameter.name,
            y="latency",
            marked={Fraction(v) for v in self.values},
            width=width,
        )


def _line(stretch: Stretch, parameter: Parameter) -> str:
    """The latency on a stretch as text."""
    rest, slope = format_number(stretch.rest), format_number(stretch.slope)
    if not stretch.slope:
        return rest
    term = (
        f"{slope}/{parameter.name}"
        if parameter.kind == "throughput"
        else f"{slope}·{parameter.name}"
    )
    return f"{rest} + {term}" if stretch.rest else term


def stretches(form: ClosedForm, name: str, others: Mapping[str, Any]) -> Breakpoints:
    """Return the latency as a function of one time.

    Parameters
    ----------
    form
        The closed form.
    name
        The parameter: a throughput, duration or latency.
    others
        The values of the other parameters, by their symbols.

    Returns
    -------
    Breakpoints
        The stretches, as far as the domain goes.

    Raises
    ------
    OptionError
        The parameter is no time, or a value is missing.
    DomainError
        Nothing is known at the other values.
    """
    parameter = next((p for p in form.parameters if name in (p.name, p.symbol)), None)
    pieces = form.intervals(name, **others)
    if parameter is None or not pieces:
        raise _unknown_at(others)
    joined: list[tuple[Fraction, Fraction, Multilinear]] = []
    for a, b, line in pieces:
        if joined and (joined[-1][2] == line or a == b) and a <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]), joined[-1][2])
        else:
            joined.append((a, b, line))
    found = []
    for a, b, line in joined:
        rest, slope = line.coefficients
        least, largest = parameter.interval(a, b)
        at = parameter.coordinate(least) if least else Fraction(0)
        found.append(
            Stretch(
                reduce_number(least),
                None if largest is None else reduce_number(largest),
                reduce_number(rest),
                reduce_number(slope),
                reduce_number(line.at((at,))),
            )
        )
    found.sort(key=lambda s: Fraction(s.least))
    return Breakpoints(parameter, dict(others), tuple(found), form)


def _unknown_at(values: Mapping[str, Any]) -> DomainError:
    """The error where a formula is not known for any value of a parameter."""
    return DomainError(
        f"nothing is known at {', '.join(f'{k} = {v}' for k, v in values.items())}",
        where="formula",
        fix="choose values in the domain",
    )


def enough(form: ClosedForm, name: str, others: Mapping[str, Any]) -> Number | None:
    """Return the value of a time from which on an improvement does not lower the latency.

    Parameters
    ----------
    form, name, others
        As for `stretches`.

    Returns
    -------
    Number or None
        The least throughput, or the largest duration or fixed latency, with the least latency that
        the domain has; None where every improvement in the domain lowers the latency.
    """
    found = stretches(form, name, others)
    throughput = found.parameter.kind == "throughput"
    ordered = list(found.stretches)[:: -1 if throughput else 1]
    if ordered[0].slope:
        return None
    last = ordered[0]
    for s in ordered[1:]:
        touching = s.largest == last.least if throughput else last.largest == s.least
        if not touching or s.slope or s.rest != last.rest:
            break
        last = s
    return last.least if throughput else last.largest


def fewest_slots(form: ClosedForm, others: Mapping[str, Any]) -> int:
    """Return the number of slots beyond which more do not lower the latency.

    Parameters
    ----------
    form
        The closed form, with slots as a parameter.
    others
        The values of the other parameters, by their symbols.

    Returns
    -------
    int
        The fewest slots with the least latency of all numbers of slots in the domain.

    Raises
    ------
    OptionError
        The slots are no parameter.
    DomainError
        Nothing is known at the other values.
    """
    parameter = next((p for p in form.parameters if p.kind == "slots"), None)
    if parameter is None:
        raise OptionError(
            "the formula has no slots", where="formula", fix="derive it with 'slots' as a parameter"
        )
    found: dict[int, Number] = {}
    for (count,) in sorted({cell.slots for cell in form.cells}):
        try:
            found[count] = form(**{**others, parameter.symbol: count})
        except DomainError:
            continue
    if not found:
        raise _unknown_at(others)
    least = min(found.values())
    return min(count for count, latency in found.items() if latency == least)


def first_faster(
    one: ClosedForm, other: ClosedForm, name: str, others: Mapping[str, Any]
) -> int | None:
    """Return the least size at which one formula is less than another one.

    Parameters
    ----------
    one, other
        The closed forms, of the same parameters.
    name
        The size.
    others
        The values of the other parameters, by their symbols.

    Returns
    -------
    int or None
        The least size in both domains; None where there is none.

    Raises
    ------
    OptionError
        It is no size of both formulas.
    """
    symbol = next(
        (p.symbol for p in one.parameters if p.kind == "size" and name in (p.name, p.symbol)), None
    )
    if symbol is None or symbol not in [p.symbol for p in other.parameters]:
        raise OptionError(
            f"{name!r} is no size of both formulas",
            where="formula",
            fix="derive both with it as a parameter",
        )

    def gap(size: int) -> Fraction | None:
        values = {**others, symbol: size}
        try:
            return Fraction(one(**values)) - Fraction(other(**values))
        except DomainError:
            return None

    last, step = _tail(one, other, symbol)
    for size in range(1, last):
        here = gap(size)
        if here is not None and here < 0:
            return size
    found = []
    for size in range(last, last + step):
        here, next_one = gap(size), gap(size + step)
        if here is None or next_one is None:
            continue
        # Beyond the last range that begins, the difference is affine within a class of sizes.
        if here < 0:
            found.append(size)
        elif next_one < here:
            found.append(size + (floor(here / (here - next_one)) + 1) * step)
    return min((size for size in found if gap(size) is not None), default=None)


def _tail(one: ClosedForm, other: ClosedForm, symbol: str) -> tuple[int, int]:
    """The size from which on no range begins or ends, and a common multiple of their steps."""
    places, step = [1], 1
    for form in (one, other):
        at = [p.symbol for p in form.parameters if p.kind == "size"].index(symbol)
        for cell in form.cells:
            low, high = cell.piece.low[at], cell.piece.high[at]
            places += [low, 0 if high is None else high + 1]
            if high is None or high > low:
                step = lcm(step, cell.piece.step[at])
    return min(max(places), _MOST_SIZES), step
