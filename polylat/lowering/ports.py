"""Ports, and how long accesses occupy them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import ceil, lcm

import numpy as np

from polylat.lowering.accesses.blocks import Access, Block
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.lowering.units import Users, divided_users
from polylat.numbers import INT64_LIMIT
from polylat.schedule.arrays import Times
from polylat.spec import Spec
from polylat.spec.arch import Component

__all__ = [
    "AccessCosts",
    "AccessName",
    "PortKey",
    "access_costs",
    "divided_ports",
    "total_size",
    "total_values",
]


AccessName = tuple[int, str, str | None, str]
"""(leaf, component, tensor or None, action)"""


@dataclass(frozen=True, order=True)
class PortKey:
    """The identity of a port, which serves one access at a time.

    Parameters
    ----------
    component, index
        Its component, and its index among the ports of the component.
    users
        The leaves whose accesses it serves, where the units of the component are divided into
        several ranges; else empty.
    """

    component: str
    index: int
    users: Users = ()


@dataclass(frozen=True, eq=False)
class AccessCosts:
    """Durations of accesses as integers, in steps of 1/scale of the architecture's unit of time.

    Parameters
    ----------
    scale
        Steps per unit of time.
    per_value
        (leaf, component, tensor, action) → number of a port → steps per value.
    per_transfer
        (leaf, component, tensor, action) → number of a port → steps that each transfer keeps the
        port busy in addition (setup).
    bursts
        (leaf, component, tensor, action) → the number of values that each transfer is rounded up to
        a multiple of; 1 where it is missing.
    latencies
        (leaf, component, action) → steps between the service of an action and the passing of its
        last value, in a Network per hop; 0 where it is missing.
    rigid
        The leaves whose pipeline stalls as a whole.
    constant
        (leaf, component) → number of a port → steps that the port is busy once per leaf.
    ports
        All ports, in the order of the architecture.
    exact
        Whether times are Python integers because they may exceed 64 bits.
    """

    scale: int
    per_value: Mapping[AccessName, Mapping[int, int]]
    per_transfer: Mapping[AccessName, Mapping[int, int]]
    bursts: Mapping[AccessName, Fraction]
    latencies: Mapping[tuple[int, str, str], int]
    rigid: frozenset[int]
    constant: Mapping[tuple[int, str], Mapping[int, int]]
    ports: tuple[PortKey, ...]
    exact: bool

    def constants_of(self, leaf: int) -> Sequence[Mapping[int, int]]:
        """Return `constant` of each component of a leaf.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        sequence of Mapping
            Number of a port → steps.
        """
        return self._constants.get(leaf, ())

    @cached_property
    def _constants(self) -> Mapping[int, Sequence[Mapping[int, int]]]:
        found: dict[int, list[Mapping[int, int]]] = {}
        for (leaf, _), constants in self.constant.items():
            found.setdefault(leaf, []).append(constants)
        return found

    def steps(self, leaf: int, access: Access, port: int) -> Times | None:
        """Return how long an access keeps a port busy, in each of its tile iterations.

        Parameters
        ----------
        leaf, access, port
            The numbers of a leaf and of a port, and an access of the leaf.

        Returns
        -------
        numpy.ndarray or None
            Steps, shape (iterations of the access,); None if it does not use the port.
        """
        if access.link is not None and access.link != self.ports[port].index:
            return None
        name = leaf, access.component, access.tensor, access.action
        each = self.per_value[name].get(port, 0)
        once = self.per_transfer.get(name, {}).get(port, 0) if access.transfer else 0
        if not each and not once:
            return None
        counts: Times = access.counts.astype(object if self.exact else np.int64, copy=False)
        burst = self.bursts.get(name) if access.transfer else None
        if burst is None:
            return counts * each + once
        # The values of n bursts are n · burst, which need not be whole; n bursts of steps are.
        bursts = -((-counts * burst.denominator) // burst.numerator)
        return bursts * int(burst * each) + once

    def durations(self, leaf: int, access: Access) -> dict[int, Times]:
        """Return how long an access keeps its ports busy, in each of its tile iterations.

        Parameters
        ----------
        leaf, access
            The number of a leaf, and an access of it.

        Returns
        -------
        dict of {int: numpy.ndarray}
            Number of a port → steps, shape (iterations of the access,). Ports on which the access
            takes no time are left out.
        """
        if access.free:
            return {}
        name = leaf, access.component, access.tensor, access.action
        some = self.per_transfer.get(name, {}) if access.transfer else {}
        ports = dict.fromkeys((*self.per_value[name], *some))
        found = {port: self.steps(leaf, access, port) for port in ports}
        return {port: steps for port, steps in found.items() if steps is not None}

    def latency(self, leaf: int, access: Access) -> int:
        """Return how long after its service the last value of an access passes.

        Parameters
        ----------
        leaf, access
            The number of a leaf, and an access of it.

        Returns
        -------
        int
            Steps.
        """
        name = leaf, access.component, access.action
        return 0 if access.free else self.latencies.get(name, 0) * access.hops


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


def total_size(tiles: IterationTable) -> int:
    """Return the number of tile iterations, skipped ones included.

    Parameters
    ----------
    tiles
        The tile iterations of a leaf.

    Returns
    -------
    int
        Their number.
    """
    return tiles.size if tiles.whole else int(tiles.multiplicity.astype(object).sum())


def access_costs(
    spec: Spec,
    leaves: Sequence[Leaf],
    tiles: Sequence[IterationTable],
    blocks: Sequence[tuple[Block, ...]],
    units: Mapping[str, Sequence[Users]],
) -> AccessCosts:
    """Return the durations of all accesses on a common integer scale.

    Parameters
    ----------
    spec
        The input.
    leaves, tiles, blocks
        The leaves, in tree order, and their tile iterations and blocks.
    units
        Component → the leaves that use each range of its units, as `units.unit_users` returns
        them. The units of a component that is missing are not divided.

    Returns
    -------
    AccessCosts
        The durations.
    """
    per_value: dict[AccessName, dict[int, Fraction]] = {}
    setup: dict[AccessName, dict[int, Fraction]] = {}
    bursts: dict[AccessName, Fraction] = {}
    latencies: dict[tuple[int, str, str], Fraction] = {}
    constant: dict[tuple[int, str], dict[int, Fraction]] = {}
    served: dict[PortKey, set[int]] = {}
    values: dict[AccessName, int] = {}
    hops: dict[AccessName, int] = {}
    for leaf, mine in zip(leaves, blocks, strict=True):
        path = {c.name: c for c in spec.arch.paths[leaf.einsum.name]}
        repeat = leaf.einsum.n_instances * spec.workload.n_instances
        for access in (a for block in mine for a in block.accesses if not a.free):
            component = path[access.component]
            what = (leaf.number, access.component, access.tensor, access.action)
            values[what] = values.get(what, 0) + total_values(access, tiles[leaf.number])
            if what not in per_value:
                per_value[what] = _scaled(_cost(component, access), repeat)
            if access.transfer and what not in setup:
                setup[what] = _scaled(_setup(component, access.action), repeat)
                burst = component.burst.get(access.action, 1)
                if burst != 1:
                    bursts[what] = burst / component.actions_per_value[access.action, access.tensor]
            late = component.latency.get(access.action)
            if late:
                latencies[leaf.number, access.component, access.action] = late * repeat
            hops[what] = hops.get(what, 0) + access.hops
            for i in (*per_value[what], *setup.get(what, ())) if values[what] else ():
                if access.link not in (None, i):
                    continue
                served.setdefault(PortKey(access.component, i), set()).add(leaf.number)
        for name in _used(leaf):
            constant[leaf.number, name] = {
                i: port.constant * repeat
                for i, port in enumerate(path[name].ports)
                if port.constant
            }
            for i in constant[leaf.number, name]:
                served.setdefault(PortKey(name, i), set()).add(leaf.number)
    everything = [*per_value.values(), *setup.values(), *constant.values()]
    times = [time for costs in everything for time in costs.values()]
    times += [n * time for what, n in bursts.items() for time in per_value[what].values()]
    scale = lcm(*(time.denominator for time in (*times, *latencies.values())))
    keys = divided_ports(served, units)
    order: dict[str, int] = {name: i for i, name in enumerate(spec.arch.order)}
    ports = tuple(
        sorted(
            (key for some in keys.values() for key in some),
            key=lambda k: (order.get(k.component, len(order)), k),
        )
    )
    number = {key: i for i, key in enumerate(ports)}

    def whole(leaf: int, component: str, costs: Mapping[int, Fraction]) -> dict[int, int]:
        return {
            number[key]: int(cost * scale)
            for i, cost in costs.items()
            for key in keys.get(PortKey(component, i), ())
            if not key.users or leaf in key.users
        }

    steps = {what: whole(*what[:2], costs) for what, costs in per_value.items()}
    once = {what: whole(*what[:2], costs) for what, costs in setup.items() if costs}
    passing = {what: int(late * scale) for what, late in latencies.items()}
    total = sum(int(c * scale) for costs in constant.values() for c in costs.values())
    for what, count in values.items():
        size = total_size(tiles[what[0]])
        rounded = count + size * ceil(bursts.get(what, 0))
        total += rounded * max(steps[what].values(), default=0)
        total += size * max(once.get(what, {}).values(), default=0)
        total += size * passing.get((what[0], what[1], what[3]), 0) * hops[what]
    return AccessCosts(
        scale,
        steps,
        once,
        bursts,
        passing,
        frozenset(leaf.number for leaf in leaves if _is_rigid(spec, leaf)),
        {what: whole(*what, costs) for what, costs in constant.items()},
        ports,
        exact=total >= INT64_LIMIT,
    )


def _scaled(costs: Mapping[int, Fraction], factor: Fraction) -> dict[int, Fraction]:
    return {i: cost * factor for i, cost in costs.items() if cost}


def divided_ports(
    served: Mapping[PortKey, Iterable[int]], units: Mapping[str, Sequence[Users]]
) -> dict[PortKey, tuple[PortKey, ...]]:
    """Divide the ports of components whose units leaves divide: one for each range of units.

    Parameters
    ----------
    served
        Port, not divided → the leaves whose accesses it serves.
    units
        Component → the leaves that use each range of its units. The units of a component that is
        missing are not divided.

    Returns
    -------
    dict
        Port, not divided → the ports of its ranges. A leaf's access occupies each of those whose
        users it is among, or the only one.
    """
    parts = {
        port: divided_users(units.get(port.component, ()), leaves)
        for port, leaves in served.items()
    }
    divided = {port.component for port, users in parts.items() if len(users) > 1}
    return {
        port: tuple(replace(port, users=users) for users in some)
        if port.component in divided
        else (port,)
        for port, some in parts.items()
    }


def _cost(component: Component, access: Access) -> dict[int, Fraction]:
    """Return index of a port → the time per value of an access."""
    actions = component.actions_per_value[access.action, access.tensor]
    return {
        i: actions * port.durations.get(access.action, Fraction(0))
        for i, port in enumerate(component.ports)
    }


def _is_rigid(spec: Spec, leaf: Leaf) -> bool:
    return spec.arch.component(leaf.einsum.name, leaf.component).rigid


def _setup(component: Component, action: str) -> dict[int, Fraction]:
    """Return index of a port → the time that each transfer keeps it busy in addition."""
    time = component.setup.get(action)
    if not time:
        return {}
    serving = [i for i, port in enumerate(component.ports) if action in port.durations]
    return dict.fromkeys(serving or range(len(component.ports)), time)


def _used(leaf: Leaf) -> list[str]:
    """Return the components that a leaf uses: those of its holders, and its Compute."""
    held = dict.fromkeys(h.component for holders in leaf.holders.values() for h in holders)
    return [*held, leaf.component]
