"""The figures of a mapping, and the schedules that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

from polylat.analysis.access import AccessKey, Contention, PortUse
from polylat.analysis.access_counts import (
    access_counts,
    background_write_backs,
    contention,
    missing_write_backs,
    port_uses,
)
from polylat.analysis.roofline import Roofline, roofline
from polylat.engine.orders import ScheduleChoice, schedule_mapping
from polylat.engine.solution import Solution
from polylat.engine.solve import Schedules, fewer_iterations
from polylat.errors import UnsupportedError
from polylat.numbers import Number
from polylat.spec import Spec

__all__ = ["Bound", "Figures"]

Bound = Literal["resource", "dependence", "barrier"]
"""Names of the lower bounds on the latency."""


@dataclass(frozen=True, eq=False)
class Figures:
    """The latency of a mapping, its bounds, and the schedule that they are of.

    Times are exact, in the architecture's unit of time.

    Parameters
    ----------
    latency
        The last finish of any access, background included.
    latency_by_order
        The same per order of service, with the requested background write-backs; None where the
        order contradicts the dependences, or is `unsettled`.
    order
        The order that `latency` belongs to.
    keeps_barriers
        Whether `latency` is that of the mapping with every Pipeline as a Sequential, whose schedule
        is one of this mapping too (only with ``order="best"``).
    granularity, tiles
        The granularity used, and the number of tile iterations.
    resource_bound
        The largest total busy time of a port.
    dependence_bound
        The last finish when no access waits for a port.
    barrier_bound
        What the foregrounds take where the turns of each Sequential do not overlap: for a leaf its
        largest port load; for a Sequential the sum over its branches and over the iterations of the
        loops above it; for a Pipeline the larger of the largest port load of its stages together
        and the largest of the stages' own bounds.
    roofline
        AccelForge's figure for the mapping.
    sequential
        This model's latency with every Pipeline as Sequential and no background; None where
        that is illegal. The best schedule found where the latency is not exact.
    staged_holders
        (tensor, component) pairs of the holders that hand over whole tiles.
    slots
        Number of tiles that the holders named by the capacity rule keep.
    engine
        Which engine computed it: ``"explicit"`` visited every tile iteration, ``"periodic"``
        sampled some and extrapolated the others. The result is the same.
    exact
        Whether `latency` is proven; otherwise a schedule of that length exists, and a shorter one
        may exist.
    unsettled
        Orders whose latency is not determined.
    given
        The input, with its splits as the options say.
    choice
        The schedule that the figures are of, with None as `in_turn`. Its model may be that of the
        folded network, see `polylat.engine.folded_network`.
    accounted
        AccelForge's accounting of the mapping in `choice`.
    options
        All options of the analysis, in their normal forms.
    """

    latency: Number
    latency_by_order: Mapping[str, Number | None]
    order: str
    keeps_barriers: bool
    granularity: str
    tiles: int
    resource_bound: Number
    dependence_bound: Number
    barrier_bound: Number
    roofline: Number
    sequential: Number | None
    staged_holders: tuple[tuple[str, str], ...]
    slots: int | Mapping[str, int | None] | None
    engine: str
    exact: bool
    unsettled: tuple[str, ...]
    given: Spec = field(repr=False, kw_only=True)
    choice: ScheduleChoice = field(repr=False, kw_only=True)
    accounted: Roofline = field(repr=False, kw_only=True)
    options: Mapping[str, Any] = field(repr=False, kw_only=True)

    @property
    def spec(self) -> Spec:
        """The input, with all options under ``schedule``: analyzing it gives the same results."""
        return replace(self.given, schedule=dict(self.options))

    @property
    def _is_folded(self) -> bool:
        return self.choice.lowered.spec is not self.given

    @cached_property
    def _complete(self) -> ScheduleChoice:
        """The schedule of the whole network, where `choice` is that of the folded one."""
        if not self._is_folded:
            return self.choice
        found = schedule_mapping(self.given, self.options)
        if found.chosen.makespan != self.latency or not found.solved.settled:
            raise UnsupportedError(
                "the schedule of the whole network is not proven, only that of the loop over its"
                " equal blocks",
                fix=fewer_iterations(found.lowered),
            )
        return found

    @property
    def solution(self) -> Solution:
        """The schedule of which `latency` is the makespan, with its model."""
        return self._complete.chosen

    @property
    def schedules(self) -> Schedules:
        """The schedules in all orders, with the requested background write-backs."""
        return self._complete.solved

    @cached_property
    def accelforge(self) -> Roofline:
        """AccelForge's accounting of the mapping."""
        if not self._is_folded:
            return self.accounted
        return roofline(self.given, accounting=self.options["accounting"])

    @cached_property
    def accesses(self) -> Mapping[AccessKey, Number]:
        """(Einsum, component, tensor or None, action) → number of actions (of the busiest unit)."""
        return access_counts(self.schedules.model)

    @cached_property
    def ports(self) -> tuple[PortUse, ...]:
        """Every port that serves anything."""
        return port_uses(self.solution)

    @cached_property
    def _write_backs(self) -> set[tuple[str, str]]:
        return background_write_backs(self.schedules.model)

    @cached_property
    def background(self) -> tuple[tuple[str, str], ...]:
        """(tensor, component written back from) pairs of the write-backs in the background."""
        return tuple(sorted(self.schedules.model.options.background & self._write_backs))

    @cached_property
    def idle_background(self) -> tuple[tuple[str, str | None], ...]:
        """Requested write-backs that have no effect.

        (tensor, None) where the tensor is written back from no component.
        """
        return missing_write_backs(self.options["background"], self._write_backs)

    @cached_property
    def contention(self) -> tuple[Contention, ...]:
        """Per Pipeline, given as the Einsums of its stages: what its stages share.

        Components of which each stage has units of its own, and components for which the stages
        contend.
        """
        return contention(self.schedules.model)

    @property
    def unmapped(self) -> tuple[str, ...]:
        """Names of the Einsums of the input that the mapping does not compute; left out."""
        return self.given.workload.unmapped

    @property
    def merged_holders(self) -> tuple[tuple[str, str], ...]:
        """(tensor, component) pairs that each branch of a split holds: one buffer for all."""
        return tuple(self.given.mapping.merged_holders())

    @property
    def optimal(self) -> bool:
        """Whether the latency equals the largest bound: no schedule of this mapping is faster."""
        return self.latency == self.lower_bound

    @property
    def bounds(self) -> Mapping[Bound, Number]:
        """The three bounds by name: no schedule of the mapping is faster than any of them."""
        return {
            "resource": self.resource_bound,
            "dependence": self.dependence_bound,
            "barrier": self.barrier_bound,
        }

    @property
    def lower_bound(self) -> Number:
        """The largest of the bounds: no schedule of the mapping, in any order, is faster."""
        return max(self.bounds.values())

    @property
    def gap(self) -> Fraction:
        """By how much the latency exceeds `lower_bound`, as a fraction of that; 0 if optimal."""
        if not self.lower_bound:
            return Fraction(0)
        return Fraction(self.latency) / Fraction(self.lower_bound) - 1

    @property
    def binding(self) -> Bound:
        """The largest of the three bounds; the first one, in the order of `bounds`, of several."""
        bounds = self.bounds
        return max(bounds, key=lambda name: bounds[name])

    @property
    def speedup(self) -> Fraction | None:
        """`sequential` as a multiple of `latency`; None where one is missing or zero."""
        if self.sequential is None or self.latency == 0:
            return None
        return Fraction(self.sequential) / Fraction(self.latency)
