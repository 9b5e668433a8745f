"""Draw timelines with Plotly, with zoom and hover texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from polylat.analysis.timeline import StackData
from polylat.errors import MissingExtraError
from polylat.views.plotly_annotations import labels, shapes
from polylat.views.plotly_axes import axes
from polylat.views.plotly_lanes import lane_traces
from polylat.views.plotly_memories import memory_traces
from polylat.views.plotly_panel import Panel
from polylat.views.plotly_rows import PanelRows
from polylat.views.style import DARK, LIGHT, LIGHT_OR_DARK
from polylat.views.timeline_layout import LETTER

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["figure"]


def figure(stack: StackData, *, dark: bool | None = None) -> Figure:
    """Draw timelines as a Plotly figure.

    The time axis of a timeline with folded repetitions has breaks: each segment is to scale, and
    the hover texts contain the times.

    Parameters
    ----------
    stack
        The timelines.
    dark
        Colors for dark or light paper; None: without paper, readable on either.

    Returns
    -------
    plotly.graph_objects.Figure
        The figure.

    Raises
    ------
    MissingExtraError
        Plotly is not installed.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise MissingExtraError(
            "Plotly is not installed", fix="pip install 'polylat[plot]'"
        ) from error
    palette = LIGHT_OR_DARK if dark is None else DARK if dark else LIGHT
    result: Figure = graph_objects.Figure()
    longest = max((line.finish for line in stack.timelines), default=0)
    rows, high = [], 0.0
    for line in stack.timelines:
        rows.append(PanelRows.of(line, high))
        high = rows[-1].bottom + 16
    names = [lane.name for line in stack.timelines for lane in line.lanes]
    names += [lv.name for line in stack.timelines for s in line.segments[:1] for lv in s.levels]
    left = min(max(map(len, names), default=0) * LETTER + 14, 120)
    seen: set[str] = set()
    count = 0
    shared: str | None = None
    for number, row in enumerate(rows, 1):
        last = longest if len(rows) > 1 else row.line.finish
        panel = Panel(
            graph_objects, row, stack.einsums, palette, high, (number, count + 1), left, last
        )
        result.update_layout(axes(panel, shared))
        if shared is None and not panel.broken:
            shared = panel.x
        count += 1 + len(row.memories)
        for trace in _traces(panel):
            if trace.legendgroup is not None:
                trace.showlegend = trace.legendgroup not in seen
                seen.add(trace.legendgroup)
            result.add_trace(trace)
        for shape in shapes(panel):
            result.add_shape(shape)
        for annotation in labels(panel):
            result.add_annotation(annotation)
    result.update_layout(
        barmode="overlay",
        hovermode="closest",
        height=high + 130,
        font={"size": 11, "color": palette["ink"]},
        legend={"orientation": "h", "yanchor": "top", "y": -8 / (high or 1), "xanchor": "left"},
        margin={"l": left, "r": 12, "t": 34, "b": 60, "autoexpand": True},
        paper_bgcolor=palette["paper"],
        plot_bgcolor=palette["paper"],
        modebar={
            "bgcolor": "rgba(0,0,0,0)",
            "color": palette["faint"],
            "activecolor": palette["ink"],
        },
        template="none",
    )
    return result


def _traces(panel: Panel) -> Iterator[Any]:
    yield from lane_traces(panel)
    for k in range(len(panel.levels)):
        yield from memory_traces(panel, k)
