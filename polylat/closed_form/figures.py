"""The closed forms of all figures of a mapping, each derived when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, floor

from polylat.analysis.access import AccessKey
from polylat.closed_form.closed_form import ClosedForm
from polylat.closed_form.family import (
    CONVEX,
    LOWER_BOUNDS,
    PEAK,
    STATIC,
    Figure,
    MappingFamily,
)
from polylat.closed_form.multilinear import Multilinear
from polylat.closed_form.parameters import Bound, Parameter
from polylat.closed_form.size_pieces import SizeTable
from polylat.closed_form.size_tables import SizeTables
from polylat.closed_form.time_cells import (
    FigureCell,
    Interval,
    cells_at,
    convex_cells,
    latency_cells,
)
from polylat.closed_form.verification import ProvenRange

__all__ = ["FigureForms"]

_MOST_VALUES = 16
"""At up to this number of whole values of a time, figures are proven one by one."""

_SCHEDULED = (*STATIC, "dependence_bound")
"""The figures that are makespans of static schedules."""


@dataclass(eq=False)
class FigureForms:
    """The closed forms of a family of mappings.

    Parameters
    ----------
    families
        Slots → the mappings; one entry with an empty key where the slots are no parameter.
    sizes, times, slots
        The parameters.
    bounds
        Per size, its least and largest value.
    values
        Of the time, its least and largest value.
    """

    families: Mapping[tuple[int, ...], MappingFamily]
    sizes: tuple[Parameter, ...]
    times: tuple[Parameter, ...]
    slots: tuple[Parameter, ...]
    bounds: tuple[Bound, ...]
    values: tuple[tuple[Fraction, Fraction], ...]
    _forms: dict[Figure, ClosedForm] = field(default_factory=dict)
    _tables: dict[tuple[int, ...], SizeTables] = field(default_factory=dict)
    _cells: dict[tuple[Figure, tuple[int, ...]], list[FigureCell]] = field(default_factory=dict)
    _one_order: dict[tuple[int, ...], bool] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, in the order of a `ClosedForm`."""
        return (*self.sizes, *self.times, *self.slots)

    def form(self, figure: Figure) -> ClosedForm:
        """Return the closed form of a figure.

        Parameters
        ----------
        figure
            The figure.

        Returns
        -------
        ClosedForm
            Its domain may be empty.
        """
        if figure not in self._forms:
            cells = [
                replace(cell, slots=slots)
                for slots in self.families
                for cell in self._of(figure, slots)
            ]
            self._forms[figure] = ClosedForm(
                figure, self.parameters, tuple(cells), self._hints(figure)
            )
        return self._forms[figure]

    def verified(self) -> Iterator[ProvenRange]:
        """Prove the schedules again, with ISL, at the times that cells need.

        Yields
        ------
        ProvenRange
            The schedules.

        Raises
        ------
        CertificateError
            A schedule is not the earliest one at some size.
        """
        for slots in self.families:
            needed: dict[tuple[Fraction, ...], None] = {}
            for cell in (c for order in STATIC for c in self._of(order, slots)):
                if not self.times:
                    needed[()] = None
                for a, b in cell.times:
                    least = a or self._interval[0]
                    needed |= dict.fromkeys(((least,), ((least + b) / 2,), (b,)))
            for times in needed:
                yield from self._size_tables(slots).verified(times, static=bool(times))

    def accesses(self) -> list[AccessKey]:
        """Return the accesses whose actions can be counted.

        Returns
        -------
        list of AccessKey
            The accesses.
        """
        slots = next(iter(self.families))
        times = tuple(self._interval[1:]) if self.times else ()
        return [f for f in self._size_tables(slots).at(times, static=True) if isinstance(f, tuple)]

    def _size_tables(self, slots: tuple[int, ...]) -> SizeTables:
        if slots not in self._tables:
            self._tables[slots] = SizeTables(self.families[slots], self.bounds)
        return self._tables[slots]

    @property
    def _interval(self) -> Interval:
        """The interval of the time's coordinates."""
        (least, largest), parameter = self.values[0], self.times[0]
        ends = parameter.coordinate(least), parameter.coordinate(largest)
        return min(ends), max(ends)

    def _of(self, figure: Figure, slots: tuple[int, ...]) -> list[FigureCell]:
        """The cells of a figure for a number of slots."""
        if (figure, slots) not in self._cells:
            self._cells[figure, slots] = self._found(figure, slots)
        return self._cells[figure, slots]

    def _found(self, figure: Figure, slots: tuple[int, ...]) -> list[FigureCell]:
        tables = self._size_tables(slots)
        if isinstance(figure, str) and figure.startswith(PEAK):
            if not self.times:
                return cells_at(tables.peaks_at(()).get(figure, SizeTable(())), ())
            times = [(time,) for time in self._whole_values]
            return [
                cell
                for time in times
                for cell in cells_at(tables.peaks_at(time).get(figure, SizeTable(())), time)
            ]
        if not self.times:
            return cells_at(tables.at(()).get(figure, SizeTable(())), ())
        if isinstance(figure, tuple):  # numbers of actions do not depend on times
            _, b = self._interval
            table = tables.at((b,), static=True).get(figure, SizeTable(()))
            return [replace(cell, times=((Fraction(0), b),)) for cell in cells_at(table, (b,))]
        if figure in CONVEX:
            if figure in _SCHEDULED and self._has_rigid_pipelines:
                return self._at_values(figure, slots, [])
            lines = convex_cells(
                figure, lambda time: tables.at((time,), static=True), self._interval
            )
            found = [self._unbounded(cell) for cell in lines]
        elif self._has_one_order(slots):
            return self._of("program", slots)
        elif figure == "latency" and self.families[slots].options["order"] == "best":
            static: dict[Figure, list[FigureCell]] = {
                f: self._of(f, slots) for f in (*STATIC, *LOWER_BOUNDS)
            }
            found = latency_cells(static)
        elif figure == "latency":
            order = self.families[slots].options["order"]
            return self._of(order, slots)
        else:
            found = []
        return [*found, *self._at_values(figure, slots, found)]

    def _hints(self, figure: Figure) -> tuple[Multilinear, ...]:
        """Functions of the static orders, for figures that are known at single times only."""
        if not self.times or figure not in ("latency", "oldest"):
            return ()
        cells = [c for slots in self.families for o in STATIC for c in self._of(o, slots)]
        return tuple(dict.fromkeys(c.value for c in cells if c.times[0][0] < c.times[0][1]))

    def _at_values(
        self, figure: Figure, slots: tuple[int, ...], found: Sequence[FigureCell]
    ) -> list[FigureCell]:
        """The cells at whole values of the time that no interval covers for all large sizes."""
        more: list[FigureCell] = []
        for time in self._whole_values:
            if any(
                a <= time <= b and all(high is None for high in cell.piece.high)
                for cell in found
                for a, b in cell.times
            ):
                continue
            static = figure in CONVEX
            table = self._size_tables(slots).at((time,), static=static).get(figure)
            if table is not None:
                more += cells_at(table, (time,))
        return more

    @property
    def _has_rigid_pipelines(self) -> bool:
        """Whether pipelines stall as a whole: their stalls are not convex in the durations."""
        spec = next(iter(self.families.values())).spec
        return any(c.rigid for path in spec.arch.paths.values() for c in path)

    def _has_one_order(self, slots: tuple[int, ...]) -> bool:
        """Whether all orders are the same, for all durations."""
        if slots not in self._one_order:
            tables = self._size_tables(slots)
            self._one_order[slots] = self.times[0].kind != "latency" and tables.leaves_no_choice(
                (self._interval[1],)
            )
        return self._one_order[slots]

    @property
    def _whole_values(self) -> list[Fraction]:
        """The coordinates of the first whole values of the time."""
        (least, largest), parameter = self.values[0], self.times[0]
        last = min(floor(largest), ceil(least) + _MOST_VALUES - 1)
        return [parameter.coordinate(value) for value in range(ceil(least), last + 1)]

    def _unbounded(self, cell: FigureCell) -> FigureCell:
        """Extend the first cell to all shorter times if the figure is constant there.

        A convex function that grows with the time, and is constant on an interval, is the same
        constant at all times before it.
        """
        (a, b), value = cell.times[0], cell.value
        half = len(value.coefficients) // 2
        if a != self._interval[0] or a == b or any(value.coefficients[half:]):
            return cell
        return replace(cell, times=((Fraction(0), b),))
