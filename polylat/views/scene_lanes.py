"""Lay out the lanes of a timeline: bars, idle gaps, shades and the critical path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from polylat.analysis.timeline import TimelineData, TimelineSegment, UtilizationSpan
from polylat.views.captions import bar_words, shade_words
from polylat.views.scene import Box, Item, Label, Polyline
from polylat.views.timeline_layout import (
    LETTER,
    MIN_TICKED_WIDTH,
    critical_parts,
    idle_gaps,
    waited_for_port,
    x_of_time,
)

__all__ = ["LANE", "segment_items", "wait_tick"]

LANE, _PAD = 26, 5
"""Height of a lane, and of the free space above and below its bars, in pixels."""


def segment_items(
    line: TimelineData,
    einsums: Mapping[str, int],
    segment: TimelineSegment,
    span: tuple[float, float],
    top: float,
) -> Iterator[Item]:
    """Lay out the lanes of a segment: bars, idle gaps and the critical path.

    Parameters
    ----------
    line
        The timeline.
    einsums
        Name of an Einsum → its number, which determines the color.
    segment
        A segment of the timeline.
    span
        The x coordinates of its ends, in pixels.
    top
        The y coordinate of the first lane, in pixels.

    Yields
    ------
    Item
        Boxes, lines and labels.
    """
    height = LANE - 2 * _PAD
    for shade in _merged(segment.shades):
        x0, x1 = (x_of_time(segment, span, t) for t in (shade.start, shade.finish))
        y = top + shade.lane * LANE + LANE - _PAD
        words = shade_words(shade, line.lanes[shade.lane])
        for einsum, kind, time in shade.busy:
            part = height * float(time / Fraction(shade.finish - shade.start))
            y -= part
            where = einsums[einsum]
            yield Box(x0, y, x1 - x0, part, where, kind, False, words, shade=True)
    for bar, since in idle_gaps(segment):
        x0, x1 = (x_of_time(segment, span, t) for t in (since, bar.start))
        yield from _wait(str(bar.waited_for), x0, x1, top + bar.lane * LANE + LANE / 2)
    for bar in segment.bars:
        x0, x1 = (x_of_time(segment, span, t) for t in (bar.start, bar.finish))
        y = top + bar.lane * LANE + _PAD
        words = bar_words(bar, line.lanes[bar.lane])
        where = einsums[bar.einsum]
        width = x1 - x0
        framed = bar.critical and width > 5
        yield Box(x0, y, width, height, where, bar.kind, framed, words)
        if width >= MIN_TICKED_WIDTH and waited_for_port(segment, bar):
            yield wait_tick(x0, y)
        if width > len(bar.einsum) * LETTER + 4 and bar.kind == "foreground":
            middle = (x0 + x1) / 2
            yield Label(middle, y + height / 2 + 4, bar.einsum, "middle", f"bar e{where % 8}")
    yield from _critical(line, segment, span, top)


def _critical(
    line: TimelineData, segment: TimelineSegment, span: tuple[float, float], top: float
) -> Iterator[Item]:
    points: list[tuple[float, float]] = []
    for start, finish, lane in critical_parts(line, segment):
        y = top + lane * LANE + LANE - _PAD
        for time in (start, finish):
            x = x_of_time(segment, span, time)
            if len(points) > 1 and points[-1][1] == points[-2][1] == y:
                points[-1] = (x, y)
            else:
                points.append((x, y))
    if len(points) > 1:
        yield Polyline(tuple(points), "critical")


def _wait(why: str, since: float, until: float, y: float) -> Iterator[Item]:
    """A line over the time in which a port is idle, with the reason if there is room."""
    if until - since < 4:
        return
    yield Polyline(((since + 1, y), (until - 1, y)), f"wait {why}")
    if until - since > len(why) * LETTER + 6:
        yield Label((since + until) / 2, y - 3, why, "middle", "wait")


def wait_tick(x: float, y: float) -> Polyline:
    """Return the tick of a bar that has waited for its port.

    Parameters
    ----------
    x, y
        The upper left corner of the bar, in pixels.

    Returns
    -------
    Polyline
        The tick.
    """
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
