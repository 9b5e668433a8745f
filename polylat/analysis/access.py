"""Values that several analyses share: accesses, ports, and contention in Pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from polylat.numbers import Number
from polylat.schedule.reasons import WaitedFor

if TYPE_CHECKING:
    from polylat.lowering.paths import Leaf

__all__ = ["OVERHEAD", "AccessKey", "Contention", "PortUse", "Step", "stage_name"]

OVERHEAD = "overhead"
"""The action of the constant in a component's ``total_latency``."""

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
    tensor, action
        The tensor and the action. The tensor is None for a computation, and for ``"overhead"``,
        the constant in a component's ``total_latency``.
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
    stages
        The Pipeline stages to which these units belong, each as its Einsums joined by ``+``; empty
        where all stages contend for the port.
    busy
        The time for which it serves accesses, background included.
    utilization
        Busy time as a fraction of the latency.
    """

    component: str
    port: str
    stages: tuple[str, ...]
    busy: Number
    utilization: Fraction

    @property
    def name(self) -> str:
        """The name of the port, such as ``SRAM``, ``SRAM.read`` or ``mac[e1]``."""
        name = f"{self.component}.{self.port}" if self.port else self.component
        return name + "".join(f"[{stage}]" for stage in self.stages)


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
        Components for whose ports the stages contend.
    """

    stages: tuple[str, ...]
    own: tuple[str, ...]
    shared: tuple[str, ...]


def stage_name(leaves: Sequence[Leaf], node: int, branch: int) -> str:
    """Return the name of a stage of a Pipeline.

    Parameters
    ----------
    leaves
        All leaves of the mapping.
    node, branch
        Tree node of the Pipeline, and the number of the stage.

    Returns
    -------
    str
        The Einsums of the stage, joined by ``+``.
    """
    return "+".join(
        leaf.einsum.name
        for leaf in leaves
        if any(s.node == node and s.branch == branch for s in leaf.splits)
    )
