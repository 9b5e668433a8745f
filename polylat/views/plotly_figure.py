"""Draw timelines with Plotly, with zoom and hover texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING, Any

from polylat.analysis.timeline import OccupancyLevel, StackData, TimelineData, TimelineSegment
from polylat.errors import MissingExtraError
from polylat.numbers import Number, format_number, to_float
from polylat.schedule.reasons import WaitedFor
from polylat.views.captions import (
    bar_words,
    heading,
    idle_words,
    level_words,
    shade_words,
    step_words,
    wait_words,
)
from polylat.views.style import CRITICAL, DARK, LETTERS_ON, LIGHT, LIGHT_OR_DARK, einsum_color
from polylat.views.timeline_layout import (
    LETTER,
    MIN_TICKED_WIDTH,
    BoundMark,
    RepeatBracket,
    bits_at_top,
    brackets,
    critical_parts,
    idle_gaps,
    marks,
    segment_spans,
    visible_size,
    waited_for_port,
    x_of_time,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["figure"]

_NARROW = 280
"""Width of the time axis on a phone, in pixels: counts and names of bounds must fit."""

_USUAL = 640
"""Usual width of the time axis, in pixels: decides which bars and waits get a text."""

_BROKEN = 1000
"""Length of a time axis with breaks."""

_LETTERS = 52
"""Largest number of letters in a line of the title."""

_BAR = 0.7
"""Height of a bar, as a fraction of that of a lane."""

_LANE, _MEMORY, _TICKS = 30, 34, 26
"""Heights of a lane, of a memory, and of the ticks between both, in pixels."""

_HEAD, _NOTE, _BRACKET, _BOUND = 18, 14, 15, 12
"""Heights of lines of the title and of notes, of brackets, and of names of bounds, in pixels."""

_DASHES: Mapping[WaitedFor, str] = {"flow": "solid", "barrier": "dash", "capacity": "dot"}
_KIND_SUFFIXES = {"foreground": "", "background": ", in the background", "fill": ", prefetched"}


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
        rows.append(_Rows.of(line, high))
        high = rows[-1].bottom + 16
    names = [lane.name for line in stack.timelines for lane in line.lanes]
    names += [lv.name for line in stack.timelines for s in line.segments[:1] for lv in s.levels]
    left = min(max(map(len, names), default=0) * LETTER + 14, 120)
    seen: set[str] = set()
    axes = 0
    shared: str | None = None
    for number, row in enumerate(rows, 1):
        last = longest if len(rows) > 1 else row.line.finish
        panel = _Panel(
            graph_objects, row, stack.einsums, palette, high, (number, axes + 1), left, last
        )
        result.update_layout(panel.axes(shared))
        if shared is None and not panel.broken:
            shared = panel.x
        axes += 1 + len(row.memories)
        for trace in panel.traces():
            if trace.legendgroup is not None:
                trace.showlegend = trace.legendgroup not in seen
                seen.add(trace.legendgroup)
            result.add_trace(trace)
        for shape in panel.shapes():
            result.add_shape(shape)
        for annotation in panel.annotations():
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


@dataclass(frozen=True)
class _Rows:
    """The positions of the rows of a timeline, in pixels from above."""

    line: TimelineData
    titles: Sequence[str]
    notes: Sequence[str]
    brackets: Sequence[RepeatBracket]
    marks: Sequence[BoundMark]
    top: float
    above: float
    lanes: float
    axis: float
    memories: Sequence[float]
    bottom: float

    @classmethod
    def of(cls, line: TimelineData, top: float) -> _Rows:
        titles, notes = heading(line, _LETTERS)
        narrow = segment_spans(line, 0, _NARROW, line.finish)
        shown, bounds = brackets(line, narrow, _NARROW), marks(line, narrow)
        above = top + _HEAD * len(titles) + _NOTE * len(notes) + 6
        lanes = above + _BRACKET * (max((b.row for b in shown), default=-1) + 1)
        lanes += _BOUND * (max((m.row for m in bounds), default=-1) + 1)
        axis = lanes + _LANE * max(len(line.lanes), 1)
        count = len(line.segments[0].levels) if line.segments else 0
        each = _MEMORY + _NOTE + 6
        memories = [axis + _TICKS + each * k for k in range(count)]
        bottom = axis + _TICKS + each * count
        return cls(line, titles, notes, shown, bounds, top, above, lanes, axis, memories, bottom)


class _Panel:
    """One timeline: its lanes, and its memories on the same axis of time."""

    def __init__(
        self,
        plotly: Any,
        rows: _Rows,
        einsums: Sequence[str],
        palette: Mapping[str, str],
        high: float,
        first: tuple[int, int],
        left: float,
        last: Number,
    ) -> None:
        self.plotly, self.rows, self.line, self.palette = plotly, rows, rows.line, palette
        self.place = {name: k for k, name in enumerate(einsums)}
        self.high, self.left = high, left
        across, down = first
        self.x = _axis("x", across)
        self.y = _axis("y", down)
        self.levels = [_axis("y", down + 1 + k) for k in range(len(rows.memories))]
        self.broken = len(self.line.segments) != 1
        self.spans = segment_spans(self.line, 0, _BROKEN, self.line.finish)
        duration = to_float(last - self.line.start) or 1.0
        self.length = _BROKEN if self.broken else duration
        self.pixel = self.length / _USUAL

    def at(self, number: int, time: Number) -> float:
        """Convert a time in a segment to a coordinate on the time axis."""
        segment = self.line.segments[number]
        if self.broken:
            return x_of_time(segment, self.spans[number], time)
        return to_float(min(max(time, segment.start), segment.finish))

    def up(self, pixels: float) -> float:
        """Convert pixels from above to Plotly's paper coordinate."""
        return 1 - pixels / self.high

    # Axes

    def axes(self, shared: str | None) -> dict[str, Any]:
        """The axes of time, of the lanes and of each memory."""
        rows, line = self.rows, self.line
        common = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": ""}
        found: dict[str, Any] = {
            _layout_key(self.x): self._times(shared),
            _layout_key(self.y): {
                **common,
                "domain": [self.up(rows.axis), self.up(rows.lanes)],
                "anchor": self.x,
                "range": [max(len(line.lanes), 1) - 0.5, -0.5],
                "tickvals": list(range(len(line.lanes))),
                "ticktext": [escape(lane.name) for lane in line.lanes],
            },
        }
        for k, (name, y) in enumerate(zip(self.levels, rows.memories, strict=True)):
            level = line.segments[0].levels[k]
            top = to_float(bits_at_top(level) or 1)
            found[_layout_key(name)] = {
                **common,
                "domain": [self.up(y + _MEMORY), self.up(y)],
                "anchor": self.x,
                "range": [0, 1.06 * top],
                "tickvals": [top / 2],
                "ticktext": [escape(level.name)],
            }
        return found

    def _times(self, shared: str | None) -> dict[str, Any]:
        line = self.line
        axis: dict[str, Any] = {
            "anchor": self.y,
            "gridcolor": self.palette["grid"],
            "linecolor": self.palette["ink"],
            "zeroline": False,
            "ticks": "outside",
            "tickangle": 0,
        }
        margin = 0.01 * self.length
        if not self.broken:
            start = to_float(line.start)
            axis |= {"range": [start - margin, start + self.length + margin], "tickformat": ","}
            return axis if shared is None else axis | {"matches": shared}
        values: list[float] = []
        texts: list[str] = []
        free = 0.0
        for segment, (x, _) in zip(line.segments, self.spans, strict=True):
            text = format_number(segment.start)
            half = (len(text) + 1) * LETTER / 2 * _BROKEN / _NARROW
            if x - half >= free or not values:
                values.append(x)
                texts.append(text)
                free = x + half
        return axis | {
            "range": [-margin, _BROKEN + margin],
            "tickvals": values,
            "ticktext": texts,
            "showgrid": False,
        }

    # Traces

    def traces(self) -> Iterator[Any]:
        """Bars, the critical path, waits and memories."""
        yield from self._bars()
        yield from self._path()
        yield from self._waits()
        yield from self._queued()
        for k in range(len(self.levels)):
            yield from self._level(k)

    def _bars(self) -> Iterator[Any]:
        # Left end, width, middle, height, hover text, and the text on the bar.
        found: dict[tuple[int, str], list[tuple[float, float, float, float, str, str]]] = {}
        for number, segment in enumerate(self.line.segments):
            for bar in segment.bars:
                low, high = self.at(number, bar.start), self.at(number, bar.finish)
                words = _lines(bar_words(bar, self.line.lanes[bar.lane]))
                fits = high - low > (len(bar.einsum) * LETTER + 4) * self.pixel
                text = escape(bar.einsum) if fits and bar.kind == "foreground" else ""
                group = found.setdefault((self.place[bar.einsum], bar.kind), [])
                group.append((low, high - low, bar.lane, _BAR, words, text))
            for shade in segment.shades:
                low, high = self.at(number, shade.start), self.at(number, shade.finish)
                words = _lines(shade_words(shade, self.line.lanes[shade.lane]))
                bottom = shade.lane + _BAR / 2
                for einsum, kind, time in shade.busy:
                    part = _BAR * float(time / Fraction(shade.finish - shade.start))
                    group = found.setdefault((self.place[einsum], kind), [])
                    group.append((low, high - low, bottom - part / 2, part, words, ""))
                    bottom -= part
        names = {place: name for name, place in self.place.items()}
        for (place, bar_kind), group in found.items():
            left, widths, middle, heights, hovers, texts = map(list, zip(*group, strict=True))
            name = escape(names[place]) + _KIND_SUFFIXES[bar_kind]
            yield self.plotly.Bar(
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
                legendrank=10 * place + list(_KIND_SUFFIXES).index(bar_kind),
                marker={
                    "color": einsum_color(place),
                    "line": {"width": 0},
                    "pattern": _texture(bar_kind, place),
                },
                xaxis=self.x,
                yaxis=self.y,
            )

    def _path(self) -> Iterator[Any]:
        x: list[float | None] = []
        y: list[float | None] = []
        for number, segment in enumerate(self.line.segments):
            for start, finish, lane in critical_parts(self.line, segment):
                x += [self.at(number, start), self.at(number, finish)]
                y += [lane + _BAR / 2, lane + _BAR / 2]
            x.append(None)
            y.append(None)
        if any(value is not None for value in x):
            yield self._line(x, y, "critical path", 10_000, line={"color": CRITICAL, "width": 2.5})

    def _waits(self) -> Iterator[Any]:
        found: dict[str, tuple[list[float | None], list[float | None], list[str]]] = {}
        for number, segment in enumerate(self.line.segments):
            for bar, since in idle_gaps(segment):
                low, high = self.at(number, since), self.at(number, bar.start)
                if high - low < 4 * self.pixel:
                    continue
                x, y, words = found.setdefault(str(bar.waited_for), ([], [], []))
                # A point in the middle makes the hover text appear there.
                x += [low, (low + high) / 2, high, None]
                y += [bar.lane, bar.lane, bar.lane, None]
                words += 4 * [_lines(idle_words(bar, since, self.line.lanes[bar.lane]))]
        for k, (why, dash) in enumerate(_DASHES.items()):
            if why in found:
                x, y, words = found[why]
                line = {"color": self.palette["faint"], "width": 1.2, "dash": dash}
                hover = {"hovertext": words, "hoverinfo": "text"}
                yield self._line(x, y, wait_words(why), 10_001 + k, line=line, **hover)

    def _queued(self) -> Iterator[Any]:
        """A tick on each bar that has waited for its port, if the bar is wide enough."""
        x: list[float | None] = []
        y: list[float | None] = []
        for number, segment in enumerate(self.line.segments):
            for bar in segment.bars:
                low, high = self.at(number, bar.start), self.at(number, bar.finish)
                if high - low >= MIN_TICKED_WIDTH * self.pixel and waited_for_port(segment, bar):
                    x.append(low)
                    y.append(bar.lane - _BAR / 2 - 0.07)
        if x:
            line = {"color": self.palette["ink"], "width": 1.4}
            marker = {"symbol": "line-ns", "size": 5, "line": line}
            yield self._line(x, y, wait_words("port"), 10_010, mode="markers", marker=marker)

    def _line(
        self, x: list[float | None], y: list[float | None], name: str, rank: int, **how: Any
    ) -> Any:
        given = {"mode": "lines", "hoverinfo": "skip", **how}
        return self.plotly.Scatter(
            x=x,
            y=y,
            name=name,
            legendgroup=name,
            legendrank=rank,
            xaxis=self.x,
            yaxis=self.y,
            **given,
        )

    def _level(self, k: int) -> Iterator[Any]:
        """A memory: a stepped area, and invisible bars over it that carry the hover texts."""
        x: list[float | None] = []
        y: list[float | None] = []
        bars: list[tuple[float, float, float, str]] = []
        for number, segment in enumerate(self.line.segments):
            steps = list(_steps(segment, k))
            if steps:  # from 0 and back to 0, because segments are not connected
                x.append(self.at(number, segment.start))
                y.append(0)
            for start, finish, bits, level in steps:
                low, high = self.at(number, start), self.at(number, finish)
                x += [low, high]
                y += [to_float(bits), to_float(bits)]
                words = _lines(step_words(level, start, finish, bits, bits_at_top(level)))
                bars.append((low, high - low, to_float(bits), words))
            if steps:
                x += [self.at(number, segment.finish), None]
                y += [0, None]
        if not bars:
            return
        where = {"xaxis": self.x, "yaxis": self.levels[k], "showlegend": False}
        yield self.plotly.Scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": self.palette["faint"], "width": 1},
            fill="tozeroy",
            fillcolor=self.palette["level"],
            hoverinfo="skip",
            **where,
        )
        left, widths, heights, hovers = map(list, zip(*bars, strict=True))
        yield self.plotly.Bar(
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

    # Shapes and annotations

    def shapes(self) -> Iterator[dict[str, Any]]:
        """Brackets, bounds, and sizes of memories."""
        rows = self.rows
        ink = {"color": self.palette["faint"], "width": 1}
        for bracket in rows.brackets:
            low, high = self._ends(bracket)
            y = rows.above + _BRACKET * bracket.row + 12
            for x0, x1, end in ((low, high, y), (low, low, y + 4), (high, high, y + 4)):
                yield self._stroke(x0, x1, y, end, ink)
        for mark in rows.marks:
            x = to_float(mark.time)
            top = rows.lanes - _BOUND * (mark.row + 1) + 2
            dashed = {"color": self.palette["ink"], "width": 1, "dash": "dash"}
            yield self._stroke(x, x, top, rows.axis, dashed)
        for k, name in enumerate(self.levels):
            size = visible_size(self.line.segments[0].levels[k])
            if size is not None:
                yield {
                    "type": "line",
                    "xref": f"{self.x} domain",
                    "yref": name,
                    "x0": 0,
                    "x1": 1,
                    "y0": to_float(size),
                    "y1": to_float(size),
                    "line": {"color": CRITICAL, "width": 1, "dash": "dot"},
                }

    def _ends(self, bracket: RepeatBracket) -> tuple[float, float]:
        """The ends of a bracket on the time axis."""
        return self.spans[bracket.repeat.first][0], self.spans[bracket.repeat.last][1]

    def _stroke(
        self, x0: float, x1: float, y0: float, y1: float, how: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "type": "line",
            "xref": self.x,
            "yref": "paper",
            "x0": x0,
            "x1": x1,
            "y0": self.up(y0),
            "y1": self.up(y1),
            "line": how,
        }

    def annotations(self) -> Iterator[dict[str, Any]]:
        """Headings, numbers of repetitions, names of bounds, peaks and sizes."""
        rows = self.rows
        edge: dict[str, Any] = {"xref": "paper", "x": 0, "xanchor": "left", "xshift": 8 - self.left}
        y = rows.top
        for text in rows.titles:
            yield self._label(f"<b>{escape(text)}</b>", y, size=13, **edge)
            y += _HEAD
        for text in rows.notes:
            yield self._label(escape(text), y, **edge)
            y += _NOTE
        for bracket in rows.brackets:
            y = rows.above + _BRACKET * bracket.row - 3
            middle = sum(self._ends(bracket)) / 2
            yield self._label(bracket.text, y, xref=self.x, x=middle, xanchor="center")
        for mark in rows.marks:
            y = rows.lanes - _BOUND * (mark.row + 1) - 2
            anchor, shift = ("left", 3) if mark.anchor == "start" else ("right", -3)
            where = {"xref": self.x, "x": to_float(mark.time), "xanchor": anchor, "xshift": shift}
            yield self._label(mark.text, y, 10, **where)
        for k, y in enumerate(rows.memories):
            level = self.line.segments[0].levels[k]
            text = level_words(level, bits_at_top(level))
            inside: dict[str, Any] = {"xref": "paper", "x": 0, "xanchor": "left"}
            yield self._label(text, y + _MEMORY + 1, **inside)

    def _label(self, text: str, y: float, size: int = 10, **where: Any) -> dict[str, Any]:
        ink = self.palette["ink" if size > 10 else "faint"]
        return {
            "text": text,
            "yref": "paper",
            "y": self.up(y),
            "yanchor": "top",
            "showarrow": False,
            "borderpad": 0,
            "font": {"size": size, "color": ink},
            **where,
        }


def _steps(
    segment: TimelineSegment, k: int
) -> Iterator[tuple[Number, Number, Number, OccupancyLevel]]:
    """(start, finish, bits, memory) of each interval with constant occupancy."""
    level = segment.levels[k]
    steps = level.steps or ()
    ends = [time for time, _ in steps[1:]] + [segment.finish]
    for (start, bits), finish in zip(steps, ends, strict=False):
        yield start, finish, bits, level


def _texture(kind: str, place: int) -> dict[str, Any]:
    """The texture of a bar: hatched in the background, dotted where prefetched."""
    if kind == "background":
        return {"shape": "/"}
    if kind == "fill":
        background, dots = einsum_color(place), LETTERS_ON[place % len(LETTERS_ON)]
        return {"shape": ".", "bgcolor": background, "fgcolor": dots, "size": 5, "solidity": 0.25}
    return {"shape": ""}


def _lines(words: str) -> str:
    """A hover text in Plotly's subset of HTML."""
    return escape(words).replace("\n", "<br>")


def _axis(letter: str, number: int) -> str:
    """The name of an axis: ``y``, ``y2``, ``y3``."""
    return letter if number == 1 else f"{letter}{number}"


def _layout_key(axis: str) -> str:
    """The key of an axis in a layout: ``yaxis2`` of ``y2``."""
    return f"{axis[0]}axis{axis[1:]}"
