"""Find the loops above an Einsum in a mapping, and replace nodes of the mapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from polylat.spec.mapping import Branch, Compute, Holder, Loop, Storage, Temporal

__all__ = [
    "Place",
    "is_loop_over",
    "node_at",
    "nodes_below",
    "path_of",
    "temporal_loops_of",
    "with_nodes",
    "without_storage",
]

Node = Loop | Holder


@dataclass(frozen=True)
class Place:
    """The place of a node in a mapping.

    Parameters
    ----------
    branches
        Per split above it, the number of the branch that leads to it.
    position
        Its position among the nodes of its branch.
    """

    branches: tuple[int, ...]
    position: int


def path_of(mapping: Branch, einsum: str) -> tuple[Place, ...]:
    """Return the places of the nodes above the leaf of an Einsum.

    Parameters
    ----------
    mapping
        The root of the mapping.
    einsum
        Name of an Einsum that it computes.

    Returns
    -------
    tuple of Place
        The nodes, outermost first.
    """
    return tuple(_path(mapping, einsum, ()))


def temporal_loops_of(mapping: Branch, einsum: str) -> list[Place]:
    """Return the places of the Temporal loops above the leaf of an Einsum.

    Parameters
    ----------
    mapping, einsum
        As for `path_of`.

    Returns
    -------
    list of Place
        The loops, outermost first.
    """
    path = path_of(mapping, einsum)
    return [place for place in path if isinstance(node_at(mapping, place), Temporal)]


def _path(branch: Branch, einsum: str, above: tuple[int, ...]) -> Iterator[Place]:
    yield from (Place(above, position) for position in range(len(branch.nodes)))
    if isinstance(branch.end, Compute):
        return
    for number, inner in enumerate(branch.end.branches):
        if any(leaf.einsum == einsum for leaf in inner.leaves()):
            yield from _path(inner, einsum, (*above, number))


def _branch_at(mapping: Branch, branches: Iterable[int]) -> Branch:
    for number in branches:
        assert not isinstance(mapping.end, Compute), "the branches are those of splits"
        mapping = mapping.end.branches[number]
    return mapping


def node_at(mapping: Branch, place: Place) -> Node:
    """Return a node of a mapping.

    Parameters
    ----------
    mapping, place
        The root of the mapping, and the place of the node.

    Returns
    -------
    Temporal, Spatial, Storage or Toll
        The node.
    """
    return _branch_at(mapping, place.branches).nodes[place.position]


def nodes_below(mapping: Branch, place: Place) -> tuple[Node, ...]:
    """Return the nodes below a node in its own branch.

    Parameters
    ----------
    mapping, place
        The root of the mapping, and the place of the node.

    Returns
    -------
    tuple
        The nodes, outermost first.
    """
    return _branch_at(mapping, place.branches).nodes[place.position + 1 :]


def with_nodes(mapping: Branch, place: Place, *nodes: Node) -> Branch:
    """Replace a node of a mapping.

    Parameters
    ----------
    mapping, place
        The root of the mapping, and the place of the node.
    *nodes
        What stands there instead, outermost first.

    Returns
    -------
    Branch
        The changed mapping.
    """
    if not place.branches:
        old = mapping.nodes
        found = (*old[: place.position], *nodes, *old[place.position + 1 :])
        return replace(mapping, nodes=found)
    first, *rest = place.branches
    end = mapping.end
    assert not isinstance(end, Compute), "the branches are those of splits"
    inner = with_nodes(end.branches[first], Place(tuple(rest), place.position), *nodes)
    branches = (*end.branches[:first], inner, *end.branches[first + 1 :])
    return replace(mapping, end=replace(end, branches=branches))


def without_storage(
    branch: Branch,
    tensor: str,
    component: str,
    names: Iterable[str] = (),
    kept: Storage | None = None,
) -> Branch:
    """Return a branch in which a component does not keep a tensor.

    Parameters
    ----------
    branch
        The branch, or the root of a mapping.
    tensor, component
        The tensor, and the component that keeps it.
    names
        All names that the input gives to the tensor: nodes keep the other names that they have in
        the input.
    kept
        A node that stays as it is.

    Returns
    -------
    Branch
        The changed branch.
    """
    names = tuple(names)
    nodes: list[Node] = []
    for node in branch.nodes:
        if (
            isinstance(node, Storage)
            and node is not kept
            and node.component == component
            and tensor in node.tensors
        ):
            rest = tuple(name for name in node.tensors if name != tensor)
            original = node.original and tuple(n for n in node.original if n not in names)
            if rest or original:
                nodes.append(replace(node, tensors=rest, original=original))
        else:
            nodes.append(node)
    end = branch.end
    if not isinstance(end, Compute):
        inner = tuple(without_storage(b, tensor, component, names, kept) for b in end.branches)
        end = replace(end, branches=inner)
    return Branch(tuple(nodes), end)


def is_loop_over(node: Node, like: Temporal) -> bool:
    """Return whether a node is a Temporal loop over the rank variable of another one.

    Parameters
    ----------
    node, like
        The node, and the loop.

    Returns
    -------
    bool
        Whether both have the same rank variable, for each Einsum.
    """
    return (
        isinstance(node, Temporal)
        and (node.rank_variable, node.by_einsum) == (like.rank_variable, like.by_einsum)
        and node.initial_tile_shape is None
    )
