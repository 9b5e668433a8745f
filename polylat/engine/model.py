"""A mapping under given options: its numbering, dependences, durations and task graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

from polylat.engine.ahead_rows import skew_rules
from polylat.engine.barrier_bound import barrier_bound
from polylat.engine.constraints import extension_rules
from polylat.engine.extension import periodic_structure
from polylat.engine.port_rows import runs_in_turn
from polylat.engine.served_ahead import ServedAhead
from polylat.engine.service_order import ServiceOrder
from polylat.lowering.dependences.rules import dependence_edges
from polylat.lowering.dependences.skew import skew_shifts
from polylat.lowering.lowered import LoweredMapping, with_sequential_splits
from polylat.lowering.numbering import DependenceEdges, Numbering
from polylat.lowering.paths import LoopKeys
from polylat.lowering.ports import AccessCosts, access_costs
from polylat.lowering.sampling import LoopSample
from polylat.lowering.task_graph import build_graph, number_blocks, with_dependences
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.extrapolation import PeriodicTaskGraph
from polylat.schedule.graph import TaskGraph
from polylat.schedule.list_scheduling import ExplicitTaskGraph

__all__ = ["Model", "build"]


@dataclass(frozen=True, eq=False)
class Model:
    """A mapping with its options and its task graph.

    Parameters
    ----------
    lowered
        The mapping.
    options
        How tiles move between holders.
    layout, edges, costs
        The numbering of tile iterations and blocks, the dependences, and the durations.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.
    ahead
        The fills that are served ahead of other blocks in a skewed order; None where there are
        none, or where their order is not known.
    plan
        The task graph, prepared for scheduling.
    service_order
        The order of service of a list schedule, for sampled tile iterations.
    """

    lowered: LoweredMapping
    options: TransferOptions
    layout: Numbering
    edges: DependenceEdges
    costs: AccessCosts
    shifts: Mapping[int, Sequence[int]]
    ahead: ServedAhead | None
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
    def sample(self) -> dict[int, LoopSample]:
        """Loop (tree node) that indexes tile iterations → its sampled iterations.

        Where leaves are sampled apart, those of one of the leaves below the loop.
        """
        return {
            loop.node: kept
            for leaf, tiles in zip(self.lowered.leaves, self.layout.tiles, strict=True)
            for loop, kept in zip(leaf.temporal, tiles.kept, strict=False)
        }

    @property
    def runs_in_turn(self) -> bool:
        """Whether the leaves run one after another, and only ports limit each of them.

        They stream without latency and setup, and none reads what it computed itself. Each then
        takes the busy time of its busiest port, at any granularity.
        """
        return self.takes_port_time and runs_in_turn(self.lowered, self.layout)

    @property
    def streams(self) -> bool:
        """Whether no transfer is separate."""
        return all(b.kind == "foreground" for blocks in self.layout.blocks for b in blocks)

    @property
    def takes_port_time(self) -> bool:
        """Whether a leaf that streams takes as long as its busiest port needs for its actions.

        There are no latencies, setups and bursts, and no leaf waits for what it computed itself.
        """
        others = self.graph.late or self.costs.per_transfer or self.costs.bursts
        return not (others or self.lowered.has_states)

    @cached_property
    def resource_bound(self) -> int:
        """The largest total busy time of a port, in steps."""
        return max(self.graph.loads, default=0)

    @cached_property
    def barrier_bound(self) -> int:
        """What the foregrounds take where the turns of each Sequential do not overlap, in steps."""
        if self.streams and not any(leaf.splits for leaf in self.lowered.leaves):
            return self.resource_bound  # there are foregrounds only, and no Sequential
        return barrier_bound(self.lowered.leaves, self.layout.tiles, self.graph)

    @property
    def barrier_bound_in_turn(self) -> int:
        """The barrier bound with every Pipeline as a Sequential, in steps."""
        leaves = with_sequential_splits(self.lowered).leaves
        return barrier_bound(leaves, self.layout.tiles, self.graph)

    @property
    def bound(self) -> int:
        """A lower bound of every schedule, at any granularity, in steps."""
        return max(self.resource_bound, self.barrier_bound)


def build(
    lowered: LoweredMapping,
    options: TransferOptions,
    *,
    kept: Mapping[int, LoopSample] | None = None,
    keys: LoopKeys | None = None,
    beside: Model | None = None,
) -> Model:
    """Build the task graph of a lowered mapping under given options.

    Parameters
    ----------
    lowered, options
        The mapping and the options, as in `Model`.
    kept, keys
        Key of a loop → its sampled iterations; None: all of them. And per leaf, the keys of its
        Temporal loops; None: their tree nodes.
    beside
        A model of the same mapping, or of one with other splits: all of its tile iterations. Where
        tasks are the same, they are taken from it.

    Returns
    -------
    Model
        The mapping with its task graph.

    Raises
    ------
    MappingError
        An element is read in a holder that nothing has brought it to, or is not final there; or
        the sum of an element is lost.
    TooLargeError
        There are too many sampled tile iterations.
    IrregularError
        Skipped tile iterations are not translates of the sampled ones that represent them.
    """
    if kept is not None or beside is None or not _has_equal_tasks(beside, lowered, options):
        beside = None
    if beside is None:
        layout = number_blocks(lowered, options, kept, keys)
    else:
        layout = beside.layout.with_leaves(lowered.leaves)
    edges = dependence_edges(lowered.leaves, layout, lowered.found, options)
    stage_shifts = skew_shifts(lowered.leaves, layout, lowered.found)
    if beside is None:
        durations = access_costs(
            lowered.spec, lowered.leaves, layout.tiles, layout.blocks, lowered.units
        )
        graph = build_graph(layout, edges, durations, stage_shifts)
    else:
        durations = beside.costs
        graph = with_dependences(beside.graph, layout, edges, stage_shifts)
    ahead = ServedAhead.of(layout, graph, stage_shifts) if graph.overtaking else None
    plan: ExplicitTaskGraph | PeriodicTaskGraph
    if layout.whole:
        plan = ExplicitTaskGraph(graph)
    else:
        inputs = lowered, layout, graph, options, stage_shifts
        rules = partial(extension_rules, *inputs)
        skew = None if ahead is None else partial(skew_rules, *inputs, ahead)
        structure = periodic_structure(layout, graph, stage_shifts, ahead, rules, skew)
        plan = PeriodicTaskGraph(graph, structure)
    return Model(lowered, options, layout, edges, durations, stage_shifts, ahead, plan)


def _has_equal_tasks(model: Model, lowered: LoweredMapping, options: TransferOptions) -> bool:
    """Return whether a mapping has all tasks of a model, and no others.

    Splits decide in which order leaves run. They change tasks only where leaves divide units.
    """
    known = model.lowered
    return (
        model.layout.whole
        and options == model.options
        and known.found is lowered.found
        and known.depths == lowered.depths
        and known.units == lowered.units
    )
