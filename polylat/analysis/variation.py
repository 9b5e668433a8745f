"""A mapping scheduled once more: with other options, with free transfers, on a faster machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from polylat.analysis.mapping_energy import known_energy_by_latency
from polylat.analysis.occupancy import occupancies
from polylat.engine.folded_network import schedule_latency
from polylat.engine.orders import ScheduleChoice, schedule_mapping
from polylat.engine.solution import Solution
from polylat.errors import PolylatError
from polylat.lowering.transfers import FreeTransfer
from polylat.numbers import Number, format_number
from polylat.spec import Spec

__all__ = ["Rescheduled", "reschedule", "reschedule_with_choice"]


@dataclass(frozen=True)
class Rescheduled:
    """The latency of a variation of a mapping.

    Parameters
    ----------
    latency
        Its latency; that of a schedule that exists where it is not exact. None where there is no
        schedule, or where none is found.
    lower_bound
        The largest bound: no schedule takes less. None as for `latency`.
    exact
        Whether the latency is exact.
    reason
        Why there is no latency; empty if there is one.
    energy
        Its energy; None where there is no latency, or the architecture does not give energies.
    """

    latency: Number | None
    lower_bound: Number | None
    exact: bool
    reason: str = ""
    energy: Number | None = None

    @property
    def note(self) -> str:
        """Why there is no latency, or what it is at least where it is not exact; else empty."""
        if self.exact or self.latency is None or self.lower_bound is None:
            return self.reason
        return f"at least {format_number(self.lower_bound)}"

    def __str__(self) -> str:
        if self.latency is None or self.lower_bound is None:
            return self.reason
        if self.exact:
            return format_number(self.latency)
        return f"{format_number(self.lower_bound)} to {format_number(self.latency)}"


def reschedule(
    spec: Spec, options: Mapping[str, Any], *, free: frozenset[FreeTransfer] = frozenset()
) -> Rescheduled:
    """Schedule a variation of a mapping.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms.
    free
        Transfers that take no time.

    Returns
    -------
    Rescheduled
        Its latency, as `analyze` computes it; or why there is none.
    """
    return _rescheduled(partial(schedule_latency, free=free), spec, options)[0]


def reschedule_with_choice(
    spec: Spec, options: Mapping[str, Any]
) -> tuple[Rescheduled, ScheduleChoice | None]:
    """Schedule a variation of a mapping, and return its schedules, too.

    Parameters
    ----------
    spec, options
        As for `reschedule`.

    Returns
    -------
    (Rescheduled, ScheduleChoice or None)
        Its latency, and the schedules; None where there is no latency.
    """
    return _rescheduled(schedule_mapping, spec, options)


def _rescheduled(
    scheduling: Callable[[Spec, Mapping[str, Any]], ScheduleChoice],
    spec: Spec,
    options: Mapping[str, Any],
) -> tuple[Rescheduled, ScheduleChoice | None]:
    try:
        choice = scheduling(spec.with_pipelines(options["pipelined"]), options)
        if options["enforce_capacity"]:
            for memory in occupancies(choice.chosen):
                if memory.exceeded:
                    return Rescheduled(None, None, False, f"{memory.component} is too small"), None
    except PolylatError as error:
        return Rescheduled(None, None, False, error.what), None
    chosen = choice.chosen
    found = Rescheduled(chosen.makespan, choice.lower_bound, choice.exact, energy=_energy(chosen))
    return found, choice


def _energy(solution: Solution) -> Number | None:
    """Return the total energy; None where the architecture does not give it."""
    model = solution.model
    by_latency = known_energy_by_latency(model.lowered, model.layout, model.options)
    return None if by_latency is None else by_latency.at(solution.makespan)
