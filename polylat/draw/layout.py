"""What is where in a timeline: what all renderers of pictures share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, log10

from polylat.exact import Number
from polylat.report import Step
from polylat.text import show
from polylat.timeline import Bar, Level, Repeat, Segment, Timeline

__all__ = [
    "GAP",
    "LETTER",
    "QUEUED",
    "Bracket",
    "Mark",
    "brackets",
    "idle",
    "marks",
    "on_path",
    "queued",
    "round_step",
    "size_in_sight",
    "spans",
    "top_of",
    "within",
]

GAP = 14
LETTER = 6.2
"""Width of the gap between segments, and of a letter, in pixels."""

QUEUED = 5
"""Bars of so many pixels have a tick where they have waited for their port."""


def spans(line: Timeline, left: float, right: float, last: Number) -> list[tuple[float, float]]:
    """From where to where each segment is.

    Parameters
    ----------
    line
        The timeline.
    left, right
        Where the axis of time begins and ends.
    last
        The time at `right`, of a timeline with one segment.
    """
    count = len(line.segments)
    room = right - left - GAP * (count - 1)
    if count == 1:
        share = [float((line.finish - line.start) / Fraction(last - line.start or 1))]
    else:
        # Segments are to scale each; short ones are given some room.
        whole = sum((Fraction(s.duration) for s in line.segments), Fraction(0)) or Fraction(1)
        weight = [float(s.duration / whole) ** 0.5 + 0.15 for s in line.segments]
        share = [w / sum(weight) for w in weight]
    found: list[tuple[float, float]] = []
    x = left
    for part in share:
        found.append((x, x + room * part))
        x += room * part + GAP
    return found


def round_step(least: Fraction) -> Fraction:
    """The first of 1, 2 and 5 times a power of ten that is no less than `least` (above 0).

    Examples
    --------
    >>> [str(round_step(Fraction(n, 100))) for n in (11, 20, 300, 9900)]
    ['1/5', '1/5', '5', '100']
    """
    bits = least.numerator.bit_length() - least.denominator.bit_length()
    power = Fraction(10) ** (floor(bits * log10(2)) - 1)
    while power * 10 < least:
        power *= 10
    return next(power * k for k in (1, 2, 5, 10) if power * k >= least)


def within(segment: Segment, span: tuple[float, float], time: Number) -> float:
    """Where a time is."""
    first, last = span
    inside = float((time - segment.start) / Fraction(segment.duration or 1))
    return first + (last - first) * min(max(inside, 0.0), 1.0)


@dataclass(frozen=True)
class Bracket:
    """What repeats: from `x0` to `x1`, its count about `middle`, in a row from above."""

    repeat: Repeat
    x0: float
    x1: float
    middle: float
    text: str
    row: int


def brackets(line: Timeline, spans: Sequence[tuple[float, float]], right: float) -> list[Bracket]:
    """Brackets with counts, inner ones below outer ones, and none over another."""
    found: list[Bracket] = []
    rows = _Rows()
    for number, repeat in enumerate(line.repeats):
        x0, x1 = spans[repeat.first][0], spans[repeat.last][1]
        text = f"× {repeat.count:,}"
        longer = f"{text} of {show(repeat.period)}"
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
        found.append(Bracket(repeat, x0, x1, middle, text, row))
    return found


@dataclass(frozen=True)
class Mark:
    """A bound: its name ends or starts (`anchor`) at `x`, in a row from below."""

    text: str
    time: Number
    x: float
    anchor: str
    row: int


def marks(line: Timeline, spans: Sequence[tuple[float, float]]) -> list[Mark]:
    """Lower bounds on the latency, and no name over another or over another's line.

    Names are left of their lines; right of them where there is no room, and inwards where there is
    none on either side. A line ends at its name, so names further out are higher.
    """
    if len(line.segments) != 1:
        return []
    (segment,), (span,) = line.segments, spans
    known = [
        (name.split()[0], time, within(segment, span, time))
        for name, time in line.bounds
        if line.start < time <= line.finish
    ]
    if not known:
        return []
    wide = max(len(text) for text, _, _ in known) * LETTER + 6
    places = [x for _, _, x in known]
    if min(places) - wide >= span[0]:
        middle = span[0]
    elif max(places) + wide <= span[1]:
        middle = span[1]
    else:
        middle = sum(span) / 2
    rows = _Rows()
    found = []
    for text, time, x in sorted(known, key=lambda bound: abs(bound[2] - middle)):
        wide = len(text) * LETTER + 6
        anchor, low = ("end", x - wide) if x > middle else ("start", x)
        found.append(Mark(text, time, x, anchor, rows.add(low, low + wide)))
    return found


class _Rows:
    """Rows in which nothing overlaps."""

    def __init__(self) -> None:
        self.taken: dict[int, list[tuple[float, float]]] = {}

    def add(self, low: float, high: float, row: int = 0) -> int:
        """The first row from `row` on in which there is room."""
        while any(low < b and a < high for a, b in self.taken.get(row, ())):
            row += 1
        self.taken.setdefault(row, []).append((low, high))
        return row


def idle(segment: Segment) -> Iterator[tuple[Bar, Number]]:
    """Bars that wait while their port is idle, and since when it is."""
    ends: dict[int, Number] = {}
    for bar in segment.bars:
        since = ends.get(bar.lane, segment.start)
        ends[bar.lane] = bar.finish
        if since < bar.start and bar.waited_for not in (None, "port"):
            yield bar, since


def queued(segment: Segment, bar: Bar) -> bool:
    """Whether a bar of a segment was ready before, and starts as its port has served another.

    The port is not idle, so there is no gap to show it in. Where it is the segment that begins,
    what came before is not in sight.
    """
    return bar.waited_for == "port" and bar.after is not None and bar.start >= segment.start


def on_path(line: Timeline, segment: Segment) -> list[tuple[Number, Number, int]]:
    """(start, finish, lane) of what is on the critical path, in order of time."""
    bars = sorted((b for b in segment.bars if b.critical), key=lambda b: b.start)
    if not bars:
        # The bars are too many to show: the path goes from lane to lane.
        return [(s.start, s.finish, _lane(line, s)) for s in segment.critical]
    if segment.critical or not line.bounds:
        return [(b.start, b.finish, b.lane) for b in bars]
    return []


def _lane(line: Timeline, step: Step) -> int:
    """The port that serves a step: of several stages' own, that of its Einsum's stage."""
    return next(
        k
        for k, lane in enumerate(line.lanes)
        if (lane.component, lane.port) == (step.component, step.port)
        and all(step.einsum in stage.split("+") for stage in lane.stages)
    )


def top_of(level: Level) -> Number | None:
    """How many bits the height of a memory is; None if nothing can be shown."""
    if level.peak is None:
        return level.size or None
    if level.size is not None and level.size > 8 * level.peak:
        return 8 * level.peak or 1  # so that what there is can be seen
    return max(level.size or 0, level.peak) or None


def size_in_sight(level: Level) -> Number | None:
    """The size of a memory, if that is no higher than its picture."""
    top = top_of(level)
    return level.size if level.size is not None and top is not None and level.size <= top else None
