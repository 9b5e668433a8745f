"""Draw the layers of the package from the import contract: ``python docs/architecture.py [FILE]``.

The file is docs/architecture.svg by default. A package may import only packages on lower lines;
`make lint` checks this.
"""

from __future__ import annotations

import sys
import tomllib
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent

JOBS = {
    "__main__": "python -m polylat",
    "cli": "commands",
    "warm_up": "compiled code, in advance",
    "accelforge": "live objects, mapper's results",
    "closed_form": "symbolic: formulas, and their proofs",
    "explorer": "explore",
    "report": "analyze, Report",
    "views": "text, HTML, pictures, JSON, frames",
    "exploration": "variants of one mapping",
    "proof": "certificates, with ISL",
    "analysis": "results computed from a schedule",
    "engine": "iterations to sample, orders of service",
    "lowering": "mapping to ISL relations to task graph",
    "schedule": "task graph to times",
    "spec": "input: from YAML and objects",
    "tables": "Table",
    "files": "file names",
    "locks": "locks of threads",
    "numbers": "exact numbers",
    "errors": "PolylatError and its kinds",
    "version": "its number",
    "characters": "characters that do not show",
}
"""Module or package → its job in a few words."""

_WIDTH, _ROW, _GAP, _LEFT = 760, 46, 10, 12
_STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1c2430}.job{font-size:12px;fill:#5a6675}"
    "rect{fill:#eef2f7;stroke:#8fa1b8}path{stroke:#8fa1b8;fill:none}"
    "@media(prefers-color-scheme:dark){text{fill:#e6ebf2}.job{fill:#a8b4c4}"
    "rect{fill:#232b36;stroke:#5d6d82}}"
)


def layers() -> list[list[str]]:
    """Return the layers of the import contract, the topmost first."""
    text = (HERE.parent / "pyproject.toml").read_text(encoding="utf-8")
    (contract,) = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    return [[name.strip() for name in layer.split(":")] for layer in contract["layers"]]


def draw() -> str:
    """Return the picture as SVG."""
    found = layers()
    height = len(found) * (_ROW + _GAP) + _GAP
    parts = []
    for row, names in enumerate(found):
        y = _GAP + row * (_ROW + _GAP)
        width = (_WIDTH - 2 * _LEFT - _GAP * (len(names) - 1)) / len(names)
        for column, name in enumerate(names):
            x = _LEFT + column * (width + _GAP)
            middle = x + width / 2
            parts.append(
                f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{_ROW}" rx="5"/>'
                f'<text x="{middle:.0f}" y="{y + 19}" text-anchor="middle">{escape(name)}</text>'
                f'<text class="job" x="{middle:.0f}" y="{y + 36}" text-anchor="middle">'
                f"{escape(JOBS[name])}</text>"
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}"'
        f' height="{height}" role="img"><title>The layers of polylat; imports run downwards</title>'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>\n"
    )


def main() -> None:
    """Write the picture."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "architecture.svg"
    target.write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
