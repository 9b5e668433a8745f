"""Values that several analyses share: accesses, ports, and contention in Pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from polylat.numbers import Number
from polylat.schedule.reasons import WaitedFor
from polylat.spec.arch import LATENCY, OVERHEAD

if TYPE_CHECKING:
    from polylat.lowering.paths import Leaf

__all__ = [
    "LATENCY",
    "OVERHEAD",
    "AccessKey",
    "Contention",
    "PortUse",
    "Step",
    "port_name",
    "stage_name",
]

AccessKey = tuple[str, str, str | None, str]
"""(Einsum, component, tensor or None, action)"""


@dataclass(frozen=True)
class Step:
    """An access on the critical path.

    Parameters
    ----------
    einsum
        Its Einsum.
    tile
        Its tile iteration: (rank variable, index) per Temporal loop, outer to inner.
    component, port
        The port that serves it. `port` is empty where the component has only one.
    units
        The units of the component that it belongs to, named by the Einsums that use them; empty
        where the units are not divided.
    tensor, action
        The tensor and the action. The tensor is None for a computation, and for ``"overhead"``,
        the constant in a component's ``total_latency``. The action ``"latency"`` is the fixed
        latency between the service of a foreground or of a transfer and its passing.
    start, finish
        The times of service, in the architecture's unit of time.
    waited_for
        Why it starts no earlier: *flow* (data), *barrier* (a Sequential), *capacity* (a buffer
        slot), *port* (the port was busy); None at time 0.
    """

    einsum: str
    tile: tuple[tuple[str, int], ...]
    component: str
    port: str
    units: str
    tensor: str | None
    action: str
    start: Number
    finish: Number
    waited_for: WaitedFor | None

    @property
    def duration(self) -> Number:
        """The time of service."""
        return self.finish - self.start


@dataclass(frozen=True)
class PortUse:
    """The busy time of a port.

    Parameters
    ----------
    component, port
        The port. `port` is empty where the component has only one.
    units
        The units of the component that it belongs to, named by the Einsums that use them (``e1``,
        ``e1+e3``, ``e1..e9``); empty where the units are not divided.
    busy
        The time for which it serves accesses, background included.
    utilization
        Busy time as a fraction of the latency.
    """

    component: str
    port: str
    units: str
    busy: Number
    utilization: Fraction

    @property
    def name(self) -> str:
        """The name of the port, such as ``SRAM``, ``SRAM.read`` or ``mac[e1]``."""
        return port_name(self.component, self.port, self.units)


@dataclass(frozen=True)
class Contention:
    """Whether the stages of a Pipeline share an array or contend for it.

    Parameters
    ----------
    stages
        The stages, each as its Einsums joined by ``+``.
    own
        Components in which each stage has its own units.
    shared
        Units for which stages contend: the component, and where its units are divided, those that
        several stages use, as in ``mac[e1+e3]``.
    """

    stages: tuple[str, ...]
    own: tuple[str, ...]
    shared: tuple[str, ...]


def port_name(component: str, port: str, units: str) -> str:
    """Return the name of a port, or of a memory.

    Parameters
    ----------
    component, port
        The component, and its port; empty for its only port, or for a memory.
    units
        The units, named by the Einsums that use them; empty where they are not divided.

    Returns
    -------
    str
        Such as ``SRAM``, ``SRAM.read``, ``mac[e1]`` or ``RF.write[e1+e3]``.
    """
    name = f"{component}.{port}" if port else component
    return f"{name}[{units}]" if units else name


def stage_name(stage: Sequence[Leaf]) -> str:
    """Return the name of a stage of a Pipeline.

    Parameters
    ----------
    stage
        Its leaves, in tree order.

    Returns
    -------
    str
        Their Einsums, joined by ``+``.
    """
    return "+".join(leaf.einsum.name for leaf in stage)
