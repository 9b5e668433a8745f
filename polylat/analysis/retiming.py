"""Choose how to time a schedule anew under other durations, with its order of service."""

from __future__ import annotations

from polylat.analysis.evaluation import CriticalTotals, Retimer
from polylat.analysis.explicit_retiming import explicit_retimer
from polylat.analysis.periodic_retiming import PeriodicRetimer
from polylat.analysis.turn_retiming import TurnRetimer
from polylat.engine.solution import Solution
from polylat.engine.solve import runs_in_turn
from polylat.schedule.list_scheduling import ExplicitTaskGraph

__all__ = ["retimer"]


def retimer(solution: Solution, totals: CriticalTotals) -> Retimer:
    """Prepare a schedule to be timed anew under other durations.

    The order of service is kept: for ``"oldest"``, the order in which every port has served.
    Analyzing the mapping with other durations may find a better one.

    Parameters
    ----------
    solution
        The schedule.
    totals
        Gives, by access, the time on its critical path.

    Returns
    -------
    Retimer
        For all tile iterations, for a sample, or in closed form where leaves run in turn.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> found = report.retimer.evaluate({("e1", "DRAM", "w1", "read"): Fraction(1, 2)})
    >>> report.latency, found.latency, sum(found.time.values())
    (31744, 31680, 31680)
    """
    if isinstance(solution.model.plan, ExplicitTaskGraph):
        return explicit_retimer(solution)
    if runs_in_turn(solution.model):
        return TurnRetimer(solution, totals)
    return PeriodicRetimer(solution, totals)
