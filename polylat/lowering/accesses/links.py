"""What of a transfer passes the links of a Network: which units of which loops, and how often.

Between two holders of a tensor (or a holder and the leaf), values cross the outermost Network. In
the order of the Spatial loops below it, from the outside in, they are delivered along one dimension
after the other: along a loop, the unit with index i gets all that it, and the units that the inner
loops place there, need. All figures are sums over these indices, with a weight for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import floor, prod
from typing import NamedTuple

from polylat.lowering.paths import Leaf, PathHolder
from polylat.spec.arch import Component
from polylat.spec.network import Network, PhysicalDim

__all__ = ["Link", "LinkLoop", "instances_in_use", "links_between"]


@dataclass(frozen=True)
class LinkLoop:
    """A Spatial loop along which values are delivered.

    Parameters
    ----------
    position
        Its position among the loops of the path.
    traffic
        Per index, whether the values of that unit pass the busiest link: 1 or 0.
    hops
        Per index, the number of hops that they make.
    """

    position: int
    traffic: tuple[int, ...]
    hops: tuple[int, ...]


@dataclass(frozen=True)
class Link:
    """The busiest link of a Network in one dimension.

    Parameters
    ----------
    network
        Name of the Network.
    port
        Index of its port for the dimension.
    loops
        The loops over units below the Network, along the dimension; outermost first.
    longest
        Hops of the longest route in the dimension.
    """

    network: str
    port: int
    loops: tuple[LinkLoop, ...]
    longest: int


class _Delivery(NamedTuple):
    """How values are delivered along a loop: weights as in `LinkLoop`, and the longest route."""

    traffic: tuple[int, ...]
    hops: tuple[int, ...]
    longest: int


def links_between(
    leaf: Leaf,
    components: Mapping[str, Component],
    tensor: str,
    variables: Collection[str],
    outer: PathHolder,
    inner: PathHolder | None,
) -> tuple[Link, ...]:
    """Return the links that values of a tensor pass between two holders.

    Parameters
    ----------
    leaf
        The leaf.
    components
        Name → component, of all components on the path, outer to inner.
    tensor, variables
        The tensor, and the rank variables that index the values.
    outer, inner
        Neighboring holders of the tensor; None: the leaf.

    Returns
    -------
    tuple of Link
        One per dimension with more than one unit, in the order of the loops.
    """
    order = list(components)
    begin = order.index(outer.component)
    end = order.index(leaf.component if inner is None else inner.component)
    name = next((n for n in order[begin + 1 : end] if components[n].network is not None), None)
    if name is None:
        return ()
    network = components[name]
    assert network.network is not None
    below = set(order[order.index(name) + 1 :])
    ports = {port.name: index for index, port in enumerate(network.ports)}
    found: dict[int, list[LinkLoop]] = {}
    longest: dict[int, int] = {}
    last = len(leaf.loops) if inner is None else inner.position
    for position in range(outer.position, last):
        unit, trips = leaf.loops[position].unit, leaf.trips[position]
        if unit is None or unit[0] not in below or trips == 1:
            continue
        port = ports[unit[1]]
        alone = not is_shared(leaf, components, tensor, variables, position)
        source = components[outer.component].physical
        physical = next((d for d in source if d.name == unit[1] and d.fanout > 1), None)
        stride = stride_of(leaf, position)
        made = _delivered(network.network, trips, stride, physical, alone=alone)
        found.setdefault(port, []).append(LinkLoop(position, made.traffic, made.hops))
        longest[port] = longest.get(port, 0) + made.longest
    return tuple(Link(name, port, tuple(some), longest[port]) for port, some in found.items())


def is_shared(
    leaf: Leaf,
    components: Mapping[str, Component],
    tensor: str,
    variables: Collection[str],
    position: int,
) -> bool:
    """Return whether the units of a Spatial loop share the values of a tensor.

    Parameters
    ----------
    leaf, components, tensor, variables
        As for `links_between`.
    position
        Position of the loop.

    Returns
    -------
    bool
        Whether the values do not depend on the loop, and the hardware may multicast or reduce.
    """
    loop = leaf.loops[position]
    assert loop.unit is not None
    dim = next(d for d in components[loop.unit[0]].spatial if d.name == loop.unit[1])
    return loop.variable not in variables and tensor in dim.may_reuse


def stride_of(leaf: Leaf, position: int) -> int:
    """Return the distance, in units, between neighboring indices of a Spatial loop.

    Parameters
    ----------
    leaf
        The leaf.
    position
        Position of the loop.

    Returns
    -------
    int
        The product of the trip counts of the loops inside it over the same dimension.
    """
    stride = 1
    for inner in range(position + 1, len(leaf.loops)):
        if leaf.loops[inner].unit == leaf.loops[position].unit:
            stride *= leaf.trips[inner]
    return stride


def instances_in_use(leaf: Leaf, components: Mapping[str, Component], name: str) -> int:
    """Return over how many instances of a distributed memory its values are spread.

    Parameters
    ----------
    leaf, components
        As for `links_between`.
    name
        Name of the memory.

    Returns
    -------
    int
        Their number; 1 if it is not distributed.
    """
    physical = components[name].physical
    if not physical:
        return 1
    order = list(components)
    array = next(n for n in order[order.index(name) + 1 :] if components[n].spatial)
    extents: dict[str, int] = {}
    for loop, trips in zip(leaf.loops, leaf.trips, strict=True):
        if loop.unit is not None and loop.unit[0] == array:
            extents[loop.unit[1]] = extents.get(loop.unit[1], 1) * trips
    return prod(int(-(-extents.get(dim.name, 1) // dim.stride)) for dim in physical)


def _delivered(
    network: Network, trips: int, stride: int, physical: PhysicalDim | None, *, alone: bool
) -> _Delivery:
    """Return how values are delivered along a loop; `alone`: to each unit its own."""
    others = range(1, trips)
    once = (0, *(1 for _ in others))
    second = (0, *(int(i == 1) for i in others))
    if network.topology == "all_to_all":
        return _Delivery(once if alone else second, once, 1)
    if not alone:
        return _Delivery(second, (0, *(stride for _ in others)), trips * stride)
    if physical is None:
        return _Delivery(once, (0, *(i * stride for i in others)), trips * stride)
    # Each instance of the distributed memory serves the units up to the next instance.
    way = [
        int(i * stride - floor(i * stride / physical.stride) * physical.stride)
        for i in range(trips)
    ]
    first = tuple(int(0 < i * stride < physical.stride) for i in range(trips))
    return _Delivery(first, tuple(way), max(way))
