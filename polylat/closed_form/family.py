"""The family of mappings that the values of the parameters describe, and their exact figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Any

from polylat.analysis.access import AccessKey
from polylat.analysis.access_counts import access_counts
from polylat.analysis.occupancy import occupancies
from polylat.analysis.roofline import roofline
from polylat.closed_form.parameters import Parameter
from polylat.engine.model import Model
from polylat.engine.orders import ScheduleChoice, schedule_mapping, transfer_options
from polylat.engine.sampling_search import Inputs
from polylat.errors import PolylatError
from polylat.lowering.accesses.shared_blocks import CountedBlocks
from polylat.lowering.lowered import Granularity, LoweredMapping, lower
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.timing import ORDERS, Order
from polylat.spec import Spec

__all__ = [
    "CONVEX",
    "LOWER_BOUNDS",
    "PEAK",
    "STATIC",
    "Figure",
    "Figures",
    "MappingFamily",
    "Point",
]

Figure = str | AccessKey
"""``"latency"``, an order, a bound, ``"roofline"``, ``"peak of "`` and a memory; or an access: how
many actions."""

Figures = Mapping[Figure, Fraction]

STATIC: tuple[Order, ...] = ("program", "skew")
"""The orders that do not depend on times."""

LOWER_BOUNDS = ("resource_bound", "dependence_bound", "barrier_bound")
"""The lower bounds of every schedule."""

CONVEX = frozenset({*STATIC, *LOWER_BOUNDS, "roofline"})
"""Figures that are convex in the durations: maxima of sums of them, over fixed paths and loads."""

PEAK = "peak of "
"""Begins the name of a peak occupancy."""

Point = tuple[tuple[int, ...], tuple[Fraction, ...]]
"""Sizes, and times (see `Parameter.coordinate`)."""

_MOST_COUNTED = 1 << 20
"""Largest number of tile iterations whose numbers of accesses are kept."""


@dataclass(eq=False)
class MappingFamily:
    """The mappings that the values of the parameters describe.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms; `granularity` is a definite one.
    sizes, times
        The parameters that are sizes, and those that are times.
    """

    spec: Spec
    options: Mapping[str, Any]
    sizes: tuple[Parameter, ...]
    times: tuple[Parameter, ...]
    _figures: dict[Point, Figures | None] = field(default_factory=dict)
    _peaks: dict[Point, Figures] = field(default_factory=dict)
    _counted: CountedBlocks = field(default_factory=CountedBlocks)

    def spec_at(self, point: Point) -> Spec:
        """Return the input with values in place of the parameters.

        Parameters
        ----------
        point
            The values.

        Returns
        -------
        Spec
            The changed input.
        """
        spec = self.spec
        for parameter, size in zip(self.sizes, point[0], strict=True):
            spec = parameter.apply(spec, size)
        for parameter, time in zip(self.times, point[1], strict=True):
            spec = parameter.apply(spec, time)
        return spec

    def inputs_at(self, point: Point) -> Inputs:
        """Return the lowered mapping with values in place of the parameters.

        Parameters
        ----------
        point
            The values.

        Returns
        -------
        Inputs
            The mapping, with the options of its transfers.
        """
        spec = self.spec_at(point)
        transfers = transfer_options(spec, self.options)
        return Inputs(self._lower(spec, self.options["granularity"], transfers), transfers)

    def figures_at(self, point: Point) -> Figures | None:
        """Analyze the mapping with values in place of the parameters.

        Parameters
        ----------
        point
            The values.

        Returns
        -------
        dict or None
            The exact figures; None where the mapping is illegal, too large, or its latency is not
            known exactly. An order that contradicts the dependences is missing.
        """
        if point not in self._figures:
            try:
                self._figures[point] = self._analyze(point)
            except PolylatError:
                self._figures[point] = None
        return self._figures[point]

    def peaks_at(self, point: Point) -> Figures:
        """Return the peak occupancies with values in place of the parameters.

        Parameters
        ----------
        point
            The values.

        Returns
        -------
        dict
            Figure → the most bits that a unit of the memory holds, in the schedule of the latency;
            empty where the mapping is illegal, or its latency is not known exactly.
        """
        if point not in self._peaks:
            found: dict[Figure, Fraction] = {}
            try:
                choice = self._schedule(self.spec_at(point))
                if choice.exact and not choice.coarse:
                    for memory in occupancies(choice.chosen):
                        figure = PEAK + memory.component
                        found[figure] = max(found.get(figure, Fraction(0)), Fraction(memory.peak))
            except PolylatError:
                found = {}
            self._peaks[point] = found
        return self._peaks[point]

    def _schedule(self, spec: Spec) -> ScheduleChoice:
        return schedule_mapping(spec, self.options, lowering=partial(self._lower, spec))

    def _lower(
        self, spec: Spec, granularity: Granularity, transfers: TransferOptions
    ) -> LoweredMapping:
        """Lower a mapping; of those that differ only in times, accesses are counted once."""
        if self._counted.iterations > _MOST_COUNTED:
            self._counted = CountedBlocks()
        return lower(spec, granularity, transfers, counted=self._counted)

    def _analyze(self, point: Point) -> Figures | None:
        spec = self.spec_at(point)
        choice = self._schedule(spec)
        if choice.coarse or not choice.exact:
            return None
        solutions = choice.solved.solutions
        found: dict[Figure, Fraction] = {"latency": Fraction(choice.chosen.makespan)}
        for order in ORDERS:
            if order in solutions and solutions[order].legal:
                found[order] = Fraction(solutions[order].makespan)
        resource, dependence, barrier = map(Fraction, choice.bounds)
        found |= {"resource_bound": resource, "dependence_bound": dependence}
        found |= {"barrier_bound": barrier, "roofline": Fraction(roofline(spec).latency)}
        return {**found, **self.counts(choice.solved.model)}

    @staticmethod
    def counts(model: Model) -> Figures:
        """Count the actions of every access.

        Parameters
        ----------
        model
            The mapping.

        Returns
        -------
        dict
            Access → number of actions of the busiest unit.
        """
        return {key: Fraction(n) for key, n in access_counts(model).items()}

    def with_slots(self, name: str | None, slots: int | None) -> MappingFamily:
        """Return the family with another number of slots.

        Parameters
        ----------
        name
            A name in the option `slots`; None: all holders.
        slots
            The number; None: unlimited.

        Returns
        -------
        MappingFamily
            The family.
        """
        given = self.options["slots"]
        if name is None:
            new: Any = slots
        else:
            others = given if isinstance(given, Mapping) else {}
            new = {**others, name: slots}
        return replace(self, options={**self.options, "slots": new}, _figures={}, _peaks={})
