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
    "ExchangeGroup",
    "PartText",
    "exchange_groups",
    "exists_text",
    "independent_parts",
    "operation_count",
    "tile_iterations",
]


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


class ExchangeGroup(NamedTuple):
    """Variables of two leaves that access a tensor, with the ranks and loops that depend on them.

    Parameters
    ----------
    read, brought, computed
        The variables of the leaf that reads, of the leaf that brings, and of the leaf that
        produces, if it was named.
    ranks
        The ranks of the tensor that the variables index.
    shared
        Positions of the shared loops over the variables.
    """

    read: list[str]
    brought: list[str]
    computed: list[str]
    ranks: tuple[int, ...]
    shared: list[int]


def exchange_groups(
    reader: Leaf,
    bringer: Leaf,
    tensor: str,
    shared: Sequence[int] = (),
    producer: Leaf | None = None,
) -> list[ExchangeGroup]:
    """Split the variables of two or three leaves into groups that are independent of each other.

    Variables depend on each other if they index the same rank of the tensor, if a constraint of an
    iteration space has both, or if a shared loop is over both.

    Parameters
    ----------
    reader, bringer
        The leaf that reads, and the leaf that produces or fills.
    tensor
        The tensor.
    shared
        Positions of the shared loops that have the same index in both leaves.
    producer
        The leaf that produces the tensor; None: of no interest.

    Returns
    -------
    list of ExchangeGroup
        The groups.
    """
    sides = [("r.", reader), ("b.", bringer)]
    if producer is not None:
        sides.append(("c.", producer))
    rank_count = len(reader.einsum.access(tensor).projection)
    indices = [
        [
            side + v
            for side, leaf in sides
            for v in leaf.einsum.access(tensor).projection[x].variables
        ]
        for x in range(rank_count)
    ]
    ties = [[f"r.{reader.loops[p].variable}", f"b.{bringer.loops[p].variable}"] for p in shared]
    ties += [[side + v for v in c.variables] for side, leaf in sides for c in leaf.coupled]
    names = [side + v for side, leaf in sides for v in leaf.einsum.rank_variables]
    found = []
    for members in independent_parts(names, [*indices, *ties]):
        ranks = tuple(x for x, some in enumerate(indices) if some and some[0] in members)
        reads, brings, computes = (
            [m[2:] for m in members if m[:2] == s] for s in ("r.", "b.", "c.")
        )
        loops = [p for p in shared if reader.loops[p].variable in reads]
        found.append(ExchangeGroup(reads, brings, computes, ranks, loops))
    return found


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
