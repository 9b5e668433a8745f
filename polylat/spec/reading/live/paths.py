"""Paths of AccelForge's mappings: the leaves, and the nodes above each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def leaves_below(node: Any, above: tuple[Any, ...]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Iterate over the leaves of one of AccelForge's mappings.

    Parameters
    ----------
    node
        A node with branches.
    above
        The nodes above it.

    Yields
    ------
    tuple of (str, tuple)
        Einsum and the nodes above it, outermost first.
    """
    for inner in node.nodes:
        if hasattr(inner, "nodes"):
            yield from leaves_below(inner, above)
        elif hasattr(inner, "einsum"):
            yield inner.einsum, above
        else:
            above = (*above, inner)


def single_einsum_leaves(table: Any, index: int, einsum: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the leaf of an Einsum's own mapping in the mapper's table.

    Parameters
    ----------
    table, index
        The table (None if there is none), and the row of the mapping.
    einsum
        Name of the Einsum.

    Returns
    -------
    list of tuple of (str, tuple)
        As from `leaves_below`; empty if the table has no such mapping.
    """
    column = f"{einsum}<SEP>mapping"
    if table is None or column not in table.columns:
        return []
    single = table[column].iloc[index]
    return list(leaves_below(single, ())) if hasattr(single, "nodes") else []


def loop_key(loop: Any) -> tuple[str, Any, Any]:
    """Return what identifies a loop on its path.

    Parameters
    ----------
    loop
        A loop of AccelForge's mapping.

    Returns
    -------
    tuple of (str, Any, Any)
        Kind, rank variables and tile shape.
    """
    return type(loop).__name__, loop.rank_variable, loop.tile_shape
