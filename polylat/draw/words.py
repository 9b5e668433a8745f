"""What a picture says about its parts, in words."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from polylat.draw.style import KINDS, WAITS
from polylat.exact import Number
from polylat.report import WaitedFor
from polylat.text import show
from polylat.timeline import Bar, Lane, Level, Shade, Timeline

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
    """A tile iteration, such as ``m=0 n1=3``."""
    return " ".join(f"{variable}={index}" for variable, index in tile)


def bar_words(bar: Bar, lane: Lane) -> str:
    """What a bar is, over several lines: access, times, slack, what it waited for."""
    parts = [
        " ".join(w for w in (part.tensor, part.action, show(part.duration)) if w)
        for part in bar.parts
    ]
    lines = [
        " ".join(w for w in (bar.einsum, tile_words(bar.tile)) if w),
        f"{lane.name}, {KINDS[bar.kind]}: {', '.join(parts)}",
        f"{show(bar.start)} to {show(bar.finish)}, duration {show(bar.duration)}",
        f"waited for {WAITS[bar.waited_for]}",
    ]
    if bar.critical:
        lines[-1] += "; on the critical path"
    if bar.slack is not None:
        lines.append(f"slack {show(bar.slack)}")
    elif bar.tile:
        lines.append("slack not known")
    return "\n".join(lines)


_SHORT = {"fill": " (prefetch)", "foreground": "", "background": " (background)"}


def shade_words(shade: Shade, lane: Lane) -> str:
    """What a shade is."""
    total = shade.finish - shade.start
    parts = [
        f"{einsum}{_SHORT[kind]} {float(time / total):.0%}" for einsum, kind, time in shade.busy
    ]
    when = f"{show(shade.start)} to {show(shade.finish)}"
    return f"{lane.name}, busy from {when}:\n{', '.join(parts)}"


def bounds_words(line: Timeline) -> str:
    """Latency and bounds in one line."""
    parts = [f"latency {show(line.latency)}"]
    parts += [f"{name} {show(time)}" for name, time in line.bounds]
    return " · ".join(parts)


def heading(line: Timeline, letters: float) -> tuple[list[str], list[str]]:
    """Lines of the title, of at most so many letters, and of latency and bounds, in smaller ones."""
    most = max(int(letters), 1)
    whole = bounds_words(line).replace(" ", "\N{NO-BREAK SPACE}")
    words = wrap(whole.replace("\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}", " · "), most * 4 // 3)
    words = [text.strip(" ·").replace("\N{NO-BREAK SPACE}", " ") for text in words]
    return wrap(line.title, most), words


def level_words(level: Level, top: Number | None) -> str:
    """The peak and the size of a memory, of which up to `top` bits are in sight."""
    if level.peak is None:
        return "occupancy not known: not periodic"
    if level.size is None:
        return f"peak {show(level.peak)} bits, no limit"
    off = ": off the scale" if top is not None and level.size > top else ""
    return f"peak {show(level.peak)} bits, size {show(level.size)}{off}"


def step_words(
    level: Level, start: Number, finish: Number, bits: Number, top: Number | None
) -> str:
    """What a memory holds for a time."""
    most = "" if level.exact else "at most "
    when = f"{show(start)} to {show(finish)}"
    return f"{level.name}, {when}:\n{most}{show(bits)} bits\n{level_words(level, top)}"


def idle_words(bar: Bar, since: Number, lane: Lane) -> str:
    """What a port that is idle waits for."""
    when = f"{show(since)} to {show(bar.start)}"
    return f"{lane.name}, idle from {when}:\n{bar.einsum} {wait_words(bar.waited_for or 'flow')}"


def wait_words(why: WaitedFor) -> str:
    """What is waited for, for a legend."""
    return f"waits for {WAITS[why]} ({why})"
