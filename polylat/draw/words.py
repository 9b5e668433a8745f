"""What a picture says about its parts, in words."""

from __future__ import annotations

from collections.abc import Sequence

from polylat.draw.style import KINDS, WAITS
from polylat.text import show
from polylat.timeline import Bar, Lane, Shade, Timeline

__all__ = ["bar_words", "bounds_words", "shade_words", "tile_words"]


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
