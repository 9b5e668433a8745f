"""The mapping as ISL sets and maps.

Per leaf: the iteration `domain`, the `tiling` (tile iteration → operations), the `access` relations
(operation → element) and the `footprint` (tile → elements). Across leaves: which tile
iterations touch the same elements in the same residency.

Relations are built and solved one *group* at a time: variables and ranks that no index and no
constraint ties together are independent, so a relation is the product of its groups', its
lexicographic minimum is the minima of the groups side by side, and a footprint's size is the
product of theirs. Each group is a set of a few dimensions, whatever the size of the mapping.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import islpy as isl

from polylat.lowering.paths import Leaf, PathLoop
from polylat.lowering.scan import Ints, PieceWise, points
from polylat.spec.affine import Affine

__all__ = [
    "GroupText",
    "Runs",
    "access",
    "date_tags",
    "dates",
    "domain",
    "element_points",
    "elements_text",
    "flow",
    "footprint",
    "groups",
    "last_targets",
    "loops_over",
    "missing",
    "set_text",
    "solve",
    "tiling",
]


def domain(leaf: Leaf) -> isl.Set:
    """Iteration domain of a leaf: its operations.

    Examples
    --------
    >>> import polylat
    >>> from polylat.lowering.paths import leaves
    >>> files = ["examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml"]
    >>> leaf = leaves(polylat.load(*files))[0]
    >>> print(domain(leaf))
    { e1[m, n0, n1] : 0 <= m <= 7 and 0 <= n0 <= 7 and 0 <= n1 <= 7 }
    >>> print(footprint(leaf, "o1", 1))
    { e1_tile[i0] -> o1[i0, o1] : 0 <= i0 <= 7 and 0 <= o1 <= 7 }
    """
    names = _names(leaf, "")
    bounds = _conjunction(_range(leaf, v, names) for v in leaf.einsum.rank_variables)
    tied = [f"{_text(c, names)} >= 0" for c in leaf.coupled]
    space = f"{_quote(leaf.einsum.name)}[{', '.join(names.values())}]"
    return isl.Set(f"{{ {space} : {_conjunction([bounds, *tied])} }}")


def tiling(leaf: Leaf, depth: int) -> isl.Map:
    """Tile iterations → their operations.

    Parameters
    ----------
    leaf
        The leaf.
    depth
        How many of its Temporal loops index the tile iterations. Spatial loops are inside: a tile
        iteration's operations are those of all units.
    """
    names = _names(leaf, "")
    digits = {p: f"i{p}" for p, loop in _temporal(leaf)[:depth]}
    inner = _digits_within(leaf, leaf.einsum.rank_variables, digits)
    hidden = {p: f"u{p}" for p in inner if p not in digits}
    chains = _conjunction(
        _chain(leaf, v, names[v], {**digits, **hidden}) for v in leaf.einsum.rank_variables
    )
    tied = [f"{_text(c, names)} >= 0" for c in leaf.coupled]
    exists = f"exists {', '.join(hidden.values())} : " if hidden else ""
    name = _quote(leaf.einsum.name)
    source = f"{name}_tile[{', '.join(digits.values())}]"
    target = f"{name}[{', '.join(names.values())}]"
    return isl.Map(f"{{ {source} -> {target} : {exists}{_conjunction([chains, *tied])} }}")


def access(leaf: Leaf, tensor: str) -> isl.Map:
    """Access relation of a leaf: operation → element of the tensor."""
    names = _names(leaf, "")
    indices = ", ".join(_text(i, names) for i in leaf.einsum.access(tensor).projection)
    space = f"{_quote(leaf.einsum.name)}[{', '.join(names.values())}]"
    return isl.Map(f"{{ {space} -> {_quote(tensor)}[{indices}] }}").intersect_domain(domain(leaf))


def footprint(leaf: Leaf, tensor: str, depth: int) -> isl.Map:
    """Tile (index of the first `depth` Temporal loops) → the elements that it touches."""
    return tiling(leaf, depth).apply_range(access(leaf, tensor))


def flow(reader: Leaf, bringer: Leaf, tensor: str, level: int, depths: tuple[int, int]) -> isl.Map:
    """Tile iterations of the bringer → those of the reader that depend on them.

    The two share elements of the tensor in the same residency: with the same indices of the loops
    above the storage in which they exchange it.

    Parameters
    ----------
    reader, bringer
        The two leaves.
    tensor, level
        The tensor, and the index of the shared storage among its storages.
    depths
        Number of Temporal loops that index the tile iterations of bringer and reader.
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
    """Tile iterations → logical dates, to be compared lexicographically.

    Parameters
    ----------
    leaf, depth
        The leaf, and the number of Temporal loops that index its tile iterations.
    shifts
        Per Pipeline (tree node) the shift of each stage: the skewed dates. None: program order.

    Notes
    -----
    A date walks the path: for each split the indices of the loops between it and the split above,
    linearised, then the branch; last the remaining indices. `date_tags` says what each dimension
    is. Under a Pipeline with shifts, (t, s) becomes (t + shift, -s).
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
    source = f"{_quote(leaf.einsum.name)}_tile[{', '.join(digits)}]"
    text = f"{{ {source} -> date[{', '.join(columns)}] }}"
    return isl.Map(text).intersect_domain(tiling(leaf, depth).domain())


def date_tags(leaf: Leaf, depth: int) -> tuple[str, ...]:
    """What each dimension of a leaf's `dates` is.

    Returns
    -------
    tuple of str
        ``"turn"`` (linearised loops above a split), ``"Sequential"`` or ``"Pipeline"`` (its
        branch), ``"index"`` (a loop below all splits).
    """
    tags: list[str] = []
    for split in leaf.splits:
        tags += ["turn", "Pipeline" if split.pipeline else "Sequential"]
    above = leaf.splits[-1].depth if leaf.splits else 0
    return (*tags, *["index"] * (depth - above))


def groups(
    variables: Iterable[str],
    indices: Iterable[Sequence[str]],
    ties: Iterable[Sequence[str]] = (),
) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Split variables and ranks into what is tied together.

    Parameters
    ----------
    variables
        All variables.
    indices
        Per rank, the variables that index it.
    ties
        Further sets of variables that belong together.

    Returns
    -------
    list of (variables, ranks)
        The connected components of the (rank, variable) graph, in order of their first variable.
        Ranks that no variable indexes are left out.

    Examples
    --------
    >>> groups(["p", "r", "k"], [["p", "r"], ["k"]])
    [(('p', 'r'), (0,)), (('k',), (1,))]
    """
    ranks = [tuple(index) for index in indices]
    leader = {v: v for v in variables}

    def find(v: str) -> str:
        while leader[v] != v:
            v = leader[v]
        return v

    for tied in (*ranks, *map(tuple, ties)):
        for other in tied[1:]:
            a, b = find(tied[0]), find(other)
            if a != b:
                leader[b] = a
    members: dict[str, list[str]] = {}
    for v in leader:
        members.setdefault(find(v), []).append(v)
    return [
        (
            tuple(group),
            tuple(r for r, index in enumerate(ranks) if index and find(index[0]) == root),
        )
        for root, group in members.items()
    ]


