"""Draw the tree of a mapping as SVG, without Graphviz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from polylat.views.style import CRITICAL, CRITICAL_DARK
from polylat.views.svg import style_sheet
from polylat.views.tree_rows import TreeFlow, TreeRow, critical_mark, describe_flow

__all__ = ["tree_svg"]

_LETTER, _BOLD_LETTER = 6.8, 7.6
"""Widths of letters in pixels: those of the widest common fonts."""

_ROW, _LEGEND_ROW, _INDENT = 19, 15, 18
"""Heights of a row and of a line of the legend, and the indentation per split, in pixels."""


def tree_svg(
    rows: Sequence[TreeRow],
    flows: Sequence[TreeFlow],
    legend: Sequence[str],
    *,
    dark: bool | None,
    alone: bool,
) -> str:
    """Draw a tree as SVG.

    Parameters
    ----------
    rows, flows
        The nodes in depth-first order, and the tensors that leaves exchange.
    legend
        The lines of the legend; empty for none.
    dark
        Colors for a dark background; None: as the reader's screen prefers.
    alone
        Whether the picture has its own style and background; False inside a page.

    Returns
    -------
    str
        The picture.
    """
    texts = [row.text + (f"  {row.note}" if row.note else "") + critical_mark(row) for row in rows]
    arrows = _arrows(rows, flows)
    foot = 16 + _ROW * len(rows)
    description = "; ".join([t.strip() for t in texts] + [describe_flow(rows, f) for f in flows])
    parts = [*_stems(rows)]
    for number, row in enumerate(rows):
        parts.append(_row_svg(row, number))
    for arrow in arrows:
        parts += arrow.svg()
    for number, line in enumerate(legend):
        y = foot + 12 + _LEGEND_ROW * number
        parts.append(f'<text class="n-note" x="8" y="{y}">{escape(line)}</text>')
    right = [_right_end(row) for row in rows] + [arrow.right for arrow in arrows]
    right += [8 + len(line) * _LETTER for line in legend]
    width, height = round(max(right)) + 8, foot + 8 + _LEGEND_ROW * len(legend)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="polylat" role="img"'
        f' viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<title>Mapping. {escape(description)}</title>"
    )
    if alone:
        head += f"<style>{style_sheet(dark)}{_tree_style(dark)}</style>"
        head += f'<rect class="paper" width="{width}" height="{height}"/>'
    return "".join([head, *parts, "</svg>"])


def _arrows(rows: Sequence[TreeRow], flows: Sequence[TreeFlow]) -> list[_Arrow]:
    """Arrows of the flows, to the right of the texts of the rows that they pass."""
    targets: dict[tuple[int, str, str, bool], list[int]] = {}
    for flow in flows:
        key = flow.source, flow.tensor, flow.component, flow.produced
        targets.setdefault(key, []).append(flow.target)
    arrows: list[_Arrow] = []
    # Short arrows are placed first, nearest to the tree.
    for key, readers in sorted(targets.items(), key=lambda i: max(i[1]) - i[0][0]):
        source, tensor, component, produced = key
        low, high = min(source, *readers), max(source, *readers)
        taken = [a.right for a in arrows if a.low <= high and low <= a.high]
        x = max([_right_end(row) for row in rows[low : high + 1]] + taken) + 22
        ends = {row: _right_end(rows[row]) for row in (source, *readers)}
        label = f"{tensor} in {component}"
        arrows.append(_Arrow(source, tuple(readers), label, produced, x, ends))
    return arrows


def _stems(rows: Sequence[TreeRow]) -> Iterator[str]:
    """Lines from splits to their branches."""
    for number, row in enumerate(rows):
        y = 8 + _ROW * number
        for depth, last in enumerate(row.branches):
            x = 12 + _INDENT * depth
            if depth == len(row.branches) - 1 and row.first:
                yield f'<path d="M{x} {y - 3}V{y + 10}h8"/>'
            if not last:
                yield f'<path d="M{x} {y - 3}V{y + 16}"/>'


@dataclass(frozen=True)
class _Arrow:
    """An arrow from the leaf that writes a tensor to the leaves that read it.

    Parameters
    ----------
    source, targets
        Numbers of rows.
    label
        The text beside the arrow.
    produced
        Whether the source produces the tensor; the arrow is dashed otherwise.
    x
        Where the vertical line is, in pixels.
    ends
        Number of a row → where its text ends, in pixels.
    """

    source: int
    targets: tuple[int, ...]
    label: str
    produced: bool
    x: float
    ends: Mapping[int, float]

    @property
    def low(self) -> int:
        return min(self.ends)

    @property
    def high(self) -> int:
        return max(self.ends)

    @property
    def right(self) -> float:
        return self.x + 5 + len(self.label) * 6.2

    def svg(self) -> Iterator[str]:
        """Draw lines between the middles of rows, and the label between two rows."""
        dash = "" if self.produced else ' stroke-dasharray="3 2"'
        # Arrows arrive a little above those that leave, so that neither hides the other.
        out = _row_middle(self.source) + 4
        down = [_row_middle(row) - 3 for row in self.targets]
        yield (
            f'<path d="M{self.ends[self.source]:.0f} {out}H{self.x:.0f}'
            f'M{self.x:.0f} {min(out, *down)}V{max(out, *down)}"{dash}/>'
        )
        for row, y in zip(self.targets, down, strict=True):
            yield (
                f'<path d="M{self.x:.0f} {y}H{self.ends[row]:.0f}"{dash}/>'
                f'<path d="M{self.ends[row] + 6:.0f} {y - 4}l-6 4l6 4"/>'
            )
        below = 8 + _ROW * ((self.low + self.high + 1) // 2)
        if self.low == self.high:  # a recurrence of an Einsum to itself
            below = _row_middle(self.low)
        yield f'<text class="note" x="{self.x + 5:.0f}" y="{below + 4.5}">{escape(self.label)}</text>'


def _tree_style(dark: bool | None) -> str:
    """Return the style sheet of trees, in addition to that of all pictures."""
    rules = ".polylat .n-note{fill:var(--faint)}"
    rules += f".polylat .n-critical{{fill:{CRITICAL_DARK if dark else CRITICAL};font-weight:600}}"
    if dark is None:
        rules += (
            "@media screen and (prefers-color-scheme:dark)"
            f"{{.polylat .n-critical{{fill:{CRITICAL_DARK}}}}}"
        )
    return rules


def _row_middle(number: int) -> int:
    return 8 + _ROW * number + 10


def _right_end(row: TreeRow) -> float:
    """Where the text of a row ends, in pixels, with a margin."""
    letter = _BOLD_LETTER if row.kind in ("split", "compute") else _LETTER
    width = len(row.text) * letter
    width += 8 + len(row.note) * _LETTER if row.note else 0
    width += 8 + len(critical_mark(row).strip()) * _BOLD_LETTER if row.share else 0
    return 16 + _INDENT * len(row.branches) + width


def _row_svg(row: TreeRow, number: int) -> str:
    x, y = 8 + _INDENT * len(row.branches), 8 + _ROW * number
    note = f'<tspan class="n-note" dx="8">{escape(row.note)}</tspan>' if row.note else ""
    mark = ""
    if row.share:
        mark = f'<tspan dx="8" class="n-critical">{escape(critical_mark(row).strip())}</tspan>'
    weight = ' font-weight="600"' if row.kind in ("split", "compute") else ""
    return (
        f'<text x="{x}" y="{y + 14}"><tspan{weight}>{escape(row.text)}</tspan>{note}{mark}</text>'
    )
