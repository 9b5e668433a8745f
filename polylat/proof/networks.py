"""Which values pass the busiest links of Networks, and over how many instances memories spread.

Derived from the routes: along a Spatial loop, a value goes from the place of its source to the unit
that needs it, from one unit to the next in a mesh, and over a switch in an all-to-all Network. The
link behind the first source carries most.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod

from polylat.lowering.paths import Leaf
from polylat.spec.arch import Component

__all__ = ["Crossing", "crossings", "shared", "spread"]


@dataclass(frozen=True)
class Crossing:
    """What passes the busiest link of a Network in one dimension.

    Parameters
    ----------
    network, port
        The Network, and the index of its port for the dimension.
    loops
        (position of a Spatial loop, per unit whether its values pass the link).
    hops
        Hops of the longest route in the dimension.
    """

    network: str
    port: int
    loops: tuple[tuple[int, tuple[int, ...]], ...]
    hops: int


def crossings(
    leaf: Leaf,
    components: Mapping[str, Component],
    tensor: str,
    variables: Collection[str],
    ends: tuple[str, str],
    between: range,
) -> list[Crossing]:
    """Return what passes the links of the Network between two components.

    Parameters
    ----------
    leaf, components
        The leaf, and the components on its path by name, outermost first.
    tensor, variables
        The tensor that moves, and the variables that index the values.
    ends
        The outer and the inner component.
    between
        Positions of the loops between the two holders, or the holder and the leaf.

    Returns
    -------
    list of Crossing
        One per dimension along which values are delivered.
    """
    names = list(components)
    inside = names[names.index(ends[0]) + 1 : names.index(ends[1])]
    networks = [name for name in inside if components[name].network is not None]
    if not networks:
        return []
    component = components[networks[0]]
    found: dict[str, list[tuple[int, tuple[int, ...]]]] = {}
    hops: dict[str, int] = {}
    for p in between:
        unit, trips = leaf.loops[p].unit, leaf.trips[p]
        if unit is None or trips < 2 or names.index(unit[0]) < names.index(component.name):
            continue
        inner = [q for q in range(p + 1, len(leaf.loops)) if leaf.loops[q].unit == unit]
        gap = prod(leaf.trips[q] for q in inner)
        places = [i * gap for i in range(trips)]
        multicast = shared(leaf, components, tensor, variables, p)
        single = trips * gap
        assert component.network is not None
        if component.network.topology == "all_to_all":
            passing, longest = list(range(1, trips)), 1
        else:
            sources = [0] * trips
            banks = {d.name: d for d in components[ends[0]].physical if d.fanout > 1}
            if unit[1] in banks and not multicast:
                stride = int(banks[unit[1]].stride)
                sources = [place // stride * stride for place in places]
                single = max(place - at for place, at in zip(places, sources, strict=True))
            routes = [range(at, place) for at, place in zip(sources, places, strict=True)]
            passing, longest = [i for i, route in enumerate(routes) if 0 in route], single
        if multicast:  # they all get the same, which passes once
            passing = passing[:1]
        weights = tuple(int(i in passing) for i in range(trips))
        found.setdefault(unit[1], []).append((p, weights))
        hops[unit[1]] = hops.get(unit[1], 0) + longest
    ports = [port.name for port in component.ports]
    return [
        Crossing(component.name, ports.index(dim), tuple(loops), hops[dim])
        for dim, loops in found.items()
    ]


def shared(
    leaf: Leaf,
    components: Mapping[str, Component],
    tensor: str,
    variables: Collection[str],
    position: int,
) -> bool:
    """Return whether the hardware multicasts or reduces a tensor's values over a Spatial loop.

    Parameters
    ----------
    leaf, components, tensor, variables
        As for `crossings`.
    position
        Position of the loop.

    Returns
    -------
    bool
        Whether it does.
    """
    loop = leaf.loops[position]
    assert loop.unit is not None
    component, dimension = loop.unit
    reuse = {d.name: d.may_reuse for d in components[component].spatial}[dimension]
    return loop.variable not in variables and tensor in reuse


def spread(leaf: Leaf, components: Mapping[str, Component], name: str) -> int:
    """Return over how many instances of a component its values are spread.

    Parameters
    ----------
    leaf, components
        As for `crossings`.
    name
        Name of the component.

    Returns
    -------
    int
        Their number.
    """
    instances = 1
    for dim in components[name].physical:
        names = list(components)
        array = next(n for n in names[names.index(name) :] if components[n].spatial)
        units = [
            t for t, x in zip(leaf.trips, leaf.loops, strict=True) if x.unit == (array, dim.name)
        ]
        instances *= -(-prod(units) // int(dim.stride))
    return instances
