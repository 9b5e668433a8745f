"""Render scenes as SVG, without a library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from polylat.analysis.timeline import StackData
from polylat.views.scene import Box, Item, Label, Scene
from polylat.views.style import CRITICAL, DARK, LETTERS_ON, LIGHT, PALETTE
from polylat.views.timeline_scene import timeline_scene

__all__ = ["scene_svg", "style_sheet", "timeline_svg"]


def timeline_svg(stack: StackData, *, width: float = 1000, dark: bool | None = None) -> str:
    """Draw timelines as SVG.

    Parameters
    ----------
    stack
        The timelines.
    width
        Width in pixels.
    dark
        Colors for a dark background; None: as the reader's screen is set.

    Returns
    -------
    str
        The picture.
    """
    return scene_svg(timeline_scene(stack, width), dark=dark)


def scene_svg(picture: Scene, *, dark: bool | None = None, alone: bool = True) -> str:
    """Render a scene as SVG.

    Parameters
    ----------
    picture
        The scene.
    dark
        Colors for a dark background; None: as the reader's screen is set.
    alone
        Whether the picture has its own style and background; False inside a page.

    Returns
    -------
    str
        The picture.
    """
    width, height = _n(picture.width), _n(picture.height)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="polylat" role="img"'
        f' viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<title>{escape(picture.words)}</title>"
    )
    parts = [head]
    if alone:
        parts.append(f"<style>{style_sheet(dark)}</style>")
        parts.append(f'<rect class="paper" width="{width}" height="{height}"/>')
    parts.append(_patterns(picture))
    parts += [text for item in picture.items for text in _item(item)]
    return "".join([*parts, "</svg>"])


def style_sheet(dark: bool | None, selector: str = ".polylat") -> str:
    """Return the style sheet of pictures.

    Parameters
    ----------
    dark
        Colors for a dark background; None: as the reader's screen is set.
    selector
        The CSS selector of the elements that define the colors as variables.

    Returns
    -------
    str
        CSS.
    """

    def variables(colors: Mapping[str, str]) -> str:
        return "".join(f"--{name}:{color};" for name, color in colors.items())

    on_light, on_dark = variables(LIGHT), variables(DARK)
    rules = [f"{selector}{{{on_dark if dark else on_light}}}"]
    if dark is None:
        rules.append(f"@media(prefers-color-scheme:dark){{{selector}{{{on_dark}}}}}")
    rules += [
        ".polylat text{font:11px system-ui,sans-serif;fill:var(--ink)}",
        ".polylat .paper{fill:var(--paper)}",
        ".polylat .title{font-weight:600;font-size:13px}",
        ".polylat .note,.polylat .tick,.polylat .wait,.polylat .bound{fill:var(--faint);font-size:10px}",
        ".polylat .bar{font-size:10px;pointer-events:none}",
        ".polylat .wait{font-style:italic;pointer-events:none}",
        ".polylat path{fill:none;stroke:var(--faint)}",
        ".polylat .l-grid{stroke:var(--grid)}",
        ".polylat .l-axis{stroke:var(--ink)}",
        (
            f".polylat .l-critical{{stroke:{CRITICAL};stroke-width:2.5;stroke-linejoin:round;"
            "pointer-events:none}"
        ),
        ".polylat .l-bound{stroke:var(--ink);stroke-dasharray:4 3}",
        f".polylat .l-size{{stroke:{CRITICAL};stroke-dasharray:2 3}}",
        ".polylat .l-level{fill:var(--level);fill-opacity:.55;stroke:var(--faint)}",
        ".polylat .l-flow{stroke-dasharray:none}",
        ".polylat .l-barrier{stroke-dasharray:6 3}",
        ".polylat .l-port{stroke:var(--ink);stroke-width:1.4}",
        ".polylat .l-capacity{stroke-dasharray:1 3;stroke-width:2}",
        ".polylat .crit{stroke:var(--ink);stroke-width:1.4}",
        ".polylat .shade{shape-rendering:crispEdges;stroke:none;fill-opacity:1}",
        ".polylat rect:focus,.polylat rect:hover{stroke:var(--ink);stroke-width:2}",
    ]
    rules += [f".polylat .e{k}{{fill:{c}}}" for k, c in enumerate(PALETTE)]
    rules += [f".polylat text.e{k}{{fill:{c}}}" for k, c in enumerate(LETTERS_ON)]
    return "".join(rules)


def _patterns(picture: Scene) -> str:
    """Definitions of the textures in use, which tell separate transfers from foregrounds."""
    used = {
        (box.kind, (box.einsum or 0) % len(PALETTE))
        for box in picture.items
        if isinstance(box, Box) and box.kind in _TEXTURES
    }
    found = [
        _TEXTURES[kind].format(id=_texture_id(kind, k), color=PALETTE[k], on=LETTERS_ON[k])
        for kind, k in sorted(used)
    ]
    return f"<defs>{''.join(found)}</defs>"


_TEXTURES = {
    "background": (
        '<pattern id="{id}" width="6" height="6" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(45)"><rect width="6" height="6" fill="{color}"/>'
        '<rect width="2.6" height="6" fill="var(--paper)"/></pattern>'
    ),
    "write_back": (
        '<pattern id="{id}" width="5" height="5" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(-45)"><rect width="5" height="5" fill="{color}"/>'
        '<rect width="1" height="5" fill="{on}"/></pattern>'
    ),
    "fill": (
        '<pattern id="{id}" width="5" height="5" patternUnits="userSpaceOnUse">'
        '<rect width="5" height="5" fill="{color}"/><path style="fill:{on};stroke:none"'
        ' d="M0 .5h1.6v1.6h-1.6zM2.5 3h1.6v1.6h-1.6z"/></pattern>'
    ),
}


def _texture_id(kind: str, color: int) -> str:
    return f"{kind[0]}{color}"


def _item(item: Item) -> Iterator[str]:
    if isinstance(item, Box):
        yield _box(item)
    elif isinstance(item, Label):
        yield (
            f'<text x="{_n(item.x)}" y="{_n(item.y)}" class="{item.style}"'
            f' text-anchor="{item.anchor}">{escape(item.text)}</text>'
        )
    else:
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y in item.points)
        name = item.style.split()[-1]
        yield f'<path class="l-{name}" d="M{path}"/>'


def _box(box: Box) -> str:
    color = (box.einsum or 0) % len(PALETTE)
    names = [f"e{color}"]
    if box.shade:
        names.append("shade")
    if box.critical:
        names.append("crit")
    textured = box.kind in _TEXTURES
    look = f' style="fill:url(#{_texture_id(str(box.kind), color)})"' if textured else ""
    return (
        f'<rect class="{" ".join(names)}" x="{_n(box.x)}" y="{_n(box.y)}"'
        f' width="{_n(max(box.width, 0.4))}" height="{_n(box.height)}"{look}>'
        f"<title>{escape(box.words)}</title></rect>"
    )


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
