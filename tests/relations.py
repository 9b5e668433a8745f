"""Whole ISL relations of a leaf, against which the scanned arrays are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import islpy as isl

from polylat.lowering.isl_text import (
    affine_text,
    quote,
)
from polylat.lowering.paths import Leaf, PathLoop
from polylat.lowering.relations import domain, tiling


def access(leaf: Leaf, tensor: str) -> isl.Map:
    """Return the access relation of a leaf: operation → element.

    Parameters
    ----------
    leaf, tensor
        The leaf, and a tensor that it accesses.

    Returns
    -------
    islpy.Map
        Operation → element of the tensor.
    """
    names = _names(leaf, "")
    indices = ", ".join(affine_text(i, names) for i in leaf.einsum.access(tensor).projection)
    space = f"{quote(leaf.einsum.name)}[{', '.join(names.values())}]"
    return isl.Map(f"{{ {space} -> {quote(tensor)}[{indices}] }}").intersect_domain(domain(leaf))


def footprint(leaf: Leaf, tensor: str, depth: int) -> isl.Map:
    """Return the footprint relation of a leaf: tile → element.

    Parameters
    ----------
    leaf, tensor
        The leaf, and a tensor that it accesses.
    depth
        Number of Temporal loops that index the tiles.

    Returns
    -------
    islpy.Map
        Tile → the elements that its operations touch.
    """
    return tiling(leaf, depth).apply_range(access(leaf, tensor))


def flow(reader: Leaf, bringer: Leaf, tensor: str, level: int, depths: tuple[int, int]) -> isl.Map:
    """Return the flow between two leaves: tile iteration of the bringer → dependent one.

    Dependent tile iterations touch the same element of the tensor in the same residency: they
    have equal indices of the loops above the storage in which the leaves exchange it.

    Parameters
    ----------
    reader, bringer
        The two leaves.
    tensor, level
        The tensor, and the index of the shared storage among its storages.
    depths
        Number of Temporal loops that index the tile iterations of bringer and reader.

    Returns
    -------
    islpy.Map
        Tile iterations of the bringer → tile iterations of the reader.
    """
    holder = reader.storages(tensor)[level]
    touched = footprint(bringer, tensor, depths[0]).apply_range(
        footprint(reader, tensor, depths[1]).reverse()
    )
    space = touched.get_space()
    same = isl.Map.universe(space)
    for k in range(holder.depth):
        same = same.equate(isl.dim_type.in_, k, isl.dim_type.out, k)
    return touched & same


def dates(leaf: Leaf, depth: int, shifts: Mapping[int, Sequence[int]] | None = None) -> isl.Map:
    """Return the schedule of a leaf: tile iteration → logical date, in lexicographic order.

    Parameters
    ----------
    leaf, depth
        The leaf, and the number of Temporal loops that index its tile iterations.
    shifts
        Per Pipeline (tree node) the shift of each stage: the skewed dates. None: program order.

    Returns
    -------
    islpy.Map
        Tile iterations → dates.

    Notes
    -----
    A date alternates loop indices and branch numbers along the path, as the 2d + 1 schedules of
    Feautrier (1992) and Kelly and Pugh (1993): per split the linearized index of the loops between
    it and the split above, then the branch; last the remaining indices. `date_tags` names the
    dimensions. Under a Pipeline with shifts, (t, s) becomes (t + shift, -s).
    """
    digits = [f"i{p}" for p, _ in _temporal(leaf)[:depth]]
    columns: list[str] = []
    above = 0
    for split in leaf.splits:
        turn = "0"
        for k in range(above, split.depth):
            turn = f"({turn})*{leaf.temporal_trips[k]} + {digits[k]}"
        if shifts is not None and split.pipeline:
            columns += [f"{turn} + {shifts[split.node][split.branch]}", str(-split.branch)]
        else:
            columns += [turn, str(split.branch)]
        above = split.depth
    columns += digits[above:]
    source = f"{quote(leaf.einsum.name)}_tile[{', '.join(digits)}]"
    text = f"{{ {source} -> date[{', '.join(columns)}] }}"
    return isl.Map(text).intersect_domain(tiling(leaf, depth).domain())


def date_tags(leaf: Leaf, depth: int) -> tuple[str, ...]:
    """Return the meaning of each dimension of a leaf's `dates`.

    Parameters
    ----------
    leaf, depth
        As for `dates`.

    Returns
    -------
    tuple of str
        ``"turn"`` (linearized loops above a split), ``"Sequential"`` or ``"Pipeline"`` (its
        branch), ``"index"`` (a loop below all splits).
    """
    tags: list[str] = []
    for split in leaf.splits:
        tags += ["turn", "Pipeline" if split.pipeline else "Sequential"]
    above = leaf.splits[-1].depth if leaf.splits else 0
    return (*tags, *["index"] * (depth - above))


def _names(leaf: Leaf, prefix: str) -> dict[str, str]:
    return {v: quote(f"{prefix}{v}") for v in leaf.einsum.rank_variables}


def _temporal(leaf: Leaf) -> list[tuple[int, PathLoop]]:
    return [(p, loop) for p, loop in enumerate(leaf.loops) if loop.unit is None]
