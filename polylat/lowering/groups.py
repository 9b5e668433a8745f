"""Relations, built and solved one group of variables at a time.

Variables and ranks that no index expression and no constraint ties together are independent. So a
relation is the product of the relations of its *groups*, its lexicographic minimum consists of
the minima of the groups, and the size of a footprint is the product of the groups' sizes. Each
group is a set of a few dimensions, whatever the size of the mapping.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple, TypeVar

import islpy as isl
import numpy as np

from polylat.lowering.array_cache import array_cache
from polylat.lowering.isl_text import (
    affine_text,
    digits_within,
    set_text,
    tile_condition,
)
from polylat.lowering.paths import Leaf
from polylat.lowering.points import PiecewiseAffine, integer_points, last_intervals
from polylat.schedule.arrays import Ints
from polylat.spec.affine import Affine
from polylat.spec.workload import Projection

__all__ = [
    "GroupText",
    "JointGroup",
    "WantedRanges",
    "connected_groups",
    "element_points",
    "elements_text",
    "first_point",
    "first_point_of",
    "joint_groups",
    "last_targets",
    "loops_over",
    "missing_point",
    "solve_group",
    "translates",
]

V = TypeVar("V", bound=Hashable)


def connected_groups(
    variables: Iterable[V],
    indices: Iterable[Sequence[V]],
    ties: Iterable[Sequence[V]] = (),
) -> list[tuple[tuple[V, ...], tuple[int, ...]]]:
    """Split variables and ranks into independent groups.

    Parameters
    ----------
    variables
        The variables; where there are no ranks, also leaves that rules tie together.
    indices
        Per rank, the variables that index it.
    ties
        Further sets of variables that constraints tie together.

    Returns
    -------
    list of (variables, ranks)
        The connected components of the (rank, variable) graph, found by union–find, in order of
        their first variable. Ranks that no variable indexes are omitted.

    Examples
    --------
    >>> connected_groups(["p", "r", "k"], [["p", "r"], ["k"]])
    [(('p', 'r'), (0,)), (('k',), (1,))]
    """
    ranks = [tuple(index) for index in indices]
    leader = {v: v for v in variables}

    def find(v: V) -> V:
        while leader[v] != v:
            v = leader[v]
        return v

    for tied in (*ranks, *map(tuple, ties)):
        for other in tied[1:]:
            a, b = find(tied[0]), find(other)
            if a != b:
                leader[b] = a
    members: dict[V, list[V]] = {}
    for v in leader:
        members.setdefault(find(v), []).append(v)
    return [
        (
            tuple(group),
            tuple(r for r, index in enumerate(ranks) if index and find(index[0]) == root),
        )
        for root, group in members.items()
    ]


class JointGroup(NamedTuple):
    """A group of variables of several accesses to a tensor, which ranks and loops tie together.

    Parameters
    ----------
    variables
        Per access, the variables that belong to the group.
    ranks
        The numbers of the tensor's ranks that they index.
    """

    variables: tuple[tuple[str, ...], ...]
    ranks: tuple[int, ...]


def joint_groups(
    accesses: Sequence[tuple[Leaf, Projection]], shared: Iterable[tuple[int, int]] = ()
) -> list[JointGroup]:
    """Split the variables of several accesses to a tensor into independent groups.

    Parameters
    ----------
    accesses
        Leaves, with the projections by which they access the tensor. Each has variables of its own,
        also where a leaf occurs twice.
    shared
        (number of an access, position of a loop): loops that an access shares with the first one,
        and whose indices are the same for both.

    Returns
    -------
    list of JointGroup
        The groups.
    """
    first, _ = accesses[0]
    indices: list[list[str]] = [[] for _ in accesses[0][1]]
    names, ties = [], []
    for i, (leaf, projection) in enumerate(accesses):
        for index, own in zip(indices, projection, strict=True):
            index += [f"{i}.{v}" for v in own.variables]
        ties += [[f"{i}.{v}" for v in c.variables] for c in leaf.coupled]
        names += [f"{i}.{v}" for v in leaf.einsum.rank_variables]
    for i, p in shared:
        ties.append([f"0.{first.loops[p].variable}", f"{i}.{accesses[i][0].loops[p].variable}"])
    found = []
    for members, ranks in connected_groups(names, indices, ties):
        of: list[list[str]] = [[] for _ in accesses]
        for member in members:
            side, _, variable = member.partition(".")
            of[int(side)].append(variable)
        found.append(JointGroup(tuple(map(tuple, of)), ranks))
    return found


_COMPARED = 100_000
"""Number of operations of ISL after which two sets count as different: up to a second."""


_SOLVED = 1 << 26
"""Largest number of bytes of the solved groups that are kept: many mappings have the same."""

_LIMITED = threading.local()
"""Per thread, a context of ISL in which the number of operations is limited.

