"""Branches of a figure as one SymPy expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy

from polylat.closed_form.branches import FigureBranch, is_largest
from polylat.closed_form.multilinear import Multilinear
from polylat.closed_form.parameters import Parameter
from polylat.closed_form.time_cells import FigureCell

__all__ = ["conditions_of", "expression_of", "symbols_of"]

_MOST_LISTED = 8
"""Largest number of sizes that are listed before an expression for all others."""

Expression = Any
"""A SymPy expression or condition."""


def symbols_of(parameters: Sequence[Parameter]) -> tuple[Expression, ...]:
    """Return the symbols of parameters.

    Parameters
    ----------
    parameters
        The parameters.

    Returns
    -------
    tuple of sympy.Symbol
        Positive; integers where only integers are values.
    """
    return tuple(
        sympy.Symbol(p.symbol, positive=True)
        if p.is_time
        else sympy.Symbol(p.symbol, integer=True, positive=True)
        for p in parameters
    )


def expression_of(branches: Sequence[FigureBranch], parameters: Sequence[Parameter]) -> Expression:
    """Return one expression for a figure.

    Parameters
    ----------
    branches
        The branches of the figure.
    parameters
        Sizes, then times, then slots.

    Returns
    -------
    sympy.Expr
        Undefined (NaN) where no branch applies.
    """
    if not branches:
        return sympy.nan
    symbols = symbols_of(parameters)
    writer = _Writer(parameters, symbols)
    by_slots: dict[tuple[int, ...], list[FigureBranch]] = {}
    for branch in branches:
        by_slots.setdefault(branch.slots, []).append(branch)
    cases = [(writer.of_classes(some), slots) for slots, some in by_slots.items()]
    if len({expression for expression, _ in cases}) == 1:
        return cases[0][0]
    slot = symbols[-1]
    return sympy.Piecewise(*((e, sympy.Eq(slot, value)) for e, (value,) in cases))


class _Writer:
    """Writes functions of given parameters."""

    def __init__(self, parameters: Sequence[Parameter], symbols: Sequence[Expression]) -> None:
        self.sizes = [s for p, s in zip(parameters, symbols, strict=True) if p.kind == "size"]
        self.times = [(p, s) for p, s in zip(parameters, symbols, strict=True) if p.is_time]
        self.variables = [
            *self.sizes,
            *(1 / s if p.kind == "throughput" else s for p, s in self.times),
        ]

    def of_classes(self, branches: Sequence[FigureBranch]) -> Expression:
        """One expression for the classes of sizes."""
        branches = _fewest_classes(branches)
        distinct = {(branch.forms, branch.exceptions) for branch in branches}
        if len(distinct) == 1:
            return self.branch(branches[0])
        merged = self._quasi(branches)
        if merged is not None:
            return merged
        return sympy.Piecewise(
            *(
                (
                    self.branch(branch),
                    sympy.And(
                        *(
                            sympy.Eq(sympy.Mod(size, step), residue)
                            for size, step, residue in zip(
                                self.sizes, branch.steps, branch.residues, strict=True
                            )
                            if step > 1
                        )
                    ),
                )
                for branch in branches
            )
        )

    def branch(self, branch: FigureBranch) -> Expression:
        """The expression of one branch."""
        main = self.largest([self.form(form) for form in branch.forms])
        if not branch.exceptions:
            return main
        cases = [(self.form(c.value), self.cell(c)) for c in branch.exceptions]
        return sympy.Piecewise(*cases, (main, True)) if branch.forms else sympy.Piecewise(*cases)

    def largest(self, forms: Sequence[Expression]) -> Expression:
        """The largest of some functions, with a common size as a factor."""
        for size in self.sizes:
            shorter = [sympy.expand(form / size) for form in forms]
            if not any(sympy.denom(sympy.together(form)).has(size) for form in shorter):
                return size * self.largest(shorter)
        return forms[0] if len(forms) == 1 else sympy.Max(*forms, evaluate=False)

    def form(self, value: Multilinear) -> Expression:
        """A multilinear function."""
        terms = []
        for at, coefficient in enumerate(value.coefficients):
            product = _rational(coefficient)
            for i, variable in enumerate(self.variables):
                if at >> i & 1:
                    product *= variable
            terms.append(product)
        return sympy.Add(*terms)

    def cell(self, cell: FigureCell) -> Expression:
        """The condition of a cell."""
        found = []
        piece = cell.piece
        ranges = zip(self.sizes, piece.low, piece.high, piece.step, strict=True)
        for size, low, high, step in ranges:
            if low == high:
                found.append(sympy.Eq(size, low))
                continue
            found.append(size >= low)
            if high is not None:
                found.append(size <= high)
            if step > 1:
                found.append(sympy.Eq(sympy.Mod(size, step), low % step))
        for (parameter, symbol), (a, b) in zip(self.times, cell.times, strict=True):
            low_value, high_value = parameter.interval(a, b)
            if low_value == high_value:
                found.append(sympy.Eq(symbol, _rational(low_value)))
                continue
            found.append(symbol >= _rational(low_value))
            if high_value is not None:
                found.append(symbol <= _rational(high_value))
        return sympy.And(*found)

    def _quasi(self, branches: Sequence[FigureBranch]) -> Expression | None:
        """One expression with rounded sizes for several classes of one size, if there is one."""
        if len(self.sizes) != 1 or any(b.exceptions for b in branches):
            return None
        (step,) = branches[0].steps
        if len(branches) != step:
            return None
        ordered = sorted(branches, key=lambda branch: branch.residues)
        # Functions of ranges differ by class; those of single sizes may be small in other classes.
        ranges = [[f for f in branch.forms if not _is_constant(f)] for branch in ordered]
        rest = list(dict.fromkeys(f for b in ordered for f in b.forms if _is_constant(f)))
        if len({len(some) for some in ranges}) != 1 or not ranges[0]:
            return None
        forms = [self._rounded([some[i] for some in ranges], step) for i in range(len(ranges[0]))]
        if any(form is None for form in forms):
            return None
        main = [form for form in forms if form is not None]
        if all(is_largest(c, (*b.forms, *rest)) for b in ordered for c in b.cells):
            return self.largest([*main, *map(self.form, rest)])
        others = [
            cell
            for branch, some in zip(ordered, ranges, strict=True)
            for cell in branch.cells
            if not is_largest(cell, some)
        ]
        if len(others) > _MOST_LISTED:
            return None
        cases = [(self.form(cell.value), self.cell(cell)) for cell in others]
        return sympy.Piecewise(*cases, (self.largest(main), True))

    def _rounded(self, values: Sequence[Multilinear], step: int) -> Expression | None:
        """One function for all residues: a size, rounded to tiles, instead of the size."""
        size = self.sizes[0]
        for tile in (t for t in range(2, step + 1) if step % t == 0):
            for rounded, parts in (
                (tile * sympy.ceiling(size / tile), [-r % tile for r in range(step)]),
                (tile * sympy.floor(size / tile), [-(r % tile) for r in range(step)]),
            ):
                # value = a + b·size + c·(rounded - size), with the same a, b, c for all residues.
                rows = []
                for at in range(0, len(values[0].coefficients), 2):
                    slopes = {v.coefficients[at + 1] for v in values}
                    rests = [v.coefficients[at] for v in values]
                    extra = _affine_in(parts, rests)
                    if len(slopes) != 1 or extra is None:
                        break
                    rows.append((at, slopes.pop(), *extra))
                else:
                    terms = []
                    for at, slope, rest, more in rows:
                        product = sympy.Integer(1)
                        for i, variable in enumerate(self.variables):
                            if i and at >> i & 1:
                                product *= variable
                        # a + b·size + c·(rounded − size) = a + (b − c)·size + c·rounded
                        terms.append(
                            product
                            * (
                                _rational(rest)
                                + _rational(slope - more) * size
                                + _rational(more) * rounded
                            )
                        )
                    return sympy.Add(*terms)
        return None


def _fewest_classes(branches: Sequence[FigureBranch]) -> Sequence[FigureBranch]:
    """Classes of one size with a smaller step, as far as the figures repeat in it."""
    if len(branches[0].steps) != 1 or any(branch.exceptions for branch in branches):
        return branches
    (step,) = branches[0].steps
    for smaller in (n for n in range(1, step) if step % n == 0):
        joined: dict[int, FigureBranch] = {}
        for branch in branches:
            residue = branch.residues[0] % smaller
            one = joined.setdefault(
                residue, replace(branch, steps=(smaller,), residues=(residue,), cells=())
            )
            if one.forms != branch.forms:
                break
            joined[residue] = replace(one, cells=(*one.cells, *branch.cells))
        else:
            return list(joined.values())
    return branches


def _is_constant(value: Multilinear) -> bool:
    """Whether a function does not depend on the size, which is its first variable."""
    return not any(value.coefficients[1::2])


def _affine_in(
    places: Sequence[int], values: Sequence[Fraction]
) -> tuple[Fraction, Fraction] | None:
    """(value at 0, slope) if values are affine in their places; None otherwise."""
    pairs = sorted(set(zip(places, values, strict=True)))
    if len({place for place, _ in pairs}) != len(pairs):
        return None
    slopes = {(w - v) / (q - p) for (p, v), (q, w) in pairwise(pairs)}
    if len(slopes) > 1:
        return None
    slope = slopes.pop() if slopes else Fraction(0)
    place, value = pairs[0]
    return value - slope * place, slope


def _rational(value: Fraction) -> Expression:
    return sympy.Rational(value.numerator, value.denominator)


def conditions_of(branches: Sequence[FigureBranch], parameters: Sequence[Parameter]) -> Expression:
    """Return where a figure is known, as SymPy conditions.

    Parameters
    ----------
    branches, parameters
        As for `expression_of`.

    Returns
    -------
    sympy.logic.boolalg.Boolean
        The union of all cells.
    """
    symbols = symbols_of(parameters)
    writer = _Writer(parameters, symbols)
    cases = []
    for branch in branches:
        for cell in branch.cells:
            condition = writer.cell(cell)
            if cell.slots:
                condition = sympy.And(condition, sympy.Eq(symbols[-1], cell.slots[0]))
            cases.append(condition)
    return sympy.Or(*cases)
