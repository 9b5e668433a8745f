"""Lay out timelines as boxes, lines and labels in a plane, for SVG and Matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from polylat.analysis.timeline import (
    Kind,
    OccupancyLevel,
    StackData,
    TimelineData,
    TimelineSegment,
    UtilizationSpan,
)
from polylat.numbers import Number, format_number
from polylat.views.captions import (
    bar_words,
    bounds_words,
    heading,
    level_words,
    shade_words,
    wait_words,
)
from polylat.views.timeline_layout import (
    GAP,
    LETTER,
    MIN_TICKED_WIDTH,
    bits_at_top,
    brackets,
    critical_parts,
    idle_gaps,
    marks,
    round_tick_step,
    segment_spans,
    visible_size,
    waited_for_port,
    x_of_time,
)

__all__ = ["Box", "Item", "Label", "Polyline", "Scene", "timeline_scene"]

_LANE, _PAD = 26, 5
"""Height of a lane, and of the free space above and below its bars, in pixels."""

_MARGIN = 16
"""Width of the free space to the right of the time axis, in pixels."""

_BRACKET, _BOUND, _HEAD = 15, 11, 13
"""Heights of rows of brackets, of names of bounds, and of headings, in pixels."""


@dataclass(frozen=True)
class Box:
    """A rectangle.

    Parameters
    ----------
    x, y, width, height
        The upper left corner and the size, in pixels.
    einsum
        The number of the Einsum that determines the color; None for the first color.
    kind
        The kind of the accesses, which determines the texture.
    critical
        Whether it is on the critical path.
    words
        The hover text.
    shade
        Whether it shows how busy a port is, instead of a single bar.
    """

    x: float
    y: float
    width: float
    height: float
    einsum: int | None
    kind: Kind | None
    critical: bool
    words: str
    shade: bool = False


@dataclass(frozen=True)
class Polyline:
    """A line through points.

    Parameters
    ----------
    points
        (x, y) in pixels.
    style
        Its role, such as ``"grid"``, ``"critical"`` or ``"wait flow"``.
    """

    points: tuple[tuple[float, float], ...]
    style: str


@dataclass(frozen=True)
class Label:
    """A text.

    Parameters
    ----------
    x, y
        The position of the anchor on the base line, in pixels.
    text
        The text.
    anchor
        ``"start"``, ``"middle"`` or ``"end"``.
    style
        Its role, such as ``"lane"``, ``"tick"`` or ``"bar e0"``.
    """

    x: float
    y: float
    text: str
    anchor: str
    style: str


Item = Box | Polyline | Label


@dataclass(frozen=True)
class Scene:
    """A picture.

    Parameters
    ----------
    width, height
        Its size in pixels.
    items
        The items in the order in which they are painted.
    words
        A description for screen readers.
    """

    width: float
    height: float
    items: tuple[Item, ...]
    words: str


def timeline_scene(stack: StackData, width: float = 1000) -> Scene:
    """Lay out timelines below each other.

    Parameters
    ----------
    stack
        The timelines.
    width
        Width in pixels.

    Returns
    -------
    Scene
        The picture; its height follows from the timelines.
    """
    names = [lane.name for line in stack.timelines for lane in line.lanes]
    names += [lv.name for line in stack.timelines for s in line.segments[:1] for lv in s.levels]
    left = min(max([len(name) for name in names], default=0) * LETTER + 18, 0.3 * width)
    items: list[Item] = []
    y = 8.0
    longest = max((line.finish for line in stack.timelines), default=0)
    for line in stack.timelines:
        last = longest if len(stack.timelines) > 1 else line.finish
        frame = _Frame(line, stack.einsums, left, width - _MARGIN - 12, last)
        items += frame.items(y)
        y = frame.bottom + 16
    drawn = {item.style for item in items if isinstance(item, Polyline)}
    items += _legend(stack, left, y, width, drawn)
    height = max((_lowest(item) for item in items), default=y) + 12
    titles = "; ".join(f"{line.title}: {bounds_words(line)}" for line in stack.timelines)
    return Scene(width, height, tuple(items), f"Timeline. {titles}")


def _lowest(item: Item) -> float:
    if isinstance(item, Box):
        return item.y + item.height
    if isinstance(item, Polyline):
        return max(y for _, y in item.points)
    return item.y + 2


class _Frame:
    """One timeline: its lanes and memories, segment by segment."""

    def __init__(
        self, line: TimelineData, einsums: Sequence[str], left: float, right: float, last: Number
    ) -> None:
        self.line = line
        self.place = {name: k for k, name in enumerate(einsums)}
        self.left, self.right = left, right
        self.spans = segment_spans(line, left, right, last)
        self.bottom = 0.0

    def items(self, top: float) -> Iterator[Item]:
        """Boxes, lines and labels, from the y coordinate `top` downwards."""
        line = self.line
        y = top + 12
        titles, notes = heading(line, self.right / (1.15 * LETTER))
        one_line = len(titles) == len(notes) == 1
        letters = 1.15 * len(titles[0]) + len(notes[0])
        for number, text in enumerate(titles):
            yield Label(4, y + _HEAD * number, text, "start", "title")
        if one_line and letters * LETTER < self.right - 16:
            yield Label(self.right, y, notes[0], "end", "note")
        else:
            y += _HEAD * len(titles)
            for number, text in enumerate(notes):
                yield Label(4, y + _HEAD * number, text, "start", "note")
            y += _HEAD * (len(notes) - 1)
        y += 10
        shown = brackets(line, self.spans, self.right + _MARGIN)
        for bracket in shown:
            at = y + 8 + _BRACKET * bracket.row
            x0, x1 = bracket.x0, bracket.x1
            yield Polyline(((x0, at + 5), (x0, at + 1), (x1, at + 1), (x1, at + 5)), "repeat")
            yield Label(bracket.middle, at - 1, bracket.text, "middle", "repeat")
        y += _BRACKET * (max((b.row for b in shown), default=-1) + 1) + 4
        bounds = marks(line, self.spans)
        y += _BOUND * (max((m.row for m in bounds), default=-1) + 1)
        lanes = y
        for lane in line.lanes:
            yield Label(self.left - 6, y + _LANE / 2 + 4, lane.name, "end", "lane")
            for x0, x1 in self.spans:
                at = y + _LANE - 1
                yield Polyline(((x0, at), (x1, at)), "grid")
            y += _LANE
        for segment, span in zip(line.segments, self.spans, strict=True):
            yield from self._segment(segment, span, lanes)
        axis = y + 4
        yield from self._axis(axis)
        for mark in bounds:
            high = lanes - 3 - _BOUND * mark.row
            yield Polyline(((mark.x, high), (mark.x, axis)), "bound")
            # At the x coordinate of the line, so that it stays there when a page zooms.
            yield Label(mark.x, high - 2, mark.text, mark.anchor, "bound")
        y = axis + 22
        for number, level in enumerate(line.segments[0].levels if line.segments else ()):
            yield Label(self.left - 6, y + _LANE / 2 + 4, level.name, "end", "lane")
            yield from self._memory(number, level, y)
            y += _LANE + 17
        self.bottom = y

    def _segment(
        self, segment: TimelineSegment, span: tuple[float, float], top: float
    ) -> Iterator[Item]:
        height = _LANE - 2 * _PAD
        for shade in _merged(segment.shades):
            x0, x1 = (x_of_time(segment, span, t) for t in (shade.start, shade.finish))
            y = top + shade.lane * _LANE + _LANE - _PAD
            words = shade_words(shade, self.line.lanes[shade.lane])
            for einsum, kind, time in shade.busy:
                part = height * float(time / Fraction(shade.finish - shade.start))
                y -= part
                where = self.place[einsum]
                yield Box(x0, y, x1 - x0, part, where, kind, False, words, shade=True)
        for bar, since in idle_gaps(segment):
            x0, x1 = (x_of_time(segment, span, t) for t in (since, bar.start))
            yield from _wait(str(bar.waited_for), x0, x1, top + bar.lane * _LANE + _LANE / 2)
        for bar in segment.bars:
            x0, x1 = (x_of_time(segment, span, t) for t in (bar.start, bar.finish))
            y = top + bar.lane * _LANE + _PAD
            words = bar_words(bar, self.line.lanes[bar.lane])
            where = self.place[bar.einsum]
            width = x1 - x0
            framed = bar.critical and width > 5
            yield Box(x0, y, width, height, where, bar.kind, framed, words)
            if width >= MIN_TICKED_WIDTH and waited_for_port(segment, bar):
                yield _tick(x0, y)
            if width > len(bar.einsum) * LETTER + 4 and bar.kind == "foreground":
                middle = (x0 + x1) / 2
                yield Label(middle, y + height / 2 + 4, bar.einsum, "middle", f"bar e{where % 8}")
        yield from self._critical(segment, span, top)

    def _critical(
        self, segment: TimelineSegment, span: tuple[float, float], top: float
    ) -> Iterator[Item]:
        points: list[tuple[float, float]] = []
        for start, finish, lane in critical_parts(self.line, segment):
            y = top + lane * _LANE + _LANE - _PAD
            for time in (start, finish):
                x = x_of_time(segment, span, time)
                if len(points) > 1 and points[-1][1] == points[-2][1] == y:
                    points[-1] = (x, y)
                else:
                    points.append((x, y))
        if len(points) > 1:
            yield Polyline(tuple(points), "critical")

    def _axis(self, y: float) -> Iterator[Item]:
        line = self.line
        alone = len(line.segments) == 1
        for number, (segment, (x0, x1)) in enumerate(zip(line.segments, self.spans, strict=True)):
            yield Polyline(((x0, y), (x1, y)), "axis")
            if number:
                middle = x0 - GAP / 2
                for at in (middle - 2, middle + 2):
                    yield Polyline(((at - 2, y + 4), (at + 2, y - 4)), "axis")
            if alone:
                for tick in _ticks(segment.start, segment.finish, (x1 - x0) / 90):
                    x = x_of_time(segment, (x0, x1), tick)
                    yield Polyline(((x, y), (x, y + 4)), "axis")
                    yield Label(x, y + 15, format_number(tick), "middle", "tick")
            else:
                text = format_number(segment.start)
                if number == 0 or len(text) * LETTER < x1 - x0 + GAP:
                    yield Label(x0, y + 15, text, "start", "tick")
                if number == len(line.segments) - 1:
                    both = 2 * len(text) * LETTER + 8 < x1 - x0
                    if both:
                        yield Label(x1, y + 15, format_number(segment.finish), "end", "tick")

    def _memory(self, number: int, level: OccupancyLevel, y: float) -> Iterator[Item]:
        top = bits_at_top(level)
        for segment, (x0, x1) in zip(self.line.segments, self.spans, strict=True):
            yield Polyline(((x0, y + _LANE), (x1, y + _LANE)), "grid")
            memory = segment.levels[number]
            if memory.steps is None or top is None:
                continue
            points = [(x0, y + _LANE)]
            height = y + _LANE
            for time, bits in memory.steps:
                x = x_of_time(segment, (x0, x1), time)
                points.append((x, height))
                height = y + _LANE - _LANE * float(Fraction(bits) / Fraction(top))
                points.append((x, height))
            points += [(x1, height), (x1, y + _LANE)]
            yield Polyline(tuple(points), "level")
        size = visible_size(level)
        if size is not None and top is not None:
            # Along the whole schedule, also below a peak that exceeds it.
            at = y + _LANE - _LANE * float(Fraction(size) / Fraction(top))
            yield Polyline(((self.left, at), (self.spans[-1][1], at)), "size")
        yield Label(self.left + 4, y + _LANE + 10, level_words(level, top), "start", "note")


def _wait(why: str, since: float, until: float, y: float) -> Iterator[Item]:
    """A line over the time in which a port is idle, with the reason if there is room."""
    if until - since < 4:
        return
    yield Polyline(((since + 1, y), (until - 1, y)), f"wait {why}")
    if until - since > len(why) * LETTER + 6:
        yield Label((since + until) / 2, y - 3, why, "middle", "wait")


def _tick(x: float, y: float) -> Polyline:
    """The tick of a bar that has waited for its port."""
    return Polyline(((x, y), (x, y - 4)), "wait port")


def _merged(shades: Sequence[UtilizationSpan]) -> Iterator[UtilizationSpan]:
    """Shades, with similar neighbors merged."""
    last: dict[int, UtilizationSpan] = {}
    for shade in shades:
        before = last.get(shade.lane)
        if before is not None:
            if before.finish == shade.start and _similar(before, shade):
                pairs = zip(before.busy, shade.busy, strict=True)
                busy = tuple((e, k, t + more) for (e, k, t), (_, _, more) in pairs)
                last[shade.lane] = UtilizationSpan(shade.lane, before.start, shade.finish, busy)
                continue
            yield before
        last[shade.lane] = shade
    yield from last.values()


def _similar(one: UtilizationSpan, other: UtilizationSpan) -> bool:
    """Whether the same Einsums use the port for the same shares of the time, up to rounding."""

    def shares(shade: UtilizationSpan) -> list[tuple[str, str, int]]:
        total = Fraction(shade.finish - shade.start)
        return [(e, k, round(500 * t / total)) for e, k, t in shade.busy]

    return shares(one) == shares(other)


def _legend(
    stack: StackData, left: float, y: float, width: float, drawn: Set[str]
) -> Iterator[Item]:
    x = left
    kinds = {bar.kind for line in stack.timelines for bar in line.bars}
    kinds |= {
        k for line in stack.timelines for s in line.segments for h in s.shades for _, k, _ in h.busy
    }
    entries: list[tuple[str, int | None, Kind | None]] = [
        (name, k, "foreground") for k, name in enumerate(stack.einsums)
    ]
    if "background" in kinds:
        entries.append(("in the background", 0, "background"))
    if "fill" in kinds:
        entries.append(("prefetched", 0, "fill"))
    lines = {"critical path": "critical"}
    for why in ("flow", "barrier", "capacity", "port"):
        if f"wait {why}" in drawn:
            lines[wait_words(why)] = f"wait {why}"
    for text, einsum, kind in [*entries, *((text, None, None) for text in lines)]:
        entry_width = len(text) * LETTER + 30
        if x + entry_width > width and x > left:
            x, y = left, y + 18
        if text == wait_words("port"):
            yield Polyline(((x, y + 7), (x + 14, y + 7)), "repeat")
            yield _tick(x + 6, y + 7)
        elif kind is None:
            yield Polyline(((x, y + 5), (x + 14, y + 5)), lines[text])
        else:
            yield Box(x, y, 14, 10, einsum, kind, False, text)
        yield Label(x + 19, y + 9, text, "start", "legend")
        x += entry_width


def _ticks(low: Number, high: Number, most: float) -> list[Number]:
    """Round times from `low` to `high`, in at most `most` steps; whole ones if both are whole."""
    if low >= high:
        return []
    step: Number = round_tick_step(Fraction(high - low) / Fraction(max(most, 1)))
    if isinstance(low, int) and isinstance(high, int):
        step = max(step, 1)
    first, last = ceil(low / Fraction(step)), floor(high / Fraction(step))
    return [k * step for k in range(first, last + 1)]
