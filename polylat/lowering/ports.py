"""Ports, and how long accesses occupy them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from polylat.lowering.accesses.blocks import Access, Block
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.numbers import INT64_LIMIT
from polylat.spec import Spec
from polylat.spec.arch import Component

__all__ = [
    "AccessCosts",
    "PortKey",
    "access_costs",
    "stages_with_units",
    "total_values",
]


@dataclass(frozen=True, order=True)
class PortKey:
    """The identity of a port, which serves one access at a time.

    Parameters
    ----------
    component, index
        Its component, and its index among the ports of the component.
    stages
        (Pipeline, stage) for each Pipeline whose stages have separate units of the component.
    """

    component: str
    index: int
    stages: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class AccessCosts:
    """Durations of accesses as integers, in steps of 1/scale of the architecture's unit of time.

    Parameters
    ----------
    scale
        Steps per unit of time.
    per_value
        (leaf, component, tensor, action) → number of a port → steps per value.
    constant
        (leaf, component) → number of a port → steps that the port is busy once per leaf.
    ports
        All ports, in the order of the architecture.
    exact
        Whether times are Python integers because they may exceed 64 bits.
    """

    scale: int
    per_value: Mapping[tuple[int, str, str | None, str], Mapping[int, int]]
    constant: Mapping[tuple[int, str], Mapping[int, int]]
    ports: tuple[PortKey, ...]
    exact: bool


def _separated_stages(spec: Spec, leaves: Sequence[Leaf]) -> frozenset[tuple[int, str]]:
    """Return the (Pipeline, component) pairs whose stages have separate units.

    A leaf uses one unit of a component per iteration of its Spatial loops there, a Sequential the
    maximum over its branches, a Pipeline the sum over its stages. Where the sum does not exceed
    the component's fanout, the stages divide the units instead of contending for them.
    """
    fanout: dict[str, int] = {}
    for leaf in leaves:
        for component in spec.arch.paths[leaf.einsum.name]:
            fanout[component.name] = component.fanout
    pairs = set()
    for name, available in fanout.items():
        for node, used in _pipeline_usage(spec, leaves, name, 0).items():
            if used <= available:
                pairs.add((node, name))
    return frozenset(pairs)


def _pipeline_usage(
    spec: Spec, leaves: Sequence[Leaf], component: str, level: int
) -> dict[int, int]:
    """Return the number of units of a component that each Pipeline (tree node) uses."""
    found: dict[int, int] = {}

    def usage(some: Sequence[Leaf], level: int) -> int:
        if len(some) == 1 and len(some[0].splits) == level:
            leaf = some[0]
            if all(c.name != component for c in spec.arch.paths[leaf.einsum.name]):
                return 0
            product = 1
            for loop, trips in zip(leaf.loops, leaf.trips, strict=True):
                if loop.unit is not None and loop.unit[0] == component:
                    product *= trips
            return product
        branches: dict[int, list[Leaf]] = {}
        for leaf in some:
            branches.setdefault(leaf.splits[level].branch, []).append(leaf)
        used = [usage(branch, level + 1) for branch in branches.values()]
        split = some[0].splits[level]
        if split.pipeline:
            found[split.node] = sum(used)
            return sum(used)
        return max(used)

    usage(leaves, level)
    return found


def total_values(access: Access, tiles: IterationTable) -> int:
    """Return the number of values of an access in all tile iterations.

    Parameters
    ----------
    access, tiles
        The access, and the tile iterations of its leaf.

    Returns
    -------
    int
        Number of values, of skipped tile iterations, too.
    """
    if tiles.whole:
        return int(access.counts.sum())
    times = tiles.multiplicity[access.iterations].astype(object)
    return int((access.counts * times).sum())


def access_costs(
    spec: Spec,
    leaves: Sequence[Leaf],
    tiles: Sequence[IterationTable],
    blocks: Sequence[tuple[Block, ...]],
) -> AccessCosts:
    """Return the durations of all accesses on a common integer scale.

    Parameters
    ----------
    spec
        The input.
    leaves, tiles, blocks
        The leaves, in tree order, and their tile iterations and blocks.

    Returns
    -------
    AccessCosts
        The durations.
    """
    units = stages_with_units(spec, leaves)
    per_value: dict[tuple[int, str, str | None, str], dict[PortKey, Fraction]] = {}
    constant: dict[tuple[int, str], dict[PortKey, Fraction]] = {}
    order: dict[str, int] = {name: i for i, name in enumerate(spec.arch.order)}
    for leaf, mine in zip(leaves, blocks, strict=True):
        path = {c.name: c for c in spec.arch.paths[leaf.einsum.name]}
        repeat = leaf.einsum.n_instances * spec.workload.n_instances
        stages = units[leaf.number]
        for access in (a for block in mine for a in block.accesses):
            component = path[access.component]
            what = (leaf.number, access.component, access.tensor, access.action)
            per_value[what] = {
                PortKey(component.name, i, stages[component.name]): cost * repeat
                for i, cost in _cost(component, access).items()
                if cost
            }
        for name in _used(leaf):
            constant[leaf.number, name] = {
                PortKey(name, i, stages[name]): port.constant * repeat
                for i, port in enumerate(path[name].ports)
                if port.constant
            }
    everything = [*per_value.values(), *constant.values()]
    scale = lcm(*(f.denominator for costs in everything for f in costs.values()))
    keys = {key for costs in everything for key in costs}
    ports = tuple(sorted(keys, key=lambda k: (order.get(k.component, len(order)), k)))
    number = {key: i for i, key in enumerate(ports)}

    def whole(costs: Mapping[PortKey, Fraction]) -> dict[int, int]:
        return {number[key]: int(cost * scale) for key, cost in costs.items()}

    steps = {what: whole(c) for what, c in per_value.items()}
    total = sum(
        total_values(access, tiles[leaf])
        * max(steps[leaf, access.component, access.tensor, access.action].values(), default=0)
        for leaf, mine in enumerate(blocks)
        for block in mine
        for access in block.accesses
    )
    total += sum(int(c * scale) for costs in constant.values() for c in costs.values())
    return AccessCosts(
        scale,
        steps,
        {what: whole(c) for what, c in constant.items()},
        ports,
        exact=total >= INT64_LIMIT,
    )


def _cost(component: Component, access: Access) -> dict[int, Fraction]:
    """Return index of a port → the time per value of an access."""
    actions = component.actions_per_value[access.action, access.tensor]
    return {
        i: actions * port.durations.get(access.action, Fraction(0))
        for i, port in enumerate(component.ports)
    }


def _used(leaf: Leaf) -> list[str]:
    """Return the components that a leaf uses: those of its holders, and its Compute."""
    held = dict.fromkeys(h.component for holders in leaf.holders.values() for h in holders)
    return [*held, leaf.component]


def stages_with_units(
    spec: Spec, leaves: Sequence[Leaf]
) -> tuple[dict[str, tuple[tuple[int, int], ...]], ...]:
    """Return, per leaf and component on its path, the stages that have separate units of it.

    Where the stages of a Pipeline contend for a component, those of Pipelines inside it contend,
    too: there are not enough units for all of them.

    Parameters
    ----------
    spec, leaves
        The input and its leaves, in tree order.

    Returns
    -------
    tuple of dict
        Per leaf: component → (tree node of a Pipeline, stage) pairs, outermost first.
    """
    separate = _separated_stages(spec, leaves)
    result = []
    for leaf in leaves:
        path = [component.name for component in spec.arch.paths[leaf.einsum.name]]
        stages = {}
        for i, name in enumerate(path):
            own = []
            for split in leaf.splits:
                if not split.pipeline:
                    continue
                if not any((split.node, outer) in separate for outer in path[: i + 1]):
                    break
                own.append((split.node, split.branch))
            stages[name] = tuple(own)
        result.append(stages)
    return tuple(result)
