"""AccelForge's counts of actions on the path to a leaf.

The formulas are those of AccelForge's symbolic model (`model._looptree.reuse.symbolic` for the
counts, `model._looptree.latency.memory` for the latency). Per Einsum and tensor, with holders
h0 … hm from the outside in and the leaf below them, all counts are products of trip counts:

- The *fill* of a holder is the size of the bounding box of its tile.
- The exchanges of a holder or the leaf with its parent are that fill (one element for the leaf)
  times the trip counts of the loops between the two; a Spatial loop over units that share the
  element counts once.
- What an Einsum reads and what it writes of a tensor that it accesses several times are counted
  like tensors of their own, which the same holders hold: AccelForge has one access per tensor.
- The accesses to a holder are its exchanges with its parent and with its child, times the trip
  counts of the Temporal loops above it (for one unit) or of all loops above it (for all units).

Accesses above a split are charged to every Einsum below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from polylat.analysis.roofline_paths import CountedLoop, Holding, MappingPath, trip_count
from polylat.errors import MappingError
from polylat.numbers import Number
from polylat.spec.workload import TensorAccess

__all__ = [
    "ActionCount",
    "Tile",
    "action_counts",
    "bounding_box",
    "fully_relevant",
    "segments_above",
    "tensor_counts",
    "tiles_of",
]


class ActionCount(NamedTuple):
    """Number of actions of a component for a tensor, in one instance of the Einsum.

    Parameters
    ----------
    component, access, action
        The component, the access that is served and the action; the access is None for a
        computation.
    one_unit, all_units
        Number of actions of the busiest unit, and of all units.
    """

    component: str
    access: TensorAccess | None
    action: str
    one_unit: Number
    all_units: Number

    @property
    def tensor(self) -> str | None:
        """The tensor; None for a computation."""
        return None if self.access is None else self.access.tensor


class Tile(NamedTuple):
    """A holder's tile, or the operation at the leaf, and the trip counts above it.

    Parameters
    ----------
    fill
        Elements in the bounding box of the tile.
    temporal
        Trips of the Temporal loops above it.
    first
        The same, only of loops that lead to other elements, each of which has a first access.
    units
        Trips of the Spatial loops above it.
    exchanges
        Trips of the loops between its parent and it, as its parent sees them.
    first_exchanges
        The same, only of loops that lead to other elements.
    """

    fill: int
    temporal: Number
    first: Number
    units: Number
    exchanges: Number
    first_exchanges: Number


def action_counts(path: MappingPath) -> Iterator[ActionCount]:
    """Yield the numbers of all actions on a path; those of a copy Einsum are `copy_counts`.

    Parameters
    ----------
    path
        The path to a leaf.

    Yields
    ------
    ActionCount
        Per component, tensor and action.
    """
    compute = path.components[-1]
    for access, holdings in path.holdings:
        segments = segments_above(access, path.loops, holdings)
        tiles = tiles_of(access, segments, path.sizes)
        yield from tensor_counts(
            access,
            holdings,
            tiles,
            writes=access.output,
            skips=access.output and compute.skip_initial_output_write,
        )
    cost = compute.actions_per_value["compute", None]
    yield ActionCount(compute.name, None, "compute", path.steps * cost, path.operations * cost)


def segments_above(
    access: TensorAccess, loops: Sequence[CountedLoop], holdings: Sequence[Holding]
) -> list[list[CountedLoop]]:
    """Return the loops directly above each holder of a tensor, and above the leaf.

    Parameters
    ----------
    access
        The access of the tensor.
    loops
        The loops of the path, outer to inner.
    holdings
        The holders of the tensor, outer to inner.

    Returns
    -------
    list of list of CountedLoop
        One list per holder, and one for the leaf.

    Raises
    ------
    MappingError
        AccelForge refuses the order of the loops.

    Notes
    -----
    AccelForge's `_get_single_tensor_mapping` moves a Spatial loop to the level of the architecture
    where its units are: above the first holder whose component is the loop's or below it.
    """
    segments: list[list[CountedLoop]] = [[] for _ in range(len(holdings) + 1)]
    moved = False
    for loop in loops:
        above = sum(holding.position < loop.position for holding in holdings)
        if loop.level < 0:
            segments[above].append(loop)
            continue
        at = next((j for j, p in enumerate(holdings) if p.level >= loop.level), len(holdings))
        moved |= at != above
        segments[at].append(loop)
    if moved:
        for holding, segment in zip(holdings[1:], segments[2:], strict=True):
            end = _reserved(access, loops, holding)
            segment.sort(key=lambda loop: loop.level >= 0 or loop.position > end)
        _check_order(access, [loop for segment in segments for loop in segment])
    return segments


def _reserved(access: TensorAccess, loops: Sequence[CountedLoop], holding: Holding) -> int:
    """Index of the last loop by which AccelForge shrinks the tile of a holder below the first.

    Spatial loops are placed below it. (`insert_reservation_nodes`: down through loops over
    variables that index the tensor, up to and including the first that does so within a sum.)
    """
    relevant = fully_relevant(access)
    end = holding.position
    for loop in loops:
        if not holding.position < loop.position < holding.until:
            continue
        if loop.level < 0 and loop.variable not in access.variables:
            break
        if loop.level >= 0 and loop.level != holding.level:
            break
        end = loop.position
        if loop.level < 0 and loop.variable not in relevant:
            break
    return end


def _check_order(access: TensorAccess, loops: Sequence[CountedLoop]) -> None:
    """Refuse, as AccelForge does, reordered loops that depend on one another."""
    for i, outer in enumerate(loops):
        for inner in loops[i + 1 :]:
            if outer.position < inner.position:
                continue
            spatial = outer.level >= 0 and inner.level >= 0
            if spatial or (outer.variable == inner.variable and outer.variable in access.variables):
                raise MappingError(
                    f"for {access.tensor!r} this loop over {inner.variable!r} is moved below one "
                    f"over {outer.variable!r} that is below it in the mapping, because a Spatial "
                    "loop acts where its component is in the architecture",
                    where=inner.where or None,
                    fix="order loops and holders like the components of the architecture",
                )


def tiles_of(
    access: TensorAccess, segments: Sequence[Sequence[CountedLoop]], sizes: Mapping[str, int]
) -> list[Tile]:
    """Return the tiles of a tensor: of its holders from the outside in, then of an operation.

    Parameters
    ----------
    access
        The access of the tensor.
    segments
        The loops directly above each holder and above the leaf (`segments_above`).
    sizes
        Rank variable → number of values.

    Returns
    -------
    list of Tile
        One per holder, and that of an operation.
    """
    shape = {variable: sizes[variable] for variable in access.variables}
    relevant = fully_relevant(access)
    temporal: Number = 1
    first: Number = 1
    units: Number = 1
    tiles: list[Tile] = []
    for segment in segments:
        exchanges: Number = 1
        first_exchanges: Number = 1
        for loop in segment:
            if loop.variable in shape:
                trips = trip_count(shape[loop.variable], loop.tile)
                shape[loop.variable] = loop.tile
            else:
                trips = loop.trips
            if trips == 1:
                continue
            if loop.level < 0:
                temporal *= trips
                exchanges *= trips
                if loop.variable in relevant:
                    first *= trips
                    first_exchanges *= trips
            else:
                units *= trips
                if loop.variable in shape or access.tensor not in loop.reusable:
                    exchanges *= trips
                    first_exchanges *= trips
        tiles.append(
            Tile(bounding_box(access, shape), temporal, first, units, exchanges, first_exchanges)
        )
    return tiles


def fully_relevant(access: TensorAccess) -> set[str]:
    """Rank variables whose first index is a single term, so that each value is another element.

    AccelForge counts one first write of an element (which needs no read-back) per trip of a loop
    over such a variable, but not of a loop over a variable within a sum.

    Parameters
    ----------
    access
        The access of the tensor.

    Returns
    -------
    set of str
        The rank variables.
    """
    relevance: dict[str, bool] = {}
    for index in access.projection:
        single = len(index.terms) + bool(index.constant) == 1
        for variable in index.variables:
            relevance.setdefault(variable, single)
    return {variable for variable, single in relevance.items() if single}


def bounding_box(access: TensorAccess, shape: Mapping[str, int]) -> int:
    """Elements in the bounding box of a tile (AccelForge's `compute_dense_tile_occupancy`).

    Per rank, the extent is the index at the tile's end, plus 1.

    Parameters
    ----------
    access
        The access of the tensor.
    shape
        Rank variable → number of its values in the tile.

    Returns
    -------
    int
        The number of elements.
    """
    size = 1
    for index in access.projection:
        extent = index.constant + 1
        for variable, coefficient in index.terms:
            extent += coefficient * (shape[variable] - 1)
        size *= extent
    return size


def tensor_counts(
    access: TensorAccess,
    holdings: Sequence[Holding],
    tiles: Sequence[Tile],
    *,
    inwards: bool = True,
    reads: bool = True,
    writes: bool,
    skips: bool = False,
) -> Iterator[ActionCount]:
    """Yield the accesses of a tensor in all its holders, from the leaf outwards.

    Parameters
    ----------
    access, holdings, tiles
        The tensor, its holders from the outside in, and their tiles (`tiles_of`).
    inwards
        Whether holders fetch their tiles: inputs, and outputs that are updated further in. Without
        it data moves outwards only.
    reads, writes
        Whether the operations read and write the tensor.
    skips
        Whether the first read of an element is skipped.

    Yields
    ------
    ActionCount
        Per component and action.

    Notes
    -----
    `down` is the number of elements that the child reads, `up` the number that it writes, and
    `skipped` the part of `down` that is not read because no value exists yet; each is summed over
    the loops between the two.
    """
    leaf = tiles[-1]
    down: Number = leaf.exchanges if reads else 0
    up: Number = leaf.exchanges if writes else 0
    skipped: Number = leaf.first_exchanges if skips else 0
    tensor = access.tensor
    for j in range(len(holdings) - 1, -1, -1):
        component, tile = holdings[j].component, tiles[j]
        toll = component.kind == "Toll"
        first_skipped = inwards and (toll or component.skip_initial_output_write)
        # Exchanges with the parent. A Toll forwards the exchanges of its child, if it has one.
        read: Number = 0
        written: Number = 0
        not_read: Number = 0
        if j:
            through = toll and (j < len(holdings) - 1 or reads or writes)
            if inwards:
                read = down if through else tile.fill
            if access.output or not inwards:
                written = up if through else tile.fill
            if access.output and first_skipped:
                not_read = skipped if through else tile.fill
        direction = component.direction.get(tensor, "up_and_down") if toll else "up_and_down"
        sent: Number = 0
        not_sent: Number = 0
        if direction != "down":
            sent += written
        if direction != "up":
            sent += down
            not_sent = skipped if first_skipped else 0
        cost = component.actions_per_value["read", tensor]
        one_unit: Number = (tile.temporal * sent - tile.first * not_sent) * cost
        yield ActionCount(component.name, access, "read", one_unit, one_unit * tile.units)
        one_unit = 0
        if not toll:
            cost = component.actions_per_value["write", tensor]
            one_unit = (tile.temporal * (read + up) - tile.first * not_read) * cost
        yield ActionCount(component.name, access, "write", one_unit, one_unit * tile.units)
        down = read * tile.exchanges
        up = written * tile.exchanges
        skipped = not_read * tile.first_exchanges
