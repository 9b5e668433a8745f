"""Timelines as boxes, lines and labels in a plane: what SVG and Matplotlib both paint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from math import floor, log10

from polylat.draw.style import WAITS
from polylat.draw.words import bar_words, bounds_words, shade_words
from polylat.exact import Number
from polylat.report import Step
from polylat.text import show
from polylat.timeline import Bar, Kind, Level, Segment, Shade, Stack, Timeline

__all__ = ["Box", "Item", "Label", "Line", "Scene", "scene"]

LANE = 26
PAD = 5
LETTER = 6.2
"""Height of a lane, what it keeps free, and the width of a letter, in pixels."""

MARGIN = 16
GAP = 14
"""Between segments."""


@dataclass(frozen=True)
class Box:
    """A rectangle.

    Parameters
    ----------
    x, y, width, height
        Where.
    einsum
        Whose colour it has (a place), None for a part of the picture's frame.
    kind
        What it is.
    critical
        Whether it is on the critical path.
    words
        What it says when asked.
    shade
        Whether it shows how busy a port is, and no single bar.
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
class Line:
    """A line through points; `style` says what it is."""

    points: tuple[tuple[float, float], ...]
    style: str


@dataclass(frozen=True)
class Label:
    """A text; `anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str
    style: str


Item = Box | Line | Label


@dataclass(frozen=True)
class Scene:
    """A picture.

    Parameters
    ----------
    width, height
        Its size.
    items
        What to paint, in order.
    words
        What it shows, for who cannot see it.
    """

    width: float
    height: float
    items: tuple[Item, ...]
    words: str


def scene(stack: Stack, width: float = 1000) -> Scene:
    """Lay out timelines below each other."""
    names = [lane.name for line in stack.timelines for lane in line.lanes]
    names += [lv.name for line in stack.timelines for s in line.segments[:1] for lv in s.levels]
    left = min(max([len(name) for name in names], default=0) * LETTER + 18, 0.3 * width)
    items: list[Item] = []
    y = 8.0
    longest = max((line.finish for line in stack.timelines), default=0)
    for line in stack.timelines:
        last = longest if len(stack.timelines) > 1 else line.finish
        frame = _Frame(line, stack.einsums, left, width - MARGIN - 12, last)
        items += frame.items(y)
        y = frame.bottom + 16
    drawn = {item.style for item in items if isinstance(item, Line)}
    items += _legend(stack, left, y, width, drawn)
    height = max((_low(item) for item in items), default=y) + 12
    titles = "; ".join(f"{line.title}: {bounds_words(line)}" for line in stack.timelines)
    return Scene(width, height, tuple(items), f"Timeline. {titles}")


def _low(item: Item) -> float:
    if isinstance(item, Box):
        return item.y + item.height
    if isinstance(item, Line):
        return max(y for _, y in item.points)
    return item.y + 2


class _Frame:
    """One timeline: its lanes and memories, segment by segment."""

    def __init__(
        self, line: Timeline, einsums: Sequence[str], left: float, right: float, last: Number
    ) -> None:
        self.line = line
        self.place = {name: k for k, name in enumerate(einsums)}
        self.left, self.right = left, right
        # x0, x1 of each segment. Segments are to scale each; short ones are given some room.
        count = len(line.segments)
        room = right - left - GAP * (count - 1)
        if count == 1:
            share = [float((line.finish - line.start) / Fraction(last - line.start or 1))]
        else:
            whole = sum((Fraction(s.duration) for s in line.segments), Fraction(0)) or Fraction(1)
            weight = [float(s.duration / whole) ** 0.5 + 0.15 for s in line.segments]
            share = [w / sum(weight) for w in weight]
        self.spans: list[tuple[float, float]] = []
        x = left
        for part in share:
            self.spans.append((x, x + room * part))
            x += room * part + GAP
        self.bottom = 0.0

    def items(self, top: float) -> Iterator[Item]:
        """Boxes, lines and labels from `top` on."""
        line = self.line
        y = top + 12
        yield Label(4, y, line.title, "start", "title")
        yield Label(self.right, y, bounds_words(line), "end", "note")
        deepest = max((self._depth(k) for k in range(len(line.repeats))), default=-1) + 1
        y += 10
        for number, repeat in enumerate(line.repeats):
            x0, x1 = self.spans[repeat.first][0], self.spans[repeat.last][1]
            at = y + 8 + 15 * self._depth(number)
            yield Line(((x0, at + 5), (x0, at + 1), (x1, at + 1), (x1, at + 5)), "repeat")
            text = f"× {repeat.count:,}"
            longer = f"{text} of {show(repeat.period)}"
            fits = len(longer) * LETTER < x1 - x0
            yield Label((x0 + x1) / 2, at - 1, longer if fits else text, "middle", "repeat")
        y += 15 * deepest + (14 if len(line.segments) == 1 and line.bounds else 4)
        lanes = y
        for lane in line.lanes:
            yield Label(self.left - 6, y + LANE / 2 + 4, lane.name, "end", "lane")
            for x0, x1 in self.spans:
                at = y + LANE - 1
                yield Line(((x0, at), (x1, at)), "grid")
            y += LANE
        for segment, span in zip(line.segments, self.spans, strict=True):
            yield from self._segment(segment, span, lanes)
        axis = y + 4
        yield from self._axis(axis, lanes)
        y = axis + 22
        shown = line.segments[0].levels if line.segments else ()
        for number, level in enumerate(shown):
            yield Label(self.left - 6, y + LANE / 2 + 4, level.name, "end", "lane")
            yield from self._memory(number, level, y)
            y += LANE + 17
        self.bottom = y

    def _depth(self, number: int) -> int:
        mine = self.line.repeats[number]
        return sum(
            r.first <= mine.first and mine.last <= r.last and r is not mine
            for r in self.line.repeats[:number]
        )

    def _x(self, segment: Segment, span: tuple[float, float], time: Number) -> float:
        first, last = span
        inside = float((time - segment.start) / Fraction(segment.duration or 1))
        return first + (last - first) * min(max(inside, 0.0), 1.0)

    def _segment(self, segment: Segment, span: tuple[float, float], top: float) -> Iterator[Item]:
        height = LANE - 2 * PAD
        for shade in _wide(segment.shades):
            x0, x1 = (self._x(segment, span, t) for t in (shade.start, shade.finish))
            y = top + shade.lane * LANE + LANE - PAD
            words = shade_words(shade, self.line.lanes[shade.lane])
            for einsum, kind, time in shade.busy:
                part = height * float(time / Fraction(shade.finish - shade.start))
                y -= part
                where = self.place[einsum]
                yield Box(x0, y, x1 - x0, part, where, kind, False, words, shade=True)
        ends = [span[0]] * len(self.line.lanes)
        for bar in segment.bars:
            x0, x1 = (self._x(segment, span, t) for t in (bar.start, bar.finish))
            y = top + bar.lane * LANE + PAD
            yield from self._wait(bar, ends[bar.lane], x0, y + height / 2)
            ends[bar.lane] = x1
            words = bar_words(bar, self.line.lanes[bar.lane])
            where = self.place[bar.einsum]
            wide = x1 - x0
            framed = bar.critical and wide > 5
            yield Box(x0, y, wide, height, where, bar.kind, framed, words)
            if wide > len(bar.einsum) * LETTER + 4 and bar.kind != "background":
                middle = (x0 + x1) / 2
                yield Label(middle, y + height / 2 + 4, bar.einsum, "middle", f"bar e{where % 8}")
        yield from self._critical(segment, span, top)

    def _wait(self, bar: Bar, since: float, until: float, y: float) -> Iterator[Item]:
        """What a port that is idle waits for, where there is room to say so."""
        if until - since < 4 or bar.waited_for in (None, "port"):
            return
        yield Line(((since + 1, y), (until - 1, y)), f"wait {bar.waited_for}")
        if until - since > len(str(bar.waited_for)) * LETTER + 6:
            yield Label((since + until) / 2, y - 3, str(bar.waited_for), "middle", "wait")

    def _critical(self, segment: Segment, span: tuple[float, float], top: float) -> Iterator[Item]:
        points: list[tuple[float, float]] = []
        on_path = sorted((b for b in segment.bars if b.critical), key=lambda b: b.start)
        if not on_path and segment.critical:
            # The bars are too many to show: the path goes from lane to lane.
            steps = [(s.start, s.finish, self._lane(s)) for s in segment.critical]
        elif segment.critical or not self.line.bounds:
            steps = [(b.start, b.finish, b.lane) for b in on_path]
        else:
            steps = []
        for start, finish, lane in steps:
            y = top + lane * LANE + LANE - PAD
            for time in (start, finish):
                x = self._x(segment, span, time)
                if len(points) > 1 and points[-1][1] == points[-2][1] == y:
                    points[-1] = (x, y)
                else:
                    points.append((x, y))
        if len(points) > 1:
            yield Line(tuple(points), "critical")

    def _lane(self, step: Step) -> int:
        """The port that serves a step: of several stages' own, that of its Einsum's stage."""
        return next(
            k
            for k, lane in enumerate(self.line.lanes)
            if (lane.component, lane.port) == (step.component, step.port)
            and all(step.einsum in stage.split("+") for stage in lane.stages)
        )

    def _axis(self, y: float, top: float) -> Iterator[Item]:
        line = self.line
        alone = len(line.segments) == 1
        for number, (segment, (x0, x1)) in enumerate(zip(line.segments, self.spans, strict=True)):
            yield Line(((x0, y), (x1, y)), "axis")
            if number:
                middle = x0 - GAP / 2
                for at in (middle - 2, middle + 2):
                    yield Line(((at - 2, y + 4), (at + 2, y - 4)), "axis")
            if alone:
                for tick in _ticks(segment.start, segment.finish, (x1 - x0) / 90):
                    x = self._x(segment, (x0, x1), tick)
                    yield Line(((x, y), (x, y + 4)), "axis")
                    yield Label(x, y + 15, show(tick), "middle", "tick")
                yield from self._bounds(segment, (x0, x1), top, y)
            else:
                text = show(segment.start)
                if number == 0 or len(text) * LETTER < x1 - x0 + GAP:
                    yield Label(x0, y + 15, text, "start", "tick")
                if number == len(line.segments) - 1:
                    both = 2 * len(text) * LETTER + 8 < x1 - x0
                    if both:
                        yield Label(x1, y + 15, show(segment.finish), "end", "tick")

    def _bounds(
        self, segment: Segment, span: tuple[float, float], top: float, y: float
    ) -> Iterator[Item]:
        """Lower bounds on the latency, and the latency."""
        for name, time in self.line.bounds:
            if segment.start < time <= segment.finish:
                x = self._x(segment, span, time)
                yield Line(((x, top - 3), (x, y)), "bound")
                anchor = "end" if x > span[1] - 60 else "middle"
                anchor = "start" if x < span[0] + 40 else anchor
                yield Label(x, top - 5, name.split()[0], anchor, "bound")

    def _memory(self, number: int, level: Level, y: float) -> Iterator[Item]:
        top = max((t for t in (level.size, level.peak) if t is not None), default=None)
        if level.size is not None and level.peak is not None and level.size > 8 * level.peak:
            top = 8 * level.peak or 1  # so that what there is can be seen
        for segment, (x0, x1) in zip(self.line.segments, self.spans, strict=True):
            yield Line(((x0, y + LANE), (x1, y + LANE)), "grid")
            mine = segment.levels[number]
            if mine.steps is None or not top:
                continue
            points = [(x0, y + LANE)]
            height = y + LANE
            for time, bits in mine.steps:
                x = self._x(segment, (x0, x1), time)
                points.append((x, height))
                height = y + LANE - LANE * float(Fraction(bits) / Fraction(top))
                points.append((x, height))
            points += [(x1, height), (x1, y + LANE)]
            yield Line(tuple(points), "level")
        if level.size is not None and level.size == top:
            yield Line(((self.left, y), (self.right, y)), "size")
        if level.peak is None:
            words = "occupancy not known: not periodic"
        else:
            size = "no limit" if level.size is None else f"size {show(level.size)}"
            if level.size is not None and top is not None and level.size > top:
                size += ": off the scale"
            words = f"peak {show(level.peak)} bits, {size}"
        yield Label(self.left + 4, y + LANE + 10, words, "start", "note")


def _wide(shades: Sequence[Shade]) -> Iterator[Shade]:
    """Shades, neighbours that are alike as one."""
    last: dict[int, Shade] = {}
    for shade in shades:
        before = last.get(shade.lane)
        if before is not None:
            if before.finish == shade.start and _alike(before, shade):
                pairs = zip(before.busy, shade.busy, strict=True)
                busy = tuple((e, k, t + more) for (e, k, t), (_, _, more) in pairs)
                last[shade.lane] = Shade(shade.lane, before.start, shade.finish, busy)
                continue
            yield before
        last[shade.lane] = shade
    yield from last.values()


def _alike(one: Shade, other: Shade) -> bool:
    """Whether a port is as busy in both, by the same."""

    def shares(shade: Shade) -> list[tuple[str, str, int]]:
        total = float(shade.finish - shade.start)
        return [(e, k, round(500 * float(t) / total)) for e, k, t in shade.busy]

    return shares(one) == shares(other)


def _legend(stack: Stack, left: float, y: float, width: float, drawn: Set[str]) -> Iterator[Item]:
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
    for why in ("flow", "barrier", "capacity"):
        if f"wait {why}" in drawn:
            lines[f"waits for {WAITS[why]} ({why})"] = f"wait {why}"
    for text, einsum, kind in [*entries, *((text, None, None) for text in lines)]:
        wide = len(text) * LETTER + 30
        if x + wide > width and x > left:
            x, y = left, y + 18
        if kind is None:
            yield Line(((x, y + 5), (x + 14, y + 5)), lines[text])
        else:
            yield Box(x, y, 14, 10, einsum, kind, False, text)
        yield Label(x + 19, y + 9, text, "start", "legend")
        x += wide


def _ticks(low: Number, high: Number, most: float) -> list[int]:
    """Round times between two, no more than so many."""
    span = float(high - low)
    if span <= 0:
        return []
    rough = span / max(most, 1)
    power = 10.0 ** floor(log10(rough)) if rough > 0 else 1.0
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= rough), 10 * power)
    step_ = max(int(step), 1)
    first = -(-int(low) // step_) * step_
    return list(range(first, int(high) + 1, step_))
