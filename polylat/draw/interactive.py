"""Timelines by Plotly: zoom, and hover for what each bar is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polylat.draw.style import CRITICAL, colour
from polylat.draw.words import bar_words, shade_words
from polylat.errors import MissingExtraError
from polylat.exact import Number
from polylat.timeline import Segment, Stack, Timeline

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["figure"]


def figure(stack: Stack) -> Figure:
    """Timelines as a figure of Plotly.

    Where a timeline shows what repeats once, its axis has breaks: segments stand side by side,
    each to scale, and the hover texts tell the times.
    """
    try:
        from plotly import graph_objects
        from plotly.subplots import make_subplots
    except ImportError as error:
        raise MissingExtraError(
            "Plotly is not installed", mend="pip install 'polylat[plot]'"
        ) from error
    count = len(stack.timelines)
    heights = [max(len(line.lanes), 1) for line in stack.timelines]
    result: Figure = make_subplots(
        rows=count,
        cols=1,
        shared_xaxes=count > 1,
        row_heights=[h / sum(heights) for h in heights],
        subplot_titles=[line.title for line in stack.timelines],
        vertical_spacing=0.08 / max(count - 1, 1) if count > 1 else 0,
    )
    seen: set[str] = set()
    for row, line in enumerate(stack.timelines, 1):
        place = {name: k for k, name in enumerate(stack.einsums)}
        for trace in _traces(graph_objects, line, place, seen):
            result.add_trace(trace, row=row, col=1)
        result.update_yaxes(
            autorange="reversed",
            tickmode="array",
            tickvals=list(range(len(line.lanes))),
            ticktext=[lane.name for lane in line.lanes],
            row=row,
            col=1,
        )
        ticks = [(_offset(line, k), str(s.start)) for k, s in enumerate(line.segments)]
        if len(ticks) > 1:
            values, texts = [t for t, _ in ticks], [t for _, t in ticks]
            result.update_xaxes(tickmode="array", tickvals=values, ticktext=texts, row=row, col=1)
        for repeat in line.repeats:
            low = _offset(line, repeat.first)
            last = line.segments[repeat.last]
            high = _offset(line, repeat.last) + float(last.duration)
            result.add_vrect(
                x0=low,
                x1=high,
                annotation_text=f"× {repeat.count:,}",
                fillcolor="#888888",
                opacity=0.12,
                line_width=0,
                row=row,
                col=1,
            )
        if len(line.segments) == 1:
            for name, time in line.bounds:
                if line.start < time <= line.finish:
                    result.add_vline(
                        x=float(time), line_dash="dash", annotation_text=name, row=row, col=1
                    )
    result.update_layout(
        barmode="overlay",
        bargap=0.2,
        hovermode="closest",
        height=120 + 60 * sum(heights),
        legend={"orientation": "h"},
        margin={"l": 40, "r": 20, "t": 40, "b": 40},
        template="plotly_white",
    )
    return result


def _offset(line: Timeline, segment: int) -> float:
    """Where a segment begins on the axis: without the repetitions that are not shown."""
    if len(line.segments) == 1:
        return float(line.start)
    return float(sum((s.duration for s in line.segments[:segment]), 0))


def _traces(kinds: Any, line: Timeline, place: dict[str, int], seen: set[str]) -> list[Any]:
    rows: dict[tuple[str, str], list[tuple[float, float, float, float, str]]] = {}
    path: tuple[list[float | None], list[int | None]] = ([], [])
    for number, segment in enumerate(line.segments):
        begin = _offset(line, number)

        def at(time: Number, segment: Segment = segment, begin: float = begin) -> float:
            inside = min(max(time, segment.start), segment.finish) - segment.start
            return begin + float(inside)

        for bar in segment.bars:
            low, high = at(bar.start), at(bar.finish)
            words = bar_words(bar, line.lanes[bar.lane]).replace("\n", "<br>")
            mine = rows.setdefault((bar.einsum, bar.kind), [])
            mine.append((low, high - low, bar.lane, 0.7, words))
            if bar.critical:
                path[0].extend((low, high))
                path[1].extend((bar.lane, bar.lane))
        for shade in segment.shades:
            low, high = at(shade.start), at(shade.finish)
            words = shade_words(shade, line.lanes[shade.lane]).replace("\n", "<br>")
            base = 0.0
            for einsum, what, time in shade.busy:
                share = 0.7 * float(time / (shade.finish - shade.start))
                middle = shade.lane + 0.35 - base - share / 2
                base += share
                mine = rows.setdefault((einsum, what), [])
                mine.append((low, high - low, middle, share, words))
        path[0].append(None)
        path[1].append(None)
    traces: list[Any] = []
    for (einsum, kind), mine in rows.items():
        name = einsum if kind == "foreground" else f"{einsum} ({kind})"
        hatch = {"background": "/", "fill": "."}.get(kind, "")
        traces.append(
            kinds.Bar(
                base=[low for low, *_ in mine],
                x=[wide for _, wide, *_ in mine],
                y=[lane for _, _, lane, *_ in mine],
                width=[height for *_, height, _ in mine],
                orientation="h",
                hovertext=[words for *_, words in mine],
                hoverinfo="text",
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                marker={"color": colour(place[einsum]), "pattern": {"shape": hatch}},
            )
        )
        seen.add(name)
    if any(x is not None for x in path[0]):
        traces.append(
            kinds.Scatter(
                x=path[0],
                y=path[1],
                mode="lines",
                line={"color": CRITICAL, "width": 2},
                hoverinfo="skip",
                name="critical path",
                legendgroup="critical path",
                showlegend="critical path" not in seen,
            )
        )
        seen.add("critical path")
    return traces
