"""Pictures as boxes, lines and labels in a plane, for SVG and Matplotlib."""

from __future__ import annotations

from dataclasses import dataclass

from polylat.analysis.timeline import Kind

__all__ = ["Box", "Item", "Label", "Polyline", "Scene"]


@dataclass(frozen=True)
class Box:
    """A rectangle.

    Parameters
    ----------
    x, y, width, height
        The upper left corner and the size, in pixels.
    einsum
        The number of the Einsum that determines the color; None for the first color.
    kind
        The kind of the accesses, which determines the texture.
    critical
        Whether it is on the critical path.
    words
        The hover text.
    shade
        Whether it shows how busy a port is, instead of a single bar.
    """

    x: float
    y: float
    width: float
    height: float
    einsum: int | None
    kind: Kind | None
    critical: bool
    words: str
    shade: bool = False


@dataclass(frozen=True)
class Polyline:
    """A line through points.

    Parameters
    ----------
    points
        (x, y) in pixels.
    style
        Its role, such as ``"grid"``, ``"critical"`` or ``"wait flow"``.
    """

    points: tuple[tuple[float, float], ...]
    style: str


@dataclass(frozen=True)
class Label:
    """A text.

    Parameters
    ----------
    x, y
        The position of the anchor on the base line, in pixels.
    text
        The text.
    anchor
        ``"start"``, ``"middle"`` or ``"end"``.
    style
        Its role, such as ``"lane"``, ``"tick"`` or ``"bar e0"``.
    """

    x: float
    y: float
    text: str
    anchor: str
    style: str


Item = Box | Polyline | Label


@dataclass(frozen=True)
class Scene:
    """A picture.

    Parameters
    ----------
    width, height
        Its size in pixels.
    items
        The items in the order in which they are painted.
    words
        A description for screen readers.
    """

    width: float
    height: float
    items: tuple[Item, ...]
    words: str
