"""Evaluate variants one by one, as `analyze` does, where they do not share a graph."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from polylat.analysis.occupancy import occupancies, peak_or_none
from polylat.engine.orders import schedule_mapping
from polylat.engine.solve import Schedules, solve
from polylat.exploration.pareto import Outcome
from polylat.exploration.tiled_mapping import ILLEGAL, TiledMapping, one_line
from polylat.exploration.variant_input import slots_option
from polylat.lowering.lowered import Granularity, LoweredMapping, lower
from polylat.lowering.paths import with_pipelines
from polylat.numbers import Number, reduce_number

__all__ = ["SingleEvaluator"]

_MOST_LOWERED, _MOST_SOLVED = 16, 32
"""Largest sizes of the caches."""


class SingleEvaluator:
    """Evaluates variants of a mapping one by one, and caches what they share.

    Parameters
    ----------
    mapping
        The mapping with some tile shapes.
    """

    def __init__(self, mapping: TiledMapping) -> None:
        self.mapping = mapping
        self.resource_bounds: dict[tuple[str, ...], Number] = {}
        """Per kinds of splits, the busy time of the busiest port, once it is determined."""
        self._lowered: dict[tuple[Granularity, tuple[str, ...]], LoweredMapping] = {}
        self._solved: OrderedDict[Any, Schedules] = OrderedDict()

    def evaluate(
        self,
        kinds: tuple[str, ...],
        order: str,
        mask: tuple[bool, ...],
        counts: tuple[int | None, ...],
    ) -> Outcome:
        """Evaluate one variant as `analyze` does, from a sample of its tile iterations.

        Parameters
        ----------
        kinds
            Kinds of the splits of `Space.splits`.
        order
            The option of `analyze`.
        mask
            Which of the explored write-backs are in the background.
        counts
            Slot counts of the tensors of `Space.slots`.

        Returns
        -------
        Outcome
            The evaluation.
        """
        mapping, space = self.mapping, self.mapping.space
        explored = (tensor for tensor, _ in space.slots)
        options = {
            "granularity": mapping.granularity,
            "order": order,
            "background": tuple(sorted(space.write_backs(mask))),
            "slots": slots_option(space, dict(zip(explored, counts, strict=True))),
            "max_tiles": space.max_tiles,
        }

        def lowering(granularity: Granularity) -> LoweredMapping:
            key = granularity, kinds
            if key not in self._lowered:
                if len(self._lowered) > _MOST_LOWERED:
                    self._lowered.clear()
                base = lower(mapping.spec, granularity)
                leaves = with_pipelines(base.leaves, mapping.pipelines(kinds))
                self._lowered[key] = replace(base, leaves=leaves)
            return self._lowered[key]

        def solver(
            lowered: LoweredMapping, background: Any, slots: Any, limit: int, **how: Any
        ) -> Schedules:
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
            choice = schedule_mapping(mapping.spec, options, lowering=lowering, solver=solver)
        except ILLEGAL as error:
            return Outcome(None, error=one_line(error))
        model, solution = choice.solved.model, choice.chosen
        load = Fraction(max(model.graph.loads, default=0), model.costs.scale)
        self.resource_bounds[kinds] = reduce_number(load)
        peaks: dict[str, Number | None] = {}
        for memory in occupancies(solution):
            peak, known = peak_or_none(memory), peaks.get(memory.component, 0)
            peaks[memory.component] = None if peak is None or known is None else max(peak, known)
        waits = solution.model.background != model.background
        return mapping.checked(
            Outcome(
                solution.makespan,
                solution.order or "",
                waits,
                choice.exact,
                tuple(sorted(peaks.items())),
            )
        )
