"""Networks, and memories that are distributed over an Array.

Implements the section *Networks*: what crosses a Network between two nodes, on the busiest link of
each dimension and over all hops, and how many hops the longest route has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from .moves import Part
from .paths import Leaf, Loop
from .problem import Component, Element, Index, Node, Problem

Units = Mapping[Index, list[Element]]
"""Per unit (indices of the Spatial loops above the inner end): the values that move."""


@dataclass(frozen=True)
class Route:
    """A dimension of a Network, and the loops along which values are delivered in it."""

    network: Component
    dimension: str
    loops: tuple[tuple[int, Loop], ...]
    """Places among the Spatial loops of the path, and the loops."""


def crossed(problem: Problem, leaf: Leaf, outer: Node, inner: Node) -> Component | None:
    """The outermost Network between the components of two neighboring holders, or the Compute."""
    start = problem.component(outer.data["component"]).position
    end = problem.component(inner.data["component"]).position
    path = problem.path_of(leaf.path[-1].data["component"])
    between = [c for c in path if c.kind == "Network" and start < c.position < end]
    return between[0] if between else None


def routes(problem: Problem, leaf: Leaf, outer: Node, inner: Node) -> Iterator[Route]:
    """The dimensions along which values are delivered between two nodes of the path."""
    network = crossed(problem, leaf, outer, inner)
    if network is None:
        return
    start, end = leaf.path.index(outer), leaf.path.index(inner)
    loops = [
        (place, loop)
        for place, loop in enumerate(leaf.spatial)
        if start < loop.position < end
        and problem.component(loop.node.data["component"]).position > network.position
        and loop.trips > 1
    ]
    for dimension in dict.fromkeys(loop.node.data["name"] for _, loop in loops):
        mine = [item for item in loops if item[1].node.data["name"] == dimension]
        yield Route(network, dimension, tuple(mine))


def stride(leaf: Leaf, loop: Loop) -> int:
    """The product of the trip counts of the loops inside over the same dimension."""
    product = 1
    for other in leaf.spatial:
        same = all(other.node.data[key] == loop.node.data[key] for key in ("component", "name"))
        if same and other.position > loop.position:
            product *= other.trips
    return product


def is_multicast(problem: Problem, part: Part, loop: Loop) -> bool:
    """The tensor does not depend on the variable, and the hardware may share it."""
    component = problem.component(loop.node.data["component"])
    reuse = component.may_reuse(loop.node.data["name"], part.tensor)
    return loop.variable not in part.variables and reuse


def instance_stride(problem: Problem, source: Component, dimension: str) -> int | None:
    """Units from one instance of a distributed memory to the next; None if it has only one."""
    for entry in source.data.get("physical", ()):
        if entry["name"] == dimension and int(entry["fanout"]) > 1:
            return int(entry["units"]) // int(entry["fanout"])
    return None


def longest(problem: Problem, leaf: Leaf, part: Part, outer: Node, route: Route) -> int:
    """Hops of the longest route in a dimension."""
    hops = 0
    for _, loop in route.loops:
        if route.network.data.get("topology", "mesh") == "all_to_all":
            hops += 1
            continue
        s = stride(leaf, loop)
        source = problem.component(outer.data["component"])
        apart = instance_stride(problem, source, route.dimension)
        if apart is None or is_multicast(problem, part, loop):
            hops += loop.trips * s
        else:
            hops += max(i * s % apart for i in range(loop.trips))
    return hops


def moved(
    problem: Problem,
    leaf: Leaf,
    part: Part,
    units: Units,
    place: int,
    *,
    every_unit: bool,
) -> list[int]:
    """v(i): the values that move per index of a Spatial loop of the path.

    Of the loops inside, all units count, of those that share values unit 0; of the loops outside
    unit 0, or every unit.
    """
    loops = leaf.spatial
    counts = [0] * loops[place].trips
    for unit, values in units.items():
        outside, inside = unit[:place], unit[place + 1 :]
        if any(outside) and not every_unit:
            continue
        shared = (
            index and is_multicast(problem, part, loop)
            for index, loop in zip(inside, loops[place + 1 :], strict=False)
        )
        if not any(shared):
            counts[unit[place]] += len(values)
    return counts


def passing(
    problem: Problem,
    leaf: Leaf,
    part: Part,
    units: Units,
    outer: Node,
    route: Route,
    *,
    hops: bool,
) -> int:
    """Values on the busiest link of a dimension; with ``hops``, all hops of all values."""
    total = 0
    for place, loop in route.loops:
        v = moved(problem, leaf, part, units, place, every_unit=hops)
        s, multicast = stride(leaf, loop), is_multicast(problem, part, loop)
        apart = instance_stride(
            problem, problem.component(outer.data["component"]), route.dimension
        )
        if route.network.data.get("topology", "mesh") == "all_to_all":
            total += v[1] if multicast and not hops else sum(v[1:])
        elif multicast:
            total += s * sum(v[1:]) if hops else v[1]
        elif apart is None:
            total += s * sum(i * n for i, n in enumerate(v)) if hops else sum(v[1:])
        elif hops:
            total += sum((i * s % apart) * n for i, n in enumerate(v))
        else:
            total += sum(n for i, n in enumerate(v) if 0 < i * s < apart)
    return total


def busiest_share(problem: Problem, leaf: Leaf, name: str, values: int) -> int:
    """The values of the busiest instance of a memory that may be distributed."""
    instances = 1
    for entry in problem.component(name).data.get("physical", ()):
        used = 1
        for loop in leaf.spatial:
            if (loop.node.data["component"], loop.node.data["name"]) == (
                entry["array"],
                entry["name"],
            ):
                used *= loop.trips
        instances *= ceil(Fraction(used * int(entry["fanout"]), int(entry["units"])))
    return ceil(Fraction(values, instances))
