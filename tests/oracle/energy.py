"""Energy: the actions of all units, each with its energy."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from .model import Model
from .transfers import Access, accesses_of

Key = tuple[str, str, str | None, str]
"""Einsum, component, tensor and action."""


def energies(model: Model) -> dict[Key, Fraction]:
    """The energy of all actions, in every unit."""
    problem = model.lowered.problem
    found: dict[Key, Fraction] = defaultdict(Fraction)
    for run in model.runs:
        leaf = run.leaf

        def add(access: Access, name: str = leaf.einsum.name) -> None:
            actions = problem.component(access.component).data["actions"]
            energy = next(a["energy"] for a in actions if a["name"] == access.action)
            key = name, access.component, access.tensor, access.action
            found[key] += access.actions * Fraction(str(energy))

        for transfer in run.transfers.values():
            for way in ("down", "up"):
                for iteration in run.iterations:
                    for access in accesses_of(
                        problem, run, transfer, way, iteration, every_unit=True
                    ):
                        add(access)
        if not leaf.einsum.copies:
            component = leaf.path[-1].data["component"]
            add(Access(component, None, "compute", Fraction(len(leaf.operations)), False))
    return dict(found)
