"""The results of a mapping: figures as fields, and analyses that are computed on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from typing import TYPE_CHECKING

from polylat.analysis import bandwidth_curve, relation, sensitivity
from polylat.analysis.access import AccessKey
from polylat.analysis.access_counts import inputs_from_start
from polylat.analysis.bandwidth_curve import Curve
from polylat.analysis.changes import Changes
from polylat.analysis.critical_path import CriticalPath, critical_path
from polylat.analysis.energy import Energy
from polylat.analysis.evaluation import Retimer
from polylat.analysis.figures import Figures
from polylat.analysis.mapping_energy import mapping_energy
from polylat.analysis.mechanisms import Mechanisms, mechanisms_of
from polylat.analysis.networkx_graph import networkx_graph
from polylat.analysis.occupancy import Occupancy, occupancies
from polylat.analysis.recurrences import Recurrence, recurrences
from polylat.analysis.recurrent_changes import recurrent_changes
from polylat.analysis.refetches import Refetch, refetches
from polylat.analysis.retiming import retimer
from polylat.analysis.sensitivity import Sensitivity, WhatIf
from polylat.analysis.single_changes import single_changes
from polylat.analysis.staging import DoubleBuffering, buffers_of, staged_schedules
from polylat.analysis.steady_state import InitiationInterval, initiation_intervals
from polylat.analysis.throughputs import Throughput, ThroughputKey
from polylat.analysis.transfer_cost import (
    Direction,
    TransferCost,
    named_holder,
    relevant_write_backs,
    transfer_cost,
)
from polylat.analysis.variation import Rescheduled
from polylat.analysis.work import work_of
from polylat.engine.orders import ScheduleChoice
from polylat.errors import SpecError, UnsupportedError
from polylat.lowering.padding import Padding, padding_reads
from polylat.numbers import Number
from polylat.schedule.reasons import WaitedFor
from polylat.spec.arguments import normalize_count
from polylat.spec.names import KnownNames, known_names

if TYPE_CHECKING:
    import networkx as nx
    from islpy import UnionMap

__all__ = ["Results"]

_MOST_FACTORS = 8
"""Number of factors whose changes a report remembers."""


@dataclass(frozen=True, eq=False)
class Results(Figures):
    """The latency of a mapping, its schedule, and the analyses of that schedule.

    Times are exact, in the architecture's unit of time.

    Parameters
    ----------
    latency, latency_by_order, order, keeps_barriers, granularity, tiles
        As in `polylat.analysis.figures.Figures`, and so are the other fields.
    """

    @cached_property
    def _known_names(self) -> KnownNames:
        spec = self.given
        return known_names(spec.workload, spec.arch.order, spec.mapping)

    @cached_property
    def staged(self) -> Number | None:
        """The latency with ``staged="all"`` and the same slots; None where there is no schedule.

        Without recurrences, streaming is the fastest that handing over could be; staged tiles are
        what double-buffered hardware does.
        """
        found = self._staged_schedules
        return None if found is None else found.chosen.makespan

    @cached_property
    def _staged_schedules(self) -> ScheduleChoice | None:
        return staged_schedules(self.given, self.options)

    @cached_property
    def double_buffering(self) -> tuple[DoubleBuffering, ...]:
        """What each memory holds with ``staged="all"`` and two slots, and whether that fits."""
        spec, options = self.given, {**self.options, "slots": 2}
        same = options == self.options
        found = self._staged_schedules if same else staged_schedules(spec, options)
        return () if found is None else buffers_of(found)

    @cached_property
    def critical_path(self) -> CriticalPath:
        """The critical path: a sequence of `Step` from time 0 to the latency, without a gap.

        Each step starts when its predecessor finishes. Of several critical paths, one that waits
        for data rather than for a port. An `UnsupportedError` where it cannot be traced, see
        `undetermined`.
        """
        if isinstance(self._path, UnsupportedError):
            raise self._path
        return self._path

    @cached_property
    def _path(self) -> CriticalPath | UnsupportedError:
        try:
            return critical_path(self.solution)
        except UnsupportedError as error:
            return error

    @cached_property
    def critical_totals(self) -> Mapping[AccessKey, Number]:
        """Time on the critical path per (Einsum, component, tensor or None, action).

        The times add up to the latency. Largest first.
        """
        return self.critical_path.totals()

    @cached_property
    def critical_reasons(self) -> Mapping[WaitedFor | None, Number]:
        """Time on the critical path by the reason for which accesses waited. Largest first."""
        return self.critical_path.waits()

    @cached_property
    def initiation_intervals(self) -> tuple[InitiationInterval, ...]:
        """The initiation interval of each loop in which the critical path repeats.

        An `UnsupportedError` where that cannot be traced, see `undetermined`.
        """
        return initiation_intervals(self.solution, self.critical_path)

    @cached_property
    def recurrences(self) -> tuple[Recurrence, ...]:
        """What Einsums read of what they, or later ones, compute: per ring, its time per step.

        The slowest first, each beside the busy times of the ports per step. Empty without
        recurrences.
        """
        if not self.solution.model.lowered.has_recurrences:
            return ()
        return recurrences(self.schedules.unlimited)

    @cached_property
    def undetermined(self) -> Mapping[str, str]:
        """Analyses that cannot be completed for this schedule, each with the reason; mostly none.

        The keys are ``"critical_path"`` (with the totals and reasons derived from it) and
        ``"initiation_intervals"``.
        """
        found = {}
        for name in ("critical_path", "initiation_intervals"):
            try:
                getattr(self, name)
            except UnsupportedError as error:
                found[name] = str(UnsupportedError(error.what, fix=error.fix))
        return found

    @cached_property
    def occupancy(self) -> tuple[Occupancy, ...]:
        """The occupancy of every memory: resident tiles over time, peak and size."""
        return occupancies(self.solution)

    @cached_property
    def energy(self) -> Energy:
        """The energy of all actions in all units, and of leakage during `latency`.

        Raises
        ------
        SpecError
            The architecture does not give the energy of an action.
        UnsupportedError
            A leak power depends on the Einsum.
        """
        model = self.solution.model
        return mapping_energy(model.lowered, model.layout, model.options, self.latency)

    @cached_property
    def known_energy(self) -> Energy | None:
        """`energy`; None where the architecture does not give it."""
        try:
            return self.energy
        except (SpecError, UnsupportedError):
            return None

    @cached_property
    def retimer(self) -> Retimer:
        """Computes the times of the schedule for other durations."""
        return retimer(self.solution, lambda: self.critical_totals)

    def cost_of(
        self, transfer: str | tuple[str, str], direction: Direction = "both"
    ) -> TransferCost:
        """Return what the transfers between a holder and the one above it cost.

        Parameters
        ----------
        transfer
            The holder: ``"o2@SRAM"``, ``("o2", "SRAM")``, or ``"o2"`` where the tensor has a single
            one.
        direction
            ``"out"``: its write-backs; ``"in"``: its fetches; ``"both"``.

        Returns
        -------
        TransferCost
            The latency as it is, without the transfers, and with the write-backs in the background
            or waited for; each by an analysis of its own.

        Raises
        ------
        OptionError
            There is no such holder, or it has no such transfers.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
        >>> spec = polylat.load(*files)
        >>> cost = polylat.analyze(spec).cost_of("o2@SRAM")
        >>> cost.cost, cost.without.latency, cost.background.latency
        (512, 31744, 31752)
        >>> polylat.analyze(spec, background="o2").cost_of("o2@SRAM").cost
        8
        """
        return self._known_costs(named_holder(transfer, self._known_names), direction)

    @cached_property
    def _known_costs(self) -> Callable[..., TransferCost]:
        """`transfer_cost`, which remembers its results."""
        now = Rescheduled(self.latency, self.lower_bound, self.exact)
        return cache(partial(transfer_cost, self.solution.model, self.options, now))

    @cached_property
    def write_backs(self) -> tuple[tuple[str, str], ...]:
        """The write-backs of tensors that Einsums read, and those in the background.

        Tensor and component of the holders, in the order of the tree. `cost_of` analyzes each.
        """
        return relevant_write_backs(self.solution.model, self._known_names, self.background)

    def mechanisms(self) -> Mechanisms:
        """Analyze the mapping under each mechanism that decides what overlaps.

        Sequential splits, write-backs in the background, staged tiles, Pipelines; whatever the
        mapping and the options say of these.

        Returns
        -------
        Mechanisms
            The latencies, next to AccelForge's, each by an analysis of its own.
        """
        spec = self.given
        return mechanisms_of(spec, self.options, self._known_names, self.roofline)

    @cached_property
    def inputs_from_start(self) -> tuple[str | None, dict[str, tuple[str, ...]]]:
        """The outermost memory, and component → inputs that it holds and nothing brings there.

        Bringing them is not part of the latency.
        """
        return inputs_from_start(self.solution.model)

    @cached_property
    def padding(self) -> tuple[Padding, ...]:
        """The elements that Einsums read and no Einsum computes, by reader and tensor."""
        return padding_reads(self.solution.model.lowered.leaves)

    @cached_property
    def refetches(self) -> tuple[Refetch, ...]:
        """What Einsums fetch back from where their producer has written it.

        Each with the mapping that keeps it, and that mapping's latency.
        """
        energy = None if self.known_energy is None else self.known_energy.total
        return refetches(self.solution.model, self.options, energy)

    def sensitivity(self, *, by_access: bool = True) -> Sensitivity:
        """Return which durations are critical and which have slack; the order of service is kept.

        Parameters
        ----------
        by_access
            Whether to compute the rows by access, too, which takes long in a large network.

        Returns
        -------
        Sensitivity
            By component and action, and by access.
        """
        return self._known_sensitivities(by_access)

    @cached_property
    def _known_sensitivities(self) -> Callable[[bool], Sensitivity]:
        """`sensitivity`, which remembers its results."""
        return cache(partial(sensitivity.sensitivity, self.retimer))

    def what_if(self, throughputs: Mapping[ThroughputKey, Throughput]) -> WhatIf:
        """Return the latency with other throughputs; the order of service is kept.

        Parameters
        ----------
        throughputs
            Accesses → factor on their throughput, such as ``{"DRAM": 2}``. See
            `polylat.analysis.sensitivity.what_if`.

        Returns
        -------
        WhatIf
            The latency, and its critical path.

        Raises
        ------
        OptionError
            A name does not exist, or a factor is not a number above zero.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
        >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
        >>> report.what_if({"DRAM": 2}).latency
        25824
        """
        return sensitivity.what_if(self.retimer, throughputs)

    def changes(self, factor: int = 2) -> Changes:
        """Analyze every single change of the schedule and of the machine.

        Each split as a Pipeline, each write-back in the background, each memory staged, more slots;
        each component, and each of its actions, faster; and what helps against a recurrence: loops
        inside, smaller fixed latencies, its state in an inner memory, its inputs staged.

        Parameters
        ----------
        factor
            Factor on throughputs.

        Returns
        -------
        Changes
            The changes, each with its latency by an analysis of its own; the best first.

        Raises
        ------
        OptionError
            The factor is not a whole number above one.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
        >>> best = polylat.analyze(polylat.load(*files)).changes().best
        >>> best.what, best.latency
        ('all splits as Pipelines', 24576)
        """
        return self._known_changes(normalize_count("factor", factor))

    @cached_property
    def _known_changes(self) -> Callable[[int], Changes]:
        """`single_changes`, which remembers its results."""
        model, known, options = self.solution.model, self._known_names, self.options
        own = recurrent_changes(model, options, known, self.recurrences)
        work = work_of(self.choice.solved.model)
        given = model, options, known, self.refetches, self.latency, work
        return lru_cache(_MOST_FACTORS)(partial(single_changes, *given, own.changes, own.remarks))

    def curve(self, component: str, action: str | None = None) -> Curve:
        """Return the latency as a function of a bandwidth; the order of service is kept.

        Parameters
        ----------
        component
            The component.
        action
            One of its actions; None for all of them.

        Returns
        -------
        Curve
            A convex, piecewise linear function.

        Raises
        ------
        OptionError
            There is no such component or action.
        """
        return bandwidth_curve.bandwidth_curve(self.retimer, component, action)

    def schedule(self) -> UnionMap:
        """Return the schedule as an ISL relation: access of a tile iteration → when it starts.

        Returns
        -------
        islpy.UnionMap
            Times are steps of ``1 / time_scale``. See
            `polylat.analysis.relation.schedule_relation`.
        """
        return relation.schedule_relation(self.solution)

    @property
    def time_scale(self) -> int:
        """Steps of time in `schedule` and `occupancy_relation` per unit of time."""
        return self.solution.scale

    def occupancy_relation(self, component: str) -> UnionMap:
        """Return the occupancy of a memory as an ISL relation: time → tiles resident then.

        Parameters
        ----------
        component
            The memory.

        Returns
        -------
        islpy.UnionMap
            Times are steps of ``1 / time_scale``. See
            `polylat.analysis.relation.occupancy_relation`.

        Raises
        ------
        OptionError
            No such memory holds anything.
        """
        return relation.occupancy_relation(self.solution, component)

    def to_networkx(
        self, *, limit: int = 10_000, window: tuple[Number, Number] | None = None
    ) -> nx.DiGraph[int]:
        """Return the task graph, or the part of it that is served in a window of time.

        Parameters
        ----------
        limit
            Largest number of tasks.
        window
            (from, to): only tasks that are served between these times.

        Returns
        -------
        networkx.DiGraph
            See `polylat.analysis.networkx_graph.networkx_graph`.

        Raises
        ------
        TooLargeError
            There are more than `limit` tasks.
        """
        return networkx_graph(self.solution, limit=limit, window=window)
