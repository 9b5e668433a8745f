"""Accesses and dependences → the task graph: ports, durations, logical dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from polylat.accesses.blocks import Access, Block
from polylat.dependences.layout import Edges, Layout
from polylat.lowering.paths import Leaf
from polylat.lowering.scan import Ints
from polylat.lowering.tiles import Tiles
from polylat.schedule.graph import Dates, TaskGraph, Times
from polylat.spec import Spec
from polylat.spec.arch import Component

__all__ = [
    "Costs",
    "PortKey",
    "build_graph",
    "costs",
    "logical_dates",
    "own_stages",
    "separations",
    "total_count",
]

_KINDS = {"fill": 0, "foreground": 1, "background": 2}


@dataclass(frozen=True, order=True)
class PortKey:
    """A port: what serves one access at a time.

    Parameters
    ----------
    component
        Its component.
    index
        Which of the component's ports.
    stages
        (Pipeline, stage) of every Pipeline whose stages have such ports of their own.
    """

    component: str
    index: int
    stages: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Costs:
    """Durations as integers: times are multiples of ``1 / scale``.

    Parameters
    ----------
    scale
        Steps of time per unit of time.
    per_value
        (leaf, component, tensor, action) → port → steps that one value takes.
    constant
        (leaf, component) → port → steps that the port is busy once per leaf.
    ports
        All ports, in the order of the architecture.
    exact
        Whether steps may exceed 64 bits and are Python integers.
    """

    scale: int
    per_value: Mapping[tuple[int, str, str | None, str], Mapping[int, int]]
    constant: Mapping[tuple[int, str], Mapping[int, int]]
    ports: tuple[PortKey, ...]
    exact: bool


def separations(spec: Spec, leaves: Sequence[Leaf]) -> frozenset[tuple[int, str]]:
    """(Pipeline, component) pairs where each stage has units of its own.

    A leaf uses as many units of a component as its Spatial loops there have iterations; a
    Sequential the most of its branches, a Pipeline the sum over its stages. Where the sum fits
    the component's fanout, the stages share it out instead of contending for it.
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
    """Units that each Pipeline uses of a component: the sum over its stages."""
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


def total_count(access: Access, tiles: Tiles) -> int:
    """How many values an access accesses in all tile iterations."""
    if tiles.whole:
        return int(access.counts.sum())
    times = tiles.multiplicity[access.iterations].astype(object)
    return int((access.counts * times).sum())


def costs(
    spec: Spec,
    leaves: Sequence[Leaf],
    tiles: Sequence[Tiles],
    blocks: Sequence[tuple[Block, ...]],
) -> Costs:
    """Durations of all accesses, on a common integer scale."""
    separate = separations(spec, leaves)
    per_value: dict[tuple[int, str, str | None, str], dict[PortKey, Fraction]] = {}
    constant: dict[tuple[int, str], dict[PortKey, Fraction]] = {}
    order: dict[str, int] = {name: i for i, name in enumerate(spec.arch.order)}
    for leaf, mine in zip(leaves, blocks, strict=True):
        path = {c.name: c for c in spec.arch.paths[leaf.einsum.name]}
        repeat = leaf.einsum.n_instances * spec.workload.n_instances
        stages = own_stages(leaf, list(path), separate)
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
        total_count(access, tiles[leaf])
        * max(steps[leaf, access.component, access.tensor, access.action].values(), default=0)
        for leaf, mine in enumerate(blocks)
        for block in mine
        for access in block.accesses
    )
    total += sum(int(c * scale) for costs in constant.values() for c in costs.values())
    return Costs(
        scale,
        steps,
        {what: whole(c) for what, c in constant.items()},
        ports,
        exact=total >= 1 << 62,
    )


def _cost(component: Component, access: Access) -> dict[int, Fraction]:
    """Per port, the time that one value's access takes."""
    actions = component.actions_per_value[access.action, access.tensor]
    return {
        i: actions * port.durations.get(access.action, Fraction(0))
        for i, port in enumerate(component.ports)
    }


def _used(leaf: Leaf) -> list[str]:
    """Components that a leaf uses: those that hold its tensors, and its Compute."""
    held = dict.fromkeys(h.component for holders in leaf.holders.values() for h in holders)
    return [*held, leaf.component]


