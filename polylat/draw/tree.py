"""Mappings as trees, in text and as SVG, without Graphviz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING

from rich.text import Text

from polylat.draw.style import CRITICAL
from polylat.spec.mapping import Branch, Compute, Pipeline, Spatial, Storage, Temporal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from polylat.report import Report
    from polylat.spec import Spec

__all__ = ["Flow", "Row", "Tree", "mapping_tree", "render_tree"]

_WIDE, _HIGH, _STEP = 6.8, 19, 18


@dataclass(frozen=True)
class Row:
    """A node of the tree.

    Parameters
    ----------
    kind
        *loop*, *spatial*, *storage*, *toll*, *split* or *compute*.
    text
        What it is.
    note
        Trip count, tile sizes.
    branches
        Per split above it, whether its branch is the last one.
    first
        Whether a branch begins with it.
    share
        Of a holder or a leaf: the time of its accesses on the critical path, as a share of the
        latency; None without a report.
    """

    kind: str
    text: str
    note: str
    branches: tuple[bool, ...]
    first: bool
    share: Fraction | None = None


@dataclass(frozen=True)
class Flow:
    """A tensor that one leaf brings and another one reads.

    Parameters
    ----------
    source, target
        The rows of the leaves.
    tensor, component
        What, and where it is exchanged.
    produced
        Whether the source produces it, or has fetched it.
    """

    source: int
    target: int
    tensor: str
    component: str
    produced: bool


@dataclass(frozen=True)
class Tree:
    """A mapping that draws itself.

    Parameters
    ----------
    rows
        Its nodes, from the root on.
    flows
        What leaves exchange; empty where only the mapping is known.
    """

    rows: tuple[Row, ...]
    flows: tuple[Flow, ...] = field(default=())

    def to_text(self) -> str:
        """The tree in letters."""
        lines = []
        for row in self.rows:
            text = f"{_stem(row)}{row.text}"
            if row.note:
                text += f"  ({row.note})"
            lines.append(text + _mark(row))
        for flow in self.flows:
            lines.append(self.said(flow))
        return "\n".join(lines) + "\n"

    def said(self, flow: Flow) -> str:
        """A flow in words."""
        source, target = (self.rows[k].text.split()[0] for k in (flow.source, flow.target))
        how = "" if flow.produced else " (fetched)"
        return f"{source} -> {target}: {flow.tensor} through {flow.component}{how}"

    def to_svg(self, *, dark: bool | None = None, alone: bool = True) -> str:
        """The tree as SVG; `dark` None: as the reader's screen is set."""
        from polylat.draw.svg import style

        texts = [row.text + (f"  {row.note}" if row.note else "") + _mark(row) for row in self.rows]
        ends = [
            len(row.branches) * _STEP + len(text) * _WIDE
            for row, text in zip(self.rows, texts, strict=True)
        ]
        wide = max(ends, default=0)
        names = [f"{flow.tensor} in {flow.component}" for flow in self.flows]
        right = 90 + max(map(len, names), default=0) * 6
        width, height = round(wide + right), 16 + _HIGH * len(self.rows)
        said = "; ".join([t.strip() for t in texts] + [self.said(f) for f in self.flows])
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" class="polylat" role="img"'
                f' viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
                f"<title>Mapping. {escape(said)}</title>"
            )
        ]
        if alone:
            rules = ".polylat .n-note{fill:var(--faint)}"
            parts.append(f"<style>{style(dark)}{rules}</style>")
            parts.append(f'<rect class="paper" width="{width}" height="{height}"/>')
        parts += self._lines()
        for number, row in enumerate(self.rows):
            parts += _drawn(row, number)
        for number, flow in enumerate(self.flows):
            y0, y1 = (8 + _HIGH * k + 10 for k in (flow.source, flow.target))
            out = max(ends[flow.source : flow.target + 1]) + 34 + 14 * (number % 3)
            dash = "" if flow.produced else ' stroke-dasharray="3 2"'
            parts.append(
                f'<path d="M{ends[flow.source] + 8:.0f} {y0}H{out:.0f}V{y1}H{ends[flow.target] + 10:.0f}m6 -4l-6 4l6 4"{dash}/>'
                f'<text class="note" x="{out + 4:.0f}" y="{(y0 + y1) / 2 + 4 + 11 * (number % 2)}">'
                f"{escape(names[number])}</text>"
            )
        return "".join([*parts, "</svg>"])

    def _lines(self) -> Iterator[str]:
        """The stems from splits to their branches."""
        for number, row in enumerate(self.rows):
            y = 8 + _HIGH * number
            for depth, last in enumerate(row.branches):
                x = 12 + _STEP * depth
                own = depth == len(row.branches) - 1 and row.first
                if own:
                    yield f'<path d="M{x} {y - 3}V{y + 10}h8"/>'
                if not last:
                    yield f'<path d="M{x} {y - 3}V{y + 16}"/>'

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_svg()

    def _repr_svg_(self) -> str:
        return self.to_svg()


