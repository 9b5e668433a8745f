"""Check a critical path: a gapless chain of accesses, each of which waits for the previous one.

Such a chain is the witness that the schedule attains the latency: with the same order on the
ports, no access of it could start earlier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polylat.analysis.access import LATENCY, Step
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.step_location import describe_step, locate_steps
from polylat.proof.waits import Index, Place, Waits, services_ending_at
from polylat.proof.words import time_at

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
        return self._check([steps], latency)

    def check_windows(self, windows: Sequence[Sequence[Step]]) -> int:
        """Check several parts of a critical path, as `check` does each.

        Parameters
        ----------
        windows
            Per part, its consecutive steps.

        Returns
        -------
        int
            The number of steps.

        Raises
        ------
        BrokenRule
            As for `check`.
        """
        return self._check(windows, None)

    def _check(self, windows: Sequence[Sequence[Step]], latency: int | None) -> int:
        """Check parts of a path, whose steps are located together."""
        chain = [step for steps in windows for step in steps]
        window = [number for number, steps in enumerate(windows) for _ in steps]
        scale = self.schedule.schedule.scale
        times = [(int(s.start * scale), int(s.finish * scale)) for s in chain]
        if latency is not None:
            ends = (times[0][0], times[-1][1]) if times else (0, 0)
            if ends != (0, latency):
                raise BrokenRule(
                    f"the critical path goes from {chain[0].start} to {chain[-1].finish}"
                )
        for k in range(1, len(chain)):
            if window[k] == window[k - 1] and times[k][0] != times[k - 1][1]:
                raise BrokenRule(f"there is a gap in the critical path at {chain[k].start}")
        served = [k for k, step in enumerate(chain) if step.action != LATENCY]
        found = locate_steps(self.schedule, [chain[k] for k in served], [times[k] for k in served])
        self.waits.evaluate_rules([place for place, _ in found])
        for at, k in enumerate(served):
            first = latency is not None and not at
            self._check_service(chain[k], times[k][0], found[at][0], first=first)
            before = served[at - 1] if at else -1
            if at and window[before] == window[k]:
                gap = times[k][0] - times[before][1]
                if not self._waited(chain[k], times[k][0], found[at], found[at - 1], gap):
                    what, other = (describe_step(self.schedule, chain[x]) for x in (k, before))
                    raise BrokenRule(f"{what} does not wait for {other} ({chain[k].waited_for})")
        self._check_latencies(chain, times)
        ends_late = latency is not None and served and served[-1] != len(chain) - 1
        if ends_late and self.waits.last_service(times[-1][1], found[-1][0]) is None:
            what = describe_step(self.schedule, chain[served[-1]])
            raise BrokenRule(f"the schedule does not end a fixed latency after {what}")
        return len(chain)

    def _check_service(self, step: Step, time: int, place: Place, *, first: bool) -> None:
        """Check that a step that waits for no other one starts at 0 or after fixed latencies."""
        alone = first or step.waited_for is None
        if time and alone and not self.waits.is_free(place, time):
            what = describe_step(self.schedule, step)
            raise BrokenRule(f"{what} waits for nothing, and starts at {step.start}")

    def _check_latencies(self, chain: Sequence[Step], times: Sequence[tuple[int, int]]) -> None:
        """Check that fixed latencies are those of blocks that are served, or start, before them."""
        for step, (start, finish) in zip(chain, times, strict=True):
            if step.action != LATENCY:
                continue
            if step.waited_for is None and step.start:
                raise BrokenRule(f"a fixed latency waits for nothing, and starts at {step.start}")
            index = tuple(x for _, x in step.tile)
            if not any(
                self._passes(leaf, block, index, start, finish)
                for leaf, block in self._blocks_named(step)
            ):
                raise BrokenRule(
                    f"no block has the fixed latency at {step.start} on the critical path"
                )

    def _blocks_named(self, step: Step) -> Iterator[tuple[int, int]]:
        """Yield the blocks whose fixed latency a step may be."""
        for leaf in self.schedule.sets.leaves:
            if leaf.einsum.name != step.einsum:
                continue
            for block, what in enumerate(self.schedule.expected.blocks[leaf.number]):
                component = leaf.component
                if what.tensor is not None:
                    component = leaf.storages(what.tensor)[what.level].component
                if (component, what.tensor) == (step.component, step.tensor):
                    yield leaf.number, block

    def _passes(self, leaf: int, block: int, index: Index, start: int, finish: int) -> bool:
        """Return whether a fixed latency of a block, or a stall by it, lasts for a time."""
        stream = self.schedule.block_starts(leaf, block)
        events = [stream.ready, *(self.schedule.ends(pieces) for pieces in stream.tasks.values())]
        for event in events:
            passed = self.schedule.passed(leaf, block, event, "passed")
            if time_at(event, index) == start and time_at(passed, index) == finish:
                return True
        front = block == self.schedule.sets.foreground(leaf)
        stalls = self.schedule.stalls(leaf) if front else None
        return stalls is not None and any(
            (later, begin) == (index, start) for _, later, begin in stalls.ending_at(finish)
        )

    def _waited(
        self,
        step: Step,
        time: int,
        step_place: tuple[Place, int],
        previous: tuple[Place, int],
        gap: int,
    ) -> bool:
        """Return whether a step waited for the previous one, and for the reason that it states.

        After a gap, it waited for the fixed latencies that follow the previous one, not for a port.

        Several waits may end at the start of the step: the previous step may belong to one of them,
        and the stated reason to another one.
        """
        place, port = step_place
        stated = None if step.waited_for == "port" else step.waited_for
        if gap:
            behind = self._waits_for(place, time, None, previous[0])
            return stated is not None and behind and self._waits_for(place, time, stated, None)
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
