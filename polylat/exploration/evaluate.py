"""Evaluate variants by their numbers: what variants share is computed once and cached."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from polylat.exploration.cell import Cell
from polylat.exploration.choice import CellChoice
from polylat.exploration.graph_evaluation import evaluate_together
from polylat.exploration.pareto import Incumbents, Objective, Outcome, Vector, vector
from polylat.exploration.single_evaluation import SingleEvaluator
from polylat.exploration.space import Space
from polylat.exploration.tiled_mapping import TiledMapping, TransferMapping

__all__ = ["Batch", "Span", "clear_cache", "evaluate", "points"]

_MOST_EVALUATORS, _MOST_SHAPES, _MOST_GRAPHS = 2, 2, 2
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
        counts = space.slot_table[index % space.variants_per_cell] if slots else ()
        peaks = dict(outcome.peaks)
        yield vector(objectives, outcome.latency, peaks, counts, outcome.energy), index


class _Evaluators(threading.local):
    """The latest evaluators of a thread, each of a space of its own.

    Evaluators change while they evaluate, so that threads (of a Dask worker, for example) do not
    share them.
    """

    def __init__(self) -> None:
        self.latest: deque[_Evaluator] = deque(maxlen=_MOST_EVALUATORS)


_EVALUATORS = _Evaluators()


def clear_cache() -> None:
    """Discard everything that this thread caches between calls of `evaluate`."""
    _EVALUATORS.latest.clear()


def _evaluator(space: Space) -> _Evaluator:
    latest = _EVALUATORS.latest
    for evaluator in latest:
        # Keys take milliseconds; worker processes receive the space anew with each call.
        if evaluator.space is space or evaluator.space.key == space.key:
            return evaluator
    latest.append(_Evaluator(space))
    return latest[-1]


class _Evaluator:
    """Evaluates the variants of a space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._tiled: OrderedDict[tuple[tuple[int, ...], str], TiledMapping] = OrderedDict()
        self._evaluators: OrderedDict[object, SingleEvaluator] = OrderedDict()

    def evaluate(
        self, span: Span, incumbents: Incumbents | None
    ) -> tuple[list[tuple[int, Outcome]], int]:
        """Return the outcomes by number of the variant, and the number of excluded variants."""
        number, first, end = span
        common = self.space.cell_choice(number)
        base = number * self.space.variants_per_cell
        numbers = range(first, end)
        alone = self._single_evaluator(common)
        mapping = alone.mapping
        if error := mapping.error or mapping.tiled.error_of(common.kinds):
            outcome = Outcome(None, error=error)
            return [(base + n, outcome) for n in numbers], 0
        if mapping.graph is None:
            return self._one_by_one(alone, common.kinds, common.order, base, numbers, incumbents)
        cell = mapping.cell(mapping.tiled.pipelines(common.kinds))
        # A bound takes half as long as a variant.
        if (
            incumbents is not None
            and len(numbers) > 1
            and self._excludes(incumbents, mapping, cell, base + first)
        ):
            return [], len(numbers)
        found = evaluate_together(mapping, cell, common.order, numbers)
        return [(base + n, outcome) for n, outcome in zip(numbers, found, strict=True)], 0

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
        for n in numbers:
            bound = alone.lower_bounds.get(kinds)
            if incumbents is not None and bound is not None:
                latency, energy = bound
                slots = self._fewest_slots()
                bounds = vector(incumbents.objectives, latency, {}, slots, energy)
                if incumbents.excludes(bounds, base + n):
                    continue
            counts = self.space.slot_table[n]
            outcomes.append((base + n, alone.evaluate(kinds, order, counts)))
            if incumbents is not None:
                found = points(self.space, incumbents.objectives, outcomes[-1:])
                incumbents = incumbents.with_members(found)
        return outcomes, len(numbers) - len(outcomes)

    def _single_evaluator(self, common: CellChoice) -> SingleEvaluator:
        shape = common.shapes, common.granularity
        key = *shape, common.transfers
        if key not in self._evaluators:
            if shape not in self._tiled:
                self._tiled[shape] = TiledMapping(self.space, *shape)
                while len(self._tiled) > _MOST_SHAPES:
                    self._tiled.popitem(last=False)
            mapping = TransferMapping(self._tiled[shape], common.transfers)
            self._evaluators[key] = SingleEvaluator(mapping)
            while len(self._evaluators) > _MOST_GRAPHS:
                self._evaluators.popitem(last=False)
        return self._evaluators[key]

    def _fewest_slots(self) -> list[int | None]:
        return [counts[0] for _, counts in self.space.slots]

    def _excludes(
        self, incumbents: Incumbents, mapping: TransferMapping, cell: Cell, first: int
    ) -> bool:
        """Return whether the lower bounds of a cell exclude its variants from the front.

        The bounds also hold for schedules that keep barriers: these satisfy more precedences, on
        ports that serve more blocks, in memories that hold more tiles.
        """
        graph = cell.graph
        peaks = {
            component: Fraction(peak, graph.held.denominator)
            for component, peak in cell.peak_bounds.items()
        }

        def excluded(steps: int) -> bool:
            latency = Fraction(steps, graph.costs.scale)
            energy = mapping.energy(latency)
            bounds = vector(incumbents.objectives, latency, peaks, self._fewest_slots(), energy)
            return incumbents.excludes(bounds, first)

        known = max(cell.resource_bound, cell.dependence_bound)
        return excluded(known) or (cell.barrier_bound > known and excluded(cell.barrier_bound))
