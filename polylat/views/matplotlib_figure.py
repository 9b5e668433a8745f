"""Render scenes with Matplotlib, as vector graphics for papers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylat.analysis.timeline import StackData
from polylat.errors import MissingExtraError
from polylat.locks import SharedLock
from polylat.views.scene import Box, Label, Polyline
from polylat.views.style import CRITICAL, DARK, LETTERS_ON, LIGHT, einsum_color
from polylat.views.timeline_scene import timeline_scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["figure", "figure_class", "save"]

_PIXELS = 100
"""Pixels of the scene per inch."""

_POINTS = 72 / _PIXELS
"""Points per pixel of the scene."""

_SAVING = SharedLock()

_DASHES: dict[str, Any] = {
    "bound": (0, (4, 3)),
    "size": (0, (2, 3)),
    "barrier": (0, (6, 3)),
    "capacity": (0, (1, 3)),
}

_HATCHES = {"background": "//////", "fill": "....", "write_back": "\\\\\\\\"}


def figure_class() -> type[Figure]:
    """Return Matplotlib's class of figures that belong to no window.

    Returns
    -------
    type
        The class.

    Raises
    ------
    MissingExtraError
        Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "Matplotlib is not installed", fix="pip install 'polylat[plot]'"
        ) from error
    return Figure


def figure(stack: StackData, *, width: float = 10.0, dark: bool = False) -> Figure:
    """Draw timelines as a figure that belongs to no window.

    Parameters
    ----------
    stack
        The timelines.
    width
        Width in inches.
    dark
        Colors for a dark background.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    MissingExtraError
        Matplotlib is not installed.
    """
    picture = timeline_scene(stack, width * _PIXELS)
    palette = DARK if dark else LIGHT
    result = figure_class()(figsize=(width, picture.height / _PIXELS), facecolor=palette["paper"])
    axes = result.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    axes.axis("off")
    for item in picture.items:
        if isinstance(item, Box):
            _box(axes, item, palette["paper"], palette["ink"])
        elif isinstance(item, Label):
            _label(axes, item, palette)
        else:
            _line(axes, item, palette)
    return result


def save(drawn: Figure, path: Path) -> None:
    """Write a figure reproducibly: the same bytes every time, and letters as text.

    Parameters
    ----------
    drawn
        The figure.
    path
        The file; its ending determines the format.
    """
    import matplotlib as mpl

    kind = path.suffix.lower()
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(kind, {})
    # Matplotlib's settings belong to all threads.
    with (
        _SAVING,
        mpl.rc_context({"svg.hashsalt": "polylat", "svg.fonttype": "none", "pdf.fonttype": 42}),
    ):
        drawn.savefig(path, metadata=metadata, dpi=2 * _PIXELS)


def _box(axes: Axes, box: Box, paper: str, ink: str) -> None:
    from matplotlib.patches import Rectangle

    corner_and_size = (box.x, box.y), max(box.width, 0.4), box.height
    # Matplotlib draws textures in the color of the edge; a critical box gets its frame separately.
    letters = LETTERS_ON[(box.einsum or 0) % len(LETTERS_ON)]
    edges = {"background": paper, "fill": letters, "write_back": letters}
    axes.add_patch(
        Rectangle(
            *corner_and_size,
            facecolor=einsum_color(box.einsum or 0),
            edgecolor=edges.get(str(box.kind), "none"),
            linewidth=0.5 if box.kind == "background" else 0,
            antialiased=not box.shade,
            hatch=_HATCHES.get(str(box.kind)),
        )
    )
    if box.critical:
        axes.add_patch(Rectangle(*corner_and_size, fill=False, edgecolor=ink, linewidth=0.8))


def _label(axes: Axes, label: Label, palette: Mapping[str, str]) -> None:
    name = label.style.split()[0]
    faint = name in ("note", "tick", "wait", "bound")
    ink = palette["faint" if faint else "ink"]
    if name == "bar":
        ink = LETTERS_ON[int(label.style.split()[1].removeprefix("e"))]
    sizes = {"title": 13, "note": 10, "tick": 10, "wait": 10, "bound": 10, "bar": 10}
    axes.text(
        label.x,
        label.y,
        label.text.replace("$", r"\$"),
        ha={"start": "left", "middle": "center", "end": "right"}[label.anchor],
        va="baseline",
        fontsize=sizes.get(name, 11) * _POINTS,
        fontweight="bold" if name == "title" else "normal",
        fontstyle="italic" if name == "wait" else "normal",
        color=ink,
    )


def _line(axes: Axes, line: Polyline, palette: Mapping[str, str]) -> None:
    name = line.style.split()[-1]
    xs, ys = [x for x, _ in line.points], [y for _, y in line.points]
    if name == "level":
        axes.fill(
            xs, ys, facecolor=palette["level"], edgecolor=palette["faint"], linewidth=0.5, alpha=0.6
        )
        return
    red = name in ("critical", "size")
    ink = (
        CRITICAL
        if red
        else palette[
            {"grid": "grid", "axis": "ink", "bound": "ink", "port": "ink"}.get(name, "faint")
        ]
    )
    axes.plot(
        xs,
        ys,
        color=ink,
        linewidth={"critical": 1.6, "port": 1.0}.get(name, 0.7),
        linestyle=_DASHES.get(name, "-"),
        solid_joinstyle="round",
    )
