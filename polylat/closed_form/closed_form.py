"""A figure in closed form: its expression, its domain, and its exact values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from numbers import Rational
from typing import TYPE_CHECKING, Any

import numpy as np

from polylat.closed_form.branches import FigureBranch, branches_of
from polylat.closed_form.expressions import conditions_of, expression_of, symbols_of
from polylat.closed_form.family import Figure
from polylat.closed_form.multilinear import Multilinear
from polylat.closed_form.parameters import Parameter
from polylat.closed_form.time_cells import FigureCell
from polylat.errors import DomainError, OptionError
from polylat.numbers import Number, format_number, reduce_number
from polylat.spec.reading.numbers import BadNumber, parse_ratio

if TYPE_CHECKING:
    import islpy
    from numpy.typing import NDArray

__all__ = ["ClosedForm"]


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """A figure as a function of parameters, exact everywhere in its domain.

    Parameters
    ----------
    figure
        What it is, such as ``"latency"``.
    parameters
        Sizes, then times, then slots.
    cells
        Ranges of the parameters, each with a multilinear function of the sizes and times.
    hints
        Functions that may make the expression shorter: those of a similar figure.
    """

    figure: Figure
    parameters: tuple[Parameter, ...]
    cells: tuple[FigureCell, ...]
    hints: tuple[Multilinear, ...] = ()

    @cached_property
    def branches(self) -> tuple[FigureBranch, ...]:
        """The cells by class of sizes, each with the functions of which it is the largest."""
        return tuple(branches_of(self.cells, self.hints))

    @cached_property
    def symbols(self) -> tuple[Any, ...]:
        """The SymPy symbols of the parameters."""
        return symbols_of(self.parameters)

    @cached_property
    def expression(self) -> Any:
        """The figure as a SymPy expression. It says nothing outside of the domain."""
        return expression_of(self.branches, self.parameters)

    @cached_property
    def conditions(self) -> Any:
        """The domain as SymPy conditions."""
        return conditions_of(self.branches, self.parameters)

    @cached_property
    def domain(self) -> islpy.Set:
        """The domain as an ISL set: all integer points at which the figure is known."""
        import islpy

        names = ", ".join(p.symbol for p in self.parameters)
        found = islpy.Set(f"{{ [{names}] : 1 = 0 }}")
        for cell in self._known:
            found = found.union(islpy.Set(f"{{ [{names}] : {self._in_isl(cell)} }}"))
        return found.coalesce()

    @property
    def proven(self) -> bool:
        """Whether no part of the domain was computed size by size, but for few small sizes."""
        return all(
            cell.piece.proof == "all sizes" or cell.piece.low == cell.piece.high
            for cell in self._known
        )

    @property
    def transient(self) -> Mapping[str, int]:
        """Size → from where on the formula holds for all larger ones; without bounded sizes."""
        unbounded = [c.piece for c in self._known if None in c.piece.high]
        return {
            p.name: min(lows)
            for i, p in enumerate(self._sizes)
            if (lows := [piece.low[i] for piece in unbounded if piece.high[i] is None])
        }

    def growth(self, name: str) -> Any:
        """Return by how much the figure grows per unit of a size, for large sizes.

        For the latency, that is the initiation interval of the periodic regime.

        Parameters
        ----------
        name
            The size.

        Returns
        -------
        sympy.Expr
            An expression of the other parameters.

        Raises
        ------
        OptionError
            It is no size of the formula.
        """
        at = next((i for i, p in enumerate(self._sizes) if name in (p.name, p.symbol)), None)
        if at is None:
            raise OptionError(
                f"{name!r} is no size of the formula", where="formula", fix="name a size"
            )
        grown = []
        for branch in self.branches:
            # Functions of single sizes have no part in large ones.
            large = {cell.value for cell in branch.cells if cell.piece.high[at] is None}
            forms = [form for form in branch.forms if form in large] or branch.forms
            slopes = dict.fromkeys(form.slope(1 << at) for form in forms)
            grown.append(replace(branch, forms=tuple(slopes), exceptions=()))
        return expression_of(grown, self.parameters)

    def __call__(self, **values: Any) -> Number:
        """Return the exact figure at a point of the domain.

        Parameters
        ----------
        **values
            A number for every parameter, by its symbol's name.

        Returns
        -------
        Number
            int if integral, else Fraction.

        Raises
        ------
        DomainError
            The figure is not known there.
        OptionError
            A parameter is missing, unknown, or no number.
        """
        return reduce_number(self._at(self.point(values)))

    def value_of(self, name: str, value: Any) -> Number:
        """Return a value of a parameter as an exact number.

        Parameters
        ----------
        name, value
            The parameter's symbol, and the value as given.

        Returns
        -------
        Number
            The number.

        Raises
        ------
        OptionError
            It is no number.
        """
        return reduce_number(_exact(name, value))

    def lambdify(self) -> Callable[..., NDArray[np.float64]]:
        """Return a NumPy function of the parameters.

        Returns
        -------
        Callable
            Takes numbers or arrays by the symbols' names, which are broadcast; returns an array of
            doubles, NaN outside of the domain.
        """
        return self._evaluate

    def latex(self) -> str:
        """Return the expression as LaTeX.

        Returns
        -------
        str
            Without dollar signs.
        """
        import sympy

        names = {s: rf"\mathrm{{{s.name}}}".replace("_", r"\_") for s in self.symbols}
        return str(sympy.latex(self.expression, symbol_names=names))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        return str(self.expression)

    def intervals(self, name: str, **others: Any) -> list[tuple[Fraction, Fraction, Multilinear]]:
        """Return the figure as a function of one time, in pieces.

        Parameters
        ----------
        name
            The symbol of a time parameter.
        **others
            Values of the other parameters.

        Returns
        -------
        list of (least time, largest time, function)
            The functions are of the time alone; pieces may overlap, or leave gaps.

        Raises
        ------
        OptionError
            It is no time, or a value is missing.
        """
        at = next((i for i, p in enumerate(self._times) if name in (p.symbol, p.name)), None)
        if at is None:
            raise OptionError(
                f"{name!r} is no throughput, duration or latency of the formula",
                where="formula",
                fix="name a parameter that is a time",
            )
        sizes, _, slots = self.point({**others, self._times[at].symbol: 1})
        found = []
        for cell in self._known:
            if cell.slots == slots and cell.piece.covers(sizes):
                value = cell.value
                half = len(value.coefficients) // 2
                rest = Multilinear(value.coefficients[:half]).at(sizes)
                slope = Multilinear(value.coefficients[half:]).at(sizes)
                found.append((*cell.times[at], Multilinear((rest, slope))))
        return sorted(found, key=lambda piece: piece[:2])

    @property
    def _sizes(self) -> list[Parameter]:
        return [p for p in self.parameters if p.kind == "size"]

    @property
    def _times(self) -> list[Parameter]:
        return [p for p in self.parameters if p.is_time]

    @cached_property
    def _known(self) -> list[FigureCell]:
        return [cell for branch in self.branches for cell in branch.cells]

    def point(
        self, values: Mapping[str, Any]
    ) -> tuple[tuple[int, ...], tuple[Fraction, ...], tuple[int, ...]]:
        """Return values of the parameters as sizes, times and slots.

        Parameters
        ----------
        values
            Symbol → number.

        Returns
        -------
        (sizes, times, slots)
            A tuple of each; times as `Parameter.coordinate`.

        Raises
        ------
        DomainError
            A number is no value of its parameter.
        OptionError
            A parameter is missing, unknown, or no number.
        """
        names = [p.symbol for p in self.parameters]
        for name in values:
            if name not in names:
                raise OptionError(
                    f"the formula has no parameter {name!r}",
                    where="formula",
                    fix=f"its parameters are {', '.join(names)}",
                )
        for p in self.parameters:
            if p.symbol not in values:
                raise OptionError(
                    f"parameter {p.symbol!r} has no value", where="formula", fix="give a number"
                )
        exact = {p.symbol: _exact(p.symbol, values[p.symbol]) for p in self.parameters}
        for p in self.parameters:
            value = exact[p.symbol]
            if (not p.is_time and value.denominator != 1) or (value <= 0 and p.kind != "latency"):
                raise DomainError(
                    f"{p.symbol}={values[p.symbol]} is no value of the parameter",
                    where="formula",
                    fix=f"give a {'' if p.is_time else 'whole '}number above zero",
                )
        return (
            tuple(int(exact[p.symbol]) for p in self._sizes),
            tuple(p.coordinate(exact[p.symbol]) for p in self._times),
            tuple(int(exact[p.symbol]) for p in self.parameters if p.kind == "slots"),
        )

    def _at(self, point: tuple[tuple[int, ...], tuple[Fraction, ...], tuple[int, ...]]) -> Fraction:
        sizes, times, slots = point
        for cell in self._known:
            if cell.covers(sizes, times, slots):
                return cell.value.at((*sizes, *times))
        raise DomainError(
            f"the formula for {_name(self.figure)} is not proven at {self._described(point)}",
            where="formula",
            fix=f"choose a point of its domain: {_shortened(str(self.domain))}; or use analyze",
        )

    def _described(
        self, point: tuple[tuple[int, ...], tuple[Fraction, ...], tuple[int, ...]]
    ) -> str:
        sizes, times, slots = point
        plain = [
            *map(Fraction, sizes),
            *(
                1 / t if p.kind == "throughput" else t
                for p, t in zip(self._times, times, strict=True)
            ),
            *map(Fraction, slots),
        ]
        pairs = zip(self.parameters, plain, strict=True)
        return ", ".join(f"{p.symbol} = {format_number(reduce_number(v))}" for p, v in pairs)

    def _in_isl(self, cell: FigureCell) -> str:
        terms = []
        piece = cell.piece
        ranges = zip(self._sizes, piece.low, piece.high, piece.step, strict=True)
        for p, low, high, step in ranges:
            terms.append(f"{p.symbol} >= {low}")
            if high is not None:
                terms.append(f"{p.symbol} <= {high}")
            if step > 1:
                terms.append(f"({p.symbol} - {low}) mod {step} = 0")
        for p, (a, b) in zip(self._times, cell.times, strict=True):
            low_value, high_value = p.interval(a, b)
            terms.append(f"{low_value.denominator} * {p.symbol} >= {low_value.numerator}")
            if high_value is not None:
                terms.append(f"{high_value.denominator} * {p.symbol} <= {high_value.numerator}")
        terms += [f"{self.parameters[-1].symbol} = {n}" for n in cell.slots]
        return " and ".join(terms) or "0 = 0"

    def _evaluate(self, **values: Any) -> NDArray[np.float64]:
        names = [p.symbol for p in self.parameters]
        if sorted(values) != sorted(names):
            raise OptionError(
                f"the function takes {', '.join(names)}, not {', '.join(values)}",
                where="formula",
                fix="give every parameter by its name",
            )
        arrays = dict(
            zip(names, np.broadcast_arrays(*(np.asarray(values[n]) for n in names)), strict=True)
        )
        shape = next(iter(arrays.values())).shape
        sizes = [arrays[p.symbol].astype(np.float64) for p in self._sizes]
        times = [
            1 / arrays[p.symbol].astype(np.float64)
            if p.kind == "throughput"
            else arrays[p.symbol].astype(np.float64)
            for p in self._times
        ]
        slots = [arrays[p.symbol] for p in self.parameters if p.kind == "slots"]
        result: NDArray[np.float64] = np.full(shape, np.nan)
        for branch in self.branches:
            mine = np.ones(shape, dtype=np.bool_)
            for size, step, residue in zip(sizes, branch.steps, branch.residues, strict=True):
                mine &= size % step == residue
            for given, wanted in zip(slots, branch.slots, strict=True):
                mine &= given == wanted
            known = np.zeros(shape, dtype=np.bool_)
            for cell in branch.cells:
                if cell not in branch.exceptions:
                    known |= self._mask(cell, sizes, arrays)
            largest: NDArray[np.float64] = np.full(shape, -np.inf)
            for form in branch.forms:
                np.maximum(largest, _values(form, [*sizes, *times], shape), out=largest)
            result[mine & known] = largest[mine & known]
            for cell in branch.exceptions:
                inside = mine & self._mask(cell, sizes, arrays) & ~known
                result[inside] = _values(cell.value, [*sizes, *times], shape)[inside]
        return result

    def _mask(
        self,
        cell: FigureCell,
        sizes: Sequence[NDArray[np.float64]],
        arrays: Mapping[str, NDArray[Any]],
    ) -> NDArray[np.bool_]:
        """The points in a cell."""
        inside = np.ones(next(iter(arrays.values())).shape, dtype=np.bool_)
        piece = cell.piece
        for size, low, high, step in zip(sizes, piece.low, piece.high, piece.step, strict=True):
            inside &= size >= low
            if high is not None:
                inside &= size <= high
            if step > 1:
                inside &= (size - low) % step == 0
        for p, (a, b) in zip(self._times, cell.times, strict=True):
            least, largest = p.interval(a, b)
            inside &= arrays[p.symbol] >= float(least)
            if largest is not None:
                inside &= arrays[p.symbol] <= float(largest)
        return inside


def _values(
    value: Multilinear, variables: Sequence[NDArray[np.float64]], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """A multilinear function of arrays."""
    found: NDArray[np.float64] = np.zeros(shape)
    for at, coefficient in enumerate(value.coefficients):
        if coefficient:
            term: Any = float(coefficient)
            for i, variable in enumerate(variables):
                if at >> i & 1:
                    term = term * variable
            found += term
    return found


def _exact(name: str, value: Any) -> Fraction:
    given = str(float(value)) if isinstance(value, float) else value  # 0.1 means one tenth
    try:
        if isinstance(given, str):
            return Fraction(parse_ratio(given))
        if isinstance(given, np.integer):
            return Fraction(int(given))
        if isinstance(given, (int, Fraction, Decimal, Rational)) and not isinstance(given, bool):
            return Fraction(given)
    except (BadNumber, ArithmeticError, ValueError):
        pass
    raise OptionError(
        f"parameter {name!r} must be a number, not {value!r}",
        where="formula",
        fix="write 2, 1.5 or Fraction(3, 2)",
    )


def _name(figure: Figure) -> str:
    return figure.replace("_", " ") if isinstance(figure, str) else "actions"


def _shortened(text: str) -> str:
    return text if len(text) <= 300 else text[:299] + "…"
