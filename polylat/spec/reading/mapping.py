"""Build the tree of branches from the models of the mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polylat.errors import MappingError, UnsupportedError
from polylat.spec.mapping import (
    Branch,
    Compute,
    Holder,
    Loop,
    Pipeline,
    Sequential,
    Spatial,
    Split,
    Storage,
    Temporal,
    Toll,
)
from polylat.spec.reading.expressions.evaluation import evaluate_whole
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.mapping_names import MappingNames
from polylat.spec.reading.models import mapping as m
from polylat.spec.reading.suggest import did_you_mean
from polylat.spec.workload import Workload

_IGNORED_NODES = (m.ReservationModel, m.TextBoxModel)


def build_mapping(
    model: m.NestedModel,
    workload: Workload,
    kinds: Mapping[str, str],
    variables: Scope,
    at: Location,
) -> Branch:
    """Build the mapping as a tree of branches.

    Parameters
    ----------
    model
        The top-level key ``mapping``.
    workload
        The evaluated workload.
    kinds
        Name → kind of every component of the architecture.
    variables
        The names that tile shapes may use.
    at
        The root of the input.

    Returns
    -------
    Branch
        The root of the mapping.

    Raises
    ------
    MappingError
        The tree is malformed, or names something that does not exist.
    UnsupportedError
        A node says too little: a plain Split, or a shared loop whose rank variable is ambiguous.
    """
    reader = _MappingReader(workload, kinds, variables)
    return reader.branch(model, at / "mapping")


class _MappingReader:
    def __init__(self, workload: Workload, kinds: Mapping[str, str], variables: Scope) -> None:
        self.names = MappingNames(workload, kinds)
        self.variables = variables
        self.computed: dict[str, str] = {}

    def branch(self, node: Any, at: Location) -> Branch:
        """Build a list of nodes with the split or leaf at its end."""
        nodes: list[Loop | Holder] = []
        places = _unnested(node, at)
        for index, (inner, place) in enumerate(places):
            last = index == len(places) - 1
            if isinstance(inner, (m.SplitModel, m.ComputeNodeModel)):
                if not last:
                    kind = _kind(inner)
                    raise MappingError(
                        f"there are nodes below a {kind}, in the same list",
                        where=str(places[index + 1][1]),
                        fix="move them into its branches"
                        if isinstance(inner, m.SplitModel)
                        else f"move them above the {kind}",
                    )
                return Branch(tuple(nodes), self.end(inner, place))
            if isinstance(inner, m.LoopModel):
                nodes.append(self.loop(inner, place, node))
            else:
                nodes.append(self.holder(inner, place))
        raise MappingError(
            "the branch does not end in a Compute, a Sequential or a Pipeline",
            where=str(at),
            fix="add a Compute node at its end",
        )

    def end(self, node: Any, at: Location) -> Split | Compute:
        """Build a split or a leaf."""
        if isinstance(node, m.ComputeNodeModel):
            return self.compute(node, at)
        if not isinstance(node, (m.SequentialModel, m.PipelineModel)):
            raise UnsupportedError(
                "a Split does not say how its branches are scheduled",
                where=str(at),
                fix="write Sequential or Pipeline",
            )
        kept = [
            (n, at / "nodes" / i)
            for i, n in enumerate(node.nodes)
            if not isinstance(n, _IGNORED_NODES)
        ]
        if not kept:
            raise MappingError(
                f"the {_kind(node)} has no branches",
                where=str(at),
                fix="add branches, or remove it",
            )
        branches = tuple(self.branch(inner, place) for inner, place in kept)
        if isinstance(node, m.SequentialModel):
            return Sequential(branches, where=str(at))
        return Pipeline(branches, str(at), self.binding(node, len(branches), at / "binding"))

    def binding(self, node: m.PipelineModel, stages: int, at: Location) -> tuple[int, ...]:
        """Read which stages of a Pipeline share units: those with equal numbers."""
        if node.binding and len(node.binding) != stages:
            raise MappingError(
                f"the binding has {len(node.binding)} numbers, the Pipeline has {stages} stages",
                where=str(at),
                fix="give a number for each stage: equal ones where stages share units",
            )
        return tuple(
            evaluate_whole(
                number, self.variables, at / i, what="the number of a stage's units", least=0
            )
            for i, number in enumerate(node.binding)
        )

    def compute(self, node: m.ComputeNodeModel, at: Location) -> Compute:
        """Build a leaf."""
        if node.einsum not in self.names.einsums:
            raise MappingError(
                f"the workload has no Einsum {node.einsum!r}",
                where=str(at / "einsum"),
                fix=did_you_mean(node.einsum, self.names.einsums),
            )
        if node.einsum in self.computed:
            raise MappingError(
                f"the Einsum {node.einsum!r} is computed twice",
                where=str(at),
                fix=f"keep one Compute node for it; the other is at {self.computed[node.einsum]}",
            )
        self.names.check_component(node.component, at / "component", ("Compute",), "Compute")
        self.computed[node.einsum] = str(at)
        return Compute(node.einsum, node.component, where=str(at))

    def holder(self, node: Any, at: Location) -> Holder:
        """Build a Storage or a Toll."""
        assert isinstance(node, m.HolderNodeModel)
        is_toll = isinstance(node, m.TollNodeModel)
        kind = "Toll" if is_toll else "Memory"
        self.names.check_component(
            node.component, at / "component", (kind,), "Toll" if is_toll else "Storage"
        )
        known = self.names.tensors
        for index, tensor in enumerate(node.tensors):
            place = at / "tensors" / index
            if tensor not in known:
                raise MappingError(
                    f"the workload has no tensor {tensor!r}",
                    where=str(place),
                    fix=did_you_mean(tensor, known),
                )
            if tensor in node.tensors[:index]:
                raise MappingError(f"the tensor {tensor!r} is listed twice", where=str(place))
        made = Toll if is_toll else Storage
        return made(node.component, tuple(node.tensors), where=str(at))

    def loop(self, node: m.LoopModel, at: Location, siblings: Any) -> Loop:
        """Build a loop; `siblings` is the model of the list that contains it."""
        here = at / "rank_variable"
        by_einsum: tuple[tuple[str, str], ...] = ()
        if isinstance(node.rank_variable, str):
            variable = node.rank_variable
            self.names.check_rank_variable(variable, here)
        else:
            below = [c.einsum for c in _computes(siblings) if c.einsum in self.names.einsums]
            by_einsum = self.names.match_rank_variables(node.rank_variable, below, here)
            variable = ",".join(sorted({name for _, name in by_einsum}))
        if "," not in variable:
            by_einsum = ()
        shape = evaluate_whole(
            node.tile_shape, self.variables, at / "tile_shape", what="the tile shape"
        )
        initial: int | None = None
        if node.initial_tile_shape is not None:
            initial = evaluate_whole(
                node.initial_tile_shape,
                self.variables,
                at / "initial_tile_shape",
                what="the initial tile shape",
            )
        if not isinstance(node, m.SpatialLoopModel):
            return Temporal(variable, shape, str(at), by_einsum, initial)
        if initial not in (None, shape):
            raise UnsupportedError(
                f"a Spatial loop has an initial_tile_shape ({initial}) that is not its tile_shape"
                f" ({shape}): its units would have tiles of different sizes",
                where=str(at / "initial_tile_shape"),
                fix="leave initial_tile_shape out, or give it to a Temporal loop",
            )
        if node.component not in self.names.kinds:
            self.names.check_component(
                node.component, at / "component", tuple(self.names.kinds), "Spatial"
            )
        return Spatial(variable, shape, node.component, node.name, str(at), by_einsum)


def _unnested(node: Any, at: Location) -> list[tuple[Any, Location]]:
    """The nodes of a list, with Nested nodes replaced by their contents."""
    if not isinstance(node, m.NestedModel):
        return [] if isinstance(node, _IGNORED_NODES) else [(node, at)]
    found: list[tuple[Any, Location]] = []
    for index, inner in enumerate(node.nodes):
        found.extend(_unnested(inner, at / "nodes" / index))
    return found


def _computes(node: Any) -> Iterator[m.ComputeNodeModel]:
    """Yield the Compute nodes at or below a node."""
    if isinstance(node, m.ComputeNodeModel):
        yield node
    for inner in getattr(node, "nodes", ()):
        yield from _computes(inner)


def _kind(node: Any) -> str:
    for kind, name in (
        (m.SequentialModel, "Sequential"),
        (m.PipelineModel, "Pipeline"),
        (m.SplitModel, "Split"),
    ):
        if isinstance(node, kind):
            return name
    return "Compute"
