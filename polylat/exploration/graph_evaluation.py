"""Evaluate variants of a cell together, on the graph that they share."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from polylat.exploration.cell import Cell, TimedVariant
from polylat.exploration.pareto import Outcome
from polylat.exploration.tiled_mapping import TiledMapping
from polylat.numbers import reduce_number
from polylat.schedule.timing import ORDERS

__all__ = ["evaluate_together"]


def evaluate_together(
    mapping: TiledMapping, cell: Cell, order: str, numbers: Sequence[int]
) -> list[Outcome]:
    """Evaluate variants of a cell on the graph that they share.

    Parameters
    ----------
    mapping
        The mapping.
    cell
        The cell.
    order
        The option of `analyze`.
    numbers
        The variants, counted in the cell.

    Returns
    -------
    list of Outcome
        One per variant; equal schedules share one.
    """
    if not numbers:
        return []
    size = len(numbers)
    background_sets, assignments = np.divmod(np.array(numbers), mapping.space.slot_assignments)
    unique, of = np.unique(background_sets, return_inverse=True)
    masks = [mapping.background(mapping.space.background_mask(int(n))) for n in unique]
    background = np.array(masks, dtype=np.bool_).reshape(len(unique), -1)[of]
    slots = mapping.slot_counts[assignments]
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
            made[key] = _outcome(mapping, cell, timed[key[0]], key[1], order)
        outcomes.append(made[key])
    return outcomes


def _outcome(
    mapping: TiledMapping, cell: Cell, timed: TimedVariant, waits: bool, order: str
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
    outcome = Outcome(latency, ORDERS[timed.order], waits, True, tuple(sorted(peaks.items())))
    return mapping.checked(outcome)
