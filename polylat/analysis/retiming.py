"""Choose how to retime a schedule: by simulation, from a sample, or in closed form."""

from __future__ import annotations

from polylat.analysis.evaluation import CriticalTotals, Retimer
from polylat.analysis.explicit_retiming import explicit_retimer
from polylat.analysis.periodic_retiming import PeriodicRetimer
from polylat.analysis.turn_retiming import TurnRetimer
from polylat.engine.solution import Solution
from polylat.schedule.list_scheduling import ExplicitTaskGraph

__all__ = ["retimer"]


def retimer(solution: Solution, totals: CriticalTotals) -> Retimer:
    """Prepare a schedule for retiming: computing its times under other durations.

    The order of service is fixed, also for ``"oldest"``: every port serves as in the schedule. A
    new analysis with other durations may find a better order.

    Parameters
    ----------
    solution
        The schedule.
    totals
        Computes, per access, the time on its critical path.

    Returns
    -------
    Retimer
        For all tile iterations, for a sample, or in closed form where the leaves run in turn.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> found = report.retimer.evaluate({("e1", "DRAM", "w1", "read"): Fraction(1, 2)})
    >>> report.latency, found.latency, sum(found.time.values())
    (31808, 31744, 31744)
    """
    if isinstance(solution.model.plan, ExplicitTaskGraph):
        return explicit_retimer(solution)
    if solution.model.runs_in_turn:
        return TurnRetimer(solution, totals)
    return PeriodicRetimer(solution, totals)
