"""Values that analyses share: accesses and their names, ports, Pipelines that share an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from polylat.lowering.paths import Leaf
from polylat.numbers import Number

__all__ = ["OVERHEAD", "AccessKey", "Contention", "PortUse", "Step", "WaitedFor", "stage_name"]

OVERHEAD = "overhead"
"""The action of the constant in a component's ``total_latency``."""

AccessKey = tuple[str, str, str | None, str]
"""(Einsum, component, tensor or None, action)"""
WaitedFor = Literal["flow", "barrier", "capacity", "port"]


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
        Where it is served. `port` is empty where the component has one only.
    tensor, action
        What is done: the tensor is None for a computation, and for ``"overhead"``, the constant
        in a component's ``total_latency``.
    start, finish
        When.
    waited_for
        Why it starts no earlier: *flow* (data), *barrier* (a Sequential), *capacity* (the place
        of a tile), *port* (the port was busy); None at time 0.
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
        """How long it is served."""
        return self.finish - self.start


@dataclass(frozen=True)
class PortUse:
    """How busy a port is.

    Parameters
    ----------
    component, port
        The port. `port` is empty where the component has one only.
    stages
        The Pipeline stages whose own units these are, each as its Einsums joined by ``+``; empty
        where the stages contend for the port.
    busy
        Time that it serves accesses, background included.
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
        """The port in one word, such as ``SRAM``, ``SRAM.read`` or ``mac[e1]``."""
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
        Components of which each stage has units of its own.
    shared
        Components for whose ports the stages contend.
    """

    stages: tuple[str, ...]
    own: tuple[str, ...]
    shared: tuple[str, ...]


def stage_name(leaves: Sequence[Leaf], node: int, branch: int) -> str:
    """A stage of a Pipeline as its Einsums, joined by ``+``."""
    return "+".join(
        leaf.einsum.name
        for leaf in leaves
        if any(s.node == node and s.branch == branch for s in leaf.splits)
    )
