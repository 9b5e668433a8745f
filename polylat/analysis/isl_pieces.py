"""ISL sets of affine pieces, and lexicographic functions on sets of tile iterations."""

from __future__ import annotations

from functools import lru_cache

import islpy as isl
import numpy as np

from polylat.schedule.pieces import Pieces

__all__ = [
    "first_point",
    "first_within",
    "intersecting_pairs",
    "last_at_or_before",
    "last_within",
    "pieces_to_set",
    "preceding",
    "prefix_function",
    "prefix_map",
]

_SET = isl.dim_type.set


def pieces_to_set(pieces: Pieces) -> isl.Set:
    """Return the tile iterations of affine pieces.

    Parameters
    ----------
    pieces
        The pieces.

    Returns
    -------
    islpy.Set
        The union of their tile iterations, as points without a name.
    """
    dims = ", ".join(f"i{k}" for k in range(pieces.depth))
    parts = []
    for f in range(pieces.size):
        parts.append(_box(pieces, f))
    if not parts:
        return isl.Set(f"{{ [{dims}] : 1 = 0 }}")
    return isl.Set(f"{{ [{dims}] : {' or '.join(f'({p})' for p in dict.fromkeys(parts))} }}")


def _box(pieces: Pieces, f: int) -> str:
    conditions = ["1 = 1"]
    for k in range(pieces.depth):
        low, high = int(pieces.low[k, f]), int(pieces.high[k, f])
        conditions.append(f"{low} <= i{k} <= {high}")
        if (stride := int(pieces.stride[k, f])) > 1 and high > low:
            conditions.append(f"(i{k} - {low}) mod {stride} = 0")
    return " and ".join(conditions)


def last_at_or_before(some: isl.Set, every: isl.Set) -> isl.PwMultiAff:
    """Return, per point of one set, the last point of another set that does not come after it.

    Parameters
    ----------
    some
        The set of the results.
    every
        The set of the arguments.

    Returns
    -------
    islpy.PwMultiAff
        Point of `every` → last point of `some` at or before it, in lexicographic order.
    """
    order = isl.Map.lex_ge(every.get_space()).intersect_domain(every).intersect_range(some)
    return order.lexmax_pw_multi_aff().coalesce()


def last_within(some: isl.Set, depth: int) -> isl.PwMultiAff:
    """Return, per value of the first dimensions, the last point of a set.

    Parameters
    ----------
    some
        The set.
    depth
        The number of the first dimensions.

    Returns
    -------
    islpy.PwMultiAff
        Prefix → last point of `some` with that prefix, in lexicographic order.
    """
    heads = prefix_map(some.dim(_SET), depth)
    return heads.intersect_domain(some).reverse().lexmax_pw_multi_aff().coalesce()


def first_within(some: isl.Set, depth: int) -> isl.PwMultiAff:
    """Return, per value of the first dimensions, the first point of a set.

    Parameters
    ----------
    some
        The set.
    depth
        The number of the first dimensions.

    Returns
    -------
    islpy.PwMultiAff
        Prefix → first point of `some` with that prefix, in lexicographic order.
    """
    heads = prefix_map(some.dim(_SET), depth)
    return heads.intersect_domain(some).reverse().lexmin_pw_multi_aff().coalesce()


def preceding(tiles: isl.Set, by: int) -> isl.PwMultiAff:
    """Return, per point of a set, the point that comes N points before it.

    Parameters
    ----------
    tiles
        The set.
    by
        The number N.

    Returns
    -------
    islpy.PwMultiAff
        Point → the point N before it in lexicographic order, where there is one.
    """
    if by == 0:
        return isl.PwMultiAff.from_map(isl.Map.identity(tiles.get_space().map_from_set()))
    linear = _preceding_in_box(tiles, by) if by > 4 else None
    if linear is not None:
        return linear
    order = isl.Map.lex_gt(tiles.get_space()).intersect_domain(tiles).intersect_range(tiles)
    one = order.lexmax_pw_multi_aff().coalesce()
    found = one
    for _ in range(by - 1):
        found = one.pullback_pw_multi_aff(found).coalesce()
    return found


