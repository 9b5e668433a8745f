"""Sets of elements as products over independent groups of variables, and their differences.

The elements that an access touches are a product over the groups. The difference of two products
is a union of products, so that no set has more dimensions than a group needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import islpy as isl

from polylat.proof.relation_text import (
    ElementGroup,
    LeafAccess,
    PartText,
    Projection,
    exists_text,
)

__all__ = ["Frame", "Product", "element_product", "is_nowhere", "met", "minus"]

Product = tuple[isl.Set, ...]
"""Per group, a set of (indices of loops, elements)."""


@dataclass(frozen=True)
class Frame:
    """The dimensions of a group's sets: the indices of some loops, then the ranks of the group.

    Parameters
    ----------
    group
        The group.
    loops
        Positions of the loops on the path of the first access.
    common
        The number of outer loops that all accesses in the tile share.
    """

    group: ElementGroup
    loops: tuple[int, ...]
    common: int

    def elements(self, access: LeafAccess, number: int, index: Projection) -> isl.Set:
        """Return what an access touches, by one of its projections.

        Parameters
        ----------
        access, number
            The access, and its number among those of the group.
        index
            The projection.

        Returns
        -------
        islpy.Set
            The set. An access other than the first has its elements at any index of a loop that it
            does not share.
        """
        reach = len(access.leaf.loops) if not number else self.common if access.in_tile else 0
        shown = [p for p in self.loops if p < reach]
        text = PartText(access.leaf, self.group.variables[number], "x", shown)
        names = [f"z{r}" for r in self.group.ranks]
        equal = [f"z{r} = {text.affine(index[r])}" for r in self.group.ranks]
        dims = [*(text.index[p] if p < reach else f"any{p}" for p in self.loops), *names]
        return isl.Set(exists_text(dims, text.hidden, [*text.conditions, *equal]))


def element_product(
    frames: Sequence[Frame], access: LeafAccess, number: int, index: Projection
) -> Product:
    """Return what an access touches, by one of its projections.

    Parameters
    ----------
    frames
        Per group, its dimensions.
    access, number, index
        As for `Frame.elements`.

    Returns
    -------
    tuple of islpy.Set
        The product.
    """
    return tuple(frame.elements(access, number, index) for frame in frames)


def is_nowhere(some: Product) -> bool:
    """Return whether a product is empty.

    Parameters
    ----------
    some
        The product.

    Returns
    -------
    bool
        Whether it is.
    """
    return any(points.is_empty() for points in some)


def met(one: Product, other: Product) -> Product:
    """Return what two products have in common.

    Parameters
    ----------
    one, other
        The products.

    Returns
    -------
    tuple of islpy.Set
        Their intersection.
    """
    return tuple(a & b for a, b in zip(one, other, strict=True))


def minus(some: Iterable[Product], other: Product) -> list[Product]:
    """Return what products have and another one has not.

    Parameters
    ----------
    some
        The products.
    other
        The other product.

    Returns
    -------
    list of tuple of islpy.Set
        Products whose union is the difference; none of them is empty.
    """
    found = []
    for one in some:
        if is_nowhere(one):
            continue
        for group, (points, gone) in enumerate(zip(one, other, strict=True)):
            left = points - gone
            if not left.is_empty():
                found.append((*one[:group], left.coalesce(), *one[group + 1 :]))
    return found
