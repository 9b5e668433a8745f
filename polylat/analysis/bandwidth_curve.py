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

__all__ = ["Curve", "bandwidth_curve"]


@dataclass(frozen=True)
class Curve:
    """The latency as a function of the durations of some accesses, under a fixed order of service.

    It is convex and piecewise linear in the *scale*, the factor of all these durations: 1 is the
    present duration, 0 is no time. Half the scale is twice the *bandwidth*.

    Parameters
    ----------
    component, action
        The scaled accesses: those of a component with this action; where it is None, all but
        ``"overhead"``.
    latency
        The latency at scale 1.
    breakpoints
        (scale, latency) at which the pieces begin, the first at scale 0.
    slopes
        The slope of each piece, increasing: time of the scaled accesses on the critical path, at
        scale 1. The last piece never ends.
    unresolved
        Narrow intervals (from, to) of scales in which rates differ so little that too many tile
        iterations would have to be sampled. There the curve is a lower bound of the latency, and
        the straight line between the ends is an upper bound.
    """

    component: str
    action: str | None
    latency: Number
    breakpoints: tuple[tuple[Number, Number], ...]
    slopes: tuple[Number, ...]
    unresolved: tuple[tuple[Number, Number], ...] = ()

    def at(self, scale: Number) -> Number:
        """Return the latency at a scale of the durations.

        Parameters
        ----------
        scale
            A number from 0 on.

        Returns
        -------
        Number
            The latency, in the architecture's unit of time.

        Raises
        ------
        OptionError
            The scale is no such number.
        """
        if not (isinstance(scale, Real) and 0 <= scale < inf):
            raise OptionError(
                f"a scale of durations is a number from 0 on, not {scale!r}",
                fix="give a finite number; 1 is the present duration",
            )
        piece = bisect_right([start for start, _ in self.breakpoints], scale) - 1
        start, latency = self.breakpoints[piece]
        return reduce_number(Fraction(latency) + self.slopes[piece] * (Fraction(scale) - start))

    def at_bandwidth(self, factor: Throughput) -> Number:
        """Return the latency at a multiple of the bandwidth.

        Parameters
        ----------
        factor
            The multiple: 2 is twice as fast, inf takes no time.

        Returns
        -------
        Number
            The latency, in the architecture's unit of time.

        Raises
        ------
        OptionError
            The factor is not a positive number.
        """
        return self.at(duration_factor(factor, "bandwidth"))

    @property
    def beyond(self) -> Number | None:
        """The multiple of the bandwidth from which on a larger one does not lower the latency.

        None if a larger one always does; 0 if the bandwidth never matters.
        """
        if self.slopes[0]:
            return None
        return reduce_number(1 / Fraction(self.breakpoints[1][0])) if len(self.slopes) > 1 else 0

    @property
    def below(self) -> Number | None:
        """The multiple of the bandwidth below which latency times bandwidth is constant.

        None if it never is, because other accesses are always on the critical path, too, and if it
        always is (`alone`).
        """
        start, latency = self.breakpoints[-1]
        if start == 0 or latency != self.slopes[-1] * start:
            return None
        return reduce_number(1 / Fraction(start))

    @property
    def alone(self) -> bool:
        """Whether latency times bandwidth is constant: no other access is ever critical."""
        return self.breakpoints == ((0, 0),) and self.slopes[0] > 0


def bandwidth_curve(retimer: Retimer, component: str, action: str | None = None) -> Curve:
    """Return the latency as a function of the bandwidth of a component.

    The order of service is fixed; a new analysis at another bandwidth may find a better one.

    Parameters
    ----------
    retimer
        Retimes the schedule.
    component
        The component.
    action
        One of its actions; None for all of them (but not for the constant in its
        ``total_latency``, which is the action ``"overhead"``).

    Returns
    -------
    Curve
        The latency at every scale; breakpoints and slopes are exact.

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
    ((Fraction(13, 37), 24064), 0, 25824, Fraction(37, 13))
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