def _preceding_in_box(tiles: isl.Set, by: int) -> isl.PwMultiAff | None:
    """Return `preceding` in one step by linearized indices, if the set is a full box; else None."""
    size = tiles.dim(_SET)
    lows = [int(tiles.dim_min_val(k).to_python()) for k in range(size)]
    highs = [int(tiles.dim_max_val(k).to_python()) for k in range(size)]
    inside = [f"{a} <= x{k} <= {b}" for k, (a, b) in enumerate(zip(lows, highs, strict=True))]
    dims = ", ".join(f"x{k}" for k in range(size))
    box = isl.Set(f"{{ [{dims}] : {' and '.join(inside)} }}")
    if not size or not box.is_equal(tiles):
        return None
    here, there = "0", "0"
    for k in range(size):
        trips = highs[k] - lows[k] + 1
        here, there = f"({here})*{trips} + x{k}", f"({there})*{trips} + y{k}"
    inside += [f"{a} <= y{k} <= {b}" for k, (a, b) in enumerate(zip(lows, highs, strict=True))]
    source, target = dims, dims.replace("x", "y")
    text = f"{{ [{source}] -> [{target}] : {' and '.join(inside)} and {there} = {here} - {by} }}"
    return isl.PwMultiAff.from_map(isl.Map(text))


@lru_cache(maxsize=256)
def _prefix_text(depth: int, first: int) -> str:
    dims = [f"i{k}" for k in range(depth)]
    return f"{{ [{', '.join(dims)}] -> [{', '.join(dims[:first])}] }}"


def prefix_map(depth: int, first: int) -> isl.Map:
    """Return the map from points to their first dimensions.

    Parameters
    ----------
    depth, first
        The number of dimensions of the points, and of the prefix.

    Returns
    -------
    islpy.Map
        Point → prefix.
    """
    return isl.Map(_prefix_text(depth, first))


def prefix_function(depth: int, first: int) -> isl.PwMultiAff:
    """Return `prefix_map` as a function.

    Parameters
    ----------
    depth, first
        The number of dimensions of the points, and of the prefix.

    Returns
    -------
    islpy.PwMultiAff
        Point → prefix.
    """
    return isl.PwMultiAff(_prefix_text(depth, first))


def intersecting_pairs(pieces: Pieces) -> list[tuple[int, int]]:
    """Find the pairs of pieces whose strided boxes may have a tile iteration in common.

    Parameters
    ----------
    pieces
        The pieces.

    Returns
    -------
    list of (int, int)
        Pairs of pieces. Bounds and strides are compared loop by loop, so that a pair may be listed
        although its boxes are disjoint; none is missed.
    """
    found = []
    for a in range(pieces.size - 1):
        rest = slice(a + 1, None)
        meets = np.ones(pieces.size - a - 1, dtype=np.bool_)
        for k in range(pieces.depth):
            meets &= pieces.low[k, rest] <= pieces.high[k, a]
            meets &= pieces.high[k, rest] >= pieces.low[k, a]
            common = np.gcd(pieces.stride[k, rest], pieces.stride[k, a])
            single = (pieces.count[k, rest] == 1) & (pieces.count[k, a] == 1)
            apart = pieces.low[k, rest] - pieces.low[k, a]
            meets &= single | (apart % common == 0)
        found += [(a, a + 1 + int(b)) for b in np.flatnonzero(meets)]
    return found


def first_point(some: isl.Set) -> tuple[int, ...]:
    """Return the first point of a set, in lexicographic order.

    Parameters
    ----------
    some
        The set: not empty, and bounded.

    Returns
    -------
    tuple of int
        The coordinates.
    """
    point = some.lexmin().sample_point()
    size = some.dim(isl.dim_type.set)
    return tuple(
        int(point.get_coordinate_val(isl.dim_type.set, k).to_python()) for k in range(size)
    )
