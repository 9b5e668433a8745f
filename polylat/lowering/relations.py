"""The iteration domain and the tiling of a leaf as ISL relations.

References
----------
Verdoolaege, "isl: An Integer Set Library for the Polyhedral Model", ICMS 2010.
"""

from __future__ import annotations

from collections.abc import Mapping

import islpy as isl

from polylat.lowering.isl_text import (
    affine_text,
    conjunction,
    digits_within,
    quote,
    tile_condition,
)
from polylat.lowering.paths import Leaf, PathLoop

__all__ = ["domain", "tiling"]


def domain(leaf: Leaf) -> isl.Set:
    """Return the iteration domain of a leaf: its operations.

    Parameters
    ----------
    leaf
        The leaf.

    Returns
    -------
    islpy.Set
        The operations.

    Examples
    --------
    >>> import polylat
    >>> from polylat.lowering.tree import mapping_leaves
    >>> files = ["examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml"]
    >>> leaf = mapping_leaves(polylat.load(*files))[0]
    >>> print(domain(leaf))
    { e1[m, n0, n1] : 0 <= m <= 7 and 0 <= n0 <= 7 and 0 <= n1 <= 7 }
    """
    names = _names(leaf, "")
    bounds = conjunction(_range(leaf, v, names) for v in leaf.einsum.rank_variables)
    tied = [f"{affine_text(c, names)} >= 0" for c in leaf.coupled]
    space = f"{quote(leaf.einsum.name)}[{', '.join(names.values())}]"
    return isl.Set(f"{{ {space} : {conjunction([bounds, *tied])} }}")


def tiling(leaf: Leaf, depth: int) -> isl.Map:
    """Return the tiling relation of a leaf: tile iteration → operation.

    Parameters
    ----------
    leaf
        The leaf.
    depth
        Number of Temporal loops that index the tile iterations. Spatial loops are inside: a tile
        iteration has the operations of all units.

    Returns
    -------
    islpy.Map
        Tile iteration → operations.
    """
    names = _names(leaf, "")
    digits = {p: f"i{p}" for p, loop in _temporal(leaf)[:depth]}
    inner = digits_within(leaf, leaf.einsum.rank_variables, digits)
    hidden = {p: f"u{p}" for p in inner if p not in digits}
    chains = conjunction(
        tile_condition(leaf, v, names[v], {**digits, **hidden}) for v in leaf.einsum.rank_variables
    )
    tied = [f"{affine_text(c, names)} >= 0" for c in leaf.coupled]
    exists = f"exists {', '.join(hidden.values())} : " if hidden else ""
    name = quote(leaf.einsum.name)
    source = f"{name}_tile[{', '.join(digits.values())}]"
    target = f"{name}[{', '.join(names.values())}]"
    return isl.Map(f"{{ {source} -> {target} : {exists}{conjunction([chains, *tied])} }}")


def _temporal(leaf: Leaf) -> list[tuple[int, PathLoop]]:
    return [(p, loop) for p, loop in enumerate(leaf.loops) if loop.unit is None]


def _names(leaf: Leaf, prefix: str) -> dict[str, str]:
    return {v: quote(f"{prefix}{v}") for v in leaf.einsum.rank_variables}


def _range(leaf: Leaf, variable: str, names: Mapping[str, str]) -> str:
    low, high = leaf.ranges[variable]
    return f"{low} <= {names[variable]} <= {high}"
