"""Compute positions in pictures of timelines, for all renderers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, log10

from polylat.analysis.access import LATENCY, Step
from polylat.analysis.timeline import (
    Bar,
    OccupancyLevel,
    RepeatedPart,
    TimelineData,
    TimelineSegment,
)
from polylat.numbers import Number, format_number

__all__ = [
    "GAP",
    "LETTER",
    "MIN_TICKED_WIDTH",
    "BoundMark",
    "RepeatBracket",
    "bits_at_top",
    "brackets",
    "critical_parts",
    "idle_gaps",
    "marks",
    "round_tick_step",
    "segment_spans",
    "visible_size",
    "waited_for_port",
    "x_of_time",
]

GAP = 14
"""Width of the gap between segments, in pixels."""

LETTER = 6.2
"""Width of a letter, in pixels."""

MIN_TICKED_WIDTH = 5
"""Smallest width of a bar that gets a tick if it has waited for its port, in pixels."""


def segment_spans(
    line: TimelineData, left: float, right: float, last: Number
) -> list[tuple[float, float]]:
    """Place the segments on the time axis.

    Parameters
    ----------
    line
        The timeline.
    left, right
        The ends of the time axis, in pixels.
    last
        The time at `right`; used only if there is one segment.

    Returns
    -------
    list[tuple[float, float]]
        The left and the right end of each segment, in pixels.
    """
    count = len(line.segments)
    room = right - left - GAP * (count - 1)
    if count == 1:
        share = [float((line.finish - line.start) / Fraction(last - line.start or 1))]
    else:
        # Each segment is to scale; short segments are enlarged relative to long ones.
        whole = sum((Fraction(s.duration) for s in line.segments), Fraction(0)) or Fraction(1)
        weight = [float(s.duration / whole) ** 0.5 + 0.15 for s in line.segments]
        share = [w / sum(weight) for w in weight]
    found: list[tuple[float, float]] = []
    x = left
    for part in share:
        found.append((x, x + room * part))
        x += room * part + GAP
    return found


def round_tick_step(least: Fraction) -> Fraction:
    """Return the smallest 1, 2 or 5 times a power of ten that is at least `least`.

    Parameters
    ----------
    least
        A number above 0.

    Returns
    -------
    Fraction
        The step of an axis.

    Examples
    --------
    >>> [str(round_tick_step(Fraction(n, 100))) for n in (11, 20, 300, 9900)]
    ['1/5', '1/5', '5', '100']
    """
    bits = least.numerator.bit_length() - least.denominator.bit_length()
    power = Fraction(10) ** (floor(bits * log10(2)) - 1)
    while power * 10 < least:
        power *= 10
    return next(power * k for k in (1, 2, 5, 10) if power * k >= least)


def x_of_time(segment: TimelineSegment, span: tuple[float, float], time: Number) -> float:
    """Convert a time to an x coordinate.

    Parameters
    ----------
    segment
        The segment that contains the time.
    span
        The left and the right end of the segment, in pixels.
    time
        The time; times outside of the segment are moved to its ends.

    Returns
    -------
    float
        Pixels.
    """
    first, last = span
    inside = (time - segment.start) / Fraction(segment.duration or 1)
    # Before the conversion: a time far outside may be beyond floating-point numbers.
    return first + (last - first) * float(min(max(inside, Fraction(0)), Fraction(1)))


@dataclass(frozen=True)
class RepeatBracket:
    """A bracket over segments that repeat.

    Parameters
    ----------
    repeat
        The repetition.
    x0, x1
        The ends of the bracket, in pixels.
    middle
        The center of the text, in pixels.
    text
        The number of repetitions, with the period if there is room.
    row
        The row, counted from above.
    """

    repeat: RepeatedPart
    x0: float
    x1: float
    middle: float
    text: str
    row: int


def brackets(
    line: TimelineData, spans: Sequence[tuple[float, float]], right: float
) -> list[RepeatBracket]:
    """Place brackets over repetitions: inner ones below outer ones, without overlap.

    Parameters
    ----------
    line
        The timeline.
    spans
        The left and the right end of each segment, in pixels.
    right
        The right end of the picture, in pixels.

    Returns
    -------
    list[Bracket]
        A bracket per repetition.
    """
    found: list[RepeatBracket] = []
    rows = _Rows()
    for number, repeat in enumerate(line.repeats):
        x0, x1 = spans[repeat.first][0], spans[repeat.last][1]
        text = f"× {repeat.count:,}"
        longer = f"{text} of {format_number(repeat.period)}"
        text = longer if len(longer) * LETTER < x1 - x0 else text
        half = len(text) * LETTER / 2
        middle = min((x0 + x1) / 2, right - half)
        around = [
            found[k].row
            for k, other in enumerate(line.repeats[:number])
            if other.first <= repeat.first and repeat.last <= other.last
        ]
        least = max(around, default=-1) + 1
        row = rows.add(min(x0, middle - half), max(x1, middle + half), least)
        found.append(RepeatBracket(repeat, x0, x1, middle, text, row))
    return found


@dataclass(frozen=True)
class BoundMark:
    """The mark of a lower bound on the latency, or of several equal ones.

    Parameters
    ----------
    text
        The names of the bounds.
    time
        The bound.
    x
        Its x coordinate, in pixels.
    anchor
        ``"start"`` or ``"end"``: whether the name starts or ends at `x`.
    row
        The row, counted from below.
    """

    text: str
    time: Number
    x: float
    anchor: str
    row: int


def marks(line: TimelineData, spans: Sequence[tuple[float, float]]) -> list[BoundMark]:
    """Place the marks of lower bounds, without overlap of names with names or lines.

    Equal bounds have one mark.
    Names are to the left of their lines; to the right if there is no room; toward the middle if
    there is none on either side. A line ends at its name, so outer names are higher.

    Parameters
    ----------
    line
        The timeline.
    spans
        The left and the right end of each segment, in pixels.

    Returns
    -------
    list[Mark]
        Marks of the bounds within the timeline; none if it has several segments.
    """
    if len(line.segments) != 1:
        return []
    (segment,), (span,) = line.segments, spans
    names: dict[Number, list[str]] = {}
    for name, time in line.bounds:
        if line.start < time <= line.finish:
            names.setdefault(time, []).append(name.split()[0])
    bounds = [
        (", ".join(equal), time, x_of_time(segment, span, time)) for time, equal in names.items()
    ]
    if not bounds:
        return []
    width = max(len(text) for text, _, _ in bounds) * LETTER + 6
    lines = [x for _, _, x in bounds]
    if min(lines) - width >= span[0]:
        middle = span[0]
    elif max(lines) + width <= span[1]:
        middle = span[1]
    else:
        middle = sum(span) / 2
    rows = _Rows()
    found = []
    for text, time, x in sorted(bounds, key=lambda bound: abs(bound[2] - middle)):
        width = len(text) * LETTER + 6
        anchor, low = ("end", x - width) if x > middle else ("start", x)
        found.append(BoundMark(text, time, x, anchor, rows.add(low, low + width)))
    return found


class _Rows:
    """Rows in which nothing overlaps."""

    def __init__(self) -> None:
        self.taken: dict[int, list[tuple[float, float]]] = {}

    def add(self, low: float, high: float, row: int = 0) -> int:
        """Occupy the first free row, counted from `row`, and return its number."""
        while any(low < b and a < high for a, b in self.taken.get(row, ())):
            row += 1
        self.taken.setdefault(row, []).append((low, high))
        return row


def idle_gaps(segment: TimelineSegment) -> Iterator[tuple[Bar, Number]]:
    """Find bars that wait while their port is idle.

    Parameters
    ----------
    segment
        The segment.

    Yields
    ------
    tuple[Bar, Number]
        The bar, and the time at which its port becomes idle.
    """
    ends: dict[int, Number] = {}
    for bar in segment.bars:
        since = ends.get(bar.lane, segment.start)
        ends[bar.lane] = bar.finish
        if since < bar.start and bar.waited_for not in (None, "port", "unknown"):
            yield bar, since


def waited_for_port(segment: TimelineSegment, bar: Bar) -> bool:
    """Return whether a bar was ready earlier and starts when its port has served another bar.

    The port is not idle before such a bar, so there is no gap in which the wait could be shown.

    Parameters
    ----------
    segment
        The segment.
    bar
        A bar of the segment.

    Returns
    -------
    bool
        False also for bars that start before the segment.
    """
    return bar.waited_for == "port" and bar.after is not None and bar.start >= segment.start


def critical_parts(
    line: TimelineData, segment: TimelineSegment
) -> list[tuple[Number, Number, int]]:
    """Return the parts of the critical path in a segment, in order of time.

    A fixed latency has no lane: it is drawn on the lane of what was served before it.

    Parameters
    ----------
    line
        The timeline.
    segment
        A segment of the timeline.

    Returns
    -------
    list[tuple[Number, Number, int]]
        (start, finish, number of the lane).
    """
    bars = sorted((b for b in segment.bars if b.critical), key=lambda b: b.start)
    if not bars:
        # There are too many bars to show: draw the steps instead.
        found: list[tuple[Number, Number, int]] = []
        for step in segment.critical:
            lane = _lane(line, step) if step.action != LATENCY else found[-1][2] if found else None
            if lane is not None:
                found.append((step.start, step.finish, lane))
        return found
    if segment.critical or not line.bounds:
        passed = {s.start: s.finish for s in segment.critical if s.action == LATENCY}
        return [(b.start, passed.get(b.finish, b.finish), b.lane) for b in bars]
    return []


def _lane(line: TimelineData, step: Step) -> int:
    """The lane of a step."""
    port = step.component, step.port, step.units
    return next(
        k for k, lane in enumerate(line.lanes) if (lane.component, lane.port, lane.units) == port
    )


def bits_at_top(level: OccupancyLevel) -> Number | None:
    """Return the number of bits that the height of a memory's picture represents.

    Parameters
    ----------
    level
        The memory.

    Returns
    -------
    Number | None
        Bits; None if there is nothing to show.
    """
    if level.peak is None:
        return level.size or None
    if level.size is not None and level.size > 8 * level.peak:
        return 8 * level.peak or 1  # a larger scale would make the occupancy invisible
    return max(level.size or 0, level.peak) or None


def visible_size(level: OccupancyLevel) -> Number | None:
    """Return the size of a memory if it fits into its picture.

    Parameters
    ----------
    level
        The memory.

    Returns
    -------
    Number | None
        Bits; None if the size is unlimited or off the scale.
    """
    top = bits_at_top(level)
    return level.size if level.size is not None and top is not None and level.size <= top else None
