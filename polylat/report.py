"""The result of `analyze`: what it is, why, and what binds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polylat.exact import Number
from polylat.files import ending

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd
    from islpy import UnionMap

    from polylat.accounting import Roofline
    from polylat.certificate import Certificate
    from polylat.critical import CriticalPath
    from polylat.draw.tree import Tree
    from polylat.intervals import InitiationInterval
    from polylat.model import Model
    from polylat.occupancy import Occupancy
    from polylat.repeating_path import RepeatingPath
    from polylat.retime import Retimer
    from polylat.schedule.timing import Timing
    from polylat.sensitivity import Curve, Sensitivity, Throughput, ThroughputKey, WhatIf
    from polylat.timeline import Scene, Timeline

__all__ = ["AccessKey", "Number", "PortUse", "Report", "Step", "WaitedFor"]

AccessKey = tuple[str, str, str | None, str]
"""(Einsum, component, tensor or None, action)"""
WaitedFor = Literal["flow", "barrier", "capacity", "port"]


@dataclass(frozen=True)
class Step:
    """An access on the critical path.

    Parameters
    ----------
    einsum
        Its Einsum.
    tile
        Its tile iteration: (rank variable, index) per Temporal loop, outer to inner.
    component, port
        Where it is served. `port` is empty where the component has one only.
    tensor, action
        What is done: the tensor is None for a computation, and for ``"overhead"``, the constant
        in a component's ``total_latency``.
    start, finish
        When.
    waited_for
        Why it starts no earlier: *flow* (data), *barrier* (a Sequential), *capacity* (the place
        of a tile), *port* (the port was busy); None at time 0.
    """

    einsum: str
    tile: tuple[tuple[str, int], ...]
    component: str
    port: str
    tensor: str | None
    action: str
    start: Number
    finish: Number
    waited_for: WaitedFor | None

    @property
    def duration(self) -> Number:
        """How long it is served."""
        return self.finish - self.start


@dataclass(frozen=True)
class PortUse:
    """How busy a port is.

    Parameters
    ----------
    component, port
        The port. `port` is empty where the component has one only.
    stages
        The Pipeline stages whose own units these are, each as its Einsums joined by ``+``; empty
        where the stages contend for the port.
    busy
        Time that it serves accesses, background included.
    utilization
        Busy time as a fraction of the latency.
    """

    component: str
    port: str
    stages: tuple[str, ...]
    busy: Number
    utilization: Fraction

    @property
    def name(self) -> str:
        """The port in one word, such as ``SRAM``, ``SRAM.read`` or ``mac[e1]``."""
        name = f"{self.component}.{self.port}" if self.port else self.component
        return name + "".join(f"[{stage}]" for stage in self.stages)


@dataclass(frozen=True, eq=False)
class Report:
    """Latency of a mapping that respects its dependences, and where it comes from.

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
    _model: Model = field(repr=False, kw_only=True)
    _timing: Timing = field(repr=False, kw_only=True)
    _roofline: Roofline = field(repr=False, kw_only=True)

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

    @property
    def critical_path(self) -> Sequence[Step]:
        """A chain of accesses from time 0 to the latency, without a gap.

        Each starts when the one before it finishes. Where several chains are as long, one that
        waits for data rather than for a port.
        """
        return self._critical_path

    @cached_property
    def critical_totals(self) -> Mapping[AccessKey, Number]:
        """Time on the critical path per (Einsum, component, tensor or None, action).

        The times add up to the latency. Largest first.
        """
        return self._critical_path.totals()

    @cached_property
    def critical_waits(self) -> Mapping[WaitedFor | None, Number]:
        """Time on the critical path by what the accesses had waited for. Largest first."""
        return self._critical_path.waits()

    @cached_property
    def _critical_path(self) -> CriticalPath | RepeatingPath:
        if self.engine == "periodic":
            from polylat.repeating_path import repeating_path

            return repeating_path(self._model, self._timing)
        from polylat.critical import critical_path

        return critical_path(self._model, self._timing)

    @cached_property
    def initiation_interval(self) -> tuple[InitiationInterval, ...]:
        """Per loop along which the critical path repeats: its pace, and what determines it."""
        from polylat.intervals import initiation_intervals

        return initiation_intervals(self)

    @cached_property
    def occupancy(self) -> tuple[Occupancy, ...]:
        """Occupancy of every memory: which tiles are resident when, the peak, and the size."""
        from polylat.occupancy import occupancies

        return occupancies(self._model, self._timing)

    def to_dict(self, *, steps: int | None = 0) -> dict[str, Any]:
        """The report as plain data for JSON, as ``docs/json.md`` describes it.

        Parameters
        ----------
        steps
            How many steps of the critical path to list, from time 0 on; None for all.
        """
        from polylat.jsonform import report_to_dict

        return report_to_dict(self, steps=steps)

    def sensitivity(self) -> Sensitivity:
        """Which durations count, and which could be longer for free; the order of service stays."""
        from polylat.sensitivity import sensitivity

        return sensitivity(self)

    def what_if(self, throughputs: Mapping[ThroughputKey, Throughput]) -> WhatIf:
        """The latency with other throughputs, such as ``{"DRAM": 2}``; the order of service stays.

        See `polylat.sensitivity.what_if`.
        """
        from polylat.sensitivity import what_if

        return what_if(self, throughputs)

    def curve(self, component: str, action: str | None = None) -> Curve:
        """The latency as a function of a component's bandwidth; the order of service stays.

        See `polylat.sensitivity.curve`.
        """
        from polylat.sensitivity import curve

        return curve(self, component, action)

    @cached_property
    def _retimer(self) -> Retimer:
        from polylat.retime import retimer

        return retimer(self)

    def schedule(self) -> UnionMap:
        """The schedule as an ISL relation: access of a tile iteration → when it starts.

        Times are steps of ``1 / time_scale``. See `polylat.relation.schedule_relation`.
        """
        from polylat.relation import schedule_relation

        return schedule_relation(self._model, self._timing)

    @property
    def time_scale(self) -> int:
        """Steps of time in `schedule` and `occupancy_relation` per unit of time."""
        return self._model.costs.scale

    def occupancy_relation(self, component: str) -> UnionMap:
        """The occupancy of a memory as an ISL relation: time → tiles that are resident then.

        See `polylat.relation.occupancy_relation`.
        """
        from polylat.relation import occupancy_relation

        return occupancy_relation(self._model, self._timing, component)

    def to_networkx(
        self, *, limit: int = 10_000, window: tuple[Number, Number] | None = None
    ) -> nx.DiGraph[int]:
        """The task graph, or what of it is served in a window of time.

        See `polylat.network.task_graph`.
        """
        from polylat.network import task_graph

        return task_graph(self._model, self._timing, limit=limit, window=window)

    def timeline(
        self,
        *,
        window: tuple[Number, Number] | None = None,
        fold: bool | None = None,
        limit: int = 400,
        title: str | None = None,
    ) -> Timeline:
        """What every port serves when, and how full the memories are: a value that draws itself.

        See `polylat.timeline.timeline`.
        """
        from polylat.timeline import timeline

        return timeline(self, window=window, fold=fold, limit=limit, title=title)

    @cached_property
    def _scene(self) -> Scene:
        from polylat.timeline import Scene

        return Scene(self)

    def to_perfetto(
        self,
        path: str | Path,
        *,
        window: tuple[Number, Number] | None = None,
        limit: int = 100_000,
    ) -> Path:
        """Write a trace that Perfetto and ``chrome://tracing`` load.

        One track per port, what bars waited for as arrows, and the memories as counters. A unit
        of time is a microsecond there.

        Parameters
        ----------
        path
            Where to: a name that ends in ``.json``.
        window
            (from, to): only what is served between these times.
        limit
            Of more bars, what repeats is there once.

        Raises
        ------
        OptionError
            The name ends otherwise, or the file cannot be written.
        """
        from polylat.draw.perfetto import write_trace

        ending(path, (".json",), "traces")
        return write_trace(self.timeline(window=window, limit=limit), path)

    def mapping_tree(self) -> Tree:
        """The mapping as a tree, what is on the critical path marked, to be drawn."""
        from polylat.draw.tree import mapping_tree

        return mapping_tree(self._model.lowered.spec.mapping, report=self)

    def to_html(self, **options: Any) -> str:
        """All of it as one self-contained page, which works offline.

        Parameters
        ----------
        **options
            As for `polylat.draw.page.report_page`.
        """
        from polylat.draw.page import report_page

        return report_page(self, **options)

    def accesses_frame(self) -> pd.DataFrame:
        """A row per access: actions, and time on the critical path. See `polylat.frames`."""
        from polylat.frames import accesses_frame

        return accesses_frame(self)

    def ports_frame(self) -> pd.DataFrame:
        """A row per port and Einsum: how long it is busy. See `polylat.frames`."""
        from polylat.frames import ports_frame

        return ports_frame(self)

    def critical_frame(self, limit: int = 10_000) -> pd.DataFrame:
        """A row per step of the critical path. See `polylat.frames`."""
        from polylat.frames import critical_frame

        return critical_frame(self, limit)

    def sensitivity_frame(self) -> pd.DataFrame:
        """A row per access: slack, and the latency without it. See `polylat.frames`."""
        from polylat.frames import sensitivity_frame

        return sensitivity_frame(self)

    def occupancy_frame(self, *, window: tuple[Number, Number] | None = None) -> pd.DataFrame:
        """A row per change of what a memory holds. See `polylat.frames`."""
        from polylat.frames import occupancy_frame

        return occupancy_frame(self, window)

    def _repr_html_(self) -> str:
        from polylat.draw.html import report_html

        return report_html(self)

    def verify(self) -> Certificate:
        """Prove that the schedule keeps every rule of the model and ends at the latency.

        Raises
        ------
        CertificateError
            It does not.
        """
        from polylat.certificate import verify_report

        return verify_report(self)

    def __str__(self) -> str:
        from polylat.text import report_text

        return report_text(self)


@dataclass(frozen=True)
class Contention:
    """Whether the stages of a Pipeline share an array or contend for it.

    Parameters
    ----------
    stages
        The stages, each as its Einsums joined by ``+``.
    own
        Components of which each stage has units of its own.
    shared
        Components for whose ports the stages contend.
    """

    stages: tuple[str, ...]
    own: tuple[str, ...]
    shared: tuple[str, ...]