The limit belongs to a context, and all other sets are in one that all threads share: a limit there
would also stop what other threads compute.
"""


@contextmanager
def _at_most(operations: int) -> Iterator[isl.Context]:
    """Provide a context in which ISL raises an error after a number of operations; 0: never."""
    if not hasattr(_LIMITED, "context"):
        _LIMITED.context = isl.Context()
    context = _LIMITED.context
    context.reset_operations()
    context.set_max_operations(operations)
    try:
        yield context
    finally:
        context.set_max_operations(0)


WantedRanges = tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
"""(dimension of a set, intervals (first, last) of its wanted values), for some dimensions."""


@lru_cache(maxsize=4096)
def translates(
    text: str,
    want: str,
    split: int,
    column: int,
    within: tuple[int, int],
    shift: tuple[tuple[int, int], ...],
) -> bool:
    """Return whether the points of a group's relation repeat along one dimension.

    Parameters
    ----------
    text, want, split
        As for `solve_group`.
    column
        The dimension.
    within
        The first and the last value of the dimension between which the points repeat.
    shift
        (dimension, distance): how far apart a point and the next one like it are.

    Returns
    -------
    bool
        Whether the points with the values but the last ones, moved by the shift, are those with the
        values but the first ones. False also where ISL takes too long to decide.
    """
    moved = dict(shift)
    first, last = within
    try:
        with _at_most(_COMPARED) as context:
            relation = isl.Set(text, context)
            names = [f"d{i}" for i in range(relation.dim(isl.dim_type.set))]
            there = [f"{name} + {moved.get(i, 0)}" for i, name in enumerate(names)]
            here, start = ", ".join(names), first + moved[column]
            translation = isl.Map(
                f"{{ [{here}] -> [{', '.join(there)}] :"
                f" {first} <= d{column} <= {last - moved[column]} }}",
                context,
            )
            behind = isl.Set(f"{{ [{here}] : {start} <= d{column} <= {last} }}", context)
            solved = _solved(relation, want, split)
            return bool(solved.apply(translation).is_equal(solved & behind))
    except isl.Error:
        return False


def _solved(relation: isl.Set, want: str, split: int) -> isl.Set:
    if want in ("lexmin", "lexmax"):
        as_map = isl.Map.from_range(relation)
        as_map = as_map.move_dims(isl.dim_type.in_, 0, isl.dim_type.out, 0, split)
        as_map = as_map.lexmin() if want == "lexmin" else as_map.lexmax()
        relation = as_map.move_dims(isl.dim_type.out, 0, isl.dim_type.in_, 0, split).range()
    return relation


@array_cache(most=_SOLVED)
def solve_group(
    text: str, want: str = "points", split: int = 0, keep: WantedRanges = (), without: str = ""
) -> Ints:
    """Return the points of a group's relation; equal groups are solved once.

    Parameters
    ----------
    text
        An ISL set: the dimensions of the relation, those of its source first.
    want
        ``"points"``: all points; ``"counts"``: the number of values of the last dimension, in its
        place; ``"lexmin"`` or ``"lexmax"``: per source, the lexicographically first or last target.
    split
        Number of dimensions of the source.
    keep
        Restriction of the points.
    without
        An ISL set of the first dimensions, whose points do not count; empty for none.

    Returns
    -------
    numpy.ndarray
        One point per row, in lexicographic order, shape (points, dimensions); read-only. With
        ``"counts"``, rows may agree in all columns but the last one.
    """
    relation = _solved(_difference(isl.Set(text), without), want, split)
    if keep:
        names = [f"d{i}" for i in range(relation.dim(isl.dim_type.set))]
        wanted = " and ".join(
            "(" + " or ".join(f"{low} <= d{column} <= {high}" for low, high in runs) + ")"
            for column, runs in keep
        )
        relation = relation & isl.Set(f"{{ [{', '.join(names)}] : {wanted} }}")
    found = (
        np.column_stack(last_intervals(relation)) if want == "counts" else integer_points(relation)
    )
    found.setflags(write=False)
    return found


def _difference(some: isl.Set, without: str) -> isl.Set:
    """Return a set without the points whose first dimensions are in another set."""
    if not without:
        return some
    other = isl.Set(without, some.get_ctx())
    behind = some.dim(isl.dim_type.set) - other.dim(isl.dim_type.set)
    return some - other.add_dims(isl.dim_type.set, behind)


@lru_cache(maxsize=4096)
def last_targets(
    text: str, split: int, operations: int = 0, without: str = "", between: int = 0
) -> PiecewiseAffine | None:
    """Return the function from sources to last targets of a group's relation.

    Parameters
    ----------
    text, split
        As for `solve_group`.
    operations
        Largest number of operations of ISL; 0: any number.
    without, between
        As for `solve_group`, and the number of dimensions before the targets: those behind `split`
        belong neither to the source nor to the target.

    Returns
    -------
    PiecewiseAffine or None
        Source → its lexicographically last target; None if that takes more operations.

    Notes
    -----
    This is parametric integer programming (Feautrier 1988), which isl solves as `lexmax`. It
    yields the last writer of a value, as in array dataflow analysis (Feautrier 1991). The number of
    operations is exponential in the worst case: some relations of two Spatial loops with different
    tiles take minutes.
    """
    try:
        with _at_most(operations) as context:
            points = _difference(isl.Set(text, context), without)
            if between > split:
                points = points.project_out(isl.dim_type.set, split, between - split)
            as_map = isl.Map.from_range(points)
            as_map = as_map.move_dims(isl.dim_type.in_, 0, isl.dim_type.out, 0, split)
            function = as_map.lexmax_pw_multi_aff()
    except isl.Error:
        if not operations:
            raise
        return None
    return PiecewiseAffine(function)


@lru_cache(maxsize=4096)
def missing_point(wanted: str, brought: str, within: str = "") -> tuple[int, ...] | None:
    """Return a point of one set that another set lacks.

    Parameters
    ----------
    wanted, brought
        Texts of two ISL sets with the same dimensions; an empty text is the empty set.
    within
        The text of a set of which the point is to be one; an empty text: any point.

    Returns
    -------
    tuple of int or None
        The lexicographically first such point; None if there is none.
    """
    some = isl.Set(wanted)
    if within:
        some &= isl.Set(within)
    return first_point_of(some - isl.Set(brought) if brought else some)


@lru_cache(maxsize=4096)
def first_point(text: str) -> tuple[int, ...] | None:
    """Return the first point of a set that is given as a text: see `first_point_of`.

    Parameters
    ----------
    text
        The text of an ISL set.

    Returns
    -------
    tuple of int or None
        The point.
    """
    return first_point_of(isl.Set(text))


def first_point_of(some: isl.Set) -> tuple[int, ...] | None:
    """Return the first point of a set.

    Parameters
    ----------
    some
        The set.

    Returns
    -------
    tuple of int or None
        The lexicographically first point; None if the set is empty.
    """
    if some.is_empty():
        return None
    point = some.lexmin().sample_point()
    return tuple(
        int(point.get_coordinate_val(isl.dim_type.set, i).to_python())
        for i in range(some.dim(isl.dim_type.set))
    )


class GroupText:
    """The text of the part of a leaf's relation that concerns some of its variables.

    Parameters
    ----------
    leaf
        The leaf.
    variables
        The variables of the group.
    prefix
        Prefix of all names, which distinguishes several leaves in one relation.
    shown
        Positions (among all loops of the path) of the loops whose index is a dimension.
    zero
        Positions of the Spatial loops whose index is 0: only their first unit counts.
    """

    def __init__(
        self,
        leaf: Leaf,
        variables: Sequence[str],
        prefix: str,
        shown: Sequence[int],
        zero: Sequence[int] = (),
    ) -> None:
        members = set(variables)
        self.leaf = leaf
        self.values = {v: f"{prefix}{_position(leaf, v)}" for v in variables}
        self.shown = {p: f"{prefix}i{p}" for p in shown if leaf.loops[p].variable in members}
        inner = digits_within(leaf, variables, self.shown | dict.fromkeys(zero, ""))
        fixed = {p: "0" for p in zero if p in inner and p not in self.shown}
        hidden = {p: f"{prefix}u{p}" for p in inner if p not in self.shown and p not in fixed}
        digits = {**self.shown, **hidden, **fixed}
        chains = [tile_condition(leaf, v, self.values[v], digits) for v in variables]
        tied = [
            f"{affine_text(c, self.values)} >= 0"
            for c in leaf.coupled
            if members.issuperset(c.variables)
        ]
        self.conditions = [*chains, *tied]
        self.hidden = (*self.values.values(), *hidden.values())

    def index(self, expression: Affine) -> str:
        """Return the text of an index expression.

        Parameters
        ----------
        expression
            An expression in the group's variables.

        Returns
        -------
        str
            The expression in this group's names.
        """
        return affine_text(expression, self.values)


def elements_text(
    leaf: Leaf,
    variables: Sequence[str],
    indices: Sequence[Affine],
    shown: Sequence[int],
    inner: Sequence[int] = (),
) -> tuple[str, int]:
    """Return the text of a group's set of (shown loops, element, inner loops).

    Parameters
    ----------
    leaf, variables
        The leaf and the variables of the group.
    indices
        The index expressions of the element's ranks that belong to the group.
    shown, inner
        Positions of loops.

    Returns
    -------
    (text, source size)
        The text, and the number of dimensions before the inner loops.
    """
    text = GroupText(leaf, variables, "x", [*shown, *inner])
    names = [f"z{i}" for i in range(len(indices))]
    equal = [f"{n} = {text.index(i)}" for n, i in zip(names, indices, strict=True)]
    source = [*(text.shown[p] for p in shown), *names]
    dims = [*source, *(text.shown[p] for p in inner)]
    return set_text(dims, text.hidden, [*text.conditions, *equal]), len(source)


def element_points(
    leaf: Leaf,
    variables: Sequence[str],
    indices: Sequence[Affine],
    shown: Sequence[int],
    inner: Sequence[int] = (),
) -> Ints:
    """Return which loop indices touch which elements of a group.

    Parameters
    ----------
    leaf, variables, indices, shown, inner
        As for `elements_text`.

    Returns
    -------
    numpy.ndarray
        Rows (shown loops, element, inner loops), shape (n, dimensions). With inner loops, one row
        per (shown loops, element): the last inner indices that touch the element.
    """
    text, source = elements_text(leaf, variables, indices, shown, inner)
    return solve_group(text, "lexmax" if inner else "points", source if inner else 0)


def loops_over(leaf: Leaf, variables: Sequence[str], depth: int) -> tuple[list[int], list[int]]:
    """Return the Temporal loops over some variables among the first `depth` ones.

    Parameters
    ----------
    leaf, variables
        The leaf and its variables.
    depth
        Number of Temporal loops to consider.

    Returns
    -------
    (numbers, positions)
        Their numbers among the Temporal loops, and their positions among all loops of the path.
    """
    numbers, places, temporal = [], [], 0
    for p, loop in enumerate(leaf.loops):
        if loop.unit is None:
            if temporal < depth and loop.variable in variables:
                numbers.append(temporal)
                places.append(p)
            temporal += 1
    return numbers, places


def _position(leaf: Leaf, variable: str) -> int:
    return leaf.einsum.rank_variables.index(variable)
