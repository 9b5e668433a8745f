"""Check a critical path: a gapless chain of accesses, each of which waits for the previous one.

Such a chain is the witness that the schedule attains the latency: with the same order on the
ports, no access of it could start earlier.
"""

from __future__ import annotations

from collections.abc import Sequence

from polylat.analysis.access import Step
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.step_location import describe_step, locate_steps
from polylat.proof.waits import Place, Waits, services_ending_at

__all__ = ["WitnessChecker"]


class WitnessChecker:
    """Check chains of accesses against a schedule and the rules.

    Parameters
    ----------
    schedule
        The schedule, with the rules.
    """

    def __init__(self, schedule: CheckedSchedule) -> None:
        self.schedule = schedule
        self.waits = Waits(schedule)

    def check(self, steps: Sequence[Step], latency: int | None = None) -> int:
        """Check that consecutive steps follow each other without gaps, for the reasons they state.

        Parameters
        ----------
        steps
            Consecutive steps.
        latency
            If given, the steps must reach from 0 to this time, in steps of 1/scale.

        Returns
        -------
        int
            The number of steps.

        Raises
        ------
        BrokenRule
            A step is not where the schedule has it, or did not wait as stated.
        """
        chain = list(steps)
        scale = self.schedule.schedule.scale
        times = [(int(s.start * scale), int(s.finish * scale)) for s in chain]
        if latency is not None:
            ends = (times[0][0], times[-1][1]) if times else (0, 0)
            if ends != (0, latency):
                raise BrokenRule(
                    f"the critical path goes from {chain[0].start} to {chain[-1].finish}"
                )
        for k in range(1, len(chain)):
            if times[k][0] != times[k - 1][1]:
                raise BrokenRule(f"there is a gap in the critical path at {chain[k].start}")
        found = locate_steps(self.schedule, chain, times)
        self.waits.evaluate_rules([place for place, _ in found])
        for k, step in enumerate(chain):
            if step.waited_for is None and times[k][0] != 0:
                what = describe_step(self.schedule, step)
                raise BrokenRule(f"{what} waits for nothing, and starts at {step.start}")
            if k and not self._waited(step, times[k][0], found[k], found[k - 1]):
                what, other = (describe_step(self.schedule, x) for x in (step, chain[k - 1]))
                raise BrokenRule(f"{what} does not wait for {other} ({step.waited_for})")
        return len(chain)

    def _waited(
        self,
        step: Step,
        time: int,
        step_place: tuple[Place, int],
        previous: tuple[Place, int],
    ) -> bool:
        """Return whether a step waited for the previous one, and for the reason that it states.

        Where several waits end at the start of the step, the previous step may be the one and the
        stated reason another one of them.
        """
        place, port = step_place
        stated = None if step.waited_for == "port" else step.waited_for
        if stated is None and port == previous[1]:
            return True
        if stated is not None and self._waits_for(place, time, stated, previous[0]):
            return True
        if port != previous[1] and not self._waits_for(place, time, None, previous[0]):
            return False
        if stated is None:
            return self._port_released(place, port, time)
        return self._waits_for(place, time, stated, None)

    def _waits_for(self, place: Place, time: int, reason: str | None, wanted: Place | None) -> bool:
        found = self.waits.awaited_service(place, time, reason=reason, wanted=wanted)
        return found is not None

    def _port_released(self, place: Place, port: int, time: int) -> bool:
        """Return whether another service of a port ends at a time."""
        for block in self.schedule.schedule.blocks:
            pieces = block.tasks.get(port)
            if pieces is not None:
                for index in services_ending_at(pieces, time):
                    if (block.leaf, block.block, index) != place:
                        return True
        return False
