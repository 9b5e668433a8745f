"""The annotations of one timeline in a Plotly figure: headings, brackets, bounds and sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from polylat.numbers import to_float
from polylat.views.captions import level_words
from polylat.views.plotly_panel import Panel
from polylat.views.plotly_rows import BOUND, BRACKET, HEAD, MEMORY, NOTE
from polylat.views.style import CRITICAL
from polylat.views.timeline_layout import RepeatBracket, bits_at_top, visible_size

__all__ = ["labels", "shapes"]


def shapes(panel: Panel) -> Iterator[dict[str, Any]]:
    """Draw brackets, bounds, and sizes of memories.

    Parameters
    ----------
    panel
        The timeline, with its coordinates.

    Yields
    ------
    dict
        Shapes as Plotly's layout has them.
    """
    rows = panel.rows
    ink = {"color": panel.palette["faint"], "width": 1}
    for bracket in rows.brackets:
        low, high = _bracket_ends(panel, bracket)
        y = rows.above + BRACKET * bracket.row + 12
        for x0, x1, end in ((low, high, y), (low, low, y + 4), (high, high, y + 4)):
            yield _stroke(panel, x0, x1, y, end, ink)
    for mark in rows.marks:
        x = to_float(mark.time)
        top = rows.lanes - BOUND * (mark.row + 1) + 2
        dashed = {"color": panel.palette["ink"], "width": 1, "dash": "dash"}
        yield _stroke(panel, x, x, top, rows.axis, dashed)
    for k, name in enumerate(panel.levels):
        size = visible_size(panel.line.segments[0].levels[k])
        if size is not None:
            yield {
                "type": "line",
                "xref": f"{panel.x} domain",
                "yref": name,
                "x0": 0,
                "x1": 1,
                "y0": to_float(size),
                "y1": to_float(size),
                "line": {"color": CRITICAL, "width": 1, "dash": "dot"},
            }


def _bracket_ends(panel: Panel, bracket: RepeatBracket) -> tuple[float, float]:
    """The ends of a bracket on the time axis."""
    return panel.spans[bracket.repeat.first][0], panel.spans[bracket.repeat.last][1]


def _stroke(
    panel: Panel, x0: float, x1: float, y0: float, y1: float, how: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": panel.x,
        "yref": "paper",
        "x0": x0,
        "x1": x1,
        "y0": panel.up(y0),
        "y1": panel.up(y1),
        "line": how,
    }


def labels(panel: Panel) -> Iterator[dict[str, Any]]:
    """Write headings, numbers of repetitions, names of bounds, peaks and sizes.

    Parameters
    ----------
    panel
        The timeline, with its coordinates.

    Yields
    ------
    dict
        Annotations as Plotly's layout has them.
    """
    rows = panel.rows
    edge: dict[str, Any] = {"xref": "paper", "x": 0, "xanchor": "left", "xshift": 8 - panel.left}
    y = rows.top
    for text in rows.titles:
        yield _label(panel, f"<b>{escape(text)}</b>", y, size=13, **edge)
        y += HEAD
    for text in rows.notes:
        yield _label(panel, escape(text), y, **edge)
        y += NOTE
    for bracket in rows.brackets:
        y = rows.above + BRACKET * bracket.row - 3
        middle = sum(_bracket_ends(panel, bracket)) / 2
        yield _label(panel, bracket.text, y, xref=panel.x, x=middle, xanchor="center")
    for mark in rows.marks:
        y = rows.lanes - BOUND * (mark.row + 1) - 2
        anchor, shift = ("left", 3) if mark.anchor == "start" else ("right", -3)
        where = {"xref": panel.x, "x": to_float(mark.time), "xanchor": anchor, "xshift": shift}
        yield _label(panel, mark.text, y, 10, **where)
    for k, y in enumerate(rows.memories):
        level = panel.line.segments[0].levels[k]
        text = level_words(level, bits_at_top(level))
        inside: dict[str, Any] = {"xref": "paper", "x": 0, "xanchor": "left"}
        yield _label(panel, text, y + MEMORY + 1, **inside)


def _label(panel: Panel, text: str, y: float, size: int = 10, **where: Any) -> dict[str, Any]:
    ink = panel.palette["ink" if size > 10 else "faint"]
    return {
        "text": text,
        "yref": "paper",
        "y": panel.up(y),
        "yanchor": "top",
        "showarrow": False,
        "borderpad": 0,
        "font": {"size": size, "color": ink},
        **where,
    }
