"""Build the tree of a mapping: a row per node, and the tensors that leaves exchange."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from polylat.analysis.results import Results
from polylat.lowering.accesses.counting import tile_elements
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import source_holders
from polylat.lowering.tree import mapping_leaves
from polylat.spec import Spec
from polylat.spec.affine import Affine
from polylat.spec.mapping import (
    Branch,
    Compute,
    Pipeline,
    Spatial,
    Storage,
    Temporal,
    Toll,
    describe_node,
)
from polylat.spec.names import short_split
from polylat.views.report_tables import totals_or_none
from polylat.views.tree import Tree
from polylat.views.tree_rows import TreeFlow, TreeRow

__all__ = ["mapping_tree", "tree"]


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
    Sequential e1+e2|e3
    ├─ DRAM keeps w1, i1, w2
    │  for m  (8 tiles of 1)
    │  SRAM keeps o1
    │  Sequential e1|e2
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
        spec = mapping.with_pipelines(mapping.schedule.get("pipelined", ()))
        return mapping_tree(spec.mapping, spec=spec)
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
            if source.recurrent and source.producer is not None:
                reader, producer = order[number], order[source.producer]
                component = _carrying_storage(reader, producer, tensor, source.recurrent)
                ends = self.row_of[producer.einsum.name], self.row_of[reader.einsum.name]
                flows.append(TreeFlow(*ends, tensor, component, produced=True, recurrent=True))
        return Tree(tuple(self.rows), tuple(flows))

    def _branch(self, branch: Branch, above: tuple[bool, ...], loops: int) -> None:
        below = [leaf.einsum for leaf in branch.leaves()]
        leaves_below = [self.leaves[name] for name in below if name in self.leaves]
        first = bool(above)
        for node in branch.nodes:
            match node:
                case Temporal() | Spatial():
                    note = f"tiles of {node.tile_shape:,}"
                    if leaves_below:
                        trips = max(leaf.trips[loops] for leaf in leaves_below)
                        note = f"{trips:,} {note}"
                    if isinstance(node, Temporal) and node.initial_tile_shape is not None:
                        note += f", the first of {node.initial_tile_shape:,}"
                    loops += 1
                    kind = "spatial" if isinstance(node, Spatial) else "loop"
                    self.rows.append(TreeRow(kind, describe_node(node), note, above, first))
                case Storage() | Toll() if not node.tensors:
                    continue  # an outer node holds what it names
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
        name = type(branch.end).__name__
        if len(branch.end.branches) > 1:
            name += f" {short_split(branch.end.name)}"
        bound = branch.end.binding if isinstance(branch.end, Pipeline) else ()
        note = f"binding {', '.join(map(str, bound))}" if bound else ""
        self.rows.append(TreeRow("split", name, note, above, first))
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
        totals = totals_or_none(self.results)
        if totals is None:
            return None
        total = Fraction(0)
        for (einsum, where, tensor, _), time in totals.items():
            counts = tensor is None if tensors is None else tensor in tensors
            if einsum in einsums and where == component and counts:
                total += Fraction(time)
        return total / Fraction(self.results.latency)


def _carrying_storage(reader: Leaf, producer: Leaf, tensor: str, shared: int) -> str:
    """Return the innermost shared storage above the innermost loop that carries a recurrence."""
    loops = [
        (ours.variable, theirs.variable)
        for ours, theirs in zip(reader.temporal, producer.temporal, strict=False)
        if ours.node == theirs.node
    ]
    names = {theirs: ours for ours, theirs in loops}
    written = producer.einsum.access(tensor).write or ()
    as_read = [Affine(tuple((names.get(v, v), k) for v, k in i.terms), i.constant) for i in written]
    moving = {
        variable
        for read in reader.einsum.access(tensor).reads
        for ours, theirs in zip(read, as_read, strict=True)
        if ours != theirs
        for variable in (*ours.variables, *theirs.variables)
    }
    carrying = max((k for k, (variable, _) in enumerate(loops) if variable in moving), default=0)
    storages = reader.storages(tensor)[:shared]
    return next((s for s in reversed(storages) if s.depth <= carrying), storages[0]).component


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
