"""The lanes of one timeline in a Plotly figure: bars, the critical path and waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from html import escape
from typing import Any

from polylat.analysis.timeline import Kind
from polylat.schedule.reasons import WaitedFor
from polylat.views.captions import bar_words, idle_words, shade_words, wait_words
from polylat.views.plotly_panel import BAR, Panel, hover_text
from polylat.views.style import CRITICAL, KINDS, LETTERS_ON, einsum_color
from polylat.views.timeline_layout import (
    LETTER,
    MIN_TICKED_WIDTH,
    critical_parts,
    idle_gaps,
    waited_for_port,
)

__all__ = ["lane_traces"]

_DASHES: Mapping[WaitedFor, str] = {"flow": "solid", "barrier": "dash", "capacity": "dot"}


def lane_traces(panel: Panel) -> Iterator[Any]:
    """Draw bars, the critical path and waits.

    Parameters
    ----------
    panel
        The timeline, with its coordinates.

    Yields
    ------
    plotly.basedatatypes.BaseTraceType
        The traces.
    """
    yield from _bars(panel)
    yield from _path(panel)
    yield from _waits(panel)
    yield from _queued(panel)


def _bars(panel: Panel) -> Iterator[Any]:
    """Bars, one trace per Einsum and kind."""
    # Left end, width, middle, height, hover text, and the text on the bar.
    found: dict[tuple[int, Kind], list[tuple[float, float, float, float, str, str]]] = {}
    for number, segment in enumerate(panel.line.segments):
        for bar in segment.bars:
            low, high = panel.at(number, bar.start), panel.at(number, bar.finish)
            words = hover_text(bar_words(bar, panel.line.lanes[bar.lane]))
            fits = high - low > (len(bar.einsum) * LETTER + 4) * panel.pixel
            text = escape(bar.einsum) if fits and bar.kind == "foreground" else ""
            group = found.setdefault((panel.place[bar.einsum], bar.kind), [])
            group.append((low, high - low, bar.lane, BAR, words, text))
        for shade in segment.shades:
            low, high = panel.at(number, shade.start), panel.at(number, shade.finish)
            words = hover_text(shade_words(shade, panel.line.lanes[shade.lane]))
            bottom = shade.lane + BAR / 2
            for einsum, kind, time in shade.busy:
                part = BAR * float(time / Fraction(shade.finish - shade.start))
                group = found.setdefault((panel.place[einsum], kind), [])
                group.append((low, high - low, bottom - part / 2, part, words, ""))
                bottom -= part
    names = {place: name for name, place in panel.place.items()}
    for (place, bar_kind), group in found.items():
        left, widths, middle, heights, hovers, texts = map(list, zip(*group, strict=True))
        name = escape(names[place])
        if bar_kind != "foreground":
            name += f", {KINDS[bar_kind]}"
        yield panel.plotly.Bar(
            base=left,
            x=widths,
            y=middle,
            width=heights,
            text=texts,
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            insidetextfont={"color": LETTERS_ON[place % len(LETTERS_ON)]},
            cliponaxis=True,
            orientation="h",
            hovertext=hovers,
            hoverinfo="text",
            name=name,
            legendgroup=name,
            legendrank=10 * place + list(KINDS).index(bar_kind),
            marker={
                "color": einsum_color(place),
                "line": {"width": 0},
                "pattern": _texture(bar_kind, place),
            },
            xaxis=panel.x,
            yaxis=panel.y,
        )


def _path(panel: Panel) -> Iterator[Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for number, segment in enumerate(panel.line.segments):
        for start, finish, lane in critical_parts(panel.line, segment):
            x += [panel.at(number, start), panel.at(number, finish)]
            y += [lane + BAR / 2, lane + BAR / 2]
        x.append(None)
        y.append(None)
    if any(value is not None for value in x):
        yield _line_trace(
            panel, x, y, "critical path", 10_000, line={"color": CRITICAL, "width": 2.5}
        )


def _waits(panel: Panel) -> Iterator[Any]:
    found: dict[str, tuple[list[float | None], list[float | None], list[str]]] = {}
    for number, segment in enumerate(panel.line.segments):
        for bar, since in idle_gaps(segment):
            low, high = panel.at(number, since), panel.at(number, bar.start)
            if high - low < 4 * panel.pixel:
                continue
            x, y, words = found.setdefault(str(bar.waited_for), ([], [], []))
            # A point in the middle makes the hover text appear there.
            x += [low, (low + high) / 2, high, None]
            y += [bar.lane, bar.lane, bar.lane, None]
            words += 4 * [hover_text(idle_words(bar, since, panel.line.lanes[bar.lane]))]
    for k, (why, dash) in enumerate(_DASHES.items()):
        if why in found:
            x, y, words = found[why]
            line = {"color": panel.palette["faint"], "width": 1.2, "dash": dash}
            hover = {"hovertext": words, "hoverinfo": "text"}
            yield _line_trace(panel, x, y, wait_words(why), 10_001 + k, line=line, **hover)


def _queued(panel: Panel) -> Iterator[Any]:
    """A tick on each bar that has waited for its port, if the bar is wide enough."""
    x: list[float | None] = []
    y: list[float | None] = []
    for number, segment in enumerate(panel.line.segments):
        for bar in segment.bars:
            low, high = panel.at(number, bar.start), panel.at(number, bar.finish)
            if high - low >= MIN_TICKED_WIDTH * panel.pixel and waited_for_port(segment, bar):
                x.append(low)
                y.append(bar.lane - BAR / 2 - 0.07)
    if x:
        line = {"color": panel.palette["ink"], "width": 1.4}
        marker = {"symbol": "line-ns", "size": 5, "line": line}
        yield _line_trace(panel, x, y, wait_words("port"), 10_010, mode="markers", marker=marker)


def _line_trace(
    panel: Panel, x: list[float | None], y: list[float | None], name: str, rank: int, **how: Any
) -> Any:
    given = {"mode": "lines", "hoverinfo": "skip", **how}
    return panel.plotly.Scatter(
        x=x,
        y=y,
        name=name,
        legendgroup=name,
        legendrank=rank,
        xaxis=panel.x,
        yaxis=panel.y,
        **given,
    )


def _texture(kind: Kind, place: int) -> dict[str, Any]:
    """The texture of a bar, which tells separate transfers from foregrounds."""
    if kind == "background":
        return {"shape": "/"}
    if kind == "foreground":
        return {"shape": ""}
    on = {"bgcolor": einsum_color(place), "fgcolor": LETTERS_ON[place % len(LETTERS_ON)]}
    return {"shape": "." if kind == "fill" else "\\", **on, "size": 5, "solidity": 0.25}
