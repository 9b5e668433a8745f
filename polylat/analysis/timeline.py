"""Timelines: when every port serves which access, as values that any renderer can draw.

All times are exact, in the architecture's unit of time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Literal

from polylat.analysis.access import Step
from polylat.errors import OptionError
from polylat.numbers import Number, reduce_number
from polylat.schedule.reasons import WaitedFor
from polylat.spec.options import normalize_window

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

Kind = Literal["fill", "foreground", "background"]


@dataclass(frozen=True)
class Lane:
    """A port.

    Parameters
    ----------
    component, port
        The port; `port` is empty where the component has one only.
    stages
        The Pipeline stages whose own units these are.
    busy
        How long it serves accesses, in the whole schedule.
    """

    component: str
    port: str
    stages: tuple[str, ...]
    busy: Number

    @property
    def name(self) -> str:
        """The port in one word, such as ``SRAM.read`` or ``mac[e1]``."""
        name = f"{self.component}.{self.port}" if self.port else self.component
        return name + "".join(f"[{stage}]" for stage in self.stages)


@dataclass(frozen=True)
class BarPart:
    """An access of a bar; the tensor is None for a computation."""

    tensor: str | None
    action: str
    duration: Number


@dataclass(frozen=True)
class Bar:
    """What a port serves of one tile iteration at a time.

    Parameters
    ----------
    lane
        The port: its place among the lanes.
    einsum, tile
        The tile iteration: its Einsum, and (rank variable, index) per Temporal loop.
    kind
        A prefetched fill, the foreground, or a background write-back.
    parts
        The accesses that it is made of, in order. Their durations add up to its own.
    start, duration
        When.
    waited_for
        Why it starts no earlier; None if it waits for nothing.
    after
        Which bar of the same segment it waited for; None if that is not shown.
    critical
        Whether it is on the critical path.
    slack
        How much later it could be served, alone, with the same latency and order of service; of
        what repeats, the first time. None where that is not known: where tile iterations stand for
        others, and what comes after it does not wait evenly.
    """

    lane: int
    einsum: str
    tile: tuple[tuple[str, int], ...]
    kind: Kind
    parts: tuple[BarPart, ...]
    start: Number
    duration: Number
    waited_for: WaitedFor | None = None
    after: int | None = None
    critical: bool = False
    slack: Number | None = None

    @property
    def finish(self) -> Number:
        """When it has been served."""
        return self.start + self.duration


@dataclass(frozen=True)
class UtilizationSpan:
    """How busy a port is for a time in which there is too much to show.

    Parameters
    ----------
    lane
        The port.
    start, finish
        From when to when.
    busy
        (Einsum, kind, how long it is served).
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
    component, stages
        The memory.
    size
        Bits that it can hold, None if unlimited.
    peak
        The most that it ever holds, None if not known.
    steps
        (time, bits from then on), from the start of the segment on; None if not known.
    exact
        Whether these are all changes. Of too many, it is the most from one time to the next.
    """

    component: str
    stages: tuple[str, ...]
    size: Number | None
    peak: Number | None
    steps: tuple[tuple[Number, Number], ...] | None
    exact: bool = True

    @property
    def name(self) -> str:
        """The memory in one word."""
        return self.component + "".join(f"[{stage}]" for stage in self.stages)


@dataclass(frozen=True)
class TimelineSegment:
    """A part of a timeline, to scale.

    Parameters
    ----------
    start, finish
        From when to when; if it repeats, the first time.
    times
        How often it happens.
    bars, shades
        What the ports serve, in order of time. What begins before or ends after the segment is
        there, too.
    critical
        The critical path through it; if it has thousands of steps, those at some instants.
    levels
        How full the memories are; if it repeats, the first time.
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
        """How long it takes once."""
        return self.finish - self.start


@dataclass(frozen=True)
class RepeatedPart:
    """Neighbouring segments that repeat together.

    Parameters
    ----------
    first, last
        The segments.
    count
        How often.
    period
        How long one repetition takes.
    """

    first: int
    last: int
    count: int
    period: Number


@dataclass(frozen=True)
class TimelineData:
    """What every port serves when, and how full the memories are.

    Parameters
    ----------
    title
        What it is a timeline of.
    start, finish
        The window.
    latency
        The latency of the schedule.
    lanes
        The ports, in the order of the architecture.
    einsums
        Names of the Einsums, in the order of the mapping.
    segments
        Parts, in order of time. Each times how often it happens, they add up to the window.
    repeats
        What repeats, outer ones first.
    bounds
        (name, time): the lower bounds on the latency.
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

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The bars of all segments."""
        return tuple(bar for segment in self.segments for bar in segment.bars)

    @property
    def folded(self) -> bool:
        """Whether what repeats is shown once."""
        return bool(self.repeats)

    def busy(self, lane: int) -> Number:
        """How long a port serves in the window, as the bars and shades tell."""
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
        The timelines.
    title
        The title of the picture; empty: those of the timelines.
    """

    timelines: tuple[TimelineData, ...]
    title: str = field(default="", kw_only=True)

    @cached_property
    def einsums(self) -> tuple[str, ...]:
        """Names of all Einsums."""
        return tuple(dict.fromkeys(e for line in self.timelines for e in line.einsums))


def window_of(window: tuple[Number, Number], latency: Number) -> tuple[Number, Number]:
    """The part of a window in which there is a schedule: nothing is served after its end.

    Raises
    ------
    OptionError
        The window is empty, or not within the schedule.
    """
    first, last = normalize_window(window)
    if first >= latency:
        raise OptionError("the window begins when all is over", fix="begin before the latency")
    return reduce_number(first), reduce_number(min(last, Fraction(latency)))
