"""Evaluate variants one by one, as `analyze` does, where they do not share a graph."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from fractions import Fraction
from typing import Any

from polylat.analysis.mapping_energy import energy_by_latency
from polylat.analysis.occupancy import largest_peaks, occupancies
from polylat.engine.orders import schedule_mapping
from polylat.engine.solve import SERVICES, Schedules, solve
from polylat.exploration.pareto import Outcome
from polylat.exploration.tiled_mapping import ILLEGAL, TransferMapping, one_line
from polylat.exploration.variant_input import slots_option
from polylat.lowering.lowered import Granularity, LoweredMapping, lower
from polylat.lowering.paths import with_pipelines
from polylat.lowering.transfers import TransferOptions
from polylat.numbers import Number, reduce_number

__all__ = ["SingleEvaluator"]

_MOST_SOLVED = 32
"""Largest size of the cache."""


class SingleEvaluator:
    """Evaluates variants of a mapping one by one, and caches what they share.

    Parameters
    ----------
    mapping
        The mapping with some tile shapes and transfers.
    """

    def __init__(self, mapping: TransferMapping) -> None:
        self.mapping = mapping
        self.lower_bounds: dict[tuple[str, ...], tuple[Number, Number | None]] = {}
        """Per kinds of splits, lower bounds on latency and energy, once they are determined."""
        self._lowered: dict[Granularity, LoweredMapping] = {}
        self._solved: OrderedDict[Any, Schedules] = OrderedDict()

    def evaluate(
        self, kinds: tuple[str, ...], order: str, counts: tuple[int | None, ...]
    ) -> Outcome:
        """Evaluate one variant as `analyze` does, from a sample of its tile iterations.

        Parameters
        ----------
        kinds
            Kinds of the splits of `Space.splits`.
        order
            The option of `analyze`.
        counts
            Slot counts of the names of `Space.slots`.

        Returns
        -------
        Outcome
            The evaluation.
        """
        tiled, transfers = self.mapping.tiled, self.mapping.transfers
        space = tiled.space
        explored = (name for name, _ in space.slots)
        options = {
            "granularity": tiled.granularity,
            "order": order,
            "background": tuple(sorted(transfers.background)),
            "staged": transfers.staged,
            "slots": slots_option(space, dict(zip(explored, counts, strict=True))),
            "max_tiles": space.max_tiles,
        }

        def lowering(granularity: Granularity, how: TransferOptions) -> LoweredMapping:
            if granularity not in self._lowered:
                self._lowered[granularity] = lower(tiled.spec, granularity, how)
            base = self._lowered[granularity]
            leaves = with_pipelines(base.leaves, tiled.pipelines(kinds))
            return replace(base, leaves=leaves)

        def solver(
            lowered: LoweredMapping,
            how: TransferOptions,
            limit: int,
            *,
            sequential: bool = False,
            quick: bool = False,
            services: int = SERVICES,
            beside: Schedules | None = None,
        ) -> Schedules:
            # One schedule is chosen from those of all orders, and compared with the one in which
            # every split is Sequential, whatever splits are explored.
            key = lowered.depths, None if sequential else kinds, counts, limit, quick, services
            if key not in self._solved:
                self._solved[key] = solve(
                    lowered,
                    how,
                    limit,
                    sequential=sequential,
                    quick=quick,
                    services=services,
                    beside=beside,
                )
                while len(self._solved) > _MOST_SOLVED:
                    self._solved.popitem(last=False)
            return self._solved[key]

        try:
            choice = schedule_mapping(tiled.spec, options, lowering=lowering, solver=solver)
        except ILLEGAL as error:
            return Outcome(None, error=one_line(error))
        model, solution = choice.solved.model, choice.chosen

        energy = None
        if space.with_energy:
            energy = energy_by_latency(model.lowered, model.layout, model.options)
        if not (model.costs.per_transfer or model.costs.bursts):
            # Otherwise the number of transfers, hence the load, depends on the granularity.
            bound = Fraction(max(model.resource_bound, model.barrier_bound), model.costs.scale)
            least = None if energy is None else energy.at(bound)
            self.lower_bounds[kinds] = reduce_number(bound), least
        peaks = largest_peaks(occupancies(solution))
        own = choice.solved.solutions.values()
        return tiled.checked(
            Outcome(
                solution.makespan,
                solution.order or "",
                not any(solution is one for one in own),
                choice.exact,
                tuple(sorted(peaks.items())),
                energy=None if energy is None else energy.at(solution.makespan),
            )
        )
