"""The tree of a mapping as a value that draws itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.text import Text

from polylat.views.tree_rows import TreeFlow, TreeRow, critical_mark, describe_flow, stem
from polylat.views.tree_svg import tree_svg

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Tree", "render_tree"]


@dataclass(frozen=True)
class Tree:
    """A mapping as a tree, which draws itself.

    Parameters
    ----------
    rows
        The nodes in depth-first order, from the root.
    flows
        The tensors that leaves exchange; empty if the tree was made from a mapping alone.
    """

    rows: tuple[TreeRow, ...]
    flows: tuple[TreeFlow, ...] = field(default=())

    def to_text(self) -> str:
        """Draw in characters.

        Returns
        -------
        str
            A line per node, then a line per flow.
        """
        lines = []
        for row in self.rows:
            text = f"{stem(row)}{row.text}"
            if row.note:
                text += f"  ({row.note})"
            lines.append(text + critical_mark(row))
        for flow in self.flows:
            lines.append(self.said(flow))
        return "\n".join(lines) + "\n"

    def said(self, flow: TreeFlow) -> str:
        """Return a flow in words.

        Parameters
        ----------
        flow
            A flow of this tree.

        Returns
        -------
        str
            Such as ``"e1 -> e2: o1 through SRAM"``.
        """
        return describe_flow(self.rows, flow)

    def to_svg(self, *, dark: bool | None = None, alone: bool = True) -> str:
        """Draw as SVG.

        Parameters
        ----------
        dark
            Colors for a dark background; None: as the reader's screen is set.
        alone
            Whether the picture has its own style, background and legend; False inside a page.

        Returns
        -------
        str
            The picture.
        """
        legend = list(self.legend()) if alone else []
        return tree_svg(self.rows, self.flows, legend, dark=dark, alone=alone)

    def legend(self) -> Iterator[str]:
        """Explain the words and signs that occur in the tree.

        Yields
        ------
        str
            A line of the legend.
        """
        kinds = {row.kind for row in self.rows}
        kinds_of_splits = {row.text.split()[0] for row in self.rows if row.kind == "split"}
        if kinds & {"loop", "spatial"}:
            yield "for m, 8 tiles of 1: a loop over the rank variable m, one tile after another"
        if "spatial" in kinds:
            yield "for m over array.row: a spatial loop; each unit takes one of its tiles"
        if "storage" in kinds:
            yield "keeps: a Storage node; it holds tiles of its tensors for the nodes below"
        if "toll" in kinds:
            yield "passes on: a Toll node; its tensors pass through it, which takes time"
        if "Sequential" in kinds_of_splits:
            yield "Sequential: one branch after another"
        if "Pipeline" in kinds_of_splits:
            yield "Pipeline: the branches overlap, tile by tile"
        if any(flow.recurrent for flow in self.flows):
            yield "arrow up or to itself: an Einsum reads what was computed in an earlier iteration"
        if any(flow.produced and not flow.recurrent for flow in self.flows):
            yield "arrow: an Einsum produces a tensor that another one reads there"
        if any(not flow.produced for flow in self.flows):
            yield "dashed arrow: an Einsum fetches a tensor that another one reads there, too"
        if any(row.share for row in self.rows):
            yield "◀ critical: accesses on the critical path, as a share of the latency"

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_svg()

    def _repr_svg_(self) -> str:
        return self.to_svg()


def render_tree(tree: Tree) -> RenderableType:
    """Render a tree for a rich console.

    Parameters
    ----------
    tree
        The tree.

    Returns
    -------
    rich.console.RenderableType
        The colored text.
    """
    colors = {"split": "bold", "compute": "bold green", "storage": "cyan", "toll": "cyan"}
    text = Text()
    for row in tree.rows:
        text.append(stem(row), style="dim")
        text.append(row.text, style=colors.get(row.kind, ""))
        if row.note:
            text.append(f"  ({row.note})", style="dim")
        text.append(f"{critical_mark(row)}\n", style="bold red")
    for flow in tree.flows:
        text.append(f"{tree.said(flow)}\n")
    return text
