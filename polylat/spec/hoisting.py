"""Hoist a Storage: keep a tensor above the split whose branches exchange it."""

from __future__ import annotations

from dataclasses import replace

from polylat.errors import OptionError
from polylat.spec.mapping import Branch, Compute, Holder, Loop, Storage
from polylat.spec.workload import Workload

__all__ = ["hoisted"]


def hoisted(mapping: Branch, workload: Workload, tensor: str, component: str) -> Branch:
    """Return a mapping that keeps a tensor in a component for all Einsums that access it.

    Parameters
    ----------
    mapping, workload
        The root of the mapping, and the cascade.
    tensor, component
        The tensor, and the component that keeps it in one of the branches.

    Returns
    -------
    Branch
        The mapping with one Storage directly above the innermost split that has all of these
        Einsums below it, instead of those in the branches.

    Raises
    ------
    OptionError
        There is no such Storage in a branch of that split.
    """
    users = {einsum.name for einsum in workload.einsums if tensor in einsum.tensors}
    path = [mapping]
    while not isinstance(path[-1].end, Compute):
        inner = (b for b in path[-1].end.branches if users <= {c.einsum for c in b.leaves()})
        below = next(inner, None)
        if below is None:
            break
        path.append(below)
    target = path[-1]
    if isinstance(target.end, Compute) or not users:
        raise OptionError(
            f"there is no split between the Einsums that access {tensor!r}",
            fix="hoist a tensor that several Einsums of a split access",
        )
    branches = tuple(_without(branch, tensor, component) for branch in target.end.branches)
    if branches == target.end.branches:
        raise OptionError(
            f"no branch of the split {target.end.name} keeps {tensor!r} in {component!r}",
            fix="name a Storage node that is inside a branch",
        )
    storage = Storage(component, (tensor,))
    found = Branch((*target.nodes, storage), replace(target.end, branches=branches))
    for outer, old in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
        assert not isinstance(outer.end, Compute)
        others = tuple(found if branch is old else branch for branch in outer.end.branches)
        found = replace(outer, end=replace(outer.end, branches=others))
    return found


def _without(branch: Branch, tensor: str, component: str) -> Branch:
    """Return a branch in which a component does not keep a tensor."""
    nodes: list[Loop | Holder] = []
    for node in branch.nodes:
        if isinstance(node, Storage) and node.component == component and tensor in node.tensors:
            rest = tuple(name for name in node.tensors if name != tensor)
            if rest:
                nodes.append(replace(node, tensors=rest))
        else:
            nodes.append(node)
    end = branch.end
    if not isinstance(end, Compute):
        end = replace(end, branches=tuple(_without(b, tensor, component) for b in end.branches))
    return Branch(tuple(nodes), end)
