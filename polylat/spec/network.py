"""Networks, and memories that are distributed over an Array, as one Einsum sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from polylat.numbers import Number

__all__ = ["HOP", "Network", "NetworkTime", "PhysicalDim", "Topology"]

Topology = Literal["mesh", "all_to_all"]

HOP = "hop"
"""The action of a Network: an action's worth of values passes from one unit to the next."""


@dataclass(frozen=True)
class PhysicalDim:
    """A dimension of an Array over which a component is distributed.

    Parameters
    ----------
    name
        Name of the Array's dimension.
    fanout
        Number of instances of the component along it.
    stride
        Units of the Array from one instance to the next: the Array's fanout over `fanout`.
    """

    name: str
    fanout: int
    stride: Fraction


@dataclass(frozen=True)
class NetworkTime:
    """One argument of the outermost ``max`` of a Network's ``total_latency``: a sum.

    Parameters
    ----------
    per_hop
        Time per hop of the longest route, in the architecture's unit of time.
    per_action
        Time per action that passes the busiest link.
    """

    per_hop: Fraction
    per_action: Fraction


@dataclass(frozen=True)
class Network:
    """What distinguishes a Network from other components.

    Parameters
    ----------
    topology
        ``"mesh"``: units are connected to their neighbors in each dimension; ``"all_to_all"``: to
        each other, through a switch.
    times
        The arguments of the maximum that is its ``total_latency``.
    actions_scale
        Factor on the number of actions, which AccelForge applies to energies only.
    """

    topology: Topology
    times: tuple[NetworkTime, ...]
    actions_scale: Fraction = Fraction(1)

    @property
    def per_hop(self) -> Fraction:
        """Time per hop of a route: the largest of all arguments."""
        return max(time.per_hop for time in self.times)

    @property
    def per_action(self) -> Fraction:
        """Time per action on a link: the largest of all arguments."""
        return max(time.per_action for time in self.times)

    def latency(self, hops: Number, traffic: Number) -> Number:
        """Return AccelForge's latency of the Network: its ``total_latency``.

        Parameters
        ----------
        hops
            Hops of the longest route.
        traffic
            Actions that pass the busiest link.

        Returns
        -------
        Number
            The time.
        """
        return max(time.per_hop * hops + time.per_action * traffic for time in self.times)

    def faster(self, factor: Fraction) -> Network:
        """Return the Network with faster links; hops take as long as before.

        Parameters
        ----------
        factor
            Factor on the throughput.

        Returns
        -------
        Network
            The Network.
        """
        times = (replace(time, per_action=time.per_action / factor) for time in self.times)
        return replace(self, times=tuple(times))
