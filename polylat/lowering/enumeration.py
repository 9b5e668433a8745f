"""The enumeration and the count of the tile iterations of a leaf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from polylat.errors import TooLargeError
from polylat.lowering.groups import GroupText, connected_groups, solve_group
from polylat.lowering.integer_types import position_type, tile_lengths
from polylat.lowering.isl_text import set_text
from polylat.lowering.iterations import IterationTable, first_unit_indices
from polylat.lowering.paths import Leaf
from polylat.lowering.sampling import LoopSample
from polylat.numbers import INT64_LIMIT

__all__ = ["count_iterations", "iteration_table", "tied_groups", "trip_counts"]

_LARGEST_GROUP = 1 << 24
"""Maximum number of tiles of a group of tied variables that are enumerated to be counted."""
_LARGEST_GRID = 1 << 28
"""Maximum number of combinations of sampled loop indices of a leaf."""


def trip_counts(leaves: Sequence[Leaf]) -> dict[int, int]:
    """Return the largest trip count of each loop, of all leaves below it.

    Parameters
    ----------
    leaves
        The leaves of a mapping.

    Returns
    -------
    dict
        Tree node of a loop → its trip count.
    """
    largest: dict[int, int] = {}
    for leaf in leaves:
        for loop, trips in zip(leaf.loops, leaf.trips, strict=True):
            largest[loop.node] = max(largest.get(loop.node, 1), trips)
    return largest


def tied_groups(leaf: Leaf) -> list[tuple[str, ...]]:
    """Group the variables of a leaf that constraints of its iteration space tie together.

    Parameters
    ----------
    leaf
        The leaf.

    Returns
    -------
    list of tuple of str
        The groups.
    """
    ties = [c.variables for c in leaf.coupled]
    return [variables for variables, _ in connected_groups(leaf.einsum.rank_variables, (), ties)]


def iteration_table(leaf: Leaf, depth: int, kept: Mapping[int, LoopSample]) -> IterationTable:
    """Enumerate the sampled tile iterations of a leaf.

    Parameters
    ----------
    leaf, depth
        The leaf, and the number of Temporal loops that index its tile iterations.
    kept
        Tree node of a loop → its sampled iterations.

    Returns
    -------
    IterationTable
        The tile iterations.

    Raises
    ------
    TooLargeError
        The numbers of the tile iterations do not fit in 64 bits, or the array would be too
        large.
    """
    samples = tuple(kept[loop.node] for loop in leaf.temporal[:depth])
    if prod(sample.trips for sample in samples) >= INT64_LIMIT:
        raise _too_many(leaf, depth, "2^62 tile iterations or more")
    shape = tuple(sample.count for sample in samples)
    if prod(shape) > _LARGEST_GRID:
        raise _too_many(leaf, depth, f"more than {_LARGEST_GRID:,} tile iterations to sample")
    mask = np.ones(shape, dtype=np.bool_)
    for variables in tied_groups(leaf):
        loops, here = _existing(leaf, variables, samples)
        if not here.all():
            mask &= here.reshape([n if k in loops else 1 for k, n in enumerate(shape)])
    places = np.array(np.nonzero(mask)) if depth else np.zeros((0, 1))
    return IterationTable(leaf, depth, places.astype(np.int64), samples)


def _too_many(leaf: Leaf, depth: int, number: str) -> TooLargeError:
    coarser = "use granularity='tile', or " if depth > leaf.fixed_depth else ""
    return TooLargeError(
        f"Einsum {leaf.einsum.name!r} has {number}",
        where=leaf.where or "mapping",
        fix=f"{coarser}use larger tiles",
    )


def count_iterations(leaf: Leaf, depth: int) -> int:
    """Count the tile iterations of a leaf without enumerating them.

    Parameters
    ----------
    leaf, depth
        The leaf, and the number of Temporal loops that index its tile iterations.

    Returns
    -------
    int
        Their number; an upper bound beyond any limit where a group is too large to enumerate.
    """
    total = 1
    for variables in tied_groups(leaf):
        if len(variables) == 1:
            total *= _count_existing(leaf, variables[0], depth)
            continue
        kept = [LoopSample(n) for n in leaf.temporal_trips[:depth]]
        loops = [k for k in range(depth) if leaf.temporal[k].variable in variables]
        if prod(kept[k].trips for k in loops) > _LARGEST_GROUP:
            return prod(leaf.temporal_trips[:depth])  # an upper bound
        total *= int(_existing(leaf, variables, kept)[1].sum())
    return total


def _existing(
    leaf: Leaf, variables: Sequence[str], kept: Sequence[LoopSample]
) -> tuple[list[int], np.ndarray]:
    """Return the loops over a group of variables, and which of their sampled indices exist.

    The mask has one axis per loop.
    """
    loops = [k for k in range(len(kept)) if leaf.temporal[k].variable in variables]
    positions = leaf.temporal_positions
    shape = tuple(kept[k].count for k in loops)
    if len(variables) == 1:
        digits = {
            positions[k]: kept[k].digits.reshape([-1 if i == j else 1 for j in range(len(loops))])
            for i, k in enumerate(loops)
        } | first_unit_indices(leaf, variables[0], max((positions[k] for k in loops), default=0))
        kind = position_type(leaf, [sample.trips for sample in kept])
        lengths = tile_lengths(leaf, variables[0], digits, kind=kind)
        exists = np.asarray(lengths > 0, dtype=np.bool_)
        return loops, np.broadcast_to(exists, shape)
    mask = np.zeros(shape, dtype=np.bool_)
    text = GroupText(leaf, variables, "x", [positions[k] for k in loops])
    found = solve_group(set_text(list(text.shown.values()), text.hidden, text.conditions))
    mask[tuple(found.T)] = True
    return loops, mask


def _count_existing(leaf: Leaf, variable: str, depth: int) -> int:
    """Return the number of existing indices of the first `depth` loops over a variable."""
    # Count how often each extent of the variable's tile occurs; a loop adds at most two extents.
    # Units run at the same time, and no unit has more iterations than the first one.
    low, high = leaf.ranges[variable]
    extents = {high - low + 1: 1}
    temporal = 0
    for loop in leaf.loops:
        temporal += loop.unit is None
        if temporal > depth:
            break
        if loop.variable != variable:
            continue
        inner: dict[int, int] = {}
        for extent, times in extents.items():
            parts = loop.tiles(extent)
            if loop.unit is not None:
                parts = [(min(extent, loop.tile), 1)]
            for length, count in parts:
                inner[length] = inner.get(length, 0) + times * count
        extents = inner
    return sum(extents.values())
