"""Evaluate variants by their numbers: what variants share is computed once and cached."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from polylat.exploration.cell import Cell
from polylat.exploration.graph_evaluation import evaluate_together
from polylat.exploration.pareto import Incumbents, Objective, Outcome, Vector, vector
from polylat.exploration.single_evaluation import SingleEvaluator
from polylat.exploration.space import Space
from polylat.exploration.tiled_mapping import TiledMapping

__all__ = ["Batch", "Span", "clear_cache", "evaluate", "points"]

_MOST_EVALUATORS, _MOST_SHAPES = 2, 2
"""Largest sizes of the caches."""

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
        self._shapes: OrderedDict[tuple[tuple[int, ...], str], SingleEvaluator] = OrderedDict()

    def evaluate(
        self, span: Span, incumbents: Incumbents | None
    ) -> tuple[list[tuple[int, Outcome]], int]:
        """Return the outcomes by number of the variant, and the number of excluded variants."""
        space = self.space
        cell, first, end = span
        common = space.cell_choice(cell)
        base = cell * space.variants_per_cell
        numbers = range(first, end)
        alone = self._single_evaluator(common.shapes, common.granularity)
        mapping = alone.mapping
        if mapping.error:
            outcome = Outcome(None, error=mapping.error)
            return [(base + n, outcome) for n in numbers], 0
        if mapping.graph is None:
            return self._one_by_one(alone, common.kinds, common.order, base, numbers, incumbents)
        graph_cell = mapping.cell(common.kinds)
        admitted: Sequence[int] = numbers
        if incumbents is not None:
            admitted = self._admitted(mapping, graph_cell, incumbents, base, numbers)
        found = evaluate_together(mapping, graph_cell, common.order, admitted)
        outcomes = [(base + n, outcome) for n, outcome in zip(admitted, found, strict=True)]
        return outcomes, len(numbers) - len(admitted)

    def _one_by_one(
        self,
        alone: SingleEvaluator,
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
            bound = alone.resource_bounds.get(kinds)
            if incumbents is not None and bound is not None:
                bounds = vector(incumbents.objectives, bound, {}, fewest_slots)
                if incumbents.excludes(bounds, base + n):
                    continue
            background_set, assignment = divmod(n, self.space.slot_assignments)
            mask = self.space.background_mask(background_set)
            counts = self.space.slot_table[assignment]
            outcomes.append((base + n, alone.evaluate(kinds, order, mask, counts)))
            if incumbents is not None:
                found = points(self.space, incumbents.objectives, outcomes[-1:])
                incumbents = incumbents.with_members(found)
        return outcomes, len(numbers) - len(outcomes)

    def _single_evaluator(self, shapes: tuple[int, ...], granularity: str) -> SingleEvaluator:
        key = shapes, granularity
        if key not in self._shapes:
            mapping = TiledMapping(self.space, shapes, granularity)
            self._shapes[key] = SingleEvaluator(mapping)
            while len(self._shapes) > _MOST_SHAPES:
                self._shapes.popitem(last=False)
        return self._shapes[key]

    def _admitted(
        self, mapping: TiledMapping, cell: Cell, incumbents: Incumbents, base: int, numbers: range
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
