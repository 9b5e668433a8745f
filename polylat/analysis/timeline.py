"""Timelines: when every port serves which access, as values that any renderer can draw.

All times are exact, in the architecture's unit of time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Literal

from polylat.analysis.access import Step, port_name
from polylat.errors import OptionError
from polylat.numbers import Number, reduce_number
from polylat.schedule.reasons import Wait
from polylat.spec.arguments import normalize_window

__all__ = [
    "Bar",
    "BarPart",
    "Kind",
    "Lane",
    "OccupancyLevel",
    "RepeatedPart",
    "StackData",
    "TimelineData",
    "TimelineSegment",
    "UtilizationSpan",
    "window_of",
]

Kind = Literal["fill", "foreground", "write_back", "background"]


@dataclass(frozen=True)
class Lane:
    """A port.

    Parameters
    ----------
    component, port
        The port; `port` is empty where the component has one only.
    units
        The units that it belongs to, named by the Einsums that use them; empty where the
        component's units are not divided.
    busy
        Time for which it serves accesses, in the whole schedule.
    """

    component: str
    port: str
    units: str
    busy: Number

    @property
    def name(self) -> str:
        """The name of the port, such as ``SRAM.read`` or ``mac[e1]``."""
        return port_name(self.component, self.port, self.units)


@dataclass(frozen=True)
class BarPart:
    """An access of a bar.

    Parameters
    ----------
    tensor, action
        The access; the tensor is None for a computation.
    duration
        Its duration.
    """

    tensor: str | None
    action: str
    duration: Number


@dataclass(frozen=True)
class Bar:
    """The part of a block that a port serves without interruption.

    Parameters
    ----------
    lane
        The port: its index among the lanes.
    einsum, tile
        The tile iteration: its Einsum, and (rank variable, index) per Temporal loop.
    kind
        A separate fill or read-back, the foreground, or a separate write-back: ``"write_back"``, or
        ``"background"`` for one in the background.
    parts
        Its accesses, in order; their durations add up to its own.
    start, duration
        Start time and duration.
    waited_for
        Why it starts no earlier; None if it waits for nothing, ``"unknown"`` where that is not
        determined.
    after
        Index of the bar of the same segment that it waited for; None if that is not shown.
    critical
        Whether it is on the critical path.
    slack
        Latest less earliest start (ALAP - ASAP) under the same order of service; of repeated bars,
        the slack of the first. None where it is undetermined: where tile iterations are sampled,
        and the successors of the bar are not periodic.
    """

    lane: int
    einsum: str
    tile: tuple[tuple[str, int], ...]
    kind: Kind
    parts: tuple[BarPart, ...]
    start: Number
    duration: Number
    waited_for: Wait = None
    after: int | None = None
    critical: bool = False
    slack: Number | None = None

    @property
    def finish(self) -> Number:
        """End of the service."""
        return self.start + self.duration


@dataclass(frozen=True)
class UtilizationSpan:
    """How busy a port is during a time with too many bars to show.

    Parameters
    ----------
    lane
        The port.
    start, finish
        The time.
    busy
        (Einsum, kind, busy time).
    """

    lane: int
    start: Number
    finish: Number
    busy: tuple[tuple[str, Kind, Number], ...]


@dataclass(frozen=True)
class OccupancyLevel:
    """How full a memory is.

    Parameters
    ----------
    component, units
        The memory, and the Einsums that use these units of it; empty where its units are not
        divided.
    size
        Bits that it can hold, None if unlimited.
    peak
        Largest number of bits that it ever holds, None if undetermined.
    steps
        (time, bits from then on), from the start of the segment on; None if undetermined.
    exact
        Whether these are all changes. Otherwise each step has the maximum until the next one.
    """

    component: str
    units: str
    size: Number | None
    peak: Number | None
    steps: tuple[tuple[Number, Number], ...] | None
    exact: bool = True

    @property
    def name(self) -> str:
        """The memory and its units, such as ``RF[e1]``."""
        return port_name(self.component, "", self.units)


@dataclass(frozen=True)
class TimelineSegment:
    """A part of a timeline, to scale.

    Parameters
    ----------
    start, finish
        Its time; if it repeats, that of the first repetition.
    times
        Number of repetitions.
    bars, shades
        Services of the ports, in order of time; also those that begin before or end after the
        segment.
    critical
        The critical path through it; of thousands of steps, those at some instants.
    levels
        Occupancy of the memories; if it repeats, in the first repetition.
    """

    start: Number
    finish: Number
    times: int
    bars: tuple[Bar, ...]
    shades: tuple[UtilizationSpan, ...]
    critical: tuple[Step, ...] = ()
    levels: tuple[OccupancyLevel, ...] = ()

    @property
    def duration(self) -> Number:
        """Duration of one repetition."""
        return self.finish - self.start


@dataclass(frozen=True)
class RepeatedPart:
    """Neighboring segments that repeat together.

    Parameters
    ----------
    first, last
        Indices of the segments.
    count
        Number of repetitions.
    period
        Duration of one repetition.
    """

    first: int
    last: int
    count: int
    period: Number


@dataclass(frozen=True)
class TimelineData:
    """The services of every port, and the occupancy of the memories.

    Parameters
    ----------
    title
        The title.
    start, finish
        The window.
    latency
        The latency of the schedule.
    lanes
        The ports, in the order of the architecture.
    einsums
        Names of the Einsums, in the order of the mapping.
    segments
        Parts, in order of time. Their durations times their repetitions add up to the window.
    repeats
        Segments that repeat together, outer ones first.
    bounds
        (name, time): the lower bounds on the latency.
    path_known
        Whether the critical path is determined; the segments have none otherwise.
    """

    title: str
    start: Number
    finish: Number
    latency: Number
    lanes: tuple[Lane, ...]
    einsums: tuple[str, ...]
    segments: tuple[TimelineSegment, ...]
    repeats: tuple[RepeatedPart, ...] = ()
    bounds: tuple[tuple[str, Number], ...] = ()
    path_known: bool = True

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The bars of all segments."""
        return tuple(bar for segment in self.segments for bar in segment.bars)

    @property
    def folded(self) -> bool:
        """Whether repetitions are shown once."""
        return bool(self.repeats)

    def busy(self, lane: int) -> Number:
        """Return the busy time of a port in the window.

        Parameters
        ----------
        lane
            Index of the port.

        Returns
        -------
        Number
            The sum over its bars and shades.
        """
        total = Fraction(0)
        for segment in self.segments:
            for bar in segment.bars:
                if bar.lane == lane:
                    first, last = max(bar.start, segment.start), min(bar.finish, segment.finish)
                    total += max(Fraction(0), Fraction(last - first)) * segment.times
            for shade in segment.shades:
                if shade.lane == lane:
                    total += sum(Fraction(time) for _, _, time in shade.busy) * segment.times
        return reduce_number(total)


@dataclass(frozen=True)
class StackData:
    """Timelines below each other, on one axis of time.

    Parameters
    ----------
    timelines
        The timelines, from the top down.
    title
        The title of the picture; empty: the titles of the timelines.
    """

    timelines: tuple[TimelineData, ...]
    title: str = field(default="", kw_only=True)

    @cached_property
    def einsums(self) -> tuple[str, ...]:
        """Names of all Einsums."""
        return tuple(dict.fromkeys(e for line in self.timelines for e in line.einsums))


def window_of(window: tuple[Number, Number], latency: Number) -> tuple[Number, Number]:
    """Clip a window to the schedule.

    Parameters
    ----------
    window
        (from, to), in the architecture's unit of time.
    latency
        The end of the schedule.

    Returns
    -------
    tuple of Number
        (from, to), no later than the latency.

    Raises
    ------
    OptionError
        The window is empty, or not within the schedule.
    """
    first, last = normalize_window(window)
    if first >= latency:
        raise OptionError(
            "the window begins after the end of the schedule", fix="begin before the latency"
        )
    return reduce_number(first), reduce_number(min(last, Fraction(latency)))