def own_stages(
    leaf: Leaf, path: Sequence[str], separate: frozenset[tuple[int, str]]
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Per component on a leaf's path, the stages whose own units it is one of.

    Where the stages of a Pipeline contend for a component, the Pipelines inside share what there
    is as well: there are not enough units for all of their stages and the outer ones.
    """
    result = {}
    for i, name in enumerate(path):
        own = []
        for split in leaf.splits:
            if not split.pipeline:
                continue
            if not any((split.node, outer) in separate for outer in path[: i + 1]):
                break
            own.append((split.node, split.branch))
        result[name] = tuple(own)
    return result


def build_graph(
    layout: Layout,
    edges: Edges,
    costs: Costs,
    shifts: Mapping[int, Sequence[int]],
) -> TaskGraph:
    """The task graph of a mapping.

    Parameters
    ----------
    layout, edges, costs
        What there is, what waits for what, what takes how long.
    shifts
        Per Pipeline, the shift of each stage in the skewed dates.
    """
    dtype: type = object if costs.exact else np.int64
    blocks: list[Ints] = []
    ports: list[Ints] = []
    durations: list[Times] = []
    owner = np.empty(layout.total, dtype=np.int64)
    owner[: layout.iterations] = np.arange(layout.iterations)
    kind = np.ones(layout.total, dtype=np.int64)
    sequence = np.zeros(layout.total, dtype=np.int64)
    starts = np.zeros(layout.iterations, dtype=np.bool_)
    for leaf, mine in enumerate(layout.blocks):
        tiles, base = layout.tiles[leaf], layout.bases[leaf]
        starts[base] = True
        for index, block in enumerate(mine):
            if block.kind == "foreground":
                first, iterations = base, np.arange(tiles.size)
            else:
                first, iterations = layout.streams[leaf, index]
                owner[first : first + len(iterations)] = base + iterations
            kind[first : first + len(iterations)] = _KINDS[block.kind]
            sequence[first : first + len(iterations)] = index
            for port, load in _loads(leaf, block, iterations, costs, dtype).items():
                busy = np.flatnonzero(load)
                blocks.append(first + busy)
                ports.append(np.full(len(busy), port, dtype=np.int64))
                durations.append(load[busy])
    empty = [np.zeros(0, dtype=np.int64)]
    times = [tiles.multiplicity for tiles in layout.tiles]
    return TaskGraph(
        leaf_starts=starts,
        leaf=np.repeat(np.arange(len(layout.tiles)), [t.size for t in layout.tiles]),
        multiplicity=np.concatenate(times or empty),
        owner=owner,
        kind=kind,
        sequence=sequence,
        task_block=np.concatenate(blocks or empty),
        task_port=np.concatenate(ports or empty),
        task_duration=np.concatenate(durations or empty),
        ports=len(costs.ports),
        edge_source=edges.source,
        edge_target=edges.target,
        edge_reason=edges.reason,
        edge_rule=edges.rule,
        edge_copies=edges.copies,
        dates=logical_dates(layout, shifts),
    )


def _loads(
    leaf: int, block: Block, iterations: Ints, costs: Costs, dtype: type
) -> dict[int, Times]:
    """Per port, how long it serves each occurrence of a block."""
    loads: dict[int, Times] = {}

    def load(port: int) -> Times:
        return loads.setdefault(port, np.full(len(iterations), 0, dtype=dtype))

    for access in block.accesses:
        steps = costs.per_value[leaf, access.component, access.tensor, access.action]
        at = (
            access.iterations
            if block.kind == "foreground"
            else np.searchsorted(iterations, access.iterations)
        )
        for port, each in steps.items():
            load(port)[at] += access.counts.astype(dtype) * each
    if block.kind == "foreground":
        for (number, _), constants in costs.constant.items():
            if number == leaf:
                for port, once in constants.items():
                    load(port)[0] += once
    return loads


def logical_dates(layout: Layout, shifts: Mapping[int, Sequence[int]]) -> Dates:
    """Logical dates: per split the index of the loops above it and the branch, then the rest.

    Parameters
    ----------
    layout
        The tile iterations.
    shifts
        Per Pipeline, the shift of each stage in the skewed dates.
    """
    program, skew = [], []
    for tiles in layout.tiles:
        plain: list[Ints] = []
        skewed: list[Ints] = []
        above = 0
        for split in tiles.leaf.splits:
            turn = tiles.turns(tiles.digits, above, split.depth)
            branch = np.full(tiles.size, split.branch, dtype=np.int64)
            plain += [turn, branch]
            if split.pipeline:
                skewed += [turn + shifts[split.node][split.branch], -branch]
            else:
                skewed += [turn, branch]
            above = split.depth
        rest = [tiles.digits[k] for k in range(above, tiles.depth)]
        program.append([*plain, *rest])
        skew.append([*skewed, *rest])
    return Dates(_columns(layout, program), _columns(layout, skew))


def _columns(layout: Layout, parts: Sequence[Sequence[Ints]]) -> Ints:
    width = max(len(part) for part in parts)
    columns = np.zeros((width, layout.iterations), dtype=np.int64)
    for part, base, tiles in zip(parts, layout.bases, layout.tiles, strict=True):
        for row, values in enumerate(part):
            columns[row, base : base + tiles.size] = values
    return columns
