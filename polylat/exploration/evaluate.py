"""Evaluate variants by their numbers: what variants share is computed once and cached."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from polylat.analysis.occupancy import occupancies, peak_or_none
from polylat.engine.orders import schedule_mapping
from polylat.engine.solve import Solved, solve
from polylat.errors import (
    CapacityError,
    MappingError,
    PolylatError,
    ScheduleError,
    TooLargeError,
    UnsupportedError,
)
from polylat.exploration.axes import WriteBack, split_name
from polylat.exploration.cell import Cell, TimedVariant
from polylat.exploration.pareto import Incumbents, Objective, Outcome, Vector, vector
from polylat.exploration.space import Space, with_tiles
from polylat.exploration.tile_accesses import IntegerRangeError
from polylat.exploration.variants import VariantGraph
from polylat.lowering.lowered import Granularity, LoweredMapping, lower
from polylat.numbers import Number, reduce_number
from polylat.schedule.timing import ORDERS

__all__ = ["MOST_SHARED", "Batch", "Span", "clear_cache", "evaluate", "points"]

MOST_SHARED = 100_000
"""Up to this number of tile iterations all are visited, and variants share a `VariantGraph`."""

_MOST_EVALUATORS, _MOST_SHAPES, _MOST_CELLS, _MOST_SOLVED = 2, 2, 16, 32
"""Largest sizes of the caches."""
_ILLEGAL = (MappingError, ScheduleError, CapacityError, TooLargeError, UnsupportedError)
"""The errors of `analyze` that make a variant illegal."""

Span = tuple[int, int, int]
"""(cell, first, end): the variants of a cell from `first` to `end` − 1, counted in the cell."""


@dataclass(frozen=True)
class Batch:
    """Evaluated variants.

    Parameters
    ----------
    outcomes
        (number of the variant, its evaluation)
    excluded
        Number of variants that were not evaluated, because they cannot be in the front.
    """

    outcomes: tuple[tuple[int, Outcome], ...]
    excluded: int


def evaluate(space: Space, spans: Sequence[Span], incumbents: Incumbents | None) -> Batch:
    """Evaluate variants, except those that cannot be in the front.

    Parameters
    ----------
    space
        The space.
    spans
        The variants.
    incumbents
        The front so far; None: evaluate all variants.

    Returns
    -------
    Batch
        The evaluated variants, and the number of the others.
    """
    evaluator = _evaluator(space)
    outcomes: list[tuple[int, Outcome]] = []
    excluded = 0
    for span in spans:
        found, count = evaluator.evaluate(span, incumbents)
        outcomes += found
        excluded += count
        if incumbents is not None and found:
            incumbents = incumbents.with_members(points(space, incumbents.objectives, found))
    return Batch(tuple(outcomes), excluded)


def points(
    space: Space, objectives: Sequence[Objective], outcomes: Iterable[tuple[int, Outcome]]
) -> Iterator[tuple[Vector, int]]:
    """Yield the values of the objectives of legal variants.

    Parameters
    ----------
    space
        The space.
    objectives
        The objectives.
    outcomes
        (number of the variant, its evaluation)

    Yields
    ------
    (Vector, int)
        Values and number of the variant. Of variants that share one `Outcome`, only the first,
        unless slots are an objective.
    """
    slots = any(objective.name == "slots" for objective in objectives)
    seen: set[int] = set()
    for index, outcome in outcomes:
        if outcome.latency is None or (not slots and id(outcome) in seen):
            continue
        seen.add(id(outcome))
        counts = space.slot_table[index % space.slot_assignments] if slots else ()
        yield vector(objectives, outcome.latency, dict(outcome.peaks), counts), index


_EVALUATORS: OrderedDict[str, _Evaluator] = OrderedDict()
"""Key of a space → its evaluator in this process."""


def clear_cache() -> None:
    """Discard everything that is cached between calls of `evaluate`."""
    _EVALUATORS.clear()


def _evaluator(space: Space) -> _Evaluator:
    if space.key not in _EVALUATORS:
        _EVALUATORS[space.key] = _Evaluator(space)
        while len(_EVALUATORS) > _MOST_EVALUATORS:
            _EVALUATORS.popitem(last=False)
    return _EVALUATORS[space.key]


class _Evaluator:
    """Evaluates the variants of a space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._shapes: OrderedDict[tuple[tuple[int, ...], str], _TiledMapping] = OrderedDict()

    def evaluate(
        self, span: Span, incumbents: Incumbents | None
    ) -> tuple[list[tuple[int, Outcome]], int]:
        """Return the outcomes by number of the variant, and the number of excluded variants."""
        space = self.space
        cell, first, end = span
        common = space.cell_choice(cell)
        base = cell * space.variants_per_cell
        numbers = range(first, end)
        mapping = self._mapping(common.shapes, common.granularity)
        if mapping.error:
            outcome = Outcome(None, error=mapping.error)
            return [(base + n, outcome) for n in numbers], 0
        if mapping.graph is None:
            return self._one_by_one(mapping, common.kinds, common.order, base, numbers, incumbents)
        graph_cell = mapping.cell(common.kinds)
        admitted: Sequence[int] = numbers
        if incumbents is not None:
            admitted = self._admitted(mapping, graph_cell, incumbents, base, numbers)
        found = mapping.evaluate_together(graph_cell, common.order, admitted)
        outcomes = [(base + n, outcome) for n, outcome in zip(admitted, found, strict=True)]
        return outcomes, len(numbers) - len(admitted)

    def _one_by_one(
        self,
        mapping: _TiledMapping,
        kinds: tuple[str, ...],
        order: str,
        base: int,
        numbers: range,
        incumbents: Incumbents | None,
    ) -> tuple[list[tuple[int, Outcome]], int]:
        """Evaluate variants that do not share a graph."""
        outcomes: list[tuple[int, Outcome]] = []
        fewest_slots = [counts[0] for _, counts in self.space.slots]
        for n in numbers:
            bound = mapping.resource_bounds.get(kinds)
            if incumbents is not None and bound is not None:
                bounds = vector(incumbents.objectives, bound, {}, fewest_slots)
                if incumbents.excludes(bounds, base + n):
                    continue
            background_set, assignment = divmod(n, self.space.slot_assignments)
            mask = self.space.background_mask(background_set)
            counts = self.space.slot_table[assignment]
            outcomes.append((base + n, mapping.evaluate_alone(kinds, order, mask, counts)))
            if incumbents is not None:
                found = points(self.space, incumbents.objectives, outcomes[-1:])
                incumbents = incumbents.with_members(found)
        return outcomes, len(numbers) - len(outcomes)

    def _mapping(self, shapes: tuple[int, ...], granularity: str) -> _TiledMapping:
        key = shapes, granularity
        if key not in self._shapes:
            self._shapes[key] = _TiledMapping(self.space, shapes, granularity)
            while len(self._shapes) > _MOST_SHAPES:
                self._shapes.popitem(last=False)
        return self._shapes[key]

    def _admitted(
        self, mapping: _TiledMapping, cell: Cell, incumbents: Incumbents, base: int, numbers: range
    ) -> list[int]:
        """Return the variants that their lower bounds do not exclude from the front.

        The bounds of the whole cell are compared first, then those of each set of write-backs.
        """
        graph = cell.graph
        width = self.space.slot_assignments
        peaks = {
            component: Fraction(peak, graph.held.denominator)
            for component, peak in cell.peak_bounds.items()
        }
        fewest_slots = [counts[0] for _, counts in self.space.slots]

        def bounds(dependence_bound: int) -> Vector:
            steps = max(cell.resource_bound, dependence_bound)
            latency = Fraction(steps, graph.costs.scale)
            return vector(incumbents.objectives, latency, peaks, fewest_slots)

        sets = range(numbers[0] // width, numbers[-1] // width + 1)
        masks = np.array(
            [mapping.background(self.space.background_mask(n)) for n in sets], dtype=np.bool_
        )
        union = np.logical_or.reduce(masks, axis=0)[None]
        if incumbents.excludes(bounds(cell.dependence_bounds(union)[0]), base + numbers[0]):
            return []
        if width < 2:  # a bound takes half as long as a variant
            return list(numbers)
        admitted: list[int] = []
        for n, steps in zip(sets, cell.dependence_bounds(masks), strict=True):
            with_set = range(max(n * width, numbers[0]), min((n + 1) * width, numbers[-1] + 1))
            if not incumbents.excludes(bounds(steps), base + with_set[0]):
                admitted += with_set
        return admitted


class _TiledMapping:
    """The mapping with some tile shapes, at one granularity."""

    def __init__(self, space: Space, shapes: tuple[int, ...], granularity: str) -> None:
        self.space = space
        self.granularity = granularity
        self.graph: VariantGraph | None = None
        """The graph of all variants; None where there are too many tile iterations."""
        self.error = ""
        """Why all variants are illegal; otherwise empty."""
        self.resource_bounds: dict[tuple[str, ...], Number] = {}
        """Per kinds of splits, the busy time of the busiest port, once it is determined."""
        self._cells: dict[tuple[str, ...], Cell] = {}
        self._lowered: dict[tuple[Granularity, tuple[str, ...]], LoweredMapping] = {}
        self._solved: OrderedDict[Any, Solved] = OrderedDict()
        numbers = {loop.number: shape for (loop, _), shape in zip(space.tiles, shapes, strict=True)}
        try:
            self.spec = with_tiles(space.spec, numbers)
            finest: Any = "flow" if granularity == "auto" else granularity
            self.lowered = lower(self.spec, finest)
            if self.lowered.size <= min(MOST_SHARED, space.max_tiles):
                write_backs = (*space.fixed_background, *space.background)
                self.graph = VariantGraph(self.lowered, write_backs, self._slot_counts())
        except IntegerRangeError:
            pass
        except _ILLEGAL as error:
            self.error = _one_line(error)

    def _slot_counts(self) -> list[int | None]:
        """Return the slot counts that any tensor has in any variant."""
        others = self.space.other_slots
        fixed = [*others.values(), 2] if isinstance(others, Mapping) else [others]
        return [*fixed, *(count for _, counts in self.space.slots for count in counts)]

    # Choices

    @cached_property
    def _split_nodes(self) -> dict[str, int]:
        """Name of a split → its tree node."""
        branches: dict[int, dict[int, list[str]]] = {}
        for leaf in self.lowered.leaves:
            for split in leaf.splits:
                below = branches.setdefault(split.node, {})
                below.setdefault(split.branch, []).append(leaf.einsum.name)
        return {split_name(below.values()): n for n, below in branches.items() if len(below) > 1}

    def _pipelines(self, kinds: Sequence[str]) -> frozenset[int]:
        """Return the tree nodes of the splits that are Pipelines."""
        names = [name for name, _ in self.space.splits]
        chosen = {self._split_nodes[name]: kind for name, kind in zip(names, kinds, strict=True)}
        return frozenset(
            split.node
            for leaf in self.lowered.leaves
            for split in leaf.splits
            if (split.pipeline if split.node not in chosen else chosen[split.node] == "Pipeline")
        )

    def cell(self, kinds: tuple[str, ...]) -> Cell:
        """Return the variants with splits of these kinds."""
        assert self.graph is not None
        if kinds not in self._cells:
            if len(self._cells) > _MOST_CELLS:
                self._cells.clear()
            self._cells[kinds] = Cell(self.graph, self._pipelines(kinds))
        return self._cells[kinds]

    def background(self, mask: Sequence[bool]) -> list[bool]:
        """Return, per write-back of the graph, whether it is in the background."""
        assert self.graph is not None
        chosen = self._write_backs(mask)
        return [pair in chosen for pair in self.graph.write_backs]

    def _write_backs(self, mask: Sequence[bool]) -> frozenset[WriteBack]:
        """Return the write-backs in the background."""
        explored = [p for p, here in zip(self.space.background, mask, strict=True) if here]
        return frozenset({*self.space.fixed_background, *explored})

    @cached_property
    def _slots(self) -> np.ndarray:
        """Shape (slot assignments, tensors of the graph): slot counts; 0: unlimited."""
        assert self.graph is not None
        explored = [tensor for tensor, _ in self.space.slots]
        others = self.space.other_slots
        tensors = self.graph.tensors
        table = np.empty((self.space.slot_assignments, len(tensors)), dtype=np.int64)
        for column, tensor in enumerate(tensors):
            if tensor in explored:
                table[:, column] = self.space.slot_array[:, explored.index(tensor)]
            else:
                count = others.get(tensor, 2) if isinstance(others, Mapping) else others
                table[:, column] = count or 0
        return table

    # Evaluation

    def evaluate_together(self, cell: Cell, order: str, numbers: Sequence[int]) -> list[Outcome]:
        """Evaluate variants of a cell on the graph that they share."""
        if not numbers:
            return []
        size = len(numbers)
        background_sets, assignments = np.divmod(np.array(numbers), self.space.slot_assignments)
        unique, of = np.unique(background_sets, return_inverse=True)
        masks = [self.background(self.space.background_mask(int(n))) for n in unique]
        background = np.array(masks, dtype=np.bool_).reshape(len(unique), -1)[of]
        slots = self._slots[assignments]
        orders = (0, 1, 2) if order == "best" else (ORDERS.index(order),)
        if order == "best" and background.any():
            # Schedules that wait for the write-backs are legal for these variants, too.
            background = np.concatenate((background, np.zeros_like(background)))
            slots = np.concatenate((slots, slots))
        timed, which = cell.time(background, slots, orders)
        own, waiting = which[:size], which[-size:]
        distinct, at = np.unique(which, return_inverse=True)
        makespans = np.array([timed[n].makespan for n in distinct], dtype=np.int64)[at]
        own_makespan, waiting_makespan = makespans[:size], makespans[-size:]
        waits = waiting_makespan >= 0
        waits &= (own_makespan < 0) | (waiting_makespan < own_makespan)
        made: dict[tuple[int, bool], Outcome] = {}
        outcomes = []
        for key in zip(np.where(waits, waiting, own).tolist(), waits.tolist(), strict=True):
            if key not in made:
                made[key] = self._outcome(cell, timed[key[0]], key[1], order)
            outcomes.append(made[key])
        return outcomes

    def _outcome(self, cell: Cell, timed: TimedVariant, waits: bool, order: str) -> Outcome:
        graph = cell.graph
        if timed.makespan < 0:
            which = "every order of the ports" if order == "best" else f"order {order!r}"
            return Outcome(None, error=f"ScheduleError: {which} contradicts the dependences")
        peaks = {
            component: reduce_number(Fraction(peak, graph.held.denominator))
            for component, peak in cell.peaks_by_component(timed).items()
        }
        latency = reduce_number(Fraction(timed.makespan, graph.costs.scale))
        outcome = Outcome(latency, ORDERS[timed.order], waits, True, tuple(sorted(peaks.items())))
        return self._checked(outcome)

    def evaluate_alone(
        self,
        kinds: tuple[str, ...],
        order: str,
        mask: tuple[bool, ...],
        counts: tuple[int | None, ...],
    ) -> Outcome:
        """Evaluate one variant as `analyze` does, from a sample of its tile iterations."""
        explored = (tensor for tensor, _ in self.space.slots)
        options = {
            "granularity": self.granularity,
            "order": order,
            "background": tuple(sorted(self._write_backs(mask))),
            "slots": self.space.slots_with(dict(zip(explored, counts, strict=True))),
            "max_tiles": self.space.max_tiles,
        }

        def lowering(granularity: Granularity) -> LoweredMapping:
            key = granularity, kinds
            if key not in self._lowered:
                if len(self._lowered) > _MOST_CELLS:
                    self._lowered.clear()
                base = lower(self.spec, granularity)
                pipelines = self._pipelines(kinds)
                leaves = tuple(
                    replace(
                        leaf,
                        splits=tuple(replace(s, pipeline=s.node in pipelines) for s in leaf.splits),
                    )
                    for leaf in base.leaves
                )
                self._lowered[key] = replace(base, leaves=leaves)
            return self._lowered[key]

        def solver(lowered: LoweredMapping, background: Any, slots: Any, limit: int, **how: Any) -> Solved:
            if background or how:
                return solve(lowered, background, slots, limit, **how)
            # All sets of background write-backs are compared with the schedule without any.
            frozen = tuple(slots.items()) if isinstance(slots, Mapping) else slots
            key = lowered.depths, kinds, frozen, limit
            if key not in self._solved:
                self._solved[key] = solve(lowered, background, slots, limit)
                while len(self._solved) > _MOST_SOLVED:
                    self._solved.popitem(last=False)
            return self._solved[key]

        try:
            choice = schedule_mapping(self.spec, options, lowering=lowering, solver=solver)
        except _ILLEGAL as error:
            return Outcome(None, error=_one_line(error))
        model, solution = choice.solved.model, choice.chosen
        load = Fraction(max(model.graph.loads, default=0), model.costs.scale)
        self.resource_bounds[kinds] = reduce_number(load)
        peaks: dict[str, Number | None] = {}
        for memory in occupancies(solution):
            peak, known = peak_or_none(memory), peaks.get(memory.component, 0)
            peaks[memory.component] = None if peak is None or known is None else max(peak, known)
        waits = solution.model.background != model.background
        return self._checked(
            Outcome(
                solution.makespan,
                solution.order or "",
                waits,
                choice.exact,
                tuple(sorted(peaks.items())),
            )
        )

    @cached_property
    def _sizes(self) -> dict[str, Fraction]:
        """Memory → its size in bits, if it is limited."""
        sizes: dict[str, Fraction] = {}
        for leaf in self.lowered.leaves:
            for component in self.spec.arch.paths[leaf.einsum.name]:
                if component.kind == "Memory" and component.size is not None:
                    known = sizes.get(component.name, component.size)
                    sizes[component.name] = min(known, component.size)
        return sizes

    def _checked(self, outcome: Outcome) -> Outcome:
        """Return the outcome; an illegal one if capacity is enforced and a memory exceeds it."""
        if self.space.enforce_capacity:
            for component, peak in outcome.peaks:
                size = self._sizes.get(component)
                if size is not None and peak is not None and peak > size:
                    text = f"memory {component!r} holds up to {peak} bits, and its size is {size}"
                    return Outcome(None, error=f"CapacityError: {text}")
        return outcome


def _one_line(error: PolylatError) -> str:
    """Return the class and the message of an error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
