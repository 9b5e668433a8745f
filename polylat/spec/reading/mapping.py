"""Build the tree of branches from the models of the mapping, and check it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polylat.errors import MappingError, UnsupportedError
from polylat.spec.arch import Arch
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
from polylat.spec.reading import models as m
from polylat.spec.reading.expressions import evaluate_whole
from polylat.spec.reading.scope import Scope
from polylat.spec.reading.suggest import did_you_mean
from polylat.spec.reading.tree import Location
from polylat.spec.workload import Workload

_IGNORED_NODES = (m.ReservationModel, m.TextBoxModel)


def build_mapping(
    model: m.NestedModel, workload: Workload, kinds: Mapping[str, str], variables: Scope, at: Location
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
        The tree is malformed, names something that does not exist, or omits an Einsum.
    UnsupportedError
        A node says too little: a plain Split, or a shared loop whose rank variable is ambiguous.
    """
    reader = _Reader(workload, kinds, variables)
    here = at / "mapping"
    branch = reader.branch(model, here)
    missing = [e.name for e in workload.einsums if e.name not in reader.computed]
    if missing:
        raise MappingError(
            f"no Compute node computes {', '.join(map(repr, missing))}",
            where=str(here),
            fix="add a branch that ends in a Compute node for each Einsum",
        )
    return branch


def check_paths(branch: Branch, workload: Workload, arch: Arch) -> None:
    """Check every path of the tree against the components on the way to its Compute.

    Parameters
    ----------
    branch
        The root of the mapping.
    workload
        The evaluated workload.
    arch
        The evaluated architecture.

    Raises
    ------
    MappingError
        A path has a loop or a holder that its Einsum cannot have, or lacks a holder.
    """
    _check_branch(branch, (), workload, arch)


class _Reader:
    def __init__(self, workload: Workload, kinds: Mapping[str, str], variables: Scope) -> None:
        self.workload = workload
        self.kinds = kinds
        self.variables = variables
        self.einsums = {e.name: e for e in workload.einsums}
        self.rank_variables = list(
            dict.fromkeys(v for e in workload.einsums for v in e.rank_variables)
        )
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
        kind = Pipeline if isinstance(node, m.PipelineModel) else Sequential
        return kind(branches, where=str(at))

    def compute(self, node: m.ComputeNodeModel, at: Location) -> Compute:
        """Build a leaf."""
        if node.einsum not in self.einsums:
            raise MappingError(
                f"the workload has no Einsum {node.einsum!r}",
                where=str(at / "einsum"),
                fix=did_you_mean(node.einsum, self.einsums),
            )
        if node.einsum in self.computed:
            raise MappingError(
                f"the Einsum {node.einsum!r} is computed twice",
                where=str(at),
                fix=f"keep one Compute node for it; the other is at {self.computed[node.einsum]}",
            )
        self.component(node.component, at / "component", ("Compute",), "Compute")
        self.computed[node.einsum] = str(at)
        return Compute(node.einsum, node.component, where=str(at))

    def holder(self, node: Any, at: Location) -> Holder:
        """Build a Storage or a Toll."""
        assert isinstance(node, m.HolderNodeModel)
        is_toll = isinstance(node, m.TollNodeModel)
        kind = "Toll" if is_toll else "Memory"
        self.component(node.component, at / "component", (kind,), "Toll" if is_toll else "Storage")
        known = self.workload.tensors
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
            self.rank_variable(variable, here)
        else:
            below = [c.einsum for c in _computes(siblings) if c.einsum in self.einsums]
            by_einsum = self.by_einsum(node.rank_variable, below, here)
            variable = ",".join(sorted({name for _, name in by_einsum}))
        if "," not in variable:
            by_einsum = ()
        shape = evaluate_whole(
            node.tile_shape, self.variables, at / "tile_shape", what="the tile shape"
        )
        if not isinstance(node, m.SpatialLoopModel):
            return Temporal(variable, shape, str(at), by_einsum)
        if node.component not in self.kinds:
            self.component(node.component, at / "component", tuple(self.kinds), "Spatial")
        return Spatial(variable, shape, node.component, node.name, str(at), by_einsum)

    def rank_variable(self, name: str, at: Location) -> None:
        """Check that some Einsum has the rank variable."""
        if name not in self.rank_variables:
            raise MappingError(
                f"no Einsum has the rank variable {name!r}",
                where=str(at),
                fix=did_you_mean(name, self.rank_variables),
            )

    def by_einsum(self, given: Any, below: list[str], at: Location) -> tuple[tuple[str, str], ...]:
        """Return (Einsum, its rank variable) for a loop over several rank variables.

        In AccelForge a set of rank variables means that Einsums share a loop under different
        names. The name in an Einsum is determined if the Einsum has only one of them.
        """
        if isinstance(given, dict):
            for name in given:
                if name not in below:
                    raise MappingError(
                        f"there is no Einsum {name!r} below the loop",
                        where=str(at / name),
                        fix=did_you_mean(name, below),
                    )
                self.rank_variable(given[name], at / name)
        else:
            for index, name in enumerate(given):
                self.rank_variable(name, at / index)
        found = []
        for einsum in below:
            has = self.einsums[einsum].rank_variables
            if isinstance(given, dict):
                candidates = [given[einsum]] if given.get(einsum) in has else []
            else:
                candidates = [v for v in given if v in has]
            if not candidates:
                raise MappingError(
                    f"the loop over {', '.join(map(repr, _names(given)))} is above {einsum!r},"
                    " which has none of these rank variables"
                    if not isinstance(given, dict)
                    else f"the loop does not say which rank variable of {einsum!r} it runs over",
                    where=str(at),
                    fix=f"name one of {', '.join(has)}",
                )
            if len(candidates) > 1:
                raise UnsupportedError(
                    f"the loop is ambiguous: {einsum!r} has several of its rank variables,"
                    f" {', '.join(map(repr, candidates))}, and the set does not say which is meant",
                    where=str(at),
                    fix=f"name one per Einsum: {{{einsum}: {candidates[0]}, …}}; or, if"
                    " AccelForge's mapper made it, give polylat the Mappings rather than the"
                    " Mapping",
                )
            found.append((einsum, candidates[0]))
        return tuple(found)

    def component(self, name: str, at: Location, allowed: tuple[str, ...], node: str) -> None:
        """Check that a component exists and is of the right kind."""
        if name not in self.kinds:
            raise MappingError(
                f"the architecture has no component {name!r}",
                where=str(at),
                fix=did_you_mean(name, self.kinds),
            )
        kind = self.kinds[name]
        if kind not in allowed:
            suitable = {"Memory": "Storage", "Toll": "Toll", "Compute": "Compute"}.get(kind)
            raise MappingError(
                f"a {node} node names {name!r}, which is a {kind}",
                where=str(at),
                fix=f"write a {suitable} node"
                if suitable and suitable != "Compute" and node != "Compute"
                else f"name a {allowed[0]}",
            )


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


