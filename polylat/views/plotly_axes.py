"""The axes of one timeline in a Plotly figure."""

from __future__ import annotations

from html import escape
from typing import Any

from polylat.numbers import format_number, to_float
from polylat.views.plotly_panel import BROKEN, Panel
from polylat.views.plotly_rows import MEMORY, NARROW
from polylat.views.timeline_layout import LETTER, bits_at_top

__all__ = ["axes"]


def axes(panel: Panel, shared: str | None) -> dict[str, Any]:
    """Return the axes of time, of the lanes and of each memory.

    Parameters
    ----------
    panel
        The timeline, with its coordinates.
    shared
        The axis of time to zoom together with; None for none.

    Returns
    -------
    dict
        The axes, as a part of Plotly's layout.
    """
    rows, line = panel.rows, panel.line
    common = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": ""}
    found: dict[str, Any] = {
        _layout_key(panel.x): _time_axis(panel, shared),
        _layout_key(panel.y): {
            **common,
            "domain": [panel.up(rows.axis), panel.up(rows.lanes)],
            "anchor": panel.x,
            "range": [max(len(line.lanes), 1) - 0.5, -0.5],
            "tickvals": list(range(len(line.lanes))),
            "ticktext": [escape(lane.name) for lane in line.lanes],
        },
    }
    for k, (name, y) in enumerate(zip(panel.levels, rows.memories, strict=True)):
        level = line.segments[0].levels[k]
        top = to_float(bits_at_top(level) or 1)
        found[_layout_key(name)] = {
            **common,
            "domain": [panel.up(y + MEMORY), panel.up(y)],
            "anchor": panel.x,
            "range": [0, 1.06 * top],
            "tickvals": [top / 2],
            "ticktext": [escape(level.name)],
        }
    return found


def _time_axis(panel: Panel, shared: str | None) -> dict[str, Any]:
    line = panel.line
    axis: dict[str, Any] = {
        "anchor": panel.y,
        "gridcolor": panel.palette["grid"],
        "linecolor": panel.palette["ink"],
        "zeroline": False,
        "ticks": "outside",
        "tickangle": 0,
    }
    margin = 0.01 * panel.length
    if not panel.broken:
        start = to_float(line.start)
        axis |= {"range": [start - margin, start + panel.length + margin], "tickformat": ","}
        return axis if shared is None else axis | {"matches": shared}
    values: list[float] = []
    texts: list[str] = []
    free = 0.0
    for segment, (x, _) in zip(line.segments, panel.spans, strict=True):
        text = format_number(segment.start)
        half = (len(text) + 1) * LETTER / 2 * BROKEN / NARROW
        if x - half >= free or not values:
            values.append(x)
            texts.append(text)
            free = x + half
    return axis | {
        "range": [-margin, BROKEN + margin],
        "tickvals": values,
        "ticktext": texts,
        "showgrid": False,
    }


def _layout_key(axis: str) -> str:
    """The key of an axis in a layout: ``yaxis2`` of ``y2``."""
    return f"{axis[0]}axis{axis[1:]}"
