"""Timelines: what every port serves when, as plain values that any renderer can draw.

All times are exact. A short schedule is listed in full. Of a long one, what repeats is shown once
with the number of its repetitions, and where there is too much to see, ports are only so busy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from math import ceil, floor
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from polylat.critical import REASONS, parts_of
from polylat.errors import OptionError, UnsupportedError
from polylat.exact import Number, number
from polylat.files import ending, named, write, writing
from polylat.lowering.scan import Ints
from polylat.report import Report, Step, WaitedFor
from polylat.schedule.critical import START
from polylat.schedule.graph import Times
from polylat.schedule.periodic import Events
from polylat.schedule.timing import Plan
from polylat.services import Runs, services
from polylat.spec.options import normalize_flag, normalize_limit, normalize_title, normalize_window

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as PlotlyFigure

    from polylat.accounting import Roofline
    from polylat.latest import Latest

__all__ = [
    "PICTURES",
    "Bar",
    "Kind",
    "Lane",
    "Level",
    "Part",
    "Repeat",
    "Scene",
    "Segment",
    "Shade",
    "Stack",
    "Timeline",
    "compare",
    "timeline",
    "window_of",
]

Kind = Literal["fill", "foreground", "background"]
Pairs = Sequence[tuple[Number, Number]]

PICTURES = (".svg", ".pdf", ".png", ".html")
"""How names of pictures may end."""

BARS = 400
"""Up to so many bars are shown one by one; of more, what repeats is shown once."""

MOST_SEGMENTS = 20
MOST_STEPS = 1000
BINS = 160
PERIODS = 3
"""From so many periods on, what repeats is shown once."""


@dataclass(frozen=True)
class Lane:
    """A port.

    Parameters
    ----------
    component, port
        The port; `port` is empty where the component has one only.
    stages
        The Pipeline stages whose own units these are.
    busy
        How long it serves accesses, in the whole schedule.
    """

    component: str
    port: str
    stages: tuple[str, ...]
    busy: Number

    @property
    def name(self) -> str:
        """The port in one word, such as ``SRAM.read`` or ``mac[e1]``."""
        name = f"{self.component}.{self.port}" if self.port else self.component
        return name + "".join(f"[{stage}]" for stage in self.stages)


@dataclass(frozen=True)
class Part:
    """An access of a bar; the tensor is None for a computation."""

    tensor: str | None
    action: str
    duration: Number


@dataclass(frozen=True)
class Bar:
    """What a port serves of one tile iteration at a time.

    Parameters
    ----------
    lane
        The port: its place among the lanes.
    einsum, tile
        The tile iteration: its Einsum, and (rank variable, index) per Temporal loop.
    kind
        A prefetched fill, the foreground, or a background write-back.
    parts
        The accesses that it is made of, in order. Their durations add up to its own.
    start, duration
        When.
    waited_for
        Why it starts no earlier; None if it waits for nothing.
    after
        Which bar of the same segment it waited for; None if that is not shown.
    critical
        Whether it is on the critical path.
    slack
        How much later it could be served, alone, with the same latency and order of service; of
        what repeats, the first time. None where that is not known: where tile iterations stand for
        others, and what comes after it does not wait evenly.
    """

    lane: int
    einsum: str
    tile: tuple[tuple[str, int], ...]
    kind: Kind
    parts: tuple[Part, ...]
    start: Number
    duration: Number
    waited_for: WaitedFor | None = None
    after: int | None = None
    critical: bool = False
    slack: Number | None = None

    @property
    def finish(self) -> Number:
        """When it has been served."""
        return self.start + self.duration


@dataclass(frozen=True)
class Shade:
    """How busy a port is for a time in which there is too much to show.

    Parameters
    ----------
    lane
        The port.
    start, finish
        From when to when.
    busy
        (Einsum, kind, how long it is served).
    """

    lane: int
    start: Number
    finish: Number
    busy: tuple[tuple[str, Kind, Number], ...]


@dataclass(frozen=True)
class Level:
    """How full a memory is.

    Parameters
    ----------
    component, stages
        The memory.
    size
        Bits that it can hold, None if unlimited.
    peak
        The most that it ever holds, None if not known.
    steps
        (time, bits from then on), from the start of the segment on; None if not known.
    exact
        Whether these are all changes. Of too many, it is the most from one time to the next.
    """

    component: str
    stages: tuple[str, ...]
    size: Number | None
    peak: Number | None
    steps: tuple[tuple[Number, Number], ...] | None
    exact: bool = True

    @property
    def name(self) -> str:
        """The memory in one word."""
        return self.component + "".join(f"[{stage}]" for stage in self.stages)


@dataclass(frozen=True)
class Segment:
    """A part of a timeline, to scale.

    Parameters
    ----------
    start, finish
        From when to when; if it repeats, the first time.
    times
        How often it happens.
    bars, shades
        What the ports serve, in order of time. What begins before or ends after the segment is
        there, too.
    critical
        The critical path through it; if it has thousands of steps, those at some instants.
    levels
        How full the memories are; if it repeats, the first time.
    """

    start: Number
    finish: Number
    times: int
    bars: tuple[Bar, ...]
    shades: tuple[Shade, ...]
    critical: tuple[Step, ...] = ()
    levels: tuple[Level, ...] = ()

    @property
    def duration(self) -> Number:
        """How long it takes once."""
        return self.finish - self.start


@dataclass(frozen=True)
class Repeat:
    """Neighbouring segments that repeat together.

    Parameters
    ----------
    first, last
        The segments.
    count
        How often.
    period
        How long one repetition takes.
    """

    first: int
    last: int
    count: int
    period: Number


@dataclass(frozen=True)
class Timeline:
    """What every port serves when, and how full the memories are.

    Parameters
    ----------
    title
        What it is a timeline of.
    start, finish
        The window.
    latency
        The latency of the schedule.
    lanes
        The ports, in the order of the architecture.
    einsums
        Names of the Einsums, in the order of the mapping.
    segments
        Parts, in order of time. Each times how often it happens, they add up to the window.
    repeats
        What repeats, outer ones first.
    bounds
        (name, time): the lower bounds on the latency.
    """

    title: str
    start: Number
    finish: Number
    latency: Number
    lanes: tuple[Lane, ...]
    einsums: tuple[str, ...]
    segments: tuple[Segment, ...]
    repeats: tuple[Repeat, ...] = ()
    bounds: tuple[tuple[str, Number], ...] = ()

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The bars of all segments."""
        return tuple(bar for segment in self.segments for bar in segment.bars)

    @property
    def folded(self) -> bool:
        """Whether what repeats is shown once."""
        return bool(self.repeats)

    def busy(self, lane: int) -> Number:
        """How long a port serves in the window, as the bars and shades tell."""
        total = Fraction(0)
        for segment in self.segments:
            for bar in segment.bars:
                if bar.lane == lane:
                    first, last = max(bar.start, segment.start), min(bar.finish, segment.finish)
                    total += max(Fraction(0), Fraction(last - first)) * segment.times
            for shade in segment.shades:
                if shade.lane == lane:
                    total += sum(Fraction(time) for _, _, time in shade.busy) * segment.times
        return number(total)

    def to_svg(self, *, width: int = 1000, dark: bool | None = None) -> str:
        """A picture as SVG; `dark` None: as the reader's screen is set.

        Raises
        ------
        OptionError
            It would be less than 200 or more than 10,000 pixels wide.
        """
        return Stack((self,)).to_svg(width=width, dark=dark)

    def to_matplotlib(self, *, width: float = 10.0, dark: bool = False) -> Figure:
        """A figure of Matplotlib, `width` inches wide.

        Raises
        ------
        MissingExtraError
            Matplotlib is not installed: it comes with the extra ``plot``.
        OptionError
            It would be less than 2 or more than 100 inches wide.
        """
        return Stack((self,)).to_matplotlib(width=width, dark=dark)

    def to_plotly(self, *, dark: bool | None = None) -> PlotlyFigure:
        """A figure of Plotly: zoom, and hover for what each bar is.

        Parameters
        ----------
        dark
            On light or dark paper; None: without paper, to be read on either.

        Raises
        ------
        MissingExtraError
            Plotly is not installed: it comes with the extra ``plot``.
        """
        return Stack((self,)).to_plotly(dark=dark)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write a picture; see `Stack.save`."""
        return Stack((self,)).save(path, **options)

    def to_html(self) -> str:
        """One self-contained page, which works offline: zoom, and what each bar is."""
        return Stack((self,)).to_html()

    def to_text(self, *, width: int = 100) -> str:
        """The timeline in letters, at most so many columns wide.

        Raises
        ------
        OptionError
            It would be less than 20 or more than 1,000 columns wide.
        """
        from polylat.draw.terminal import timeline_text

        return timeline_text(self, width=int(_width(width, 20, 1_000, "columns")))

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_svg()

    def _repr_svg_(self) -> str:
        return self.to_svg()


@dataclass(frozen=True)
class Stack:
    """Timelines below each other, on one axis of time.

    Parameters
    ----------
    timelines
        The timelines.
    """

    timelines: tuple[Timeline, ...]
    title: str = field(default="", kw_only=True)

    @cached_property
    def einsums(self) -> tuple[str, ...]:
        """Names of all Einsums."""
        return tuple(dict.fromkeys(e for line in self.timelines for e in line.einsums))

    def to_svg(self, *, width: int = 1000, dark: bool | None = None) -> str:
        """A picture as SVG; `dark` None: as the reader's screen is set.

        Raises
        ------
        OptionError
            It would be less than 200 or more than 10,000 pixels wide.
        """
        from polylat.draw.svg import timeline_svg

        return timeline_svg(self, width=_width(width, 200, 10_000, "pixels"), dark=dark)

    def to_matplotlib(self, *, width: float = 10.0, dark: bool = False) -> Figure:
        """A figure of Matplotlib, `width` inches wide.

        Raises
        ------
        MissingExtraError
            Matplotlib is not installed: it comes with the extra ``plot``.
        OptionError
            It would be less than 2 or more than 100 inches wide.
        """
        from polylat.draw.mpl import figure

        return figure(self, width=_width(width, 2, 100, "inches"), dark=dark)

    def to_plotly(self, *, dark: bool | None = None) -> PlotlyFigure:
        """A figure of Plotly: zoom, and hover for what each bar is.

        Parameters
        ----------
        dark
            On light or dark paper; None: without paper, to be read on either.

        Raises
        ------
        MissingExtraError
            Plotly is not installed: it comes with the extra ``plot``.
        """
        from polylat.draw.interactive import figure

        return figure(self, dark=dark)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write a picture: by Matplotlib (.svg, .pdf, .png), or as a page (.html).

        Parameters
        ----------
        path
            Where to.
        **options
            As for `to_matplotlib`.

        Raises
        ------
        OptionError
            The name ends otherwise, or the file cannot be written.
        """
        path = named(path)
        if ending(path, PICTURES, "pictures") == ".html":
            write(path, self.to_html())
        else:
            from polylat.draw.mpl import save

            with writing(path):
                save(self.to_matplotlib(**options), path)
        return path

    def to_html(self) -> str:
        """One self-contained page, which works offline: zoom, and what each bar is."""
        from polylat.draw.page import timeline_page

        return timeline_page(self)

    def _repr_html_(self) -> str:
        return self.to_svg()

    def _repr_svg_(self) -> str:
        return self.to_svg()


