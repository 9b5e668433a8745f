"""How long each port serves each block, from the counts of accesses and the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from polylat.proof.accesses import ExpectedAccess, ExpectedBlock, expected_blocks, tile_counts
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.loop_counts import LoopCounts, at_extreme, constant, together
from polylat.proof.problem import Problem
from polylat.proof.units import PortName, Units

__all__ = ["OVERHEAD", "Expectation", "ExpectedService"]

OVERHEAD = "overhead"


@dataclass(frozen=True, eq=False)
class ExpectedService:
    """An access as a port serves it.

    Parameters
    ----------
    port
        The port.
    component, tensor, action
        The access.
    duration
        Per tile iteration, the time that it takes, in steps of 1/scale.
    """

    port: PortName
    component: str
    tensor: str | None
    action: str
    duration: LoopCounts


class Expectation:
    """The blocks, services and counts that a schedule must have.

    Parameters
    ----------
    problem
        The mapping and its options.
    scale
        Steps of the schedule's times per unit of time.
    """

    def __init__(self, problem: Problem, scale: int) -> None:
        self.problem = problem
        self.scale = scale
        self.units = Units(problem.spec, problem.leaves)
        self._own = [self.units.own_units(leaf) for leaf in problem.leaves]
        self._services: dict[tuple[int, int], tuple[ExpectedService, ...]] = {}

    @cached_property
    def blocks(self) -> tuple[tuple[ExpectedBlock, ...], ...]:
        """Per leaf, its blocks."""
        return tuple(expected_blocks(self.problem, leaf) for leaf in self.problem.leaves)

    @cached_property
    def tiles(self) -> tuple[LoopCounts, ...]:
        """Per leaf, its tile iterations: 1 where one exists."""
        return tuple(
            tile_counts(leaf, depth)
            for leaf, depth in zip(self.problem.leaves, self.problem.depths, strict=True)
        )

    def iterations(self, leaf: int, block: int) -> LoopCounts:
        """Return the tile iterations that have a block.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.

        Returns
        -------
        LoopCounts
            Above 0 where the block occurs.
        """
        what = self.blocks[leaf][block]
        found = self.tiles[leaf]
        if what.kind != "foreground":
            some = constant(0)
            for access in what.accesses:
                some = together(some, access.counts.mapped(lambda v: 1 * (v > 0)), "+")
            found = together(found, some, "*")
        return found

    def services(self, leaf: int, block: int) -> tuple[ExpectedService, ...]:
        """Return the services of a block, in the order in which a port serves them.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.

        Returns
        -------
        tuple of ExpectedService
            The services that take time.
        """
        if (leaf, block) not in self._services:
            what = self.blocks[leaf][block]
            found = [s for access in what.accesses for s in self._served(leaf, access)]
            if what.kind == "foreground":
                found += self._once(leaf)
            self._services[leaf, block] = tuple(found)
        return self._services[leaf, block]

    def loads(self, leaf: int, block: int) -> dict[PortName, LoopCounts]:
        """Return how long each port serves a block.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.

        Returns
        -------
        dict
            Port → per tile iteration, the time in steps of 1/scale.
        """
        found: dict[PortName, LoopCounts] = {}
        for service in self.services(leaf, block):
            before = found.get(service.port, constant(0))
            found[service.port] = together(before, service.duration, "+")
        return {port: load for port, load in found.items() if (load.values != 0).any()}

    @cached_property
    def busy(self) -> Mapping[PortName, int]:
        """Port → the time for which it serves accesses, in steps of 1/scale."""
        found: dict[PortName, int] = {}
        for leaf, blocks in enumerate(self.blocks):
            for block in range(len(blocks)):
                for service in self.services(leaf, block):
                    found.setdefault(service.port, 0)
                    found[service.port] += service.duration.total
        return found

    def _served(self, leaf: int, access: ExpectedAccess) -> list[ExpectedService]:
        path = self.problem.leaves[leaf]
        component = self.problem.spec.arch.component(path.einsum.name, access.component)
        actions = component.actions_per_value[access.action, access.tensor]
        repeat = path.einsum.n_instances * self.problem.spec.workload.n_instances
        found = []
        for index, port in enumerate(component.ports):
            each = actions * port.durations.get(access.action, Fraction(0)) * repeat
            if each:
                name = component.name, index, self._own[leaf][component.name]
                steps = constant(self._steps(each))
                duration = together(access.counts, steps, "*")
                found.append(
                    ExpectedService(name, access.component, access.tensor, access.action, duration)
                )
        return found

    def _once(self, leaf: int) -> list[ExpectedService]:
        """Return the constants of the components that a leaf uses, in its first tile iteration."""
        path = self.problem.leaves[leaf]
        used = dict.fromkeys(h.component for some in path.holders.values() for h in some)
        repeat = path.einsum.n_instances * self.problem.spec.workload.n_instances
        found = []
        for name in dict.fromkeys([*used, path.component]):
            component = self.problem.spec.arch.component(path.einsum.name, name)
            for index, port in enumerate(component.ports):
                if port.constant:
                    first = at_extreme(self.tiles[leaf], self.tiles[leaf].loops, last=False)
                    steps = constant(self._steps(port.constant * repeat))
                    duration = together(first, steps, "*")
                    port_name = name, index, self._own[leaf][name]
                    found.append(ExpectedService(port_name, name, None, OVERHEAD, duration))
        return found

    def _steps(self, time: Fraction) -> int:
        steps = time * self.scale
        if steps.denominator != 1:
            raise BrokenRule(f"a time of {time} is not a multiple of the unit 1/{self.scale}")
        return steps.numerator
