"""Derive from the mapping which blocks occur in which tile iterations, and for how long."""

from __future__ import annotations

from collections.abc import Mapping

import islpy as isl
import numpy as np

from polylat.analysis.isl_pieces import first_within
from polylat.analysis.starts import piece_per_sample
from polylat.engine.model import Model
from polylat.lowering.groups import GroupText, connected_groups
from polylat.lowering.isl_text import set_text
from polylat.lowering.paths import Leaf
from polylat.lowering.ports import total_values
from polylat.lowering.relations import domain
from polylat.proof.tile_sets import TileSets
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces, merge_pieces

__all__ = ["expected_iterations", "expected_loads", "operation_count_mismatch"]


def expected_iterations(sets: TileSets, leaf: int, block: int) -> isl.Set:
    """Derive from relations alone which tile iterations have a block.

    A fill belongs to the first tile iteration in a tile, a background write-back to the tile
    iterations that are the last in a tile to update some element.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.
    leaf, block
        The number of the leaf, and the index of the block among its blocks.

    Returns
    -------
    islpy.Set
        The tile iterations, as points without a name.
    """
    what = sets.model.layout.blocks[leaf][block]
    space = sets.spaces[leaf]
    if what.tensor is None:
        return space
    holder = sets.leaves[leaf].storages(what.tensor)[what.level]
    if what.kind == "fill":
        return isl.Map.from_pw_multi_aff(first_within(space, holder.depth)).range()
    found = space
    for part in _last_updates(sets.leaves[leaf], what.tensor, what.level, sets.depths[leaf]):
        found = found & part
    return found.coalesce()


def _last_updates(leaf: Leaf, tensor: str, level: int, depth: int) -> list[isl.Set]:
    """Return, per group of variables, the tile iterations that update an element last in a tile."""
    holder = leaf.storages(tensor)[level]
    temporal = [p for p, loop in enumerate(leaf.loops) if loop.unit is None][:depth]
    units = [p for p in range(holder.position) if leaf.loops[p].unit is not None]
    projection = leaf.einsum.access(tensor).projection
    ties = [c.variables for c in leaf.coupled]
    names = [f"i{k}" for k in range(depth)]
    found = []
    for variables, ranks in connected_groups(
        leaf.einsum.rank_variables, [i.variables for i in projection], ties
    ):
        loops = [p for p in temporal if leaf.loops[p].variable in variables]
        spatial = [p for p in units if leaf.loops[p].variable in variables]
        text = GroupText(leaf, variables, "x", [*loops, *spatial])
        equal = [f"z{r} = {text.index(projection[r])}" for r in ranks]
        outer = [p for p in loops if p < holder.position]
        inner = [p for p in loops if p >= holder.position]
        source = [*(text.shown[p] for p in [*outer, *spatial]), *(f"z{r}" for r in ranks)]
        dims = [*source, *(text.shown[p] for p in inner)]
        updates = isl.Map.from_range(
            isl.Set(set_text(dims, text.hidden, [*text.conditions, *equal]))
        ).move_dims(isl.dim_type.in_, 0, isl.dim_type.out, 0, len(source))
        last = updates.lexmax().wrap().flatten()
        given = [f"a{k}" for k in range(len(dims))]
        where = {p: f"a{dims.index(text.shown[p])}" for p in loops}
        tied = " and ".join(f"i{temporal.index(p)} = {name}" for p, name in where.items())
        spread = isl.Map(f"{{ [{', '.join(given)}] -> [{', '.join(names)}] : {tied or '1 = 1'} }}")
        found.append(last.apply(spread))
    return found


def expected_loads(model: Model, leaf: int, block: int) -> Mapping[int, Pieces]:
    """Derive how long each port serves a block.

    Parameters
    ----------
    model
        The mapping.
    leaf, block
        The number of the leaf, and the index of the block among its blocks.

    Returns
    -------
    dict
        Port → pieces of the tile iterations that it serves, with the durations in steps of 1/scale
        and all start times 0.
    """
    costs, tiles = model.costs, model.layout.tiles[leaf]
    dtype: type = object if costs.exact else np.int64
    found: dict[int, Times] = {}

    def load(port: int) -> Times:
        return found.setdefault(port, np.full(tiles.size, 0, dtype=dtype))

    what = model.layout.blocks[leaf][block]
    for access in what.accesses:
        key = leaf, access.component, access.tensor, access.action
        for port, each in costs.per_value[key].items():
            load(port)[access.iterations] += access.counts.astype(dtype) * each
    if what.kind == "foreground":
        for (number, _), once in costs.constant.items():
            if number == leaf:
                for port, steps in once.items():
                    load(port)[0] += steps
    result = {}
    for port, times in found.items():
        some = np.flatnonzero(times)
        if len(some):
            result[port] = _constant(model, leaf, some, times[some])
    return result


def _constant(model: Model, leaf: int, iterations: Ints, duration: Times) -> Pieces:
    tiles = model.layout.tiles[leaf]
    return merge_pieces(piece_per_sample(tiles, iterations, duration * 0, duration))


def operation_count_mismatch(model: Model, leaf: int) -> tuple[int, int] | None:
    """Compare the computations that are counted with the operations of the iteration domain.

    Leaves with Spatial loops are not compared, as the counts are those of one unit; nor are copy
    Einsums, which have no operations.

    Parameters
    ----------
    model
        The mapping.
    leaf
        The number of the leaf.

    Returns
    -------
    (counted, operations) or None
        None where the two agree or are not compared.
    """
    path = model.lowered.leaves[leaf]
    if path.einsum.is_copy or any(loop.unit is not None for loop in path.loops):
        return None
    tiles = model.layout.tiles[leaf]
    counted = sum(
        total_values(access, tiles)
        for block in model.layout.blocks[leaf]
        for access in block.accesses
        if access.tensor is None
    )
    operations = _cardinality(path)
    return None if counted == operations else (counted, operations)


def _cardinality(leaf: Leaf) -> int:
    """Return the number of points of a leaf's iteration domain."""
    total = 1
    tied = {v for c in leaf.coupled for v in c.variables}
    for variable, (low, high) in leaf.ranges.items():
        if variable not in tied:
            total *= high - low + 1
    if tied:
        some = domain(leaf)
        order = leaf.einsum.rank_variables
        for k in range(len(order) - 1, -1, -1):
            if order[k] not in tied:
                some = some.project_out(isl.dim_type.set, k, 1)
        assert some.is_bounded(), "ranges are bounded"
        total *= int(some.count_val().to_python())
    return total
