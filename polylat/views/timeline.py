"""Timelines that draw themselves, alone or several below each other on one axis of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylat.analysis.results import Results
from polylat.analysis.roofline import Roofline
from polylat.analysis.timeline import Bar, BarPart, Lane, StackData, TimelineData, TimelineSegment
from polylat.analysis.timeline_builder import TimelineBuilder
from polylat.errors import OptionError
from polylat.files import as_path, extension, report_write_errors, write_text
from polylat.numbers import Number, reduce_number
from polylat.spec.arguments import normalize_flag, normalize_limit, normalize_title
from polylat.spec.pairs import pair_names
from polylat.views import matplotlib_figure, plotly_figure
from polylat.views.page import timeline_page
from polylat.views.svg import timeline_svg
from polylat.views.terminal import timeline_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as PlotlyFigure

__all__ = ["PICTURES", "Timeline", "TimelineStack", "timeline", "timelines"]

PICTURES = (".svg", ".pdf", ".png", ".html")
"""File extensions of pictures."""

_BARS = 400
"""Largest number of bars that are shown one by one; above it, repetitions are folded."""


class _Drawable:
    """Base of values that draw themselves as timelines on one axis of time."""

    def _stack(self) -> StackData:
        raise NotImplementedError

    def to_svg(self, *, width: int = 1000, dark: bool | None = None) -> str:
        """Draw as SVG.

        Parameters
        ----------
        width
            Width in pixels, from 200 to 10,000.
        dark
            Colors for a dark background; None: as the reader's screen prefers.

        Returns
        -------
        str
            The picture.

        Raises
        ------
        OptionError
            The width is out of range.
        """
        return timeline_svg(self._stack(), width=_width(width, 200, 10_000, "pixels"), dark=dark)

    def to_matplotlib(self, *, width: float = 10.0, dark: bool = False) -> Figure:
        """Draw with Matplotlib.

        Parameters
        ----------
        width
            Width in inches, from 2 to 100.
        dark
            Colors for a dark background.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.

        Raises
        ------
        MissingExtraError
            Matplotlib is not installed: it comes with the extra ``plot``.
        OptionError
            The width is out of range.
        """
        return matplotlib_figure.figure(
            self._stack(), width=_width(width, 2, 100, "inches"), dark=dark
        )

    def to_plotly(self, *, dark: bool | None = None) -> PlotlyFigure:
        """Draw with Plotly: zoom, and hover over a bar for its description.

        Parameters
        ----------
        dark
            Dark or light background; None: transparent, in colors readable on either.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.

        Raises
        ------
        MissingExtraError
            Plotly is not installed: it comes with the extra ``plot``.
        """
        return plotly_figure.figure(self._stack(), dark=dark)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write a picture with Matplotlib (.svg, .pdf, .png), or a page (.html).

        Parameters
        ----------
        path
            The file.
        **options
            As for `to_matplotlib`.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OptionError
            The name has another extension, or the file cannot be written.
        """
        path = as_path(path)
        if extension(path, PICTURES, "pictures") == ".html":
            write_text(path, self.to_html())
        else:
            with report_write_errors(path):
                matplotlib_figure.save(self.to_matplotlib(**options), path)
        return path

    def to_html(self) -> str:
        """Draw as one self-contained page, which works offline, with zoom and descriptions of bars.

        Returns
        -------
        str
            HTML.
        """
        return timeline_page(self._stack())

    def _repr_html_(self) -> str:
        return self.to_svg()

    def _repr_svg_(self) -> str:
        return self.to_svg()


@dataclass(frozen=True)
class Timeline(TimelineData, _Drawable):
    """When every port serves which access, and how full the memories are.

    Parameters
    ----------
    title, start, finish, latency, lanes, einsums, segments, repeats, bounds
        As in `polylat.analysis.timeline.TimelineData`.
    """

    def _stack(self) -> StackData:
        return StackData((self,))

    def to_text(self, *, width: int = 100) -> str:
        """Draw in characters.

        Parameters
        ----------
        width
            Largest number of columns, from 20 to 1,000.

        Returns
        -------
        str
            The lines.

        Raises
        ------
        OptionError
            The width is out of range.
        """
        return timeline_text(self, width=int(_width(width, 20, 1_000, "columns")))

    def __str__(self) -> str:
        return self.to_text()


@dataclass(frozen=True)
class TimelineStack(StackData, _Drawable):
    """Timelines below each other, on one axis of time.

    Parameters
    ----------
    timelines, title
        As in `polylat.analysis.timeline.StackData`.
    """

    def _stack(self) -> StackData:
        return self


def _width(value: Any, least: int, most: int, unit: str) -> float:
    """Return a valid width; raise an error for any other."""
    if isinstance(value, Real) and least <= float(value) <= most:
        return float(value)
    raise OptionError(
        f"width={value!r}: pictures are from {least} to {most:,} {unit} wide",
        fix="give a width in between",
    )


