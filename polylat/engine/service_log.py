"""Services of ports in the order in which they begin, with repetitions stored once.

A *run* of a stream is a list of its services, repeated a number of times: each time some steps and
some iterations later. A service that does not repeat belongs to a run of one repetition.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

__all__ = ["END", "Digits", "ServiceRun", "StreamLog", "moved_in_loop"]

Digits = tuple[float, ...]
"""The loop indices of a tile iteration."""

END: Digits = (inf,)
"""After the loop indices of all tile iterations."""


def moved_in_loop(digits: Digits, loop: int, by: int) -> Digits:
    """Return the loop indices of a tile iteration that is later in one loop.

    Parameters
    ----------
    digits
        The loop indices, or `END`.
    loop, by
        The loop, and the number of iterations.

    Returns
    -------
    tuple
        The loop indices; `END` stays.
    """
    if digits == END:
        return digits
    return (*digits[:loop], digits[loop] + by, *digits[loop + 1 :])


@dataclass(frozen=True)
class ServiceRun:
    """Services of a stream that repeat.

    Parameters
    ----------
    begins, digits
        When the services of the first repetition begin, in steps, and their loop indices.
    times
        Number of repetitions.
    steps, loop, moves
        How many steps, and iterations of which loop, each repetition is later.
    """

    begins: Sequence[int]
    digits: Sequence[Digits]
    times: int = 1
    steps: int = 0
    loop: int = 0
    moves: int = 0

    def service(self, number: int, at: int) -> tuple[int, Digits]:
        """Return when a service of a repetition begins, and its loop indices.

        Parameters
        ----------
        number, at
            The repetition, and the position of the service in it.

        Returns
        -------
        (int, tuple)
            The time and the loop indices.
        """
        digits = self.digits[at]
        if number:
            digits = moved_in_loop(digits, self.loop, number * self.moves)
        return self.begins[at] + number * self.steps, digits

    @property
    def end(self) -> tuple[int, Digits]:
        """The last service."""
        return self.service(self.times - 1, len(self.begins) - 1)


class StreamLog:
    """The services of a stream, which are in order.

    Parameters
    ----------
    runs
        The runs, in order.
    """

    def __init__(self, runs: Sequence[ServiceRun]) -> None:
        self.runs = runs
        self._firsts = [run.digits[0] for run in runs]
        self._begins = [run.begins[0] for run in runs]
        self._ends = [run.end[0] for run in runs]

    def begin(self, digits: Digits) -> int | None:
        """Return when the service of a tile iteration begins.

        Parameters
        ----------
        digits
            The loop indices.

        Returns
        -------
        int or None
            The time in steps; None if there is no such service.
        """
        at = bisect_right(self._firsts, digits) - 1
        if at < 0:
            return None
        run = self.runs[at]
        for position, first in enumerate(run.digits):
            number = 0
            if run.moves:
                number, rest = divmod(int(digits[run.loop] - first[run.loop]), run.moves)
                if rest or not 0 <= number < run.times:
                    continue
            begin, found = run.service(number, position)
            if found == digits:
                return begin
        return None

    def after(self, time: int) -> tuple[int, Digits] | None:
        """Return the first service that begins after a time.

        Parameters
        ----------
        time
            In steps.

        Returns
        -------
        (int, tuple) or None
            Its beginning and its loop indices; None if there is none.
        """
        at = bisect_right(self._ends, time)
        if at == len(self.runs):
            return None
        run = self.runs[at]
        number = max(time - run.begins[0], 0) // run.steps if run.steps else 0
        number = min(number, run.times - 1)
        position = bisect_right(run.begins, time - number * run.steps)
        if position == len(run.begins):
            number, position = number + 1, 0
        return run.service(number, position)

    def before(self, time: int) -> tuple[int, Digits] | None:
        """Return the last service that begins before a time.

        Parameters
        ----------
        time
            In steps.

        Returns
        -------
        (int, tuple) or None
            Its beginning and its loop indices; None if there is none.
        """
        at = bisect_left(self._begins, time) - 1
        if at < 0:
            return None
        run = self.runs[at]
        number = (time - 1 - run.begins[0]) // run.steps if run.steps else 0
        number = min(number, run.times - 1)
        position = bisect_left(run.begins, time - number * run.steps) - 1
        return run.service(number, position)
