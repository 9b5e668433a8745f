"""Draw mappings as trees, in text and as SVG, without Graphviz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING

from rich.text import Text

from polylat.analysis.results import Results
from polylat.lowering.accesses.counting import tile_elements
from polylat.lowering.sharing import source_holders
from polylat.lowering.tree import mapping_leaves
from polylat.spec import Spec
from polylat.spec.mapping import (
    Branch,
    Compute,
    Pipeline,
    Spatial,
    Storage,
    Temporal,
    describe_node,
)
from polylat.views.style import CRITICAL, CRITICAL_DARK
from polylat.views.svg import style_sheet

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Tree", "TreeFlow", "TreeRow", "mapping_tree", "render_tree", "tree"]

_LETTER, _BOLD_LETTER = 6.8, 7.6
"""Widths of letters in pixels: those of the widest common fonts."""

_ROW, _LEGEND_ROW, _INDENT = 19, 15, 18
"""Heights of a row and of a line of the legend, and the indentation per split, in pixels."""


@dataclass(frozen=True)
class TreeRow:
    """A node of the tree.

    Parameters
    ----------
    kind
        *loop*, *spatial*, *storage*, *toll*, *split* or *compute*.
    text
        The node in words, such as ``"DRAM keeps w1"``.
    note
        Trip count and tile shape of a loop; elements per tile of a holder; may be empty.
    branches
        For each split above the node: whether the node is in the split's last branch.
    first
        Whether the node is the first of its branch.
    share
        Of a holder or a leaf: the time of its accesses on the critical path, as a fraction of the
        latency; None without a report.
    """

    kind: str
    text: str
    note: str
    branches: tuple[bool, ...]
    first: bool
    share: Fraction | None = None


@dataclass(frozen=True)
class TreeFlow:
    """A tensor that one leaf writes to a shared holder and another leaf reads there.

    Parameters
    ----------
    source, target
        The numbers of the rows of the writing and the reading leaf.
    tensor
        The tensor.
    component
        The component of the shared holder.
    produced
        True if the source computes the tensor, False if it fetches it.
    """

    source: int
    target: int
    tensor: str
    component: str
    produced: bool


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
            text = f"{_stem(row)}{row.text}"
            if row.note:
                text += f"  ({row.note})"
            lines.append(text + _critical_mark(row))
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
        source, target = (self.rows[k].text.split()[0] for k in (flow.source, flow.target))
        how = "" if flow.produced else " (fetched)"
        return f"{source} -> {target}: {flow.tensor} through {flow.component}{how}"

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
        texts = [
            row.text + (f"  {row.note}" if row.note else "") + _critical_mark(row)
            for row in self.rows
        ]
        arrows = self._arrows()
        legend = list(self.legend()) if alone else []
        foot = 16 + _ROW * len(self.rows)
        description = "; ".join([t.strip() for t in texts] + [self.said(f) for f in self.flows])
        parts = [*self._stems()]
        for number, row in enumerate(self.rows):
            parts.append(_row_svg(row, number))
        for arrow in arrows:
            parts += arrow.svg()
        for number, line in enumerate(legend):
            y = foot + 12 + _LEGEND_ROW * number
            parts.append(f'<text class="n-note" x="8" y="{y}">{escape(line)}</text>')
        right = [_right_end(row) for row in self.rows] + [arrow.right for arrow in arrows]
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

    def _arrows(self) -> list[_Arrow]:
        """Arrows of the flows, to the right of the texts of the rows that they pass."""
        targets: dict[tuple[int, str, str, bool], list[int]] = {}
        for flow in self.flows:
            key = flow.source, flow.tensor, flow.component, flow.produced
            targets.setdefault(key, []).append(flow.target)
        arrows: list[_Arrow] = []
        # Short arrows are placed first, nearest to the tree.
        for key, rows in sorted(targets.items(), key=lambda i: max(i[1]) - i[0][0]):
            source, tensor, component, produced = key
            low, high = min(source, *rows), max(source, *rows)
            taken = [a.right for a in arrows if a.low <= high and low <= a.high]
            x = max([_right_end(row) for row in self.rows[low : high + 1]] + taken) + 22
            ends = {row: _right_end(self.rows[row]) for row in (source, *rows)}
            label = f"{tensor} in {component}"
            arrows.append(_Arrow(source, tuple(rows), label, produced, x, ends))
        return arrows

    def legend(self) -> Iterator[str]:
        """Explain the words and signs that occur in the tree.

        Yields
        ------
        str
            A line of the legend.
        """
        kinds = {row.kind for row in self.rows}
        names = {row.text for row in self.rows if row.kind == "split"}
        if kinds & {"loop", "spatial"}:
            yield "for m, 8 tiles of 1: a loop over the rank variable m, one tile after another"
        if "spatial" in kinds:
            yield "for m over array.row: a spatial loop; each unit takes one of its tiles"
        if "storage" in kinds:
            yield "keeps: a Storage node; it holds tiles of its tensors for the nodes below"
        if "toll" in kinds:
            yield "passes on: a Toll node; its tensors pass through it, which takes time"
        if "Sequential" in names:
            yield "Sequential: one branch after another"
        if "Pipeline" in names:
            yield "Pipeline: the branches overlap, tile by tile"
        if any(flow.produced for flow in self.flows):
            yield "arrow: an Einsum produces a tensor that another one reads there"
        if any(not flow.produced for flow in self.flows):
            yield "dashed arrow: an Einsum fetches a tensor that another one reads there, too"
        if any(row.share for row in self.rows):
            yield "◀ critical: accesses on the critical path, as a share of the latency"

    def _stems(self) -> Iterator[str]:
        """Lines from splits to their branches."""
        for number, row in enumerate(self.rows):
            y = 8 + _ROW * number
            for depth, last in enumerate(row.branches):
                x = 12 + _INDENT * depth
                if depth == len(row.branches) - 1 and row.first:
                    yield f'<path d="M{x} {y - 3}V{y + 10}h8"/>'
                if not last:
                    yield f'<path d="M{x} {y - 3}V{y + 16}"/>'

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_svg()

    def _repr_svg_(self) -> str:
        return self.to_svg()


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
        yield f'<text class="note" x="{self.x + 5:.0f}" y="{below + 4.5}">{escape(self.label)}</text>'


def _tree_style(dark: bool | None) -> str:
    """Return the style sheet of trees, in addition to that of all pictures.

    Parameters
    ----------
    dark
        Colors for a dark background; None: as the reader's screen is set.

    Returns
    -------
    str
        CSS.
    """
    rules = ".polylat .n-note{fill:var(--faint)}"
    rules += f".polylat .n-critical{{fill:{CRITICAL_DARK if dark else CRITICAL};font-weight:600}}"
    if dark is None:
        rules += (
            "@media screen and (prefers-color-scheme:dark)"
            f"{{.polylat .n-critical{{fill:{CRITICAL_DARK}}}}}"
        )
    return rules


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
        text.append(_stem(row), style="dim")
        text.append(row.text, style=colors.get(row.kind, ""))
        if row.note:
            text.append(f"  ({row.note})", style="dim")
        text.append(f"{_critical_mark(row)}\n", style="bold red")
    for flow in tree.flows:
        text.append(f"{tree.said(flow)}\n")
    return text


def _stem(row: TreeRow) -> str:
    parts = ["   " if last else "│  " for last in row.branches]
    if row.first and parts:
        parts[-1] = "└─ " if row.branches[-1] else "├─ "
    return "".join(parts)


def _critical_mark(row: TreeRow) -> str:
    if not row.share:
        return ""
    return f"  ◀ critical {max(float(row.share), 0.001):.1%}"


def _row_middle(number: int) -> int:
    return 8 + _ROW * number + 10


def _right_end(row: TreeRow) -> float:
    """Where the text of a row ends, in pixels, with a margin."""
    letter = _BOLD_LETTER if row.kind in ("split", "compute") else _LETTER
    width = len(row.text) * letter
    width += 8 + len(row.note) * _LETTER if row.note else 0
    width += 8 + len(_critical_mark(row).strip()) * _BOLD_LETTER if row.share else 0
    return 16 + _INDENT * len(row.branches) + width


def _row_svg(row: TreeRow, number: int) -> str:
    x, y = 8 + _INDENT * len(row.branches), 8 + _ROW * number
    note = f'<tspan class="n-note" dx="8">{escape(row.note)}</tspan>' if row.note else ""
    mark = ""
    if row.share:
        mark = f'<tspan dx="8" class="n-critical">{escape(_critical_mark(row).strip())}</tspan>'
    weight = ' font-weight="600"' if row.kind in ("split", "compute") else ""
    return (
        f'<text x="{x}" y="{y + 14}"><tspan{weight}>{escape(row.text)}</tspan>{note}{mark}</text>'
    )


def tree(mapping: Spec | Branch) -> Tree:
    """Return a mapping as a tree that draws itself.

    Parameters
    ----------
    mapping
        A `Spec`: the tree then has trip counts and the tensors that leaves exchange. Or a mapping
        alone.

    Returns
    -------
    Tree
        The tree, which draws itself: in text (`str`), as SVG, in a notebook.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
    >>> spec = polylat.load(*files)
    >>> print(polylat.tree(spec))
    SRAM keeps o2
    Sequential
    ├─ DRAM keeps w1, i1, w2
    │  for m  (8 tiles of 1)
    │  SRAM keeps o1
    │  Sequential
    │  ├─ for n0  (8 tiles of 1)
    │  │  for n1  (8 tiles of 1)
    │  │  e1 on mac
    │  └─ for n1  (8 tiles of 1)
    │     for n2  (8 tiles of 1)
    │     e2 on mac
    └─ DRAM keeps w3, o3
       for m  (8 tiles of 1)
       for n2  (8 tiles of 1)
       for n3  (8 tiles of 1)
       e3 on mac
    e1 -> e2: o1 through SRAM
    e2 -> e3: o2 through SRAM
    <BLANKLINE>
    """
    if isinstance(mapping, Spec):
        return mapping_tree(mapping.mapping, spec=mapping)
    return mapping_tree(mapping)


def mapping_tree(
    mapping: Branch, *, spec: Spec | None = None, results: Results | None = None
) -> Tree:
    """Build the tree of a mapping.

    Parameters
    ----------
    mapping
        The mapping.
    spec
        The input that contains the mapping: adds the loops' trip counts and the tensors that leaves
        exchange.
    results
        The results of the mapping: add the sizes of tiles and the shares of the critical path too.

    Returns
    -------
    Tree
        The tree.
    """
    return _Builder(spec, results).tree(mapping)


class _Builder:
    """Collects the rows of a tree in depth-first order."""

    def __init__(self, spec: Spec | None, results: Results | None) -> None:
        self.results = results
        if results is not None:
            spec = results.solution.model.lowered.spec
        self.leaves = {leaf.einsum.name: leaf for leaf in mapping_leaves(spec)} if spec else {}
        self.sources = source_holders(list(self.leaves.values())) if spec else {}
        self.sizes = _sizes(results) if results is not None else {}
        self.rows: list[TreeRow] = []
        self.row_of: dict[str, int] = {}

    def tree(self, mapping: Branch) -> Tree:
        self._branch(mapping, (), 0)
        flows = []
        order = list(self.leaves.values())
        for (number, tensor), source in self.sources.items():
            if source.leaf is not None:
                reader = order[number]
                component = reader.storages(tensor)[source.level].component
                writes, reads = order[source.leaf].einsum.name, reader.einsum.name
                ends = self.row_of[writes], self.row_of[reads]
                flows.append(TreeFlow(*ends, tensor, component, source.produces))
        return Tree(tuple(self.rows), tuple(flows))

    def _branch(self, branch: Branch, above: tuple[bool, ...], loops: int) -> None:
        below = [leaf.einsum for leaf in branch.leaves()]
        leaves_below = [self.leaves[name] for name in below if name in self.leaves]
        first = bool(above)
        for node in branch.nodes:
            match node:
                case Temporal() | Spatial():
                    note = f"tiles of {node.tile_shape}"
                    if leaves_below:
                        trips = max(leaf.trips[loops] for leaf in leaves_below)
                        note = f"{trips:,} tiles of {node.tile_shape:,}"
                    loops += 1
                    kind = "spatial" if isinstance(node, Spatial) else "loop"
                    self.rows.append(TreeRow(kind, describe_node(node), note, above, first))
                case _:
                    kind = "storage" if isinstance(node, Storage) else "toll"
                    sizes = {
                        tensor: max(found)
                        for tensor in node.tensors
                        for found in [self._tiles(below, tensor, node.component)]
                        if found
                    }
                    note = ", ".join(f"{t} {n:,}" for t, n in sizes.items())
                    share = self._share(below, node.component, node.tensors)
                    note = f"elements per tile: {note}" if note else ""
                    self.rows.append(TreeRow(kind, describe_node(node), note, above, first, share))
            first = False
        if isinstance(branch.end, Compute):
            self.row_of[branch.end.einsum] = len(self.rows)
            share = self._share(below, branch.end.component, None)
            self.rows.append(TreeRow("compute", describe_node(branch.end), "", above, first, share))
            return
        name = "Pipeline" if isinstance(branch.end, Pipeline) else "Sequential"
        self.rows.append(TreeRow("split", name, "", above, first))
        for k, child in enumerate(branch.end.branches):
            last = k == len(branch.end.branches) - 1
            self._branch(child, (*above, last), loops)

    def _tiles(self, einsums: list[str], tensor: str, component: str) -> list[int]:
        """Elements per tile of a tensor in a component, one count per Einsum."""
        keys = ((einsum, tensor, component) for einsum in einsums)
        return [self.sizes[key] for key in keys if key in self.sizes]

    def _share(
        self, einsums: list[str], component: str, tensors: tuple[str, ...] | None
    ) -> Fraction | None:
        """Share of accesses in a component (tensors None: computations) on the critical path."""
        if self.results is None or not self.results.latency:
            return None
        total = Fraction(0)
        for (einsum, where, tensor, _), time in self.results.critical_totals.items():
            counts = tensor is None if tensors is None else tensor in tensors
            if einsum in einsums and where == component and counts:
                total += Fraction(time)
        return total / Fraction(self.results.latency)


def _sizes(results: Results) -> Mapping[tuple[str, str, str], int]:
    """(Einsum, tensor, component) → elements of the tensor's largest tile there."""
    model = results.solution.model
    found: dict[tuple[str, str, str], int] = {}
    for leaf, tiles in zip(model.lowered.leaves, model.layout.tiles, strict=True):
        components = {c.name: c for c in model.lowered.spec.arch.paths[leaf.einsum.name]}
        for tensor in leaf.einsum.tensors:
            for level, holder in enumerate(leaf.storages(tensor)):
                most = int(tile_elements(tiles, components, tensor, level).max(initial=0))
                found[leaf.einsum.name, tensor, holder.component] = most
    return found
