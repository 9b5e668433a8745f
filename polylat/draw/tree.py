"""Mappings as trees, in text and as SVG, without Graphviz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING

from rich.text import Text

from polylat.draw.style import CRITICAL, CRITICAL_DARK
from polylat.spec.mapping import Branch, Compute, Pipeline, Spatial, Storage, Temporal, Toll

if TYPE_CHECKING:
    from rich.console import RenderableType

    from polylat.report import Report
    from polylat.spec import Spec

__all__ = ["Flow", "Row", "Tree", "mapping_tree", "node_words", "render_tree", "tree_style"]

_WIDE, _BOLD, _HIGH, _SMALL, _STEP = 6.8, 7.6, 19, 15, 18


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
        wires = self._wires()
        legend = list(self.legend()) if alone else []
        foot = 16 + _HIGH * len(self.rows)
        said = "; ".join([t.strip() for t in texts] + [self.said(f) for f in self.flows])
        lines = [*self._lines()]
        for number, row in enumerate(self.rows):
            lines += _drawn(row, number)
        for wire in wires:
            lines += wire.drawn()
        for number, line in enumerate(legend):
            y = foot + 12 + _SMALL * number
            lines.append(f'<text class="n-note" x="8" y="{y}">{escape(line)}</text>')
        right = [_end(row) for row in self.rows] + [wire.right for wire in wires]
        right += [8 + len(line) * _WIDE for line in legend]
        width, height = round(max(right)) + 8, foot + 8 + _SMALL * len(legend)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="polylat" role="img"'
            f' viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
            f"<title>Mapping. {escape(said)}</title>"
        )
        if alone:
            head += f"<style>{style(dark)}{tree_style(dark)}</style>"
            head += f'<rect class="paper" width="{width}" height="{height}"/>'
        return "".join([head, *lines, "</svg>"])

    def _wires(self) -> list[_Wire]:
        """A line for each tensor that a leaf brings, right of all that stands in its rows."""
        targets: dict[tuple[int, str, str, bool], list[int]] = {}
        for flow in self.flows:
            key = flow.source, flow.tensor, flow.component, flow.produced
            targets.setdefault(key, []).append(flow.target)
        wires: list[_Wire] = []
        # The short ones first: they stand nearest to the tree.
        for key, rows in sorted(targets.items(), key=lambda i: max(i[1]) - i[0][0]):
            source, tensor, component, produced = key
            low, high = min(source, *rows), max(source, *rows)
            taken = [w.right for w in wires if w.low <= high and low <= w.high]
            x = max([_end(row) for row in self.rows[low : high + 1]] + taken) + 22
            ends = {row: _end(self.rows[row]) for row in (source, *rows)}
            wires.append(_Wire(source, tuple(rows), f"{tensor} in {component}", produced, x, ends))
        return wires

    def legend(self) -> Iterator[str]:
        """What the words of the tree mean, those that are in it; a picture that is alone has it."""
        kinds = {row.kind for row in self.rows}
        names = {row.text for row in self.rows if row.kind == "split"}
        if kinds & {"loop", "spatial"}:
            yield "for m, 8 tiles of 1: a loop over the rank variable m, one tile after another"
        if "spatial" in kinds:
            yield "for m over array.row: a spatial loop, its tiles side by side on units"
        if "storage" in kinds:
            yield "keeps: a Storage node; tiles of its tensors stay there for what is below"
        if "toll" in kinds:
            yield "passes on: a Toll node; its tensors take time to pass, and do not stay"
        if "Sequential" in names:
            yield "Sequential: one branch after another"
        if "Pipeline" in names:
            yield "Pipeline: the branches run at the same time, tile by tile"
        if any(flow.produced for flow in self.flows):
            yield "arrow: an Einsum produces a tensor, another finds it there"
        if any(not flow.produced for flow in self.flows):
            yield "dashed arrow: an Einsum has fetched a tensor, another finds it there"
        if any(row.share for row in self.rows):
            yield "◀ critical: for how much of the latency these are the critical path"

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


@dataclass(frozen=True)
class _Wire:
    """The way of a tensor from the leaf that brings it to those that read it.

    Parameters
    ----------
    source, targets
        Rows.
    label
        What it says.
    produced
        Whether the source produces the tensor.
    x
        Where its vertical stands.
    ends
        Row → where its text ends.
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

    def drawn(self) -> Iterator[str]:
        """Lines leave and arrive in the middle of rows; the label stands between two rows."""
        dash = "" if self.produced else ' stroke-dasharray="3 2"'
        # What arrives does so a little above what leaves, so that neither hides the other.
        out = _middle(self.source) + 4
        down = [_middle(row) - 3 for row in self.targets]
        yield (
            f'<path d="M{self.ends[self.source]:.0f} {out}H{self.x:.0f}'
            f'M{self.x:.0f} {min(out, *down)}V{max(out, *down)}"{dash}/>'
        )
        for row, y in zip(self.targets, down, strict=True):
            yield (
                f'<path d="M{self.x:.0f} {y}H{self.ends[row]:.0f}"{dash}/>'
                f'<path d="M{self.ends[row] + 6:.0f} {y - 4}l-6 4l6 4"/>'
            )
        below = 8 + _HIGH * ((self.low + self.high + 1) // 2)
        yield f'<text class="note" x="{self.x + 5:.0f}" y="{below + 4.5}">{escape(self.label)}</text>'


def tree_style(dark: bool | None) -> str:
    """The style of trees, beside that of all pictures."""
    rules = ".polylat .n-note{fill:var(--faint)}"
    rules += f".polylat .n-critical{{fill:{CRITICAL_DARK if dark else CRITICAL};font-weight:600}}"
    if dark is None:
        rules += (
            "@media screen and (prefers-color-scheme:dark)"
            f"{{.polylat .n-critical{{fill:{CRITICAL_DARK}}}}}"
        )
    return rules


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


def _middle(row: int) -> int:
    return 8 + _HIGH * row + 10


def _end(row: Row) -> float:
    """Where a row ends, with some room; letters are as wide as in the widest of usual fonts."""
    bold = _BOLD if row.kind in ("split", "compute") else _WIDE
    width = len(row.text) * bold
    width += 8 + len(row.note) * _WIDE if row.note else 0
    width += 8 + len(_mark(row).strip()) * _BOLD if row.share else 0
    return 16 + _STEP * len(row.branches) + width


def _drawn(row: Row, number: int) -> Iterator[str]:
    x, y = 8 + _STEP * len(row.branches), 8 + _HIGH * number
    note = f'<tspan class="n-note" dx="8">{escape(row.note)}</tspan>' if row.note else ""
    mark = ""
    if row.share:
        mark = f'<tspan dx="8" class="n-critical">{escape(_mark(row).strip())}</tspan>'
    weight = ' font-weight="600"' if row.kind in ("split", "compute") else ""
    yield f'<text x="{x}" y="{y + 14}"><tspan{weight}>{escape(row.text)}</tspan>{note}{mark}</text>'


def node_words(node: Temporal | Spatial | Storage | Toll | Compute) -> str:
    """A node of a mapping in words, without its trip count and sizes."""
    match node:
        case Temporal():
            return f"for {node.rank_variable}"
        case Spatial():
            return f"for {node.rank_variable} over {node.component}.{node.dimension}"
        case Storage():
            return f"{node.component} keeps {', '.join(node.tensors)}"
        case Toll():
            return f"{node.component} passes on {', '.join(node.tensors)}"
        case Compute():
            return f"{node.einsum} on {node.component}"


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
                        note = f"{trips:,} tiles of {node.tile_shape:,}"
                    loops += 1
                    kind = "spatial" if isinstance(node, Spatial) else "loop"
                    self.rows.append(Row(kind, node_words(node), note, above, first))
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
                    self.rows.append(Row(kind, node_words(node), note, above, first, share))
            first = False
        if isinstance(branch.end, Compute):
            self.where[branch.end.einsum] = len(self.rows)
            share = self._share(below, branch.end.component, None)
            self.rows.append(Row("compute", node_words(branch.end), "", above, first, share))
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