def render_tree(tree: Tree) -> RenderableType:
    """A tree for a rich console."""
    colours = {"split": "bold", "compute": "bold green", "storage": "cyan", "toll": "cyan"}
    text = Text()
    for row in tree.rows:
        text.append(_stem(row), style="dim")
        text.append(row.text, style=colours.get(row.kind, ""))
        if row.note:
            text.append(f"  ({row.note})", style="dim")
        text.append(f"{_mark(row)}\n", style="bold red")
    for flow in tree.flows:
        text.append(f"{tree.said(flow)}\n")
    return text


def _stem(row: Row) -> str:
    parts = ["   " if last else "│  " for last in row.branches]
    if row.first and parts:
        parts[-1] = "└─ " if row.branches[-1] else "├─ "
    return "".join(parts)


def _mark(row: Row) -> str:
    if not row.share:
        return ""
    return f"  ◀ critical {max(float(row.share), 0.001):.1%}"


def _drawn(row: Row, number: int) -> Iterator[str]:
    x, y = 8 + _STEP * len(row.branches), 8 + _HIGH * number
    note = f'<tspan class="n-note" dx="8">{escape(row.note)}</tspan>' if row.note else ""
    mark = ""
    if row.share:
        mark = f'<tspan dx="8" font-weight="600" style="fill:{CRITICAL}">{escape(_mark(row).strip())}</tspan>'
    weight = ' font-weight="600"' if row.kind in ("split", "compute") else ""
    yield f'<text x="{x}" y="{y + 14}"><tspan{weight}>{escape(row.text)}</tspan>{note}{mark}</text>'


def mapping_tree(
    mapping: Branch, *, spec: Spec | None = None, report: Report | None = None
) -> Tree:
    """A mapping as a tree.

    Parameters
    ----------
    mapping
        The mapping.
    spec
        The input that it belongs to: the loops' trip counts are shown then, and what leaves
        exchange.
    report
        A report of it: the sizes of tiles are shown then, and what is on the critical path.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
    >>> spec = polylat.load(*files)
    >>> print(spec.tree())
    SRAM keeps o2
    Sequential
    ├─ DRAM keeps w1, i1, w2
    │  for m  (8 x 1)
    │  SRAM keeps o1
    │  Sequential
    │  ├─ for n0  (8 x 1)
    │  │  for n1  (8 x 1)
    │  │  e1 on mac
    │  └─ for n1  (8 x 1)
    │     for n2  (8 x 1)
    │     e2 on mac
    └─ DRAM keeps w3, o3
       for m  (8 x 1)
       for n2  (8 x 1)
       for n3  (8 x 1)
       e3 on mac
    e1 -> e2: o1 through SRAM
    e2 -> e3: o2 through SRAM
    <BLANKLINE>
    """
    return _Builder(spec, report).tree(mapping)


