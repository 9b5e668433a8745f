"""Lay out the axis of time of a timeline, and the memories below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor

from polylat.analysis.timeline import TimelineData
from polylat.numbers import Number, format_number
from polylat.views.captions import level_words
from polylat.views.scene import Item, Label, Polyline
from polylat.views.scene_lanes import LANE
from polylat.views.timeline_layout import (
    GAP,
    LETTER,
    bits_at_top,
    round_tick_step,
    visible_size,
    x_of_time,
)

__all__ = ["axis_items", "memory_items"]


def axis_items(
    line: TimelineData, spans: Sequence[tuple[float, float]], y: float
) -> Iterator[Item]:
    """Lay out the axis of time, with breaks between segments.

    Parameters
    ----------
    line
        The timeline.
    spans
        Per segment, the x coordinates of its ends, in pixels.
    y
        The y coordinate of the axis, in pixels.

    Yields
    ------
    Item
        Lines and labels.
    """
    alone = len(line.segments) == 1
    for number, (segment, (x0, x1)) in enumerate(zip(line.segments, spans, strict=True)):
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


def memory_items(
    line: TimelineData, spans: Sequence[tuple[float, float]], left: float, number: int, y: float
) -> Iterator[Item]:
    """Lay out how full a memory is.

    Parameters
    ----------
    line
        The timeline.
    spans
        Per segment, the x coordinates of its ends, in pixels.
    left
        The x coordinate of the start of the axis, in pixels.
    number
        The index of the memory.
    y
        The y coordinate of its upper edge, in pixels.

    Yields
    ------
    Item
        Lines and labels.
    """
    level = line.segments[0].levels[number]
    yield Label(left - 6, y + LANE / 2 + 4, level.name, "end", "lane")
    top = bits_at_top(level)
    for segment, (x0, x1) in zip(line.segments, spans, strict=True):
        yield Polyline(((x0, y + LANE), (x1, y + LANE)), "grid")
        memory = segment.levels[number]
        if memory.steps is None or top is None:
            continue
        points = [(x0, y + LANE)]
        height = y + LANE
        for time, bits in memory.steps:
            x = x_of_time(segment, (x0, x1), time)
            points.append((x, height))
            height = y + LANE - LANE * float(Fraction(bits) / Fraction(top))
            points.append((x, height))
        points += [(x1, height), (x1, y + LANE)]
        yield Polyline(tuple(points), "level")
    size = visible_size(level)
    if size is not None and top is not None:
        # Along the whole schedule, also below a peak that exceeds it.
        at = y + LANE - LANE * float(Fraction(size) / Fraction(top))
        yield Polyline(((left, at), (spans[-1][1], at)), "size")
    yield Label(left + 4, y + LANE + 10, level_words(level, top), "start", "note")


def _ticks(low: Number, high: Number, most: float) -> list[Number]:
    """Round times from `low` to `high`, in at most `most` steps; whole ones if both are whole."""
    if low >= high:
        return []
    step: Number = round_tick_step(Fraction(high - low) / Fraction(max(most, 1)))
    if isinstance(low, int) and isinstance(high, int):
        step = max(step, 1)
    first, last = ceil(low / Fraction(step)), floor(high / Fraction(step))
    return [k * step for k in range(first, last + 1)]
