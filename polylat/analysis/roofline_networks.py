"""AccelForge's counts of hops, and of the traffic on the busiest link of each Network.

The formulas are those of AccelForge's `NetworkAnalyzer`, its defects included: traffic is not
multiplied by the trip counts of Temporal loops, and of the dimensions that a tensor passes, only
that of its outermost Spatial loop counts. The hops of a tensor that is written and read back count
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, pairwise
from math import prod
from typing import NamedTuple

from polylat.analysis.roofline_copies import joint_holdings
from polylat.analysis.roofline_counts import (
    ActionCount,
    bounding_box,
    fully_relevant,
    segments_above,
)
from polylat.analysis.roofline_paths import CountedLoop, Holding, MappingPath, trip_count
from polylat.errors import UnsupportedError
from polylat.numbers import Number
from polylat.spec.arch import Component
from polylat.spec.network import HOP
from polylat.spec.workload import TensorAccess

__all__ = ["LoopTile", "NetworkUse", "network_use", "network_uses", "spread_counts"]


class LoopTile(NamedTuple):
    """A loop as one tensor sees it.

    Parameters
    ----------
    loop
        The loop.
    trips
        Its trip count.
    volume
        Elements in the bounding box of the tensor's tile in one iteration.
    depends
        Whether the tensor's tile depends on the loop.
    """

    loop: CountedLoop
    trips: Number
    volume: int
    depends: bool


@dataclass
class NetworkUse:
    """What a tensor's values do in a Network, in one instance of the Einsum.

    Parameters
    ----------
    component, tensor
        The Network and the tensor.
    total_hops
        Actions of all hops together.
    max_hops
        Hops of the longest route.
    traffic
        Dimension → actions on its busiest link.
    """

    component: Component
    tensor: str
    total_hops: Number = 0
    max_hops: Number = 0
    traffic: Mapping[str, Number] = field(default_factory=dict)


def spread_counts(
    path: MappingPath, counts: Iterable[ActionCount], accounting: str
) -> Iterator[ActionCount]:
    """Divide the actions of distributed memories by the number of their instances.

    Parameters
    ----------
    path
        The path to a leaf.
    counts
        The numbers of actions, of one unit as if it were the only one.
    accounting
        The release, for a copy Einsum.

    Yields
    ------
    ActionCount
        The same; all units have as many actions as before.
    """
    if not any(component.physical for component in path.components):
        yield from counts
        return
    instances: dict[tuple[TensorAccess | None, str], Number] = {}
    for access, holdings in _counted(path, accounting):
        segments = _loop_tiles(path, access, holdings)
        for j, holding in enumerate(holdings):
            within = [*chain.from_iterable(segments[j + 1 :])]
            key = access, holding.component.name
            instances[key] = _instances(holding, path.components, within)
    for count in counts:
        shares = instances.get((count.access, count.component), 1)
        yield count._replace(one_unit=Fraction(count.one_unit) / shares)


def network_uses(path: MappingPath, accounting: str) -> Iterator[NetworkUse]:
    """Yield what each tensor does in each Network on a path.

    Parameters
    ----------
    path
        The path to a leaf.
    accounting
        The release, for a copy Einsum.

    Yields
    ------
    NetworkUse
        Per tensor and pair of neighboring holders (or holder and leaf) with a Network between.

    Raises
    ------
    UnsupportedError
        AccelForge does not count the tensor: a Spatial loop below the Network is over a variable
        that indexes it within a sum.
    """
    if all(component.network is None for component in path.components):
        return
    for access, holdings in _counted(path, accounting):
        tensor = access.tensor
        segments = _loop_tiles(path, access, holdings)
        relevant = fully_relevant(access)
        levels = [p.level for p in holdings]
        if not path.einsum.is_copy:
            levels.append(len(path.components) - 1)
        for j, (outer, inner) in enumerate(pairwise(levels)):
            between = range(outer + 1, inner)
            found = (i for i in between if path.components[i].network is not None)
            network = next(found, None)
            if network is None:
                continue
            above = [*chain.from_iterable(segments[: j + 2])]
            within = [*chain.from_iterable(segments[j + 2 :])]
            for tile in above:
                variable = tile.loop.variable
                if tile.loop.level > network and tile.depends and variable not in relevant:
                    raise UnsupportedError(
                        f"a Spatial loop over {variable!r}, which indexes {tensor!r} within a sum,"
                        f" is below the Network {path.components[network].name!r}, which"
                        " AccelForge refuses",
                        where=tile.loop.where or None,
                        fix="make it a Temporal loop",
                    )
            yield network_use(path.components, tensor, outer, network, within, above)


def _counted(
    path: MappingPath, accounting: str
) -> Sequence[tuple[TensorAccess, Sequence[Holding]]]:
    """Return the holders that count, per access."""
    if not path.einsum.is_copy:
        return path.holdings
    if accounting != "1.0":
        raise UnsupportedError(
            f"the accounting {accounting!r} of the copy Einsum {path.einsum.name!r} with Networks"
            " or distributed memories",
            where=path.einsum.where or None,
            fix="use accounting '1.0'",
        )
    return [(path.inputs[0], joint_holdings(path))]


def _loop_tiles(
    path: MappingPath, access: TensorAccess, holdings: Sequence[Holding]
) -> list[list[LoopTile]]:
    """Return the loops directly above each holder, and above the leaf, as the tensor sees them."""
    shape = {variable: path.sizes[variable] for variable in access.variables}
    found: list[list[LoopTile]] = []
    for segment in segments_above(access, path.loops, holdings):
        found.append([])
        for loop in segment:
            trips = loop.trips
            if loop.variable in shape:
                trips = trip_count(shape[loop.variable], loop.tile)
                shape[loop.variable] = loop.tile
            volume = bounding_box(access, shape)
            found[-1].append(LoopTile(loop, trips, volume, loop.variable in shape))
    return found


def _instances(
    holding: Holding, components: Sequence[Component], within: Sequence[LoopTile]
) -> Number:
    """Return how many instances of a distributed memory AccelForge divides its accesses by."""
    below = range(holding.level + 1, len(components))
    array = next((i for i in below if components[i].spatial), None)
    active: Number = 1
    if all(dim.fanout == 1 for dim in holding.component.physical):
        return active
    for dim in holding.component.physical:
        loops = [t for t in within if (t.loop.level, t.loop.dimension) == (array, dim.name)]
        if loops:
            active *= prod(tile.trips for tile in loops) / dim.stride
    return active


def network_use(
    components: Sequence[Component],
    tensor: str,
    source: int,
    network: int,
    within: Sequence[LoopTile],
    above: Sequence[LoopTile],
) -> NetworkUse:
    """Count what passes a Network between two holders of a tensor, or a holder and the leaf.

    Parameters
    ----------
    components
        The components on the path.
    tensor
        The tensor.
    source, network
        Indices of the component of the outer holder, and of the Network.
    within, above
        The loops inside the inner end, and above it, outer to inner.

    Returns
    -------
    NetworkUse
        The counts.
    """
    component = components[network]
    assert component.network is not None
    actions = component.actions_per_value[HOP, tensor] / component.network.actions_scale
    units: dict[tuple[int, str], Number] = {}
    for tile in within:
        _multiply(units, tile)
    use = NetworkUse(component, tensor)
    for tile in reversed(above):
        loop, trips = tile.loop, tile.trips
        if loop.level < network:  # Temporal, or over units that have a Network each
            use.total_hops *= trips
            _multiply(units, tile)
            continue
        stride = units.get((loop.level, loop.dimension), 1)
        if component.network.topology == "mesh":
            total, hops, traffic = _mesh(components[source], tile, stride)
        else:
            total, hops, traffic = trips - 1, 1, (trips - 1 if tile.depends else 1)
        volume = tile.volume * actions
        use.total_hops = total * volume + use.total_hops * trips
        use.max_hops += hops
        use.traffic = {loop.dimension: traffic * volume + use.traffic.get(loop.dimension, 0)}
        _multiply(units, tile)
    return use


def _multiply(units: dict[tuple[int, str], Number], tile: LoopTile) -> None:
    if tile.loop.level >= 0:
        key = tile.loop.level, tile.loop.dimension
        units[key] = units.get(key, 1) * tile.trips


def _mesh(source: Component, tile: LoopTile, stride: Number) -> tuple[Number, Number, Number]:
    """Return the hops of all values, of the longest route, and the values on the busiest link."""
    trips = tile.trips
    if not tile.depends:
        return (trips - 1) * stride, trips * stride, 1
    dims = {dim.name: dim for dim in source.physical}
    physical = dims.get(tile.loop.dimension)
    if physical is None or physical.fanout <= 1:
        return _unicast(trips, stride), trips * stride, trips - 1
    served: Number = 1
    if physical.stride != 1:
        served = min(max(physical.stride / stride, Fraction(1)), Fraction(trips))
    active: Number = max(Fraction(trips * stride) / physical.stride, Fraction(1))
    if physical.stride == 1:
        active = trips * stride
    # AccelForge leaves out zeros from the minimum.
    longest: list[Number] = [n for n in ((served - 1) * stride, physical.stride) if n]
    return active * _unicast(served, stride), min(longest), served - 1


def _unicast(trips: Number, stride: Number) -> Number:
    return Fraction(trips * (trips - 1)) / 2 * stride
