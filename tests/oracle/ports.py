"""Ports, their durations, and the units that a leaf uses.

Implements the word *port* (*Words*), ports and the units of arrays (*What waits for what*).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .paths import Leaf
from .problem import Component, Illegal, Node, Problem
from .transfers import Access

Units = tuple[int, int]
"""A range of units: the first one, and one past the last."""

Port = tuple[str, str, tuple[Units, ...]]
"""Component, argument of the outermost ``max``, and a range of units of every level above."""


@dataclass(frozen=True, eq=False)
class Ports:
    """The ranges of units, per leaf and component, that its accesses occupy: one port for each."""

    problem: Problem
    ranges: Mapping[tuple[int, str], tuple[tuple[Units, ...], ...]]

    def work(self, leaf: Leaf, accesses: Iterable[Access]) -> dict[Port, Fraction]:
        """Ports: a block's duration is the sum of its accesses'. What takes no time needs no port.

        Units: an access occupies, for its duration, the port of every range that its leaf uses.
        """
        work: dict[Port, Fraction] = defaultdict(Fraction)
        for access in accesses:
            duration = self.duration(access)
            if duration:
                component = self.problem.component(access.component)
                port = access.dimension or component.port(access.action)
                for units in self.ranges[leaf.order, access.component]:
                    work[access.component, port, units] += duration
        return dict(work)

    def duration(self, access: Access) -> Fraction:
        """How long an access occupies its port; *Setup* and bursts are of transfers only."""
        costs, actions = self.problem.costs, access.actions
        if not actions:
            return Fraction(0)
        throughput = self.problem.component(access.component).throughput(access.action)
        if access.transfer:
            actions = costs.rounded(access.component, access.action, actions)
        duration = Fraction(0) if throughput is None else actions / throughput
        if access.transfer:
            duration += costs.setup_of(access.component, access.action)
        return duration


def read_ports(problem: Problem, leaves: Sequence[Leaf]) -> Ports:
    """Units: a component below takes part in the division of those above it."""
    parts = {c.name: parts_of(problem, leaves, c) for c in problem.components}
    ranges = {}
    for leaf in leaves:
        for component in problem.components:
            levels = [parts[c.name][leaf.order] for c in [*above(problem, component), component]]
            ranges[leaf.order, component.name] = tuple(itertools.product(*levels))
    return Ports(problem, ranges)


def above(problem: Problem, component: Component) -> list[Component]:
    """The components above another one, from the outside in."""
    return [
        c for c in problem.components if c.kind != "Compute" and c.position < component.position
    ]


def parts_of(
    problem: Problem, leaves: Sequence[Leaf], component: Component
) -> dict[int, tuple[Units, ...]]:
    """Units: per leaf, the ranges that no leaf's use divides among those that it uses."""
    used: dict[int, Units] = {}
    share_out(problem, leaves, component, problem.nodes, (0, component.fanout), (), used)
    cuts = sorted({end for units in used.values() for end in units})
    ranges = list(itertools.pairwise(cuts))
    return {
        order: tuple((low, high) for low, high in ranges if first <= low and high <= last)
        for order, (first, last) in used.items()
    }


def share_out(
    problem: Problem,
    leaves: Sequence[Leaf],
    component: Component,
    nodes: Sequence[Node],
    may: Units,
    path: tuple[Node, ...],
    used: dict[int, Units],
) -> None:
    """Units: what the branches of a subtree may use, down to what each leaf uses."""
    path, last = (*path, *nodes), nodes[-1]
    if not last.is_split:
        leaf = next(leaf for leaf in leaves if leaf.path[-1] == last)
        used[leaf.order] = may[0], may[0] + needs(problem, leaves, component, nodes)
        return
    divides = last.kind == "Pipeline" and is_divided(problem, leaves, component, last, may, path)
    need = needs_of_stages(problem, leaves, component, last)
    for number, branch in zip(last.data["binding"], last.branches, strict=True):
        first = may[0] + sum(units for other, units in need.items() if other < number)
        share = (first, first + need[number]) if divides else may
        share_out(problem, leaves, component, branch, share, path, used)


def needs_of_stages(
    problem: Problem, leaves: Sequence[Leaf], component: Component, split: Node
) -> dict[int, int]:
    """Units: how many units the stages with each number need; those with one number share them."""
    found: dict[int, int] = defaultdict(int)
    for number, branch in zip(split.data["binding"], split.branches, strict=True):
        found[number] = max(found[number], needs(problem, leaves, component, branch))
    return dict(found)


def needs(
    problem: Problem, leaves: Sequence[Leaf], component: Component, nodes: Sequence[Node]
) -> int:
    """Units: how many units of a component a subtree needs."""
    last = nodes[-1]
    if last.is_split:
        each = needs_of_stages(problem, leaves, component, last).values()
        return max(each) if last.kind == "Sequential" else sum(each)
    leaf = next(leaf for leaf in leaves if leaf.path[-1] == last)
    compute = problem.component(last.data["component"])
    if component not in [*above(problem, compute), compute]:
        return 0
    units = 1
    for loop in leaf.spatial:
        if loop.node.data["component"] == component.name:
            units *= loop.trips
    return units


def is_divided(
    problem: Problem,
    leaves: Sequence[Leaf],
    component: Component,
    split: Node,
    may: Units,
    path: Sequence[Node],
) -> bool:
    """Units: whether the stages of a Pipeline have ranges of their own.

    They do where the ranges fit, except where a tensor that two stages access is held above the
    Pipeline in a component inside that fanout, or the component does not allow it.
    """
    need = sum(needs_of_stages(problem, leaves, component, split).values())
    if need > may[1] - may[0] or not problem.may_divide(component):
        return False
    inside = [
        node
        for node in path
        if node.kind == "Storage"
        and problem.component(node.data["component"]).position >= component.position
    ]
    for tensor in {tensor for node in inside for tensor in node.data["tensors"]}:
        numbers = {
            split.data["binding"][stage]
            for leaf in leaves
            for node, stage in leaf.turns
            if node == split and leaf.einsum.reads_or_writes(tensor)
        }
        if len(numbers) > 1:
            return False
    return True


def check_bindings(ports: Ports, leaves: Sequence[Leaf]) -> None:
    """Units: stages with different numbers compute on different units."""
    for one, two in itertools.combinations(leaves, 2):
        place = next(
            k for k, (a, b) in enumerate(zip(one.turns, two.turns, strict=False)) if a != b
        )
        (split, first), (_, second) = one.turns[place], two.turns[place]
        numbers = split.data["binding"]
        compute = one.path[-1].data["component"]
        if (
            split.kind == "Pipeline"
            and split.data["bound"]
            and numbers[first] != numbers[second]
            and compute == two.path[-1].data["component"]
            and set(ports.ranges[one.order, compute]) & set(ports.ranges[two.order, compute])
        ):
            raise Illegal(f"{one.einsum.name} and {two.einsum.name} need the same unit")
