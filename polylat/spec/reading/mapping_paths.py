"""Check the paths of a mapping against the components of the architecture."""

from __future__ import annotations

from polylat.errors import MappingError
from polylat.spec.arch import Arch
from polylat.spec.mapping import Branch, Compute, Holder, Loop, Spatial, Storage, Temporal, Toll
from polylat.spec.reading.suggest import did_you_mean
from polylat.spec.workload import Workload


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
    shared = workload.shared
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
            for tensor in node.among(einsum.tensors):
                if node.component not in components:
                    raise MappingError(
                        f"{node.component!r} is not on the way to {leaf.component!r}, where "
                        f"{leaf.einsum!r} is computed, and cannot hold {tensor!r} for it",
                        where=node.where,
                        fix=did_you_mean(node.component, components),
                    )
                if isinstance(node, Toll) and tensor not in held and tensor in shared:
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
