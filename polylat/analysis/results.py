"""All that is read off the schedule of a mapping: figures as fields, analyses when first asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from polylat.analysis import bandwidth_curve, relation, sensitivity
from polylat.analysis.access import AccessKey, Contention, PortUse
from polylat.analysis.bandwidth_curve import Curve
from polylat.analysis.critical_path import CriticalPath, critical_path
from polylat.analysis.evaluation import Retimer
from polylat.analysis.networkx_graph import networkx_graph
from polylat.analysis.occupancy import Occupancy, occupancies
from polylat.analysis.retiming import retimer
from polylat.analysis.roofline import Roofline
from polylat.analysis.sensitivity import Change, Sensitivity, WhatIf
from polylat.analysis.steady_state import InitiationInterval, initiation_intervals
from polylat.analysis.throughputs import Throughput, ThroughputKey
from polylat.engine.solution import Solution
from polylat.numbers import Number
from polylat.schedule.reasons import WaitedFor

if TYPE_CHECKING:
    import networkx as nx
    from islpy import UnionMap

__all__ = ["Results"]


@dataclass(frozen=True, eq=False)
class Results:
    """The latency of a mapping, the schedule that it comes from, and what is read off that.

    Times are exact, in the architecture's unit of time.

    Parameters
    ----------
    latency
        The last finish of any access, background included.
    latency_by_order
        The same for each order of the ports, with the background write-backs asked for; None
        where the order contradicts the dependences, or is `unsettled`.
    order
        The order that `latency` belongs to.
    waits_for_background
        Whether `latency` is that of the schedule without background write-backs, which is one
        of the background mapping too (only with ``order="best"``).
    granularity, tiles
        The granularity used, and the number of tile iterations.
    resource_bound
        The largest total busy time of a port.
    dependence_bound
        The last finish when no access waits for a port.
    roofline
        AccelForge's figure for the mapping.
    sequential
        This model's latency with every Pipeline as Sequential and no background; None where
        that is illegal. The best that is known where the latency is not exact.
    accesses
        (Einsum, component, tensor or None, action) → number of actions (of the busiest unit).
    ports
        Every port that serves anything.
    background
        (tensor, component written back from) pairs of the write-backs in the background.
    idle_background
        Pairs asked for that the mapping does not write back: they change nothing. None instead
        of a component: the tensor is written back from none.
    slots
        How many tiles the holders named by the capacity rule keep.
    contention
        Per Pipeline, as the Einsums of its stages: components of which each stage has units of
        its own, and components for which the stages contend.
    engine
        What computed it: ``"explicit"`` visited every tile iteration, ``"periodic"`` some, of
        which the others are copies. The result is the same.
    exact
        Whether `latency` is the latency; otherwise there is a schedule that takes so long, and
        there may be a better one.
    lower_bound
        No schedule of the mapping that was asked for takes less: `latency` where that is exact,
        else the larger of the two bounds.
    unsettled
        Orders of which it is not known what latency they have: theirs is None, too.
    solution
        The schedule of which `latency` is the makespan, with its model.
    accelforge
        AccelForge's accounting of the mapping.
    """

    latency: Number
    latency_by_order: Mapping[str, Number | None]
    order: str
    waits_for_background: bool
    granularity: str
    tiles: int
    resource_bound: Number
    dependence_bound: Number
    roofline: Number
    sequential: Number | None
    accesses: Mapping[AccessKey, Number]
    ports: tuple[PortUse, ...]
    background: tuple[tuple[str, str], ...]
    idle_background: tuple[tuple[str, str | None], ...]
    slots: int | Mapping[str, int | None] | None
    contention: tuple[Contention, ...]
    engine: str
    exact: bool
    lower_bound: Number
    unsettled: tuple[str, ...]
    solution: Solution = field(repr=False, kw_only=True)
    accelforge: Roofline = field(repr=False, kw_only=True)

    @property
    def optimal(self) -> bool:
        """Whether the latency equals the larger bound: no schedule of this mapping is faster."""
        return self.latency == max(self.resource_bound, self.dependence_bound)

    @property
    def gap(self) -> Fraction:
        """By how much the latency may be too large, as a fraction of `lower_bound`; 0 if exact."""
        if not self.lower_bound:
            return Fraction(0)
        return Fraction(self.latency) / Fraction(self.lower_bound) - 1

    @property
    def binding(self) -> Literal["resource", "dependence"]:
        """Which of the two bounds is the larger one."""
        return "resource" if self.resource_bound >= self.dependence_bound else "dependence"

    @property
    def speedup(self) -> Fraction | None:
        """How many times faster than `sequential`."""
        if self.sequential is None or self.latency == 0:
            return None
        return Fraction(self.sequential) / Fraction(self.latency)

    @cached_property
    def critical_path(self) -> CriticalPath:
        """A chain of accesses from time 0 to the latency, without a gap: a sequence of `Step`.

        Each starts when the one before it finishes. Where several chains are as long, one that
        waits for data rather than for a port.
        """
        return critical_path(self.solution)

    @cached_property
    def critical_totals(self) -> Mapping[AccessKey, Number]:
        """Time on the critical path per (Einsum, component, tensor or None, action).

        The times add up to the latency. Largest first.
        """
        return self.critical_path.totals()

    @cached_property
    def critical_reasons(self) -> Mapping[WaitedFor | None, Number]:
        """Time on the critical path by what the accesses had waited for. Largest first."""
        return self.critical_path.waits()

    @cached_property
    def initiation_intervals(self) -> tuple[InitiationInterval, ...]:
        """Per loop along which the critical path repeats: its pace, and what determines it."""
        return initiation_intervals(self.solution, self.critical_path)

    @cached_property
    def occupancy(self) -> tuple[Occupancy, ...]:
        """Occupancy of every memory: which tiles are resident when, the peak, and the size."""
        return occupancies(self.solution)

    @cached_property
    def retimer(self) -> Retimer:
        """The schedule, ready to be timed anew under other durations."""
        return retimer(self.solution, lambda: self.critical_totals)

    def sensitivity(self) -> Sensitivity:
        """Return which durations are critical, and which have slack; the order of service stays.

        Returns
        -------
        Sensitivity
            By component and action, and by access.
        """
        return sensitivity.sensitivity(self.retimer)

    def what_if(self, throughputs: Mapping[ThroughputKey, Throughput]) -> WhatIf:
        """Return the latency with other throughputs; the order of service stays.

        Parameters
        ----------
        throughputs
            Accesses → factor on their throughput, such as ``{"DRAM": 2}``. See
            `polylat.analysis.sensitivity.what_if`.

        Returns
        -------
        WhatIf
            The latency, and the critical path then.

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
        25792
        """
        return sensitivity.what_if(self.retimer, throughputs)

    def best_change(self, factor: int = 2) -> Change | None:
        """Return the action whose speed-up lowers the latency most; the order of service stays.

        Parameters
        ----------
        factor
            How many times faster one action of one component becomes.

        Returns
        -------
        Change or None
            None where no single action is known to lower the latency.
        """
        return sensitivity.best_change(self.retimer, factor)

    def curve(self, component: str, action: str | None = None) -> Curve:
        """Return the latency as a function of a bandwidth; the order of service stays.

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
        return bandwidth_curve.curve(self.retimer, component, action)

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