class _Builder:
    def __init__(self, spec: Spec | None, report: Report | None) -> None:
        from polylat.lowering.paths import leaves
        from polylat.lowering.sharing import sources

        self.report = report
        if report is not None:
            spec = report._model.lowered.spec
        self.leaves = {leaf.einsum.name: leaf for leaf in leaves(spec)} if spec else {}
        self.sources = sources(list(self.leaves.values())) if spec else {}
        self.sizes = _sizes(report) if report is not None else {}
        self.rows: list[Row] = []
        self.where: dict[str, int] = {}

    def tree(self, mapping: Branch) -> Tree:
        self._branch(mapping, (), 0)
        flows = []
        order = list(self.leaves.values())
        for (number, tensor), source in self.sources.items():
            if source.leaf is not None:
                reader = order[number]
                component = reader.storages(tensor)[source.level].component
                brings, reads = order[source.leaf].einsum.name, reader.einsum.name
                ends = self.where[brings], self.where[reads]
                flows.append(Flow(*ends, tensor, component, source.produces))
        return Tree(tuple(self.rows), tuple(flows))

    def _branch(self, branch: Branch, above: tuple[bool, ...], loops: int) -> None:
        below = [leaf.einsum for leaf in branch.leaves()]
        known = [self.leaves[name] for name in below if name in self.leaves]
        first = bool(above)
        for node in branch.nodes:
            match node:
                case Temporal() | Spatial():
                    note = f"tiles of {node.tile_shape}"
                    if known:
                        trips = max(leaf.trips[loops] for leaf in known)
                        note = f"{trips:,} x {node.tile_shape:,}"
                    loops += 1
                    text = f"for {node.rank_variable}"
                    kind = "loop"
                    if isinstance(node, Spatial):
                        kind, text = "spatial", f"{text} over {node.component}.{node.dimension}"
                    self.rows.append(Row(kind, text, note, above, first))
                case _:
                    kind = "storage" if isinstance(node, Storage) else "toll"
                    word = "keeps" if kind == "storage" else "passes on"
                    text = f"{node.component} {word} {', '.join(node.tensors)}"
                    sizes = {
                        tensor: max(found)
                        for tensor in node.tensors
                        for found in [self._tiles(below, tensor, node.component)]
                        if found
                    }
                    note = ", ".join(f"{t} {n:,}" for t, n in sizes.items())
                    share = self._share(below, node.component, node.tensors)
                    note = f"elements per tile: {note}" if note else ""
                    self.rows.append(Row(kind, text, note, above, first, share))
            first = False
        if isinstance(branch.end, Compute):
            self.where[branch.end.einsum] = len(self.rows)
            text = f"{branch.end.einsum} on {branch.end.component}"
            share = self._share(below, branch.end.component, None)
            self.rows.append(Row("compute", text, "", above, first, share))
            return
        name = "Pipeline" if isinstance(branch.end, Pipeline) else "Sequential"
        self.rows.append(Row("split", name, "", above, first))
        for k, child in enumerate(branch.end.branches):
            last = k == len(branch.end.branches) - 1
            self._branch(child, (*above, last), loops)

    def _tiles(self, einsums: list[str], tensor: str, component: str) -> list[int]:
        """Sizes of a holder's tiles, as those below see them."""
        keys = ((einsum, tensor, component) for einsum in einsums)
        return [self.sizes[key] for key in keys if key in self.sizes]

    def _share(
        self, einsums: list[str], component: str, tensors: tuple[str, ...] | None
    ) -> Fraction | None:
        """Of accesses to tensors in a component, or without one, on the critical path."""
        if self.report is None or not self.report.latency:
            return None
        total = Fraction(0)
        for (einsum, where, tensor, _), time in self.report.critical_totals.items():
            mine = tensor is None if tensors is None else tensor in tensors
            if einsum in einsums and where == component and mine:
                total += Fraction(time)
        return total / Fraction(self.report.latency)


def _sizes(report: Report) -> Mapping[tuple[str, str, str], int]:
    """(Einsum, tensor, component) → elements of its largest tile there."""
    from polylat.accesses.counting import tile_elements

    model = report._model
    found: dict[tuple[str, str, str], int] = {}
    for leaf, tiles in zip(model.lowered.leaves, model.layout.tiles, strict=True):
        components = {c.name: c for c in model.lowered.spec.arch.paths[leaf.einsum.name]}
        for tensor in leaf.einsum.tensors:
            for level, holder in enumerate(leaf.storages(tensor)):
                most = int(tile_elements(tiles, components, tensor, level).max(initial=0))
                found[leaf.einsum.name, tensor, holder.component] = most
    return found
