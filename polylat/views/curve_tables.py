"""Tables and sentences about the latency as a function of a bandwidth."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from polylat.analysis.bandwidth_curve import Curve
from polylat.numbers import Number, format_factor, format_number
from polylat.tables import Cell, Column, Table

__all__ = [
    "DRAWN_FACTORS",
    "bandwidths_of_components_table",
    "bandwidths_table",
    "breakpoints_table",
    "curve_sentences",
    "marked_breakpoints",
    "pieces_table",
]

_FACTORS = tuple(Fraction(2) ** k for k in range(-3, 4))
"""Multiples of the bandwidth in tables."""

DRAWN_FACTORS = _FACTORS[1:]
"""Multiples of the bandwidth in pictures; curves are too steep at the first one."""

_MOST_BREAKPOINTS = 12
"""Largest number of marked breakpoints; of more, only that at `Curve.beyond` is marked."""


def curve_sentences(curve: Curve, what: str) -> list[str]:
    """Say how the latency depends on a bandwidth.

    Parameters
    ----------
    curve
        The curve.
    what
        The noun for what is varied, such as ``"bandwidth of DRAM"``.

    Returns
    -------
    list of str
        One or two clauses, which begin in lower case and end without a period.
    """
    beyond, below = curve.beyond, curve.below
    if beyond is None:
        found = [f"a higher {what} always reduces the latency"]
    elif beyond == 0:
        found = [f"the {what} has no influence: its accesses take no time"]
    elif beyond > 1:
        least = f"down to {format_number(curve.at(0))} at {format_factor(beyond)}"
        found = [f"a higher {what} reduces the latency, {least}"]
    elif beyond == 1:
        found = [f"a higher {what} does not reduce the latency; a lower one increases it"]
    else:
        enough = f"{format_factor(beyond)} suffices"
        found = [f"a higher {what} does not reduce the latency; {enough}"]
    if curve.alone:
        found.append(f"the latency is inversely proportional to the {what}")
    elif below is not None:
        limit = format_factor(below)
        found.append(f"below {limit}, the latency is inversely proportional to the {what}")
    return found


def marked_breakpoints(curve: Curve) -> list[tuple[Fraction, Number]]:
    """Return the breakpoints of a curve that are marked in its picture.

    Parameters
    ----------
    curve
        The curve.

    Returns
    -------
    list of (bandwidth, latency)
        The bandwidth as a multiple of the current one, the lowest first.
    """
    found = [(1 / Fraction(scale), at) for scale, at in reversed(curve.breakpoints) if scale]
    drawn = [point for point in found if DRAWN_FACTORS[0] <= point[0] <= DRAWN_FACTORS[-1]]
    if len(drawn) > _MOST_BREAKPOINTS:
        return [point for point in drawn if point[0] == curve.beyond]
    return drawn


def bandwidths_table(curve: Curve) -> Table:
    """Return the latency at multiples of a bandwidth; the current one is emphasized.

    Parameters
    ----------
    curve
        The curve.

    Returns
    -------
    Table
        A row per multiple, infinity included, with the speedup over the current latency.
    """
    rows: list[tuple[Cell, ...]] = []
    factors: tuple[Fraction | str, ...] = (*_FACTORS, "inf")
    for factor in factors:
        latency = curve.at_bandwidth(factor)
        speedup = Fraction(curve.latency) / Fraction(latency) if latency else None
        rows.append(("infinite" if factor == "inf" else factor, latency, speedup))
    columns = (
        Column("factor", "Times now", "factor"),
        Column("latency", "Latency", "number"),
        Column("speedup", "Speedup", "factor"),
    )
    return Table(columns, tuple(rows), "Latency by bandwidth", bold=frozenset({_FACTORS.index(1)}))


def pieces_table(curve: Curve, limit: int) -> Table:
    """Return the pieces of a curve, from the lowest bandwidth on, as exact functions.

    Parameters
    ----------
    curve
        The curve.
    limit
        Largest number of pieces; those next to the current bandwidth are listed.

    Returns
    -------
    Table
        A row per piece: the range of the bandwidth, the latencies at its ends, and the latency as
        a function of the bandwidth.
    """
    rows: list[tuple[Cell, ...]] = []
    count = len(curve.slopes)
    now = max(i for i, (scale, _) in enumerate(curve.breakpoints) if scale <= 1)
    first = max(0, min(now - limit // 2, count - limit))
    for i in reversed(range(first, min(count, first + limit))):
        (fast, latency), slope = curve.breakpoints[i], curve.slopes[i]
        slow = curve.breakpoints[i + 1] if i + 1 < count else None
        rest = Fraction(latency) - slope * Fraction(fast)
        terms = [format_number(rest)] if rest or not slope else []
        terms += [f"{format_number(slope)}/x"] if slope else []
        rows.append(
            (
                1 / Fraction(slow[0]) if slow else 0,
                1 / Fraction(fast) if fast else "infinite",
                slow[1] if slow else ("infinite" if slope else latency),
                latency,
                " + ".join(terms),
            )
        )
    rest_count = count - len(rows)
    more = f"{rest_count:,} more piece{'' if rest_count == 1 else 's'}; the JSON lists all."
    return Table(
        (
            Column("from", "From", "factor"),
            Column("to", "to", "factor"),
            Column("latency_from", "Latency from", "number"),
            Column("latency_to", "to", "number"),
            Column("function", "Latency at x times now"),
        ),
        tuple(rows),
        "Exact latency",
        (more,) if rest_count else (),
    )


def bandwidths_of_components_table(curves: Sequence[Curve]) -> Table:
    """Return the latency at multiples of the bandwidth of each component.

    Parameters
    ----------
    curves
        A curve per component.

    Returns
    -------
    Table
        A row per component, a column per multiple, and the multiple from which on the latency is
        constant.
    """
    rows = (
        (
            curve.component,
            *(curve.at_bandwidth(factor) for factor in _FACTORS),
            *(curve.at(0), curve.beyond),
        )
        for curve in curves
    )
    columns = (
        Column("component", "Bandwidth of"),
        *(Column(str(factor), f"{factor}x", "number") for factor in _FACTORS),
        Column("infinite", "infinite", "number"),
        Column("constant_from", "Constant from", "factor", {None: "never"}),
    )
    return Table(columns, tuple(rows), "Latency at multiples of a component's bandwidth")


def breakpoints_table(curves: Sequence[Curve]) -> Table:
    """Return the marked breakpoints of several curves.

    Parameters
    ----------
    curves
        A curve per component.

    Returns
    -------
    Table
        A row per breakpoint.
    """
    columns = (
        Column("component", "Bandwidth of"),
        Column("factor", "Times now", "factor"),
        Column("latency", "Latency", "number"),
    )
    rows = tuple((c.component, *point) for c in curves for point in marked_breakpoints(c))
    return Table(columns, rows, "Breakpoints of the curves")
