"""Evaluate variants of a cell together, on the graph that they share."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from polylat.exploration.cell import Cell, TimedVariant
from polylat.exploration.pareto import Outcome
from polylat.exploration.tiled_mapping import TransferMapping
from polylat.numbers import reduce_number
from polylat.schedule.arrays import Ints
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
    slots = mapping.slot_counts[np.array(assignments)]
    orders = (0, 1, 2) if order == "best" else (ORDERS.index(order),)
    timed, which = cell.time(slots, orders)
    makespans = _makespans(timed, which)
    chosen = [(cell, timed[n], False) for n in which.tolist()]
    if order == "best" and cell.pipelines:
        # A schedule that keeps barriers is also feasible where it need not.
        in_turn = mapping.cell(frozenset())
        slower = np.flatnonzero((makespans < 0) | (makespans > in_turn.resource_bound))
        if len(slower):
            others, which = in_turn.time(slots[slower], orders)
            times = _makespans(others, which)
            own = makespans[slower]
            better = (times >= 0) & ((own < 0) | (times < own))
            for at, n in zip(slower[better].tolist(), which[better].tolist(), strict=True):
                chosen[at] = in_turn, others[n], True
    made: dict[tuple[int, bool], Outcome] = {}
    outcomes = []
    for of, variant, barriers in chosen:
        key = id(variant), barriers
        if key not in made:
            made[key] = _outcome(mapping, of, variant, barriers, order)
        outcomes.append(made[key])
    return outcomes


def _makespans(timed: Sequence[TimedVariant], which: Ints) -> Ints:
    distinct, at = np.unique(which, return_inverse=True)
    return np.array([timed[n].makespan for n in distinct], dtype=np.int64)[at.reshape(-1)]


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
    outcome = Outcome(latency, ORDERS[timed.order], barriers, True, tuple(sorted(peaks.items())))
    return mapping.tiled.checked(outcome)