def _names(given: Any) -> list[str]:
    """Distinct rank variables of a loop over several."""
    return list(dict.fromkeys(given.values() if isinstance(given, dict) else given))


def _kind(node: Any) -> str:
    for kind, name in (
        (m.SequentialModel, "Sequential"),
        (m.PipelineModel, "Pipeline"),
        (m.SplitModel, "Split"),
    ):
        if isinstance(node, kind):
            return name
    return "Compute"


def _check_branch(
    branch: Branch, above: tuple[Loop | Holder, ...], workload: Workload, arch: Arch
) -> None:
    path = (*above, *branch.nodes)
    if isinstance(branch.end, Compute):
        _check_path(path, branch.end, workload, arch)
        return
    for inner in branch.end.branches:
        _check_branch(inner, path, workload, arch)


def _check_path(
    path: tuple[Loop | Holder, ...], leaf: Compute, workload: Workload, arch: Arch
) -> None:
    einsum = workload.einsum(leaf.einsum)
    components = {c.name: i for i, c in enumerate(arch.paths[leaf.einsum])}
    held: dict[str, tuple[int, str]] = {}
    exchanged = [t for t in einsum.tensors if sum(t in e.tensors for e in workload.einsums) > 1]
    for node in path:
        if (
            isinstance(node, (Temporal, Spatial))
            and node.variable(einsum.name) not in einsum.rank_variables
        ):
            raise MappingError(
                f"the loop over {node.rank_variable!r} is above {leaf.einsum!r}, which "
                "does not have this rank variable",
                where=node.where,
                fix="move the loop below the split, into the branches that have it",
            )
        if isinstance(node, Spatial):
            _check_spatial(node, leaf, arch)
        if isinstance(node, (Storage, Toll)):
            for tensor in node.tensors:
                if tensor not in einsum.tensors:
                    continue
                if node.component not in components:
                    raise MappingError(
                        f"{node.component!r} is not on the way to {leaf.component!r}, where "
                        f"{leaf.einsum!r} is computed, and cannot hold {tensor!r} for it",
                        where=node.where,
                        fix=did_you_mean(node.component, components),
                    )
                if isinstance(node, Toll) and tensor not in held and tensor in exchanged:
                    raise MappingError(
                        f"the Toll {node.component!r} is the outermost holder of {tensor!r}, which "
                        "several Einsums access",
                        where=node.where,
                        fix="add a Storage node for it above",
                    )
                depth = components[node.component]
                outer_depth, outer = held.get(tensor, (-1, ""))
                if depth == outer_depth:
                    raise MappingError(
                        f"{node.component!r} holds {tensor!r} twice on the way to {leaf.einsum!r}",
                        where=node.where,
                        fix="remove one of the two nodes",
                    )
                if depth < outer_depth:
                    raise MappingError(
                        f"{node.component!r} holds {tensor!r} below {outer!r}, which is closer to "
                        "the compute",
                        where=node.where,
                        fix="order the nodes as the components in the architecture",
                    )
                held[tensor] = (depth, node.component)
    missing = [t for t in einsum.tensors if t not in held]
    if missing:
        raise MappingError(
            f"nothing holds {', '.join(map(repr, missing))} above {leaf.einsum!r}",
            where=leaf.where,
            fix="add a Storage node",
        )


def _check_spatial(node: Spatial, leaf: Compute, arch: Arch) -> None:
    found = next((c for c in arch.paths[leaf.einsum] if c.name == node.component), None)
    if found is None:
        raise MappingError(
            f"{node.component!r} is not on the way to {leaf.component!r}, where {leaf.einsum!r} "
            "is computed",
            where=node.where,
            fix=did_you_mean(node.component, [c.name for c in arch.paths[leaf.einsum]]),
        )
    names = [dim.name for dim in found.spatial]
    if node.dimension not in names:
        raise MappingError(
            f"{node.component!r} has no spatial dimension {node.dimension!r}",
            where=node.where,
            fix=did_you_mean(node.dimension, names) or f"give {node.component} a spatial: list",
        )
