"""A closed form at many points: a table, and a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

from polylat.closed_form.closed_form import ClosedForm
from polylat.errors import DomainError, OptionError
from polylat.numbers import Number, format_number
from polylat.tables import Column, Table, Tabular
from polylat.views.paper_plots import plot_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Sweep", "sweep_of"]

_MOST_POINTS = 100_000
"""Largest number of points that are evaluated exactly."""


@dataclass(frozen=True)
class Sweep(Tabular):
    """A closed form at all combinations of some values.

    Parameters
    ----------
    names
        The parameters' symbols, in the order of the columns.
    rows
        Per combination, the values and the exact figure; None outside of the domain.
    form
        The closed form.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Number | None, ...], ...]
    form: ClosedForm = field(repr=False, compare=False)

    def headline(self) -> tuple[str, ...]:
        """Return the number of points.

        Returns
        -------
        tuple of str
            One sentence.
        """
        missing = sum(row[-1] is None for row in self.rows)
        outside = f", {missing} of them outside of the domain" if missing else ""
        return (f"{len(self.rows)} points{outside}",)

    def tables(self) -> tuple[Table, ...]:
        """Return a row per point.

        Returns
        -------
        tuple of Table
            One table.
        """
        columns = [Column(name, name, "number") for name in self.names]
        figure = str(self.form.figure).replace("_", " ")
        return (Table((*columns, Column("figure", figure, "number")), self.rows),)

    def plot(self, *, width: float = 5.0) -> Figure:
        """Plot the figure against the first parameter, a line per combination of the others.

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
        lines: dict[str, list[tuple[Fraction, Fraction]]] = {}
        for first, *others, value in self.rows:
            if first is None or value is None:
                continue
            name = ", ".join(
                f"{n} = {format_number(v)}"
                for n, v in zip(self.names[1:], others, strict=True)
                if v is not None
            )
            lines.setdefault(name, []).append((Fraction(first), Fraction(value)))
        label = str(self.form.figure).replace("_", " ")
        return plot_lines(lines, x=self.names[0], y=label, width=width)


def sweep_of(form: ClosedForm, values: Mapping[str, Any]) -> Sweep:
    """Evaluate a closed form at all combinations of some values.

    Parameters
    ----------
    form
        The closed form.
    values
        Symbol → a number, or several.

    Returns
    -------
    Sweep
        The points.

    Raises
    ------
    OptionError
        A parameter is missing, unknown or no number, or there are too many points.
    """
    lists: dict[str, Sequence[Any]] = {
        name: list(some) if isinstance(some, Iterable) and not isinstance(some, str) else [some]
        for name, some in values.items()
    }
    count = 1
    for some in lists.values():
        count *= len(some)
    if count > _MOST_POINTS:
        raise OptionError(
            f"a sweep over {count} points",
            where="sweep",
            fix=f"choose at most {_MOST_POINTS}, or use lambdify(), which takes arrays",
        )
    rows: list[tuple[Number | None, ...]] = []
    for point in product(*lists.values()):
        at = dict(zip(lists, point, strict=True))
        exact = tuple(form.value_of(name, value) for name, value in at.items())
        try:
            rows.append((*exact, form(**at)))
        except DomainError:
            rows.append((*exact, None))
    return Sweep(tuple(lists), tuple(rows), form)
