"""Energies of the actions of a component, and its leakage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

__all__ = ["LEAKAGE", "ComponentEnergy", "MissingEnergy"]

LEAKAGE = "leakage"
"""Stands in place of an action, for the energy that a component uses even while it is idle."""


@dataclass(frozen=True)
class MissingEnergy:
    """Why an energy is not known.

    Parameters
    ----------
    what, where, fix
        As in `polylat.errors.PolylatError`.
    """

    what: str
    where: str | None = field(compare=False)
    fix: str | None


@dataclass(frozen=True)
class ComponentEnergy:
    """Energies of a component as one Einsum sees it.

    Parameters
    ----------
    per_action
        Action → energy of one action, scales included, in the architecture's unit of energy.
    leak_power
        Power of all instances of the component, scales included: energy per unit of time. As in
        AccelForge, the fanouts of the components above count, its own does not.
    missing
        Action or `LEAKAGE` → why its energy is not known.
    """

    per_action: Mapping[str, Fraction] = field(default_factory=dict)
    leak_power: Fraction = Fraction(0)
    missing: Mapping[str, MissingEnergy] = field(default_factory=dict)
