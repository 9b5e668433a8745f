"""How long each port serves each block, from the counts of accesses and the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import numpy as np

from polylat.lowering.paths import Leaf
from polylat.proof.accesses import ExpectedAccess, ExpectedBlock, expected_blocks, tile_counts
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.loop_counts import LoopCounts, at_extreme, constant, together
from polylat.proof.problem import Problem
from polylat.proof.units import PortName, Units
from polylat.spec.arch import Component

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


@dataclass(frozen=True)
class _Cost:
    """What an access costs on a port of its component.

    Parameters
    ----------
    port
        The index of the port.
    each, once
        The time per action, and per transfer (setup).
    """

    port: int
    each: Fraction
    once: Fraction


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
        self._services: dict[tuple[int, int], tuple[ExpectedService, ...]] = {}
        self._latencies: dict[tuple[int, int], LoopCounts] = {}

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

    @cached_property
    def _ports(self) -> dict[str, dict[tuple[int, int], list[PortName]]]:
        """Component → (leaf, index of a port) → the ports that serve the leaf's accesses there."""
        served: dict[str, dict[int, set[int]]] = {}
        for path, blocks in zip(self.problem.leaves, self.blocks, strict=True):
            busy = [
                (access.component, cost.port)
                for block in blocks
                for access in block.accesses
                if access.counts.total
                for cost in self._costs(path.number, access)
            ]
            busy += [
                (name, index)
                for name in _used(path)
                for index, port in enumerate(self._component(path.number, name)[0].ports)
                if port.constant
            ]
            for name, index in busy:
                served.setdefault(name, {}).setdefault(index, set()).add(path.number)
        return {name: self.units.ports(name, ports) for name, ports in served.items()}

    def latency(self, leaf: int, block: int) -> LoopCounts:
        """Return the time from the end of a block's service until the block passes.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.

        Returns
        -------
        LoopCounts
            Per tile iteration, the time in steps of 1/scale: of a separate transfer, the latencies
            of its actions; of a foreground, its longest chain of accesses.
        """
        if (leaf, block) not in self._latencies:
            what = self.blocks[leaf][block]
            front = what.kind == "foreground"
            inward: dict[str | None, LoopCounts] = {}
            behind = constant(0)
            for access in what.accesses:
                late = self._fixed(leaf, access)
                if not late:
                    continue
                here = constant(late)
                if front:
                    here = access.counts.mapped(partial(_where_any, late))
                if front and access.inward:
                    chain = inward.get(access.tensor, constant(0))
                    inward[access.tensor] = together(chain, here, "+")
                else:
                    behind = together(behind, here, "+")
            ahead = constant(0)
            for chain in inward.values():
                ahead = together(ahead, chain, "max")
            self._latencies[leaf, block] = together(ahead, behind, "+").merged()
        return self._latencies[leaf, block]

    def is_rigid(self, leaf: int) -> bool:
        """Return whether the pipeline of a leaf stalls as a whole.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        bool
            Whether it does.
        """
        path = self.problem.leaves[leaf]
        return self.problem.spec.arch.component(path.einsum.name, path.component).rigid

    def _fixed(self, leaf: int, access: ExpectedAccess) -> int:
        """Return the fixed latency of an action, in steps of 1/scale; in a Network, of all hops."""
        component, repeat = self._component(leaf, access.component)
        each = component.latency.get(access.action, Fraction(0))
        return self._steps(each * repeat * access.hops)

    def _component(self, leaf: int, name: str) -> tuple[Component, Fraction]:
        """Return a component, and how often its accesses occur."""
        einsum = self.problem.leaves[leaf].einsum
        component = self.problem.spec.arch.component(einsum.name, name)
        return component, einsum.n_instances * self.problem.spec.workload.n_instances

    def _costs(self, leaf: int, access: ExpectedAccess) -> list[_Cost]:
        """Return what an access costs on every port of its component that it keeps busy."""
        component, repeat = self._component(leaf, access.component)
        actions = component.actions_per_value[access.action, access.tensor]
        setup = component.setup.get(access.action, Fraction(0)) if access.transfer else Fraction(0)
        listed = any(access.action in port.durations for port in component.ports)
        found = []
        for index, port in enumerate(component.ports):
            if access.link not in (None, index):
                continue
            each = port.durations.get(access.action, Fraction(0)) if actions else Fraction(0)
            once = setup if access.action in port.durations or not listed else Fraction(0)
            if each or once:
                found.append(_Cost(index, each * repeat, once * repeat))
        return found

    def _served(self, leaf: int, access: ExpectedAccess) -> list[ExpectedService]:
        component, _ = self._component(leaf, access.component)
        actions = component.actions_per_value[access.action, access.tensor]
        burst = Fraction(component.burst.get(access.action, 1) if access.transfer else 1)
        found: list[ExpectedService] = []
        if not access.counts.total:
            return found
        for cost in self._costs(leaf, access):
            if burst == 1:
                duration = together(access.counts, constant(self._steps(cost.each * actions)), "*")
            else:
                whole = access.counts.mapped(partial(_whole_bursts, actions / burst))
                duration = together(whole, constant(self._steps(cost.each * burst)), "*")
            if cost.once:
                setups = access.counts.mapped(partial(_where_any, self._steps(cost.once)))
                duration = together(duration, setups, "+")
            found += [
                ExpectedService(name, access.component, access.tensor, access.action, duration)
                for name in self._ports[component.name][leaf, cost.port]
            ]
        return found

    def _once(self, leaf: int) -> list[ExpectedService]:
        """Return the constants of the components that a leaf uses, in its first tile iteration."""
        found = []
        for name in _used(self.problem.leaves[leaf]):
            component, repeat = self._component(leaf, name)
            for index, port in enumerate(component.ports):
                if port.constant:
                    first = at_extreme(self.tiles[leaf], self.tiles[leaf].loops, last=False)
                    steps = constant(self._steps(port.constant * repeat))
                    duration = together(first, steps, "*")
                    found += [
                        ExpectedService(port_name, name, None, OVERHEAD, duration)
                        for port_name in self._ports[name][leaf, index]
                    ]
        return found

    def _steps(self, time: Fraction) -> int:
        steps = time * self.scale
        if steps.denominator != 1:
            raise BrokenRule(f"a time of {time} is not a multiple of the unit 1/{self.scale}")
        return steps.numerator


def _used(leaf: Leaf) -> list[str]:
    """Return the components that a leaf uses: those that hold its tensors, and its Compute."""
    held = dict.fromkeys(h.component for some in leaf.holders.values() for h in some)
    return list(dict.fromkeys([*held, leaf.component]))


def _where_any(number: int, values: Any) -> Any:
    """Return a number where a count is above 0, and 0 elsewhere."""
    there = np.asarray(values > 0, dtype=np.bool_)
    return np.where(there, np.array(number, dtype=object), np.array(0, dtype=object))


def _whole_bursts(bursts_per_value: Fraction, values: Any) -> Any:
    """Return numbers of values as numbers of bursts, rounded up."""
    numerator, denominator = bursts_per_value.as_integer_ratio()
    return -((-values.astype(object) * numerator) // denominator)
