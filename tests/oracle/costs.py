"""What an access costs beyond its throughput: fixed latency, setup, bursts, rigid computation.

Implements the paragraphs *Fixed latency* (where it is read from), *Setup* and *Rigid computation*
(which components) of *What waits for what*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

Table = Mapping[tuple[str, str], Fraction]
"""Numbers by component and action."""


@dataclass(frozen=True)
class Costs:
    """Tables by (component, action), and the Compute components that stall as a whole."""

    latency: Table = field(default_factory=dict, hash=False)
    setup: Table = field(default_factory=dict, hash=False)
    burst: Table = field(default_factory=dict, hash=False)
    rigid: frozenset[str] = frozenset()

    def latency_of(self, component: str, action: str) -> Fraction:
        """Fixed latency: the time that a value takes to pass after the port has served it."""
        return self.latency.get((component, action), Fraction(0))

    def rounded(self, component: str, action: str, actions: Fraction) -> Fraction:
        """Setup, burst: the next multiple of the burst's length."""
        burst = self.burst.get((component, action), Fraction(1))
        if burst == 1:  # actions need not be whole
            return actions
        return -(-actions // burst) * burst

    def setup_of(self, component: str, action: str) -> Fraction:
        """Setup: the time for which a transfer keeps the port busy longer."""
        return self.setup.get((component, action), Fraction(0))


def read_costs(data: Mapping[str, Any]) -> Costs:
    """Read the costs under ``schedule:``, and the ``latency`` fields of actions.

    Where both give a latency, ``schedule:`` wins: it is the more special place.
    """
    schedule = data.get("schedule") or {}
    return Costs(
        {**fields_of_actions(data["arch"]["nodes"]), **table(schedule.get("latency"))},
        table(schedule.get("setup")),
        table(schedule.get("burst")),
        frozenset(schedule.get("rigid") or ()),
    )


def fields_of_actions(nodes: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Fraction]:
    """The ``latency`` fields of the actions of all components."""
    return {
        (node["name"], action["name"]): Fraction(str(action["latency"]))
        for outer in nodes
        for node in (outer, *outer.get("nodes", ()))
        for action in node.get("actions", ())
        if "latency" in action
    }


def table(data: Mapping[str, Mapping[str, Any]] | None) -> dict[tuple[str, str], Fraction]:
    """A table ``{component: {action: number}}``."""
    return {
        (component, action): Fraction(str(value))
        for component, actions in (data or {}).items()
        for action, value in actions.items()
    }
