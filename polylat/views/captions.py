"""Caption the parts of pictures: hover texts, headings and legends that all renderers share."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from polylat.analysis.timeline import (
    Bar,
    Kind,
    Lane,
    OccupancyLevel,
    TimelineData,
    UtilizationSpan,
)
from polylat.numbers import Number, format_number
from polylat.schedule.reasons import Wait
from polylat.views.style import KINDS, WAIT_REASONS

__all__ = [
    "bar_words",
    "bounds_words",
    "heading",
    "idle_words",
    "level_words",
    "shade_words",
    "step_words",
    "tile_words",
    "wait_words",
]


def tile_words(tile: Sequence[tuple[str, int]]) -> str:
    """Write a tile iteration as ``m=0 n1=3``.

    Parameters
    ----------
    tile
        (rank variable, index) pairs.

    Returns
    -------
    str
        The pairs, separated by blanks.
    """
    return " ".join(f"{variable}={index}" for variable, index in tile)


def bar_words(bar: Bar, lane: Lane) -> str:
    """Describe a bar: its accesses, times, slack, and what it waited for.

    Parameters
    ----------
    bar
        The bar.
    lane
        Its lane.

    Returns
    -------
    str
        Several lines.
    """
    parts = [
        " ".join(w for w in (part.tensor, part.action, format_number(part.duration)) if w)
        for part in bar.parts
    ]
    lines = [
        " ".join(w for w in (bar.einsum, tile_words(bar.tile)) if w),
        f"{lane.name}, {KINDS[bar.kind]}: {', '.join(parts)}",
        f"{format_number(bar.start)} to {format_number(bar.finish)}, duration {format_number(bar.duration)}",
        f"waited for {WAIT_REASONS[bar.waited_for]}",
    ]
    if bar.critical:
        lines[-1] += "; on the critical path"
    if bar.slack is not None:
        lines.append(f"slack {format_number(bar.slack)}")
    elif bar.tile:
        lines.append("slack not determined")
    return "\n".join(lines)


def shade_words(shade: UtilizationSpan, lane: Lane) -> str:
    """Describe a shade: its times, and the shares of the Einsums that use the port.

    Parameters
    ----------
    shade
        The shade.
    lane
        Its lane.

    Returns
    -------
    str
        Two lines.
    """
    total = shade.finish - shade.start
    parts = [
        f"{_user_words(einsum, kind)} {float(time / total):.0%}"
        for einsum, kind, time in shade.busy
    ]
    when = f"{format_number(shade.start)} to {format_number(shade.finish)}"
    return f"{lane.name}, busy from {when}:\n{', '.join(parts)}"


def _user_words(einsum: str, kind: Kind) -> str:
    return einsum if kind == "foreground" else f"{einsum} ({KINDS[kind]})"


def bounds_words(line: TimelineData) -> str:
    """Write the latency and its bounds in one line, and whether the critical path is missing.

    Parameters
    ----------
    line
        The timeline.

    Returns
    -------
    str
        Such as ``"latency 31,744 · resource bound 28,672"``.
    """
    parts = [f"latency {format_number(line.latency)}"]
    parts += [f"{name} {format_number(time)}" for name, time in line.bounds]
    if not line.path_known:
        parts.append("critical path not determined")
    return " · ".join(parts)


def heading(line: TimelineData, letters: float) -> tuple[list[str], list[str]]:
    """Wrap the title of a timeline, and its latency and bounds.

    Parameters
    ----------
    line
        The timeline.
    letters
        Largest number of letters in a line of the title; letters of latency and bounds are smaller
        by a quarter.

    Returns
    -------
    tuple[list[str], list[str]]
        Lines of the title, and lines of latency and bounds.
    """
    most = max(int(letters), 1)
    # Lines are broken between figures only.
    unbroken = bounds_words(line).replace(" ", "\N{NO-BREAK SPACE}")
    notes = wrap(unbroken.replace("\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}", " · "), most * 4 // 3)
    notes = [text.strip(" ·").replace("\N{NO-BREAK SPACE}", " ") for text in notes]
    return wrap(line.title, most), notes


def level_words(level: OccupancyLevel, top: Number | None) -> str:
    """Write the peak occupancy and the size of a memory.

    Parameters
    ----------
    level
        The memory.
    top
        The number of bits that the height of its picture represents; None if there is no picture.

    Returns
    -------
    str
        One line, which also says whether the size is off the scale.
    """
    if level.peak is None:
        return "occupancy not determined: not periodic"
    if level.size is None:
        return f"peak {format_number(level.peak)} bits, no limit"
    off = ": off the scale" if top is not None and level.size > top else ""
    return f"peak {format_number(level.peak)} bits, size {format_number(level.size)}{off}"


def step_words(
    level: OccupancyLevel, start: Number, finish: Number, bits: Number, top: Number | None
) -> str:
    """Describe the occupancy of a memory during an interval in which it is constant.

    Parameters
    ----------
    level
        The memory.
    start, finish
        The interval, in the architecture's unit of time.
    bits
        The occupancy.
    top
        The number of bits that the height of its picture represents; None if there is no picture.

    Returns
    -------
    str
        Several lines.
    """
    most = "" if level.exact else "at most "
    when = f"{format_number(start)} to {format_number(finish)}"
    return f"{level.name}, {when}:\n{most}{format_number(bits)} bits\n{level_words(level, top)}"


def idle_words(bar: Bar, since: Number, lane: Lane) -> str:
    """Describe an interval in which a port is idle.

    Parameters
    ----------
    bar
        The bar that ends the interval.
    since
        The time at which the port becomes idle.
    lane
        The lane of the port.

    Returns
    -------
    str
        Two lines.
    """
    when = f"{format_number(since)} to {format_number(bar.start)}"
    return f"{lane.name}, idle from {when}:\n{bar.einsum} {wait_words(bar.waited_for or 'flow')}"


def wait_words(why: Wait) -> str:
    """Write a reason of a wait, for a legend.

    Parameters
    ----------
    why
        The reason.

    Returns
    -------
    str
        Such as ``"waits for data (flow)"``.
    """
    return f"waits for {WAIT_REASONS[why]} ({why})"
