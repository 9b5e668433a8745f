"""A mapping under given options: its numbering, dependences, durations and task graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from polylat.engine.constraints import extension_rules
from polylat.engine.extension import periodic_structure
from polylat.engine.port_rows import runs_in_turn
from polylat.engine.service_order import ServiceOrder
from polylat.lowering.dependences.rules import Slots, dependence_edges
from polylat.lowering.dependences.skew import skew_shifts
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.numbering import DependenceEdges, Numbering
from polylat.lowering.ports import AccessCosts, access_costs
from polylat.lowering.sampling import LoopSample
from polylat.lowering.task_graph import build_graph, number_blocks
from polylat.schedule.extrapolation import PeriodicTaskGraph
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph, explicit_task_graph

__all__ = ["Model", "build"]


@dataclass(frozen=True, eq=False)
class Model:
    """A mapping with its options and its task graph.

    Parameters
    ----------
    lowered
        The mapping.
    background, slots
        The options: (tensor, component) pairs whose write-backs are in the background, and the
        number of tiles that holders keep.
    layout, edges, costs
        The numbering of tile iterations and blocks, the dependences, and the durations.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.
    plan
        The task graph, prepared for scheduling.
    service_order
        The order of service of a list schedule, for sampled tile iterations.
    """

    lowered: LoweredMapping
    background: frozenset[tuple[str, str]]
    slots: Slots
    layout: Numbering
    edges: DependenceEdges
    costs: AccessCosts
    shifts: Mapping[int, Sequence[int]]
    plan: ExplicitTaskGraph | PeriodicTaskGraph
    service_order: ServiceOrder | None = None

    @property
    def graph(self) -> TaskGraph:
        """The task graph."""
        return self.plan.graph

    @property
    def engine(self) -> Literal["explicit", "periodic"]:
        """Whether all tile iterations are sampled, or some represent skipped ones."""
        return "explicit" if self.layout.whole else "periodic"

    @property
    def runs_in_turn(self) -> bool:
        """Whether the leaves run one after another, without separate transfers.

        Each leaf then takes the busy time of its busiest port, at any granularity.
        """
        return runs_in_turn(self.lowered, self.layout)


def build(
    lowered: LoweredMapping,
    background: frozenset[tuple[str, str]],
    slots: Slots,
    *,
    kept: Mapping[int, LoopSample] | None = None,
) -> Model:
    """Build the task graph of a lowered mapping under given options.

    Parameters
    ----------
    lowered, background, slots
        The mapping and the options, as in `Model`.
    kept
        Tree node of a loop → its sampled iterations; None: all of them.

    Returns
    -------
    Model
        The mapping with its task graph.

    Raises
    ------
    MappingError
        An element is read in a holder that nothing has brought it to.
    TooLargeError
        There are too many sampled tile iterations.
    IrregularError
        Skipped tile iterations are not translates of the sampled ones that represent them.
    """
    layout = number_blocks(lowered, background, kept)
    edges = dependence_edges(lowered.leaves, layout, lowered.found, slots)
    durations = access_costs(lowered.spec, lowered.leaves, layout.tiles, layout.blocks)
    stage_shifts = skew_shifts(lowered.leaves, layout, lowered.found)
    graph = build_graph(layout, edges, durations, stage_shifts)
    plan: ExplicitTaskGraph | PeriodicTaskGraph
    if layout.whole:
        plan = explicit_task_graph(graph)
    else:
        rules = partial(extension_rules, lowered, layout, graph, slots, stage_shifts)
        plan = PeriodicTaskGraph(graph, periodic_structure(layout, graph, stage_shifts, rules))
    return Model(lowered, background, slots, layout, edges, durations, stage_shifts, plan)
