"""The latency as a function of the bandwidth of a component.

All figures are exact, and hold for the order of service of the schedule.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from numbers import Real

from polylat.analysis.envelope import envelope, steepest_slope, tangents
from polylat.analysis.evaluation import Retimer
from polylat.analysis.throughputs import Throughput, describe_name, duration_factor, timed_keys
from polylat.errors import OptionError
from polylat.numbers import Number, reduce_number

__all__ = ["Curve", "curve"]


@dataclass(frozen=True)
class Curve:
    """The latency as a function of how long some accesses take. The order of service stays.

    It is convex and piecewise linear in the *scale*: what all these durations are multiplied by.
    1 is now, 0 is no time; half the scale is twice the *bandwidth*.

    Parameters
    ----------
    component, action
        What is scaled: a component's accesses (all but ``"overhead"`` where the action is None).
    latency
        The latency now.
    breakpoints
        (scale, latency) where the pieces begin, the first at scale 0.
    slopes
        Slope of each piece, increasing: time of the scaled accesses on the critical path, at
        scale 1. The last piece never ends.
    unresolved
        (from, to) scales, close together, between which rates are so nearly equal that too many
        tile iterations would have to be looked at: there the curve is no more than the latency,
        which is no more than the straight line between the ends.
    """

    component: str
    action: str | None
    latency: Number
    breakpoints: tuple[tuple[Number, Number], ...]
    slopes: tuple[Number, ...]
    unresolved: tuple[tuple[Number, Number], ...] = ()

    def at(self, scale: Number) -> Number:
        """The latency at a scale of the durations, at least 0."""
        if not (isinstance(scale, Real) and 0 <= scale < inf):
            raise OptionError(
                f"a scale of durations is a number from 0 on, not {scale!r}",
                fix="1 is as it is now",
            )
        piece = bisect_right([start for start, _ in self.breakpoints], scale) - 1
        start, latency = self.breakpoints[piece]
        return reduce_number(Fraction(latency) + self.slopes[piece] * (Fraction(scale) - start))

    def at_bandwidth(self, factor: Throughput) -> Number:
        """The latency at a multiple of the bandwidth: 2 is twice as fast, inf takes no time."""
        return self.at(duration_factor(factor, "bandwidth"))

    @property
    def beyond(self) -> Number | None:
        """The multiple of the bandwidth beyond which more gains nothing.

        None if more always gains something; 0 if the bandwidth never matters.
        """
        if self.slopes[0]:
            return None
        return reduce_number(1 / Fraction(self.breakpoints[1][0])) if len(self.slopes) > 1 else 0

    @property
    def below(self) -> Number | None:
        """The multiple of the bandwidth below which latency times bandwidth is constant.

        None if it never is, as something else is always on the critical path, too; and where it
        always is, see `alone`.
        """
        start, latency = self.breakpoints[-1]
        if start == 0 or latency != self.slopes[-1] * start:
            return None
        return reduce_number(1 / Fraction(start))

    @property
    def alone(self) -> bool:
        """Whether latency times bandwidth is always the same: nothing else ever counts."""
        return self.breakpoints == ((0, 0),) and self.slopes[0] > 0


def curve(retimer: Retimer, component: str, action: str | None = None) -> Curve:
    """The latency as a function of the bandwidth of a component.

    The order of service stays; analysing anew at another bandwidth may find a better one.

    Parameters
    ----------
    retimer
        Times the schedule anew.
    component
        The component.
    action
        One of its actions; None for all of them (but not for the constant in its
        ``total_latency``, which is the action ``"overhead"``).

    Raises
    ------
    OptionError
        There is no such component or action.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> found = report.curve("DRAM")
    >>> found.breakpoints[1], found.slopes[0], found.at_bandwidth(2), found.beyond
    ((Fraction(65, 184), 24064), 0, 25792, Fraction(184, 65))
    """
    describe_name(retimer, component if action is None else (component, action))
    keys = timed_keys(retimer, component, action)
    now = retimer.evaluate({})
    pieces, unresolved = envelope(tangents(retimer, keys), steepest_slope(retimer, keys))
    return Curve(
        component,
        action,
        now.latency,
        tuple((reduce_number(start), reduce_number(line.at(start))) for start, line in pieces),
        tuple(reduce_number(line.slope) for _, line in pieces),
        tuple((reduce_number(left), reduce_number(right)) for left, right in unresolved),
    )
