"""The schedule of all tile iterations, for what a sample of them does not determine."""

from __future__ import annotations

from fractions import Fraction

from polylat.engine.model import build
from polylat.engine.solution import Solution
from polylat.errors import ScheduleError, TooLargeError
from polylat.numbers import format_number
from polylat.schedule.list_scheduling import ExplicitTaskGraph

__all__ = ["MOST_VISITED", "visit_all"]

MOST_VISITED = 50_000
"""Largest number of tile iterations that are visited where a sample does not suffice."""


def visit_all(solution: Solution) -> Solution | None:
    """Return the same schedule with every tile iteration, if there are few enough of them.

    Parameters
    ----------
    solution
        The schedule; sampled tile iterations represent the others.

    Returns
    -------
    Solution or None
        A schedule of the same mapping in the same order; its model visits every tile iteration.
        None if there are more than `MOST_VISITED`, or too many pairs of them share an element.

    Raises
    ------
    ScheduleError
        The schedule of all tile iterations is another one: the given one is wrong.
    """
    model = solution.model
    if model.lowered.size > MOST_VISITED:
        return None
    try:
        whole = build(model.lowered, model.options)
    except TooLargeError:
        return None
    assert isinstance(whole.plan, ExplicitTaskGraph)
    found = Solution(whole, whole.plan.time(solution.order))
    if not found.schedule.legal or found.makespan != solution.makespan:
        latency = Fraction(found.makespan, found.scale) if found.schedule.legal else None
        raise ScheduleError(
            f"the latency from a sample of the tile iterations,"
            f" {format_number(Fraction(solution.makespan, solution.scale))}, is not that of all"
            f" tile iterations, {'none' if latency is None else format_number(latency)}",
            where="mapping",
            fix="report this mapping as a bug of polylat; granularity='tile' avoids it",
        )
    return found
