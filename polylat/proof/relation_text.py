"""Relations of the mapping in the syntax of ISL, written anew from the paths of the leaves.

Nothing is shared with the relations of the engine, so that an error in either is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import islpy as isl

from polylat.lowering.paths import Leaf
from polylat.spec.affine import Affine

__all__ = [
    "ElementGroup",
    "LeafAccess",
    "PartText",
    "Projection",
    "element_groups",
    "exists_text",
    "independent_parts",
    "operation_count",
    "tile_iterations",
]

Projection = tuple[Affine, ...]
"""Per rank of a tensor, the index as an expression in the variables of a leaf."""


def independent_parts(
    variables: Iterable[str], tied: Iterable[Sequence[str]]
) -> list[tuple[str, ...]]:
    """Split variables into independent parts.

    Parameters
    ----------
    variables
        All variables.
    tied
        Sets of variables that belong to the same part.

    Returns
    -------
    list of tuple of str
        The parts, and the variables of each, in the given order.

    Examples
    --------
    >>> independent_parts(["p", "k", "r"], [["p", "r"], ["k"]])
    [('p', 'r'), ('k',)]
    """
    order = list(variables)
    links = [set(some) for some in tied]
    parts, done = [], set()
    for variable in order:
        if variable in done:
            continue
        reached, before = {variable}, set[str]()
        while reached != before:
            before = set(reached)
            for some in links:
                if some & reached:
                    reached |= some
        done |= reached
        parts.append(tuple(v for v in order if v in reached))
    return parts


class LeafAccess(NamedTuple):
    """The elements of a tensor that a leaf accesses: the union over some of its projections.

    Parameters
    ----------
    leaf
        The leaf.
    projections
        The projections, at least one.
    in_tile
        Whether only those in the tile at hand count, instead of all that the leaf ever accesses.
    """

    leaf: Leaf
    projections: tuple[Projection, ...]
    in_tile: bool = True


class ElementGroup(NamedTuple):
    """Variables of several accesses to a tensor that depend on each other.

    Parameters
    ----------
    variables
        Per access, the variables of its leaf.
    ranks
        The ranks of the tensor that they index.
    shared
        Positions of the shared loops over the variables.
    """

    variables: tuple[list[str], ...]
    ranks: tuple[int, ...]
    shared: list[int]


def element_groups(
    accesses: Sequence[LeafAccess], shared: Sequence[int] = ()
) -> list[ElementGroup]:
    """Split the variables of accesses to a tensor into groups that are independent of each other.

    Variables depend on each other if they index the same rank of the tensor, or two ranks in which
    projections of one access differ, if a constraint of an iteration space has both, or if a shared
    loop is over both. So the elements of each access are a product over the groups.

    Parameters
    ----------
    accesses
        The accesses.
    shared
        Positions of the shared loops that have the same index in all accesses in the tile.

    Returns
    -------
    list of ElementGroup
        The groups.
    """
    sides = [(f"{k}.", access) for k, access in enumerate(accesses)]
    columns = [list(zip(*access.projections, strict=True)) for access in accesses]
    kinds = _rank_classes(columns)
    indices = [
        [
            side + v
            for rank in kind
            for (side, _), column in zip(sides, columns, strict=True)
            for index in column[rank]
            for v in index.variables
        ]
        for kind in kinds
    ]
    ties = [
        [f"{side}{access.leaf.loops[p].variable}" for side, access in sides if access.in_tile]
        for p in shared
    ]
    ties += [[side + v for v in c.variables] for side, access in sides for c in access.leaf.coupled]
    names = [side + v for side, access in sides for v in access.leaf.einsum.rank_variables]
    found = []
    for members in independent_parts(names, [*indices, *ties]):
        ranks = tuple(
            r
            for kind, some in zip(kinds, indices, strict=True)
            if some and some[0] in members
            for r in kind
        )
        variables = tuple(
            [m[len(side) :] for m in members if m.startswith(side)] for side, _ in sides
        )
        loops = [p for p in shared if accesses[0].leaf.loops[p].variable in variables[0]]
        found.append(ElementGroup(variables, tuple(sorted(ranks)), loops))
    for kind, some in zip(kinds, indices, strict=True):
        # Constant indices matter where they differ.
        values = {tuple(index.constant for index in x) for c in columns for x in _rows(c, kind)}
        if not some and len(values) > 1:
            found.append(ElementGroup(tuple([] for _ in sides), kind, []))
    return found


def _rank_classes(columns: Sequence[Sequence[Sequence[Affine]]]) -> list[tuple[int, ...]]:
    """Return sets of ranks: those in which projections of an access differ belong together."""
    names = [str(rank) for rank in range(len(columns[0]))]
    differing = [[names[r] for r, x in enumerate(some) if len(set(x)) > 1] for some in columns]
    return [tuple(map(int, some)) for some in independent_parts(names, differing)]


def _rows(column: Sequence[Sequence[Affine]], kind: Sequence[int]) -> list[tuple[Affine, ...]]:
    """Return, per projection of an access, its indices of some ranks."""
    return list(zip(*(column[rank] for rank in kind), strict=True))


def exists_text(shown: Sequence[str], hidden: Sequence[str], conditions: Sequence[str]) -> str:
    """Return the text of an ISL set.

    Parameters
    ----------
    shown
        The names of its dimensions.
    hidden
        The names of existentially quantified variables.
    conditions
        Constraints, of which all hold.

    Returns
    -------
    str
        The set.
    """
    every = " and ".join(conditions) if conditions else "0 = 0"
    if hidden:
        every = f"exists ({', '.join(hidden)} : {every})"
    return f"{{ [{', '.join(shown)}] : {every} }}"


class PartText:
    """The names and constraints of some variables of a leaf, and of the loops over them.

    Parameters
    ----------
    leaf
        The leaf.
    variables
        The variables: an independent part of the leaf's variables.
    prefix
        Prefix of all names.
    shown
        Positions (among all loops of the path) of the loops whose index has a name of its own.
    zero
        Positions of the Spatial loops of which only unit 0 is counted.
    """

    def __init__(
        self,
        leaf: Leaf,
        variables: Sequence[str],
        prefix: str,
        shown: Iterable[int],
        zero: Iterable[int] = (),
    ) -> None:
        self.index = {
            p: f"{prefix}d{p}" for p in sorted(set(shown)) if leaf.loops[p].variable in variables
        }
        at_zero = set(zero) - set(self.index)
        self.conditions: list[str] = []
        place = {v: k for k, v in enumerate(leaf.einsum.rank_variables)}
        self.value = {v: f"{prefix}v{place[v]}" for v in variables}
        self.hidden = list(self.value.values())
        for variable, name in self.value.items():
            loops = [p for p, loop in enumerate(leaf.loops) if loop.variable == variable]
            while loops and loops[-1] not in self.index and loops[-1] not in at_zero:
                # A loop inside all named ones does not restrict the tile.
                loops.pop()
            low, high = leaf.ranges[variable]
            self.conditions.append(f"{low} <= {name} <= {high}")
            rest = f"{name} - {low}"
            for p in loops:
                tile, initial = leaf.loops[p].tile, leaf.loops[p].initial
                if p in at_zero:
                    self.conditions.append(f"0 <= {rest} < {tile}")
                    continue
                digit = self.index.get(p)
                if digit is None:
                    digit = f"{prefix}h{p}"
                    self.hidden.append(digit)
                self.conditions.append(f"{digit} >= 0")
                if initial is None:
                    rest = f"{rest} - {tile}*{digit}"
                    self.conditions.append(f"0 <= {rest} < {tile}")
                    continue
                # What is left in the tile has a name of its own, as it is not affine in the index.
                left = f"{prefix}t{p}"
                self.hidden.append(left)
                self.conditions.append(
                    f"(({digit} = 0 and {left} = {rest} and 0 <= {left} < {initial}) or"
                    f" ({digit} >= 1 and {left} = {rest} - {initial} - {tile}*({digit} - 1)"
                    f" and 0 <= {left} < {tile}))"
                )
                rest = left
        members = set(variables)
        for constraint in leaf.coupled:
            if members.issuperset(constraint.variables):
                self.conditions.append(f"{self.affine(constraint)} >= 0")

    def affine(self, expression: Affine) -> str:
        """Return the text of an affine expression in the variables of the part.

        Parameters
        ----------
        expression
            The expression.

        Returns
        -------
        str
            Its text.
        """
        terms = [f"{factor}*{self.value[v]}" for v, factor in expression.terms]
        return " + ".join([str(expression.constant), *terms])

    def names(self, positions: Iterable[int]) -> list[str]:
        """Return the names of the indices of loops; loops over other variables have none.

        Parameters
        ----------
        positions
            Positions of loops.

        Returns
        -------
        list of str
            The names, in the given order.
        """
        return [self.index[p] for p in positions if p in self.index]


def tile_iterations(leaf: Leaf, depth: int) -> isl.Set:
    """Return the tile iterations of a leaf: the indices for which some unit has an operation.

    Parameters
    ----------
    leaf
        The leaf.
    depth
        The number of Temporal loops that index its tile iterations.

    Returns
    -------
    islpy.Set
        The tile iterations, as points without a name.
    """
    shown = leaf.temporal_positions[:depth]
    text = PartText(leaf, leaf.einsum.rank_variables, "", shown)
    found = isl.Set(exists_text(text.names(shown), text.hidden, text.conditions))
    return found.remove_redundancies().coalesce()


def operation_count(leaf: Leaf) -> int:
    """Return the number of operations of a leaf, of all units together.

    Parameters
    ----------
    leaf
        The leaf.

    Returns
    -------
    int
        The number of points of its iteration space.
    """
    total = 1
    parts = independent_parts(leaf.einsum.rank_variables, (c.variables for c in leaf.coupled))
    for variables in parts:
        low, high = leaf.ranges[variables[0]]
        if len(variables) == 1 and not any(variables[0] in c.variables for c in leaf.coupled):
            total *= high - low + 1
            continue
        text = PartText(leaf, variables, "", ())
        points = isl.Set(exists_text(list(text.value.values()), [], text.conditions))
        total *= int(points.count_val().to_python())
    return total
