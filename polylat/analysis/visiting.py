"""The schedule of all tile iterations, for what a sample of them does not determine."""

from __future__ import annotations

from polylat.engine.model import build
from polylat.engine.solution import Solution
from polylat.errors import TooLargeError
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
    """
    model = solution.model
    if model.lowered.size > MOST_VISITED:
        return None
    try:
        whole = build(model.lowered, model.background, model.slots)
    except TooLargeError:
        return None
    assert isinstance(whole.plan, ExplicitTaskGraph)
    found = Solution(whole, whole.plan.time(solution.order))
    assert found.makespan == solution.makespan, "both engines compute the same schedule"
    return found