def _width(value: Any, least: int, most: int, unit: str) -> float:
    """A width that can be drawn."""
    if isinstance(value, Real) and least <= float(value) <= most:
        return float(value)
    raise OptionError(
        f"width={value!r}: pictures are from {least} to {most:,} {unit} wide",
        mend="give a width in between",
    )


def timeline(
    report: Report,
    *,
    window: tuple[Number, Number] | None = None,
    fold: bool | None = None,
    limit: int = BARS,
    title: str | None = None,
) -> Timeline:
    """What every port serves when.

    Parameters
    ----------
    report
        The report.
    window
        (from, to): only what is served between these times, until the end if that is earlier
        (`Timeline.finish` says so); None for all.
    fold
        Whether what repeats is shown once, with the number of its repetitions. None: if there
        are more than `limit` bars.
    limit
        So many bars are shown one by one, in each segment; of more, it is shown how busy the ports
        are.
    title
        What it is called; None: by its order and background.

    Raises
    ------
    OptionError
        The window is empty, or not within the schedule.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> line = report.timeline()
    >>> [lane.name for lane in line.lanes], len(line.bars), line.bars[0].parts[0].tensor
    (['DRAM', 'SRAM', 'mac'], 67, 'i1')
    >>> long = polylat.analyze(polylat.load("examples/attention.yaml")).timeline()
    >>> [(repeat.count, repeat.period) for repeat in long.repeats]
    [(12, 16384), (29, 262144), (13, 16384), (13, 16384), (13, 16384)]
    """
    name = _titled(report) if title is None else normalize_title(title)
    if fold is not None:
        fold = normalize_flag("fold", fold)
    return report._scene.timeline(window, fold, name, normalize_limit(limit))


