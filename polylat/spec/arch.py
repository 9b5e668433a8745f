"""The evaluated architecture: the components on the path of each Einsum, as it sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from polylat.numbers import Number
from polylat.spec.energy import ComponentEnergy
from polylat.spec.network import HOP, Network, PhysicalDim
from polylat.spec.total_latency import TotalLatency

Kind = Literal["Memory", "Toll", "Compute", "Container", "Network"]
Direction = Literal["up", "down", "up_and_down"]

OVERHEAD = "overhead"
"""Stands in the place of an action for the constant in a component's ``total_latency``."""

LATENCY = "latency"
"""Stands in the place of an action for the fixed latency of a tile iteration or a transfer."""


@dataclass(frozen=True)
class SpatialDim:
    """A spatial dimension of a component: `fanout` units side by side.

    Parameters
    ----------
    name
        Name of the dimension.
    fanout
        Number of units.
    may_reuse
        Tensors that the hardware may multicast to (inputs) or reduce over (outputs) the units.
    """

    name: str
    fanout: int
    may_reuse: frozenset[str]


@dataclass(frozen=True)
class Port:
    """One argument of the outermost ``max`` of a component's ``total_latency``.

    Parameters
    ----------
    name
        Distinguishes the port from the component's other ports: ``""`` if it is the only one, else
        the actions that it serves, such as ``"read"``.
    durations
        Action → time that one action takes on this port, in the architecture's unit of time; zero
        if it is not listed. Includes the throughput, its scales and the number of parallel
        instances.
    constant
        Time that every Einsum that uses the component keeps the port busy, independent of its
        actions; in the architecture's unit of time.
    """

    name: str
    durations: Mapping[str, Fraction]
    constant: Fraction = Fraction(0)


@dataclass(frozen=True)
class Component:
    """A component as one Einsum sees it; its expressions may depend on the Einsum's tensors.

    Parameters
    ----------
    name, kind
        Name and kind of the component.
    spatial
        Its spatial dimensions; units below it are replicated with it.
    size
        Capacity in bits; None if unlimited or if the component is not a Memory.
    actions
        Names of its actions, in order of the input.
    actions_per_value
        (action, tensor) → number of actions per value of the tensor, ``actions_scale`` included.
        For a Compute: ``("compute", None)`` → number of actions per operation. For a Network:
        number of actions that pass a link per value that does.
    ports
        Its ports (see `Port`). Empty for a Container, and where `total_latency` is given.
    total_latency
        Its ``total_latency`` if that is not a maximum of sums: it has no ports then, and `analyze`
        refuses a mapping that uses it.
    skip_initial_output_write
        False if outputs are filled from above also before their first update.
    direction
        For a Toll: tensor → the direction in which it charges.
    bits_per_value
        Tensor → bits of one value in this component.
    latency
        Action → fixed latency: the time that its last value takes to pass after the port has
        served it, in the architecture's unit of time. Zero if not listed.
    setup
        Action → time that each transfer keeps the port busy longer, in the same unit. Zero if not
        listed.
    burst
        Action → the actions of each transfer take as long as the next multiple of this number. One
        if not listed.
    rigid
        For a Compute: whether its pipeline stalls as a whole.
    divisible
        Whether the stages of a Pipeline may divide its units among themselves.
    network
        For a Network: its topology and times. Its ports are its links, one for each dimension of
        the components below it.
    physical
        The dimensions of an Array over which the component is distributed.
    """

    name: str
    kind: Kind
    spatial: tuple[SpatialDim, ...] = ()
    size: Fraction | None = None
    actions: tuple[str, ...] = ()
    actions_per_value: Mapping[tuple[str, str | None], Fraction] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    total_latency: TotalLatency | None = None
    skip_initial_output_write: bool = True
    direction: Mapping[str, Direction] = field(default_factory=dict)
    bits_per_value: Mapping[str, Fraction] = field(default_factory=dict)
    latency: Mapping[str, Fraction] = field(default_factory=dict)
    setup: Mapping[str, Fraction] = field(default_factory=dict)
    burst: Mapping[str, int] = field(default_factory=dict)
    rigid: bool = False
    divisible: bool = True
    network: Network | None = None
    physical: tuple[PhysicalDim, ...] = ()

    def busy_time(self, calls: Mapping[str, Number]) -> Number:
        """Return how long the component is busy, as AccelForge evaluates its ``total_latency``.

        Parameters
        ----------
        calls
            Action → number of actions; zero if not listed.

        Returns
        -------
        Number
            The time of the busiest port, in the architecture's unit of time.

        Raises
        ------
        ExpressionError
            `total_latency` cannot be evaluated on these numbers, or is not a finite time.
        """
        if self.total_latency is not None:
            return self.total_latency.of_calls(calls)
        loads: list[Number] = []
        for port in self.ports:
            load: Number = port.constant
            for action, count in calls.items():
                if count and action in port.durations:
                    load += count * port.durations[action]
            loads.append(load)
        return max(loads, default=0)

    @property
    def fanout(self) -> int:
        """Number of units side by side."""
        product = 1
        for dim in self.spatial:
            product *= dim.fanout
        return product


