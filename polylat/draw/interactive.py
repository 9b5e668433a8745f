"""Timelines by Plotly: zoom, and hover for what each bar is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING, Any

from polylat.draw.layout import (
    LETTER,
    QUEUED,
    Bracket,
    Mark,
    brackets,
    idle,
    marks,
    on_path,
    queued,
    size_in_sight,
    spans,
    top_of,
    within,
)
from polylat.draw.style import BOTH, CRITICAL, DARK, LIGHT, ON, colour
from polylat.draw.words import (
    bar_words,
    heading,
    idle_words,
    level_words,
    shade_words,
    step_words,
    wait_words,
)
from polylat.errors import MissingExtraError
from polylat.exact import Number
from polylat.report import WaitedFor
from polylat.text import double, show
from polylat.timeline import Level, Segment, Stack, Timeline

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["figure"]

NARROW = 280
USUAL = 640
"""The axis of time is at least so many pixels wide, on a telephone, where counts and names of bounds
fit; and is so in most places, where names fit into bars and waits can be seen."""

BROKEN = 1000
"""Length of an axis of time with breaks."""

LETTERS = 52
LANE = 30
BAR = 0.7
MEMORY = 34
HEAD, NOTE, BRACKET, BOUND = 18, 14, 15, 12
TICKS = 26
"""Heights in pixels; that of a bar in lanes."""

DASHES: Mapping[WaitedFor, str] = {"flow": "solid", "barrier": "dash", "capacity": "dot"}
KINDS = {"foreground": "", "background": ", in the background", "fill": ", prefetched"}


def figure(stack: Stack, *, dark: bool | None = None) -> Figure:
    """Timelines as a figure of Plotly; `dark` None: on any paper.

    Where a timeline shows what repeats once, its axis has breaks: segments stand side by side,
    each to scale, and the hover texts tell the times.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise MissingExtraError(
            "Plotly is not installed", mend="pip install 'polylat[plot]'"
        ) from error
    look = BOTH if dark is None else DARK if dark else LIGHT
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
            graph_objects, row, stack.einsums, look, high, (number, axes + 1), left, last
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
        for words in panel.words():
            result.add_annotation(words)
    result.update_layout(
        barmode="overlay",
        hovermode="closest",
        height=high + 130,
        font={"size": 11, "color": look["ink"]},
        legend={"orientation": "h", "yanchor": "top", "y": -8 / (high or 1), "xanchor": "left"},
        margin={"l": left, "r": 12, "t": 34, "b": 60, "autoexpand": True},
        paper_bgcolor=look["paper"],
        plot_bgcolor=look["paper"],
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": look["faint"], "activecolor": look["ink"]},
        template="none",
    )
    return result


@dataclass(frozen=True)
class _Rows:
    """Where the rows of a timeline are, in pixels from above."""

    line: Timeline
    titles: Sequence[str]
    notes: Sequence[str]
    brackets: Sequence[Bracket]
    marks: Sequence[Mark]
    top: float
    above: float
    lanes: float
    axis: float
    memories: Sequence[float]
    bottom: float

    @classmethod
    def of(cls, line: Timeline, top: float) -> _Rows:
        titles, notes = heading(line, LETTERS)
        narrow = spans(line, 0, NARROW, line.finish)
        shown, bounds = brackets(line, narrow, NARROW), marks(line, narrow)
        above = top + HEAD * len(titles) + NOTE * len(notes) + 6
        lanes = above + BRACKET * (max((b.row for b in shown), default=-1) + 1)
        lanes += BOUND * (max((m.row for m in bounds), default=-1) + 1)
        axis = lanes + LANE * max(len(line.lanes), 1)
        count = len(line.segments[0].levels) if line.segments else 0
        each = MEMORY + NOTE + 6
        memories = [axis + TICKS + each * k for k in range(count)]
        bottom = axis + TICKS + each * count
        return cls(line, titles, notes, shown, bounds, top, above, lanes, axis, memories, bottom)