def window_of(window: tuple[Number, Number], latency: Number) -> tuple[Number, Number]:
    """The part of a window in which there is a schedule: nothing is served after its end.

    Raises
    ------
    OptionError
        The window is empty, or not within the schedule.
    """
    first, last = normalize_window(window)
    if first >= latency:
        raise OptionError("the window begins when all is over", mend="begin before the latency")
    return number(first), number(min(last, Fraction(latency)))


def _titled(report: Report) -> str:
    parts = [f"order {report.order}"]
    if report.background and not report.waits_for_background:
        pairs = ", ".join(f"{t}@{c}" for t, c in report.background)
        parts.append(f"{pairs} in the background")
    return ", ".join(parts)


@dataclass(frozen=True)
class _Piece:
    """Where a segment is, in steps of time, and how often."""

    start: int
    finish: int
    times: int


class Scene:
    """Takes segments out of a schedule.

    Parameters
    ----------
    report
        The report of the schedule.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.model, self.timing = report._model, report._timing
        self.scale = self.model.costs.scale
        self.runs, self.streams = services(self.model, self.timing)
        self.lanes = tuple(Lane(p.component, p.port, p.stages, p.busy) for p in report.ports)
        self.events = Events(self.model.graph)
        # (Einsum, component, name of the port) → lane: a leaf has one of each.
        self.lane_of: dict[tuple[str, str, str], int] = {}
        for stream, port in {*zip(self.runs.stream.tolist(), self.runs.port.tolist(), strict=True)}:
            lane = self.lanes[port]
            einsum = self._einsum(self.streams[stream][0])
            self.lane_of[einsum, lane.component, lane.port] = port

    def _einsum(self, leaf: int) -> str:
        return self.model.lowered.leaves[leaf].einsum.name

    def _number(self, steps: int) -> Number:
        return number(Fraction(steps, self.scale))

    def timeline(
        self, window: tuple[Number, Number] | None, fold: bool | None, title: str, limit: int
    ) -> Timeline:
        """The timeline of a window."""
        report = self.report
        low, high = self._window(window)
        runs = self.runs.seen(low, high)
        if fold is None:
            fold = runs.number(low, high) > limit
        pieces: list[_Piece] = [_Piece(low, high, 1)]
        repeats: tuple[_Fold, ...] = ()
        if fold and low < high:
            pieces, repeats = _folded(runs, low, high, limit)
        return Timeline(
            title=title,
            start=self._number(low),
            finish=self._number(high),
            latency=report.latency,
            lanes=self.lanes,
            einsums=tuple(leaf.einsum.name for leaf in self.model.lowered.leaves),
            segments=tuple(self._segment(runs, piece, limit) for piece in pieces),
            repeats=tuple(
                Repeat(first, last, count, self._number(period))
                for first, last, count, period in repeats
            ),
            bounds=(
                ("resource bound", report.resource_bound),
                ("dependence bound", report.dependence_bound),
            ),
        )

    def _window(self, window: tuple[Number, Number] | None) -> tuple[int, int]:
        if window is None:
            return 0, self.timing.makespan
        first, last = window_of(window, self.report.latency)
        return floor(first * self.scale), ceil(last * self.scale)

    def _segment(self, runs: Runs, piece: _Piece, limit: int) -> Segment:
        low, high = piece.start, piece.finish
        seen = runs.seen(low, high)
        start, finish = self._number(low), self._number(high)
        bars: tuple[Bar, ...] = ()
        shades: tuple[Shade, ...] = ()
        critical = self._critical(start, finish)
        if seen.number(low, high) <= limit:
            bars = self._bars(seen.single(low, high), critical)
        else:
            shades = self._shades(seen, low, high)
        levels = self._levels(start, finish, limit)
        return Segment(start, finish, piece.times, bars, shades, critical, levels)

    def _critical(self, start: Number, finish: Number) -> tuple[Step, ...]:
        try:
            path = self.report._critical_path
        except UnsupportedError:
            return ()
        first, last = path.index_at(start), path.index_at(finish)
        if last < len(path) and path[last].start < finish:
            last += 1
        if last - first <= MOST_STEPS:
            return tuple(path[first:last])
        each = Fraction(finish - start) / BINS
        some = dict.fromkeys(path.index_at(start + k * each) for k in range(BINS))
        return tuple(path[k] for k in some)

    # Bars

    def _bars(self, single: Runs, critical: Sequence[Step]) -> tuple[Bar, ...]:
        count = single.size
        tasks = np.zeros(count, dtype=np.int64)
        parts: list[list[Part]] = [[] for _ in range(count)]
        tiles: list[tuple[tuple[str, int], ...]] = [()] * count
        later = np.zeros((self.model.layout.depth, count), dtype=np.int64)
        key = single.stream * (len(self.lanes) + 1) + single.port
        for value in np.unique(key).tolist():
            some = np.flatnonzero(key == value)
            stream, port = int(single.stream[some[0]]), int(single.port[some[0]])
            leaf, block = self.streams[stream]
            of = self.model.layout.tiles[leaf]
            iterations, later[: of.depth, some] = of.locate(single.digits[: of.depth, some])
            tasks[some] = self._tasks(leaf, block, port, iterations)
            names = [loop.variable for loop in of.leaf.temporal[: of.depth]]
            for bar, digits in zip(some.tolist(), single.digits[:, some].T.tolist(), strict=True):
                tiles[bar] = tuple(zip(names, digits, strict=False))
            what = self.model.layout.blocks[leaf][block]
            for part, which, times in parts_of(self.model, leaf, what, port, iterations):
                for bar, time in zip(some[which].tolist(), times.tolist(), strict=True):
                    made = Part(part.tensor, part.action, self._number(time))
                    parts[bar].append(made)
        slacks = self._slacks(tasks, later, single.first)
        bars = [
            Bar(
                lane=int(single.port[bar]),
                einsum=self._einsum(self.streams[int(single.stream[bar])][0]),
                tile=tiles[bar],
                kind=self._kind(int(single.stream[bar])),
                parts=tuple(parts[bar]),
                start=self._number(int(single.first[bar])),
                duration=self._number(int(single.duration[bar])),
                slack=slacks[bar],
            )
            for bar in range(count)
        ]
        why = self._waits(tasks.tolist())
        return tuple(_linked(bars, why, self._on_path(bars, critical)))

    def _kind(self, stream: int) -> Kind:
        leaf, block = self.streams[stream]
        return self.model.layout.blocks[leaf][block].kind

    def _tasks(self, leaf: int, block: int, port: int, iterations: Ints) -> Ints:
        """The tasks of a block on a port, for tile iterations that are looked at."""
        layout, graph = self.model.layout, self.model.graph
        if layout.blocks[leaf][block].kind == "foreground":
            blocks = layout.bases[leaf] + iterations
        else:
            first, where = layout.streams[leaf, block]
            blocks = first + np.searchsorted(where, iterations)
        keys, order = self.events.task_keys
        return order[np.searchsorted(keys, blocks * graph.ports + port)]

    def _slacks(self, tasks: Ints, later: Ints, begin: Times) -> list[Number | None]:
        """The slack of tasks, so many periods later, that begin at these times."""
        free: list[int | None]
        if self._free is not None:
            free = self._free[tasks].tolist()
        elif self._latest is not None:
            free = self._latest.slacks(tasks, later, begin)
        else:
            free = [None] * len(tasks)
        return [None if steps is None else self._number(steps) for steps in free]

    @cached_property
    def _free(self) -> Times | None:
        if not isinstance(self.model.plan, Plan):
            return None
        from polylat.schedule.slack import slacks

        return slacks(self.model.graph, self.timing)

    @cached_property
    def _latest(self) -> Latest | None:
        from polylat.latest import Latest, UnknownError

        try:
            return Latest(self._walk)
        except UnknownError:
            return None

    def _on_path(self, bars: Sequence[Bar], critical: Sequence[Step]) -> dict[int, Step]:
        """Bars on the critical path, and their first step there."""
        starts: dict[int, list[tuple[Number, int]]] = {}
        for place, bar in enumerate(bars):
            starts.setdefault(bar.lane, []).append((bar.start, place))
        found: dict[int, Step] = {}
        for step in critical:
            lane = self.lane_of[step.einsum, step.component, step.port]
            mine = starts.get(lane, [])
            at = bisect_right(mine, step.start, key=lambda pair: pair[0]) - 1
            if at >= 0 and bars[mine[at][1]].finish >= step.finish:
                found.setdefault(mine[at][1], step)
        return found

    # Waits

    def _waits(self, tasks: Sequence[int]) -> list[WaitedFor | None]:
        """Per task, what it waited for."""
        if not isinstance(self.model.plan, Plan):
            return [REASONS[reason] for reason in self._walk.reasons(tasks)]
        graph, timing, reasons = self.model.graph, self.timing, self._ready
        found: list[WaitedFor | None] = []
        for task in tasks:
            block = int(graph.task_block[task])
            event = block if graph.kind[block] == 0 else int(graph.owner[block])
            begin = timing.fill_begin if graph.kind[block] == 0 else timing.begin
            if timing.task_begin[task] == begin[event] and reasons[event] != START:
                found.append(REASONS[int(reasons[event])])
            else:
                found.append("port" if timing.task_begin[task] > 0 else None)
        return found

    @cached_property
    def _walk(self) -> Any:
        from polylat.walk import Walk

        return Walk(self.model, self.timing)

    @cached_property
    def _ready(self) -> Ints:
        """Per start (of a tile iteration, of a fill), what it waited for.

        Of what it waits for, the first in the order flow, barrier, capacity that is in time no
        sooner than it; else what the fill or the tile iteration before that it waits for did.
        """
        graph, timing = self.model.graph, self.timing
        n = graph.iterations
        begin = timing.fill_begin.copy()
        begin[:n] = timing.begin
        reasons = np.full(graph.blocks, START, dtype=np.int64)
        whole = graph.edge_source < n
        arrived = np.where(
            whole,
            timing.finish[np.minimum(graph.edge_source, n - 1)],
            timing.block_finish[graph.edge_source],
        )
        starts = graph.edge_target < graph.blocks
        target = np.minimum(graph.edge_target, graph.blocks - 1)
        tight = np.flatnonzero(starts & np.asarray(arrived == begin[target], dtype=np.bool_))
        tight = tight[np.asarray(arrived[tight] > 0, dtype=np.bool_)]
        tight = tight[np.argsort(-graph.edge_reason[tight], kind="stable")]
        reasons[target[tight]] = graph.edge_reason[tight]
        fills = n + np.flatnonzero(graph.kind[n:] == 0)
        owner = graph.owner[fills]
        same = np.asarray(begin[fills] == begin[owner], dtype=np.bool_) & (reasons[owner] == START)
        same &= reasons[fills] != START
        reasons[owner[same]] = reasons[fills[same]]
        # A tile iteration that starts with the one before it waits for what that did.
        known = np.flatnonzero((reasons[:n] != START) | graph.leaf_starts)
        last = known[np.searchsorted(known, np.arange(n), side="right") - 1] if n else known
        follows = np.asarray(begin[:n] == begin[last], dtype=np.bool_)
        reasons[:n] = np.where(follows, reasons[last], START)
        return reasons

    # Shades

    def _shades(self, runs: Runs, low: int, high: int) -> tuple[Shade, ...]:
        bins = min(BINS, high - low)
        edges = [low + (high - low) * k // bins for k in range(bins + 1)]
        busy = np.diff(runs.busy(np.array(edges, dtype=object)), axis=0)
        names = [
            (int(port), self._einsum(self.streams[int(stream)][0]), self._kind(int(stream)))
            for port, stream in zip(runs.port.tolist(), runs.stream.tolist(), strict=True)
        ]
        found = []
        for k, row in enumerate(busy.tolist()):
            sums: dict[tuple[int, str, Kind], int] = {}
            for name, time in zip(names, row, strict=True):
                if time:
                    sums[name] = sums.get(name, 0) + time
            by_lane: dict[int, list[tuple[str, Kind, Number]]] = {}
            for (lane, einsum, kind), time in sums.items():
                by_lane.setdefault(lane, []).append((einsum, kind, self._number(time)))
            start, finish = self._number(edges[k]), self._number(edges[k + 1])
            found += [Shade(lane, start, finish, tuple(b)) for lane, b in sorted(by_lane.items())]
        return tuple(found)

    # Memories

    def _levels(self, start: Number, finish: Number, limit: int) -> tuple[Level, ...]:
        found = []
        for memory in self.report.occupancy:
            steps: tuple[tuple[Number, Number], ...] | None
            peak: Number | None
            exact = True
            try:
                peak = memory.peak
                every = memory.steps_between(start, finish)
                exact = len(every) <= max(limit, 2 * BINS)
                steps = tuple(every) if exact else _coarse(every, start, finish)
            except UnsupportedError:
                peak = steps = None
            found.append(Level(memory.component, memory.stages, memory.size, peak, steps, exact))
        return tuple(found)


def _coarse(steps: Pairs, start: Number, finish: Number) -> tuple[tuple[Number, Number], ...]:
    """Few steps of many: the highest in each of some bins."""
    width = Fraction(finish - start) / BINS
    found: list[tuple[Number, Number]] = []
    at, level = 0, steps[0][1]
    for k in range(BINS):
        begin, end = start + k * width, start + (k + 1) * width
        top = level
        while at < len(steps) and steps[at][0] < end:
            level = steps[at][1]
            top = max(top, level)
            at += 1
        found.append((number(Fraction(begin)), top))
    return tuple(found)


def _linked(
    bars: Sequence[Bar],
    why: Sequence[WaitedFor | None],
    on_path: Mapping[int, Step],
) -> Iterator[Bar]:
    """The bars with what they waited for, and which of them that was."""
    ends: dict[Number, list[int]] = {}
    for place, bar in enumerate(bars):
        ends.setdefault(bar.finish, []).append(place)
    for place, (bar, waited) in enumerate(zip(bars, why, strict=True)):
        critical = place in on_path
        reason = on_path[place].waited_for if critical else waited
        ready = [k for k in ends.get(bar.start, ()) if k != place]
        same = [k for k in ready if bars[k].lane == bar.lane]
        other = [k for k in ready if bars[k].einsum != bar.einsum] or ready
        if reason == "port":
            after = same[0] if same else None
        elif reason is None:
            after = None
        else:
            before = [k for k in other if k in on_path] if critical else other
            after = next(iter(before or other), None)
        slack = 0 if critical else bar.slack  # what is on a critical path cannot wait
        yield replace(bar, waited_for=reason, after=after, critical=critical, slack=slack)


# What repeats -------------------------------------------------------------------------------------

_Fold = tuple[int, int, int, int]
"""(first segment, last one, count, period)"""


def _folded(runs: Runs, low: int, high: int, limit: int) -> tuple[list[_Piece], tuple[_Fold, ...]]:
    """The segments of a window, with what repeats once: as far inwards as there is room for."""
    best: tuple[list[_Piece], tuple[_Fold, ...]] = [_Piece(low, high, 1)], ()
    for depth in range(1, len(runs.rate) + 1):
        pieces: list[_Piece] = []
        folds: list[_Fold] = []
        _fold(runs, (low, high), depth, limit, 1, pieces, folds)
        if len(pieces) > MOST_SEGMENTS:
            break
        # Outer ones first: of two around the same segments, the one that was closed last.
        order = sorted(range(len(folds)), key=lambda k: (folds[k][0], -folds[k][1], -k))
        best = pieces, tuple(folds[k] for k in order)
    return best


def _fold(
    runs: Runs,
    window: tuple[int, int],
    depth: int,
    limit: int,
    times: int,
    pieces: list[_Piece],
    folds: list[_Fold],
) -> None:
    low, high = window
    runs = runs.seen(low, high)
    again = bool((runs.count > 1).any())
    if not depth or not again or runs.number(low, high) <= max(limit // 8, 1):
        pieces.append(_Piece(low, high, times))
        return
    stretches = runs.stretches(low, high, PERIODS)
    if not stretches:
        _fold(runs.opened(low, high), window, depth - 1, limit, times, pieces, folds)
        return
    opened = runs.opened(low, high) if depth > 1 else runs
    at = low
    for stretch in stretches:
        if at < stretch.start:
            _fold(opened, (at, stretch.start), depth - 1, limit, times, pieces, folds)
        first = len(pieces)
        end = stretch.start + stretch.period
        inner = runs.opened(stretch.start, end)
        _fold(inner, (stretch.start, end), depth - 1, limit, times * stretch.count, pieces, folds)
        folds.append((first, len(pieces) - 1, stretch.count, stretch.period))
        at = stretch.start + stretch.count * stretch.period
    if at < high:
        _fold(opened, (at, high), depth - 1, limit, times, pieces, folds)


# Several ------------------------------------------------------------------------------------------


def compare(
    items: Mapping[str, Report | Roofline] | Sequence[Report | Roofline | Timeline],
    *,
    limit: int = BARS,
) -> Stack:
    """Several mappings, or schedules of one, below each other on one axis of time.

    Parameters
    ----------
    items
        Reports, and `Roofline` for AccelForge's accounting: each Einsum's components side by side,
        one Einsum after the other. With their titles, or in a list.
    limit
        So many bars are shown one by one for each; of more, it is shown how busy the ports are.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> spec = polylat.load(*files)
    >>> stack = polylat.compare(
    ...     {
    ...         "AccelForge": polylat.roofline(spec),
    ...         "sequential": polylat.analyze(spec),
    ...         "background": polylat.analyze(spec, background="o2"),
    ...     }
    ... )
    >>> [(line.title, line.latency) for line in stack.timelines]
    [('AccelForge', 32768), ('sequential', 32256), ('background', 31744)]
    """
    given: Any = items
    if isinstance(given, Mapping):
        titled: list[tuple[str | None, Any]] = list(given.items())
    else:
        several = isinstance(given, Iterable)
        titled = [(None, item) for item in (given if several else [given])]
    if not titled:
        raise OptionError("nothing to compare", mend="give at least one report")
    return Stack(tuple(_line(title, item, limit) for title, item in titled))


def _line(title: str | None, item: Any, limit: int) -> Timeline:
    from polylat.accounting import Roofline

    if title is not None:
        title = normalize_title(title)
    if isinstance(item, Report):
        return timeline(item, fold=False, limit=limit, title=title)
    if isinstance(item, Roofline):
        return _accounting("AccelForge" if title is None else title, item)
    if isinstance(item, Timeline):
        return item if title is None else replace(item, title=title)
    raise OptionError(
        f"cannot compare a {type(item).__name__}", mend="give reports, rooflines or timelines"
    )


def _accounting(title: str, roofline: Roofline) -> Timeline:
    """AccelForge's accounting as a timeline: a component per lane, Einsums back to back."""
    names = roofline.components
    total = {
        name: number(
            sum((Fraction(b.get(name, 0)) for b in roofline.per_einsum.values()), Fraction(0))
        )
        for name in names
    }
    lanes = tuple(Lane(name, "", (), total[name]) for name in names)
    bars: list[Bar] = []
    now: Number = 0
    for einsum, busy in roofline.per_einsum.items():
        slowest = roofline.bottleneck.get(einsum) if busy else None
        for lane, name in enumerate(names):
            time = busy.get(name, 0)
            if time:
                part = Part(None, "busy", time)
                critical = name == slowest
                bars.append(
                    Bar(lane, einsum, (), "foreground", (part,), now, time, critical=critical)
                )
        now = number(Fraction(now) + Fraction(max(busy.values(), default=0)))
    segment = Segment(0, roofline.latency, 1, tuple(bars), ())
    return Timeline(
        title, 0, roofline.latency, roofline.latency, lanes, tuple(roofline.per_einsum), (segment,)
    )
