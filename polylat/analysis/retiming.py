"""Choose how to retime a schedule: by simulation, from a sample, or in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from polylat.analysis.access import AccessKey
from polylat.analysis.evaluation import CriticalTotals, Evaluation, Retimer, rigid_accesses
from polylat.analysis.explicit_retiming import explicit_retimer
from polylat.analysis.periodic_retiming import PeriodicRetimer
from polylat.analysis.turn_retiming import TurnRetimer
from polylat.engine.solution import Solution
from polylat.errors import UnsupportedError
from polylat.numbers import Number
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
    rigid = rigid_accesses(solution.model)
    found: Retimer
    if isinstance(solution.model.plan, ExplicitTaskGraph):
        found = explicit_retimer(solution)
    elif solution.model.runs_in_turn:
        found = TurnRetimer(solution, totals)
    else:
        found = PeriodicRetimer(solution, totals)
    return _RigidRetimer(found, rigid) if rigid else found


@dataclass(frozen=True, eq=False)
class _RigidRetimer:
    """Retimes a schedule with rigid pipelines, the durations in which are fixed.

    Parameters
    ----------
    retimer
        Retimes it while the lags of the stalls are those of the schedule.
    rigid
        The accesses on whose durations these depend.
    """

    retimer: Retimer
    rigid: frozenset[AccessKey]

    @property
    def solution(self) -> Solution:
        """The schedule."""
        return self.retimer.solution

    @property
    def loads(self) -> Mapping[AccessKey, Number]:
        """As of `Retimer`."""
        return self.retimer.loads

    def evaluate(
        self, scales: Mapping[AccessKey, Fraction], /, *, quick: bool = False
    ) -> Evaluation:
        """Return the latency with scaled durations, see `Retimer`."""
        for key in self.rigid:
            if scales.get(key, 1) != 1:
                name = " ".join(part for part in key if part)
                raise UnsupportedError(
                    f"other durations of {name}: the stalls of a rigid pipeline depend on them",
                    where="schedule: rigid",
                    fix="change the throughput in the architecture, and analyze the mapping again",
                )
        return self.retimer.evaluate(scales, quick=quick)