class _Panel:
    """One timeline: its lanes, and its memories on the same axis of time."""

    def __init__(
        self,
        kinds: Any,
        rows: _Rows,
        einsums: Sequence[str],
        look: Mapping[str, str],
        high: float,
        first: tuple[int, int],
        left: float,
        last: Number,
    ) -> None:
        self.kinds, self.rows, self.line, self.look = kinds, rows, rows.line, look
        self.place = {name: k for k, name in enumerate(einsums)}
        self.high, self.left = high, left
        across, down = first
        self.x = _axis("x", across)
        self.y = _axis("y", down)
        self.levels = [_axis("y", down + 1 + k) for k in range(len(rows.memories))]
        self.broken = len(self.line.segments) != 1
        self.spans = spans(self.line, 0, BROKEN, self.line.finish)
        long = double(last - self.line.start) or 1.0
        self.long = BROKEN if self.broken else long
        self.pixel = self.long / USUAL

    def at(self, number: int, time: Number) -> float:
        """Where a time of a segment is on the axis."""
        segment = self.line.segments[number]
        if self.broken:
            return within(segment, self.spans[number], time)
        return double(min(max(time, segment.start), segment.finish))

    def up(self, pixels: float) -> float:
        """A height on the paper."""
        return 1 - pixels / self.high

    # Axes

    def axes(self, shared: str | None) -> dict[str, Any]:
        """The axes: of time, of the lanes, of each memory."""
        rows, line = self.rows, self.line
        common = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": ""}
        found: dict[str, Any] = {
            _long(self.x): self._times(shared),
            _long(self.y): {
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
            top = double(top_of(level) or 1)
            found[_long(name)] = {
                **common,
                "domain": [self.up(y + MEMORY), self.up(y)],
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
            "gridcolor": self.look["grid"],
            "linecolor": self.look["ink"],
            "zeroline": False,
            "ticks": "outside",
            "tickangle": 0,
        }
        room = 0.01 * self.long
        if not self.broken:
            start = double(line.start)
            axis |= {"range": [start - room, start + self.long + room], "tickformat": ","}
            return axis if shared is None else axis | {"matches": shared}
        values: list[float] = []
        texts: list[str] = []
        free = 0.0
        for segment, (x, _) in zip(line.segments, self.spans, strict=True):
            text = show(segment.start)
            half = (len(text) + 1) * LETTER / 2 * BROKEN / NARROW
            if x - half >= free or not values:
                values.append(x)
                texts.append(text)
                free = x + half
        return axis | {
            "range": [-room, BROKEN + room],
            "tickvals": values,
            "ticktext": texts,
            "showgrid": False,
        }

    # Traces

    def traces(self) -> Iterator[Any]:
        """Bars, the critical path, what is waited for, and memories."""
        yield from self._bars()
        yield from self._path()
        yield from self._waits()
        yield from self._queued()
        for k in range(len(self.levels)):
            yield from self._level(k)

    def _bars(self) -> Iterator[Any]:
        # Left, width, middle and height, words, and the text on it.
        found: dict[tuple[int, str], list[tuple[float, float, float, float, str, str]]] = {}
        for number, segment in enumerate(self.line.segments):
            for bar in segment.bars:
                low, high = self.at(number, bar.start), self.at(number, bar.finish)
                words = _lines(bar_words(bar, self.line.lanes[bar.lane]))
                fits = high - low > (len(bar.einsum) * LETTER + 4) * self.pixel
                text = escape(bar.einsum) if fits and bar.kind == "foreground" else ""
                mine = found.setdefault((self.place[bar.einsum], bar.kind), [])
                mine.append((low, high - low, bar.lane, BAR, words, text))
            for shade in segment.shades:
                low, high = self.at(number, shade.start), self.at(number, shade.finish)
                words = _lines(shade_words(shade, self.line.lanes[shade.lane]))
                bottom = shade.lane + BAR / 2
                for einsum, kind, time in shade.busy:
                    part = BAR * float(time / Fraction(shade.finish - shade.start))
                    mine = found.setdefault((self.place[einsum], kind), [])
                    mine.append((low, high - low, bottom - part / 2, part, words, ""))
                    bottom -= part
        names = {place: name for name, place in self.place.items()}
        for (place, what), mine in found.items():
            left, wide, middle, high_, words_, texts = map(list, zip(*mine, strict=True))
            name = escape(names[place]) + KINDS[what]
            yield self.kinds.Bar(
                base=left,
                x=wide,
                y=middle,
                width=high_,
                text=texts,
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                insidetextfont={"color": ON[place % len(ON)]},
                cliponaxis=True,
                orientation="h",
                hovertext=words_,
                hoverinfo="text",
                name=name,
                legendgroup=name,
                legendrank=10 * place + list(KINDS).index(what),
                marker={
                    "color": colour(place),
                    "line": {"width": 0},
                    "pattern": _texture(what, place),
                },
                xaxis=self.x,
                yaxis=self.y,
            )

    def _path(self) -> Iterator[Any]:
        x: list[float | None] = []
        y: list[float | None] = []
        for number, segment in enumerate(self.line.segments):
            for start, finish, lane in on_path(self.line, segment):
                x += [self.at(number, start), self.at(number, finish)]
                y += [lane + BAR / 2, lane + BAR / 2]
            x.append(None)
            y.append(None)
        if any(value is not None for value in x):
            yield self._line(x, y, "critical path", 10_000, line={"color": CRITICAL, "width": 2.5})

    def _waits(self) -> Iterator[Any]:
        found: dict[str, tuple[list[float | None], list[float | None], list[str]]] = {}
        for number, segment in enumerate(self.line.segments):
            for bar, since in idle(segment):
                low, high = self.at(number, since), self.at(number, bar.start)
                if high - low < 4 * self.pixel:
                    continue
                x, y, words = found.setdefault(str(bar.waited_for), ([], [], []))
                # In the middle there is a point, too, to be asked.
                x += [low, (low + high) / 2, high, None]
                y += [bar.lane, bar.lane, bar.lane, None]
                words += 4 * [_lines(idle_words(bar, since, self.line.lanes[bar.lane]))]
        for k, (why, dash) in enumerate(DASHES.items()):
            if why in found:
                x, y, words = found[why]
                line = {"color": self.look["faint"], "width": 1.2, "dash": dash}
                told = {"hovertext": words, "hoverinfo": "text"}
                yield self._line(x, y, wait_words(why), 10_001 + k, line=line, **told)

    def _queued(self) -> Iterator[Any]:
        """A tick on each bar that has waited for its port, and is wide enough for it."""
        x: list[float | None] = []
        y: list[float | None] = []
        for number, segment in enumerate(self.line.segments):
            for bar in segment.bars:
                low, high = self.at(number, bar.start), self.at(number, bar.finish)
                if high - low >= QUEUED * self.pixel and queued(segment, bar):
                    x.append(low)
                    y.append(bar.lane - BAR / 2 - 0.07)
        if x:
            line = {"color": self.look["ink"], "width": 1.4}
            marker = {"symbol": "line-ns", "size": 5, "line": line}
            yield self._line(x, y, wait_words("port"), 10_010, mode="markers", marker=marker)

    def _line(
        self, x: list[float | None], y: list[float | None], name: str, rank: int, **how: Any
    ) -> Any:
        given = {"mode": "lines", "hoverinfo": "skip", **how}
        return self.kinds.Scatter(
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
        """A memory: a stepped area, and over it bars that are not seen but tell what it holds."""
        x: list[float | None] = []
        y: list[float | None] = []
        bars: list[tuple[float, float, float, str]] = []
        for number, segment in enumerate(self.line.segments):
            steps = list(_steps(segment, k))
            if steps:  # from the ground and back to it: there is nothing between segments
                x.append(self.at(number, segment.start))
                y.append(0)
            for start, finish, bits, level in steps:
                low, high = self.at(number, start), self.at(number, finish)
                x += [low, high]
                y += [double(bits), double(bits)]
                words = _lines(step_words(level, start, finish, bits, top_of(level)))
                bars.append((low, high - low, double(bits), words))
            if steps:
                x += [self.at(number, segment.finish), None]
                y += [0, None]
        if not bars:
            return
        where = {"xaxis": self.x, "yaxis": self.levels[k], "showlegend": False}
        yield self.kinds.Scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": self.look["faint"], "width": 1},
            fill="tozeroy",
            fillcolor=self.look["level"],
            hoverinfo="skip",
            **where,
        )
        left, wide, bits_, words_ = map(list, zip(*bars, strict=True))
        yield self.kinds.Bar(
            x=left,
            offset=0,
            width=wide,
            y=bits_,
            marker={"color": "rgba(0,0,0,0)", "line": {"width": 0}},
            hovertext=words_,
            hoverinfo="text",
            hoverlabel={"bgcolor": LIGHT["faint"], "font": {"color": LIGHT["paper"]}},
            **where,
        )

    # Shapes and words

    def shapes(self) -> Iterator[dict[str, Any]]:
        """Brackets, bounds, and sizes of memories."""
        rows = self.rows
        ink = {"color": self.look["faint"], "width": 1}
        for bracket in rows.brackets:
            low, high = self._wide(bracket)
            y = rows.above + BRACKET * bracket.row + 12
            for x0, x1, end in ((low, high, y), (low, low, y + 4), (high, high, y + 4)):
                yield self._stroke(x0, x1, y, end, ink)
        for mark in rows.marks:
            x = double(mark.time)
            top = rows.lanes - BOUND * (mark.row + 1) + 2
            dashed = {"color": self.look["ink"], "width": 1, "dash": "dash"}
            yield self._stroke(x, x, top, rows.axis, dashed)
        for k, name in enumerate(self.levels):
            size = size_in_sight(self.line.segments[0].levels[k])
            if size is not None:
                yield {
                    "type": "line",
                    "xref": f"{self.x} domain",
                    "yref": name,
                    "x0": 0,
                    "x1": 1,
                    "y0": double(size),
                    "y1": double(size),
                    "line": {"color": CRITICAL, "width": 1, "dash": "dot"},
                }

    def _wide(self, bracket: Bracket) -> tuple[float, float]:
        """From where to where a bracket is on the axis."""
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

    def words(self) -> Iterator[dict[str, Any]]:
        """Headings, counts of what repeats, names of bounds, peaks and sizes."""
        rows = self.rows
        edge: dict[str, Any] = {"xref": "paper", "x": 0, "xanchor": "left", "xshift": 8 - self.left}
        y = rows.top
        for text in rows.titles:
            yield self._label(f"<b>{escape(text)}</b>", y, size=13, **edge)
            y += HEAD
        for text in rows.notes:
            yield self._label(escape(text), y, **edge)
            y += NOTE
        for bracket in rows.brackets:
            y = rows.above + BRACKET * bracket.row - 3
            middle = sum(self._wide(bracket)) / 2
            yield self._label(bracket.text, y, xref=self.x, x=middle, xanchor="center")
        for mark in rows.marks:
            y = rows.lanes - BOUND * (mark.row + 1) - 2
            anchor, shift = ("left", 3) if mark.anchor == "start" else ("right", -3)
            where = {"xref": self.x, "x": double(mark.time), "xanchor": anchor, "xshift": shift}
            yield self._label(mark.text, y, 10, **where)
        for k, y in enumerate(rows.memories):
            level = self.line.segments[0].levels[k]
            text = level_words(level, top_of(level))
            inside: dict[str, Any] = {"xref": "paper", "x": 0, "xanchor": "left"}
            yield self._label(text, y + MEMORY + 1, **inside)

    def _label(self, text: str, y: float, size: int = 10, **where: Any) -> dict[str, Any]:
        ink = self.look["ink" if size > 10 else "faint"]
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


def _steps(segment: Segment, k: int) -> Iterator[tuple[Number, Number, Number, Level]]:
    """From when to when a memory holds so many bits, and the memory."""
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
        plain, letters = colour(place), ON[place % len(ON)]
        return {"shape": ".", "bgcolor": plain, "fgcolor": letters, "size": 5, "solidity": 0.25}
    return {"shape": ""}


def _lines(words: str) -> str:
    return escape(words).replace("\n", "<br>")


def _axis(letter: str, number: int) -> str:
    return letter if number == 1 else f"{letter}{number}"


def _long(axis: str) -> str:
    """The key of an axis in a layout: ``yaxis2`` of ``y2``."""
    return f"{axis[0]}axis{axis[1:]}"
