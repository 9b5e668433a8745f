"""Write the cells of a figure as the maximum of a few multilinear functions, where it is one.

Cells of one class of sizes, and of one number of slots, make a *branch*. Its functions are those of
its intervals of times. Where the largest of them is the figure in every cell, the branch is that
maximum; cells where it is not are exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product
from math import lcm

from polylat.closed_form.multilinear import Multilinear
from polylat.closed_form.time_cells import FigureCell
from polylat.engine.trip_ranges import Sizes

__all__ = ["FigureBranch", "branches_of", "is_largest"]

_MOST_EXCEPTIONS = 16
"""Largest number of cells of a branch that are listed one by one."""


@dataclass(frozen=True)
class FigureBranch:
    """A figure in a class of sizes, with a number of slots.

    Parameters
    ----------
    steps, residues
        The class of sizes.
    slots
        The slots, if they are a parameter.
    forms
        Functions of the sizes and times: the figure is the largest of them.
    cells
        The cells in which that holds, and those of the exceptions.
    exceptions
        Cells with other figures.
    """

    steps: Sizes
    residues: Sizes
    slots: tuple[int, ...]
    forms: tuple[Multilinear, ...]
    cells: tuple[FigureCell, ...]
    exceptions: tuple[FigureCell, ...] = ()


def branches_of(
    cells: Sequence[FigureCell], hints: Sequence[Multilinear] = ()
) -> list[FigureBranch]:
    """Divide the cells of a figure into branches.

    Parameters
    ----------
    cells
        The cells.
    hints
        Functions that may be among those of the figure: those of a similar one.

    Returns
    -------
    list of FigureBranch
        The branches, one per class of sizes and number of slots. Cells that are neither covered by
        its functions nor few enough to be exceptions are left out.
    """
    main = [cell for cell in cells if _is_range(cell)] or list(cells)
    if not main:
        return []
    steps = tuple(lcm(*column) for column in zip(*(cell.piece.step for cell in main), strict=True))
    found = []
    for slots in sorted({cell.slots for cell in cells}):
        for residues in product(*map(range, steps)):
            own = [
                part
                for cell in cells
                if cell.slots == slots
                for part in _part(cell, steps, residues)
            ]
            if own:
                found.append(_branch(own, steps, residues, slots, hints))
    return found


def _is_range(cell: FigureCell) -> bool:
    """Whether a cell is more than a single size."""
    return all(
        high is None or high > low
        for low, high in zip(cell.piece.low, cell.piece.high, strict=True)
    )


def _part(cell: FigureCell, steps: Sizes, residues: Sizes) -> Iterable[FigureCell]:
    """The part of a cell in a class of sizes."""
    piece = cell.piece
    if not _is_range(cell):
        if all(n % step == r for n, step, r in zip(piece.low, steps, residues, strict=True)):
            yield cell
        return
    for part in piece.in_steps(steps):
        if part.residues == residues:
            yield FigureCell(part, cell.times, cell.slots)


def _branch(
    cells: Sequence[FigureCell],
    steps: Sizes,
    residues: Sizes,
    slots: tuple[int, ...],
    hints: Sequence[Multilinear],
) -> FigureBranch:
    # Functions of intervals first: those of single times are constant in the time.
    wide = [cell for cell in cells if _is_range(cell) and all(a < b for a, b in cell.times)]
    forms = _maximal([*(cell.value for cell in wide), *hints], cells)
    kept = [cell for cell in cells if is_largest(cell, forms)]
    candidates = [cell.value for cell in (*wide, *filter(_is_range, cells), *cells)]
    if not forms:
        # One function first: that of the most ranges, and of the most cells.
        ranges = [*(c.value for c in cells if _is_range(c)), *_lines(cells)] or candidates
        fits_by = {
            value: [cell for cell in cells if is_largest(cell, (value,))]
            for value in dict.fromkeys(ranges)
        }
        best = max(fits_by, key=lambda value: _weight(fits_by[value]))
        forms, kept = (best,), fits_by[best]
    for value in (*_lines(cells), *candidates):
        if value in forms or len(kept) == len(cells):
            continue
        more = (*forms, value)
        fits = [other for other in cells if is_largest(other, more)]
        if len(fits) > len(kept) and all(other in fits for other in kept):
            forms, kept = more, fits
    for form in forms:
        others = tuple(other for other in forms if other != form)
        if all(is_largest(cell, others) for cell in kept):
            forms = others
    rest = [cell for cell in cells if cell not in kept]
    few = rest if len(rest) <= _MOST_EXCEPTIONS else []
    return FigureBranch(steps, residues, slots, forms, (*kept, *few), tuple(few))


def _weight(cells: Sequence[FigureCell]) -> tuple[int, int, int]:
    """The number of unbounded cells, of ranges, and of all cells: the key to compare choices by."""
    endless = sum(None in cell.piece.high for cell in cells)
    return endless, sum(map(_is_range, cells)), len(cells)


def _lines(cells: Sequence[FigureCell]) -> list[Multilinear]:
    """Functions through single sizes, and through single times, next to each other."""
    single = sorted(
        (c for c in cells if len(c.piece.low) == 1 and not _is_range(c)),
        key=lambda cell: (cell.times, cell.piece.low),
    )
    found = []
    for one, other in pairwise(single):
        (n,), (m,) = one.piece.low, other.piece.low
        if one.times == other.times and n != m:
            a, b = _restricted(one.value, one), _restricted(other.value, other)
            slope = [(y - x) / (m - n) for x, y in zip(a.coefficients, b.coefficients, strict=True)]
            left = list(a.coefficients)
            for at in range(0, len(left), 2):
                left[at], left[at + 1] = left[at] - n * slope[at], slope[at]
            found.append(Multilinear(tuple(left)))
    # And through single times next to each other.
    at_times = sorted(
        (c for c in cells if _is_range(c) and len(c.times) == 1 and c.times[0][0] == c.times[0][1]),
        key=lambda cell: (cell.piece.residues, cell.times),
    )
    for one, other in pairwise(at_times):
        t, u = one.times[0][0], other.times[0][0]
        if t < u:
            pair = (t, one.value.fix_last(t)), (u, other.value.fix_last(u))
            found.append(Multilinear.through(*pair))
    return found


def _maximal(values: Sequence[Multilinear], cells: Sequence[FigureCell]) -> tuple[Multilinear, ...]:
    """The functions whose maximum is the figure in as many cells as possible."""
    forms: tuple[Multilinear, ...] = ()
    kept: list[FigureCell] = []
    for value in dict.fromkeys(values):
        more = (*forms, value)
        fits = [cell for cell in cells if is_largest(cell, more)]
        if len(fits) > len(kept):
            forms, kept = more, fits
    return forms


def is_largest(cell: FigureCell, forms: Sequence[Multilinear]) -> bool:
    """Return whether the largest of some functions is the figure of a cell.

    Parameters
    ----------
    cell
        The cell.
    forms
        The functions.

    Returns
    -------
    bool
        Whether it is, throughout the cell.
    """
    low: list[Fraction | int] = [*cell.piece.low, *(a for a, _ in cell.times)]
    high: list[Fraction | int | None] = [*cell.piece.high, *(b for _, b in cell.times)]
    if not forms:
        return False
    own = _restricted(cell.value, cell)
    some = [_restricted(form, cell) for form in forms]
    if own not in some:
        return False
    return all(own.minus(other).is_nonnegative(low, high) for other in some)


def _restricted(value: Multilinear, cell: FigureCell) -> Multilinear:
    """A function as one of the variables that vary in a cell; the others are substituted."""
    left = list(value.coefficients)
    ends: list[tuple[Fraction | int, Fraction | int | None]]
    ends = [*zip(cell.piece.low, cell.piece.high, strict=True), *cell.times]
    for i, (a, b) in enumerate(ends):
        if a == b:
            bit, fixed = 1 << i, Fraction(a)
            for at in range(len(left)):
                if not at & bit:
                    left[at] += left[at | bit] * fixed
                    left[at | bit] = Fraction(0)
    return Multilinear(tuple(left))
