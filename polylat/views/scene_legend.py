"""Lay out the legend of timelines."""

from __future__ import annotations

from collections.abc import Iterator, Set

from polylat.analysis.timeline import Kind, StackData
from polylat.views.captions import wait_words
from polylat.views.scene import Box, Item, Label, Polyline
from polylat.views.scene_lanes import wait_tick
from polylat.views.style import KINDS
from polylat.views.timeline_layout import LETTER

__all__ = ["legend_items"]


def legend_items(
    stack: StackData, left: float, y: float, width: float, drawn: Set[str]
) -> Iterator[Item]:
    """Lay out the legend: Einsums, textures and lines that occur in the picture.

    Parameters
    ----------
    stack
        The timelines.
    left, y
        The upper left corner of the legend, in pixels.
    width
        The width of the picture, in pixels.
    drawn
        The styles of the lines in the picture.

    Yields
    ------
    Item
        Boxes, lines and labels.
    """
    x = left
    kinds = {bar.kind for line in stack.timelines for bar in line.bars}
    kinds |= {
        k for line in stack.timelines for s in line.segments for h in s.shades for _, k, _ in h.busy
    }
    entries: list[tuple[str, int | None, Kind | None]] = [
        (name, k, "foreground") for k, name in enumerate(stack.einsums)
    ]
    entries += [
        (words, 0, kind) for kind, words in KINDS.items() if kind in kinds and kind != "foreground"
    ]
    lines = {"critical path": "critical"}
    for why in ("flow", "barrier", "capacity", "port"):
        if f"wait {why}" in drawn:
            lines[wait_words(why)] = f"wait {why}"
    for text, einsum, kind in [*entries, *((text, None, None) for text in lines)]:
        entry_width = len(text) * LETTER + 30
        if x + entry_width > width and x > left:
            x, y = left, y + 18
        if text == wait_words("port"):
            yield Polyline(((x, y + 7), (x + 14, y + 7)), "repeat")
            yield wait_tick(x + 6, y + 7)
        elif kind is None:
            yield Polyline(((x, y + 5), (x + 14, y + 5)), lines[text])
        else:
            yield Box(x, y, 14, 10, einsum, kind, False, text)
        yield Label(x + 19, y + 9, text, "start", "legend")
        x += entry_width
