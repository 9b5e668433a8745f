"""Which elements tile iterations touch, and which ones they write back, as ISL sets.

Each set belongs to an independent group of variables. Its dimensions are the indices of the group's
Temporal loops, then those of some Spatial loops, then the ranks of the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import islpy as isl

from polylat.lowering.paths import Leaf
from polylat.proof.relation_text import PartText, Projection, exists_text

__all__ = ["ElementSet", "touched", "written_back"]

_IN, _OUT = isl.dim_type.in_, isl.dim_type.out


@dataclass(frozen=True)
class ElementSet:
    """Elements by tile iteration, for a group of variables.

    Parameters
    ----------
    points
        The set: indices of Temporal loops, of Spatial loops, and of ranks.
    loops
        The numbers of the Temporal loops among those of the leaf, increasing.
    """

    points: isl.Set
    loops: tuple[int, ...]

    @property
    def by_iteration(self) -> isl.Map:
        """Indices of the Temporal loops → unit and element."""
        size = len(self.loops)
        rest = self.points.dim(isl.dim_type.set) - size
        return isl.Map.from_domain(self.points).move_dims(_OUT, 0, _IN, size, rest)


def touched(
    leaf: Leaf,
    index: Projection,
    depth: int,
    variables: Sequence[str],
    ranks: Sequence[int],
    units: Sequence[int],
) -> ElementSet:
    """Return the elements that the operations of tiles access.

    Parameters
    ----------
    leaf, index
        The leaf, and the projection of the access.
    depth
        The number of Temporal loops above the tiles.
    variables, ranks
        The group, and the ranks of the tensor that it indexes.
    units
        Positions of the Spatial loops to distinguish.

    Returns
    -------
    ElementSet
        The elements per tile.
    """
    positions = leaf.temporal_positions
    loops = _loops_over(leaf, variables, depth)
    text = PartText(leaf, variables, "t", [*(positions[k] for k in loops), *units])
    names, equal = _elements(index, ranks, text)
    dims = [*text.names(positions[k] for k in loops), *text.names(units), *names]
    return ElementSet(isl.Set(exists_text(dims, text.hidden, [*text.conditions, *equal])), loops)


def written_back(
    leaf: Leaf,
    tensor: str,
    level: int,
    depths: tuple[int, int],
    variables: Sequence[str],
    ranks: Sequence[int],
    units: Sequence[int],
) -> ElementSet:
    """Return the elements that tile iterations write back from a Storage.

    Per tile of the Storage and unit, an element is written back at the end of the part of the tile
    that brings it there last.

    Parameters
    ----------
    leaf, tensor, level
        The leaf, its output, and the index of the Storage on the path.
    depths
        The number of Temporal loops above the parts, and of those that index tile iterations.
    variables, ranks
        The group, and the ranks of the tensor that it indexes.
    units
        Positions of the Spatial loops to distinguish, all of them above the Storage.

    Returns
    -------
    ElementSet
        The elements per tile iteration.
    """
    within, depth = depths
    holder, positions = leaf.storages(tensor)[level], leaf.temporal_positions
    loops = _loops_over(leaf, variables, depth)
    outer = [k for k in loops if k < holder.depth]
    inner = [k for k in loops if holder.depth <= k < within]
    rest = [k for k in loops if k >= within]
    # Every unit writes back its own elements.
    own = [p for p in range(holder.position) if leaf.loops[p].unit is not None]
    own = [p for p in own if leaf.loops[p].variable in variables]
    text = PartText(leaf, variables, "t", [*(positions[k] for k in (*outer, *inner)), *own])
    index = leaf.einsum.written(tensor)
    names, equal = _elements(index, ranks, text)
    given = [*text.names(positions[k] for k in outer), *text.names(own), *names]
    compared = text.names(positions[k] for k in inner)
    relation = isl.Map.from_range(
        isl.Set(exists_text([*given, *compared], text.hidden, [*text.conditions, *equal]))
    )
    last = relation.move_dims(_IN, 0, _OUT, 0, len(given)).lexmax().wrap().flatten()
    digits = [*text.names(positions[k] for k in outer), *compared]
    behind = [f"b{k}" for k in rest]
    shown = [*digits, *behind, *text.names(p for p in own if p in units), *names]
    source, target = ", ".join([*given, *compared]), ", ".join(shown)
    found = last.apply(isl.Map(f"{{ [{source}] -> [{target}] }}"))
    if rest:
        whole = PartText(leaf, variables, "w", [positions[k] for k in loops])
        every = isl.Set(
            exists_text(whole.names(positions[k] for k in loops), whole.hidden, whole.conditions)
        )
        ends = isl.Map.from_range(every).move_dims(_IN, 0, _OUT, 0, len(digits)).lexmax()
        among = isl.Map(f"{{ [{target}] -> [{', '.join([*digits, *behind])}] }}")
        found = found.intersect(ends.wrap().flatten().apply(among.reverse()))
    return ElementSet(found, loops)


def _loops_over(leaf: Leaf, variables: Sequence[str], depth: int) -> tuple[int, ...]:
    """Return the numbers of the first Temporal loops that are over some variables."""
    return tuple(k for k in range(depth) if leaf.temporal[k].variable in variables)


def _elements(
    index: Projection, ranks: Sequence[int], text: PartText
) -> tuple[list[str], list[str]]:
    """Return names for the indices of ranks, and the equations that define them."""
    names = [f"z{r}" for r in ranks]
    return names, [f"{z} = {text.affine(index[r])}" for z, r in zip(names, ranks, strict=True)]