def timeline(
    builder: TimelineBuilder,
    *,
    window: tuple[Number, Number] | None = None,
    fold: bool | None = None,
    limit: int = _BARS,
    title: str | None = None,
) -> Timeline:
    """Build the timeline of a schedule, ready to be drawn.

    Parameters
    ----------
    builder
        The schedule.
    window
        (from, to): only accesses served between these times, until the end if that is earlier
        (`Timeline.finish`); None for all.
    fold
        Whether repetitions are shown once, with their number. None: if there are more than
        `limit` bars.
    limit
        Largest number of bars that a segment shows one by one; above it, a segment shows only how
        busy the ports are. More than a million bars are an error.
    title
        The title; None: the order and the write-backs in the background.

    Returns
    -------
    Timeline
        The timeline.

    Raises
    ------
    OptionError
        The window is empty, or not within the schedule.
    """
    name = _titled(builder.results) if title is None else normalize_title(title)
    if fold is not None:
        fold = normalize_flag("fold", fold)
    data = builder.timeline(window, fold, name, normalize_limit(limit))
    return Timeline(**{f.name: getattr(data, f.name) for f in fields(data)})


def _titled(results: Results) -> str:
    parts = [f"order {results.order}"]
    if results.background and not results.keeps_barriers:
        pairs = ", ".join(pair_names(results.background))
        parts.append(f"{pairs} in the background")
    return ", ".join(parts)


def timelines(
    items: Mapping[str, Results | Roofline] | Sequence[Results | Roofline | Timeline],
    *,
    limit: int = _BARS,
) -> TimelineStack:
    """Draw several mappings, or schedules of one, below each other on one axis of time.

    Parameters
    ----------
    items
        Reports, timelines, and `Roofline` for AccelForge's accounting: each Einsum's components
        side by side, one Einsum after the other. A mapping from titles to these, or a list.
    limit
        Largest number of bars that a timeline shows one by one; above it, it shows only how busy
        the ports are.

    Returns
    -------
    TimelineStack
        The timelines, ready to be drawn.

    Raises
    ------
    OptionError
        There is nothing to draw, or an item is something else.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> spec = polylat.load(*files)
    >>> stack = polylat.timelines(
    ...     {
    ...         "AccelForge": polylat.roofline(spec),
    ...         "sequential": polylat.analyze(spec),
    ...         "background": polylat.analyze(spec, background="o2"),
    ...     }
    ... )
    >>> [(line.title, line.latency) for line in stack.timelines]
    [('AccelForge', 32768), ('sequential', 32256), ('background', 31752)]
    """
    given: Any = items
    if isinstance(given, Mapping):
        titled: list[tuple[str | None, Any]] = list(given.items())
    else:
        several = isinstance(given, Iterable)
        titled = [(None, item) for item in (given if several else [given])]
    if not titled:
        raise OptionError("nothing to draw", fix="give at least one report")
    return TimelineStack(tuple(_line(title, item, limit) for title, item in titled))


def _line(title: str | None, item: Any, limit: int) -> Timeline:
    if title is not None:
        title = normalize_title(title)
    if isinstance(item, Results):
        return timeline(TimelineBuilder(item), fold=False, limit=limit, title=title)
    if isinstance(item, Roofline):
        return _accounting("AccelForge" if title is None else title, item)
    if isinstance(item, Timeline):
        return item if title is None else replace(item, title=title)
    raise OptionError(
        f"cannot draw a {type(item).__name__}", fix="give reports, rooflines or timelines"
    )


def _accounting(title: str, roofline: Roofline) -> Timeline:
    """Return AccelForge's accounting as a timeline: a lane per component, Einsums in sequence."""
    names = roofline.components
    total = {
        name: reduce_number(
            sum((Fraction(b.get(name, 0)) for b in roofline.per_einsum.values()), Fraction(0))
        )
        for name in names
    }
    lanes = tuple(Lane(name, "", "", total[name]) for name in names)
    bars: list[Bar] = []
    now: Number = 0
    for einsum, busy in roofline.per_einsum.items():
        slowest = roofline.bottleneck.get(einsum) if busy else None
        for lane, name in enumerate(names):
            time = busy.get(name, 0)
            if time:
                part = BarPart(None, "busy", time)
                critical = name == slowest
                bars.append(
                    Bar(lane, einsum, (), "foreground", (part,), now, time, critical=critical)
                )
        now = reduce_number(Fraction(now) + Fraction(max(busy.values(), default=0)))
    segment = TimelineSegment(0, roofline.latency, 1, tuple(bars), ())
    return Timeline(
        title, 0, roofline.latency, roofline.latency, lanes, tuple(roofline.per_einsum), (segment,)
    )
