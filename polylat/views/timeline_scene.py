"""Lay out timelines below each other as a scene, for SVG and Matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polylat.analysis.timeline import StackData, TimelineData
from polylat.numbers import Number
from polylat.views.captions import bounds_words, heading
from polylat.views.scene import Box, Item, Label, Polyline, Scene
from polylat.views.scene_axis import axis_items, memory_items
from polylat.views.scene_lanes import LANE, segment_items
from polylat.views.scene_legend import legend_items
from polylat.views.timeline_layout import LETTER, brackets, marks, segment_spans

__all__ = ["timeline_scene"]

_MARGIN = 16
"""Width of the free space to the right of the time axis, in pixels."""

_BRACKET, _BOUND, _HEAD = 15, 11, 13
"""Heights of rows of brackets, of names of bounds, and of headings, in pixels."""


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
    items += legend_items(stack, left, y, width, drawn)
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
            yield Label(self.left - 6, y + LANE / 2 + 4, lane.name, "end", "lane")
            for x0, x1 in self.spans:
                at = y + LANE - 1
                yield Polyline(((x0, at), (x1, at)), "grid")
            y += LANE
        for segment, span in zip(line.segments, self.spans, strict=True):
            yield from segment_items(line, self.place, segment, span, lanes)
        axis = y + 4
        yield from axis_items(line, self.spans, axis)
        for mark in bounds:
            high = lanes - 3 - _BOUND * mark.row
            yield Polyline(((mark.x, high), (mark.x, axis)), "bound")
            # At the x coordinate of the line, so that it stays there when a page zooms.
            yield Label(mark.x, high - 2, mark.text, mark.anchor, "bound")
        y = axis + 22
        for number in range(len(line.segments[0].levels) if line.segments else 0):
            yield from memory_items(line, self.spans, self.left, number, y)
            y += LANE + 17
        self.bottom = y
