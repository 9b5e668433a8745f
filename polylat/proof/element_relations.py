"""Relations between tile iterations that have an element in common, from groups of variables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import islpy as isl

from polylat.analysis.isl_pieces import prefix_map
from polylat.proof.element_sets import ElementSet

__all__ = ["SharedElements", "combined_functions", "domain_of", "shared_elements"]


@dataclass(frozen=True)
class SharedElements:
    """The pairs of tile iterations of two leaves that have an element in common.

    Parameters
    ----------
    groups
        Per independent group of variables: the numbers of its loops on both sides, and the relation
        between their indices.
    depths
        The number of loops that index the tile iterations on both sides.
    """

    groups: tuple[tuple[tuple[int, ...], tuple[int, ...], isl.Map], ...]
    depths: tuple[int, int]

    def between(self, waiting: isl.Set, awaited: isl.Set) -> isl.Map:
        """Return the relation between sets of tile iterations.

        Parameters
        ----------
        waiting, awaited
            The sets.

        Returns
        -------
        islpy.Map
            Waiting → awaited tile iteration.
        """
        found = isl.Map.from_domain_and_range(waiting, awaited)
        for one, other, relation in self.groups:
            here, there = _selection(self.depths[0], one), _selection(self.depths[1], other)
            found &= here.apply_range(relation).apply_range(there.reverse())
        return found.coalesce()

    @property
    def last(self) -> isl.PwMultiAff:
        """Waiting tile iteration → last awaited one, in lexicographic order.

        The relation is a product of those of the groups, so the last one has the last indices of
        every group.
        """
        parts: list[isl.PwMultiAff] = []
        order: list[int] = []
        for one, other, relation in self.groups:
            select = isl.PwMultiAff.from_map(_selection(self.depths[0], one))
            parts.append(relation.lexmax_pw_multi_aff().pullback_pw_multi_aff(select))
            order += other
        return combined_functions(parts, order, *self.depths)


def shared_elements(
    pairs: Iterable[tuple[ElementSet, ElementSet]],
    depths: tuple[int, int],
    equal_loops: int,
) -> SharedElements:
    """Relate tile iterations that have an element in common.

    Parameters
    ----------
    pairs
        Per independent group of variables, the elements of waiting and of awaited tile iterations.
        Both have the same Spatial loops and ranks.
    depths
        The number of loops that index waiting and awaited tile iterations.
    equal_loops
        The number of outer loops whose indices are equal on both sides.

    Returns
    -------
    SharedElements
        The relation.
    """
    groups = []
    for waiting, awaited in pairs:
        relation = waiting.by_iteration.apply_range(awaited.by_iteration.reverse())
        for k in waiting.loops:
            if k < equal_loops:
                i, j = waiting.loops.index(k), awaited.loops.index(k)
                relation = relation.equate(isl.dim_type.in_, i, isl.dim_type.out, j)
        groups.append((waiting.loops, awaited.loops, relation.coalesce()))
    return SharedElements(tuple(groups), depths)


def combined_functions(
    parts: Sequence[isl.PwMultiAff], order: Sequence[int], waiting: int, awaited: int
) -> isl.PwMultiAff:
    """Combine functions of the same argument into one, and sort their results.

    Parameters
    ----------
    parts
        The functions.
    order
        The place of each result of the functions, one after another, among all results.
    waiting, awaited
        The number of dimensions of the argument and of all results.

    Returns
    -------
    islpy.PwMultiAff
        The function.
    """
    found = isl.PwMultiAff(f"{{ [{', '.join(f'i{k}' for k in range(waiting))}] -> [] }}")
    for part in parts:
        found = found.flat_range_product(part)
    given = ", ".join(f"t{k}" for k in order)
    wanted = ", ".join(f"t{k}" for k in range(awaited))
    sort = isl.PwMultiAff(f"{{ [{given}] -> [{wanted}] }}")
    return sort.pullback_pw_multi_aff(found).coalesce()


def domain_of(some: Sequence[ElementSet], depth: int) -> isl.Set:
    """Return the tile iterations that have elements in all groups.

    Parameters
    ----------
    some
        Per independent group of variables, the elements of tile iterations.
    depth
        The number of loops that index the tile iterations.

    Returns
    -------
    islpy.Set
        The tile iterations, as points without a name.
    """
    found = isl.Set(f"{{ [{', '.join(f'i{k}' for k in range(depth))}] }}")
    for group in some:
        found &= group.by_iteration.domain().apply(_selection(depth, group.loops).reverse())
    return found.coalesce()


def _selection(depth: int, loops: Sequence[int]) -> isl.Map:
    """Return the map from indices of loops to those of some of them."""
    if tuple(loops) == tuple(range(len(loops))):
        return prefix_map(depth, len(loops))
    dims = [f"i{k}" for k in range(depth)]
    return isl.Map(f"{{ [{', '.join(dims)}] -> [{', '.join(dims[k] for k in loops)}] }}")
