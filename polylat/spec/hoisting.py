"""Move Storages of a tensor above the split whose branches access it."""

from __future__ import annotations

from dataclasses import replace

from polylat.errors import OptionError
from polylat.spec.mapping import Branch, Compute, Loop, Storage
from polylat.spec.rewriting import without_storage
from polylat.spec.workload import Workload

__all__ = ["hoisted", "merged"]


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
    tensor = dict(workload.earlier).get(tensor, tensor)
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
    names = workload.names_of(tensor)
    branches = tuple(
        without_storage(branch, tensor, component, names) for branch in target.end.branches
    )
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


def merged(mapping: Branch, workload: Workload) -> Branch:
    """Return a mapping with one Storage where each branch of a split begins with one.

    AccelForge takes the outermost Storages of a tensor in the branches of a split for one buffer
    if they are in one component and no loop stands between the split and them.

    Parameters
    ----------
    mapping, workload
        The root of the mapping, and the cascade.

    Returns
    -------
    Branch
        The mapping with one Storage directly above the split instead; it is marked as `merged`.
    """
    return _merged(mapping, workload, frozenset())


def _merged(branch: Branch, workload: Workload, above: frozenset[str]) -> Branch:
    end = branch.end
    if isinstance(end, Compute):
        return branch
    stored = (n.tensors for n in branch.nodes if isinstance(n, Storage))
    held = above.union(*stored)
    branches = tuple(_merged(inner, workload, held) for inner in end.branches)
    used = [
        {t for leaf in b.leaves() for t in workload.einsum(leaf.einsum).tensors} for b in branches
    ]
    heads = [_heads(inner, held) for inner in branches]
    firsts: dict[tuple[str, str], Storage] = {}
    for head in heads:
        firsts = {**head, **firsts}
    nodes: dict[str, Storage] = {}
    for (tensor, component), node in firsts.items():
        users = [head for head, tensors in zip(heads, used, strict=True) if tensor in tensors]
        if len(users) > 1 and all((tensor, component) in head for head in users):
            original = None if node.original is None else ()
            made = Storage(component, (), node.where, merged=True, original=original)
            known = nodes.setdefault(component, made)
            nodes[component] = replace(known, tensors=(*known.tensors, tensor))
            branches = tuple(without_storage(inner, tensor, component) for inner in branches)
    return Branch((*branch.nodes, *nodes.values()), replace(end, branches=branches))


def _heads(branch: Branch, above: frozenset[str]) -> dict[tuple[str, str], Storage]:
    """Return the outermost holders before the first loop of a branch: (tensor, component) → node.

    Those of tensors that are held above the branch are no outermost ones.
    """
    found: dict[str, tuple[str, Storage]] = {}
    for node in branch.nodes:
        if isinstance(node, Loop):
            break
        if isinstance(node, Storage):
            for tensor in node.tensors:
                if tensor not in above:
                    found.setdefault(tensor, (node.component, node))
    return {(tensor, component): node for tensor, (component, node) in found.items()}
