"""Evaluate variants of a cell together, on the graph that they share."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from polylat.exploration.cell import Cell, TimedVariant
from polylat.exploration.pareto import Outcome
from polylat.exploration.tiled_mapping import TransferMapping
from polylat.numbers import reduce_number
from polylat.schedule.timing import ORDERS

__all__ = ["evaluate_together"]


def evaluate_together(
    mapping: TransferMapping, cell: Cell, order: str, assignments: Sequence[int]
) -> list[Outcome]:
    """Evaluate variants of a cell on the graph that they share.

    Parameters
    ----------
    mapping
        The mapping with its transfers.
    cell
        The cell.
    order
        The option of `analyze`.
    assignments
        The variants, counted in the cell.

    Returns
    -------
    list of Outcome
        One per variant; equal schedules share one.
    """
    if not assignments:
        return []
    rows, row_of = np.unique(mapping.slot_rows[1][np.array(assignments)], return_inverse=True)
    orders = (0, 1, 2) if order == "best" else (ORDERS.index(order),)
    timed, which = cell.time(rows, orders)
    chosen = [(cell, timed[n], False) for n in which.tolist()]
    if order == "best" and cell.pipelines:
        # A schedule that keeps barriers is also feasible where it need not.
        in_turn = mapping.cell(frozenset())
        own = np.array([variant.makespan for _, variant, _ in chosen], dtype=np.int64)
        slower = np.flatnonzero((own < 0) | (own > in_turn.resource_bound))
        if len(slower):
            others, which = in_turn.time(rows[slower], orders)
            for at, n in zip(slower.tolist(), which.tolist(), strict=True):
                if others[n].makespan >= 0 and not 0 <= own[at] <= others[n].makespan:
                    chosen[at] = in_turn, others[n], True
    made: dict[tuple[int, bool], Outcome] = {}
    outcomes = []
    for of, variant, barriers in chosen:
        key = id(variant), barriers
        if key not in made:
            made[key] = _outcome(mapping, of, variant, barriers, order)
        outcomes.append(made[key])
    return [outcomes[row] for row in row_of.tolist()]


def _outcome(
    mapping: TransferMapping, cell: Cell, timed: TimedVariant, barriers: bool, order: str
) -> Outcome:
    graph = cell.graph
    if timed.makespan < 0:
        which = "every order of the ports" if order == "best" else f"order {order!r}"
        return Outcome(None, error=f"ScheduleError: {which} contradicts the dependences")
    peaks = {
        component: reduce_number(Fraction(peak, graph.held.denominator))
        for component, peak in cell.peaks_by_component(timed).items()
    }
    latency = reduce_number(Fraction(timed.makespan, graph.costs.scale))
    outcome = Outcome(
        latency,
        ORDERS[timed.order],
        barriers,
        True,
        tuple(sorted(peaks.items())),
        energy=mapping.energy(latency),
    )
    return mapping.tiled.checked(outcome)