@dataclass(frozen=True)
class Arch:
    """The architecture.

    Parameters
    ----------
    order
        Names of all components, in order of the input (outer to inner).
    paths
        Einsum → the components on the path to its Compute, outer to inner, as the Einsum sees them.
    energies
        Einsum → component → energies, as the Einsum sees them. Components off the path leak, too.
    """

    order: tuple[str, ...]
    paths: Mapping[str, tuple[Component, ...]]
    energies: Mapping[str, Mapping[str, ComponentEnergy]] = field(default_factory=dict)

    def component(self, einsum: str, name: str) -> Component:
        """Return a component as an Einsum sees it.

        Parameters
        ----------
        einsum
            Name of the Einsum.
        name
            Name of a component on the Einsum's path.

        Returns
        -------
        Component
            The component.
        """
        return next(c for c in self.paths[einsum] if c.name == name)

    def memories_inside(self, einsum: str, name: str) -> tuple[str, ...]:
        """Return the memories inside of a component, as an Einsum sees them.

        Parameters
        ----------
        einsum
            Name of the Einsum.
        name
            Name of a component on the Einsum's path.

        Returns
        -------
        tuple of str
            Their names, outermost first.
        """
        path = self.paths[einsum]
        place = [c.name for c in path].index(name)
        return tuple(c.name for c in path[place + 1 :] if c.kind == "Memory")

    def faster(self, component: str, action: str | None, factor: Fraction) -> Arch:
        """Return the architecture with a faster component.

        Parameters
        ----------
        component
            Name of the component.
        action
            The only action that becomes faster: one of its actions, or `OVERHEAD`; None: all
            actions, without the overhead.
        factor
            Factor on the throughput. Setups and fixed latencies stay.

        Returns
        -------
        Arch
            The architecture.
        """

        def changed(port: Port) -> Port:
            if action == OVERHEAD:
                return replace(port, constant=port.constant / factor)
            times = {
                name: time / factor if action in (None, name) else time
                for name, time in port.durations.items()
            }
            return replace(port, durations=times)

        def made(c: Component) -> Component:
            if c.name != component:
                return c
            network = c.network
            if network is not None and action in (None, HOP):
                network = network.faster(factor)
            return replace(c, ports=tuple(map(changed, c.ports)), network=network)

        return self._with(made)

    def quicker(self, component: str, factor: Fraction) -> Arch:
        """Return the architecture with a component whose values pass sooner.

        Parameters
        ----------
        component
            Name of the component.
        factor
            What its fixed latencies are divided by.

        Returns
        -------
        Arch
            The architecture.
        """
        return self._with_latency(component, lambda late: late / factor)

    def with_latency_at_most(self, component: str, most: Fraction) -> Arch:
        """Return the architecture with a component none of whose fixed latencies is larger.

        Parameters
        ----------
        component
            Name of the component.
        most
            The largest fixed latency of its actions, in the architecture's unit of time.

        Returns
        -------
        Arch
            The architecture.
        """
        return self._with_latency(component, lambda late: min(late, most))

    def _with_latency(self, component: str, changed: Callable[[Fraction], Fraction]) -> Arch:
        """Return the architecture with other fixed latencies of a component."""

        def made(c: Component) -> Component:
            if c.name != component:
                return c
            return replace(c, latency={name: changed(late) for name, late in c.latency.items()})

        return self._with(made)

    def _with(self, made: Callable[[Component], Component]) -> Arch:
        """Return the architecture with changed components."""
        paths = {einsum: tuple(map(made, path)) for einsum, path in self.paths.items()}
        return replace(self, paths=paths)