Runs = tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
"""Of some dimensions of a set, the runs (first and last value) of values that are wanted."""


@lru_cache(maxsize=4096)
def solve(text: str, want: str = "points", split: int = 0, keep: Runs = ()) -> Ints:
    """Points of a group's relation as an array (cached: equal groups are solved once).

    Parameters
    ----------
    text
        An ISL set: the dimensions of the relation, those of its source first.
    want
        ``"points"``: all of them; ``"lexmin"`` or ``"lexmax"``: per source, its first or last
        target.
    split
        Number of dimensions of the source.
    keep
        Which of the points are wanted.
    """
    relation = isl.Set(text)
    if want != "points":
        as_map = isl.Map.from_range(relation)
        as_map = as_map.move_dims(isl.dim_type.in_, 0, isl.dim_type.out, 0, split)
        as_map = as_map.lexmin() if want == "lexmin" else as_map.lexmax()
        relation = as_map.move_dims(isl.dim_type.out, 0, isl.dim_type.in_, 0, split).range()
    if keep:
        names = [f"d{i}" for i in range(relation.dim(isl.dim_type.set))]
        wanted = " and ".join(
            "(" + " or ".join(f"{low} <= d{column} <= {high}" for low, high in runs) + ")"
            for column, runs in keep
        )
        relation = relation & isl.Set(f"{{ [{', '.join(names)}] : {wanted} }}")
    found = points(relation)
    found.setflags(write=False)
    return found


@lru_cache(maxsize=4096)
def last_targets(text: str, split: int) -> PieceWise:
    """Per source of a group's relation its last target, as a function.

    Parameters
    ----------
    text, split
        As for `solve`.
    """
    as_map = isl.Map.from_range(isl.Set(text))
    as_map = as_map.move_dims(isl.dim_type.in_, 0, isl.dim_type.out, 0, split)
    return PieceWise(as_map.lexmax_pw_multi_aff())


@lru_cache(maxsize=4096)
def missing(wanted: str, brought: str) -> tuple[int, ...] | None:
    """A point of the first set that the second lacks, None if there is none."""
    rest = isl.Set(wanted) - isl.Set(brought)
    if rest.is_empty():
        return None
    point = rest.lexmin().sample_point()
    return tuple(
        int(point.get_coordinate_val(isl.dim_type.set, i).to_python())
        for i in range(rest.dim(isl.dim_type.set))
    )


