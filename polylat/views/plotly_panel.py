"""The coordinates of one timeline in a Plotly figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from polylat.numbers import Number, to_float
from polylat.views.plotly_rows import PanelRows
from polylat.views.timeline_layout import segment_spans, x_of_time

__all__ = ["BAR", "BROKEN", "Panel", "hover_text"]

_USUAL = 640
"""Usual width of the time axis, in pixels: decides which bars and waits get a text."""

BROKEN = 1000
"""Length of a time axis with breaks."""

BAR = 0.7
"""Height of a bar, as a fraction of that of a lane."""


class Panel:
    """One timeline: the coordinates of its lanes, and of its memories on the same axis of time.

    Parameters
    ----------
    plotly
        The module ``plotly.graph_objects``.
    rows
        The timeline and the positions of its rows.
    einsums
        The Einsums in the order of their colors.
    palette
        The colors of everything else.
    high
        The height of the figure without margins, in pixels.
    first
        The numbers of the first axes of time and of lanes.
    left
        The width of the left margin, in pixels.
    last
        Where the axis of time ends.
    """

    def __init__(
        self,
        plotly: Any,
        rows: PanelRows,
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
        self.x = _axis_name("x", across)
        self.y = _axis_name("y", down)
        self.levels = [_axis_name("y", down + 1 + k) for k in range(len(rows.memories))]
        self.broken = len(self.line.segments) != 1
        self.spans = segment_spans(self.line, 0, BROKEN, self.line.finish)
        duration = to_float(last - self.line.start) or 1.0
        self.length = BROKEN if self.broken else duration
        self.pixel = self.length / _USUAL

    def at(self, number: int, time: Number) -> float:
        """Convert a time in a segment to a coordinate on the time axis.

        Parameters
        ----------
        number
            The index of the segment.
        time
            The time.

        Returns
        -------
        float
            The coordinate.
        """
        segment = self.line.segments[number]
        if self.broken:
            return x_of_time(segment, self.spans[number], time)
        return to_float(min(max(time, segment.start), segment.finish))

    def up(self, pixels: float) -> float:
        """Convert pixels from above to Plotly's paper coordinate.

        Parameters
        ----------
        pixels
            The distance from above.

        Returns
        -------
        float
            The coordinate, from 0 (below) to 1 (above).
        """
        return 1 - pixels / self.high


def hover_text(words: str) -> str:
    """Return a hover text in Plotly's subset of HTML.

    Parameters
    ----------
    words
        The lines of the text.

    Returns
    -------
    str
        The text, escaped.
    """
    return escape(words).replace("\n", "<br>")


def _axis_name(letter: str, number: int) -> str:
    """The name of an axis: ``y``, ``y2``, ``y3``."""
    return letter if number == 1 else f"{letter}{number}"
