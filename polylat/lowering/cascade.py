"""The cascade of a mapping as a graph: which leaf reads what which other leaf produces."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from polylat.lowering.paths import Leaf

__all__ = ["cascade_graph", "exchanged_tensors", "producer_of"]


def cascade_graph(leaves: Sequence[Leaf]) -> nx.MultiDiGraph[int]:
    """Return the producers and readers of all tensors.

    Parameters
    ----------
    leaves
        The leaves of a mapping.

    Returns
    -------
    networkx.MultiDiGraph
        A node per leaf (its number), and per tensor an edge from its producer to each reader, with
        the tensor as its key. Edges into a reader are in the order of its accesses. A recurrence
        is an edge from a leaf to itself, or to an earlier one.
    """
    producers = {tensor: leaf for leaf in leaves for tensor in leaf.einsum.outputs}
    graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    graph.add_nodes_from(leaf.number for leaf in leaves)
    for reader in leaves:
        for tensor in reader.einsum.reads:
            if tensor in producers:
                graph.add_edge(producers[tensor].number, reader.number, key=tensor)
    return graph


def producer_of(graph: nx.MultiDiGraph[int], reader: int, tensor: str) -> int | None:
    """Return the leaf that produces an input of another leaf.

    Parameters
    ----------
    graph
        The cascade.
    reader, tensor
        The number of a leaf, and one of its inputs.

    Returns
    -------
    int or None
        The number of the producer; None where no Einsum produces the tensor.
    """
    for producer, _, key in graph.in_edges(reader, keys=True):
        if key == tensor:
            return int(producer)
    return None


def exchanged_tensors(graph: nx.MultiDiGraph[int]) -> set[str]:
    """Return the tensors that one leaf produces and another one, or itself, reads.

    Parameters
    ----------
    graph
        The cascade.

    Returns
    -------
    set of str
        Their names.
    """
    return {tensor for *_, tensor in graph.edges(keys=True)}
