"""A bound on the work on all expressions of an input together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from polylat.spec.reading.expressions.kinds import EvaluationFailure

MAX_STEPS = 50_000_000
"""Largest number of steps of all expressions of an input, about a minute of computation.

Every operation is a step, and every item of a list that an operation returns.
"""

_left: ContextVar[list[int] | None] = ContextVar("steps left", default=None)


@contextmanager
def bounded_work() -> Iterator[None]:
    """Bound the work on the expressions that are evaluated in a ``with`` statement.

    Yields
    ------
    None
        The bound of an outer statement remains.
    """
    if _left.get() is not None:
        yield
        return
    token = _left.set([MAX_STEPS])
    try:
        yield
    finally:
        _left.reset(token)


def spend(steps: int) -> None:
    """Count steps.

    Parameters
    ----------
    steps
        Their number.

    Raises
    ------
    EvaluationFailure
        The expressions of the input take too many steps together.
    """
    left = _left.get()
    if left is not None:
        left[0] -= steps
        if left[0] < 0:
            raise EvaluationFailure(
                f"the expressions of the input take more than {MAX_STEPS:,} steps together"
            )
