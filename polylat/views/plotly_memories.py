"""The memories of one timeline in a Plotly figure: how full each one is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from polylat.analysis.timeline import OccupancyLevel, TimelineSegment
from polylat.numbers import Number, to_float
from polylat.views.captions import step_words
from polylat.views.plotly_panel import Panel, hover_text
from polylat.views.style import LIGHT
from polylat.views.timeline_layout import bits_at_top

__all__ = ["memory_traces"]


def memory_traces(panel: Panel, k: int) -> Iterator[Any]:
    """Draw a memory: a stepped area, and invisible bars over it that carry the hover texts.

    Parameters
    ----------
    panel
        The timeline, with its coordinates.
    k
        The index of the memory.

    Yields
    ------
    plotly.basedatatypes.BaseTraceType
        The traces.
    """
    x: list[float | None] = []
    y: list[float | None] = []
    bars: list[tuple[float, float, float, str]] = []
    for number, segment in enumerate(panel.line.segments):
        steps = list(_steps(segment, k))
        if steps:  # from 0 and back to 0, because segments are not connected
            x.append(panel.at(number, segment.start))
            y.append(0)
        for start, finish, bits, level in steps:
            low, high = panel.at(number, start), panel.at(number, finish)
            x += [low, high]
            y += [to_float(bits), to_float(bits)]
            words = hover_text(step_words(level, start, finish, bits, bits_at_top(level)))
            bars.append((low, high - low, to_float(bits), words))
        if steps:
            x += [panel.at(number, segment.finish), None]
            y += [0, None]
    if not bars:
        return
    where = {"xaxis": panel.x, "yaxis": panel.levels[k], "showlegend": False}
    yield panel.plotly.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": panel.palette["faint"], "width": 1},
        fill="tozeroy",
        fillcolor=panel.palette["level"],
        hoverinfo="skip",
        **where,
    )
    left, widths, heights, hovers = map(list, zip(*bars, strict=True))
    yield panel.plotly.Bar(
        x=left,
        offset=0,
        width=widths,
        y=heights,
        marker={"color": "rgba(0,0,0,0)", "line": {"width": 0}},
        hovertext=hovers,
        hoverinfo="text",
        hoverlabel={"bgcolor": LIGHT["faint"], "font": {"color": LIGHT["paper"]}},
        **where,
    )


def _steps(
    segment: TimelineSegment, k: int
) -> Iterator[tuple[Number, Number, Number, OccupancyLevel]]:
    """(start, finish, bits, memory) of each interval with constant occupancy."""
    level = segment.levels[k]
    steps = level.steps or ()
    ends = [time for time, _ in steps[1:]] + [segment.finish]
    for (start, bits), finish in zip(steps, ends, strict=False):
        yield start, finish, bits, level
