"""Figures as functions of the sizes and of one time.

A static order fixes the task graph, and with it the paths whose longest one is the latency: for
given sizes, the latency is a convex, piecewise linear function of a time. A convex function that
is on the straight line between two times at a third one between them is linear between the two. So
three tables over the sizes (`size_tables`) prove a cell: an interval of times and a range of sizes
in which the figure is multilinear. The ends of cells are where the lines of two cells meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, product

from polylat.closed_form.family import CONVEX, LOWER_BOUNDS, STATIC, Figure
from polylat.closed_form.multilinear import Multilinear
from polylat.closed_form.size_pieces import (
    Proof,
    SizePiece,
    SizeTable,
    common_high,
    in_classes,
    table_of,
)
from polylat.engine.trip_ranges import Sizes

__all__ = ["FigureCell", "Interval", "cells_at", "convex_cells", "latency_cells"]

Interval = tuple[Fraction, Fraction]
"""Least and largest time."""

Tables = Callable[[Fraction], Mapping[Figure, SizeTable]]
"""Time → the tables of the static figures."""

_HALVINGS = (1, 2, 4, 6, 9, 12)
"""How often an interval is halved to find a cell at its end."""

_ROUNDS = 40
"""How often lines are extended, or found, in all."""

_MOST_SINGLE = 400
"""Number of tiles from which on ranges begin at the latest: near to a time at which two rates are
the same, they begin later and later."""


@dataclass(frozen=True)
class FigureCell:
    """A figure in a range of sizes and an interval of times.

    Parameters
    ----------
    piece
        The range of sizes, and the figure, as a function of the sizes and the time.
    times
        The interval of each time: one, or none.
    slots
        The slots, if they are a parameter.
    """

    piece: SizePiece
    times: tuple[Interval, ...] = ()
    slots: tuple[int, ...] = ()

    @property
    def value(self) -> Multilinear:
        """The figure as a function of the sizes and the times."""
        return self.piece.value

    def covers(self, sizes: Sizes, times: tuple[Fraction, ...], slots: tuple[int, ...]) -> bool:
        """Return whether the cell contains a point.

        Parameters
        ----------
        sizes, times, slots
            The point.

        Returns
        -------
        bool
            Whether it is in the cell.
        """
        return (
            slots == self.slots
            and all(a <= t <= b for t, (a, b) in zip(times, self.times, strict=True))
            and self.piece.covers(sizes)
        )

    def is_part_of(self, other: FigureCell) -> bool:
        """Return whether another cell contains this one, with the same figure.

        Parameters
        ----------
        other
            The other cell.

        Returns
        -------
        bool
            Whether it adds nothing to the other one.
        """
        a, b = self.piece, other.piece
        return (
            a.value == b.value
            and self.slots == other.slots
            and all(
                s <= u and v <= t for (u, v), (s, t) in zip(self.times, other.times, strict=True)
            )
            and a.is_in_steps_of(b)
            and all(x >= y for x, y in zip(a.low, b.low, strict=True))
            and all(
                y is None or (x is not None and x <= y) for x, y in zip(a.high, b.high, strict=True)
            )
        )


def cells_at(table: SizeTable, times: tuple[Fraction, ...]) -> list[FigureCell]:
    """Return the cells of a figure at single times.

    Parameters
    ----------
    table
        The figure as a function of the sizes.
    times
        The times: one, or none.

    Returns
    -------
    list of FigureCell
        One cell per range of sizes, and per single size.
    """

    def lifted(piece: SizePiece) -> FigureCell:
        value = piece.value
        for _ in times:
            value = Multilinear(value.coefficients + (Fraction(0),) * len(value.coefficients))
        return FigureCell(replace(piece, value=value), tuple((time, time) for time in times))

    return [lifted(piece) for piece in _all_pieces(table)]


def _all_pieces(table: SizeTable) -> list[SizePiece]:
    """The ranges of a table, and its single sizes as ranges of one."""
    single = [
        SizePiece(sizes, sizes, (1,) * len(sizes), Multilinear.constant(v, len(sizes)), "each size")
        for sizes, v in table.points.items()
    ]
    return [*table.pieces, *single]


def convex_cells(figure: Figure, tables: Tables, interval: Interval) -> list[FigureCell]:
    """Return the cells of a figure that is convex in the time.

    Parameters
    ----------
    figure
        The figure: one of `CONVEX`, or a number of actions.
    tables
        Computes tables at a time.
    interval
        The times.

    Returns
    -------
    list of FigureCell
        Cells, as far as they are found: the intervals between them are not covered.
    """
    assert isinstance(figure, tuple) or figure in CONVEX
    search = _LineSearch(figure, tables)
    return list(search.cells(*interval))


@dataclass(frozen=True)
class _LineSearch:
    """The search for the cells of a convex figure."""

    figure: Figure
    tables: Tables

    def table(self, time: Fraction) -> SizeTable:
        """The figure as a function of the sizes."""
        return self.tables(time).get(self.figure, SizeTable(()))

    def cells(self, left: Fraction, right: Fraction) -> Iterator[FigureCell]:
        """Find the cells between two times."""
        whole = self.line(left, right)
        if whole:
            yield from whole
            return
        # Intervals with known lines, from left to right, and those between that are given up.
        known = [self._from(left, right), self._from(right, left)]
        if None in known:
            return
        lines = [line for line in known if line is not None]
        lost: set[Interval] = set()
        for _ in range(_ROUNDS):
            gap = next(
                (
                    i
                    for i, (one, other) in enumerate(pairwise(lines))
                    if one.end < other.begin and (one.end, other.begin) not in lost
                ),
                None,
            )
            if gap is None:
                break
            one, other = lines[gap : gap + 2]
            between = self._closer(one, other)
            if between is None:
                lost.add((one.end, other.begin))
            else:
                lines[gap : gap + 2] = between
        for line in lines:
            yield from line.cells

    def _closer(self, one: _Line, other: _Line) -> list[_Line] | None:
        """Extend two lines towards each other, or find one between; None if neither is possible."""
        if one.same_as(other):
            return self._replaced([one, other], one.begin, other.end)
        meetings = sorted({min(max(t, one.end), other.begin) for t in _meetings(one, other)})
        if not meetings:
            return None
        first, last = meetings[0], meetings[-1]
        longer = self._replaced([one], one.begin, first) if first > one.end else None
        earlier = self._replaced([other], last, other.end) if last < other.begin else None
        if longer or earlier:
            return [*(longer or [one]), *(earlier or [other])]
        for time, to in ((first, one.end), (last, other.begin)):
            between = self._from(time, to) if time != to else None
            if between is not None:
                return [one, between, other]
        return None

    def _replaced(
        self, lines: Sequence[_Line], begin: Fraction, end: Fraction
    ) -> list[_Line] | None:
        """One line instead of those that it extends; None if it is none.

        Next to a time at which rates change, a line may begin at larger sizes only. So the cells of
        the shorter lines are kept if they are not part of the new ones.
        """
        found = self.line(begin, end)
        if not found:
            return None
        kept = [c for line in lines for c in line.cells if not any(c.is_part_of(f) for f in found)]
        return [_Line(begin, end, [*found, *kept])]

    def line(self, left: Fraction, right: Fraction) -> list[FigureCell]:
        """The cells of an interval on which the figure is linear, for some ranges of sizes.

        Empty unless it is linear for all large sizes.
        """
        a, b, c = (self.table(t) for t in (left, (left + right) / 2, right))
        pieces: list[SizePiece] = []
        for group in in_classes(a.pieces, b.pieces, c.pieces):
            if not all(group):
                return []
            last = [max(some, key=lambda piece: piece.low) for some in group]
            whole = _through(last[0], last[1], last[2], left, right)
            if whole is None or any(
                low > _MOST_SINGLE * s for low, s in zip(whole.low, whole.step, strict=True)
            ):
                return []
            for one, middle, other in product(*group):
                found = _through(one, middle, other, left, right)
                if found is not None:
                    pieces.append(found)
        if not pieces:
            return []
        points = _linear_points((a, b, c), pieces, (left, right))
        table = table_of(pieces, {})
        joined = pieces if table.points else list(table.pieces)
        grown = [_grown(piece, points, (left, right)) for piece in joined]
        single = [
            SizePiece(sizes, sizes, (1,) * len(sizes), value, "each size")
            for sizes, value in sorted(points.items())
            if not any(piece.covers(sizes) for piece in grown)
        ]
        return [FigureCell(piece, ((left, right),)) for piece in (*grown, *single)]

    def _from(self, start: Fraction, to: Fraction) -> _Line | None:
        """Find a line at one end of an interval."""
        for halving in _HALVINGS:
            end = start + (to - start) / 2**halving
            low, high = min(start, end), max(start, end)
            found = self.line(low, high)
            if found:
                return _Line(low, high, found)
        return None


@dataclass(frozen=True)
class _Line:
    """An interval of times on which a figure is linear."""

    begin: Fraction
    end: Fraction
    cells: Sequence[FigureCell]

    @property
    def largest(self) -> list[SizePiece]:
        """Per class of sizes, the range of the largest ones."""
        groups = in_classes([cell.piece for cell in self.cells if cell.piece.proof == "all sizes"])
        found = [max(group, key=lambda piece: piece.low) for (group,) in groups if group]
        return found or [max((c.piece for c in self.cells), key=lambda piece: piece.low)]

    def same_as(self, other: _Line) -> bool:
        """Whether the lines are the same for all large sizes."""
        groups = list(in_classes(self.largest, other.largest))
        return all(len({piece.value for some in group for piece in some}) == 1 for group in groups)


def _through(
    a: SizePiece, b: SizePiece, c: SizePiece, left: Fraction, right: Fraction
) -> SizePiece | None:
    """The figure between two times, if that between them is on the line."""
    value = Multilinear.through((left, a.value), (right, c.value))
    if value.fix_last((left + right) / 2) != b.value:
        return None
    low = tuple(max(column) for column in zip(a.low, b.low, c.low, strict=True))
    proof: Proof = "all sizes" if {a.proof, b.proof, c.proof} == {"all sizes"} else "each size"
    piece = SizePiece(a.low, common_high([a, b, c]), a.step, value, proof).from_size(low)
    return None if piece.is_empty else piece


def _linear_points(
    tables: Sequence[SizeTable], pieces: Sequence[SizePiece], interval: Interval
) -> dict[Sizes, Multilinear]:
    """The figure at single sizes outside of ranges, where it is linear between two times."""
    left, right = interval
    single = {sizes for table in tables for sizes in table.points}
    if all(len(piece.low) == 1 for piece in pieces):
        top = max((piece.low[0] for piece in pieces), default=0)
        single |= {(n,) for n in range(1, min(top, _MOST_SINGLE))}
    points: dict[Sizes, Multilinear] = {}
    for sizes in single:
        values = [table.at(sizes) for table in tables]
        first, middle, last = values
        if first is None or middle is None or last is None:
            continue
        if 2 * middle == first + last and not any(piece.covers(sizes) for piece in pieces):
            n = len(sizes)
            points[sizes] = Multilinear.through(
                (left, Multilinear.constant(first, n)), (right, Multilinear.constant(last, n))
            )
    return points


def _grown(piece: SizePiece, points: Mapping[Sizes, Multilinear], interval: Interval) -> SizePiece:
    """Let a range begin at a smaller size, as far as the points fit its figure."""
    low = piece.low
    while len(low) == 1:
        smaller = (low[0] - piece.step[0],)
        if smaller not in points or any(
            points[smaller].at((*smaller, t)) != piece.value.at((*smaller, t)) for t in interval
        ):
            break
        low = smaller
    return replace(piece, low=low)


def _meetings(first: _Line, last: _Line) -> list[Fraction]:
    """The times at which two lines meet, for the smallest and for large sizes."""
    found: list[Fraction] = []
    for one, other in in_classes(first.largest, last.largest):
        for a, b in product(one, other):
            low = tuple(map(max, a.low, b.low))
            found += _zeros(a.value.minus(b.value), low, a.high)
    return found


def _zeros(gap: Multilinear, low: Sizes, high: tuple[int | None, ...]) -> list[Fraction]:
    """The times at which a difference of two lines is zero, at the corners of a range of sizes."""
    half = len(gap.coefficients) // 2
    rest, slope = Multilinear(gap.coefficients[:half]), Multilinear(gap.coefficients[half:])
    found = []
    for corner in range(1 << len(low)):
        at, far = list(low), []
        for i, top in enumerate(high):
            if corner >> i & 1:
                if top is None:
                    far.append(i)
                else:
                    at[i] = top
        a, b = _leading(rest, at, far), _leading(slope, at, far)
        if b:
            found.append(-a / b)
    return found


def _leading(value: Multilinear, at: Sequence[int], far: Sequence[int]) -> Fraction:
    """The value, or its coefficient of the sizes that grow without bound."""
    left = list(value.coefficients)
    for i in reversed(range(len(at))):
        half = len(left) // 2
        if i in far:
            left = left[half:]
        else:
            left = [left[k] + left[k + half] * at[i] for k in range(half)]
    return left[0]


def latency_cells(static: Mapping[Figure, Sequence[FigureCell]]) -> list[FigureCell]:
    """Return the cells in which a static order attains a lower bound: that is the latency.

    Parameters
    ----------
    static
        Figure → its cells.

    Returns
    -------
    list of FigureCell
        The cells.
    """
    found: list[FigureCell] = []
    for order in STATIC:
        for cell in static.get(order, ()):
            for bound in LOWER_BOUNDS:
                for lower in static.get(bound, ()):
                    if cell.value == lower.value:
                        both = _intersection(cell, lower)
                        if both is not None and both not in found:
                            found.append(both)
    return found


def _intersection(one: FigureCell, other: FigureCell) -> FigureCell | None:
    """The part of two cells in common, if the first one's sizes are in the second one's steps."""
    a, b = one.piece, other.piece
    if not a.is_in_steps_of(b):
        return None
    times = tuple(
        (max(s, u), min(t, v)) for (s, t), (u, v) in zip(one.times, other.times, strict=True)
    )
    piece = replace(a, high=common_high([a, b])).from_size(b.low)
    if piece.is_empty or any(s > t for s, t in times):
        return None
    return FigureCell(piece, times, one.slots)
