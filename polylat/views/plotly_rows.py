"""The positions of the rows of one timeline in a Plotly figure, from its heading to its memories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polylat.analysis.timeline import TimelineData
from polylat.views.captions import heading
from polylat.views.timeline_layout import BoundMark, RepeatBracket, brackets, marks, segment_spans

__all__ = ["BOUND", "BRACKET", "HEAD", "MEMORY", "NARROW", "NOTE", "PanelRows"]

NARROW = 280
"""Width of the time axis on a phone, in pixels: counts and names of bounds must fit."""

_LETTERS = 52
"""Largest number of letters in a line of the title."""

_LANE, MEMORY, _TICKS = 30, 34, 26
"""Heights of a lane, of a memory, and of the ticks between both, in pixels."""

HEAD, NOTE, BRACKET, BOUND = 18, 14, 15, 12
"""Heights of lines of the title and of notes, of brackets, and of names of bounds, in pixels."""


@dataclass(frozen=True)
class PanelRows:
    """The positions of the rows of a timeline, in pixels from above.

    Parameters
    ----------
    line
        The timeline.
    titles, notes
        The lines of its heading.
    brackets, marks
        Its folded repetitions and its bounds, in rows above the lanes.
    top, above, lanes, axis
        Where the heading, the brackets, the lanes and the axis of time start.
    memories
        Where each memory starts.
    bottom
        Where the last row ends.
    """

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
    def of(cls, line: TimelineData, top: float) -> PanelRows:
        """Place the rows of a timeline below each other.

        Parameters
        ----------
        line
            The timeline.
        top
            Where it starts, in pixels from above.

        Returns
        -------
        PanelRows
            The positions.
        """
        titles, notes = heading(line, _LETTERS)
        narrow = segment_spans(line, 0, NARROW, line.finish)
        shown, bounds = brackets(line, narrow, NARROW), marks(line, narrow)
        above = top + HEAD * len(titles) + NOTE * len(notes) + 6
        lanes = above + BRACKET * (max((b.row for b in shown), default=-1) + 1)
        lanes += BOUND * (max((m.row for m in bounds), default=-1) + 1)
        axis = lanes + _LANE * max(len(line.lanes), 1)
        count = len(line.segments[0].levels) if line.segments else 0
        each = MEMORY + NOTE + 6
        memories = [axis + _TICKS + each * k for k in range(count)]
        bottom = axis + _TICKS + each * count
        return cls(line, titles, notes, shown, bounds, top, above, lanes, axis, memories, bottom)