class GroupText:
    """Text of the part of a leaf's relation that concerns some of its variables.

    Parameters
    ----------
    leaf
        The leaf.
    variables
        The variables of the group.
    prefix
        Told apart by it are the names of several leaves in one relation.
    shown
        Positions (among all loops of the path) of the loops whose index is a dimension.
    zero
        Positions of the Spatial loops of which only the first unit counts.
    """

    def __init__(
        self,
        leaf: Leaf,
        variables: Sequence[str],
        prefix: str,
        shown: Sequence[int],
        zero: Sequence[int] = (),
    ) -> None:
        mine = set(variables)
        self.leaf = leaf
        self.values = {v: f"{prefix}{_position(leaf, v)}" for v in variables}
        self.shown = {p: f"{prefix}i{p}" for p in shown if leaf.loops[p].variable in mine}
        inner = _digits_within(leaf, variables, self.shown | dict.fromkeys(zero, ""))
        fixed = {p: "0" for p in zero if p in inner and p not in self.shown}
        hidden = {p: f"{prefix}u{p}" for p in inner if p not in self.shown and p not in fixed}
        digits = {**self.shown, **hidden, **fixed}
        chains = [_chain(leaf, v, self.values[v], digits) for v in variables]
        tied = [
            f"{_text(c, self.values)} >= 0" for c in leaf.coupled if mine.issuperset(c.variables)
        ]
        self.conditions = [*chains, *tied]
        self.hidden = (*self.values.values(), *hidden.values())

    def index(self, expression: Affine) -> str:
        """An index expression in this group's names."""
        return _text(expression, self.values)


def elements_text(
    leaf: Leaf,
    variables: Sequence[str],
    indices: Sequence[Affine],
    shown: Sequence[int],
    inner: Sequence[int] = (),
) -> tuple[str, int]:
    """Text of the set of (shown loops, element, inner loops) of a group, and its source's size.

    The source is all but the inner loops.
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
    """Rows (shown loops, element, inner loops); of the inner loops the last that touch it."""
    text, source = elements_text(leaf, variables, indices, shown, inner)
    return solve(text, "lexmax" if inner else "points", source if inner else 0)


def set_text(dims: Sequence[str], hidden: Sequence[str], conditions: Sequence[str]) -> str:
    """Text of an ISL set with existentially quantified variables."""
    exists = f"exists {', '.join(hidden)} : " if hidden else ""
    return f"{{ [{', '.join(dims)}] : {exists}{_conjunction(conditions)} }}"


def _temporal(leaf: Leaf) -> list[tuple[int, PathLoop]]:
    return [(p, loop) for p, loop in enumerate(leaf.loops) if loop.unit is None]


def loops_over(leaf: Leaf, variables: Sequence[str], depth: int) -> tuple[list[int], list[int]]:
    """Temporal loops over some variables among the first ones: numbers and positions."""
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


def _names(leaf: Leaf, prefix: str) -> dict[str, str]:
    return {v: _quote(f"{prefix}{v}") for v in leaf.einsum.rank_variables}


def _quote(name: str) -> str:
    """A name that ISL's parser accepts: it has words of its own."""
    reserved = {"and", "or", "not", "exists", "mod", "floor", "ceil", "floord", "ceild", "min"}
    reserved |= {"max", "infty", "infinity", "true", "false", "implies", "int", "rat", "NaN"}
    plain = re.sub(r"\W", "_", name)
    if plain.lower() in {r.lower() for r in reserved} or not plain[:1].isalpha():
        return f"{plain}_" if plain[:1].isalpha() else f"x_{plain}"
    return plain


def _digits_within(leaf: Leaf, variables: Sequence[str], known: Mapping[int, str]) -> list[int]:
    """Loops over the variables from the outermost to the innermost known one."""
    inner: list[int] = []
    for v in variables:
        mine = [p for p, loop in enumerate(leaf.loops) if loop.variable == v]
        last = max((p for p in mine if p in known), default=-1)
        inner += [p for p in mine if p <= last]
    return sorted(inner)


def _range(leaf: Leaf, variable: str, names: Mapping[str, str]) -> str:
    low, high = leaf.ranges[variable]
    return f"{low} <= {names[variable]} <= {high}"


def _chain(leaf: Leaf, variable: str, name: str, digits: Mapping[int, str]) -> str:
    """The values of a variable in a tile, given the indices of loops that tile it."""
    low, high = leaf.ranges[variable]
    conditions = [f"{low} <= {name} <= {high}"]
    start = str(low)
    for p, loop in enumerate(leaf.loops):
        if loop.variable == variable and p in digits:
            digit = digits[p]
            start += f" + {loop.tile}*{digit}"
            conditions.append(f"{start} <= {name} < {start} + {loop.tile}")
            if digit != "0":
                conditions.append(f"{digit} >= 0")
    return " and ".join(conditions)


def _text(expression: Affine, names: Mapping[str, str]) -> str:
    terms = [f"{k}*{names[v]}" for v, k in expression.terms]
    return " + ".join([*terms, str(expression.constant)])


def _conjunction(conditions: Iterable[str]) -> str:
    return " and ".join(c for c in conditions if c) or "1 = 1"
