"""Candidates: the mapper's mappings, first with lower bounds, then with their schedules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from polylat.analysis.mapping_energy import EnergyByLatency, known_energy_by_latency
from polylat.analysis.occupancy import (
    Occupancy,
    check_capacity,
    largest_peaks,
    occupancies,
    peak_or_none,
)
from polylat.engine.orders import schedule_mapping, transfer_options
from polylat.engine.sampled_bounds import model_for_bounds
from polylat.errors import TooLargeError
from polylat.lowering.lowered import lower, lower_requested
from polylat.numbers import Number, reduce_number
from polylat.spec import Spec

__all__ = ["Bounds", "Timed", "bound_mapping", "time_mapping"]


@dataclass(frozen=True)
class Bounds:
    """Lower bounds of a mapping, determined without a schedule.

    Parameters
    ----------
    resource, barrier
        As in `polylat.Report`; zero where not even these could be determined.
    energy
        The energy by latency; None if the architecture does not give it.
    """

    resource: Number
    barrier: Number
    energy: EnergyByLatency | None

    @property
    def latency(self) -> Number:
        """The larger of the bounds."""
        return max(self.resource, self.barrier)

    @property
    def least_energy(self) -> Number | None:
        """A lower bound on the energy: that of the least latency."""
        return None if self.energy is None else self.energy.at(self.latency)


@dataclass(frozen=True)
class Timed:
    """A mapping with its schedule: what `polylat.analyze` finds.

    Parameters
    ----------
    latency, order, exact, lower_bound
        As in `polylat.Report`.
    resource_bound, dependence_bound, barrier_bound
        As in `polylat.Report`.
    energy
        The total energy; None if the architecture does not give it.
    peaks
        (memory, its peak in bits) in the order of the architecture, of several ranges of units the
        largest; None where it cannot be determined.
    fits
        Whether no memory exceeds its size; None where it is not known.
    """

    latency: Number
    order: str
    exact: bool
    lower_bound: Number
    resource_bound: Number
    dependence_bound: Number
    barrier_bound: Number
    energy: Number | None
    peaks: tuple[tuple[str, Number | None], ...]
    fits: bool | None

    @property
    def optimal(self) -> bool:
        """Whether the latency equals the largest bound."""
        return self.latency == max(self.resource_bound, self.dependence_bound, self.barrier_bound)


def bound_mapping(spec: Spec, options: Mapping[str, Any]) -> Bounds:
    """Determine lower bounds on latency and energy, from a small sample of the tile iterations.

    Parameters
    ----------
    spec, options
        As from `polylat.report.normalize_input`.

    Returns
    -------
    Bounds
        They hold for every schedule of the mapping with these options.

    Raises
    ------
    PolylatError
        The mapping is illegal, or not modelled.
    """
    transfers = transfer_options(spec, options)
    lowered = lower_requested(
        partial(lower, spec), options["granularity"], transfers, options["max_tiles"]
    )
    try:
        model = model_for_bounds(lowered, transfers, options["max_tiles"])
    except TooLargeError:
        model = None
    if model is None:
        return Bounds(0, 0, None)
    scale = model.costs.scale
    return Bounds(
        reduce_number(Fraction(model.resource_bound, scale)),
        reduce_number(Fraction(model.barrier_bound, scale)),
        known_energy_by_latency(model.lowered, model.layout, model.options),
    )


def time_mapping(spec: Spec, options: Mapping[str, Any]) -> Timed:
    """Schedule a mapping as `polylat.analyze` does, without what only its reports show.

    Parameters
    ----------
    spec, options
        As from `polylat.report.normalize_input`.

    Returns
    -------
    Timed
        The same values as in the mapping's `polylat.Report`.

    Raises
    ------
    PolylatError
        As raised by `polylat.analyze`.
    """
    choice = schedule_mapping(spec, options)
    memories = occupancies(choice.chosen)
    if options["enforce_capacity"]:
        check_capacity(memories)
    resource, dependence, barrier = choice.bounds
    model = choice.solved.model
    energy = known_energy_by_latency(model.lowered, model.layout, model.options)
    latency = choice.chosen.makespan
    return Timed(
        latency,
        choice.chosen.order or "",
        choice.exact,
        choice.lower_bound,
        resource,
        dependence,
        barrier,
        None if energy is None else energy.at(latency),
        tuple(largest_peaks(memories).items()),
        _fits(memories),
    )


def _fits(memories: Iterable[Occupancy]) -> bool | None:
    """Return whether all memories fit; None where that is not known."""
    fits: bool | None = True
    for memory in memories:
        peak = peak_or_none(memory)
        if peak is not None and memory.size is not None and peak > memory.size:
            return False
        if peak is None:
            fits = None
    return fits
